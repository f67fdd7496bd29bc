use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;

use serde_json::json;
use shared::error::{ErrorKind, StepError};
use shared::step::Handler;
use states_language::ExecutionStatus;
use states_language::HistoryEvent;

use super::*;
use crate::faults::{CallEffect, CallFault, DeliveryEffect, DeliveryFault};

mod clocks;
mod control_plane;
mod early_ends;
mod execution_events;
mod faults;
mod invoked;
mod maps;
mod nested;
mod regions;
mod urls;
mod world;

const REGION: &str = "us-west-2";

/// Doubles `number`; refuses when there is none.
struct Double;

impl Handler for Double {
    fn invoke(&self, input: Value) -> Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + '_>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            match input["number"].as_i64() {
                Some(number) => Ok(json!({ "number": number * 2 })),
                None => Err(StepError::new(ErrorKind::InvalidInput, "no \"number\"")),
            }
        })
    }
}

fn double(_: &Aws) -> Box<dyn Handler> {
    Box::new(Double)
}

const CALL_TWICE: &str = r#"{
    "QueryLanguage": "JSONata",
    "StartAt": "First",
    "States": {
        "First": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {
                "FunctionName": "${DoubleNumber}",
                "Payload": { "number": "{% $states.input.number %}" }
            },
            "Output": "{% $states.result.Payload %}",
            "Retry": [{ "ErrorEquals": ["InvalidInput"], "IntervalSeconds": 60, "JitterStrategy": "FULL" }],
            "Next": "Second"
        },
        "Second": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {
                "FunctionName": "${DoubleNumber}",
                "Payload": { "number": "{% $states.input.number %}" }
            },
            "Output": "{% $states.result.Payload %}",
            "End": true
        }
    }
}"#;

const CALL_NOBODY: &str = r#"{
    "QueryLanguage": "JSONata",
    "StartAt": "Call",
    "States": {
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": { "FunctionName": "arn:aws:lambda:us-west-2:123456789012:function:nobody:1" },
            "End": true
        }
    }
}"#;

