//! What a rehearsal looks like to a person.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use jiff::Timestamp;
use rehearsal::{Answered, Applied, Breach, Earlier, Moment, Rehearsal, Spread, TargetAndMaximum, Wait};
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

/// From this width on, in columns, the live view has a column for the states' names.
const LIVE_COLUMNS: usize = 100;
/// From this width on, in columns, tables fit, and the live view shows the clock.
const WIDE: usize = 80;
/// Below this width, in columns, text is not indented.
const NARROW: usize = 32;
/// Width of the column with the states' names.
const STATE_WIDTH: usize = 22;
/// Width of a column with a time since the disaster.
const SINCE_WIDTH: usize = 8;
/// Width of a mark, with the spaces around it.
const MARK_WIDTH: usize = 4;
/// Width of a column with a time: `1h 30m 33s`.
const TIME_WIDTH: usize = 10;
/// Longest bar.
const BAR_WIDTH: usize = 30;
/// Longest text of a line of the live view, in characters, without `--verbose`.
const TEXT_SHOWN: usize = 180;
/// How far the clock moves on between two drawings of a countdown, in seconds; how many drawings there are at most, and how long
/// each stays. Virtual time leaps over the wait: without a pause nobody would see it.
const COUNTED_EVERY: f64 = 15.0;
const COUNTED_AT_MOST: u32 = 40;
const COUNT_STAYS: std::time::Duration = std::time::Duration::from_millis(25);

/// Shows a rehearsal while it runs: a line for each step, with the virtual clock.
#[derive(Default)]
pub struct Live {
    verbose: bool,
    disaster_at: Option<Timestamp>,
    /// What was last said of each state, so that a wait is not told again and again.
    said: BTreeMap<String, Said>,
    /// Attempts of each state since its last line.
    attempts: BTreeMap<String, Attempts>,
    /// The state that waits for people.
    waiting: Option<Waiting>,
    /// The clock at the last moment.
    clock: Option<Timestamp>,
    drawn: bool,
}

/// Attempts of a state of which nothing was printed yet: those of one visit, and those of a machine that visits the state again.
struct Attempts {
    execution: Arc<str>,
    /// Where the state stands, without its own name.
    place: String,
    since: Timestamp,
    /// How often it was tried again.
    retries: u64,
    /// The last attempt's error; nothing once one has succeeded.
    error: Option<String>,
    /// Whether the machine has left the state with that error.
    left: bool,
}

impl Attempts {
    /// `retried 8 times in 4m 24s`; nothing without a retry.
    fn told(&self, at: Timestamp) -> Option<String> {
        let took = time(seconds_between(self.since, at));
        match self.retries {
            0 => None,
            1 => Some(format!("retried once in {took}")),
            times => Some(format!("retried {times} times in {took}")),
        }
    }
}

/// People are asked.
struct Waiting {
    state: String,
    since: Timestamp,
    until: Timestamp,
    people: u8,
    approved: usize,
}

impl Waiting {
    /// `1 of 2 approved`.
    fn approvals(&self) -> String {
        format!("{} of {} approved", self.approved, self.people)
    }
}

/// The mark of what people are asked and answer.
const ASKS: &str = "?";

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

    /// A person has to act, or did.
    fn asks(text: impl Into<String>) -> Self {
        Self::new(Paint::Strong, ASKS, text)
    }

    fn new(paint: Paint, mark: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { paint, mark, text }
    }
}

impl Live {
    /// With `verbose`, each attempt has a line, and no text is cut.
    pub fn new(verbose: bool) -> Self {
        Self {
            verbose,
            ..Self::default()
        }
    }

