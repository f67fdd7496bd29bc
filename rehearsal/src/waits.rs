//! How long a recovery waits for people, seen in the events of its executions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::approval::{Ask, Verdict};
use shared::arn;
use states_language::{EventKind, HistoryEvent};

use crate::moment::Moment;

/// A question for whose answer a recovery waited.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wait {
    /// The state that waits.
    pub state: String,
    /// What would be done, in one sentence.
    pub headline: String,
    /// How many people must approve; one more where AWS does not confirm who started the recovery.
    pub people: u8,
    /// How many approvals were taken.
    pub approvals: usize,
    /// When the recovery began to ask: the time to answer counts from here.
    pub asked_at: Timestamp,
    /// When it gives up.
    pub until: Timestamp,
    /// When it stopped waiting; nothing if it still waits.
    pub ended_at: Option<Timestamp>,
    /// What ended the wait; nothing if it still waits.
    pub result: Option<Answered>,
}

/// What ended a wait for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// As many people as are needed approved.
    Approved,
    /// Somebody declined.
    Declined,
    /// The time to answer ended.
    Expired,
    /// The call that asks failed, or the execution ended.
    Stopped,
}

/// One visit of a state: its execution and where the state stands.
type Visit = (Arc<str>, Arc<str>);

/// The waits of a rehearsal, and the questions that are about to be asked.
#[derive(Default)]
pub(crate) struct Waits {
    asking: RefCell<BTreeMap<Visit, Wait>>,
    open: RefCell<BTreeMap<Visit, usize>>,
    all: RefCell<Vec<Wait>>,
    /// Who answered the wait with this number: each answer is told once.
    told: RefCell<BTreeSet<(usize, String)>>,
}

/// What a state that waits for people hands to the function that asks them.
#[derive(Deserialize)]
struct Asking {
    ask: Ask,
    answer_within_seconds: i64,
}

/// A Task that waits for an answer has a `Resource` that ends like this.
const WAITS: &str = ".waitForTaskToken";

impl Waits {
    /// Tells an event of an execution, after the answers that it rests on and before the question that it asks.
    pub(crate) fn follow(&self, event: &HistoryEvent, tell: &dyn Fn(Moment)) {
        let visit = (Arc::clone(&event.execution_arn), Arc::clone(&event.path));
        let at = event.timestamp;
        match event.kind {
            EventKind::TaskScheduled => {
                let wait = asking(event);
                self.asking.borrow_mut().extend(wait.map(|wait| (visit, wait)));
            }
            EventKind::TaskSucceeded => self.succeeded(&visit, event, tell),
            EventKind::TaskTimedOut => self.end(&visit, at, Answered::Expired),
            EventKind::TaskFailed | EventKind::TaskStateAborted => self.end(&visit, at, Answered::Stopped),
            EventKind::ExecutionFailed | EventKind::ExecutionTimedOut | EventKind::ExecutionAborted => {
                let mut visits: Vec<Visit> = self.open.borrow().keys().cloned().collect();
                visits.retain(|(execution, _)| *execution == event.execution_arn);
                for visit in visits {
                    self.end(&visit, at, Answered::Stopped);
                }
            }
            // Logged only where the question had no answer yet.
            EventKind::TaskSubmitted => {
                tell(Moment::Machine(Box::new(event.clone())));
                self.begin(visit, at, tell);
                return;
            }
            _ => {}
        }
        tell(Moment::Machine(Box::new(event.clone())));
    }

    /// Tells that a person answered, unless the end of the wait told it before.
    pub(crate) fn answered(&self, moment: Moment, tell: &dyn Fn(Moment)) {
        let Moment::Answered {
            by,
            approves,
            refused_as: None,
            ..
        } = &moment
        else {
            return tell(moment);
        };
        let last = self.open.borrow().values().copied().max();
        let last = last.or(self.all.borrow().len().checked_sub(1));
        let Some(last) = last else { return tell(moment) };
        if self.told.borrow_mut().insert((last, by.clone())) {
            self.all.borrow_mut()[last].approvals += usize::from(*approves);
            tell(moment);
        }
    }

    /// All of them, in the order in which people were asked.
    pub(crate) fn all(&self) -> Vec<Wait> {
        self.all.borrow().clone()
    }

    fn begin(&self, visit: Visit, at: Timestamp, tell: &dyn Fn(Moment)) {
        let Some(wait) = self.asking.borrow_mut().remove(&visit) else {
            return;
        };
        let asked = Moment::Asked {
            at,
            since: wait.asked_at,
            state: wait.state.clone(),
            headline: wait.headline.clone(),
            people: wait.people,
            until: wait.until,
        };
        self.open.borrow_mut().insert(visit, self.all.borrow().len());
        self.all.borrow_mut().push(wait);
        tell(asked);
    }

    /// The machine has its verdict before the person who gave the last answer has theirs.
    fn succeeded(&self, visit: &Visit, event: &HistoryEvent, tell: &dyn Fn(Moment)) {
        let is_waited_for = self.open.borrow().contains_key(visit);
        let verdict = event.details.output.as_deref().map(Verdict::deserialize);
        let (by, result) = match verdict {
            Some(Ok(Verdict::Approved { by, .. })) => (by, Answered::Approved),
            Some(Ok(Verdict::Declined { by, .. })) => (vec![by], Answered::Declined),
            _ => (Vec::new(), Answered::Stopped),
        };
        for arn in by.iter().filter(|_| is_waited_for) {
            let answered = Moment::Answered {
                at: event.timestamp,
                by: arn::display_name(arn).to_owned(),
                approves: result == Answered::Approved,
                refused_as: None,
            };
            self.answered(answered, tell);
        }
        self.end(visit, event.timestamp, result);
    }

    fn end(&self, visit: &Visit, at: Timestamp, result: Answered) {
        self.asking.borrow_mut().remove(visit);
        if let Some(index) = self.open.borrow_mut().remove(visit) {
            let wait = &mut self.all.borrow_mut()[index];
            (wait.ended_at, wait.result) = (Some(at), Some(result));
        }
    }
}

/// The question that a state is about to ask; nothing for a state that asks nobody.
fn asking(event: &HistoryEvent) -> Option<Wait> {
    let resource = event.details.resource.as_deref()?;
    let payload = event.details.input.as_deref()?.get("Payload")?;
    let Asking {
        ask,
        answer_within_seconds,
    } = Asking::deserialize(payload)
        .ok()
        .filter(|_| resource.ends_with(WAITS))?;
    let asked_at = event.timestamp;
    let until = asked_at.checked_add(SignedDuration::from_secs(answer_within_seconds));
    Some(Wait {
        state: event.state.to_string(),
        headline: ask.headline,
        people: ask.people,
        approvals: 0,
        asked_at,
        until: until.unwrap_or(Timestamp::MAX),
        ended_at: None,
        result: None,
    })
}
