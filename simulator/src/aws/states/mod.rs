//! Step Functions' control plane: the state machines and executions of this account, and the task tokens.

mod service;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use shared::arn::{self, Arn};
use states_language::{ExecutionStatus, PAYLOAD_LIMIT_BYTES, StateMachine, TaskTokens, TokenError, names};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::aws::events::Events;
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::lock::lock;

/// The longest name of an execution, in characters (API Reference, StartExecution).
const NAME_LIMIT: usize = 80;
/// What a name must not contain, beside white space and control characters (API Reference, StartExecution).
const NOT_IN_NAMES: &str = "<>{}[]?*\"#%\\^|~`$&,;:/";
/// The longest name of an error, in characters (API Reference, SendTaskFailure and StopExecution).
const ERROR_LIMIT: usize = 256;
/// The longest cause, in characters (API Reference, SendTaskFailure and StopExecution).
const CAUSE_LIMIT: usize = 32_768;
/// How long after its end an execution can be redriven (Developer Guide, "Redriving executions").
const REDRIVABLE_PERIOD: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How much of an execution's input and output goes into an event, in bytes of escaped text (Developer Guide, "Execution
/// Status Change").
const IN_EVENT_LIMIT: usize = 248 * 1024;

/// State machines, executions and task tokens in all Regions. They run elsewhere: whoever takes the [`orders`] runs
/// them and says when they end. EventBridge is told of each change of an execution's status.
///
/// [`orders`]: Executions::orders
pub struct Executions {
    events: Arc<Events>,
    /// The versions of each machine by its ARN, oldest first; the newest is also its latest revision.
    machines: Mutex<BTreeMap<String, Vec<Arc<StateMachine>>>>,
    executions: Mutex<BTreeMap<String, ExecutionRecord>>,
    started: Mutex<usize>,
    one_ended: Notify,
    map_runs: Mutex<BTreeMap<String, Vec<(String, bool)>>>,
    tokens: Mutex<BTreeMap<String, TaskTokens>>,
    outlet: Mutex<Option<UnboundedSender<Order>>>,
    /// How many task tokens were answered.
    answered: AtomicU64,
}

/// One execution.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRecord {
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: &'static str,
    /// ARN of its machine, without a version.
    pub state_machine_arn: String,
    /// ARN of the version that it was started with; nothing where that was said without one.
    pub state_machine_version_arn: Option<String>,
    /// Its name.
    pub name: String,
    /// Its input, as JSON text.
    pub input: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// Its output, as JSON text, if it succeeded.
    pub output: Option<String>,
    /// The error's name, if it did not and there is one.
    pub error: Option<String>,
    /// The explanation, likewise.
    pub cause: Option<String>,
    /// How often it was redriven.
    pub redrives: usize,
    /// When it was redriven last.
    pub redriven_at: Option<Timestamp>,
}

/// Whether an execution can be redriven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RedriveStatus {
    Redrivable,
    /// Why it cannot, in AWS's words (API Reference, DescribeExecution).
    NotRedrivable(String),
}

impl RedriveStatus {
    /// The status as AWS writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Redrivable => "REDRIVABLE",
            Self::NotRedrivable(_) => "NOT_REDRIVABLE",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Redrivable => None,
            Self::NotRedrivable(reason) => Some(reason),
        }
    }
}

/// What the control plane wants done with executions.
#[derive(Debug)]
pub(crate) enum Order {
    /// This one has started.
    Run {
        arn: String,
        machine: Arc<StateMachine>,
        execution: Box<ExecutionRecord>,
        /// Its input as a value.
        input: Value,
    },
    /// This one was stopped.
    Stop { arn: String, error: String, cause: String },
    /// This one goes on from where it stopped.
    Redrive {
        arn: String,
        execution: Box<ExecutionRecord>,
    },
}

/// An error of the Step Functions API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The API's name for it.
    pub code: &'static str,
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn too_long(field: &str, limit: usize) -> Self {
        let message = format!(
            "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must have length less \
             than or equal to {limit}"
        );
        Self::new("ValidationException", message)
    }
}

