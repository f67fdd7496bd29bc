//! The data is wrong.

use super::module::{Deadline, Module, NothingMore};
use crate::plan::{Duration, Plan, Site};

pub(super) struct DatabaseCorruption;

impl Module for DatabaseCorruption {
    const NAME: &'static str = "database-corruption";
    const TITLE: &'static str = "Wrong data in the database";
    const MACHINE: Option<&'static str> = None;
    const LOSES_WRITES: bool = true;
    const DEADLINES: &'static [Deadline] = &[
        Deadline::of_plan(
            "database",
            "Until the database answers reads and writes.",
            Duration::from_secs(4 * 3600),
        ),
        Deadline::of_plan(
            "health",
            "Until the public name answers healthily.",
            Duration::from_secs(3600),
        ),
    ];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["database", "health"];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}
