//! How it ended, and what was achieved.

use jiff::Timestamp;
use shared::measure::{Achieved, seconds_between};
use shared::record::{Closing, TimelineStep};
use shared::recovery::Outcome;

use crate::account::{Account, cause};
use crate::figures::{measured, number, tone, verdict};
use crate::page::{Block, Figure, Table, Text, Tone};
use crate::path::polls;
use crate::story::told::Tale;
use crate::words::{in_short, length};

/// How it ended.
pub(crate) struct Said {
    /// In a word.
    pub(crate) word: String,
    pub(crate) tone: Tone,
    /// In a sentence.
    pub(crate) sentence: Text,
    /// Why.
    pub(crate) because: Vec<Text>,
}

pub(crate) fn outcome(tale: &Tale<'_>) -> Said {
    let account = tale.account;
    let Some(closing) = account.header.ended() else {
        return runs(account);
    };
    let achieved = &closing.achieved;
    let stands = account.undo.iter().any(|undo| undo.taken_back_at.is_none());
    let (tone, sentence) = match closing.outcome {
        Outcome::Recovered => (Tone::Good, is_back("It is over: the service is back", account)),
        Outcome::Partial => (Tone::Bad, is_back("The service is back, but not all of it", account)),
        Outcome::Refused => (
            Tone::Plain,
            "It is over, and nothing was done: a check said no before anything was changed, or everything was taken \
             back. The service is as it was."
                .into(),
        ),
        Outcome::Declined => (
            Tone::Plain,
            "It is over, and nothing was done: somebody who was asked said no. The service is as it was.".into(),
        ),
        Outcome::Expired => (
            Tone::Bad,
            "It stopped, and nothing was done: too few of those who were asked answered in time. The service is as it \
             was."
                .into(),
        ),
        Outcome::Preempted => (
            Tone::Bad,
            "It stopped where it was, because another recovery took its place. Whether the service is back, that one \
             knows."
                .into(),
        ),
        Outcome::RolledBack => (
            Tone::Bad,
            "It failed, and everything that it had changed was taken back: the service is as it was before.".into(),
        ),
        Outcome::Failed if stands => (
            Tone::Bad,
            "It is not over: the recovery failed, and the service is not known to be back. What was changed stands."
                .into(),
        ),
        Outcome::Failed => (
            Tone::Bad,
            "It is not over: the recovery failed, with nothing changed, and the service is not known to be back."
                .into(),
        ),
    };
    let why = match (&closing.failed_state, cause(closing)) {
        (Some(state), Some(cause)) => {
            let does = tale
                .state(state)
                .map_or_else(String::new, |does| format!(", which {does},"));
            Some(format!("Why: {state}{does} failed: {}.", in_short(cause)))
        }
        (_, cause) => cause.map(|cause| format!("Why: {}.", in_short(cause))),
    };
    let mut because: Vec<Text> = why.into_iter().map(Text::plain).collect();
    if matches!(closing.outcome, Outcome::Recovered | Outcome::Partial) {
        because.extend(tale.story.loss(account, achieved));
    }
    because.extend(tale.story.because(account, achieved));
    if let Some(executions) = attempts(account) {
        because.push(executions);
    }
    Said {
        word: said(closing.outcome).to_owned(),
        tone,
        sentence,
        because,
    }
}

fn said(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Recovered => "Recovered",
        Outcome::Partial => "Partly recovered",
        Outcome::Refused => "Refused",
        Outcome::Declined => "Declined",
        Outcome::Expired => "Expired",
        Outcome::Preempted => "Pre-empted",
        Outcome::RolledBack => "Rolled back",
        Outcome::Failed => "Failed",
    }
}

