//! What a scenario is to a rehearsal: its world, its disaster, how its recovery starts, and what must hold at its end.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use shared::plan::Plan;
use shared::recovery::{Outcome, RECOVERY_MACHINE};
use shared::scenario::{Fields, Scenario};
use simulator::aws::service::Service;
use simulator::cloud::endpoints;
use simulator::simulation::{Deployment, Simulation};

use crate::deployment::{DeployedStep, MACHINES, STEPS, Watching, in_each_region, recovery_that_runs};
use crate::fault::{FaultKind, Vocabulary};
use crate::happened::Invariant;
use crate::people::Heard;
use crate::truth::Truth;
use crate::world::World;

/// Something that happens in a world. Errors: a text, if the rehearsal cannot go on.
pub type Scene<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

/// How a recovery starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// By the plan's alarm, or an event in its place; by a person where a fault keeps it from being noticed.
    Alarm,
    /// By a person, who tries again where it is refused.
    Person {
        /// What executions are named by, with the number of the attempt.
        name: &'static str,
        /// How often the person tries.
        attempts: usize,
        /// How often, where something goes wrong that does not pass.
        attempts_with_faults: usize,
        /// How long after a refusal.
        again_after: Duration,
    },
}

/// A scenario that can be rehearsed. A method that is left out is of a disaster that comes at any moment of a minute after ten
/// good ones, that customers suffer from, and that the standby Region recovers from by itself.
pub trait Disaster: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What happens, in one sentence.
    fn description(&self) -> &'static str;

    /// The scenario whose machine recovers, and whose policy it follows.
    fn scenario(&self) -> Scenario;

    /// The Region that runs the recovery.
    fn here<'a>(&self, plan: &'a Plan) -> &'a str {
        &plan.regions.standby.region
    }

    /// Steps beside the built-in ones.
    fn steps(&self) -> &'static [DeployedStep] {
        &[]
    }

    /// Machines beside the built-in ones: name and text. The recovery machine runs that one of them that is the scenario's.
    fn machines(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Simulated services beside those of the simulator, made anew for each rehearsal.
    fn services(&self) -> Vec<Arc<dyn Service>> {
        Vec::new()
    }

    /// What watches the platform, first what starts the recovery that is rehearsed. Errors: a text, if nothing in the plan does.
    fn watching(&self, _plan: &Plan) -> Result<Vec<Watching>, String> {
        Ok(Vec::new())
    }

    /// Puts into the world what the plan does not say.
    fn set_up<'a>(&'a self, _world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async { Ok(()) })
    }

    /// How long everything runs well: long enough for alarms to have data.
    fn good_times(&self) -> Duration {
        Duration::from_secs(600)
    }

    /// What happens after that and before the disaster.
    fn before<'a>(&'a self, _world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async { Ok(()) })
    }

    /// Within which time after that the disaster comes; the seed draws the moment.
    fn comes_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// The disaster.
    fn strike<'a>(&'a self, world: &'a World<'a>) -> Scene<'a>;

    /// How the recovery starts.
    fn start(&self) -> Start {
        Start::Alarm
    }

    /// What a person who starts the recovery asks for.
    fn wants(&self) -> Fields {
        Fields::new()
    }

    /// What the customers saw, from the disaster on.
    fn truth(&self, world: &World<'_>, since: Timestamp) -> Truth;

    /// How the recovery ends without injected faults.
    fn expected(&self) -> Outcome {
        Outcome::Recovered
    }

    /// Whether customers suffer from the disaster from its beginning on, so that what a recovery measures is what they had.
    fn interrupts(&self) -> bool {
        true
    }

    /// Whether writes may be lost.
    fn loses_writes(&self) -> bool {
        true
    }

    /// How many recoveries may change something by its end.
    fn changing_recoveries(&self) -> usize {
        1
    }

    /// What must hold beside what always must.
    fn invariants(&self) -> &'static [Invariant] {
        &[]
    }

    /// Kinds of faults that it can be together with, beside those that fit by themselves.
    fn faults(&self) -> &'static [&'static FaultKind] {
        &[]
    }

    /// How often a campaign draws a kind of fault, beside the others that fit.
    fn lots(&self, kind: &FaultKind) -> u32 {
        kind.lots
    }

    /// Operations of its steps whose answers are worth losing: those that change something, and the looks that most depends on.
    fn operations(&self) -> &'static [&'static str] {
        &[]
    }

    /// Faults under which people are asked; none where they always are, or never. What people do is seen only there.
    fn asking(&self) -> &'static [&'static str] {
        &[]
    }
}

