//! Whole recoveries from accidents with the data.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use restore_cluster::RestoreCluster;
use serde_json::Value;
use shared::plan::CLUSTER_VARIABLE;
use shared::record::Closing;
use shared::recovery::Outcome;
use shared::step::Step;

use crate::application::{Payment, payments};
use crate::postgresql::{Server, eventually};
use crate::world::{World, in_real_time};

/// How long customers pay before anything goes wrong: some heartbeats, and some payments.
const GOOD_TIMES: Duration = Duration::from_secs(2);

/// How far the moment of a restore is from any commit.
const APART: SignedDuration = SignedDuration::from_millis(8);

/// A world whose data went wrong after this moment.
struct Damaged {
    world: World,
    /// That moment, by the simulated clock.
    good_at: Timestamp,
    /// What was committed by then.
    good: Vec<Payment>,
    /// A moment after it.
    wrong_at: Timestamp,
}

impl Damaged {
    /// Customers pay, and then somebody runs this on production.
    async fn by(accident: &str) -> Self {
        let world = World::with_backup().await;
        tokio::time::sleep(GOOD_TIMES).await;
        let production = world.connect(&world.cluster()).await;
        // A moment at which nothing is being committed: AWS is told of it to the millisecond.
        let (good_at, good) = loop {
            let at = world.cloud().now();
            world.more_are_paid(&world.cluster()).await;
            let by = async |at| payments(&production, Some(world.servers.by_their_clock(at))).await;
            let (before, after) = (by(at - APART).await, by(at + APART).await);
            if before == after {
                break (at, before);
            }
        };
        assert!(good.len() > 10, "{} payments", good.len());
        production.batch_execute(accident).await.unwrap();
        world.erase_account(&production).await;
        world.more_are_paid(&world.cluster()).await;
        let wrong_at = world.cloud().now();
        world.until_backed_up().await;
        Self {
            world,
            good_at,
            good,
            wrong_at,
        }
    }

    /// What must hold after a recovery that brought customers to a restored database.
    async fn is_recovered(&mut self, closing: &Closing) {
        assert_eq!(closing.outcome, Outcome::Recovered, "{closing:#?}");
        let world = &mut self.world;
        let (damaged, restored) = (world.cluster(), world.servers.restored().unwrap());
        world.more_are_paid(&restored).await;
        world.customers_leave().await;

        let client = world.connect(&restored).await;
        let ids: Vec<i64> = world.told.borrow().iter().map(|(_, payment)| payment.id).collect();
        let different: BTreeSet<i64> = ids.iter().copied().collect();
        assert_eq!(different.len(), ids.len(), "customers were told of one id twice");
        let one = async |sql: &str| client.query_one(sql, &[]).await.unwrap();
        assert!(
            one("SELECT active FROM cron.job").await.get::<_, bool>(0),
            "the job is on again"
        );
        let accounts = one("SELECT string_agg(id::text, ' ') FROM account").await;
        assert_eq!(accounts.get::<_, &str>(0), "1", "the erased account is back");
        let left = world.connect(&damaged).await.execute("DELETE FROM account", &[]).await;
        assert!(left.is_err(), "the damaged database takes writes");
        let held = payments(&client, None).await;
        let since: Vec<Payment> = world.told_by(&restored);
        let expected: Vec<Payment> = self.good.iter().cloned().chain(since).collect();
        assert_eq!(held, expected);

        let mut environments = world.environments.clone();
        for environment in environments.values_mut() {
            environment.insert(CLUSTER_VARIABLE.to_owned(), restored.clone());
        }
        assert_eq!(world.environments_now(), environments);

        let last = |payments: &[Payment]| payments.last().unwrap().written_ms;
        let measured = (last(&world.told_by(&damaged)) - last(&self.good)) as f64 / 1000.0;
        let achieved = closing.achieved.rpo_seconds.unwrap();
        let tolerance = world.plan.database.heartbeat.every.as_secs() as f64 + 1.0;
        assert!(measured > tolerance, "{measured} s would pass for none");
        assert!(
            (achieved - measured).abs() <= tolerance,
            "{achieved} s achieved, {measured} s measured"
        );
    }
}

/// What must hold after a recovery that moved nobody.
fn is_as_before(world: &World, before: &Value, closing: &Closing) {
    assert_eq!(closing.outcome, Outcome::RolledBack, "{closing:#?}");
    let now = world.cloud().snapshot();
    assert!(now == *before, "before: {before:#}\nnow: {now:#}");
    assert_eq!(world.environments_now(), world.environments);
}

