//! What is deployed beside the platform: the one list of steps, the machines, and what starts them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use shared::aws::Aws;
use shared::plan::Plan;
use shared::recovery::RECOVERY_MACHINE;
use shared::step::{Caller, Change, Handler, Step, handler};
use simulator::aws::cloudwatch::{Alarm, CompositeAlarm, Metric, StateValue};
use simulator::aws::events::{InputTransformer, Rule, Schedule, Target, TargetInput};
use simulator::cloud::Cloud;
use simulator::simulation::{Deployment, MakeHandler, function_arn, machine_arn, machine_hole};

/// Every step. A test holds this equal to the folders under `functions/`.
pub const STEPS: &[DeployedStep] = &[
    step::<activate_region::ActivateRegion>(),
    step::<announce::Announce>(),
    step::<assess_region::AssessRegion>(),
    step::<check_cluster::CheckCluster>(),
    step::<check_database::CheckDatabase>(),
    step::<check_dns::CheckDns>(),
    step::<check_health::CheckHealth>(),
    step::<close_recovery::CloseRecovery>(),
    step::<create_instance::CreateInstance>(),
    step::<discard_cluster::DiscardCluster>(),
    step::<fence_region::FenceRegion>(),
    step::<find_corruption::FindCorruption>(),
    step::<finish_cluster::FinishCluster>(),
    step::<flush_cache::FlushCache>(),
    step::<open_recovery::OpenRecovery>(),
    step::<point_back::PointBack>(),
    step::<prepare_database::PrepareDatabase>(),
    step::<probe_health::ProbeHealth>(),
    step::<promote_database::PromoteDatabase>(),
    step::<record_approval::RecordApproval>(),
    step::<release_lock::ReleaseLock>(),
    step::<repoint_function::RepointFunction>(),
    step::<request_approval::RequestApproval>(),
    step::<restore_cluster::RestoreCluster>(),
    step::<resume_jobs::ResumeJobs>(),
    step::<resume_writes::ResumeWrites>(),
    step::<retire_cluster::RetireCluster>(),
    step::<snapshot_cluster::SnapshotCluster>(),
    step::<start_by_hand::StartByHand>(),
    step::<start_recovery::StartRecovery>(),
    step::<stop_scenario::StopScenario>(),
    step::<stop_writes::StopWrites>(),
    step::<switch_dns::SwitchDns>(),
    step::<unfence_region::UnfenceRegion>(),
    step::<validate_database::ValidateDatabase>(),
    step::<watch_fence::WatchFence>(),
    step::<watch_switch::WatchSwitch>(),
    step::<write_report::WriteReport>(),
];

