//! What a rehearsal does, for `tests/e2e` to compare with what the built functions do on an emulator.
//!
//! Usage: `rehearsed PLAN SCENARIO SEED [--stop-at STEP] [FAULT…]`. Prints one JSON object: the outcome, the states that were visited
//! in order, the permissions that each function's calls took, and the last recovery's report.

use std::sync::mpsc;

use drctl::plan_file::read_plan;
use rehearsal::scenarios::kinds_that_fit;
use rehearsal::{Fault, Moment, Script, rehearse, scenarios, vocabulary};
use serde_json::{Value, json};
use states_language::HistoryEvent;
use tests::iam::{operations, required};

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, scenario, seed, rest @ ..] = &*arguments else {
        return Err("usage: rehearsed PLAN SCENARIO SEED [--stop-at STEP] [FAULT...]".to_owned());
    };
    let plan = read_plan(plan.as_ref()).map_err(|error| error.to_string())?;
    let disaster = scenarios::ALL.iter().find(|disaster| disaster.name() == scenario);
    let disaster = *disaster.ok_or_else(|| format!("no scenario {scenario}"))?;
    let seed = seed.parse().map_err(|error| format!("SEED: {error}"))?;
    let mut script = Script::new(disaster);
    script.account = true;
    let faults = match rest {
        [option, step, faults @ ..] if option == "--stop-at" => {
            script.stop_at = Some(step.clone());
            faults
        }
        faults => faults,
    };
    for fault in faults {
        script
            .faults
            .push(Fault::read(fault, kinds_that_fit(disaster), &vocabulary([disaster]))?);
    }
    let (send, moments) = mpsc::channel();
    let rehearsal = rehearse(&plan, &script, seed, move |moment| {
        if let Moment::Machine(event) = moment {
            // The receiver lives as long as the rehearsal.
            drop(send.send(event));
        }
    })?;
    let visits: Vec<Value> = moments.iter().filter_map(|event| visit(&event)).collect();
    let table = operations();
    let mut calls = Vec::new();
    for touched in &rehearsal.touched {
        for required in required(touched, &table)? {
            calls.push(json!({
                "function": touched.function,
                "home": touched.from_region,
                "region": touched.region,
                "action": required.action,
                "resource": required.resource,
                "changes": touched.can_change,
            }));
        }
    }
    let report = rehearsal.account.as_ref().map(report::json).transpose();
    let report = report.map_err(|error| error.to_string())?;
    let report: Option<Value> = report
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| error.to_string())?;
    let found = json!({ "outcome": rehearsal.outcome, "visits": visits, "calls": calls, "report": report });
    println!("{found}");
    Ok(())
}

/// The visit that an event tells of; nothing for what else happens.
fn visit(event: &HistoryEvent) -> Option<Value> {
    let kind = format!("{:?}", event.kind);
    let kind = kind.strip_suffix("StateEntered")?;
    let mut parts = event.execution_arn.split(':').skip(3);
    let (region, machine, execution) = (parts.next()?, parts.nth(2)?, parts.next()?);
    Some(json!({ "region": region, "machine": machine, "execution": execution, "path": &*event.path, "kind": kind }))
}