    /// Shows one moment.
    pub fn show(&mut self, moment: &Moment, output: &mut Output) {
        let now = at_of(moment);
        self.count_down(now, output);
        self.clock = Some(now);
        match moment {
            Moment::Disaster { at, what } => {
                self.disaster_at = Some(*at);
                let said = Said::bad(what);
                self.line(*at, "", &said, output);
            }
            Moment::Faults { at, faults } => {
                self.disaster_at.get_or_insert(*at);
                let said = Said::bad(format!("injected fault: {}", faults.join(", ")));
                self.line(*at, "", &said, output);
            }
            Moment::Back { at, what } => {
                let said = Said::good(what);
                self.line(*at, "", &said, output);
            }
            Moment::Asked {
                at,
                since,
                state,
                headline,
                people,
                until,
            } => {
                let who = match people {
                    1 => "1 person".to_owned(),
                    people => format!("{people} people"),
                };
                let within = time(seconds_between(*since, *until));
                let said = Said::asks(format!(
                    "{who} must approve by {} (within {within}): {headline}",
                    until.strftime("%H:%M:%S")
                ));
                self.line(*at, state, &said, output);
                self.waiting = Some(Waiting {
                    state: state.clone(),
                    since: *since,
                    until: *until,
                    people: *people,
                    approved: 0,
                });
            }
            Moment::Answered {
                at,
                by,
                approves,
                refused_as,
            } => self.answered(*at, by, *approves, refused_as.as_deref(), output),
            Moment::Machine(event) => self.show_event(event, output),
        }
    }

    /// Leaves the terminal tidy.
    pub fn end(&mut self, output: &mut Output) {
        if std::mem::take(&mut self.drawn) {
            output.draw("\r\x1b[K");
        }
    }

