//! What calls touch, as IAM names it, when the SDK's own clients make them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_apigateway::types::{Op, PatchOperation};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::MetricDatum;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use aws_sdk_s3::primitives::ByteStream;

use crate::common::{EAST, GLOBAL, WEST, World};
use simulator::aws::door::NO_ANSWER;
use simulator::aws::resources::Resources;
use simulator::cloud::Touched;

const ACCOUNT: &str = "123456789012";

impl World {
    /// What the tests' own calls of this kind touched in all.
    fn touched(&self, region: &str, service: &str, operation: &str) -> Vec<Touched> {
        let touched = self.cloud.touched().into_iter();
        let of_kind = |touched: &Touched| {
            (
                touched.region.as_str(),
                touched.service.as_str(),
                touched.operation.as_str(),
            ) == (region, service, operation)
        };
        touched.filter(of_kind).collect()
    }

    /// ARNs that the one kind of call of this operation touched.
    fn touched_arns(&self, region: &str, service: &str, operation: &str) -> Vec<String> {
        let [touched] = <[Touched; 1]>::try_from(self.touched(region, service, operation)).unwrap();
        assert_eq!(
            (touched.function.as_str(), touched.from_region.as_str()),
            ("caller", WEST)
        );
        arns(&touched.resources)
    }
}

fn arns(resources: &Resources) -> Vec<String> {
    let resources = resources.as_ref().unwrap().iter();
    resources.map(|resource| resource.arn.clone()).collect()
}

/// The two attributes of an item's key, which are all of it.
fn item() -> [(String, AttributeValue); 2] {
    ["pk", "sk"].map(|name| (name.to_owned(), AttributeValue::S("one".to_owned())))
}

