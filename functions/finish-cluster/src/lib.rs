//! Turns on what a restore leaves off and has no parameter for: the Data API, by which everything speaks to the cluster. Sets the master
//! user's password, where it was changed since the moment that the data are of.

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::DbCluster;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::global_database::find_cluster;
use shared::record::Record;
use shared::recovery::RecoveryRef;
use shared::secret::{Secret, Unsettable};
use shared::slices::{DatabaseSlice, SiteSlice};
use shared::sql::Reached;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How long the database may take to let somebody in, or not.
const SIGNS_IN_WITHIN: Duration = Duration::from_secs(10);

/// What to finish.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// The restored cluster's identifier.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// Whether the database refused the password in the plan's secret, so that it has to be set.
    pub set_password: bool,
}

/// What was changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the Data API was turned on now; it was on otherwise.
    pub changed: bool,
    /// What became of the master user's password, if it had to be set.
    pub password: Option<Password>,
}

/// What became of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// The database takes the one in the secret.
    Fits,
    /// RDS was asked to set that.
    Asked,
    /// RDS was asked before, and is setting it.
    Underway,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let data_api = match self.changed {
            true => "the Data API of the restored cluster was turned on",
            false => "the Data API of the restored cluster is on",
        };
        Summary::done(match self.password {
            None => data_api,
            Some(Password::Fits) => "the restored database takes the secret's password",
            Some(Password::Asked) => {
                "RDS was asked to set the master user's password, which was changed since that moment"
            }
            Some(Password::Underway) => "RDS is setting the master user's password",
        })
    }
}

/// The step: turns on what a restore leaves off.
#[derive(Debug)]
pub struct FinishCluster {
    rds: Client,
    data: aws_sdk_rdsdata::Client,
    secrets: aws_sdk_secretsmanager::Client,
    record: Record,
}

impl Step for FinishCluster {
    const NAME: &'static str = "finish-cluster";
    const DESCRIPTION: &'static str = "Turns on what a restore leaves off; sets the password if it was changed since";
    const CHANGES: &'static [Change] = &[
        Change::Call("rds:EnableHttpEndpoint"),
        Change::Call("rds:ModifyDBCluster"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(25);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            rds: Client::new(aws.config()),
            data: aws_sdk_rdsdata::Client::new(&aws.config_without_retries(SIGNS_IN_WITHIN)),
            secrets: aws_sdk_secretsmanager::Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let resource = format!("cluster {} in {}", input.cluster, input.here.region);
        let found = find_cluster(&self.rds, &input.cluster, &input.here.region).await?;
        let cluster = found.ok_or_else(|| {
            let text = format!("{resource} is gone; look in CloudTrail who deleted it, then resume");
            StepError::new(ErrorKind::NotFound, text)
        })?;
        let changed = self.turn_on(&input, &cluster, &resource).await?;
        let password = match input.set_password {
            true => Some(self.set_password(&input, &cluster, &resource).await?),
            false => None,
        };
        Ok(Output { changed, password })
    }
}

impl FinishCluster {
    async fn turn_on(&self, input: &Input, cluster: &DbCluster, resource: &str) -> Result<bool, StepError> {
        if cluster.http_endpoint_enabled() == Some(true) {
            return Ok(false);
        }
        // Not ModifyDBCluster: its parameter of this name is for Aurora Serverless v1 alone.
        let enabled = self
            .rds
            .enable_http_endpoint()
            .resource_arn(&input.cluster_arn)
            .send()
            .await;
        enabled.map_err(|error| {
            let is_busy = error
                .as_service_error()
                .is_some_and(|error| error.is_invalid_resource_state_fault());
            let mut error = StepError::aws("rds:EnableHttpEndpoint", resource, error);
            if is_busy {
                error.kind = ErrorKind::Conflict;
            }
            error
        })?;
        Ok(true)
    }

    /// Sets the master user's password to that of the secret, unless the database takes it, or RDS is about to set it.
    async fn set_password(&self, input: &Input, cluster: &DbCluster, resource: &str) -> Result<Password, StepError> {
        let pending = cluster.pending_modified_values();
        if pending.is_some_and(|values| values.master_user_password().is_some()) {
            return Ok(Password::Underway);
        }
        let restored = Reached::of(&input.here, &input.database).in_cluster(&input.cluster_arn);
        match restored.rows(&self.data, "SELECT 1", Vec::new()).await {
            Ok(_) => return Ok(Password::Fits),
            Err(refusal) if refusal.is_of_the_password() => {}
            Err(refusal) => return Err(refusal.error),
        }
        let user = Secret::read(&self.secrets, &input.here.secret_arn)
            .await?
            .database_user()?;
        let master = cluster.master_username().unwrap_or_default();
        let refused = |why: String| {
            StepError::refused(format!(
                "{resource} does not take the password of secret {}: {why}",
                input.here.secret_arn
            ))
        };
        match user.unsettable(master) {
            None => {}
            Some(Unsettable::OfAnother) => {
                return Err(refused(format!(
                    "its user {} is not the master user {master}, whose password alone RDS sets; put the master user into the plan's secret, \
                 then start again",
                    user.name
                )));
            }
            Some(Unsettable::Refused(why)) => {
                return Err(refused(format!(
                    "RDS would not set it, because {why}; change it in the database and in the secret, then start again"
                )));
            }
        }
        let modified = self
            .rds
            .modify_db_cluster()
            .db_cluster_identifier(&input.cluster)
            .master_user_password(&user.password)
            .apply_immediately(true)
            .send()
            .await;
        modified.map_err(|error| StepError::aws("rds:ModifyDBCluster", resource, error))?;
        Ok(Password::Asked)
    }
}
