//! What a recovery does under each fault, each in twelve seeds. In every one of them what must always hold is checked too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;

use assess_region::ExpectedLoss;
use rehearsal::scenarios::ALL;
use rehearsal::scenarios::database_corruption::DatabaseCorruption;
use rehearsal::scenarios::region_failure::RegionFailure;
use rehearsal::scenarios::region_return::RegionReturn;
use rehearsal::{Disaster, Earlier, Fault, Moment, Rehearsal, Replaced, Script, compatible, rehearse, vocabulary};
use serde_json::Value;
use shared::error::StepError;
use shared::measure::RpoStatus;
use shared::plan::Plan;
use shared::step::Handler;

use crate::{PLAN, quick};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=12;

/// Plays a disaster with these faults in each seed.
fn play(disaster: &'static dyn Disaster, faults: &[&str], resume: bool) -> Vec<Rehearsal> {
    let faults: Vec<Fault> = faults.iter().map(|spec| spec.parse().unwrap()).collect();
    compatible(&faults).unwrap();
    let script = Script {
        faults,
        resume,
        ..Script::new(disaster)
    };
    SEEDS
        .map(|seed| rehearse(&PLAN, &script, seed, |_| {}).unwrap_or_else(|why| panic!("seed {seed}: {why}")))
        .collect()
}

/// Checks each seed of the loss of a Region with these faults: nothing that must not be, each fault applied, and `check`.
#[track_caller]
fn each(faults: &[&str], check: impl Fn(&Rehearsal)) {
    all_are(&play(&RegionFailure, faults, false), check);
}

#[track_caller]
fn all_are(rehearsals: &[Rehearsal], check: impl Fn(&Rehearsal)) {
    for rehearsal in rehearsals {
        let Rehearsal { seed, breaches, .. } = rehearsal;
        assert!(breaches.is_empty(), "seed {seed}: {breaches:?}");
        let without: Vec<_> = rehearsal.without_effect().collect();
        assert!(
            without.is_empty(),
            "seed {seed}: {without:?} never applied; {}",
            rehearsal.outcome
        );
        check(rehearsal);
    }
}

#[track_caller]
fn ends_as(rehearsal: &Rehearsal, outcome: &str, why: &str) {
    let Rehearsal { seed, reason, .. } = rehearsal;
    assert_eq!(rehearsal.outcome, outcome, "seed {seed}: {reason:?}");
    assert!(
        reason.as_deref().unwrap_or_default().contains(why),
        "seed {seed}: {reason:?}"
    );
}

#[track_caller]
fn recovers(rehearsal: &Rehearsal) {
    ends_as(rehearsal, "recovered", "");
    assert!(rehearsal.within_objectives, "seed {}", rehearsal.seed);
    // An alarm can be late by minutes: the other Region's then finds the service healthy, and changes nothing.
    let mut others = rehearsal.earlier.iter();
    let is_of_a_late_alarm = |other: &Earlier| {
        let reason = other.reason.as_deref().unwrap_or_default();
        other.outcome == "refused" && reason.contains("there is nothing to recover")
    };
    assert!(
        others.all(is_of_a_late_alarm),
        "seed {}: {:?}",
        rehearsal.seed,
        rehearsal.earlier
    );
}

/// How often an operation was called.
fn calls(rehearsal: &Rehearsal, operation: &str) -> u64 {
    let calls = rehearsal.aws_calls.iter().filter(|call| call.operation == operation);
    calls.map(|call| call.count).sum()
}

/// Two people approved, and this is why they were asked.
#[track_caller]
fn two_approved(rehearsal: &Rehearsal, because: &str) {
    let approval = rehearsal.approval.as_deref().unwrap_or_default();
    assert!(approval.contains(because), "seed {}: {approval}", rehearsal.seed);
    let (_, people) = approval
        .split_once("approved by ")
        .unwrap_or_else(|| panic!("{approval}"));
    let people: Vec<&str> = people.split(" and ").collect();
    assert!(
        people.len() == 2 && people[0] != people[1],
        "seed {}: {approval}",
        rehearsal.seed
    );
}

