//! CloudWatch: metrics at a resolution of one minute, alarms on one metric each, and composite alarms on those.

mod composite;
mod rule;
mod service;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ciborium::Value as Cbor;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::aws::cbor::{cbor_map, cbor_reply, cbor_time};
use crate::aws::events::Events;
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::lock::lock;

use composite::{Composite, SuppressedBy};
pub use composite::{CompositeAlarm, Suppressor};

/// Where the SDK's protocol, Smithy RPC v2 CBOR, finds CloudWatch's operations.
const PATH: &str = "/service/GraniteServiceVersion20100801/operation/";
/// The resolution of a metric, in seconds. High-resolution metrics are not simulated.
const MINUTE: i64 = 60;
/// The most metric data of one PutMetricData, values of one datum, and dimensions of one metric (CloudWatch API
/// Reference, PutMetricData and MetricDatum).
const DATA_LIMIT: usize = 1000;
const VALUES_LIMIT: usize = 150;
const DIMENSIONS_LIMIT: usize = 30;
/// The largest value of a metric, and negated the smallest (CloudWatch API Reference, MetricDatum): 2^360.
const VALUE_LIMIT: f64 = 2.348_542_582_773_833_4e108;
/// How old a datum may be, and how far ahead (CloudWatch API Reference, PutMetricData).
const OLDEST_DATUM: SignedDuration = SignedDuration::from_hours(14 * 24);
const NEWEST_DATUM: SignedDuration = SignedDuration::from_hours(2);
/// The most queries of one GetMetricData, and the most datapoints on a page (CloudWatch API Reference, GetMetricData).
const QUERIES_LIMIT: usize = 500;
const DATAPOINTS_LIMIT: usize = 100_800;
/// The most alarms on a page (CloudWatch API Reference, DescribeAlarms).
const ALARMS_LIMIT: usize = 100;
/// The longest time that an alarm with a period below an hour may look at (CloudWatch API Reference, PutMetricAlarm).
/// Longer ones are not simulated.
const LONGEST_EVALUATION: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest name of an alarm, in characters (CloudWatch API Reference, PutMetricAlarm and PutCompositeAlarm).
const NAME_LIMIT: usize = 255;
/// The longest reason for a state, in characters (CloudWatch API Reference, SetAlarmState).
const REASON_LIMIT: usize = 1023;
/// How many more periods than it evaluates an alarm looks at, to find datapoints. The User Guide ("Configuring how
/// CloudWatch alarms treat missing data") gives 5 for 3 as its example, and no formula.
const FURTHER_PERIODS: u32 = 2;

/// CloudWatch in all Regions.
pub struct CloudWatch {
    events: Arc<Events>,
    regions: Mutex<BTreeMap<String, Regional>>,
    alarm_was_put: Notify,
}

/// CloudWatch in one Region.
#[derive(Default)]
struct Regional {
    /// For each metric its minutes, by their beginning in seconds since the epoch.
    metrics: BTreeMap<Metric, BTreeMap<i64, Statistics>>,
    /// The alarms on metrics, by name.
    alarms: BTreeMap<String, Watch>,
    /// The composite alarms, by name.
    composites: BTreeMap<String, Composite>,
}

/// What identifies a metric within a Region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// The namespace, `AWS/…` for services' own.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The dimensions. Other dimensions make another metric.
    pub dimensions: BTreeMap<String, String>,
}

/// What is known of a time's values. Their unit is not kept: nobody here can ask for one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Statistics {
    count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

impl Statistics {
    fn of(value: f64, count: f64) -> Self {
        Self {
            count,
            sum: value * count,
            minimum: value,
            maximum: value,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
        }
    }

    fn read(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Average => self.sum / self.count,
            Statistic::Minimum => self.minimum,
            Statistic::Maximum => self.maximum,
            Statistic::Sum => self.sum,
            Statistic::SampleCount => self.count,
        }
    }
}

/// An enum of AWS's names, to read and to write.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$each:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$each])* $variant),* }

        impl $type {
            /// The name that AWS has for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(format!("the simulator knows no {} '{name}'", stringify!($type))),
                }
            }
        }
    };
}

names! {
    /// How the values of a period become one.
    Statistic {
        /// Their mean.
        Average = "Average",
        /// The smallest.
        Minimum = "Minimum",
        /// The largest.
        Maximum = "Maximum",
        /// All together.
        Sum = "Sum",
        /// How many there are.
        SampleCount = "SampleCount",
    }
}

names! {
    /// When a datapoint breaches an alarm's threshold.
    Comparison {
        /// `>=`
        GreaterThanOrEqualTo = "GreaterThanOrEqualToThreshold",
        /// `>`
        GreaterThan = "GreaterThanThreshold",
        /// `<`
        LessThan = "LessThanThreshold",
        /// `<=`
        LessThanOrEqualTo = "LessThanOrEqualToThreshold",
    }
}

impl Comparison {
    fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqualTo => value >= threshold,
            Self::GreaterThan => value > threshold,
            Self::LessThan => value < threshold,
            Self::LessThanOrEqualTo => value <= threshold,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqualTo => "greater than or equal to",
            Self::GreaterThan => "greater than",
            Self::LessThan => "less than",
            Self::LessThanOrEqualTo => "less than or equal to",
        }
    }
}

names! {
    /// What an alarm makes of periods without datapoints, where there are too few with.
    MissingData {
        /// They are unknown; without any datapoint the alarm has insufficient data.
        Missing = "missing",
        /// The alarm stays as it is.
        Ignore = "ignore",
        /// They count as breaching.
        Breaching = "breaching",
        /// They count as not breaching.
        NotBreaching = "notBreaching",
    }
}

names! {
    /// The state of an alarm.
    StateValue {
        /// The metric is within the threshold.
        Ok = "OK",
        /// It is not.
        Alarm = "ALARM",
        /// Nobody knows.
        InsufficientData = "INSUFFICIENT_DATA",
    }
}

/// An alarm on one metric.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// The name, unique within a Region.
    pub name: String,
    /// The description; can be empty.
    pub description: String,
    /// What is watched.
    pub metric: Metric,
    /// How a period's values become one.
    pub statistic: Statistic,
    /// The period: a multiple of a minute.
    pub period: Duration,
    /// How many datapoints are evaluated: N.
    pub evaluation_periods: u32,
    /// How many of them must breach for an alarm: M.
    pub datapoints_to_alarm: u32,
    /// The threshold, in the metric's unit.
    pub threshold: f64,
    /// When a datapoint breaches it.
    pub comparison: Comparison,
    /// What is made of periods without datapoints.
    pub treat_missing_data: MissingData,
    /// Whether the alarm's own actions are on. EventBridge hears of every change of state, whether they are or not.
    pub actions_enabled: bool,
}

/// An alarm that is watched.
struct Watch {
    alarm: Alarm,
    arn: String,
    /// The name that CloudWatch makes up for the metric, in events.
    metric_id: String,
    configured_at: Timestamp,
    state: State,
    /// How long after the end of a period it is evaluated. Alarms keep such an offset, so it is drawn once for each.
    delay: Duration,
    /// The end of the next period to evaluate, in seconds since the epoch.
    period_end: i64,
}

impl Watch {
    fn due(&self) -> Timestamp {
        second(self.period_end)
            .checked_add(self.delay)
            .unwrap_or(Timestamp::MAX)
    }
}

/// A state and since when and why.
#[derive(Clone, Debug, PartialEq)]
struct State {
    value: StateValue,
    reason: String,
    /// JSON; nothing before the first evaluation.
    reason_data: Option<String>,
    updated_at: Timestamp,
    /// What suppresses the actions; nothing does those of an alarm on a metric.
    suppressed_by: Option<SuppressedBy>,
}

impl CloudWatch {
    /// Empty; `events` is told of each change of an alarm's state.
    pub(crate) fn new(events: &Arc<Events>) -> Self {
        Self {
            events: Arc::clone(events),
            regions: Mutex::default(),
            alarm_was_put: Notify::new(),
        }
    }

