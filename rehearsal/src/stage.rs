//! Plays a rehearsal, from the good times to the aftermath.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use record_approval::RecordApproval;
use serde_json::Value;
use shared::plan::Plan;
use shared::record::Record;
use shared::recovery::{Outcome, RECOVERY_MACHINE};
use shared::step::Step;
use simulator::simulation::{Conditions, Deployment, Observer, Simulation};

use crate::deployment::ASKED_AGAIN_WITHIN;
use crate::disaster::{Start, deployments, steps, world_of};
use crate::fault::Effect;
use crate::found::Rehearsal;
use crate::inject::{Injected, lift};
use crate::moment::Moment;
use crate::people;
use crate::script::Script;
use crate::summary::{Played, summarise};
use crate::waits::Waits;
use crate::world::{World, time_of};

/// When rehearsals begin: some night at ten to three.
const BEGINS_AT: &str = "2026-01-06T02:50:00Z";
/// How long customers are watched after the recovery has ended, to see whether it lasts.
const AFTERMATH: Duration = Duration::from_secs(120);
/// How long before an event of one's own the disaster was, at least.
const DISASTER_BEFORE_EVENT: Duration = Duration::from_secs(190);
/// How much longer to watch a recovery that is stopped, or could not be closed: the schedule that frees locks runs every five
/// minutes.
const LOCK_IS_FREED_WITHIN: Duration = Duration::from_secs(11 * 60);

/// A schedule's call has started a recovery by so much later.
const STARTS_IN: Duration = Duration::from_secs(60);

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
    tokio::task::LocalSet::new().block_on(&runtime, play(plan, script, seed, Rc::new(watch)))
}

async fn play(plan: &Plan, script: &Script, seed: u64, watch: Rc<dyn Fn(Moment)>) -> Result<Rehearsal, String> {
    let mut stage = Stage::set(plan, script, seed, watch).await?;
    stage.disaster().await?;
    stage.recover().await?;
    stage.resume().await?;
    stage.aftermath().await;
    summarise(plan, script, seed, &stage.played()).await
}

/// The simulated world, and what is to happen in it.
struct Stage<'a> {
    world: World<'a>,
    script: &'a Script,
    injected: Injected,
    waits: Rc<Waits>,
    disaster_at: Timestamp,
    /// The state of the world before the rehearsed recovery began, or was tried again.
    before: Value,
}

impl<'a> Stage<'a> {
    /// Builds the world, and lets it run well for a while.
    async fn set(plan: &'a Plan, script: &'a Script, seed: u64, watch: Rc<dyn Fn(Moment)>) -> Result<Self, String> {
        let disaster = script.disaster;
        let waits = Rc::new(Waits::default());
        let observer: Observer = {
            let (watch, waits) = (Rc::clone(&watch), Rc::clone(&waits));
            Box::new(move |event| waits.follow(event, &*watch))
        };
        let alarm_is_heard = script.event.is_none() && person_starts_after(script).is_none();
        let mut deployments = deployments(plan, disaster, alarm_is_heard)?;
        replace(&mut deployments, script);
        let machines = deployments.iter().flat_map(|deployment| &deployment.machines);
        let machines = machines.map(|(name, _)| (*name).to_owned());
        let machines = machines.filter(|name| name != RECOVERY_MACHINE).collect();
        let conditions = Conditions {
            seed,
            began_at: begins_at(script)?,
            timings: script.timings()?,
            services: disaster.services(),
        };
        let simulation = Simulation::begin_in(plan, deployments, conditions, observer).await?;
        let regions = [&*plan.regions.standby.region, &*plan.regions.primary.region];
        for region in regions {
            let record = Record::in_region(&simulation.aws_in("drctl", region), region);
            record.put_plan(plan).await.map_err(|error| error.to_string())?;
        }
        let world = World {
            event: script.event.as_ref(),
            with_faults: !script.faults.is_empty(),
            steps: steps(disaster),
            machines,
            stop_at: RefCell::new(script.stop_at.clone()),
            watch,
            ..world_of(disaster, plan, simulation)?
        };
        disaster.set_up(&world).await?;
        for watching in disaster.watching(plan)? {
            watching.has_been_well(world.cloud(), plan)?;
        }
        let mut people = effects(script).filter_map(Effect::people);
        let people = people.next().unwrap_or_default();
        let answered: people::Watch = {
            let (watch, waits) = (Rc::clone(&world.watch), Rc::clone(&waits));
            Rc::new(move |moment| waits.answered(moment, &*watch))
        };
        for region in regions {
            let listener = people::Listener {
                function: RecordApproval::NAME,
                people,
                heard: Rc::clone(&world.heard),
                watch: Rc::clone(&answered),
            };
            people::listen(&world.simulation, plan, region, listener);
        }
        let mut injected = Injected::default();
        injected.at_the_beginning(&script.faults, &world);
        world.forbid_the_step()?;
        tokio::time::sleep(good_times(script)).await;
        Ok(Self {
            script,
            injected,
            waits,
            disaster_at: world.now(),
            before: Value::Null,
            world,
        })
    }

