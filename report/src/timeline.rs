//! What happened when, as rows that are drawn to one scale.

use jiff::Timestamp;
use shared::record::{Closing, TimelineStep};

use crate::Account;
use crate::path::{CriticalPath, Span, WaitsFor, What, parts, polls};
use crate::words::{humanised, in_short, length, name, of_state, of_step};

/// The step that ends every execution.
const CLOSES: &str = "close-recovery";
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
    /// What it is, and what came of it.
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
            Self::Detection => "waits for AWS to raise the alarm",
            Self::Aws => "waits for AWS, at least",
            Self::People => "waits for people",
            Self::Ours => "this automation itself, at most",
            Self::Beside => "held nothing up",
        }
    }
}

impl Segment {
    fn of(span: &Span) -> Self {
        Self {
            from: span.from,
            to: span.to,
            kind: SegmentKind::of(span),
        }
    }
}

/// What a part of the path is called.
pub(crate) fn span_in_words(account: &Account, span: &Span) -> String {
    let polled = |state: &str| account.timeline.iter().any(|step| step.state == *state && polls(step));
    match &span.what {
        What::Detection => "Customers suffer; CloudWatch gathers datapoints until the alarm goes off".to_owned(),
        What::Unstarted => "Nobody has started a recovery yet".to_owned(),
        What::Delivery => "The alarm's event is on its way".to_owned(),
        What::Start => "The recovery is started".to_owned(),
        What::Work { state, .. } => format!("{state} works"),
        What::Answers { state, .. } if polled(state) => format!("{state} looks again and again"),
        What::Answers { state, .. } => format!("{state} waits for answers"),
        What::LastPause { state, .. } => format!("{state} pauses before it looks for the last time"),
        What::Between { after, before, .. } if span.waits_for == WaitsFor::Aws => {
            format!("{before} pauses before it looks for the first time, after {after}")
        }
        What::Between { after, before, .. } => format!("On from {after} to {before}"),
        What::Question { question } => format!("People are asked: {}", headline(account, question)),
        What::Interrupted => "It had ended; nobody had gone on with it yet".to_owned(),
        What::Ending => "On to the end".to_owned(),
    }
}

/// What a question asks.
fn headline(account: &Account, question: &str) -> String {
    let asked = account.questions.iter().find(|asked| asked.ask.id == *question);
    asked.map_or_else(|| question.to_owned(), |asked| asked.ask.headline.clone())
}

/// The rows of a recovery.
pub(crate) fn timeline(account: &Account, path: &CriticalPath) -> Timeline {
    let mut rows: Vec<Row> = account
        .timeline
        .iter()
        .map(|step| row_of_step(account, path, step))
        .collect();
    rows.extend(path.spans.iter().filter_map(|span| row_of_span(account, span)));
    rows.extend(
        account
            .endings()
            .filter_map(|closing| row_of_silent_failure(account, closing)),
    );
    rows.sort_by_key(|row| (row.from, row.to));
    let ends = rows.iter().map(|row| row.to);
    Timeline {
        from: path.from.min(rows.first().map_or(path.from, |row| row.from)),
        to: ends.fold(path.to, Timestamp::max),
        path: path.spans.iter().map(Segment::of).collect(),
        rows,
    }
}

/// A part of the path that belongs to no state.
fn row_of_span(account: &Account, span: &Span) -> Option<Row> {
    let (name, said) = match &span.what {
        What::Detection => ("Detection", span_in_words(account, span)),
        What::Unstarted => ("Not started yet", span_in_words(account, span)),
        What::Delivery => ("Delivery", span_in_words(account, span)),
        What::Start => ("Start", span_in_words(account, span)),
        What::Question { question } => ("People are asked", headline(account, question)),
        What::Interrupted => ("Interrupted", span_in_words(account, span)),
        _ => return None,
    };
    Some(Row {
        from: span.from,
        to: span.to,
        name: name.to_owned(),
        said: vec![said],
        on_path: true,
        failed: false,
        is_guessed: false,
        segments: vec![Segment::of(span)],
    })
}

fn row_of_step(account: &Account, path: &CriticalPath, step: &TimelineStep) -> Row {
    let on_path: Vec<Segment> = path
        .spans
        .iter()
        .filter(|span| belongs_to(span, step))
        .map(Segment::of)
        .collect();
    let own = parts(account, step);
    let ended = own.last().map_or(step.started_at, |last| last.to);
    let began_beside = on_path.last().map_or(step.started_at, |last| last.to);
    let mut segments = on_path.clone();
    if began_beside < ended {
        segments.push(Segment {
            from: began_beside,
            to: ended,
            kind: SegmentKind::Beside,
        });
    }
    Row {
        from: step.started_at,
        to: ended,
        name: step.state.clone(),
        said: what_came_of(account, step),
        on_path: !on_path.is_empty(),
        failed: step.outcome.as_deref().is_some_and(|outcome| outcome != "succeeded"),
        is_guessed: false,
        segments,
    }
}

