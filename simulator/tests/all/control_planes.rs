//! What fencing a Region, evidence and DNS need of AWS, as the SDK's own clients see it: event source mappings, stages,
//! records, AWS Health, and partial outages.

use std::time::Duration;

use crate::common::{self, EAST, WEST, World};
use aws_sdk_apigateway::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_apigateway::types::{Op, PatchOperation};
use aws_sdk_health::types::{EventFilter, EventStatusCode};
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, ResourceRecordSetFailover,
    RrType,
};
use simulator::aws::route53::{PlainRecord, Resolver};
use simulator::cloud::Reach;

const PLAIN: &str = "status.radiant.example.com";

impl World {
    fn apigateway(&self, region: &str) -> aws_sdk_apigateway::Client {
        aws_sdk_apigateway::Client::new(&self.aws.config_to_change(region))
    }

    fn route53(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(self.aws.config())
    }

    fn health(&self, region: &str) -> aws_sdk_health::Client {
        aws_sdk_health::Client::new(&self.aws.config_in(region))
    }

    async fn patch(&self, operations: &[(Op, &str, &str)]) -> Result<(), aws_sdk_apigateway::Error> {
        let api = &self.plan.regions.primary.api;
        let call = self.apigateway(EAST).update_stage();
        let mut call = call.rest_api_id(&api.rest_api).stage_name(&api.stage);
        for (op, path, value) in operations {
            let value = Some((*value).to_owned()).filter(|value| !value.is_empty());
            let operation = PatchOperation::builder().op(op.clone()).path(*path).set_value(value);
            call = call.patch_operations(operation.build());
        }
        call.send().await?;
        Ok(())
    }

    /// The status of the platform's answer to a customer.
    async fn ask(&self, path: &str) -> u16 {
        let resolver = Resolver::default();
        let answer = self.platform.get(&self.cloud, &resolver, &self.plan.dns.name, path);
        answer.await.unwrap().status
    }
}

fn set(target: &str) -> ResourceRecordSet {
    let record = ResourceRecord::builder().value(target).build().unwrap();
    let set = ResourceRecordSet::builder().name(PLAIN).r#type(RrType::Cname).ttl(60);
    set.resource_records(record).build().unwrap()
}

