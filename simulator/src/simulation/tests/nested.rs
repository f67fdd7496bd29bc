//! Executions that start executions, and what Tasks may not reach.

use serde_json::json;
use states_language::ExecutionStatus;
use tokio::time::sleep;

use super::super::*;
use super::world::{ELSEWHERE, HERE, arn, error_and_cause, play, task, wait_and_invoke};

/// A machine that starts another one.
fn start(ending: &str, hole: &str) -> &'static str {
    task(json!({
        "Resource": format!("arn:aws:states:::states:startExecution{ending}"),
        "Arguments": {
            "StateMachineArn": format!("${{{hole}}}"),
            "Name": "child",
            "Input": { "n": "{% $states.input.n %}" },
        },
        "TimeoutSeconds": 60,
    }))
}

fn machines() -> Vec<(&'static str, &'static str)> {
    let lambda = |arguments| task(json!({ "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments }));
    let elsewhere = function_arn("123456789012", ELSEWHERE, "echo");
    let unknown = json!({
        "Resource": "arn:aws:states:::states:startExecution",
        "Arguments": { "StateMachineArn": machine_arn("123456789012", ELSEWHERE, "works") },
    });
    vec![
        ("works", wait_and_invoke("Echo", None)),
        ("fails", wait_and_invoke("Fail", None)),
        ("starts", start("", "WorksMachine")),
        ("waits", start(".sync:2", "WorksMachine")),
        ("waits-for-text", start(".sync", "WorksMachine")),
        ("waits-in-vain", start(".sync:2", "FailsMachine")),
        ("starts-what-is-elsewhere", task(unknown)),
        ("invokes-elsewhere", lambda(json!({ "FunctionName": elsewhere }))),
        (
            "invokes-oddly",
            lambda(json!({ "FunctionName": "${Echo}", "InvocationType": "Event" })),
        ),
    ]
}

fn output(status: ExecutionStatus) -> Value {
    match status {
        ExecutionStatus::Succeeded { output } => output,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_execution_starts_another_and_does_not_wait() {
    play(machines(), |simulation| async move {
        let started = output(simulation.play_one("starts", "one", json!({ "n": 1 })).await);
        let child = arn(HERE, "works", "child");
        assert_eq!(started["ExecutionArn"], child.as_str());
        assert_eq!(simulation.cloud().executions.get(&child).unwrap().status, "RUNNING");
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        assert_eq!(simulation.ended().len(), 2);
        // Its name is taken now.
        let again = simulation.play_one("starts", "two", json!({ "n": 2 })).await;
        let (error, cause) = error_and_cause(again);
        assert_eq!(error, "StepFunctions.ExecutionAlreadyExistsException");
        assert!(
            cause.starts_with(&format!("Execution Already Exists: '{child}'")),
            "{cause}"
        );
    });
}

#[test]
fn an_execution_waits_for_another() {
    play(machines(), |simulation| async move {
        let waited = output(simulation.play_one("waits", "one", json!({ "n": 1 })).await);
        let took = waited["StopDate"].as_i64().unwrap() - waited["StartDate"].as_i64().unwrap();
        assert!((11_000..13_000).contains(&took), "{took} ms");
        let expected = json!({ "region": HERE, "input": { "n": 1 } });
        assert_eq!((&waited["Status"], &waited["Output"]), (&json!("SUCCEEDED"), &expected));
        assert_eq!(
            (&waited["Name"], &waited["Input"]),
            (&json!("child"), &json!({ "n": 1 }))
        );
    });
    play(machines(), |simulation| async move {
        let waited = output(simulation.play_one("waits-for-text", "one", json!({ "n": 1 })).await);
        let text: Value = serde_json::from_str(waited["Output"].as_str().unwrap()).unwrap();
        assert_eq!(text, json!({ "region": HERE, "input": { "n": 1 } }));
        assert_eq!(waited["Input"], r#"{"n":1}"#);
    });
}

#[test]
fn the_failure_of_the_other_fails_the_task_and_is_described() {
    play(machines(), |simulation| async move {
        let (error, cause) = error_and_cause(simulation.play_one("waits-in-vain", "one", json!({ "n": 1 })).await);
        assert_eq!(error, "States.TaskFailed");
        let cause: Value = serde_json::from_str(&cause).unwrap();
        assert_eq!(
            (&cause["Status"], &cause["Error"]),
            (&json!("FAILED"), &json!("Refused"))
        );
        assert_eq!(cause["ExecutionArn"], arn(HERE, "fails", "child").as_str());
        assert!(cause["Cause"].as_str().unwrap().contains("it never works"));
    });
}

#[test]
fn an_execution_that_is_waited_for_ends_with_the_one_that_waits() {
    play(machines(), |simulation| async move {
        simulation.start(HERE, "waits", "one", json!({ "n": 1 })).unwrap();
        sleep(Duration::from_secs(5)).await;
        let cloud = simulation.cloud();
        cloud
            .executions
            .stop(cloud, &arn(HERE, "waits", "one"), "Enough", "")
            .unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(
            cloud.executions.get(&arn(HERE, "works", "child")).unwrap().status,
            "ABORTED"
        );
        assert_eq!(simulation.ended().len(), 2);
        assert_eq!(simulation.usage().0.invocations, 0);
    });
}

/// What becomes of the one that is waited for is not documented where its Task times out, and a stop is best effort.
#[test]
fn one_that_is_waited_for_may_live_on() {
    play(machines(), |simulation| async move {
        let cloud = simulation.cloud();
        let kept = cloud.faults.on_children();
        simulation.start(HERE, "waits", "one", json!({ "n": 1 })).unwrap();
        sleep(Duration::from_secs(5)).await;
        cloud
            .executions
            .stop(cloud, &arn(HERE, "waits", "one"), "", "")
            .unwrap();
        sleep(Duration::from_secs(1)).await;
        let child = arn(HERE, "works", "child");
        assert_eq!(cloud.executions.get(&child).unwrap().status, "RUNNING");
        assert_eq!(cloud.faults.applied(kept), 1);
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        assert_eq!(cloud.executions.get(&child).unwrap().status, "SUCCEEDED");
    });
}

#[test]
fn a_version_stays_what_it_was_and_an_arn_without_one_is_the_newest() {
    play(machines(), |simulation| async move {
        let text = |error: &str| {
            json!({
                "QueryLanguage": "JSONata", "StartAt": "Fails",
                "States": { "Fails": { "Type": "Fail", "Error": error } },
            })
            .to_string()
        };
        let update = |error: &str| {
            simulation
                .update(HERE, "works", &text(error), &BTreeMap::new())
                .unwrap()
        };
        let second = update("Second");
        let third = update("Third");
        let machine = machine_arn("123456789012", HERE, "works");
        assert_eq!([&second, &third], [&format!("{machine}:2"), &format!("{machine}:3")]);
        let cloud = simulation.cloud();
        for (name, machine, error) in [
            ("newest", machine.as_str(), Some("Third")),
            ("second", &second, Some("Second")),
            ("first", &format!("{machine}:1"), None),
        ] {
            cloud
                .executions
                .start(cloud, HERE, machine, Some(name), r#"{"n":1}"#)
                .unwrap();
            assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
            let ended = cloud.executions.get(&arn(HERE, "works", name)).unwrap();
            assert_eq!(ended.error.as_deref(), error, "{name}");
            let version = (!machine.ends_with(":works")).then(|| machine.to_owned());
            assert_eq!(ended.state_machine_version_arn, version, "{name}");
        }
        for unknown in ["4", "0", "LIVE"] {
            let refused = cloud
                .executions
                .start(cloud, HERE, &format!("{machine}:{unknown}"), Some("x"), "{}");
            assert_eq!(refused.unwrap_err().code, "StateMachineDoesNotExist", "{unknown}");
        }
    });
}

#[test]
fn a_task_reaches_nothing_in_another_region_and_nothing_that_is_not_simulated() {
    play(machines(), |simulation| async move {
        let failure = async |machine: &str| error_and_cause(simulation.play_one(machine, "one", json!({})).await);
        let (error, cause) = failure("invokes-elsewhere").await;
        assert_eq!(error, "Lambda.ResourceNotFoundException");
        assert_eq!(
            cause,
            "Functions from 'us-east-1' are not reachable in this region ('us-west-2')"
        );
        let (error, _) = failure("starts-what-is-elsewhere").await;
        assert_eq!(error, "StepFunctions.StateMachineDoesNotExistException");
        let (error, cause) = failure("invokes-oddly").await;
        assert_eq!(error, "States.Runtime");
        assert!(cause.contains("InvocationType"), "{cause}");
    });
}
