//! Every part of the Region that takes over, broken before a recovery begins: it recovers, or changes nothing.

use std::collections::BTreeSet;

use rehearsal::scenarios::region_failure::RegionFailure;
use rehearsal::scenarios::region_return::RegionReturn;
use rehearsal::{Disaster, Rehearsal, Script, rehearse};

use crate::{PLAN, quick};

const PARTS: [&str; 6] = ["functions", "event-sources", "stage", "switch", "data-api", "cluster"];
const HOW: [&str; 3] = ["missing", "denied", "wrong"];

fn play(disaster: &'static dyn Disaster, faults: &[&str]) -> Rehearsal {
    let script = Script {
        faults: faults.iter().map(|spec| spec.parse().unwrap()).collect(),
        ..quick(disaster)
    };
    rehearse(&PLAN, &script, 7, |_| {}).unwrap_or_else(|why| panic!("{faults:?}: {why}"))
}

fn broken() -> impl Iterator<Item = String> {
    PARTS
        .iter()
        .flat_map(|part| HOW.map(|how| format!("standby-broken:{part}:{how}")))
}

#[track_caller]
fn ends_as_one_of(rehearsal: &Rehearsal, broken: &str, outcomes: &[&str]) {
    let Rehearsal { outcome, reason, .. } = rehearsal;
    assert_eq!(rehearsal.breaches, [], "{broken}");
    assert!(outcomes.contains(outcome), "{broken} ends as {outcome}: {reason:?}");
}

/// That nothing is changed where it is refused is an invariant of every rehearsal.
#[test]
fn a_switchover_recovers_or_is_refused_with_nothing_changed() {
    let mut refused = BTreeSet::new();
    for broken in broken() {
        let rehearsal = play(&RegionReturn, &[&broken]);
        ends_as_one_of(&rehearsal, &broken, &["recovered", "refused"]);
        if rehearsal.outcome == "refused" {
            let reason = rehearsal.reason.unwrap_or_default();
            assert_eq!(rehearsal.fence, None, "{broken}");
            assert!(!reason.is_empty(), "{broken}");
            refused.insert(broken);
        }
    }
    for part in ["functions", "stage", "switch", "data-api", "cluster"] {
        for how in HOW {
            let broken = format!("standby-broken:{part}:{how}");
            assert!(refused.contains(&broken), "{broken} is not noticed: {refused:?}");
        }
    }
}

/// People read what is broken before anything is done, and say no.
#[test]
fn a_failover_recovers_or_asks_and_changes_nothing() {
    for broken in broken() {
        let rehearsal = play(&RegionFailure, &[&broken, "approver-declines"]);
        ends_as_one_of(&rehearsal, &broken, &["recovered", "refused", "declined"]);
    }
}

/// What a fence needs of the Region that is left can only be read there: where it cannot be closed, people decide, and nobody is
/// left without a service.
#[test]
fn a_region_that_does_not_let_itself_be_fenced_is_a_question() {
    for part in ["functions", "event-sources", "stage"] {
        let denied = format!("old-side-denied:{part}");
        let approved = play(&RegionReturn, &[&denied]);
        ends_as_one_of(&approved, &denied, &["recovered"]);
        let declined = play(&RegionReturn, &[&denied, "approver-declines"]);
        ends_as_one_of(&declined, &denied, &["recovered", "declined"]);
    }
}
