//! What must hold when a database goes back in time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use prepare_database::PrepareDatabase;
use restore_cluster::RestoreCluster;
use serde_json::Value as Json;
use shared::approval::Verdict;
use shared::plan::{CLUSTER_VARIABLE, CacheKeys};
use shared::record::{Closing, OPENS, Undo};
use shared::recovery::Outcome;
use shared::restore::cluster_id;
use shared::step::Step;
use simulator::database::Value;
use simulator::workload::SESSION;
use stop_writes::StopWrites;

use super::data::are_right;
use super::since;
use crate::happened::{Happened, Invariant, Recorded, Seen};

/// All of it.
pub(super) const ALL: [Invariant; 11] = [
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
        name: "numbers-come-once",
        check: numbers_come_once,
    },
    Invariant {
        name: "jobs-stay-off",
        check: jobs_stay_off,
    },
    Invariant {
        name: "the-erased-stay-erased",
        check: the_erased_stay_erased,
    },
    Invariant {
        name: "nothing-gone-is-shown",
        check: nothing_gone_is_shown,
    },
    Invariant {
        name: "other-keys-stay",
        check: other_keys_stay,
    },
    Invariant {
        name: "left-is-read-only",
        check: left_is_read_only,
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
        let to = opening(recorded)?.previous.get("restore_to").and_then(Json::as_str)?;
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

/// No customer gets the number of an order that another one got before customers moved. A failover to the other Region, which people may
/// approve meanwhile, is another recovery's.
fn numbers_come_once(happened: &Happened<'_>) -> Vec<Seen> {
    let platform = happened.simulation.platform();
    let acknowledged = platform.acknowledged(Timestamp::UNIX_EPOCH, happened.simulation.cloud().now());
    let region = &happened.plan.regions.primary.region;
    let mut given: BTreeMap<i64, Timestamp> = BTreeMap::new();
    let mut breaches = Vec::new();
    for write in acknowledged.iter().filter(|write| write.region == *region) {
        if let Some(before) = given.insert(write.id, write.at) {
            breaches.push((
                write.at,
                format!("order {} was given out at {before} and again", write.id),
            ));
        }
    }
    breaches
}

/// The recovery that moved customers and ended well, and when.
fn moved_customers<'a>(happened: &'a Happened<'_>) -> Option<(&'a Recorded, Timestamp)> {
    let ended_well = |closing: &Closing| matches!(closing.outcome, Outcome::Recovered | Outcome::Partial);
    let mut moved = happened.closings().filter(|(_, closing)| ended_well(closing));
    moved.find_map(|(recorded, closing)| opening(recorded).map(|_| (recorded, closing.closed_at)))
}

/// Whether nothing was left to people.
fn recovered_wholly(recorded: &Recorded) -> bool {
    let mut closings = recorded.closings();
    closings.any(|closing| closing.outcome == Outcome::Recovered)
}

/// From when on no customer was served any more before the restored database was: writes had been stopped, for the last time, and
/// nothing was left to ask.
fn closed_since(recorded: &Recorded) -> Option<Timestamp> {
    let asked = recorded.questions.iter().map(|asked| asked.question.asked_at);
    asked.chain(last_end_of(recorded, StopWrites::NAME)).max()
}

fn last_end_of(recorded: &Recorded, step: &str) -> Option<Timestamp> {
    let ends = recorded.timeline.iter().filter(|line| line.name == step);
    ends.filter_map(|line| line.ended_at).max()
}

/// When the first customer was let in: nobody wrote while the service was closed.
fn let_in(happened: &Happened<'_>, closed_since: Timestamp) -> Option<Timestamp> {
    let (cloud, platform) = (happened.simulation.cloud(), happened.simulation.platform());
    let writes = platform.acknowledged(closed_since, cloud.now());
    writes.first().map(|write| write.at)
}

