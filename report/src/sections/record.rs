//! What was changed, what people were told, and what the report was made from.

use jiff::Timestamp;
use serde_json::Value;
use shared::arn;
use shared::record::{Announced, Undo};
use shared::recovery::Outcome;
use shared::request::TriggerKind;
use shared::version;

use super::evidence::in_words;
use crate::account::{Account, Asked, Rehearsed};
use crate::page::{Block, Table, Text};
use crate::story::told::Tale;

/// Each change, with its undo: a table for each step, in the order in which the steps began.
pub(crate) fn changes(tale: &Tale<'_>) -> Vec<Block> {
    let account = tale.account;
    if account.undo.is_empty() {
        return vec![Block::Paragraph("Nothing was changed.".into())];
    }
    let mut blocks = Vec::new();
    let goes_on = account.header.ended().is_none_or(|closing| {
        matches!(
            closing.outcome,
            Outcome::Recovered | Outcome::Partial | Outcome::Failed | Outcome::Preempted
        )
    });
    let stands = account
        .undo
        .iter()
        .any(|undo| undo.taken_back_at.is_none() && undo.taken_back_by.is_some());
    if goes_on && stands {
        let warning = "Do not type these to resume: they undo the recovery.";
        blocks.push(Block::Warning(
            format!("{warning} {}", tale.story.taking_back_means()).into(),
        ));
    }
    blocks.push(Block::Paragraph(
        "Each change is noted before it is made: one that is noted was at least tried. Steps are in the order of their \
         beginning; the record has no time for a single change."
            .into(),
    ));
    let began = |step: &str| {
        let visits = account.timeline.iter().filter(|visit| visit.name == step);
        visits.map(|visit| visit.started_at).min()
    };
    let mut steps: Vec<&str> = account.undo.iter().map(|undo| undo.step.as_str()).collect();
    steps.dedup();
    // What the timeline does not know comes last.
    steps.sort_by_key(|step| (began(step).is_none(), began(step)));
    blocks.extend(steps.into_iter().flat_map(|step| changes_of(tale, step)));
    blocks
}

fn changes_of(tale: &Tale<'_>, step: &str) -> Vec<Block> {
    let account = tale.account;
    let said = tale.step(step);
    let mut heading = Text::plain(said.map_or_else(|| step.to_owned(), |said| format!("{step}: {said}")));
    let visits = || account.timeline.iter().filter(|visit| visit.name == step);
    let ended = visits().filter_map(|visit| visit.ended_at).max();
    if let (Some(from), Some(to)) = (visits().map(|visit| visit.started_at).min(), ended) {
        heading = heading.and(", between ").and_at(from).and(" and ").and_at(to);
    }
    let notes = account.undo.iter().filter(|undo| undo.step == step);
    vec![
        Block::Heading(heading),
        Block::Table(Table {
            caption: "How to undo each, on its own".to_owned(),
            head: ["Changed", "Before", "Undo", "Now"].map(str::to_owned).to_vec(),
            rows: notes.map(|undo| change(tale, undo)).collect(),
        }),
    ]
}

fn change(tale: &Tale<'_>, undo: &Undo) -> Vec<Text> {
    let now = match (undo.taken_back_at, &undo.taken_back_by) {
        (Some(at), _) => Text::plain("taken back at ").and_at(at),
        (None, Some(_)) => "in place".into(),
        (None, None) => Text::default().strong("in place for good"),
    };
    let taken_back_by = match (&undo.taken_back_by, &undo.by_hand) {
        (_, Some(command)) => Text::code(command.as_str()),
        (Some(how), None) => Text::plain(how.as_str()),
        (None, None) => "none: it cannot be undone".into(),
    };
    let was = tale.story.before(undo);
    let was = was.unwrap_or_else(|| before(tale, &undo.previous));
    vec![Text::plain(undo.resource.text.as_str()), was, taken_back_by, now]
}

/// What was there before, in words where it is plain enough for that.
fn before(tale: &Tale<'_>, previous: &Value) -> Text {
    let Value::Object(fields) = previous else {
        return in_words(previous);
    };
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    if !fields.values().all(is_plain) {
        return Text::code(previous.to_string());
    }
    let mut text = Text::default();
    for (index, (name, value)) in fields.iter().enumerate() {
        let name = match (name.as_str(), value) {
            ("present", Value::Bool(is_there)) => {
                text = text.and(if *is_there { "there" } else { "not there" });
                continue;
            }
            (name, _) => {
                let label = tale.story.label(tale.account, name);
                label.unwrap_or_else(|| name.replace('_', " "))
            }
        };
        let comma = if index == 0 { "" } else { "; " };
        text = text.and(format!("{comma}{name}: ")).then(in_words(value));
    }
    text
}

