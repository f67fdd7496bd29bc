//! Tests of RDS.

mod restores;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::clusters::{NewCluster, SqlRefusal};
use super::replication::replicate;
use crate::aws::secretsmanager::Login;
use crate::aws::service::reply_at_once;
use crate::aws::wire::{Call, Reply};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::database::Rows;
use crate::database::Value;
use crate::environment::Reach;
use crate::timings::{Range, Timings};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const OLD: &str = "arn:aws:rds:us-east-1:123456789012:cluster:shop";
const NEW: &str = "arn:aws:rds:us-west-2:123456789012:cluster:shop-west";
const LAG: Duration = Duration::from_millis(500);
const RESYNC: Duration = Duration::from_secs(1_000);

fn exactly(duration: Duration) -> Range {
    Range {
        from: duration,
        to: duration,
        source: "a test".to_owned(),
    }
}

/// The moment `second` seconds after the beginning.
fn at(second: f64) -> Timestamp {
    Timestamp::from_millisecond((second * 1000.0) as i64).unwrap()
}

/// A failover waits 4 s and then lasts 60 s, a switchover takes 40 s, a quarter of it before it begins; the Data API
/// is ready 5 s later; the lag is half a second.
fn world() -> Arc<Cloud> {
    world_with(|timings| timings)
}

/// The same, with other durations.
fn world_with(change: impl FnOnce(Timings) -> Timings) -> Arc<Cloud> {
    let timings = change(Timings {
        replication_lag: exactly(LAG),
        global_failover_pending: exactly(Duration::from_secs(4)),
        global_failover: exactly(Duration::from_secs(60)),
        global_switchover: exactly(Duration::from_secs(40)),
        global_resync: exactly(RESYNC),
        data_api_ready: exactly(Duration::from_secs(5)),
        ..Timings::built_in().unwrap()
    });
    let cloud = Cloud::new("123456789012", 7, Clock::starting_at(at(0.0)), timings);
    let cluster = |arn: &str, region: &str| NewCluster {
        arn: arn.to_owned(),
        id: arn.rsplit(':').next().unwrap().to_owned(),
        region: region.to_owned(),
        master: login("of-the-beginning"),
    };
    cloud
        .rds
        .create_global_database(&cloud, "shops", &[cluster(OLD, EAST), cluster(NEW, WEST)])
        .unwrap();
    tokio::spawn(replicate(
        Arc::clone(&cloud.rds),
        cloud.environment(),
        "shops".to_owned(),
    ));
    sql(&cloud, OLD, "CREATE TABLE sales (second BIGINT)").unwrap();
    cloud
}

fn login(password: &str) -> Login {
    Login {
        user: "master".to_owned(),
        password: password.to_owned(),
    }
}

fn sql(cloud: &Cloud, cluster: &str, sql: &str) -> Result<Rows, SqlRefusal> {
    let region = if cluster == OLD { EAST } else { WEST };
    cloud.rds.execute(cloud, region, cluster, sql, &BTreeMap::new())
}

fn code(result: Result<Rows, SqlRefusal>) -> (u16, &'static str) {
    let refusal = result.unwrap_err();
    (refusal.status, refusal.code)
}

const NOT_AVAILABLE: (u16, &str) = (504, "DatabaseUnavailableException");

/// Sells at each of these seconds, to which time moves on.
async fn sell(cloud: &Cloud, cluster: &str, seconds: &[f64]) {
    for second in seconds {
        cloud.clock.wait_until(at(*second)).await;
        sql(cloud, cluster, &format!("INSERT INTO sales VALUES ({second})")).unwrap();
    }
}

fn sold(cloud: &Cloud, cluster: &str) -> Vec<f64> {
    let rows = sql(cloud, cluster, "SELECT CAST(second AS REAL) FROM sales ORDER BY second").unwrap();
    let seconds = rows.rows.iter().map(|row| match row[0] {
        Value::Real(second) => second,
        ref other => panic!("{other:?}"),
    });
    seconds.collect()
}

