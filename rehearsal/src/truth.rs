//! What the customers of a rehearsal saw, and broken rules.

use jiff::Timestamp;
use serde::Serialize;

/// What the customers saw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// From the disaster until they were served for good; nothing if they never were.
    pub rto_seconds: Option<f64>,
    /// The age, at the disaster, of their last write that survived; nothing where no write may be lost.
    pub rpo_seconds: Option<f64>,
    /// How many of the writes that were acknowledged to them are gone.
    pub lost_writes: usize,
}

/// A rule that must always hold, and was broken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breach {
    /// The rule's name.
    pub invariant: &'static str,
    /// When it was broken.
    pub at: Timestamp,
    /// What was seen.
    pub what: String,
}
