//! Makes a second cluster with the data of a moment in the past, beside the damaged one; `check-cluster` says when it is made. The data
//! come from the damaged cluster's own backup, or from a snapshot.
//!
//! Its name follows from the recovery, and its tag says so, so that there is one, however often this is tried. It looks before it calls,
//! and the SDK does not repeat the call by itself.

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_rds::types::DbCluster;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::global_database::{describe_cluster, find_cluster, instances_of};
use shared::record::{Record, Resource, Undo};
use shared::recovery::RecoveryRef;
use shared::restore::{ClusterProfile, InstanceProfile, SnapshotSource, cluster_arn, cluster_id, made_by};
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The step that takes this back.
const TAKEN_BACK_BY: &str = "discard-cluster";

/// What to restore.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region whose database is damaged.
    pub here: SiteSlice,
    /// The moment to go back to.
    pub restore_to: Timestamp,
    /// The snapshot that was taken then, where it is restored in place of the cluster's own backup.
    pub from_snapshot: Option<SnapshotSource>,
}

/// How far the restore is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How far.
    pub status: Status,
    /// The restored cluster's identifier.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// What its instances are to be, the writer first.
    pub instances: Vec<InstanceProfile>,
    /// The latest moment that AWS can restore to now, where it is too early.
    pub latest_at: Option<Timestamp>,
}

/// How far a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// AWS took the call.
    Started,
    /// It was asked for before.
    Underway,
    /// The backup does not reach the moment yet: AWS is up to five minutes behind.
    TooEarly,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.status {
            Status::Started => Summary::done(format!("the restore into cluster {} has started", self.cluster)),
            Status::Underway => Summary::done(format!("cluster {} was already asked for", self.cluster)),
            Status::TooEarly => Summary::waiting(match self.latest_at {
                Some(latest) => format!("the backup reaches {latest} only; it is some minutes behind"),
                None => "the backup does not say which moments it reaches".to_owned(),
            }),
        }
    }
}

/// The step: makes a cluster with the data of a moment in the past.
#[derive(Debug)]
pub struct RestoreCluster {
    rds: Client,
    rds_once: Client,
    record: Record,
}

impl Step for RestoreCluster {
    const NAME: &'static str = "restore-cluster";
    const DESCRIPTION: &'static str = "Makes a second cluster with the data of a moment in the past";
    const CHANGES: &'static [Change] = &[
        Change::Call("rds:RestoreDBClusterFromSnapshot"),
        Change::Call("rds:RestoreDBClusterToPointInTime"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(45);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            rds: Client::new(aws.config()),
            rds_once: Client::new(&aws.config_to_change_once(aws.region())),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let (source, instances) =
            tokio::try_join!(describe_cluster(&self.rds, &input.here), self.instances(&input.here),)?;
        let id = cluster_id(&input.recovery.workload, &input.recovery.id);
        let output = |status, latest_at| Output {
            status,
            cluster: id.clone(),
            cluster_arn: cluster_arn(&input.here.cluster_arn, &id),
            instances: instances.clone(),
            latest_at,
        };
        if let Some(there) = find_cluster(&self.rds, &id, &input.here.region).await? {
            is_ours(&there, &input)?;
            return Ok(output(Status::Underway, None));
        }
        if input.from_snapshot.is_none() {
            let latest = source.latest_restorable_time();
            let latest = latest.and_then(|at| Timestamp::from_second(at.secs()).ok());
            if latest.is_none_or(|latest| latest < input.restore_to) {
                return Ok(output(Status::TooEarly, latest));
            }
        }
        self.record.note_undo(&input.recovery, &undo(&id, &input.here)).await?;
        let Err(NotTaken { exists, error }) = self.restore(&input, &ClusterProfile::of(&source), &id).await else {
            return Ok(output(Status::Started, None));
        };
        if !exists {
            return Err(error);
        }
        // A call whose answer was lost has made it.
        match find_cluster(&self.rds, &id, &input.here.region).await? {
            Some(there) => is_ours(&there, &input).map(|()| output(Status::Underway, None)),
            None => Err(error),
        }
    }
}

/// A restore that AWS did not take.
struct NotTaken {
    /// Whether there is a cluster of that name.
    exists: bool,
    error: StepError,
}

impl NotTaken {
    fn new<E>(operation: &str, resource: &str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let exists = error.code() == Some("DBClusterAlreadyExistsFault");
        let mut error = StepError::aws(operation, resource, error);
        // The request is made of what AWS itself shows of the cluster: what it refuses of that is for a person to look at.
        if error.kind == ErrorKind::InvalidInput {
            error.kind = ErrorKind::Refused;
        }
        Self { exists, error }
    }
}

impl RestoreCluster {
    /// Asks for the cluster `id`, once. Errors: AWS did not take it.
    async fn restore(&self, input: &Input, profile: &ClusterProfile, id: &str) -> Result<(), NotTaken> {
        let (recovery, region) = (&input.recovery.id, &input.here.region);
        match &input.from_snapshot {
            Some(snapshot) => {
                let resource = format!("cluster {id} in {region}, from snapshot {}", snapshot.id);
                let request = profile.restored_from(id, snapshot, recovery);
                let sent = request.send_with(&self.rds_once).await;
                sent.map_err(|error| NotTaken::new("rds:RestoreDBClusterFromSnapshot", &resource, error))?;
            }
            None => {
                let (from, to) = (&input.here.cluster, input.restore_to);
                let resource = format!("cluster {id} in {region}, from {from} as of {to}");
                let request = profile.restored_as(id, to, recovery);
                let sent = request.send_with(&self.rds_once).await;
                sent.map_err(|error| NotTaken::new("rds:RestoreDBClusterToPointInTime", &resource, error))?;
            }
        }
        Ok(())
    }

    /// What the damaged cluster's instances are, the writer first.
    async fn instances(&self, here: &SiteSlice) -> Result<Vec<InstanceProfile>, StepError> {
        let instances = instances_of(&self.rds, &here.cluster, &here.region).await?;
        let mut found: Vec<InstanceProfile> = instances.iter().map(InstanceProfile::of).collect();
        found.sort_by_key(|instance| instance.tier);
        if found.is_empty() {
            let text = format!(
                "cluster {} in {} has no instances, so that nothing says what to create; create one by hand, then resume",
                here.cluster, here.region
            );
            return Err(StepError::new(ErrorKind::NotFound, text));
        }
        Ok(found)
    }
}

/// Errors: `Refused`, for a cluster of the name that this recovery did not make.
fn is_ours(there: &DbCluster, input: &Input) -> Result<(), StepError> {
    if made_by(there) == Some(&input.recovery.id) {
        return Ok(());
    }
    Err(StepError::refused(format!(
        "cluster {} in {} exists, and this recovery did not make it; look who did, delete or rename it, then resume",
        there.db_cluster_identifier().unwrap_or_default(),
        input.here.region
    )))
}

fn undo(id: &str, here: &SiteSlice) -> Undo {
    let by_hand = format!(
        "aws rds modify-db-cluster --region {region} --db-cluster-identifier {id} --no-deletion-protection --apply-immediately; delete \
         its instances; aws rds delete-db-cluster --region {region} --db-cluster-identifier {id} --skip-final-snapshot",
        region = here.region
    );
    Undo {
        step: RestoreCluster::NAME.to_owned(),
        resource: Resource::cluster(id, &here.region),
        previous: json!(null),
        taken_back_by: Some(format!("{TAKEN_BACK_BY}, or: {by_hand}")),
        by_hand: Some(by_hand),
        taken_back_at: None,
    }
}
