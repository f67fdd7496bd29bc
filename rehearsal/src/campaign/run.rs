//! One run of a campaign.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use shared::measure::RpoStatus;
use shared::plan::Plan;

use crate::disaster::Disaster;
use crate::found::{Applied, Rehearsal};
use crate::moment::Moment;
use crate::script::Script;
use crate::stage::rehearse;
use crate::truth::Breach;

/// The name of the breach of a rehearsal that could not be played to its end.
const BROKE_OFF: &str = "plays-to-its-end";

/// One run of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its seed: all that was drawn follows from it.
    pub seed: u64,
    /// What was rehearsed.
    pub scenario: &'static dyn Disaster,
    /// What went wrong beside it, and how often it applied.
    pub faults: Vec<Applied>,
    /// Whether faults were lifted after a failure, and the recovery was resumed.
    pub resume: bool,
    /// The recovery's outcome.
    pub outcome: &'static str,
    /// The RTO that it measured, in seconds.
    pub rto_seconds: Option<f64>,
    /// The RPO that it measured, in seconds.
    pub rpo_seconds: Option<f64>,
    /// The broken rules.
    pub breaches: Vec<Breach>,
    /// What was played.
    #[serde(skip)]
    pub script: Script,
}

impl Run {
    fn of(script: &Script, rehearsal: Rehearsal) -> Self {
        let achieved = &rehearsal.achieved;
        let is_measured = achieved.rpo_status == RpoStatus::Measured;
        Self {
            seed: rehearsal.seed,
            scenario: script.disaster,
            resume: script.resume,
            outcome: rehearsal.outcome,
            rto_seconds: achieved.rto_seconds,
            rpo_seconds: achieved.rpo_seconds.filter(|_| is_measured),
            faults: rehearsal.faults,
            breaches: rehearsal.breaches,
            script: script.clone(),
        }
    }

    /// A rehearsal that could not be played to its end, which is a defect.
    fn broken_off(script: &Script, seed: u64, why: String) -> Self {
        let faults = script.faults.iter().cloned();
        Self {
            seed,
            scenario: script.disaster,
            faults: faults.map(|fault| Applied { fault, times: 0 }).collect(),
            resume: script.resume,
            outcome: "broken-off",
            rto_seconds: None,
            rpo_seconds: None,
            breaches: vec![Breach {
                invariant: BROKE_OFF,
                at: jiff::Timestamp::UNIX_EPOCH,
                what: why,
            }],
            script: script.clone(),
        }
    }
}

/// Plays one run.
pub fn one(plan: &Plan, script: &Script, seed: u64) -> Run {
    let played = catch_unwind(AssertUnwindSafe(|| rehearse(plan, script, seed, |_: Moment| {})));
    match played {
        Ok(Ok(rehearsal)) => Run::of(script, rehearsal),
        Ok(Err(why)) => Run::broken_off(script, seed, why),
        Err(_) => Run::broken_off(script, seed, "the rehearsal panicked".to_owned()),
    }
}
