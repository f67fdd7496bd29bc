//! Whole recoveries from accidents with the data.

use std::time::Duration;

use jiff::Timestamp;
use shared::plan::CLUSTER_VARIABLE;
use shared::record::Closing;
use shared::recovery::Outcome;

use crate::application::{Payment, payments};
use crate::postgresql::{Server, eventually};
use crate::world::{World, in_real_time};

/// A world whose data went wrong after this moment.
struct Damaged {
    world: World,
    /// A good moment before that, by the simulated clock.
    good_at: Timestamp,
    /// What was committed by then.
    good: Vec<Payment>,
}

impl Damaged {
    /// Customers pay, and then somebody runs this on production.
    async fn by(accident: &str) -> Self {
        let world = World::begin().await;
        world.pass(Duration::from_millis(2200)).await;
        let good_at = world.cloud().now();
        world.pass(Duration::from_millis(600)).await;
        let production = world.connect(&world.cluster()).await;
        let good = payments(&production, Some(world.servers.by_their_clock(good_at))).await;
        assert!(good.len() > 10, "{} payments", good.len());
        production.batch_execute(accident).await.unwrap();
        world.more_are_paid(&world.cluster()).await;
        world.until_backed_up().await;
        Self { world, good_at, good }
    }

    /// What must hold after a recovery that brought customers to a restored database.
    async fn is_recovered(mut self, closing: &Closing) {
        assert_eq!(closing.outcome, Outcome::Recovered, "{closing:#?}");
        let world = &mut self.world;
        let (damaged, restored) = (world.cluster(), world.servers.restored().unwrap());
        world.more_are_paid(&restored).await;
        world.customers_leave().await;

        let held = payments(&world.connect(&restored).await, None).await;
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

        self.archive_still_restores().await;
    }

    /// The archive restores all that production holds, and nobody else has written to it.
    async fn archive_still_restores(&self) {
        let servers = &self.world.servers;
        let production = servers.production();
        production.archive_all(&servers.folder).await;
        let (archived, own) = (servers.folder.archived(), "00000001");
        assert!(archived.iter().all(|file| file.starts_with(own)), "{archived:?}");
        let again = Server::restored(&servers.folder, "restored-again", None);
        let database = &self.world.plan.database.name;
        let restored = eventually("the end of the archive", async || {
            let client = again.connect(database, database).await?;
            let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await;
            match row.map_err(|error| error.to_string())?.get(0) {
                false => Ok(client),
                true => Err("it is in recovery".to_owned()),
            }
        })
        .await;
        let held = payments(&self.world.connect(&self.world.cluster()).await, None).await;
        assert_eq!(payments(&restored, None).await, held);
    }
}

#[test]
fn the_data_go_back_to_before_an_update_that_joined_too_much() {
    in_real_time(async {
        let damaged = Damaged::by(
            "UPDATE payments SET amount = payments.amount - spent.total
             FROM (SELECT customer, sum(amount) AS total FROM payments GROUP BY customer) AS spent",
        )
        .await;
        let closing = damaged.world.recover(damaged.good_at).await;
        damaged.is_recovered(&closing).await;
    });
}
