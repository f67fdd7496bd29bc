//! Gathers evidence on both Regions, side by side and bounded, and decides which way to go. It changes nothing.

use std::time::Duration;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::global_database::{GlobalDatabase, Promotion, describe_cluster, serves};
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
/// Replication that is this far behind, in milliseconds, does not replicate: Aurora's is below a second, typically.
const FAR_BEHIND_MS: f64 = 60_000.0;

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
    const TIME_LIMIT: Duration = Duration::from_secs(35);
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
            describe_cluster(&self.rds, &input.here),
            describe_cluster(&elsewhere, &input.other),
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

/// Everything that this step decides.
fn assess(input: &Input, evidence: &Evidence) -> Output {
    let none = Metrics::default();
    let metrics = evidence.metrics.as_ref().unwrap_or(&none);
    let mut warnings = Vec::new();
    if let Err(error) = &evidence.metrics {
        warnings.push(format!("the metrics could not be read: {error}"));
    }
    let outage = beginning_of_outage(&metrics.probe, evidence.now);
    let impact_at = outage.unwrap_or_else(|| {
        warnings.push("the probe's metric shows no outage; the time of the start stands in for the impact".to_owned());
        input.triggered_at
    });
    let signals = vec![
        probe_signal(&metrics.probe, evidence.now),
        replication_signal(&metrics.lag, outage, evidence.now),
        other_side_signal(input, evidence),
    ];
    let mut blockers = blockers_here(input, evidence);
    let way = match (evidence.database.promotion(&input.here.cluster_arn), input.intent) {
        // What goes on already, or is done, is gone on with.
        (Promotion::Underway(transition), _) => transition.way.unwrap_or(Way::Failover),
        (Promotion::Done, _) => {
            warnings
                .push("this Region's cluster is the writer already; what was lost is not known any more".to_owned());
            Way::Failover
        }
        (_, Intent::Switchover) => Way::Switchover,
        (_, Intent::Failover) => Way::Failover,
        (_, Intent::Decide) => decide(&signals).unwrap_or_else(|blocker| {
            blockers.push(blocker);
            Way::Switchover
        }),
    };
    if input.intent == Intent::Switchover && way == Way::Switchover {
        let [_, replication, other] = [&signals[0], &signals[1], &signals[2]];
        for signal in [other, replication]
            .into_iter()
            .filter(|signal| signal.says == Says::Down)
        {
            blockers.push(format!(
                "a switchover needs both sides healthy; {} says: {}",
                signal.source, signal.detail
            ));
        }
        if other.says == Says::Unknown {
            blockers.push(format!(
                "a switchover needs both sides healthy; {} says: {}",
                other.source, other.detail
            ));
        }
    }
    let expected_loss = match way {
        Way::Switchover => ExpectedLoss::None,
        Way::Failover => expected_loss(&metrics.lag, impact_at),
    };
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

/// The way that loses least. A failover loses writes, so two signals must say that the other side is down, and none that
/// it is healthy; a switchover works only if the other side's control plane and replication are there. Errors: why neither
/// is safe to choose, and what a person does then.
fn decide(signals: &[Signal]) -> Result<Way, String> {
    let says = |source: &str| {
        signals
            .iter()
            .find(|signal| signal.source == source)
            .map(|signal| signal.says)
    };
    if says(PROBE) == Some(Says::Healthy) {
        return Err("the outside probe finds the service healthy: nothing has to be recovered".to_owned());
    }
    if says(OTHER_SIDE) == Some(Says::Healthy) && says(REPLICATION) == Some(Says::Healthy) {
        return Ok(Way::Switchover);
    }
    let down = signals.iter().filter(|signal| signal.says == Says::Down).count();
    if down >= 2 && signals.iter().all(|signal| signal.says != Says::Healthy) {
        return Ok(Way::Failover);
    }
    let all: Vec<String> = signals
        .iter()
        .map(|signal| format!("{}: {}", signal.source, signal.detail))
        .collect();
    Err(format!(
        "the signals do not agree ({}); start again with intent failover or switchover, as a person sees fit",
        all.join("; ")
    ))
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
    let member = database.member(&input.here.cluster_arn);
    if member.and_then(|member| member.synchronization.as_deref()) == Some("pending-resync") {
        blockers.push(format!(
            "cluster {} is still being synchronised; wait for RDS-EVENT-0241",
            input.here.cluster
        ));
    }
    if promotion == Promotion::NotStarted && !serves(status) {
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

const PROBE: &str = "outside-probe";
const REPLICATION: &str = "replication-lag";
const OTHER_SIDE: &str = "other-control-plane";

/// The beginning of the outage that goes on: the first of the bad minutes, without a gap, that the metric ends with. An
/// outage that is over has nothing to do with this recovery.
fn beginning_of_outage(probe: &Datapoints, now: Timestamp) -> Option<Timestamp> {
    let mut began = None;
    let mut next = now;
    for (at, value) in probe.iter().rev() {
        if *value >= 1.0 || next.duration_since(*at) >= FRESH {
            break;
        }
        (began, next) = (Some(*at), *at);
    }
    began
}

fn probe_signal(probe: &Datapoints, now: Timestamp) -> Signal {
    let Some((at, value)) = probe.last().filter(|(at, _)| now.duration_since(*at) < FRESH) else {
        return Signal {
            source: PROBE,
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
        source: PROBE,
        says,
        detail: format!("{word} at {at}"),
    }
}

/// Replication that has stopped since the outage began, or falls behind, says that the source does not write.
fn replication_signal(lag: &Datapoints, outage: Option<Timestamp>, now: Timestamp) -> Signal {
    let signal = |says, detail| Signal {
        source: REPLICATION,
        says,
        detail,
    };
    let Some((at, milliseconds)) = lag.last() else {
        return signal(Says::Unknown, "no lag was ever published".to_owned());
    };
    // The minute in which the outage began may still have its datapoint.
    let goes_on = match outage {
        Some(outage) => *at > outage,
        None => now.duration_since(*at) < FRESH,
    };
    match (goes_on, *milliseconds > FAR_BEHIND_MS) {
        (false, _) => signal(Says::Down, format!("nothing published since {at}")),
        (true, true) => signal(Says::Down, format!("{:.0} s behind at {at}", milliseconds / 1000.0)),
        (true, false) => signal(Says::Healthy, format!("{:.1} s behind at {at}", milliseconds / 1000.0)),
    }
}

/// A side that does not answer is down. One that answers with anything but a cluster (throttled, not allowed, not found)
/// says nothing of whether it works.
fn other_side_signal(input: &Input, evidence: &Evidence) -> Signal {
    let signal = |says, detail| Signal {
        source: OTHER_SIDE,
        says,
        detail,
    };
    match &evidence.other {
        Err(error) if error.kind == ErrorKind::Unavailable => {
            signal(Says::Down, format!("its database cannot be seen: {error}"))
        }
        Err(error) => signal(Says::Unknown, format!("its database cannot be looked at: {error}")),
        Ok(cluster) => {
            let status = cluster.status().unwrap_or("without a status");
            let says = if serves(status) { Says::Healthy } else { Says::Unknown };
            signal(says, format!("cluster {} is {status}", input.other.cluster))
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

    fn replicating() -> Evidence {
        let mut evidence = lost_region();
        evidence.metrics.as_mut().unwrap().lag = (0..14).map(|m| (minute(m), 100.0)).collect();
        evidence
    }

    #[test]
    fn a_healthy_other_side_that_replicates_means_switchover_and_no_loss() {
        let output = assess(
            &input(Intent::Decide),
            &Evidence {
                other: Ok(cluster("backing-up")),
                ..replicating()
            },
        );
        assert_eq!(
            (output.way, output.expected_loss),
            (Way::Switchover, ExpectedLoss::None)
        );
        assert_eq!(output.blockers, Vec::<String>::new());
    }

    #[test]
    fn signals_that_do_not_agree_decide_nothing() {
        let error = |kind| Err(StepError::new(kind, "no"));
        for evidence in [
            Evidence {
                other: Ok(cluster("available")),
                ..lost_region()
            },
            Evidence {
                other: error(ErrorKind::Unavailable),
                ..replicating()
            },
            Evidence {
                other: error(ErrorKind::Denied),
                ..replicating()
            },
            Evidence {
                metrics: error_metrics(),
                other: error(ErrorKind::Unavailable),
                ..lost_region()
            },
        ] {
            let output = assess(&input(Intent::Decide), &evidence);
            assert!(output.blockers[0].contains("do not agree"), "{:?}", output.signals);
        }
        // Not allowed to look there is no sign of anything; the other two are enough.
        let denied = Evidence {
            other: error(ErrorKind::Denied),
            ..lost_region()
        };
        let output = assess(&input(Intent::Decide), &denied);
        assert_eq!((output.way, output.signals[2].says), (Way::Failover, Says::Unknown));
        assert!(output.blockers.is_empty());
    }

    fn error_metrics() -> Result<Metrics, StepError> {
        Err(StepError::new(ErrorKind::Throttled, "no metrics"))
    }

    #[test]
    fn a_switchover_is_refused_where_the_other_side_is_not_healthy() {
        let down = Err(StepError::new(ErrorKind::Unavailable, "no answer"));
        for other in [down, Ok(cluster("failing-over"))] {
            let output = assess(&input(Intent::Switchover), &Evidence { other, ..replicating() });
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
    fn a_promotion_that_somebody_began_is_gone_on_with_as_what_it_is() {
        let with = |way| {
            let mut evidence = replicating();
            evidence.database.transition = Some(Transition {
                status: "pending".into(),
                to_cluster_arn: HERE.into(),
                way: Some(way),
            });
            evidence.other = Ok(cluster("available"));
            assess(&input(Intent::Decide), &evidence)
        };
        assert!(with(Way::Failover).can_lose_writes);
        assert!(!with(Way::Switchover).can_lose_writes);
        let mut done = lost_region();
        done.database.members[1].is_writer = true;
        let output = assess(&input(Intent::Decide), &done);
        assert!(
            output.can_lose_writes
                && output
                    .warnings
                    .iter()
                    .any(|warning| warning.contains("not known any more"))
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
            way: None,
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
            way: None,
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
        let began = |minutes: &[(i64, f64)]| {
            let probe: Datapoints = minutes.iter().map(|(m, value)| (minute(*m), *value)).collect();
            beginning_of_outage(&probe, minute(5))
        };
        assert_eq!(
            began(&[(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.0), (4, 0.0)]),
            Some(minute(3))
        );
        assert_eq!(began(&[(3, 0.0), (4, 0.0)]), Some(minute(3)));
        assert_eq!(began(&[(3, 0.0), (4, 1.0)]), None, "it is over");
        assert_eq!(began(&[(1, 0.0), (2, 0.0)]), None, "the probe has been silent since");
        assert_eq!(
            began(&[(-9, 0.0), (4, 0.0)]),
            Some(minute(4)),
            "another outage, long ago"
        );
        assert_eq!(began(&[]), None);
    }

    #[test]
    fn replication_that_stopped_with_the_outage_is_a_signal_of_its_own() {
        let says = |lag: &Datapoints, outage| replication_signal(lag, outage, minute(14)).says;
        assert_eq!(says(&vec![(minute(13), 200.0)], Some(minute(10))), Says::Healthy);
        assert_eq!(says(&vec![(minute(10), 200.0)], Some(minute(10))), Says::Down);
        assert_eq!(says(&vec![(minute(13), 90_000.0)], Some(minute(10))), Says::Down);
        assert_eq!(says(&vec![(minute(13), 200.0)], None), Says::Healthy);
        assert_eq!(says(&vec![(minute(9), 200.0)], None), Says::Down);
        assert_eq!(says(&vec![], None), Says::Unknown);
    }
}
