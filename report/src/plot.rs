//! How the achieved times of many rehearsals are distributed, as a drawing.

use crate::words::length;

/// How many bars a drawing has at most.
const BARS: usize = 24;
/// Fewer values than this are drawn one by one: bars of one or two would look like a distribution.
const DOTS: usize = 20;

/// A histogram of values in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plot {
    /// What is counted, for whoever cannot see it.
    pub(crate) title: String,
    /// Bars beside each other, the one with the least values first.
    pub(crate) bars: Vec<Bar>,
    /// Each value, in place of the bars, if there are few.
    pub(crate) dots: Vec<f64>,
    /// Lines across it: what each is, and where.
    pub(crate) lines: Vec<(&'static str, f64)>,
    /// Lines that lie outside of it.
    pub(crate) outside: Vec<(&'static str, f64)>,
    /// Where the drawing begins and ends, in seconds.
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// One bar: how many values lie from `from` on and below `to`; the last one's upper end belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) count: usize,
}

impl Plot {
    /// The distribution of `values`, which may be in any order; nothing if there are none. `lines` that lie within are
    /// drawn across; the others are named.
    pub(crate) fn of(title: &str, values: &[f64], lines: &[(&'static str, Option<f64>)]) -> Option<Self> {
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        let width = width(most - least);
        let from = (least / width).floor() * width;
        let count = (((most - from) / width).floor() as usize + 1).max(1);
        let mut bars: Vec<Bar> = (0..count)
            .map(|bar| Bar {
                from: from + bar as f64 * width,
                to: from + (bar + 1) as f64 * width,
                count: 0,
            })
            .collect();
        for value in values {
            let bar = (((value - from) / width).floor() as usize).min(count - 1);
            bars[bar].count += 1;
        }
        let to = from + count as f64 * width;
        let known = lines.iter().filter_map(|(name, at)| Some((*name, (*at)?)));
        let (lines, outside) = known.partition(|(_, at)| (from..=to).contains(at));
        Some(Self {
            title: title.to_owned(),
            bars,
            dots: if values.len() < DOTS {
                values.to_vec()
            } else {
                Vec::new()
            },
            lines,
            outside,
            from,
            to,
        })
    }

    /// Where a value lies, in per cent of the width.
    pub(crate) fn position(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from) * 100.0
    }

    /// The tallest bar's count.
    pub(crate) fn tallest(&self) -> usize {
        self.bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1)
    }
}

impl Plot {
    /// What lies outside of the drawing, in a sentence; empty if nothing does.
    pub(crate) fn outside_in_words(&self) -> String {
        let outside = self.outside.iter().map(|(name, at)| format!("{name} {}", length(*at)));
        let outside: Vec<String> = outside.collect();
        match outside.is_empty() {
            true => String::new(),
            false => format!(" Outside of the drawing: {}.", outside.join(", ")),
        }
    }
}

/// A round width of a bar, in seconds, for values that lie this far apart.
fn width(range: f64) -> f64 {
    let rounds = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
    ];
    let found = rounds.into_iter().find(|width| range / width < BARS as f64 - 1.0);
    found.unwrap_or_else(|| (range / (BARS as f64 - 2.0) / 3600.0).ceil() * 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_one_bar() {
        for values in [
            vec![5.0],
            vec![0.0, 0.0, 0.0],
            vec![0.1, 0.3, 0.7, 1.0],
            (0..1000).map(|value| f64::from(value) * 1.7).collect(),
            vec![1.0, 500_000.0],
        ] {
            let plot = Plot::of("t", &values, &[]).unwrap();
            assert!(plot.bars.len() <= BARS, "{} bars for {}", plot.bars.len(), values.len());
            let counted: usize = plot.bars.iter().map(|bar| bar.count).sum();
            assert_eq!(counted, values.len());
            for bar in &plot.bars {
                let within = values.iter().filter(|value| (bar.from..bar.to).contains(value)).count();
                assert_eq!(within, bar.count, "{bar:?}");
            }
        }
        assert_eq!(Plot::of("t", &[], &[]), None);
        assert_eq!(Plot::of("t", &[3.0, 1.0], &[]).unwrap().dots, [3.0, 1.0]);
        assert_eq!(Plot::of("t", &[1.0; DOTS], &[]).unwrap().dots, [0.0; 0]);
    }

    #[test]
    fn lines_are_where_the_values_are() {
        let plot = Plot::of(
            "t",
            &[10.0, 20.0],
            &[("median", Some(15.0)), ("target", Some(900.0)), ("none", None)],
        );
        let plot = plot.unwrap();
        assert_eq!(plot.lines, [("median", 15.0)]);
        assert_eq!(plot.outside, [("target", 900.0)]);
        assert!((0.0..=100.0).contains(&plot.position(15.0)));
    }
}
