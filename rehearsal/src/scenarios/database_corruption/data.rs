//! The data that somebody's mistake spoils, in the cluster that customers use.

use std::collections::BTreeMap;

use shared::plan::Plan;
use simulator::cloud::Cloud;
use simulator::database::Value;

/// What SQLite answers in place of a check of the plan, which is PostgreSQL's: what it finds where the data are right, as long as they
/// are.
pub(super) fn stand_in(finds: &str) -> String {
    let finds = finds.replace('\'', "''");
    format!("SELECT CASE WHEN EXISTS (SELECT 1 FROM ledger WHERE amount < 0) THEN 'wrong' ELSE '{finds}' END")
}

/// The primary Region, and the cluster that customers use there.
pub(super) fn used(cloud: &Cloud, plan: &Plan) -> Option<(String, String)> {
    let region = plan.regions.primary.region.clone();
    let function = cloud.lambda.function(&region, &plan.functions.first()?.name)?;
    let variables = function.environment_of_customers()?;
    let cluster = variables.get(shared::plan::CLUSTER_VARIABLE)?.clone();
    Some((region, cluster))
}

pub(super) fn write(cloud: &Cloud, plan: &Plan, sql: &str) -> Result<(), String> {
    let (region, cluster) = used(cloud, plan).ok_or("no function names a cluster")?;
    let written = cloud.rds.execute(cloud, &region, &cluster, sql, &BTreeMap::new());
    written.map(drop).map_err(|refusal| refusal.message)
}

/// Whether the data that customers use are right; nothing where the database does not say.
pub(super) fn are_right(cloud: &Cloud, plan: &Plan) -> Option<bool> {
    let (region, cluster) = used(cloud, plan)?;
    let sql = stand_in("right");
    let rows = cloud
        .rds
        .execute(cloud, &region, &cluster, &sql, &BTreeMap::new())
        .ok()?;
    let found = rows.rows.first()?.first()?;
    Some(*found == Value::Text("right".to_owned()))
}
