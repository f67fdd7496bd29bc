//! What a stack must have, so that what is deployed is what was rehearsed: a place for each function and each machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rehearsal::deployment::DeployedStep;
use serde_json::{Value, json};
use shared::recovery::RECOVERY_MACHINE;
use simulator::simulation::{hole, machine_hole};

use crate::policy::listed;
use crate::template::{Resource, Stack};

/// Keeping the timeline: 2 s at the beginning and 2 s at the end of an invocation.
pub const TIMELINE: Duration = Duration::from_secs(4);

/// A state machine that must be deployed: its name, and its text with `${Hole}`s.
pub type ExpectedMachine<'a> = (&'a str, &'a str);

/// Everything that is missing or wrong in a stack, one text each.
pub fn incomplete(stack: &Stack, functions: &[DeployedStep], machines: &[ExpectedMachine<'_>]) -> Vec<String> {
    let mut wrong = Vec::new();
    for function in functions {
        wrong.extend(function_is_wrong(stack, function));
    }
    let expected: BTreeSet<String> = functions.iter().map(|function| hole(function.name)).collect();
    let more = stack
        .of_kind("AWS::Lambda::Function")
        .filter(|(name, _)| !expected.contains(*name));
    wrong.extend(more.map(|(name, _)| format!("the template has a function {name}, and there is no folder of it")));
    for (name, text) in machines {
        wrong.extend(machine_is_wrong(stack, name, text));
    }
    let expected: BTreeSet<String> = machines.iter().map(|(name, _)| machine_hole(name)).collect();
    let more = stack.of_kind("AWS::StepFunctions::StateMachine");
    let more = more.filter(|(name, _)| !expected.contains(*name));
    wrong.extend(more.map(|(name, _)| format!("the template has a machine {name}, and there is no file of it")));
    wrong
}

fn function_is_wrong(stack: &Stack, expected: &DeployedStep) -> Vec<String> {
    let (name, logical) = (expected.name, hole(expected.name));
    let Some(function) = stack.resources.get(&logical) else {
        return vec![format!("{name} has no function {logical} in the template")];
    };
    let properties = &function.properties;
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(format!("{name}: {what}"));
        }
    };
    let is = |field: &str, wanted: Value| (properties[field] == wanted, format!("{field} is {}", properties[field]));
    for (is_right, what) in [
        is("Runtime", json!("provided.al2023")),
        is("Handler", json!("bootstrap")),
    ] {
        check(is_right, what);
    }
    check(
        properties.pointer("/Code/S3Key") == Some(&json!(format!("target/lambda/{name}"))),
        format!("its code is {}", properties["Code"]),
    );
    check(
        properties["FunctionName"]
            .as_str()
            .is_some_and(|full| full.ends_with(name) && full.len() <= 64),
        format!("it is called {}", properties["FunctionName"]),
    );
    let timeout = Duration::from_secs(properties["Timeout"].as_u64().unwrap_or_default());
    check(
        timeout == expected.time_limit + TIMELINE,
        format!(
            "Timeout is {timeout:?}; its own limit and the timeline make {:?}",
            expected.time_limit + TIMELINE
        ),
    );
    check(
        properties
            .pointer("/Environment/Variables/RECORD_TABLE")
            .and_then(Value::as_str)
            .is_some(),
        "RECORD_TABLE is not set".to_owned(),
    );
    let role = stack.resources.get(&format!("{logical}Role"));
    check(
        role.is_some_and(|role| properties["Role"] == json!(role.arn)),
        "it has no role of its own".to_owned(),
    );
    let log = stack.resources.get(&format!("{logical}Log"));
    check(
        log.is_some_and(|log| {
            properties.pointer("/LoggingConfig/LogGroup") == Some(&log.properties["LogGroupName"])
                && log.properties["RetentionInDays"].is_string()
        }),
        "it has no log group with a retention".to_owned(),
    );
    check(
        version_of(stack, function).is_some(),
        "no version of it is published".to_owned(),
    );
    wrong
}

