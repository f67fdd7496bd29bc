//! The instances of clusters.

use jiff::Timestamp;

use super::parameters::{ENGINE, Parameters, list, number, pairs, take_only};
use super::resources::{Instance, Quota};
use super::settings::tags_xml;
use super::state::{Cluster, State};
use crate::aws::refusal::Refusal;
use crate::aws::wire::element;
use crate::environment::Environment;

/// The parameters of `CreateDBInstance` that are heeded here.
const OF_CREATION: [&str; 11] = [
    "DBInstanceIdentifier",
    "DBClusterIdentifier",
    "DBInstanceClass",
    "Engine",
    "AvailabilityZone",
    "PromotionTier",
    "DBParameterGroupName",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "EnablePerformanceInsights",
    "Tags",
];

impl Cluster {
    /// The instance that takes writes: the first of those that work, in the order in which they were made.
    pub(super) fn writer(&self, now: Timestamp) -> Option<&Instance> {
        let works = |instance: &&Instance| instance.works_from <= now && instance.gone_from.is_none();
        self.instances
            .iter()
            .filter(works)
            .min_by_key(|instance| instance.works_from)
    }
}

impl State {
    /// Takes out what has been deleted by `now`.
    pub(super) fn end_instances(&mut self, now: Timestamp) {
        for cluster in self.clusters.values_mut() {
            cluster
                .instances
                .retain(|instance| instance.gone_from.is_none_or(|at| now < at));
        }
    }

    pub(super) fn describe_instances(
        &self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(parameters, &["DBInstanceIdentifier", "Filters"])?;
        let wanted = parameters.get("DBInstanceIdentifier");
        let of_clusters = cluster_filter(parameters)?;
        let here = self.clusters.iter().filter(|(arn, cluster)| {
            let is_wanted = |name: &String| *name == cluster.id || name == *arn;
            cluster.region == region && of_clusters.as_ref().is_none_or(|names| names.iter().any(is_wanted))
        });
        let found: String = here
            .flat_map(|(_, cluster)| cluster.instances.iter().map(move |instance| (cluster, instance)))
            .filter(|(_, instance)| wanted.is_none_or(|wanted| *wanted == instance.id))
            .map(|(cluster, instance)| instance_xml(environment, cluster, instance))
            .collect();
        match wanted {
            Some(id) if found.is_empty() => Err(not_found(id)),
            _ => Ok(format!("<DBInstances>{found}</DBInstances>")),
        }
    }

    /// Sources: RDS API Reference, `CreateDBInstance`; that the cluster has to be there first, Aurora User Guide, "Restoring a DB
    /// cluster to a specified time".
    pub(super) fn create_instance(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(parameters, &OF_CREATION)?;
        let text = |name: &str| parameters.get(name).cloned();
        let id = text("DBInstanceIdentifier").unwrap_or_default();
        let taken = self
            .clusters
            .values()
            .filter(|cluster| cluster.region == region)
            .any(|cluster| cluster.instances.iter().any(|instance| instance.id == id));
        if taken {
            let message = format!("DB instance already exists: {id}");
            return Err(Refusal(400, "DBInstanceAlreadyExists", message));
        }
        self.within_quota(environment, Quota::Instances, region)?;
        let now = environment.now();
        let creation = environment.draw("instance-creation", &environment.timings.instance_creation);
        if text("Engine").as_deref() != Some(ENGINE) {
            let message = format!("The engine of every cluster is {ENGINE}");
            return Err(Refusal(400, "InvalidParameterCombination", message));
        }
        let cluster = self.named_mut(region, &text("DBClusterIdentifier").unwrap_or_default())?;
        cluster.is_available()?;
        let default = Instance::working(&id, region, cluster.instances.len() as u8);
        let instance = Instance {
            class: text("DBInstanceClass").unwrap_or_default(),
            tier: number(parameters, "PromotionTier")?.unwrap_or(1),
            zone: text("AvailabilityZone").unwrap_or(default.zone),
            parameter_group: text("DBParameterGroupName").unwrap_or(default.parameter_group),
            monitoring_interval: number(parameters, "MonitoringInterval")?.unwrap_or(0),
            monitoring_role: text("MonitoringRoleArn"),
            performance_insights: text("EnablePerformanceInsights").as_deref() == Some("true"),
            tags: pairs(parameters, "Tags.Tag", "Key", "Value"),
            works_from: now.checked_add(creation).unwrap_or(now),
            ..default
        };
        if cluster.instances.is_empty() {
            let ready = environment.draw("data-api-ready", &environment.timings.data_api_ready);
            cluster.takes_statements_from = instance.works_from.checked_add(ready).unwrap_or(instance.works_from);
        }
        let shown = instance_xml(environment, cluster, &instance);
        cluster.instances.push(instance);
        Ok(shown)
    }

