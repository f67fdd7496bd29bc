//! What was changed, what people were told, and what the report was made from.

use serde_json::Value;
use shared::record::Undo;

use super::evidence::in_words;
use crate::Account;
use crate::page::{Block, Table, Text};
use crate::words::name;

/// Each change, with its undo.
pub(crate) fn changes(account: &Account) -> Vec<Block> {
    if account.undo.is_empty() {
        return vec![Block::Paragraph("Nothing was changed.".into())];
    }
    vec![
        Block::Paragraph(
            "Each change was noted before it was made. One that stands is in force; what takes it back is what a \
             person types, or starts."
                .into(),
        ),
        Block::Table(Table {
            caption: "Changes".to_owned(),
            head: ["What", "By", "Was before", "Taken back by", "Now"]
                .map(str::to_owned)
                .to_vec(),
            rows: account.undo.iter().map(change).collect(),
        }),
    ]
}

fn change(undo: &Undo) -> Vec<Text> {
    let now = match (undo.taken_back_at, &undo.taken_back_by) {
        (Some(at), _) => Text::plain("taken back at ").and_at(at),
        (None, Some(_)) => "stands".into(),
        (None, None) => Text::default().strong("stands for good"),
    };
    let taken_back_by = match &undo.taken_back_by {
        Some(how) => Text::plain(how.as_str()),
        None => "nothing: it cannot be taken back".into(),
    };
    vec![
        Text::plain(undo.resource.as_str()),
        Text::plain(undo.step.as_str()),
        before(&undo.previous),
        taken_back_by,
        now,
    ]
}

/// What was there before, in words where it is plain enough for that.
fn before(previous: &Value) -> Text {
    let Value::Object(fields) = previous else {
        return in_words(previous);
    };
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    if !fields.values().all(is_plain) {
        return Text::code(previous.to_string());
    }
    let mut text = Text::default();
    for (index, (name, value)) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "; " };
        text = text
            .and(format!("{comma}{}: ", name.replace('_', " ")))
            .then(in_words(value));
    }
    text
}

/// What the report was made from.
pub(crate) fn identity(account: &Account) -> Vec<Block> {
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
    facts.push(("Execution".into(), Text::code(header.execution.as_str())));
    let before = header.earlier.iter().map(|closing| &closing.execution);
    facts.extend(before.map(|execution| ("Execution before it".into(), Text::code(execution.as_str()))));
    if let Some(parent) = &header.parent {
        facts.push(("Part of recovery".into(), Text::code(parent.as_str())));
    }
    facts.push(("Plan (SHA-256)".into(), Text::code(header.plan_sha256.as_str())));
    if let Some(decision) = &account.started {
        let text = Text::at(decision.at).and(", ").and_code(decision.id.as_str());
        facts.push(("Start decided at".into(), text));
    }
    let told: Vec<Text> = account
        .announced
        .iter()
        .map(|told| {
            Text::plain(format!("\u{201C}{}\u{201D}, by execution ", told.what))
                .and_code(name(&told.execution))
                .and(", message ")
                .and_code(told.message_id.as_str())
        })
        .collect();
    let mut blocks = vec![
        Block::Paragraph(
            "This report was made from the record of the recovery and nothing else. Times are UTC. It holds no \
             secrets, but names of people and of resources: pass it on as you would those."
                .into(),
        ),
        Block::Facts(facts),
    ];
    if told.is_empty() {
        blocks.push(Block::Paragraph(
            "That people were told anything is not on record.".into(),
        ));
    } else {
        blocks.push(Block::Paragraph("What people were told:".into()));
        blocks.push(Block::List(told));
    }
    blocks
}
