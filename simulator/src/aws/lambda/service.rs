//! Lambda's control plane as a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Lambda;
use super::configuration::qualifier;
use crate::aws::quota::Quota;
use crate::aws::resources::{Resource, anything, is_plain};
use crate::aws::service::{Answer, Parts, RATE_EXCEEDED, Service, parts};
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::lock::lock;

impl Service for Lambda {
    fn endpoint(&self) -> Option<&'static str> {
        Some("lambda")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        operation(call).map(Cow::Borrowed)
    }

    fn touched(&self, environment: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        if ["GetAccountSettings", "ListEventSourceMappings"].contains(&operation) {
            return Some(anything());
        }
        let (region, account) = (&call.region, &environment.account);
        let name = call.path.trim_matches('/').split('/').nth(2)?;
        if !is_plain(name) || name.contains(':') {
            return None;
        }
        let function_arn = |name: &str| format!("arn:aws:lambda:{region}:{account}:function:{name}");
        if !operation.ends_with("EventSourceMapping") {
            let arn = match qualifier(call) {
                Some(qualifier) => function_arn(&format!("{name}:{qualifier}")),
                None => function_arn(name),
            };
            return Some(vec![Resource::new(arn)]);
        }
        let mapping = Resource::new(format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{name}"));
        // A mapping that is not there has no function that a policy could ask for.
        let function = self.function_of_event_source(region, name);
        Some(vec![match function {
            Some(function) => mapping.with("lambda:FunctionArn", [function_arn(&function)]),
            None => mapping,
        }])
    }

    fn quota(&self, operation: &str) -> Option<&Quota> {
        Some(match operation {
            "GetFunction" => &self.quota_of_looks,
            _ => &self.quota,
        })
    }

    fn throttled(&self, _: &Call) -> Reply {
        Reply::json_error(429, "TooManyRequestsException", RATE_EXCEEDED)
    }

    fn server_error(&self, _: &Call) -> Reply {
        let message = "An error occurred and the request cannot be processed.";
        Reply::json_error(500, "ServiceException", message)
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    /// Every function's environment and reserved concurrency, by Region and name, and the event sources.
    fn snapshot(&self, environment: &Environment) -> Parts {
        let mut regions: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for ((region, name), function) in lock(&self.functions).iter() {
            let function = json!({
                "environment": function.environment,
                "reserved_concurrency": function.reserved_concurrency,
                "aliases": function.aliases.iter().map(|(name, alias)| (name, alias.version)).collect::<BTreeMap<_, _>>(),
            });
            regions
                .entry(region.clone())
                .or_default()
                .insert(name.clone(), function);
        }
        parts([
            ("functions", json!(regions)),
            ("event_sources", json!(self.event_sources(environment.now()))),
        ])
    }

    /// How many versions each function has: one that is published stays.
    fn journal(&self, _: &Environment) -> Parts {
        let functions = lock(&self.functions);
        let versions = functions
            .iter()
            .map(|((region, name), function)| (format!("{region}/{name}"), function.versions.len()));
        parts([("versions", json!(versions.collect::<BTreeMap<_, _>>()))])
    }
}

fn operation(call: &Call) -> Option<&'static str> {
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["2016-08-19", "account-settings"]) => Some("GetAccountSettings"),
        ("GET", ["2015-03-31", "functions", _]) => Some("GetFunction"),
        ("GET", ["2015-03-31", "functions", _, "configuration"]) => Some("GetFunctionConfiguration"),
        ("PUT", ["2015-03-31", "functions", _, "configuration"]) => Some("UpdateFunctionConfiguration"),
        ("POST", ["2015-03-31", "functions", _, "versions"]) => Some("PublishVersion"),
        ("GET", ["2015-03-31", "functions", _, "aliases", _]) => Some("GetAlias"),
        ("PUT", ["2015-03-31", "functions", _, "aliases", _]) => Some("UpdateAlias"),
        ("GET", ["2019-09-30", "functions", _, "concurrency"]) => Some("GetFunctionConcurrency"),
        ("PUT", ["2017-10-31", "functions", _, "concurrency"]) => Some("PutFunctionConcurrency"),
        ("DELETE", ["2017-10-31", "functions", _, "concurrency"]) => Some("DeleteFunctionConcurrency"),
        ("GET", ["2015-03-31", "event-source-mappings"]) => Some("ListEventSourceMappings"),
        ("GET", ["2015-03-31", "event-source-mappings", _]) => Some("GetEventSourceMapping"),
        ("PUT", ["2015-03-31", "event-source-mappings", _]) => Some("UpdateEventSourceMapping"),
        _ => None,
    }
}
