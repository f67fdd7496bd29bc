//! The recovery machine and the execution that it starts for a scenario: started once, looked at when it is dead, ended
//! before anybody else takes over, and of the version that it was made with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{self, MACHINE, PRIMARY, RECOVERY, World, in_virtual_time, plan, request};
use rehearsal::deployment::{MACHINES, states_of};
use rehearsal::deployments;
use rehearsal::scenarios::region_failure::RegionFailure;
use serde_json::{Value, json};
use shared::arn;
use shared::measure::Observed;
use shared::plan::{Function, Plan};
use shared::recovery::{Mode, Outcome};
use shared::scenario_run::{ScenarioEnd, ScenarioRun};
use simulator::aws::sns::Message;
use simulator::aws::states::ExecutionRecord;
use simulator::faults::{CallEffect, CallFault, ExecutionFault};
use simulator::simulation::{Deployment, Simulation};
use states_language::{EventKind, ExecutionStatus, HistoryEvent, PAYLOAD_LIMIT_BYTES, names};

const SCENARIO: &str = "region-switch";

fn execution(name: &str) -> String {
    format!("arn:aws:states:{RECOVERY}:123456789012:execution:{MACHINE}:{name}")
}

/// ARNs of the executions that the recovery's execution `name` can start.
fn children(name: &str) -> [String; 2] {
    ScenarioRun::new(common::SCENARIO_MACHINE, &execution(name)).executions()
}

fn status(world: &World, execution: &str) -> Option<&'static str> {
    world.cloud().executions.get(execution).map(|found| found.status)
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn until(world: &World, state: &str) {
    for _ in 0..100_000 {
        if world.passed(state) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{state} was never entered: {:?}", world.entered.borrow());
}

/// A planned move that people are asked about.
fn planned() -> Value {
    let mut planned = request("switchover");
    planned["always_ask"] = json!(true);
    planned
}

/// How often a state was entered.
fn times(world: &World, state: &str) -> usize {
    world
        .entered
        .borrow()
        .iter()
        .filter(|entered| *entered == state)
        .count()
}

/// The primary Region is lost, and a failover was asked for by hand.
async fn lost(world: &World) {
    world.cloud().take_region_away(PRIMARY);
    world.start("one", request("failover"));
}

// 1. It is started once -----------------------------------------------------------------------------------------------

fn on_starts(world: &World, effect: CallEffect, at_most: u64) {
    world.cloud().faults.on_calls(CallFault {
        service: Some("states".to_owned()),
        operation: Some("StartExecution".to_owned()),
        at_most: Some(at_most),
        ..CallFault::every(effect)
    });
}

#[test]
fn a_start_that_was_not_taken_is_tried_again_and_one_whose_answer_was_lost_starts_one_execution() {
    for (effect, at_most) in [
        (CallEffect::Throttled, 3),
        (CallEffect::ServerError, 3),
        (CallEffect::LostReply, 1),
    ] {
        in_virtual_time(async move {
            let world = World::good_times(|_| {}).await;
            lost(&world).await;
            on_starts(&world, effect, at_most);
            world.approve().await;
            world.wait().await;
            assert_eq!(world.closing().await.outcome, Outcome::Recovered, "{effect:?}");
            assert_eq!(world.calls_to("FailoverGlobalCluster"), 1);
            assert!(!world.passed("StopScenario"), "{effect:?}");
            let [child, undo] = children("one");
            assert_eq!(
                (status(&world, &child), status(&world, &undo)),
                (Some("SUCCEEDED"), None)
            );
        });
    }
}

#[test]
fn a_start_that_is_refused_changes_nothing_and_is_told() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().faults.on_calls(CallFault {
            service: Some("states".to_owned()),
            operation: Some("StartExecution".to_owned()),
            ..CallFault::every(CallEffect::Denied)
        });
        world.start("one", planned());
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Failed);
        let reason = closing.reason.unwrap();
        assert!(
            reason.contains("UndoScenario: StepFunctions.AccessDeniedException"),
            "{reason}"
        );
        assert!(world.has_failed() && world.is_unlocked().await);
        world.assert_as_before();
    });
}

