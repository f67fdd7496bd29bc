//! One Availability Zone is lost.

use super::Scenario;
use super::module::{DATABASE, Deadline, HEALTH, Module, NothingMore};
use crate::plan::{Plan, Site};

pub(super) struct AzFailure;

impl Module for AzFailure {
    const SCENARIO: Scenario = Scenario::AZ_FAILURE;
    const TITLE: &'static str = "Loss of an Availability Zone";
    const LOSES_WRITES: bool = false;
    const DEADLINES: &'static [Deadline] = &[DATABASE, HEALTH];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["database", "health"];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}
