//! The primary Region is lost, and the standby Region takes over.

use jiff::Timestamp;
use serde_json::Value;
use shared::measure::seconds_between;
use shared::plan::Plan;
use shared::scenario::Scenario;

use crate::deployment::Watching;
use crate::disaster::{Disaster, Scene};
use crate::fault::FaultKind;
use crate::faults::{calls, database, evidence, region, standby};
use crate::happened::Invariant;
use crate::moment::Moment;
use crate::scenarios::watching;
use crate::truth::Truth;
use crate::world::World;

pub(crate) mod invariants;

pub use crate::scenarios::watching::{Alarms, alarms};

/// A Region is lost.
pub struct RegionFailure;

static FAULTS: [&FaultKind; 22] = [
    &region::OUTAGE,
    &region::GREY_REGION,
    &region::GREY_CONTROL,
    &region::OLD_OUTAGE,
    &evidence::BAD_RELEASE,
    &evidence::CERTIFICATE_EXPIRED,
    &evidence::PROBE_BLOCKED,
    &evidence::STANDBY_ISOLATED,
    &evidence::STANDBY_ISOLATED_PARTLY,
    &evidence::METRIC_FORGED,
    &evidence::OBSERVER_LOST,
    &database::BOTH,
    &database::LAG,
    &database::NO_LAG_METRIC,
    &database::STUCK_FAILOVER,
    &database::FAILED_FAILOVER,
    &database::STALE_READS,
    &database::TARGET_UNNAMED,
    &database::THIRD_WRITER,
    &standby::BROKEN,
    &standby::OLD_SIDE_DENIED,
    &calls::TABLE_AWAY,
];

/// Operations of the machine that moves a workload between Regions.
pub(crate) const OPERATIONS: [&str; 11] = [
    "DeleteFunctionConcurrency",
    "DescribeDBClusters",
    "DescribeGlobalClusters",
    "ExecuteStatement",
    "FailoverGlobalCluster",
    "GetMetricData",
    "PutFunctionConcurrency",
    "StartExecution",
    "SwitchoverGlobalCluster",
    "UpdateEventSourceMapping",
    "UpdateStage",
];

impl Disaster for RegionFailure {
    fn name(&self) -> &'static str {
        "region-failure"
    }

    fn description(&self) -> &'static str {
        "the primary Region is lost"
    }

    fn scenario(&self) -> Scenario {
        Scenario::REGION_FAILURE
    }

    fn watching(&self, plan: &Plan) -> Result<Vec<Watching>, String> {
        watching::watching(plan)
    }

    fn strike<'a>(&'a self, world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async {
            lose_primary(world);
            Ok(())
        })
    }

    fn truth(&self, world: &World<'_>, since: Timestamp) -> Truth {
        let (platform, cloud) = (world.simulation.platform(), world.cloud());
        Truth {
            rto_seconds: platform.served_again_at(since).map(|back| seconds_between(since, back)),
            rpo_seconds: platform.lost_seconds(cloud, since),
            lost_writes: platform
                .acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, cloud.now())
                .len(),
        }
    }

    fn invariants(&self) -> &'static [Invariant] {
        &[
            invariants::ONE_SIDE_WRITES,
            invariants::LOST_NO_MORE_THAN_SHOWN,
            invariants::SHOWN_NO_MORE_THAN_TRUE,
            invariants::PROMOTED_ONCE,
            invariants::LOSES_WITH_APPROVAL,
            invariants::UNASKED_NEEDS_TWO_CLASSES,
            invariants::NO_DEAD_LETTERS,
        ]
    }

    fn faults(&self) -> &'static [&'static FaultKind] {
        &FAULTS
    }

    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn asking(&self) -> &'static [&'static str] {
        &["no-lag-metric", "lag:10m"]
    }
}

/// The primary Region does not answer any more; one that sends the event that starts the recovery is not lost.
pub(crate) fn lose_primary(world: &World<'_>) {
    let region = &world.plan.regions.primary.region;
    let sends = world
        .event
        .and_then(|event| event.get("region"))
        .and_then(Value::as_str);
    if sends == Some(region) {
        return;
    }
    world.cloud().take_region_away(region);
    world.tell(Moment::Disaster {
        at: world.now(),
        what: format!("{region} is lost: nothing in it answers"),
    });
}
