//! Looks whether the promoted database takes reads and writes, and how old its last surviving write is.
//!
//! Ready means: the cluster is the writer, no promotion is going on, the cluster is available and has a writer instance,
//! it is out of recovery, and a row was written and read through the Data API. The row belongs to the recovery, so that
//! writing it again changes nothing; there is nothing to take back.

use std::time::Duration;

use aws_sdk_rds::types::DbCluster;
use aws_sdk_rdsdata::types::{Field, SqlParameter};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::canary;
use shared::error::StepError;
use shared::global_database::{GlobalDatabase, NotBegun, Promotion, describe_cluster, serves};
use shared::record::{Record, Sighting, Warning, WarningCode, go_on_without_record};
use shared::recovery::RecoveryRef;
use shared::slices::{DatabaseSlice, SiteSlice};
use shared::sql::{self, Found, Reached, Refusal, number, text, unless_waking};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// Which database to look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The global database, as the plan names it.
    pub database: DatabaseSlice,
    /// The Region that is promoted.
    pub here: SiteSlice,
    /// The other Region.
    pub other: SiteSlice,
    /// Heartbeats after this moment were written to the promoted side, and say nothing of what survived. Nothing where the
    /// database was here before anything was decided: no heartbeat says what survived then.
    pub decided_at: Option<Timestamp>,
    /// Looks in a row that showed no promotion: what this step gave back last time.
    #[serde(default)]
    pub not_begun: NotBegun,
}

/// What was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the database takes reads and writes.
    pub ready: bool,
    /// When AWS showed this Region's cluster as the writer, where the database is ready.
    pub seen_at: Option<Timestamp>,
    /// What is still missing.
    pub waiting_for: Option<String>,
    /// Looks in a row, this one included, that show no promotion: AWS has cancelled it, it is too early to see, or the
    /// answers are old.
    #[serde(skip_serializing_if = "NotBegun::is_none")]
    pub not_begun: NotBegun,
    /// Whether so many agree that AWS has cancelled it.
    pub cancelled: bool,
    /// The last heartbeat from before the decision that this database holds.
    pub last_surviving_at: Option<Timestamp>,
    /// The last heartbeat that the platform saw committed in the other Region.
    pub last_committed_at: Option<Timestamp>,
    /// Why one of the two is not known.
    pub warnings: Vec<Warning>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        if self.ready {
            return Summary::done("the database takes reads and writes").warning(&self.warnings);
        }
        Summary::waiting(self.waiting_for.as_deref().unwrap_or("not yet"))
    }
}

/// The step: checks whether the database takes reads and writes, and how old its last write is.
#[derive(Debug)]
pub struct CheckDatabase {
    aws: Aws,
    rds: aws_sdk_rds::Client,
    data: aws_sdk_rdsdata::Client,
    /// Tries again by itself.
    patient_data: aws_sdk_rdsdata::Client,
    record: Record,
}

impl Step for CheckDatabase {
    const NAME: &'static str = "check-database";
    const DESCRIPTION: &'static str =
        "Checks whether the database takes reads and writes, and how old its last write is";
    const CHANGES: &'static [Change] = &[Change::Call("rds-data:ExecuteStatement"), Change::Item("observed")];
    const TIME_LIMIT: Duration = Duration::from_secs(140);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            rds: aws_sdk_rds::Client::new(aws.config()),
            data: sql::client(aws),
            patient_data: aws_sdk_rdsdata::Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let database = GlobalDatabase::describe(&self.rds, &input.database.global_cluster, &input.here.region).await?;
        if let Some(missing) = missing_promotion(&database, &input.here) {
            let now = self.aws.now();
            let not_begun = input.not_begun.next(&database.promotion(&input.here.cluster_arn), now);
            return Ok(Output {
                not_begun,
                cancelled: not_begun.is_certain(now),
                ..not_ready(missing)
            });
        }
        if let Some(missing) = missing_in_cluster(&describe_cluster(&self.rds, &input.here).await?, &input.here) {
            return Ok(not_ready(missing));
        }
        let seen_at = self.aws.now();
        let mut warnings = Vec::new();
        if let Err(error) = self.record.still_ours(&input.recovery).await {
            // This Region was just seen to write.
            let error = go_on_without_record(error, Some(seen_at), seen_at)?;
            let text = format!("could not read the lock in {}", input.here.region);
            warnings.push(
                Warning::new(WarningCode::LockUnread, text)
                    .about(&input.here.region)
                    .because(error),
            );
        }
        if let Some(missing) = self.missing_in_sql(&input).await? {
            return Ok(not_ready(missing));
        }
        let mut or_warn = |region: &str, code, found: Result<Option<Timestamp>, StepError>| {
            found.unwrap_or_else(|error| {
                let text = format!("could not read the last heartbeat of {region}");
                warnings.push(Warning::new(code, text).about(region).because(error));
                None
            })
        };
        let last_surviving_at = or_warn(
            &input.here.region,
            WarningCode::SurvivingUnread,
            self.last_surviving_heartbeat(&input).await,
        );
        let last_committed_at = or_warn(
            &input.other.region,
            WarningCode::CommittedUnread,
            self.record
                .last_committed_heartbeat(&input.recovery.workload, &input.other.region)
                .await,
        );
        let sighting = Sighting {
            last_surviving_at,
            last_committed_at,
            ..Sighting::default()
        };
        self.record.keep_observed(&input.recovery, sighting).await;
        Ok(Output {
            ready: true,
            seen_at: Some(seen_at),
            waiting_for: None,
            not_begun: NotBegun::default(),
            cancelled: false,
            last_surviving_at,
            last_committed_at,
            warnings,
        })
    }
}

