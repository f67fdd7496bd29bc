//! The worst case of an execution's history, added up.
//!
//! Step Functions writes these events (states-language's history is held to the same):
//!
//! | state | events of one stay |
//! |---|---|
//! | Task | entered, exited; for each attempt scheduled, started, and succeeded, failed or timed out; with `.sync` or a token also submitted |
//! | Pass, Wait, Choice, Succeed | entered, exited |
//! | Fail | entered |
//! | Parallel | entered, exited; for each attempt started, what its branches write, and succeeded or failed |
//! | Map, inline | entered, exited; for each attempt started, for each item started, its states, and succeeded or failed; succeeded or failed |
//! | Map, distributed | entered, exited; for each attempt started, run started, run ended, and succeeded or failed; its children have histories of their own |
//!
//! An expression that fails writes `EvaluationFailed`: one for a stay that is then left by a catcher, one for each
//! attempt if it is retried. The execution itself writes two events, and one more if an expression fails it.
//!
//! The worst case takes the longest way, with all retries used up at every stay, in no time, and every loop turned until
//! its deadline. A state that is cut short (aborted) writes no more than one that is not.

use std::collections::BTreeMap;

use serde_json::Value;
use states_language::{Integration, MapMode, State, StateKind, StateMachine, Template, Workflow, names, retry};

use super::graph::{self, Loop};
use super::loops::{self, Pace};

/// The most events that a worst case may have. An execution ends, beyond any catching, at 25,000. Design, section 5.
pub const MOST_EVENTS: u64 = 15_000;

/// `ExecutionStarted`, the event that ends it, and `EvaluationFailed` in a state that cannot catch.
const OF_THE_EXECUTION: u64 = 3;

/// The most history events that one execution can write, of the machine itself or of a distributed Map's child.
///
/// # Errors
/// Why they cannot be counted.
pub(super) fn worst_case(machine: &StateMachine) -> Result<u64, String> {
    let children = machine.states().into_iter().filter_map(|state| match &state.kind {
        StateKind::Map(map) if matches!(map.mode, MapMode::Distributed(_)) => Some(&map.processor),
        _ => None,
    });
    let executions = [machine.workflow()].into_iter().chain(children);
    let events = executions.map(|workflow| of_workflow(workflow).map(|events| events + OF_THE_EXECUTION));
    events
        .collect::<Result<Vec<_>, _>>()
        .map(|events| events.into_iter().max().unwrap_or_default())
}

/// The events of the longest way through a workflow.
fn of_workflow(workflow: &Workflow) -> Result<u64, String> {
    let loops = graph::loops(workflow);
    let mut known = BTreeMap::new();
    from(workflow, &loops, &workflow.start_at, &mut known)
}

/// The events from entering `name` to the workflow's end. A loop counts as one stay, after which every way out is open.
fn from<'a>(
    workflow: &'a Workflow,
    loops: &[Loop<'a>],
    name: &str,
    known: &mut BTreeMap<&'a str, u64>,
) -> Result<u64, String> {
    let Some((name, state)) = workflow.states.get_key_value(name) else {
        return Err(format!("there is no state {name}"));
    };
    if let Some(events) = known.get(name.as_str()) {
        return Ok(*events);
    }
    let round = loops.iter().find(|found| found.holds(name));
    let (here, next): (u64, Vec<&str>) = match round {
        Some(found) => {
            let next = found.states.iter().flat_map(|state| state.successors());
            (of_loop(found)?, next.filter(|next| !found.holds(next)).collect())
        }
        None => (of_stay(state)? + of_failed_expressions(state), state.successors()),
    };
    let mut most = 0;
    for next in next {
        most = from(workflow, loops, next, known)?.max(most);
    }
    known.insert(name, here + most);
    Ok(here + most)
}

/// The events of a loop that is turned until its deadline. In one turn every state is entered at most once, since every
/// way round passes through a Wait, and a turn goes from Wait to Wait.
fn of_loop(found: &Loop<'_>) -> Result<u64, String> {
    let paces = found
        .waits()
        .map(|(_, wait)| loops::pace(wait))
        .collect::<Option<Vec<_>>>();
    let paces = paces.filter(|paces| !paces.is_empty());
    let paces = paces.ok_or_else(|| format!("the turns of {} cannot be counted", found.names()))?;
    let (mut each_turn, mut once) = (0, 0);
    for state in &found.states {
        match loops::is_entered_once(found, state) {
            true => once += of_stay(state)?,
            false => each_turn += of_stay(state)?,
        }
        let failed = of_failed_expressions(state);
        if goes_on_after_a_failed_expression(found, state) {
            each_turn += failed
        } else {
            once += failed
        }
    }
    let longest = loops::longest_seconds(found).ok_or_else(|| format!("{} has no deadline", found.names()))?;
    Ok(turns(&paces, longest) * each_turn + once)
}

