//! Function URLs with IAM authentication. Source: Lambda Developer Guide, "Invoking Lambda function URLs".

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use serde_json::{Value, json};
use shared::arn::Arn;
use states_language::TaskFailure;

use super::deployed::function_arn;
use super::functions::{Invoker, invoke};
use super::running::{Inner, InvokedBy};
use crate::aws::states::uuid;

/// Where requests come from: an address for documentation (RFC 5737).
const SOURCE_IP: &str = "192.0.2.1";
/// What a client sees of a function that failed, or answered something that is no answer.
const BAD_GATEWAY: (u16, &str) = (502, "Internal Server Error");

/// Sends a POST request to a function's URL; gives the answer's status and body.
pub(super) async fn post(
    inner: &Rc<Inner>,
    region: &str,
    function: &str,
    caller_arn: &str,
    body: &str,
) -> Result<(u16, String), String> {
    if !inner.cloud.is_up(region) {
        return Err(format!("{region} does not answer"));
    }
    if !inner.functions.has(region, function) {
        return Err(format!("there is no URL of {function} in {region}"));
    }
    let event = event(inner, region, function, caller_arn, body)?;
    let target_arn = function_arn(&inner.cloud.account, region, function);
    inner.note_invocation(
        InvokedBy::Url(caller_arn.to_owned()),
        "lambda:invokeFunctionUrl",
        &target_arn,
    );
    http_answer(invoke(inner, Invoker::Other, region, function, event).await)
}

/// The event that Lambda makes of the request, in payload format 2.0.
fn event(inner: &Inner, region: &str, function: &str, caller_arn: &str, body: &str) -> Result<Value, String> {
    let caller = Caller::read(caller_arn)?;
    let cloud = &inner.cloud;
    let now = cloud.now();
    let url_id = format!("{:032x}", hash(&[&cloud.account, region, function]));
    let domain = format!("{url_id}.lambda-url.{region}.on.aws");
    Ok(json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "content-length": body.len().to_string(),
            "content-type": "application/json",
            "host": domain,
            "user-agent": "simulated",
            "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ").to_string(),
            "x-forwarded-for": SOURCE_IP,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": cloud.account,
            "apiId": url_id,
            "authentication": null,
            "authorizer": {
                "iam": {
                    "accessKey": caller.access_key,
                    "accountId": caller.account,
                    "callerId": caller.id,
                    "cognitoIdentity": null,
                    "principalOrgId": null,
                    "userArn": caller_arn,
                    "userId": caller.id,
                },
            },
            "domainName": domain,
            "domainPrefix": url_id,
            "http": {
                "method": "POST",
                "path": "/",
                "protocol": "HTTP/1.1",
                "sourceIp": SOURCE_IP,
                "userAgent": "simulated",
            },
            "requestId": uuid(cloud),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "body": body,
        "pathParameters": null,
        "isBase64Encoded": false,
        "stageVariables": null,
    }))
}

/// Who signed a request.
struct Caller {
    account: String,
    /// `AIDA…` of a user, `AROA…:session` of a role's session.
    id: String,
    /// `AKIA…` of a user, `ASIA…` of a role's session.
    access_key: String,
}

impl Caller {
    fn read(arn: &str) -> Result<Self, String> {
        let none = || format!("{arn} is neither a user nor a role's session");
        let Arn {
            service,
            account,
            resource,
            ..
        } = Arn::read(arn)
            .filter(|arn| arn.partition == "aws" && arn.region.is_empty())
            .ok_or_else(none)?;
        let (id, key) = match (service, resource.rsplit_once('/')) {
            ("iam", Some(_)) if resource.starts_with("user/") => (format!("AIDA{:017X}", hash(&[arn])), "AKIA"),
            ("sts", Some((role, session))) if resource.starts_with("assumed-role/") => {
                (format!("AROA{:017X}:{session}", hash(&[account, role])), "ASIA")
            }
            _ => return Err(none()),
        };
        Ok(Self {
            account: account.to_owned(),
            id,
            access_key: format!("{key}{:016X}", hash(&["key", arn])),
        })
    }
}

/// A number that stands for `parts`.
fn hash(parts: &[&str]) -> u64 {
    // DefaultHasher::new has fixed keys.
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// What Lambda makes of a function's answer: the form with `statusCode`, or any other JSON, which is the body itself.
pub(super) fn http_answer(answer: Result<Value, TaskFailure>) -> Result<(u16, String), String> {
    let bad_gateway = || Ok((BAD_GATEWAY.0, BAD_GATEWAY.1.to_owned()));
    let Ok(answer) = answer else {
        return bad_gateway();
    };
    let Some(status) = answer.get("statusCode") else {
        return Ok((200, answer.to_string()));
    };
    if answer.get("isBase64Encoded") == Some(&Value::Bool(true)) {
        return Err("the simulator does not decode base64".to_owned());
    }
    let status = status.as_u64().and_then(|status| u16::try_from(status).ok());
    match (status, answer.get("body")) {
        (Some(status @ 100..=599), None | Some(Value::Null)) => Ok((status, String::new())),
        (Some(status @ 100..=599), Some(Value::String(body))) => Ok((status, body.clone())),
        _ => bad_gateway(),
    }
}
