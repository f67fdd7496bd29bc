//! Faults in calls, as the SDK's own clients see them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use crate::common::{EAST, GLOBAL, WEST, World, at};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use simulator::aws::door::Door;
use simulator::cloud::{AwsCall, Cloud};
use simulator::faults::{CallEffect, CallFault, FaultId};
use tokio::time::Instant;

/// A world in which the tests' own caller is a deployed function.
async fn world() -> World {
    let world = World::new().await;
    world.cloud.faults.deploy(WEST, ["caller"]);
    world
}

/// Status and code of an error.
fn refused<T: Debug, E: ProvideErrorMetadata + Debug>(result: Result<T, SdkError<E, HttpResponse>>) -> (u16, String) {
    let error = result.unwrap_err();
    let status = error.raw_response().expect("an answer").status().as_u16();
    (status, error.code().unwrap_or_default().to_owned())
}

fn on(service: &str, operation: &str, effect: CallEffect) -> CallFault {
    CallFault {
        service: Some(service.to_owned()),
        operation: Some(operation.to_owned()),
        ..CallFault::every(effect)
    }
}

impl World {
    /// Calls one operation of each service, with the SDK's own retries; gives each error's status and code.
    async fn call_each(&self) -> BTreeMap<(&'static str, &'static str), (u16, String)> {
        let (here, plan) = (self.aws.config(), &self.plan);
        let site = &plan.regions.standby;
        let mut refusals = BTreeMap::new();
        let mut note = |service, operation, refusal| drop(refusals.insert((service, operation), refusal));

        let call = aws_sdk_apigateway::Client::new(here).update_stage();
        let call = call.rest_api_id(&site.api.rest_api).stage_name(&site.api.stage);
        note("apigateway", "UpdateStage", refused(call.send().await));
        let call = aws_sdk_dynamodb::Client::new(here).put_item();
        let call = call
            .table_name(&plan.automation.table)
            .item("pk", text())
            .item("sk", text());
        note("dynamodb", "PutItem", refused(call.send().await));
        let call = aws_sdk_health::Client::new(&self.aws.config_to_change(EAST)).describe_events();
        note("health", "DescribeEvents", refused(call.send().await));
        let call = aws_sdk_lambda::Client::new(here).put_function_concurrency();
        let call = call
            .function_name(&plan.functions[0].name)
            .reserved_concurrent_executions(5);
        note("lambda", "PutFunctionConcurrency", refused(call.send().await));
        let call = aws_sdk_cloudwatch::Client::new(here).describe_alarms();
        note("monitoring", "DescribeAlarms", refused(call.send().await));
        let call = aws_sdk_rds::Client::new(here).describe_global_clusters();
        note("rds", "DescribeGlobalClusters", refused(call.send().await));
        let call = aws_sdk_rdsdata::Client::new(here).execute_statement();
        let call = call
            .resource_arn(self.plan.cluster_arn(site))
            .secret_arn("s")
            .sql("SELECT 1");
        note("rds-data", "ExecuteStatement", refused(call.send().await));
        let call = aws_sdk_route53::Client::new(here).list_resource_record_sets();
        note(
            "route53",
            "ListResourceRecordSets",
            refused(call.hosted_zone_id("Z1").send().await),
        );
        let call = aws_sdk_s3::Client::new(here).put_object();
        note("s3", "PutObject", refused(call.bucket("b").key("k").send().await));
        let call = aws_sdk_sns::Client::new(here).publish();
        let call = call.topic_arn(plan.topic_arn(site)).message("told");
        note("sns", "Publish", refused(call.send().await));
        let call = aws_sdk_sfn::Client::new(here).describe_execution();
        note(
            "states",
            "DescribeExecution",
            refused(call.execution_arn("arn").send().await),
        );
        refusals
    }

    fn told(&self) -> usize {
        let topic = self.plan.topic_arn(&self.plan.regions.standby);
        self.cloud.sns.messages(&topic).len()
    }

    /// Publishes so many messages, one after the other; gives which of them failed.
    async fn publish(&self, messages: usize) -> Vec<usize> {
        let client = aws_sdk_sns::Client::new(&self.aws.config_without_retries(Duration::from_secs(5)));
        let topic = self.plan.topic_arn(&self.plan.regions.standby);
        let mut failed = Vec::new();
        for message in 0..messages {
            let call = client.publish().topic_arn(&topic).message("told");
            if call.send().await.is_err() {
                failed.push(message);
            }
        }
        failed
    }

    fn applied(&self, fault: FaultId) -> u64 {
        self.cloud.faults.applied(fault)
    }
}

fn text() -> AttributeValue {
    AttributeValue::S("a".to_owned())
}

