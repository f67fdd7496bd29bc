//! The timeline of a recovery, and what people were told.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Record, key, number, recovery_key, text};
use crate::arn;
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
    /// Until when it may be at work, if nobody hears of its end.
    pub may_run_until: Timestamp,
    /// How it ended; nothing at its beginning.
    pub end: Option<StepEnd>,
}

/// How one invocation of a step ended.
#[derive(Clone, Debug)]
pub struct StepEnd {
    /// When it ended.
    pub at: Timestamp,
    /// Nothing, or the error.
    pub outcome: Result<(), StepError>,
    /// For how long it waited for answers of AWS and of the public web.
    pub waited: Duration,
}

/// One line of the timeline: all visits of one state by one execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineStep {
    /// Name of the execution.
    #[serde(default)]
    pub execution: String,
    /// The step's name.
    pub name: String,
    /// The state that invoked it.
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
    /// When it last began.
    #[serde(default)]
    pub last_started_at: Option<Timestamp>,
    /// When the visit before the last one ended, if there was one that did.
    #[serde(default)]
    pub previous_ended_at: Option<Timestamp>,
    /// For how long its visits waited for answers of AWS and of the public web, all together, in milliseconds. What a
    /// visit that never ended waited for is not in it.
    #[serde(default)]
    pub waited_ms: u64,
    /// Until when its last visit may be at work, if nobody hears of its end; nothing where its beginning was not kept.
    #[serde(default)]
    pub may_run_until: Option<Timestamp>,
    /// How often it ended with an error.
    #[serde(default)]
    pub failures: u64,
    /// The last of those errors.
    #[serde(default)]
    pub last_failure: Option<String>,
    /// Its name; nothing in records from before it was kept.
    #[serde(default)]
    pub last_failed_as: Option<String>,
}

impl TimelineStep {
    /// Whether a visit may still be at work at `now`: it began, nobody has heard of its end, and its time is not over.
    pub fn may_be_at_work(&self, now: Timestamp) -> bool {
        let last = self.last_started_at.unwrap_or(self.started_at);
        let is_open = self.ended_at.is_none_or(|ended| ended < last);
        is_open && self.may_run_until.is_some_and(|until| now < until)
    }
}

/// An announcement that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Name of the execution that sent it.
    pub execution: String,
    /// What happened, in a word or two.
    pub what: String,
    /// The question that it asks, if it asks one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// SNS's id of the message.
    pub message_id: String,
    /// When SNS took it, by the sender's clock; nothing in records from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A message to people, as SNS took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// SNS's id of it.
    pub message_id: String,
    /// When SNS took it, by the sender's clock.
    pub at: Timestamp,
}

impl Record {
    /// Keeps the beginning or the end of one invocation of a step.
    pub async fn note_step(&self, recovery: &RecoveryRef, run: &StepRun<'_>) -> Result<(), StepError> {
        let execution = execution_name(recovery);
        let sort_key = format!("step#{execution}#{}", run.state);
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&recovery_key(&recovery.id), &sort_key)))
            .expression_attribute_names("#execution", "execution")
            .expression_attribute_names("#name", "name")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#started", "started_at")
            .expression_attribute_names("#last_started", "last_started_at")
            .expression_attribute_names("#attempts", "attempts")
            .expression_attribute_names("#ended", "ended_at")
            .expression_attribute_values(":execution", text(execution))
            .expression_attribute_values(":name", text(run.step))
            .expression_attribute_values(":state", text(run.state))
            .expression_attribute_values(":started", text(&run.started_at.to_string()))
            .expression_attribute_values(":one", number(1));
        let mut set = vec![
            "#execution = :execution, #name = :name, #state = :state",
            "#started = if_not_exists(#started, :started), #last_started = :started",
        ];
        let mut add = Vec::new();
        match &run.end {
            Some(StepEnd { at, outcome, waited }) => {
                set.push("#ended = :ended, #outcome = :outcome, #attempts = if_not_exists(#attempts, :one)");
                add.push("#waited :waited");
                let said = match outcome {
                    Ok(()) => "succeeded".to_owned(),
                    Err(error) => {
                        set.push("#last_failure = :outcome, #last_failed_as = :failed_as");
                        add.push("#failures :one");
                        update = update
                            .expression_attribute_names("#last_failure", "last_failure")
                            .expression_attribute_names("#last_failed_as", "last_failed_as")
                            .expression_attribute_names("#failures", "failures")
                            .expression_attribute_values(":failed_as", text(error.kind.name()));
                        error.to_string()
                    }
                };
                let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                update = update
                    .expression_attribute_names("#outcome", "outcome")
                    .expression_attribute_names("#waited", "waited_ms")
                    .expression_attribute_values(":ended", text(&at.to_string()))
                    .expression_attribute_values(":outcome", text(&said))
                    .expression_attribute_values(":waited", number(waited));
            }
            None => {
                set.push("#previous_ended = if_not_exists(#ended, :none), #until = :until");
                add.push("#attempts :one");
                update = update
                    .expression_attribute_names("#previous_ended", "previous_ended_at")
                    .expression_attribute_names("#until", "may_run_until")
                    .expression_attribute_values(":until", text(&run.may_run_until.to_string()))
                    .expression_attribute_values(":none", AttributeValue::Null(true));
            }
        }
        update
            .update_expression(format!("SET {} ADD {}", set.join(", "), add.join(", ")))
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

    /// What people were told of a recovery, by execution.
    pub async fn announced(&self, id: &str) -> Result<Vec<Announced>, StepError> {
        #[derive(Deserialize)]
        struct Item {
            sk: String,
            message_id: String,
            #[serde(default)]
            question: Option<String>,
            #[serde(default)]
            at: Option<Timestamp>,
        }
        let items: Vec<Item> = self.items(&recovery_key(id), TOLD).await?;
        let announced = items.into_iter().filter_map(|item| {
            let (execution, what) = item.sk.strip_prefix(TOLD)?.split_once('#')?;
            Some(Announced {
                execution: execution.to_owned(),
                what: what.to_owned(),
                question: item.question,
                message_id: item.message_id,
                at: item.at,
            })
        });
        Ok(announced.collect())
    }

    /// Keeps that an announcement was sent.
    pub async fn note_told(&self, recovery: &RecoveryRef, what: &str, message: &Message) -> Result<(), StepError> {
        let (partition, sort) = (recovery_key(&recovery.id), told_key(recovery, what));
        self.put(&partition, &sort, message).await
    }

    /// Likewise, of one that asks people a question.
    pub async fn note_asked(
        &self,
        recovery: &RecoveryRef,
        what: &str,
        question: &str,
        message: &Message,
    ) -> Result<(), StepError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            question: &'a str,
            #[serde(flatten)]
            message: &'a Message,
        }
        let (partition, sort) = (recovery_key(&recovery.id), told_key(recovery, what));
        self.put(&partition, &sort, &Asked { question, message }).await
    }
}

const TOLD: &str = "told#";

fn told_key(recovery: &RecoveryRef, what: &str) -> String {
    format!("{TOLD}{}#{what}", execution_name(recovery))
}

pub(super) fn execution_name(recovery: &RecoveryRef) -> &str {
    arn::name(&recovery.execution)
}