#[test]
fn an_execution_of_that_name_that_has_ended_is_looked_at_and_not_run_again() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let [child, _] = children("one");
        let end = ScenarioEnd {
            outcome: Outcome::Refused,
            reason: Some("it was decided before".to_owned()),
            failure: None,
            observed: Observed::default(),
            evidence: BTreeMap::new(),
            remaining: None,
        };
        let ended = ExecutionRecord {
            status: "SUCCEEDED",
            output: Some(serde_json::to_string(&end).unwrap()),
            ..ExecutionRecord::running(common::SCENARIO_MACHINE, arn::name(&child), "{}", world.cloud().now())
        };
        world.cloud().executions.put(&child, ended);
        world.start("one", planned());
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Refused);
        assert_eq!(closing.reason.as_deref(), Some("it was decided before"));
        assert!(world.passed("StopScenario") && !world.passed("AssessRegion") && !world.passed("UndoScenario"));
        world.assert_as_before();
    });
}

#[test]
fn a_recovery_whose_opening_dies_is_closed_wherever_that_was() {
    for call in 1.. {
        let mut is_over = false;
        in_virtual_time(async {
            let world = World::good_times(|_| {}).await;
            let simulation = &world.simulation;
            simulation.kill_function(RECOVERY, "open-recovery", call).unwrap();
            world.start("one", planned());
            sleep(300).await;
            if world.passed("AnnounceOpening") {
                is_over = true;
                return;
            }
            assert!(world.has_failed() && world.is_unlocked().await, "{call}");
            world.assert_as_before();
            for id in world.record.recoveries(&world.plan.workload).await.unwrap() {
                let header = world.record.header(&id).await.unwrap().unwrap();
                let ended = header.ended().map(|closing| closing.outcome);
                assert_eq!(ended, Some(Outcome::Failed), "{call}: {header:?}");
                // The machine has no topic; the schedule that looks after locks tells people.
                sleep(11 * 60).await;
                let told = |message: &Message| message.text.contains(&execution("one"));
                assert!(world.messages().iter().any(told), "{call}: nobody was told");
            }
        });
        if is_over {
            assert!(call > 3, "it makes calls");
            break;
        }
    }
}

// 2. A dead one leaves nothing half done --------------------------------------------------------------------------------

/// The scenario's executions end at a state in place of going into it.
fn dies_at(world: &World, state: &str, at_most: Option<u64>) {
    world.cloud().faults.on_executions(ExecutionFault {
        machines: [SCENARIO.to_owned()].into(),
        state: state.to_owned(),
        at_most,
        status: ExecutionStatus::Failed {
            error: names::RUNTIME.to_owned(),
            cause: format!("An error occurred while executing the state '{state}'."),
        },
    });
}

#[test]
fn what_a_dead_execution_changed_is_taken_back_before_the_promotion_and_kept_after_it() {
    for (state, outcome, promoted) in [
        ("PromoteDatabase", Outcome::RolledBack, 0),
        ("BringUp", Outcome::Failed, 1),
        ("SwitchDns", Outcome::Failed, 1),
        ("ScenarioEnded", Outcome::Failed, 1),
    ] {
        in_virtual_time(async move {
            let world = World::good_times(|_| {}).await;
            dies_at(&world, state, Some(1));
            lost(&world).await;
            world.approve().await;
            world.wait().await;
            let closing = world.closing().await;
            let reason = closing.reason.clone().unwrap();
            assert_eq!(closing.outcome, outcome, "{state}: {reason}");
            assert!(reason.contains("RunScenario: States.Runtime"), "{reason}");
            assert_eq!(world.calls_to("FailoverGlobalCluster"), promoted, "{state}");
            assert!(world.is_unlocked().await && world.has_failed());
            // Observed by steps, whose machine did not live to hand it on.
            assert!(closing.observed.impact_at.is_some() && closing.observed.decided_at.is_some());
            let is_healthy = state == "ScenarioEnded";
            assert_eq!(closing.observed.healthy_at.is_some(), is_healthy, "{state}");
            assert_eq!(
                closing.observed.last_surviving_at.is_some(),
                state != "PromoteDatabase" && state != "BringUp"
            );
            world.cloud().faults.lift_all();
            let id = world.only_header().await.id;
            world.resume(&id).await.unwrap();
            world.wait().await;
            assert_eq!(world.closing().await.outcome, Outcome::Recovered, "{state}");
            assert_eq!(world.calls_to("FailoverGlobalCluster"), 1, "{state}");
        });
    }
}

