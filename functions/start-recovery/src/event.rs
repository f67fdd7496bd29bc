//! What an event of EventBridge says about an alarm. Fields that are not known here are passed over: AWS adds some every
//! year. A field that is needed and is missing, or is something else than expected, is named.
//!
//! The event is read as JSON, and not with `aws_lambda_events`. `EventBridgeEvent` tells a missing field from an empty one for
//! none that decides here, and refuses an event for its `time`, which decides nothing. `CloudWatchAlarmData` drops
//! `muteDetail`, refuses states that it does not know and composite alarms without a suppressor, and loses the text of a time,
//! from which the id follows.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The longest event that is looked at, in bytes of JSON text: what EventBridge passes on at most.
const LARGEST: usize = 256 * 1024;
/// The one source of alarms' events.
const SOURCE: &str = "aws.cloudwatch";
/// The one kind of event that can start something.
const STATE_CHANGE: &str = "CloudWatch Alarm State Change";
/// What keeps a composite alarm from acting while it waits whether its suppressor goes off.
const WAIT_PERIOD: &str = "WaitPeriod";
/// More characters of an event than this are not told.
const LONGEST_QUOTE: usize = 120;
/// Characters of an alarm's ARN: 255 for its name (CloudWatch API Reference, PutMetricAlarm), and what is before it.
const LONGEST_ARN: usize = 400;

/// An alarm's change of state, as its event says it.
#[derive(Debug)]
pub(crate) struct StateChange<'a> {
    /// The account.
    pub account: &'a str,
    /// The Region.
    pub region: &'a str,
    /// The alarm's name.
    pub alarm: &'a str,
    /// The alarm's ARN.
    pub arn: &'a str,
    /// The state before.
    pub before: &'a str,
    /// The state since.
    pub state: &'a str,
    /// When it changed.
    pub at: Timestamp,
    /// When this was said: later, where a composite alarm has waited for its suppressor.
    pub said_at: Timestamp,
    /// What mutes the alarm, if anything does.
    pub muted: Option<&'a Value>,
    /// What suppresses the actions of a composite alarm, if anything does. Waiting whether something will is none.
    pub suppressed: Option<&'a Value>,
    /// The alarm that suppresses them when it goes off, if the event names it.
    pub suppressor: Option<&'a str>,
    /// Whether the alarm's actions were suppressed and are not any more, so that CloudWatch takes them now.
    pub is_freed: bool,
}

impl<'a> StateChange<'a> {
    /// Reads an event. Errors: a text that says why it is no alarm's change of state.
    pub fn read(event: &'a Value) -> Result<Self, String> {
        if !event.is_object() {
            return Err("the event is not an object; pass the whole EventBridge event".to_owned());
        }
        let size = event.to_string().len();
        if size > LARGEST {
            return Err(format!(
                "the event has {size} bytes, and EventBridge passes on {LARGEST} at most; no alarm sent it"
            ));
        }
        let source = text(event, &["source"])?;
        if source != SOURCE {
            return Err(format!(
                "the event comes from {}, and alarms' events come from {SOURCE}; correct the rule's pattern",
                quoted(source)
            ));
        }
        let kind = text(event, &["detail-type"])?;
        if kind != STATE_CHANGE {
            return Err(format!(
                "it is a {}, and only a {STATE_CHANGE} starts anything; correct the rule's pattern",
                quoted(kind)
            ));
        }
        let said_at = time_at(event, &["detail", "state", "timestamp"])?;
        Ok(Self {
            account: text(event, &["account"])?,
            region: text(event, &["region"])?,
            alarm: text(event, &["detail", "alarmName"])?,
            arn: arn_in(event)?,
            before: text(event, &["detail", "previousState", "value"])?,
            state: text(event, &["detail", "state", "value"])?,
            at: match has_waited(event) {
                true => time_at(event, &WAITS_SINCE)?,
                false => said_at,
            },
            said_at,
            muted: mute_in(event),
            suppressed: suppression_in(event),
            suppressor: event
                .pointer("/detail/configuration/actionsSuppressor")
                .and_then(Value::as_str),
            is_freed: is_freed(event),
        })
    }
}

/// The event's id: 32 hexadecimal digits that follow from the alarm and the moment of its change of state, so that the same
/// event has the same one, and so has the one that says that the alarm's wait for its suppressor is over. Whatever is no such
/// change, or is one that must start nothing, has an id of its own text: a contributor of an alarm changes at the same moment
/// as the alarm, and refusing it must not stand for the alarm's event.
pub(crate) fn id_of(event: &Value) -> String {
    let is_change = text(event, &["source"]) == Ok(SOURCE) && text(event, &["detail-type"]) == Ok(STATE_CHANGE);
    let is_quiet = mute_in(event).is_some() || suppression_in(event).is_some();
    let moment = if has_waited(event) {
        text(event, &WAITS_SINCE)
    } else {
        text(event, &["detail", "state", "timestamp"])
    };
    let change = match (arn_in(event), moment) {
        (Ok(arn), Ok(at)) if is_change && !is_quiet => format!("{arn}{at}"),
        _ => event.to_string(),
    };
    let hash = Sha256::digest(change.as_bytes());
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The alarm as the record names it: its ARN, or what the event says in its place.
pub(crate) fn alarm_of(event: &Value) -> String {
    let named = arn_in(event).or_else(|_| text(event, &["detail", "alarmName"]));
    named.map_or_else(|_| "an unnamed alarm".to_owned(), |name| cut(name, LONGEST_ARN))
}

/// A piece of an event as part of a sentence: in one line, not too long.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", cut(text, LONGEST_QUOTE))
}

