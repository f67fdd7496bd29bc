//! How things stand after a move from one Region to another, as far as the record's evidence goes.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::record::ResourceKind;
use shared::recovery::Outcome;

use super::fence;
use crate::account::Account;
use crate::page::Text;
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
fn moves(account: &Account) -> bool {
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

/// The same for people.
pub(crate) fn standing(account: &Account) -> Vec<(Text, Text)> {
    let moved = Moved::new(account);
    let mut facts: Vec<(Text, Text)> = Vec::new();
    let (here, other) = (account.here(), account.other());
    facts.extend(moved.database_takes_writes.map(|known| {
        let said = match known {
            Known::Yes => answer("yes", ", a row was written and read there"),
            Known::No if account.newest("database").is_some() => answer("no", ", not when it was last looked at"),
            Known::No => answer("no", ", its move was not ordered"),
            Known::NotKnown => answer("not known", ": its move was ordered, and no look at it is on record"),
        };
        (format!("Database takes writes in {here}").into(), said)
    }));
    facts.extend(moved.functions_on.map(|known| {
        let switched = switched_on(account);
        let said = match known {
            Known::Yes => answer("yes", format!(", all that were to run{switched}")),
            Known::No if switched.is_empty() => answer("no", ", nothing was switched on"),
            Known::No => answer("not all", format!(", see why above{switched}")),
            Known::NotKnown => answer(
                "not known",
                format!("; how many of them run is not on record{switched}"),
            ),
        };
        (format!("Functions on in {here}").into(), said)
    }));
    facts.extend(moved.name_moved.map(|known| {
        let said = match known {
            Known::Yes => answer("yes", ""),
            Known::No => answer("no", format!(", customers are not sent to {here}")),
            Known::NotKnown => answer("not known", ": it was begun, and no end of it is on record"),
        };
        (format!("Public name moved to {here}").into(), said)
    }));
    facts.extend(moved.other_shut_off.map(|known| {
        let said = match known {
            Known::Yes => answer("yes", ", every part of it was seen to be"),
            Known::No => answer("no", ", nothing keeps it from writing"),
            Known::NotKnown => answer("not confirmed", parts_confirmed(account)),
        };
        (format!("{other} shut off from writing").into(), said)
    }));
    facts
}

fn answer(word: &str, rest: impl Into<String>) -> Text {
    Text::default().strong(word).and(rest)
}

/// What was switched on, by kind, as the notes that were kept before each change have it.
fn switched_on(account: &Account) -> String {
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
    if counted.is_empty() {
        return String::new();
    }
    format!("; switched on by this recovery: {}", counted.join(", "))
}

/// How many parts of the other Region were seen to be shut off.
fn parts_confirmed(account: &Account) -> String {
    if written_by_the_other_side(account).is_some() {
        return ": it wrote after the decision".to_owned();
    }
    match fence::confirmed_of(account) {
        Some((confirmed, of)) => format!(": {confirmed} of {of} parts were seen to be; it may still take writes"),
        None => ": it may still take writes".to_owned(),
    }
}
