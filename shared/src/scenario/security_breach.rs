//! Somebody is inside.

use super::module::{Deadline, Module, NothingMore};
use crate::plan::{Duration, Plan, Site};

pub(super) struct SecurityBreach;

impl Module for SecurityBreach {
    const NAME: &'static str = "security-breach";
    const TITLE: &'static str = "Security breach";
    const MACHINE: Option<&'static str> = None;
    const LOSES_WRITES: bool = false;
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
