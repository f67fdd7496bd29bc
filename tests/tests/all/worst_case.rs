//! The worst case that is added up is the one that happens: the real machine is run by the interpreter with everything
//! going as badly as it can, and its history is counted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rehearsal::deployment::STEPS;
use serde_json::{Value, json};
use shared::scenario::Scenario;
use shared::slices::longest_deadlines;
use states_language::{
    Execution, ExecutionIdentity, ExecutionStatus, HistoryEvent, Host, ListCall, ListedObject, ObjectCall,
    ObjectReader, ObjectWriter, StateMachine, TaskCall, TaskFailure, TaskTokens,
};
use tests::contract::{self, OTHER_HOLES};
use tests::step_input::{StepInput, pascal_case};
use tokio::time::Instant;

/// A world in which every Task fails as often as it is retried, nothing takes time, people are asked whatever can be asked
/// and say yes, the switchover never ends, Route 53 forgets each change, and all waits end just after their deadline.
struct Worst {
    tokens: TaskTokens,
    machine: Arc<StateMachine>,
    began: Instant,
    promoted: Cell<Option<Instant>>,
    switched: Cell<Option<Instant>>,
}

impl Worst {
    fn result(&self, state: &str) -> Option<Value> {
        let late = |since: &Cell<Option<Instant>>, deadline: u64| {
            let since = since.get().unwrap_or_else(|| panic!("{state} comes too early"));
            since.elapsed().as_secs() > deadline
        };
        let longest = longest_deadlines(Scenario::REGION_FAILURE);
        let assessed = |way: &str, id: &str| {
            json!({
                "blockers": [], "impact_at": null, "decided_at": "2026-01-01T00:00:00Z", "can_lose_writes": true,
                "way": way, "also_tell": null, "fence_confirmable": true, "already_here": false, "impact_assumed": false,
                "ask": { "id": id, "people": 2, "headline": "h", "shown": [] },
            })
        };
        let payload = match state {
            "AssessRegion" => assessed("switchover", "one"),
            "AssessAgain" => assessed("switchover", "another"),
            "AssessFailover" => assessed("failover", "third"),
            "FenceRegion" => json!({ "confirmed": false, "summary": "not fenced" }),
            "PromoteDatabase" | "FailOver" => json!({}),
            "CheckDatabase" if late(&self.promoted, longest["database_seconds"]) => {
                json!({ "ready": true, "seen_at": "2026-01-01T00:00:00Z", "last_surviving_at": null, "last_committed_at": null })
            }
            "ActivateRegion" => json!({ "active": 1, "of": 1, "failed": [], "unnoted": [] }),
            "EnableEventSources" => json!({ "active": 1, "of": 1, "failed": [], "unnoted": [] }),
            "SwitchDns" | "SubmitDnsAgain" => {
                json!({ "change": "C1", "unnoted": [{ "resource": { "text": "r" }, "reason": "no record" }] })
            }
            "CheckDns" => json!({ "in_sync": false, "gone": true }),
            "CheckHealth" if late(&self.switched, longest["health_seconds"]) => {
                json!({ "healthy": true, "so_far": { "first_at": null } })
            }
            // What is waited for fails to the last.
            "CheckDatabase" | "CheckSwitchover" | "CheckHealth" => return None,
            other => panic!("the worst case does not know {other}; tell it"),
        };
        Some(payload)
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, TaskFailure>> + 'a>>;

impl Host for Worst {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::try_from(self.began.elapsed()).unwrap()
    }

    fn random(&self) -> f64 {
        0.0
    }

    fn uuid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".to_owned()
    }

    fn task(&self, call: TaskCall) -> Answer<'_, Value> {
        let state = call.state_name.as_str();
        // Time counts from when the state is entered, which is its first attempt.
        match state {
            "PromoteDatabase" | "FailOver" if call.attempt == 0 => self.promoted.set(Some(Instant::now())),
            "SwitchDns" if call.attempt == 0 => self.switched.set(Some(Instant::now())),
            _ => {}
        }
        let retries: u64 = self
            .machine
            .state(&call.state_path)
            .unwrap()
            .retry
            .iter()
            .map(|retrier| retrier.max_attempts)
            .sum();
        if let Some(token) = &call.task_token {
            if call.attempt == retries {
                self.tokens.send_success(token, r#"{"answer":"approved"}"#).unwrap();
                return Box::pin(std::future::ready(Ok(json!({}))));
            }
            return Box::pin(std::future::ready(Err(TaskFailure::new(
                "Unavailable",
                "as bad as can be",
            ))));
        }
        let result = self.result(state).filter(|_| call.attempt == retries);
        let answer = result.map(|payload| json!({ "Payload": payload }));
        Box::pin(std::future::ready(
            answer.ok_or_else(|| TaskFailure::new("Unavailable", "as bad as can be")),
        ))
    }

