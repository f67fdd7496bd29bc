//! RDS: Aurora clusters in a global database, their failover and switchover over time, and the databases inside.
//!
//! Simplified, always to the worse side: Aurora tries to stop the old side's writes when it fails over, and promises
//! nothing; here it never manages to. The old side stays `pending-resync` for ever, where Aurora rebuilds it within
//! minutes to hours. A switchover during which either Region goes away is cancelled at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::cloudwatch::Metric;
use super::wire::{Answer, Call, Reply, element, query_parameters};
use crate::cloud::{Cloud, lock};
use crate::database::{Database, Rows, Value};

/// RDS in all Regions.
#[derive(Default)]
pub struct Rds {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clusters: BTreeMap<String, Cluster>,
    globals: BTreeMap<String, Global>,
}

struct Cluster {
    id: String,
    region: String,
    status: &'static str,
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
    out_of_sync: Vec<String>,
    /// Replication lag from each moment on.
    lag: Vec<(Timestamp, Duration)>,
}

/// A failover or switchover.
#[derive(Clone)]
struct Transition {
    to: String,
    /// Whether it is a failover.
    loses_data: bool,
    called_at: Timestamp,
    begins_at: Timestamp,
    ends_at: Timestamp,
    begun: bool,
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
    /// Makes a global database whose first cluster is the writer; each has one instance and the Data API on. Errors: a
    /// text, if a database cannot be made.
    pub fn create_global_database(&self, cloud: &Cloud, id: &str, clusters: &[NewCluster]) -> Result<(), String> {
        let mut state = lock(&self.state);
        for (index, new) in clusters.iter().enumerate() {
            let mut database = Database::new()?;
            database.set_writable(index == 0);
            let cluster = Cluster {
                id: new.id.clone(),
                region: new.region.clone(),
                status: "available",
                secret_arn: new.secret_arn.clone(),
                data_api: true,
                takes_statements_from: cloud.now(),
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
            out_of_sync: Vec::new(),
            lag: Vec::new(),
        };
        state.globals.insert(id.to_owned(), global);
        Ok(())
    }

    /// Runs one statement on a cluster, as the Data API does.
    pub fn execute(
        &self,
        cloud: &Cloud,
        region: &str,
        cluster_arn: &str,
        sql: &str,
        parameters: &BTreeMap<String, Value>,
    ) -> Result<Rows, SqlRefusal> {
        let now = cloud.now();
        let mut state = lock(&self.state);
        state.advance(cloud, now);
        let is_writer = !state
            .globals
            .values()
            .any(|global| global.members.iter().any(|member| member == cluster_arn) && global.writer != cluster_arn);
        let refuse = |status, code, message: &str| SqlRefusal {
            status,
            code,
            message: message.to_owned(),
        };
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
        if !is_writer || now < cluster.takes_statements_from {
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
    pub fn writer_of(&self, cloud: &Cloud, global: &str) -> Option<String> {
        let mut state = lock(&self.state);
        state.advance(cloud, cloud.now());
        state.globals.get(global).map(|global| global.writer.clone())
    }

    /// The Region of a cluster.
    pub fn region_of(&self, cluster_arn: &str) -> Option<String> {
        lock(&self.state)
            .clusters
            .get(cluster_arn)
            .map(|cluster| cluster.region.clone())
    }

    pub(crate) fn answer(&self, cloud: &Cloud, call: &Call) -> Answer {
        let parameters = query_parameters(&call.body);
        let operation = parameters.get("Action").cloned().unwrap_or_default();
        let mut state = lock(&self.state);
        state.advance(cloud, cloud.now());
        let result = match operation.as_str() {
            "DescribeGlobalClusters" => state.describe_global_clusters(&parameters),
            "DescribeDBClusters" => state.describe_clusters(&call.region, &parameters),
            "FailoverGlobalCluster" | "SwitchoverGlobalCluster" => {
                state.move_writer(cloud, &call.region, &operation, &parameters)
            }
            other => Err(Refusal(
                501,
                "NotSimulated",
                format!("the simulated RDS has no {other}"),
            )),
        };
        let reply = match result {
            Ok(result) => Reply::query(&operation, &result),
            Err(Refusal(status, code, message)) => Reply::query_error(status, code, &message),
        };
        Answer { operation, reply }
    }
}

struct Refusal(u16, &'static str, String);

type Parameters = BTreeMap<String, String>;

impl State {
    /// Brings everything to where it is at `now`.
    fn advance(&mut self, cloud: &Cloud, now: Timestamp) {
        let clusters = &mut self.clusters;
        for global in self.globals.values_mut() {
            let Some(transition) = global.transition.clone() else {
                continue;
            };
            if !transition.loses_data && interrupted(clusters, global, &transition, cloud, now) {
                cancel(clusters, global, &transition);
                continue;
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
            if now >= transition.ends_at {
                finish(global, clusters, &transition, cloud);
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
            .map(|(id, global)| element_of("GlobalClusterMember", &global_xml(id, global)))
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
        cloud: &Cloud,
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
        if global.out_of_sync.contains(&target) {
            return Err(invalid(format!("{target} is being resynchronised")));
        }
        let region_of = |arn: &str| {
            self.clusters
                .get(arn)
                .map(|cluster| cluster.region.clone())
                .unwrap_or_default()
        };
        let (from_region, to_region) = (region_of(&global.writer), region_of(&target));
        let now = cloud.now();
        let timings = &cloud.timings;
        let (begins_in, lasts) = if loses_data {
            if region != to_region {
                return Err(invalid(format!(
                    "a failover is called in {to_region}, the Region of the cluster promoted"
                )));
            }
            (
                cloud.draw("global-failover", &timings.global_failover_pending),
                cloud.draw("global-failover", &timings.global_failover),
            )
        } else {
            if region != from_region {
                return Err(invalid(format!(
                    "a switchover is called in {from_region}, the Region of the writer"
                )));
            }
            if !cloud.is_up(&to_region) {
                return Err(invalid(format!("{target} is not in sync with the writer")));
            }
            let lasts = cloud.draw("global-switchover", &timings.global_switchover);
            (lasts / 4, lasts - lasts / 4)
        };
        let begins_at = now.checked_add(begins_in).unwrap_or(now);
        let ends_at = begins_at.checked_add(lasts).unwrap_or(begins_at);
        global.transition = Some(Transition {
            to: target,
            loses_data,
            called_at: now,
            begins_at,
            ends_at,
            begun: false,
        });
        Ok(element_of("GlobalCluster", &global_xml(&id, global)))
    }
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

/// Whether one of a switchover's two Regions went away while it went on.
fn interrupted(
    clusters: &BTreeMap<String, Cluster>,
    global: &Global,
    transition: &Transition,
    cloud: &Cloud,
    now: Timestamp,
) -> bool {
    [&global.writer, &transition.to]
        .into_iter()
        .filter_map(|arn| clusters.get(arn))
        .any(|cluster| {
            cloud
                .away_between(&cluster.region, transition.called_at, now.min(transition.ends_at))
                .is_some()
        })
}

/// Puts everything back to where it was before a switchover.
fn cancel(clusters: &mut BTreeMap<String, Cluster>, global: &mut Global, transition: &Transition) {
    if let Some(target) = clusters.get_mut(&transition.to) {
        target.status = "available";
    }
    if let Some(writer) = clusters.get_mut(&global.writer) {
        writer.database.set_writable(true);
    }
    global.transition = None;
}

/// The end of a failover or switchover: the target takes over, with what reached it.
fn finish(global: &mut Global, clusters: &mut BTreeMap<String, Cluster>, transition: &Transition, cloud: &Cloud) {
    let old_arn = global.writer.clone();
    let reached = match clusters.get(&old_arn) {
        // Replication ended where the promotion began, or with the Region if that was away by then, and was behind by
        // the lag of that moment.
        Some(old) if transition.loses_data => {
            let began_at = transition.begins_at;
            let cut = cloud.away_between(&old.region, began_at, began_at).unwrap_or(began_at);
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
        let ready_in = cloud.draw("data-api-ready", &cloud.timings.data_api_ready);
        target.takes_statements_from = transition.ends_at.checked_add(ready_in).unwrap_or(transition.ends_at);
    }
    if let Some(old) = clusters.get_mut(&old_arn) {
        old.database.set_writable(false);
    }
    global.out_of_sync.retain(|arn| *arn != transition.to);
    if transition.loses_data {
        global.out_of_sync.push(old_arn);
    }
    global.writer = transition.to.clone();
    global.transition = None;
}

impl Global {
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
            Some(transition) if transition.begun && transition.loses_data => "failing-over",
            Some(transition) if transition.begun => "switching-over",
            _ => "pending",
        }
    }
}

fn global_xml(id: &str, global: &Global) -> String {
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
            let synchronized = if global.out_of_sync.contains(arn) {
                "pending-resync"
            } else {
                "connected"
            };
            format!(
                "<GlobalClusterMember>{}{}{readers}{}</GlobalClusterMember>",
                element("DBClusterArn", arn),
                element("IsWriter", &is_writer.to_string()),
                element("SynchronizationStatus", synchronized),
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
        "{}{}<GlobalClusterMembers>{members}</GlobalClusterMembers>{transition}",
        element("GlobalClusterIdentifier", id),
        element("Status", status),
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
        "<DBCluster>{}{}{}{}<DBClusterMembers>{members}</DBClusterMembers></DBCluster>",
        element("DBClusterIdentifier", &cluster.id),
        element("DBClusterArn", arn),
        element("Status", cluster.status),
        element("HttpEndpointEnabled", &cluster.data_api.to_string()),
    )
}

/// Replicates a global database for ever: each minute has its lag, which is published at the minute's end in the
/// Region of each secondary that the writer reaches.
pub async fn replicate(cloud: Arc<Cloud>, id: String) {
    loop {
        let lag = cloud.draw("replication-lag", &cloud.timings.replication_lag);
        {
            let mut state = lock(&cloud.rds.state);
            let Some(global) = state.globals.get_mut(&id) else {
                return;
            };
            global.lag.push((cloud.now(), lag));
        }
        tokio::time::sleep(A_MINUTE).await;
        let now = cloud.now();
        for (region, cluster) in cloud.rds.reached(&cloud, &id, now) {
            let metric = Metric {
                namespace: "AWS/RDS".to_owned(),
                name: "AuroraGlobalDBRPOLag".to_owned(),
                dimensions: BTreeMap::from([("DBClusterIdentifier".to_owned(), cluster)]),
            };
            let at = now.checked_sub(SignedDuration::from_secs(1)).unwrap_or(now);
            cloud.cloudwatch.publish(&region, &metric, at, lag.as_millis() as f64);
        }
    }
}

impl Rds {
    /// Region and identifier of each cluster that replication reaches at `now`.
    fn reached(&self, cloud: &Cloud, id: &str, now: Timestamp) -> Vec<(String, String)> {
        let mut state = lock(&self.state);
        state.advance(cloud, now);
        let State { clusters, globals } = &*state;
        let is_up = |arn: &str| clusters.get(arn).is_some_and(|cluster| cloud.is_up(&cluster.region));
        let Some(global) = globals.get(id).filter(|global| is_up(&global.writer)) else {
            return Vec::new();
        };
        global
            .members
            .iter()
            .filter(|arn| **arn != global.writer && !global.out_of_sync.contains(arn) && is_up(arn))
            .filter_map(|arn| clusters.get(arn))
            .map(|cluster| (cluster.region.clone(), cluster.id.clone()))
            .collect()
    }
}

const A_MINUTE: Duration = Duration::from_secs(60);