/// Where no rehearsal comes: `cli/tests/faults.rs` has all other states.
#[test]
fn the_states_that_no_rehearsal_passes_are_no_exceptions() {
    for state in ["AskAgain", "IsApprovedAgain"] {
        in_virtual_time(async move {
            let world = World::good_times(|_| {}).await;
            dies_at(&world, state, Some(1));
            world.start("one", request("failover"));
            let question = world.question().await;
            // It is another question by the time at which it is answered.
            world.cloud().take_region_away(PRIMARY);
            world.approve_as_asked(&question).await;
            if state == "IsApprovedAgain" {
                let again = world.nth_question(1).await;
                world.approve_as_asked(&again).await;
            }
            world.wait().await;
            let closing = world.closing().await;
            assert_eq!(closing.outcome, Outcome::RolledBack, "{state}: {:?}", closing.reason);
            assert!(world.is_unlocked().await && world.has_failed());
            assert!(
                world
                    .record
                    .undo_notes(&world.only_header().await.id)
                    .await
                    .unwrap()
                    .is_empty()
            );
        });
    }
    // A promotion was asked for, and none is seen: taking back waits until enough looks agree.
    for (dies_too, outcome) in [(None, Outcome::RolledBack), (Some("WaitToTakeBack"), Outcome::Failed)] {
        in_virtual_time(async move {
            let world = World::good_times(|_| {}).await;
            for state in [Some("CouldNotPromote"), dies_too].into_iter().flatten() {
                dies_at(&world, state, Some(1));
            }
            world.cloud().faults.on_calls(CallFault {
                operation: Some("SwitchoverGlobalCluster".to_owned()),
                ..CallFault::every(CallEffect::ServerError)
            });
            world.start("one", request("switchover"));
            world.wait().await;
            let closing = world.closing().await;
            assert_eq!(closing.outcome, outcome, "{:?}", closing.reason);
            assert!(world.passed("UndoScenario") && world.is_unlocked().await);
            assert_eq!(times(&world, "TakeBack") > 4, dies_too.is_none());
            // An event source takes a while until it is enabled.
            sleep(120).await;
            if dies_too.is_none() {
                world.assert_as_before();
            }
        });
    }
    in_virtual_time(async {
        let world = World::good_times(|plan| plan.dns.switch_object = None).await;
        dies_at(&world, "SubmitDnsAgain", Some(1));
        world.start("one", request("switchover"));
        while world.calls_to("ChangeResourceRecordSets") == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.cloud().route53.forget_changes(world.cloud());
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Failed, "{:?}", closing.reason);
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn a_failover_that_aws_never_takes_is_taken_back() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().faults.on_calls(CallFault {
            operation: Some("FailoverGlobalCluster".to_owned()),
            ..CallFault::every(CallEffect::Throttled)
        });
        lost(&world).await;
        world.approve().await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::RolledBack, "{:?}", closing.reason);
        assert_eq!(closing.failed_state.as_deref(), Some("PromoteDatabase"));
        assert!(world.passed("CouldNotPromote") && !world.passed("UndoScenario"));
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn where_taking_back_dies_too_the_recovery_ends_as_failed_and_says_what_stands() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        dies_at(&world, "PromoteDatabase", Some(1));
        dies_at(&world, "TakeBack", Some(1));
        world.start("one", planned());
        world.approve().await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Failed);
        let reason = closing.reason.unwrap();
        assert!(
            reason.contains("UndoScenario: States.Runtime") && reason.contains("These changes remain: fence-region"),
            "{reason}"
        );
        assert!(world.is_unlocked().await);
        world.cloud().faults.lift_all();
        let id = world.only_header().await.id;
        world.resume(&id).await.unwrap();
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    });
}

