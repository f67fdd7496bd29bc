//! `start-recovery` against the simulated AWS, as far as it refuses: each refusal is kept and told, and the same event is
//! decided on once.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use shared::plan::Plan;
use shared::record::{Header, Record};
use shared::step::{Handler, handler};
use simulator::aws::sns::Message;
use simulator::aws::states::ExecutionRecord;
use simulator::simulation::{Deployment, Simulation};
use start_recovery::StartRecovery;

const RECOVERY: &str = "us-west-2";
const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:region-switch:by-hand";
const STEP: &str = "start-recovery";

struct World {
    simulation: Simulation,
    plan: Plan,
    record: Record,
}

impl World {
    async fn new() -> Self {
        let plan: Plan = serde_saphyr::from_str(include_str!("../../radiant.plan.yaml")).unwrap();
        let deployment = Deployment {
            region: RECOVERY.to_owned(),
            functions: vec![],
            machines: vec![],
            substitutions: vec![],
            alarms: vec![],
            rules: vec![],
            schedules: vec![],
        };
        let begins_at = "2026-01-06T02:55:00Z".parse().unwrap();
        let simulation = Simulation::begin(&plan, vec![deployment], 7, begins_at, Box::new(|_| {}))
            .await
            .unwrap();
        let record = Record::new(&simulation.aws("test"));
        record.put_plan(&plan).await.unwrap();
        Self {
            simulation,
            plan,
            record,
        }
    }

    fn step(&self) -> Box<dyn Handler> {
        handler::<StartRecovery>(&self.simulation.aws(STEP))
    }

    /// What a fresh instance of the step answers.
    async fn answer(&self, event: &Value) -> Value {
        self.step().invoke(input(event)).await.unwrap()
    }

    fn told(&self) -> Vec<Message> {
        let topic = self.plan.topic_arn(&self.plan.regions.recovery);
        self.simulation.cloud().sns.messages(&topic)
    }

    /// How many calls the step made in all.
    fn calls(&self) -> u64 {
        let calls = self.simulation.cloud().calls();
        let own = calls.iter().filter(|(call, _)| call.function == STEP);
        own.map(|(_, count)| count).sum()
    }

    /// A recovery by hand that was opened an hour ago and never closed.
    async fn open(&self, status: &'static str) {
        let header = json!({
            "id": "20260106T015500Z-region-failure-abcdef", "workload": self.plan.workload, "scenario": "region-failure",
            "mode": "rehearsal", "intent": "decide",
            "trigger": { "kind": "person", "by": "arn:person", "at": "2026-01-06T01:55:00Z" },
            "plan_sha256": "0", "objectives": { "rto": { "target": "1h", "maximum": "4h" } },
            "opened_at": "2026-01-06T01:55:00Z", "execution": EXECUTION,
        });
        let header: Header = serde_json::from_value(header).unwrap();
        self.record.open(&header).await.unwrap();
        let mut execution = ExecutionRecord::running("arn:any", "any", "{}", "2026-01-06T01:55:00Z".parse().unwrap());
        execution.status = status;
        self.simulation.cloud().executions.put(EXECUTION, execution);
    }
}

fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn input(event: &Value) -> Value {
    let machine = "arn:aws:states:us-west-2:123456789012:stateMachine:region-switch";
    json!({ "event": event, "machines": { "region-failure": machine } })
}

/// An alarm that no plan binds.
fn sample() -> Value {
    serde_json::from_str(include_str!("../fixtures/events/cloudwatch-alarm-single-metric.json")).unwrap()
}

/// The alarm that starts a recovery by itself.
fn alarm() -> Value {
    json!({
        "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch", "account": "123456789012",
        "region": RECOVERY,
        "resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:radiant-unhealthy-from-outside"],
        "detail": {
            "alarmName": "radiant-unhealthy-from-outside",
            "previousState": { "value": "OK" },
            "state": { "value": "ALARM", "timestamp": "2026-01-06T02:54:58.123+0000" },
        },
    })
}

fn reason(answer: &Value) -> &str {
    assert_eq!(answer["decision"]["decision"]["what"], "refused", "{answer}");
    answer["decision"]["decision"]["reason"].as_str().unwrap()
}

