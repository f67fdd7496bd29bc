//! `start-recovery` against the simulated AWS: alone, as far as it refuses, and with everything deployed that it starts.
//! Each refusal is kept and told, and the same event is decided on once, wherever the function dies.

use std::time::Duration;

use crate::common::plays::asking;
use crate::common::{ON_CALL, PRIMARY, RECOVERY, SECOND, World, in_virtual_time, killed_after, request};
use serde_json::{Value, json};
use shared::plan::{Alarm, Plan};
use shared::record::{Header, StartDecision, Started, Switch};
use shared::recovery::Outcome;
use shared::request::TriggerKind;
use shared::scenario::Scenario;
use shared::step::Step;
use simulator::aws::cloudwatch::{Metric, StateValue};
use simulator::aws::states::ExecutionRecord;
use start_recovery::StartRecovery;

const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:by-hand";
const STEP: &str = StartRecovery::NAME;
/// The plan's alarm that starts a recovery by itself.
const ALARM: &str = "radiant-unhealthy-from-outside";
/// Another one, which a test adds.
const SECOND_ALARM: &str = "radiant-no-orders";

fn input(event: &Value) -> Value {
    let machine = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";
    json!({ "event": event, "machine": machine })
}

/// What a fresh instance of the step answers.
async fn decided(world: &World, event: &Value) -> Value {
    world.step::<StartRecovery>().invoke(input(event)).await.unwrap()
}

/// An event of AWS's documentation, about an alarm that no plan binds.
fn sample() -> Value {
    serde_json::from_str(include_str!(
        "../../fixtures/events/cloudwatch-alarm-single-metric.json"
    ))
    .unwrap()
}

/// The same, of an alarm of the standby Region that has just gone off.
pub fn event_of(world: &World, alarm: &str) -> Value {
    let now = world.cloud().now();
    let mut event = sample();
    event["region"] = json!(RECOVERY);
    event["time"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    event["resources"] = json!([format!("arn:aws:cloudwatch:{RECOVERY}:123456789012:alarm:{alarm}")]);
    event["detail"]["alarmName"] = json!(alarm);
    event["detail"]["state"]["timestamp"] = json!(now.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string());
    event
}

fn reason(answer: &Value) -> &str {
    assert_eq!(answer["decision"]["decision"]["what"], "refused", "{answer}");
    answer["decision"]["decision"]["reason"].as_str().unwrap()
}

/// ARN of the execution that was started.
fn started(answer: &Value) -> &str {
    assert_eq!(answer["decision"]["decision"]["what"], "started", "{answer}");
    answer["decision"]["decision"]["execution"].as_str().unwrap()
}

async fn decisions(world: &World) -> Vec<StartDecision> {
    world.record.start_decisions(&world.plan.workload).await.unwrap()
}

/// A recovery by hand that was opened an hour ago and never closed.
async fn open(world: &World, status: &'static str) {
    let header = json!({
        "id": "20260106T015500Z-region-failure-abcdef", "workload": world.plan.workload, "scenario": "region-failure",
        "mode": "rehearsal", "wants": { "intent": "decide" },
        "trigger": { "kind": "person", "by": ON_CALL, "at": "2026-01-06T01:55:00Z" },
        "plan_sha256": "0", "objectives": { "rto": { "target": "1h", "maximum": "4h" } },
        "opened_at": "2026-01-06T01:55:00Z", "execution": EXECUTION,
    });
    let header: Header = serde_json::from_value(header).unwrap();
    world.record.open(&header).await.unwrap();
    let mut execution = ExecutionRecord::running("arn:any", "any", "{}", "2026-01-06T01:55:00Z".parse().unwrap());
    execution.status = status;
    world.cloud().executions.put(EXECUTION, execution);
}

/// Alarms start nothing by themselves.
async fn switch_off(world: &World) {
    let off = json!({ "on": false, "by": ON_CALL, "at": world.cloud().now(), "reason": "a move" });
    let off: Switch = serde_json::from_value(off).unwrap();
    world.record.set_automation(&world.plan.workload, &off).await.unwrap();
}

#[test]
fn a_refusal_is_kept_and_told_once() {
    in_virtual_time(async {
        let world = World::bare().await;
        let first = decided(&world, &sample()).await;
        assert!(
            reason(&first).contains("no scenario is bound to alarm 'ServerCpuTooHigh'"),
            "{first}"
        );
        assert_eq!(first["again"], false);
        let id = first["decision"]["id"].as_str().unwrap();
        let kept = world
            .record
            .start_decision(&world.plan.workload, id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(serde_json::to_value(&kept).unwrap(), first["decision"]);

        tokio::time::sleep(Duration::from_secs(60)).await;
        let second = decided(&world, &sample()).await;
        assert_eq!(
            (&second["decision"], &second["again"]),
            (&first["decision"], &json!(true))
        );
        let told = world.messages();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].subject, "[rehearsal] radiant: an alarm started no recovery");
        assert!(told[0].text.contains(reason(&first)), "{}", told[0].text);
    });
}

