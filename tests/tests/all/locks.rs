//! The lock: one recovery at a time for one workload, joined by its parts, taken over only from what may be.

use crate::common::{self, ON_CALL, PRIMARY, RECOVERY, SECOND, THIRD, World, in_virtual_time, request};
use open_recovery::OpenRecovery;
use serde_json::{Value, json};
use shared::approval::{Answer, Approval};
use shared::record::Record;
use shared::recovery::Mode;
use simulator::aws::states::ExecutionRecord;

/// When all executions start.
const STARTED_AT: &str = "2026-01-06T02:50:00Z";

fn execution(region: &str, name: &str) -> String {
    format!("arn:aws:states:{region}:123456789012:execution:recovery:{name}")
}

/// Lets Step Functions know an execution that runs.
fn runs(world: &World, execution: &str) {
    let region = execution.split(':').nth(3).unwrap();
    let machine = format!("arn:aws:states:{region}:123456789012:stateMachine:recovery");
    let name = execution.rsplit(':').next().unwrap();
    let record = ExecutionRecord::running(&machine, name, "{}", world.cloud().now());
    world.cloud().executions.put(execution, record);
}

/// Opens a recovery by the execution `name` in a Region.
async fn open_in(world: &World, region: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let execution = execution(region, name);
    runs(world, &execution);
    let mut wanted = request("switchover");
    wanted["trigger"]["at"] = json!(STARTED_AT);
    change(&mut wanted);
    let input = json!({
        "state": { "Name": "Tested" }, "request": wanted, "machines": { "region-failure": common::SCENARIO_MACHINE },
        "execution": execution, "started_at": STARTED_AT,
    });
    world.step_in::<OpenRecovery>(region).invoke(input).await.unwrap()
}

async fn open(world: &World, name: &str, change: impl FnOnce(&mut Value)) -> Value {
    open_in(world, RECOVERY, name, change).await
}

fn holds(opened: &Value) -> bool {
    opened["refused"].is_null() && opened["ask"].is_null() && opened["recovery"]["token"].as_u64() > Some(0)
}

fn refused(opened: &Value) -> String {
    opened["refused"]
        .as_str()
        .unwrap_or_else(|| panic!("{opened}"))
        .to_owned()
}

async fn holder(world: &World) -> String {
    let lock = world.record.lock(&world.plan.workload).await.unwrap().unwrap();
    lock.execution
}

#[test]
fn of_two_starts_at_the_same_instant_one_goes_on_a_thousand_times() {
    let mut won = [0, 0];
    // A table that grows makes the simulated DynamoDB slow, so it is a new one from time to time.
    for seed in 0..10 {
        in_virtual_time(async {
            let world = World::bare_with(seed).await;
            for round in 0..100 {
                won[one_of_two(&world, round).await] += 1;
            }
        });
    }
    // Otherwise they were not at the same instant.
    assert!(won[0] > 50 && won[1] > 50, "{won:?}");
}

/// Starts two recoveries at the same instant; gives which of them goes on, and releases its lock.
async fn one_of_two(world: &World, round: usize) -> usize {
    let names = [format!("a-{round}"), format!("b-{round}")];
    let (first, second) = tokio::join!(open(world, &names[0], |_| {}), open(world, &names[1], |_| {}));
    assert!(holds(&first) != holds(&second), "round {round}: {first} and {second}");
    let winner = usize::from(holds(&second));
    let loser = [&second, &first][winner];
    assert!(refused(loser).contains("one recovery runs at a time"), "{loser}");
    let winning = execution(RECOVERY, &names[winner]);
    assert_eq!(holder(world).await, winning);
    assert!(world.record.release_lock(&world.plan.workload, &winning).await.unwrap());
    winner
}

