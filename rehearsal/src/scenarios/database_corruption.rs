//! Somebody's mistake spoils the data, an alarm sees it, and the database goes back to a moment before.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shared::measure::seconds_between;
use shared::plan::{Plan, SiteName, Start as AlarmStart};
use shared::scenario::Scenario;
use simulator::aws::cloudwatch::{Alarm, Comparison, Metric, MissingData, Statistic};
use simulator::aws::events::Rule;
use simulator::cloud::Cloud;
use simulator::workload::Platform;

use crate::deployment::{Watching, alarm_rule, own_metric};
use crate::disaster::{Disaster, Scene};
use crate::fault::FaultKind;
use crate::faults::restore;
use crate::happened::Invariant;
use crate::moment::Moment;
use crate::scenarios::watching;
use crate::truth::Truth;
use crate::world::World;

pub(crate) mod caches;
mod data;
pub(crate) mod faults;
mod invariants;
pub mod since;

use self::data::{are_right, run, stand_in};

/// The data are wrong.
pub struct DatabaseCorruption;

/// How often the platform checks its own data, and tells CloudWatch.
const CHECKED_EVERY: Duration = Duration::from_secs(60);
/// Bad minutes in a row before the alarm is raised.
const BAD_MINUTES: u32 = 2;
/// The metric by which the platform says whether its data are right: 1, or 0.
const METRIC: &str = "IntegrityCheck";

static FAULTS: [&FaultKind; 19] = [
    &restore::STUCK,
    &restore::FAILED,
    &restore::REFUSED,
    &restore::QUOTA,
    &restore::ENCRYPTED_VARIABLES,
    &restore::NARROW_ROLE,
    &restore::CONCURRENT_DEPLOY,
    &restore::WRONG_PASSWORD,
    &restore::UNSETTABLE_PASSWORD,
    &faults::VALIDATION_FAILS,
    &faults::LATE_DETECTION,
    &faults::FOUND_BY_A_PERSON,
    &faults::FROM_SNAPSHOT,
    &faults::STATEMENTS_LOGGED,
    &faults::IDLE_GAP,
    &faults::TOO_EARLY,
    &caches::REFUSES,
    &caches::AWAY,
    &caches::CUTS,
];

/// Operations of its steps.
const OPERATIONS: [&str; 27] = [
    "BeginTransaction",
    "CreateDBClusterSnapshot",
    "CreateDBInstance",
    "DeleteDBCluster",
    "DeleteDBInstance",
    "DeleteFunctionConcurrency",
    "DescribeAlarms",
    "DescribeDBClusterSnapshots",
    "DescribeDBClusters",
    "DescribeDBInstances",
    "DescribeGlobalClusters",
    "EnableHttpEndpoint",
    "ExecuteStatement",
    "FilterLogEvents",
    "GetFunction",
    "GetMetricData",
    "GetSecretValue",
    "ModifyDBCluster",
    "PutFunctionConcurrency",
    "RestoreDBClusterFromSnapshot",
    "RestoreDBClusterToPointInTime",
    "RollbackTransaction",
    "SimulatePrincipalPolicy",
    "StartExecution",
    "UpdateEventSourceMapping",
    "UpdateFunctionConfiguration",
    "UpdateStage",
];

