//! How figures of many rehearsals spread: what a report works out, without the figures themselves.

use serde::Serialize;

/// Minimum, median, 95th percentile and maximum of what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many runs measured it.
    pub count: usize,
    /// The least.
    pub minimum: Option<f64>,
    /// The median.
    pub median: Option<f64>,
    /// The 95th percentile, by nearest rank.
    pub p95: Option<f64>,
    /// The most.
    pub maximum: Option<f64>,
}

impl Spread {
    /// Of these values, in any order.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let report::Spread {
            minimum,
            median,
            p95,
            maximum,
            values,
        } = report::Spread::of(values.collect());
        Self {
            count: values.len(),
            minimum,
            median,
            p95,
            maximum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_by_nearest_rank() {
        let spread = Spread::of((1..=100).map(f64::from));
        assert_eq!(
            spread,
            Spread {
                count: 100,
                minimum: Some(1.0),
                median: Some(50.0),
                p95: Some(95.0),
                maximum: Some(100.0)
            }
        );
        assert_eq!(Spread::of(std::iter::once(7.0)).p95, Some(7.0));
        assert_eq!(Spread::of(std::iter::empty()).median, None);
    }
}