    fn answered(&mut self, at: Timestamp, by: &str, approves: bool, refused_as: Option<&str>, output: &mut Output) {
        let state = self.waiting.as_ref().map(|waiting| waiting.state.clone());
        let state = state.unwrap_or_default();
        let said = match (refused_as, &mut self.waiting) {
            (Some(why), _) => Said::asks(format!("{by} answered; the answer does not count ({why})")),
            (None, _) if !approves => Said::asks(format!("{by} declined")),
            (None, Some(waiting)) => {
                waiting.approved += 1;
                match waiting.approved <= usize::from(waiting.people) {
                    true => Said::asks(format!("{by} approved: {} of {}", waiting.approved, waiting.people)),
                    false => Said::asks(format!("{by} approved")),
                }
            }
            (None, None) => Said::asks(format!("{by} approved")),
        };
        self.line(at, &state, &said, output);
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
                        self.attempts.clear();
                        "a recovery is started".to_owned()
                    }
                };
                self.line(at, "", &Said::new(Paint::Strong, "▶", text), output);
            }
            EventKind::TaskStateEntered => {
                if let Some(attempts) = self.attempts.get_mut(&*event.state) {
                    attempts.retries += u64::from(std::mem::take(&mut attempts.left));
                }
                self.give_up(event, output);
                self.draw(at, &format!("… {}", event.state), output);
            }
            EventKind::TaskScheduled => {
                let attempts = self.attempts.get_mut(&*event.state);
                if let Some(attempts) = attempts.filter(|_| details.attempt.is_some_and(|attempt| attempt > 0)) {
                    attempts.retries += 1;
                }
            }
            EventKind::TaskSucceeded => {
                let result = details.output.as_deref().unwrap_or(&Value::Null);
                if let Some(attempts) = self.attempts.get_mut(&*event.state) {
                    (attempts.error, attempts.left) = (None, false);
                }
                self.say(at, &event.state, what_it_says(result), output);
            }
            EventKind::TaskFailed | EventKind::TaskTimedOut => self.failed(event, output),
            EventKind::TaskStateExited | EventKind::TaskStateAborted => {
                self.waiting.take_if(|waiting| waiting.state == *event.state);
                if let Some(attempts) = self.attempts.get_mut(&*event.state) {
                    attempts.left = attempts.error.is_some();
                }
            }
            EventKind::ExecutionSucceeded => {
                self.give_up(event, output);
                let what = scenario_machine(event).unwrap_or("the recovery");
                let said = Said::new(Paint::Strong, "■", format!("{what} has ended"));
                self.line(at, "", &said, output);
            }
            EventKind::ExecutionFailed | EventKind::ExecutionTimedOut | EventKind::ExecutionAborted => {
                self.give_up(event, output);
                let text = match scenario_machine(event) {
                    Some(machine) => format!("{machine} ended early: {}", event.kind),
                    None => "the recovery has ended, and failed".to_owned(),
                };
                self.line(at, "", &Said::new(Paint::Bad, "■", text), output);
            }
            _ => {}
        }
    }

    /// Keeps a failed attempt: whether it is retried, a later event says.
    fn failed(&mut self, event: &HistoryEvent, output: &mut Output) {
        let (at, details) = (event.timestamp, &event.details);
        let is_waited_for = |waiting: &mut Waiting| waiting.state == *event.state;
        if event.kind == EventKind::TaskTimedOut
            && let Some(waiting) = self.waiting.take_if(is_waited_for)
        {
            let within = time(seconds_between(waiting.since, waiting.until));
            let said = Said::bad(format!("no decision within {within}: {}", waiting.approvals()));
            return self.say(at, &event.state, said, output);
        }
        let error = details.error.as_deref().unwrap_or("timed out");
        let error = match details.cause.as_deref() {
            Some(cause) => format!("{error}: {}", message_in(cause)),
            None => error.to_owned(),
        };
        if self.verbose {
            self.line(at, &event.state, &Said::bad(&error), output);
            self.said.insert(event.state.to_string(), Said::bad(&error));
        } else {
            self.draw(at, &format!("✗ {}: {error}", event.state), output);
        }
        let attempts = self.attempts.entry(event.state.to_string());
        let attempts = attempts.or_insert_with(|| Attempts {
            execution: Arc::clone(&event.execution_arn),
            place: place(event).to_owned(),
            since: at,
            retries: 0,
            error: None,
            left: false,
        });
        attempts.error = Some(error);
    }

    /// Says which states failed for good, now that their execution has ended or is at another state of the same or an outer level.
    fn give_up(&mut self, event: &HistoryEvent, output: &mut Output) {
        let ends = event.kind != EventKind::TaskStateEntered;
        let is_over = |attempts: &Attempts| {
            let is_past = attempts.left && attempts.place.starts_with(place(event));
            attempts.execution == event.execution_arn && attempts.error.is_some() && (ends || is_past)
        };
        let over = self
            .attempts
            .iter()
            .filter(|(state, attempts)| **state != *event.state && is_over(attempts));
        let states: Vec<String> = over.map(|(state, _)| state.clone()).collect();
        for state in states {
            let attempts = self.attempts.get_mut(&state);
            match attempts.and_then(|attempts| attempts.error.take()) {
                // Its last attempt has its line.
                Some(_) if self.verbose => drop(self.attempts.remove(&state)),
                Some(error) => self.say(event.timestamp, &state, Said::bad(error), output),
                None => {}
            }
        }
    }

    /// Says it, with what it took, unless that was the last thing that was said of the state.
    fn say(&mut self, at: Timestamp, state: &str, said: Said, output: &mut Output) {
        let waited = self.waiting.take_if(|waiting| waiting.state == state);
        if self.said.get(state) == Some(&said) {
            return;
        }
        let attempts = self.attempts.remove(state);
        let took = attempts.and_then(|attempts| attempts.told(at));
        let people = waited.map(|waiting| format!("people took {}", time(seconds_between(waiting.since, at))));
        let before: Vec<String> = took.into_iter().chain(people).collect();
        let text = match before.as_slice() {
            [] => said.text.clone(),
            before => format!("{}; {}", before.join("; "), said.text),
        };
        self.line(at, state, &Said { text, ..said.clone() }, output);
        self.said.insert(state.to_owned(), said);
    }

    fn line(&mut self, at: Timestamp, state: &str, said: &Said, output: &mut Output) {
        self.end(output);
        let text = one_line(&said.text);
        // What people decide on is never cut.
        let text = match self.verbose || said.mark == ASKS {
            true => text,
            false => brief(&text, TEXT_SHOWN),
        };
        let mark = output.paint(said.paint, said.mark);
        let head = self.head(at, output);
        let indent = match output.width() {
            ..NARROW => 2,
            _ => head.chars().count() + MARK_WIDTH,
        };
        let head = output.paint(Paint::Faint, &head);
        match state {
            "" => output.wrapped(format_args!("{head}  {mark} {text}"), indent),
            state if output.width() >= LIVE_COLUMNS => output.wrapped(
                format_args!("{head}  {mark} {state:<STATE_WIDTH$} {text}"),
                indent + STATE_WIDTH + 1,
            ),
            state => output.wrapped(format_args!("{head}  {mark} {state}: {text}"), indent),
        }
    }

    /// The clock and the time since the disaster, as far as there is room.
    fn head(&self, at: Timestamp, output: &Output) -> String {
        let since = self.since(at);
        match output.width() {
            WIDE.. => format!("{}  {since:>SINCE_WIDTH$}", at.strftime("%H:%M:%S")),
            _ => format!("{since:>SINCE_WIDTH$}"),
        }
    }

    /// On a terminal, shows what happens now; the next line takes its place.
    fn draw(&mut self, at: Timestamp, text: &str, output: &mut Output) {
        if !output.redraws() {
            return;
        }
        let text = format!("{}  {}", self.head(at, output), one_line(&text));
        let row = cut(&text, output.width().saturating_sub(1));
        output.draw(format_args!("\r\x1b[K{row}"));
        self.drawn = true;
    }

    /// On a terminal, counts down to the end of the time that people have to answer, up to `now`.
    fn count_down(&mut self, now: Timestamp, output: &mut Output) {
        let (true, Some(waiting), Some(from)) = (output.redraws(), &self.waiting, self.clock) else {
            return;
        };
        let (until, approvals) = (waiting.until, waiting.approvals());
        let text = |at| {
            let left = time(seconds_between(at, until).max(0.0).round());
            format!("? {}: {left} left to answer; {approvals}", waiting.state)
        };
        let passes = seconds_between(from, now);
        let times = ((passes / COUNTED_EVERY) as u32).min(COUNTED_AT_MOST);
        let each = (1..=times).filter_map(|index| {
            let later = std::time::Duration::from_secs_f64(passes * f64::from(index) / f64::from(times + 1));
            let at = from.checked_add(later).ok()?;
            Some((at, text(at)))
        });
        let rows: Vec<(Timestamp, String)> = each.collect();
        for (at, row) in rows {
            self.draw(at, &row, output);
            thread::sleep(COUNT_STAYS);
        }
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

fn at_of(moment: &Moment) -> Timestamp {
    match moment {
        Moment::Machine(event) => event.timestamp,
        Moment::Disaster { at, .. }
        | Moment::Faults { at, .. }
        | Moment::Back { at, .. }
        | Moment::Asked { at, .. }
        | Moment::Answered { at, .. } => *at,
    }
}

/// Where a state stands, without its own name: the branches and iterations around it.
fn place(event: &HistoryEvent) -> &str {
    event.path.strip_suffix(&*event.state).unwrap_or(&event.path)
}

/// The machine of an execution that a recovery's own one has started; nothing for that one.
fn scenario_machine(event: &HistoryEvent) -> Option<&str> {
    let machine = Arn::read(&event.execution_arn)?.name_of("states", "execution")?;
    (machine != RECOVERY_MACHINE).then_some(machine)
}

pub(crate) fn wide(output: &Output) -> bool {
    output.width() >= WIDE
}

/// The result of a Task: what a step says of its own output, or how a scenario's execution has ended.
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
        Err(_) => Said::new(Paint::Faint, "·", "done; the step gives no summary"),
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

/// How the AWS SDK for Rust words a timeout, and what it says.
const TIMEOUTS: [(&str, &str); 2] = [
    (
        "request has timed out: operation attempt timeout (single attempt) occurred after ",
        "no answer within ",
    ),
    (
        "request has timed out: operation timeout (all attempts including retries) occurred after ",
        "no answer to any attempt within ",
    ),
];

/// `text` with an SDK's timeouts in few words, and cut between words where it is longer than `room` characters.
fn brief(text: &str, room: usize) -> String {
    let mut text = text.to_owned();
    for (long, short) in TIMEOUTS {
        text = text.replace(long, short);
    }
    let Some((end, _)) = text.char_indices().nth(room) else {
        return text;
    };
    let kept = text[..end].rsplit_once(' ').map_or(&text[..end], |(kept, _)| kept);
    format!("{} … (all: --verbose)", kept.trim_end_matches([' ', ';', ',', ':']))
}

/// Longest reason in the summary, in characters, without `--verbose`.
const REASON_SHOWN: usize = 300;

/// Shows how a rehearsal ended: for customers first, then the recovery and its figures.
pub fn summary(rehearsal: &Rehearsal, plan: &Plan, verbose: bool, output: &mut Output) {
    let paint = if rehearsal.succeeded() { Paint::Good } else { Paint::Bad };
    output.wrapped(output.paint(paint, &for_customers(rehearsal)), 2);
    let room = if verbose { usize::MAX } else { REASON_SHOWN };
    let reason = rehearsal.reason.as_deref().map(|reason| one_line(&brief(reason, room)));
    output.wrapped(
        format_args!(
            "{}: {} (seed {}){}",
            rehearsal.scenario.name(),
            verdict(rehearsal),
            rehearsal.seed,
            reason.map(|reason| format!(": {reason}")).unwrap_or_default()
        ),
        2,
    );
    output.line("");
    // What nobody went through has no times.
    if !rehearsal.steps.is_empty() {
        objectives(rehearsal, plan, output);
        output.line("");
        explain(rehearsal, plan, output);
        output.line("");
    }
    how(rehearsal, room, output);
    faults_and_breaches(rehearsal, output);
    bars(rehearsal, room, output);
    let calls: u64 = rehearsal.aws_calls.iter().map(|call| call.count).sum();
    let line = format!(
        "{} state transitions, {calls} AWS calls, {:.4} USD at list prices",
        rehearsal.transitions, rehearsal.cost_usd
    );
    output.wrapped(line, 2);
}

/// The outcome as customers feel it: whether they are served, how long they were not, and how many of their writes are lost.
fn for_customers(rehearsal: &Rehearsal) -> String {
    let truth = &rehearsal.truth;
    let limit = Duration::from_secs(rehearsal.objectives.rto.maximum);
    let (service, lost) = match (rehearsal.served_at_end, truth.rto_seconds) {
        (true, Some(seconds)) => (format!("Service back after {} (limit {limit}).", time(seconds)), "Lost"),
        (true, None) => ("Customers are served.".to_owned(), "Lost"),
        (false, _) => ("Service down.".to_owned(), "Lost so far"),
    };
    let writes = match truth.lost_writes {
        0 => "no acknowledged write".to_owned(),
        1 => "1 acknowledged write".to_owned(),
        count => format!("{count} acknowledged writes"),
    };
    format!("{service} {lost}: {writes}.")
}

/// Says what came before, who approved, and what was fenced.
fn how(rehearsal: &Rehearsal, room: usize, output: &mut Output) {
    let mut lines = Vec::new();
    for earlier in &rehearsal.earlier {
        let Earlier { recovery, region, .. } = earlier;
        let why = earlier
            .reason
            .as_deref()
            .map(|why| format!(": {}", one_line(&brief(why, room))));
        lines.push(format!(
            "before: {recovery} in {region} ended as {}{}",
            earlier.outcome,
            why.unwrap_or_default()
        ));
    }
    lines.extend(rehearsal.waits.iter().map(asked));
    lines.extend(
        rehearsal
            .approval
            .as_ref()
            .map(|how| format!("approval: {}", one_line(how))),
    );
    lines.extend(rehearsal.fence.as_ref().map(|how| format!("fence: {}", one_line(how))));
    lines.push(match rehearsal.truth.lost_writes {
        0 => "truth: no write that was acknowledged to a customer is lost".to_owned(),
        1 => "truth: 1 write that was acknowledged to a customer is lost".to_owned(),
        count => format!("truth: {count} writes that were acknowledged to customers are lost"),
    });
    for line in lines {
        output.wrapped(line, 2);
    }
    output.line("");
}

/// One question to people, how long the recovery waited for them, and the result.
fn asked(wait: &Wait) -> String {
    let Wait {
        state,
        people,
        approvals,
        ..
    } = wait;
    let result = match wait.result {
        Some(Answered::Approved) => "approved",
        Some(Answered::Declined) => "declined",
        Some(Answered::Expired) => "no decision in time",
        Some(Answered::Stopped) => "the wait was stopped",
        None => "still waiting",
    };
    let took = wait.ended_at.map(|ended| seconds_between(wait.asked_at, ended));
    let took = took.map(|seconds| format!(" after {}", time(seconds)));
    format!(
        "people: {state}: {result}{}; {approvals} of {people} approved (limit {})",
        took.unwrap_or_default(),
        time(seconds_between(wait.asked_at, wait.until))
    )
}

/// Lists the injected faults, and the rules that were broken.
fn faults_and_breaches(rehearsal: &Rehearsal, output: &mut Output) {
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

/// How the recovery ended, against its objectives, its rules and the injected faults.
fn verdict(rehearsal: &Rehearsal) -> String {
    let outcome = rehearsal.outcome;
    let has_recovered = outcome == Outcome::Recovered.name();
    let unapplied: Vec<String> = rehearsal.without_effect().map(ToString::to_string).collect();
    if rehearsal.succeeded() && has_recovered {
        let over = [("RTO", rehearsal.met.rto), ("RPO", rehearsal.met.rpo)];
        let over: Vec<&str> = over
            .into_iter()
            .filter(|(_, met)| *met == Met::Maximum)
            .map(|(name, _)| name)
            .collect();
        return match over.as_slice() {
            [] => format!("{outcome}; all objectives met"),
            over => format!(
                "{outcome}; within the maximum objectives, over the target: {}",
                over.join(" and ")
            ),
        };
    }
    if rehearsal.succeeded() {
        format!("{outcome}, as expected of this scenario")
    } else if !rehearsal.breaches.is_empty() {
        format!("{outcome}; a rule that must always hold was broken")
    } else if !unapplied.is_empty() {
        format!(
            "{outcome}; {} never applied, so this run proves nothing about it",
            unapplied.join(", ")
        )
    } else if has_recovered && !rehearsal.met.within() {
        format!("{outcome}, but not within the maximum objectives")
    } else if has_recovered && rehearsal.truth.lost_writes > 0 && !rehearsal.scenario.loses_writes() {
        format!("{outcome}, but writes were lost that this scenario must not lose")
    } else if has_recovered {
        format!("{outcome}, but events were not delivered")
    } else {
        outcome.to_owned()
    }
}

/// One objective, as it is shown.
struct Row {
    name: &'static str,
    measured: String,
    /// Whether the recovery's way loses no write.
    cannot_lose: bool,
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
        cannot_lose: false,
        truth: rehearsal.truth.rto_seconds,
        objective: Some(rehearsal.objectives.rto),
        met: rehearsal.met.rto,
    };
    let rpo = Row {
        name: "RPO",
        measured: match achieved.rpo_status {
            RpoStatus::Measured => known_rpo(achieved.rpo_seconds, plan),
            RpoStatus::Unmeasured => "unmeasured".to_owned(),
            RpoStatus::NotApplicable => "nothing to lose".to_owned(),
        },
        cannot_lose: achieved.rpo_status == RpoStatus::NotApplicable,
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
            let line = format!(
                "{:<15}{:>15}{:>11}{:>8}{:>9}  {}",
                row.name,
                row.measured,
                known(row.truth),
                target(&row),
                maximum(&row),
                stands(&row, output)
            );
            output.line(line.trim_end());
            if row.name == "RTO" {
                output.line(format_args!("{:<15}{from_decision:>15}", "  from decision"));
            }
        }
        return;
    }
    for row in [rto, rpo] {
        let line = match row.cannot_lose {
            true => format!("{}: {}", row.name, row.measured),
            false => format!("{} {}: {}", row.name, row.measured, stands(&row, output)),
        };
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

/// How a figure stands against its objective; empty for the RPO of a move that cannot lose writes.
fn stands(row: &Row, output: &Output) -> Cow<'static, str> {
    let (paint, word) = match row.met {
        _ if row.cannot_lose => (Paint::Faint, ""),
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
        "measured: what the recovery measured; in a real incident you have only this.".to_owned(),
        "truth: what the simulated customers saw, from the disaster on.".to_owned(),
    ];
    if rehearsal.achieved.rpo_status == RpoStatus::Measured {
        let every = plan.database.heartbeat.every;
        lines.push(format!(
            "±{every}: the RPO is measured to {every}, the interval of heartbeats."
        ));
    }
    if rehearsal.achieved.rpo_status == RpoStatus::Unmeasured {
        lines.push("unmeasured is not zero: the loss is unknown.".to_owned());
    }
    for line in lines {
        output.wrapped(output.paint(Paint::Faint, &line), 2);
    }
}

/// Draws when each step ran, to scale, and when the recovery waited for people. What failed is said below.
fn bars(rehearsal: &Rehearsal, room: usize, output: &mut Output) {
    let rows = rows(&rehearsal.steps, &rehearsal.waits);
    let Some(began) = rows.first().map(|row| row.step.started_at) else {
        return;
    };
    let ended = rows.iter().filter_map(BarRow::ended).max().unwrap_or(began);
    let whole = seconds_between(began, ended).max(0.001);
    let width = output
        .width()
        .saturating_sub(STATE_WIDTH + TIME_WIDTH + 9)
        .min(BAR_WIDTH);
    let header = format!("{:<STATE_WIDTH$} {:>TIME_WIDTH$} {:>5}", "step", "took", "times");
    output.wrapped(output.paint(Paint::Faint, &header), 2);
    let mut failures = Vec::new();
    for row in &rows {
        let step = row.step;
        let place = |at: Timestamp| ((seconds_between(began, at) / whole) * width as f64).round() as usize;
        let before = place(step.started_at).min(width.saturating_sub(1));
        let length = place(row.ended().unwrap_or(step.started_at)).saturating_sub(before);
        let length = length.clamp(1, (width - before).max(1));
        let piece = if row.people.is_some() { "┄" } else { "━" };
        let bar = match width {
            ..8 => String::new(),
            _ => format!("{}{}", " ".repeat(before), piece.repeat(length)),
        };
        // Colour alone does not say it: many terminals and every file have none.
        let (paint, wrong) = match step.outcome.as_deref() {
            Some("succeeded") => (Paint::Good, String::new()),
            Some(error) => {
                failures.push(format!("✗ {}: {}", step.state, one_line(&brief(error, room))));
                (
                    Paint::Bad,
                    format!("  ✗ {}", step.last_failed_as.as_deref().unwrap_or("failed")),
                )
            }
            None => (Paint::Bad, "  ✗ no answer".to_owned()),
        };
        let people = row.people.map(|seconds| format!("  people: {}", time(seconds)));
        let line = format!(
            "{:<STATE_WIDTH$} {:>TIME_WIDTH$} {:>5}  {}{}{}",
            cut(&step.state, STATE_WIDTH),
            known(row.ended().map(|ended| seconds_between(step.started_at, ended))),
            step.attempts,
            output.paint(paint, &bar),
            people.unwrap_or_default(),
            output.paint(paint, &wrong),
        );
        output.wrapped(line.trim_end(), 2);
    }
    if rows.iter().any(|row| row.people.is_some()) {
        output.wrapped(output.paint(Paint::Faint, "┄ the recovery waits for people"), 2);
    }
    for failure in failures {
        output.wrapped(output.paint(Paint::Bad, &failure), 2);
    }
    output.line("");
}

/// A step, and how long the recovery then waited for people.
struct BarRow<'a> {
    step: &'a TimelineStep,
    /// In seconds.
    people: Option<f64>,
    /// When they had decided, or the time to answer had ended.
    decided: Option<Timestamp>,
}

