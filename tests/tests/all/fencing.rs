//! Fencing a Region, giving it back, and activating it later: on the simulated AWS, by the real steps.

mod reopening;

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use crate::common::{self, ENABLED, PRIMARY, RECOVERY, in_virtual_time};
use serde_json::{Value, json};
use shared::error::ErrorKind;
use shared::plan::Function;
use shared::record::{Claim, Claimed, Record, Resource, ResourceKind, Undo, Warning, WarningCode};
use shared::recovery::{Mode, RecoveryRef};

const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:one";
/// Both Regions are there, and a recovery was opened in the standby Region.
struct World {
    world: common::World,
    /// The table of the primary Region.
    other_record: Record,
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
    async fn opened() -> Self {
        Self::with_functions(0).await
    }

    /// With so many functions beside those of the plan.
    async fn with_functions(more: usize) -> Self {
        let mut plan = common::plan();
        plan.functions.extend((0..more).map(|n| Function {
            name: format!("function-{n}"),
            reserved_concurrency: None,
            alias: None,
        }));
        let world = common::World::bare_of(plan, 7).await;
        let other_record = Record::in_region(&world.simulation.aws("test"), PRIMARY);
        let mut world = Self {
            world,
            other_record,
            opened: Value::Null,
        };
        world.prepare_primary();
        world.world.before = world.cloud().snapshot();
        let request = json!({
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
        });
        let opening = world.step::<open_recovery::OpenRecovery>().invoke(request).await;
        world.opened = opening.unwrap();
        assert_eq!(world.opened["refused"], Value::Null);
        world
    }

    async fn fence(&self) -> Value {
        let step = self.step::<fence_region::FenceRegion>();
        step.invoke(fence_input(self)).await.unwrap()
    }

    async fn unfence(&self) -> Value {
        let step = self.step::<unfence_region::UnfenceRegion>();
        step.invoke(unfence_input(self)).await.unwrap()
    }

    /// What customers and event sources of the primary are let do.
    fn primary(&self) -> Value {
        let cloud = self.cloud();
        let api = &self.plan.regions.primary.api;
        let concurrency: BTreeMap<_, _> = self
            .plan
            .functions
            .iter()
            .map(|function| (&function.name, cloud.lambda.function(PRIMARY, &function.name).unwrap()))
            .map(|(name, function)| (name, function.reserved_concurrency))
            .collect();
        let sources: BTreeMap<_, _> = cloud
            .lambda
            .event_sources(cloud.now())
            .into_iter()
            .filter(|source| source.region == PRIMARY)
            .map(|source| (source.uuid, source.state))
            .collect();
        let stage = cloud.apigateway.settings(PRIMARY, &api.rest_api, &api.stage).unwrap();
        json!({ "concurrency": concurrency, "sources": sources, "stage": stage })
    }

    /// The notes that say what was there before: the recovery's, and the fenced Region's.
    async fn notes(&self) -> Value {
        let id = self.opened["recovery"]["id"].as_str().unwrap();
        let undos = self.record.undo_notes(id).await.unwrap();
        let undos = undos
            .iter()
            .map(|undo| json!([undo.step, undo.resource, undo.previous, undo.taken_back_at.is_some()]));
        let fenced = self.other_record.fenced(&self.plan.workload).await.unwrap();
        let fenced = fenced
            .iter()
            .map(|note| json!([note.resource, note.previous, note.recovery]));
        json!({ "undo": undos.collect::<Vec<_>>(), "fenced": fenced.collect::<Vec<_>>() })
    }

    async fn effect(&self) -> Value {
        // Event sources take up to a minute to become what they are told.
        tokio::time::sleep(Duration::from_secs(61)).await;
        json!({ "primary": self.primary(), "notes": self.notes().await })
    }

    fn with(&self, fields: Value) -> Value {
        common::with_recovery(&self.opened, fields)
    }
}

fn fence_input(world: &World) -> Value {
    let plan = &world.opened["plan"];
    world.with(json!({ "other": plan["other"], "functions": plan["functions"] }))
}

fn unfence_input(world: &World) -> Value {
    let plan = &world.opened["plan"];
    world.with(json!({ "database": plan["database"], "here": plan["here"], "other": plan["other"] }))
}

