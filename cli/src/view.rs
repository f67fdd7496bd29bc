//! What a rehearsal looks like to a person.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use rehearsal::{Applied, Breach, Earlier, Moment, Rehearsal, Spread, TargetAndMaximum};
use serde::Deserialize;
use serde_json::Value;
use shared::arn::Arn;
use shared::measure::{Met, RpoStatus, seconds_between};
use shared::plan::{Duration, Plan};
use shared::record::TimelineStep;
use shared::recovery::{Outcome, RECOVERY_MACHINE};
use shared::scenario_run::ScenarioEnd;
use shared::summary::{Progress, Summary};
use states_language::{EventKind, HistoryEvent};

use crate::output::{Output, Paint, one_line};

/// Width of a drawing where there is no terminal.
const USUAL_WIDTH: usize = 100;
/// Terminals from this width on have room for columns side by side.
const WIDE: usize = 80;
/// Terminals below this width have no room for columns.
const NARROW: usize = 32;
/// Width of the column with the states' names.
const STATE_WIDTH: usize = 22;
/// Width of a column with a time since the disaster.
const SINCE_WIDTH: usize = 8;
/// Width of a column with a time: `1h 30m 33s`.
const TIME_WIDTH: usize = 10;
/// Longest bar.
const BAR_WIDTH: usize = 30;

/// Shows a rehearsal while it goes on: a line for each step, with the virtual clock.
#[derive(Default)]
pub struct Live {
    disaster_at: Option<Timestamp>,
    /// What was last said of each state, so that a wait is not told again and again.
    said: BTreeMap<String, Said>,
    drawn: bool,
}

/// What there is to say of a moment.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    paint: Paint,
    mark: &'static str,
    text: String,
}

impl Said {
    /// As it should be.
    fn good(text: impl Into<String>) -> Self {
        Self::new(Paint::Good, "✓", text)
    }

    /// Not over yet.
    fn waits(text: impl Into<String>) -> Self {
        Self::new(Paint::Faint, "…", text)
    }

    /// Not as it should be.
    fn bad(text: impl Into<String>) -> Self {
        Self::new(Paint::Bad, "✗", text)
    }

    fn new(paint: Paint, mark: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { paint, mark, text }
    }
}

impl Live {
    /// Shows one moment.
    pub fn show(&mut self, moment: &Moment, output: &mut Output) {
        match moment {
            Moment::Disaster { at, what } => {
                self.disaster_at = Some(*at);
                let said = Said::bad(what);
                self.line(*at, "", &said, output);
            }
            Moment::Faults { at, faults } => {
                self.disaster_at.get_or_insert(*at);
                let said = Said::bad(format!("goes wrong beside it: {}", faults.join(", ")));
                self.line(*at, "", &said, output);
            }
            Moment::Back { at, what } => {
                let said = Said::good(what);
                self.line(*at, "", &said, output);
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
                let text = match scenario_machine(event) {
                    Some(machine) => format!("{machine} runs"),
                    None => {
                        self.said.clear();
                        "a recovery is started".to_owned()
                    }
                };
                self.line(at, "", &Said::new(Paint::Strong, "▶", text), output);
            }
            EventKind::TaskStateEntered => self.draw(at, &event.state, output),
            EventKind::TaskSucceeded => {
                let result = details.output.as_deref().unwrap_or(&Value::Null);
                self.say(at, &event.state, what_it_says(result), output);
            }
            EventKind::TaskFailed | EventKind::TaskTimedOut => {
                let error = details.error.as_deref().unwrap_or("timed out");
                let text = match details.cause.as_deref() {
                    Some(cause) => format!("{error}: {}", message_in(cause)),
                    None => error.to_owned(),
                };
                self.say(at, &event.state, Said::bad(text), output);
            }
            EventKind::ExecutionSucceeded => {
                let what = scenario_machine(event).unwrap_or("the recovery");
                let said = Said::new(Paint::Strong, "■", format!("{what} has ended"));
                self.line(at, "", &said, output);
            }
            EventKind::ExecutionFailed | EventKind::ExecutionTimedOut | EventKind::ExecutionAborted => {
                let text = match scenario_machine(event) {
                    Some(machine) => format!("{machine} has broken off: {}", event.kind),
                    None => "the recovery has ended, and failed".to_owned(),
                };
                self.line(at, "", &Said::new(Paint::Bad, "■", text), output);
            }
            _ => {}
        }
    }

