//! What happens in a rehearsal, from the good times to the aftermath.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use record_approval::RecordApproval;
use serde::Serialize;
use serde_json::{Value, json};
use shared::measure::seconds_between;
use shared::plan::Plan;
use shared::record::Record;
use shared::recovery::{Intent, Mode, Outcome, Scenario};
use shared::request::{Request, Trigger, TriggerKind};
use shared::step::{Step, handler};
use simulator::simulation::{Observer, Simulation, machine_arn};
use start_recovery::StartRecovery;

use super::people::{self, People};
use super::{Moment, Played, Rehearsal, Truth, summarise};
use crate::cmd::resume::resume;
use crate::deployment::{deployments, machine_of, machines};

/// When rehearsals begin: some night at ten to three.
const BEGINS_AT: &str = "2026-01-06T02:50:00Z";
/// How long everything runs well before the disaster: long enough for alarms to have data.
const GOOD_TIMES: Duration = Duration::from_secs(600);
/// The disaster comes at any moment of this time after that.
const DISASTER_WITHIN: Duration = Duration::from_secs(60);
/// How long a recovery may take: longer than any maximum objective, with people being asked.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// How long customers are watched after the recovery has ended, to see whether it lasts.
const AFTERMATH: Duration = Duration::from_secs(120);
/// How long the lost Region stays away before a way back is looked for.
const REGION_IS_AWAY: Duration = Duration::from_secs(2 * 3600);
/// How long after a refusal a person tries again to go back.
const TRIES_AGAIN_AFTER: Duration = Duration::from_secs(600);
/// How often a person tries to go back.
const TRIES: usize = 24;
/// How long after an event of one's own the world's clock begins to run on.
const EVENT_TAKES: SignedDuration = SignedDuration::from_secs(5);
/// How long before such an event the disaster was, at least.
const DISASTER_BEFORE_EVENT: Duration = Duration::from_secs(190);

/// What is rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disaster {
    /// A Region is lost.
    RegionFailure,
    /// A Region is lost, comes back, and the workload is moved back to it.
    RegionReturn,
}

impl Disaster {
    /// Everything that can be rehearsed.
    pub const ALL: [Self; 2] = [Self::RegionFailure, Self::RegionReturn];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegionFailure => "region-failure",
            Self::RegionReturn => "region-return",
        }
    }

    /// The scenario whose policy it follows.
    pub const fn scenario(self) -> Scenario {
        match self {
            Self::RegionFailure | Self::RegionReturn => Scenario::RegionFailure,
        }
    }
}

/// What happens in a rehearsal.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The disaster.
    pub disaster: Disaster,
    /// What people do who are asked.
    pub people: People,
    /// An event that starts the recovery, in place of the alarm's own.
    pub event: Option<Value>,
    /// The step that is not allowed to do its work until the recovery is gone on with.
    pub stop_at: Option<String>,
}

impl Script {
    /// A disaster and nothing else.
    pub fn new(disaster: Disaster) -> Self {
        Self {
            disaster,
            people: People::default(),
            event: None,
            stop_at: None,
        }
    }
}

/// Plays `script` against `plan`. The same seed gives the same rehearsal. `watch` sees what happens, when it happens.
/// Errors: a text, if the plan cannot be rehearsed.
pub fn rehearse(
    plan: &Plan,
    script: &Script,
    seed: u64,
    watch: impl Fn(Moment) + Clone + 'static,
) -> Result<Rehearsal, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    tokio::task::LocalSet::new().block_on(&runtime, play(plan, script, seed, watch))
}

async fn play(
    plan: &Plan,
    script: &Script,
    seed: u64,
    watch: impl Fn(Moment) + Clone + 'static,
) -> Result<Rehearsal, String> {
    let stage = Stage::set(plan, script, seed, &watch).await?;
    let disaster_at = stage.disaster(&watch).await;
    let played = match script.disaster {
        Disaster::RegionFailure => stage.failure(disaster_at).await?,
        Disaster::RegionReturn => stage.there_and_back(&watch).await?,
    };
    summarise(plan, script, seed, &played).await
}

/// The simulated world, and what is to happen in it.
struct Stage<'a> {
    plan: &'a Plan,
    script: &'a Script,
    simulation: Simulation,
}

