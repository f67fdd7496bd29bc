//! Summarises a rehearsal from the record, and from the simulated AWS and its customers.

use assess_region::ExpectedLoss;
use jiff::{SignedDuration, Timestamp};
use report::{Account, Rehearsed};
use serde::Deserialize;
use serde_json::Value;
use shared::measure::{Achieved, Met, MetObjectives, RpoStatus};
use shared::plan::{Objective, Objectives, Plan};
use shared::record::{Closing, Record, Reopened, Started};
use shared::recovery::{Mode, Outcome};
use simulator::cost::dollars;
use simulator::simulation::Simulation;

use crate::fault::Effect;
use crate::found::{Applied, CallCount, Earlier, ObjectiveSeconds, Rehearsal, TargetAndMaximum};
use crate::happened::{Happened, Recorded};
use crate::invariants::COMMON;
use crate::script::Script;
use crate::truth::Truth;
use crate::waits::Wait;

/// What the customers went through, and what the recovery made of it.
pub(crate) struct Played {
    pub(crate) simulation: Simulation,
    /// The Region that ran the last recovery.
    pub(crate) region: String,
    pub(crate) truth: Truth,
    pub(crate) faults: Vec<Applied>,
    /// Executions that hold a lock, and that nobody runs.
    pub(crate) foreign: Vec<String>,
    /// The executions that had been started when it was not waited any longer.
    pub(crate) started: Vec<String>,
    pub(crate) disaster_at: Timestamp,
    /// What everything was like before the recovery.
    pub(crate) before: Value,
    pub(crate) waits: Vec<Wait>,
}

