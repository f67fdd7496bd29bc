//! What a seed draws: a disaster, the faults beside it, and whether a failure is gone on with.

use std::hash::{DefaultHasher, Hash, Hasher};

use fastrand::Rng;
use shared::plan::Duration;
use simulator::cloud::endpoints;

use crate::deployment::STEPS;
use crate::faults::{Fault, compatible, scenario_states};
use crate::script::{Disaster, Script};

/// How many faults there are: of 20 runs, so many have none, one, two, three.
const SHARES: [(usize, usize); 4] = [(0, 2), (1, 8), (2, 6), (3, 4)];
/// Of 20 runs so many are of the scenario that is first of those that are asked for; the others share the rest.
const FIRST_SCENARIO_SHARE: usize = 18;
/// The service that no recovery depends on: what AWS Health says is shown, and decides nothing.
const NOT_DEPENDED_ON: &str = "health";
/// Operations whose answers are lost: all that change something, and the looks that most depends on.
const OPERATIONS: [&str; 18] = [
    "DeleteFunctionConcurrency",
    "DescribeDBClusters",
    "DescribeGlobalClusters",
    "ExecuteStatement",
    "FailoverGlobalCluster",
    "GetItem",
    "GetMetricData",
    "Publish",
    "PutFunctionConcurrency",
    "PutItem",
    "PutObject",
    "SendTaskSuccess",
    "StartExecution",
    "SwitchoverGlobalCluster",
    "TransactWriteItems",
    "UpdateEventSourceMapping",
    "UpdateItem",
    "UpdateStage",
];
/// Kinds of faults that say something about an alarm's event or about how the first disaster comes, and nothing about a
/// way back that a person starts.
const NOT_ON_THE_WAY_BACK: [&str; 6] = [
    "region-outage",
    "grey-region",
    "grey-control",
    "duplicate-event",
    "late-event",
    "flapping-alarm",
];

/// What the run with this seed plays, of `disasters`.
pub fn draw(disasters: &[Disaster], seed: u64) -> Script {
    let mut hasher = DefaultHasher::new();
    // Another stream than those of the world, which begin with the same seed.
    (seed, "campaign").hash(&mut hasher);
    let mut rng = Rng::with_seed(hasher.finish());
    let disaster = match disasters.split_first() {
        Some((_, others)) if !others.is_empty() && rng.usize(..20) >= FIRST_SCENARIO_SHARE => {
            others[rng.usize(..others.len())]
        }
        Some((first, _)) => *first,
        None => Disaster::RegionFailure,
    };
    let mut script = Script::new(disaster);
    let lot = rng.usize(..20);
    let mut upto = 0;
    let count = SHARES.iter().find_map(|(count, share)| {
        upto += share;
        (lot < upto).then_some(*count)
    });
    while script.faults.len() < count.unwrap_or_default() {
        let mut faults = script.faults.clone();
        faults.push(match some_fault(&mut rng) {
            // What becomes of a failover becomes of the switchover that a way back is.
            Fault::StuckFailover if disaster == Disaster::RegionReturn => Fault::SwitchoverHangs(None),
            Fault::FailedFailover | Fault::GreyRegion | Fault::GreyControl if disaster == Disaster::RegionReturn => {
                Fault::SwitchoverHangs(Some(minutes(5)))
            }
            fault => fault,
        });
        if is_possible(&faults, disaster) {
            script.faults = faults;
        }
    }
    // What people do is seen only where they are asked, which is not often; on a way back it is where that hangs.
    let asked = match disaster {
        Disaster::RegionFailure => [Fault::NoLagMetric, Fault::Lag(minutes(10))],
        Disaster::RegionReturn => [Fault::SwitchoverHangs(Some(minutes(5))), Fault::SwitchoverHangs(None)],
    };
    if script.faults.iter().any(|fault| fault.kind().contains("approver")) {
        let with: Vec<Fault> = script
            .faults
            .iter()
            .cloned()
            .chain([asked[rng.usize(..2)].clone()])
            .collect();
        if is_possible(&with, disaster) {
            script.faults = with;
        }
    }
    script.resume = rng.bool();
    script
}

