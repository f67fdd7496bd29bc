//! Who invoked what, and what the functions touched.

use serde_json::json;
use tokio::time::sleep;

use super::super::*;
use super::world::{ACCOUNT, ELSEWHERE, HERE, begin_with, in_virtual_time, task, topic, wait_and_invoke};
use crate::aws::events::{Rule, Schedule, Target, TargetInput};

const PERSON: &str = "arn:aws:iam::123456789012:user/on-call";

fn machines() -> Vec<(&'static str, &'static str)> {
    let start = |ending: &str| {
        task(json!({
            "Resource": format!("arn:aws:states:::states:startExecution{ending}"),
            "Arguments": { "StateMachineArn": "${TellerMachine}" },
        }))
    };
    let ask = json!({
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Arguments": { "FunctionName": "${Echo}", "Payload": { "token": "{% $states.context.Task.Token %}" } },
        "TimeoutSeconds": 5,
    });
    vec![
        ("teller", wait_and_invoke("Tell", None)),
        ("starter", start("")),
        ("waiter", start(".sync:2")),
        ("asker", task(ask)),
    ]
}

fn rule(name: &str, target: Target) -> Rule {
    Rule {
        name: name.to_owned(),
        pattern: json!({ "source": ["a.test"] }),
        targets: vec![target],
    }
}

fn invoked(by: InvokedBy, how: &str, target_arn: String) -> Invoked {
    Invoked {
        by,
        how: how.to_owned(),
        target_arn,
    }
}

#[test]
fn whoever_invokes_is_kept_with_what_is_invoked() {
    in_virtual_time(async {
        let function = |name: &str| function_arn(ACCOUNT, HERE, name);
        let machine = |name: &str| machine_arn(ACCOUNT, HERE, name);
        let simulation = begin_with(machines(), |deployment| {
            let (arn, input) = (function("echo"), TargetInput::Event);
            deployment.rules.push(rule("to-echo", Target::Function { arn, input }));
            let (arn, input) = (machine("teller"), TargetInput::Event);
            deployment
                .rules
                .push(rule("to-teller", Target::StateMachine { arn, input }));
            deployment.schedules.push(Schedule {
                name: "every-minute".to_owned(),
                region: HERE.to_owned(),
                every: Duration::from_secs(60),
                target_arn: function("answer"),
                input: json!({}),
            });
        });
        let simulation = simulation.await.unwrap();
        assert_eq!(simulation.invoked(), BTreeSet::new());
        for name in ["starter", "waiter", "asker"] {
            simulation.start(HERE, name, "one", json!({})).unwrap();
        }
        let event = json!({ "source": "a.test" });
        simulation.cloud().events.publish(simulation.cloud(), HERE, event);
        let posted = simulation.post_to_function(ELSEWHERE, "answer", PERSON, "{}").await;
        assert_eq!(posted.unwrap().0, 200);
        sleep(Duration::from_secs(300)).await;
        let by_machine = |name: &str| InvokedBy::Machine(machine(name));
        let by_rule = |name: &str| InvokedBy::Rule(format!("arn:aws:events:{HERE}:{ACCOUNT}:rule/{name}"));
        let schedule = format!("arn:aws:scheduler:{HERE}:{ACCOUNT}:schedule/default/every-minute");
        let expected = BTreeSet::from([
            invoked(by_machine("teller"), "lambda:invoke", function("tell")),
            invoked(by_machine("starter"), "states:startExecution", machine("teller") + ":1"),
            invoked(
                by_machine("waiter"),
                "states:startExecution.sync:2",
                machine("teller") + ":1",
            ),
            invoked(by_machine("asker"), "lambda:invoke", function("echo")),
            invoked(by_rule("to-echo"), "lambda:invoke", function("echo")),
            invoked(by_rule("to-teller"), "states:startExecution", machine("teller")),
            invoked(InvokedBy::Schedule(schedule), "lambda:invoke", function("answer")),
            invoked(
                InvokedBy::Url(PERSON.to_owned()),
                "lambda:invokeFunctionUrl",
                function_arn(ACCOUNT, ELSEWHERE, "answer"),
            ),
        ]);
        assert_eq!(simulation.invoked(), expected);
    });
}

#[test]
fn what_deployed_functions_touch_is_told_apart_from_what_others_do() {
    in_virtual_time(async {
        let simulation = begin_with(machines(), |_| {}).await.unwrap();
        let by_hand = aws_sdk_sns::Client::new(simulation.aws("somebody").config());
        by_hand
            .publish()
            .topic_arn(topic(HERE))
            .message("m")
            .send()
            .await
            .unwrap();
        simulation.start(HERE, "teller", "one", json!({})).unwrap();
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        let touched: Vec<Touched> = simulation.touched().into_iter().collect();
        assert_eq!(touched.len(), 1, "{touched:?}");
        assert_eq!(
            (touched[0].function.as_str(), touched[0].operation.as_str()),
            ("tell", "Publish")
        );
        assert_eq!(simulation.cloud().touched().len(), 2);
    });
}
