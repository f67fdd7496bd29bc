//! The schema's findings, in words that say what to do.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::finding::Finding;
use super::yaml::{Node, plain, step};
use crate::output::{one_line, quote};

/// Everything in `value` that `schema` refuses. `root` is the same as `value` and knows the lines.
pub fn against_schema(schema: &Value, value: &Value, root: &Node) -> Vec<Finding> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => {
            let mut findings = Vec::new();
            for error in validator.iter_errors(value) {
                word(schema, &error, root, &mut findings);
            }
            findings
        }
        // Only a defect in the plan's types can get here, and tests would show it.
        Err(error) => {
            vec![Finding {
                position: root.position,
                path: String::new(),
                message: one_line(&error),
            }]
        }
    }
}

fn word(schema: &Value, error: &ValidationError<'_>, root: &Node, findings: &mut Vec<Finding>) {
    let path = error.instance_path().as_str();
    // The schema of the value that is wrong: the keyword's path without the keyword.
    let place = error
        .schema_path()
        .as_str()
        .rsplit_once('/')
        .map_or("", |(place, _)| place);
    let here = schema.pointer(place).unwrap_or(&Value::Null);
    let mut add = |message: String| {
        let finding = Finding {
            position: root.find(path),
            path: path.to_owned(),
            message,
        };
        // A name that is too long and has the wrong form would be there twice.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known: Vec<&str> = here["properties"]
                .as_object()
                .into_iter()
                .flat_map(|map| map.keys())
                .map(String::as_str)
                .collect();
            findings.extend(unexpected.iter().map(|key| Finding {
                position: root.find_key(path, key),
                path: format!("{path}{}", step(key)),
                message: renamed(path, key).unwrap_or_else(|| unknown_key(key, &known)),
            }));
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            let what = description(&here["properties"][key]);
            let message = if what.is_empty() {
                "missing; add it".to_owned()
            } else {
                format!("missing; add it. {what}")
            };
            findings.push(Finding {
                position: root.find(path),
                path: format!("{path}{}", step(key)),
                message,
            });
        }
        ValidationErrorKind::Type { kind } => add(wrong_type(kind, error.instance(), root.text(path))),
        ValidationErrorKind::Pattern { .. }
        | ValidationErrorKind::MaxLength { .. }
        | ValidationErrorKind::MinLength { .. } => {
            add(wrong_text(here, error));
        }
        ValidationErrorKind::OneOfNotValid { .. } => add(not_one_of(here, error.instance())),
        ValidationErrorKind::Minimum { limit } => add(format!("{} is too small; at least {limit}", error.instance())),
        ValidationErrorKind::Maximum { limit } => add(format!("{} is too large; at most {limit}", error.instance())),
        ValidationErrorKind::MinItems { limit } | ValidationErrorKind::MinProperties { limit } => {
            add(format!("has too few entries; give at least {limit}"));
        }
        _ => add(one_line(error)),
    }
}

/// Fields that are called otherwise now: where they are, what they were called, and what they are called.
const RENAMED: [(&str, &str, &str); 1] = [("/regions", "recovery", "standby")];

fn renamed(path: &str, key: &str) -> Option<String> {
    let (.., now) = RENAMED
        .into_iter()
        .find(|(place, before, _)| (*place, *before) == (path, key))?;
    Some(format!("is now called '{now}'; rename it"))
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    if key == "<<" {
        return "merge keys are not part of YAML 1.2; write the keys out".to_owned();
    }
    match nearest(key, known) {
        Some(near) => format!("unknown key; did you mean '{near}'?"),
        None => format!("unknown key; known here: {}", known.join(", ")),
    }
}

/// Of `known`, what was probably meant: no more than a third of its letters differ.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Long words are no typing errors, and comparing them takes time.
    if word.len() > 64 {
        return None;
    }
    let normal = word.to_lowercase().replace(['-', ' '], "_");
    let distance = |other: &str| strsim::damerau_levenshtein(&normal, &other.replace('-', "_"));
    let best = known.iter().min_by_key(|other| distance(other))?;
    (distance(best) * 3 <= best.len().max(3)).then_some(*best)
}

/// The first sentence of a field's description.
fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}

fn wrong_type(kind: &TypeKind, value: &Value, text: Option<&str>) -> String {
    let expected: Vec<JsonType> = match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(set) => set.iter().filter(|one| *one != JsonType::Null).collect(),
    };
    let is = match value {
        Value::Null => "is empty",
        Value::Bool(_) => "is true or false",
        Value::Number(_) => "is a number",
        Value::String(_) => "is text",
        Value::Array(_) => "is a list",
        Value::Object(_) => "is a mapping",
    };
    let wanted = expected.iter().map(|one| match one {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "nothing",
        JsonType::Number => "a number",
        JsonType::Object => "a mapping (key: value)",
        JsonType::String => "text",
    });
    let wanted = wanted.collect::<Vec<_>>().join(" or ");
    let text = text.map(quote).unwrap_or_default();
    let hint = match (value, expected.as_slice()) {
        (Value::Number(_) | Value::Bool(_), [JsonType::String]) => format!("; put it in quotes: \"{text}\""),
        (Value::String(raw), [JsonType::Integer]) if plain(raw).is_number() => {
            format!("; leave out the quotes: {text}")
        }
        (Value::String(raw), [JsonType::Boolean]) if plain(raw).is_boolean() => {
            format!("; leave out the quotes: {text}")
        }
        _ => String::new(),
    };
    format!("{is}, but must be {wanted}{hint}")
}

fn wrong_text(here: &Value, error: &ValidationError<'_>) -> String {
    let text = error.instance().as_str().unwrap_or_default();
    if text.is_empty() {
        let form = here["patternErrorMessage"]
            .as_str()
            .map(|form| format!("; {form}"))
            .unwrap_or_default();
        return format!("is empty{form}");
    }
    match here["patternErrorMessage"].as_str() {
        Some(form) => format!("'{}' cannot be right: {form}", quote(text)),
        None => one_line(&error.masked_with(format!("'{}'", quote(text)))),
    }
}

/// The schema of an enumeration is a choice of constants.
fn not_one_of(here: &Value, value: &Value) -> String {
    let choices = here["oneOf"].as_array().into_iter().flatten();
    let choices: Vec<&str> = choices.filter_map(|choice| choice["const"].as_str()).collect();
    let (is, near) = match value {
        Value::String(text) => (format!("'{}' is not", quote(text)), nearest(text, &choices)),
        _ => ("is not".to_owned(), None),
    };
    let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
    format!("{is} one of {}{hint}", choices.join(", "))
}
