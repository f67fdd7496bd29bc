//! The clusters and global databases, as they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::logins::Logins;
use super::resources::{Instance, Making, Quota, RestoreFate, Snapshot};
use super::settings::{LogStatement, Settings};
use crate::aws::cloudwatch::CloudWatch;
use crate::aws::logs::Logs;
use crate::database::Database;
use crate::environment::Environment;
use crate::faults::FaultId;
use crate::lock::lock;

/// RDS in all Regions.
pub struct Rds {
    pub(super) cloudwatch: Arc<CloudWatch>,
    pub(super) logs: Arc<Logs>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) globals: BTreeMap<String, Global>,
    /// What becomes of the next switchover, if it is to hang.
    pub(super) next_switchover_hangs: Option<Hang>,
    /// What becomes of the next failover, if it is not to end well.
    pub(super) next_failover: Option<(FaultId, Fate)>,
    /// How old looks at a global database may be.
    pub(super) old_looks: Option<OldLooks>,
    /// The fault that keeps AWS from naming a move's target.
    pub(super) targets_unnamed: Option<FaultId>,
    /// Of which Regions the databases were taken away.
    pub(super) taken_away: BTreeMap<String, FaultId>,
    /// Manual snapshots, in the order in which they were asked for.
    pub(super) snapshots: Vec<Snapshot>,
    /// Automated backups of deleted clusters.
    pub(super) retained: Vec<Retained>,
    /// What becomes of the next restore, if it is not to end well.
    pub(super) next_restore: Option<(FaultId, RestoreFate)>,
    /// What there may be no more of, and in which Region.
    pub(super) exhausted: Vec<(FaultId, Quota, String)>,
    /// What is run in place of statements that only PostgreSQL understands.
    pub(super) stand_ins: BTreeMap<String, String>,
    /// Which statements are logged, by Region and parameter group.
    pub(super) log_statement: BTreeMap<(String, String), LogStatement>,
}

/// Looks at a global database that show what was a while ago.
#[derive(Clone, Copy)]
pub(super) struct OldLooks {
    pub(super) fault: FaultId,
    /// How long ago.
    pub(super) by: Duration,
}

/// How long a switchover hangs before it is cancelled; nothing for ever.
#[derive(Clone, Copy)]
pub(super) struct Hang {
    pub(super) fault: FaultId,
    pub(super) how_long: Option<Duration>,
}

/// What AWS was asked for: to make another cluster of a global database the writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// When.
    pub at: Timestamp,
    /// The Region that was called.
    pub region: String,
    /// ARN of the cluster that was to be the writer.
    pub target: String,
    /// Whether that may lose writes: a failover, and not a switchover.
    pub loses_data: bool,
    /// Whether AWS took it.
    pub accepted: bool,
    /// Whether the last look at the global database before that showed what was, and not something older.
    pub saw_what_was: bool,
    /// When AWS gave it up, if it did.
    pub given_up_at: Option<Timestamp>,
}

/// How a failover does not end well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It never ends.
    Stuck,
    /// It is cancelled at its end.
    Cancelled,
}

pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) region: String,
    pub(super) status: &'static str,
    pub(super) engine_version: String,
    pub(super) logins: Logins,
    /// A new password of the master user, and from when on it holds.
    pub(super) new_password: Option<(Timestamp, String)>,
    pub(super) data_api: bool,
    pub(super) takes_statements_from: Timestamp,
    pub(super) instances: Vec<Instance>,
    pub(super) database: Database,
    pub(super) settings: Settings,
    pub(super) made_at: Timestamp,
    /// How it is being made, until that is over.
    pub(super) making: Option<Making>,
    /// From when on it has a backup.
    pub(super) backed_up_from: Option<Timestamp>,
    /// From when on it is no more, if it is being deleted.
    pub(super) gone_from: Option<Timestamp>,
}

/// The automated backup of a deleted cluster.
pub(super) struct Retained {
    pub(super) cluster: Cluster,
    pub(super) deleted_at: Timestamp,
}

pub(super) struct Global {
    pub(super) writer: String,
    pub(super) members: Vec<String>,
    pub(super) transition: Option<Transition>,
    /// Old writers that failovers left behind, until they have been made anew.
    pub(super) left_behind: BTreeMap<String, LeftBehind>,
    /// Replication lag from each moment on.
    pub(super) lag: Vec<(Timestamp, Duration)>,
    /// The lag that holds in place of a drawn one.
    pub(super) set_lag: Option<Duration>,
    pub(super) lag_is_published: bool,
    /// Whether the lag has `SourceRegion` as a dimension beside the cluster.
    pub(super) lag_names_its_source: bool,
    /// Every move that was asked for, in that order.
    pub(super) moves: Vec<Move>,
    /// What looks showed from each moment on, where some show what is old.
    pub(super) looks: Vec<(Timestamp, String)>,
    /// Whether the last look showed something that was no more.
    pub(super) last_look_was_old: bool,
}

/// A cluster that is to be made anew from the writer's data.
pub(super) struct LeftBehind {
    pub(super) since: Timestamp,
    /// How long that takes while the Regions of both run.
    pub(super) takes: Duration,
}

