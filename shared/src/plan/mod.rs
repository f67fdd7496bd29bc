//! The recovery plan: one file that says what is protected and by which policy.
//!
//! Nothing about a particular platform is written in code; it is all here. The same types give the JSON Schema
//! (`drctl plan schema`). What types cannot say (the same Region twice, a target above its maximum) is in [`check`].

pub mod check;
mod duration;
mod form;
mod schema;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use duration::Duration;

use crate::error::{ErrorKind, StepError};
use crate::person::SamePerson;
use crate::scenario::Scenario;

/// The form of a secret's ARN.
const SECRET_ARN: &str =
    r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$";

/// The environment variable by which the platform's functions know the ARN of the cluster that they use.
pub const CLUSTER_VARIABLE: &str = "DB_CLUSTER_ARN";
/// Likewise that of the secret with the database's credentials.
pub const SECRET_VARIABLE: &str = "DB_SECRET_ARN";

/// The form of a Region's name.
const REGION_NAME: &str = r"^[a-z]{2}(-[a-z]+)+-[0-9]$";
/// The form of a domain name.
const DOMAIN_NAME: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$";

/// What is protected, and the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The format of this file; 1 is the only one so far.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The workload's name; one recovery at a time runs for one workload.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,30}$"), extend("patternErrorMessage" = form::WORKLOAD))]
    pub workload: String,
    /// The AWS account that everything lives in.
    #[schemars(regex(pattern = r"^[0-9]{12}$"), extend("patternErrorMessage" = form::ACCOUNT))]
    pub account: String,
    /// The two Regions and what each holds.
    pub regions: Regions,
    /// The database: an Aurora global database with a cluster in each Region.
    pub database: Database,
    /// The Lambda functions of the platform; the same names in both Regions.
    #[schemars(length(min = 1))]
    pub functions: Vec<Function>,
    /// The public name that customers use, and how it moves.
    pub dns: Dns,
    /// What counts as healthy, seen from outside.
    pub health: Health,
    /// The outside probe and the metric behind the alarm.
    pub probe: Probe,
    /// The third Region, from which the same probe looks. Left out, people are asked about each loss of a Region: what the
    /// standby Region sees all comes by one path, and counts as one piece of evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Observer")]
    pub observer: Option<Observer>,
    /// Policy for each scenario.
    pub scenarios: BTreeMap<Scenario, ScenarioPolicy>,
    /// Which alarms start what.
    pub alarms: Vec<Alarm>,
    /// Where the automation itself keeps things.
    pub automation: Automation,
    /// How fast somebody must answer, and who is told, for each severity.
    pub severities: BTreeMap<Severity, SeverityPolicy>,
    /// People, and who stands in for them.
    #[schemars(extend("minProperties" = 1))]
    pub contacts: BTreeMap<String, Contact>,
}

/// The two Regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Regions {
    /// Where the platform runs on a good day.
    pub primary: Site,
    /// Where it runs after the primary is lost.
    // A plan that an earlier version stored still opens recoveries; a plan file is held against the schema first.
    #[serde(alias = "recovery")]
    pub standby: Site,
}

impl Regions {
    /// The Region of this name.
    pub const fn named(&self, name: SiteName) -> &Site {
        match name {
            SiteName::Primary => &self.primary,
            SiteName::Standby => &self.standby,
        }
    }
}

