//! What a rehearsal looks like to a person.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::measure::{Met, RpoStatus, seconds_between};
use shared::plan::Duration;
use shared::record::TimelineStep;
use states_language::{EventKind, HistoryEvent};

use crate::output::{Output, Paint, one_line};
use crate::rehearsal::{Moment, Rehearsal, TargetAndMaximum};

/// Width of a line where there is no terminal.
const USUAL_WIDTH: usize = 100;
/// Width of the column with the states' names.
const STATE_WIDTH: usize = 17;
/// Longest bar.
const BAR_WIDTH: usize = 30;

/// Shows a rehearsal while it goes on: a line for each step, with the virtual clock.
#[derive(Default)]
pub struct Live {
    disaster_at: Option<Timestamp>,
    /// What was last said of each state, so that a wait is not told again and again.
    said: BTreeMap<String, String>,
    drawn: bool,
}

impl Live {
    /// Shows one moment.
    pub fn show(&mut self, moment: &Moment, output: &mut Output) {
        match moment {
            Moment::Disaster { at, region } => {
                self.disaster_at = Some(*at);
                let text = format!("{region} is lost: nothing in it answers");
                self.line(*at, Paint::Bad, "✗", "", &text, output);
            }
            Moment::Machine(event) => self.show_event(event, output),
        }
    }

    /// Leaves the terminal tidy.
    pub fn end(&mut self, output: &mut Output) {
        if std::mem::take(&mut self.drawn) {
            output.draw("\r\x1b[K");
        }
    }

    fn show_event(&mut self, event: &HistoryEvent, output: &mut Output) {
        let at = event.timestamp;
        let details = &event.details;
        match event.kind {
            EventKind::ExecutionStarted => {
                self.line(at, Paint::Strong, "▶", "", "the alarm starts the recovery", output)
            }
            EventKind::TaskStateEntered => self.draw(at, &event.state, output),
            EventKind::TaskStateExited => {
                let text = details.output.as_deref().map(what_it_says).unwrap_or_default();
                if self.said.get(&*event.state) != Some(&text) {
                    self.line(at, Paint::Good, "✓", &event.state, &text, output);
                    self.said.insert(event.state.to_string(), text);
                }
            }
            EventKind::TaskFailed | EventKind::TaskTimedOut => {
                let error = details.error.as_deref().unwrap_or("timed out");
                let text = format!(
                    "{error}: {}",
                    details.cause.as_deref().map(message_in).unwrap_or_default()
                );
                self.line(at, Paint::Bad, "✗", &event.state, &text, output);
            }
            EventKind::ExecutionSucceeded => self.line(at, Paint::Strong, "■", "", "the recovery has ended", output),
            EventKind::ExecutionFailed | EventKind::ExecutionTimedOut | EventKind::ExecutionAborted => {
                self.line(at, Paint::Bad, "■", "", "the recovery has ended, and failed", output);
            }
            _ => {}
        }
    }

    fn line(&mut self, at: Timestamp, paint: Paint, mark: &str, state: &str, text: &str, output: &mut Output) {
        self.end(output);
        let width = output.width().unwrap_or(USUAL_WIDTH);
        let head = format!("{}  {:>8}  ", at.strftime("%H:%M:%S"), self.since(at));
        let body = match state {
            "" => one_line(&text),
            state => format!("{state:<STATE_WIDTH$} {}", one_line(&text)),
        };
        let room = width.saturating_sub(head.chars().count() + 2);
        let line = format!(
            "{}{} {}",
            output.paint(Paint::Faint, &head),
            output.paint(paint, mark),
            cut(&body, room)
        );
        output.line(line);
    }

    /// On a terminal, shows what goes on now; the next line takes its place.
    fn draw(&mut self, at: Timestamp, state: &str, output: &mut Output) {
        let Some(width) = output.width() else { return };
        let text = format!("{}  {:>8}  … {state}", at.strftime("%H:%M:%S"), self.since(at));
        output.draw(format_args!("\r\x1b[K{}", cut(&text, width.saturating_sub(1))));
        self.drawn = true;
    }

    fn since(&self, at: Timestamp) -> String {
        self.disaster_at
            .map(|disaster| format!("+{}", time(seconds_between(disaster, at))))
            .unwrap_or_default()
    }
}

