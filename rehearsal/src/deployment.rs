//! What is deployed beside the platform: the one list of steps, the machines, and what starts them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::aws::Aws;
use shared::plan::{Plan, SiteName};
use shared::recovery::{RECOVERY_MACHINE, Scenario};
use shared::slices::Slices;
use shared::step::{Caller, Change, Handler, Step, handler};
use simulator::aws::cloudwatch::{Alarm, Comparison, CompositeAlarm, Metric, MissingData, Statistic, Suppressor};
use simulator::aws::events::{InputTransformer, Rule, Schedule, Target, TargetInput};
use simulator::simulation::{Deployment, MakeHandler, function_arn, machine_arn};

/// Every step. A test holds this equal to the folders under `functions/`.
pub const STEPS: &[DeployedStep] = &[
    step::<activate_region::ActivateRegion>(),
    step::<announce::Announce>(),
    step::<assess_region::AssessRegion>(),
    step::<check_database::CheckDatabase>(),
    step::<check_dns::CheckDns>(),
    step::<check_health::CheckHealth>(),
    step::<close_recovery::CloseRecovery>(),
    step::<fence_region::FenceRegion>(),
    step::<open_recovery::OpenRecovery>(),
    step::<probe_health::ProbeHealth>(),
    step::<promote_database::PromoteDatabase>(),
    step::<record_approval::RecordApproval>(),
    step::<release_lock::ReleaseLock>(),
    step::<request_approval::RequestApproval>(),
    step::<start_recovery::StartRecovery>(),
    step::<stop_scenario::StopScenario>(),
    step::<switch_dns::SwitchDns>(),
    step::<unfence_region::UnfenceRegion>(),
    step::<write_report::WriteReport>(),
];

/// Every state machine, as it is deployed.
pub const MACHINES: &[(&str, &str)] = &[
    (RECOVERY_MACHINE, RECOVERY),
    (
        "region-switch",
        include_str!("../../statemachines/region-switch.asl.json"),
    ),
];

const RECOVERY: &str = include_str!("../../statemachines/recovery.asl.json");

/// A step, as it is deployed.
#[derive(Clone, Copy)]
pub struct DeployedStep {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Who invokes it.
    pub called_by: &'static [Caller],
    /// Everything that it may change.
    pub changes: &'static [Change],
    /// Makes its handler.
    pub make: MakeHandler,
    /// How long one invocation may take.
    pub time_limit: Duration,
}

const fn step<S: Step>() -> DeployedStep {
    DeployedStep {
        name: S::NAME,
        description: S::DESCRIPTION,
        called_by: S::CALLED_BY,
        changes: S::CHANGES,
        make: make::<S>,
        time_limit: S::TIME_LIMIT,
    }
}

fn make<S: Step>(aws: &Aws) -> Box<dyn Handler> {
    handler::<S>(aws)
}

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
/// What nobody publishes, so that the maintenance alarm stays as a person set it.
const MAINTENANCE_METRIC: &str = "Maintenance";

/// How often the lock is looked at, without an event.
const LOCK_LOOKED_AT_EVERY: Duration = Duration::from_secs(5 * 60);

/// The machines that recover from scenarios.
pub fn scenario_machines() -> Vec<&'static str> {
    Scenario::ALL.into_iter().filter_map(Scenario::machine).collect()
}

/// The names of all states of a machine that is deployed, those in branches and iterations included, in their order.
pub fn states_of(machine: &str) -> Vec<String> {
    let text = MACHINES
        .iter()
        .find(|(name, _)| *name == machine)
        .map(|(_, text)| *text);
    let machine: Value = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let mut names = Vec::new();
    names_in(&machine, &mut names);
    names
}

fn names_in(workflow: &Value, names: &mut Vec<String>) {
    for (name, state) in workflow["States"].as_object().into_iter().flatten() {
        names.push(name.clone());
        let branches = state["Branches"].as_array().into_iter().flatten();
        for nested in branches.chain(state.get("ItemProcessor")) {
            names_in(nested, names);
        }
    }
}

/// ARN of the recovery machine of a Region: what `start-recovery` is given.
pub fn recovery_machine(plan: &Plan, region: &str) -> String {
    machine_arn(&plan.account, region, RECOVERY_MACHINE)
}

/// What is deployed in both Regions, the standby Region's first; what watches the platform is there, and starts a
/// recovery from `scenario`, if `alarm_is_heard`. Errors: a text, if nothing in the plan starts it.
pub fn deployments(plan: &Plan, scenario: Scenario, alarm_is_heard: bool) -> Result<Vec<Deployment>, String> {
    let mut recovery = in_region(plan, &plan.regions.standby.region);
    let watching = watching(plan, scenario)?;
    let alarms = watching.alarms;
    recovery
        .alarms
        .extend([alarms.probe, alarms.replication, alarms.maintenance]);
    recovery.composite_alarms.push(alarms.composite);
    recovery.schedules.push(watching.schedule);
    if alarm_is_heard {
        recovery.rules.push(watching.rule);
    }
    Ok(vec![recovery, in_region(plan, &plan.regions.primary.region)])
}

