//! Frees the lock of a recovery whose execution ended without closing it: it was stopped, timed out, or could not go on.
//!
//! An event of Step Functions calls it at each such end; a schedule calls it without one, since events may be lost
//! (Step Functions Developer Guide: "best-effort"). Either way the execution that holds the lock is looked up, and only its
//! own end counts. What the recovery changed is not touched: people are told of it, once, unless the function dies between
//! telling and keeping it. There is nothing to take back: whoever may go on takes the lock again.

mod message;

use std::time::Duration;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::execution::{Seen, end_what_is_left, look_up};
use shared::metric::{Datum, Metrics, Unit};
use shared::plan::Plan;
use shared::record::{Header, Lock, Record, Released, Untold};
use shared::step::{Caller, Change, Step};
use shared::summary::{Summarise, Summary};
use shared::topic::Topics;

/// The metric that says that a lock had to be found by the schedule.
const STALE: &str = "StaleLock";
/// What the record keeps that was told.
pub const TOLD: &str = "lock released";
/// Whoever released a lock is at work for no longer; after that the schedule tells in its place.
const TELLS_WITHIN: Duration = ReleaseLock::TIME_LIMIT;

/// Why it looks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// An execution's change of status, as EventBridge has it; nothing from the schedule.
    #[serde(default)]
    pub event: Option<EventBridgeEvent<Detail>>,
}

/// An execution's change of status. AWS says more than is read here.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// ARN of the execution.
    pub execution_arn: String,
    /// Its new status.
    pub status: String,
}

/// What this step found and did.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// What became of the lock.
    pub lock: Found,
    /// The recoveries whose stop people were told of now.
    pub told: Vec<String>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let told = match self.told.len() {
            0 => String::new(),
            recoveries => format!("; people were told of {recoveries} stopped recoveries"),
        };
        Summary::done(match &self.lock {
            Found::Free => format!("nobody held the lock{told}"),
            Found::HeldByAnother { execution } => {
                format!("{execution} holds the lock, not the event's execution{told}")
            }
            Found::AtWork { execution } => format!("{execution} holds the lock and is running{told}"),
            Found::Released { execution, .. } => format!("the lock of {execution} was released{told}"),
            Found::ChangedHands { execution } => format!("{execution} no longer holds the lock{told}"),
        })
    }
}

/// What became of the lock.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Found {
    /// Nobody held it.
    Free,
    /// Another execution holds it than the one of the event.
    HeldByAnother {
        /// The execution that holds it.
        execution: String,
    },
    /// Its execution is at work, or has just begun.
    AtWork {
        /// The execution that holds it.
        execution: String,
    },
    /// Its execution had ended, and it was released.
    Released {
        /// The execution that held it.
        execution: String,
        /// How that ended; nothing where Step Functions has forgotten it.
        status: Option<String>,
    },
    /// Its execution had ended, and another one took it meanwhile, or released it.
    ChangedHands {
        /// The execution that held it.
        execution: String,
    },
}

/// The step: frees the lock of an execution that was stopped.
#[derive(Debug)]
pub struct ReleaseLock {
    aws: Aws,
    record: Record,
    topics: Topics,
    metrics: Metrics,
}

impl Step for ReleaseLock {
    const NAME: &'static str = "release-lock";
    const DESCRIPTION: &'static str = "Frees the lock of an execution that was stopped";
    const CALLED_BY: &'static [Caller] = &[Caller::Event, Caller::Schedule];
    const CHANGES: &'static [Change] = &[
        Change::Call("monitoring:PutMetricData"),
        Change::Call("sns:Publish"),
        Change::Call("states:StopExecution"),
        Change::Item("lock"),
        Change::Item("told"),
        Change::Item("untold"),
    ];
    // Nobody waits for it.
    const TIME_LIMIT: Duration = Duration::from_secs(60);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        // Lambda starts it again after a minute, and twice at most. The metric is worth less than the lock, and does not
        // hold it up for long.
        let (at_leisure, metrics) = (aws.at_leisure(), Metrics::new(aws));
        Self {
            record: Record::new(&at_leisure),
            topics: Topics::new(&at_leisure),
            metrics,
            aws: at_leisure,
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let (_, plan) = self.record.current_plan().await?;
        let event = input.event.map(|event| event.detail);
        let lock = self.free(&plan, event.as_ref()).await?;
        let told = self.tell(&plan, event.as_ref(), &lock).await?;
        Ok(Output { lock, told })
    }
}

