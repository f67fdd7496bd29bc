//! What a cluster is set to, and what a restore makes of that. Source: RDS API Reference, `RestoreDBClusterToPointInTime`, and Aurora
//! User Guide, "Restoring a DB cluster to a specified time": the default of each parameter that is left out.

use std::collections::BTreeMap;

use super::parameters::{Parameters, list, number, pairs};
use crate::aws::refusal::Refusal;
use crate::aws::wire::element;

/// What a cluster is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its subnet group.
    pub subnet_group: String,
    /// Its cluster parameter group.
    pub parameter_group: String,
    /// The key that its storage is encrypted with.
    pub kms_key: Option<String>,
    /// Its port.
    pub port: u16,
    /// Whether people and programs may sign in by IAM.
    pub iam_authentication: bool,
    /// Which logs go to CloudWatch Logs.
    pub log_exports: Vec<String>,
    /// Whether it cannot be deleted.
    pub deletion_protection: bool,
    /// Whether its snapshots get its tags.
    pub copies_tags_to_snapshots: bool,
    /// `aurora`, or `aurora-iopt1`.
    pub storage_type: String,
    /// The least and the greatest capacity of serverless instances, as they were given.
    pub serverless: Option<[String; 2]>,
    /// For how many days it can be restored to a time.
    pub backup_retention_days: u32,
    /// When it is backed up each day.
    pub backup_window: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The roles that it may take, each by its ARN, with the feature it is for.
    pub roles: BTreeMap<String, String>,
}

/// Which statements a parameter group has its clusters log: `log_statement`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogStatement {
    /// None, as long as nobody says otherwise.
    #[default]
    None,
    /// What changes the schema.
    Ddl,
    /// What changes the schema or rows.
    Mod,
    /// All.
    All,
}

/// The security group of a cluster that was given none.
const DEFAULT_SECURITY_GROUP: &str = "sg-default";
/// The parameter group of a cluster that was given none.
const DEFAULT_PARAMETER_GROUP: &str = "default.aurora-postgresql16";
/// The storage of a cluster that was given none.
const DEFAULT_STORAGE: &str = "aurora";

/// The parameters of both restores that are heeded here.
pub(super) const OF_RESTORES: [&str; 15] = [
    "VpcSecurityGroupIds",
    "DBSubnetGroupName",
    "DBClusterParameterGroupName",
    "KmsKeyId",
    "Port",
    "EnableIAMDatabaseAuthentication",
    "EnableCloudwatchLogsExports",
    "DeletionProtection",
    "CopyTagsToSnapshot",
    "StorageType",
    "ServerlessV2ScalingConfiguration",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "Tags",
    "AssociatedRoles",
];

/// What Aurora PostgreSQL refuses in a restore, whatever the values. Source: boto/boto3 issue 4634.
const REFUSED: [&str; 5] = [
    "MonitoringInterval",
    "MonitoringRoleArn",
    "EnablePerformanceInsights",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
];

impl Settings {
    /// Those of a cluster that somebody has made with nothing said.
    pub(super) fn of_a_new_cluster() -> Self {
        Self {
            security_groups: vec![DEFAULT_SECURITY_GROUP.to_owned()],
            subnet_group: "default".to_owned(),
            parameter_group: DEFAULT_PARAMETER_GROUP.to_owned(),
            kms_key: None,
            port: 5432,
            iam_authentication: false,
            log_exports: Vec::new(),
            deletion_protection: false,
            copies_tags_to_snapshots: false,
            storage_type: DEFAULT_STORAGE.to_owned(),
            serverless: None,
            backup_retention_days: 1,
            backup_window: "03:00-03:30".to_owned(),
            tags: BTreeMap::new(),
            roles: BTreeMap::new(),
        }
    }

