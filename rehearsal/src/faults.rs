//! What goes wrong in a rehearsal beside the disaster itself: what `--fault` takes.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use shared::plan::Duration;
use simulator::cloud::endpoints;

use crate::deployment::{STEPS, scenario_machines, states_of};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The Region is lost as a whole, as the scenario says by itself.
    RegionOutage,
    /// Customers reach the old side, and its control planes do not answer.
    GreyRegion,
    /// Customers do not reach the old side; its control planes answer, and take no changes.
    GreyControl,
    /// The standby Region's databases are out too.
    BothDatabases,
    /// A service asks for fewer calls.
    Throttle(String),
    /// A service fails this share of its calls.
    Errors(String, f64),
    /// An operation is done, and its answer never comes.
    LostReply(String),
    /// A step's process dies once, at this AWS call; at one of the first ones, as the seed has it, where none is said.
    Kill(String, Option<u64>),
    /// Three processes die, of whatever steps.
    KillRandom,
    /// EventBridge delivers each event twice.
    DuplicateEvent,
    /// EventBridge delivers each event this much later.
    LateEvent(Duration),
    /// The alarm goes to OK and back to ALARM.
    FlappingAlarm,
    /// Replication is this far behind all the time.
    Lag(Duration),
    /// The replication lag is not published.
    NoLagMetric,
    /// Nobody notices the disaster for this long; before it, replication was 1 s behind.
    OldOutage(Duration),
    /// The next switchover does not end, or AWS cancels it after this long.
    SwitchoverHangs(Option<Duration>),
    /// The next failover does not end.
    StuckFailover,
    /// AWS gives the next failover up.
    FailedFailover,
    /// Nobody answers what is asked.
    ApproverAsleep,
    /// The first one who answers declines, from this question on.
    ApproverDeclines(usize),
    /// One person answers twice, and nobody else does.
    OneApproverTwice,
    /// SNS fails.
    SnsDown,
    /// The table of records asks for fewer calls, most of the time.
    TableThrottled,
    /// The functions' clocks are off by up to this much.
    ClockSkew(Duration),
    /// The scenario's execution ends at this state, without its last one.
    ChildDies(String),
    /// A person stops the recovery, and its scenario's execution lives on.
    ChildNotStopped,
    /// Likewise, and the functions may not stop it either.
    StopDenied,
    /// A drill holds the lock.
    DrillRunning,
    /// Another live recovery holds the lock.
    Busy,
}

/// A kind of fault, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultKind {
    /// Its name; what is to be said after a colon is in angle brackets.
    pub form: &'static str,
    /// What goes wrong.
    pub what: &'static str,
    /// What the recovery must do.
    pub expected: &'static str,
}

const fn kind(form: &'static str, what: &'static str, expected: &'static str) -> FaultKind {
    FaultKind { form, what, expected }
}

