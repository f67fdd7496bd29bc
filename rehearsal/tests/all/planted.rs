//! Campaigns find what is wrong: steps with a planted defect, one at a time.

use std::sync::atomic::AtomicBool;

use rehearsal::campaign::{Run, draw, one, play, shrink};
use rehearsal::scenarios::region_failure::RegionFailure;
use rehearsal::scenarios::region_return::RegionReturn;
use rehearsal::{Disaster, Script};
use shared::plan::Plan;

use crate::PLAN;
use crate::defects::Defect;

/// The scenarios whose steps have the defects.
const MOVES: [&dyn Disaster; 2] = [&RegionFailure, &RegionReturn];
/// Within so many runs each defect must be found.
const RUNS: u32 = 2000;
/// Played at once before checking whether one was found: what is played after the first that finds it is time for nothing.
const AT_ONCE: u32 = 8;

/// The first breach that a campaign with this defect finds, and how many runs that took.
fn first_breach(plan: &Plan, defect: Defect) -> (Run, u64) {
    let script = |seed| Script {
        replaced: vec![defect.replaced()],
        ..drawn_for(defect, seed)
    };
    for first in (1..=RUNS).step_by(AT_ONCE as usize) {
        let seed = u64::from(first);
        let campaign = play(plan, script, AT_ONCE, seed, &AtomicBool::new(false), |_| {});
        if let Some(run) = campaign.breaches.into_iter().next() {
            let runs = run.seed;
            return (run, runs);
        }
    }
    panic!("{defect} was not found in {RUNS} runs");
}

/// What a run plays. Few recoveries take a fence back by chance: where the defect is in that, each does.
fn drawn_for(defect: Defect, seed: u64) -> Script {
    match defect {
        Defect::ForgetsAFunction => Script {
            faults: vec!["child-dies:IsFenced".parse().unwrap()],
            ..Script::new(&RegionReturn)
        },
        _ => draw(&MOVES, seed),
    }
}

/// The campaign finds the defect by one of these invariants; the same script and seed find it again, and the right steps do
/// not breach anything there.
#[track_caller]
fn is_found(defect: Defect, invariants: &[&str]) {
    let plan = &*PLAN;
    let (run, runs) = first_breach(plan, defect);
    println!("{defect}: found in run {runs}: {}", run.script.command(run.seed, None));
    let found: Vec<&str> = run.breaches.iter().map(|breach| breach.invariant).collect();
    assert!(
        invariants.iter().any(|invariant| found.contains(invariant)),
        "{defect} breached {found:?}"
    );

    let again = one(plan, &run.script, run.seed);
    assert_eq!(again, run, "a run is the same each time");
    let right = one(
        plan,
        &Script {
            replaced: Vec::new(),
            ..run.script.clone()
        },
        run.seed,
    );
    assert_eq!(right.breaches, [], "only the defect breaches anything");

    let small = shrink(plan, &run);
    assert!(small.script.faults.len() <= run.script.faults.len() && !small.breaches.is_empty());
}

#[test]
fn a_lock_that_is_not_released() {
    is_found(Defect::KeepsTheLock, &["lock-released"]);
}

#[test]
fn a_retry_that_promotes_twice() {
    is_found(Defect::PromotesTwice, &["promoted-once"]);
}

#[test]
fn an_undo_that_forgets_one_function() {
    is_found(Defect::ForgetsAFunction, &["as-before"]);
}

#[test]
fn a_measured_rto_that_starts_at_the_decision() {
    is_found(Defect::RtoFromTheDecision, &["measured-is-true"]);
}

#[test]
fn a_guard_that_takes_one_class_of_evidence_for_two() {
    is_found(Defect::CountsOneClassTwice, &["unasked-needs-two-classes"]);
}

#[test]
fn a_guard_that_reads_the_lag_too_late() {
    is_found(
        Defect::ReadsTheLagTooLate,
        &["lost-no-more-than-shown", "shown-no-more-than-true"],
    );
}

#[test]
fn event_sources_that_are_enabled_before_the_database_takes_writes() {
    is_found(Defect::EnablesTooEarly, &["no-dead-letters"]);
}