/// What a world of its own comes to. A world goes on until its runtime ends: many in one runtime would all be served at
/// every second of each.
fn found<T>(work: impl Future<Output = T>) -> T {
    let mut found = None;
    in_virtual_time(async { found = Some(work.await) });
    found.unwrap()
}

#[test]
fn a_fence_closes_everything_and_says_so() {
    in_virtual_time(async {
        let world = World::opened().await;
        let output = world.fence().await;
        assert_eq!(output["confirmed"], true, "{output}");
        // Five functions, two event sources of ours and the platform's own, the stage; one source was disabled before.
        assert_eq!((&output["resources"], &output["changed"]), (&json!(9), &json!(8)));
        let effect = world.effect().await;
        let primary = &effect["primary"];
        for function in &world.plan.functions {
            assert_eq!(primary["concurrency"][&function.name], 0);
        }
        assert_eq!(primary["sources"][ENABLED], "Disabled");
        assert_eq!(primary["sources"]["stranger"], "Enabled", "another team's stays");
        let methods = primary["stage"].as_object().unwrap();
        assert_eq!(
            methods.keys().collect::<Vec<_>>(),
            ["*/*", "~1order/GET", "~1reports~1{id}/POST"]
        );
        for (method, settings) in methods {
            assert_eq!(settings["throttlingRateLimit"], 0.0, "{method}");
            assert_eq!(settings["throttlingBurstLimit"], 0, "{method}");
        }
        assert_eq!(effect["notes"]["undo"].as_array().unwrap().len(), 8);
        assert_eq!(effect["notes"]["fenced"].as_array().unwrap().len(), 9);
    });
}

/// What somebody opens between two runs is fenced again, and is given back as it was before the first.
#[test]
fn the_first_note_stays() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        let notes = world.notes().await;
        let name = &world.plan.functions[1].name;
        let mut function = world.cloud().lambda.function(PRIMARY, name).unwrap();
        function.reserved_concurrency = Some(3);
        world.cloud().lambda.create_function(PRIMARY, name, function);
        let again = world.fence().await;
        assert_eq!((&again["confirmed"], &again["changed"]), (&json!(true), &json!(1)));
        assert_eq!(world.notes().await, notes);
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(world.unfence().await["complete"], true);
        tokio::time::sleep(Duration::from_secs(61)).await;
        world.assert_as_before();
    });
}

#[test]
fn what_was_fenced_is_given_back_exactly() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_ne!(world.cloud().snapshot(), world.before);
        let output = world.unfence().await;
        assert_eq!(
            (&output["complete"], &output["taken_back"], &output["of"]),
            (&json!(true), &json!(8), &json!(8))
        );
        let effect = world.effect().await;
        world.assert_as_before();
        assert_eq!(effect["notes"]["fenced"], json!([]));
        let again = world.unfence().await;
        assert_eq!((&again["complete"], &again["of"]), (&json!(true), &json!(0)));
        world.assert_as_before();
        // And once more, from the beginning.
        world.fence().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(world.unfence().await["complete"], true);
        tokio::time::sleep(Duration::from_secs(61)).await;
        world.assert_as_before();
    });
}

/// The machine waits 10 s between two looks.
#[test]
fn once_a_promotion_was_asked_for_one_look_that_does_not_show_it_gives_nothing_back() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        let recovery: RecoveryRef = serde_json::from_value(world.opened["recovery"].clone()).unwrap();
        let note = Undo {
            step: "promote-database".to_owned(),
            resource: Resource::new(ResourceKind::GlobalDatabase, "shop-global"),
            previous: Value::Null,
            taken_back_by: None,
            by_hand: None,
            taken_back_at: None,
        };
        world.record.note_undo(&recovery, &note).await.unwrap();
        let fenced = world.cloud().snapshot();
        let step = world.step::<unfence_region::UnfenceRegion>();
        let mut input = unfence_input(&world);
        let mut looks = 0;
        let output = loop {
            let output = step.invoke(input.clone()).await.unwrap();
            let Some(again) = output.get("look_again") else {
                break output;
            };
            assert_eq!((&output["taken_back"], &output["complete"]), (&json!(0), &json!(false)));
            assert_eq!(world.cloud().snapshot(), fenced, "as yet");
            input["not_begun"] = again.clone();
            looks += 1;
            tokio::time::sleep(Duration::from_secs(10)).await;
        };
        assert_eq!((looks, &output["complete"]), (6, &json!(true)));
        tokio::time::sleep(Duration::from_secs(61)).await;
        world.assert_as_before();
    });
}

