//! No operation that changes something is invisible: the snapshot or the journal shows it.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use simulator::aws::door::Door;
use simulator::aws::states::ExecutionRecord;

use crate::common::{EAST, GLOBAL, WEST, World, at};

struct Seen {
    snapshot: Value,
    journal: Value,
}

impl World {
    fn seen(&self) -> Seen {
        Seen {
            snapshot: self.cloud.snapshot(),
            journal: self.cloud.journal(),
        }
    }

    /// Asserts that exactly this part of the snapshot or of the journal has changed.
    #[track_caller]
    fn assert_changed(&self, before: &Seen, part: &str) {
        let now = self.seen();
        let names = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let differing = |before: &Value, now: &Value| {
            let mut names = names(now);
            names.retain(|name| before[name] != now[name]);
            names
        };
        let mut changed = differing(&before.snapshot, &now.snapshot);
        changed.extend(differing(&before.journal, &now.journal));
        assert_eq!(changed, [part]);
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn each_operation_that_changes_something_is_seen() {
    let world = World::new().await;
    let plan = world.plan.clone();
    let here = &plan.regions.standby;
    let config = world.aws.config();

    let before = world.seen();
    let stages = aws_sdk_apigateway::Client::new(config);
    let limit = aws_sdk_apigateway::types::PatchOperation::builder()
        .op(aws_sdk_apigateway::types::Op::Replace)
        .path("/*/*/throttling/rateLimit")
        .value("0")
        .build();
    let call = stages
        .update_stage()
        .rest_api_id(&here.api.rest_api)
        .stage_name(&here.api.stage);
    call.patch_operations(limit).send().await.unwrap();
    world.assert_changed(&before, "stages");

    let functions = world.lambda(WEST);
    let before = world.seen();
    let call = functions
        .put_function_concurrency()
        .function_name(&plan.functions[0].name);
    call.reserved_concurrent_executions(5).send().await.unwrap();
    world.assert_changed(&before, "functions");
    let before = world.seen();
    let call = functions
        .delete_function_concurrency()
        .function_name(&plan.functions[0].name);
    call.send().await.unwrap();
    world.assert_changed(&before, "functions");
    let source = world.cloud.lambda.event_sources(world.cloud.now());
    let source = source.iter().find(|source| source.region == WEST).unwrap();
    let before = world.seen();
    let call = functions.update_event_source_mapping().uuid(&source.uuid);
    call.enabled(true).send().await.unwrap();
    world.assert_changed(&before, "event_sources");

    let objects = aws_sdk_s3::Client::new(config);
    world.cloud.s3.create_bucket(WEST, "things", &[]);
    let before = world.seen();
    objects.put_object().bucket("things").key("one").send().await.unwrap();
    world.assert_changed(&before, "objects");
    let before = world.seen();
    objects
        .delete_object()
        .bucket("things")
        .key("one")
        .send()
        .await
        .unwrap();
    world.assert_changed(&before, "objects");
    let before = world.seen();
    objects
        .put_object()
        .bucket(&here.reports.0)
        .key("report")
        .send()
        .await
        .unwrap();
    world.assert_changed(&before, "journal_objects");

    let before = world.seen();
    let items = aws_sdk_dynamodb::Client::new(config);
    let call = items.put_item().table_name(&plan.automation.table);
    call.item("pk", text("p")).item("sk", text("s")).send().await.unwrap();
    world.assert_changed(&before, "items_changed");

    let before = world.seen();
    let call = aws_sdk_sns::Client::new(config)
        .publish()
        .topic_arn(plan.topic_arn(here));
    call.message("told").send().await.unwrap();
    world.assert_changed(&before, "messages");

    let before = world.seen();
    let metrics = aws_sdk_cloudwatch::Client::new(config);
    let datum = aws_sdk_cloudwatch::types::MetricDatum::builder()
        .metric_name("Up")
        .value(1.0);
    let call = metrics.put_metric_data().namespace("Shop").metric_data(datum.build());
    call.send().await.unwrap();
    world.assert_changed(&before, "metric_values");
}

#[tokio::test(start_paused = true)]
async fn databases_records_and_executions_are_seen() {
    let world = World::new().await;
    let plan = world.plan.clone();
    let (here, there) = (&plan.regions.standby, &plan.regions.primary);
    let east = Door::new(&world.cloud, &world.platform, "caller", EAST).aws("table");

    let before = world.seen();
    let call = aws_sdk_rdsdata::Client::new(east.config()).execute_statement();
    let call = call
        .resource_arn(plan.cluster_arn(there))
        .secret_arn(&there.database_secret);
    call.sql("INSERT INTO orders (written_ms) VALUES (1)")
        .send()
        .await
        .unwrap();
    world.assert_changed(&before, "commits");

    let before = world.seen();
    let zone = aws_sdk_route53::Client::new(&world.aws.config_to_change(EAST));
    let record = aws_sdk_route53::types::ResourceRecord::builder().value("target.example.com");
    let set = aws_sdk_route53::types::ResourceRecordSet::builder()
        .name("new.example.com")
        .r#type(aws_sdk_route53::types::RrType::Cname)
        .ttl(60)
        .resource_records(record.build().unwrap());
    let change = aws_sdk_route53::types::Change::builder()
        .action(aws_sdk_route53::types::ChangeAction::Create)
        .resource_record_set(set.build().unwrap());
    let batch = aws_sdk_route53::types::ChangeBatch::builder().changes(change.build().unwrap());
    let call = zone.change_resource_record_sets().hosted_zone_id(&plan.dns.hosted_zone);
    call.change_batch(batch.build().unwrap()).send().await.unwrap();
    world.assert_changed(&before, "records");

    let before = world.seen();
    let arn = format!("arn:aws:states:{WEST}:{}:execution:machine:one", plan.account);
    let machine = format!("arn:aws:states:{WEST}:{}:stateMachine:machine", plan.account);
    let execution = ExecutionRecord::running(&machine, "one", "{}", at(0));
    world.cloud.executions.put(&arn, execution);
    world.assert_changed(&before, "executions");
    let before = world.seen();
    let executions = aws_sdk_sfn::Client::new(world.aws.config());
    executions.stop_execution().execution_arn(&arn).send().await.unwrap();
    world.assert_changed(&before, "executions");

    let before = world.seen();
    let call = world
        .rds(EAST)
        .switchover_global_cluster()
        .global_cluster_identifier(GLOBAL);
    call.target_db_cluster_identifier(plan.cluster_arn(here))
        .send()
        .await
        .unwrap();
    world.assert_changed(&before, "global_databases");
}
