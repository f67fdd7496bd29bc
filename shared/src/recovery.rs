//! The words of a recovery: mode, way, outcome, and the reference that every step receives.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state machine that alarms and people start, whatever the scenario, by the last word of its name.
pub const RECOVERY_MACHINE: &str = "recovery";

/// Against what a recovery runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Real AWS, for customers.
    Live,
    /// Real AWS; nothing that customers see is changed.
    Drill,
    /// Simulated AWS.
    Rehearsal,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Live, Self::Drill, Self::Rehearsal];

    /// Its name in inputs and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Drill => "drill",
            Self::Rehearsal => "rehearsal",
        }
    }

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// The way a database is promoted. "Neither" cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Both sides are healthy; replication is waited for; called in the primary's Region.
    Switchover,
    /// The primary is gone; what was not replicated is lost; called in the Region that is promoted.
    Failover,
}

impl Way {
    /// Its name in inputs and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
        }
    }
}

/// How a recovery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The service is back.
    Recovered,
    /// The service is back, and something is missing: N of M.
    Partial,
    /// A guard refused, and nothing was changed.
    Refused,
    /// A person said no.
    Declined,
    /// Nobody approved in time.
    Expired,
    /// Another recovery took the lock.
    Preempted,
    /// What was changed was taken back.
    RolledBack,
    /// The service is not back.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Recovered,
        Self::Partial,
        Self::Refused,
        Self::Declined,
        Self::Expired,
        Self::Preempted,
        Self::RolledBack,
        Self::Failed,
    ];

    /// Its name in records and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Preempted => "preempted",
            Self::RolledBack => "rolled-back",
            Self::Failed => "failed",
        }
    }

    /// Whether a recovery that ended like this can be resumed.
    pub const fn may_be_resumed(self) -> bool {
        !matches!(self, Self::Recovered | Self::Refused | Self::Declined)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which recovery a step belongs to. `open-recovery` makes it; every later step receives it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryRef {
    /// The recovery's id; a resumed recovery keeps it.
    pub id: String,
    /// The workload whose lock it holds.
    pub workload: String,
    /// The fencing token that came with the lock. It grows with every taking of the lock.
    pub token: u64,
    /// ARN of the execution that runs it.
    pub execution: String,
}
