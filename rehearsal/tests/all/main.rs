//! Tests of rehearsals. One program, since linking each file by itself takes longer than running it.

mod broken;
mod corruption;
mod defects;
mod faults;
mod planted;

use std::sync::LazyLock;

use rehearsal::{Disaster, OwnTimings, Script};
use shared::plan::Plan;

/// RADIANT's plan.
static PLAN: LazyLock<Plan> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../../../radiant.plan.yaml")).unwrap());

/// Short durations, for what must hold however long something takes.
static QUICK: LazyLock<OwnTimings> = LazyLock::new(|| {
    let text = include_str!("../quick.timings.yaml");
    OwnTimings::read("rehearsal/tests/quick.timings.yaml", text.to_owned()).unwrap()
});

fn quick(disaster: &'static dyn Disaster) -> Script {
    Script {
        timings: Some(QUICK.clone()),
        ..Script::new(disaster)
    }
}

// A rehearsal is many small allocations: this one takes a fifth less time than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
