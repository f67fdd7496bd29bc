//! Which event patterns are taken.

use serde_json::{Map, Value};

use super::patterns::{alternatives, comparisons, named_matcher, wildcard_symbols};

/// Errors: why EventBridge would refuse the pattern, or which part of it is not simulated.
pub(super) fn check_pattern(pattern: &Value) -> Result<(), String> {
    let fields = pattern.as_object().ok_or("Filter is not an object")?;
    check_fields(fields)
}

pub(super) fn check_fields(fields: &Map<String, Value>) -> Result<(), String> {
    if fields.is_empty() {
        return Err("Empty objects are not allowed".to_owned());
    }
    for (name, wanted) in fields {
        if let Some(mut alternatives) = alternatives(name, wanted) {
            alternatives.try_for_each(check_fields)?;
            continue;
        }
        match wanted {
            Value::Object(inner) => check_fields(inner)?,
            Value::Array(matchers) if matchers.is_empty() => return Err("Empty arrays are not allowed".to_owned()),
            Value::Array(matchers) => {
                matchers
                    .iter()
                    .try_for_each(check_matcher)
                    .map_err(|why| format!("{why} at \"{name}\""))?;
            }
            _ => return Err(format!("\"{name}\" must be an object or an array")),
        }
    }
    Ok(())
}

pub(super) fn check_matcher(matcher: &Value) -> Result<(), String> {
    let fields = match matcher {
        Value::Object(fields) => fields,
        Value::Array(_) => return Err("Match value must be String, number, true, false, or null".to_owned()),
        _ => return Ok(()),
    };
    let Some((name, argument)) = named_matcher(matcher).filter(|_| fields.len() == 1) else {
        return Err("Only one key allowed in match expression".to_owned());
    };
    match (name, argument) {
        ("exists", argument) if argument.is_boolean() => Ok(()),
        ("exists", _) => Err("exists match pattern must be either true or false".to_owned()),
        ("numeric", argument) => comparisons(argument).map(|_| ()),
        ("anything-but", argument) => check_anything_but(argument),
        ("cidr", _) => Err("the simulator has no cidr matcher".to_owned()),
        (name, argument) => check_text_matcher(name, argument),
    }
}

pub(super) fn check_text_matcher(name: &str, argument: &Value) -> Result<(), String> {
    match (name, argument) {
        ("prefix" | "suffix", Value::Object(fields)) => match named_matcher(argument).filter(|_| fields.len() == 1) {
            Some(("equals-ignore-case", Value::String(_))) => Ok(()),
            _ => Err(format!("Unsupported {name} pattern")),
        },
        ("prefix" | "suffix" | "equals-ignore-case", Value::String(_)) => Ok(()),
        ("wildcard", Value::String(pattern)) => wildcard_symbols(pattern).map(|_| ()),
        ("prefix" | "suffix" | "equals-ignore-case" | "wildcard", _) => {
            Err(format!("{name} match pattern must be a string"))
        }
        (name, _) => Err(format!("Unrecognized match type {name}")),
    }
}

pub(super) fn check_anything_but(argument: &Value) -> Result<(), String> {
    match argument {
        Value::String(_) | Value::Number(_) => Ok(()),
        Value::Array(list) if list.is_empty() => Err("Empty arrays are not allowed".to_owned()),
        Value::Array(list) if list.iter().all(Value::is_string) || list.iter().all(Value::is_number) => Ok(()),
        Value::Object(fields) => match named_matcher(argument).filter(|_| fields.len() == 1) {
            Some((_, Value::Array(list))) if list.is_empty() => Err("Empty arrays are not allowed".to_owned()),
            Some((name, Value::Array(list))) => list.iter().try_for_each(|each| check_text_matcher(name, each)),
            Some((name, argument)) => check_text_matcher(name, argument),
            None => Err("Only one key allowed in match expression".to_owned()),
        },
        _ => Err("anything-but takes strings, or numbers, or a matcher for strings".to_owned()),
    }
}
