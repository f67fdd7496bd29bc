//! What goes wrong with the caches that hold copies of the data.

use shared::plan::Emptying;
use simulator::aws::elasticache::Trouble;

use crate::fault::{Area, Count, Effect, FaultKind, Fits};
use crate::world::World;

/// The first cache of the primary Region that the plan says how to empty.
fn cache<'a>(world: &'a World<'_>) -> Option<&'a Emptying> {
    world.plan.regions.primary.emptied_caches().next()
}

/// Something is wrong with it from the beginning; counts how often somebody had to do with that.
fn begin(world: &World<'_>, trouble: Trouble) -> Option<Count> {
    let endpoint = cache(world)?.endpoint.clone();
    world.cloud().elasticache.trouble(&endpoint, Some(trouble));
    Some(Box::new(move |simulation| {
        simulation.cloud().elasticache.troubled(&endpoint)
    }))
}

fn end(world: &World<'_>) {
    if let Some(cache) = cache(world) {
        world.cloud().elasticache.trouble(&cache.endpoint, None);
    }
}

/// Why a cache refuses, by name.
pub(crate) const REFUSALS: [(&str, Trouble); 3] = [
    ("command", Trouble::Renamed),
    ("password", Trouble::OtherPassword),
    ("replica", Trouble::Replica),
];

/// The cache refuses what emptying it takes.
pub(super) static REFUSES: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &["what the cache does"],
    ..FaultKind::with(
        Area::Resources,
        "cache-refuses:<refusal>",
        "the first cache has another password, has the commands renamed, or is a replica",
        "ends as refused before anything is changed, and names the cache",
        |said| {
            let (name, trouble) = said.one_of("refusal", &REFUSALS)?;
            Ok(Box::new(Refuses(name, trouble)))
        },
        |rng, _| {
            let (name, trouble) = REFUSALS[rng.usize(..REFUSALS.len())];
            Box::new(Refuses(name, trouble))
        },
    )
};

struct Refuses(&'static str, Trouble);

impl Effect for Refuses {
    fn argument(&self) -> Option<String> {
        Some(self.0.to_owned())
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        begin(world, self.1)
    }

    fn lift(&self, world: &World<'_>) {
        end(world);
    }
}

/// Nobody reaches the cache.
pub(super) static AWAY: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &["what the cache does"],
    ..FaultKind::plain::<Away>(
        Area::Resources,
        "cache-away",
        "no connection to the first cache comes about",
        "ends as rolled-back; people were warned before they approved, and no customer is let in",
    )
};

#[derive(Default)]
struct Away;

impl Effect for Away {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        begin(world, Trouble::Away)
    }

    fn lift(&self, world: &World<'_>) {
        end(world);
    }
}

/// Connections to the cache end in the middle.
pub(super) static CUTS: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &["what the cache does"],
    ..FaultKind::plain::<Cuts>(
        Area::Resources,
        "cache-cuts",
        "a connection to the first cache ends after 2 keys are removed, 3 times",
        "ends as recovered; the cache is empty before customers come",
    )
};

/// After so many keys, so many times.
const CUT: Trouble = Trouble::Cuts { after: 2, times: 3 };

#[derive(Default)]
struct Cuts;

impl Effect for Cuts {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        begin(world, CUT)
    }

    fn lift(&self, world: &World<'_>) {
        end(world);
    }
}
