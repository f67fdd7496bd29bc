//! Executions that end where the host says, and go on from there.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::{Scripted, definition, execution};
use serde_json::{Value, json};
use states_language::{EventKind, ExecutionStatus};

fn counts() -> Value {
    definition(
        "Count",
        json!({
            "Count": {
                "Type": "Pass", "Assign": { "n": "{% $states.input.n + 1 %}" }, "Output": "counted", "Next": "Wait",
            },
            "Wait": { "Type": "Wait", "Seconds": 60, "Next": "Tell" },
            "Tell": { "Type": "Pass", "Output": { "n": "{% $n %}", "input": "{% $states.input %}",
                "redrives": "{% $states.context.Execution.RedriveCount %}", "at": "{% $states.context.Execution.RedriveTime %}" }, "End": true },
        }),
    )
}

#[tokio::test(start_paused = true)]
async fn one_that_was_stopped_goes_on_with_its_variables_and_its_input() {
    let host = Scripted::new();
    let first = execution(&host, &counts(), json!({ "n": 1 }));
    let stop = first.abort_handle();
    let (stopped, ()) = tokio::join!(first.run(), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.stop("Enough", "");
    });
    assert!(matches!(stopped.status, ExecutionStatus::Aborted { .. }));
    let unfinished = stopped.unfinished.clone().unwrap();
    assert_eq!(
        (unfinished.state.as_str(), &*unfinished.input),
        ("Wait", &json!("counted"))
    );
    assert_eq!(unfinished.variables, BTreeMap::from([("n".to_owned(), json!(2))]));

    let events = stopped.history.len();
    let again = execution(&host, &counts(), json!({ "n": 1 }));
    let redriven = again.redriven(unfinished, stopped.history).run().await;
    let ExecutionStatus::Succeeded { output } = &redriven.status else {
        panic!("{:?}", redriven.status)
    };
    assert_eq!(
        *output,
        json!({ "n": 2, "input": "counted", "redrives": 1, "at": "2026-01-01T00:00:05.000Z" })
    );
    assert!(redriven.unfinished.is_none());
    // What was written before stays, and what was done before is not done again.
    assert_eq!(redriven.history[events].kind, EventKind::ExecutionRedriven);
    let counted = redriven.history.iter().filter(|event| &*event.state == "Count");
    assert_eq!(counted.count(), 2, "entered and left once");
    let numbers: Vec<u64> = redriven.history.iter().map(|event| event.id).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_host_ends_an_execution_in_place_of_a_state() {
    for status in [
        ExecutionStatus::TimedOut,
        ExecutionStatus::Aborted {
            error: String::new(),
            cause: String::new(),
        },
        ExecutionStatus::Failed {
            error: "States.Runtime".to_owned(),
            cause: "why".to_owned(),
        },
    ] {
        let host = Scripted::new();
        *host.ends_at.borrow_mut() = Some(("Tell".to_owned(), status.clone()));
        let ended = execution(&host, &counts(), json!({ "n": 1 })).run().await;
        assert_eq!(ended.status, status);
        assert_eq!(ended.unfinished.unwrap().state, "Tell");
    }
}
