//! What IAM policies allow: the statements of a stack's roles, and whether they allow what a call needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::template::Stack;

/// The values that a request has for condition keys.
pub type Keys = BTreeMap<String, BTreeSet<String>>;

/// A statement that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The actions, as patterns.
    pub actions: Vec<String>,
    /// The resources, as patterns.
    pub resources: Vec<String>,
    /// What must hold besides: operator, key, and the values of which one must match.
    pub conditions: Vec<(String, String, Vec<String>)>,
}

impl Statement {
    /// Reads a statement of a policy. Errors: a text, if it does something else than to allow actions on resources.
    pub fn read(statement: &Value) -> Result<Self, String> {
        let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
        let fields = statement.as_object().ok_or("a statement is no object")?;
        if let Some(unknown) = fields.keys().find(|field| !known.contains(&field.as_str())) {
            return Err(format!("{unknown} of a statement is not understood here: {statement}"));
        }
        if statement["Effect"] != "Allow" {
            return Err(format!("a role's statement does not allow: {statement}"));
        }
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().into_iter().flatten() {
                conditions.push((operator.clone(), key.clone(), listed(values)));
            }
        }
        Ok(Self {
            actions: listed(&statement["Action"]),
            resources: listed(&statement["Resource"]),
            conditions,
        })
    }

    /// Whether it allows `action` on `resource`, where these keys have these values. Errors: an operator that is not
    /// understood.
    pub fn allows(&self, action: &str, resource: &str, keys: &Keys) -> Result<bool, String> {
        if !self.actions.iter().any(|pattern| matches_action(pattern, action))
            || !self.resources.iter().any(|pattern| matches(pattern, resource))
        {
            return Ok(false);
        }
        for (operator, key, wanted) in &self.conditions {
            if operator == "Null" {
                let is_absent = keys.get(key).is_none_or(BTreeSet::is_empty);
                if !wanted.contains(&is_absent.to_string()) {
                    return Ok(false);
                }
                continue;
            }
            // "For all values" holds for none too; `Null` says whether there must be one.
            let (for_all, operator) = match operator.strip_prefix("ForAllValues:") {
                Some(operator) => (true, operator),
                None => (false, operator.as_str()),
            };
            let is_wanted = |value: &String| match operator {
                "StringEquals" | "Bool" => Ok(wanted.contains(value)),
                "ArnEquals" | "ArnLike" | "StringLike" => Ok(wanted.iter().any(|wanted| matches(wanted, value))),
                other => Err(format!("the operator {other} is not understood here")),
            };
            let values = keys.get(key).into_iter().flatten();
            let holds: Vec<bool> = values.map(is_wanted).collect::<Result<_, _>>()?;
            if (holds.is_empty() && !for_all) || holds.contains(&false) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What each role of a stack may do, by the role's logical name. Errors: a text, if a policy is not understood.
pub fn roles(stack: &Stack) -> Result<BTreeMap<String, Vec<Statement>>, String> {
    let mut roles: BTreeMap<String, Vec<Statement>> = BTreeMap::new();
    for (name, role) in stack.of_kind("AWS::IAM::Role") {
        if role.properties.get("ManagedPolicyArns").is_some() {
            return Err(format!(
                "{name} has a policy of somebody else's, which may change: write it out"
            ));
        }
        let policies = role.properties["Policies"].as_array().into_iter().flatten();
        for policy in policies {
            let allowed = statements(&policy["PolicyDocument"]);
            roles
                .entry(name.to_owned())
                .or_default()
                .extend(allowed.map_err(|why| format!("{name}: {why}"))?);
        }
    }
    for (name, policy) in stack.of_kind("AWS::IAM::ManagedPolicy") {
        for role in listed(&policy.properties["Roles"]) {
            let allowed = statements(&policy.properties["PolicyDocument"]);
            roles
                .entry(role)
                .or_default()
                .extend(allowed.map_err(|why| format!("{name}: {why}"))?);
        }
    }
    Ok(roles)
}

/// The statements of a policy's document.
pub fn statements(document: &Value) -> Result<Vec<Statement>, String> {
    let statements = document["Statement"].as_array().into_iter().flatten();
    statements.map(Statement::read).collect()
}

/// One value, or a list of them.
pub fn listed(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(listed).collect(),
        Value::String(value) => vec![value.clone()],
        Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

/// Actions are compared without regard to case.
fn matches_action(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_lowercase(), &action.to_lowercase())
}

/// Whether a text matches a pattern, in which `*` stands for any characters and `?` for one.
pub fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // The places in the text at which what was read of the pattern can end.
    let mut ends = BTreeSet::from([0]);
    for symbol in pattern.chars() {
        ends = match symbol {
            '*' => ends
                .first()
                .map(|first| (*first..=text.len()).collect())
                .unwrap_or_default(),
            _ => {
                let goes_on = ends.into_iter().filter(|end| {
                    let next = text.get(*end);
                    next.is_some_and(|next| symbol == '?' || *next == symbol)
                });
                goes_on.map(|end| end + 1).collect()
            }
        };
    }
    ends.contains(&text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*:b:*", "a:b:c", true),
            ("abc", "abcd", false),
            ("a*b*c", "aXbYbZc", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_statement_allows_what_it_says_and_no_more() {
        let statement = Statement::read(&json!({
            "Effect": "Allow",
            "Action": ["cloudwatch:PutMetricData"],
            "Resource": "*",
            "Condition": { "StringEquals": { "cloudwatch:namespace": "Shop" } },
        }))
        .unwrap();
        let allows = |action: &str, keys: &[(&str, &str)]| {
            let keys = keys
                .iter()
                .map(|(key, value)| ((*key).to_owned(), BTreeSet::from([(*value).to_owned()])));
            statement.allows(action, "*", &keys.collect()).unwrap()
        };
        assert!(allows("cloudwatch:putmetricdata", &[("cloudwatch:namespace", "Shop")]));
        assert!(!allows(
            "cloudwatch:PutMetricData",
            &[("cloudwatch:namespace", "Other")]
        ));
        assert!(!allows("cloudwatch:PutMetricData", &[]));
        assert!(!allows("cloudwatch:GetMetricData", &[("cloudwatch:namespace", "Shop")]));
    }

    #[test]
    fn for_all_values_holds_for_none_and_null_says_whether_there_must_be_one() {
        let allows = |condition: Value, keys: &[&str]| {
            let statement = json!({ "Effect": "Allow", "Action": "a:B", "Resource": "*", "Condition": condition });
            let values = keys.iter().map(|key| (*key).to_owned()).collect();
            let keys = Keys::from([("k".to_owned(), values)]);
            Statement::read(&statement).unwrap().allows("a:B", "r", &keys).unwrap()
        };
        let all = json!({ "ForAllValues:StringLike": { "k": ["one#*", "two"] } });
        let all_of_some = json!({ "ForAllValues:StringLike": { "k": ["one#*", "two"] }, "Null": { "k": "false" } });
        for (keys, expected) in [(&["one#1", "two"][..], true), (&["one#1", "three"], false)] {
            assert_eq!(allows(all.clone(), keys), expected, "{keys:?}");
            assert_eq!(allows(all_of_some.clone(), keys), expected, "{keys:?}");
        }
        assert!(allows(all, &[]) && !allows(all_of_some, &[]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for statement in [
            json!({ "Effect": "Deny", "Action": "*", "Resource": "*" }),
            json!({ "Effect": "Allow", "NotAction": "s3:*", "Resource": "*" }),
        ] {
            assert!(Statement::read(&statement).is_err(), "{statement}");
        }
    }
}
