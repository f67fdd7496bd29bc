//! Turns on what a restore leaves off and has no parameter for: the Data API, by which everything speaks to the cluster.

use aws_sdk_rds::Client;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::global_database::find_cluster;
use shared::record::Record;
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// What to finish.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The restored cluster's identifier.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
}

/// What was turned on.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the Data API was turned on now; it was on otherwise.
    pub changed: bool,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(match self.changed {
            true => "the Data API of the restored cluster was turned on",
            false => "the Data API of the restored cluster is on",
        })
    }
}

/// The step: turns on what a restore leaves off.
#[derive(Debug)]
pub struct FinishCluster {
    rds: Client,
    record: Record,
}

impl Step for FinishCluster {
    const NAME: &'static str = "finish-cluster";
    const DESCRIPTION: &'static str = "Turns on what a restore leaves off";
    const CHANGES: &'static [Change] = &[Change::Call("rds:EnableHttpEndpoint")];
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
        let resource = format!("cluster {} in {}", input.cluster, input.here.region);
        let found = find_cluster(&self.rds, &input.cluster, &input.here.region).await?;
        let cluster = found.ok_or_else(|| {
            let text = format!("{resource} is gone; look in CloudTrail who deleted it, then resume");
            StepError::new(ErrorKind::NotFound, text)
        })?;
        if cluster.http_endpoint_enabled() == Some(true) {
            return Ok(Output { changed: false });
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
            let mut error = StepError::aws("rds:EnableHttpEndpoint", &resource, error);
            if is_busy {
                error.kind = ErrorKind::Conflict;
            }
            error
        })?;
        Ok(Output { changed: true })
    }
}
