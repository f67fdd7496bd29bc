//! `drctl resume`: resumes a recovery that failed, was rolled back or is partial, in the Region that ran it.

use shared::plan::Plan;
use shared::resume::{Resumed, resume};

use crate::account;
use crate::args::ResumeArgs;
use crate::output::{Exit, Output, one_line};

/// Resumes a recovery in the real AWS.
pub(crate) fn run(args: &ResumeArgs, plan: &Plan, output: &mut Output) -> Exit {
    account::in_its_account(plan, output, async |aws, by, output| {
        match resume(aws, plan, &args.recovery, &by).await {
            Ok(Resumed { region, execution }) => {
                output.wrapped(
                    format_args!("{} resumed in {region}: {execution}", one_line(&args.recovery)),
                    2,
                );
                output.wrapped(
                    "The Step Functions console shows its steps; the topic announces its end.",
                    2,
                );
                Exit::Success
            }
            Err(error) => {
                output.error(one_line(&error));
                Exit::Failure
            }
        }
    })
}
