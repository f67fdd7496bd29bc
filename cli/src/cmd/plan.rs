//! `drctl plan`: check a plan, print the schema of plans.

use std::path::Path;

use shared::plan::Plan;

use crate::output::{Exit, Output, Paint, one_line};
use crate::plan_file::{PlanFileError, read_plan};

/// Lists every error of the plan in `file`. Findings are the result of this verb, so they go to standard output.
pub fn check(file: &Path, output: &mut Output) -> Exit {
    match read_plan(file) {
        Ok(plan) => {
            let sound = output.paint(Paint::Good, "sound");
            output.line(format_args!(
                "{}: {sound} ({})",
                one_line(&file.display()),
                summary(&plan)
            ));
            Exit::Success
        }
        Err(PlanFileError::Wrong { file, findings }) => {
            for finding in findings {
                let place = finding.place(&file);
                let place = output.paint(Paint::Strong, &place);
                output.line(format_args!("{place} {}", finding.text()));
            }
            Exit::Failure
        }
        Err(error @ PlanFileError::Unreadable { .. }) => {
            output.error(&error);
            Exit::WrongUse
        }
    }
}

/// Prints the schema of plans.
pub fn schema(output: &mut Output) -> Exit {
    output.line(format_args!("{:#}", Plan::schema()));
    Exit::Success
}

fn summary(plan: &Plan) -> String {
    format!(
        "{}: {} to {}, {}, {}, {}, {}",
        plan.workload,
        plan.regions.primary.region,
        plan.regions.recovery.region,
        counted(plan.functions.len(), "function"),
        counted(plan.scenarios.len(), "scenario"),
        counted(plan.alarms.len(), "alarm"),
        counted(plan.contacts.len(), "contact"),
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
