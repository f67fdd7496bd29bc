//! RDS: Aurora clusters in a global database, their failover and switchover over time, and the databases inside.
//!
//! Simplified, always to the worse side: Aurora tries to stop the old side's writes when it fails over, and promises
//! nothing; here it never manages to, and the old side takes writes until it has been made anew, when they are gone. A
//! switchover during which either Region, or its databases, go away is cancelled at once.
//!
//! Replication and what has begun need no Region's public API, so that it may be away meanwhile.

mod clusters;
pub mod data_api;
mod failures;
mod instances;
mod log;
mod logins;
mod parameters;
mod passwords;
mod replication;
mod requests;
mod resources;
mod restores;
mod service;
mod settings;
mod snapshots;
mod state;
#[cfg(test)]
mod tests;
mod transitions;
mod xml;

pub(crate) use self::clusters::{Access, Statement};
pub use self::clusters::{NewCluster, SqlRefusal};
pub use self::replication::replicate;
pub use self::resources::{Quota, RestoreFate};
pub use self::settings::{LogStatement, Settings};
pub use self::snapshots::Peculiar;
pub use self::state::{Move, Rds};
