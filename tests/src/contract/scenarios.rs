//! The recovery machine and those of the scenarios: who starts whom, how often, and who does what.

use std::collections::BTreeSet;

use rehearsal::deployment::{MACHINES, states_of};
use serde_json::Value;
use shared::measure::Observed;
use shared::recovery::Outcome;
use shared::recovery::RECOVERY_MACHINE;
use shared::scenario_run::ScenarioEnd;
use states_language::{State, StateKind, Template, Workflow};

use super::breach::{Breach, Check};
use super::errors::START_ERRORS;
use super::graph;
use super::task::{called_folder, calls_function, field, starts_execution};

/// The one end of a scenario's machine.
const ENDED: &str = "ScenarioEnded";

/// What the recovery machine alone calls.
const NOT_FOR_SCENARIOS: [&str; 5] = [
    "announce",
    "close-recovery",
    "open-recovery",
    "stop-scenario",
    "write-report",
];

/// The evidence that closing and reports look for: what the first look found and asked people, and what they answered.
const EVIDENCE: [&str; 2] = ["assessment", "approval"];

/// What says who calls a function: it belongs to the call, and not to the step.
pub(super) const CALLER: &str = "caller";
const CALLS: &str = "$states.context.Execution.Id";

/// The integration that waits for an execution and gives its output as JSON.
const RUNS: &str = "arn:aws:states:::states:startExecution.sync:2";
/// Where the names of executions come from: they follow from the recovery's own.
const NAMES: [&str; 2] = ["$run.name", "$run.name_of_undo"];

fn breaches(texts: Vec<String>, check: Check) -> Vec<Breach> {
    texts.into_iter().map(|text| Breach::new(check, text)).collect()
}

/// What is wrong with the machine of a scenario.
pub(super) fn is_one(top: &Workflow) -> Vec<Breach> {
    let mut found = breaches(endings(top), Check::Endings);
    let mut texts = Vec::new();
    for state in graph::workflows(top)
        .into_iter()
        .flat_map(|workflow| workflow.states.values())
    {
        let folder = state.as_task().and_then(called_folder);
        if let Some(folder) = folder.filter(|folder| NOT_FOR_SCENARIOS.contains(folder)) {
            texts.push(format!(
                "{} calls {folder}, which the recovery machine does",
                state.path
            ));
        }
    }
    for state in first_tasks(top) {
        if !says_who_calls(state) {
            texts.push(format!(
                "{} can be the first Task, and does not pass `{CALLER}: {{% {CALLS} %}}`",
                state.path
            ));
        }
    }
    let names: BTreeSet<String> = states_of(RECOVERY_MACHINE).into_iter().collect();
    let twice = top
        .states
        .keys()
        .filter(|name| names.contains(*name) && *name != "Begin");
    texts.extend(
        twice.map(|name| format!("{name} is a state of the recovery machine too: a timeline has one line for both")),
    );
    found.extend(breaches(texts, Check::Scenarios));
    found
}

/// The Tasks that can be the first on a way from the start.
fn first_tasks(top: &Workflow) -> Vec<&State> {
    let is_work = |state: &State| {
        matches!(
            state.kind,
            StateKind::Task(_) | StateKind::Parallel(_) | StateKind::Map(_)
        )
    };
    let before = graph::ways(top, &top.start_at, is_work);
    let reached = before.into_keys().chain([top.start_at.as_str()]);
    let next = reached
        .filter_map(|name| top.states.get(name))
        .flat_map(|state| state.successors())
        .filter_map(|name| top.states.get(name));
    let mut first: Vec<&State> = next.filter(|state| is_work(state)).collect();
    first.sort_by_key(|state| &state.name);
    first.dedup_by_key(|state| &state.name);
    first
}

fn says_who_calls(state: &State) -> bool {
    let task = state.as_task().filter(|task| calls_function(task));
    let Some(Template::Object(arguments)) = task.and_then(|task| task.arguments.as_ref()) else {
        return false;
    };
    match field(arguments, "Payload") {
        Some(Template::Object(payload)) => field(payload, CALLER).and_then(Template::source) == Some(CALLS),
        _ => false,
    }
}