#[test]
fn what_is_no_event_at_all_is_refused_kept_and_told() {
    in_virtual_time(async {
        let world = World::bare().await;
        for (count, event) in [json!(null), json!("x"), json!([1]), json!({})].iter().enumerate() {
            let answer = decided(&world, event).await;
            assert!(!reason(&answer).is_empty());
            assert_eq!(world.messages().len(), count + 1);
            assert_eq!(decided(&world, event).await["again"], true);
        }
        assert_eq!(world.messages().len(), 4);
    });
}

#[test]
fn a_refusal_that_cannot_be_told_is_kept() {
    in_virtual_time(async {
        let mut world = World::bare().await;
        world.plan.regions.standby.topic = "there-is-none".to_owned();
        world.record.put_plan(&world.plan).await.unwrap();
        assert_eq!(decided(&world, &sample()).await["again"], false);
        assert_eq!(decided(&world, &sample()).await["again"], true);
    });
}

#[test]
fn a_recovery_runs_as_long_as_its_execution_does() {
    in_virtual_time(async {
        let world = World::bare().await;
        open(&world, "RUNNING").await;
        let answer = decided(&world, &event_of(&world, ALARM)).await;
        assert!(
            reason(&answer).contains("abcdef (region-failure) has been running since 2026-01-06T01:55:00Z"),
            "{answer}"
        );
    });
    in_virtual_time(async {
        let world = World::bare().await;
        open(&world, "ABORTED").await;
        let answer = decided(&world, &event_of(&world, ALARM)).await;
        assert!(reason(&answer).contains("(stopped); for 24h after that"), "{answer}");
    });
}

#[test]
fn the_switch_of_the_own_region_is_looked_at() {
    in_virtual_time(async {
        let world = World::bare().await;
        switch_off(&world).await;
        let answer = decided(&world, &event_of(&world, ALARM)).await;
        assert!(reason(&answer).contains("automation is off in us-west-2"), "{answer}");
    });
}

#[test]
fn an_input_with_a_field_too_many_is_not_taken() {
    in_virtual_time(async {
        let world = World::bare().await;
        for wrong in [
            json!({ "event": sample() }),
            json!({ "event": sample(), "machine": "arn", "more": 1 }),
            json!({ "event": sample() }),
        ] {
            let error = world.step::<StartRecovery>().invoke(wrong).await.unwrap_err();
            assert_eq!(error.kind, shared::error::ErrorKind::InvalidInput, "{error}");
        }
    });
}

#[test]
fn the_alarms_event_starts_one_recovery() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        world.wait().await;
        let header = world.only_header().await;
        assert_eq!(header.closing.as_ref().unwrap().outcome, Outcome::Recovered);
        assert_eq!(header.trigger.kind, TriggerKind::Alarm);
        assert!(header.trigger.by.ends_with(ALARM), "{}", header.trigger.by);
        let decisions = decisions(&world).await;
        let execution = header.execution.clone();
        assert_eq!(decisions.len(), 1);
        assert_eq!(decisions[0].decision, Started::Started { execution });
        assert_eq!(world.recovery_arns(), [header.execution]);
        assert_eq!(world.cloud().events.failures(), [""; 0]);
    });
}

/// EventBridge delivers at least once.
#[test]
fn an_event_that_is_delivered_twice_starts_one_recovery() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let event = event_of(&world, ALARM);
        for _ in 0..2 {
            world.cloud().events.publish(world.cloud(), RECOVERY, event.clone());
        }
        world.wait().await;
        world.cloud().events.publish(world.cloud(), RECOVERY, event);
        tokio::time::sleep(Duration::from_secs(60)).await;
        // Everything is healthy, so that there is nothing to do.
        assert_eq!(world.closing().await.outcome, Outcome::Refused);
        assert_eq!(decisions(&world).await.len(), 1);
        assert_eq!(world.recovery_arns().len(), 1);
        assert_eq!(world.cloud().events.failures(), [""; 0]);
    });
}

