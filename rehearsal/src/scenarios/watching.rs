//! What watches the platform whatever happens to it: whether customers are served, seen from outside, and how far replication is behind.

use std::time::Duration;

use serde_json::json;
use shared::plan::{Plan, SiteName};
use shared::scenario::Scenario;
use shared::slices::Slices;
use shared::step::Step;
use simulator::aws::cloudwatch::{Alarm, Comparison, CompositeAlarm, Metric, MissingData, Statistic, Suppressor};
use simulator::aws::events::Schedule;
use simulator::simulation::function_arn;

use crate::deployment::{Watching, alarm_rule, own_metric};

/// Minutes that must be bad before an alarm is raised: one bad minute may be a release.
const BAD_MINUTES: u32 = 3;
/// Of how many minutes, for the outside probe: one that was good by chance delays nothing.
const PROBED_MINUTES: u32 = 4;
/// Of how many minutes, for replication, whose lag comes and goes.
const REPLICATED_MINUTES: u32 = 5;
/// How long the alarm waits for the maintenance alarm: not at all, as a person sets that one before, and the least that there
/// is a documented behaviour for (`docs/decisions/0017-one-alarm-from-two.md`).
const WAIT: Duration = Duration::from_secs(1);
/// How long the alarm has to go to OK after a maintenance ended (CloudWatch User Guide, "Suppressing composite alarm
/// actions", recommends a minute).
const EXTENSION: Duration = Duration::from_secs(60);
/// Of how many minutes one counts in which this Region served: a move takes the name along minutes after the database.
const SERVED_MINUTES: u32 = 10;
/// What nobody publishes, so that the maintenance alarm stays as a person set it.
const MAINTENANCE_METRIC: &str = "Maintenance";

/// The alarms that start a recovery together, all in one Region: the one that watches while the other one serves.
#[derive(Clone, Debug)]
pub struct Alarms {
    /// Customers are not served, as the outside probe says. Without its word: insufficient data.
    pub probe: Alarm,
    /// Replication is further behind than the RPO target, or says nothing. In the standby Region alone.
    pub replication: Option<Alarm>,
    /// This Region serves, or did a moment ago: it has nothing to watch.
    pub serves: Alarm,
    /// A person sets it for as long as nothing must start, and nothing else does.
    pub maintenance: Alarm,
    /// The plan's alarm, whose events start the recovery.
    pub composite: CompositeAlarm,
}

/// What watches the platform, the standby Region first, and the probe with the observer. Errors: a text, if the plan has no alarm.
pub(crate) fn watching(plan: &Plan) -> Result<Vec<Watching>, String> {
    let both = [SiteName::Standby, SiteName::Primary];
    both.into_iter().map(|name| watching_in(plan, name)).collect()
}

fn watching_in(plan: &Plan, name: SiteName) -> Result<Watching, String> {
    let site = plan.regions.named(name);
    let region = &site.region;
    let alarms = alarms(plan, name)?;
    let slices = Slices::new(plan, Scenario::REGION_FAILURE, region)?;
    let cluster = json!({ "global_cluster": plan.database.global_cluster, "cluster_arn": plan.cluster_arn(site) });
    // The observer belongs to neither, and looks for the standby Region.
    let observer = plan.observer.as_ref().filter(|_| name == SiteName::Standby);
    let observing = observer.map(|observer| probe_each_minute(plan, &slices, &observer.region, None));
    Ok(Watching {
        rule: alarm_rule(plan, region, &alarms.composite.name),
        flapping: alarms.probe.name.clone(),
        region: region.clone(),
        alarms: [alarms.probe, alarms.serves, alarms.maintenance]
            .into_iter()
            .chain(alarms.replication)
            .collect(),
        composite_alarms: vec![alarms.composite],
        schedules: [probe_each_minute(plan, &slices, region, Some(&cluster))]
            .into_iter()
            .chain(observing)
            .collect(),
    })
}

fn probe_each_minute(plan: &Plan, slices: &Slices, region: &str, cluster: Option<&serde_json::Value>) -> Schedule {
    let mut input = json!({ "health": slices.health, "probe": slices.probe });
    if let Some(cluster) = cluster {
        input["cluster"] = cluster.clone();
    }
    Schedule {
        name: "probe-health".to_owned(),
        region: region.to_owned(),
        every: Duration::from_secs(60),
        target_arn: function_arn(&plan.account, region, probe_health::ProbeHealth::NAME),
        input,
    }
}

