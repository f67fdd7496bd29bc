//! How things stand: what works and what does not, as far as the record's evidence goes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::measure::seconds_between;
use shared::plan::Duration;
use shared::record::{TimelineStep, Undo};
use shared::recovery::Outcome;

use crate::Account;
use crate::words::regions_in;

/// What the record says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// The record has no evidence of it.
    NotKnown,
}

/// How things stand at the end of what the record knows. What does not belong to the scenario is nothing, as is what the
/// record cannot tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Until when the record knows anything.
    pub known_until: Timestamp,
    /// The Region that runs, or ran, the recovery.
    pub here: Option<String>,
    /// The other Region.
    pub other: Option<String>,
    /// Whether the database takes writes here.
    pub database_takes_writes: Option<Known>,
    /// Whether everything runs here that was to be switched on.
    pub functions_on: Option<Known>,
    /// Whether the public name was moved here.
    pub name_moved: Option<Known>,
    /// Whether the other Region is shut off from writing. No means that it was not, or not any more.
    pub other_shut_off: Option<Known>,
    /// After when nobody knows what the other Region took; nothing where it is shut off or nothing can be lost there.
    pub other_unknown_after: Option<Timestamp>,
    /// Whether the service was seen to be back; nothing where nobody saw it away.
    pub service_back: Option<Known>,
    /// For how long customers have been, or were, without the service, in seconds.
    pub without_service_seconds: Option<f64>,
    /// When the target for that is, or was, reached.
    pub target_reached_at: Option<Timestamp>,
    /// When the maximum for that is, or was, reached.
    pub maximum_reached_at: Option<Timestamp>,
}

/// How things stand, from the account alone.
pub fn state(account: &Account) -> State {
    let impact = account.impact_at().filter(|_| !account.starts_in_place_of_an_impact());
    let healthy_at = account.header.ended().and_then(|closing| closing.observed.healthy_at);
    let known_until = account.known_until();
    let without = impact.map(|impact| seconds_between(impact, healthy_at.unwrap_or(known_until)));
    let reached = |limit: Duration| {
        let milliseconds = i64::try_from(limit.as_secs()).ok()?.checked_mul(1000)?;
        Timestamp::from_millisecond(impact?.as_millisecond().checked_add(milliseconds)?).ok()
    };
    let rto = account.header.objectives.rto;
    let moves = account.moves();
    State {
        known_until,
        here: Some(account.region().to_owned()).filter(|here| !here.is_empty()),
        other: account.other_region(),
        database_takes_writes: moves.then(|| database_takes_writes(account)),
        functions_on: moves.then(|| functions_on(account)),
        name_moved: moves.then(|| name_moved(account)),
        other_shut_off: moves.then(|| other_shut_off(account)),
        other_unknown_after: other_unknown_after(account),
        service_back: match healthy_at {
            Some(_) => Some(Known::Yes),
            None => impact.map(|_| Known::NotKnown),
        },
        without_service_seconds: without.filter(|seconds| *seconds >= 0.0),
        target_reached_at: reached(rto.target),
        maximum_reached_at: reached(rto.maximum),
    }
}

/// A database that is not ready was looked at. Where none was looked at, it stays where it was unless its move was ordered.
fn database_takes_writes(account: &Account) -> Known {
    match account.newest("database").and_then(|part| part.get("ready")?.as_bool()) {
        Some(true) => Known::Yes,
        Some(false) => Known::No,
        None if stands(account, "promote-database") => Known::NotKnown,
        None => Known::No,
    }
}

/// A recovery that switched on less than all ends as partial.
fn functions_on(account: &Account) -> Known {
    match account.header.ended().map(|closing| closing.outcome) {
        Some(Outcome::Recovered) => Known::Yes,
        Some(Outcome::Partial) => Known::No,
        _ if stands(account, "activate-region") || has_succeeded(account, "activate-region") => Known::NotKnown,
        _ => Known::No,
    }
}

fn name_moved(account: &Account) -> Known {
    if has_succeeded(account, "switch-dns") {
        return Known::Yes;
    }
    if stands(account, "switch-dns") {
        Known::NotKnown
    } else {
        Known::No
    }
}

fn other_shut_off(account: &Account) -> Known {
    let confirmed = account
        .newest("fence")
        .and_then(|fence| fence.get("confirmed")?.as_bool());
    let mut notes = account
        .undo
        .iter()
        .filter(|undo| undo.step == "fence-region")
        .peekable();
    if notes.peek().is_some() && notes.any(|undo| undo.taken_back_at.is_some()) {
        return Known::No;
    }
    match confirmed {
        Some(true) if account.written_by_the_other_side().is_none() => Known::Yes,
        Some(_) => Known::NotKnown,
        None if account.timeline.iter().any(|step| step.name == "fence-region") => Known::NotKnown,
        None => Known::No,
    }
}

/// The last heartbeat that the other Region left word of, where it may have taken writes since that are not here.
fn other_unknown_after(account: &Account) -> Option<Timestamp> {
    let observed = account.header.ended()?.observed;
    let may_write = observed.can_lose_writes && observed.last_surviving_at.is_some();
    if !may_write || !account.moves() || other_shut_off(account) == Known::Yes {
        return None;
    }
    let words = [observed.last_committed_at, observed.old_side_wrote_until];
    words.into_iter().flatten().max().or(observed.decided_at)
}

fn stands(account: &Account, step: &str) -> bool {
    let stands = |undo: &Undo| undo.step == step && undo.taken_back_at.is_none();
    account.undo.iter().any(stands)
}

fn has_succeeded(account: &Account, step: &str) -> bool {
    let succeeded = |visit: &TimelineStep| visit.name == step && visit.outcome.as_deref() == Some("succeeded");
    account.timeline.iter().any(succeeded)
}

impl Account {
    /// Whether it moves a workload from one Region to another: its evidence, or its decision, names the way.
    pub(crate) fn moves(&self) -> bool {
        self.found("way").and_then(Value::as_str).is_some()
    }

    /// The newest evidence under `name` that is there.
    pub(crate) fn newest(&self, name: &str) -> Option<&Value> {
        let parts = self.endings().filter_map(|closing| closing.evidence.get(name));
        parts.filter(|part| !part.is_null()).last()
    }

    /// Until when the other Region is known to have written after the decision, if it is.
    pub(crate) fn written_by_the_other_side(&self) -> Option<Timestamp> {
        self.header.ended()?.observed.old_side_wrote_until
    }

    /// The Region that is not the one that runs it, as the evidence, the notes and the question name it.
    pub fn other_region(&self) -> Option<String> {
        let fence = self.newest("fence").map(Value::to_string);
        let notes = self.undo.iter().filter(|undo| undo.step == "promote-database");
        let notes = notes.map(|undo| undo.previous.to_string());
        let headline = self
            .found("ask")
            .and_then(|ask| ask.get("headline"))
            .map(Value::to_string);
        let asked = self.questions.iter().map(|asked| asked.ask.headline.clone());
        let texts: Vec<String> = notes.chain(fence).chain(headline).chain(asked).collect();
        let mut regions = texts.iter().flat_map(|text| regions_in(text));
        regions.find(|region| *region != self.region()).map(str::to_owned)
    }

    /// The Region that runs it, for sentences.
    pub(crate) fn here(&self) -> String {
        match self.region() {
            "" => "the Region that takes over".to_owned(),
            here => here.to_owned(),
        }
    }

    /// The other Region, for sentences.
    pub(crate) fn other(&self) -> String {
        self.other_region().unwrap_or_else(|| "the other Region".to_owned())
    }
}