#[test]
fn the_same_event_twice_is_one_execution() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let event = event_of(&world, ALARM);
        let first = decided(&world, &event).await;
        assert_eq!(first["again"], false);
        for wait in [0, 3, 3600] {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            let again = decided(&world, &event).await;
            assert_eq!((started(&again), &again["again"]), (started(&first), &json!(true)));
        }
        world.wait().await;
        assert_eq!(world.only_header().await.execution, started(&first));
        assert_eq!(world.recovery_arns(), [started(&first)]);
        assert_eq!(world.count(STEP, "StartExecution"), 1);
    });
}

#[test]
fn the_same_event_twice_at_a_moment_is_one_execution() {
    for delay in [0, 5, 10, 20, 40, 80] {
        in_virtual_time(async {
            let world = World::good_times(|_| {}).await;
            let event = event_of(&world, ALARM);
            let second = async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                decided(&world, &event).await
            };
            let (first, second) = tokio::join!(decided(&world, &event), second);
            assert_eq!(first["decision"], second["decision"], "{delay} ms");
            let not_again = [&first, &second]
                .iter()
                .filter(|answer| answer["again"] == false)
                .count();
            assert_eq!(not_again, 1, "{delay} ms: {first} {second}");
            world.wait().await;
            assert_eq!(world.only_header().await.execution, started(&first));
            assert_eq!(world.recovery_arns(), [started(&first)], "{delay} ms");
        });
    }
}

/// Lambda invokes it again a minute later, when the recovery has been opened and runs.
#[test]
fn killed_after_any_call_and_run_again_one_recovery_is_started_and_kept() {
    let (mut before_it_started, mut after) = (0, 0);
    let mut lived = false;
    for (call, wait) in (1..).flat_map(|call| [(call, 0), (call, 60)]) {
        in_virtual_time(async {
            let world = World::good_times(|_| {}).await;
            if wait > 0 {
                // So that the recovery still runs when the step is run again.
                world.cloud().take_region_away(PRIMARY);
                tokio::time::sleep(Duration::from_secs(200)).await;
            }
            let event = event_of(&world, ALARM);
            let step = world.step::<StartRecovery>();
            lived = !killed_after(&world, STEP, call, step.invoke(input(&event))).await;
            match world.recovery_arns().len() {
                0 => before_it_started += 1,
                _ => after += 1,
            }
            tokio::time::sleep(Duration::from_secs(wait)).await;
            let again = decided(&world, &event).await;
            let at = format!("after call {call}, {wait} s later: {again}");
            let decisions = decisions(&world).await;
            assert_eq!(decisions.len(), 1, "{at}");
            assert_eq!(serde_json::to_value(&decisions[0]).unwrap(), again["decision"], "{at}");
            world.wait().await;
            assert_eq!(world.only_header().await.execution, started(&again), "{at}");
            assert_eq!(world.recovery_arns(), [started(&again)], "{at}");
        });
        if lived {
            break;
        }
    }
    assert!(before_it_started > 2 && after > 2, "{before_it_started} {after}");
}

#[test]
fn with_the_switch_off_the_alarm_starts_nothing_and_a_person_does() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        switch_off(&world).await;
        world.cloud().take_region_away(PRIMARY);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let decisions = decisions(&world).await;
        assert_eq!(decisions.len(), 1);
        let Started::Refused { reason } = &decisions[0].decision else {
            panic!("{decisions:?}");
        };
        assert!(
            reason.contains("automation is off in us-west-2") && reason.contains("a move"),
            "{reason}"
        );
        // The alarm's two events may be decided on at once: people are rather told twice than never.
        let mut subjects = world.subjects();
        subjects.dedup();
        assert_eq!(subjects, ["[rehearsal] radiant: an alarm started no recovery"]);
        assert!(world.messages()[0].text.contains(reason.as_str()));
        assert!(world.recovery_arns().is_empty() && world.headers().await.is_empty());
        assert!(world.is_unlocked().await);

        world.start("by-hand", request("decide"));
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    });
}

