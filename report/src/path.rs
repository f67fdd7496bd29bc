//! The critical path of a recovery: what followed on what, from the impact to the first healthy answer, and whom each part
//! of it waited for.
//!
//! The record knows of each state when its visits began and ended and for how long they waited for answers. What it does
//! not know counts against us: "ours" is always "at most".

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::error::ErrorKind;
use shared::record::{Started, TimelineStep};
use shared::request::TriggerKind;

use crate::account::Account;
use crate::steps::ASKS;

/// Whom a part of the path waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsFor {
    /// AWS: its answers, and that it is done with what it was told to do.
    Aws,
    /// People: that they answer, start a recovery, or resume one.
    People,
    /// This automation, at most: its functions, transitions, pauses.
    Ours,
}

/// What happened in a part of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum What {
    /// Nobody knew of it yet: CloudWatch gathered datapoints until the alarm went off.
    Detection,
    /// Nobody had started a recovery yet.
    Unstarted,
    /// The alarm's event was on its way, until it was decided to start a recovery.
    Delivery,
    /// The recovery was started, and its first state had not begun.
    Start,
    /// A state was at work by itself.
    Work {
        /// The state.
        state: String,
        /// Name of the execution.
        execution: String,
    },
    /// A state waited for answers, or until AWS was done.
    Answers {
        /// The state.
        state: String,
        /// Name of the execution.
        execution: String,
    },
    /// The pause before a state's last look: AWS may have been done at any moment of it.
    LastPause {
        /// The state.
        state: String,
        /// Name of the execution.
        execution: String,
    },
    /// From one state to the next one.
    Between {
        /// The state that had ended.
        after: String,
        /// The state that began then.
        before: String,
        /// Name of that one's execution.
        execution: String,
    },
    /// People were asked.
    Question {
        /// The question's id.
        question: String,
    },
    /// The recovery had ended, or was stopped, and nobody had resumed it yet.
    Interrupted,
    /// After the last state that the record knows of.
    Ending,
}

/// A part of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Whom it waited for.
    pub waits_for: WaitsFor,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

impl Span {
    fn new(from: Timestamp, to: Timestamp, waits_for: WaitsFor, what: What) -> Self {
        Self {
            from,
            to,
            waits_for,
            what,
        }
    }

    /// Its length, in seconds.
    pub fn seconds(&self) -> f64 {
        self.milliseconds() as f64 / 1000.0
    }

    fn milliseconds(&self) -> i64 {
        milliseconds(self.from, self.to)
    }
}

/// The critical path: parts that follow on each other without a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalPath {
    /// The impact; the start of the recovery where no impact is known.
    pub from: Timestamp,
    /// The first healthy answer; where there was none, the end of the recovery, or the last that is known of it.
    pub to: Timestamp,
    /// Whether it ends with the first healthy answer.
    pub ends_healthy: bool,
    /// Its parts, in order.
    pub spans: Vec<Span>,
    /// What they add up to.
    pub waiting: Waiting,
}

/// For how long a recovery waited for whom; seconds, and shares of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The whole path.
    pub total_seconds: f64,
    /// Until the alarm went off; it is part of `aws_seconds`.
    pub detection_seconds: f64,
    /// For AWS.
    pub aws_seconds: f64,
    /// For people.
    pub people_seconds: f64,
    /// For this automation, at most.
    pub ours_at_most_seconds: f64,
    /// For AWS, of 1.
    pub aws_share: f64,
    /// For people, of 1.
    pub people_share: f64,
    /// For this automation, at most, of 1.
    pub ours_at_most_share: f64,
}

/// Works out the critical path of a recovery, from its account alone.
pub fn critical_path(account: &Account) -> CriticalPath {
    let healthy_at = account.header.ended().and_then(|closing| closing.observed.healthy_at);
    let from = account.impact_at().unwrap_or(account.header.trigger.at);
    let to = healthy_at.unwrap_or_else(|| account.known_until()).max(from);
    let walk = Walk {
        account,
        from,
        healthy_at,
    };
    let spans = walk.back_from(to);
    CriticalPath {
        from,
        to,
        ends_healthy: healthy_at == Some(to),
        waiting: waiting(&spans),
        spans,
    }
}

