//! Gathers evidence on both Regions, side by side and bounded, and decides which way to go. It changes nothing.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::global_database::{GlobalDatabase, Promotion};
use shared::recovery::{Intent, RecoveryRef, Way};
use shared::slices::{DatabaseSlice, ProbeSlice, SiteSlice};
use shared::step::Step;

/// How far back the metrics are read: an outage older than this has its impact at the window's beginning.
const WINDOW: SignedDuration = SignedDuration::from_hours(6);
/// The period of both metrics.
const PERIOD: SignedDuration = SignedDuration::from_mins(1);
/// How long before the impact the replication lag counts for the expected loss.
const LAG_WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// A metric whose last datapoint is older than this says nothing of the present.
const FRESH: SignedDuration = SignedDuration::from_mins(3);

/// What to look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// What whoever started it wants.
    pub intent: Intent,
    /// When it was started: stands in for the impact where the probe's metric says nothing.
    pub triggered_at: Timestamp,
    /// The Region that would take over.
    pub here: SiteSlice,
    /// The Region that may be lost.
    pub other: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// The outside probe's metric.
    pub probe: ProbeSlice,
}

/// What was found, and what follows.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// What each source says of the Region that may be lost.
    pub signals: Vec<Signal>,
    /// What forbids going on. Empty means go.
    pub blockers: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// When customers first suffered, as far as is known.
    pub impact_at: Timestamp,
    /// How much would be lost.
    pub expected_loss: ExpectedLoss,
    /// The way to go, if nothing forbids it.
    pub way: Way,
    /// Whether that way can lose writes.
    pub can_lose_writes: bool,
    /// When this was decided.
    pub decided_at: Timestamp,
}

/// What one source says of the Region that may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signal {
    /// The source.
    pub source: &'static str,
    /// What it says.
    pub says: Says,
    /// In words.
    pub detail: String,
}

/// What a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// It works.
    Healthy,
    /// It does not.
    Down,
    /// Nothing.
    Unknown,
}

/// How much would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum ExpectedLoss {
    /// Nothing: the way waits for replication.
    None,
    /// The largest replication lag in the 5 minutes before the impact.
    Measured {
        /// That lag.
        seconds: f64,
    },
    /// No lag is known; it is not zero.
    Unmeasured,
}

/// The step.
#[derive(Debug)]
pub struct AssessRegion {
    aws: Aws,
    cloudwatch: aws_sdk_cloudwatch::Client,
    rds: aws_sdk_rds::Client,
}

impl Step for AssessRegion {
    const NAME: &'static str = "assess-region";
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            cloudwatch: aws_sdk_cloudwatch::Client::new(aws.config()),
            rds: aws_sdk_rds::Client::new(aws.config()),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let elsewhere = aws_sdk_rds::Client::new(&self.aws.config_in(&input.other.region));
        let (metrics, database, here, other) = tokio::join!(
            biased;
            self.metrics(&input),
            GlobalDatabase::describe(&self.rds, &input.database.global_cluster, &input.here.region),
            cluster(&self.rds, &input.here),
            cluster(&elsewhere, &input.other),
        );
        let evidence = Evidence {
            now: self.aws.now(),
            metrics,
            database: database?,
            here: here?,
            other,
        };
        Ok(assess(&input, &evidence))
    }
}

/// One-minute datapoints, oldest first.
type Datapoints = Vec<(Timestamp, f64)>;

/// The two metrics.
#[derive(Clone, Debug, Default, PartialEq)]
struct Metrics {
    /// 1 healthy, 0 not.
    probe: Datapoints,
    /// `AuroraGlobalDBRPOLag`, in milliseconds.
    lag: Datapoints,
}

/// What was gathered.
struct Evidence {
    now: Timestamp,
    metrics: Result<Metrics, StepError>,
    database: GlobalDatabase,
    here: DbCluster,
    other: Result<DbCluster, StepError>,
}