#[test]
fn an_alarm_after_a_recovery_waits_until_that_has_cooled_down() {
    in_virtual_time(async {
        let world = World::watched(|plan| {
            let policy = plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap();
            policy.cool_down = shared::plan::Duration::from_secs(900);
        })
        .await;
        world.cloud().take_region_away(PRIMARY);
        world.wait().await;
        let header = world.only_header().await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let early = decided(&world, &event_of(&world, ALARM)).await;
        let expected = format!("recovery {} ended at", header.id);
        assert!(
            reason(&early).contains(&expected) && reason(&early).contains("(recovered); for 15m after that"),
            "{early}"
        );
        assert_eq!(world.recovery_arns().len(), 1);
        assert_eq!(
            world.subjects().last().unwrap(),
            "[rehearsal] radiant: an alarm started no recovery"
        );
        tokio::time::sleep(Duration::from_secs(301)).await;
        let later = decided(&world, &event_of(&world, ALARM)).await;
        assert_ne!(started(&later), header.execution);
    });
}

/// Both say that the Region is lost. Where neither sees the other's recovery both start one, of which the second is
/// refused by the lock.
#[test]
fn of_two_alarms_at_the_same_moment_one_recovers() {
    let mut refused_at_once = 0;
    for delay in [0, 10, 50, 1_000, 10_000, 600_000] {
        in_virtual_time(async {
            let world = World::good_times(|plan| plan.alarms.push(second_alarm(plan))).await;
            world.cloud().take_region_away(PRIMARY);
            tokio::time::sleep(Duration::from_secs(200)).await;
            let second = async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                decided(&world, &event_of(&world, SECOND_ALARM)).await
            };
            let event = event_of(&world, ALARM);
            let (first, second) = tokio::join!(decided(&world, &event), second);
            world.wait().await;
            let headers = world.headers().await;
            let ended: Vec<_> = headers.iter().map(|header| header.closing.as_ref().unwrap()).collect();
            let recovered = ended
                .iter()
                .filter(|closing| closing.outcome == Outcome::Recovered)
                .count();
            assert_eq!(recovered, 1, "{delay} ms: {ended:?}");
            assert_eq!(world.calls_to("FailoverGlobalCluster"), 1, "{delay} ms");
            assert_eq!(decisions(&world).await.len(), 2);
            assert!(world.is_unlocked().await);
            let started = [&first, &second].map(|answer| answer["decision"]["decision"]["what"] == "started");
            if started == [true, true] {
                let refused = ended
                    .iter()
                    .find(|closing| closing.outcome == Outcome::Refused)
                    .unwrap();
                let reason = refused.reason.as_ref().unwrap();
                assert!(reason.contains("one recovery runs at a time"), "{delay} ms: {reason}");
            } else {
                assert_eq!(
                    (started, headers.len()),
                    ([true, false], 1),
                    "{delay} ms: {first} {second}"
                );
                let (busy, cooling) = ("one recovery runs at a time", "(recovered); for 24h after that");
                assert!(
                    [busy, cooling].iter().any(|why| reason(&second).contains(why)),
                    "{second}"
                );
                refused_at_once += 1;
            }
        });
    }
    assert!(refused_at_once >= 2, "{refused_at_once}");
}

fn second_alarm(plan: &Plan) -> Alarm {
    let mut alarm = plan.alarms.iter().find(|alarm| alarm.name == ALARM).unwrap().clone();
    alarm.name = SECOND_ALARM.to_owned();
    alarm
}

#[test]
fn an_event_of_another_alarm_starts_nothing() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let refused = decided(&world, &sample()).await;
        assert!(
            reason(&refused).contains("no scenario is bound to alarm 'ServerCpuTooHigh'"),
            "{refused}"
        );
        // The rule does not let it through either.
        world.cloud().events.publish(world.cloud(), RECOVERY, sample());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(decisions(&world).await.len(), 1);
        assert!(world.recovery_arns().is_empty() && world.headers().await.is_empty());
        assert_eq!(world.subjects(), ["[rehearsal] radiant: an alarm started no recovery"]);
        world.assert_as_before();
    });
}

/// The alarms that the plan's alarm is made of.
const PROBE: &str = "radiant-unhealthy-from-outside-probe";
const REPLICATION: &str = "radiant-unhealthy-from-outside-replication";
const MAINTENANCE: &str = "radiant-unhealthy-from-outside-maintenance";

fn set(world: &World, alarm: &str, state: StateValue) {
    let cloud = world.cloud();
    cloud
        .cloudwatch
        .set_alarm_state(cloud, RECOVERY, alarm, state, "maintenance of the network")
        .unwrap();
}

fn state(world: &World, alarm: &str) -> StateValue {
    world.cloud().cloudwatch.alarm_state(RECOVERY, alarm).unwrap()
}

