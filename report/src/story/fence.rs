//! What to do about a Region that is not known to be shut off: which parts of it, and what to type.

use serde_json::Value;

use crate::Account;
use crate::page::{Text, Todo};
use crate::words::in_short;

/// A part of the other Region that was not seen to be shut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The part, as the evidence names it.
    resource: &'a str,
    what: What<'a>,
    region: &'a str,
    reason: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'a> {
    Function { name: &'a str },
    EventSource { uuid: &'a str },
    EventSources,
    Stage { stage: &'a str, api: &'a str },
    Unknown,
}

/// The parts that were not seen to be shut off, where the recovery ended with the database here or on its way. Empty where that
/// is not to be mended.
pub(crate) fn parts(account: &Account) -> Vec<Part<'_>> {
    use shared::recovery::Outcome::{Failed, Partial, Recovered};
    let ended = account.header.ended().map(|closing| closing.outcome);
    if !matches!(ended, Some(Recovered | Partial | Failed)) {
        return Vec::new();
    }
    let unconfirmed = account
        .newest("fence")
        .and_then(|fence| fence.get("unconfirmed")?.as_array());
    unconfirmed.into_iter().flatten().filter_map(part).collect()
}

fn part(value: &Value) -> Option<Part<'_>> {
    let resource = value.get("resource")?.as_str()?;
    let reason = value
        .get("reason")
        .and_then(Value::as_str)
        .unwrap_or("no reason is known");
    let (name, region) = resource.rsplit_once(" in ").unwrap_or((resource, ""));
    let what = match name.split(' ').collect::<Vec<_>>().as_slice() {
        [.., "event", "sources"] if is_plain(region) => What::EventSources,
        // What goes into a command must be a name and nothing else.
        parts if !parts.iter().chain([&region]).all(|part| is_plain(part)) => What::Unknown,
        ["function", name] => What::Function { name },
        ["event", "source", uuid, ..] => What::EventSource { uuid },
        ["stage", stage, "of", "API", api] => What::Stage { stage, api },
        _ => What::Unknown,
    };
    Some(Part {
        resource,
        what,
        region,
        reason,
    })
}

/// Whether a text is the same for a shell as for a reader.
pub(crate) fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain)
}

/// What to do about them, by kind; nothing where nothing is left.
pub(crate) fn todos(account: &Account) -> Vec<Todo> {
    let confirmed = account
        .newest("fence")
        .and_then(|fence| fence.get("confirmed")?.as_bool());
    if confirmed != Some(false) {
        return Vec::new();
    }
    let (parts, other) = (parts(account), account.other());
    let mut todos = vec![first(&parts, &other)];
    let functions: Vec<(&str, &str)> = parts
        .iter()
        .filter_map(|part| match part.what {
            What::Function { name } => Some((name, part.region)),
            _ => None,
        })
        .collect();
    if let [(_, region), ..] = functions.as_slice() {
        let names: Vec<&str> = functions.iter().map(|(name, _)| *name).collect();
        let each = |call: &str| {
            let names = names.join(" ");
            format!("for f in {names}; do echo $f; aws lambda {call} --region {region} --function-name $f; done")
        };
        let close = each("put-function-concurrency").replace("$f; done", "$f --reserved-concurrent-executions 0; done");
        todos.push(
            Todo::new(format!("Shut off {} in {region}: {}.", count(names.len(), "function"), names.join(", ")))
                .by("whoever is on call, with permission for lambda:GetFunctionConcurrency and lambda:PutFunctionConcurrency")
                .run("Look, and keep what it says", each("get-function-concurrency"))
                .run("Shut off", close)
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
fn first(parts: &[Part<'_>], other: &str) -> Todo {
    let mut reasons: Vec<String> = Vec::new();
    for part in parts {
        // The call that an error names differs; what came of it rarely does.
        let reason = in_short(part.reason);
        let short = reason.rsplit(": ").next().unwrap_or(&reason).to_owned();
        if !reasons.contains(&short) {
            reasons.push(short);
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
    let unknown = parts.iter().filter(|part| part.what == What::Unknown);
    let unknown: Vec<&str> = unknown.map(|part| part.resource).collect();
    if !unknown.is_empty() {
        text = text.and(format!(" Without a command here: {}.", unknown.join("; ")));
    }
    Todo::new(text)
}

/// What to do about one that is not a function.
fn of_part(part: &Part<'_>) -> Option<Todo> {
    let region = part.region;
    let sources = |what: Text, look: String, uuid: &str| {
        Todo::new(what)
            .by("whoever is on call, with permission for lambda:ListEventSourceMappings, lambda:GetEventSourceMapping and lambda:UpdateEventSourceMapping")
            .run("Look, and keep what it says", look)
            .run(
                "Shut off each that is Enabled",
                format!("aws lambda update-event-source-mapping --region {region} --uuid {uuid} --no-enabled"),
            )
            .done("the first command says \"Disabled\", after a minute of \"Disabling\".")
    };
    Some(match part.what {
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
