//! Whether an alarm's event starts a recovery.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::arn;
use shared::plan::{Alarm, Duration, Plan, Start};
use shared::record::{Deferred, Header, Switch};
use shared::recovery::{Mode, Outcome};
use shared::scenario::Scenario;

use crate::event::{StateChange, id_of, quoted};

/// Clocks may differ by this much.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);

/// What a decision is made on, beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The plan in force.
    pub plan: &'a Plan,
    /// The Region that this function runs in.
    pub region: &'a str,
    /// Whether alarms start recoveries by themselves; nothing means that they do.
    pub switch: Option<&'a Switch>,
    /// The recoveries of the workload that this Region's record knows.
    pub recoveries: &'a [Past],
    /// Now.
    pub now: Timestamp,
}

/// A recovery, as its record and its execution say.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its header.
    pub header: Header,
    /// When its execution ended without closing it, because somebody stopped it or it failed.
    pub stopped_at: Option<Timestamp>,
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The scenario.
    pub scenario: Scenario,
    /// The execution's name, 80 characters at most.
    pub name: String,
    /// ARN of the alarm.
    pub alarm: String,
    /// When the alarm went off.
    pub at: Timestamp,
    /// Whether people approve even where the policy would ask nobody.
    pub always_ask: bool,
}

/// Why an event starts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// Why, and what to do about it.
    pub reason: String,
    /// What is to be looked at again, where a recovery of another scenario runs.
    pub deferred: Option<Deferred>,
}

impl From<String> for NotStarted {
    fn from(reason: String) -> Self {
        Self { reason, deferred: None }
    }
}

/// Refuses to start what nothing recovers from yet: the recovery would be refused when it is opened.
pub(crate) fn available(begin: Begin) -> Result<Begin, String> {
    match begin.scenario.machine() {
        Some(_) => Ok(begin),
        None => Err(format!(
            "nothing recovers from {0} yet; recover by hand, and give its alarms start: off in the plan",
            begin.scenario
        )),
    }
}

/// Decides what `event` starts. Errors: why it starts nothing, and what to do about it.
///
/// The order is that of what a person needs to know first: what is wrong with the event or the deployment would be wrong
/// every time, what is going on now is over at some time.
pub fn decide(event: &Value, seen: &Circumstances<'_>) -> Result<Begin, NotStarted> {
    let change = StateChange::read(event)?;
    let alarm = bound_alarm(&change, seen)?;
    went_off(&change)?;
    if alarm.start == Start::Off {
        let reason = format!(
            "the plan says start: off for alarm {}; a person decides whether to start {}",
            alarm.name, alarm.scenario
        );
        return Err(reason.into());
    }
    let policy = seen.plan.scenarios.get(&alarm.scenario).ok_or_else(|| {
        format!(
            "the plan has no policy for {0}; add scenarios/{0} and push the plan",
            alarm.scenario
        )
    })?;
    may_act(&change, seen)?;
    let begin = Begin {
        scenario: alarm.scenario,
        name: format!("{}-{}", alarm.scenario, id_of(event)),
        alarm: change.arn.to_owned(),
        at: change.at,
        always_ask: alarm.start == Start::Approve,
    };
    // This event's own recovery runs or has run, and that it was started is only yet to be kept.
    let is_own = |past: &Past| arn::name(&past.header.execution) == begin.name;
    if seen.recoveries.iter().any(is_own) {
        return Ok(begin);
    }
    is_fresh(&change, seen)?;
    is_on(seen)?;
    nothing_runs(alarm.scenario, seen)?;
    has_cooled_down(alarm.scenario, policy.cool_down, seen)?;
    Ok(begin)
}

/// The alarm of the plan that the event is about, if it comes from where the plan says and is heard where it is raised.
fn bound_alarm(change: &StateChange<'_>, seen: &Circumstances<'_>) -> Result<Alarm, String> {
    let plan = seen.plan;
    if change.account != plan.account {
        return Err(format!(
            "the event comes from account {}, and the plan is for {}; push the plan of this account",
            quoted(change.account),
            plan.account
        ));
    }
    let Some(name) = plan.site_name(change.region) else {
        return Err(format!(
            "the event comes from Region {}, which the plan does not name; its Regions are {} and {}",
            quoted(change.region),
            plan.regions.primary.region,
            plan.regions.standby.region
        ));
    };
    let site = plan.regions.named(name);
    let arn = format!(
        "arn:{}:cloudwatch:{}:{}:alarm:{}",
        site.partition(),
        site.region,
        plan.account,
        change.alarm
    );
    if change.arn != arn {
        return Err(format!(
            "the event's resource is {}, which is not the alarm {} of its Region and account; CloudWatch did not send it",
            quoted(change.arn),
            quoted(change.alarm)
        ));
    }
    let mut here = plan.alarms_in(name).into_iter();
    let alarm = here.find(|alarm| alarm.name == change.alarm).ok_or_else(|| {
        format!(
            "no scenario is bound to alarm {} in {}; to have it start one, add it to the plan's alarms and push the \
             plan",
            quoted(change.alarm),
            change.region
        )
    })?;
    if change.region != seen.region {
        return Err(format!(
            "the alarm {} is raised in {}, and this function runs in {}; send its events to the function there",
            alarm.name, change.region, seen.region
        ));
    }
    Ok(alarm)
}

/// Whether the alarm has just gone off, or acts from now on after it was kept from it.
fn went_off(change: &StateChange<'_>) -> Result<(), String> {
    if change.state != "ALARM" {
        return Err(format!(
            "the alarm went to {}, and only ALARM starts anything",
            quoted(change.state)
        ));
    }
    if !change.is_freed && !["OK", "INSUFFICIENT_DATA"].contains(&change.before) {
        return Err(format!(
            "the alarm was {} before, and only a change from OK or INSUFFICIENT_DATA starts anything",
            quoted(change.before)
        ));
    }
    Ok(())
}

