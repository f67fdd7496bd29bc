//! Distributed Maps on the simulated S3, and what Tasks are told beside their answers.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::json;
use states_language::ExecutionStatus;

use super::super::*;
use super::world::{ELSEWHERE, HERE, arn, error_and_cause, play, task, wait_and_invoke};
use crate::faults::{CallEffect, CallFault};

/// A machine of one distributed Map that invokes a function with each item, with more fields.
fn map(function: &str, more: Value) -> &'static str {
    let mut state = json!({
        "Type": "Map",
        "End": true,
        "ItemProcessor": {
            "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" },
            "StartAt": "Invoke",
            "States": { "Invoke": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": { "FunctionName": format!("${{{function}}}"), "Payload": "{% $states.input %}" },
                "Output": "{% $states.result.Payload %}",
                "End": true,
            } },
        },
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let machine = json!({ "QueryLanguage": "JSONata", "StartAt": "Map", "States": { "Map": state } });
    machine.to_string().leak()
}

fn reader(input_type: &str) -> Value {
    json!({ "ItemReader": {
        "Resource": "arn:aws:states:::s3:getObject",
        "Arguments": "{% $states.input %}",
        "ReaderConfig": { "InputType": input_type },
    } })
}

fn machines() -> Vec<(&'static str, &'static str)> {
    let listing = json!({
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:listObjectsV2",
            "Arguments": { "Bucket": "lists", "Prefix": "many/" },
        },
        "ItemSelector": "{% $states.context.Map.Item.Value.Key %}",
        "ItemBatcher": { "MaxItemsPerBatch": 600 },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Arguments": { "Bucket": "{% $states.input.results %}", "Prefix": "out/" },
            "WriterConfig": { "Transformation": "FLATTEN", "OutputType": "JSON" },
        },
    });
    let lambda = |function: &str| {
        task(json!({
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": { "FunctionName": format!("${{{function}}}"), "Payload": { "n": 1 } },
        }))
    };
    vec![
        ("reads", map("Answer", reader("JSON"))),
        ("lists", map("Answer", listing)),
        ("fails", wait_and_invoke("Fail", None)),
        ("invokes", lambda("Answer")),
        (
            "starts",
            task(json!({
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Arguments": { "StateMachineArn": "${InvokesMachine}", "Name": "child" },
            })),
        ),
    ]
}

fn output(status: ExecutionStatus) -> Value {
    match status {
        ExecutionStatus::Succeeded { output } => output,
        other => panic!("{other:?}"),
    }
}

async fn put(client: &aws_sdk_s3::Client, key: &str, text: &str) -> Option<String> {
    let call = client.put_object().bucket("lists").key(key);
    call.body(ByteStream::from(text.as_bytes().to_vec()))
        .send()
        .await
        .unwrap()
        .version_id
}

fn client(simulation: &Simulation) -> aws_sdk_s3::Client {
    simulation.cloud().s3.create_bucket(HERE, "lists", &[]);
    aws_sdk_s3::Client::new(simulation.aws_in("somebody", HERE).config())
}

#[test]
fn items_are_read_from_a_version_of_an_object() {
    play(machines(), |simulation| async move {
        let client = client(&simulation);
        let enabled = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        let call = client.put_bucket_versioning().bucket("lists");
        call.versioning_configuration(enabled).send().await.unwrap();
        let first = put(&client, "items", "[1, 2]").await.unwrap();
        put(&client, "items", "[3]").await;
        let of = |version: Option<&str>| match version {
            Some(id) => json!({ "Bucket": "lists", "Key": "items", "VersionId": id }),
            None => json!({ "Bucket": "lists", "Key": "items" }),
        };
        let new = simulation.play_one("reads", "new", of(None)).await;
        assert_eq!(output(new), json!([3]));
        let old = simulation.play_one("reads", "old", of(Some(&first))).await;
        assert_eq!(output(old), json!([1, 2]));
        let invoked = simulation.invoked();
        let asked = invoked.iter().filter(|invoked| invoked.how == "s3:getObject");
        let asked: Vec<_> = asked
            .map(|invoked| (&invoked.by, invoked.target_arn.as_str()))
            .collect();
        let machine = InvokedBy::Machine(machine_arn("123456789012", HERE, "reads"));
        assert_eq!(asked, [(&machine, "arn:aws:s3:::lists/items")]);
    });
}

#[test]
fn what_s3_refuses_fails_the_reader() {
    play(machines(), |simulation| async move {
        let client = client(&simulation);
        put(&client, "items", "[1]").await;
        simulation.cloud().s3.create_bucket(ELSEWHERE, "far", &[]);
        for (name, bucket, key, says) in [
            ("key", "lists", "none", "S3.NoSuchKeyException"),
            ("bucket", "none", "items", "S3.NoSuchBucketException"),
            ("region", "far", "items", "S3.PermanentRedirectException"),
        ] {
            let ended = simulation
                .play_one("reads", name, json!({ "Bucket": bucket, "Key": key }))
                .await;
            let (error, cause) = error_and_cause(ended);
            assert_eq!(error, "States.ItemReaderFailed");
            assert!(cause.contains(says), "{cause}");
        }
        let fault = CallFault {
            service: Some("s3".to_owned()),
            operation: Some("GetObject".to_owned()),
            ..CallFault::every(CallEffect::Denied)
        };
        simulation.cloud().faults.on_calls(fault);
        let items = json!({ "Bucket": "lists", "Key": "items" });
        let (error, cause) = error_and_cause(simulation.play_one("reads", "denied", items).await);
        assert_eq!(error, "States.ItemReaderFailed");
        assert!(cause.contains("S3.AccessDeniedException"), "{cause}");
    });
}