#[track_caller]
fn is_not_fenced(rehearsal: &Rehearsal) {
    let fence = rehearsal.fence.as_deref().unwrap_or_default();
    assert!(
        fence.contains("may still take writes"),
        "seed {}: {fence}",
        rehearsal.seed
    );
}

#[test]
fn region_outage() {
    each(&["region-outage"], recovers);
}

#[test]
fn grey_region() {
    each(&["grey-region"], |rehearsal| {
        ends_as(rehearsal, "recovered", "");
        two_approved(rehearsal, "the expected loss is an upper bound");
        is_not_fenced(rehearsal);
        assert_eq!(calls(rehearsal, "SwitchoverGlobalCluster"), 0);
        let wrote = rehearsal.achieved.old_side_wrote_seconds.unwrap_or_default();
        assert!(
            wrote > 0.0 && rehearsal.truth.lost_writes > 0,
            "seed {}",
            rehearsal.seed
        );
    });
}

#[test]
fn grey_control() {
    each(&["grey-control"], |rehearsal| {
        recovers(rehearsal);
        two_approved(rehearsal, "");
        is_not_fenced(rehearsal);
    });
}

/// People are asked about a switchover, and it loses nothing. The database is moved by that one call.
#[track_caller]
fn switches_over_once_approved(fault: &str) {
    each(&[fault], |rehearsal| {
        recovers(rehearsal);
        two_approved(rehearsal, "may not help");
        let moved = (
            calls(rehearsal, "SwitchoverGlobalCluster"),
            calls(rehearsal, "FailoverGlobalCluster"),
        );
        assert_eq!(moved, (1, 0), "seed {}", rehearsal.seed);
    });
}

#[test]
fn bad_release() {
    switches_over_once_approved("bad-release");
}

#[test]
fn certificate_expired() {
    switches_over_once_approved("certificate-expired");
}

/// People are asked, see that the service is well, and decline: nothing is fenced and nothing is moved.
#[track_caller]
fn is_declined(fault: &str, because: &str) {
    each(&[fault], |rehearsal| {
        ends_as(rehearsal, "declined", "declined by");
        let approval = rehearsal.approval.as_deref().unwrap_or_default();
        assert!(approval.contains(because), "seed {}: {approval}", rehearsal.seed);
        for operation in [
            "SwitchoverGlobalCluster",
            "FailoverGlobalCluster",
            "UpdateStage",
            "PutFunctionConcurrency",
        ] {
            assert_eq!(calls(rehearsal, operation), 0, "seed {}: {operation}", rehearsal.seed);
        }
    });
}

#[test]
fn probe_blocked() {
    is_declined("probe-blocked", "may not help");
}

#[test]
fn standby_isolated() {
    is_declined(
        "standby-isolated",
        "the observer says nothing; 0 of 3 signals of us-west-2 say down",
    );
}

#[test]
fn standby_isolated_partly() {
    is_declined("standby-isolated-partly", "the observer says healthy");
}

/// What the observer's metric says is not what its probe wrote down: with that metric alone, the database would be moved.
#[test]
fn metric_forged() {
    is_declined("metric-forged", "do not agree that us-east-1 is down");
}

#[test]
fn observer_lost() {
    each(&["observer-lost"], |rehearsal| {
        recovers(rehearsal);
        two_approved(rehearsal, "the observer says nothing");
    });
}

#[test]
fn both_databases() {
    each(&["both-databases"], |rehearsal| {
        ends_as(rehearsal, "refused", "us-west-2");
        assert!(
            rehearsal
                .reason
                .as_deref()
                .is_some_and(|why| why.contains("rds:Describe")),
            "{:?}",
            rehearsal.reason
        );
        let fenced = rehearsal.aws_calls.iter().any(|call| call.function == "fence-region");
        assert!(!fenced, "seed {}: nothing may be fenced", rehearsal.seed);
    });
}

