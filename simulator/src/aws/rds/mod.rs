//! RDS: Aurora clusters in a global database, their failover and switchover over time, and the databases inside.
//!
//! Simplified, always to the worse side: Aurora tries to stop the old side's writes when it fails over, and promises
//! nothing; here it never manages to, and the old side takes writes until it has been made anew, when they are gone. A
//! switchover during which either Region, or its databases, go away is cancelled at once.
//!
//! Replication and what has begun need no Region's public API, so that it may be away meanwhile.

mod data_api;
mod service;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub use self::data_api::DataApi;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::service::reply_at_once;
    use crate::clock::Clock;
    use crate::cloud::Cloud;
    use crate::timings::{Range, Timings};

    const EAST: &str = "us-east-1";
    const WEST: &str = "us-west-2";
    const OLD: &str = "arn:aws:rds:us-east-1:123456789012:cluster:shop";
    const NEW: &str = "arn:aws:rds:us-west-2:123456789012:cluster:shop-west";
    const LAG: Duration = Duration::from_millis(500);
    const RESYNC: Duration = Duration::from_secs(1_000);

    fn exactly(duration: Duration) -> Range {
        Range {
            from: duration,
            to: duration,
            source: "a test".to_owned(),
        }
    }

    /// The moment `second` seconds after the beginning.
    fn at(second: f64) -> Timestamp {
        Timestamp::from_millisecond((second * 1000.0) as i64).unwrap()
    }

    /// A failover waits 4 s and then lasts 60 s, a switchover takes 40 s, a quarter of it before it begins; the Data API
    /// is ready 5 s later; the lag is half a second.
    fn world() -> Arc<Cloud> {
        let timings = Timings {
            replication_lag: exactly(LAG),
            global_failover_pending: exactly(Duration::from_secs(4)),
            global_failover: exactly(Duration::from_secs(60)),
            global_switchover: exactly(Duration::from_secs(40)),
            global_resync: exactly(RESYNC),
            data_api_ready: exactly(Duration::from_secs(5)),
            ..Timings::built_in().unwrap()
        };
        let cloud = Cloud::new("123456789012", 7, Clock::starting_at(at(0.0)), timings);
        let cluster = |arn: &str, region: &str| NewCluster {
            arn: arn.to_owned(),
            id: arn.rsplit(':').next().unwrap().to_owned(),
            region: region.to_owned(),
            secret_arn: format!("{arn}-secret"),
        };
        cloud
            .rds
            .create_global_database(&cloud, "shops", &[cluster(OLD, EAST), cluster(NEW, WEST)])
            .unwrap();
        tokio::spawn(replicate(
            Arc::clone(&cloud.rds),
            cloud.environment(),
            "shops".to_owned(),
        ));
        sql(&cloud, OLD, "CREATE TABLE sales (second BIGINT)").unwrap();
        cloud
    }

    fn sql(cloud: &Cloud, cluster: &str, sql: &str) -> Result<Rows, SqlRefusal> {
        let region = if cluster == OLD { EAST } else { WEST };
        cloud.rds.execute(cloud, region, cluster, sql, &BTreeMap::new())
    }

    fn code(result: Result<Rows, SqlRefusal>) -> (u16, &'static str) {
        let refusal = result.unwrap_err();
        (refusal.status, refusal.code)
    }

    const NOT_AVAILABLE: (u16, &str) = (504, "DatabaseUnavailableException");

    /// Sells at each of these seconds, to which time moves on.
    async fn sell(cloud: &Cloud, cluster: &str, seconds: &[f64]) {
        for second in seconds {
            cloud.clock.wait_until(at(*second)).await;
            sql(cloud, cluster, &format!("INSERT INTO sales VALUES ({second})")).unwrap();
        }
    }

    fn sold(cloud: &Cloud, cluster: &str) -> Vec<f64> {
        let rows = sql(cloud, cluster, "SELECT CAST(second AS REAL) FROM sales ORDER BY second").unwrap();
        let seconds = rows.rows.iter().map(|row| match row[0] {
            Value::Real(second) => second,
            ref other => panic!("{other:?}"),
        });
        seconds.collect()
    }

    /// Makes a call; gives the answer's body or the error's code.
    fn call(cloud: &Cloud, region: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        let call = Call {
            service: "rds".to_owned(),
            region: region.to_owned(),
            method: "POST".to_owned(),
            uri: format!("https://rds.{region}.amazonaws.com/"),
            path: "/".to_owned(),
            headers: http::HeaderMap::new(),
            body: body.extend_pairs(parameters).finish().into(),
        };
        let Reply { status, body, .. } = reply_at_once(&*cloud.rds, cloud, &call);
        let body = String::from_utf8(body).unwrap();
        match status {
            200 => Ok(body),
            _ => Err(within(&body, "Code").unwrap()),
        }
    }

    fn within(xml: &str, name: &str) -> Option<String> {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    }

    fn fail_over(cloud: &Cloud) -> Result<String, String> {
        move_to(cloud, WEST, NEW, "FailoverGlobalCluster", &[("AllowDataLoss", "true")])
    }

    fn switch_over(cloud: &Cloud) -> Result<String, String> {
        move_to(cloud, EAST, NEW, "SwitchoverGlobalCluster", &[])
    }

    fn move_to(
        cloud: &Cloud,
        region: &str,
        target: &str,
        operation: &str,
        more: &[(&str, &str)],
    ) -> Result<String, String> {
        let mut parameters = vec![
            ("Action", operation),
            ("Version", "2014-10-31"),
            ("GlobalClusterIdentifier", "shops"),
            ("TargetDbClusterIdentifier", target),
        ];
        parameters.extend(more);
        call(cloud, region, &parameters)
    }

    /// What is going on: the failover state's status; the target's status; whether the target is the writer; and how the
    /// old cluster is synchronised.
    fn seen(cloud: &Cloud) -> (Option<String>, String, bool, String) {
        let global = call(cloud, WEST, &[("Action", "DescribeGlobalClusters")]).unwrap();
        let cluster = [("Action", "DescribeDBClusters"), ("DBClusterIdentifier", "shop-west")];
        let cluster = call(cloud, WEST, &cluster).unwrap();
        let member = |arn: &str| {
            let (_, rest) = global
                .split_once(&format!("<DBClusterArn>{arn}</DBClusterArn>"))
                .unwrap();
            rest.to_owned()
        };
        (
            within(&global, "FailoverState").and_then(|state| within(&state, "Status")),
            within(&cluster, "Status").unwrap(),
            within(&member(NEW), "IsWriter").unwrap() == "true",
            within(&member(OLD), "SynchronizationStatus").unwrap(),
        )
    }

    fn state(failover: &str, target: &str, is_writer: bool, old: &str) -> (Option<String>, String, bool, String) {
        let failover = Some(failover.to_owned()).filter(|failover| !failover.is_empty());
        (failover, target.to_owned(), is_writer, old.to_owned())
    }

    const INVALID: Result<String, &str> = Err("InvalidGlobalClusterStateFault");

    fn is_invalid(result: &Result<String, String>) -> bool {
        result.as_ref().map_err(String::as_str) == INVALID.as_ref().map_err(|code| *code)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failover_keeps_what_had_arrived_when_the_region_went_away() {
        let cloud = world();
        sell(&cloud, OLD, &[10.0, 99.5, 99.75]).await;
        cloud.clock.wait_until(at(100.0)).await;
        cloud.take_region_away(EAST);
        cloud.clock.wait_until(at(200.0)).await;
        let accepted = fail_over(&cloud).unwrap();
        assert_eq!(within(&accepted, "Status").unwrap(), "failing-over");
        assert_eq!(seen(&cloud), state("pending", "available", false, "connected"));
        cloud.clock.wait_until(at(203.999)).await;
        assert_eq!(seen(&cloud).0.unwrap(), "pending");
        cloud.clock.wait_until(at(204.0)).await;
        assert_eq!(seen(&cloud), state("failing-over", "promoting", false, "connected"));
        cloud.clock.wait_until(at(263.999)).await;
        assert_eq!(seen(&cloud), state("failing-over", "promoting", false, "connected"));
        assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), OLD);
        assert_eq!(code(sql(&cloud, NEW, "SELECT 1")), NOT_AVAILABLE);
        cloud.clock.wait_until(at(264.0)).await;
        assert_eq!(seen(&cloud), state("", "available", true, "pending-resync"));
        assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), NEW);
        cloud.clock.wait_until(at(268.999)).await;
        assert_eq!(code(sql(&cloud, NEW, "SELECT 1")), NOT_AVAILABLE);
        cloud.clock.wait_until(at(269.0)).await;
        // Half a second of lag: what was sold at 99.75 had not arrived at 100.
        assert_eq!(sold(&cloud, NEW), [10.0, 99.5]);
        sell(&cloud, NEW, &[270.0]).await;
        assert_eq!(sold(&cloud, NEW), [10.0, 99.5, 270.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_side_that_is_up_takes_writes_until_it_is_made_anew_and_loses_them() {
        let cloud = world();
        sell(&cloud, OLD, &[10.0]).await;
        cloud.clock.wait_until(at(100.0)).await;
        fail_over(&cloud).unwrap();
        // The promotion begins at 104, with what was committed until 103.5.
        sell(&cloud, OLD, &[103.5, 103.75, 163.75]).await;
        assert_eq!(sold(&cloud, OLD), [10.0, 103.5, 103.75, 163.75]);
        cloud.clock.wait_until(at(169.0)).await;
        assert_eq!(sold(&cloud, NEW), [10.0, 103.5]);
        sell(&cloud, NEW, &[170.0]).await;
        sell(&cloud, OLD, &[171.0, 1163.5]).await;
        assert_eq!(seen(&cloud), state("", "available", true, "pending-resync"));
        cloud.clock.wait_until(at(1164.0)).await;
        assert_eq!(seen(&cloud), state("", "available", true, "connected"));
        assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), NOT_AVAILABLE);
        let select = "SELECT CAST(max(second) AS REAL) FROM sales";
        let held = cloud.rds.look_into(&cloud, OLD, select, &BTreeMap::new()).unwrap();
        assert_eq!(held.rows, [[Value::Real(170.0)]]);
        // It replicates, and can be switched over to; what it took meanwhile is gone.
        sell(&cloud, NEW, &[1165.0]).await;
        move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &[]).unwrap();
        cloud.clock.wait_until(at(1300.0)).await;
        assert_eq!(sold(&cloud, OLD), [10.0, 103.5, 170.0, 1165.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_side_is_made_anew_while_both_regions_run() {
        let cloud = world();
        cloud.take_region_away(EAST);
        fail_over(&cloud).unwrap();
        let old = |cloud: &Cloud| seen(cloud).3;
        for (region, from, until) in [(EAST, 0.0, 500.0), (WEST, 1_400.0, 1_450.0)] {
            cloud.clock.wait_until(at(from)).await;
            cloud.take_region_away(region);
            cloud.clock.wait_until(at(until)).await;
            cloud.give_region_back(region);
        }
        // Back at 500, interrupted before it was done.
        cloud.clock.wait_until(at(2_449.0)).await;
        assert_eq!(old(&cloud), "pending-resync");
        // Nobody looked in between, and then it was away again: it was done all the same.
        cloud.clock.wait_until(at(2_451.0)).await;
        cloud.take_region_away(EAST);
        cloud.clock.wait_until(at(3_000.0)).await;
        assert_eq!(old(&cloud), "connected");
    }

    #[tokio::test(start_paused = true)]
    async fn neither_replication_nor_a_failover_needs_the_apis_of_the_primary() {
        let cloud = world();
        cloud.take_away(EAST, Reach::Apis);
        cloud.take_away(EAST, Reach::Customers);
        sell(&cloud, OLD, &[99.0]).await;
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(170.0)).await;
        assert!(seen(&cloud).2);
        assert_eq!(sold(&cloud, NEW), [99.0]);
        // What customers still reach takes writes, which are lost.
        sell(&cloud, OLD, &[171.0]).await;
        assert_eq!(sold(&cloud, NEW), [99.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_switchover_that_hangs_is_cancelled_in_the_end_or_never() {
        let cloud = world();
        cloud.rds.hang_next_switchover(&cloud, Some(Duration::from_secs(300)));
        switch_over(&cloud).unwrap();
        sell(&cloud, OLD, &[9.0]).await;
        for second in [10.0, 100.0, 309.0] {
            cloud.clock.wait_until(at(second)).await;
            assert_eq!(
                seen(&cloud),
                state("switching-over", "promoting", false, "connected"),
                "{second}"
            );
            assert!(sql(&cloud, OLD, "INSERT INTO sales VALUES (0)").is_err());
            assert!(is_invalid(&fail_over(&cloud)) && is_invalid(&switch_over(&cloud)));
        }
        cloud.clock.wait_until(at(310.0)).await;
        assert_eq!(seen(&cloud), state("", "available", false, "connected"));
        sell(&cloud, OLD, &[311.0]).await;
        // The next one does not hang.
        switch_over(&cloud).unwrap();
        cloud.clock.wait_until(at(400.0)).await;
        assert_eq!(sold(&cloud, NEW), [9.0, 311.0]);

        let cloud = world();
        cloud.rds.hang_next_switchover(&cloud, None);
        switch_over(&cloud).unwrap();
        cloud.clock.wait_until(at(100_000.0)).await;
        assert_eq!(seen(&cloud), state("switching-over", "promoting", false, "connected"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lag_that_is_set_decides_what_a_failover_loses() {
        let cloud = world();
        sell(&cloud, OLD, &[50.0]).await;
        cloud
            .rds
            .set_replication_lag(&cloud, "shops", Some(Duration::from_secs(30)));
        sell(&cloud, OLD, &[160.0, 180.0]).await;
        cloud.clock.wait_until(at(200.0)).await;
        cloud.take_region_away(EAST);
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(300.0)).await;
        assert_eq!(sold(&cloud, NEW), [50.0, 160.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failover_that_is_stuck_never_ends() {
        let cloud = world();
        let unused = cloud.rds.stick_next_failover(&cloud);
        cloud.faults.lift(unused);
        let fault = cloud.rds.stick_next_failover(&cloud);
        // A switchover leaves it for the next failover.
        switch_over(&cloud).unwrap();
        cloud.clock.wait_until(at(50.0)).await;
        let back = [("AllowDataLoss", "true")];
        assert_eq!(cloud.faults.applied(fault), 0);
        move_to(&cloud, EAST, OLD, "FailoverGlobalCluster", &back).unwrap();
        assert_eq!((cloud.faults.applied(fault), cloud.faults.applied(unused)), (1, 0));
        cloud.clock.wait_until(at(54.0)).await;
        assert_eq!(seen(&cloud).0.as_deref(), Some("failing-over"));
        cloud.clock.wait_until(at(100_000.0)).await;
        assert_eq!(seen(&cloud).0.as_deref(), Some("failing-over"));
        assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), NEW);
        let again = move_to(&cloud, EAST, OLD, "FailoverGlobalCluster", &back);
        assert!(is_invalid(&again));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failover_that_fails_leaves_everything_as_before_and_the_next_one_works() {
        let cloud = world();
        sell(&cloud, OLD, &[10.0]).await;
        let before = cloud.rds.global_databases(&cloud);
        let fault = cloud.rds.fail_next_failover(&cloud);
        cloud.clock.wait_until(at(100.0)).await;
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(148.999)).await;
        assert_eq!(seen(&cloud), state("failing-over", "promoting", false, "connected"));
        cloud.clock.wait_until(at(149.0)).await;
        assert_eq!(seen(&cloud), state("cancelling", "promoting", false, "connected"));
        cloud.clock.wait_until(at(163.999)).await;
        assert_eq!(seen(&cloud).0.as_deref(), Some("cancelling"));
        cloud.clock.wait_until(at(164.0)).await;
        assert_eq!(
            (cloud.rds.global_databases(&cloud), cloud.faults.applied(fault)),
            (before, 1)
        );
        sell(&cloud, OLD, &[170.0]).await;
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(240.0)).await;
        assert_eq!(sold(&cloud, NEW), [10.0, 170.0]);
        assert_eq!(cloud.faults.applied(fault), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn databases_that_are_away_stop_replication_switchovers_and_being_made_anew() {
        // What was written before they went away arrives, as far as it would have; nothing after.
        let cloud = world();
        sell(&cloud, OLD, &[50.0, 99.75]).await;
        cloud.clock.wait_until(at(100.0)).await;
        let fault = cloud.rds.take_database_away(&cloud, EAST);
        assert_eq!(code(sql(&cloud, OLD, "INSERT INTO sales VALUES (100)")), NOT_AVAILABLE);
        assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), NOT_AVAILABLE);
        assert_eq!(cloud.faults.applied(fault), 2);
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(200.0)).await;
        assert_eq!(sold(&cloud, NEW), [50.0]);
        // The old side is made anew when its databases are back.
        cloud.clock.wait_until(at(2_000.0)).await;
        assert_eq!(seen(&cloud).3, "pending-resync");
        cloud.rds.give_database_back(&cloud, EAST);
        cloud.clock.wait_until(at(3_000.0)).await;
        assert_eq!(seen(&cloud).3, "connected");

        let cloud = world();
        switch_over(&cloud).unwrap();
        cloud.clock.wait_until(at(20.0)).await;
        cloud.rds.take_database_away(&cloud, WEST);
        assert_eq!(seen(&cloud), state("", "available", false, "connected"));
        assert!(is_invalid(&switch_over(&cloud)), "the other side is not in sync");
        assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), OLD);
        sql(&cloud, OLD, "SELECT 1").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_failover_keeps_does_not_depend_on_what_becomes_of_the_region_later() {
        // The Region comes back after the promotion began: what it held back is lost all the same.
        let cloud = world();
        sell(&cloud, OLD, &[99.5, 99.75]).await;
        cloud.clock.wait_until(at(100.0)).await;
        cloud.take_region_away(EAST);
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(110.0)).await;
        cloud.give_region_back(EAST);
        cloud.clock.wait_until(at(200.0)).await;
        assert_eq!(sold(&cloud, NEW), [99.5]);

        // The Region goes away after the promotion began: what was written in between is lost.
        let cloud = world();
        let began = cloud.now().as_millisecond();
        assert_eq!(began, 0);
        fail_over(&cloud).unwrap();
        sell(&cloud, OLD, &[3.5, 5.0]).await;
        cloud.clock.wait_until(at(10.0)).await;
        cloud.take_region_away(EAST);
        cloud.clock.wait_until(at(200.0)).await;
        assert_eq!(sold(&cloud, NEW), [3.5]);

        // The Region came back before the failover: replication had caught up.
        let cloud = world();
        sell(&cloud, OLD, &[9.75]).await;
        cloud.clock.wait_until(at(10.0)).await;
        cloud.take_region_away(EAST);
        cloud.clock.wait_until(at(20.0)).await;
        cloud.give_region_back(EAST);
        cloud.clock.wait_until(at(30.0)).await;
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(200.0)).await;
        assert_eq!(sold(&cloud, NEW), [9.75]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_switchover_stops_writes_at_its_beginning_and_loses_nothing() {
        let cloud = world();
        cloud.clock.wait_until(at(100.0)).await;
        let accepted = switch_over(&cloud).unwrap();
        assert_eq!(within(&accepted, "Status").unwrap(), "switching-over");
        assert_eq!(within(&accepted, "IsDataLossAllowed").unwrap(), "false");
        assert_eq!(seen(&cloud), state("pending", "available", false, "connected"));
        sell(&cloud, OLD, &[109.75]).await;
        cloud.clock.wait_until(at(110.0)).await;
        assert_eq!(seen(&cloud), state("switching-over", "promoting", false, "connected"));
        let refused = sql(&cloud, OLD, "INSERT INTO sales VALUES (110)").unwrap_err();
        assert_eq!((refused.status, refused.code), (400, "DatabaseErrorException"));
        assert!(refused.message.contains("read-only transaction"), "{}", refused.message);
        assert_eq!(sold(&cloud, OLD), [109.75]);
        cloud.clock.wait_until(at(139.999)).await;
        assert!(!seen(&cloud).2);
        cloud.clock.wait_until(at(140.0)).await;
        assert_eq!(seen(&cloud), state("", "available", true, "connected"));
        assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), NOT_AVAILABLE);
        cloud.clock.wait_until(at(145.0)).await;
        assert_eq!(sold(&cloud, NEW), [109.75]);
        // And back, from the other Region.
        assert!(is_invalid(&move_to(&cloud, EAST, OLD, "SwitchoverGlobalCluster", &[])));
        move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &[]).unwrap();
        sell(&cloud, NEW, &[150.0]).await;
        cloud.clock.wait_until(at(190.0)).await;
        assert_eq!(sold(&cloud, OLD), [109.75, 150.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_switchover_is_cancelled_when_a_region_goes_away() {
        for (gone, after) in [(EAST, 5.0), (EAST, 20.0), (WEST, 20.0)] {
            let cloud = world();
            switch_over(&cloud).unwrap();
            cloud.clock.wait_until(at(after)).await;
            cloud.take_region_away(gone);
            assert_eq!(
                seen(&cloud),
                state("", "available", false, "connected"),
                "{gone} {after}"
            );
            cloud.give_region_back(gone);
            sell(&cloud, OLD, &[41.0]).await;
            assert_eq!(seen(&cloud), state("", "available", false, "connected"));
            // Nothing stands in the way of a failover.
            fail_over(&cloud).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failover_that_does_not_allow_loss_is_a_switchover() {
        for more in [vec![], vec![("Switchover", "true")], vec![("AllowDataLoss", "false")]] {
            let fail_over = |cloud: &Cloud, region| move_to(cloud, region, NEW, "FailoverGlobalCluster", &more);
            let cloud = world();
            assert!(is_invalid(&fail_over(&cloud, WEST)), "{more:?}");
            let accepted = fail_over(&cloud, EAST).unwrap();
            assert_eq!(within(&accepted, "IsDataLossAllowed").unwrap(), "false");
            cloud.clock.wait_until(at(20.0)).await;
            assert_eq!(seen(&cloud).0.unwrap(), "switching-over");
            // With the primary's Region away it cannot be had at all.
            let cloud = world();
            cloud.take_region_away(EAST);
            assert!(is_invalid(&fail_over(&cloud, WEST)), "{more:?}");
        }
        let cloud = world();
        let both = [("AllowDataLoss", "true"), ("Switchover", "true")];
        let refused = move_to(&cloud, WEST, NEW, "FailoverGlobalCluster", &both);
        assert_eq!(refused.unwrap_err(), "InvalidParameterCombination");
        assert_eq!(seen(&cloud).0, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_switchover_needs_both_sides_in_sync_and_the_right_region() {
        let cloud = world();
        assert!(is_invalid(&move_to(&cloud, WEST, NEW, "SwitchoverGlobalCluster", &[])));
        cloud.take_region_away(WEST);
        assert!(is_invalid(&switch_over(&cloud)));
        cloud.give_region_back(WEST);
        fail_over(&cloud).unwrap();
        cloud.clock.wait_until(at(100.0)).await;
        // The old one is out of sync, whichever way it is asked for.
        assert!(is_invalid(&move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &[])));
        let more = [("AllowDataLoss", "true")];
        assert!(is_invalid(&move_to(&cloud, EAST, OLD, "FailoverGlobalCluster", &more)));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_make_no_sense_are_refused() {
        let cloud = world();
        let loss = [("AllowDataLoss", "true")];
        let fail_over_to = |region, target| move_to(&cloud, region, target, "FailoverGlobalCluster", &loss);
        assert_eq!(fail_over_to(WEST, "shop-west").unwrap_err(), "DBClusterNotFoundFault");
        assert_eq!(fail_over_to(WEST, "").unwrap_err(), "DBClusterNotFoundFault");
        assert!(is_invalid(&fail_over_to(EAST, NEW)));
        assert!(is_invalid(&fail_over_to(EAST, OLD)));
        assert_eq!(seen(&cloud).0, None);
        let elsewhere = [
            ("Action", "FailoverGlobalCluster"),
            ("GlobalClusterIdentifier", "barns"),
            ("TargetDbClusterIdentifier", NEW),
        ];
        assert_eq!(
            call(&cloud, WEST, &elsewhere).unwrap_err(),
            "GlobalClusterNotFoundFault"
        );
        fail_over(&cloud).unwrap();
        assert!(is_invalid(&fail_over(&cloud)));
        assert!(is_invalid(&switch_over(&cloud)));
        cloud.clock.wait_until(at(64.0)).await;
        assert!(is_invalid(&fail_over(&cloud)));

        // What is not simulated says so.
        let odd = [("Filters.Filter.1.Name", "engine")];
        for operation in ["DescribeDBClusters", "DescribeGlobalClusters"] {
            let parameters = [("Action", operation), odd[0]];
            assert_eq!(call(&cloud, WEST, &parameters).unwrap_err(), "NotSimulated");
        }
        let switchover = move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &loss);
        assert_eq!(switchover.unwrap_err(), "NotSimulated");
        let reboot = call(&cloud, WEST, &[("Action", "RebootDBCluster")]);
        assert_eq!(reboot.unwrap_err(), "NotSimulated");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_is_described_in_its_own_region_only() {
        let cloud = world();
        let describe = |region, id| {
            call(
                &cloud,
                region,
                &[("Action", "DescribeDBClusters"), ("DBClusterIdentifier", id)],
            )
        };
        for id in ["shop-west", NEW] {
            let found = describe(WEST, id).unwrap();
            assert_eq!(within(&found, "DBClusterArn").unwrap(), NEW);
            assert_eq!(within(&found, "IsClusterWriter").unwrap(), "false");
            assert_eq!(describe(EAST, id).unwrap_err(), "DBClusterNotFoundFault");
        }
        assert_eq!(
            within(&describe(EAST, "shop").unwrap(), "IsClusterWriter").unwrap(),
            "true"
        );
        let all = call(&cloud, EAST, &[("Action", "DescribeDBClusters")]).unwrap();
        assert_eq!(all.matches("<DBClusterArn>").count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_data_api_refuses_as_it_is_documented() {
        let cloud = world();
        assert_eq!(code(sql(&cloud, NEW, "SELECT 1")), NOT_AVAILABLE);
        assert_eq!(
            code(sql(&cloud, "arn:of:nothing", "SELECT 1")),
            (400, "BadRequestException")
        );
        let wrong_region = cloud.rds.execute(&cloud, WEST, OLD, "SELECT 1", &BTreeMap::new());
        assert_eq!(code(wrong_region), (400, "BadRequestException"));
        assert_eq!(code(sql(&cloud, OLD, "SELEKT 1")), (400, "DatabaseErrorException"));
        cloud.rds.set_data_api(OLD, false);
        assert_eq!(
            code(sql(&cloud, OLD, "SELECT 1")),
            (400, "HttpEndpointNotEnabledException")
        );
        cloud.rds.set_data_api(OLD, true);
        assert_eq!(sql(&cloud, OLD, "SELECT 1").unwrap().rows, [[Value::Integer(1)]]);
        cloud.rds.set_instances(OLD, &[]);
        assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), (404, "DatabaseNotFoundException"));
    }
}
