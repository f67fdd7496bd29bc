//! What must hold in every rehearsal, whatever goes wrong in it. The simulated AWS and its customers are the truth that
//! what the recoveries did, said and measured is held against.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use promote_database::PromoteDatabase;
use serde_json::Value;
use shared::approval::{Approval, Question, Settled, Verdict};
use shared::arn;
use shared::error::{ErrorKind, StepError};
use shared::measure::{RpoStatus, seconds_between};
use shared::plan::Plan;
use shared::record::{Announced, Closing, Header, Record, TimelineStep, Undo};
use shared::recovery::{Mode, Outcome, RECOVERY_MACHINE};
use shared::step::Step;
use simulator::aws::rds::Move;
use simulator::aws::sns::Message;
use simulator::simulation::Simulation;
use states_language::ExecutionStatus;

use crate::found::{Breach, Truth};
use crate::script::Disaster;

/// How far a measured RTO may be from the truth: a period of the outside probe, and a poll.
const RTO_TOLERANCE: f64 = 70.0;
/// How far a measured RPO may be from the truth: a heartbeat, and a second.
const RPO_TOLERANCE: f64 = 6.0;
/// How far, where the word of the last heartbeat could not be read: the impact is known to the probe's minute.
const RPO_TOLERANCE_WITHOUT_WORD: f64 = 66.0;
/// How much more may be lost than the replication lag of the minutes before says: the lag of the last minute is another.
const LAG_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);
/// The minutes before the disaster whose largest lag a measured loss is.
const LAG_WINDOW: SignedDuration = SignedDuration::from_mins(7);
/// A customer's request is under way this long at most.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(3);

/// One recovery, as its Region's record has it.
pub(crate) struct Recorded {
    pub(crate) region: String,
    pub(crate) header: Header,
    pub(crate) timeline: Vec<TimelineStep>,
    pub(crate) undos: Vec<Undo>,
    pub(crate) questions: Vec<Asked>,
    pub(crate) announced: Vec<Announced>,
}

/// What people were asked, and what came of it.
pub(crate) struct Asked {
    question: Question,
    approvals: Vec<Approval>,
    settled: Option<Settled>,
}

