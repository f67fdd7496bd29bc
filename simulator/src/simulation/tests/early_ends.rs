//! Invocations that do not live to their end.

use serde_json::json;
use states_language::ExecutionStatus;
use tokio::time::sleep;

use super::super::*;
use super::world::{ELSEWHERE, HERE, error_and_cause, play, task, told};
use crate::faults::FaultId;

fn machines() -> Vec<(&'static str, &'static str)> {
    let invoke = |hole: &str| {
        task(json!({
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": { "FunctionName": format!("${{{hole}}}"), "Payload": { "text": "something" } },
        }))
    };
    vec![("tells", invoke("Tell")), ("answers", invoke("Answer"))]
}

/// The first invocations of `tell` here, so many, after one call.
fn first(count: u64, end: End) -> InvocationFault {
    InvocationFault {
        region: Some(HERE.to_owned()),
        function: Some("tell".to_owned()),
        which: Which::First(count),
        after_calls: 1..=1,
        end,
    }
}

impl Simulation {
    fn inject(&self, fault: InvocationFault) -> FaultId {
        self.cloud().faults.on_invocations(fault)
    }

    /// Plays the machine so often; gives which of them failed.
    async fn failed(&self, machine: &str, times: usize) -> Vec<usize> {
        let mut failed = Vec::new();
        let before = self.ended().len();
        for time in before..before + times {
            let ended = self.play_one(machine, &time.to_string(), json!({})).await;
            if !matches!(ended, ExecutionStatus::Succeeded { .. }) {
                failed.push(time - before);
            }
        }
        failed
    }
}

#[test]
fn an_invocation_ends_as_lambda_tells_it() {
    play(machines(), |simulation| async move {
        let mut ends = Vec::new();
        for (name, end) in [
            ("exits", End::ProcessExited),
            ("times-out", End::TimedOut(Duration::from_millis(30_500))),
            ("killed", End::Killed),
        ] {
            let fault = simulation.inject(first(1, end));
            let began = simulation.cloud().now();
            let (error, cause) = error_and_cause(simulation.play_one("tells", name, json!({})).await);
            let took = simulation.cloud().now().duration_since(began).as_secs_f64();
            assert_eq!(simulation.cloud().faults.applied(fault), 1);
            ends.push((error, cause, took));
        }
        let [exits, times_out, killed] = ends.try_into().unwrap();
        assert_eq!(exits.0, "Lambda.Unknown");
        assert!(
            exits.1.contains("Process exited before completing request"),
            "{}",
            exits.1
        );
        let (error, cause, took) = times_out;
        let cause: Value = serde_json::from_str(&cause).unwrap();
        assert_eq!(
            (error.as_str(), &cause["errorType"]),
            ("Sandbox.Timedout", &json!("Sandbox.Timedout"))
        );
        let message = cause["errorMessage"].as_str().unwrap();
        assert!(message.starts_with("RequestId: "), "{message}");
        assert!(
            message.ends_with(" Error: Task timed out after 30.50 seconds"),
            "{message}"
        );
        // It stands still until its time limit, from the beginning of its handler.
        assert!((30.5..31.0).contains(&took), "{took} s");
        let (error, cause, took) = killed;
        let cause: Value = serde_json::from_str(&cause).unwrap();
        assert_eq!(
            (error.as_str(), &cause["errorType"]),
            ("Runtime.ExitError", &json!("Runtime.ExitError"))
        );
        let message = cause["errorMessage"].as_str().unwrap();
        assert!(
            message.ends_with(" Error: Runtime exited with error: signal: killed"),
            "{message}"
        );
        assert!(took < 1.0, "{took} s");
        assert_eq!(told(&simulation, HERE).len(), 3);
        // Lambda bills it to its time limit.
        let (usage, _) = simulation.usage();
        assert!(
            (30.5..32.0).contains(&usage.function_seconds),
            "{}",
            usage.function_seconds
        );
    });
}

