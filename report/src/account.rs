//! Everything that the record knows of one recovery, as plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::approval::{Approval, Ask, Question, Settled};
use shared::arn;
use shared::digest::sha256_hex;
use shared::error::StepError;
use shared::record::{Announced, Closing, Header, Record, StartDecision, Started, TimelineStep, Undo};
use shared::recovery::{Outcome, RecoveryRef};
use shared::request::Trigger;

/// One recovery: all of its items in the record, without the task tokens, which are secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// What it is, and how it ended.
    pub header: Header,
    /// The visits of its states, by all of its executions, in the order in which they first began.
    pub timeline: Vec<TimelineStep>,
    /// What it changed, and what takes that back.
    pub undo: Vec<Undo>,
    /// What people were asked, in the order in which they were.
    pub questions: Vec<Asked>,
    /// What it decided, as the step that decided keeps it; nothing if it did not come to that.
    pub decision: Option<Value>,
    /// The decision on the alarm's event that started it; nothing if something else did.
    pub started: Option<StartDecision>,
    /// What people were told.
    pub announced: Vec<Announced>,
    /// The recovery that took the lock from it, where it ended as preempted and the record knows of one.
    pub taken_over_by: Option<Successor>,
    /// The plan that it follows; nothing if the table has none with that SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// How it was rehearsed, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsed: Option<Rehearsed>,
}

/// How a recovery was rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// The seed.
    pub seed: u64,
    /// What plays it again, with the plan's own file; nothing if an event from a file started it.
    pub command: Option<String>,
    /// SHA-256 of the ranges that durations are drawn from.
    pub timings_sha256: String,
}

/// A question, and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What was asked.
    pub ask: Ask,
    /// When it was asked first.
    pub asked_at: Timestamp,
    /// Until when it can, or could, be answered.
    pub expires_at: Timestamp,
    /// ARN of who or what started the recovery: their approval alone is not enough.
    pub started_by: String,
    /// Whether that is known, and not only said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub starter_is_known: bool,
    /// What people answered, in the order in which they did.
    pub answers: Vec<Approval>,
    /// Its result; nothing while that is open, or if nobody answered in time.
    pub settled: Option<Settled>,
}

/// A recovery that came after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// Its id.
    pub id: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What started it.
    pub trigger: Trigger,
}

/// Reads recovery `id`; nothing if the table knows of none. It reads and changes nothing. Errors: DynamoDB's own.
pub async fn read(record: &Record, id: &str) -> Result<Option<Account>, StepError> {
    let Some(mut header) = record.header(id).await? else {
        return Ok(None);
    };
    // DynamoDB gives the fields of its maps in no order.
    header.wants.sort_keys();
    for closing in header.earlier.iter_mut().chain(&mut header.closing) {
        closing.evidence.sort_all_objects();
    }
    let mut questions = Vec::new();
    for question in record.questions(id).await? {
        questions.push(asked(record, id, question).await?);
    }
    questions.sort_by(|a, b| (a.asked_at, &a.ask.id).cmp(&(b.asked_at, &b.ask.id)));
    let recovery = RecoveryRef {
        id: id.to_owned(),
        workload: header.workload.clone(),
        token: 0,
        execution: header.execution.clone(),
    };
    let mut undo = record.undo_notes(id).await?;
    for note in &mut undo {
        note.previous.sort_all_objects();
    }
    let mut decision: Option<Value> = record.decision(&recovery).await?;
    if let Some(decision) = &mut decision {
        decision.sort_all_objects();
        without_keys(decision);
    }
    let decisions = record.start_decisions(&header.workload).await?;
    let started = decisions.into_iter().find(|decision| has_started(decision, &header));
    Ok(Some(Account {
        timeline: record.timeline(id).await?,
        undo,
        questions,
        decision,
        started,
        announced: record.announced(id).await?,
        taken_over_by: successor(record, &header).await?,
        plan: plan(record, &header.plan_sha256).await?,
        rehearsed: None,
        header,
    }))
}

