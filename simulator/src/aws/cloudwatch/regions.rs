//! What CloudWatch has in each Region.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::alarms::{Composite, Watch};
use super::metrics::{Metric, Statistics};
use super::times::{MINUTE, beginning};
use super::values::StateValue;
use crate::aws::events::Events;
use crate::lock::lock;

/// CloudWatch in all Regions.
pub struct CloudWatch {
    pub(super) events: Arc<Events>,
    pub(super) regions: Mutex<BTreeMap<String, Regional>>,
    pub(super) alarm_was_put: Notify,
}

/// CloudWatch in one Region.
#[derive(Default)]
pub(super) struct Regional {
    /// For each metric its minutes, by their beginning in seconds since the epoch.
    pub(super) metrics: BTreeMap<Metric, BTreeMap<i64, Statistics>>,
    /// The alarms on metrics, by name.
    pub(super) alarms: BTreeMap<String, Watch>,
    /// The composite alarms, by name.
    pub(super) composites: BTreeMap<String, Composite>,
}

impl CloudWatch {
    /// Empty; `events` is told of each change of an alarm's state.
    pub(crate) fn new(events: &Arc<Events>) -> Self {
        Self {
            events: Arc::clone(events),
            regions: Mutex::default(),
            alarm_was_put: Notify::new(),
        }
    }

    /// Publishes a value of a service's own metric, such as those in `AWS/RDS`.
    pub fn publish(&self, region: &str, metric: &Metric, at: Timestamp, value: f64) {
        lock(&self.regions)
            .entry(region.to_owned())
            .or_default()
            .record(metric, at, Statistics::of(value, 1.0));
    }

    /// The largest value of a metric in each minute that has any, oldest first.
    pub fn largest(&self, region: &str, metric: &Metric) -> Vec<f64> {
        let regions = lock(&self.regions);
        let minutes = regions.get(region).and_then(|here| here.metrics.get(metric));
        let minutes = minutes.into_iter().flat_map(BTreeMap::values);
        minutes.map(|values| values.maximum).collect()
    }

    /// The smallest value of a metric in each minute that begins between two moments, both included, oldest first.
    pub fn between(&self, region: &str, metric: &Metric, from: Timestamp, to: Timestamp) -> Vec<f64> {
        let regions = lock(&self.regions);
        let minutes = regions.get(region).and_then(|here| here.metrics.get(metric));
        let minutes = minutes.map(|minutes| minutes.range(from.as_second()..=to.as_second()));
        minutes
            .into_iter()
            .flatten()
            .map(|(_, values)| values.minimum)
            .collect()
    }

    /// The state of an alarm of either kind, if there is one of this name.
    pub fn alarm_state(&self, region: &str, alarm: &str) -> Option<StateValue> {
        lock(&self.regions).get(region)?.state_value(alarm)
    }
}

impl Regional {
    /// How many values were put of metrics that are not a service's own.
    pub(super) fn values_of_users(&self) -> f64 {
        let metrics = self
            .metrics
            .iter()
            .filter(|(metric, _)| !metric.namespace.starts_with("AWS/"));
        let minutes = metrics.flat_map(|(_, minutes)| minutes.values());
        minutes.map(|values| values.count).sum()
    }

    pub(super) fn record(&mut self, metric: &Metric, at: Timestamp, values: Statistics) {
        let minutes = self.metrics.entry(metric.clone()).or_default();
        let minute = beginning(at, MINUTE);
        let known = minutes.get(&minute).map_or(values, |known| known.and(values));
        minutes.insert(minute, known);
    }
}
