//! How things stand after a move from one Region to another, as far as the record's evidence goes.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::record::ResourceKind;
use shared::recovery::Outcome;

use super::fence;
use crate::account::Account;
use crate::page::{Place, Text, Tone};
use crate::state::Known;

/// How things stand in both Regions; all of it nothing where it was not decided which way to go.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Moved {
    /// Whether the database takes writes here.
    pub(crate) database_takes_writes: Option<Known>,
    /// Whether everything runs here that was to be switched on.
    pub(crate) functions_on: Option<Known>,
    /// Whether the public name was moved here.
    pub(crate) name_moved: Option<Known>,
    /// Whether the other Region is shut off from writing. No means that it was not, or not any more.
    pub(crate) other_shut_off: Option<Known>,
    /// After when nobody knows what the other Region took; nothing where it is shut off or nothing can be lost there.
    pub(crate) other_unknown_after: Option<Timestamp>,
}

impl Moved {
    pub(crate) fn new(account: &Account) -> Self {
        let moves = moves(account);
        Self {
            database_takes_writes: moves.then(|| database_takes_writes(account)),
            functions_on: moves.then(|| functions_on(account)),
            name_moved: moves.then(|| name_moved(account)),
            other_shut_off: moves.then(|| other_shut_off(account)),
            other_unknown_after: other_unknown_after(account),
        }
    }
}

/// Whether it was decided which way the workload moves.
pub(crate) fn moves(account: &Account) -> bool {
    account.found("way").and_then(Value::as_str).is_some()
}

/// Until when the other Region is known to have written after the decision, if it is.
fn written_by_the_other_side(account: &Account) -> Option<Timestamp> {
    account.header.ended()?.observed.old_side_wrote_until
}

/// A database that is not ready was looked at. Where none was looked at, it stays where it was unless its move was ordered.
fn database_takes_writes(account: &Account) -> Known {
    match account.newest("database").and_then(|part| part.get("ready")?.as_bool()) {
        Some(true) => Known::Yes,
        Some(false) => Known::No,
        None if account.stands("promote-database") => Known::NotKnown,
        None => Known::No,
    }
}

/// A recovery that switched on less than all ends as partial.
fn functions_on(account: &Account) -> Known {
    match account.header.ended().map(|closing| closing.outcome) {
        Some(Outcome::Recovered) => Known::Yes,
        Some(Outcome::Partial) => Known::No,
        _ if account.stands("activate-region") || account.has_succeeded("activate-region") => Known::NotKnown,
        _ => Known::No,
    }
}

fn name_moved(account: &Account) -> Known {
    if account.has_succeeded("switch-dns") {
        return Known::Yes;
    }
    if account.stands("switch-dns") {
        Known::NotKnown
    } else {
        Known::No
    }
}

fn other_shut_off(account: &Account) -> Known {
    let mut notes = account
        .undo
        .iter()
        .filter(|undo| undo.step == "fence-region")
        .peekable();
    if notes.peek().is_some() && notes.any(|undo| undo.taken_back_at.is_some()) {
        return Known::No;
    }
    match fence::confirmed(account) {
        Some(true) if written_by_the_other_side(account).is_none() => Known::Yes,
        Some(_) => Known::NotKnown,
        None if account.timeline.iter().any(|step| step.name == "fence-region") => Known::NotKnown,
        None => Known::No,
    }
}

/// The last heartbeat that the other Region left word of, where it may have taken writes since that are not here.
fn other_unknown_after(account: &Account) -> Option<Timestamp> {
    let observed = account.header.ended()?.observed;
    let may_write = observed.can_lose_writes && observed.last_surviving_at.is_some();
    if !may_write || !moves(account) || other_shut_off(account) == Known::Yes {
        return None;
    }
    let words = [observed.last_committed_at, observed.old_side_wrote_until];
    words.into_iter().flatten().max().or(observed.decided_at)
}

