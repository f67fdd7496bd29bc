//! What is gathered on both Regions.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, DimensionFilter, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use aws_sdk_health::types::{Event, EventFilter, EventStatusCode};
use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use shared::error::StepError;
use shared::global_database::GlobalDatabase;
use shared::record::{Probed, ServedFrom, Stopped};

use crate::fitness::Fitness;
use crate::heartbeats::Heartbeats;
use crate::input::Input;

/// How far back the metrics are read: an outage older than this has its impact at the window's beginning.
const WINDOW: SignedDuration = SignedDuration::from_hours(6);
/// The period of both metrics.
pub(crate) const PERIOD: SignedDuration = SignedDuration::from_mins(1);
/// How long AWS Health is waited for: it is evidence for people, and nothing depends on it.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);
/// How many events of AWS Health are shown.
const HEALTH_EVENTS: usize = 5;

/// One-minute datapoints, oldest first.
pub(crate) type Datapoints = Vec<(Timestamp, f64)>;

/// The two metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metrics {
    /// 1 healthy, 0 not.
    pub(crate) probe: Datapoints,
    /// `AuroraGlobalDBRPOLag`, in milliseconds, of either of the [`dimension sets`](lag_queries).
    pub(crate) lag: Datapoints,
    /// What is known of a lag without datapoints.
    pub(crate) no_lag: NoLag,
}

/// Why there is no lag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum NoLag {
    /// CloudWatch has the metric, and no datapoint in the window.
    NoData,
    /// CloudWatch has had no such metric of this cluster in two weeks.
    NoSuchMetric,
    /// It has the metric, under dimensions that are not looked at.
    OtherDimensions(Vec<String>),
    /// Nobody asked, or CloudWatch did not answer.
    #[default]
    NotKnown,
}

impl NoLag {
    /// What people are told.
    pub(crate) fn in_words(&self) -> String {
        let none = format!("no lag was published in the last {} h", WINDOW.as_hours());
        match self {
            Self::NoData => none,
            Self::NoSuchMetric => format!(
                "CloudWatch has no metric {} for this cluster; check the cluster's name in the plan, and that the \
                 cluster is a secondary",
                LAG.1
            ),
            Self::OtherDimensions(sets) => format!(
                "the lag is published under dimensions that this step does not read: {}",
                sets.join("; ")
            ),
            Self::NotKnown => format!("{none}; could not check whether CloudWatch has the metric"),
        }
    }
}

/// The lag's name in CloudWatch.
const LAG: (&str, &str) = ("AWS/RDS", "AuroraGlobalDBRPOLag");
/// The dimension that every lag has.
const CLUSTER: &str = "DBClusterIdentifier";
/// The dimension that it has in AWS's labs, and not in the Aurora User Guide.
const SOURCE: &str = "SourceRegion";

/// What was gathered.
pub(crate) struct Evidence {
    /// When this assessment was made.
    pub(crate) now: Timestamp,
    pub(crate) metrics: Result<Metrics, StepError>,
    /// The global database, as this Region sees it.
    pub(crate) database: GlobalDatabase,
    /// This Region's cluster.
    pub(crate) here: DbCluster,
    /// The other Region's cluster, as that Region sees it.
    pub(crate) other: Result<DbCluster, StepError>,
    /// Whether it did not answer in two looks, some seconds apart.
    pub(crate) is_silent: bool,
    /// The last heartbeat that the platform saw committed in the other Region.
    pub(crate) last_committed: Result<Option<Timestamp>, StepError>,
    /// What this Region's probe wrote down.
    pub(crate) probed: Result<Vec<Probed>, StepError>,
    /// What the observer says; nothing in a plan without an observer.
    pub(crate) observer: Option<Observed>,
    /// Whether this Region reached the outside when it looked, or why that is not known.
    pub(crate) proof: Result<(), String>,
    /// What AWS Health says of the other Region, for people.
    pub(crate) health: Health,
    /// This Region's heartbeats, where its cluster takes the writes before anything was decided.
    pub(crate) heartbeats: Result<Option<Heartbeats>, StepError>,
    /// The restored cluster that customers use in place of the plan's, if they do.
    pub(crate) served_from: Option<ServedFrom>,
    /// That the other Region's service was stopped on purpose, if it was.
    pub(crate) stopped: Option<Stopped>,
    /// What later steps need of this Region.
    pub(crate) fitness: Fitness,
}

