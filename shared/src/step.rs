//! The step contract: what every step is, and the one way in which Lambda, the simulator and the tests run it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};
use crate::record::{Record, StepEnd, StepRun};
use crate::recovery::RecoveryRef;
use crate::scenario_run;
use crate::summary::Summarise;
use crate::waiting::metered;

/// How long keeping one line of the timeline may take. A step's own time limit must not go into it.
const NOTE_LIMIT: Duration = Duration::from_secs(2);

/// How long after the beginning that is noted a step itself may begin: its notes' time, and as much for what Lambda takes.
const MAY_OUTLIVE_ITS_NOTE: Duration = Duration::from_secs(4);

/// What a schedule hands to each function once a week: it answers, and does nothing else. One that cannot start is found before
/// the disaster.
pub const STARTS: &str = r#"{"check":"starts"}"#;

/// Whether a function is only asked whether it starts.
fn only_starts(input: &Value) -> bool {
    let fields = input.as_object().filter(|fields| fields.len() == 1);
    fields.is_some_and(|fields| fields.get("check").and_then(Value::as_str) == Some("starts"))
}

/// One recovery step. The Lambda, the simulator and the tests all run it through [`invoke`].
pub trait Step: Sized + Send + Sync + 'static {
    /// `promote-database`: folder, package, binary and function name.
    const NAME: &'static str;
    /// What it does, in one sentence without a full stop: the function's description in the stack.
    const DESCRIPTION: &'static str;
    /// Who invokes it.
    const CALLED_BY: &'static [Caller] = &[Caller::Machine];
    /// Everything that it may change, in whatever Region. The timeline is not in it: it is kept for every step alike.
    const CHANGES: &'static [Change];
    /// How long one invocation may take; the machine's `TimeoutSeconds` is longer, so that a step that is too slow says so
    /// itself, and is not still at work when it is tried again.
    const TIME_LIMIT: Duration = Duration::from_secs(20);
    /// What the state machine passes, and no more.
    type Input: DeserializeOwned + Send;
    /// What the state machine gets back, beside its summary.
    type Output: Serialize + Summarise;

    /// Makes the clients and nothing else; a Region other than the home one is named here or by the input.
    fn new(aws: &Aws) -> Self;

    /// Does the step.
    fn run(&self, input: Self::Input) -> impl Future<Output = Result<Self::Output, StepError>> + Send;
}

/// Who invokes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A state machine.
    Machine,
    /// A rule of EventBridge.
    Event,
    /// A schedule of EventBridge Scheduler.
    Schedule,
    /// A person, at the function's URL.
    Url,
}

/// A kind of change that a step may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// By a call of AWS, other than one that writes to the table of records: the service, as its endpoint is called, and
    /// the operation, `lambda:PutFunctionConcurrency`.
    Call(&'static str),
    /// Of items of the table of records: the first word of their sort key, `undo`. [`crate::record`] lists them.
    Item(&'static str),
}

/// A step of any kind, ready to take invocations.
pub trait Handler: Send + Sync {
    /// Takes the raw input of one invocation and gives the raw output.
    fn invoke(&self, input: Value) -> Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + '_>>;
}

/// A step with what it needs to keep its part of the record.
struct Served<S> {
    step: S,
    aws: Aws,
    record: Record,
}

/// Makes a step ready to take invocations in the world of `aws`.
pub fn handler<S: Step>(aws: &Aws) -> Box<dyn Handler> {
    Box::new(Served {
        step: S::new(aws),
        aws: aws.clone(),
        record: Record::new(aws),
    })
}

impl<S: Step> Handler for Served<S> {
    fn invoke(&self, input: Value) -> Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + '_>> {
        Box::pin(self.run(input))
    }
}

/// The state from which a machine invokes a step: `$states.context.State`.
#[derive(Clone, Debug, Deserialize)]
struct CallingState {
    #[serde(rename = "Name")]
    name: String,
}

