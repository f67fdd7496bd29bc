//! RDS: Aurora clusters in a global database, their failover and switchover over time, and the databases inside.
//!
//! Simplified, always to the worse side: Aurora tries to stop the old side's writes when it fails over, and promises
//! nothing; here it never manages to, and the old side takes writes until it has been made anew, when they are gone. A
//! switchover during which either Region, or its databases, go away is cancelled at once.
//!
//! Replication and what has begun need no Region's public API, so that it may be away meanwhile.

pub mod data_api;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::aws::cloudwatch::{CloudWatch, Metric};
use crate::aws::wire::{Call, Reply, element, query_parameters};
use crate::database::{Database, Rows, Value};
use crate::environment::Environment;
use crate::environment::Reach;
use crate::faults::{CallEffect, FaultId};
use crate::lock::lock;

/// RDS in all Regions.
pub struct Rds {
    cloudwatch: Arc<CloudWatch>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clusters: BTreeMap<String, Cluster>,
    globals: BTreeMap<String, Global>,
    /// What becomes of the next switchover, if it is to hang.
    next_switchover_hangs: Option<Hang>,
    /// What becomes of the next failover, if it is not to end well.
    next_failover: Option<(FaultId, Fate)>,
    /// Of which Regions the databases were taken away.
    taken_away: BTreeMap<String, FaultId>,
}

/// How long a switchover hangs before it is cancelled; nothing for ever.
#[derive(Clone, Copy)]
struct Hang {
    fault: FaultId,
    how_long: Option<Duration>,
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
    /// When AWS gave it up, if it did.
    pub given_up_at: Option<Timestamp>,
}

/// How a failover does not end well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It never ends.
    Stuck,
    /// It is cancelled at its end.
    Cancelled,
}

struct Cluster {
    id: String,
    region: String,
    status: &'static str,
    engine_version: String,
    secret_arn: String,
    data_api: bool,
    takes_statements_from: Timestamp,
    instances: Vec<String>,
    database: Database,
}

struct Global {
    writer: String,
    members: Vec<String>,
    transition: Option<Transition>,
    /// Old writers that failovers left behind, until they have been made anew.
    left_behind: BTreeMap<String, LeftBehind>,
    /// Replication lag from each moment on.
    lag: Vec<(Timestamp, Duration)>,
    /// The lag that holds in place of a drawn one.
    set_lag: Option<Duration>,
    lag_is_published: bool,
    /// Every move that was asked for, in that order.
    moves: Vec<Move>,
}

/// A cluster that is to be made anew from the writer's data.
struct LeftBehind {
    since: Timestamp,
    /// How long that takes while the Regions of both run.
    takes: Duration,
}

/// A failover or switchover.
#[derive(Clone)]
struct Transition {
    to: String,
    /// Whether it is a failover.
    loses_data: bool,
    called_at: Timestamp,
    begins_at: Timestamp,
    /// Nothing, if it never ends.
    ends_at: Option<Timestamp>,
    /// Whether it is cancelled at its end.
    is_cancelled: bool,
    /// From when on AWS says that it is being cancelled.
    cancelling_from: Option<Timestamp>,
    begun: bool,
    is_cancelling: bool,
    /// The fault that keeps it from its end; once that is lifted, it ends at once.
    held_by: Option<FaultId>,
}

/// A cluster to be made.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Its ARN.
    pub arn: String,
    /// Its identifier.
    pub id: String,
    /// Its Region.
    pub region: String,
    /// ARN of the secret that the Data API takes.
    pub secret_arn: String,
}

/// Why a statement was not run: the Data API's code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlRefusal {
    /// The HTTP status.
    pub status: u16,
    /// The code.
    pub code: &'static str,
    /// The message.
    pub message: String,
}

impl Rds {
    /// Empty; `cloudwatch` gets the metrics.
    pub(crate) fn new(cloudwatch: &Arc<CloudWatch>) -> Self {
        Self {
            cloudwatch: Arc::clone(cloudwatch),
            state: Mutex::default(),
        }
    }

