//! The stories of the scenarios. One that is not here is told by what holds of every recovery.

pub(crate) mod region_failure;
pub(crate) mod told;

use region_failure::RegionFailure;
use told::{Plain, Story};

/// Each scenario that has a story of its own.
const STORIES: [&dyn Story; 1] = [&RegionFailure];

/// The story of a scenario, by its name.
pub(crate) fn of(scenario: &str) -> &'static dyn Story {
    let found = STORIES.into_iter().find(|story| story.scenario() == scenario);
    found.unwrap_or(&Plain)
}
