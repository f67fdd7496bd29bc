//! What to do about a Region that is not known to be shut off: which parts of it, and what to type.

use serde::Deserialize;
use serde_json::Value;
use shared::record::{Missing, Resource, ResourceKind};
use shared::recovery::Outcome;

use crate::account::Account;
use crate::commands::is_plain;
use crate::page::{Text, Todo};
use crate::words::in_short;

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

/// The parts that were not seen to be shut off, where the recovery ended with the database here or on its way. Empty where that
/// is not to be mended.
pub(crate) fn parts(account: &Account) -> Vec<Missing> {
    let ended = account.header.ended().map(|closing| closing.outcome);
    if !matches!(ended, Some(Outcome::Recovered | Outcome::Partial | Outcome::Failed)) {
        return Vec::new();
    }
    let fence = account.newest("fence").and_then(|fence| fence.get("unconfirmed"));
    let unconfirmed = fence.and_then(Value::as_array).into_iter().flatten();
    unconfirmed.filter_map(|part| Missing::deserialize(part).ok()).collect()
}

/// How many parts of the other Region were seen to be shut off, and of how many; nothing where the evidence has no count.
pub(crate) fn confirmed_of(account: &Account) -> Option<(u64, u64)> {
    let fence = account.newest("fence")?;
    let of = fence.get("resources")?.as_u64()?;
    let named = u64::try_from(fence.get("unconfirmed")?.as_array()?.len()).ok()?;
    let missing = named.checked_add(fence.get("more_unconfirmed")?.as_u64()?)?;
    Some((of.checked_sub(missing)?, of))
}

/// Whether the other Region was seen to be shut off; nothing where no fence is in the evidence.
pub(crate) fn confirmed(account: &Account) -> Option<bool> {
    account
        .newest("fence")
        .and_then(|fence| fence.get("confirmed")?.as_bool())
}

/// What to do about them, by kind; nothing where nothing is left.
pub(crate) fn todos(account: &Account) -> Vec<Todo> {
    if confirmed(account) != Some(false) {
        return Vec::new();
    }
    let (parts, other) = (parts(account), account.other());
    let mut todos = vec![first(&parts, other)];
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
        todos.push(
            Todo::new(format!("Shut off {} in {region}: {}.", count(names.len(), "function"), names.join(", ")))
                .by("whoever is on call, with permission for lambda:GetFunctionConcurrency and lambda:PutFunctionConcurrency")
                .run("Look, and keep what it says", each("get-function-concurrency", ""))
                .run("Shut off", each("put-function-concurrency", " --reserved-concurrent-executions 0"))
                .done("the first command says \"ReservedConcurrentExecutions\": 0 for each. Nothing printed means none is reserved: it may run."),
        );
    }
    todos.extend(parts.iter().filter_map(of_part));
    todos
}

fn count(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}

/// What holds for all of them, and those for which there is no command.
fn first(parts: &[Missing], other: &str) -> Todo {
    let mut reasons: Vec<String> = Vec::new();
    for part in parts {
        // The call that a reason names differs; what came of it rarely does.
        let reason = in_short(part.cause.as_deref().unwrap_or(&part.reason));
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let mut text = Text::default().strong(format!("{other} may still take writes. ")).and(
        "It is not confirmed that it was shut off. As soon as it answers, look at each of its parts and shut off what is \
         open: what is written there is lost.",
    );
    if !reasons.is_empty() {
        text = text.and(format!(
            " What kept it from being seen, as said at the time: {}.",
            reasons.join("; ")
        ));
    }
    let unknown = parts.iter().filter(|part| what(part).0 == What::Unknown);
    let unknown: Vec<&str> = unknown.map(|part| part.resource.text.as_str()).collect();
    if !unknown.is_empty() {
        text = text.and(format!(" Without a command here: {}.", unknown.join("; ")));
    }
    Todo::new(text)
}

/// What to do about one that is not a function.
fn of_part(part: &Missing) -> Option<Todo> {
    let (what, region) = what(part);
    let sources = |todo: Text, look: String, uuid: &str| {
        Todo::new(todo)
            .by("whoever is on call, with permission for lambda:ListEventSourceMappings, lambda:GetEventSourceMapping and lambda:UpdateEventSourceMapping")
            .run("Look, and keep what it says", look)
            .run(
                "Shut off each that is Enabled",
                format!("aws lambda update-event-source-mapping --region {region} --uuid {uuid} --no-enabled"),
            )
            .done("the first command says \"Disabled\", after a minute of \"Disabling\".")
    };
    Some(match what {
        What::Function { .. } | What::Unknown => return None,
        What::EventSource { uuid } => sources(
            format!("Shut off the {}.", part.resource).into(),
            format!("aws lambda get-event-source-mapping --region {region} --uuid {uuid}"),
            uuid,
        ),
        What::EventSources => sources(
            format!("Shut off the event sources of these functions in {region}.").into(),
            format!(
                "aws lambda list-event-source-mappings --region {region} --query \
                 'EventSourceMappings[].[UUID,State,FunctionArn]' --output table"
            ),
            "UUID",
        ),
        What::Stage { stage, api } => Todo::new(format!("Shut off the {}.", part.resource))
            .by("whoever is on call, with permission for apigateway:GET and apigateway:PATCH")
            .run(
                "Look, and keep what it says",
                format!(
                    "aws apigateway get-stage --region {region} --rest-api-id {api} --stage-name {stage} --query \
                     methodSettings"
                ),
            )
            .run(
                "Shut off",
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