/// 1,500 objects are two pages of a listing and three batches.
#[test]
fn objects_are_listed_in_pages_and_results_are_written() {
    play(machines(), |simulation| async move {
        let client = client(&simulation);
        for n in 0..1500 {
            put(&client, &format!("many/{n:04}"), "").await;
        }
        put(&client, "other", "").await;
        let ended = simulation.play_one("lists", "one", json!({ "results": "lists" })).await;
        let details = output(ended)["ResultWriterDetails"].clone();
        let get = async |key: &str| -> Value {
            let found = client.get_object().bucket("lists").key(key).send().await.unwrap();
            serde_json::from_slice(&found.body.collect().await.unwrap().to_vec()).unwrap()
        };
        let manifest = get(details["Key"].as_str().unwrap()).await;
        let files = &manifest["ResultFiles"];
        assert_eq!((&files["FAILED"], &files["PENDING"]), (&json!([]), &json!([])));
        let succeeded = get(files["SUCCEEDED"][0]["Key"].as_str().unwrap()).await;
        // They are written as they come, and the calls of a function do not all take as long.
        let batches = succeeded.as_array().unwrap().iter();
        let mut batches: Vec<(&str, usize)> = batches
            .map(|batch| {
                (
                    batch["Items"][0].as_str().unwrap(),
                    batch["Items"].as_array().unwrap().len(),
                )
            })
            .collect();
        batches.sort_unstable();
        assert_eq!(batches, [("many/0000", 600), ("many/0600", 600), ("many/1200", 300)]);

        let ended = simulation.play_one("lists", "two", json!({ "results": "none" })).await;
        let (error, cause) = error_and_cause(ended);
        assert_eq!(error, "States.ResultWriterFailed");
        assert!(cause.contains("S3.NoSuchBucketException"), "{cause}");
    });
}

/// Developer Guide, "Invoke an AWS Lambda function with Step Functions".
#[test]
fn an_invocation_tells_of_http() {
    play(machines(), |simulation| async move {
        let result = output(simulation.play_one("invokes", "one", json!({})).await);
        assert_eq!(
            (&result["Payload"], &result["StatusCode"]),
            (&json!({ "n": 1 }), &json!(200))
        );
        let (http, request) = (&result["SdkHttpMetadata"], &result["SdkResponseMetadata"]["RequestId"]);
        assert_eq!(http["HttpStatusCode"], 200);
        assert_eq!(&http["HttpHeaders"]["x-amzn-RequestId"], request);
        assert_eq!(http["AllHttpHeaders"]["x-amzn-RequestId"], json!([request]));
        assert_eq!(http["HttpHeaders"]["Content-Length"], "7");
        assert_eq!(http["HttpHeaders"]["Content-Type"], "application/json");
        assert_eq!(http["HttpHeaders"].as_object().unwrap().len(), 8);
        assert!(
            http["HttpHeaders"]["Date"]
                .as_str()
                .unwrap()
                .starts_with("Tue, 06 Jan 2026 02:5")
        );
        let again = output(simulation.play_one("invokes", "two", json!({})).await);
        assert_ne!(&again["SdkResponseMetadata"]["RequestId"], request);
    });
}

/// API Reference, `DescribeExecution`: `redriveStatus` and `redriveStatusReason`.
#[test]
fn a_description_tells_whether_it_can_be_redriven() {
    play(machines(), |simulation| async move {
        let child = output(simulation.play_one("starts", "parent", json!({})).await);
        assert_eq!(
            (
                &child["RedriveCount"],
                &child["RedriveStatus"],
                &child["RedriveStatusReason"]
            ),
            (
                &json!(0),
                &json!("NOT_REDRIVABLE"),
                &json!("Execution is SUCCEEDED and cannot be redriven")
            )
        );
        let states = aws_sdk_sfn::Client::new(simulation.aws_in("somebody", HERE).config());
        let failed = arn(HERE, "fails", "one");
        let told = async || {
            let told = states.describe_execution().execution_arn(&failed).send().await.unwrap();
            let status = told.redrive_status().unwrap().as_str().to_owned();
            (
                told.redrive_count(),
                status,
                told.redrive_status_reason().map(str::to_owned),
                told.redrive_date().is_some(),
            )
        };
        let not = |count: i32, why: &str, dated: bool| {
            (Some(count), "NOT_REDRIVABLE".to_owned(), Some(why.to_owned()), dated)
        };
        simulation.start(HERE, "fails", "one", json!({})).unwrap();
        assert_eq!(
            told().await,
            not(0, "Execution is RUNNING and cannot be redriven", false)
        );
        simulation.cloud().executions.ended(&failed).await.unwrap();
        assert_eq!(told().await, (Some(0), "REDRIVABLE".to_owned(), None, false));
        let redrive = async || states.redrive_execution().execution_arn(&failed).send().await;
        redrive().await.unwrap();
        simulation.cloud().executions.ended(&failed).await.unwrap();
        assert_eq!(told().await, (Some(1), "REDRIVABLE".to_owned(), None, true));
        let cloud = simulation.cloud();
        let mut old = cloud.executions.get(&failed).unwrap();
        old.stopped_at = Some(cloud.now() - Duration::from_secs(14 * 24 * 3600 + 1));
        cloud.executions.put(&failed, old);
        assert_eq!(told().await, not(1, "Execution redrivable period exceeded", true));
        let error = redrive().await.unwrap_err().into_service_error();
        assert!(error.is_execution_not_redrivable());
    });
}
