//! Telling people, through SNS.

use aws_sdk_sns::Client;

use crate::aws::Aws;
use crate::error::StepError;
use crate::record::Message;
use crate::recovery::Mode;

/// The longest subject that SNS takes, in characters: it has to be less than 100. Source: its API Reference, `Publish`.
const SUBJECT_LIMIT: usize = 99;

/// The topics of one Region.
#[derive(Clone, Debug)]
pub struct Topics {
    aws: Aws,
    client: Client,
}

impl Topics {
    /// Those of the function's own Region.
    pub fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            client: Client::new(aws.config()),
        }
    }

    /// The topics of another Region, which may be down: a call is bounded to 2 s.
    pub fn in_region(aws: &Aws, region: &str) -> Self {
        Self {
            aws: aws.clone(),
            client: Client::new(&aws.config_in(region)),
        }
    }

    /// Publishes `text` on the topic `topic_arn`; the subject begins with the mode, unless it is live, and the workload.
    /// Errors: AWS's own.
    pub async fn publish(
        &self,
        topic_arn: &str,
        mode: Mode,
        workload: &str,
        subject: &str,
        text: &str,
    ) -> Result<Message, StepError> {
        let sent = self
            .client
            .publish()
            .topic_arn(topic_arn)
            .subject(full_subject(mode, workload, subject))
            .message(text)
            .send()
            .await
            .map_err(|error| StepError::aws("sns:Publish", topic_arn, error))?;
        Ok(Message {
            message_id: sent.message_id().unwrap_or_default().to_owned(),
            at: self.aws.now(),
        })
    }
}

/// What SNS takes as a subject: ASCII, one line, less than 100 characters.
fn full_subject(mode: Mode, workload: &str, subject: &str) -> String {
    let marker = match mode {
        Mode::Live => "",
        Mode::Drill => "[drill] ",
        Mode::Rehearsal => "[rehearsal] ",
    };
    format!("{marker}{workload}: {subject}")
        .chars()
        .filter(|c| c.is_ascii() && !c.is_ascii_control())
        .take(SUBJECT_LIMIT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_what_sns_takes_and_says_when_it_is_not_the_real_thing() {
        assert_eq!(full_subject(Mode::Live, "shop", "opened"), "shop: opened");
        assert_eq!(
            full_subject(Mode::Rehearsal, "shop", "opened"),
            "[rehearsal] shop: opened"
        );
        let long = full_subject(Mode::Drill, "shop", &"ä\nx".repeat(200));
        assert!(long.len() == 99 && long.is_ascii() && !long.contains('\n'), "{long}");
    }
}