    /// Makes a global database whose first cluster is the writer; each has one instance and the Data API on. Errors: a
    /// text, if a database cannot be made.
    pub fn create_global_database(
        &self,
        environment: &Environment,
        id: &str,
        clusters: &[NewCluster],
    ) -> Result<(), String> {
        let mut state = lock(&self.state);
        for (index, new) in clusters.iter().enumerate() {
            let mut database = Database::new()?;
            database.set_writable(index == 0);
            let cluster = Cluster {
                id: new.id.clone(),
                region: new.region.clone(),
                status: "available",
                engine_version: ENGINE_VERSION.to_owned(),
                secret_arn: new.secret_arn.clone(),
                data_api: true,
                takes_statements_from: environment.now(),
                instances: vec![format!("{}-1", new.id)],
                database,
            };
            state.clusters.insert(new.arn.clone(), cluster);
        }
        let members: Vec<String> = clusters.iter().map(|cluster| cluster.arn.clone()).collect();
        let writer = members.first().cloned().ok_or("a global database needs a cluster")?;
        let global = Global {
            writer,
            members,
            transition: None,
            left_behind: BTreeMap::new(),
            lag: Vec::new(),
            set_lag: None,
            lag_is_published: true,
            moves: Vec::new(),
        };
        state.globals.insert(id.to_owned(), global);
        Ok(())
    }

    /// Runs one statement on a cluster, as the Data API does.
    pub fn execute(
        &self,
        environment: &Environment,
        region: &str,
        cluster_arn: &str,
        sql: &str,
        parameters: &BTreeMap<String, Value>,
    ) -> Result<Rows, SqlRefusal> {
        let now = environment.now();
        let mut state = lock(&self.state);
        state.advance(environment, now);
        let is_writer = !state.globals.values().any(|global| global.keeps_reading(cluster_arn));
        let refuse = |status, code, message: &str| SqlRefusal {
            status,
            code,
            message: message.to_owned(),
        };
        let is_away = environment.database_is_away(region);
        if is_away {
            state.note_taken_away(environment, region);
        }
        let cluster = state
            .clusters
            .get_mut(cluster_arn)
            .filter(|cluster| cluster.region == region)
            .ok_or_else(|| {
                refuse(
                    400,
                    "BadRequestException",
                    "HttpEndpoint is not found: there is no such cluster here",
                )
            })?;
        if !cluster.data_api {
            return Err(refuse(
                400,
                "HttpEndpointNotEnabledException",
                "HttpEndpoint is not enabled for this cluster",
            ));
        }
        if cluster.instances.is_empty() {
            return Err(refuse(
                404,
                "DatabaseNotFoundException",
                "The DB cluster doesn't have a DB instance",
            ));
        }
        // The Data API speaks to writers only, and a secondary cluster has none.
        if is_away || !is_writer || now < cluster.takes_statements_from {
            return Err(refuse(
                504,
                "DatabaseUnavailableException",
                "The writer instance in the DB cluster isn't available",
            ));
        }
        cluster
            .database
            .execute(now, sql, parameters)
            .map_err(|message| SqlRefusal {
                status: 400,
                code: "DatabaseErrorException",
                message,
            })
    }

    /// What a cluster's database holds, whether it answers anybody or not. Errors: a text, as for any statement.
    pub(crate) fn look_into(
        &self,
        environment: &Environment,
        cluster_arn: &str,
        select: &str,
        parameters: &BTreeMap<String, Value>,
    ) -> Result<Rows, String> {
        let now = environment.now();
        let mut state = lock(&self.state);
        state.advance(environment, now);
        let cluster = state.clusters.get_mut(cluster_arn).ok_or("there is no such cluster")?;
        cluster.database.execute(now, select, parameters)
    }