/// Both Regions, before and after, for people. Empty if nobody decided which way to go.
pub(crate) fn places(account: &Account) -> Vec<Place> {
    if !moves(account) {
        return Vec::new();
    }
    let moved = Moved::new(account);
    let (here, other) = (account.here(), account.other());
    let healthy_at = account.header.ended().and_then(|closing| closing.observed.healthy_at);
    let mut there = Vec::new();
    if let Some(impact) = account.impact_at().filter(|_| !account.starts_in_place_of_an_impact()) {
        there.push((Tone::Bad, Text::plain("no service from ").and_at(impact)));
    }
    there.extend(moved.other_shut_off.map(|known| blocked(account, known)));
    let mut now = Vec::new();
    now.extend(moved.database_takes_writes.map(|known| database(account, known)));
    now.extend(moved.functions_on.map(|known| functions(account, known)));
    now.extend(moved.name_moved.map(|known| {
        let said = match known {
            Known::Yes => "public name moved here",
            Known::No => "public name not moved: customers are not sent here",
            Known::NotKnown => "public name: move requested, result unknown",
        };
        (as_it_should_be(account, known), said.into())
    }));
    now.extend(healthy_at.map(|at| (Tone::Good, Text::plain("serves since ").and_at(at))));
    vec![
        Place {
            name: other.to_owned(),
            before: "the workload ran here",
            now: there,
        },
        Place {
            name: here.to_owned(),
            before: "standby",
            now,
        },
    ]
}

/// How something is to be taken that should be so once a recovery has changed anything.
fn as_it_should_be(account: &Account, known: Known) -> Tone {
    match known {
        Known::Yes => Tone::Good,
        Known::No if account.undo.is_empty() => Tone::Plain,
        Known::No => Tone::Bad,
        Known::NotKnown => Tone::Warn,
    }
}

fn database(account: &Account, known: Known) -> (Tone, Text) {
    let said = match known {
        Known::Yes => "database takes writes: a row was written and read",
        Known::No if account.newest("database").is_some() => "database took no writes at the last check",
        Known::No => "database: no promotion requested",
        Known::NotKnown => "database: promotion requested, result unknown",
    };
    (as_it_should_be(account, known), said.into())
}

fn functions(account: &Account, known: Known) -> (Tone, Text) {
    let activated = activated(account);
    let said = match known {
        Known::Yes if activated.is_empty() => "functions: all run".to_owned(),
        Known::Yes => format!("functions: all run ({activated} activated)"),
        Known::No if activated.is_empty() => "functions: none activated".to_owned(),
        Known::No => format!("functions: not all run ({activated} activated); see Problems"),
        Known::NotKnown if activated.is_empty() => "functions: activation requested, result unknown".to_owned(),
        Known::NotKnown => format!("functions: activation requested for {activated}; result unknown"),
    };
    (as_it_should_be(account, known), said.into())
}

fn blocked(account: &Account, known: Known) -> (Tone, Text) {
    let said = match known {
        Known::Yes => "blocked: each resource was verified".to_owned(),
        Known::No => "not blocked: it can accept writes".to_owned(),
        Known::NotKnown if written_by_the_other_side(account).is_some() => {
            "not confirmed blocked: it accepted writes after the decision".to_owned()
        }
        Known::NotKnown => match fence::confirmed_of(account) {
            Some((confirmed, of)) => {
                format!("not confirmed blocked ({confirmed} of {of} resources verified); it may accept writes")
            }
            None => "not confirmed blocked; it may accept writes".to_owned(),
        },
    };
    (as_it_should_be(account, known), said.into())
}

/// What was activated, or was to be, by kind, from the undo notes; empty if nothing.
fn activated(account: &Account) -> String {
    let of_step = || {
        let notes = account.undo.iter().filter(|undo| undo.step == "activate-region");
        notes.filter(|undo| undo.taken_back_at.is_none())
    };
    let counted = [
        (ResourceKind::Function, "function"),
        (ResourceKind::EventSource, "event source"),
        (ResourceKind::Stage, "stage"),
    ]
    .map(|(kind, name)| {
        let count = of_step().filter(|undo| undo.resource.kind == kind).count();
        match count {
            0 => None,
            1 => Some(format!("1 {name}")),
            more => Some(format!("{more} {name}s")),
        }
    });
    let counted: Vec<String> = counted.into_iter().flatten().collect();
    counted.join(", ")
}
