//! A simulation: the platform, what watches it, and state machines with the functions that they invoke, in one process
//! and in virtual time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::error::StepError;
use shared::plan::Plan;
use shared::step::Handler;
use states_language::{
    Execution, ExecutionIdentity, ExecutionResult, ExecutionStatus, HistoryEvent, Host, Integration, ItemReaderCall,
    ResultWriterCall, StateMachine, TaskCall, TaskFailure, TaskTokens,
};

use crate::aws::cloudwatch::{self, Alarm};
use crate::aws::door::Door;
use crate::aws::events::{self, Delivery, Rule, Schedule};
use crate::aws::rds;
use crate::aws::route53;
use crate::aws::states::ExecutionRecord;
use crate::clock::Clock;
use crate::cloud::{AwsCall, Cloud};
use crate::cost::Usage;
use crate::timings::Timings;
use crate::workload::{self, Platform};

/// Makes a function's handler in a world.
pub type MakeHandler = fn(&Aws) -> Box<dyn Handler>;

/// What is deployed in one Region beside the platform itself.
#[derive(Clone)]
pub struct Deployment {
    /// The Region.
    pub region: String,
    /// Functions, by name.
    pub functions: Vec<(&'static str, MakeHandler)>,
    /// State machines: name, and text in the States Language with a `${Hole}` for each function.
    pub machines: Vec<(&'static str, &'static str)>,
    /// Alarms.
    pub alarms: Vec<Alarm>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Schedules.
    pub schedules: Vec<Schedule>,
}

/// ARN of a function that is deployed; machines invoke a published version.
pub fn function_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:lambda:{region}:{account}:function:{name}:1")
}

/// ARN of a state machine that is deployed.
pub fn machine_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:states:{region}:{account}:stateMachine:{name}")
}