impl ExecutionRecord {
    /// An execution that has just started; `input` is JSON text.
    pub fn running(state_machine_arn: &str, name: &str, input: &str, started_at: Timestamp) -> Self {
        Self {
            status: "RUNNING",
            state_machine_arn: state_machine_arn.to_owned(),
            state_machine_version_arn: None,
            name: name.to_owned(),
            input: input.to_owned(),
            started_at,
            stopped_at: None,
            output: None,
            error: None,
            cause: None,
            redrives: 0,
            redriven_at: None,
        }
    }

    /// Whether it can be redriven at a moment. How many events its history has is not looked at.
    pub(crate) fn redrive_status(&self, now: Timestamp) -> RedriveStatus {
        if matches!(self.status, "RUNNING" | "SUCCEEDED") {
            return RedriveStatus::NotRedrivable(format!("Execution is {} and cannot be redriven", self.status));
        }
        let is_over = self
            .stopped_at
            .is_some_and(|at| now.duration_since(at) > REDRIVABLE_PERIOD);
        if is_over {
            return RedriveStatus::NotRedrivable("Execution redrivable period exceeded".to_owned());
        }
        RedriveStatus::Redrivable
    }

    fn end(&mut self, at: Timestamp, how: &ExecutionStatus) {
        // A Fail state without `Error` gives an empty name, which AWS leaves out.
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.stopped_at = Some(at);
        self.status = match how {
            ExecutionStatus::Succeeded { output } => {
                self.output = Some(output.to_string());
                "SUCCEEDED"
            }
            ExecutionStatus::Failed { error, cause } => {
                (self.error, self.cause) = (text(error), text(cause));
                "FAILED"
            }
            ExecutionStatus::TimedOut => {
                self.error = Some(names::TIMEOUT.to_owned());
                "TIMED_OUT"
            }
            ExecutionStatus::Aborted { error, cause } => {
                (self.error, self.cause) = (text(error), text(cause));
                "ABORTED"
            }
        };
    }

    /// The event of its last change of status, as the Developer Guide has it in "Execution Status Change".
    fn event(&self, environment: &Environment, arn: &str) -> Value {
        let escaped = |text: &str| Value::from(text).to_string().len();
        let output_size = self.output.as_deref().map_or(0, escaped);
        let output = self.output.as_deref().filter(|_| output_size <= IN_EVENT_LIMIT);
        let input = Some(self.input.as_str()).filter(|input| escaped(input) + output_size <= IN_EVENT_LIMIT);
        let output_details = self.output.is_some().then(|| json!({ "included": output.is_some() }));
        let at = self.stopped_at.unwrap_or(self.started_at);
        json!({
            "version": "0",
            "id": uuid_of(environment, "execution-event"),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": environment.account,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": arn::region(arn),
            "resources": [arn],
            "detail": {
                "executionArn": arn,
                "stateMachineArn": self.state_machine_arn,
                "name": self.name,
                "status": self.status,
                "startDate": self.started_at.as_millisecond(),
                "stopDate": self.stopped_at.map(Timestamp::as_millisecond),
                "input": input,
                "inputDetails": { "included": input.is_some() },
                "output": output,
                "outputDetails": output_details,
            },
        })
    }

