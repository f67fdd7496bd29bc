//! A host that answers by a script, and the shortest way to run a machine on it.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use states_language::{
    Execution, ExecutionIdentity, ExecutionResult, ExecutionStatus, HistoryEvent, Host, ListCall, ListedObject,
    LoadErrors, ObjectCall, ObjectReader, ObjectWriter, StateMachine, TaskCall, TaskFailure, TaskTokens,
};
use tokio::time::{Instant, sleep};

pub type Outcome = Result<Value, TaskFailure>;

/// What a Task answers, and how long it takes.
#[derive(Clone)]
pub struct Answer {
    pub after: Duration,
    pub outcome: Outcome,
}

pub fn ok(value: Value) -> Answer {
    after(0, Ok(value))
}

pub fn err(error: &str) -> Answer {
    after(0, Err(TaskFailure::new(error, "because")))
}

pub fn after(seconds: u64, outcome: Outcome) -> Answer {
    Answer {
        after: Duration::from_secs(seconds),
        outcome,
    }
}

/// One call that the machine made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Virtual milliseconds since the start.
    pub at: u128,
    pub path: String,
    pub call: TaskCall,
}

pub struct Scripted {
    start: Instant,
    pub random: Cell<f64>,
    uuids: Cell<u64>,
    script: RefCell<BTreeMap<String, VecDeque<Answer>>>,
    pub calls: RefCell<Vec<Call>>,
    pub events: RefCell<Vec<HistoryEvent>>,
    /// What S3 holds, by `BUCKET/KEY`.
    pub objects: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    pub reads: RefCell<Vec<ObjectCall>>,
    pub lists: RefCell<Vec<ListCall>>,
    /// What S3 answers to whoever writes.
    pub write_failure: RefCell<Option<TaskFailure>>,
    pub tokens: TaskTokens,
    /// What the call that starts a job answers; a host without it says nothing of the start.
    pub job: RefCell<Option<Value>>,
    /// The state in place of which an execution ends, and how.
    pub ends_at: RefCell<Option<(String, ExecutionStatus)>>,
}

impl Scripted {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            start: Instant::now(),
            random: Cell::new(0.5),
            uuids: Cell::new(0),
            script: RefCell::default(),
            calls: RefCell::default(),
            events: RefCell::default(),
            objects: Rc::default(),
            reads: RefCell::default(),
            lists: RefCell::default(),
            write_failure: RefCell::default(),
            tokens: TaskTokens::new(),
            job: RefCell::default(),
            ends_at: RefCell::default(),
        })
    }

    /// Resource `arn:test:NAME` answers this, in order; the last answer is given again and again.
    pub fn on(self: Rc<Self>, name: &str, answers: Vec<Answer>) -> Rc<Self> {
        self.script
            .borrow_mut()
            .insert(format!("arn:test:{name}"), answers.into());
        self
    }

    /// S3 holds this, as `BUCKET/KEY`.
    pub fn holds(self: Rc<Self>, path: &str, body: impl Into<Vec<u8>>) -> Rc<Self> {
        self.objects.borrow_mut().insert(path.to_owned(), body.into());
        self
    }

    /// The JSON that S3 holds.
    pub fn object(&self, path: &str) -> Value {
        serde_json::from_slice(&self.objects.borrow()[path]).expect("JSON")
    }

    pub fn elapsed_ms(&self) -> u128 {
        self.start.elapsed().as_millis()
    }

    /// The virtual times of the calls of one resource, in milliseconds.
    pub fn times(&self, name: &str) -> Vec<u128> {
        let resource = format!("arn:test:{name}");
        self.calls
            .borrow()
            .iter()
            .filter(|c| c.call.resource == resource)
            .map(|c| c.at)
            .collect()
    }

    pub fn token(&self, call: usize) -> String {
        self.calls.borrow()[call].call.task_token.clone().expect("a token")
    }
}

/// An object that comes seven bytes at a time.
struct InChunks(Vec<u8>);

impl ObjectReader for InChunks {
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>, TaskFailure>> {
        let rest = self.0.split_off(self.0.len().min(7));
        let chunk = std::mem::replace(&mut self.0, rest);
        Box::pin(async { Ok((!chunk.is_empty()).then_some(chunk)) })
    }
}

struct Written {
    path: String,
    body: Vec<u8>,
    objects: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
}

impl ObjectWriter for Written {
    fn write(&mut self, chunk: Vec<u8>) -> LocalBoxFuture<'_, Result<(), TaskFailure>> {
        self.body.extend(chunk);
        Box::pin(async { Ok(()) })
    }
    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), TaskFailure>> {
        let before = self.objects.borrow_mut().insert(self.path, self.body);
        assert_eq!(before, None, "nothing is written twice");
        Box::pin(async { Ok(()) })
    }
}

