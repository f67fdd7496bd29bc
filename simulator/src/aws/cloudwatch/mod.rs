//! CloudWatch: metrics at a resolution of one minute, alarms on one metric each, and composite alarms on those.

mod alarms;
mod composite;
mod evaluation;
mod metric_data;
mod metrics;
mod reason;
mod regions;
mod requests;
mod rule;
mod service;
mod setting;
mod state_change;
#[cfg(test)]
mod tests;
mod times;
mod values;
mod wire;

pub use self::alarms::{Alarm, CompositeAlarm, Suppressor};
pub use self::evaluation::evaluate_alarms;
pub use self::metrics::Metric;
pub use self::regions::CloudWatch;
pub use self::values::{Comparison, MissingData, StateValue, Statistic};
