//! What the platform has erased or revoked: a database that goes back in time has forgotten it, and the ledger has not.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::partition::Partition;
use super::table::Record;
use crate::error::StepError;

/// How many entries a recovery does again: two statements each, one after the other, within a few minutes.
pub const LEDGER_AT_MOST: usize = 2000;
/// How much earlier than the moment an entry may be dated and still be missing in the data of then: its writer's clock and the
/// database's differ, and the entry may come before its change. Each may be done twice.
const EARLIER: SignedDuration = SignedDuration::from_hours(1);

/// One entry: the platform writes it in the Region that serves, when it does what must not come undone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The sort key: when, in RFC 3339 with Z, `#`, and what tells entries of one moment apart.
    #[serde(rename = "sk")]
    pub key: String,
    /// Its kind, by the plan.
    pub kind: String,
    /// The values of the parameters of that kind's statements. They are in no log.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl fmt::Debug for LedgerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} values)", self.key, self.kind, self.values.len())
    }
}

impl Record {
    /// The entries that data of `moment` may lack, in the order of their times: no more than one above [`LEDGER_AT_MOST`].
    pub async fn ledger_since(&self, workload: &str, moment: Timestamp) -> Result<Vec<LedgerEntry>, StepError> {
        let from = (moment - EARLIER).to_string();
        self.items_from(&Partition::Ledger.key(workload), &from, LEDGER_AT_MOST + 1)
            .await
    }

    /// Writes an entry, as the platform does.
    pub async fn note_ledger(&self, workload: &str, entry: &LedgerEntry) -> Result<(), StepError> {
        self.put(&Partition::Ledger.key(workload), &entry.key, entry).await
    }
}
