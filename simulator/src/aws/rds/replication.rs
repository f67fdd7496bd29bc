//! Replication of global databases: its lag, and the metric of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::state::{Rds, State};
use crate::aws::cloudwatch::Metric;
use crate::environment::Environment;
use crate::lock::lock;

impl Rds {
    /// How far replication of a global database was behind at most between two moments, both included.
    pub fn largest_lag(&self, global: &str, from: Timestamp, to: Timestamp) -> Option<Duration> {
        let state = lock(&self.state);
        let global = state.globals.get(global)?;
        let within = global.lag.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, lag)| *lag).chain([global.lag_at(from)]).max()
    }

    /// Makes a global database's replication lag what a test says, from now on; nothing: as drawn again, from the next
    /// minute on.
    pub fn set_replication_lag(&self, environment: &Environment, global: &str, lag: Option<Duration>) {
        if let Some(global) = lock(&self.state).globals.get_mut(global) {
            global.set_lag = lag;
            global.lag.extend(lag.map(|lag| (environment.now(), lag)));
        }
    }

    /// Publishes a global database's lag as a metric, or does not, while replication goes on; at first it does.
    pub fn publish_replication_lag(&self, global: &str, on: bool) {
        if let Some(global) = lock(&self.state).globals.get_mut(global) {
            global.lag_is_published = on;
        }
    }

    /// Publishes a global database's lag under the cluster and the Region that it comes from, or, as at first, under the cluster
    /// alone. The Aurora User Guide does not say which; AWS's own labs list it with both.
    pub fn name_the_lags_source(&self, global: &str, on: bool) {
        if let Some(global) = lock(&self.state).globals.get_mut(global) {
            global.lag_names_its_source = on;
        }
    }
}

/// Replicates a global database for ever, as if it had for some minutes before: each minute has its lag, which is published
/// at the minute's end in the Region of each secondary that the writer reaches.
pub async fn replicate(rds: Arc<Rds>, environment: Arc<Environment>, id: String) {
    let mut is_first = true;
    loop {
        let drawn = environment.draw("replication-lag", &environment.timings.replication_lag);
        {
            let mut state = lock(&rds.state);
            let Some(global) = state.globals.get_mut(&id) else {
                return;
            };
            let lag = global.set_lag.unwrap_or(drawn);
            global.lag.push((environment.now(), lag));
        }
        if std::mem::take(&mut is_first) {
            for minutes in (1..=RAN_BEFORE).rev() {
                rds.publish_lags(&environment, &id, SignedDuration::from_mins(minutes));
            }
        }
        tokio::time::sleep(A_MINUTE).await;
        // A minute's lag is that minute's, at its last second.
        rds.publish_lags(&environment, &id, SignedDuration::from_secs(1));
    }
}

impl Rds {
    /// Publishes the lag of now, of each cluster that replication reaches, as the lag of `ago`.
    pub(super) fn publish_lags(&self, environment: &Environment, id: &str, ago: SignedDuration) {
        let now = environment.now();
        let at = now.checked_sub(ago).unwrap_or(now);
        let source = self.source_in_metrics(id);
        for (region, cluster, lag) in self.lags(environment, id, now) {
            let mut dimensions = BTreeMap::from([("DBClusterIdentifier".to_owned(), cluster)]);
            dimensions.extend(source.clone().map(|region| ("SourceRegion".to_owned(), region)));
            let metric = Metric {
                namespace: "AWS/RDS".to_owned(),
                name: "AuroraGlobalDBRPOLag".to_owned(),
                dimensions,
            };
            self.cloudwatch.publish(&region, &metric, at, lag.as_millis() as f64);
        }
    }

    /// The Region that the lag's metric names as its source, if it names one.
    fn source_in_metrics(&self, id: &str) -> Option<String> {
        let state = lock(&self.state);
        let global = state.globals.get(id).filter(|global| global.lag_names_its_source)?;
        Some(state.clusters.get(&global.writer)?.region.clone())
    }

    /// Region and identifier of each cluster that replication reaches at `now`, and how far it is behind, where that is
    /// published.
    pub(super) fn lags(&self, environment: &Environment, id: &str, now: Timestamp) -> Vec<(String, String, Duration)> {
        let mut state = lock(&self.state);
        state.advance(environment, now);
        let State { clusters, globals, .. } = &*state;
        let runs = |arn: &str| {
            clusters
                .get(arn)
                .is_some_and(|cluster| environment.databases_run(&cluster.region))
        };
        let published = globals.get(id).filter(|global| global.lag_is_published);
        let Some(global) = published.filter(|global| runs(&global.writer)) else {
            return Vec::new();
        };
        let writer = clusters.get(&global.writer).map(|writer| writer.region.as_str());
        let reaches = |region: &str| writer.is_some_and(|writer| environment.passes(writer, region));
        global
            .members
            .iter()
            .filter(|arn| global.keeps_reading(arn) && runs(arn))
            .filter_map(|arn| clusters.get(arn))
            .filter(|cluster| reaches(&cluster.region))
            .map(|cluster| (cluster.region.clone(), cluster.id.clone(), global.lag_at(now)))
            .collect()
    }
}

pub(super) const A_MINUTE: Duration = Duration::from_secs(60);

/// For how many minutes replication had run when the simulation begins, as its metric shows: an alarm that takes missing
/// data as breaching would go off at once without them.
pub(super) const RAN_BEFORE: i64 = 10;
