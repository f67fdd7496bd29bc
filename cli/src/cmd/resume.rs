//! `drctl resume`: goes on with a recovery that fell short, in the Region that ran it.

use aws_sdk_sfn::types::ExecutionStatus;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::plan::Plan;
use shared::record::{Header, Record};
use shared::request::{Request, Trigger, TriggerKind};

use crate::account;
use crate::args::ResumeArgs;
use crate::output::{Exit, Output, one_line};

/// An execution that goes on with a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The Region that runs it.
    pub region: String,
    /// Its ARN.
    pub execution: String,
}

/// Starts a new execution of the machine that ran recovery `id`, which goes on where it stopped; `by` is the ARN of who
/// wants that. Asked twice, it starts once. Whether the recovery may be gone on with is for the recovery itself to say.
///
/// Errors: `NotFound` if neither Region of the plan has such a recovery, and AWS's own.
pub async fn resume(aws: &Aws, plan: &Plan, id: &str, by: &str) -> Result<Resumed, StepError> {
    let (region, header) = find(aws, plan, id).await?;
    let mut request = Request::new(
        header.scenario,
        header.mode,
        header.intent,
        Trigger {
            kind: TriggerKind::Person,
            by: by.to_owned(),
            at: aws.now(),
        },
    );
    request.resume = Some(header.id.clone());
    let input = serde_json::to_string(&request).map_err(|error| {
        StepError::new(
            ErrorKind::Internal,
            format!("the request to go on with {id} could not be written: {error}; this is a defect"),
        )
    })?;
    let machine = machine_of(&header.execution).ok_or_else(|| {
        let text = format!("the record of {id} names no execution; look whether the table was changed by hand");
        StepError::new(ErrorKind::NotFound, text)
    })?;
    let client = aws_sdk_sfn::Client::new(&aws.config_to_change(&region));
    let execution = start(&client, &machine, &header.id, &input).await?;
    Ok(Resumed { region, execution })
}

/// Starts the next execution of a recovery, unless the last one that was started still runs; gives its ARN. Names are
/// numbered, so that whoever asks twice does not start two.
async fn start(client: &aws_sdk_sfn::Client, machine: &str, id: &str, input: &str) -> Result<String, StepError> {
    for number in 1..=RESUMED_AT_MOST {
        let name = format!("{id}-resumed-{number}");
        let execution = format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1));
        let described = client.describe_execution().execution_arn(&execution).send().await;
        match described {
            Ok(described) if *described.status() == ExecutionStatus::Running => return Ok(execution),
            Ok(_) => continue,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_execution_does_not_exist()) => {}
            Err(error) => return Err(StepError::aws("states:DescribeExecution", &execution, error)),
        }
        let started = client
            .start_execution()
            .state_machine_arn(machine)
            .name(&name)
            .input(input)
            .send()
            .await;
        return match started {
            Ok(started) => Ok(started.execution_arn().to_owned()),
            // Somebody else asked at the same moment.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_execution_already_exists()) =>
            {
                Ok(execution)
            }
            Err(error) => Err(StepError::aws("states:StartExecution", machine, error)),
        };
    }
    Err(StepError::new(
        ErrorKind::LimitExceeded,
        format!("recovery {id} was gone on with {RESUMED_AT_MOST} times; start a new one"),
    ))
}

/// How often a recovery is gone on with at most.
const RESUMED_AT_MOST: u32 = 50;

/// Goes on with a recovery in the real AWS.
pub(crate) fn run(args: &ResumeArgs, plan: &Plan, output: &mut Output) -> Exit {
    account::with(plan, output, async |aws, output| {
        let Some(by) = account::caller(aws, plan, output).await else {
            return Exit::Failure;
        };
        match resume(aws, plan, &args.recovery, &by).await {
            Ok(Resumed { region, execution }) => {
                output.line(format_args!(
                    "{} goes on in {region}: {execution}",
                    one_line(&args.recovery)
                ));
                output.line("Watch it in the Step Functions console; how it ends is announced.");
                Exit::Success
            }
            Err(error) => {
                output.error(one_line(&error));
                Exit::Failure
            }
        }
    })
}

/// The Region whose table has the recovery, and its header.
async fn find(aws: &Aws, plan: &Plan, id: &str) -> Result<(String, Header), StepError> {
    let mut unseen = Vec::new();
    for region in [&plan.regions.recovery.region, &plan.regions.primary.region] {
        match Record::in_region(aws, region).header(id).await {
            Ok(Some(header)) => return Ok((region.clone(), header)),
            Ok(None) => {}
            Err(error) => unseen.push(format!("{region} could not be asked: {error}")),
        }
    }
    let unseen = if unseen.is_empty() {
        String::new()
    } else {
        format!(" ({})", unseen.join("; "))
    };
    Err(StepError::new(
        ErrorKind::NotFound,
        format!(
            "there is no recovery {id} in the tables {} of {} and {}{unseen}; its id is in what was announced",
            plan.automation.table, plan.regions.recovery.region, plan.regions.primary.region
        ),
    ))
}

/// `arn:aws:states:us-west-2:1:execution:name:run` → `arn:aws:states:us-west-2:1:stateMachine:name`.
fn machine_of(execution: &str) -> Option<String> {
    let (machine, _) = execution.rsplit_once(':')?;
    machine
        .contains(":execution:")
        .then(|| machine.replacen(":execution:", ":stateMachine:", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_follows_from_the_execution() {
        assert_eq!(
            machine_of("arn:aws:states:us-west-2:1:execution:region-switch:one").as_deref(),
            Some("arn:aws:states:us-west-2:1:stateMachine:region-switch")
        );
        assert_eq!(machine_of("arn:aws:lambda:us-west-2:1:function:x"), None);
    }
}
