//! What every state machine must hold to (design, sections 4 and 5), checked without running it.
//!
//! [`check`] is given a machine's text and what it must match, and lists every breach.

mod breach;
mod endings;
mod errors;
mod graph;
mod history;
mod loops;
mod scenarios;
mod task;

use std::collections::{BTreeMap, BTreeSet};

use rehearsal::deployment::{MACHINES, STEPS};
use shared::error::ErrorKind;
use shared::recovery::RECOVERY_MACHINE;
use shared::step::Caller;
use simulator::simulation::machine_hole;
use states_language::{Retrier, State, StateKind, StateMachine, Task, Template, names};

pub use breach::{Breach, Check};
pub use errors::{SERVICE_ERRORS, START_ERRORS, final_errors};
pub use history::MOST_EVENTS;

use crate::step_input::StepInput;
use task::{asks_people, called_folder, calls_function, field, filling, starts_execution};

/// Functions that no machine calls, as their steps say.
pub fn not_for_machines() -> Vec<&'static str> {
    let steps = STEPS.iter().filter(|step| !step.called_by.contains(&Caller::Machine));
    steps.map(|step| step.name).collect()
}

/// Holes of machines that are filled with something else than a function, each with what that is.
pub const OTHER_HOLES: [(&str, &str); 1] = [("ApprovalUrl", "https://approval.example")];

/// How long people have to answer: the one time limit that comes from the plan.
const PEOPLE_ANSWER_WITHIN: &str = "$plan.approval.answer_within_seconds";

/// What was found out about a machine.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What does not hold; empty is what is wanted.
    pub breaches: Vec<Breach>,
    /// The folders of the functions that it calls.
    pub called: BTreeSet<String>,
    /// The most history events that one execution can write, where that can be counted.
    pub worst_case: Option<u64>,
}

/// Checks the definition `text` of the machine `name` against the steps that exist: as the recovery machine, if it is
/// called like that, or as one of a scenario.
pub fn check(name: &str, text: &str, steps: &[StepInput]) -> Findings {
    let mut findings = Findings {
        breaches: arns(text),
        ..Findings::default()
    };
    let functions = steps.iter().map(|step| (step.hole(), filling(&step.folder)));
    let others = OTHER_HOLES.map(|(hole, filling)| (hole.to_owned(), filling.to_owned()));
    let machines = MACHINES
        .iter()
        .map(|(name, _)| (machine_hole(name), format!("machine:{name}")));
    let holes: BTreeMap<_, _> = functions.chain(others).chain(machines).collect();
    let machine = match StateMachine::parse(name, text, &holes) {
        Ok(machine) => machine,
        Err(errors) => {
            findings.breaches.push(Breach::new(Check::Loads, errors.to_string()));
            return findings;
        }
    };
    let mut breaches = header(&machine);
    for state in machine.states() {
        let in_branch = !machine.workflow().states.values().any(|top| std::ptr::eq(top, state));
        breaches.extend(state_name(state));
        breaches.extend(error_names(state));
        breaches.extend(catches(state, in_branch));
        breaches.extend(retried(state));
        if let Some(task) = state.as_task() {
            breaches.extend(retry_of_task(state));
            breaches.extend(timeout(state, task));
            breaches.extend(payload(state, task, steps));
            findings.called.extend(called_folder(task).map(str::to_owned));
        }
    }
    if name == RECOVERY_MACHINE {
        breaches.extend(endings::check(machine.workflow()));
        breaches.extend(scenarios::runs_them(machine.workflow()));
    } else {
        breaches.extend(scenarios::is_one(machine.workflow()));
    }
    let loops = loops::check(machine.workflow());
    // A loop without an end has no worst case.
    if loops.is_empty() {
        match history::worst_case(&machine) {
            Ok(events) => {
                findings.worst_case = Some(events);
                breaches.extend(too_many(events));
            }
            Err(why) => breaches.push(Breach::new(Check::History, why)),
        }
    }
    breaches.extend(loops);
    breaches.extend(loops::foreign_deadlines(name, text));
    findings.breaches.extend(breaches);
    findings
}

/// Lists the steps that no machine calls, though one should, and what `not_for_machines` says wrongly. `called` are
/// the folders that all machines together call.
pub fn uncalled(steps: &[StepInput], called: &BTreeSet<String>, not_for_machines: &[&str]) -> Vec<Breach> {
    let excused = |folder: &str| not_for_machines.contains(&folder);
    let forgotten = steps
        .iter()
        .map(|step| step.folder.as_str())
        .filter(|folder| !called.contains(*folder) && !excused(folder));
    let forgotten = forgotten.map(|folder| format!("no machine calls functions/{folder}"));
    let stale = not_for_machines.iter();
    let stale = stale.filter(|folder| called.contains(**folder) || !steps.iter().any(|step| step.folder == **folder));
    let stale =
        stale.map(|folder| format!("not_for_machines names {folder}, which does not exist or is called by a machine"));
    forgotten
        .chain(stale)
        .map(|text| Breach::new(Check::Uncalled, text))
        .collect()
}

