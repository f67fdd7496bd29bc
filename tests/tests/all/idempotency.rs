//! Every mutating step: run twice it mutates once, killed after any of its AWS calls and run again it mutates once, and
//! without its lock it mutates nothing. Each runs with the real SDK clients against the simulated AWS.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use crate::common::{self, PRIMARY, RECOVERY, in_virtual_time, killed_after, stopped};
use serde_json::{Value, json};
use shared::error::ErrorKind;
use shared::step::Step;
use simulator::aws::states::ExecutionRecord;

const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:one";

/// The primary Region is lost, and a recovery was opened in the other one.
struct World {
    world: common::World,
    /// What `open-recovery` answered.
    opened: Value,
}

impl Deref for World {
    type Target = common::World;

    fn deref(&self) -> &common::World {
        &self.world
    }
}

impl World {
    async fn lost_region() -> Self {
        let world = common::World::bare().await;
        tokio::time::sleep(Duration::from_secs(90)).await;
        world.cloud().take_region_away(PRIMARY);
        tokio::time::sleep(Duration::from_secs(30)).await;
        Self {
            world,
            opened: Value::Null,
        }
    }

    async fn opened() -> Self {
        Self::lost_region().await.open().await
    }

    /// Both Regions are there, a recovery was opened, and the plan has no switch object.
    async fn opened_with_a_record() -> Self {
        let mut plan = common::plan();
        plan.dns.switch_object = None;
        let world = common::World::bare_of(plan, 7).await;
        let opened = Value::Null;
        Self { world, opened }.open().await
    }

    async fn open(self) -> Self {
        let mut world = self;
        world.opened = world
            .step::<open_recovery::OpenRecovery>()
            .invoke(open_input(&world))
            .await
            .unwrap();
        assert_eq!(world.opened["refused"], Value::Null);
        world
    }

    /// Opened, and with the database promoted.
    async fn promoted() -> Self {
        let world = Self::opened().await;
        world
            .step::<promote_database::PromoteDatabase>()
            .invoke(promote_input(&world))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        world
    }

    fn with(&self, fields: Value) -> Value {
        common::with_recovery(&self.opened, fields)
    }
}

/// What a mutating step is tested with.
struct Case {
    /// Makes the world that it runs in.
    world: fn() -> std::pin::Pin<Box<dyn Future<Output = World>>>,
    /// Its input.
    input: fn(&World) -> Value,
    /// What it leaves behind, calls that mutate included.
    effect: fn(&World) -> std::pin::Pin<Box<dyn Future<Output = Value> + '_>>,
}

/// Runs the step once; then twice; then killed after each of its calls and run again: the effect is the same.
fn mutates_once<S: Step>(case: &Case) {
    in_virtual_time(async {
        let once = (case.world)().await;
        once.step::<S>().invoke((case.input)(&once)).await.unwrap();
        let (expected, calls) = ((case.effect)(&once).await, once.calls_of(S::NAME));
        assert!(calls > 0, "{} makes no AWS call", S::NAME);

        let twice = (case.world)().await;
        let first = twice.step::<S>().invoke((case.input)(&twice)).await.unwrap();
        let second = twice.step::<S>().invoke((case.input)(&twice)).await.unwrap();
        assert_eq!(
            (case.effect)(&twice).await,
            expected,
            "{} run twice; it answered {first} and {second}",
            S::NAME
        );

        for call in 1..=calls {
            let world = (case.world)().await;
            let before = world.calls_of(S::NAME);
            let first = world.step::<S>();
            let was_killed = killed_after(&world, S::NAME, before + call, first.invoke((case.input)(&world))).await;
            assert!(was_killed, "{} was to be killed after call {call} of {calls}", S::NAME);
            world.step::<S>().invoke((case.input)(&world)).await.unwrap();
            let effect = (case.effect)(&world).await;
            assert_eq!(
                effect,
                expected,
                "{} killed after call {call} of {calls} and run again",
                S::NAME
            );
        }
    });
}

/// Runs the step after another recovery took the lock: it says so, and changes nothing.
fn changes_nothing_without_its_lock<S: Step>(case: &Case) {
    in_virtual_time(async {
        let world = (case.world)().await;
        let before = (case.effect)(&world).await;
        world.preempt().await;
        let error = world.step::<S>().invoke((case.input)(&world)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Preempted, "{error}");
        assert_eq!((case.effect)(&world).await, before);
    });
}

