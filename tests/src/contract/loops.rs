//! Loops: each waits in every turn, and ends by a deadline of the plan.
//!
//! Both are read from the text of two expressions. Whatever is written in another form is a breach: what cannot be read
//! cannot be counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::scenario::Scenario;
use shared::slices::{STOP_SECONDS, longest_deadlines};
use states_language::{Choice, State, StateKind, Template, Wait, Workflow};

use super::breach::{Breach, Check};
use super::graph::{self, Loop};

/// The shortest wait in a loop, in seconds: docs/decisions/0014.
const SHORTEST_WAIT_SECONDS: u64 = 4;

/// The time since a moment that the machine kept, in milliseconds, up to the name of the variable.
const ELAPSED_SINCE: &str = "$toMillis($states.context.State.EnteredTime) - $toMillis($";

/// How long a Wait in a loop waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace<'a> {
    /// The variable with the moment from which time counts; none if the wait is always the same.
    pub(super) since: Option<&'a str>,
    /// For how long it waits `early`, in milliseconds.
    pub(super) early_for_millis: u64,
    /// In seconds.
    pub(super) early: u64,
    /// After that, in seconds. Never shorter than `early`.
    pub(super) late: u64,
}

impl Pace<'_> {
    /// How long it waits, in seconds, when `elapsed` seconds have passed.
    pub(super) fn wait_at(&self, elapsed: u64) -> u64 {
        if elapsed.saturating_mul(1000) < self.early_for_millis {
            self.early
        } else {
            self.late
        }
    }
}

/// Reads `<elapsed since $x> < 600000 ? 5 : 30`, or a plain number of seconds.
pub(super) fn pace(wait: &Wait) -> Option<Pace<'_>> {
    let Wait::Seconds(template) = wait else { return None };
    if let Some(seconds) = template.as_u64() {
        return Some(Pace {
            since: None,
            early_for_millis: 0,
            early: seconds,
            late: seconds,
        });
    }
    let (since, rest) = elapsed_since(template.source()?)?;
    let (early_for_millis, rest) = rest.strip_prefix(" < ")?.split_once(" ? ")?;
    let (early, late) = rest.split_once(" : ")?;
    let pace = Pace {
        since: Some(since),
        early_for_millis: early_for_millis.parse().ok()?,
        early: early.parse().ok()?,
        late: late.parse().ok()?,
    };
    // A pace that quickens would make the number of turns depend on when the loop is entered.
    (pace.early <= pace.late).then_some(pace)
}

/// A deadline: since when it runs, and which of the plan's it is.
struct Deadline<'a> {
    since: &'a str,
    name: &'a str,
}

/// Reads `<elapsed since $x> > $plan.deadlines.health_seconds * 1000`.
fn deadline(condition: &Template) -> Option<Deadline<'_>> {
    let (since, rest) = elapsed_since(condition.source()?)?;
    let name = rest.strip_prefix(" > $plan.deadlines.")?.strip_suffix(" * 1000")?;
    is_word(name).then_some(Deadline { since, name })
}

