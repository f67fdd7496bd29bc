//! How alarms on metrics are evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout_at;

use super::alarms::{Alarm, State};
use super::metrics::{Metric, Statistics, together};
use super::reason::{Datapoint, ReasonData, reason};
use super::regions::{CloudWatch, Regional};
use super::state_change::event;
use super::times::whole_seconds;
use super::values::{MissingData, StateValue};
use crate::environment::Environment;
use crate::lock::lock;

/// How many more periods than it evaluates an alarm looks at, to find datapoints. The User Guide ("Configuring how
/// CloudWatch alarms treat missing data") gives 5 for 3 as its example, and no formula.
pub(super) const FURTHER_PERIODS: u32 = 2;

impl CloudWatch {
    /// Evaluates what is due. Gives the events of all changes of state, each with its Region, and when the next
    /// evaluation is due.
    pub(super) fn evaluate(&self, environment: &Environment) -> (Vec<(String, Value)>, Option<Timestamp>) {
        let now = environment.now();
        let mut events = Vec::new();
        let mut next = None;
        for (region, here) in lock(&self.regions).iter_mut() {
            let mut changed = Vec::new();
            let Regional { metrics, alarms, .. } = here;
            for watch in alarms.values_mut() {
                while watch.due() <= now {
                    let period_end = watch.period_end;
                    watch.period_end += whole_seconds(watch.alarm.period);
                    if !environment.apis_answer(region) {
                        continue;
                    }
                    let minutes = watched(metrics, &watch.alarm);
                    let state = judge(&watch.alarm, Some(&minutes), period_end, now, &watch.state);
                    if state.value != watch.state.value {
                        let previous = std::mem::replace(&mut watch.state, state);
                        events.push((region.clone(), event(environment, region, watch, &previous)));
                        changed.push(watch.alarm.name.clone());
                    }
                }
                next = next.into_iter().chain([watch.due()]).min();
            }
            let mut of_composites = here.end_suppressions(environment, region);
            of_composites.extend(here.follow(environment, region, changed));
            events.extend(of_composites.into_iter().map(|event| (region.clone(), event)));
            next = next.into_iter().chain(here.next_end_of_suppression()).min();
        }
        (events, next)
    }
}

/// Evaluates every alarm at the end of each of its periods, plus a delay drawn from `alarm_evaluation_delay` once for
/// each alarm, composite alarms when one of their alarms changes, and tells EventBridge of every change of state; never
/// ends. In a Region that is down nothing is evaluated.
///
/// Simplified: periods begin at full multiples of their length, and an alarm is evaluated once in each; the real
/// CloudWatch evaluates every minute, and its longer periods can begin at any minute.
pub async fn evaluate_alarms(cloudwatch: Arc<CloudWatch>, environment: Arc<Environment>) {
    loop {
        let (events, next) = cloudwatch.evaluate(&environment);
        for (region, event) in events {
            cloudwatch.events.publish(&environment, &region, event);
        }
        let was_put = cloudwatch.alarm_was_put.notified();
        match next {
            // Whichever comes first: both mean that it is time to look.
            Some(next) => drop(timeout_at(environment.clock.instant(next), was_put).await),
            None => was_put.await,
        }
    }
}

/// The minutes of all that an alarm watches.
pub(super) fn watched(
    metrics: &BTreeMap<Metric, BTreeMap<i64, Statistics>>,
    alarm: &Alarm,
) -> BTreeMap<i64, Statistics> {
    let mut all: BTreeMap<i64, Statistics> = BTreeMap::new();
    for metric in alarm.metrics() {
        for (minute, values) in metrics.get(metric).into_iter().flatten() {
            all.entry(*minute)
                .and_modify(|known| *known = known.and(*values))
                .or_insert(*values);
        }
    }
    all
}

/// The state that an alarm should have after the period that ended at `period_end`.
///
/// As the User Guide documents it: of somewhat more periods than the alarm evaluates, the newest that have data are
/// evaluated. Only if these are fewer than the alarm evaluates does the treatment of missing data count, and only for
/// as many as are lacking.
pub(super) fn judge(
    alarm: &Alarm,
    minutes: Option<&BTreeMap<i64, Statistics>>,
    period_end: i64,
    now: Timestamp,
    current: &State,
) -> State {
    let (n, m) = (alarm.evaluation_periods as usize, alarm.datapoints_to_alarm as usize);
    let period = whole_seconds(alarm.period);
    let (mut datapoints, mut missing) = (Vec::new(), Vec::new());
    for age in 1..=alarm.evaluation_periods + FURTHER_PERIODS {
        let begins = period_end - i64::from(age) * period;
        match minutes.and_then(|minutes| together(minutes, begins, begins + period)) {
            Some(statistics) if datapoints.len() < n => {
                let value = statistics.read(alarm.statistic);
                let breaching = alarm.comparison.breaches(value, alarm.threshold);
                datapoints.push(Datapoint {
                    age,
                    begins,
                    value,
                    count: statistics.count,
                    breaching,
                });
            }
            Some(_) => {}
            None => missing.push(begins),
        }
    }
    missing.truncate(n - datapoints.len());
    let breaching = datapoints.iter().filter(|datapoint| datapoint.breaching).count();
    // "Always go into ALARM state when the oldest available breaching datapoint during the Evaluation Periods number of
    // data points is at least as old as the value of Datapoints to Alarm, and all other more recent data points are
    // breaching or missing": otherwise a single one could still be followed by better ones.
    let oldest_is_old_enough = datapoints
        .last()
        .is_some_and(|oldest| oldest.age >= alarm.datapoints_to_alarm);
    let value = match alarm.treat_missing_data {
        _ if breaching >= m => StateValue::Alarm,
        _ if missing.is_empty() => StateValue::Ok,
        MissingData::Breaching if breaching + missing.len() >= m => StateValue::Alarm,
        MissingData::Breaching | MissingData::NotBreaching => StateValue::Ok,
        // One that does not breach is enough for OK: so the guide's tables of examples have it.
        MissingData::Missing | MissingData::Ignore if breaching < datapoints.len() => StateValue::Ok,
        MissingData::Ignore => return current.clone(),
        MissingData::Missing if oldest_is_old_enough => StateValue::Alarm,
        MissingData::Missing => StateValue::InsufficientData,
    };
    State {
        value,
        reason: reason(alarm, value, &datapoints, missing.len()),
        reason_data: serde_json::to_string(&ReasonData::new(alarm, &datapoints, &missing, now)).ok(),
        updated_at: now,
        suppressed_by: None,
    }
}