    /// Those of a cluster that is restored from one with these. Errors: AWS's refusal.
    pub(super) fn restored(&self, parameters: &Parameters, source_is_there: bool) -> Result<Self, Refusal> {
        if let Some(name) = REFUSED.iter().find(|name| given(parameters, name)) {
            let message = format!("{name} isn't supported for restoring this engine");
            return Err(Refusal(400, "InvalidParameterCombination", message));
        }
        let text = |name: &str| parameters.get(name).cloned();
        let is = |name: &str| parameters.get(name).is_some_and(|value| value == "true");
        let defaults = Self::of_a_new_cluster();
        let or_default = |given: Vec<String>, default: Vec<String>| if given.is_empty() { default } else { given };
        let tags = pairs(parameters, "Tags.Tag", "Key", "Value");
        let capacity = |name: &str| text(&format!("ServerlessV2ScalingConfiguration.{name}"));
        Ok(Self {
            security_groups: or_default(
                list(parameters, "VpcSecurityGroupIds.VpcSecurityGroupId"),
                defaults.security_groups,
            ),
            subnet_group: text("DBSubnetGroupName").unwrap_or(defaults.subnet_group),
            parameter_group: text("DBClusterParameterGroupName").unwrap_or(defaults.parameter_group),
            kms_key: text("KmsKeyId").or_else(|| self.kms_key.clone()),
            port: number(parameters, "Port")?.unwrap_or(self.port),
            iam_authentication: is("EnableIAMDatabaseAuthentication"),
            log_exports: list(parameters, "EnableCloudwatchLogsExports.member"),
            deletion_protection: is("DeletionProtection"),
            copies_tags_to_snapshots: is("CopyTagsToSnapshot"),
            storage_type: text("StorageType").unwrap_or(defaults.storage_type),
            serverless: capacity("MinCapacity").zip(capacity("MaxCapacity")).map(<[_; 2]>::from),
            backup_retention_days: number(parameters, "BackupRetentionPeriod")?.unwrap_or(self.backup_retention_days),
            backup_window: text("PreferredBackupWindow").unwrap_or_else(|| self.backup_window.clone()),
            // Where any are given, only those; otherwise the source's, while there is one.
            tags: match (tags.is_empty(), source_is_there) {
                (false, _) => tags,
                (true, true) => self.tags.clone(),
                (true, false) => BTreeMap::new(),
            },
            roles: pairs(
                parameters,
                "AssociatedRoles.DBClusterAssociatedRole",
                "RoleArn",
                "FeatureName",
            ),
        })
    }

    /// The parts of a `DBCluster`.
    pub(super) fn xml(&self) -> String {
        let of_list = |outer: &str, inner: &dyn Fn(&String) -> String, items: &[String]| {
            let items: String = items.iter().map(inner).collect();
            format!("<{outer}>{items}</{outer}>")
        };
        let groups = of_list(
            "VpcSecurityGroups",
            &|id| {
                format!(
                    "<VpcSecurityGroupMembership>{}{}</VpcSecurityGroupMembership>",
                    element("VpcSecurityGroupId", id),
                    element("Status", "active")
                )
            },
            &self.security_groups,
        );
        let logs = of_list(
            "EnabledCloudwatchLogsExports",
            &|name| element("member", name),
            &self.log_exports,
        );
        let role = |(arn, feature): (&String, &String)| {
            let parts = [
                element("RoleArn", arn),
                element("Status", "ACTIVE"),
                element("FeatureName", feature),
            ];
            format!("<DBClusterRole>{}</DBClusterRole>", parts.concat())
        };
        let roles: String = self.roles.iter().map(role).collect();
        let key = self.kms_key.as_ref().map_or_else(String::new, |key| {
            element("KmsKeyId", key) + &element("StorageEncrypted", "true")
        });
        let serverless = self.serverless.as_ref().map_or_else(String::new, |[least, greatest]| {
            format!(
                "<ServerlessV2ScalingConfiguration>{}{}</ServerlessV2ScalingConfiguration>",
                element("MinCapacity", least),
                element("MaxCapacity", greatest)
            )
        });
        [
            groups,
            element("DBSubnetGroup", &self.subnet_group),
            element("DBClusterParameterGroup", &self.parameter_group),
            key,
            element("Port", &self.port.to_string()),
            element("IAMDatabaseAuthenticationEnabled", &self.iam_authentication.to_string()),
            logs,
            element("DeletionProtection", &self.deletion_protection.to_string()),
            element("CopyTagsToSnapshot", &self.copies_tags_to_snapshots.to_string()),
            // AWS names it for other storage than its default.
            match self.storage_type.as_str() {
                DEFAULT_STORAGE => String::new(),
                other => element("StorageType", other),
            },
            serverless,
            element("BackupRetentionPeriod", &self.backup_retention_days.to_string()),
            element("PreferredBackupWindow", &self.backup_window),
            tags_xml(&self.tags),
            format!("<AssociatedRoles>{roles}</AssociatedRoles>"),
        ]
        .concat()
    }
}

/// Tags, as RDS writes them.
pub(super) fn tags_xml(tags: &BTreeMap<String, String>) -> String {
    let tags: String = tags
        .iter()
        .map(|(key, value)| format!("<Tag>{}{}</Tag>", element("Key", key), element("Value", value)))
        .collect();
    format!("<TagList>{tags}</TagList>")
}

/// Whether a parameter, or a part of it, is given.
fn given(parameters: &Parameters, name: &str) -> bool {
    parameters.keys().any(|key| key.split('.').next() == Some(name))
}
