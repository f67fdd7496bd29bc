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
    step::<switch_dns::SwitchDns>(),
    step::<unfence_region::UnfenceRegion>(),
    step::<write_report::WriteReport>(),
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

/// The machine that recovers from each scenario, of those that there is one for.
const RECOVERS: &[(Scenario, &str)] = &[(Scenario::RegionFailure, "region-switch")];

/// Minutes in a row that must be bad before the alarm is raised: one bad minute may be a release.
const BAD_MINUTES: u32 = 3;

/// How often the lock is looked at, without an event.
const LOCK_LOOKED_AT_EVERY: Duration = Duration::from_secs(5 * 60);

/// The machine that recovers from `scenario`, if there is one.
pub fn machine_of(scenario: Scenario) -> Option<&'static str> {
    let found = RECOVERS.iter().find(|(recovers, _)| *recovers == scenario);
    found.map(|(_, machine)| *machine)
}

/// ARNs of the machines of a Region, by the scenario that each recovers from: what `start-recovery` is given.
pub fn machines(plan: &Plan, region: &str) -> BTreeMap<Scenario, String> {
    let machines = RECOVERS.iter();
    machines
        .map(|(scenario, machine)| (*scenario, machine_arn(&plan.account, region, machine)))
        .collect()
}

/// What is deployed in both Regions, the recovery Region's first; what watches the platform is there, and starts a
/// recovery from `scenario`, if `alarm_is_heard`. Errors: a text, if nothing in the plan starts it.
pub fn deployments(plan: &Plan, scenario: Scenario, alarm_is_heard: bool) -> Result<Vec<Deployment>, String> {
    let mut recovery = in_region(plan, &plan.regions.recovery.region);
    let watching = watching(plan, scenario)?;
    recovery.alarms.push(watching.alarm);
    recovery.schedules.push(watching.probe);
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
    let machines = MACHINES
        .iter()
        .map(|(name, _)| machine_arn(&plan.account, region, name));
    Rule {
        name: "execution-ended".to_owned(),
        pattern: json!({
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "status": ["ABORTED", "TIMED_OUT", "FAILED"],
                "stateMachineArn": machines.collect::<Vec<_>>(),
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

/// What watches the platform.
struct Watching {
    alarm: Alarm,
    rule: Rule,
    probe: Schedule,
}

fn watching(plan: &Plan, scenario: Scenario) -> Result<Watching, String> {
    let region = &plan.regions.recovery.region;
    if machine_of(scenario).is_none() {
        return Err(format!("{scenario} cannot be rehearsed yet"));
    }
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
    Ok(Watching {
        alarm: Alarm {
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
        },
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
                        r#"{{"event":<aws.events.event.json>,"machines":{}}}"#,
                        json!(machines(plan, region))
                    ),
                }),
            }],
        },
        probe: Schedule {
            name: "probe-health".to_owned(),
            region: region.clone(),
            every: Duration::from_secs(60),
            target_arn: function_arn(&plan.account, region, probe_health::ProbeHealth::NAME),
            input: json!({ "health": slices.health, "probe": slices.probe }),
        },
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
