//! The data that somebody's mistake spoils, in the cluster that customers use.

use std::collections::BTreeMap;

use shared::plan::Plan;
use simulator::cloud::Cloud;
use simulator::database::{Rows, Value};
use simulator::workload::Platform;

/// What SQLite answers in place of a check of the plan, which is PostgreSQL's: what it finds where the data are right, as long as they
/// are.
pub(super) fn stand_in(finds: &str) -> String {
    let finds = finds.replace('\'', "''");
    format!("SELECT CASE WHEN EXISTS (SELECT 1 FROM ledger WHERE amount < 0) THEN 'wrong' ELSE '{finds}' END")
}

/// Runs a statement in the cluster that customers use in the primary Region. Errors: a text.
pub(super) fn run(cloud: &Cloud, platform: &Platform, plan: &Plan, sql: &str) -> Result<Rows, String> {
    let region = &plan.regions.primary.region;
    let cluster = platform.cluster_of_customers(cloud, region);
    let cluster = cluster.ok_or("no function names a cluster")?;
    let rows = cloud.rds.execute(cloud, region, &cluster, sql, &BTreeMap::new());
    rows.map_err(|refusal| refusal.message)
}

/// Whether the data that customers use are right; nothing where the database does not say.
pub(super) fn are_right(cloud: &Cloud, platform: &Platform, plan: &Plan) -> Option<bool> {
    let rows = run(cloud, platform, plan, &stand_in("right")).ok()?;
    let found = rows.rows.first()?.first()?;
    Some(*found == Value::Text("right".to_owned()))
}