#[tokio::test(start_paused = true)]
async fn items_are_touched_by_their_table() {
    let world = World::new().await;
    let client = aws_sdk_dynamodb::Client::new(world.aws.config());
    world.cloud.dynamodb.create_table(WEST, "records").await.unwrap();
    let get = client.get_item().table_name("records").set_key(Some(item().into()));
    get.send().await.unwrap();
    let put = client.put_item().table_name("records").set_item(Some(item().into()));
    put.send().await.unwrap();
    // A call that is refused has to be allowed too.
    let delete = client.delete_item().table_name("nothing").set_key(Some(item().into()));
    delete.send().await.unwrap_err();
    let table = |name: &str| format!("arn:aws:dynamodb:{WEST}:{ACCOUNT}:table/{name}");
    for operation in ["GetItem", "PutItem"] {
        assert_eq!(world.touched_arns(WEST, "dynamodb", operation), [table("records")]);
    }
    assert_eq!(world.touched_arns(WEST, "dynamodb", "DeleteItem"), [table("nothing")]);
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_transaction_says_what_is_done_to_it() {
    let world = World::new().await;
    let client = aws_sdk_dynamodb::Client::new(world.aws.config());
    for table in ["locks", "records"] {
        world.cloud.dynamodb.create_table(WEST, table).await.unwrap();
    }
    let check = ConditionCheck::builder()
        .table_name("locks")
        .set_key(Some(item().into()));
    let check = check.condition_expression("attribute_not_exists(pk)").build().unwrap();
    let put = Put::builder()
        .table_name("records")
        .set_item(Some(item().into()))
        .build()
        .unwrap();
    let update = Update::builder().table_name("records").set_key(Some(item().into()));
    let update = update.update_expression("SET a = :a").build().unwrap();
    let delete = Delete::builder()
        .table_name("locks")
        .set_key(Some(item().into()))
        .build()
        .unwrap();
    let items = [
        TransactWriteItem::builder().condition_check(check),
        TransactWriteItem::builder().put(put),
        TransactWriteItem::builder().update(update),
        TransactWriteItem::builder().delete(delete),
    ];
    let items = items.map(|item| item.build()).to_vec();
    // Two items are one: the table refuses it, and it has been asked.
    let _ = client
        .transact_write_items()
        .set_transact_items(Some(items))
        .send()
        .await;
    let touched = world.touched(WEST, "dynamodb", "TransactWriteItems");
    let parts: BTreeSet<(Option<&str>, &str)> = touched[0]
        .resources
        .as_ref()
        .unwrap()
        .iter()
        .map(|resource| (resource.part, resource.arn.rsplit('/').next().unwrap()))
        .collect();
    let expected = BTreeSet::from([
        (Some("ConditionCheckItem"), "locks"),
        (Some("PutItem"), "records"),
        (Some("UpdateItem"), "records"),
        (Some("DeleteItem"), "locks"),
    ]);
    assert_eq!(parts, expected);
}

#[tokio::test(start_paused = true)]
async fn clusters_are_touched_by_arn_and_a_move_touches_all_of_the_global_database() {
    let world = World::new().await;
    let regions = &world.plan.regions;
    let cluster = |region: &str, name: &str| format!("arn:aws:rds:{region}:{ACCOUNT}:cluster:{name}");
    let (old, new) = (
        cluster(EAST, &regions.primary.cluster),
        cluster(WEST, &regions.standby.cluster),
    );
    let global = format!("arn:aws:rds::{ACCOUNT}:global-cluster:{GLOBAL}");
    let rds = world.rds(WEST);
    let describe = rds.describe_global_clusters().global_cluster_identifier(GLOBAL);
    describe.send().await.unwrap();
    let describe = rds
        .describe_db_clusters()
        .db_cluster_identifier(&regions.standby.cluster);
    describe.send().await.unwrap();
    let fail_over = rds.failover_global_cluster().global_cluster_identifier(GLOBAL);
    let fail_over = fail_over.target_db_cluster_identifier(&new).allow_data_loss(true);
    fail_over.send().await.unwrap();
    let switch_over = world
        .rds(EAST)
        .switchover_global_cluster()
        .global_cluster_identifier(GLOBAL);
    let _ = switch_over.target_db_cluster_identifier(&new).send().await;
    assert_eq!(
        world.touched_arns(WEST, "rds", "DescribeGlobalClusters"),
        [global.as_str()]
    );
    assert_eq!(world.touched_arns(WEST, "rds", "DescribeDBClusters"), [new.as_str()]);
    let all = [global, old, new];
    assert_eq!(world.touched_arns(WEST, "rds", "FailoverGlobalCluster"), all);
    assert_eq!(world.touched_arns(EAST, "rds", "SwitchoverGlobalCluster"), all);
}

#[tokio::test(start_paused = true)]
async fn a_statement_touches_the_cluster_and_its_secret() {
    let world = World::new().await;
    let site = &world.plan.regions.standby;
    let cluster = format!("arn:aws:rds:{WEST}:{ACCOUNT}:cluster:{}", site.cluster);
    let call = aws_sdk_rdsdata::Client::new(world.aws.config()).execute_statement();
    let call = call
        .resource_arn(&cluster)
        .secret_arn(&site.database_secret)
        .sql("SELECT 1");
    // The cluster only reads yet, and says so.
    call.send().await.unwrap_err();
    let touched = world.touched_arns(WEST, "rds-data", "ExecuteStatement");
    assert_eq!(touched, [cluster, site.database_secret.clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_is_touched_with_its_function_and_a_list_touches_no_resource() {
    let world = World::new().await;
    let client = world.lambda(WEST);
    let mapping = world
        .cloud
        .lambda
        .event_sources(world.cloud.now())
        .into_iter()
        .find(|source| source.region == WEST);
    let mapping = mapping.unwrap();
    let function = format!("arn:aws:lambda:{WEST}:{ACCOUNT}:function:{}", mapping.function);
    client
        .get_function_configuration()
        .function_name(&mapping.function)
        .send()
        .await
        .unwrap();
    let put = client.put_function_concurrency().function_name(&mapping.function);
    put.reserved_concurrent_executions(0).send().await.unwrap();
    client
        .list_event_source_mappings()
        .function_name(&mapping.function)
        .send()
        .await
        .unwrap();
    client
        .update_event_source_mapping()
        .uuid(&mapping.uuid)
        .enabled(false)
        .send()
        .await
        .unwrap();
    for operation in ["GetFunctionConfiguration", "PutFunctionConcurrency"] {
        assert_eq!(world.touched_arns(WEST, "lambda", operation), [function.as_str()]);
    }
    assert_eq!(world.touched_arns(WEST, "lambda", "ListEventSourceMappings"), ["*"]);
    let touched = world.touched(WEST, "lambda", "UpdateEventSourceMapping").remove(0);
    let resource = touched.resources.unwrap().pop_first().unwrap();
    let arn = format!("arn:aws:lambda:{WEST}:{ACCOUNT}:event-source-mapping:{}", mapping.uuid);
    let conditions = BTreeMap::from([("lambda:FunctionArn", BTreeSet::from([function]))]);
    assert_eq!((resource.arn, resource.conditions), (arn, conditions));
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_touched_by_its_path() {
    let world = World::new().await;
    let api = &world.plan.regions.standby.api;
    let client = aws_sdk_apigateway::Client::new(world.aws.config());
    client
        .get_stage()
        .rest_api_id(&api.rest_api)
        .stage_name(&api.stage)
        .send()
        .await
        .unwrap();
    let limit = PatchOperation::builder()
        .op(Op::Replace)
        .path("/*/*/throttling/rateLimit")
        .value("0");
    let update = client.update_stage().rest_api_id(&api.rest_api).stage_name(&api.stage);
    update.patch_operations(limit.build()).send().await.unwrap();
    let stage = format!(
        "arn:aws:apigateway:{WEST}::/restapis/{}/stages/{}",
        api.rest_api, api.stage
    );
    for operation in ["GetStage", "UpdateStage"] {
        assert_eq!(world.touched_arns(WEST, "apigateway", operation), [stage.as_str()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_records_says_of_which_names() {
    let world = World::new().await;
    let client = aws_sdk_route53::Client::new(world.aws.config());
    let zone = &world.plan.dns.hosted_zone;
    let record = ResourceRecord::builder().value("target.example.com").build().unwrap();
    let set = ResourceRecordSet::builder()
        .name("Status.Radiant.example.com.")
        .r#type(RrType::Cname);
    let set = set.ttl(60).resource_records(record).build().unwrap();
    let change = Change::builder()
        .action(ChangeAction::Upsert)
        .resource_record_set(set)
        .build()
        .unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    let changed = client
        .change_resource_record_sets()
        .hosted_zone_id(zone)
        .change_batch(batch)
        .send()
        .await
        .unwrap();
    let id = changed.change_info().unwrap().id().to_owned();
    client.get_change().id(&id).send().await.unwrap();
    client
        .list_resource_record_sets()
        .hosted_zone_id(zone)
        .send()
        .await
        .unwrap();
    let zone = format!("arn:aws:route53:::hostedzone/{zone}");
    assert_eq!(
        world.touched_arns(EAST, "route53", "ListResourceRecordSets"),
        [zone.as_str()]
    );
    let change = format!("arn:aws:route53:::change/{}", id.trim_start_matches("/change/"));
    assert_eq!(world.touched_arns(EAST, "route53", "GetChange"), [change]);
    let touched = world.touched(EAST, "route53", "ChangeResourceRecordSets").remove(0);
    let resource = touched.resources.unwrap().pop_first().unwrap();
    assert_eq!(resource.arn, zone);
    let one = |value: &str| BTreeSet::from([value.to_owned()]);
    let conditions = BTreeMap::from([
        (
            "route53:ChangeResourceRecordSetsNormalizedRecordNames",
            one("status.radiant.example.com"),
        ),
        ("route53:ChangeResourceRecordSetsRecordTypes", one("CNAME")),
        ("route53:ChangeResourceRecordSetsActions", one("UPSERT")),
    ]);
    assert_eq!(resource.conditions, conditions);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_an_object_asks_its_bucket_whether_there_is_one() {
    let world = World::new().await;
    world.cloud.s3.create_bucket(WEST, "shelf", &[]);
    let client = aws_sdk_s3::Client::new(world.aws.config());
    client
        .head_object()
        .bucket("shelf")
        .key("a/b")
        .send()
        .await
        .unwrap_err();
    let put = client.put_object().bucket("shelf").key("a/b");
    put.body(ByteStream::from_static(b"text")).send().await.unwrap();
    client.delete_object().bucket("shelf").key("a/b").send().await.unwrap();
    let object = "arn:aws:s3:::shelf/a/b".to_owned();
    assert_eq!(
        world.touched_arns(WEST, "s3", "HeadObject"),
        ["arn:aws:s3:::shelf".to_owned(), object.clone()]
    );
    for operation in ["PutObject", "DeleteObject"] {
        assert_eq!(world.touched_arns(WEST, "s3", operation), [object.as_str()]);
    }
}

#[tokio::test(start_paused = true)]
async fn topics_machines_and_executions_are_touched_by_their_arns() {
    let world = World::new().await;
    let topic = format!("arn:aws:sns:{WEST}:{ACCOUNT}:news");
    world.cloud.sns.create_topic(&topic);
    let sns = aws_sdk_sns::Client::new(world.aws.config());
    sns.publish()
        .topic_arn(&topic)
        .subject("s")
        .message("m")
        .send()
        .await
        .unwrap();
    assert_eq!(world.touched_arns(WEST, "sns", "Publish"), [topic]);
    let states = aws_sdk_sfn::Client::new(world.aws.config());
    let machine = format!("arn:aws:states:{WEST}:{ACCOUNT}:stateMachine:m");
    let execution = format!("arn:aws:states:{WEST}:{ACCOUNT}:execution:m:one");
    let _ = states
        .start_execution()
        .state_machine_arn(&machine)
        .input("{}")
        .send()
        .await;
    let _ = states.describe_execution().execution_arn(&execution).send().await;
    let _ = states.stop_execution().execution_arn(&execution).send().await;
    let _ = states.send_task_success().task_token("t").output("{}").send().await;
    let _ = states.send_task_failure().task_token("t").send().await;
    let _ = states.send_task_heartbeat().task_token("t").send().await;
    assert_eq!(world.touched_arns(WEST, "states", "StartExecution"), [machine]);
    for operation in ["DescribeExecution", "StopExecution"] {
        assert_eq!(world.touched_arns(WEST, "states", operation), [execution.as_str()]);
    }
    for operation in ["SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"] {
        assert_eq!(world.touched_arns(WEST, "states", operation), ["*"]);
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_have_a_namespace_and_no_arn() {
    let world = World::new().await;
    let client = aws_sdk_cloudwatch::Client::new(world.aws.config());
    let now = DateTime::from_millis(world.cloud.now().as_millisecond());
    let datum = MetricDatum::builder()
        .metric_name("m")
        .timestamp(now)
        .value(1.0)
        .build();
    client
        .put_metric_data()
        .namespace("Shop")
        .metric_data(datum)
        .send()
        .await
        .unwrap();
    client.describe_alarms().alarm_names("one").send().await.unwrap();
    client.describe_alarms().send().await.unwrap();
    let _ = client.get_metric_data().start_time(now).end_time(now).send().await;
    let touched = world.touched(WEST, "monitoring", "PutMetricData").remove(0);
    let resource = touched.resources.unwrap().pop_first().unwrap();
    let conditions = BTreeMap::from([("cloudwatch:namespace", BTreeSet::from(["Shop".to_owned()]))]);
    assert_eq!((resource.arn.as_str(), resource.conditions), ("*", conditions));
    assert_eq!(world.touched_arns(WEST, "monitoring", "GetMetricData"), ["*"]);
    let alarms = world.touched(WEST, "monitoring", "DescribeAlarms");
    let alarms: Vec<String> = alarms.iter().flat_map(|touched| arns(&touched.resources)).collect();
    let alarm = |name: &str| format!("arn:aws:cloudwatch:{WEST}:{ACCOUNT}:alarm:{name}");
    assert_eq!(alarms, [alarm("*"), alarm("one")]);
}

#[tokio::test(start_paused = true)]
async fn aws_health_knows_no_resources() {
    let world = World::new().await;
    let client = aws_sdk_health::Client::new(&world.aws.config_in(EAST));
    client.describe_events().send().await.unwrap();
    assert_eq!(world.touched_arns(EAST, "health", "DescribeEvents"), ["*"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_is_known_by_its_operation() {
    let world = World::new().await;
    world.cloud.take_region_away(EAST);
    world
        .lambda(EAST)
        .get_function_concurrency()
        .function_name("f")
        .send()
        .await
        .unwrap_err();
    assert_eq!(world.counted(EAST, "lambda", NO_ANSWER), 1);
    let function = format!("arn:aws:lambda:{EAST}:{ACCOUNT}:function:f");
    assert_eq!(world.touched_arns(EAST, "lambda", "GetFunctionConcurrency"), [function]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_known_is_kept_as_an_error() {
    let world = World::new().await;
    world.lambda(WEST).list_functions().send().await.unwrap_err();
    world
        .lambda(WEST)
        .get_function_configuration()
        .function_name("f")
        .qualifier("live")
        .send()
        .await
        .unwrap_err();
    world.rds(WEST).describe_db_engine_versions().send().await.unwrap_err();
    let errors: Vec<String> = world
        .cloud
        .touched()
        .into_iter()
        .filter_map(|touched| touched.resources.err())
        .collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("lambda:(unknown) (GET /2015-03-31/functions"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("rds:DescribeDBEngineVersions (POST /"),
        "{errors:?}"
    );
}