/// Every kind of fault, in the order in which they are listed.
pub const KINDS: [FaultKind; 29] = [
    kind(
        "region-outage",
        "the Region is lost as a whole, as the scenario says by itself",
        "recovers",
    ),
    kind(
        "grey-region",
        "customers reach the old side and its control planes do not answer; a person starts the recovery",
        "does not switch over; asks people, the fence unconfirmed; counts what the old side wrote",
    ),
    kind(
        "grey-control",
        "customers do not reach the old side; its control planes answer and take no changes",
        "recovers, the fence unconfirmed",
    ),
    kind(
        "both-databases",
        "RDS and the databases of the standby Region are out too",
        "refuses before it fences anything, and says why",
    ),
    kind(
        "throttle:<service>",
        "half of the service's calls are throttled for 10 minutes",
        "recovers, later",
    ),
    kind(
        "errors:<service>:<rate>",
        "this share of the service's calls fails with a server error; 0.2 is one of five",
        "recovers, later",
    ),
    kind(
        "lost-reply:<operation>",
        "the operation's first call is done, and its answer never comes",
        "recovers, with one effect",
    ),
    kind(
        "kill:<step>[:<n>]",
        "the step's process dies once, at its n-th AWS call (one of the first, which the seed draws)",
        "recovers, with one effect",
    ),
    kind(
        "kill-random",
        "up to three processes die, of whatever steps",
        "recovers, with one effect",
    ),
    kind(
        "duplicate-event",
        "EventBridge delivers each event twice",
        "starts once",
    ),
    kind(
        "late-event:<duration>",
        "EventBridge delivers each event this much later",
        "starts nothing where that is stale",
    ),
    kind(
        "flapping-alarm",
        "the alarm goes to OK and back to ALARM while the recovery runs",
        "starts once",
    ),
    kind(
        "lag:<duration>",
        "replication is this far behind all the time",
        "asks people where that is more than the RPO target, with the loss",
    ),
    kind(
        "no-lag-metric",
        "the replication lag is not published",
        "asks people, with the loss unmeasured",
    ),
    kind(
        "old-outage:<duration>",
        "nobody notices for this long, then a person starts; before, replication was 1 s behind",
        "recovers, with an expected loss of 1 s",
    ),
    kind(
        "switchover-hangs[:<duration>]",
        "the next switchover does not end, or AWS cancels it after that time",
        "asks whether to fail over",
    ),
    kind(
        "stuck-failover",
        "the next failover does not end",
        "fails with everything said, and can be resumed",
    ),
    kind(
        "failed-failover",
        "AWS gives the next failover up",
        "fails with everything said, and can be resumed",
    ),
    kind("approver-asleep", "nobody answers what is asked", "expires"),
    kind(
        "approver-declines[:<n>]",
        "who answers first declines, from the n-th question on (the first)",
        "declined, everything as before",
    ),
    kind(
        "one-approver-twice",
        "one person answers twice, and nobody else",
        "does not count as two",
    ),
    kind(
        "sns-down",
        "SNS fails in every Region",
        "recovers, and keeps that nobody was told",
    ),
    kind(
        "table-throttled",
        "20 s of each minute the table of records throttles every call",
        "recovers",
    ),
    kind(
        "clock-skew:<duration>",
        "the functions' clocks are off by up to this much, each by its own",
        "recovers, with measured figures still right",
    ),
    kind(
        "child-dies:<state>",
        "the scenario's execution ends at this state: by a defect of its machine, its time limit, or somebody who stops it",
        "takes back what it changed, unless the promotion has begun; ends as rolled-back or failed, and can be resumed",
    ),
    kind(
        "child-not-stopped",
        "a person stops the recovery, and Step Functions does not stop the scenario's execution",
        "stops that execution, frees the lock and tells people; can be resumed",
    ),
    kind(
        "stop-denied",
        "the same, and no function may stop an execution",
        "keeps the lock until that execution has ended by itself; can be resumed",
    ),
    kind("drill-running", "a drill holds the lock", "takes over"),
    kind(
        "busy",
        "another live recovery holds the lock",
        "refuses, and says what is busy since when",
    ),
];

impl Fault {
    /// The name of its kind: what is before the colon.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RegionOutage => "region-outage",
            Self::GreyRegion => "grey-region",
            Self::GreyControl => "grey-control",
            Self::BothDatabases => "both-databases",
            Self::Throttle(_) => "throttle",
            Self::Errors(..) => "errors",
            Self::LostReply(_) => "lost-reply",
            Self::Kill(..) => "kill",
            Self::KillRandom => "kill-random",
            Self::DuplicateEvent => "duplicate-event",
            Self::LateEvent(_) => "late-event",
            Self::FlappingAlarm => "flapping-alarm",
            Self::Lag(_) => "lag",
            Self::NoLagMetric => "no-lag-metric",
            Self::OldOutage(_) => "old-outage",
            Self::SwitchoverHangs(_) => "switchover-hangs",
            Self::StuckFailover => "stuck-failover",
            Self::FailedFailover => "failed-failover",
            Self::ApproverAsleep => "approver-asleep",
            Self::ApproverDeclines(_) => "approver-declines",
            Self::OneApproverTwice => "one-approver-twice",
            Self::SnsDown => "sns-down",
            Self::TableThrottled => "table-throttled",
            Self::ClockSkew(_) => "clock-skew",
            Self::ChildDies(_) => "child-dies",
            Self::ChildNotStopped => "child-not-stopped",
            Self::StopDenied => "stop-denied",
            Self::DrillRunning => "drill-running",
            Self::Busy => "busy",
        }
    }

    /// Of what it is one of several that cannot be together: what is lost, what people do, who holds the lock, what
    /// becomes of a failover. Nothing, where it goes with everything but itself.
    fn excludes(&self) -> Option<&'static str> {
        Some(match self {
            Self::RegionOutage | Self::GreyRegion | Self::GreyControl | Self::OldOutage(_) => "what is lost",
            Self::ApproverAsleep | Self::ApproverDeclines(_) | Self::OneApproverTwice => "what people do",
            Self::DrillRunning | Self::Busy => "who holds the lock",
            Self::StuckFailover | Self::FailedFailover => "what becomes of a failover",
            Self::ChildDies(_) | Self::ChildNotStopped | Self::StopDenied => "what becomes of the scenario's execution",
            _ => return None,
        })
    }
}