    /// The disaster, and the faults that hold from then on.
    async fn disaster(&mut self) -> Result<(), String> {
        let (script, disaster) = (self.script, self.script.disaster);
        disaster.before(&self.world).await?;
        self.world.some_moment(disaster.comes_within()).await;
        self.begin();
        if !effects(script).any(Effect::replaces_the_disaster) {
            disaster.strike(&self.world).await?;
        }
        self.injected.at_the_disaster(&script.faults, &self.world).await?;
        if effects(script).any(Effect::was_so_before) {
            self.before = self.world.cloud().snapshot();
        }
        if !script.faults.is_empty() {
            self.world.tell(Moment::Faults {
                at: self.world.now(),
                faults: script.faults.iter().map(ToString::to_string).collect(),
            });
        }
        Ok(())
    }

    /// Keeps what everything is like, now that the recovery becomes necessary.
    fn begin(&mut self) {
        (self.disaster_at, self.before) = (self.world.now(), self.world.cloud().snapshot());
    }

    /// Keeps what everything is like, now that a person tries. What customers do not suffer from before begins with that.
    fn begin_attempt(&mut self) {
        if self.script.disaster.interrupts() {
            self.before = self.world.cloud().snapshot();
        } else {
            self.begin();
        }
    }

    /// The recovery, from its start to its end.
    async fn recover(&mut self) -> Result<(), String> {
        let disaster = self.script.disaster;
        match (disaster.start(), self.world.event, person_starts_after(self.script)) {
            (Start::Alarm, Some(event), _) => self.world.start_by_event(event).await,
            (Start::Alarm, None, Some(after)) => {
                tokio::time::sleep(after).await;
                let mut wants = disaster.wants();
                wants.extend(effects(self.script).flat_map(|effect| effect.wants(&self.world)));
                self.world.start_by_hand("by-hand", wants).await
            }
            (Start::Alarm, None, None) => {
                self.world.wait_for_an_alarm(starts_later_by(self.script)).await;
                Ok(())
            }
            (
                Start::Person {
                    name,
                    attempts,
                    attempts_with_faults,
                    again_after,
                },
                ..,
            ) => {
                let most = if self.world.with_faults {
                    attempts_with_faults
                } else {
                    attempts
                };
                for attempt in 1..=most {
                    self.begin_attempt();
                    let name = format!("{name}-{attempt}");
                    self.world.start_by_hand(&name, disaster.wants()).await?;
                    let last = self.world.last_recovery(self.world.here).await?;
                    if last.and_then(|(_, outcome)| outcome) != Some(Outcome::Refused) {
                        break;
                    }
                    tokio::time::sleep(again_after).await;
                }
                Ok(())
            }
        }
    }