impl Disaster for DatabaseCorruption {
    fn name(&self) -> &'static str {
        "database-corruption"
    }

    fn description(&self) -> &'static str {
        "a mistake spoils the data, and the database goes back to a moment before it"
    }

    fn scenario(&self) -> Scenario {
        Scenario::DATABASE_CORRUPTION
    }

    fn here<'a>(&self, plan: &'a Plan) -> &'a str {
        &plan.regions.primary.region
    }

    /// The alarm on the data, and beside it those that see a service that is stopped.
    fn watching(&self, plan: &Plan) -> Result<Vec<Watching>, String> {
        let mut all = vec![integrity(plan)?];
        all.extend(watching::watching(plan)?);
        Ok(all)
    }

    fn set_up<'a>(&'a self, world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async {
            let rows = (1..=20).map(|id| format!("({id}, {})", id * 100));
            let rows = rows.collect::<Vec<_>>().join(", ");
            for sql in [
                "CREATE TABLE ledger (id BIGINT PRIMARY KEY, amount BIGINT)".to_owned(),
                format!("INSERT INTO ledger (id, amount) VALUES {rows}"),
            ] {
                run(world.cloud(), world.simulation.platform(), world.plan, &sql)?;
            }
            // A writer and a reader, as a failover needs.
            let cluster = world.plan.cluster_arn(&world.plan.regions.primary);
            world.cloud().rds.set_instances(&cluster, &["writer", "reader"]);
            for check in &world.plan.database.checks {
                world.cloud().rds.stand_in(&check.sql, &stand_in(&check.finds));
            }
            let (cloud, platform) = (world.simulation.cloud(), world.simulation.platform());
            since::set_up(cloud, platform, world.plan)?;
            let region = world.plan.regions.primary.region.clone();
            tokio::spawn(since::run_jobs(Arc::clone(cloud), Arc::clone(platform), region));
            tokio::spawn(check_data(Arc::clone(cloud), Arc::clone(platform), world.plan.clone()));
            Ok(())
        })
    }

    fn strike<'a>(&'a self, world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async {
            let platform = world.simulation.platform();
            run(
                world.cloud(),
                platform,
                world.plan,
                "UPDATE ledger SET amount = -amount",
            )?;
            since::erase(world).await?;
            world.tell(Moment::Disaster {
                at: world.now(),
                what: "a mistake turns all amounts negative".to_owned(),
            });
            Ok(())
        })
    }

    fn truth(&self, world: &World<'_>, since: Timestamp) -> Truth {
        let (platform, cloud) = (world.simulation.platform(), world.cloud());
        Truth {
            rto_seconds: platform.served_again_at(since).map(|back| seconds_between(since, back)),
            rpo_seconds: platform.gone_seconds(cloud),
            lost_writes: platform
                .acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, cloud.now())
                .len(),
        }
    }

    /// Its own, and that from the loss of a Region, which people may approve while the service is stopped.
    fn changing_recoveries(&self) -> usize {
        2
    }

    fn invariants(&self) -> &'static [Invariant] {
        &invariants::ALL
    }

    fn faults(&self) -> &'static [&'static FaultKind] {
        &FAULTS
    }

    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }
}

/// The platform checks its data for ever.
async fn check_data(cloud: Arc<Cloud>, platform: Arc<Platform>, plan: Plan) {
    let phase = cloud.chance("integrity-phase", |rng| rng.f64());
    tokio::time::sleep(CHECKED_EVERY.mul_f64(phase)).await;
    let (region, metric) = (plan.regions.primary.region.clone(), own_metric(&plan, METRIC));
    loop {
        if cloud.runs(&region)
            && let Some(are_right) = are_right(&cloud, &platform, &plan)
        {
            let value = if are_right { 1.0 } else { 0.0 };
            cloud.cloudwatch.publish(&region, &metric, cloud.now(), value);
        }
        tokio::time::sleep(CHECKED_EVERY).await;
    }
}

/// The alarm on that. Errors: a text, if the plan has none.
fn integrity(plan: &Plan) -> Result<Watching, String> {
    let region = &plan.regions.primary.region;
    let ours = plan.alarm(Scenario::DATABASE_CORRUPTION, SiteName::Primary);
    let starts = ours.filter(|alarm| alarm.start != AlarmStart::Off);
    let name = starts.map(|alarm| alarm.name.clone()).ok_or_else(|| {
        format!(
            "no alarm in {region} starts {}; add one to the plan's alarms",
            Scenario::DATABASE_CORRUPTION
        )
    })?;
    let metric: Metric = own_metric(plan, METRIC);
    let alarm = Alarm {
        name: name.clone(),
        description: "the platform's check finds wrong data".to_owned(),
        metric,
        or_metrics: Vec::new(),
        statistic: Statistic::Minimum,
        period: CHECKED_EVERY,
        evaluation_periods: BAD_MINUTES,
        datapoints_to_alarm: BAD_MINUTES,
        threshold: 1.0,
        comparison: Comparison::LessThan,
        treat_missing_data: MissingData::Missing,
        actions_enabled: true,
    };
    Ok(Watching {
        rule: Rule {
            name: "integrity-alarm".to_owned(),
            ..alarm_rule(plan, region, &name)
        },
        flapping: name,
        region: region.clone(),
        alarms: vec![alarm],
        composite_alarms: Vec::new(),
        schedules: Vec::new(),
    })
}