impl CheckDatabase {
    /// What keeps the database from taking reads and writes through the Data API, if anything.
    async fn missing_in_sql(&self, input: &Input) -> Result<Option<String>, StepError> {
        let in_recovery = self
            .query(input, "SELECT CAST(pg_is_in_recovery() AS text)", vec![])
            .await;
        match unless_waking(in_recovery)? {
            Found::Missing(missing) => return Ok(Some(missing)),
            Found::Field(Some(Field::StringValue(text))) if text == "false" => {}
            Found::Field(_) => return Ok(Some("the database is still in recovery".to_owned())),
        }
        let schema = &input.database.schema;
        let now = self.aws.now().as_millisecond();
        let canary = || vec![text("recovery", &input.recovery.id), number("now", now)];
        let write = canary::write(schema);
        if let Found::Missing(missing) = unless_waking(self.query(input, &write, canary()).await)? {
            return Ok(Some(missing));
        }
        let read = format!("SELECT written_ms FROM {schema}.canary WHERE recovery = :recovery");
        match unless_waking(
            self.query(input, &read, vec![text("recovery", &input.recovery.id)])
                .await,
        )? {
            Found::Missing(missing) => Ok(Some(missing)),
            // Later, if this step was tried again while it was still at work.
            Found::Field(Some(Field::LongValue(read))) if read >= now => Ok(None),
            Found::Field(other) => Ok(Some(format!("a row was written with {now} and read as {other:?}"))),
        }
    }

    async fn last_surviving_heartbeat(&self, input: &Input) -> Result<Option<Timestamp>, StepError> {
        let sql = format!(
            "SELECT max(written_ms) FROM {}.heartbeat WHERE written_ms <= :decided",
            input.database.schema
        );
        let Some(decided_at) = input.decided_at else {
            return Ok(None);
        };
        // Customers wait for the database and not for this, so that it is not asked for again in another turn; but without
        // it the loss stays unmeasured.
        let found = Reached::of(&input.here, &input.database)
            .first_field(
                &self.patient_data,
                &sql,
                vec![number("decided", decided_at.as_millisecond())],
            )
            .await;
        Ok(match found.map_err(|refusal| refusal.error)? {
            Some(Field::LongValue(at)) => Timestamp::from_millisecond(at).ok(),
            _ => None,
        })
    }

    /// Runs one statement, once, and gives the first field of its first row.
    async fn query(&self, input: &Input, sql: &str, parameters: Vec<SqlParameter>) -> Result<Option<Field>, Refusal> {
        Reached::of(&input.here, &input.database)
            .first_field(&self.data, sql, parameters)
            .await
    }
}

fn missing_promotion(database: &GlobalDatabase, here: &SiteSlice) -> Option<String> {
    match database.promotion(&here.cluster_arn) {
        Promotion::Done => None,
        Promotion::Underway(_) => Some("the promotion is still in progress".to_owned()),
        Promotion::Elsewhere(transition) | Promotion::Unclear(transition) => Some(transition.in_words(&database.id)),
        Promotion::NotStarted => Some(format!(
            "no promotion is in progress, and {} is not the writer",
            here.cluster_arn
        )),
    }
}

fn missing_in_cluster(cluster: &DbCluster, here: &SiteSlice) -> Option<String> {
    let status = cluster.status().unwrap_or("without a status");
    if !serves(status) {
        return Some(format!("cluster {} is {status}", here.cluster));
    }
    let has_writer = cluster
        .db_cluster_members()
        .iter()
        .any(|member| member.is_cluster_writer() == Some(true));
    (!has_writer).then(|| format!("cluster {} has no writer instance yet", here.cluster))
}

fn not_ready(missing: String) -> Output {
    Output {
        ready: false,
        seen_at: None,
        waiting_for: Some(missing),
        not_begun: NotBegun::default(),
        cancelled: false,
        last_surviving_at: None,
        last_committed_at: None,
        warnings: vec![],
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::DbClusterMember;

    use super::*;

    fn here() -> SiteSlice {
        SiteSlice {
            region: "us-west-2".into(),
            cluster: "c".into(),
            cluster_arn: "arn:c".into(),
            secret_arn: "arn:s".into(),
            topic_arn: "arn:t".into(),
            api: shared::slices::ApiSlice {
                rest_api: "abcdefghij".into(),
                stage: "v2".into(),
                domain: "d.example.com".into(),
            },
        }
    }

    #[test]
    fn a_cluster_is_ready_when_it_is_available_and_has_a_writer() {
        let writer = DbClusterMember::builder().is_cluster_writer(true).build();
        let reader = DbClusterMember::builder().is_cluster_writer(false).build();
        let cluster = |status: &str, member: &DbClusterMember| {
            DbCluster::builder()
                .status(status)
                .db_cluster_members(member.clone())
                .build()
        };
        assert_eq!(missing_in_cluster(&cluster("available", &writer), &here()), None);
        assert_eq!(
            missing_in_cluster(&cluster("promoting", &writer), &here()).unwrap(),
            "cluster c is promoting"
        );
        assert!(
            missing_in_cluster(&cluster("available", &reader), &here())
                .unwrap()
                .contains("no writer")
        );
    }
}
