//! What must hold in every rehearsal of every scenario, whatever goes wrong in it. The simulated AWS and its customers are the
//! truth that what the recoveries did, said and measured is held against.

use std::collections::BTreeSet;

use check_health::CheckHealth;
use jiff::Timestamp;
use serde_json::Value;
use shared::approval::{Settled, Verdict};
use shared::arn;
use shared::error::ErrorKind;
use shared::measure::{RpoStatus, seconds_between};
use shared::record::ResourceKind;
use shared::recovery::{Mode, Outcome, RECOVERY_MACHINE};
use shared::step::Step;
use simulator::aws::sns::Message;
use states_language::ExecutionStatus;

use crate::happened::{Happened, Invariant, Recorded, Seen};

/// How far a measured RTO may be from the truth: a period of the outside probe, and a poll.
const RTO_TOLERANCE: f64 = 70.0;
/// How far a measured RPO may be from the truth: a heartbeat (5 s), a customer's write (1 s), and the way of the word of the last
/// heartbeat to the other Region, without which it does not count.
const RPO_TOLERANCE: f64 = 6.1;
/// How far, where the word of the last heartbeat could not be read: the impact is known to the probe's minute.
const RPO_TOLERANCE_WITHOUT_WORD: f64 = 66.0;

/// What must hold, by name.
pub(crate) const COMMON: [Invariant; 8] = [
    Invariant {
        name: "lock-released",
        check: lock_released,
    },
    Invariant {
        name: "every-run-ends",
        check: every_run_ends,
    },
    Invariant {
        name: "every-end-is-told",
        check: every_end_is_told,
    },
    Invariant {
        name: "as-before",
        check: as_before,
    },
    Invariant {
        name: "measured-is-true",
        check: measured_is_true,
    },
    Invariant {
        name: "promoted-once",
        check: one_recovery_changes,
    },
    Invariant {
        name: "approved-by-enough",
        check: approved_by_enough,
    },
    Invariant {
        name: "no-step-is-wrong",
        check: no_step_is_wrong,
    },
];

fn seen(at: Timestamp, what: impl Into<String>) -> Seen {
    (at, what.into())
}

/// Whoever held the lock has released it; one that was closed did so by itself.
fn lock_released(happened: &Happened<'_>) -> Vec<Seen> {
    let at = happened.simulation.cloud().now();
    let held = happened
        .locks
        .iter()
        .filter(|(_, execution)| !happened.foreign.contains(execution));
    let held = held.map(|(region, execution)| seen(at, format!("{execution} still holds the lock in {region}")));
    let freed = happened.closings().filter(|(recorded, closing)| {
        let name = Some(arn::name(&closing.execution));
        let mut told = recorded.announced.iter();
        told.any(|told| told.what == release_lock::TOLD && Some(told.execution.as_str()) == name)
    });
    let freed = freed.map(|(_, closing)| {
        let text = format!(
            "{} was closed, but kept its lock until release-lock took it",
            closing.execution
        );
        seen(closing.closed_at, text)
    });
    held.chain(freed).collect()
}

/// Every execution ends, by its own words; every recovery is closed.
fn every_run_ends(happened: &Happened<'_>) -> Vec<Seen> {
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
            breaches.push(seen(
                ended.ended_at,
                format!("{} ended as {:?}", ended.arn, ended.result.status),
            ));
        }
    }
    let arns: BTreeSet<String> = happened.simulation.ended().into_iter().map(|ended| ended.arn).collect();
    for arn in happened.started {
        if !arns.contains(arn) && !happened.foreign.contains(arn) {
            breaches.push(seen(now, format!("{arn} never ended")));
        }
    }
    let unclosed = happened.recoveries.iter().filter(|recorded| {
        let is_told = recorded.announced.iter().any(|told| told.what == release_lock::TOLD);
        let may_stay_open = happened.is_stopped || !happened.can_close;
        let is_waited_for = happened.started.contains(&recorded.header.execution);
        is_waited_for && recorded.header.ended().is_none() && !(may_stay_open && (is_told || !happened.can_tell))
    });
    breaches.extend(unclosed.map(|recorded| seen(now, format!("{} was never closed", recorded.header.id))));
    breaches
}