impl<'a> Stage<'a> {
    /// Builds the world, and lets it run well for a while.
    async fn set(
        plan: &'a Plan,
        script: &'a Script,
        seed: u64,
        watch: &(impl Fn(Moment) + Clone + 'static),
    ) -> Result<Self, String> {
        let observer: Observer = {
            let watch = watch.clone();
            Box::new(move |event| watch(Moment::Machine(Box::new(event.clone()))))
        };
        let alarm_is_heard = script.event.is_none();
        let deployments = deployments(plan, script.disaster.scenario(), alarm_is_heard)?;
        let simulation = Simulation::begin(plan, deployments, seed, begins_at(script)?, observer).await?;
        for region in [&plan.regions.recovery.region, &plan.regions.primary.region] {
            let record = Record::in_region(&simulation.aws_in("drctl", region), region);
            record.put_plan(plan).await.map_err(|error| error.to_string())?;
            people::listen(&simulation, plan, region, RecordApproval::NAME, script.people);
        }
        let stage = Self {
            plan,
            script,
            simulation,
        };
        if let Some(step) = &script.stop_at {
            stage.forbid(step)?;
        }
        tokio::time::sleep(GOOD_TIMES).await;
        Ok(stage)
    }

    /// Takes a step's permissions away, in both Regions.
    fn forbid(&self, step: &str) -> Result<(), String> {
        for region in [&self.plan.regions.recovery.region, &self.plan.regions.primary.region] {
            let text = format!("{step} may not do its work until the recovery is gone on with (--stop-at)");
            self.simulation.break_function(region, step, "Denied", &text)?;
        }
        Ok(())
    }

    /// The primary Region is lost, at some moment of a minute; says when.
    async fn disaster(&self, watch: &impl Fn(Moment)) -> Timestamp {
        let within = DISASTER_WITHIN.as_millis() as u64;
        let cloud = self.simulation.cloud();
        let after = cloud.chance("disaster", |rng| rng.u64(..within));
        tokio::time::sleep(Duration::from_millis(after)).await;
        let region = &self.plan.regions.primary.region;
        let at = cloud.now();
        // A Region that sends an event of its own is not lost.
        if self
            .script
            .event
            .as_ref()
            .and_then(|event| event.get("region")?.as_str())
            == Some(region)
        {
            return at;
        }
        cloud.take_region_away(region);
        watch(Moment::Disaster {
            at,
            region: region.clone(),
        });
        at
    }

    async fn failure(self, disaster_at: Timestamp) -> Result<Played, String> {
        match &self.script.event {
            Some(event) => self.start_by(event).await?,
            None => drop(self.simulation.wait_for_executions(LONGEST).await),
        }
        if let Some(step) = &self.script.stop_at {
            self.go_on_after(step).await?;
        }
        tokio::time::sleep(AFTERMATH).await;
        let (platform, cloud) = (self.simulation.platform(), self.simulation.cloud());
        let truth = Truth {
            rto_seconds: platform
                .served_again_at(disaster_at)
                .map(|back| seconds_between(disaster_at, back)),
            rpo_seconds: platform.lost_seconds(cloud, disaster_at),
            lost_writes: platform
                .acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, cloud.now())
                .len(),
        };
        Ok(Played {
            region: self.plan.regions.recovery.region.clone(),
            truth,
            simulation: self.simulation,
        })
    }

    /// Hands an event to the function that starts recoveries, as a rule would, at 5 s after the event's own time.
    async fn start_by(&self, event: &Value) -> Result<(), String> {
        let region = event
            .get("region")
            .and_then(Value::as_str)
            .filter(|region| self.plan.site(region).is_some())
            .unwrap_or(&self.plan.regions.recovery.region);
        if let Some(at) = time_of(event) {
            let cloud = self.simulation.cloud();
            cloud.clock.wait_until(at.checked_add(EVENT_TAKES).unwrap_or(at)).await;
        }
        let aws = self.simulation.aws_in(StartRecovery::NAME, region);
        let input = json!({ "event": event, "machines": machines(self.plan, region) });
        let answer = handler::<StartRecovery>(&aws).invoke(input).await;
        let answer = answer.map_err(|error| format!("{}: {error}", StartRecovery::NAME))?;
        // A refusal starts nothing that could be waited for.
        if answer.pointer("/decision/decision/what").and_then(Value::as_str) == Some("started") {
            self.simulation.wait_for_executions(LONGEST).await;
        }
        Ok(())
    }

