//! What goes wrong with the knowledge of which data are right.

use std::sync::Arc;

use jiff::SignedDuration;
use shared::plan::Duration;
use shared::scenario::Fields;
use simulator::aws::rds::{LogStatement, Peculiar};

use super::data::stand_in;
use crate::fault::{Area, Count, Effect, FaultKind, Fits, Said, calls, in_one_word};
use crate::faults::restore::is_restore;
use crate::world::World;

/// What faults exclude each other by.
const HOW_IT_IS_FOUND: &str = "how the damage is found";

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
        Some(calls(move |call| is_there && is_restore(call)))
    }
}

/// The platform's own check finds the damage late.
pub(super) static LATE_DETECTION: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[HOW_IT_IS_FOUND],
    ..FaultKind::with(
        Area::Evidence,
        "late-detection:<duration>",
        "the platform finds its data right for so long after they are spoilt, up to 25m",
        "ends as rolled-back: the moment that is proposed is too late, which the plan's checks find before customers come",
        |said| Ok(Box::new(LateDetection(at_most_latest(said)?))),
        |rng, _| Box::new(LateDetection(Duration::from_secs(60 * rng.u64(3..=25)))),
    )
};

/// A rehearsal waits half an hour for a recovery to start.
const LATEST_SECONDS: u64 = 25 * 60;

/// Errors: a text, if that is later.
fn at_most_latest(said: &Said<'_>) -> Result<Duration, String> {
    let late = said.time()?;
    match late.as_secs() <= LATEST_SECONDS {
        true => Ok(late),
        false => Err(format!(
            "{}: no rehearsal waits so long for a recovery to start",
            said.name
        )),
    }
}

/// From now on the platform's own check finds the data right, whatever they are, until this has come about.
fn find_it_right_until(world: &World<'_>, comes_about: impl Future<Output = ()> + Send + 'static) {
    let (cloud, check) = (Arc::clone(world.simulation.cloud()), stand_in("right"));
    cloud.rds.stand_in(&check, "SELECT 'right'");
    tokio::spawn(async move {
        comes_about.await;
        cloud.rds.stand_in(&check, &check);
    });
}

struct LateDetection(Duration);

impl Effect for LateDetection {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn starts_later_by(&self) -> std::time::Duration {
        self.0.as_std()
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        find_it_right_until(world, tokio::time::sleep(self.0.as_std()));
        Some(calls(|call| call.operation == "RestoreDBClusterToPointInTime"))
    }
}

/// Only a person sees the damage.
pub(super) static FOUND_BY_A_PERSON: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[HOW_IT_IS_FOUND],
    ..FaultKind::with(
        Area::Evidence,
        "found-by-a-person:<duration>",
        "the platform finds its data right as long as they are spoilt; a person starts the recovery after so long, up to 25m",
        "ends as recovered, to the moment that the database's log shows; ends as refused if statements are not logged",
        |said| Ok(Box::new(FoundByAPerson(at_most_latest(said)?))),
        |rng, _| Box::new(FoundByAPerson(Duration::from_secs(60 * rng.u64(3..=25)))),
    )
};

struct FoundByAPerson(Duration);

/// How often it is looked whether customers have moved.
const MOVED_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

impl Effect for FoundByAPerson {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn person_starts_after(&self) -> Option<std::time::Duration> {
        Some(self.0.as_std())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let (cloud, platform) = (
            Arc::clone(world.simulation.cloud()),
            Arc::clone(world.simulation.platform()),
        );
        let region = world.plan.regions.primary.region.clone();
        let damaged = world.plan.cluster_arn(&world.plan.regions.primary);
        let have_moved = async move {
            while platform.cluster_of_customers(&cloud, &region).as_ref() == Some(&damaged) {
                tokio::time::sleep(MOVED_EVERY).await;
            }
        };
        find_it_right_until(world, have_moved);
        Some(calls(|call| call.operation == "FilterLogEvents"))
    }
}

/// The database logs what changes data, and the log is exported.
pub(super) static STATEMENTS_LOGGED: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<StatementsLogged>(
        Area::Evidence,
        "statements-logged",
        "no fault: the database logs what changes data (log_statement is mod), and its log is exported",
        "ends as recovered; the question says what the log shows, and how to lose less",
    )
};

#[derive(Default)]
struct StatementsLogged;

impl Effect for StatementsLogged {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let (cloud, region) = (world.cloud(), &world.plan.regions.primary.region);
        let cluster = world.plan.cluster_arn(&world.plan.regions.primary);
        let mut settings = cloud.rds.settings_of(&cluster)?;
        settings.log_exports = vec!["postgresql".to_owned()];
        cloud
            .rds
            .set_log_statement(region, &settings.parameter_group, LogStatement::Mod);
        cloud.rds.set_settings(cloud, &cluster, settings);
        Some(calls(|call| call.operation == "FilterLogEvents"))
    }
}

