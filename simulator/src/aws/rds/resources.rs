//! Instances and snapshots, and how clusters are made.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::logins::Logins;
use super::settings::Settings;
use crate::aws::refusal::Refusal;
use crate::database::Database;
use crate::faults::FaultId;

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its identifier.
    pub id: String,
    /// Its class, such as `db.r6g.large`.
    pub class: String,
    /// Who becomes the writer after a failover: the least first.
    pub tier: u8,
    /// Its zone.
    pub zone: String,
    /// Its parameter group.
    pub parameter_group: String,
    /// Every how many seconds Enhanced Monitoring measures; 0 for never.
    pub monitoring_interval: u16,
    /// The role that it needs for that.
    pub monitoring_role: Option<String>,
    /// Whether Performance Insights is on.
    pub performance_insights: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// From when on it works.
    pub works_from: Timestamp,
    /// From when on it is no more, if it is being deleted.
    pub gone_from: Option<Timestamp>,
}

/// The class of instances that nobody gave one.
const CLASS: &str = "db.r6g.large";
/// The parameter group of instances that were given none.
const DEFAULT_PARAMETER_GROUP: &str = "default.aurora-postgresql16";

impl Instance {
    /// One that works.
    pub(super) fn working(id: &str, region: &str, tier: u8) -> Self {
        Self {
            id: id.to_owned(),
            class: CLASS.to_owned(),
            tier,
            zone: format!("{region}{}", char::from(b'a' + tier % 3)),
            parameter_group: DEFAULT_PARAMETER_GROUP.to_owned(),
            monitoring_interval: 0,
            monitoring_role: None,
            performance_insights: false,
            tags: BTreeMap::new(),
            works_from: Timestamp::MIN,
            gone_from: None,
        }
    }

    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        match self.gone_from {
            Some(_) => "deleting",
            None if now < self.works_from => "creating",
            None => "available",
        }
    }
}

/// What an account can have so many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Clusters in a Region.
    Clusters,
    /// Instances in a Region.
    Instances,
}

/// A snapshot.
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) region: String,
    /// The account that took it. One of another account is shared with this one.
    pub(super) account: String,
    pub(super) engine: String,
    /// ARN of the one that it was copied from, if it is a copy.
    pub(super) copied_from: Option<String>,
    pub(super) of: String,
    pub(super) taken_at: Timestamp,
    pub(super) ready_at: Timestamp,
    pub(super) contents: Contents,
    pub(super) tags: BTreeMap<String, String>,
}

/// What a cluster can be made from.
pub(super) struct Contents {
    pub(super) database: Database,
    pub(super) settings: Settings,
    pub(super) logins: Logins,
    pub(super) engine_version: String,
}

impl Contents {
    /// The same, with the data of then. Errors: SQLite's, as AWS would hide it.
    pub(super) fn as_of(&self, to: Timestamp) -> Result<Self, Refusal> {
        Self::copied(&self.database, &self.settings, &self.logins, &self.engine_version, to)
    }

    /// Copies of these, with the data of then. Errors: SQLite's, as AWS would hide it.
    pub(super) fn copied(
        database: &Database,
        settings: &Settings,
        logins: &Logins,
        engine_version: &str,
        to: Timestamp,
    ) -> Result<Self, Refusal> {
        let database = database.copy_as_of(to);
        Ok(Self {
            database: database.map_err(|error| Refusal(500, "InternalFailure", error))?,
            settings: settings.clone(),
            logins: logins.as_of(to),
            engine_version: engine_version.to_owned(),
        })
    }
}

/// What becomes of the next restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreFate {
    /// It never ends.
    Stuck,
    /// It ends with a cluster whose status is `failed`.
    Failed,
    /// AWS refuses it for a parameter.
    Refused(String),
}

/// A cluster that is being made.
pub(super) struct Making {
    pub(super) ends_at: Timestamp,
    /// The fault that keeps it from its end; once that is lifted, it ends at once.
    pub(super) held_by: Option<FaultId>,
    pub(super) fails: bool,
}