    /// Resumes a recovery that stopped at a step; lifts the faults of one that fell short and resumes it, if that is rehearsed.
    async fn resume(&self) -> Result<(), String> {
        let (world, here) = (&self.world, self.world.here);
        world.resume_after_the_step(here).await?;
        if !self.script.resume {
            return Ok(());
        }
        lift(&self.script.faults, world);
        match world.last_recovery(here).await? {
            Some((id, Some(Outcome::Failed | Outcome::RolledBack | Outcome::Partial))) => world.resume(here, &id).await,
            // It was stopped, and never closed.
            Some((id, None)) if effects(self.script).any(Effect::stops_the_recovery) => world.resume(here, &id).await,
            _ => Ok(()),
        }
    }

    /// Watches the customers for a while after everything has ended; an event that comes late may start something more, and
    /// so does an alarm that still stands where nobody answered.
    async fn aftermath(&self) {
        let questions = effects(self.script).map(Effect::questions_asked_again).max();
        for _ in 0..questions.unwrap_or_default() {
            tokio::time::sleep(ASKED_AGAIN_WITHIN + STARTS_IN).await;
            self.world.wait().await;
        }
        // What could not be closed keeps its lock until the schedule looks.
        let keeps_its_lock = |effect: &dyn Effect| effect.stops_the_recovery() || effect.loses_the_record();
        let freed = if effects(self.script).any(keeps_its_lock) {
            LOCK_IS_FREED_WITHIN
        } else {
            Duration::ZERO
        };
        tokio::time::sleep(AFTERMATH + starts_later_by(self.script) + freed).await;
        // What was asked again may leave its lock to the schedule too, and be asked again once more meanwhile.
        for then in [freed, Duration::ZERO] {
            if !self.world.simulation.wait_for_a_start(Duration::ZERO).await {
                return;
            }
            self.world.wait().await;
            tokio::time::sleep(then).await;
        }
    }

    fn played(self) -> Played {
        let started = self.world.cloud().executions.arns();
        let truth = self.script.disaster.truth(&self.world, self.disaster_at);
        let simulation = self.world.simulation;
        simulation.cloud().faults.lift_all();
        Played {
            region: self.world.here.to_owned(),
            truth,
            faults: self.injected.applied(&self.script.faults, &simulation),
            foreign: self.injected.foreign().to_vec(),
            started,
            disaster_at: self.disaster_at,
            before: self.before,
            waits: self.waits.all(),
            simulation,
        }
    }
}

/// What each fault does.
fn effects(script: &Script) -> impl Iterator<Item = &dyn Effect> {
    script.faults.iter().map(|fault| fault.effect())
}

/// Puts the script's steps in place of those that are deployed.
fn replace(deployments: &mut [Deployment], script: &Script) {
    for (name, make) in deployments.iter_mut().flat_map(|there| &mut there.functions) {
        if let Some(replaced) = script.replaced.iter().find(|replaced| replaced.step == *name) {
            *make = replaced.make;
        }
    }
}

/// How long everything runs well before the disaster.
fn good_times(script: &Script) -> Duration {
    let longer = effects(script).map(Effect::good_times_longer_by).max();
    script.disaster.good_times() + longer.unwrap_or_default()
}

/// How much later than usual a recovery may begin.
fn starts_later_by(script: &Script) -> Duration {
    effects(script).map(Effect::starts_later_by).max().unwrap_or_default()
}

/// After how long a person starts the recovery that an alarm would start; nothing, where that or an event does.
fn person_starts_after(script: &Script) -> Option<Duration> {
    if script.disaster.start() != Start::Alarm || script.event.is_some() {
        return None;
    }
    effects(script).find_map(Effect::person_starts_after)
}

/// When the world begins: so that an event of one's own comes 5 s after its own time, minutes after the disaster.
fn begins_at(script: &Script) -> Result<Timestamp, String> {
    let usual = || BEGINS_AT.parse().map_err(|error| format!("{BEGINS_AT}: {error}"));
    let Some(at) = script.event.as_ref().and_then(time_of) else {
        return usual();
    };
    let before = script.disaster.good_times() + script.disaster.comes_within() + DISASTER_BEFORE_EVENT;
    at.checked_sub(before)
        .map_err(|error| format!("the event's time {at}: {error}"))
}
