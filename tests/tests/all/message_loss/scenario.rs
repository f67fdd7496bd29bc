//! What the scenario's module says, and a plan that protects against it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::plan::{Duration, Plan, Site};
use shared::scenario::Scenario;
use shared::scenario::module::{Deadline, Module};

/// Messages that should have been delivered pile up in the dead-letter queue.
pub struct MessageLoss;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// The queue whose messages are lost.
    pub queue: String,
}

impl Default for Wants {
    fn default() -> Self {
        Self {
            queue: "orders".to_owned(),
        }
    }
}

/// The machine's own part of the plan.
#[derive(Serialize)]
pub struct Slice {
    /// The Region whose queue it is.
    pub queue_region: String,
}

impl Module for MessageLoss {
    const SCENARIO: Scenario = Scenario::of_tests("message-loss");
    const TITLE: &'static str = "Loss of messages";
    const MACHINE: Option<&'static str> = Some(super::MACHINE);
    const LOSES_WRITES: bool = false;
    const DEADLINES: &'static [Deadline] = &[Deadline::of_plan(
        "move",
        "Until every lost message is back in its queue.",
        Duration::from_secs(30 * 60),
    )];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &["move"];
    type Wants = Wants;
    type Slice = Slice;

    fn slice(_: &Plan, here: &Site) -> Slice {
        Slice {
            queue_region: here.region.clone(),
        }
    }
}

/// The alarm that starts it, once a person approves.
pub const ALARM: &str = "radiant-dead-letters";

/// RADIANT's plan, which protects against this too.
pub fn plan() -> Plan {
    Scenario::add::<MessageLoss>().unwrap();
    let mut plan: Value = serde_json::to_value(crate::common::plan()).unwrap();
    plan["scenarios"]["message-loss"] = json!({
        "severity": "sev2",
        "objectives": { "rto": { "target": "30m", "maximum": "2h" } },
        "approvals": 1,
        "cool_down": "15m",
        "deadlines": { "move": "10m" },
    });
    let alarm = json!({ "name": ALARM, "region": "standby", "scenario": "message-loss", "start": "approve" });
    plan["alarms"].as_array_mut().unwrap().push(alarm);
    serde_json::from_value(plan).unwrap()
}
