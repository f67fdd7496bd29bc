//! The world of these tests: the example plan on the simulated AWS, everything deployed, a running clock, and real servers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rehearsal::deployments;
use rehearsal::scenarios::database_corruption::DatabaseCorruption;
use serde_json::{Value, json};
use shared::plan::{self, DatabaseCheck, Plan};
use shared::record::{Closing, LedgerEntry, Record};
use shared::scenario::Scenario;
use simulator::cloud::Cloud;
use simulator::simulation::{Conditions, Simulation, machine_arn};
use simulator::timings::Timings;
use simulator::workload::{SECOND_PASSWORD, change_database_password};
use tokio::task::JoinHandle;

use crate::application::{Application, ERASED, Payment, Told, create_tables};
use crate::approval::body;
use crate::front::{Front, Servers};
use crate::postgresql::{Folder, Server, eventually};

/// What the simulated clock shows when a test begins. Backups reach a time in steps of five minutes; the next one is near.
const BEGINS_AT: &str = "2026-01-06T02:59:45Z";
/// The moment that the backup reaches from then on.
const BACKED_UP_UNTIL: &str = "2026-01-06T03:00:00Z";
/// How long what AWS does takes, compared with what it takes there: seconds for hours.
const SCALE: f64 = 0.0005;
/// When each `Wait` of a machine ends, in place of its own time.
const WAITS_UNTIL: &str = "{% $fromMillis($toMillis($states.context.State.EnteredTime) + 300) %}";
/// How long a whole recovery may take.
const RECOVERED_WITHIN: Duration = Duration::from_secs(120);
const HEARTBEAT: plan::Duration = plan::Duration::from_secs(1);

/// Who starts a recovery, and who answers.
const ON_CALL: &str = "arn:aws:sts::123456789012:assumed-role/on-call/first@radiant.example.com";
const OTHERS: [&str; 2] = [
    "arn:aws:sts::123456789012:assumed-role/on-call/second@radiant.example.com",
    "arn:aws:iam::123456789012:user/third",
];

/// Runs a test on a running clock.
pub fn in_real_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// The example plan, with a quick heartbeat and with checks of the tables here.
fn plan() -> Plan {
    let mut plan: Plan = serde_saphyr::from_str(include_str!("../../../radiant.plan.yaml")).unwrap();
    plan.database.heartbeat.every = HEARTBEAT;
    let check = |name: &str, sql: &str, finds: &str| DatabaseCheck {
        name: name.to_owned(),
        sql: sql.to_owned(),
        finds: finds.to_owned(),
    };
    plan.database.checks = vec![
        check("no-refunds", "SELECT count(*) FROM payments WHERE amount <= 0", "0"),
        check("has-customers", "SELECT count(*) >= 5 FROM customers", "true"),
        check(
            "someone-pays",
            "SELECT CASE WHEN avg(amount) > 0 THEN 'yes' END FROM payments",
            "yes",
        ),
    ];
    plan
}

/// Whether a world has what it takes to restore its server. To make it takes a second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backup {
    None,
    Taken,
}

pub struct World {
    pub simulation: Simulation,
    pub plan: Plan,
    pub servers: Arc<Servers>,
    /// What customers were told is kept.
    pub told: Told,
    /// The environments of the platform's functions, by name, as they were at first.
    pub environments: BTreeMap<String, BTreeMap<String, String>>,
    customers: JoinHandle<()>,
    customers_leave: Rc<Cell<bool>>,
}

impl World {
    /// A production server, and customers who use it.
    pub async fn begin() -> Self {
        Self::new(Backup::None).await
    }

    /// Likewise, and the server can be restored.
    pub async fn with_backup() -> Self {
        Self::new(Backup::Taken).await
    }

