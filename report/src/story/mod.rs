//! What a report says of one recovery, in the order in which somebody who was frightened by it wants to know: is it over,
//! what was lost, who decided and why, what is to be done now; then everything else.

mod decision;
mod evidence;
mod outcome;
mod record;
mod todo;
mod troubles;

use shared::recovery::Mode;

use crate::Account;
use crate::page::{Block, Figure, Page, Section, Table, Text, Tone};
use crate::path::{CriticalPath, WaitsFor};
use crate::timeline::{span_in_words, timeline};
use crate::words::{day, length, of_scenario, share};

/// The page of one recovery.
pub(crate) fn page(account: &Account, path: &CriticalPath) -> Page {
    let header = &account.header;
    let outcome = outcome::outcome(account);
    Page {
        title: format!("{}: recovery of {}", of_scenario(header.scenario), header.workload),
        notice: notice(header.mode),
        outcome: outcome.word,
        tone: outcome.tone,
        sentence: outcome.sentence,
        because: outcome.because,
        day: day(header.opened_at),
        sections: vec![
            Section::new("figures", "What was achieved", outcome::achieved(account)),
            Section::new("decision", "Who decided, and why", decision::blocks(account)),
            Section::new("todo", "What is to be done now", todo::blocks(account)),
            Section::new(
                "timeline",
                "What happened, and what it waited for",
                what_happened(account, path),
            ),
            Section::new("troubles", "Refused, failed, tried again", troubles::blocks(account)),
            Section::new(
                "changes",
                "What was changed, and how it is taken back",
                record::changes(account),
            ),
            Section::new("answers", "Questions and answers", decision::questions(account)),
            Section::new("evidence", "What it went by", evidence::blocks(account)),
            Section::new("words", "Words", words()),
            Section::new("record", "The record", record::identity(account)),
        ],
    }
}

fn notice(mode: Mode) -> Option<String> {
    match mode {
        Mode::Live => None,
        Mode::Drill => Some("This was a drill, on the real AWS: nothing that customers see was changed.".to_owned()),
        Mode::Rehearsal => Some(
            "This was a rehearsal, against a simulated AWS: no real service was lost, and none was changed.".to_owned(),
        ),
    }
}

fn what_happened(account: &Account, path: &CriticalPath) -> Vec<Block> {
    let waiting = &path.waiting;
    let ends = if path.ends_healthy {
        "the first healthy answer"
    } else if account.header.ended().is_some() {
        "the end, since no healthy answer was seen"
    } else {
        "the last that is known of it"
    };
    let begins = if account.impact_at().is_some() && !account.starts_in_place_of_an_impact() {
        "the moment from which customers suffered"
    } else {
        "the start"
    };
    let figure = |name: &str, pointer: &str, seconds: f64, of_one: f64, most: &str, said: &str| Figure {
        name: name.to_owned(),
        value: Text::default().number(
            &format!("/critical_path/waiting/{pointer}"),
            seconds,
            format!("{most}{}", length(seconds)),
        ),
        verdict: Text::plain(format!("{most}{} of it; {said}", share(of_one))),
        tone: Tone::Plain,
    };
    let detected = match waiting.detection_seconds {
        detection if detection > 0.0 => format!("{} until the alarm went off", length(detection)),
        _ => "its answers, and until it was done".to_owned(),
    };
    let figures = vec![
        figure(
            "Waited for AWS",
            "aws_seconds",
            waiting.aws_seconds,
            waiting.aws_share,
            "",
            &detected,
        ),
        figure(
            "Waited for people",
            "people_seconds",
            waiting.people_seconds,
            waiting.people_share,
            "",
            "until they had answered, started it, or gone on with it",
        ),
        figure(
            "This automation itself",
            "ours_at_most_seconds",
            waiting.ours_at_most_seconds,
            waiting.ours_at_most_share,
            "at most ",
            "its functions, the ways between them, its pauses",
        ),
    ];
    vec![
        Block::Paragraph(
            Text::plain(format!("From {begins}, "))
                .and_at(path.from)
                .and(format!(", to {ends}, "))
                .and_at(path.to)
                .and(", it took ")
                .number(
                    "/critical_path/waiting/total_seconds",
                    waiting.total_seconds,
                    length(waiting.total_seconds),
                )
                .and(
                    ". That time is the critical path: what had to be over before the next thing could begin. Of \
                     things side by side only the slower one is on it.",
                ),
        ),
        Block::Figures(figures),
        Block::Timeline(timeline(account, path)),
        Block::Heading("The critical path, part by part".into()),
        Block::Table(parts(account, path)),
    ]
}

fn parts(account: &Account, path: &CriticalPath) -> Table {
    let whom = |waits_for| match waits_for {
        WaitsFor::Aws => "AWS",
        WaitsFor::People => "people",
        WaitsFor::Ours => "us, at most",
    };
    let row = |span: &crate::path::Span| {
        vec![
            Text::at(span.from),
            Text::plain(span_in_words(account, span)),
            Text::plain(length(span.seconds())),
            Text::plain(whom(span.waits_for)),
        ]
    };
    Table {
        caption: "Each part of the critical path, in order".to_owned(),
        head: ["From", "What", "For", "Waits for"].map(str::to_owned).to_vec(),
        rows: path.spans.iter().map(row).collect(),
    }
}

/// What words mean that are used in the report and in the messages that it quotes.
const WORDS: [(&str, &str); 11] = [
    (
        "Recovery",
        "one run of this automation against one disaster. An execution is one attempt of it: one that fell short can \
         be gone on with, which is another execution of the same recovery",
    ),
    (
        "Here, the other Region",
        "here is the AWS Region that runs the recovery and takes over; the other one is left",
    ),
    (
        "Impact",
        "the first minute in which the check from outside found the service not working: from then on customers \
         suffered",
    ),
    (
        "RTO",
        "recovery time objective: how long customers may be without the service. Achieved: from the impact to the \
         first healthy answer",
    ),
    (
        "RPO",
        "recovery point objective: how much of what customers had written may be lost, as a time. Achieved: the age, \
         at the impact, of the last write that survived",
    ),
    (
        "Target, maximum",
        "what is aimed at, and what must not be exceeded. What was not measured counts as missed",
    ),
    (
        "Heartbeat",
        "a mark that the platform writes to its database every few seconds, so that it can be seen afterwards which \
         writes survived",
    ),
    (
        "Fence",
        "to keep the Region that is left from taking any more writes, which would be lost",
    ),
    (
        "Promotion",
        "to make the database's copy in a Region the one that takes writes. By switchover: everything is waited for, \
         nothing is lost. By failover: at once, and what was not copied yet is lost for good",
    ),
    ("Lock", "what makes sure that one recovery at a time changes anything"),
    (
        "Undo note",
        "what is kept before each change, so that it can be taken back",
    ),
];

fn words() -> Vec<Block> {
    let facts = WORDS.map(|(word, meaning)| (Text::plain(word), Text::plain(meaning)));
    vec![Block::Facts(facts.to_vec())]
}
