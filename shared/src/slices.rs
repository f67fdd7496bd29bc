//! The parts of the plan that machines hand to steps: names resolved to ARNs, durations to seconds, and seen from the
//! Region that runs the recovery.

use serde::{Deserialize, Serialize};

use crate::plan::{Duration, Function, Objectives, Plan, Site};
use crate::recovery::Scenario;

/// What a recovery works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slices {
    /// The Region that runs the recovery.
    pub here: SiteSlice,
    /// The other Region.
    pub other: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// The platform's functions.
    pub functions: Vec<Function>,
    /// How the public name moves.
    pub dns: DnsSlice,
    /// What counts as healthy.
    pub health: HealthSlice,
    /// The metric behind the alarm.
    pub probe: ProbeSlice,
    /// How long each wait may last, in seconds.
    pub deadlines: DeadlineSlice,
    /// What is aimed at.
    pub objectives: Objectives,
}

/// One Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSlice {
    /// Its name.
    pub region: String,
    /// The cluster's identifier.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// ARN of the secret with the database's credentials.
    pub secret_arn: String,
    /// ARN of the topic on which recoveries are announced.
    pub topic_arn: String,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSlice {
    /// The global database's identifier.
    pub global_cluster: String,
    /// The database inside the cluster.
    pub name: String,
    /// The schema with the tables `heartbeat` and `canary`.
    pub schema: String,
}

/// How the public name moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSlice {
    /// The public name.
    pub name: String,
    /// The Region of the switch object.
    pub region: String,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Whether the object must be there for customers to reach the Region that runs the recovery.
    pub present: bool,
}

/// What counts as healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSlice {
    /// The deep check, through the public name.
    pub url: String,
    /// Healthy answers in a row that count as recovered.
    pub consecutive: u32,
    /// How long one answer may take, in seconds.
    pub timeout_seconds: u64,
}

/// The metric behind the alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSlice {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub metric: String,
    /// The value of its dimension `Workload`.
    pub workload: String,
}

/// How long each wait may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlineSlice {
    /// Until the database answers reads and writes, in seconds.
    pub database_seconds: u64,
    /// Until the public name answers healthily, in seconds.
    pub health_seconds: u64,
}

impl Slices {
    /// What a recovery of `scenario`, run in `region`, works on. Errors: a text, if the plan does not know the Region or
    /// the scenario.
    pub fn new(plan: &Plan, scenario: Scenario, region: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "the plan knows no Region {region}; it names {} and {}",
                plan.regions.primary.region, plan.regions.recovery.region
            )
        };
        let here = plan.site(region).ok_or_else(unknown)?;
        let other = plan.other_site(region).ok_or_else(unknown)?;
        let policy = plan
            .scenarios
            .get(&scenario)
            .ok_or_else(|| format!("the plan has no policy for {scenario}; add it under scenarios"))?;
        Ok(Self {
            here: site(plan, here),
            other: site(plan, other),
            database: DatabaseSlice {
                global_cluster: plan.database.global_cluster.clone(),
                name: plan.database.name.clone(),
                schema: plan.database.heartbeat.schema.clone(),
            },
            functions: plan.functions.clone(),
            dns: DnsSlice {
                name: plan.dns.name.clone(),
                region: plan.regions.recovery.region.clone(),
                bucket: plan.dns.switch_object.bucket.0.clone(),
                key: plan.dns.switch_object.key.clone(),
                present: region == plan.regions.recovery.region,
            },
            health: HealthSlice {
                url: plan.health.url.clone(),
                consecutive: plan.health.consecutive,
                timeout_seconds: plan.health.timeout.as_secs(),
            },
            probe: ProbeSlice {
                namespace: plan.probe.namespace.clone(),
                metric: plan.probe.metric.clone(),
                workload: plan.workload.clone(),
            },
            deadlines: DeadlineSlice {
                database_seconds: Duration::as_secs(policy.deadlines.database),
                health_seconds: Duration::as_secs(policy.deadlines.health),
            },
            objectives: policy.objectives,
        })
    }
}

fn site(plan: &Plan, site: &Site) -> SiteSlice {
    SiteSlice {
        region: site.region.clone(),
        cluster: site.cluster.clone(),
        cluster_arn: plan.cluster_arn(site),
        secret_arn: site.database_secret.clone(),
        topic_arn: plan.topic_arn(site),
    }
}
