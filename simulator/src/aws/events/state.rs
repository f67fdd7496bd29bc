//! The rules, the schedules, and where deliveries go.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::rules::Rule;

/// EventBridge in all Regions: the default event buses' rules, and the Scheduler's default group.
#[derive(Default)]
pub struct Events {
    pub(super) rules: Mutex<BTreeMap<(String, String), Rule>>,
    pub(super) schedules: Mutex<BTreeMap<(String, String), Planned>>,
    pub(super) schedule_was_put: Notify,
    pub(super) outlet: Mutex<Option<UnboundedSender<Delivery>>>,
    pub(super) failures: Mutex<Vec<String>>,
}

/// A target to be called now.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The Region.
    pub region: String,
    /// The state machine or the function.
    pub target_arn: String,
    /// The execution's input or the function's payload.
    pub input: Value,
    /// The ARN of the rule or schedule that calls.
    pub source: String,
}

/// Calls a target at each full multiple of a time, counted from the epoch.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The name, unique within a Region.
    pub name: String,
    /// The Region.
    pub region: String,
    /// How often: a multiple of a minute.
    pub every: Duration,
    /// The state machine or the function, in the same Region.
    pub target_arn: String,
    /// What it is given.
    pub input: Value,
}

/// A schedule that runs.
pub(super) struct Planned {
    pub(super) schedule: Schedule,
    /// How long after the full multiple it calls. Drawn once, so that calls are evenly spaced.
    pub(super) delay: Duration,
    /// The next full multiple, in seconds since the epoch.
    pub(super) next: i64,
}

impl Planned {
    pub(super) fn due(&self) -> Timestamp {
        second(self.next).checked_add(self.delay).unwrap_or(Timestamp::MAX)
    }
}

pub(super) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}
