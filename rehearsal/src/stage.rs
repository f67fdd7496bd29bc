//! What happens in a rehearsal, from the good times to the aftermath.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::measure::seconds_between;
use shared::plan::Plan;
use shared::record::Record;
use shared::recovery::{Mode, Outcome};
use shared::request::{Request, Trigger, TriggerKind};
use shared::resume::resume;
use shared::scenario::region_failure::Intent;
use shared::step::{Step, handler};
use simulator::simulation::{Observer, Simulation};
use start_recovery::StartRecovery;

use crate::deployment::{deployments, recovery_machine};
use crate::faults::Fault;
use crate::found::{Moment, Rehearsal, Truth};
use crate::inject::{Injected, Place, begins_after, is_stopped, lift, lock_is_freed_within};
use crate::script::{Disaster, Script};
use crate::summary::{Played, summarise};

/// When rehearsals begin: some night at ten to three.
const BEGINS_AT: &str = "2026-01-06T02:50:00Z";
/// How long everything runs well before the disaster: long enough for alarms to have data.
const GOOD_TIMES: Duration = Duration::from_secs(600);
/// The disaster comes at any moment of this time after that.
const DISASTER_WITHIN: Duration = Duration::from_secs(60);
/// How long after the disaster a recovery must have been started by then, if one is: the alarm needs minutes.
const STARTS_WITHIN: Duration = Duration::from_secs(1800);
/// How long after the disaster a person starts what no alarm starts.
const NOTICED_AFTER: Duration = Duration::from_secs(300);
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
/// How often, where something goes wrong that does not pass.
const TRIES_WITH_FAULTS: usize = 3;
/// How long it is looked whether the Regions are in sync again, and how often.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(3 * 3600);
const LOOKS_EVERY: Duration = Duration::from_secs(60);
/// How long after an event of one's own the world's clock begins to run on.
const EVENT_TAKES: SignedDuration = SignedDuration::from_secs(5);
/// How long before such an event the disaster was, at least.
const DISASTER_BEFORE_EVENT: Duration = Duration::from_secs(190);

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
    let mut stage = Stage::set(plan, script, seed, &watch).await?;
    stage.disaster(&watch).await?;
    let played = match script.disaster {
        Disaster::RegionFailure => stage.failure().await?,
        Disaster::RegionReturn => stage.there_and_back(&watch).await?,
    };
    summarise(plan, script, seed, &played).await
}

