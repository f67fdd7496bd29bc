//! Opens a recovery: reads the plan in force, takes the workload's lock, opens the record, hands out what the other
//! steps work on.
//!
//! The recovery's id follows from the execution, so that opening twice opens once. The lock is taken over from an
//! execution that has ended, and from no other. `close-recovery` releases it.

use aws_sdk_sfn::types::ExecutionStatus;
use jiff::{SignedDuration, Timestamp};
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
    /// The scenarios that the machine recovers from.
    pub recovers_from: Vec<Scenario>,
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
        let may_not = guard(&input, self.aws.is_simulated());
        let Input {
            request,
            execution,
            started_at,
            ..
        } = input;
        let (plan_sha256, plan) = self.record.current_plan().await?;
        let slices = Slices::new(&plan, request.scenario, self.aws.region())
            .map_err(|why| StepError::new(ErrorKind::InvalidInput, why))?;
        let mut recovery = RecoveryRef {
            id: new_id(request.scenario, &execution, started_at),
            workload: plan.workload,
            token: 0,
            execution,
        };
        let mut warnings = Vec::new();
        let refused = match may_not {
            Some(refused) => Some(refused),
            None => {
                self.take_lock(&mut recovery, &slices.other.region, &mut warnings)
                    .await?
            }
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
    /// Takes the lock here, then looks at the other Region's: two starts at the same moment, one in each Region, see each
    /// other. Says why the recovery may not go on, if it may not; then it does not hold the lock.
    async fn take_lock(
        &self,
        recovery: &mut RecoveryRef,
        other_region: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Option<String>, StepError> {
        let claim = Claim {
            workload: &recovery.workload,
            execution: &recovery.execution,
            recovery: &recovery.id,
            at: self.aws.now(),
        };
        let mut claimed = self.record.claim_lock(&claim, None).await?;
        if let Claimed::Busy(holder) = &claimed
            && self.has_ended(holder).await?
        {
            claimed = self.record.claim_lock(&claim, Some(holder)).await?;
        }
        recovery.token = match claimed {
            Claimed::Taken(token) => token,
            Claimed::Busy(holder) => return Ok(Some(busy(&holder))),
        };
        let busy_elsewhere = self.busy_elsewhere(&recovery.workload, other_region, warnings).await;
        if busy_elsewhere.is_some() {
            self.record
                .release_lock(&recovery.workload, &recovery.execution)
                .await?;
            recovery.token = 0;
        }
        Ok(busy_elsewhere)
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
        match self.has_ended(&lock).await {
            Ok(true) => None,
            Ok(false) => Some(busy(&lock)),
            Err(error) => {
                warnings.push(format!("{}, as it seems, but: {error}", busy(&lock)));
                None
            }
        }
    }

    /// Whether a lock's holder has ended, or is so old that Step Functions has forgotten it. An execution that has just
    /// begun may not be seen yet. Errors: `Conflict` for such a one, and AWS's own.
    async fn has_ended(&self, holder: &Lock) -> Result<bool, StepError> {
        let execution = &holder.execution;
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
                let since: Timestamp = holder.since.parse().unwrap_or(Timestamp::UNIX_EPOCH);
                if self.aws.now().duration_since(since) > SEEN_AFTER {
                    return Ok(true);
                }
                let text = format!("{execution} took the lock at {since} and is not seen yet; it is tried again");
                Err(StepError::new(ErrorKind::Conflict, text))
            }
            Err(error) => Err(StepError::aws("states:DescribeExecution", execution, error)),
        }
    }
}

/// After this time `DescribeExecution`, which is eventually consistent, knows an execution for sure.
const SEEN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Clocks may differ by this much.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);

/// Why this request may not go on, whatever else is true; nothing, if it may.
fn guard(input: &Input, is_simulated: bool) -> Option<String> {
    let request = &input.request;
    if !input.recovers_from.contains(&request.scenario) {
        return Some(format!(
            "this machine does not recover from {}; start the one that does",
            request.scenario
        ));
    }
    match request.mode {
        Mode::Live if is_simulated => return Some("a rehearsal's mode is rehearsal, not live".to_owned()),
        Mode::Rehearsal if !is_simulated => {
            return Some(
                "this is the real AWS, and a rehearsal would change it; rehearse with drctl, or say live".to_owned(),
            );
        }
        Mode::Drill => {
            return Some("there are no drills yet: it would change what customers see; rehearse with drctl".to_owned());
        }
        Mode::Live | Mode::Rehearsal => {}
    }
    let ahead = request.trigger.at.duration_since(input.started_at);
    (ahead > CLOCKS_DIFFER).then(|| {
        format!(
            "its trigger is of {}, which is in the future of {}; correct trigger.at",
            request.trigger.at, input.started_at
        )
    })
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
    use shared::record::TriggerKind;

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
    fn what_is_not_meant_here_is_refused() {
        let refused = |mode: Mode, is_simulated: bool, change: fn(&mut Input)| {
            let started_at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
            let mut input = Input {
                request: Request {
                    scenario: Scenario::RegionFailure,
                    mode,
                    intent: Intent::Decide,
                    trigger: Trigger {
                        kind: TriggerKind::Person,
                        by: "arn:p".into(),
                        at: started_at,
                    },
                },
                recovers_from: vec![Scenario::RegionFailure],
                execution: "arn:e".into(),
                started_at,
            };
            change(&mut input);
            guard(&input, is_simulated)
        };
        assert_eq!(refused(Mode::Live, false, |_| {}), None);
        assert_eq!(refused(Mode::Rehearsal, true, |_| {}), None);
        assert!(
            refused(Mode::Rehearsal, false, |_| {})
                .unwrap()
                .contains("the real AWS")
        );
        assert!(refused(Mode::Live, true, |_| {}).unwrap().contains("rehearsal"));
        assert!(refused(Mode::Drill, false, |_| {}).unwrap().contains("no drills yet"));
        assert!(refused(Mode::Drill, true, |_| {}).is_some());
        let other = refused(Mode::Live, false, |input| input.request.scenario = Scenario::AzFailure).unwrap();
        assert!(other.contains("does not recover from az-failure"));
        let ahead = |input: &mut Input| input.request.trigger.at = "2026-01-02T04:00:00Z".parse().unwrap();
        assert!(refused(Mode::Live, false, ahead).unwrap().contains("in the future"));
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
