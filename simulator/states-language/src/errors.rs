//! The errors of loading, the failures of running, and the names that AWS gives to them.

use std::fmt;

use thiserror::Error;

/// Names of the errors that Step Functions itself raises or matches by.
pub mod names {
    /// Wildcard: every error except [`RUNTIME`]. The guide leaves out [`DATA_LIMIT_EXCEEDED`] too, but Step Functions
    /// catches it.
    pub const ALL: &str = "States.ALL";
    /// A payload is larger than [`crate::PAYLOAD_LIMIT_BYTES`].
    pub const DATA_LIMIT_EXCEEDED: &str = "States.DataLimitExceeded";
    /// More items of a distributed Map failed than are tolerated.
    pub const EXCEED_TOLERATED_FAILURE_THRESHOLD: &str = "States.ExceedToleratedFailureThreshold";
    /// No heartbeat came within `HeartbeatSeconds`. Step Functions reports [`TIMEOUT`]; `Retry` and `Catch` may say this.
    pub const HEARTBEAT_TIMEOUT: &str = "States.HeartbeatTimeout";
    /// The items of a distributed Map could not be read.
    pub const ITEM_READER_FAILED: &str = "States.ItemReaderFailed";
    /// The caller's role may not do what the Task asks for (raised by the host).
    pub const PERMISSIONS: &str = "States.Permissions";
    /// A JSONata expression failed, or gave something that its field cannot take.
    pub const QUERY_EVALUATION_ERROR: &str = "States.QueryEvaluationError";
    /// The results of a distributed Map could not be written.
    pub const RESULT_WRITER_FAILED: &str = "States.ResultWriterFailed";
    /// The machine is defective. Never retried, never caught: it ends the execution.
    pub const RUNTIME: &str = "States.Runtime";
    /// Wildcard: every error that [`ALL`] matches, except [`TIMEOUT`].
    pub const TASK_FAILED: &str = "States.TaskFailed";
    /// `TimeoutSeconds` of a Task or of the machine ran out, or no heartbeat came within `HeartbeatSeconds`.
    pub const TIMEOUT: &str = "States.Timeout";
}

/// Why a Task, a state or an execution failed, as `Retry` and `Catch` see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// The error's name, which `ErrorEquals` is compared with; none if `SendTaskFailure` or a Fail state gives none.
    pub error: Option<String>,
    /// The explanation, for people; none if `SendTaskFailure` or a Fail state gives none.
    pub cause: Option<String>,
    /// The narrower name that `ErrorEquals` may have in place of `error`.
    narrower: Option<&'static str>,
}

impl TaskFailure {
    /// A failure with this name and explanation.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::given(Some(error.into()), Some(cause.into()))
    }

    /// A failure with as much as somebody gave.
    pub(crate) fn given(error: Option<String>, cause: Option<String>) -> Self {
        Self {
            error,
            cause,
            narrower: None,
        }
    }

    pub(crate) fn timeout() -> Self {
        Self::new(names::TIMEOUT, "")
    }

    pub(crate) fn missed_heartbeat() -> Self {
        Self {
            narrower: Some(names::HEARTBEAT_TIMEOUT),
            ..Self::timeout()
        }
    }

    /// Whether it ends the execution whatever is caught.
    pub(crate) fn is_fatal(&self) -> bool {
        self.error.as_deref() == Some(names::RUNTIME)
    }

    /// The names by which `ErrorEquals` may know it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [self.error.as_deref().unwrap_or_default()]
            .into_iter()
            .chain(self.narrower)
    }

    pub(crate) fn query(cause: impl Into<String>) -> Self {
        Self::new(names::QUERY_EVALUATION_ERROR, cause)
    }

    pub(crate) fn runtime(cause: impl Into<String>) -> Self {
        Self::new(names::RUNTIME, cause)
    }

    pub(crate) fn too_large(what: &str, bytes: usize) -> Self {
        Self::new(
            names::DATA_LIMIT_EXCEEDED,
            format!("{what} has {bytes} bytes, more than the maximum of 262144"),
        )
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        write!(f, "{}: {}", text(&self.error), text(&self.cause))
    }
}

/// One defect found while a machine was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The machine's name.
    pub machine: String,
    /// Where in the machine: `Guard`, `Recover.branch[1].Promote`, `Sweep.item.Delete`; empty at the top.
    pub state: String,
    /// The field within the state: `Next`, `Arguments/Payload/id`; empty when the state itself is meant.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine `{}`", self.machine)?;
        if !self.state.is_empty() {
            write!(f, ", state `{}`", self.state)?;
        }
        if !self.field.is_empty() {
            write!(f, ", field `{}`", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every defect of a machine; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct LoadErrors(pub Vec<LoadError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
