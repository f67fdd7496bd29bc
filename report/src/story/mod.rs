//! The stories of the scenarios. One that is not here is told by what holds of every recovery.

pub(crate) mod database_corruption;
pub(crate) mod region_failure;
pub(crate) mod told;

use std::sync::{PoisonError, RwLock};

use shared::scenario::Scenario;

use database_corruption::DatabaseCorruption;
use region_failure::RegionFailure;
use told::{Plain, Story};

/// Each scenario that has a story of its own.
const STORIES: [(Scenario, &dyn Story); 2] = [
    (Scenario::DATABASE_CORRUPTION, &DatabaseCorruption),
    (Scenario::REGION_FAILURE, &RegionFailure),
];

/// What [`add`] brought.
static ADDED: RwLock<Vec<(Scenario, &'static dyn Story)>> = RwLock::new(Vec::new());

/// Brings the story of a scenario that [`Scenario::add`] made known. Added again, the first one stays.
pub fn add(scenario: Scenario, story: &'static dyn Story) {
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    added.push((scenario, story));
}

/// The story of a scenario.
pub(crate) fn of(scenario: Scenario) -> &'static dyn Story {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let mut known = STORIES.iter().chain(added.iter());
    let found = known.find(|(told, _)| *told == scenario);
    found.map_or(&Plain, |(_, story)| *story)
}