impl<S: Step> Served<S> {
    async fn run(&self, mut input: Value) -> Result<Value, StepError> {
        if only_starts(&input) {
            tracing::info!(step = S::NAME, "it starts");
            return Ok(json!({ "starts": true }));
        }
        let state = take_calling_state(&mut input);
        let caller = take_caller(&mut input);
        let recovery = recovery_in(&input);
        let span = tracing::info_span!(
            "step",
            step = S::NAME,
            run = recovery.as_ref().map(|recovery| recovery.id.as_str()),
        );
        async {
            if let Err(error) = may_call(caller.as_ref(), recovery.as_ref()) {
                // The record is that of another one's recovery.
                tracing::error!(error = %error, "refused");
                return Err(error);
            }
            let started_at = self.aws.now();
            let noted_and_run = async {
                self.note(recovery.as_ref(), state.as_ref(), started_at, None).await;
                self.run_step(input).await
            };
            let (result, waited) = metered(self.aws.time(), noted_and_run).await;
            // `open-recovery` has no reference before it has run; its output holds it.
            let recovery = recovery.or_else(|| result.as_ref().ok().and_then(recovery_in));
            let end = StepEnd {
                at: self.aws.now(),
                outcome: result.as_ref().map(|_| ()).map_err(StepError::clone),
                waited,
            };
            self.note(recovery.as_ref(), state.as_ref(), started_at, Some(end))
                .await;
            match &result {
                Ok(_) => tracing::info!("done"),
                Err(error) => tracing::error!(error = %error, "failed"),
            }
            result
        }
        .instrument(span)
        .await
    }

    async fn run_step(&self, input: Value) -> Result<Value, StepError> {
        let input: S::Input = serde_json::from_value(input).map_err(|error| {
            StepError::new(
                ErrorKind::InvalidInput,
                format!("{} does not accept its input: {error}", S::NAME),
            )
        })?;
        // A panic is caught here so that it carries our name and reaches the record, in Lambda and elsewhere alike.
        let running = AssertUnwindSafe(self.step.run(input)).catch_unwind();
        let output = tokio::time::timeout(S::TIME_LIMIT, running)
            .await
            .map_err(|_| {
                let text = format!("{} did not end within {:?}; it is tried again", S::NAME, S::TIME_LIMIT);
                StepError::new(ErrorKind::Unavailable, text)
            })?
            .map_err(|panic| {
                let message = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".to_owned());
                StepError::new(
                    ErrorKind::Internal,
                    format!("{} panicked: {message}; this is a defect, report it", S::NAME),
                )
            })??;
        let not_json = |error| {
            StepError::new(
                ErrorKind::Internal,
                format!("{} gave an output that is not JSON: {error}", S::NAME),
            )
        };
        let summary = output.summarise();
        tracing::info!(summary = summary.sentence, progress = ?summary.progress);
        let mut output = serde_json::to_value(output).map_err(not_json)?;
        // The answer of a function URL is an HTTP response, and has fields of its own.
        if !S::CALLED_BY.contains(&Caller::Url)
            && let (Value::Object(fields), Value::Object(said)) =
                (&mut output, serde_json::to_value(summary).map_err(not_json)?)
        {
            fields.extend(said);
        }
        Ok(output)
    }

    /// Keeps the timeline. It is told and not more: a table that does not answer must not stop a recovery.
    async fn note(
        &self,
        recovery: Option<&RecoveryRef>,
        state: Option<&CallingState>,
        started_at: Timestamp,
        end: Option<StepEnd>,
    ) {
        let (Some(recovery), Some(state)) = (recovery, state) else {
            return;
        };
        let run = StepRun {
            step: S::NAME,
            state: &state.name,
            started_at,
            may_run_until: started_at + MAY_OUTLIVE_ITS_NOTE + S::TIME_LIMIT,
            end,
        };
        match tokio::time::timeout(NOTE_LIMIT, self.record.note_step(recovery, &run)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "could not record the timeline"),
            Err(_) => tracing::warn!("could not record the timeline: the table did not answer within {NOTE_LIMIT:?}"),
        }
    }
}

/// Takes `state` out of the input: it belongs to the call, not to the step.
fn take_calling_state(input: &mut Value) -> Option<CallingState> {
    let state = input.as_object_mut()?.remove("state")?;
    serde_json::from_value(state).ok()
}

/// Takes `caller` out of the input: the ARN of the execution that calls. It belongs to the call, not to the step.
fn take_caller(input: &mut Value) -> Option<Value> {
    input.as_object_mut()?.remove("caller")
}

/// Checks that the execution that calls is the recovery's own, or one that that one has started: an execution that
/// somebody started by hand, with a recovery's reference that is not its own, comes to nothing. Where no caller is named
/// nothing is checked. Errors: `Refused`.
fn may_call(caller: Option<&Value>, recovery: Option<&RecoveryRef>) -> Result<(), StepError> {
    let Some(caller) = caller else { return Ok(()) };
    let is_of = |recovery| {
        caller
            .as_str()
            .is_some_and(|caller| scenario_run::is_of(caller, recovery))
    };
    if recovery.is_some_and(is_of) {
        return Ok(());
    }
    Err(StepError::refused(format!(
        "the recovery that {caller} names did not start it; start the recovery machine, which starts this one"
    )))
}

fn recovery_in(value: &Value) -> Option<RecoveryRef> {
    RecoveryRef::deserialize(value.get("recovery")?).ok()
}