#[test]
fn nothing_is_taken_back_while_a_function_of_the_dead_execution_may_be_at_work() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("one", planned());
        world.approve().await;
        // The fence is being made: its function goes on when the execution that called it is stopped.
        until(&world, "FenceRegion").await;
        world.cloud().faults.on_calls(CallFault {
            service: Some("lambda".to_owned()),
            until: world.cloud().now().checked_add(jiff::SignedDuration::from_secs(8)).ok(),
            ..CallFault::every(CallEffect::Throttled)
        });
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.stop(&children("one")[0]).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::RolledBack, "{:?}", closing.reason);
        assert!(times(&world, "StopScenario") > 1, "it waits for the fence to be done");
        world.assert_as_before();
    });
}

// 3. Its failure and its output are data ---------------------------------------------------------------------------------

fn with_many_functions(plan: &mut Plan) {
    let template = plan.functions[0].clone();
    plan.functions = (0..200)
        .map(|number| Function {
            name: format!("radiant-a-function-with-quite-a-long-name-{number:016}"),
            ..template.clone()
        })
        .collect();
}

#[test]
fn two_hundred_functions_fit_into_what_goes_there_and_comes_back() {
    in_virtual_time(async {
        let world = World::good_times(with_many_functions).await;
        lost(&world).await;
        world.approve().await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        let largest = world
            .simulation
            .ended()
            .iter()
            .flat_map(|ended| &ended.result.history)
            .fold(
                BTreeMap::new(),
                |mut largest: BTreeMap<&str, usize>, event: &HistoryEvent| {
                    for (what, value) in [("input", &event.details.input), ("output", &event.details.output)] {
                        let size = value.as_ref().map_or(0, |value| value.to_string().len());
                        let most = largest.entry(what).or_default();
                        *most = size.max(*most);
                    }
                    largest
                },
            );
        println!("the largest of all inputs and outputs, in bytes: {largest:?}");
        assert!(
            largest.values().all(|size| *size < PAYLOAD_LIMIT_BYTES / 2),
            "{largest:?}"
        );
    });
}

#[test]
fn a_cause_that_is_cut_off_ends_in_a_stated_outcome_all_the_same() {
    in_virtual_time(async {
        let world = World::good_times(with_many_functions).await;
        world.cloud().faults.on_executions(ExecutionFault {
            machines: [SCENARIO.to_owned()].into(),
            state: "PromoteDatabase".to_owned(),
            at_most: Some(1),
            status: ExecutionStatus::Failed {
                error: names::RUNTIME.to_owned(),
                cause: format!("An error occurred: {}", "it goes on and on; ".repeat(1_000)),
            },
        });
        lost(&world).await;
        world.approve().await;
        world.wait().await;
        let ended = world.simulation.ended();
        let cause = ended
            .iter()
            .flat_map(|ended| &ended.result.history)
            .find(|event| event.kind == EventKind::TaskFailed && &*event.state == "RunScenario")
            .and_then(|event| event.details.cause.clone())
            .unwrap();
        assert_eq!(cause.chars().count(), 32_768);
        assert!(serde_json::from_str::<Value>(&cause).is_err(), "it is cut off");
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::RolledBack);
        let reason = closing.reason.unwrap();
        assert!(
            reason.contains("RunScenario: States.Runtime: An error occurred"),
            "{reason}"
        );
    });
}

// 4. Time ----------------------------------------------------------------------------------------------------------------