/// How a recovery ended is told on its Region's topic, or it is on its timeline that it could not be.
fn every_end_is_told(happened: &Happened<'_>) -> Vec<Seen> {
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
            breaches.push(seen(
                closing.closed_at,
                format!("people were not told that {id} ended as {outcome}"),
            ));
        }
    }
    for recorded in happened.recoveries {
        for asked in &recorded.questions {
            let secret = asked.question.task_token.secret();
            let says = |message: &Message| !secret.is_empty() && message.text.contains(secret);
            if happened.messages(&recorded.region).iter().any(says) {
                breaches.push(seen(asked.question.asked_at, "an announcement contained a task token"));
            }
        }
    }
    breaches
}

/// Where a recovery ended before the point of no return, everything is as it was.
fn as_before(happened: &Happened<'_>) -> Vec<Seen> {
    // How one ends that could not be closed, nobody has said; `every-run-ends` says whether it may stay so.
    if happened
        .recoveries
        .iter()
        .any(|recorded| recorded.header.ended().is_none())
    {
        return Vec::new();
    }
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
    // Another recovery has moved things since: what they were before that says nothing of the last one. One that failed says what remains.
    let has_moved = |recorded: &Recorded| {
        recorded.header.ended().is_some_and(|ended| {
            let moved = match ended.outcome {
                Outcome::Recovered | Outcome::Partial => true,
                Outcome::Failed => recorded.changed_something(),
                _ => false,
            };
            moved && ended.closed_at >= happened.disaster_at
        })
    };
    if happened.recoveries.iter().any(has_moved) {
        return Vec::new();
    }
    let now = happened.simulation.cloud().snapshot();
    let mut differences = Vec::new();
    differ("", happened.before, &now, &mut differences);
    let by_others = |what: &String| {
        let place = what.split(' ').next().unwrap_or_default();
        happened.changed_by_others.iter().any(|name| place.ends_with(name))
    };
    differences.retain(|what| !by_others(what));
    let each = differences.into_iter().map(|what| {
        seen(
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
fn measured_is_true(happened: &Happened<'_>) -> Vec<Seen> {
    let mut breaches = Vec::new();
    for (recorded, closing) in happened.closings() {
        let measured = &closing.achieved;
        let has_figure = measured.rpo_seconds.is_some();
        if has_figure != (measured.rpo_status == RpoStatus::Measured) {
            let text = format!(
                "{} has an RPO that is {:?}: {:?}",
                recorded.header.id, measured.rpo_status, measured.rpo_seconds
            );
            breaches.push(seen(closing.closed_at, text));
        }
    }
    if !happened.interrupts {
        return breaches;
    }
    let recovered = happened.closings().find(|(recorded, closing)| {
        // Another scenario's recovery measures from what it is about.
        recorded.header.scenario == happened.scenario && closing.outcome == Outcome::Recovered
    });
    let Some((recorded, closing)) = recovered else {
        return breaches;
    };
    let skew = 2.0 * happened.skew_seconds;
    let id = &recorded.header.id;
    let mut compare = |what: &str, measured: Option<f64>, truth: Option<f64>, tolerance: f64| {
        if let (Some(measured), Some(truth)) = (measured, truth)
            && (measured - truth).abs() > tolerance + skew
        {
            let text = format!("{id} measured an {what} of {measured} s, but customers saw {truth} s");
            breaches.push(seen(closing.closed_at, text));
        }
    };
    let measured = &closing.achieved;
    // What is said to be the least may be less than the truth, and no more.
    // What an execution saw while the record was away is nowhere where the machine that waited for it died too: whoever goes on
    // measures from what they see first, which may be too long.
    let is_resumed = !recorded.header.resumed.is_empty();
    let lost_sight = !happened.can_close && is_resumed;
    // Each execution measures by what it sees itself: one that was resumed sees nothing of before its own first look.
    let first_look = recorded
        .timeline
        .iter()
        .filter(|step| step.name == CheckHealth::NAME && step.execution == arn::name(&closing.execution));
    let first_look = first_look.map(|step| seconds_between(happened.disaster_at, step.started_at));
    let seen_from = first_look.reduce(f64::min).filter(|_| is_resumed).unwrap_or_default();
    let truth = match (measured.rto_seconds, happened.truth.rto_seconds) {
        (Some(most), Some(truth)) if lost_sight => Some(truth.max(most)),
        (Some(most), Some(truth)) if truth < seen_from => Some(seen_from.min(most)),
        (Some(least), Some(truth)) if measured.rto_is_at_least => Some(truth.min(least)),
        (_, truth) => truth,
    };
    compare("RTO", measured.rto_seconds, truth, RTO_TOLERANCE);
    // Where the old side continued to write, what it wrote is another figure, and the RPO is good to a probe's period.
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

/// Two recoveries of one disaster never both change something.
fn one_recovery_changes(happened: &Happened<'_>) -> Vec<Seen> {
    let mut changed = happened
        .recoveries
        .iter()
        .filter(|recorded| recorded.header.mode != Mode::Drill && recorded.changed_something())
        .filter(|recorded| !is_left_with_what_aws_gave_up(happened, recorded))
        .skip(happened.changing_recoveries);
    let changed = changed.next().map(|recorded| {
        seen(
            recorded.header.opened_at,
            format!(
                "{} changed something after another recovery of the same disaster had",
                recorded.header.id
            ),
        )
    });
    changed.into_iter().collect()
}

/// Whether all that a recovery did not take back are moves of the database that it asked for, and each of those AWS gave up.
fn is_left_with_what_aws_gave_up(happened: &Happened<'_>, recorded: &Recorded) -> bool {
    let mut stands = recorded.undos.iter().filter(|undo| undo.taken_back_at.is_none());
    if !stands.all(|undo| undo.resource.kind == ResourceKind::GlobalDatabase) {
        return false;
    }
    let ended = recorded.closings().map(|closing| closing.closed_at).max();
    let moves = happened.moves();
    let mut asked = moves.iter().filter(|asked| {
        let is_within = asked.at >= recorded.header.opened_at && ended.is_none_or(|ended| asked.at <= ended);
        asked.accepted && asked.region == recorded.region && is_within
    });
    asked.all(|asked| asked.given_up_at.is_some())
}

/// Whoever is asked is asked before, as many people as are needed approve, and nobody counts twice.
fn approved_by_enough(happened: &Happened<'_>) -> Vec<Seen> {
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
            let people: BTreeSet<String> = by.iter().map(|arn| person(arn)).collect();
            let answered = |who: &String| {
                let mut approvals = asked.approvals.iter();
                approvals.any(|approval| approval.by == *who && approval.at <= *at)
            };
            let enough = people.len() >= usize::from(asked.question.ask.people) && by.iter().all(answered);
            if !enough {
                breaches.push(seen(
                    *at,
                    format!(
                        "{} continued with the approval of {by:?}, but {} people were asked",
                        recorded.header.id, asked.question.ask.people
                    ),
                ));
            }
        }
    }
    breaches
}

/// Who signs in as that: whatever the role, a session has its person's name in a rehearsal.
fn person(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_lowercase()
}

/// No step fails by a defect of its own: a panic, or an input that the machine should not have given it.
fn no_step_is_wrong(happened: &Happened<'_>) -> Vec<Seen> {
    let defects = [ErrorKind::Internal, ErrorKind::InvalidInput].map(|kind| format!("{}:", kind.name()));
    let steps = happened.recoveries.iter().flat_map(|recorded| &recorded.timeline);
    let each = steps.filter_map(|step| {
        let failure = step.last_failure.as_ref()?;
        let is_defect = defects.iter().any(|defect| failure.starts_with(defect));
        let at = step.ended_at.unwrap_or(step.started_at);
        is_defect.then(|| seen(at, format!("{}: {failure}", step.state)))
    });
    each.collect()
}