    fn describe(&self, arn: &str, now: Timestamp) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        put("executionArn", arn.into());
        put("stateMachineArn", self.state_machine_arn.as_str().into());
        if let Some(version) = &self.state_machine_version_arn {
            put("stateMachineVersionArn", version.as_str().into());
        }
        put("name", self.name.as_str().into());
        put("status", self.status.into());
        put("startDate", seconds(self.started_at));
        put("input", self.input.as_str().into());
        put("inputDetails", json!({ "included": true }));
        if let Some(at) = self.stopped_at {
            put("stopDate", seconds(at));
        }
        if let Some(output) = &self.output {
            put("output", output.as_str().into());
            put("outputDetails", json!({ "included": true }));
        }
        if let Some(error) = &self.error {
            put("error", error.as_str().into());
        }
        if let Some(cause) = &self.cause {
            put("cause", cause.as_str().into());
        }
        put("redriveCount", self.redrives.into());
        if let Some(at) = self.redriven_at {
            put("redriveDate", seconds(at));
        }
        let redrive_status = self.redrive_status(now);
        put("redriveStatus", redrive_status.name().into());
        if let Some(reason) = redrive_status.reason() {
            put("redriveStatusReason", reason.into());
        }
        Value::Object(fields)
    }
}

impl Executions {
    /// None yet; `events` is told of each change of an execution's status.
    pub(crate) fn new(events: &Arc<Events>) -> Self {
        Self {
            events: Arc::clone(events),
            machines: Mutex::default(),
            executions: Mutex::default(),
            started: Mutex::default(),
            one_ended: Notify::new(),
            map_runs: Mutex::default(),
            tokens: Mutex::default(),
            outlet: Mutex::default(),
            answered: AtomicU64::new(0),
        }
    }

    /// Makes a state machine known, or its next revision, and publishes a version of it: the first is 1. Gives the
    /// version's ARN.
    pub(crate) fn publish(&self, arn: &str, machine: Arc<StateMachine>) -> String {
        let mut machines = lock(&self.machines);
        let versions = machines.entry(arn.to_owned()).or_default();
        versions.push(machine);
        format!("{arn}:{}", versions.len())
    }

    /// ARN without a version, and the definition that is in force: that of the version, or the latest revision.
    fn machine(&self, arn: &str) -> Option<(String, Arc<StateMachine>)> {
        let parts = Arn::read(arn)?.resource_parts();
        let (unqualified, version) = match parts[..] {
            [_, _, version] => (arn.strip_suffix(version)?.strip_suffix(':')?.to_owned(), Some(version)),
            _ => (arn.to_owned(), None),
        };
        let machines = lock(&self.machines);
        let versions = machines.get(&unqualified)?;
        let machine = match version {
            None => versions.last()?,
            Some(version) => versions.get(version.parse::<usize>().ok()?.checked_sub(1)?)?,
        };
        Some((unqualified, Arc::clone(machine)))
    }

    /// Keeps the Map Runs of an execution that nobody runs: ARN, and whether it is still at work.
    pub fn put_map_runs(&self, execution: &str, map_runs: Vec<(String, bool)>) {
        lock(&self.map_runs).insert(execution.to_owned(), map_runs);
    }

    /// Keeps an execution that nobody runs, or replaces one.
    pub fn put(&self, arn: &str, execution: ExecutionRecord) {
        lock(&self.executions).insert(arn.to_owned(), execution);
    }

    /// An execution.
    pub fn get(&self, arn: &str) -> Option<ExecutionRecord> {
        lock(&self.executions).get(arn).cloned()
    }

    /// ARNs of all that were ever started.
    pub fn arns(&self) -> Vec<String> {
        lock(&self.executions).keys().cloned().collect()
    }

    /// The task tokens of a Region.
    pub fn tokens(&self, region: &str) -> TaskTokens {
        lock(&self.tokens).entry(region.to_owned()).or_default().clone()
    }

    /// What is to be done from now on. To be taken once, at the beginning: a later call diverts the orders to itself.
    pub(crate) fn orders(&self) -> UnboundedReceiver<Order> {
        let (sender, receiver) = unbounded_channel();
        *lock(&self.outlet) = Some(sender);
        receiver
    }

    /// How many were started with [`Executions::start`].
    pub(crate) fn started(&self) -> usize {
        *lock(&self.started)
    }

