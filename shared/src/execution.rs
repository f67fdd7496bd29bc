//! Whether an execution that somebody relies on is still at work, as Step Functions knows it; and ending one.

use aws_sdk_sfn::Client;
use jiff::{SignedDuration, Timestamp};

use crate::arn;
use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};
use crate::scenario_run::ScenarioRun;

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
    let client = Client::new(&aws.config_in(arn::region(execution)));
    Ok(match describe(&client, execution).await? {
        Some(how) => known(how.status),
        None => unknown(since, aws.now()),
    })
}

/// Starts the execution `name` of a machine, unless there is one of that name already, whoever started it; gives its ARN. Errors:
/// AWS's own.
pub async fn start_once(client: &Client, machine: &str, name: &str, input: &str) -> Result<String, StepError> {
    let started = client
        .start_execution()
        .state_machine_arn(machine)
        .name(name)
        .input(input)
        .send()
        .await;
    match started {
        Ok(started) => Ok(started.execution_arn().to_owned()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_execution_already_exists()) =>
        {
            Ok(arn::execution(machine, name))
        }
        Err(error) => Err(StepError::aws("states:StartExecution", machine, error)),
    }
}

/// How far the end of an execution is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Step Functions knows none of that name.
    Unknown,
    /// It has ended, by itself or since it was stopped, and its Map Runs have too.
    Ended(How),
    /// It was told to stop, and Step Functions does not say yet that it has, or that its Map Runs have.
    Stopping,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct How {
    /// Its status, such as `ABORTED`.
    pub status: String,
    /// Its output, as JSON text, if it succeeded.
    pub output: Option<String>,
    /// The error's name, if there is one.
    pub error: Option<String>,
    /// The explanation, likewise.
    pub cause: Option<String>,
}

/// Stops an execution if it runs, and looks whether it has ended. Errors: AWS's own.
pub async fn end(aws: &Aws, execution: &str) -> Result<Ending, StepError> {
    let client = Client::new(&aws.config_to_change(arn::region(execution)));
    let Some(mut how) = describe(&client, execution).await? else {
        return Ok(Ending::Unknown);
    };
    if how.status == RUNNING {
        client
            .stop_execution()
            .execution_arn(execution)
            .error("Stopped")
            .cause("its recovery's execution no longer waits for it")
            .send()
            .await
            .map_err(|error| StepError::aws("states:StopExecution", execution, error))?;
        match describe(&client, execution).await? {
            Some(now) if now.status != RUNNING => how = now,
            _ => return Ok(Ending::Stopping),
        }
    }
    Ok(match maps_run(&client, execution).await? {
        true => Ending::Stopping,
        false => Ending::Ended(how),
    })
}

/// Ends what an execution of a recovery that has itself ended may have left running. Errors: `Conflict` while something of
/// it still runs, and AWS's own.
pub async fn end_what_is_left(aws: &Aws, run: &ScenarioRun) -> Result<(), StepError> {
    for execution in run.executions() {
        if end(aws, &execution).await? == Ending::Stopping {
            let text = format!("{execution} is being stopped; it is tried again until it has ended");
            return Err(StepError::new(ErrorKind::Conflict, text));
        }
    }
    Ok(())
}

/// The status of an execution that is at work.
const RUNNING: &str = "RUNNING";

async fn describe(client: &Client, execution: &str) -> Result<Option<How>, StepError> {
    let described = client.describe_execution().execution_arn(execution).send().await;
    match described {
        Ok(described) => Ok(Some(How {
            status: described.status().as_str().to_owned(),
            output: described.output().map(str::to_owned),
            error: described.error().map(str::to_owned),
            cause: described.cause().map(str::to_owned),
        })),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_execution_does_not_exist()) =>
        {
            Ok(None)
        }
        Err(error) => Err(StepError::aws("states:DescribeExecution", execution, error)),
    }
}

/// Whether a Map Run of an execution is still at work: one that has stopped has a date of that.
async fn maps_run(client: &Client, execution: &str) -> Result<bool, StepError> {
    let mut runs = client
        .list_map_runs()
        .execution_arn(execution)
        .into_paginator()
        .items()
        .send();
    while let Some(run) = runs.next().await {
        let run = run.map_err(|error| StepError::aws("states:ListMapRuns", execution, error))?;
        if run.stop_date().is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn known(status: String) -> Seen {
    if status == RUNNING {
        Seen::Runs
    } else {
        Seen::Ended(Some(status))
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
    use aws_sdk_sfn::types::ExecutionStatus;

    use super::*;

    #[test]
    fn only_running_is_at_work() {
        assert_eq!(known(ExecutionStatus::Running.as_str().to_owned()), Seen::Runs);
        for status in [
            ExecutionStatus::Succeeded,
            ExecutionStatus::Failed,
            ExecutionStatus::TimedOut,
            ExecutionStatus::Aborted,
        ] {
            assert_eq!(
                known(status.as_str().to_owned()),
                Seen::Ended(Some(status.as_str().to_owned()))
            );
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
