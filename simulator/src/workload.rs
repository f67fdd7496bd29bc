//! The platform that the plan describes, and its customers: who suffers from a disaster, and so knows the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use shared::plan::{self, CacheKeys, Emptying, Plan};
use shared::record::committed_heartbeat;

use crate::aws::apigateway::{ALL_METHODS, MethodSettings};
use crate::aws::lambda::{Alias, Function};
use crate::aws::rds::{Access, NewCluster, Statement};
use crate::aws::route53::{FailoverRecord, HealthCheck, PlainRecord, Resolver};
use crate::aws::secretsmanager::Login;
use crate::cloud::Cloud;
use crate::database::Value;
use crate::lock::lock;
use crate::messages::Queues;

/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a customer asks.
const CUSTOMERS_ASK_EVERY: Duration = Duration::from_secs(1);
/// How often a message comes in, in each Region that runs.
const MESSAGES_COME_EVERY: Duration = Duration::from_secs(60);
/// How often an event source looks into its queue.
const QUEUES_ARE_POLLED_EVERY: Duration = Duration::from_secs(5);
/// UUIDs of the event source mappings of the two Regions' queues.
const PRIMARY_QUEUE: &str = "5b0f1a52-0c3d-4e1b-9d57-6a2f8c4e7b10";
const RECOVERY_QUEUE: &str = "c7d9e0f3-84a6-4b72-8f15-1e3d5a7b9c20";
/// What customers ask for.
const ORDER: &str = "/order";
/// How an order is kept. Its number comes from a sequence, as ids in PostgreSQL do.
const ORDERS: &str = "INSERT INTO orders (id, written_ms) VALUES (nextval('order_ids'), :now) RETURNING id";
const ORDER_IDS: &str = "order_ids";
/// Each of so many orders is kept in the cache.
const CACHED_EACH: i64 = 10;
/// How many of those that are kept there are newer than the one that a customer is shown.
const SHOWN_AFTER: usize = 3;
/// The password of the caches.
const CACHE_PASSWORD: &str = "simulated-password";
/// The master user of the database, whom the platform's functions sign in as.
const DATABASE_USER: &str = "platform";
/// The password that it is deployed with.
pub const FIRST_PASSWORD: &str = "simulated-first";
/// The one that it gets where somebody changes it.
pub const SECOND_PASSWORD: &str = "simulated-second";
/// A key in each cache that is none of the database's.
pub const SESSION: &str = "session:1";
/// Observations in a row after which the switch object's health check changes its status. Route 53's default is 3.
const HEALTH_CHECK_THRESHOLD: u32 = 3;
/// Its identifier, as the stack made it.
const SWITCH_HEALTH_CHECK: &str = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0";

/// The platform: an API in each Region, in front of functions, in front of the Region's cluster.
pub struct Platform {
    workload: String,
    table: String,
    name: String,
    health_path: String,
    schema: String,
    heartbeat_every: Duration,
    global_cluster: String,
    /// The function behind what customers ask for and behind the health check: the first of the plan.
    function: String,
    sites: Vec<Site>,
    /// Hosts of others, which the plan names as the outside.
    others: Vec<String>,
    troubles: Mutex<BTreeMap<String, (Trouble, u64)>>,
    asked: Mutex<Vec<Asked>>,
    acknowledged: Mutex<Vec<Acknowledged>>,
    from_cache: Mutex<Vec<FromCache>>,
    is_idle: AtomicBool,
    /// The messages that customers do not wait for.
    pub queues: Queues,
}

struct Site {
    region: String,
    /// ARN of the queue whose messages the function handles.
    queue: String,
    domain: String,
    rest_api: String,
    stage: String,
    /// The first cache that the plan says how to empty.
    cache: Option<Emptying>,
}

/// One customer's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    at: Timestamp,
    served: bool,
}

/// A customer's write of which the customer was told that it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// When it was written, to the millisecond.
    pub at: Timestamp,
    /// The Region that took it.
    pub region: String,
    /// The number of the order, by which the customer and everybody who was told of it know it.
    pub id: i64,
}

/// An order that a customer was shown as a cache holds it, whatever the database does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromCache {
    /// When it was shown.
    pub at: Timestamp,
    /// The number of the order.
    pub id: i64,
    /// When the order was written, as the cache has it.
    pub written_at: Timestamp,
}

/// What is wrong with how a Region of the platform answers, while everything of AWS works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The functions that answer customers fail since a release. The heartbeat, which is another one, goes on.
    BadRelease,
    /// The certificate of the public name has expired there, so that nobody goes on from the handshake.
    CertificateExpired,
    /// A firewall refuses whoever asks from the addresses of Lambda. Customers are served.
    BlocksFunctions,
}

/// Why nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no such host.
    NoSuchHost,
    /// The certificate has expired.
    CertificateExpired,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Customer,
    Function,
}

/// What the platform answers.
pub struct PlatformAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The Region that answered.
    region: String,
    /// When it wrote, or tried to, in milliseconds since 1970.
    written_ms: i64,
    /// The number of the order that it took.
    order: Option<i64>,
}

