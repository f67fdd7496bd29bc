//! What goes on beside the customers, and what a database that goes back in time forgets of it: a job that runs by itself, and an
//! account that is erased.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shared::plan::Plan;
use shared::record::{LedgerEntry, Record};
use simulator::cloud::Cloud;
use simulator::database::{Rows, Value};
use simulator::workload::Platform;

use super::data::run;
use crate::happened::Happened;
use crate::world::World;

/// How often a job that is on runs.
const RUNS_EVERY: Duration = Duration::from_secs(10);
/// The account that is erased when the data are spoilt.
pub(super) const ERASED: i64 = 7;

/// Makes the tables, with everything on and nobody erased, and lets SQLite's statements stand in for the plan's. Errors: a text.
pub fn set_up(cloud: &Cloud, platform: &Platform, plan: &Plan) -> Result<(), String> {
    for sql in [
        "CREATE TABLE jobs (name TEXT PRIMARY KEY, active BIGINT)",
        "CREATE TABLE job_runs (ran_ms BIGINT)",
        "CREATE TABLE accounts (id BIGINT PRIMARY KEY)",
        "INSERT INTO accounts (id) VALUES (1), (7), (9)",
    ] {
        run(cloud, platform, plan, sql)?;
    }
    let after = &plan.database.after_restore;
    for job in &after.jobs {
        let name = job.name.replace('\'', "''");
        run(
            cloud,
            platform,
            plan,
            &format!("INSERT INTO jobs (name, active) VALUES ('{name}', 1)"),
        )?;
        for (sql, active) in [(&job.stop, 0), (&job.start, 1)] {
            let instead = format!("UPDATE jobs SET active = {active} WHERE name = '{name}'");
            cloud.rds.stand_in(sql, &instead);
        }
    }
    for kind in &after.ledger {
        let one = "WHERE id = CAST(:id AS integer)";
        cloud
            .rds
            .stand_in(&kind.statement, &format!("DELETE FROM accounts {one}"));
        cloud
            .rds
            .stand_in(&kind.remains, &format!("SELECT id FROM accounts {one}"));
    }
    Ok(())
}

/// Erases an account, and writes it down in the ledger first, as the platform does. A plan without kinds has no ledger.
pub(super) async fn erase(world: &World<'_>) -> Result<(), String> {
    let Some(kind) = world.plan.database.after_restore.ledger.first() else {
        return Ok(());
    };
    let region = &world.plan.regions.primary.region;
    let entry = LedgerEntry {
        key: format!("{}#{ERASED}", world.now()),
        kind: kind.kind.clone(),
        values: BTreeMap::from([("id".to_owned(), ERASED.to_string())]),
    };
    let record = Record::in_region(&world.simulation.aws_in("platform", region), region);
    if record.note_ledger(&world.plan.workload, &entry).await.is_ok() {
        let sql = format!("DELETE FROM accounts WHERE id = {ERASED}");
        run(world.cloud(), world.simulation.platform(), world.plan, &sql)?;
    }
    Ok(())
}

/// Jobs run for ever in each cluster of the Region in which one is on, whoever uses that.
pub(super) async fn run_jobs(cloud: Arc<Cloud>, platform: Arc<Platform>, region: String) {
    loop {
        tokio::time::sleep(RUNS_EVERY).await;
        if !cloud.runs(&region) || platform.is_idle() {
            continue;
        }
        for cluster in cloud.rds.clusters_in(&region) {
            let runs = "INSERT INTO job_runs (ran_ms) SELECT :now FROM jobs WHERE active = 1 LIMIT 1";
            let now = BTreeMap::from([("now".to_owned(), Value::Integer(cloud.now().as_millisecond()))]);
            // One that takes no writes, or has no instance, runs no job.
            drop(cloud.rds.execute(&cloud, &region, &cluster, runs, &now));
        }
    }
}

/// What a statement finds in the database that customers use at the end. Errors: a text, where it does not say.
fn found(happened: &Happened<'_>, sql: &str) -> Result<Vec<Value>, String> {
    let (cloud, platform) = (happened.simulation.cloud(), happened.simulation.platform());
    let Rows { rows, .. } = run(cloud, platform, happened.plan, sql)?;
    Ok(rows.into_iter().flatten().collect())
}

/// When jobs ran in the database that customers use, after `since`. Errors: a text, where it does not say.
pub(super) fn runs_since(happened: &Happened<'_>, since: Timestamp) -> Result<Vec<Timestamp>, String> {
    let at = |value| match value {
        Value::Integer(ms) => Timestamp::from_millisecond(ms).ok(),
        _ => None,
    };
    let all = found(happened, "SELECT ran_ms FROM job_runs ORDER BY ran_ms")?;
    Ok(all.into_iter().filter_map(at).filter(|at| *at > since).collect())
}

/// Whether a job is off in the database that customers use. Errors: a text, where it does not say.
pub(super) fn jobs_are_off(happened: &Happened<'_>) -> Result<bool, String> {
    Ok(!found(happened, "SELECT name FROM jobs WHERE active = 0")?.is_empty())
}

/// Whether the database that customers use holds the account that was erased. Errors: a text, where it does not say.
pub(super) fn holds_the_erased(happened: &Happened<'_>) -> Result<bool, String> {
    Ok(!found(happened, &format!("SELECT id FROM accounts WHERE id = {ERASED}"))?.is_empty())
}
