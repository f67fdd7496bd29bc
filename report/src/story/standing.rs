//! How things stand, in one small block under the outcome.

use shared::recovery::Mode;

use crate::page::{Block, Text};
use crate::words::length;
use crate::{Account, Known, State};

/// Whether it is real, in a word.
pub(crate) fn notice(mode: Mode) -> String {
    match mode {
        Mode::Live => "REAL",
        Mode::Drill => "DRILL",
        Mode::Rehearsal => "REHEARSAL",
    }
    .to_owned()
}

pub(crate) fn blocks(account: &Account, state: &State) -> Vec<Block> {
    let is_real = match account.header.mode {
        Mode::Live => Text::default().strong("REAL: ").and(
            "this is the real service. The commands below change it; read what stands over each before you type it.",
        ),
        Mode::Drill => Text::default().strong("DRILL: ").and(
            "on the real AWS, but nothing that customers see was changed. The commands below would change real \
             resources.",
        ),
        Mode::Rehearsal => Text::default().strong("REHEARSAL: ").and(
            "nothing real was lost or changed. The commands below are what you would type if it were real; type none \
             of them now.",
        ),
    };
    let mut facts: Vec<(Text, Text)> = Vec::new();
    facts.extend(service(account, state));
    let (here, other) = (account.here(), account.other());
    facts.extend(state.database_takes_writes.map(|known| {
        let said = match known {
            Known::Yes => answer("yes", ", a row was written and read there"),
            Known::No if account.newest("database").is_some() => answer("no", ", not when it was last looked at"),
            Known::No => answer("no", ", its move was not ordered"),
            Known::NotKnown => answer("not known", ": its move was ordered, and no look at it is on record"),
        };
        (format!("Database takes writes in {here}").into(), said)
    }));
    facts.extend(state.functions_on.map(|known| {
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
    facts.extend(state.name_moved.map(|known| {
        let said = match known {
            Known::Yes => answer("yes", ""),
            Known::No => answer("no", format!(", customers are not sent to {here}")),
            Known::NotKnown => answer("not known", ": it was begun, and no end of it is on record"),
        };
        (format!("Public name moved to {here}").into(), said)
    }));
    facts.extend(state.other_shut_off.map(|known| {
        let said = match known {
            Known::Yes => answer("yes", ", every part of it was seen to be"),
            Known::No => answer("no", ", nothing keeps it from writing"),
            Known::NotKnown => answer("not confirmed", parts_confirmed(account)),
        };
        (format!("{other} shut off from writing").into(), said)
    }));
    let title = Text::default()
        .strong("How things stood at ")
        .and_at(state.known_until)
        .and(":");
    vec![Block::Paragraph(is_real), Block::Paragraph(title), Block::Facts(facts)]
}

fn answer(word: &str, rest: impl Into<String>) -> Text {
    Text::default().strong(word).and(rest)
}

/// Whether customers have it back, and for how long they had not.
fn service(account: &Account, state: &State) -> Vec<(Text, Text)> {
    let observed = account.header.ended().map(|closing| closing.observed);
    let healthy_at = observed.and_then(|observed| observed.healthy_at);
    let Some(known) = state.service_back else {
        return Vec::new();
    };
    let back = match healthy_at {
        Some(at) if known == Known::Yes => Text::default().strong("yes, at ").and_at(at),
        _ => answer("not seen", " by the check from outside"),
    };
    let mut facts = vec![("Service back".into(), back)];
    let Some(seconds) = state.without_service_seconds else {
        return facts;
    };
    let so_far = Text::default().number("/state/without_service_seconds", seconds, length(seconds));
    let said = match (known, state.target_reached_at, state.maximum_reached_at) {
        (Known::Yes, ..) => so_far,
        (_, Some(target), Some(maximum)) => {
            let rto = account.header.objectives.rto;
            so_far
                .and(" so far; the target of ")
                .and(length(rto.target.as_secs() as f64))
                .and(" is reached at ")
                .and_at(target)
                .and(", the maximum of ")
                .and(length(rto.maximum.as_secs() as f64))
                .and(" at ")
                .and_at(maximum)
        }
        _ => so_far.and(" so far"),
    };
    facts.push(("Without service".into(), said));
    facts
}

/// What was switched on, by kind, as the notes that were kept before each change have it.
fn switched_on(account: &Account) -> String {
    let of_step = || {
        let notes = account.undo.iter().filter(|undo| undo.step == "activate-region");
        notes.filter(|undo| undo.taken_back_at.is_none())
    };
    let counted = [
        ("function ", "function"),
        ("event source ", "event source"),
        ("stage ", "stage"),
    ]
    .map(|(begins, kind)| {
        let count = of_step().filter(|undo| undo.resource.starts_with(begins)).count();
        match count {
            0 => None,
            1 => Some(format!("1 {kind}")),
            more => Some(format!("{more} {kind}s")),
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
    if account.written_by_the_other_side().is_some() {
        return ": it wrote after the decision".to_owned();
    }
    match confirmed_of(account) {
        Some((confirmed, of)) => format!(": {confirmed} of {of} parts were seen to be; it may still take writes"),
        None => ": it may still take writes".to_owned(),
    }
}

/// How many parts of the other Region were seen to be shut off, and of how many; nothing where the evidence has no count.
pub(crate) fn confirmed_of(account: &Account) -> Option<(u64, u64)> {
    let fence = account.newest("fence")?;
    let of = fence.get("resources")?.as_u64()?;
    let mut missing = 0;
    for part in fence.get("unconfirmed")?.as_array()? {
        let resource = part.get("resource")?.as_str()?;
        // A long list ends with how many more there are.
        let more = resource
            .strip_prefix("and ")
            .and_then(|rest| rest.strip_suffix(" more"));
        missing += match more {
            Some(more) => more.parse().ok()?,
            None => 1,
        };
    }
    Some((of.checked_sub(missing)?, of))
}
