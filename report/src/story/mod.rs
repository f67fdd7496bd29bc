//! What a report says of one recovery, in the order in which somebody who was frightened by it wants to know: is it over,
//! is it real, what works, what is to be done now, what was lost, who decided and why; then everything else.

mod decision;
mod evidence;
mod fence;
mod loss;
mod outcome;
mod record;
mod standing;
mod todo;
mod troubles;

use crate::Account;
use crate::page::{Block, Figure, Page, Section, Table, Text, Tone};
use crate::path::{CriticalPath, Span, WaitsFor};
use crate::timeline::{span_in_words, timeline};
use crate::words::{day, length, share};

/// The page of one recovery.
pub(crate) fn page(account: &Account, path: &CriticalPath) -> Page {
    let header = &account.header;
    let state = crate::state(account);
    let outcome = outcome::outcome(account, &state);
    Page {
        title: format!(
            "{}: recovery of {}",
            header.scenario.definition().title,
            header.workload
        ),
        notice: Some(standing::notice(header.mode)),
        outcome: outcome.word,
        tone: outcome.tone,
        sentence: outcome.sentence,
        because: outcome.because,
        state: standing::blocks(account, &state),
        day: day(header.opened_at),
        sections: vec![
            Section::new("todo", "What is to be done now", todo::blocks(account)),
            Section::new("figures", "What was achieved", outcome::achieved(account, &state)),
            Section::new("decision", "Who decided, and why", decision::blocks(account)),
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
            Section::new("words", "Words", words(account)),
            Section::new("record", "The record", record::identity(account)),
        ],
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
        _ => "see below what counts".to_owned(),
    };
    let figures = vec![
        figure(
            "Waited for AWS",
            "aws_seconds",
            waiting.aws_seconds,
            waiting.aws_share,
            "at least ",
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
            "see below what counts",
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
        Block::Paragraph(
            "What counts as what: as AWS, the time until an alarm goes off, that its calls take, and until AWS has done \
             what it was told, which is looked at again and again; also the time limits of calls to a Region that does \
             not answer. As people, the time until somebody answers, starts it or goes on with it. As this automation, \
             everything else: its functions, the ways between them, and the pause before the last look, in which AWS may \
             have been done already. So the automation's part is at most what is said, and AWS's at least."
                .into(),
        ),
        Block::Timeline(timeline(account, path)),
        Block::Heading("The critical path, part by part".into()),
        Block::Table(parts(account, path)),
    ]
}

/// From which length on a part of the path has a row of its own, in seconds.
const TOLD_FROM: f64 = 1.0;

fn parts(account: &Account, path: &CriticalPath) -> Table {
    let whom = |waits_for| match waits_for {
        WaitsFor::Aws => "AWS, at least",
        WaitsFor::People => "people",
        WaitsFor::Ours => "this automation, at most",
    };
    let row = |span: &Span| {
        vec![
            Text::at(span.from),
            Text::plain(span_in_words(account, span)),
            Text::plain(length(span.seconds())),
            Text::plain(whom(span.waits_for)),
        ]
    };
    let (told, short): (Vec<&Span>, Vec<&Span>) = path.spans.iter().partition(|span| span.seconds() >= TOLD_FROM);
    let left_out = match short.len() {
        0 => String::new(),
        count => format!(
            "; {count} of less than 1 s, together {}, are left out here and are in the JSON form",
            length(short.iter().map(|span| span.seconds()).sum())
        ),
    };
    Table {
        caption: format!("Each part of the critical path, in order{left_out}"),
        head: ["From", "What", "For", "Waits for"].map(str::to_owned).to_vec(),
        rows: told.into_iter().map(row).collect(),
    }
}

/// What words mean that are used in the report and in the messages that it quotes.
const WORDS: [(&str, &str); 14] = [
    (
        "Recovery",
        "one run of this automation against one disaster. An execution is one attempt of it: one that fell short can \
         be gone on with, which is another execution of the same recovery",
    ),
    (
        "Impact",
        "the first minute in which the check from outside found the service not working: from then on customers \
         suffered",
    ),
    (
        "RTO",
        "recovery time objective: how long customers may be without the service",
    ),
    (
        "RPO",
        "recovery point objective: how much of what customers had written may be lost, as a time. How the loss of this \
         recovery comes about is said under the figures",
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
        "to shut the other Region off from taking any more writes, which would be lost. Its parts are what could write \
         there: functions, their event sources, the entrance of its API",
    ),
    (
        "Promotion",
        "to make the database's copy in a Region the one that takes writes",
    ),
    (
        "Failover, switchover",
        "the two ways of a promotion. Failover: at once, and what was not copied yet is lost for good. Switchover: a \
         planned move between two healthy Regions; everything is waited for, and nothing is lost",
    ),
    (
        "Control plane",
        "that part of AWS by which resources are looked at and changed. It can fail while what runs goes on, and the other \
         way round",
    ),
    (
        "Switch object",
        "a small file in S3 that moves the public name: an inverted health check watches it, so that while the file is \
         there the main Region counts as down and customers are sent to the other one. Deleting it sends them back",
    ),
    (
        "recovery, region-switch, region-return",
        "recovery is the state machine that alarms and people start. It runs region-switch, which moves the workload to its \
         own Region. Each Region has both. To move back, start recovery in the other Region with intent switchover. drctl \
         rehearse region-return only rehearses that, against a simulated AWS",
    ),
    ("Lock", "what makes sure that one recovery at a time changes anything"),
    (
        "Undo note",
        "what is kept before each change, so that it can be taken back",
    ),
];

fn words(account: &Account) -> Vec<Block> {
    let mut facts = WORDS
        .map(|(word, meaning)| (Text::plain(word), Text::plain(meaning)))
        .to_vec();
    if let Some(other) = account.other_region() {
        let regions = format!(
            "{} runs the recovery and takes over; {other} is the other one",
            account.here()
        );
        facts.insert(0, ("Here, the other Region".into(), regions.into()));
    }
    vec![Block::Facts(facts)]
}
