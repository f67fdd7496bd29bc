//! Event patterns: which events they match.

use serde_json::{Map, Value};

/// The largest number that "numeric" compares, and negated the smallest (Event Ruler, README).
pub(super) const NUMERIC_LIMIT: f64 = 5.0e9;

/// Matchers' names, which the alternatives of an `$or` cannot have as fields.
pub(super) const MATCHERS: [&str; 9] = [
    "exact",
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "exists",
    "cidr",
];

/// Whether an event pattern matches an event, as EventBridge decides it. A pattern that `Events::put_rule` refuses
/// can match or not.
///
/// Fields are all required, the values listed for one are alternatives, and an array in the event matches if one of its
/// elements does. Numbers written differently (`300`, `300.0`) are not equal, as the User Guide has it. Within an array
/// of objects all fields have to match in the same object; there `exists: false` asks each object by itself, where the
/// real matcher asks all of them if nothing else picked one.
pub fn matches(pattern: &Value, event: &Value) -> bool {
    pattern
        .as_object()
        .is_some_and(|pattern| fields_match(pattern, Some(event)))
}

pub(super) fn fields_match(pattern: &Map<String, Value>, event: Option<&Value>) -> bool {
    if let Some(Value::Array(elements)) = event
        && !elements.is_empty()
    {
        return elements.iter().any(|element| fields_match(pattern, Some(element)));
    }
    pattern.iter().all(|(name, wanted)| {
        if let Some(mut alternatives) = alternatives(name, wanted) {
            return alternatives.any(|alternative| fields_match(alternative, event));
        }
        let found = event.and_then(|event| event.get(name));
        match wanted {
            Value::Object(inner) => fields_match(inner, found),
            Value::Array(matchers) => {
                let mut values = Vec::new();
                leaves(found, &mut values);
                matchers.iter().any(|matcher| leaf_matches(matcher, &values))
            }
            _ => false,
        }
    })
}

/// The alternatives of an `$or`. Where it has not their form, `$or` is a field like any other.
pub(super) fn alternatives<'a>(name: &str, wanted: &'a Value) -> Option<impl Iterator<Item = &'a Map<String, Value>>> {
    let list = wanted.as_array().filter(|list| name == "$or" && list.len() >= 2)?;
    let is_alternative = |value: &Value| {
        value
            .as_object()
            .is_some_and(|fields| !fields.keys().any(|key| MATCHERS.contains(&key.as_str())))
    };
    list.iter()
        .all(is_alternative)
        .then(|| list.iter().filter_map(Value::as_object))
}

/// The simple values of a field, those within arrays too.
pub(super) fn leaves<'a>(found: Option<&'a Value>, values: &mut Vec<&'a Value>) {
    match found {
        None | Some(Value::Object(_)) => {}
        Some(Value::Array(elements)) => elements.iter().for_each(|element| leaves(Some(element), values)),
        Some(value) => values.push(value),
    }
}

pub(super) fn leaf_matches(matcher: &Value, values: &[&Value]) -> bool {
    match matcher.get("exists").and_then(Value::as_bool) {
        Some(exists) => exists != values.is_empty(),
        None => values.iter().any(|value| value_matches(matcher, value)),
    }
}

/// The name and the argument of a matcher that is not a plain value.
pub(super) fn named_matcher(matcher: &Value) -> Option<(&str, &Value)> {
    matcher
        .as_object()?
        .iter()
        .next()
        .map(|(name, argument)| (name.as_str(), argument))
}

pub(super) fn value_matches(matcher: &Value, value: &Value) -> bool {
    let Some((name, argument)) = named_matcher(matcher) else {
        return matcher == value;
    };
    match name {
        "anything-but" => !excluded(argument, value),
        "numeric" => {
            let comparisons = comparisons(argument).unwrap_or_default();
            value
                .as_f64()
                .is_some_and(|value| comparisons.iter().all(|comparison| comparison.holds(value)))
        }
        name => value.as_str().is_some_and(|text| text_matches(name, argument, text)),
    }
}