/// What one Region holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The Region's name, such as `us-east-1`.
    #[schemars(regex(pattern = REGION_NAME), extend("patternErrorMessage" = form::REGION))]
    pub region: String,
    /// The Aurora cluster's identifier.
    #[schemars(regex(pattern = r"^[a-z](-?[a-z0-9])*$"), length(max = 63), extend("patternErrorMessage" = form::CLUSTER))]
    pub cluster: String,
    /// ARN of the secret with the database's credentials; a replica has the same suffix in its own Region.
    #[schemars(regex(pattern = SECRET_ARN), extend("patternErrorMessage" = form::SECRET))]
    pub database_secret: String,
    /// Further secrets that the platform reads: their ARNs.
    #[serde(default)]
    #[schemars(schema_with = "secret_arns")]
    pub secrets: Vec<String>,
    /// The API that serves customers from here.
    pub api: Api,
    /// Buckets of the platform.
    #[serde(default)]
    pub buckets: Vec<BucketName>,
    /// Cognito user pools.
    #[serde(default)]
    pub user_pools: Vec<UserPoolId>,
    /// What holds copies of the database's data: Redis or Valkey, as ElastiCache runs them.
    #[serde(default, deserialize_with = "caches")]
    pub caches: Vec<Cache>,
    /// Where the automation's function that empties caches is attached, so that it reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Network")]
    pub network: Option<Network>,
    /// The SNS topic on which recoveries are announced.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,256}$"), extend("patternErrorMessage" = form::TOPIC))]
    pub topic: String,
    /// The bucket that keeps the reports of recoveries that ran here.
    pub reports: BucketName,
}

impl Site {
    /// The partition that its Region belongs to, as ARNs name it.
    pub fn partition(&self) -> &'static str {
        partition_of(&self.region)
    }
}

/// The partition that a Region belongs to, as ARNs name it.
pub fn partition_of(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The name of an S3 bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BucketName(
    /// 3 to 63 characters: lower-case letters, digits, dots and hyphens.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"), extend("patternErrorMessage" = form::BUCKET))]
    pub String,
);

/// The identifier of a Cognito user pool, such as `us-east-1_AbCdEfGhI`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserPoolId(
    #[schemars(regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]_[0-9a-zA-Z]{1,45}$"), extend("patternErrorMessage" = form::USER_POOL))]
    pub String,
);

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Its name, for people, such as the replication group's identifier.
    #[schemars(regex(pattern = r"^[a-z](-?[a-z0-9])*$"), length(max = 40), extend("patternErrorMessage" = form::CACHE))]
    pub id: String,
    /// How a recovery empties it once the database went back in time. Left out, people empty it before they approve that customers move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Emptying")]
    pub empty: Option<Emptying>,
}

impl Site {
    /// How caches are emptied, of those that a recovery empties.
    pub fn emptied_caches(&self) -> impl Iterator<Item = &Emptying> {
        self.caches.iter().filter_map(|cache| cache.empty.as_ref())
    }
}

impl Emptying {
    /// The host and the port of the endpoint; nothing, if it has none that can be.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.endpoint.rsplit_once(':')?;
        Some((host, port.parse().ok().filter(|port| *port > 0)?))
    }
}

/// Caches as a plan has them. One that an earlier version stored has the identifiers alone, and still opens recoveries.
fn caches<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Cache>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Id(String),
        Whole(Cache),
    }
    let written = Vec::<Written>::deserialize(deserializer)?.into_iter();
    let each = written.map(|cache| match cache {
        Written::Id(id) => Cache { id, empty: None },
        Written::Whole(cache) => cache,
    });
    Ok(each.collect())
}

/// How a cache is reached and emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emptying {
    /// Host and port of the primary, or of a cluster's configuration endpoint.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?:[0-9]{1,5}$"), extend("patternErrorMessage" = form::ENDPOINT))]
    pub endpoint: String,
    /// ARN of the secret with the password: the password alone, or JSON with `password` and, for a user of its own, `username`. Left
    /// out, the cache asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = SECRET_ARN), extend("patternErrorMessage" = form::SECRET))]
    pub secret: Option<String>,
    /// Whether it is reached by TLS.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Which keys must be gone.
    pub keys: CacheKeys,
}

const fn yes() -> bool {
    true
}

/// Which keys of a cache must be gone, or no longer be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CacheKeys {
    /// All of them, of every database in it.
    All,
    /// Those that begin with this, of database 0. Everything else stays.
    Prefix(#[schemars(length(min = 1, max = 200))] String),
    /// None: this key of database 0 is set to the recovery's id, which the platform puts into the name of each key that it reads.
    Epoch(#[schemars(length(min = 1, max = 200))] String),
}

/// Where a function is attached to the platform's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Private subnets, in more than one Availability Zone, with a way to DynamoDB and Secrets Manager.
    #[schemars(length(min = 1, max = 16))]
    pub subnets: Vec<SubnetId>,
    /// Security groups that the caches let in.
    #[schemars(length(min = 1, max = 5))]
    pub security_groups: Vec<SecurityGroupId>,
}