/// The outside probe publishes nothing any more.
fn silence_the_probe(world: &World) {
    let broken = world
        .simulation
        .break_function(RECOVERY, "probe-health", "Denied", "it may not publish");
    broken.unwrap();
}

#[test]
fn in_a_maintenance_nothing_starts_people_are_told_why_and_after_it_what_still_stands_starts() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        set(&world, MAINTENANCE, StateValue::Alarm);
        // It stays set: nobody publishes its metric.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        world.cloud().take_region_away(PRIMARY);
        tokio::time::sleep(Duration::from_secs(900)).await;
        assert_eq!(state(&world, MAINTENANCE), StateValue::Alarm);
        assert_eq!(state(&world, ALARM), StateValue::Alarm);
        let kept = decisions(&world).await;
        let [
            StartDecision {
                decision: Started::Refused { reason },
                ..
            },
        ] = kept.as_slice()
        else {
            panic!("{kept:?}");
        };
        assert_eq!(
            reason,
            "the alarm's actions are suppressed by 'Alarm' ('radiant-unhealthy-from-outside-maintenance') in us-west-2; \
             if it is a disaster nonetheless, start the recovery by hand"
        );
        assert_eq!(world.subjects(), ["[rehearsal] radiant: an alarm started no recovery"]);
        assert!(world.messages()[0].text.contains(reason.as_str()));
        assert!(world.recovery_arns().is_empty() && world.headers().await.is_empty());

        set(&world, MAINTENANCE, StateValue::Ok);
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(world.recovery_arns().is_empty(), "it may yet go to OK");
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
        assert_eq!(decisions(&world).await.len(), 2);
    });
}

/// The event that starts it carries `WaitPeriod`; that the wait is over is the same event.
#[test]
fn the_wait_for_the_maintenance_alarm_starts_one_recovery_and_tells_nothing_more() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
        assert_eq!(decisions(&world).await.len(), 1);
        assert_eq!(world.recovery_arns().len(), 1);
        let subjects = world.subjects();
        assert!(
            subjects.iter().all(|subject| !subject.contains("no recovery")),
            "{subjects:?}"
        );
    });
}

#[test]
fn a_silent_probe_starts_nothing_and_the_loss_of_the_region_is_seen_and_people_decide() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        silence_the_probe(&world);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(state(&world, PROBE), StateValue::InsufficientData);
        assert_eq!(state(&world, REPLICATION), StateValue::Ok);
        assert_eq!(state(&world, ALARM), StateValue::Ok);
        assert!(decisions(&world).await.is_empty());

        world.cloud().take_region_away(PRIMARY);
        tokio::time::sleep(Duration::from_secs(480)).await;
        assert_eq!(state(&world, REPLICATION), StateValue::Alarm);
        // Nothing says since when customers are not served, and so how much would be lost.
        let question = world.question().await;
        for known in [
            "the expected loss is not measured",
            "outside-probe says nothing",
            "replication-lag says down",
        ] {
            assert!(question.text.contains(known), "{}", question.text);
        }
        for who in [ON_CALL, SECOND] {
            world.answer(&question, who, "approve", Some("it is dark")).await;
        }
        world.wait().await;
        let header = world.only_header().await;
        assert_eq!(header.trigger.kind, TriggerKind::Alarm);
        let closing = header.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(decisions(&world).await.len(), 1);
    });
}

#[test]
fn replication_that_falls_behind_while_customers_are_served_starts_nothing() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let global = world.plan.database.global_cluster.clone();
        let behind = Some(Duration::from_secs(1800));
        world.cloud().rds.set_replication_lag(world.cloud(), &global, behind);
        tokio::time::sleep(Duration::from_secs(1800)).await;
        assert_eq!(state(&world, REPLICATION), StateValue::Alarm);
        world.cloud().rds.publish_replication_lag(&global, false);
        tokio::time::sleep(Duration::from_secs(1800)).await;
        assert_eq!(state(&world, REPLICATION), StateValue::Alarm);
        assert_eq!(state(&world, PROBE), StateValue::Ok);
        assert_eq!(state(&world, ALARM), StateValue::Ok);
        assert!(decisions(&world).await.is_empty() && world.subjects().is_empty());
        assert!(world.recovery_arns().is_empty());
    });
}

/// The Region is lost, people are asked whatever the evidence, and the first question has just expired unanswered.
async fn unanswered() -> World {
    let world = World::watched(|plan| *plan = asking(plan.clone())).await;
    world.cloud().take_region_away(PRIMARY);
    world.wait().await;
    assert_eq!(world.closing().await.outcome, Outcome::Expired);
    world
}

