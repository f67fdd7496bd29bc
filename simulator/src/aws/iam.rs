//! IAM: whether a role may do something, as far as policies say. Source: IAM API Reference, `SimulatePrincipalPolicy`.
//!
//! It answers in us-east-1 alone, for the whole partition. Roles may do everything, but for those that are limited to some resources.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::resources::Resource;
use super::service::{Answer, INTERNAL_FAILURE, Parts, Protocol, Service};
use super::wire::{Call, Reply, query_operation, query_parameter, query_parameters};
use crate::environment::Environment;
use crate::lock::lock;

/// Roles, by ARN, and the resources that those may touch that are limited.
#[derive(Default)]
pub struct Iam {
    limits: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Iam {
    /// Lets a role touch these resources and no others; none at all lifts the limit.
    pub fn limit(&self, role: &str, resources: &[&str]) {
        let mut limits = lock(&self.limits);
        match resources {
            [] => drop(limits.remove(role)),
            some => {
                let some = some.iter().map(|&resource| resource.to_owned());
                limits.insert(role.to_owned(), some.collect());
            }
        }
    }

    /// Whether a role may touch a resource.
    pub fn may(&self, role: &str, resource: &str) -> bool {
        let limits = lock(&self.limits);
        limits.get(role).is_none_or(|resources| resources.contains(resource))
    }

    fn simulate(&self, call: &Call) -> Reply {
        let parameters = query_parameters(&call.body);
        let known = |name: &str| {
            ["Action", "Version", "PolicySourceArn"].contains(&name)
                || name.starts_with("ActionNames.member.")
                || name.starts_with("ResourceArns.member.")
        };
        if let Some(unknown) = parameters.keys().find(|name| !known(name)) {
            let message = format!("the simulated IAM does not know {unknown}");
            return Reply::query_error(501, "NotSimulated", &message);
        }
        let list = |prefix: &str| -> Vec<&String> {
            let each = parameters.iter().filter(|(name, _)| name.starts_with(prefix));
            each.map(|(_, value)| value).collect()
        };
        let role = parameters
            .get("PolicySourceArn")
            .map(String::as_str)
            .unwrap_or_default();
        let mut results = String::new();
        for action in list("ActionNames.member.") {
            for resource in list("ResourceArns.member.") {
                let decision = match self.may(role, resource) {
                    true => "allowed",
                    false => "implicitDeny",
                };
                results += &format!(
                    "<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>\
                     <EvalDecision>{decision}</EvalDecision><MissingContextValues/></member>"
                );
            }
        }
        let body = format!(
            "<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><SimulatePrincipalPolicyResult>\
             <IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult>\
             <ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>"
        );
        Reply::new(200, "text/xml", body)
    }
}

impl Service for Iam {
    fn endpoint(&self) -> Option<&'static str> {
        Some("iam")
    }

    /// There is one host for the whole partition.
    fn region_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        (host == "iam.amazonaws.com").then_some("us-east-1")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        query_operation(&call.body)
    }

    fn touched(&self, _: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        let role = query_parameter(&call.body, "PolicySourceArn")?;
        (operation == "SimulatePrincipalPolicy").then(|| vec![Resource::new(role)])
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    fn server_error(&self, _: &Call) -> Reply {
        Reply::query_error(500, "ServiceFailure", INTERNAL_FAILURE)
    }

    fn answer<'a>(&'a self, _: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        match operation {
            "SimulatePrincipalPolicy" => self.simulate(call).into(),
            other => {
                let message = format!("the simulated IAM has no {other}");
                Reply::query_error(501, "NotSimulated", &message).into()
            }
        }
    }

    /// It holds nothing that anybody can change by its API.
    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_is_limited_may_touch_what_it_is_limited_to() {
        let iam = Iam::default();
        assert!(iam.may("role", "any"));
        iam.limit("role", &["one"]);
        assert!(iam.may("role", "one") && !iam.may("role", "another") && iam.may("other", "another"));
        iam.limit("role", &[]);
        assert!(iam.may("role", "another"));
    }
}
