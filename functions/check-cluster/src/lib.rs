//! One look at the restored cluster and its instances.

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, DbInstance};
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::global_database::{find_cluster, instances_of};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// What a cluster or an instance is in that does not become available any more by itself. Source: the SDK's own waiters, and Aurora User
/// Guide, "Viewing DB cluster status".
const FAILED: [&str; 12] = [
    "cloning-failed",
    "deleted",
    "deleting",
    "failed",
    "inaccessible-encryption-credentials",
    "incompatible-create",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "migration-failed",
    "restore-error",
];

/// What to look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The restored cluster's identifier.
    pub cluster: String,
    /// How many instances it is to have.
    pub instances: usize,
}

/// What was seen.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How far it is.
    pub status: Status,
    /// The cluster's status, as AWS shows it.
    pub cluster_status: String,
    /// How many instances work.
    pub available: usize,
    /// How many there are to be.
    pub of: usize,
    /// Why it will never be, where it will not.
    pub failed: Option<String>,
}

/// How far a restored cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// AWS makes it, or is in a state that is not known here.
    Making,
    /// It is made, and instances can be created.
    Made,
    /// It and all its instances work.
    Complete,
    /// It will never be.
    Failed,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let (status, available, of) = (&self.cluster_status, self.available, self.of);
        match (self.status, &self.failed) {
            (Status::Failed, Some(why)) => Summary::failed(why),
            (Status::Failed, None) | (Status::Making, _) => {
                Summary::waiting(format!("the restored cluster is {status}"))
            }
            (Status::Made, _) => Summary::done(format!(
                "the restored cluster is {status}; {available} of {of} instances work"
            )),
            (Status::Complete, _) => Summary::done(format!("the restored cluster and its {of} instances work")),
        }
    }
}

/// The step: looks at the restored cluster.
#[derive(Debug)]
pub struct CheckCluster {
    rds: Client,
}

impl Step for CheckCluster {
    const NAME: &'static str = "check-cluster";
    const DESCRIPTION: &'static str = "Looks whether the restored cluster and its instances work";
    const CHANGES: &'static [Change] = &[];
    const TIME_LIMIT: Duration = Duration::from_secs(30);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            rds: Client::new(aws.config()),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let region = &input.here.region;
        let (cluster, instances) = tokio::try_join!(
            find_cluster(&self.rds, &input.cluster, region),
            instances_of(&self.rds, &input.cluster, region),
        )?;
        Ok(judge(&input, cluster.as_ref(), &instances))
    }
}

fn judge(input: &Input, cluster: Option<&DbCluster>, instances: &[DbInstance]) -> Output {
    let status = cluster.and_then(DbCluster::status).unwrap_or("gone");
    let statuses = instances
        .iter()
        .map(|instance| (instance.db_instance_identifier(), instance.db_instance_status()));
    let statuses: Vec<(&str, &str)> = statuses
        .map(|(id, status)| (id.unwrap_or_default(), status.unwrap_or_default()))
        .collect();
    let available = statuses.iter().filter(|(_, status)| *status == "available").count();
    let failed = |status: &str| status == "gone" || FAILED.contains(&status);
    let broken = statuses.iter().find(|(_, status)| failed(status));
    let why = match broken {
        _ if failed(status) => Some(format!(
            "cluster {} is {status}; the RDS console's events say why",
            input.cluster
        )),
        Some((instance, status)) => Some(format!(
            "instance {instance} is {status}; the RDS console's events say why"
        )),
        None => None,
    };
    Output {
        status: match &why {
            Some(_) => Status::Failed,
            None if status != "available" => Status::Making,
            None if available >= input.instances => Status::Complete,
            None => Status::Made,
        },
        cluster_status: status.to_owned(),
        available,
        of: input.instances,
        failed: why,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(cluster: Option<&str>, instances: &[&str]) -> (Status, usize) {
        let input = json!({
            "recovery": { "id": "r", "workload": "shop", "token": 1, "execution": "arn:e" },
            "here": {
                "region": "us-east-1", "cluster": "shop", "cluster_arn": "arn:shop", "secret_arn": "arn:s", "topic_arn": "arn:t",
                "api": { "rest_api": "abc", "stage": "v2", "domain": "d.example.com" },
            },
            "cluster": "shop-restored-1",
            "instances": 2,
        });
        let cluster = cluster.map(|status| DbCluster::builder().status(status).build());
        let instances: Vec<DbInstance> = instances
            .iter()
            .map(|status| DbInstance::builder().db_instance_status(*status).build())
            .collect();
        let found = judge(&serde_json::from_value(input).unwrap(), cluster.as_ref(), &instances);
        assert_eq!(found.failed.is_some(), found.status == Status::Failed);
        (found.status, found.available)
    }

    #[test]
    fn it_is_made_then_complete_and_a_state_that_is_not_known_is_waited_for() {
        assert_eq!(status(Some("creating"), &[]), (Status::Making, 0));
        assert_eq!(status(Some("resetting-flux"), &[]), (Status::Making, 0));
        assert_eq!(status(Some("available"), &[]), (Status::Made, 0));
        assert_eq!(status(Some("available"), &["available", "creating"]), (Status::Made, 1));
        assert_eq!(
            status(Some("available"), &["available", "available"]),
            (Status::Complete, 2)
        );
    }

    #[test]
    fn what_will_never_be_is_not_waited_for() {
        assert_eq!(status(Some("incompatible-restore"), &[]).0, Status::Failed);
        assert_eq!(status(None, &[]).0, Status::Failed);
        assert_eq!(status(Some("available"), &["incompatible-network"]).0, Status::Failed);
    }
}