/// Makes a call; gives the answer's body or the error's code.
fn call(cloud: &Cloud, region: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    let call = Call {
        service: "rds".to_owned(),
        region: region.to_owned(),
        method: "POST".to_owned(),
        uri: format!("https://rds.{region}.amazonaws.com/"),
        path: "/".to_owned(),
        headers: http::HeaderMap::new(),
        body: body.extend_pairs(parameters).finish().into(),
    };
    let Reply { status, body, .. } = reply_at_once(&*cloud.rds, cloud, &call);
    let body = String::from_utf8(body).unwrap();
    match status {
        200 => Ok(body),
        _ => Err(within(&body, "Code").unwrap()),
    }
}

fn within(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
}

fn fail_over(cloud: &Cloud) -> Result<String, String> {
    move_to(cloud, WEST, NEW, "FailoverGlobalCluster", &[("AllowDataLoss", "true")])
}

fn switch_over(cloud: &Cloud) -> Result<String, String> {
    move_to(cloud, EAST, NEW, "SwitchoverGlobalCluster", &[])
}

fn move_to(
    cloud: &Cloud,
    region: &str,
    target: &str,
    operation: &str,
    more: &[(&str, &str)],
) -> Result<String, String> {
    let mut parameters = vec![
        ("Action", operation),
        ("Version", "2014-10-31"),
        ("GlobalClusterIdentifier", "shops"),
        ("TargetDbClusterIdentifier", target),
    ];
    parameters.extend(more);
    call(cloud, region, &parameters)
}

/// What is going on: the failover state's status; the target's status; whether the target is the writer; and how the
/// old cluster is synchronised.
fn seen(cloud: &Cloud) -> (Option<String>, String, bool, String) {
    let global = call(cloud, WEST, &[("Action", "DescribeGlobalClusters")]).unwrap();
    let cluster = [("Action", "DescribeDBClusters"), ("DBClusterIdentifier", "shop-west")];
    let cluster = call(cloud, WEST, &cluster).unwrap();
    let member = |arn: &str| {
        let (_, rest) = global
            .split_once(&format!("<DBClusterArn>{arn}</DBClusterArn>"))
            .unwrap();
        rest.to_owned()
    };
    (
        within(&global, "FailoverState").and_then(|state| within(&state, "Status")),
        within(&cluster, "Status").unwrap(),
        within(&member(NEW), "IsWriter").unwrap() == "true",
        within(&member(OLD), "SynchronizationStatus").unwrap(),
    )
}

fn state(failover: &str, target: &str, is_writer: bool, old: &str) -> (Option<String>, String, bool, String) {
    let failover = Some(failover.to_owned()).filter(|failover| !failover.is_empty());
    (failover, target.to_owned(), is_writer, old.to_owned())
}

const INVALID: Result<String, &str> = Err("InvalidGlobalClusterStateFault");

fn is_invalid(result: &Result<String, String>) -> bool {
    result.as_ref().map_err(String::as_str) == INVALID.as_ref().map_err(|code| *code)
}

#[tokio::test(start_paused = true)]
async fn a_failover_keeps_what_had_arrived_when_the_region_went_away() {
    let cloud = world();
    sell(&cloud, OLD, &[10.0, 99.5, 99.75]).await;
    cloud.clock.wait_until(at(100.0)).await;
    cloud.take_region_away(EAST);
    cloud.clock.wait_until(at(200.0)).await;
    let accepted = fail_over(&cloud).unwrap();
    assert_eq!(within(&accepted, "Status").unwrap(), "failing-over");
    assert_eq!(seen(&cloud), state("pending", "available", false, "connected"));
    cloud.clock.wait_until(at(203.999)).await;
    assert_eq!(seen(&cloud).0.unwrap(), "pending");
    cloud.clock.wait_until(at(204.0)).await;
    assert_eq!(seen(&cloud), state("failing-over", "promoting", false, "connected"));
    cloud.clock.wait_until(at(263.999)).await;
    assert_eq!(seen(&cloud), state("failing-over", "promoting", false, "connected"));
    assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), OLD);
    assert_eq!(code(sql(&cloud, NEW, "SELECT 1")), NOT_AVAILABLE);
    cloud.clock.wait_until(at(264.0)).await;
    assert_eq!(seen(&cloud), state("", "available", true, "pending-resync"));
    assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), NEW);
    cloud.clock.wait_until(at(268.999)).await;
    assert_eq!(code(sql(&cloud, NEW, "SELECT 1")), NOT_AVAILABLE);
    cloud.clock.wait_until(at(269.0)).await;
    // Half a second of lag: what was sold at 99.75 had not arrived at 100.
    assert_eq!(sold(&cloud, NEW), [10.0, 99.5]);
    sell(&cloud, NEW, &[270.0]).await;
    assert_eq!(sold(&cloud, NEW), [10.0, 99.5, 270.0]);
}

