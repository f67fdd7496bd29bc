//! What a machine does not hold to.

use std::fmt;

/// The one check that a breach was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// It loads: states-language finds nothing wrong, and every hole names a function.
    Loads,
    /// It says what it is for and how long it may take.
    Header,
    /// It names no resource of any account.
    Arns,
    /// Its states are named in Pascal case.
    StateNames,
    /// What it passes is what the step takes.
    Payloads,
    /// Every error that it names exists.
    ErrorNames,
    /// What may help to repeat is repeated, and nothing else.
    Retries,
    /// Every Task ends in time.
    Timeouts,
    /// Every failure is caught.
    Catches,
    /// A failing branch does not stop its siblings.
    Branches,
    /// Every loop waits, and ends.
    Loops,
    /// No loop asks too often.
    Polling,
    /// Every path ends in `CloseRecovery`, and then as it should; that of a scenario's machine in what it gives back.
    Endings,
    /// A scenario's machine is started once, by the recovery machine, and leaves to that one what is its own.
    Scenarios,
    /// The history has room for the worst case.
    History,
    /// Every function has a machine that calls it.
    Uncalled,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What found it.
    pub check: Check,
    /// Where it is and what is wrong.
    pub text: String,
}

impl Breach {
    pub(super) fn new(check: Check, text: impl Into<String>) -> Self {
        Self {
            check,
            text: text.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.check, self.text)
    }
}