impl AssessRegion {
    async fn metrics(&self, input: &Input) -> Result<Metrics, StepError> {
        let now = self.aws.now();
        let from = now.checked_sub(WINDOW).unwrap_or(now);
        let resource = format!("the probe's and the replication lag's metrics in {}", input.here.region);
        let probe = query(
            "probe",
            &input.probe.namespace,
            &input.probe.metric,
            ("Workload", &input.probe.workload),
            "Minimum",
        );
        let lag = query(
            "lag",
            "AWS/RDS",
            "AuroraGlobalDBRPOLag",
            ("DBClusterIdentifier", &input.here.cluster),
            "Maximum",
        );
        let mut metrics = Metrics::default();
        let mut pages = self
            .cloudwatch
            .get_metric_data()
            .start_time(DateTime::from_millis(from.as_millisecond()))
            .end_time(DateTime::from_millis(now.as_millisecond()))
            .metric_data_queries(probe)
            .metric_data_queries(lag)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StepError::aws("cloudwatch:GetMetricData", &resource, error))?;
            for result in page.metric_data_results() {
                match result.id() {
                    Some("probe") => metrics.probe.extend(datapoints(result)),
                    _ => metrics.lag.extend(datapoints(result)),
                }
            }
        }
        metrics.probe.sort_by_key(|(at, _)| *at);
        metrics.lag.sort_by_key(|(at, _)| *at);
        Ok(metrics)
    }
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

async fn cluster(rds: &aws_sdk_rds::Client, site: &SiteSlice) -> Result<DbCluster, StepError> {
    let resource = format!("cluster {} in {}", site.cluster, site.region);
    let output = rds
        .describe_db_clusters()
        .db_cluster_identifier(&site.cluster)
        .send()
        .await
        .map_err(|error| StepError::aws("rds:DescribeDBClusters", &resource, error))?;
    output
        .db_clusters
        .unwrap_or_default()
        .into_iter()
        .next()
        .ok_or_else(|| {
            StepError::new(
                shared::error::ErrorKind::NotFound,
                format!("{resource} does not exist; compare the plan with the console"),
            )
        })
}

/// Everything that this step decides.
fn assess(input: &Input, evidence: &Evidence) -> Output {
    let none = Metrics::default();
    let metrics = evidence.metrics.as_ref().unwrap_or(&none);
    let mut warnings = Vec::new();
    if let Err(error) = &evidence.metrics {
        warnings.push(format!("the metrics could not be read: {error}"));
    }
    let impact_at = beginning_of_outage(&metrics.probe).unwrap_or_else(|| {
        warnings.push("the probe's metric shows no outage; the time of the start stands in for the impact".to_owned());
        input.triggered_at
    });
    let probe = probe_signal(&metrics.probe, evidence.now);
    let other = other_side_signal(input, evidence);
    let way = match input.intent {
        Intent::Switchover => Way::Switchover,
        Intent::Failover => Way::Failover,
        Intent::Decide if other.says == Says::Healthy => Way::Switchover,
        Intent::Decide => Way::Failover,
    };
    let mut blockers = blockers_here(input, evidence);
    if input.intent == Intent::Decide && probe.says == Says::Healthy {
        blockers.push("the outside probe finds the service healthy: nothing has to be recovered".to_owned());
    }
    if way == Way::Switchover && other.says != Says::Healthy {
        blockers.push(format!(
            "a switchover needs both sides healthy, and {}: {}",
            input.other.region, other.detail
        ));
    }
    let expected_loss = match way {
        Way::Switchover => ExpectedLoss::None,
        Way::Failover => expected_loss(&metrics.lag, impact_at),
    };
    let signals = vec![probe, replication_signal(&metrics.lag, evidence.now), other];
    Output {
        signals,
        blockers,
        warnings,
        impact_at,
        expected_loss,
        way,
        can_lose_writes: way == Way::Failover,
        decided_at: evidence.now,
    }
}