#[test]
fn a_refusal_is_kept_and_told_once() {
    in_virtual_time(async {
        let world = World::new().await;
        let first = world.answer(&sample()).await;
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
        let second = world.answer(&sample()).await;
        assert_eq!(
            (&second["decision"], &second["again"]),
            (&first["decision"], &json!(true))
        );
        let told = world.told();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].subject, "[rehearsal] radiant: an alarm started no recovery");
        assert!(told[0].text.contains(reason(&first)), "{}", told[0].text);
    });
}

#[test]
fn what_is_no_event_at_all_is_refused_kept_and_told() {
    in_virtual_time(async {
        let world = World::new().await;
        for (count, event) in [json!(null), json!("x"), json!([1]), json!({})].iter().enumerate() {
            let answer = world.answer(event).await;
            assert!(!reason(&answer).is_empty());
            assert_eq!(world.told().len(), count + 1);
            assert_eq!(world.answer(event).await["again"], true);
        }
        assert_eq!(world.told().len(), 4);
    });
}

#[test]
fn killed_after_any_call_and_run_again_a_refusal_is_kept_and_told() {
    in_virtual_time(async {
        let once = World::new().await;
        once.answer(&sample()).await;
        for call in 1..=once.calls() {
            let world = World::new().await;
            {
                let step = world.step();
                let mut invocation = pin!(step.invoke(input(&sample())));
                loop {
                    tokio::select! {
                        biased;
                        ended = &mut invocation => panic!("it was to be killed after call {call}: {ended:?}"),
                        () = tokio::time::sleep(Duration::from_millis(1)) => if world.calls() >= call { break },
                    }
                }
            }
            let answer = world.answer(&sample()).await;
            let id = answer["decision"]["id"].as_str().unwrap();
            let kept = world.record.start_decision(&world.plan.workload, id).await.unwrap();
            assert!(kept.is_some(), "after call {call}");
            assert!([1, 2].contains(&world.told().len()), "after call {call}");
        }
    });
}

#[test]
fn a_refusal_that_cannot_be_told_is_kept() {
    in_virtual_time(async {
        let mut world = World::new().await;
        world.plan.regions.recovery.topic = "there-is-none".to_owned();
        world.record.put_plan(&world.plan).await.unwrap();
        assert_eq!(world.answer(&sample()).await["again"], false);
        assert_eq!(world.answer(&sample()).await["again"], true);
    });
}

#[test]
fn a_recovery_runs_as_long_as_its_execution_does() {
    in_virtual_time(async {
        let world = World::new().await;
        world.open("RUNNING").await;
        let answer = world.answer(&alarm()).await;
        assert!(
            reason(&answer).contains("abcdef (region-failure) runs since 2026-01-06T01:55:00Z"),
            "{answer}"
        );
    });
    in_virtual_time(async {
        let world = World::new().await;
        world.open("ABORTED").await;
        let answer = world.answer(&alarm()).await;
        assert!(
            reason(&answer).contains("(stopped), and for 24h after that"),
            "{answer}"
        );
    });
}

#[test]
fn the_switch_of_the_own_region_is_looked_at() {
    in_virtual_time(async {
        let world = World::new().await;
        let off = json!({ "on": false, "by": "arn:person", "at": "2026-01-06T01:00:00Z", "reason": "a move" });
        let off = serde_json::from_value(off).unwrap();
        world.record.set_automation(&world.plan.workload, &off).await.unwrap();
        let answer = world.answer(&alarm()).await;
        assert!(reason(&answer).contains("automation is off in us-west-2"), "{answer}");
    });
}

#[test]
fn an_input_with_a_field_too_many_is_not_taken() {
    in_virtual_time(async {
        let world = World::new().await;
        for wrong in [
            json!({ "event": sample() }),
            json!({ "event": sample(), "machines": {}, "more": 1 }),
            json!({ "event": sample(), "machines": { "moon-failure": "arn" } }),
        ] {
            let error = world.step().invoke(wrong).await.unwrap_err();
            assert_eq!(error.kind, shared::error::ErrorKind::InvalidInput, "{error}");
        }
    });
}