/// What the observer says.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// Its metric.
    pub(crate) metric: Result<Datapoints, StepError>,
    /// What its probe wrote down.
    pub(crate) probed: Result<Vec<Probed>, StepError>,
}

/// What AWS Health says, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// Whether it answered.
    pub(crate) answered: bool,
    /// What it says, or why it says nothing.
    pub(crate) says: Vec<String>,
}

/// Reads the probe's metric and the replication lag, both in this Region.
pub(crate) async fn metrics(
    cloudwatch: &aws_sdk_cloudwatch::Client,
    input: &Input,
    now: Timestamp,
) -> Result<Metrics, StepError> {
    let resource = format!("the probe's and the replication lag's metrics in {}", input.here.region);
    let mut read = read(
        cloudwatch,
        [vec![probe_query(input)], lag_queries(input)].concat(),
        &resource,
        now,
    )
    .await?;
    let mut taken = |id: &str| read.remove(id).unwrap_or_default();
    let probe = taken("probe");
    let lag = largest_by_time([taken("lag"), taken("lag_by_source")].concat());
    let no_lag = match lag.is_empty() {
        true => why_no_lag(cloudwatch, input).await,
        false => NoLag::default(),
    };
    Ok(Metrics { probe, lag, no_lag })
}

/// Reads the metric of the probe that looks from the third Region.
pub(crate) async fn observed(
    cloudwatch: &aws_sdk_cloudwatch::Client,
    input: &Input,
    region: &str,
    now: Timestamp,
) -> Result<Datapoints, StepError> {
    let resource = format!("the observer's metric in {region}");
    let mut read = read(cloudwatch, vec![probe_query(input)], &resource, now).await?;
    Ok(read.remove("probe").unwrap_or_default())
}

/// Reads metrics, each under its query's id.
async fn read(
    cloudwatch: &aws_sdk_cloudwatch::Client,
    queries: Vec<MetricDataQuery>,
    resource: &str,
    now: Timestamp,
) -> Result<BTreeMap<String, Datapoints>, StepError> {
    let from = now.checked_sub(WINDOW).unwrap_or(now);
    let mut pages = cloudwatch
        .get_metric_data()
        .start_time(DateTime::from_millis(from.as_millisecond()))
        .end_time(DateTime::from_millis(now.as_millisecond()))
        .set_metric_data_queries(Some(queries))
        .into_paginator()
        .send();
    let mut metrics: BTreeMap<String, Datapoints> = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| StepError::aws("cloudwatch:GetMetricData", resource, error))?;
        for result in page.metric_data_results() {
            let id = result.id().unwrap_or_default().to_owned();
            metrics.entry(id).or_default().extend(datapoints(result));
        }
    }
    for points in metrics.values_mut() {
        points.sort_by_key(|(at, _)| *at);
    }
    Ok(metrics)
}

fn probe_query(input: &Input) -> MetricDataQuery {
    query(
        "probe",
        (&input.probe.namespace, &input.probe.metric),
        &[("Workload", &input.probe.workload)],
        "Minimum",
    )
}

/// The lag under each set of dimensions under which it may be published: CloudWatch matches sets exactly.
fn lag_queries(input: &Input) -> Vec<MetricDataQuery> {
    let cluster = (CLUSTER, &*input.here.cluster);
    let source = (SOURCE, &*input.other.region);
    vec![
        query("lag", LAG, &[cluster], "Maximum"),
        query("lag_by_source", LAG, &[cluster, source], "Maximum"),
    ]
}

/// One datapoint for each time, oldest first: the largest, where more than one set of dimensions has one.
fn largest_by_time(mut datapoints: Datapoints) -> Datapoints {
    datapoints.sort_by(|(at, value), (other_at, other)| at.cmp(other_at).then(other.total_cmp(value)));
    datapoints.dedup_by_key(|(at, _)| *at);
    datapoints
}

/// Tells a metric that does not exist from one without data. It is asked only where no lag was found.
async fn why_no_lag(cloudwatch: &aws_sdk_cloudwatch::Client, input: &Input) -> NoLag {
    let cluster = DimensionFilter::builder()
        .name(CLUSTER)
        .value(&input.here.cluster)
        .build();
    let listed = cloudwatch
        .list_metrics()
        .namespace(LAG.0)
        .metric_name(LAG.1)
        .dimensions(cluster);
    match listed.send().await {
        Ok(listed) => no_lag(listed.metrics(), &input.other.region),
        Err(_) => NoLag::NotKnown,
    }
}