/// The alarms of one Region: that of the plan that may start most, which is in both (`docs/decisions/0031-who-watches.md`), and
/// those that it is made of (`docs/decisions/0017-one-alarm-from-two.md`). Errors: a text, if the plan has none.
pub fn alarms(plan: &Plan, watches: SiteName) -> Result<Alarms, String> {
    let (site, scenario) = (plan.regions.named(watches), Scenario::REGION_FAILURE);
    let alarm = plan
        // What an alarm starts is for `start-recovery` to say: one that asks first, or starts nothing, is made all the same.
        .alarm(scenario, SiteName::Standby)
        .ok_or_else(|| {
            format!(
                "no alarm in {} is for {scenario}; add one to the plan's alarms",
                plan.regions.standby.region
            )
        })?;
    let name = &alarm.name;
    let rpo = plan.scenarios.get(&scenario).and_then(|policy| policy.objectives.rpo);
    let rpo = rpo.ok_or_else(|| format!("the plan has no RPO for {scenario}; add objectives/rpo to its policy"))?;
    let lag_metric = |dimensions: &[(&str, &str)]| Metric {
        namespace: "AWS/RDS".to_owned(),
        name: "AuroraGlobalDBRPOLag".to_owned(),
        dimensions: dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let a_minute = Duration::from_secs(60);
    let probe = Alarm {
        name: format!("{name}-probe"),
        description: format!("{} is not healthy, seen from {}", plan.dns.name, site.region),
        metric: own_metric(plan, &plan.probe.metric),
        or_metrics: Vec::new(),
        statistic: Statistic::Minimum,
        period: a_minute,
        evaluation_periods: PROBED_MINUTES,
        datapoints_to_alarm: BAD_MINUTES,
        threshold: 1.0,
        comparison: Comparison::LessThan,
        treat_missing_data: MissingData::Missing,
        actions_enabled: true,
    };
    let replication = Alarm {
        name: format!("{name}-replication"),
        description: format!(
            "replication to {} is more than {} behind, or says nothing",
            site.cluster, rpo.target
        ),
        metric: lag_metric(&[("DBClusterIdentifier", &site.cluster)]),
        or_metrics: vec![lag_metric(&[
            ("DBClusterIdentifier", &site.cluster),
            ("SourceRegion", &plan.regions.primary.region),
        ])],
        statistic: Statistic::Maximum,
        period: a_minute,
        evaluation_periods: REPLICATED_MINUTES,
        datapoints_to_alarm: BAD_MINUTES,
        threshold: rpo.target.as_std().as_millis() as f64,
        comparison: Comparison::GreaterThan,
        treat_missing_data: MissingData::Breaching,
        actions_enabled: true,
    };
    let replication = (watches == SiteName::Standby).then_some(replication);
    let serves = Alarm {
        name: format!("{name}-serves"),
        description: format!(
            "{} serves, or did within ten minutes: the other Region watches",
            site.region
        ),
        metric: own_metric(plan, probe_health::SERVES),
        or_metrics: Vec::new(),
        statistic: Statistic::Maximum,
        period: a_minute,
        evaluation_periods: SERVED_MINUTES,
        datapoints_to_alarm: 1,
        threshold: 0.0,
        comparison: Comparison::GreaterThan,
        treat_missing_data: MissingData::NotBreaching,
        actions_enabled: true,
    };
    let maintenance = Alarm {
        name: format!("{name}-maintenance"),
        description: format!("a person works on {}, and no recovery is to start", plan.workload),
        metric: own_metric(plan, MAINTENANCE_METRIC),
        or_metrics: Vec::new(),
        statistic: Statistic::Maximum,
        period: a_minute,
        evaluation_periods: 1,
        datapoints_to_alarm: 1,
        threshold: 0.0,
        comparison: Comparison::GreaterThan,
        treat_missing_data: MissingData::Ignore,
        actions_enabled: true,
    };
    let down = match &replication {
        Some(replication) => format!(
            r#"(ALARM("{}") OR (INSUFFICIENT_DATA("{}") AND ALARM("{}")))"#,
            probe.name, probe.name, replication.name
        ),
        None => format!(r#"ALARM("{}")"#, probe.name),
    };
    let composite = CompositeAlarm {
        name: name.clone(),
        description: format!(
            "{} is not served from the other Region, seen from {}",
            plan.dns.name, site.region
        ),
        rule: format!(r#"{down} AND NOT ALARM("{}")"#, serves.name),
        actions_enabled: true,
        suppressor: Some(Suppressor {
            alarm: maintenance.name.clone(),
            wait: WAIT,
            extension: EXTENSION,
        }),
    };
    Ok(Alarms {
        probe,
        replication,
        serves,
        maintenance,
        composite,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_is_made_of_the_probe_and_of_replication() {
        let plan: Plan = serde_saphyr::from_str(include_str!("../../../radiant.plan.yaml")).unwrap();
        let [watching, back] = watching(&plan).unwrap().try_into().unwrap();
        let alarms = alarms(&plan, SiteName::Standby).unwrap();
        assert_eq!(
            alarms.composite.rule,
            "(ALARM(\"radiant-unhealthy-from-outside-probe\") OR \
             (INSUFFICIENT_DATA(\"radiant-unhealthy-from-outside-probe\") AND \
             ALARM(\"radiant-unhealthy-from-outside-replication\"))) AND NOT \
             ALARM(\"radiant-unhealthy-from-outside-serves\")"
        );
        assert_eq!(
            back.composite_alarms[0].rule,
            "ALARM(\"radiant-unhealthy-from-outside-probe\") AND NOT ALARM(\"radiant-unhealthy-from-outside-serves\")"
        );
        assert_eq!(alarms.composite.name, plan.alarms[0].name);
        assert_eq!(
            watching.rule.pattern["detail"]["alarmName"],
            json!([alarms.composite.name])
        );
        assert_eq!(
            alarms.composite.suppressor.unwrap().alarm,
            "radiant-unhealthy-from-outside-maintenance"
        );
        let replication = alarms.replication.unwrap();
        assert_eq!(replication.threshold, 300_000.0);
        assert_eq!(
            replication.metric.dimensions["DBClusterIdentifier"],
            "radiant-dr-cluster"
        );
        assert_eq!(replication.or_metrics[0].dimensions["SourceRegion"], "us-east-1");
        assert_eq!(alarms.probe.metric.name, plan.probe.metric);
        assert_ne!(alarms.maintenance.metric.name, plan.probe.metric);
    }
}
