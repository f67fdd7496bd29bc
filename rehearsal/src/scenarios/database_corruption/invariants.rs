//! What must hold when a database goes back in time.

use std::collections::BTreeSet;

use jiff::Timestamp;
use restore_cluster::RestoreCluster;
use serde_json::Value;
use shared::approval::Verdict;
use shared::plan::CLUSTER_VARIABLE;
use shared::record::{OPENS, Undo};
use shared::recovery::Outcome;
use shared::restore::cluster_id;
use shared::step::Step;

use super::data::are_right;
use crate::happened::{Happened, Invariant, Recorded, Seen};

/// All of it.
pub(super) const ALL: [Invariant; 5] = [
    Invariant {
        name: "one-database",
        check: one_database,
    },
    Invariant {
        name: "restored-once",
        check: restored_once,
    },
    Invariant {
        name: "lost-only-since-then",
        check: lost_only_since_then,
    },
    Invariant {
        name: "asked-twice",
        check: asked_twice,
    },
    Invariant {
        name: "recovered-is-right",
        check: recovered_is_right,
    },
];

/// The function behind each name of the plan names the same cluster, and has every other variable that it had.
fn one_database(happened: &Happened<'_>) -> Vec<Seen> {
    let (cloud, plan) = (happened.simulation.cloud(), happened.plan);
    let region = &plan.regions.primary.region;
    let functions = plan
        .functions
        .iter()
        .filter_map(|function| Some((&function.name, cloud.lambda.function(region, &function.name)?)));
    let functions: Vec<_> = functions.collect();
    let named: BTreeSet<Option<&String>> = functions
        .iter()
        .filter_map(|(_, function)| function.environment_of_customers())
        .map(|variables| variables.get(CLUSTER_VARIABLE))
        .collect();
    // Where a recovery could not end, it says so, and people have to.
    let is_open = happened
        .closings()
        .any(|(_, closing)| closing.outcome == Outcome::Failed);
    let mut breaches = Vec::new();
    if named.len() > 1 && !is_open {
        breaches.push((
            cloud.now(),
            format!("functions use {} databases: {named:?}", named.len()),
        ));
    }
    let others = functions
        .iter()
        .filter(|(_, function)| function.environment.len() < 2)
        .map(|(name, _)| (cloud.now(), format!("{name} has lost variables")));
    breaches.extend(others);
    breaches
}

/// A recovery makes one cluster, and none is left of a recovery that went back.
fn restored_once(happened: &Happened<'_>) -> Vec<Seen> {
    let cloud = happened.simulation.cloud();
    let made = cloud.journal();
    let commits = made["commits"].as_object().into_iter().flatten();
    let restored: Vec<&String> = commits
        .map(|(arn, _)| arn)
        .filter(|arn| arn.contains("-restored-"))
        .collect();
    // A recovery that could not be closed, or says that something is left, has said so.
    let noted: BTreeSet<String> = happened
        .recoveries
        .iter()
        .filter(|recorded| recorded.undos.iter().any(|undo| undo.stands_of(RestoreCluster::NAME)))
        .map(|recorded| cluster_id(&recorded.header.workload, &recorded.header.id))
        .collect();
    let strange = restored
        .iter()
        .filter(|arn| !noted.iter().any(|id| arn.ends_with(id.as_str())))
        .map(|arn| {
            (
                cloud.now(),
                format!("{arn} is there, and no recovery has a note of it that stands"),
            )
        });
    strange.collect()
}

/// The moment that customers' data are of, by the note of the recovery that moved them.
fn approved(happened: &Happened<'_>) -> Option<(String, Timestamp)> {
    let mut each = happened.recoveries.iter();
    each.find_map(|recorded| {
        let to = opening(recorded)?.previous.get("restore_to").and_then(Value::as_str)?;
        Some((recorded.header.id.clone(), to.parse().ok()?))
    })
}

/// The note that customers come to a restored database.
fn opening(recorded: &Recorded) -> Option<&Undo> {
    let mut undos = recorded.undos.iter();
    undos.find(|undo| undo.step == OPENS)
}

/// What customers wrote before the moment that people approved survives.
fn lost_only_since_then(happened: &Happened<'_>) -> Vec<Seen> {
    let (cloud, platform) = (happened.simulation.cloud(), happened.simulation.platform());
    let lost = platform.acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, cloud.now());
    let Some(first) = lost.first() else { return Vec::new() };
    match approved(happened) {
        Some((id, to)) if *first <= to => vec![(
            *first,
            format!("{id} lost a write from before {to}, to which it went back"),
        )],
        Some(_) => Vec::new(),
        None => vec![(
            *first,
            format!("{} writes are gone, and no recovery moved customers", lost.len()),
        )],
    }
}

/// Customers are moved by two questions that people approved: the moment, and the cut-over.
fn asked_twice(happened: &Happened<'_>) -> Vec<Seen> {
    let moved = happened
        .recoveries
        .iter()
        .filter(|recorded| opening(recorded).is_some());
    let each = moved.filter_map(|recorded| {
        let settled = recorded
            .questions
            .iter()
            .filter_map(|asked| asked.settled.as_ref())
            .filter(|settled| matches!(settled.verdict, Verdict::Approved { .. }))
            .count();
        (settled < 2).then(|| {
            let text = format!("{} moved customers after {settled} approvals", recorded.header.id);
            (recorded.header.opened_at, text)
        })
    });
    each.collect()
}

/// Where it is called recovered, the data that customers use are right.
fn recovered_is_right(happened: &Happened<'_>) -> Vec<Seen> {
    let cloud = happened.simulation.cloud();
    let recovered = happened
        .closings()
        .find(|(_, closing)| matches!(closing.outcome, Outcome::Recovered | Outcome::Partial));
    let Some((recorded, closing)) = recovered else {
        return Vec::new();
    };
    match are_right(cloud, happened.simulation.platform(), happened.plan) {
        Some(true) => Vec::new(),
        _ if recorded.header.scenario != shared::scenario::Scenario::DATABASE_CORRUPTION => Vec::new(),
        found => vec![(
            closing.closed_at,
            format!(
                "{} is {}, and the data are right: {found:?}",
                recorded.header.id, closing.outcome
            ),
        )],
    }
}