/// What "anything-but" does not let through.
pub(super) fn excluded(argument: &Value, value: &Value) -> bool {
    match argument {
        Value::Array(list) => list.contains(value),
        Value::Object(_) => named_matcher(argument).is_some_and(|(name, argument)| {
            let one = std::slice::from_ref(argument);
            let list = argument.as_array().map_or(one, Vec::as_slice);
            value
                .as_str()
                .is_some_and(|text| list.iter().any(|argument| text_matches(name, argument, text)))
        }),
        other => other == value,
    }
}

pub(super) fn text_matches(name: &str, argument: &Value, text: &str) -> bool {
    // Prefix and suffix also take {"equals-ignore-case": "…"}.
    let ignored_case = argument
        .get("equals-ignore-case")
        .and_then(Value::as_str)
        .map(str::to_lowercase);
    let (wanted, text) = match (&ignored_case, argument.as_str()) {
        (Some(wanted), _) => (wanted.as_str(), text.to_lowercase()),
        (None, Some(wanted)) => (wanted, text.to_owned()),
        (None, None) => return false,
    };
    match name {
        "prefix" => text.starts_with(wanted),
        "suffix" => text.ends_with(wanted),
        "equals-ignore-case" => text.to_lowercase() == wanted.to_lowercase(),
        "wildcard" => {
            let text: Vec<char> = text.chars().collect();
            wildcard_symbols(wanted).is_ok_and(|symbols| wildcard_matches(&symbols, &text))
        }
        _ => false,
    }
}

/// A wildcard pattern's symbols: a character, or none for `*`.
pub(super) fn wildcard_symbols(pattern: &str) -> Result<Vec<Option<char>>, String> {
    let mut symbols = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        symbols.push(match character {
            '*' if symbols.last() == Some(&None) => return Err("Consecutive wildcard characters".to_owned()),
            '*' => None,
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '\\')) => Some(escaped),
                _ => return Err("Invalid escape character".to_owned()),
            },
            character => Some(character),
        });
    }
    Ok(symbols)
}

pub(super) fn wildcard_matches(symbols: &[Option<char>], text: &[char]) -> bool {
    match symbols.split_first() {
        None => text.is_empty(),
        Some((None, rest)) => (0..=text.len()).any(|skipped| wildcard_matches(rest, &text[skipped..])),
        Some((wanted, rest)) => text.first() == wanted.as_ref() && wildcard_matches(rest, &text[1..]),
    }
}

/// One comparison of "numeric".
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison<'a> {
    pub(super) operator: &'a str,
    pub(super) limit: f64,
}

impl Comparison<'_> {
    pub(super) fn holds(&self, value: f64) -> bool {
        match self.operator {
            "<" => value < self.limit,
            "<=" => value <= self.limit,
            ">" => value > self.limit,
            ">=" => value >= self.limit,
            _ => value == self.limit,
        }
    }
}

/// Reads `["=", 5]`, `["<", 5]`, `[">", 0, "<=", 5]`.
pub(super) fn comparisons(argument: &Value) -> Result<Vec<Comparison<'_>>, String> {
    let list = argument.as_array().filter(|list| list.len() == 2 || list.len() == 4);
    let list = list.ok_or("numeric takes one or two comparisons")?;
    let mut comparisons = Vec::new();
    for pair in list.chunks_exact(2) {
        let operator = pair[0]
            .as_str()
            .filter(|operator| ["<", "<=", ">", ">=", "="].contains(operator));
        let operator = operator.ok_or_else(|| format!("Unrecognized numeric range operator: {}", pair[0]))?;
        let limit = pair[1].as_f64().filter(|limit| limit.abs() <= NUMERIC_LIMIT);
        let limit =
            limit.ok_or_else(|| format!("Value of {operator} must be a number between ±5e9, not {}", pair[1]))?;
        comparisons.push(Comparison { operator, limit });
    }
    if let [bottom, top] = comparisons.as_slice()
        && !(bottom.operator.starts_with('>') && top.operator.starts_with('<') && bottom.limit < top.limit)
    {
        return Err("a numeric range is a lower and then a higher limit".to_owned());
    }
    Ok(comparisons)
}