    /// Starts an execution, as `StartExecution` in `region` does; it is `RUNNING` at once. `input` is JSON text; without
    /// a name it gets one. Gives its ARN and when it started. The same name and input while it runs give the same again.
    pub(crate) fn start(
        &self,
        environment: &Arc<Environment>,
        region: &str,
        machine_arn: &str,
        name: Option<&str>,
        input: &str,
    ) -> Result<(String, Timestamp), Refusal> {
        let name = name.map_or_else(|| uuid(environment), str::to_owned);
        check_name(&name)?;
        if input.len() > PAYLOAD_LIMIT_BYTES {
            return Err(Refusal::too_long("input", PAYLOAD_LIMIT_BYTES));
        }
        let value = serde_json::from_str(input).map_err(|error| {
            let message = format!("Invalid State Machine Execution Input: '{error}'");
            Refusal::new("InvalidExecutionInput", message)
        })?;
        let found = self.machine(machine_arn).filter(|_| is_in(machine_arn, region));
        let (unqualified, machine) = found.ok_or_else(|| {
            let message = format!("State Machine Does Not Exist: '{machine_arn}'");
            Refusal::new("StateMachineDoesNotExist", message)
        })?;
        let arn = format!("{}:{name}", unqualified.replacen(":stateMachine:", ":execution:", 1));
        let mut executions = lock(&self.executions);
        if let Some(earlier) = executions.get(&arn) {
            if earlier.status == "RUNNING" && earlier.input == input {
                return Ok((arn, earlier.started_at));
            }
            let message = format!("Execution Already Exists: '{arn}'");
            return Err(Refusal::new("ExecutionAlreadyExists", message));
        }
        let started_at = environment.now();
        let execution = ExecutionRecord {
            state_machine_version_arn: (unqualified != machine_arn).then(|| machine_arn.to_owned()),
            ..ExecutionRecord::running(&unqualified, &name, input, started_at)
        };
        executions.insert(arn.clone(), execution.clone());
        drop(executions);
        *lock(&self.started) += 1;
        self.tell(environment, &arn, &execution);
        self.order(Order::Run {
            arn: arn.clone(),
            machine,
            execution: Box::new(execution),
            input: value,
        });
        Ok((arn, started_at))
    }

    /// Stops an execution, as `StopExecution` does; it is `ABORTED` at once. Gives when it ended, which is earlier if it
    /// had ended; nothing if there is none.
    pub(crate) fn stop(
        &self,
        environment: &Arc<Environment>,
        arn: &str,
        error: &str,
        cause: &str,
    ) -> Option<Timestamp> {
        let (error, cause) = (error.to_owned(), cause.to_owned());
        let how = ExecutionStatus::Aborted {
            error: error.clone(),
            cause: cause.clone(),
        };
        if self.end(environment, arn, &how) {
            let arn = arn.to_owned();
            self.order(Order::Stop { arn, error, cause });
        }
        self.get(arn)?.stopped_at
    }

    /// Restarts an execution that did not succeed, as `RedriveExecution` does; it is `RUNNING` at once. Gives when.
    fn redrive(&self, environment: &Arc<Environment>, arn: &str) -> Result<Timestamp, Refusal> {
        let mut executions = lock(&self.executions);
        let execution = executions.get_mut(arn).ok_or_else(|| no_execution(arn))?;
        if let RedriveStatus::NotRedrivable(reason) = execution.redrive_status(environment.now()) {
            let message = format!("Execution Not Redrivable: '{arn}' ({reason})");
            return Err(Refusal::new("ExecutionNotRedrivable", message));
        }
        execution.status = "RUNNING";
        execution.redrives += 1;
        execution.redriven_at = Some(environment.now());
        (execution.stopped_at, execution.error, execution.cause) = (None, None, None);
        let execution = execution.clone();
        drop(executions);
        *lock(&self.started) += 1;
        self.tell(environment, arn, &execution);
        self.order(Order::Redrive {
            arn: arn.to_owned(),
            execution: Box::new(execution),
        });
        Ok(environment.now())
    }

