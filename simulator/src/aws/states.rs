//! Step Functions' control plane: the executions of this account.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::wire::{Answer, Call, Reply, target_operation};
use crate::cloud::lock;

/// Executions, by ARN.
#[derive(Default)]
pub struct Executions {
    executions: Mutex<BTreeMap<String, ExecutionRecord>>,
}

/// One execution.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRecord {
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: &'static str,
    /// ARN of its machine.
    pub state_machine_arn: String,
    /// When it started, in seconds since 1970.
    pub started_at: f64,
}

impl Executions {
    /// Keeps an execution, or its new status.
    pub fn put(&self, arn: &str, execution: ExecutionRecord) {
        lock(&self.executions).insert(arn.to_owned(), execution);
    }

    /// An execution.
    pub fn get(&self, arn: &str) -> Option<ExecutionRecord> {
        lock(&self.executions).get(arn).cloned()
    }

    /// ARNs of all that were ever started.
    pub fn arns(&self) -> Vec<String> {
        lock(&self.executions).keys().cloned().collect()
    }

    pub(crate) fn answer(&self, call: &Call) -> Answer {
        let operation = target_operation(&call.headers);
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let reply = match operation.as_str() {
            "DescribeExecution" => {
                let arn = body.get("executionArn").and_then(Value::as_str).unwrap_or_default();
                // An execution is known in its own Region only.
                let here = arn.split(':').nth(3) == Some(call.region.as_str());
                match self.get(arn).filter(|_| here) {
                    Some(execution) => Reply::json(
                        200,
                        &json!({
                            "executionArn": arn,
                            "stateMachineArn": execution.state_machine_arn,
                            "status": execution.status,
                            "startDate": execution.started_at,
                        }),
                    ),
                    None => {
                        let message = format!("Execution Does Not Exist: '{arn}'");
                        Reply::json_error(400, "ExecutionDoesNotExist", &message)
                    }
                }
            }
            other => Reply::json_error(
                501,
                "NotSimulated",
                &format!("the simulated Step Functions has no {other}"),
            ),
        };
        Answer { operation, reply }
    }
}