#[tokio::test(start_paused = true)]
async fn an_old_side_that_is_up_takes_writes_until_it_is_made_anew_and_loses_them() {
    let cloud = world();
    sell(&cloud, OLD, &[10.0]).await;
    cloud.clock.wait_until(at(100.0)).await;
    fail_over(&cloud).unwrap();
    // The promotion begins at 104, with what was committed until 103.5.
    sell(&cloud, OLD, &[103.5, 103.75, 163.75]).await;
    assert_eq!(sold(&cloud, OLD), [10.0, 103.5, 103.75, 163.75]);
    cloud.clock.wait_until(at(169.0)).await;
    assert_eq!(sold(&cloud, NEW), [10.0, 103.5]);
    sell(&cloud, NEW, &[170.0]).await;
    sell(&cloud, OLD, &[171.0, 1163.5]).await;
    assert_eq!(seen(&cloud), state("", "available", true, "pending-resync"));
    cloud.clock.wait_until(at(1164.0)).await;
    assert_eq!(seen(&cloud), state("", "available", true, "connected"));
    assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), NOT_AVAILABLE);
    let select = "SELECT CAST(max(second) AS REAL) FROM sales";
    let held = cloud.rds.look_into(&cloud, OLD, select, &BTreeMap::new()).unwrap();
    assert_eq!(held.rows, [[Value::Real(170.0)]]);
    // It replicates, and can be switched over to; what it took meanwhile is gone.
    sell(&cloud, NEW, &[1165.0]).await;
    move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &[]).unwrap();
    cloud.clock.wait_until(at(1300.0)).await;
    assert_eq!(sold(&cloud, OLD), [10.0, 103.5, 170.0, 1165.0]);
}

#[tokio::test(start_paused = true)]
async fn an_old_side_is_made_anew_while_both_regions_run() {
    let cloud = world();
    cloud.take_region_away(EAST);
    fail_over(&cloud).unwrap();
    let old = |cloud: &Cloud| seen(cloud).3;
    for (region, from, until) in [(EAST, 0.0, 500.0), (WEST, 1_400.0, 1_450.0)] {
        cloud.clock.wait_until(at(from)).await;
        cloud.take_region_away(region);
        cloud.clock.wait_until(at(until)).await;
        cloud.give_region_back(region);
    }
    // Back at 500, interrupted before it was done.
    cloud.clock.wait_until(at(2_449.0)).await;
    assert_eq!(old(&cloud), "pending-resync");
    // Nobody looked in between, and then it was away again: it was done all the same.
    cloud.clock.wait_until(at(2_451.0)).await;
    cloud.take_region_away(EAST);
    cloud.clock.wait_until(at(3_000.0)).await;
    assert_eq!(old(&cloud), "connected");
}

#[tokio::test(start_paused = true)]
async fn neither_replication_nor_a_failover_needs_the_apis_of_the_primary() {
    let cloud = world();
    cloud.take_away(EAST, Reach::Apis);
    cloud.take_away(EAST, Reach::Customers);
    sell(&cloud, OLD, &[99.0]).await;
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(170.0)).await;
    assert!(seen(&cloud).2);
    assert_eq!(sold(&cloud, NEW), [99.0]);
    // What customers still reach takes writes, which are lost.
    sell(&cloud, OLD, &[171.0]).await;
    assert_eq!(sold(&cloud, NEW), [99.0]);
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_hangs_is_cancelled_in_the_end_or_never() {
    let cloud = world();
    cloud.rds.hang_next_switchover(&cloud, Some(Duration::from_secs(300)));
    switch_over(&cloud).unwrap();
    sell(&cloud, OLD, &[9.0]).await;
    for second in [18.5, 100.0, 318.0] {
        cloud.clock.wait_until(at(second)).await;
        assert_eq!(
            seen(&cloud),
            state("switching-over", "promoting", false, "connected"),
            "{second}"
        );
        assert!(sql(&cloud, OLD, "INSERT INTO sales VALUES (0)").is_err());
        assert!(is_invalid(&fail_over(&cloud)) && is_invalid(&switch_over(&cloud)));
    }
    cloud.clock.wait_until(at(318.5)).await;
    assert_eq!(seen(&cloud), state("", "available", false, "connected"));
    sell(&cloud, OLD, &[311.0]).await;
    // The next one does not hang.
    switch_over(&cloud).unwrap();
    cloud.clock.wait_until(at(400.0)).await;
    assert_eq!(sold(&cloud, NEW), [9.0, 311.0]);

    let cloud = world();
    cloud.rds.hang_next_switchover(&cloud, None);
    switch_over(&cloud).unwrap();
    cloud.clock.wait_until(at(100_000.0)).await;
    assert_eq!(seen(&cloud), state("switching-over", "promoting", false, "connected"));
}