impl Recorded {
    /// Everything that a Region's record has of the workload's recoveries, oldest first.
    pub(crate) async fn all(record: &Record, region: &str, workload: &str) -> Result<Vec<Self>, StepError> {
        let mut all = Vec::new();
        for id in record.recoveries(workload).await? {
            let Some(header) = record.header(&id).await? else {
                continue;
            };
            let mut questions = Vec::new();
            for question in record.questions(&id).await? {
                questions.push(Asked {
                    approvals: record.approvals(&id, &question.ask.id).await?,
                    settled: record.settled(&id, &question.ask.id).await?,
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
    fn closings(&self) -> impl Iterator<Item = &Closing> {
        self.header.earlier.iter().chain(&self.header.closing)
    }

    /// Whether it changed anything that was not taken back.
    fn changed_something(&self) -> bool {
        self.undos.iter().any(|undo| undo.taken_back_at.is_none())
    }

    /// When a step of an execution last ended, or began.
    fn step(&self, closing: &Closing, name: &str) -> Option<&TimelineStep> {
        let execution = arn::name(&closing.execution);
        let mut steps = self.timeline.iter();
        steps.find(|step| step.name == name && step.execution == execution)
    }
}

/// What happened, for the invariants to look at.
pub(crate) struct Happened<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) disaster: Disaster,
    pub(crate) simulation: &'a Simulation,
    /// When the disaster was.
    pub(crate) disaster_at: Timestamp,
    /// What everything was like before the recovery that is rehearsed was begun, or tried again.
    pub(crate) before: &'a Value,
    pub(crate) recoveries: &'a [Recorded],
    pub(crate) truth: &'a Truth,
    /// The locks that somebody else holds, by execution.
    pub(crate) foreign: &'a [String],
    /// How far clocks are off.
    pub(crate) skew_seconds: f64,
    /// Whether SNS took what was told.
    pub(crate) can_tell: bool,
    /// Whether the scenario's execution was made to end without its last state.
    pub(crate) child_dies: bool,
    /// Whether somebody stopped the recovery.
    pub(crate) is_stopped: bool,
    /// Locks that are held now, by Region.
    pub(crate) locks: Vec<(String, String)>,
}

type Check = fn(&Happened<'_>) -> Vec<Breach>;

/// What must hold, by name.
const INVARIANTS: [(&str, Check); 11] = [
    ("one-side-writes", one_side_writes),
    ("lost-no-more-than-shown", lost_no_more_than_shown),
    ("shown-no-more-than-true", shown_no_more_than_true),
    ("lock-released", lock_released),
    ("every-run-ends", every_run_ends),
    ("every-end-is-told", every_end_is_told),
    ("as-before", as_before),
    ("measured-is-true", measured_is_true),
    ("promoted-once", promoted_once),
    ("approved-by-enough", approved_by_enough),
    ("no-step-is-wrong", no_step_is_wrong),
];

impl Happened<'_> {
    /// Every breach, in the order of time.
    pub(crate) fn breaches(&self) -> Vec<Breach> {
        let each = INVARIANTS.iter().flat_map(|(name, check)| {
            let mut found = check(self);
            for breach in &mut found {
                breach.invariant = name;
            }
            found
        });
        let mut breaches: Vec<Breach> = each.collect();
        breaches.sort_by_key(|breach| breach.at);
        breaches
    }

    fn closings(&self) -> impl Iterator<Item = (&Recorded, &Closing)> {
        let each = self.recoveries.iter();
        each.flat_map(|recorded| recorded.closings().map(move |closing| (recorded, closing)))
    }

    fn other_region(&self, region: &str) -> &str {
        let regions = &self.plan.regions;
        if regions.primary.region == region {
            &regions.standby.region
        } else {
            &regions.primary.region
        }
    }

    fn moves(&self) -> Vec<Move> {
        self.simulation.cloud().rds.moves(&self.plan.database.global_cluster)
    }

    fn messages(&self, region: &str) -> Vec<Message> {
        let site = self.plan.site(region);
        site.map(|site| self.simulation.cloud().sns.messages(&self.plan.topic_arn(site)))
            .unwrap_or_default()
    }
}

fn breach(at: Timestamp, what: impl Into<String>) -> Breach {
    Breach {
        invariant: "",
        at,
        what: what.into(),
    }
}

/// After a fence was confirmed, the side that was fenced takes no write of a customer until the fence is taken back.
fn one_side_writes(happened: &Happened<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (recorded, closing) in happened.closings() {
        let is_confirmed = closing.evidence.pointer("/fence/confirmed").and_then(Value::as_bool) == Some(true);
        let fenced = recorded.step(closing, fence_region::FenceRegion::NAME);
        let (true, Some(fenced_at)) = (is_confirmed, fenced.and_then(|step| step.ended_at)) else {
            continue;
        };
        let fenced_region = happened.other_region(&recorded.region);
        let taken_back = recorded.step(closing, unfence_region::UnfenceRegion::NAME);
        let opened_later = happened
            .recoveries
            .iter()
            .filter(|later| later.region == fenced_region && later.header.opened_at > fenced_at)
            .map(|later| later.header.opened_at);
        let until = opened_later.chain(taken_back.map(|step| step.started_at)).min();
        let until = until.unwrap_or_else(|| happened.simulation.cloud().now());
        let writes = happened.simulation.platform().acknowledged(fenced_at, until);
        let mut there = writes.iter().filter(|write| {
            // What was under way when the fence closed behind it was let in before.
            write.region == fenced_region && write.at.duration_since(fenced_at) > UNDER_WAY
        });
        if let Some(write) = there.next() {
            let more = there.count();
            breaches.push(breach(
                write.at,
                format!(
                    "{fenced_region} took a write although {} had seen it fenced at {fenced_at}; {more} more followed",
                    recorded.header.id
                ),
            ));
        }
    }
    breaches
}

/// Seconds and status of the loss that a recovery showed, where its way could lose writes.
fn shown(closing: &Closing) -> Option<(&str, Option<f64>)> {
    let loss = closing.evidence.pointer("/assessment/expected_loss")?;
    Some((
        loss.get("status")?.as_str()?,
        loss.get("seconds").and_then(Value::as_f64),
    ))
}

/// No customer's write is gone that is older than the expected loss reaches back, where the recovery gave one.
fn lost_no_more_than_shown(happened: &Happened<'_>) -> Vec<Breach> {
    let cloud = happened.simulation.cloud();
    let platform = happened.simulation.platform();
    let Some((recorded, closing)) = happened.closings().find(|(recorded, closing)| {
        happened.disaster == Disaster::RegionFailure && promoted(recorded) && shown(closing).is_some()
    }) else {
        return Vec::new();
    };
    let reaches_back_to = match shown(closing) {
        Some(("measured", Some(seconds))) => before(happened.disaster_at, seconds),
        Some(("upper-bound", Some(seconds))) => {
            before(closing.observed.decided_at.unwrap_or(happened.disaster_at), seconds)
        }
        Some(("none", _)) => happened.disaster_at,
        // Nobody was told anything else than that nobody knows.
        _ => return Vec::new(),
    };
    let tolerance = LAG_TOLERANCE.as_secs_f64() + happened.skew_seconds;
    let lost = platform.acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, before(reaches_back_to, tolerance));
    let first = lost.first().map(|at| {
        breach(
            *at,
            format!(
                "{} writes are gone that are older than the expected loss of {}, which reaches back to {reaches_back_to}",
                lost.len(),
                recorded.header.id
            ),
        )
    });
    first.into_iter().collect()
}

/// A loss that is said to be measured is no more than replication was ever behind in the minutes before the disaster.
fn shown_no_more_than_true(happened: &Happened<'_>) -> Vec<Breach> {
    if happened.disaster != Disaster::RegionFailure {
        return Vec::new();
    }
    let from = happened
        .disaster_at
        .checked_sub(LAG_WINDOW)
        .unwrap_or(happened.disaster_at);
    let rds = &happened.simulation.cloud().rds;
    let largest = rds.largest_lag(&happened.plan.database.global_cluster, from, happened.disaster_at);
    let largest = largest.map_or(0.0, |lag| lag.as_secs_f64());
    let each = happened.closings().filter_map(|(recorded, closing)| {
        let Some(("measured", Some(seconds))) = shown(closing) else {
            return None;
        };
        (seconds > largest + LAG_TOLERANCE.as_secs_f64()).then(|| {
            let at = closing.observed.decided_at.unwrap_or(closing.closed_at);
            let id = &recorded.header.id;
            breach(
                at,
                format!("{id} says that {seconds} s are lost, and replication was never more than {largest} s behind"),
            )
        })
    });
    each.collect()
}

fn before(at: Timestamp, seconds: f64) -> Timestamp {
    SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|time| at.checked_sub(time).ok())
        .unwrap_or(Timestamp::MIN)
}

/// Whoever held the lock has released it; one that was closed did so by itself.
fn lock_released(happened: &Happened<'_>) -> Vec<Breach> {
    let at = happened.simulation.cloud().now();
    let held = happened
        .locks
        .iter()
        .filter(|(_, execution)| !happened.foreign.contains(execution));
    let held = held.map(|(region, execution)| breach(at, format!("{execution} still holds the lock in {region}")));
    let freed = happened.closings().filter(|(recorded, closing)| {
        let name = Some(arn::name(&closing.execution));
        let mut told = recorded.announced.iter();
        told.any(|told| told.what == release_lock::TOLD && Some(told.execution.as_str()) == name)
    });
    let freed = freed.map(|(_, closing)| {
        let text = format!(
            "{} was closed, and kept its lock until that was taken from it",
            closing.execution
        );
        breach(closing.closed_at, text)
    });
    held.chain(freed).collect()
}

/// Every execution ends, by its own words; every recovery is closed.
fn every_run_ends(happened: &Happened<'_>) -> Vec<Breach> {
    let now = happened.simulation.cloud().now();
    let mut breaches = Vec::new();
    for ended in happened.simulation.ended() {
        let is_child = !ended.arn.contains(&format!(":{RECOVERY_MACHINE}:"));
        let as_it_should = match &ended.result.status {
            ExecutionStatus::Succeeded { .. } => true,
            _ if is_child && happened.child_dies => true,
            ExecutionStatus::Failed { error, .. } => error == "RecoveryFailed",
            ExecutionStatus::TimedOut => false,
            ExecutionStatus::Aborted { .. } => happened.is_stopped,
        };
        if !as_it_should {
            breaches.push(breach(
                ended.ended_at,
                format!("{} ended as {:?}", ended.arn, ended.result.status),
            ));
        }
    }
    let arns: BTreeSet<String> = happened.simulation.ended().into_iter().map(|ended| ended.arn).collect();
    for arn in happened.simulation.cloud().executions.arns() {
        if !arns.contains(&arn) && !happened.foreign.contains(&arn) {
            breaches.push(breach(now, format!("{arn} does not end")));
        }
    }
    let unclosed = happened.recoveries.iter().filter(|recorded| {
        let is_told = recorded.announced.iter().any(|told| told.what == release_lock::TOLD);
        recorded.header.ended().is_none() && !(happened.is_stopped && (is_told || !happened.can_tell))
    });
    breaches.extend(unclosed.map(|recorded| breach(now, format!("{} was never closed", recorded.header.id))));
    breaches
}

/// How a recovery ended is told on its Region's topic, or it is on its timeline that it could not be.
fn every_end_is_told(happened: &Happened<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (recorded, closing) in happened.closings() {
        let messages = happened.messages(&recorded.region);
        let is_told = messages.iter().any(|message| {
            message.text.contains(&closing.execution) && message.subject.contains(closing.outcome.name())
        });
        let tried = recorded.timeline.iter().any(|step| {
            step.name == announce::Announce::NAME
                && step.last_started_at.is_some_and(|at| at >= closing.closed_at)
                && step.failures > 0
        });
        if !is_told && (happened.can_tell || !tried) {
            let (id, outcome) = (&recorded.header.id, closing.outcome.name());
            breaches.push(breach(
                closing.closed_at,
                format!("nobody was told that {id} ended as {outcome}"),
            ));
        }
    }
    for recorded in happened.recoveries {
        for asked in &recorded.questions {
            let secret = asked.question.task_token.secret();
            let says = |message: &Message| !secret.is_empty() && message.text.contains(secret);
            if happened.messages(&recorded.region).iter().any(says) {
                breaches.push(breach(asked.question.asked_at, "a task token was told to people"));
            }
        }
    }
    breaches
}

/// Where a recovery ended before the point of no return, everything is as it was.
fn as_before(happened: &Happened<'_>) -> Vec<Breach> {
    let Some(closing) = happened
        .recoveries
        .iter()
        .filter_map(|recorded| recorded.header.closing.as_ref())
        .max_by_key(|closing| closing.closed_at)
    else {
        return Vec::new();
    };
    let must_be = matches!(
        closing.outcome,
        Outcome::Refused | Outcome::Declined | Outcome::Expired | Outcome::RolledBack
    );
    if !must_be {
        return Vec::new();
    }
    let now = happened.simulation.cloud().snapshot();
    let mut differences = Vec::new();
    differ("", happened.before, &now, &mut differences);
    let each = differences.into_iter().map(|what| {
        breach(
            closing.closed_at,
            format!("it ended as {}, but {what}", closing.outcome.name()),
        )
    });
    each.collect()
}

/// The places where two snapshots differ. What a cluster is in by itself for a while, such as an interrupted
/// replication, is no change of anybody's.
fn differ(path: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                if path.starts_with("/global_databases") && matches!(name.as_str(), "status" | "synchronization") {
                    continue;
                }
                let nothing = Value::Null;
                let (one, other) = (a.get(name).unwrap_or(&nothing), b.get(name).unwrap_or(&nothing));
                differ(&format!("{path}/{name}"), one, other, found);
            }
        }
        _ if before != now => found.push(format!("{path} was {before} and is {now}")),
        _ => {}
    }
}

