//! Killed anywhere and resumed: whatever step dies after whatever AWS call, the recovery can be gone on with, has each of
//! its effects once, and ends as if nothing had died.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::{MACHINE, ON_CALL, PRIMARY, RECOVERY, SECOND, THIRD, World, body, in_virtual_time, request};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::error::ErrorKind;
use shared::measure::RpoStatus;
use shared::plan::Plan;
use shared::record::{Claim, Header, TimelineStep, Undo};
use shared::recovery::{Mode, Outcome, RecoveryRef};
use shared::resume::Resumed;
use shared::scenario::{Fields, Scenario};
use simulator::aws::states::ExecutionRecord;

/// The operations by which steps change what customers depend on.
const CHANGES: [&str; 9] = [
    "ChangeResourceRecordSets",
    "DeleteFunctionConcurrency",
    "DeleteObject",
    "FailoverGlobalCluster",
    "PutFunctionConcurrency",
    "PutObject",
    "SwitchoverGlobalCluster",
    "UpdateEventSourceMapping",
    "UpdateStage",
];

/// More AWS calls than any step makes in one invocation: a test that gets there would not end.
const TOO_MANY_CALLS: u64 = 200;

/// How long somebody who is told that a recovery fell short looks before going on with it; the metrics show an outage by
/// then.
const LOOKS_FOR: Duration = Duration::from_secs(180);

/// How long it takes at most until what was changed has settled: an event source.
const SETTLES_IN: Duration = Duration::from_secs(61);

/// How far measured loss may be from the truth: one heartbeat of the example plan and a second of the customers'.
const LOSS_WITHIN_SECONDS: f64 = 6.0;

/// The recovery that a test plays.
#[derive(Clone, Copy)]
struct Play {
    /// What the example plan does not say.
    change: fn(&mut Plan),
    /// Whether both Regions are healthy and the workload is moved on purpose, or the primary Region is lost.
    is_planned: bool,
    /// Whether people answer what they are asked.
    people_answer: bool,
    /// Whether what the other Region is left like counts: not where fencing it, which is tried and no more, dies.
    is_fenced: bool,
    /// The step that may not do its work before the recovery is gone on with, so that others are reached.
    forbidden: Option<&'static str>,
}

const LOSS: Play = Play {
    change: |_| {},
    is_planned: false,
    people_answer: false,
    is_fenced: true,
    forbidden: None,
};

const PLANNED: Play = Play {
    is_planned: true,
    ..LOSS
};

/// The plan asks two people before it fails over.
fn two_approve(plan: &mut Plan) {
    plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap().approvals = 2;
}

/// The database has as long as a failover takes at most, so that a test need not wait for half an hour.
fn fail_over_soon(plan: &mut Plan) {
    let deadlines = &mut plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap().deadlines;
    deadlines.insert("database".to_owned(), shared::plan::Duration::from_secs(300));
}

/// So has a switchover; the database is there when that has ended.
fn switch_over_soon(plan: &mut Plan) {
    let deadlines = &mut plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap().deadlines;
    deadlines.insert("database".to_owned(), shared::plan::Duration::from_secs(60));
    deadlines.insert("switchover".to_owned(), shared::plan::Duration::from_secs(180));
}

/// The name moves by its record, and not by the switch object.
fn by_record(plan: &mut Plan) {
    plan.dns.switch_object = None;
}

impl Play {
    /// The world at the moment at which the recovery starts, or is about to be started by the alarm.
    async fn begin(&self, kill: Option<(&str, u64)>) -> Began {
        let world = if self.is_planned {
            World::good_times(self.change).await
        } else {
            World::watched(self.change).await
        };
        if let Some((function, calls)) = kill {
            world.simulation.kill_function(RECOVERY, function, calls).unwrap();
        }
        if let Some(step) = self.forbidden {
            world
                .simulation
                .break_function(RECOVERY, step, "Denied", "not yet")
                .unwrap();
        }
        if self.people_answer {
            people_approve(&world, &[SECOND, THIRD]);
        }
        let disaster_at = world.cloud().now();
        if self.is_planned {
            world.start("planned", request("switchover"));
        } else {
            world.cloud().take_region_away(PRIMARY);
        }
        Began { world, disaster_at }
    }

    /// What it leaves behind if nothing dies.
    fn undisturbed(&self) -> Left {
        let mut left = None;
        in_virtual_time(async {
            let undisturbed = Play {
                forbidden: None,
                people_answer: true,
                ..*self
            };
            let Began { world, disaster_at } = undisturbed.begin(None).await;
            world.wait().await;
            let header = world.only_header().await;
            assert_recovered(&world, &header, disaster_at, self.is_planned, "undisturbed");
            left = Some(self.left(&world).await);
        });
        left.unwrap()
    }

    /// Plays it with `function` dying after each number of calls, and goes on; gives how the first executions ended, by
    /// the number of calls.
    fn killed_after_each_call(&self, function: &str) -> Vec<Option<Outcome>> {
        let undisturbed = self.undisturbed();
        let mut outcomes = Vec::new();
        for calls in 1..TOO_MANY_CALLS {
            let mut killed = None;
            in_virtual_time(async {
                killed = self.killed_and_resumed(function, calls, &undisturbed).await;
            });
            match killed {
                Some(outcome) => outcomes.push(outcome),
                None => {
                    println!("{function}: {outcomes:?}");
                    assert!(!outcomes.is_empty(), "{function} was never killed");
                    return outcomes;
                }
            }
        }
        panic!("{function} makes more than {TOO_MANY_CALLS} calls");
    }