    /// Answers PutMetricData, GetMetricData and DescribeAlarms. Everything else, and every parameter that is not
    /// simulated, is the error `NotSimulated`, with status 501.
    fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        match self.perform(environment, call, operation) {
            Ok(output) => cbor_reply(200, &output),
            Err(refusal) => refusal.reply(),
        }
    }

    fn perform(&self, environment: &Environment, call: &Call, operation: &str) -> Result<Cbor, Refusal> {
        let header = |name| call.headers.get(name).and_then(|value| value.to_str().ok());
        if header("smithy-protocol") != Some("rpc-v2-cbor") {
            return Err(not_simulated("CloudWatch by another protocol than Smithy RPC v2 CBOR"));
        }
        if let Some(encoding) = header("content-encoding") {
            return Err(not_simulated(format!(
                "a body in {encoding}; turn request compression off, or send less"
            )));
        }
        let input = ciborium::from_reader::<Cbor, _>(call.body.as_ref())
            .map_err(|error| refuse("SerializationException", format!("the body is not CBOR: {error}")))?;
        let input = Fields::read(operation, input)?;
        let mut regions = lock(&self.regions);
        let here = regions.entry(call.region.clone()).or_default();
        match operation {
            "PutMetricData" => here.put_metric_data(environment.now(), input),
            "GetMetricData" => here.get_metric_data(input),
            "DescribeAlarms" => here.describe_alarms(input),
            other => Err(not_simulated(format!("the operation {other}"))),
        }
    }

    /// Publishes a value of a service's own metric, such as those in `AWS/RDS`.
    pub fn publish(&self, region: &str, metric: &Metric, at: Timestamp, value: f64) {
        lock(&self.regions)
            .entry(region.to_owned())
            .or_default()
            .record(metric, at, Statistics::of(value, 1.0));
    }

    /// The largest value of a metric in each minute that has any, oldest first.
    pub fn largest(&self, region: &str, metric: &Metric) -> Vec<f64> {
        let regions = lock(&self.regions);
        let minutes = regions.get(region).and_then(|here| here.metrics.get(metric));
        let minutes = minutes.into_iter().flat_map(BTreeMap::values);
        minutes.map(|values| values.maximum).collect()
    }

    /// Creates an alarm with insufficient data, or changes one, which keeps its state. It is evaluated first at the end
    /// of the period that goes on now.
    ///
    /// Errors: a text that says why AWS would refuse the alarm, or what of it is not simulated.
    pub fn put_alarm(&self, environment: &Environment, region: &str, alarm: Alarm) -> Result<(), String> {
        let Alarm {
            name,
            period,
            evaluation_periods,
            datapoints_to_alarm,
            ..
        } = &alarm;
        let (n, m) = (*evaluation_periods, *datapoints_to_alarm);
        let seconds = i64::try_from(period.as_secs()).unwrap_or_default();
        check_name(name)?;
        if seconds < MINUTE || seconds % MINUTE != 0 || period.subsec_nanos() != 0 {
            return Err(format!("alarm {name}: {period:?} is not a multiple of a minute"));
        }
        if m < 1 || m > n {
            return Err(format!("alarm {name}: {m} out of {n} datapoints"));
        }
        if *period * n > LONGEST_EVALUATION {
            return Err(format!("alarm {name}: looks at more than a day"));
        }
        if !alarm.threshold.is_finite() {
            return Err(format!("alarm {name}: the threshold is no number"));
        }
        let now = environment.now();
        let mut watch = Watch {
            arn: format!("arn:aws:cloudwatch:{region}:{}:alarm:{name}", environment.account),
            metric_id: uuid(environment),
            configured_at: now,
            state: State {
                value: StateValue::InsufficientData,
                reason: "Unchecked: Initial alarm creation".to_owned(),
                reason_data: None,
                updated_at: now,
                suppressed_by: None,
            },
            delay: environment.draw("alarm-evaluation-delay", &environment.timings.alarm_evaluation_delay),
            period_end: beginning(now, seconds) + seconds,
            alarm,
        };
        let mut regions = lock(&self.regions);
        let Regional { alarms, composites, .. } = regions.entry(region.to_owned()).or_default();
        if composites.contains_key(&watch.alarm.name) {
            let name = &watch.alarm.name;
            return Err(format!(
                "there is a composite alarm {name} in {region}, and a name stands for one alarm"
            ));
        }
        if let Some(before) = alarms.remove(&watch.alarm.name) {
            watch.state = before.state;
        }
        alarms.insert(watch.alarm.name.clone(), watch);
        self.alarm_was_put.notify_one();
        Ok(())
    }

    /// Sets the state of an alarm, as the API's SetAlarmState does: EventBridge hears of it if it is another one. The next
    /// evaluation sets it to what the metric says, and tells again; an alarm that ignores missing data keeps it until there
    /// are data. A composite alarm keeps it until one of its alarms changes. Must be called on the simulation's runtime.
    ///
    /// Errors: a text, if the Region does not answer, if it has no such alarm, or if the reason is too long.
    pub fn set_alarm_state(
        &self,
        environment: &Arc<Environment>,
        region: &str,
        alarm: &str,
        state: StateValue,
        reason: &str,
    ) -> Result<(), String> {
        if !environment.apis_answer(region) {
            return Err(format!("{region} does not answer"));
        }
        if reason.chars().count() > REASON_LIMIT {
            return Err(format!("alarm {alarm}: a reason has {REASON_LIMIT} characters at most"));
        }
        let events = {
            let mut regions = lock(&self.regions);
            let here = regions.get_mut(region);
            let here = here.ok_or_else(|| format!("there is no alarm {alarm} in {region}"))?;
            here.set_alarm_state(environment, region, alarm, state, reason)?
        };
        self.alarm_was_put.notify_one();
        for event in events {
            self.events.publish(environment, region, event);
        }
        Ok(())
    }

    /// The state of an alarm of either kind, if there is one of this name.
    pub fn alarm_state(&self, region: &str, alarm: &str) -> Option<StateValue> {
        lock(&self.regions).get(region)?.state_value(alarm)
    }

    /// Evaluates what is due. Gives the events of all changes of state, each with its Region, and when the next
    /// evaluation is due.
    fn evaluate(&self, environment: &Environment) -> (Vec<(String, Value)>, Option<Timestamp>) {
        let now = environment.now();
        let mut events = Vec::new();
        let mut next = None;
        for (region, here) in lock(&self.regions).iter_mut() {
            let mut changed = Vec::new();
            let Regional { metrics, alarms, .. } = here;
            for watch in alarms.values_mut() {
                while watch.due() <= now {
                    let period_end = watch.period_end;
                    watch.period_end += whole_seconds(watch.alarm.period);
                    if !environment.apis_answer(region) {
                        continue;
                    }
                    let minutes = metrics.get(&watch.alarm.metric);
                    let state = judge(&watch.alarm, minutes, period_end, now, &watch.state);
                    if state.value != watch.state.value {
                        let previous = std::mem::replace(&mut watch.state, state);
                        events.push((region.clone(), event(environment, region, watch, &previous)));
                        changed.push(watch.alarm.name.clone());
                    }
                }
                next = next.into_iter().chain([watch.due()]).min();
            }
            let mut of_composites = here.end_suppressions(environment, region);
            of_composites.extend(here.follow(environment, region, changed));
            events.extend(of_composites.into_iter().map(|event| (region.clone(), event)));
            next = next.into_iter().chain(here.next_end_of_suppression()).min();
        }
        (events, next)
    }
}

/// Evaluates every alarm at the end of each of its periods, plus a delay drawn from `alarm_evaluation_delay` once for
/// each alarm, composite alarms when one of their alarms changes, and tells EventBridge of every change of state; never
/// ends. In a Region that is down nothing is evaluated.
///
/// Simplified: periods begin at full multiples of their length, and an alarm is evaluated once in each; the real
/// CloudWatch evaluates every minute, and its longer periods can begin at any minute.
pub async fn evaluate_alarms(cloudwatch: Arc<CloudWatch>, environment: Arc<Environment>) {
    loop {
        let (events, next) = cloudwatch.evaluate(&environment);
        for (region, event) in events {
            cloudwatch.events.publish(&environment, &region, event);
        }
        let was_put = cloudwatch.alarm_was_put.notified();
        match next {
            // Whichever comes first: both mean that it is time to look.
            Some(next) => drop(timeout_at(environment.clock.instant(next), was_put).await),
            None => was_put.await,
        }
    }
}

/// A period with data, as an alarm sees it.
struct Datapoint {
    /// How many periods ago it began, the last complete one being 1.
    age: u32,
    begins: i64,
    value: f64,
    count: f64,
    breaching: bool,
}

/// The state that an alarm should have after the period that ended at `period_end`.
///
/// As the User Guide documents it: of somewhat more periods than the alarm evaluates, the newest that have data are
/// evaluated. Only if these are fewer than the alarm evaluates does the treatment of missing data count, and only for
/// as many as are lacking.
fn judge(
    alarm: &Alarm,
    minutes: Option<&BTreeMap<i64, Statistics>>,
    period_end: i64,
    now: Timestamp,
    current: &State,
) -> State {
    let (n, m) = (alarm.evaluation_periods as usize, alarm.datapoints_to_alarm as usize);
    let period = whole_seconds(alarm.period);
    let (mut datapoints, mut missing) = (Vec::new(), Vec::new());
    for age in 1..=alarm.evaluation_periods + FURTHER_PERIODS {
        let begins = period_end - i64::from(age) * period;
        match minutes.and_then(|minutes| together(minutes, begins, begins + period)) {
            Some(statistics) if datapoints.len() < n => {
                let value = statistics.read(alarm.statistic);
                let breaching = alarm.comparison.breaches(value, alarm.threshold);
                datapoints.push(Datapoint {
                    age,
                    begins,
                    value,
                    count: statistics.count,
                    breaching,
                });
            }
            Some(_) => {}
            None => missing.push(begins),
        }
    }
    missing.truncate(n - datapoints.len());
    let breaching = datapoints.iter().filter(|datapoint| datapoint.breaching).count();
    // "Always go into ALARM state when the oldest available breaching datapoint during the Evaluation Periods number of
    // data points is at least as old as the value of Datapoints to Alarm, and all other more recent data points are
    // breaching or missing": otherwise a single one could still be followed by better ones.
    let oldest_is_old_enough = datapoints
        .last()
        .is_some_and(|oldest| oldest.age >= alarm.datapoints_to_alarm);
    let value = match alarm.treat_missing_data {
        _ if breaching >= m => StateValue::Alarm,
        _ if missing.is_empty() => StateValue::Ok,
        MissingData::Breaching if breaching + missing.len() >= m => StateValue::Alarm,
        MissingData::Breaching | MissingData::NotBreaching => StateValue::Ok,
        // One that does not breach is enough for OK: so the guide's tables of examples have it.
        MissingData::Missing | MissingData::Ignore if breaching < datapoints.len() => StateValue::Ok,
        MissingData::Ignore => return current.clone(),
        MissingData::Missing if oldest_is_old_enough => StateValue::Alarm,
        MissingData::Missing => StateValue::InsufficientData,
    };
    State {
        value,
        reason: reason(alarm, value, &datapoints, missing.len()),
        reason_data: serde_json::to_string(&ReasonData::new(alarm, &datapoints, &missing, now)).ok(),
        updated_at: now,
        suppressed_by: None,
    }
}