/// What was measured is what customers went through, as exactly as it can be known; what was not measured has no figure.
fn measured_is_true(happened: &Happened<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (recorded, closing) in happened.closings() {
        let measured = &closing.achieved;
        let has_figure = measured.rpo_seconds.is_some();
        if has_figure != (measured.rpo_status == RpoStatus::Measured) {
            let text = format!(
                "{} has an RPO that is {:?}: {:?}",
                recorded.header.id, measured.rpo_status, measured.rpo_seconds
            );
            breaches.push(breach(closing.closed_at, text));
        }
    }
    if happened.disaster != Disaster::RegionFailure {
        return breaches;
    }
    let recovered = happened
        .closings()
        .find(|(_, closing)| closing.outcome == Outcome::Recovered);
    let Some((recorded, closing)) = recovered else {
        return breaches;
    };
    let skew = 2.0 * happened.skew_seconds;
    let id = &recorded.header.id;
    let mut compare = |what: &str, measured: Option<f64>, truth: Option<f64>, tolerance: f64| {
        if let (Some(measured), Some(truth)) = (measured, truth)
            && (measured - truth).abs() > tolerance + skew
        {
            let text = format!("{id} measured an {what} of {measured} s, and customers had {truth} s");
            breaches.push(breach(closing.closed_at, text));
        }
    };
    let measured = &closing.achieved;
    compare("RTO", measured.rto_seconds, happened.truth.rto_seconds, RTO_TOLERANCE);
    // Where the old side went on writing, what it wrote is another figure, and the RPO is good to a probe's period.
    if measured.old_side_wrote_seconds.is_none() {
        let word = closing.observed.last_committed_at;
        let tolerance = match word {
            Some(_) => RPO_TOLERANCE,
            None => RPO_TOLERANCE_WITHOUT_WORD,
        };
        // A side that customers did not reach any more and that wrote on lost heartbeats too: the recovery cannot know that
        // no customer's write was among them, and may say as much more as it wrote on. Less than the truth it may not say.
        let wrote_on = word.map_or(0.0, |word| seconds_between(happened.disaster_at, word).max(0.0));
        let truth = match (measured.rpo_seconds, happened.truth.rpo_seconds) {
            (Some(measured), Some(truth)) => Some(measured.clamp(truth, truth + wrote_on)),
            (_, truth) => truth,
        };
        compare("RPO", measured.rpo_seconds, truth, tolerance);
    }
    breaches
}