impl Host for Scripted {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
        start + self.start.elapsed()
    }
    fn random(&self) -> f64 {
        self.random.get()
    }
    fn uuid(&self) -> String {
        self.uuids.set(self.uuids.get() + 1);
        format!("00000000-0000-4000-8000-{:012}", self.uuids.get())
    }
    fn task(&self, call: TaskCall) -> LocalBoxFuture<'_, Outcome> {
        let answer = {
            let mut script = self.script.borrow_mut();
            let answers = script
                .get_mut(&call.resource)
                .unwrap_or_else(|| panic!("no script for {}", call.resource));
            match answers.len() {
                1 => answers[0].clone(),
                _ => answers.pop_front().expect("an answer"),
            }
        };
        if let Some(job) = &*self.job.borrow() {
            call.submission.submitted(job.clone());
        }
        let path = call.state_path.clone();
        self.calls.borrow_mut().push(Call {
            at: self.elapsed_ms(),
            path,
            call,
        });
        Box::pin(async move {
            sleep(answer.after).await;
            answer.outcome
        })
    }
    fn get_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectReader>, TaskFailure>> {
        let found = self
            .objects
            .borrow()
            .get(&format!("{}/{}", call.bucket, call.key))
            .cloned();
        self.reads.borrow_mut().push(call);
        Box::pin(async move {
            let body = found.ok_or_else(|| TaskFailure::new("S3.NoSuchKey", "gone"))?;
            Ok(Box::new(InChunks(body)) as Box<dyn ObjectReader>)
        })
    }
    /// Pages of two.
    fn list_objects(&self, call: ListCall) -> LocalBoxFuture<'_, Result<Vec<ListedObject>, TaskFailure>> {
        let objects = self.objects.borrow();
        let keys = objects
            .iter()
            .filter_map(|(path, body)| Some((path.strip_prefix(&format!("{}/", call.bucket))?, body)));
        let after = call.after.as_deref().unwrap_or_default();
        let listed = keys
            .filter(|(key, _)| key.starts_with(&call.prefix) && *key > after)
            .take(2);
        let page = listed.map(|(key, body)| ListedObject {
            etag: "\"e\"".to_owned(),
            key: key.to_owned(),
            last_modified: "2022-11-17T15:44:41.5Z".parse().expect("a timestamp"),
            size: body.len() as u64,
            storage_class: "STANDARD".to_owned(),
        });
        let page = page.collect();
        drop(objects);
        self.lists.borrow_mut().push(call);
        Box::pin(async { Ok(page) })
    }
    fn put_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectWriter>, TaskFailure>> {
        let failure = self.write_failure.borrow().clone();
        let written = Written {
            path: format!("{}/{}", call.bucket, call.key),
            body: Vec::new(),
            objects: Rc::clone(&self.objects),
        };
        Box::pin(async move {
            match failure {
                Some(failure) => Err(failure),
                None => Ok(Box::new(written) as Box<dyn ObjectWriter>),
            }
        })
    }
    fn ends_at(&self, _: &str, state_name: &str) -> Option<ExecutionStatus> {
        let ends_at = self.ends_at.borrow();
        let (_, status) = ends_at.as_ref().filter(|(state, _)| state == state_name)?;
        Some(status.clone())
    }
    fn observe(&self, event: &HistoryEvent) {
        self.events.borrow_mut().push(event.clone());
    }
}

pub fn identity() -> ExecutionIdentity {
    ExecutionIdentity {
        arn: "arn:aws:states:eu-west-1:123456789012:execution:m:run".into(),
        name: "run".into(),
        role_arn: "arn:aws:iam::123456789012:role/m".into(),
        state_machine_arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:m".into(),
        state_machine_name: "m".into(),
        start_time: "2026-01-01T00:00:00Z".parse().expect("a timestamp"),
    }
}

/// A definition of these states that starts with `start`.
pub fn definition(start: &str, states: Value) -> Value {
    json!({"QueryLanguage": "JSONata", "StartAt": start, "States": states})
}

pub fn load(definition: &Value) -> Result<StateMachine, LoadErrors> {
    StateMachine::parse("m", &definition.to_string(), &BTreeMap::new())
}

pub fn execution(host: &Rc<Scripted>, definition: &Value, input: Value) -> Execution {
    let machine = load(definition).unwrap_or_else(|errors| panic!("{errors}"));
    let tokens = host.tokens.clone();
    Execution::new(Arc::new(machine), input, identity(), host.clone(), tokens)
}

pub async fn run(host: &Rc<Scripted>, definition: Value, input: Value) -> ExecutionResult {
    execution(host, &definition, input).run().await
}

/// Runs states from `start` and expects success.
pub async fn output(host: &Rc<Scripted>, start: &str, states: Value, input: Value) -> Value {
    match run(host, definition(start, states), input).await.status {
        ExecutionStatus::Succeeded { output } => output,
        other => panic!("{other:?}"),
    }
}

/// Runs states from `start` and expects a failure: its name and cause.
pub async fn failure(host: &Rc<Scripted>, start: &str, states: Value, input: Value) -> (String, String) {
    match run(host, definition(start, states), input).await.status {
        ExecutionStatus::Failed { error, cause } => (error, cause),
        other => panic!("{other:?}"),
    }
}

/// A Task of `arn:test:NAME` that ends its workflow, with more fields.
pub fn task(name: &str, more: Value) -> Value {
    let mut state = json!({"Type": "Task", "Resource": format!("arn:test:{name}")});
    let fields = state.as_object_mut().expect("an object");
    fields.extend(more.as_object().cloned().expect("an object"));
    if !fields.contains_key("Next") {
        fields.insert("End".into(), json!(true));
    }
    state
}

pub fn kinds(result: &ExecutionResult) -> Vec<&'static str> {
    result.history.iter().map(|event| event.kind.name()).collect()
}