/// Whether these faults can be together. Errors: a text that names two that cannot.
pub fn compatible(faults: &[Fault]) -> Result<(), String> {
    for (index, fault) in faults.iter().enumerate() {
        for other in &faults[index + 1..] {
            if fault == other {
                return Err(format!("the fault {fault} is given twice"));
            }
            if let Some(what) = fault.excludes().filter(|what| other.excludes() == Some(what)) {
                return Err(format!("{fault} and {other} cannot be together: each says {what}"));
            }
            // Both set the lag, and both start by hand what an event is to start.
            if matches!(
                (fault, other),
                (Fault::Lag(_), Fault::OldOutage(_)) | (Fault::OldOutage(_), Fault::Lag(_))
            ) {
                return Err(format!(
                    "{fault} and {other} cannot be together: each says how far replication is behind"
                ));
            }
        }
    }
    Ok(())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Throttle(what) | Self::LostReply(what) | Self::Kill(what, None) | Self::ChildDies(what) => {
                write!(f, ":{what}")
            }
            Self::Kill(step, Some(call)) => write!(f, ":{step}:{call}"),
            Self::Errors(service, rate) => write!(f, ":{service}:{rate}"),
            Self::LateEvent(time)
            | Self::Lag(time)
            | Self::OldOutage(time)
            | Self::ClockSkew(time)
            | Self::SwitchoverHangs(Some(time)) => {
                // In one word: a command line takes it apart at blanks.
                write!(f, ":{}", time.to_string().replace(' ', ""))
            }
            Self::ApproverDeclines(from) if *from > 1 => write!(f, ":{from}"),
            _ => Ok(()),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(spec: &str) -> Result<Self, String> {
        let (name, argument) = spec
            .split_once(':')
            .map_or((spec, None), |(name, rest)| (name, Some(rest)));
        let nothing_more = |fault: Self| match argument {
            None => Ok(fault),
            Some(_) => Err(format!("{name} takes nothing after it")),
        };
        let text = |what: &str| {
            let given = argument.filter(|text| !text.is_empty());
            given.ok_or_else(|| format!("say which: {name}:<{what}>"))
        };
        let time = || {
            let time: Duration = text("duration")?.parse().map_err(|error| format!("{name}: {error}"))?;
            if time.as_secs() == 0 {
                return Err(format!("{name}: no time at all changes nothing"));
            }
            Ok(time)
        };
        match name {
            "region-outage" => nothing_more(Self::RegionOutage),
            "grey-region" => nothing_more(Self::GreyRegion),
            "grey-control" => nothing_more(Self::GreyControl),
            "both-databases" => nothing_more(Self::BothDatabases),
            "throttle" => text("service").and_then(service).map(Self::Throttle),
            "errors" => {
                let (of, rate) = text("service>:<rate")?
                    .split_once(':')
                    .ok_or("say how many: errors:<service>:<rate>")?;
                let rate: f64 = rate
                    .parse()
                    .map_err(|_| format!("{rate} is no share; 0.2 is one of five"))?;
                if !(rate > 0.0 && rate <= 1.0) {
                    return Err(format!("{rate} is no share: it is more than 0 and at most 1"));
                }
                Ok(Self::Errors(service(of)?, rate))
            }
            "lost-reply" => operation(text("operation")?).map(Self::LostReply),
            "kill" => {
                let given = text("step")?;
                let (name, call) = given
                    .split_once(':')
                    .map_or((given, None), |(name, call)| (name, Some(call)));
                let call = call.map(|call| {
                    call.parse()
                        .map_err(|_| format!("{call} is no AWS call's number; the first is 1"))
                });
                Ok(Self::Kill(step(name)?, call.transpose()?))
            }
            "kill-random" => nothing_more(Self::KillRandom),
            "duplicate-event" => nothing_more(Self::DuplicateEvent),
            "late-event" => time().map(Self::LateEvent),
            "flapping-alarm" => nothing_more(Self::FlappingAlarm),
            "lag" => time().map(Self::Lag),
            "no-lag-metric" => nothing_more(Self::NoLagMetric),
            "old-outage" => time().map(Self::OldOutage),
            "switchover-hangs" => match argument {
                None => Ok(Self::SwitchoverHangs(None)),
                Some(_) => time().map(|time| Self::SwitchoverHangs(Some(time))),
            },
            "stuck-failover" => nothing_more(Self::StuckFailover),
            "failed-failover" => nothing_more(Self::FailedFailover),
            "approver-asleep" => nothing_more(Self::ApproverAsleep),
            "approver-declines" => match argument {
                None => Ok(Self::ApproverDeclines(1)),
                Some(from) => match from.parse() {
                    Ok(from) if from > 0 => Ok(Self::ApproverDeclines(from)),
                    _ => Err(format!("{from} is no question's number; the first is 1")),
                },
            },
            "one-approver-twice" => nothing_more(Self::OneApproverTwice),
            "sns-down" => nothing_more(Self::SnsDown),
            "table-throttled" => nothing_more(Self::TableThrottled),
            "clock-skew" => time().map(Self::ClockSkew),
            "child-dies" => text("state").and_then(state).map(Self::ChildDies),
            "child-not-stopped" => nothing_more(Self::ChildNotStopped),
            "stop-denied" => nothing_more(Self::StopDenied),
            "drill-running" => nothing_more(Self::DrillRunning),
            "busy" => nothing_more(Self::Busy),
            _ => Err(format!("there is no fault '{name}'; --list-faults shows them all")),
        }
    }
}