    /// Says it, unless that was the last thing that was said of the state.
    fn say(&mut self, at: Timestamp, state: &str, said: Said, output: &mut Output) {
        if self.said.get(state) != Some(&said) {
            self.line(at, state, &said, output);
            self.said.insert(state.to_owned(), said);
        }
    }

    fn line(&mut self, at: Timestamp, state: &str, said: &Said, output: &mut Output) {
        self.end(output);
        let text = one_line(&said.text);
        let since = self.since(at);
        let mark = output.paint(said.paint, said.mark);
        if wide(output) {
            let head = format!("{}  {since:>SINCE_WIDTH$}", at.strftime("%H:%M:%S"));
            let head = output.paint(Paint::Faint, &head);
            let indent = 8 + 2 + SINCE_WIDTH + 2 + 2;
            match state {
                "" => output.wrapped(format_args!("{head}  {mark} {text}"), indent),
                state => output.wrapped(
                    format_args!("{head}  {mark} {state:<STATE_WIDTH$} {text}"),
                    indent + STATE_WIDTH + 1,
                ),
            }
        } else {
            let head = format!("{since:>SINCE_WIDTH$}");
            let head = output.paint(Paint::Faint, &head);
            let state = if state.is_empty() {
                String::new()
            } else {
                format!("{state}: ")
            };
            let indent = if output.width().is_some_and(|width| width < NARROW) {
                2
            } else {
                SINCE_WIDTH + 3
            };
            output.wrapped(format_args!("{head} {mark} {state}{text}"), indent);
        }
    }

    /// On a terminal, shows what goes on now; the next line takes its place.
    fn draw(&mut self, at: Timestamp, state: &str, output: &mut Output) {
        let (true, Some(width)) = (output.redraws(), output.width()) else {
            return;
        };
        let since = self.since(at);
        let text = if wide(output) {
            format!("{}  {since:>SINCE_WIDTH$}  … {state}", at.strftime("%H:%M:%S"))
        } else {
            format!("{since:>SINCE_WIDTH$} … {state}")
        };
        output.draw(format_args!("\r\x1b[K{}", cut(&text, width.saturating_sub(1))));
        self.drawn = true;
    }

    /// Without seconds after an hour: the clock has them.
    fn since(&self, at: Timestamp) -> String {
        let Some(disaster) = self.disaster_at else {
            return String::new();
        };
        let seconds = seconds_between(disaster, at);
        let shown = if seconds < 3600.0 {
            seconds
        } else {
            seconds - seconds % 60.0
        };
        format!("+{}", time(shown))
    }
}

/// The machine of an execution that a recovery's own one has started; nothing for that one.
fn scenario_machine(event: &HistoryEvent) -> Option<&str> {
    let machine = Arn::read(&event.execution_arn)?.name_of("states", "execution")?;
    (machine != RECOVERY_MACHINE).then_some(machine)
}

pub(crate) fn wide(output: &Output) -> bool {
    output.width().is_none_or(|width| width >= WIDE)
}

/// What a Task came to: what a step says of its own output, or how a scenario's execution has ended.
fn what_it_says(result: &Value) -> Said {
    let output = ["Payload", "Output"].into_iter().find_map(|name| result.get(name));
    let output = output.unwrap_or(result);
    if let Ok(Summary { sentence, progress }) = Summary::deserialize(output) {
        return match progress {
            Progress::Done => Said::good(sentence),
            Progress::Waiting => Said::waits(sentence),
            Progress::Failed => Said::bad(sentence),
        };
    }
    match ScenarioEnd::deserialize(output) {
        Ok(ScenarioEnd {
            failure: Some(failure), ..
        }) => Said::bad(format!("failed at {}", failure.state)),
        Ok(end) if end.outcome != Outcome::Recovered => Said::bad(end.outcome.name()),
        Ok(end) => Said::good(end.outcome.name()),
        Err(_) => Said::new(Paint::Faint, "·", "it says nothing of its result"),
    }
}

