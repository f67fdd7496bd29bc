//! Running a machine: from its start to the event that ends it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jsonata_core::value::JValue;
use serde_json::Value;
use tokio::time::sleep;

use crate::definition::{StateMachine, Workflow};
use crate::errors::TaskFailure;
use crate::history::{EventDetails, EventKind, HistoryEvent};
use crate::host::Host;
use crate::journal::Place;
use crate::json;
use crate::run::{Frame, Scope, run_workflow};
use crate::running::{AbortHandle, Begin, ExecutionIdentity, MapRun, Run, Unfinished};
use crate::status::ExecutionStatus;
use crate::tokens::TaskTokens;

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
        let status = run
            .drive(workflow, begin, timeout, &self.abort, (String::new(), None))
            .await;
        ExecutionResult {
            status,
            history: run.journal.take(),
            transitions: run.transitions.get(),
            map_runs: run.map_runs.take(),
            unfinished: run.unfinished.take(),
        }
    }
}

impl Run {
    /// Runs a top-level workflow at a place (prefix of its paths, `$states.context.Map`), and writes the events that begin and end the execution.
    pub(crate) async fn drive(
        self: &Rc<Self>,
        workflow: &Workflow,
        begin: Begin,
        timeout: Option<Duration>,
        abort: &AbortHandle,
        (prefix, map_context): (String, Option<JValue>),
    ) -> ExecutionStatus {
        let frame = Frame::new(Rc::clone(self), Scope::root(), prefix, map_context);
        frame.previous.set(self.journal.last());
        let dropped = Dropped {
            run: self,
            frame: &frame,
        };
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
                    Err(TaskFailure { error, cause, .. }) => {
                        let ended = self.ended.take();
                        ended.unwrap_or_else(|| ExecutionStatus::Failed {
                            error: error.unwrap_or_default(),
                            cause: cause.unwrap_or_default(),
                        })
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
                EventDetails::failure(&TaskFailure::timeout()),
            ),
            ExecutionStatus::Aborted { error, cause } => (
                EventKind::ExecutionAborted,
                EventDetails::failure(&TaskFailure::new(error, cause)),
            ),
        };
        self.journal.close(&frame.previous, kind, details);
        drop(dropped);
        if !matches!(status, ExecutionStatus::Succeeded { .. }) {
            let reached = self.reached.take();
            *self.unfinished.borrow_mut() = reached.map(|(state, input)| Unfinished {
                state,
                input,
                variables: frame.variables(),
            });
        }
        status
    }
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
