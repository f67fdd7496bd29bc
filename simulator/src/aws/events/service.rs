//! EventBridge and its Scheduler as a service. Their APIs are not simulated: nothing calls them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::Events;
use crate::aws::resources::Resource;
use crate::aws::service::{Answer, Parts, Service, parts};
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::lock::lock;

impl Service for Events {
    fn endpoint(&self) -> Option<&'static str> {
        None
    }

    fn operation<'a>(&self, _: &'a Call) -> Option<Cow<'a, str>> {
        None
    }

    fn touched(&self, _: &Environment, _: &Call, _: &str) -> Option<Vec<Resource>> {
        None
    }

    fn answer<'a>(&'a self, _: &'a Arc<Environment>, _: &'a Call, operation: &'a str) -> Answer<'a> {
        let message = format!("the simulated EventBridge has no {operation}");
        Reply::json_error(501, "NotSimulated", &message).into()
    }

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