/// How much is shown of a cause that is not understood, in characters: one that was cut off may be long.
const CAUSE_SHOWN: usize = 300;

/// Lambda's error cause is JSON; people want its message.
fn message_in(cause: &str) -> String {
    let value: Option<Value> = serde_json::from_str(cause).ok();
    let field = |name: &str| value.as_ref()?.get(name)?.as_str();
    // Of an execution that was waited for it is the answer of DescribeExecution, its whole input included.
    if let (Some(_), Some(status)) = (field("ExecutionArn"), field("Status")) {
        let error = field("Error").map(|error| format!(", {error}"));
        return format!("its execution is {status}{}", error.unwrap_or_default());
    }
    match field("errorMessage") {
        Some(message) => message.to_owned(),
        None => cause.chars().take(CAUSE_SHOWN).collect(),
    }
}

/// Shows what came of a rehearsal.
pub fn summary(rehearsal: &Rehearsal, plan: &Plan, output: &mut Output) {
    let text = format!("{} (seed {})", verdict(rehearsal), rehearsal.seed);
    let reason = rehearsal.reason.as_deref().map(|reason| one_line(&reason));
    let headline = format!(
        "{}: {}{}",
        rehearsal.scenario.name(),
        output.paint(if rehearsal.succeeded() { Paint::Good } else { Paint::Bad }, &text),
        reason.map(|reason| format!(": {reason}")).unwrap_or_default()
    );
    output.wrapped(headline, 2);
    output.line("");
    // What nobody went through has no times.
    if !rehearsal.steps.is_empty() {
        objectives(rehearsal, plan, output);
        output.line("");
        explain(rehearsal, plan, output);
        output.line("");
    }
    how(rehearsal, output);
    what_must_not_be(rehearsal, output);
    bars(&rehearsal.steps, output);
    let calls: u64 = rehearsal.aws_calls.iter().map(|call| call.count).sum();
    let line = format!(
        "{} state transitions, {calls} AWS calls, {:.4} USD at list prices",
        rehearsal.transitions, rehearsal.cost_usd
    );
    output.wrapped(line, 2);
}

/// Says what came before, who approved, and what was fenced.
fn how(rehearsal: &Rehearsal, output: &mut Output) {
    let mut lines = Vec::new();
    for earlier in &rehearsal.earlier {
        let why = earlier.reason.as_ref().map(|reason| format!(": {}", one_line(reason)));
        let Earlier { recovery, region, .. } = earlier;
        lines.push(format!(
            "before: {recovery} in {region} ended as {}{}",
            earlier.outcome,
            why.unwrap_or_default()
        ));
    }
    lines.extend(
        rehearsal
            .approval
            .as_ref()
            .map(|how| format!("approval: {}", one_line(how))),
    );
    lines.extend(rehearsal.fence.as_ref().map(|how| format!("fence: {}", one_line(how))));
    lines.push(match rehearsal.truth.lost_writes {
        0 => "truth: no write that was acknowledged to a customer is gone".to_owned(),
        1 => "truth: 1 write that was acknowledged to a customer is gone".to_owned(),
        count => format!("truth: {count} writes that were acknowledged to customers are gone"),
    });
    for line in lines {
        output.wrapped(line, 2);
    }
    output.line("");
}

/// Says what went wrong beside the disaster, and what must never be, and was.
fn what_must_not_be(rehearsal: &Rehearsal, output: &mut Output) {
    let mut said = false;
    for Applied { fault, times } in &rehearsal.faults {
        let line = match times {
            0 => output
                .paint(Paint::Bad, &format!("fault: {fault} never applied in this run"))
                .into_owned(),
            1 => format!("fault: {fault} applied once"),
            times => format!("fault: {fault} applied {times} times"),
        };
        output.wrapped(line, 2);
        said = true;
    }
    for Breach { invariant, at, what } in &rehearsal.breaches {
        let line = format!(
            "BREACH of {invariant} at {}: {}",
            at.strftime("%H:%M:%S"),
            one_line(what)
        );
        output.wrapped(output.paint(Paint::Bad, &line), 2);
        said = true;
    }
    if said {
        output.line("");
    }
}