fn open_input(_: &World) -> Value {
    json!({
        "state": { "Name": "Tested" },
        "request": {
            "scenario": "region-failure",
            "mode": "rehearsal",
            "wants": { "intent": "decide" },
            "trigger": { "kind": "alarm", "by": "arn:alarm", "at": "2026-01-06T02:52:00Z" },
        },
        "machines": { "region-failure": common::SCENARIO_MACHINE },
        "execution": EXECUTION,
        "started_at": "2026-01-06T02:52:01Z",
    })
}

fn promote_input(world: &World) -> Value {
    let plan = &world.opened["plan"];
    world.with(json!({
        "way": "failover", "database": plan["database"], "here": plan["here"], "other": plan["other"],
    }))
}

const OPEN: Case = Case {
    world: || Box::pin(World::lost_region()),
    input: open_input,
    effect: |world| {
        Box::pin(async {
            let workload = &world.plan.workload;
            let lock = world.record.lock(workload).await.unwrap();
            let recoveries = world.record.recoveries(workload).await.unwrap();
            let opened_at = match recoveries.first() {
                Some(id) => world
                    .record
                    .header(id)
                    .await
                    .unwrap()
                    .map(|header| header.opened_at.to_string()),
                None => None,
            };
            json!({ "token": lock.map(|lock| lock.token), "recoveries": recoveries, "opened_at": opened_at })
        })
    },
};

const PROMOTE: Case = Case {
    world: || Box::pin(World::opened()),
    input: promote_input,
    effect: |world| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            json!({
                "calls": world.count("promote-database", "FailoverGlobalCluster"),
                "writer": world.cloud().rds.writer_of(world.cloud(), &world.plan.database.global_cluster),
                "undo": undo_notes(world).await,
            })
        })
    },
};

const ACTIVATE: Case = Case {
    world: || Box::pin(World::opened()),
    input: |world| {
        let plan = &world.opened["plan"];
        world.with(json!({ "here": plan["here"], "functions": plan["functions"] }))
    },
    effect: |world| {
        Box::pin(async {
            let concurrency: BTreeMap<_, _> = world
                .plan
                .functions
                .iter()
                .map(|function| {
                    let function = &function.name;
                    (
                        function,
                        world
                            .cloud()
                            .lambda
                            .function(RECOVERY, function)
                            .unwrap()
                            .reserved_concurrency,
                    )
                })
                .collect();
            json!({ "concurrency": concurrency, "undo": undo_notes(world).await })
        })
    },
};

const SWITCH: Case = Case {
    world: || Box::pin(World::opened()),
    input: |world| world.with(json!({ "dns": world.opened["plan"]["dns"] })),
    effect: |world| {
        Box::pin(async {
            let switch = &world.plan.dns.switch_object.as_ref().unwrap();
            json!({
                "calls": world.count("switch-dns", "PutObject"),
                "there": world.cloud().s3.is_publicly_there(&switch.bucket.0, &switch.key),
                "undo": undo_notes(world).await,
            })
        })
    },
};

const CHANGE_RECORD: Case = Case {
    world: || Box::pin(World::opened_with_a_record()),
    input: |world| world.with(json!({ "dns": world.opened["plan"]["dns"] })),
    effect: |world| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(120)).await;
            json!({
                "calls": world.count("switch-dns", "ChangeResourceRecordSets"),
                "records": world.cloud().snapshot()["records"],
                "undo": undo_notes(world).await,
            })
        })
    },
};

const CHECK: Case = Case {
    world: || Box::pin(World::promoted()),
    input: |world| {
        let plan = &world.opened["plan"];
        world.with(json!({
            "database": plan["database"], "here": plan["here"], "other": plan["other"],
            "decided_at": "2026-01-06T02:52:02Z",
        }))
    },
    effect: |world| {
        Box::pin(async {
            let cloud = world.cloud();
            let cluster = cloud.rds.writer_of(cloud, &world.plan.database.global_cluster).unwrap();
            let sql = format!("SELECT count(*) FROM {}.canary", world.plan.database.heartbeat.schema);
            let rows = cloud
                .rds
                .execute(cloud, RECOVERY, &cluster, &sql, &BTreeMap::new())
                .unwrap();
            json!({ "canaries": format!("{:?}", rows.rows) })
        })
    },
};