fn service(name: &str) -> Result<String, String> {
    if endpoints().contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "the simulator has no service '{name}'; it has {}",
        endpoints().join(", ")
    ))
}

/// Which operations there are is AWS's to say: one that nothing calls is told at the end, since it never applied.
fn operation(name: &str) -> Result<String, String> {
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_ascii_uppercase());
    if is_name {
        return Ok(name.to_owned());
    }
    Err(format!(
        "'{name}' is no operation; they are written as FailoverGlobalCluster"
    ))
}

/// The states of all scenarios' machines.
pub(crate) fn scenario_states() -> Vec<String> {
    scenario_machines().into_iter().flat_map(states_of).collect()
}

fn state(name: &str) -> Result<String, String> {
    let states = scenario_states();
    if states.iter().any(|state| state == name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "no scenario's machine has a state '{name}'; there are {}",
        states.join(", ")
    ))
}

fn step(name: &str) -> Result<String, String> {
    if STEPS.iter().any(|step| step.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    Err(format!("there is no step '{name}'; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_written_alike() {
        for kind in KINDS {
            let spec = kind
                .form
                .replace("<service>", "rds")
                .replace("<rate>", "0.2")
                .replace("<operation>", "FailoverGlobalCluster")
                .replace("<step>", "promote-database")
                .replace("<state>", "PromoteDatabase")
                .replace("<duration>", "15m")
                .replace("[:<n>]", ":2")
                .replace("[:15m]", ":15m");
            let fault: Fault = spec.parse().unwrap();
            assert_eq!(fault.to_string(), spec);
            assert!(kind.form.starts_with(fault.kind()), "{spec}");
        }
        assert_eq!("kill:announce".parse(), Ok(Fault::Kill("announce".to_owned(), None)));
        assert_eq!("approver-declines".parse(), Ok(Fault::ApproverDeclines(1)));
        assert_eq!(Fault::ApproverDeclines(1).to_string(), "approver-declines");
    }

    #[test]
    fn what_is_no_fault_is_refused_with_what_there_is() {
        for (spec, told) in [
            ("rain", "--list-faults"),
            ("busy:2", "takes nothing"),
            ("throttle", "throttle:<service>"),
            ("throttle:", "throttle:<service>"),
            ("throttle:rdss", "rds-data"),
            ("errors:rds", "errors:<service>:<rate>"),
            ("errors:rds:2", "at most 1"),
            ("errors:rds:0", "more than 0"),
            ("errors:rds:NaN", "more than 0"),
            ("errors:rds:many", "is no share"),
            ("lost-reply:failover", "FailoverGlobalCluster"),
            ("kill:nobody", "promote-database"),
            ("kill:announce:soon", "the first is 1"),
            ("child-dies:OpenRecovery", "PromoteDatabase"),
            ("child-dies", "child-dies:<state>"),
            ("lag:0s", "changes nothing"),
            ("lag:soon", "lag"),
            ("approver-declines:0", "the first is 1"),
        ] {
            let error = spec.parse::<Fault>().unwrap_err();
            assert!(error.contains(told), "{spec}: {error}");
        }
    }

    #[test]
    fn faults_that_contradict_each_other_are_refused() {
        let check = |specs: &[&str]| {
            let faults: Vec<Fault> = specs.iter().map(|spec| spec.parse().unwrap()).collect();
            compatible(&faults)
        };
        assert_eq!(check(&["lag:1s", "busy", "throttle:rds", "throttle:sns"]), Ok(()));
        for pair in [
            ["grey-region", "grey-control"],
            ["busy", "drill-running"],
            ["approver-asleep", "one-approver-twice"],
            ["stuck-failover", "failed-failover"],
            ["throttle:rds", "throttle:rds"],
            ["lag:5s", "old-outage:90m"],
            ["child-not-stopped", "child-dies:TakeBack"],
        ] {
            assert!(check(&pair).is_err(), "{pair:?}");
        }
    }
}
