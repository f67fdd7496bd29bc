//! The simulated services. Each knows what AWS documents of itself, and nothing of who calls it or why.

pub mod apigateway;
mod cbor;
pub mod cloudwatch;
pub mod door;
pub mod dynamodb;
pub mod elasticache;
pub mod events;
pub mod health;
pub mod iam;
mod inside;
pub mod lambda;
pub mod logs;
pub(crate) mod operations;
pub mod quota;
pub mod rds;
mod refusal;
pub mod resources;
pub(crate) mod retry_quota;
pub mod route53;
pub mod s3;
pub mod secretsmanager;
pub mod service;
pub(crate) mod services;
pub mod sns;
pub mod states;
pub mod wire;
mod xml;
