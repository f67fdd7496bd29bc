//! What goes wrong with the events that start a recovery.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use shared::plan;
use shared::step::Step;
use simulator::aws::cloudwatch::StateValue;
use simulator::faults::{DeliveryEffect, DeliveryFault};
use start_recovery::StartRecovery;

use crate::fault::{Area, Count, Effect, FaultKind, Fits, applied, calls, in_one_word};
use crate::world::World;

/// How much later the second delivery of an event comes.
const DELIVERED_AGAIN_AFTER: Duration = Duration::from_secs(40);
/// How often an alarm flaps, how long after it started something, and how long after that again.
const FLAPS: usize = 2;
const FLAPS_AFTER: Duration = Duration::from_secs(20);
const FLAPS_EVERY: Duration = Duration::from_secs(100);

fn disturb(world: &World<'_>, effect: DeliveryEffect) -> Count {
    applied(world.cloud().faults.on_deliveries(DeliveryFault {
        region: None,
        rule: None,
        at_most: None,
        effect,
    }))
}

/// EventBridge delivers each event twice.
pub static DUPLICATE_EVENT: FaultKind = FaultKind {
    fits: Fits::StartedByAlarm,
    ..FaultKind::plain::<DuplicateEvent>(
        Area::Event,
        "duplicate-event",
        "EventBridge delivers each event twice",
        "starts one recovery",
    )
};

#[derive(Default)]
struct DuplicateEvent;

impl Effect for DuplicateEvent {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        Some(disturb(world, DeliveryEffect::Twice(DELIVERED_AGAIN_AFTER)))
    }
}

/// EventBridge delivers each event later.
pub static LATE_EVENT: FaultKind = FaultKind {
    fits: Fits::StartedByAlarm,
    ..FaultKind::with(
        Area::Event,
        "late-event:<duration>",
        "EventBridge delivers each event this much later",
        "starts nothing if the event is stale",
        |said| Ok(Box::new(LateEvent(said.time()?))),
        |rng, _| {
            let minutes = [1, 5, 15, 30][rng.usize(..4)];
            Box::new(LateEvent(plan::Duration::from_secs(minutes * 60)))
        },
    )
};

struct LateEvent(plan::Duration);

impl Effect for LateEvent {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        Some(disturb(world, DeliveryEffect::Late(self.0.as_std())))
    }

    fn starts_later_by(&self) -> Duration {
        self.0.as_std()
    }
}

/// The alarm goes to OK and back to ALARM.
pub static FLAPPING_ALARM: FaultKind = FaultKind {
    fits: Fits::StartedByAlarm,
    ..FaultKind::plain::<FlappingAlarm>(
        Area::Event,
        "flapping-alarm",
        "the alarm goes to OK and back to ALARM while the recovery runs",
        "starts one recovery",
    )
};

#[derive(Default)]
struct FlappingAlarm;

impl Effect for FlappingAlarm {
    /// Lets the alarm go to OK while its recovery runs; its next evaluation takes it back to ALARM.
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let (region, alarm) = world.flapping.clone()?;
        let flapped = Rc::new(Cell::new(0));
        let (simulation, counted) = (world.simulation.clone(), Rc::clone(&flapped));
        tokio::task::spawn_local(async move {
            let cloud = simulation.cloud();
            let started = calls(|call| call.function == StartRecovery::NAME && call.operation == "StartExecution");
            while started(&simulation) == 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(FLAPS_AFTER).await;
            for _ in 0..FLAPS {
                let reason = "a rehearsal sets it to OK for a moment";
                let set = cloud
                    .cloudwatch
                    .set_alarm_state(cloud, &region, &alarm, StateValue::Ok, reason);
                counted.set(counted.get() + u64::from(set.is_ok()));
                tokio::time::sleep(FLAPS_EVERY).await;
            }
        });
        Some(Box::new(move |_| flapped.get()))
    }
}
