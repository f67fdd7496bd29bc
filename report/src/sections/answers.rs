//! The four questions that everybody asks first: is the service back, how long was it away, what was lost, what must I do
//! now? A figure never stands without its limits.

use jiff::Timestamp;
use shared::measure::Achieved;
use shared::record::Closing;
use shared::recovery::{Mode, Outcome};

use crate::figures::{NOT_MEASURED, gauge, limits, measured, number, tone, verdict};
use crate::page::{Answer, Exact, Text, Todo, Tone, When};
use crate::state::{Known, State};
use crate::story::told::{Suffering, Tale};
use crate::words::length;

pub(crate) fn answers(tale: &Tale<'_>, state: &State, todos: &[Todo]) -> Vec<Answer> {
    vec![
        is_it_back(tale, state),
        how_long(tale, state),
        what_was_lost(tale, state),
        what_now(tale.account.header.mode, todos),
    ]
}

fn is_it_back(tale: &Tale<'_>, state: &State) -> Answer {
    let ended = tale.account.header.ended();
    let healthy = ended.and_then(|closing| closing.observed.healthy_at);
    let is_partial = ended.is_some_and(|closing| closing.outcome == Outcome::Partial);
    let (tone, value, note): (Tone, String, Text) = match (state.service_back, healthy) {
        (Some(Known::Yes), Some(at)) => {
            let from = tale.story.serves(tale.account);
            let from = from.map_or_else(String::new, |region| format!(", from {region}"));
            let (tone, yes) = match is_partial {
                true => (Tone::Warn, "Yes, but not all of it"),
                false => (Tone::Good, "Yes"),
            };
            let note = Text::plain("first healthy answer at ").and_at(at);
            (tone, format!("{yes}{from}"), note)
        }
        (Some(_), _) => (
            Tone::Bad,
            "Not as far as is known".to_owned(),
            Text::plain("no healthy answer up to ").and_at(state.known_until),
        ),
        (None, _) => (Tone::Plain, "Not known".to_owned(), "no outage was observed".into()),
    };
    Answer {
        question: "Is the service back?",
        value: value.into(),
        gauge: None,
        notes: vec![note],
        tone,
    }
}

fn how_long(tale: &Tale<'_>, state: &State) -> Answer {
    let header = &tale.account.header;
    let objective = header.objectives.rto;
    let question = match tale.story.suffering() {
        Suffering::NoService => "How long was it away?",
        Suffering::WrongData => "How long were data wrong, or the service away?",
    };
    let recovered = header.ended().filter(|closing| closing.observed.healthy_at.is_some());
    if let Some(closing) = recovered {
        let achieved = &closing.achieved;
        let is_measured = achieved.rto_seconds.is_some() && !achieved.rto_is_at_least;
        let exact = if achieved.rto_is_at_least {
            Exact::AtLeast
        } else {
            Exact::Value
        };
        return Answer {
            question,
            value: without_service(achieved),
            gauge: Some(gauge(achieved.rto_seconds, exact, objective)),
            notes: vec![verdict(closing.met.rto, Some(objective), is_measured)],
            tone: tone(closing.met.rto),
        };
    }
    let Some(seconds) = state.without_service_seconds else {
        return Answer {
            question,
            value: NOT_MEASURED.into(),
            gauge: None,
            notes: vec![match state.service_back {
                Some(_) => Text::plain("nobody saw when it began; an alarm reported it at ").and_at(header.trigger.at),
                None => "no outage was observed".into(),
            }],
            tone: if state.service_back.is_some() {
                Tone::Bad
            } else {
                Tone::Plain
            },
        };
    };
    let [target, maximum] = limits(objective);
    let known_until = state.known_until;
    let limits = limit_while_down("target", &target, state.target_reached_at, known_until)
        .and(", ")
        .then(limit_while_down(
            "maximum",
            &maximum,
            state.maximum_reached_at,
            known_until,
        ));
    Answer {
        question,
        value: Text::default()
            .number("/state/without_service_seconds", seconds, length(seconds))
            .and(" so far"),
        gauge: Some(gauge(Some(seconds), Exact::AtLeast, objective)),
        notes: vec![Text::plain("not over: ").then(limits)],
        tone: Tone::Bad,
    }
}

