//! Objects were deleted that should not have been.

use super::Scenario;
use super::module::{Deadline, HEALTH, Module, NothingMore};
use crate::plan::{Plan, Site};

pub(super) struct AccidentalDeletion;

impl Module for AccidentalDeletion {
    const SCENARIO: Scenario = Scenario::ACCIDENTAL_DELETION;
    const TITLE: &'static str = "Deletion by accident";
    const LOSES_WRITES: bool = false;
    const DEADLINES: &'static [Deadline] = &[HEALTH];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["health"];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}
