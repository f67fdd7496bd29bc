//! A scenario that only these tests have. It has what scenarios have: a module, something that can be asked for, a deadline of
//! its own, an approval, a change that is taken back, a point of no return, a loop that waits, and a simulated service.
//! Everything that opens, runs, breaks, closes, resumes, rehearses and reports the loss of a Region does so with it.

mod disaster;
mod hold_queue;
mod look_at_queue;
mod move_messages;
mod queues;
mod release_queue;
mod scenario;
mod story;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use rehearsal::campaign::{draw, one, play, shrink};
use rehearsal::deployment::STEPS;
use rehearsal::scenarios::kinds_that_fit;
use rehearsal::{Disaster, Fault, FaultKind, Rehearsal, Script, rehearse, vocabulary};
use serde_json::{Value, json};
use shared::plan::Plan;
use shared::scenario::Scenario;
use shared::scenario::module::Module;
use start_recovery::StartRecovery;
use tests::contract::{self, MOST_EVENTS};
use tests::step_input::StepInput;

use crate::common::{RECOVERY, World, in_virtual_time, request};
use disaster::MessagesLost;
use scenario::{ALARM, MessageLoss};

/// Its machine's name.
const MACHINE: &str = "message-recovery";

static PLAN: LazyLock<Plan> = LazyLock::new(scenario::plan);

fn read(spec: &str) -> Result<Fault, String> {
    let disaster: &dyn Disaster = &MessagesLost;
    Fault::read(spec, kinds_that_fit(disaster), &vocabulary([disaster]))
}

fn fault(spec: &str) -> Fault {
    read(spec).unwrap()
}

fn with_faults(specs: &[&str]) -> Script {
    Script {
        faults: specs.iter().map(|spec| fault(spec)).collect(),
        ..Script::new(&MessagesLost)
    }
}

/// Plays it, and expects that nothing was that must not be, and that every fault applied.
fn sound(script: &Script, seed: u64) -> Rehearsal {
    let rehearsal = rehearse(&PLAN, script, seed, |_| {}).unwrap();
    let what = format!("{:?}, seed {seed}: {:?}", script.faults, rehearsal.reason);
    assert_eq!(rehearsal.breaches, [], "{what}");
    assert_eq!(rehearsal.without_effect().count(), 0, "{what}");
    rehearsal
}

fn times_called(rehearsal: &Rehearsal, operation: &str) -> u64 {
    let calls = rehearsal.aws_calls.iter().filter(|call| call.operation == operation);
    calls.map(|call| call.count).sum()
}

#[test]
fn its_machine_holds_to_the_contract() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions"));
    let steps = STEPS
        .iter()
        .filter(|step| !contract::not_for_machines().contains(&step.name));
    let built_in = steps.map(|step| StepInput::of_step(folder, step.name).unwrap());
    let own = [
        ("hold-queue", include_str!("hold_queue.rs")),
        ("look-at-queue", include_str!("look_at_queue.rs")),
        ("move-messages", include_str!("move_messages.rs")),
        ("release-queue", include_str!("release_queue.rs")),
    ];
    let own = own.map(|(name, text)| StepInput::read(name, text).unwrap());
    let steps: Vec<StepInput> = built_in.chain(own).collect();
    LazyLock::force(&PLAN);
    for (name, text) in disaster::MACHINES {
        let findings = contract::check(name, text, &steps);
        assert_eq!(findings.breaches, []);
        assert!(findings.worst_case.unwrap() < MOST_EVENTS, "{:?}", findings.worst_case);
    }
}

#[test]
fn it_is_recovered_from_with_an_approval_and_measured() {
    for seed in 1..6 {
        let rehearsal = sound(&Script::new(&MessagesLost), seed);
        assert_eq!(rehearsal.outcome, "recovered", "{:?}", rehearsal.reason);
        assert!(rehearsal.within_objectives, "{:?}", rehearsal.met);
        let approval = rehearsal.approval.as_deref().unwrap_or_default();
        assert!(approval.contains("radiant.example.com"), "{approval}");
        assert_eq!(times_called(&rehearsal, "StartMessageMove"), 1);
        assert!(times_called(&rehearsal, "DescribeQueue") > 8, "it is waited for");
    }
}

#[test]
fn who_declines_or_sleeps_finds_everything_as_before() {
    for (spec, outcome) in [("approver-declines", "declined"), ("approver-asleep", "expired")] {
        let rehearsal = sound(&with_faults(&[spec]), 3);
        assert_eq!(rehearsal.outcome, outcome, "{:?}", rehearsal.reason);
        assert_eq!(times_called(&rehearsal, "HoldQueue"), 0);
    }
}

