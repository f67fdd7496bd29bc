//! Recoveries in whole worlds that take the paths which no rehearsal takes by itself, and those in which every step runs.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use jiff::SignedDuration;
use rehearsal::deployment::recovery_machine;
use rehearsal::scenarios::database_corruption::since;
use serde_json::{Value, json};
use shared::plan::{Cache, CacheKeys, Emptying, Plan};
use shared::record::{Claim, Record};
use shared::recovery::Mode;
use shared::resume::resume;
use simulator::aws::rds::{Peculiar, Settings};
use simulator::aws::sns::Message;
use simulator::aws::states::ExecutionRecord;
use simulator::cloud::Reach;
use simulator::workload::{SECOND_PASSWORD, change_database_password};

use super::{ON_CALL, PRIMARY, RECOVERY, SECOND, World, body, plan, request, with_impatient_recovery_machine};

/// One of them.
#[derive(Clone, Copy)]
pub struct Play {
    pub name: &'static str,
    /// Whether it moves the public name by its record, and is not of the [`usual`] plan.
    pub by_record: bool,
    /// Plays it, in virtual time.
    pub play: fn() -> Playing,
}

type Playing = Pin<Box<dyn Future<Output = World>>>;

impl Play {
    const fn new(name: &'static str, play: fn() -> Playing) -> Self {
        Self {
            name,
            by_record: false,
            play,
        }
    }
}

/// A manual snapshot of the damaged cluster.
const SNAPSHOT: &str = "before";
/// Long enough for everything that was started to end, or to wait for people.
const HOUR: Duration = Duration::from_secs(3600);

/// All of them.
pub const PLAYS: [Play; 20] = [
    Play::new("lost", || Box::pin(lost())),
    Play::new("started by a person", || Box::pin(by_hand())),
    Play::new("there and back", || Box::pin(there_and_back(usual()))),
    Play {
        by_record: true,
        ..Play::new("there and back by record", || Box::pin(there_and_back(by_record())))
    },
    Play::new("taken over", || Box::pin(taken_over())),
    Play::new("resumed", || Box::pin(resumed())),
    Play::new("impatient", || Box::pin(impatient())),
    Play::new("not freed", || Box::pin(not_freed())),
    Play::new("stopped and told", || Box::pin(stopped(true))),
    Play::new("stopped and not told", || Box::pin(stopped(false))),
    Play::new("left fenced", || Box::pin(left_fenced())),
    Play::new("name sent back", || Box::pin(name_sent_back())),
    Play::new("alarm refused", || Box::pin(alarm_refused())),
    Play::new("not answered", || Box::pin(not_answered())),
    Play::new("behind a recovery there", || Box::pin(behind(PRIMARY))),
    Play::new("behind a recovery here", || Box::pin(behind(RECOVERY))),
    Play::new("back in time", || Box::pin(back_in_time())),
    Play::new("restored and declined", || Box::pin(restored_and_declined())),
    Play::new("pointed back and resumed", || Box::pin(pointed_back_and_resumed())),
    Play::new("restored from a snapshot", || Box::pin(restored_from_a_snapshot())),
];

/// The example plan, with a function that has a reserved concurrency, one that customers reach by an alias, and a cache for each way of
/// emptying one.
pub fn usual() -> Plan {
    let mut plan = plan();
    let others = [
        ("all", CacheKeys::All),
        ("epochs", CacheKeys::Epoch("epoch:shop".to_owned())),
    ];
    let others = others.map(|(id, keys)| Cache {
        id: id.to_owned(),
        empty: Some(Emptying {
            endpoint: format!("{id}.cache.example.com:6379"),
            secret: None,
            tls: true,
            keys,
        }),
    });
    plan.regions.primary.caches.extend(others);
    plan.functions[0].reserved_concurrency = Some(50);
    plan.functions[1].alias = Some("live".to_owned());
    plan
}

/// The public name is moved by its record.
fn by_record() -> Plan {
    let mut plan = usual();
    plan.dns.switch_object = None;
    plan
}

/// Waits until that many other questions were asked before, each of which may be told more than once.
async fn question_of(world: &World, before: usize) -> Message {
    for told in 0.. {
        let last = world.nth_question(told).await;
        let asked = world.questions().into_iter().take(told + 1);
        let different: BTreeSet<String> = asked
            .filter_map(|question| Some(body(&question.text)?.to_string()))
            .collect();
        if different.len() > before {
            return last;
        }
    }
    unreachable!("it waits until there is one")
}