/// Whether the alarm is to act at all: CloudWatch sends its events whether it is muted or not.
fn may_act(change: &StateChange<'_>, seen: &Circumstances<'_>) -> Result<(), String> {
    let by_hand = "if it is a disaster nonetheless, start the recovery by hand";
    if let Some(mute) = change.muted {
        let rule = mute
            .get("mutedByArn")
            .and_then(Value::as_str)
            .map_or_else(String::new, |rule| format!(" by {}", quoted(rule)));
        return Err(format!("the alarm is muted{rule}; {by_hand}"));
    }
    if let Some(suppressed) = change.suppressed {
        let by = suppressed
            .as_str()
            .map_or_else(String::new, |by| format!(" by {}", quoted(by)));
        let suppressor = change.suppressor.map(|alarm| format!(" ({})", quoted(alarm)));
        return Err(format!(
            "the alarm's actions are suppressed{by}{} in {}; {by_hand}",
            suppressor.unwrap_or_default(),
            seen.region
        ));
    }
    Ok(())
}

/// Whether the event says something about now.
fn is_fresh(change: &StateChange<'_>, seen: &Circumstances<'_>) -> Result<(), String> {
    let stale_after = seen.plan.automation.stale_after;
    let age = seen.now.duration_since(change.said_at);
    if age > signed(stale_after) {
        return Err(format!(
            "the alarm went off at {}, {} before its event arrived; an alarm that is older than {stale_after} is \
             ignored as stale. If it is still in ALARM, start the recovery by hand",
            change.said_at,
            Duration::from_secs(age.as_secs().unsigned_abs())
        ));
    }
    if -age > CLOCKS_DIFFER {
        return Err(format!(
            "the alarm went off at {}, which is in the future (now {} here); the event or a clock is wrong",
            change.said_at, seen.now
        ));
    }
    Ok(())
}

/// The alarms of this Region that start recoveries of `scenario`.
pub(crate) fn alarms_for(plan: &Plan, scenario: Scenario, region: &str) -> Vec<Alarm> {
    let here = plan.site_name(region).map(|name| plan.alarms_in(name));
    let mut alarms = here.unwrap_or_default();
    alarms.retain(|alarm| alarm.scenario == scenario && alarm.start != Start::Off);
    alarms
}

/// Whether alarms may start recoveries by themselves.
pub(crate) fn is_on(seen: &Circumstances<'_>) -> Result<(), String> {
    match seen.switch.filter(|switch| !switch.on) {
        None => Ok(()),
        Some(off) => Err(format!(
            "automation is off in {} since {}, by {}: {}; start the recovery by hand, or turn automatic recovery \
             on: drctl automation on",
            seen.region, off.at, off.by, off.reason
        )),
    }
}

/// Recoveries that stand in the way of another one. A drill does not: a recovery takes over from it.
fn serious<'a>(seen: &Circumstances<'a>) -> impl Iterator<Item = &'a Past> + use<'a> {
    seen.recoveries.iter().filter(|past| past.header.mode != Mode::Drill)
}

/// Whether no recovery of the workload runs. One of the same scenario looks at what the alarm tells of already; behind another one,
/// it is looked at again.
fn nothing_runs(scenario: Scenario, seen: &Circumstances<'_>) -> Result<(), NotStarted> {
    let running = serious(seen).find(|past| past.header.ended().is_none() && past.stopped_at.is_none());
    let Some(Past { header, .. }) = running else {
        return Ok(());
    };
    let since = header.resumed.last().map_or(header.opened_at, |resumed| resumed.at);
    let is_other = header.scenario != scenario && scenario.machine().is_some();
    let again = match is_other {
        true => ". The alarm is looked at again when that has ended",
        false => "",
    };
    Err(NotStarted {
        reason: format!(
            "recovery {} ({}) has been running since {since} ({}); watch that one, or stop it first: one recovery runs at a \
             time{again}",
            header.id, header.scenario, header.execution
        ),
        deferred: is_other.then(|| Deferred {
            scenario,
            behind: header.id.clone(),
            region: seen.region.to_owned(),
            at: seen.now,
        }),
    })
}

/// Whether the last recovery is long enough ago.
fn has_cooled_down(scenario: Scenario, cool_down: Duration, seen: &Circumstances<'_>) -> Result<(), String> {
    let last = serious(seen)
        .flat_map(|past| ends(past).map(move |(at, how)| (at, how, past)))
        .max_by_key(|(at, _, _)| *at);
    let Some((at, how, past)) = last else {
        return Ok(());
    };
    if seen.now.duration_since(at) >= signed(cool_down) {
        return Ok(());
    }
    Err(format!(
        "recovery {} ended at {at} ({how}); for {cool_down} after that, no alarm starts {scenario}; start it by \
         hand if it is needed",
        past.header.id
    ))
}

/// When and how a recovery's executions ended, those that count for the time to cool down.
fn ends(past: &Past) -> impl Iterator<Item = (Timestamp, &'static str)> + use<'_> {
    let closings = past.header.earlier.iter().chain(&past.header.closing);
    let closed = closings
        .filter(|closing| counts(closing.outcome))
        .map(|closing| (closing.closed_at, closing.outcome.name()));
    closed.chain(past.stopped_at.map(|at| (at, "stopped")))
}

/// Whether a recovery that ended so changed something, or was declined by a person.
fn counts(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Recovered
        | Outcome::Partial
        | Outcome::Failed
        | Outcome::RolledBack
        | Outcome::Preempted
        | Outcome::Declined => true,
        Outcome::Refused | Outcome::Expired => false,
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration.as_std()).unwrap_or(SignedDuration::MAX)
}