impl ReleaseLock {
    /// Releases the lock if the execution that holds it has ended.
    async fn free(&self, plan: &Plan, event: Option<&Detail>) -> Result<Found, StepError> {
        let workload = &plan.workload;
        let Some(lock) = self.record.lock(workload).await? else {
            return Ok(Found::Free);
        };
        let execution = lock.execution.clone();
        if event.is_some_and(|event| event.execution_arn != execution) {
            return Ok(Found::HeldByAnother { execution });
        }
        // A recovery holds its own Region's lock: a machine calls functions of no other Region.
        let seen = look_up(&self.aws, &execution, lock.since()).await?;
        let Some(status) = outlived(&lock, event, seen)? else {
            return Ok(Found::AtWork { execution });
        };
        // What it started must not go on while another recovery holds the lock. Where that cannot be stopped, the lock is
        // kept, and looked at again.
        let header = self.record.header(&lock.recovery).await?;
        if let Some(run) = header.and_then(|header| header.run) {
            end_what_is_left(&self.aws, &run).await?;
        }
        if event.is_none() {
            self.say_that_it_was_stale(plan).await;
        }
        let untold = Untold::outlived(workload, &lock, status.clone(), self.aws.now());
        if self.record.release_lock_and_note(&untold).await? {
            tracing::info!(execution, status, "the lock was released");
            Ok(Found::Released { execution, status })
        } else {
            Ok(Found::ChangedHands { execution })
        }
    }

    /// Publishes that an event did not come. It is logged and not more if that fails.
    async fn say_that_it_was_stale(&self, plan: &Plan) {
        let datum = Datum {
            name: STALE,
            value: 1.0,
            unit: Unit::None,
        };
        let published = self
            .metrics
            .publish(
                &plan.probe.namespace,
                &[("Workload", &plan.workload)],
                self.aws.now(),
                &[datum],
            )
            .await;
        if let Err(error) = published {
            tracing::warn!(error = %error, "could not publish the metric of a stale lock");
        }
    }

    /// Tells people of the ends that they were not told of, also where whoever released the lock did not come to that. Gives
    /// the recoveries that were told of.
    async fn tell(&self, plan: &Plan, event: Option<&Detail>, found: &Found) -> Result<Vec<String>, StepError> {
        let mut told = Vec::new();
        for untold in self.record.untold(&plan.workload).await? {
            let age = self.aws.now().duration_since(untold.at);
            let is_left_over = event.is_none() && age.unsigned_abs() > TELLS_WITHIN;
            if !is_left_over && !is_ours(&untold.recovery.execution, event, found) {
                continue;
            }
            match self.tell_of(plan, &untold).await? {
                Telling::Told => told.push(untold.recovery.id.clone()),
                Telling::NotNeeded => {}
                Telling::TooSoon => continue,
            }
            self.record.forget_untold(&untold).await?;
        }
        Ok(told)
    }

    /// Tells people of one end, unless they were told before; also if somebody has resumed the recovery by now, who may
    /// be another than those who wait to hear of it.
    async fn tell_of(&self, plan: &Plan, untold: &Untold) -> Result<Telling, StepError> {
        let recovery = &untold.recovery;
        let header = self.record.header(&recovery.id).await?;
        let what = what_is_told(untold, header.as_ref());
        if self.record.told(recovery, what).await?.is_some() {
            return Ok(Telling::NotNeeded);
        }
        let status = match &untold.released {
            Released::Another { status } => status.clone(),
            Released::Closing => {
                let since = header.as_ref().map_or(untold.at, |header| header.opened_at);
                match look_up(&self.aws, &recovery.execution, since).await? {
                    Seen::Ended(status) => status,
                    Seen::Runs | Seen::NotYet => return Ok(Telling::TooSoon),
                }
            }
        };
        let Some(site) = plan.site(self.aws.region()) else {
            tracing::warn!(
                region = self.aws.region(),
                "the plan has no topic in this Region; no message is sent"
            );
            return Ok(Telling::NotNeeded);
        };
        let notes = self.record.undo_notes(&recovery.id).await?;
        let text = message::text(untold, status.as_deref(), header.as_ref(), &notes);
        let message = self
            .topics
            .publish(
                &plan.topic_arn(site),
                untold.mode,
                &plan.workload,
                &message::subject(untold, header.as_ref()),
                &text,
            )
            .await?;
        self.record.note_told(recovery, what, &message).await?;
        Ok(Telling::Told)
    }
}

/// What is told, as the record keeps it: the outcome, as the recovery itself tells it, where it was closed.
fn what_is_told(untold: &Untold, header: Option<&Header>) -> &'static str {
    match (&untold.released, message::closing_of(untold, header)) {
        (Released::Closing, Some(closing)) => closing.outcome.name(),
        _ => TOLD,
    }
}

