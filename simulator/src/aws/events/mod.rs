//! EventBridge: rules that pass events on, and schedules that call targets by the clock.

mod service;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout_at;

use crate::environment::Environment;
use crate::lock::lock;

/// The longest event pattern, in characters (EventBridge User Guide, "Quotas").
const PATTERN_LIMIT: usize = 2048;
/// The most targets of one rule (EventBridge User Guide, "Quotas").
const TARGETS_LIMIT: usize = 5;
/// The longest input template, in characters (EventBridge API Reference, InputTransformer).
const TEMPLATE_LIMIT: usize = 8192;
/// The most variables of one input transformer (EventBridge API Reference, InputTransformer).
const VARIABLES_LIMIT: usize = 100;
/// The largest number that "numeric" compares, and negated the smallest (Event Ruler, README).
const NUMERIC_LIMIT: f64 = 5.0e9;
/// For how long a delivery is tried (EventBridge User Guide: 24 hours).
const DELIVERY_TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after a failed try comes the next (assumed; the real one backs off, with jitter, 185 times at most).
const DELIVERY_TRIED_EVERY: Duration = Duration::from_secs(60);
/// The finest step of a schedule, in seconds (EventBridge Scheduler User Guide: one minute).
const MINUTE: i64 = 60;

/// EventBridge in all Regions: the default event buses' rules, and the Scheduler's default group.
#[derive(Default)]
pub struct Events {
    rules: Mutex<BTreeMap<(String, String), Rule>>,
    schedules: Mutex<BTreeMap<(String, String), Planned>>,
    schedule_was_put: Notify,
    outlet: Mutex<Option<UnboundedSender<Delivery>>>,
    failures: Mutex<Vec<String>>,
}

/// A rule: which events go to which targets.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name, unique within a Region.
    pub name: String,
    /// Which events, as an event pattern.
    pub pattern: Value,
    /// Where they go, five targets at most.
    pub targets: Vec<Target>,
}

/// Where a rule sends events.
#[derive(Clone, Debug)]
pub enum Target {
    /// Starts an execution of a state machine.
    StateMachine {
        /// The state machine, in the rule's Region.
        arn: String,
        /// The execution's input.
        input: TargetInput,
    },
    /// Invokes a Lambda function.
    Function {
        /// The function, in the rule's Region.
        arn: String,
        /// The invocation's payload.
        input: TargetInput,
    },
}

/// What a target is given.
#[derive(Clone, Debug)]
pub enum TargetInput {
    /// The event as it is.
    Event,
    /// Something made from the event.
    Transformed(InputTransformer),
}

/// Makes a target's input from an event.
#[derive(Clone, Debug)]
pub struct InputTransformer {
    /// Variables, and the path in the event of each: `$.detail.state.value`, `$.resources[0]`.
    pub paths: BTreeMap<String, String>,
    /// The input, as JSON text, with `<variable>` wherever one is put in.
    pub template: String,
}

/// A target to be called now.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The Region.
    pub region: String,
    /// The state machine or the function.
    pub target_arn: String,
    /// The execution's input or the function's payload.
    pub input: Value,
    /// The ARN of the rule or schedule that calls.
    pub source: String,
}

/// Calls a target at each full multiple of a time, counted from the epoch.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The name, unique within a Region.
    pub name: String,
    /// The Region.
    pub region: String,
    /// How often: a multiple of a minute.
    pub every: Duration,
    /// The state machine or the function, in the same Region.
    pub target_arn: String,
    /// What it is given.
    pub input: Value,
}

/// A schedule that runs.
struct Planned {
    schedule: Schedule,
    /// How long after the full multiple it calls. Drawn once, so that calls are evenly spaced.
    delay: Duration,
    /// The next full multiple, in seconds since the epoch.
    next: i64,
}

impl Planned {
    fn due(&self) -> Timestamp {
        second(self.next).checked_add(self.delay).unwrap_or(Timestamp::MAX)
    }
}

