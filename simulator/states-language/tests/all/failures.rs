//! Retry, Catch, timeouts, heartbeats and tokens, at exact virtual times.

use std::rc::Rc;
use std::time::Duration;

use crate::common::*;
use serde_json::{Value, json};
use states_language::{ExecutionStatus, TaskFailure, TokenError};
use tokio::time::sleep;

fn with_retry(retry: Value) -> Value {
    json!({"T": task("t", json!({"Retry": retry}))})
}

#[tokio::test(start_paused = true)]
async fn retry_by_default_three_times_after_one_two_and_four_seconds() {
    let host = Scripted::new().on("t", vec![err("Throttled")]);
    let states = with_retry(json!([{"ErrorEquals": ["Throttled"]}]));
    let (error, cause) = failure(&host, "T", states, json!({})).await;
    assert_eq!((error.as_str(), cause.as_str()), ("Throttled", "because"));
    assert_eq!(host.times("t"), [0, 1000, 3000, 7000]);
}

#[tokio::test(start_paused = true)]
async fn retry_grows_to_its_cap() {
    let host = Scripted::new().on("t", vec![err("E"), err("E"), err("E"), err("E"), ok(json!("done"))]);
    let states = with_retry(
        json!([{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxDelaySeconds": 10, "MaxAttempts": 9}]),
    );
    let result = run(&host, definition("T", states), json!({})).await;
    assert_eq!(result.status, ExecutionStatus::Succeeded { output: json!("done") });
    assert_eq!(host.times("t"), [0, 2000, 8000, 18_000, 28_000]);
    assert_eq!(result.transitions, 5, "one state and four retries");
    let attempts: Vec<u64> = host.calls.borrow().iter().map(|c| c.call.attempt).collect();
    assert_eq!(attempts, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn full_jitter_takes_the_hosts_share_of_the_delay() {
    let host = Scripted::new().on("t", vec![err("E")]);
    host.random.set(0.25);
    let states =
        with_retry(json!([{"ErrorEquals": ["E"], "IntervalSeconds": 4, "MaxAttempts": 2, "JitterStrategy": "FULL"}]));
    failure(&host, "T", states, json!({})).await;
    assert_eq!(host.times("t"), [0, 1000, 3000]);
}

#[tokio::test(start_paused = true)]
async fn zero_attempts_is_never_and_does_not_fall_through() {
    let host = Scripted::new().on("t", vec![err("E")]);
    let states = with_retry(json!([{"ErrorEquals": ["E"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]));
    failure(&host, "T", states, json!({})).await;
    assert_eq!(host.times("t"), [0]);
}

#[tokio::test(start_paused = true)]
async fn every_retrier_counts_for_itself() {
    let host = Scripted::new().on(
        "t",
        vec![err("A"), err("B"), err("A"), err("B"), err("A"), ok(json!(1))],
    );
    let states = with_retry(json!([
        {"ErrorEquals": ["A"], "IntervalSeconds": 1, "MaxAttempts": 2},
        {"ErrorEquals": ["B"], "IntervalSeconds": 10, "BackoffRate": 1.5, "MaxAttempts": 2}
    ]));
    failure(&host, "T", states, json!({})).await;
    // A after 1 s, B after 10 s, A after 2 s, B after 15 s; the third A is one too many.
    assert_eq!(host.times("t"), [0, 1000, 11_000, 13_000, 28_000]);
}

#[tokio::test(start_paused = true)]
async fn counters_start_anew_when_the_state_is_entered_anew() {
    let host = Scripted::new().on("t", vec![err("E"), ok(json!(1)), err("E"), ok(json!(2))]);
    let states = json!({
        "T": task("t", json!({"Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Next": "C", "Output": "{% $states.result %}",
            "Arguments": "{% $states.context.State.RetryCount %}"})),
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 1 %}", "Next": "T"}], "Default": "End"},
        "End": {"Type": "Succeed"}
    });
    assert_eq!(output(&host, "T", states, json!({})).await, json!(2));
    let counts: Vec<Value> = host.calls.borrow().iter().map(|c| c.call.arguments.clone()).collect();
    assert_eq!(counts, [json!(0), json!(1), json!(0), json!(1)]);
}

#[tokio::test(start_paused = true)]
async fn catch_takes_the_first_that_matches_after_the_retries() {
    let host = Scripted::new().on("t", vec![err("Denied")]);
    let states = json!({
        "T": task("t", json!({
            "Assign": {"own": true}, "Next": "Wrong",
            "Retry": [{"ErrorEquals": ["Denied"], "MaxAttempts": 1}],
            "Catch": [
                {"ErrorEquals": ["Throttled", "Busy"], "Next": "Wrong"},
                {"ErrorEquals": ["States.TaskFailed"], "Next": "Right",
                    "Assign": {"failedStep": "{% $states.context.State.Name %}", "why": "{% $states.errorOutput.Error %}"},
                    "Output": {"cause": "{% $states.errorOutput.Cause %}", "in": "{% $states.input %}"}},
                {"ErrorEquals": ["States.ALL"], "Next": "Wrong"}
            ]})),
        "Right": {"Type": "Pass", "Output": ["{% $failedStep %}", "{% $why %}", "{% $states.input %}", "{% $exists($own) %}"], "End": true},
        "Wrong": {"Type": "Fail", "Error": "Wrong"}
    });
    let out = output(&host, "T", states, json!(7)).await;
    assert_eq!(out, json!(["T", "Denied", {"cause": "because", "in": 7}, false]));
    assert_eq!(host.times("t"), [0, 1000]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_takes_too_long_times_out() {
    let host = Scripted::new().on("t", vec![after(61, Ok(json!(1))), after(60, Ok(json!(2)))]);
    let states = json!({"T": task("t", json!({"TimeoutSeconds": "{% $states.input.limit %}", "Retry": [
        {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 500},
        {"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 5}]}))});
    let result = run(&host, definition("T", states), json!({"limit": 60})).await;
    assert_eq!(
        result.status,
        ExecutionStatus::Succeeded { output: json!(2) },
        "done at the limit is done"
    );
    assert_eq!(host.times("t"), [0, 65_000]);
    let timed_out = result
        .history
        .iter()
        .find(|e| e.kind.name() == "TaskTimedOut")
        .expect("the event");
    let details = &timed_out.details;
    assert_eq!(
        (details.error.as_deref(), details.cause.as_deref()),
        (Some("States.Timeout"), None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_has_an_empty_cause() {
    let host = Scripted::new().on("t", vec![after(61, Ok(json!(1)))]);
    let catch = json!([{"ErrorEquals": ["States.Timeout"], "Next": "C"}]);
    let states = json!({"T": task("t", json!({"TimeoutSeconds": 60, "Catch": catch})), "C": {"Type": "Succeed"}});
    let out = output(&host, "T", states, json!({})).await;
    assert_eq!(out, json!({"Error": "States.Timeout", "Cause": ""}));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_is_caught_by_name_and_by_the_wildcards() {
    let big = json!("x".repeat(262_143));
    let catch = |name: &str| {
        json!({
        "T": task("t", json!({"Catch": [{"ErrorEquals": [name], "Next": "C"}]})), "C": {"Type": "Succeed"}})
    };
    let host = Scripted::new().on("t", vec![ok(big)]);
    // The guide says that States.ALL does not; Step Functions does.
    for name in ["States.ALL", "States.TaskFailed", "States.DataLimitExceeded"] {
        let out = output(&host, "T", catch(name), json!({})).await;
        assert_eq!(out["Error"], "States.DataLimitExceeded", "{name}");
        assert!(out["Cause"].as_str().unwrap().contains("262145 bytes"), "{out}");
    }
    let (error, _) = failure(&host, "T", catch("Other"), json!({})).await;
    assert_eq!(error, "States.DataLimitExceeded");
    let fits = Scripted::new().on("t", vec![ok(json!("x".repeat(262_142)))]);
    assert!(output(&fits, "T", catch("States.ALL"), json!({})).await.is_string());
}

#[tokio::test(start_paused = true)]
async fn every_payload_is_measured() {
    let big = "x".repeat(140_000);
    let input = json!({"a": big});
    let arguments = json!({"T": task("t", json!({"Arguments": ["{% $states.input.a %}", "{% $states.input.a %}"]}))});
    let output =
        json!({"P": {"Type": "Pass", "Output": ["{% $states.input.a %}", "{% $states.input.a %}"], "End": true}});
    let assign = json!({"P": {"Type": "Pass", "Assign": {"x": "{% $states.input.a %}", "y": "{% $states.input.a %}"}, "End": true}});
    let echo = json!({"StartAt": "E1", "States": {"E1": {"Type": "Succeed"}}});
    let echo2 = json!({"StartAt": "E2", "States": {"E2": {"Type": "Succeed"}}});
    let parallel = json!({"P": {"Type": "Parallel", "Branches": [echo, echo2], "End": true}});
    for (start, states) in [("T", arguments), ("P", output), ("P", assign), ("P", parallel)] {
        let host = Scripted::new().on("t", vec![ok(json!(1))]);
        let (error, _) = failure(&host, start, states.clone(), input.clone()).await;
        assert_eq!(error, "States.DataLimitExceeded", "{states}");
        assert!(host.calls.borrow().is_empty());
    }
    let states = json!({"P": {"Type": "Succeed"}});
    let (error, _) = failure(&Scripted::new(), "P", states, json!("x".repeat(262_143))).await;
    assert_eq!(error, "States.DataLimitExceeded");
}

/// A Task that waits for its token, and somebody who does something about it.
async fn with_token<F, Fut>(more: Value, someone: F) -> (Rc<Scripted>, ExecutionStatus)
where
    F: FnOnce(Rc<Scripted>) -> Fut,
    Fut: Future<Output = ()>,
{
    let host = Scripted::new().on("ask.waitForTaskToken", vec![after(1, Ok(json!("ignored")))]);
    let unused = json!([{"ErrorEquals": ["Unused"], "Next": "C"}]);
    let mut fields = json!({"Arguments": {"token": "{% $states.context.Task.Token %}"}, "Catch": unused});
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let states = json!({"Ask": task("ask.waitForTaskToken", fields), "C": {"Type": "Succeed"}});
    let definition = definition("Ask", states);
    let execution = execution(&host, &definition, json!({})).run();
    let (result, ()) = tokio::join!(execution, someone(host.clone()));
    (host, result.status)
}

fn succeeded(output: Value) -> ExecutionStatus {
    ExecutionStatus::Succeeded { output }
}

#[tokio::test(start_paused = true)]
async fn a_token_brings_the_result() {
    let (host, status) = with_token(json!({}), async |host: Rc<Scripted>| {
        sleep(Duration::from_secs(90)).await;
        let token = host.token(0);
        assert_eq!(host.calls.borrow()[0].call.arguments, json!({"token": token}));
        assert!(host.tokens.is_open(&token));
        assert_eq!(
            host.tokens.send_success(&token, "{not json"),
            Err(TokenError::InvalidOutput)
        );
        assert_eq!(
            host.tokens
                .send_success(&token, &format!("\"{}\"", "x".repeat(262_143))),
            Err(TokenError::InvalidOutput)
        );
        assert_eq!(host.tokens.send_success(&token, r#"{"approved": true}"#), Ok(()));
        assert_eq!(
            host.tokens.send_success(&token, "2"),
            Err(TokenError::TaskTimedOut),
            "only the first counts"
        );
    })
    .await;
    assert_eq!(status, succeeded(json!({"approved": true})));
    assert_eq!(host.elapsed_ms(), 90_000);
    let kinds: Vec<_> = host.events.borrow().iter().map(|e| e.kind.name()).collect();
    assert_eq!(
        kinds[1..7],
        [
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSubmitted",
            "TaskSucceeded",
            "TaskStateExited"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_may_come_back_before_the_call_does() {
    let (host, status) = with_token(json!({}), async |host: Rc<Scripted>| {
        tokio::task::yield_now().await;
        assert_eq!(host.tokens.send_success(&host.token(0), "1"), Ok(()));
    })
    .await;
    assert_eq!((status, host.elapsed_ms()), (succeeded(json!(1)), 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_brings_a_failure() {
    let more = json!({"Catch": [{"ErrorEquals": ["Declined"], "Next": "C"}]});
    let (_, status) = with_token(more, async |host: Rc<Scripted>| {
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            host.tokens.send_failure(&host.token(0), Some("Declined"), Some("no")),
            Ok(())
        );
    })
    .await;
    assert_eq!(status, succeeded(json!({"Error": "Declined", "Cause": "no"})));
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_error_and_cause_has_nulls_and_is_caught_by_the_wildcards() {
    for (name, is_caught) in [("States.ALL", true), ("States.TaskFailed", true), ("Declined", false)] {
        let more = json!({"Catch": [{"ErrorEquals": [name], "Next": "C"}]});
        let (host, status) = with_token(more, async |host: Rc<Scripted>| {
            sleep(Duration::from_secs(5)).await;
            assert_eq!(host.tokens.send_failure(&host.token(0), None, None), Ok(()));
        })
        .await;
        if is_caught {
            assert_eq!(status, succeeded(json!({"Error": null, "Cause": null})), "{name}");
        } else {
            let (error, cause) = (String::new(), String::new());
            assert_eq!(status, ExecutionStatus::Failed { error, cause });
        }
        let events = host.events.borrow();
        let failed = events.iter().find(|e| e.kind.name() == "TaskFailed");
        let details = &failed.expect("the event").details;
        assert_eq!((&details.error, &details.cause), (&None, &None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_refused() {
    let (host, status) = with_token(json!({"TimeoutSeconds": 900}), async |host: Rc<Scripted>| {
        sleep(Duration::from_secs(901)).await;
        let token = host.token(0);
        assert!(!host.tokens.is_open(&token));
        assert_eq!(host.tokens.send_success(&token, "1"), Err(TokenError::TaskTimedOut));
        assert_eq!(
            host.tokens.send_failure(&token, Some("E"), None),
            Err(TokenError::TaskTimedOut)
        );
        assert_eq!(host.tokens.send_heartbeat(&token), Err(TokenError::TaskTimedOut));
        let unknown = format!("{token}0");
        assert_eq!(
            host.tokens.send_success(&unknown, "1"),
            Err(TokenError::TaskDoesNotExist)
        );
        assert_eq!(host.tokens.send_heartbeat("hello"), Err(TokenError::InvalidToken));
    })
    .await;
    let ExecutionStatus::Failed { error, .. } = status else {
        panic!("{status:?}")
    };
    assert_eq!(error, "States.Timeout");
    let timed_out = host
        .events
        .borrow()
        .iter()
        .find(|e| e.kind.name() == "TaskTimedOut")
        .map(|e| e.timestamp.to_string());
    assert_eq!(timed_out.as_deref(), Some("2026-01-01T00:15:00Z"));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_task_alive_until_they_stop() {
    let more = json!({"TimeoutSeconds": 1000, "HeartbeatSeconds": 10, "Catch": [
        {"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "C"}]});
    let (host, status) = with_token(more, async |host: Rc<Scripted>| {
        for _ in 0..3 {
            sleep(Duration::from_secs(9)).await;
            assert_eq!(host.tokens.send_heartbeat(&host.token(0)), Ok(()));
        }
    })
    .await;
    assert_eq!(status, succeeded(json!({"Error": "States.Timeout", "Cause": ""})));
    assert_eq!(host.elapsed_ms(), 37_000);
}

#[tokio::test(start_paused = true)]
async fn a_missed_heartbeat_is_a_timeout_which_may_be_named_by_its_narrower_name() {
    for (name, is_caught) in [
        ("States.HeartbeatTimeout", true),
        ("States.Timeout", true),
        ("States.ALL", true),
        ("States.TaskFailed", false),
    ] {
        let catch = json!([{"ErrorEquals": [name], "Next": "C"}]);
        let more = json!({"TimeoutSeconds": 1000, "HeartbeatSeconds": 10, "Catch": catch});
        let (host, status) = with_token(more, async |_| {}).await;
        if is_caught {
            let timeout = json!({"Error": "States.Timeout", "Cause": ""});
            assert_eq!(status, succeeded(timeout), "{name}");
        } else {
            let (error, cause) = ("States.Timeout".to_owned(), String::new());
            assert_eq!(status, ExecutionStatus::Failed { error, cause }, "{name}");
        }
        assert_eq!(host.elapsed_ms(), 10_000, "{name}");
        let events = host.events.borrow();
        let timed_out = events.iter().find(|e| e.kind.name() == "TaskTimedOut");
        let details = &timed_out.expect("the event").details;
        assert_eq!(
            (details.error.as_deref(), details.cause.as_deref()),
            (Some("States.Timeout"), None)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_call_that_hands_out_the_token_may_fail() {
    let host = Scripted::new().on(
        "ask.waitForTaskToken",
        vec![after(2, Err(TaskFailure::new("Down", ""))), ok(json!(1))],
    );
    let states = json!({"Ask": task("ask.waitForTaskToken", json!({"Retry": [{"ErrorEquals": ["Down"]}]}))});
    let definition = definition("Ask", states);
    let someone = async {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(
            host.tokens.send_success(&host.token(0), "0"),
            Err(TokenError::TaskTimedOut),
            "a retry has a new token"
        );
        assert_eq!(host.tokens.send_success(&host.token(1), "5"), Ok(()));
    };
    let (result, ()) = tokio::join!(execution(&host, &definition, json!({})).run(), someone);
    assert_eq!(result.status, succeeded(json!(5)));
    assert_eq!(host.times("ask.waitForTaskToken"), [0, 3000]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_branch_closes_its_token() {
    let host = Scripted::new()
        .on("ask.waitForTaskToken", vec![ok(json!(1))])
        .on("bad", vec![after(4, Err(TaskFailure::new("Boom", "")))]);
    let states = json!({"P": {"Type": "Parallel", "End": true, "Branches": [
        {"StartAt": "Ask", "States": {"Ask": task("ask.waitForTaskToken", json!({}))}},
        {"StartAt": "Bad", "States": {"Bad": task("bad", json!({}))}}]}});
    assert_eq!(failure(&host, "P", states, json!({})).await.0, "Boom");
    assert_eq!(
        host.tokens.send_success(&host.token(0), "1"),
        Err(TokenError::TaskTimedOut)
    );
}

#[tokio::test(start_paused = true)]
async fn a_parallel_is_retried_as_a_whole() {
    let host = Scripted::new()
        .on("a", vec![after(1, Ok(json!("a")))])
        .on("b", vec![after(2, Err(TaskFailure::new("E", ""))), ok(json!("b"))]);
    let states = json!({"P": {"Type": "Parallel", "End": true, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 3}], "Branches": [
        {"StartAt": "A", "States": {"A": task("a", json!({}))}}, {"StartAt": "B", "States": {"B": task("b", json!({}))}}]}});
    assert_eq!(output(&host, "P", states, json!({})).await, json!(["a", "b"]));
    assert_eq!(host.times("a"), [0, 5000]);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_attempt_of_a_parallel_or_map_writes_that_it_failed() {
    let workflow = |name: &str| json!({"StartAt": name, "States": {name: {"Type": "Fail", "Error": "E"}}});
    let retry = json!([{"ErrorEquals": ["E"], "MaxAttempts": 2}]);
    let parallel = json!({"Type": "Parallel", "End": true, "Retry": retry, "Branches": [workflow("B")]});
    let map = json!({"Type": "Map", "End": true, "Retry": retry, "ItemProcessor": workflow("I")});
    for (kind, state) in [("Parallel", parallel), ("Map", map)] {
        let result = run(&Scripted::new(), definition("S", json!({"S": state})), json!([1])).await;
        let of_state: Vec<_> = result.history.iter().filter(|e| &*e.path == "S").collect();
        let kinds: Vec<_> = of_state.iter().map(|e| e.kind.name()).collect();
        let (started, failed) = (format!("{kind}StateStarted"), format!("{kind}StateFailed"));
        let count = |name: &str| kinds.iter().filter(|kind| **kind == name).count();
        assert_eq!((count(&started), count(&failed)), (3, 1), "{kinds:?}");
        let last = of_state.last().expect("an event");
        assert_eq!(last.kind.name(), failed);
        assert_eq!((&last.details.error, &last.details.cause), (&None, &None));
    }
}
