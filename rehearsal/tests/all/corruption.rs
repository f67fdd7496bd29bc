//! Wrong data in the database, without faults and under each fault of its own. In every rehearsal what must always hold is checked too.

use rehearsal::scenarios::database_corruption::DatabaseCorruption;
use rehearsal::{Fault, Rehearsal, Script, compatible, rehearse};

use crate::PLAN;

/// Plays it with these faults in so many seeds; nothing is that must not be, and each fault applies.
#[track_caller]
fn played(faults: &[&str], resume: bool, seeds: u64) -> Vec<Rehearsal> {
    let faults: Vec<Fault> = faults.iter().map(|spec| spec.parse().unwrap()).collect();
    compatible(&faults).unwrap();
    let script = Script {
        faults,
        resume,
        ..Script::new(&DatabaseCorruption)
    };
    let each = (1..=seeds).map(|seed| {
        let rehearsal = rehearse(&PLAN, &script, seed, |_| {}).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        assert_eq!(rehearsal.breaches, [], "seed {seed}: {:?}", rehearsal.reason);
        let without: Vec<_> = rehearsal.without_effect().collect();
        assert!(
            without.is_empty(),
            "seed {seed}: {without:?} never applied; {}",
            rehearsal.outcome
        );
        rehearsal
    });
    each.collect()
}

fn calls(rehearsal: &Rehearsal, operation: &str) -> u64 {
    let calls = rehearsal.aws_calls.iter().filter(|call| call.operation == operation);
    calls.map(|call| call.count).sum()
}

#[track_caller]
fn ends_as(rehearsals: &[Rehearsal], outcome: &str, why: &str) {
    for rehearsal in rehearsals {
        let Rehearsal { seed, reason, .. } = rehearsal;
        assert_eq!(rehearsal.outcome, outcome, "seed {seed}: {reason:?}");
        let reason = reason.as_deref().unwrap_or_default();
        assert!(reason.contains(why), "seed {seed}: {reason}");
    }
}

/// Seconds that a measured time may be off: as for every scenario.
const RTO_TOLERANCE: f64 = 70.0;
const RPO_TOLERANCE: f64 = 6.1;

#[test]
fn it_is_recovered_from_within_the_objectives_and_measured() {
    for rehearsal in played(&[], false, 20) {
        let (seed, achieved, truth) = (rehearsal.seed, &rehearsal.achieved, &rehearsal.truth);
        assert_eq!(rehearsal.outcome, "recovered", "seed {seed}: {:?}", rehearsal.reason);
        assert!(rehearsal.within_objectives, "seed {seed}: {:?}", rehearsal.met);
        let off = |measured: Option<f64>, truth: Option<f64>| (measured.unwrap() - truth.unwrap()).abs();
        assert!(
            off(achieved.rto_seconds, truth.rto_seconds) <= RTO_TOLERANCE,
            "seed {seed}: {achieved:?}, {truth:?}"
        );
        assert!(
            off(achieved.rpo_seconds, truth.rpo_seconds) <= RPO_TOLERANCE,
            "seed {seed}: {achieved:?}, {truth:?}"
        );
        assert!(truth.lost_writes > 0, "seed {seed}: what was written since is lost");
        assert_eq!(calls(&rehearsal, "RestoreDBClusterToPointInTime"), 1, "seed {seed}");
        assert_eq!(
            calls(&rehearsal, "CreateDBInstance"),
            2,
            "seed {seed}: as many as there were"
        );
    }
}

#[test]
fn a_restore_that_does_not_end_or_fails_is_taken_back() {
    ends_as(
        &played(&["restore-stuck"], false, 4),
        "rolled-back",
        "was not available within",
    );
    ends_as(
        &played(&["restore-failed"], false, 4),
        "rolled-back",
        "the restore failed",
    );
    let refused = played(&["restore-refused:StorageType"], false, 4);
    ends_as(&refused, "rolled-back", "StorageType isn't supported");
}

#[test]
fn a_quota_is_named_and_what_was_made_is_deleted() {
    ends_as(&played(&["quota:clusters"], false, 4), "rolled-back", "LimitExceeded");
    let instances = played(&["quota:instances"], false, 4);
    ends_as(&instances, "rolled-back", "LimitExceeded");
    assert!(
        instances
            .iter()
            .all(|rehearsal| calls(rehearsal, "DeleteDBCluster") > 0)
    );
}

#[test]
fn variables_that_cannot_be_read_are_found_before_anything_is_stopped() {
    let refused = played(&["encrypted-variables"], false, 4);
    ends_as(
        &refused,
        "refused",
        "radiant-production-configuration could not be pointed",
    );
    assert!(
        refused
            .iter()
            .all(|rehearsal| calls(rehearsal, "PutFunctionConcurrency") == 0)
    );
}

#[test]
fn a_deploy_in_between_is_kept() {
    ends_as(&played(&["concurrent-deploy"], false, 6), "recovered", "");
}

#[test]
fn who_declines_or_sleeps_finds_everything_as_before() {
    ends_as(&played(&["approver-declines"], false, 4), "declined", "declined by");
    ends_as(&played(&["approver-asleep"], false, 4), "expired", "nobody answered");
}

#[test]
fn what_was_stopped_and_pointed_is_resumed() {
    for stop_at in [
        "restore-cluster",
        "create-instance",
        "validate-database",
        "repoint-function",
    ] {
        let script = Script {
            stop_at: Some(stop_at.to_owned()),
            ..Script::new(&DatabaseCorruption)
        };
        let rehearsal = rehearse(&PLAN, &script, 5, |_| {}).unwrap();
        assert_eq!(rehearsal.breaches, [], "{stop_at}");
        assert_eq!(rehearsal.outcome, "recovered", "{stop_at}: {:?}", rehearsal.reason);
    }
}

#[test]
fn killed_after_any_call_it_makes_one_cluster() {
    for step in [
        "stop-writes",
        "restore-cluster",
        "create-instance",
        "finish-cluster",
        "repoint-function",
        "resume-writes",
    ] {
        for call in 1..=12 {
            let fault: Fault = format!("kill:{step}:{call}").parse().unwrap();
            let script = Script {
                faults: vec![fault],
                ..Script::new(&DatabaseCorruption)
            };
            let rehearsal = rehearse(&PLAN, &script, call, |_| {}).unwrap();
            let what = format!("{step} {call}: {:?}", rehearsal.reason);
            assert_eq!(rehearsal.breaches, [], "{what}");
            if rehearsal.without_effect().count() > 0 {
                break;
            }
            assert_eq!(rehearsal.outcome, "recovered", "{what}");
            assert_eq!(calls(&rehearsal, "RestoreDBClusterToPointInTime"), 1, "{what}");
        }
    }
}