    /// Plays it with `function` dying after `calls` calls in each of its invocations, until it ends; then lets it live and
    /// goes on. Gives how the first execution ended, if the function was killed at all: nothing, where it was not closed.
    async fn killed_and_resumed(&self, function: &str, calls: u64, undisturbed: &Left) -> Option<Option<Outcome>> {
        let what = format!("{function} killed after call {calls}");
        let Began { world, disaster_at } = self.begin(Some((function, calls))).await;
        world.wait().await;
        if !world.simulation.was_killed(RECOVERY, function) {
            return None;
        }
        world.simulation.let_live(RECOVERY, function).unwrap();
        if let Some(step) = self.forbidden {
            world.simulation.mend_function(RECOVERY, step).unwrap();
        }
        let headers = world.headers().await;
        let Some(header) = headers.first() else {
            // It was never opened, so nobody knows an id to go on with.
            assert!(world.is_unlocked().await && world.has_failed(), "{what}");
            world.start("anew", request(if self.is_planned { "switchover" } else { "decide" }));
            world.wait().await;
            let header = world.only_header().await;
            self.assert_ended_well(&world, &header, disaster_at, undisturbed, &what)
                .await;
            return Some(None);
        };
        let outcome = header.ended().map(|closing| closing.outcome);
        if outcome == Some(Outcome::Recovered) {
            self.assert_ended_well(&world, header, disaster_at, undisturbed, &what)
                .await;
            return Some(outcome);
        }
        assert!(
            outcome.is_some() || ["open-recovery", "close-recovery"].contains(&function),
            "{what}: it was not closed"
        );
        tokio::time::sleep(if self.is_planned { LOOKS_FOR } else { SETTLES_IN }).await;
        if outcome == Some(Outcome::RolledBack) && self.is_planned {
            world.assert_as_before();
        }
        let before = Before::of(&world, header).await;
        let resumed = world.resume(&header.id).await.unwrap();
        world.wait().await;
        let header = world.only_header().await;
        self.assert_ended_well(&world, &header, disaster_at, undisturbed, &what)
            .await;
        before.assert_gone_on_with(&world, &header, &resumed, &what).await;
        assert_eq!(world.recoveries_ended(), 2, "{what}");
        Some(outcome)
    }

    /// What it left behind, when that has settled.
    async fn left(&self, world: &World) -> Left {
        tokio::time::sleep(SETTLES_IN).await;
        let mut left = Left::of(world);
        if !self.is_fenced {
            for of_regions in ["functions", "stages"] {
                let of_regions = left.snapshot[of_regions].as_object_mut().unwrap();
                of_regions.retain(|name, _| !name.starts_with(PRIMARY));
            }
            let sources = left.snapshot["event_sources"].as_array_mut().unwrap();
            sources.retain(|source| source["region"] != PRIMARY);
        }
        left
    }

    async fn assert_ended_well(
        &self,
        world: &World,
        header: &Header,
        disaster_at: Timestamp,
        undisturbed: &Left,
        what: &str,
    ) {
        assert_recovered(world, header, disaster_at, self.is_planned, what);
        assert!(world.is_unlocked().await, "{what}: it is locked");
        let left = self.left(world).await;
        assert!(
            left.snapshot == undisturbed.snapshot,
            "{what}: undisturbed: {:#}\nnow: {:#}",
            undisturbed.snapshot,
            left.snapshot
        );
        let promotions = |left: &Left| {
            ["FailoverGlobalCluster", "SwitchoverGlobalCluster"].map(|operation| left.changes.get(operation).copied())
        };
        assert_eq!(promotions(&left), promotions(undisturbed), "{what}");
        // A Region that answers is given back and fenced once more.
        if !self.is_planned {
            assert_eq!(left.changes, undisturbed.changes, "{what}");
        }
    }
}

/// A recovery that starts.
struct Began {
    world: World,
    disaster_at: Timestamp,
}

/// What a recovery leaves behind.
struct Left {
    /// Every resource that it could have changed.
    snapshot: Value,
    /// How often steps called what changes something.
    changes: BTreeMap<String, u64>,
}

impl Left {
    fn of(world: &World) -> Self {
        let mut changes = BTreeMap::new();
        for (call, count) in world.simulation.calls() {
            // A report changes nothing that customers depend on, and each execution has its own.
            if CHANGES.contains(&call.operation.as_str()) && call.function != "write-report" {
                *changes.entry(call.operation).or_default() += count;
            }
        }
        let mut snapshot = world.cloud().snapshot();
        // The switch object says by which recovery it was written.
        for objects in snapshot["objects"].as_object_mut().unwrap().values_mut() {
            *objects = objects.as_object().unwrap().keys().cloned().collect();
        }
        Self { snapshot, changes }
    }
}

/// A recovery between its two executions.
struct Before {
    at: Timestamp,
    header: Header,
    undo: Vec<Undo>,
    timeline: Vec<TimelineStep>,
    /// What it had decided.
    decision: Option<Value>,
    /// Whether AWS had been asked to promote.
    is_promoted: bool,
}

