//! Leaves the damaged database to be read only, once customers use the restored one: its jobs, and what else still speaks to it, would
//! go on writing where nobody looks. It is kept, and no machine deletes it.

use std::time::Duration;

use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::types::Field;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::{Record, Resource, Undo};
use shared::recovery::RecoveryRef;
use shared::slices::{DatabaseSlice, SiteSlice};
use shared::sql::{self, Reached};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// What `default_transaction_read_only` is for a new session.
const IS_READ_ONLY: &str = "SELECT current_setting('default_transaction_read_only')";
/// Sessions that began before keep what they had. Those of RDS itself are left.
const END_SESSIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
    AND pid <> pg_backend_pid() AND usename <> 'rdsadmin'";

/// What to retire.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region, with the damaged cluster.
    pub here: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// ARN of the restored cluster, which customers use.
    pub cluster_arn: String,
}

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the database was set to be read only now; it was before otherwise.
    pub changed: bool,
    /// The damaged cluster.
    pub cluster: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(format!(
            "the database in cluster {} takes no more writes; it is kept",
            self.cluster
        ))
    }
}

/// The step: retires the damaged cluster.
#[derive(Debug)]
pub struct RetireCluster {
    data: Client,
    record: Record,
}

impl Step for RetireCluster {
    const NAME: &'static str = "retire-cluster";
    const DESCRIPTION: &'static str = "Leaves the damaged database to be read only";
    const CHANGES: &'static [Change] = &[Change::Call("rds-data:ExecuteStatement"), Change::Item("undo")];
    const TIME_LIMIT: Duration = Duration::from_secs(140);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            data: sql::client(aws),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        if input.cluster_arn == input.here.cluster_arn {
            let text = format!(
                "customers use cluster {}; it is not set to be read only",
                input.here.cluster
            );
            return Err(StepError::refused(text));
        }
        let damaged = Reached::of(&input.here, &input.database);
        let changed = !self.is_read_only(damaged).await?;
        if changed {
            self.record.note_undos(&input.recovery, &[undo(&input)]).await?;
            let set = format!(
                "ALTER DATABASE \"{}\" SET default_transaction_read_only = on",
                input.database.name
            );
            self.first_field(damaged, &set).await?;
        }
        self.first_field(damaged, END_SESSIONS).await?;
        Ok(Output {
            changed,
            cluster: input.here.cluster,
        })
    }
}

impl RetireCluster {
    async fn is_read_only(&self, damaged: Reached<'_>) -> Result<bool, StepError> {
        let found = self.first_field(damaged, IS_READ_ONLY).await?;
        Ok(matches!(found, Some(Field::StringValue(on)) if on == "on"))
    }

    async fn first_field(&self, damaged: Reached<'_>, sql: &str) -> Result<Option<Field>, StepError> {
        let found = damaged.first_field(&self.data, sql, Vec::new()).await;
        found.map_err(|refusal| refusal.error)
    }
}

fn undo(input: &Input) -> Undo {
    let (region, cluster) = (&input.here.region, &input.here.cluster);
    let back = format!(
        "ALTER DATABASE \"{}\" RESET default_transaction_read_only",
        input.database.name
    );
    Undo {
        step: RetireCluster::NAME.to_owned(),
        resource: Resource::cluster(cluster, region),
        previous: json!({ "read_only": false }),
        taken_back_by: Some(format!("by hand: run {back} there")),
        by_hand: Some(format!(
            "aws rds-data execute-statement --region {region} --resource-arn {} --secret-arn {} --database {} --sql '{back}'",
            input.here.cluster_arn, input.here.secret_arn, input.database.name
        )),
        taken_back_at: None,
    }
}
