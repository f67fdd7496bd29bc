//! What goes wrong in the simulated AWS, at a rehearsal's wish: calls that functions make, deliveries of events,
//! invocations, databases and clocks. How often each fault came about is counted, so that one that never did is known.
//!
//! While there is no fault, nothing is looked up and no chance is drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use states_language::ExecutionStatus;

use crate::aws::operations::is_read;
use crate::chance::Chance;
use crate::lock::lock;

/// The faults of a simulation.
#[derive(Default)]
pub struct Faults {
    /// Whether there was ever one.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The deployed functions, by Region.
    functions: BTreeMap<String, BTreeSet<String>>,
    /// The deployed state machines, by Region.
    machines: BTreeMap<String, BTreeSet<String>>,
    /// In the order in which they came; a fault's place is its identity.
    faults: Vec<Fault>,
}

struct Fault {
    kind: Kind,
    applied: u64,
    is_lifted: bool,
}

enum Kind {
    Calls(CallFault),
    Deliveries(DeliveryFault),
    Invocations {
        fault: InvocationFault,
        /// How many invocations it was about to end, without those that ended before by themselves if these do not count.
        chosen: u64,
    },
    Clocks(BTreeMap<(String, String), Skew>),
    Executions(ExecutionFault),
    /// Executions that nobody waits for any more are not stopped.
    KeptChildren,
    /// RDS knows what it is, and says when it comes about.
    Database,
}

/// How far a clock is off.
struct Skew {
    by: SignedDuration,
    was_read: bool,
}

/// One of the faults of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(usize);

/// Which calls of deployed functions fail, and how. Those of anybody else are left alone.
#[derive(Clone, Debug)]
pub struct CallFault {
    /// The service by its endpoint prefix, such as `rds`, `rds-data` or `monitoring`; nothing for every one.
    pub service: Option<String>,
    /// The operation, such as `FailoverGlobalCluster`; nothing for every one.
    pub operation: Option<String>,
    /// The Region that is called; nothing for every one.
    pub region: Option<String>,
    /// Whether operations that change nothing are left alone.
    pub changes_only: bool,
    /// From when on.
    pub from: Timestamp,
    /// Until when, not included; nothing for ever.
    pub until: Option<Timestamp>,
    /// The share of these calls that fails, drawn for each; 1 is every one.
    pub share: f64,
    /// How many fail at most; nothing for any number.
    pub at_most: Option<u64>,
    /// How they fail.
    pub effect: CallEffect,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEffect {
    /// The service refuses it as one too many, with its own error; nothing is done.
    Throttled,
    /// The service fails, with its own error of status 5xx; nothing is done.
    ServerError,
    /// It is done, and the answer never comes.
    LostReply,
    /// Nothing is done, and no answer comes.
    NoAnswer,
    /// The caller's role does not allow it, the service says; nothing is done.
    Denied,
}

/// Which executions end without their last state, where, and how.
#[derive(Clone, Debug)]
pub struct ExecutionFault {
    /// The names of their machines.
    pub machines: BTreeSet<String>,
    /// The state that each ends at, in place of going into it.
    pub state: String,
    /// How many executions at most; nothing for any number.
    pub at_most: Option<u64>,
    /// How it ends.
    pub status: ExecutionStatus,
}

impl Which {
    /// Every one.
    pub const EVERY: Self = Self::Share {
        share: 1.0,
        at_most: None,
    };
}

impl CallFault {
    /// Every call of every function, always.
    pub fn every(effect: CallEffect) -> Self {
        Self {
            service: None,
            operation: None,
            region: None,
            changes_only: false,
            from: Timestamp::MIN,
            until: None,
            share: 1.0,
            at_most: None,
            effect,
        }
    }
}

/// Which deliveries to targets of rules go wrong, and how. Schedules are left alone.
#[derive(Clone, Debug)]
pub struct DeliveryFault {
    /// The rule's Region; nothing for every one.
    pub region: Option<String>,
    /// The rule's name; nothing for every one.
    pub rule: Option<String>,
    /// How many deliveries at most; nothing for any number.
    pub at_most: Option<u64>,
    /// What becomes of them.
    pub effect: DeliveryEffect,
}

/// How a delivery goes wrong. One that several faults touch is late by all of them, and comes again for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEffect {
    /// It comes a second time, so long after the first: EventBridge promises "at least once".
    Twice(Duration),
    /// It comes so much later.
    Late(Duration),
}

