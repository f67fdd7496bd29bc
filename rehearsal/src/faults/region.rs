//! How a Region is lost.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use promote_database::PromoteDatabase;
use shared::plan;
use shared::step::Step;
use simulator::aws::door::NO_ANSWER;
use simulator::cloud::Reach;
use simulator::faults::{CallEffect, CallFault};

use crate::fault::{Area, Count, Effect, FaultKind, Fits, any_of, calls, in_one_word};
use crate::world::World;

use crate::faults::database::{HOW_FAR_BEHIND, metrics_read};

/// What each of these says.
pub(super) const WHAT_IS_LOST: &str = "what is lost";

/// How long after the disaster a person starts what no alarm starts.
const NOTICED_AFTER: Duration = Duration::from_secs(300);
/// Services whose changes a grey control plane does not take.
const CONTROL_PLANES: [&str; 3] = ["apigateway", "lambda", "rds"];
/// How far replication is behind before an outage that nobody notices.
const LAG_BEFORE_OLD_OUTAGE: Duration = Duration::from_secs(1);

/// The Region is lost as a whole.
pub static OUTAGE: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST],
    ..FaultKind::plain::<Outage>(
        Area::Region,
        "region-outage",
        "the whole Region is lost, as in the scenario without faults",
        "ends as recovered",
    )
};

#[derive(Default)]
struct Outage;

impl Effect for Outage {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let region = world.other.to_owned();
        Some(Box::new(move |simulation| u64::from(!simulation.cloud().runs(&region))))
    }
}

/// Customers reach the Region, and its control planes do not answer.
pub static GREY_REGION: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST],
    ..FaultKind::plain::<GreyRegion>(
        Area::Region,
        "grey-region",
        "customers reach the old side, but its control planes do not answer; a person starts the recovery",
        "does not switch over; asks people, with the fence unconfirmed; counts what the old side wrote",
    )
};

#[derive(Default)]
struct GreyRegion;

impl Effect for GreyRegion {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        world.cloud().take_away(world.other, Reach::Apis);
        let region = world.other.to_owned();
        Some(calls(move |call| call.region == region && call.operation == NO_ANSWER))
    }

    fn replaces_the_disaster(&self) -> bool {
        true
    }

    fn person_starts_after(&self) -> Option<Duration> {
        Some(NOTICED_AFTER)
    }
}

/// Customers do not reach the Region, and its control planes take no changes.
pub static GREY_CONTROL: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST],
    ..FaultKind::plain::<GreyControl>(
        Area::Region,
        "grey-control",
        "customers do not reach the old side; its control planes answer, but accept no changes",
        "ends as recovered, with the fence unconfirmed",
    )
};

#[derive(Default)]
struct GreyControl;

impl Effect for GreyControl {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        cloud.take_away(world.other, Reach::Customers);
        let refused = CONTROL_PLANES.map(|service| {
            cloud.faults.on_calls(CallFault {
                service: Some(service.to_owned()),
                region: Some(world.other.to_owned()),
                changes_only: true,
                from: cloud.now(),
                ..CallFault::every(CallEffect::ServerError)
            })
        });
        Some(any_of(refused.into()))
    }

    fn replaces_the_disaster(&self) -> bool {
        true
    }
}

/// How long the Region that runs the recovery stays away.
const AWAY_FOR: Duration = Duration::from_secs(3 * 3600);
/// How often to check for the first call of the promotion, which takes several.
const FENCE_LOOKED_AT_EVERY: Duration = Duration::from_millis(20);

/// The Region that runs the recovery is lost between the fence and the promotion.
pub static LOST_AFTER_FENCE: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST],
    ..FaultKind::plain::<LostAfterFence>(
        Area::Region,
        "lost-after-fence",
        "the Region that runs the recovery is lost between fence and promotion, and returns after 3 h",
        "pages people from the fenced Region, who open it; the recovery promotes nothing when its Region returns",
    )
};

#[derive(Default)]
struct LostAfterFence;

impl Effect for LostAfterFence {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let (simulation, here) = (world.simulation.clone(), world.here.to_owned());
        let lost = Rc::new(Cell::new(0));
        let count = Rc::clone(&lost);
        tokio::task::spawn_local(async move {
            let cloud = simulation.cloud();
            let before = cloud.calls_of(PromoteDatabase::NAME);
            while cloud.calls_of(PromoteDatabase::NAME) == before {
                tokio::time::sleep(FENCE_LOOKED_AT_EVERY).await;
            }
            cloud.take_region_away(&here);
            lost.set(1);
            tokio::time::sleep(AWAY_FOR).await;
            cloud.give_region_back(&here);
        });
        Some(Box::new(move |_| count.get()))
    }
}

/// Nobody notices for a while; before, replication was hardly behind.
pub static OLD_OUTAGE: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST, HOW_FAR_BEHIND],
    ..FaultKind::with(
        Area::Region,
        "old-outage:<duration>",
        "nobody notices for this long, then a person starts the recovery; replication was 1 s behind",
        "ends as recovered, with an expected loss of 1 s",
        |said| Ok(Box::new(OldOutage(said.time()?))),
        |rng, _| {
            let minutes = [30, 90, 180][rng.usize(..3)];
            Box::new(OldOutage(plan::Duration::from_secs(minutes * 60)))
        },
    )
};

struct OldOutage(plan::Duration);

impl Effect for OldOutage {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let (cloud, global) = (world.cloud(), &world.plan.database.global_cluster);
        cloud
            .rds
            .set_replication_lag(cloud, global, Some(LAG_BEFORE_OLD_OUTAGE));
        Some(metrics_read())
    }

    fn person_starts_after(&self) -> Option<Duration> {
        Some(self.0.as_std())
    }
}
