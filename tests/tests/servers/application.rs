//! The application on the database: customers pay, and the platform's heartbeat beats, in the cluster that the functions name.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shared::plan::{CLUSTER_VARIABLE, Plan};
use shared::record::Record;
use simulator::simulation::Simulation;
use tokio_postgres::Client;

use crate::front::Servers;

/// How often somebody pays.
const PAID_EVERY: Duration = Duration::from_millis(50);
/// What customers have: each of them pays in turn.
const CUSTOMERS: i64 = 5;

/// The account that is erased after the data were good.
pub const ERASED: i64 = 7;

/// A payment that a customer was told is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payment {
    pub id: i64,
    pub customer: i64,
    pub amount: i64,
    /// When it was made, in milliseconds of the simulated clock.
    pub written_ms: i64,
}

/// What customers were told, by the cluster that took it.
pub type Told = Rc<RefCell<Vec<(String, Payment)>>>;

/// Makes the tables of the platform and of its customers.
pub async fn create_tables(client: &Client, schema: &str) {
    let sql = format!(
        "CREATE SCHEMA {schema};
         CREATE TABLE {schema}.heartbeat (written_ms BIGINT PRIMARY KEY);
         CREATE TABLE {schema}.canary (recovery TEXT PRIMARY KEY, written_ms BIGINT);
         CREATE TABLE customers (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name TEXT NOT NULL);
         CREATE TABLE payments (
             id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
             customer BIGINT NOT NULL REFERENCES customers ON DELETE CASCADE,
             amount BIGINT NOT NULL,
             written_ms BIGINT NOT NULL
         );
         CREATE SCHEMA cron;
         CREATE TABLE cron.job (jobname TEXT PRIMARY KEY, active BOOLEAN NOT NULL);
         INSERT INTO cron.job VALUES ('send-invoices', true);
         CREATE TABLE account (id BIGINT PRIMARY KEY);
         INSERT INTO account VALUES (1), ({ERASED});
         INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, {CUSTOMERS}) AS n;"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// All payments of a database, or those that were committed by then, as its own clock has it.
pub async fn payments(client: &Client, until: Option<Timestamp>) -> Vec<Payment> {
    let until = until.map_or("infinity".to_owned(), |until| until.to_string());
    let sql = format!(
        "SELECT id, customer, amount, written_ms FROM payments WHERE pg_xact_commit_timestamp(xmin) <= '{until}' ORDER BY id"
    );
    let rows = client.query(&sql, &[]).await.unwrap();
    let payments = rows.iter().map(|row| Payment {
        id: row.get(0),
        customer: row.get(1),
        amount: row.get(2),
        written_ms: row.get(3),
    });
    payments.collect()
}

/// Somebody who writes wherever the platform's functions do.
pub struct Application {
    pub simulation: Simulation,
    pub servers: Arc<Servers>,
    pub plan: Plan,
    pub told: Told,
    /// Whether it is to end.
    pub ends: Rc<Cell<bool>>,
}

impl Application {
    /// Writes until it is to end; what it has sent by then is answered.
    pub async fn run(self) {
        let mut connected: Option<(String, Client)> = None;
        let mut beats_at = Timestamp::MIN;
        for turn in 0.. {
            tokio::time::sleep(PAID_EVERY).await;
            if self.ends.get() {
                return;
            }
            let Some(cluster) = self.cluster() else { continue };
            if connected
                .as_ref()
                .is_none_or(|(to, client)| *to != cluster || client.is_closed())
            {
                connected = self.connect(&cluster).await.map(|client| (cluster.clone(), client));
            }
            let Some((_, client)) = &connected else { continue };
            let now = self.simulation.cloud().now();
            if now >= beats_at && self.beat(client, now).await.is_ok() {
                beats_at = now + self.plan.database.heartbeat.every.as_std();
            }
            // What does not succeed, nobody was told.
            if let Ok(payment) = pay(client, turn, now).await {
                self.told.borrow_mut().push((cluster, payment));
            }
        }
    }

    /// ARN of the cluster that the platform writes to, while its functions run.
    fn cluster(&self) -> Option<String> {
        let (cloud, region) = (self.simulation.cloud(), &self.plan.regions.primary.region);
        let function = cloud.lambda.function(region, &self.plan.functions[0].name)?;
        let runs = function.reserved_concurrency != Some(0);
        let environment = function.environment_of_customers().filter(|_| runs)?;
        environment.get(CLUSTER_VARIABLE).cloned()
    }

    async fn connect(&self, cluster: &str) -> Option<Client> {
        let database = &self.plan.database.name;
        self.servers.behind(cluster)?.connect(database, database).await.ok()
    }

    /// A heartbeat as `docs/platform.md` has it: a row, and word of it in the other Region.
    async fn beat(&self, client: &Client, now: Timestamp) -> Result<(), tokio_postgres::Error> {
        let sql = format!(
            "INSERT INTO {}.heartbeat (written_ms) VALUES ($1)",
            self.plan.database.heartbeat.schema
        );
        client.execute(&sql, &[&now.as_millisecond()]).await?;
        let (here, other) = (&self.plan.regions.primary.region, &self.plan.regions.standby.region);
        let there = Record::in_region(&self.simulation.aws_in("heartbeat", other), other);
        // The platform does not stop for want of a witness.
        let _ = there.note_committed_heartbeat(&self.plan.workload, here, now).await;
        Ok(())
    }
}

async fn pay(client: &Client, turn: i64, now: Timestamp) -> Result<Payment, tokio_postgres::Error> {
    let (customer, amount, written_ms) = (1 + turn % CUSTOMERS, 100 + turn, now.as_millisecond());
    let sql = "INSERT INTO payments (customer, amount, written_ms) VALUES ($1, $2, $3) RETURNING id";
    let row = client.query_one(sql, &[&customer, &amount, &written_ms]).await?;
    Ok(Payment {
        id: row.get(0),
        customer,
        amount,
        written_ms,
    })
}
