//! `drctl resume`: goes on with a recovery that fell short, in the Region that ran it.

use shared::plan::Plan;
use shared::resume::{Resumed, resume};

use crate::account;
use crate::args::ResumeArgs;
use crate::output::{Exit, Output, one_line};

/// Goes on with a recovery in the real AWS.
pub(crate) fn run(args: &ResumeArgs, plan: &Plan, output: &mut Output) -> Exit {
    account::in_its_account(plan, output, async |aws, by, output| {
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
