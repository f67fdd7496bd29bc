//! Running states: what every type has in common.

mod choice;
mod distributed;
mod map;
mod parallel;
mod task;
mod wait;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use jsonata_core::evaluator::{Context, Evaluator};
use jsonata_core::value::JValue;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::definition::{Assign, Catcher, State, StateKind, Transition, Workflow};
use crate::errors::TaskFailure;
use crate::expression::Template;
use crate::functions;
use crate::history::{EventDetails, EventKind};
use crate::journal::Place;
use crate::json;
use crate::retry;
use crate::running::Run;
use crate::time::rfc3339;

/// The variables of one scope, and of those around it.
pub(crate) struct Scope {
    outer: Option<Rc<Scope>>,
    values: RefCell<BTreeMap<String, Variable>>,
    /// The bytes of all variables of the execution.
    stored: Rc<Cell<usize>>,
}

struct Variable {
    value: JValue,
    bytes: usize,
}

/// What all variables of an execution may take together, in bytes.
const VARIABLES_LIMIT_BYTES: usize = 10 * 1024 * 1024;

impl Scope {
    pub(crate) fn root() -> Rc<Self> {
        Rc::new(Self {
            outer: None,
            values: RefCell::default(),
            stored: Rc::default(),
        })
    }

    fn inner(self: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self {
            outer: Some(Rc::clone(self)),
            values: RefCell::default(),
            stored: Rc::clone(&self.stored),
        })
    }

    fn bind(&self, context: &mut Context) {
        if let Some(outer) = &self.outer {
            outer.bind(context);
        }
        for (name, variable) in self.values.borrow().iter() {
            context.bind(name.clone(), variable.value.clone());
        }
    }

    fn set(&self, name: &str, value: &Value) {
        let variable = Variable {
            value: json::to_jsonata(value),
            bytes: json::size(value),
        };
        let added = variable.bytes;
        let replaced = self.values.borrow_mut().insert(name.to_owned(), variable);
        let removed = replaced.map_or(0, |old| old.bytes);
        self.stored.set(self.stored.get() + added - removed);
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let bytes: usize = self.values.borrow().values().map(|v| v.bytes).sum();
        self.stored.set(self.stored.get().saturating_sub(bytes));
    }
}

/// Where a workflow runs: which execution, which branch, which item.
pub(crate) struct Frame {
    pub run: Rc<Run>,
    pub previous: Cell<u64>,
    scope: Rc<Scope>,
    prefix: String,
    /// `$states.context.Map`.
    map_context: Option<JValue>,
}

impl Frame {
    pub(crate) fn new(run: Rc<Run>, scope: Rc<Scope>, prefix: String, map_context: Option<JValue>) -> Self {
        Self {
            run,
            previous: Cell::new(0),
            scope,
            prefix,
            map_context,
        }
    }

    /// The frame of a branch or an iteration.
    fn inner(&self, prefix: String, map_context: Option<JValue>) -> Self {
        Self {
            run: Rc::clone(&self.run),
            previous: self.previous.clone(),
            scope: self.scope.inner(),
            prefix,
            map_context: map_context.or_else(|| self.map_context.clone()),
        }
    }

    /// Whether it is the frame of a branch or an iteration.
    fn is_inner(&self) -> bool {
        self.scope.outer.is_some()
    }

    pub(crate) fn log(&self, place: &Place, kind: EventKind, details: EventDetails) -> Result<(), TaskFailure> {
        self.run.journal.push(&self.previous, place, kind, details)
    }

    /// The variables of its own scope. What JSON cannot say, which no state can assign, is left out.
    pub(crate) fn variables(&self) -> BTreeMap<String, Value> {
        let values = self.scope.values.borrow();
        let each = values.iter().filter_map(|(name, variable)| {
            let value = json::from_jsonata(&variable.value).ok()?;
            Some((name.clone(), value))
        });
        each.collect()
    }

    pub(crate) fn set_variables(&self, variables: &BTreeMap<String, Value>) {
        for (name, value) in variables {
            self.scope.set(name, value);
        }
    }
}

