//! RDS: Aurora clusters in a global database, their failover and switchover over time, and the databases inside.

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
    loses_data: bool,
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
        if !is_writer || cluster.instances.is_empty() {
            return Err(refuse(
                404,
                "DatabaseNotFoundException",
                "The cluster has no writer instance",
            ));
        }
        if now < cluster.takes_statements_from {
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
                400,
                "InvalidAction",
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
        for global in self.globals.values_mut() {
            let Some(mut transition) = global.transition.clone() else {
                continue;
            };
            if !transition.begun && now >= transition.begins_at {
                transition.begun = true;
                if let Some(target) = self.clusters.get_mut(&transition.to) {
                    target.status = "promoting";
                }
                // A switchover stops writes first and lets the secondary catch up.
                if !transition.loses_data
                    && let Some(writer) = self.clusters.get_mut(&global.writer)
                {
                    writer.database.set_writable(false);
                }
                global.transition = Some(transition.clone());
            }
            if now >= transition.ends_at {
                finish(global, &mut self.clusters, &transition, cloud);
            }
        }
    }

    fn describe_global_clusters(&self, parameters: &Parameters) -> Result<String, Refusal> {
        let wanted = parameters.get("GlobalClusterIdentifier");
        let found: Vec<String> = self
            .globals
            .iter()
            .filter(|(id, _)| wanted.is_none_or(|wanted| wanted == *id))
            .map(|(id, global)| global_xml(id, global))
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
        // A cluster of another Region is found by its ARN only; here, all are asked for by ARN.
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
            if !cloud.is_up(&to_region) || global.out_of_sync.contains(&target) {
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
            begins_at,
            ends_at,
            begun: false,
        });
        Ok(global_xml(&id, global))
    }
}

/// The end of a failover or switchover: the target takes over, with what reached it.
fn finish(global: &mut Global, clusters: &mut BTreeMap<String, Cluster>, transition: &Transition, cloud: &Cloud) {
    let old_arn = global.writer.clone();
    let reached = match clusters.get(&old_arn) {
        // Replication ended with the Region, and was behind by the lag of that moment.
        Some(old) if transition.loses_data => match cloud.down_since(&old.region) {
            Some(down_since) => down_since.checked_sub(global.lag_at(down_since)).unwrap_or(down_since),
            None => transition
                .begins_at
                .checked_sub(global.lag_at(transition.begins_at))
                .unwrap_or(transition.begins_at),
        },
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
    format!(
        "<GlobalClusterMember>{}{}<GlobalClusterMembers>{members}</GlobalClusterMembers>{transition}</GlobalClusterMember>",
        element("GlobalClusterIdentifier", id),
        element(
            "Status",
            if global.transition.is_some() {
                "failing-over"
            } else {
                "available"
            }
        ),
    )
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
/// Region of each secondary, as long as both sides are there.
pub async fn replicate(cloud: Arc<Cloud>, id: String) {
    loop {
        let began_at = cloud.now();
        let lag = cloud.draw("replication-lag", &cloud.timings.replication_lag);
        let secondaries = {
            let mut state = lock(&cloud.rds.state);
            state.advance(&cloud, began_at);
            let State { clusters, globals } = &mut *state;
            let Some(global) = globals.get_mut(&id) else { return };
            global.lag.push((began_at, lag));
            let all = global
                .members
                .iter()
                .filter_map(|arn| clusters.get(arn).map(|cluster| (arn.clone(), cluster)));
            all.map(|(arn, cluster)| (arn == global.writer, cluster.region.clone(), cluster.id.clone()))
                .collect::<Vec<_>>()
        };
        tokio::time::sleep(SECONDS_OF_A_MINUTE).await;
        let writer_is_up = secondaries
            .iter()
            .any(|(is_writer, region, _)| *is_writer && cloud.is_up(region));
        for (_, region, cluster) in secondaries
            .iter()
            .filter(|(is_writer, region, _)| !is_writer && cloud.is_up(region))
        {
            if !writer_is_up {
                continue;
            }
            let metric = Metric {
                namespace: "AWS/RDS".to_owned(),
                name: "AuroraGlobalDBRPOLag".to_owned(),
                dimensions: BTreeMap::from([("DBClusterIdentifier".to_owned(), cluster.clone())]),
            };
            let at = cloud
                .now()
                .checked_sub(SignedDuration::from_secs(1))
                .unwrap_or(began_at);
            cloud.cloudwatch.publish(region, &metric, at, lag.as_millis() as f64);
        }
    }
}

const SECONDS_OF_A_MINUTE: Duration = Duration::from_secs(60);
