//! The step that empties caches, on real Redis servers with TLS and a password.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rehearsal::deployment::STEPS;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::dial::Sockets;
use shared::error::{ErrorKind, StepError};
use shared::plan::Plan;
use shared::record::{Claim, Record};
use shared::recovery::{Mode, RecoveryRef};
use simulator::aws::door::Door;
use simulator::clock::Clock;
use simulator::cloud::Cloud;
use simulator::timings::Timings;
use simulator::workload::Platform;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::redis_servers::{Folder, PASSWORD, Redis};

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:cache-AbCdEf";
const STEP: &str = "flush-cache";

/// The step in a simulated AWS, with a real network, and a recovery that holds the lock.
struct World {
    cloud: Arc<Cloud>,
    aws: Aws,
    recovery: RecoveryRef,
}

impl World {
    async fn new(network: Sockets) -> Self {
        let plan: Plan = serde_saphyr::from_str(include_str!("../../../radiant.plan.yaml")).unwrap();
        let clock = Clock::starting_at("2026-01-06T03:00:00Z".parse().unwrap());
        // What the simulated AWS takes is not what is looked at here.
        let timings = Timings::built_in().unwrap().scaled(0.02);
        let cloud = Cloud::new(&plan.account, 1, clock, timings);
        let platform = Platform::deploy(&cloud, &plan).await.unwrap();
        cloud.secretsmanager.put(&cloud, SECRET, PASSWORD);
        let door = Door::new(&cloud, &platform, STEP, &plan.regions.primary.region);
        let client = SharedHttpClient::new(door.clone());
        let aws = door.aws_on(Arc::new(network), client, &plan.automation.table);
        let claim = Claim {
            workload: &plan.workload,
            execution: "arn:execution",
            recovery: "one",
            mode: Mode::Rehearsal,
            at: aws.now(),
        };
        let record = Record::new(&aws);
        record.claim_lock(&claim, None).await.unwrap();
        let token = record.lock(&plan.workload).await.unwrap().unwrap().token;
        let recovery = json!({ "id": "one", "workload": plan.workload, "token": token, "execution": "arn:execution" });
        Self {
            cloud,
            aws,
            recovery: serde_json::from_value(recovery).unwrap(),
        }
    }

    async fn run(&self, endpoint: &str, keys: Value, empties: bool) -> Result<Value, StepError> {
        let step = STEPS.iter().find(|step| step.name == STEP).unwrap();
        let cache = json!({
            "id": "shop",
            "empty": { "endpoint": endpoint, "secret": SECRET, "keys": keys },
        });
        let input = json!({ "recovery": self.recovery, "caches": [cache], "empties": empties });
        (step.make)(&self.aws).invoke(input).await
    }

    async fn look(&self, endpoint: &str, keys: Value) -> Value {
        self.run(endpoint, keys, false).await.unwrap()
    }

    async fn empty(&self, endpoint: &str, keys: Value) -> Result<Value, StepError> {
        self.run(endpoint, keys, true).await
    }
}

fn prefix() -> Value {
    json!({ "prefix": "shop[1]:" })
}

/// Why a cache cannot be emptied.
#[track_caller]
fn blocked(looked: &Value, why: &str) {
    let blockers = looked["blockers"].to_string();
    assert!(blockers.contains(why), "{looked:#}");
    assert!(!looked.to_string().contains(PASSWORD), "{looked:#}");
}