/// Functions and machines, and what frees their lock, which are the same in both Regions.
fn in_region(plan: &Plan, region: &str) -> Deployment {
    Deployment {
        rules: vec![execution_ended(plan, region)],
        schedules: vec![look_at_lock(plan, region)],
        functions: STEPS.iter().map(|step| (step.name, step.make)).collect(),
        machines: MACHINES.to_vec(),
        substitutions: vec![("ApprovalUrl".to_owned(), approval_url(region))],
        ..Deployment::empty(region)
    }
}

/// Where people answer what they are asked.
fn approval_url(region: &str) -> String {
    format!("https://rehearsed.lambda-url.{region}.on.aws/")
}

/// Frees the lock when an execution ends without its last state. Best-effort, as all events of Step Functions are.
fn execution_ended(plan: &Plan, region: &str) -> Rule {
    Rule {
        name: "execution-ended".to_owned(),
        pattern: json!({
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "status": ["ABORTED", "TIMED_OUT", "FAILED"],
                "stateMachineArn": [recovery_machine(plan, region)],
            },
        }),
        targets: vec![Target::Function {
            arn: function_arn(&plan.account, region, release_lock::ReleaseLock::NAME),
            input: TargetInput::Transformed(InputTransformer {
                paths: BTreeMap::new(),
                template: r#"{"event":<aws.events.event.json>}"#.to_owned(),
            }),
        }],
    }
}

/// Frees the lock where that event did not come.
fn look_at_lock(plan: &Plan, region: &str) -> Schedule {
    Schedule {
        name: "look-at-lock".to_owned(),
        region: region.to_owned(),
        every: LOCK_LOOKED_AT_EVERY,
        target_arn: function_arn(&plan.account, region, release_lock::ReleaseLock::NAME),
        input: json!({}),
    }
}

/// The alarms that start a recovery together, all in the standby Region.
#[derive(Clone, Debug)]
pub struct Alarms {
    /// Customers are not served, as the outside probe says. Without its word: insufficient data.
    pub probe: Alarm,
    /// Replication is further behind than the RPO target, or says nothing.
    pub replication: Alarm,
    /// A person sets it for as long as nothing must start, and nothing else does.
    pub maintenance: Alarm,
    /// The plan's alarm, whose events start the recovery.
    pub composite: CompositeAlarm,
}

/// What watches the platform.
#[derive(Clone, Debug)]
pub struct Watching {
    /// The alarms.
    pub alarms: Alarms,
    /// What hands the alarm's events to `start-recovery`.
    pub rule: Rule,
    /// What calls the outside probe.
    pub schedule: Schedule,
}

/// What watches the platform for `scenario`: of its alarms in the standby Region the one that may start most. Errors: a text,
/// if the plan has none.
pub fn watching(plan: &Plan, scenario: Scenario) -> Result<Watching, String> {
    let region = &plan.regions.standby.region;
    if scenario.machine().is_none() {
        return Err(format!("{scenario} cannot be rehearsed yet"));
    }
    let alarm = plan
        // What an alarm starts is for `start-recovery` to say: one that asks first, or starts nothing, is made all the same.
        .alarm(scenario, SiteName::Standby)
        .ok_or_else(|| format!("no alarm in {region} is for {scenario}; add one to the plan's alarms"))?;
    let slices = Slices::new(plan, scenario, region)?;
    Ok(Watching {
        alarms: alarms(plan, scenario, &alarm.name, &slices)?,
        rule: Rule {
            name: "alarm-state-change".to_owned(),
            pattern: json!({
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": { "alarmName": [alarm.name], "state": { "value": ["ALARM"] } },
            }),
            targets: vec![Target::Function {
                arn: function_arn(&plan.account, region, start_recovery::StartRecovery::NAME),
                input: TargetInput::Transformed(InputTransformer {
                    paths: BTreeMap::new(),
                    template: format!(
                        r#"{{"event":<aws.events.event.json>,"machine":{}}}"#,
                        json!(recovery_machine(plan, region))
                    ),
                }),
            }],
        },
        schedule: Schedule {
            name: "probe-health".to_owned(),
            region: region.clone(),
            every: Duration::from_secs(60),
            target_arn: function_arn(&plan.account, region, probe_health::ProbeHealth::NAME),
            input: json!({ "health": slices.health, "probe": slices.probe }),
        },
    })
}