    /// Makes the next switchover hang: it begins and does not go on, and after `how_long` (never, if there is nothing) AWS
    /// cancels it, so that the writer takes writes again. It comes about when that switchover is called.
    pub fn hang_next_switchover(&self, environment: &Environment, how_long: Option<Duration>) -> FaultId {
        let fault = environment.faults.on_database();
        lock(&self.state).next_switchover_hangs = Some(Hang { fault, how_long });
        fault
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

    /// How far replication of a global database was behind at most between two moments, both included.
    pub fn largest_lag(&self, global: &str, from: Timestamp, to: Timestamp) -> Option<Duration> {
        let state = lock(&self.state);
        let global = state.globals.get(global)?;
        let within = global.lag.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, lag)| *lag).chain([global.lag_at(from)]).max()
    }

    /// Makes the next failover with data loss last for ever: AWS accepts it, it begins and does not end, and there can be
    /// no other. It comes about when that failover is called.
    pub fn stick_next_failover(&self, environment: &Environment) -> FaultId {
        self.decide_next_failover(environment, Fate::Stuck)
    }

    /// Makes the next failover with data loss fail: AWS accepts it and begins, cancels it in the last quarter of the time
    /// that it would have taken, and then everything is as before. It comes about when that failover is called. (AWS says
    /// that a failover can be cancelled, and not when; that it takes a quarter is assumed.)
    pub fn fail_next_failover(&self, environment: &Environment) -> FaultId {
        self.decide_next_failover(environment, Fate::Cancelled)
    }

    fn decide_next_failover(&self, environment: &Environment, fate: Fate) -> FaultId {
        let fault = environment.faults.on_database();
        lock(&self.state).next_failover = Some((fault, fate));
        fault
    }

    /// Takes the databases of a Region away, and nothing else there: see [`Reach::Database`]. It comes about with each call
    /// that fails and each statement that is refused meanwhile.
    pub fn take_database_away(&self, environment: &Environment, region: &str) -> FaultId {
        environment.take_away(region, Reach::Database);
        let fault = environment.faults.on_database();
        lock(&self.state).taken_away.insert(region.to_owned(), fault);
        fault
    }

    /// Gives the databases of a Region back, whatever else of it is away.
    pub fn give_database_back(&self, environment: &Environment, region: &str) {
        environment.give_back(region, Reach::Database);
    }

    /// How a call to RDS or to the Data API in a Region fails while the databases there are away: with an error or
    /// without an answer, as chance has it.
    fn failing(&self, environment: &Environment, region: &str) -> Option<CallEffect> {
        if !environment.database_is_away(region) {
            return None;
        }
        lock(&self.state).note_taken_away(environment, region);
        let answers = environment.chance("databases-away", fastrand::Rng::bool);
        Some(if answers {
            CallEffect::ServerError
        } else {
            CallEffect::NoAnswer
        })
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

    /// Sets a cluster's engine version, such as `16.6`.
    pub fn set_engine_version(&self, cluster_arn: &str, version: &str) {
        if let Some(cluster) = lock(&self.state).clusters.get_mut(cluster_arn) {
            cluster.engine_version = version.to_owned();
        }
    }

    /// Each global database's writer, what goes on with it, and its members, by identifier.
    fn global_databases(&self, environment: &Environment) -> serde_json::Value {
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
                    "instances": cluster.map(|cluster| &cluster.instances),
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

    /// Turns a cluster's Data API on or off.
    pub fn set_data_api(&self, cluster_arn: &str, on: bool) {
        if let Some(cluster) = lock(&self.state).clusters.get_mut(cluster_arn) {
            cluster.data_api = on;
        }
    }

    /// Replaces a cluster's instances; the first is the writer, where the cluster has one.
    pub fn set_instances(&self, cluster_arn: &str, instances: &[&str]) {
        if let Some(cluster) = lock(&self.state).clusters.get_mut(cluster_arn) {
            cluster.instances = instances.iter().map(|id| (*id).to_owned()).collect();
        }
    }

    /// The secret that a cluster's Data API takes.
    pub fn secret_of(&self, cluster_arn: &str) -> Option<String> {
        lock(&self.state)
            .clusters
            .get(cluster_arn)
            .map(|cluster| cluster.secret_arn.clone())
    }

    /// The cluster that takes a global database's writes.
    pub fn writer_of(&self, environment: &Environment, global: &str) -> Option<String> {
        let mut state = lock(&self.state);
        state.advance(environment, environment.now());
        state.globals.get(global).map(|global| global.writer.clone())
    }

    /// ARNs of all clusters of a global database; none, if there is no such database.
    fn members_of(&self, global: &str) -> Vec<String> {
        let state = lock(&self.state);
        let global = state.globals.get(global);
        global.map(|global| global.members.clone()).unwrap_or_default()
    }

    /// The Region of a cluster.
    pub fn region_of(&self, cluster_arn: &str) -> Option<String> {
        lock(&self.state)
            .clusters
            .get(cluster_arn)
            .map(|cluster| cluster.region.clone())
    }

    fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let parameters = query_parameters(&call.body);
        let mut state = lock(&self.state);
        state.advance(environment, environment.now());
        let result = match operation {
            "DescribeGlobalClusters" => state.describe_global_clusters(&parameters),
            "DescribeDBClusters" => state.describe_clusters(&call.region, &parameters),
            "FailoverGlobalCluster" | "SwitchoverGlobalCluster" => {
                state.move_writer(environment, &call.region, operation, &parameters)
            }
            other => Err(Refusal(
                501,
                "NotSimulated",
                format!("the simulated RDS has no {other}"),
            )),
        };
        match result {
            Ok(result) => Reply::query(operation, &result),
            Err(Refusal(status, code, message)) => Reply::query_error(status, code, &message),
        }
    }
}