/// Nobody writes before the mistake.
pub(super) static IDLE_GAP: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<IdleGap>(
        Area::Evidence,
        "idle-gap",
        "nobody writes in the minutes before the mistake, no heartbeat either; the moment to go back to is later than the last write",
        "ends as recovered; the loss is counted from the last write before the gap",
    )
};

#[derive(Default)]
struct IdleGap;

/// How long there are writes before: a mistake comes after ten minutes, and the last good minute is in the gap.
const WRITES_FOR: std::time::Duration = std::time::Duration::from_secs(360);

impl Effect for IdleGap {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let platform = Arc::clone(world.simulation.platform());
        tokio::spawn(async move {
            tokio::time::sleep(WRITES_FOR).await;
            platform.set_idle(true);
        });
        Some(calls(|call| call.operation == "RestoreDBClusterToPointInTime"))
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        world.simulation.platform().set_idle(false);
        None
    }
}

/// A person names a snapshot.
pub(super) static FROM_SNAPSHOT: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[HOW_IT_IS_FOUND],
    ..FaultKind::with(
        Area::Evidence,
        "from-snapshot:<snapshot>",
        "a person starts the recovery 5 minutes after the data are spoilt, and names a snapshot from before",
        "ends as recovered, with the data of the snapshot; ends as refused if AWS cannot restore it",
        |said| {
            let (name, which) = said.one_of("snapshot", &SNAPSHOTS)?;
            Ok(Box::new(FromSnapshot(name, which)))
        },
        |rng, _| {
            let (name, which) = SNAPSHOTS[rng.usize(..SNAPSHOTS.len())];
            Box::new(FromSnapshot(name, which))
        },
    )
};

/// What can be with a snapshot that a person names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Available,
    Creating,
    Missing,
    OfAnotherEngine,
    Shared,
}

/// All of it, by name.
pub(crate) const SNAPSHOTS: [(&str, Which); 5] = [
    ("available", Which::Available),
    ("creating", Which::Creating),
    ("missing", Which::Missing),
    ("other-engine", Which::OfAnotherEngine),
    ("shared", Which::Shared),
];

struct FromSnapshot(&'static str, Which);

/// The identifier of the snapshot.
const SNAPSHOT: &str = "before-release";
/// The account that shares one.
const ANOTHER_ACCOUNT: &str = "210987654321";
/// When it is taken, in the good times, and how long after the disaster the person comes.
const TAKEN_AFTER: std::time::Duration = std::time::Duration::from_secs(5 * 60);
const NAMED_AFTER: std::time::Duration = std::time::Duration::from_secs(5 * 60);

impl Effect for FromSnapshot {
    fn argument(&self) -> Option<String> {
        Some(self.0.to_owned())
    }

    fn person_starts_after(&self) -> Option<std::time::Duration> {
        Some(NAMED_AFTER)
    }

    fn wants(&self, world: &World<'_>) -> Fields {
        let name = match self.1 {
            Which::Shared => {
                let region = &world.plan.regions.primary.region;
                format!("arn:aws:rds:{region}:{ANOTHER_ACCOUNT}:cluster-snapshot:{SNAPSHOT}")
            }
            _ => SNAPSHOT.to_owned(),
        };
        Fields::from_iter([("snapshot".to_owned(), name.into())])
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let peculiar = Peculiar {
            never_ready: self.1 == Which::Creating,
            engine: (self.1 == Which::OfAnotherEngine).then(|| "aurora-mysql".to_owned()),
            account: (self.1 == Which::Shared).then(|| ANOTHER_ACCOUNT.to_owned()),
            copied_from: None,
        };
        if self.1 != Which::Missing {
            let cloud = Arc::clone(world.simulation.cloud());
            let cluster = world.plan.cluster_arn(&world.plan.regions.primary);
            tokio::spawn(async move {
                tokio::time::sleep(TAKEN_AFTER).await;
                cloud.rds.take_snapshot(&cloud, &cluster, SNAPSHOT, peculiar);
            });
        }
        Some(calls(|call| call.operation == "DescribeDBClusterSnapshots"))
    }
}

/// A person names a moment from before every backup.
pub(super) static TOO_EARLY: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[HOW_IT_IS_FOUND],
    ..FaultKind::plain::<TooEarly>(
        Area::Evidence,
        "too-early",
        "a person starts the recovery 5 minutes after the data are spoilt, and names a moment from before every backup",
        "ends as refused before anything is changed, and says to when it could be restored",
    )
};

#[derive(Default)]
struct TooEarly;

/// How long ago that moment is: longer than AWS keeps automated backups, which is 35 days.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(24 * 40);

impl Effect for TooEarly {
    fn person_starts_after(&self) -> Option<std::time::Duration> {
        Some(NAMED_AFTER)
    }

    fn wants(&self, world: &World<'_>) -> Fields {
        let moment = (world.now() - LONG_AGO).to_string();
        Fields::from_iter([("restore_to".to_owned(), moment.into())])
    }

    fn at_the_disaster(&self, _world: &World<'_>) -> Option<Count> {
        Some(calls(|call| call.operation == "DescribeDBClusters"))
    }
}