/// Longer than until the schedule has looked.
const LOOKED_BY: Duration = Duration::from_secs(6 * 60);
const ASKED_AGAIN: &str = "[rehearsal] radiant: nobody answered: you are asked again";

/// How often it was published that nobody answered.
fn published(world: &World) -> usize {
    let metric = Metric {
        namespace: world.plan.probe.namespace.clone(),
        name: "UnansweredQuestion".to_owned(),
        dimensions: [("Workload".to_owned(), world.plan.workload.clone())].into(),
    };
    world.cloud().cloudwatch.largest(RECOVERY, &metric).len()
}

#[test]
fn what_nobody_answered_is_asked_again_for_as_long_as_the_alarm_stands() {
    in_virtual_time(async {
        let world = unanswered().await;
        for times in 1..3 {
            tokio::time::sleep(LOOKED_BY).await;
            let headers = world.headers().await;
            assert_eq!(headers.len(), times + 1);
            let last = headers.last().unwrap();
            assert!(last.trigger.by.ends_with(ALARM), "{}", last.trigger.by);
            let told = world.subjects().into_iter().filter(|subject| subject == ASKED_AGAIN);
            assert_eq!((told.count(), published(&world)), (times, times));
            assert_eq!(world.count("promote-database", "FailoverGlobalCluster"), 0);
            if times == 1 {
                world.wait().await;
            }
        }
        let asked = world.questions().pop().unwrap();
        world.approve_as_asked(&asked).await;
        world.wait().await;
        let headers = world.headers().await;
        let outcomes = headers.iter().map(|header| header.ended().unwrap().outcome);
        let outcomes: Vec<Outcome> = outcomes.collect();
        assert_eq!(outcomes, [Outcome::Expired, Outcome::Expired, Outcome::Recovered]);
        // Somebody answered: nobody is asked any more.
        tokio::time::sleep(LOOKED_BY).await;
        assert_eq!((world.headers().await.len(), published(&world)), (3, 2));
    });
}

#[test]
fn nobody_is_asked_again_once_the_alarm_is_over_or_somebody_declined() {
    in_virtual_time(async {
        let world = unanswered().await;
        world.cloud().give_region_back(PRIMARY);
        tokio::time::sleep(LOOKED_BY * 3).await;
        let asked = world.headers().await.len();
        tokio::time::sleep(LOOKED_BY * 10).await;
        assert_eq!(world.headers().await.len(), asked);
    });
    in_virtual_time(async {
        let world = World::watched(|plan| *plan = asking(plan.clone())).await;
        world.cloud().take_region_away(PRIMARY);
        let asked = world.question().await;
        world.answer(&asked, ON_CALL, "decline", Some("it is a release")).await;
        world.wait().await;
        tokio::time::sleep(LOOKED_BY * 3).await;
        assert_eq!((world.headers().await.len(), published(&world)), (1, 0));
    });
}

#[test]
fn with_the_switch_off_it_is_said_that_nobody_answered_and_nobody_is_asked_again() {
    in_virtual_time(async {
        let world = unanswered().await;
        switch_off(&world).await;
        tokio::time::sleep(LOOKED_BY * 2).await;
        assert_eq!(world.headers().await.len(), 1);
        assert!(published(&world) >= 2, "{}", published(&world));
        let on = json!({ "on": true, "by": ON_CALL, "at": world.cloud().now(), "reason": "it was a mistake" });
        let on: Switch = serde_json::from_value(on).unwrap();
        world.record.set_automation(&world.plan.workload, &on).await.unwrap();
        tokio::time::sleep(LOOKED_BY).await;
        assert_eq!(world.headers().await.len(), 2);
    });
}

/// Killed after any call and run again: one recovery asks again.
#[test]
fn killed_and_run_again_it_asks_once() {
    let look = json!({ "machine": "arn:aws:states:us-west-2:123456789012:stateMachine:recovery" });
    for call in 1.. {
        let mut lived = false;
        in_virtual_time(async {
            let world = unanswered().await;
            let step = world.step::<StartRecovery>();
            lived = !killed_after(&world, STEP, call, step.invoke(look.clone())).await;
            let again = world.step::<StartRecovery>().invoke(look.clone()).await.unwrap();
            started(&again);
            assert_eq!(world.recovery_arns().len(), 2, "after call {call}");
        });
        if lived {
            assert!(call > 6, "{call}");
            break;
        }
    }
}