/// Why, in AWS's words. The words are those for alarms that set "datapoints to alarm"; what CloudWatch writes where
/// only missing data decide is pieced together from messages that people have published.
fn reason(alarm: &Alarm, value: StateValue, datapoints: &[Datapoint], missing: usize) -> String {
    let (n, m) = (alarm.evaluation_periods as usize, alarm.datapoints_to_alarm as usize);
    let (datapoint, was) = (
        |n| if n == 1 { "datapoint" } else { "datapoints" },
        |n| if n == 1 { "was" } else { "were" },
    );
    let (needed, change, not) = match value {
        StateValue::InsufficientData => {
            return format!(
                "Insufficient Data: {missing} {} {} unknown.",
                datapoint(missing),
                was(missing)
            );
        }
        StateValue::Alarm => (m, "OK -> ALARM", ""),
        StateValue::Ok => (n - m + 1, "ALARM -> OK", "not "),
    };
    let treated = match alarm.treat_missing_data {
        MissingData::Breaching => Some("Breaching"),
        MissingData::NotBreaching => Some("NonBreaching"),
        MissingData::Missing | MissingData::Ignore => None,
    };
    let treated = treated.filter(|_| missing > 0);
    let treated = treated.map(|how| {
        format!(
            " and {missing} missing {} {} treated as [{how}]",
            datapoint(missing),
            was(missing)
        )
    });
    let decisive: Vec<String> = datapoints
        .iter()
        .filter(|datapoint| datapoint.breaching == (value == StateValue::Alarm))
        .map(|datapoint| {
            format!(
                "{} ({})",
                java_double(datapoint.value),
                second(datapoint.begins).strftime("%d/%m/%y %H:%M:%S")
            )
        })
        .collect();
    if decisive.is_empty() {
        let received = match datapoints.len() {
            0 => "no datapoints were".to_owned(),
            received => format!("{received} {} {}", datapoint(received), was(received)),
        };
        let periods = if n == 1 { "period" } else { "periods" };
        return format!(
            "Threshold Crossed: {received} received for {n} {periods}{}.",
            treated.unwrap_or_default()
        );
    }
    format!(
        "Threshold Crossed: {} out of the last {n} datapoints [{}] {} {not}{} the threshold ({}){}.",
        decisive.len(),
        decisive.join(", "),
        was(decisive.len()),
        alarm.comparison.words(),
        java_double(alarm.threshold),
        treated.unwrap_or_else(|| format!(" (minimum {needed} {} for {change} transition)", datapoint(needed))),
    )
}

/// A number as Java writes it, and so CloudWatch.
fn java_double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:E}");
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

/// Why, for programs. It travels as text, in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonData {
    version: &'static str,
    query_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<String>,
    statistic: &'static str,
    period: i64,
    /// Oldest first.
    recent_datapoints: Vec<f64>,
    threshold: f64,
    /// Newest first.
    evaluated_datapoints: Vec<EvaluatedDatapoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluatedDatapoint {
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_count: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
}

impl ReasonData {
    fn new(alarm: &Alarm, datapoints: &[Datapoint], missing: &[i64], now: Timestamp) -> Self {
        let mut evaluated: Vec<(i64, Option<&Datapoint>)> = missing.iter().map(|begins| (*begins, None)).collect();
        evaluated.extend(datapoints.iter().map(|datapoint| (datapoint.begins, Some(datapoint))));
        evaluated.sort_by_key(|(begins, _)| -begins);
        let evaluated = evaluated.into_iter().map(|(begins, datapoint)| EvaluatedDatapoint {
            timestamp: alarm_time(second(begins)),
            sample_count: datapoint.map(|datapoint| datapoint.count),
            value: datapoint.map(|datapoint| datapoint.value),
        });
        Self {
            version: "1.0",
            query_date: alarm_time(now),
            start_date: datapoints.last().map(|oldest| alarm_time(second(oldest.begins))),
            statistic: alarm.statistic.name(),
            period: whole_seconds(alarm.period),
            recent_datapoints: datapoints.iter().rev().map(|datapoint| datapoint.value).collect(),
            threshold: alarm.threshold,
            evaluated_datapoints: evaluated.collect(),
        }
    }
}

/// The event of a change of state.
fn event(environment: &Environment, region: &str, watch: &Watch, previous: &State) -> Value {
    let Watch { alarm, state, .. } = watch;
    let mut configuration = json!({
        "metrics": [{
            "id": watch.metric_id,
            "metricStat": {
                "metric": {
                    "dimensions": alarm.metric.dimensions,
                    "name": alarm.metric.name,
                    "namespace": alarm.metric.namespace,
                },
                "period": whole_seconds(alarm.period),
                "stat": alarm.statistic.name(),
            },
            "returnData": true,
        }],
    });
    if !alarm.description.is_empty() {
        configuration["description"] = json!(alarm.description);
    }
    state_change(
        environment,
        region,
        (&alarm.name, &watch.arn),
        configuration,
        previous,
        state,
    )
}

/// The event of an alarm of either kind: its name and ARN, how it is configured, and its state before and since.
fn state_change(
    environment: &Environment,
    region: &str,
    (name, arn): (&str, &str),
    configuration: Value,
    previous: &State,
    state: &State,
) -> Value {
    json!({
        "version": "0",
        "id": uuid(environment),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": environment.account,
        "time": state.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": region,
        "resources": [arn],
        "detail": {
            "alarmName": name,
            "configuration": configuration,
            "previousState": previous.in_event(),
            "state": state.in_event(),
        },
    })
}

impl State {
    fn in_event(&self) -> Value {
        let mut state = json!({
            "reason": self.reason,
            "timestamp": alarm_time(self.updated_at),
            "value": self.value.name(),
        });
        if let Some(data) = &self.reason_data {
            state["reasonData"] = json!(data);
        }
        if let Some(by) = self.suppressed_by {
            state["actionsSuppressedBy"] = json!(by.name());
            state["actionsSuppressedReason"] = json!(by.reason());
        }
        state
    }
}

/// Errors: a text, if no alarm can have this name.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > NAME_LIMIT {
        return Err(format!("'{name}' is not an alarm's name"));
    }
    Ok(())
}

/// `2019-10-02T17:04:40.989+0000`: a time as alarms write it.
fn alarm_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

