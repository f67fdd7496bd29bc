//! Accounts for tests: recorded ones, and ones made by hand.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use report::{Account, Breach, Campaign, ScenarioRuns, Spread};
use serde_json::{Value, json};
use shared::plan::{Duration, Objective, Objectives};

/// The names of the recorded accounts.
pub const RECORDED: [&str; 6] = ["approved", "declined", "failed", "recovered", "resumed", "running"];

pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A recorded account.
pub fn recorded(name: &str) -> Account {
    let text = std::fs::read_to_string(file(&format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A recorded account, changed.
pub fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Account {
    let mut account = serde_json::to_value(recorded(name)).unwrap();
    change(&mut account);
    serde_json::from_value(account).unwrap()
}

/// So many seconds after the impact of accounts that are made by hand.
pub fn at(seconds: f64) -> Timestamp {
    Timestamp::from_millisecond(1_767_668_400_000 + (seconds * 1000.0) as i64).unwrap()
}

/// A state that was visited once, and waited for answers all the time.
pub fn step(state: &str, from: f64, to: f64) -> Value {
    json!({
        "execution": "one", "name": state, "state": state, "started_at": at(from), "ended_at": at(to), "attempts": 1,
        "outcome": "succeeded", "last_started_at": at(from), "waited_ms": ((to - from) * 1000.0) as u64, "failures": 0,
    })
}

/// A recovery that an alarm started 180 s after the impact, and that ended healthy.
pub fn made(timeline: Vec<Value>, healthy_at: f64) -> Value {
    let execution = "arn:aws:states:us-west-2:123456789012:execution:a-machine:one";
    json!({
        "header": {
            "id": "made", "workload": "shop", "scenario": "az-failure", "mode": "rehearsal", "wants": { "intent": "decide" },
            "trigger": { "kind": "alarm", "by": "arn:aws:cloudwatch:us-west-2:123456789012:alarm:down", "at": at(180.0) },
            "plan_sha256": "0", "objectives": { "rto": { "target": "15m", "maximum": "1h" } }, "opened_at": at(182.0),
            "execution": execution,
            "closing": {
                "execution": execution, "outcome": "recovered", "reason": null, "closed_at": at(healthy_at + 20.0),
                "evidence": null,
                "observed": { "impact_at": at(0.0), "healthy_at": at(healthy_at), "can_lose_writes": false },
                "achieved": {
                    "rto_seconds": healthy_at, "rto_from_decision_seconds": null, "rpo_seconds": null,
                    "rpo_status": "not-applicable",
                },
                "met": { "rto": "target", "rpo": "not-applicable" },
            },
        },
        "timeline": timeline, "undo": [], "questions": [], "decision": null, "started": null, "announced": [],
        "taken_over_by": null,
    })
}

pub fn account(value: Value) -> Account {
    serde_json::from_value(value).unwrap()
}

/// A campaign of two scenarios, the second of which loses no writes.
pub fn campaign() -> Campaign {
    // Spread without chance: the same on every machine.
    let values = |count: u32, least: f64, each: f64| {
        let value = |i: u32| least + f64::from(i * 37 % count) * each + f64::from(i * i % 17);
        Spread::of((0..count).map(|i| (value(i) * 1000.0).round() / 1000.0).collect())
    };
    let outcomes = |outcomes: &[(&str, u64)]| -> BTreeMap<String, u64> {
        outcomes
            .iter()
            .map(|(name, runs)| ((*name).to_owned(), *runs))
            .collect()
    };
    let objective = |(target, maximum)| Objective {
        target: Duration::from_secs(target),
        maximum: Duration::from_secs(maximum),
    };
    let objectives = |rpo: Option<(u64, u64)>| Objectives {
        rto: objective((3600, 14_400)),
        rpo: rpo.map(objective),
    };
    Campaign {
        title: "1000 rehearsals with seed 7".to_owned(),
        seed: 7,
        runs: 1000,
        took_seconds: 512.4,
        scenarios: vec![
            ScenarioRuns {
                name: "region-failure".to_owned(),
                runs: 700,
                objectives: objectives(Some((300, 3600))),
                commands: [(
                    "failed".to_owned(),
                    "drctl rehearse region-failure --seed 12".to_owned(),
                )]
                .into(),
                outcomes: outcomes(&[("recovered", 672), ("failed", 11), ("declined", 9), ("rolled-back", 8)]),
                rto: values(672, 380.0, 0.9),
                rpo: values(672, 0.2, 0.006),
            },
            ScenarioRuns {
                name: "region-return".to_owned(),
                runs: 300,
                objectives: objectives(None),
                commands: BTreeMap::new(),
                outcomes: outcomes(&[("recovered", 299), ("refused", 1)]),
                rto: values(299, 150.0, 0.4),
                rpo: Spread::default(),
            },
        ],
        faults: [
            ("rds answers late", outcomes(&[("recovered", 400), ("failed", 12)])),
            ("s3 throttles", outcomes(&[("recovered", 77)])),
            ("the lost Region comes back", outcomes(&[("recovered", 31)])),
        ]
        .map(|(name, outcomes)| (name.to_owned(), outcomes))
        .into(),
        breaches: vec![Breach {
            invariant: "one writer at a time".to_owned(),
            what: "two clusters took writes".to_owned(),
            at: "03:07:12".to_owned(),
            seed: 4711,
            command: "drctl rehearse region-failure --seed 4711".to_owned(),
        }],
        plan_sha256: "7d0a".to_owned(),
        version: "0.1.0".to_owned(),
    }
}
