//! Everything, in order.

use super::Scenario;
use super::module::{DATABASE, Deadline, HEALTH, Module, NothingMore};
use crate::plan::{Plan, Site};

pub(super) struct ServiceRecovery;

impl Module for ServiceRecovery {
    const SCENARIO: Scenario = Scenario::SERVICE_RECOVERY;
    const TITLE: &'static str = "Recovery of the whole service";
    const LOSES_WRITES: bool = true;
    const DEADLINES: &'static [Deadline] = &[DATABASE, HEALTH];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["database", "health"];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}
