//! One file per verb.

pub mod automation;
pub mod campaign;
pub mod plan;
pub mod rehearse;
pub mod reopen;
pub mod resume;
pub mod runbook;
pub mod snapshot;
pub mod start;
