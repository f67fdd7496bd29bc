//! An Aurora global database as a recovery sees it.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, DbInstance, Filter, GlobalCluster};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

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
    /// `pending`, `failing-over`, `cancelling`, or what else AWS says; `moving` if it does not say.
    pub status: String,
    /// ARN of the cluster that becomes the writer, if AWS says which.
    pub to_cluster_arn: Option<String>,
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
    /// A cluster is being promoted, and AWS does not say which.
    Unclear(Transition),
    /// Nothing is going on, and the cluster is not the writer.
    NotStarted,
}

/// How many looks in a row must agree that a promotion does not go on, and over how long. AWS does not say how old an answer
/// can be. Assumed: answers as old as the promotion are the exception, so that several in a row are not old.
const LOOKS_THAT_AGREE: u32 = 5;
const THEY_AGREE_OVER: SignedDuration = SignedDuration::from_secs(60);

/// Looks in a row that show no promotion, where one was asked for. Each alone may be old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotBegun {
    /// How many.
    pub looks: u32,
    /// When the first of them was made.
    pub first_at: Option<Timestamp>,
}

impl NotBegun {
    /// After one more look.
    #[must_use]
    pub fn next(self, promotion: &Promotion, now: Timestamp) -> Self {
        match promotion {
            Promotion::NotStarted => Self {
                looks: self.looks.saturating_add(1),
                first_at: self.first_at.or(Some(now)),
            },
            Promotion::Done | Promotion::Underway(_) | Promotion::Elsewhere(_) | Promotion::Unclear(_) => {
                Self::default()
            }
        }
    }

    /// Whether the last look showed it.
    pub fn is_none(&self) -> bool {
        self.looks == 0
    }

    /// Whether AWS has cancelled the promotion, or never began it.
    pub fn is_certain(self, now: Timestamp) -> bool {
        let agree_over = self.first_at.map(|first| now.duration_since(first));
        self.looks >= LOOKS_THAT_AGREE && agree_over.is_some_and(|over| over >= THEY_AGREE_OVER)
    }
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

    /// The global database with identifier `id`, as AWS describes it. What is empty there is absent.
    pub fn from_aws(id: &str, cluster: &GlobalCluster) -> Self {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let members = cluster.global_cluster_members().iter().filter_map(|member| {
            Some(Member {
                cluster_arn: given(member.db_cluster_arn()?)?,
                is_writer: member.is_writer().unwrap_or_default(),
                synchronization: member
                    .synchronization_status()
                    .and_then(|status| given(status.as_str())),
            })
        });
        // AWS leaves the state out, or empty, when nothing is going on. Each part of it is optional.
        let transition = cluster.failover_state().and_then(|state| {
            let status = state.status().and_then(|status| given(status.as_str()));
            let to_cluster_arn = state.to_db_cluster_arn().and_then(given);
            let from = state.from_db_cluster_arn().and_then(given);
            if status.is_none() && to_cluster_arn.is_none() && from.is_none() {
                return None;
            }
            Some(Transition {
                status: status.unwrap_or_else(|| "moving".to_owned()),
                to_cluster_arn,
                way: state
                    .is_data_loss_allowed()
                    .map(|loses| if loses { Way::Failover } else { Way::Switchover }),
            })
        });
        Self {
            id: id.to_owned(),
            members: members.collect(),
            transition,
            engine_version: cluster.engine_version().and_then(given),
        }
    }

    /// The cluster with this ARN.
    pub fn member(&self, cluster_arn: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.cluster_arn == cluster_arn)
    }

    /// The clusters that take writes: one, as a rule.
    pub fn writers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_writer)
    }

    /// How far the promotion of the cluster with this ARN is.
    pub fn promotion(&self, cluster_arn: &str) -> Promotion {
        match &self.transition {
            Some(transition) => match transition.to_cluster_arn.as_deref() {
                Some(to) if to == cluster_arn => Promotion::Underway(transition.clone()),
                Some(_) => Promotion::Elsewhere(transition.clone()),
                None => Promotion::Unclear(transition.clone()),
            },
            None if self.member(cluster_arn).is_some_and(|member| member.is_writer) => Promotion::Done,
            None => Promotion::NotStarted,
        }
    }
}

impl Transition {
    /// The transition of global database `id` in a sentence, for people.
    pub fn in_words(&self, id: &str) -> String {
        let to = self
            .to_cluster_arn
            .as_deref()
            .unwrap_or("a cluster that AWS does not name");
        format!("global database {id} is {} to {to}", self.status)
    }
}

/// Looks at a Region's cluster through a client of that Region. Errors: `NotFound`, and AWS's own.
pub async fn describe_cluster(client: &Client, site: &SiteSlice) -> Result<DbCluster, StepError> {
    let shown = show_cluster(client, &site.cluster, &site.region).await?;
    shown.ok_or_else(|| {
        let resource = format!("cluster {} in {}", site.cluster, site.region);
        let text = format!("{resource} does not exist; compare the plan with the console");
        StepError::new(ErrorKind::NotFound, text)
    })
}

/// Likewise a cluster that may not be there.
pub async fn find_cluster(client: &Client, id: &str, region: &str) -> Result<Option<DbCluster>, StepError> {
    match show_cluster(client, id, region).await {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        shown => shown,
    }
}

async fn show_cluster(client: &Client, id: &str, region: &str) -> Result<Option<DbCluster>, StepError> {
    let resource = format!("cluster {id} in {region}");
    let shown = client.describe_db_clusters().db_cluster_identifier(id).send().await;
    let shown = shown.map_err(|error| StepError::aws("rds:DescribeDBClusters", &resource, error))?;
    Ok(shown.db_clusters.unwrap_or_default().into_iter().next())
}

/// The instances of a cluster; none where there is no such cluster. Errors: AWS's.
pub async fn instances_of(client: &Client, cluster: &str, region: &str) -> Result<Vec<DbInstance>, StepError> {
    let resource = format!("the instances of cluster {cluster} in {region}");
    let of_cluster = Filter::builder().name("db-cluster-id").values(cluster).build();
    let mut pages = client
        .describe_db_instances()
        .filters(of_cluster)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| StepError::aws("rds:DescribeDBInstances", &resource, error))?;
        found.extend(page.db_instances.unwrap_or_default());
    }
    Ok(found)
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
            to_cluster_arn: Some(to.to_owned()),
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

    #[test]
    fn one_look_that_shows_no_promotion_is_no_proof() {
        let at = |second| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let (begun, not) = (
            database("old", Some("new")).promotion("new"),
            database("old", None).promotion("new"),
        );
        let after = |looks: &[(i64, &Promotion)]| {
            looks
                .iter()
                .fold((NotBegun::default(), false), |(so_far, _), (second, promotion)| {
                    let next = so_far.next(promotion, at(*second));
                    (next, next.is_certain(at(*second)))
                })
                .1
        };
        assert!(!after(&[(600, &not)]), "one look, however late");
        assert!(
            !after(&[(0, &not), (4, &not), (8, &not), (12, &not), (16, &not)]),
            "too close together"
        );
        assert!(!after(&[(0, &not), (60, &not), (90, &not), (120, &not)]), "too few");
        let row = [(0, &not), (15, &not), (30, &not), (45, &not), (60, &not)];
        assert!(after(&row));
        let mut broken = row;
        broken[3].1 = &begun;
        assert!(!after(&broken), "a look that shows it begins the row anew");
    }
}
