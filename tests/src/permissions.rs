//! Whether roles allow exactly what is used: every recorded call is allowed, and everything that is allowed is used, or is
//! listed with a reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::iam::{Operation, Required};
use crate::policy::{Statement, matches};

/// What each role needs, by the role's logical name.
pub type Needs = BTreeMap<String, BTreeSet<Required>>;

/// What the exceptions are, and why: `tests/iam/exceptions.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// What is allowed, and which no rehearsal uses.
    pub unused: Vec<Unused>,
    /// What a pattern of resources leaves open.
    pub patterns: Vec<Pattern>,
}

/// Something allowed that no rehearsal uses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unused {
    /// The roles, as a pattern of their logical names.
    pub roles: String,
    /// The actions.
    pub actions: Vec<String>,
    /// The resources, as a pattern of what the policy says.
    #[serde(default = "anything")]
    pub resources: String,
    /// Why it is allowed all the same.
    pub reason: String,
}

/// A form of resources with a `*` in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// The end of the resource, from the last name that is written out.
    pub ends: String,
    /// The actions.
    pub actions: Vec<String>,
    /// Why the service's names cannot be written out.
    pub reason: String,
}

fn anything() -> String {
    "*".to_owned()
}

/// What is needed and not allowed, one text each. Errors: a policy that is not understood.
pub fn too_narrow(roles: &BTreeMap<String, Vec<Statement>>, needs: &Needs) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for (role, needed) in needs {
        let statements = roles.get(role).map(Vec::as_slice).unwrap_or_default();
        for required in needed {
            let mut is_allowed = false;
            for statement in statements {
                is_allowed |= statement.allows(&required.action, &required.resource, &required.conditions)?;
            }
            if !is_allowed {
                let keys = match required.conditions.is_empty() {
                    true => String::new(),
                    false => format!(" where {:?}", required.conditions),
                };
                wrong.push(format!(
                    "{role} needs {} on {}{keys}",
                    required.action, required.resource
                ));
            }
        }
    }
    Ok(wrong)
}

/// The roles of one Region's stack and what they need.
#[derive(Clone, Debug)]
pub struct Side {
    /// What each role may do, by the role's logical name.
    pub roles: BTreeMap<String, Vec<Statement>>,
    /// What each role needs.
    pub needs: Needs,
    /// What the plan calls things in this Region, and what stands for each: longest first.
    pub names: Vec<(String, String)>,
}

impl Side {
    /// A resource as the template has it, with what stands for the plan's names: the same in both Regions.
    fn as_in_the_template(&self, resource: &str) -> String {
        let names = self.names.iter();
        names.fold(resource.to_owned(), |resource, (name, stands_for)| {
            resource.replace(name, stands_for)
        })
    }
}

/// What the template allows and no role uses in either Region, one text each; and exceptions that are none. Errors: a policy
/// that is not understood.
pub fn too_wide(sides: &[Side], exceptions: &Exceptions) -> Result<Vec<String>, String> {
    // Whether it is used, by role, action and resource as the template says it.
    let mut used: BTreeMap<(String, String, String), bool> = BTreeMap::new();
    for side in sides {
        for (role, statements) in &side.roles {
            for statement in statements {
                for action in &statement.actions {
                    for resource in &statement.resources {
                        let alone = Statement {
                            actions: vec![action.clone()],
                            resources: vec![resource.clone()],
                            conditions: statement.conditions.clone(),
                        };
                        let mut is_used = false;
                        for required in side.needs.get(role).into_iter().flatten() {
                            is_used |= alone.allows(&required.action, &required.resource, &required.conditions)?;
                        }
                        let key = (role.clone(), action.clone(), side.as_in_the_template(resource));
                        *used.entry(key).or_default() |= is_used;
                    }
                }
            }
        }
    }
    let mut needed = vec![BTreeSet::new(); exceptions.unused.len()];
    let mut wrong = Vec::new();
    for ((role, action, resource), is_used) in &used {
        if *is_used {
            continue;
        }
        let listed = exceptions.unused.iter().position(|unused| {
            matches(&unused.roles, role) && unused.actions.contains(action) && matches(&unused.resources, resource)
        });
        match listed {
            Some(index) => drop(needed[index].insert(action.clone())),
            None => wrong.push(format!("{role} may {action} on {resource}, and no rehearsal does")),
        }
    }
    for (unused, needed) in exceptions.unused.iter().zip(needed) {
        for action in unused.actions.iter().filter(|action| !needed.contains(*action)) {
            wrong.push(format!(
                "{action} of {} is listed as unused, and is used or not allowed",
                unused.roles
            ));
        }
    }
    Ok(wrong)
}

/// Statements that leave open what could be named, one text each.
pub fn not_named(
    roles: &BTreeMap<String, Vec<Statement>>,
    table: &[Operation],
    exceptions: &Exceptions,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (role, statements) in roles {
        for statement in statements {
            for action in &statement.actions {
                if action.contains('*') {
                    wrong.push(format!("{role} may {action}: name the actions"));
                }
                for resource in statement.resources.iter().filter(|resource| resource.contains('*')) {
                    let rows = table.iter().flat_map(|row| row.actions.iter().chain(&row.dependent));
                    let forms: BTreeSet<&str> = rows
                        .filter(|known| known.action == *action)
                        .map(|known| known.resource.as_str())
                        .collect();
                    let is_for_all = resource == "*" && forms == BTreeSet::from(["*"]);
                    let is_right = is_for_all
                        || exceptions.patterns.iter().any(|pattern| {
                            let before = resource.strip_suffix(pattern.ends.as_str());
                            pattern.actions.contains(action) && before.is_some_and(|before| !before.contains('*'))
                        });
                    if !is_right {
                        wrong.push(format!("{role} may {action} on {resource}: name the resource"));
                    }
                }
            }
        }
    }
    wrong
}