impl Platform {
    /// Makes the platform's resources in `cloud`, as the plan describes them: the primary serves, the other Region's
    /// functions are kept off. Errors: a text.
    pub async fn deploy(cloud: &Arc<Cloud>, plan: &Plan) -> Result<Arc<Self>, String> {
        let sites = [&plan.regions.primary, &plan.regions.standby];
        let clusters = sites.map(|site| NewCluster {
            arn: plan.cluster_arn(site),
            id: site.cluster.clone(),
            region: site.region.clone(),
            master: database_login(FIRST_PASSWORD),
        });
        cloud
            .rds
            .create_global_database(cloud, &plan.database.global_cluster, &clusters)?;
        for (index, site) in sites.into_iter().enumerate() {
            cloud
                .dynamodb
                .create_table(&site.region, &plan.automation.table)
                .await?;
            cloud.sns.create_topic(&plan.topic_arn(site));
            cloud.s3.create_journal_bucket(&site.region, &site.reports.0);
            cloud
                .secretsmanager
                .put(cloud, &site.database_secret, &database_login(FIRST_PASSWORD).secret());
            deploy_entrances(cloud, plan, site, index == 0);
            deploy_caches(cloud, site);
            for function in &plan.functions {
                let environment = BTreeMap::from([
                    (plan::CLUSTER_VARIABLE.to_owned(), plan.cluster_arn(site)),
                    (plan::SECRET_VARIABLE.to_owned(), site.database_secret.clone()),
                ]);
                let reserved_concurrency = if index == 0 {
                    function.reserved_concurrency
                } else {
                    Some(0)
                };
                cloud.lambda.create_function(
                    &site.region,
                    &function.name,
                    deployed(&plan.account, function, environment, reserved_concurrency),
                );
            }
        }
        if let Some(observer) = &plan.observer {
            // The same template puts it there.
            cloud
                .dynamodb
                .create_table(&observer.region, &plan.automation.table)
                .await?;
        }
        put_public_name(cloud, plan);
        let url: http::Uri = plan
            .health
            .url
            .parse()
            .map_err(|error| format!("{}: {error}", plan.health.url))?;
        let platform = Self {
            workload: plan.workload.clone(),
            table: plan.automation.table.clone(),
            name: plan.dns.name.clone(),
            health_path: url.path().to_owned(),
            schema: plan.database.heartbeat.schema.clone(),
            heartbeat_every: plan.database.heartbeat.every.as_std(),
            global_cluster: plan.database.global_cluster.clone(),
            function: plan
                .functions
                .first()
                .map(|function| function.name.clone())
                .ok_or("the plan names no function")?,
            sites: sites
                .map(|site| Site {
                    region: site.region.clone(),
                    queue: queue_arn(plan, site),
                    domain: site.api.domain.clone(),
                    rest_api: site.api.rest_api.clone(),
                    stage: site.api.stage.clone(),
                    cache: site.emptied_caches().next().cloned(),
                })
                .into(),
            others: plan
                .probe
                .outside
                .iter()
                .flat_map(|outside| outside.names.clone())
                .collect(),
            troubles: Mutex::default(),
            asked: Mutex::default(),
            acknowledged: Mutex::default(),
            from_cache: Mutex::default(),
            is_idle: AtomicBool::default(),
            queues: Queues::default(),
        };
        platform.create_tables(cloud)?;
        Ok(Arc::new(platform))
    }

    fn create_tables(&self, cloud: &Cloud) -> Result<(), String> {
        let schema = &self.schema;
        let writer = self.writer(cloud).ok_or("the global database has no writer")?;
        for sql in [
            format!("CREATE SCHEMA {schema}"),
            format!("CREATE TABLE {schema}.heartbeat (written_ms BIGINT PRIMARY KEY)"),
            format!("CREATE TABLE {schema}.canary (recovery TEXT PRIMARY KEY, written_ms BIGINT)"),
            "CREATE TABLE orders (id BIGINT, written_ms BIGINT)".to_owned(),
            format!("CREATE SEQUENCE {ORDER_IDS}"),
            "CREATE TABLE messages (written_ms BIGINT)".to_owned(),
            "CREATE TABLE health (id BIGINT PRIMARY KEY, written_ms BIGINT)".to_owned(),
        ] {
            let (region, cluster) = &writer;
            cloud
                .rds
                .execute(cloud, region, cluster, &sql, &BTreeMap::new())
                .map_err(|refusal| refusal.message)?;
        }
        Ok(())
    }

    /// Region and ARN of the cluster that takes customers' writes: the one that the functions of the writer's Region name.
    fn writer(&self, cloud: &Cloud) -> Option<(String, String)> {
        let cluster = cloud.rds.writer_of(cloud, &self.global_cluster)?;
        let region = cloud.rds.region_of(&cluster)?;
        let named = self.cluster_of_customers(cloud, &region);
        let is_there = |named: &String| cloud.rds.region_of(named).as_ref() == Some(&region);
        Some((region.clone(), named.filter(is_there).unwrap_or(cluster)))
    }

    /// ARN of the cluster that the function which answers customers names in a Region.
    pub fn cluster_of_customers(&self, cloud: &Cloud, region: &str) -> Option<String> {
        let function = cloud.lambda.function(region, &self.function)?;
        let environment = function.environment_of_customers()?;
        environment.get(plan::CLUSTER_VARIABLE).cloned()
    }

