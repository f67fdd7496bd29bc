//! Function URLs.

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use serde_json::json;

use super::super::*;
use super::world::{ELSEWHERE, HERE, play};

const PERSON: &str = "arn:aws:iam::123456789012:user/on-call";
const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/on-call/ada";

#[test]
fn a_function_sees_who_signed_the_request() {
    play(vec![], |simulation| async move {
        let body = r#"{"approve":true}"#;
        let post = async |caller: &str| {
            let (status, seen) = simulation
                .post_to_function(ELSEWHERE, "echo", caller, body)
                .await
                .unwrap();
            let seen: Value = serde_json::from_str(&seen).unwrap();
            assert_eq!((status, &seen["region"]), (200, &json!(ELSEWHERE)));
            seen["input"].clone()
        };
        let event = post(PERSON).await;
        let request: LambdaFunctionUrlRequest = serde_json::from_value(event.clone()).unwrap();
        let authorizer = request.request_context.authorizer.unwrap();
        assert_eq!(authorizer.iam.unwrap().user_arn.as_deref(), Some(PERSON));
        assert_eq!((&event["version"], &event["rawPath"]), (&json!("2.0"), &json!("/")));
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!(body), &json!(false))
        );
        let context = &event["requestContext"];
        assert_eq!(context["http"]["method"], "POST");
        let iam = &context["authorizer"]["iam"];
        assert_eq!(
            (&iam["userArn"], &iam["accountId"]),
            (&json!(PERSON), &json!("123456789012"))
        );
        assert!(iam["userId"].as_str().unwrap().starts_with("AIDA"));
        let host = event["headers"]["host"].as_str().unwrap();
        assert!(host.ends_with(".lambda-url.us-east-1.on.aws"), "{host}");
        let session = post(SESSION).await["requestContext"]["authorizer"]["iam"].clone();
        assert_eq!(session["userArn"], SESSION);
        assert!(session["userId"].as_str().unwrap().ends_with(":ada"));
        assert_ne!(session["accessKey"], iam["accessKey"]);
    });
}

#[test]
fn the_answer_becomes_a_status_and_a_body() {
    use super::super::urls::http_answer;
    let seen = |answer: Value| http_answer(Ok(answer)).unwrap();
    let answer = json!({ "statusCode": 409, "headers": { "content-type": "text/plain" }, "body": "too late" });
    assert_eq!(seen(answer), (409, "too late".to_owned()));
    assert_eq!(seen(json!({ "statusCode": 204 })), (204, String::new()));
    // Anything else is the body.
    assert_eq!(
        seen(json!({ "message": "hello" })),
        (200, r#"{"message":"hello"}"#.to_owned())
    );
    assert_eq!(seen(json!("hello")), (200, "\"hello\"".to_owned()));
    let bad = (502, "Internal Server Error".to_owned());
    assert_eq!(seen(json!({ "statusCode": 99, "body": "" })), bad);
    assert_eq!(seen(json!({ "statusCode": 200, "body": {} })), bad);
    assert!(http_answer(Ok(json!({ "statusCode": 200, "isBase64Encoded": true }))).is_err());
}

#[test]
fn what_cannot_answer_does_not() {
    play(vec![], |simulation| async move {
        let failed = simulation.post_to_function(HERE, "fail", PERSON, "").await;
        assert_eq!(failed, Ok((502, "Internal Server Error".to_owned())));
        let post = async |region: &str, function: &str, caller: &str| {
            simulation
                .post_to_function(region, function, caller, "")
                .await
                .unwrap_err()
        };
        assert_eq!(
            post(HERE, "nobody", PERSON).await,
            "there is no URL of nobody in us-west-2"
        );
        assert!(
            post(HERE, "echo", "arn:aws:iam::1:role/x")
                .await
                .contains("neither a user")
        );
        simulation.cloud().take_region_away(ELSEWHERE);
        assert_eq!(post(ELSEWHERE, "echo", PERSON).await, "us-east-1 does not answer");
    });
}
