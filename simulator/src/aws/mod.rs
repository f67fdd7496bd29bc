//! The simulated services. Each knows what AWS documents of itself, and nothing of who calls it or why.

pub mod apigateway;
pub mod cloudwatch;
pub mod door;
pub mod dynamodb;
pub mod events;
mod failures;
pub mod health;
pub mod lambda;
mod quota;
pub mod rds;
pub mod rds_data;
pub mod resources;
pub(crate) mod retry_quota;
pub mod route53;
pub mod s3;
pub mod sns;
pub mod states;
pub(crate) mod wire;
mod xml;
