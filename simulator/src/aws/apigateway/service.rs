//! API Gateway as a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{ApiGateway, parts as parts_of};
use crate::aws::quota::Quota;
use crate::aws::resources::{Resource, is_plain};
use crate::aws::service::{Answer, Parts, Service, parts};
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::lock::lock;

impl Service for ApiGateway {
    fn endpoint(&self) -> Option<&'static str> {
        Some("apigateway")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        operation(call).map(Cow::Borrowed)
    }

    /// ARNs have no account here: API Gateway's never have.
    fn touched(&self, _: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        let path = call.path.trim_end_matches('/');
        let is_known = matches!(operation, "GetStage" | "UpdateStage") && is_plain(path);
        is_known.then(|| vec![Resource::new(format!("arn:aws:apigateway:{}::{path}", call.region))])
    }

    fn quota(&self, _: &str) -> Option<&Quota> {
        Some(&self.quota)
    }

    fn throttled(&self, _: &Call) -> Reply {
        Reply::json_error(429, "TooManyRequestsException", "Too Many Requests")
    }

    fn server_error(&self, _: &Call) -> Reply {
        Reply::json_error(503, "ServiceUnavailableException", "Service Unavailable")
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        let stages = lock(&self.stages);
        let each = stages
            .iter()
            .map(|((region, rest_api, stage), made)| (format!("{region}/{rest_api}/{stage}"), &made.settings));
        parts([("stages", json!(each.collect::<BTreeMap<_, _>>()))])
    }
}

fn operation(call: &Call) -> Option<&'static str> {
    match (call.method.as_str(), parts_of(call).as_slice()) {
        ("GET", ["restapis", _, "stages", _]) => Some("GetStage"),
        ("PATCH", ["restapis", _, "stages", _]) => Some("UpdateStage"),
        _ => None,
    }
}
