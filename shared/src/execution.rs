//! Whether an execution that somebody relies on is still at work, as Step Functions knows it.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::{SignedDuration, Timestamp};

use crate::aws::Aws;
use crate::error::StepError;

/// After this time `DescribeExecution`, which is eventually consistent, knows an execution for sure.
const SEEN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// What Step Functions knows of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is at work.
    Runs,
    /// It is not, and will not be: its status, or nothing where it is so old that Step Functions has forgotten it.
    Ended(Option<String>),
    /// Nothing yet: it has just begun.
    NotYet,
}

/// Looks up an execution that was at work at `since`, in its own Region. Errors: AWS's own.
pub async fn look_up(aws: &Aws, execution: &str, since: Timestamp) -> Result<Seen, StepError> {
    let region = execution.split(':').nth(3).unwrap_or_default();
    let described = Client::new(&aws.config_in(region))
        .describe_execution()
        .execution_arn(execution)
        .send()
        .await;
    match described {
        Ok(described) => Ok(known(described.status())),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_execution_does_not_exist()) =>
        {
            Ok(unknown(since, aws.now()))
        }
        Err(error) => Err(StepError::aws("states:DescribeExecution", execution, error)),
    }
}

fn known(status: &ExecutionStatus) -> Seen {
    match status {
        ExecutionStatus::Running => Seen::Runs,
        ended => Seen::Ended(Some(ended.as_str().to_owned())),
    }
}

/// What it means that Step Functions does not know an execution that was at work at `since`.
fn unknown(since: Timestamp, now: Timestamp) -> Seen {
    if now.duration_since(since) > SEEN_AFTER {
        Seen::Ended(None)
    } else {
        Seen::NotYet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_is_at_work() {
        assert_eq!(known(&ExecutionStatus::Running), Seen::Runs);
        for status in [
            ExecutionStatus::Succeeded,
            ExecutionStatus::Failed,
            ExecutionStatus::TimedOut,
            ExecutionStatus::Aborted,
        ] {
            assert_eq!(known(&status), Seen::Ended(Some(status.as_str().to_owned())));
        }
    }

    #[test]
    fn one_that_is_not_known_is_waited_for_while_it_is_young() {
        let since: Timestamp = "2026-01-06T03:00:00Z".parse().unwrap();
        let after = |text: &str| unknown(since, text.parse().unwrap());
        assert_eq!(after("2026-01-06T03:00:00Z"), Seen::NotYet);
        assert_eq!(after("2026-01-06T03:05:00Z"), Seen::NotYet);
        // Clocks differ.
        assert_eq!(after("2026-01-06T02:59:00Z"), Seen::NotYet);
        assert_eq!(after("2026-01-06T03:05:01Z"), Seen::Ended(None));
    }
}
