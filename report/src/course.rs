//! The time without service in a few pieces, for a first look: what customers waited for, to scale.

use jiff::Timestamp;
use shared::measure::seconds_between;

use crate::path::{CriticalPath, Span, WaitsFor, What};
use crate::timeline::Segment;

/// More pieces than this are no picture for a first look.
const MOST: usize = 6;
/// A piece that is a smaller share of the whole than this is too narrow for a drawing.
const LEAST_SHARE: f64 = 0.01;

/// The critical path in a few pieces. They follow on each other without a gap.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Course {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// Whether it ends with the first healthy answer.
    pub(crate) ends_healthy: bool,
    /// What customers waited for, to be drawn.
    pub(crate) segments: Vec<Segment>,
    pub(crate) pieces: Vec<Piece>,
    /// For how many seconds customers waited for this automation itself: an upper bound.
    pub(crate) ours_at_most: f64,
}

/// A piece of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) name: &'static str,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Piece {
    pub(crate) fn seconds(&self) -> f64 {
        seconds_between(self.from, self.to)
    }
}

impl Course {
    /// The pieces of a critical path; `decided_at` parts looking from what came after. `acted` says whether anything was
    /// changed. Nothing if it takes no time.
    pub(crate) fn of(path: &CriticalPath, decided_at: Option<Timestamp>, acted: bool) -> Option<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        for span in &path.spans {
            let name = name(span, decided_at, path.ends_healthy, acted);
            match pieces.last_mut() {
                Some(last) if last.name == name => last.to = span.to,
                _ => pieces.push(Piece {
                    name,
                    from: span.from,
                    to: span.to,
                }),
            }
        }
        let whole = seconds_between(path.from, path.to);
        while let Some(index) = too_small(&pieces, whole) {
            give_to_a_neighbour(&mut pieces, index);
        }
        (!pieces.is_empty()).then(|| Self {
            from: path.from,
            to: path.to,
            ends_healthy: path.ends_healthy,
            segments: path.spans.iter().map(Segment::of).collect(),
            pieces,
            ours_at_most: path.waiting.ours_at_most_seconds,
        })
    }
}

fn name(span: &Span, decided_at: Option<Timestamp>, ends_healthy: bool, acted: bool) -> &'static str {
    match (&span.what, span.waits_for) {
        (What::Detection, _) => "Detected",
        (What::Delivery, _) => "Until this recovery started",
        (What::Unstarted, WaitsFor::People) => "Waited for a person to start it",
        (What::Unstarted, _) => "Waited for the schedule",
        (What::Question { .. }, _) => "Waited for people to answer",
        (What::Interrupted, _) => "Waited for a person to resume it",
        _ if decided_at.is_none_or(|decided| span.from < decided) => "Checked",
        _ if ends_healthy => "Recovered",
        _ if acted => "Tried to recover",
        _ => "Ended without a change",
    }
}

/// The piece that is to be given to a neighbour: one that is too narrow, or the smallest of too many.
fn too_small(pieces: &[Piece], whole: f64) -> Option<usize> {
    if pieces.len() < 2 {
        return None;
    }
    let (index, least) = pieces
        .iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| a.seconds().total_cmp(&b.seconds()))?;
    (least.seconds() < whole * LEAST_SHARE || pieces.len() > MOST).then_some(index)
}

/// Of two neighbours the longer one takes it, so that the name of the greater part stands over both.
fn give_to_a_neighbour(pieces: &mut Vec<Piece>, index: usize) {
    let given = pieces.remove(index);
    let seconds = |index: Option<usize>| index.and_then(|index| pieces.get(index)).map(Piece::seconds);
    let (before, after) = (seconds(index.checked_sub(1)), seconds(Some(index)));
    if before >= after {
        pieces[index - 1].to = given.to;
    } else {
        pieces[index].from = given.from;
    }
    pieces.dedup_by(|later, earlier| {
        let same = later.name == earlier.name;
        if same {
            earlier.to = later.to;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Waiting;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_668_400 + seconds).unwrap()
    }

    fn path(parts: &[(i64, What, WaitsFor)]) -> CriticalPath {
        let mut from = 0;
        let spans = parts.iter().map(|(to, what, waits_for)| {
            let span = Span {
                from: at(from),
                to: at(*to),
                waits_for: *waits_for,
                what: what.clone(),
            };
            from = *to;
            span
        });
        CriticalPath {
            from: at(0),
            spans: spans.collect(),
            to: at(from),
            ends_healthy: true,
            waiting: Waiting::default(),
        }
    }

    fn work(state: &str) -> What {
        What::Work {
            state: state.to_owned(),
            execution: "one".to_owned(),
        }
    }

    fn question() -> What {
        What::Question {
            question: "q".to_owned(),
        }
    }

    #[test]
    fn pieces_add_up_to_the_whole_and_are_few() {
        let parts = [
            (180, What::Detection, WaitsFor::Aws),
            (181, What::Delivery, WaitsFor::Aws),
            (182, What::Start, WaitsFor::Ours),
            (200, work("AssessRegion"), WaitsFor::Aws),
            (860, question(), WaitsFor::People),
            (862, work("AssessAgain"), WaitsFor::Aws),
            (1000, work("PromoteDatabase"), WaitsFor::Aws),
        ];
        let course = Course::of(&path(&parts), Some(at(862)), true).unwrap();
        let said: Vec<_> = course
            .pieces
            .iter()
            .map(|piece| (piece.name, piece.seconds()))
            .collect();
        // The two seconds of the second look are too narrow: the answers take them.
        assert_eq!(
            said,
            [
                ("Detected", 181.0),
                ("Checked", 19.0),
                ("Waited for people to answer", 662.0),
                ("Recovered", 138.0)
            ]
        );
        assert_eq!(said.iter().map(|(_, seconds)| seconds).sum::<f64>(), 1000.0);
    }

    #[test]
    fn many_questions_are_no_picture_for_a_first_look() {
        let parts: Vec<_> = (1..=20)
            .map(|index| match index % 2 {
                0 => (index * 60, question(), WaitsFor::People),
                _ => (index * 60, work("AssessAgain"), WaitsFor::Aws),
            })
            .collect();
        let course = Course::of(&path(&parts), None, true).unwrap();
        assert!(course.pieces.len() <= MOST, "{:?}", course.pieces);
        assert_eq!(course.pieces.iter().map(Piece::seconds).sum::<f64>(), 1200.0);
        assert!(course.pieces.windows(2).all(|two| two[0].to == two[1].from));
    }

    #[test]
    fn what_takes_no_time_is_no_picture() {
        assert_eq!(Course::of(&path(&[]), None, true), None);
    }
}