/// The simulated world, and what is to happen in it.
struct Stage<'a> {
    plan: &'a Plan,
    script: &'a Script,
    simulation: Simulation,
    injected: Injected,
    disaster_at: Timestamp,
    /// What everything was like before the recovery that is rehearsed was begun, or tried again.
    before: Value,
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
        let alarm_is_heard = script.event.is_none() && noticed_after(script).is_none();
        let mut deployments = deployments(plan, script.disaster.scenario(), alarm_is_heard)?;
        for deployment in &mut deployments {
            for (name, make) in &mut deployment.functions {
                if let Some(replaced) = script.replaced.iter().find(|replaced| replaced.step == *name) {
                    *make = replaced.make;
                }
            }
        }
        let simulation = Simulation::begin(plan, deployments, seed, begins_at(script)?, observer).await?;
        for region in [&plan.regions.standby.region, &plan.regions.primary.region] {
            let record = Record::in_region(&simulation.aws_in("drctl", region), region);
            record.put_plan(plan).await.map_err(|error| error.to_string())?;
        }
        let mut stage = Self {
            plan,
            script,
            injected: Injected::default(),
            disaster_at: simulation.cloud().now(),
            before: Value::Null,
            simulation,
        };
        stage.injected = Injected::at_the_beginning(&script.faults, stage.place());
        if let Some(step) = &script.stop_at {
            stage.forbid(step)?;
        }
        tokio::time::sleep(good_times(script)).await;
        Ok(stage)
    }

    /// Where the recovery that is rehearsed runs, and which Region it leaves.
    fn place(&self) -> Place<'_> {
        let (primary, recovery) = (&self.plan.regions.primary.region, &self.plan.regions.standby.region);
        let (here, other) = match self.script.disaster {
            Disaster::RegionFailure => (recovery, primary),
            Disaster::RegionReturn => (primary, recovery),
        };
        Place {
            plan: self.plan,
            simulation: &self.simulation,
            here,
            other,
        }
    }

    /// Takes a step's permissions away, in both Regions.
    fn forbid(&self, step: &str) -> Result<(), String> {
        for region in [&self.plan.regions.standby.region, &self.plan.regions.primary.region] {
            let text = format!("{step} may not do its work until the recovery is gone on with (--stop-at)");
            self.simulation.break_function(region, step, "Denied", &text)?;
        }
        Ok(())
    }

    /// The primary Region is lost, or a part of it, at some moment of a minute.
    async fn disaster(&mut self, watch: &impl Fn(Moment)) -> Result<(), String> {
        let within = DISASTER_WITHIN.as_millis() as u64;
        let after = self.simulation.cloud().chance("disaster", |rng| rng.u64(..within));
        tokio::time::sleep(Duration::from_millis(after)).await;
        let region = &self.plan.regions.primary.region;
        let cloud = self.simulation.cloud();
        (self.disaster_at, self.before) = (cloud.now(), cloud.snapshot());
        let is_grey = self.script.disaster == Disaster::RegionFailure
            && self
                .script
                .faults
                .iter()
                .any(|fault| matches!(fault, Fault::GreyRegion | Fault::GreyControl));
        let event = self.script.event.as_ref();
        // A Region that sends an event of its own is not lost.
        if !is_grey && event.and_then(|event| event.get("region")?.as_str()) != Some(region) {
            cloud.take_region_away(region);
            watch(Moment::Disaster {
                at: self.disaster_at,
                region: region.clone(),
            });
        }
        if self.script.disaster == Disaster::RegionFailure {
            self.faults_begin(watch).await?;
        }
        Ok(())
    }

    /// Brings in the faults that hold from now on.
    async fn faults_begin(&mut self, watch: &impl Fn(Moment)) -> Result<(), String> {
        let faults = &self.script.faults;
        let mut injected = std::mem::take(&mut self.injected);
        injected.at_the_disaster(faults, self.place()).await?;
        self.injected = injected;
        if !faults.is_empty() {
            watch(Moment::Faults {
                at: self.simulation.cloud().now(),
                faults: faults.iter().map(ToString::to_string).collect(),
            });
        }
        Ok(())
    }

    async fn failure(self) -> Result<Played, String> {
        let here = self.plan.regions.standby.region.clone();
        match (&self.script.event, noticed_after(self.script)) {
            (Some(event), _) => self.start_by(event).await?,
            (None, Some(after)) => {
                tokio::time::sleep(after).await;
                self.start_by_hand(&here, "by-hand", Intent::Decide).await?;
            }
            (None, None) => {
                let within = STARTS_WITHIN + begins_after(&self.script.faults);
                if self.simulation.wait_for_a_start(within).await {
                    self.wait().await;
                }
            }
        }
        if let Some(step) = &self.script.stop_at {
            self.go_on_after(step).await?;
        }
        self.go_on_after_faults(&here).await?;
        self.aftermath().await;
        let (platform, cloud) = (self.simulation.platform(), self.simulation.cloud());
        let truth = Truth {
            rto_seconds: platform
                .served_again_at(self.disaster_at)
                .map(|back| seconds_between(self.disaster_at, back)),
            rpo_seconds: platform.lost_seconds(cloud, self.disaster_at),
            lost_writes: platform
                .acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, cloud.now())
                .len(),
        };
        Ok(self.played(here, truth))
    }

    fn played(self, region: String, truth: Truth) -> Played {
        self.simulation.cloud().faults.lift_all();
        Played {
            region,
            truth,
            faults: self.injected.applied(&self.script.faults, &self.simulation),
            foreign: self.injected.foreign().to_vec(),
            disaster_at: self.disaster_at,
            before: self.before,
            simulation: self.simulation,
        }
    }

    /// Hands an event to the function that starts recoveries, as a rule would, at 5 s after the event's own time.
    async fn start_by(&self, event: &Value) -> Result<(), String> {
        let region = event
            .get("region")
            .and_then(Value::as_str)
            .filter(|region| self.plan.site(region).is_some())
            .unwrap_or(&self.plan.regions.standby.region);
        if let Some(at) = time_of(event) {
            let cloud = self.simulation.cloud();
            cloud.clock.wait_until(at.checked_add(EVENT_TAKES).unwrap_or(at)).await;
        }
        let aws = self.simulation.aws_in(StartRecovery::NAME, region);
        let input = json!({ "event": event, "machine": recovery_machine(self.plan, region) });
        let answer = handler::<StartRecovery>(&aws).invoke(input).await;
        let answer = answer.map_err(|error| format!("{}: {error}", StartRecovery::NAME))?;
        // A refusal starts nothing that could be waited for.
        if answer.pointer("/decision/decision/what").and_then(Value::as_str) == Some("started") {
            self.wait().await;
        }
        Ok(())
    }

    /// Waits until what was started has ended.
    async fn wait(&self) {
        self.simulation.wait_for_executions(LONGEST).await;
    }

    /// Watches the customers for a while after everything has ended; an event that comes late may start something more.
    async fn aftermath(&self) {
        let faults = &self.script.faults;
        tokio::time::sleep(AFTERMATH + begins_after(faults) + lock_is_freed_within(faults)).await;
        if self.simulation.wait_for_a_start(Duration::ZERO).await {
            self.wait().await;
        }
    }

    /// Gives the step its permissions back, and goes on with the recovery that failed for want of them.
    async fn go_on_after(&self, step: &str) -> Result<(), String> {
        for region in [&self.plan.regions.standby.region, &self.plan.regions.primary.region] {
            self.simulation.mend_function(region, step)?;
        }
        let region = &self.plan.regions.standby.region;
        let Some((id, outcome)) = self.last_recovery(region).await? else {
            return Err(format!(
                "a recovery that stops at {step} is never opened, so that there is nothing to go on with"
            ));
        };
        if let Some(outcome @ (Outcome::Recovered | Outcome::Refused | Outcome::Declined)) = outcome {
            return Err(format!("a recovery does not stop at {step}: it ended as {outcome}"));
        }
        self.go_on_with(region, &id).await
    }

    /// Lifts the faults of a recovery that fell short, and goes on with it, if that is rehearsed.
    async fn go_on_after_faults(&self, region: &str) -> Result<(), String> {
        if !self.script.resume {
            return Ok(());
        }
        lift(&self.script.faults, self.place());
        match self.last_recovery(region).await? {
            Some((id, Some(Outcome::Failed | Outcome::RolledBack | Outcome::Partial))) => {
                self.go_on_with(region, &id).await
            }
            // It was stopped, and never closed.
            Some((id, None)) if is_stopped(&self.script.faults) => self.go_on_with(region, &id).await,
            _ => Ok(()),
        }
    }

    async fn go_on_with(&self, region: &str, id: &str) -> Result<(), String> {
        let aws = self.simulation.aws_in("drctl", region);
        let resumed = resume(&aws, self.plan, id, &self.person()).await;
        resumed.map_err(|error| error.to_string())?;
        self.wait().await;
        Ok(())
    }

    /// The last recovery that a Region's record has, and its outcome.
    async fn last_recovery(&self, region: &str) -> Result<Option<(String, Option<Outcome>)>, String> {
        let record = Record::new(&self.simulation.aws_in("drctl", region));
        let recoveries = record.recoveries(&self.plan.workload).await;
        let Some(id) = recoveries.map_err(|error| error.to_string())?.pop() else {
            return Ok(None);
        };
        let header = record.header(&id).await.map_err(|error| error.to_string())?;
        let outcome = header.and_then(|header| header.closing).map(|closing| closing.outcome);
        Ok(Some((id, outcome)))
    }

    /// The recovery from the loss, the return of the Region, and the way back to it.
    async fn there_and_back(mut self, watch: &impl Fn(Moment)) -> Result<Played, String> {
        if self.simulation.wait_for_a_start(STARTS_WITHIN).await {
            self.wait().await;
        }
        if let Some(step) = &self.script.stop_at {
            self.go_on_after(step).await?;
        }
        tokio::time::sleep(REGION_IS_AWAY).await;
        let region = self.plan.regions.primary.region.clone();
        self.simulation.cloud().give_region_back(&region);
        let mut began = self.simulation.cloud().now();
        watch(Moment::RegionIsBack {
            at: began,
            region: region.clone(),
        });
        let with_faults = !self.script.faults.is_empty();
        if with_faults {
            // What goes wrong does so on the way back, and not while there is none yet.
            self.wait_until_in_sync().await;
            self.faults_begin(watch).await?;
        }
        for attempt in 1..=(if with_faults { TRIES_WITH_FAULTS } else { TRIES }) {
            let cloud = self.simulation.cloud();
            (began, self.before) = (cloud.now(), cloud.snapshot());
            self.start_by_hand(&region, &format!("back-{attempt}"), Intent::Switchover)
                .await?;
            let outcome = self.last_recovery(&region).await?.and_then(|(_, outcome)| outcome);
            if outcome != Some(Outcome::Refused) {
                break;
            }
            tokio::time::sleep(TRIES_AGAIN_AFTER).await;
        }
        self.go_on_after_faults(&region).await?;
        self.aftermath().await;
        let (platform, cloud) = (self.simulation.platform(), self.simulation.cloud());
        let truth = Truth {
            rto_seconds: platform.served_again_at(began).map(|back| seconds_between(began, back)),
            rpo_seconds: None,
            lost_writes: platform.acknowledged_and_lost(cloud, began, cloud.now()).len(),
        };
        Ok(self.played(region, truth))
    }

    /// Waits until each cluster of the global database is connected to it.
    async fn wait_until_in_sync(&self) {
        let in_sync = async {
            let members = format!("/global_databases/{}/members", self.plan.database.global_cluster);
            loop {
                let snapshot = self.simulation.cloud().snapshot();
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

    /// A person starts a recovery in `region`, and waits until it has ended.
    async fn start_by_hand(&self, region: &str, name: &str, intent: Intent) -> Result<(), String> {
        let scenario = self.script.disaster.scenario();
        let trigger = Trigger {
            kind: TriggerKind::Person,
            by: self.person(),
            at: self.simulation.cloud().now(),
        };
        let request = Request::new(scenario, Mode::Rehearsal, intent, trigger);
        let aws = self.simulation.aws_in("drctl", region);
        let started = aws_sdk_sfn::Client::new(aws.config())
            .start_execution()
            .state_machine_arn(recovery_machine(self.plan, region))
            .name(name)
            .input(serde_json::to_string(&request).map_err(|error| error.to_string())?)
            .send()
            .await;
        started.map_err(|error| format!("{name} could not be started: {error:?}"))?;
        self.wait().await;
        Ok(())
    }

    fn person(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/on-call/drctl", self.plan.account)
    }
}

/// How long everything runs well before the disaster: what was written longer ago than replication is behind survives.
fn good_times(script: &Script) -> Duration {
    let each = script.faults.iter().map(|fault| match fault {
        Fault::Lag(behind) => behind.as_std(),
        _ => Duration::ZERO,
    });
    GOOD_TIMES + each.max().unwrap_or_default()
}

/// After how long a person starts the recovery; nothing, where an alarm or an event does.
fn noticed_after(script: &Script) -> Option<Duration> {
    if script.disaster != Disaster::RegionFailure || script.event.is_some() {
        return None;
    }
    script.faults.iter().find_map(|fault| match fault {
        Fault::GreyRegion => Some(NOTICED_AFTER),
        Fault::OldOutage(time) => Some(time.as_std()),
        _ => None,
    })
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
