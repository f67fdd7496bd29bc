//! `drctl plan`: check a plan, write the template's parameters, make it the one in force, print the schema of plans.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rehearsal::deployment::STEPS;
use serde_json::json;
use shared::aws::Aws;
use shared::error::StepError;
use shared::plan::Plan;
use shared::plan::check::warnings;
use shared::record::Record;

use crate::account::{self, InRegion, regions};
use crate::output::{Exit, Output, Paint, one_line};
use crate::parameters::{Parameters, RESERVED_CONCURRENCY, observer_parameters, parameters, prefix, reservable};
use crate::plan_file::{PlanFileError, read_plan};

/// Lists every error of the plan in `file`, or its warnings. Findings are the result of this verb: they go to standard output.
pub fn check(file: &Path, output: &mut Output) -> Exit {
    match read_plan(file) {
        Ok(plan) => {
            let sound = output.paint(Paint::Good, "sound");
            output.finding(format_args!(
                "{}: {sound} ({})",
                one_line(&file.display()),
                summary(&plan)
            ));
            for warning in warnings(&plan) {
                output.finding(format_args!(
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
                output.finding(format_args!("{place} {}", finding.text()));
            }
            Exit::Failure
        }
        Err(error @ PlanFileError::Unreadable { .. }) => {
            output.error(&error);
            Exit::WrongUse
        }
    }
}

/// Puts a plan in force in both of its Regions: the SHA-256 under which each keeps it, the primary's first. Each Region is asked,
/// also if the other does not answer.
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

/// Puts a plan in force in the real AWS.
pub(crate) fn push_to_aws(plan: &Plan, output: &mut Output) -> Exit {
    account::in_its_account(plan, output, async |aws, _, output| {
        let mut exit = Exit::Success;
        for InRegion { region, answer } in push(aws, plan).await {
            match answer {
                Ok(sha256) => output.finding(format_args!("{region}: in force, as {sha256}")),
                Err(error) => {
                    output.error(one_line(&format_args!(
                        "{region}: could not confirm that the plan is in force; push it again when the Region answers. Until then, a \
                         recovery there follows the plan that the Region has: {error}"
                    )));
                    exit = Exit::Failure;
                }
            }
        }
        exit
    })
}

/// Writes the template's parameters, a file for each Region, with concurrency of its own for the automation where the account allows it.
pub(crate) fn render_from_account(plan: &Plan, folder: &Path, output: &mut Output) -> Exit {
    account::in_its_account(plan, output, async |aws, _, output| {
        let mut reserved = BTreeMap::new();
        for InRegion { region, answer } in reserve(aws, plan).await {
            match answer {
                Ok(0) => output.finding(format_args!(
                    "{region}: warning: the quota of concurrent executions is too small to reserve any; if other functions use \
                     them up, a recovery waits; ask AWS for a larger quota"
                )),
                Ok(count) => output.finding(format_args!("{region}: {count} concurrent executions for each function")),
                Err(error) => {
                    output.error(one_line(&format_args!("{region}: nothing was written: {error}")));
                    return Exit::Failure;
                }
            }
            reserved.insert(region, answer.unwrap_or_default());
        }
        write_parameters(plan, folder, &reserved, output)
    })
}

/// How many concurrent executions each function of the automation can have for itself in each Region of the plan, those included that
/// it has.
pub async fn reserve(aws: &Aws, plan: &Plan) -> Vec<InRegion<i32>> {
    let mut answers = Vec::new();
    for region in regions(plan) {
        let lambda = aws_sdk_lambda::Client::new(&aws.config_to_change(region));
        let one = format!("{}{}", prefix(plan), STEPS[0].name);
        let settings = lambda.get_account_settings().send().await;
        let settings = settings.map_err(|error| StepError::aws("lambda:GetAccountSettings", region, error));
        let has = match lambda.get_function_concurrency().function_name(&one).send().await {
            Ok(has) => Ok(has.reserved_concurrent_executions().unwrap_or_default()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(0)
            }
            Err(error) => Err(StepError::aws("lambda:GetFunctionConcurrency", &one, error)),
        };
        let answer = settings.and_then(|settings| {
            let limit = settings
                .account_limit()
                .and_then(|limit| limit.unreserved_concurrent_executions());
            let unreserved = limit.unwrap_or_default().saturating_add(has? * STEPS.len() as i32);
            Ok(reservable(unreserved, STEPS.len()))
        });
        answers.push(InRegion {
            region: region.to_owned(),
            answer,
        });
    }
    answers
}

/// Writes the template's parameters, a file for each Region.
pub fn render(plan: &Plan, folder: &Path, output: &mut Output) -> Exit {
    write_parameters(plan, folder, &BTreeMap::new(), output)
}

fn write_parameters(plan: &Plan, folder: &Path, reserved: &BTreeMap<String, i32>, output: &mut Output) -> Exit {
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
    for (region, mut parameters) in regions {
        if let Some(count) = reserved.get(&region) {
            parameters.insert(RESERVED_CONCURRENCY.to_owned(), count.to_string());
        }
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
