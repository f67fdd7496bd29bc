//! What EventBridge is told of executions.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::super::*;
use super::world::{HERE, arn, begin_with, in_virtual_time, wait_and_invoke};
use crate::aws::events::{Delivery, Target, TargetInput};

fn machines() -> Vec<(&'static str, &'static str)> {
    vec![
        ("works", wait_and_invoke("Echo", None)),
        ("hurried", wait_and_invoke("Echo", Some(5))),
        ("fails", wait_and_invoke("Fail", None)),
    ]
}

/// Plays `test` with a rule on every event of an execution, whose deliveries it is given.
fn listening<F: Future<Output = ()>>(test: impl FnOnce(Simulation, UnboundedReceiver<Delivery>) -> F) {
    in_virtual_time(async {
        let rule = |deployment: &mut Deployment| {
            deployment.rules.push(Rule {
                name: "executions".to_owned(),
                pattern: json!({
                    "source": ["aws.states"],
                    "detail-type": ["Step Functions Execution Status Change"],
                }),
                targets: vec![Target::Function {
                    arn: function_arn("123456789012", HERE, "answer"),
                    input: TargetInput::Event,
                }],
            });
        };
        let simulation = begin_with(machines(), rule).await.unwrap();
        let deliveries = simulation.cloud().events.deliveries();
        test(simulation, deliveries).await;
    });
}

/// The events of the execution `name`, by status.
fn statuses(deliveries: &mut UnboundedReceiver<Delivery>, name: &str) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    while let Ok(delivery) = deliveries.try_recv() {
        let event: EventBridgeEvent = serde_json::from_value(delivery.input.clone()).unwrap();
        assert_eq!(
            (event.source.as_str(), event.region.as_deref()),
            ("aws.states", Some(HERE))
        );
        assert!(event.id.is_some() && event.account.is_some() && event.time.is_some());
        let detail = &delivery.input["detail"];
        if detail["name"] == name {
            events.push((detail["status"].as_str().unwrap().to_owned(), delivery.input));
        }
    }
    events
}

#[test]
fn each_change_of_status_is_told_once() {
    listening(|simulation, mut deliveries| async move {
        for (machine, ending) in [("works", "SUCCEEDED"), ("hurried", "TIMED_OUT"), ("fails", "FAILED")] {
            simulation.play_one(machine, machine, json!({ "n": 1 })).await;
            sleep(Duration::from_secs(3)).await;
            let events = statuses(&mut deliveries, machine);
            let told: Vec<&str> = events.iter().map(|(status, _)| status.as_str()).collect();
            assert_eq!(told, ["RUNNING", ending]);
            let record = simulation.cloud().executions.get(&arn(HERE, machine, machine)).unwrap();
            let running = &events[0].1["detail"];
            assert_eq!((&running["stopDate"], &running["output"]), (&Value::Null, &Value::Null));
            assert_eq!(running["input"], r#"{"n":1}"#);
            let ended = &events[1].1["detail"];
            assert_eq!(ended["startDate"], record.started_at.as_millisecond());
            assert_eq!(ended["stopDate"], record.stopped_at.unwrap().as_millisecond());
            assert_eq!(ended["output"], json!(record.output));
        }
    });
}

#[test]
fn one_that_is_stopped_is_aborted_and_nothing_else() {
    listening(|simulation, mut deliveries| async move {
        let cloud = simulation.cloud();
        simulation.start(HERE, "works", "one", json!({})).unwrap();
        sleep(Duration::from_secs(5)).await;
        for _ in 0..2 {
            let stopped = cloud.executions.stop(cloud, &arn(HERE, "works", "one"), "", "");
            stopped.unwrap();
        }
        let stopped_at = cloud.now();
        // Not at once.
        assert!(
            statuses(&mut deliveries, "one")
                .iter()
                .all(|(status, _)| status == "RUNNING")
        );
        sleep(Duration::from_secs(60)).await;
        let events = statuses(&mut deliveries, "one");
        let [(status, event)] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(status, "ABORTED");
        assert_eq!(event["detail"]["stopDate"], stopped_at.as_millisecond());
        // As it is documented.
        let documented = include_str!("../../../../tests/fixtures/events/step-functions-execution-aborted.json");
        let documented: Value = serde_json::from_str(documented).unwrap();
        assert_eq!(shape(event), shape(&documented));
        assert_eq!(event["resources"], json!([arn(HERE, "works", "one")]));
    });
}

/// What a value is made of: the kinds of its fields.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        other => other.clone(),
    }
}

#[test]
fn what_is_too_long_is_left_out() {
    listening(|simulation, mut deliveries| async move {
        // Its quotes are escaped once more in the event.
        let long = json!({ "text": "x".repeat(200 * 1024) });
        simulation.play_one("works", "one", long).await;
        sleep(Duration::from_secs(3)).await;
        let events = statuses(&mut deliveries, "one");
        let left = |of: &Value, name: &str| {
            (
                of["detail"][name].is_null(),
                of["detail"][format!("{name}Details")].clone(),
            )
        };
        let (included, excluded) = (json!({ "included": true }), json!({ "included": false }));
        assert_eq!(left(&events[0].1, "input"), (false, included.clone()));
        assert_eq!(left(&events[1].1, "input"), (true, excluded));
        assert_eq!(left(&events[1].1, "output"), (false, included));
    });
}