    /// From now on nobody writes to the database, or somebody does again: no customer, no message, no heartbeat.
    pub fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
    }

    /// Whether nobody writes to the database.
    pub fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }

    /// The loss that customers had, in seconds: from their last write that survived to the last one that they were told is kept and that
    /// is gone; 0 where none is gone.
    pub fn gone_seconds(&self, cloud: &Cloud) -> Option<f64> {
        let lost = self.acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, cloud.now());
        let (Some(first), Some(last)) = (lost.first(), lost.last()) else {
            return Some(0.0);
        };
        let before = self.acknowledged(Timestamp::UNIX_EPOCH, *first);
        let survived = before.iter().rev().find(|write| write.at < *first)?;
        Some((last.as_millisecond() - survived.at.as_millisecond()) as f64 / 1000.0)
    }

    /// Answers `GET path` at `host`, as somebody behind `resolver` sees it; no answer ever, if nobody reaches its Region.
    /// Errors: there is none to be had.
    pub async fn get(
        &self,
        cloud: &Arc<Cloud>,
        resolver: &Resolver,
        host: &str,
        path: &str,
    ) -> Result<PlatformAnswer, NoAnswer> {
        let site = self.site_of(cloud, resolver, host).ok_or(NoAnswer::NoSuchHost)?;
        self.answer(cloud, site, path, Asker::Customer).await
    }

    /// The Region to which a name leads.
    fn site_of(&self, cloud: &Cloud, resolver: &Resolver, host: &str) -> Option<&Site> {
        let target = cloud.route53.resolve(cloud, resolver, host)?;
        self.sites.iter().find(|site| site.domain == target)
    }

    async fn answer(
        &self,
        cloud: &Arc<Cloud>,
        site: &Site,
        path: &str,
        asker: Asker,
    ) -> Result<PlatformAnswer, NoAnswer> {
        let takes = cloud.draw("web-answer", &cloud.timings.web_answer);
        tokio::time::sleep(takes / 2).await;
        if !cloud.customers_reach(&site.region) {
            std::future::pending::<()>().await;
        }
        let answer = self.serve(cloud, site, path, asker)?;
        tokio::time::sleep(takes - takes / 2).await;
        if !cloud.customers_reach(&site.region) {
            std::future::pending::<()>().await;
        }
        Ok(answer)
    }

    /// Likewise, as a function in a Region sees it.
    pub async fn get_from(
        &self,
        cloud: &Arc<Cloud>,
        region: &str,
        host: &str,
        path: &str,
    ) -> Result<PlatformAnswer, NoAnswer> {
        let resolver = cloud.route53.resolver_of(region);
        let site = self.site_of(cloud, &resolver, host).ok_or(NoAnswer::NoSuchHost)?;
        if !cloud.reaches_internet(region) || !cloud.passes(region, &site.region) {
            std::future::pending::<()>().await;
        }
        self.answer(cloud, site, path, Asker::Function).await
    }

    /// Whether a host is one that the plan names as the outside.
    pub(crate) fn is_of_others(&self, host: &str) -> bool {
        self.others.iter().any(|other| other == host)
    }

    /// From now on something is wrong with how a Region answers.
    pub fn trouble(&self, region: &str, trouble: Trouble) {
        lock(&self.troubles).insert(region.to_owned(), (trouble, 0));
    }

    /// Nothing is wrong with it any more.
    pub fn end_trouble(&self, region: &str) {
        lock(&self.troubles).remove(region);
    }

    /// How often somebody had to do with what is wrong with a Region.
    pub fn troubled(&self, region: &str) -> u64 {
        lock(&self.troubles).get(region).map_or(0, |(_, times)| *times)
    }

    /// What is wrong with a Region for whoever asks, which is counted.
    fn meet_trouble(&self, region: &str, asker: Asker) -> Option<Trouble> {
        let mut troubles = lock(&self.troubles);
        let (trouble, times) = troubles.get_mut(region)?;
        if *trouble == Trouble::BlocksFunctions && asker == Asker::Customer {
            return None;
        }
        *times += 1;
        Some(*trouble)
    }

    fn serve(&self, cloud: &Cloud, site: &Site, path: &str, asker: Asker) -> Result<PlatformAnswer, NoAnswer> {
        let now = cloud.now().as_millisecond();
        let with = |status: u16, word: &str, order: Option<i64>| {
            Ok(PlatformAnswer {
                status,
                body: json!({ "status": word, "region": site.region }).to_string(),
                region: site.region.clone(),
                written_ms: now,
                order,
            })
        };
        let answer = |status: u16, word: &str| with(status, word, None);
        match self.meet_trouble(&site.region, asker) {
            Some(Trouble::BadRelease) => return answer(500, "the release is bad"),
            Some(Trouble::CertificateExpired) => return Err(NoAnswer::CertificateExpired),
            Some(Trouble::BlocksFunctions) => return answer(403, "forbidden"),
            None => {}
        }
        let Site {
            region,
            rest_api,
            stage,
            ..
        } = site;
        if cloud.apigateway.throttles(region, rest_api, stage, path) {
            return answer(429, "too many requests");
        }
        let sql = if path == self.health_path {
            "INSERT INTO health (id, written_ms) VALUES (1, :now) ON CONFLICT (id) DO UPDATE SET written_ms = excluded.written_ms"
        } else {
            ORDERS
        };
        match self.write(cloud, &site.region, sql, now) {
            Ok(order) => {
                if let Some(order) = order {
                    site.keep_in_cache(cloud, order, now);
                    self.show_from_cache(cloud, site);
                }
                with(200, "ok", order)
            }
            Err(Unserved::FunctionOff) => answer(502, "a function does not run"),
            Err(Unserved::Database) => answer(503, "the database takes no writes"),
        }
    }

    /// A write by the function of `region` that answers customers, to the cluster that its environment names.
    /// Gives the number that the statement returns, if it returns one.
    fn write(&self, cloud: &Cloud, region: &str, sql: &str, now: i64) -> Result<Option<i64>, Unserved> {
        let (cluster, secret) = cloud
            .lambda
            .look_at(region, &self.function, |function| match function.reserved_concurrency {
                Some(0) => Err(Unserved::FunctionOff),
                _ => function
                    .environment_of_customers()
                    .and_then(|environment| {
                        environment
                            .get(plan::CLUSTER_VARIABLE)
                            .zip(environment.get(plan::SECRET_VARIABLE))
                    })
                    .filter(|(cluster, _)| cloud.iam.may(&function.role, cluster))
                    .map(|(cluster, secret)| (cluster.clone(), secret.clone()))
                    .ok_or(Unserved::Database),
            })
            .ok_or(Unserved::FunctionOff)??;
        let login = cloud.secretsmanager.login(&secret).map_err(|_| Unserved::Database)?;
        let parameters = BTreeMap::from([("now".to_owned(), Value::Integer(now))]);
        let statement = Statement {
            sql,
            parameters: &parameters,
            access: Access::Write,
        };
        cloud
            .rds
            .execute_as(cloud, region, &cluster, &login, &statement)
            .map(|rows| match rows.rows.first().and_then(|row| row.first()) {
                Some(Value::Integer(number)) => Some(*number),
                _ => None,
            })
            .map_err(|_| Unserved::Database)
    }

    /// Shows a customer an order of before, as the cache has it: the newest of those that are kept there and were told of a while ago.
    fn show_from_cache(&self, cloud: &Cloud, site: &Site) {
        let acknowledged = lock(&self.acknowledged);
        let mut kept = acknowledged.iter().rev().filter(|write| write.id % CACHED_EACH == 0);
        let Some(write) = kept.nth(SHOWN_AFTER) else { return };
        if let Some(written_at) = site.cached(cloud, write.id) {
            lock(&self.from_cache).push(FromCache {
                at: cloud.now(),
                id: write.id,
                written_at,
            });
        }
    }

    /// What customers were shown from caches, in their order.
    pub fn shown_from_cache(&self) -> Vec<FromCache> {
        lock(&self.from_cache).clone()
    }

    /// When customers were served again for good: the first served request after the last one that was not. Nothing, if
    /// the last request was not served, or none since `impact_at` failed.
    pub fn served_again_at(&self, impact_at: Timestamp) -> Option<Timestamp> {
        let asked = lock(&self.asked);
        let last_unserved = asked.iter().rposition(|asked| !asked.served && asked.at >= impact_at)?;
        asked.get(last_unserved + 1).map(|asked| asked.at)
    }

    /// The age at `impact_at` of the last customer's write from before that the current writer holds, in seconds.
    pub fn lost_seconds(&self, cloud: &Cloud, impact_at: Timestamp) -> Option<f64> {
        let (region, cluster) = self.writer(cloud)?;
        let parameters = BTreeMap::from([("impact".to_owned(), Value::Integer(impact_at.as_millisecond()))]);
        let sql = "SELECT max(written_ms) FROM orders WHERE written_ms <= :impact";
        let rows = cloud.rds.execute(cloud, &region, &cluster, sql, &parameters).ok()?;
        match rows.rows.first()?.first()? {
            Value::Integer(survived) => Some((impact_at.as_millisecond() - survived) as f64 / 1000.0),
            _ => None,
        }
    }
}

