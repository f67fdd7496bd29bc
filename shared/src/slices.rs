//! The parts of the plan that machines hand to steps: names resolved to ARNs, durations to seconds, and seen from the
//! Region that runs the recovery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::person::SamePerson;
use crate::plan::{Objectives, Plan, ScenarioPolicy, Site, partition_of};
use crate::scenario::module::SetBy;
use crate::scenario::{Fields, Scenario};

/// What a recovery works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slices {
    /// The Region that runs the recovery.
    pub here: SiteSlice,
    /// The other Region.
    pub other: SiteSlice,
    /// What counts as healthy.
    pub health: HealthSlice,
    /// The metric behind the alarm.
    pub probe: ProbeSlice,
    /// How long each wait may last, in seconds: `stop_seconds`, and the scenario's own.
    pub deadlines: BTreeMap<String, u64>,
    /// What is aimed at.
    pub objectives: Objectives,
    /// Who is asked.
    pub approval: ApprovalSlice,
    /// Where the report is kept.
    pub reports: ReportsSlice,
    /// The scenario's own part.
    #[serde(flatten)]
    pub own: Fields,
}

/// Where reports are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportsSlice {
    /// The bucket's Region: that of the recovery, since nothing may depend on another one.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys begin with.
    pub prefix: String,
}

/// What the keys of reports begin with.
const REPORTS_PREFIX: &str = "recoveries/";

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
    /// The API that serves customers from here.
    pub api: ApiSlice,
}

/// A REST API's stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSlice {
    /// The REST API's identifier.
    pub rest_api: String,
    /// The stage.
    pub stage: String,
    /// The Regional domain name that the public name points at when this Region serves.
    pub domain: String,
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
    /// How often the platform writes its heartbeat, in seconds.
    pub heartbeat_seconds: u64,
}

/// How the public name moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSlice {
    /// The public name.
    pub name: String,
    /// By what it moves.
    pub method: DnsMethod,
}

/// By what the public name moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by", deny_unknown_fields)]
pub enum DnsMethod {
    /// A switch object that an inverted health check watches: Route 53's data plane.
    SwitchObject {
        /// The Region of the object.
        region: String,
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// Whether the object must be there for customers to reach the Region that runs the recovery.
        present: bool,
    },
    /// A change of the record: Route 53's control plane, in us-east-1.
    Record {
        /// The hosted zone.
        hosted_zone: String,
        /// The record's TTL, in seconds.
        ttl_seconds: u64,
        /// What the name must point at.
        target: String,
    },
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
    /// What proves that whoever looks reaches the outside; nothing in a plan that names nothing.
    pub outside: Option<OutsideSlice>,
}

/// Hosts that are asked over HTTPS for proof. One of each kind must answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideSlice {
    /// AWS's endpoints in Regions that are none of the plan's.
    pub endpoints: Vec<String>,
    /// Names of others.
    pub names: Vec<String>,
}

/// The third Region, where the same probe publishes the same metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObserverSlice {
    /// Its name.
    pub region: String,
}

/// How long the recovery machine waits until what was started and is to stop has stopped, in seconds, its functions included:
/// longer than any function may be at work.
pub const STOP_SECONDS: u64 = 10 * 60;

/// The deadlines of a scenario's machine by the names that it reads, in seconds, each the longest that it can be.
pub fn longest_deadlines(scenario: Scenario) -> BTreeMap<String, u64> {
    let own = scenario.definition().deadlines.iter();
    own.map(|deadline| (format!("{}_seconds", deadline.name), deadline.longest.as_secs()))
        .chain([("stop_seconds".to_owned(), STOP_SECONDS)])
        .collect()
}

/// The same, each as long as the plan says.
fn deadlines(scenario: Scenario, policy: &ScenarioPolicy) -> BTreeMap<String, u64> {
    let mut deadlines = longest_deadlines(scenario);
    for deadline in scenario.definition().deadlines {
        let said = policy.deadlines.get(deadline.name).copied();
        let seconds = match deadline.set_by {
            SetBy::Plan => said,
            SetBy::PlanOr(default) => said.or(Some(default)),
            SetBy::Machine => None,
        };
        if let Some(seconds) = seconds {
            deadlines.insert(format!("{}_seconds", deadline.name), seconds.as_secs());
        }
    }
    deadlines
}