#[test]
fn an_event_source_that_is_still_being_disabled_is_tried_again_by_the_machine() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        let step = world.step::<unfence_region::UnfenceRegion>();
        let error = step.invoke(unfence_input(&world)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(world.unfence().await["complete"], true);
        tokio::time::sleep(Duration::from_secs(61)).await;
        world.assert_as_before();
    });
}

#[test]
fn what_an_earlier_recovery_fenced_is_told_where_its_note_cannot_be_read() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        let workload = &world.plan.workload;
        let recovery: RecoveryRef = serde_json::from_value(world.opened["recovery"].clone()).unwrap();
        let of_function = |resource: &Resource| resource.kind == ResourceKind::Function;
        // As if this recovery had fenced nothing: the other Region's notes are all that is there.
        let undos = world.record.undo_notes(&recovery.id).await.unwrap();
        let now = world.simulation.aws("test").now();
        for undo in undos.iter().filter(|undo| of_function(&undo.resource)) {
            world.record.note_taken_back(&recovery, undo, now).await.unwrap();
        }
        let noted = world.other_record.fenced(workload).await.unwrap();
        let mut spoiled = noted.into_iter().find(|note| of_function(&note.resource)).unwrap();
        spoiled.previous = json!({ "what": "moon" });
        world.other_record.note_fenced(workload, &spoiled).await.unwrap();
        let output = world.fence().await;
        let warnings = Warning::all_in(&output);
        let about: Vec<_> = warnings
            .iter()
            .map(|warning| (&warning.code, &warning.resource))
            .collect();
        assert_eq!(
            about,
            [(&WarningCode::NotesUnread, &Some(spoiled.resource))],
            "{output}"
        );
        assert_eq!(output["confirmed"], true, "{output}");
    });
}

#[test]
fn what_somebody_changed_since_stays_and_is_named() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        let name = &world.plan.functions[1].name;
        let mut function = world.cloud().lambda.function(PRIMARY, name).unwrap();
        function.reserved_concurrency = Some(3);
        world.cloud().lambda.create_function(PRIMARY, name, function);
        let output = world.unfence().await;
        assert_eq!(
            (&output["complete"], &output["taken_back"]),
            (&json!(false), &json!(6)),
            "{output}"
        );
        let failed = output["failed"].as_array().unwrap();
        assert_eq!(
            failed.len(),
            2,
            "the function, and the event source that would call it: {output}"
        );
        assert!(
            failed[1]["reason"]
                .as_str()
                .unwrap()
                .contains("somebody has changed it"),
            "{output}"
        );
        assert!(
            failed[1]["reason"]
                .as_str()
                .unwrap()
                .contains("--reserved-concurrent-executions 40"),
            "{output}"
        );
        let primary = world.primary();
        assert_eq!(primary["concurrency"][name], 3);
        assert_eq!(primary["sources"][ENABLED], "Disabled");
    });
}

#[test]
fn a_region_that_is_away_is_a_result_within_seconds() {
    in_virtual_time(async {
        let world = World::with_functions(195).await;
        world.cloud().take_region_away(PRIMARY);
        let began = tokio::time::Instant::now();
        let output = world.fence().await;
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        assert_eq!(output["confirmed"], false);
        // All functions, their event sources as one, and the stage.
        assert_eq!((&output["resources"], &output["changed"]), (&json!(202), &json!(0)));
        let unconfirmed = output["unconfirmed"].as_array().unwrap();
        assert_eq!((unconfirmed.len(), &output["more_unconfirmed"]), (20, &json!(182)));
        let asked: u64 = world
            .cloud()
            .calls()
            .iter()
            .filter(|(call, _)| call.function == "fence-region" && call.region == PRIMARY)
            .map(|(_, count)| count)
            .sum();
        assert!(asked < 40, "{asked} calls to a Region that does not answer");
    });
}

