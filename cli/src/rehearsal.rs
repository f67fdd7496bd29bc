//! One rehearsal: a disaster, the recovery that it starts, and what both the recovery and the customers saw.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use shared::measure::{Achieved, Met, MetObjectives, RpoStatus, seconds_between};
use shared::plan::{Objective, Objectives, Plan};
use shared::record::{Closing, Record, TimelineStep};
use shared::recovery::{Mode, Outcome, Scenario};
use simulator::cost::dollars;
use simulator::simulation::{Observer, Simulation};
use states_language::HistoryEvent;

use crate::deployment::deployment;

/// When rehearsals begin: some night at ten to three.
const BEGINS_AT: &str = "2026-01-06T02:50:00Z";
/// How long everything runs well before the disaster: long enough for alarms to have data.
const GOOD_TIMES: Duration = Duration::from_secs(600);
/// The disaster comes at any moment of this time after that.
const DISASTER_WITHIN: Duration = Duration::from_secs(60);
/// How long a recovery may take: longer than any maximum objective.
const LONGEST: Duration = Duration::from_secs(8 * 3600);
/// How long customers are watched after the recovery has ended, to see whether it lasts.
const AFTERMATH: Duration = Duration::from_secs(120);

/// What a rehearsal found; the object that `--json` prints. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rehearsal {
    /// The scenario.
    pub scenario: Scenario,
    /// Always `rehearsal`.
    pub mode: Mode,
    /// The seed.
    pub seed: u64,
    /// The recovery's outcome; `not-started` if nothing started one.
    pub outcome: &'static str,
    /// Why, where it is not plainly recovered.
    pub reason: Option<String>,
    /// When customers first suffered, as the recovery saw it.
    pub impact_at: Option<Timestamp>,
    /// When the recovery decided what to do.
    pub decided_at: Option<Timestamp>,
    /// What the recovery measured.
    pub achieved: Achieved,
    /// What the customers saw.
    pub truth: Truth,
    /// What was aimed at.
    pub objectives: ObjectiveSeconds,
    /// How the measured times stand against that.
    pub met: MetObjectives,
    /// Whether it recovered, no worse than the maximum objectives.
    pub within_objectives: bool,
    /// The recovery's timeline, from its record.
    pub steps: Vec<TimelineStep>,
    /// State transitions, as Step Functions bills them.
    pub transitions: u64,
    /// AWS calls.
    pub aws_calls: Vec<CallCount>,
    /// What the recovery cost, at list prices.
    pub cost_usd: f64,
}

/// What the customers saw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// From the disaster until they were served for good; nothing if they never were.
    pub rto_seconds: Option<f64>,
    /// The age, at the disaster, of their last write that survived.
    pub rpo_seconds: Option<f64>,
}

/// Objectives, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ObjectiveSeconds {
    /// Recovery time.
    pub rto: TargetAndMaximum,
    /// Recovery point, where writes can be lost.
    pub rpo: Option<TargetAndMaximum>,
}

/// A target and a maximum, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TargetAndMaximum {
    /// What is aimed at.
    pub target: u64,
    /// What must not be exceeded.
    pub maximum: u64,
}

/// How often a function made a kind of AWS call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallCount {
    /// The function.
    pub function: String,
    /// The Region that was called.
    pub region: String,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// How often.
    pub count: u64,
}

impl Rehearsal {
    /// Whether the recovery did what it is for.
    pub fn succeeded(&self) -> bool {
        self.within_objectives
    }
}

/// Something that happens while a rehearsal goes on.
#[derive(Clone, Debug)]
pub enum Moment {
    /// An event of an execution.
    Machine(Box<HistoryEvent>),
    /// The disaster.
    Disaster {
        /// When.
        at: Timestamp,
        /// The Region that is lost.
        region: String,
    },
}

/// Plays `scenario` against `plan`. The same seed gives the same rehearsal. `watch` sees what happens, when it happens.
/// Errors: a text, if the plan cannot be rehearsed.
pub fn rehearse(
    plan: &Plan,
    scenario: Scenario,
    seed: u64,
    watch: impl Fn(Moment) + Clone + 'static,
) -> Result<Rehearsal, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    tokio::task::LocalSet::new().block_on(&runtime, play(plan, scenario, seed, watch))
}