#[test]
fn of_two_starts_in_two_regions_never_both_go_on() {
    in_virtual_time(async {
        let world = World::bare().await;
        let mut went_on = 0;
        for round in 0..100 {
            let names = [format!("a-{round}"), format!("b-{round}")];
            let (here, there) = tokio::join!(
                open_in(&world, RECOVERY, &names[0], |_| {}),
                open_in(&world, PRIMARY, &names[1], |_| {}),
            );
            assert!(!(holds(&here) && holds(&there)), "round {round}: {here} and {there}");
            went_on += usize::from(holds(&here)) + usize::from(holds(&there));
            for (region, name) in [(RECOVERY, &names[0]), (PRIMARY, &names[1])] {
                let record = Record::in_region(&world.simulation.aws_in("test", region), region);
                let released = record
                    .release_lock(&world.plan.workload, &execution(region, name))
                    .await;
                released.unwrap();
            }
        }
        println!("{went_on} of 100 pairs had one that went on");
    });
}

#[test]
fn busy_says_with_what_and_since_when() {
    in_virtual_time(async {
        let world = World::bare().await;
        let first = open(&world, "first", |_| {}).await;
        let since = world.record.lock(&world.plan.workload).await.unwrap().unwrap().since;
        let why = refused(&open(&world, "second", |_| {}).await);
        for part in [
            first["recovery"]["id"].as_str().unwrap(),
            &since,
            &execution(RECOVERY, "first"),
        ] {
            assert!(why.contains(part), "{part} is missing in: {why}");
        }
        assert_eq!(holder(&world).await, execution(RECOVERY, "first"));
    });
}

#[test]
fn the_lock_of_an_execution_that_has_ended_is_taken_over_and_of_none_that_runs() {
    in_virtual_time(async {
        for (status, taken) in [
            ("RUNNING", false),
            ("SUCCEEDED", true),
            ("FAILED", true),
            ("TIMED_OUT", true),
            ("ABORTED", true),
        ] {
            let world = World::bare().await;
            let first = open(&world, "first", |_| {}).await;
            let arn = execution(RECOVERY, "first");
            let mut record = world.cloud().executions.get(&arn).unwrap();
            record.status = status;
            world.cloud().executions.put(&arn, record);
            let second = open(&world, "second", |_| {}).await;
            assert_eq!(holds(&second), taken, "{status}: {second}");
            if taken {
                let tokens = [&first, &second].map(|opened| opened["recovery"]["token"].as_u64().unwrap());
                assert!(tokens[1] > tokens[0], "{tokens:?}");
            }
        }
    });
}

#[test]
fn a_drill_gives_way_to_a_recovery_and_its_steps_change_nothing_more() {
    in_virtual_time(async {
        let world = World::bare().await;
        let drill = execution(RECOVERY, "drill");
        runs(&world, &drill);
        world
            .lock_by(&drill, "the-drill", Mode::Drill, "2026-01-06T02:49:00Z")
            .await;
        let token = world.record.lock(&world.plan.workload).await.unwrap().unwrap().token;
        let opened = open(&world, "real", |_| {}).await;
        assert!(holds(&opened), "{opened}");
        assert!(
            opened["warnings"][0]["text"]
                .as_str()
                .unwrap()
                .contains("drill the-drill was pre-empted")
        );
        let drill = shared::recovery::RecoveryRef {
            id: "the-drill".into(),
            workload: world.plan.workload.clone(),
            token,
            execution: drill,
        };
        let error = world.record.still_ours(&drill).await.unwrap_err();
        assert_eq!(error.kind, shared::error::ErrorKind::Preempted);
    });
}

