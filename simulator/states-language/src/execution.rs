//! Running a machine: from its start to the event that ends it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jsonata_core::value::JValue;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::definition::{StateMachine, Workflow};
use crate::errors::{TaskFailure, names};
use crate::history::{EventDetails, EventKind, HistoryEvent, Journal, Place};
use crate::host::Host;
use crate::json;
use crate::run::{Frame, Scope, run_workflow};
use crate::time::rfc3339;
use crate::tokens::TaskTokens;

/// Who an execution is; `$states.context` tells it to the machine.
#[derive(Clone, Debug)]
pub struct ExecutionIdentity {
    /// `arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME`.
    pub arn: String,
    /// The execution's name.
    pub name: String,
    /// The role that the machine runs as.
    pub role_arn: String,
    /// `arn:aws:states:REGION:ACCOUNT:stateMachine:MACHINE`.
    pub state_machine_arn: String,
    /// The machine's name.
    pub state_machine_name: String,
    /// When it was started.
    pub start_time: Timestamp,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecutionStatus {
    /// Well, with this output.
    Succeeded {
        /// The output of the last state.
        output: Value,
    },
    /// A failure that nothing caught, or a Fail state.
    Failed {
        /// The error's name; may be empty for a Fail state without `Error`.
        error: String,
        /// The explanation.
        cause: String,
    },
    /// The machine's own `TimeoutSeconds` ran out.
    TimedOut,
    /// Stopped from outside.
    Aborted {
        /// As given by who stopped it.
        error: String,
        /// As given by who stopped it.
        cause: String,
    },
}

/// What is left of an execution.
#[derive(Clone, Debug)]
pub struct ExecutionResult {
    /// How it ended.
    pub status: ExecutionStatus,
    /// Its events, in order; those of child executions are only observed.
    pub history: Vec<HistoryEvent>,
    /// State transitions as AWS bills them: states entered and retries, children's included.
    pub transitions: u64,
    /// The runs of distributed Maps, in the order in which they ended.
    pub map_runs: Vec<MapRun>,
    /// Where it stopped; nothing where it succeeded.
    pub unfinished: Option<Unfinished>,
}

/// Where an execution stopped that did not succeed: what a redrive goes on from.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// The state at the top level that it was in.
    pub state: String,
    /// The input of that state.
    pub input: Arc<Value>,
    /// The variables of the top level.
    pub variables: BTreeMap<String, Value>,
}

/// What is left of one run of a distributed Map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRun {
    /// `arn:aws:states:REGION:ACCOUNT:mapRun:MACHINE/LABEL:UUID`.
    pub arn: String,
    /// The Map's path.
    pub path: String,
    /// How many items it was given.
    pub items: usize,
    /// How many of them succeeded.
    pub succeeded: usize,
    /// How many of them failed.
    pub failed: usize,
    /// How many child executions were started.
    pub children: usize,
    /// The length of the longest child history, in events.
    pub longest_history: usize,
}

/// Stops an execution from outside, as `StopExecution` does: no catcher runs.
#[derive(Clone, Debug, Default)]
pub struct AbortHandle(Arc<Abort>);

#[derive(Debug, Default)]
struct Abort {
    reason: Mutex<Option<(String, String)>>,
    given: Notify,
}

impl AbortHandle {
    /// Stops the execution at its next await; later calls change nothing.
    pub fn stop(&self, error: &str, cause: &str) {
        let mut reason = self.reason();
        if reason.is_none() {
            *reason = Some((error.to_owned(), cause.to_owned()));
            self.0.given.notify_one();
        }
    }

    fn reason(&self) -> std::sync::MutexGuard<'_, Option<(String, String)>> {
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn stopped(&self) -> (String, String) {
        loop {
            let reason = self.reason().clone();
            match reason {
                Some(reason) => return reason,
                None => self.0.given.notified().await,
            }
        }
    }
}