    pub(super) fn delete_instance(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(parameters, &["DBInstanceIdentifier", "SkipFinalSnapshot"])?;
        let id = parameters.get("DBInstanceIdentifier").cloned().unwrap_or_default();
        let now = environment.now();
        let deletion = environment.draw("deletion", &environment.timings.deletion);
        let here = self.clusters.values_mut().filter(|cluster| cluster.region == region);
        let mut found = here.filter(|cluster| cluster.instances.iter().any(|instance| instance.id == id));
        let cluster = found.next().ok_or_else(|| not_found(&id))?;
        let position = cluster.instances.iter().position(|instance| instance.id == id);
        let index = position.ok_or_else(|| not_found(&id))?;
        let status = cluster.instances[index].status(now);
        if status != "available" {
            let message = format!("Instance {id} is {status}");
            return Err(Refusal(400, "InvalidDBInstanceState", message));
        }
        cluster.instances[index].gone_from = now.checked_add(deletion).ok();
        Ok(instance_xml(environment, cluster, &cluster.instances[index]))
    }
}

/// The values of the filter by cluster; nothing without one. Errors: another filter.
fn cluster_filter(parameters: &Parameters) -> Result<Option<Vec<String>>, Refusal> {
    match parameters.get("Filters.Filter.1.Name").map(String::as_str) {
        None => Ok(None),
        Some("db-cluster-id") => Ok(Some(list(parameters, "Filters.Filter.1.Values.Value"))),
        Some(other) => Err(Refusal(
            501,
            "NotSimulated",
            format!("the simulated RDS does not know the filter {other}"),
        )),
    }
}

fn not_found(id: &str) -> Refusal {
    Refusal(404, "DBInstanceNotFound", format!("DBInstance {id} not found."))
}

fn instance_xml(environment: &Environment, cluster: &Cluster, instance: &Instance) -> String {
    let arn = format!(
        "arn:aws:rds:{}:{}:db:{}",
        cluster.region, environment.account, instance.id
    );
    let group = format!(
        "<DBParameterGroups><DBParameterGroup>{}{}</DBParameterGroup></DBParameterGroups>",
        element("DBParameterGroupName", &instance.parameter_group),
        element("ParameterApplyStatus", "in-sync")
    );
    let role = instance.monitoring_role.as_ref();
    let role = role.map_or_else(String::new, |role| element("MonitoringRoleArn", role));
    format!(
        "<DBInstance>{}{}{}{}{}{}{}{group}{}{role}{}{}{}</DBInstance>",
        element("DBInstanceIdentifier", &instance.id),
        element("DBInstanceArn", &arn),
        element("DBInstanceClass", &instance.class),
        element("DBInstanceStatus", instance.status(environment.now())),
        element("DBClusterIdentifier", &cluster.id),
        element("AvailabilityZone", &instance.zone),
        element("PromotionTier", &instance.tier.to_string()),
        element("MonitoringInterval", &instance.monitoring_interval.to_string()),
        element("PerformanceInsightsEnabled", &instance.performance_insights.to_string()),
        element("Engine", ENGINE),
        tags_xml(&instance.tags),
    )
}
