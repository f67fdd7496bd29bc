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

/// A Map that reads `in/k` in this format.
fn reading(config: Value, more: Value) -> Value {
    let mut fields = json!({"ItemReader": {
        "Resource": "arn:aws:states:::s3:getObject",
        "Arguments": {"Bucket": "in", "Key": "{% $states.input.key %}"},
        "ReaderConfig": config,
    }});
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    map(fields)
}

/// What the children of a Map were given.
fn inputs(host: &Scripted) -> Vec<Value> {
    host.calls
        .borrow()
        .iter()
        .map(|call| call.call.arguments.clone())
        .collect()
}

/// What children are given of an object in this format.
async fn items(object: impl Into<Vec<u8>>, config: Value) -> Vec<Value> {
    let host = Scripted::new().on("t", vec![ok(json!(0))]).holds("in/k", object);
    output(&host, "M", reading(config, json!({})), json!({"key": "k"})).await;
    inputs(&host)
}

#[tokio::test(start_paused = true)]
async fn an_object_is_read_in_each_format() {
    let list = [json!({"a": 1}), json!("b")];
    assert_eq!(items("[{\"a\": 1}, \"b\"]", json!({"InputType": "JSON"})).await, list);
    assert_eq!(items("{\"a\": 1}\n\"b\"\n", json!({"InputType": "JSONL"})).await, list);
    let first = json!({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"});
    assert_eq!(items("a,b\n1,2\n", first).await, [json!({"a": "1", "b": "2"})]);
    let given =
        json!({"InputType": "CSV", "CSVDelimiter": "TAB", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a", "b"]});
    assert_eq!(items("1\t2", given).await, [json!({"a": "1", "b": "2"})]);
}

#[tokio::test(start_paused = true)]
async fn as_many_items_are_read_as_max_items_says() {
    for (most, read) in [(json!(2), 2), (json!("{% 1 %}"), 1), (json!(0), 3), (json!(9), 3)] {
        let config = json!({"InputType": "JSON", "MaxItems": most});
        assert_eq!(items("[1, 2, 3]", config).await.len(), read, "{most}");
    }
    // What follows the last item is not looked at.
    assert_eq!(
        items("[1, 2, !", json!({"InputType": "JSON", "MaxItems": 2}))
            .await
            .len(),
        2
    );
}

/// The item of the Developer Guide, "Iterating over objects in S3".
#[tokio::test(start_paused = true)]
async fn the_objects_of_a_bucket_are_items() {
    let host = Scripted::new().on("t", vec![ok(json!(0))]);
    let host = (1..=5).fold(host, |host, n| host.holds(&format!("in/a/{n}"), "x".repeat(n)));
    let host = host.holds("in/b", "").holds("other/a/1", "");
    let states = map(json!({"ItemReader": {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Arguments": {"Bucket": "in", "Prefix": "{% $states.input.prefix %}"},
        "ReaderConfig": {"MaxItems": 4},
    }}));
    output(&host, "M", states, json!({"prefix": "a/"})).await;
    let items = inputs(&host);
    assert_eq!(
        items[1],
        json!({"Etag": "\"e\"", "Key": "a/2", "LastModified": 1_668_699_881, "Size": 2, "StorageClass": "STANDARD"})
    );
    assert_eq!(items.len(), 4);
    let lists = host.lists.borrow();
    let after: Vec<_> = lists.iter().map(|call| call.after.as_deref()).collect();
    assert_eq!(after, [None, Some("a/2")], "no page is read that is not needed");
    assert_eq!((lists[0].bucket.as_str(), lists[0].prefix.as_str()), ("in", "a/"));
}

/// The item of the Developer Guide, "Iterating over S3 inventory": the columns that the manifest names.
#[tokio::test(start_paused = true)]
async fn the_records_of_an_inventory_are_items() {
    let packed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let manifest = json!({
        "sourceBucket": "source", "destinationBucket": "arn:aws:s3:::lists", "version": "2016-11-30",
        "creationTimestamp": "1668556800000", "fileFormat": "CSV", "fileSchema": "Bucket, Key, IsLatest",
        "files": [{"key": "data/1.csv.gz", "size": 1, "MD5checksum": "x"}, {"key": "data/2.csv.gz", "size": 1, "MD5checksum": "x"}],
    });
    for config in [
        json!({"InputType": "MANIFEST"}),
        json!({"ManifestType": "S3_INVENTORY", "MaxItems": 3}),
    ] {
        let host = Scripted::new()
            .on("t", vec![ok(json!(0))])
            .holds("in/k", manifest.to_string())
            .holds(
                "lists/data/1.csv.gz",
                packed("\"b\",\"k1\",\"true\"\n\"b\",\"k2\",\"true\"\n"),
            )
            .holds("lists/data/2.csv.gz", packed("\"b\",\"k3\",\"false\"\n"));
        output(&host, "M", reading(config, json!({})), json!({"key": "k"})).await;
        assert_eq!(
            inputs(&host),
            [
                json!({"Bucket": "b", "Key": "k1", "IsLatest": "true"}),
                json!({"Bucket": "b", "Key": "k2", "IsLatest": "true"}),
                json!({"Bucket": "b", "Key": "k3", "IsLatest": "false"}),
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_of_an_object_can_be_read() {
    let host = Scripted::new().on("t", vec![ok(json!(0))]).holds("in/k", "[1]");
    let mut states = reading(json!({"InputType": "JSON"}), json!({}));
    states["M"]["ItemReader"]["Arguments"]["VersionId"] = json!("{% $states.input.version %}");
    output(&host, "M", states, json!({"key": "k", "version": "v"})).await;
    assert_eq!(host.reads.borrow()[0].version_id.as_deref(), Some("v"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_fails_under_the_readers_name() {
    let json = json!({"InputType": "JSON"});
    let csv = json!({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"});
    for (object, config, says) in [
        (None, &json, "S3.NoSuchKey: gone"),
        (Some("{}"), &json, "must be a JSON array"),
        (Some("[1, 2"), &json, "has no end"),
        (Some("a,a\n"), &csv, "duplicates"),
        (Some("1\n{\n"), &json!({"InputType": "JSONL"}), "line 2 is no JSON"),
        (
            Some("{}"),
            &json!({"InputType": "MANIFEST"}),
            "no manifest of an S3 inventory",
        ),
    ] {
        let host = Scripted::new().on("t", vec![ok(json!(0))]);
        let host = match object {
            Some(object) => host.holds("in/k", object),
            None => host,
        };
        let (error, cause) = failure(&host, "M", reading(config.clone(), json!({})), json!({"key": "k"})).await;
        assert_eq!(error, "States.ItemReaderFailed", "{config}");
        assert!(cause.contains(says), "{cause}");
    }
    let host = Scripted::new();
    let (error, cause) = failure(&host, "M", reading(json, json!({})), json!({"key": 1})).await;
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("States.ItemReaderFailed", "Key must be a string, is 1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_negative_number_of_items_fails_the_reader() {
    for most in [json!(-1), json!("{% -1 %}"), json!("{% '3' %}"), json!(1.5)] {
        let host = Scripted::new();
        let states = reading(json!({"InputType": "JSON", "MaxItems": most}), json!({}));
        let result = run(&host, definition("M", states), json!({"key": "k"})).await;
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

/// Of items that are read, as of those that the state has: `ToleratedFailurePercentage` is a share of all.
#[tokio::test(start_paused = true)]
async fn a_share_of_what_is_read_may_fail_with_its_batch() {
    for (tolerated, started, succeeds) in [(40, 5, true), (39, 3, false)] {
        let host = Scripted::new().on("t", vec![ok(json!(0)), err("E"), ok(json!(0)), err("E"), ok(json!(0))]);
        let host = host.holds("in/k", json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).to_string());
        let more = json!({
            "ItemBatcher": {"MaxItemsPerBatch": 2}, "MaxConcurrency": 1, "ToleratedFailurePercentage": tolerated,
        });
        let states = reading(json!({"InputType": "JSON"}), more);
        let result = run(&host, definition("M", states), json!({"key": "k"})).await;
        assert_eq!(
            matches!(result.status, ExecutionStatus::Succeeded { .. }),
            succeeds,
            "{tolerated}"
        );
        let map_run = &result.map_runs[0];
        assert_eq!((map_run.items, map_run.failed), (10, 4));
        assert_eq!(map_run.children, if succeeds { started } else { 4 });
    }
}

fn exporting(config: Option<Value>, more: Value) -> Value {
    let mut writer = json!({
        "Resource": "arn:aws:states:::s3:putObject",
        "Arguments": {"Bucket": "out", "Prefix": "jobs"},
    });
    if let Some(config) = config {
        writer["WriterConfig"] = config;
    }
    let mut fields = json!({"ResultWriter": writer, "Items": "{% $states.input %}"});
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    map(fields)
}

/// Where the files of the first Map Run of a host are.
const FILES: &str = "jobs/00000000-0000-4000-8000-000000000001";

#[tokio::test(start_paused = true)]
async fn results_are_written_by_their_status() {
    let host = Scripted::new().on("t", vec![after(1, Ok(json!({"r": 1}))), err("E"), ok(json!([2]))]);
    let states = exporting(None, json!({"ToleratedFailureCount": 1}));
    let result = output(&host, "M", states, json!(["a", "b", "c"])).await;
    let arn = "arn:aws:states:eu-west-1:123456789012:mapRun:m/sweep:00000000-0000-4000-8000-000000000001";
    assert_eq!(
        result,
        json!({"MapRunArn": arn, "ResultWriterDetails": {"Bucket": "out", "Key": format!("{FILES}/manifest.json")}})
    );
    let manifest = host.object(&format!("out/{FILES}/manifest.json"));
    let (succeeded, failed) = (format!("{FILES}/SUCCEEDED_0.json"), format!("{FILES}/FAILED_0.json"));
    let size = |key: &str| host.objects.borrow()[&format!("out/{key}")].len();
    assert_eq!(
        manifest,
        json!({
            "DestinationBucket": "out",
            "MapRunArn": arn,
            "ResultFiles": {
                "FAILED": [{"Key": failed, "Size": size(&failed)}],
                "PENDING": [],
                "SUCCEEDED": [{"Key": succeeded, "Size": size(&succeeded)}],
            },
        })
    );
    // As they come: the third has ended before the first.
    let name = "00000000-0000-4000-8000-000000000002";
    let records = host.object(&format!("out/{succeeded}"));
    assert_eq!(records[0]["Output"], "[2]");
    assert_eq!(
        records[1],
        json!({
            "ExecutionArn": format!("arn:aws:states:eu-west-1:123456789012:execution:m/sweep:{name}"),
            "Input": "\"a\"",
            "InputDetails": {"Included": true},
            "Name": name,
            "Output": "{\"r\":1}",
            "OutputDetails": {"Included": true},
            "RedriveCount": 0,
            "RedriveStatus": "NOT_REDRIVABLE",
            "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
            "StartDate": "2026-01-01T00:00:00.000Z",
            "StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:m/sweep",
            "Status": "SUCCEEDED",
            "StopDate": "2026-01-01T00:00:01.000Z",
        })
    );
    let records = host.object(&format!("out/{failed}"));
    let record = &records[0];
    assert_eq!((&record["Error"], &record["Cause"]), (&json!("E"), &json!("because")));
    assert_eq!(
        (&record["Status"], &record["RedriveStatus"]),
        (&json!("FAILED"), &json!("REDRIVABLE"))
    );
    assert_eq!(record.get("Output"), None);
}

#[tokio::test(start_paused = true)]
async fn results_are_transformed_but_those_of_failures() {
    let text = |host: &Scripted, file: &str| {
        String::from_utf8(host.objects.borrow()[&format!("out/{FILES}/{file}")].clone()).unwrap()
    };
    for (transformation, output_type, file, expected) in [
        ("COMPACT", "JSON", "SUCCEEDED_0.json", "[[1,2],3]"),
        ("FLATTEN", "JSON", "SUCCEEDED_0.json", "[1,2,3]"),
        ("FLATTEN", "JSONL", "SUCCEEDED_0.jsonl", "1\n2\n3\n"),
    ] {
        let host = Scripted::new().on("t", vec![ok(json!([1, 2])), ok(json!(3)), err("E")]);
        let config = json!({"Transformation": transformation, "OutputType": output_type});
        let states = exporting(Some(config), json!({"ToleratedFailureCount": 1}));
        output(&host, "M", states, json!([0, 0, 0])).await;
        assert_eq!(text(&host, file), expected);
        let failed = text(&host, &file.replace("SUCCEEDED", "FAILED"));
        assert!(failed.contains("\"Status\":\"FAILED\""), "{failed}");
    }
    // Without a place to write to, they are the state's own result.
    let host = Scripted::new().on("t", vec![ok(json!([1, 2])), ok(json!(3))]);
    let writer = json!({"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSON"}});
    let states = map(json!({"ResultWriter": writer}));
    assert_eq!(output(&host, "M", states, json!([0, 0])).await, json!([1, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn a_map_that_fails_writes_what_was_stopped_and_what_never_started() {
    let host = Scripted::new().on(
        "t",
        vec![after(10, Ok(json!(0))), after(2, Err(TaskFailure::new("E", "e")))],
    );
    let mut states = exporting(None, json!({"MaxConcurrency": 2}));
    states["M"]["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = json!("EXPRESS");
    let (error, _) = failure(&host, "M", states, json!([1, 2, 3, 4])).await;
    assert_eq!(error, "States.ExceedToleratedFailureThreshold");
    let failed = host.object(&format!("out/{FILES}/FAILED_0.json"));
    let of_each = |record: &Value| {
        (
            record["Input"].clone(),
            record["Status"].clone(),
            record["RedriveStatus"].clone(),
        )
    };
    assert_eq!(
        failed.as_array().unwrap().iter().map(of_each).collect::<Vec<_>>(),
        [
            (json!("2"), json!("FAILED"), json!("REDRIVABLE_BY_MAP_RUN")),
            (json!("1"), json!("ABORTED"), json!("REDRIVABLE_BY_MAP_RUN")),
        ]
    );
    let pending = |input: &str| json!({"Input": input, "InputDetails": {"Included": true}, "Status": "PENDING"});
    assert_eq!(
        host.object(&format!("out/{FILES}/PENDING_0.json")),
        json!([pending("3"), pending("4")])
    );
    let manifest = host.object(&format!("out/{FILES}/manifest.json"));
    assert_eq!(manifest["ResultFiles"]["SUCCEEDED"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_fails_under_the_writers_name() {
    let host = Scripted::new().on("t", vec![ok(json!(1))]);
    *host.write_failure.borrow_mut() = Some(TaskFailure::new("S3.AccessDenied", "no"));
    let (error, cause) = failure(&host, "M", exporting(None, json!({})), json!([1])).await;
    assert_eq!(
        (error.as_str(), cause.as_str()),
        ("States.ResultWriterFailed", "S3.AccessDenied: no")
    );
}

/// Outputs that are together too large for the state's result are not kept, and fail it at its end.
#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_fails_the_map_when_all_have_run() {
    let host = Scripted::new().on("t", vec![ok(json!("x".repeat(200_000)))]);
    let states = map(json!({}));
    let result = run(&host, definition("M", states), json!([1, 2, 3])).await;
    let ExecutionStatus::Failed { error, .. } = &result.status else {
        panic!("{:?}", result.status)
    };
    assert_eq!(error, "States.DataLimitExceeded");
    assert_eq!(result.map_runs[0].succeeded, 3);
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
