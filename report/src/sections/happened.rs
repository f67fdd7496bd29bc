//! What happened when, and what it waited for: the critical path, drawn and part by part.

use jiff::Timestamp;
use shared::arn;
use shared::error::without_advice;
use shared::record::{Closing, TimelineStep};

use crate::account::{Account, cause};
use crate::page::{Block, Figure, Table, Text, Tone};
use crate::path::{self, CriticalPath, Span, WaitsFor, What, polls};
use crate::steps::CLOSES;
use crate::story::told::Tale;
use crate::timeline::{Row, Segment, SegmentKind, Timeline};
use crate::words::{humanised, in_short, length, share};

/// The section.
pub(crate) fn blocks(tale: &Tale<'_>, path: &CriticalPath) -> Vec<Block> {
    let account = tale.account;
    let waiting = &path.waiting;
    let ends = if path.ends_healthy {
        "the first healthy answer"
    } else if account.header.ended().is_some() {
        "the end; no healthy answer was seen"
    } else {
        "the last entry in the record"
    };
    let begins = if account.impact_at().is_some() && !account.starts_in_place_of_an_impact() {
        "the impact"
    } else {
        "the start"
    };
    let figure = |name: &str, pointer: &str, seconds: f64, of_one: f64, most: &str, said: &str| Figure {
        name: name.to_owned(),
        value: Text::default().number(
            &format!("/critical_path/waiting/{pointer}"),
            seconds,
            format!("{most}{}", length(seconds)),
        ),
        verdict: Text::plain(format!("{most}{} of it; {said}", share(of_one))),
        not_known: None,
        tone: Tone::Plain,
        gauge: None,
    };
    let detected = match waiting.detection_seconds {
        detection if detection > 0.0 => format!("{} until the alarm was raised", length(detection)),
        _ => "the text below says what counts".to_owned(),
    };
    let figures = vec![
        figure(
            "Waited for AWS",
            "aws_seconds",
            waiting.aws_seconds,
            waiting.aws_share,
            "at least ",
            &detected,
        ),
        figure(
            "Waited for people",
            "people_seconds",
            waiting.people_seconds,
            waiting.people_share,
            "",
            "until they started, answered or resumed it",
        ),
        figure(
            "Our own time",
            "ours_at_most_seconds",
            waiting.ours_at_most_seconds,
            waiting.ours_at_most_share,
            "at most ",
            "an upper bound",
        ),
    ];
    vec![
        Block::Paragraph(
            Text::plain(format!("From {begins}, "))
                .and_at(path.from)
                .and(format!(", to {ends}, "))
                .and_at(path.to)
                .and(", it took ")
                .number(
                    "/critical_path/waiting/total_seconds",
                    waiting.total_seconds,
                    length(waiting.total_seconds),
                )
                .and(
                    ". That is the critical path: each part had to end before the next could begin. Of parallel steps, only \
                     the slower one is on it.",
                ),
        ),
        Block::Figures(figures),
        Block::Paragraph(
            "AWS: the time until an alarm is raised, the time of its calls, and the time until it has done what it was \
             told (polled). Calls to a Region that does not answer count with their time limits. People: the time until somebody starts, \
             answers or resumes the recovery. Our own time: everything else, with the functions, the transitions between \
             them, and the pause before the last poll. AWS may be done within that pause. So our own time is an upper bound, \
             and the time of AWS a lower bound."
                .into(),
        ),
        Block::Timeline(timeline(tale, path)),
        Block::Heading("Critical path, part by part".into()),
        Block::Table(parts(account, path)),
    ]
}

/// From which length on a part of the path has a row of its own, in seconds.
const TOLD_FROM: f64 = 1.0;

fn parts(account: &Account, path: &CriticalPath) -> Table {
    let whom = |waits_for| match waits_for {
        WaitsFor::Aws => "AWS, at least",
        WaitsFor::People => "people",
        WaitsFor::Ours => "our own time, at most",
    };
    let row = |span: &Span| {
        vec![
            Text::at(span.from),
            Text::plain(span_in_words(account, span)),
            Text::plain(length(span.seconds())),
            Text::plain(whom(span.waits_for)),
        ]
    };
    let (told, short): (Vec<&Span>, Vec<&Span>) = path.spans.iter().partition(|span| span.seconds() >= TOLD_FROM);
    let left_out = match short.len() {
        0 => String::new(),
        count => format!(
            "; {count} parts under 1 s, together {}, are only in the JSON form",
            length(short.iter().map(|span| span.seconds()).sum())
        ),
    };
    Table {
        caption: format!("Each part of the critical path, in order{left_out}"),
        head: ["From", "What", "For", "Waits for"].map(str::to_owned).to_vec(),
        rows: told.into_iter().map(row).collect(),
    }
}

