//! EventBridge and its Scheduler as a service. Their APIs are not simulated: nothing calls them.

use std::collections::BTreeMap;

use serde_json::json;

use super::state::Events;
use crate::aws::service::{Parts, Service, parts};
use crate::environment::Environment;
use crate::lock::lock;

impl Service for Events {
    /// The patterns and targets of rules, and the schedules, by Region and name.
    fn snapshot(&self, _: &Environment) -> Parts {
        let rules = lock(&self.rules);
        let rules = rules.iter().map(|((region, name), rule)| {
            let targets: Vec<String> = rule.targets.iter().map(|target| format!("{target:?}")).collect();
            (
                format!("{region}/{name}"),
                json!({ "pattern": rule.pattern, "targets": targets }),
            )
        });
        let schedules = lock(&self.schedules);
        let schedules = schedules.iter().map(|((region, name), planned)| {
            let schedule = &planned.schedule;
            let schedule = json!({
                "every_s": schedule.every.as_secs(),
                "target": schedule.target_arn,
                "input": schedule.input,
            });
            (format!("{region}/{name}"), schedule)
        });
        parts([
            ("rules", json!(rules.collect::<BTreeMap<_, _>>())),
            ("schedules", json!(schedules.collect::<BTreeMap<_, _>>())),
        ])
    }
}