const CLOSE: Case = Case {
    world: || Box::pin(World::opened()),
    input: |world| {
        world.with(json!({
            "execution": EXECUTION,
            "outcome": "failed",
            "reason": null,
            "failure": null,
            "left_region": "us-east-1",
            "probe": world.opened["plan"]["probe"],
            "evidence": {},
            "scenario": {
                "outcome": "recovered", "reason": null, "failure": null, "evidence": {}, "remaining": null,
                "observed": {
                    "impact_at": "2026-01-06T02:51:30Z", "decided_at": null, "healthy_at": "2026-01-06T02:55:00Z",
                    "last_committed_at": null, "last_surviving_at": null, "can_lose_writes": true,
                },
            },
        }))
    },
    effect: |world| {
        Box::pin(async {
            let lock = world.record.lock(&world.plan.workload).await.unwrap();
            let id = world.opened["recovery"]["id"].as_str().unwrap();
            let closing = world.record.header(id).await.unwrap().unwrap().closing;
            json!({
                "held": lock.is_some(),
                "outcome": closing.as_ref().map(|closing| closing.outcome),
                "rto": closing.as_ref().and_then(|closing| closing.achieved.rto_seconds),
                "published": world.achieved("AchievedRto"),
            })
        })
    },
};

/// The execution that opened the recovery was stopped, and Step Functions tells of it.
const RELEASE: Case = Case {
    world: || {
        Box::pin(async {
            let world = World::opened().await;
            world
                .step::<promote_database::PromoteDatabase>()
                .invoke(promote_input(&world))
                .await
                .unwrap();
            let machine = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";
            let mut stopped = ExecutionRecord::running(machine, "one", "{}", world.cloud().now());
            stopped.status = "ABORTED";
            world.cloud().executions.put(EXECUTION, stopped);
            world
        })
    },
    input: |_| json!({ "event": stopped(EXECUTION) }),
    effect: |world| {
        Box::pin(async {
            let workload = &world.plan.workload;
            let id = world.opened["recovery"]["id"].as_str().unwrap();
            json!({
                "held": world.record.lock(workload).await.unwrap().is_some(),
                "told": !world.messages().is_empty(),
                "to_be_told": world.record.untold(workload).await.unwrap().len(),
                "closing": world.record.header(id).await.unwrap().unwrap().closing.is_some(),
                "undo": undo_notes(world).await,
            })
        })
    },
};

async fn undo_notes(world: &World) -> Value {
    let id = world.opened["recovery"]["id"].as_str().unwrap();
    let notes = world.record.undo_notes(id).await.unwrap();
    json!(
        notes
            .iter()
            .map(|note| json!([note.step, note.resource, note.previous]))
            .collect::<Vec<_>>()
    )
}

#[test]
fn opening_happens_once() {
    mutates_once::<open_recovery::OpenRecovery>(&OPEN);
}

#[test]
fn promoting_happens_once() {
    mutates_once::<promote_database::PromoteDatabase>(&PROMOTE);
}

#[test]
fn activating_happens_once() {
    mutates_once::<activate_region::ActivateRegion>(&ACTIVATE);
}

#[test]
fn switching_happens_once() {
    mutates_once::<switch_dns::SwitchDns>(&SWITCH);
}

#[test]
fn changing_the_record_happens_once() {
    mutates_once::<switch_dns::SwitchDns>(&CHANGE_RECORD);
}

#[test]
fn checking_the_database_leaves_one_row() {
    mutates_once::<check_database::CheckDatabase>(&CHECK);
}

#[test]
fn closing_happens_once() {
    mutates_once::<close_recovery::CloseRecovery>(&CLOSE);
}

#[test]
fn releasing_a_lock_happens_once() {
    mutates_once::<release_lock::ReleaseLock>(&RELEASE);
    in_virtual_time(async {
        let world = (RELEASE.world)().await;
        for _ in 0..2 {
            let step = world.step::<release_lock::ReleaseLock>();
            step.invoke((RELEASE.input)(&world)).await.unwrap();
        }
        assert_eq!(world.messages().len(), 1);
        let effect = (RELEASE.effect)(&world).await;
        assert_eq!(
            (
                &effect["held"],
                &effect["told"],
                &effect["to_be_told"],
                &effect["closing"]
            ),
            (&json!(false), &json!(true), &json!(0), &json!(false))
        );
    });
}