/// What a part of the path is called.
fn span_in_words(account: &Account, span: &Span) -> String {
    let polled = |state: &str| account.timeline.iter().any(|step| step.state == *state && polls(step));
    match &span.what {
        What::Detection => "No service; CloudWatch gathers datapoints until it raises the alarm".to_owned(),
        What::Unstarted => "No recovery started yet".to_owned(),
        What::Delivery => "The alarm's event is delivered".to_owned(),
        What::Start => "The recovery starts".to_owned(),
        What::Work { state, .. } => format!("{state} works"),
        What::Answers { state, .. } if polled(state) => format!("{state} polls"),
        What::Answers { state, .. } => format!("{state} waits for answers"),
        What::LastPause { state, .. } => format!("{state} pauses before its last poll"),
        What::Between { after, before, .. } if span.waits_for == WaitsFor::Aws => {
            format!("{before} pauses before its first poll, after {after}")
        }
        What::Between { after, before, .. } => format!("Transition from {after} to {before}"),
        What::Question { question } => format!("People are asked: {}", headline(account, question)),
        What::Interrupted => "Ended; not resumed yet".to_owned(),
        What::Ending => "Transition to the end".to_owned(),
    }
}

/// What a question asks.
fn headline(account: &Account, question: &str) -> String {
    let asked = account.questions.iter().find(|asked| asked.ask.id == *question);
    asked.map_or_else(|| question.to_owned(), |asked| asked.ask.headline.clone())
}

/// The rows of a recovery.
fn timeline(tale: &Tale<'_>, path: &CriticalPath) -> Timeline {
    let account = tale.account;
    let mut rows: Vec<Row> = account
        .timeline
        .iter()
        .map(|step| row_of_step(tale, path, step))
        .collect();
    rows.extend(path.spans.iter().filter_map(|span| row_of_span(account, span)));
    rows.extend(
        account
            .endings()
            .filter_map(|closing| row_of_silent_failure(tale, closing)),
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
        What::Unstarted => ("Not started", span_in_words(account, span)),
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

fn row_of_step(tale: &Tale<'_>, path: &CriticalPath, step: &TimelineStep) -> Row {
    let account = tale.account;
    let on_path: Vec<Segment> = path
        .spans
        .iter()
        .filter(|span| belongs_to(span, step))
        .map(Segment::of)
        .collect();
    let own = path::parts(account, step);
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
        said: what_came_of(tale, step),
        on_path: !on_path.is_empty(),
        failed: step.outcome.as_deref().is_some_and(|outcome| outcome != "succeeded"),
        is_guessed: false,
        segments,
    }
}

/// A state that failed without a line of its own: its function never came so far. It was between the last one that ended
/// and the closing.
fn row_of_silent_failure(tale: &Tale<'_>, closing: &Closing) -> Option<Row> {
    let account = tale.account;
    let state = account.silent_failure(closing)?;
    let execution = arn::name(&closing.execution);
    let of_it = || account.timeline.iter().filter(|step| step.execution == execution);
    let to = of_it()
        .find(|step| step.name == CLOSES)
        .map_or(closing.closed_at, |step| step.started_at);
    let ended = of_it().filter_map(|step| step.ended_at).filter(|ended| *ended <= to);
    let error = cause(closing).map_or_else(|| "no error is known".to_owned(), in_short);
    // Its advice is in the reason, at the top.
    let error = without_advice(&error, |_| true);
    Some(Row {
        from: ended.max().unwrap_or(to),
        to,
        name: state.to_owned(),
        said: tale
            .state(state)
            .into_iter()
            .chain([error, "its function left no entry in the record".to_owned()])
            .collect(),
        on_path: false,
        failed: true,
        is_guessed: true,
        segments: Vec::new(),
    })
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

fn what_came_of(tale: &Tale<'_>, step: &TimelineStep) -> Vec<String> {
    let account = tale.account;
    let mut said: Vec<String> = tale.step(&step.name).into_iter().collect();
    if said.is_empty() {
        said.push(humanised(&step.name));
    }
    if polls(step) {
        said.push(format!("polled {} times", step.attempts));
    } else if step.attempts > 1 {
        said.push(format!("tried {} times", step.attempts));
    }
    if step.failures > 0 {
        let times = if step.failures == 1 {
            "once".to_owned()
        } else {
            format!("{} times", step.failures)
        };
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
        said.push(format!("{waited} waiting for AWS"));
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