/// Who is asked whether a recovery may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSlice {
    /// How many people; 0 holds only while the evidence is good enough.
    pub people: u8,
    /// How many people where it is not.
    pub without_evidence: u8,
    /// How long they have, in seconds.
    pub answer_within_seconds: u64,
    /// By what two of them are one.
    #[serde(default)]
    pub same_person: SamePerson,
}

impl Slices {
    /// What a recovery of `scenario`, run in `region`, works on. Errors: a text, if the plan does not know the Region or
    /// the scenario.
    pub fn new(plan: &Plan, scenario: Scenario, region: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "the plan knows no Region {region}; it names {} and {}",
                plan.regions.primary.region, plan.regions.standby.region
            )
        };
        let here = plan.site(region).ok_or_else(unknown)?;
        let other = plan.other_site(region).ok_or_else(unknown)?;
        let policy = plan
            .scenarios
            .get(&scenario)
            .ok_or_else(|| format!("the plan has no policy for {scenario}; add it under scenarios"))?;
        let severity = plan.severities.get(&policy.severity).ok_or_else(|| {
            let name = policy.severity.name();
            format!("the plan does not say how fast people answer to {name}; add it under severities")
        })?;
        Ok(Self {
            here: site(plan, here),
            other: site(plan, other),
            health: HealthSlice {
                url: plan.health.url.clone(),
                consecutive: plan.health.consecutive,
                timeout_seconds: plan.health.timeout.as_secs(),
            },
            probe: ProbeSlice {
                namespace: plan.probe.namespace.clone(),
                metric: plan.probe.metric.clone(),
                workload: plan.workload.clone(),
                outside: OutsideSlice::of(plan),
            },
            deadlines: deadlines(scenario, policy),
            objectives: policy.objectives,
            approval: ApprovalSlice {
                people: policy.approvals,
                without_evidence: policy.approvals_without_evidence,
                answer_within_seconds: severity.respond_within.as_secs(),
                same_person: plan.automation.same_person,
            },
            reports: ReportsSlice {
                region: here.region.clone(),
                bucket: here.reports.0.clone(),
                prefix: REPORTS_PREFIX.to_owned(),
            },
            own: (scenario.definition().slice)(plan, here)?,
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
        api: ApiSlice {
            rest_api: site.api.rest_api.clone(),
            stage: site.api.stage.clone(),
            domain: site.api.domain.clone(),
        },
    }
}

impl DatabaseSlice {
    /// The database of `plan`.
    pub fn of(plan: &Plan) -> Self {
        Self {
            global_cluster: plan.database.global_cluster.clone(),
            name: plan.database.name.clone(),
            schema: plan.database.heartbeat.schema.clone(),
            heartbeat_seconds: plan.database.heartbeat.every.as_secs(),
        }
    }
}

impl OutsideSlice {
    /// What `plan` names as the outside, if it does. DynamoDB has an endpoint in every Region, and answers whoever asks.
    pub fn of(plan: &Plan) -> Option<Self> {
        let outside = plan.probe.outside.as_ref()?;
        let endpoint = |region: &String| {
            let suffix = match partition_of(region) {
                "aws-cn" => "amazonaws.com.cn",
                _ => "amazonaws.com",
            };
            format!("dynamodb.{region}.{suffix}")
        };
        Some(Self {
            endpoints: outside.regions.iter().map(endpoint).collect(),
            names: outside.names.clone(),
        })
    }
}

impl ObserverSlice {
    /// The observer of `plan`, if it has one.
    pub fn of(plan: &Plan) -> Option<Self> {
        let observer = plan.observer.as_ref()?;
        Some(Self {
            region: observer.region.clone(),
        })
    }
}

impl DnsSlice {
    /// How the public name of `plan` moves to `here`.
    pub fn of(plan: &Plan, here: &Site) -> Self {
        let method = match &plan.dns.switch_object {
            Some(switch) => DnsMethod::SwitchObject {
                region: plan.regions.standby.region.clone(),
                bucket: switch.bucket.0.clone(),
                key: switch.key.clone(),
                present: here.region == plan.regions.standby.region,
            },
            None => DnsMethod::Record {
                hosted_zone: plan.dns.hosted_zone.clone(),
                ttl_seconds: plan.dns.ttl.as_secs(),
                target: here.api.domain.clone(),
            },
        };
        Self {
            name: plan.dns.name.clone(),
            method,
        }
    }
}