/// Which invocations of functions do not live to their end, and how they end.
#[derive(Clone, Debug)]
pub struct InvocationFault {
    /// The function's Region; nothing for every one.
    pub region: Option<String>,
    /// The function; nothing for every one that a state machine invokes.
    pub function: Option<String>,
    /// Which of its invocations.
    pub which: Which,
    /// After how many AWS calls each of them ends, drawn for each: the last has reached AWS, its answer has not come back.
    /// One that ends by itself before is left alone.
    pub after_calls: RangeInclusive<u64>,
    /// How it ends.
    pub end: End,
}

/// Which invocations, of those that begin from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Which {
    /// The first ones, so many; one that ends by itself before is one of them.
    First(u64),
    /// A share of them, drawn for each.
    Share {
        /// The share; 1 is every one.
        share: f64,
        /// How many at most; nothing for any number. One that ends by itself before does not count.
        at_most: Option<u64>,
    },
}

/// How an invocation ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its process has gone: `Lambda.Unknown`.
    ProcessExited,
    /// It stands still until the function's time limit, so long after its beginning: `Sandbox.Timedout`.
    TimedOut(Duration),
    /// Its process was killed, as for want of memory: `Runtime.ExitError`.
    Killed,
}

/// An invocation that is to end before its time.
pub(crate) struct Doom {
    fault: FaultId,
    /// After how many AWS calls.
    pub after_calls: u64,
    /// How.
    pub end: End,
}

/// What becomes of a delivery.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Disturbance {
    /// How much later it comes.
    pub late: Duration,
    /// How long after that it comes again, once for each.
    pub again_after: Vec<Duration>,
}

/// A call that could fail.
pub(crate) struct Touchable<'a> {
    /// The Region of the caller.
    pub from_region: &'a str,
    /// The caller.
    pub caller: &'a str,
    /// The service that is called.
    pub service: &'a str,
    /// The Region that is called.
    pub region: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// Whether it can change something.
    pub can_change: bool,
}

impl Faults {
    /// Makes calls of deployed functions fail. Where several faults touch a call, the first of them decides.
    pub fn on_calls(&self, fault: CallFault) -> FaultId {
        self.add(Kind::Calls(fault))
    }

    /// Makes deliveries to targets of rules go wrong.
    pub fn on_deliveries(&self, fault: DeliveryFault) -> FaultId {
        self.add(Kind::Deliveries(fault))
    }

    /// Ends invocations that begin from now on before their time. Where several faults touch one, the first decides.
    pub fn on_invocations(&self, fault: InvocationFault) -> FaultId {
        self.add(Kind::Invocations { fault, chosen: 0 })
    }

    /// Ends executions without their last state.
    pub fn on_executions(&self, fault: ExecutionFault) -> FaultId {
        self.add(Kind::Executions(fault))
    }

    /// Lets executions live on whose execution that waited for them has gone. Step Functions stops them by best effort.
    pub fn on_children(&self) -> FaultId {
        self.add(Kind::KeptChildren)
    }

    /// How often a fault has come about: calls, deliveries or invocations touched, functions that read a clock that was
    /// off, and what RDS says of its own.
    pub fn applied(&self, id: FaultId) -> u64 {
        let state = lock(&self.state);
        state.faults.get(id.0).map_or(0, |fault| fault.applied)
    }

    /// Ends a fault, also one that has not come about yet. An invocation that it is about to end still ends; a failover or
    /// switchover that it has stopped ends well, at once. A database that was taken away must be given back.
    pub fn lift(&self, id: FaultId) {
        if let Some(fault) = lock(&self.state).faults.get_mut(id.0) {
            fault.is_lifted = true;
        }
    }

    /// Ends every fault, as [`Faults::lift`] does.
    pub fn lift_all(&self) {
        for fault in &mut lock(&self.state).faults {
            fault.is_lifted = true;
        }
    }

