//! A cluster that a recovery makes from another one's past: its name, and what it takes over from the first one.
//!
//! AWS copies little of a cluster's settings into a restored one, whatever its API Reference says in general: security groups, both
//! kinds of parameter groups, IAM authentication, log exports, deletion protection, scaling and storage type have a default where a
//! request does not give them (RDS API Reference, `RestoreDBClusterToPointInTime` and `RestoreDBClusterFromSnapshot`, parameter by
//! parameter).

use aws_sdk_rds::operation::restore_db_cluster_from_snapshot::builders::RestoreDbClusterFromSnapshotInputBuilder;
use aws_sdk_rds::operation::restore_db_cluster_to_point_in_time::builders::RestoreDbClusterToPointInTimeInputBuilder;
use aws_sdk_rds::primitives::DateTime;
use aws_sdk_rds::types::{DbCluster, DbClusterAssociatedRole, DbInstance, ServerlessV2ScalingConfiguration, Tag};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;

/// The tag that says which recovery made a resource.
pub const MADE_BY: &str = "made-by-recovery";
/// What follows the workload in the name of a restored cluster. Roles may change clusters of such names, and no others.
const RESTORED: &str = "restored";
/// How much of the digest of a recovery's id is in the name.
const DIGITS: usize = 12;

/// The identifier of the cluster that a recovery makes. However often it is tried, there is one.
pub fn cluster_id(workload: &str, recovery: &str) -> String {
    format!("{workload}-{RESTORED}-{}", &sha256_hex(recovery)[..DIGITS])
}

/// What the identifiers of all restored clusters of a workload are like, for IAM.
pub fn cluster_ids(workload: &str) -> String {
    format!("{workload}-{RESTORED}-*")
}

/// Its ARN, in the Region and account of the cluster that it is made from.
pub fn cluster_arn(source_arn: &str, id: &str) -> String {
    match source_arn.rsplit_once(':') {
        Some((before, _)) => format!("{before}:{id}"),
        None => id.to_owned(),
    }
}

/// The identifier of an instance of it: the first is the writer.
pub fn instance_id(cluster: &str, index: usize) -> String {
    format!("{cluster}-{}", index + 1)
}

/// What a restored cluster takes over. Whoever keeps it can restore what is gone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterProfile {
    /// Its identifier.
    pub id: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its subnet group.
    pub subnet_group: Option<String>,
    /// Its cluster parameter group.
    pub parameter_group: Option<String>,
    /// The key of its storage.
    pub kms_key: Option<String>,
    /// Its port.
    pub port: Option<i32>,
    /// Whether one may sign in by IAM.
    pub iam_authentication: bool,
    /// Which logs go to CloudWatch Logs.
    pub log_exports: Vec<String>,
    /// Whether it cannot be deleted.
    pub deletion_protection: bool,
    /// Whether its snapshots get its tags.
    pub copies_tags_to_snapshots: bool,
    /// Its storage type; nothing for Aurora's own.
    pub storage_type: Option<String>,
    /// The least and greatest capacity of serverless instances.
    pub serverless: Option<(f64, f64)>,
    /// For how many days it can be restored.
    pub backup_retention_days: Option<i32>,
    /// When it is backed up.
    pub backup_window: Option<String>,
    /// `DUAL`, where it has IPv6 addresses too.
    pub network_type: Option<String>,
    /// Its tags, without those of AWS.
    pub tags: Vec<(String, String)>,
    /// The roles that it may take: ARN, and the feature each is for.
    pub roles: Vec<(String, Option<String>)>,
}

/// A snapshot that a cluster is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSource {
    /// Its identifier.
    pub id: String,
    /// Its ARN, which also names one of another account.
    pub arn: String,
    /// Its engine.
    pub engine: String,
    /// The version that its data are of.
    pub engine_version: String,
}

/// Gives a request what either restore takes of a profile: the builders have the same setters, and no trait for them. What AWS would
/// carry over by itself is given too, so that it does not matter whether it does. Monitoring and Performance Insights are not in it:
/// Aurora PostgreSQL refuses them in a restore, whatever the values (boto/boto3 issue 4634).
macro_rules! with_profile {
    ($request:expr, $profile:expr, $recovery:expr) => {
        $request
            .set_vpc_security_group_ids(some(&$profile.security_groups))
            .set_db_subnet_group_name($profile.subnet_group.clone())
            .set_db_cluster_parameter_group_name($profile.parameter_group.clone())
            .set_kms_key_id($profile.kms_key.clone())
            .set_port($profile.port)
            .enable_iam_database_authentication($profile.iam_authentication)
            .set_enable_cloudwatch_logs_exports(some(&$profile.log_exports))
            .deletion_protection($profile.deletion_protection)
            .copy_tags_to_snapshot($profile.copies_tags_to_snapshots)
            .set_storage_type($profile.storage_type.clone())
            .set_serverless_v2_scaling_configuration($profile.scaling())
            .set_backup_retention_period($profile.backup_retention_days)
            .set_preferred_backup_window($profile.backup_window.clone())
            .set_network_type($profile.network_type.clone())
            .set_associated_roles($profile.associated_roles())
            .set_tags(Some($profile.tags_in($recovery)))
    };
}

