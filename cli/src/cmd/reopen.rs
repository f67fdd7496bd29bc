//! `drctl reopen`: opens a Region that a recovery fenced and left shut.

use shared::plan::Plan;
use shared::reopen::{Opened, Order, reopen};

use crate::account;
use crate::args::ReopenArgs;
use crate::output::{Exit, Output, one_line};

/// Opens a Region in the real AWS.
pub(crate) fn run(args: &ReopenArgs, plan: &Plan, output: &mut Output) -> Exit {
    account::in_its_account(plan, output, async |aws, by, output| {
        let order = Order {
            region: &args.region,
            by: &by,
            approves: args.approve,
        };
        output.wrapped(
            "Checking the recovery, the lock and the database; this takes more than a minute.",
            2,
        );
        match reopen(aws, plan, order, async |time| tokio::time::sleep(time).await).await {
            Ok(opened) => show(&args.region, &opened, output),
            Err(refusal) => {
                output.error(one_line(&format_args!(
                    "nothing was opened in {}: {refusal}",
                    args.region
                )));
                Exit::Failure
            }
        }
    })
}

fn show(region: &str, opened: &Opened, output: &mut Output) -> Exit {
    let of = opened.opened + opened.failed.len();
    output.wrapped(
        format_args!(
            "{region}: {} of {of} resources are as they were before {} fenced them",
            opened.opened,
            one_line(&opened.recovery)
        ),
        2,
    );
    for missing in &opened.failed {
        output.error(one_line(&format_args!("{}: {}", missing.resource, missing.reason)));
    }
    if !opened.failed.is_empty() {
        output.error("open the other resources by hand, or run the command again");
        return Exit::Failure;
    }
    output.wrapped(
        "That recovery can no longer promote anything; start a new one if needed.",
        2,
    );
    Exit::Success
}
