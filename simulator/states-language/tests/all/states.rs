//! What every type of state does.

use crate::common::*;
use serde_json::json;
use states_language::ExecutionStatus;

#[tokio::test(start_paused = true)]
async fn pass_hands_its_input_on_or_makes_its_output() {
    let host = Scripted::new();
    let states = json!({
        "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Pass", "Output": {"sum": "{% $states.input.a + 2 %}", "fixed": [1, "x"]}, "End": true}
    });
    let out = output(&host, "A", states, json!({"a": 3})).await;
    assert_eq!(out, json!({"sum": 5, "fixed": [1, "x"]}));
    assert!(out.to_string().contains("\"sum\":5") && !out.to_string().contains("5.0"));
}

#[tokio::test(start_paused = true)]
async fn succeed_ends_and_shapes_the_output() {
    let states = json!({"A": {"Type": "Succeed", "Output": "{% $states.input.x %}"}});
    assert_eq!(
        output(&Scripted::new(), "A", states, json!({"x": [1]})).await,
        json!([1])
    );
}

#[tokio::test(start_paused = true)]
async fn fail_tells_error_and_cause() {
    let states = json!({"A": {"Type": "Fail", "Error": "Refused", "Cause": "{% 'lag ' & $states.input.lag %}"}});
    let (error, cause) = failure(&Scripted::new(), "A", states, json!({"lag": 9})).await;
    assert_eq!((error.as_str(), cause.as_str()), ("Refused", "lag 9"));
}

#[tokio::test(start_paused = true)]
async fn wait_waits_for_seconds_or_until_a_moment() {
    let host = Scripted::new();
    let states = json!({
        "Fixed": {"Type": "Wait", "Seconds": 10, "Next": "Given"},
        "Given": {"Type": "Wait", "Seconds": "{% $states.input.s %}", "Next": "Until"},
        "Until": {"Type": "Wait", "Timestamp": "{% $states.input.t %}", "Next": "Past"},
        "Past": {"Type": "Wait", "Timestamp": "2025-01-01T00:00:00Z", "Output": "{% $now() %}", "End": true}
    });
    let input = json!({"s": 20, "t": "2026-01-01T00:01:40Z"});
    assert_eq!(
        output(&host, "Fixed", states, input).await,
        json!("2026-01-01T00:01:40.000Z")
    );
    assert_eq!(host.elapsed_ms(), 100_000);
}

