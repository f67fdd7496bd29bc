//! Step Functions as a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::json;

use super::Executions;
use crate::aws::resources::{Resource, anything};
use crate::aws::service::{Answer, Parts, Service, not_authorized, parts};
use crate::aws::wire::{Call, Reply, target_operation};
use crate::environment::Environment;
use crate::lock::lock;

impl Service for Executions {
    fn endpoint(&self) -> Option<&'static str> {
        Some("states")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        target_operation(&call.headers).map(Cow::Borrowed)
    }

    fn touched(&self, _: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        // A task token names no resource that IAM could check.
        if operation.starts_with("SendTask") {
            return Some(anything());
        }
        let named: OfExecution = serde_json::from_slice(&call.body).ok()?;
        let arn = match operation {
            "StartExecution" => named.state_machine_arn,
            _ => named.execution_arn,
        };
        arn.map(|arn| vec![Resource::new(arn)])
    }

    fn denied(&self, call: &Call, operation: &str) -> Reply {
        Reply::json_error(400, "AccessDeniedException", &not_authorized(call, operation))
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    /// How many versions there are of each state machine.
    fn snapshot(&self, _: &Environment) -> Parts {
        let machines = lock(&self.machines);
        let each = machines.iter().map(|(arn, versions)| (arn, versions.len()));
        parts([("machines", json!(each.collect::<BTreeMap<_, _>>()))])
    }

    /// The status of each execution, how many were started or redriven, and how many task tokens were answered.
    fn journal(&self, _: &Environment) -> Parts {
        let executions = lock(&self.executions);
        let each = executions.iter().map(|(arn, execution)| (arn, execution.status));
        parts([
            ("executions", json!(each.collect::<BTreeMap<_, _>>())),
            ("executions_started", json!(self.started())),
            ("tokens_answered", json!(self.answered.load(Ordering::Relaxed))),
        ])
    }
}

/// As much of a call of Step Functions as names resources.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OfExecution {
    execution_arn: Option<String>,
    state_machine_arn: Option<String>,
}
