//! A step that changes what customers depend on changes nothing once its recovery has lost the lock. Each runs with the real
//! SDK clients against the simulated AWS.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use crate::common::{self, PRIMARY, RECOVERY, in_virtual_time};
use serde_json::{Value, json};
use shared::error::ErrorKind;
use shared::step::Step;

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
            .invoke(open_input())
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

/// What a step is tested with.
struct Case {
    /// Makes the world that it runs in.
    world: fn() -> std::pin::Pin<Box<dyn Future<Output = World>>>,
    /// Its input.
    input: fn(&World) -> Value,
    /// What it leaves behind, calls that change something included.
    effect: fn(&World) -> std::pin::Pin<Box<dyn Future<Output = Value> + '_>>,
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

fn open_input() -> Value {
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
        world.with(json!({ "here": plan["here"], "functions": plan["functions"], "part": "functions" }))
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

const ENABLE: Case = Case {
    world: || {
        Box::pin(async {
            let world = World::opened().await;
            let step = world.step::<activate_region::ActivateRegion>();
            step.invoke((ACTIVATE.input)(&world)).await.unwrap();
            world
        })
    },
    input: |world| {
        let mut input = (ACTIVATE.input)(world);
        input["part"] = json!("event-sources");
        input
    },
    effect: |world| {
        Box::pin(async {
            let sources = world.cloud().lambda.event_sources(world.cloud().now());
            let states: Vec<_> = sources.iter().map(|source| source.state).collect();
            json!({ "sources": states, "undo": undo_notes(world).await })
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
fn a_recovery_that_lost_its_lock_changes_nothing() {
    changes_nothing_without_its_lock::<promote_database::PromoteDatabase>(&PROMOTE);
    changes_nothing_without_its_lock::<activate_region::ActivateRegion>(&ACTIVATE);
    changes_nothing_without_its_lock::<activate_region::ActivateRegion>(&ENABLE);
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
        let before = (ENABLE.effect)(&world).await;
        let step = world.step::<activate_region::ActivateRegion>();
        step.invoke((ENABLE.input)(&world)).await.unwrap();
        let after = (ENABLE.effect)(&world).await;
        assert_ne!(before["sources"], after["sources"]);
        assert_ne!(before["undo"], after["undo"]);
    });
}