#[tokio::test]
async fn the_prefix_is_gone_and_everything_else_is_there() {
    let folder = Folder::new();
    let server = Redis::start(&folder, &[]).await;
    server.fill(&folder, "shop[1]:", 5000).await;
    server.fill(&folder, "shop1:", 700).await;
    server.fill(&folder, "session:", 300).await;
    let world = World::new(folder.network()).await;

    let looked = world.look(&server.endpoint(), prefix()).await;
    assert_eq!((&looked["blockers"], &looked["warnings"]), (&json!([]), &json!([])));
    assert_eq!(server.size(&folder).await, 6000, "a look changes nothing");

    let emptied = world.empty(&server.endpoint(), prefix()).await.unwrap();
    assert_eq!(
        (&emptied["caches"], &emptied["removed"]),
        (&json!(["shop"]), &json!(5000))
    );
    assert_eq!(server.size(&folder).await, 1000);
    let left: Vec<String> = server.ask(&folder, &["KEYS", r"shop\[1\]:*"]).await;
    assert_eq!(left, [""; 0]);
    let again = world.empty(&server.endpoint(), prefix()).await.unwrap();
    assert_eq!(again["removed"], json!(0));
    assert_eq!(server.size(&folder).await, 1000);
}

#[tokio::test]
async fn everything_goes_or_an_epoch_begins() {
    let folder = Folder::new();
    let server = Redis::start(&folder, &[]).await;
    server.fill(&folder, "shop:", 100).await;
    let world = World::new(folder.network()).await;
    let epoch = json!({ "epoch": "shop:epoch" });

    assert_eq!(
        world.look(&server.endpoint(), epoch.clone()).await["blockers"],
        json!([])
    );
    assert_eq!(
        world.look(&server.endpoint(), json!("all")).await["blockers"],
        json!([])
    );
    assert_eq!(server.size(&folder).await, 100, "a look changes nothing");
    world.empty(&server.endpoint(), epoch).await.unwrap();
    let begun: String = server.ask(&folder, &["GET", "shop:epoch"]).await;
    assert_eq!((begun.as_str(), server.size(&folder).await), ("one", 101));
    world.empty(&server.endpoint(), json!("all")).await.unwrap();
    assert_eq!(server.size(&folder).await, 0);
}

#[tokio::test]
async fn a_renamed_command_is_named_before_anything_is_changed() {
    let folder = Folder::new();
    let server = Redis::start(&folder, &["--rename-command", "FLUSHALL", ""]).await;
    server.fill(&folder, "shop:", 10).await;
    let world = World::new(folder.network()).await;
    let looked = world.look(&server.endpoint(), json!("all")).await;
    blocked(&looked, "it does not know FLUSHALL");
    let error = world.empty(&server.endpoint(), json!("all")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("renamed or blocked"), "{error}");
    assert_eq!(server.size(&folder).await, 10);
}

#[tokio::test]
async fn who_may_not_is_told_what_to_allow() {
    let folder = Folder::new();
    let server = Redis::start(&folder, &[]).await;
    let allow =
        |rules: &'static [&'static str]| [&["ACL", "SETUSER", "dr", "on", ">dr-password", "resetkeys"], rules].concat();
    // In a pattern of Redis, brackets are taken literally behind a backslash.
    let rules = &[r"~shop\[1\]:*", "-@all", "+info", "+scan", "+multi", "+discard"];
    let () = server.ask(&folder, &allow(rules)).await;
    let world = World::new(folder.network()).await;
    let of_user = json!({ "username": "dr", "password": "dr-password" });
    world
        .cloud
        .secretsmanager
        .put(&world.cloud, SECRET, &of_user.to_string());
    blocked(
        &world.look(&server.endpoint(), prefix()).await,
        "may not run UNLINK there",
    );
    let () = server.ask(&folder, &["ACL", "SETUSER", "dr", "+unlink"]).await;
    server.fill(&folder, "shop[1]:", 10).await;
    assert_eq!(world.look(&server.endpoint(), prefix()).await["blockers"], json!([]));
    assert_eq!(
        world.empty(&server.endpoint(), prefix()).await.unwrap()["removed"],
        json!(10)
    );
    blocked(
        &world.look(&server.endpoint(), json!({ "prefix": "other:" })).await,
        "may not run",
    );

    world.cloud.secretsmanager.put(&world.cloud, SECRET, "wrong");
    blocked(
        &world.look(&server.endpoint(), prefix()).await,
        "does not accept the password",
    );
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    let server = Redis::start(&folder, &[]).await;
    let world = World::new(other.network()).await;
    blocked(
        &world.look(&server.endpoint(), prefix()).await,
        "certificate is not trusted",
    );
}