/// A failover or switchover.
#[derive(Clone)]
pub(super) struct Transition {
    pub(super) to: String,
    /// Whether it is a failover.
    pub(super) loses_data: bool,
    pub(super) called_at: Timestamp,
    pub(super) begins_at: Timestamp,
    /// Nothing, if it never ends.
    pub(super) ends_at: Option<Timestamp>,
    /// Whether it is cancelled at its end.
    pub(super) is_cancelled: bool,
    /// From when on AWS says that it is being cancelled.
    pub(super) cancelling_from: Option<Timestamp>,
    pub(super) begun: bool,
    pub(super) is_cancelling: bool,
    /// The fault that keeps it from its end; once that is lifted, it ends at once.
    pub(super) held_by: Option<FaultId>,
}

impl Rds {
    /// Empty; `cloudwatch` gets the metrics, and `logs` the databases' logs.
    pub(crate) fn new(cloudwatch: &Arc<CloudWatch>, logs: &Arc<Logs>) -> Self {
        Self {
            cloudwatch: Arc::clone(cloudwatch),
            logs: Arc::clone(logs),
            state: Mutex::default(),
        }
    }

    /// Every move of a global database's writer that was asked for, in that order, those that AWS refused included.
    pub fn moves(&self, global: &str) -> Vec<Move> {
        let state = lock(&self.state);
        state
            .globals
            .get(global)
            .map(|global| global.moves.clone())
            .unwrap_or_default()
    }

    /// Each global database's writer, its transition, and its members, by identifier.
    pub(super) fn global_databases(&self, environment: &Environment) -> serde_json::Value {
        let mut state = lock(&self.state);
        state.advance(environment, environment.now());
        let State { clusters, globals, .. } = &*state;
        let globals = globals.iter().map(|(id, global)| {
            let members = global.members.iter().map(|arn| {
                let cluster = clusters.get(arn);
                let member = json!({
                    "status": cluster.map(|cluster| cluster.status),
                    "engine_version": cluster.map(|cluster| &cluster.engine_version),
                    "data_api": cluster.map(|cluster| cluster.data_api),
                    "instances": cluster.map(Cluster::instance_names),
                    "synchronization": global.synchronization(arn),
                });
                (arn, member)
            });
            let global = json!({
                "writer": global.writer,
                "failover": global.transition.as_ref().map(|_| global.failover_status()),
                "members": members.collect::<BTreeMap<_, _>>(),
            });
            (id, global)
        });
        json!(globals.collect::<BTreeMap<_, _>>())
    }

    /// The clusters of no global database, by ARN.
    pub(super) fn other_clusters(&self, environment: &Environment) -> serde_json::Value {
        let mut state = lock(&self.state);
        state.advance(environment, environment.now());
        let is_member = |arn: &String| state.globals.values().any(|global| global.members.contains(arn));
        let others = state.clusters.iter().filter(|(arn, _)| !is_member(arn));
        let others = others.map(|(arn, cluster)| {
            let deleted = cluster.instances.iter().filter(|instance| instance.gone_from.is_some());
            let cluster = json!({
                "status": cluster.status, "data_api": cluster.data_api, "instances": cluster.instance_names(),
                "being_deleted": deleted.map(|instance| &instance.id).collect::<Vec<_>>(),
                "deletion_protection": cluster.settings.deletion_protection,
            });
            (arn, cluster)
        });
        json!(others.collect::<BTreeMap<_, _>>())
    }

    /// The cluster that takes a global database's writes.
    pub fn writer_of(&self, environment: &Environment, global: &str) -> Option<String> {
        let mut state = lock(&self.state);
        state.advance(environment, environment.now());
        state.globals.get(global).map(|global| global.writer.clone())
    }

    /// ARNs of all clusters of a global database; none, if there is no such database.
    pub(super) fn members_of(&self, global: &str) -> Vec<String> {
        let state = lock(&self.state);
        let global = state.globals.get(global);
        global.map(|global| global.members.clone()).unwrap_or_default()
    }

    /// ARNs of all clusters in a Region.
    pub fn clusters_in(&self, region: &str) -> Vec<String> {
        let state = lock(&self.state);
        let here = state.clusters.iter().filter(|(_, cluster)| cluster.region == region);
        here.map(|(arn, _)| arn.clone()).collect()
    }

    /// The Region of a cluster.
    pub fn region_of(&self, cluster_arn: &str) -> Option<String> {
        lock(&self.state)
            .clusters
            .get(cluster_arn)
            .map(|cluster| cluster.region.clone())
    }
}

impl Cluster {
    /// The identifiers of its instances.
    pub(super) fn instance_names(&self) -> Vec<&str> {
        self.instances.iter().map(|instance| instance.id.as_str()).collect()
    }
}

impl Global {
    /// Whether a cluster is a secondary: a member that does not write, nor is left behind from when it did.
    pub(super) fn keeps_reading(&self, arn: &str) -> bool {
        self.members.iter().any(|member| member == arn) && self.writer != arn && !self.left_behind.contains_key(arn)
    }

    pub(super) fn synchronization(&self, arn: &str) -> &'static str {
        if self.left_behind.contains_key(arn) {
            "pending-resync"
        } else {
            "connected"
        }
    }

    pub(super) fn lag_at(&self, at: Timestamp) -> Duration {
        self.lag
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .map(|(_, lag)| *lag)
            .unwrap_or_default()
    }

    pub(super) fn failover_status(&self) -> &'static str {
        match &self.transition {
            Some(transition) if transition.is_cancelling => "cancelling",
            Some(transition) if transition.begun && transition.loses_data => "failing-over",
            Some(transition) if transition.begun => "switching-over",
            _ => "pending",
        }
    }
}
