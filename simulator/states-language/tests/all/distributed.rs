//! Map in mode DISTRIBUTED.

use crate::common::*;
use serde_json::{Value, json};
use states_language::{ExecutionStatus, TaskFailure};

fn map(more: Value) -> Value {
    map_of(json!({"StartAt": "T", "States": {"T": task("t", json!({}))}}), more)
}

fn map_of(mut processor: Value, more: Value) -> Value {
    processor["ProcessorConfig"] = json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"});
    let mut map = json!({"Type": "Map", "ItemProcessor": processor, "Label": "sweep", "End": true});
    map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"M": map})
}

#[tokio::test(start_paused = true)]
async fn children_have_their_own_history_and_identity() {
    let host = Scripted::new().on("t", vec![after(10, Ok(json!("r")))]);
    let processor = json!({"StartAt": "T", "States": {"T": task("t", json!({"Arguments": {
        "in": "{% $states.input %}", "execution": "{% $states.context.Execution.Input %}", "machine": "{% $states.context.StateMachine.Id %}"}}))}});
    let states = map_of(
        processor,
        json!({"Items": "{% $states.input.l %}", "MaxConcurrency": 2, "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"}}),
    );
    let result = run(&host, definition("M", states), json!({"l": [7, 8, 9]})).await;
    assert_eq!(
        result.status,
        ExecutionStatus::Succeeded {
            output: json!(["r", "r", "r"])
        }
    );
    assert_eq!(
        kinds(&result),
        [
            "ExecutionStarted",
            "MapStateEntered",
            "MapStateStarted",
            "MapRunStarted",
            "MapRunSucceeded",
            "MapStateSucceeded",
            "MapStateExited",
            "ExecutionSucceeded"
        ]
    );
    assert_eq!(host.times("t"), [0, 0, 10_000]);
    let calls = host.calls.borrow();
    assert_eq!(
        calls[1].call.arguments,
        json!({
        "in": {"v": 8}, "execution": {"v": 8},
        "machine": "arn:aws:states:eu-west-1:123456789012:stateMachine:m/sweep"})
    );
    assert_eq!(calls[1].path, "M.item[1].T");
    assert!(
        calls[1]
            .call
            .execution_arn
            .starts_with("arn:aws:states:eu-west-1:123456789012:execution:m/sweep:")
    );
    let child: Vec<_> = host
        .events
        .borrow()
        .iter()
        .filter(|e| *e.execution_arn == *calls[1].call.execution_arn)
        .map(|e| (e.id, e.kind.name()))
        .collect();
    assert_eq!(
        child,
        [
            (1, "ExecutionStarted"),
            (2, "TaskStateEntered"),
            (3, "TaskScheduled"),
            (4, "TaskStarted"),
            (5, "TaskSucceeded"),
            (6, "TaskStateExited"),
            (7, "ExecutionSucceeded")
        ]
    );
    assert_eq!(result.transitions, 4, "the Map and three children's Tasks");
    let map_run = &result.map_runs[0];
    assert_eq!(
        (
            map_run.items,
            map_run.succeeded,
            map_run.failed,
            map_run.children,
            map_run.longest_history
        ),
        (3, 3, 0, 3, 7)
    );
    assert!(
        map_run
            .arn
            .starts_with("arn:aws:states:eu-west-1:123456789012:mapRun:m/sweep:")
    );
}

#[tokio::test(start_paused = true)]
async fn without_tolerance_the_first_failure_stops_everything() {
    let host = Scripted::new().on(
        "t",
        vec![
            after(10, Ok(json!(0))),
            after(2, Err(TaskFailure::new("Boom", "b"))),
            after(10, Ok(json!(0))),
        ],
    );
    let mut states = map(
        json!({"MaxConcurrency": 2, "Catch": [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "C"}]}),
    );
    states["C"] = json!({"Type": "Pass", "Output": "{% $states.input.Cause %}", "End": true});
    let result = run(&host, definition("M", states), json!([1, 2, 3])).await;
    let ExecutionStatus::Succeeded { output } = &result.status else {
        panic!("{:?}", result.status)
    };
    assert!(
        output
            .as_str()
            .unwrap()
            .contains("1 of 3 items failed, the first with Boom: b"),
        "{output}"
    );
    assert_eq!(host.elapsed_ms(), 2000);
    assert_eq!(host.times("t"), [0, 0]);
    assert_eq!(
        kinds(&result)[3..6],
        ["MapRunStarted", "MapRunFailed", "MapStateFailed"]
    );
    let stopped: Vec<_> = host
        .events
        .borrow()
        .iter()
        .filter(|e| e.kind.name() == "ExecutionAborted")
        .map(|e| e.execution_arn.to_string())
        .collect();
    assert_eq!(stopped, [host.calls.borrow()[0].call.execution_arn.clone()]);
}