/// The identifier of a subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubnetId(
    #[schemars(regex(pattern = r"^subnet-[0-9a-f]{8,17}$"), extend("patternErrorMessage" = form::SUBNET))] pub String,
);

/// The identifier of a security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecurityGroupId(
    #[schemars(regex(pattern = r"^sg-[0-9a-f]{8,17}$"), extend("patternErrorMessage" = form::SECURITY_GROUP))]
    pub  String,
);

/// A REST API's stage in one Region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The REST API's identifier.
    #[schemars(regex(pattern = r"^[a-z0-9]{10}$"), extend("patternErrorMessage" = form::REST_API))]
    pub rest_api: String,
    /// The stage.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,128}$"), extend("patternErrorMessage" = form::STAGE))]
    pub stage: String,
    /// The Regional domain name that the public name points at when this Region serves.
    #[schemars(regex(pattern = DOMAIN_NAME), length(max = 253), extend("patternErrorMessage" = form::DOMAIN))]
    pub domain: String,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The global cluster's identifier.
    #[schemars(regex(pattern = r"^[a-z](-?[a-z0-9])*$"), length(max = 63), extend("patternErrorMessage" = form::CLUSTER))]
    pub global_cluster: String,
    /// The name of the database inside the cluster.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"), extend("patternErrorMessage" = form::DATABASE))]
    pub name: String,
    /// The row that tells how old the last surviving write is.
    pub heartbeat: Heartbeat,
    /// What shows that the data are right: each is asked of a restored database before customers reach it, and stops the cut-over
    /// where it finds something else. Left out, people decide without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub checks: Vec<DatabaseCheck>,
    /// What a database that went back in time would do wrong, and what keeps it from that.
    #[serde(default)]
    pub after_restore: AfterRestore,
}

/// What a database that went back in time would do wrong, and what keeps it from that: it would give out numbers a second time, run
/// jobs again that have run, and hold what was erased since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AfterRestore {
    /// How far each sequence is raised above the last number that the damaged database has given out; where that cannot be read, above
    /// the last one that the restored database knows.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub numbers_margin: u32,
    /// What runs inside the database by itself, and stays off until customers are served.
    #[schemars(length(max = 50))]
    pub jobs: Vec<DatabaseJob>,
    /// What is done again for each kind of entry in the ledger, since the restored database has forgotten it.
    #[schemars(length(max = 20))]
    pub ledger: Vec<LedgerKind>,
    /// What follows the database by its changes, such as a search index: its place is lost, and it needs a new snapshot.
    #[schemars(length(max = 50))]
    pub consumers: Vec<Consumer>,
}

/// What follows the database by its changes, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Consumer(
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"), extend("patternErrorMessage" = form::SHORT_NAME))]
    pub String,
);

impl Default for AfterRestore {
    fn default() -> Self {
        Self {
            numbers_margin: 1000,
            jobs: Vec::new(),
            ledger: Vec::new(),
            consumers: Vec::new(),
        }
    }
}

/// A job inside the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseJob {
    /// Its name, for people.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"), extend("patternErrorMessage" = form::SHORT_NAME))]
    pub name: String,
    /// One statement that stops it. It is run before customers reach the restored database, and may be run twice.
    #[schemars(length(min = 1, max = 2000))]
    pub stop: String,
    /// One statement that starts it. It is run once customers are served, and may be run twice.
    #[schemars(length(min = 1, max = 2000))]
    pub start: String,
}

/// What is done again for one kind of entry in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerKind {
    /// The kind, as the entries name it.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"), extend("patternErrorMessage" = form::SHORT_NAME))]
    pub kind: String,
    /// One statement that does it again, with an entry's values as parameters, like `:id`. It may be run twice.
    #[schemars(length(min = 1, max = 2000))]
    pub statement: String,
    /// One `SELECT` that gives no row once it is done, with the same parameters.
    #[schemars(length(min = 1, max = 2000))]
    pub remains: String,
}

