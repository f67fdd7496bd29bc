//! What people ask a function at its URL, as AWS hands it over, and the answer as AWS takes it: payload format 2.0. Source: Lambda
//! Developer Guide, "Invoking Lambda function URLs".

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequestContextAuthorizerDescription, LambdaFunctionUrlRequestContextHttpDescription,
    LambdaFunctionUrlResponse,
};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::arn::Arn;
use crate::summary::{Summarise, Summary};

/// The largest body, in bytes.
const LARGEST_BODY: usize = 16 * 1024;

/// A request, as AWS hands it over: the parts that are used. `LambdaFunctionUrlRequest` would read all of it, and refuse it for
/// what says nothing of the answer: a header whose value is not ASCII, a context without the time. No approval may fail on that.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Who calls, and how.
    #[serde(default)]
    pub request_context: Option<RequestContext>,
    /// The body.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether the body is in base64.
    #[serde(default)]
    pub is_base64_encoded: bool,
}

/// Who calls, and how. A request that nobody signed has no authorizer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// AWS's id of the request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Who AWS says it is.
    #[serde(default)]
    pub authorizer: Option<LambdaFunctionUrlRequestContextAuthorizerDescription>,
    /// The request.
    #[serde(default)]
    pub http: Option<LambdaFunctionUrlRequestContextHttpDescription>,
}

/// The answer to a request, as AWS takes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Output(pub LambdaFunctionUrlResponse);

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let body = self.0.body.clone().unwrap_or_default();
        match self.0.status_code {
            200..300 => Summary::done(body),
            _ => Summary::failed(body),
        }
    }
}

/// What the person is answered. The body is `{"result": …, "message": …}`: a word for programs, and a sentence for people.
pub fn reply(status_code: u16, result: &str, message: impl Into<String>) -> LambdaFunctionUrlResponse {
    reply_with(status_code, result, message, &[])
}

/// The same, with more fields for programs.
pub fn reply_with(
    status_code: u16,
    result: &str,
    message: impl Into<String>,
    more: &[(&str, &str)],
) -> LambdaFunctionUrlResponse {
    let mut body = json!({ "result": result, "message": message.into() });
    for (name, value) in more {
        body[*name] = json!(value);
    }
    let mut reply = LambdaFunctionUrlResponse::default();
    reply.status_code = status_code.into();
    reply.headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    reply.body = Some(body.to_string());
    reply
}

/// A reply to what is not answered at all.
pub fn refuse(status_code: u16, result: &str, message: impl Into<String>) -> Box<LambdaFunctionUrlResponse> {
    Box::new(reply(status_code, result, message))
}

/// Who asks, and in which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their whole ARN.
    pub arn: String,
    /// Their account.
    pub account: String,
    /// AWS's id of their request: CloudTrail has it too, where it keeps the data events of the function.
    pub request_id: Option<String>,
}

impl Person {
    /// An IAM user, or a role's session.
    fn read(arn: &str) -> Option<Self> {
        let Arn {
            service,
            region: "",
            account,
            resource,
            ..
        } = Arn::read(arn)?
        else {
            return None;
        };
        let path: Vec<&str> = resource.split('/').collect();
        let is_person = match (service, path.as_slice()) {
            ("iam", ["user", .., name]) => !name.is_empty(),
            ("sts", ["assumed-role", role, session]) => !role.is_empty() && !session.is_empty(),
            _ => false,
        };
        (is_person && !account.is_empty()).then(|| Self {
            arn: arn.to_owned(),
            account: account.to_owned(),
            request_id: None,
        })
    }
}

/// Who asks, by POST. Errors: the HTTP answer that says what is wrong with the request.
pub fn caller(input: &Input) -> Result<Person, Box<LambdaFunctionUrlResponse>> {
    let context = input.request_context.as_ref();
    let arn = context
        .and_then(|context| context.authorizer.as_ref()?.iam.as_ref()?.user_arn.as_deref())
        .ok_or_else(|| {
            let message = "the request does not say who you are; sign it with your own AWS credentials (service \
                           lambda)";
            refuse(401, "not-signed-in", message)
        })?;
    let mut person = Person::read(arn).ok_or_else(|| {
        let message = format!("{arn} does not stand for one person; ask as an IAM user, or in a session of a role");
        refuse(403, "not-allowed", message)
    })?;
    person.request_id = context.and_then(|context| context.request_id.clone());
    let method = context.and_then(|context| context.http.as_ref()?.method.as_deref());
    if method != Some("POST") {
        return Err(refuse(405, "not-post", "send the request with POST"));
    }
    Ok(person)
}

/// The body as data of this form, which `form` shows. Errors: the HTTP answer that says what is wrong with it.
pub fn body<T: DeserializeOwned>(input: &Input, form: &str) -> Result<T, Box<LambdaFunctionUrlResponse>> {
    let not_understood = |why: &str| refuse(400, "not-understood", format!("the body must be {form}: {why}"));
    let text = input.body.as_deref().unwrap_or_default();
    let body = if input.is_base64_encoded {
        let decoded = aws_smithy_types::base64::decode(text);
        decoded.map_err(|_| not_understood("it is not valid base64"))?
    } else {
        text.as_bytes().to_vec()
    };
    if body.len() > LARGEST_BODY {
        let message = format!("the body has {} bytes; the largest has {LARGEST_BODY}", body.len());
        return Err(refuse(413, "too-long", message));
    }
    serde_json::from_slice(&body).map_err(|error| not_understood(&error.to_string()))
}
