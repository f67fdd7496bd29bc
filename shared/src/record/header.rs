//! A recovery's header: what it is, what was decided, how it ended.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::{Record, recovery_key, workload_key};
use crate::error::StepError;
use crate::measure::{Achieved, MetObjectives, Observed};
use crate::plan::Objectives;
use crate::recovery::{Mode, Outcome, RecoveryRef};
use crate::request::Trigger;
use crate::scenario::{Fields, Scenario};
use crate::scenario_run::ScenarioRun;

/// A recovery: what it is, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The recovery's id.
    pub id: String,
    /// The workload.
    pub workload: String,
    /// The scenario.
    pub scenario: Scenario,
    /// The mode.
    pub mode: Mode,
    /// What whoever started it wants: the scenario's own fields.
    #[serde(default)]
    pub wants: Fields,
    /// Its Regions; nothing in records from before they were kept.
    #[serde(default)]
    pub regions: Option<Regions>,
    /// What started it.
    pub trigger: Trigger,
    /// SHA-256 of the plan that it follows.
    pub plan_sha256: String,
    /// The version of the automation that runs it, see [`crate::version`]; nothing in records from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automation: Option<String>,
    /// What it aims at.
    pub objectives: Objectives,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// ARN of the execution that runs it, or ran it last.
    pub execution: String,
    /// How that execution runs the scenario's machine; nothing where it never was to, or in records from before there was
    /// a recovery machine.
    #[serde(default)]
    pub run: Option<ScenarioRun>,
    /// Who resumed it after it had ended, oldest first.
    #[serde(default)]
    pub resumed: Vec<Trigger>,
    /// How it ended last; see [`Header::ended`].
    #[serde(default)]
    pub closing: Option<Closing>,
    /// How its earlier executions ended, oldest first.
    #[serde(default)]
    pub earlier: Vec<Closing>,
}

/// The Regions of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regions {
    /// The one that runs it.
    pub here: String,
    /// The other one of the plan.
    pub other: String,
}

impl Header {
    /// How it ended; `None` while it runs, also if it was resumed after an earlier end.
    pub fn ended(&self) -> Option<&Closing> {
        self.closing
            .as_ref()
            .filter(|closing| closing.execution == self.execution)
    }

    /// How one of its executions ended it, the present one or an earlier one; nothing where that one did not end it.
    pub fn ended_by(&self, execution: &str) -> Option<&Closing> {
        let mut closings = self.earlier.iter().chain(&self.closing);
        closings.find(|closing| closing.execution == execution)
    }
}

/// How a recovery ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// ARN of the execution that ended it.
    pub execution: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Why, where it is not plainly recovered.
    pub reason: Option<String>,
    /// Likewise, without the state that failed and without what stands; nothing in records from before it was kept.
    #[serde(default)]
    pub cause: Option<String>,
    /// The state that failed, if one did.
    #[serde(default)]
    pub failed_state: Option<String>,
    /// The name of its error: one of ours, Lambda's or Step Functions'.
    #[serde(default)]
    pub failed_as: Option<String>,
    /// When the recovery was closed.
    pub closed_at: Timestamp,
    /// What the steps found out, by step: each may have `warnings`, a list of [`super::Warning`].
    pub evidence: Value,
    /// The times that were observed.
    pub observed: Observed,
    /// What they add up to.
    pub achieved: Achieved,
    /// How that stands against the objectives.
    pub met: MetObjectives,
}

impl Record {
    /// Keeps a new recovery's header; one that is there already stays.
    pub async fn open(&self, header: &Header) -> Result<(), StepError> {
        self.put_new(&recovery_key(&header.id), "header", header).await?;
        self.put_text(
            &workload_key(&header.workload),
            &format!("recovery#{}", header.id),
            "id",
            &header.id,
        )
        .await
    }

    /// Ids of the workload's recoveries, oldest first: an id begins with the time of its opening.
    pub async fn recoveries(&self, workload: &str) -> Result<Vec<String>, StepError> {
        #[derive(Deserialize)]
        struct Entry {
            id: String,
        }
        let entries: Vec<Entry> = self.items(&workload_key(workload), "recovery#").await?;
        Ok(entries.into_iter().map(|entry| entry.id).collect())
    }

    /// Keeps a header in place of the one that is there: that it is resumed, or how it ended.
    pub async fn put_header(&self, header: &Header) -> Result<(), StepError> {
        self.put(&recovery_key(&header.id), "header", header).await
    }

    /// A recovery's header.
    pub async fn header(&self, id: &str) -> Result<Option<Header>, StepError> {
        self.item(&recovery_key(id), "header").await
    }

    /// Keeps what a recovery decided, so that it can be resumed as it was begun. It is the deciding step's own data.
    pub async fn put_decision(&self, recovery: &RecoveryRef, decision: &impl Serialize) -> Result<(), StepError> {
        self.put(&recovery_key(&recovery.id), "decision", decision).await
    }

    /// What a recovery decided, if it did.
    pub async fn decision<T: DeserializeOwned>(&self, recovery: &RecoveryRef) -> Result<Option<T>, StepError> {
        self.item(&recovery_key(&recovery.id), "decision").await
    }
}