#[test]
fn an_execution_that_lives_on_after_its_task_timed_out_is_stopped_before_anything_is_taken_back() {
    in_virtual_time(async {
        let world = common::with_impatient_recovery_machine(plan()).await;
        let kept = world.cloud().faults.on_children();
        // Nobody answers for a while.
        lost(&world).await;
        world.question().await;
        world.wait().await;
        assert!(world.cloud().faults.applied(kept) > 0);
        let [child, undo] = children("one");
        assert_eq!(
            (status(&world, &child), status(&world, &undo)),
            (Some("ABORTED"), Some("SUCCEEDED"))
        );
        let closing = world.closing().await;
        assert!(
            matches!(closing.outcome, Outcome::RolledBack | Outcome::Failed),
            "{:?}",
            closing.outcome
        );
        assert!(world.is_unlocked().await);
    });
}

/// The recovery is stopped in the middle, and its scenario's execution lives on.
async fn stopped_alone(world: &World) {
    world.cloud().faults.on_children();
    lost(world).await;
    // They are asked again where the loss, which was an upper bound, is measured by then.
    let approving = async {
        for nth in 0.. {
            world.approve_as_asked(&world.nth_question(nth).await).await;
        }
    };
    tokio::select! {
        () = until(world, "CheckDatabase") => {}
        () = approving => {}
    }
    world.stop(&execution("one")).await;
}

#[test]
fn the_lock_is_freed_only_after_the_scenarios_execution_was_stopped() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        stopped_alone(&world).await;
        let [child, _] = children("one");
        assert_eq!(status(&world, &child), Some("RUNNING"));
        assert!(!world.is_unlocked().await);
        sleep(10).await;
        assert_eq!(status(&world, &child), Some("ABORTED"));
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn where_it_may_not_be_stopped_the_lock_is_kept_until_it_has_ended() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().faults.on_calls(CallFault {
            operation: Some("StopExecution".to_owned()),
            ..CallFault::every(CallEffect::Denied)
        });
        stopped_alone(&world).await;
        let [child, _] = children("one");
        while status(&world, &child) == Some("RUNNING") {
            assert!(!world.is_unlocked().await, "the execution runs, and its lock is free");
            sleep(5).await;
        }
        // It ends by itself, and the schedule frees the lock.
        assert_eq!(status(&world, &child), Some("SUCCEEDED"));
        sleep(330).await;
        assert!(world.is_unlocked().await);
        let told = world.messages().into_iter();
        assert_eq!(
            told.filter(|message| message.subject.ends_with("without being closed"))
                .count(),
            1
        );
    });
}

#[test]
fn the_lock_is_kept_while_a_map_run_is_at_work_and_nobody_waits_for_what_never_was() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        stopped_alone(&world).await;
        let [child, undo] = children("one");
        assert_eq!(status(&world, &undo), None, "it never was");
        let map_run = format!("arn:aws:states:{RECOVERY}:123456789012:mapRun:{SCENARIO}/Each:one");
        world.stop(&child).await;
        sleep(1).await;
        world
            .cloud()
            .executions
            .put_map_runs(&child, vec![(map_run.clone(), true)]);
        sleep(20).await;
        assert!(!world.is_unlocked().await);
        world.cloud().executions.put_map_runs(&child, vec![(map_run, false)]);
        sleep(330).await;
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn resuming_stops_what_lives_on_first() {
    in_virtual_time(async {
        let world = World::where_nobody_frees_the_lock(plan()).await;
        stopped_alone(&world).await;
        let [child, _] = children("one");
        assert_eq!(status(&world, &child), Some("RUNNING"));
        let id = world.only_header().await.id;
        world.resume(&id).await.unwrap();
        assert_eq!(status(&world, &child), Some("ABORTED"));
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
        assert_eq!(world.calls_to("FailoverGlobalCluster"), 1);
    });
}

// 5. Trust ---------------------------------------------------------------------------------------------------------------