impl fmt::Debug for dyn Disaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for dyn Disaster {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Disaster {}

impl Serialize for dyn Disaster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Operations of the steps that every recovery calls.
const COMMON_OPERATIONS: [&str; 7] = [
    "GetItem",
    "Publish",
    "PutItem",
    "PutObject",
    "SendTaskSuccess",
    "TransactWriteItems",
    "UpdateItem",
];

/// The steps that are deployed for a rehearsal: the built-in ones and the scenario's.
pub(crate) fn steps(disaster: &dyn Disaster) -> Vec<DeployedStep> {
    STEPS.iter().chain(disaster.steps()).copied().collect()
}

/// The machines that are deployed for a rehearsal, likewise.
fn machines(disaster: &dyn Disaster) -> Vec<(&'static str, &'static str)> {
    let own = disaster.machines();
    let scenario = disaster.scenario();
    let runs = own.iter().find(|(name, _)| scenario.machine() == Some(name));
    let built_in = MACHINES.iter().map(|(name, text)| match runs {
        Some((machine, _)) if *name == RECOVERY_MACHINE => (*name, recovery_that_runs(scenario.name(), machine)),
        _ => (*name, *text),
    });
    built_in.chain(own.iter().copied()).collect()
}

/// The world of a scenario, with nothing deployed and nothing wrong. What the scenario puts into it is not there yet. Errors: a text, if
/// nothing in the plan watches for the disaster.
pub fn world_of<'a>(
    disaster: &'static dyn Disaster,
    plan: &'a Plan,
    simulation: Simulation,
) -> Result<World<'a>, String> {
    let here = disaster.here(plan);
    let regions = [&*plan.regions.standby.region, &*plan.regions.primary.region];
    let other = regions.into_iter().find(|region| *region != here).unwrap_or(here);
    let watching = disaster.watching(plan)?.into_iter().next();
    Ok(World {
        plan,
        simulation,
        scenario: disaster.scenario(),
        here,
        other,
        event: None,
        with_faults: false,
        steps: Vec::new(),
        machines: BTreeSet::new(),
        flapping: watching.map(|watching| (watching.region, watching.flapping)),
        heard: Rc::new(Heard::default()),
        stop_at: RefCell::new(None),
        watch: Rc::new(|_| {}),
    })
}

/// What is deployed for a rehearsal, in the plan's Regions, the standby Region's first. What watches the platform starts a recovery
/// if `alarm_is_heard`. Errors: a text, if nothing recovers from the disaster, or nothing in the plan watches for it.
pub fn deployments(plan: &Plan, disaster: &dyn Disaster, alarm_is_heard: bool) -> Result<Vec<Deployment>, String> {
    let scenario = disaster.scenario();
    if scenario.machine().is_none() {
        return Err(format!("{scenario} cannot be rehearsed yet"));
    }
    let watching = disaster.watching(plan)?;
    let (steps, machines) = (steps(disaster), machines(disaster));
    Ok(in_each_region(plan, &steps, &machines, watching, alarm_is_heard))
}

/// What faults can name where one of these is rehearsed.
pub fn vocabulary<'a>(disasters: impl IntoIterator<Item = &'a dyn Disaster>) -> Vocabulary {
    let machines = MACHINES.iter().filter(|(name, _)| *name != RECOVERY_MACHINE);
    let mut vocabulary = Vocabulary {
        steps: STEPS.to_vec(),
        machines: machines.copied().collect(),
        services: endpoints().to_vec(),
        operations: COMMON_OPERATIONS.to_vec(),
    };
    for disaster in disasters {
        vocabulary.steps.extend(disaster.steps());
        vocabulary.machines.extend(disaster.machines());
        vocabulary.operations.extend(disaster.operations());
        let services = disaster.services();
        let endpoints = services.iter().filter_map(|service| service.endpoint());
        vocabulary.services.extend(endpoints);
    }
    vocabulary.operations.sort_unstable();
    vocabulary.operations.dedup();
    vocabulary
}