/// Whether people were told of an end.
enum Telling {
    /// They are told now.
    Told,
    /// They were told before, or there is nobody to tell.
    NotNeeded,
    /// The execution is still at work, and may tell them itself.
    TooSoon,
}

/// Whether the end of this execution is what this invocation is about.
fn is_ours(execution: &str, event: Option<&Detail>, found: &Found) -> bool {
    match (event, found) {
        (Some(event), _) => event.execution_arn == execution,
        (None, Found::Released { execution: held, .. }) => held == execution,
        (None, _) => false,
    }
}

/// How the execution that holds a lock ended; nothing while it is at work. Errors: `Conflict` where the event says that it
/// ended and Step Functions does not yet: what it says is eventually consistent.
fn outlived(lock: &Lock, event: Option<&Detail>, seen: Seen) -> Result<Option<Option<String>>, StepError> {
    match (seen, event) {
        (Seen::Ended(status), _) => Ok(Some(status)),
        (Seen::Runs | Seen::NotYet, Some(event)) if event.status != RUNNING => {
            let text = format!(
                "the event says that {} is {}, but states:DescribeExecution does not say so yet; it is tried again. \
                 If the execution was redriven, it runs and keeps its lock",
                lock.execution, event.status
            );
            Err(StepError::new(ErrorKind::Conflict, text))
        }
        (Seen::Runs | Seen::NotYet, _) => Ok(None),
    }
}

/// The status of an execution that is at work.
const RUNNING: &str = "RUNNING";

#[cfg(test)]
mod tests {
    use shared::recovery::Mode;

    use super::*;

    const HOLDER: &str = "arn:aws:states:us-west-2:123456789012:execution:region-switch:one";

    fn event(status: &str) -> Detail {
        Detail {
            execution_arn: HOLDER.to_owned(),
            status: status.to_owned(),
        }
    }

    fn decided(seen: Seen, event: Option<&Detail>) -> Result<Option<Option<String>>, ErrorKind> {
        let lock = Lock {
            execution: HOLDER.to_owned(),
            recovery: "r".to_owned(),
            since: "2026-01-06T03:00:00Z".to_owned(),
            token: 1,
            mode: Mode::Live,
        };
        outlived(&lock, event, seen).map_err(|error| error.kind)
    }

    #[test]
    fn a_lock_is_outlived_when_its_execution_has_ended_and_never_before() {
        let aborted = || Some("ABORTED".to_owned());
        let event = event("ABORTED");
        for event in [None, Some(&event)] {
            assert_eq!(decided(Seen::Ended(aborted()), event), Ok(Some(aborted())));
            assert_eq!(decided(Seen::Ended(None), event), Ok(Some(None)));
        }
        for seen in [Seen::Runs, Seen::NotYet] {
            assert_eq!(decided(seen, None), Ok(None));
        }
    }

    #[test]
    fn an_event_that_step_functions_does_not_confirm_yet_is_tried_again() {
        for seen in [Seen::Runs, Seen::NotYet] {
            assert_eq!(decided(seen.clone(), Some(&event("ABORTED"))), Err(ErrorKind::Conflict));
            assert_eq!(decided(seen, Some(&event(RUNNING))), Ok(None));
        }
    }

    #[test]
    fn each_tells_of_its_own() {
        let released = Found::Released {
            execution: HOLDER.to_owned(),
            status: None,
        };
        assert!(is_ours(HOLDER, None, &released));
        assert!(!is_ours("another", None, &released));
        assert!(!is_ours(HOLDER, None, &Found::Free));
        // Also where it died between releasing the lock and telling.
        assert!(is_ours(HOLDER, Some(&event("ABORTED")), &Found::Free));
        assert!(!is_ours("another", Some(&event("ABORTED")), &Found::Free));
    }

    #[test]
    fn the_documented_event_is_read_and_what_lacks_something_is_not() {
        let text = include_str!("../../../tests/fixtures/events/step-functions-execution-aborted.json");
        let event: serde_json::Value = serde_json::from_str(text).unwrap();
        let read = |event: &serde_json::Value| serde_json::from_value::<Input>(serde_json::json!({ "event": event }));
        let detail = read(&event).unwrap().event.unwrap().detail;
        assert_eq!(
            (detail.execution_arn.as_str(), detail.status.as_str()),
            (
                "arn:aws:states:us-east-2:123456789012:execution:state-machine-name:execution-name",
                "ABORTED"
            )
        );
        for field in ["executionArn", "status"] {
            let mut without = event.clone();
            without["detail"].as_object_mut().unwrap().remove(field);
            let why = read(&without).unwrap_err().to_string();
            assert!(why.contains(field), "{why}");
        }
    }
}
