//! What must hold where a recovery moves the workload between Regions: who takes writes, what may be lost, how the database is
//! promoted.

use jiff::{SignedDuration, Timestamp};
use promote_database::PromoteDatabase;
use serde_json::{Value, json};
use shared::approval::{Settled, Verdict};
use shared::record::Closing;
use shared::scenario::region_failure::Intent;
use shared::step::Step;
use simulator::aws::cloudwatch::Metric;

use crate::deployment::own_metric;
use crate::happened::{Happened, Invariant, Recorded, Seen};

/// How much more may be lost than the replication lag of the minutes before says: the lag of the last minute is another.
const LAG_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);
/// The minutes before the disaster whose largest lag a measured loss is.
const LAG_WINDOW: SignedDuration = SignedDuration::from_mins(7);
/// Replication that is this far behind, in milliseconds, does not replicate.
const FAR_BEHIND_MS: f64 = 60_000.0;
/// A customer's request is under way this long at most.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(3);

/// After a fence was confirmed, one side alone takes writes.
pub(crate) const ONE_SIDE_WRITES: Invariant = Invariant {
    name: "one-side-writes",
    check: one_side_writes,
};
/// AWS is asked for a promotion once.
pub(crate) const PROMOTED_ONCE: Invariant = Invariant {
    name: "promoted-once",
    check: promoted_once,
};
/// Nothing is lost without an approval, unless it is known to be little.
pub(crate) const LOSES_WITH_APPROVAL: Invariant = Invariant {
    name: "approved-by-enough",
    check: loses_with_approval,
};
/// No more is lost than was expected.
pub(crate) const LOST_NO_MORE_THAN_SHOWN: Invariant = Invariant {
    name: "lost-no-more-than-shown",
    check: lost_no_more_than_shown,
};
/// No more is said to be lost than replication was behind.
pub(crate) const SHOWN_NO_MORE_THAN_TRUE: Invariant = Invariant {
    name: "shown-no-more-than-true",
    check: shown_no_more_than_true,
};

/// Nobody is left unasked about a move that nobody planned, unless the observer and the Region that takes over both saw the
/// other one down.
pub(crate) const UNASKED_NEEDS_TWO_CLASSES: Invariant = Invariant {
    name: "unasked-needs-two-classes",
    check: unasked_needs_two_classes,
};

/// No message of the Region that takes over is given up.
pub(crate) const NO_DEAD_LETTERS: Invariant = Invariant {
    name: "no-dead-letters",
    check: no_dead_letters,
};

fn seen(at: Timestamp, what: impl Into<String>) -> Seen {
    (at, what.into())
}

/// After a fence was confirmed, the side that was fenced takes no write of a customer until the fence is taken back.
fn one_side_writes(happened: &Happened<'_>) -> Vec<Seen> {
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
        let mut reopened = happened.reopened.iter();
        let reopened = reopened.find(|reopened| reopened.recovery == recorded.header.id);
        let ends = taken_back.map(|step| step.started_at).into_iter();
        let ends = ends.chain(reopened.map(|reopened| reopened.at));
        let until = opened_later.chain(ends).min();
        let until = until.unwrap_or_else(|| happened.simulation.cloud().now());
        let writes = happened.simulation.platform().acknowledged(fenced_at, until);
        let mut there = writes.iter().filter(|write| {
            // What was under way when the fence closed behind it was let in before.
            write.region == fenced_region && write.at.duration_since(fenced_at) > UNDER_WAY
        });
        if let Some(write) = there.next() {
            let more = there.count();
            breaches.push(seen(
                write.at,
                format!(
                    "{fenced_region} accepted a write, although {} had confirmed its fence at {fenced_at}; {more} more followed",
                    recorded.header.id
                ),
            ));
        }
    }
    breaches
}