#[test]
fn an_execution_that_somebody_else_started_comes_to_nothing() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("one", planned());
        world.question().await;
        // Somebody starts the scenario's machine by hand, with the recovery's own reference, and nobody to be asked.
        let input = world.cloud().executions.get(&children("one")[0]).unwrap().input;
        let mut input: Value = serde_json::from_str(&input).unwrap();
        input["plan"]["approval"]["people"] = json!(0);
        input["wants"]["always_ask"] = json!(false);
        for (name, after) in [
            ("forged", Value::Null),
            ("forged-undo", json!({ "error": { "Error": "E" } })),
        ] {
            input["after"] = after;
            world.simulation.start(RECOVERY, SCENARIO, name, input.clone()).unwrap();
        }
        sleep(120).await;
        let ended = world.simulation.ended();
        assert_eq!(ended.len(), 2);
        for ended in &ended {
            let ExecutionStatus::Succeeded { output } = &ended.result.status else {
                panic!("{:?}", ended.result.status)
            };
            assert_ne!(output["outcome"], "recovered");
            assert!(output.to_string().contains("Refused"), "{output}");
        }
        assert_eq!(
            (world.calls_of("fence-region"), world.calls_of("promote-database")),
            (0, 0)
        );
        world.assert_as_before();
        // The recovery itself does not notice.
        world.approve().await;
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    });
}

// 6. Updates in the middle -----------------------------------------------------------------------------------------------

#[test]
fn an_update_between_opening_and_running_leaves_a_recovery_with_the_version_it_was_made_with() {
    in_virtual_time(async {
        let plan = plan();
        let deployed: Vec<Deployment> = deployments(&plan, &RegionFailure, false).unwrap();
        let simulation: Rc<RefCell<Option<Simulation>>> = Rc::default();
        let updated = Rc::new(RefCell::new(None));
        let observer = {
            let (simulation, updated) = (Rc::clone(&simulation), Rc::clone(&updated));
            Box::new(move |event: &HistoryEvent| {
                let opened = event.kind == EventKind::TaskStateExited && &*event.state == "OpenRecovery";
                if opened && updated.borrow().is_none() {
                    let refuses = json!({
                        "Comment": "the next version", "QueryLanguage": "JSONata", "StartAt": "Never",
                        "States": { "Never": { "Type": "Fail", "Error": "TheNextVersion" } },
                    });
                    let simulation = simulation.borrow();
                    let simulation = simulation.as_ref().unwrap();
                    let version = simulation.update(RECOVERY, SCENARIO, &refuses.to_string(), &BTreeMap::new());
                    *updated.borrow_mut() = Some(version.unwrap());
                }
            })
        };
        let begins_at = "2026-01-06T02:50:00Z".parse().unwrap();
        let began = Simulation::begin(&plan, deployed, 11, begins_at, observer)
            .await
            .unwrap();
        *simulation.borrow_mut() = Some(began.clone());
        for region in [PRIMARY, RECOVERY] {
            let record = shared::record::Record::in_region(&began.aws_in("test", region), region);
            record.put_plan(&plan).await.unwrap();
        }
        sleep(600).await;
        began.start(RECOVERY, MACHINE, "one", planned()).unwrap();
        sleep(120).await;
        let version = updated.borrow().clone().unwrap();
        assert!(version.ends_with(":stateMachine:region-switch:2"), "{version}");
        // It runs, and asks, as version 1 does.
        let [child, _] = children("one");
        let child = began.cloud().executions.get(&child).unwrap();
        assert_eq!(
            (child.status, child.state_machine_version_arn.as_deref()),
            ("RUNNING", Some(common::SCENARIO_MACHINE))
        );
        // Without a version it would have been the newest.
        began.start(RECOVERY, SCENARIO, "unqualified", json!({})).unwrap();
        sleep(5).await;
        let unqualified = format!("arn:aws:states:{RECOVERY}:123456789012:execution:{SCENARIO}:unqualified");
        let unqualified = began.cloud().executions.get(&unqualified).unwrap();
        assert_eq!(unqualified.error.as_deref(), Some("TheNextVersion"));
    });
}

#[test]
fn a_recovery_from_before_there_was_a_recovery_machine_is_resumed_by_it() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        dies_at(&world, "PromoteDatabase", Some(1));
        lost(&world).await;
        world.approve().await;
        world.wait().await;
        // As that record would have been: of the scenario's machine itself, and without how it is run.
        let mut header = world.only_header().await;
        let before = execution("one").replace(":recovery:", ":region-switch:");
        header.execution.clone_from(&before);
        header.run = None;
        if let Some(closing) = &mut header.closing {
            closing.execution = before;
        }
        world.record.put_header(&header).await.unwrap();
        let resumed = world.resume(&header.id).await.unwrap();
        assert!(
            resumed.execution.contains(":execution:recovery:"),
            "{}",
            resumed.execution
        );
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
    });
}