#[tokio::test(start_paused = true)]
async fn tolerated_failures_are_tolerated() {
    let script = || vec![err("A"), ok(json!(1)), err("B"), ok(json!(2))];
    for (more, ok) in [
        (json!({"ToleratedFailureCount": 2}), true),
        (json!({"ToleratedFailureCount": "{% 1 %}"}), false),
        (json!({"ToleratedFailurePercentage": 50}), true),
        (json!({"ToleratedFailurePercentage": 49.5}), false),
    ] {
        let host = Scripted::new().on("t", script());
        let result = run(&host, definition("M", map(more.clone())), json!([1, 2, 3, 4])).await;
        if ok {
            assert_eq!(
                result.status,
                ExecutionStatus::Succeeded { output: json!([1, 2]) },
                "{more}"
            );
            assert_eq!((result.map_runs[0].succeeded, result.map_runs[0].failed), (2, 2));
        } else {
            let ExecutionStatus::Failed { error, .. } = &result.status else {
                panic!("{more}")
            };
            assert_eq!(error, "States.ExceedToleratedFailureThreshold");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn items_are_read_and_results_written() {
    let host = Scripted::new().on("t", vec![ok(json!("x")), err("E"), ok(json!("z"))]);
    *host.items.borrow_mut() = Ok(json!(["a", "b", "c", "d"]));
    let states = map(json!({
        "ItemReader": {"Resource": "arn:test:read", "Arguments": {"Bucket": "{% $states.input.bucket %}"}, "ReaderConfig": {"InputType": "JSONL", "MaxItems": 3}},
        "ResultWriter": {"Resource": "arn:test:write", "Arguments": {"Bucket": "out"}, "WriterConfig": {"OutputType": "JSONL"}},
        "ToleratedFailureCount": 1, "Output": "{% $states.result.ResultWriterDetails %}"
    }));
    assert_eq!(
        output(&host, "M", states, json!({"bucket": "in"})).await,
        json!({"Bucket": "b", "Key": "k"})
    );
    let read = &host.reads.borrow()[0];
    assert_eq!(
        (&read.arguments, &read.reader_config["InputType"]),
        (&json!({"Bucket": "in"}), &json!("JSONL"))
    );
    let write = &host.writes.borrow()[0];
    assert_eq!(write.arguments, json!({"Bucket": "out"}));
    assert_eq!(
        write.results,
        [Ok(json!("x")), Err(TaskFailure::new("E", "because")), Ok(json!("z"))]
    );
}

#[tokio::test(start_paused = true)]
async fn reader_and_writer_fail_under_their_own_names() {
    let reader = json!({"ItemReader": {"Resource": "arn:test:read"}});
    let host = Scripted::new();
    *host.items.borrow_mut() = Err(TaskFailure::new("S3.NoSuchKey", "gone"));
    let (error, cause) = failure(&host, "M", map(reader), json!({})).await;
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("States.ItemReaderFailed", "S3.NoSuchKey: gone")
    );

    let host = Scripted::new().on("t", vec![ok(json!(1))]);
    *host.write_outcome.borrow_mut() = Err(TaskFailure::new("S3.AccessDenied", "no"));
    let writer = json!({"ResultWriter": {"Resource": "arn:test:write"}});
    let (error, _) = failure(&host, "M", map(writer), json!([1])).await;
    assert_eq!(error, "States.ResultWriterFailed");
}

#[tokio::test(start_paused = true)]
async fn a_negative_number_of_items_fails_the_reader() {
    for most in [json!(-1), json!("{% -1 %}"), json!("{% '3' %}"), json!(1.5)] {
        let host = Scripted::new();
        let reader = json!({"ItemReader": {"Resource": "arn:test:read", "ReaderConfig": {"MaxItems": most}}});
        let result = run(&host, definition("M", map(reader)), json!({})).await;
        let ExecutionStatus::Failed { error, cause } = &result.status else {
            panic!("{:?}", result.status)
        };
        assert_eq!(error, "States.ItemReaderFailed", "{most}");
        assert!(cause.contains("MaxItems"), "{cause}");
        assert_eq!(
            kinds(&result)[3..],
            ["MapRunStarted", "MapRunFailed", "MapStateFailed", "ExecutionFailed"]
        );
        assert!(host.reads.borrow().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn items_go_in_batches() {
    let host = Scripted::new().on("t", vec![ok(json!(1))]);
    let states = map(
        json!({"Items": "{% $states.input.l %}", "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"run": "{% $states.input.run %}"}}}),
    );
    output(&host, "M", states, json!({"l": [1, 2, 3], "run": "r"})).await;
    let inputs: Vec<Value> = host.calls.borrow().iter().map(|c| c.call.arguments.clone()).collect();
    assert_eq!(
        inputs,
        [
            json!({"BatchInput": {"run": "r"}, "Items": [1, 2]}),
            json!({"BatchInput": {"run": "r"}, "Items": [3]})
        ]
    );

    let host = Scripted::new().on("t", vec![ok(json!(1))]);
    // {"Items":[…]} takes 12 bytes; two items of 10 bytes with a comma fit in 34, three do not.
    let states = map(json!({"ItemBatcher": {"MaxInputBytesPerBatch": 34}}));
    output(&host, "M", states, json!(["12345678", "12345678", "12345678"])).await;
    let sizes: Vec<usize> = host
        .calls
        .borrow()
        .iter()
        .map(|c| c.call.arguments["Items"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn express_children_have_five_minutes() {
    let host = Scripted::new().on("t", vec![after(301, Ok(json!(1)))]);
    let mut states = map(json!({}));
    states["M"]["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = json!("EXPRESS");
    let (_, cause) = failure(&host, "M", states, json!([1])).await;
    assert!(cause.contains("States.Timeout"), "{cause}");
    assert_eq!(host.elapsed_ms(), 300_000);
}

#[tokio::test(start_paused = true)]
async fn many_children_run_in_order_and_quickly() {
    let host = Scripted::new().on("t", vec![after(1, Ok(json!(null)))]);
    let items: Vec<u32> = (0..3000).collect();
    let result = run(
        &host,
        definition("M", map(json!({"MaxConcurrency": 500}))),
        json!(items),
    )
    .await;
    assert_eq!(result.map_runs[0].succeeded, 3000);
    assert_eq!(host.elapsed_ms(), 6000);
    let order: Vec<u64> = host
        .calls
        .borrow()
        .iter()
        .map(|c| c.call.arguments.as_u64().unwrap())
        .collect();
    assert!(order.is_sorted());
}
