//! Why an alarm is in its state, in words and as data.

use jiff::Timestamp;
use serde::Serialize;

use super::alarms::Alarm;
use super::times::{alarm_time, second, whole_seconds};
use super::values::{MissingData, StateValue};

/// A period with data, as an alarm sees it.
pub(super) struct Datapoint {
    /// How many periods ago it began, the last complete one being 1.
    pub(super) age: u32,
    pub(super) begins: i64,
    pub(super) value: f64,
    pub(super) count: f64,
    pub(super) breaching: bool,
}

/// Why, in AWS's words. The words are those for alarms that set "datapoints to alarm"; what CloudWatch writes where
/// only missing data decide is pieced together from messages that people have published.
pub(super) fn reason(alarm: &Alarm, value: StateValue, datapoints: &[Datapoint], missing: usize) -> String {
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
pub(super) fn java_double(value: f64) -> String {
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
pub(super) struct ReasonData {
    pub(super) version: &'static str,
    pub(super) query_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_date: Option<String>,
    pub(super) statistic: &'static str,
    pub(super) period: i64,
    /// Oldest first.
    pub(super) recent_datapoints: Vec<f64>,
    pub(super) threshold: f64,
    /// Newest first.
    pub(super) evaluated_datapoints: Vec<EvaluatedDatapoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EvaluatedDatapoint {
    pub(super) timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sample_count: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<f64>,
}

impl ReasonData {
    pub(super) fn new(alarm: &Alarm, datapoints: &[Datapoint], missing: &[i64], now: Timestamp) -> Self {
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
