//! Resumes a recovery that fell short, in the Region that ran it.

use crate::arn;
use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};
use crate::execution::{Seen, end_what_is_left, look_up, start_once};
use crate::plan::Plan;
use crate::record::{Header, Record};
use crate::recovery::RECOVERY_MACHINE;
use crate::request::{Request, Trigger, TriggerKind};
use aws_sdk_sfn::types::ExecutionStatus;

/// An execution that resumes a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The Region that runs it.
    pub region: String,
    /// Its ARN.
    pub execution: String,
}

/// Starts a new execution of the recovery machine, which resumes recovery `id` where it stopped; `by` is the ARN of who
/// wants that. What an execution of it that has ended left running is stopped before. Asked twice, it starts once. Whether
/// the recovery may be resumed is for the recovery itself to say.
///
/// Errors: `NotFound` if neither Region of the plan has such a recovery, `Conflict` while what is to be stopped still runs,
/// and AWS's own.
pub async fn resume(aws: &Aws, plan: &Plan, id: &str, by: &str) -> Result<Resumed, StepError> {
    let (region, header) = find(aws, plan, id).await?;
    let mut request = Request::new(
        header.scenario,
        header.mode,
        header.wants.clone(),
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
            format!("the request to resume {id} could not be written as JSON: {error}; this is a defect"),
        )
    })?;
    let machine = recovery_machine(&header).ok_or_else(|| {
        let text = format!("the record of {id} names no execution; check whether the table was changed by hand");
        StepError::new(ErrorKind::NotFound, text)
    })?;
    if let Some(run) = &header.run
        && let Seen::Ended(_) = look_up(aws, &header.execution, header.opened_at).await?
    {
        end_what_is_left(aws, run).await?;
    }
    let client = aws_sdk_sfn::Client::new(&aws.config_to_change(&region));
    let execution = start(&client, &machine, &header.id, &input).await?;
    Ok(Resumed { region, execution })
}

/// Starts the next execution of a recovery, unless the last one that was started still runs; gives its ARN. Names are
/// numbered, so that whoever asks twice does not start two.
async fn start(client: &aws_sdk_sfn::Client, machine: &str, id: &str, input: &str) -> Result<String, StepError> {
    for number in 1..=RESUMED_AT_MOST {
        let name = format!("{id}-resumed-{number}");
        let execution = arn::execution(machine, &name);
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
        // Somebody else may ask at the same moment.
        return start_once(client, machine, &name, input).await;
    }
    Err(StepError::new(
        ErrorKind::LimitExceeded,
        format!("recovery {id} was resumed {RESUMED_AT_MOST} times; start a new one"),
    ))
}

/// How often one recovery can be resumed.
const RESUMED_AT_MOST: u32 = 50;

/// The Region whose table has the recovery, and its header.
async fn find(aws: &Aws, plan: &Plan, id: &str) -> Result<(String, Header), StepError> {
    let mut unseen = Vec::new();
    for region in [&plan.regions.standby.region, &plan.regions.primary.region] {
        match Record::in_region(aws, region).header(id).await {
            Ok(Some(header)) => return Ok((region.clone(), header)),
            Ok(None) => {}
            Err(error) => unseen.push(format!("could not ask {region}: {error}")),
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
            "there is no recovery {id} in the tables {} of {} and {}{unseen}; take its id from the announcement",
            plan.automation.table, plan.regions.standby.region, plan.regions.primary.region
        ),
    ))
}

/// ARN of the machine that resumes a recovery: that of its execution. Before there was a recovery machine that was the
/// scenario's own, which is called alike but for its last word.
fn recovery_machine(header: &Header) -> Option<String> {
    let machine = arn::machine(&header.execution)?;
    if header.run.is_some() {
        return Some(machine);
    }
    let prefix = header.scenario.machine().and_then(|name| machine.strip_suffix(name));
    Some(prefix.map_or_else(|| machine.clone(), |prefix| prefix.to_owned() + RECOVERY_MACHINE))
}

#[cfg(test)]
mod tests {
    use crate::recovery::Mode;
    use crate::scenario::{Fields, Scenario};
    use crate::scenario_run::ScenarioRun;
    use jiff::Timestamp;

    use super::*;

    fn header(execution: &str, run: Option<ScenarioRun>) -> Header {
        let objective = crate::plan::Objective {
            target: crate::plan::Duration::from_secs(1),
            maximum: crate::plan::Duration::from_secs(2),
        };
        Header {
            id: "r".into(),
            workload: "shop".into(),
            scenario: Scenario::REGION_FAILURE,
            mode: Mode::Live,
            wants: Fields::new(),
            regions: None,
            trigger: Trigger {
                kind: TriggerKind::Person,
                by: "arn:p".into(),
                at: Timestamp::UNIX_EPOCH,
            },
            plan_sha256: "abc".into(),
            automation: None,
            objectives: crate::plan::Objectives {
                rto: objective,
                rpo: None,
            },
            opened_at: Timestamp::UNIX_EPOCH,
            execution: execution.into(),
            run,
            resumed: vec![],
            closing: None,
            earlier: vec![],
        }
    }

    #[test]
    fn the_machine_follows_from_the_execution() {
        let machine = |execution: &str, run| recovery_machine(&header(execution, run));
        let execution = "arn:aws:states:us-west-2:123456789012:execution:shop-recovery:one";
        let expected = "arn:aws:states:us-west-2:123456789012:stateMachine:shop-recovery";
        let run = ScenarioRun::new("arn:m", execution);
        assert_eq!(machine(execution, Some(run)).as_deref(), Some(expected));
        // It was not opened.
        assert_eq!(machine(execution, None).as_deref(), Some(expected));
        // From before there was a recovery machine.
        let before = execution.replace("shop-recovery", "shop-region-switch");
        assert_eq!(machine(&before, None).as_deref(), Some(expected));
        assert_eq!(machine("arn:aws:lambda:us-west-2:123456789012:function:x", None), None);
    }
}
