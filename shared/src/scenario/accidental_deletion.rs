//! Objects were deleted that should not have been.

use super::module::{Deadline, Module, NothingMore};
use crate::plan::{Duration, Plan, Site};

pub(super) struct AccidentalDeletion;

impl Module for AccidentalDeletion {
    const NAME: &'static str = "accidental-deletion";
    const TITLE: &'static str = "Deletion by accident";
    const MACHINE: Option<&'static str> = None;
    const LOSES_WRITES: bool = false;
    const DEADLINES: &'static [Deadline] = &[Deadline::of_plan(
        "health",
        "Until the public name answers healthily.",
        Duration::from_secs(3600),
    )];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["health"];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}
