//! `drctl start`: starts a recovery as oneself, at the URL of the function that takes such requests.

use std::time::Duration;

use serde_json::{Value, json};
use shared::arn::Arn;
use shared::aws::{Aws, WebAnswer};
use shared::error::StepError;
use shared::plan::{Plan, Site};
use shared::recovery::RECOVERY_MACHINE;
use shared::step::Step;
use start_by_hand::StartByHand;

use crate::account;
use crate::args::StartArgs;
use crate::output::{Exit, Output, one_line};
use crate::parameters::prefix;

/// The alias whose URL it is: the one that the stack moves to each new version.
const ALIAS: &str = "live";
/// How long one answer may take: longer than the function itself takes at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often it is asked, if it cannot be reached or says to try again.
const TRIES: u32 = 4;
/// How long to wait in between.
const TRIED_EVERY: Duration = Duration::from_secs(3);

/// Starts a recovery in the real AWS.
pub(crate) fn run(args: &StartArgs, plan: &Plan, output: &mut Output) -> Exit {
    if args.scenario.machine().is_none() {
        output.error(super::rehearse::not_available(args.scenario, plan));
        return Exit::WrongUse;
    }
    let wants = match args.scenario.wants(args.wants.iter().cloned().collect()) {
        Ok(wants) => wants,
        Err(why) => {
            output.error(format_args!("--want: {}", one_line(&why)));
            return Exit::WrongUse;
        }
    };
    let region = args.region.as_deref().unwrap_or(&plan.regions.standby.region);
    let Some(site) = plan.site(region) else {
        output.error(format_args!(
            "the plan has no Region {}; its Regions are {} and {}",
            one_line(&region),
            plan.regions.primary.region,
            plan.regions.standby.region
        ));
        return Exit::WrongUse;
    };
    let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let asked = json!({
        "id": id, "machine": machine(plan, site), "scenario": args.scenario, "wants": wants,
        "always_ask": args.always_ask, "drill": args.drill, "take_over": args.take_over,
    });
    account::in_its_account(plan, output, async |aws, by, output| {
        output.wrapped(
            format_args!("Asking {region} to start {}, as {} …", args.scenario, one_line(&by)),
            2,
        );
        match start(aws, plan, region, &asked).await {
            Ok(execution) => {
                output.wrapped(format_args!("Started: {}", one_line(&execution)), 2);
                output.wrapped(
                    "The topic announces its questions and its end. The Step Functions console shows its steps.",
                    2,
                );
                Exit::Success
            }
            Err(why) => {
                output.error(one_line(&why));
                Exit::Failure
            }
        }
    })
}

/// ARN of the recovery machine of a Region.
fn machine(plan: &Plan, site: &Site) -> String {
    let (partition, region) = (site.partition(), &site.region);
    let name = prefix(plan) + RECOVERY_MACHINE;
    Arn {
        partition,
        service: "states",
        region,
        account: &plan.account,
        resource: &format!("stateMachine:{name}"),
    }
    .to_string()
}

/// Asks until it is answered; gives the ARN of the execution. Errors: why nothing was started, or that this is unknown.
async fn start(aws: &Aws, plan: &Plan, region: &str, asked: &Value) -> Result<String, String> {
    let function = prefix(plan) + StartByHand::NAME;
    let url = url(aws, region, &function).await.map_err(|error| {
        format!(
            "nothing was started: {error}. Deploy the stack in {region}, and get its policy operators. The Step Functions console \
             starts a recovery without this URL; then two people have to approve each question"
        )
    })?;
    let mut last = String::new();
    for attempt in 1..=TRIES {
        if attempt > 1 {
            tokio::time::sleep(TRIED_EVERY).await;
        }
        match aws.post_signed(region, &url, asked.to_string(), ANSWER_WITHIN).await {
            Ok(WebAnswer { status: 202, body }) => return Ok(said(&body, "execution")),
            // Lambda's own 403 has no message of ours: the URL's policy or the signature.
            Ok(WebAnswer { status: 403, body }) if said(&body, "result").is_empty() => {
                return Err(format!(
                    "nothing was started: {region} denied you access ({}); get the policy operators of its stack",
                    String::from_utf8_lossy(&body)
                ));
            }
            Ok(WebAnswer { status, body }) if status < 500 || said(&body, "result") == "failed" => {
                return Err(format!("nothing was started: {}", said(&body, "message")));
            }
            Ok(WebAnswer { status, body }) => last = format!("{status} {}", said(&body, "message")),
            Err(why) => last = why,
        }
    }
    Err(format!(
        "could not confirm whether a recovery was started, after {TRIES} tries: {last}. Before you start another one, look in the Step \
         Functions console of {region} for an execution whose name ends in {}",
        asked["id"].as_str().unwrap_or_default()
    ))
}

async fn url(aws: &Aws, region: &str, function: &str) -> Result<String, StepError> {
    let configured = aws_sdk_lambda::Client::new(&aws.config_to_change(region))
        .get_function_url_config()
        .function_name(function)
        .qualifier(ALIAS)
        .send()
        .await
        .map_err(|error| StepError::aws("lambda:GetFunctionUrlConfig", &format!("{function} in {region}"), error))?;
    Ok(configured.function_url().to_owned())
}

/// A text of an answer; empty where the answer is no JSON of ours.
fn said(body: &[u8], field: &str) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body[field].as_str().unwrap_or_default().to_owned()
}
