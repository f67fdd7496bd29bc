//! What remains to be done after the workload has moved from one Region to another.

use serde_json::Value;
use shared::measure::RpoStatus;
use shared::record::{Closing, ResourceKind};

use crate::account::Account;
use crate::commands::is_plain;
use crate::page::Todo;
use crate::words::length;

pub(super) fn lost_writes(account: &Account, closing: &Closing) -> Vec<Todo> {
    let (achieved, other) = (&closing.achieved, account.other());
    let mut list = Vec::new();
    let compare = format!(
        "Compare the data of {other}, as soon as it can be read, with the data here and with what customers report."
    );
    match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::Unmeasured, _) => {
            list.push(Todo::today("Find out what was lost").about(format!("Nobody measured it. {compare}")));
        }
        (RpoStatus::Measured, Some(seconds)) if seconds > 0.0 => list.push(
            Todo::today(format!("Find the lost writes of about {}", length(seconds))).about(format!(
                "They were written before the impact, and are not here. {compare}"
            )),
        ),
        _ => {}
    }
    if let Some(seconds) = achieved.old_side_wrote_seconds {
        list.push(Todo::now(format!("Copy the writes that {other} accepted later")).about(format!(
            "It accepted writes for at least {} after the decision. They are there and not here. Aurora replaces its data \
             when it synchronises again: keep a copy first.",
            length(seconds)
        )));
    }
    list
}

/// What remains after the workload has moved from one Region to another.
pub(super) fn afterwards(account: &Account) -> Vec<Todo> {
    let (here, other) = (account.here(), account.other());
    match account.found("way").and_then(Value::as_str) {
        Some("failover") => vec![
            old_data(account, other),
            no_standby(account, here, other),
            watching(here, other),
            way_back(account, here, other),
        ],
        Some("switchover") => vec![
            Todo::today("Check that alarms start recoveries where you want them")
                .about(format!("The workload moved to {here}. {other} is blocked and follows."))
                .by("whoever planned the move")
                .run("Look", "drctl automation status".to_owned()),
        ],
        _ => Vec::new(),
    }
}

/// What only the lost Region has.
fn old_data(account: &Account, other: &str) -> Todo {
    let look = format!(
        "aws rds describe-db-cluster-snapshots --region {other} --query \
         \"DBClusterSnapshots[?starts_with(DBClusterSnapshotIdentifier, \
         'rds:unplanned-global-failover')].[DBClusterSnapshotIdentifier,SnapshotCreateTime]\""
    );
    let copy = format!(
        "aws rds copy-db-cluster-snapshot --region {other} --source-db-cluster-snapshot-identifier SNAPSHOT \
         --target-db-cluster-snapshot-identifier kept-{}",
        account.header.opened_at.strftime("%Y%m%d")
    );
    Todo::now(format!("Watch for {other} to answer, then copy its old data"))
        .about(format!(
            "What {other} accepted and did not replicate is only there. Aurora replaces it when {other} synchronises \
             again. Aurora tries to keep a snapshot of it, which expires."
        ))
        .by("whoever is on call, with permission for rds:DescribeDBClusterSnapshots and rds:CopyDBClusterSnapshot")
        .run("Look", is_plain(other).then_some(look))
        .run(
            "Copy it; replace SNAPSHOT with the name of the snapshot",
            is_plain(other).then_some(copy),
        )
        .done("the copy is listed as available.")
}

fn no_standby(account: &Account, here: &str, other: &str) -> Todo {
    let mut changed = account.undo.iter().map(|undo| &undo.resource);
    let global = changed.find(|resource| resource.kind == ResourceKind::GlobalDatabase);
    let look = global
        .map(|global| global.name.as_str())
        .filter(|global| is_plain(global) && is_plain(here))
        .map(|global| {
            format!(
                "aws rds describe-global-clusters --region {here} --global-cluster-identifier {global} --query \
                 'GlobalClusters[].GlobalClusterMembers[].[DBClusterArn,IsWriter,SynchronizationStatus]'"
            )
        });
    Todo::today(format!("Check that {other} becomes a standby again"))
        .about(format!(
            "No standby until {other} has resynchronised. That begins by itself once {other} is healthy, and takes minutes \
             to hours."
        ))
        .by("whoever is on call, with permission for rds:DescribeGlobalClusters")
        .run("Look, now and then", look)
        .done(format!("the cluster in {other} says connected."))
}

/// The Region that was lost is the one that watches now.
fn watching(here: &str, other: &str) -> Todo {
    Todo::today(format!("Check that {other} watches {here}"))
        .about(format!(
            "Each Region watches the other one while that one serves. Until {other} works again, no alarm there sees a loss \
             of {here}. Its alarm asks people, and moves nothing unasked."
        ))
        .by("whoever is on call")
        .run("Look", "drctl automation status".to_owned())
        .done(format!("{other} answers and says on. Exit status 1 means that a Region did not answer: repeat it then."))
}

/// The planned move back. It is started in the Region that the workload moves to.
fn way_back(account: &Account, here: &str, other: &str) -> Todo {
    let scenario = account.header.scenario.name();
    let start = is_plain(other).then(|| format!("drctl start {scenario} --want intent=switchover --region {other}"));
    Todo::this_week(format!("Plan the way back to {other}"))
        .about(format!(
            "Choose a quiet hour after {other} has resynchronised. It is a planned move (switchover), which loses nothing: \
             the same machine, started in {other}."
        ))
        .by(format!("whoever is on call, with whoever speaks for the workload; with the policy operators of {other}"))
        .run("Rehearse it; this changes nothing real", "drctl rehearse region-return".to_owned())
        .run("Move back", start)
        .done(format!("the message in {other} says recovered; then {here} follows."))
}
