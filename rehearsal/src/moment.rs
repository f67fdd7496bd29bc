//! What whoever watches a rehearsal sees.

use jiff::Timestamp;
use states_language::HistoryEvent;

/// Something that happens while a rehearsal goes on.
#[derive(Clone, Debug)]
pub enum Moment {
    /// An event of an execution.
    Machine(Box<HistoryEvent>),
    /// The disaster.
    Disaster {
        /// When.
        at: Timestamp,
        /// What is lost, for people.
        what: String,
    },
    /// Something else goes wrong from now on.
    Faults {
        /// Since when.
        at: Timestamp,
        /// What, as `--fault` takes it.
        faults: Vec<String>,
    },
    /// What the disaster took away is back by itself.
    Back {
        /// When.
        at: Timestamp,
        /// What, for people.
        what: String,
    },
}
