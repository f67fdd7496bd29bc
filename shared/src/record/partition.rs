//! Which items are together: IAM knows an item's partition key, and not its sort key.

/// Items whose partition keys are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Partition {
    /// What is known of a workload, in whichever recovery.
    Workload,
    /// Of one recovery.
    Recovery,
    /// The plan.
    Plan,
    /// What was decided on starts.
    Start,
    /// What the probe of this Region found.
    Probe,
    /// The platform's word of its heartbeats.
    Heartbeat,
    /// What the platform has erased or revoked, which a database that goes back in time forgets.
    Ledger,
}

impl Partition {
    /// Where items of this kind are; the kind is the first word of the sort key. Nothing for what the record does not know.
    pub fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "automation" | "deferred" | "fence-watch" | "fenced" | "lock" | "recovery" | "reopen-approval"
            | "reopened" | "served" | "stopped" | "switch-watch" | "untold" => Self::Workload,
            "approval" | "decision" | "header" | "observed" | "question" | "step" | "told" | "undo" | "verdict" => {
                Self::Recovery
            }
            "current" | "sha256" => Self::Plan,
            "start" => Self::Start,
            "minute" => Self::Probe,
            _ => return None,
        })
    }

    /// The first word of the partition keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Recovery => "recovery",
            Self::Plan => "plan",
            Self::Start => "start",
            Self::Probe => "probe",
            Self::Heartbeat => "heartbeat",
            Self::Ledger => "ledger",
        }
    }

    /// The key of the one partition of a workload.
    pub(super) fn key(self, workload: &str) -> String {
        format!("{}#{workload}", self.name())
    }
}
