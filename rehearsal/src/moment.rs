//! What whoever watches a rehearsal sees.

use jiff::Timestamp;
use states_language::HistoryEvent;

/// Something that happens during a rehearsal.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each `at` is the time on the simulated clock")]
pub enum Moment {
    /// An event of an execution.
    Machine(Box<HistoryEvent>),
    /// The disaster.
    Disaster {
        at: Timestamp,
        /// What is lost, in one sentence for people.
        what: String,
    },
    /// The injected faults hold from now on.
    Faults {
        at: Timestamp,
        /// Each as `--fault` takes it.
        faults: Vec<String>,
    },
    /// What the disaster took away is back by itself.
    Back {
        at: Timestamp,
        /// What is back, in one sentence for people.
        what: String,
    },
    /// People are asked, and the recovery waits for their answer.
    Asked {
        at: Timestamp,
        /// When the recovery began to ask: the time to answer counts from here.
        since: Timestamp,
        /// The state that waits.
        state: String,
        /// What would be done, in one sentence.
        headline: String,
        /// How many people must approve; one more where AWS does not confirm who started the recovery.
        people: u8,
        /// When the recovery gives up.
        until: Timestamp,
    },
    /// A person answered, and AWS took the answer or refused it.
    Answered {
        at: Timestamp,
        /// Who, by the name that people know.
        by: String,
        /// Whether they approve.
        approves: bool,
        /// Why the answer does not count, as `record-approval` names it; nothing if it counts.
        refused_as: Option<String>,
    },
}
