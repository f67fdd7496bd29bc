//! The history, its limit, and the ends of an execution that no state decides.

use std::rc::Rc;
use std::time::Duration;

use crate::common::*;
use serde_json::{Value, json};
use states_language::{ExecutionResult, ExecutionStatus, HISTORY_LIMIT, TaskFailure};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn events_are_those_of_aws() {
    let host = Scripted::new()
        .on(
            "t",
            vec![after(3, Err(TaskFailure::new("E", "c"))), ok(json!({"r": 1}))],
        )
        .on("s.sync:2", vec![ok(json!(2))]);
    let states = json!({
        "T": task("t", json!({"Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 2}], "Assign": {"v": "{% $states.result.r %}"}, "Next": "S"})),
        "S": task("s.sync:2", json!({"Next": "W"})),
        "W": {"Type": "Wait", "Seconds": 1, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "P"}]},
        "P": {"Type": "Parallel", "Branches": [{"StartAt": "In", "States": {"In": {"Type": "Pass", "End": true}}}], "Next": "End"},
        "End": {"Type": "Succeed"}
    });
    let result = run(&host, definition("T", states), json!({"x": 1})).await;
    assert_eq!(
        kinds(&result),
        [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskFailed",
            "TaskScheduled",
            "TaskStarted",
            "TaskSucceeded",
            "TaskStateExited",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSubmitted",
            "TaskSucceeded",
            "TaskStateExited",
            "WaitStateEntered",
            "WaitStateExited",
            "ChoiceStateEntered",
            "ChoiceStateExited",
            "ParallelStateEntered",
            "ParallelStateStarted",
            "PassStateEntered",
            "PassStateExited",
            "ParallelStateSucceeded",
            "ParallelStateExited",
            "SucceedStateEntered",
            "SucceedStateExited",
            "ExecutionSucceeded",
        ]
    );
    assert_eq!(result.transitions, 8, "seven states and a retry");
    let ids: Vec<u64> = result.history.iter().map(|e| e.id).collect();
    assert_eq!(ids, (1..=28).collect::<Vec<_>>());
    let failed = &result.history[4];
    assert_eq!(
        (
            &*failed.state,
            failed.details.error.as_deref(),
            failed.details.cause.as_deref()
        ),
        ("T", Some("E"), Some("c"))
    );
    assert_eq!(failed.timestamp.to_string(), "2026-01-01T00:00:03Z");
    assert_eq!(
        (result.history[2].details.attempt, result.history[5].details.attempt),
        (Some(0), Some(1))
    );
    assert_eq!(result.history[5].timestamp.to_string(), "2026-01-01T00:00:05Z");
    let left = &result.history[8].details;
    assert_eq!(
        (left.output.as_deref(), left.assigned.as_deref()),
        (Some(&json!({"r": 1})), Some(&json!({"v": 1})))
    );
    assert_eq!(&*result.history[21].path, "P.branch[0].In");
    assert_eq!(host.events.borrow().len(), result.history.len(), "all were observed");
}

/// The events in order, each with the number of the one that led to it.
fn chain(result: &ExecutionResult) -> Vec<(&'static str, u64)> {
    result.history.iter().map(|e| (e.kind.name(), e.previous)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_state_follows_from_nothing_and_a_success_leads_to_nothing() {
    let processor = json!({"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}});
    let states = json!({"M": {"Type": "Map", "ItemProcessor": processor, "End": true}});
    let result = run(&Scripted::new(), definition("M", states), json!([1])).await;
    assert_eq!(
        chain(&result),
        [
            ("ExecutionStarted", 0),
            ("MapStateEntered", 0),
            ("MapStateStarted", 2),
            ("MapIterationStarted", 3),
            ("PassStateEntered", 4),
            ("PassStateExited", 5),
            ("MapIterationSucceeded", 6),
            ("MapStateSucceeded", 7),
            ("MapStateExited", 7),
            ("ExecutionSucceeded", 9),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn iterations_follow_from_the_start_of_their_map_and_are_aborted_though_they_did_nothing() {
    let processor = json!({"StartAt": "I", "States": {"I": {"Type": "Fail", "Error": "E"}}});
    let states = json!({"M": {"Type": "Map", "ItemProcessor": processor, "End": true}});
    let result = run(&Scripted::new(), definition("M", states), json!([1, 2])).await;
    assert_eq!(
        chain(&result)[2..],
        [
            ("MapStateStarted", 2),
            ("MapIterationStarted", 3),
            ("MapIterationStarted", 3),
            ("FailStateEntered", 4),
            ("MapIterationFailed", 6),
            ("MapIterationAborted", 5),
            ("MapStateFailed", 6),
            ("ExecutionFailed", 9),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_failure_follows_from_the_task_that_failed() {
    let host = Scripted::new().on("t", vec![err("E")]);
    let processor = json!({"StartAt": "T", "States": {"T": task("t", json!({}))}});
    let states = json!({"M": {"Type": "Map", "ItemProcessor": processor, "End": true}});
    let result = run(&host, definition("M", states), json!([1])).await;
    assert_eq!(
        chain(&result)[7..],
        [
            ("TaskFailed", 7),
            ("TaskStateAborted", 8),
            ("MapIterationFailed", 8),
            ("MapStateFailed", 8),
            ("ExecutionFailed", 11),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn branches_follow_from_where_they_started() {
    let host = Scripted::new();
    let branch = |name: &str| json!({"StartAt": name, "States": {name: {"Type": "Wait", "Seconds": 1, "End": true}}});
    let states = json!({"P": {"Type": "Parallel", "Branches": [branch("A"), branch("B")], "End": true}});
    let result = run(&host, definition("P", states), json!({})).await;
    let links: Vec<_> = result
        .history
        .iter()
        .filter(|e| e.kind.name().starts_with("Wait"))
        .map(|e| (e.id, e.previous, &*e.state))
        .collect();
    assert_eq!(links, [(4, 3, "A"), (5, 3, "B"), (6, 4, "A"), (7, 5, "B")]);
}

#[tokio::test(start_paused = true)]
async fn a_full_history_ends_the_execution_whatever_is_caught() {
    let host = Scripted::new();
    let states = json!({
        "P": {"Type": "Parallel", "End": true, "Retry": [{"ErrorEquals": ["States.ALL"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
            "Branches": [{"StartAt": "Loop", "States": {
                "Loop": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.go %}", "Next": "Wait"}], "Default": "Out"},
                "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Loop"},
                "Out": {"Type": "Succeed"}}}]},
        "Caught": {"Type": "Succeed"}
    });
    let result = run(&host, definition("P", states), json!({"go": true})).await;
    assert_eq!(
        result.status,
        ExecutionStatus::Failed {
            error: "States.Runtime".into(),
            cause: "The execution reached the maximum number of history events (25000).".into()
        }
    );
    assert_eq!(result.history.len() as u64, HISTORY_LIMIT);
    assert_eq!(
        result.history.last().map(|e| (e.id, e.kind.name())),
        Some((25_000, "ExecutionFailed"))
    );
    // Three events before the loop, four in each turn.
    assert_eq!(host.elapsed_ms() / 1000, (25_000 - 1 - 3) / 4);
}

#[tokio::test(start_paused = true)]
async fn a_machine_has_its_own_timeout() {
    let host = Scripted::new().on("t", vec![after(500, Ok(json!(1)))]);
    let mut definition = definition(
        "T",
        json!({
        "T": task("t", json!({"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]})), "Caught": {"Type": "Succeed"}}),
    );
    definition["TimeoutSeconds"] = json!(120);
    let result = run(&host, definition, json!({})).await;
    assert_eq!(result.status, ExecutionStatus::TimedOut);
    assert_eq!(host.elapsed_ms(), 120_000);
    assert_eq!(kinds(&result)[4..], ["TaskStateAborted", "ExecutionTimedOut"]);
}

#[tokio::test(start_paused = true)]
async fn stopping_runs_no_catcher() {
    let host = Scripted::new()
        .on("t", vec![after(500, Ok(json!(1)))])
        .on("c", vec![ok(json!(1))]);
    let definition = definition(
        "T",
        json!({
        "T": task("t", json!({"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]})), "C": task("c", json!({}))}),
    );
    let execution = execution(&host, &definition, json!({}));
    let stop = execution.abort_handle();
    let someone = async {
        sleep(Duration::from_secs(30)).await;
        stop.stop("Operator", "enough");
        stop.stop("Later", "ignored");
    };
    let (result, ()) = tokio::join!(execution.run(), someone);
    assert_eq!(
        result.status,
        ExecutionStatus::Aborted {
            error: "Operator".into(),
            cause: "enough".into()
        }
    );
    assert_eq!(host.elapsed_ms(), 30_000);
    assert_eq!(host.times("c"), Vec::<u128>::new());
    let last = result.history.last().expect("an event");
    assert_eq!(
        (last.kind.name(), last.details.error.as_deref()),
        ("ExecutionAborted", Some("Operator"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_host_gives_the_same_history() {
    async fn once() -> Vec<(u64, String, String)> {
        let host = Scripted::new().on(
            "t",
            vec![err("E"), after(3, Ok(json!(1))), err("E"), after(1, Ok(json!(1)))],
        );
        let processor = json!({"StartAt": "T", "States": {"T": task("t", json!({"Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "FULL"}]}))}});
        let states = json!({"M": {"Type": "Map", "ItemProcessor": processor, "End": true}});
        let result = run(&host, definition("M", states), json!([1, 2, 3, 4, 5])).await;
        result
            .history
            .iter()
            .map(|e| (e.previous, format!("{}@{}", e.kind, e.timestamp), e.path.to_string()))
            .collect()
    }
    assert_eq!(once().await, once().await);
}

/// What a Task with this resource writes of its submission: when, in seconds, and with which output.
async fn submission(host: &Rc<Scripted>, resource: &str) -> Option<(i64, Option<Value>)> {
    let definition = definition("T", json!({"T": task(resource, json!({"TimeoutSeconds": 60}))}));
    let result = run(host, definition, json!({})).await;
    let event = result.history.iter().find(|e| e.kind.name() == "TaskSubmitted")?;
    assert_eq!(event.details.resource, Some(format!("arn:test:{resource}")));
    let started = result.history[0].timestamp;
    let output = event.details.output.as_deref().cloned();
    Some((event.timestamp.as_second() - started.as_second(), output))
}

#[tokio::test(start_paused = true)]
async fn a_submission_has_the_answer_of_the_call() {
    let answer = json!({"MessageId": "1"});
    let host = Scripted::new().on("ask.waitForTaskToken", vec![after(2, Ok(answer.clone()))]);
    let submitted = submission(&host, "ask.waitForTaskToken").await;
    assert_eq!(submitted, Some((2, Some(answer))));

    let job = json!({"ExecutionArn": "arn"});
    for outcome in [Ok(json!(1)), Err(TaskFailure::new("E", "")), Ok(json!("too late"))] {
        let seconds = if outcome == Ok(json!("too late")) { 61 } else { 5 };
        let host = Scripted::new().on("a.sync", vec![after(seconds, outcome)]);
        *host.job.borrow_mut() = Some(job.clone());
        assert_eq!(submission(&host, "a.sync").await, Some((0, Some(job.clone()))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_start_nobody_tells_was_submitted_if_it_ends_well() {
    let host = Scripted::new().on("a.sync", vec![after(5, Ok(json!(1)))]);
    assert_eq!(submission(&host, "a.sync").await, Some((5, None)));
    let host = Scripted::new().on("a.sync", vec![after(5, Err(TaskFailure::new("E", "")))]);
    assert_eq!(submission(&host, "a.sync").await, None);
}