/// The `${Hole}` of a function: its name in Pascal case.
pub fn hole(name: &str) -> String {
    name.split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

/// Sees every event of every execution, as it happens.
pub type Observer = Box<dyn Fn(&HistoryEvent)>;

/// A running simulation. It lives on a current-thread runtime with a paused clock, inside a `LocalSet`, and goes on until
/// that runtime ends. One at a time on a thread: the SDK's back-off draws from the thread's generator of chance.
pub struct Simulation {
    inner: Rc<Inner>,
}

struct Inner {
    cloud: Arc<Cloud>,
    platform: Arc<Platform>,
    table: String,
    region: String,
    makers: BTreeMap<String, MakeHandler>,
    warm: RefCell<BTreeMap<String, Rc<dyn Handler>>>,
    machines: BTreeMap<String, Arc<StateMachine>>,
    tokens: TaskTokens,
    observer: Observer,
    usage: RefCell<Usage>,
    invoked_by_machines: RefCell<BTreeSet<String>>,
    ended: RefCell<Vec<EndedExecution>>,
    running: Cell<usize>,
}

/// An execution that has ended.
#[derive(Clone, Debug)]
pub struct EndedExecution {
    /// Its ARN.
    pub arn: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub result: ExecutionResult,
}

impl Simulation {
    /// Builds the platform of `plan` and deploys `deployment` beside it; everything begins to run. Errors: a text, if a
    /// machine cannot be loaded or a resource cannot be made.
    pub async fn begin(
        plan: &Plan,
        deployment: Deployment,
        seed: u64,
        began_at: Timestamp,
        observer: Observer,
    ) -> Result<Self, String> {
        // The SDK's back-off draws from this thread's generator.
        fastrand::seed(seed);
        let cloud = Cloud::new(&plan.account, seed, Clock::starting_at(began_at), Timings::built_in()?);
        let platform = Platform::deploy(&cloud, plan).await?;
        let Deployment {
            region,
            functions,
            machines,
            alarms,
            rules,
            schedules,
        } = deployment;
        let holes = functions
            .iter()
            .map(|(name, _)| (hole(name), function_arn(&plan.account, &region, name)))
            .collect();
        let machines = machines
            .into_iter()
            .map(|(name, text)| match StateMachine::parse(name, text, &holes) {
                Ok(machine) => Ok((machine_arn(&plan.account, &region, name), Arc::new(machine))),
                Err(errors) => Err(errors.to_string()),
            })
            .collect::<Result<_, String>>()?;
        for alarm in alarms {
            cloud.cloudwatch.put_alarm(&cloud, &region, alarm)?;
        }
        for rule in rules {
            cloud.events.put_rule(&region, rule)?;
        }
        for schedule in schedules {
            cloud.events.put_schedule(&cloud, schedule)?;
        }
        let inner = Rc::new(Inner {
            cloud: Arc::clone(&cloud),
            platform: Arc::clone(&platform),
            table: plan.automation.table.clone(),
            region,
            makers: functions
                .into_iter()
                .map(|(name, make)| (name.to_owned(), make))
                .collect(),
            warm: RefCell::default(),
            machines,
            tokens: TaskTokens::default(),
            observer,
            usage: RefCell::default(),
            invoked_by_machines: RefCell::default(),
            ended: RefCell::default(),
            running: Cell::new(0),
        });
        tokio::spawn(workload::run_customers(Arc::clone(&cloud), Arc::clone(&platform)));
        tokio::spawn(workload::run_heartbeat(Arc::clone(&cloud), platform));
        tokio::spawn(rds::replicate(Arc::clone(&cloud), plan.database.global_cluster.clone()));
        tokio::spawn(route53::watch_health(Arc::clone(&cloud), plan.dns.name.clone()));
        tokio::spawn(cloudwatch::evaluate_alarms(Arc::clone(&cloud)));
        let deliveries = cloud.events.deliveries();
        tokio::spawn(events::run_schedules(Arc::clone(&cloud)));
        tokio::task::spawn_local(deliver(Rc::clone(&inner), deliveries));
        Ok(Self { inner })
    }

    /// The simulated AWS.
    pub fn cloud(&self) -> &Arc<Cloud> {
        &self.inner.cloud
    }

    /// The platform.
    pub fn platform(&self) -> &Arc<Platform> {
        &self.inner.platform
    }

    /// The simulated AWS as `caller` sees it from the deployment's Region.
    pub fn aws(&self, caller: &str) -> Aws {
        self.inner.aws(caller)
    }

    /// Starts a machine by hand. Errors: a text, if there is no such machine.
    pub fn start(&self, machine: &str, name: &str, input: Value) -> Result<(), String> {
        let arn = machine_arn(&self.inner.cloud.account, &self.inner.region, machine);
        start_execution(&self.inner, &arn, name, input)
    }

    /// Waits until an execution was started and all have ended, for `longest` at most; says whether that came about.
    pub async fn wait_for_executions(&self, longest: Duration) -> bool {
        let all_ended = async {
            while self.inner.ended.borrow().is_empty() || self.inner.running.get() > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(longest, all_ended).await.is_ok()
    }

    /// The executions that have ended, in that order.
    pub fn ended(&self) -> Vec<EndedExecution> {
        self.inner.ended.borrow().clone()
    }

    /// How often each deployed function made each kind of AWS call.
    pub fn calls(&self) -> Vec<(AwsCall, u64)> {
        let calls = self.inner.cloud.calls().into_iter();
        calls
            .filter(|(call, _)| self.inner.makers.contains_key(&call.function))
            .collect()
    }

    /// What the executions and the functions that they invoked used, and those functions.
    pub fn usage(&self) -> (Usage, BTreeSet<String>) {
        let transitions = self
            .inner
            .ended
            .borrow()
            .iter()
            .map(|ended| ended.result.transitions)
            .sum();
        let usage = Usage {
            transitions,
            ..*self.inner.usage.borrow()
        };
        (usage, self.inner.invoked_by_machines.borrow().clone())
    }
}

/// Hands what EventBridge delivers to its targets, for ever.
async fn deliver(inner: Rc<Inner>, mut deliveries: tokio::sync::mpsc::UnboundedReceiver<Delivery>) {
    while let Some(Delivery { target_arn, input, .. }) = deliveries.recv().await {
        if target_arn.contains(":stateMachine:") {
            let name = inner.uuid();
            if let Err(why) = start_execution(&inner, &target_arn, &name, input) {
                inner.cloud.events.fail(why);
            }
            continue;
        }
        let inner = Rc::clone(&inner);
        tokio::task::spawn_local(async move {
            // An asynchronous invocation has nobody to hear of its failure; the function's own log has it.
            let _ = inner.invoke(&target_arn, input).await;
        });
    }
}

fn start_execution(inner: &Rc<Inner>, machine_arn: &str, name: &str, input: Value) -> Result<(), String> {
    let machine = inner
        .machines
        .get(machine_arn)
        .cloned()
        .ok_or_else(|| format!("there is no {machine_arn}"))?;
    let machine_name = machine_arn.rsplit(':').next().unwrap_or_default().to_owned();
    let (account, region) = (&inner.cloud.account, &inner.region);
    let arn = format!("arn:aws:states:{region}:{account}:execution:{machine_name}:{name}");
    let started_at = inner.cloud.now();
    let identity = ExecutionIdentity {
        arn: arn.clone(),
        name: name.to_owned(),
        role_arn: format!("arn:aws:iam::{account}:role/{machine_name}"),
        state_machine_arn: machine_arn.to_owned(),
        state_machine_name: machine_name,
        start_time: started_at,
    };
    let running = ExecutionRecord {
        status: "RUNNING",
        state_machine_arn: machine_arn.to_owned(),
        started_at: started_at.as_millisecond() as f64 / 1000.0,
    };
    inner.cloud.executions.put(&arn, running.clone());
    inner.running.set(inner.running.get() + 1);
    let execution = Execution::new(
        machine,
        input,
        identity,
        Rc::clone(inner) as Rc<dyn Host>,
        inner.tokens.clone(),
    );
    let inner = Rc::clone(inner);
    tokio::task::spawn_local(async move {
        let result = execution.run().await;
        let status = match &result.status {
            ExecutionStatus::Succeeded { .. } => "SUCCEEDED",
            ExecutionStatus::Failed { .. } => "FAILED",
            ExecutionStatus::TimedOut => "TIMED_OUT",
            ExecutionStatus::Aborted { .. } => "ABORTED",
        };
        inner.cloud.executions.put(&arn, ExecutionRecord { status, ..running });
        let ended_at = inner.cloud.now();
        inner.ended.borrow_mut().push(EndedExecution {
            arn,
            started_at,
            ended_at,
            result,
        });
        inner.running.set(inner.running.get() - 1);
    });
    Ok(())
}

impl Inner {
    fn aws(&self, caller: &str) -> Aws {
        Door::new(&self.cloud, &self.platform, caller, &self.region).aws(&self.table)
    }

    /// Invokes a function; gives its answer, or the error that Step Functions sees.
    async fn invoke(&self, function_arn: &str, input: Value) -> Result<Value, TaskFailure> {
        let name = function_arn.split(':').nth(6).unwrap_or_default().to_owned();
        let Some(make) = self.makers.get(&name) else {
            return Err(failure(
                "Lambda.ResourceNotFoundException",
                &format!("Function not found: {function_arn}"),
            ));
        };
        let timings = &self.cloud.timings;
        let mut starts_in = self.cloud.draw("function-start", &timings.function_start);
        let warm = self.warm.borrow().get(&name).cloned();
        let handler = match warm {
            Some(handler) => handler,
            None => {
                starts_in += self.cloud.draw("function-start", &timings.function_cold_start);
                let handler: Rc<dyn Handler> = Rc::from(make(&self.aws(&name)));
                self.warm.borrow_mut().insert(name.clone(), Rc::clone(&handler));
                handler
            }
        };
        tokio::time::sleep(starts_in).await;
        let began = tokio::time::Instant::now();
        let answer = handler.invoke(input).await;
        let mut usage = self.usage.borrow_mut();
        usage.invocations += 1;
        usage.function_seconds += began.elapsed().as_secs_f64();
        answer.map_err(|error| step_failure(&error))
    }
}

/// How Lambda hands an error of ours to Step Functions.
fn step_failure(error: &StepError) -> TaskFailure {
    let cause = json!({ "errorType": error.kind.name(), "errorMessage": error.message });
    failure(error.kind.name(), &cause.to_string())
}

fn failure(error: &str, cause: &str) -> TaskFailure {
    TaskFailure {
        error: error.to_owned(),
        cause: cause.to_owned(),
    }
}

impl Host for Inner {
    fn now(&self) -> Timestamp {
        self.cloud.now()
    }

    fn random(&self) -> f64 {
        self.cloud.chance("step-functions", |rng| rng.f64())
    }

    fn uuid(&self) -> String {
        let bits = self.cloud.chance("uuid", |rng| rng.u128(..));
        let hex = format!(
            "{:032x}",
            (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62)
        );
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    fn task(&self, call: TaskCall) -> LocalBoxFuture<'_, Result<Value, TaskFailure>> {
        Box::pin(async move {
            if !call.resource.starts_with("arn:aws:states:::lambda:invoke") || call.integration == Integration::Sync {
                let why = format!("the simulator has no integration {}", call.resource);
                return Err(failure("States.Runtime", &why));
            }
            let text = |name: &str| {
                call.arguments
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let function = text("FunctionName");
            if let Some(name) = function.split(':').nth(6) {
                self.invoked_by_machines.borrow_mut().insert(name.to_owned());
            }
            let payload = call.arguments.get("Payload").cloned().unwrap_or_default();
            let answer = self.invoke(&function, payload).await?;
            Ok(json!({ "ExecutedVersion": "1", "Payload": answer, "StatusCode": 200 }))
        })
    }

    fn read_items(&self, call: ItemReaderCall) -> LocalBoxFuture<'_, Result<Vec<Value>, TaskFailure>> {
        Box::pin(async move {
            Err(failure(
                "States.ItemReaderFailed",
                &format!("the simulator reads no items from {}", call.resource),
            ))
        })
    }

    fn write_results(&self, call: ResultWriterCall) -> LocalBoxFuture<'_, Result<Value, TaskFailure>> {
        Box::pin(async move {
            Err(failure(
                "States.ResultWriterFailed",
                &format!("the simulator writes no results to {}", call.resource),
            ))
        })
    }

    fn observe(&self, event: &HistoryEvent) {
        (self.observer)(event);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use shared::error::ErrorKind;

    use super::*;

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
        let plan: Plan = serde_saphyr::from_str(include_str!("../../radiant.plan.yaml")).unwrap();
        let deployment = Deployment {
            region: REGION.to_owned(),
            functions: vec![("double-number", double)],
            machines,
            alarms: Vec::new(),
            rules: Vec::new(),
            schedules: Vec::new(),
        };
        let history = Rc::clone(history);
        let observer = Box::new(move |event: &HistoryEvent| history.borrow_mut().push(format!("{event:?}")));
        Simulation::begin(
            &plan,
            deployment,
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
                simulation.start("machine", "one", input).unwrap();
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

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let world = |seed| {
            // A runtime for each: what a simulation has spawned ends with its runtime.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let play = async {
                let simulation = begin(Vec::new(), seed, &Rc::default()).await.unwrap();
                tokio::time::sleep(Duration::from_secs(100)).await;
                let cloud = simulation.cloud();
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
        let first = world(1);
        assert!(
            first.0.is_some() && first.1.is_some() && !first.2.is_empty(),
            "{first:?}"
        );
        assert_eq!(first, world(1));
        assert_ne!(first, world(2));
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
            let why = simulation.start("nothing", "one", json!({})).unwrap_err();
            assert!(why.contains("stateMachine:nothing"), "{why}");
        };
        local.run_until(play).await;
    }

    #[test]
    fn a_hole_is_the_name_in_pascal_case() {
        assert_eq!(hole("promote-database"), "PromoteDatabase");
        let arn = function_arn("1", "here", "promote-database");
        assert_eq!(arn, "arn:aws:lambda:here:1:function:promote-database:1");
    }
}
