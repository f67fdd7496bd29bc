//! What every recovery step uses: the plan, the step contract, errors, the record, AWS clients.

pub mod aws;
pub mod error;
#[cfg(feature = "rds")]
pub mod global_database;
pub mod health;
pub mod lambda;
pub mod measure;
pub mod plan;
pub mod record;
pub mod recovery;
pub mod slices;
pub mod step;
