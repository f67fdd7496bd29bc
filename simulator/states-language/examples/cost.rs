//! What a rehearsal costs: `cargo run --example cost`.
//!
//! A wait loop of 200 transitions (Task, Wait, Choice, with an evaluation or more in each) in
//! virtual time, the mean over many runs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use states_language::{
    Execution, ExecutionIdentity, HistoryEvent, Host, ListCall, ListedObject, ObjectCall, ObjectReader, ObjectWriter,
    StateMachine, TaskCall, TaskFailure, TaskTokens,
};

struct Instantly;

impl Host for Instantly {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn random(&self) -> f64 {
        0.5
    }
    fn uuid(&self) -> String {
        "0".to_owned()
    }
    fn task(&self, call: TaskCall) -> LocalBoxFuture<'_, Result<Value, TaskFailure>> {
        Box::pin(async move { Ok(json!({"Payload": {"status": "pending", "n": call.arguments["Payload"]["n"]}})) })
    }
    fn get_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectReader>, TaskFailure>> {
        unreachable!("there is no distributed Map, yet {call:?}")
    }
    fn list_objects(&self, call: ListCall) -> LocalBoxFuture<'_, Result<Vec<ListedObject>, TaskFailure>> {
        unreachable!("there is no distributed Map, yet {call:?}")
    }
    fn put_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectWriter>, TaskFailure>> {
        unreachable!("there is no distributed Map, yet {call:?}")
    }
    fn observe(&self, _: &HistoryEvent) {}
}

const MACHINE: &str = r#"{
  "QueryLanguage": "JSONata",
  "StartAt": "Begin",
  "States": {
    "Begin": {"Type": "Pass", "Assign": {"n": 0, "plan": "{% $states.input.plan %}"}, "Next": "Check"},
    "Check": {
      "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 60,
      "Arguments": {"FunctionName": "check", "Payload": {"n": "{% $n %}", "cluster": "{% $plan.clusters[role = 'primary'].id %}", "run": "{% $states.context.Execution.Name %}"}},
      "Assign": {"n": "{% $n + 1 %}", "status": "{% $states.result.Payload.status %}"},
      "Output": "{% $states.result.Payload %}",
      "Retry": [{"ErrorEquals": ["Throttled"], "JitterStrategy": "FULL"}],
      "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
      "Next": "Enough"
    },
    "Enough": {
      "Type": "Choice",
      "Choices": [
        {"Condition": "{% $status = 'available' %}", "Next": "Done"},
        {"Condition": "{% $n < 66 and $millis() < 10000000 %}", "Next": "Wait"}
      ],
      "Default": "Done"
    },
    "Wait": {"Type": "Wait", "Seconds": "{% $n < 10 ? 5 : 30 %}", "Next": "Check"},
    "Done": {"Type": "Succeed"},
    "Failed": {"Type": "Fail"}
  }
}"#;

#[expect(
    clippy::disallowed_methods,
    reason = "it measures how long the interpreter really takes"
)]
#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::time::pause();
    let started = Instant::now();
    let machine = match StateMachine::parse("loop", MACHINE, &BTreeMap::new()) {
        Ok(machine) => Arc::new(machine),
        Err(errors) => {
            eprintln!("{errors}");
            return;
        }
    };
    println!("load: {:?}", started.elapsed());
    let clusters: Vec<Value> = (0..20).map(|i| json!({"id": format!("c{i}"), "role": if i == 7 { "primary" } else { "other" }, "tags": ["a", "b", "c"]})).collect();
    let input = json!({"plan": {"clusters": clusters}});
    println!("input: {} bytes", input.to_string().len());
    for round in ["first", "second", "mean of 50"] {
        let times = if round == "mean of 50" { 50 } else { 1 };
        let started = Instant::now();
        let mut transitions = 0;
        for _ in 0..times {
            let identity = ExecutionIdentity {
                arn: "arn:aws:states:eu-west-1:1:execution:loop:run".to_owned(),
                name: "run".to_owned(),
                role_arn: "arn:aws:iam::1:role/r".to_owned(),
                state_machine_arn: "arn:aws:states:eu-west-1:1:stateMachine:loop".to_owned(),
                state_machine_name: "loop".to_owned(),
                start_time: Timestamp::UNIX_EPOCH,
            };
            let execution = Execution::new(
                Arc::clone(&machine),
                input.clone(),
                identity,
                Rc::new(Instantly),
                TaskTokens::new(),
            );
            transitions = execution.run().await.transitions;
        }
        let each = started.elapsed() / times;
        println!(
            "{round}: {transitions} transitions in {each:?}, {:?} each",
            each / u32::try_from(transitions).unwrap_or(1)
        );
    }
}