#[tokio::test(start_paused = true)]
async fn wait_refuses_what_is_no_time() {
    for (field, value) in [
        ("Seconds", "{% -1 %}"),
        ("Seconds", "{% 'x' %}"),
        ("Timestamp", "{% 'soon' %}"),
        ("Timestamp", "{% '2026-01-01 00:00:00Z' %}"),
    ] {
        let states = json!({"A": {"Type": "Wait", field: value, "End": true}});
        let (error, cause) = failure(&Scripted::new(), "A", states, json!({})).await;
        assert_eq!(error, "States.QueryEvaluationError");
        assert!(cause.contains(field), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_more_than_24855_days_is_a_runtime_error() {
    let host = Scripted::new();
    let states = |field: &str| json!({"A": {"Type": "Wait", field: "{% $states.input %}", "End": true}});
    let days = |days: u64| json!(days * 24 * 60 * 60);
    for (field, input) in [("Seconds", days(24_856)), ("Timestamp", json!("2096-01-01T00:00:00Z"))] {
        let (error, cause) = failure(&host, "A", states(field), input).await;
        assert_eq!(error, "States.Runtime");
        assert!(cause.contains("'A'") && cause.contains("24855 days"), "{cause}");
        assert_eq!(host.elapsed_ms(), 0, "{field}");
    }
    output(&host, "A", states("Seconds"), days(24_855)).await;
}

#[tokio::test(start_paused = true)]
async fn choice_takes_the_first_rule_that_holds() {
    let states = json!({
        "C": {"Type": "Choice", "Assign": {"by": "default"}, "Output": {"default": true}, "Default": "End", "Choices": [
            {"Condition": "{% $states.input.n > 10 %}", "Next": "End", "Assign": {"by": "big"}, "Output": "{% $states.input.n %}"},
            {"Condition": "{% $states.input.n > 5 %}", "Next": "End", "Assign": {"by": "{% 'mid' & $states.input.n %}"}}
        ]},
        "End": {"Type": "Pass", "Output": ["{% $by %}", "{% $states.input %}"], "End": true}
    });
    for (n, expected) in [
        (11, json!(["big", 11])),
        (6, json!(["mid6", {"n": 6}])),
        (1, json!(["default", {"default": true}])),
    ] {
        assert_eq!(
            output(&Scripted::new(), "C", states.clone(), json!({"n": n})).await,
            expected
        );
    }
}

#[tokio::test(start_paused = true)]
async fn choice_without_match_is_a_runtime_error_that_nothing_catches() {
    let states = json!({
        "P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "C", "States": {
            "C": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "D"}]},
            "D": {"Type": "Succeed"}
        }}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]},
        "Caught": {"Type": "Succeed"}
    });
    let host = Scripted::new();
    let (error, cause) = failure(&host, "P", states, json!({})).await;
    assert_eq!(error, "States.Runtime");
    assert!(
        cause.contains("'C'") && cause.contains("does not point to a next state"),
        "{cause}"
    );
    let kinds: Vec<_> = host.events.borrow().iter().map(|e| e.kind.name()).collect();
    assert_eq!(
        kinds[3..],
        ["ChoiceStateEntered", "ExecutionFailed"],
        "no state is told of that"
    );
}

#[tokio::test(start_paused = true)]
async fn choice_needs_a_boolean() {
    let states = json!({
        "C": {"Type": "Choice", "Default": "E", "Choices": [{"Condition": "{% 1 %}", "Next": "E"}]},
        "E": {"Type": "Succeed"}
    });
    let (error, cause) = failure(&Scripted::new(), "C", states, json!({})).await;
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(
        cause.contains("Choices[0]/Condition") && cause.contains("true or false"),
        "{cause}"
    );
}

#[tokio::test(start_paused = true)]
async fn task_sends_its_arguments_and_gives_its_result() {
    let host = Scripted::new()
        .on("add", vec![after(2, Ok(json!({"sum": 3})))])
        .on("raw", vec![ok(json!("done"))]);
    let states = json!({
        "Add": task("add", json!({
            "Arguments": {"a": "{% $states.input.a %}", "b": 2}, "TimeoutSeconds": 30,
            "Output": {"was": "{% $states.input.a %}", "is": "{% $states.result.sum %}"}, "Next": "Raw"
        })),
        "Raw": task("raw", json!({}))
    });
    assert_eq!(output(&host, "Add", states, json!({"a": 1})).await, json!("done"));
    let calls = host.calls.borrow();
    assert_eq!(calls[0].call.arguments, json!({"a": 1, "b": 2}));
    assert_eq!(calls[0].call.timeout.as_secs(), 30);
    assert_eq!(calls[0].call.execution_arn, identity().arn);
    assert_eq!((calls[1].at, calls[1].call.timeout.as_secs()), (2000, 99_999_999));
    assert_eq!(
        calls[1].call.arguments,
        json!({"was": 1, "is": 3}),
        "without Arguments the input is sent"
    );
}

#[tokio::test(start_paused = true)]
async fn parallel_runs_branches_side_by_side_and_keeps_their_order() {
    let host = Scripted::new()
        .on("slow", vec![after(5, Ok(json!("slow")))])
        .on("fast", vec![after(1, Ok(json!("fast")))]);
    let branch = |name: &str, state: &str| json!({"StartAt": state, "States": {state: task(name, json!({}))}});
    let states = json!({"P": {"Type": "Parallel", "Arguments": {"x": 1}, "Branches": [branch("slow", "S"), branch("fast", "F")], "End": true}});
    assert_eq!(output(&host, "P", states, json!({})).await, json!(["slow", "fast"]));
    assert_eq!(host.elapsed_ms(), 5000);
    let calls = host.calls.borrow();
    assert_eq!(calls[0].path, "P.branch[0].S");
    assert_eq!(calls[1].path, "P.branch[1].F");
    assert_eq!(calls[1].call.arguments, json!({"x": 1}));
}

