//! Makes sure that an execution of the scenario's machine has ended, and says how it ended.
//!
//! The recovery machine calls it where it has not heard of a good end: the execution died, was stopped, was not started,
//! or the machine has stopped waiting for it. One that still runs is stopped. Only where no step of it can still be at
//! work either may another execution take back what it changed: a function goes on when its execution has ended. It
//! changes only the execution, which nothing can bring back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::arn;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::execution::{Ending, How, end};
use shared::record::{Record, TimelineStep};
use shared::recovery::RecoveryRef;
use shared::scenario_run::{ErrorOutput, ScenarioEnd};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The longest explanation that is handed on, in characters: what it is handed to shows it to people.
const CAUSE_LIMIT: usize = 2_000;

/// Which execution.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// ARN of the scenario's machine.
    pub machine: String,
    /// The execution's name.
    pub name: String,
    /// Why the machine does not wait for it any more.
    pub error: ErrorOutput,
}

/// Whether the scenario's machine has ended, and how.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// Whether it has ended, and nothing of it is at work.
    pub ended: bool,
    /// What is still waited for.
    pub waiting_for: Option<String>,
    /// Its output, if it succeeded.
    pub end: Option<ScenarioEnd>,
    /// Why it did not succeed, if it has ended without that.
    pub failure: Option<ErrorOutput>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match (self.ended, &self.failure) {
            (false, _) => Summary::waiting(format!(
                "still running: {}",
                self.waiting_for.as_deref().unwrap_or("cause unknown")
            )),
            (true, Some(failure)) => Summary::failed(format!("it ended early: {}", failure.error)),
            (true, None) => Summary::done("it has ended"),
        }
    }
}

/// The step: stops the scenario's machine, and checks that it has ended.
#[derive(Debug)]
pub struct StopScenario {
    aws: Aws,
    record: Record,
}

impl Step for StopScenario {
    const NAME: &'static str = "stop-scenario";
    const DESCRIPTION: &'static str = "Stops the scenario's machine, and checks that it has ended";
    const CHANGES: &'static [Change] = &[Change::Call("states:StopExecution")];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let execution = arn::execution(&input.machine, &input.name);
        let how = match end(&self.aws, &execution).await? {
            Ending::Stopping => return Ok(waits_for(execution)),
            Ending::Unknown => None,
            Ending::Ended(how) => Some(how),
        };
        let timeline = self.record.timeline(&input.recovery.id).await?;
        if let Some(step) = at_work(&timeline, &input.recovery, self.aws.now()) {
            return Ok(waits_for(step));
        }
        Ok(match succeeded(how.as_ref()) {
            Some(end) => Output {
                ended: true,
                waiting_for: None,
                end: Some(end),
                failure: None,
            },
            None => Output {
                ended: true,
                waiting_for: None,
                end: None,
                failure: Some(failure(how, input.error)),
            },
        })
    }
}

fn waits_for(what: String) -> Output {
    Output {
        ended: false,
        waiting_for: Some(what),
        end: None,
        failure: None,
    }
}

/// A step of this execution of the recovery whose function may still be at work, other than this one.
fn at_work(timeline: &[TimelineStep], recovery: &RecoveryRef, now: Timestamp) -> Option<String> {
    let ours = timeline
        .iter()
        .filter(|step| step.execution == arn::name(&recovery.execution) && step.name != StopScenario::NAME);
    let mut at_work = ours.filter(|step| step.may_be_at_work(now));
    at_work.next().map(|step| format!("{} in {}", step.name, step.state))
}

/// The output of an execution that succeeded. An output that is none of a scenario's machine is a failure of it.
fn succeeded(how: Option<&How>) -> Option<ScenarioEnd> {
    serde_json::from_str(how?.output.as_deref()?).ok()
}

/// Why it did not succeed: as the execution itself says, or else as the machine was told.
fn failure(how: Option<How>, told: ErrorOutput) -> ErrorOutput {
    let described = described_in(&told.cause);
    let failure = match (how, described) {
        (Some(how), _) if how.output.is_some() => ErrorOutput {
            error: ErrorKind::Internal.name().to_owned(),
            cause: "the scenario's machine gave an output of the wrong form; this is a defect".to_owned(),
        },
        (Some(how), _) => ErrorOutput {
            error: how.error.unwrap_or(how.status),
            cause: how.cause.unwrap_or_default(),
        },
        (None, Some(described)) => ErrorOutput {
            error: described.error.unwrap_or(told.error),
            cause: described.cause.unwrap_or_default(),
        },
        (None, None) => told,
    };
    ErrorOutput {
        cause: failure.cause.chars().take(CAUSE_LIMIT).collect(),
        ..failure
    }
}