#[tokio::test(start_paused = true)]
async fn a_lag_that_is_set_decides_what_a_failover_loses() {
    let cloud = world();
    sell(&cloud, OLD, &[50.0]).await;
    cloud
        .rds
        .set_replication_lag(&cloud, "shops", Some(Duration::from_secs(30)));
    sell(&cloud, OLD, &[160.0, 180.0]).await;
    cloud.clock.wait_until(at(200.0)).await;
    cloud.take_region_away(EAST);
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(300.0)).await;
    assert_eq!(sold(&cloud, NEW), [50.0, 160.0]);
}

#[tokio::test(start_paused = true)]
async fn a_failover_that_is_stuck_never_ends() {
    let cloud = world();
    let unused = cloud.rds.stick_next_failover(&cloud);
    cloud.faults.lift(unused);
    let fault = cloud.rds.stick_next_failover(&cloud);
    // A switchover leaves it for the next failover.
    switch_over(&cloud).unwrap();
    cloud.clock.wait_until(at(50.0)).await;
    let back = [("AllowDataLoss", "true")];
    assert_eq!(cloud.faults.applied(fault), 0);
    move_to(&cloud, EAST, OLD, "FailoverGlobalCluster", &back).unwrap();
    assert_eq!((cloud.faults.applied(fault), cloud.faults.applied(unused)), (1, 0));
    cloud.clock.wait_until(at(54.0)).await;
    assert_eq!(seen(&cloud).0.as_deref(), Some("failing-over"));
    cloud.clock.wait_until(at(100_000.0)).await;
    assert_eq!(seen(&cloud).0.as_deref(), Some("failing-over"));
    assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), NEW);
    let again = move_to(&cloud, EAST, OLD, "FailoverGlobalCluster", &back);
    assert!(is_invalid(&again));
}

#[tokio::test(start_paused = true)]
async fn a_failover_that_fails_leaves_everything_as_before_and_the_next_one_works() {
    let cloud = world();
    sell(&cloud, OLD, &[10.0]).await;
    let before = cloud.rds.global_databases(&cloud);
    let fault = cloud.rds.fail_next_failover(&cloud);
    cloud.clock.wait_until(at(100.0)).await;
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(148.999)).await;
    assert_eq!(seen(&cloud), state("failing-over", "promoting", false, "connected"));
    cloud.clock.wait_until(at(149.0)).await;
    assert_eq!(seen(&cloud), state("cancelling", "promoting", false, "connected"));
    cloud.clock.wait_until(at(163.999)).await;
    assert_eq!(seen(&cloud).0.as_deref(), Some("cancelling"));
    cloud.clock.wait_until(at(164.0)).await;
    assert_eq!(
        (cloud.rds.global_databases(&cloud), cloud.faults.applied(fault)),
        (before, 1)
    );
    sell(&cloud, OLD, &[170.0]).await;
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(240.0)).await;
    assert_eq!(sold(&cloud, NEW), [10.0, 170.0]);
    assert_eq!(cloud.faults.applied(fault), 1);
}

