//! The history of an execution: the events that AWS writes, named and counted as AWS does.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::errors::TaskFailure;

/// How many events an execution may have; the last is the one that ends it.
pub const HISTORY_LIMIT: u64 = 25_000;

/// One event of an execution's history.
#[derive(Clone, Debug)]
pub struct HistoryEvent {
    /// The execution that it belongs to.
    pub execution_arn: Arc<str>,
    /// Its number, from 1.
    pub id: u64,
    /// The number of the event that led to it; 0 for the first, and for the first state that is entered.
    pub previous: u64,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Its type.
    pub kind: EventKind,
    /// The state's name; empty for events of the execution itself.
    pub state: Arc<str>,
    /// Where the state stands, with the numbers of branches and items: `Sweep.item[3].Delete`.
    pub path: Arc<str>,
    /// What more there is to say.
    pub details: EventDetails,
}

/// The details of an event; what does not apply is none.
#[derive(Clone, Debug, Default)]
pub struct EventDetails {
    /// The input of an execution, a state or a call.
    pub input: Option<Arc<Value>>,
    /// The output of an execution, a state or a call.
    pub output: Option<Arc<Value>>,
    /// The name of the error.
    pub error: Option<String>,
    /// Its explanation.
    pub cause: Option<String>,
    /// The `Resource` of a Task.
    pub resource: Option<String>,
    /// Which attempt of a Task, from 0.
    pub attempt: Option<u64>,
    /// The number of a Map's iteration, from 0.
    pub index: Option<usize>,
    /// How many items a Map has.
    pub length: Option<usize>,
    /// The field whose expression failed; none if the state's input is at fault.
    pub location: Option<String>,
    /// The variables that were assigned when the state was left.
    pub assigned: Option<Arc<Value>>,
}

impl EventDetails {
    /// What there is of an error's name and explanation: an empty text is left out, such as the cause of a timeout.
    pub(crate) fn failure(failure: &TaskFailure) -> Self {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            error: given(&failure.error),
            cause: given(&failure.cause),
            ..Self::default()
        }
    }
}

macro_rules! event_kinds {
    ($($name:ident),+ $(,)?) => {
        /// The type of an event, by AWS's name.
        #[expect(missing_docs, reason = "AWS's names say it")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind {
            $($name),+
        }

        impl EventKind {
            /// The name that AWS uses.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }
        }
    };
}

event_kinds! {
    ExecutionStarted, ExecutionRedriven, ExecutionSucceeded, ExecutionFailed, ExecutionTimedOut, ExecutionAborted,
    TaskStateEntered, TaskScheduled, TaskStarted, TaskSubmitted, TaskSucceeded, TaskFailed,
    TaskTimedOut, TaskStateAborted, TaskStateExited,
    ChoiceStateEntered, ChoiceStateExited,
    WaitStateEntered, WaitStateAborted, WaitStateExited,
    PassStateEntered, PassStateExited,
    SucceedStateEntered, SucceedStateExited,
    FailStateEntered,
    ParallelStateEntered, ParallelStateStarted, ParallelStateSucceeded, ParallelStateFailed,
    ParallelStateAborted, ParallelStateExited,
    MapStateEntered, MapStateStarted, MapIterationStarted, MapIterationSucceeded,
    MapIterationFailed, MapIterationAborted, MapStateSucceeded, MapStateFailed, MapStateAborted,
    MapStateExited, MapRunStarted, MapRunSucceeded, MapRunFailed, MapRunAborted,
    EvaluationFailed,
}

impl EventKind {
    /// Whether AWS gives its number to the events that it leads to. After the other types those refer to the event before.
    pub(crate) fn is_followed(self) -> bool {
        !matches!(
            self,
            Self::ExecutionStarted
                | Self::TaskStateAborted
                | Self::MapIterationFailed
                | Self::MapIterationAborted
                | Self::ParallelStateSucceeded
                | Self::MapStateSucceeded
                | Self::MapRunSucceeded
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