fn uuid(environment: &Environment) -> String {
    let digits = format!("{:032x}", environment.chance("cloudwatch-ids", |rng| rng.u128(..)));
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The beginning of the period, counted from the epoch, that `at` lies in.
fn beginning(at: Timestamp, period: i64) -> i64 {
    at.as_nanosecond().div_euclid(1_000_000_000 * i128::from(period)) as i64 * period
}

/// What is known of the minutes from `from` to before `to`.
fn together(minutes: &BTreeMap<i64, Statistics>, from: i64, to: i64) -> Option<Statistics> {
    minutes
        .range(from..to)
        .map(|(_, statistics)| *statistics)
        .reduce(Statistics::and)
}

impl Regional {
    /// Sets the state of an alarm of either kind. Gives the events, those of the composite alarms that follow it too.
    fn set_alarm_state(
        &mut self,
        environment: &Environment,
        region: &str,
        alarm: &str,
        value: StateValue,
        reason: &str,
    ) -> Result<Vec<Value>, String> {
        let own = if let Some(watch) = self.alarms.get_mut(alarm) {
            let set = State {
                value,
                reason: reason.to_owned(),
                reason_data: None,
                updated_at: environment.now(),
                suppressed_by: None,
            };
            let previous = std::mem::replace(&mut watch.state, set);
            (previous.value != value).then(|| event(environment, region, watch, &previous))
        } else {
            self.set_composite(environment, region, alarm, value, reason)?
        };
        let mut events = Vec::from_iter(own);
        if !events.is_empty() {
            events.extend(self.follow(environment, region, vec![alarm.to_owned()]));
        }
        Ok(events)
    }

    /// How many values were put of metrics that are not a service's own.
    fn values_of_users(&self) -> f64 {
        let metrics = self
            .metrics
            .iter()
            .filter(|(metric, _)| !metric.namespace.starts_with("AWS/"));
        let minutes = metrics.flat_map(|(_, minutes)| minutes.values());
        minutes.map(|values| values.count).sum()
    }

    fn record(&mut self, metric: &Metric, at: Timestamp, values: Statistics) {
        let minutes = self.metrics.entry(metric.clone()).or_default();
        let minute = beginning(at, MINUTE);
        let known = minutes.get(&minute).map_or(values, |known| known.and(values));
        minutes.insert(minute, known);
    }

    fn put_metric_data(&mut self, now: Timestamp, mut input: Fields) -> Result<Cbor, Refusal> {
        let namespace = input.required("Namespace", Fields::text)?;
        let data = input.required("MetricData", Fields::list)?;
        input.end()?;
        if namespace.starts_with("AWS/") {
            return Err(invalid(format!(
                "The value {namespace} for parameter Namespace is invalid."
            )));
        }
        if data.is_empty() || data.len() > DATA_LIMIT {
            return Err(invalid(format!(
                "The collection MetricData must have a size of 1 to {DATA_LIMIT}."
            )));
        }
        // All are read before any is kept: AWS takes a request as a whole.
        let mut read = Vec::new();
        for datum in data {
            read.push(read_datum(&namespace, datum, now)?);
        }
        for (metric, at, values) in read {
            self.record(&metric, at, values);
        }
        Ok(Cbor::Map(Vec::new()))
    }

    fn get_metric_data(&self, mut input: Fields) -> Result<Cbor, Refusal> {
        let from = input.required("StartTime", Fields::time)?;
        let to = input.required("EndTime", Fields::time)?;
        let queries = input.required("MetricDataQueries", Fields::list)?;
        let newest_first = match input.text("ScanBy")?.as_deref() {
            None | Some("TimestampDescending") => true,
            Some("TimestampAscending") => false,
            Some(other) => {
                return Err(validation(format!(
                    "'{other}' at 'scanBy' is not TimestampDescending or TimestampAscending"
                )));
            }
        };
        let limit = input
            .integer("MaxDatapoints")?
            .map_or(Ok(DATAPOINTS_LIMIT), usize::try_from);
        let limit = limit.unwrap_or_default().min(DATAPOINTS_LIMIT);
        if input.text("NextToken")?.is_some() {
            return Err(refuse("InvalidNextToken", "the simulator gives no tokens"));
        }
        input.end()?;
        if from >= to {
            return Err(validation(
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        if queries.is_empty() || queries.len() > QUERIES_LIMIT {
            return Err(validation(format!(
                "The collection MetricDataQueries must have a size of 1 to {QUERIES_LIMIT}."
            )));
        }
        let mut ids = Vec::new();
        let mut results = Vec::new();
        let mut datapoints = 0;
        for query in queries {
            let query = Query::read(query)?;
            if ids.contains(&query.id) {
                return Err(validation(format!(
                    "The values for parameter id in MetricDataQueries are not unique: {}.",
                    query.id
                )));
            }
            ids.push(query.id.clone());
            if !query.return_data {
                continue;
            }
            let mut found = self.series(&query, from, to);
            datapoints += found.len();
            if newest_first {
                found.reverse();
            }
            let (times, values) = found
                .into_iter()
                .map(|(at, value)| (cbor_time(second(at)), Cbor::Float(value)))
                .unzip();
            results.push(cbor_map([
                ("Id", Cbor::from(query.id)),
                ("Label", Cbor::from(query.label)),
                ("Timestamps", Cbor::Array(times)),
                ("Values", Cbor::Array(values)),
                ("StatusCode", Cbor::from("Complete")),
            ]));
        }
        if datapoints > limit {
            return Err(not_simulated(format!(
                "more datapoints ({datapoints}) than fit on a page ({limit})"
            )));
        }
        Ok(cbor_map([
            ("MetricDataResults", Cbor::Array(results)),
            ("Messages", Cbor::Array(Vec::new())),
        ]))
    }

    /// The datapoints of the periods that begin between the period of `from` and before `to`, oldest first. A period
    /// that goes on gives what is known of it.
    fn series(&self, query: &Query, from: Timestamp, to: Timestamp) -> Vec<(i64, f64)> {
        let mut periods: BTreeMap<i64, Statistics> = BTreeMap::new();
        let end = to.as_second() + i64::from(to.subsec_nanosecond() > 0);
        let minutes = self.metrics.get(&query.metric).into_iter();
        for (minute, values) in minutes.flat_map(|minutes| minutes.range(beginning(from, query.period)..end)) {
            let period = minute.div_euclid(query.period) * query.period;
            periods
                .entry(period)
                .and_modify(|known| *known = known.and(*values))
                .or_insert(*values);
        }
        periods
            .into_iter()
            .map(|(period, values)| (period, values.read(query.statistic)))
            .collect()
    }

    fn describe_alarms(&self, mut input: Fields) -> Result<Cbor, Refusal> {
        let names = input.list("AlarmNames")?;
        let names = names.map(|names| {
            names
                .into_iter()
                .map(|name| text(name, "AlarmNames"))
                .collect::<Result<Vec<_>, _>>()
        });
        let names = names.transpose()?.filter(|names| !names.is_empty());
        let prefix = input.text("AlarmNamePrefix")?;
        let state = input.text("StateValue")?;
        let state: Option<StateValue> = state.map(|state| state.parse()).transpose().map_err(validation)?;
        let types = input.list("AlarmTypes")?.unwrap_or_default();
        let limit = input
            .integer("MaxRecords")?
            .map_or(Ok(ALARMS_LIMIT), usize::try_from)
            .unwrap_or_default();
        input.end()?;
        if names.is_some() && prefix.is_some() {
            return Err(refuse(
                "InvalidParameterCombination",
                "AlarmNamePrefix cannot be used with AlarmNames",
            ));
        }
        let types = types
            .into_iter()
            .map(|kind| text(kind, "AlarmTypes"))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(other) = types
            .iter()
            .find(|kind| !["MetricAlarm", "CompositeAlarm"].contains(&kind.as_str()))
        {
            return Err(not_simulated(format!("alarms of type {other}")));
        }
        let is_asked_for = |name: &str, value: StateValue| {
            names
                .as_ref()
                .is_none_or(|names| names.iter().any(|asked| asked == name))
                && prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
                && state.is_none_or(|state| state == value)
        };
        // "If you omit this parameter, only metric alarms are returned".
        let (mut metric, mut composite) = (Vec::new(), Vec::new());
        if types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm") {
            let found = self.alarms.values();
            let found = found.filter(|watch| is_asked_for(&watch.alarm.name, watch.state.value));
            metric.extend(found.map(Watch::described));
        }
        if types.iter().any(|kind| kind == "CompositeAlarm") {
            let found = self.composites.values();
            let found = found.filter(|composite| is_asked_for(&composite.alarm.name, composite.state.value));
            composite.extend(found.map(Composite::described));
        }
        let found = metric.len() + composite.len();
        if found > limit {
            return Err(not_simulated(format!(
                "more alarms ({found}) than fit on a page ({limit})"
            )));
        }
        Ok(cbor_map([
            ("MetricAlarms", Cbor::Array(metric)),
            ("CompositeAlarms", Cbor::Array(composite)),
        ]))
    }
}

impl Watch {
    fn described(&self) -> Cbor {
        let Self { alarm, state, .. } = self;
        let dimensions = alarm.metric.dimensions.iter();
        let dimensions = dimensions
            .map(|(name, value)| cbor_map([("Name", name.as_str().into()), ("Value", value.as_str().into())]));
        let mut fields = vec![
            ("AlarmName", Cbor::from(alarm.name.as_str())),
            ("AlarmArn", self.arn.as_str().into()),
            ("AlarmConfigurationUpdatedTimestamp", cbor_time(self.configured_at)),
            ("ActionsEnabled", alarm.actions_enabled.into()),
            ("OKActions", Cbor::Array(Vec::new())),
            ("AlarmActions", Cbor::Array(Vec::new())),
            ("InsufficientDataActions", Cbor::Array(Vec::new())),
            ("StateValue", state.value.name().into()),
            ("StateReason", state.reason.as_str().into()),
            ("StateUpdatedTimestamp", cbor_time(state.updated_at)),
            ("StateTransitionedTimestamp", cbor_time(state.updated_at)),
            ("MetricName", alarm.metric.name.as_str().into()),
            ("Namespace", alarm.metric.namespace.as_str().into()),
            ("Statistic", alarm.statistic.name().into()),
            ("Dimensions", Cbor::Array(dimensions.collect())),
            ("Period", whole_seconds(alarm.period).into()),
            ("EvaluationPeriods", alarm.evaluation_periods.into()),
            ("DatapointsToAlarm", alarm.datapoints_to_alarm.into()),
            ("Threshold", Cbor::Float(alarm.threshold)),
            ("ComparisonOperator", alarm.comparison.name().into()),
            ("TreatMissingData", alarm.treat_missing_data.name().into()),
        ];
        if !alarm.description.is_empty() {
            fields.push(("AlarmDescription", alarm.description.as_str().into()));
        }
        if let Some(data) = &state.reason_data {
            fields.push(("StateReasonData", data.as_str().into()));
        }
        Cbor::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

fn read_datum(namespace: &str, datum: Cbor, now: Timestamp) -> Result<(Metric, Timestamp, Statistics), Refusal> {
    let mut datum = Fields::read("MetricDatum", datum)?;
    let name = datum.required("MetricName", Fields::text)?;
    let dimensions = read_dimensions(datum.list("Dimensions")?)?;
    let at = datum.time("Timestamp")?.unwrap_or(now);
    let age = now.duration_since(at);
    if age > OLDEST_DATUM || -age > NEWEST_DATUM {
        let message = "must specify a time no more than two weeks in the past and no more than two hours in the future";
        return Err(invalid(format!("The parameter MetricData.member.Timestamp {message}.")));
    }
    let value = datum.number("Value")?;
    let values = datum.list("Values")?;
    let counts = datum.list("Counts")?;
    // A unit would only matter to those who ask for one, and the simulator refuses them.
    datum.text("Unit")?;
    if datum
        .integer("StorageResolution")?
        .is_some_and(|resolution| resolution != MINUTE)
    {
        return Err(not_simulated("a metric of high resolution"));
    }
    datum.end()?;
    let values = match (value, values, counts) {
        (Some(value), None, None) => vec![(value, 1.0)],
        (None, Some(values), counts) => {
            let values = numbers(values, "Values")?;
            let counts = counts.map(|counts| numbers(counts, "Counts")).transpose()?;
            let counts = counts.unwrap_or_else(|| vec![1.0; values.len()]);
            if values.is_empty() || values.len() > VALUES_LIMIT || counts.len() != values.len() {
                let message = format!("Values must have a size of 1 to {VALUES_LIMIT}, and Counts the same");
                return Err(invalid(message));
            }
            values.into_iter().zip(counts).collect()
        }
        (None, None, _) => {
            return Err(refuse(
                "MissingParameter",
                "The parameter MetricData.member.Value is required.",
            ));
        }
        _ => {
            return Err(refuse(
                "InvalidParameterCombination",
                "Value cannot be used with Values or Counts",
            ));
        }
    };
    if let Some((value, count)) = values
        .iter()
        .find(|(value, count)| !value.is_finite() || value.abs() > VALUE_LIMIT || !count.is_finite() || *count <= 0.0)
    {
        return Err(invalid(format!("The value {value} with the count {count} is invalid.")));
    }
    let values = values
        .into_iter()
        .map(|(value, count)| Statistics::of(value, count))
        .reduce(Statistics::and);
    let values = values.ok_or_else(|| invalid("no values"))?;
    Ok((
        Metric {
            namespace: namespace.to_owned(),
            name,
            dimensions,
        },
        at,
        values,
    ))
}

fn read_dimensions(list: Option<Vec<Cbor>>) -> Result<BTreeMap<String, String>, Refusal> {
    let list = list.unwrap_or_default();
    if list.len() > DIMENSIONS_LIMIT {
        return Err(invalid(format!(
            "The collection Dimensions must not have a size greater than {DIMENSIONS_LIMIT}."
        )));
    }
    let mut dimensions = BTreeMap::new();
    for dimension in list {
        let mut dimension = Fields::read("Dimension", dimension)?;
        let name = dimension.required("Name", Fields::text)?;
        let value = dimension.required("Value", Fields::text)?;
        dimension.end()?;
        if name.is_empty() || value.is_empty() || dimensions.insert(name.clone(), value).is_some() {
            return Err(invalid(format!("The dimension '{name}' is empty or given twice.")));
        }
    }
    Ok(dimensions)
}

/// A query of GetMetricData.
struct Query {
    id: String,
    label: String,
    return_data: bool,
    metric: Metric,
    /// In seconds.
    period: i64,
    statistic: Statistic,
}

impl Query {
    fn read(query: Cbor) -> Result<Self, Refusal> {
        let mut query = Fields::read("MetricDataQuery", query)?;
        let id = query.required("Id", Fields::text)?;
        if !id.starts_with(|c: char| c.is_ascii_lowercase())
            || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Err(validation(format!(
                "The value {id} for parameter id does not match ^[a-z][a-zA-Z0-9_]*$."
            )));
        }
        if query.text("Expression")?.is_some() {
            return Err(not_simulated(format!("metric math (query {id} has an Expression)")));
        }
        let label = query.text("Label")?;
        if label.as_ref().is_some_and(|label| label.contains("${")) {
            return Err(not_simulated(format!("a dynamic label (query {id})")));
        }
        let return_data = query.boolean("ReturnData")?.unwrap_or(true);
        let mut stat = Fields::read("MetricStat", query.required("MetricStat", Fields::any)?)?;
        query.end()?;
        let mut metric = Fields::read("Metric", stat.required("Metric", Fields::any)?)?;
        let period = stat.required("Period", Fields::integer)?;
        let statistic = stat.required("Stat", Fields::text)?;
        stat.end()?;
        let namespace = metric.required("Namespace", Fields::text)?;
        let name = metric.required("MetricName", Fields::text)?;
        let dimensions = read_dimensions(metric.list("Dimensions")?)?;
        metric.end()?;
        if period < MINUTE || period % MINUTE != 0 {
            return Err(not_simulated(format!(
                "a period of {period} s, which is no multiple of a minute (query {id})"
            )));
        }
        let statistic = statistic.parse().map_err(not_simulated)?;
        let label = label.unwrap_or_else(|| name.clone());
        Ok(Self {
            id,
            label,
            return_data,
            metric: Metric {
                namespace,
                name,
                dimensions,
            },
            period,
            statistic,
        })
    }
}

/// Why a call is refused.
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal {
        status: 400,
        code,
        message: message.into(),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    refuse("InvalidParameterValue", message)
}

fn validation(message: impl Into<String>) -> Refusal {
    refuse("ValidationError", message)
}

fn not_simulated(what: impl Into<String>) -> Refusal {
    Refusal {
        status: 501,
        code: "NotSimulated",
        message: format!("CloudWatch in the simulator: not simulated: {}", what.into()),
    }
}

impl Refusal {
    fn reply(self) -> Reply {
        error(self.status, self.code, &self.message)
    }
}

/// An error as CloudWatch tells it.
fn error(status: u16, code: &str, message: &str) -> Reply {
    let mut reply = cbor_reply(
        status,
        &cbor_map([("__type", Cbor::from(code)), ("message", Cbor::from(message))]),
    );
    let who = if status < 500 { "Sender" } else { "Receiver" };
    // CloudWatch spoke the query protocol before, and still tells that protocol's code.
    reply.headers.push(("x-amzn-query-error", format!("{code};{who}")));
    reply
}

/// A structure's fields. Each is taken out once; what is left over at the end is not simulated.
struct Fields {
    of: String,
    fields: BTreeMap<String, Cbor>,
}

impl Fields {
    fn read(of: &str, value: Cbor) -> Result<Self, Refusal> {
        let wrong = || refuse("SerializationException", format!("{of} is not a structure"));
        let mut fields = BTreeMap::new();
        for (name, value) in value.into_map().map_err(|_| wrong())? {
            if !value.is_null() {
                fields.insert(name.into_text().map_err(|_| wrong())?, value);
            }
        }
        Ok(Self {
            of: of.to_owned(),
            fields,
        })
    }

    fn take<T>(&mut self, name: &str, read: impl FnOnce(Cbor) -> Option<T>) -> Result<Option<T>, Refusal> {
        let Some(value) = self.fields.remove(name) else {
            return Ok(None);
        };
        let wrong = || {
            refuse(
                "SerializationException",
                format!("{}.{name} has the wrong type", self.of),
            )
        };
        read(value).map(Some).ok_or_else(wrong)
    }

    fn any(&mut self, name: &str) -> Result<Option<Cbor>, Refusal> {
        self.take(name, Some)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.take(name, |value| value.into_text().ok())
    }

    fn list(&mut self, name: &str) -> Result<Option<Vec<Cbor>>, Refusal> {
        self.take(name, |value| value.into_array().ok())
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        self.take(name, |value| value.as_bool())
    }

    fn integer(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        self.take(name, |value| {
            value.as_integer().and_then(|integer| i64::try_from(integer).ok())
        })
    }

    fn number(&mut self, name: &str) -> Result<Option<f64>, Refusal> {
        self.take(name, |value| number(&value))
    }

    fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        self.take(name, |value| match value {
            Cbor::Tag(1, seconds) => {
                let milliseconds = (number(&seconds)? * 1000.0).round();
                Timestamp::from_millisecond(milliseconds as i64).ok()
            }
            _ => None,
        })
    }

    fn required<T>(
        &mut self,
        name: &str,
        take: impl FnOnce(&mut Self, &str) -> Result<Option<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let missing = format!("The parameter {name} is required.");
        take(self, name)?.ok_or_else(|| refuse("MissingParameter", missing))
    }

    fn end(self) -> Result<(), Refusal> {
        match self.fields.into_keys().next() {
            Some(name) => Err(not_simulated(format!("{name} in {}", self.of))),
            None => Ok(()),
        }
    }
}

fn number(value: &Cbor) -> Option<f64> {
    match value {
        Cbor::Float(number) => Some(*number),
        Cbor::Integer(number) => Some(i128::from(*number) as f64),
        _ => None,
    }
}

fn numbers(list: Vec<Cbor>, of: &str) -> Result<Vec<f64>, Refusal> {
    let read = list.iter().map(number).collect::<Option<Vec<_>>>();
    read.ok_or_else(|| refuse("SerializationException", format!("{of} has the wrong type")))
}

fn text(value: Cbor, of: &str) -> Result<String, Refusal> {
    value
        .into_text()
        .map_err(|_| refuse("SerializationException", format!("{of} has the wrong type")))
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sdk_cloudwatch::Client;
    use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
    use aws_sdk_cloudwatch::primitives::DateTime;
    use aws_sdk_cloudwatch::types::{
        AlarmType, Dimension, Metric as SdkMetric, MetricDataQuery, MetricDatum, MetricStat, ScanBy, StandardUnit,
        StatisticSet,
    };
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use bytes::Bytes;

    use super::*;
    use crate::aws::events::{Delivery, Rule, Target, TargetInput};
    use crate::aws::service::{Service, reply_at_once};
    use crate::clock::Clock;
    use crate::cloud::Cloud;
    use crate::cloud::Reach;
    use crate::timings::Timings;

    const REGION: &str = "us-west-2";

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    fn cloud() -> Arc<Cloud> {
        Cloud::new(
            "123456789012",
            7,
            Clock::starting_at(at("12:00:30")),
            Timings::built_in().unwrap(),
        )
    }

    fn metric() -> Metric {
        let dimensions = BTreeMap::from([("Workload".to_owned(), "shop".to_owned())]);
        Metric {
            namespace: "Shop".into(),
            name: "Healthy".into(),
            dimensions,
        }
    }

    fn alarm(m: u32, n: u32, treat_missing_data: MissingData) -> Alarm {
        Alarm {
            name: "down".into(),
            description: "The shop is down".into(),
            metric: metric(),
            statistic: Statistic::Minimum,
            period: Duration::from_secs(60),
            evaluation_periods: n,
            datapoints_to_alarm: m,
            threshold: 1.0,
            comparison: Comparison::LessThan,
            treat_missing_data,
            actions_enabled: true,
        }
    }

    /// What an alarm makes of the last minutes, oldest first: `0` does not breach, `X` breaches, `-` is missing.
    /// Nothing if it stays as it was.
    fn judged(m: u32, treat: MissingData, minutes: &str) -> State {
        let minutes: Vec<char> = minutes.chars().filter(|c| *c != ' ').collect();
        let end = at("12:30:00").as_second();
        let known = minutes.iter().rev().zip(1..).filter(|(minute, _)| **minute != '-');
        let known = known
            .map(|(minute, age)| {
                (
                    end - age * 60,
                    Statistics::of(if *minute == 'X' { 0.0 } else { 1.0 }, 2.0),
                )
            })
            .collect();
        let updated_at = at("12:00:00");
        let current = State {
            value: StateValue::InsufficientData,
            reason: "before".into(),
            reason_data: None,
            updated_at,
            suppressed_by: None,
        };
        judge(&alarm(m, 3, treat), Some(&known), end, at("12:30:05.123"), &current)
    }

    #[test]
    fn missing_data_is_treated_as_the_user_guide_tabulates_it() {
        use StateValue::{Alarm as A, InsufficientData as I, Ok as O};
        let columns = [
            MissingData::Missing,
            MissingData::Ignore,
            MissingData::Breaching,
            MissingData::NotBreaching,
        ];
        // None: retains the current state.
        let table = [
            (3, "0 - X - X", [Some(O), Some(O), Some(O), Some(O)]),
            (3, "- - - - 0", [Some(O), Some(O), Some(O), Some(O)]),
            (3, "- - - - -", [Some(I), None, Some(A), Some(O)]),
            (3, "0 X X - X", [Some(A), Some(A), Some(A), Some(A)]),
            (3, "- - X - -", [Some(A), None, Some(A), Some(O)]),
            (2, "0 - X - X", [Some(A), Some(A), Some(A), Some(A)]),
            (2, "0 0 X 0 X", [Some(A), Some(A), Some(A), Some(A)]),
            (2, "0 - X - -", [Some(O), Some(O), Some(A), Some(O)]),
            (2, "- - - - 0", [Some(O), Some(O), Some(A), Some(O)]),
            (2, "- - - X -", [Some(A), None, Some(A), Some(O)]),
            // "Avoiding premature transitions to alarm state"
            (3, "- - - - X", [Some(I), None, Some(A), Some(O)]),
            (3, "- - - X -", [Some(I), None, Some(A), Some(O)]),
            (3, "- - - X 0", [Some(O), Some(O), Some(O), Some(O)]),
            // What is older than five minutes does not count.
            (3, "X X X - - - - -", [Some(I), None, Some(A), Some(O)]),
        ];
        for (m, minutes, expected) in table {
            for (treat, expected) in columns.into_iter().zip(expected) {
                let state = judged(m, treat, minutes);
                let got = (state.reason != "before").then_some(state.value);
                assert_eq!(got, expected, "{m} of 3, {minutes}, {}", treat.name());
            }
        }
    }

    #[test]
    fn reasons_are_in_the_words_of_aws() {
        let reason = |m, treat, minutes| judged(m, treat, minutes).reason;
        assert_eq!(
            reason(3, MissingData::Breaching, "0 0 X X X"),
            "Threshold Crossed: 3 out of the last 3 datapoints [0.0 (01/01/26 12:29:00), 0.0 (01/01/26 12:28:00), \
             0.0 (01/01/26 12:27:00)] were less than the threshold (1.0) (minimum 3 datapoints for OK -> ALARM \
             transition)."
        );
        assert_eq!(
            reason(3, MissingData::Breaching, "X X X X 0"),
            "Threshold Crossed: 1 out of the last 3 datapoints [1.0 (01/01/26 12:29:00)] was not less than the \
             threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition)."
        );
        assert_eq!(
            reason(3, MissingData::Breaching, "- - - - -"),
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as \
             [Breaching]."
        );
        assert_eq!(
            reason(2, MissingData::Breaching, "- - - - 0"),
            "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as \
             [Breaching]."
        );
        assert_eq!(
            reason(3, MissingData::NotBreaching, "0 - - - 0"),
            "Threshold Crossed: 2 out of the last 3 datapoints [1.0 (01/01/26 12:29:00), 1.0 (01/01/26 12:25:00)] were \
             not less than the threshold (1.0) and 1 missing datapoint was treated as [NonBreaching]."
        );
        assert_eq!(
            reason(3, MissingData::Missing, "- - - - -"),
            "Insufficient Data: 3 datapoints were unknown."
        );
    }

    #[test]
    fn reason_data_is_a_json_text_in_the_order_of_aws() {
        assert_eq!(
            judged(3, MissingData::Breaching, "- - - X X").reason_data.as_deref(),
            Some(
                "{\"version\":\"1.0\",\"queryDate\":\"2026-01-01T12:30:05.123+0000\",\
                 \"startDate\":\"2026-01-01T12:28:00.000+0000\",\"statistic\":\"Minimum\",\"period\":60,\
                 \"recentDatapoints\":[0.0,0.0],\"threshold\":1.0,\"evaluatedDatapoints\":[\
                 {\"timestamp\":\"2026-01-01T12:29:00.000+0000\",\"sampleCount\":2.0,\"value\":0.0},\
                 {\"timestamp\":\"2026-01-01T12:28:00.000+0000\",\"sampleCount\":2.0,\"value\":0.0},\
                 {\"timestamp\":\"2026-01-01T12:27:00.000+0000\"}]}"
            )
        );
        let without = judged(3, MissingData::Breaching, "- - - - -").reason_data.unwrap();
        assert!(
            !without.contains("startDate") && without.contains("\"recentDatapoints\":[]"),
            "{without}"
        );
    }

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-50.25, "-50.25"),
            (0.0666851903306472, "0.0666851903306472"),
            (15_075_595_059.2, "1.50755950592E10"),
            (1e7, "1.0E7"),
            (0.0001, "1.0E-4"),
        ];
        for (value, expected) in cases {
            assert_eq!(java_double(value), expected);
        }
        assert_eq!(VALUE_LIMIT, 2f64.powi(360));
    }

    #[test]
    fn each_comparison_and_statistic_is_what_it_says() {
        let breaches = |comparison: &str, value| comparison.parse::<Comparison>().unwrap().breaches(value, 1.0);
        for (comparison, expected) in [
            ("GreaterThanOrEqualToThreshold", [false, true, true]),
            ("GreaterThanThreshold", [false, false, true]),
            ("LessThanThreshold", [true, false, false]),
            ("LessThanOrEqualToThreshold", [true, true, false]),
        ] {
            assert_eq!(
                [0.5, 1.0, 1.5].map(|value| breaches(comparison, value)),
                expected,
                "{comparison}"
            );
        }
        let statistics = Statistics::of(2.0, 3.0).and(Statistics::of(10.0, 1.0));
        for (name, expected) in [
            ("Average", 4.0),
            ("Minimum", 2.0),
            ("Maximum", 10.0),
            ("Sum", 16.0),
            ("SampleCount", 4.0),
        ] {
            assert_eq!(statistics.read(name.parse().unwrap()), expected, "{name}");
        }
        assert!("p99".parse::<Statistic>().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn alarms_that_aws_does_not_know_are_refused() {
        let cloud = cloud();
        let put = |alarm| cloud.cloudwatch.put_alarm(&cloud, REGION, alarm);
        let good = || alarm(2, 3, MissingData::Breaching);
        assert_eq!(put(good()), Ok(()));
        assert!(
            put(Alarm {
                datapoints_to_alarm: 4,
                ..good()
            })
            .unwrap_err()
            .contains("4 out of 3")
        );
        assert!(
            put(Alarm {
                datapoints_to_alarm: 0,
                ..good()
            })
            .unwrap_err()
            .contains("0 out of 3")
        );
        assert!(
            put(Alarm {
                period: Duration::from_secs(90),
                ..good()
            })
            .unwrap_err()
            .contains("multiple of a minute")
        );
        assert!(
            put(Alarm {
                period: Duration::from_secs(28_860),
                ..good()
            })
            .unwrap_err()
            .contains("more than a day")
        );
        assert!(
            put(Alarm {
                threshold: f64::NAN,
                ..good()
            })
            .unwrap_err()
            .contains("no number")
        );
        assert!(
            put(Alarm {
                name: String::new(),
                ..good()
            })
            .unwrap_err()
            .contains("name")
        );
    }

    /// A cloud with an alarm whose events arrive, and a metric that is healthy from 12:00 to 12:04 and then not.
    async fn run_alarm(treat: MissingData, after: Option<f64>) -> (Arc<Cloud>, Vec<Delivery>) {
        let cloud = cloud();
        let mut deliveries = cloud.events.deliveries();
        let arn = format!("arn:aws:lambda:{REGION}:123456789012:function:f");
        let rule = Rule {
            name: "alarms".into(),
            pattern: json!({"source": ["aws.cloudwatch"]}),
            targets: vec![Target::Function {
                arn,
                input: TargetInput::Event,
            }],
        };
        cloud.events.put_rule(REGION, rule).unwrap();
        tokio::spawn(evaluate_alarms(Arc::clone(&cloud.cloudwatch), cloud.environment()));
        tokio::task::yield_now().await;
        cloud.cloudwatch.put_alarm(&cloud, REGION, alarm(3, 3, treat)).unwrap();
        for minute in 0..20 {
            let value = if minute < 5 { Some(1.0) } else { after };
            if let Some(value) = value {
                cloud.cloudwatch.publish(REGION, &metric(), cloud.now(), value);
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let mut got = Vec::new();
        while let Ok(delivery) = deliveries.try_recv() {
            got.push(delivery);
        }
        (cloud, got)
    }

    fn changed_at(delivery: &Delivery) -> Timestamp {
        delivery.input["detail"]["state"]["timestamp"]
            .as_str()
            .unwrap()
            .replace("+0000", "Z")
            .parse()
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_goes_off_after_three_bad_minutes_and_its_event_is_as_aws_sends_it() {
        let (cloud, got) = run_alarm(MissingData::Breaching, Some(0.0)).await;
        assert_eq!(got.len(), 2, "INSUFFICIENT_DATA -> OK -> ALARM");
        // It was put at 12:00:30, and is evaluated at the end of that minute.
        let delay = changed_at(&got[0]).duration_since(at("12:01:00")).as_millis();
        assert!((2_000..=20_001).contains(&delay), "{delay} ms");
        // The bad minutes are 12:05, 12:06 and 12:07.
        let delay = changed_at(&got[1]).duration_since(at("12:08:00")).as_millis();
        assert!((2_000..=20_001).contains(&delay), "{delay} ms");
        let event = &got[1].input;
        let detail = &event["detail"];
        assert_eq!(detail["previousState"], got[0].input["detail"]["state"]);
        assert_eq!(
            (&detail["previousState"]["value"], &detail["state"]["value"]),
            (&json!("OK"), &json!("ALARM"))
        );
        assert_eq!(got[0].input["detail"]["previousState"]["value"], "INSUFFICIENT_DATA");
        assert_eq!(
            got[0].input["detail"]["previousState"]["reason"],
            "Unchecked: Initial alarm creation"
        );
        assert_eq!(got[0].input["detail"]["previousState"].get("reasonData"), None);
        assert_eq!(
            detail["state"]["reason"],
            "Threshold Crossed: 3 out of the last 3 datapoints [0.0 (01/01/26 12:07:00), 0.0 (01/01/26 12:06:00), \
             0.0 (01/01/26 12:05:00)] were less than the threshold (1.0) (minimum 3 datapoints for OK -> ALARM \
             transition)."
        );
        let data: Value = serde_json::from_str(detail["state"]["reasonData"].as_str().unwrap()).unwrap();
        assert_eq!(data["startDate"], "2026-01-01T12:05:00.000+0000");
        assert_eq!(data["queryDate"], detail["state"]["timestamp"]);
        let timestamp = detail["state"]["timestamp"].as_str().unwrap();
        assert_eq!(event["time"].as_str().unwrap(), format!("{}Z", &timestamp[..19]));
        // The same fields as in the User Guide's example, at every level.
        let metric_id = detail["configuration"]["metrics"][0]["id"].as_str().unwrap();
        assert_eq!(metric_id.len(), 36);
        assert_eq!(
            *event,
            json!({
                "version": "0",
                "id": event["id"],
                "detail-type": "CloudWatch Alarm State Change",
                "source": "aws.cloudwatch",
                "account": "123456789012",
                "time": event["time"],
                "region": "us-west-2",
                "resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:down"],
                "detail": {
                    "alarmName": "down",
                    "configuration": {
                        "description": "The shop is down",
                        "metrics": [{
                            "id": metric_id,
                            "metricStat": {
                                "metric": {
                                    "dimensions": {"Workload": "shop"},
                                    "name": "Healthy",
                                    "namespace": "Shop",
                                },
                                "period": 60,
                                "stat": "Minimum",
                            },
                            "returnData": true,
                        }],
                    },
                    "previousState": detail["previousState"],
                    "state": {
                        "reason": detail["state"]["reason"],
                        "reasonData": detail["state"]["reasonData"],
                        "timestamp": timestamp,
                        "value": "ALARM",
                    },
                },
            })
        );
        let again = run_alarm(MissingData::Breaching, Some(0.0)).await.1;
        assert_eq!(again, got, "the same seed gives the same run");
        drop(cloud);
    }

    #[tokio::test(start_paused = true)]
    async fn data_that_stops_breaches_only_when_the_last_good_minute_is_out_of_sight() {
        let (_, got) = run_alarm(MissingData::Breaching, None).await;
        // Good until 12:04. Of five minutes 12:05 to 12:09 are the first without any.
        let delay = changed_at(&got[1]).duration_since(at("12:10:00")).as_millis();
        assert!((2_000..=20_001).contains(&delay), "{delay} ms");
        assert_eq!(got[1].input["detail"]["state"]["value"], "ALARM");
        let (_, got) = run_alarm(MissingData::Missing, None).await;
        assert_eq!(got[1].input["detail"]["state"]["value"], "INSUFFICIENT_DATA");
        let (_, got) = run_alarm(MissingData::Ignore, None).await;
        assert_eq!(got.len(), 1, "stays OK");
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_was_set_lasts_until_the_next_evaluation_and_both_are_told() {
        let (cloud, _) = run_alarm(MissingData::Breaching, Some(1.0)).await;
        let mut deliveries = cloud.events.deliveries();
        cloud.cloudwatch.publish(REGION, &metric(), cloud.now(), 1.0);
        let set = |state, reason: &str| cloud.cloudwatch.set_alarm_state(&cloud, REGION, "down", state, reason);
        let set_at = cloud.now();
        set(StateValue::Alarm, "a drill").unwrap();
        let described = client(&cloud)
            .describe_alarms()
            .alarm_names("down")
            .send()
            .await
            .unwrap();
        let alarm = &described.metric_alarms()[0];
        assert_eq!(
            (alarm.state_value().map(|state| state.as_str()), alarm.state_reason()),
            (Some("ALARM"), Some("a drill"))
        );
        assert_eq!(alarm.state_reason_data(), None);
        tokio::time::sleep(Duration::from_secs(85)).await;
        let states = |delivery: &Delivery| {
            let of = |state: &str| delivery.input["detail"][state]["value"].as_str().unwrap().to_owned();
            (of("previousState"), of("state"))
        };
        let (flapped, back) = (deliveries.try_recv().unwrap(), deliveries.try_recv().unwrap());
        assert_eq!(states(&flapped), ("OK".to_owned(), "ALARM".to_owned()));
        assert_eq!(flapped.input["detail"]["state"]["reason"], "a drill");
        assert_eq!(flapped.input["detail"]["state"].get("reasonData"), None);
        assert_eq!(states(&back), ("ALARM".to_owned(), "OK".to_owned()));
        assert_eq!(back.input["detail"]["previousState"]["reason"], "a drill");
        let lasted = changed_at(&back).duration_since(set_at).as_secs_f64();
        assert!((0.0..=80.0).contains(&lasted), "{lasted} s");

        // The state that it has is no change.
        set(StateValue::Ok, "a drill").unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(deliveries.try_recv().is_err());
        assert!(set(StateValue::Alarm, &"x".repeat(1024)).is_err());
        let nobody = cloud
            .cloudwatch
            .set_alarm_state(&cloud, "us-east-1", "down", StateValue::Alarm, "");
        assert!(nobody.unwrap_err().contains("no alarm"));
        cloud.take_away(REGION, Reach::Apis);
        assert!(set(StateValue::Alarm, "").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_in_a_region_whose_control_planes_are_down_is_not_evaluated() {
        let cloud = cloud();
        cloud
            .cloudwatch
            .put_alarm(&cloud, REGION, alarm(3, 3, MissingData::Breaching))
            .unwrap();
        cloud.take_away(REGION, Reach::Apis);
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(cloud.cloudwatch.evaluate(&cloud).0.is_empty());
        cloud.give_region_back(REGION);
        assert!(
            cloud.cloudwatch.evaluate(&cloud).0.is_empty(),
            "what was missed is not made up for"
        );
        tokio::time::sleep(Duration::from_secs(60)).await;
        // That customers do not reach the Region stops no alarm.
        cloud.take_away(REGION, Reach::Customers);
        let (events, next) = cloud.cloudwatch.evaluate(&cloud);
        assert_eq!(events.len(), 1);
        assert!(next.unwrap() > cloud.now());
    }

    /// Hands the SDK's requests to CloudWatch, without a network's delay.
    #[derive(Clone)]
    struct Wire(Arc<Cloud>);

    impl std::fmt::Debug for Wire {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Wire")
        }
    }

    impl HttpConnector for Wire {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let mut headers = http::HeaderMap::new();
            for (name, value) in request.headers() {
                headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            }
            let uri: http::Uri = request.uri().parse().unwrap();
            let call = Call {
                service: "monitoring".into(),
                region: REGION.into(),
                method: request.method().into(),
                uri: request.uri().into(),
                path: uri.path().into(),
                headers,
                body: Bytes::copy_from_slice(request.body().bytes().unwrap()),
            };
            assert!(request.uri().ends_with(&*self.0.cloudwatch.operation(&call).unwrap()));
            let reply = reply_at_once(&*self.0.cloudwatch, &self.0, &call);
            let mut response = HttpResponse::new(reply.status.try_into().unwrap(), SdkBody::from(reply.body));
            for (name, value) in reply.headers {
                response.headers_mut().insert(name, value);
            }
            HttpConnectorFuture::ready(Ok(response))
        }
    }

    impl HttpClient for Wire {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    fn client(cloud: &Arc<Cloud>) -> Client {
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(aws_sdk_cloudwatch::config::BehaviorVersion::latest())
            .region(aws_sdk_cloudwatch::config::Region::new(REGION))
            .credentials_provider(Credentials::new("SIMULATED", "SIMULATED", None, None, "test"))
            .time_source(cloud.clock)
            .http_client(Wire(Arc::clone(cloud)))
            .build();
        Client::from_conf(config)
    }

    fn datum() -> aws_sdk_cloudwatch::types::builders::MetricDatumBuilder {
        MetricDatum::builder()
            .metric_name("Healthy")
            .dimensions(Dimension::builder().name("Workload").value("shop").build())
            .unit(StandardUnit::None)
    }

    fn sdk_time(at: Timestamp) -> DateTime {
        DateTime::from_millis(at.as_millisecond())
    }

    async fn put(client: &Client, namespace: &str, datum: MetricDatum) -> Result<(), (String, String)> {
        coded(
            client
                .put_metric_data()
                .namespace(namespace)
                .metric_data(datum)
                .send()
                .await,
        )
        .map(|_| ())
    }

    fn coded<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> Result<T, (String, String)> {
        result.map_err(|error| {
            let error = error.as_service_error().expect("an answer");
            (
                error.code().unwrap_or_default().to_owned(),
                error.message().unwrap_or_default().to_owned(),
            )
        })
    }

    fn query(stat: &str, period: i32) -> MetricDataQuery {
        let dimension = Dimension::builder().name("Workload").value("shop").build();
        let metric = SdkMetric::builder()
            .namespace("Shop")
            .metric_name("Healthy")
            .dimensions(dimension)
            .build();
        let stat = MetricStat::builder().metric(metric).period(period).stat(stat).build();
        MetricDataQuery::builder()
            .id(format!("q{period}"))
            .metric_stat(stat)
            .build()
    }

    #[tokio::test(start_paused = true)]
    async fn the_sdk_puts_data_and_gets_them_back_by_period() {
        let cloud = cloud();
        let client = client(&cloud);
        for (time, value) in [
            ("11:57:10.250", 4.0),
            ("11:58:59.999", 1.0),
            ("11:58:00", 3.0),
            ("12:00:10", 9.0),
        ] {
            put(
                &client,
                "Shop",
                datum().timestamp(sdk_time(at(time))).value(value).build(),
            )
            .await
            .unwrap();
        }
        // Without a time it is now: 12:00:30.
        put(
            &client,
            "Shop",
            datum()
                .set_values(Some(vec![1.0, 5.0]))
                .set_counts(Some(vec![2.0, 1.0]))
                .build(),
        )
        .await
        .unwrap();
        let get = |queries: Vec<MetricDataQuery>, scan: Option<ScanBy>, from: &str, to: &str| {
            let call = client
                .get_metric_data()
                .start_time(sdk_time(at(from)))
                .end_time(sdk_time(at(to)));
            call.set_metric_data_queries(Some(queries)).set_scan_by(scan).send()
        };
        let minutes = |output: &aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput, index: usize| {
            let result = &output.metric_data_results()[index];
            let times = result
                .timestamps()
                .iter()
                .map(|time| second(time.secs()).strftime("%H:%M:%S").to_string());
            times
                .zip(result.values().iter().copied())
                .collect::<Vec<(String, f64)>>()
        };
        let found = |list: &[(&str, f64)]| {
            list.iter()
                .map(|(at, value)| ((*at).to_owned(), *value))
                .collect::<Vec<_>>()
        };
        let output = get(
            vec![query("Minimum", 60), query("Sum", 300)],
            None,
            "11:57:30",
            "12:00:31",
        )
        .await
        .unwrap();
        assert_eq!(
            minutes(&output, 0),
            found(&[("12:00:00", 1.0), ("11:58:00", 1.0), ("11:57:00", 4.0)])
        );
        assert_eq!(minutes(&output, 1), found(&[("12:00:00", 16.0), ("11:55:00", 8.0)]));
        let result = &output.metric_data_results()[0];
        assert_eq!((result.id(), result.label()), (Some("q60"), Some("Healthy")));
        assert_eq!(result.status_code().map(|code| code.as_str()), Some("Complete"));
        // The end is not included, the start is.
        let output = get(
            vec![query("Average", 60)],
            Some(ScanBy::TimestampAscending),
            "11:57:00",
            "12:00:00",
        )
        .await
        .unwrap();
        assert_eq!(minutes(&output, 0), found(&[("11:57:00", 4.0), ("11:58:00", 2.0)]));
        for (stat, expected) in [("SampleCount", 4.0), ("Maximum", 9.0), ("Average", 4.0)] {
            let output = get(vec![query(stat, 60)], None, "12:00:00", "12:01:00").await.unwrap();
            assert_eq!(minutes(&output, 0), found(&[("12:00:00", expected)]), "{stat}");
        }
        // Another metric, another Region's: nothing.
        let other = SdkMetric::builder().namespace("Shop").metric_name("Healthy").build();
        let stat = MetricStat::builder().metric(other).period(60).stat("Sum").build();
        let other = MetricDataQuery::builder().id("other").metric_stat(stat).build();
        let output = get(vec![other], None, "11:00:00", "13:00:00").await.unwrap();
        assert_eq!(minutes(&output, 0), found(&[]));
        cloud.cloudwatch.publish("us-east-1", &metric(), at("12:00:00"), 99.0);
        let output = get(vec![query("Maximum", 60)], None, "12:00:00", "12:01:00")
            .await
            .unwrap();
        assert_eq!(minutes(&output, 0), found(&[("12:00:00", 9.0)]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_aws_refuses_is_refused_and_what_is_not_simulated_too() {
        let cloud = cloud();
        let client = client(&cloud);
        let code = |result: Result<(), (String, String)>| result.unwrap_err().0;
        assert_eq!(
            code(put(&client, "AWS/RDS", datum().value(1.0).build()).await),
            "InvalidParameterValue"
        );
        assert_eq!(code(put(&client, "Shop", datum().build()).await), "MissingParameter");
        assert_eq!(
            code(put(&client, "Shop", datum().value(f64::NAN).build()).await),
            "InvalidParameterValue"
        );
        let both = datum().value(1.0).values(1.0).build();
        assert_eq!(code(put(&client, "Shop", both).await), "InvalidParameterCombination");
        let uneven = datum().values(1.0).counts(1.0).counts(2.0).build();
        assert_eq!(code(put(&client, "Shop", uneven).await), "InvalidParameterValue");
        for (time, refused) in [
            (-15 * 86_400, true),
            (-13 * 86_400, false),
            (3 * 3_600, true),
            (3_600, false),
        ] {
            let time = sdk_time(cloud.now().checked_add(SignedDuration::from_secs(time)).unwrap());
            assert_eq!(
                put(&client, "Shop", datum().timestamp(time).value(1.0).build())
                    .await
                    .is_err(),
                refused
            );
        }
        let set = StatisticSet::builder()
            .sample_count(1.0)
            .sum(1.0)
            .minimum(1.0)
            .maximum(1.0)
            .build();
        let (code, message) = put(&client, "Shop", datum().statistic_values(set).build())
            .await
            .unwrap_err();
        assert_eq!(code, "NotSimulated");
        assert!(message.contains("StatisticValues in MetricDatum"), "{message}");
        let (code, _) = put(&client, "Shop", datum().value(1.0).storage_resolution(1).build())
            .await
            .unwrap_err();
        assert_eq!(code, "NotSimulated");

        let get = |query: MetricDataQuery, from: &str| {
            let call = client
                .get_metric_data()
                .start_time(sdk_time(at(from)))
                .end_time(sdk_time(at("12:00:00")));
            let call = call.metric_data_queries(query).send();
            async move { coded(call.await).map(|_| ()).unwrap_err() }
        };
        assert_eq!(get(query("Sum", 60), "12:00:00").await.0, "ValidationError");
        let math = MetricDataQuery::builder().id("m").expression("q60 * 2").build();
        let (code, message) = get(math, "11:00:00").await;
        assert_eq!(code, "NotSimulated");
        assert!(message.contains("Expression"), "{message}");
        assert_eq!(get(query("p99", 60), "11:00:00").await.0, "NotSimulated");
        assert_eq!(get(query("Sum", 10), "11:00:00").await.0, "NotSimulated");
        let (code, message) = coded(client.list_metrics().send().await).map(|_| ()).unwrap_err();
        assert_eq!(code, "NotSimulated");
        assert!(message.contains("ListMetrics"), "{message}");

        // Above 10 KB the SDK compresses.
        let many = vec![datum().value(1.0).build(); 500];
        let put = client
            .put_metric_data()
            .namespace("Shop")
            .set_metric_data(Some(many))
            .send()
            .await;
        let (code, message) = coded(put).map(|_| ()).unwrap_err();
        assert_eq!(code, "NotSimulated");
        assert!(message.contains("gzip"), "{message}");
        assert!(
            lock(&cloud.cloudwatch.regions)[REGION].metrics[&metric()].len() == 2,
            "the two that were taken"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_sdk_describes_alarms() {
        let (cloud, _) = run_alarm(MissingData::Breaching, Some(0.0)).await;
        let client = client(&cloud);
        let other = Alarm {
            name: "other".into(),
            period: Duration::from_secs(3600),
            ..alarm(1, 1, MissingData::Ignore)
        };
        cloud.cloudwatch.put_alarm(&cloud, REGION, other).unwrap();
        let output = client
            .describe_alarms()
            .alarm_names("down")
            .alarm_names("absent")
            .send()
            .await
            .unwrap();
        let [alarm] = output.metric_alarms() else {
            panic!("{output:?}")
        };
        assert_eq!(alarm.state_value().map(|state| state.as_str()), Some("ALARM"));
        assert!(
            alarm
                .state_reason()
                .unwrap()
                .starts_with("Threshold Crossed: 3 out of the last 3 datapoints [0.0")
        );
        assert!(
            alarm
                .state_reason_data()
                .unwrap()
                .contains("\"queryDate\":\"2026-01-01T12:08:")
        );
        let updated = alarm.state_updated_timestamp().unwrap();
        assert!((2..=20).contains(&(updated.secs() - at("12:08:00").as_second())));
        assert_eq!(
            alarm.alarm_arn(),
            Some("arn:aws:cloudwatch:us-west-2:123456789012:alarm:down")
        );
        assert_eq!(
            (alarm.period(), alarm.evaluation_periods(), alarm.datapoints_to_alarm()),
            (Some(60), Some(3), Some(3))
        );
        assert_eq!(
            (alarm.threshold(), alarm.treat_missing_data()),
            (Some(1.0), Some("breaching"))
        );
        assert_eq!(
            alarm.comparison_operator().map(|c| c.as_str()),
            Some("LessThanThreshold")
        );
        assert_eq!(
            (alarm.namespace(), alarm.metric_name()),
            (Some("Shop"), Some("Healthy"))
        );
        assert_eq!(alarm.dimensions()[0].value(), Some("shop"));
        assert_eq!(alarm.actions_enabled(), Some(true));
        let all = client.describe_alarms().send().await.unwrap();
        assert_eq!(all.metric_alarms().len(), 2);
        let unknown = client
            .describe_alarms()
            .state_value("INSUFFICIENT_DATA".into())
            .send()
            .await
            .unwrap();
        assert_eq!(unknown.metric_alarms()[0].alarm_name(), Some("other"));
        assert_eq!(
            unknown.metric_alarms()[0].state_reason(),
            Some("Unchecked: Initial alarm creation")
        );
        let page = coded(client.describe_alarms().max_records(1).send().await)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(page.0, "NotSimulated");
        let combined = client
            .describe_alarms()
            .alarm_names("down")
            .alarm_name_prefix("d")
            .send()
            .await;
        assert_eq!(
            coded(combined).map(|_| ()).unwrap_err().0,
            "InvalidParameterCombination"
        );
        // Composite alarms are given to those who ask for them.
        let suppressor = Suppressor {
            alarm: "other".into(),
            wait: Duration::from_secs(1),
            extension: Duration::from_secs(60),
        };
        let composite = CompositeAlarm {
            name: "either".into(),
            description: "One of them".into(),
            rule: "ALARM(down) OR ALARM(other)".into(),
            actions_enabled: true,
            suppressor: Some(suppressor),
        };
        cloud.cloudwatch.put_composite_alarm(&cloud, REGION, composite).unwrap();
        let all = client.describe_alarms().send().await.unwrap();
        assert_eq!((all.metric_alarms().len(), all.composite_alarms().len()), (2, 0));
        let types = [AlarmType::MetricAlarm, AlarmType::CompositeAlarm];
        let all = client
            .describe_alarms()
            .set_alarm_types(Some(types.into()))
            .send()
            .await
            .unwrap();
        assert_eq!(all.metric_alarms().len(), 2);
        let [either] = all.composite_alarms() else {
            panic!("{all:?}")
        };
        assert_eq!(
            (either.alarm_name(), either.alarm_rule(), either.actions_suppressor()),
            (Some("either"), Some("ALARM(down) OR ALARM(other)"), Some("other"))
        );
        assert_eq!(either.state_value().map(|state| state.as_str()), Some("ALARM"));
        assert_eq!(either.actions_suppressed_by().map(|by| by.as_str()), Some("WaitPeriod"));
        assert_eq!(
            either.actions_suppressed_reason(),
            Some("Actions suppressed by WaitPeriod")
        );
        assert_eq!(
            (
                either.actions_suppressor_wait_period(),
                either.actions_suppressor_extension_period()
            ),
            (Some(1), Some(60))
        );
        assert!(either.state_reason_data().unwrap().contains("alarm:down"));
        let logs = client.describe_alarms().alarm_types("LogAlarm".into()).send().await;
        assert_eq!(coded(logs).map(|_| ()).unwrap_err().0, "NotSimulated");
        // A change keeps the state.
        cloud
            .cloudwatch
            .put_alarm(&cloud, REGION, self::alarm(2, 3, MissingData::Breaching))
            .unwrap();
        let output = client.describe_alarms().alarm_names("down").send().await.unwrap();
        assert_eq!(
            output.metric_alarms()[0].state_value().map(|state| state.as_str()),
            Some("ALARM")
        );
        assert_eq!(output.metric_alarms()[0].datapoints_to_alarm(), Some(2));
    }
}