/// A question to the database whose answer is known where the data are right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseCheck {
    /// Its name, for people.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"), extend("patternErrorMessage" = form::SHORT_NAME))]
    pub name: String,
    /// One `SELECT` that gives one value, within 45 s. Values that the Data API does not know are cast to text.
    #[schemars(length(min = 1, max = 2000))]
    pub sql: String,
    /// The value, as text.
    #[schemars(length(max = 200))]
    pub finds: String,
}

/// The heartbeat that the platform writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The schema that holds the tables `heartbeat` and `canary`.
    #[schemars(regex(pattern = r"^[a-z_][a-z0-9_]{0,62}$"), extend("patternErrorMessage" = form::SCHEMA))]
    pub schema: String,
    /// How often the platform writes it.
    pub every: Duration,
}

/// One Lambda function of the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its name, the same in both Regions.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,64}$"), extend("patternErrorMessage" = form::FUNCTION))]
    pub name: String,
    /// Reserved concurrency while its Region serves; left out, the function shares the account's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub reserved_concurrency: Option<u32>,
    /// The alias that customers are served through; left out, they are served by `$LATEST`. A change of its variables reaches nobody
    /// until the alias leads to a version with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,128}$"), extend("patternErrorMessage" = form::ALIAS))]
    pub alias: Option<String>,
}

/// The public name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The name that customers use.
    #[schemars(regex(pattern = DOMAIN_NAME), length(max = 253), extend("patternErrorMessage" = form::DOMAIN))]
    pub name: String,
    /// The hosted zone that holds the failover records.
    #[schemars(regex(pattern = r"^Z[A-Z0-9]{1,31}$"), extend("patternErrorMessage" = form::HOSTED_ZONE))]
    pub hosted_zone: String,
    /// How long resolvers keep an answer. The records are written by the platform's own stack, with this TTL.
    pub ttl: Duration,
    /// The object whose presence moves the name to the standby Region. Left out, the record itself is changed, which
    /// needs Route 53's control plane: it lives in us-east-1, and may be down with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SwitchObject")]
    pub switch_object: Option<SwitchObject>,
}

/// An object in the standby Region. A Route 53 health check watches it and is inverted: while the object is there the
/// primary counts as unhealthy, and customers are sent to the standby Region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchObject {
    /// The bucket, in the standby Region; this object alone is public.
    pub bucket: BucketName,
    /// The object's key.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.-][A-Za-z0-9/_.-]{0,511}$"), extend("patternErrorMessage" = form::OBJECT_KEY))]
    pub key: String,
    /// The health check's identifier. The stack of the standby Region makes it and gives it out as `SwitchHealthCheck`;
    /// left out before that, no alarm says when the name moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HealthCheckId")]
    pub health_check: Option<HealthCheckId>,
}

/// The identifier of a Route 53 health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthCheckId(
    /// As Route 53 gives it.
    #[schemars(regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"), extend("patternErrorMessage" = form::HEALTH_CHECK))]
    pub String,
);

/// What counts as healthy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// A deep check (it reads and writes the database), through the public name.
    #[schemars(regex(pattern = r"^https://[a-z0-9.-]+(/[A-Za-z0-9/_.-]*)?$"), extend("patternErrorMessage" = form::URL))]
    pub url: String,
    /// How many healthy answers in a row count as recovered.
    #[schemars(range(min = 1, max = 20))]
    pub consecutive: u32,
    /// How long one answer may take.
    pub timeout: Duration,
}

/// The outside probe: it asks the health URL every minute from the standby Region and publishes a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The metric's namespace.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_./#-][A-Za-z0-9_./#:-]{0,254}$"), extend("patternErrorMessage" = form::METRIC))]
    pub namespace: String,
    /// The metric's name: 1 for a healthy answer, 0 for any other.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_./#-][A-Za-z0-9_./#:-]{0,254}$"), extend("patternErrorMessage" = form::METRIC))]
    pub metric: String,
    /// What proves that a probe reaches the outside when it finds nothing healthy. Left out, nothing proves it, and people are
    /// asked about each loss of a Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Outside")]
    pub outside: Option<Outside>,
}