/// The alarm starts a recovery from the loss of a Region.
async fn lost() -> World {
    let world = World::watched(|plan| *plan = usual()).await;
    world.cloud().take_region_away(PRIMARY);
    tokio::time::sleep(HOUR).await;
    world
}

/// A person starts a recovery as themselves.
async fn by_hand() -> World {
    let world = World::good_times(|plan| *plan = usual()).await;
    let machine = recovery_machine(&world.plan, RECOVERY);
    let asked =
        json!({ "id": "one", "machine": machine, "scenario": "region-failure", "wants": { "intent": "failover" } });
    let asked = asked.to_string();
    let posted = world
        .simulation
        .post_to_function(RECOVERY, "start-by-hand", ON_CALL, &asked);
    assert_eq!(posted.await.unwrap().0, 202);
    world.question().await;
    world
}

/// The workload is moved there and back while both Regions are well.
async fn there_and_back(plan: Plan) -> World {
    let world = World::good_times(move |usual| *usual = plan).await;
    world.prepare_primary();
    world.start("there", request("switchover"));
    world.wait().await;
    tokio::time::sleep(HOUR).await;
    world.start_in(PRIMARY, "back", request("switchover"));
    world.wait().await;
    world
}

/// A recovery is taken over from; two Regions want the lock.
async fn taken_over() -> World {
    let world = World::watched(|plan| *plan = usual()).await;
    world.start("first", request("failover"));
    world.question().await;
    let mut instead = request("failover");
    instead["take_over"] = json!(world.only_header().await.id);
    world.start("second", instead);
    let question = question_of(&world, 1).await;
    for person in [ON_CALL, SECOND] {
        world
            .answer(&question, person, "approve", Some("the first one hangs"))
            .await;
    }
    tokio::time::sleep(HOUR).await;
    // One in the other Region looks who holds the lock here.
    world.start("third", request("failover"));
    question_of(&world, 2).await;
    world.start_in(PRIMARY, "elsewhere", request("failover"));
    tokio::time::sleep(HOUR / 60).await;
    world
}

/// People approve, the promotion fails and the fence is taken back; the recovery is resumed, and what people answered holds.
async fn resumed() -> World {
    let world = World::good_times(|plan| *plan = usual()).await;
    world.prepare_primary();
    let promote = "promote-database";
    world
        .simulation
        .break_function(RECOVERY, promote, "Denied", "not yet")
        .unwrap();
    world.start("resumed", request("failover"));
    world.approve().await;
    world.wait().await;
    world.simulation.mend_function(RECOVERY, promote).unwrap();
    // Event sources take up to a minute to become what they are told.
    tokio::time::sleep(HOUR / 30).await;
    world.resume(&world.only_header().await.id).await.unwrap();
    tokio::time::sleep(HOUR).await;
    world
}

/// The recovery machine does not wait for its scenario's execution, which lives on.
async fn impatient() -> World {
    let world = with_impatient_recovery_machine(usual()).await;
    world.cloud().faults.on_children();
    world.start("impatient", request("failover"));
    world.wait().await;
    world
}

/// A recovery was stopped, and nobody has freed its lock when the next one begins.
async fn not_freed() -> World {
    let world = World::where_nobody_frees_the_lock(usual()).await;
    world.cloud().faults.on_children();
    world.start("stopped", request("failover"));
    world.question().await;
    world.stop(&world.only_header().await.execution).await;
    world.start("next", request("failover"));
    question_of(&world, 1).await;
    world
}

/// What a recovery has started is stopped by the function that frees its lock: with the event that its execution was
/// stopped, and where that is lost.
async fn stopped(is_told: bool) -> World {
    let world = World::good_times_with(usual(), |deployment| {
        if !is_told {
            deployment.rules.clear();
        }
    })
    .await;
    world.cloud().faults.on_children();
    world.start("stopped", request("failover"));
    world.question().await;
    world.stop(&world.only_header().await.execution).await;
    tokio::time::sleep(HOUR).await;
    world
}