impl Platform {
    /// The customers' writes of between `from` and `to`, both included, of which they were told that they are kept; in
    /// their order.
    pub fn acknowledged(&self, from: Timestamp, to: Timestamp) -> Vec<Acknowledged> {
        let acknowledged = lock(&self.acknowledged);
        let within = acknowledged.iter().filter(|write| (from..=to).contains(&write.at));
        within.cloned().collect()
    }

    /// When those of them were written that the present writer does not hold, in their order.
    pub fn acknowledged_and_lost(&self, cloud: &Cloud, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let held = self.held_by_the_writer(cloud).unwrap_or_default();
        let acknowledged = self.acknowledged(from, to).into_iter();
        let lost = acknowledged.filter(|write| !held.contains(&write.at.as_millisecond()));
        lost.map(|write| write.at).collect()
    }

    fn held_by_the_writer(&self, cloud: &Cloud) -> Option<BTreeSet<i64>> {
        let (_, cluster) = self.writer(cloud)?;
        let sql = "SELECT written_ms FROM orders";
        let rows = cloud.rds.look_into(cloud, &cluster, sql, &BTreeMap::new()).ok()?;
        let written = rows.rows.into_iter().flatten().filter_map(|value| match value {
            Value::Integer(written_ms) => Some(written_ms),
            _ => None,
        });
        Some(written.collect())
    }
}

/// A function as the platform's stack makes it: where customers reach it by an alias, that leads to its first version.
fn deployed(
    account: &str,
    function: &plan::Function,
    environment: BTreeMap<String, String>,
    reserved: Option<u32>,
) -> Function {
    let first = Alias {
        version: 1,
        weights: json!({}),
        changes: 0,
    };
    Function {
        versions: vec![environment.clone()],
        environment,
        reserved_concurrency: reserved,
        aliases: function
            .alias
            .iter()
            .map(|alias| (alias.clone(), first.clone()))
            .collect(),
        served_through: function.alias.clone(),
        role: format!("arn:aws:iam::{account}:role/{}", function.name),
        ..Function::default()
    }
}