/// The plan with this SHA-256, if it is what its hash says.
async fn plan(record: &Record, sha256: &str) -> Result<Option<Value>, StepError> {
    let text = record.plan_text(sha256).await?;
    let text = text.filter(|text| sha256_hex(text) == sha256);
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// What is read as it is has the table's keys beside the data.
fn without_keys(item: &mut Value) {
    if let Value::Object(fields) = item {
        fields.retain(|name, _| name != "pk" && name != "sk");
    }
}

async fn asked(record: &Record, id: &str, question: Question) -> Result<Asked, StepError> {
    let Question {
        ask,
        asked_at,
        expires_at,
        started_by,
        starter_is_known,
        same_person: _,
        task_token: _,
    } = question;
    Ok(Asked {
        answers: record.approvals(id, &ask.id).await?,
        settled: record.settled(id, &ask).await?,
        ask,
        asked_at,
        expires_at,
        started_by,
        starter_is_known,
    })
}

fn has_started(decision: &StartDecision, header: &Header) -> bool {
    let Started::Started { execution } = &decision.decision else {
        return false;
    };
    let ended = header.earlier.iter().chain(&header.closing);
    *execution == header.execution || ended.into_iter().any(|closing| closing.execution == *execution)
}

/// The last recovery that was opened before a preempted one ended: that one has, or had, the lock.
async fn successor(record: &Record, header: &Header) -> Result<Option<Successor>, StepError> {
    let Some(closing) = header.ended().filter(|closing| closing.outcome == Outcome::Preempted) else {
        return Ok(None);
    };
    for id in record.recoveries(&header.workload).await?.iter().rev() {
        let Some(other) = record.header(id).await? else {
            continue;
        };
        if other.id != header.id && (header.opened_at..=closing.closed_at).contains(&other.opened_at) {
            return Ok(Some(Successor {
                id: other.id,
                opened_at: other.opened_at,
                trigger: other.trigger,
            }));
        }
    }
    Ok(None)
}

/// Why an execution fell short, without the name of the state that failed and without what stands, both of which are told
/// beside it. Records from before have it only together with those.
pub(crate) fn cause(closing: &Closing) -> Option<&str> {
    closing.cause.as_deref().or(closing.reason.as_deref())
}

/// What evidence says under `name`: in one of its parts, or at the top.
pub(crate) fn in_evidence<'a>(evidence: &'a Value, name: &str) -> Option<&'a Value> {
    let parts = evidence.as_object().into_iter().flat_map(|parts| parts.values());
    let mut found = parts.filter_map(|part| part.get(name));
    found.next().or_else(|| evidence.get(name))
}

impl Account {
    /// How its executions ended, oldest first, the last one included if it has.
    pub fn endings(&self) -> impl Iterator<Item = &Closing> {
        self.header.earlier.iter().chain(&self.header.closing)
    }

    /// The Region that runs, or ran, it: the fourth part of its execution's ARN. Empty if that is no ARN.
    pub fn region(&self) -> &str {
        arn::region(&self.header.execution)
    }

    /// When customers first suffered, as far as the record knows.
    pub fn impact_at(&self) -> Option<Timestamp> {
        let closed = self
            .header
            .closing
            .as_ref()
            .and_then(|closing| closing.observed.impact_at);
        closed.or_else(|| self.decision_time("impact_at"))
    }

    /// Whether nobody saw customers suffer, so that the start stands in for the impact: so with a planned move.
    pub fn starts_in_place_of_an_impact(&self) -> bool {
        self.impact_at() == Some(self.header.trigger.at)
    }

    /// When it was decided what to do, as far as the record knows.
    pub fn decided_at(&self) -> Option<Timestamp> {
        let closed = self
            .header
            .closing
            .as_ref()
            .and_then(|closing| closing.observed.decided_at);
        closed.or_else(|| self.decision_time("decided_at"))
    }

