//! Brings the faults of a rehearsal into its world, each at its time, and counts how often each applied.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use record_approval::RecordApproval;
use shared::arn;
use shared::plan::Plan;
use shared::record::{Claim, Record};
use shared::recovery::Mode;
use shared::scenario::Scenario;
use shared::step::Step;
use simulator::aws::cloudwatch::StateValue;
use simulator::aws::door::NO_ANSWER;
use simulator::aws::states::ExecutionRecord;
use simulator::cloud::{Cloud, Reach};
use simulator::faults::{
    CallEffect, CallFault, DeliveryEffect, DeliveryFault, End, ExecutionFault, FaultId, InvocationFault, Which,
};
use simulator::simulation::Simulation;
use start_recovery::StartRecovery;
use states_language::ExecutionStatus;

use crate::deployment::{STEPS, recovery_machine, scenario_machines, watching};
use crate::faults::Fault;
use crate::found::Applied;
use crate::people::{self, Heard, People};

/// How long a service is throttled, and which share of its calls.
const THROTTLED_FOR: SignedDuration = SignedDuration::from_mins(10);
const THROTTLED_SHARE: f64 = 0.5;
/// How much of each minute a table is throttled, and for how many minutes.
const TABLE_THROTTLED_FOR: SignedDuration = SignedDuration::from_secs(20);
const TABLE_THROTTLED_MINUTES: i64 = 60;
/// At which of its AWS calls a process dies where none is said, the timeline's own among them: every step makes so many.
const FIRST_CALLS: u64 = 2;
/// At which of its AWS calls a process dies that `kill-random` chose.
const DIES_WITHIN_CALLS: u64 = 8;
/// How many processes `kill-random` ends, and which share of the invocations it tries.
const RANDOM_DEATHS: u64 = 3;
const RANDOM_SHARE: f64 = 0.15;
/// How much later the second delivery of an event comes.
const DELIVERED_AGAIN_AFTER: Duration = Duration::from_secs(40);
/// How often an alarm flaps, how long after it started something, and how long after that again.
const FLAPS: usize = 2;
const FLAPS_AFTER: Duration = Duration::from_secs(20);
const FLAPS_EVERY: Duration = Duration::from_secs(100);
/// How far replication is behind before an outage that nobody notices.
const LAG_BEFORE_OLD_OUTAGE: Duration = Duration::from_secs(1);
/// Within which time after the scenario's execution has begun a person stops the recovery.
const STOPPED_WITHIN: Duration = Duration::from_secs(240);
/// How long after everything has ended it is looked whether a lock was freed: the schedule looks every five minutes.
const LOCK_IS_FREED_WITHIN: Duration = Duration::from_secs(11 * 60);
/// Services whose changes a grey control plane does not take.
const CONTROL_PLANES: [&str; 3] = ["apigateway", "lambda", "rds"];
/// The name of the execution that holds the lock already.
const FOREIGN_EXECUTION: &str = "began-before";

/// The faults of a rehearsal, in its world.
#[derive(Default)]
pub(crate) struct Injected {
    counts: Vec<(Fault, Count)>,
    /// Executions that hold a lock, and that nobody runs.
    foreign: Vec<String>,
}

type Count = Box<dyn Fn(&Simulation) -> u64>;

/// Where faults are brought in.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) simulation: &'a Simulation,
    /// The Region that runs the recovery that is rehearsed.
    pub(crate) here: &'a str,
    /// The Region that is left.
    pub(crate) other: &'a str,
}

impl Injected {
    /// Brings in what holds from the beginning: how far replication is behind, whose clocks are off, what people do, what
    /// becomes of events and of the next promotion.
    pub(crate) fn at_the_beginning(faults: &[Fault], place: Place<'_>) -> Self {
        let heard = Rc::new(Heard::default());
        let people = People::under(faults);
        for region in [&place.plan.regions.standby.region, &place.plan.regions.primary.region] {
            people::listen(
                place.simulation,
                place.plan,
                region,
                RecordApproval::NAME,
                people,
                &heard,
            );
        }
        let mut injected = Self::default();
        for fault in faults {
            if let Some(count) = place.at_the_beginning(fault, &heard) {
                injected.counts.push((fault.clone(), count));
            }
        }
        injected
    }

    /// Brings in the rest, at the moment at which the recovery that is rehearsed becomes necessary. Errors: a text, if
    /// the record does not take a lock.
    pub(crate) async fn at_the_disaster(&mut self, faults: &[Fault], place: Place<'_>) -> Result<(), String> {
        for fault in faults {
            if let Fault::DrillRunning | Fault::Busy = fault {
                self.foreign.push(place.hold_the_lock(fault).await?);
            }
            if let Some(count) = place.at_the_disaster(fault) {
                self.counts.push((fault.clone(), count));
            }
        }
        Ok(())
    }