/// How often a loop is turned when nothing but its waits takes time: it is left at the first look after the deadline
/// (in seconds). With several waits each turn is taken to be the shortest.
fn turns(paces: &[Pace<'_>], deadline: u64) -> u64 {
    let (mut turns, mut elapsed) = (0, 0);
    while elapsed <= deadline {
        // At least a second: a wait of none is another check's business, and must not hang this one.
        elapsed += paces
            .iter()
            .map(|pace| pace.wait_at(elapsed))
            .min()
            .unwrap_or_default()
            .max(1);
        turns += 1;
    }
    turns
}

/// The events of one stay in a state, all retries used up.
fn of_stay(state: &State) -> Result<u64, String> {
    let each_attempt = match &state.kind {
        StateKind::Task(task) => match task.integration {
            Integration::RequestResponse => 3,
            Integration::Sync | Integration::WaitForTaskToken => 4,
        },
        StateKind::Pass | StateKind::Wait(_) | StateKind::Choice(_) | StateKind::Succeed => return Ok(2),
        StateKind::Fail(_) => return Ok(1),
        StateKind::Parallel(parallel) => {
            let branches = parallel
                .branches
                .iter()
                .map(of_workflow)
                .collect::<Result<Vec<_>, _>>()?;
            2 + branches.into_iter().sum::<u64>()
        }
        StateKind::Map(map) => match map.mode {
            MapMode::Distributed(_) => 4,
            MapMode::Inline => {
                let items = literal_items(map.items.as_ref());
                let items = items
                    .ok_or_else(|| format!("nobody knows how many items {} has; make it distributed", state.path))?;
                2 + items * (2 + of_workflow(&map.processor)?)
            }
        },
    };
    Ok(2 + attempts(state) * each_attempt)
}

/// How often a state tries at most. Every retrier counts for itself.
fn attempts(state: &State) -> u64 {
    state
        .retry
        .iter()
        .fold(1, |attempts, retrier| attempts.saturating_add(retrier.max_attempts))
}

/// The most `EvaluationFailed` that one stay writes and survives.
fn of_failed_expressions(state: &State) -> u64 {
    let may_fail = match state.kind {
        StateKind::Task(_) => !state.expressions.is_empty(),
        // In a branch or an iteration any state's expression can fail it.
        StateKind::Parallel(_) | StateKind::Map(_) => true,
        _ => false,
    };
    if !may_fail {
        return 0;
    }
    if retries_a_failed_expression(state) {
        attempts(state)
    } else {
        1
    }
}

/// Whether a state is tried again after one of its expressions has failed: by the first retrier that names that.
fn retries_a_failed_expression(state: &State) -> bool {
    let mut retriers = state.retry.iter();
    let retrier = retriers.find(|retrier| retry::matches(&retrier.error_equals, names::QUERY_EVALUATION_ERROR));
    retrier.is_some_and(|retrier| retrier.max_attempts > 0)
}

/// Whether the loop can go on after an expression of `state` has failed.
fn goes_on_after_a_failed_expression(found: &Loop<'_>, state: &State) -> bool {
    let mut catchers = state.catch.iter();
    let catcher = catchers.find(|catcher| retry::matches(&catcher.error_equals, names::QUERY_EVALUATION_ERROR));
    retries_a_failed_expression(state) || catcher.is_some_and(|catcher| found.holds(&catcher.next))
}

/// The items of an inline Map, where the machine itself says which.
fn literal_items(items: Option<&Template>) -> Option<u64> {
    match items? {
        Template::Array(items) => u64::try_from(items.len()).ok(),
        Template::Literal(Value::Array(items)) => u64::try_from(items.len()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn count(states: Value, start: &str) -> Result<u64, String> {
        let text = json!({ "QueryLanguage": "JSONata", "StartAt": start, "States": states }).to_string();
        worst_case(&StateMachine::parse("counted", &text, &BTreeMap::new()).unwrap())
    }

    #[test]
    fn the_longest_way_counts() {
        let states = json!({
            "Which": { "Type": "Choice", "Choices": [{ "Condition": "{% $states.input.a %}", "Next": "Done" }], "Default": "Two" },
            "Two": { "Type": "Pass", "Next": "Done" },
            "Done": { "Type": "Succeed" }
        });
        // 2 each for Which, Two and Done.
        assert_eq!(count(states, "Which"), Ok(OF_THE_EXECUTION + 6));
    }

    #[test]
    fn every_attempt_counts() {
        let retry = json!([{ "ErrorEquals": ["A"], "MaxAttempts": 2 }, { "ErrorEquals": ["B"] }]);
        let task =
            |resource: &str| json!({ "Do": { "Type": "Task", "Resource": resource, "Retry": retry, "End": true } });
        // 1 + 2 + 3 (the default) attempts.
        assert_eq!(
            count(task("arn:aws:states:::lambda:invoke"), "Do"),
            Ok(OF_THE_EXECUTION + 2 + 6 * 3)
        );
        assert_eq!(
            count(task("arn:aws:states:::states:startExecution.sync:2"), "Do"),
            Ok(OF_THE_EXECUTION + 2 + 6 * 4)
        );
    }

    #[test]
    fn nested_workflows_count() {
        // The last 1 is an expression inside that fails the whole.
        let branch = json!({ "StartAt": "In", "States": { "In": { "Type": "Pass", "End": true } } });
        let parallel = json!({ "Side": { "Type": "Parallel", "Branches": [branch], "End": true } });
        assert_eq!(count(parallel, "Side"), Ok(OF_THE_EXECUTION + 2 + 2 + 2 + 1));
        let map = json!({ "Each": { "Type": "Map", "Items": [1, 2, 3], "ItemProcessor": branch, "End": true } });
        assert_eq!(count(map, "Each"), Ok(OF_THE_EXECUTION + 2 + 2 + 3 * (2 + 2) + 1));
        let unknown = json!({ "Each": { "Type": "Map", "ItemProcessor": branch, "End": true } });
        assert!(
            count(unknown, "Each")
                .unwrap_err()
                .contains("nobody knows how many items Each has")
        );
        let mut child = branch.clone();
        child["ProcessorConfig"] = json!({ "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" });
        let distributed = json!({ "Each": { "Type": "Map", "ItemProcessor": child, "End": true } });
        assert_eq!(count(distributed, "Each"), Ok(OF_THE_EXECUTION + 2 + 4 + 1));
    }

    #[test]
    fn a_state_that_a_variable_bars_once_it_was_entered_counts_once() {
        let with = |assign: Value| {
            let states = json!({
                "A": { "Type": "Pass", "Assign": { "t": "now", "plan": {}, "done": false }, "Next": "W" },
                "W": { "Type": "Wait", "Seconds": 30, "Next": "C" },
                "C": { "Type": "Choice", "Choices": [{
                    "Condition": "{% $toMillis($states.context.State.EnteredTime) - $toMillis($t) > $plan.deadlines.database_seconds * 1000 %}",
                    "Next": "D"
                }, {
                    "Condition": "{% $states.input.wanted and $not($done) %}",
                    "Assign": assign,
                    "Next": "O"
                }], "Default": "W" },
                "O": { "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Next": "W" },
                "D": { "Type": "Succeed" }
            });
            count(states, "A").unwrap()
        };
        let others = OF_THE_EXECUTION + 2 + 481 * 4 + 2;
        assert_eq!(with(json!({ "done": true })), others + 5);
        for again in [
            json!({}),
            json!({ "done": false }),
            json!({ "done": "{% false %}" }),
            json!({ "other": true }),
        ] {
            assert_eq!(with(again.clone()), others + 481 * 5, "{again}");
        }
    }

    #[test]
    fn a_loop_turns_until_the_first_look_after_its_deadline() {
        let states = json!({
            "A": { "Type": "Pass", "Assign": { "t": "now", "plan": {} }, "Next": "W" },
            "W": { "Type": "Wait", "Seconds": 30, "Next": "C" },
            "C": { "Type": "Choice", "Choices": [{
                "Condition": "{% $toMillis($states.context.State.EnteredTime) - $toMillis($t) > $plan.deadlines.database_seconds * 1000 %}",
                "Next": "D"
            }], "Default": "W" },
            "D": { "Type": "Succeed" }
        });
        // Looks at 30, 60 … 14,400, and one that is late; 4 events in each turn, 2 for the end.
        assert_eq!(count(states, "A"), Ok(OF_THE_EXECUTION + 2 + 481 * 4 + 2));
        // Looks at 5, 10 … 600; at 630, 660 … 14,400; and one that is late.
        let pace = Pace {
            since: Some("t"),
            early_for_millis: 600_000,
            early: 5,
            late: 30,
        };
        assert_eq!(turns(&[pace], 14_400), 120 + 460 + 1);
    }
}
