//! Accounts of recoveries that were played against the simulated AWS. The recorded ones, in `fixtures/`, are what the other
//! tests look at; here they are held against what the code writes today.

use std::fs;
use std::time::Duration;

use crate::common::{PRIMARY, RECOVERY, SECOND, THIRD, World, in_virtual_time, request};
use crate::made::{self, recorded};
use aws_sdk_s3::Client;
use report::{Account, Report};
use serde_json::{Value, json};
use shared::error::ErrorKind;
use shared::recovery::Outcome;
use write_report::WriteReport;

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

async fn account(world: &World) -> Account {
    let id = world.only_header().await.id;
    report::read(&world.record, &id).await.unwrap().unwrap()
}

/// Two different people approve what is asked next.
async fn approve(world: &World, reason: Option<&str>) {
    let question = world.question().await;
    for who in [SECOND, THIRD] {
        tokio::time::sleep(minutes(2)).await;
        let (status, answer) = world.answer(&question, who, "approve", reason).await;
        assert!(matches!(status, 200 | 202), "{answer}");
    }
}

/// A Region is lost, and nobody has to be asked.
async fn recovered() -> Account {
    let world = World::watched(|_| {}).await;
    world.cloud().take_region_away(PRIMARY);
    world.wait().await;
    account(&world).await
}

/// No replication lag is known: two people approve, and say why.
async fn approved() -> Account {
    let world = World::watched(|_| {}).await;
    let global = &world.plan.database.global_cluster;
    world.cloud().rds.publish_replication_lag(global, false);
    tokio::time::sleep(minutes(30)).await;
    world.cloud().take_region_away(PRIMARY);
    approve(&world, Some("the orders are in the queue as well")).await;
    world.wait().await;
    account(&world).await
}

/// A person wants a failover although everything works, and another one declines.
async fn declined() -> Account {
    let world = World::good_times(|_| {}).await;
    world.start("insisting", request("failover"));
    let question = world.question().await;
    tokio::time::sleep(minutes(3)).await;
    world.answer(&question, SECOND, "decline", Some("it works")).await;
    world.wait().await;
    account(&world).await
}

/// The step that moves the name lacks a permission: the recovery fails, and then is gone on with.
async fn failed_and_resumed() -> [Account; 2] {
    let world = World::watched(|_| {}).await;
    let broken =
        "s3:PutObject on the switch object: AccessDenied; give the function's role this action on this resource";
    world
        .simulation
        .break_function(RECOVERY, "switch-dns", "Denied", broken)
        .unwrap();
    world.cloud().take_region_away(PRIMARY);
    world.wait().await;
    let failed = account(&world).await;
    tokio::time::sleep(minutes(7)).await;
    world.simulation.mend_function(RECOVERY, "switch-dns").unwrap();
    world.resume(&failed.header.id).await.unwrap();
    world.wait().await;
    [failed, account(&world).await]
}

/// One of two people has approved, and the other one has not answered yet.
async fn running() -> Account {
    let world = World::watched(|_| {}).await;
    let global = &world.plan.database.global_cluster;
    world.cloud().rds.publish_replication_lag(global, false);
    tokio::time::sleep(minutes(30)).await;
    world.cloud().take_region_away(PRIMARY);
    let question = world.question().await;
    tokio::time::sleep(minutes(2)).await;
    world
        .answer(
            &question,
            SECOND,
            "approve",
            Some("the orders are in the queue as well"),
        )
        .await;
    account(&world).await
}

/// Everything that is recorded, played today.
async fn played() -> Vec<(&'static str, Account)> {
    let [failed, resumed] = failed_and_resumed().await;
    vec![
        ("recovered", recovered().await),
        ("approved", approved().await),
        ("declined", declined().await),
        ("failed", failed),
        ("resumed", resumed),
        ("running", running().await),
    ]
}

/// What of an account tells one recovery from another, whatever its times are.
fn outline(account: &Account) -> Value {
    let closings = account.endings().map(|closing| {
        let parts: Vec<&String> = closing.evidence.as_object().unwrap().keys().collect();
        json!([closing.outcome, closing.met, parts])
    });
    let answers = account
        .questions
        .iter()
        .map(|asked| (&asked.ask.id, asked.answers.len(), asked.settled.is_some()));
    let mut undo: Vec<_> = account
        .undo
        .iter()
        .map(|undo| (&undo.step, undo.taken_back_by.is_some()))
        .collect();
    undo.dedup();
    let mut states: Vec<&String> = account.timeline.iter().map(|step| &step.state).collect();
    states.sort();
    json!({
        "states": states, "closings": closings.collect::<Vec<_>>(), "answers": answers.collect::<Vec<_>>(), "undo": undo,
        "started": account.started.is_some(), "resumed": account.header.resumed.len(), "told": account.announced.len(),
        "decided": account.decision.is_some(),
    })
}

