//! Plays many runs on all cores, and adds up their results.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use serde::Serialize;
use shared::plan::Plan;

use super::run::{Run, one};
use crate::room::spawn_with_room;
use crate::script::Script;
use crate::spread::Spread;

/// The results of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Campaign {
    /// The seed of the first run; each further run has the next.
    pub seed: u64,
    /// How many runs there were.
    pub runs: usize,
    /// What was rehearsed, in the order of its name.
    pub scenarios: BTreeMap<&'static str, Totals>,
    /// Each kind of fault: in how many runs it was drawn, and in how many it applied. In the others something else came
    /// first.
    pub faults: BTreeMap<&'static str, Drawn>,
    /// The runs that broke a rule that must always hold.
    pub breaches: Vec<Run>,
}

/// How often a kind of fault was drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// In how many runs.
    pub runs: usize,
    /// In how many of these it applied.
    pub applied: usize,
    /// How many of those in which it applied ended in each way.
    pub outcomes: BTreeMap<&'static str, usize>,
}

/// The results of the rehearsals of one scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// How many runs.
    pub runs: usize,
    /// How many ended in each way.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// The first run that ended in each way.
    pub examples: BTreeMap<&'static str, Run>,
    /// Each RTO that was measured, in seconds, in the order of seeds.
    pub rto_seconds: Vec<f64>,
    /// Each RPO that was measured, in seconds, in the order of seeds.
    pub rpo_seconds: Vec<f64>,
}

impl Totals {
    /// Minimum, median, p95 and maximum of the RTO.
    pub fn rto(&self) -> Spread {
        Spread::of(self.rto_seconds.iter().copied())
    }

    /// Minimum, median, p95 and maximum of the RPO.
    pub fn rpo(&self) -> Spread {
        Spread::of(self.rpo_seconds.iter().copied())
    }
}

impl Campaign {
    /// Adds a run; they must come in the order of their seeds.
    fn add(&mut self, run: Run) {
        self.runs += 1;
        let totals = self.scenarios.entry(run.scenario.name()).or_default();
        totals.runs += 1;
        *totals.outcomes.entry(run.outcome).or_default() += 1;
        totals.examples.entry(run.outcome).or_insert_with(|| run.clone());
        totals.rto_seconds.extend(run.rto_seconds);
        totals.rpo_seconds.extend(run.rpo_seconds);
        for applied in &run.faults {
            let drawn = self.faults.entry(applied.fault.kind()).or_default();
            drawn.runs += 1;
            if applied.times > 0 {
                drawn.applied += 1;
                *drawn.outcomes.entry(run.outcome).or_default() += 1;
            }
        }
        if !run.breaches.is_empty() {
            self.breaches.push(run);
        }
    }
}

/// Plays `runs` rehearsals on all cores, from `seed` on; `script` says what each seed plays, such as [`draw`](super::draw).
/// `progress` hears of the campaign after each run, in the order of seeds. Ends early where `stop` says so; what was played by
/// then counts.
pub fn play(
    plan: &Plan,
    script: impl Fn(u64) -> Script + Sync,
    runs: u32,
    seed: u64,
    stop: &AtomicBool,
    mut progress: impl FnMut(&Campaign),
) -> Campaign {
    let next = AtomicU32::new(0);
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(runs as usize);
    let (send, results) = mpsc::channel::<(u32, Run)>();
    let mut campaign = Campaign {
        seed,
        ..Campaign::default()
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            let (send, next, script) = (send.clone(), &next, &script);
            spawn_with_room(scope, move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let seed = seed.wrapping_add(u64::from(index));
                    if index >= runs || send.send((index, one(plan, &script(seed), seed))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        for (index, run) in results {
            waiting.insert(index, run);
            while let Some(run) = u32::try_from(campaign.runs).ok().and_then(|next| waiting.remove(&next)) {
                campaign.add(run);
                progress(&campaign);
            }
        }
    });
    campaign
}