/// An execution that has not been run yet.
pub struct Execution {
    machine: Arc<StateMachine>,
    input: Value,
    identity: ExecutionIdentity,
    host: Rc<dyn Host>,
    tokens: TaskTokens,
    abort: AbortHandle,
    redriven: Option<(Unfinished, Vec<HistoryEvent>)>,
}

impl Execution {
    /// An execution of `machine` with this input.
    ///
    /// `tokens` is shared with whoever answers `.waitForTaskToken` Tasks.
    pub fn new(
        machine: Arc<StateMachine>,
        input: Value,
        identity: ExecutionIdentity,
        host: Rc<dyn Host>,
        tokens: TaskTokens,
    ) -> Self {
        Self {
            machine,
            input,
            identity,
            host,
            tokens,
            abort: AbortHandle::default(),
            redriven: None,
        }
    }

    /// The same execution, as `RedriveExecution` restarts it: it goes on from the state that it stopped in, with that
    /// state's input and the variables of then, after `history`. A Parallel or Map runs again as a whole, where AWS runs
    /// those branches again that had not succeeded.
    pub fn redriven(self, unfinished: Unfinished, history: Vec<HistoryEvent>) -> Self {
        Self {
            redriven: Some((unfinished, history)),
            ..self
        }
    }

    /// What stops it while it runs.
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    /// Runs it to its end. Needs a tokio runtime with time; spawns nothing.
    pub async fn run(self) -> ExecutionResult {
        let timeout = self.machine.timeout_seconds.map(Duration::from_secs);
        let input = Arc::new(self.input);
        let (from, history) = self.redriven.unzip();
        let run = Rc::new(Run::new(
            self.identity,
            &input,
            self.host,
            self.tokens,
            history.unwrap_or_default(),
        ));
        let workflow = &self.machine.workflow;
        let begin = Begin { input, from };
        let status = drive(&run, workflow, begin, timeout, &self.abort, (String::new(), None)).await;
        ExecutionResult {
            status,
            history: run.journal.take(),
            transitions: run.transitions.get(),
            map_runs: run.map_runs.take(),
            unfinished: run.unfinished.take(),
        }
    }
}

/// What all states of one execution share.
pub(crate) struct Run {
    pub identity: ExecutionIdentity,
    pub host: Rc<dyn Host>,
    pub tokens: TaskTokens,
    pub journal: Journal,
    pub transitions: Cell<u64>,
    pub map_runs: RefCell<Vec<MapRun>>,
    /// How the host ends it, once it has.
    pub ended: RefCell<Option<ExecutionStatus>>,
    /// The state at the top level that it is in.
    pub reached: RefCell<Option<(String, Arc<Value>)>>,
    pub unfinished: RefCell<Option<Unfinished>>,
    /// `$states.context.Execution`.
    pub execution_context: JValue,
    /// `$states.context.StateMachine`.
    pub machine_context: JValue,
}

impl Run {
    pub(crate) fn new(
        identity: ExecutionIdentity,
        input: &Value,
        host: Rc<dyn Host>,
        tokens: TaskTokens,
        history: Vec<HistoryEvent>,
    ) -> Self {
        let text = |s: &str| JValue::from(s);
        let execution_context = json::object([
            ("Id".to_owned(), text(&identity.arn)),
            ("Input".to_owned(), json::to_jsonata(input)),
            ("Name".to_owned(), text(&identity.name)),
            ("RoleArn".to_owned(), text(&identity.role_arn)),
            ("StartTime".to_owned(), text(&rfc3339(identity.start_time))),
        ]);
        let machine_context = json::object([
            ("Id".to_owned(), text(&identity.state_machine_arn)),
            ("Name".to_owned(), text(&identity.state_machine_name)),
        ]);
        Self {
            journal: Journal::new(Arc::from(identity.arn.as_str()), Rc::clone(&host), history),
            identity,
            host,
            tokens,
            transitions: Cell::new(0),
            map_runs: RefCell::default(),
            ended: RefCell::default(),
            reached: RefCell::default(),
            unfinished: RefCell::default(),
            execution_context,
            machine_context,
        }
    }
}

