//! What a person answers, read from the request.

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use serde::Deserialize;
use shared::approval::Answer;
use shared::function_url::{Input, Person, body, caller, refuse, reply};

/// The longest id of a recovery or a question, in bytes.
const LONGEST_ID: usize = 256;
/// The form of an answer.
const FORM: &str =
    r#"{"recovery": "…", "question": "…", "answer": "approve" or "decline", "reason": "…" where one is needed}"#;

/// What they say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    /// To which recovery.
    pub(crate) recovery: String,
    /// To which of its questions.
    pub(crate) question: String,
    /// Yes or no.
    pub(crate) answer: Answer,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

pub(crate) fn try_again() -> LambdaFunctionUrlResponse {
    let message = "the answer was not recorded, or the result is unknown; send it again: twice does no harm";
    reply(503, "try-again", message)
}

pub(crate) fn not_found(message: impl Into<String>) -> LambdaFunctionUrlResponse {
    reply(404, "not-found", message)
}

/// Who says what. Errors: the HTTP answer that says what is wrong with the request.
pub(crate) fn read(input: &Input) -> Result<(Person, Said), Box<LambdaFunctionUrlResponse>> {
    let person = caller(input)?;
    let mut said: Said = body(input, FORM)?;
    said.reason = said.reason.filter(|reason| !reason.trim().is_empty());
    if [&said.recovery, &said.question].iter().any(|id| id.len() > LONGEST_ID) {
        return Err(refuse(
            404,
            "not-found",
            "the id is too long for a recovery or a question",
        ));
    }
    Ok((person, said))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const USER: &str = "arn:aws:iam::123456789012:user/team/first";
    const BODY: &str = r#"{"recovery":"r","question":"q","answer":"approve"}"#;

    /// A request as the Developer Guide shows it.
    fn event(arn: &str, method: &str, body: &str) -> Value {
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/",
            "rawQueryString": "",
            "cookies": ["cookie1"],
            "headers": { "content-type": "application/json" },
            "queryStringParameters": { "a": "b" },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "urlid",
                "authentication": null,
                "authorizer": {
                    "iam": {
                        "accessKey": "AKIA", "accountId": "123456789012", "callerId": "AIDA", "cognitoIdentity": null,
                        "principalOrgId": "o-1", "userArn": arn, "userId": "AIDA",
                    }
                },
                "domainName": "urlid.lambda-url.us-west-2.on.aws",
                "domainPrefix": "urlid",
                "http": { "method": method, "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x" },
                "requestId": "id",
                "routeKey": "$default",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_u64,
            },
            "body": body,
            "pathParameters": null,
            "isBase64Encoded": false,
            "stageVariables": null,
        })
    }

    fn read_event(event: Value) -> Result<(Person, Said), Box<LambdaFunctionUrlResponse>> {
        read(&serde_json::from_value(event).unwrap())
    }

    #[test]
    fn a_person_and_what_they_say_are_read() {
        let plain = read_event(event(USER, "POST", BODY)).unwrap();
        assert_eq!((plain.0.arn.as_str(), plain.0.account.as_str()), (USER, "123456789012"));
        assert_eq!((plain.1.recovery.as_str(), plain.1.answer), ("r", Answer::Approve));

        let mut encoded = event(USER, "POST", &aws_smithy_types::base64::encode(BODY));
        encoded["isBase64Encoded"] = true.into();
        assert_eq!(read_event(encoded).unwrap(), plain);

        let blank = BODY.replace("\"approve\"", "\"approve\",\"reason\":\"  \"");
        assert_eq!(read_event(event(USER, "POST", &blank)).unwrap(), plain);
    }

    #[test]
    fn what_says_nothing_of_the_answer_does_not_keep_it_from_being_taken() {
        let plain = read_event(event(USER, "POST", BODY)).unwrap();
        let mut beside = event(USER, "POST", BODY);
        beside["headers"]["x-note"] = "Zürich".into();
        beside["queryStringParameters"] = Value::Null;
        beside["requestContext"]["timeEpoch"] = Value::Null;
        assert_eq!(read_event(beside).unwrap(), plain);
    }

    #[test]
    fn who_is_not_one_person_is_refused() {
        for (arn, status) in [
            (USER, None),
            (
                "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Ops_1/first@example.com",
                None,
            ),
            ("arn:aws-cn:iam::123456789012:user/first", None),
            ("arn:aws:iam::123456789012:root", Some(403)),
            ("arn:aws:iam::123456789012:role/Ops", Some(403)),
            ("arn:aws:iam::123456789012:user/", Some(403)),
            ("arn:aws:sts::123456789012:assumed-role/Ops", Some(403)),
            ("arn:aws:sts::123456789012:assumed-role/Ops/", Some(403)),
            ("arn:aws:sts::123456789012:federated-user/first", Some(403)),
            ("arn:aws:iam:::user/first", Some(403)),
            ("first", Some(403)),
        ] {
            let refused = read_event(event(arn, "POST", BODY))
                .err()
                .map(|answer| answer.status_code);
            assert_eq!(refused, status, "{arn}");
        }
        for unsigned in [json!({}), json!({ "requestContext": { "authorizer": null } })] {
            assert_eq!(read_event(unsigned).unwrap_err().status_code, 401);
        }
        let mut nobody = event(USER, "POST", BODY);
        nobody["requestContext"]["authorizer"]["iam"]["userArn"] = Value::Null;
        assert_eq!(read_event(nobody).unwrap_err().status_code, 401);
    }

    #[test]
    fn what_is_not_an_answer_is_refused() {
        let long = "x".repeat(LONGEST_ID + 1);
        let huge = BODY.replace(
            "\"approve\"",
            &format!("\"approve\",\"reason\":\"{}\"", "x".repeat(16 * 1024)),
        );
        for (method, body, status) in [
            ("GET", BODY, 405),
            ("PUT", BODY, 405),
            ("POST", "", 400),
            ("POST", "approve", 400),
            ("POST", r#"{"recovery":"r","question":"q"}"#, 400),
            ("POST", &BODY.replace("approve", "yes"), 400),
            ("POST", &BODY.replace("\"r\"", "1"), 400),
            ("POST", &BODY.replace('{', "{\"shown\":[],"), 400),
            ("POST", &BODY.replace("\"r\"", &format!("\"{long}\"")), 404),
            ("POST", &huge, 413),
        ] {
            let refused = read_event(event(USER, method, body)).unwrap_err();
            assert_eq!(refused.status_code, status, "{method} {body}: {:?}", refused.body);
        }
        let mut encoded = event(USER, "POST", "{not base64}");
        encoded["isBase64Encoded"] = true.into();
        assert_eq!(read_event(encoded).unwrap_err().status_code, 400);
    }

    #[test]
    fn the_answer_has_the_form_that_lambda_takes() {
        let mut output = serde_json::to_value(reply(202, "waiting", "one more")).unwrap();
        let body: Value = serde_json::from_str(output["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({ "result": "waiting", "message": "one more" }));
        output.as_object_mut().unwrap().remove("body");
        assert_eq!(
            output,
            json!({
                "statusCode": 202, "headers": { "content-type": "application/json" }, "isBase64Encoded": false, "cookies": [],
            })
        );
    }
}
