//! Decides whether an alarm's event starts a recovery, and starts it.
//!
//! The execution's name follows from the alarm and the moment of its change of state, so that the same event twice starts
//! one recovery, also where the function dies between starting it and keeping that it did. Every decision is kept, and
//! every refusal is told: once, unless the function dies between telling and keeping it. What is started cannot be taken
//! back here; the recovery itself has its own guards.
//!
//! A schedule calls it without an event. It then looks whether the last recovery expired unanswered while its alarm still
//! stands: it publishes a metric, tells people, and starts a recovery that asks them again. It approves nothing. And it looks whether
//! an alarm stands that started nothing while another recovery ran.

mod again;
mod decide;
mod deferred;
mod event;
mod unanswered;

use std::time::Duration;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::execution::start_once;
use shared::metric::Metrics;
use shared::plan::Plan;
use shared::record::{Header, Record, StartDecision, Started};
use shared::recovery::Mode;
use shared::request::{Request, Trigger, TriggerKind};
use shared::scenario::Fields;
use shared::step::{Caller, Change, Step};
use shared::summary::{Summarise, Summary};
use shared::topic::Topics;

use decide::available;
pub use decide::{Begin, Circumstances, NotStarted, Past, decide};

/// Step Functions forgets an execution this long after its end (Step Functions Developer Guide, "Quotas").
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The event, and what it can start.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The whole event, as EventBridge has it; left out by the schedule.
    #[serde(default, deserialize_with = "present")]
    pub event: Option<Value>,
    /// ARN of the recovery machine in the function's own Region.
    pub machine: String,
}

/// An event that is there, whatever it is: `null` is one too, and is refused as such.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What was decided.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The decision; `None` if no event came and nothing was looked at again.
    pub decision: Option<StartDecision>,
    /// Whether it had been decided before, on the same event.
    pub again: bool,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.decision.as_ref().map(|decision| &decision.decision) {
            Some(Started::Started { execution }) => Summary::done(format!("started {execution}")),
            Some(Started::Refused { reason }) => Summary::failed(reason),
            None => Summary::done("no question and no alarm has to be looked at again"),
        }
    }
}

/// The step: decides whether an alarm starts a recovery, and starts it.
#[derive(Debug)]
pub struct StartRecovery {
    aws: Aws,
    record: Record,
    topics: Topics,
    metrics: Metrics,
    executions: Client,
    alarms: aws_sdk_cloudwatch::Client,
}

impl Step for StartRecovery {
    const NAME: &'static str = "start-recovery";
    const DESCRIPTION: &'static str = "Decides whether an alarm starts a recovery, and starts it";
    const CALLED_BY: &'static [Caller] = &[Caller::Event, Caller::Schedule];
    const CHANGES: &'static [Change] = &[
        Change::Call("monitoring:PutMetricData"),
        Change::Call("sns:Publish"),
        Change::Call("states:StartExecution"),
        Change::Item("deferred"),
        Change::Item("start"),
    ];
    // EventBridge does not wait for it, and it looks at every recovery there was.
    const TIME_LIMIT: Duration = Duration::from_secs(60);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        // Lambda starts it again after a minute, and twice at most: it must not give up where the table is throttled for
        // some seconds.
        let aws = &aws.at_leisure();
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
            topics: Topics::new(aws),
            metrics: Metrics::new(aws),
            executions: Client::new(aws.config()),
            alarms: aws_sdk_cloudwatch::Client::new(aws.config()),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let Input { event, machine } = input;
        let (plan_sha256, plan) = self.record.current_plan().await?;
        let workload = &plan.workload;
        let Some(event) = event else {
            let looked = Looked {
                plan: &plan,
                plan_sha256: &plan_sha256,
                machine: &machine,
            };
            let again = match self.ask_again(&looked).await? {
                Some(asked) => Some(asked),
                None => self.look_at_deferred(&looked).await?,
            };
            return Ok(again.unwrap_or(Output {
                decision: None,
                again: false,
            }));
        };
        let id = event::id_of(&event);
        if let Some(decision) = self.record.start_decision(workload, &id).await? {
            return Ok(Output::of(decision, true));
        }
        let switch = self.record.automation(workload).await?;
        let recoveries = self.recoveries(workload).await?;
        let seen = Circumstances {
            plan: &plan,
            region: self.aws.region(),
            switch: switch.as_ref(),
            recoveries: &recoveries,
            now: self.aws.now(),
        };
        let decided = match decide(&event, &seen).and_then(|begin| Ok(available(begin)?)) {
            Ok(begin) => Started::Started {
                execution: self.begin(&begin, &machine, plan_sha256).await?,
            },
            Err(NotStarted { reason, deferred }) => {
                if let Some(deferred) = deferred {
                    self.record.defer(workload, &deferred).await?;
                }
                Started::Refused { reason }
            }
        };
        let decision = StartDecision {
            id,
            by: event::alarm_of(&event),
            at: self.aws.now(),
            decision: decided,
        };
        match &decision.decision {
            Started::Started { execution } => tracing::info!(decision = %decision.id, execution, "started"),
            Started::Refused { reason } => {
                tracing::info!(decision = %decision.id, reason, "refused");
                self.tell(&plan, &decision, reason).await;
            }
        }
        self.keep(workload, decision).await
    }
}