#[test]
fn a_region_that_went_away_after_it_was_fenced_cannot_be_given_back_and_the_way_is_named() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        world.cloud().take_region_away(PRIMARY);
        let output = world.unfence().await;
        assert_eq!(
            (&output["complete"], &output["taken_back"], &output["of"]),
            (&json!(false), &json!(0), &json!(8))
        );
        assert!(
            output["failed"][0]["reason"]
                .as_str()
                .unwrap()
                .contains("by hand: aws lambda"),
            "{output}"
        );
        world.cloud().give_region_back(PRIMARY);
        assert_eq!(world.unfence().await["complete"], true);
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(world.cloud().snapshot()["functions"], world.before["functions"]);
        assert_eq!(world.cloud().snapshot()["stages"], world.before["stages"]);
        assert_eq!(world.cloud().snapshot()["event_sources"], world.before["event_sources"]);
    });
}

#[test]
fn the_fence_is_kept_once_the_database_moves() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        let fenced = world.primary();
        let plan = &world.opened["plan"];
        let input = world.with(json!({
            "way": "failover", "database": plan["database"], "here": plan["here"], "other": plan["other"],
        }));
        let promote = world.step::<promote_database::PromoteDatabase>();
        promote.invoke(input).await.unwrap();
        for waited in [0, 600] {
            tokio::time::sleep(Duration::from_secs(waited)).await;
            let output = world.unfence().await;
            assert!(output["kept"].is_string(), "{output}");
            assert_eq!((&output["complete"], &output["taken_back"]), (&json!(false), &json!(0)));
            assert_eq!(world.primary(), fenced);
        }
    });
}

#[test]
fn a_recovery_that_lost_its_lock_changes_nothing_and_gives_nothing_back() {
    in_virtual_time(async {
        let world = World::opened().await;
        let before = world.effect().await;
        world.preempt().await;
        let step = world.step::<fence_region::FenceRegion>();
        let error = step.invoke(fence_input(&world)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Preempted, "{error}");
        assert_eq!(world.effect().await, before);

        let world = World::opened().await;
        world.fence().await;
        let fenced = world.effect().await;
        world.preempt().await;
        let step = world.step::<unfence_region::UnfenceRegion>();
        let error = step.invoke(unfence_input(&world)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Preempted, "{error}");
        assert_eq!(world.effect().await, fenced);
    });
}

/// The lock is lost while it looks: the notes are refused, and nothing is changed.
#[test]
fn a_recovery_that_loses_its_lock_while_it_looks_changes_nothing() {
    in_virtual_time(async {
        let world = World::opened().await;
        let before = world.effect().await;
        let step = world.step::<fence_region::FenceRegion>();
        let preempted = async {
            while world.calls_of("fence-region") < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.preempt().await;
        };
        let (ended, ()) = tokio::join!(step.invoke(fence_input(&world)), preempted);
        assert_eq!(ended.unwrap_err().kind, ErrorKind::Preempted);
        assert_eq!(world.effect().await, before);
    });
}

#[test]
fn two_hundred_functions_are_fenced_given_back_and_activated_in_time() {
    in_virtual_time(async {
        let world = World::with_functions(195).await;
        let began = tokio::time::Instant::now();
        let output = world.fence().await;
        assert!(
            began.elapsed() < Duration::from_secs(50),
            "fenced in {:?}",
            began.elapsed()
        );
        assert_eq!(
            (&output["confirmed"], &output["changed"]),
            (&json!(true), &json!(203)),
            "{output}"
        );
        tokio::time::sleep(Duration::from_secs(61)).await;

        let began = tokio::time::Instant::now();
        assert_eq!(world.unfence().await["complete"], true);
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "given back in {:?}",
            began.elapsed()
        );
        tokio::time::sleep(Duration::from_secs(61)).await;
        world.assert_as_before();

        let began = tokio::time::Instant::now();
        let plan = &world.opened["plan"];
        let input = world.with(json!({ "here": plan["here"], "functions": plan["functions"], "part": "functions" }));
        let activated = world
            .step::<activate_region::ActivateRegion>()
            .invoke(input)
            .await
            .unwrap();
        assert_eq!((&activated["active"], &activated["failed"]), (&json!(200), &json!([])));
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "activated in {:?}",
            began.elapsed()
        );
    });
}

