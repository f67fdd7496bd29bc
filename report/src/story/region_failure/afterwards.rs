//! What remains to be done after the workload has moved from one Region to another.

use serde_json::Value;
use shared::measure::RpoStatus;
use shared::record::{Closing, ResourceKind};

use crate::account::Account;
use crate::commands::is_plain;
use crate::page::{Text, Todo};
use crate::words::length;

pub(super) fn lost_writes(account: &Account, closing: &Closing) -> Vec<Todo> {
    let (achieved, other) = (&closing.achieved, account.other());
    let mut list = Vec::new();
    match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::Unmeasured, _) => list.push(Todo::new(Text::default().strong("Find out what was lost. ").and(
            format!(
                "It was not measured: compare the data of {other}, as soon as it can be read, with what is here, and with \
                 what customers report."
            ),
        ))),
        (RpoStatus::Measured, Some(seconds)) if seconds > 0.0 => list.push(Todo::new(format!(
            "What was written in about the last {} before the loss is not here. Compare the data of {other}, as soon as \
             it can be read, with what customers report.",
            length(seconds)
        ))),
        _ => {}
    }
    if let Some(seconds) = achieved.old_side_wrote_seconds {
        list.push(Todo::new(
            Text::default()
                .strong(format!("Bring over what {other} went on writing. "))
                .and(format!(
                    "It took writes for at least {} after the decision; they are there and not here. Its data is replaced \
                     when it is synchronised again: keep a copy before.",
                    length(seconds)
                )),
        ));
    }
    list
}

/// What remains after the workload has moved from one Region to another.
pub(super) fn afterwards(account: &Account) -> Vec<Todo> {
    let (here, other) = (account.here(), account.other());
    match account.found("way").and_then(Value::as_str) {
        Some("failover") => vec![
            nowhere_to_go(account, here, other),
            Todo::new(Text::default().strong("Keep the old data. ").and(format!(
                "What {other} took and did not hand over is only there, and is replaced when {other} is synchronised \
                 again. Aurora tries to keep a snapshot of it, which expires: copy it."
            )))
            .by("whoever is on call, with permission for rds:DescribeDBClusterSnapshots and rds:CopyDBClusterSnapshot")
            .run(
                "Look",
                is_plain(other).then(|| {
                    format!(
                        "aws rds describe-db-cluster-snapshots --region {other} --query \
                         \"DBClusterSnapshots[?starts_with(DBClusterSnapshotIdentifier, \
                         'rds:unplanned-global-failover')].[DBClusterSnapshotIdentifier,SnapshotCreateTime]\""
                    )
                }),
            )
            .run(
                "Copy, with the name that it says in place of SNAPSHOT",
                is_plain(other).then(|| {
                    format!(
                        "aws rds copy-db-cluster-snapshot --region {other} --source-db-cluster-snapshot-identifier \
                         SNAPSHOT --target-db-cluster-snapshot-identifier kept-{}",
                        account.header.opened_at.strftime("%Y%m%d")
                    )
                }),
            )
            .done("the copy is listed as available."),
            Todo::new(
                Text::default()
                    .strong("Nothing watches the Region that serves now. ")
                    .and(format!(
                        "The alarms would move the service to {here}, where it already is. If that lasts, keep them from \
                         starting anything."
                    )),
            )
            .by("whoever is on call")
            .run("Switch them off", Some(format!("drctl automation off --reason '{here} serves'")).filter(|_| is_plain(here)))
            .run("Look", "drctl automation status".to_owned())
            .done("both Regions say off. Exit status 1 means that one did not answer: repeat it then."),
            way_back(account, here, other),
        ],
        Some("switchover") => vec![
            Todo::new(format!(
                "The workload was moved to {here}; {other} is shut off and follows. See that alarms start recoveries where \
                 you want them."
            ))
            .by("whoever planned the move")
            .run("Look", "drctl automation status".to_owned()),
        ],
        _ => Vec::new(),
    }
}

fn nowhere_to_go(account: &Account, here: &str, other: &str) -> Todo {
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
    Todo::new(Text::default().strong("There is nowhere to go now. ").and(format!(
        "Until {other} is synchronised again, the loss of {here} has no second Region. That begins by itself once {other} \
         is healthy, and takes minutes to hours."
    )))
    .by("whoever is on call, with permission for rds:DescribeGlobalClusters")
    .run("Look, now and then", look)
    .done(format!("the cluster in {other} says connected."))
}

/// The planned move back. It is started in the Region that the workload moves to.
fn way_back(account: &Account, here: &str, other: &str) -> Todo {
    let scenario = account.header.scenario.name();
    let start = is_plain(other).then(|| format!("drctl start {scenario} --want intent=switchover --region {other}"));
    Todo::new(Text::default().strong("Plan the way back, ").and(format!(
        "in a quiet hour, once {other} is synchronised: a planned move (switchover), which loses nothing. It is the same \
         machine, started in {other}."
    )))
    .by(format!("whoever is on call, with whoever speaks for the workload; with the policy operators of {other}"))
    .run("Rehearse it; this changes nothing real", "drctl rehearse region-return".to_owned())
    .run("Move back", start)
    .done(format!(
        "the message in {other} says recovered; then drctl automation on, and {here} follows."
    ))
}
