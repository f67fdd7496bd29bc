//! What a rehearsal does, for `tests/e2e` to compare with what the built functions do on an emulator.
//!
//! Usage: `rehearsed PLAN SCENARIO SEED [FAULT…]`. Prints one JSON object: the outcome, the states that were visited in order, the
//! calls that each function made, and the record as the report reads it.

use std::sync::mpsc;

use drctl::plan_file::read_plan;
use rehearsal::scenarios::kinds_that_fit;
use rehearsal::{Fault, Moment, Script, rehearse, scenarios, vocabulary};
use serde_json::{Value, json};
use states_language::HistoryEvent;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, scenario, seed, faults @ ..] = &*arguments else {
        return Err("usage: rehearsed PLAN SCENARIO SEED [FAULT...]".to_owned());
    };
    let plan = read_plan(plan.as_ref()).map_err(|error| error.to_string())?;
    let disaster = scenarios::ALL.iter().find(|disaster| disaster.name() == scenario);
    let disaster = *disaster.ok_or_else(|| format!("no scenario {scenario}"))?;
    let seed = seed.parse().map_err(|error| format!("SEED: {error}"))?;
    let mut script = Script::new(disaster);
    script.account = true;
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
    let calls: Vec<Value> = rehearsal
        .touched
        .iter()
        .map(|touched| {
            json!({
                "function": touched.function,
                "service": touched.service,
                "operation": touched.operation,
                "region": touched.region,
                "changes": touched.can_change,
            })
        })
        .collect();
    let found = json!({ "outcome": rehearsal.outcome, "visits": visits, "calls": calls });
    println!("{found}");
    Ok(())
}

/// The visit that an event tells of; nothing for what else happens.
fn visit(event: &HistoryEvent) -> Option<Value> {
    let kind = format!("{:?}", event.kind);
    let kind = kind.strip_suffix("StateEntered")?;
    let machine = event.execution_arn.split(':').nth(6)?;
    Some(json!({ "machine": machine, "path": &*event.path, "kind": kind }))
}