#[test]
fn what_stops_before_the_point_of_no_return_is_taken_back_and_can_be_gone_on_with() {
    let stopped = Script {
        stop_at: Some("move-messages".to_owned()),
        ..Script::new(&MessagesLost)
    };
    let rehearsal = sound(&stopped, 5);
    assert_eq!(rehearsal.earlier.len(), 1, "{:?}", rehearsal.earlier);
    assert_eq!(rehearsal.earlier[0].outcome, "rolled-back");
    assert_eq!(rehearsal.outcome, "recovered", "{:?}", rehearsal.reason);
    assert_eq!(times_called(&rehearsal, "ReleaseQueue"), 2);
    assert_eq!(times_called(&rehearsal, "StartMessageMove"), 1);
}

#[test]
fn what_dies_after_the_point_of_no_return_is_kept_and_gone_on_with() {
    let dies = Script {
        resume: true,
        ..with_faults(&["child-dies:IsMoved"])
    };
    let rehearsal = sound(&dies, 5);
    assert_eq!(rehearsal.earlier[0].outcome, "failed", "{:?}", rehearsal.earlier);
    let reason = rehearsal.earlier[0].reason.as_ref().unwrap();
    assert!(reason.contains("stays on hold"), "{reason}");
    assert_eq!(rehearsal.outcome, "recovered", "{:?}", rehearsal.reason);
    assert_eq!(times_called(&rehearsal, "StartMessageMove"), 1);
}

#[test]
fn killed_after_any_call_of_any_step_it_moves_messages_once() {
    for step in disaster::STEPS {
        for call in 1.. {
            let script = Script {
                resume: true,
                ..with_faults(&[&format!("kill:{}:{call}", step.name)])
            };
            let rehearsal = rehearse(&PLAN, &script, call, |_| {}).unwrap();
            assert_eq!(rehearsal.breaches, [], "{} {call}", step.name);
            if rehearsal.without_effect().count() > 0 {
                assert!(call > 2, "{} makes calls", step.name);
                break;
            }
            assert_eq!(
                rehearsal.outcome, "recovered",
                "{} {call}: {:?}",
                step.name, rehearsal.reason
            );
            assert_eq!(times_called(&rehearsal, "StartMessageMove"), 1, "{} {call}", step.name);
        }
    }
}

#[test]
fn its_own_service_and_steps_can_fail() {
    for spec in [
        "throttle:queues",
        "lost-reply:HoldQueue",
        "lost-reply:StartMessageMove",
        "lost-reply:ReleaseQueue",
        "child-dies:MoveMessages",
    ] {
        sound(&with_faults(&[spec]), 12);
    }
}

#[test]
fn its_own_fault_makes_it_slow_and_then_fail_at_its_own_deadline() {
    for (spec, outcome) in [("slow-move:300", "recovered"), ("slow-move:900", "failed")] {
        let rehearsal = sound(&with_faults(&[spec]), 7);
        assert_eq!(rehearsal.outcome, outcome, "{:?}", rehearsal.reason);
    }
}

#[test]
fn faults_name_what_it_brings() {
    for spec in [
        "slow-move:3",
        "throttle:queues",
        "kill:hold-queue",
        "child-dies:HoldQueue",
    ] {
        assert_eq!(fault(spec).to_string(), spec);
    }
    let others = ["region-outage", "late-event:5m", "flapping-alarm"];
    assert!(others.into_iter().all(|spec| read(spec).is_err()), "these do not fit");
    assert!(
        "slow-move:3".parse::<Fault>().is_err(),
        "the built-in scenarios have no queue"
    );
}

#[test]
fn campaigns_draw_what_fits_and_no_more() {
    let drawn: BTreeSet<&str> = (0..2000)
        .flat_map(|seed| draw(&[&MessagesLost], seed).faults)
        .map(|fault| fault.kind())
        .collect();
    let fit: BTreeSet<&str> = kinds_that_fit(&MessagesLost).into_iter().map(FaultKind::name).collect();
    assert_eq!(drawn, fit);
    assert!(drawn.contains("slow-move") && drawn.contains("busy") && !drawn.contains("lag"));
}

#[test]
fn campaigns_hold_it_to_what_always_holds() {
    let disasters: [&dyn Disaster; 1] = [&MessagesLost];
    let campaign = play(
        &PLAN,
        |seed| draw(&disasters, seed),
        25,
        60,
        &AtomicBool::new(false),
        |_| {},
    );
    let breaches: Vec<String> = campaign.breaches.iter().map(|run| format!("{run:?}")).collect();
    assert!(breaches.is_empty(), "{breaches:#?}");
    let runs = &campaign.scenarios["message-loss"];
    assert_eq!(runs.runs, 25);
}

