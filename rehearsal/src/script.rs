//! What a rehearsal plays: the disaster, and what else happens.

use std::fmt;

use serde_json::Value;
use shared::digest::sha256_hex;
use simulator::simulation::MakeHandler;
use simulator::timings::Timings;

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
    /// How long things take, where it is not what is built in.
    pub timings: Option<OwnTimings>,
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
            timings: None,
        }
    }

    /// How long things take.
    pub(crate) fn timings(&self) -> Result<Timings, String> {
        self.timings
            .as_ref()
            .map_or_else(Timings::built_in, |own| Ok(own.timings.clone()))
    }

    /// The SHA-256 of the durations: of the file that is built in, and after it the team's own.
    pub(crate) fn timings_sha256(&self) -> String {
        let own = self.timings.as_ref().map_or("", |own| own.text.as_str());
        sha256_hex(&format!("{}{own}", Timings::file()))
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
        words.extend(self.timings.as_ref().map(|own| format!("--timings {}", own.file)));
        words.extend(plan.map(|plan| format!("--plan {plan}")));
        words.push(format!("--seed {seed}"));
        words.join(" ")
    }
}

/// A file with durations that a team measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTimings {
    /// Its name, as it was given.
    pub file: String,
    /// Its text.
    text: String,
    timings: Timings,
}

impl OwnTimings {
    /// Reads the text of such a file. Errors: a text that says what is wrong with it.
    pub fn read(file: &str, text: String) -> Result<Self, String> {
        let timings = Timings::measured(&text)?;
        Ok(Self {
            file: file.to_owned(),
            text,
            timings,
        })
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
