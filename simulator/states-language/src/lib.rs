//! An interpreter of the Amazon States Language for rehearsals in virtual time.
//!
//! It knows the language and nothing else: whatever a Task calls, the clock and chance come from a
//! [`Host`]. Only JSONata machines are understood; what is not supported is refused when the
//! machine is loaded, by [`StateMachine::parse`], never ignored.
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use states_language::StateMachine;
//! let text = r#"{
//!   "QueryLanguage": "JSONata",
//!   "StartAt": "Add",
//!   "States": {"Add": {"Type": "Pass", "Output": "{% $states.input.n + 1 %}", "End": true}}
//! }"#;
//! let machine = StateMachine::parse("adder", text, &BTreeMap::new()).unwrap();
//! assert_eq!(machine.states()[0].path, "Add");
//! ```
//!
//! Where it goes its own way:
//!
//! - Sleeping is tokio's, so under a paused clock hours take no time. Nothing is spawned; branches
//!   are polled in their order, so the same host gives the same run.
//! - A Choice without a match fails with `States.Runtime`, as Step Functions does, and a Parallel
//!   with the error of the branch that failed; naming `States.NoChoiceMatched`,
//!   `States.BranchFailed` or `States.Runtime` in `Retry` or `Catch` is a load error.
//! - Where Step Functions was recorded to differ from its guide, the recording decides: `States.ALL`
//!   catches `States.DataLimitExceeded`, and an inner scope may assign a name of an outer one.
//! - A distributed Map reads its items while children run, and keeps none of those that have ended. With
//!   `ToleratedFailurePercentage` it reads them once before, to count them.
//! - Without a `ResultWriter`, the result of a distributed Map leaves out the children that failed within the tolerance.
//! - Where the guide is silent: results as JSON Lines are in files that end in `.jsonl`, and a Map that fails before it
//!   is over exports what it has only if too many items failed.
//! - `Task*` events stand for the `LambdaFunction*` ones that a bare function ARN would write.

mod definition;
mod errors;
mod execution;
mod export;
mod expression;
mod functions;
mod history;
mod host;
mod integration;
mod items;
mod journal;
mod json;
mod load;
mod ordered;
pub mod retry;
mod run;
mod running;
mod status;
mod storage;
mod strict;
mod time;
mod tokens;
mod told;

pub use definition::{
    Assign, Catcher, Choice, ChoiceRule, Distributed, ExecutionType, Fail, ItemBatcher, ItemFormat, ItemReader, Map,
    MapMode, OutputType, Parallel, ResultDestination, ResultWriter, Retrier, State, StateKind, StateMachine, Task,
    Transformation, Transition, Wait, Workflow,
};
pub use errors::{LoadError, LoadErrors, TaskFailure, names};
pub use execution::{Execution, ExecutionResult};
pub use expression::{Expression, Template};
pub use history::{EventDetails, EventKind, HISTORY_LIMIT, HistoryEvent};
pub use host::{Host, Submission, TaskCall};
pub use integration::Integration;
pub use json::PAYLOAD_LIMIT_BYTES;
pub use running::{AbortHandle, ExecutionIdentity, MapRun, Unfinished};
pub use status::ExecutionStatus;
pub use storage::{ListCall, ListedObject, ObjectCall, ObjectReader, ObjectWriter};
pub use time::rfc3339;
pub use tokens::{TaskTokens, TokenError};