#[test]
fn another_recovery_is_pre_empted_only_when_people_say_so() {
    in_virtual_time(async {
        let world = World::bare().await;
        let first = open(&world, "first", |_| {}).await;
        let id = first["recovery"]["id"].as_str().unwrap().to_owned();
        let take_over = |wanted: &mut Value| wanted["take_over"] = json!(id);
        let asked = open(&world, "second", take_over).await;
        assert!(!holds(&asked) && asked["refused"].is_null(), "{asked}");
        assert_eq!(
            (asked["ask"]["people"].as_u64(), &asked["ask"]["needs_reason"]),
            (Some(2), &json!(true))
        );
        let (recovery, question) = (
            asked["recovery"]["id"].as_str().unwrap(),
            asked["ask"]["id"].as_str().unwrap(),
        );
        assert_eq!(holder(&world).await, execution(RECOVERY, "first"));
        let approve = async |by: &str, answer: Answer| {
            let approval = Approval {
                by: by.to_owned(),
                at: world.cloud().now(),
                answer,
                reason: Some("the first one hangs".into()),
                shown: vec![],
                request_id: None,
            };
            world.record.note_approval(recovery, question, &approval).await.unwrap();
        };
        // One of two, and the one who started it.
        approve(ON_CALL, Answer::Approve).await;
        assert!(!holds(&open(&world, "second", take_over).await));
        approve(SECOND, Answer::Approve).await;
        let opened = open(&world, "second", take_over).await;
        assert!(holds(&opened), "{opened}");
        assert!(
            opened["warnings"][0]["text"].as_str().unwrap().contains(SECOND),
            "{opened}"
        );
        let first: shared::recovery::RecoveryRef = serde_json::from_value(first["recovery"].clone()).unwrap();
        assert_eq!(
            world.record.still_ours(&first).await.unwrap_err().kind,
            shared::error::ErrorKind::Preempted
        );
        // For another recovery than the one that holds it there is nothing to approve.
        let other = open(&world, "third", |wanted| wanted["take_over"] = json!("another")).await;
        assert!(refused(&other).contains("one recovery runs at a time"));
        // A third person says no to the next.
        let id = opened["recovery"]["id"].as_str().unwrap().to_owned();
        let take_over = |wanted: &mut Value| wanted["take_over"] = json!(id);
        let asked = open(&world, "fourth", take_over).await;
        let declined = Approval {
            by: THIRD.into(),
            at: world.cloud().now(),
            answer: Answer::Decline,
            reason: None,
            shown: vec![],
            request_id: None,
        };
        let (recovery, question) = (&asked["recovery"]["id"], &asked["ask"]["id"]);
        let noted = world
            .record
            .note_approval(recovery.as_str().unwrap(), question.as_str().unwrap(), &declined)
            .await;
        assert!(noted.unwrap());
        assert!(refused(&open(&world, "fourth", take_over).await).contains(THIRD));
    });
}

#[test]
fn a_recovery_of_the_other_region_is_respected_as_long_as_it_runs() {
    in_virtual_time(async {
        let world = World::bare().await;
        let there = open_in(&world, PRIMARY, "there", |_| {}).await;
        assert!(holds(&there));
        let why = refused(&open(&world, "here", |_| {}).await);
        assert!(why.contains(there["recovery"]["id"].as_str().unwrap()), "{why}");
        assert!(world.is_unlocked().await, "nothing is left locked");
        let arn = execution(PRIMARY, "there");
        let mut record = world.cloud().executions.get(&arn).unwrap();
        record.status = "FAILED";
        world.cloud().executions.put(&arn, record);
        assert!(holds(&open(&world, "here-again", |_| {}).await));
    });
}

#[test]
fn a_region_that_does_not_answer_is_a_warning_and_costs_two_seconds() {
    in_virtual_time(async {
        let world = World::bare().await;
        world.cloud().take_region_away(PRIMARY);
        let before = world.cloud().now();
        let opened = open(&world, "here", |_| {}).await;
        assert!(holds(&opened), "{opened}");
        assert!(
            opened["warnings"][0]["text"]
                .as_str()
                .unwrap()
                .contains("could not check for a recovery already running there")
        );
        let took = world.cloud().now().duration_since(before).as_secs_f64();
        assert!((1.0..3.0).contains(&took), "{took} s");
    });
}

#[test]
fn a_plan_that_changed_since_the_start_is_refused() {
    in_virtual_time(async {
        let world = World::bare().await;
        let (sha256, _) = world.record.current_plan().await.unwrap();
        let same = open(&world, "same", |wanted| wanted["plan_sha256"] = json!(sha256)).await;
        assert!(holds(&same));
        let workload = &world.plan.workload;
        world
            .record
            .release_lock(workload, &execution(RECOVERY, "same"))
            .await
            .unwrap();
        let mut changed = world.plan.clone();
        changed.health.consecutive += 1;
        world.record.put_plan(&changed).await.unwrap();
        let refusal = refused(&open(&world, "other", |wanted| wanted["plan_sha256"] = json!(sha256)).await);
        assert!(refusal.contains("the plan changed"), "{refusal}");
        assert!(world.is_unlocked().await);
    });
}