/// What a recovery in the primary Region finds, whose other Region has fenced it, and activates.
async fn activated_later() -> (Value, Value) {
    let world = World::opened().await;
    world.fence().await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    let claim = Claim {
        workload: &world.plan.workload,
        execution: "arn:back",
        recovery: "back",
        mode: Mode::Rehearsal,
        at: world.cloud().now(),
    };
    let Claimed::Taken(token) = world.other_record.claim_lock(&claim, None).await.unwrap() else {
        panic!("the lock of the primary Region is free");
    };
    let plan = &world.opened["plan"];
    let input = |part: &str| {
        json!({
            "state": { "Name": "Tested" },
            "recovery": { "id": "back", "workload": world.plan.workload, "token": token, "execution": "arn:back" },
            "here": plan["other"],
            "functions": plan["functions"],
            "part": part,
        })
    };
    let step = world.step_in::<activate_region::ActivateRegion>(PRIMARY);
    let output = step.invoke(input("functions")).await.unwrap();
    step.invoke(input("event-sources")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    let undos = world.other_record.undo_notes("back").await.unwrap();
    let undos: Vec<_> = undos.iter().map(|undo| json!([undo.resource, undo.previous])).collect();
    let fenced = world.other_record.fenced(&world.plan.workload).await.unwrap();
    let fenced: Vec<_> = fenced
        .iter()
        .map(|note| json!([note.resource, note.previous]))
        .collect();
    let effect = json!({ "primary": world.primary(), "undo": undos, "fenced": fenced });
    (output, effect)
}

#[test]
fn a_region_that_was_fenced_is_activated_from_its_own_notes() {
    let before = found(async { World::opened().await.primary() });
    let (output, effect) = found(activated_later());
    assert_eq!(
        (&output["active"], &output["failed"]),
        (&json!(5), &json!([])),
        "{output}"
    );
    assert_eq!(effect["primary"]["stage"], before["stage"]);
    assert_eq!(
        effect["primary"]["sources"], before["sources"],
        "one was disabled before, and stays so"
    );
    // As the plan says, which reserves nothing.
    assert!(
        effect["primary"]["concurrency"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_null)
    );
    // Five functions, two event sources, the stage.
    assert_eq!(effect["undo"].as_array().unwrap().len(), 8);
    assert_eq!(effect["fenced"].as_array().unwrap().len(), 1, "{effect}");
}

#[test]
fn activating_a_region_that_stands_by_enables_its_event_sources() {
    in_virtual_time(async {
        let world = World::opened().await;
        let states = || {
            let sources = world.cloud().lambda.event_sources(world.cloud().now());
            let here = sources.into_iter().filter(|source| source.region == RECOVERY);
            here.map(|source| source.state).collect::<Vec<_>>()
        };
        assert_eq!(states(), ["Disabled"]);
        let plan = &world.opened["plan"];
        let activated = async |part: &str| {
            let input = world.with(json!({ "here": plan["here"], "functions": plan["functions"], "part": part }));
            let step = world.step::<activate_region::ActivateRegion>();
            let output = step.invoke(input).await.unwrap();
            tokio::time::sleep(Duration::from_secs(61)).await;
            output
        };
        // Of functions that do not run yet none is enabled.
        let output = activated("event-sources").await;
        assert_eq!((&output["of"], &output["failed"]), (&json!(0), &json!([])));
        assert_eq!(states(), ["Disabled"]);
        let output = activated("functions").await;
        assert_eq!((&output["active"], &output["failed"]), (&json!(5), &json!([])));
        assert_eq!(states(), ["Disabled"]);
        let output = activated("event-sources").await;
        assert_eq!((&output["active"], &output["failed"]), (&json!(1), &json!([])));
        assert_eq!(output["summary"], "1 of 1 event sources are enabled");
        assert_eq!(states(), ["Enabled"]);
    });
}

/// A function that would write elsewhere is left off, and nothing may call it.
#[test]
fn the_event_source_of_a_function_that_must_not_run_stays_disabled() {
    in_virtual_time(async {
        let world = World::opened().await;
        let name = &world.plan.functions[0].name;
        let mut function = world.cloud().lambda.function(RECOVERY, name).unwrap();
        function
            .environment
            .insert("DB_CLUSTER_ARN".into(), "arn:elsewhere".into());
        world.cloud().lambda.create_function(RECOVERY, name, function);
        let plan = &world.opened["plan"];
        let input =
            |part: &str| world.with(json!({ "here": plan["here"], "functions": plan["functions"], "part": part }));
        let step = world.step::<activate_region::ActivateRegion>();
        let output = step.invoke(input("functions")).await.unwrap();
        assert_eq!(
            (&output["active"], output["failed"].as_array().unwrap().len()),
            (&json!(4), 1),
            "{output}"
        );
        // Also where something else lets it run.
        let mut function = world.cloud().lambda.function(RECOVERY, name).unwrap();
        function.reserved_concurrency = None;
        world.cloud().lambda.create_function(RECOVERY, name, function);
        let output = step.invoke(input("event-sources")).await.unwrap();
        assert_eq!((&output["of"], &output["failed"]), (&json!(0), &json!([])), "{output}");
        let sources = world.cloud().lambda.event_sources(world.cloud().now());
        let here = sources.iter().find(|source| source.region == RECOVERY).unwrap();
        assert_eq!(here.state, "Disabled");
    });
}

/// AWS refuses a reservation of 0 for it: the others are fenced, and people learn which is not, and why.
#[test]
fn a_function_with_provisioned_concurrency_cannot_be_stopped_and_is_named() {
    in_virtual_time(async {
        let world = World::opened().await;
        let name = &world.plan.functions[0].name;
        let mut function = world.cloud().lambda.function(PRIMARY, name).unwrap();
        function.provisioned_concurrency = 5;
        world.cloud().lambda.create_function(PRIMARY, name, function);
        let output = world.fence().await;
        assert_eq!(output["confirmed"], false, "{output}");
        let text = output.to_string();
        assert!(
            text.contains("should not be lower than function's total provisioned concurrency [5]"),
            "{text}"
        );
        let primary = world.primary();
        assert_eq!(primary["concurrency"][name], Value::Null);
        let others = world.plan.functions[1..].iter();
        assert!(
            others
                .map(|other| &primary["concurrency"][&*other.name])
                .all(|reserved| *reserved == json!(0))
        );
        assert_eq!(primary["sources"][ENABLED], json!("Disabling"));
    });
}

/// Other functions have reserved meanwhile what the fence freed.
#[test]
fn a_reservation_that_is_refused_leaves_the_function_running_and_is_named() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.fence().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        let others = simulator::aws::lambda::Function {
            reserved_concurrency: Some(900),
            ..Default::default()
        };
        world.cloud().lambda.create_function(PRIMARY, "another-team", others);
        let output = world.unfence().await;
        assert_eq!(output["complete"], false, "{output}");
        let text = output.to_string();
        assert!(text.contains("runs without its reserved concurrency of 40"), "{text}");
        let concurrency = &world.primary()["concurrency"];
        assert!(
            concurrency.as_object().unwrap().values().all(Value::is_null),
            "{concurrency}"
        );
    });
}

#[test]
fn a_function_whose_reservation_is_refused_runs_where_the_region_is_activated() {
    in_virtual_time(async {
        let world = World::opened().await;
        let others = simulator::aws::lambda::Function {
            reserved_concurrency: Some(900),
            ..Default::default()
        };
        world.cloud().lambda.create_function(RECOVERY, "another-team", others);
        let plan = &world.opened["plan"];
        let mut functions = plan["functions"].clone();
        functions[0]["reserved_concurrency"] = json!(50);
        let input = world.with(json!({ "here": plan["here"], "functions": functions, "part": "functions" }));
        let step = world.step::<activate_region::ActivateRegion>();
        let output = step.invoke(input).await.unwrap();
        assert_eq!(
            (&output["active"], output["failed"].as_array().unwrap().len()),
            (&json!(5), 1),
            "{output}"
        );
        let name = &world.plan.functions[0].name;
        let function = world.cloud().lambda.function(RECOVERY, name).unwrap();
        assert_eq!(function.reserved_concurrency, None);
    });
}