#[tokio::test(start_paused = true)]
async fn a_failing_branch_stops_its_siblings_at_once() {
    let host = Scripted::new()
        .on(
            "bad",
            vec![after(3, Err(states_language::TaskFailure::new("Boom", "b")))],
        )
        .on("first", vec![after(2, Ok(json!(1)))])
        .on("second", vec![after(2, Ok(json!(1)))])
        .on("third", vec![ok(json!(1))]);
    let states = json!({
        "P": {"Type": "Parallel", "End": true, "Branches": [
            {"StartAt": "First", "States": {
                "First": task("first", json!({"Next": "Second"})),
                "Second": task("second", json!({"Next": "Third"})),
                "Third": task("third", json!({}))}},
            {"StartAt": "Bad", "States": {"Bad": task("bad", json!({}))}}
        ], "Catch": [
            {"ErrorEquals": ["Other"], "Next": "Wrong"},
            {"ErrorEquals": ["Boom"], "Next": "Right"},
            {"ErrorEquals": ["States.ALL"], "Next": "Wrong"}]},
        "Right": {"Type": "Pass", "Output": "{% $states.input %}", "End": true},
        "Wrong": {"Type": "Fail"}
    });
    let result = run(&host, definition("P", states), json!({})).await;
    assert_eq!(
        result.status,
        ExecutionStatus::Succeeded {
            output: json!({"Error": "Boom", "Cause": "b"})
        }
    );
    assert_eq!(host.elapsed_ms(), 3000);
    assert_eq!(host.times("second"), [2000]);
    assert_eq!(host.times("third"), Vec::<u128>::new());
    let end: Vec<_> = result.history[14..].iter().map(|e| (e.kind.name(), &*e.path)).collect();
    assert_eq!(
        end,
        [
            ("TaskFailed", "P.branch[1].Bad"),
            ("TaskStateAborted", "P.branch[1].Bad"),
            ("TaskStateAborted", "P.branch[0].Second"),
            ("ParallelStateFailed", "P"),
            ("ParallelStateExited", "P"),
            ("PassStateEntered", "Right"),
            ("PassStateExited", "Right"),
            ("ExecutionSucceeded", ""),
        ]
    );
    let failed = &result.history[17].details;
    assert_eq!((&failed.error, &failed.cause), (&None, &None));
}

#[tokio::test(start_paused = true)]
async fn branches_that_are_due_together_go_in_their_order() {
    let branch = |i: usize| {
        let (wait, task_name) = (format!("W{i}"), format!("T{i}"));
        json!({"StartAt": wait.clone(), "States": {
            wait: {"Type": "Wait", "Seconds": 7, "Next": task_name.clone()},
            task_name: task("t", json!({}))}})
    };
    let host = Scripted::new().on("t", vec![after(1, Ok(json!(null)))]);
    let branches: Vec<_> = (0..8).map(branch).collect();
    let states = json!({"P": {"Type": "Parallel", "Branches": branches, "End": true}});
    output(&host, "P", states, json!({})).await;
    let order: Vec<String> = host.calls.borrow().iter().map(|c| c.call.state_name.clone()).collect();
    assert_eq!(order, (0..8).map(|i| format!("T{i}")).collect::<Vec<_>>());
}

fn inline_map(more: serde_json::Value) -> serde_json::Value {
    let mut map =
        json!({"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "T", "States": {"T": task("t", json!({}))}}});
    map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"M": map, "Caught": {"Type": "Succeed"}})
}