pub(crate) async fn summarise(plan: &Plan, script: &Script, seed: u64, played: &Played) -> Result<Rehearsal, String> {
    let Played {
        simulation,
        region,
        truth,
        ..
    } = played;
    let (recoveries, locks) = recorded(plan, simulation).await?;
    let reopened = reopened(plan, simulation, &recoveries).await?;
    let disaster = script.disaster;
    let mut effects = script.faults.iter().map(|fault| fault.effect());
    let skew = effects.clone().map(Effect::clocks_off_by).max().unwrap_or_default();
    let breaches = Happened {
        plan,
        simulation,
        scenario: disaster.scenario(),
        disaster_at: played.disaster_at,
        before: &played.before,
        recoveries: &recoveries,
        truth,
        foreign: &played.foreign,
        started: &played.started,
        skew_seconds: skew.as_secs_f64(),
        interrupts: disaster.interrupts(),
        changing_recoveries: disaster.changing_recoveries(),
        child_dies: effects.clone().any(Effect::ends_the_scenario),
        is_stopped: effects.clone().any(Effect::stops_the_recovery),
        can_close: !effects.clone().any(Effect::loses_the_record),
        changed_by_others: effects.clone().flat_map(Effect::changes_by_itself).copied().collect(),
        can_tell: !effects.any(Effect::silences_announcements),
        locks,
        reopened,
    }
    .breaches(COMMON.iter().chain(disaster.invariants()));
    let mut closed: Vec<Ending> = recoveries.iter().flat_map(Ending::of).collect();
    closed.sort_by_key(|ending| ending.closing.closed_at);
    // Another one that a late alarm started, in the other Region or for another scenario, is not what is rehearsed.
    let is_rehearsed = |of: &&Recorded| of.region == *region && of.header.scenario == disaster.scenario();
    let of_these = recoveries.iter().filter(is_rehearsed);
    let newest = of_these.max_by_key(|recorded| recorded.header.opened_at);
    let newest = newest.filter(|recorded| recorded.header.closing.is_some());
    let last = newest.and_then(|of| closed.iter().rposition(|ending| ending.recovery == of.header.id));
    let last = last.map(|place| closed.remove(place));
    let steps = last.as_ref().and_then(|last| {
        let of_last = recoveries.iter().find(|recorded| recorded.header.id == last.recovery);
        of_last.map(|recorded| recorded.timeline.clone())
    });
    let account = match &last {
        Some(last) if script.account => {
            let record = Record::in_region(&simulation.aws_in("drctl", region), region);
            let account = report::read(&record, &last.recovery).await;
            let account = account.map_err(|error| error.to_string())?;
            account.map(|account| Account {
                rehearsed: Some(rehearsed(script, seed)),
                ..account
            })
        }
        _ => None,
    };
    let scenario = disaster.scenario();
    let objectives = plan.scenarios.get(&scenario).map(|policy| policy.objectives);
    let objectives = objectives.ok_or_else(|| format!("the plan has no policy for {scenario}"))?;
    let calls = simulation.calls();
    let (usage, invoked) = simulation.usage();
    let of_the_recovery = calls.iter().filter(|(call, _)| invoked.contains(&call.function));
    let cost_usd = dollars(
        &usage,
        of_the_recovery.map(|(call, count)| (call.service.as_str(), *count)),
    );
    let undelivered = simulation.cloud().events.failures();
    let (outcome, mut reason) = match (&last, simulation.ended().last()) {
        (Some(last), _) => (last.closing.outcome.name(), last.closing.reason.clone()),
        (None, Some(ended)) => (
            Outcome::Failed.name(),
            Some(format!("the recovery was not closed: {:?}", ended.result.status)),
        ),
        (None, None) => not_started(plan, simulation).await?,
    };
    if !undelivered.is_empty() {
        let events = format!("events were not delivered: {}", undelivered.join("; "));
        reason = Some(match reason {
            Some(own) => format!("{own}; {events}"),
            None => events,
        });
    }
    let Closing {
        observed,
        achieved,
        met,
        evidence,
        ..
    } = last.map_or_else(|| never_closed(&objectives), |last| last.closing);
    let as_promised = disaster.loses_writes() || truth.lost_writes == 0;
    Ok(Rehearsal {
        scenario: disaster,
        faults: played.faults.clone(),
        breaches,
        mode: Mode::Rehearsal,
        seed,
        outcome,
        reason,
        approval: approval(&evidence),
        fence: text_at(&evidence, "/fence/summary"),
        expected_loss: evidence
            .pointer("/assessment/expected_loss")
            .and_then(|loss| ExpectedLoss::deserialize(loss).ok()),
        earlier: closed.into_iter().map(Ending::into_earlier).collect(),
        waits: played.waits.clone(),
        served_at_end: served_at_end(simulation),
        impact_at: observed.impact_at,
        decided_at: observed.decided_at,
        achieved,
        truth: *truth,
        objectives: ObjectiveSeconds {
            rto: seconds(objectives.rto),
            rpo: objectives.rpo.map(seconds),
        },
        met,
        within_objectives: outcome == disaster.expected().name()
            && met.within()
            && undelivered.is_empty()
            && as_promised,
        steps: steps.unwrap_or_default(),
        transitions: usage.transitions,
        aws_calls: calls
            .into_iter()
            .map(|(call, count)| CallCount {
                function: call.function,
                region: call.region,
                service: call.service,
                operation: call.operation,
                count,
            })
            .collect(),
        cost_usd: (cost_usd * 1e6).round() / 1e6,
        touched: simulation.touched(),
        invoked: simulation.invoked(),
        account,
    })
}

/// How one execution of a recovery ended.
struct Ending {
    recovery: String,
    region: String,
    closing: Closing,
}

impl Ending {
    /// How each execution of a recovery ended, oldest first.
    fn of(recorded: &Recorded) -> Vec<Self> {
        let header = &recorded.header;
        let closings = header.earlier.iter().chain(&header.closing);
        let each = closings.map(|closing| Self {
            recovery: header.id.clone(),
            region: recorded.region.clone(),
            closing: closing.clone(),
        });
        each.collect()
    }

    fn into_earlier(self) -> Earlier {
        Earlier {
            recovery: self.recovery,
            region: self.region,
            outcome: self.closing.outcome.name(),
            reason: self.closing.reason,
        }
    }
}

/// What the Regions' tables know: every recovery, and who holds the lock in which Region. A Region that is away has nothing
/// to say.
async fn recorded(plan: &Plan, simulation: &Simulation) -> Result<(Vec<Recorded>, Vec<(String, String)>), String> {
    let (mut recoveries, mut locks) = (Vec::new(), Vec::new());
    for region in [&plan.regions.standby.region, &plan.regions.primary.region] {
        if !simulation.cloud().apis_answer(region) {
            continue;
        }
        let record = Record::in_region(&simulation.aws_in("drctl", region), region);
        let found = Recorded::all(&record, region, &plan.workload).await;
        recoveries.extend(found.map_err(|error| error.to_string())?);
        let lock = record.lock(&plan.workload).await.map_err(|error| error.to_string())?;
        locks.extend(lock.map(|lock| (region.clone(), lock.execution)));
    }
    Ok((recoveries, locks))
}

