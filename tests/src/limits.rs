//! What CloudFormation and IAM take at most, and what of a stack is more.

use std::collections::BTreeMap;
use std::fmt;

use drctl::parameters::POLICY_LIMIT;
use serde_json::Value;

use crate::policy::listed;
use crate::template::Stack;

// CloudFormation User Guide, "CloudFormation quotas".
const RESOURCES: usize = 500;
const PARAMETERS: usize = 200;
const OUTPUTS: usize = 200;
/// In bytes, of a template that is read from S3; "Troubleshoot the processed template" says that it holds after a transform
/// too. `sam deploy` passes templates by S3, whatever their size, where it has a bucket.
const TEMPLATE: usize = 1_000_000;
// IAM User Guide, "IAM and AWS STS quotas"; in characters, without white space.
const INLINE_POLICIES_OF_A_ROLE: usize = 10_240;
const MANAGED_POLICIES_OF_A_ROLE: usize = 10;
/// In characters (Lambda API Reference, `CreateFunction`).
const FUNCTION_NAME: usize = 64;
/// In characters (Step Functions Developer Guide, "Quotas").
const MACHINE_NAME: usize = 80;

/// How big a stack is: for each limit what comes closest to it.
#[derive(Clone, Debug, Default)]
pub struct Size(Vec<Measured>);

#[derive(Clone, Debug)]
struct Measured {
    what: String,
    is: usize,
    limit: usize,
}

impl Size {
    /// The size of a stack: the template before the transform, the one after it, and what that makes in a Region.
    pub fn of(text: &str, processed: &Value, stack: &Stack) -> Self {
        let mut size = Self::default();
        for (section, limit) in [
            ("Resources", RESOURCES),
            ("Parameters", PARAMETERS),
            ("Outputs", OUTPUTS),
        ] {
            let count = processed[section].as_object().map_or(0, |all| all.len());
            size.add(section.to_owned(), count, limit);
        }
        size.add("bytes of the template".to_owned(), text.len(), TEMPLATE);
        size.add(
            "bytes of the processed template".to_owned(),
            processed.to_string().len(),
            TEMPLATE,
        );
        let policies = |role: &Value| role["Policies"].as_array().into_iter().flatten().map(characters).sum();
        size.add_largest(
            "characters in the inline policies of",
            stack
                .of_kind("AWS::IAM::Role")
                .map(|(name, role)| (name.to_owned(), policies(&role.properties))),
            INLINE_POLICIES_OF_A_ROLE,
        );
        let mut attached: BTreeMap<String, usize> = BTreeMap::new();
        let managed = stack.of_kind("AWS::IAM::ManagedPolicy").map(|(name, policy)| {
            for role in listed(&policy.properties["Roles"]) {
                *attached.entry(role).or_default() += 1;
            }
            (name.to_owned(), document(&policy.properties["PolicyDocument"]))
        });
        size.add_largest("characters in", managed.collect::<Vec<_>>().into_iter(), POLICY_LIMIT);
        size.add_largest("managed policies of", attached.into_iter(), MANAGED_POLICIES_OF_A_ROLE);
        for (kind, field, limit) in [
            ("AWS::Lambda::Function", "FunctionName", FUNCTION_NAME),
            ("AWS::StepFunctions::StateMachine", "StateMachineName", MACHINE_NAME),
        ] {
            let names = stack.of_kind(kind).map(|(name, resource)| {
                let called = resource.properties[field].as_str().unwrap_or_default();
                (name.to_owned(), called.chars().count())
            });
            size.add_largest("characters in the name of", names, limit);
        }
        size
    }

    /// What is more than its limit, one text each.
    pub fn too_much(&self) -> Vec<String> {
        let more = self.0.iter().filter(|measured| measured.is > measured.limit);
        more.map(ToString::to_string).collect()
    }

    fn add(&mut self, what: String, is: usize, limit: usize) {
        self.0.push(Measured { what, is, limit });
    }

    fn add_largest(&mut self, what: &str, of: impl Iterator<Item = (String, usize)>, limit: usize) {
        if let Some((name, is)) = of.max_by_key(|(_, is)| *is) {
            self.add(format!("{what} {name}"), is, limit);
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|measured| writeln!(f, "{measured}"))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (limit {})", self.what, self.is, self.limit)
    }
}

fn characters(policy: &Value) -> usize {
    document(&policy["PolicyDocument"])
}

fn document(document: &Value) -> usize {
    document.to_string().chars().filter(|c| !c.is_whitespace()).count()
}
