//! An Aurora global database as a recovery sees it.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, GlobalCluster};

use crate::error::{ErrorKind, StepError};
use crate::recovery::Way;
use crate::slices::SiteSlice;

/// A global database: its clusters, and a failover or switchover that is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalDatabase {
    /// Its identifier.
    pub id: String,
    /// The clusters.
    pub members: Vec<Member>,
    /// What is going on, if anything.
    pub transition: Option<Transition>,
    /// The version of its engine, if AWS says.
    pub engine_version: Option<String>,
}

/// One cluster of a global database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// Whether it takes writes.
    pub is_writer: bool,
    /// `connected` or `pending-resync`, as AWS says it; nothing if AWS does not say.
    pub synchronization: Option<String>,
}

/// A failover or switchover that is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// `pending`, `failing-over`, `cancelling`, or what else AWS says.
    pub status: String,
    /// ARN of the cluster that becomes the writer.
    pub to_cluster_arn: String,
    /// The way, if AWS says which.
    pub way: Option<Way>,
}

/// How far the promotion of one cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// The cluster is the writer, and nothing is going on.
    Done,
    /// It goes on.
    Underway(Transition),
    /// Another cluster is being promoted.
    Elsewhere(Transition),
    /// Nothing is going on, and the cluster is not the writer.
    NotStarted,
}

impl GlobalDatabase {
    /// Looks at global database `id`, as the Region of `client` sees it. Errors: `NotFound`, and AWS's own.
    pub async fn describe(client: &Client, id: &str, region: &str) -> Result<Self, StepError> {
        let resource = format!("global database {id} in {region}");
        let output = client
            .describe_global_clusters()
            .global_cluster_identifier(id)
            .send()
            .await
            .map_err(|error| StepError::aws("rds:DescribeGlobalClusters", &resource, error))?;
        let found = output
            .global_clusters()
            .iter()
            .find(|cluster| cluster.global_cluster_identifier() == Some(id));
        let missing = || {
            StepError::new(
                ErrorKind::NotFound,
                format!("{resource} does not exist; compare the plan with the console"),
            )
        };
        found.map(|cluster| Self::from_aws(id, cluster)).ok_or_else(missing)
    }

    fn from_aws(id: &str, cluster: &GlobalCluster) -> Self {
        let members = cluster.global_cluster_members().iter().map(|member| Member {
            cluster_arn: member.db_cluster_arn().unwrap_or_default().to_owned(),
            is_writer: member.is_writer().unwrap_or_default(),
            synchronization: member.synchronization_status().map(|status| status.as_str().to_owned()),
        });
        // AWS leaves the state out, or empty, when nothing is going on.
        let transition = cluster.failover_state().and_then(|state| {
            Some(Transition {
                status: state.status()?.as_str().to_owned(),
                to_cluster_arn: state.to_db_cluster_arn()?.to_owned(),
                way: state
                    .is_data_loss_allowed()
                    .map(|loses| if loses { Way::Failover } else { Way::Switchover }),
            })
        });
        Self {
            id: id.to_owned(),
            members: members.collect(),
            transition,
            engine_version: cluster.engine_version().map(str::to_owned),
        }
    }

    /// The cluster with this ARN.
    pub fn member(&self, cluster_arn: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.cluster_arn == cluster_arn)
    }

    /// How far the promotion of the cluster with this ARN is.
    pub fn promotion(&self, cluster_arn: &str) -> Promotion {
        match &self.transition {
            Some(transition) if transition.to_cluster_arn == cluster_arn => Promotion::Underway(transition.clone()),
            Some(transition) => Promotion::Elsewhere(transition.clone()),
            None if self.member(cluster_arn).is_some_and(|member| member.is_writer) => Promotion::Done,
            None => Promotion::NotStarted,
        }
    }
}

/// Looks at a Region's cluster through a client of that Region. Errors: `NotFound`, and AWS's own.
pub async fn describe_cluster(client: &Client, site: &SiteSlice) -> Result<DbCluster, StepError> {
    let resource = format!("cluster {} in {}", site.cluster, site.region);
    let output = client
        .describe_db_clusters()
        .db_cluster_identifier(&site.cluster)
        .send()
        .await
        .map_err(|error| StepError::aws("rds:DescribeDBClusters", &resource, error))?;
    output
        .db_clusters
        .unwrap_or_default()
        .into_iter()
        .next()
        .ok_or_else(|| {
            let text = format!("{resource} does not exist; compare the plan with the console");
            StepError::new(ErrorKind::NotFound, text)
        })
}

/// Whether a cluster of this status serves reads and writes. Source: Aurora User Guide, "Viewing DB cluster status": work
/// that goes on in the background.
pub fn serves(status: &str) -> bool {
    matches!(
        status,
        "available" | "backing-up" | "maintenance" | "modifying" | "storage-optimization" | "update-iam-db-auth"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(writer: &str, transition: Option<&str>) -> GlobalDatabase {
        let member = |arn: &str| Member {
            cluster_arn: arn.to_owned(),
            is_writer: arn == writer,
            synchronization: None,
        };
        let transition = transition.map(|to| Transition {
            status: "failing-over".to_owned(),
            to_cluster_arn: to.to_owned(),
            way: None,
        });
        GlobalDatabase {
            id: "g".to_owned(),
            members: vec![member("old"), member("new")],
            transition,
            engine_version: None,
        }
    }

    #[test]
    fn promotion_is_done_only_when_nothing_is_going_on() {
        assert_eq!(database("old", None).promotion("new"), Promotion::NotStarted);
        assert!(matches!(
            database("old", Some("new")).promotion("new"),
            Promotion::Underway(_)
        ));
        assert!(matches!(
            database("new", Some("new")).promotion("new"),
            Promotion::Underway(_)
        ));
        assert_eq!(database("new", None).promotion("new"), Promotion::Done);
        assert!(matches!(
            database("new", Some("old")).promotion("new"),
            Promotion::Elsewhere(_)
        ));
    }
}