/// It recovers, and takes longer in some seeds: the calls that failed are made again.
#[track_caller]
fn recovers_later(fault: &str) {
    let (with, without) = (play(&RegionFailure, &[fault], false), play(&RegionFailure, &[], false));
    all_are(&with, recovers);
    let own = |rehearsal: &Rehearsal| rehearsal.steps.iter().map(|step| step.waited_ms).sum::<u64>();
    let later = with
        .iter()
        .zip(&without)
        .filter(|(with, without)| own(with) > own(without));
    assert!(later.count() >= 9, "{fault} must cost time");
}

#[test]
fn throttle_rds() {
    recovers_later("throttle:rds");
}

#[test]
fn throttle_dynamodb() {
    recovers_later("throttle:dynamodb");
}

#[test]
fn throttle_the_data_api() {
    // So few calls go to it that in some seeds none of them is throttled.
    for rehearsal in play(&RegionFailure, &["throttle:rds-data"], false) {
        assert_eq!(rehearsal.breaches, [], "seed {}", rehearsal.seed);
        recovers_unmeasured_at_worst(&rehearsal);
    }
}

#[test]
fn throttle_lambda() {
    recovers_later("throttle:lambda");
}

#[test]
fn errors_of_rds() {
    recovers_later("errors:rds:0.2");
}

#[test]
fn errors_of_dynamodb() {
    recovers_later("errors:dynamodb:0.2");
}

/// The heartbeat that survived may not be read: customers do not wait for it, and the loss is said to be unmeasured then.
#[track_caller]
fn recovers_unmeasured_at_worst(rehearsal: &Rehearsal) {
    ends_as(rehearsal, "recovered", "");
    let is_measured = rehearsal.achieved.rpo_status == RpoStatus::Measured;
    assert_eq!(rehearsal.within_objectives, is_measured, "seed {}", rehearsal.seed);
}

#[test]
fn errors_of_the_data_api() {
    each(&["errors:rds-data:0.7"], recovers_unmeasured_at_worst);
}

/// It recovers, and the database was promoted by one call.
#[track_caller]
fn recovers_with_one_effect(fault: &str) {
    each(&[fault], |rehearsal| {
        recovers(rehearsal);
        assert_eq!(calls(rehearsal, "FailoverGlobalCluster"), 1, "seed {}", rehearsal.seed);
    });
}

#[test]
fn lost_reply_of_the_promotion() {
    recovers_with_one_effect("lost-reply:FailoverGlobalCluster");
}

#[test]
fn lost_reply_of_other_changes() {
    for operation in [
        "UpdateItem",
        "PutItem",
        "TransactWriteItems",
        "PutObject",
        "DeleteFunctionConcurrency",
        "Publish",
    ] {
        recovers_with_one_effect(&format!("lost-reply:{operation}"));
    }
}

#[test]
fn kill_of_each_step_that_opens_and_closes() {
    for step in ["start-recovery", "open-recovery", "announce", "close-recovery"] {
        recovers_with_one_effect(&format!("kill:{step}"));
    }
}

#[test]
fn kill_of_each_step_that_acts() {
    for step in [
        "assess-region",
        "fence-region",
        "promote-database",
        "activate-region",
        "switch-dns",
    ] {
        recovers_with_one_effect(&format!("kill:{step}"));
    }
}

#[test]
fn kill_of_each_step_that_looks() {
    for step in ["check-database", "check-health", "probe-health"] {
        recovers_with_one_effect(&format!("kill:{step}"));
    }
}

#[test]
fn kill_of_each_step_that_asks() {
    for step in ["request-approval", "record-approval"] {
        each(&[&format!("kill:{step}"), "no-lag-metric"], |rehearsal| {
            recovers(rehearsal);
            two_approved(rehearsal, "not measured");
        });
    }
}