/// The schedule frees the lock, and whatever it dies after, it tells of it the next time: whether it was the one that
/// released it is not known any more then.
#[test]
fn a_lock_that_the_schedule_released_is_told_whatever_it_dies_after() {
    let died_and_run_again = |call: u64| {
        let mut was_killed = false;
        in_virtual_time(async {
            let world = (RELEASE.world)().await;
            let step = || world.step::<release_lock::ReleaseLock>();
            let first = step();
            was_killed = killed_after(&world, "release-lock", call, first.invoke(json!({}))).await;
            tokio::time::sleep(Duration::from_secs(61)).await;
            step().invoke(json!({})).await.unwrap();
            let effect = (RELEASE.effect)(&world).await;
            let seen = (&effect["held"], &effect["told"], &effect["to_be_told"]);
            assert_eq!(seen, (&json!(false), &json!(true), &json!(0)), "after call {call}");
            assert!(world.messages().len() <= 2, "after call {call}");
        });
        was_killed
    };
    let deaths = (1..).take_while(|call| died_and_run_again(*call)).count();
    assert!(deaths > 8, "{deaths}");
}

#[test]
fn a_recovery_that_lost_its_lock_changes_nothing() {
    changes_nothing_without_its_lock::<promote_database::PromoteDatabase>(&PROMOTE);
    changes_nothing_without_its_lock::<activate_region::ActivateRegion>(&ACTIVATE);
    changes_nothing_without_its_lock::<switch_dns::SwitchDns>(&SWITCH);
    changes_nothing_without_its_lock::<switch_dns::SwitchDns>(&CHANGE_RECORD);
    changes_nothing_without_its_lock::<check_database::CheckDatabase>(&CHECK);
}

#[test]
fn the_effects_that_are_compared_are_effects() {
    in_virtual_time(async {
        let world = World::opened().await;
        let before = (PROMOTE.effect)(&world).await;
        world
            .step::<promote_database::PromoteDatabase>()
            .invoke(promote_input(&world))
            .await
            .unwrap();
        let after = (PROMOTE.effect)(&world).await;
        assert_eq!((before["calls"].clone(), after["calls"].clone()), (json!(0), json!(1)));
        assert_ne!(before["writer"], after["writer"]);
        assert_eq!(after["undo"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (ACTIVATE.effect)(&world).await["concurrency"]["radiant-production-router"],
            json!(0)
        );
        world
            .step::<activate_region::ActivateRegion>()
            .invoke((ACTIVATE.input)(&world))
            .await
            .unwrap();
        assert_eq!(
            (ACTIVATE.effect)(&world).await["concurrency"]["radiant-production-router"],
            Value::Null
        );
    });
}

/// An announcement is told once however often it is run. A function that dies after SNS took the message and before it
/// kept that tells people twice, which is meant: not at all would be worse.
#[test]
fn an_announcement_is_told_once_and_after_a_death_rather_twice_than_never() {
    in_virtual_time(async {
        let input = |world: &World| {
            let topic = &world.opened["plan"]["here"]["topic_arn"];
            world.with(json!({
                "scenario": "region-failure", "mode": "rehearsal", "topic_arn": topic, "what": "opened", "text": "It begins.",
            }))
        };
        let told = |world: &World| {
            world
                .cloud()
                .sns
                .messages(&world.plan.topic_arn(&world.plan.regions.standby))
                .len()
        };
        let world = World::opened().await;
        let first = world.step::<announce::Announce>().invoke(input(&world)).await.unwrap();
        let second = world.step::<announce::Announce>().invoke(input(&world)).await.unwrap();
        assert_eq!((told(&world), first), (1, second));

        for call in 1.. {
            let world = World::opened().await;
            let first = world.step::<announce::Announce>();
            let was_killed = killed_after(&world, "announce", call, first.invoke(input(&world))).await;
            assert!(was_killed, "it ended before it was killed behind its message");
            if world.count("announce", "Publish") > 0 {
                world.step::<announce::Announce>().invoke(input(&world)).await.unwrap();
                assert_eq!(told(&world), 2);
                break;
            }
        }
    });
}