/// The answer of `DescribeExecution` that Step Functions gives as the cause, as far as it is needed. Step Functions cuts
/// long causes off, so it can be no JSON any more; then what was told stays as it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    error: Option<String>,
    cause: Option<String>,
}

fn described_in(cause: &str) -> Option<Described> {
    serde_json::from_str(cause).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &str, cause: &str) -> ErrorOutput {
        ErrorOutput {
            error: error.to_owned(),
            cause: cause.to_owned(),
        }
    }

    fn how(status: &str, error: Option<&str>, cause: Option<&str>) -> How {
        How {
            status: status.to_owned(),
            output: None,
            error: error.map(str::to_owned),
            cause: cause.map(str::to_owned),
        }
    }

    #[test]
    fn the_execution_itself_says_why_it_failed() {
        let found = failure(Some(how("FAILED", Some("States.Runtime"), Some("why"))), told("x", "y"));
        assert_eq!(found, told("States.Runtime", "why"));
        // One that timed out or was stopped may have no error.
        let found = failure(Some(how("ABORTED", None, None)), told("States.TaskFailed", "y"));
        assert_eq!(found, told("ABORTED", ""));
    }

    #[test]
    fn a_cause_is_read_where_it_can_be_and_kept_where_it_is_cut_off() {
        let whole = r#"{"Error":"States.Runtime","Cause":"why","Input":{"plan":{}},"Status":"FAILED"}"#;
        assert_eq!(
            failure(None, told("States.TaskFailed", whole)),
            told("States.Runtime", "why")
        );
        let cut = &whole[..40];
        assert_eq!(
            failure(None, told("States.TaskFailed", cut)),
            told("States.TaskFailed", cut)
        );
        let denied = told("StepFunctions.AccessDeniedException", "not authorized");
        assert_eq!(failure(None, denied.clone()), denied);
        let long = "é".repeat(40_000);
        assert_eq!(failure(None, told("x", &long)).cause.chars().count(), CAUSE_LIMIT);
    }

    #[test]
    fn only_the_output_of_a_scenario_is_one() {
        let end = r#"{"outcome":"recovered","reason":null,"failure":null,"evidence":{},"remaining":null,
            "observed":{"impact_at":null,"decided_at":null,"healthy_at":null,"last_committed_at":null,
            "last_surviving_at":null,"can_lose_writes":true}}"#;
        let output = |text: &str| How {
            output: Some(text.to_owned()),
            ..how("SUCCEEDED", None, None)
        };
        assert!(succeeded(Some(&output(end))).is_some());
        assert!(succeeded(Some(&output("{}"))).is_none());
        assert_eq!(failure(Some(output("{}")), told("x", "y")).error, "Internal");
        assert!(succeeded(Some(&how("ABORTED", None, None))).is_none());
        assert!(succeeded(None).is_none());
    }

    #[test]
    fn a_function_that_was_not_heard_of_may_be_at_work_until_its_time_is_over() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let recovery = RecoveryRef {
            id: "r".into(),
            workload: "w".into(),
            token: 1,
            execution: "arn:aws:states:us-west-2:123456789012:execution:recovery:one".into(),
        };
        let open = TimelineStep {
            execution: "one".into(),
            name: "fence-region".into(),
            state: "FenceRegion".into(),
            started_at: at("2026-01-06T03:00:00Z"),
            ended_at: None,
            attempts: 1,
            outcome: None,
            last_started_at: Some(at("2026-01-06T03:00:00Z")),
            previous_ended_at: None,
            waited_ms: 0,
            may_run_until: Some(at("2026-01-06T03:01:00Z")),
            last_failed_as: None,
            failures: 0,
            last_failure: None,
        };
        let found = |step: &TimelineStep, now: &str| at_work(std::slice::from_ref(step), &recovery, at(now)).is_some();
        assert!(found(&open, "2026-01-06T03:00:59Z"));
        assert!(!found(&open, "2026-01-06T03:01:00Z"));
        let ended = TimelineStep {
            ended_at: Some(at("2026-01-06T03:00:05Z")),
            ..open.clone()
        };
        assert!(!found(&ended, "2026-01-06T03:00:10Z"));
        // Its visit before has ended, and this one has not.
        let again = TimelineStep {
            last_started_at: Some(at("2026-01-06T03:00:08Z")),
            ..ended
        };
        assert!(found(&again, "2026-01-06T03:00:10Z"));
        let of_another = TimelineStep {
            execution: "two".into(),
            ..open
        };
        assert!(!found(&of_another, "2026-01-06T03:00:10Z"));
    }
}
