//! A recovery that finds the database where it is to go.

use std::collections::BTreeMap;

use crate::common::{PRIMARY, World, in_virtual_time, request};
use jiff::SignedDuration;
use shared::measure::RpoStatus;
use shared::record::{Closing, Record};
use shared::recovery::Outcome;
use simulator::database::Value;

/// How far back heartbeats are looked at where no outage is seen.
const LOOKED_AT: SignedDuration = SignedDuration::from_hours(6);
/// How often they are written, in milliseconds.
const EVERY_MS: i64 = 5_000;

/// A planned move to the Region whose cluster takes the writes, which has heartbeats from so long ago on.
async fn planned_where_it_is(heartbeats_from: SignedDuration) -> Closing {
    let world = World::good_times(|_| {}).await;
    let (cloud, plan) = (world.cloud(), &world.plan);
    let arn = plan.cluster_arn(&plan.regions.primary);
    let ms = |at: SignedDuration| Value::Integer((cloud.now() - at).as_millisecond());
    let sql = format!(
        "INSERT OR IGNORE INTO {}.heartbeat WITH RECURSIVE beats(at) AS \
         (SELECT :from UNION ALL SELECT at + {EVERY_MS} FROM beats WHERE at < :until) SELECT at FROM beats",
        plan.database.heartbeat.schema
    );
    let parameters = BTreeMap::from([
        ("from".to_owned(), ms(heartbeats_from)),
        ("until".to_owned(), ms(SignedDuration::ZERO)),
    ]);
    cloud.rds.execute(cloud, PRIMARY, &arn, &sql, &parameters).unwrap();
    world.start_in(PRIMARY, "planned", request("switchover"));
    world.wait().await;
    let record = Record::in_region(&world.simulation.aws("test"), PRIMARY);
    let ids = record.recoveries(&plan.workload).await.unwrap();
    assert_eq!(ids.len(), 1);
    let header = record.header(&ids[0]).await.unwrap();
    header.unwrap().closing.unwrap()
}

#[test]
fn a_region_that_wrote_without_a_gap_lost_nothing() {
    in_virtual_time(async {
        let closing = planned_where_it_is(LOOKED_AT + SignedDuration::from_mins(1)).await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        let assessment = &closing.evidence["assessment"];
        assert_eq!(assessment["expected_loss"]["status"], "none", "{assessment}");
        assert_eq!(assessment["already_here"], true);
        assert_eq!(closing.achieved.rpo_status, RpoStatus::NotApplicable);
    });
}

#[test]
fn where_its_heartbeats_begin_later_nobody_knows() {
    in_virtual_time(async {
        let closing = planned_where_it_is(SignedDuration::from_hours(5)).await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(closing.evidence["assessment"]["expected_loss"]["status"], "unmeasured");
        assert_eq!(closing.achieved.rpo_status, RpoStatus::Unmeasured);
        assert_eq!(closing.achieved.rpo_seconds, None);
    });
}
