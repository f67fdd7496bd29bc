//! Whether alarms start recoveries by themselves, and what was decided on each of their events and on what people asked for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::partition::Partition;
use super::table::{Record, workload_key};
use crate::error::StepError;

/// Whether alarms start recoveries by themselves in this table's Region. It never stops a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Whether they do.
    pub on: bool,
    /// ARN of who said so.
    pub by: String,
    /// When the switch was last set.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What was decided on an alarm's event, or on what a person asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartDecision {
    /// Follows from the alarm and the moment of its change of state, so that the same event has the same one; a person's own
    /// program makes one up.
    pub id: String,
    /// ARN of the alarm, or what the event says in its place; ARN of the person, as AWS authenticated them.
    #[serde(alias = "alarm")]
    pub by: String,
    /// When it was decided.
    pub at: Timestamp,
    /// What.
    pub decision: Started,
}

/// Whether that started a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Started {
    /// It did.
    Started {
        /// ARN of the execution.
        execution: String,
    },
    /// It did not.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Record {
    /// The switch as it was last set; nothing if nobody ever touched it, which means on.
    pub async fn automation(&self, workload: &str) -> Result<Option<Switch>, StepError> {
        self.item(&workload_key(workload), "automation").await
    }

    /// Sets the switch, and keeps that it was set. The history is written first: a switch that nobody set cannot be.
    pub async fn set_automation(&self, workload: &str, switch: &Switch) -> Result<(), StepError> {
        let partition = workload_key(workload);
        self.put(&partition, &format!("automation#{}", switch.at), switch)
            .await?;
        self.put(&partition, "automation", switch).await
    }

    /// Each setting of the switch, oldest first.
    pub async fn automation_history(&self, workload: &str) -> Result<Vec<Switch>, StepError> {
        self.items(&workload_key(workload), "automation#").await
    }

    /// What was decided on an event before.
    pub async fn start_decision(&self, workload: &str, id: &str) -> Result<Option<StartDecision>, StepError> {
        self.item(&Partition::Start.key(workload), &start_key(id)).await
    }

    /// What was decided on all events, in the order of the decisions.
    pub async fn start_decisions(&self, workload: &str) -> Result<Vec<StartDecision>, StepError> {
        let mut decisions: Vec<StartDecision> = self.items(&Partition::Start.key(workload), "start#").await?;
        decisions.sort_by_key(|decision| decision.at);
        Ok(decisions)
    }

    /// Keeps what was decided on an event; says whether nothing had been decided on it before.
    pub async fn note_start_decision(&self, workload: &str, decision: &StartDecision) -> Result<bool, StepError> {
        self.put_new(&Partition::Start.key(workload), &start_key(&decision.id), decision)
            .await
    }
}

fn start_key(id: &str) -> String {
    format!("start#{id}")
}