/// The parts of one state's visits, whether they are on the path or not.
pub(crate) fn parts(account: &Account, step: &TimelineStep) -> Vec<Span> {
    let walk = Walk {
        account,
        from: step.started_at,
        healthy_at: account.header.ended().and_then(|closing| closing.observed.healthy_at),
    };
    walk.parts(step, walk.end_of(step))
}

fn waiting(spans: &[Span]) -> Waiting {
    let sum = |which: &dyn Fn(&Span) -> bool| -> i64 {
        spans.iter().filter(|span| which(span)).map(Span::milliseconds).sum()
    };
    let total = sum(&|_| true);
    let of = |whom: WaitsFor| sum(&|span| span.waits_for == whom);
    let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
    let share = |part: i64| if total == 0 { 0.0 } else { part as f64 / total as f64 };
    let (aws, people, ours) = (of(WaitsFor::Aws), of(WaitsFor::People), of(WaitsFor::Ours));
    Waiting {
        total_seconds: seconds(total),
        detection_seconds: seconds(sum(&|span| span.what == What::Detection)),
        aws_seconds: seconds(aws),
        people_seconds: seconds(people),
        ours_at_most_seconds: seconds(ours),
        aws_share: share(aws),
        people_share: share(people),
        ours_at_most_share: share(ours),
    }
}

/// The way back from the end to the impact.
struct Walk<'a> {
    account: &'a Account,
    from: Timestamp,
    healthy_at: Option<Timestamp>,
}