fn header(machine: &StateMachine) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if machine.comment().is_none_or(|comment| comment.trim().is_empty()) {
        breaches.push(Breach::new(Check::Header, "there is no Comment at the top"));
    }
    if machine.timeout_seconds().is_none() {
        breaches.push(Breach::new(Check::Header, "there is no TimeoutSeconds at the top"));
    }
    breaches
}

/// ARNs other than those of integrations, which name no account.
fn arns(text: &str) -> Vec<Breach> {
    let found = text.match_indices("arn:").map(|(at, _)| &text[at..]);
    let found = found.filter(|rest| !rest.starts_with("arn:aws:states:::"));
    let found = found.map(|rest| rest.split(['"', '\'', ' ', '\\']).next().unwrap_or(rest));
    found
        .map(|arn| {
            Breach::new(
                Check::Arns,
                format!("the ARN `{arn}` stands in the machine; make it a hole"),
            )
        })
        .collect()
}

fn state_name(state: &State) -> Option<Breach> {
    let pascal = state.name.starts_with(|first: char| first.is_ascii_uppercase())
        && state.name.chars().all(|c| c.is_ascii_alphanumeric());
    (!pascal).then(|| Breach::new(Check::StateNames, format!("`{}` is not in Pascal case", state.path)))
}

fn error_names(state: &State) -> Vec<Breach> {
    let retried = state.retry.iter().flat_map(|retrier| &retrier.error_equals);
    let caught = state.catch.iter().flat_map(|catcher| &catcher.error_equals);
    // Loading has refused names that begin with "States." and do not exist.
    let exists = |name: &str| {
        name.starts_with("States.")
            || SERVICE_ERRORS.contains(&name)
            || START_ERRORS.contains(&name)
            || ErrorKind::ALL.iter().any(|kind| kind.name() == name)
    };
    let unknown = retried.chain(caught).filter(|name| !exists(name));
    unknown
        .map(|name| Breach::new(Check::ErrorNames, format!("{}: nobody raises `{name}`", state.path)))
        .collect()
}

/// What a Task, Parallel or Map must not retry, and how it must not.
fn retried(state: &State) -> Vec<Breach> {
    let terminal = |name: &&String| final_errors().contains(&name.as_str());
    // A Task that calls a function retries everything that is not final; that is looked at by itself.
    let wildcard = |name: &&String| {
        let is_all = name.as_str() == names::ALL && !state.as_task().is_some_and(retries_all_that_may_pass);
        is_all || name.as_str() == names::TASK_FAILED
    };
    let retriers = || state.retry.iter().filter(|retrier| retrier.max_attempts > 0);
    let wrong = retriers()
        .flat_map(|retrier| &retrier.error_equals)
        .filter(|name| terminal(name) || wildcard(name));
    let wrong = wrong.map(|name| {
        format!(
            "{} retries `{name}`, which is or covers what does not go away",
            state.path
        )
    });
    let hurried = |retrier: &&Retrier| !retrier.full_jitter || retrier.max_delay_seconds.is_none();
    let hurried = retriers().filter(hurried).map(|_| {
        format!(
            "{} retries without JitterStrategy FULL or without MaxDelaySeconds",
            state.path
        )
    });
    wrong
        .chain(hurried)
        .map(|text| Breach::new(Check::Retries, text))
        .collect()
}

/// Whether a Task calls a function and waits for its answer alone: asked again it does the same, whatever went wrong.
fn retries_all_that_may_pass(task: &Task) -> bool {
    calls_function(task) && !asks_people(task)
}

fn retry_of_task(state: &State) -> Option<Breach> {
    let task = state.as_task()?;
    if starts_execution(task) {
        return scenarios::retry_of_start(state);
    }
    let text = if retries_all_that_may_pass(task) {
        retry_of_function(state)
    } else {
        retry_of_question(state)
    };
    text.map(|text| Breach::new(Check::Retries, text))
}