#[tokio::test(start_paused = true)]
async fn some_looks_show_what_was_and_count_where_that_is_no_more() {
    let cloud = world();
    let by = Duration::from_secs(20);
    let fault = cloud.rds.show_what_was(&cloud, by);
    cloud.clock.wait_until(at(100.0)).await;
    let writes_in_west = || seen(&cloud).2;
    assert!((0..40).all(|_| !writes_in_west()));
    assert_eq!(cloud.faults.applied(fault), 0, "what was is what is");
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(164.0)).await;
    let old = (0..40).filter(|_| !writes_in_west()).count();
    assert!((1..40).contains(&old), "{old}");
    assert_eq!(cloud.faults.applied(fault), old as u64);
    cloud.clock.wait_until(at(185.0)).await;
    assert!((0..40).all(|_| writes_in_west()), "nothing is older than that");
    // AWS itself is not misled.
    let moves = cloud.rds.moves("shops");
    assert_eq!(moves.len(), 1);
    let again = [("AllowDataLoss", "true")];
    assert!(is_invalid(&move_to(&cloud, WEST, NEW, "FailoverGlobalCluster", &again)));
}

#[tokio::test(start_paused = true)]
async fn databases_that_are_away_stop_replication_switchovers_and_being_made_anew() {
    // What was written before they went away arrives, as far as it would have; nothing after.
    let cloud = world();
    sell(&cloud, OLD, &[50.0, 99.75]).await;
    cloud.clock.wait_until(at(100.0)).await;
    let fault = cloud.rds.take_database_away(&cloud, EAST);
    assert_eq!(code(sql(&cloud, OLD, "INSERT INTO sales VALUES (100)")), NOT_AVAILABLE);
    assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), NOT_AVAILABLE);
    assert_eq!(cloud.faults.applied(fault), 2);
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(200.0)).await;
    assert_eq!(sold(&cloud, NEW), [50.0]);
    // The old side is made anew when its databases are back.
    cloud.clock.wait_until(at(2_000.0)).await;
    assert_eq!(seen(&cloud).3, "pending-resync");
    cloud.rds.give_database_back(&cloud, EAST);
    cloud.clock.wait_until(at(3_000.0)).await;
    assert_eq!(seen(&cloud).3, "connected");

    let cloud = world();
    switch_over(&cloud).unwrap();
    cloud.clock.wait_until(at(20.0)).await;
    cloud.rds.take_database_away(&cloud, WEST);
    assert_eq!(seen(&cloud), state("", "available", false, "connected"));
    assert!(is_invalid(&switch_over(&cloud)), "the other side is not in sync");
    assert_eq!(cloud.rds.writer_of(&cloud, "shops").unwrap(), OLD);
    sql(&cloud, OLD, "SELECT 1").unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_failover_keeps_does_not_depend_on_what_becomes_of_the_region_later() {
    // The Region comes back after the promotion began: what it held back is lost all the same.
    let cloud = world();
    sell(&cloud, OLD, &[99.5, 99.75]).await;
    cloud.clock.wait_until(at(100.0)).await;
    cloud.take_region_away(EAST);
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(110.0)).await;
    cloud.give_region_back(EAST);
    cloud.clock.wait_until(at(200.0)).await;
    assert_eq!(sold(&cloud, NEW), [99.5]);

    // The Region goes away after the promotion began: what was written in between is lost.
    let cloud = world();
    let began = cloud.now().as_millisecond();
    assert_eq!(began, 0);
    fail_over(&cloud).unwrap();
    sell(&cloud, OLD, &[3.5, 5.0]).await;
    cloud.clock.wait_until(at(10.0)).await;
    cloud.take_region_away(EAST);
    cloud.clock.wait_until(at(200.0)).await;
    assert_eq!(sold(&cloud, NEW), [3.5]);

    // The Region came back before the failover: replication had caught up.
    let cloud = world();
    sell(&cloud, OLD, &[9.75]).await;
    cloud.clock.wait_until(at(10.0)).await;
    cloud.take_region_away(EAST);
    cloud.clock.wait_until(at(20.0)).await;
    cloud.give_region_back(EAST);
    cloud.clock.wait_until(at(30.0)).await;
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(200.0)).await;
    assert_eq!(sold(&cloud, NEW), [9.75]);
}