// 8. Stops and redrives --------------------------------------------------------------------------------------------------

async fn redrive(world: &World, execution: &str) {
    let aws = world.simulation.aws_in("a-person", RECOVERY);
    let redriving = aws_sdk_sfn::Client::new(aws.config())
        .redrive_execution()
        .execution_arn(execution);
    redriving.send().await.unwrap();
}

#[test]
fn a_stop_of_the_scenarios_execution_is_taken_back_and_closed() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("one", planned());
        world.question().await;
        world.stop(&children("one")[0]).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::RolledBack);
        assert!(closing.reason.unwrap().starts_with("RunScenario: Stopped") || world.passed("UndoScenario"));
        assert!(world.is_unlocked().await);
        world.assert_as_before();
        let subjects = world.subjects();
        assert!(
            subjects.iter().any(|subject| subject.contains("rolled-back")),
            "{subjects:?}"
        );
    });
}

#[test]
fn a_stop_of_the_recovery_stops_the_scenarios_execution_and_a_redrive_of_it_changes_nothing() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        lost(&world).await;
        world.approve().await;
        until(&world, "FenceRegion").await;
        world.stop(&execution("one")).await;
        sleep(300).await;
        let [child, _] = children("one");
        assert_eq!(status(&world, &child), Some("ABORTED"));
        assert!(world.is_unlocked().await);
        let before = world.cloud().snapshot();
        redrive(&world, &execution("one")).await;
        world.wait().await;
        // It has lost its lock: it changes nothing, and says so.
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Preempted, "{:?}", closing.reason);
        assert!(before == world.cloud().snapshot(), "a redrive changed something");
        assert_eq!(world.calls_to("FailoverGlobalCluster"), 0);
        // What a person does.
        let id = world.only_header().await.id;
        world.resume(&id).await.unwrap();
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
        assert_eq!(world.calls_to("FailoverGlobalCluster"), 1);
    });
}

#[test]
fn a_redrive_before_the_lock_was_freed_takes_back_and_closes() {
    in_virtual_time(async {
        let world = World::where_nobody_frees_the_lock(plan()).await;
        let before = world.cloud().snapshot();
        world.start("one", planned());
        world.approve().await;
        until(&world, "FenceRegion").await;
        world.stop(&execution("one")).await;
        sleep(120).await;
        assert_ne!(before, world.cloud().snapshot(), "the fence stands");
        redrive(&world, &execution("one")).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::RolledBack, "{:?}", closing.reason);
        // An event source takes a while until it is enabled.
        sleep(120).await;
        let now = world.cloud().snapshot();
        assert!(before == now, "before: {before:#}\nnow: {now:#}");
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn a_stop_of_both_frees_the_lock_and_is_resumed() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        lost(&world).await;
        world.approve().await;
        until(&world, "CheckDatabase").await;
        world.stop(&children("one")[0]).await;
        world.stop(&execution("one")).await;
        sleep(60).await;
        assert!(world.is_unlocked().await);
        let lock = world.record.lock(&world.plan.workload).await.unwrap();
        assert_eq!(lock.map(|lock| lock.mode), None::<Mode>);
        let id = world.only_header().await.id;
        world.resume(&id).await.unwrap();
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
        assert_eq!(world.calls_to("FailoverGlobalCluster"), 1);
    });
}

#[test]
fn the_machines_are_told_apart_by_their_states() {
    let of_recovery = states_of(MACHINE);
    for (name, _) in MACHINES.iter().filter(|(name, _)| *name != MACHINE) {
        let shared: Vec<String> = states_of(name)
            .into_iter()
            .filter(|state| of_recovery.contains(state))
            .collect();
        assert_eq!(shared, ["Begin"], "{name}");
    }
}
