//! What is deployed beside the platform: the one list of steps, the machines, and what starts them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use shared::aws::Aws;
use shared::plan::{Plan, SiteName, Start};
use shared::recovery::Scenario;
use shared::slices::Slices;
use shared::step::{Handler, Step, handler};
use simulator::aws::cloudwatch::{Alarm, Comparison, Metric, MissingData, Statistic};
use simulator::aws::events::{InputTransformer, Rule, Schedule, Target, TargetInput};
use simulator::simulation::{Deployment, MakeHandler, function_arn, machine_arn};

/// Every step. A test holds this equal to the folders under `functions/`.
pub const STEPS: &[DeployedStep] = &[
    step::<activate_region::ActivateRegion>(),
    step::<announce::Announce>(),
    step::<assess_region::AssessRegion>(),
    step::<check_database::CheckDatabase>(),
    step::<check_health::CheckHealth>(),
    step::<close_recovery::CloseRecovery>(),
    step::<open_recovery::OpenRecovery>(),
    step::<probe_health::ProbeHealth>(),
    step::<promote_database::PromoteDatabase>(),
    step::<switch_dns::SwitchDns>(),
];

/// Every state machine, as it is deployed.
pub const MACHINES: &[(&str, &str)] = &[(
    "region-switch",
    include_str!("../../statemachines/region-switch.asl.json"),
)];

/// A step, as it is deployed.
#[derive(Clone, Copy)]
pub struct DeployedStep {
    /// Its name.
    pub name: &'static str,
    /// Makes its handler.
    pub make: MakeHandler,
    /// How long one invocation may take.
    pub time_limit: Duration,
}

const fn step<S: Step>() -> DeployedStep {
    DeployedStep {
        name: S::NAME,
        make: make::<S>,
        time_limit: S::TIME_LIMIT,
    }
}

fn make<S: Step>(aws: &Aws) -> Box<dyn Handler> {
    handler::<S>(aws)
}

/// Scenarios that can be rehearsed, and the machine that recovers from each.
pub const REHEARSABLE: &[(Scenario, &str)] = &[(Scenario::RegionFailure, "region-switch")];

/// Minutes in a row that must be bad before the alarm is raised: one bad minute may be a release.
const BAD_MINUTES: u32 = 3;

/// What is deployed in the recovery Region for `scenario`. Errors: a text, if nothing in the plan starts it.
pub fn deployment(plan: &Plan, scenario: Scenario) -> Result<Deployment, String> {
    let region = &plan.regions.recovery.region;
    let machine = REHEARSABLE
        .iter()
        .find(|(rehearsable, _)| *rehearsable == scenario)
        .map(|(_, machine)| *machine);
    let machine = machine.ok_or_else(|| format!("{scenario} cannot be rehearsed yet"))?;
    let alarm = plan
        .alarms
        .iter()
        .find(|alarm| {
            alarm.scenario == scenario && alarm.region == SiteName::Recovery && alarm.start == Start::Automatic
        })
        .ok_or_else(|| {
            format!(
                "no alarm in {region} starts {scenario} by itself; add one to the plan's alarms with start: automatic"
            )
        })?;
    let slices = Slices::new(plan, scenario, region)?;
    let metric = Metric {
        namespace: slices.probe.namespace.clone(),
        name: slices.probe.metric.clone(),
        dimensions: BTreeMap::from([("Workload".to_owned(), slices.probe.workload.clone())]),
    };
    Ok(Deployment {
        region: region.clone(),
        functions: STEPS.iter().map(|step| (step.name, step.make)).collect(),
        machines: MACHINES.to_vec(),
        alarms: vec![Alarm {
            name: alarm.name.clone(),
            description: format!("{} is not healthy, seen from {region}", plan.dns.name),
            metric,
            statistic: Statistic::Minimum,
            period: Duration::from_secs(60),
            evaluation_periods: BAD_MINUTES,
            datapoints_to_alarm: BAD_MINUTES,
            threshold: 1.0,
            comparison: Comparison::LessThan,
            treat_missing_data: MissingData::Missing,
            actions_enabled: true,
        }],
        rules: vec![Rule {
            name: format!("{scenario}-alarm"),
            pattern: json!({
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": {
                    "alarmName": [alarm.name],
                    "state": { "value": ["ALARM"] },
                    "previousState": { "value": ["OK", "INSUFFICIENT_DATA"] },
                },
            }),
            targets: vec![Target::StateMachine {
                arn: machine_arn(&plan.account, region, machine),
                input: TargetInput::Transformed(InputTransformer {
                    paths: BTreeMap::from([
                        ("alarm".to_owned(), "$.resources[0]".to_owned()),
                        ("at".to_owned(), "$.time".to_owned()),
                    ]),
                    template: format!(
                        r#"{{"scenario":"{scenario}","mode":"rehearsal","intent":"decide","trigger":{{"kind":"alarm","by":"<alarm>","at":"<at>"}}}}"#
                    ),
                }),
            }],
        }],
        schedules: vec![Schedule {
            name: "probe-health".to_owned(),
            region: region.clone(),
            every: Duration::from_secs(60),
            target_arn: function_arn(&plan.account, region, probe_health::ProbeHealth::NAME),
            input: json!({ "health": slices.health, "probe": slices.probe }),
        }],
    })
}

#[cfg(test)]
mod tests {
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
}
