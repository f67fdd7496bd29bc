//! How clusters are made and set, and statements run on them.

use std::collections::BTreeMap;

use super::logins::Logins;
use super::resources::Instance;
use super::settings::Settings;
use super::state::{Cluster, Global, Rds};
use crate::aws::secretsmanager::Login;
use crate::database::{Database, Rows, Value};
use crate::environment::Environment;
use crate::lock::lock;

/// A cluster to be made.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Its ARN.
    pub arn: String,
    /// Its identifier.
    pub id: String,
    /// Its Region.
    pub region: String,
    /// Its master user.
    pub master: Login,
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

/// What a statement may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Anything.
    Write,
    /// It is in a transaction that is read only.
    ReadOnly,
}

/// A statement with its parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'a str,
    pub(crate) parameters: &'a BTreeMap<String, Value>,
    pub(crate) access: Access,
}

impl NewCluster {
    /// The cluster, with this database, one instance and the Data API on.
    pub(super) fn with(&self, environment: &Environment, database: Database) -> Cluster {
        Cluster {
            id: self.id.clone(),
            region: self.region.clone(),
            status: "available",
            engine_version: ENGINE_VERSION.to_owned(),
            logins: Logins::of(self.master.clone()),
            new_password: None,
            data_api: true,
            takes_statements_from: environment.now(),
            instances: vec![Instance::working(&format!("{}-1", self.id), &self.region, 0)],
            database,
            settings: Settings::of_a_new_cluster(),
            made_at: environment.now(),
            making: None,
            // It was there before the world began, and empty.
            backed_up_from: Some(jiff::Timestamp::UNIX_EPOCH),
            gone_from: None,
        }
    }
}

impl Rds {
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
            let cluster = new.with(environment, database);
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
            lag_names_its_source: false,
            moves: Vec::new(),
            looks: Vec::new(),
            last_look_was_old: false,
        };
        state.globals.insert(id.to_owned(), global);
        Ok(())
    }

    /// From now on, runs `instead` wherever `sql` is to be run: for a statement of a plan, which is PostgreSQL's.
    pub fn stand_in(&self, sql: &str, instead: &str) {
        lock(&self.state).stand_ins.insert(sql.to_owned(), instead.to_owned());
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
        let statement = Statement {
            sql,
            parameters,
            access: Access::Write,
        };
        self.reach(environment, region, cluster_arn, None, &statement)
    }

    /// Likewise, for somebody who signs in.
    pub(crate) fn execute_as(
        &self,
        environment: &Environment,
        region: &str,
        cluster_arn: &str,
        login: &Login,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlRefusal> {
        self.reach(environment, region, cluster_arn, Some(login), statement)
    }

    /// Runs what is run in place of a statement on a cluster's database, where the Data API reaches that, and `login` may sign in.
    fn reach(
        &self,
        environment: &Environment,
        region: &str,
        cluster_arn: &str,
        login: Option<&Login>,
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlRefusal> {
        let Statement {
            sql,
            parameters,
            access,
        } = *statement;
        let now = environment.now();
        let mut state = lock(&self.state);
        state.advance(environment, now);
        let instead = state.stand_ins.get(sql).cloned();
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
        if let Some(login) = login.filter(|login| !cluster.logins.take(login)) {
            let message = format!(
                "FATAL: password authentication failed for user \"{}\"; SQLState: 28P01",
                login.user
            );
            return Err(refuse(400, "BadRequestException", &message));
        }
        let (database, run_sql) = (&mut cluster.database, instead.as_deref().unwrap_or(sql));
        let ran = match access {
            Access::Write => database.execute(now, run_sql, parameters),
            Access::ReadOnly => database.read(now, run_sql, parameters),
        };
        let rows = ran.map_err(|message| refuse(400, "DatabaseErrorException", &message))?;
        self.log_statement(environment, &state, cluster_arn, sql, parameters);
        Ok(rows)
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

    /// Sets a cluster's engine version, such as `16.6`.
    pub fn set_engine_version(&self, cluster_arn: &str, version: &str) {
        if let Some(cluster) = lock(&self.state).clusters.get_mut(cluster_arn) {
            cluster.engine_version = version.to_owned();
        }
    }

    /// Deletes a cluster, and takes it out of its global database.
    pub fn delete_cluster(&self, cluster_arn: &str) {
        lock(&self.state).take_out(cluster_arn);
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
            let region = &cluster.region;
            let instances = instances.iter().zip(0..);
            cluster.instances = instances
                .map(|(id, tier)| Instance::working(id, region, tier))
                .collect();
        }
    }
}

/// The version of a new cluster. From 15 on, clusters of a global database may differ in their patch level.
pub(super) const ENGINE_VERSION: &str = "16.6";