#[test]
fn kill_random() {
    recovers_with_one_effect("kill-random");
}

#[test]
fn duplicate_event() {
    recovers_with_one_effect("duplicate-event");
}

#[test]
fn late_event() {
    each(&["late-event:15m"], |rehearsal| {
        ends_as(
            rehearsal,
            "refused",
            "an alarm that is older than 10m is ignored as stale",
        );
        assert!(rehearsal.steps.is_empty() && rehearsal.earlier.is_empty());
    });
    each(&["late-event:2m"], recovers);
}

#[test]
fn flapping_alarm() {
    recovers_with_one_effect("flapping-alarm");
}

#[test]
fn lag() {
    each(&["lag:10m"], |rehearsal| {
        recovers(rehearsal);
        two_approved(rehearsal, "the expected loss is above the RPO target");
        assert_eq!(rehearsal.expected_loss, Some(ExpectedLoss::Measured { seconds: 600.0 }));
    });
}

#[test]
fn a_lag_within_the_target_asks_nobody() {
    each(&["lag:2m"], |rehearsal| {
        recovers(rehearsal);
        let approval = rehearsal.approval.as_deref().unwrap_or_default();
        assert!(approval.contains("asks nobody"), "{approval}");
    });
}

#[test]
fn a_lag_by_its_source_is_a_lag_that_is_known() {
    each(&["lag-by-source"], |rehearsal| {
        recovers(rehearsal);
        let approval = rehearsal.approval.as_deref().unwrap_or_default();
        assert!(approval.contains("asks nobody"), "{approval}");
    });
}

#[test]
fn a_table_that_fails_after_the_promotion_stops_nothing() {
    each(&["table-away"], |rehearsal| {
        // Without its notes nobody knows which event sources were disabled on purpose; and where it is away for longer than
        // closing is tried, the recovery cannot be closed.
        assert!(
            matches!(rehearsal.outcome, "recovered" | "partial" | "failed"),
            "{}: {:?}",
            rehearsal.outcome,
            rehearsal.reason
        );
        assert_eq!(rehearsal.breaches, []);
        assert!(rehearsal.truth.rto_seconds.is_some(), "nobody is served");
    });
}

#[test]
fn concurrency_used_up_leaves_what_is_reserved() {
    each(&["concurrency-used-up"], recovers);
}

#[test]
fn no_lag_metric() {
    each(&["no-lag-metric"], |rehearsal| {
        recovers(rehearsal);
        two_approved(rehearsal, "the expected loss is not measured");
        assert_eq!(rehearsal.expected_loss, Some(ExpectedLoss::Unmeasured));
    });
}

#[test]
fn old_outage() {
    each(&["old-outage:90m"], |rehearsal| {
        recovers(rehearsal);
        assert_eq!(rehearsal.expected_loss, Some(ExpectedLoss::Measured { seconds: 1.0 }));
        let rto = rehearsal.achieved.rto_seconds.unwrap_or_default();
        assert!(rto > 90.0 * 60.0, "the outage itself counts: {rto} s");
    });
}

#[test]
fn switchover_hangs() {
    // Two people are asked whether to fail over. AWS does not take that while the switchover hangs, and it can be gone on
    // with after.
    all_are(&play(&RegionReturn, &["switchover-hangs"], false), |rehearsal| {
        two_approved(rehearsal, "");
        ends_as(rehearsal, "failed", "These changes remain");
    });
    all_are(&play(&RegionReturn, &["switchover-hangs"], true), |rehearsal| {
        ends_as(rehearsal, "recovered", "");
        assert_eq!(rehearsal.truth.lost_writes, 0);
    });
}

/// A step that looks at nothing: as if it were not deployed.
struct Blind;

impl Handler for Blind {
    fn invoke(&self, _: Value) -> Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + '_>> {
        Box::pin(async { Ok(Value::Null) })
    }
}

