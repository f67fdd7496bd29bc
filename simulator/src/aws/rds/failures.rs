//! What goes wrong: moves of the writer that do not end well, and databases that are taken away.

use std::time::Duration;

use jiff::Timestamp;

use super::clusters::NewCluster;
use super::state::{Fate, Hang, OldLooks, Rds, State};
use crate::aws::wire::element;
use crate::environment::Environment;
use crate::environment::Reach;
use crate::faults::{CallEffect, FaultId};
use crate::lock::lock;

impl Rds {
    /// Makes the next switchover hang: it begins and does not go on, and after `how_long` (never, if there is nothing) AWS
    /// cancels it, so that the writer takes writes again. It comes about when that switchover is called.
    pub fn hang_next_switchover(&self, environment: &Environment, how_long: Option<Duration>) -> FaultId {
        let fault = environment.faults.on_database();
        lock(&self.state).next_switchover_hangs = Some(Hang { fault, how_long });
        fault
    }

    /// Makes the next failover with data loss last for ever: AWS accepts it, it begins and does not end, and there can be
    /// no other. It comes about when that failover is called.
    pub fn stick_next_failover(&self, environment: &Environment) -> FaultId {
        self.decide_next_failover(environment, Fate::Stuck)
    }

    /// Makes the next failover with data loss fail: AWS accepts it and begins, cancels it in the last quarter of the time
    /// that it would have taken, and then everything is as before. It comes about when that failover is called. (AWS says
    /// that a failover can be cancelled, and not when; that it takes a quarter is assumed.)
    pub fn fail_next_failover(&self, environment: &Environment) -> FaultId {
        self.decide_next_failover(environment, Fate::Cancelled)
    }

    pub(super) fn decide_next_failover(&self, environment: &Environment, fate: Fate) -> FaultId {
        let fault = environment.faults.on_database();
        lock(&self.state).next_failover = Some((fault, fate));
        fault
    }

    /// Makes one look in four at a global database show what was `by` ago. It comes about with each that then shows something
    /// else than what is. (AWS does not say how old an answer of its control plane can be; assumed.)
    pub fn show_what_was(&self, environment: &Environment, by: Duration) -> FaultId {
        let fault = environment.faults.on_database();
        let mut state = lock(&self.state);
        state.old_looks = Some(OldLooks { fault, by });
        state.advance(environment, environment.now());
        fault
    }

    /// Keeps AWS from saying to which cluster a global database moves: every part of `FailoverState` is optional. It comes
    /// about with each look during a move.
    pub fn leave_targets_unnamed(&self, environment: &Environment) -> FaultId {
        let fault = environment.faults.on_database();
        lock(&self.state).targets_unnamed = Some(fault);
        fault
    }

    /// Makes a new cluster of a global database its writer, with all data, as somebody does who has a third Region: the
    /// others read from then on. It comes about at once. Errors: a text, where there is no such database.
    pub fn move_to_a_third_cluster(
        &self,
        environment: &Environment,
        id: &str,
        third: &NewCluster,
    ) -> Result<FaultId, String> {
        let now = environment.now();
        let mut state = lock(&self.state);
        state.advance(environment, now);
        let State { clusters, globals, .. } = &mut *state;
        let global = globals.get_mut(id).ok_or("there is no such global database")?;
        let writer = clusters.get_mut(&global.writer).ok_or("it has no writer")?;
        let mut database = writer.database.copy_as_of(now)?;
        database.set_writable(true);
        writer.database.set_writable(false);
        clusters.insert(third.arn.clone(), third.with(environment, database));
        global.members.push(third.arn.clone());
        global.writer = third.arn.clone();
        global.transition = None;
        let fault = environment.faults.on_database();
        environment.faults.apply(fault);
        Ok(fault)
    }

    /// Takes the databases of a Region away, and nothing else there: see [`Reach::Database`]. It comes about with each call
    /// that fails and each statement that is refused meanwhile.
    pub fn take_database_away(&self, environment: &Environment, region: &str) -> FaultId {
        environment.take_away(region, Reach::Database);
        let fault = environment.faults.on_database();
        lock(&self.state).taken_away.insert(region.to_owned(), fault);
        fault
    }

    /// Gives the databases of a Region back, whatever else of it is away.
    pub fn give_database_back(&self, environment: &Environment, region: &str) {
        environment.give_back(region, Reach::Database);
    }

    /// How a call to RDS or to the Data API in a Region fails while the databases there are away: with an error or
    /// without an answer, as chance has it.
    pub(super) fn failing(&self, environment: &Environment, region: &str) -> Option<CallEffect> {
        if !environment.database_is_away(region) {
            return None;
        }
        lock(&self.state).note_taken_away(environment, region);
        let answers = environment.chance("databases-away", fastrand::Rng::bool);
        Some(if answers {
            CallEffect::ServerError
        } else {
            CallEffect::NoAnswer
        })
    }
}

/// Of how many looks one is old.
const ONE_LOOK_IN: u32 = 4;

impl State {
    /// What a look at a global database shows now, which is what was a while ago where chance and a fault have it so.
    pub(super) fn look(&mut self, environment: &Environment, id: &str) -> Option<String> {
        let mut is = self.globals.get(id).map(|global| self.global_xml(id, global))?;
        let unnamed = self.targets_unnamed.filter(|fault| environment.faults.holds(*fault));
        let transition = self.globals.get(id).and_then(|global| global.transition.as_ref());
        if let Some((fault, transition)) = unnamed.zip(transition) {
            environment.faults.apply(fault);
            is = is.replace(&element("ToDbClusterArn", &transition.to), "");
        }
        let old = self.old_looks.filter(|old| environment.faults.holds(old.fault));
        let global = self.globals.get_mut(id)?;
        let was = old.and_then(|old| {
            let then = environment.now().checked_sub(old.by).ok()?;
            let is_old = environment.chance("old-looks", |rng| rng.u32(..ONE_LOOK_IN) == 0);
            let looks = global.looks.iter();
            let before = looks.rev().find(|(from, _)| *from <= then).or(global.looks.first())?;
            (is_old && before.1 != is).then(|| (old.fault, before.1.clone()))
        });
        global.last_look_was_old = was.is_some();
        let Some((fault, was)) = was else {
            return Some(is);
        };
        environment.faults.apply(fault);
        Some(was)
    }

    /// Keeps what looks show, where some show what is old.
    pub(super) fn keep_looks(&mut self, now: Timestamp) {
        if self.old_looks.is_none() {
            return;
        }
        let shown: Vec<(String, String)> = self
            .globals
            .iter()
            .map(|(id, global)| (id.clone(), self.global_xml(id, global)))
            .collect();
        for (id, shows) in shown {
            if let Some(global) = self.globals.get_mut(&id)
                && global.looks.last().is_none_or(|(_, before)| *before != shows)
            {
                global.looks.push((now, shows));
            }
        }
    }

    /// Counts that the databases of a Region were not there for somebody.
    pub(super) fn note_taken_away(&self, environment: &Environment, region: &str) {
        if let Some(fault) = self.taken_away.get(region) {
            environment.faults.apply(*fault);
        }
    }
}