/// What forbids promoting the cluster in this Region.
fn blockers_here(input: &Input, evidence: &Evidence) -> Vec<String> {
    let (database, here) = (&evidence.database, &evidence.here);
    let mut blockers = Vec::new();
    if database.member(&input.here.cluster_arn).is_none() {
        blockers.push(format!(
            "{} is no member of global database {}",
            input.here.cluster_arn, database.id
        ));
    }
    let promotion = database.promotion(&input.here.cluster_arn);
    if let Promotion::Elsewhere(transition) = &promotion {
        blockers.push(format!(
            "global database {} is {} to {}; wait until that has ended",
            database.id, transition.status, transition.to_cluster_arn
        ));
    }
    let status = here.status().unwrap_or("without a status");
    if promotion == Promotion::NotStarted && status != "available" {
        blockers.push(format!(
            "cluster {} in {} is {status}, not available",
            input.here.cluster, input.here.region
        ));
    }
    if here.db_cluster_members().is_empty() {
        blockers.push(format!(
            "cluster {} in {} has no instance; create one first",
            input.here.cluster, input.here.region
        ));
    }
    if here.http_endpoint_enabled() != Some(true) {
        blockers.push(format!(
            "the Data API of cluster {} in {} is off; turn it on first (rds:EnableHttpEndpoint)",
            input.here.cluster, input.here.region
        ));
    }
    blockers
}

/// The beginning of the outage that goes on: the first of the bad minutes that the metric ends with. An outage that is
/// over has nothing to do with this recovery.
fn beginning_of_outage(probe: &Datapoints) -> Option<Timestamp> {
    probe
        .iter()
        .rev()
        .take_while(|(_, value)| *value < 1.0)
        .last()
        .map(|(at, _)| *at)
}

fn probe_signal(probe: &Datapoints, now: Timestamp) -> Signal {
    let source = "outside-probe";
    let Some((at, value)) = probe.last().filter(|(at, _)| now.duration_since(*at) < FRESH) else {
        return Signal {
            source,
            says: Says::Unknown,
            detail: "no fresh datapoint".to_owned(),
        };
    };
    let (says, word) = if *value < 1.0 {
        (Says::Down, "unhealthy")
    } else {
        (Says::Healthy, "healthy")
    };
    Signal {
        source,
        says,
        detail: format!("{word} at {at}"),
    }
}

/// Replication that has stopped, or falls behind, says that the source does not write.
fn replication_signal(lag: &Datapoints, now: Timestamp) -> Signal {
    let source = "replication-lag";
    match lag.last() {
        None => Signal {
            source,
            says: Says::Unknown,
            detail: "no lag was ever published".to_owned(),
        },
        Some((at, milliseconds)) if now.duration_since(*at) < FRESH => {
            let detail = format!("{:.1} s at {at}", milliseconds / 1000.0);
            let says = if *milliseconds > 60_000.0 {
                Says::Down
            } else {
                Says::Healthy
            };
            Signal { source, says, detail }
        }
        Some((at, _)) => Signal {
            source,
            says: Says::Down,
            detail: format!("nothing published since {at}"),
        },
    }
}

fn other_side_signal(input: &Input, evidence: &Evidence) -> Signal {
    let source = "other-control-plane";
    match &evidence.other {
        Err(error) => Signal {
            source,
            says: Says::Down,
            detail: format!("its database cannot be seen: {error}"),
        },
        Ok(cluster) => {
            let status = cluster.status().unwrap_or("without a status");
            let says = if status == "available" {
                Says::Healthy
            } else {
                Says::Down
            };
            Signal {
                source,
                says,
                detail: format!("cluster {} is {status}", input.other.cluster),
            }
        }
    }
}