/// Whether these can be together in a rehearsal of this disaster.
fn is_possible(faults: &[Fault], disaster: Disaster) -> bool {
    let fits = |fault: &Fault| match disaster {
        Disaster::RegionFailure => !matches!(fault, Fault::SwitchoverHangs(_)),
        Disaster::RegionReturn => {
            !NOT_ON_THE_WAY_BACK.contains(&fault.kind())
                && !matches!(
                    fault,
                    Fault::OldOutage(_) | Fault::StuckFailover | Fault::FailedFailover
                )
        }
    };
    // One of a kind: two of it say little more.
    let mut kinds: Vec<&str> = faults.iter().map(Fault::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() == faults.len() && compatible(faults).is_ok() && faults.iter().all(fits)
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn some_fault(rng: &mut Rng) -> Fault {
    let service = |rng: &mut Rng| {
        let services = || {
            endpoints()
                .iter()
                .copied()
                .filter(|service| *service != NOT_DEPENDED_ON)
        };
        let drawn = rng.usize(..services().count());
        services().nth(drawn).unwrap_or_default().to_owned()
    };
    match rng.usize(..28) {
        0 => Fault::RegionOutage,
        1 => Fault::GreyRegion,
        2 => Fault::GreyControl,
        3 => Fault::BothDatabases,
        4 => Fault::Throttle(service(rng)),
        5 => Fault::Errors(service(rng), [0.05, 0.1, 0.2, 0.4][rng.usize(..4)]),
        6 | 7 => Fault::LostReply(OPERATIONS[rng.usize(..OPERATIONS.len())].to_owned()),
        8 | 9 => Fault::Kill(STEPS[rng.usize(..STEPS.len())].name.to_owned(), Some(rng.u64(..10))),
        10 => Fault::KillRandom,
        11 => Fault::DuplicateEvent,
        12 => Fault::LateEvent(minutes([1, 5, 15, 30][rng.usize(..4)])),
        13 => Fault::FlappingAlarm,
        14 => Fault::Lag(Duration::from_secs([2, 30, 240, 600, 7200][rng.usize(..5)])),
        15 => Fault::NoLagMetric,
        16 => Fault::OldOutage(minutes([30, 90, 180][rng.usize(..3)])),
        17 => Fault::SwitchoverHangs([None, Some(minutes(5))][rng.usize(..2)]),
        18 => Fault::StuckFailover,
        19 => Fault::FailedFailover,
        20 => Fault::ApproverAsleep,
        21 => Fault::ApproverDeclines(rng.usize(1..3)),
        22 => Fault::OneApproverTwice,
        23 => Fault::SnsDown,
        24 => match rng.bool() {
            true => Fault::TableThrottled,
            false => Fault::ClockSkew(Duration::from_secs(1)),
        },
        25 => match rng.bool() {
            true => Fault::DrillRunning,
            false => Fault::Busy,
        },
        26 => {
            let states = scenario_states();
            Fault::ChildDies(states[rng.usize(..states.len())].clone())
        }
        _ => match rng.bool() {
            true => Fault::ChildNotStopped,
            false => Fault::StopDenied,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::faults::KINDS;

    #[test]
    fn every_kind_of_fault_is_drawn_and_what_is_drawn_can_be_played() {
        let mut kinds = BTreeSet::new();
        for seed in 0..3000 {
            let script = draw(&Disaster::ALL, seed);
            assert_eq!(script, draw(&Disaster::ALL, seed));
            compatible(&script.faults).unwrap();
            for fault in &script.faults {
                assert_eq!(fault.to_string().parse::<Fault>().as_ref(), Ok(fault));
                kinds.insert(fault.kind());
            }
        }
        assert_eq!(kinds.len(), KINDS.len());
    }

    #[test]
    fn most_runs_are_of_the_first_scenario_and_one_alone_is_always_drawn() {
        let of = |disasters: &[Disaster], wanted| {
            (0..1000)
                .filter(|seed| draw(disasters, *seed).disaster == wanted)
                .count()
        };
        let first = of(&Disaster::ALL, Disaster::RegionFailure);
        assert!((850..950).contains(&first), "{first}");
        assert_eq!(of(&[Disaster::RegionReturn], Disaster::RegionReturn), 1000);
    }
}