async fn play(
    plan: &Plan,
    scenario: Scenario,
    seed: u64,
    watch: impl Fn(Moment) + Clone + 'static,
) -> Result<Rehearsal, String> {
    let begins_at: Timestamp = BEGINS_AT.parse().map_err(|error| format!("{BEGINS_AT}: {error}"))?;
    let observer: Observer = {
        let watch = watch.clone();
        Box::new(move |event| watch(Moment::Machine(Box::new(event.clone()))))
    };
    let simulation = Simulation::begin(plan, deployment(plan, scenario)?, seed, begins_at, observer).await?;
    let record = Record::new(&simulation.aws("drctl"));
    record.put_plan(plan).await.map_err(|error| error.to_string())?;
    tokio::time::sleep(GOOD_TIMES).await;
    let within = DISASTER_WITHIN.as_millis() as u64;
    let after = simulation.cloud().chance("disaster", |rng| rng.u64(..within));
    tokio::time::sleep(Duration::from_millis(after)).await;
    let region = &plan.regions.primary.region;
    simulation.cloud().take_region_away(region);
    let disaster_at = simulation.cloud().now();
    watch(Moment::Disaster {
        at: disaster_at,
        region: region.clone(),
    });
    simulation.wait_for_executions(LONGEST).await;
    tokio::time::sleep(AFTERMATH).await;
    let truth = Truth {
        rto_seconds: simulation
            .platform()
            .served_again_at(disaster_at)
            .map(|back| seconds_between(disaster_at, back)),
        rpo_seconds: simulation.platform().lost_seconds(simulation.cloud(), disaster_at),
    };
    summarise(plan, scenario, seed, &simulation, &record, truth).await
}

async fn summarise(
    plan: &Plan,
    scenario: Scenario,
    seed: u64,
    simulation: &Simulation,
    record: &Record,
    truth: Truth,
) -> Result<Rehearsal, String> {
    let recoveries = record
        .recoveries(&plan.workload)
        .await
        .map_err(|error| error.to_string())?;
    let (mut closing, mut steps) = (None, Vec::new());
    if let Some(id) = recoveries.last() {
        closing = record
            .header(id)
            .await
            .map_err(|error| error.to_string())?
            .and_then(|header| header.closing);
        steps = record.timeline(id).await.map_err(|error| error.to_string())?;
    }
    let objectives = plan.scenarios.get(&scenario).map(|policy| policy.objectives);
    let objectives = objectives.ok_or_else(|| format!("the plan has no policy for {scenario}"))?;
    let calls = simulation.calls();
    let (usage, invoked) = simulation.usage();
    let of_the_recovery = calls.iter().filter(|(call, _)| invoked.contains(&call.function));
    let cost_usd = dollars(
        &usage,
        of_the_recovery.map(|(call, count)| (call.service.as_str(), *count)),
    );
    let undelivered = simulation.cloud().events.failures();
    let (outcome, mut reason) = match (&closing, simulation.ended().last()) {
        (Some(closing), _) => (closing.outcome.name(), closing.reason.clone()),
        (None, Some(ended)) => (
            Outcome::Failed.name(),
            Some(format!("it was not closed: {:?}", ended.result.status)),
        ),
        (None, None) => ("not-started", Some("no recovery was started".to_owned())),
    };
    if !undelivered.is_empty() {
        reason = Some(format!("events were not delivered: {}", undelivered.join("; ")));
    }
    let Closing {
        observed,
        achieved,
        met,
        ..
    } = closing.unwrap_or_else(|| never_closed(&objectives));
    Ok(Rehearsal {
        scenario,
        mode: Mode::Rehearsal,
        seed,
        outcome,
        reason,
        impact_at: observed.impact_at,
        decided_at: observed.decided_at,
        achieved,
        truth,
        objectives: ObjectiveSeconds {
            rto: seconds(objectives.rto),
            rpo: objectives.rpo.map(seconds),
        },
        met,
        within_objectives: outcome == Outcome::Recovered.name() && met.within() && undelivered.is_empty(),
        steps,
        transitions: usage.transitions,
        aws_calls: calls
            .into_iter()
            .map(|(call, count)| CallCount {
                function: call.function,
                region: call.region,
                service: call.service,
                operation: call.operation,
                count,
            })
            .collect(),
        cost_usd: (cost_usd * 1e6).round() / 1e6,
    })
}

/// What stands in for the closing of a recovery that was never closed: nothing was measured.
fn never_closed(objectives: &Objectives) -> Closing {
    let achieved = Achieved {
        rto_seconds: None,
        rto_from_decision_seconds: None,
        rpo_seconds: None,
        rpo_status: RpoStatus::Unmeasured,
    };
    let rpo = if objectives.rpo.is_some() {
        Met::Missed
    } else {
        Met::NotApplicable
    };
    Closing {
        execution: String::new(),
        outcome: Outcome::Failed,
        reason: None,
        closed_at: Timestamp::UNIX_EPOCH,
        evidence: serde_json::Value::Null,
        observed: shared::measure::Observed::default(),
        achieved,
        met: MetObjectives { rto: Met::Missed, rpo },
    }
}

fn seconds(objective: Objective) -> TargetAndMaximum {
    TargetAndMaximum {
        target: objective.target.as_secs(),
        maximum: objective.maximum.as_secs(),
    }
}
