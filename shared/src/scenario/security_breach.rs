//! Somebody is inside.

use super::Scenario;
use super::module::{DATABASE, Deadline, HEALTH, Module, NothingMore};
use crate::plan::{Plan, Site};

pub(super) struct SecurityBreach;

impl Module for SecurityBreach {
    const SCENARIO: Scenario = Scenario::SECURITY_BREACH;
    const TITLE: &'static str = "Security breach";
    const LOSES_WRITES: bool = false;
    const DEADLINES: &'static [Deadline] = &[DATABASE, HEALTH];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["database", "health"];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}