    async fn new(backup: Backup) -> Self {
        let plan = plan();
        let (folder, database) = (Folder::new(), plan.database.name.clone());
        let production = Server::production(&folder, &database).await;
        let owner = production.connect(&database, &database).await.unwrap();
        create_tables(&owner, &plan.database.heartbeat.schema).await;
        if backup == Backup::Taken {
            production.back_up(&folder).await;
        }

        let mut deployed = deployments(&plan, &DatabaseCorruption, false).unwrap();
        for (_, text) in deployed.iter_mut().flat_map(|deployment| &mut deployment.machines) {
            *text = with_short_waits(text);
        }
        let conditions = Conditions {
            seed: 11,
            began_at: BEGINS_AT.parse().unwrap(),
            timings: Timings::built_in().unwrap().scaled(SCALE),
            services: Vec::new(),
        };
        let simulation = Simulation::begin_in(&plan, deployed, conditions, Box::new(|_| {}))
            .await
            .unwrap();
        let cluster = plan.cluster_arn(&plan.regions.primary);
        let servers = Servers::new(folder, &cluster, production, &database);
        servers.set_clock(simulation.cloud().now());
        simulation.cloud().rds.set_instances(&cluster, &["writer", "reader"]);
        for region in [&plan.regions.primary.region, &plan.regions.standby.region] {
            let record = Record::in_region(&simulation.aws_in("drctl", region), region);
            record.put_plan(&plan).await.unwrap();
        }
        send_sql_to(&servers, &simulation, &plan.automation.table);
        let (told, customers_leave) = (Told::default(), Rc::new(Cell::new(false)));
        let application = Application {
            simulation: simulation.clone(),
            servers: Arc::clone(&servers),
            plan: plan.clone(),
            told: Told::clone(&told),
            ends: Rc::clone(&customers_leave),
        };
        let mut world = Self {
            simulation,
            plan,
            servers,
            told,
            environments: BTreeMap::new(),
            customers: tokio::task::spawn_local(application.run()),
            customers_leave,
        };
        world.give_functions_more_variables();
        world.environments = world.environments_now();
        world
    }

    /// From now on nobody pays.
    pub async fn customers_leave(&mut self) {
        self.customers_leave.set(true);
        (&mut self.customers).await.unwrap();
    }

    pub fn cloud(&self) -> &Arc<Cloud> {
        self.simulation.cloud()
    }

    pub fn region(&self) -> &str {
        &self.plan.regions.primary.region
    }

    /// ARN of the production cluster.
    pub fn cluster(&self) -> String {
        self.plan.cluster_arn(&self.plan.regions.primary)
    }

    fn give_functions_more_variables(&self) {
        for function in &self.plan.functions {
            let mut deployed = self.cloud().lambda.function(self.region(), &function.name).unwrap();
            deployed
                .environment
                .insert("GREETING".to_owned(), format!("grüß \"{}\" & <all>", function.name));
            self.cloud()
                .lambda
                .create_function(self.region(), &function.name, deployed);
        }
    }

    /// The environments that customers meet, by function.
    pub fn environments_now(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let functions = self.plan.functions.iter().map(|function| {
            let deployed = self.cloud().lambda.function(self.region(), &function.name).unwrap();
            (
                function.name.clone(),
                deployed.environment_of_customers().unwrap().clone(),
            )
        });
        functions.collect()
    }

    /// The Data API, as a step in the primary Region has it.
    pub fn data_api(&self) -> aws_sdk_rdsdata::Client {
        let (cloud, platform) = (self.cloud(), self.simulation.platform());
        let front = Front::new(cloud, platform, &self.servers, "test", self.region());
        let aws = front.aws(&self.plan.automation.table);
        shared::sql::client(&aws)
    }

    /// A connection to the server behind a cluster, as the platform's user.
    pub async fn connect(&self, cluster: &str) -> tokio_postgres::Client {
        let database = &self.plan.database.name;
        self.servers
            .behind(cluster)
            .unwrap()
            .connect(database, database)
            .await
            .unwrap()
    }

    /// What customers were told is kept in a cluster.
    pub fn told_by(&self, cluster: &str) -> Vec<Payment> {
        let told = self.told.borrow();
        let by = told.iter().filter(|(by, _)| by == cluster);
        by.map(|(_, payment)| payment.clone()).collect()
    }

    /// Waits until customers were told of more payments in a cluster.
    pub async fn more_are_paid(&self, cluster: &str) {
        let before = self.told_by(cluster).len();
        eventually("a payment", async || match self.told_by(cluster).len() {
            now if now > before + 2 => Ok(()),
            now => Err(format!("{now} payments")),
        })
        .await;
    }

    /// Erases an account, and writes it down in the ledger first, as `docs/platform.md` has it.
    pub async fn erase_account(&self, production: &tokio_postgres::Client) {
        let record = Record::in_region(&self.simulation.aws_in("platform", self.region()), self.region());
        let entry = LedgerEntry {
            key: format!("{}#{ERASED}", self.cloud().now()),
            kind: "erased-account".to_owned(),
            values: BTreeMap::from([("id".to_owned(), ERASED.to_string())]),
        };
        record.note_ledger(&self.plan.workload, &entry).await.unwrap();
        let erased = production
            .execute("DELETE FROM account WHERE id = $1", &[&ERASED])
            .await;
        assert_eq!(erased.unwrap(), 1);
    }

