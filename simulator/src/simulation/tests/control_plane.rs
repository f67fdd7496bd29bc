//! Step Functions as the SDK's own client sees it.

use std::fmt::Debug;

use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sfn::types::ExecutionStatus as Status;
use aws_sdk_sfn::{Client, primitives::DateTime};
use serde_json::json;
use states_language::ExecutionStatus;
use tokio::time::sleep;

use super::super::*;
use super::world::{ACCOUNT, ELSEWHERE, HERE, arn, error_and_cause, play, task, told, topic, wait_and_invoke};

fn machines() -> Vec<(&'static str, &'static str)> {
    vec![
        ("waiter", wait_and_invoke("Echo", None)),
        ("failing", wait_and_invoke("Fail", None)),
        ("asker", ask("Tell")),
        ("broken-asker", ask("Fail")),
    ]
}

/// A machine that hands out a token and waits for it.
fn ask(hole: &str) -> &'static str {
    task(json!({
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Arguments": {
            "FunctionName": format!("${{{hole}}}"),
            "Payload": { "text": "{% $states.context.Task.Token %}" },
        },
        "TimeoutSeconds": 900,
        "HeartbeatSeconds": 60,
    }))
}

fn client(simulation: &Simulation, region: &str) -> Client {
    Client::new(simulation.aws_in("test", region).config())
}

fn code<T: Debug, E: ProvideErrorMetadata + Debug, R: Debug>(result: Result<T, SdkError<E, R>>) -> String {
    result.unwrap_err().code().unwrap_or_default().to_owned()
}

fn machine(name: &str) -> String {
    machine_arn(ACCOUNT, HERE, name)
}

