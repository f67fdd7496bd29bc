//! The real AWS account, for the verbs that need one.

use shared::arn::Arn;
use shared::aws::Aws;
use shared::error::StepError;
use shared::plan::Plan;

use crate::output::{Exit, Output, one_line};

/// What one Region answered.
#[derive(Debug)]
pub struct InRegion<T> {
    /// The Region.
    pub region: String,
    /// Its answer.
    pub answer: Result<T, StepError>,
}

/// The plan's Regions, the primary first.
pub(crate) fn regions(plan: &Plan) -> [&str; 2] {
    [&plan.regions.primary.region, &plan.regions.standby.region]
}

/// Runs `verb` against the real AWS, as the environment's credentials allow. One that changes something, or whose answer would
/// be wrong of another account, goes through [`in_its_account`].
pub(crate) fn with(plan: &Plan, output: &mut Output, verb: impl AsyncFnOnce(&Aws, &mut Output) -> Exit) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(format_args!("no runtime: {error}"));
            return Exit::Failure;
        }
    };
    runtime.block_on(async {
        let aws = Aws::from_environment(plan.automation.table.clone()).await;
        verb(&aws, output).await
    })
}

/// Likewise a verb that runs only in the plan's account. It is handed the ARN of its caller.
pub(crate) fn in_its_account(
    plan: &Plan,
    output: &mut Output,
    verb: impl AsyncFnOnce(&Aws, String, &mut Output) -> Exit,
) -> Exit {
    with(plan, output, async |aws, output| {
        match caller(aws, plan, output).await {
            Some(by) => verb(aws, by, output).await,
            None => Exit::Failure,
        }
    })
}

/// ARN of whose credentials these are, as AWS says; nothing, and why is said, if it does not, or if they are of another account
/// than the plan's: a table may be called alike there. Either Region can say it; the one that takes over is asked first.
async fn caller(aws: &Aws, plan: &Plan, output: &mut Output) -> Option<String> {
    let mut answer = caller_in(aws, &plan.regions.standby.region).await;
    if answer.is_err() {
        answer = caller_in(aws, &plan.regions.primary.region).await;
    }
    match answer {
        Ok(arn) => match in_account_of(plan, &arn) {
            Ok(()) => Some(arn),
            Err(why) => {
                output.error(one_line(&why));
                None
            }
        },
        Err(error) => {
            output.error(one_line(&format_args!(
                "nothing was changed, because AWS did not say who you are; check your credentials, then try again: {error}"
            )));
            None
        }
    }
}

async fn caller_in(aws: &Aws, region: &str) -> Result<String, StepError> {
    let identity = aws_sdk_sts::Client::new(&aws.config_to_change(region))
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| StepError::aws("sts:GetCallerIdentity", region, error))?;
    Ok(identity.arn().unwrap_or("a caller without an ARN").to_owned())
}

/// Whether an ARN is of the plan's account. Errors: a text, if it is not.
fn in_account_of(plan: &Plan, arn: &str) -> Result<(), String> {
    let account = Arn::read(arn).map_or("an unknown account", |arn| arn.account);
    if account == plan.account {
        return Ok(());
    }
    Err(format!(
        "nothing was changed: your credentials are of {arn}, in account {account}, and the plan is for account {}; use credentials \
         of that account, or give this account's plan with --plan",
        plan.account
    ))
}
