//! `drctl plan`: check a plan, write the template's parameters, make it the one in force, print the schema of plans.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use shared::aws::Aws;
use shared::plan::Plan;
use shared::plan::check::warnings;
use shared::record::Record;

use crate::account::{self, InRegion, regions};
use crate::output::{Exit, Output, Paint, one_line};
use crate::parameters::{Parameters, observer_parameters, parameters};
use crate::plan_file::{PlanFileError, read_plan};

/// Lists every error of the plan in `file`, or the scenarios that nothing recovers from yet. Findings are the result of this
/// verb, so they go to standard output.
pub fn check(file: &Path, output: &mut Output) -> Exit {
    match read_plan(file) {
        Ok(plan) => {
            let sound = output.paint(Paint::Good, "sound");
            output.line(format_args!(
                "{}: {sound} ({})",
                one_line(&file.display()),
                summary(&plan)
            ));
            for warning in warnings(&plan) {
                output.line(format_args!(
                    "{}: warning: {}: {}",
                    one_line(&file.display()),
                    warning.path,
                    warning.message
                ));
            }
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

/// Makes a plan the one in force in both of its Regions: the SHA-256 that each keeps it under, the primary's first. A Region
/// that does not answer does not keep the other one from it.
pub async fn push(aws: &Aws, plan: &Plan) -> Vec<InRegion<String>> {
    let mut answers = Vec::new();
    for region in regions(plan) {
        answers.push(InRegion {
            region: region.to_owned(),
            answer: Record::in_region(aws, region).put_plan(plan).await,
        });
    }
    answers
}

/// Makes a plan the one in force in the real AWS.
pub(crate) fn push_to_aws(plan: &Plan, output: &mut Output) -> Exit {
    account::to_change(plan, output, async |aws, _, output| {
        let mut exit = Exit::Success;
        for InRegion { region, answer } in push(aws, plan).await {
            match answer {
                Ok(sha256) => output.line(format_args!("{region}: in force, as {sha256}")),
                Err(error) => {
                    output.error(one_line(&format_args!(
                        "{region}: not known to be in force; push it again once the Region answers, since a recovery there \
                         follows the plan that it has: {error}"
                    )));
                    exit = Exit::Failure;
                }
            }
        }
        exit
    })
}

/// Writes the template's parameters, a file for each Region.
pub fn render(plan: &Plan, folder: &Path, output: &mut Output) -> Exit {
    let regions = parameters(plan).and_then(|both| {
        let observer = observer_parameters(plan)?;
        Ok(both.into_iter().chain(observer))
    });
    let regions = match regions {
        Ok(regions) => regions,
        Err(why) => {
            output.error(one_line(&why));
            return Exit::Failure;
        }
    };
    for (region, parameters) in regions {
        let file = folder.join(format!("{region}.yaml"));
        if let Err(error) = write(&file, &parameters) {
            let file = file.display();
            output.error(one_line(&format_args!("{file} could not be written: {error}")));
            return Exit::Failure;
        }
        output.line(format_args!(
            "{}: {} parameters",
            one_line(&file.display()),
            parameters.len()
        ));
    }
    Exit::Success
}

/// As YAML, the one form that SAM reads; a JSON string is one of YAML's too.
fn write(file: &PathBuf, parameters: &Parameters) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let lines = parameters
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", json!(value)));
    fs::write(file, lines.collect::<String>())
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
        plan.regions.standby.region,
        counted(plan.functions.len(), "function"),
        counted(plan.scenarios.len(), "scenario"),
        counted(plan.alarms.len(), "alarm"),
        counted(plan.contacts.len(), "contact"),
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