struct Refusal(u16, &'static str, String);

type Parameters = BTreeMap<String, String>;

impl State {
    /// Counts that the databases of a Region were not there for somebody.
    fn note_taken_away(&self, environment: &Environment, region: &str) {
        if let Some(fault) = self.taken_away.get(region) {
            environment.faults.apply(*fault);
        }
    }

    /// Brings everything to where it is at `now`.
    fn advance(&mut self, environment: &Environment, now: Timestamp) {
        for global in self.globals.values_mut() {
            advance_transition(&mut self.clusters, global, environment, now);
            let arns: Vec<String> = global.left_behind.keys().cloned().collect();
            for arn in arns {
                rejoin(&mut self.clusters, global, &arn, environment, now);
            }
        }
    }

    fn describe_global_clusters(&self, parameters: &Parameters) -> Result<String, Refusal> {
        take_only(parameters, &["GlobalClusterIdentifier"])?;
        let wanted = parameters.get("GlobalClusterIdentifier");
        let found: Vec<String> = self
            .globals
            .iter()
            .filter(|(id, _)| wanted.is_none_or(|wanted| wanted == *id))
            .map(|(id, global)| element_of("GlobalClusterMember", &self.global_xml(id, global)))
            .collect();
        match (wanted, found.is_empty()) {
            (Some(id), true) => Err(Refusal(
                404,
                "GlobalClusterNotFoundFault",
                format!("Global cluster {id} not found"),
            )),
            _ => Ok(format!("<GlobalClusters>{}</GlobalClusters>", found.concat())),
        }
    }

    fn describe_clusters(&self, region: &str, parameters: &Parameters) -> Result<String, Refusal> {
        take_only(parameters, &["DBClusterIdentifier"])?;
        let wanted = parameters.get("DBClusterIdentifier");
        let found: Vec<String> = self
            .clusters
            .iter()
            .filter(|(arn, cluster)| {
                cluster.region == region && wanted.is_none_or(|wanted| *wanted == cluster.id || wanted == *arn)
            })
            .map(|(arn, cluster)| {
                let is_writer = self.globals.values().any(|global| global.writer == *arn);
                cluster_xml(arn, cluster, is_writer)
            })
            .collect();
        match (wanted, found.is_empty()) {
            (Some(id), true) => Err(Refusal(
                404,
                "DBClusterNotFoundFault",
                format!("DBCluster {id} not found."),
            )),
            _ => Ok(format!("<DBClusters>{}</DBClusters>", found.concat())),
        }
    }

    /// `FailoverGlobalCluster` and `SwitchoverGlobalCluster`. Without `AllowDataLoss` a failover is a switchover.
    fn move_writer(
        &mut self,
        environment: &Environment,
        region: &str,
        operation: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        let moved = self.begin_move(environment, region, operation, parameters);
        let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        if let Some(global) = self.globals.get_mut(&parameter("GlobalClusterIdentifier")) {
            global.moves.push(Move {
                at: environment.now(),
                region: region.to_owned(),
                target: parameter("TargetDbClusterIdentifier"),
                loses_data: parameter("AllowDataLoss") == "true",
                accepted: moved.is_ok(),
                given_up_at: None,
            });
        }
        moved
    }

    fn begin_move(
        &mut self,
        environment: &Environment,
        region: &str,
        operation: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        let mut known = vec!["GlobalClusterIdentifier", "TargetDbClusterIdentifier"];
        if operation == "FailoverGlobalCluster" {
            known.extend(["AllowDataLoss", "Switchover"]);
        }
        take_only(parameters, &known)?;
        let is = |name: &str| parameters.get(name).is_some_and(|value| value == "true");
        let loses_data = operation == "FailoverGlobalCluster" && is("AllowDataLoss");
        if loses_data && is("Switchover") {
            let message = "AllowDataLoss and Switchover can't be specified together";
            return Err(Refusal(400, "InvalidParameterCombination", message.to_owned()));
        }
        let id = parameters.get("GlobalClusterIdentifier").cloned().unwrap_or_default();
        let target = parameters.get("TargetDbClusterIdentifier").cloned().unwrap_or_default();
        let global = self.globals.get_mut(&id).ok_or_else(|| {
            Refusal(
                404,
                "GlobalClusterNotFoundFault",
                format!("Global cluster {id} not found"),
            )
        })?;
        // AWS asks for the ARN, "so that Aurora can locate the cluster in its Region": a name is found nowhere.
        if !global.members.contains(&target) {
            return Err(Refusal(
                404,
                "DBClusterNotFoundFault",
                format!("DBCluster {target} not found in {id}"),
            ));
        }
        let invalid = |message: String| Refusal(400, "InvalidGlobalClusterStateFault", message);
        if let Some(transition) = &global.transition {
            return Err(invalid(format!("{id} is failing over to {}", transition.to)));
        }
        if global.writer == target {
            return Err(invalid(format!("{target} is the writer of {id} already")));
        }
        if global.left_behind.contains_key(&target) {
            return Err(invalid(format!("{target} is being resynchronised")));
        }
        // The four operations document this code and InvalidGlobalClusterStateFault; the state of the global cluster is
        // fine, that of one of its members is not.
        let version = |arn: &str| {
            self.clusters
                .get(arn)
                .map(|cluster| minor_version(&cluster.engine_version))
        };
        if version(&global.writer) != version(&target) {
            let message = format!("{target} does not have the engine version of the writer of {id}");
            return Err(Refusal(400, "InvalidDBClusterStateFault", message));
        }
        let region_of = |arn: &str| {
            self.clusters
                .get(arn)
                .map(|cluster| cluster.region.clone())
                .unwrap_or_default()
        };
        let (from_region, to_region) = (region_of(&global.writer), region_of(&target));
        let now = environment.now();
        let timings = &environment.timings;
        let (begins_in, lasts) = if loses_data {
            if region != to_region {
                return Err(invalid(format!(
                    "a failover is called in {to_region}, the Region of the cluster promoted"
                )));
            }
            (
                environment.draw("global-failover", &timings.global_failover_pending),
                environment.draw("global-failover", &timings.global_failover),
            )
        } else {
            if region != from_region {
                return Err(invalid(format!(
                    "a switchover is called in {from_region}, the Region of the writer"
                )));
            }
            if !environment.databases_run(&to_region) {
                return Err(invalid(format!("{target} is not in sync with the writer")));
            }
            let lasts = environment.draw("global-switchover", &timings.global_switchover);
            (lasts / 4, lasts - lasts / 4)
        };
        let begins_at = now.checked_add(begins_in).unwrap_or(now);
        let hang = self.next_switchover_hangs.take_if(|_| !loses_data);
        let hang = hang.filter(|hang| environment.faults.holds(hang.fault));
        if let Some(hang) = hang {
            environment.faults.apply(hang.fault);
        }
        let fate = self.next_failover.take_if(|_| loses_data);
        let fate = fate.filter(|(fault, _)| environment.faults.holds(*fault));
        let stuck = fate.filter(|(_, fate)| *fate == Fate::Stuck).map(|(fault, _)| fault);
        let fate = fate.map(|(fault, fate)| {
            environment.faults.apply(fault);
            fate
        });
        let after_begin = |duration| begins_at.checked_add(duration).unwrap_or(begins_at);
        let cancelling_from = (fate == Some(Fate::Cancelled)).then(|| after_begin(lasts - lasts / 4));
        let lasts = hang.map_or(Some(lasts), |hang| hang.how_long);
        let hung = hang.filter(|hang| hang.how_long.is_none()).map(|hang| hang.fault);
        let ends_at = lasts.filter(|_| fate != Some(Fate::Stuck)).map(after_begin);
        global.transition = Some(Transition {
            to: target,
            loses_data,
            called_at: now,
            begins_at,
            ends_at,
            is_cancelled: hang.is_some() || fate == Some(Fate::Cancelled),
            cancelling_from,
            begun: false,
            is_cancelling: false,
            held_by: stuck.or(hung),
        });
        let answer = self.globals.get(&id).map(|global| self.global_xml(&id, global));
        Ok(element_of("GlobalCluster", &answer.unwrap_or_default()))
    }

    fn global_xml(&self, id: &str, global: &Global) -> String {
        let writer = self.clusters.get(&global.writer);
        let version = writer.map(|cluster| cluster.engine_version.as_str());
        global_xml(id, global, version.unwrap_or_default())
    }
}

/// The engine of every cluster.
const ENGINE: &str = "aurora-postgresql";
/// The version of a new cluster. From 15 on, clusters of a global database may differ in their patch level.
const ENGINE_VERSION: &str = "16.6";

/// Major and minor version, which the clusters of a failover or switchover must have in common. (Patch levels do not
/// count; of some of them AWS knows that they do.)
fn minor_version(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

fn advance_transition(
    clusters: &mut BTreeMap<String, Cluster>,
    global: &mut Global,
    environment: &Environment,
    now: Timestamp,
) {
    let Some(transition) = global.transition.clone() else {
        return;
    };
    if !transition.loses_data && interrupted(clusters, global, &transition, environment, now) {
        cancel(clusters, global, &transition, now);
        return;
    }
    if transition.held_by.is_some_and(|fault| !environment.faults.holds(fault)) {
        finish(global, clusters, &transition, now, environment);
        return;
    }
    if let Some(underway) = &mut global.transition
        && !underway.begun
        && now >= underway.begins_at
    {
        underway.begun = true;
        if let Some(target) = clusters.get_mut(&underway.to) {
            target.status = "promoting";
        }
        // A switchover stops writes first and lets the secondary catch up.
        if !underway.loses_data
            && let Some(writer) = clusters.get_mut(&global.writer)
        {
            writer.database.set_writable(false);
        }
    }
    if let Some(underway) = &mut global.transition {
        underway.is_cancelling = underway.cancelling_from.is_some_and(|from| now >= from);
    }
    match transition.ends_at.filter(|ends_at| now >= *ends_at) {
        Some(ended_at) if transition.is_cancelled => cancel(clusters, global, &transition, ended_at),
        Some(ended_at) => finish(global, clusters, &transition, ended_at, environment),
        None => {}
    }
}

/// Makes an old writer a secondary again, if that has taken its time by `now`: with the writer's data, and without what
/// it has taken itself since it was left behind.
fn rejoin(
    clusters: &mut BTreeMap<String, Cluster>,
    global: &mut Global,
    arn: &str,
    environment: &Environment,
    now: Timestamp,
) {
    let Some(left) = global.left_behind.get(arn) else {
        return;
    };
    let region_of = |arn: &str| {
        clusters
            .get(arn)
            .map(|cluster| cluster.region.as_str())
            .unwrap_or_default()
    };
    let regions = [region_of(arn), region_of(&global.writer)];
    let Some(rejoined_at) = environment
        .databases_had_run_for(&regions, left.since, left.takes)
        .filter(|at| *at <= now)
    else {
        return;
    };
    let copy = clusters
        .get(&global.writer)
        .and_then(|writer| writer.database.copy_as_of(rejoined_at).ok());
    if let (Some(cluster), Some(mut copy)) = (clusters.get_mut(arn), copy) {
        copy.set_writable(false);
        cluster.database = copy;
    }
    global.left_behind.remove(arn);
}

/// Refuses parameters that the simulator does not know, rather than not to heed them.
fn take_only(parameters: &Parameters, known: &[&str]) -> Result<(), Refusal> {
    let unknown = parameters
        .keys()
        .find(|name| !["Action", "Version"].contains(&name.as_str()) && !known.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(Refusal(
            501,
            "NotSimulated",
            format!("the simulated RDS does not know {name}"),
        )),
        None => Ok(()),
    }
}

/// Whether the databases of one of a switchover's two Regions went away while it went on.
fn interrupted(
    clusters: &BTreeMap<String, Cluster>,
    global: &Global,
    transition: &Transition,
    environment: &Environment,
    now: Timestamp,
) -> bool {
    [&global.writer, &transition.to]
        .into_iter()
        .filter_map(|arn| clusters.get(arn))
        .any(|cluster| {
            environment
                .databases_away_between(
                    &cluster.region,
                    transition.called_at,
                    transition.ends_at.map_or(now, |ends_at| now.min(ends_at)),
                )
                .is_some()
        })
}

/// Puts everything back to where it was before a switchover or failover.
fn cancel(clusters: &mut BTreeMap<String, Cluster>, global: &mut Global, transition: &Transition, at: Timestamp) {
    if let Some(accepted) = global.moves.iter_mut().rev().find(|asked| asked.accepted) {
        accepted.given_up_at = Some(at);
    }
    if let Some(target) = clusters.get_mut(&transition.to) {
        target.status = "available";
    }
    if let Some(writer) = clusters.get_mut(&global.writer) {
        writer.database.set_writable(true);
    }
    global.transition = None;
}

/// The end of a failover or switchover: the target takes over, with what reached it.
fn finish(
    global: &mut Global,
    clusters: &mut BTreeMap<String, Cluster>,
    transition: &Transition,
    ended_at: Timestamp,
    environment: &Environment,
) {
    let old_arn = global.writer.clone();
    let reached = match clusters.get(&old_arn) {
        // Replication ended where the promotion began, or with the Region if that was away by then, and was behind by
        // the lag of that moment.
        Some(old) if transition.loses_data => {
            let began_at = transition.begins_at;
            let cut = environment
                .databases_away_between(&old.region, began_at, began_at)
                .unwrap_or(began_at);
            cut.checked_sub(global.lag_at(cut)).unwrap_or(cut)
        }
        _ => Timestamp::MAX,
    };
    let copy = clusters
        .get(&old_arn)
        .and_then(|old| old.database.copy_as_of(reached).ok());
    if let (Some(target), Some(copy)) = (clusters.get_mut(&transition.to), copy) {
        target.database = copy;
        target.status = "available";
        let ready_in = environment.draw("data-api-ready", &environment.timings.data_api_ready);
        target.takes_statements_from = ended_at.checked_add(ready_in).unwrap_or(ended_at);
    }
    if transition.loses_data {
        let takes = environment.draw("global-resync", &environment.timings.global_resync);
        let left = LeftBehind { since: ended_at, takes };
        global.left_behind.insert(old_arn, left);
    }
    global.writer = transition.to.clone();
    global.transition = None;
}

impl Global {
    /// Whether a cluster is a secondary: a member that does not write, nor is left behind from when it did.
    fn keeps_reading(&self, arn: &str) -> bool {
        self.members.iter().any(|member| member == arn) && self.writer != arn && !self.left_behind.contains_key(arn)
    }

    fn synchronization(&self, arn: &str) -> &'static str {
        if self.left_behind.contains_key(arn) {
            "pending-resync"
        } else {
            "connected"
        }
    }

    fn lag_at(&self, at: Timestamp) -> Duration {
        self.lag
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .map(|(_, lag)| *lag)
            .unwrap_or_default()
    }

    fn failover_status(&self) -> &'static str {
        match &self.transition {
            Some(transition) if transition.is_cancelling => "cancelling",
            Some(transition) if transition.begun && transition.loses_data => "failing-over",
            Some(transition) if transition.begun => "switching-over",
            _ => "pending",
        }
    }
}

