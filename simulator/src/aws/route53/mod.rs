//! Route 53: hosted zones with CNAME records, plain ones and failover pairs, the control plane that changes them, health
//! checks, and resolvers that keep answers.
//!
//! The control plane is in us-east-1, behind one host for the whole world; what name servers answer needs no Region. A
//! zone's own NS and SOA records are left out, and so is whether a name belongs to its zone.

mod health;
mod records;
mod refusal;
mod requests;
mod resolution;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::health::watch_health;
pub use self::state::{FailoverRecord, HealthCheck, PlainRecord, Resolver, Route53};