/// The fences of these recoveries that people opened. A Region that is away has nothing to say.
async fn reopened(plan: &Plan, simulation: &Simulation, recoveries: &[Recorded]) -> Result<Vec<Reopened>, String> {
    let mut all = Vec::new();
    for region in [&plan.regions.standby.region, &plan.regions.primary.region] {
        if !simulation.cloud().apis_answer(region) {
            continue;
        }
        let record = Record::in_region(&simulation.aws_in("drctl", region), region);
        for recorded in recoveries.iter().filter(|recorded| recorded.region != *region) {
            let found = record.reopened(&plan.workload, &recorded.header.id).await;
            all.extend(found.map_err(|error| error.to_string())?);
        }
    }
    Ok(all)
}

/// Why nothing was started: what was decided on the alarm's event, if there was one.
async fn not_started(plan: &Plan, simulation: &Simulation) -> Result<(&'static str, Option<String>), String> {
    let mut decisions = Vec::new();
    for region in [&plan.regions.standby.region, &plan.regions.primary.region] {
        if simulation.cloud().is_up(region) {
            let record = Record::in_region(&simulation.aws_in("drctl", region), region);
            let found = record.start_decisions(&plan.workload).await;
            decisions.extend(found.map_err(|error| error.to_string())?);
        }
    }
    Ok(match decisions.last().map(|decision| &decision.decision) {
        Some(Started::Refused { reason }) => (Outcome::Refused.name(), Some(reason.clone())),
        _ => ("not-started", Some("no recovery was started".to_owned())),
    })
}

/// How long before the end of a rehearsal the last answer to a customer may be: one of a few of their requests.
const SERVED_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// Whether customers are served when the rehearsal ends: one of their last writes was acknowledged.
fn served_at_end(simulation: &Simulation) -> bool {
    let now = simulation.cloud().now();
    let since = now.checked_sub(SERVED_WITHIN).unwrap_or(now);
    !simulation.platform().acknowledged(since, now).is_empty()
}

fn text_at(evidence: &Value, pointer: &str) -> Option<String> {
    evidence.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// Who approved, or why no approval was needed.
fn approval(evidence: &Value) -> Option<String> {
    let by = evidence.pointer("/approval/by").and_then(Value::as_array);
    let people: Vec<&str> = by.into_iter().flatten().filter_map(Value::as_str).collect();
    let because = text_at(evidence, "/assessment/ask/because")?;
    Some(match people.as_slice() {
        [] => because,
        people => format!("{because}; approved by {}", people.join(" and ")),
    })
}

/// What stands in for the closing of a recovery that was never closed: nothing was measured.
fn never_closed(objectives: &Objectives) -> Closing {
    let achieved = Achieved {
        rto_seconds: None,
        rto_is_at_least: false,
        rto_from_decision_seconds: None,
        rpo_seconds: None,
        rpo_status: RpoStatus::Unmeasured,
        old_side_wrote_seconds: None,
    };
    let rpo = if objectives.rpo.is_some() {
        Met::Missed
    } else {
        Met::NotApplicable
    };
    Closing {
        execution: String::new(),
        outcome: Outcome::Failed,
        reason: None,
        cause: None,
        failed_state: None,
        failed_as: None,
        closed_at: Timestamp::UNIX_EPOCH,
        evidence: serde_json::Value::Null,
        observed: shared::measure::Observed::default(),
        achieved,
        met: MetObjectives { rto: Met::Missed, rpo },
    }
}

fn seconds(objective: Objective) -> TargetAndMaximum {
    TargetAndMaximum {
        target: objective.target.as_secs(),
        maximum: objective.maximum.as_secs(),
    }
}

/// How it was rehearsed, for its report. An event of one's own is in a file that no command here can name.
fn rehearsed(script: &Script, seed: u64) -> Rehearsed {
    Rehearsed {
        seed,
        command: script.event.is_none().then(|| script.command(seed, None)),
        timings_sha256: script.timings_sha256(),
    }
}
