//! The data are wrong: the database goes back to a moment before, beside the damaged one, and customers move to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Scenario;
use super::module::{DATABASE, Deadline, HEALTH, Module};
use crate::arn::Arn;
use crate::plan::{AfterRestore, Cache, DatabaseCheck, Duration, Function, Plan, Site, Start};
use crate::slices::DatabaseSlice;

/// What can be asked for: a moment or a snapshot. Where neither is said, the recovery proposes a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Said")]
pub struct Wants {
    /// The moment to go back to, with its zone.
    pub restore_to: Option<Timestamp>,
    /// The snapshot of a cluster to restore: its identifier, or its ARN.
    pub snapshot: Option<String>,
}

/// What can be asked for, as it is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    restore_to: Option<Timestamp>,
    #[serde(default)]
    snapshot: Option<String>,
}

impl TryFrom<Said> for Wants {
    type Error = String;

    fn try_from(Said { restore_to, snapshot }: Said) -> Result<Self, String> {
        if let (Some(to), Some(snapshot)) = (restore_to, &snapshot) {
            return Err(format!(
                "restore_to={to} and snapshot={snapshot} exclude each other: a snapshot has the data of one moment; give one of them"
            ));
        }
        if let Some(name) = snapshot.as_ref().filter(|name| !names_a_snapshot(name)) {
            return Err(format!(
                "snapshot {name:?} is neither an identifier (letters, digits and hyphens) nor the ARN of a manual snapshot of a cluster; \
                 the moments of automated snapshots are restored by restore_to"
            ));
        }
        Ok(Self { restore_to, snapshot })
    }
}

/// Whether RDS could call a manual snapshot of a cluster so. Automated ones have a colon in their identifiers.
fn names_a_snapshot(name: &str) -> bool {
    let id = match Arn::read(name) {
        Some(arn) => match arn.resource_parts()[..] {
            ["cluster-snapshot", id] if arn.service == "rds" => id,
            _ => return false,
        },
        None => name,
    };
    id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHARED: &str = "arn:aws:rds:us-east-1:210987654321:cluster-snapshot:before-v42";

    #[test]
    fn a_moment_or_a_snapshot_is_asked_for_and_never_both() {
        let read = |said| serde_json::from_value::<Wants>(said).map_err(|error| error.to_string());
        assert_eq!(read(json!({})), Ok(Wants::default()));
        for name in ["before-v42", SHARED] {
            let wants = read(json!({ "snapshot": name })).unwrap();
            assert_eq!((wants.restore_to, wants.snapshot.as_deref()), (None, Some(name)));
        }
        let both = json!({ "snapshot": "before-v42", "restore_to": "2026-01-06T03:00:00Z" });
        assert!(read(both).unwrap_err().contains("exclude each other"));
    }

    #[test]
    fn what_rds_calls_no_manual_snapshot_of_a_cluster_is_refused() {
        for name in [
            "",
            "-a",
            "a b",
            "rds:shop-2026-01-06-03-00",
            "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:rds:shop-2026-01-06-03-00",
            "arn:aws:rds:us-east-1:123456789012:snapshot:shop",
            "arn:aws:rds:us-east-1:123456789012:cluster:shop",
            "arn:aws:s3:us-east-1:123456789012:cluster-snapshot:shop",
        ] {
            let refused = serde_json::from_value::<Wants>(json!({ "snapshot": name })).unwrap_err();
            assert!(
                refused.to_string().contains("neither an identifier"),
                "{name}: {refused}"
            );
        }
    }
}
