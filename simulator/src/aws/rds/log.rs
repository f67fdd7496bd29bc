//! The log of a cluster's PostgreSQL, as it goes to CloudWatch Logs. Source: Aurora User Guide, "Parameters for logging in Aurora
//! PostgreSQL": `log_line_prefix` is `%t:%r:%u@%d:[%p]:`, in UTC. PostgreSQL Documentation, "Error Reporting and Logging", `log_statement`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::settings::LogStatement;
use super::state::{Cluster, Rds, State};
use crate::database::Value;
use crate::environment::Environment;
use crate::lock::lock;

/// The name of the log, and of what exports it.
const POSTGRESQL: &str = "postgresql";
/// Who sends every statement.
const CLIENT: &str = "10.0.1.5(53412):app@database:[4711]";
/// What each server writes by itself.
const CHECKPOINT: &str = "::@:[402]:LOG:  checkpoint starting: time";

impl Rds {
    /// Sets which statements the clusters of a Region with this parameter group log.
    pub fn set_log_statement(&self, region: &str, parameter_group: &str, log: LogStatement) {
        let key = (region.to_owned(), parameter_group.to_owned());
        lock(&self.state).log_statement.insert(key, log);
    }

    /// Writes what a server writes by itself, where the cluster's log is exported: from then on there is a log group.
    pub(super) fn begin_log(&self, environment: &Environment, cluster: &Cluster) {
        let now = environment.now();
        let Some(group) = group_of(cluster).filter(|group| !self.logs.has(&cluster.region, group)) else {
            return;
        };
        let line = format!("{}{CHECKPOINT}", time(now));
        self.logs.write(environment, &cluster.region, &group, second(now), line);
    }

    /// Writes a statement that a cluster has executed, where its parameter group says so and its log is exported.
    pub(super) fn log_statement(
        &self,
        environment: &Environment,
        state: &State,
        cluster_arn: &str,
        sql: &str,
        parameters: &BTreeMap<String, Value>,
    ) {
        let Some(cluster) = state.clusters.get(cluster_arn) else {
            return;
        };
        let Some(group) = group_of(cluster) else {
            return;
        };
        let key = (cluster.region.clone(), cluster.settings.parameter_group.clone());
        let logs = state.log_statement.get(&key).copied().unwrap_or_default();
        if logged_from(sql) > logs {
            return;
        }
        self.begin_log(environment, cluster);
        let now = environment.now();
        // A statement with parameters comes by the extended protocol.
        let how = if parameters.is_empty() {
            "statement"
        } else {
            "execute <unnamed>"
        };
        let line = format!(
            "{}:{CLIENT}:LOG:  {how}: {}",
            time(now),
            numbered(sql, parameters).replace('\n', "\n\t")
        );
        self.logs.write(environment, &cluster.region, &group, second(now), line);
    }
}

/// The log group that a cluster's log goes to, if it goes to one.
fn group_of(cluster: &Cluster) -> Option<String> {
    let is_exported = cluster.settings.log_exports.iter().any(|log| log == POSTGRESQL);
    is_exported.then(|| format!("/aws/rds/cluster/{}/{POSTGRESQL}", cluster.id))
}

/// A moment as a line begins with it: to the second.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A moment as a line's time says it.
fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// From which setting on a statement is logged, by its first word.
fn logged_from(sql: &str) -> LogStatement {
    let verb = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match verb.as_str() {
        "ALTER" | "COMMENT" | "CREATE" | "DROP" | "GRANT" | "REVOKE" => LogStatement::Ddl,
        "COPY" | "DELETE" | "INSERT" | "MERGE" | "TRUNCATE" | "UPDATE" => LogStatement::Mod,
        _ => LogStatement::All,
    }
}

/// A statement with the numbers that PostgreSQL has for parameters, in place of the Data API's names.
fn numbered(sql: &str, parameters: &BTreeMap<String, Value>) -> String {
    // A name that another one begins with comes after that.
    let names = parameters.keys().rev().zip(1..);
    names.fold(sql.to_owned(), |sql, (name, number)| {
        sql.replace(&format!(":{name}"), &format!("${number}"))
    })
}