/// Makes what work comes in by in one Region: the API's stage, and a queue that the first function reads from where its
/// Region serves.
fn deploy_entrances(cloud: &Cloud, plan: &Plan, site: &plan::Site, serves: bool) {
    let settings = if serves { primary_settings() } else { BTreeMap::new() };
    let region = &site.region;
    cloud
        .apigateway
        .create_stage(cloud, region, &site.api.rest_api, &site.api.stage, settings);
    if let Some(function) = plan.functions.first() {
        let uuid = if serves { PRIMARY_QUEUE } else { RECOVERY_QUEUE };
        let queue = queue_arn(plan, site);
        cloud
            .lambda
            .create_event_source(region, uuid, &function.name, &queue, serves);
    }
}

fn queue_arn(plan: &Plan, site: &plan::Site) -> String {
    let (partition, region) = (site.partition(), &site.region);
    format!("arn:{partition}:sqs:{region}:{}:{}-orders", plan.account, plan.workload)
}

impl Site {
    /// Where an order is kept in the cache, as the functions name the key.
    fn key_of(&self, cloud: &Cloud, order: i64) -> Option<(&str, String)> {
        let Emptying { endpoint, keys, .. } = self.cache.as_ref()?;
        let key = match keys {
            CacheKeys::All => format!("order:{order}"),
            CacheKeys::Prefix(prefix) => format!("{prefix}order:{order}"),
            CacheKeys::Epoch(key) => {
                let epoch = cloud.elasticache.get(endpoint, key).unwrap_or_default();
                format!("{epoch}:order:{order}")
            }
        };
        Some((endpoint, key))
    }

    /// Keeps an order in the cache, where it is one of those that are kept there.
    fn keep_in_cache(&self, cloud: &Cloud, order: i64, written_ms: i64) {
        if order % CACHED_EACH == 0
            && let Some((endpoint, key)) = self.key_of(cloud, order)
        {
            cloud.elasticache.set(endpoint, &key, &written_ms.to_string());
        }
    }

    /// When an order was written, as the cache has it.
    fn cached(&self, cloud: &Cloud, order: i64) -> Option<Timestamp> {
        let (endpoint, key) = self.key_of(cloud, order)?;
        let written_ms = cloud.elasticache.get(endpoint, &key)?.parse().ok()?;
        Timestamp::from_millisecond(written_ms).ok()
    }
}

/// How the platform's functions sign in to its database, with this password.
pub fn database_login(password: &str) -> Login {
    Login {
        user: DATABASE_USER.to_owned(),
        password: password.to_owned(),
    }
}

/// Somebody changes the password that the platform's functions sign in with, in the database and in the secrets of both Regions.
pub fn change_database_password(cloud: &Cloud, plan: &Plan, password: &str) {
    let (login, regions) = (database_login(password), &plan.regions);
    cloud
        .rds
        .set_password(cloud, &plan.cluster_arn(&regions.primary), &login);
    for site in [&regions.primary, &regions.standby] {
        cloud.secretsmanager.put(cloud, &site.database_secret, &login.secret());
    }
}

/// Makes the caches of a Region, each with something in it that is none of the database's.
fn deploy_caches(cloud: &Cloud, site: &plan::Site) {
    for emptying in site.emptied_caches() {
        let password = emptying.secret.as_ref().map(|_| CACHE_PASSWORD);
        cloud.elasticache.create(&site.region, &emptying.endpoint, password);
        cloud.elasticache.set(&emptying.endpoint, SESSION, "signed in");
        if let Some(secret) = &emptying.secret {
            cloud.secretsmanager.put(cloud, secret, CACHE_PASSWORD);
        }
    }
}

/// The settings of the primary's stage: some for all methods, and others for the one that customers use most.
fn primary_settings() -> BTreeMap<String, MethodSettings> {
    let limits = |rate, burst| MethodSettings {
        metrics_enabled: true,
        logging_level: Some("INFO".to_owned()),
        throttling_rate_limit: rate,
        throttling_burst_limit: burst,
        ..MethodSettings::default()
    };
    BTreeMap::from([
        (ALL_METHODS.to_owned(), limits(500.0, 1_000)),
        (format!("{}/GET", ORDER.replace('/', "~1")), limits(200.0, 400)),
    ])
}

/// The public name, as the platform's own stack makes it: a failover pair that a switch object moves, or, in a plan
/// without one, a plain record.
fn put_public_name(cloud: &Cloud, plan: &Plan) {
    let (zone, name) = (&plan.dns.hosted_zone, &plan.dns.name);
    let (primary, secondary) = (&plan.regions.primary, &plan.regions.standby);
    let Some(switch) = &plan.dns.switch_object else {
        let record = PlainRecord {
            target: primary.api.domain.clone(),
            ttl: plan.dns.ttl.as_std(),
        };
        cloud.route53.put_plain_record(zone, name, record);
        return;
    };
    cloud
        .s3
        .create_bucket(&secondary.region, &switch.bucket.0, &[&switch.key]);
    let record = FailoverRecord {
        primary: primary.api.domain.clone(),
        secondary: secondary.api.domain.clone(),
        ttl: plan.dns.ttl.as_std(),
        health_check: HealthCheck {
            id: SWITCH_HEALTH_CHECK.to_owned(),
            bucket: switch.bucket.0.clone(),
            key: switch.key.clone(),
            failure_threshold: HEALTH_CHECK_THRESHOLD,
            inverted: true,
        },
    };
    cloud.route53.put_record(zone, name, record);
}

