//! CloudWatch Logs: groups of lines that services write, and `FilterLogEvents`. Source: CloudWatch Logs API Reference,
//! `FilterLogEvents`.
//!
//! Simplified: a group has one stream, and its lines are in the order in which they were written.

mod pattern;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::pattern::Pattern;
use crate::aws::refusal::Refusal;
use crate::aws::wire::Reply;
use crate::environment::Environment;
use crate::lock::lock;

/// The name of the one stream of each group.
const STREAM: &str = "1";
/// How many lines one answer looks at. AWS bounds it by time and size, and publishes neither.
const LOOKED_AT: usize = 1000;
/// How many lines one answer has at most, by default and however many are asked for.
const ANSWERED: usize = 10_000;

/// Log groups, by Region and name.
#[derive(Default)]
pub struct Logs {
    groups: Mutex<BTreeMap<(String, String), Vec<Line>>>,
}

/// One line of a log.
struct Line {
    /// When it happened, as the line says.
    at: Timestamp,
    /// From when on it can be read.
    arrives_at: Timestamp,
    message: String,
}

/// What is asked for.
struct Request<'a> {
    group: &'a str,
    from: Option<i64>,
    to: Option<i64>,
    pattern: Pattern,
    limit: usize,
    /// The first line to look at.
    first: usize,
}

impl Logs {
    /// Writes a line of the moment `at`, which arrives after the time that lines take. The first one makes its group.
    pub fn write(&self, environment: &Environment, region: &str, group: &str, at: Timestamp, message: String) {
        let takes = environment.draw("log-delivery", &environment.timings.log_delivery);
        let now = environment.now();
        let line = Line {
            at,
            arrives_at: now.checked_add(takes).unwrap_or(now),
            message,
        };
        let key = (region.to_owned(), group.to_owned());
        lock(&self.groups).entry(key).or_default().push(line);
    }

    /// Whether there is such a group.
    pub fn has(&self, region: &str, group: &str) -> bool {
        lock(&self.groups).contains_key(&(region.to_owned(), group.to_owned()))
    }

    /// How many lines each group has.
    fn lines(&self) -> Value {
        let groups = lock(&self.groups);
        let each = groups
            .iter()
            .map(|((region, name), lines)| (format!("{region} {name}"), lines.len()));
        json!(each.collect::<BTreeMap<_, _>>())
    }

    fn filter(&self, environment: &Environment, region: &str, body: &Value) -> Result<Reply, Refusal> {
        let request = Request::read(body)?;
        let groups = lock(&self.groups);
        let lines = groups.get(&(region.to_owned(), request.group.to_owned()));
        let lines = lines.ok_or_else(|| {
            let message = "The specified log group does not exist.".to_owned();
            Refusal(400, "ResourceNotFoundException", message)
        })?;
        let now = environment.now();
        let mut events = Vec::new();
        let mut next = request.first;
        for line in lines.iter().skip(request.first).take(LOOKED_AT) {
            if events.len() == request.limit {
                break;
            }
            next += 1;
            if line.arrives_at <= now && request.takes(line) {
                events.push(json!({
                    "logStreamName": STREAM, "timestamp": line.at.as_millisecond(), "message": line.message,
                    "ingestionTime": line.arrives_at.as_millisecond(), "eventId": format!("{next:056}"),
                }));
            }
        }
        let mut answer = json!({ "events": events, "searchedLogStreams": [] });
        if next < lines.len() {
            answer["nextToken"] = json!(format!("simulated-{next}"));
        }
        Ok(Reply::json(200, &answer))
    }
}

impl Request<'_> {
    fn takes(&self, line: &Line) -> bool {
        let at = line.at.as_millisecond();
        self.from.is_none_or(|from| at >= from)
            && self.to.is_none_or(|to| at <= to)
            && self.pattern.takes(&line.message)
    }

    /// Errors: what AWS does not take, and what is not heeded here.
    fn read(body: &Value) -> Result<Request<'_>, Refusal> {
        let known = [
            "logGroupName",
            "startTime",
            "endTime",
            "filterPattern",
            "limit",
            "nextToken",
        ];
        let mut names = body.as_object().into_iter().flatten().map(|(name, _)| name);
        if let Some(name) = names.find(|name| !known.contains(&name.as_str())) {
            let message = format!("the simulated CloudWatch Logs does not know {name}");
            return Err(Refusal(501, "NotSimulated", message));
        }
        let invalid = |what: &str| Refusal(400, "InvalidParameterException", format!("{what} is not valid"));
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = |name: &str| body.get(name).map(|value| value.as_i64().ok_or_else(|| invalid(name)));
        let limit = match number("limit").transpose()? {
            None => ANSWERED,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=ANSWERED).contains(limit))
                .ok_or_else(|| invalid("limit"))?,
        };
        let first = match text("nextToken") {
            None => 0,
            Some(token) => token
                .strip_prefix("simulated-")
                .and_then(|first| first.parse().ok())
                .ok_or_else(|| invalid("nextToken"))?,
        };
        Ok(Request {
            group: text("logGroupName").ok_or_else(|| invalid("logGroupName"))?,
            from: number("startTime").transpose()?,
            to: number("endTime").transpose()?,
            pattern: Pattern::read(text("filterPattern").unwrap_or_default())?,
            limit,
            first,
        })
    }
}