#[tokio::test(start_paused = true)]
async fn a_switchover_stops_writes_before_its_half_and_loses_nothing() {
    let cloud = world();
    cloud.clock.wait_until(at(100.0)).await;
    let accepted = switch_over(&cloud).unwrap();
    assert_eq!(within(&accepted, "Status").unwrap(), "switching-over");
    assert_eq!(within(&accepted, "IsDataLossAllowed").unwrap(), "false");
    assert_eq!(seen(&cloud), state("pending", "available", false, "connected"));
    sell(&cloud, OLD, &[118.25]).await;
    cloud.clock.wait_until(at(118.5)).await;
    assert_eq!(seen(&cloud), state("switching-over", "promoting", false, "connected"));
    let refused = sql(&cloud, OLD, "INSERT INTO sales VALUES (119)").unwrap_err();
    assert_eq!((refused.status, refused.code), (400, "DatabaseErrorException"));
    assert!(refused.message.contains("read-only transaction"), "{}", refused.message);
    assert_eq!(sold(&cloud, OLD), [118.25]);
    cloud.clock.wait_until(at(139.999)).await;
    assert!(!seen(&cloud).2);
    cloud.clock.wait_until(at(140.0)).await;
    assert_eq!(seen(&cloud), state("", "available", true, "connected"));
    assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), NOT_AVAILABLE);
    cloud.clock.wait_until(at(145.0)).await;
    assert_eq!(sold(&cloud, NEW), [118.25]);
    // And back, from the other Region.
    assert!(is_invalid(&move_to(&cloud, EAST, OLD, "SwitchoverGlobalCluster", &[])));
    move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &[]).unwrap();
    sell(&cloud, NEW, &[150.0]).await;
    cloud.clock.wait_until(at(190.0)).await;
    assert_eq!(sold(&cloud, OLD), [118.25, 150.0]);
}