fn cut(text: &str, longest: usize) -> String {
    let mut line = String::new();
    for character in text.chars().take(longest) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line
}

/// The text at `path`. Errors: which field is missing, or is something else.
fn text<'a>(event: &'a Value, path: &[&str]) -> Result<&'a str, String> {
    let mut value = event;
    for (depth, name) in path.iter().enumerate() {
        let fields = value.as_object().ok_or_else(|| {
            format!(
                "{} is {}, where an object is expected",
                path[..depth].join("."),
                kind(value)
            )
        })?;
        value = fields
            .get(*name)
            .ok_or_else(|| format!("{} is missing from the event", path[..=depth].join(".")))?;
    }
    value
        .as_str()
        .ok_or_else(|| format!("{} is {}, where text is expected", path.join("."), kind(value)))
}

/// The alarm's ARN, which is the first of the event's resources.
fn arn_in(event: &Value) -> Result<&str, String> {
    let first = event.get("resources").and_then(|resources| resources.get(0));
    let first = first.ok_or("resources[0] is missing from the event")?;
    first
        .as_str()
        .ok_or_else(|| format!("resources[0] is {}, where text is expected", kind(first)))
}

fn mute_in(event: &Value) -> Option<&Value> {
    event.pointer("/detail/muteDetail").filter(|value| !value.is_null())
}

/// What suppresses the actions of a composite alarm. A wait is none: then its suppressor is not in ALARM, and that the wait
/// is over is documented for an alarm's own actions only, not for EventBridge.
fn suppression_in(event: &Value) -> Option<&Value> {
    held_by(event, "state").filter(|by| *by != WAIT_PERIOD)
}

/// What kept a composite alarm from acting in `state` or `previousState`.
fn held_by<'a>(event: &'a Value, state: &str) -> Option<&'a Value> {
    let by = event.get("detail")?.get(state)?.get("actionsSuppressedBy")?;
    Some(by).filter(|by| !by.is_null())
}

/// Whether the alarm is in ALARM as it was before, and acts now, which it did not before.
fn is_freed(event: &Value) -> bool {
    let is_alarm = |state: &str| text(event, &["detail", state, "value"]) == Ok("ALARM");
    is_alarm("state")
        && is_alarm("previousState")
        && held_by(event, "state").is_none()
        && held_by(event, "previousState").is_some()
}

/// Where an event says since when the alarm has waited for its suppressor.
const WAITS_SINCE: [&str; 3] = ["detail", "previousState", "timestamp"];

/// Whether the event says that this wait is over.
fn has_waited(event: &Value) -> bool {
    is_freed(event) && held_by(event, "previousState").is_some_and(|by| by == WAIT_PERIOD)
}

fn time_at(event: &Value, path: &[&str]) -> Result<Timestamp, String> {
    let timestamp = text(event, path)?;
    time_in(timestamp).ok_or_else(|| format!("{} is {}, which is not a time", path.join("."), quoted(timestamp)))
}

/// CloudWatch writes the offset as `+0000`, which RFC 3339 does not know; both are read.
fn time_in(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_as_cloudwatch_and_as_rfc_3339_write_them() {
        for text in [
            "2019-10-02T17:04:40.989+0000",
            "2019-10-02T17:04:40.989Z",
            "2019-10-02T19:04:40.989+02:00",
            "2019-10-02T19:04:40.989+0200",
        ] {
            assert_eq!(time_in(text), "2019-10-02T17:04:40.989Z".parse().ok(), "{text}");
        }
        assert!(time_in("2019-10-02T17:04:40+0000").is_some());
        for text in ["", "yesterday", "2019-10-02", "2019-10-02T17:04:40", "1570035880"] {
            assert_eq!(time_in(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_field_is_said() {
        let event = json!({ "a": { "b": 1 }, "c": [] });
        let wrong = |path: &[&str]| text(&event, path).unwrap_err();
        assert_eq!(wrong(&["x"]), "x is missing from the event");
        assert_eq!(wrong(&["a", "x"]), "a.x is missing from the event");
        assert_eq!(wrong(&["a", "b"]), "a.b is a number, where text is expected");
        assert_eq!(wrong(&["c", "x"]), "c is a list, where an object is expected");
        assert_eq!(arn_in(&event), Err("resources[0] is missing from the event".to_owned()));
        let numbers = json!({ "resources": [7] });
        assert_eq!(
            arn_in(&numbers),
            Err("resources[0] is a number, where text is expected".to_owned())
        );
    }

    #[test]
    fn what_is_told_of_an_event_is_short_and_one_line() {
        assert_eq!(quoted("a\nb\u{1b}[1m"), "'a\\nb\\u{1b}[1m'");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), LONGEST_QUOTE + 3);
    }
}
