//! CloudWatch Logs as a service.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::Logs;
use crate::aws::refusal::Refusal;
use crate::aws::resources::Resource;
use crate::aws::service::{Answer, Parts, Service, not_authorized, parts};
use crate::aws::wire::{Call, Reply, target_operation};
use crate::environment::Environment;

impl Service for Logs {
    fn endpoint(&self) -> Option<&'static str> {
        Some("logs")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        target_operation(&call.headers).map(Cow::Borrowed)
    }

    /// The group: as the Service Authorization Reference names it, and with a stream that has no name, as AWS's refusals of such calls
    /// name it (prowler-cloud/prowler PR 37).
    fn touched(&self, environment: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        if operation != "FilterLogEvents" {
            return None;
        }
        let body: Value = serde_json::from_slice(&call.body).ok()?;
        let name = body["logGroupName"].as_str()?;
        let (region, account) = (&call.region, &environment.account);
        let group = format!("arn:aws:logs:{region}:{account}:log-group:{name}");
        Some(vec![
            Resource::new(format!("{group}:log-stream:")),
            Resource::new(group),
        ])
    }

    fn denied(&self, call: &Call, operation: &str) -> Reply {
        Reply::json_error(400, "AccessDeniedException", &not_authorized(call, operation))
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        let body = serde_json::from_slice(&call.body).unwrap_or_default();
        let answer = match operation {
            "FilterLogEvents" => self.filter(environment, &call.region, &body),
            other => {
                let message = format!("the simulated CloudWatch Logs has no {other}");
                Err(Refusal(501, "NotSimulated", message))
            }
        };
        let refused = |Refusal(status, code, message)| Reply::json_error(status, code, &message);
        answer.unwrap_or_else(refused).into()
    }

    /// It holds nothing that anybody can take back.
    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }

    /// How many lines each group has.
    fn journal(&self, _: &Environment) -> Parts {
        parts([("log_lines", self.lines())])
    }
}
