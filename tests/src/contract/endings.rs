//! Endings: every path through the top level closes the recovery, and ends as its outcome says.

use std::collections::BTreeSet;

use states_language::{Choice, State, StateKind, Workflow};

use super::breach::{Breach, Check};
use super::graph;
use super::task::called_folder;

const CLOSE: &str = "CloseRecovery";
const ENDED: &str = "RecoveryEnded";
const FAILED: &str = "RecoveryFailed";

/// What tells the outcomes that alarms and parents must see as a failure. Design, section 5.
const FAILED_OUTCOMES: &str = "$outcome in ['failed', 'rolled-back']";

pub(super) fn check(top: &Workflow) -> Vec<Breach> {
    let mut texts = Vec::new();
    let ends =
        |name: &str, is_right: fn(&StateKind) -> bool| top.states.get(name).is_some_and(|state| is_right(&state.kind));
    if !ends(ENDED, |kind| matches!(kind, StateKind::Succeed)) {
        texts.push(format!("there is no Succeed state {ENDED}"));
    }
    if !ends(FAILED, |kind| matches!(kind, StateKind::Fail(_))) {
        texts.push(format!("there is no Fail state {FAILED}"));
    }
    let strange = top
        .states
        .values()
        .filter(|state| state.is_terminal() && ![ENDED, FAILED].contains(&state.name.as_str()));
    texts.extend(strange.map(|state| format!("{} ends the machine; only {ENDED} and {FAILED} may", state.name)));
    match top.states.get(CLOSE) {
        Some(close) => {
            if close.as_task().and_then(called_folder) != Some("close-recovery") {
                texts.push(format!("{CLOSE} does not call close-recovery"));
            }
            texts.extend(around(top));
            texts.extend(after(top, close));
        }
        None => texts.push(format!("there is no state {CLOSE}")),
    }
    texts
        .into_iter()
        .map(|text| Breach::new(Check::Endings, text))
        .collect()
}

/// Ways from the start to an end that do not close the recovery.
fn around(top: &Workflow) -> Vec<String> {
    let ways = graph::ways(top, &top.start_at, |state| state.name == CLOSE);
    let ends = |name: &str| top.states.get(name).is_some_and(State::is_terminal);
    let ending = ways.into_iter().filter(|(name, _)| ends(name));
    ending
        .map(|(_, way)| format!("{} does not pass through {CLOSE}", way.join(" → ")))
        .collect()
}

/// What is wrong with what follows the closing.
fn after(top: &Workflow, close: &State) -> Vec<String> {
    let mut texts = Vec::new();
    let and_beyond = |first: &str| -> BTreeSet<String> {
        let beyond = top
            .states
            .get_key_value(first)
            .map(|(first, _)| graph::ways(top, first, |_| false));
        beyond
            .unwrap_or_default()
            .into_keys()
            .map(str::to_owned)
            .chain([first.to_owned()])
            .collect()
    };
    let not_closed: BTreeSet<_> = close
        .catch
        .iter()
        .flat_map(|catcher| and_beyond(&catcher.next))
        .collect();
    if not_closed.contains(ENDED) {
        texts.push(format!("a recovery that could not be closed may end in {ENDED}"));
    }
    let closed = close.next().map(and_beyond).unwrap_or_default();
    for state in top.states.values().filter(|state| closed.contains(&state.name)) {
        if state.assigned_variables().contains(&"outcome") {
            texts.push(format!("{} changes the outcome after it was recorded", state.name));
        }
        let leads_to_an_end = state.successors().iter().any(|next| [ENDED, FAILED].contains(next));
        if leads_to_an_end && !tells_outcomes_apart(&state.kind) {
            let how = format!("if `{FAILED_OUTCOMES}` to {FAILED}, else to {ENDED}");
            texts.push(format!("{} does not end by the outcome: {how}", state.name));
        }
    }
    texts
}

fn tells_outcomes_apart(kind: &StateKind) -> bool {
    let StateKind::Choice(Choice { rules, default }) = kind else {
        return false;
    };
    let [rule] = rules.as_slice() else { return false };
    rule.condition.source() == Some(FAILED_OUTCOMES) && rule.next == FAILED && default.as_deref() == Some(ENDED)
}