/// What the report was made from.
pub(crate) fn identity(account: &Account, json_sha256: Option<String>) -> Vec<Block> {
    let header = &account.header;
    let mut facts: Vec<(Text, Text)> = vec![
        ("Recovery".into(), Text::code(header.id.as_str())),
        ("Workload".into(), header.workload.as_str().into()),
        ("Scenario".into(), header.scenario.name().into()),
        ("Mode".into(), header.mode.name().into()),
    ];
    if !account.region().is_empty() {
        facts.push(("Run in".into(), account.region().into()));
    }
    if let Some(arn) = arn::Arn::read(&header.execution) {
        facts.push(("AWS account".into(), arn.account.into()));
    }
    facts.push(("Execution".into(), Text::code(header.execution.as_str())));
    let before = header.earlier.iter().map(|closing| &closing.execution);
    facts.extend(before.map(|execution| ("Execution before it".into(), Text::code(execution.as_str()))));
    if let Some(run) = &header.run {
        let [execution, _] = run.executions();
        facts.push(("Scenario's execution".into(), Text::code(execution)));
    }
    facts.push(("Plan (SHA-256)".into(), Text::code(header.plan_sha256.as_str())));
    let automation = header.automation.as_deref().unwrap_or("not in the record");
    facts.push(("Automation".into(), Text::code(automation)));
    if let Some(Rehearsed {
        seed,
        command,
        timings_sha256,
    }) = &account.rehearsed
    {
        facts.push(("Seed".into(), Text::code(seed.to_string())));
        let command = command.as_deref().map(Text::code);
        facts.extend(command.map(|command| ("Play it again, with the file of this plan".into(), command)));
        facts.push((
            "Simulated durations (SHA-256 of timings.yaml)".into(),
            Text::code(timings_sha256.as_str()),
        ));
    }
    if let Some(decision) = &account.started {
        let text = Text::at(decision.at).and(", ").and_code(decision.id.as_str());
        facts.push(("Start recorded at".into(), text));
    }
    if let Some(digest) = json_sha256 {
        facts.push(("JSON form (SHA-256)".into(), Text::code(digest)));
    }
    facts.push(("Report written by".into(), Text::code(version::in_words())));
    facts.push((
        "Goes up to".into(),
        Text::at(account.known_until()).and("; the same record gives the same report, whenever it is written"),
    ));
    let secrets = if names_people(account) {
        "It has no secrets, but names of people and of resources: share it as you would share those."
    } else {
        "It has no secrets, but names of resources: share it as you would share those."
    };
    let mut blocks = vec![
        Block::Paragraph(
            format!("The source of this report is the record of the recovery, and nothing else. {secrets}").into(),
        ),
        Block::Facts(facts),
    ];
    if account.announced.is_empty() {
        blocks.push(Block::Paragraph("The record has no message to people.".into()));
    } else {
        let mut told: Vec<&Announced> = account.announced.iter().collect();
        told.sort_by_key(|told| (execution_of(account, told), told_at(account, told), told.at));
        blocks.push(Block::Paragraph("Messages to people, in this order:".into()));
        blocks.push(Block::List(
            told.into_iter().map(|told| announcement(account, told)).collect(),
        ));
    }
    blocks
}

/// The plan that it follows, as it was stored.
pub(crate) fn plan(account: &Account) -> Vec<Block> {
    let sha256 = account.header.plan_sha256.as_str();
    let Some(plan) = &account.plan else {
        let text = Text::plain("The record does not have the plan with the SHA-256 ").and_code(sha256);
        return vec![Block::Paragraph(text.and(", or what it has was altered."))];
    };
    vec![
        Block::Paragraph(
            Text::plain("The plan with the SHA-256 ")
                .and_code(sha256)
                .and(", as data:"),
        ),
        Block::Data(plan.clone()),
    ]
}

/// Tables to be filled in by hand.
pub(crate) fn sign_off() -> Vec<Block> {
    let table = |caption: &str, head: [&str; 4], rows: &[&str]| {
        let row = |name: &&str| vec![Text::plain(*name), "".into(), "".into(), "".into()];
        Block::Table(Table {
            caption: caption.to_owned(),
            head: head.map(str::to_owned).to_vec(),
            rows: rows.iter().map(row).collect(),
        })
    };
    vec![
        table(
            "Sign-off",
            ["Role", "Name", "Date", "Signature"],
            &["Incident lead", "Service owner", "Auditor"],
        ),
        table(
            "Lessons and actions",
            ["No.", "Lesson or action", "Owner", "Due"],
            &["1", "2", "3"],
        ),
    ]
}

/// Whether it holds the name of anybody.
fn names_people(account: &Account) -> bool {
    let header = &account.header;
    let mut triggers = header.resumed.iter().chain([&header.trigger]);
    triggers.any(|trigger| trigger.kind == TriggerKind::Person)
        || account.questions.iter().any(|asked| !asked.answers.is_empty())
        || account
            .taken_over_by
            .as_ref()
            .is_some_and(|other| other.trigger.kind == TriggerKind::Person)
}

/// Which of the recovery's executions told something; those that have not ended come last.
fn execution_of(account: &Account, told: &Announced) -> usize {
    let mut endings = account.endings();
    let index = endings.position(|closing| arn::name(&closing.execution) == told.execution);
    index.unwrap_or(usize::MAX)
}

/// In which order an execution tells things: that it began, what it asks, how it ended.
fn told_at(account: &Account, told: &Announced) -> (u8, Option<Timestamp>) {
    match asked(account, told) {
        Some(asked) => (1, Some(asked.asked_at)),
        None if told.what == "opened" => (0, None),
        None => (2, None),
    }
}

/// The question that an announcement asks: it names the question's id.
fn asked<'a>(account: &'a Account, told: &Announced) -> Option<&'a Asked> {
    let question = told.question.as_ref()?;
    account.questions.iter().find(|asked| asked.ask.id == *question)
}

fn announcement(account: &Account, told: &Announced) -> Text {
    let text = match asked(account, told) {
        Some(asked) => Text::plain("the question of ")
            .and_at(asked.asked_at)
            .and(format!(": {}", asked.ask.headline)),
        None if told.what == "opened" => "the recovery started".into(),
        None => Text::plain(format!("\u{201C}{}\u{201D}", told.what)),
    };
    let text = match told.at {
        Some(at) => text.and("; sent at ").and_at(at),
        None => text,
    };
    text.and("; message ").and_code(told.message_id.as_str())
}
