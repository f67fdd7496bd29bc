//! Tells people what is going on, through SNS.
//!
//! A topic cannot say whether a message was sent before, so word of what was sent is kept in the record: run twice, it
//! is sent once. If the function dies between sending and keeping that word, people are told twice, which is better
//! than not at all. There is nothing to take back.

use std::time::Duration;

use aws_sdk_sns::Client;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::Record;
use shared::recovery::{Mode, RecoveryRef, Scenario};
use shared::step::Step;

/// SNS's limit for a subject, in characters.
const SUBJECT_LIMIT: usize = 100;

/// What to tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// Its scenario.
    pub scenario: Scenario,
    /// Its mode, so that nobody takes a rehearsal for the real thing.
    pub mode: Mode,
    /// The topic.
    pub topic_arn: String,
    /// What happened, in a word or two: `opened`, `recovered`, `failed`. It is told once for each recovery.
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

/// The step.
#[derive(Debug)]
pub struct Announce {
    sns: Client,
    record: Record,
}

impl Step for Announce {
    const NAME: &'static str = "announce";
    const TIME_LIMIT: Duration = Duration::from_secs(5);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            sns: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        // A table that does not answer must not keep people from being told.
        match self.record.told(&input.recovery, &input.what).await {
            Ok(Some(message_id)) => return Ok(Output { message_id }),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "whether this was told before is not known; it is told"),
        }
        let sent = self
            .sns
            .publish()
            .topic_arn(&input.topic_arn)
            .subject(subject(&input))
            .message(message(&input))
            .send()
            .await
            .map_err(|error| StepError::aws("sns:Publish", &input.topic_arn, error))?;
        let message_id = sent.message_id().unwrap_or_default().to_owned();
        if let Err(error) = self.record.note_told(&input.recovery, &input.what, &message_id).await {
            tracing::warn!(error = %error, "that this was told could not be kept");
        }
        Ok(Output { message_id })
    }
}

fn subject(input: &Input) -> String {
    let marker = match input.mode {
        Mode::Live => "",
        Mode::Drill => "[drill] ",
        Mode::Rehearsal => "[rehearsal] ",
    };
    let subject = format!("{marker}{}: {} {}", input.recovery.workload, input.scenario, input.what);
    subject
        .chars()
        .filter(|c| c.is_ascii() && !c.is_ascii_control())
        .take(SUBJECT_LIMIT)
        .collect()
}

fn message(input: &Input) -> String {
    format!(
        "{}\n\nRecovery {}\nExecution {}\n",
        input.text, input.recovery.id, input.recovery.execution
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(mode: Mode, what: &str) -> Input {
        Input {
            recovery: RecoveryRef {
                id: "r-1".into(),
                workload: "shop".into(),
                token: 1,
                execution: "arn:e".into(),
            },
            scenario: Scenario::RegionFailure,
            mode,
            topic_arn: "arn:t".into(),
            what: what.into(),
            text: "The Region is lost.".into(),
        }
    }

    #[test]
    fn a_subject_says_what_is_not_real_and_fits() {
        assert_eq!(subject(&input(Mode::Live, "opened")), "shop: region-failure opened");
        assert_eq!(
            subject(&input(Mode::Rehearsal, "opened")),
            "[rehearsal] shop: region-failure opened"
        );
        let long = subject(&input(Mode::Drill, &"ä\nx".repeat(200)));
        assert_eq!(long.len(), SUBJECT_LIMIT);
        assert!(long.is_ascii() && !long.contains('\n'));
    }
}
