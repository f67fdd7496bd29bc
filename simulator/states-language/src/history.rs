//! The history of an execution: the events that AWS writes, named and counted as AWS does.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::errors::TaskFailure;
use crate::host::Host;

/// How many events an execution may have; the last is the one that ends it.
pub const HISTORY_LIMIT: u64 = 25_000;

/// One event of an execution's history.
#[derive(Clone, Debug)]
pub struct HistoryEvent {
    /// The execution that it belongs to.
    pub execution_arn: Arc<str>,
    /// Its number, from 1.
    pub id: u64,
    /// The number of the event that led to it; 0 for the first.
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
    /// The field whose expression failed.
    pub location: Option<String>,
    /// The variables that were assigned when the state was left.
    pub assigned: Option<Arc<Value>>,
}

impl EventDetails {
    pub(crate) fn failure(failure: &TaskFailure) -> Self {
        Self {
            error: Some(failure.error.clone()),
            cause: Some(failure.cause.clone()),
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

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which state of which branch an event is about.
#[derive(Clone)]
pub(crate) struct Place {
    pub state: Arc<str>,
    pub path: Arc<str>,
}

impl Place {
    pub(crate) fn nowhere() -> Self {
        Self {
            state: Arc::from(""),
            path: Arc::from(""),
        }
    }
}

/// The history while it is being written.
pub(crate) struct Journal {
    execution_arn: Arc<str>,
    host: Rc<dyn Host>,
    events: RefCell<Vec<HistoryEvent>>,
    /// After the last event nothing more is written, whatever is still being dropped.
    closed: Cell<bool>,
}

impl Journal {
    /// `events` are those that were written before a redrive.
    pub(crate) fn new(execution_arn: Arc<str>, host: Rc<dyn Host>, events: Vec<HistoryEvent>) -> Self {
        Self {
            execution_arn,
            host,
            events: RefCell::new(events),
            closed: Cell::new(false),
        }
    }

    /// The number of the last event; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.events.borrow().len() as u64
    }

    /// Writes an event and moves `previous` on to it.
    ///
    /// # Errors
    /// `States.Runtime`, which nothing catches, when only the ending event still fits.
    pub(crate) fn push(
        &self,
        previous: &Cell<u64>,
        place: &Place,
        kind: EventKind,
        details: EventDetails,
    ) -> Result<(), TaskFailure> {
        let written = self.events.borrow().len() as u64;
        if written + 1 >= HISTORY_LIMIT {
            return Err(TaskFailure::runtime(format!(
                "The execution reached the maximum number of history events ({HISTORY_LIMIT})."
            )));
        }
        self.write(previous, place, kind, details);
        Ok(())
    }

    /// Writes the event that ends the execution.
    pub(crate) fn close(&self, previous: &Cell<u64>, kind: EventKind, details: EventDetails) {
        self.write(previous, &Place::nowhere(), kind, details);
        self.closed.set(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(crate) fn take(&self) -> Vec<HistoryEvent> {
        std::mem::take(&mut self.events.borrow_mut())
    }

    fn write(&self, previous: &Cell<u64>, place: &Place, kind: EventKind, details: EventDetails) {
        if self.closed.get() {
            return;
        }
        let id = self.events.borrow().len() as u64 + 1;
        let event = HistoryEvent {
            execution_arn: Arc::clone(&self.execution_arn),
            id,
            previous: previous.replace(id),
            timestamp: self.host.now(),
            kind,
            state: Arc::clone(&place.state),
            path: Arc::clone(&place.path),
            details,
        };
        // Observed before it is stored, and with no borrow held: an observer may look around.
        self.host.observe(&event);
        self.events.borrow_mut().push(event);
    }
}