/// Whether a recovery asked AWS for a promotion.
fn promoted(recorded: &Recorded) -> bool {
    recorded
        .undos
        .iter()
        .any(|undo| undo.step == PromoteDatabase::NAME && undo.taken_back_at.is_none())
}

/// AWS is asked for a promotion once: not again while one goes on, and not again after it is done; two recoveries of one
/// disaster never both change something.
fn promoted_once(happened: &Happened<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let moves = happened.moves();
    for (index, asked) in moves.iter().enumerate() {
        let earlier = moves[..index].iter().rev().find(|earlier| {
            earlier.accepted && earlier.target == asked.target && earlier.loses_data == asked.loses_data
        });
        let between = earlier.is_some_and(|earlier| {
            moves[..index]
                .iter()
                .any(|other| other.accepted && other.at > earlier.at && other.target != asked.target)
        });
        let resumed = earlier.is_some_and(|earlier| earlier.given_up_at.is_some_and(|at| at <= asked.at));
        if let Some(earlier) = earlier.filter(|_| !between && !resumed) {
            breaches.push(breach(
                asked.at,
                format!(
                    "AWS was asked to move the writer to {} again, after it had accepted that at {}",
                    asked.target, earlier.at
                ),
            ));
        }
    }
    let most = if happened.disaster == Disaster::RegionFailure {
        1
    } else {
        2
    };
    let mut changed = happened
        .recoveries
        .iter()
        .filter(|recorded| recorded.header.mode != Mode::Drill && recorded.changed_something())
        .skip(most);
    if let Some(recorded) = changed.next() {
        breaches.push(breach(
            recorded.header.opened_at,
            format!(
                "{} changed something after another recovery of the same disaster had",
                recorded.header.id
            ),
        ));
    }
    breaches
}