    /// Gives the step its permissions back, and goes on with the recovery that failed for want of them.
    async fn go_on_after(&self, step: &str) -> Result<(), String> {
        for region in [&self.plan.regions.recovery.region, &self.plan.regions.primary.region] {
            self.simulation.mend_function(region, step)?;
        }
        let region = &self.plan.regions.recovery.region;
        let aws = self.simulation.aws_in("drctl", region);
        let record = Record::new(&aws);
        let recoveries = record.recoveries(&self.plan.workload).await;
        let recoveries = recoveries.map_err(|error| error.to_string())?;
        let Some(id) = recoveries.last() else {
            return Err(format!(
                "a recovery that stops at {step} is never opened, so that there is nothing to go on with"
            ));
        };
        let header = record.header(id).await.map_err(|error| error.to_string())?;
        let outcome = header.and_then(|header| header.closing).map(|closing| closing.outcome);
        if matches!(outcome, Some(Outcome::Recovered | Outcome::Refused | Outcome::Declined)) {
            let outcome = outcome.map_or("", Outcome::name);
            return Err(format!("a recovery does not stop at {step}: it ended as {outcome}"));
        }
        let resumed = resume(&aws, self.plan, id, &self.person()).await;
        resumed.map_err(|error| error.to_string())?;
        self.simulation.wait_for_executions(LONGEST).await;
        Ok(())
    }

    /// The recovery from the loss, the return of the Region, and the way back to it.
    async fn there_and_back(self, watch: &impl Fn(Moment)) -> Result<Played, String> {
        self.simulation.wait_for_executions(LONGEST).await;
        if let Some(step) = &self.script.stop_at {
            self.go_on_after(step).await?;
        }
        tokio::time::sleep(REGION_IS_AWAY).await;
        let (cloud, region) = (self.simulation.cloud(), &self.plan.regions.primary.region);
        cloud.give_region_back(region);
        watch(Moment::RegionIsBack {
            at: cloud.now(),
            region: region.clone(),
        });
        let mut began = cloud.now();
        for attempt in 1..=TRIES {
            began = cloud.now();
            if self.go_back(region, attempt).await? != Some(Outcome::Refused) {
                break;
            }
            tokio::time::sleep(TRIES_AGAIN_AFTER).await;
        }
        tokio::time::sleep(AFTERMATH).await;
        let platform = self.simulation.platform();
        let truth = Truth {
            rto_seconds: platform.served_again_at(began).map(|back| seconds_between(began, back)),
            rpo_seconds: None,
            lost_writes: platform.acknowledged_and_lost(cloud, began, cloud.now()).len(),
        };
        Ok(Played {
            region: region.clone(),
            truth,
            simulation: self.simulation.clone(),
        })
    }

    /// A person starts the way back in the Region that was lost; says how that ended.
    async fn go_back(&self, region: &str, attempt: usize) -> Result<Option<Outcome>, String> {
        let scenario = self.script.disaster.scenario();
        let trigger = Trigger {
            kind: TriggerKind::Person,
            by: self.person(),
            at: self.simulation.cloud().now(),
        };
        let request = Request::new(scenario, Mode::Rehearsal, Intent::Switchover, trigger);
        let machine = machine_of(scenario).ok_or_else(|| format!("no machine recovers from {scenario}"))?;
        let aws = self.simulation.aws_in("drctl", region);
        let started = aws_sdk_sfn::Client::new(aws.config())
            .start_execution()
            .state_machine_arn(machine_arn(&self.plan.account, region, machine))
            .name(format!("back-{attempt}"))
            .input(serde_json::to_string(&request).map_err(|error| error.to_string())?)
            .send()
            .await;
        started.map_err(|error| format!("the way back could not be started: {error:?}"))?;
        self.simulation.wait_for_executions(LONGEST).await;
        let record = Record::new(&aws);
        let recoveries = record.recoveries(&self.plan.workload).await;
        let Some(id) = recoveries.map_err(|error| error.to_string())?.pop() else {
            return Ok(None);
        };
        let header = record.header(&id).await.map_err(|error| error.to_string())?;
        Ok(header.and_then(|header| header.closing).map(|closing| closing.outcome))
    }

    fn person(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/on-call/drctl", self.plan.account)
    }
}

/// When the world begins: so that an event of one's own comes 5 s after its own time, minutes after the disaster.
fn begins_at(script: &Script) -> Result<Timestamp, String> {
    let usual = || BEGINS_AT.parse().map_err(|error| format!("{BEGINS_AT}: {error}"));
    let Some(at) = script.event.as_ref().and_then(time_of) else {
        return usual();
    };
    let before = GOOD_TIMES + DISASTER_WITHIN + DISASTER_BEFORE_EVENT;
    at.checked_sub(before)
        .map_err(|error| format!("the event's time {at}: {error}"))
}

fn time_of(event: &Value) -> Option<Timestamp> {
    event.get("time")?.as_str()?.parse().ok()
}