    /// Says which functions are deployed in a Region, beside those that were said before: their calls can fail, and their
    /// clocks can be off.
    pub fn deploy<'a>(&self, region: &str, functions: impl IntoIterator<Item = &'a str>) {
        let mut state = lock(&self.state);
        let deployed = state.functions.entry(region.to_owned()).or_default();
        deployed.extend(functions.into_iter().map(str::to_owned));
    }

    /// Says which state machines are deployed in a Region, likewise: what their own Tasks ask of Step Functions can fail.
    pub(crate) fn deploy_machines<'a>(&self, region: &str, machines: impl IntoIterator<Item = &'a str>) {
        let mut state = lock(&self.state);
        let deployed = state.machines.entry(region.to_owned()).or_default();
        deployed.extend(machines.into_iter().map(str::to_owned));
    }

    /// How an execution of a machine ends in place of going into a state, if it does.
    pub(crate) fn end_at(&self, machine: &str, state_name: &str) -> Option<ExecutionStatus> {
        if !self.any() {
            return None;
        }
        lock(&self.state).in_force().find_map(|fault| match &fault.kind {
            Kind::Executions(executions)
                if executions.state == state_name
                    && executions.machines.contains(machine)
                    && executions.at_most.is_none_or(|most| fault.applied < most) =>
            {
                fault.applied += 1;
                Some(executions.status.clone())
            }
            _ => None,
        })
    }

    /// Whether an execution that nobody waits for any more lives on.
    pub(crate) fn keeps_children(&self) -> bool {
        if !self.any() {
            return false;
        }
        let mut state = lock(&self.state);
        let kept = state.in_force().find(|fault| matches!(fault.kind, Kind::KeptChildren));
        kept.map(|fault| fault.applied += 1).is_some()
    }

    /// How what a machine's own Task asks of a service fails; nothing, if it does not.
    pub(crate) fn touch_task(
        &self,
        now: Timestamp,
        chance: &Chance,
        region: &str,
        machine: &str,
        service: &str,
        operation: &str,
    ) -> Option<CallEffect> {
        if !self.any() {
            return None;
        }
        let mut state = lock(&self.state);
        let is_deployed = state
            .machines
            .get(region)
            .is_some_and(|machines| machines.contains(machine));
        let call = Touchable {
            from_region: region,
            caller: machine,
            service,
            region,
            operation,
            can_change: !is_read(operation),
        };
        is_deployed.then(|| state.effect_on(now, chance, &call)).flatten()
    }

    /// Whether there was ever a fault.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// A fault of RDS, which asks whether it still holds and says when it comes about.
    pub(crate) fn on_database(&self) -> FaultId {
        self.add(Kind::Database)
    }

    /// Whether a fault was not lifted.
    pub(crate) fn holds(&self, id: FaultId) -> bool {
        lock(&self.state).faults.get(id.0).is_some_and(|fault| !fault.is_lifted)
    }

    /// Counts that a fault has come about.
    pub(crate) fn apply(&self, id: FaultId) {
        if let Some(fault) = lock(&self.state).faults.get_mut(id.0) {
            fault.applied += 1;
        }
    }

    fn add(&self, kind: Kind) -> FaultId {
        let mut state = lock(&self.state);
        state.faults.push(Fault {
            kind,
            applied: 0,
            is_lifted: false,
        });
        self.any.store(true, Ordering::Relaxed);
        FaultId(state.faults.len() - 1)
    }

    /// How a call fails; nothing, if it does not.
    pub(crate) fn touch(&self, now: Timestamp, chance: &Chance, call: &Touchable<'_>) -> Option<CallEffect> {
        let mut state = lock(&self.state);
        if !state.is_deployed(call.from_region, call.caller) {
            return None;
        }
        state.effect_on(now, chance, call)
    }

    /// What becomes of a delivery to a target of a rule.
    pub(crate) fn disturb(&self, region: &str, rule: &str) -> Disturbance {
        let mut disturbance = Disturbance::default();
        if !self.any() {
            return disturbance;
        }
        for fault in lock(&self.state).in_force() {
            let Kind::Deliveries(deliveries) = &fault.kind else {
                continue;
            };
            let is_about = is_or_any(deliveries.region.as_deref(), region)
                && is_or_any(deliveries.rule.as_deref(), rule)
                && deliveries.at_most.is_none_or(|most| fault.applied < most);
            if is_about {
                fault.applied += 1;
                match deliveries.effect {
                    DeliveryEffect::Twice(after) => disturbance.again_after.push(after),
                    DeliveryEffect::Late(by) => disturbance.late += by,
                }
            }
        }
        disturbance
    }

    /// Whether an invocation that begins now is to end before its time. It must be said afterwards whether it did:
    /// [`Faults::ended`].
    pub(crate) fn doom(&self, chance: &Chance, region: &str, function: &str, by_machine: bool) -> Option<Doom> {
        if !self.any() {
            return None;
        }
        let mut state = lock(&self.state);
        let faults = state.faults.iter_mut().enumerate();
        faults.filter(|(_, fault)| !fault.is_lifted).find_map(|(place, fault)| {
            let Kind::Invocations { fault, chosen } = &mut fault.kind else {
                return None;
            };
            let is_about = is_or_any(fault.region.as_deref(), region)
                && fault.function.as_ref().map_or(by_machine, |name| name == function);
            if !is_about || !fault.which.takes(chance, *chosen) {
                return None;
            }
            *chosen += 1;
            let (least, most) = (*fault.after_calls.start(), *fault.after_calls.end());
            let after_calls = if least < most {
                chance.draw("doomed-invocations", |rng| rng.u64(least..=most))
            } else {
                least
            };
            Some(Doom {
                fault: FaultId(place),
                after_calls,
                end: fault.end,
            })
        })
    }

    /// Hears how a doomed invocation ended: before its time, or by itself.
    pub(crate) fn ended(&self, doom: &Doom, before_its_time: bool) {
        let mut state = lock(&self.state);
        let Some(fault) = state.faults.get_mut(doom.fault.0) else {
            return;
        };
        if before_its_time {
            fault.applied += 1;
        } else if let Kind::Invocations { fault, chosen } = &mut fault.kind
            && matches!(fault.which, Which::Share { .. })
        {
            *chosen = chosen.saturating_sub(1);
        }
    }

    /// Sets the clock of each deployed function off, by a time of its own of up to `by` in either direction.
    pub(crate) fn skew_clocks(&self, chance: &Chance, by: Duration) -> FaultId {
        let most = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let mut skews = BTreeMap::new();
        for (region, functions) in &lock(&self.state).functions {
            for function in functions {
                let by = chance.draw("clock-skews", |rng| rng.i64(-most..=most));
                let skew = Skew {
                    by: SignedDuration::from_millis(by),
                    was_read: false,
                };
                skews.insert((region.clone(), function.clone()), skew);
            }
        }
        self.add(Kind::Clocks(skews))
    }

    /// How far the clock of a function is off that is being read; nothing, if it is not.
    pub(crate) fn skew(&self, region: &str, function: &str) -> Option<SignedDuration> {
        if !self.any() {
            return None;
        }
        let mut state = lock(&self.state);
        // The newest holds.
        let mut newest_first = state.faults.iter_mut().rev().filter(|fault| !fault.is_lifted);
        newest_first.find_map(|fault| {
            let Kind::Clocks(skews) = &mut fault.kind else {
                return None;
            };
            let skew = skews.get_mut(&(region.to_owned(), function.to_owned()))?;
            if !skew.was_read && !skew.by.is_zero() {
                skew.was_read = true;
                fault.applied += 1;
            }
            Some(skew.by)
        })
    }
}

