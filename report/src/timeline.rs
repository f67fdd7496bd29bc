//! What happened when, as rows that are drawn to one scale.

use jiff::Timestamp;

use crate::path::{Span, WaitsFor, What};
use crate::words::length;

/// How many marks the scale has at most.
const MARKS: i64 = 5;
/// Distances between marks, in seconds.
const DISTANCES: [i64; 16] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200,
];

/// Rows that are drawn to one scale.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeline {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// The critical path, all of it.
    pub(crate) path: Vec<Segment>,
    /// In the order in which they began.
    pub(crate) rows: Vec<Row>,
}

/// One thing that took time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) name: String,
    /// What it does, and its result.
    pub(crate) said: Vec<String>,
    pub(crate) on_path: bool,
    pub(crate) failed: bool,
    /// Whether it is only known between which moments it was.
    pub(crate) is_guessed: bool,
    pub(crate) segments: Vec<Segment>,
}

/// A part of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) kind: SegmentKind,
}

/// What a part of a bar stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SegmentKind {
    Detection,
    Aws,
    People,
    Ours,
    /// Not on the critical path: nothing waited for it.
    Beside,
}

impl SegmentKind {
    pub(crate) const ALL: [Self; 5] = [Self::Detection, Self::Aws, Self::People, Self::Ours, Self::Beside];

    fn of(span: &Span) -> Self {
        match (&span.what, span.waits_for) {
            (What::Detection, _) => Self::Detection,
            (_, WaitsFor::Aws) => Self::Aws,
            (_, WaitsFor::People) => Self::People,
            (_, WaitsFor::Ours) => Self::Ours,
        }
    }

    /// Its name in the drawing's style.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Aws => "aws",
            Self::People => "people",
            Self::Ours => "ours",
            Self::Beside => "beside",
        }
    }

    /// What it means.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::Detection => "waits for the alarm",
            Self::Aws => "waits for AWS, at least",
            Self::People => "waits for people",
            Self::Ours => "our own time, at most",
            Self::Beside => "not on the critical path",
        }
    }
}

impl Segment {
    pub(crate) fn of(span: &Span) -> Self {
        Self {
            from: span.from,
            to: span.to,
            kind: SegmentKind::of(span),
        }
    }
}

/// Where a moment lies between two others, in per cent.
pub(crate) fn position(from: Timestamp, to: Timestamp, at: Timestamp) -> f64 {
    let whole = to.as_millisecond() - from.as_millisecond();
    let part = at.as_millisecond() - from.as_millisecond();
    if whole <= 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0)
}

impl Timeline {
    /// The marks of the scale: where each lies, and how long after the beginning that is.
    pub(crate) fn marks(&self) -> Vec<(f64, String)> {
        let whole = (self.to.as_millisecond() - self.from.as_millisecond()) as f64 / 1000.0;
        let fits = |distance: &i64| whole / (*distance as f64) <= MARKS as f64 - 1.0;
        let longest = (whole / (MARKS as f64 - 1.0)).ceil().max(1.0) as i64;
        let distance = DISTANCES.into_iter().find(fits).unwrap_or(longest);
        let marks = (0..MARKS)
            .map(|mark| mark * distance)
            .filter(|mark| *mark as f64 <= whole);
        marks
            .map(|mark| {
                let position = if whole > 0.0 { mark as f64 / whole * 100.0 } else { 0.0 };
                (position, format!("+{}", length(mark as f64)))
            })
            .collect()
    }
}
