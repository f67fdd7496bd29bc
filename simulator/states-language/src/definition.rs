//! A loaded machine: what its file says, checked, with every expression parsed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::expression::Template;
use crate::integration::Integration;

/// A state machine that passed every check of [`StateMachine::parse`](crate::StateMachine::parse).
#[derive(Debug)]
pub struct StateMachine {
    pub(crate) name: String,
    pub(crate) comment: Option<String>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) workflow: Workflow,
}

impl StateMachine {
    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its `Comment`.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Its `TimeoutSeconds`; none means that only AWS's year limits it.
    pub fn timeout_seconds(&self) -> Option<u64> {
        self.timeout_seconds
    }

    /// The top-level states.
    pub fn workflow(&self) -> &Workflow {
        &self.workflow
    }

    /// Every state, those of nested workflows right after the state that holds them.
    pub fn states(&self) -> Vec<&State> {
        let mut all = Vec::new();
        collect(&self.workflow, &mut all);
        all
    }

    /// The state with this path (`Recover.branch[1].Promote`).
    pub fn state(&self, path: &str) -> Option<&State> {
        self.states().into_iter().find(|state| state.path == path)
    }
}

fn collect<'a>(workflow: &'a Workflow, all: &mut Vec<&'a State>) {
    for state in workflow.states.values() {
        all.push(state);
        for nested in state.nested() {
            collect(nested, all);
        }
    }
}

/// States that lead to one another: a machine's top level, a Parallel's branch, a Map's processor.
#[derive(Debug)]
pub struct Workflow {
    /// The first state.
    pub start_at: String,
    /// The states by name.
    pub states: BTreeMap<String, State>,
}

/// One state.
#[derive(Debug)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Where it stands: `Guard`, `Recover.branch[1].Promote`, `Sweep.item.Delete`.
    pub path: String,
    /// Its `Comment`.
    pub comment: Option<String>,
    /// What it does.
    pub kind: StateKind,
    /// `Next` or `End`; none for Choice, Succeed and Fail.
    pub transition: Option<Transition>,
    /// Its own `Output` (for a Choice: of the default).
    pub output: Option<Template>,
    /// Its own `Assign` (for a Choice: of the default).
    pub assign: Assign,
    /// `Retry`, in order.
    pub retry: Vec<Retrier>,
    /// `Catch`, in order.
    pub catch: Vec<Catcher>,
    /// The source of every JSONata expression that stands directly in this state, with its field.
    pub expressions: Vec<(String, String)>,
}

impl State {
    /// The type's name as the definition writes it.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            StateKind::Task(_) => "Task",
            StateKind::Choice(_) => "Choice",
            StateKind::Wait(_) => "Wait",
            StateKind::Pass => "Pass",
            StateKind::Succeed => "Succeed",
            StateKind::Fail(_) => "Fail",
            StateKind::Parallel(_) => "Parallel",
            StateKind::Map(_) => "Map",
        }
    }

    /// `Next`, where there is one.
    pub fn next(&self) -> Option<&str> {
        match &self.transition {
            Some(Transition::Next(next)) => Some(next),
            _ => None,
        }
    }

    /// Whether the workflow may end with this state.
    pub fn is_terminal(&self) -> bool {
        matches!(self.transition, Some(Transition::End)) || matches!(self.kind, StateKind::Succeed | StateKind::Fail(_))
    }

    /// Every state that may follow in the same workflow: by `Next`, a Choice's rules and default, a catcher.
    pub fn successors(&self) -> Vec<&str> {
        let mut next: Vec<&str> = self.next().into_iter().collect();
        if let StateKind::Choice(choice) = &self.kind {
            next.extend(choice.rules.iter().map(|rule| rule.next.as_str()));
            next.extend(choice.default.as_deref());
        }
        next.extend(self.catch.iter().map(|catcher| catcher.next.as_str()));
        next
    }

    /// The workflows inside: branches of a Parallel, the processor of a Map.
    pub fn nested(&self) -> Vec<&Workflow> {
        match &self.kind {
            StateKind::Parallel(parallel) => parallel.branches.iter().collect(),
            StateKind::Map(map) => vec![&map.processor],
            _ => Vec::new(),
        }
    }

    /// The Task, if it is one.
    pub fn as_task(&self) -> Option<&Task> {
        match &self.kind {
            StateKind::Task(task) => Some(task),
            _ => None,
        }
    }

    /// The names of the variables that this state assigns, on any way out of it.
    pub fn assigned_variables(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.assign.names().collect();
        if let StateKind::Choice(choice) = &self.kind {
            names.extend(choice.rules.iter().flat_map(|rule| rule.assign.names()));
        }
        names.extend(self.catch.iter().flat_map(|catcher| catcher.assign.names()));
        names
    }
}

