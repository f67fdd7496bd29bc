//! The data are wrong: the database goes back to a moment before, beside the damaged one, and customers move to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Scenario;
use super::module::{DATABASE, Deadline, HEALTH, Module};
use crate::plan::{AfterRestore, Cache, DatabaseCheck, Duration, Function, Plan, Site, Start};
use crate::slices::DatabaseSlice;

/// What can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// The moment to go back to, with its zone; left out, the recovery proposes one.
    #[serde(default)]
    pub restore_to: Option<Timestamp>,
}

/// Its machine's own part of the plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// The database.
    pub database: DatabaseSlice,
    /// The platform's functions.
    pub functions: Vec<Function>,
    /// What shows that the data are right.
    pub checks: Vec<DatabaseCheck>,
    /// What it would do wrong once it went back in time, and what keeps it from that.
    pub after_restore: AfterRestore,
    /// What holds copies of the database's data in this Region.
    pub caches: Vec<Cache>,
    /// The alarms in this Region whose metrics say since when the data are wrong.
    pub alarms: Vec<String>,
}

/// The scenario.
#[derive(Debug)]
pub struct DatabaseCorruption;

impl Module for DatabaseCorruption {
    const SCENARIO: Scenario = Scenario::DATABASE_CORRUPTION;
    const TITLE: &'static str = "Wrong data in the database";
    const MACHINE: Option<&'static str> = Some("database-recovery");
    const LOSES_WRITES: bool = true;
    const DEADLINES: &'static [Deadline] = &[
        DATABASE,
        HEALTH,
        Deadline::of_machine(
            "backup",
            "Until the backup reaches the moment to go back to.",
            Duration::from_secs(30 * 60),
        ),
        Deadline::of_machine(
            "answers",
            "Until the restored database answers, once its instances are asked for.",
            Duration::from_secs(60 * 60),
        ),
        Deadline::of_machine(
            "redundancy",
            "Until every instance works, after customers are served.",
            Duration::from_secs(60 * 60),
        ),
        Deadline::of_machine(
            "discard",
            "Until a database that was made for nothing is deleted.",
            Duration::from_secs(60 * 60),
        ),
    ];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] =
        &["backup", "database", "answers", "health", "redundancy", "discard"];
    type Wants = Wants;
    type Slice = Slice;

    fn slice(plan: &Plan, here: &Site) -> Slice {
        let ours = plan.alarms.iter().filter(|alarm| {
            alarm.scenario == Self::SCENARIO
                && alarm.start != Start::Off
                && plan.regions.named(alarm.region).region == here.region
        });
        Slice {
            database: DatabaseSlice::of(plan),
            functions: plan.functions.clone(),
            checks: plan.database.checks.clone(),
            after_restore: plan.database.after_restore.clone(),
            caches: here.caches.clone(),
            alarms: ours.map(|alarm| alarm.name.clone()).collect(),
        }
    }

    fn announcement(_plan: &Plan, here: &Site) -> String {
        format!(
            "A recovery has started in {}. It asks to which moment the data go back, and makes a second cluster with the data of \
             then; {} stays.",
            here.region, here.cluster
        )
    }
}