    /// Is told how an execution ended. One that was stopped stays as it is. Says whether it was running.
    pub(crate) fn end(&self, environment: &Arc<Environment>, arn: &str, how: &ExecutionStatus) -> bool {
        let mut executions = lock(&self.executions);
        let Some(execution) = executions
            .get_mut(arn)
            .filter(|execution| execution.status == "RUNNING")
        else {
            return false;
        };
        execution.end(environment.now(), how);
        let ended = execution.clone();
        drop(executions);
        self.tell(environment, arn, &ended);
        self.one_ended.notify_waiters();
        true
    }

    /// Waits until an execution is not running any more, and gives it; nothing if there is none.
    pub(crate) async fn ended(&self, arn: &str) -> Option<ExecutionRecord> {
        loop {
            let one_ended = self.one_ended.notified();
            let execution = self.get(arn)?;
            if execution.status != "RUNNING" {
                return Some(execution);
            }
            one_ended.await;
        }
    }

    /// Tells EventBridge of an execution's change of status.
    fn tell(&self, environment: &Arc<Environment>, arn: &str, execution: &ExecutionRecord) {
        let event = execution.event(environment, arn);
        self.events.publish(environment, arn::region(arn), event);
    }

    fn order(&self, order: Order) {
        if let Some(outlet) = lock(&self.outlet).as_ref() {
            // Whoever takes the orders has gone only when the simulation is over.
            let _ = outlet.send(order);
        }
    }

    fn reply_to(&self, environment: &Arc<Environment>, call: &Call, operation: &str) -> Reply {
        match serde_json::from_slice::<Map<String, Value>>(&call.body) {
            Ok(parameters) => self.on_operation(environment, &call.region, operation, &parameters),
            Err(error) => Reply::json_error(400, "SerializationException", &error.to_string()),
        }
    }

    fn on_operation(
        &self,
        environment: &Arc<Environment>,
        region: &str,
        operation: &str,
        parameters: &Map<String, Value>,
    ) -> Reply {
        let known: &[&str] = match operation {
            "DescribeExecution" => &["executionArn"],
            "StartExecution" => &["stateMachineArn", "name", "input"],
            "StopExecution" => &["executionArn", "error", "cause"],
            "RedriveExecution" => &["executionArn", "clientToken"],
            "ListMapRuns" => &["executionArn", "nextToken"],
            "SendTaskSuccess" => &["taskToken", "output"],
            "SendTaskFailure" => &["taskToken", "error", "cause"],
            "SendTaskHeartbeat" => &["taskToken"],
            other => return not_simulated(other),
        };
        if let Some(unknown) = parameters.keys().find(|name| !known.contains(&name.as_str())) {
            return not_simulated(unknown);
        }
        let given = |name: &str| parameters.get(name).and_then(Value::as_str);
        let text = |name: &str| given(name).unwrap_or_default();
        let answer = match operation {
            "DescribeExecution" => self.describe_execution(environment, region, text("executionArn")),
            "StartExecution" => {
                let input = given("input").unwrap_or("{}");
                self.start(environment, region, text("stateMachineArn"), given("name"), input)
                    .map(|(arn, started_at)| json!({ "executionArn": arn, "startDate": seconds(started_at) }))
            }
            "StopExecution" => check_failure(text("error"), text("cause")).and_then(|()| {
                let arn = text("executionArn");
                let stopped_at = is_in(arn, region)
                    .then(|| self.stop(environment, arn, text("error"), text("cause")))
                    .flatten()
                    .ok_or_else(|| no_execution(arn))?;
                Ok(json!({ "stopDate": seconds(stopped_at) }))
            }),
            "RedriveExecution" => self
                .redrive(environment, text("executionArn"))
                .map(|at| json!({ "redriveDate": seconds(at) })),
            "ListMapRuns" => Ok(self.list_map_runs(text("executionArn"))),
            _ => self.on_token(region, operation, &text),
        };
        match answer {
            Ok(body) => Reply::json(200, &body),
            Err(Refusal { code, message }) => Reply::json_error(400, code, &message),
        }
    }

