//! What to do about a Region that is not confirmed to be blocked: which of its resources, and what to type.

use serde::Deserialize;
use serde_json::Value;
use shared::record::{Missing, Resource, ResourceKind};
use shared::recovery::Outcome;

use crate::account::Account;
use crate::commands::is_plain;
use crate::page::{Text, Todo};
use crate::words::{count, in_short};

/// What to type about a part of the other Region, by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'a> {
    Function { name: &'a str },
    EventSource { uuid: &'a str },
    EventSources,
    Stage { stage: &'a str, api: &'a str },
    Unknown,
}

/// What a part is, and its Region. What goes into a command must be a name and nothing else.
fn what(part: &Missing) -> (What<'_>, &str) {
    let Resource {
        kind, name, of, region, ..
    } = &part.resource;
    let (of, region) = (of.as_deref().unwrap_or_default(), region.as_deref().unwrap_or_default());
    let what = match kind {
        ResourceKind::Function if is_plain(name) => What::Function { name },
        ResourceKind::EventSource if name.is_empty() => What::EventSources,
        ResourceKind::EventSource if is_plain(name) => What::EventSource { uuid: name },
        ResourceKind::Stage if is_plain(name) && is_plain(of) => What::Stage { stage: name, api: of },
        _ => What::Unknown,
    };
    (if is_plain(region) { what } else { What::Unknown }, region)
}

/// The resources that were not verified, if the recovery ended with the database promoted or its promotion requested. Empty
/// if nothing is left to block.
pub(crate) fn parts(account: &Account) -> Vec<Missing> {
    let ended = account.header.ended().map(|closing| closing.outcome);
    if !matches!(ended, Some(Outcome::Recovered | Outcome::Partial | Outcome::Failed)) {
        return Vec::new();
    }
    let fence = account.newest("fence").and_then(|fence| fence.get("unconfirmed"));
    let unconfirmed = fence.and_then(Value::as_array).into_iter().flatten();
    unconfirmed.filter_map(|part| Missing::deserialize(part).ok()).collect()
}

/// How many resources of the other Region are verified to be blocked, and of how many; nothing if the evidence has no count.
pub(crate) fn confirmed_of(account: &Account) -> Option<(u64, u64)> {
    let fence = account.newest("fence")?;
    let of = fence.get("resources")?.as_u64()?;
    let named = u64::try_from(fence.get("unconfirmed")?.as_array()?.len()).ok()?;
    let missing = named.checked_add(fence.get("more_unconfirmed")?.as_u64()?)?;
    Some((of.checked_sub(missing)?, of))
}

/// Whether the other Region is confirmed to be blocked; nothing if the evidence has no fence.
pub(crate) fn confirmed(account: &Account) -> Option<bool> {
    account
        .newest("fence")
        .and_then(|fence| fence.get("confirmed")?.as_bool())
}

/// What to do about them, by kind; empty if nothing is left.
pub(crate) fn todos(account: &Account) -> Vec<Todo> {
    if confirmed(account) != Some(false) {
        return Vec::new();
    }
    let (parts, other) = (parts(account), account.other());
    let mut steps = Vec::new();
    let functions: Vec<(&str, &str)> = parts
        .iter()
        .filter_map(|part| match what(part) {
            (What::Function { name }, region) => Some((name, region)),
            _ => None,
        })
        .collect();
    if let [(_, region), ..] = functions.as_slice() {
        let names: Vec<&str> = functions.iter().map(|(name, _)| *name).collect();
        let each = |call: &str, with: &str| {
            let names = names.join(" ");
            format!("for f in {names}; do echo $f; aws lambda {call} --region {region} --function-name $f{with}; done")
        };
        steps.push(
            Todo::now(format!("Block {} in {region}", count(names.len(), "function", "functions")))
                .about(format!("{}.", names.join(", ")))
                .by("whoever is on call, with permission for lambda:GetFunctionConcurrency and lambda:PutFunctionConcurrency")
                .run("Look, and keep the output", each("get-function-concurrency", ""))
                .run("Block", each("put-function-concurrency", " --reserved-concurrent-executions 0"))
                .done(
                    "the first command says \"ReservedConcurrentExecutions\": 0 for each. No output means that none is \
                     reserved: the function can run.",
                ),
        );
    }
    steps.extend(parts.iter().filter_map(of_part));
    vec![whole(&parts, other).parts(steps)]
}

/// What holds for all of them, and those without a command.
fn whole(parts: &[Missing], other: &str) -> Todo {
    let mut reasons: Vec<String> = Vec::new();
    for part in parts {
        // The call that a reason names differs; its result rarely does.
        let reason = in_short(part.cause.as_deref().unwrap_or(&part.reason));
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let mut text = Text::plain(format!(
        "Could not confirm that {other} is blocked. Writes that it accepts are lost. As soon as it answers, check each of its \
         resources, and block what is open."
    ));
    if !reasons.is_empty() {
        text = text.and(format!(" Reason, as reported then: {}.", reasons.join("; ")));
    }
    let unknown = parts.iter().filter(|part| what(part).0 == What::Unknown);
    let unknown: Vec<&str> = unknown.map(|part| part.resource.text.as_str()).collect();
    if !unknown.is_empty() {
        text = text.and(format!(" Without a command here: {}.", unknown.join("; ")));
    }
    Todo::now(format!("Block {other}")).about(text)
}

/// What to do about one that is not a function.
fn of_part(part: &Missing) -> Option<Todo> {
    let (what, region) = what(part);
    let sources = |title: String, look: String, uuid: &str| {
        Todo::now(title)
            .by("whoever is on call, with permission for lambda:ListEventSourceMappings, lambda:GetEventSourceMapping and lambda:UpdateEventSourceMapping")
            .run("Look, and keep the output", look)
            .run(
                "Block each that is Enabled",
                format!("aws lambda update-event-source-mapping --region {region} --uuid {uuid} --no-enabled"),
            )
            .done("the first command says \"Disabled\", after a minute of \"Disabling\".")
    };
    Some(match what {
        What::Function { .. } | What::Unknown => return None,
        What::EventSource { uuid } => sources(
            format!("Block the {}", part.resource),
            format!("aws lambda get-event-source-mapping --region {region} --uuid {uuid}"),
            uuid,
        ),
        What::EventSources => sources(
            format!("Block the event sources of these functions in {region}"),
            format!(
                "aws lambda list-event-source-mappings --region {region} --query \
                 'EventSourceMappings[].[UUID,State,FunctionArn]' --output table"
            ),
            "UUID",
        ),
        What::Stage { stage, api } => Todo::now(format!("Block the {}", part.resource))
            .by("whoever is on call, with permission for apigateway:GET and apigateway:PATCH")
            .run(
                "Look, and keep the output",
                format!(
                    "aws apigateway get-stage --region {region} --rest-api-id {api} --stage-name {stage} --query \
                     methodSettings"
                ),
            )
            .run(
                "Block",
                format!(
                    "aws apigateway update-stage --region {region} --rest-api-id {api} --stage-name {stage} \
                     --patch-operations 'op=replace,path=/*/*/throttling/rateLimit,value=0' \
                     'op=replace,path=/*/*/throttling/burstLimit,value=0'"
                ),
            )
            .done(
                "the first command says \"throttlingRateLimit\": 0.0 and \"throttlingBurstLimit\": 0 under */*; a method \
                 with limits of its own needs the same, with its path in place of */*.",
            ),
    })
}