/// What a scenario's machine must give back, by the fields of what reads it.
fn endings(top: &Workflow) -> Vec<String> {
    let mut texts: Vec<String> = top
        .states
        .values()
        .filter(|state| state.is_terminal() && state.name != ENDED)
        .map(|state| format!("{} ends the machine; only {ENDED} may", state.name))
        .collect();
    let Some(ended) = top
        .states
        .get(ENDED)
        .filter(|state| matches!(state.kind, StateKind::Succeed))
    else {
        texts.push(format!("there is no Succeed state {ENDED}"));
        return texts;
    };
    let end = ScenarioEnd {
        outcome: Outcome::Failed,
        reason: None,
        failure: None,
        observed: Observed::default(),
        evidence: Default::default(),
        remaining: None,
    };
    let end = serde_json::to_value(end).unwrap_or_default();
    let mut compare = |what: &str, template: Option<&Template>, wanted: &Value| {
        let given: BTreeSet<String> = match template {
            Some(Template::Object(fields)) => fields.iter().map(|(name, _)| name.clone()).collect(),
            _ => BTreeSet::new(),
        };
        // What closing finds out by itself.
        let wanted = wanted.as_object().into_iter().flatten();
        let wanted: BTreeSet<String> = wanted
            .map(|(name, _)| name.clone())
            .filter(|name| name != "old_side_wrote_until")
            .collect();
        if given != wanted {
            texts.push(format!("{what} has {given:?}, and must have {wanted:?}"));
        }
    };
    compare("its output", ended.output.as_ref(), &end);
    let observed = match ended.output.as_ref() {
        Some(Template::Object(fields)) => field(fields, "observed"),
        _ => None,
    };
    compare("`observed` of its output", observed, &end["observed"]);
    let evidence = match ended.output.as_ref() {
        Some(Template::Object(fields)) => field(fields, "evidence"),
        _ => None,
    };
    let says = |name: &str| matches!(evidence, Some(Template::Object(fields)) if field(fields, name).is_some());
    let missing = EVIDENCE.into_iter().filter(|name| !says(name));
    texts.extend(missing.map(|name| format!("`evidence` of its output lacks `{name}`")));
    texts
}

/// What is wrong with how the recovery machine runs the machines of scenarios.
pub(super) fn runs_them(top: &Workflow) -> Vec<Breach> {
    let mut texts = Vec::new();
    let longest = MACHINES.iter().filter(|(name, _)| *name != RECOVERY_MACHINE);
    let longest = longest.filter_map(|(_, text)| serde_json::from_str::<Value>(text).ok()?["TimeoutSeconds"].as_u64());
    let longest = longest.max().unwrap_or_default();
    let mut names = Vec::new();
    for state in top.states.values() {
        let Some(task) = state.as_task().filter(|task| starts_execution(task)) else {
            continue;
        };
        let mut wrong = |what: String| texts.push(format!("{} {what}", state.path));
        if task.resource != RUNS {
            wrong(format!("starts by {}, and not by {RUNS}", task.resource));
        }
        let name = match &task.arguments {
            Some(Template::Object(arguments)) => field(arguments, "Name").and_then(Template::source),
            _ => None,
        };
        match name.filter(|name| NAMES.contains(name)) {
            Some(name) => names.push(name),
            None => wrong("names its execution in another way than by the recovery's own".to_owned()),
        }
        let waits = task.timeout_seconds.as_ref().and_then(Template::as_u64);
        if waits.is_none_or(|waits| waits <= longest) {
            wrong(format!(
                "does not wait longer than a scenario's machine may take, {longest} s"
            ));
        }
    }
    names.sort_unstable();
    if names != NAMES {
        texts.push(format!(
            "it starts executions called {names:?}, and must start {NAMES:?}, each in one state"
        ));
    }
    breaches(texts, Check::Scenarios)
}

/// Starting is tried again where Step Functions did not take it, and for no other reason: what was started is looked at.
pub(super) fn retry_of_start(state: &State) -> Option<Breach> {
    let retriers = state.retry.iter().filter(|retrier| retrier.max_attempts > 0);
    let named: BTreeSet<&str> = retriers
        .flat_map(|retrier| retrier.error_equals.iter().map(String::as_str))
        .collect();
    let wanted = BTreeSet::from(START_ERRORS);
    (named != wanted).then(|| {
        let text = format!("{} retries {named:?}, and must retry {wanted:?}", state.path);
        Breach::new(Check::Retries, text)
    })
}