impl Before {
    async fn of(world: &World, header: &Header) -> Self {
        Self {
            at: world.cloud().now(),
            header: header.clone(),
            undo: world.record.undo_notes(&header.id).await.unwrap(),
            timeline: world.record.timeline(&header.id).await.unwrap(),
            decision: decision(world, header).await,
            is_promoted: promotions(world) > 0,
        }
    }

    /// Asserts that `header` is of the same recovery, and lost nothing of what its first execution kept.
    async fn assert_gone_on_with(&self, world: &World, header: &Header, resumed: &Resumed, what: &str) {
        let before = &self.header;
        assert_eq!((&header.id, resumed.region.as_str()), (&before.id, RECOVERY), "{what}");
        assert_eq!(header.execution, resumed.execution, "{what}");
        assert_ne!(header.execution, before.execution, "{what}");
        assert_eq!((header.opened_at, &header.trigger), (before.opened_at, &before.trigger));
        assert_eq!(header.earlier, Vec::from_iter(before.closing.clone()), "{what}");
        let by: Vec<&str> = header.resumed.iter().map(|trigger| trigger.by.as_str()).collect();
        assert_eq!(by, [ON_CALL], "{what}");
        let undo = world.record.undo_notes(&header.id).await.unwrap();
        for first in &self.undo {
            let same: Vec<&Undo> = undo
                .iter()
                .filter(|undo| (&undo.step, &undo.resource) == (&first.step, &first.resource))
                .collect();
            assert_eq!(same.len(), 1, "{what}: {first:?}");
            assert_eq!(same[0].previous, first.previous, "{what}: {first:?}");
        }

        let timeline = world.record.timeline(&header.id).await.unwrap();
        let (first, second): (Vec<_>, Vec<_>) = timeline.into_iter().partition(|step| step.started_at < self.at);
        assert_eq!(first, self.timeline, "{what}");
        for state in [
            "OpenRecovery",
            "AnnounceOpening",
            "AssessRegion",
            "SwitchDns",
            "CloseRecovery",
        ] {
            assert!(
                second.iter().any(|step| step.state == state),
                "{what}: {state} is missing: {second:?}"
            );
        }

        let observed = header.closing.as_ref().unwrap().observed;
        if let Some(decision) = &self.decision {
            assert_eq!(json!(observed.impact_at), decision["impact_at"], "{what}");
            if self.is_promoted {
                assert_eq!(json!(observed.decided_at), decision["decided_at"], "{what}");
            } else {
                assert!(observed.decided_at > Some(self.at), "{what}: {observed:?}");
            }
        } else {
            assert!(!self.is_promoted, "{what}: promoted without a decision");
        }
    }
}

async fn decision(world: &World, header: &Header) -> Option<Value> {
    let recovery = RecoveryRef {
        id: header.id.clone(),
        workload: header.workload.clone(),
        token: 0,
        execution: header.execution.clone(),
    };
    world.record.decision(&recovery).await.unwrap()
}

/// How often AWS was asked to promote, by whatever way.
fn promotions(world: &World) -> u64 {
    world.calls_to("FailoverGlobalCluster") + world.calls_to("SwitchoverGlobalCluster")
}

/// Asserts that the standby Region serves, and that what was measured is true.
#[track_caller]
fn assert_recovered(world: &World, header: &Header, disaster_at: Timestamp, is_planned: bool, what: &str) {
    let (cloud, plan) = (world.cloud(), &world.plan);
    let closing = header.ended().unwrap_or_else(|| panic!("{what}: {header:?}"));
    assert_eq!(closing.outcome, Outcome::Recovered, "{what}: {:?}", closing.reason);
    assert_eq!(promotions(world), 1, "{what}");
    assert_eq!(
        cloud.rds.writer_of(cloud, &plan.database.global_cluster),
        Some(plan.cluster_arn(&plan.regions.standby)),
        "{what}"
    );
    for function in &plan.functions {
        let runs = cloud.lambda.function(RECOVERY, &function.name).unwrap();
        assert_eq!(
            runs.reserved_concurrency,
            function.reserved_concurrency.map(|reserved| reserved as _),
            "{what}: {}",
            function.name
        );
    }
    if let Some(switch) = &plan.dns.switch_object {
        assert!(cloud.s3.is_publicly_there(&switch.bucket.0, &switch.key), "{what}");
    }
    let (observed, achieved, platform) = (closing.observed, closing.achieved, world.simulation.platform());
    let rto = observed.healthy_at.unwrap().duration_since(observed.impact_at.unwrap());
    assert_eq!(achieved.rto_seconds, Some(rto.as_secs_f64()), "{what}");
    if is_planned {
        assert_eq!(achieved.rpo_status, RpoStatus::NotApplicable, "{what}");
        let lost = platform.acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, cloud.now());
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
    } else {
        let from_disaster = observed.impact_at.unwrap().duration_since(disaster_at).as_secs();
        assert!((-60..=60).contains(&from_disaster), "{what}: {from_disaster} s");
        assert_eq!(achieved.rpo_status, RpoStatus::Measured, "{what}: {observed:?}");
        let truth = platform.lost_seconds(cloud, disaster_at).unwrap();
        let measured = achieved.rpo_seconds.unwrap();
        assert!(
            (measured - truth).abs() <= LOSS_WITHIN_SECONDS,
            "{what}: {measured} s measured, {truth} s true"
        );
    }
}

