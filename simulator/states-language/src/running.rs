//! What the parts of an execution that runs have in common.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use jsonata_core::value::JValue;
use serde_json::Value;

use crate::history::{EventKind, HistoryEvent};
use crate::host::Host;
use crate::journal::Journal;
use crate::json;
use crate::status::ExecutionStatus;
use crate::time::rfc3339;
use crate::tokens::TaskTokens;
use crate::told::Told;

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
pub struct AbortHandle(Told<(String, String)>);

impl AbortHandle {
    /// Stops the execution at its next await; later calls change nothing.
    pub fn stop(&self, error: &str, cause: &str) {
        self.0.tell((error.to_owned(), cause.to_owned()));
    }

    pub(crate) async fn stopped(&self) -> (String, String) {
        self.0.wait().await
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
    /// A child of a distributed Map, whose events are not kept.
    pub(crate) fn child(identity: ExecutionIdentity, input: &Value, host: Rc<dyn Host>, tokens: TaskTokens) -> Self {
        let journal = Journal::observed(Arc::from(identity.arn.as_str()), Rc::clone(&host));
        Self {
            journal,
            ..Self::new(identity, input, host, tokens, Vec::new())
        }
    }

    /// `history` has the events before a redrive; it is empty unless the execution is redriven.
    pub(crate) fn new(
        identity: ExecutionIdentity,
        input: &Value,
        host: Rc<dyn Host>,
        tokens: TaskTokens,
        history: Vec<HistoryEvent>,
    ) -> Self {
        let text = |s: &str| JValue::from(s);
        let mut execution = vec![
            ("Id".to_owned(), text(&identity.arn)),
            ("Input".to_owned(), json::to_jsonata(input)),
            ("Name".to_owned(), text(&identity.name)),
            ("RedriveCount".to_owned(), JValue::from(redrives(&history))),
            ("RoleArn".to_owned(), text(&identity.role_arn)),
            ("StartTime".to_owned(), text(&rfc3339(identity.start_time))),
        ];
        if !history.is_empty() {
            execution.push(("RedriveTime".to_owned(), text(&rfc3339(host.now()))));
        }
        let execution_context = json::object(execution);
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

/// How often an execution with this history before it has been redriven, this time included.
fn redrives(history: &[HistoryEvent]) -> usize {
    let before = history
        .iter()
        .filter(|event| event.kind == EventKind::ExecutionRedriven);
    before.count() + usize::from(!history.is_empty())
}

/// What an execution begins with: its input, and where a redrive goes on from.
pub(crate) struct Begin {
    pub input: Arc<Value>,
    pub from: Option<Unfinished>,
}