/// The Region that runs a recovery is lost once it has fenced the other one, and stays away.
async fn left_fenced() -> World {
    let world = World::good_times(|plan| *plan = usual()).await;
    world.start("left", request("switchover"));
    let promote = "promote-database";
    while world.cloud().calls_of(promote) == 0 {
        tokio::time::sleep(HOUR / 3600 / 50).await;
    }
    world.cloud().take_region_away(RECOVERY);
    tokio::time::sleep(HOUR / 4).await;
    world
}

/// What people were asked in the primary Region, each question once, oldest first.
fn asked_in_primary(world: &World) -> Vec<Message> {
    let topic = world.plan.topic_arn(&world.plan.regions.primary);
    let mut seen = BTreeSet::new();
    let messages = world.cloud().sns.messages(&topic).into_iter();
    messages
        .filter(|message| body(&message.text).is_some_and(|body| seen.insert(body["question"].to_string())))
        .collect()
}

/// Two people answer a question there, once it is asked.
async fn answered_in_primary(world: &World, before: usize, answer: &str) {
    let question = loop {
        if let Some(question) = asked_in_primary(world).into_iter().nth(before) {
            break question;
        }
        tokio::time::sleep(HOUR / 3600).await;
    };
    // Nobody answers within seconds.
    tokio::time::sleep(HOUR / 60).await;
    let mut said = body(&question.text).unwrap();
    said["answer"] = json!(answer);
    said["reason"] = json!("the data are wrong");
    let said = said.to_string();
    for person in [ON_CALL, SECOND] {
        let posted = world
            .simulation
            .post_to_function(PRIMARY, "record-approval", person, &said);
        posted.await.unwrap();
    }
}

/// A person has the database go back to a minute ago, and both questions were answered but for the second.
async fn restored() -> World {
    restored_by(|world| json!({ "restore_to": world.cloud().now() - SignedDuration::from_mins(1) })).await
}

/// The same with what that person wants. A function is reached by an alias, the damaged cluster cannot be deleted, and the password is
/// another one since.
async fn restored_by(wants: impl FnOnce(&World) -> Value) -> World {
    let world = World::good_times(|plan| *plan = usual()).await;
    for check in &world.plan.database.checks {
        world
            .cloud()
            .rds
            .stand_in(&check.sql, &format!("SELECT '{}'", check.finds));
    }
    let (cloud, platform) = (world.cloud(), world.simulation.platform());
    since::set_up(cloud, platform, &world.plan).unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let rds = &cloud.rds;
    let damaged = world.plan.cluster_arn(&world.plan.regions.primary);
    rds.set_settings(
        cloud,
        &damaged,
        Settings {
            deletion_protection: true,
            ..rds.settings_of(&damaged).unwrap()
        },
    );
    world.prepare_primary();
    rds.take_snapshot(cloud, &damaged, SNAPSHOT, Peculiar::default());
    change_database_password(cloud, &world.plan, SECOND_PASSWORD);
    let asked = json!({
        "scenario": "database-corruption",
        "mode": "rehearsal",
        "wants": wants(&world),
        "trigger": { "kind": "person", "by": ON_CALL, "at": world.cloud().now() },
    });
    world.start_in(PRIMARY, "restored", asked);
    answered_in_primary(&world, 0, "approve").await;
    world
}

/// Customers move to the restored database.
async fn back_in_time() -> World {
    let world = restored().await;
    answered_in_primary(&world, 1, "approve").await;
    world.wait().await;
    world
}

/// The restored database is not wanted, and deleted.
async fn restored_and_declined() -> World {
    let world = restored().await;
    answered_in_primary(&world, 1, "decline").await;
    world.wait().await;
    world
}

/// A snapshot is restored, and not wanted after all.
async fn restored_from_a_snapshot() -> World {
    let world = restored_by(|_| json!({ "snapshot": SNAPSHOT })).await;
    answered_in_primary(&world, 1, "decline").await;
    world.wait().await;
    world
}