fn no_lag(listed: &[Metric], source: &str) -> NoLag {
    let is_looked_at = |metric: &&Metric| {
        let dimensions = metric.dimensions();
        let is_source = |dimension: &Dimension| dimension.name() == Some(SOURCE) && dimension.value() == Some(source);
        dimensions.len() == 1 || (dimensions.len() == 2 && dimensions.iter().any(is_source))
    };
    if listed.is_empty() {
        return NoLag::NoSuchMetric;
    }
    if listed.iter().any(|metric| is_looked_at(&metric)) {
        return NoLag::NoData;
    }
    let in_words = |metric: &Metric| {
        let each = metric.dimensions().iter();
        let each = each.map(|dimension| {
            format!(
                "{}={}",
                dimension.name().unwrap_or_default(),
                dimension.value().unwrap_or_default()
            )
        });
        each.collect::<Vec<_>>().join(", ")
    };
    NoLag::OtherDimensions(listed.iter().map(in_words).collect())
}

fn query(id: &str, (namespace, name): (&str, &str), dimensions: &[(&str, &str)], statistic: &str) -> MetricDataQuery {
    let dimensions = dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
    let metric = Metric::builder()
        .namespace(namespace)
        .metric_name(name)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let period = i32::try_from(PERIOD.as_secs()).unwrap_or(60);
    let metric = MetricStat::builder()
        .metric(metric)
        .period(period)
        .stat(statistic)
        .build();
    MetricDataQuery::builder().id(id).metric_stat(metric).build()
}

fn datapoints(result: &MetricDataResult) -> impl Iterator<Item = (Timestamp, f64)> {
    let times = result
        .timestamps()
        .iter()
        .filter_map(|at| Timestamp::from_second(at.secs()).ok());
    times.zip(result.values().iter().copied())
}

/// What AWS Health says of the other Region: its open issues, in words. It answers late in a disaster, and only accounts
/// with a support plan, so that its silence says nothing.
pub(crate) async fn health(health: &aws_sdk_health::Client, region: &str) -> Health {
    let filter = EventFilter::builder()
        .regions(region)
        .event_status_codes(EventStatusCode::Open)
        .build();
    let asked = health.describe_events().filter(filter).send();
    let (answered, says) = match tokio::time::timeout(HEALTH_LIMIT, asked).await {
        Err(_) => (
            false,
            vec![format!("AWS Health did not answer within {HEALTH_LIMIT:?}")],
        ),
        Ok(Err(error)) => {
            let error = StepError::aws("health:DescribeEvents", &format!("open events of {region}"), error);
            (false, vec![format!("could not ask AWS Health: {error}")])
        }
        Ok(Ok(answer)) if answer.events().is_empty() => {
            (true, vec![format!("AWS Health reports no open issue in {region}")])
        }
        Ok(Ok(answer)) => (true, answer.events().iter().take(HEALTH_EVENTS).map(in_words).collect()),
    };
    Health { answered, says }
}

fn in_words(event: &Event) -> String {
    let since = event
        .start_time()
        .and_then(|at| Timestamp::from_second(at.secs()).ok())
        .map(|at| format!(" since {at}"));
    format!(
        "AWS Health: {} of {}{}",
        event.event_type_code().unwrap_or("an issue"),
        event.service().unwrap_or("an unnamed service"),
        since.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(dimensions: &[(&str, &str)]) -> Metric {
        let each = dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
        Metric::builder().set_dimensions(Some(each.collect())).build()
    }

    #[test]
    fn no_such_metric_is_told_from_no_data() {
        let cluster = (CLUSTER, "c");
        assert_eq!(no_lag(&[], "east"), NoLag::NoSuchMetric);
        for known in [metric(&[cluster]), metric(&[cluster, (SOURCE, "east")])] {
            assert_eq!(
                no_lag(&[metric(&[cluster, (SOURCE, "south")]), known], "east"),
                NoLag::NoData
            );
        }
        let elsewhere = no_lag(&[metric(&[cluster, (SOURCE, "south")])], "east");
        let named = vec!["DBClusterIdentifier=c, SourceRegion=south".to_owned()];
        assert_eq!(elsewhere, NoLag::OtherDimensions(named));
    }

    #[test]
    fn of_two_sets_of_dimensions_the_larger_lag_counts() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let both = vec![(at(60), 5.0), (at(0), 1.0), (at(60), 7.0), (at(60), 6.0)];
        assert_eq!(largest_by_time(both), [(at(0), 1.0), (at(60), 7.0)]);
    }
}