/// What an execution begins with: its input, and where a redrive goes on from.
pub(crate) struct Begin {
    pub input: Arc<Value>,
    pub from: Option<Unfinished>,
}

/// Runs a top-level workflow at a place (prefix of its paths, `$states.context.Map`), and writes the events that begin and end the execution.
pub(crate) async fn drive(
    run: &Rc<Run>,
    workflow: &Workflow,
    begin: Begin,
    timeout: Option<Duration>,
    abort: &AbortHandle,
    (prefix, map_context): (String, Option<JValue>),
) -> ExecutionStatus {
    let frame = Frame::new(Rc::clone(run), Scope::root(), prefix, map_context);
    frame.previous.set(run.journal.last());
    let dropped = Dropped { run, frame: &frame };
    let status = {
        let mut body = Box::pin(start(&frame, workflow, begin));
        let limit = async {
            match timeout {
                Some(timeout) => sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            (error, cause) = abort.stopped() => ExecutionStatus::Aborted { error, cause },
            result = &mut body => match result {
                Ok(output) => ExecutionStatus::Succeeded { output: Arc::unwrap_or_clone(output) },
                Err(TaskFailure { error, cause }) => {
                    let ended = run.ended.take();
                    ended.unwrap_or(ExecutionStatus::Failed { error, cause })
                }
            },
            () = limit => ExecutionStatus::TimedOut,
        }
    };
    let (kind, details) = match &status {
        ExecutionStatus::Succeeded { output } => (
            EventKind::ExecutionSucceeded,
            EventDetails {
                output: Some(Arc::new(output.clone())),
                ..EventDetails::default()
            },
        ),
        ExecutionStatus::Failed { error, cause } => (
            EventKind::ExecutionFailed,
            EventDetails::failure(&TaskFailure::new(error, cause)),
        ),
        ExecutionStatus::TimedOut => (
            EventKind::ExecutionTimedOut,
            EventDetails {
                error: Some(names::TIMEOUT.to_owned()),
                ..EventDetails::default()
            },
        ),
        ExecutionStatus::Aborted { error, cause } => (
            EventKind::ExecutionAborted,
            EventDetails::failure(&TaskFailure::new(error, cause)),
        ),
    };
    run.journal.close(&frame.previous, kind, details);
    drop(dropped);
    if !matches!(status, ExecutionStatus::Succeeded { .. }) {
        let reached = run.reached.take();
        *run.unfinished.borrow_mut() = reached.map(|(state, input)| Unfinished {
            state,
            input,
            variables: frame.variables(),
        });
    }
    status
}

async fn start(frame: &Frame, workflow: &Workflow, begin: Begin) -> Result<Arc<Value>, TaskFailure> {
    let Begin { input, from } = begin;
    if let Some(from) = from {
        frame.log(&Place::nowhere(), EventKind::ExecutionRedriven, EventDetails::default())?;
        frame.set_variables(&from.variables);
        return run_workflow(frame, workflow, &from.state, Arc::clone(&from.input)).await;
    }
    frame.log(
        &Place::nowhere(),
        EventKind::ExecutionStarted,
        EventDetails {
            input: Some(Arc::clone(&input)),
            ..EventDetails::default()
        },
    )?;
    let bytes = json::size(&*input);
    if bytes > json::PAYLOAD_LIMIT_BYTES {
        return Err(TaskFailure::too_large("the execution's input", bytes));
    }
    run_workflow(frame, workflow, &workflow.start_at, input).await
}

/// Ends the history of an execution that is dropped while it runs: a child of a Map that failed.
struct Dropped<'a> {
    run: &'a Run,
    frame: &'a Frame,
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if !self.run.journal.is_closed() {
            let details = EventDetails::default();
            let previous = &self.frame.previous;
            self.run.journal.close(previous, EventKind::ExecutionAborted, details);
        }
    }
}
