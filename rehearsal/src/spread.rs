//! How figures of many rehearsals spread.

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
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        // Nearest rank: the smallest value that at least this share of all values does not exceed.
        let at = |share: f64| {
            values
                .get(((share * values.len() as f64).ceil() as usize).saturating_sub(1))
                .copied()
        };
        Self {
            count: values.len(),
            minimum: at(0.0),
            median: at(0.5),
            p95: at(0.95),
            maximum: at(1.0),
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