#[test]
fn lost_after_fence() {
    // Without a look at the fence, customers wait until the lost Region is back, and nobody is told.
    let blind = Script {
        faults: vec!["lost-after-fence".parse().unwrap()],
        replaced: vec![Replaced {
            step: "watch-fence",
            by: "nothing",
            make: |_| Box::new(Blind),
        }],
        ..Script::new(&RegionReturn)
    };
    let with = Script {
        replaced: Vec::new(),
        ..blind.clone()
    };
    // In the seventh, two people open it at once.
    for seed in [1, 7] {
        let rehearsal = rehearse(&PLAN, &blind, seed, |_| {}).unwrap();
        let away = rehearsal.truth.rto_seconds.unwrap();
        assert!(away > 3.0 * 3600.0, "seed {seed}: {away}");

        // Two people open it within minutes of the page, and the recovery that wakes up changes nothing.
        let rehearsal = rehearse(&PLAN, &with, seed, |_| {}).unwrap();
        let away = rehearsal.truth.rto_seconds.unwrap();
        assert!(away < 1800.0, "seed {seed}: {away}");
        assert_eq!(rehearsal.truth.lost_writes, 0, "seed {seed}");
        ends_as(&rehearsal, "preempted", "people opened us-west-2 again");
        assert_eq!(calls(&rehearsal, "SwitchoverGlobalCluster"), 0, "seed {seed}");
        all_are(&[rehearsal], |_| {});
    }
}

/// It fails and says what is missing; once AWS works again it is resumed, and recovers.
#[track_caller]
fn fails_and_can_be_resumed(fault: &str, why: &str) {
    each(&[fault], |rehearsal| {
        ends_as(rehearsal, "failed", why);
        ends_as(rehearsal, "failed", "These changes remain");
    });
    all_are(&play(&RegionFailure, &[fault], true), |rehearsal| {
        ends_as(rehearsal, "recovered", "");
        assert_eq!(
            rehearsal.earlier.len(),
            1,
            "seed {}: {:?}",
            rehearsal.seed,
            rehearsal.earlier
        );
    });
}

#[test]
fn stuck_failover() {
    fails_and_can_be_resumed("stuck-failover", "the promotion is still in progress");
}

#[test]
fn failed_failover() {
    fails_and_can_be_resumed("failed-failover", "AWS has ended the promotion");
}

/// One look in four shows that the promotion has not begun.
#[test]
fn stale_reads() {
    each(&["stale-reads:5m"], recovers);
}

/// AWS does cancel it, and that is found out all the same.
#[test]
fn stale_reads_and_failed_failover() {
    each(&["stale-reads:2m", "failed-failover"], |rehearsal| {
        ends_as(rehearsal, "failed", "AWS has ended the promotion")
    });
}

#[test]
fn target_unnamed() {
    recovers_with_one_effect("target-unnamed");
}

#[test]
fn third_writer() {
    for disaster in [&RegionFailure as &dyn Disaster, &RegionReturn] {
        all_are(&play(disaster, &["third-writer"], false), |rehearsal| {
            ends_as(rehearsal, "refused", "cluster:third takes the writes");
            assert_eq!(rehearsal.fence, None, "seed {}", rehearsal.seed);
        });
    }
}

/// The database never left the primary Region, and a person starts the way back: the heartbeats have the gap of the outage.
#[test]
fn a_return_where_nothing_had_moved_is_no_failover() {
    let played = play(&RegionReturn, &["late-event:11m"], false);
    for rehearsal in played.iter().take(5) {
        let Rehearsal { seed, breaches, .. } = rehearsal;
        assert!(breaches.is_empty(), "seed {seed}: {breaches:?}");
        ends_as(rehearsal, "recovered", "");
        assert_eq!(rehearsal.achieved.rpo_status, RpoStatus::Unmeasured, "seed {seed}");
        let approval = rehearsal.approval.as_deref().unwrap_or_default();
        assert!(approval.contains("nothing is promoted"), "seed {seed}: {approval}");
        assert_eq!(rehearsal.truth.lost_writes, 0, "seed {seed}");
    }
}