enum Unserved {
    FunctionOff,
    Database,
}

/// Customers ask for ever, one each second, whether they are served or not.
pub async fn run_customers(cloud: Arc<Cloud>, platform: Arc<Platform>) {
    let resolver = Resolver::default();
    tokio::time::sleep(CUSTOMERS_ASK_EVERY.mul_f64(cloud.chance("customers-phase", |rng| rng.f64()))).await;
    loop {
        if platform.is_idle() {
            tokio::time::sleep(CUSTOMERS_ASK_EVERY).await;
            continue;
        }
        let (cloud, platform, resolver) = (Arc::clone(&cloud), Arc::clone(&platform), resolver.clone());
        tokio::spawn(async move {
            let at = cloud.now();
            let answer = tokio::time::timeout(PATIENCE, platform.get(&cloud, &resolver, &platform.name, ORDER)).await;
            let answer = answer.ok().and_then(Result::ok).filter(|answer| answer.status == 200);
            let served = answer.is_some();
            if let Some(PlatformAnswer {
                region,
                written_ms,
                order: Some(id),
                ..
            }) = answer
                && let Ok(at) = Timestamp::from_millisecond(written_ms)
            {
                let mut acknowledged = lock(&platform.acknowledged);
                let place = acknowledged.partition_point(|other| other.at <= at);
                acknowledged.insert(place, Acknowledged { at, region, id });
            }
            let mut asked = lock(&platform.asked);
            // Answers come out of order; questions do not.
            let place = asked.partition_point(|other| other.at <= at);
            asked.insert(place, Asked { at, served });
        });
        tokio::time::sleep(CUSTOMERS_ASK_EVERY).await;
    }
}

/// Messages come in, and are handled where an event source is enabled, for ever. Where the function is throttled, or its database
/// takes no writes, a message has used up a receive.
pub async fn run_queues(cloud: Arc<Cloud>, platform: Arc<Platform>) {
    tokio::time::sleep(QUEUES_ARE_POLLED_EVERY.mul_f64(cloud.chance("queues-phase", |rng| rng.f64()))).await;
    let turns = MESSAGES_COME_EVERY.as_secs() / QUEUES_ARE_POLLED_EVERY.as_secs();
    for turn in 0_u64.. {
        let awake = (!platform.is_idle()).then_some(&platform.sites);
        for site in awake.into_iter().flatten().filter(|site| cloud.runs(&site.region)) {
            let (now, region, queues) = (cloud.now(), &site.region, &platform.queues);
            if turn % turns == 0 {
                queues.come_in(region, now);
            }
            if cloud.lambda.polls(region, &site.queue, now) {
                let sql = "INSERT INTO messages (written_ms) VALUES (:now)";
                let write = || platform.write(&cloud, region, sql, now.as_millisecond());
                queues.receive(region, now, || write().is_ok());
            }
        }
        tokio::time::sleep(QUEUES_ARE_POLLED_EVERY).await;
    }
}

/// The platform writes its heartbeat for ever: a row, and, once that is committed, word of it in the other Region's
/// table of records.
pub async fn run_heartbeat(cloud: Arc<Cloud>, platform: Arc<Platform>) {
    tokio::time::sleep(
        platform
            .heartbeat_every
            .mul_f64(cloud.chance("heartbeat-phase", |rng| rng.f64())),
    )
    .await;
    // Each Region, and where its heartbeat leaves word.
    let mut ways = Vec::new();
    for site in &platform.sites {
        if let Some(other) = platform.sites.iter().find(|other| other.region != site.region) {
            ways.push((site.region.clone(), other.region.clone()));
        }
    }
    loop {
        // In each Region whose functions run and whose cluster takes writes: there are two of these when a failover has
        // left a writer behind.
        for (region, other) in &ways {
            let (cloud, platform) = (Arc::clone(&cloud), Arc::clone(&platform));
            tokio::spawn(beat(cloud, platform, region.clone(), other.clone()));
        }
        tokio::time::sleep(platform.heartbeat_every).await;
    }
}

async fn beat(cloud: Arc<Cloud>, platform: Arc<Platform>, region: String, other: String) {
    if !cloud.runs(&region) || platform.is_idle() {
        return;
    }
    let now = cloud.now();
    let sql = format!("INSERT INTO {}.heartbeat (written_ms) VALUES (:now)", platform.schema);
    if platform.write(&cloud, &region, &sql, now.as_millisecond()).is_err() {
        return;
    }
    // The platform does not stop for want of a witness.
    tokio::time::sleep(cloud.latency(&region, &other) / 2).await;
    if cloud.connects(&region, &other) {
        let word = committed_heartbeat(&platform.workload, &region, now);
        cloud.dynamodb.put_behind(&other, &platform.table, word);
    }
}

#[cfg(test)]
mod tests {
    use shared::record::Record;

    use super::*;
    use crate::aws::door::Door;
    use crate::aws::service::reply_at_once;
    use crate::clock::Clock;
    use crate::cloud::Reach;
    use crate::timings::Timings;