/// The largest lag in the 5 minutes before the impact. The minute of the impact itself does not count: lag that grows
/// after writes have stopped is not loss.
fn expected_loss(lag: &Datapoints, impact_at: Timestamp) -> ExpectedLoss {
    let from = impact_at.checked_sub(LAG_WINDOW).unwrap_or(impact_at);
    let before = lag
        .iter()
        .filter(|(at, _)| (from..impact_at).contains(at))
        .map(|(_, milliseconds)| milliseconds / 1000.0);
    match before.reduce(f64::max) {
        Some(seconds) => ExpectedLoss::Measured { seconds },
        None => ExpectedLoss::Unmeasured,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::DbClusterMember;
    use shared::error::ErrorKind;
    use shared::global_database::{Member, Transition};

    use super::*;

    const HERE: &str = "arn:aws:rds:us-west-2:123456789012:cluster:here";
    const OTHER: &str = "arn:aws:rds:us-east-1:123456789012:cluster:other";

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_040 + minute * 60).unwrap()
    }

    fn input(intent: Intent) -> Input {
        let site = |region: &str, cluster: &str, arn: &str| SiteSlice {
            region: region.into(),
            cluster: cluster.into(),
            cluster_arn: arn.into(),
            secret_arn: "arn:s".into(),
            topic_arn: "arn:t".into(),
        };
        Input {
            recovery: RecoveryRef {
                id: "r".into(),
                workload: "shop".into(),
                token: 1,
                execution: "arn:e".into(),
            },
            intent,
            triggered_at: minute(99),
            here: site("us-west-2", "here", HERE),
            other: site("us-east-1", "other", OTHER),
            database: DatabaseSlice {
                global_cluster: "g".into(),
                name: "shop".into(),
                schema: "dr".into(),
            },
            probe: ProbeSlice {
                namespace: "Shop".into(),
                metric: "Healthy".into(),
                workload: "shop".into(),
            },
        }
    }

    fn cluster(status: &str) -> DbCluster {
        DbCluster::builder()
            .status(status)
            .db_cluster_members(DbClusterMember::builder().build())
            .http_endpoint_enabled(true)
            .build()
    }

    fn lost_region() -> Evidence {
        let member = |arn: &str, is_writer| Member {
            cluster_arn: arn.into(),
            is_writer,
            synchronization: None,
        };
        Evidence {
            now: minute(14),
            metrics: Ok(Metrics {
                probe: (0..14).map(|m| (minute(m), if m < 10 { 1.0 } else { 0.0 })).collect(),
                lag: (0..11)
                    .map(|m| (minute(m), if m == 10 { 9e6 } else { 100.0 * m as f64 }))
                    .collect(),
            }),
            database: GlobalDatabase {
                id: "g".into(),
                members: vec![member(OTHER, true), member(HERE, false)],
                transition: None,
            },
            here: cluster("available"),
            other: Err(StepError::new(ErrorKind::Unavailable, "no answer")),
        }
    }

    #[test]
    fn a_lost_region_means_failover_with_the_lag_before_impact() {
        let output = assess(&input(Intent::Decide), &lost_region());
        assert_eq!(output.blockers, Vec::<String>::new());
        assert_eq!((output.way, output.can_lose_writes), (Way::Failover, true));
        assert_eq!(output.impact_at, minute(10));
        assert_eq!(output.expected_loss, ExpectedLoss::Measured { seconds: 0.9 });
        let says: Vec<Says> = output.signals.iter().map(|signal| signal.says).collect();
        assert_eq!(says, [Says::Down, Says::Down, Says::Down]);
    }

    #[test]
    fn a_healthy_other_side_means_switchover_and_no_loss() {
        let evidence = Evidence {
            other: Ok(cluster("available")),
            ..lost_region()
        };
        let output = assess(&input(Intent::Decide), &evidence);
        assert_eq!(
            (output.way, output.expected_loss),
            (Way::Switchover, ExpectedLoss::None)
        );
        assert!(output.blockers.is_empty());
    }

    #[test]
    fn a_switchover_is_refused_where_the_other_side_is_not_healthy() {
        for other in [
            Err(StepError::new(ErrorKind::Unavailable, "no answer")),
            Ok(cluster("failing-over")),
        ] {
            let output = assess(&input(Intent::Switchover), &Evidence { other, ..lost_region() });
            assert!(
                output.blockers[0].contains("needs both sides healthy"),
                "{:?}",
                output.blockers
            );
        }
    }

    #[test]
    fn a_service_that_is_healthy_again_is_left_alone() {
        let mut evidence = lost_region();
        evidence.metrics.as_mut().unwrap().probe.push((minute(14), 1.0));
        let output = assess(&input(Intent::Decide), &evidence);
        assert!(
            output.blockers[0].contains("nothing has to be recovered"),
            "{:?}",
            output.blockers
        );
        assert!(
            assess(&input(Intent::Failover), &evidence).blockers.is_empty(),
            "a person may still insist"
        );
    }

    #[test]
    fn each_thing_that_makes_a_promotion_fail_blocks_it() {
        let blockers = |evidence: Evidence| assess(&input(Intent::Failover), &evidence).blockers.join("\n");
        let mut stranger = lost_region();
        stranger.database.members.pop();
        assert!(blockers(stranger).contains("no member"));
        let mut elsewhere = lost_region();
        elsewhere.database.transition = Some(Transition {
            status: "failing-over".into(),
            to_cluster_arn: "arn:third".into(),
        });
        assert!(blockers(elsewhere).contains("failing-over to arn:third"));
        assert!(
            blockers(Evidence {
                here: cluster("upgrading"),
                ..lost_region()
            })
            .contains("is upgrading")
        );
        let headless = DbCluster::builder()
            .status("available")
            .http_endpoint_enabled(true)
            .build();
        assert!(
            blockers(Evidence {
                here: headless,
                ..lost_region()
            })
            .contains("no instance")
        );
        let mut without_data_api = cluster("available");
        without_data_api.http_endpoint_enabled = Some(false);
        assert!(
            blockers(Evidence {
                here: without_data_api,
                ..lost_region()
            })
            .contains("Data API")
        );
    }

    #[test]
    fn a_promotion_that_goes_on_is_no_blocker() {
        let mut evidence = Evidence {
            here: cluster("promoting"),
            ..lost_region()
        };
        evidence.database.transition = Some(Transition {
            status: "failing-over".into(),
            to_cluster_arn: HERE.into(),
        });
        assert!(assess(&input(Intent::Failover), &evidence).blockers.is_empty());
    }

    #[test]
    fn without_metrics_nothing_is_called_measured() {
        let evidence = Evidence {
            metrics: Err(StepError::new(ErrorKind::Unavailable, "no answer")),
            ..lost_region()
        };
        let output = assess(&input(Intent::Failover), &evidence);
        assert_eq!(
            (output.expected_loss, output.impact_at),
            (ExpectedLoss::Unmeasured, minute(99))
        );
        assert_eq!(output.warnings.len(), 2);
        assert_eq!(output.signals[0].says, Says::Unknown);
    }

    #[test]
    fn the_impact_is_the_beginning_of_the_outage_that_goes_on() {
        let probe = |values: &[f64]| -> Datapoints {
            let minutes = values.iter().enumerate();
            minutes.map(|(m, value)| (minute(m as i64), *value)).collect()
        };
        assert_eq!(beginning_of_outage(&probe(&[1.0, 0.0, 1.0, 0.0, 0.0])), Some(minute(3)));
        assert_eq!(beginning_of_outage(&probe(&[0.0, 0.0])), Some(minute(0)));
        assert_eq!(beginning_of_outage(&probe(&[0.0, 1.0])), None);
        assert_eq!(beginning_of_outage(&probe(&[])), None);
    }

    #[test]
    fn stopped_replication_is_a_signal_of_its_own() {
        let now = minute(14);
        assert_eq!(replication_signal(&vec![(minute(13), 200.0)], now).says, Says::Healthy);
        assert_eq!(replication_signal(&vec![(minute(13), 90_000.0)], now).says, Says::Down);
        assert_eq!(replication_signal(&vec![(minute(9), 200.0)], now).says, Says::Down);
        assert_eq!(replication_signal(&vec![], now).says, Says::Unknown);
    }
}