/// The variable since which time is counted, and what follows.
fn elapsed_since(source: &str) -> Option<(&str, &str)> {
    let (variable, rest) = source.strip_prefix(ELAPSED_SINCE)?.split_once(')')?;
    is_word(variable).then_some((variable, rest))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn check(top: &Workflow) -> Vec<Breach> {
    graph::workflows(top).into_iter().flat_map(in_workflow).collect()
}

fn in_workflow(workflow: &Workflow) -> Vec<Breach> {
    let loops = graph::loops(workflow);
    let mut breaches: Vec<_> = loops.iter().flat_map(in_loop).collect();
    for found in &loops {
        let deadlines = found.states.iter().filter_map(|state| deadline_of(found, state).ok());
        for Deadline { since, .. } in deadlines {
            breaches.extend(way_without(workflow, found, since).map(|way| {
                let text = format!(
                    "{} comes to a deadline since ${since}, which is not set on that way",
                    way.join(" → ")
                );
                Breach::new(Check::Loops, text)
            }));
        }
    }
    if let Some(way) = graph::cycle(workflow, |state| matches!(state.kind, StateKind::Wait(_))) {
        breaches.push(Breach::new(
            Check::Loops,
            format!("{} goes round without a Wait", way.join(" → ")),
        ));
    }
    let ends = |state: &State| {
        loops
            .iter()
            .any(|found| found.holds(&state.name) && deadline_of(found, state).is_ok())
    };
    if let Some(way) = graph::cycle(workflow, ends) {
        breaches.push(Breach::new(
            Check::Loops,
            format!("{} goes round without a deadline of the plan", way.join(" → ")),
        ));
    }
    breaches
}

/// The shortest way from the start into a loop on which no state sets `variable`. What no state of the workflow sets is of an outer one,
/// and set before.
fn way_without<'a>(workflow: &'a Workflow, found: &Loop<'_>, variable: &str) -> Option<Vec<&'a str>> {
    let sets = |state: &State| state.assigned_variables().contains(&variable);
    let start = workflow.start_at.as_str();
    if !workflow.states.values().any(sets) || workflow.states.get(start).is_some_and(sets) {
        return None;
    }
    let mut ways = graph::ways(workflow, start, sets);
    let into = found.states.iter().filter_map(|state| ways.remove(state.name.as_str()));
    into.min_by_key(Vec::len)
}

fn in_loop(found: &Loop<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut since = BTreeSet::new();
    for state in &found.states {
        match deadline_of(found, state) {
            Ok(deadline) => drop(since.insert(deadline.since)),
            Err(Some(why)) => breaches.push(Breach::new(Check::Loops, format!("{} {why}", state.path))),
            Err(None) => {}
        }
    }
    for (state, wait) in found.waits() {
        let breach = |check, text: &str| Breach::new(check, format!("{} {text}", state.path));
        let Some(pace) = pace(wait) else {
            breaches.push(breach(
                Check::Loops,
                "waits in a form that the contract test cannot count",
            ));
            continue;
        };
        if pace.early < SHORTEST_WAIT_SECONDS {
            breaches.push(breach(
                Check::Polling,
                &format!(
                    "waits {} s in a loop; {SHORTEST_WAIT_SECONDS} s is the least",
                    pace.early
                ),
            ));
        }
        if pace.since.is_some_and(|variable| !since.contains(variable)) {
            breaches.push(breach(
                Check::Loops,
                "counts from another moment than the deadline of its loop",
            ));
        }
    }
    breaches
}

/// The deadline by which `state` ends the loop. Errors: none if it has none, or why the one that it has does not hold.
fn deadline_of<'a>(found: &Loop<'_>, state: &'a State) -> Result<Deadline<'a>, Option<String>> {
    let StateKind::Choice(Choice { rules, .. }) = &state.kind else {
        return Err(None);
    };
    let mentions = |condition: &Template| {
        condition
            .source()
            .is_some_and(|source| source.contains("$plan.deadlines."))
    };
    let at = rules.iter().position(|rule| mentions(&rule.condition)).ok_or(None)?;
    let (earlier, rule) = (&rules[..at], &rules[at]);
    let deadline = deadline(&rule.condition)
        .ok_or_else(|| Some("has a deadline in a form that the contract test cannot read".to_owned()))?;
    if !known_deadlines().contains_key(deadline.name) {
        return Err(Some(format!("has the deadline `{}`, which no plan has", deadline.name)));
    }
    if found.assigns(deadline.since) {
        return Err(Some(format!(
            "has a deadline that begins anew: ${} is assigned in the loop {}",
            deadline.since,
            found.names()
        )));
    }
    if found.holds(&rule.next) {
        return Err(Some(format!(
            "stays in its loop when the deadline has passed: {}",
            rule.next
        )));
    }
    if let Some(rule) = earlier.iter().find(|rule| found.holds(&rule.next)) {
        return Err(Some(format!(
            "goes on to {} before it looks at the deadline",
            rule.next
        )));
    }
    Ok(deadline)
}

/// The deadlines of all machines, each with the longest that one of them may have it, in seconds.
fn known_deadlines() -> BTreeMap<String, u64> {
    let mut known = BTreeMap::new();
    for (name, longest) in Scenario::all().into_iter().flat_map(longest_deadlines) {
        let seconds = known.entry(name).or_insert(longest);
        *seconds = longest.max(*seconds);
    }
    known
}

/// The deadlines that the machine `name` reads and does not get: those of another scenario.
pub(super) fn foreign_deadlines(name: &str, text: &str) -> Vec<Breach> {
    let own = Scenario::all()
        .into_iter()
        .find(|scenario| scenario.machine() == Some(name));
    let own = own.map_or_else(
        || BTreeMap::from([("stop_seconds".to_owned(), STOP_SECONDS)]),
        longest_deadlines,
    );
    let read: BTreeSet<&str> = text
        .split("$plan.deadlines.")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next())
        .collect();
    let foreign = read.into_iter().filter(|name| !own.contains_key(*name));
    foreign
        .map(|name| {
            Breach::new(
                Check::Loops,
                format!("reads the deadline `{name}`, which its plan never has"),
            )
        })
        .collect()
}

/// Whether a state is entered once at most, however often its loop is turned: the only way to it inside is a rule that holds while a
/// variable is false, and makes it true.
pub(super) fn is_entered_once(found: &Loop<'_>, state: &State) -> bool {
    let mut ways = found
        .states
        .iter()
        .filter(|other| other.successors().contains(&state.name.as_str()));
    let (Some(way), None) = (ways.next(), ways.next()) else {
        return false;
    };
    let StateKind::Choice(Choice { rules, default }) = &way.kind else {
        return false;
    };
    let mut here = rules.iter().filter(|rule| rule.next == state.name);
    let (Some(rule), None) = (here.next(), here.next()) else {
        return false;
    };
    let bars = |variable: &str| {
        let holds_while_false = rule
            .condition
            .source()
            .is_some_and(|source| source.ends_with(&format!(" and $not(${variable})")));
        let setters = found
            .states
            .iter()
            .filter(|other| other.assigned_variables().contains(&variable));
        holds_while_false && rule.assign.literal(variable) == Some(&Value::Bool(true)) && setters.count() == 1
    };
    let others = rules.iter().filter(|other| other.next != state.name);
    let others = others.flat_map(|other| other.assign.names());
    let others: BTreeSet<&str> = others.chain(way.assign.names()).collect();
    default.as_ref() != Some(&state.name) && rule.assign.names().any(|name| bars(name) && !others.contains(name))
}

/// How long a loop can be turned at most, in seconds: until the last of its deadlines, at the longest that a plan may
/// have it.
pub(super) fn longest_seconds(found: &Loop<'_>) -> Option<u64> {
    let known = known_deadlines();
    let deadlines = found.states.iter().filter_map(|state| deadline_of(found, state).ok());
    deadlines.filter_map(|deadline| known.get(deadline.name).copied()).max()
}
