//! The door, and Lambda, S3 and SNS behind it, as the SDK's own clients see them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;

use crate::common::{EAST as ELSEWHERE, WEST as HERE, World};
use simulator::aws::lambda::Function;
use simulator::aws::sns::Message;

impl World {
    fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.aws.config_in(region))
    }
}

fn function(reserved_concurrency: Option<u32>) -> Function {
    Function {
        environment: BTreeMap::from([("COLOUR".to_owned(), "blue".to_owned())]),
        reserved_concurrency,
        ..Function::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_its_time_and_is_counted() {
    let world = World::new().await;
    world.cloud.lambda.create_function(HERE, "f", function(None));
    for (region, takes) in [(HERE, 40), (ELSEWHERE, 100)] {
        let asked_at = tokio::time::Instant::now();
        let call = world.lambda(region).get_function_concurrency().function_name("f");
        let _ = call.send().await;
        // tokio's timer has a resolution of a millisecond and rounds up, for each half of the way.
        let took = asked_at.elapsed().as_millis();
        assert!((takes..=takes + 2).contains(&took), "{region}: {took} ms");
    }
    assert_eq!(world.counted(HERE, "lambda", "GetFunctionConcurrency"), 1);
    assert_eq!(world.counted(ELSEWHERE, "lambda", "GetFunctionConcurrency"), 1);
    assert_eq!(world.cloud.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_goes_away_during_a_call_never_answers() {
    let world = World::new().await;
    world.cloud.lambda.create_function(ELSEWHERE, "f", function(None));
    // What the call did is done if it had arrived by then.
    for (after, done) in [(10, false), (75, true)] {
        let cloud = Arc::clone(&world.cloud);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            cloud.take_region_away(ELSEWHERE);
        });
        let asked_at = tokio::time::Instant::now();
        let call = world.lambda(ELSEWHERE).put_function_concurrency().function_name("f");
        let error = call.reserved_concurrent_executions(3).send().await.unwrap_err();
        assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
        assert!(format!("{error:?}").contains("kind: Operation,"), "{error:?}");
        // The caller's own time limit for a call to another Region.
        let waited = asked_at.elapsed().as_millis();
        assert!((2_000..=2_002).contains(&waited), "{waited} ms");
        world.cloud.give_region_back(ELSEWHERE);
        let function = world.cloud.lambda.function(ELSEWHERE, "f").unwrap();
        assert_eq!(function.reserved_concurrency == Some(3), done, "{after} ms");
    }
    assert_eq!(world.counted(ELSEWHERE, "lambda", "(no answer)"), 1);
    assert_eq!(world.counted(ELSEWHERE, "lambda", "PutFunctionConcurrency"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_away_reaches_nothing() {
    let world = World::new().await;
    world.cloud.lambda.create_function(ELSEWHERE, "f", function(None));
    world.cloud.take_region_away(HERE);
    let call = world.lambda(ELSEWHERE).delete_function_concurrency().function_name("f");
    let error = call.send().await.unwrap_err();
    assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
    assert_eq!(world.counted(ELSEWHERE, "lambda", "(no answer)"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_simulated_is_an_error() {
    let world = World::new().await;
    let error = world.lambda(HERE).list_functions().send().await.unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("NotSimulated"));
    let call = world.lambda(HERE).get_function_configuration().function_name("f");
    let error = call.qualifier("live").send().await.unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("NotSimulated"));
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_none_or_nothing_or_a_number() {
    let world = World::new().await;
    world.cloud.lambda.create_function(HERE, "f", function(None));
    let client = world.lambda(HERE);
    let reserved = async || {
        let answer = client.get_function_concurrency().function_name("f").send().await;
        answer.unwrap().reserved_concurrent_executions()
    };
    let reserve = async |count: i32| {
        let call = client.put_function_concurrency().function_name("f");
        let answer = call.reserved_concurrent_executions(count).send().await;
        answer.map(|answer| answer.reserved_concurrent_executions())
    };
    assert_eq!(reserved().await, None);
    assert_eq!(reserve(0).await.unwrap(), Some(0));
    assert_eq!(reserved().await, Some(0));
    assert_eq!(reserve(7).await.unwrap(), Some(7));
    assert_eq!(reserved().await, Some(7));
    // A hundred of the account's thousand stay unreserved; the platform's functions here reserve none.
    world.cloud.lambda.create_function(HERE, "g", function(Some(600)));
    world.cloud.lambda.create_function(ELSEWHERE, "g", function(Some(600)));
    assert_eq!(reserve(300).await.unwrap(), Some(300));
    let error = reserve(301).await.unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
    let error = reserve(-1).await.unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
    assert_eq!(reserved().await, Some(300));
    client
        .delete_function_concurrency()
        .function_name("f")
        .send()
        .await
        .unwrap();
    assert_eq!(reserved().await, None);

    let configuration = client
        .get_function_configuration()
        .function_name("f")
        .send()
        .await
        .unwrap();
    let environment = configuration.environment.unwrap().variables.unwrap();
    assert_eq!(environment.get("COLOUR").map(String::as_str), Some("blue"));
    assert_eq!(configuration.state.unwrap().as_str(), "Active");
}

/// A new account's quota is so small that nothing can be reserved of it; that a function never runs can.
#[tokio::test(start_paused = true)]
async fn an_account_says_what_it_allows_and_a_small_one_reserves_nothing() {
    let world = World::new().await;
    world.cloud.lambda.create_function(HERE, "f", function(Some(7)));
    let client = world.lambda(HERE);
    let limits = async || {
        let settings = client.get_account_settings().send().await.unwrap();
        let limit = settings.account_limit.unwrap();
        (limit.concurrent_executions, limit.unreserved_concurrent_executions)
    };
    let reserve = async |count: i32| {
        let call = client.put_function_concurrency().function_name("f");
        call.reserved_concurrent_executions(count).send().await.is_ok()
    };
    assert_eq!(limits().await, (1000, Some(993)));
    assert!(reserve(0).await);
    world.cloud.lambda.set_concurrency(HERE, 10);
    assert_eq!(limits().await, (10, Some(10)));
    assert!(!reserve(1).await && reserve(0).await);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_function_is_not_found() {
    let world = World::new().await;
    world.cloud.lambda.create_function(HERE, "f", function(None));
    let client = world.lambda(ELSEWHERE);
    let error = client
        .get_function_configuration()
        .function_name("f")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
    let error = client
        .get_function_concurrency()
        .function_name("f")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
    let call = client
        .put_function_concurrency()
        .function_name("f")
        .reserved_concurrent_executions(1);
    assert!(
        call.send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_resource_not_found_exception()
    );
    let error = client
        .delete_function_concurrency()
        .function_name("f")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
}

#[tokio::test(start_paused = true)]
async fn objects_are_put_found_and_deleted() {
    let world = World::new().await;
    world.cloud.s3.create_bucket(HERE, "shelf", &["a/public"]);
    let client = world.s3(HERE);
    let head = async |key: &str| client.head_object().bucket("shelf").key(key).send().await;
    let put = async |key: &str, text: &'static str| {
        let call = client
            .put_object()
            .bucket("shelf")
            .key(key)
            .body(ByteStream::from_static(text.as_bytes()));
        call.send().await.unwrap().e_tag
    };
    assert!(head("a/public").await.unwrap_err().into_service_error().is_not_found());
    let tag = put("a/public", "four").await;
    let found = head("a/public").await.unwrap();
    assert_eq!((found.content_length(), found.e_tag()), (Some(4), tag.as_deref()));
    assert_ne!(put("a/secret", "five").await, tag);
    let public = |key| world.cloud.s3.is_publicly_there("shelf", key);
    assert_eq!(
        (public("a/public"), public("a/secret"), public("a/other")),
        (true, false, false)
    );
    let read = client
        .get_object()
        .bucket("shelf")
        .key("a/secret")
        .send()
        .await
        .unwrap();
    assert_eq!(&read.body.collect().await.unwrap().into_bytes()[..], b"five");
    // Deleting is done twice as well as once.
    for _ in 0..2 {
        client
            .delete_object()
            .bucket("shelf")
            .key("a/public")
            .send()
            .await
            .unwrap();
        assert!(head("a/public").await.unwrap_err().into_service_error().is_not_found());
    }
    let error = client
        .get_object()
        .bucket("shelf")
        .key("a/public")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_no_such_key());
    assert_eq!(world.counted(HERE, "s3", "DeleteObject"), 2);
}

#[tokio::test(start_paused = true)]
async fn s3_refuses_other_regions_and_unknown_buckets() {
    let world = World::new().await;
    world.cloud.s3.create_bucket(HERE, "shelf", &[]);
    let elsewhere = world.s3(ELSEWHERE);
    let error = elsewhere
        .put_object()
        .bucket("shelf")
        .key("k")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("PermanentRedirect"));
    let error = elsewhere
        .head_object()
        .bucket("shelf")
        .key("k")
        .send()
        .await
        .unwrap_err();
    let answer = error.raw_response().unwrap();
    assert_eq!(answer.status().as_u16(), 301);
    assert_eq!(answer.headers().get("x-amz-bucket-region"), Some(HERE));
    let client = world.s3(HERE);
    let error = client.put_object().bucket("nowhere").key("k").send().await.unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("NoSuchBucket"));
}

#[tokio::test(start_paused = true)]
async fn sns_takes_what_it_documents_in_the_topics_region() {
    let world = World::new().await;
    let topic = "arn:aws:sns:us-west-2:123456789012:news";
    world.cloud.sns.create_topic(topic);
    let publish = async |region: &str, topic: &str, subject: &str, text: &str| {
        let client = aws_sdk_sns::Client::new(&world.aws.config_in(region));
        let call = client.publish().topic_arn(topic).subject(subject).message(text);
        call.send()
            .await
            .map(|sent| sent.message_id)
            .map_err(|error| error.into_service_error())
    };
    let long = "x".repeat(99);
    let id = publish(HERE, topic, &long, "text & <more>").await.unwrap();
    assert_eq!(id.as_deref(), Some("00000000-0000-0000-0000-000000000001"));
    for subject in [
        format!("{long}x"),
        "two\nlines".to_owned(),
        " space".to_owned(),
        "é".to_owned(),
        String::new(),
    ] {
        let error = publish(HERE, topic, &subject, "text").await.unwrap_err();
        assert!(error.is_invalid_parameter_exception(), "{subject}");
    }
    assert!(
        publish(HERE, topic, "s", "")
            .await
            .unwrap_err()
            .is_invalid_parameter_exception()
    );
    let huge = "x".repeat(262_145);
    assert!(
        publish(HERE, topic, "s", &huge)
            .await
            .unwrap_err()
            .is_invalid_parameter_exception()
    );
    assert!(
        publish(ELSEWHERE, topic, "s", "text")
            .await
            .unwrap_err()
            .is_invalid_parameter_exception()
    );
    assert!(
        publish(HERE, &format!("{topic}-2"), "s", "text")
            .await
            .unwrap_err()
            .is_not_found_exception()
    );
    let messages = world.cloud.sns.messages(topic);
    let kept = Message {
        subject: long,
        text: "text & <more>".to_owned(),
        published_at: messages[0].published_at,
    };
    assert_eq!(messages, [kept]);
}

#[tokio::test(start_paused = true)]
async fn the_public_internet_reaches_the_platform_by_name() {
    let world = World::new().await;
    let limit = Duration::from_secs(3);
    let answer = world
        .aws
        .get("https://api.radiant.example.com/v2/health", limit)
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let error = world.aws.get("https://nobody.example.com/", limit).await.unwrap_err();
    assert!(error.contains("no such host"), "{error}");
    world.cloud.take_region_away(ELSEWHERE);
    let error = world
        .aws
        .get("https://api.radiant.example.com/v2/health", limit)
        .await
        .unwrap_err();
    assert!(error.contains("within 3s"), "{error}");
    drop(world.platform);
}