/// Where a state leads when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// To this state.
    Next(String),
    /// To the end of its workflow.
    End,
}

/// What a state does, with the fields that only its type has.
#[derive(Debug)]
pub enum StateKind {
    /// Calls something outside.
    Task(Task),
    /// Goes where the first condition that holds says.
    Choice(Choice),
    /// Lets time pass.
    Wait(Wait),
    /// Does nothing but `Assign` and `Output`.
    Pass,
    /// Ends its workflow well.
    Succeed,
    /// Ends its workflow badly.
    Fail(Fail),
    /// Runs branches side by side.
    Parallel(Parallel),
    /// Runs its processor once for every item.
    Map(Box<Map>),
}

/// The fields of a Task.
#[derive(Debug)]
pub struct Task {
    /// The ARN as written, ending included, substitutions filled in.
    pub resource: String,
    /// What the ending of `resource` asks for.
    pub integration: Integration,
    /// `Arguments`; without them the state's input is sent.
    pub arguments: Option<Template>,
    /// `TimeoutSeconds` (seconds); without it AWS waits 99,999,999 s.
    pub timeout_seconds: Option<Template>,
    /// `HeartbeatSeconds` (seconds).
    pub heartbeat_seconds: Option<Template>,
}

/// The fields of a Choice.
#[derive(Debug)]
pub struct Choice {
    /// The rules, in order.
    pub rules: Vec<ChoiceRule>,
    /// `Default`.
    pub default: Option<String>,
}

/// One rule of a Choice.
#[derive(Debug)]
pub struct ChoiceRule {
    /// What must be true.
    pub condition: Template,
    /// Where it leads then.
    pub next: String,
    /// Its own `Output`.
    pub output: Option<Template>,
    /// Its own `Assign`.
    pub assign: Assign,
}

/// How long a Wait waits.
#[derive(Debug)]
pub enum Wait {
    /// For this many seconds.
    Seconds(Template),
    /// Until this moment (RFC 3339).
    Timestamp(Template),
}

/// The fields of a Fail.
#[derive(Debug)]
pub struct Fail {
    /// `Error`.
    pub error: Option<Template>,
    /// `Cause`.
    pub cause: Option<Template>,
}

/// The fields of a Parallel.
#[derive(Debug)]
pub struct Parallel {
    /// The branches, in order.
    pub branches: Vec<Workflow>,
    /// `Arguments`: the input of every branch; without them it is the state's input.
    pub arguments: Option<Template>,
}

/// The fields of a Map.
#[derive(Debug)]
pub struct Map {
    /// What runs for every item.
    pub processor: Workflow,
    /// Inline or distributed.
    pub mode: MapMode,
    /// `Items`; without them the state's input.
    pub items: Option<Template>,
    /// `ItemSelector`.
    pub item_selector: Option<Template>,
    /// `MaxConcurrency`; 0 and none mean as many as AWS allows (40 inline, 10,000 distributed).
    pub max_concurrency: Option<Template>,
}

/// How a Map runs its items.
#[derive(Debug)]
pub enum MapMode {
    /// Inside the execution.
    Inline,
    /// Each item, or batch of items, in a child execution with its own history.
    Distributed(Box<Distributed>),
}

/// The fields that only a distributed Map has.
#[derive(Debug)]
pub struct Distributed {
    /// `STANDARD` or `EXPRESS` children.
    pub execution_type: ExecutionType,
    /// `Label`, at most 40 characters.
    pub label: Option<String>,
    /// `ItemReader`.
    pub item_reader: Option<ItemReader>,
    /// `ItemBatcher`.
    pub item_batcher: Option<ItemBatcher>,
    /// `ResultWriter`.
    pub result_writer: Option<ResultWriter>,
    /// `ToleratedFailureCount`.
    pub tolerated_failure_count: Option<Template>,
    /// `ToleratedFailurePercentage`, 0 to 100.
    pub tolerated_failure_percentage: Option<Template>,
}

