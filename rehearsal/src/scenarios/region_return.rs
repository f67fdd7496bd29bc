//! The primary Region is lost, comes back, and the workload is moved back to it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::measure::seconds_between;
use shared::plan::Plan;
use shared::scenario::region_failure::Intent;
use shared::scenario::{Fields, Scenario};

use crate::deployment::Watching;
use crate::disaster::{Disaster, Scene, Start};
use crate::fault::FaultKind;
use crate::faults::{database, region, standby};
use crate::happened::Invariant;
use crate::moment::Moment;
use crate::scenarios::region_failure::{OPERATIONS, RegionFailure, invariants, lose_primary};
use crate::scenarios::watching;
use crate::truth::Truth;
use crate::world::World;

/// How long the lost Region stays away before a way back is looked for.
const REGION_IS_AWAY: Duration = Duration::from_secs(2 * 3600);
/// How long after a refusal a person tries again to go back.
const TRIES_AGAIN_AFTER: Duration = Duration::from_secs(1200);
/// How often a person tries to go back.
const TRIES: usize = 15;
/// How often, where something goes wrong that does not pass.
const TRIES_WITH_FAULTS: usize = 3;
/// How long to wait for the Regions to synchronise, and how often to check.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(5 * 3600);
const LOOKS_EVERY: Duration = Duration::from_secs(60);
/// How often a switchover that hangs is drawn: as often as it and what becomes of a Region or a failover are on the way there.
const SWITCHOVER_LOTS: u32 = 10;

/// A Region is lost, comes back, and the workload is moved back to it.
pub struct RegionReturn;

static FAULTS: [&FaultKind; 10] = [
    &database::BOTH,
    &database::LAG,
    &database::NO_LAG_METRIC,
    &database::SWITCHOVER_HANGS,
    &region::LOST_AFTER_FENCE,
    &database::STALE_READS,
    &database::TARGET_UNNAMED,
    &database::THIRD_WRITER,
    &standby::BROKEN,
    &standby::OLD_SIDE_DENIED,
];

impl Disaster for RegionReturn {
    fn name(&self) -> &'static str {
        "region-return"
    }

    fn description(&self) -> &'static str {
        "the primary Region is lost, returns, and the workload moves back to it"
    }

    fn scenario(&self) -> Scenario {
        Scenario::REGION_FAILURE
    }

    fn here<'a>(&self, plan: &'a Plan) -> &'a str {
        &plan.regions.primary.region
    }

    fn watching(&self, plan: &Plan) -> Result<Vec<Watching>, String> {
        watching::watching(plan)
    }

    /// The primary Region is lost, the standby Region takes over, and the primary Region comes back.
    fn before<'a>(&'a self, world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async {
            world.some_moment(RegionFailure.comes_within()).await;
            lose_primary(world);
            match world.event {
                Some(event) => world.start_by_event(event).await?,
                None => world.wait_for_an_alarm(Duration::ZERO).await,
            }
            world.resume_after_the_step(world.other).await?;
            tokio::time::sleep(REGION_IS_AWAY).await;
            world.cloud().give_region_back(world.here);
            world.tell(Moment::Back {
                at: world.now(),
                what: format!("{} answers again", world.here),
            });
            if world.with_faults {
                // What goes wrong does so on the way back, and not while there is none yet.
                wait_until_in_sync(world).await;
            }
            Ok(())
        })
    }

    /// A person chooses the moment.
    fn comes_within(&self) -> Duration {
        Duration::ZERO
    }

    /// Nothing more is lost.
    fn strike<'a>(&'a self, _world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async { Ok(()) })
    }

    fn start(&self) -> Start {
        Start::Person {
            name: "back",
            attempts: TRIES,
            attempts_with_faults: TRIES_WITH_FAULTS,
            again_after: TRIES_AGAIN_AFTER,
        }
    }

    fn wants(&self) -> Fields {
        Intent::Switchover.into()
    }

    fn truth(&self, world: &World<'_>, since: Timestamp) -> Truth {
        let (platform, cloud) = (world.simulation.platform(), world.cloud());
        Truth {
            rto_seconds: platform.served_again_at(since).map(|back| seconds_between(since, back)),
            rpo_seconds: None,
            lost_writes: platform.acknowledged_and_lost(cloud, since, cloud.now()).len(),
        }
    }

    fn interrupts(&self) -> bool {
        false
    }

    fn loses_writes(&self) -> bool {
        false
    }

    /// One there, and one back.
    fn changing_recoveries(&self) -> usize {
        2
    }

    fn invariants(&self) -> &'static [Invariant] {
        &[
            invariants::ONE_SIDE_WRITES,
            invariants::PROMOTED_ONCE,
            invariants::LOSES_WITH_APPROVAL,
            invariants::UNASKED_NEEDS_TWO_CLASSES,
        ]
    }

    fn faults(&self) -> &'static [&'static FaultKind] {
        &FAULTS
    }

    /// What becomes of a failover becomes of the switchover that a way back is.
    fn lots(&self, kind: &FaultKind) -> u32 {
        if kind.name() == database::SWITCHOVER_HANGS.name() {
            SWITCHOVER_LOTS
        } else {
            kind.lots
        }
    }

    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn asking(&self) -> &'static [&'static str] {
        &["switchover-hangs:5m", "switchover-hangs"]
    }
}

/// Waits until each cluster of the global database is connected to it.
async fn wait_until_in_sync(world: &World<'_>) {
    let in_sync = async {
        let members = format!("/global_databases/{}/members", world.plan.database.global_cluster);
        loop {
            let snapshot = world.cloud().snapshot();
            let members = snapshot.pointer(&members).and_then(Value::as_object);
            let is_connected = |member: &Value| member.get("synchronization") == Some(&json!("connected"));
            if members.is_some_and(|members| members.values().all(is_connected)) {
                return;
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    };
    // What is not in sync by then is refused, which is what a person would see.
    let _ = tokio::time::timeout(IN_SYNC_WITHIN, in_sync).await;
}