fn runs(account: &Account) -> Said {
    let known_until = account.known_until();
    let mut because = Vec::new();
    if let Some(asked) = account.open_question() {
        because.push(
            Text::default()
                .strong("It waits for people. ")
                .and("A question is open until ")
                .and_at(asked.expires_at)
                .and(format!(": {}", asked.ask.headline)),
        );
    }
    if let Some(impact) = account.impact_at().filter(|_| !account.starts_in_place_of_an_impact()) {
        because.push(
            Text::plain("Customers have suffered since ")
                .and_at(impact)
                .and(format!(": {} by then.", length(seconds_between(impact, known_until)))),
        );
    }
    because.extend(attempts(account));
    Said {
        word: "Runs".to_owned(),
        tone: Tone::Plain,
        sentence: Text::plain("It is not over: the recovery still runs, and this is how far it had come by ")
            .and_at(known_until)
            .and("."),
        because,
    }
}

/// That it was gone on with, where it was.
fn attempts(account: &Account) -> Option<Text> {
    let resumed = account.header.resumed.len();
    let first = account.header.earlier.first().or(account.header.closing.as_ref())?;
    (resumed > 0).then(|| {
        Text::plain(format!(
            "It had ended as {} before, and was gone on with {}; see what was refused, failed and tried again.",
            first.outcome,
            times(resumed)
        ))
    })
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn is_back(beginning: &str, account: &Account) -> Text {
    let mut text = Text::plain(beginning);
    let Some(closing) = account.header.ended() else {
        return text;
    };
    if let Some(healthy) = closing.observed.healthy_at {
        text = text.and(" since ").and_at(healthy);
    }
    match closing.achieved.rto_seconds {
        Some(seconds) if closing.achieved.rto_is_at_least => text.and(format!(
            ", at least {} after customers began to suffer: nobody saw when that was.",
            length(seconds)
        )),
        Some(seconds) if account.starts_in_place_of_an_impact() => {
            text.and(format!(", {} after the start.", length(seconds)))
        }
        Some(seconds) => text.and(format!(", {} after customers began to suffer.", length(seconds))),
        None => text.and("; how long customers were without it was not measured."),
    }
}

/// How long customers were without the service: measured, the least that it can be, or not known.
fn without_service(achieved: &Achieved) -> Text {
    match achieved.rto_seconds {
        Some(seconds) if achieved.rto_is_at_least => {
            number("rto_seconds", seconds, format!("at least {}", length(seconds)))
        }
        seconds => measured(seconds, "rto_seconds", "not measured"),
    }
}

/// Achieved against objectives.
pub(crate) fn achieved(tale: &Tale<'_>) -> Vec<Block> {
    let account = tale.account;
    let header = &account.header;
    let mut blocks = Vec::new();
    match header.ended() {
        None => blocks.push(Block::Paragraph(
            "It still runs: what it achieves is measured when it has ended.".into(),
        )),
        Some(closing) if nothing_to_measure(closing.outcome) => blocks.push(Block::Paragraph(
            "It did not come to a recovery, so that there is nothing to measure.".into(),
        )),
        Some(closing) => {
            let (achieved, met) = (&closing.achieved, closing.met);
            let mut figures = vec![Figure {
                name: "Without service (RTO)".to_owned(),
                value: without_service(achieved),
                verdict: verdict(
                    met.rto,
                    Some(header.objectives.rto),
                    achieved.rto_seconds.is_some() && !achieved.rto_is_at_least,
                ),
                tone: tone(met.rto),
            }];
            figures.push(tale.story.lost(account, closing));
            if let Some(seconds) = achieved.rto_from_decision_seconds {
                figures.push(Figure {
                    name: "Of that, after the decision".to_owned(),
                    value: measured(Some(seconds), "rto_from_decision_seconds", ""),
                    verdict: "from the decision to the first healthy answer".into(),
                    tone: Tone::Plain,
                });
            }
            figures.extend(tale.story.figures(achieved));
            blocks.push(Block::Figures(figures));
        }
    }
    blocks.push(Block::Facts(moments(tale)));
    let measured = header.ended().filter(|closing| !nothing_to_measure(closing.outcome));
    blocks.extend(measured.map(|closing| sources(tale, closing)));
    blocks
}

/// Whether it ended before there was anything to recover.
fn nothing_to_measure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused | Outcome::Declined | Outcome::Expired)
}