/// Runs a workflow from a state to its end; its output, or why it failed.
pub(crate) fn run_workflow<'a>(
    frame: &'a Frame,
    workflow: &'a Workflow,
    from: &'a str,
    input: Arc<Value>,
) -> LocalBoxFuture<'a, Result<Arc<Value>, TaskFailure>> {
    Box::pin(async move {
        let mut name = from;
        let mut input = input;
        loop {
            if frame.prefix.is_empty() {
                *frame.run.reached.borrow_mut() = Some((name.to_owned(), Arc::clone(&input)));
            }
            // Loading has made sure that every transition leads to a state.
            let Some(state) = workflow.states.get(name) else {
                return Err(TaskFailure::runtime(format!("there is no state `{name}`")));
            };
            let visit = Visit::enter(frame, state, input)?;
            let done = visit.run().await?;
            visit.leave(&done)?;
            match done.next {
                Some(next) => name = next,
                None => return Ok(done.output),
            }
            input = done.output;
        }
    })
}

/// How a state was left.
struct Done<'a> {
    output: Arc<Value>,
    assigned: Vec<(&'a str, Value)>,
    /// None at the end of the workflow.
    next: Option<&'a str>,
}

/// One stay in a state, from entering to leaving it, retries included.
struct Visit<'a> {
    frame: &'a Frame,
    state: &'a State,
    place: Place,
    input: Arc<Value>,
    input_value: OnceCell<JValue>,
    entered: Timestamp,
    retries: Cell<u64>,
    token: RefCell<Option<String>>,
    /// `$states.context.Map` while this Map's own `ItemSelector` is evaluated.
    item: RefCell<Option<JValue>>,
}

