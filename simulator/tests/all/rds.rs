//! RDS, its Data API and its metrics as the SDK's own clients see them, through the door.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use aws_sdk_rds::Client;
use aws_sdk_rds::error::ProvideErrorMetadata;
use aws_sdk_rds::types::{FailoverStatus, GlobalCluster, WriteForwardingStatus};
use aws_sdk_rdsdata::types::{Field, SqlParameter};

use crate::common::{EAST, GLOBAL, WEST, World, at};
use simulator::cloud::Reach;

impl World {
    fn arns(&self) -> (String, String) {
        let regions = &self.plan.regions;
        (
            self.plan.cluster_arn(&regions.primary),
            self.plan.cluster_arn(&regions.standby),
        )
    }

    async fn global(&self) -> GlobalCluster {
        let call = self.rds(WEST).describe_global_clusters();
        let found = call.global_cluster_identifier(GLOBAL).send().await.unwrap();
        found.global_clusters.unwrap().remove(0)
    }

    /// The minutes, counted from the beginning, for which a Region has the lag of a cluster.
    async fn minutes_with_lag(&self, region: &str, cluster: &str) -> Vec<i64> {
        let client = aws_sdk_cloudwatch::Client::new(&self.aws.config_in(region));
        let dimension = Dimension::builder().name("DBClusterIdentifier").value(cluster).build();
        let metric = Metric::builder()
            .namespace("AWS/RDS")
            .metric_name("AuroraGlobalDBRPOLag")
            .dimensions(dimension)
            .build();
        let stat = MetricStat::builder().metric(metric).period(60).stat("Maximum").build();
        let time = |second| aws_sdk_cloudwatch::primitives::DateTime::from_secs(at(second).as_second());
        let found = client
            .get_metric_data()
            .start_time(time(0))
            .end_time(time(3600))
            .metric_data_queries(MetricDataQuery::builder().id("lag").metric_stat(stat).build())
            .send()
            .await
            .unwrap();
        let found = found.metric_data_results().first().unwrap().clone();
        assert!(found.values().iter().all(|value| *value == 500.0), "{found:?}");
        let minutes = found.timestamps().iter().rev();
        minutes.map(|time| (time.secs() - at(0).as_second()) / 60).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_followed_to_its_end() {
    let world = World::new().await;
    let (old, new) = world.arns();
    world.wait_until(100).await;
    world.cloud.take_region_away(EAST);
    let call = world.rds(WEST).failover_global_cluster();
    let accepted = call
        .global_cluster_identifier(GLOBAL)
        .target_db_cluster_identifier(&new)
        .allow_data_loss(true)
        .send()
        .await
        .unwrap();
    let state = accepted.global_cluster.unwrap().failover_state.unwrap();
    assert_eq!(state.status(), Some(&FailoverStatus::Pending));
    assert_eq!(state.from_db_cluster_arn(), Some(old.as_str()));
    assert_eq!(state.to_db_cluster_arn(), Some(new.as_str()));
    assert_eq!(state.is_data_loss_allowed(), Some(true));

    world.wait_until(110).await;
    let global = world.global().await;
    assert_eq!(global.status(), Some("failing-over"));
    assert_eq!(
        global.failover_state.unwrap().status(),
        Some(&FailoverStatus::FailingOver)
    );

    world.wait_until(200).await;
    let global = world.global().await;
    assert_eq!((global.status(), &global.failover_state), (Some("available"), &None));
    let members: BTreeMap<_, _> = global
        .global_cluster_members()
        .iter()
        .map(|member| {
            let synchronised = member.synchronization_status().unwrap().as_str().to_owned();
            assert_eq!(member.global_write_forwarding_status(), None::<&WriteForwardingStatus>);
            let readers = member.readers().to_vec();
            (
                member.db_cluster_arn().unwrap(),
                (member.is_writer().unwrap(), synchronised, readers),
            )
        })
        .collect();
    assert_eq!(members[new.as_str()], (true, "connected".to_owned(), vec![old.clone()]));
    assert_eq!(members[old.as_str()], (false, "pending-resync".to_owned(), vec![]));

    let call = world
        .rds(WEST)
        .describe_db_clusters()
        .db_cluster_identifier("radiant-dr-cluster");
    let cluster = call.send().await.unwrap().db_clusters.unwrap().remove(0);
    assert_eq!(cluster.status(), Some("available"));
    assert_eq!(cluster.http_endpoint_enabled(), Some(true));
    let instance = cluster.db_cluster_members().first().unwrap();
    assert_eq!(instance.db_instance_identifier(), Some("radiant-dr-cluster-1"));
    assert_eq!(instance.is_cluster_writer(), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_switchover_is_followed_to_its_end() {
    let world = World::new().await;
    let (_, new) = world.arns();
    let call = world.rds(EAST).switchover_global_cluster();
    let accepted = call
        .global_cluster_identifier(GLOBAL)
        .target_db_cluster_identifier(&new)
        .send()
        .await
        .unwrap();
    let state = accepted.global_cluster.unwrap().failover_state.unwrap();
    assert_eq!(state.is_data_loss_allowed(), Some(false));
    world.wait_until(20).await;
    let global = world.global().await;
    // Documented, and not in the SDK's enum.
    assert_eq!(
        global.failover_state.unwrap().status().unwrap().as_str(),
        "switching-over"
    );
    world.wait_until(50).await;
    assert_eq!(world.global().await.failover_state, None);
    assert_eq!(world.cloud.rds.writer_of(&world.cloud, GLOBAL), Some(new));
}

#[tokio::test(start_paused = true)]
async fn the_sdk_recognises_every_error() {
    let world = World::new().await;
    let (old, new) = world.arns();
    let (east, west) = (world.rds(EAST), world.rds(WEST));

    let nowhere = west.describe_db_clusters().db_cluster_identifier("radiant-production");
    let error = nowhere.send().await.unwrap_err().into_service_error();
    assert!(error.is_db_cluster_not_found_fault(), "{error:?}");
    let nowhere = west.describe_global_clusters().global_cluster_identifier("barns");
    let error = nowhere.send().await.unwrap_err().into_service_error();
    assert!(error.is_global_cluster_not_found_fault(), "{error:?}");
    let error = west.reboot_db_cluster().db_cluster_identifier("radiant-dr-cluster");
    let error = error.send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("NotSimulated"));

    let fail_over = |global: &str, target: &str| {
        let call = west.failover_global_cluster().allow_data_loss(true);
        call.global_cluster_identifier(global)
            .target_db_cluster_identifier(target)
    };
    let error = fail_over("barns", &new).send().await.unwrap_err().into_service_error();
    assert!(error.is_global_cluster_not_found_fault(), "{error:?}");
    let error = fail_over(GLOBAL, "radiant-dr-cluster")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_db_cluster_not_found_fault(), "{error:?}");
    let error = fail_over(GLOBAL, &old).send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_global_cluster_state_fault(), "{error:?}");
    let error = fail_over(GLOBAL, &new)
        .switchover(true)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("InvalidParameterCombination"));

