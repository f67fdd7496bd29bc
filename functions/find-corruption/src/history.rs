//! What the metrics behind alarms say of the past.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, Metric, MetricAlarm, MetricDataQuery, MetricDataResult, MetricStat, ScanBy,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::error::StepError;

/// How far back the past is looked at. Damage that is older needs a moment that a person says.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// Since when a check finds that the data are wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// The alarm whose metric says so.
    pub alarm: String,
    /// The beginning of the period of the last good datapoint, if there is one: the data passed the check after it.
    pub last_good_at: Option<Timestamp>,
    /// The beginning of the period of the first bad datapoint after it. The damage was done at this time or before.
    pub first_bad_at: Timestamp,
}

/// The history of that of these alarms whose metric went bad first; nothing where none is bad. Errors: CloudWatch's.
pub(crate) async fn read(client: &Client, names: &[String], now: Timestamp) -> Result<Option<History>, StepError> {
    if names.is_empty() {
        return Ok(None);
    }
    let described = client
        .describe_alarms()
        .set_alarm_names(Some(names.to_vec()))
        // A composite alarm has no metric of its own, and says nothing here; but a plan may name one.
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .send()
        .await
        .map_err(|error| StepError::aws("cloudwatch:DescribeAlarms", &names.join(", "), error))?;
    let alarms: Vec<&MetricAlarm> = described
        .metric_alarms()
        .iter()
        .filter(|alarm| alarm.metric_name().is_some())
        .collect();
    if alarms.is_empty() {
        return Ok(None);
    }
    let queries = alarms.iter().enumerate().map(|(index, alarm)| query(index, alarm));
    let mut results: Vec<MetricDataResult> = Vec::new();
    let mut pages = client
        .get_metric_data()
        .set_metric_data_queries(Some(queries.collect()))
        .start_time(time(now - WINDOW))
        .end_time(time(now))
        .scan_by(ScanBy::TimestampAscending)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| StepError::aws("cloudwatch:GetMetricData", &names.join(", "), error))?;
        results.extend(page.metric_data_results.unwrap_or_default());
    }
    let each = alarms.iter().enumerate().filter_map(|(index, alarm)| {
        let ours = results.iter().filter(|result| result.id() == Some(&id(index)));
        let mut points: Vec<(Timestamp, f64)> = ours.flat_map(points).collect();
        points.sort_by_key(|(at, _)| *at);
        history(alarm, &points)
    });
    Ok(each.min_by_key(|history| history.first_bad_at))
}

fn id(index: usize) -> String {
    format!("alarm{index}")
}

fn query(index: usize, alarm: &MetricAlarm) -> MetricDataQuery {
    let metric = Metric::builder()
        .set_namespace(alarm.namespace().map(str::to_owned))
        .set_metric_name(alarm.metric_name().map(str::to_owned))
        .set_dimensions(Some(alarm.dimensions().to_vec()))
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(alarm.period().unwrap_or(60))
        .stat(alarm.statistic().map_or("Minimum", |statistic| statistic.as_str()))
        .build();
    MetricDataQuery::builder().id(id(index)).metric_stat(stat).build()
}

fn time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

fn points(result: &MetricDataResult) -> Vec<(Timestamp, f64)> {
    let both = result.timestamps().iter().zip(result.values());
    let read = both.filter_map(|(at, value)| Some((Timestamp::from_second(at.secs()).ok()?, *value)));
    read.collect()
}

/// Since when these datapoints, oldest first, are all bad; nothing where the last one is good, or there is none.
fn history(alarm: &MetricAlarm, points: &[(Timestamp, f64)]) -> Option<History> {
    let threshold = alarm.threshold()?;
    let is_bad = |value: f64| match alarm.comparison_operator() {
        Some(ComparisonOperator::GreaterThanOrEqualToThreshold) => Some(value >= threshold),
        Some(ComparisonOperator::GreaterThanThreshold) => Some(value > threshold),
        Some(ComparisonOperator::LessThanThreshold) => Some(value < threshold),
        Some(ComparisonOperator::LessThanOrEqualToThreshold) => Some(value <= threshold),
        // Bands of anomaly detection have no threshold that one could compare with.
        _ => None,
    };
    let judged: Option<Vec<(Timestamp, bool)>> =
        points.iter().map(|(at, value)| Some((*at, is_bad(*value)?))).collect();
    let judged = judged?;
    let good = judged.iter().rposition(|(_, is_bad)| !is_bad);
    let (first_bad_at, _) = judged.get(good.map_or(0, |good| good + 1))?;
    Some(History {
        alarm: alarm.alarm_name().unwrap_or_default().to_owned(),
        last_good_at: good.map(|good| judged[good].0),
        first_bad_at: *first_bad_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn alarm(operator: ComparisonOperator) -> MetricAlarm {
        MetricAlarm::builder()
            .alarm_name("wrong")
            .threshold(1.0)
            .comparison_operator(operator)
            .build()
    }

    fn read(values: &[f64]) -> Option<(Option<Timestamp>, Timestamp)> {
        let points: Vec<(Timestamp, f64)> = values
            .iter()
            .enumerate()
            .map(|(minute, value)| (at(minute as i64), *value))
            .collect();
        let history = history(&alarm(ComparisonOperator::LessThanThreshold), &points)?;
        Some((history.last_good_at, history.first_bad_at))
    }

    #[test]
    fn the_data_are_wrong_since_the_first_bad_datapoint_after_the_last_good_one() {
        assert_eq!(read(&[1.0, 1.0, 0.0, 0.0]), Some((Some(at(1)), at(2))));
        assert_eq!(read(&[1.0, 0.0, 1.0, 0.0]), Some((Some(at(2)), at(3))));
        assert_eq!(read(&[0.0, 0.0]), Some((None, at(0))));
        assert_eq!(read(&[0.0, 1.0]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn an_alarm_on_a_band_says_nothing() {
        let band = alarm(ComparisonOperator::LessThanLowerOrGreaterThanUpperThreshold);
        assert_eq!(history(&band, &[(at(0), 0.0)]), None);
    }
}
