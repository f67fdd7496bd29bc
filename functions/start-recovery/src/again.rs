//! Starts a recovery for an alarm that still stands, which no new event tells of.

use aws_sdk_cloudwatch::types::{ActionsSuppressedBy, AlarmType, StateValue};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use shared::arn;
use shared::error::StepError;
use shared::plan::Plan;
use shared::record::{StartDecision, Started};
use shared::scenario::Scenario;

use crate::decide::{Begin, Circumstances, alarms_for, available, is_on};
use crate::{Looked, Output, StartRecovery};

/// An alarm that stands.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Its ARN.
    pub arn: String,
    /// Since when.
    pub since: Timestamp,
}

/// A recovery that looks at an alarm again.
#[derive(Debug)]
pub(crate) struct Again {
    /// What it starts.
    pub scenario: Scenario,
    /// The alarm.
    pub standing: Standing,
    /// The decision's id: it is started once for it.
    pub id: String,
    /// Whether people approve whatever is known.
    pub always_ask: bool,
    /// The subject of the message.
    pub subject: &'static str,
    /// Why, for people.
    pub why: String,
}

/// Follows from the alarm and from what it is looked at again for, so that there is one decision for both.
pub(crate) fn id_of(alarm: &str, once_for: &str) -> String {
    let hash = Sha256::digest(format!("{alarm}{once_for}"));
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl StartRecovery {
    /// Tells people, and starts the recovery; nothing, where alarms may start none now. It is not kept then: the next look starts it,
    /// once they may again.
    pub(crate) async fn start_again(&self, looked: &Looked<'_>, again: Again) -> Result<Option<Output>, StepError> {
        let plan = looked.plan;
        let switch = self.record.automation(&plan.workload).await?;
        let seen = Circumstances {
            plan,
            region: self.aws.region(),
            switch: switch.as_ref(),
            recoveries: &[],
            now: self.aws.now(),
        };
        let begin = Begin {
            scenario: again.scenario,
            name: format!("{}-{}", again.scenario, again.id),
            alarm: again.standing.arn,
            at: again.standing.since,
            always_ask: again.always_ask,
        };
        let begin = match is_on(&seen).and_then(|()| available(begin)) {
            Ok(begin) => begin,
            Err(reason) => {
                tracing::warn!(scenario = %again.scenario, reason, "an alarm that stands is not looked at again now");
                return Ok(None);
            }
        };
        let output = match self.record.start_decision(&plan.workload, &again.id).await? {
            Some(decision) => Output::of(decision, true),
            None => {
                let decision = StartDecision {
                    id: again.id,
                    by: begin.alarm.clone(),
                    at: self.aws.now(),
                    decision: Started::Started {
                        execution: arn::execution(looked.machine, &begin.name),
                    },
                };
                let text = format!(
                    "{}\n\nAlarm {}\nDecision {} at {}\n",
                    again.why, decision.by, decision.id, decision.at
                );
                self.publish(plan, again.subject, &text).await;
                self.keep(&plan.workload, decision).await?
            }
        };
        // Last, and each time: once it is open, it is the newest recovery, and nothing of this is looked at again.
        let execution = self
            .begin(&begin, looked.machine, looked.plan_sha256.to_owned())
            .await?;
        tracing::info!(scenario = %begin.scenario, execution, "an alarm that stands is looked at again");
        Ok(Some(output))
    }

    /// The first alarm of a scenario here that is in ALARM and acts; nothing, where none is.
    pub(crate) async fn standing(&self, plan: &Plan, scenario: Scenario) -> Result<Option<Standing>, StepError> {
        let alarms = alarms_for(plan, scenario, self.aws.region());
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
}
