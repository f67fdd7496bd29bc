//! The snapshot that whoever started the recovery named, in place of a moment.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot};
use jiff::Timestamp;
use shared::arn::Arn;
use shared::error::StepError;
use shared::record::{Warning, WarningCode};
use shared::restore::SnapshotSource;
use shared::slices::SiteSlice;
use shared::snapshot::{self, AVAILABLE};

/// A snapshot that was named.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// As it was named.
    pub(crate) name: String,
    /// As AWS shows it; nothing if the Region has no such snapshot.
    pub(crate) shown: Option<DbClusterSnapshot>,
}

impl Named {
    /// Reads it. One of another Region is not asked for: no restore takes it. Errors: AWS's own.
    pub(crate) async fn read(client: &Client, name: &str, here: &SiteSlice) -> Result<Self, StepError> {
        let shown = match elsewhere(name, here) {
            Some(_) => None,
            None => snapshot::find(client, name, &here.region).await?,
        };
        Ok(Self {
            name: name.to_owned(),
            shown,
        })
    }

    /// The moment that its data are of, to the second: what the ledger has since is done again, rather twice than never.
    pub(crate) fn taken_at(&self) -> Option<Timestamp> {
        let at = snapshot::taken_at(self.shown.as_ref()?)?;
        Timestamp::from_second(at.as_second()).ok()
    }

    /// The master user of its data.
    pub(crate) fn master(&self) -> Option<&str> {
        self.shown.as_ref()?.master_username()
    }

    /// What a restore takes of it; nothing where AWS does not say that.
    pub(crate) fn source(&self) -> Option<SnapshotSource> {
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let shown = self.shown.as_ref()?;
        Some(SnapshotSource {
            id: text(shown.db_cluster_snapshot_identifier())?,
            arn: text(shown.db_cluster_snapshot_arn())?,
            engine: text(shown.engine())?,
            engine_version: text(shown.engine_version())?,
        })
    }

    /// Why no cluster with the settings of `cluster` can be made from it.
    pub(crate) fn blockers(&self, here: &SiteSlice, cluster: &DbCluster) -> Vec<String> {
        let (name, region) = (&self.name, &here.region);
        if let Some(other) = elsewhere(name, here) {
            return vec![format!(
                "snapshot {name} is in {other}, and a restore in {region} takes one of {region} alone; copy it there, then start again \
                 with the copy"
            )];
        }
        let Some(shown) = &self.shown else {
            return vec![format!(
                "there is no manual snapshot {name} in {region}; look for its name in the console. One that another account shares is \
                 named by its ARN. Then start again"
            )];
        };
        let mut blockers = Vec::new();
        let status = shown.status().unwrap_or("without a status");
        if status != AVAILABLE {
            blockers.push(format!(
                "snapshot {name} in {region} is {status}, and AWS restores one that is available only; wait until it is, then start again"
            ));
        }
        let (engine, ours) = (shown.engine().unwrap_or_default(), cluster.engine().unwrap_or_default());
        if engine != ours {
            blockers.push(format!(
                "snapshot {name} in {region} is of the engine {engine:?}, and cluster {} of {ours:?}; name a snapshot of that engine",
                here.cluster
            ));
        } else if major(shown.engine_version()) != major(cluster.engine_version()) {
            // The parameter groups belong to a major version.
            blockers.push(format!(
                "snapshot {name} in {region} is of version {} of {engine}, and cluster {} of {}, whose parameter groups do not fit; restore \
                 it by hand, see the runbook",
                shown.engine_version().unwrap_or_default(),
                here.cluster,
                cluster.engine_version().unwrap_or_default()
            ));
        }
        if shown.storage_encrypted() == Some(true) && shown.kms_key_id().is_none_or(str::is_empty) {
            blockers.push(format!(
                "snapshot {name} in {region} is encrypted, and AWS does not say with which key; copy it with a key of yours, then start \
                 again with the copy"
            ));
        }
        if blockers.is_empty() && (self.taken_at().is_none() || self.source().is_none()) {
            blockers.push(format!(
                "AWS does not say of which moment or version the data of snapshot {name} in {region} are; restore it by hand, see the \
                 runbook"
            ));
        }
        blockers
    }

    /// What makes its data doubtful.
    pub(crate) fn warnings(&self, here: &SiteSlice) -> Vec<Warning> {
        let Some(shown) = &self.shown else {
            return Vec::new();
        };
        let name = &self.name;
        let mut warnings = Vec::new();
        let mut warn = |code: &str, text: String| {
            warnings.push(Warning::new(WarningCode::Other(code.to_owned()), text).about(&here.region));
        };
        let of = shown.db_cluster_identifier().unwrap_or_default();
        if of != here.cluster {
            warn(
                "snapshot-of-another",
                format!(
                    "snapshot {name} is of cluster {of:?} and not of {}: its data, its users and their passwords may be others",
                    here.cluster
                ),
            );
        }
        let source = shown.source_db_cluster_snapshot_arn().unwrap_or_default();
        if !source.is_empty() {
            warn(
                "snapshot-copied",
                format!(
                    "snapshot {name} is a copy of {source}, and AWS may show when the copy was made: then its data are older, more is lost, \
                     and what the ledger has of the time between is not done again"
                ),
            );
        }
        warnings
    }

