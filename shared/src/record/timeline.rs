//! The timeline of a recovery, and what people were told.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Record, key, recovery_key, text};
use crate::error::StepError;
use crate::recovery::RecoveryRef;

/// One invocation of a step, for the timeline.
#[derive(Clone, Debug)]
pub struct StepRun<'a> {
    /// The step's name.
    pub step: &'a str,
    /// The state that invoked it.
    pub state: &'a str,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; nothing at its beginning.
    pub ended_at: Option<Timestamp>,
    /// `succeeded`, or the error; nothing at its beginning.
    pub outcome: Option<String>,
}

/// One line of the timeline: all visits of one state by one execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineStep {
    /// The step's name.
    pub name: String,
    /// The state.
    pub state: String,
    /// When it first began.
    pub started_at: Timestamp,
    /// When it last ended; nothing if it never answered.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// How often it began.
    pub attempts: u64,
    /// `succeeded`, or the last error; nothing if it never answered.
    #[serde(default)]
    pub outcome: Option<String>,
}

impl Record {
    /// Keeps the beginning or the end of one invocation of a step.
    pub async fn note_step(&self, recovery: &RecoveryRef, run: &StepRun<'_>) -> Result<(), StepError> {
        let sort_key = format!("step#{}#{}", execution_name(recovery), run.state);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&recovery_key(&recovery.id), &sort_key)))
            .expression_attribute_names("#name", "name")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#started", "started_at")
            .expression_attribute_names("#attempts", "attempts")
            .expression_attribute_values(":name", text(run.step))
            .expression_attribute_values(":state", text(run.state))
            .expression_attribute_values(":started", text(&run.started_at.to_string()));
        let begun = "SET #name = :name, #state = :state, #started = if_not_exists(#started, :started)";
        let update = match (&run.ended_at, &run.outcome) {
            (Some(ended_at), Some(outcome)) => update
                .update_expression(format!(
                    "{begun}, #ended = :ended, #outcome = :outcome, #attempts = if_not_exists(#attempts, :one)"
                ))
                .expression_attribute_names("#ended", "ended_at")
                .expression_attribute_names("#outcome", "outcome")
                .expression_attribute_values(":ended", text(&ended_at.to_string()))
                .expression_attribute_values(":outcome", text(outcome)),
            _ => update.update_expression(format!("{begun} ADD #attempts :one")),
        };
        update
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:UpdateItem", &sort_key, error))?;
        Ok(())
    }

    /// The timeline of a recovery, in the order in which its steps began.
    pub async fn timeline(&self, id: &str) -> Result<Vec<TimelineStep>, StepError> {
        let mut steps: Vec<TimelineStep> = self.items(&recovery_key(id), "step#").await?;
        steps.sort_by(|a, b| (a.started_at, &a.state).cmp(&(b.started_at, &b.state)));
        Ok(steps)
    }

    /// The message id of an announcement that this execution sent before.
    pub async fn told(&self, recovery: &RecoveryRef, what: &str) -> Result<Option<String>, StepError> {
        self.text_of(&recovery_key(&recovery.id), &told_key(recovery, what), "message_id")
            .await
    }

    /// Keeps that an announcement was sent.
    pub async fn note_told(&self, recovery: &RecoveryRef, what: &str, message_id: &str) -> Result<(), StepError> {
        let (partition, sort) = (recovery_key(&recovery.id), told_key(recovery, what));
        self.put_text(&partition, &sort, "message_id", message_id).await
    }
}

fn told_key(recovery: &RecoveryRef, what: &str) -> String {
    format!("told#{}#{what}", execution_name(recovery))
}

fn execution_name(recovery: &RecoveryRef) -> &str {
    recovery.execution.rsplit(':').next().unwrap_or_default()
}
