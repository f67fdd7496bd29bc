//! Manual snapshots of clusters. Source: RDS API Reference, `CreateDBClusterSnapshot`.

use jiff::Timestamp;

use super::parameters::{ENGINE, Parameters, element_of, pairs, take_only};
use super::resources::Snapshot;
use super::settings::tags_xml;
use super::state::State;
use crate::aws::refusal::Refusal;
use crate::aws::wire::element;
use crate::environment::Environment;

impl Snapshot {
    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        if now < self.ready_at { "creating" } else { "available" }
    }

    fn arn(&self, environment: &Environment) -> String {
        format!(
            "arn:aws:rds:{}:{}:cluster-snapshot:{}",
            self.region, environment.account, self.id
        )
    }

    fn xml(&self, environment: &Environment) -> String {
        let now = environment.now();
        let progress = if self.status(now) == "available" { "100" } else { "0" };
        let parts = [
            element("DBClusterSnapshotIdentifier", &self.id),
            element("DBClusterSnapshotArn", &self.arn(environment)),
            element("DBClusterIdentifier", &self.of),
            element("SnapshotCreateTime", &self.taken_at.to_string()),
            element("SnapshotType", "manual"),
            element("Status", self.status(now)),
            element("PercentProgress", progress),
            element("Engine", ENGINE),
            element("EngineVersion", &self.contents.engine_version),
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
        if self.snapshot_of(region, &id).is_ok() {
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
            &["DBClusterSnapshotIdentifier", "DBClusterIdentifier", "SnapshotType"],
        )?;
        if parameters.get("SnapshotType").is_some_and(|kind| kind != "manual") {
            let message = "the simulated RDS has manual snapshots only".to_owned();
            return Err(Refusal(501, "NotSimulated", message));
        }
        if let Some(name) = parameters.get("DBClusterSnapshotIdentifier") {
            let found = self.snapshot_of(region, name)?.xml(environment);
            return Ok(element_of("DBClusterSnapshots", &found));
        }
        let of = parameters.get("DBClusterIdentifier");
        let found: String = self
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.region == region && of.is_none_or(|of| *of == snapshot.of))
            .map(|snapshot| snapshot.xml(environment))
            .collect();
        Ok(element_of("DBClusterSnapshots", &found))
    }

    /// A snapshot by its name or ARN. Errors: there is none in this Region.
    pub(super) fn snapshot_of(&self, region: &str, name: &str) -> Result<&Snapshot, Refusal> {
        let is_named = |snapshot: &&Snapshot| {
            snapshot.region == region
                && (snapshot.id == name || name.ends_with(&format!(":cluster-snapshot:{}", snapshot.id)))
        };
        self.snapshots.iter().find(is_named).ok_or_else(|| {
            let message = format!("DBClusterSnapshot not found: {name}");
            Refusal(404, "DBClusterSnapshotNotFoundFault", message)
        })
    }
}
