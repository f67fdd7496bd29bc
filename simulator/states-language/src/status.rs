//! How executions end.

use serde_json::Value;

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecutionStatus {
    /// Well, with this output.
    Succeeded {
        /// The output of the last state.
        output: Value,
    },
    /// A failure that nothing caught, or a Fail state.
    Failed {
        /// The error's name; empty if `SendTaskFailure` or a Fail state gave none.
        error: String,
        /// The explanation; empty if there is none.
        cause: String,
    },
    /// The machine's own `TimeoutSeconds` ran out.
    TimedOut,
    /// Stopped from outside.
    Aborted {
        /// As given by who stopped it.
        error: String,
        /// As given by who stopped it.
        cause: String,
    },
}

impl ExecutionStatus {
    /// The status as AWS writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "SUCCEEDED",
            Self::Failed { .. } => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted { .. } => "ABORTED",
        }
    }
}