impl Events {
    /// Creates a rule on the Region's default bus, or replaces it.
    ///
    /// Errors: a text that says why AWS would refuse the rule, or what of it is not simulated.
    pub fn put_rule(&self, region: &str, rule: Rule) -> Result<(), String> {
        let name = &rule.name;
        if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) {
            return Err(format!("'{name}' is not a rule's name"));
        }
        if rule.pattern.to_string().chars().count() > PATTERN_LIMIT {
            return Err(format!(
                "rule {name}: the event pattern is longer than {PATTERN_LIMIT} characters"
            ));
        }
        check_pattern(&rule.pattern)
            .map_err(|why| format!("rule {name}: Event pattern is not valid. Reason: {why}"))?;
        if rule.targets.len() > TARGETS_LIMIT {
            return Err(format!("rule {name}: more than {TARGETS_LIMIT} targets"));
        }
        for target in &rule.targets {
            target.check(region).map_err(|why| format!("rule {name}: {why}"))?;
        }
        lock(&self.rules).insert((region.to_owned(), name.clone()), rule);
        Ok(())
    }

    /// Takes an event onto the Region's default bus: each target of each rule that matches gets it, after a delay drawn
    /// from `event_delivery`. Must be called on the simulation's runtime.
    ///
    /// Without an outage or a fault each is delivered once, where AWS promises "at least once".
    pub fn publish(self: &Arc<Self>, environment: &Arc<Environment>, region: &str, event: Value) {
        let ingested_at = environment.now();
        for ((_, name), rule) in lock(&self.rules).iter().filter(|((of, _), _)| of == region) {
            if !matches(&rule.pattern, &event) {
                continue;
            }
            let source = format!("arn:aws:events:{region}:{}:rule/{name}", environment.account);
            for target in &rule.targets {
                let delay = environment.draw("event-delivery", &environment.timings.event_delivery);
                let (arn, input) = target.parts();
                let input = match input {
                    TargetInput::Event => Ok(event.clone()),
                    TargetInput::Transformed(transformer) => transformer.apply(&event, name, &source, ingested_at),
                };
                let delivery = |input| Delivery {
                    region: region.to_owned(),
                    target_arn: arn.to_owned(),
                    input,
                    source: source.clone(),
                };
                match input {
                    Ok(input) => {
                        let disturbance = environment.faults.disturb(region, name);
                        let delay = delay + disturbance.late;
                        for after in disturbance.again_after {
                            let again = delivery(input.clone());
                            tokio::spawn(deliver(Arc::clone(self), Arc::clone(environment), again, delay + after));
                        }
                        tokio::spawn(deliver(
                            Arc::clone(self),
                            Arc::clone(environment),
                            delivery(input),
                            delay,
                        ));
                    }
                    Err(why) => self.fail(format!("{source} could not call {arn}: {why}")),
                }
            }
        }
    }

    /// Everything that is delivered from now on. To be taken once, at the beginning: a later call diverts the
    /// deliveries to itself.
    pub fn deliveries(&self) -> UnboundedReceiver<Delivery> {
        let (sender, receiver) = unbounded_channel();
        *lock(&self.outlet) = Some(sender);
        receiver
    }

    /// What could not be delivered, and why: CloudWatch's FailedInvocations, in words.
    pub fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    /// Creates a schedule, or replaces it. It calls first at the next full multiple, which can be now.
    ///
    /// Errors: a text that says why AWS would refuse the schedule, or what of it is not simulated.
    pub fn put_schedule(&self, environment: &Environment, schedule: Schedule) -> Result<(), String> {
        let Schedule {
            name,
            region,
            every,
            target_arn,
            input,
        } = &schedule;
        let seconds = i64::try_from(every.as_secs()).unwrap_or_default();
        if seconds < MINUTE || seconds % MINUTE != 0 || every.subsec_nanos() != 0 {
            return Err(format!("schedule {name}: {every:?} is not a multiple of a minute"));
        }
        if !is_arn_of(target_arn, "lambda", region) && !is_arn_of(target_arn, "states", region) {
            return Err(format!(
                "schedule {name}: {target_arn} is no function and no state machine in {region}"
            ));
        }
        if input.to_string().contains("<aws.scheduler.") {
            return Err(format!(
                "schedule {name}: the simulator has no context attributes (<aws.scheduler.…>)"
            ));
        }
        let delay = environment.draw("schedule-delay", &environment.timings.schedule_delay);
        let next = full_multiple_from(environment.now(), seconds);
        lock(&self.schedules).insert((region.clone(), name.clone()), Planned { schedule, delay, next });
        self.schedule_was_put.notify_one();
        Ok(())
    }

    /// What is due, and when something will be due next.
    fn due_schedules(&self, environment: &Environment) -> (Vec<Delivery>, Option<Timestamp>) {
        let now = environment.now();
        let mut due = Vec::new();
        let mut schedules = lock(&self.schedules);
        for ((region, name), planned) in schedules.iter_mut() {
            while planned.due() <= now {
                planned.next += i64::try_from(planned.schedule.every.as_secs()).unwrap_or(i64::MAX);
                if environment.apis_answer(region) {
                    due.push(Delivery {
                        region: region.clone(),
                        target_arn: planned.schedule.target_arn.clone(),
                        input: planned.schedule.input.clone(),
                        source: format!(
                            "arn:aws:scheduler:{region}:{}:schedule/default/{name}",
                            environment.account
                        ),
                    });
                }
            }
        }
        (due, schedules.values().map(Planned::due).min())
    }

    fn send(&self, delivery: Delivery) {
        let unsent = match lock(&self.outlet).as_ref() {
            Some(outlet) => outlet.send(delivery).err().map(|unsent| unsent.0),
            None => Some(delivery),
        };
        if let Some(Delivery { source, target_arn, .. }) = unsent {
            self.fail(format!("{source} could not call {target_arn}: nobody takes deliveries"));
        }
    }

    pub(crate) fn fail(&self, why: String) {
        lock(&self.failures).push(why);
    }
}

/// Runs the schedules; never ends. From a Region that is down nothing is delivered, and not later either. (The real
/// Scheduler tries again for up to 24 hours.)
pub async fn run_schedules(events: Arc<Events>, environment: Arc<Environment>) {
    loop {
        let (due, next) = events.due_schedules(&environment);
        for delivery in due {
            events.send(delivery);
        }
        let was_put = events.schedule_was_put.notified();
        match next {
            // Whichever comes first: both mean that it is time to look.
            Some(next) => drop(timeout_at(environment.clock.instant(next), was_put).await),
            None => was_put.await,
        }
    }
}

