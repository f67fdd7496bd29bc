//! A small world with the same functions and machines in two Regions.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};
use shared::error::{ErrorKind, StepError};
use shared::step::Handler;
use states_language::ExecutionStatus;
use tokio::time::sleep;

use super::super::*;
use crate::aws::sns::Message;

pub const HERE: &str = "us-west-2";
pub const ELSEWHERE: &str = "us-east-1";
pub const ACCOUNT: &str = "123456789012";

type Answering<'a> = Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + 'a>>;

/// Answers with its Region and its input, after a second.
struct Echo(String);

impl Handler for Echo {
    fn invoke(&self, input: Value) -> Answering<'_> {
        Box::pin(async move {
            sleep(Duration::from_secs(1)).await;
            Ok(json!({ "region": self.0, "input": input }))
        })
    }
}

/// Answers with its input.
struct Answer;

impl Handler for Answer {
    fn invoke(&self, input: Value) -> Answering<'_> {
        Box::pin(async move { Ok(input) })
    }
}

/// Tells people three times what it was given, the second time two seconds after the first.
struct Tell(aws_sdk_sns::Client);

impl Handler for Tell {
    fn invoke(&self, input: Value) -> Answering<'_> {
        Box::pin(async move {
            let region = self.0.config().region().map(ToString::to_string).unwrap_or_default();
            for wait in [0, 2, 0] {
                sleep(Duration::from_secs(wait)).await;
                let text = input["text"].as_str().unwrap_or("nothing");
                let told = self.0.publish().topic_arn(topic(&region)).message(text).send().await;
                told.map_err(|error| StepError::aws("sns:Publish", "the topic", error))?;
            }
            Ok(Value::Null)
        })
    }
}

/// Answers with what its clock shows, in milliseconds since 1970.
struct Clockwork(Aws);

impl Handler for Clockwork {
    fn invoke(&self, _: Value) -> Answering<'_> {
        Box::pin(async move { Ok(json!(self.0.now().as_millisecond())) })
    }
}

/// Fails.
struct Fail;

impl Handler for Fail {
    fn invoke(&self, _: Value) -> Answering<'_> {
        Box::pin(async move { Err(StepError::new(ErrorKind::Refused, "it never works")) })
    }
}

/// The topic that the example plan has in a Region.
pub fn topic(region: &str) -> String {
    let plan = plan();
    let sites = [&plan.regions.primary, &plan.regions.standby];
    let site = sites.into_iter().find(|site| site.region == region).unwrap();
    plan.topic_arn(site)
}

fn plan() -> Plan {
    serde_saphyr::from_str(include_str!("../../../../radiant.plan.yaml")).unwrap()
}

/// A machine of one Task, with what is to be in it.
pub fn task(fields: Value) -> &'static str {
    let mut state = json!({ "Type": "Task", "End": true });
    state
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let machine = json!({ "QueryLanguage": "JSONata", "StartAt": "Task", "States": { "Task": state } });
    machine.to_string().leak()
}

/// A machine that waits ten seconds and then invokes a function with its input.
pub fn wait_and_invoke(hole: &str, seconds: Option<u64>) -> &'static str {
    let mut machine = json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Wait",
        "States": {
            "Wait": { "Type": "Wait", "Seconds": 10, "Next": "Invoke" },
            "Invoke": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": { "FunctionName": format!("${{{hole}}}"), "Payload": "{% $states.input %}" },
                "Output": "{% $states.result.Payload %}",
                "End": true,
            },
        },
    });
    if let Some(seconds) = seconds {
        machine["TimeoutSeconds"] = seconds.into();
    }
    machine.to_string().leak()
}

pub fn deployment(region: &str, machines: Vec<(&'static str, &'static str)>) -> Deployment {
    Deployment {
        functions: vec![
            ("echo", |aws| Box::new(Echo(aws.region().to_owned()))),
            ("answer", |_| Box::new(Answer)),
            ("tell", |aws| Box::new(Tell(aws_sdk_sns::Client::new(aws.config())))),
            ("fail", |_| Box::new(Fail)),
            ("clockwork", |aws| Box::new(Clockwork(aws.clone()))),
        ],
        machines,
        ..Deployment::empty(region)
    }
}

/// The same machines in both Regions, and what `change` adds.
pub async fn begin_with(
    machines: Vec<(&'static str, &'static str)>,
    change: impl FnOnce(&mut Deployment),
) -> Result<Simulation, String> {
    let mut here = deployment(HERE, machines.clone());
    change(&mut here);
    let began_at = "2026-01-06T02:50:00Z".parse().unwrap();
    let deployments = vec![here, deployment(ELSEWHERE, machines)];
    Simulation::begin(&plan(), deployments, 1, began_at, Box::new(|_| {})).await
}

/// Plays `test` with the same machines in both Regions.
pub fn play<F: Future<Output = ()>>(
    machines: Vec<(&'static str, &'static str)>,
    test: impl FnOnce(Rc<Simulation>) -> F,
) {
    in_virtual_time(async { test(Rc::new(begin_with(machines, |_| {}).await.unwrap())).await });
}

pub fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

pub fn arn(region: &str, machine: &str, name: &str) -> String {
    format!("arn:aws:states:{region}:{ACCOUNT}:execution:{machine}:{name}")
}

pub fn told(simulation: &Simulation, region: &str) -> Vec<Message> {
    simulation.cloud().sns.messages(&topic(region))
}

impl Simulation {
    /// Starts a machine here, waits for its end, and gives how it ended.
    pub async fn play_one(&self, machine: &str, name: &str, input: Value) -> ExecutionStatus {
        self.start(HERE, machine, name, input).unwrap();
        self.cloud().executions.ended(&arn(HERE, machine, name)).await.unwrap();
        self.how_ended(HERE, machine, name)
    }

    /// How an execution ended.
    pub fn how_ended(&self, region: &str, machine: &str, name: &str) -> ExecutionStatus {
        let arn = arn(region, machine, name);
        let ended = self.ended();
        let ended = ended.iter().find(|ended| ended.arn == arn);
        ended
            .unwrap_or_else(|| panic!("{arn} has not ended"))
            .result
            .status
            .clone()
    }
}

pub fn error_and_cause(status: ExecutionStatus) -> (String, String) {
    match status {
        ExecutionStatus::Failed { error, cause } => (error, cause),
        other => panic!("{other:?}"),
    }
}