#[test]
fn the_first_invocations_end_early_and_no_others() {
    play(machines(), |simulation| async move {
        let fault = simulation.inject(first(2, End::Killed));
        simulation.start(ELSEWHERE, "tells", "one", json!({})).unwrap();
        assert_eq!(simulation.failed("tells", 4).await, [0, 1]);
        assert_eq!(simulation.cloud().faults.applied(fault), 2);
        // One that ends by itself before is one of the first.
        let too_late = simulation.inject(InvocationFault {
            after_calls: 4..=4,
            ..first(1, End::Killed)
        });
        assert!(simulation.failed("tells", 2).await.is_empty());
        let idle = simulation.inject(InvocationFault {
            function: Some("nobody".to_owned()),
            ..first(1, End::Killed)
        });
        let lifted = simulation.inject(first(1, End::Killed));
        simulation.cloud().faults.lift(lifted);
        assert!(simulation.failed("tells", 1).await.is_empty());
        for fault in [too_late, idle, lifted] {
            assert_eq!(simulation.cloud().faults.applied(fault), 0);
        }
    });
}

#[test]
fn a_share_of_invocations_ends_early_at_calls_that_are_drawn() {
    let drawn = || {
        let (sender, receiver) = std::sync::mpsc::channel();
        play(machines(), |simulation| async move {
            let some = simulation.inject(InvocationFault {
                which: Which::Share {
                    share: 0.5,
                    at_most: None,
                },
                after_calls: 0..=3,
                ..first(0, End::Killed)
            });
            let failed = simulation.failed("tells", 40).await;
            assert_eq!(simulation.cloud().faults.applied(some), failed.len() as u64);
            let calls = told(&simulation, HERE).len();
            sender.send((failed, calls, simulation.cloud().now())).unwrap();
        });
        receiver.recv().unwrap()
    };
    let (failed, calls, _) = drawn();
    assert!((10..=30).contains(&failed.len()), "{failed:?}");
    // Those that live make three calls, the others some number up to three.
    let of_failed = calls - 3 * (40 - failed.len());
    assert!(of_failed > 0 && of_failed < 3 * failed.len(), "{of_failed}");
    assert_eq!(drawn(), drawn());
}

#[test]
fn at_most_so_many_of_a_share_end_early_and_one_that_lives_does_not_count() {
    play(machines(), |simulation| async move {
        let fault = simulation.inject(InvocationFault {
            region: None,
            function: None,
            which: Which::Share {
                share: 1.0,
                at_most: Some(2),
            },
            after_calls: 1..=1,
            end: End::ProcessExited,
        });
        // It makes no call.
        assert!(simulation.failed("answers", 3).await.is_empty());
        // No machine invokes it now.
        let caller = format!("arn:aws:iam::{}:user/one", super::world::ACCOUNT);
        let (status, _) = simulation
            .post_to_function(HERE, "tell", &caller, r#"{"text":"a"}"#)
            .await
            .unwrap();
        assert_eq!((status, simulation.cloud().faults.applied(fault)), (200, 0));
        assert_eq!(simulation.failed("tells", 4).await, [0, 1]);
        assert_eq!(simulation.cloud().faults.applied(fault), 2);
    });
}

#[test]
fn a_call_that_is_not_answered_ends_an_invocation_too() {
    play(machines(), |simulation| async move {
        let faults = &simulation.cloud().faults;
        let silence = faults.on_calls(crate::faults::CallFault {
            at_most: Some(1),
            ..crate::faults::CallFault::every(crate::faults::CallEffect::NoAnswer)
        });
        let death = simulation.inject(first(1, End::Killed));
        assert_eq!(simulation.failed("tells", 1).await, [0]);
        sleep(Duration::from_secs(60)).await;
        assert!(told(&simulation, HERE).is_empty());
        assert_eq!((faults.applied(silence), faults.applied(death)), (1, 1));
    });
}
