//! What only looks like the loss of a Region; and observers that are lost with one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use shared::plan::Plan;
use simulator::aws::door::NO_ANSWER;
use simulator::cloud::{Cut, Reach};
use simulator::workload::Trouble;

use crate::deployment::own_metric;
use crate::fault::{Area, Count, Effect, FaultKind, Fits, calls};
use crate::faults::people::WHAT_PEOPLE_DO;
use crate::faults::region::WHAT_IS_LOST;
use crate::people::People;
use crate::world::World;

/// What each of these says.
const WHERE_EVIDENCE_COMES_FROM: &str = "where evidence comes from";

/// People look at the service themselves: it is well, and they decline.
const THEY_DECLINE: People = People::Decline { from: 1 };

/// Something is wrong with how the old side answers, and everything of AWS works.
fn trouble(world: &World<'_>, trouble: Trouble) -> Option<Count> {
    world.simulation.platform().trouble(world.other, trouble);
    let region = world.other.to_owned();
    Some(Box::new(move |simulation| simulation.platform().troubled(&region)))
}

/// A release of the old side fails.
pub static BAD_RELEASE: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST],
    ..FaultKind::plain::<BadRelease>(
        Area::Evidence,
        "bad-release",
        "since a release, the functions of the old side return errors; its Region works",
        "asks people whether to switch over; moves nothing without approval",
    )
};

#[derive(Default)]
struct BadRelease;

impl Effect for BadRelease {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        trouble(world, Trouble::BadRelease)
    }

    fn replaces_the_disaster(&self) -> bool {
        true
    }
}

/// The old side's certificate has expired.
pub static CERTIFICATE_EXPIRED: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST],
    ..FaultKind::plain::<CertificateExpired>(
        Area::Evidence,
        "certificate-expired",
        "the certificate of the public name has expired on the old side; its Region works",
        "asks people whether to switch over; moves nothing without approval",
    )
};

#[derive(Default)]
struct CertificateExpired;

impl Effect for CertificateExpired {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        trouble(world, Trouble::CertificateExpired)
    }

    fn replaces_the_disaster(&self) -> bool {
        true
    }
}

/// A firewall keeps the probes out.
pub static PROBE_BLOCKED: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST, WHAT_PEOPLE_DO],
    ..FaultKind::plain::<ProbeBlocked>(
        Area::Evidence,
        "probe-blocked",
        "a firewall blocks Lambda's addresses; customers are served, and people decline",
        "asks people; ends as declined; everything is as before",
    )
};

#[derive(Default)]
struct ProbeBlocked;

impl Effect for ProbeBlocked {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        trouble(world, Trouble::BlocksFunctions)
    }

    fn replaces_the_disaster(&self) -> bool {
        true
    }

    fn people(&self) -> Option<People> {
        Some(THEY_DECLINE)
    }
}

/// The side that would take over loses its way out.
pub static STANDBY_ISOLATED: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST, WHAT_PEOPLE_DO],
    ..FaultKind::plain::<StandbyIsolated<false>>(
        Area::Evidence,
        "standby-isolated",
        "the new side reaches neither another Region nor the internet; customers are served, and people decline",
        "asks people, without evidence; ends as declined; everything is as before",
    )
};

/// The side that would take over reaches everything but the old side.
pub static STANDBY_ISOLATED_PARTLY: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST, WHAT_PEOPLE_DO],
    ..FaultKind::plain::<StandbyIsolated<true>>(
        Area::Evidence,
        "standby-isolated-partly",
        "the new side reaches the internet but not the old side; customers are served, and people decline",
        "asks people, because the observer finds the service healthy; ends as declined; everything is as before",
    )
};

/// The side that would take over loses its way to everything, or, `PARTLY`, to the old side alone.
#[derive(Default)]
struct StandbyIsolated<const PARTLY: bool>;

impl<const PARTLY: bool> Effect for StandbyIsolated<PARTLY> {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let here = world.here.to_owned();
        world.cloud().cut(match PARTLY {
            true => Cut::Between(here, world.other.to_owned()),
            false => Cut::Around(here),
        });
        Some(unanswered_from(world.here))
    }

    fn lift(&self, world: &World<'_>) {
        world.cloud().mend_ways();
    }

    fn replaces_the_disaster(&self) -> bool {
        true
    }

    fn people(&self) -> Option<People> {
        Some(THEY_DECLINE)
    }
}

/// How many calls from a Region to others nobody answered.
fn unanswered_from(region: &str) -> Count {
    let here = region.to_owned();
    calls(move |call| call.operation == NO_ANSWER && call.region != here)
}

/// Somebody else publishes the metric that moves the database.
pub static METRIC_FORGED: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_IS_LOST, WHAT_PEOPLE_DO],
    ..FaultKind::plain::<MetricForged>(
        Area::Evidence,
        "metric-forged",
        "somebody publishes the probes' metric as unhealthy, and the new side does not reach the old one; people decline",
        "asks people, because the probes recorded something else; ends as declined; everything is as before",
    )
};

/// How often the metric is published that no probe has published.
const FORGED_EVERY: Duration = Duration::from_secs(20);

#[derive(Default)]
struct MetricForged;

impl Effect for MetricForged {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let (here, other) = (world.here.to_owned(), world.other.to_owned());
        world.cloud().cut(Cut::Between(here.clone(), other.clone()));
        let metric = own_metric(world.plan, &world.plan.probe.metric);
        let regions: Vec<String> = [here.clone()]
            .into_iter()
            .chain(observer(world.plan).map(str::to_owned))
            .collect();
        let (simulation, published) = (world.simulation.clone(), Rc::new(Cell::new(0)));
        let count = Rc::clone(&published);
        tokio::task::spawn_local(async move {
            let cloud = simulation.cloud();
            while !cloud.passes(&here, &other) {
                for region in &regions {
                    cloud.cloudwatch.publish(region, &metric, cloud.now(), 0.0);
                    published.set(published.get() + 1);
                }
                tokio::time::sleep(FORGED_EVERY).await;
            }
        });
        Some(Box::new(move |_| count.get()))
    }

    fn lift(&self, world: &World<'_>) {
        world.cloud().mend_ways();
    }

    fn replaces_the_disaster(&self) -> bool {
        true
    }

    fn people(&self) -> Option<People> {
        Some(THEY_DECLINE)
    }
}

/// The observer's Region is lost too.
pub static OBSERVER_LOST: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHERE_EVIDENCE_COMES_FROM],
    ..FaultKind::plain::<ObserverLost>(
        Area::Evidence,
        "observer-lost",
        "the observer's Region is lost as well",
        "asks people, because only one Region observes",
    )
};

#[derive(Default)]
struct ObserverLost;

impl Effect for ObserverLost {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let region = observer(world.plan)?.to_owned();
        world.cloud().take_away(&region, Reach::Whole);
        Some(calls(move |call| call.region == region && call.operation == NO_ANSWER))
    }
}

fn observer(plan: &Plan) -> Option<&str> {
    plan.observer.as_ref().map(|observer| observer.region.as_str())
}
