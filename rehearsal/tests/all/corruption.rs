//! Wrong data in the database, without faults and under each fault of its own. In every rehearsal what must always hold is checked too.

use rehearsal::scenarios::database_corruption::DatabaseCorruption;
use rehearsal::{Fault, Rehearsal, Script, compatible, rehearse};
use shared::measure::seconds_between;
use shared::plan::{CacheKeys, Consumer, Function};

use crate::defects::Defect;
use crate::{PLAN, quick};

/// Plays it with these faults and short durations in so many seeds; nothing is that must not be, and each fault applies.
#[track_caller]
fn played(faults: &[&str], resume: bool, seeds: u64) -> Vec<Rehearsal> {
    let faults: Vec<Fault> = faults.iter().map(|spec| spec.parse().unwrap()).collect();
    compatible(&faults).unwrap();
    let script = Script {
        faults,
        resume,
        ..quick(&DatabaseCorruption)
    };
    each_of(&script, seeds)
}

#[track_caller]
fn each_of(script: &Script, seeds: u64) -> Vec<Rehearsal> {
    let each = (1..=seeds).map(|seed| {
        let rehearsal = rehearse(&PLAN, script, seed, |_| {}).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
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
    for rehearsal in each_of(&Script::new(&DatabaseCorruption), 20) {
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
fn a_moment_that_is_too_late_and_a_check_that_fails_keep_customers_out() {
    let failed = "check no-negative-amounts: FAILED";
    let fails = played(&["validation-fails:no-negative-amounts"], false, 4);
    ends_as(&fails, "rolled-back", failed);
    ends_as(&played(&["late-detection:10m"], false, 4), "rolled-back", failed);
}

#[track_caller]
fn loss_is_measured_as_true(rehearsals: &[Rehearsal]) {
    for rehearsal in rehearsals {
        let (seed, measured, truth) = (
            rehearsal.seed,
            rehearsal.achieved.rpo_seconds,
            rehearsal.truth.rpo_seconds,
        );
        let off = (measured.unwrap() - truth.unwrap()).abs();
        assert!(off <= RPO_TOLERANCE, "seed {seed}: {measured:?}, {truth:?}");
    }
}

#[test]
fn a_moment_from_before_every_backup_is_refused() {
    let refused = played(&["too-early"], false, 4);
    ends_as(&refused, "refused", "the earliest moment");
    for rehearsal in &refused {
        assert_eq!(calls(rehearsal, "PutFunctionConcurrency"), 0);
    }
}

/// The moment is later than the last write, and in the range of the backup.
#[test]
fn a_loss_in_an_idle_gap_is_counted_from_the_last_write() {
    let idle = played(&["idle-gap"], false, 4);
    ends_as(&idle, "recovered", "");
    loss_is_measured_as_true(&idle);
    for rehearsal in &idle {
        let lost = rehearsal.truth.rpo_seconds.unwrap();
        assert!(lost > 240.0, "seed {}: {lost}", rehearsal.seed);
    }
}

/// No alarm sees the damage, and whoever starts the recovery knows no moment.
#[test]
fn without_an_alarm_it_goes_back_to_a_second_before_what_the_log_shows() {
    let logged = played(&["found-by-a-person:5m", "statements-logged"], false, 4);
    ends_as(&logged, "recovered", "");
    loss_is_measured_as_true(&logged);
    for rehearsal in &logged {
        let lost = rehearsal.truth.rpo_seconds.unwrap();
        assert!(lost > 300.0, "seed {}: {lost}", rehearsal.seed);
        assert_eq!(calls(rehearsal, "RestoreDBClusterToPointInTime"), 1);
    }
}

#[test]
fn without_an_alarm_and_a_log_it_is_refused_and_says_why_the_log_shows_nothing() {
    let refused = played(&["found-by-a-person:5m"], false, 4);
    ends_as(&refused, "refused", "it is not exported to CloudWatch Logs");
    ends_as(&refused, "refused", "--want restore_to=");
    let stopped = |rehearsal: &Rehearsal| calls(rehearsal, "PutFunctionConcurrency");
    assert!(refused.iter().all(|rehearsal| stopped(rehearsal) == 0));
}

/// Its data are minutes older than the damage, and all that was written since is lost.
#[test]
fn a_snapshot_that_a_person_names_is_restored_and_its_age_is_the_loss() {
    for spec in ["from-snapshot:available", "from-snapshot:shared"] {
        let restored = played(&[spec], false, 4);
        ends_as(&restored, "recovered", "");
        loss_is_measured_as_true(&restored);
        for rehearsal in &restored {
            let lost = rehearsal.truth.rpo_seconds.unwrap();
            assert!(lost > 600.0, "seed {}: {lost}", rehearsal.seed);
            assert_eq!(calls(rehearsal, "RestoreDBClusterFromSnapshot"), 1);
            assert_eq!(calls(rehearsal, "RestoreDBClusterToPointInTime"), 0);
        }
    }
    let script = Script {
        faults: vec!["from-snapshot:available".parse().unwrap()],
        account: true,
        ..quick(&DatabaseCorruption)
    };
    let rehearsal = rehearse(&PLAN, &script, 1, |_| {}).unwrap();
    let told = report::markdown(&rehearsal.account.unwrap());
    for words in [
        "from snapshot before-release, taken at",
        "snapshot before-release, taken at",
        "to restore the snapshot before-release",
        "Restored from the snapshot",
    ] {
        assert!(told.contains(words), "{words} is missing in {told}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_restored_is_refused_before_people_are_asked() {
    for (spec, why) in [
        ("from-snapshot:missing", "there is no manual snapshot before-release"),
        ("from-snapshot:creating", "is creating"),
        ("from-snapshot:other-engine", "of the engine \"aurora-mysql\""),
    ] {
        let refused = played(&[spec], false, 3);
        ends_as(&refused, "refused", why);
        for rehearsal in &refused {
            let changed = ["PutFunctionConcurrency", "RestoreDBClusterFromSnapshot"];
            assert_eq!(changed.map(|operation| calls(rehearsal, operation)), [0, 0], "{spec}");
        }
    }
}

/// What is refused, or fails, of a restore is the same for a snapshot.
#[test]
fn a_restore_from_a_snapshot_that_fails_is_taken_back() {
    for (fault, why) in [
        ("restore-refused:KmsKeyId", "KmsKeyId isn't supported"),
        ("restore-failed", "the restore failed"),
        (
            "validation-fails:no-negative-amounts",
            "check no-negative-amounts: FAILED",
        ),
    ] {
        ends_as(
            &played(&["from-snapshot:available", fault], false, 2),
            "rolled-back",
            why,
        );
    }
}

#[test]
fn people_are_shown_what_the_log_has_beside_the_alarm() {
    let logged = played(&["statements-logged"], false, 4);
    ends_as(&logged, "recovered", "");
    loss_is_measured_as_true(&logged);
    let script = Script {
        faults: vec!["statements-logged".parse().unwrap()],
        account: true,
        ..quick(&DatabaseCorruption)
    };
    let rehearsal = rehearse(&PLAN, &script, 1, |_| {}).unwrap();
    let told = report::markdown(&rehearsal.account.unwrap());
    for words in [
        "shows UPDATE on ledger without a condition by app at",
        "to lose less, start again with --want",
        "First statement in the database's log that destroys data",
    ] {
        assert!(told.contains(words), "{words} is missing in {told}");
    }
}

/// What a restored database would do again is seen by what must always hold.
#[test]
fn a_step_that_forgets_what_was_done_since_is_found() {
    for (defect, invariant) in [
        (Defect::ForgetsTheNumbers, "numbers-come-once"),
        (Defect::ForgetsTheJobs, "jobs-stay-off"),
        (Defect::ForgetsTheLedger, "the-erased-stay-erased"),
        (Defect::ForgetsTheCache, "nothing-gone-is-shown"),
    ] {
        let script = Script {
            replaced: vec![defect.replaced()],
            ..quick(&DatabaseCorruption)
        };
        let rehearsal = rehearse(&PLAN, &script, 3, |_| {}).unwrap();
        let found: Vec<&str> = rehearsal.breaches.iter().map(|breach| breach.invariant).collect();
        assert!(found.contains(&invariant), "{defect} breached {found:?}");
    }
}

#[test]
fn who_follows_the_database_by_its_changes_is_named() {
    let mut plan = PLAN.clone();
    plan.database.after_restore.consumers = vec![Consumer("search-index".to_owned())];
    let rehearsal = rehearse(&plan, &quick(&DatabaseCorruption), 3, |_| {}).unwrap();
    assert_eq!(rehearsal.breaches, []);
    assert_eq!(rehearsal.outcome, "partial");
    let reason = rehearsal.reason.unwrap_or_default();
    assert!(reason.contains("search-index lost its place"), "{reason}");
}

/// Lambda takes 15 changes a second, of all functions together; a function with an alias needs three of them. A change settles within
/// 5 s, and each function is looked at before the first change: 20 s without aliases, which is the goal, are missed by that.
#[test]
fn two_hundred_functions_are_pointed_in_seconds() {
    for (alias, at_most) in [(None, 22.0), (Some("live"), 50.0)] {
        let mut plan = PLAN.clone();
        let function = |number: usize| Function {
            name: format!("radiant-production-{number}"),
            reserved_concurrency: None,
            alias: alias.map(str::to_owned),
        };
        plan.functions = (0..200).map(function).collect();
        let rehearsal = rehearse(&plan, &quick(&DatabaseCorruption), 3, |_| {}).unwrap();
        assert_eq!(rehearsal.outcome, "recovered", "{:?}", rehearsal.reason);
        assert_eq!(rehearsal.breaches, []);
        let mut steps = rehearsal.steps.iter();
        let step = steps.find(|step| step.name == "repoint-function").unwrap();
        let took = seconds_between(step.started_at, step.ended_at.unwrap());
        println!("200 functions, alias {alias:?}: {took} s");
        assert!(took <= at_most, "alias {alias:?}: {took} s");
        assert_eq!(step.attempts, 1);
    }
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
fn a_role_that_could_not_use_the_restored_database_is_found_before_anything_is_stopped() {
    let refused = played(&["narrow-role"], false, 4);
    ends_as(&refused, "refused", "role/radiant-production-configuration");
    let stopped = |rehearsal: &Rehearsal| calls(rehearsal, "PutFunctionConcurrency");
    assert!(refused.iter().all(|rehearsal| stopped(rehearsal) == 0));
}

#[test]
fn a_cache_that_cannot_be_emptied_is_found_before_anything_is_stopped() {
    for (refusal, why) in [
        ("command", "does not know UNLINK"),
        ("password", "does not accept the password"),
        ("replica", "is a replica"),
    ] {
        let refused = played(&[&format!("cache-refuses:{refusal}")], false, 2);
        ends_as(&refused, "refused", why);
        let stopped = |rehearsal: &Rehearsal| calls(rehearsal, "PutFunctionConcurrency");
        assert!(refused.iter().all(|rehearsal| stopped(rehearsal) == 0));
    }
}

#[test]
fn no_customer_is_let_in_with_a_cache_that_was_not_emptied() {
    ends_as(&played(&["cache-away"], false, 3), "rolled-back", "FlushCache");
    ends_as(&played(&["cache-cuts"], false, 3), "recovered", "");
}

#[test]
fn every_way_of_emptying_a_cache_keeps_what_is_gone_from_customers() {
    for keys in [CacheKeys::All, CacheKeys::Epoch("epoch".to_owned())] {
        let mut plan = PLAN.clone();
        let emptying = plan.regions.primary.caches[0].empty.as_mut().unwrap();
        emptying.keys = keys;
        let rehearsal = rehearse(&plan, &quick(&DatabaseCorruption), 3, |_| {}).unwrap();
        assert_eq!((rehearsal.outcome, rehearsal.breaches), ("recovered", vec![]));
    }
}

#[test]
fn a_cache_that_people_empty_is_named_before_and_after() {
    let mut plan = PLAN.clone();
    plan.regions.primary.caches[0].empty = None;
    let rehearsal = rehearse(&plan, &quick(&DatabaseCorruption), 3, |_| {}).unwrap();
    assert_eq!(rehearsal.breaches, []);
    assert_eq!(rehearsal.outcome, "partial");
    let reason = rehearsal.reason.unwrap_or_default();
    assert!(
        reason.contains("does not say how cache radiant-cache is emptied"),
        "{reason}"
    );
}

#[test]
fn a_password_of_later_is_set_or_refused_before_anything_is_stopped() {
    let set = played(&["wrong-password"], false, 4);
    ends_as(&set, "recovered", "");
    assert!(set.iter().all(|rehearsal| calls(rehearsal, "ModifyDBCluster") == 1));
    let refused = played(&["unsettable-password"], false, 4);
    ends_as(&refused, "refused", "the password of user platform was changed");
    let stopped = |rehearsal: &Rehearsal| calls(rehearsal, "PutFunctionConcurrency");
    assert!(refused.iter().all(|rehearsal| stopped(rehearsal) == 0));
}

#[test]
fn a_deploy_in_between_is_kept() {
    ends_as(&played(&["concurrent-deploy"], false, 6), "recovered", "");
}

/// Customers were served with wrong data until the service was stopped: that is not the same as no service.
#[test]
fn the_report_says_what_customers_met() {
    let told = |faults: &[&str]| {
        let script = Script {
            faults: faults.iter().map(|spec| spec.parse().unwrap()).collect(),
            account: true,
            ..quick(&DatabaseCorruption)
        };
        let rehearsal = rehearse(&PLAN, &script, 1, |_| {}).unwrap();
        report::markdown(&rehearsal.account.unwrap())
    };
    let recovered = told(&[]);
    for line in [
        "with wrong data or without it",
        "right or wrong data: nothing checked them",
        ": wrong data\n",
        "no service: it was stopped, so that no more is lost",
        ": the restored data",
        "is only in the damaged database",
    ] {
        assert!(recovered.contains(line), "{line} is missing in {recovered}");
    }
    let stuck = told(&["restore-stuck"]);
    assert!(stuck.contains("the wrong data again"), "{stuck}");
    assert!(stuck.contains("The data have been wrong for"), "{stuck}");
    assert!(!stuck.contains("No service seen from outside"), "{stuck}");
    assert!(!stuck.contains("is only in the damaged database"), "{stuck}");
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
        "flush-cache",
    ] {
        let script = Script {
            stop_at: Some(stop_at.to_owned()),
            ..quick(&DatabaseCorruption)
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
        "flush-cache",
        "resume-writes",
    ] {
        for call in 1..=12 {
            let fault: Fault = format!("kill:{step}:{call}").parse().unwrap();
            let script = Script {
                faults: vec![fault],
                ..quick(&DatabaseCorruption)
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

#[test]
fn a_lost_answer_or_a_death_restores_a_snapshot_once() {
    for fault in [
        "lost-reply:RestoreDBClusterFromSnapshot",
        "kill:restore-cluster:6",
        "kill:restore-cluster:7",
    ] {
        let restored = played(&["from-snapshot:available", fault], false, 2);
        ends_as(&restored, "recovered", "");
        for rehearsal in &restored {
            assert_eq!(calls(rehearsal, "RestoreDBClusterFromSnapshot"), 1, "{fault}");
        }
    }
}