    /// The executions that hold a lock, and that nobody runs.
    pub(crate) fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// How often each applied, in the order of `faults`.
    pub(crate) fn applied(&self, faults: &[Fault], simulation: &Simulation) -> Vec<Applied> {
        let times = |fault: &Fault| {
            let counts = self.counts.iter().filter(|(counted, _)| counted == fault);
            counts.map(|(_, count)| count(simulation)).sum()
        };
        let each = faults.iter().map(|fault| Applied {
            fault: fault.clone(),
            times: times(fault),
        });
        each.collect()
    }
}

/// Ends all faults: whoever goes on after them finds an AWS that works. A lost Region stays lost.
pub(crate) fn lift(faults: &[Fault], place: Place<'_>) {
    let cloud = place.simulation.cloud();
    cloud.faults.lift_all();
    for fault in faults {
        match fault {
            Fault::BothDatabases => cloud.rds.give_database_back(cloud, place.here),
            Fault::NoLagMetric => cloud
                .rds
                .publish_replication_lag(&place.plan.database.global_cluster, true),
            _ => {}
        }
    }
}

impl Place<'_> {
    fn cloud(&self) -> &Cloud {
        self.simulation.cloud()
    }

    fn at_the_beginning(&self, fault: &Fault, heard: &Rc<Heard>) -> Option<Count> {
        let cloud = self.cloud();
        let global = &self.plan.database.global_cluster;
        Some(match fault {
            Fault::ApproverAsleep | Fault::ApproverDeclines(_) | Fault::OneApproverTwice => {
                let heard = Rc::clone(heard);
                Box::new(move |_| heard.otherwise())
            }
            Fault::Lag(time) => {
                cloud.rds.set_replication_lag(cloud, global, Some(time.as_std()));
                Box::new(metrics_read)
            }
            Fault::OldOutage(_) => {
                cloud
                    .rds
                    .set_replication_lag(cloud, global, Some(LAG_BEFORE_OLD_OUTAGE));
                Box::new(metrics_read)
            }
            Fault::NoLagMetric => {
                cloud.rds.publish_replication_lag(global, false);
                Box::new(metrics_read)
            }
            Fault::SwitchoverHangs(time) => applied(
                cloud
                    .rds
                    .hang_next_switchover(cloud, time.map(shared::plan::Duration::as_std)),
            ),
            Fault::StuckFailover => applied(cloud.rds.stick_next_failover(cloud)),
            Fault::FailedFailover => applied(cloud.rds.fail_next_failover(cloud)),
            Fault::ClockSkew(by) => applied(cloud.skew_clocks(by.as_std())),
            Fault::DuplicateEvent => applied(
                cloud
                    .faults
                    .on_deliveries(deliveries(DeliveryEffect::Twice(DELIVERED_AGAIN_AFTER))),
            ),
            Fault::LateEvent(by) => applied(
                cloud
                    .faults
                    .on_deliveries(deliveries(DeliveryEffect::Late(by.as_std()))),
            ),
            _ => return None,
        })
    }

    fn at_the_disaster(&self, fault: &Fault) -> Option<Count> {
        let cloud = self.cloud();
        let (now, every) = (cloud.now(), CallFault::every);
        let calls = |fault: CallFault| cloud.faults.on_calls(CallFault { from: now, ..fault });
        Some(match fault {
            Fault::RegionOutage => {
                let region = self.other.to_owned();
                Box::new(move |simulation: &Simulation| u64::from(!simulation.cloud().runs(&region)))
            }
            Fault::GreyRegion => {
                cloud.take_away(self.other, Reach::Apis);
                unanswered(self.other)
            }
            Fault::GreyControl => {
                cloud.take_away(self.other, Reach::Customers);
                let refused = CONTROL_PLANES.map(|service| {
                    calls(CallFault {
                        service: Some(service.to_owned()),
                        region: Some(self.other.to_owned()),
                        changes_only: true,
                        ..every(CallEffect::ServerError)
                    })
                });
                any_of(refused.into())
            }
            Fault::BothDatabases => applied(cloud.rds.take_database_away(cloud, self.here)),
            Fault::Throttle(service) => applied(calls(CallFault {
                service: Some(service.clone()),
                until: now.checked_add(THROTTLED_FOR).ok(),
                share: THROTTLED_SHARE,
                ..every(CallEffect::Throttled)
            })),
            Fault::Errors(service, rate) => applied(calls(CallFault {
                service: Some(service.clone()),
                share: *rate,
                ..every(CallEffect::ServerError)
            })),
            Fault::LostReply(operation) => applied(calls(CallFault {
                operation: Some(operation.clone()),
                at_most: Some(1),
                ..every(CallEffect::LostReply)
            })),
            Fault::SnsDown => applied(calls(CallFault {
                service: Some("sns".to_owned()),
                ..every(CallEffect::ServerError)
            })),
            Fault::TableThrottled => any_of(
                (0..TABLE_THROTTLED_MINUTES)
                    .filter_map(|minute| {
                        let from = now.checked_add(SignedDuration::from_mins(minute)).ok()?;
                        Some(cloud.faults.on_calls(CallFault {
                            service: Some("dynamodb".to_owned()),
                            from,
                            until: from.checked_add(TABLE_THROTTLED_FOR).ok(),
                            ..every(CallEffect::Throttled)
                        }))
                    })
                    .collect(),
            ),
            Fault::Kill(step, call) => applied(cloud.faults.on_invocations(InvocationFault {
                region: None,
                function: Some(step.clone()),
                which: Which::Share {
                    share: 1.0,
                    at_most: Some(1),
                },
                after_calls: call.map_or(0..=FIRST_CALLS, |call| call..=call),
                end: self.some_end(time_limit(step)),
            })),
            Fault::KillRandom => any_of(
                (0..RANDOM_DEATHS)
                    .map(|_| {
                        cloud.faults.on_invocations(InvocationFault {
                            region: None,
                            function: None,
                            which: Which::Share {
                                share: RANDOM_SHARE,
                                at_most: Some(1),
                            },
                            after_calls: 0..=DIES_WITHIN_CALLS,
                            end: self.some_end(Duration::from_secs(20)),
                        })
                    })
                    .collect(),
            ),
            Fault::FlappingAlarm => self.let_the_alarm_flap(),
            Fault::ChildDies(state) => applied(cloud.faults.on_executions(ExecutionFault {
                machines: scenario_machines().into_iter().map(str::to_owned).collect(),
                state: state.clone(),
                at_most: Some(1),
                status: self.some_death(state),
            })),
            Fault::ChildNotStopped => {
                let kept = cloud.faults.on_children();
                self.stop_the_recovery();
                applied(kept)
            }
            Fault::StopDenied => {
                let denied = calls(CallFault {
                    operation: Some("StopExecution".to_owned()),
                    ..every(CallEffect::Denied)
                });
                cloud.faults.on_children();
                self.stop_the_recovery();
                applied(denied)
            }
            Fault::DrillRunning | Fault::Busy => Box::new(|_| 1),
            _ => return None,
        })
    }

    /// How a process ends, as Step Functions names it: one of three, as the seed has it.
    fn some_end(&self, time_limit: Duration) -> End {
        let ends = [End::ProcessExited, End::Killed, End::TimedOut(time_limit)];
        ends[self.cloud().chance("ends-of-processes", |rng| rng.usize(..ends.len()))]
    }

    /// How an execution ends without its last state: one of three, as the seed has it.
    fn some_death(&self, state: &str) -> ExecutionStatus {
        let cause = format!("An error occurred while executing the state '{state}' (entered at the event id #2).");
        match self.cloud().chance("deaths-of-executions", |rng| rng.usize(..3)) {
            0 => ExecutionStatus::Failed {
                error: states_language::names::RUNTIME.to_owned(),
                cause,
            },
            1 => ExecutionStatus::TimedOut,
            _ => ExecutionStatus::Aborted {
                error: String::new(),
                cause: String::new(),
            },
        }
    }

    /// Has a person stop the recovery at some moment at which its scenario's execution is at work.
    fn stop_the_recovery(&self) {
        let after = self
            .cloud()
            .chance("stops", |rng| rng.u64(..STOPPED_WITHIN.as_millis() as u64));
        let simulation = self.simulation.clone();
        let machine = recovery_machine(self.plan, self.here);
        tokio::task::spawn_local(async move {
            let cloud = simulation.cloud();
            let ours = arn::execution(&machine, "");
            loop {
                let arns = cloud.executions.arns();
                let runs = |arn: &&String| cloud.executions.get(arn).is_some_and(|found| found.status == "RUNNING");
                let recovery = arns.iter().filter(|arn| arn.starts_with(&ours)).find(runs);
                let child = arns.iter().filter(|arn| !arn.starts_with(&ours)).find(runs);
                if let (Some(recovery), Some(_)) = (recovery, child) {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    let aws = simulation.aws_in("a-person", arn::region(recovery));
                    let stopping = aws_sdk_sfn::Client::new(aws.config())
                        .stop_execution()
                        .execution_arn(recovery)
                        .cause("a person stops it");
                    // One that has ended meanwhile is not stopped, and the fault has not applied.
                    let _ = stopping.send().await;
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    /// Lets the alarm go to OK while its recovery runs, as the probe's does; that one's next evaluation takes both back to
    /// ALARM.
    fn let_the_alarm_flap(&self) -> Count {
        let flapped = Rc::new(Cell::new(0));
        let (simulation, counted) = (self.simulation.clone(), Rc::clone(&flapped));
        let here = self.plan.regions.standby.region.clone();
        let watching = watching(self.plan, Scenario::REGION_FAILURE);
        // What cannot be watched is not rehearsed; without a name nothing is set, and nothing counted.
        let probe = watching.map_or_else(|_| String::new(), |watching| watching.alarms.probe.name);
        tokio::task::spawn_local(async move {
            let cloud = simulation.cloud();
            while calls_of(&simulation, StartRecovery::NAME) == 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(FLAPS_AFTER).await;
            for _ in 0..FLAPS {
                let reason = "a rehearsal sets it to OK for a moment";
                let set = cloud
                    .cloudwatch
                    .set_alarm_state(cloud, &here, &probe, StateValue::Ok, reason);
                counted.set(counted.get() + u64::from(set.is_ok()));
                tokio::time::sleep(FLAPS_EVERY).await;
            }
        });
        Box::new(move |_| flapped.get())
    }

    /// Gives the lock to an execution that runs and does nothing; gives its ARN.
    async fn hold_the_lock(&self, fault: &Fault) -> Result<String, String> {
        let cloud = self.cloud();
        let mode = if *fault == Fault::DrillRunning {
            Mode::Drill
        } else {
            Mode::Live
        };
        let machine = recovery_machine(self.plan, self.here);
        let arn = arn::execution(&machine, FOREIGN_EXECUTION);
        let execution = ExecutionRecord::running(&machine, FOREIGN_EXECUTION, "{}", cloud.now());
        cloud.executions.put(&arn, execution);
        let record = Record::in_region(&self.simulation.aws_in("drctl", self.here), self.here);
        let claim = Claim {
            workload: &self.plan.workload,
            execution: &arn,
            recovery: FOREIGN_EXECUTION,
            mode,
            at: cloud.now(),
        };
        record
            .claim_lock(&claim, None)
            .await
            .map_err(|error| error.to_string())?;
        Ok(arn)
    }
}

fn deliveries(effect: DeliveryEffect) -> DeliveryFault {
    DeliveryFault {
        region: None,
        rule: None,
        at_most: None,
        effect,
    }
}

fn applied(id: FaultId) -> Count {
    any_of(vec![id])
}

fn any_of(ids: Vec<FaultId>) -> Count {
    Box::new(move |simulation| ids.iter().map(|id| simulation.cloud().faults.applied(*id)).sum())
}

/// How often a Region was called, and did not answer.
fn unanswered(region: &str) -> Count {
    let region = region.to_owned();
    Box::new(move |simulation| {
        let calls = simulation.calls();
        let there = calls
            .iter()
            .filter(|(call, _)| call.region == region && call.operation == NO_ANSWER);
        there.map(|(_, count)| count).sum()
    })
}

/// How often somebody read metrics.
fn metrics_read(simulation: &Simulation) -> u64 {
    let calls = simulation.calls();
    let reads = calls.iter().filter(|(call, _)| call.operation == "GetMetricData");
    reads.map(|(_, count)| count).sum()
}

fn calls_of(simulation: &Simulation, function: &str) -> u64 {
    let calls = simulation.calls();
    let own = calls.iter().filter(|(call, _)| call.function == function);
    own.map(|(_, count)| count).sum()
}

/// How long one invocation of a step may take.
fn time_limit(step: &str) -> Duration {
    let found = STEPS.iter().find(|deployed| deployed.name == step);
    found.map_or(Duration::from_secs(20), |deployed| deployed.time_limit)
}

/// How long until a fault lets a recovery begin, for those that hold it up.
pub(crate) fn begins_after(faults: &[Fault]) -> Duration {
    let each = faults.iter().map(|fault| match fault {
        Fault::LateEvent(by) => by.as_std(),
        _ => Duration::ZERO,
    });
    each.max().unwrap_or_default()
}

/// How much longer than usual it is looked at what comes of it, where somebody stops the recovery.
pub(crate) fn lock_is_freed_within(faults: &[Fault]) -> Duration {
    if is_stopped(faults) {
        LOCK_IS_FREED_WITHIN
    } else {
        Duration::ZERO
    }
}

/// Whether somebody stops the recovery.
pub(crate) fn is_stopped(faults: &[Fault]) -> bool {
    faults
        .iter()
        .any(|fault| matches!(fault, Fault::ChildNotStopped | Fault::StopDenied))
}
