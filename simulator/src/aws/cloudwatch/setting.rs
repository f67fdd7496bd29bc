//! How alarms are made, and states set by hand.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::alarms::{Alarm, State, Watch, check_name};
use super::regions::{CloudWatch, Regional};
use super::state_change::{event, uuid};
use super::times::{MINUTE, beginning};
use super::values::{StateValue, Statistic};
use crate::environment::Environment;
use crate::lock::lock;

/// The longest time that an alarm with a period below an hour may look at (CloudWatch API Reference, PutMetricAlarm).
/// Longer ones are not simulated.
pub(super) const LONGEST_EVALUATION: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest reason for a state, in characters (CloudWatch API Reference, SetAlarmState).
pub(super) const REASON_LIMIT: usize = 1023;

impl CloudWatch {
    /// Creates an alarm with insufficient data, or changes one, which keeps its state. It is evaluated first at the end
    /// of the period that goes on now.
    ///
    /// Errors: a text that says why AWS would refuse the alarm, or what of it is not simulated.
    pub fn put_alarm(&self, environment: &Environment, region: &str, alarm: Alarm) -> Result<(), String> {
        let Alarm {
            name,
            period,
            evaluation_periods,
            datapoints_to_alarm,
            ..
        } = &alarm;
        let (n, m) = (*evaluation_periods, *datapoints_to_alarm);
        let seconds = i64::try_from(period.as_secs()).unwrap_or_default();
        check_name(name)?;
        if seconds < MINUTE || seconds % MINUTE != 0 || period.subsec_nanos() != 0 {
            return Err(format!("alarm {name}: {period:?} is not a multiple of a minute"));
        }
        if m < 1 || m > n {
            return Err(format!("alarm {name}: {m} out of {n} datapoints"));
        }
        if *period * n > LONGEST_EVALUATION {
            return Err(format!("alarm {name}: looks at more than a day"));
        }
        if !alarm.or_metrics.is_empty() && alarm.statistic != Statistic::Maximum {
            return Err(format!(
                "alarm {name}: the largest of several metrics by another statistic is not simulated"
            ));
        }
        if !alarm.threshold.is_finite() {
            return Err(format!("alarm {name}: the threshold is no number"));
        }
        let now = environment.now();
        let mut watch = Watch {
            arn: format!("arn:aws:cloudwatch:{region}:{}:alarm:{name}", environment.account),
            metric_id: uuid(environment),
            configured_at: now,
            state: State {
                value: StateValue::InsufficientData,
                reason: "Unchecked: Initial alarm creation".to_owned(),
                reason_data: None,
                updated_at: now,
                suppressed_by: None,
            },
            delay: environment.draw("alarm-evaluation-delay", &environment.timings.alarm_evaluation_delay),
            period_end: beginning(now, seconds) + seconds,
            alarm,
        };
        let mut regions = lock(&self.regions);
        let Regional { alarms, composites, .. } = regions.entry(region.to_owned()).or_default();
        if composites.contains_key(&watch.alarm.name) {
            let name = &watch.alarm.name;
            return Err(format!(
                "there is a composite alarm {name} in {region}, and a name stands for one alarm"
            ));
        }
        if let Some(before) = alarms.remove(&watch.alarm.name) {
            watch.state = before.state;
        }
        alarms.insert(watch.alarm.name.clone(), watch);
        self.alarm_was_put.notify_one();
        Ok(())
    }

    /// Sets the state of an alarm, as the API's SetAlarmState does: EventBridge hears of it if it is another one. The next
    /// evaluation sets it to what the metric says, and tells again; an alarm that ignores missing data keeps it until there
    /// are data. A composite alarm keeps it until one of its alarms changes. Must be called on the simulation's runtime.
    ///
    /// Errors: a text, if the Region does not answer, if it has no such alarm, or if the reason is too long.
    pub fn set_alarm_state(
        &self,
        environment: &Arc<Environment>,
        region: &str,
        alarm: &str,
        state: StateValue,
        reason: &str,
    ) -> Result<(), String> {
        if !environment.apis_answer(region) {
            return Err(format!("{region} does not answer"));
        }
        if reason.chars().count() > REASON_LIMIT {
            return Err(format!("alarm {alarm}: a reason has {REASON_LIMIT} characters at most"));
        }
        let events = {
            let mut regions = lock(&self.regions);
            let here = regions.get_mut(region);
            let here = here.ok_or_else(|| format!("there is no alarm {alarm} in {region}"))?;
            here.set_alarm_state(environment, region, alarm, state, reason)?
        };
        self.tell(environment, region, events);
        Ok(())
    }

    /// Has what alarms follow looked at again, and publishes the events of those that changed.
    pub(super) fn tell(&self, environment: &Arc<Environment>, region: &str, events: Vec<Value>) {
        self.alarm_was_put.notify_one();
        for event in events {
            self.events.publish(environment, region, event);
        }
    }
}

impl Regional {
    /// Sets the state of an alarm of either kind. Gives the events, those of the composite alarms that follow it too.
    pub(super) fn set_alarm_state(
        &mut self,
        environment: &Environment,
        region: &str,
        alarm: &str,
        value: StateValue,
        reason: &str,
    ) -> Result<Vec<Value>, String> {
        let own = if let Some(watch) = self.alarms.get_mut(alarm) {
            let set = State {
                value,
                reason: reason.to_owned(),
                reason_data: None,
                updated_at: environment.now(),
                suppressed_by: None,
            };
            let previous = std::mem::replace(&mut watch.state, set);
            (previous.value != value).then(|| event(environment, region, watch, &previous))
        } else {
            self.set_composite(environment, region, alarm, value, reason)?
        };
        let mut events = Vec::from_iter(own);
        if !events.is_empty() {
            events.extend(self.follow(environment, region, vec![alarm.to_owned()]));
        }
        Ok(events)
    }
}
