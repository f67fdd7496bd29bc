//! What the steps found out, as they reported it. Each scenario has evidence of its own; what nobody here knows is shown as
//! it is.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::record::{Resource, Warning};

use crate::page::{Block, Table, Text};
use crate::story::told::Tale;
use crate::words::{humanised, in_short, is_moment};

/// How deep evidence is taken apart; what is deeper is shown as JSON.
const DEPTH: usize = 3;

pub(crate) fn blocks(tale: &Tale<'_>) -> Vec<Block> {
    let account = tale.account;
    let mut blocks = Vec::new();
    for closing in account.endings() {
        if account.endings().count() > 1 {
            let text = Text::plain("The execution that ended at ").and_at(closing.closed_at);
            blocks.push(Block::Heading(text.and(format!(" as {}", closing.outcome))));
        }
        match closing.evidence.as_object() {
            Some(parts) => blocks.extend(parts.iter().flat_map(|(name, part)| found(tale, name, part))),
            None if closing.evidence.is_null() => blocks.push(Block::Paragraph("No step left evidence.".into())),
            None => blocks.extend(found(tale, "evidence", &closing.evidence)),
        }
    }
    if account.header.ended().is_none()
        && let Some(decision) = &account.decision
    {
        blocks.extend(found(tale, "decision", decision));
    }
    if blocks.is_empty() {
        blocks.push(Block::Paragraph("No evidence yet.".into()));
    } else {
        let text = "Answers of the steps, as reported at the time. Errors are shortened; the JSON form of this report has \
                    them word for word.";
        blocks.insert(0, Block::Paragraph(text.into()));
    }
    blocks
}

/// One step's evidence.
fn found(tale: &Tale<'_>, name: &str, part: &Value) -> Vec<Block> {
    if name == "approval" && !tale.account.questions.is_empty() {
        // The answers stand with the questions.
        return Vec::new();
    }
    let title = humanised(name);
    let heading = part_in_words(tale, name).map_or_else(|| title.clone(), |said| format!("{title}: {said}"));
    let mut blocks = vec![Block::Heading(heading.into())];
    match part {
        Value::Null => blocks.push(Block::Paragraph("No evidence.".into())),
        Value::Object(fields) => match fields_in_words(tale, fields, "", DEPTH) {
            // All of it stands elsewhere.
            said if said.is_empty() && !fields.is_empty() => blocks.clear(),
            said => blocks.extend(said),
        },
        other => blocks.push(Block::Paragraph(in_words(other))),
    }
    blocks
}

fn fields_in_words(tale: &Tale<'_>, fields: &Map<String, Value>, under: &str, depth: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(summary) = fields.get("summary").and_then(Value::as_str) {
        blocks.push(Block::Paragraph(Text::default().strong(format!("{summary}."))));
    }
    let mut facts = Vec::new();
    let mut lists = Vec::new();
    for (name, value) in fields {
        let title = format!("{under}{}", label(tale, name));
        match value {
            // The summary is said above; how far the step came is what the other fields say.
            Value::String(_) if name == "summary" || name == "progress" => {}
            _ if is_told_above(tale, under, name, value) => {}
            Value::Null if name == "waiting_for" => facts.push((title.into(), "nothing".into())),
            Value::Array(items) if items.is_empty() => facts.push((title.into(), "none".into())),
            Value::Array(items) => lists.extend(list(tale, &title, items)),
            // It is told where it is decided what to do and where people answer.
            Value::Object(ask) if ask.contains_key("headline") && ask.contains_key("because") => {}
            Value::Object(fields) if depth > 0 => {
                lists.extend(fields_in_words(tale, fields, &format!("{title} \u{203A} "), depth - 1));
            }
            other => facts.push((title.into(), in_words(other))),
        }
    }
    if !facts.is_empty() {
        blocks.push(Block::Facts(facts));
    }
    blocks.extend(lists);
    blocks
}

/// What stands elsewhere in the report already: among the times and figures, among what did not achieve its purpose, or with
/// what is to be done. `under` names the field that it is in; it is empty at the top of a step's evidence.
fn is_told_above(tale: &Tale<'_>, under: &str, name: &str, value: &Value) -> bool {
    let account = tale.account;
    let is = |known: Option<Timestamp>| value.as_str().is_some_and(|text| is_moment(text, known));
    match name {
        "decided_at" => is(account.decided_at()),
        "impact_at" => is(account.impact_at()),
        "warnings" => under.is_empty() && value.is_array() && account.header.closing.is_some(),
        // It is told with what was tried in vain, or the answer itself is there.
        "health_answered" => under.is_empty(),
        _ => tale.story.is_told(account, under, name, value),
    }
}

/// A field as a label.
fn label(tale: &Tale<'_>, name: &str) -> String {
    let common = match name {
        "blockers" => "Blockers",
        "waiting_for" => "Still missing",
        "source" => "Source",
        _ => return tale.story.label(tale.account, name).unwrap_or_else(|| humanised(name)),
    };
    common.to_owned()
}

/// What a part is about, for somebody who does not know it.
fn part_in_words(tale: &Tale<'_>, name: &str) -> Option<&'static str> {
    Some(match name {
        "opening" => "at the start",
        "assessment" => "before any change",
        "approval" => "the answers",
        "decision" => "the decision",
        _ => return tale.story.part(name),
    })
}

/// A warning, where a value is one.
fn warning(value: &Value) -> Option<Warning> {
    let is_coded = value.get("code").is_some();
    Warning::deserialize(value).ok().filter(|_| is_coded)
}

/// Things of the same form as a table, others as a list.
fn list(tale: &Tale<'_>, title: &str, items: &[Value]) -> Vec<Block> {
    let objects: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
    // Each is told in a sentence.
    let are_warnings = items.iter().any(|item| warning(item).is_some());
    if objects.len() < items.len() || are_warnings {
        let items = items.iter().map(in_words).collect();
        return vec![Block::Paragraph(format!("{title}:").into()), Block::List(items)];
    }
    let mut names: Vec<&String> = Vec::new();
    for name in objects.iter().flat_map(|object| object.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| (!names_a_row(name), name.as_str()));
    let row = |object: &&Map<String, Value>| {
        let cells = names
            .iter()
            .map(|name| object.get(*name).map_or_else(|| "–".into(), in_words));
        cells.collect()
    };
    vec![Block::Table(Table {
        caption: title.to_owned(),
        head: names.iter().map(|name| label(tale, name)).collect(),
        rows: objects.iter().map(row).collect(),
    })]
}

/// Whether a field says what the others are said of.
fn names_a_row(name: &str) -> bool {
    matches!(name, "resource" | "source" | "name" | "function" | "id")
}

/// A value as people say it.
pub(crate) fn in_words(value: &Value) -> Text {
    match value {
        Value::Null => "not known".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(at) => Text::at(at),
            Err(_) => in_short(text).into(),
        },
        Value::Number(number) => number.to_string().into(),
        Value::Object(_) => match (warning(value), Resource::deserialize(value)) {
            (Some(warning), _) => in_short(&warning.to_string()).into(),
            (None, Ok(resource)) => resource.text.into(),
            (None, Err(_)) => Text::code(value.to_string()),
        },
        Value::Array(_) => Text::code(value.to_string()),
    }
}