/// Whoever is asked is asked before, as many people as are needed approve, and nobody counts twice.
fn approved_by_enough(happened: &Happened<'_>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for recorded in happened.recoveries {
        for asked in &recorded.questions {
            let Some(Settled {
                verdict: Verdict::Approved { by, .. },
                at,
                ..
            }) = &asked.settled
            else {
                continue;
            };
            let people: BTreeSet<&String> = by.iter().collect();
            let answered = |who: &&String| {
                asked
                    .approvals
                    .iter()
                    .any(|approval| approval.by == **who && approval.at <= *at)
            };
            let enough = people.len() >= usize::from(asked.question.ask.people) && people.iter().all(answered);
            if !enough {
                breaches.push(breach(
                    *at,
                    format!(
                        "{} went on with the approval of {by:?}, and {} people were asked",
                        recorded.header.id, asked.question.ask.people
                    ),
                ));
            }
        }
        let is_approved = recorded.questions.iter().any(|asked| {
            matches!(
                &asked.settled,
                Some(Settled {
                    verdict: Verdict::Approved { .. },
                    ..
                })
            )
        });
        if !promoted(recorded) || is_approved {
            continue;
        }
        let moved = happened
            .moves()
            .into_iter()
            .find(|asked| asked.accepted && asked.loses_data && asked.region == recorded.region);
        let Some((moved, closing)) = moved.zip(recorded.header.closing.as_ref()) else {
            continue;
        };
        let target = happened
            .plan
            .scenarios
            .get(&recorded.header.scenario)
            .and_then(|policy| policy.objectives.rpo)
            .map(|rpo| rpo.target.as_secs() as f64);
        let is_known = matches!(shown(closing), Some(("measured", Some(seconds))) if target.is_some_and(|target| seconds <= target));
        if !is_known {
            breaches.push(breach(
                moved.at,
                format!(
                    "{} failed over although nobody had approved and the loss was not known to be within the target",
                    recorded.header.id
                ),
            ));
        }
    }
    breaches
}

/// No step fails by a defect of its own: a panic, or an input that the machine should not have given it.
fn no_step_is_wrong(happened: &Happened<'_>) -> Vec<Breach> {
    let defects = [ErrorKind::Internal, ErrorKind::InvalidInput].map(|kind| format!("{}:", kind.name()));
    let steps = happened.recoveries.iter().flat_map(|recorded| &recorded.timeline);
    let each = steps.filter_map(|step| {
        let failure = step.last_failure.as_ref()?;
        let is_defect = defects.iter().any(|defect| failure.starts_with(defect));
        let at = step.ended_at.unwrap_or(step.started_at);
        is_defect.then(|| breach(at, format!("{}: {failure}", step.state)))
    });
    each.collect()
}