/// Whether it names what ran it, by which plan, and when and in which request who was told and who answered.
fn auditable(account: &Account) -> bool {
    let mut answers = account.questions.iter().flat_map(|asked| &asked.answers);
    account.header.automation.is_some()
        && account.plan.is_some()
        && !account.announced.is_empty()
        && account.announced.iter().all(|told| told.at.is_some())
        && answers.all(|answer| answer.request_id.is_some())
}

#[test]
fn what_is_recorded_is_what_the_code_writes_today() {
    in_virtual_time(async {
        for (name, today) in played().await {
            let text = serde_json::to_string(&today).unwrap();
            assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), today, "{name}");
            assert!(report::html(&today).contains("critical path"), "{name}");
            assert!(auditable(&today), "{name}: {text}");
            assert!(auditable(&recorded(name)), "{name}");
            assert_eq!(
                outline(&recorded(name)),
                outline(&today),
                "{name}: record the fixtures anew, see below"
            );
        }
    });
}

#[test]
fn what_is_read_is_the_same_each_time_and_holds_no_secret() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("insisting", request("failover"));
        world.question().await;
        let one = account(&world).await;
        let id = one.header.id.clone();
        let token = world.record.questions(&id).await.unwrap().remove(0).task_token;
        assert!(!token.secret().is_empty());
        let text = serde_json::to_string(&one).unwrap();
        assert!(!text.contains(token.secret()) && !text.contains("task_token"), "{text}");
        assert!(one.decision.is_some() && !text.contains("\"pk\""), "{text}");
        assert_eq!(text, serde_json::to_string(&account(&world).await).unwrap());
        assert_eq!(
            report::read(&world.record, "20260106T030000Z-region-failure-000000")
                .await
                .unwrap(),
            None
        );
    });
}

#[test]
fn whoever_took_the_lock_from_a_recovery_is_read() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("first", request("failover"));
        let question = world.question().await;
        let first = world.only_header().await.id;
        let mut other = request("failover");
        other["take_over"] = json!(first);
        world.start("second", other);
        let take_over = world.nth_question(1).await;
        for who in [SECOND, THIRD] {
            world
                .answer(&take_over, who, "approve", Some("the first one hangs"))
                .await;
        }
        let asked_again = world.nth_question(2).await;
        for who in [SECOND, THIRD] {
            world.answer(&question, who, "approve", None).await;
        }
        world.answer(&asked_again, SECOND, "decline", None).await;
        world.wait().await;
        let account = report::read(&world.record, &first).await.unwrap().unwrap();
        assert_eq!(account.header.ended().unwrap().outcome, Outcome::Preempted);
        let headers = world.headers().await;
        assert_eq!(account.taken_over_by.unwrap().id, headers.last().unwrap().id);
    });
}

/// What the step wrote, under the key of its answer.
async fn written(world: &World, place: &Value) -> String {
    let key = place.as_str().unwrap().strip_prefix("s3://shop-reports/").unwrap();
    let aws = world.simulation.aws_in("test", RECOVERY);
    let got = Client::new(aws.config())
        .get_object()
        .bucket("shop-reports")
        .key(key)
        .send()
        .await
        .unwrap();
    String::from_utf8(got.body.collect().await.unwrap().to_vec()).unwrap()
}

#[test]
fn a_report_is_written_where_it_is_said_to_be_and_the_same_each_time() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().s3.create_bucket(RECOVERY, "shop-reports", &[]);
        world.cloud().take_region_away(PRIMARY);
        world.wait().await;
        let header = world.only_header().await;
        let recovery =
            json!({ "id": header.id, "workload": header.workload, "token": 1, "execution": header.execution });
        let input = |bucket: &str| {
            json!({
                "recovery": recovery, "state": { "Name": "WriteReport" },
                "reports": { "region": RECOVERY, "bucket": bucket, "prefix": "reports/" },
            })
        };
        let step = world.step::<WriteReport>();
        let first = step.invoke(input("shop-reports")).await.unwrap();
        let (html, data) = (
            written(&world, &first["html"]).await,
            written(&world, &first["json"]).await,
        );
        assert!(
            html.starts_with("<!DOCTYPE html>") && html.contains("The service answers again since"),
            "{html}"
        );
        let report: Report = serde_json::from_str(&data).unwrap();
        assert_eq!(report.account.header, header);
        // The second time the timeline has a line of the step itself.
        tokio::time::sleep(minutes(1)).await;
        assert_eq!(step.invoke(input("shop-reports")).await.unwrap(), first);
        assert_eq!(written(&world, &first["html"]).await, html);
        assert_eq!(written(&world, &first["json"]).await, data);
        let error = step.invoke(input("no-such-bucket")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(
            error.message.contains("s3:PutObject on s3://no-such-bucket/reports/"),
            "{error}"
        );
    });
}

#[test]
#[ignore = "records the fixtures anew: cargo test -p report --test all recorded::record -- --ignored"]
fn record() {
    in_virtual_time(async {
        for (name, account) in played().await {
            let text = serde_json::to_string_pretty(&account).unwrap();
            fs::write(made::file(&format!("{name}.json")), text + "\n").unwrap();
        }
    });
}
