//! `drctl snapshot`: a manual snapshot of the cluster that takes writes, before a risky change.

use shared::plan::Plan;
use shared::snapshot::{Snapshot, identifier, take};

use crate::account;
use crate::args::SnapshotArgs;
use crate::output::{Exit, Output, one_line};

/// Takes a snapshot in the real AWS, and waits for it.
pub(crate) fn run(args: &SnapshotArgs, plan: &Plan, output: &mut Output) -> Exit {
    let sites = [&plan.regions.primary, &plan.regions.standby];
    if let Some(why) = sites
        .iter()
        .find_map(|site| identifier(&site.cluster, &args.name).err())
    {
        output.error(one_line(&why));
        return Exit::WrongUse;
    }
    account::in_its_account(plan, output, async |aws, _, output| {
        let mut said = String::new();
        let seen = |snapshot: &Snapshot| {
            let progress = progress(snapshot);
            if progress != said {
                output.wrapped(&progress, 2);
                said = progress;
            }
        };
        match take(aws, plan, &args.name, async |time| tokio::time::sleep(time).await, seen).await {
            Ok(snapshot) => {
                output.wrapped(ready(&snapshot), 2);
                Exit::Success
            }
            Err(error) => {
                output.error(one_line(&error));
                Exit::Failure
            }
        }
    })
}

fn progress(snapshot: &Snapshot) -> String {
    let percent = snapshot
        .percent
        .map_or_else(String::new, |percent| format!(", {percent} %"));
    format!(
        "{} in {}: {}{percent}",
        one_line(&snapshot.name),
        snapshot.region,
        one_line(&snapshot.status)
    )
}

fn ready(snapshot: &Snapshot) -> String {
    let Snapshot {
        name, region, cluster, ..
    } = snapshot;
    let of = match snapshot.taken_at {
        Some(at) => format!("as it was at {at:.0}"),
        None => "at a time that AWS does not say".to_owned(),
    };
    format!(
        "Snapshot {name} in {region} has cluster {cluster} {of}. It can be restored, and nothing deletes it by itself."
    )
}
