//! The result of a rehearsal: what the recovery did and measured, beside what customers saw.

use std::collections::BTreeSet;

use assess_region::ExpectedLoss;
use jiff::Timestamp;
use report::Account;
use serde::Serialize;
use shared::measure::{Achieved, MetObjectives};
use shared::record::TimelineStep;
use shared::recovery::Mode;
use simulator::cloud::Touched;
use simulator::simulation::Invoked;

use crate::disaster::Disaster;
use crate::fault::Fault;
use crate::truth::{Breach, Truth};
use crate::waits::Wait;

/// A fault, and how often it applied.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// The fault, as `--fault` takes it.
    pub fault: Fault,
    /// How often it applied: calls that it touched, processes that died, deliveries, questions that were not approved.
    pub times: u64,
}

/// The result of a rehearsal; the object that `--json` prints. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rehearsal {
    /// The disaster; the JSON has its name.
    pub scenario: &'static dyn Disaster,
    /// The injected faults, and how often each applied.
    pub faults: Vec<Applied>,
    /// The broken rules.
    pub breaches: Vec<Breach>,
    /// Always `rehearsal`.
    pub mode: Mode,
    /// The seed: the same one plays the same rehearsal.
    pub seed: u64,
    /// The recovery's outcome; `not-started` if nothing started one.
    pub outcome: &'static str,
    /// Why it did not recover, or only in part.
    pub reason: Option<String>,
    /// Who approved, or why no approval was needed.
    pub approval: Option<String>,
    /// Whether the Region that was left was fenced.
    pub fence: Option<String>,
    /// How much was expected to be lost, and how that was known.
    pub expected_loss: Option<ExpectedLoss>,
    /// What people were asked, and how long the recoveries waited for them, oldest first.
    pub waits: Vec<Wait>,
    /// Whether customers were served when the rehearsal ended.
    pub served_at_end: bool,
    /// How recoveries, and executions of this one, ended before it, oldest first.
    pub earlier: Vec<Earlier>,
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
    /// What each function touched with its AWS calls: what its role has to allow.
    #[serde(skip)]
    pub touched: BTreeSet<Touched>,
    /// Who invoked what.
    #[serde(skip)]
    pub invoked: BTreeSet<Invoked>,
    /// All that the record has of the last recovery, where the script asks for it.
    #[serde(skip)]
    pub account: Option<Account>,
}

/// How a recovery, or an execution of one, ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// The recovery's id.
    pub recovery: String,
    /// The Region that ran it.
    pub region: String,
    /// Its outcome.
    pub outcome: &'static str,
    /// Why, where it is not plainly recovered.
    pub reason: Option<String>,
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
    /// Whether the recovery ended as its scenario should, no rule was broken, and every fault applied.
    pub fn succeeded(&self) -> bool {
        self.within_objectives && self.is_sound()
    }

    /// Whether no rule was broken, and every fault applied: the result is valid, whatever the outcome.
    pub fn is_sound(&self) -> bool {
        self.breaches.is_empty() && self.without_effect().next().is_none()
    }

    /// The faults that never applied.
    pub fn without_effect(&self) -> impl Iterator<Item = &Fault> {
        let without = self.faults.iter().filter(|applied| applied.times == 0);
        without.map(|applied| &applied.fault)
    }
}