/// The archive restores all that production holds, and nobody else has written to it.
async fn archive_still_restores(world: &World) {
    let servers = &world.servers;
    let production = servers.production();
    production.archive_all(&servers.folder).await;
    let (archived, own) = (servers.folder.archived(), "00000001");
    assert!(archived.iter().all(|file| file.starts_with(own)), "{archived:?}");
    let again = Server::restored(&servers.folder, "restored-again", None);
    let database = &world.plan.database.name;
    let restored = eventually("the end of the archive", async || {
        let client = again.connect(database, database).await?;
        let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await;
        match row.map_err(|error| error.to_string())?.get(0) {
            false => Ok(client),
            true => Err("it is in recovery".to_owned()),
        }
    })
    .await;
    let held = payments(&world.connect(&world.cluster()).await, None).await;
    assert_eq!(payments(&restored, None).await, held);
}

#[test]
fn the_data_go_back_to_before_an_update_that_joined_too_much() {
    in_real_time(async {
        let mut damaged = Damaged::by(
            "UPDATE payments SET amount = payments.amount - spent.total
             FROM (SELECT customer, sum(amount) AS total FROM payments GROUP BY customer) AS spent",
        )
        .await;
        let closing = damaged.world.recover(damaged.good_at).await;
        assert_eq!(damaged.world.servers.restores(), [true]);
        damaged.is_recovered(&closing).await;
        archive_still_restores(&damaged.world).await;
    });
}

/// Calls of a `restore-cluster` that can restore at once, up to the restore: its note, the lock, the cluster, its instances, whether it
/// is restored, the undo, and the restore.
const CALLS_OF_A_RESTORE: u64 = 7;

#[test]
fn a_restore_whose_answer_is_lost_with_its_function_is_made_once() {
    in_real_time(async {
        let mut damaged = Damaged::by("DELETE FROM customers WHERE name NOT LIKE 'customer_1'").await;
        let world = &damaged.world;
        let (region, step) = (world.region(), RestoreCluster::NAME);
        world
            .simulation
            .kill_function(region, step, CALLS_OF_A_RESTORE)
            .unwrap();
        let closing = world.recover(damaged.good_at).await;
        assert!(world.simulation.was_killed(region, step));
        assert_eq!(world.servers.restores(), [false]);
        assert_eq!(world.calls_to("RestoreDBClusterToPointInTime"), 1);
        damaged.is_recovered(&closing).await;
    });
}

#[test]
fn restored_data_that_fail_a_check_reach_nobody() {
    in_real_time(async {
        let damaged = Damaged::by("ALTER TABLE payments ALTER amount TYPE BIGINT USING amount - 1000000").await;
        let mut world = damaged.world;
        let (before, production) = (world.cloud().snapshot(), world.cluster());
        let closing = world.recover(damaged.wrong_at).await;
        is_as_before(&world, &before, &closing);
        let why = closing.reason.unwrap_or_default();
        assert!(why.contains("check no-refunds: FAILED, found"), "{why}");

        world.more_are_paid(&production).await;
        world.customers_leave().await;
        let client = world.connect(&production).await;
        let ids = |payments: Vec<Payment>| payments.into_iter().map(|payment| payment.id).collect::<Vec<_>>();
        assert_eq!(ids(payments(&client, None).await), ids(world.told_by(&production)));
        let schema = &world.plan.database.heartbeat.schema;
        let canaries = format!("SELECT count(*) FROM {schema}.canary");
        assert_eq!(client.query_one(&canaries, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn a_password_that_was_changed_since_is_set_in_the_restored_database() {
    in_real_time(async {
        let mut damaged = Damaged::by("DELETE FROM payments WHERE amount > 0").await;
        damaged.world.change_password().await;
        let closing = damaged.world.recover(damaged.good_at).await;
        assert_eq!(damaged.world.calls_to("ModifyDBCluster"), 1);
        damaged.is_recovered(&closing).await;
    });
}

#[test]
fn a_moment_inside_a_drop_of_the_database_moves_nobody() {
    in_real_time(async {
        let mut world = World::with_backup().await;
        tokio::time::sleep(GOOD_TIMES).await;
        world.customers_leave().await;
        // The next commit is that of the drop: its files are gone by then, and the catalogue still has it.
        let inside = world.cloud().now();
        let dropped = format!("DROP DATABASE {} WITH (FORCE)", world.plan.database.name);
        world
            .servers
            .production()
            .superuser()
            .await
            .unwrap()
            .batch_execute(&dropped)
            .await
            .unwrap();
        world.until_backed_up().await;
        let before = world.cloud().snapshot();
        let closing = world.recover(inside).await;
        is_as_before(&world, &before, &closing);
        let told = world.messages().join("\n");
        assert!(told.contains("start again with an earlier one"), "{told}");
    });
}