fn calls_of_caller(cloud: &Cloud) -> BTreeMap<(String, String), u64> {
    let own = cloud.calls().into_iter().filter(|(call, _)| call.function == "caller");
    own.map(|(AwsCall { service, operation, .. }, count)| ((service, operation), count))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_service_throttles_in_its_own_words_and_the_sdk_tries_again() {
    let world = world().await;
    let before = world.cloud.snapshot();
    let fault = world.cloud.faults.on_calls(CallFault::every(CallEffect::Throttled));
    let refusals = world.call_each().await;
    let expected = [
        ("apigateway", 429, "TooManyRequestsException"),
        ("dynamodb", 400, "ThrottlingException"),
        ("health", 400, "ThrottlingException"),
        ("lambda", 429, "TooManyRequestsException"),
        ("monitoring", 400, "Throttling"),
        ("rds", 400, "Throttling"),
        ("rds-data", 400, "ThrottlingException"),
        ("route53", 400, "Throttling"),
        ("s3", 503, "SlowDown"),
        ("sns", 400, "Throttling"),
        ("states", 400, "ThrottlingException"),
    ];
    assert_eq!(refusals.len(), expected.len());
    for ((service, _), (status, code)) in &refusals {
        assert!(
            expected.contains(&(service, *status, code)),
            "{service}: {status} {code}"
        );
    }
    // Each was tried three times, and is counted under its own name.
    let counted = calls_of_caller(&world.cloud);
    for (service, operation) in refusals.keys() {
        let call = ((*service).to_owned(), (*operation).to_owned());
        assert_eq!(counted.get(&call), Some(&3), "{call:?}");
    }
    assert_eq!(world.applied(fault), 3 * refusals.len() as u64);
    assert_eq!((world.cloud.snapshot(), world.told()), (before, 0), "nothing was done");
}

#[tokio::test(start_paused = true)]
async fn every_service_fails_in_its_own_words_and_the_sdk_tries_again() {
    let world = world().await;
    let fault = world.cloud.faults.on_calls(CallFault::every(CallEffect::ServerError));
    let refusals = world.call_each().await;
    let expected = [
        ("apigateway", 503, "ServiceUnavailableException"),
        ("dynamodb", 500, "InternalServerError"),
        ("health", 500, "InternalFailure"),
        ("lambda", 500, "ServiceException"),
        ("monitoring", 500, "InternalServiceError"),
        ("rds", 500, "InternalFailure"),
        ("rds-data", 500, "InternalServerErrorException"),
        ("route53", 500, "InternalFailure"),
        ("s3", 500, "InternalError"),
        ("sns", 500, "InternalError"),
        ("states", 500, "InternalFailure"),
    ];
    for ((service, _), (status, code)) in &refusals {
        assert!(
            expected.contains(&(service, *status, code)),
            "{service}: {status} {code}"
        );
    }
    assert_eq!((world.applied(fault), world.told()), (3 * expected.len() as u64, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_reply_is_lost_is_done_and_one_without_an_answer_is_not() {
    for (effect, done) in [(CallEffect::LostReply, 2), (CallEffect::NoAnswer, 1)] {
        let world = world().await;
        let fault = world.cloud.faults.on_calls(CallFault {
            at_most: Some(1),
            ..on("sns", "Publish", effect)
        });
        let began = Instant::now();
        let call = aws_sdk_sns::Client::new(world.aws.config()).publish();
        let call = call.topic_arn(world.plan.topic_arn(&world.plan.regions.standby));
        call.message("told").send().await.unwrap();
        // The first try ran into its time limit of 5 s, and the second one was answered.
        let took = began.elapsed();
        assert!((5_000..7_000).contains(&took.as_millis()), "{took:?}");
        assert_eq!((world.told(), world.applied(fault)), (done, 1), "{effect:?}");
        assert_eq!(world.counted(WEST, "sns", "Publish"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_touches_what_it_says_and_nothing_else() {
    let world = world().await;
    let faults = &world.cloud.faults;
    let matches_nothing = [
        on("sns", "CreateTopic", CallEffect::Throttled),
        on("sqs", "Publish", CallEffect::Throttled),
        CallFault {
            region: Some(EAST.to_owned()),
            ..CallFault::every(CallEffect::Throttled)
        },
        CallFault {
            from: at(0),
            until: Some(at(0)),
            ..CallFault::every(CallEffect::Throttled)
        },
        CallFault {
            at_most: Some(0),
            ..CallFault::every(CallEffect::Throttled)
        },
        CallFault {
            share: 0.0,
            ..CallFault::every(CallEffect::Throttled)
        },
    ];
    let idle = matches_nothing.map(|fault| faults.on_calls(fault));
    let lifted = faults.on_calls(CallFault::every(CallEffect::Throttled));
    faults.lift(lifted);
    assert!(world.publish(3).await.is_empty());
    assert!(idle.iter().chain([&lifted]).all(|fault| world.applied(*fault) == 0));

    // So many, and no more.
    let twice = faults.on_calls(CallFault {
        at_most: Some(2),
        ..on("sns", "Publish", CallEffect::ServerError)
    });
    assert_eq!(world.publish(4).await, [0, 1]);
    assert_eq!(world.applied(twice), 2);
    // From a moment to another.
    world.wait_until(100).await;
    let for_a_while = faults.on_calls(CallFault {
        from: at(110),
        until: Some(at(120)),
        ..CallFault::every(CallEffect::ServerError)
    });
    for (second, failed) in [(105, 0), (110, 1), (119, 1), (120, 0)] {
        world.wait_until(second).await;
        assert_eq!(world.publish(1).await.len(), failed, "{second}");
    }
    assert_eq!(world.applied(for_a_while), 2);
    // A call takes 20 ms to AWS: the first moment is included, the last is not.
    let arrives = at(200).checked_add(Duration::from_millis(20)).unwrap();
    let until_then = faults.on_calls(CallFault {
        until: Some(arrives),
        from: at(199),
        ..CallFault::every(CallEffect::Throttled)
    });
    let from_then = faults.on_calls(CallFault {
        from: arrives,
        at_most: Some(1),
        ..CallFault::every(CallEffect::Throttled)
    });
    world.wait_until(200).await;
    assert_eq!(world.publish(1).await, [0]);
    assert_eq!((world.applied(until_then), world.applied(from_then)), (0, 1));
    faults.lift_all();
    assert!(world.publish(1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_can_be_left_alone() {
    let world = world().await;
    let fault = world.cloud.faults.on_calls(CallFault {
        changes_only: true,
        region: Some(EAST.to_owned()),
        ..CallFault::every(CallEffect::Throttled)
    });
    let data = aws_sdk_rdsdata::Client::new(&world.aws.config_in(EAST));
    let site = &world.plan.regions.primary;
    let run = |sql: &str| {
        let call = data.execute_statement().resource_arn(world.plan.cluster_arn(site));
        call.secret_arn(&site.database_secret).sql(sql).send()
    };
    world.rds(EAST).describe_db_clusters().send().await.unwrap();
    run("select 1").await.unwrap();
    assert_eq!(world.applied(fault), 0);
    run("INSERT INTO orders (written_ms) VALUES (1)").await.unwrap_err();
    let switchover = world.rds(EAST).switchover_global_cluster();
    let switchover = switchover
        .global_cluster_identifier(GLOBAL)
        .target_db_cluster_identifier("c");
    assert_eq!(refused(switchover.send().await), (400, "Throttling".to_owned()));
    assert_eq!(world.applied(fault), 2);
}

#[tokio::test(start_paused = true)]
async fn only_deployed_functions_are_touched_and_what_is_not_simulated_says_so() {
    let world = world().await;
    let fault = world.cloud.faults.on_calls(CallFault::every(CallEffect::ServerError));
    for (caller, region) in [("somebody", WEST), ("caller", EAST)] {
        let aws = Door::new(&world.cloud, &world.platform, caller, region).aws("table");
        aws_sdk_rds::Client::new(aws.config())
            .describe_db_clusters()
            .send()
            .await
            .unwrap();
    }
    let unknown = aws_sdk_lambda::Client::new(world.aws.config())
        .list_functions()
        .send()
        .await;
    assert_eq!(refused(unknown), (501, "NotSimulated".to_owned()));
    assert_eq!(world.applied(fault), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_fault_that_touches_a_call_decides() {
    let world = world().await;
    let once = world.cloud.faults.on_calls(CallFault {
        at_most: Some(1),
        ..CallFault::every(CallEffect::Throttled)
    });
    let always = world.cloud.faults.on_calls(CallFault::every(CallEffect::ServerError));
    let stage = async || {
        let config = world.aws.config_without_retries(Duration::from_secs(5));
        refused(aws_sdk_rds::Client::new(&config).describe_db_clusters().send().await).0
    };
    assert_eq!([stage().await, stage().await], [400, 500]);
    assert_eq!((world.applied(once), world.applied(always)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_touches_the_same_share_of_calls() {
    let touched = async |share| {
        let world = world().await;
        let fault = world.cloud.faults.on_calls(CallFault {
            share,
            ..on("sns", "Publish", CallEffect::Throttled)
        });
        let failed = world.publish(200).await;
        assert_eq!(world.applied(fault), failed.len() as u64);
        failed
    };
    let (once, again, more) = (touched(0.2).await, touched(0.2).await, touched(0.8).await);
    assert!((25..=55).contains(&once.len()), "{}", once.len());
    assert!((145..=175).contains(&more.len()), "{}", more.len());
    assert_eq!(once, again);
}

#[tokio::test(start_paused = true)]
async fn calls_that_no_fault_touches_take_as_long_as_without_any() {
    let took = async |fault: Option<CallFault>| {
        let mut world = world().await;
        let fault = fault.map(|fault| world.cloud.faults.on_calls(fault));
        world.publish(50).await;
        world.aws = Door::new(&world.cloud, &world.platform, "somebody", WEST).aws("table");
        world.publish(50).await;
        let drawn = world.cloud.chance("api-latency", |rng| rng.u64(..));
        (world.cloud.now(), drawn, fault.map(|fault| world.applied(fault)))
    };
    let (without, drawn, _) = took(None).await;
    let share = CallFault {
        share: 0.5,
        ..on("rds", "FailoverGlobalCluster", CallEffect::NoAnswer)
    };
    assert_eq!(took(Some(share)).await, (without, drawn, Some(0)));
    let throttled = took(Some(CallFault::every(CallEffect::Throttled))).await;
    assert_eq!(throttled, (without, drawn, Some(50)));
}