#[tokio::test(start_paused = true)]
async fn inline_map_runs_every_item_as_wide_as_allowed() {
    let host = Scripted::new().on("t", vec![after(10, Ok(json!("r")))]);
    let states = json!({"M": inline_map(json!({
        "Items": "{% $states.input.list %}", "MaxConcurrency": 2,
        "ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "v": "{% $states.context.Map.Item.Value.n %}", "all": "{% $count($states.input.list) %}"}
    }))["M"]});
    let input = json!({"list": [{"n": 5}, {"n": 6}, {"n": 7}]});
    assert_eq!(output(&host, "M", states, input).await, json!(["r", "r", "r"]));
    assert_eq!(host.times("t"), [0, 0, 10_000]);
    let calls = host.calls.borrow();
    assert_eq!(calls[2].call.arguments, json!({"i": 2, "v": 7, "all": 3}));
    assert_eq!(calls[2].path, "M.item[2].T");
}

#[tokio::test(start_paused = true)]
async fn inline_map_without_limit_runs_forty_at_once() {
    let host = Scripted::new().on("t", vec![after(10, Ok(json!(0)))]);
    let states = json!({"M": inline_map(json!({}))["M"]});
    let items: Vec<_> = (0..41).collect();
    output(&host, "M", states, json!(items)).await;
    assert_eq!(host.times("t")[39..], [0, 10_000]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_iteration_stops_the_map() {
    let host = Scripted::new().on(
        "t",
        vec![
            after(10, Ok(json!(0))),
            after(3, Err(states_language::TaskFailure::new("Boom", ""))),
            after(10, Ok(json!(0))),
        ],
    );
    let states = inline_map(json!({"MaxConcurrency": 3, "Catch": [{"ErrorEquals": ["Boom"], "Next": "Caught"}]}));
    let result = run(&host, definition("M", states), json!([1, 2, 3, 4])).await;
    assert_eq!(
        result.status,
        ExecutionStatus::Succeeded {
            output: json!({"Error": "Boom", "Cause": ""})
        }
    );
    assert_eq!(host.times("t"), [0, 0, 0], "the fourth was never started");
    let failed = result.history.iter().position(|e| e.kind.name() == "TaskFailed");
    let end: Vec<_> = result.history[failed.unwrap()..]
        .iter()
        .take(8)
        .map(|e| (e.kind.name(), &*e.path, e.details.index))
        .collect();
    assert_eq!(
        end,
        [
            ("TaskFailed", "M.item[1].T", None),
            ("TaskStateAborted", "M.item[1].T", None),
            ("MapIterationFailed", "M", Some(1)),
            ("TaskStateAborted", "M.item[0].T", None),
            ("MapIterationAborted", "M", Some(0)),
            ("TaskStateAborted", "M.item[2].T", None),
            ("MapIterationAborted", "M", Some(2)),
            ("MapStateFailed", "M", None),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn items_that_are_no_array_fail_the_map_with_a_location_unless_the_input_is_at_fault() {
    for (more, location, expected) in [
        (
            json!({"Items": "{% $states.input.a %}"}),
            Some("Items"),
            "returned 1, where an array is needed",
        ),
        (json!({}), None, "Map state input must be an array but was: {\"a\":1}"),
    ] {
        let states = json!({"M": inline_map(more)["M"]});
        let result = run(&Scripted::new(), definition("M", states), json!({"a": 1})).await;
        let ExecutionStatus::Failed { error, cause } = &result.status else {
            panic!("{:?}", result.status)
        };
        assert_eq!(error, "States.QueryEvaluationError");
        assert!(cause.contains(expected), "{cause}");
        assert_eq!(
            kinds(&result)[2..],
            ["EvaluationFailed", "MapStateFailed", "ExecutionFailed"]
        );
        assert_eq!(result.history[2].details.location.as_deref(), location);
        assert!(result.history[3].details.error.is_none());
    }
}
