//! One file per verb.

pub mod plan;
pub mod rehearse;
