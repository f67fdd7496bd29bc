//! Alarms of either kind, and their states.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::metrics::Metric;
use super::rule::AlarmRule;
use super::times::{alarm_time, second};
use super::values::{Comparison, MissingData, StateValue, Statistic};
/// The longest name of an alarm, in characters (CloudWatch API Reference, PutMetricAlarm and PutCompositeAlarm).
pub(super) const NAME_LIMIT: usize = 255;

/// An alarm on one metric.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// The name, unique within a Region.
    pub name: String,
    /// The description; can be empty.
    pub description: String,
    /// What is watched.
    pub metric: Metric,
    /// More that is watched: with any, the alarm is on metric math, `MAX` over all of them. Source: CloudWatch User Guide, "Using
    /// math expressions with CloudWatch metrics". Assumed: a metric without a datapoint leaves a period to the others.
    pub or_metrics: Vec<Metric>,
    /// How a period's values become one.
    pub statistic: Statistic,
    /// The period: a multiple of a minute.
    pub period: Duration,
    /// How many datapoints are evaluated: N.
    pub evaluation_periods: u32,
    /// How many of them must breach for an alarm: M.
    pub datapoints_to_alarm: u32,
    /// The threshold, in the metric's unit.
    pub threshold: f64,
    /// When a datapoint breaches it.
    pub comparison: Comparison,
    /// What is made of periods without datapoints.
    pub treat_missing_data: MissingData,
    /// Whether the alarm's own actions are on. EventBridge hears of every change of state, whether they are or not.
    pub actions_enabled: bool,
}

impl Alarm {
    /// All that is watched.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        std::iter::once(&self.metric).chain(&self.or_metrics)
    }

    /// What is made of several metrics, which are `m0`, `m1` and so on.
    pub fn expression(&self) -> String {
        let ids: Vec<String> = (0..=self.or_metrics.len()).map(|index| format!("m{index}")).collect();
        format!("MAX([{}])", ids.join(", "))
    }
}

/// An alarm that is watched.
pub(super) struct Watch {
    pub(super) alarm: Alarm,
    pub(super) arn: String,
    /// The name that CloudWatch makes up for the metric, in events.
    pub(super) metric_id: String,
    pub(super) configured_at: Timestamp,
    pub(super) state: State,
    /// How long after the end of a period it is evaluated. Alarms keep such an offset, so it is drawn once for each.
    pub(super) delay: Duration,
    /// The end of the next period to evaluate, in seconds since the epoch.
    pub(super) period_end: i64,
}

impl Watch {
    pub(super) fn due(&self) -> Timestamp {
        second(self.period_end)
            .checked_add(self.delay)
            .unwrap_or(Timestamp::MAX)
    }
}

/// A state and since when and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) value: StateValue,
    pub(super) reason: String,
    /// JSON; nothing before the first evaluation.
    pub(super) reason_data: Option<String>,
    pub(super) updated_at: Timestamp,
    /// What suppresses the actions; nothing does those of an alarm on a metric.
    pub(super) suppressed_by: Option<SuppressedBy>,
}

impl State {
    pub(super) fn in_event(&self) -> Value {
        let mut state = json!({
            "reason": self.reason,
            "timestamp": alarm_time(self.updated_at),
            "value": self.value.name(),
        });
        if let Some(data) = &self.reason_data {
            state["reasonData"] = json!(data);
        }
        if let Some(by) = self.suppressed_by {
            state["actionsSuppressedBy"] = json!(by.name());
            state["actionsSuppressedReason"] = json!(by.reason());
        }
        state
    }
}

/// Errors: a text, if no alarm can have this name.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > NAME_LIMIT {
        return Err(format!("'{name}' is not an alarm's name"));
    }
    Ok(())
}

/// An alarm on other alarms of its account and Region.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeAlarm {
    /// The name, unique within a Region, among metric alarms too.
    pub name: String,
    /// The description; can be empty.
    pub description: String,
    /// When it goes off, as `ALARM("a") OR NOT OK("b")`.
    pub rule: String,
    /// Whether the alarm's own actions are on. EventBridge hears of every change of state, whether they are or not.
    pub actions_enabled: bool,
    /// What keeps its actions from being taken, if anything does.
    pub suppressor: Option<Suppressor>,
}

/// An alarm that keeps a composite alarm from acting while it is in ALARM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressor {
    /// The alarm's name or ARN.
    pub alarm: String,
    /// How long the composite alarm waits, after each change of its state, for the suppressor to go into ALARM.
    pub wait: Duration,
    /// How long it waits, after the suppressor left ALARM, before it acts.
    pub extension: Duration,
}

/// What suppresses the actions of a composite alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SuppressedBy {
    WaitPeriod,
    ExtensionPeriod,
    Alarm,
}

impl SuppressedBy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WaitPeriod => "WaitPeriod",
            Self::ExtensionPeriod => "ExtensionPeriod",
            Self::Alarm => "Alarm",
        }
    }

    /// Why, in AWS's words; those for `Alarm` are made like the others.
    pub(super) fn reason(self) -> String {
        format!("Actions suppressed by {}", self.name())
    }
}

/// A composite alarm that is watched.
pub(super) struct Composite {
    pub(super) alarm: CompositeAlarm,
    /// Its alarms are names.
    pub(super) rule: AlarmRule,
    /// The suppressor's name.
    pub(super) suppressor: Option<String>,
    pub(super) arn: String,
    pub(super) configured_at: Timestamp,
    pub(super) state: State,
    pub(super) transitioned_at: Timestamp,
    /// When its wait or extension ends.
    pub(super) suppressed_until: Option<Timestamp>,
}
