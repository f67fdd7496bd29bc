//! Two Regions, and one that is away.

use serde_json::json;
use states_language::ExecutionStatus;
use tokio::time::sleep;

use super::super::*;
use super::world::{ELSEWHERE, HERE, arn, begin_with, deployment, in_virtual_time, play, told, wait_and_invoke};
use crate::aws::events::{Rule, Target, TargetInput};

fn machines() -> Vec<(&'static str, &'static str)> {
    vec![
        ("unhurried", wait_and_invoke("Echo", None)),
        ("hurried", wait_and_invoke("Echo", Some(60))),
        ("teller", wait_and_invoke("Tell", None)),
    ]
}

#[test]
fn each_region_has_its_own_functions_and_machines() {
    play(machines(), |simulation| async move {
        for region in [HERE, ELSEWHERE] {
            simulation
                .start(region, "unhurried", "same-name", json!({ "from": region }))
                .unwrap();
        }
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        for region in [HERE, ELSEWHERE] {
            let output = json!({ "region": region, "input": { "from": region } });
            let expected = ExecutionStatus::Succeeded { output };
            assert_eq!(simulation.how_ended(region, "unhurried", "same-name"), expected);
        }
        assert_eq!(simulation.aws("x").region(), HERE, "the first deployment's");
        assert_eq!(simulation.aws_in("x", ELSEWHERE).region(), ELSEWHERE);
        simulation.start(ELSEWHERE, "teller", "one", json!({})).unwrap();
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        assert_eq!(
            (told(&simulation, HERE).len(), told(&simulation, ELSEWHERE).len()),
            (0, 3)
        );
    });
}

#[test]
fn what_is_in_a_region_that_is_away_stands_still() {
    play(machines(), |simulation| async move {
        for machine in ["unhurried", "hurried", "teller"] {
            simulation.start(ELSEWHERE, machine, "one", json!({})).unwrap();
        }
        sleep(Duration::from_secs(5)).await;
        simulation.cloud().take_region_away(ELSEWHERE);
        assert!(simulation.start(ELSEWHERE, "unhurried", "two", json!({})).is_err());
        sleep(Duration::from_secs(600)).await;
        assert!(simulation.ended().is_empty(), "{:?}", simulation.ended());
        assert!(told(&simulation, ELSEWHERE).is_empty());
        simulation.cloud().give_region_back(ELSEWHERE);
        let back_at = simulation.cloud().now();
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        let how = |machine: &str| simulation.how_ended(ELSEWHERE, machine, "one");
        assert!(
            matches!(how("unhurried"), ExecutionStatus::Succeeded { .. }),
            "{:?}",
            how("unhurried")
        );
        // Its TimeoutSeconds went by meanwhile.
        assert_eq!(how("hurried"), ExecutionStatus::TimedOut);
        let record = simulation
            .cloud()
            .executions
            .get(&arn(ELSEWHERE, "hurried", "one"))
            .unwrap();
        assert_eq!(
            (record.status, record.error.as_deref()),
            ("TIMED_OUT", Some("States.Timeout"))
        );
        assert_eq!(told(&simulation, ELSEWHERE).len(), 3);
        assert!(told(&simulation, ELSEWHERE)[0].published_at > back_at);
    });
}

#[test]
fn a_function_that_runs_when_its_region_goes_away_stands_still_too() {
    play(machines(), |simulation| async move {
        simulation.start(ELSEWHERE, "unhurried", "one", json!({})).unwrap();
        sleep(Duration::from_millis(10_600)).await;
        simulation.cloud().take_region_away(ELSEWHERE);
        sleep(Duration::from_secs(100)).await;
        assert_eq!(simulation.usage().0.invocations, 0);
        simulation.cloud().give_region_back(ELSEWHERE);
        assert!(simulation.wait_for_executions(Duration::from_secs(5)).await);
        assert_eq!(simulation.usage().0.invocations, 1);
    });
}

#[test]
fn deployments_have_to_be_one_for_a_region() {
    in_virtual_time(async {
        let begin = async |deployments| {
            let plan = serde_saphyr::from_str(include_str!("../../../../radiant.plan.yaml")).unwrap();
            let began_at = "2026-01-06T02:50:00Z".parse().unwrap();
            let begun = Simulation::begin(&plan, deployments, 1, began_at, Box::new(|_| {})).await;
            begun.err().unwrap()
        };
        assert_eq!(begin(vec![]).await, "nothing is deployed");
        let twice = vec![deployment(HERE, vec![]), deployment(HERE, vec![])];
        assert_eq!(begin(twice).await, "there are two deployments in us-west-2");
        let mut wrong = deployment(HERE, vec![]);
        wrong.schedules.push(Schedule {
            name: "s".to_owned(),
            region: ELSEWHERE.to_owned(),
            every: Duration::from_secs(60),
            target_arn: function_arn("123456789012", ELSEWHERE, "echo"),
            input: json!({}),
        });
        assert_eq!(begin(vec![wrong]).await, "schedule s is not in us-west-2");
    });
}