#[tokio::test(start_paused = true)]
async fn a_switchover_is_cancelled_when_a_region_goes_away() {
    for (gone, after) in [(EAST, 5.0), (EAST, 20.0), (WEST, 20.0)] {
        let cloud = world();
        switch_over(&cloud).unwrap();
        cloud.clock.wait_until(at(after)).await;
        cloud.take_region_away(gone);
        assert_eq!(
            seen(&cloud),
            state("", "available", false, "connected"),
            "{gone} {after}"
        );
        cloud.give_region_back(gone);
        sell(&cloud, OLD, &[41.0]).await;
        assert_eq!(seen(&cloud), state("", "available", false, "connected"));
        // Nothing stands in the way of a failover.
        fail_over(&cloud).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_that_does_not_allow_loss_is_a_switchover() {
    for more in [vec![], vec![("Switchover", "true")], vec![("AllowDataLoss", "false")]] {
        let fail_over = |cloud: &Cloud, region| move_to(cloud, region, NEW, "FailoverGlobalCluster", &more);
        let cloud = world();
        assert!(is_invalid(&fail_over(&cloud, WEST)), "{more:?}");
        let accepted = fail_over(&cloud, EAST).unwrap();
        assert_eq!(within(&accepted, "IsDataLossAllowed").unwrap(), "false");
        cloud.clock.wait_until(at(20.0)).await;
        assert_eq!(seen(&cloud).0.unwrap(), "switching-over");
        // With the primary's Region away it cannot be had at all.
        let cloud = world();
        cloud.take_region_away(EAST);
        assert!(is_invalid(&fail_over(&cloud, WEST)), "{more:?}");
    }
    let cloud = world();
    let both = [("AllowDataLoss", "true"), ("Switchover", "true")];
    let refused = move_to(&cloud, WEST, NEW, "FailoverGlobalCluster", &both);
    assert_eq!(refused.unwrap_err(), "InvalidParameterCombination");
    assert_eq!(seen(&cloud).0, None);
}

#[tokio::test(start_paused = true)]
async fn a_switchover_needs_both_sides_in_sync_and_the_right_region() {
    let cloud = world();
    assert!(is_invalid(&move_to(&cloud, WEST, NEW, "SwitchoverGlobalCluster", &[])));
    cloud.take_region_away(WEST);
    assert!(is_invalid(&switch_over(&cloud)));
    cloud.give_region_back(WEST);
    fail_over(&cloud).unwrap();
    cloud.clock.wait_until(at(100.0)).await;
    // The old one is out of sync, whichever way it is asked for.
    assert!(is_invalid(&move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &[])));
    let more = [("AllowDataLoss", "true")];
    assert!(is_invalid(&move_to(&cloud, EAST, OLD, "FailoverGlobalCluster", &more)));
}

#[tokio::test(start_paused = true)]
async fn calls_that_make_no_sense_are_refused() {
    let cloud = world();
    let loss = [("AllowDataLoss", "true")];
    let fail_over_to = |region, target| move_to(&cloud, region, target, "FailoverGlobalCluster", &loss);
    assert_eq!(fail_over_to(WEST, "shop-west").unwrap_err(), "DBClusterNotFoundFault");
    assert_eq!(fail_over_to(WEST, "").unwrap_err(), "DBClusterNotFoundFault");
    assert!(is_invalid(&fail_over_to(EAST, NEW)));
    assert!(is_invalid(&fail_over_to(EAST, OLD)));
    assert_eq!(seen(&cloud).0, None);
    let elsewhere = [
        ("Action", "FailoverGlobalCluster"),
        ("GlobalClusterIdentifier", "barns"),
        ("TargetDbClusterIdentifier", NEW),
    ];
    assert_eq!(
        call(&cloud, WEST, &elsewhere).unwrap_err(),
        "GlobalClusterNotFoundFault"
    );
    fail_over(&cloud).unwrap();
    assert!(is_invalid(&fail_over(&cloud)));
    assert!(is_invalid(&switch_over(&cloud)));
    cloud.clock.wait_until(at(64.0)).await;
    assert!(is_invalid(&fail_over(&cloud)));

    // What is not simulated says so.
    let odd = [("Filters.Filter.1.Name", "engine")];
    for operation in ["DescribeDBClusters", "DescribeGlobalClusters"] {
        let parameters = [("Action", operation), odd[0]];
        assert_eq!(call(&cloud, WEST, &parameters).unwrap_err(), "NotSimulated");
    }
    let switchover = move_to(&cloud, WEST, OLD, "SwitchoverGlobalCluster", &loss);
    assert_eq!(switchover.unwrap_err(), "NotSimulated");
    let reboot = call(&cloud, WEST, &[("Action", "RebootDBCluster")]);
    assert_eq!(reboot.unwrap_err(), "NotSimulated");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_described_in_its_own_region_only() {
    let cloud = world();
    let describe = |region, id| {
        call(
            &cloud,
            region,
            &[("Action", "DescribeDBClusters"), ("DBClusterIdentifier", id)],
        )
    };
    for id in ["shop-west", NEW] {
        let found = describe(WEST, id).unwrap();
        assert_eq!(within(&found, "DBClusterArn").unwrap(), NEW);
        assert_eq!(within(&found, "IsClusterWriter").unwrap(), "false");
        assert_eq!(describe(EAST, id).unwrap_err(), "DBClusterNotFoundFault");
    }
    assert_eq!(
        within(&describe(EAST, "shop").unwrap(), "IsClusterWriter").unwrap(),
        "true"
    );
    let all = call(&cloud, EAST, &[("Action", "DescribeDBClusters")]).unwrap();
    assert_eq!(all.matches("<DBClusterArn>").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_data_api_refuses_as_it_is_documented() {
    let cloud = world();
    assert_eq!(code(sql(&cloud, NEW, "SELECT 1")), NOT_AVAILABLE);
    assert_eq!(
        code(sql(&cloud, "arn:of:nothing", "SELECT 1")),
        (400, "BadRequestException")
    );
    let wrong_region = cloud.rds.execute(&cloud, WEST, OLD, "SELECT 1", &BTreeMap::new());
    assert_eq!(code(wrong_region), (400, "BadRequestException"));
    assert_eq!(code(sql(&cloud, OLD, "SELEKT 1")), (400, "DatabaseErrorException"));
    cloud.rds.set_data_api(OLD, false);
    assert_eq!(
        code(sql(&cloud, OLD, "SELECT 1")),
        (400, "HttpEndpointNotEnabledException")
    );
    cloud.rds.set_data_api(OLD, true);
    assert_eq!(sql(&cloud, OLD, "SELECT 1").unwrap().rows, [[Value::Integer(1)]]);
    cloud.rds.set_instances(OLD, &[]);
    assert_eq!(code(sql(&cloud, OLD, "SELECT 1")), (404, "DatabaseNotFoundException"));
}