impl BarRow<'_> {
    fn ended(&self) -> Option<Timestamp> {
        self.step.ended_at.max(self.decided)
    }
}

/// How long after a step has asked, in seconds, the recovery waits at the latest: clocks of the two may differ.
const WAITS_WITHIN: f64 = 60.0;

/// The steps with the waits that they began. A step only asks; its machine waits.
fn rows<'a>(steps: &'a [TimelineStep], waits: &[Wait]) -> Vec<BarRow<'a>> {
    let row = |step: &'a TimelineStep| {
        let began = step.last_started_at.unwrap_or(step.started_at);
        let wait = waits
            .iter()
            .find(|wait| wait.state == step.state && seconds_between(began, wait.asked_at).abs() <= WAITS_WITHIN);
        let decided = wait.and_then(|wait| wait.ended_at);
        BarRow {
            step,
            people: wait.and_then(|wait| Some(seconds_between(wait.asked_at, wait.ended_at?))),
            decided,
        }
    };
    steps.iter().map(row).collect()
}

/// One line for one of many rehearsals. Where there is too little room it is broken between the figures.
pub fn run_line(rehearsal: &Rehearsal, plan: &Plan, seed_width: usize, output: &mut Output) {
    let word = if rehearsal.succeeded() {
        rehearsal.outcome.to_owned()
    } else {
        match &rehearsal.reason {
            Some(reason) => format!("{}: {}", rehearsal.outcome, one_line(&brief(reason, REASON_SHOWN))),
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
    if output.width() >= short {
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
                let line = format!("The {name} was measured in {count} of {all} runs; its figures are of those.");
                output.wrapped(line, 2);
            }
        }
    }
}

pub(crate) fn known(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), time)
}

/// With its resolution: the interval of heartbeats.
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

pub(crate) fn cut(text: &str, room: usize) -> Cow<'_, str> {
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
        assert_eq!(what_it_says(&output).text, "done; the step gives no summary");
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