    fn decision_time(&self, name: &str) -> Option<Timestamp> {
        self.decision.as_ref()?.get(name)?.as_str()?.parse().ok()
    }

    /// The last moment of which the record knows anything: that of its end, or of the last sign of it while it runs.
    pub fn known_until(&self) -> Timestamp {
        if let Some(closing) = self.header.ended() {
            return closing.closed_at;
        }
        let steps = self
            .timeline
            .iter()
            .flat_map(|step| [Some(step.started_at), step.last_started_at, step.ended_at]);
        let answers = self
            .questions
            .iter()
            .flat_map(|asked| &asked.answers)
            .map(|answer| answer.at);
        let questions = self
            .questions
            .iter()
            .flat_map(|asked| [Some(asked.asked_at), asked.settled.as_ref().map(|settled| settled.at)]);
        let resumed = self.header.resumed.iter().map(|trigger| trigger.at);
        let known = steps.chain(questions).flatten().chain(answers).chain(resumed);
        known.fold(self.header.opened_at, Timestamp::max)
    }

    /// What its last evidence, or else its decision, says under `name`.
    pub(crate) fn found(&self, name: &str) -> Option<&Value> {
        let closing = self.header.closing.as_ref();
        let found = closing.and_then(|closing| in_evidence(&closing.evidence, name));
        found.or_else(|| self.decision.as_ref()?.get(name))
    }

    /// The newest evidence under `name` that is there.
    pub(crate) fn newest(&self, name: &str) -> Option<&Value> {
        let parts = self.endings().filter_map(|closing| closing.evidence.get(name));
        parts.filter(|part| !part.is_null()).last()
    }

    /// The Region of the plan that does not run it; nothing in records from before it was kept.
    pub fn other_region(&self) -> Option<&str> {
        self.header.regions.as_ref().map(|regions| regions.other.as_str())
    }

    /// The Region that runs it, for sentences.
    pub(crate) fn here(&self) -> &str {
        match self.region() {
            "" => "the Region that runs it",
            here => here,
        }
    }

    /// The other Region, for sentences.
    pub(crate) fn other(&self) -> &str {
        self.other_region().unwrap_or("the other Region")
    }

    /// The times that its last end has; none where it has not ended.
    pub(crate) fn observed(&self) -> shared::measure::Observed {
        let ended = self.header.ended();
        ended.map(|closing| closing.observed).unwrap_or_default()
    }

    /// Whether a step changed something that was not taken back.
    pub(crate) fn stands(&self, step: &str) -> bool {
        self.undo.iter().any(|undo| undo.stands_of(step))
    }

    /// Whether a visit of a step ended well.
    pub(crate) fn has_succeeded(&self, step: &str) -> bool {
        let succeeded = |visit: &TimelineStep| visit.name == step && visit.outcome.as_deref() == Some("succeeded");
        self.timeline.iter().any(succeeded)
    }

    /// When a step first ended well.
    pub(crate) fn ended(&self, step: &str) -> Option<Timestamp> {
        let succeeded = |visit: &&TimelineStep| visit.name == step && visit.outcome.as_deref() == Some("succeeded");
        self.timeline
            .iter()
            .filter(succeeded)
            .filter_map(|visit| visit.ended_at)
            .min()
    }

    /// A question that people can still answer, as far as the record knows.
    pub(crate) fn open_question(&self) -> Option<&Asked> {
        let runs = self.header.ended().is_none();
        let open = |asked: &&Asked| asked.settled.is_none() && asked.expires_at > self.known_until();
        self.questions.iter().rev().find(open).filter(|_| runs)
    }

    /// The state that failed, where the timeline has no line of it.
    pub(crate) fn silent_failure<'a>(&self, closing: &'a Closing) -> Option<&'a str> {
        let state = closing.failed_state.as_deref()?;
        let execution = arn::name(&closing.execution);
        let has_a_line = |step: &TimelineStep| step.state == state && step.execution == execution;
        (!self.timeline.iter().any(has_a_line)).then_some(state)
    }
}
