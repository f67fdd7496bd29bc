//! The record: the durable account of recoveries, in one DynamoDB table in each Region.
//!
//! | partition key | sort key | item |
//! |---|---|---|
//! | `workload#<name>` | `lock` | who holds the lock, and the fencing token |
//! | `workload#<name>` | `untold#<execution>` | an end, until people were told of it |
//! | `workload#<name>` | `recovery#<id>` | that there is such a recovery |
//! | `workload#<name>` | `automation` | whether alarms start recoveries by themselves, and who said so |
//! | `workload#<name>` | `automation#<time>` | each time that somebody said so |
//! | `workload#<name>` | `fenced#<resource>` | what a resource of this Region was before another Region fenced it |
//! | `workload#<name>` | `fence-watch` | what the look at this Region's fence found so far |
//! | `workload#<name>` | `reopen-approval#<id>#<who>` | that a person wants this Region opened, whatever the recovery does |
//! | `workload#<name>` | `reopened#<id>` | that people opened what that recovery had fenced here |
//! | `workload#<name>` | `served` | the restored cluster that customers use in place of the plan's |
//! | `workload#<name>` | `stopped` | that a recovery has stopped the other Region's service on purpose |
//! | `workload#<name>` | `switch-watch` | that the public name does not lead to this Region, which serves |
//! | `start#<name>` | `start#<id>` | what was decided on an alarm's event, or on what a person asked for; who decides writes it, and nobody else |
//! | `heartbeat#<name>` | `<Region>` | the last heartbeat that the platform saw committed in that Region; the platform writes it |
//! | `ledger#<name>` | `<time>#<id>` | what the platform has erased or revoked; the platform writes it |
//! | `probe#<name>` | `minute#<of 15>` | what the probe of this Region found in that minute; no other than the probe writes it |
//! | `plan` | `current` | the SHA-256 of the plan in force |
//! | `plan` | `sha256#<hash>` | a plan, as JSON |
//! | `recovery#<id>` | `header` | the recovery: what, when, how it ended, what was measured |
//! | `recovery#<id>` | `decision` | what was decided to do, and when |
//! | `recovery#<id>` | `question#<question>` | what people were asked |
//! | `recovery#<id>` | `approval#<question>#<who>` | what one person answered |
//! | `recovery#<id>` | `verdict#<question>#<people>` | the verdict on the question, asked of so many |
//! | `recovery#<id>` | `step#<execution>#<state>` | one state's visits: first start, last end, attempts, outcome, waiting |
//! | `recovery#<id>` | `observed#<execution>` | the times that an execution's steps observed |
//! | `recovery#<id>` | `told#<execution>#<what>` | an announcement that was sent |
//! | `recovery#<id>` | `undo#<step>#<resource>` | what takes a change back |

mod automation;
mod deferred;
mod header;
mod heartbeat;
mod ledger;
mod lock;
mod observed;
mod partition;
mod plan;
mod probed;
mod questions;
mod resource;
mod served;
mod table;
mod timeline;
mod tried;
mod undo;
mod untold;
mod warning;
mod watched;

pub use automation::{StartDecision, Started, Switch};
pub use deferred::Deferred;
pub use header::{Closing, Header, Regions};
pub use heartbeat::committed_heartbeat;
pub use ledger::{LEDGER_AT_MOST, LedgerEntry};
pub use lock::{Claim, Claimed, Lock};
pub use observed::Sighting;
pub use partition::Partition;
pub use probed::Probed;
pub use resource::{Missing, Resource, ResourceKind};
pub use served::{OPENS, STOPS, ServedFrom, Stopped, is_opened};
pub use table::Record;
pub use timeline::{Announced, Message, StepEnd, StepRun, TimelineStep};
pub use tried::tried;
pub use undo::{Fenced, FencedFor, Undo, go_on_without_record};
pub use untold::{Released, Untold};
pub use warning::{Warning, WarningCode};
pub use watched::{Mismatch, ReopenApproval, Reopened, Watched};
