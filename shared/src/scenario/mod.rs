//! Scenarios: one module for each kind of disaster, behind a handle that plans, requests and records name it by.
//!
//! A module says what can be asked for, how long its machine may wait, which part of the plan that machine gets, and whether
//! writes can be lost. A new scenario is a new module and its line in `list`.

mod accidental_deletion;
mod az_failure;
mod database_corruption;
mod handle;
mod list;
mod module;
pub mod region_failure;
mod security_breach;
mod service_recovery;

pub use handle::Scenario;
pub use module::{Deadline, Definition, Fields, Module, NothingMore, SetBy};

impl Scenario {
    /// One Availability Zone is lost.
    pub const AZ_FAILURE: Self = Self::of::<az_failure::AzFailure>();
    /// A whole Region is lost.
    pub const REGION_FAILURE: Self = Self::of::<region_failure::RegionFailure>();
}
