//! What goes wrong with the global database: how far it is behind, whether it is there, what becomes of its next move.

use std::time::Duration;

use shared::plan;
use simulator::aws::rds::NewCluster;
use simulator::workload::{FIRST_PASSWORD, database_login};

use crate::fault::{Area, Count, Effect, FaultKind, Fits, applied, calls, in_one_word};
use crate::world::World;

/// What those say that set the lag.
pub(super) const HOW_FAR_BEHIND: &str = "how far replication is behind";
/// What those say that stop a failover.
const WHAT_BECOMES_OF_A_FAILOVER: &str = "what becomes of a failover";

/// How often somebody read metrics.
pub(super) fn metrics_read() -> Count {
    calls(|call| call.operation == "GetMetricData")
}

fn minutes(minutes: u64) -> plan::Duration {
    plan::Duration::from_secs(minutes * 60)
}

/// The databases of the Region that takes over are out too.
pub static BOTH: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<Both>(
        Area::Database,
        "both-databases",
        "RDS and the databases of the standby Region are out too",
        "ends as refused, with the reason; nothing is fenced",
    )
};

#[derive(Default)]
struct Both;

impl Effect for Both {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.take_database_away(cloud, world.here)))
    }

    fn lift(&self, world: &World<'_>) {
        let cloud = world.cloud();
        cloud.rds.give_database_back(cloud, world.here);
    }
}

/// Replication is so far behind all the time.
pub static LAG: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[HOW_FAR_BEHIND],
    ..FaultKind::with(
        Area::Database,
        "lag:<duration>",
        "replication is this far behind all the time",
        "asks people if the lag exceeds the RPO target, and shows the loss",
        |said| Ok(Box::new(Lag(said.time()?))),
        |rng, _| {
            let seconds = [2, 30, 240, 600, 7200][rng.usize(..5)];
            Box::new(Lag(plan::Duration::from_secs(seconds)))
        },
    )
};

struct Lag(plan::Duration);

impl Effect for Lag {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let (cloud, global) = (world.cloud(), &world.plan.database.global_cluster);
        cloud.rds.set_replication_lag(cloud, global, Some(self.0.as_std()));
        Some(metrics_read())
    }

    /// What was written longer ago than replication is behind survives.
    fn good_times_longer_by(&self) -> Duration {
        self.0.as_std()
    }
}

/// The replication lag is not published.
pub static NO_LAG_METRIC: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<NoLagMetric>(
        Area::Database,
        "no-lag-metric",
        "the replication lag is not published",
        "asks people, and shows the loss as unmeasured",
    )
};

#[derive(Default)]
struct NoLagMetric;

impl Effect for NoLagMetric {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let global = &world.plan.database.global_cluster;
        world.cloud().rds.publish_replication_lag(global, false);
        Some(metrics_read())
    }

    fn lift(&self, world: &World<'_>) {
        let global = &world.plan.database.global_cluster;
        world.cloud().rds.publish_replication_lag(global, true);
    }
}

/// The replication lag is published under other dimensions.
pub static LAG_BY_SOURCE: FaultKind = FaultKind::plain::<LagBySource>(
    Area::Database,
    "lag-by-source",
    "the replication lag has the source Region as a second dimension",
    "ends as recovered, as with the cluster as the only dimension",
);

#[derive(Default)]
struct LagBySource;

impl Effect for LagBySource {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let global = &world.plan.database.global_cluster;
        world.cloud().rds.name_the_lags_source(global, true);
        Some(metrics_read())
    }
}

/// The next switchover does not end, or AWS cancels it.
pub static SWITCHOVER_HANGS: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Database,
        "switchover-hangs[:<duration>]",
        "the next switchover does not end, or AWS cancels it after that time",
        "asks people whether to fail over",
        |said| {
            let after = said.argument.map(|_| said.time()).transpose()?;
            Ok(Box::new(SwitchoverHangs(after)))
        },
        |rng, _| Box::new(SwitchoverHangs([None, Some(minutes(5))][rng.usize(..2)])),
    )
};

/// After how long AWS cancels it.
struct SwitchoverHangs(Option<plan::Duration>);

impl Effect for SwitchoverHangs {
    fn argument(&self) -> Option<String> {
        self.0.map(in_one_word)
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        let after = self.0.map(plan::Duration::as_std);
        Some(applied(cloud.rds.hang_next_switchover(cloud, after)))
    }
}

/// The next failover does not end.
pub static STUCK_FAILOVER: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_BECOMES_OF_A_FAILOVER],
    ..FaultKind::plain::<StuckFailover>(
        Area::Database,
        "stuck-failover",
        "the next failover does not end",
        "ends as failed, with the reason; it can be resumed",
    )
};

#[derive(Default)]
struct StuckFailover;

impl Effect for StuckFailover {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.stick_next_failover(cloud)))
    }
}

/// AWS gives the next failover up.
pub static FAILED_FAILOVER: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_BECOMES_OF_A_FAILOVER],
    ..FaultKind::plain::<FailedFailover>(
        Area::Database,
        "failed-failover",
        "AWS gives up the next failover",
        "ends as failed, with the reason; it can be resumed",
    )
};

#[derive(Default)]
struct FailedFailover;

impl Effect for FailedFailover {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.fail_next_failover(cloud)))
    }
}

/// Some looks at the global database show what was a while ago.
pub static STALE_READS: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Database,
        "stale-reads:<duration>",
        "one read in four of the global database is this old",
        "needs several reads in a row to take a promotion for cancelled",
        |said| Ok(Box::new(StaleReads(said.time()?))),
        |rng, _| Box::new(StaleReads(plan::Duration::from_secs([30, 120, 300][rng.usize(..3)]))),
    )
};

/// How long ago.
struct StaleReads(plan::Duration);

impl Effect for StaleReads {
    fn argument(&self) -> Option<String> {
        Some(in_one_word(self.0))
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.show_what_was(cloud, self.0.as_std())))
    }
}

/// AWS does not say to which cluster the database moves.
pub static TARGET_UNNAMED: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<TargetUnnamed>(
        Area::Database,
        "target-unnamed",
        "AWS does not name the cluster to which the database moves",
        "waits until the move has ended; starts no second one",
    )
};

#[derive(Default)]
struct TargetUnnamed;

impl Effect for TargetUnnamed {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.leave_targets_unnamed(cloud)))
    }
}

/// A cluster of a third Region takes the writes.
pub static THIRD_WRITER: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<ThirdWriter>(
        Area::Database,
        "third-writer",
        "somebody has moved the database to a third Region",
        "ends as refused, and names that cluster; nothing is fenced",
    )
};

/// The Region that no plan of a rehearsal has.
const THIRD_REGION: &str = "ap-northeast-1";

#[derive(Default)]
struct ThirdWriter;

impl Effect for ThirdWriter {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let (cloud, global) = (world.cloud(), &world.plan.database.global_cluster);
        let third = NewCluster {
            arn: format!("arn:aws:rds:{THIRD_REGION}:{}:cluster:third", world.plan.account),
            id: "third".to_owned(),
            region: THIRD_REGION.to_owned(),
            master: database_login(FIRST_PASSWORD),
        };
        let moved = cloud.rds.move_to_a_third_cluster(cloud, global, &third);
        moved.ok().map(applied)
    }

    fn was_so_before(&self) -> bool {
        true
    }
}