/// A limit of an outage whose end is not known: missed already, or when it will be.
fn limit_while_down(name: &str, length: &str, reached_at: Option<Timestamp>, known_until: Timestamp) -> Text {
    let limit = Text::plain(format!("{name} {length} "));
    match reached_at {
        Some(at) if at <= known_until => limit.and("missed at ").and_at(at),
        Some(at) => limit.and("until ").and_at(at),
        None => limit,
    }
}

/// For how long customers were without the service: measured, a lower bound, or not known.
fn without_service(achieved: &Achieved) -> Text {
    match achieved.rto_seconds {
        Some(seconds) if achieved.rto_is_at_least => {
            number("rto_seconds", seconds, format!("At least {}", length(seconds)))
        }
        seconds => measured(seconds, "rto_seconds", NOT_MEASURED),
    }
}

fn what_was_lost(tale: &Tale<'_>, state: &State) -> Answer {
    let question = "What was lost?";
    let measured: Option<&Closing> = tale.account.header.ended();
    match measured.filter(|closing| !nothing_to_measure(closing.outcome)) {
        Some(closing) => {
            let lost = tale.story.lost(tale.account, closing);
            Answer {
                question,
                notes: lost.notes().cloned().collect(),
                value: lost.value,
                gauge: lost.gauge,
                tone: lost.tone,
            }
        }
        None => Answer {
            question,
            value: NOT_MEASURED.into(),
            gauge: None,
            notes: vec![
                match measured {
                    Some(_) => "no recovery took place; what is lost is not known",
                    None => "the recovery has not ended",
                }
                .into(),
            ],
            tone: match state.service_back {
                Some(Known::NotKnown) => Tone::Warn,
                _ => Tone::Plain,
            },
        },
    }
}

/// How many of the most urgent things are named in the answer.
const NAMED: usize = 2;

/// How many things there are to do, and the most urgent ones of them. What is rehearsed or drilled asks for nothing real.
fn what_now(mode: Mode, todos: &[Todo]) -> Answer {
    let counted: Vec<String> = When::ALL
        .into_iter()
        .filter_map(|when| {
            let number = todos.iter().filter(|todo| todo.when == when).count();
            (number > 0).then(|| format!("{number} {}", when.after_a_number()))
        })
        .collect();
    let counted = match counted.is_empty() {
        true => "Nothing, as far as is known".to_owned(),
        false => counted.join(", "),
    };
    let most_urgent: Vec<&Todo> = todos.iter().take_while(|todo| todo.when == todos[0].when).collect();
    let named = most_urgent.iter().take(NAMED);
    let more = most_urgent.len().saturating_sub(NAMED);
    let (value, note) = match (mode, todos.is_empty()) {
        (Mode::Live, _) | (_, true) => (counted, None),
        (Mode::Drill, false) => (counted, Some("a drill: customers saw no change".to_owned())),
        (Mode::Rehearsal, false) => (
            "Nothing: a rehearsal".to_owned(),
            Some(format!("in a real recovery: {counted}")),
        ),
    };
    let notes = note.map(Text::plain).into_iter();
    Answer {
        question: "What must I do now?",
        value: value.into(),
        gauge: None,
        notes: notes
            .chain(named.map(|todo| Text::plain(format!("\u{2192} {}", todo.title))))
            .chain((more > 0).then(|| format!("and {more} more {}", todos[0].when.after_a_number()).into()))
            .collect(),
        tone: Tone::Plain,
    }
}

/// Whether it ended before there was anything to recover.
pub(crate) fn nothing_to_measure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused | Outcome::Declined | Outcome::Expired)
}
