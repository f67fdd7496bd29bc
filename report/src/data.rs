//! A report as JSON.

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::path::CriticalPath;
use crate::state::State;

/// The format of the JSON form; it grows with every change that a reader of the one before would not understand.
pub const FORMAT: u32 = 2;

/// The JSON form of a report:
///
/// | field | what it is |
/// |---|---|
/// | `format` | [`FORMAT`] |
/// | `account` | the record of the recovery, see [`Account`]; what was achieved is in `header.closing.achieved`, in seconds |
/// | `state` | how things stand, see [`State`]: what works, what does not, what is not known |
/// | `critical_path` | the critical path, see [`CriticalPath`]: `spans` in order, and in `waiting` the seconds and shares of AWS, people, and this automation; the automation's part is at most what is said, so that the part of AWS is at least that |
///
/// Times are RFC 3339 in UTC. What is not known is `null`. Errors are as they were said at the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The format.
    pub format: u32,
    /// The record.
    pub account: Account,
    /// How things stand.
    pub state: State,
    /// The critical path.
    pub critical_path: CriticalPath,
}