    fn get_object(&self, _: ObjectCall) -> Answer<'_, Box<dyn ObjectReader>> {
        unreachable!("there is no Map")
    }

    fn list_objects(&self, _: ListCall) -> Answer<'_, Vec<ListedObject>> {
        unreachable!("there is no Map")
    }

    fn put_object(&self, _: ObjectCall) -> Answer<'_, Box<dyn ObjectWriter>> {
        unreachable!("there is no Map")
    }

    fn observe(&self, _: &HistoryEvent) {}
}

#[tokio::test(start_paused = true)]
async fn what_is_added_up_is_what_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("statemachines/region-switch.asl.json")).unwrap();
    let called: Vec<&str> = STEPS
        .iter()
        .map(|step| step.name)
        .filter(|name| text.contains(&format!("${{{}}}", pascal_case(name))))
        .collect();
    let read = |folder: &&str| StepInput::of_step(&root.join("functions"), folder).unwrap();
    let steps: Vec<StepInput> = called.iter().map(read).collect();
    let added_up = contract::check("region-switch", &text, &steps).worst_case.unwrap();

    let mut machine: Value = serde_json::from_str(&text).unwrap();
    // All deadlines at their longest outlast the machine's own time.
    machine["TimeoutSeconds"] = json!(100_000);
    let mut holes: BTreeMap<_, _> = called
        .iter()
        .map(|folder| (pascal_case(folder), (*folder).to_owned()))
        .collect();
    holes.extend(OTHER_HOLES.map(|(hole, filling)| (hole.to_owned(), filling.to_owned())));
    let machine = Arc::new(StateMachine::parse("region-switch", &machine.to_string(), &holes).unwrap());
    let tokens = TaskTokens::new();
    let host = Worst {
        tokens: tokens.clone(),
        machine: Arc::clone(&machine),
        began: Instant::now(),
        promoted: Cell::default(),
        switched: Cell::default(),
    };
    let identity = ExecutionIdentity {
        arn: "arn:aws:states:us-west-2:123456789012:execution:region-switch:worst".to_owned(),
        name: "worst".to_owned(),
        role_arn: "arn:aws:iam::123456789012:role/region-switch".to_owned(),
        state_machine_arn: "arn:aws:states:us-west-2:123456789012:stateMachine:region-switch".to_owned(),
        state_machine_name: "region-switch".to_owned(),
        start_time: host.now(),
    };
    let input = json!({
        "recovery": {}, "after": null,
        "wants": {
            "scenario": "region-failure", "mode": "rehearsal", "intent": "decide", "always_ask": true,
            "triggered_at": "2026-01-01T00:00:00Z", "started_by": "arn:p",
        },
        "plan": {
            "here": { "region": "b", "topic_arn": "t", "cluster": "c" }, "other": { "region": "a" },
            "database": {}, "probe": {}, "functions": [], "observer": null, "dns": { "name": "n" }, "health": { "url": "u" },
            "objectives": {}, "approval": { "answer_within_seconds": 900, "same_person": "name-before-at" }, "deadlines": longest_deadlines(Scenario::REGION_FAILURE),
            "reports": {},
        },
    });
    let execution = Execution::new(machine, input, identity, Rc::new(host), tokens);
    let result = execution.run().await;
    assert!(
        matches!(result.status, ExecutionStatus::Succeeded { .. }),
        "{:?}",
        result.status
    );

    let happened = u64::try_from(result.history.len()).unwrap();
    println!("region-switch: {happened} events happened, {added_up} were added up");
    assert!(
        happened <= added_up,
        "{happened} events happened, and only {added_up} were added up"
    );
    // What is added up beyond it: failing expressions, the states behind catchers that this run does not meet, and the
    // turns of the health loop that the loop before it, which counts from the same moment, has used up: 60 of 14 events.
    assert!(
        happened + 900 >= added_up,
        "{happened} events happened, far from the {added_up} that were added up"
    );
}