    /// Somebody changes the password of the platform's user, in the database and in the secrets.
    pub async fn change_password(&self) {
        self.servers
            .set_password(&self.servers.production(), SECOND_PASSWORD)
            .await;
        change_database_password(self.cloud(), &self.plan, SECOND_PASSWORD);
    }

    /// Waits until the simulated backup reaches all that has been before.
    pub async fn until_backed_up(&self) {
        let (now, until) = (self.cloud().now(), BACKED_UP_UNTIL.parse().unwrap());
        assert!(
            now <= until,
            "this machine was too slow: what the backup must reach was at {now}"
        );
        self.cloud().clock.wait_until(until).await;
    }

    /// A person starts a recovery to a moment, and others approve what they are asked; gives how it ended.
    pub async fn recover(&self, restore_to: Timestamp) -> Closing {
        let scenario = Scenario::DATABASE_CORRUPTION;
        let machine = machine_arn(&self.plan.account, self.region(), "recovery");
        let asked = json!({
            "id": "by-hand", "machine": machine, "scenario": scenario, "wants": { "restore_to": restore_to },
        });
        let (status, answer) = self.post("start-by-hand", ON_CALL, &asked).await;
        assert_eq!(status, 202, "{answer}");
        let ended = tokio::time::timeout(RECOVERED_WITHIN, async {
            let mut answered = 0;
            loop {
                if let Some(closing) = self.closing().await {
                    return closing;
                }
                let questions = self.questions();
                for question in &questions[answered..] {
                    self.approve(question).await;
                }
                answered = questions.len();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let ended = ended.await;
        ended.unwrap_or_else(|_| {
            panic!(
                "no end within {RECOVERED_WITHIN:?}; people were told: {:#?}",
                self.messages()
            )
        })
    }

    async fn closing(&self) -> Option<Closing> {
        let record = Record::in_region(&self.simulation.aws_in("test", self.region()), self.region());
        let id = record.recoveries(&self.plan.workload).await.unwrap().pop()?;
        let header = record.header(&id).await.unwrap();
        // Whatever is told, and the report, comes after that.
        header?
            .closing
            .filter(|_| !self.simulation.ended().is_empty() && self.has_ended())
    }

    fn has_ended(&self) -> bool {
        self.simulation.ended().len() == self.cloud().executions.arns().len()
    }

    /// What people were told.
    pub fn messages(&self) -> Vec<String> {
        let messages = self
            .cloud()
            .sns
            .messages(&self.plan.topic_arn(&self.plan.regions.primary));
        messages.into_iter().map(|message| message.text).collect()
    }

    fn questions(&self) -> Vec<Value> {
        self.messages().iter().filter_map(|text| body(text)).collect()
    }

    async fn approve(&self, question: &Value) {
        let mut answer = question.clone();
        answer["reason"] = json!("it is a test");
        for who in OTHERS {
            let (status, answer) = self.post("record-approval", who, &answer).await;
            assert!(matches!(status, 200 | 202), "{status} {answer}");
        }
    }

    async fn post(&self, function: &str, who: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let posted = self.simulation.post_to_function(self.region(), function, who, &body);
        posted.await.unwrap()
    }

    /// How often AWS was asked for an operation.
    pub fn calls_to(&self, operation: &str) -> u64 {
        let calls = self.cloud().calls();
        let wanted = calls.iter().filter(|(call, _)| call.operation == operation);
        wanted.map(|(_, count)| count).sum()
    }
}

/// Has the steps send their SQL to the servers.
fn send_sql_to(servers: &Arc<Servers>, simulation: &Simulation, table: &str) {
    let (servers, table) = (Arc::clone(servers), table.to_owned());
    let (cloud, platform) = (Arc::clone(simulation.cloud()), Arc::clone(simulation.platform()));
    simulation.wrap_functions(Box::new(move |function, make, aws| {
        let front = Front::new(&cloud, &platform, &servers, function, aws.region());
        make(&front.aws(&table))
    }));
}

/// A machine with short waits. A machine's text is kept for as long as the process lives.
fn with_short_waits(text: &str) -> &'static str {
    let mut machine: Value = serde_json::from_str(text).unwrap();
    let states = machine["States"].as_object_mut().unwrap().values_mut();
    for wait in states.filter(|state| state["Type"] == "Wait") {
        wait.as_object_mut().unwrap().remove("Seconds").unwrap();
        wait["Timestamp"] = json!(WAITS_UNTIL);
    }
    Box::leak(machine.to_string().into_boxed_str())
}