/// The alarm `name` and those that it is made of (`docs/decisions/0017-one-alarm-from-two.md`).
fn alarms(plan: &Plan, scenario: Scenario, name: &str, slices: &Slices) -> Result<Alarms, String> {
    let site = &plan.regions.standby;
    let rpo = plan.scenarios.get(&scenario).and_then(|policy| policy.objectives.rpo);
    let rpo = rpo.ok_or_else(|| format!("the plan has no RPO for {scenario}; add objectives/rpo to its policy"))?;
    let own_metric = |metric: &str| Metric {
        namespace: slices.probe.namespace.clone(),
        name: metric.to_owned(),
        dimensions: BTreeMap::from([("Workload".to_owned(), slices.probe.workload.clone())]),
    };
    let a_minute = Duration::from_secs(60);
    let probe = Alarm {
        name: format!("{name}-probe"),
        description: format!("{} is not healthy, seen from {}", plan.dns.name, site.region),
        metric: own_metric(&slices.probe.metric),
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
        metric: Metric {
            namespace: "AWS/RDS".to_owned(),
            name: "AuroraGlobalDBRPOLag".to_owned(),
            dimensions: BTreeMap::from([("DBClusterIdentifier".to_owned(), site.cluster.clone())]),
        },
        statistic: Statistic::Maximum,
        period: a_minute,
        evaluation_periods: REPLICATED_MINUTES,
        datapoints_to_alarm: BAD_MINUTES,
        threshold: rpo.target.as_std().as_millis() as f64,
        comparison: Comparison::GreaterThan,
        treat_missing_data: MissingData::Breaching,
        actions_enabled: true,
    };
    let maintenance = Alarm {
        name: format!("{name}-maintenance"),
        description: format!("a person works on {}, and no recovery is to start", plan.workload),
        metric: own_metric(MAINTENANCE_METRIC),
        statistic: Statistic::Maximum,
        period: a_minute,
        evaluation_periods: 1,
        datapoints_to_alarm: 1,
        threshold: 0.0,
        comparison: Comparison::GreaterThan,
        treat_missing_data: MissingData::Ignore,
        actions_enabled: true,
    };
    let composite = CompositeAlarm {
        name: name.to_owned(),
        description: format!(
            "{} is not healthy, seen from {}; or nobody sees it, and replication stands still",
            plan.dns.name, site.region
        ),
        rule: format!(
            r#"ALARM("{}") OR (INSUFFICIENT_DATA("{}") AND ALARM("{}"))"#,
            probe.name, probe.name, replication.name
        ),
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
        maintenance,
        composite,
    })
}

#[cfg(test)]
mod tests {
    use simulator::simulation::machine_hole;

    use super::*;

    #[test]
    fn the_list_of_steps_is_the_folders() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../functions");
        let mut folders: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        folders.sort();
        let steps: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(steps, folders);
    }

    #[test]
    fn the_alarm_is_made_of_the_probe_and_of_replication() {
        let plan: Plan = serde_saphyr::from_str(include_str!("../../radiant.plan.yaml")).unwrap();
        let watching = watching(&plan, Scenario::RegionFailure).unwrap();
        let alarms = watching.alarms;
        assert_eq!(
            alarms.composite.rule,
            "ALARM(\"radiant-unhealthy-from-outside-probe\") OR \
             (INSUFFICIENT_DATA(\"radiant-unhealthy-from-outside-probe\") AND \
             ALARM(\"radiant-unhealthy-from-outside-replication\"))"
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
        assert_eq!(alarms.replication.threshold, 300_000.0);
        assert_eq!(
            alarms.replication.metric.dimensions["DBClusterIdentifier"],
            "radiant-dr-cluster"
        );
        assert_eq!(alarms.probe.metric.name, plan.probe.metric);
        assert_ne!(alarms.maintenance.metric.name, plan.probe.metric);
    }

    #[test]
    fn the_list_of_machines_is_the_files() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../statemachines");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .into_string()
                    .unwrap()
                    .strip_suffix(".asl.json")
                    .map(str::to_owned)
            })
            .collect();
        files.sort();
        let machines: Vec<&str> = MACHINES.iter().map(|(name, _)| *name).collect();
        assert_eq!(machines, files);
    }

    #[test]
    fn the_recovery_machine_knows_the_machine_of_each_scenario_that_has_one() {
        let recovery: Value = serde_json::from_str(RECOVERY).unwrap();
        let machines = recovery.pointer("/States/OpenRecovery/Arguments/Payload/machines");
        let expected: serde_json::Map<String, Value> = Scenario::ALL
            .into_iter()
            .filter_map(|scenario| Some((scenario, scenario.machine()?)))
            .map(|(scenario, machine)| (scenario.to_string(), format!("${{{}}}", machine_hole(machine)).into()))
            .collect();
        assert_eq!(machines, Some(&Value::Object(expected)));
        assert!(scenario_machines().iter().all(|machine| !states_of(machine).is_empty()));
    }
}