    const EAST: &str = "us-east-1";
    const WEST: &str = "us-west-2";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    struct World {
        plan: Plan,
        cloud: Arc<Cloud>,
        platform: Arc<Platform>,
    }

    async fn world() -> World {
        let plan: Plan = serde_saphyr::from_str(include_str!("../../radiant.plan.yaml")).unwrap();
        let clock = Clock::starting_at(at(0));
        let cloud = Cloud::new(&plan.account, 7, clock, Timings::built_in().unwrap());
        let platform = Platform::deploy(&cloud, &plan).await.unwrap();
        World { plan, cloud, platform }
    }

    /// Makes a call; gives the answer's status.
    fn rds_call(cloud: &Cloud, region: &str, parameters: &[(&str, &str)]) -> u16 {
        let mut body = form_urlencoded::Serializer::new(String::new());
        let call = crate::aws::wire::Call {
            service: "rds".to_owned(),
            region: region.to_owned(),
            method: "POST".to_owned(),
            uri: "/".to_owned(),
            path: "/".to_owned(),
            headers: http::HeaderMap::new(),
            body: body.extend_pairs(parameters).finish().into(),
        };
        reply_at_once(&*cloud.rds, cloud, &call).status
    }

    impl World {
        async fn ask(&self, path: &str) -> (u16, String) {
            let resolver = Resolver::default();
            let answer = self
                .platform
                .get(&self.cloud, &resolver, &self.plan.dns.name, path)
                .await;
            let PlatformAnswer { status, body, .. } = answer.unwrap();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            (status, body["region"].as_str().unwrap().to_owned())
        }

        fn sql(&self, sql: &str) -> Vec<Vec<Value>> {
            let cluster = self.plan.cluster_arn(&self.plan.regions.primary);
            let rows = self
                .cloud
                .rds
                .execute(&self.cloud, EAST, &cluster, sql, &BTreeMap::new());
            rows.unwrap().rows
        }

