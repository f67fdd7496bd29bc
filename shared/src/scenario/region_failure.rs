//! A whole Region is lost, or is to be left: the workload moves to the other one.

use serde::{Deserialize, Serialize};

use super::module::{Deadline, HEALTH, Module};
use super::{Fields, Scenario};
use crate::plan::{Duration, Function, Plan, Site, SiteName};
use crate::slices::{DatabaseSlice, DnsSlice, ObserverSlice};

/// What can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// How the workload moves.
    #[serde(default)]
    pub intent: Intent,
}

impl From<Intent> for Fields {
    fn from(intent: Intent) -> Self {
        // An intent is its name, and never fails to be written.
        Self::from_iter([("intent".to_owned(), serde_json::json!(intent))])
    }
}

/// How whoever started a Region switch wants the workload to move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// A planned move: nothing is lost, and both Regions must be healthy.
    Switchover,
    /// The other Region is gone: promote at once, with the loss that replication lag means.
    Failover,
    /// Look, then take the way that loses least.
    #[default]
    Decide,
}

/// Its machine's own part of the plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// The global database.
    pub database: DatabaseSlice,
    /// The platform's functions.
    pub functions: Vec<Function>,
    /// How the public name moves.
    pub dns: DnsSlice,
    /// Who looks from a third Region; nothing in a plan without one.
    pub observer: Option<ObserverSlice>,
}

/// The scenario.
#[derive(Debug)]
pub struct RegionFailure;

impl Module for RegionFailure {
    const SCENARIO: Scenario = Scenario::REGION_FAILURE;
    const TITLE: &'static str = "Loss of a Region";
    const MACHINE: Option<&'static str> = Some("region-switch");
    const LOSES_WRITES: bool = true;
    const DEADLINES: &'static [Deadline] = &[
        Deadline::of_plan(
            "database",
            "Until the database is promoted and answers reads and writes.",
            Duration::from_secs(4 * 3600),
        ),
        Deadline::of_plan(
            "switchover",
            "Until a switchover without loss has ended; after it, people are asked whether to fail over with loss.",
            Duration::from_secs(30 * 60),
        )
        .or(Duration::from_secs(15 * 60)),
        Deadline::of_machine(
            "dns",
            "Until a changed record has reached every name server; after that the health check decides.",
            Duration::from_secs(5 * 60),
        ),
        HEALTH,
    ];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["database", "health"];
    type Wants = Wants;
    type Slice = Slice;

    fn slice(plan: &Plan, here: &Site) -> Slice {
        Slice {
            database: DatabaseSlice::of(plan),
            functions: plan.functions.clone(),
            dns: DnsSlice::of(plan, here),
            observer: ObserverSlice::of(plan),
        }
    }

    fn announcement(plan: &Plan, here: &Site) -> String {
        format!(
            "A recovery has started in {}. It checks both Regions, then promotes the database here and moves {}.",
            here.region, plan.dns.name
        )
    }

    // CloudWatch and EventBridge are Regional: what is lost cannot report its own loss.
    fn unheard_alarm(region: SiteName) -> Option<&'static str> {
        (region == SiteName::Primary).then_some(
            "an alarm in the primary Region is not heard when that Region is lost; use one in the standby Region",
        )
    }
}