const ASK_SQS: &str = r#"{
    "QueryLanguage": "JSONata",
    "StartAt": "Send",
    "States": { "Send": { "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "End": true } }
}"#;

async fn begin(
    machines: Vec<(&'static str, &'static str)>,
    seed: u64,
    history: &Rc<RefCell<Vec<String>>>,
) -> Result<Simulation, String> {
    let plan: Plan = serde_saphyr::from_str(include_str!("../../../../radiant.plan.yaml")).unwrap();
    let deployment = Deployment {
        functions: vec![("double-number", double)],
        machines,
        ..Deployment::empty(REGION)
    };
    let history = Rc::clone(history);
    let observer = Box::new(move |event: &HistoryEvent| history.borrow_mut().push(format!("{event:?}")));
    Simulation::begin(
        &plan,
        vec![deployment],
        seed,
        "2026-01-06T02:50:00Z".parse().unwrap(),
        observer,
    )
    .await
}

/// Plays one execution of a machine to its end; gives how it ended, and all that was seen and used.
async fn play(text: &'static str, input: Value, seed: u64) -> (EndedExecution, Vec<String>, Usage) {
    let history = Rc::default();
    let local = tokio::task::LocalSet::new();
    let (ended, usage) = local
        .run_until(async {
            let simulation = begin(vec![("machine", text)], seed, &history).await.unwrap();
            simulation.start(REGION, "machine", "one", input).unwrap();
            let arn = format!("arn:aws:states:{REGION}:123456789012:execution:machine:one");
            let record = simulation.cloud().executions.get(&arn).unwrap();
            assert_eq!(record.status, "RUNNING");
            assert!(simulation.wait_for_executions(Duration::from_secs(3600)).await);
            let mut ended = simulation.ended();
            assert_eq!(ended.len(), 1);
            let ended = ended.remove(0);
            let expected = match ended.result.status {
                ExecutionStatus::Succeeded { .. } => "SUCCEEDED",
                _ => "FAILED",
            };
            assert_eq!(simulation.cloud().executions.get(&arn).unwrap().status, expected);
            assert_eq!(ended.arn, arn);
            (ended, simulation.usage().0)
        })
        .await;
    let history = history.borrow().clone();
    (ended, history, usage)
}

#[tokio::test(start_paused = true)]
async fn a_machine_invokes_functions() {
    let (ended, history, usage) = play(CALL_TWICE, json!({ "number": 3 }), 1).await;
    let output = json!({ "number": 12 });
    assert_eq!(ended.result.status, ExecutionStatus::Succeeded { output });
    assert_eq!((usage.invocations, usage.function_seconds), (2, 4.0));
    assert_eq!(usage.transitions, ended.result.transitions);
    // Two seconds each, and what it takes to start: a micro VM once.
    let took = ended.ended_at.duration_since(ended.started_at).as_secs_f64();
    assert!((4.09..4.5).contains(&took), "{took} s");
    assert!(!history.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_ours_reaches_the_machine_by_its_name() {
    let (ended, _, usage) = play(CALL_TWICE, json!({ "number": null }), 1).await;
    let ExecutionStatus::Failed { error, cause } = ended.result.status else {
        panic!("{:?}", ended.result.status);
    };
    assert_eq!(error, "InvalidInput");
    let cause: Value = serde_json::from_str(&cause).unwrap();
    assert_eq!(
        cause,
        json!({ "errorType": "InvalidInput", "errorMessage": "no \"number\"" })
    );
    // Step Functions tries three times more.
    assert_eq!(usage.invocations, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_an_error() {
    let failed = |ended: EndedExecution| match ended.result.status {
        ExecutionStatus::Failed { error, cause } => (error, cause),
        other => panic!("{other:?}"),
    };
    let (error, cause) = failed(play(CALL_NOBODY, json!({}), 1).await.0);
    assert_eq!(error, "Lambda.ResourceNotFoundException");
    assert!(cause.contains("function:nobody:1"), "{cause}");
    let (error, cause) = failed(play(ASK_SQS, json!({}), 1).await.0);
    assert_eq!(error, "States.Runtime");
    assert!(cause.contains("sqs:sendMessage"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history() {
    let input = || json!({ "number": null });
    let (_, first, _) = play(CALL_TWICE, input(), 1).await;
    let (_, again, _) = play(CALL_TWICE, input(), 1).await;
    let (_, other, _) = play(CALL_TWICE, input(), 2).await;
    assert!(first.len() > 8, "{}", first.len());
    assert_eq!(first, again);
    assert_ne!(first, other);
}

fn inject_everywhere(cloud: &Cloud) {
    cloud.faults.on_calls(CallFault {
        share: 0.5,
        ..CallFault::every(CallEffect::NoAnswer)
    });
    cloud.faults.on_invocations(InvocationFault {
        region: None,
        function: None,
        which: Which::EVERY,
        after_calls: 0..=9,
        end: End::Killed,
    });
    cloud.faults.on_deliveries(DeliveryFault {
        region: None,
        rule: None,
        at_most: None,
        effect: DeliveryEffect::Twice(Duration::from_secs(1)),
    });
    cloud.skew_clocks(Duration::from_secs(60));
    cloud.rds.stick_next_failover(cloud);
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let world = |seed, prepare: fn(&Cloud)| {
        // A runtime for each: what a simulation has spawned ends with its runtime.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let play = async {
            let simulation = begin(Vec::new(), seed, &Rc::default()).await.unwrap();
            let cloud = simulation.cloud();
            prepare(cloud);
            tokio::time::sleep(Duration::from_secs(100)).await;
            cloud.take_region_away("us-east-1");
            tokio::time::sleep(Duration::from_secs(100)).await;
            cloud.give_region_back("us-east-1");
            tokio::time::sleep(Duration::from_secs(100)).await;
            let impact = cloud.now().checked_sub(Duration::from_secs(200)).unwrap();
            let platform = simulation.platform();
            (
                platform.served_again_at(impact),
                platform.lost_seconds(cloud, impact),
                cloud.calls(),
                // What the SDK's back-off draws from.
                fastrand::Rng::new().u64(..),
            )
        };
        tokio::task::LocalSet::new().block_on(&runtime, play)
    };
    let first = world(1, |_| {});
    assert!(first.0.is_some() && first.1.is_some(), "{first:?}");
    assert_eq!(first, world(1, |_| {}));
    assert_ne!(first, world(2, |_| {}));
    // Nor do faults that come about nowhere change anything: the platform is no function that is deployed.
    assert_eq!(first, world(1, inject_everywhere));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_loaded_or_is_not_there_cannot_be_started() {
    let local = tokio::task::LocalSet::new();
    let play = async {
        let broken = begin(
            vec![("broken", r#"{ "StartAt": "A", "States": {} }"#)],
            1,
            &Rc::default(),
        )
        .await;
        let why = broken.err().unwrap();
        assert!(why.contains("broken"), "{why}");
        let unknown = CALL_TWICE.replace("${DoubleNumber}", "${TripleNumber}").leak();
        let unfilled = begin(vec![("unfilled", unknown)], 1, &Rc::default()).await;
        let why = unfilled.err().unwrap();
        assert!(why.contains("TripleNumber"), "{why}");
        let simulation = begin(Vec::new(), 1, &Rc::default()).await.unwrap();
        let why = simulation.start(REGION, "nothing", "one", json!({})).unwrap_err();
        assert!(why.contains("stateMachine:nothing"), "{why}");
    };
    local.run_until(play).await;
}

#[test]
fn a_hole_is_the_name_in_pascal_case() {
    assert_eq!(hole("send-mail"), "SendMail");
    let arn = function_arn("1", "here", "send-mail");
    assert_eq!(arn, "arn:aws:lambda:here:1:function:send-mail:1");
}