        fn reserve(&self, region: &str, name: &str, count: Option<u32>) {
            let mut function = self.cloud.lambda.function(region, name).unwrap();
            function.reserved_concurrency = count;
            self.cloud.lambda.create_function(region, name, function);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn customers_know_since_when_they_are_served_again_for_good() {
        let World { platform, .. } = world().await;
        let served_again_at = |history: &[(i64, bool)], impact| {
            let asked = history.iter().map(|(second, served)| Asked {
                at: at(*second),
                served: *served,
            });
            *lock(&platform.asked) = asked.collect();
            platform.served_again_at(at(impact))
        };
        let history = [(1, true), (2, false), (3, true), (4, false), (5, true), (6, true)];
        assert_eq!(served_again_at(&history, 2), Some(at(5)));
        assert_eq!(served_again_at(&history, 4), Some(at(5)));
        assert_eq!(served_again_at(&history, 5), None);
        assert_eq!(served_again_at(&history[..4], 2), None);
        assert_eq!(served_again_at(&history[..3], 2), Some(at(3)));
        assert_eq!(served_again_at(&[], 2), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_counted_from_the_last_write_that_survived() {
        let world = world().await;
        assert_eq!(world.platform.lost_seconds(&world.cloud, at(10)), None);
        world.sql("INSERT INTO orders (written_ms) VALUES (7500), (9250), (12000)");
        let lost = |impact| world.platform.lost_seconds(&world.cloud, at(impact));
        assert_eq!((lost(10), lost(9), lost(12)), (Some(0.75), Some(1.5), Some(0.0)));
        assert_eq!(lost(7), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_platform_answers_by_what_it_finds() {
        let world = world().await;
        assert_eq!(world.ask("/order").await, (200, EAST.to_owned()));
        assert_eq!(world.ask("/v2/health").await, (200, EAST.to_owned()));
        assert_eq!(world.ask("/v2/health").await, (200, EAST.to_owned()));
        let count = |table| world.sql(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(
            (count("orders"), count("health")),
            (vec![vec![Value::Integer(1)]], vec![vec![Value::Integer(1)]])
        );

        // What counts is the function that answers customers, in the Region that the name points to.
        let function = world.platform.function.as_str();
        world.reserve(EAST, "radiant-production-billing", Some(0));
        assert_eq!(world.ask("/order").await.0, 200);
        world.reserve(EAST, function, Some(0));
        world.reserve(WEST, function, None);
        assert_eq!(world.ask("/order").await.0, 502);
        world.reserve(EAST, function, Some(1));
        assert_eq!(world.ask("/order").await.0, 200);

        let (arn, global) = (
            world.plan.cluster_arn(&world.plan.regions.standby),
            &world.plan.database.global_cluster,
        );
        let status = rds_call(
            &world.cloud,
            EAST,
            &[
                ("Action", "SwitchoverGlobalCluster"),
                ("GlobalClusterIdentifier", global),
                ("TargetDbClusterIdentifier", &arn),
            ],
        );
        assert_eq!(status, 200);
        // When half of the longest switchover is over, the old side reads only.
        tokio::time::sleep(world.cloud.timings.global_switchover.to / 2).await;
        assert_eq!(world.ask("/order").await.0, 503);
        tokio::time::sleep(world.cloud.timings.global_switchover.to).await;
        assert_eq!(world.ask("/order").await, (503, EAST.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_is_away_never_answers() {
        let world = world().await;
        world.cloud.take_region_away(EAST);
        let answer = tokio::time::timeout(Duration::from_secs(3600), world.ask("/order")).await;
        assert!(answer.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_were_acknowledged_and_lost_are_known() {
        let world = world().await;
        let World { plan, cloud, platform } = &world;
        tokio::spawn(run_customers(Arc::clone(cloud), Arc::clone(platform)));
        tokio::spawn(crate::aws::rds::replicate(
            Arc::clone(&cloud.rds),
            cloud.environment(),
            plan.database.global_cluster.clone(),
        ));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let lost = |from, to| platform.acknowledged_and_lost(cloud, at(from), at(to));
        let taken = |region: &str, from, to| {
            let writes = platform.acknowledged(at(from), at(to)).into_iter();
            writes.filter(|write| write.region == region).count()
        };
        assert!((59..=60).contains(&taken(EAST, 0, 60)), "{}", taken(EAST, 0, 60));
        assert_eq!((taken(WEST, 0, 60), lost(0, 60)), (0, vec![]));

        // The primary is not fenced, and its customers go on while the other side is promoted.
        cloud
            .rds
            .set_replication_lag(cloud, &plan.database.global_cluster, Some(Duration::from_secs(10)));
        let arn = plan.cluster_arn(&plan.regions.standby);
        let global = plan.database.global_cluster.as_str();
        let status = rds_call(
            cloud,
            WEST,
            &[
                ("Action", "FailoverGlobalCluster"),
                ("GlobalClusterIdentifier", global),
                ("TargetDbClusterIdentifier", &arn),
                ("AllowDataLoss", "true"),
            ],
        );
        assert_eq!(status, 200);
        tokio::time::sleep(Duration::from_secs(540)).await;
        assert_eq!(cloud.rds.writer_of(cloud, global), Some(arn));
        // The promotion began 2 to 10 s after the call, with what was written until 10 s before.
        let lost = lost(0, 600);
        let first = lost[0].as_millisecond();
        assert!((52_000..61_100).contains(&first), "{first}");
        assert!(lost.is_sorted());
        let after = platform.acknowledged(lost[0], at(600));
        assert_eq!(lost.len(), after.len());
        assert!(after.iter().all(|write| write.region == EAST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_whose_apis_are_away_goes_on_and_one_without_customers_beats_on() {
        for what in [Reach::Apis, Reach::Customers] {
            let world = world().await;
            tokio::spawn(run_heartbeat(Arc::clone(&world.cloud), Arc::clone(&world.platform)));
            world.cloud.take_away(EAST, what);
            tokio::time::sleep(Duration::from_secs(60)).await;
            let aws = Door::new(&world.cloud, &world.platform, "test", WEST).aws(&world.plan.automation.table);
            let witness = Record::in_region(&aws, WEST);
            let seen = witness
                .last_committed_heartbeat(&world.plan.workload, EAST)
                .await
                .unwrap();
            let age = world.cloud.now().duration_since(seen.unwrap()).as_secs_f64();
            assert!(age < 6.0, "{what:?}: {age}");
            let answer = tokio::time::timeout(Duration::from_secs(60), world.ask("/order")).await;
            assert_eq!(answer.is_ok(), what == Reach::Apis);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn customers_are_heard_every_second() {
        let world = world().await;
        tokio::spawn(run_customers(Arc::clone(&world.cloud), Arc::clone(&world.platform)));
        tokio::time::sleep(Duration::from_secs(100)).await;
        world.cloud.take_region_away(EAST);
        let impact = world.cloud.now();
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(world.platform.served_again_at(impact), None);
        world.cloud.give_region_back(EAST);
        let back = world.cloud.now();
        tokio::time::sleep(Duration::from_secs(50)).await;
        // A request that was under way when the Region came back may still run into the customer's patience.
        let served = world.platform.served_again_at(impact).unwrap();
        let after = served.duration_since(back).as_secs_f64();
        assert!((-1.0..=1.0).contains(&after), "{after}");
        let asked = lock(&world.platform.asked);
        assert!((196..=200).contains(&asked.len()), "{}", asked.len());
        assert!(asked.is_sorted_by_key(|asked| asked.at));
        let unserved = asked.iter().filter(|asked| !asked.served).count();
        assert!((49..=51).contains(&unserved), "{unserved}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_heartbeat_leaves_its_witness_in_the_other_region() {
        let world = world().await;
        tokio::spawn(run_heartbeat(Arc::clone(&world.cloud), Arc::clone(&world.platform)));
        let aws = Door::new(&world.cloud, &world.platform, "test", WEST).aws(&world.plan.automation.table);
        let witness = async |table: &str, served: &str| {
            let record = Record::in_region(&aws, table);
            record
                .last_committed_heartbeat(&world.plan.workload, served)
                .await
                .unwrap()
        };
        tokio::time::sleep(Duration::from_secs(60)).await;
        let newest = world.sql("SELECT max(written_ms) FROM recovery.heartbeat");
        let seen = witness(WEST, EAST).await.unwrap();
        assert_eq!(newest, [[Value::Integer(seen.as_millisecond())]]);
        assert!(world.cloud.now().duration_since(seen).as_secs_f64() < 6.0);
        assert_eq!((witness(EAST, EAST).await, witness(WEST, WEST).await), (None, None));
        // A platform that cannot commit leaves none.
        for function in &world.plan.functions {
            world.reserve(EAST, &function.name, Some(0));
        }
        let last = witness(WEST, EAST).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(witness(WEST, EAST).await, last);
    }
}
