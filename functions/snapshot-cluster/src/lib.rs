//! Takes a manual snapshot of the damaged cluster: evidence of what happened, and a way back that no deletion of the cluster takes away.
//!
//! It is kept, whatever becomes of the recovery. Nobody waits for it: a cluster that AWS takes a snapshot of can be restored from.

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::Tag;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::Record;
use shared::recovery::RecoveryRef;
use shared::restore::{MADE_BY, cluster_id};
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// Of what to take a snapshot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region whose database is damaged.
    pub here: SiteSlice,
}

/// The snapshot.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Its identifier.
    pub snapshot: String,
    /// Whether it was asked for now.
    pub changed: bool,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(match self.changed {
            true => format!(
                "snapshot {} of the damaged cluster is being taken, and is kept",
                self.snapshot
            ),
            false => format!(
                "snapshot {} of the damaged cluster was already asked for",
                self.snapshot
            ),
        })
    }
}

/// The step: takes a snapshot of the damaged cluster.
#[derive(Debug)]
pub struct SnapshotCluster {
    rds: Client,
    record: Record,
}

impl Step for SnapshotCluster {
    const NAME: &'static str = "snapshot-cluster";
    const DESCRIPTION: &'static str = "Takes a snapshot of the damaged cluster";
    const CHANGES: &'static [Change] = &[Change::Call("rds:CreateDBClusterSnapshot")];
    const TIME_LIMIT: Duration = Duration::from_secs(30);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            rds: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        // The name of what this recovery makes; snapshots have names of their own, apart from those of clusters.
        let snapshot = cluster_id(&input.recovery.workload, &input.recovery.id);
        let resource = format!("snapshot {snapshot} of {} in {}", input.here.cluster, input.here.region);
        let made = self
            .rds
            .create_db_cluster_snapshot()
            .db_cluster_snapshot_identifier(&snapshot)
            .db_cluster_identifier(&input.here.cluster)
            .tags(Tag::builder().key(MADE_BY).value(&input.recovery.id).build())
            .send()
            .await;
        let changed = match made {
            Ok(_) => true,
            // Its name has the recovery's id in it: nobody else has made it.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_db_cluster_snapshot_already_exists_fault()) =>
            {
                false
            }
            Err(error) => return Err(StepError::aws("rds:CreateDBClusterSnapshot", &resource, error)),
        };
        Ok(Output { snapshot, changed })
    }
}