/// What a restored instance takes over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceProfile {
    /// Its class.
    pub class: String,
    /// Who becomes the writer after a failover: the least first.
    pub tier: i32,
    /// Its zone.
    pub zone: Option<String>,
    /// Its parameter group.
    pub parameter_group: Option<String>,
    /// Every how many seconds Enhanced Monitoring measures; 0 for never.
    pub monitoring_interval: i32,
    /// The role for that.
    pub monitoring_role: Option<String>,
    /// Whether Performance Insights is on.
    pub performance_insights: bool,
}

impl ClusterProfile {
    /// That of a cluster, as AWS shows it.
    pub fn of(cluster: &DbCluster) -> Self {
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let groups = cluster.vpc_security_groups().iter();
        let tags = cluster
            .tag_list()
            .iter()
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())));
        let roles = cluster
            .associated_roles()
            .iter()
            .filter_map(|role| Some((role.role_arn()?.to_owned(), text(role.feature_name()))));
        let capacity = cluster.serverless_v2_scaling_configuration();
        Self {
            id: cluster.db_cluster_identifier().unwrap_or_default().to_owned(),
            security_groups: groups.filter_map(|group| text(group.vpc_security_group_id())).collect(),
            subnet_group: text(cluster.db_subnet_group()),
            parameter_group: text(cluster.db_cluster_parameter_group()),
            kms_key: text(cluster.kms_key_id()),
            port: cluster.port(),
            iam_authentication: cluster.iam_database_authentication_enabled() == Some(true),
            log_exports: cluster.enabled_cloudwatch_logs_exports().to_vec(),
            deletion_protection: cluster.deletion_protection() == Some(true),
            copies_tags_to_snapshots: cluster.copy_tags_to_snapshot() == Some(true),
            storage_type: text(cluster.storage_type()),
            serverless: capacity.and_then(|capacity| Some((capacity.min_capacity()?, capacity.max_capacity()?))),
            backup_retention_days: cluster.backup_retention_period(),
            backup_window: text(cluster.preferred_backup_window()),
            network_type: text(cluster.network_type()).filter(|kind| kind == "DUAL"),
            // AWS sets tags that begin like this by itself, and refuses them from others.
            tags: tags.filter(|(key, _)| !key.starts_with("aws:")).collect(),
            roles: roles.collect(),
        }
    }

    /// The request that makes the cluster `id` with the data of `to`.
    pub fn restored_as(&self, id: &str, to: Timestamp, recovery: &str) -> RestoreDbClusterToPointInTimeInputBuilder {
        let request = RestoreDbClusterToPointInTimeInputBuilder::default()
            .db_cluster_identifier(id)
            .source_db_cluster_identifier(&self.id)
            .restore_type("full-copy")
            .restore_to_time(DateTime::from_millis(to.as_millisecond()));
        with_profile!(request, self, recovery)
    }

    /// The request that makes the cluster `id` from a snapshot. Without a version, AWS would take the Region's default one.
    pub fn restored_from(
        &self,
        id: &str,
        snapshot: &SnapshotSource,
        recovery: &str,
    ) -> RestoreDbClusterFromSnapshotInputBuilder {
        let request = RestoreDbClusterFromSnapshotInputBuilder::default()
            .db_cluster_identifier(id)
            .snapshot_identifier(&snapshot.arn)
            .engine(&snapshot.engine)
            .engine_version(&snapshot.engine_version);
        with_profile!(request, self, recovery)
    }

    fn scaling(&self) -> Option<ServerlessV2ScalingConfiguration> {
        self.serverless.map(|(least, greatest)| {
            ServerlessV2ScalingConfiguration::builder()
                .min_capacity(least)
                .max_capacity(greatest)
                .build()
        })
    }

    fn associated_roles(&self) -> Option<Vec<DbClusterAssociatedRole>> {
        let roles = self.roles.iter().filter_map(|(arn, feature)| {
            let role = DbClusterAssociatedRole::builder().role_arn(arn);
            // It fails for one without an ARN alone.
            role.set_feature_name(feature.clone()).build().ok()
        });
        let roles: Vec<DbClusterAssociatedRole> = roles.collect();
        (!roles.is_empty()).then_some(roles)
    }

    /// Its tags, and the recovery's: where any tags are given, the restored cluster has those alone.
    fn tags_in(&self, recovery: &str) -> Vec<Tag> {
        let tag = |(key, value): (&str, &str)| Tag::builder().key(key).value(value).build();
        let others = self.tags.iter().filter(|(key, _)| key != MADE_BY);
        let tags = others.map(|(key, value)| (key.as_str(), value.as_str()));
        tags.chain([(MADE_BY, recovery)]).map(tag).collect()
    }
}