/// The sentence in a step's output that tells a person most. Steps name such fields alike.
fn what_it_says(output: &Value) -> String {
    let output = output.get("Payload").unwrap_or(output);
    let text = |name: &str| output.get(name).and_then(Value::as_str).map(str::to_owned);
    let list = |name: &str| {
        let list = output.get(name)?.as_array()?;
        let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    };
    let of = || {
        let count = |name: &str| output.get(name).and_then(Value::as_u64);
        Some(format!("{} of {} functions run", count("active")?, count("of")?))
    };
    ["refused", "waiting_for", "summary", "answer"]
        .into_iter()
        .find_map(text)
        .or_else(|| list("blockers"))
        .or_else(of)
        .or_else(|| text("way"))
        .or_else(|| text("status"))
        .unwrap_or_else(|| "done".to_owned())
}

/// Lambda's error cause is JSON; people want its message.
fn message_in(cause: &str) -> String {
    let cause_value: Option<Value> = serde_json::from_str(cause).ok();
    let message = cause_value
        .as_ref()
        .and_then(|value| value.get("errorMessage"))
        .and_then(Value::as_str);
    message.unwrap_or(cause).to_owned()
}

/// Shows what came of a rehearsal.
pub fn summary(rehearsal: &Rehearsal, output: &mut Output) {
    let word = output.paint(
        if rehearsal.succeeded() { Paint::Good } else { Paint::Bad },
        rehearsal.outcome,
    );
    let headline = match (&rehearsal.reason, rehearsal.succeeded()) {
        (Some(reason), _) => format!("{}: {word}. {}", rehearsal.scenario, one_line(reason)),
        (None, true) => format!(
            "{}: {word}, within the maximum objectives (seed {})",
            rehearsal.scenario, rehearsal.seed
        ),
        (None, false) => format!(
            "{}: {word}, but not within the maximum objectives (seed {})",
            rehearsal.scenario, rehearsal.seed
        ),
    };
    output.line(headline);
    output.line("");
    let achieved = &rehearsal.achieved;
    output.line(format_args!(
        "{:<15}{:>10}{:>10}{:>10}{:>10}  {}",
        "", "measured", "truth", "target", "maximum", ""
    ));
    let rto = known(achieved.rto_seconds);
    let line = objective_line(
        "RTO",
        &rto,
        rehearsal.truth.rto_seconds,
        Some(rehearsal.objectives.rto),
        rehearsal.met.rto,
        output,
    );
    output.line(line);
    output.line(format_args!(
        "{:<15}{:>10}",
        "  from decision",
        known(achieved.rto_from_decision_seconds)
    ));
    let rpo = match achieved.rpo_status {
        RpoStatus::Measured => known(achieved.rpo_seconds),
        RpoStatus::Unmeasured => "unmeasured".to_owned(),
        RpoStatus::NotApplicable => "n/a".to_owned(),
    };
    let line = objective_line(
        "RPO",
        &rpo,
        rehearsal.truth.rpo_seconds,
        rehearsal.objectives.rpo,
        rehearsal.met.rpo,
        output,
    );
    output.line(line);
    output.line("");
    bars(&rehearsal.steps, output);
    let calls: u64 = rehearsal.aws_calls.iter().map(|call| call.count).sum();
    output.line(format_args!(
        "{} state transitions, {calls} AWS calls, {:.4} USD at list prices",
        rehearsal.transitions, rehearsal.cost_usd
    ));
}

fn objective_line(
    name: &str,
    measured: &str,
    truth: Option<f64>,
    objective: Option<TargetAndMaximum>,
    met: Met,
    output: &Output,
) -> String {
    let limit = |seconds: Option<u64>| {
        seconds.map_or_else(|| "-".to_owned(), |seconds| Duration::from_secs(seconds).to_string())
    };
    let (paint, word) = match met {
        Met::Target => (Paint::Good, "target met"),
        Met::Maximum => (Paint::Strong, "over target, within maximum"),
        Met::Missed => (Paint::Bad, "maximum missed"),
        Met::NotApplicable => (Paint::Faint, "not applicable"),
    };
    format!(
        "{name:<15}{measured:>10}{:>10}{:>10}{:>10}  {}",
        known(truth),
        limit(objective.map(|objective| objective.target)),
        limit(objective.map(|objective| objective.maximum)),
        output.paint(paint, word)
    )
}

