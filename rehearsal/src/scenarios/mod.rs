//! The scenarios that can be rehearsed, a module for each.

use std::str::FromStr;

use crate::disaster::{Disaster, Start, vocabulary};
use crate::fault::{Area, Fault, FaultKind, Fits, Vocabulary};
use crate::faults::KINDS;
use crate::faults::{restore, standby};

pub mod database_corruption;
pub mod region_failure;
pub mod region_return;
pub(crate) mod watching;

/// Every scenario that is built in.
pub const ALL: &[&'static dyn Disaster] = &[
    &region_failure::RegionFailure,
    &region_return::RegionReturn,
    &database_corruption::DatabaseCorruption,
];

/// The scenario of that name.
pub fn named(name: &str) -> Option<&'static dyn Disaster> {
    ALL.iter().copied().find(|disaster| disaster.name() == name)
}

/// The kinds of faults that a scenario can be together with.
pub fn kinds_that_fit(disaster: &dyn Disaster) -> Vec<&'static FaultKind> {
    let fits = |kind: &&&'static FaultKind| match kind.fits {
        Fits::Every => true,
        Fits::StartedByAlarm => disaster.start() == Start::Alarm,
        Fits::Named => false,
    };
    KINDS.iter().filter(fits).chain(disaster.faults()).copied().collect()
}

/// Every kind of fault of the built-in scenarios, in the order in which they are listed: first those that scenarios share.
pub fn fault_kinds() -> Vec<&'static FaultKind> {
    let mut kinds = KINDS.to_vec();
    for kind in ALL.iter().flat_map(|disaster| disaster.faults()) {
        if kinds.iter().all(|known| known.name() != kind.name()) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Every kind of fault of the built-in scenarios, by what it disturbs; an area without any is left out.
pub fn faults_by_area() -> impl Iterator<Item = (Area, Vec<&'static FaultKind>)> {
    let all = fault_kinds();
    Area::ALL.into_iter().filter_map(move |area| {
        let kinds: Vec<_> = all.iter().copied().filter(|kind| kind.area == area).collect();
        (!kinds.is_empty()).then_some((area, kinds))
    })
}

/// The values that stand for what faults have in angle brackets, by its name: each value, or their form.
pub fn fault_values() -> Vec<(&'static str, String)> {
    let Vocabulary {
        steps,
        services,
        operations,
        machines: _,
    } = vocabulary(ALL.iter().copied());
    let states = vocabulary(ALL.iter().copied()).states();
    let steps: Vec<&str> = steps.iter().map(|step| step.name).collect();
    vec![
        ("<check>", "the name of one of the plan's checks".to_owned()),
        ("<duration>", "such as 30s, 10m, 1h30m; more than 0".to_owned()),
        ("<how>", standby::HOWS.map(standby::How::name).join(", ")),
        ("<n>", "a whole number from 1 on".to_owned()),
        (
            "<operation>",
            format!("an operation as AWS writes it, such as {}", operations.join(", ")),
        ),
        (
            "<part>",
            format!(
                "{}; of old-side-denied {}",
                standby::PARTS.map(standby::Part::name).join(", "),
                standby::FENCED.map(standby::Part::name).join(", ")
            ),
        ),
        ("<parameter>", restore::PARAMETERS.join(", ")),
        ("<what>", restore::QUOTAS.map(|(name, _)| name).join(", ")),
        ("<rate>", "more than 0, at most 1; 0.2 is one of five".to_owned()),
        (
            "<refusal>",
            database_corruption::caches::REFUSALS.map(|(name, _)| name).join(", "),
        ),
        ("<service>", services.join(", ")),
        ("<state>", states.join(", ")),
        ("<step>", steps.join(", ")),
        (
            "<snapshot>",
            database_corruption::faults::SNAPSHOTS.map(|(name, _)| name).join(", "),
        ),
    ]
}

impl FromStr for Fault {
    type Err = String;

    /// One of the built-in scenarios' faults.
    fn from_str(spec: &str) -> Result<Self, String> {
        Self::read(spec, fault_kinds(), &vocabulary(ALL.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::compatible;

    #[test]
    fn every_kind_is_read_and_written_alike() {
        for kind in fault_kinds() {
            let spec = kind
                .form
                .replace("<service>", "rds")
                .replace("<rate>", "0.2")
                .replace("<operation>", "FailoverGlobalCluster")
                .replace("<step>", "promote-database")
                .replace("<state>", "PromoteDatabase")
                .replace("<duration>", "15m")
                .replace("<parameter>", "KmsKeyId")
                .replace("<refusal>", "replica")
                .replace("<snapshot>", "available")
                .replace("<what>", "clusters")
                .replace("<part>:<how>", "stage:missing")
                .replace("<part>", "stage")
                .replace("[:<n>]", ":2")
                .replace("[:15m]", ":15m");
            let fault: Fault = spec.parse().unwrap();
            assert_eq!(fault.to_string(), spec);
            assert_eq!(fault.kind(), kind.name(), "{spec}");
        }
        for (spec, written) in [
            ("kill:announce", "kill:announce"),
            ("approver-declines", "approver-declines"),
            ("approver-declines:1", "approver-declines"),
            ("lag:60m", "lag:1h"),
        ] {
            assert_eq!(spec.parse::<Fault>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn each_fault_is_listed_once_and_each_placeholder_has_values() {
        let mut listed: Vec<&str> = faults_by_area()
            .flat_map(|(_, kinds)| kinds)
            .map(FaultKind::name)
            .collect();
        let mut known: Vec<&str> = fault_kinds().iter().map(|kind| kind.name()).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
        let values = fault_values();
        for kind in fault_kinds() {
            for rest in kind.form.split('<').skip(1) {
                let name = format!("<{}>", rest.split('>').next().unwrap());
                assert!(values.iter().any(|(known, _)| *known == name), "{}: {name}", kind.form);
            }
        }
        let value = |name: &str| values.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        for (form, name) in [
            ("throttle:", "<service>"),
            ("kill:", "<step>"),
            ("child-dies:", "<state>"),
        ] {
            for value in value(name).split(", ") {
                assert!(format!("{form}{value}").parse::<Fault>().is_ok(), "{form}{value}");
            }
        }
        for part in standby::PARTS {
            for how in standby::HOWS {
                let spec = format!("standby-broken:{}:{}", part.name(), how.name());
                assert!(spec.parse::<Fault>().is_ok(), "{spec}");
            }
        }
    }

    #[test]
    fn an_expected_result_reads_as_a_sentence_about_the_recovery() {
        let verbs = [
            "asks", "ends as", "pages", "starts", "takes", "waits", "does not", "needs", "stops", "keeps",
        ];
        for kind in fault_kinds() {
            let expected = kind.expected;
            assert!(
                verbs.iter().any(|verb| expected.starts_with(verb)),
                "{}: {expected}",
                kind.form
            );
            for sentence in expected.split(['.', ';']).chain(kind.what.split(['.', ';'])) {
                assert!(sentence.split_whitespace().count() <= 20, "{}: {sentence}", kind.form);
            }
        }
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