/// A list, where there is anything in it.
fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

impl InstanceProfile {
    /// That of an instance, as AWS shows it.
    pub fn of(instance: &DbInstance) -> Self {
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let group = instance.db_parameter_groups().first();
        Self {
            class: instance.db_instance_class().unwrap_or_default().to_owned(),
            tier: instance.promotion_tier().unwrap_or(1),
            zone: text(instance.availability_zone()),
            parameter_group: group.and_then(|group| text(group.db_parameter_group_name())),
            monitoring_interval: instance.monitoring_interval().unwrap_or_default(),
            monitoring_role: text(instance.monitoring_role_arn()),
            performance_insights: instance.performance_insights_enabled() == Some(true),
        }
    }
}

/// The recovery that made a cluster, as its tags say.
pub fn made_by(cluster: &DbCluster) -> Option<&str> {
    let tag = cluster.tag_list().iter().find(|tag| tag.key() == Some(MADE_BY));
    tag.and_then(Tag::value)
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::operation::restore_db_cluster_from_snapshot::RestoreDbClusterFromSnapshotInput;
    use aws_sdk_rds::operation::restore_db_cluster_to_point_in_time::RestoreDbClusterToPointInTimeInput;
    use aws_sdk_rds::types::{DbClusterRole, VpcSecurityGroupMembership};

    use super::*;

    const TO: Timestamp = Timestamp::UNIX_EPOCH;

    fn request(cluster: &DbCluster) -> RestoreDbClusterToPointInTimeInput {
        let request = ClusterProfile::of(cluster).restored_as("shop-restored-1", TO, "a-recovery");
        request.build().unwrap()
    }

    fn from_snapshot(cluster: &DbCluster) -> RestoreDbClusterFromSnapshotInput {
        let snapshot = SnapshotSource {
            id: "before".to_owned(),
            arn: "arn:before".to_owned(),
            engine: "aurora-postgresql".to_owned(),
            engine_version: "16.4".to_owned(),
        };
        let request = ClusterProfile::of(cluster).restored_from("shop-restored-1", &snapshot, "a-recovery");
        request.build().unwrap()
    }

    fn tag(key: &str, value: &str) -> Tag {
        Tag::builder().key(key).value(value).build()
    }

    #[test]
    fn a_name_fits_and_belongs_to_one_recovery() {
        let long = "w".repeat(31);
        let id = cluster_id(&long, "a-recovery");
        assert_eq!(id, cluster_id(&long, "a-recovery"));
        assert_ne!(id, cluster_id(&long, "another"));
        // The longest that RDS takes, for an instance too.
        assert!(instance_id(&id, 15).len() <= 63, "{id}");
        assert_eq!(
            cluster_arn("arn:aws:rds:us-east-1:123456789012:cluster:shop", "shop-restored-1"),
            "arn:aws:rds:us-east-1:123456789012:cluster:shop-restored-1"
        );
    }

    /// A cluster that is set otherwise than AWS's defaults.
    fn carefully_set() -> DbCluster {
        let group = VpcSecurityGroupMembership::builder()
            .vpc_security_group_id("sg-1")
            .build();
        let role = DbClusterRole::builder()
            .role_arn("arn:role")
            .feature_name("s3Import")
            .build();
        let capacity = aws_sdk_rds::types::ServerlessV2ScalingConfigurationInfo::builder()
            .min_capacity(0.5)
            .max_capacity(16.0)
            .build();
        DbCluster::builder()
            .db_cluster_identifier("shop")
            .vpc_security_groups(group)
            .db_subnet_group("private")
            .db_cluster_parameter_group("tuned")
            .kms_key_id("arn:key")
            .port(5433)
            .iam_database_authentication_enabled(true)
            .enabled_cloudwatch_logs_exports("postgresql")
            .deletion_protection(true)
            .copy_tags_to_snapshot(true)
            .storage_type("aurora-iopt1")
            .serverless_v2_scaling_configuration(capacity)
            .backup_retention_period(35)
            .preferred_backup_window("01:00-01:30")
            .network_type("DUAL")
            .tag_list(tag("team", "shop"))
            .tag_list(tag("aws:cloudformation:stack-name", "platform"))
            .tag_list(tag(MADE_BY, "an-earlier-recovery"))
            .associated_roles(role)
            .build()
    }

    fn role_and_scaling() -> (DbClusterAssociatedRole, ServerlessV2ScalingConfiguration) {
        let role = DbClusterAssociatedRole::builder()
            .role_arn("arn:role")
            .feature_name("s3Import");
        let scaling = ServerlessV2ScalingConfiguration::builder()
            .min_capacity(0.5)
            .max_capacity(16.0);
        (role.build().unwrap(), scaling.build())
    }

    #[test]
    fn everything_that_aws_would_leave_at_its_default_is_carried_over() {
        let (role, scaling) = role_and_scaling();
        let expected = RestoreDbClusterToPointInTimeInput::builder()
            .db_cluster_identifier("shop-restored-1")
            .source_db_cluster_identifier("shop")
            .restore_type("full-copy")
            .restore_to_time(DateTime::from_secs(0))
            .vpc_security_group_ids("sg-1")
            .db_subnet_group_name("private")
            .db_cluster_parameter_group_name("tuned")
            .kms_key_id("arn:key")
            .port(5433)
            .enable_iam_database_authentication(true)
            .enable_cloudwatch_logs_exports("postgresql")
            .deletion_protection(true)
            .copy_tags_to_snapshot(true)
            .storage_type("aurora-iopt1")
            .serverless_v2_scaling_configuration(scaling)
            .backup_retention_period(35)
            .preferred_backup_window("01:00-01:30")
            .network_type("DUAL")
            .associated_roles(role)
            .tags(tag("team", "shop"))
            .tags(tag(MADE_BY, "a-recovery"))
            .build()
            .unwrap();
        assert_eq!(request(&carefully_set()), expected);
    }

    #[test]
    fn a_restore_from_a_snapshot_carries_over_the_same_and_says_engine_and_version() {
        let (role, scaling) = role_and_scaling();
        let expected = RestoreDbClusterFromSnapshotInput::builder()
            .db_cluster_identifier("shop-restored-1")
            .snapshot_identifier("arn:before")
            .engine("aurora-postgresql")
            .engine_version("16.4")
            .vpc_security_group_ids("sg-1")
            .db_subnet_group_name("private")
            .db_cluster_parameter_group_name("tuned")
            .kms_key_id("arn:key")
            .port(5433)
            .enable_iam_database_authentication(true)
            .enable_cloudwatch_logs_exports("postgresql")
            .deletion_protection(true)
            .copy_tags_to_snapshot(true)
            .storage_type("aurora-iopt1")
            .serverless_v2_scaling_configuration(scaling)
            .backup_retention_period(35)
            .preferred_backup_window("01:00-01:30")
            .network_type("DUAL")
            .associated_roles(role)
            .tags(tag("team", "shop"))
            .tags(tag(MADE_BY, "a-recovery"))
            .build()
            .unwrap();
        assert_eq!(from_snapshot(&carefully_set()), expected);
    }

    #[test]
    fn what_a_cluster_does_not_have_is_not_asked_for() {
        let plain = DbCluster::builder()
            .db_cluster_identifier("shop")
            .storage_type("")
            .network_type("IPV4")
            .build();
        let expected = RestoreDbClusterToPointInTimeInput::builder()
            .db_cluster_identifier("shop-restored-1")
            .source_db_cluster_identifier("shop")
            .restore_type("full-copy")
            .restore_to_time(DateTime::from_secs(0))
            .enable_iam_database_authentication(false)
            .deletion_protection(false)
            .copy_tags_to_snapshot(false)
            .tags(tag(MADE_BY, "a-recovery"))
            .build()
            .unwrap();
        assert_eq!(request(&plain), expected);
        // Without a key in the request, a cluster from an encrypted snapshot has that one's.
        let expected = RestoreDbClusterFromSnapshotInput::builder()
            .db_cluster_identifier("shop-restored-1")
            .snapshot_identifier("arn:before")
            .engine("aurora-postgresql")
            .engine_version("16.4")
            .enable_iam_database_authentication(false)
            .deletion_protection(false)
            .copy_tags_to_snapshot(false)
            .tags(tag(MADE_BY, "a-recovery"))
            .build()
            .unwrap();
        assert_eq!(from_snapshot(&plain), expected);
    }
}
