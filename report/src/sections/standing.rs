//! How things stand, in one small block under the outcome.

use shared::recovery::Mode;

use crate::account::Account;
use crate::page::{Block, Text};
use crate::state::{Known, State};
use crate::story::told::Tale;
use crate::words::length;

/// Whether it is real, in a word.
pub(crate) fn notice(mode: Mode) -> String {
    match mode {
        Mode::Live => "REAL",
        Mode::Drill => "DRILL",
        Mode::Rehearsal => "REHEARSAL",
    }
    .to_owned()
}

pub(crate) fn blocks(tale: &Tale<'_>, state: &State) -> Vec<Block> {
    let account = tale.account;
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
    facts.extend(tale.story.standing(account));
    let title = Text::default()
        .strong("How things stood at ")
        .and_at(state.known_until)
        .and(":");
    vec![Block::Paragraph(is_real), Block::Paragraph(title), Block::Facts(facts)]
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
        _ => Text::default().strong("not seen").and(" by the check from outside"),
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