/// A function is called again for everything but what is final: a list of what may pass would make final what it forgets, also
/// after a point of no return.
fn retry_of_function(state: &State) -> Option<String> {
    let [left_alone, again] = &state.retry[..] else {
        return Some(format!(
            "{} has {} retriers, and must have one for what is final and one for all else",
            state.path,
            state.retry.len()
        ));
    };
    let named: BTreeSet<&str> = left_alone.error_equals.iter().map(String::as_str).collect();
    let wanted = BTreeSet::from_iter(final_errors());
    if left_alone.max_attempts > 0 || named != wanted {
        let differ: Vec<&str> = named.symmetric_difference(&wanted).copied().collect();
        return Some(format!(
            "{} must leave alone, at first, with MaxAttempts 0, exactly what is final: {}",
            state.path,
            differ.join(", ")
        ));
    }
    let is_rest = again.error_equals == [names::ALL] && again.max_attempts > 0;
    (!is_rest).then(|| format!("{} does not retry {}", state.path, names::ALL))
}

/// A question is asked again where it was not asked: its task waits for people, whose silence is an answer.
fn retry_of_question(state: &State) -> Option<String> {
    let named = |name: &str| {
        let mut retriers = state.retry.iter().filter(|retrier| retrier.max_attempts > 0);
        retriers.any(|retrier| retrier.error_equals.iter().any(|retried| retried == name))
    };
    if named(names::TIMEOUT) {
        return Some(format!(
            "{} retries {}: that nobody answered is the answer",
            state.path,
            names::TIMEOUT
        ));
    }
    let kinds = ErrorKind::ALL
        .into_iter()
        .filter(|kind| kind.is_retryable())
        .map(ErrorKind::name);
    let missing: Vec<_> = kinds
        .chain(SERVICE_ERRORS)
        .filter(|name| !named(name) && *name != names::TIMEOUT)
        .collect();
    (!missing.is_empty()).then(|| format!("{} does not retry {}", state.path, missing.join(", ")))
}

fn timeout(state: &State, task: &Task) -> Option<Breach> {
    let limit = task.timeout_seconds.as_ref();
    let literal = limit.and_then(Template::as_u64).is_some();
    let from_the_plan = asks_people(task) && limit.and_then(Template::source) == Some(PEOPLE_ANSWER_WITHIN);
    (!literal && !from_the_plan).then(|| {
        Breach::new(
            Check::Timeouts,
            format!("{} has no TimeoutSeconds that is a number", state.path),
        )
    })
}

/// Whatever can fail ends with a catcher for everything. In a branch that is what keeps its siblings running.
fn catches(state: &State, in_branch: bool) -> Option<Breach> {
    let check = if in_branch { Check::Branches } else { Check::Catches };
    if in_branch && matches!(state.kind, StateKind::Fail(_)) {
        return Some(Breach::new(
            check,
            format!("{} fails its branch, which stops the siblings", state.path),
        ));
    }
    let can_fail = matches!(
        state.kind,
        StateKind::Task(_) | StateKind::Parallel(_) | StateKind::Map(_)
    );
    let caught = state
        .catch
        .last()
        .is_some_and(|catcher| catcher.error_equals == [names::ALL]);
    (can_fail && !caught).then(|| Breach::new(check, format!("{} has no last Catch on States.ALL", state.path)))
}

fn payload(state: &State, task: &Task, steps: &[StepInput]) -> Vec<Breach> {
    if !calls_function(task) {
        return Vec::new();
    }
    let breach = |text: String| Breach::new(Check::Payloads, format!("{} {text}", state.path));
    let Some(step) = called_folder(task).and_then(|folder| steps.iter().find(|step| step.folder == folder)) else {
        return vec![breach(
            "has a FunctionName that is not one hole, as in `${PromoteDatabase}`".to_owned(),
        )];
    };
    let payload = match &task.arguments {
        Some(Template::Object(arguments)) => field(arguments, "Payload"),
        _ => None,
    };
    let Some(Template::Object(payload)) = payload else {
        return vec![breach("has no Payload that is an object with `state` in it".to_owned())];
    };
    let mut breaches = Vec::new();
    if field(payload, "state").and_then(Template::source) != Some("$states.context.State") {
        breaches.push(breach("does not pass `state: {% $states.context.State %}`".to_owned()));
    }
    let passed: BTreeSet<&str> = payload
        .iter()
        .map(|(key, _)| key.as_str())
        .filter(|key| !["state", scenarios::CALLER].contains(key))
        .collect();
    let missing = step
        .fields
        .iter()
        .filter(|(name, required)| **required && !passed.contains(name.as_str()));
    breaches.extend(missing.map(|(name, _)| breach(format!("does not pass `{name}`, which {} needs", step.folder))));
    let unknown = passed.into_iter().filter(|name| !step.fields.contains_key(*name));
    breaches.extend(unknown.map(|name| breach(format!("passes `{name}`, which {} does not take", step.folder))));
    breaches
}

fn too_many(events: u64) -> Option<Breach> {
    let text = || format!("the worst case is {events} history events; {MOST_EVENTS} is the most that is allowed");
    (events >= MOST_EVENTS).then(|| Breach::new(Check::History, text()))
}