/// Nothing may be opened, so that the functions are pointed back; then it may, and the recovery is resumed.
async fn pointed_back_and_resumed() -> World {
    let world = restored().await;
    let opens = "resume-writes";
    let break_it = || world.simulation.break_function(PRIMARY, opens, "Denied", "not yet");
    break_it().unwrap();
    answered_in_primary(&world, 1, "approve").await;
    world.wait().await;
    world.simulation.mend_function(PRIMARY, opens).unwrap();
    let record = Record::in_region(&world.simulation.aws_in("drctl", PRIMARY), PRIMARY);
    let id = record.recoveries(&world.plan.workload).await.unwrap().pop().unwrap();
    let aws = world.simulation.aws_in("drctl", PRIMARY);
    resume(&aws, &world.plan, &id, ON_CALL).await.unwrap();
    world.wait().await;
    world
}

/// The switch object is hidden from the public while the standby Region serves, and shown again.
async fn name_sent_back() -> World {
    let world = lost().await;
    let bucket = world
        .plan
        .dns
        .switch_object
        .as_ref()
        .map(|switch| switch.bucket.0.clone());
    let bucket = bucket.unwrap_or_default();
    world.cloud().s3.block_public_access(&bucket, true);
    tokio::time::sleep(HOUR / 4).await;
    world.cloud().s3.block_public_access(&bucket, false);
    tokio::time::sleep(HOUR / 6).await;
    world
}

/// Alarms start nothing, and one is raised.
async fn alarm_refused() -> World {
    let world = World::watched(|plan| *plan = usual()).await;
    let switch =
        json!({ "on": false, "by": ON_CALL, "at": "2026-01-06T02:55:00Z", "reason": "the network is being moved" });
    let switch = serde_json::from_value(switch).unwrap();
    world
        .record
        .set_automation(&world.plan.workload, &switch)
        .await
        .unwrap();
    world.cloud().take_region_away(PRIMARY);
    tokio::time::sleep(HOUR).await;
    world
}

/// People are asked and sleep; the alarm stands, and they are asked again.
async fn not_answered() -> World {
    let world = World::watched(|plan| *plan = asking(usual())).await;
    world.cloud().take_region_away(PRIMARY);
    tokio::time::sleep(HOUR).await;
    world
}

/// A recovery of another scenario, which runs in a Region.
pub const HOLDER: &str = "20260106T025000Z-database-corruption-abcdef";

/// Its execution there.
pub fn holders_execution(region: &str) -> String {
    format!("arn:aws:states:{region}:123456789012:execution:recovery:holder")
}

/// The primary Region serves no customers while a recovery of another scenario runs in `region`; half an hour later that is over.
async fn behind(region: &str) -> World {
    let world = World::watched(|plan| *plan = usual()).await;
    hold_lock(&world, region).await;
    world.cloud().take_away(PRIMARY, Reach::Customers);
    tokio::time::sleep(HOUR / 2).await;
    release_lock(&world, region).await;
    tokio::time::sleep(HOUR / 2).await;
    world
}

/// A recovery of another scenario runs in a Region from now on.
pub async fn hold_lock(world: &World, region: &str) {
    let record = Record::in_region(&world.simulation.aws("test"), region);
    let (now, execution) = (world.cloud().now(), holders_execution(region));
    let claim = Claim {
        mode: Mode::Rehearsal,
        workload: &world.plan.workload,
        execution: &execution,
        recovery: HOLDER,
        at: now,
    };
    record.claim_lock(&claim, None).await.unwrap();
    let header = json!({
        "id": HOLDER, "workload": world.plan.workload, "scenario": "database-corruption", "mode": "rehearsal",
        "trigger": { "kind": "person", "by": ON_CALL, "at": now }, "plan_sha256": "0",
        "objectives": { "rto": { "target": "1h", "maximum": "4h" } }, "opened_at": now, "execution": execution,
    });
    record.open(&serde_json::from_value(header).unwrap()).await.unwrap();
    let machine = format!("arn:aws:states:{region}:123456789012:stateMachine:recovery");
    let running = ExecutionRecord::running(&machine, "holder", "{}", now);
    world.cloud().executions.put(&execution, running);
}

/// It holds the lock no more, as after its execution was stopped.
pub async fn release_lock(world: &World, region: &str) {
    let record = Record::in_region(&world.simulation.aws("test"), region);
    let execution = holders_execution(region);
    let released = record.release_lock(&world.plan.workload, &execution);
    assert!(released.await.unwrap());
}

/// Two people are asked whatever the evidence.
pub fn asking(mut plan: Plan) -> Plan {
    for policy in plan.scenarios.values_mut() {
        policy.approvals = 2;
    }
    plan
}