#[test]
fn approver_asleep() {
    each(&["approver-asleep", "no-lag-metric"], |rehearsal| {
        ends_as(rehearsal, "expired", "")
    });
}

/// Silence approves nothing, and does not end the matter either while the alarm stands.
#[test]
fn approver_asleep_through_one_question() {
    each(&["approver-asleep:1", "no-lag-metric"], |rehearsal| {
        ends_as(rehearsal, "recovered", "");
        let earlier: Vec<&str> = rehearsal.earlier.iter().map(|earlier| earlier.outcome).collect();
        assert_eq!(earlier, ["expired"]);
    });
}

#[test]
fn approver_declines() {
    each(&["approver-declines", "no-lag-metric"], |rehearsal| {
        ends_as(rehearsal, "declined", "declined")
    });
}

#[test]
fn one_approver_twice() {
    each(&["one-approver-twice", "no-lag-metric"], |rehearsal| {
        ends_as(rehearsal, "expired", "");
        assert_eq!(calls(rehearsal, "FailoverGlobalCluster"), 0);
    });
}

#[test]
fn sns_down() {
    each(&["sns-down"], recovers);
}

#[test]
fn table_throttled() {
    each(&["table-throttled"], recovers);
}

#[test]
fn clock_skew() {
    // That the figures are right all the same is one of the invariants.
    each(&["clock-skew:1s"], recovers);
}

#[test]
fn drill_running() {
    each(&["drill-running"], recovers);
}

#[test]
fn busy() {
    each(&["busy"], |rehearsal| {
        ends_as(rehearsal, "refused", "has been running since")
    });
}

/// A disaster with faults, in which the scenario's machine takes one of its ways.
type Way = (
    &'static dyn Disaster,
    &'static [&'static str],
    fn(&mut Plan, &mut Script),
);

/// Ways that together pass through the states of the scenario's machine.
const WAYS: [Way; 15] = [
    (&DatabaseCorruption, &["wrong-password"], |_, _| {}),
    (&DatabaseCorruption, &["restore-failed"], |_, _| {}),
    (&DatabaseCorruption, &["approver-declines:2"], |_, _| {}),
    (&RegionFailure, &[], |_, _| {}),
    (&RegionFailure, &["no-lag-metric"], |_, _| {}),
    (&RegionFailure, &["no-lag-metric", "approver-declines"], |_, _| {}),
    (&RegionFailure, &["no-lag-metric", "grey-control"], |_, _| {}),
    (&RegionFailure, &["stuck-failover"], |_, _| {}),
    (&RegionFailure, &["table-away"], |_, _| {}),
    (&RegionFailure, &[], |plan, _| moves_by_record(plan)),
    (&RegionFailure, &[], |_, script| {
        script.stop_at = Some("activate-region".to_owned())
    }),
    (&RegionReturn, &[], |_, _| {}),
    (&RegionReturn, &["switchover-hangs:2m"], |_, _| {}),
    (&RegionReturn, &["switchover-hangs"], |_, _| {}),
    (&RegionReturn, &["lost-reply:SwitchoverGlobalCluster"], |_, _| {}),
];

/// The name moves by its record. Nothing of Route 53 answers while us-east-1 is lost, so that another Region is.
fn moves_by_record(plan: &mut Plan) {
    plan.dns.switch_object = None;
    std::mem::swap(&mut plan.regions.primary, &mut plan.regions.standby);
}

/// States that no rehearsal passes: `tests/tests/all/recovery_machine.rs` has executions that end there, but for the two that wait for a
/// backup and for instances.
const NOT_REHEARSED: [&str; 7] = [
    "AskAgain",
    "CouldNotPromote",
    "IsApprovedAgain",
    "SubmitDnsAgain",
    "WaitForBackup",
    "WaitForInstances",
    "WaitToTakeBack",
];

