//! Metrics, and what is known of their values.

use std::collections::BTreeMap;

use super::values::Statistic;

/// What identifies a metric within a Region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// The namespace, `AWS/…` for services' own.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The dimensions. Other dimensions make another metric.
    pub dimensions: BTreeMap<String, String>,
}

/// What is known of a time's values. Their unit is not kept: nobody here can ask for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Statistics {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
}

impl Statistics {
    pub(super) fn of(value: f64, count: f64) -> Self {
        Self {
            count,
            sum: value * count,
            minimum: value,
            maximum: value,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
        }
    }

    pub(super) fn read(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Average => self.sum / self.count,
            Statistic::Minimum => self.minimum,
            Statistic::Maximum => self.maximum,
            Statistic::Sum => self.sum,
            Statistic::SampleCount => self.count,
        }
    }
}

/// What is known of the minutes from `from` to before `to`.
pub(super) fn together(minutes: &BTreeMap<i64, Statistics>, from: i64, to: i64) -> Option<Statistics> {
    minutes
        .range(from..to)
        .map(|(_, statistics)| *statistics)
        .reduce(Statistics::and)
}