/// What is asked for proof: one of the Regions and one of the names must answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Two Regions that are none of the plan's, whose endpoints of AWS are asked.
    #[schemars(schema_with = "outside_regions")]
    pub regions: Vec<String>,
    /// Three names of others, which answer over HTTPS. None may be hosted in the primary Region.
    #[schemars(schema_with = "outside_names")]
    pub names: Vec<String>,
}

/// A Region that is neither the primary nor the standby. It needs nothing of the platform: the stack deploys the probe there,
/// and nothing that recovers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observer {
    /// The Region's name, such as `eu-west-1`.
    #[schemars(regex(pattern = REGION_NAME), extend("patternErrorMessage" = form::REGION))]
    pub region: String,
}

/// Policy for one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioPolicy {
    /// How severe it is.
    pub severity: Severity,
    /// How fast, and with how little loss, it must be recovered.
    pub objectives: Objectives,
    /// How many people must approve. Zero means fully automatic, and holds only while the evidence is good enough.
    #[schemars(range(max = 2))]
    pub approvals: u8,
    /// How many people are asked when zero was asked for and the evidence is not good enough.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 2))]
    pub approvals_without_evidence: u8,
    /// How long after a recovery no other one starts by itself.
    pub cool_down: Duration,
    /// How long each wait of its machine may last, by what is waited for.
    pub deadlines: BTreeMap<String, Duration>,
}

fn secret_arns(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "pattern": SECRET_ARN, "patternErrorMessage": form::SECRET },
    })
}

fn outside_regions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "pattern": REGION_NAME, "patternErrorMessage": form::REGION },
        "minItems": 2,
        "maxItems": 2,
    })
}

fn outside_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "pattern": DOMAIN_NAME, "patternErrorMessage": form::DOMAIN, "maxLength": 253 },
        "minItems": 3,
        "maxItems": 3,
    })
}

fn two() -> u8 {
    2
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// Objectives of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objectives {
    /// Recovery time: from impact to healthy.
    pub rto: Objective,
    /// Recovery point: the age, at impact, of the last write that survives. Left out where no write can be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Objective>,
}

/// A target and a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// What is aimed at.
    pub target: Duration,
    /// What must not be exceeded.
    pub maximum: Duration,
}

/// Which alarm starts what, and whether by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// The alarm's name.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The Region that it lives in.
    pub region: SiteName,
    /// What it starts.
    pub scenario: Scenario,
    /// Whether it starts that by itself.
    pub start: Start,
}

/// One of the plan's two Regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SiteName {
    /// The Region that serves on a good day.
    Primary,
    /// The Region that takes over.
    #[serde(alias = "recovery")]
    Standby,
}

impl SiteName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Standby];
}

/// Whether an alarm starts a recovery by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// It starts; the scenario's policy says who approves.
    Automatic,
    /// It starts, and people approve whatever the policy says.
    Approve,
    /// It does not start.
    Off,
}

/// Where the automation keeps things, in each Region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Automation {
    /// The DynamoDB table with the lock and the records.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.-]{3,255}$"), extend("patternErrorMessage" = form::TABLE))]
    pub table: String,
    /// An alarm's event older than this starts nothing.
    pub stale_after: Duration,
    /// A fenced Region that still has the writer pages people once the recovery has been silent for this long.
    #[serde(default = "five_minutes")]
    pub page_fenced_after: Duration,
    /// How to tell that two approvals come from one person.
    #[serde(default)]
    pub same_person: SamePerson,
}

/// How severe something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The service is down.
    Sev1,
    /// The service is impaired.
    Sev2,
    /// Customers hardly notice.
    Sev3,
}

impl Severity {
    /// Every severity, the worst first.
    pub const ALL: [Self; 3] = [Self::Sev1, Self::Sev2, Self::Sev3];

