//! Asks again what nobody answered: the last recovery expired, and its alarm still stands.

use aws_sdk_cloudwatch::types::{ActionsSuppressedBy, AlarmType, StateValue};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use shared::arn;
use shared::error::StepError;
use shared::metric::{Datum, Unit};
use shared::plan::{Alarm, Plan};
use shared::record::{Closing, Header, StartDecision, Started};
use shared::recovery::{Mode, Outcome};

use crate::decide::{Begin, Circumstances, alarms_for, available, is_on};
use crate::{Output, StartRecovery};

/// The metric that says that nobody answered and the alarm stands: an alarm of its own is on it.
const UNANSWERED: &str = "UnansweredQuestion";

/// An alarm that stands.
struct Standing {
    arn: String,
    since: Timestamp,
}

impl StartRecovery {
    /// Where the last recovery expired and its alarm stands: says so by a metric, tells people, and starts a recovery that
    /// asks them again. Does so once for each recovery that expired.
    pub(crate) async fn ask_again(&self, plan: &Plan, plan_sha256: String, machine: &str) -> Result<Output, StepError> {
        let nothing = Output {
            decision: None,
            again: false,
        };
        let Some(last) = self.last_serious(&plan.workload).await? else {
            return Ok(nothing);
        };
        let Some(expired) = expired(&last) else {
            return Ok(nothing);
        };
        let alarms = alarms_for(plan, last.scenario, self.aws.region());
        let Some(standing) = self.standing(&alarms).await? else {
            return Ok(nothing);
        };
        // Also where the recovery that was to ask again could not be opened.
        self.publish_unanswered(plan).await;
        let switch = self.record.automation(&plan.workload).await?;
        let seen = Circumstances {
            plan,
            region: self.aws.region(),
            switch: switch.as_ref(),
            recoveries: &[],
            now: self.aws.now(),
        };
        let id = id_of(&standing.arn, expired);
        let begin = Begin {
            scenario: last.scenario,
            name: format!("{}-{id}", last.scenario),
            alarm: standing.arn,
            at: standing.since,
            always_ask: true,
        };
        let begin = match is_on(&seen).and_then(|()| available(begin)) {
            Ok(begin) => begin,
            Err(reason) => {
                // It is not kept: the next look starts it, once alarms may start recoveries again.
                tracing::warn!(
                    recovery = last.id,
                    reason,
                    "nobody answered; the question is not asked again now"
                );
                return Ok(nothing);
            }
        };
        let output = match self.record.start_decision(&plan.workload, &id).await? {
            Some(decision) => Output::of(decision, true),
            None => {
                let decision = StartDecision {
                    id,
                    by: begin.alarm.clone(),
                    at: self.aws.now(),
                    decision: Started::Started {
                        execution: arn::execution(machine, &begin.name),
                    },
                };
                let text = text(&last, expired, &decision);
                self.publish(plan, "nobody answered: you are asked again", &text).await;
                self.keep(&plan.workload, decision).await?
            }
        };
        // Last, and each time: once it is open, it is the newest recovery, and nothing of this is looked at again.
        let execution = self.begin(&begin, machine, plan_sha256).await?;
        tracing::info!(
            recovery = last.id,
            execution,
            "nobody answered; the question is asked again"
        );
        Ok(output)
    }

    /// The newest recovery that is no drill.
    async fn last_serious(&self, workload: &str) -> Result<Option<Header>, StepError> {
        for id in self.record.recoveries(workload).await?.iter().rev() {
            let header = self.record.header(id).await?;
            if let Some(header) = header.filter(|header| header.mode != Mode::Drill) {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The first of these alarms that is in ALARM and acts; nothing, where none is.
    async fn standing(&self, alarms: &[Alarm]) -> Result<Option<Standing>, StepError> {
        if alarms.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = alarms.iter().map(|alarm| alarm.name.clone()).collect();
        let described = self
            .alarms
            .describe_alarms()
            .set_alarm_names(Some(names.clone()))
            // Left out, "only metric alarms are returned" (CloudWatch API Reference, DescribeAlarms).
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .state_value(StateValue::Alarm)
            .send()
            .await
            .map_err(|error| StepError::aws("monitoring:DescribeAlarms", &names.join(", "), error))?;
        let metric = described.metric_alarms().iter();
        let metric = metric.map(|alarm| (alarm.alarm_arn(), alarm.state_updated_timestamp(), None));
        let composite = described.composite_alarms().iter();
        let composite = composite.map(|alarm| {
            let suppressed = alarm
                .actions_suppressed_by()
                .filter(|by| **by != ActionsSuppressedBy::WaitPeriod);
            (alarm.alarm_arn(), alarm.state_updated_timestamp(), suppressed)
        });
        let mut acting = metric
            .chain(composite)
            .filter(|(_, _, suppressed)| suppressed.is_none());
        Ok(acting.find_map(|(arn, since, _)| {
            let since = since.and_then(|at| at.to_millis().ok());
            Some(Standing {
                arn: arn?.to_owned(),
                since: since
                    .and_then(|at| Timestamp::from_millisecond(at).ok())
                    .unwrap_or_else(|| self.aws.now()),
            })
        }))
    }

    /// Publishes that nobody answered. It is logged and not more if that fails.
    async fn publish_unanswered(&self, plan: &Plan) {
        let datum = Datum {
            name: UNANSWERED,
            value: 1.0,
            unit: Unit::None,
        };
        let dimensions = [("Workload", plan.workload.as_str())];
        let published = self
            .metrics
            .publish(&plan.probe.namespace, &dimensions, self.aws.now(), &[datum])
            .await;
        if let Err(error) = published {
            tracing::warn!(error = %error, "could not publish the metric of an unanswered question");
        }
    }
}

/// How a recovery ended, where nobody answered what it asked.
fn expired(header: &Header) -> Option<&Closing> {
    header.ended().filter(|closing| closing.outcome == Outcome::Expired)
}

/// Follows from the alarm and the end that nobody answered, so that each is followed by one more question.
fn id_of(alarm: &str, expired: &Closing) -> String {
    let hash = Sha256::digest(format!("{alarm}{}", expired.execution));
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(last: &Header, expired: &Closing, decision: &StartDecision) -> String {
    format!(
        "Nobody answered recovery {}; its question expired at {}. The alarm is still in ALARM, so a new recovery \
         checks again and asks you again. Silence approves nothing. To end the questions, decline, or run: drctl \
         automation off\n\nAlarm {}\nDecision {} at {}\n",
        last.id, expired.closed_at, decision.by, decision.id, decision.at
    )
}