/// What `$states` holds besides input and context.
enum Extra<'v> {
    Nothing,
    Result(&'v Value),
    Error(&'v Value),
}

impl<'a> Visit<'a> {
    fn enter(frame: &'a Frame, state: &'a State, input: Arc<Value>) -> Result<Self, TaskFailure> {
        let visit = Self {
            frame,
            state,
            place: Place {
                state: Arc::from(state.name.as_str()),
                path: Arc::from(format!("{}{}", frame.prefix, state.name)),
            },
            input,
            input_value: OnceCell::new(),
            entered: frame.run.host.now(),
            retries: Cell::new(0),
            token: RefCell::new(None),
            item: RefCell::new(None),
        };
        visit.log(
            visit.kinds().entered,
            EventDetails {
                input: Some(Arc::clone(&visit.input)),
                ..EventDetails::default()
            },
        )?;
        visit.count_transition();
        let run = &frame.run;
        match run.host.ends_at(&run.identity.arn, &state.name) {
            None => Ok(visit),
            Some(status) => {
                *run.ended.borrow_mut() = Some(status);
                Err(TaskFailure::runtime("the host has ended the execution"))
            }
        }
    }

    async fn run(&self) -> Result<Done<'a>, TaskFailure> {
        let guard = Guard {
            frame: self.frame,
            place: self.place.clone(),
            says: self.kinds().aborted.map(|kind| (kind, EventDetails::default())),
        };
        let result = match &self.state.kind {
            StateKind::Task(_) | StateKind::Parallel(_) | StateKind::Map(_) => self.work().await,
            StateKind::Choice(choice) => self.choice(choice),
            StateKind::Wait(wait) => self.wait(wait).await,
            StateKind::Pass | StateKind::Succeed => self.complete(None),
            StateKind::Fail(fail) => Err(self.fail(fail)),
        };
        if !result.as_ref().is_err_and(|failure| self.is_aborted_by(failure)) {
            guard.disarm();
        }
        result
    }

    /// Whether the state's own failure stops it too: a Task that fails its branch.
    fn is_aborted_by(&self, failure: &TaskFailure) -> bool {
        matches!(self.state.kind, StateKind::Task(_)) && self.frame.is_inner() && !failure.is_fatal()
    }

    /// Applies what was assigned: from here on, and not before, it can be read.
    fn leave(&self, done: &Done<'_>) -> Result<(), TaskFailure> {
        let Some(exited) = self.kinds().exited else {
            return Ok(());
        };
        let assigned = (!done.assigned.is_empty()).then(|| {
            let object = done.assigned.iter().cloned();
            Arc::new(Value::Object(
                object.map(|(name, value)| (name.to_owned(), value)).collect(),
            ))
        });
        self.log(
            exited,
            EventDetails {
                output: Some(Arc::clone(&done.output)),
                assigned,
                ..EventDetails::default()
            },
        )?;
        for (name, value) in &done.assigned {
            self.frame.scope.set(name, value);
        }
        Ok(())
    }

    /// A state that may fail, with its retriers and catchers.
    async fn work(&self) -> Result<Done<'a>, TaskFailure> {
        let state = self.state;
        let mut used = vec![0; state.retry.len()];
        loop {
            let attempt = match &state.kind {
                StateKind::Task(task) => self.task(task).await,
                StateKind::Parallel(parallel) => self.parallel(parallel).await,
                StateKind::Map(map) => self.map(map).await,
                _ => Err(TaskFailure::runtime("the state does no work")),
            };
            let failed_kind = self.kinds().failed.filter(|_| attempt.is_err());
            let failure = match attempt.and_then(|result| self.complete(Some(result))) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let retrier = state
                .retry
                .iter()
                .position(|retrier| retry::handles(&retrier.error_equals, &failure))
                .filter(|i| used[*i] < state.retry[*i].max_attempts);
            if let Some(i) = retrier {
                let retrier = &state.retry[i];
                let chance = if retrier.full_jitter {
                    self.frame.run.host.random()
                } else {
                    0.0
                };
                let delay = retry::delay(retrier, used[i], chance);
                used[i] += 1;
                self.retries.set(self.retries.get() + 1);
                self.count_transition();
                sleep(delay).await;
                continue;
            }
            // Only the last attempt is told of.
            if let Some(kind) = failed_kind
                && !failure.is_fatal()
            {
                self.log(kind, EventDetails::default())?;
            }
            let catcher = state
                .catch
                .iter()
                .find(|catcher| retry::handles(&catcher.error_equals, &failure));
            return match catcher {
                Some(catcher) => self.caught(catcher, &failure),
                None => Err(failure),
            };
        }
    }

    fn caught(&self, catcher: &'a Catcher, failure: &TaskFailure) -> Result<Done<'a>, TaskFailure> {
        let error = json!({"Error": failure.error, "Cause": failure.cause});
        let mut bench = self.bench(Extra::Error(&error));
        let assigned = bench.assign(&catcher.assign, "Catch/Assign")?;
        let output = match &catcher.output {
            Some(template) => Arc::new(bench.evaluate(template, "Catch/Output")?),
            None => Arc::new(error.clone()),
        };
        self.done(output, assigned, Some(&catcher.next))
    }

    /// The state's own `Assign` and `Output`, and where it leads.
    fn complete(&self, result: Option<Value>) -> Result<Done<'a>, TaskFailure> {
        let next = match &self.state.transition {
            Some(Transition::Next(next)) => Some(next.as_str()),
            Some(Transition::End) | None => None,
        };
        let result = result.map(Arc::new);
        let extra = match &result {
            Some(result) => Extra::Result(result),
            None => Extra::Nothing,
        };
        let mut bench = self.bench(extra);
        let assigned = bench.assign(&self.state.assign, "Assign")?;
        let output = match (&self.state.output, &result) {
            (Some(template), _) => Arc::new(bench.evaluate(template, "Output")?),
            (None, Some(result)) => Arc::clone(result),
            (None, None) => Arc::clone(&self.input),
        };
        self.done(output, assigned, next)
    }

    fn done(
        &self,
        output: Arc<Value>,
        assigned: Vec<(&'a str, Value)>,
        next: Option<&'a str>,
    ) -> Result<Done<'a>, TaskFailure> {
        if !Arc::ptr_eq(&output, &self.input) {
            self.check_size("the output", &output)?;
        }
        Ok(Done { output, assigned, next })
    }

    fn fail(&self, fail: &crate::definition::Fail) -> TaskFailure {
        let mut bench = self.bench(Extra::Nothing);
        let mut text = |template: &Option<Template>, field| {
            let text = template.as_ref().map(|template| bench.text(template, field));
            text.transpose()
        };
        match (text(&fail.error, "Error"), text(&fail.cause, "Cause")) {
            (Ok(error), Ok(cause)) => TaskFailure::given(error, cause),
            (Err(failure), _) | (_, Err(failure)) => failure,
        }
    }

    fn bench<'v>(&'v self, extra: Extra<'v>) -> Bench<'v, 'a> {
        Bench {
            visit: self,
            extra,
            evaluator: None,
        }
    }

    fn check_size(&self, what: &str, value: &Value) -> Result<(), TaskFailure> {
        let bytes = json::size(value);
        if bytes > json::PAYLOAD_LIMIT_BYTES {
            let what = format!("{what} of the state `{}`", self.state.name);
            return Err(TaskFailure::too_large(&what, bytes));
        }
        Ok(())
    }

    fn log(&self, kind: EventKind, details: EventDetails) -> Result<(), TaskFailure> {
        self.frame.log(&self.place, kind, details)
    }

    /// Logs a failure and hands it on; if there is no room for the event, that is the failure.
    fn log_failure(&self, kind: EventKind, failure: TaskFailure) -> TaskFailure {
        match self.log(kind, EventDetails::failure(&failure)) {
            Ok(()) => failure,
            Err(full) => full,
        }
    }

    fn count_transition(&self) {
        let transitions = &self.frame.run.transitions;
        transitions.set(transitions.get() + 1);
    }

    fn kinds(&self) -> Kinds {
        use EventKind as E;
        let failed = match self.state.kind {
            StateKind::Parallel(_) => Some(E::ParallelStateFailed),
            StateKind::Map(_) => Some(E::MapStateFailed),
            _ => None,
        };
        let (entered, exited, aborted) = match self.state.kind {
            StateKind::Task(_) => (E::TaskStateEntered, Some(E::TaskStateExited), Some(E::TaskStateAborted)),
            StateKind::Choice(_) => (E::ChoiceStateEntered, Some(E::ChoiceStateExited), None),
            StateKind::Wait(_) => (E::WaitStateEntered, Some(E::WaitStateExited), Some(E::WaitStateAborted)),
            StateKind::Pass => (E::PassStateEntered, Some(E::PassStateExited), None),
            StateKind::Succeed => (E::SucceedStateEntered, Some(E::SucceedStateExited), None),
            StateKind::Fail(_) => (E::FailStateEntered, None, None),
            StateKind::Parallel(_) => (
                E::ParallelStateEntered,
                Some(E::ParallelStateExited),
                Some(E::ParallelStateAborted),
            ),
            StateKind::Map(_) => (E::MapStateEntered, Some(E::MapStateExited), Some(E::MapStateAborted)),
        };
        Kinds {
            entered,
            exited,
            aborted,
            failed,
        }
    }

    /// `$states`.
    fn states(&self, extra: &Extra<'_>) -> JValue {
        let input = self.input_value.get_or_init(|| json::to_jsonata(&self.input));
        let mut fields = vec![
            ("input".to_owned(), input.clone()),
            ("context".to_owned(), self.context()),
        ];
        match extra {
            Extra::Nothing => {}
            Extra::Result(value) => fields.push(("result".to_owned(), json::to_jsonata(value))),
            Extra::Error(value) => fields.push(("errorOutput".to_owned(), json::to_jsonata(value))),
        }
        json::object(fields)
    }

    fn context(&self) -> JValue {
        let run = &self.frame.run;
        let mut state = vec![
            ("EnteredTime".to_owned(), JValue::from(rfc3339(self.entered))),
            ("Name".to_owned(), JValue::from(self.state.name.as_str())),
        ];
        if matches!(self.state.kind, StateKind::Task(_) | StateKind::Map(_)) {
            state.push(("RetryCount".to_owned(), JValue::from(self.retries.get())));
        }
        let mut fields = vec![
            ("Execution".to_owned(), run.execution_context.clone()),
            ("State".to_owned(), json::object(state)),
            ("StateMachine".to_owned(), run.machine_context.clone()),
        ];
        if let Some(token) = self.token.borrow().as_deref() {
            let token = json::object([("Token".to_owned(), JValue::from(token))]);
            fields.push(("Task".to_owned(), token));
        }
        let item = self.item.borrow();
        if let Some(map) = item.as_ref().or(self.frame.map_context.as_ref()) {
            fields.push(("Map".to_owned(), map.clone()));
        }
        json::object(fields)
    }
}

