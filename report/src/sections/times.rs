//! The moments that the figures come from, and how each figure comes about.

use jiff::Timestamp;
use shared::record::{Closing, TimelineStep};

use super::answers::nothing_to_measure;
use crate::figures::measured;
use crate::page::{Block, Figure, Table, Text, Tone};
use crate::path::polls;
use crate::state::{Known, State};
use crate::story::told::{Suffering, Tale};
use crate::words::length;

pub(crate) fn blocks(tale: &Tale<'_>, state: &State) -> Vec<Block> {
    let ended = tale.account.header.ended();
    let measured = ended.filter(|closing| !nothing_to_measure(closing.outcome));
    let mut blocks = Vec::new();
    let figures = measured.map_or_else(Vec::new, |closing| figures(tale, closing));
    if !figures.is_empty() {
        blocks.push(Block::Figures(figures));
    }
    let mut moments = moments(tale);
    moments.extend(without_service(tale, state));
    blocks.push(Block::Facts(moments));
    blocks.extend(measured.map(|closing| sources(tale, closing)));
    blocks
}

/// Figures beside those of the four answers.
fn figures(tale: &Tale<'_>, closing: &Closing) -> Vec<Figure> {
    let seconds = closing.achieved.rto_from_decision_seconds;
    let after_the_decision = seconds.map(|seconds| Figure {
        name: "Of the time without service, after the decision".to_owned(),
        value: measured(Some(seconds), "rto_from_decision_seconds", ""),
        verdict: "from the decision to the first healthy answer".into(),
        not_known: None,
        tone: Tone::Plain,
        gauge: None,
    });
    let own = tale.story.figures(&closing.achieved);
    after_the_decision.into_iter().chain(own).collect()
}

/// For how long customers were without it, as the state has it.
fn without_service(tale: &Tale<'_>, state: &State) -> Option<(Text, Text)> {
    let seconds = state
        .without_service_seconds
        .filter(|_| state.service_back == Some(Known::Yes))?;
    let value = Text::default().number("/state/without_service_seconds", seconds, length(seconds));
    Some((
        match tale.story.suffering() {
            Suffering::NoService => "Without service",
            Suffering::WrongData => "Wrong data, or no service",
        }
        .into(),
        value.and(", from the impact to the first healthy answer"),
    ))
}

/// When what happened that the figures come from, and how each is known.
fn moments(tale: &Tale<'_>) -> Vec<(Text, Text)> {
    let account = tale.account;
    let header = &account.header;
    let observed = account.observed();
    let mut moments: Vec<(Text, Text)> = Vec::new();
    let mut add = |name: &str, at: Option<Timestamp>, how: Text| {
        moments.extend(at.map(|at| (Text::plain(name), Text::at(at).and("; ").then(how))));
    };
    if account.starts_in_place_of_an_impact() {
        add(
            "Start",
            account.impact_at(),
            "no outage was observed before: the start stands in for the impact".into(),
        );
    } else {
        add(
            "Impact: first minute without service",
            account.impact_at(),
            "derived from the check from outside; exact to a minute".into(),
        );
    }
    let written = account.started.as_ref().filter(|started| started.at > header.opened_at);
    add(
        "Recovery opened",
        Some(header.opened_at),
        match written {
            Some(started) => Text::plain("measured: start of its execution; start recorded at ").and_at(started.at),
            None => "measured: start of its execution".into(),
        },
    );
    let asked = account.questions.iter().filter(|_| header.ended().is_some());
    for asked in asked {
        let settled = asked.settled.as_ref().map(|settled| settled.at);
        let how = match settled {
            Some(at) => Text::plain("measured; enough people had answered at ").and_at(at),
            None => "measured; too few people answered".into(),
        };
        add("People were asked", Some(asked.asked_at), how);
    }
    add("Decision", account.decided_at(), tale.story.how_decided().into());
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
        "First healthy answer",
        observed.healthy_at,
        match checked.and_then(|step| step.ended_at) {
            Some(last) => Text::plain(
                "measured from outside: the first of as many healthy answers in a row as the plan wants; the last of \
                 them came by ",
            )
            .and_at(last),
            None => "measured".into(),
        },
    );
    add(
        "Recovery ended",
        header.ended().map(|closing| closing.closed_at),
        "measured: when the outcome was recorded; messages and this report come later".into(),
    );
    moments
}

/// How each figure comes about.
fn sources(tale: &Tale<'_>, closing: &Closing) -> Block {
    let achieved = &closing.achieved;
    let mut rows: Vec<[String; 4]> = Vec::new();
    if achieved.rto_seconds.is_some() {
        let exact = match achieved.rto_is_at_least {
            true => "a lower bound: nobody saw the impact, and the start stands in for it",
            false => "a minute: the impact is the first bad minute of the check from outside",
        };
        let how = "first healthy answer minus impact";
        rows.push(["Time without service (RTO)", how, "derived", exact].map(str::to_owned));
    }
    if achieved.rto_from_decision_seconds.is_some() {
        let how = "first healthy answer minus decision";
        rows.push(["Of that, after the decision", how, "derived", "a second"].map(str::to_owned));
    }
    rows.extend(tale.story.sources(tale.account, closing));
    Block::Table(Table {
        caption: "Source of each figure".to_owned(),
        head: ["Figure", "How", "Measured or derived", "Exact to"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.into_iter().map(|row| row.map(Text::plain).to_vec()).collect(),
    })
}