/// Event sources of the Region that takes over are enabled only once its database takes writes: no message there has used up its
/// receives before.
fn no_dead_letters(happened: &Happened<'_>) -> Vec<Seen> {
    let mut breaches = Vec::new();
    // What ends there while a recovery changes nothing is not its doing.
    for recorded in happened.recoveries.iter().filter(|recorded| promoted(recorded)) {
        let letters = happened.simulation.platform().queues.dead_letters(&recorded.region);
        let mut ours = letters.into_iter().filter(|at| *at >= recorded.header.opened_at);
        if let Some(first) = ours.next() {
            let (region, id, more) = (&recorded.region, &recorded.header.id, ours.count());
            breaches.push(seen(
                first,
                format!("{id} let a message of {region} end in its dead-letter queue; {more} more followed"),
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
fn lost_no_more_than_shown(happened: &Happened<'_>) -> Vec<Seen> {
    let cloud = happened.simulation.cloud();
    let platform = happened.simulation.platform();
    let Some((recorded, closing)) = happened
        .closings()
        .find(|(recorded, closing)| promoted(recorded) && shown(closing).is_some())
    else {
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
        seen(
            *at,
            format!(
                "{} lost writes are older than the expected loss of {}, which reaches back to {reaches_back_to}",
                lost.len(),
                recorded.header.id
            ),
        )
    });
    first.into_iter().collect()
}

/// A loss that is said to be measured is no more than replication was ever behind in the minutes before the disaster.
fn shown_no_more_than_true(happened: &Happened<'_>) -> Vec<Seen> {
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
            seen(
                at,
                format!("{id} says that {seconds} s are lost, but replication was at most {largest} s behind"),
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

/// Whether a recovery asked AWS for a promotion.
fn promoted(recorded: &Recorded) -> bool {
    recorded.undos.iter().any(|undo| undo.stands_of(PromoteDatabase::NAME))
}

/// AWS is asked for a promotion once: not again while one goes on, and not again after it is done.
fn promoted_once(happened: &Happened<'_>) -> Vec<Seen> {
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
        // Whoever was shown what was before it had been asked could not know, and AWS refused.
        let misled = !asked.accepted && !asked.saw_what_was;
        if let Some(earlier) = earlier.filter(|_| !between && !resumed && !misled) {
            breaches.push(seen(
                asked.at,
                format!(
                    "AWS was asked to move the writer to {} again, although it had accepted that at {}",
                    asked.target, earlier.at
                ),
            ));
        }
    }
    breaches
}

/// Whether people approved something of a recovery.
fn is_approved(recorded: &Recorded) -> bool {
    recorded.questions.iter().any(|asked| {
        matches!(
            &asked.settled,
            Some(Settled {
                verdict: Verdict::Approved { .. },
                ..
            })
        )
    })
}

/// How old a datapoint may be that says what is so now, and how long a recovery takes from its last look to the move.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Held against what the metrics of both probes and of replication truly were when AWS was asked to move the writer, and against
/// the truth of the other Region's control plane.
fn unasked_needs_two_classes(happened: &Happened<'_>) -> Vec<Seen> {
    let mut breaches = Vec::new();
    for recorded in happened.recoveries {
        let is_planned = recorded.header.wants.get("intent") == Some(&json!(Intent::Switchover));
        if !promoted(recorded) || is_approved(recorded) || is_planned {
            continue;
        }
        let opened_at = recorded.header.opened_at;
        let site = happened.plan.site(&recorded.region);
        let target = site.map(|site| happened.plan.cluster_arn(site));
        let mut asked = happened.moves().into_iter();
        let Some(moved) = asked.find(|asked| Some(&asked.target) == target.as_ref() && asked.at >= opened_at) else {
            continue;
        };
        let observer = happened.plan.observer.as_ref().map(|observer| observer.region.as_str());
        let observer_says_down = observer.is_some_and(|region| probe_says_down(happened, region, moved.at));
        let down_from_here = probe_says_down(happened, &recorded.region, moved.at)
            || is_not_replicated(happened, &recorded.region, moved.at)
            || !happened
                .simulation
                .cloud()
                .apis_answer(happened.other_region(&recorded.region));
        if !observer_says_down || !down_from_here {
            let word = |says| if says { "down" } else { "not down" };
            breaches.push(seen(
                moved.at,
                format!(
                    "{} moved the writer without asking people: the observer said {}, {} said {}",
                    recorded.header.id,
                    word(observer_says_down),
                    recorded.region,
                    word(down_from_here)
                ),
            ));
        }
    }
    breaches
}

/// Whether the probe in a Region had published by `at`, not long before, that the service is down.
fn probe_says_down(happened: &Happened<'_>, region: &str, at: Timestamp) -> bool {
    let metric = own_metric(happened.plan, &happened.plan.probe.metric);
    let values = happened
        .simulation
        .cloud()
        .cloudwatch
        .between(region, &metric, earlier(at), at);
    values.iter().any(|value| *value < 1.0)
}

/// Whether there was a minute without any lag of replication not long before `at`.
fn is_not_replicated(happened: &Happened<'_>, region: &str, at: Timestamp) -> bool {
    let Some(site) = happened.plan.site(region) else {
        return false;
    };
    let cluster = ("DBClusterIdentifier".to_owned(), site.cluster.clone());
    let source = ("SourceRegion".to_owned(), happened.other_region(region).to_owned());
    // CloudWatch has it under one of two sets of dimensions.
    let sets = [vec![cluster.clone()], vec![cluster, source]];
    let lags = sets.into_iter().flat_map(|dimensions| {
        let metric = Metric {
            namespace: "AWS/RDS".to_owned(),
            name: "AuroraGlobalDBRPOLag".to_owned(),
            dimensions: dimensions.into_iter().collect(),
        };
        let cloudwatch = &happened.simulation.cloud().cloudwatch;
        cloudwatch.between(region, &metric, earlier(at), at)
    });
    let lags: Vec<f64> = lags.collect();
    (lags.len() as i64) < SEEN_WITHIN.as_secs() / 60 || lags.iter().any(|lag| *lag > FAR_BEHIND_MS)
}

fn earlier(at: Timestamp) -> Timestamp {
    at.checked_sub(SEEN_WITHIN).unwrap_or(at)
}

/// Nothing is lost without an approval, unless the loss is known to be within the target.
fn loses_with_approval(happened: &Happened<'_>) -> Vec<Seen> {
    let mut breaches = Vec::new();
    for recorded in happened.recoveries {
        if !promoted(recorded) || is_approved(recorded) {
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
            breaches.push(seen(
                moved.at,
                format!(
                    "{} failed over without approval, although no measured loss was within the target",
                    recorded.header.id
                ),
            ));
        }
    }
    breaches
}