/// A rule here that hands each event to a function or a machine.
fn rule(target: Target) -> Rule {
    Rule {
        name: "all".to_owned(),
        pattern: json!({ "source": ["test"] }),
        targets: vec![target],
    }
}

fn function(name: &str) -> Target {
    Target::Function {
        arn: function_arn("123456789012", HERE, name),
        input: TargetInput::Event,
    }
}

fn event() -> Value {
    json!({ "source": "test", "text": "an event" })
}

#[test]
fn the_same_event_twice_is_delivered_twice() {
    in_virtual_time(async {
        let machine = Target::StateMachine {
            arn: machine_arn("123456789012", HERE, "unhurried"),
            input: TargetInput::Event,
        };
        let simulation = begin_with(machines(), |here| here.rules.push(rule(machine)))
            .await
            .unwrap();
        let cloud = simulation.cloud();
        for region in [HERE, HERE, ELSEWHERE] {
            cloud.events.publish(cloud, region, event());
        }
        sleep(Duration::from_secs(30)).await;
        let arns: BTreeSet<String> = simulation.ended().into_iter().map(|ended| ended.arn).collect();
        assert_eq!(arns.len(), 2);
        assert!(arns.iter().all(|arn| arn.contains(HERE)), "{arns:?}");
        assert_eq!(cloud.events.failures(), Vec::<String>::new());
    });
}

#[test]
fn a_function_that_fails_for_an_event_is_invoked_twice_more() {
    in_virtual_time(async {
        let simulation = begin_with(vec![], |here| here.rules.push(rule(function("fail"))))
            .await
            .unwrap();
        let cloud = simulation.cloud();
        cloud.events.publish(cloud, HERE, event());
        let mut invocations = Vec::new();
        for _ in 0..4 {
            sleep(Duration::from_secs(55)).await;
            invocations.push(simulation.usage().0.invocations);
        }
        // At once, after a minute, and two minutes after that: at 0, 60 and 180 s and a little.
        assert_eq!(invocations, [1, 2, 2, 3]);
        let failures = cloud.events.failures();
        assert_eq!(failures.len(), 1);
        let expected = "called fail in us-west-2, which failed 3 times: Refused: ";
        assert!(
            failures[0].contains("rule/all") && failures[0].contains(expected),
            "{failures:?}"
        );
    });
}

#[test]
fn a_function_that_works_the_second_time_has_not_failed() {
    in_virtual_time(async {
        let simulation = begin_with(vec![], |here| here.rules.push(rule(function("tell"))))
            .await
            .unwrap();
        let cloud = simulation.cloud();
        simulation
            .break_function(HERE, "tell", "Lambda.AccessDeniedException", "its role is gone")
            .unwrap();
        cloud.events.publish(cloud, HERE, event());
        sleep(Duration::from_secs(30)).await;
        assert!(told(&simulation, HERE).is_empty());
        simulation.mend_function(HERE, "tell").unwrap();
        sleep(Duration::from_secs(300)).await;
        let told = told(&simulation, HERE);
        assert_eq!((told.len(), told[0].text.as_str()), (3, "an event"));
        assert_eq!(cloud.events.failures(), Vec::<String>::new());
    });
}

#[test]
fn an_event_for_what_is_not_there_is_told() {
    in_virtual_time(async {
        let nobody = function("nobody");
        let nothing = Target::StateMachine {
            arn: machine_arn("123456789012", HERE, "nothing"),
            input: TargetInput::Event,
        };
        let mut both = rule(nobody);
        both.targets.push(nothing);
        let simulation = begin_with(vec![], |here| here.rules.push(both)).await.unwrap();
        let cloud = simulation.cloud();
        cloud.events.publish(cloud, HERE, event());
        sleep(Duration::from_secs(30)).await;
        let mut failures = cloud.events.failures();
        failures.sort();
        assert_eq!(failures.len(), 2);
        assert!(
            failures[0].contains("nobody:1: there is no such function"),
            "{failures:?}"
        );
        assert!(failures[1].contains("StateMachineDoesNotExist"), "{failures:?}");
    });
}