#[test]
fn an_execution_is_started_once_under_its_name() {
    play(machines(), |simulation| async move {
        let states = client(&simulation, HERE);
        let start = async |machine: &str, name: &str, input: &str| {
            let call = states
                .start_execution()
                .state_machine_arn(machine)
                .name(name)
                .input(input);
            call.send().await
        };
        let first = start(&machine("waiter"), "one", r#"{"a":1}"#).await.unwrap();
        assert_eq!(first.execution_arn, arn(HERE, "waiter", "one"));
        let describe = async |arn: &str| states.describe_execution().execution_arn(arn).send().await;
        let running = describe(&first.execution_arn).await.unwrap();
        assert_eq!(
            (&running.status, running.name.as_deref()),
            (&Status::Running, Some("one"))
        );
        assert_eq!(
            (running.input.as_deref(), running.stop_date),
            (Some(r#"{"a":1}"#), None)
        );
        // While it runs, the same again is the same.
        sleep(Duration::from_secs(2)).await;
        let again = start(&machine("waiter"), "one", r#"{"a":1}"#).await.unwrap();
        assert_eq!(
            (again.start_date, &again.execution_arn),
            (first.start_date, &first.execution_arn)
        );
        let another_input = start(&machine("waiter"), "one", r#"{"a":2}"#).await;
        assert_eq!(code(another_input), "ExecutionAlreadyExists");
        sleep(Duration::from_secs(30)).await;
        assert_eq!(simulation.ended().len(), 1);
        assert_eq!(
            code(start(&machine("waiter"), "one", r#"{"a":1}"#).await),
            "ExecutionAlreadyExists"
        );
        let ended = describe(&first.execution_arn).await.unwrap();
        assert_eq!(ended.status, Status::Succeeded);
        let output: Value = serde_json::from_str(ended.output.as_deref().unwrap()).unwrap();
        assert_eq!(output, json!({ "region": HERE, "input": { "a": 1 } }));
        let lasted = ended.stop_date.unwrap().as_secs_f64() - ended.start_date.as_secs_f64();
        assert!((11.0..13.0).contains(&lasted), "{lasted} s");
        // It is known in its own Region only.
        let elsewhere = client(&simulation, ELSEWHERE).describe_execution();
        let unknown = elsewhere.execution_arn(&first.execution_arn).send().await;
        assert_eq!(code(unknown), "ExecutionDoesNotExist");
    });
}

#[test]
fn what_step_functions_refuses_is_refused() {
    play(machines(), |simulation| async move {
        let states = client(&simulation, HERE);
        let start = async |machine: &str, name: &str, input: &str| {
            let call = states
                .start_execution()
                .state_machine_arn(machine)
                .name(name)
                .input(input);
            code(call.send().await)
        };
        let waiter = machine("waiter");
        assert_eq!(start(&machine("nobody"), "one", "{}").await, "StateMachineDoesNotExist");
        let elsewhere = machine_arn(ACCOUNT, ELSEWHERE, "waiter");
        assert_eq!(start(&elsewhere, "one", "{}").await, "StateMachineDoesNotExist");
        assert_eq!(start(&waiter, "one", "{").await, "InvalidExecutionInput");
        let large = format!("\"{}\"", "x".repeat(262_143));
        assert_eq!(start(&waiter, "one", &large).await, "ValidationException");
        for name in ["", "a b", "a/b", "a:b", "a\u{7f}"] {
            assert_eq!(start(&waiter, name, "{}").await, "InvalidName", "{name:?}");
        }
        assert_eq!(start(&waiter, &"n".repeat(81), "{}").await, "ValidationException");
        assert!(simulation.cloud().executions.arns().is_empty());
        let largest = format!("\"{}\"", "x".repeat(262_142));
        let longest = "n".repeat(80);
        let taken = states
            .start_execution()
            .state_machine_arn(&waiter)
            .name(&longest)
            .input(&largest);
        taken.send().await.unwrap();
        let traced = states.start_execution().state_machine_arn(&waiter).trace_header("x");
        assert_eq!(code(traced.send().await), "NotSimulated");
        let listed = states.list_executions().state_machine_arn(&waiter).send().await;
        assert_eq!(code(listed), "NotSimulated");
        // Without a name it gets one, without an input an empty object.
        let nameless = states
            .start_execution()
            .state_machine_arn(&waiter)
            .send()
            .await
            .unwrap();
        let record = simulation.cloud().executions.get(&nameless.execution_arn).unwrap();
        assert_eq!((record.name.len(), record.input.as_str()), (36, "{}"));
    });
}

#[test]
fn a_failure_is_described() {
    play(machines(), |simulation| async move {
        simulation.play_one("failing", "one", json!({})).await;
        let states = client(&simulation, HERE);
        let arn = arn(HERE, "failing", "one");
        let failed = states.describe_execution().execution_arn(arn).send().await.unwrap();
        assert_eq!(
            (failed.status, failed.error.as_deref()),
            (Status::Failed, Some("Refused"))
        );
        assert!(failed.cause.unwrap().contains("it never works"));
        assert_eq!(failed.output, None);
    });
}

#[test]
fn an_execution_that_is_stopped_is_aborted_at_once() {
    play(machines(), |simulation| async move {
        let states = client(&simulation, HERE);
        simulation.start(HERE, "waiter", "one", json!({})).unwrap();
        sleep(Duration::from_secs(5)).await;
        let arn = arn(HERE, "waiter", "one");
        let stop = async |client: &Client| {
            let call = client
                .stop_execution()
                .execution_arn(&arn)
                .error("Enough")
                .cause("a person said so");
            call.send().await
        };
        assert_eq!(
            code(stop(&client(&simulation, ELSEWHERE)).await),
            "ExecutionDoesNotExist"
        );
        let stopped: DateTime = stop(&states).await.unwrap().stop_date;
        let record = simulation.cloud().executions.get(&arn).unwrap();
        assert_eq!((record.status, record.error.as_deref()), ("ABORTED", Some("Enough")));
        sleep(Duration::from_secs(60)).await;
        let (error, cause) = ("Enough".to_owned(), "a person said so".to_owned());
        let expected = ExecutionStatus::Aborted { error, cause };
        assert_eq!(simulation.how_ended(HERE, "waiter", "one"), expected);
        assert_eq!(simulation.usage().0.invocations, 0, "it did not go on");
        assert_eq!(stop(&states).await.unwrap().stop_date, stopped, "it has ended already");
    });
}

#[test]
fn a_token_is_answered_by_whoever_was_told_it() {
    play(machines(), |simulation| async move {
        let mut messages = simulation.cloud().sns.subscribe(&topic(HERE));
        simulation.start(HERE, "asker", "one", json!({})).unwrap();
        let message = messages.recv().await.unwrap();
        assert_eq!(message.published_at, simulation.cloud().now());
        let token = message.text;
        let states = client(&simulation, HERE);
        let succeed = async |client: &Client, token: &str, output: &str| {
            client.send_task_success().task_token(token).output(output).send().await
        };
        assert_eq!(code(succeed(&states, "a token", "{}").await), "InvalidToken");
        assert_eq!(
            code(succeed(&states, &format!("{token}0"), "{}").await),
            "TaskDoesNotExist"
        );
        assert_eq!(code(succeed(&states, &token, "{").await), "InvalidOutput");
        let elsewhere = client(&simulation, ELSEWHERE);
        assert_eq!(code(succeed(&elsewhere, &token, "{}").await), "TaskDoesNotExist");
        // Longer than HeartbeatSeconds.
        for _ in 0..3 {
            sleep(Duration::from_secs(50)).await;
            states.send_task_heartbeat().task_token(&token).send().await.unwrap();
        }
        succeed(&states, &token, r#"{"approved":true}"#).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let output = json!({ "approved": true });
        assert_eq!(
            simulation.how_ended(HERE, "asker", "one"),
            ExecutionStatus::Succeeded { output }
        );
        assert_eq!(code(succeed(&states, &token, "{}").await), "TaskTimedOut");
        let heartbeat = states.send_task_heartbeat().task_token(&token);
        assert_eq!(code(heartbeat.send().await), "TaskTimedOut");
    });
}

#[test]
fn a_function_goes_on_after_its_token_was_answered() {
    play(machines(), |simulation| async move {
        let mut messages = simulation.cloud().sns.subscribe(&topic(HERE));
        simulation.start(HERE, "asker", "one", json!({})).unwrap();
        let token = messages.recv().await.unwrap().text;
        let refused = client(&simulation, HERE).send_task_failure().task_token(token);
        refused.error("NotApproved").cause("not at night").send().await.unwrap();
        assert_eq!(told(&simulation, HERE).len(), 1);
        sleep(Duration::from_secs(1)).await;
        let expected = ("NotApproved".to_owned(), "not at night".to_owned());
        assert_eq!(error_and_cause(simulation.how_ended(HERE, "asker", "one")), expected);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(told(&simulation, HERE).len(), 3);
    });
}

#[test]
fn a_token_that_cannot_be_handed_out_fails_its_task() {
    play(machines(), |simulation| async move {
        let (error, _) = error_and_cause(simulation.play_one("broken-asker", "one", json!({})).await);
        assert_eq!(error, "Refused");
        let (error, _) = error_and_cause(simulation.play_one("asker", "nobody-answers", json!({})).await);
        assert_eq!(error, "States.Timeout");
    });
}
