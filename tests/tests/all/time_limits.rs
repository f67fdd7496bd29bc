//! A step that is too slow says so itself: Step Functions waits longer for it than the step allows itself, and than it
//! takes to keep the timeline.

use std::time::Duration;

use rehearsal::deployment::{MACHINES, STEPS};
use serde_json::Value;
use simulator::simulation::hole;
use tests::stack::TIMELINE;

/// Every Task in a value, with its name: the function's hole and the machine's `TimeoutSeconds`. A Task that waits for
/// people is left out: its time is theirs.
fn tasks(value: &Value, found: &mut Vec<(String, Duration)>) {
    let waits_for_people = value["Resource"]
        .as_str()
        .is_some_and(|resource| resource.ends_with(".waitForTaskToken"));
    if let Some(function) = value
        .pointer("/Arguments/FunctionName")
        .and_then(Value::as_str)
        .filter(|_| !waits_for_people)
    {
        let seconds = value["TimeoutSeconds"].as_u64().unwrap_or_default();
        found.push((function.to_owned(), Duration::from_secs(seconds)));
    }
    let children: Vec<&Value> = match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => return,
    };
    children.into_iter().for_each(|child| tasks(child, found));
}

fn too_short(machine: &Value) -> Vec<String> {
    let mut found = Vec::new();
    tasks(machine, &mut found);
    assert!(!found.is_empty());
    let limit = |function: &str| {
        let step = STEPS
            .iter()
            .find(|step| function == format!("${{{}}}", hole(step.name)));
        step.unwrap_or_else(|| panic!("{function} is no step")).time_limit
    };
    let too_short = found
        .into_iter()
        .filter(|(function, timeout)| *timeout < limit(function) + TIMELINE);
    too_short
        .map(|(function, timeout)| format!("{function} has {timeout:?}"))
        .collect()
}

#[test]
fn machines_wait_longer_than_steps_take() {
    for (name, text) in MACHINES {
        let machine: Value = serde_json::from_str(text).unwrap();
        assert_eq!(too_short(&machine), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_machine_that_does_not_wait_long_enough_is_found() {
    let (_, text) = MACHINES.iter().find(|(name, _)| *name == "region-switch").unwrap();
    let mut machine: Value = serde_json::from_str(text).unwrap();
    machine["States"]["SwitchDns"]["TimeoutSeconds"] = 23.into();
    assert_eq!(too_short(&machine), ["${SwitchDns} has 23s"]);
}