    /// Its name in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sev1 => "sev1",
            Self::Sev2 => "sev2",
            Self::Sev3 => "sev3",
        }
    }
}

/// How fast somebody must answer, and who is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeverityPolicy {
    /// How long a person has to answer.
    pub respond_within: Duration,
    /// Who is told: keys of `contacts`.
    #[schemars(length(min = 1))]
    pub notify: Vec<String>,
    /// Whether the status page says so.
    #[serde(default)]
    pub status_page: bool,
}

/// A person or a rota.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What they do.
    #[schemars(length(min = 1))]
    pub role: String,
    /// Where they are reached.
    #[schemars(regex(pattern = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"), extend("patternErrorMessage" = form::EMAIL))]
    pub email: String,
    /// Where their stand-in is reached.
    #[schemars(regex(pattern = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"), extend("patternErrorMessage" = form::EMAIL))]
    pub backup: String,
}

impl Plan {
    /// The text under which it is stored, and whose SHA-256 is its name. Errors: the plan is not data, which is a defect.
    pub fn stored_form(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Of the alarms in a Region that are for `scenario`, the one that may start most.
    pub fn alarm(&self, scenario: Scenario, region: SiteName) -> Option<&Alarm> {
        let alarms = self.alarms.iter();
        let alarms = alarms.filter(|alarm| alarm.scenario == scenario && alarm.region == region);
        alarms.min_by_key(|alarm| match alarm.start {
            Start::Automatic => 0,
            Start::Approve => 1,
            Start::Off => 2,
        })
    }

    /// Every alarm of a Region. The one on the loss of the Region that serves is in both Regions: each watches the other one
    /// while that one serves. In the primary it asks people, unless the plan names it there, or switches it off.
    pub fn alarms_in(&self, region: SiteName) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = self
            .alarms
            .iter()
            .filter(|alarm| alarm.region == region)
            .cloned()
            .collect();
        let watch = self.alarm(Scenario::REGION_FAILURE, SiteName::Standby);
        if let Some(watch) = watch.filter(|watch| !alarms.iter().any(|alarm| alarm.name == watch.name)) {
            let start = match watch.start {
                Start::Off => Start::Off,
                Start::Automatic | Start::Approve => Start::Approve,
            };
            alarms.push(Alarm {
                region,
                start,
                ..watch.clone()
            });
        }
        alarms
    }

    /// What the plan calls `region`, if it names that Region.
    pub fn site_name(&self, region: &str) -> Option<SiteName> {
        let mut names = SiteName::ALL.into_iter();
        names.find(|name| self.regions.named(*name).region == region)
    }

    /// The site in `region`, if the plan names that Region.
    pub fn site(&self, region: &str) -> Option<&Site> {
        self.site_name(region).map(|name| self.regions.named(name))
    }

    /// The site that is not `region`.
    pub fn other_site(&self, region: &str) -> Option<&Site> {
        match region {
            r if r == self.regions.primary.region => Some(&self.regions.standby),
            r if r == self.regions.standby.region => Some(&self.regions.primary),
            _ => None,
        }
    }

    /// The site in `region`, and the other one. Errors: `InvalidInput`, if the plan does not name that Region.
    pub fn sites_from(&self, region: &str) -> Result<(&Site, &Site), StepError> {
        self.site(region).zip(self.other_site(region)).ok_or_else(|| {
            let text =
                format!("the plan in force does not name {region}; push the plan of this workload: drctl plan push");
            StepError::new(ErrorKind::InvalidInput, text)
        })
    }

    /// ARN of the cluster in `site`.
    pub fn cluster_arn(&self, site: &Site) -> String {
        format!(
            "arn:{}:rds:{}:{}:cluster:{}",
            site.partition(),
            site.region,
            self.account,
            site.cluster
        )
    }

    /// ARN of the topic in `site`.
    pub fn topic_arn(&self, site: &Site) -> String {
        format!(
            "arn:{}:sns:{}:{}:{}",
            site.partition(),
            site.region,
            self.account,
            site.topic
        )
    }
}