fn global_xml(id: &str, global: &Global, engine_version: &str) -> String {
    let members: String = global
        .members
        .iter()
        .map(|arn| {
            let is_writer = global.writer == *arn;
            let readers: String = global
                .members
                .iter()
                .filter(|other| *other != arn)
                .map(|other| element("member", other))
                .collect();
            let readers = if is_writer {
                format!("<Readers>{readers}</Readers>")
            } else {
                "<Readers/>".to_owned()
            };
            format!(
                "<GlobalClusterMember>{}{}{readers}{}</GlobalClusterMember>",
                element("DBClusterArn", arn),
                element("IsWriter", &is_writer.to_string()),
                element("SynchronizationStatus", global.synchronization(arn)),
            )
        })
        .collect();
    let transition = global.transition.as_ref().map_or_else(String::new, |transition| {
        format!(
            "<FailoverState>{}{}{}{}</FailoverState>",
            element("Status", global.failover_status()),
            element("FromDbClusterArn", &global.writer),
            element("ToDbClusterArn", &transition.to),
            element("IsDataLossAllowed", &transition.loses_data.to_string()),
        )
    });
    let status = match &global.transition {
        None => "available",
        Some(transition) if transition.loses_data => "failing-over",
        Some(_) => "switching-over",
    };
    format!(
        "{}{}{}{}<GlobalClusterMembers>{members}</GlobalClusterMembers>{transition}",
        element("GlobalClusterIdentifier", id),
        element("Status", status),
        element("Engine", ENGINE),
        element("EngineVersion", engine_version),
    )
}