/// A step that asks for a move without looking.
mod moves_again {
    use super::move_messages::{Input, MoveMessages, Output};
    use super::queues;
    use shared::aws::Aws;
    use shared::error::StepError;
    use shared::step::{Change, Step};

    pub struct MovesAgain(Aws);

    impl Step for MovesAgain {
        const NAME: &'static str = MoveMessages::NAME;
        const DESCRIPTION: &'static str = MoveMessages::DESCRIPTION;
        const CHANGES: &'static [Change] = MoveMessages::CHANGES;
        type Input = Input;
        type Output = Output;

        fn new(aws: &Aws) -> Self {
            Self(aws.clone())
        }

        async fn run(&self, input: Input) -> Result<Output, StepError> {
            queues::call(&self.0, &input.region, "StartMessageMove", &input.queue).await?;
            Ok(Output { changed: true })
        }
    }
}

#[test]
fn a_defect_in_one_of_its_steps_is_found_and_shrunk_to_what_it_takes() {
    let script = Script {
        replaced: vec![rehearsal::Replaced {
            step: "move-messages",
            by: "moves without a look",
            make: |aws| shared::step::handler::<moves_again::MovesAgain>(aws),
        }],
        ..with_faults(&["clock-skew:1s", "lost-reply:StartMessageMove"])
    };
    let run = one(&PLAN, &script, 1);
    let names: Vec<&str> = run.breaches.iter().map(|breach| breach.invariant).collect();
    assert_eq!(names, ["moved-once"], "{:?}", run.breaches);
    let small = shrink(&PLAN, &run);
    assert_eq!(
        small.script.command(small.seed, None),
        "drctl rehearse message-loss --fault lost-reply:StartMessageMove --seed 1"
    );
}

#[test]
fn an_alarm_starts_it() {
    in_virtual_time(async {
        let deployed = rehearsal::deployments(&PLAN, &MessagesLost, false).unwrap();
        let world = World::begin_with(PLAN.clone(), deployed, MessagesLost.services(), 11).await;
        let aws = world.simulation.aws_in("a-consumer", RECOVERY);
        queues::call(&aws, RECOVERY, "FailMessages", "orders").await.unwrap();
        let event = crate::start_recovery::event_of(&world, ALARM);
        let machine = rehearsal::deployment::recovery_machine(&PLAN, RECOVERY);
        let start = world.step::<StartRecovery>();
        let answer = start
            .invoke(json!({ "event": event, "machine": machine }))
            .await
            .unwrap();
        assert_eq!(answer["decision"]["decision"]["what"], "started", "{answer}");
        world.approve_as_asked(&world.question().await).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome.name(), "recovered", "{:?}", closing.reason);
        assert_eq!(world.only_header().await.scenario, MessageLoss::SCENARIO);
    });
}

#[test]
fn what_it_can_be_asked_for_is_held_to_its_module() {
    let wants = |wants: Value| {
        let mut asked = request("decide");
        asked["scenario"] = json!("message-loss");
        asked["wants"] = wants;
        LazyLock::force(&PLAN);
        serde_json::from_value::<shared::request::Request>(asked)
    };
    let asked = wants(json!({ "queue": "invoices" })).unwrap();
    assert_eq!(asked.wants["queue"], "invoices");
    assert_eq!(wants(json!({})).unwrap().wants["queue"], "orders");
    assert!(
        wants(json!({ "intent": "failover" }))
            .unwrap_err()
            .to_string()
            .contains("intent")
    );
    assert_eq!(Scenario::named("message-loss"), Ok(MessageLoss::SCENARIO));
}

#[test]
fn it_is_reported_in_its_own_words() {
    let script = Script {
        account: true,
        stop_at: Some("move-messages".to_owned()),
        ..Script::new(&MessagesLost)
    };
    let account = sound(&script, 5).account.unwrap();
    let html = report::html(&account);
    let text = report::markdown(&account);
    for said in ["Loss of messages", "move 40 messages back into orders"] {
        assert!(
            html.contains(said) && text.contains(said),
            "{said} is missing in\n{text}"
        );
        for other in ["switchover", "Fence", "Heartbeat", "other Region", "region-switch"] {
            assert!(!text.contains(other), "{other} is in\n{text}");
        }
    }
    let told = ["moves the messages back", "Tell those who wait", "where orders wait"];
    assert!(told.iter().all(|said| !text.contains(said)), "{text}");
    report::add_story(MessageLoss::SCENARIO, &story::OfMessages);
    let text = report::markdown(&account);
    for said in told {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
}
