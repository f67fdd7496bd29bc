//! Functions that are broken, and functions that die.

use serde_json::json;
use states_language::ExecutionStatus;
use tokio::time::sleep;

use super::super::*;
use super::world::{ELSEWHERE, HERE, begin_with, error_and_cause, in_virtual_time, play, task, told};

fn machines() -> Vec<(&'static str, &'static str)> {
    let tell = json!({
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": { "FunctionName": "${Tell}", "Payload": { "text": "something" } },
    });
    let mut persistent = tell.clone();
    persistent["Retry"] = json!([{ "ErrorEquals": ["Lambda.Unknown"], "IntervalSeconds": 30, "MaxAttempts": 1 }]);
    vec![("tells", task(tell)), ("insists", task(persistent))]
}

#[test]
fn a_broken_function_fails_at_once_until_it_is_mended() {
    play(machines(), |simulation| async move {
        simulation
            .break_function(HERE, "tell", "Lambda.AccessDeniedException", "no role")
            .unwrap();
        let began_at = simulation.cloud().now();
        let failure = error_and_cause(simulation.play_one("tells", "one", json!({})).await);
        assert_eq!(
            failure,
            ("Lambda.AccessDeniedException".to_owned(), "no role".to_owned())
        );
        assert_eq!(simulation.cloud().now(), began_at);
        assert!(told(&simulation, HERE).is_empty());
        // The one in the other Region is another one.
        simulation.start(ELSEWHERE, "tells", "one", json!({})).unwrap();
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        assert_eq!(told(&simulation, ELSEWHERE).len(), 3);
        simulation.mend_function(HERE, "tell").unwrap();
        let mended = simulation.play_one("tells", "two", json!({})).await;
        assert!(matches!(mended, ExecutionStatus::Succeeded { .. }));
        assert!(simulation.break_function(HERE, "nobody", "E", "").is_err());
    });
}

#[test]
fn a_killed_function_has_made_exactly_the_calls_that_it_was_given() {
    for calls in 0..=3 {
        play(machines(), |simulation| async move {
            simulation.kill_function(HERE, "tell", calls).unwrap();
            assert!(!simulation.was_killed(HERE, "tell"));
            let (error, cause) = error_and_cause(simulation.play_one("tells", "one", json!({})).await);
            assert_eq!(error, "Lambda.Unknown");
            assert!(
                cause.starts_with("The cause could not be determined because Lambda did not return an error type.")
            );
            assert!(simulation.was_killed(HERE, "tell") && !simulation.was_killed(ELSEWHERE, "tell"));
            sleep(Duration::from_secs(60)).await;
            assert_eq!(told(&simulation, HERE).len() as u64, calls);
        });
    }
}

#[test]
fn every_invocation_is_killed_until_the_function_is_let_live() {
    play(machines(), |simulation| async move {
        simulation.kill_function(HERE, "tell", 2).unwrap();
        // Two at the same time: each is killed after its own calls.
        simulation.start(HERE, "insists", "one", json!({})).unwrap();
        simulation.start(HERE, "insists", "two", json!({})).unwrap();
        sleep(Duration::from_secs(20)).await;
        assert_eq!(told(&simulation, HERE).len(), 4);
        assert!(simulation.wait_for_executions(Duration::from_secs(60)).await);
        assert_eq!(told(&simulation, HERE).len(), 8);
        assert_eq!(
            error_and_cause(simulation.how_ended(HERE, "insists", "two")).0,
            "Lambda.Unknown"
        );
        simulation.let_live(HERE, "tell").unwrap();
        simulation.play_one("insists", "three", json!({})).await;
        assert_eq!(told(&simulation, HERE).len(), 11);
    });
}

#[test]
fn a_function_that_ends_before_its_last_call_was_not_killed() {
    play(machines(), |simulation| async move {
        simulation.kill_function(HERE, "tell", 4).unwrap();
        let ended = simulation.play_one("tells", "one", json!({})).await;
        assert!(matches!(ended, ExecutionStatus::Succeeded { .. }));
        assert!(!simulation.was_killed(HERE, "tell"));
    });
}

#[test]
fn a_killed_function_starts_anew() {
    play(machines(), |simulation| async move {
        let took = async |name: &str| {
            let before = simulation.cloud().now();
            simulation.play_one("tells", name, json!({})).await;
            simulation.cloud().now().duration_since(before)
        };
        simulation.kill_function(HERE, "tell", 0).unwrap();
        let cold = Duration::try_from(took("cold").await).unwrap();
        let cold_again = Duration::try_from(took("cold-again").await).unwrap();
        let shortest = simulation.cloud().timings.function_cold_start.from;
        assert!(cold >= shortest && cold_again >= shortest, "{cold:?}, {cold_again:?}");
    });
}

#[test]
fn a_function_without_reserved_concurrency_waits_for_the_regions_pool() {
    for reserves in [false, true] {
        in_virtual_time(async {
            let simulation = begin_with(machines(), |deployment| deployment.reserves_concurrency = reserves);
            let simulation = simulation.await.unwrap();
            let lambda = &simulation.cloud().lambda;
            lambda.use_up_concurrency(HERE, true);
            let ended = simulation.play_one("tells", "one", json!({})).await;
            match reserves {
                true => assert!(matches!(ended, ExecutionStatus::Succeeded { .. }), "{ended:?}"),
                false => assert_eq!(error_and_cause(ended).0, "Lambda.TooManyRequestsException"),
            }
            assert_eq!(
                lambda.invoked_while_used_up(),
                [u64::from(reserves), u64::from(!reserves)]
            );
            lambda.use_up_concurrency(HERE, false);
            let ended = simulation.play_one("tells", "two", json!({})).await;
            assert!(matches!(ended, ExecutionStatus::Succeeded { .. }), "{ended:?}");
        });
    }
}
