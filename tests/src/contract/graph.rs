//! Walking the states of one workflow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use states_language::{State, StateKind, Workflow};

/// Every workflow of a machine: the top level first, then those inside its states.
pub(super) fn workflows(top: &Workflow) -> Vec<&Workflow> {
    let nested = top.states.values().flat_map(State::nested);
    [top].into_iter().chain(nested.flat_map(workflows)).collect()
}

/// How to reach each state from `start`, the way included, without ever entering a state that `closed` shuts. `start`
/// itself is there only if a way leads back to it.
pub(super) fn ways<'a>(
    workflow: &'a Workflow,
    start: &'a str,
    closed: impl Fn(&State) -> bool,
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut ways: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut queue = VecDeque::from([vec![start]]);
    while let Some(way) = queue.pop_front() {
        let Some(state) = way.last().and_then(|name| workflow.states.get(*name)) else {
            continue;
        };
        for next in state.successors() {
            let shut = workflow.states.get(next).is_none_or(&closed);
            if !shut && !ways.contains_key(next) {
                let longer: Vec<_> = way.iter().copied().chain([next]).collect();
                ways.insert(next, longer.clone());
                queue.push_back(longer);
            }
        }
    }
    ways
}

/// A way that comes back to where it began, if there is one that avoids every state that `closed` shuts.
pub(super) fn cycle(workflow: &Workflow, closed: impl Fn(&State) -> bool) -> Option<Vec<&str>> {
    let open = workflow.states.values().filter(|state| !closed(state));
    open.map(|state| state.name.as_str())
        .find_map(|name| ways(workflow, name, &closed).remove(name))
}

/// States that lead to one another in circles: from each of them every other can be reached.
pub(super) struct Loop<'a> {
    pub states: Vec<&'a State>,
}

impl<'a> Loop<'a> {
    pub(super) fn holds(&self, name: &str) -> bool {
        self.states.iter().any(|state| state.name == name)
    }

    /// The names of its states, for a message.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.states.iter().map(|state| state.path.as_str()).collect();
        names.join(", ")
    }

    /// Whether a state of the loop sets `variable`.
    pub(super) fn assigns(&self, variable: &str) -> bool {
        self.states
            .iter()
            .any(|state| state.assigned_variables().contains(&variable))
    }

    /// Its Wait states.
    pub(super) fn waits(&self) -> impl Iterator<Item = (&'a State, &'a states_language::Wait)> {
        self.states.iter().filter_map(|state| match &state.kind {
            StateKind::Wait(wait) => Some((*state, wait)),
            _ => None,
        })
    }
}

/// The loops of a workflow; no state is in two.
pub(super) fn loops(workflow: &Workflow) -> Vec<Loop<'_>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = workflow
        .states
        .keys()
        .map(|name| (name.as_str(), ways(workflow, name, |_| false).into_keys().collect()))
        .collect();
    let leads = |from: &str, to: &str| reach.get(from).is_some_and(|reached| reached.contains(to));
    let mut loops: Vec<Loop<'_>> = Vec::new();
    for (name, state) in &workflow.states {
        match loops.iter_mut().find(|found| {
            found
                .states
                .iter()
                .all(|other| leads(name, &other.name) && leads(&other.name, name))
        }) {
            Some(found) => found.states.push(state),
            None if leads(name, name) => loops.push(Loop { states: vec![state] }),
            None => {}
        }
    }
    loops
}