/// How it ended, in words.
fn verdict(rehearsal: &Rehearsal) -> String {
    let outcome = rehearsal.outcome;
    if rehearsal.succeeded() {
        format!("{outcome}, within the maximum objectives")
    } else if outcome == Outcome::Recovered.name() && !rehearsal.met.within() {
        format!("{outcome}, but not within the maximum objectives")
    } else if !rehearsal.breaches.is_empty() {
        format!("{outcome}, and what must never be was")
    } else if outcome == Outcome::Recovered.name() {
        format!("{outcome}, but not as it should be")
    } else {
        outcome.to_owned()
    }
}

/// One objective, as it is shown.
struct Row {
    name: &'static str,
    measured: String,
    truth: Option<f64>,
    objective: Option<TargetAndMaximum>,
    met: Met,
}

/// Shows what was measured, beside the truth and what was aimed at.
fn objectives(rehearsal: &Rehearsal, plan: &Plan, output: &mut Output) {
    let achieved = &rehearsal.achieved;
    let from_decision = known(achieved.rto_from_decision_seconds);
    let rto = Row {
        name: "RTO",
        measured: match achieved.rto_seconds {
            None => "unmeasured".to_owned(),
            Some(seconds) if achieved.rto_is_at_least => format!("at least {}", time(seconds)),
            Some(seconds) => time(seconds),
        },
        truth: rehearsal.truth.rto_seconds,
        objective: Some(rehearsal.objectives.rto),
        met: rehearsal.met.rto,
    };
    let rpo = Row {
        name: "RPO",
        measured: match achieved.rpo_status {
            RpoStatus::Measured => known_rpo(achieved.rpo_seconds, plan),
            RpoStatus::Unmeasured => "unmeasured".to_owned(),
            RpoStatus::NotApplicable => "none".to_owned(),
        },
        truth: rehearsal.truth.rpo_seconds,
        objective: rehearsal.objectives.rpo,
        met: rehearsal.met.rpo,
    };
    let limit = |seconds: Option<u64>| {
        seconds.map_or_else(|| "-".to_owned(), |seconds| Duration::from_secs(seconds).to_string())
    };
    let target = |row: &Row| limit(row.objective.map(|objective| objective.target));
    let maximum = |row: &Row| limit(row.objective.map(|objective| objective.maximum));
    if wide(output) {
        output.line(format_args!(
            "{:<15}{:>15}{:>11}{:>8}{:>9}",
            "", "measured", "truth", "target", "maximum"
        ));
        for row in [rto, rpo] {
            output.line(format_args!(
                "{:<15}{:>15}{:>11}{:>8}{:>9}  {}",
                row.name,
                row.measured,
                known(row.truth),
                target(&row),
                maximum(&row),
                stands(row.met, output)
            ));
            if row.name == "RTO" {
                output.line(format_args!("{:<15}{from_decision:>15}", "  from decision"));
            }
        }
        return;
    }
    for row in [rto, rpo] {
        let line = format!("{} {}: {}", row.name, row.measured, stands(row.met, output));
        output.wrapped(line, 2);
        let mut lines = vec![("truth", known(row.truth))];
        if row.name == "RTO" {
            lines.push(("from decision", from_decision.clone()));
        }
        lines.extend([("target", target(&row)), ("maximum", maximum(&row))]);
        for (name, value) in lines {
            output.wrapped(format_args!("  {name:<13} {value:>TIME_WIDTH$}"), 4);
        }
    }
}

