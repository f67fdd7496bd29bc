//! Tells people what is going on, through SNS.
//!
//! A topic cannot say whether a message was sent before, so word of what was sent is kept in the record: run twice, it
//! is sent once. If the function dies between sending and keeping that word, people are told twice, which is better
//! than not at all. There is nothing to take back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::Record;
use shared::recovery::{Mode, RecoveryRef};
use shared::scenario::Scenario;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};
use shared::topic::Topics;

/// What to tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The recovery's scenario.
    pub scenario: Scenario,
    /// Its mode, so that nobody takes a rehearsal for the real thing.
    pub mode: Mode,
    /// ARN of the SNS topic to publish on.
    pub topic_arn: String,
    /// What happened, in a word or two: `opened`, `recovered`, `failed`. Each execution of a recovery tells it once.
    pub what: String,
    /// One or a few sentences.
    pub text: String,
}

/// What was told.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// SNS's id of the message.
    pub message_id: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done("announced")
    }
}

/// The step: tells people how a recovery is going.
#[derive(Debug)]
pub struct Announce {
    topics: Topics,
    record: Record,
}

impl Step for Announce {
    const NAME: &'static str = "announce";
    const DESCRIPTION: &'static str = "Tells people how a recovery is going";
    const CHANGES: &'static [Change] = &[Change::Call("sns:Publish"), Change::Item("told")];
    const TIME_LIMIT: Duration = Duration::from_secs(5);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            topics: Topics::new(aws),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        // A table that does not answer must not keep people from being told.
        match self.record.told(&input.recovery, &input.what).await {
            Ok(Some(message_id)) => return Ok(Output { message_id }),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "could not check whether this message was sent before; \
                                                          sending it"),
        }
        let message = self
            .topics
            .publish(
                &input.topic_arn,
                input.mode,
                &input.recovery.workload,
                &format!("{} {}", input.scenario, input.what),
                &text(&input),
            )
            .await?;
        if let Err(error) = self.record.note_told(&input.recovery, &input.what, &message).await {
            tracing::warn!(error = %error, "could not record that this message was sent");
        }
        Ok(Output {
            message_id: message.message_id,
        })
    }
}

fn text(input: &Input) -> String {
    format!(
        "{}\n\nRecovery {}\nExecution {}\n",
        input.text, input.recovery.id, input.recovery.execution
    )
}
