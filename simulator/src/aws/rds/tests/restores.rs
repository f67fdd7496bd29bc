//! Tests of restores, instances and snapshots.

use super::*;
use crate::aws::rds::{Access, Peculiar, Quota, RestoreFate, Settings, Statement};

const RESTORED: &str = "arn:aws:rds:us-east-1:123456789012:cluster:shop-restored";

/// A restore takes 600 s, an instance 300 s, a snapshot 120 s, a deletion 60 s, a first backup 400 s.
fn shop() -> Arc<Cloud> {
    let seconds = |seconds| exactly(Duration::from_secs(seconds));
    world_with(|timings| Timings {
        cluster_restore: seconds(600),
        snapshot_restore: seconds(1_800),
        snapshot_creation: seconds(120),
        instance_creation: seconds(300),
        first_backup: seconds(400),
        deletion: seconds(60),
        password_reset: seconds(30),
        ..timings
    })
}

fn east(cloud: &Cloud, operation: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
    let mut all = vec![("Action", operation), ("Version", "2014-10-31")];
    all.extend(parameters);
    call(cloud, EAST, &all)
}

/// What DescribeDBClusters says under a name of the restored cluster, if there is such a cluster.
fn restored(cloud: &Cloud, name: &str) -> Option<String> {
    let found = east(cloud, "DescribeDBClusters", &[("DBClusterIdentifier", "shop-restored")]);
    within(&found.ok()?, name)
}

fn restore(cloud: &Cloud, to: &str, more: &[(&str, &str)]) -> Result<String, String> {
    let mut parameters = vec![
        ("DBClusterIdentifier", "shop-restored"),
        ("SourceDBClusterIdentifier", "shop"),
        ("RestoreToTime", to),
    ];
    parameters.extend(more);
    east(cloud, "RestoreDBClusterToPointInTime", &parameters)
}

fn delete(cloud: &Cloud, id: &str) -> Result<String, String> {
    let parameters = [("DBClusterIdentifier", id), ("SkipFinalSnapshot", "true")];
    east(cloud, "DeleteDBCluster", &parameters)
}

async fn until(cloud: &Cloud, second: f64) {
    cloud.clock.wait_until(at(second)).await;
}