#[tokio::test]
async fn a_replica_is_no_place_to_empty() {
    let folder = Folder::new();
    let server = Redis::start(&folder, &["--replicaof", "127.0.0.1 1"]).await;
    let world = World::new(folder.network()).await;
    for keys in [prefix(), json!("all"), json!({ "epoch": "shop:epoch" })] {
        let looked = world.look(&server.endpoint(), keys).await;
        assert!(looked["blockers"].to_string().contains("is a replica"), "{looked:#}");
    }
}

/// A way to a server on which connections end after some bytes, the first ones; gives its address, and how many have ended.
async fn cut(server: &Redis, after: usize, times: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (cuts, to) = (Arc::new(AtomicUsize::new(0)), server.endpoint());
    let counted = Arc::clone(&cuts);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (counted, to) = (Arc::clone(&counted), to.clone());
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                let (mut sent, mut answered) = (vec![0; 16_384], vec![0; 16_384]);
                let mut passed = 0;
                loop {
                    let (bytes, to) = tokio::select! {
                        read = client.read(&mut sent) => (&sent[..read.unwrap_or(0)], &mut server),
                        read = server.read(&mut answered) => (&answered[..read.unwrap_or(0)], &mut client),
                    };
                    passed += bytes.len();
                    let ends = passed > after && counted.load(Ordering::SeqCst) < times;
                    if ends {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    if ends || bytes.is_empty() || to.write_all(bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, cuts)
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_is_made_again() {
    let folder = Folder::new();
    let server = Redis::start(&folder, &[]).await;
    server.fill(&folder, "shop[1]:", 5000).await;
    server.fill(&folder, "session:", 300).await;
    let world = World::new(folder.network()).await;
    // What asks which servers there are is shorter.
    let (address, cuts) = cut(&server, 60_000, 3).await;
    let emptied = world.empty(&address, prefix()).await.unwrap();
    assert_eq!(emptied["caches"], json!(["shop"]));
    assert_eq!(cuts.load(Ordering::SeqCst), 3);
    assert_eq!(server.size(&folder).await, 300);

    server.fill(&folder, "shop[1]:", 5000).await;
    let (address, _) = cut(&server, 60_000, usize::MAX).await;
    let error = world.empty(&address, prefix()).await.unwrap_err();
    assert!(
        error.kind.is_retryable() && error.message.contains("connection was lost"),
        "{error}"
    );
}

#[tokio::test]
async fn every_primary_of_a_cluster_is_emptied() {
    let folder = Folder::new();
    let servers = Redis::cluster(&folder, 3).await;
    let mut kept = Vec::new();
    for server in &servers {
        let ours = server.fill_own(&folder, "shop[1]:", 300).await;
        let others = server.fill_own(&folder, "session:", 300).await;
        assert!(ours > 0 && others > 0);
        kept.push(others);
    }
    let world = World::new(folder.network()).await;
    let endpoint = servers[1].endpoint();
    let epoch = json!({ "epoch": "shop:epoch" });
    for keys in [prefix(), json!("all"), epoch.clone()] {
        assert_eq!(world.look(&endpoint, keys).await["blockers"], json!([]));
    }
    let emptied = world.empty(&endpoint, prefix()).await.unwrap();
    assert_eq!(emptied["removed"], json!(300));
    for (server, others) in servers.iter().zip(kept) {
        assert_eq!(server.size(&folder).await, others);
    }
    world.empty(&endpoint, epoch).await.unwrap();
    world.empty(&endpoint, json!("all")).await.unwrap();
    for server in &servers {
        assert_eq!(server.size(&folder).await, 0);
    }
}