/// When what happened that the figures come from, and how each is known.
fn moments(tale: &Tale<'_>) -> Vec<(Text, Text)> {
    let account = tale.account;
    let header = &account.header;
    let observed = header.ended().map(|closing| closing.observed).unwrap_or_default();
    let mut moments: Vec<(Text, Text)> = Vec::new();
    let mut add = |name: &str, at: Option<Timestamp>, how: Text| {
        moments.extend(at.map(|at| (Text::plain(name), Text::at(at).and("; ").then(how))));
    };
    if account.starts_in_place_of_an_impact() {
        add(
            "The start",
            account.impact_at(),
            "it stands in for the impact: nobody saw customers suffer before".into(),
        );
    } else {
        add(
            "Impact: customers suffered from",
            account.impact_at(),
            "derived: the first bad minute of the check from outside, so that it is exact to a minute".into(),
        );
    }
    let written = account.started.as_ref().filter(|started| started.at > header.opened_at);
    add(
        "The recovery was opened",
        Some(header.opened_at),
        match written {
            Some(started) => Text::plain(
                "measured: its execution's start, which is counted as the opening; that it was \
                                          started was written down after that, at ",
            )
            .and_at(started.at),
            None => "measured: its execution's start".into(),
        },
    );
    let asked = account.questions.iter().filter(|_| header.ended().is_some());
    for asked in asked {
        let settled = asked.settled.as_ref().map(|settled| settled.at);
        let how = match settled {
            Some(at) => Text::plain("measured; answered by enough at ").and_at(at),
            None => "measured; not answered by enough".into(),
        };
        add("People were asked", Some(asked.asked_at), how);
    }
    add(
        "It was decided what to do",
        account.decided_at(),
        tale.story.how_decided().into(),
    );
    for (name, at, how) in tale.story.moments(account) {
        add(name, at, how);
    }
    // Which state found it is known by when it was at work.
    let found_it = |step: &&TimelineStep| {
        let ended = step.ended_at.zip(observed.healthy_at);
        polls(step) && ended.is_some_and(|(ended, healthy)| (step.started_at..=ended).contains(&healthy))
    };
    let checked = account.timeline.iter().rfind(found_it);
    add(
        "First healthy answer, from outside",
        observed.healthy_at,
        match checked.and_then(|step| step.ended_at) {
            Some(last) => Text::plain(
                "measured: as many in a row as the plan says had to be healthy, and the first of them counts; the last \
                 of them came by ",
            )
            .and_at(last),
            None => "measured".into(),
        },
    );
    add(
        "It ended",
        header.ended().map(|closing| closing.closed_at),
        "measured: when how it ended was written down; telling people and this report come after that".into(),
    );
    moments
}

/// How each figure comes about.
fn sources(tale: &Tale<'_>, closing: &Closing) -> Block {
    let achieved = &closing.achieved;
    let mut rows: Vec<[String; 4]> = Vec::new();
    if achieved.rto_seconds.is_some() {
        let exact = match achieved.rto_is_at_least {
            true => "at least: nobody saw the impact, and the start stands in for it",
            false => "a minute: the impact is the first bad minute of the check from outside",
        };
        rows.push(
            [
                "Without service (RTO)",
                "first healthy answer minus impact",
                "derived",
                exact,
            ]
            .map(str::to_owned),
        );
    }
    if achieved.rto_from_decision_seconds.is_some() {
        let how = "first healthy answer minus decision";
        rows.push(["Of that, after the decision", how, "derived", "a second"].map(str::to_owned));
    }
    rows.extend(tale.story.sources(tale.account, closing));
    Block::Table(Table {
        caption: "How each figure comes about".to_owned(),
        head: ["Figure", "How", "Measured or derived", "Exact to"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.into_iter().map(|row| row.map(Text::plain).to_vec()).collect(),
    })
}