fn batch(action: ChangeAction, set: ResourceRecordSet) -> ChangeBatch {
    let change = Change::builder()
        .action(action)
        .resource_record_set(set)
        .build()
        .unwrap();
    ChangeBatch::builder()
        .comment("moved by \"a test\"")
        .changes(change)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn event_sources_are_disabled_and_enabled_in_their_time() {
    let world = World::new().await;
    let before = world.cloud.snapshot();
    let function = &world.plan.functions[0].name;
    let client = world.lambda(EAST);
    let list = client.list_event_source_mappings().function_name(function).send();
    let found = list.await.unwrap().event_source_mappings.unwrap();
    let [mapping] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!((mapping.state(), mapping.batch_size()), (Some("Enabled"), Some(10)));
    assert!(mapping.function_arn().unwrap().ends_with(function));
    let uuid = mapping.uuid().unwrap();
    let update = |enabled| client.update_event_source_mapping().uuid(uuid).enabled(enabled).send();
    let state = async || client.get_event_source_mapping().uuid(uuid).send().await.unwrap().state;
    assert_eq!(update(false).await.unwrap().state(), Some("Disabling"));
    world.wait_until(19).await;
    assert_eq!(state().await.as_deref(), Some("Disabling"));
    let error = update(true).await.unwrap_err().into_service_error();
    assert!(error.is_resource_in_use_exception(), "{error:?}");
    world.wait_until(21).await;
    assert_eq!(state().await.as_deref(), Some("Disabled"));
    assert_ne!(world.cloud.snapshot(), before);
    assert_eq!(update(true).await.unwrap().state(), Some("Enabling"));
    world.wait_until(42).await;
    assert_eq!(state().await.as_deref(), Some("Enabled"));
    assert_eq!(world.cloud.snapshot(), before);

    let error = client.get_event_source_mapping().uuid("none").send().await.unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
    let call = client.update_event_source_mapping().uuid(uuid).batch_size(3);
    assert_eq!(
        call.send().await.unwrap_err().into_service_error().code(),
        Some("NotSimulated")
    );
    let there = world.lambda(WEST).list_event_source_mappings().send().await.unwrap();
    assert_eq!(there.event_source_mappings()[0].state(), Some("Disabled"));
}

#[tokio::test(start_paused = true)]
async fn event_sources_are_listed_by_pages() {
    let world = World::new().await;
    let function = &world.plan.functions[1].name;
    for index in 0..5 {
        let (uuid, queue) = (
            format!("u{index}"),
            format!("arn:aws:sqs:us-west-2:123456789012:q{index}"),
        );
        world
            .cloud
            .lambda
            .create_event_source(WEST, &uuid, function, &queue, true);
    }
    let arn = format!("arn:aws:lambda:us-west-2:123456789012:function:{function}");
    let client = world.lambda(WEST);
    for name in [function, &arn] {
        let pages = client.list_event_source_mappings().function_name(name).max_items(2);
        let mut pages = pages.into_paginator().send();
        let mut listed: Vec<Vec<String>> = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            listed.push(
                page.event_source_mappings()
                    .iter()
                    .map(|one| one.uuid().unwrap().to_owned())
                    .collect(),
            );
        }
        let expected: [Vec<&str>; 3] = [vec!["u0", "u1"], vec!["u2", "u3"], vec!["u4"]];
        assert_eq!(listed, expected);
    }
    let call = client.list_event_source_mappings().function_name("nobody");
    assert!(
        call.send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_resource_not_found_exception()
    );
    let call = client.list_event_source_mappings().event_source_arn(&arn);
    assert_eq!(
        call.send().await.unwrap_err().into_service_error().code(),
        Some("NotSimulated")
    );
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_closed_to_customers_and_opened_exactly_as_it_was() {
    let world = World::new().await;
    let before = world.cloud.snapshot();
    let api = &world.plan.regions.primary.api;
    let get = world
        .apigateway(EAST)
        .get_stage()
        .rest_api_id(&api.rest_api)
        .stage_name(&api.stage);
    let stage = get.send().await.unwrap();
    let settings = stage.method_settings.unwrap();
    let rates = ["*/*", "~1order/GET"].map(|method| settings[method].throttling_rate_limit());
    assert_eq!(rates, [500.0, 200.0]);
    assert_eq!(settings["*/*"].logging_level(), Some("INFO"));
    assert_eq!((world.ask("/order").await, world.ask("/v2/health").await), (200, 200));

    // The method's own settings hold.
    world
        .patch(&[(Op::Replace, "/*/*/throttling/rateLimit", "0")])
        .await
        .unwrap();
    assert_eq!((world.ask("/order").await, world.ask("/v2/health").await), (200, 429));
    let burst = "/~1order/GET/throttling/burstLimit";
    world
        .patch(&[
            (Op::Replace, burst, "0"),
            (Op::Replace, "/~1new/GET/throttling/rateLimit", "0"),
        ])
        .await
        .unwrap();
    assert_eq!(world.ask("/order").await, 429);
    assert_ne!(world.cloud.snapshot(), before);

    world
        .patch(&[
            (Op::Replace, "/*/*/throttling/rateLimit", "500.0"),
            (Op::Replace, burst, "400"),
            (Op::Remove, "/~1new/GET", ""),
        ])
        .await
        .unwrap();
    assert_eq!((world.ask("/order").await, world.ask("/v2/health").await), (200, 200));
    assert_eq!(world.cloud.snapshot(), before);

    // None of a batch that is refused.
    let mixed = [(Op::Replace, burst, "0"), (Op::Remove, "/~1new/GET", "")];
    let error = world.patch(&mixed).await.unwrap_err();
    assert!(
        matches!(error, aws_sdk_apigateway::Error::BadRequestException(_)),
        "{error:?}"
    );
    assert_eq!(world.cloud.snapshot(), before);
    for (rest_api, stage) in [("unknown", api.stage.as_str()), (api.rest_api.as_str(), "unknown")] {
        let call = world
            .apigateway(EAST)
            .get_stage()
            .rest_api_id(rest_api)
            .stage_name(stage);
        assert!(
            call.send()
                .await
                .unwrap_err()
                .into_service_error()
                .is_not_found_exception()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn api_gateway_takes_forty_requests_in_four_seconds() {
    let world = World::new().await;
    let api = &world.plan.regions.primary.api;
    let client = aws_sdk_apigateway::Client::new(&world.aws.config_in(EAST));
    let get = || {
        client
            .get_stage()
            .rest_api_id(&api.rest_api)
            .stage_name(&api.stage)
            .send()
    };
    let answers: Vec<_> = futures::future::join_all((0..50).map(|_| get())).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 40);
    let error = answers.into_iter().find_map(Result::err).unwrap().into_service_error();
    assert!(error.is_too_many_requests_exception(), "{error:?}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    get().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_is_changed_and_followed_until_it_is_in_sync() {
    let world = World::new().await;
    let zone = &world.plan.dns.hosted_zone;
    let record = PlainRecord {
        target: "east.example.com".to_owned(),
        ttl: Duration::from_secs(60),
    };
    world.cloud.route53.put_plain_record(zone, PLAIN, record);
    let before = world.cloud.snapshot();
    let client = world.route53();
    let change = |batch| {
        client
            .change_resource_record_sets()
            .hosted_zone_id(zone)
            .change_batch(batch)
            .send()
    };
    let list = client.list_resource_record_sets().hosted_zone_id(zone);
    let listed = list
        .start_record_name(PLAIN)
        .start_record_type(RrType::Cname)
        .max_items(1)
        .send()
        .await
        .unwrap();
    assert_eq!(
        listed.resource_record_sets()[0].resource_records()[0].value(),
        "east.example.com"
    );
    let taken = change(batch(ChangeAction::Upsert, set("west.example.com")))
        .await
        .unwrap()
        .change_info
        .unwrap();
    assert_eq!(
        (taken.status(), taken.comment()),
        (&ChangeStatus::Pending, Some("moved by \"a test\""))
    );
    let follow = async || client.get_change().id(taken.id()).send().await;
    let answered = || {
        world
            .cloud
            .route53
            .resolve(&world.cloud, &Resolver::default(), PLAIN)
            .unwrap()
    };
    world.wait_until(20).await;
    assert_eq!(
        follow().await.unwrap().change_info.unwrap().status(),
        &ChangeStatus::Pending
    );
    assert_eq!(answered(), "east.example.com");
    world.wait_until(31).await;
    assert_eq!(
        follow().await.unwrap().change_info.unwrap().status(),
        &ChangeStatus::Insync
    );
    assert_eq!(answered(), "west.example.com");

    let error = change(batch(ChangeAction::Delete, set("east.example.com")))
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_invalid_change_batch());
    let lost = change(batch(ChangeAction::Upsert, set("east.example.com")))
        .await
        .unwrap()
        .change_info
        .unwrap();
    assert_eq!(world.cloud.snapshot(), before);
    world.cloud.route53.forget_changes(&world.cloud);
    let error = client.get_change().id(lost.id()).send().await.unwrap_err();
    assert!(error.into_service_error().is_no_such_change());
    assert_ne!(world.cloud.snapshot(), before);

    // The control plane is in us-east-1, the names are not.
    world.cloud.take_region_away(EAST);
    assert!(matches!(follow().await.unwrap_err(), SdkError::TimeoutError(_)));
    assert_eq!(answered(), "west.example.com");
}

#[tokio::test(start_paused = true)]
async fn a_failover_pair_is_listed_as_it_was_made_and_can_be_put_back() {
    let world = World::new().await;
    let zone = &world.plan.dns.hosted_zone;
    let client = world.route53();
    let listed = client
        .list_resource_record_sets()
        .hosted_zone_id(zone)
        .send()
        .await
        .unwrap();
    assert!(!listed.is_truncated());
    let [primary, secondary] = listed.resource_record_sets() else {
        panic!("{listed:?}")
    };
    assert_eq!(primary.name(), format!("{}.", world.plan.dns.name));
    assert_eq!(primary.failover(), Some(&ResourceRecordSetFailover::Primary));
    assert_eq!(
        primary.health_check_id(),
        world
            .plan
            .dns
            .switch_object
            .as_ref()
            .unwrap()
            .health_check
            .as_ref()
            .map(|check| check.0.as_str())
    );
    assert_eq!(secondary.failover(), Some(&ResourceRecordSetFailover::Secondary));
    let before = world.cloud.snapshot();
    let change = |action, set| {
        let call = client.change_resource_record_sets().hosted_zone_id(zone);
        call.change_batch(batch(action, set)).send()
    };
    change(ChangeAction::Delete, primary.clone()).await.unwrap();
    assert_ne!(world.cloud.snapshot(), before);
    change(ChangeAction::Create, primary.clone()).await.unwrap();
    assert_eq!(world.cloud.snapshot(), before);
    let mut unknown = primary.clone();
    unknown.health_check_id = Some("00000000-0000-0000-0000-000000000000".to_owned());
    let error = change(ChangeAction::Upsert, unknown)
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_no_such_health_check(), "{error:?}");
    let nowhere = client.list_resource_record_sets().hosted_zone_id("Z0");
    assert!(
        nowhere
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_no_such_hosted_zone()
    );
}

#[tokio::test(start_paused = true)]
async fn aws_health_has_an_event_some_time_after_an_outage_began() {
    let world = World::new().await;
    let ask = async |region: &str, status: EventStatusCode| {
        let filter = EventFilter::builder()
            .regions(region)
            .event_status_codes(status)
            .build();
        world.health(EAST).describe_events().filter(filter).send().await
    };
    world.cloud.take_away(WEST, Reach::Customers);
    world.wait_until(599).await;
    assert!(ask(WEST, EventStatusCode::Open).await.unwrap().events().is_empty());
    world.wait_until(601).await;
    let events = ask(WEST, EventStatusCode::Open).await.unwrap().events.unwrap();
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(
        (event.region(), event.service()),
        (Some(WEST), Some("MULTIPLE_SERVICES"))
    );
    assert_eq!(event.start_time().unwrap().secs(), common::at(0).as_second());
    assert!(ask(EAST, EventStatusCode::Open).await.unwrap().events().is_empty());
    world.cloud.give_region_back(WEST);
    assert!(ask(WEST, EventStatusCode::Open).await.unwrap().events().is_empty());
    let closed = ask(WEST, EventStatusCode::Closed).await.unwrap();
    assert!(closed.events()[0].end_time().is_some());
    // One that AWS never heard of.
    world.cloud.take_region_away(WEST);
    world.cloud.give_region_back(WEST);
    world.wait_until(1_300).await;
    assert_eq!(ask(WEST, EventStatusCode::Closed).await.unwrap().events().len(), 1);

    // One of its databases alone is RDS's.
    world.cloud.rds.take_database_away(&world.cloud, WEST);
    world.wait_until(2_000).await;
    let events = ask(WEST, EventStatusCode::Open).await.unwrap().events.unwrap();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event.service(), event.event_type_code()))
        .collect();
    assert_eq!(kinds, [(Some("RDS"), Some("AWS_RDS_OPERATIONAL_ISSUE"))]);

    world.cloud.health.set_subscribed(false);
    let error = ask(WEST, EventStatusCode::Open).await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("SubscriptionRequiredException"));
    world.cloud.health.set_subscribed(true);
    let filter = EventFilter::builder().entity_values("i-1").build();
    let call = world.health(EAST).describe_events().filter(filter);
    assert_eq!(
        call.send().await.unwrap_err().into_service_error().code(),
        Some("NotSimulated")
    );
    // The API is in us-east-1 alone, whatever it says of other Regions.
    let error = world.health(WEST).describe_events().send().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    world.health("aws-global").describe_events().send().await.unwrap();
    world.cloud.take_away(EAST, Reach::Apis);
    assert!(matches!(
        ask(WEST, EventStatusCode::Open).await.unwrap_err(),
        SdkError::TimeoutError(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_region_whose_apis_are_away_serves_customers_and_one_that_customers_do_not_reach_answers_calls() {
    let world = World::new().await;
    let function = &world.plan.functions[0].name;
    let call = || {
        world
            .lambda(EAST)
            .get_function_concurrency()
            .function_name(function)
            .send()
    };
    world.cloud.take_away(EAST, Reach::Apis);
    assert!(matches!(call().await.unwrap_err(), SdkError::TimeoutError(_)));
    assert_eq!(world.ask("/order").await, 200);
    world.cloud.give_region_back(EAST);
    world.cloud.take_away(EAST, Reach::Customers);
    call().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_secs(60), world.ask("/order"))
            .await
            .is_err()
    );
}