/// The type of a distributed Map's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionType {
    /// Up to a year, 25,000 history events.
    Standard,
    /// Up to 5 minutes, without `.sync` and `.waitForTaskToken`.
    Express,
}

/// Where a distributed Map reads its items.
#[derive(Debug)]
pub struct ItemReader {
    /// What is called to read them: `s3:getObject` or `s3:listObjectsV2`.
    pub resource: String,
    /// `Arguments`: `Bucket`, and `Key` with `VersionId`, or `Prefix`.
    pub arguments: Option<Template>,
    /// What the items are.
    pub format: ItemFormat,
    /// `MaxItems` of `ReaderConfig`; 0 and none mean all.
    pub max_items: Option<Template>,
}

/// What the items of an `ItemReader` are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemFormat {
    /// The objects of a bucket, as `ListObjectsV2` tells them.
    Objects,
    /// The elements of a JSON array.
    Json,
    /// The lines of an object of JSON Lines.
    JsonLines,
    /// The records of delimited text.
    Csv {
        /// What separates fields: one of `,`, `|`, `;`, the space and the tabulator.
        delimiter: u8,
        /// `CSVHeaders`; none with `FIRST_ROW`.
        headers: Option<Vec<String>>,
    },
    /// The records of the objects that the manifest of an S3 inventory names.
    Inventory,
}

/// How items are put into batches.
#[derive(Debug)]
pub struct ItemBatcher {
    /// `MaxItemsPerBatch`.
    pub max_items: Option<Template>,
    /// `MaxInputBytesPerBatch` (bytes).
    pub max_bytes: Option<Template>,
    /// `BatchInput`, given to every batch.
    pub input: Option<Template>,
}

/// What becomes of the results of a distributed Map.
#[derive(Debug)]
pub struct ResultWriter {
    /// Where they are written; without it they are the state's result.
    pub destination: Option<ResultDestination>,
    /// `Transformation` of `WriterConfig`.
    pub transformation: Transformation,
    /// `OutputType` of `WriterConfig`.
    pub output_type: OutputType,
}

/// Where a distributed Map writes its results.
#[derive(Debug)]
pub struct ResultDestination {
    /// What is called to write them: `s3:putObject`.
    pub resource: String,
    /// `Arguments`: `Bucket` and `Prefix`.
    pub arguments: Option<Template>,
}

/// What is written of each child execution that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transformation {
    /// Its record, with input and output as texts.
    None,
    /// Its output.
    Compact,
    /// Its output, or each element of it if that is an array.
    Flatten,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    /// As one array.
    Json,
    /// As JSON Lines.
    JsonLines,
}

/// The variables that a state sets when it is left, in the order of their names.
#[derive(Debug, Default)]
pub struct Assign(pub(crate) Vec<(String, Template)>);

impl Assign {
    /// What a variable is set to, where that is no expression.
    pub fn literal(&self, name: &str) -> Option<&Value> {
        let (_, template) = self.0.iter().find(|(other, _)| other == name)?;
        template.as_literal()
    }

    /// The variables' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Whether nothing is assigned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One entry of `Retry`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrier {
    /// The names of the errors that it retries.
    pub error_equals: Vec<String>,
    /// The first delay, in seconds (default 1).
    pub interval_seconds: u64,
    /// How often at most (default 3; 0: never).
    pub max_attempts: u64,
    /// What each delay is multiplied with for the next (default 2.0).
    pub backoff_rate: f64,
    /// The longest delay, in seconds.
    pub max_delay_seconds: Option<u64>,
    /// Whether the delay is drawn from between zero and its full length.
    pub full_jitter: bool,
}

/// One entry of `Catch`.
#[derive(Debug)]
pub struct Catcher {
    /// The names of the errors that it catches.
    pub error_equals: Vec<String>,
    /// Where it leads.
    pub next: String,
    /// Its own `Output`; without it the error output.
    pub output: Option<Template>,
    /// Its own `Assign`.
    pub assign: Assign,
}