/// The events of a state's type.
struct Kinds {
    entered: EventKind,
    exited: Option<EventKind>,
    aborted: Option<EventKind>,
    failed: Option<EventKind>,
}

/// Says that a state or an iteration was stopped, when its future is dropped before it is done.
struct Guard<F: Deref<Target = Frame>> {
    frame: F,
    place: Place,
    says: Option<(EventKind, EventDetails)>,
}

impl<F: Deref<Target = Frame>> Guard<F> {
    fn disarm(mut self) {
        self.says = None;
    }
}

impl<F: Deref<Target = Frame>> Drop for Guard<F> {
    fn drop(&mut self) {
        if let Some((kind, details)) = self.says.take() {
            // A full history has no room for it, and nobody is left who could be told.
            let _ = self.frame.log(&self.place, kind, details);
        }
    }
}

/// Evaluates the templates of one state at one moment, with one evaluator.
struct Bench<'v, 'a> {
    visit: &'v Visit<'a>,
    extra: Extra<'v>,
    evaluator: Option<Evaluator>,
}

impl<'a> Bench<'_, 'a> {
    /// The template's value.
    fn evaluate(&mut self, template: &Template, field: &str) -> Result<Value, TaskFailure> {
        match template {
            Template::Literal(value) => Ok(value.clone()),
            Template::Expression(expression) => {
                let result = self.evaluator().evaluate(&expression.ast, &JValue::Undefined);
                let problem = match result {
                    Ok(value) => match json::from_jsonata(&value) {
                        Ok(value) => return Ok(value),
                        Err(problem) => problem.to_owned(),
                    },
                    Err(e) => format!("threw an error during evaluation. {}", e.message()),
                };
                Err(self.problem(&expression.source, field, &problem))
            }
            Template::Array(items) => items
                .iter()
                .enumerate()
                .map(|(i, item)| self.evaluate(item, &format!("{field}[{i}]")))
                .collect::<Result<Vec<Value>, _>>()
                .map(Value::Array),
            Template::Object(fields) => fields
                .iter()
                .map(|(key, value)| {
                    let value = self.evaluate(value, &format!("{field}/{key}"))?;
                    Ok((key.clone(), value))
                })
                .collect::<Result<serde_json::Map<_, _>, TaskFailure>>()
                .map(Value::Object),
        }
    }

    /// A string.
    fn text(&mut self, template: &Template, field: &str) -> Result<String, TaskFailure> {
        match self.evaluate(template, field)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(template, field, "a string", &other)),
        }
    }

    /// A whole number that is at least `least`.
    fn whole(&mut self, template: &Template, field: &str, least: u64) -> Result<u64, TaskFailure> {
        let value = self.evaluate(template, field)?;
        match value.as_u64().filter(|n| *n >= least) {
            Some(number) => Ok(number),
            None => {
                let expected = format!("a whole number, at least {least}");
                Err(self.wrong(template, field, &expected, &value))
            }
        }
    }

    fn assign(&mut self, assign: &'a Assign, field: &str) -> Result<Vec<(&'a str, Value)>, TaskFailure> {
        let mut assigned = Vec::with_capacity(assign.0.len());
        let mut bytes = 0;
        for (name, template) in &assign.0 {
            let value = self.evaluate(template, &format!("{field}/{name}"))?;
            bytes += json::size(&value);
            assigned.push((name.as_str(), value));
        }
        if bytes > json::PAYLOAD_LIMIT_BYTES {
            return Err(TaskFailure::too_large("what is assigned", bytes));
        }
        let stored = self.visit.frame.scope.stored.get() + bytes;
        if stored > VARIABLES_LIMIT_BYTES {
            return Err(TaskFailure::new(
                crate::errors::names::DATA_LIMIT_EXCEEDED,
                format!("the variables have {stored} bytes, more than the maximum of 10 MiB"),
            ));
        }
        Ok(assigned)
    }

    /// The failure for a value that its field cannot take.
    fn wrong(&self, template: &Template, field: &str, expected: &str, value: &Value) -> TaskFailure {
        let problem = format!("returned {}, where {expected} is needed", shortened(value));
        self.problem(template.source().unwrap_or_default(), field, &problem)
    }

    /// The failure for an input that is at fault itself: no field has a part in it.
    fn wrong_input(&self, problem: &str, input: &Value) -> TaskFailure {
        self.evaluation_failed(format!("{problem}: {}", shortened(input)), None)
    }

    fn problem(&self, source: &str, field: &str, problem: &str) -> TaskFailure {
        let state = &self.visit.state.name;
        let cause = format!(
            "An error occurred while executing the state '{state}'. The JSONata expression \
             '{source}' specified for the field '{field}' {problem}."
        );
        self.evaluation_failed(cause, Some(field))
    }

    fn evaluation_failed(&self, cause: String, field: Option<&str>) -> TaskFailure {
        let failure = TaskFailure::query(cause);
        let details = EventDetails {
            location: field.map(str::to_owned),
            ..EventDetails::failure(&failure)
        };
        match self.visit.log(EventKind::EvaluationFailed, details) {
            Ok(()) => failure,
            Err(full) => full,
        }
    }

    fn evaluator(&mut self) -> &mut Evaluator {
        let visit = self.visit;
        let extra = &self.extra;
        self.evaluator.get_or_insert_with(|| {
            let mut context = Context::new();
            visit.frame.scope.bind(&mut context);
            context.bind("states".to_owned(), visit.states(extra));
            functions::evaluator(&visit.frame.run.host, context)
        })
    }
}

/// A value's JSON, as much of it as a person needs.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 100 {
        return text;
    }
    text.chars().take(100).chain("…".chars()).collect()
}