/// Delivers after `delay`. An outage of the Region holds a delivery up; after a day it is given up.
async fn deliver(events: Arc<Events>, environment: Arc<Environment>, delivery: Delivery, delay: Duration) {
    tokio::time::sleep(delay).await;
    let mut tried_for = Duration::ZERO;
    while !environment.apis_answer(&delivery.region) {
        if tried_for >= DELIVERY_TRIED_FOR {
            let Delivery {
                source,
                target_arn,
                region,
                ..
            } = delivery;
            events.fail(format!(
                "{source} could not call {target_arn}: {region} was down for a day"
            ));
            return;
        }
        tokio::time::sleep(DELIVERY_TRIED_EVERY).await;
        tried_for += DELIVERY_TRIED_EVERY;
    }
    events.send(delivery);
}

/// The first full multiple of `seconds`, counted from the epoch, that is not before `at`.
fn full_multiple_from(at: Timestamp, seconds: i64) -> i64 {
    let whole = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    whole.div_euclid(seconds) * seconds + if whole.rem_euclid(seconds) == 0 { 0 } else { seconds }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

fn is_arn_of(arn: &str, service: &str, region: &str) -> bool {
    arn.starts_with(&format!("arn:aws:{service}:{region}:"))
}

impl Target {
    fn parts(&self) -> (&str, &TargetInput) {
        match self {
            Self::StateMachine { arn, input } | Self::Function { arn, input } => (arn, input),
        }
    }

    fn check(&self, region: &str) -> Result<(), String> {
        let (arn, input) = self.parts();
        let (service, kind) = match self {
            Self::StateMachine { .. } => ("states", "state machine"),
            Self::Function { .. } => ("lambda", "function"),
        };
        if !is_arn_of(arn, service, region) {
            return Err(format!("target {arn} is no {kind} in {region}"));
        }
        match input {
            TargetInput::Event => Ok(()),
            TargetInput::Transformed(transformer) => transformer.check().map_err(|why| format!("target {arn}: {why}")),
        }
    }
}

/// A part of an input template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Taken over as it is.
    Text(&'a str),
    /// `<name>`, and whether it stands between quotes.
    Variable { name: &'a str, quoted: bool },
}

/// Takes a template apart.
fn pieces(template: &str) -> Vec<Piece<'_>> {
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

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// A step of a path into an event.
#[derive(Debug, PartialEq, Eq)]
enum PathStep {
    Field(String),
    Index(usize),
}

/// Reads `$.detail.metrics[0].id`. Wildcards are not simulated.
fn path_steps(path: &str) -> Result<Vec<PathStep>, String> {
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

fn at_path<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    path_steps(path).ok()?.iter().try_fold(event, |value, step| match step {
        PathStep::Field(name) => value.get(name),
        PathStep::Index(index) => value.get(index),
    })
}

impl InputTransformer {
    fn check(&self) -> Result<(), String> {
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
    fn apply(&self, event: &Value, rule: &str, rule_arn: &str, ingested_at: Timestamp) -> Result<Value, String> {
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
fn put_in(value: Value, quoted: bool) -> String {
    match value {
        Value::String(text) if quoted => text,
        Value::Object(_) | Value::Array(_) if quoted => value.to_string().replace("\\\"", "").replace('"', ""),
        value => value.to_string(),
    }
}

fn key_with_variable(filled: &Value) -> Option<&str> {
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

/// Matchers' names, which the alternatives of an `$or` cannot have as fields.
const MATCHERS: [&str; 9] = [
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

/// Whether an event pattern matches an event, as EventBridge decides it. A pattern that [`Events::put_rule`] refuses
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

fn fields_match(pattern: &Map<String, Value>, event: Option<&Value>) -> bool {
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
fn alternatives<'a>(name: &str, wanted: &'a Value) -> Option<impl Iterator<Item = &'a Map<String, Value>>> {
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
fn leaves<'a>(found: Option<&'a Value>, values: &mut Vec<&'a Value>) {
    match found {
        None | Some(Value::Object(_)) => {}
        Some(Value::Array(elements)) => elements.iter().for_each(|element| leaves(Some(element), values)),
        Some(value) => values.push(value),
    }
}

fn leaf_matches(matcher: &Value, values: &[&Value]) -> bool {
    match matcher.get("exists").and_then(Value::as_bool) {
        Some(exists) => exists != values.is_empty(),
        None => values.iter().any(|value| value_matches(matcher, value)),
    }
}

/// The name and the argument of a matcher that is not a plain value.
fn named_matcher(matcher: &Value) -> Option<(&str, &Value)> {
    matcher
        .as_object()?
        .iter()
        .next()
        .map(|(name, argument)| (name.as_str(), argument))
}

fn value_matches(matcher: &Value, value: &Value) -> bool {
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
fn excluded(argument: &Value, value: &Value) -> bool {
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

fn text_matches(name: &str, argument: &Value, text: &str) -> bool {
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
fn wildcard_symbols(pattern: &str) -> Result<Vec<Option<char>>, String> {
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

fn wildcard_matches(symbols: &[Option<char>], text: &[char]) -> bool {
    match symbols.split_first() {
        None => text.is_empty(),
        Some((None, rest)) => (0..=text.len()).any(|skipped| wildcard_matches(rest, &text[skipped..])),
        Some((wanted, rest)) => text.first() == wanted.as_ref() && wildcard_matches(rest, &text[1..]),
    }
}

/// One comparison of "numeric".
#[derive(Clone, Copy, Debug)]
struct Comparison<'a> {
    operator: &'a str,
    limit: f64,
}

impl Comparison<'_> {
    fn holds(&self, value: f64) -> bool {
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
fn comparisons(argument: &Value) -> Result<Vec<Comparison<'_>>, String> {
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

/// Errors: why EventBridge would refuse the pattern, or which part of it is not simulated.
fn check_pattern(pattern: &Value) -> Result<(), String> {
    let fields = pattern.as_object().ok_or("Filter is not an object")?;
    check_fields(fields)
}

fn check_fields(fields: &Map<String, Value>) -> Result<(), String> {
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

fn check_matcher(matcher: &Value) -> Result<(), String> {
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

fn check_text_matcher(name: &str, argument: &Value) -> Result<(), String> {
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

fn check_anything_but(argument: &Value) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::cloud::Cloud;
    use crate::faults::{DeliveryEffect, DeliveryFault, FaultId};
    use crate::timings::Timings;

    const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:m";
    const FUNCTION: &str = "arn:aws:lambda:us-west-2:123456789012:function:f";

    fn alarm_event() -> Value {
        json!({
            "version": "0",
            "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
            "detail-type": "CloudWatch Alarm State Change",
            "source": "aws.cloudwatch",
            "account": "123456789012",
            "time": "2019-10-02T17:04:40Z",
            "region": "us-west-2",
            "resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh"],
            "detail": {
                "alarmName": "ServerCpuTooHigh",
                "configuration": {
                    "metrics": [
                        {"id": "m1", "metricStat": {"period": 300, "stat": "Average"}, "returnData": true},
                        {"id": "m2", "metricStat": {"period": 60, "stat": "Sum"}, "returnData": false},
                    ],
                },
                "previousState": {"value": "OK", "timestamp": "2019-10-01T13:56:40.987+0000"},
                "state": {
                    "reason": "a \"reason\"",
                    "reasonData": "{\"version\":\"1.0\"}",
                    "timestamp": "2019-10-02T17:04:40.989+0000",
                    "value": "ALARM",
                },
            },
        })
    }

    fn rds_event() -> Value {
        json!({
            "detail-type": "RDS DB Cluster Event",
            "source": "aws.rds",
            "detail": {
                "EventCategories": ["failover", "notification"],
                "SourceType": "CLUSTER",
                "Message": "Started cross AZ failover",
                "EventID": "RDS-EVENT-0071",
                "Tags": {},
                "Count": 5,
                "Cause": null,
                "None": [],
            },
        })
    }

    #[test]
    fn plain_values_are_alternatives_and_fields_are_all_required() {
        let yes = [
            json!({"source": ["aws.cloudwatch"]}),
            json!({"source": ["aws.ec2", "aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}),
            json!({"resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh"]}),
            json!({
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": {
                    "alarmName": ["ServerCpuTooHigh"],
                    "state": {"value": ["ALARM"]},
                    "previousState": {"value": ["OK", "INSUFFICIENT_DATA"]},
                },
            }),
        ];
        let no = [
            json!({"source": ["aws.ec2"]}),
            json!({"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["OK"]}}}),
            json!({"source": {"name": ["aws.cloudwatch"]}}),
            json!({"detail": ["ServerCpuTooHigh"]}),
            json!({"nothing": ["aws.cloudwatch"]}),
        ];
        for pattern in yes {
            assert_eq!(check_pattern(&pattern), Ok(()));
            assert!(matches(&pattern, &alarm_event()), "{pattern}");
        }
        for pattern in no {
            assert!(!matches(&pattern, &alarm_event()), "{pattern}");
        }
    }

    #[test]
    fn each_matcher_matches_what_it_should_and_nothing_else() {
        let cases = [
            (json!({"EventCategories": ["failover"]}), true),
            (json!({"EventCategories": ["failure"]}), false),
            (json!({"EventID": [{"prefix": "RDS-EVENT-"}]}), true),
            (json!({"EventID": [{"prefix": "rds-event-"}]}), false),
            (
                json!({"EventID": [{"prefix": {"equals-ignore-case": "rds-event-"}}]}),
                true,
            ),
            (json!({"Count": [{"prefix": "5"}]}), false),
            (json!({"EventID": [{"suffix": "0071"}]}), true),
            (json!({"EventID": [{"suffix": "0072"}]}), false),
            (
                json!({"EventID": [{"suffix": {"equals-ignore-case": "EVENT-0071"}}]}),
                true,
            ),
            (json!({"SourceType": [{"equals-ignore-case": "cluster"}]}), true),
            (json!({"SourceType": [{"equals-ignore-case": "clusters"}]}), false),
            (json!({"Message": [{"wildcard": "Started*failover"}]}), true),
            (json!({"Message": [{"wildcard": "*AZ*"}]}), true),
            (json!({"Message": [{"wildcard": "Started*AZ"}]}), false),
            (json!({"Message": [{"wildcard": "Started\\*failover"}]}), false),
            (json!({"SourceType": [{"anything-but": "DB_INSTANCE"}]}), true),
            (json!({"SourceType": [{"anything-but": "CLUSTER"}]}), false),
            (
                json!({"SourceType": [{"anything-but": ["DB_INSTANCE", "CLUSTER"]}]}),
                false,
            ),
            (json!({"Count": [{"anything-but": [4, 6]}]}), true),
            (json!({"Count": [{"anything-but": [4, 5]}]}), false),
            (json!({"EventID": [{"anything-but": {"prefix": "RDS-"}}]}), false),
            (
                json!({"EventID": [{"anything-but": {"prefix": ["EC2-", "S3-"]}}]}),
                true,
            ),
            (json!({"EventID": [{"anything-but": {"suffix": "71"}}]}), false),
            (
                json!({"SourceType": [{"anything-but": {"equals-ignore-case": "cluster"}}]}),
                false,
            ),
            (json!({"Message": [{"anything-but": {"wildcard": "*cross*"}}]}), false),
            // One of its two categories is another.
            (json!({"EventCategories": [{"anything-but": "failover"}]}), true),
            (json!({"Absent": [{"anything-but": "x"}]}), false),
            (json!({"Count": [5]}), true),
            (json!({"Count": [5.0]}), false),
            (json!({"Count": ["5"]}), false),
            (json!({"Count": [{"numeric": ["=", 5]}]}), true),
            (json!({"Count": [{"numeric": [">", 4, "<=", 5]}]}), true),
            (json!({"Count": [{"numeric": [">", 5]}]}), false),
            (json!({"Count": [{"numeric": [">=", 5, "<", 5.5]}]}), true),
            (json!({"Count": [{"numeric": ["<", 5]}]}), false),
            (json!({"SourceType": [{"numeric": ["<", 5]}]}), false),
            (json!({"Count": [{"exists": true}]}), true),
            (json!({"Count": [{"exists": false}]}), false),
            (json!({"Absent": [{"exists": false}]}), true),
            (json!({"Absent": [{"exists": true}]}), false),
            (json!({"Absent": {"deeper": [{"exists": false}]}}), true),
            // Only simple values exist.
            (json!({"Tags": [{"exists": true}]}), false),
            (json!({"None": [{"exists": true}]}), false),
            (json!({"Cause": [null]}), true),
            (json!({"Count": [null]}), false),
            (json!({"Count": ["x", {"numeric": [">", 4]}]}), true),
        ];
        for (detail, expected) in cases {
            let pattern = json!({"detail": detail});
            assert_eq!(check_pattern(&pattern), Ok(()), "{pattern}");
            assert_eq!(matches(&pattern, &rds_event()), expected, "{pattern}");
        }
    }

    #[test]
    fn or_takes_any_of_its_alternatives_and_the_rest_still_counts() {
        let pattern = |category: &str, source: &str| {
            json!({
                "source": [source],
                "detail": {"$or": [{"EventID": ["RDS-EVENT-1"]}, {"EventCategories": [category], "Count": [5]}]},
            })
        };
        assert!(matches(&pattern("failover", "aws.rds"), &rds_event()));
        assert!(!matches(&pattern("failure", "aws.rds"), &rds_event()));
        assert!(!matches(&pattern("failover", "aws.ec2"), &rds_event()));
        // With a matcher's name, or with one alternative only, it is a field.
        let field = json!({"detail": {"$or": [{"prefix": "a"}, {"prefix": "b"}]}});
        assert!(!matches(&field, &rds_event()));
        assert!(matches(&field, &json!({"detail": {"$or": "bcd"}})));
    }

    #[test]
    fn in_an_array_of_objects_one_object_has_to_match_as_a_whole() {
        let pattern = |period: u32, stat: &str| {
            let metrics = json!({"metricStat": {"period": [period], "stat": [stat]}});
            json!({"detail": {"configuration": {"metrics": metrics}}})
        };
        assert!(matches(&pattern(60, "Sum"), &alarm_event()));
        assert!(matches(&pattern(300, "Average"), &alarm_event()));
        assert!(!matches(&pattern(60, "Average"), &alarm_event()));
    }

    #[test]
    fn patterns_that_aws_refuses_are_refused() {
        let refused = [
            (json!("aws.rds"), "not an object"),
            (json!({}), "Empty objects"),
            (json!({"source": "aws.rds"}), "must be an object or an array"),
            (json!({"source": []}), "Empty arrays"),
            (json!({"source": [["aws.rds"]]}), "Match value"),
            (json!({"detail": {}}), "Empty objects"),
            (json!({"source": [{"begins": "aws"}]}), "Unrecognized match type begins"),
            (json!({"source": [{"prefix": "a", "suffix": "b"}]}), "Only one key"),
            (json!({"source": [{"prefix": 5}]}), "must be a string"),
            (json!({"source": [{"wildcard": "a**b"}]}), "Consecutive"),
            (json!({"source": [{"wildcard": "a\\b"}]}), "escape"),
            (json!({"source": [{"exists": "yes"}]}), "true or false"),
            (json!({"source": [{"numeric": ["~", 5]}]}), "operator"),
            (
                json!({"source": [{"numeric": ["<", 5, ">", 1]}]}),
                "lower and then a higher",
            ),
            (
                json!({"source": [{"numeric": [">", 5, "<", 5]}]}),
                "lower and then a higher",
            ),
            (json!({"source": [{"numeric": ["=", 6e9]}]}), "5e9"),
            (json!({"source": [{"numeric": [">"]}]}), "one or two"),
            (json!({"source": [{"anything-but": []}]}), "Empty arrays"),
            (json!({"source": [{"anything-but": ["a", 1]}]}), "anything-but takes"),
            (
                json!({"source": [{"anything-but": {"numeric": ["=", 1]}}]}),
                "Unrecognized",
            ),
            (json!({"source": [{"cidr": "10.0.0.0/8"}]}), "cidr"),
            (json!({"$or": [{"source": []}, {"source": ["a"]}]}), "Empty arrays"),
        ];
        for (pattern, why) in refused {
            let rule = Rule {
                name: "r".into(),
                pattern: pattern.clone(),
                targets: Vec::new(),
            };
            let error = Events::default().put_rule("us-west-2", rule).unwrap_err();
            assert!(error.contains(why), "{pattern}: {error}");
        }
    }

    fn transformer(paths: &[(&str, &str)], template: &str) -> InputTransformer {
        let paths = paths
            .iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect();
        InputTransformer {
            paths,
            template: template.to_owned(),
        }
    }

    fn transformed(paths: &[(&str, &str)], template: &str) -> Result<Value, String> {
        let transformer = transformer(paths, template);
        transformer.check()?;
        let at: Timestamp = "2019-10-02T17:04:41.5Z".parse().unwrap();
        transformer.apply(&alarm_event(), "rule", "arn:rule", at)
    }

    #[test]
    fn variables_are_put_in_as_documented() {
        let paths = [
            ("name", "$.detail.alarmName"),
            ("first", "$.resources[0]"),
            ("period", "$.detail.configuration.metrics[1].metricStat.period"),
            ("return", "$.detail.configuration.metrics[0].returnData"),
            ("previous", "$.detail.previousState"),
            ("reason", "$.detail.state.reason"),
            ("data", "$.detail.state.reasonData"),
            ("absent", "$.detail.absent[3].x"),
            ("all", "$.resources"),
        ];
        let is =
            |template: &str, expected: Value| assert_eq!(transformed(&paths, template), Ok(expected), "{template}");
        is(r#"{"alarm": <name>, "text": "<name> in a text"}"#, {
            json!({"alarm": "ServerCpuTooHigh", "text": "ServerCpuTooHigh in a text"})
        });
        is(r#""<name> is \"<first>\" (1 < 2)""#, {
            json!("ServerCpuTooHigh is \"arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh\" (1 < 2)")
        });
        is(r#"{"period": <period>, "text": "<period>", "flag": <return>}"#, {
            json!({"period": 60, "text": "60", "flag": true})
        });
        is(r#"{"previous": <previous>, "all": <all>}"#, {
            json!({"previous": alarm_event()["detail"]["previousState"], "all": alarm_event()["resources"]})
        });
        // A list or an object within a text loses its quotes.
        is(r#""<all>""#, {
            json!("[arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh]")
        });
        is(r#"{"reason": <reason>, "data": <data>}"#, {
            json!({"reason": "a \"reason\"", "data": "{\"version\":\"1.0\"}"})
        });
        is(
            r#"{"absent": <absent>, "text": "[<absent>]"}"#,
            json!({"absent": "", "text": "[]"}),
        );
        is(
            r#"{"rule": <aws.events.rule-arn>, "name": "<aws.events.rule-name>"}"#,
            json!({"rule": "arn:rule", "name": "rule"}),
        );
        is(
            r#"[<aws.events.event.ingestion-time>]"#,
            json!(["2019-10-02T17:04:41Z"]),
        );
        is(r#"{"event": <aws.events.event.json>}"#, json!({"event": alarm_event()}));
        let mut without_detail = alarm_event();
        without_detail.as_object_mut().unwrap().remove("detail");
        is("<aws.events.event>", without_detail);
    }

    #[test]
    fn nothing_is_escaped_between_quotes() {
        let error = transformed(&[("reason", "$.detail.state.reason")], r#"{"why": "<reason>"}"#).unwrap_err();
        assert!(error.contains("not JSON"), "{error}");
    }

    #[test]
    fn transformers_that_cannot_work_are_refused() {
        let none: &[(&str, &str)] = &[];
        let refused = [
            (&[("a", "detail")] as &[_], "<a>", "not a path"),
            (&[("a", "$.detail.*")], "<a>", "not a path"),
            (&[("a", "$.list[x]")], "<a>", "not a path"),
            (&[("a.b", "$.detail")], "<a.b>", "variable's name"),
            (none, "<a>", "no path says"),
            (&[("a", "$.a")], "{\"x\": <a>", "not JSON"),
            (&[("a", "$.a")], "{\"x<a>\": 1}", "key"),
            (none, "{\"x\": \"<aws.events.event.json>\"}", "part of a string"),
        ];
        for (paths, template, why) in refused {
            let input = TargetInput::Transformed(transformer(paths, template));
            let targets = vec![Target::StateMachine {
                arn: MACHINE.into(),
                input,
            }];
            let rule = Rule {
                name: "r".into(),
                pattern: json!({"source": ["a"]}),
                targets,
            };
            let error = Events::default().put_rule("us-west-2", rule).unwrap_err();
            assert!(error.contains(why), "{template}: {error}");
        }
    }

    #[test]
    fn targets_have_to_be_what_they_say_and_in_the_rules_region() {
        let put = |region: &str, name: &str, target: Target, times: usize| {
            let rule = Rule {
                name: name.into(),
                pattern: json!({"source": ["a"]}),
                targets: vec![target; times],
            };
            Events::default().put_rule(region, rule)
        };
        let function = |arn: &str| Target::Function {
            arn: arn.into(),
            input: TargetInput::Event,
        };
        assert_eq!(put("us-west-2", "r", function(FUNCTION), 5), Ok(()));
        assert!(
            put("us-west-2", "r", function(FUNCTION), 6)
                .unwrap_err()
                .contains("more than 5 targets")
        );
        assert!(
            put("us-east-1", "r", function(FUNCTION), 1)
                .unwrap_err()
                .contains("no function in us-east-1")
        );
        assert!(
            put("us-west-2", "r", function(MACHINE), 1)
                .unwrap_err()
                .contains("no function")
        );
        assert!(
            put("us-west-2", "a rule", function(FUNCTION), 1)
                .unwrap_err()
                .contains("not a rule's name")
        );
    }

    fn cloud() -> Arc<Cloud> {
        let clock = Clock::starting_at("2026-01-01T12:00:30Z".parse().unwrap());
        Cloud::new("123456789012", 7, clock, Timings::built_in().unwrap())
    }

    fn rule(name: &str, pattern: Value) -> Rule {
        let input = TargetInput::Transformed(transformer(&[("name", "$.detail.alarmName")], r#"{"alarm": <name>}"#));
        Rule {
            name: name.into(),
            pattern,
            targets: vec![
                Target::StateMachine {
                    arn: MACHINE.into(),
                    input,
                },
                Target::Function {
                    arn: FUNCTION.into(),
                    input: TargetInput::Event,
                },
            ],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_goes_to_each_target_of_each_rule_that_matches() {
        let cloud = cloud();
        let mut deliveries = cloud.events.deliveries();
        cloud
            .events
            .put_rule("us-west-2", rule("alarms", json!({"source": ["aws.cloudwatch"]})))
            .unwrap();
        cloud
            .events
            .put_rule("us-west-2", rule("others", json!({"source": ["aws.rds"]})))
            .unwrap();
        cloud.events.publish(&cloud, "us-east-1", alarm_event());
        cloud.events.publish(&cloud, "us-west-2", alarm_event());
        let published_at = cloud.now();
        let mut got = Vec::new();
        for _ in 0..2 {
            got.push(deliveries.recv().await.unwrap());
            let took = Duration::try_from(cloud.now().duration_since(published_at)).unwrap();
            let range = &cloud.timings.event_delivery;
            assert!(
                range.from <= took && took <= range.to + Duration::from_millis(1),
                "{took:?}"
            );
        }
        got.sort_by(|a, b| a.target_arn.cmp(&b.target_arn));
        let source = "arn:aws:events:us-west-2:123456789012:rule/alarms";
        let delivery = |arn: &str, input| Delivery {
            region: "us-west-2".into(),
            target_arn: arn.into(),
            input,
            source: source.into(),
        };
        let machine = delivery(MACHINE, json!({"alarm": "ServerCpuTooHigh"}));
        assert_eq!(got, [delivery(FUNCTION, alarm_event()), machine]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(deliveries.try_recv().is_err(), "no other rule matched");
        assert_eq!(cloud.events.failures(), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_holds_a_delivery_up_and_a_day_of_it_ends_it() {
        let cloud = cloud();
        let mut deliveries = cloud.events.deliveries();
        cloud
            .events
            .put_rule("us-west-2", rule("alarms", json!({"source": ["aws.cloudwatch"]})))
            .unwrap();
        cloud.events.publish(&cloud, "us-west-2", alarm_event());
        cloud.take_region_away("us-west-2");
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(deliveries.try_recv().is_err());
        cloud.give_region_back("us-west-2");
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert!(deliveries.try_recv().is_ok() && deliveries.try_recv().is_ok());
        cloud.events.publish(&cloud, "us-west-2", alarm_event());
        cloud.take_region_away("us-west-2");
        tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
        assert!(deliveries.try_recv().is_err());
        assert_eq!(cloud.events.failures().len(), 2);
    }

    /// What a rule's two targets were given after an event, each with when, in milliseconds.
    async fn delivered(faults: &[DeliveryFault]) -> (Vec<(i64, String)>, Vec<u64>) {
        let cloud = cloud();
        let mut deliveries = cloud.events.deliveries();
        let faults: Vec<FaultId> = faults
            .iter()
            .map(|fault| cloud.faults.on_deliveries(fault.clone()))
            .collect();
        let every_event = json!({"source": ["aws.cloudwatch"]});
        cloud.events.put_rule("us-west-2", rule("alarms", every_event)).unwrap();
        cloud.events.put_schedule(&cloud, schedule(60)).unwrap();
        tokio::spawn(run_schedules(Arc::clone(&cloud.events), cloud.environment()));
        cloud.events.publish(&cloud, "us-west-2", alarm_event());
        let began = cloud.now();
        let mut got = Vec::new();
        while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_secs(300), deliveries.recv()).await {
            let after = cloud.now().duration_since(began).as_secs();
            if after > 600 {
                break;
            }
            let what = delivery.source.rsplit('/').next().unwrap_or_default();
            let kind = if delivery.target_arn == MACHINE {
                "machine"
            } else {
                "function"
            };
            got.push((cloud.now().as_millisecond(), format!("{what} {kind}")));
        }
        (
            got,
            faults.into_iter().map(|fault| cloud.faults.applied(fault)).collect(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn deliveries_of_rules_come_twice_or_late_and_those_of_schedules_do_not() {
        let fault = |effect, at_most| DeliveryFault {
            region: None,
            rule: None,
            at_most,
            effect,
        };
        let of_rules = |got: &[(i64, String)]| {
            let of_rules = got.iter().filter(|(_, what)| what.starts_with("alarms"));
            let mut of_rules: Vec<(String, i64)> = of_rules.map(|(at, what)| (what.clone(), *at)).collect();
            of_rules.sort();
            of_rules
        };
        let of_schedules = |got: Vec<(i64, String)>| {
            let of_schedules = got.into_iter().filter(|(_, what)| what.starts_with("s "));
            of_schedules.collect::<Vec<_>>()
        };
        let (plain, _) = delivered(&[]).await;
        let [(function, function_at), (machine, machine_at)] = of_rules(&plain).try_into().unwrap();
        assert!(of_schedules(plain.clone()).len() > 5);

        // One of the two, and a second time.
        let twice = fault(DeliveryEffect::Twice(Duration::from_secs(30)), Some(1));
        let (got, applied) = delivered(&[twice]).await;
        let expected = [
            (function.clone(), function_at),
            (machine.clone(), machine_at),
            (machine.clone(), machine_at + 30_000),
        ];
        assert_eq!((of_rules(&got), applied), (expected.to_vec(), vec![1]));
        assert_eq!(of_schedules(got), of_schedules(plain.clone()));

        // Both, later and a second time.
        let faults = [
            fault(DeliveryEffect::Late(Duration::from_secs(100)), None),
            fault(DeliveryEffect::Twice(Duration::from_secs(30)), None),
        ];
        let (got, applied) = delivered(&faults).await;
        let expected = [
            (function.clone(), function_at + 100_000),
            (function.clone(), function_at + 130_000),
            (machine.clone(), machine_at + 100_000),
            (machine.clone(), machine_at + 130_000),
        ];
        assert_eq!((of_rules(&got), applied), (expected.to_vec(), vec![2, 2]));
        assert_eq!(of_schedules(got), of_schedules(plain.clone()));

        // Another rule, another Region.
        let elsewhere = DeliveryFault {
            region: Some("us-east-1".to_owned()),
            ..fault(DeliveryEffect::Late(Duration::from_secs(100)), None)
        };
        let another = DeliveryFault {
            rule: Some("s".to_owned()),
            ..fault(DeliveryEffect::Late(Duration::from_secs(100)), None)
        };
        assert_eq!(delivered(&[elsewhere, another]).await, (plain, vec![0, 0]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_delivered_is_told() {
        let cloud = cloud();
        cloud
            .events
            .put_rule("us-west-2", rule("alarms", json!({"source": ["aws.cloudwatch"]})))
            .unwrap();
        cloud.events.publish(&cloud, "us-west-2", alarm_event());
        tokio::time::sleep(Duration::from_secs(10)).await;
        let failures = cloud.events.failures();
        assert_eq!(failures.len(), 2);
        assert!(
            failures[0].contains("rule/alarms could not call") && failures[0].contains("nobody"),
            "{failures:?}"
        );
    }

    fn schedule(every: u64) -> Schedule {
        Schedule {
            name: "s".into(),
            region: "us-west-2".into(),
            every: Duration::from_secs(every),
            target_arn: FUNCTION.into(),
            input: json!({"x": 1}),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_schedule_calls_evenly_and_not_from_a_region_that_is_down() {
        let cloud = cloud();
        let mut deliveries = cloud.events.deliveries();
        tokio::spawn(run_schedules(Arc::clone(&cloud.events), cloud.environment()));
        tokio::task::yield_now().await;
        cloud.events.put_schedule(&cloud, schedule(120)).unwrap();
        let mut times = Vec::new();
        for _ in 0..3 {
            let delivery = deliveries.recv().await.unwrap();
            assert_eq!(
                delivery.source,
                "arn:aws:scheduler:us-west-2:123456789012:schedule/default/s"
            );
            assert_eq!(
                (delivery.target_arn.as_str(), delivery.input),
                (FUNCTION, json!({"x": 1}))
            );
            times.push(cloud.now());
        }
        // It began at 12:00:30.
        let full: Timestamp = "2026-01-01T12:02:00Z".parse().unwrap();
        let late = times[0].duration_since(full);
        assert!((0..=15_001).contains(&late.as_millis()), "{late}");
        for pair in times.windows(2) {
            let apart = pair[1].duration_since(pair[0]).as_millis();
            assert!((119_999..=120_001).contains(&apart), "{apart} ms");
        }
        cloud.take_region_away("us-west-2");
        tokio::time::sleep(Duration::from_secs(600)).await;
        cloud.give_region_back("us-west-2");
        assert!(
            deliveries.try_recv().is_err(),
            "nothing during the outage, and nothing made up for"
        );
        let given_back_at = cloud.now();
        deliveries.recv().await.unwrap();
        assert!(cloud.now().duration_since(given_back_at).as_secs() <= 120);
    }

    #[tokio::test(start_paused = true)]
    async fn schedules_that_aws_does_not_know_are_refused() {
        let cloud = cloud();
        let put = |schedule| cloud.events.put_schedule(&cloud, schedule);
        assert!(put(schedule(90)).unwrap_err().contains("multiple of a minute"));
        assert!(put(schedule(0)).unwrap_err().contains("multiple of a minute"));
        assert!(
            put(Schedule {
                region: "us-east-1".into(),
                ..schedule(60)
            })
            .unwrap_err()
            .contains("us-east-1")
        );
        let input = json!({"at": "<aws.scheduler.scheduled-time>"});
        assert!(
            put(Schedule { input, ..schedule(60) })
                .unwrap_err()
                .contains("context attributes")
        );
        assert_eq!(put(schedule(60)), Ok(()));
    }
}