/// Draws when each step went on, to scale.
fn bars(steps: &[TimelineStep], output: &mut Output) {
    let Some(began) = steps.first().map(|step| step.started_at) else {
        return;
    };
    let ended = steps.iter().filter_map(|step| step.ended_at).max().unwrap_or(began);
    let whole = seconds_between(began, ended).max(0.001);
    let room = output
        .width()
        .unwrap_or(USUAL_WIDTH)
        .saturating_sub(STATE_WIDTH + 22)
        .min(BAR_WIDTH);
    for step in steps {
        let lasted = step.ended_at.map(|ended| seconds_between(step.started_at, ended));
        let place = |seconds: f64| ((seconds / whole) * room as f64).round() as usize;
        let before = place(seconds_between(began, step.started_at)).min(room.saturating_sub(1));
        let length = place(lasted.unwrap_or(0.0)).clamp(1, (room - before).max(1));
        let bar = if room < 8 {
            String::new()
        } else {
            format!("{}{}", " ".repeat(before), "━".repeat(length))
        };
        let attempts = if step.attempts > 1 {
            format!("{}×", step.attempts)
        } else {
            String::new()
        };
        let paint = if step.outcome.as_deref() == Some("succeeded") {
            Paint::Good
        } else {
            Paint::Bad
        };
        let line = format!(
            "{:<STATE_WIDTH$} {:>8} {attempts:>4}  {}",
            cut(&step.state, STATE_WIDTH),
            known(lasted),
            output.paint(paint, &bar)
        );
        output.line(line.trim_end());
    }
    output.line("");
}

/// One line for one of many rehearsals.
pub fn run_line(rehearsal: &Rehearsal, output: &Output) -> String {
    let word = output.paint(
        if rehearsal.succeeded() { Paint::Good } else { Paint::Bad },
        rehearsal.outcome,
    );
    format!(
        "seed {:<8} {word}  RTO {:>8} (truth {:>8})  RPO {:>8} (truth {:>8})",
        rehearsal.seed,
        known(rehearsal.achieved.rto_seconds),
        known(rehearsal.truth.rto_seconds),
        known(rehearsal.achieved.rpo_seconds),
        known(rehearsal.truth.rpo_seconds),
    )
}

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
    fn of(values: impl Iterator<Item = f64>) -> Self {
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

/// What many rehearsals measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Achieved RTO, in seconds.
    pub rto: Spread,
    /// Achieved RPO, in seconds.
    pub rpo: Spread,
}

impl Statistics {
    /// Of all that was measured; what was not measured is not counted.
    pub fn of(rehearsals: &[Rehearsal]) -> Self {
        Self {
            rto: Spread::of(rehearsals.iter().filter_map(|rehearsal| rehearsal.achieved.rto_seconds)),
            rpo: Spread::of(rehearsals.iter().filter_map(|rehearsal| rehearsal.achieved.rpo_seconds)),
        }
    }

    /// Shows it.
    pub fn show(&self, rehearsals: &[Rehearsal], output: &mut Output) {
        let good = rehearsals.iter().filter(|rehearsal| rehearsal.succeeded()).count();
        output.line("");
        output.line(format_args!(
            "{good} of {} recovered within the maximum objectives",
            rehearsals.len()
        ));
        output.line(format_args!(
            "{:<5}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "minimum", "median", "p95", "maximum", "measured"
        ));
        for (name, spread) in [("RTO", self.rto), ("RPO", self.rpo)] {
            output.line(format_args!(
                "{name:<5}{:>10}{:>10}{:>10}{:>10}{:>10}",
                known(spread.minimum),
                known(spread.median),
                known(spread.p95),
                known(spread.maximum),
                spread.count
            ));
        }
    }
}

fn known(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), time)
}

/// `0.9s`, `42.0s`, `7m 12s`, `1h 30m`.
fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        Duration::from_secs(seconds.round() as u64).to_string()
    }
}

fn cut(text: &str, room: usize) -> Cow<'_, str> {
    if text.chars().count() <= room {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(room.saturating_sub(1)).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(
            [time(0.94), time(59.94), time(432.2), time(5400.0)],
            ["0.9s", "59.9s", "7m 12s", "1h 30m"]
        );
    }

    #[test]
    fn the_sentence_that_tells_most_comes_first() {
        assert_eq!(
            what_it_says(&json!({ "ready": false, "waiting_for": "it promotes" })),
            "it promotes"
        );
        assert_eq!(what_it_says(&json!({ "Payload": { "status": "started" } })), "started");
        assert_eq!(
            what_it_says(&json!({ "blockers": ["a", "b"], "way": "failover" })),
            "a; b"
        );
        assert_eq!(what_it_says(&json!({ "blockers": [], "way": "failover" })), "failover");
        assert_eq!(what_it_says(&json!({ "active": 4, "of": 5 })), "4 of 5 functions run");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        assert_eq!(cut("äöüß", 4), "äöüß");
        assert_eq!(cut("äöüß!", 4), "äöü…");
        assert_eq!(cut("abc", 0), "…");
    }
}