impl Walk<'_> {
    /// The parts from the impact until `to`. Of states side by side, the one that ended last was waited for.
    fn back_from(&self, to: Timestamp) -> Vec<Span> {
        let mut parts: Vec<Span> = Vec::new();
        let mut now = to;
        let mut next: Option<&TimelineStep> = None;
        while now > self.from {
            let Some(step) = self.waited_for(now, next) else { break };
            let ended = self.end_of(step).min(now);
            if ended < now {
                parts.extend(self.gap(step, next, ended, now).into_iter().rev());
            }
            parts.extend(self.parts(step, ended).into_iter().rev());
            (now, next) = (step.started_at, Some(step));
        }
        parts.extend(self.before_the_first_state(now).into_iter().rev());
        parts.reverse();
        self.clipped(parts)
    }

    /// The state whose end was waited for before `now`: at the path's end the one that was at work then, otherwise the one that
    /// ended last before the next one, or before the pause of the next one, began.
    fn waited_for(&self, now: Timestamp, next: Option<&TimelineStep>) -> Option<&TimelineStep> {
        let steps = || self.account.timeline.iter();
        let Some(next) = next else {
            let begun = steps().filter(|step| step.started_at <= now);
            return begun.max_by_key(|step| (self.end_of(step).min(now), step.started_at));
        };
        let ended_by = |limit| {
            let ended = steps().filter(move |step| step.started_at < now && self.end_of(step) <= limit);
            ended.max_by_key(|step| (self.end_of(step), step.started_at))
        };
        let paused_from = began_to_pause(next).filter(|from| *from <= now);
        paused_from.and_then(ended_by).or_else(|| ended_by(now))
    }

    /// What lies within the path. A part that takes no time is none.
    fn clipped(&self, parts: Vec<Span>) -> Vec<Span> {
        let clipped = parts.into_iter().map(|part| Span {
            from: part.from.max(self.from),
            ..part
        });
        clipped.filter(|part| part.from < part.to).collect()
    }

    /// When a state had ended. One that never answered held things up until another one began, or still does.
    fn end_of(&self, step: &TimelineStep) -> Timestamp {
        let last_started = step.last_started_at.unwrap_or(step.started_at);
        if let Some(ended) = step.ended_at.filter(|ended| *ended >= last_started) {
            return ended;
        }
        let later = self.account.timeline.iter().map(|other| other.started_at);
        let next = later.filter(|started| *started > last_started).min();
        next.unwrap_or_else(|| self.account.known_until().max(last_started))
    }

    /// The parts of a state's visits until `to`.
    fn parts(&self, step: &TimelineStep, to: Timestamp) -> Vec<Span> {
        let from = step.started_at;
        let (state, execution) = (step.state.clone(), step.execution.clone());
        let answers = What::Answers {
            state: state.clone(),
            execution: execution.clone(),
        };
        let work = What::Work {
            state: state.clone(),
            execution: execution.clone(),
        };
        // What of it is ours is at its beginning by convention: the record has its length and not its place.
        let split = |from: Timestamp, to: Timestamp, waited: i64| {
            let turn = after(from, milliseconds(from, to).saturating_sub(waited).max(0));
            vec![
                Span::new(from, turn, WaitsFor::Ours, work.clone()),
                Span::new(turn, to, WaitsFor::Aws, answers.clone()),
            ]
        };
        let waited = i64::try_from(step.waited_ms).unwrap_or(i64::MAX);
        if self.ends_healthy(step, to) || self.is_not_done(step, to) && polls(step) {
            return vec![Span::new(from, to, WaitsFor::Aws, answers)];
        }
        let pause = step.previous_ended_at.zip(step.last_started_at);
        match pause.filter(|_| polls(step) || waited_out(step)) {
            Some((previous_ended, last_started)) if previous_ended <= last_started && last_started <= to => {
                // The visits before the last one can have waited for no longer than they took, pauses included.
                let in_the_last = waited.saturating_sub(milliseconds(from, previous_ended)).max(0);
                let mut parts = vec![
                    Span::new(from, previous_ended, WaitsFor::Aws, answers.clone()),
                    Span::new(
                        previous_ended,
                        last_started,
                        WaitsFor::Ours,
                        What::LastPause { state, execution },
                    ),
                ];
                parts.extend(split(last_started, to, in_the_last));
                parts
            }
            _ => split(from, to, waited),
        }
    }

    /// Whether the service was found healthy during these visits: their pauses delayed nobody.
    fn ends_healthy(&self, step: &TimelineStep, to: Timestamp) -> bool {
        self.healthy_at.is_some_and(|healthy| {
            polls(step) && step.started_at <= healthy && healthy <= self.end_of(step) && to <= healthy
        })
    }

    /// Whether it is what a recovery that still runs is at.
    fn is_not_done(&self, step: &TimelineStep, to: Timestamp) -> bool {
        self.account.header.ended().is_none() && to == self.account.known_until() && self.end_of(step) >= to
    }

    /// What lies between a state and the next one; nothing comes next where the path ends.
    fn gap(&self, before: &TimelineStep, next: Option<&TimelineStep>, from: Timestamp, to: Timestamp) -> Vec<Span> {
        if let Some(at) = self.resumed_within(before, next, from, to) {
            return vec![
                Span::new(from, at, WaitsFor::People, What::Interrupted),
                Span::new(at, to, WaitsFor::Ours, What::Start),
            ];
        }
        let mut parts = Vec::new();
        let mut now = from;
        if before.name == ASKS
            && let Some((question, until)) = self.question_within(from, to)
        {
            parts.push(Span::new(from, until, WaitsFor::People, What::Question { question }));
            now = until;
        }
        parts.push(match next {
            None => Span::new(now, to, WaitsFor::Ours, What::Ending),
            Some(next) => {
                let what = What::Between {
                    after: before.state.clone(),
                    before: next.state.clone(),
                    execution: next.execution.clone(),
                };
                // Where AWS was not done at the first look, it was not done in the pause before that either.
                let waits_for = if self.looked_in_vain(next) {
                    WaitsFor::Aws
                } else {
                    WaitsFor::Ours
                };
                Span::new(now, to, waits_for, what)
            }
        });
        parts
    }

    fn looked_in_vain(&self, step: &TimelineStep) -> bool {
        match self.healthy_at {
            Some(healthy) if step.started_at <= healthy && healthy <= self.end_of(step) => {
                polls(step) && step.started_at < healthy
            }
            _ => polls(step),
        }
    }

    /// When somebody resumed the recovery, between two of its executions.
    fn resumed_within(
        &self,
        before: &TimelineStep,
        next: Option<&TimelineStep>,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<Timestamp> {
        next.is_none_or(|next| next.execution != before.execution)
            .then_some(())?;
        let mut resumed = self.account.header.resumed.iter().map(|trigger| trigger.at);
        resumed.find(|at| (from..=to).contains(at))
    }

    /// The question that was open, and until when.
    fn question_within(&self, from: Timestamp, to: Timestamp) -> Option<(String, Timestamp)> {
        let mut open = self.account.questions.iter().filter_map(|asked| {
            let settled = asked.settled.as_ref().map_or(to, |settled| settled.at);
            (asked.asked_at <= to && settled > from).then(|| (asked.ask.id.clone(), settled.min(to)))
        });
        // Asked last is what this pause is about.
        open.next_back()
    }

    /// From the impact until the first state began.
    fn before_the_first_state(&self, to: Timestamp) -> Vec<Span> {
        if to <= self.from {
            // A person started it before customers suffered.
            return Vec::new();
        }
        let trigger = &self.account.header.trigger;
        let triggered = trigger.at.clamp(self.from, to);
        let (waits_for, what) = match trigger.kind {
            TriggerKind::Alarm => (WaitsFor::Aws, What::Detection),
            TriggerKind::Person => (WaitsFor::People, What::Unstarted),
            TriggerKind::Schedule => (WaitsFor::Ours, What::Unstarted),
        };
        let decided = self.account.started.as_ref().filter(|decision| {
            matches!(decision.decision, Started::Started { .. }) && trigger.kind == TriggerKind::Alarm
        });
        let decided = decided.map_or(triggered, |decision| decision.at.clamp(triggered, to));
        vec![
            Span::new(self.from, triggered, waits_for, what),
            Span::new(triggered, decided, WaitsFor::Aws, What::Delivery),
            Span::new(decided, to, WaitsFor::Ours, What::Start),
        ]
    }
}

