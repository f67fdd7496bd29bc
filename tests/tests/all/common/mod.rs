//! The world that end-to-end tests play in: the example plan on the simulated AWS, with everything deployed or nothing.

#![allow(dead_code, reason = "each test file uses its part")]

mod approval;
pub mod plays;
pub mod trial;

pub use self::approval::body;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rehearsal::deployments;
use rehearsal::scenarios::region_failure::RegionFailure;
use serde_json::{Value, json};
use shared::arn::{self, Arn};
use shared::error::StepError;
use shared::plan::Plan;
use shared::record::{Claim, Claimed, Closing, Header, Record, StartDecision, Started};
use shared::recovery::Mode;
use shared::resume::{Resumed, resume};
use shared::step::{Handler, Step, handler};
use simulator::aws::apigateway::MethodSettings;
use simulator::aws::cloudwatch::Metric;
use simulator::aws::service::Service;
use simulator::aws::sns::Message;
use simulator::cloud::Cloud;
use simulator::simulation::{Conditions, Deployment, Simulation};
use simulator::timings::Timings;
use states_language::{EventKind, ExecutionStatus};

/// Durations as the tests of rehearsals have them, for what must hold however long something takes.
pub const QUICK: &str = include_str!("../../../../rehearsal/tests/quick.timings.yaml");
pub const MACHINE: &str = "recovery";
/// ARN of the machine that recovers from the loss of a Region, with its version.
pub const SCENARIO_MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:region-switch:1";
pub const PRIMARY: &str = "us-east-1";
pub const RECOVERY: &str = "us-west-2";
pub const OBSERVER: &str = "eu-west-1";
/// Who is on call: starts and answers.
pub const ON_CALL: &str = "arn:aws:sts::123456789012:assumed-role/on-call/first@radiant.example.com";
/// Somebody else.
pub const SECOND: &str = "arn:aws:sts::123456789012:assumed-role/on-call/second@radiant.example.com";
/// A third one.
pub const THIRD: &str = "arn:aws:iam::123456789012:user/third";

/// Runs a test in virtual time.
pub fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// The example plan.
pub fn plan() -> Plan {
    serde_saphyr::from_str(include_str!("../../../../radiant.plan.yaml")).unwrap()
}

/// An event source of the primary Region that somebody disabled, for whatever reason, long before.
pub const DISABLED: &str = "10000000-0000-4000-8000-000000000001";
/// One that is enabled.
pub const ENABLED: &str = "10000000-0000-4000-8000-000000000002";

/// The platform of a plan, and what is deployed beside it.
pub struct World {
    pub simulation: Simulation,
    pub plan: Plan,
    /// The standby Region's table.
    pub record: Record,
    /// Names of the states that were entered, with their Regions' executions mixed, in order.
    pub entered: Rc<RefCell<Vec<String>>>,
    /// Every resource of the simulated AWS that a recovery can change, as it was in the good times.
    pub before: Value,
}

impl World {
    /// The plan with changes, and these deployments.
    pub async fn begin(plan: Plan, deployments: Vec<Deployment>, seed: u64) -> Self {
        Self::begin_with(plan, deployments, Vec::new(), seed).await
    }

