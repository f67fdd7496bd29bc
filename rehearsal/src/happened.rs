//! The course of a rehearsal for invariants to check: the records of its Regions, and the simulated AWS.

use jiff::Timestamp;
use serde_json::Value;
use shared::approval::{Approval, Question, Settled};
use shared::arn;
use shared::error::StepError;
use shared::plan::Plan;
use shared::record::{Announced, Closing, Header, Record, Reopened, TimelineStep, Undo};
use shared::scenario::Scenario;
use simulator::aws::rds::Move;
use simulator::aws::sns::Message;
use simulator::simulation::Simulation;

use crate::truth::{Breach, Truth};

/// One recovery, as its Region's record has it.
pub struct Recorded {
    /// The Region that ran it.
    pub region: String,
    /// Its header.
    pub header: Header,
    /// Its timeline.
    pub timeline: Vec<TimelineStep>,
    /// What it changed, and how that is taken back.
    pub undos: Vec<Undo>,
    /// What people were asked.
    pub questions: Vec<Asked>,
    /// What people were told.
    pub announced: Vec<Announced>,
}

/// A question to people, with its answers and its result.
pub struct Asked {
    /// As the record keeps it, with its task token.
    pub question: Question,
    /// Every answer, declines included.
    pub approvals: Vec<Approval>,
    /// The result; nothing while answers are missing.
    pub settled: Option<Settled>,
}

impl Recorded {
    /// Everything that a Region's record has of the workload's recoveries, oldest first. Errors: it cannot be read.
    pub async fn all(record: &Record, region: &str, workload: &str) -> Result<Vec<Self>, StepError> {
        let mut all = Vec::new();
        for id in record.recoveries(workload).await? {
            let Some(header) = record.header(&id).await? else {
                continue;
            };
            let mut questions = Vec::new();
            for question in record.questions(&id).await? {
                questions.push(Asked {
                    approvals: record.approvals(&id, &question.ask.id).await?,
                    settled: record.settled(&id, &question.ask).await?,
                    question,
                });
            }
            all.push(Self {
                region: region.to_owned(),
                timeline: record.timeline(&id).await?,
                undos: record.undo_notes(&id).await?,
                announced: record.announced(&id).await?,
                questions,
                header,
            });
        }
        Ok(all)
    }

    /// How each of its executions ended, oldest first.
    pub fn closings(&self) -> impl Iterator<Item = &Closing> {
        self.header.earlier.iter().chain(&self.header.closing)
    }

    /// Whether it changed anything that was not taken back.
    pub fn changed_something(&self) -> bool {
        self.undos.iter().any(|undo| undo.taken_back_at.is_none())
    }

    /// When a step of an execution last ended, or began.
    pub fn step(&self, closing: &Closing, name: &str) -> Option<&TimelineStep> {
        let execution = arn::name(&closing.execution);
        let mut steps = self.timeline.iter();
        steps.find(|step| step.name == name && step.execution == execution)
    }
}

/// What the invariants check.
pub struct Happened<'a> {
    /// The rehearsed plan.
    pub plan: &'a Plan,
    /// The simulated AWS and its customers.
    pub simulation: &'a Simulation,
    /// The scenario whose recovery is rehearsed. What else happened may have started another one's.
    pub scenario: Scenario,
    /// When the disaster was.
    pub disaster_at: Timestamp,
    /// What everything was like before the recovery that is rehearsed was begun, or tried again.
    pub before: &'a Value,
    /// Every recovery that was opened, by its Region.
    pub recoveries: &'a [Recorded],
    /// What the customers saw.
    pub truth: &'a Truth,
    /// The locks that somebody else holds, by execution.
    pub foreign: &'a [String],
    /// The executions that had been started when the rehearsal stopped waiting. An alarm may start one more while all this is read.
    pub started: &'a [String],
    /// How far clocks are off.
    pub skew_seconds: f64,
    /// Whether customers suffer from the disaster from its beginning on.
    pub interrupts: bool,
    /// How many recoveries may change something.
    pub changing_recoveries: usize,
    /// Whether the record was there to close recoveries in.
    pub can_close: bool,
    /// Whether SNS took what was told.
    pub can_tell: bool,
    /// Whether the scenario's execution was made to end without its last state.
    pub child_dies: bool,
    /// Whether somebody stopped the recovery.
    pub is_stopped: bool,
    /// What faults go on to change by themselves: the last names of places in a snapshot.
    pub changed_by_others: Vec<&'static str>,
    /// Locks that are held now, by Region.
    pub locks: Vec<(String, String)>,
    /// Fences that people opened.
    pub reopened: Vec<Reopened>,
}

/// A rule that must always hold.
pub struct Invariant {
    /// Its name in reports and in the JSON.
    pub name: &'static str,
    /// Finds each breach, and when it was.
    pub check: fn(&Happened<'_>) -> Vec<Seen>,
}

/// When the rule was broken, and what was seen.
pub type Seen = (Timestamp, String);

impl Happened<'_> {
    /// Every move of the global database's writer that was asked for, in that order, those that AWS refused included.
    pub fn moves(&self) -> Vec<Move> {
        self.simulation.cloud().rds.moves(&self.plan.database.global_cluster)
    }

    /// Every breach of these, in the order of time.
    pub fn breaches<'a>(&self, invariants: impl IntoIterator<Item = &'a Invariant>) -> Vec<Breach> {
        let each = invariants.into_iter().flat_map(|Invariant { name, check }| {
            let seen = check(self).into_iter();
            seen.map(|(at, what)| Breach {
                invariant: name,
                at,
                what,
            })
        });
        let mut breaches: Vec<Breach> = each.collect();
        breaches.sort_by_key(|breach| breach.at);
        breaches
    }

    /// How each execution of each recovery ended.
    pub fn closings(&self) -> impl Iterator<Item = (&Recorded, &Closing)> {
        let each = self.recoveries.iter();
        each.flat_map(|recorded| recorded.closings().map(move |closing| (recorded, closing)))
    }

    /// The plan's other Region.
    pub fn other_region(&self, region: &str) -> &str {
        let regions = &self.plan.regions;
        if regions.primary.region == region {
            &regions.standby.region
        } else {
            &regions.primary.region
        }
    }

    /// What people were told in a Region.
    pub fn messages(&self, region: &str) -> Vec<Message> {
        let site = self.plan.site(region);
        site.map(|site| self.simulation.cloud().sns.messages(&self.plan.topic_arn(site)))
            .unwrap_or_default()
    }
}
