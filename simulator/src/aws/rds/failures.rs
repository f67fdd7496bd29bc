//! What goes wrong: moves of the writer that do not end well, and databases that are taken away.

use std::time::Duration;

use super::state::{Fate, Hang, Rds, State};
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

impl State {
    /// Counts that the databases of a Region were not there for somebody.
    pub(super) fn note_taken_away(&self, environment: &Environment, region: &str) {
        if let Some(fault) = self.taken_away.get(region) {
            environment.faults.apply(*fault);
        }
    }
}