fn error(result: Result<String, String>) -> String {
    result.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_restored_cluster_has_the_data_of_then_and_an_instance_of_its_own() {
    let cloud = shop();
    sell(&cloud, OLD, &[10.0, 20.0, 30.0]).await;
    until(&cloud, 320.0).await;
    restore(&cloud, "1970-01-01T00:00:25Z", &[]).unwrap();
    assert_eq!(restored(&cloud, "Status").unwrap(), "creating");
    let instance = [
        ("DBInstanceIdentifier", "shop-restored-1"),
        ("DBClusterIdentifier", "shop-restored"),
        ("DBInstanceClass", "db.r6g.large"),
        ("Engine", "aurora-postgresql"),
        ("PromotionTier", "0"),
    ];
    let create = || east(&cloud, "CreateDBInstance", &instance);
    assert_eq!(error(create()), "InvalidDBClusterStateFault");
    until(&cloud, 921.0).await;
    assert_eq!(restored(&cloud, "Status").unwrap(), "available");
    let ask = || cloud.rds.execute(&cloud, EAST, RESTORED, "SELECT 1", &BTreeMap::new());
    // It has neither an instance nor the Data API: no restore turns that on.
    assert_eq!(code(ask()), (400, "HttpEndpointNotEnabledException"));
    east(&cloud, "EnableHttpEndpoint", &[("ResourceArn", RESTORED)]).unwrap();
    assert_eq!(code(ask()), (404, "DatabaseNotFoundException"));
    create().unwrap();
    assert_eq!(error(create()), "DBInstanceAlreadyExists");
    assert_eq!(code(ask()), NOT_AVAILABLE);
    let status = || {
        let found = east(
            &cloud,
            "DescribeDBInstances",
            &[("DBInstanceIdentifier", "shop-restored-1")],
        );
        within(&found.unwrap(), "DBInstanceStatus").unwrap()
    };
    assert_eq!(status(), "creating");
    assert_eq!(restored(&cloud, "IsClusterWriter").unwrap(), "false");
    until(&cloud, 1_230.0).await;
    assert_eq!(status(), "available");
    assert_eq!(restored(&cloud, "IsClusterWriter").unwrap(), "true");
    ask().unwrap();
    let seconds = cloud
        .rds
        .execute(&cloud, EAST, RESTORED, "SELECT count(*) FROM sales", &BTreeMap::new());
    assert_eq!(seconds.unwrap().rows, [[Value::Integer(2)]]);
    // What is sold meanwhile is not in it, and what it takes is not in the old one.
    sell(&cloud, OLD, &[1_240.0]).await;
    let insert = "INSERT INTO sales VALUES (1)";
    cloud
        .rds
        .execute(&cloud, EAST, RESTORED, insert, &BTreeMap::new())
        .unwrap();
    assert_eq!(sold(&cloud, OLD), [10.0, 20.0, 30.0, 1_240.0]);
    // It is no member of the global database.
    let global = call(&cloud, EAST, &[("Action", "DescribeGlobalClusters")]).unwrap();
    assert!(!global.contains("shop-restored"), "{global}");
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_backup_has_is_refused() {
    let cloud = shop();
    until(&cloud, 700.0).await;
    let earliest = |id: &str, name: &str| {
        let found = east(&cloud, "DescribeDBClusters", &[("DBClusterIdentifier", id)]).unwrap();
        within(&found, name)
    };
    assert_eq!(
        earliest("shop", "EarliestRestorableTime").unwrap(),
        "1970-01-01T00:00:00Z"
    );
    assert_eq!(
        earliest("shop", "LatestRestorableTime").unwrap(),
        "1970-01-01T00:10:00Z"
    );
    for (to, code) in [
        ("1970-01-01T00:11:00Z", "InvalidParameterValue"),
        ("1969-12-31T23:59:59Z", "InvalidParameterValue"),
        ("yesterday", "InvalidParameterValue"),
    ] {
        assert_eq!(error(restore(&cloud, to, &[])), code, "{to}");
    }
    let latest = ("UseLatestRestorableTime", "true");
    let both = restore(&cloud, "1970-01-01T00:10:00Z", &[latest]);
    assert_eq!(error(both), "InvalidParameterCombination");
    restore(&cloud, "1970-01-01T00:10:00Z", &[]).unwrap();
    assert_eq!(
        error(restore(&cloud, "1970-01-01T00:10:00Z", &[])),
        "DBClusterAlreadyExistsFault"
    );
    // One that was just restored cannot be restored itself yet.
    until(&cloud, 1_400.0).await;
    assert_eq!(restored(&cloud, "Status").unwrap(), "available");
    assert_eq!(restored(&cloud, "EarliestRestorableTime"), None);
    until(&cloud, 2_100.0).await;
    assert!(restored(&cloud, "EarliestRestorableTime").is_some());
}

/// What the platform's own cluster is set to.
fn carefully_set() -> Settings {
    Settings {
        security_groups: vec!["sg-1".to_owned(), "sg-2".to_owned()],
        subnet_group: "private".to_owned(),
        parameter_group: "radiant-16".to_owned(),
        kms_key: Some("arn:aws:kms:us-east-1:123456789012:key/one".to_owned()),
        port: 5432,
        iam_authentication: true,
        log_exports: vec!["postgresql".to_owned()],
        deletion_protection: true,
        copies_tags_to_snapshots: true,
        storage_type: "aurora-iopt1".to_owned(),
        serverless: Some(["0.5".to_owned(), "16".to_owned()]),
        backup_retention_days: 35,
        backup_window: "07:00-08:00".to_owned(),
        tags: BTreeMap::from([("owner".to_owned(), "shop".to_owned())]),
        roles: BTreeMap::from([(
            "arn:aws:iam::123456789012:role/import".to_owned(),
            "s3Import".to_owned(),
        )]),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_restore_is_not_told_it_does_not_carry_over() {
    let cloud = shop();
    cloud.rds.set_settings(&cloud, OLD, carefully_set());
    until(&cloud, 310.0).await;
    restore(&cloud, "1970-01-01T00:04:00Z", &[]).unwrap();
    let plain = cloud.rds.settings_of(RESTORED).unwrap();
    let set = carefully_set();
    // Carried over by itself: the key, the backups, the tags.
    assert_eq!((&plain.kms_key, plain.backup_retention_days), (&set.kms_key, 35));
    assert_eq!((&plain.tags, &plain.backup_window), (&set.tags, &set.backup_window));
    // Not: all the rest.
    assert_eq!(plain.security_groups, ["sg-default"]);
    assert_eq!(plain.parameter_group, "default.aurora-postgresql16");
    assert!(!plain.iam_authentication && !plain.deletion_protection && !plain.copies_tags_to_snapshots);
    assert!(plain.log_exports.is_empty() && plain.roles.is_empty() && plain.serverless.is_none());
    assert_eq!(
        (plain.subnet_group.as_str(), plain.storage_type.as_str()),
        ("default", "aurora")
    );
    delete(&cloud, "shop-restored").unwrap();
    until(&cloud, 400.0).await;
    assert_eq!(restored(&cloud, "Status"), None);
    let told = [
        ("VpcSecurityGroupIds.VpcSecurityGroupId.1", "sg-1"),
        ("VpcSecurityGroupIds.VpcSecurityGroupId.2", "sg-2"),
        ("DBSubnetGroupName", "private"),
        ("DBClusterParameterGroupName", "radiant-16"),
        ("EnableIAMDatabaseAuthentication", "true"),
        ("EnableCloudwatchLogsExports.member.1", "postgresql"),
        ("DeletionProtection", "true"),
        ("CopyTagsToSnapshot", "true"),
        ("StorageType", "aurora-iopt1"),
        ("ServerlessV2ScalingConfiguration.MinCapacity", "0.5"),
        ("ServerlessV2ScalingConfiguration.MaxCapacity", "16"),
        ("Tags.Tag.1.Key", "owner"),
        ("Tags.Tag.1.Value", "shop"),
        (
            "AssociatedRoles.DBClusterAssociatedRole.1.RoleArn",
            "arn:aws:iam::123456789012:role/import",
        ),
        ("AssociatedRoles.DBClusterAssociatedRole.1.FeatureName", "s3Import"),
    ];
    restore(&cloud, "1970-01-01T00:04:00Z", &told).unwrap();
    assert_eq!(cloud.rds.settings_of(RESTORED).unwrap(), set);
    // A tag that is given stands alone.
    until(&cloud, 1_100.0).await;
    let other = [
        ("DBClusterIdentifier", "other"),
        ("SourceDBClusterIdentifier", "shop"),
        ("RestoreToTime", "1970-01-01T00:04:00Z"),
        ("Tags.Tag.1.Key", "ticket"),
        ("Tags.Tag.1.Value", "42"),
    ];
    east(&cloud, "RestoreDBClusterToPointInTime", &other).unwrap();
    let tags = cloud
        .rds
        .settings_of("arn:aws:rds:us-east-1:123456789012:cluster:other")
        .unwrap()
        .tags;
    assert_eq!(tags, BTreeMap::from([("ticket".to_owned(), "42".to_owned())]));
    // A parameter that nobody heeds here is not passed over.
    let unknown = restore(&cloud, "1970-01-01T00:04:00Z", &[("Domain", "d")]);
    assert_eq!(error(unknown), "NotSimulated");
}

#[tokio::test(start_paused = true)]
async fn aurora_postgresql_refuses_to_set_monitoring_in_a_restore() {
    let cloud = shop();
    until(&cloud, 310.0).await;
    for parameter in ["MonitoringInterval", "EnablePerformanceInsights"] {
        let refused = restore(&cloud, "1970-01-01T00:04:00Z", &[(parameter, "0")]);
        assert_eq!(error(refused), "InvalidParameterCombination", "{parameter}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_to_go_wrong_with_a_restore_does() {
    let cloud = shop();
    until(&cloud, 310.0).await;
    let then = "1970-01-01T00:04:00Z";
    let refused = cloud
        .rds
        .decide_next_restore(&cloud, RestoreFate::Refused("StorageType".to_owned()));
    assert_eq!(error(restore(&cloud, then, &[])), "InvalidParameterCombination");
    assert_eq!(cloud.faults.applied(refused), 1);
    let quota = cloud.rds.exhaust(&cloud, Quota::Clusters, EAST);
    assert_eq!(error(restore(&cloud, then, &[])), "DBClusterQuotaExceededFault");
    cloud.faults.lift(quota);
    let stuck = cloud.rds.decide_next_restore(&cloud, RestoreFate::Stuck);
    restore(&cloud, then, &[]).unwrap();
    until(&cloud, 90_000.0).await;
    assert_eq!(restored(&cloud, "Status").unwrap(), "creating");
    cloud.faults.lift(stuck);
    assert_eq!(restored(&cloud, "Status").unwrap(), "available");
    cloud.rds.decide_next_restore(&cloud, RestoreFate::Failed);
    let other = [
        ("DBClusterIdentifier", "other"),
        ("SourceDBClusterIdentifier", "shop"),
        ("UseLatestRestorableTime", "true"),
    ];
    east(&cloud, "RestoreDBClusterToPointInTime", &other).unwrap();
    until(&cloud, 91_000.0).await;
    let found = east(&cloud, "DescribeDBClusters", &[("DBClusterIdentifier", "other")]).unwrap();
    assert_eq!(within(&found, "Status").unwrap(), "failed");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_made_once_and_can_be_restored() {
    let cloud = shop();
    sell(&cloud, OLD, &[10.0]).await;
    let name = ("DBClusterSnapshotIdentifier", "before");
    let create = || {
        east(
            &cloud,
            "CreateDBClusterSnapshot",
            &[name, ("DBClusterIdentifier", "shop")],
        )
    };
    create().unwrap();
    assert_eq!(error(create()), "DBClusterSnapshotAlreadyExistsFault");
    let from = |id: &str, snapshot: &str, engine: &str| {
        let parameters = [
            ("DBClusterIdentifier", id),
            ("SnapshotIdentifier", snapshot),
            ("Engine", engine),
        ];
        east(&cloud, "RestoreDBClusterFromSnapshot", &parameters)
    };
    let postgres = "aurora-postgresql";
    assert_eq!(
        error(from("shop-restored", "before", postgres)),
        "InvalidDBClusterSnapshotStateFault"
    );
    sell(&cloud, OLD, &[40.0]).await;
    until(&cloud, 140.0).await;
    let found = east(&cloud, "DescribeDBClusterSnapshots", &[name]).unwrap();
    assert_eq!(within(&found, "Status").unwrap(), "available");
    assert_eq!(
        error(from("shop-restored", "after", postgres)),
        "DBClusterSnapshotNotFoundFault"
    );
    assert_eq!(
        error(from("shop-restored", "before", "aurora-mysql")),
        "InvalidParameterCombination"
    );
    let without_engine = [
        ("DBClusterIdentifier", "shop-restored"),
        ("SnapshotIdentifier", "before"),
    ];
    assert_eq!(
        error(east(&cloud, "RestoreDBClusterFromSnapshot", &without_engine)),
        "MissingParameter"
    );
    from("shop-restored", "before", postgres).unwrap();
    until(&cloud, 2_000.0).await;
    assert_eq!(restored(&cloud, "Status").unwrap(), "available");
    let held = cloud
        .rds
        .look_into(&cloud, RESTORED, "SELECT count(*) FROM sales", &BTreeMap::new());
    assert_eq!(held.unwrap().rows, [[Value::Integer(1)]]);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_another_account_is_found_and_restored_by_its_arn_alone() {
    const SHARED: &str = "arn:aws:rds:us-east-1:210987654321:cluster-snapshot:theirs";
    let cloud = shop();
    let shared = Peculiar {
        account: Some("210987654321".to_owned()),
        ..Peculiar::default()
    };
    cloud.rds.take_snapshot(&cloud, OLD, "theirs", shared);
    let describe = |name: &str, include_shared: &str| {
        let parameters = [("DBClusterSnapshotIdentifier", name), ("IncludeShared", include_shared)];
        east(&cloud, "DescribeDBClusterSnapshots", &parameters)
    };
    for (name, include_shared) in [("theirs", "true"), (SHARED, "false")] {
        assert_eq!(error(describe(name, include_shared)), "DBClusterSnapshotNotFoundFault");
    }
    let found = describe(SHARED, "true").unwrap();
    assert_eq!(within(&found, "DBClusterSnapshotArn").unwrap(), SHARED);
    assert_eq!(within(&found, "MasterUsername").unwrap(), "master");
    let from = [
        ("DBClusterIdentifier", "shop-restored"),
        ("SnapshotIdentifier", SHARED),
        ("Engine", "aurora-postgresql"),
    ];
    east(&cloud, "RestoreDBClusterFromSnapshot", &from).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_restored_into_its_own_version_or_a_later_one() {
    let cloud = shop();
    let restore = |id: &str, version: Option<&str>| {
        let mut parameters = vec![
            ("DBClusterIdentifier", id),
            ("SnapshotIdentifier", "old"),
            ("Engine", "aurora-postgresql"),
        ];
        parameters.extend(version.map(|version| ("EngineVersion", version)));
        let restored = east(&cloud, "RestoreDBClusterFromSnapshot", &parameters)?;
        Ok(within(&restored, "EngineVersion").unwrap())
    };
    cloud.rds.set_engine_version(OLD, "16.4");
    cloud.rds.take_snapshot(&cloud, OLD, "old", Peculiar::default());
    assert_eq!(error(restore("earlier", Some("15.13"))), "InvalidParameterCombination");
    assert_eq!(restore("same", Some("16.4")).unwrap(), "16.4");
    assert_eq!(restore("default", None).unwrap(), "16.6");
    let never_ready = Peculiar {
        never_ready: true,
        ..Peculiar::default()
    };
    cloud.rds.take_snapshot(&cloud, OLD, "slow", never_ready);
    until(&cloud, 90_000.0).await;
    let found = east(
        &cloud,
        "DescribeDBClusterSnapshots",
        &[("DBClusterSnapshotIdentifier", "slow")],
    );
    assert_eq!(within(&found.unwrap(), "Status").unwrap(), "creating");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_cluster_leaves_its_backup_where_that_is_kept() {
    let cloud = shop();
    sell(&cloud, OLD, &[10.0]).await;
    until(&cloud, 700.0).await;
    let found = east(&cloud, "DescribeDBClusters", &[("DBClusterIdentifier", "shop")]).unwrap();
    let resource = within(&found, "DbClusterResourceId").unwrap();
    let restore = |id: &str, resource: &str| {
        let parameters = [
            ("DBClusterIdentifier", id),
            ("SourceDbClusterResourceId", resource),
            ("UseLatestRestorableTime", "true"),
        ];
        east(&cloud, "RestoreDBClusterToPointInTime", &parameters)
    };
    assert_eq!(
        error(restore("shop-restored", &resource)),
        "DBClusterAutomatedBackupNotFoundFault"
    );
    cloud.rds.lose_cluster(&cloud, OLD);
    assert_eq!(
        error(east(&cloud, "DescribeDBClusters", &[("DBClusterIdentifier", "shop")])),
        "DBClusterNotFoundFault"
    );
    let kept = east(
        &cloud,
        "DescribeDBClusterAutomatedBackups",
        &[("DBClusterIdentifier", "shop")],
    )
    .unwrap();
    assert_eq!(within(&kept, "DbClusterResourceId").unwrap(), resource);
    assert_eq!(within(&kept, "LatestTime").unwrap(), "1970-01-01T00:10:00Z");
    restore("shop-restored", &resource).unwrap();
    let held = cloud
        .rds
        .look_into(&cloud, RESTORED, "SELECT count(*) FROM sales", &BTreeMap::new());
    assert_eq!(held.unwrap().rows, [[Value::Integer(1)]]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_deleted_only_without_instances_protection_and_a_global_database() {
    let cloud = shop();
    until(&cloud, 310.0).await;
    assert_eq!(error(delete(&cloud, "shop")), "InvalidDBClusterStateFault");
    restore(&cloud, "1970-01-01T00:04:00Z", &[("DeletionProtection", "true")]).unwrap();
    until(&cloud, 920.0).await;
    assert_eq!(error(delete(&cloud, "shop-restored")), "InvalidParameterCombination");
    let unprotected = [
        ("DBClusterIdentifier", "shop-restored"),
        ("DeletionProtection", "false"),
    ];
    east(&cloud, "ModifyDBCluster", &unprotected).unwrap();
    let instance = ("DBInstanceIdentifier", "shop-restored-1");
    let create = [
        instance,
        ("DBClusterIdentifier", "shop-restored"),
        ("DBInstanceClass", "db.r6g.large"),
        ("Engine", "aurora-postgresql"),
    ];
    east(&cloud, "CreateDBInstance", &create).unwrap();
    assert_eq!(
        error(east(&cloud, "DeleteDBInstance", &[instance])),
        "InvalidDBInstanceState"
    );
    until(&cloud, 1_230.0).await;
    east(&cloud, "DeleteDBInstance", &[instance]).unwrap();
    assert_eq!(error(delete(&cloud, "shop-restored")), "InvalidDBClusterStateFault");
    until(&cloud, 1_300.0).await;
    delete(&cloud, "shop-restored").unwrap();
    until(&cloud, 1_400.0).await;
    assert_eq!(error(delete(&cloud, "shop-restored")), "DBClusterNotFoundFault");
}

#[tokio::test(start_paused = true)]
async fn a_restored_cluster_has_the_passwords_of_then_until_a_new_one_is_applied() {
    let cloud = shop();
    let signs_in = |arn: &str, password: &str| {
        let parameters = BTreeMap::new();
        let statement = Statement {
            sql: "SELECT 1",
            parameters: &parameters,
            access: Access::ReadOnly,
        };
        let answer = cloud.rds.execute_as(&cloud, EAST, arn, &login(password), &statement);
        answer.map(|_| ()).map_err(|refusal| refusal.message)
    };
    until(&cloud, 60.0).await;
    signs_in(OLD, "of-the-beginning").unwrap();
    cloud.rds.set_password(&cloud, OLD, &login("of-later"));
    assert!(signs_in(OLD, "of-the-beginning").unwrap_err().contains("28P01"));
    signs_in(OLD, "of-later").unwrap();

    until(&cloud, 320.0).await;
    restore(&cloud, "1970-01-01T00:00:25Z", &[]).unwrap();
    until(&cloud, 921.0).await;
    let instance = [
        ("DBInstanceIdentifier", "shop-restored-1"),
        ("DBClusterIdentifier", "shop-restored"),
        ("DBInstanceClass", "db.r6g.large"),
        ("Engine", "aurora-postgresql"),
    ];
    east(&cloud, "CreateDBInstance", &instance).unwrap();
    east(&cloud, "EnableHttpEndpoint", &[("ResourceArn", RESTORED)]).unwrap();
    until(&cloud, 1_500.0).await;
    assert_eq!(restored(&cloud, "MasterUsername").as_deref(), Some("master"));
    assert!(signs_in(RESTORED, "of-later").unwrap_err().contains("28P01"));
    signs_in(RESTORED, "of-the-beginning").unwrap();

    let change = |password: &str| {
        let parameters = [
            ("DBClusterIdentifier", "shop-restored"),
            ("MasterUserPassword", password),
            ("ApplyImmediately", "true"),
        ];
        east(&cloud, "ModifyDBCluster", &parameters)
    };
    assert_eq!(error(change("short")), "InvalidParameterValue");
    change("of-later").unwrap();
    assert_eq!(restored(&cloud, "Status").unwrap(), "resetting-master-credentials");
    assert_eq!(restored(&cloud, "MasterUserPassword").as_deref(), Some("****"));
    assert!(signs_in(RESTORED, "of-later").is_err());
    until(&cloud, 1_531.0).await;
    assert_eq!(restored(&cloud, "Status").unwrap(), "available");
    assert_eq!(restored(&cloud, "MasterUserPassword"), None);
    signs_in(RESTORED, "of-later").unwrap();
}
