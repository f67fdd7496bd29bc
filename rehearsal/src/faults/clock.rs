//! Clocks that are off.

use std::time::Duration;

use shared::plan;

use crate::fault::{Area, Count, Effect, FaultKind, applied, in_one_word};
use crate::world::World;

/// The functions' clocks are off.
pub static SKEW: FaultKind = FaultKind {
    lots: 1,
    ..FaultKind::with(
        Area::Executions,
        "clock-skew:<duration>",
        "each function's clock is off by up to this much",
        "ends as recovered; the measured RTO and RPO stay right",
        |said| Ok(Box::new(Skew(said.time()?))),
        |_, _| Box::new(Skew(plan::Duration::from_secs(1))),
    )
};

struct Skew(plan::Duration);

impl Effect for Skew {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        Some(applied(world.cloud().skew_clocks(self.0.as_std())))
    }

    fn clocks_off_by(&self) -> Duration {
        self.0.as_std()
    }
}