    /// Which one it is, and of when, for people.
    pub(crate) fn in_words(&self, here: &SiteSlice) -> String {
        let owner = Arn::read(&self.name).map(|arn| arn.account);
        let ours = Arn::read(&here.cluster_arn).map(|arn| arn.account);
        let shared = match owner.filter(|owner| Some(*owner) != ours) {
            Some(owner) => format!(", which account {owner} shares,"),
            None => String::new(),
        };
        let taken_at = self.taken_at().map(|at| format!(", taken at {at}")).unwrap_or_default();
        format!("snapshot {}{shared}{taken_at}", self.name)
    }
}

/// The Region of a snapshot that is named by an ARN of another one.
fn elsewhere<'a>(name: &'a str, here: &SiteSlice) -> Option<&'a str> {
    let region = Arn::read(name)?.region;
    (region != here.region).then_some(region)
}

fn major(version: Option<&str>) -> Option<&str> {
    version?.split('.').next()
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::primitives::DateTime;
    use aws_sdk_rds::types::builders::DbClusterSnapshotBuilder;
    use serde_json::json;

    use super::*;

    fn here() -> SiteSlice {
        let here = json!({
            "region": "us-east-1", "cluster": "shop", "cluster_arn": "arn:aws:rds:us-east-1:123456789012:cluster:shop",
            "secret_arn": "arn:s", "topic_arn": "arn:t", "api": { "rest_api": "abc", "stage": "v2", "domain": "d.example.com" },
        });
        serde_json::from_value(here).unwrap()
    }

    fn cluster() -> DbCluster {
        let cluster = DbCluster::builder().engine("aurora-postgresql");
        cluster.engine_version("16.6").build()
    }

    fn good() -> DbClusterSnapshotBuilder {
        DbClusterSnapshot::builder()
            .db_cluster_snapshot_identifier("before")
            .db_cluster_snapshot_arn("arn:aws:rds:us-east-1:123456789012:cluster-snapshot:before")
            .db_cluster_identifier("shop")
            .snapshot_create_time(DateTime::from_secs_and_nanos(1_000, 900_000_000))
            .status("available")
            .engine("aurora-postgresql")
            .engine_version("16.4")
            .storage_encrypted(true)
            .kms_key_id("arn:key")
    }

    fn named(name: &str, shown: Option<DbClusterSnapshotBuilder>) -> Named {
        Named {
            name: name.to_owned(),
            shown: shown.map(DbClusterSnapshotBuilder::build),
        }
    }

    #[test]
    fn one_that_can_be_restored_says_its_moment_and_its_version() {
        let named = named("before", Some(good()));
        assert_eq!(named.blockers(&here(), &cluster()), [""; 0]);
        assert_eq!(named.warnings(&here()), []);
        assert_eq!(named.taken_at(), Timestamp::from_second(1_000).ok(), "rather too early");
        let source = named.source().unwrap();
        assert_eq!((source.id.as_str(), source.engine_version.as_str()), ("before", "16.4"));
        assert_eq!(
            named.in_words(&here()),
            "snapshot before, taken at 1970-01-01T00:16:40Z"
        );
    }

    #[test]
    fn one_that_no_restore_takes_is_refused_and_the_text_says_why() {
        let refused = |name: &str, shown: Option<DbClusterSnapshotBuilder>| {
            let blockers = named(name, shown).blockers(&here(), &cluster());
            assert_eq!(blockers.len(), 1, "{blockers:?}");
            blockers[0].clone()
        };
        assert!(refused("before", None).contains("no manual snapshot before in us-east-1"));
        let west = "arn:aws:rds:us-west-2:123456789012:cluster-snapshot:before";
        assert!(refused(west, None).contains("is in us-west-2"));
        assert!(refused("before", Some(good().status("creating"))).contains("is creating"));
        let mysql = good().engine("aurora-mysql").engine_version("8.0");
        assert!(refused("before", Some(mysql)).contains("engine \"aurora-mysql\""));
        assert!(refused("before", Some(good().engine_version("15.9"))).contains("version 15.9"));
        assert!(refused("before", Some(good().set_kms_key_id(None))).contains("with which key"));
        let without_time = good().set_snapshot_create_time(None);
        assert!(refused("before", Some(without_time)).contains("does not say of which moment"));
        let unencrypted = good().storage_encrypted(false).set_kms_key_id(None);
        let unencrypted = named("before", Some(unencrypted));
        assert_eq!(unencrypted.blockers(&here(), &cluster()), [""; 0]);
    }

    #[test]
    fn a_copy_and_one_of_another_cluster_or_account_are_told() {
        let codes = |shown: DbClusterSnapshotBuilder| -> Vec<WarningCode> {
            let warnings = named("before", Some(shown)).warnings(&here());
            warnings.into_iter().map(|warning| warning.code).collect()
        };
        let other = |code: &str| WarningCode::Other(code.to_owned());
        assert_eq!(
            codes(good().db_cluster_identifier("market")),
            [other("snapshot-of-another")]
        );
        assert_eq!(
            codes(good().source_db_cluster_snapshot_arn("arn:a")),
            [other("snapshot-copied")]
        );
        let theirs = "arn:aws:rds:us-east-1:210987654321:cluster-snapshot:before";
        let words = named(theirs, Some(good())).in_words(&here());
        assert!(words.contains("which account 210987654321 shares"), "{words}");
    }
}
