//! Manual snapshots of clusters, and those that other accounts share. Sources: RDS API Reference, `CreateDBClusterSnapshot`,
//! `DescribeDBClusterSnapshots`; hashicorp/terraform-provider-aws issue 31897: a shared one is found by its ARN alone.

use jiff::Timestamp;

use super::parameters::{ENGINE, Parameters, element_of, pairs, take_only};
use super::resources::Snapshot;
use super::settings::tags_xml;
use super::state::{Rds, State};
use crate::aws::refusal::Refusal;
use crate::aws::wire::element;
use crate::environment::Environment;
use crate::lock::lock;

/// What is not as usual with a snapshot that somebody took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peculiar {
    /// It is still being made, and that does not end.
    pub never_ready: bool,
    /// It is of this engine.
    pub engine: Option<String>,
    /// This account took it, and shares it.
    pub account: Option<String>,
    /// It was copied from the one with this ARN.
    pub copied_from: Option<String>,
}

impl Rds {
    /// Takes a manual snapshot of a cluster, as somebody did in good time: it can be restored at once, where nothing else is said. Does
    /// nothing where there is no such cluster.
    pub fn take_snapshot(&self, environment: &Environment, cluster_arn: &str, id: &str, peculiar: Peculiar) {
        let mut state = lock(&self.state);
        let now = environment.now();
        state.advance(environment, now);
        let Some(cluster) = state.clusters.get(cluster_arn) else {
            return;
        };
        let Ok(contents) = cluster.contents(now) else { return };
        let snapshot = Snapshot {
            id: id.to_owned(),
            region: cluster.region.clone(),
            account: peculiar.account.unwrap_or_else(|| environment.account.clone()),
            engine: peculiar.engine.unwrap_or_else(|| ENGINE.to_owned()),
            copied_from: peculiar.copied_from,
            of: cluster.id.clone(),
            taken_at: now,
            ready_at: if peculiar.never_ready { Timestamp::MAX } else { now },
            contents,
            tags: cluster.settings.tags.clone(),
        };
        state.snapshots.push(snapshot);
    }
}

impl Snapshot {
    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        if now < self.ready_at { "creating" } else { "available" }
    }

    fn arn(&self) -> String {
        format!(
            "arn:aws:rds:{}:{}:cluster-snapshot:{}",
            self.region, self.account, self.id
        )
    }

    /// Whether somebody of `account` means it by this identifier or ARN. A shared one has the latter alone.
    fn is_called(&self, account: &str, name: &str) -> bool {
        self.arn() == name || self.account == account && self.id == name
    }

    fn xml(&self, environment: &Environment) -> String {
        let now = environment.now();
        let progress = if self.status(now) == "available" { "100" } else { "0" };
        let is_shared = self.account != environment.account;
        let key = self.contents.settings.kms_key.as_ref();
        let parts = [
            element("DBClusterSnapshotIdentifier", &self.id),
            element("DBClusterSnapshotArn", &self.arn()),
            element("DBClusterIdentifier", &self.of),
            element("SnapshotCreateTime", &self.taken_at.to_string()),
            element("SnapshotType", if is_shared { "shared" } else { "manual" }),
            element("Status", self.status(now)),
            element("PercentProgress", progress),
            element("Engine", &self.engine),
            element("EngineVersion", &self.contents.engine_version),
            element("MasterUsername", &self.contents.logins.master),
            element("StorageEncrypted", &key.is_some().to_string()),
            key.map_or_else(String::new, |key| element("KmsKeyId", key)),
            self.copied_from
                .as_ref()
                .map_or_else(String::new, |source| element("SourceDBClusterSnapshotArn", source)),
            tags_xml(&self.tags),
        ];
        element_of("DBClusterSnapshot", &parts.concat())
    }
}

impl State {
    pub(super) fn create_snapshot(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(
            parameters,
            &["DBClusterSnapshotIdentifier", "DBClusterIdentifier", "Tags"],
        )?;
        let text = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        let id = text("DBClusterSnapshotIdentifier");
        if self.snapshot_of(environment, region, &id).is_ok() {
            let message =
                format!("Cannot create the snapshot because a snapshot with the identifier {id} already exists.");
            return Err(Refusal(400, "DBClusterSnapshotAlreadyExistsFault", message));
        }
        let (_, cluster) = self.named(region, &text("DBClusterIdentifier"))?;
        cluster.is_available()?;
        let now = environment.now();
        let takes = environment.draw("snapshot-creation", &environment.timings.snapshot_creation);
        let mut tags = pairs(parameters, "Tags.Tag", "Key", "Value");
        if cluster.settings.copies_tags_to_snapshots {
            tags.extend(cluster.settings.tags.clone());
        }
        let snapshot = Snapshot {
            id,
            region: region.to_owned(),
            account: environment.account.clone(),
            engine: ENGINE.to_owned(),
            copied_from: None,
            of: cluster.id.clone(),
            taken_at: now,
            ready_at: now.checked_add(takes).unwrap_or(now),
            contents: cluster.contents(now)?,
            tags,
        };
        let shown = snapshot.xml(environment);
        self.snapshots.push(snapshot);
        Ok(shown)
    }

    pub(super) fn describe_snapshots(
        &self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(
            parameters,
            &[
                "DBClusterSnapshotIdentifier",
                "DBClusterIdentifier",
                "SnapshotType",
                "IncludeShared",
            ],
        )?;
        let is_shown = |snapshot: &Snapshot| {
            snapshot.account == environment.account
                || parameters.get("IncludeShared").is_some_and(|shared| shared == "true")
        };
        if parameters.get("SnapshotType").is_some_and(|kind| kind != "manual") {
            let message = "the simulated RDS has manual snapshots only".to_owned();
            return Err(Refusal(501, "NotSimulated", message));
        }
        if let Some(name) = parameters.get("DBClusterSnapshotIdentifier") {
            let found = self.snapshot_of(environment, region, name)?;
            if !is_shown(found) {
                return Err(no_snapshot(name));
            }
            return Ok(element_of("DBClusterSnapshots", &found.xml(environment)));
        }
        let of = parameters.get("DBClusterIdentifier");
        let found: String = self
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.region == region && of.is_none_or(|of| *of == snapshot.of))
            .filter(|snapshot| is_shown(snapshot))
            .map(|snapshot| snapshot.xml(environment))
            .collect();
        Ok(element_of("DBClusterSnapshots", &found))
    }

    /// A snapshot by its name or ARN. Errors: there is none in this Region.
    pub(super) fn snapshot_of(
        &self,
        environment: &Environment,
        region: &str,
        name: &str,
    ) -> Result<&Snapshot, Refusal> {
        let is_meant =
            |snapshot: &&Snapshot| snapshot.region == region && snapshot.is_called(&environment.account, name);
        self.snapshots.iter().find(is_meant).ok_or_else(|| no_snapshot(name))
    }
}

fn no_snapshot(name: &str) -> Refusal {
    let message = format!("DBClusterSnapshot not found: {name}");
    Refusal(404, "DBClusterSnapshotNotFoundFault", message)
}