fn script_of(way: Way, more: &[&str]) -> (Plan, Script) {
    let (disaster, faults, change) = way;
    let faults = faults.iter().chain(more).map(|spec| spec.parse().unwrap());
    let mut script = Script {
        faults: faults.collect(),
        ..quick(disaster)
    };
    let mut plan = PLAN.clone();
    change(&mut plan, &mut script);
    (plan, script)
}

/// Wherever the scenario's execution dies: the recovery ends in a stated outcome, nothing is half done, the lock is free and
/// people are told, as the invariants say; and it can be resumed.
#[test]
fn child_dies_at_every_state() {
    let passed = |way: Way| {
        let states = Rc::new(RefCell::new(BTreeSet::new()));
        let (seen, (plan, script)) = (Rc::clone(&states), script_of(way, &[]));
        let watch = move |moment: Moment| match moment {
            Moment::Machine(event) => drop(seen.borrow_mut().insert(event.state.to_string())),
            // Faults begin on the way back.
            Moment::Back { .. } => seen.borrow_mut().clear(),
            _ => {}
        };
        rehearse(&plan, &script, 1, watch).unwrap_or_else(|why| panic!("{:?}: {why}", way.1));
        states.take()
    };
    let passed = WAYS.map(passed);
    let mut missed = Vec::new();
    for state in vocabulary(ALL.iter().copied()).states() {
        let mut ways = WAYS.iter().zip(&passed).filter(|(_, states)| states.contains(&state));
        let Some((way, _)) = ways.next_back() else {
            missed.push(state);
            continue;
        };
        let fault = format!("child-dies:{state}");
        let (plan, script) = script_of(*way, &[&fault]);
        let script = Script { resume: true, ..script };
        let rehearsal = rehearse(&plan, &script, 1, |_| {}).unwrap_or_else(|why| panic!("{state}: {why}"));
        let Rehearsal {
            breaches,
            outcome,
            reason,
            earlier,
            ..
        } = &rehearsal;
        let told = format!("{state} in {:?}: {earlier:?}, then {outcome}, {reason:?}", way.1);
        assert!(breaches.is_empty(), "{told}: {breaches:?}");
        let mut faults = rehearsal.faults.iter();
        let died = faults.any(|applied| applied.fault.to_string() == fault && applied.times == 1);
        assert!(died, "{told}: it never died");
        // As it ended when the execution had died, and as it did when it was resumed.
        let of_the_dead = earlier.iter().rev().find(|earlier| {
            let reason = earlier.reason.as_deref().unwrap_or_default();
            reason.contains("RunScenario: ")
        });
        let first = of_the_dead.map(|earlier| earlier.outcome);
        assert!(matches!(first, Some("failed" | "rolled-back")), "{told}");
    }
    missed.sort();
    assert_eq!(missed, NOT_REHEARSED);
}

#[test]
fn child_not_stopped() {
    stopped_by_a_person("child-not-stopped");
}

#[test]
fn stop_denied() {
    stopped_by_a_person("stop-denied");
}

/// Somebody stops the recovery, and its scenario's execution lives on: the lock is freed once that has ended, people are told,
/// and the recovery is resumed. In a few seeds it ends before it is stopped.
#[track_caller]
fn stopped_by_a_person(fault: &str) {
    let mut applied = 0;
    for rehearsal in play(&RegionFailure, &[fault], true) {
        let Rehearsal {
            seed,
            breaches,
            outcome,
            reason,
            ..
        } = &rehearsal;
        assert!(breaches.is_empty(), "seed {seed}: {breaches:?}");
        assert_eq!(*outcome, "recovered", "seed {seed}: {reason:?}");
        assert!(calls(&rehearsal, "FailoverGlobalCluster") <= 1, "seed {seed}");
        applied += usize::from(rehearsal.without_effect().next().is_none());
    }
    assert!(applied >= 9, "{fault} applied in {applied} of {} seeds", SEEDS.count());
}
