//! Schedules, which call targets by the clock.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::timeout_at;

use super::rules::is_arn_of;
use super::state::{Delivery, Events, Planned, Schedule};
use crate::environment::Environment;
use crate::lock::lock;

/// The finest step of a schedule, in seconds (EventBridge Scheduler User Guide: one minute).
pub(super) const MINUTE: i64 = 60;

impl Events {
    /// Creates a schedule, or replaces it. It calls first at the next full multiple, which can be now.
    ///
    /// Errors: a text that says why AWS would refuse the schedule, or what of it is not simulated.
    pub fn put_schedule(&self, environment: &Environment, schedule: Schedule) -> Result<(), String> {
        let Schedule {
            name,
            region,
            every,
            target_arn,
            input,
        } = &schedule;
        let seconds = i64::try_from(every.as_secs()).unwrap_or_default();
        if seconds < MINUTE || seconds % MINUTE != 0 || every.subsec_nanos() != 0 {
            return Err(format!("schedule {name}: {every:?} is not a multiple of a minute"));
        }
        if !is_arn_of(target_arn, "lambda", region) && !is_arn_of(target_arn, "states", region) {
            return Err(format!(
                "schedule {name}: {target_arn} is no function and no state machine in {region}"
            ));
        }
        if input.to_string().contains("<aws.scheduler.") {
            return Err(format!(
                "schedule {name}: the simulator has no context attributes (<aws.scheduler.…>)"
            ));
        }
        let delay = environment.draw("schedule-delay", &environment.timings.schedule_delay);
        let next = full_multiple_from(environment.now(), seconds);
        lock(&self.schedules).insert((region.clone(), name.clone()), Planned { schedule, delay, next });
        self.schedule_was_put.notify_one();
        Ok(())
    }

    /// What is due, and when something will be due next.
    pub(super) fn due_schedules(&self, environment: &Environment) -> (Vec<Delivery>, Option<Timestamp>) {
        let now = environment.now();
        let mut due = Vec::new();
        let mut schedules = lock(&self.schedules);
        for ((region, name), planned) in schedules.iter_mut() {
            while planned.due() <= now {
                planned.next += i64::try_from(planned.schedule.every.as_secs()).unwrap_or(i64::MAX);
                if environment.apis_answer(region) {
                    due.push(Delivery {
                        region: region.clone(),
                        target_arn: planned.schedule.target_arn.clone(),
                        input: planned.schedule.input.clone(),
                        source: format!(
                            "arn:aws:scheduler:{region}:{}:schedule/default/{name}",
                            environment.account
                        ),
                    });
                }
            }
        }
        (due, schedules.values().map(Planned::due).min())
    }
}

/// Runs the schedules; never ends. From a Region that is down nothing is delivered, and not later either. (The real
/// Scheduler tries again for up to 24 hours.)
pub async fn run_schedules(events: Arc<Events>, environment: Arc<Environment>) {
    loop {
        let (due, next) = events.due_schedules(&environment);
        for delivery in due {
            events.send(delivery);
        }
        let was_put = events.schedule_was_put.notified();
        match next {
            // Whichever comes first: both mean that it is time to look.
            Some(next) => drop(timeout_at(environment.clock.instant(next), was_put).await),
            None => was_put.await,
        }
    }
}

/// The first full multiple of `seconds`, counted from the epoch, that is not before `at`.
pub(super) fn full_multiple_from(at: Timestamp, seconds: i64) -> i64 {
    let whole = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    whole.div_euclid(seconds) * seconds + if whole.rem_euclid(seconds) == 0 { 0 } else { seconds }
}