/// Lets these people approve whatever is asked from now on, until the handle is aborted.
fn people_approve(world: &World, people: &[&'static str]) -> tokio::task::JoinHandle<()> {
    let topic = world.plan.topic_arn(&world.plan.regions.standby);
    let (simulation, people) = (world.simulation.clone(), people.to_vec());
    let mut messages = world.cloud().sns.subscribe(&topic);
    tokio::task::spawn_local(async move {
        while let Some(message) = messages.recv().await {
            let Some(mut answer) = body(&message.text) else {
                continue;
            };
            answer["reason"] = json!("it is dark");
            for who in &people {
                // Whoever comes too late is told so.
                let _ = simulation
                    .post_to_function(RECOVERY, "record-approval", who, &answer.to_string())
                    .await;
            }
        }
    })
}

/// The ids of the questions that people were asked, oldest first.
fn asked(world: &World) -> Vec<String> {
    let questions = world.questions().into_iter();
    questions
        .map(|message| body(&message.text).unwrap()["question"].as_str().unwrap().to_owned())
        .collect()
}

// One step dies, in the loss of the primary Region.

/// Asserts that a step's death ended every first execution like one of these.
#[track_caller]
fn assert_each(outcomes: &[Option<Outcome>], expected: &[Option<Outcome>]) {
    let strange: Vec<_> = outcomes.iter().filter(|outcome| !expected.contains(outcome)).collect();
    assert!(strange.is_empty(), "{outcomes:?}");
}

#[test]
fn open_recovery_killed_anywhere() {
    let outcomes = LOSS.killed_after_each_call("open-recovery");
    // Once it has written the recovery, that is closed.
    assert_each(&outcomes, &[None, Some(Outcome::Failed)]);
    assert_eq!(outcomes.last(), Some(&Some(Outcome::Failed)), "{outcomes:?}");
}

#[test]
fn announce_killed_anywhere_stops_nothing() {
    let outcomes = LOSS.killed_after_each_call("announce");
    assert_each(&outcomes, &[Some(Outcome::Recovered)]);
}

#[test]
fn assess_region_killed_anywhere() {
    let outcomes = LOSS.killed_after_each_call("assess-region");
    assert_each(&outcomes, &[Some(Outcome::Failed)]);
}

#[test]
fn fence_region_killed_anywhere_stops_nothing() {
    let outcomes = LOSS.killed_after_each_call("fence-region");
    assert_each(&outcomes, &[Some(Outcome::Recovered)]);
}

#[test]
fn promote_database_killed_anywhere() {
    let outcomes = LOSS.killed_after_each_call("promote-database");
    assert!(outcomes.contains(&Some(Outcome::RolledBack)), "{outcomes:?}");
}

#[test]
fn check_database_killed_anywhere() {
    let play = Play {
        change: fail_over_soon,
        ..LOSS
    };
    let outcomes = play.killed_after_each_call("check-database");
    assert_each(&outcomes, &[Some(Outcome::Failed)]);
}

#[test]
fn activate_region_killed_anywhere() {
    let outcomes = LOSS.killed_after_each_call("activate-region");
    assert!(outcomes.contains(&Some(Outcome::Failed)), "{outcomes:?}");
}

#[test]
fn switch_dns_killed_anywhere() {
    let outcomes = LOSS.killed_after_each_call("switch-dns");
    assert!(outcomes.contains(&Some(Outcome::Failed)), "{outcomes:?}");
}

#[test]
fn check_health_killed_anywhere() {
    let outcomes = LOSS.killed_after_each_call("check-health");
    assert_each(&outcomes, &[Some(Outcome::Failed)]);
}

#[test]
fn close_recovery_killed_anywhere() {
    let outcomes = LOSS.killed_after_each_call("close-recovery");
    assert!(outcomes.contains(&None), "{outcomes:?}");
}

#[test]
fn unfence_region_killed_anywhere() {
    let play = Play {
        forbidden: Some("promote-database"),
        ..LOSS
    };
    let outcomes = play.killed_after_each_call("unfence-region");
    assert_each(&outcomes, &[Some(Outcome::Failed)]);
}

// One step dies, in a planned move with both Regions healthy.

#[test]
fn a_planned_move_with_fence_region_killed_anywhere() {
    let play = Play {
        is_fenced: false,
        ..PLANNED
    };
    let outcomes = play.killed_after_each_call("fence-region");
    assert_each(&outcomes, &[Some(Outcome::Recovered)]);
}

#[test]
fn a_planned_move_with_promote_database_killed_anywhere() {
    let outcomes = PLANNED.killed_after_each_call("promote-database");
    assert!(outcomes.contains(&Some(Outcome::RolledBack)), "{outcomes:?}");
}

#[test]
fn a_planned_move_with_check_database_killed_anywhere() {
    let play = Play {
        change: switch_over_soon,
        ..PLANNED
    };
    let outcomes = play.killed_after_each_call("check-database");
    assert_each(&outcomes, &[Some(Outcome::Failed)]);
}

#[test]
fn a_planned_move_with_activate_region_killed_anywhere() {
    let outcomes = PLANNED.killed_after_each_call("activate-region");
    assert!(outcomes.contains(&Some(Outcome::Failed)), "{outcomes:?}");
}

#[test]
fn a_planned_move_with_unfence_region_killed_anywhere() {
    let play = Play {
        forbidden: Some("promote-database"),
        ..PLANNED
    };
    let outcomes = play.killed_after_each_call("unfence-region");
    assert!(outcomes.contains(&Some(Outcome::Failed)), "{outcomes:?}");
}

/// It is called only where the record itself is changed; the health check then has the last word.
#[test]
fn a_planned_move_with_check_dns_killed_anywhere() {
    let play = Play {
        change: by_record,
        ..PLANNED
    };
    let outcomes = play.killed_after_each_call("check-dns");
    assert_each(&outcomes, &[Some(Outcome::Recovered)]);
}

// People are asked: what they answered holds, and what they did not is asked again.

const TWO_APPROVE: Play = Play {
    change: two_approve,
    ..LOSS
};

#[test]
fn request_approval_killed_anywhere_while_people_answer() {
    let play = Play {
        people_answer: true,
        ..TWO_APPROVE
    };
    let outcomes = play.killed_after_each_call("request-approval");
    assert!(outcomes.contains(&Some(Outcome::Failed)), "{outcomes:?}");
}

#[test]
fn a_question_that_nobody_answered_is_asked_again_with_the_same_id() {
    for calls in 1..TOO_MANY_CALLS {
        let mut was_killed = false;
        in_virtual_time(async {
            let what = format!("killed after call {calls}");
            let Began { world, disaster_at } = TWO_APPROVE.begin(Some(("request-approval", calls))).await;
            world.wait().await;
            was_killed = world.simulation.was_killed(RECOVERY, "request-approval");
            let header = world.only_header().await;
            // What dies after people were told is tried again, and then only waits for them.
            let outcome = header.ended().unwrap().outcome;
            assert!(
                outcome == Outcome::Failed && was_killed || outcome == Outcome::Expired && calls > 8,
                "{what}: {outcome:?}"
            );
            assert_eq!(promotions(&world), 0, "{what}");
            let first = asked(&world);
            world.simulation.let_live(RECOVERY, "request-approval").unwrap();
            people_approve(&world, &[SECOND, THIRD]);
            world.resume(&header.id).await.unwrap();
            world.wait().await;
            let header = world.only_header().await;
            assert_recovered(&world, &header, disaster_at, false, &what);
            let all = asked(&world);
            assert_eq!(all.len(), first.len() + 1, "{what}: {all:?}");
            assert!(all.iter().all(|id| *id == all[0]), "{what}: {all:?}");
            let kept = world.record.approvals(&header.id, &all[0]).await.unwrap();
            let by: Vec<&str> = kept.iter().map(|approval| approval.by.as_str()).collect();
            assert_eq!(by, [SECOND, THIRD], "{what}");
        });
        if !was_killed {
            assert!(calls > 5, "it was killed at too few places");
            return;
        }
    }
}

#[test]
fn what_was_approved_before_is_not_asked_again() {
    in_virtual_time(async {
        let play = Play {
            people_answer: true,
            forbidden: Some("promote-database"),
            ..TWO_APPROVE
        };
        let Began { world, disaster_at } = play.begin(None).await;
        world.wait().await;
        let header = world.only_header().await;
        assert_eq!(header.ended().unwrap().outcome, Outcome::RolledBack);
        assert_eq!(asked(&world).len(), 1);
        world.simulation.mend_function(RECOVERY, "promote-database").unwrap();
        world.resume(&header.id).await.unwrap();
        world.wait().await;
        let header = world.only_header().await;
        assert_recovered(&world, &header, disaster_at, false, "approved before");
        assert_eq!(asked(&world).len(), 1, "people were asked again");
        let closing = header.ended().unwrap();
        assert_eq!(closing.evidence["approval"]["by"], json!([SECOND, THIRD]));
    });
}

#[test]
fn one_of_two_who_approved_before_need_not_do_so_again() {
    in_virtual_time(async {
        // It dies while it tells people.
        let Began { world, disaster_at } = TWO_APPROVE.begin(Some(("request-approval", 8))).await;
        let first = people_approve(&world, &[SECOND]);
        world.wait().await;
        first.abort();
        let header = world.only_header().await;
        assert_eq!(header.ended().unwrap().outcome, Outcome::Failed);
        world.simulation.let_live(RECOVERY, "request-approval").unwrap();
        people_approve(&world, &[THIRD]);
        world.resume(&header.id).await.unwrap();
        world.wait().await;
        let header = world.only_header().await;
        assert_recovered(&world, &header, disaster_at, false, "one before, one after");
        let closing = header.ended().unwrap();
        assert_eq!(closing.evidence["approval"]["by"], json!([SECOND, THIRD]));
    });
}

// What may not be gone on with.

/// Wants to go on with `id`, and gives why that is refused. Nothing is changed by it.
async fn refusal(world: &World, id: &str) -> String {
    let (before, headers) = (Left::of(world).changes, world.headers().await);
    let resumed = world.resume(id).await.unwrap();
    while !world
        .simulation
        .ended()
        .iter()
        .any(|ended| ended.arn == resumed.execution)
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(Left::of(world).changes, before);
    let (own, others): (Vec<_>, Vec<_>) = world
        .headers()
        .await
        .into_iter()
        .partition(|header| header.execution == resumed.execution);
    assert_eq!(others, headers);
    let closing = own.first().and_then(|own| own.ended()).expect("the refusal is kept");
    assert_eq!(closing.outcome, Outcome::Refused);
    closing.reason.clone().unwrap()
}

/// A recovery from the loss of the primary Region that could not promote.
async fn fell_short() -> (World, Header) {
    let play = Play {
        forbidden: Some("promote-database"),
        ..LOSS
    };
    let Began { world, .. } = play.begin(None).await;
    world.wait().await;
    let header = world.only_header().await;
    assert_eq!(header.ended().unwrap().outcome, Outcome::RolledBack);
    world.simulation.mend_function(RECOVERY, "promote-database").unwrap();
    (world, header)
}

/// Goes on with a recovery that must recover then.
async fn goes_on(world: &World, id: &str) {
    let resumed = world.resume(id).await.unwrap();
    world.wait().await;
    let header = world.record.header(id).await.unwrap().unwrap();
    let ended = header.ended().map(|closing| closing.outcome);
    assert_eq!(
        (header.execution.as_str(), ended),
        (resumed.execution.as_str(), Some(Outcome::Recovered)),
        "{header:?}"
    );
    assert_eq!(promotions(world), 1);
    assert!(world.is_unlocked().await);
}

#[test]
fn a_recovered_recovery_is_not_gone_on_with() {
    in_virtual_time(async {
        let Began { world, .. } = LOSS.begin(None).await;
        world.wait().await;
        let id = world.only_header().await.id;
        let why = refusal(&world, &id).await;
        assert!(
            why.contains(&id) && why.contains("ended as recovered") && why.contains("start a new one"),
            "{why}"
        );
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn a_declined_recovery_is_not_gone_on_with() {
    in_virtual_time(async {
        let Began { world, .. } = TWO_APPROVE.begin(None).await;
        let question = world.question().await;
        let (status, _) = world.answer(&question, SECOND, "decline", Some("it comes back")).await;
        assert_eq!(status, 200);
        world.wait().await;
        let header = world.only_header().await;
        assert_eq!(header.ended().unwrap().outcome, Outcome::Declined);
        let why = refusal(&world, &header.id).await;
        assert!(why.contains(&header.id) && why.contains("ended as declined"), "{why}");
        assert_eq!(asked(&world).len(), 1);
        assert_eq!(promotions(&world), 0);
    });
}

#[test]
fn a_recovery_that_still_runs_is_not_gone_on_with() {
    in_virtual_time(async {
        let Began { world, disaster_at } = TWO_APPROVE.begin(None).await;
        let question = world.question().await;
        let running = world.only_header().await;
        let why = refusal(&world, &running.id).await;
        assert!(
            why.contains(&running.id) && why.contains("still runs") && why.contains(&running.execution),
            "{why}"
        );
        let lock = world.record.lock(&world.plan.workload).await.unwrap().unwrap();
        assert_eq!(lock.execution, running.execution);
        for who in [SECOND, THIRD] {
            world.answer(&question, who, "approve", None).await;
        }
        world.wait().await;
        let header = world.record.header(&running.id).await.unwrap().unwrap();
        assert_recovered(&world, &header, disaster_at, false, "it ran on");
    });
}

#[test]
fn a_recovery_that_does_not_exist_is_looked_for_in_both_regions() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let error = world
            .resume("20260106T000000Z-region-failure-000000")
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        for part in ["20260106T000000Z-region-failure-000000", PRIMARY, RECOVERY] {
            assert!(error.message.contains(part), "{part} is missing in: {error}");
        }
        assert!(world.headers().await.is_empty());
        // By hand, in a Region that knows nothing of it.
        let mut by_hand = request("decide");
        by_hand["resume"] = json!("20260106T000000Z-region-failure-000000");
        world.start("by-hand", by_hand);
        world.wait().await;
        let why = world.closing().await.reason.unwrap();
        assert!(why.contains("there is no recovery") && why.contains(RECOVERY), "{why}");
        world.assert_as_before();
    });
}

#[test]
fn a_recovery_from_another_scenario_is_not_gone_on_with() {
    in_virtual_time(async {
        let (world, header) = fell_short().await;
        let other = Header {
            scenario: Scenario::AZ_FAILURE,
            wants: Fields::new(),
            ..header.clone()
        };
        world.record.put_header(&other).await.unwrap();
        let why = refusal(&world, &header.id).await;
        assert!(why.contains("there is no recovery from az-failure yet"), "{why}");
        // By hand, as if it were of this machine's scenario.
        let mut by_hand = request("decide");
        by_hand["resume"] = json!(header.id);
        world.start("by-hand", by_hand);
        world.wait().await;
        let refused = world.headers().await.pop().unwrap();
        let why = refused.ended().unwrap().reason.clone().unwrap();
        assert!(
            why.contains(&header.id) && why.contains("for az-failure, not what was asked for"),
            "{why}"
        );
        assert_eq!(world.record.header(&header.id).await.unwrap(), Some(other));
        assert_eq!(promotions(&world), 0);
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn resuming_twice_is_one_execution() {
    in_virtual_time(async {
        let (world, header) = fell_short().await;
        let (first, second) = tokio::join!(world.resume(&header.id), world.resume(&header.id));
        let third = world.resume(&header.id).await.unwrap();
        assert_eq!([&first.unwrap(), &second.unwrap()], [&third, &third]);
        world.wait().await;
        assert_eq!(world.recoveries_ended(), 2);
        let header = world.only_header().await;
        assert_eq!(header.ended().unwrap().outcome, Outcome::Recovered);
        assert_eq!(header.resumed.len(), 1);
    });
}

#[test]
fn it_is_gone_on_with_as_often_as_it_falls_short() {
    in_virtual_time(async {
        let (world, header) = fell_short().await;
        for step in ["assess-region", "activate-region", "switch-dns"] {
            world
                .simulation
                .break_function(RECOVERY, step, "Denied", "not yet")
                .unwrap();
            world.resume(&header.id).await.unwrap();
            world.wait().await;
            world.simulation.mend_function(RECOVERY, step).unwrap();
        }
        goes_on(&world, &header.id).await;
        let ended = world.only_header().await;
        assert_eq!((ended.resumed.len(), ended.earlier.len()), (4, 4));
        let decided = |closing: &shared::record::Closing| closing.observed.decided_at;
        // It was promoted by the execution that could not activate.
        assert_eq!(decided(ended.ended().unwrap()), decided(&ended.earlier[2]));
    });
}

#[test]
fn it_is_gone_on_with_after_that_was_refused_while_it_ran() {
    in_virtual_time(async {
        let play = Play {
            forbidden: Some("promote-database"),
            ..TWO_APPROVE
        };
        let Began { world, .. } = play.begin(None).await;
        let question = world.question().await;
        let id = world.only_header().await.id;
        assert!(refusal(&world, &id).await.contains("still runs"));
        for who in [SECOND, THIRD] {
            world.answer(&question, who, "approve", None).await;
        }
        world.wait().await;
        let header = world.record.header(&id).await.unwrap().unwrap();
        assert_eq!(header.ended().unwrap().outcome, Outcome::RolledBack);
        world.simulation.mend_function(RECOVERY, "promote-database").unwrap();
        goes_on(&world, &id).await;
    });
}

#[test]
fn it_is_gone_on_with_after_that_could_not_be_opened() {
    in_virtual_time(async {
        let (world, header) = fell_short().await;
        world.simulation.kill_function(RECOVERY, "open-recovery", 1).unwrap();
        world.resume(&header.id).await.unwrap();
        world.wait().await;
        assert!(world.simulation.was_killed(RECOVERY, "open-recovery") && world.has_failed());
        assert_eq!(world.only_header().await, header);
        world.simulation.let_live(RECOVERY, "open-recovery").unwrap();
        goes_on(&world, &header.id).await;
    });
}

/// The fence stands, since giving it back died: that is no refusal, by which nothing would be changed.
#[test]
fn it_is_gone_on_with_after_the_evidence_was_against_it() {
    in_virtual_time(async {
        let play = Play {
            forbidden: Some("promote-database"),
            ..PLANNED
        };
        let Began { world, .. } = play.begin(Some(("unfence-region", 1))).await;
        world.wait().await;
        let header = world.only_header().await;
        assert_eq!(header.ended().unwrap().outcome, Outcome::Failed);
        world.simulation.let_live(RECOVERY, "unfence-region").unwrap();
        world.simulation.mend_function(RECOVERY, "promote-database").unwrap();
        let primary = world.plan.regions.primary.region.clone();
        world.cloud().take_region_away(&primary);
        world.resume(&header.id).await.unwrap();
        world.wait().await;
        let second = world.only_header().await;
        let closing = second.ended().unwrap();
        assert!(
            closing
                .reason
                .as_ref()
                .unwrap()
                .contains("a switchover needs both sides healthy"),
            "{closing:?}"
        );
        assert_ne!(
            closing.outcome,
            Outcome::Refused,
            "the fence stands: {:?}",
            closing.reason
        );
        world.cloud().give_region_back(&primary);
        tokio::time::sleep(LOOKS_FOR).await;
        goes_on(&world, &header.id).await;
    });
}

/// The database was promoted by the first execution: what the second cannot look at is no refusal either.
#[test]
fn it_is_gone_on_with_after_nothing_could_be_looked_at() {
    in_virtual_time(async {
        let play = Play {
            forbidden: Some("activate-region"),
            ..LOSS
        };
        let Began { world, .. } = play.begin(None).await;
        world.wait().await;
        let header = world.only_header().await;
        assert_eq!(header.ended().unwrap().outcome, Outcome::Failed);
        world.simulation.mend_function(RECOVERY, "activate-region").unwrap();
        world
            .simulation
            .break_function(RECOVERY, "assess-region", "Unavailable", "no answer")
            .unwrap();
        world.resume(&header.id).await.unwrap();
        world.wait().await;
        let second = world.only_header().await;
        let closing = second.ended().unwrap();
        assert_ne!(
            closing.outcome,
            Outcome::Refused,
            "it is promoted: {:?}",
            closing.reason
        );
        world.simulation.mend_function(RECOVERY, "assess-region").unwrap();
        goes_on(&world, &header.id).await;
    });
}

// Another recovery takes the lock, or somebody stops the execution.

/// Takes the lock away from whoever holds it, for an execution that runs; gives that.
async fn preempt(world: &World) -> String {
    let other = format!("arn:aws:states:{RECOVERY}:123456789012:execution:{MACHINE}:other");
    let machine = format!("arn:aws:states:{RECOVERY}:123456789012:stateMachine:{MACHINE}");
    let running = ExecutionRecord::running(&machine, "other", "{}", world.cloud().now());
    world.cloud().executions.put(&other, running);
    let holder = world.record.lock(&world.plan.workload).await.unwrap().unwrap();
    let claim = Claim {
        workload: &world.plan.workload,
        execution: &other,
        recovery: "the-other-one",
        mode: Mode::Rehearsal,
        at: world.cloud().now(),
    };
    world.record.claim_lock(&claim, Some(&holder)).await.unwrap();
    other
}

#[test]
fn a_recovery_that_was_preempted_changes_nothing_more() {
    for (play, state) in [
        (LOSS, "FenceRegion"),
        (LOSS, "PromoteDatabase"),
        (LOSS, "ActivateRegion"),
        (LOSS, "SwitchDns"),
        (LOSS, "EnableEventSources"),
        (PLANNED, "FenceRegion"),
        (PLANNED, "PromoteDatabase"),
        (PLANNED, "CheckSwitchover"),
        (PLANNED, "ActivateAfterPromotion"),
        (PLANNED, "SwitchDns"),
    ] {
        in_virtual_time(async {
            let Began { world, disaster_at } = play.begin(None).await;
            while !world.passed(state) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let before = Left::of(&world).changes;
            let other = preempt(&world).await;
            world.wait().await;
            let header = world.only_header().await;
            let closing = header.ended().unwrap();
            assert_eq!(closing.outcome, Outcome::Preempted, "{state}: {:?}", closing.reason);
            assert_eq!(Left::of(&world).changes, before, "{state}");
            if state == "FenceRegion" && play.is_planned {
                world.assert_as_before();
            }
            let lock = world.record.lock(&world.plan.workload).await.unwrap().unwrap();
            assert_eq!(lock.execution, other, "{state}");

            // When the other one has ended, this one can be gone on with.
            let mut record = world.cloud().executions.get(&other).unwrap();
            record.status = "FAILED";
            world.cloud().executions.put(&other, record);
            tokio::time::sleep(LOOKS_FOR).await;
            goes_on(&world, &header.id).await;
            let header = world.only_header().await;
            assert_recovered(&world, &header, disaster_at, play.is_planned, state);
        });
    }
}

#[test]
fn a_recovery_that_was_preempted_is_not_gone_on_with_while_the_other_runs() {
    in_virtual_time(async {
        let Began { world, .. } = LOSS.begin(None).await;
        while !world.passed("PromoteDatabase") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let other = preempt(&world).await;
        world.wait().await;
        let id = world.only_header().await.id;
        let why = refusal(&world, &id).await;
        assert!(why.contains("the-other-one") && why.contains(&other), "{why}");
        let lock = world.record.lock(&world.plan.workload).await.unwrap().unwrap();
        assert_eq!(lock.execution, other);
        assert_eq!(promotions(&world), 0);
    });
}

/// A recovery from the loss of the primary Region by the alarm, stopped so many seconds after its start, if it still runs.
async fn stopped_after(seconds: u64) -> Began {
    let Began { world, disaster_at } = LOSS.begin(None).await;
    while !world.passed("MayOpen") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    world.stop(&world.only_header().await.execution).await;
    world.wait().await;
    Began { world, disaster_at }
}

#[test]
fn a_recovery_that_was_stopped_by_hand_is_gone_on_with() {
    let undisturbed = LOSS.undisturbed();
    let mut stopped = 0;
    for seconds in (2..).step_by(11) {
        // Every other time it is gone on with at once, while what was at work when it was stopped goes on to its end.
        let looks_for = if stopped % 2 == 0 { LOOKS_FOR } else { Duration::ZERO };
        let mut was_stopped = false;
        in_virtual_time(async {
            let what = format!("stopped after {seconds} s, resumed after {looks_for:?}");
            let Began { world, disaster_at } = stopped_after(seconds).await;
            let header = world.only_header().await;
            let status = world.cloud().executions.get(&header.execution).unwrap().status;
            was_stopped = status == "ABORTED" && header.ended().is_none();
            if !was_stopped {
                return;
            }
            // An event frees it within seconds.
            let lock = world.record.lock(&world.plan.workload).await.unwrap();
            assert!(lock.is_none_or(|lock| lock.execution == header.execution), "{what}");
            tokio::time::sleep(looks_for).await;
            assert!(looks_for.is_zero() || world.is_unlocked().await, "{what}");
            let before = Before::of(&world, &header).await;
            let resumed = world.resume(&header.id).await.unwrap();
            world.wait().await;
            let header = world.only_header().await;
            LOSS.assert_ended_well(&world, &header, disaster_at, &undisturbed, &what)
                .await;
            if !looks_for.is_zero() {
                before.assert_gone_on_with(&world, &header, &resumed, &what).await;
            }
        });
        if !was_stopped {
            break;
        }
        stopped += 1;
    }
    assert!(stopped > 10, "it was stopped at too few places: {stopped}");
}