/// An element around others. What AWS calls a global cluster depends on where it stands.
fn element_of(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

fn cluster_xml(arn: &str, cluster: &Cluster, is_writer: bool) -> String {
    let members: String = cluster
        .instances
        .iter()
        .enumerate()
        .map(|(index, id)| {
            let is_writer = is_writer && index == 0;
            let id = element("DBInstanceIdentifier", id);
            format!(
                "<DBClusterMember>{id}{}</DBClusterMember>",
                element("IsClusterWriter", &is_writer.to_string())
            )
        })
        .collect();
    format!(
        "<DBCluster>{}{}{}{}{}{}<DBClusterMembers>{members}</DBClusterMembers></DBCluster>",
        element("DBClusterIdentifier", &cluster.id),
        element("DBClusterArn", arn),
        element("Status", cluster.status),
        element("Engine", ENGINE),
        element("EngineVersion", &cluster.engine_version),
        element("HttpEndpointEnabled", &cluster.data_api.to_string()),
    )
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
    fn publish_lags(&self, environment: &Environment, id: &str, ago: SignedDuration) {
        let now = environment.now();
        let at = now.checked_sub(ago).unwrap_or(now);
        for (region, cluster, lag) in self.lags(environment, id, now) {
            let metric = Metric {
                namespace: "AWS/RDS".to_owned(),
                name: "AuroraGlobalDBRPOLag".to_owned(),
                dimensions: BTreeMap::from([("DBClusterIdentifier".to_owned(), cluster)]),
            };
            self.cloudwatch.publish(&region, &metric, at, lag.as_millis() as f64);
        }
    }

    /// Region and identifier of each cluster that replication reaches at `now`, and how far it is behind, where that is
    /// published.
    fn lags(&self, environment: &Environment, id: &str, now: Timestamp) -> Vec<(String, String, Duration)> {
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
        global
            .members
            .iter()
            .filter(|arn| global.keeps_reading(arn) && runs(arn))
            .filter_map(|arn| clusters.get(arn))
            .map(|cluster| (cluster.region.clone(), cluster.id.clone(), global.lag_at(now)))
            .collect()
    }
}

const A_MINUTE: Duration = Duration::from_secs(60);
/// For how many minutes replication had run when the simulation begins, as its metric shows: an alarm that takes missing
/// data as breaching would go off at once without them.
const RAN_BEFORE: i64 = 10;