/// ARN of the version of a function that the stack publishes.
fn version_of(stack: &Stack, function: &Resource) -> Option<String> {
    let mut versions = stack.of_kind("AWS::Lambda::Version");
    let of_function =
        versions.find(|(_, version)| version.properties["FunctionName"] == function.properties["FunctionName"]);
    of_function.map(|(_, version)| version.arn.clone())
}

fn machine_is_wrong(stack: &Stack, name: &str, text: &str) -> Vec<String> {
    let logical = machine_hole(name);
    let Some(machine) = stack.resources.get(&logical) else {
        return vec![format!("{name} has no state machine {logical} in the template")];
    };
    let properties = &machine.properties;
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(format!("{name}: {what}"));
        }
    };
    check(
        properties.pointer("/DefinitionS3Location/Key") == Some(&json!(format!("statemachines/{name}.asl.json"))),
        format!("its definition is {}", properties["DefinitionS3Location"]),
    );
    let filled: BTreeMap<String, String> = properties["DefinitionSubstitutions"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(hole, value)| (hole.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let holes = holes(text);
    for hole in &holes {
        check(filled.contains_key(hole), format!("nothing fills ${{{hole}}}"));
    }
    for (hole, value) in &filled {
        check(
            holes.contains(hole),
            format!("{hole} is given, and there is no such hole"),
        );
        let function = stack.resources.get(hole);
        if let Some(function) = function.filter(|found| found.kind == "AWS::Lambda::Function") {
            check(
                version_of(stack, function).as_ref() == Some(value),
                format!("${{{hole}}} is {value}, which is not a published version of the function"),
            );
        }
    }
    check(
        properties.pointer("/LoggingConfiguration/IncludeExecutionData") == Some(&json!(false)),
        "its log would hold task tokens".to_owned(),
    );
    check(
        properties.pointer("/LoggingConfiguration/Level") == Some(&json!("ALL")),
        "it does not log".to_owned(),
    );
    if name != RECOVERY_MACHINE {
        wrong.extend(version_is_wrong(stack, name, &logical, &machine.arn));
        return wrong;
    }
    let ended = listed(&stack.resource("ExecutionEnded").properties["EventPattern"]["detail"]["stateMachineArn"]);
    check(
        ended.contains(&machine.arn),
        "ExecutionEnded does not hear of its executions".to_owned(),
    );
    let watched = &stack.resource("RecoveryNotClosed").properties["Metrics"];
    for metric in ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"] {
        let is_watched = watched.as_array().into_iter().flatten().any(|query| {
            let metric_of = query.pointer("/MetricStat/Metric");
            metric_of.is_some_and(|of| {
                of["MetricName"] == json!(metric)
                    && of["Dimensions"] == json!([{ "Name": "StateMachineArn", "Value": machine.arn }])
            })
        });
        check(is_watched, format!("RecoveryNotClosed does not look at its {metric}"));
    }
    wrong
}

/// What is wrong with the version of a scenario's machine that the recovery machine starts.
fn version_is_wrong(stack: &Stack, name: &str, logical: &str, machine_arn: &str) -> Vec<String> {
    let Some(version) = stack.resources.get(&format!("{logical}Version")) else {
        return vec![format!("{name}: no version of it is published")];
    };
    let mut wrong = Vec::new();
    if version.properties["StateMachineArn"] != json!(machine_arn) {
        wrong.push(format!(
            "{name}: its version is one of {}",
            version.properties["StateMachineArn"]
        ));
    }
    let policies = [&version.deletion_policy, &version.update_replace_policy];
    if policies.iter().any(|policy| policy.as_deref() != Some("Retain")) {
        wrong.push(format!(
            "{name}: an update would take a version away that a running recovery starts"
        ));
    }
    let recovery = &stack.resource(&machine_hole(RECOVERY_MACHINE)).properties;
    if recovery["DefinitionSubstitutions"][logical] != json!(version.arn) {
        wrong.push(format!("{name}: the recovery machine does not start its version"));
    }
    wrong
}

/// The names in `${Name}` of a text.
pub fn holes(text: &str) -> BTreeSet<String> {
    let after = text.split("${").skip(1);
    after
        .filter_map(|after| after.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}
