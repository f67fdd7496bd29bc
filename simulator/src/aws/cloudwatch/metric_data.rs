//! PutMetricData and GetMetricData.

use std::collections::BTreeMap;

use ciborium::Value as Cbor;
use jiff::{SignedDuration, Timestamp};

use super::metrics::{Metric, Statistics};
use super::regions::Regional;
use super::times::{MINUTE, beginning, second};
use super::values::Statistic;
use super::wire::{Fields, Refusal, invalid, not_simulated, numbers, refuse, validation};
use crate::aws::cbor::{cbor_map, cbor_time};

/// The most metric data of one PutMetricData, values of one datum, and dimensions of one metric (CloudWatch API
/// Reference, PutMetricData and MetricDatum).
pub(super) const DATA_LIMIT: usize = 1000;

pub(super) const VALUES_LIMIT: usize = 150;

pub(super) const DIMENSIONS_LIMIT: usize = 30;

/// The largest value of a metric, and negated the smallest (CloudWatch API Reference, MetricDatum): 2^360.
pub(super) const VALUE_LIMIT: f64 = 2.348_542_582_773_833_4e108;

/// How old a datum may be, and how far ahead (CloudWatch API Reference, PutMetricData).
pub(super) const OLDEST_DATUM: SignedDuration = SignedDuration::from_hours(14 * 24);

pub(super) const NEWEST_DATUM: SignedDuration = SignedDuration::from_hours(2);

/// The most queries of one GetMetricData, and the most datapoints on a page (CloudWatch API Reference, GetMetricData).
pub(super) const QUERIES_LIMIT: usize = 500;

pub(super) const DATAPOINTS_LIMIT: usize = 100_800;

impl Regional {
    pub(super) fn put_metric_data(&mut self, now: Timestamp, mut input: Fields) -> Result<Cbor, Refusal> {
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

    pub(super) fn get_metric_data(&self, mut input: Fields) -> Result<Cbor, Refusal> {
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
    pub(super) fn series(&self, query: &Query, from: Timestamp, to: Timestamp) -> Vec<(i64, f64)> {
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
}

pub(super) fn read_datum(
    namespace: &str,
    datum: Cbor,
    now: Timestamp,
) -> Result<(Metric, Timestamp, Statistics), Refusal> {
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

pub(super) fn read_dimensions(list: Option<Vec<Cbor>>) -> Result<BTreeMap<String, String>, Refusal> {
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
pub(super) struct Query {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) return_data: bool,
    pub(super) metric: Metric,
    /// In seconds.
    pub(super) period: i64,
    pub(super) statistic: Statistic,
}

impl Query {
    pub(super) fn read(query: Cbor) -> Result<Self, Refusal> {
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
