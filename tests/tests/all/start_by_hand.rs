//! A person's start: who it is comes from AWS, and the same request twice starts once.

use std::time::Duration;

use serde_json::{Value, json};
use shared::recovery::Outcome;
use shared::request::TriggerKind;
use shared::scenario::Scenario;

use crate::common::{self, ON_CALL, PRIMARY, RECOVERY, SECOND, THIRD, World, in_virtual_time, request};

const FUNCTION: &str = "start-by-hand";
const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";

/// The primary is lost, and the plan asks one person for what it has no evidence for.
async fn lost() -> World {
    let world = World::good_times(|plan| {
        let policy = plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap();
        policy.approvals_without_evidence = 1;
    })
    .await;
    world.cloud().take_region_away(PRIMARY);
    // By then the loss is known, and the question stays the same.
    tokio::time::sleep(Duration::from_secs(300)).await;
    world
}

fn asked(id: &str) -> Value {
    json!({ "id": id, "machine": MACHINE, "scenario": "region-failure", "wants": { "intent": "failover" }, "always_ask": true })
}

impl World {
    async fn asks_to_start(&self, who: &str, asked: &Value) -> (u16, Value) {
        let asked = asked.to_string();
        let posted = self.simulation.post_to_function(RECOVERY, FUNCTION, who, &asked);
        let (status, answer) = posted.await.unwrap();
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }
}

#[test]
fn who_started_is_known_and_one_other_person_is_enough() {
    in_virtual_time(async {
        let world = lost().await;
        let (status, answer) = world.asks_to_start(ON_CALL, &asked("one")).await;
        assert_eq!((status, &answer["result"]), (202, &json!("started")), "{answer}");
        assert_eq!(
            answer["execution"],
            format!("{}:region-failure-one", MACHINE.replace("stateMachine", "execution"))
        );
        let question = world.question().await;
        let expected = format!("started by {ON_CALL}, whose approval alone is not enough");
        assert!(question.text.contains(&expected), "{}", question.text);
        let answer = async |who| world.answer(&question, who, "approve", Some("customers wait")).await;
        assert_eq!(answer(ON_CALL).await.0, 202);
        assert_eq!(answer(SECOND).await.0, 200);
        world.wait().await;
        let header = world.only_header().await;
        assert_eq!(
            (header.trigger.kind, header.trigger.by.as_str()),
            (TriggerKind::Person, ON_CALL)
        );
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    });
}

/// Somebody starts an execution in the console under the name that they will ask for, and in somebody else's name.
#[test]
fn an_execution_that_was_there_before_does_not_become_the_persons() {
    in_virtual_time(async {
        let world = lost().await;
        let mut forged = request("failover");
        forged["trigger"]["by"] = json!(THIRD);
        forged["always_ask"] = json!(true);
        world.start("region-failure-one", forged);
        assert_eq!(world.asks_to_start(ON_CALL, &asked("one")).await.0, 202);
        let text = world.question().await.text;
        assert!(
            text.contains("which AWS does not confirm. Two people must approve"),
            "{text}"
        );
    });
}

#[test]
fn the_same_id_starts_once_and_is_nobody_elses() {
    in_virtual_time(async {
        let world = lost().await;
        let (_, first) = world.asks_to_start(ON_CALL, &asked("one")).await;
        let (status, again) = world.asks_to_start(ON_CALL, &asked("one")).await;
        assert_eq!((status, again), (202, first));
        let (status, others) = world.asks_to_start(SECOND, &asked("one")).await;
        assert_eq!((status, &others["result"]), (409, &json!("taken")), "{others}");
        world.question().await;
        assert_eq!(world.headers().await.len(), 1);
    });
}

/// The function dies at any of its calls; asked again with the same id there is one execution, and its starter is known.
#[test]
fn killed_anywhere_asking_again_starts_once() {
    for calls in 1.. {
        let mut lived = false;
        in_virtual_time(async {
            let world = lost().await;
            world.simulation.kill_function(RECOVERY, FUNCTION, calls).unwrap();
            let (status, _) = world.asks_to_start(ON_CALL, &asked("one")).await;
            lived = !world.simulation.was_killed(RECOVERY, FUNCTION);
            assert_eq!(status, if lived { 202 } else { 502 }, "after call {calls}");
            world.simulation.let_live(RECOVERY, FUNCTION).unwrap();
            assert_eq!(
                world.asks_to_start(ON_CALL, &asked("one")).await.0,
                202,
                "after call {calls}"
            );
            let text = world.question().await.text;
            assert!(
                text.contains("whose approval alone is not enough"),
                "after call {calls}: {text}"
            );
            assert_eq!(world.headers().await.len(), 1, "after call {calls}");
        });
        if lived {
            assert!(calls > 3, "it makes more calls than that");
            break;
        }
    }
}

#[test]
fn what_cannot_be_started_is_refused_and_nothing_is_kept() {
    in_virtual_time(async {
        let world = common::World::good_times(|_| {}).await;
        let with = |field: &str, value: Value| {
            let mut asked = asked("one");
            asked[field] = value;
            asked
        };
        let there = MACHINE.replace("us-west-2", "us-east-1");
        let elsewhere = "arn:aws:iam::210987654321:user/third";
        for (who, asked, status) in [
            (elsewhere, asked("one"), 403),
            (ON_CALL, with("machine", json!(there)), 400),
            (ON_CALL, with("machine", json!("recovery")), 400),
            (ON_CALL, with("wants", json!({ "intent": "win" })), 400),
            (ON_CALL, with("trigger", json!({ "by": THIRD })), 400),
            (ON_CALL, with("id", json!("A#")), 400),
            (ON_CALL, with("scenario", json!("az-failure")), 409),
        ] {
            let (found, body) = world.asks_to_start(who, &asked).await;
            assert_eq!(found, status, "{who} {asked}: {body}");
        }
        assert_eq!(world.record.start_decisions(&world.plan.workload).await.unwrap(), []);
        assert_eq!(world.count(FUNCTION, "StartExecution"), 0);
        world.cloud().take_region_away(RECOVERY);
    });
}
