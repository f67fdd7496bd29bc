//! How the input of a target is made from an event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

/// The longest input template, in characters (EventBridge API Reference, InputTransformer).
pub(super) const TEMPLATE_LIMIT: usize = 8192;

/// The most variables of one input transformer (EventBridge API Reference, InputTransformer).
pub(super) const VARIABLES_LIMIT: usize = 100;

/// Makes a target's input from an event.
#[derive(Clone, Debug)]
pub struct InputTransformer {
    /// Variables, and the path in the event of each: `$.detail.state.value`, `$.resources[0]`.
    pub paths: BTreeMap<String, String>,
    /// The input, as JSON text, with `<variable>` wherever one is put in.
    pub template: String,
}

/// A part of an input template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Taken over as it is.
    Text(&'a str),
    /// `<name>`, and whether it stands between quotes.
    Variable { name: &'a str, quoted: bool },
}

/// Takes a template apart.
pub(super) fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut text_from, mut at) = (0, 0);
    let (mut quoted, mut escaped) = (false, false);
    while let Some(c) = template[at..].chars().next() {
        let rest = &template[at + c.len_utf8()..];
        let name = (c == '<').then(|| rest.split_once('>')).flatten().map(|(name, _)| name);
        if let Some(name) = name.filter(|name| is_variable_name(name)) {
            pieces.push(Piece::Text(&template[text_from..at]));
            pieces.push(Piece::Variable { name, quoted });
            at += name.len() + 2;
            text_from = at;
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        at += c.len_utf8();
    }
    pieces.push(Piece::Text(&template[text_from..]));
    pieces
}

pub(super) fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// A step of a path into an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathStep {
    Field(String),
    Index(usize),
}

/// Reads `$.detail.metrics[0].id`. Wildcards are not simulated.
pub(super) fn path_steps(path: &str) -> Result<Vec<PathStep>, String> {
    let wrong = || format!("'{path}' is not a path that the simulator knows");
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let name = &after[..end];
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-/".contains(c)) {
                return Err(wrong());
            }
            steps.push(PathStep::Field(name.to_owned()));
            rest = &after[end..];
        } else {
            let (index, after) = rest
                .strip_prefix('[')
                .and_then(|rest| rest.split_once(']'))
                .ok_or_else(wrong)?;
            steps.push(PathStep::Index(index.parse().map_err(|_| wrong())?));
            rest = after;
        }
    }
    Ok(steps)
}

pub(super) fn at_path<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    path_steps(path).ok()?.iter().try_fold(event, |value, step| match step {
        PathStep::Field(name) => value.get(name),
        PathStep::Index(index) => value.get(index),
    })
}

impl InputTransformer {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.paths.len() > VARIABLES_LIMIT {
            return Err(format!("more than {VARIABLES_LIMIT} variables"));
        }
        for (name, path) in &self.paths {
            if name.is_empty() || name.contains('.') || !is_variable_name(name) {
                return Err(format!("'{name}' is not a variable's name"));
            }
            path_steps(path)?;
        }
        if self.template.is_empty() || self.template.chars().count() > TEMPLATE_LIMIT {
            return Err(format!(
                "the input template has not between 1 and {TEMPLATE_LIMIT} characters"
            ));
        }
        // Every variable is replaced by a string that shows where it stood.
        let mut filled = String::new();
        for piece in pieces(&self.template) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable { name, quoted } => {
                    let whole_event = name == "aws.events.event" || name == "aws.events.event.json";
                    let predefined = whole_event
                        || [
                            "aws.events.rule-arn",
                            "aws.events.rule-name",
                            "aws.events.event.ingestion-time",
                        ]
                        .contains(&name);
                    if !predefined && !self.paths.contains_key(name) {
                        return Err(format!(
                            "the input template names <{name}>, and no path says where that is"
                        ));
                    }
                    if whole_event && quoted {
                        return Err(format!(
                            "<{name}> can only be a JSON field's value, not part of a string"
                        ));
                    }
                    let quote = if quoted { "" } else { "\"" };
                    filled.push_str(&format!("{quote}<{name}>{quote}"));
                }
            }
        }
        let filled: Value =
            serde_json::from_str(&filled).map_err(|error| format!("the input template is not JSON: {error}"))?;
        match key_with_variable(&filled) {
            Some(key) => Err(format!("the input template has a variable in an object's key: {key}")),
            None => Ok(()),
        }
    }

    /// The input that a target gets.
    ///
    /// As documented, EventBridge escapes nothing that it puts between quotes, so that a text with quotes in it can
    /// break the input. A path that leads nowhere gives an empty text.
    pub(super) fn apply(
        &self,
        event: &Value,
        rule: &str,
        rule_arn: &str,
        ingested_at: Timestamp,
    ) -> Result<Value, String> {
        let mut input = String::new();
        for piece in pieces(&self.template) {
            match piece {
                Piece::Text(text) => input.push_str(text),
                Piece::Variable { name, quoted } => {
                    let value = match name {
                        "aws.events.rule-arn" => Some(Value::from(rule_arn)),
                        "aws.events.rule-name" => Some(Value::from(rule)),
                        "aws.events.event.ingestion-time" => {
                            Some(Value::from(ingested_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
                        }
                        "aws.events.event.json" => Some(event.clone()),
                        "aws.events.event" => {
                            let mut event = event.clone();
                            event.as_object_mut().map(|fields| fields.remove("detail"));
                            Some(event)
                        }
                        variable => self.paths.get(variable).and_then(|path| at_path(event, path)).cloned(),
                    };
                    input.push_str(&put_in(value.unwrap_or_else(|| Value::from("")), quoted));
                }
            }
        }
        serde_json::from_str(&input).map_err(|error| format!("the transformed input is not JSON ({error}): {input}"))
    }
}

/// A value as it is put into a template.
pub(super) fn put_in(value: Value, quoted: bool) -> String {
    match value {
        Value::String(text) if quoted => text,
        Value::Object(_) | Value::Array(_) if quoted => value.to_string().replace("\\\"", "").replace('"', ""),
        value => value.to_string(),
    }
}

pub(super) fn key_with_variable(filled: &Value) -> Option<&str> {
    match filled {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let has_variable = pieces(key).iter().any(|piece| matches!(piece, Piece::Variable { .. }));
            if has_variable {
                Some(key.as_str())
            } else {
                key_with_variable(value)
            }
        }),
        Value::Array(elements) => elements.iter().find_map(key_with_variable),
        _ => None,
    }
}