impl State {
    fn is_deployed(&self, region: &str, function: &str) -> bool {
        self.functions
            .get(region)
            .is_some_and(|functions| functions.contains(function))
    }

    fn effect_on(&mut self, now: Timestamp, chance: &Chance, call: &Touchable<'_>) -> Option<CallEffect> {
        self.in_force().find_map(|fault| match &fault.kind {
            Kind::Calls(calls)
                if calls.is_about(call, now, fault.applied) && falls(chance, "faulty-calls", calls.share) =>
            {
                fault.applied += 1;
                Some(calls.effect)
            }
            _ => None,
        })
    }

    fn in_force(&mut self) -> impl Iterator<Item = &mut Fault> {
        self.faults.iter_mut().filter(|fault| !fault.is_lifted)
    }
}

impl CallFault {
    fn is_about(&self, call: &Touchable<'_>, now: Timestamp, applied: u64) -> bool {
        is_or_any(self.service.as_deref(), call.service)
            && is_or_any(self.operation.as_deref(), call.operation)
            && is_or_any(self.region.as_deref(), call.region)
            && (call.can_change || !self.changes_only)
            && self.from <= now
            && self.until.is_none_or(|until| now < until)
            && self.at_most.is_none_or(|most| applied < most)
    }
}

impl Which {
    fn takes(self, chance: &Chance, chosen: u64) -> bool {
        match self {
            Self::First(most) => chosen < most,
            Self::Share { share, at_most } => {
                at_most.is_none_or(|most| chosen < most) && falls(chance, "doomed-invocations", share)
            }
        }
    }
}

fn is_or_any(wanted: Option<&str>, value: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == value)
}

/// Whether the lot falls on something; nothing is drawn where it always does.
fn falls(chance: &Chance, stream: &'static str, share: f64) -> bool {
    share >= 1.0 || chance.draw(stream, |rng| rng.f64()) < share
}