/// Every state machine, as it is deployed.
pub const MACHINES: &[(&str, &str)] = &[
    (
        "database-recovery",
        include_str!("../../statemachines/database-recovery.asl.json"),
    ),
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

/// A step of this kind, as it is deployed.
pub const fn step<S: Step>() -> DeployedStep {
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

/// How often the lock is checked, without an event.
const LOCK_LOOKED_AT_EVERY: Duration = Duration::from_secs(5 * 60);

/// How often a Region looks at its own fence.
const FENCE_LOOKED_AT_EVERY: Duration = Duration::from_secs(60);
/// How often the Region that serves looks whether customers are sent there.
const SWITCH_LOOKED_AT_EVERY: Duration = Duration::from_secs(5 * 60);

/// The schedule that asks again what nobody answered.
const ASK_AGAIN: &str = "ask-again";
/// How often to check for a question that expired while its alarm stands.
pub(crate) const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(5 * 60);

/// The names of all states of a machine that is built in; none, where there is no such machine.
pub fn states_of(machine: &str) -> Vec<String> {
    let mut found = MACHINES.iter().filter(|(name, _)| *name == machine);
    found.next().map(|(_, text)| states_in(text)).unwrap_or_default()
}

/// The names of all states of a machine with this text, those in branches and iterations included, in their order.
pub fn states_in(text: &str) -> Vec<String> {
    let machine: Value = serde_json::from_str(text).unwrap_or_default();
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

/// What watches the platform for a scenario, and starts its recovery.
#[derive(Clone, Debug)]
pub struct Watching {
    /// The Region of the alarms.
    pub region: String,
    /// Alarms on metrics.
    pub alarms: Vec<Alarm>,
    /// Alarms on these.
    pub composite_alarms: Vec<CompositeAlarm>,
    /// What calls the functions that publish metrics, in that Region and with the observer.
    pub schedules: Vec<Schedule>,
    /// What hands the alarm's events to `start-recovery`.
    pub rule: Rule,
    /// The alarm that can go to OK by itself for a moment.
    pub flapping: String,
}

impl Watching {
    /// The outside probe has found the service healthy for as long as its alarm looks back: the alarm is not new when the world
    /// begins. Errors: the alarm was not made.
    pub(crate) fn has_been_well(&self, cloud: &Cloud, plan: &Plan) -> Result<(), String> {
        let (now, probed) = (cloud.now(), own_metric(plan, &plan.probe.metric));
        for alarm in self.alarms.iter().filter(|alarm| alarm.metric == probed) {
            for periods in 1..=alarm.evaluation_periods {
                let at = now.checked_sub(alarm.period * periods).unwrap_or(now);
                cloud.cloudwatch.publish(&self.region, &probed, at, 1.0);
            }
            let (environment, why) = (cloud.environment(), "the service was healthy");
            cloud
                .cloudwatch
                .set_alarm_state(&environment, &self.region, &alarm.name, StateValue::Ok, why)?;
        }
        Ok(())
    }
}

/// A metric of the automation's own, such as the probe's.
pub fn own_metric(plan: &Plan, name: &str) -> Metric {
    Metric {
        namespace: plan.probe.namespace.clone(),
        name: name.to_owned(),
        dimensions: BTreeMap::from([("Workload".to_owned(), plan.workload.clone())]),
    }
}

/// What hands an alarm's events to `start-recovery`.
pub fn alarm_rule(plan: &Plan, region: &str, alarm: &str) -> Rule {
    Rule {
        name: "alarm-state-change".to_owned(),
        pattern: json!({
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": { "alarmName": [alarm], "state": { "value": ["ALARM"] } },
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
    }
}

/// What is deployed in the plan's Regions, the standby Region's first: in its two, these steps and machines, what frees their
/// lock, and what watches the platform, which starts a recovery if `alarm_is_heard`; with the observer, the probe alone.
pub fn in_each_region(
    plan: &Plan,
    steps: &[DeployedStep],
    machines: &[(&'static str, &'static str)],
    watching: Vec<Watching>,
    alarm_is_heard: bool,
) -> Vec<Deployment> {
    let regions = [&plan.regions.standby.region, &plan.regions.primary.region];
    let mut each: Vec<Deployment> = regions
        .into_iter()
        .map(|region| in_region(plan, region, steps, machines))
        .collect();
    each.extend(
        plan.observer
            .as_ref()
            .map(|observer| with_observer(&observer.region, steps)),
    );
    if !alarm_is_heard {
        // Nor does anything ask again because an alarm stands.
        for there in &mut each {
            there.schedules.retain(|schedule| schedule.name != ASK_AGAIN);
        }
    }
    for watching in watching {
        for there in &mut each {
            let schedules = watching.schedules.iter();
            let here = schedules.filter(|schedule| schedule.region == there.region);
            there.schedules.extend(here.cloned());
            if there.region == watching.region {
                there.alarms.extend(watching.alarms.clone());
                there.composite_alarms.extend(watching.composite_alarms.clone());
                there.rules.extend(alarm_is_heard.then(|| watching.rule.clone()));
            }
        }
    }
    each
}

/// What is deployed with the observer: the probe.
fn with_observer(region: &str, steps: &[DeployedStep]) -> Deployment {
    let probe = steps.iter().filter(|step| step.name == probe_health::ProbeHealth::NAME);
    Deployment {
        functions: probe.map(|step| (step.name, step.make)).collect(),
        ..Deployment::empty(region)
    }
}

/// The recovery machine, with one more scenario's machine among those that it runs.
pub fn recovery_that_runs(scenario: &str, machine: &str) -> &'static str {
    /// A machine's text is kept for as long as the process lives, so that each is made once.
    static MADE: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(format!("{scenario} {machine}")).or_insert_with(|| {
        let mut recovery: Value = serde_json::from_str(RECOVERY).unwrap_or_default();
        if let Some(machines) = recovery.pointer_mut(KNOWN_MACHINES) {
            machines[scenario] = format!("${{{}}}", machine_hole(machine)).into();
        }
        Box::leak(recovery.to_string().into_boxed_str())
    })
}

/// Where the recovery machine says which machine recovers from which scenario.
const KNOWN_MACHINES: &str = "/States/OpenRecovery/Arguments/Payload/machines";

/// Functions and machines, and what frees their lock, which are the same in both Regions.
fn in_region(
    plan: &Plan,
    region: &str,
    steps: &[DeployedStep],
    machines: &[(&'static str, &'static str)],
) -> Deployment {
    Deployment {
        rules: vec![execution_ended(plan, region)],
        schedules: vec![
            look_at_lock(plan, region),
            watch_fence(plan, region),
            ask_again(plan, region),
            watch_switch(plan, region),
        ],
        functions: steps.iter().map(|step| (step.name, step.make)).collect(),
        reserves_concurrency: true,
        machines: machines.to_vec(),
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

/// Looks whether this Region is fenced, and nothing is heard of the recovery.
fn watch_fence(plan: &Plan, region: &str) -> Schedule {
    Schedule {
        name: "watch-fence".to_owned(),
        region: region.to_owned(),
        every: FENCE_LOOKED_AT_EVERY,
        target_arn: function_arn(&plan.account, region, watch_fence::WatchFence::NAME),
        input: json!({ "workload": plan.workload }),
    }
}

/// Asks again what nobody answered, while its alarm stands.
fn ask_again(plan: &Plan, region: &str) -> Schedule {
    Schedule {
        name: ASK_AGAIN.to_owned(),
        region: region.to_owned(),
        every: ASKED_AGAIN_WITHIN,
        target_arn: function_arn(&plan.account, region, start_recovery::StartRecovery::NAME),
        input: json!({ "machine": recovery_machine(plan, region) }),
    }
}

/// Looks whether the switch object sends customers to the Region that serves.
fn watch_switch(plan: &Plan, region: &str) -> Schedule {
    Schedule {
        name: "watch-switch".to_owned(),
        region: region.to_owned(),
        every: SWITCH_LOOKED_AT_EVERY,
        target_arn: function_arn(&plan.account, region, watch_switch::WatchSwitch::NAME),
        input: json!({}),
    }
}

#[cfg(test)]
mod tests {
    use shared::scenario::Scenario;

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

    #[test]
    fn the_recovery_machine_knows_the_machine_of_each_scenario_that_has_one() {
        let recovery: Value = serde_json::from_str(RECOVERY).unwrap();
        let machines = recovery.pointer(KNOWN_MACHINES);
        let expected: serde_json::Map<String, Value> = Scenario::all()
            .into_iter()
            .filter_map(|scenario| Some((scenario, scenario.machine()?)))
            .map(|(scenario, machine)| (scenario.to_string(), format!("${{{}}}", machine_hole(machine)).into()))
            .collect();
        assert_eq!(machines, Some(&Value::Object(expected)));
        assert!(MACHINES.iter().all(|(name, _)| !states_of(name).is_empty()));
    }
}