    fn describe_execution(&self, environment: &Environment, region: &str, arn: &str) -> Result<Value, Refusal> {
        // An execution is known in its own Region only.
        let execution = self.get(arn).filter(|_| is_in(arn, region));
        execution
            .map(|execution| execution.describe(arn, environment.now()))
            .ok_or_else(|| no_execution(arn))
    }

    /// The Map Runs of an execution: those that it had when it ended, since they end with it, and those that were put.
    fn list_map_runs(&self, arn: &str) -> Value {
        let map_runs = lock(&self.map_runs).get(arn).cloned().unwrap_or_default();
        let each = map_runs.into_iter().map(|(map_run, is_at_work)| {
            let mut item = json!({
                "executionArn": arn,
                "mapRunArn": map_run,
                "stateMachineArn": "",
                "startDate": 0.0,
            });
            if !is_at_work {
                item["stopDate"] = json!(0.0);
            }
            item
        });
        json!({ "mapRuns": each.collect::<Vec<_>>() })
    }

    fn on_token<'a>(&self, region: &str, operation: &str, text: &dyn Fn(&str) -> &'a str) -> Result<Value, Refusal> {
        let (tokens, token) = (self.tokens(region), text("taskToken"));
        let answered = match operation {
            "SendTaskSuccess" => tokens.send_success(token, text("output")),
            "SendTaskFailure" => {
                check_failure(text("error"), text("cause"))?;
                let given = |name| Some(text(name)).filter(|text| !text.is_empty());
                tokens.send_failure(token, given("error"), given("cause"))
            }
            _ => tokens.send_heartbeat(token),
        };
        if answered.is_ok() {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        answered.map(|()| json!({})).map_err(|error| match error {
            TokenError::TaskDoesNotExist => Refusal::new(
                "TaskDoesNotExist",
                "Task Does Not Exist: 'Provided task does not exist'",
            ),
            TokenError::TaskTimedOut => {
                Refusal::new("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
            }
            TokenError::InvalidToken => Refusal::new("InvalidToken", "Invalid Token: 'Invalid token'"),
            TokenError::InvalidOutput => {
                Refusal::new("InvalidOutput", "Invalid Output: 'it is not JSON, or too large'")
            }
        })
    }
}

/// A version 4 UUID from the seed.
pub(crate) fn uuid(environment: &Environment) -> String {
    uuid_of(environment, "uuid")
}

/// Likewise, from a stream of chance of its own.
pub(crate) fn uuid_of(environment: &Environment, stream: &'static str) -> String {
    let bits = environment.chance(stream, |rng| rng.u128(..));
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

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.chars().count() > NAME_LIMIT {
        return Err(Refusal::too_long("name", NAME_LIMIT));
    }
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || NOT_IN_NAMES.contains(c);
    if name.is_empty() || name.contains(is_bad) {
        return Err(Refusal::new("InvalidName", format!("Invalid Name: '{name}'")));
    }
    Ok(())
}

fn check_failure(error: &str, cause: &str) -> Result<(), Refusal> {
    if error.chars().count() > ERROR_LIMIT {
        return Err(Refusal::too_long("error", ERROR_LIMIT));
    }
    if cause.chars().count() > CAUSE_LIMIT {
        return Err(Refusal::too_long("cause", CAUSE_LIMIT));
    }
    Ok(())
}

fn no_execution(arn: &str) -> Refusal {
    Refusal::new("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"))
}

fn not_simulated(what: &str) -> Reply {
    let message = format!("the simulated Step Functions has no {what}");
    Reply::json_error(501, "NotSimulated", &message)
}

fn is_in(arn: &str, region: &str) -> bool {
    arn::region(arn) == region
}

/// A moment as the API writes it: seconds since 1970.
fn seconds(at: Timestamp) -> Value {
    Value::from(at.as_millisecond() as f64 / 1000.0)
}
