//! What goes wrong with the knowledge of which data are right.

use std::sync::Arc;

use shared::plan::Duration;

use super::data::stand_in;
use crate::fault::{Area, Count, Effect, FaultKind, Fits, calls, in_one_word};
use crate::world::World;

/// A check of the plan finds something else in the restored database.
pub(super) static VALIDATION_FAILS: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Database,
        "validation-fails:<check>",
        "one of the plan's checks finds something else, whatever the data are",
        "ends as rolled-back, and names the check; customers have the database from before",
        |said| Ok(Box::new(ValidationFails(said.text("check")?.to_owned()))),
        |_, _| Box::new(ValidationFails("no-negative-amounts".to_owned())),
    )
};

struct ValidationFails(String);

impl Effect for ValidationFails {
    fn argument(&self) -> Option<String> {
        Some(self.0.clone())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let mut checks = world.plan.database.checks.iter();
        let check = checks.find(|check| check.name == self.0);
        if let Some(check) = check {
            world.cloud().rds.stand_in(&check.sql, "SELECT 'something else'");
        }
        // A plan without such a check is not disturbed by it.
        let is_there = check.is_some();
        Some(calls(move |call| {
            is_there && call.operation == "RestoreDBClusterToPointInTime"
        }))
    }
}

/// The platform's own check finds the damage late.
pub(super) static LATE_DETECTION: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Evidence,
        "late-detection:<duration>",
        "the platform finds its data right for so long after they are spoilt, up to 25m",
        "ends as rolled-back: the moment that is proposed is too late, which the plan's checks find before customers come",
        |said| {
            let late = said.time()?;
            match late.as_secs() <= LATEST_SECONDS {
                true => Ok(Box::new(LateDetection(late))),
                false => Err(format!(
                    "{}: no rehearsal waits so long for a recovery to start",
                    said.name
                )),
            }
        },
        |rng, _| Box::new(LateDetection(Duration::from_secs(60 * rng.u64(3..=25)))),
    )
};

/// A rehearsal waits half an hour for a recovery to start.
const LATEST_SECONDS: u64 = 25 * 60;

struct LateDetection(Duration);

impl Effect for LateDetection {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn starts_later_by(&self) -> std::time::Duration {
        self.0.as_std()
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let (cloud, late) = (Arc::clone(world.simulation.cloud()), self.0.as_std());
        let check = stand_in("right");
        cloud.rds.stand_in(&check, "SELECT 'right'");
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            cloud.rds.stand_in(&check, &check);
        });
        Some(calls(|call| call.operation == "RestoreDBClusterToPointInTime"))
    }
}