/// Once the restored database is prepared no job runs in it, until customers are let in; afterwards all are on.
fn jobs_stay_off(happened: &Happened<'_>) -> Vec<Seen> {
    let Some((recorded, closed_at)) = moved_customers(happened) else {
        return Vec::new();
    };
    let prepared = closed_since(recorded).max(last_end_of(recorded, PrepareDatabase::NAME));
    let Some((since, runs)) = prepared.and_then(|at| Some((at, since::runs_since(happened, at).ok()?))) else {
        return Vec::new();
    };
    let let_in = let_in(happened, since);
    let too_early = runs.iter().filter(|at| let_in.is_none_or(|let_in| **at < let_in));
    let mut breaches: Vec<Seen> = too_early
        .map(|at| (*at, format!("a job ran before {} let customers in", recorded.header.id)))
        .collect();
    if since::jobs_are_off(happened).is_ok_and(|off| off) && recovered_wholly(recorded) {
        breaches.push((closed_at, "jobs were not started again".to_owned()));
    }
    breaches
}

/// No customer of the restored database is shown from a cache what that database does not hold.
fn nothing_gone_is_shown(happened: &Happened<'_>) -> Vec<Seen> {
    let (cloud, platform) = (happened.simulation.cloud(), happened.simulation.platform());
    let moved = happened.recoveries.iter().find(|recorded| opening(recorded).is_some());
    let Some(recorded) = moved else { return Vec::new() };
    let Some(let_in) = closed_since(recorded).and_then(|since| let_in(happened, since)) else {
        return Vec::new();
    };
    let gone: BTreeSet<Timestamp> = platform
        .acknowledged_and_lost(cloud, Timestamp::UNIX_EPOCH, let_in)
        .into_iter()
        .collect();
    let shown = platform.shown_from_cache();
    let mut shown = shown
        .iter()
        .filter(|shown| shown.at >= let_in && gone.contains(&shown.written_at));
    let first = shown.next().map(|shown| {
        let text = format!(
            "a cache showed order {} of {}, which {} took away",
            shown.id, shown.written_at, recorded.header.id
        );
        (shown.at, text)
    });
    first.into_iter().collect()
}

/// What does not begin with the plan's prefix is still in the cache.
fn other_keys_stay(happened: &Happened<'_>) -> Vec<Seen> {
    let cloud = happened.simulation.cloud();
    let sites = [&happened.plan.regions.primary, &happened.plan.regions.standby];
    let emptied = sites.into_iter().flat_map(|site| site.emptied_caches());
    let by_prefix = emptied.filter(
        |emptying| matches!(&emptying.keys, CacheKeys::Prefix(prefix) if !SESSION.starts_with(prefix.as_str())),
    );
    let gone = by_prefix.filter(|emptying| cloud.elasticache.get(&emptying.endpoint, SESSION).is_none());
    gone.map(|emptying| (cloud.now(), format!("{SESSION} is gone from {}", emptying.endpoint)))
        .collect()
}

/// The database that customers left takes no more writes, where it is called recovered.
fn left_is_read_only(happened: &Happened<'_>) -> Vec<Seen> {
    let (cloud, plan) = (happened.simulation.cloud(), happened.plan);
    let moved = moved_customers(happened).filter(|(recorded, _)| recovered_wholly(recorded));
    let Some((recorded, closed_at)) = moved else {
        return Vec::new();
    };
    let setting = "SELECT current_setting('default_transaction_read_only')";
    let left = plan.cluster_arn(&plan.regions.primary);
    let region = &plan.regions.primary.region;
    match cloud.rds.execute(cloud, region, &left, setting, &BTreeMap::new()) {
        Ok(rows) if rows.rows != [[Value::Text("on".to_owned())]] => {
            vec![(closed_at, format!("{left} takes writes after {}", recorded.header.id))]
        }
        _ => Vec::new(),
    }
}

/// What the ledger has is not in the database that customers moved to.
fn the_erased_stay_erased(happened: &Happened<'_>) -> Vec<Seen> {
    let has_ledger = !happened.plan.database.after_restore.ledger.is_empty();
    let brought_back = moved_customers(happened)
        .filter(|_| has_ledger && since::holds_the_erased(happened).is_ok_and(|held| held))
        .map(|(recorded, closed_at)| {
            let text = format!("{} brought account {} back", recorded.header.id, since::ERASED);
            (closed_at, text)
        });
    brought_back.into_iter().collect()
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
