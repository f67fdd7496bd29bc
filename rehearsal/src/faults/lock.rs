//! Who holds the lock already.

use shared::recovery::Mode;

use crate::fault::{Area, Count, Effect, FaultKind};
use crate::world::World;

/// What each of these says.
const WHO_HOLDS_THE_LOCK: &str = "who holds the lock";

/// A drill holds the lock.
pub static DRILL_RUNNING: FaultKind = FaultKind {
    lots: 1,
    says: &[WHO_HOLDS_THE_LOCK],
    ..FaultKind::plain::<DrillRunning>(
        Area::Executions,
        "drill-running",
        "a drill holds the lock",
        "takes the lock over",
    )
};

#[derive(Default)]
struct DrillRunning;

impl Effect for DrillRunning {
    fn at_the_disaster(&self, _world: &World<'_>) -> Option<Count> {
        Some(Box::new(|_| 1))
    }

    fn holds_the_lock(&self) -> Option<Mode> {
        Some(Mode::Drill)
    }
}

/// Another live recovery holds the lock.
pub static BUSY: FaultKind = FaultKind {
    lots: 1,
    says: &[WHO_HOLDS_THE_LOCK],
    ..FaultKind::plain::<Busy>(
        Area::Executions,
        "busy",
        "another live recovery holds the lock",
        "ends as refused, and names the recovery that holds the lock, and since when",
    )
};

#[derive(Default)]
struct Busy;

impl Effect for Busy {
    fn at_the_disaster(&self, _world: &World<'_>) -> Option<Count> {
        Some(Box::new(|_| 1))
    }

    fn holds_the_lock(&self) -> Option<Mode> {
        Some(Mode::Live)
    }
}
