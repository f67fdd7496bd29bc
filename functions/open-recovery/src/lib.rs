//! Opens a recovery: reads the plan in force, takes the workload's lock, opens the record, hands out what the other
//! steps work on.
//!
//! The recovery's id follows from the execution, so that opening twice opens once. The lock is taken over from an
//! execution that has ended, and from no other. `close-recovery` releases it.

use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::record::{Claim, Claimed, Header, Lock, Record, Trigger};
use shared::recovery::{Intent, Mode, RecoveryRef, Scenario};
use shared::slices::Slices;
use shared::step::Step;

/// What is asked for, and by which execution.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The execution's own input.
    pub request: Request,
    /// ARN of the execution.
    pub execution: String,
    /// When the execution started.
    pub started_at: Timestamp,
}

/// The input of a recovery's state machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The scenario.
    pub scenario: Scenario,
    /// The mode.
    pub mode: Mode,
    /// What is wanted; looked at first and then decided, if it is not said.
    #[serde(default = "decide")]
    pub intent: Intent,
    /// What starts it.
    pub trigger: Trigger,
    /// The recovery to go on with; a new one, if it is not said.
    #[serde(default)]
    pub recovery_id: Option<String>,
}

fn decide() -> Intent {
    Intent::Decide
}

/// What was opened.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// Why it may not go on; nothing if it may.
    pub refused: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The recovery, for every later step.
    pub recovery: RecoveryRef,
    /// The scenario.
    pub scenario: Scenario,
    /// The mode.
    pub mode: Mode,
    /// What is wanted.
    pub intent: Intent,
    /// When it was started.
    pub triggered_at: Timestamp,
    /// What it works on.
    pub plan: Slices,
}

/// The step.
#[derive(Debug)]
pub struct OpenRecovery {
    aws: Aws,
    record: Record,
}

impl Step for OpenRecovery {
    const NAME: &'static str = "open-recovery";
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let Input {
            request,
            execution,
            started_at,
        } = input;
        let (plan_sha256, plan) = self.record.current_plan().await?;
        let slices = Slices::new(&plan, request.scenario, self.aws.region())
            .map_err(|why| StepError::new(ErrorKind::InvalidInput, why))?;
        let id = request
            .recovery_id
            .unwrap_or_else(|| new_id(request.scenario, &execution, started_at));
        let mut recovery = RecoveryRef {
            id,
            workload: plan.workload,
            token: 0,
            execution,
        };
        self.record
            .open(&Header {
                id: recovery.id.clone(),
                workload: recovery.workload.clone(),
                scenario: request.scenario,
                mode: request.mode,
                intent: request.intent,
                trigger: request.trigger.clone(),
                plan_sha256,
                objectives: slices.objectives,
                opened_at: started_at,
                closing: None,
            })
            .await?;
        let mut warnings = Vec::new();
        let refused = match self
            .busy_elsewhere(&recovery.workload, &slices.other.region, &mut warnings)
            .await
        {
            Some(busy) => Some(busy),
            None => match self.take_lock(&recovery).await? {
                Claimed::Taken(token) => {
                    recovery.token = token;
                    None
                }
                Claimed::Busy(lock) => Some(busy(&lock)),
            },
        };
        Ok(Output {
            refused,
            warnings,
            recovery,
            scenario: request.scenario,
            mode: request.mode,
            intent: request.intent,
            triggered_at: request.trigger.at,
            plan: slices,
        })
    }
}

impl OpenRecovery {
    async fn take_lock(&self, recovery: &RecoveryRef) -> Result<Claimed, StepError> {
        let claim = Claim {
            workload: &recovery.workload,
            execution: &recovery.execution,
            recovery: &recovery.id,
            at: self.aws.now(),
        };
        let claimed = self.record.claim_lock(&claim, None).await?;
        let Claimed::Busy(holder) = &claimed else {
            return Ok(claimed);
        };
        if self.has_ended(&holder.execution).await? {
            return self.record.claim_lock(&claim, Some(holder)).await;
        }
        Ok(claimed)
    }

    /// The other Region may be running a recovery of its own. A Region that does not answer is a warning: it may be the
    /// one that is lost.
    async fn busy_elsewhere(&self, workload: &str, region: &str, warnings: &mut Vec<String>) -> Option<String> {
        let lock = match Record::in_region(&self.aws, region).lock(workload).await {
            Ok(lock) => lock?,
            Err(error) => {
                warnings.push(format!("whether {region} runs a recovery cannot be seen: {error}"));
                return None;
            }
        };
        match self.has_ended(&lock.execution).await {
            Ok(true) => None,
            Ok(false) => Some(busy(&lock)),
            Err(error) => {
                warnings.push(format!("{}, as it seems, but: {error}", busy(&lock)));
                None
            }
        }
    }

    /// Whether an execution has ended, or is so old that Step Functions has forgotten it.
    async fn has_ended(&self, execution: &str) -> Result<bool, StepError> {
        let region = execution.split(':').nth(3).unwrap_or_default();
        let described = aws_sdk_sfn::Client::new(&self.aws.config_in(region))
            .describe_execution()
            .execution_arn(execution)
            .send()
            .await;
        match described {
            Ok(described) => Ok(*described.status() != ExecutionStatus::Running),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_execution_does_not_exist()) =>
            {
                Ok(true)
            }
            Err(error) => Err(StepError::aws("states:DescribeExecution", execution, error)),
        }
    }
}

fn busy(lock: &Lock) -> String {
    format!(
        "recovery {} runs since {} ({}); watch that one, or stop it first: one recovery runs at a time",
        lock.recovery, lock.since, lock.execution
    )
}

/// An id that people can read, that sorts by time, and that follows from the execution.
fn new_id(scenario: Scenario, execution: &str, started_at: Timestamp) -> String {
    let hash = Sha256::digest(execution.as_bytes());
    format!(
        "{}-{scenario}-{:02x}{:02x}{:02x}",
        started_at.strftime("%Y%m%dT%H%M%SZ"),
        hash[0],
        hash[1],
        hash[2]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_follows_from_the_execution() {
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let id = new_id(Scenario::RegionFailure, "arn:one", at);
        assert_eq!(id, new_id(Scenario::RegionFailure, "arn:one", at));
        assert_ne!(id, new_id(Scenario::RegionFailure, "arn:two", at));
        assert!(id.starts_with("20260102T030405Z-region-failure-"), "{id}");
    }

    #[test]
    fn a_request_with_a_field_too_many_or_too_few_is_refused() {
        let request = |text: &str| serde_json::from_str::<Request>(text);
        let good = r#"{"scenario":"region-failure","mode":"rehearsal","trigger":{"kind":"alarm","by":"a","at":"2026-01-02T03:04:05Z"}}"#;
        assert_eq!(request(good).unwrap().intent, Intent::Decide);
        assert!(request(&good.replace("\"mode\"", "\"mood\"")).is_err());
        assert!(request(&good.replace("{\"scenario\"", "{\"x\":1,\"scenario\"")).is_err());
        assert!(request(&good.replace("region-failure", "moon-failure")).is_err());
        assert!(request("{}").is_err());
    }
}
