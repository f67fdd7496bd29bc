//! What is gathered on both Regions.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use aws_sdk_health::types::{Event, EventFilter, EventStatusCode};
use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use shared::error::StepError;
use shared::global_database::GlobalDatabase;

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
    /// `AuroraGlobalDBRPOLag`, in milliseconds.
    pub(crate) lag: Datapoints,
}

/// What was gathered.
pub(crate) struct Evidence {
    /// When.
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
    /// The observer's own metric; nothing in a plan without an observer.
    pub(crate) observer: Option<Result<Datapoints, StepError>>,
    /// Whether this Region reached the outside when it looked, or why that is not known.
    pub(crate) proof: Result<(), String>,
    /// What AWS Health says of the other Region, for people.
    pub(crate) health: Health,
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
    let lag = query(
        "lag",
        "AWS/RDS",
        "AuroraGlobalDBRPOLag",
        ("DBClusterIdentifier", &input.here.cluster),
        "Maximum",
    );
    let mut read = read(cloudwatch, vec![probe_query(input), lag], &resource, now).await?;
    Ok(Metrics {
        probe: read.remove("probe").unwrap_or_default(),
        lag: read.remove("lag").unwrap_or_default(),
    })
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
        &input.probe.namespace,
        &input.probe.metric,
        ("Workload", &input.probe.workload),
        "Minimum",
    )
}

fn query(id: &str, namespace: &str, name: &str, dimension: (&str, &str), statistic: &str) -> MetricDataQuery {
    let dimension = Dimension::builder().name(dimension.0).value(dimension.1).build();
    let metric = Metric::builder()
        .namespace(namespace)
        .metric_name(name)
        .dimensions(dimension)
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
            (false, vec![format!("AWS Health cannot be asked: {error}")])
        }
        Ok(Ok(answer)) if answer.events().is_empty() => {
            (true, vec![format!("AWS Health knows of no open issue in {region}")])
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
