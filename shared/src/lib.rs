//! What every recovery step uses: the plan, the step contract, errors, the record, AWS clients.

pub mod approval;
pub mod arn;
pub mod aws;
pub mod canary;
pub mod error;
#[cfg(feature = "sfn")]
pub mod execution;
#[cfg(feature = "fence")]
pub mod fence;
#[cfg(feature = "url")]
pub mod function_url;
#[cfg(feature = "rds")]
pub mod global_database;
pub mod health;
pub mod lambda;
pub mod measure;
#[cfg(feature = "cloudwatch")]
pub mod metric;
pub mod outside;
pub mod person;
pub mod plan;
pub mod record;
pub mod recovery;
#[cfg(feature = "reopen")]
pub mod reopen;
pub mod request;
#[cfg(feature = "sfn")]
pub mod resume;
pub mod scenario;
pub mod scenario_run;
pub mod slices;
pub mod step;
pub mod summary;
#[cfg(feature = "sns")]
pub mod topic;
mod waiting;
