//! What a rehearsal plays: the disaster, and what else happens.

use std::fmt;

use serde_json::Value;
use simulator::simulation::MakeHandler;

use crate::disaster::Disaster;
use crate::fault::Fault;

/// What a rehearsal plays.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The disaster.
    pub disaster: &'static dyn Disaster,
    /// The injected faults.
    pub faults: Vec<Fault>,
    /// An event that starts the recovery, in place of the alarm's own.
    pub event: Option<Value>,
    /// The step that has no permissions until the recovery is resumed.
    pub stop_at: Option<String>,
    /// Whether a failed recovery is resumed, with the faults lifted.
    pub resume: bool,
    /// Whether the recovery's account is wanted, for its report.
    pub account: bool,
    /// Steps in place of those that are deployed: for tests in which one is wrong.
    pub replaced: Vec<Replaced>,
}

impl Script {
    /// A disaster and nothing else.
    pub fn new(disaster: &'static dyn Disaster) -> Self {
        Self {
            disaster,
            faults: Vec::new(),
            event: None,
            stop_at: None,
            resume: false,
            account: false,
            replaced: Vec::new(),
        }
    }

    /// The command that plays it again, exactly, with the steps that are deployed; `plan` is its file, where that is not the
    /// usual one. An event of its own is not in it.
    pub fn command(&self, seed: u64, plan: Option<&str>) -> String {
        let mut words = vec![
            "drctl".to_owned(),
            "rehearse".to_owned(),
            self.disaster.name().to_owned(),
        ];
        words.extend(self.faults.iter().map(|fault| format!("--fault {fault}")));
        words.extend(self.stop_at.as_ref().map(|step| format!("--stop-at {step}")));
        words.extend(self.resume.then(|| "--resume".to_owned()));
        words.extend(plan.map(|plan| format!("--plan {plan}")));
        words.push(format!("--seed {seed}"));
        words.join(" ")
    }
}

/// A step in place of the one that is deployed.
#[derive(Clone, Copy)]
pub struct Replaced {
    /// The step's name.
    pub step: &'static str,
    /// What is different: two replacements of a step with the same word for it are the same.
    pub by: &'static str,
    /// Makes the handler that takes its place.
    pub make: MakeHandler,
}

impl fmt::Debug for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} replaced by {}", self.step, self.by)
    }
}

impl PartialEq for Replaced {
    fn eq(&self, other: &Self) -> bool {
        (self.step, self.by) == (other.step, other.by)
    }
}