/// Whether a state looked again and again until AWS was done: more than one of its visits ended well.
pub(crate) fn polls(step: &TimelineStep) -> bool {
    step.previous_ended_at.is_some() && step.attempts.saturating_sub(step.failures) > 1
}

/// When the pause before a state's first look began, where all of its pauses were as long as the last one: what ended
/// during it ran beside it. Pauses that became longer are on the average shorter than the last one.
fn began_to_pause(step: &TimelineStep) -> Option<Timestamp> {
    let (previous_ended, last_started) = step
        .previous_ended_at
        .zip(step.last_started_at)
        .filter(|_| polls(step))?;
    let last_pause = milliseconds(previous_ended, last_started);
    let looks_again = i64::try_from(step.attempts.saturating_sub(1)).unwrap_or(i64::MAX);
    let average = milliseconds(step.started_at, last_started) / looks_again.max(1);
    (step.failures == 0 && (0..=average).contains(&last_pause)).then(|| after(step.started_at, -last_pause))
}

/// Whether a state was tried again because AWS did not do what it was asked.
fn waited_out(step: &TimelineStep) -> bool {
    let name = step.last_failed_as.as_deref();
    let kind = ErrorKind::ALL.into_iter().find(|kind| Some(kind.name()) == name);
    step.failures > 0 && kind.is_some_and(ErrorKind::is_retryable)
}

fn milliseconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond() - from.as_millisecond()
}

fn after(from: Timestamp, milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(from.as_millisecond() + milliseconds).unwrap_or(from)
}