    /// The same, with these services beside the simulator's own.
    pub async fn begin_with(
        plan: Plan,
        deployments: Vec<Deployment>,
        services: Vec<Arc<dyn Service>>,
        seed: u64,
    ) -> Self {
        let entered = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&entered);
        let observer = Box::new(move |event: &states_language::HistoryEvent| {
            if matches!(
                event.kind,
                EventKind::TaskStateEntered | EventKind::ChoiceStateEntered | EventKind::PassStateEntered
            ) {
                seen.borrow_mut().push(event.state.to_string());
            }
        });
        let conditions = Conditions {
            seed,
            began_at: "2026-01-06T02:50:00Z".parse().unwrap(),
            timings: Timings::measured(QUICK).unwrap(),
            services,
        };
        let simulation = Simulation::begin_in(&plan, deployments, conditions, observer)
            .await
            .unwrap();
        trial::attach(&simulation, &plan.automation.table);
        for region in [PRIMARY, RECOVERY] {
            let record = Record::in_region(&simulation.aws_in("test", region), region);
            record.put_plan(&plan).await.unwrap();
        }
        let record = Record::in_region(&simulation.aws_in("test", RECOVERY), RECOVERY);
        let before = simulation.cloud().snapshot();
        Self {
            before,
            simulation,
            plan,
            record,
            entered,
        }
    }

    /// Nothing is deployed: for steps that are invoked by hand.
    pub async fn bare() -> Self {
        Self::bare_with(7).await
    }

    /// Nothing is deployed, and chance is another.
    pub async fn bare_with(seed: u64) -> Self {
        Self::bare_of(plan(), seed).await
    }

    /// Nothing is deployed beside the platform of this plan.
    pub async fn bare_of(plan: Plan, seed: u64) -> Self {
        let nothing = Deployment::empty(RECOVERY);
        Self::begin(plan, vec![nothing], seed).await
    }

    /// Everything is deployed in both Regions, and ten minutes have gone well. The alarm starts nothing.
    pub async fn good_times(change: impl FnOnce(&mut Plan)) -> Self {
        Self::deployed(change, false).await
    }

    /// Everything is deployed in both Regions, ten minutes have gone well, and the alarm is heard.
    pub async fn watched(change: impl FnOnce(&mut Plan)) -> Self {
        Self::deployed(change, true).await
    }

    async fn deployed(change: impl FnOnce(&mut Plan), alarm_is_heard: bool) -> Self {
        let mut plan = plan();
        change(&mut plan);
        let deployed = deployments(&plan, &RegionFailure, alarm_is_heard).unwrap();
        let mut world = Self::begin(plan, deployed, 11).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        world.before = world.cloud().snapshot();
        world
    }

    /// Gives the primary what is hard to give back: a function with a reservation beside some without, event sources of
    /// which one is disabled, and methods of the stage with settings of their own, but none for all methods.
    pub fn prepare_primary(&self) {
        let cloud = self.cloud();
        let name = &self.plan.functions[1].name;
        let mut function = cloud.lambda.function(PRIMARY, name).unwrap();
        function.reserved_concurrency = Some(40);
        cloud.lambda.create_function(PRIMARY, name, function);
        for (uuid, enabled) in [(DISABLED, false), (ENABLED, true)] {
            // By an alias of the function.
            cloud.lambda.create_event_source(
                PRIMARY,
                uuid,
                &format!("{name}:live"),
                "arn:aws:sqs:us-east-1:123456789012:q",
                enabled,
            );
        }
        cloud.lambda.create_event_source(
            PRIMARY,
            "stranger",
            "another-team",
            "arn:aws:sqs:us-east-1:123456789012:s",
            true,
        );
        let limited = |rate, burst| MethodSettings {
            throttling_rate_limit: rate,
            throttling_burst_limit: burst,
            metrics_enabled: true,
            ..MethodSettings::default()
        };
        let settings = BTreeMap::from([
            ("~1order/GET".to_owned(), limited(120.5, 60)),
            ("~1reports~1{id}/POST".to_owned(), limited(-1.0, -1)),
        ]);
        let api = &self.plan.regions.primary.api;
        cloud
            .apigateway
            .create_stage(cloud, PRIMARY, &api.rest_api, &api.stage, settings);
    }

    /// What a plan asks for is deployed in both Regions, but for a change to each; ten minutes have gone well. The alarm starts
    /// nothing.
    pub async fn good_times_with(plan: Plan, change: impl FnMut(&mut Deployment)) -> Self {
        let mut deployed = deployments(&plan, &RegionFailure, false).unwrap();
        deployed.iter_mut().for_each(change);
        let world = Self::begin(plan, deployed, 11).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        world
    }

    /// Like it, and neither the event of an execution's end nor the schedule looks at the lock.
    pub async fn where_nobody_frees_the_lock(plan: Plan) -> Self {
        Self::good_times_with(plan, |deployment| {
            deployment.rules.clear();
            deployment.schedules.retain(|schedule| {
                let target = Arn::read(&schedule.target_arn);
                target.and_then(|target| target.name_of("lambda", "function")) != Some("release-lock")
            });
        })
        .await
    }

    /// Two people approve what is asked first.
    pub async fn approve(&self) {
        self.approve_as_asked(&self.question().await).await;
    }

    /// Two people approve a question.
    pub async fn approve_as_asked(&self, question: &Message) {
        for who in [SECOND, THIRD] {
            self.answer(question, who, "approve", Some("it is dark")).await;
        }
    }

    /// Somebody goes on with a recovery.
    pub async fn resume(&self, id: &str) -> Result<Resumed, StepError> {
        resume(&self.simulation.aws_in("drctl", RECOVERY), &self.plan, id, ON_CALL).await
    }

    /// Somebody stops an execution in the standby Region.
    pub async fn stop(&self, execution: &str) {
        let aws = self.simulation.aws_in("a-person", RECOVERY);
        let stopping = aws_sdk_sfn::Client::new(aws.config())
            .stop_execution()
            .execution_arn(execution);
        stopping.send().await.unwrap();
    }

    pub fn cloud(&self) -> &Arc<Cloud> {
        self.simulation.cloud()
    }

    /// A fresh instance of a step in the standby Region, as a Lambda that has just started.
    pub fn step<S: Step>(&self) -> Box<dyn Handler> {
        self.step_in::<S>(RECOVERY)
    }

    /// A fresh instance of a step.
    pub fn step_in<S: Step>(&self, region: &str) -> Box<dyn Handler> {
        handler::<S>(&self.simulation.aws_in(S::NAME, region))
    }

    pub fn start(&self, name: &str, input: Value) {
        self.start_in(RECOVERY, name, input);
    }

    pub fn start_in(&self, region: &str, name: &str, input: Value) {
        self.simulation.start(region, MACHINE, name, input).unwrap();
    }

    pub async fn wait(&self) {
        assert!(
            self.simulation
                .wait_for_executions(Duration::from_secs(12 * 3600))
                .await
        );
    }

    /// Waits until a question was asked, and gives what the machine told people.
    pub async fn question(&self) -> Message {
        self.nth_question(0).await
    }

    /// Waits until that many questions were asked before, and one more.
    pub async fn nth_question(&self, before: usize) -> Message {
        for _ in 0..3600 {
            let asked = self.questions();
            if let Some(message) = asked.into_iter().nth(before) {
                return message;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("nothing was asked; what was told: {:?}", self.subjects());
    }

    /// What people were asked, oldest first.
    pub fn questions(&self) -> Vec<Message> {
        let messages = self.messages().into_iter();
        messages.filter(|message| body(&message.text).is_some()).collect()
    }

    /// Has the record say who started an execution, as what starts recoveries does.
    pub async fn knows_who_started(&self, execution: &str) {
        let decision = StartDecision {
            id: arn::name(execution).to_owned(),
            by: ON_CALL.to_owned(),
            at: self.cloud().now(),
            decision: Started::Started {
                execution: execution.to_owned(),
            },
        };
        self.record
            .note_start_decision(&self.plan.workload, &decision)
            .await
            .unwrap();
    }

    /// Answers a question in somebody's name; gives the HTTP status and the answer.
    pub async fn answer(&self, question: &Message, who: &str, answer: &str, reason: Option<&str>) -> (u16, Value) {
        let mut body = body(&question.text).unwrap();
        body["answer"] = json!(answer);
        body.as_object_mut().unwrap().remove("reason");
        if let Some(reason) = reason {
            body["reason"] = json!(reason);
        }
        self.post(who, &body.to_string()).await
    }

    /// Posts to the function that takes answers.
    pub async fn post(&self, who: &str, body: &str) -> (u16, Value) {
        let posted = self.simulation.post_to_function(RECOVERY, "record-approval", who, body);
        let (status, answer) = posted.await.unwrap();
        (status, serde_json::from_str(&answer).unwrap())
    }

    /// Headers of all recoveries of the standby Region, oldest first.
    pub async fn headers(&self) -> Vec<Header> {
        let mut headers = Vec::new();
        for id in self.record.recoveries(&self.plan.workload).await.unwrap() {
            headers.push(self.record.header(&id).await.unwrap().unwrap());
        }
        headers
    }

    pub async fn only_header(&self) -> Header {
        let mut headers = self.headers().await;
        assert_eq!(headers.len(), 1);
        headers.remove(0)
    }

    /// How the only recovery ended.
    pub async fn closing(&self) -> Closing {
        self.only_header().await.closing.unwrap()
    }

    pub async fn is_unlocked(&self) -> bool {
        self.record.lock(&self.plan.workload).await.unwrap().is_none()
    }

    /// Puts somebody's lock into the standby Region's table.
    pub async fn lock_by(&self, execution: &str, recovery: &str, mode: Mode, at: &str) {
        let claim = Claim {
            workload: &self.plan.workload,
            execution,
            recovery,
            mode,
            at: at.parse().unwrap(),
        };
        self.record.claim_lock(&claim, None).await.unwrap();
    }

    /// Takes the lock away from the recovery that holds it.
    pub async fn preempt(&self) {
        let workload = &self.plan.workload;
        let holder = self.record.lock(workload).await.unwrap().unwrap();
        let claim = Claim {
            workload,
            execution: "arn:other",
            recovery: "other",
            mode: Mode::Rehearsal,
            at: self.cloud().now(),
        };
        let taken = self.record.claim_lock(&claim, Some(&holder)).await.unwrap();
        assert!(matches!(taken, Claimed::Taken(token) if token > holder.token));
    }

    /// What was announced in the standby Region, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        let topic = self.plan.topic_arn(&self.plan.regions.standby);
        self.cloud().sns.messages(&topic)
    }

    pub fn subjects(&self) -> Vec<String> {
        self.messages().into_iter().map(|message| message.subject).collect()
    }

    /// ARNs of all executions of the recovery machine.
    pub fn recovery_arns(&self) -> Vec<String> {
        let mut arns = self.cloud().executions.arns();
        arns.retain(|arn| arn.contains(&format!(":{MACHINE}:")));
        arns
    }

    /// How many executions of the recovery machine have ended.
    pub fn recoveries_ended(&self) -> usize {
        let ended = self.simulation.ended().into_iter();
        ended
            .filter(|ended| ended.arn.contains(&format!(":{MACHINE}:")))
            .count()
    }

    /// Whether the last execution ended as a failed recovery must.
    pub fn has_failed(&self) -> bool {
        let ended = self.simulation.ended();
        matches!(&ended.last().unwrap().result.status, ExecutionStatus::Failed { error, .. } if error == "RecoveryFailed")
    }

    /// How often `function` called AWS in all.
    pub fn calls_of(&self, function: &str) -> u64 {
        let calls = self.cloud().calls();
        calls
            .iter()
            .filter(|(call, _)| call.function == function)
            .map(|(_, count)| count)
            .sum()
    }

    /// How often `operation` was called, by whatever function.
    pub fn calls_to(&self, operation: &str) -> u64 {
        let calls = self.cloud().calls();
        let wanted = calls.iter().filter(|(call, _)| call.operation == operation);
        wanted.map(|(_, count)| count).sum()
    }

    /// How often `function` called `operation`.
    pub fn count(&self, function: &str, operation: &str) -> u64 {
        let calls = self.cloud().calls();
        let wanted = calls
            .iter()
            .filter(|(call, _)| call.function == function && call.operation == operation);
        wanted.map(|(_, count)| count).sum()
    }

    /// What was published in the standby Region as achieved, each minute's largest value.
    pub fn achieved(&self, metric: &str) -> Vec<f64> {
        let dimensions = [
            ("Workload", self.plan.workload.as_str()),
            ("Scenario", "region-failure"),
            ("Mode", "rehearsal"),
        ];
        let metric = Metric {
            namespace: self.plan.probe.namespace.clone(),
            name: metric.to_owned(),
            dimensions: dimensions
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        self.cloud().cloudwatch.largest(RECOVERY, &metric)
    }

    /// Asserts that every resource of the simulated AWS is as it was in the good times.
    #[track_caller]
    pub fn assert_as_before(&self) {
        let now = self.cloud().snapshot();
        assert!(self.before == now, "before: {:#}\nnow: {now:#}", self.before);
    }

    /// Whether a state was entered.
    pub fn passed(&self, state: &str) -> bool {
        self.entered.borrow().iter().any(|entered| entered == state)
    }
}

/// Both Regions with everything but for alarms; the recovery machine waits for a minute only for the scenario's execution.
pub async fn with_impatient_recovery_machine(plan: Plan) -> World {
    let mut deployed = deployments(&plan, &RegionFailure, false).unwrap();
    let machines = deployed.iter_mut().flat_map(|deployment| &mut deployment.machines);
    for (_, text) in machines.filter(|(name, _)| *name == MACHINE) {
        let mut machine: Value = serde_json::from_str(text).unwrap();
        machine["States"]["RunScenario"]["TimeoutSeconds"] = json!(60);
        *text = Box::leak(machine.to_string().into_boxed_str());
    }
    let mut world = World::begin(plan, deployed, 11).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.before = world.cloud().snapshot();
    world
}

/// The input of a step of the recovery that `open-recovery` answered, with these fields.
pub fn with_recovery(opened: &Value, fields: Value) -> Value {
    let mut input = json!({ "recovery": opened["recovery"], "state": { "Name": "Tested" } });
    let fields = fields.as_object().unwrap().clone();
    input.as_object_mut().unwrap().extend(fields);
    input
}

/// EventBridge's event of an execution that was stopped, as AWS documents it.
pub fn stopped(execution: &str) -> Value {
    let text = include_str!("../../../fixtures/events/step-functions-execution-aborted.json");
    let mut event: Value = serde_json::from_str(text).unwrap();
    event["resources"] = json!([execution]);
    event["detail"]["executionArn"] = json!(execution);
    event
}

/// What a person starts the machine with.
pub fn request(intent: &str) -> Value {
    json!({
        "scenario": "region-failure",
        "mode": "rehearsal",
        "wants": { "intent": intent },
        "trigger": { "kind": "person", "by": ON_CALL, "at": "2026-01-06T03:00:00Z" },
    })
}

/// Runs `invocation` until its function has made `calls` AWS calls, then drops it as a killed Lambda is: the last call
/// has reached AWS, its answer has not come back. Says whether it was killed; otherwise it ended before.
pub async fn killed_after(world: &World, function: &str, calls: u64, invocation: impl Future) -> bool {
    let mut invocation = pin!(invocation);
    loop {
        tokio::select! {
            biased;
            _ = &mut invocation => return false,
            () = tokio::time::sleep(Duration::from_millis(1)) => {
                if world.calls_of(function) >= calls {
                    return true;
                }
            }
        }
    }
}