    let switch_over = |client: &Client, global: &str, target: &str| {
        let call = client.switchover_global_cluster();
        call.global_cluster_identifier(global)
            .target_db_cluster_identifier(target)
    };
    let error = switch_over(&west, GLOBAL, &new)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_invalid_global_cluster_state_fault(), "{error:?}");
    let error = switch_over(&east, "barns", &new)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_global_cluster_not_found_fault(), "{error:?}");
    let error = switch_over(&east, GLOBAL, "radiant-dr-cluster")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_db_cluster_not_found_fault(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_data_api_speaks_sql() {
    let world = World::new().await;
    let (old, new) = world.arns();
    let secret = world.plan.regions.primary.database_secret.clone();
    let client = aws_sdk_rdsdata::Client::new(&world.aws.config_in(EAST));
    let run = |sql: &str| {
        let call = client
            .execute_statement()
            .resource_arn(&old)
            .secret_arn(&secret)
            .database("radiant");
        call.sql(sql)
    };
    let number = SqlParameter::builder().name("ms").value(Field::LongValue(7)).build();
    let inserted = run("INSERT INTO orders (written_ms) VALUES (:ms)")
        .parameters(number)
        .send()
        .await
        .unwrap();
    assert_eq!(inserted.number_of_records_updated(), 1);
    let read = run("SELECT written_ms, NULL, 'a', 0.5, CAST(pg_is_in_recovery() AS text) FROM orders");
    let expected = [
        Field::LongValue(7),
        Field::IsNull(true),
        Field::StringValue("a".to_owned()),
        Field::DoubleValue(0.5),
        Field::StringValue("false".to_owned()),
    ];
    assert_eq!(read.send().await.unwrap().records(), [expected]);

    let error = run("SELEKT 1").send().await.unwrap_err().into_service_error();
    assert!(error.is_database_error_exception(), "{error:?}");
    let error = run("SELECT 1")
        .secret_arn("another")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_secrets_error_exception(), "{error:?}");
    world.cloud.secretsmanager.put(&world.cloud, "another", "no user");
    let error = run("SELECT 1").secret_arn("another").send().await.unwrap_err();
    assert!(error.into_service_error().is_invalid_secret_exception());
    let wrong = simulator::workload::database_login("wrong").secret();
    world.cloud.secretsmanager.put(&world.cloud, "another", &wrong);
    let error = run("SELECT 1").secret_arn("another").send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_bad_request_exception(), "{error:?}");
    assert!(error.to_string().contains("28P01"), "{error:?}");
    let error = run("SELECT 1")
        .transaction_id("t")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_transaction_not_found_exception(), "{error:?}");
    let error = run("SELECT 1")
        .continue_after_timeout(true)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("NotSimulated"));
    let error = run("SELECT 1")
        .resource_arn(&new)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_bad_request_exception(), "{error:?}");
    world.cloud.rds.set_data_api(&old, false);
    let error = run("SELECT 1").send().await.unwrap_err().into_service_error();
    assert!(error.is_http_endpoint_not_enabled_exception(), "{error:?}");

    let here = aws_sdk_rdsdata::Client::new(world.aws.config());
    let secret = &world.plan.regions.standby.database_secret;
    let run = || {
        here.execute_statement()
            .resource_arn(&new)
            .secret_arn(secret)
            .sql("SELECT 1")
            .send()
    };
    let error = run().await.unwrap_err().into_service_error();
    assert!(error.is_database_unavailable_exception(), "{error:?}");
    world.cloud.rds.set_instances(&new, &[]);
    let error = run().await.unwrap_err().into_service_error();
    assert!(error.is_database_not_found_exception(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn lag_is_published_in_the_secondary_region_while_both_are_up() {
    let world = World::new().await;
    for (second, region, up) in [
        (90, EAST, false),
        (150, EAST, true),
        (210, WEST, false),
        (270, WEST, true),
    ] {
        world.wait_until(second).await;
        if up {
            world.cloud.give_region_back(region);
        } else {
            world.cloud.take_region_away(region);
        }
    }
    // A failover ends at 429 s; nothing is replicated to the side that has to be made anew.
    world.wait_until(365).await;
    let (_, new) = world.arns();
    let call = world.rds(WEST).failover_global_cluster().allow_data_loss(true);
    let call = call.global_cluster_identifier(GLOBAL).target_db_cluster_identifier(new);
    call.send().await.unwrap();
    world.wait_until(601).await;
    assert_eq!(
        world.minutes_with_lag(WEST, "radiant-dr-cluster").await,
        [0, 2, 4, 5, 6]
    );
    for (region, cluster) in [
        (EAST, "radiant-dr-cluster"),
        (EAST, "radiant-production"),
        (WEST, "radiant-production"),
    ] {
        assert_eq!(
            world.minutes_with_lag(region, cluster).await,
            [0; 0],
            "{region} {cluster}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn lag_changes_sides_with_a_switchover() {
    let world = World::new().await;
    world.wait_until(61).await;
    let (_, new) = world.arns();
    let call = world.rds(EAST).switchover_global_cluster();
    let call = call.global_cluster_identifier(GLOBAL).target_db_cluster_identifier(new);
    call.send().await.unwrap();
    world.wait_until(181).await;
    assert_eq!(world.minutes_with_lag(WEST, "radiant-dr-cluster").await, [0]);
    assert_eq!(world.minutes_with_lag(EAST, "radiant-production").await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_old_writer_rejoins_when_its_region_is_back() {
    let world = World::new().await;
    let (old, new) = world.arns();
    world.cloud.take_region_away(EAST);
    let call = world.rds(WEST).failover_global_cluster().allow_data_loss(true);
    let call = call
        .global_cluster_identifier(GLOBAL)
        .target_db_cluster_identifier(&new);
    call.send().await.unwrap();
    let synchronised = async || {
        let global = world.global().await;
        let members = global.global_cluster_members().iter();
        let mut old_one = members.filter(|member| member.db_cluster_arn() == Some(&old));
        old_one
            .next()
            .unwrap()
            .synchronization_status()
            .unwrap()
            .as_str()
            .to_owned()
    };
    world.wait_until(3_600).await;
    assert_eq!(synchronised().await, "pending-resync");
    world.cloud.give_region_back(EAST);
    world.wait_until(3_600 + 1_190).await;
    assert_eq!(synchronised().await, "pending-resync");
    assert_eq!(world.minutes_with_lag(EAST, "radiant-production").await, [0; 0]);
    world.wait_until(3_600 + 1_205).await;
    assert_eq!(synchronised().await, "connected");
    // And back.
    let call = world.rds(WEST).switchover_global_cluster();
    let call = call
        .global_cluster_identifier(GLOBAL)
        .target_db_cluster_identifier(&old);
    call.send().await.unwrap();
    world.wait_until(3_600 + 1_300).await;
    assert_eq!(world.cloud.rds.writer_of(&world.cloud, GLOBAL), Some(old));
}

#[tokio::test(start_paused = true)]
async fn versions_are_described_and_must_be_compatible() {
    let world = World::new().await;
    let (_, new) = world.arns();
    world.cloud.rds.set_engine_version(&new, "16.5");
    let global = world.global().await;
    assert_eq!(
        (global.engine(), global.engine_version()),
        (Some("aurora-postgresql"), Some("16.6"))
    );
    let clusters = world.rds(WEST).describe_db_clusters().send().await.unwrap();
    let cluster = clusters.db_clusters().first().unwrap();
    assert_eq!(
        (cluster.engine(), cluster.engine_version()),
        (Some("aurora-postgresql"), Some("16.5"))
    );
    let fail_over = || {
        let call = world.rds(WEST).failover_global_cluster().allow_data_loss(true);
        call.global_cluster_identifier(GLOBAL)
            .target_db_cluster_identifier(&new)
            .send()
    };
    let error = fail_over().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_db_cluster_state_fault(), "{error:?}");
    let call = world.rds(EAST).switchover_global_cluster();
    let call = call
        .global_cluster_identifier(GLOBAL)
        .target_db_cluster_identifier(&new);
    let error = call.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_db_cluster_state_fault(), "{error:?}");
    world.cloud.rds.set_engine_version(&new, "16.6.1");
    fail_over().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lag_is_published_or_not_whatever_becomes_of_apis_and_customers() {
    let world = World::new().await;
    world.cloud.take_away(EAST, Reach::Apis);
    world.cloud.take_away(EAST, Reach::Customers);
    world.wait_until(90).await;
    world.cloud.rds.publish_replication_lag(GLOBAL, false);
    world.wait_until(150).await;
    world.cloud.rds.publish_replication_lag(GLOBAL, true);
    world.wait_until(200).await;
    assert_eq!(world.minutes_with_lag(WEST, "radiant-dr-cluster").await, [0, 2]);
    let call = world.rds(EAST).describe_global_clusters();
    let asked_at = tokio::time::Instant::now();
    call.send().await.unwrap_err();
    assert!(asked_at.elapsed() >= Duration::from_secs(2));
    assert_eq!(world.counted(EAST, "rds", "(no answer)"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_fails_by_itself_and_comes_back() {
    let world = World::new().await;
    let applied = |fault| world.cloud.faults.applied(fault);
    let (old, new) = world.arns();
    let idle = world.cloud.rds.take_database_away(&world.cloud, WEST);
    world.cloud.rds.give_database_back(&world.cloud, WEST);
    world.wait_until(90).await;
    let fault = world.cloud.rds.take_database_away(&world.cloud, EAST);
    assert!(world.cloud.is_up(EAST) && world.cloud.runs(EAST) && !world.cloud.databases_run(EAST));
    // RDS there answers with an error, or not at all, to everybody.
    let mut outcomes = BTreeMap::new();
    for _ in 0..20 {
        let failed = world.rds(EAST).describe_db_clusters().send().await.unwrap_err();
        let status = failed.raw_response().map(|response| response.status().as_u16());
        *outcomes.entry(status).or_insert(0) += 1;
    }
    assert_eq!(outcomes.keys().copied().collect::<Vec<_>>(), [None, Some(500)]);
    assert_eq!(applied(fault), 20);
    assert_eq!(world.counted(EAST, "rds", "DescribeDBClusters"), 20);
    let data = aws_sdk_rdsdata::Client::new(&world.aws.config_in(EAST)).execute_statement();
    let secret = &world.plan.regions.primary.database_secret;
    data.resource_arn(&old)
        .secret_arn(secret)
        .sql("SELECT 1")
        .send()
        .await
        .unwrap_err();
    // The platform cannot write, and nothing arrives at the other side; everything else there works.
    let none = BTreeMap::new();
    let refusal = world.cloud.rds.execute(&world.cloud, EAST, &old, "SELECT 1", &none);
    assert_eq!(refusal.unwrap_err().code, "DatabaseUnavailableException");
    assert_eq!(applied(fault), 22);
    let health = world.lambda(EAST).list_event_source_mappings().send().await;
    health.unwrap();
    world.rds(WEST).describe_global_clusters().send().await.unwrap();
    world.wait_until(190).await;
    assert_eq!(world.minutes_with_lag(WEST, "radiant-dr-cluster").await, [0]);

    world.cloud.rds.give_database_back(&world.cloud, EAST);
    world.rds(EAST).describe_db_clusters().send().await.unwrap();
    world
        .cloud
        .rds
        .execute(&world.cloud, EAST, &old, "SELECT 1", &none)
        .unwrap();
    world.wait_until(250).await;
    assert_eq!(world.minutes_with_lag(WEST, "radiant-dr-cluster").await, [0, 3]);
    // A part that is away by itself stays so.
    world.cloud.take_away(EAST, Reach::Customers);
    world.cloud.rds.give_database_back(&world.cloud, EAST);
    assert!(!world.cloud.customers_reach(EAST));
    assert_eq!((applied(idle), applied(fault)), (0, 22));
    let call = world.rds(WEST).failover_global_cluster().allow_data_loss(true);
    let call = call.global_cluster_identifier(GLOBAL).target_db_cluster_identifier(new);
    call.send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_read_only_writes_nothing_and_ends() {
    let world = World::new().await;
    let site = &world.plan.regions.primary;
    let (cluster, secret) = (world.plan.cluster_arn(site), &site.database_secret);
    let data = aws_sdk_rdsdata::Client::new(&world.aws.config_in(EAST));
    let begun = data.begin_transaction().resource_arn(&cluster).secret_arn(secret);
    let id = begun.send().await.unwrap().transaction_id.unwrap();
    let run = |sql: &str| {
        let call = data.execute_statement().resource_arn(&cluster).secret_arn(secret);
        call.sql(sql).transaction_id(&id).send()
    };
    let raises = "SELECT setval('order_ids', 9)";
    let refused = run(raises).await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("NotSimulated"), "{refused:?}");
    run("SET TRANSACTION READ ONLY").await.unwrap();
    run("SELECT 1").await.unwrap();
    let refused = run(raises).await.unwrap_err().into_service_error();
    let says = refused.message().unwrap_or_default();
    assert!(says.contains("read-only transaction"), "{refused:?}");
    let end = || {
        let call = data.rollback_transaction().resource_arn(&cluster).secret_arn(secret);
        call.transaction_id(&id).send()
    };
    end().await.unwrap();
    assert!(
        end()
            .await
            .unwrap_err()
            .into_service_error()
            .is_transaction_not_found_exception()
    );
    assert!(
        run("SELECT 1")
            .await
            .unwrap_err()
            .into_service_error()
            .is_transaction_not_found_exception()
    );
}
