//! Killed anywhere and resumed: whatever step dies after whatever AWS call, the recovery can be gone on with, has each of
//! its effects once, and ends as if nothing had died.

use std::collections::BTreeMap;
use std::time::Duration;

use common::{MACHINE, ON_CALL, PRIMARY, RECOVERY, SECOND, THIRD, World, body, in_virtual_time, plan, request};
use drctl::Resumed;
use drctl::deployment::deployments;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::error::{ErrorKind, StepError};
use shared::measure::RpoStatus;
use shared::plan::Plan;
use shared::record::{Claim, Header, TimelineStep, Undo};
use shared::recovery::{Mode, Outcome, RecoveryRef, Scenario};
use simulator::aws::states::ExecutionRecord;

mod common;

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
    /// The step that may not do its work before the recovery is gone on with, so that others are reached.
    forbidden: Option<&'static str>,
}

const LOSS: Play = Play {
    change: |_| {},
    is_planned: false,
    people_answer: false,
    forbidden: None,
};

const PLANNED: Play = Play {
    is_planned: true,
    ..LOSS
};

/// The plan asks two people before it fails over.
fn two_approve(plan: &mut Plan) {
    plan.scenarios.get_mut(&Scenario::RegionFailure).unwrap().approvals = 2;
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
            let _ = people_approve(&world, &[SECOND, THIRD]);
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
            left = Some(Left::of(&world));
        });
        left.unwrap()
    }

    /// Plays it with `function` dying after each number of calls, and goes on; gives how the first executions ended, by
    /// the number of calls.
    fn killed_after_each_call(&self, function: &str) -> Vec<Option<Outcome>> {
        let undisturbed = self.undisturbed();
        let mut outcomes = Vec::new();
        let t0 = std::time::Instant::now();
        for calls in 1..TOO_MANY_CALLS {
            let mut killed = None;
            in_virtual_time(async {
                killed = self.killed_and_resumed(function, calls, &undisturbed).await;
            });
            match killed {
                Some(outcome) => outcomes.push(outcome),
                None => {
                    println!("{function}: {} {:?} {outcomes:?}", outcomes.len(), t0.elapsed());
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
        if outcome == Some(Outcome::RolledBack) && self.is_planned {
            world.assert_as_before();
        }
        let before = Before::of(&world, header).await;
        let resumed = resume(&world, &header.id).await.unwrap();
        world.wait().await;
        let header = world.only_header().await;
        self.assert_ended_well(&world, &header, disaster_at, undisturbed, &what)
            .await;
        before.assert_gone_on_with(&world, &header, &resumed, &what).await;
        Some(outcome)
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
        let left = Left::of(world);
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
        // Where the other Region was fenced and given back, it is fenced once more.
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
            if CHANGES.contains(&call.operation.as_str()) {
                *changes.entry(call.operation).or_default() += count;
            }
        }
        let mut snapshot = world.cloud().snapshot();
        // The switch object says by which recovery it was written.
        for objects in snapshot["public_objects"].as_object_mut().unwrap().values_mut() {
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
        assert_eq!(world.simulation.ended().len(), 2, "{what}");

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
        for state in ["OpenRecovery", "AnnounceOpening", "AssessRegion", "SwitchDns", "CloseRecovery"] {
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

/// Asserts that the recovery Region serves, and that what was measured is true.
#[track_caller]
fn assert_recovered(world: &World, header: &Header, disaster_at: Timestamp, is_planned: bool, what: &str) {
    let (cloud, plan) = (world.cloud(), &world.plan);
    let closing = header.ended().unwrap_or_else(|| panic!("{what}: {header:?}"));
    assert_eq!(closing.outcome, Outcome::Recovered, "{what}: {:?}", closing.reason);
    assert_eq!(promotions(world), 1, "{what}");
    assert_eq!(
        cloud.rds.writer_of(cloud, &plan.database.global_cluster),
        Some(plan.cluster_arn(&plan.regions.recovery)),
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
    let rto = observed
        .healthy_at
        .unwrap()
        .duration_since(observed.impact_at.unwrap());
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

async fn resume(world: &World, id: &str) -> Result<Resumed, StepError> {
    drctl::resume(&world.simulation.aws_in("drctl", RECOVERY), &world.plan, id, ON_CALL).await
}

/// Lets these people approve whatever is asked from now on, until the handle is aborted.
fn people_approve(world: &World, people: &[&'static str]) -> tokio::task::JoinHandle<()> {
    let topic = world.plan.topic_arn(&world.plan.regions.recovery);
    let (simulation, people) = (world.simulation.clone(), people.to_vec());
    let mut messages = world.cloud().sns.subscribe(&topic);
    tokio::task::spawn_local(async move {
        while let Some(message) = messages.recv().await {
            let Some(mut answer) = body(&message.text) else { continue };
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
    assert_each(&outcomes, &[None]);
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
    let outcomes = LOSS.killed_after_each_call("check-database");
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
    let outcomes = PLANNED.killed_after_each_call("fence-region");
    assert_each(&outcomes, &[Some(Outcome::Recovered)]);
}

#[test]
fn a_planned_move_with_promote_database_killed_anywhere() {
    let outcomes = PLANNED.killed_after_each_call("promote-database");
    assert!(outcomes.contains(&Some(Outcome::RolledBack)), "{outcomes:?}");
}

#[test]
fn a_planned_move_with_check_database_killed_anywhere() {
    let outcomes = PLANNED.killed_after_each_call("check-database");
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
