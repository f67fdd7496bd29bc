//! The data is wrong.

use super::Scenario;
use super::module::{DATABASE, Deadline, HEALTH, Module, NothingMore};
use crate::plan::{Plan, Site};

pub(super) struct DatabaseCorruption;

impl Module for DatabaseCorruption {
    const SCENARIO: Scenario = Scenario::DATABASE_CORRUPTION;
    const TITLE: &'static str = "Wrong data in the database";
    const LOSES_WRITES: bool = true;
    const DEADLINES: &'static [Deadline] = &[DATABASE, HEALTH];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["database", "health"];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}
