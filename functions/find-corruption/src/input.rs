//! What the step is told.

use jiff::Timestamp;
use serde::Deserialize;
use shared::plan::{AfterRestore, DatabaseCheck, Function, Objective};
use shared::record::Warning;
use shared::recovery::RecoveryRef;
use shared::slices::{ApprovalSlice, DatabaseSlice, SiteSlice};

/// What to look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The moment that was asked for, if one was.
    pub restore_to: Option<Timestamp>,
    /// The snapshot that was asked for in its place: its identifier, or its ARN.
    pub snapshot: Option<String>,
    /// When the recovery was started.
    pub triggered_at: Timestamp,
    /// Who is asked.
    pub approval: ApprovalSlice,
    /// How much loss is aimed at.
    pub rpo: Option<Objective>,
    /// The Region whose database is damaged.
    pub here: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// What shows that the data are right.
    pub checks: Vec<DatabaseCheck>,
    /// The alarms whose metrics say since when they are not.
    pub alarms: Vec<String>,
    /// What the restored database would do wrong, and what keeps it from that.
    pub after_restore: AfterRestore,
    /// What was found when the caches were looked at.
    pub caches: Caches,
    /// The platform's functions, which are pointed to the restored database.
    pub functions: Vec<Function>,
}

/// What was found when the caches were looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caches {
    /// Why the recovery cannot begin.
    pub blockers: Vec<String>,
    /// What becomes of them, for people.
    pub shown: Vec<String>,
    /// What people should know.
    pub warnings: Vec<Warning>,
}