/// A state that failed without a line of its own: its function never came so far. It was between the last one that ended
/// and the closing.
fn row_of_silent_failure(account: &Account, closing: &Closing) -> Option<Row> {
    let state = account.silent_failure(closing)?;
    let execution = name(&closing.execution);
    let of_it = || account.timeline.iter().filter(|step| step.execution == execution);
    let to = of_it()
        .find(|step| step.name == CLOSES)
        .map_or(closing.closed_at, |step| step.started_at);
    let ended = of_it().filter_map(|step| step.ended_at).filter(|ended| *ended <= to);
    let error = cause(closing).map_or_else(|| "no error is known".to_owned(), in_short);
    // What it advises is said where it is said why the recovery ended.
    let error = error.split("; ").next().unwrap_or_default();
    Some(Row {
        from: ended.max().unwrap_or(to),
        to,
        name: state.to_owned(),
        said: of_state(state, &account.here(), &account.other())
            .into_iter()
            .chain([
                error.to_owned(),
                "its function did not come so far as to leave a line in the record".to_owned(),
            ])
            .collect(),
        on_path: false,
        failed: true,
        is_guessed: true,
        segments: Vec::new(),
    })
}

/// Why an execution fell short, without the name of the state and without what stands, both of which are told beside it.
pub(crate) fn cause(closing: &Closing) -> Option<&str> {
    let reason = closing.reason.as_deref()?;
    let (cause, _) = reason.split_once(". What was changed stands: ").unwrap_or((reason, ""));
    let state = closing.failed_state.as_deref().unwrap_or_default();
    let without = cause.strip_prefix(state).and_then(|rest| rest.strip_prefix(": "));
    Some(without.filter(|_| !state.is_empty()).unwrap_or(cause))
}

impl Account {
    /// The state that failed, where the timeline has no line of it.
    pub(crate) fn silent_failure<'a>(&self, closing: &'a Closing) -> Option<&'a str> {
        let state = closing.failed_state.as_deref()?;
        let execution = name(&closing.execution);
        let has_a_line = |step: &TimelineStep| step.state == state && step.execution == execution;
        (!self.timeline.iter().any(has_a_line)).then_some(state)
    }
}

fn belongs_to(span: &Span, step: &TimelineStep) -> bool {
    match &span.what {
        What::Work { state, execution }
        | What::Answers { state, execution }
        | What::LastPause { state, execution }
        | What::Between {
            before: state,
            execution,
            ..
        } => *state == step.state && *execution == step.execution,
        _ => false,
    }
}

fn what_came_of(account: &Account, step: &TimelineStep) -> Vec<String> {
    let mut said: Vec<String> = of_step(&step.name, &account.here(), &account.other())
        .into_iter()
        .collect();
    if said.is_empty() {
        said.push(humanised(&step.name));
    }
    if polls(step) {
        said.push(format!("looked {} times until it was so", step.attempts));
    } else if step.attempts > 1 {
        said.push(format!("tried {} times", step.attempts));
    }
    if step.failures > 0 {
        let times = if step.failures == 1 { "once" } else { "more than once" };
        said.push(format!(
            "failed {times}: {}",
            step.last_failure
                .as_deref()
                .map_or_else(|| "no error is known".to_owned(), in_short)
        ));
    }
    match step.outcome.as_deref() {
        Some("succeeded") => {}
        Some(error) if step.last_failure.as_deref() == Some(error) => {}
        Some(error) => said.push(in_short(error)),
        None if account.header.ended().is_none() => said.push("has not answered yet".to_owned()),
        None => said.push("never answered".to_owned()),
    }
    if step.waited_ms >= 100 {
        let waited = length(step.waited_ms as f64 / 1000.0);
        said.push(format!("{waited} of it for answers"));
    }
    let executions = executions(account);
    if executions.len() > 1
        && let Some(index) = executions.iter().position(|execution| *execution == step.execution)
    {
        said.push(format!("execution {} of {}", index + 1, executions.len()));
    }
    said
}

/// Names of the executions that the timeline knows of, in the order in which they began.
fn executions(account: &Account) -> Vec<&str> {
    let mut executions: Vec<&str> = Vec::new();
    for step in &account.timeline {
        if !executions.contains(&step.execution.as_str()) {
            executions.push(&step.execution);
        }
    }
    executions
}

impl Timeline {
    /// Where a moment lies, in per cent of the width.
    pub(crate) fn position(&self, at: Timestamp) -> f64 {
        let whole = self.to.as_millisecond() - self.from.as_millisecond();
        let part = at.as_millisecond() - self.from.as_millisecond();
        if whole <= 0 {
            return 0.0;
        }
        (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0)
    }

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
