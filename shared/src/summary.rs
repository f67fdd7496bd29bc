//! What steps say of their outputs to whoever watches.

use serde::{Deserialize, Serialize};

use crate::record::Warning;

/// What a step's output tells a person most. Every output that a machine gets back has these fields beside its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// One sentence without a full stop: what was found or done.
    #[serde(rename = "summary")]
    pub sentence: String,
    /// How far the step's purpose is achieved.
    pub progress: Progress,
}

/// How far a step's purpose is achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// As it should be.
    Done,
    /// Not yet; it is looked again.
    Waiting,
    /// Not as it should be.
    Failed,
}

/// What has a summary: the output of each step.
pub trait Summarise {
    /// Its summary.
    fn summarise(&self) -> Summary;
}

impl Summary {
    /// It is as it should be.
    pub fn done(sentence: impl Into<String>) -> Self {
        Self::new(sentence, Progress::Done)
    }

    /// It is not over yet.
    pub fn waiting(sentence: impl Into<String>) -> Self {
        Self::new(sentence, Progress::Waiting)
    }

    /// It is not as it should be.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self::new(sentence, Progress::Failed)
    }

    fn new(sentence: impl Into<String>, progress: Progress) -> Self {
        Self {
            sentence: sentence.into(),
            progress,
        }
    }

    /// With what each warning says could not be done; its cause is a chain of errors, and is on the record.
    #[must_use]
    pub fn warning(mut self, warnings: &[Warning]) -> Self {
        for warning in warnings {
            self.sentence.push_str("; warning: ");
            self.sentence.push_str(&warning.text);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::WarningCode;

    #[test]
    fn a_warning_is_said_without_its_cause() {
        let warnings = [Warning::new(WarningCode::Unknown, "it cannot be seen").because("Unavailable: no answer")];
        let summary = Summary::done("opened").warning(&warnings);
        assert_eq!(summary, Summary::done("opened; warning: it cannot be seen"));
    }
}