fn stands(met: Met, output: &Output) -> Cow<'static, str> {
    let (paint, word) = match met {
        Met::Target => (Paint::Good, "target met"),
        Met::Maximum => (Paint::Strong, "within the maximum"),
        Met::Missed => (Paint::Bad, "MAXIMUM MISSED"),
        Met::NotApplicable => (Paint::Faint, "no objective"),
    };
    output.paint(paint, word)
}

/// Says what the columns mean.
fn explain(rehearsal: &Rehearsal, plan: &Plan, output: &mut Output) {
    let mut lines = vec![
        "measured: what the recovery found out; on a real night you have only this.".to_owned(),
        "truth: what the simulated customers went through, from the disaster on.".to_owned(),
    ];
    if rehearsal.achieved.rpo_status == RpoStatus::Measured {
        let every = plan.database.heartbeat.every;
        lines.push(format!(
            "±{every}: a heartbeat is written every {every}; the RPO is measured no finer than that."
        ));
    }
    if rehearsal.achieved.rpo_status == RpoStatus::Unmeasured {
        lines.push("unmeasured is not zero: how much was lost is not known.".to_owned());
    }
    for line in lines {
        output.wrapped(output.paint(Paint::Faint, &line), 2);
    }
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
        .saturating_sub(STATE_WIDTH + TIME_WIDTH + 9)
        .min(BAR_WIDTH);
    let header = format!("{:<STATE_WIDTH$} {:>TIME_WIDTH$} {:>5}", "step", "took", "times");
    output.wrapped(output.paint(Paint::Faint, &header), 2);
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
        // Colour alone does not say it: many terminals and every file have none.
        let (paint, wrong) = match step.outcome.as_deref() {
            Some("succeeded") => (Paint::Good, String::new()),
            Some(error) => (Paint::Bad, format!("  ✗ {}", one_line(&error))),
            None => (Paint::Bad, "  ✗ no answer".to_owned()),
        };
        let line = format!(
            "{:<STATE_WIDTH$} {:>TIME_WIDTH$} {:>5}  {}{}",
            cut(&step.state, STATE_WIDTH),
            known(lasted),
            step.attempts,
            output.paint(paint, &bar),
            output.paint(paint, &wrong),
        );
        output.wrapped(line.trim_end(), 2);
    }
    output.line("");
}

/// One line for one of many rehearsals. On a terminal that is too narrow it is broken between the figures.
pub fn run_line(rehearsal: &Rehearsal, plan: &Plan, seed_width: usize, output: &mut Output) {
    let word = if rehearsal.succeeded() {
        rehearsal.outcome.to_owned()
    } else {
        match &rehearsal.reason {
            Some(reason) => format!("{}: {}", rehearsal.outcome, one_line(reason)),
            None => verdict(rehearsal),
        }
    };
    let word = output.paint(if rehearsal.succeeded() { Paint::Good } else { Paint::Bad }, &word);
    let (achieved, truth) = (&rehearsal.achieved, &rehearsal.truth);
    let head = format!("seed {:>seed_width$}", rehearsal.seed);
    let rto = format!(
        "RTO {:>8} (truth {:>8})",
        known(achieved.rto_seconds),
        known(truth.rto_seconds)
    );
    let rpo = format!(
        "RPO {:>8} (truth {:>5})",
        known_rpo(achieved.rpo_seconds, plan),
        known(truth.rpo_seconds)
    );
    let whole = format!("{head}  {rto}  {rpo}  {word}");
    let short = head.len() + 2 + rto.len() + 2 + rpo.len() + 2 + rehearsal.outcome.len();
    if output.width().is_none_or(|width| width >= short) {
        output.wrapped(whole, 2);
    } else {
        for row in [format!("{head}  {word}"), format!("  {rto}"), format!("  {rpo}")] {
            output.wrapped(row, 4);
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
    pub fn show(&self, rehearsals: &[Rehearsal], plan: &Plan, output: &mut Output) {
        let good = rehearsals.iter().filter(|rehearsal| rehearsal.succeeded()).count();
        let all = rehearsals.len();
        let line = format!("{good} of {all} recovered within the maximum objectives");
        let seeds = match (rehearsals.first(), rehearsals.last()) {
            (Some(first), Some(last)) => format!(" (seeds {} to {})", first.seed, last.seed),
            _ => String::new(),
        };
        let paint = if good == all { Paint::Good } else { Paint::Bad };
        output.wrapped(format_args!("{}{seeds}", output.paint(paint, &line)), 2);
        output.line("");
        output.wrapped(format_args!("{:<10}{:>10}{:>15}", "", "RTO", "RPO"), 2);
        type Pick = fn(&Spread) -> Option<f64>;
        let figures: [(&str, Pick); 4] = [
            ("minimum", |spread| spread.minimum),
            ("median", |spread| spread.median),
            ("p95", |spread| spread.p95),
            ("maximum", |spread| spread.maximum),
        ];
        for (name, pick) in figures {
            let line = format!(
                "{name:<10}{:>10}{:>15}",
                known(pick(&self.rto)),
                known_rpo(pick(&self.rpo), plan)
            );
            output.wrapped(line, 2);
        }
        for (name, count) in [("RTO", self.rto.count), ("RPO", self.rpo.count)] {
            if count < all {
                let line = format!("The {name} was measured in {count} of {all}; the others are not in its figures.");
                output.wrapped(line, 2);
            }
        }
    }
}

pub(crate) fn known(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), time)
}