impl Output {
    fn of(decision: StartDecision, again: bool) -> Self {
        let decision = Some(decision);
        Self { decision, again }
    }
}

/// What the schedule looks with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked<'a> {
    /// The plan in force.
    pub plan: &'a Plan,
    /// SHA-256 of it.
    pub plan_sha256: &'a str,
    /// ARN of the recovery machine here.
    pub machine: &'a str,
}

impl StartRecovery {
    /// Keeps a decision, unless another invocation decided on the same at the same time: then that one's counts.
    async fn keep(&self, workload: &str, decision: StartDecision) -> Result<Output, StepError> {
        if self.record.note_start_decision(workload, &decision).await? {
            return Ok(Output::of(decision, false));
        }
        let kept = self.record.start_decision(workload, &decision.id).await?;
        Ok(Output::of(kept.unwrap_or(decision), true))
    }

    /// Every recovery of the workload. A resumed recovery keeps its place among those of its first opening, so
    /// that none can be left out for its age.
    async fn recoveries(&self, workload: &str) -> Result<Vec<Past>, StepError> {
        let mut recoveries = Vec::new();
        for id in self.record.recoveries(workload).await? {
            if let Some(header) = self.record.header(&id).await? {
                let stopped_at = match header.ended() {
                    Some(_) => None,
                    None => self.stopped_at(&header).await?,
                };
                recoveries.push(Past { header, stopped_at });
            }
        }
        Ok(recoveries)
    }

    /// When the execution of a recovery that is not closed ended, if it did: somebody stopped it, or it could not be closed.
    async fn stopped_at(&self, header: &Header) -> Result<Option<Timestamp>, StepError> {
        let began_at = header.resumed.last().map_or(header.opened_at, |resumed| resumed.at);
        let described = self
            .executions
            .describe_execution()
            .execution_arn(&header.execution)
            .send()
            .await;
        match described {
            Ok(described) if *described.status() == ExecutionStatus::Running => Ok(None),
            Ok(described) => {
                let ended_at = described.stop_date().and_then(|at| at.to_millis().ok());
                let ended_at = ended_at.and_then(|at| Timestamp::from_millisecond(at).ok());
                Ok(ended_at.or(Some(began_at)))
            }
            // One that has just begun may not be seen yet.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_execution_does_not_exist()) =>
            {
                let is_forgotten = self.aws.now().duration_since(began_at) > FORGOTTEN_AFTER;
                Ok(is_forgotten.then_some(began_at))
            }
            Err(error) => Err(StepError::aws("states:DescribeExecution", &header.execution, error)),
        }
    }

    /// Starts the execution, unless it was started before; gives its ARN.
    async fn begin(&self, begin: &Begin, machine: &str, plan_sha256: String) -> Result<String, StepError> {
        let request = request_of(begin, self.aws.mode(), plan_sha256);
        let request = serde_json::to_string(&request).map_err(|error| {
            StepError::new(
                ErrorKind::Internal,
                format!("the request is not JSON: {error}; this is a defect"),
            )
        })?;
        start_once(&self.executions, machine, &begin.name, &request).await
    }

    /// Tells a refusal.
    async fn tell(&self, plan: &Plan, decision: &StartDecision, reason: &str) {
        let text = format!(
            "An alarm's event started no recovery: {reason}.\n\nAlarm {}\nDecision {} at {}\n",
            decision.by, decision.id, decision.at
        );
        self.publish(plan, "an alarm started no recovery", &text).await;
    }

    /// Tells people something. It is logged and not more if that fails: what was decided is kept all the same.
    async fn publish(&self, plan: &Plan, subject: &str, text: &str) {
        let Some(site) = plan.site(self.aws.region()) else {
            tracing::warn!(
                region = self.aws.region(),
                "the plan has no topic in this Region; no message is sent"
            );
            return;
        };
        let told = self
            .topics
            .publish(&plan.topic_arn(site), self.aws.mode(), &plan.workload, subject, text)
            .await;
        if let Err(error) = told {
            tracing::warn!(error = %error, subject, "could not tell people");
        }
    }
}

/// What the execution is started with.
fn request_of(begin: &Begin, mode: Mode, plan_sha256: String) -> Request {
    let trigger = Trigger {
        kind: TriggerKind::Alarm,
        by: begin.alarm.clone(),
        at: begin.at,
    };
    Request {
        always_ask: begin.always_ask,
        plan_sha256: Some(plan_sha256),
        ..Request::new(begin.scenario, mode, Fields::new(), trigger)
    }
}

#[cfg(test)]
mod tests;