/// With its resolution: nothing is known between two heartbeats.
pub(crate) fn known_rpo(seconds: Option<f64>, plan: &Plan) -> String {
    seconds.map_or_else(
        || "-".to_owned(),
        |seconds| format!("{} ±{}", time(seconds), plan.database.heartbeat.every),
    )
}

/// `0.9s`, `42.0s`, `7m 12s`, `1h 30m`.
fn time(seconds: f64) -> String {
    // What would be rounded to 60.0s is a minute.
    if seconds < 59.95 {
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
    use shared::measure::Observed;

    use super::*;

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(
            [time(0.94), time(59.94), time(59.96), time(432.2), time(5400.0)],
            ["0.9s", "59.9s", "1m", "7m 12s", "1h 30m"]
        );
    }

    #[test]
    fn a_step_of_which_nothing_is_known_here_is_shown_by_what_it_says_of_itself() {
        let said = |progress| {
            let output = json!({ "summary": "3 of 4 buckets are back", "progress": progress, "buckets": [1, 2, 3] });
            what_it_says(&json!({ "ExecutedVersion": "1", "Payload": output }))
        };
        assert_eq!(said("done"), Said::good("3 of 4 buckets are back"));
        assert_eq!(said("waiting"), Said::waits("3 of 4 buckets are back"));
        assert_eq!(said("failed"), Said::bad("3 of 4 buckets are back"));
        let verdict = json!({ "answer": "declined", "summary": "declined by third", "progress": "failed" });
        assert_eq!(what_it_says(&verdict), Said::bad("declined by third"));
    }

    #[test]
    fn fields_are_not_guessed_from() {
        let output = json!({ "Payload": { "healthy": true, "outcome": "recovered", "status": "started" } });
        assert_eq!(what_it_says(&output).text, "it says nothing of its result");
    }

    #[test]
    fn a_scenario_that_did_not_recover_does_not_look_well() {
        let end = |outcome, failure: Value| {
            let output = json!({
                "outcome": outcome, "reason": null, "failure": failure, "evidence": {}, "remaining": null,
                "observed": Observed::default(),
            });
            what_it_says(&json!({ "Status": "SUCCEEDED", "Output": output }))
        };
        assert_eq!(end("recovered", Value::Null), Said::good("recovered"));
        assert_eq!(end("declined", Value::Null), Said::bad("declined"));
        let failure = json!({ "state": "SwitchDns", "error": { "Error": "Denied", "Cause": "no" } });
        assert_eq!(end("failed", failure), Said::bad("failed at SwitchDns"));
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        assert_eq!(cut("äöüß", 4), "äöüß");
        assert_eq!(cut("äöüß!", 4), "äöü…");
        assert_eq!(cut("abc", 0), "…");
    }
}
