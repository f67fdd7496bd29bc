//! Permissions are exact: what the functions of every kind of rehearsal touched is what their roles in the stack allow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::common::plays::{PLAYS, usual};
use crate::common::{QUICK, in_virtual_time, plan};
use drctl::parameters::{Parameters, observer_parameters, parameters};
use rehearsal::deployment::{DeployedStep, STEPS};
use rehearsal::scenarios::database_corruption::DatabaseCorruption;
use rehearsal::scenarios::region_failure::RegionFailure;
use rehearsal::scenarios::{self, region_return::RegionReturn};
use rehearsal::{Disaster, Fault, OwnTimings, Script, rehearse};
use shared::plan::Plan;
use simulator::cloud::Touched;
use simulator::simulation::{Invoked, InvokedBy, hole, machine_hole};
use tests::iam::{By, Operation, Required, operations, required, required_to_invoke, row};
use tests::permissions::{Exceptions, Needs, Side, not_named, too_narrow, too_wide};
use tests::policy::{Statement, roles};
use tests::template::Stack;

/// What goes wrong in the rehearsals that are recorded, so that they take every path: each list in one rehearsal.
const FAULTS: [&[&str]; 30] = [
    &["grey-region"],
    &["grey-control"],
    &["both-databases"],
    &["throttle:lambda"],
    &["lost-reply:FailoverGlobalCluster"],
    &["kill:fence-region:3"],
    &["kill:promote-database"],
    &["kill:switch-dns:1"],
    &["kill:activate-region:9"],
    &["duplicate-event"],
    &["late-event:20m"],
    &["lag:10m"],
    &["no-lag-metric"],
    &["old-outage:30m"],
    &["stuck-failover"],
    &["failed-failover"],
    &["grey-control", "approver-asleep"],
    &["grey-control", "approver-declines:2"],
    &["no-lag-metric", "stuck-failover"],
    &["flapping-alarm"],
    &["table-away"],
    &["no-lag-metric", "approver-declines"],
    &["no-lag-metric", "one-approver-twice"],
    &["sns-down"],
    &["drill-running"],
    &["busy"],
    &["child-dies:SwitchDns"],
    &["child-dies:PromoteDatabase"],
    &["child-not-stopped"],
    &["bad-release", "observer-lost"],
];
/// The same for moving the workload back.
const FAULTS_ON_RETURN: [&[&str]; 5] = [
    &["switchover-hangs"],
    &["switchover-hangs:2m", "approver-declines"],
    &["switchover-hangs", "approver-asleep"],
    &["kill:fence-region:6"],
    &["lost-after-fence"],
];

/// The same for wrong data in the database.
const FAULTS_OF_CORRUPTION: [&[&str]; 4] = [
    &["restore-failed"],
    &["approver-declines:2"],
    &["concurrent-deploy"],
    &["child-dies:ResumeWrites"],
];

/// What was touched and invoked in the rehearsals of one plan.
#[derive(Default)]
pub struct Recorded {
    pub touched: BTreeSet<Touched>,
    invoked: BTreeSet<Invoked>,
}

impl Recorded {
    fn play(&mut self, plan: &Plan, script: &Script, seed: u64) {
        let played = rehearse(plan, script, seed, |_| {}).unwrap();
        self.touched.extend(played.touched);
        self.invoked.extend(played.invoked);
    }
}

/// What no rehearsal does by itself.
fn record_plays(recorded: &mut Recorded) {
    for play in PLAYS.into_iter().filter(|play| !play.by_record) {
        in_virtual_time(async {
            let world = (play.play)().await;
            recorded.touched.extend(world.simulation.touched());
            recorded.invoked.extend(world.simulation.invoked());
        });
    }
}

fn script(disaster: &'static dyn Disaster, faults: &[&str]) -> Script {
    Script {
        faults: faults.iter().map(|spec| spec.parse::<Fault>().unwrap()).collect(),
        resume: true,
        ..quick(disaster)
    }
}

/// As the tests of rehearsals have it: what a step may do is no matter of how long something takes.
fn quick(disaster: &'static dyn Disaster) -> Script {
    Script {
        timings: Some(OwnTimings::read("quick.timings.yaml", QUICK.to_owned()).unwrap()),
        ..Script::new(disaster)
    }
}

/// The example plan, and one that moves the name by its record, each with what its rehearsals recorded. The other one's
/// Regions are the other way round: nothing of Route 53 answers while us-east-1 is lost.
pub static RECORDED: LazyLock<[(Plan, Recorded); 2]> = LazyLock::new(|| {
    let usual = usual();
    let mut by_record = plan();
    by_record.dns.switch_object = None;
    std::mem::swap(&mut by_record.regions.primary, &mut by_record.regions.standby);
    let mut recorded = Recorded::default();
    for disaster in scenarios::ALL {
        recorded.play(&usual, &quick(*disaster), 1);
    }
    for faults in FAULTS {
        recorded.play(&usual, &script(&RegionFailure, faults), 1);
    }
    for faults in FAULTS_ON_RETURN {
        recorded.play(&usual, &script(&RegionReturn, faults), 1);
    }
    for faults in FAULTS_OF_CORRUPTION {
        recorded.play(&usual, &script(&DatabaseCorruption, faults), 1);
    }
    for (stop_at, faults) in [
        ("promote-database", &["no-lag-metric"][..]),
        ("switch-dns", &[]),
        ("close-recovery", &[]),
    ] {
        let script = Script {
            stop_at: Some(stop_at.to_owned()),
            ..script(&RegionFailure, faults)
        };
        recorded.play(&usual, &script, 1);
    }
    record_plays(&mut recorded);
    let mut recorded_by_record = Recorded::default();
    for disaster in scenarios::ALL {
        recorded_by_record.play(&by_record, &quick(*disaster), 1);
    }
    [(usual, recorded), (by_record, recorded_by_record)]
});

static TABLE: LazyLock<Vec<Operation>> = LazyLock::new(operations);

fn exceptions() -> Exceptions {
    serde_saphyr::from_str(include_str!("../../iam/exceptions.yaml")).unwrap()
}

/// The stacks of a plan as its rehearsals had them: functions and machines have the names of their folders and files.
fn stacks(plan: &Plan) -> Vec<Stack> {
    let each = parameters_of(plan).into_iter().map(|(region, mut parameters)| {
        parameters.insert("Prefix".to_owned(), String::new());
        Stack::render(&plan.account, &region, &parameters).unwrap()
    });
    each.collect()
}

/// Of every Region, the observer's last.
fn parameters_of(plan: &Plan) -> Vec<(String, Parameters)> {
    let both = parameters(plan).unwrap();
    both.into_iter().chain(observer_parameters(plan).unwrap()).collect()
}

/// What the roles of a stack need, as recorded.
fn needs(stack: &Stack, recorded: &Recorded) -> Needs {
    let mut needs = Needs::new();
    let mut add = |role: String, required: Vec<Required>| needs.entry(role).or_default().extend(required);
    let here = recorded
        .touched
        .iter()
        .filter(|touched| touched.from_region == stack.region);
    for touched in here {
        let role = hole(&touched.function) + "Role";
        add(role.clone(), required(touched, &TABLE).unwrap());
        if touched.operation == "Publish" {
            add(role, to_use_the_key(stack, &touched.region));
        }
    }
    let is_there = |step: &&DeployedStep| stack.resources.contains_key(&hole(step.name));
    for step in STEPS.iter().filter(is_there) {
        add(hole(step.name) + "Role", to_log(stack, &hole(step.name)));
    }
    for invoked in &recorded.invoked {
        let required = || required_to_invoke(invoked, &TABLE).unwrap();
        match &invoked.by {
            InvokedBy::Machine(arn) if region_of(arn) == stack.region => {
                let name = arn.rsplit(':').next().unwrap();
                add(machine_hole(name) + "Role", required());
            }
            InvokedBy::Schedule(arn) if region_of(arn) == stack.region => {
                let name = arn.rsplit('/').next().unwrap();
                add("SchedulerRole".to_owned(), to_call(stack, name, required()));
            }
            // Rules have no roles, and people have their own; template.rs looks at what admits them.
            _ => {}
        }
    }
    for (name, _) in stack.of_kind("AWS::StepFunctions::StateMachine") {
        add(format!("{name}Role"), to_deliver_logs());
    }
    needs
}

fn region_of(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

/// The topic is encrypted with a key of its stack's own, which whoever publishes has to use: by SNS, as KMS is told.
fn to_use_the_key(stack: &Stack, region: &str) -> Vec<Required> {
    let key = match region == stack.region {
        true => stack.resource("TopicKey").arn.clone(),
        false => format!("arn:aws:kms:{region}:123456789012:key/of-the-other-stack"),
    };
    let by_sns = BTreeSet::from([format!("sns.{region}.amazonaws.com")]);
    let publish = row(&TABLE, By::Code, "sns", "Publish").unwrap();
    let with_key = publish.dependent.iter().filter(|action| action.when.is_some());
    with_key
        .map(|action| Required {
            conditions: BTreeMap::from([("kms:ViaService".to_owned(), by_sns.clone())]),
            ..on(&action.action, &key)
        })
        .collect()
}

fn to_log(stack: &Stack, function: &str) -> Vec<Required> {
    let group = &stack.resource(&format!("{function}Log")).arn;
    let stream = format!("{}log-stream:2026", group.trim_end_matches('*'));
    vec![on("logs:CreateLogStream", group), on("logs:PutLogEvents", &stream)]
}

/// A machine's logs are delivered whenever it runs.
fn to_deliver_logs() -> Vec<Required> {
    let rows = TABLE
        .iter()
        .filter(|row| row.by == By::Machine && row.service == "logs");
    let actions = rows.flat_map(|row| &row.actions);
    actions.map(|action| on(&action.action, &action.resource)).collect()
}

/// A schedule calls an alias of the function that it calls in a rehearsal by version.
fn to_call(stack: &Stack, schedule: &str, required: Vec<Required>) -> Vec<Required> {
    let mut schedules = stack.of_kind("AWS::Scheduler::Schedule");
    let found = schedules.find(|(_, found)| found.properties["Name"] == schedule);
    let (_, found) = found.unwrap_or_else(|| panic!("the stack has no schedule {schedule}"));
    let target = found.properties["Target"]["Arn"].as_str().unwrap();
    let unqualified = |arn: &str| arn.split(':').take(7).collect::<Vec<_>>().join(":");
    let each = required.into_iter().map(|mut required| {
        assert_eq!(unqualified(&required.resource), unqualified(target), "{schedule}");
        required.resource = target.to_owned();
        required
    });
    each.collect()
}

fn on(action: &str, resource: &str) -> Required {
    Required {
        action: action.to_owned(),
        resource: resource.to_owned(),
        conditions: BTreeMap::new(),
    }
}

/// What the plan calls things in a Region, and what stands for each in the template.
fn names(plan: &Plan, stack: &Stack) -> Vec<(String, String)> {
    let each = parameters_of(plan);
    let (_, parameters) = each.into_iter().find(|(region, _)| *region == stack.region).unwrap();
    let mut names = vec![(stack.region.clone(), "${AWS::Region}".to_owned())];
    // What a word of the template could be is no name.
    let is_name = |value: &str| value.len() > 4 && !value.contains([',', ' ']) && value.parse::<f64>().is_err();
    for (parameter, value) in parameters {
        if is_name(&value) {
            names.push((value, format!("${{{parameter}}}")));
        }
    }
    names.extend(
        plan.functions
            .iter()
            .map(|function| (function.name.clone(), "${Function}".to_owned())),
    );
    names.sort_by_key(|(name, stands_for)| (std::cmp::Reverse(name.len()), stands_for.clone()));
    names
}

/// Roles and needs in each Region, for each plan.
static SIDES: LazyLock<[Vec<Side>; 2]> = LazyLock::new(|| {
    RECORDED.each_ref().map(|(plan, recorded)| {
        let stacks = stacks(plan);
        let sides = stacks.iter().map(|stack| Side {
            roles: roles(stack).unwrap(),
            needs: needs(stack, recorded),
            names: names(plan, stack),
        });
        sides.collect()
    })
});

#[test]
fn every_recorded_call_is_allowed_and_every_allowed_action_is_used() {
    let sides = SIDES.clone();
    let mut wrong = Vec::new();
    for side in sides.iter().flatten() {
        wrong.extend(too_narrow(&side.roles, &side.needs).unwrap());
        wrong.extend(not_named(&side.roles, &TABLE, &exceptions()));
    }
    wrong.extend(too_wide(&sides.concat(), &exceptions()).unwrap());
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_role_that_is_too_narrow_is_found() {
    let sides = SIDES.clone();
    let Side { mut roles, needs, .. } = sides[0][1].clone();
    assert_eq!(too_narrow(&roles, &needs).unwrap(), Vec::<String>::new());
    // One action less, one resource less, another condition.
    let promotes = roles.get_mut("PromoteDatabaseRole").unwrap();
    for statement in promotes.iter_mut() {
        statement.actions.retain(|action| action != "rds:FailoverGlobalCluster");
    }
    let fences = roles.get_mut("FenceRegionRole").unwrap();
    for statement in fences.iter_mut() {
        statement
            .resources
            .retain(|resource| !resource.ends_with(":function:radiant-production-router"));
    }
    let probes = roles.get_mut("ProbeHealthRole").unwrap();
    for statement in probes.iter_mut() {
        let by_name = statement
            .conditions
            .iter_mut()
            .filter(|(operator, ..)| operator == "StringEquals");
        for (_, _, values) in by_name {
            *values = vec!["Somebody/Else".to_owned()];
        }
    }
    let found = too_narrow(&roles, &needs).unwrap();
    for (role, needed, count) in [
        ("PromoteDatabaseRole", "rds:FailoverGlobalCluster", 2),
        ("FenceRegionRole", ":function:radiant-production-router", 1),
        ("ProbeHealthRole", "cloudwatch:PutMetricData", 1),
    ] {
        let of_role: Vec<&String> = found
            .iter()
            .filter(|wrong| wrong.starts_with(&format!("{role} needs")))
            .collect();
        assert!(
            of_role.len() >= count && of_role.iter().all(|wrong| wrong.contains(needed)),
            "{role}: {of_role:?}"
        );
    }
    assert!(found.iter().all(|wrong| {
        ["PromoteDatabaseRole", "FenceRegionRole", "ProbeHealthRole"]
            .iter()
            .any(|role| wrong.starts_with(role))
    }));
}

#[test]
fn a_role_that_is_too_wide_is_found() {
    let mut sides = SIDES.concat();
    let more = Statement {
        actions: vec!["rds:DeleteDBCluster".to_owned(), "dynamodb:GetItem".to_owned()],
        resources: vec!["arn:aws:dynamodb:us-west-2:123456789012:table/*".to_owned()],
        conditions: Vec::new(),
    };
    let open = Statement {
        actions: vec!["sns:*".to_owned()],
        resources: vec!["*".to_owned()],
        conditions: Vec::new(),
    };
    let announces = sides[1].roles.get_mut("AnnounceRole").unwrap();
    announces.extend([more, open]);
    assert_eq!(
        too_wide(&sides, &exceptions()).unwrap(),
        [
            "AnnounceRole may rds:DeleteDBCluster on arn:aws:dynamodb:${AWS::Region}:123456789012:table/*, and no rehearsal does"
        ]
    );
    let open = not_named(&sides[1].roles, &TABLE, &exceptions());
    assert_eq!(
        open,
        [
            "AnnounceRole may rds:DeleteDBCluster on arn:aws:dynamodb:us-west-2:123456789012:table/*: name the resource",
            "AnnounceRole may dynamodb:GetItem on arn:aws:dynamodb:us-west-2:123456789012:table/*: name the resource",
            "AnnounceRole may sns:*: name the actions",
            "AnnounceRole may sns:* on *: name the resource",
        ]
    );
}

#[test]
fn an_operation_that_the_table_does_not_know_is_found() {
    let (_, recorded) = &RECORDED[0];
    let mut touched = recorded.touched.first().unwrap().clone();
    touched.operation = "DropEverything".to_owned();
    let error = required(&touched, &TABLE).unwrap_err();
    assert!(
        error.contains("DropEverything") && error.contains("operations.yaml"),
        "{error}"
    );
}

#[test]
fn every_function_was_recorded_in_the_region_where_it_works() {
    for step in STEPS {
        let is_recorded = RECORDED.iter().any(|(plan, recorded)| {
            let regions = &plan.regions;
            // What the data need is done in the Region that serves, and what the loss of a Region needs in the other one.
            let works_in = [&regions.standby.region, &regions.primary.region];
            let mut of_step = recorded.touched.iter().filter(|touched| touched.function == step.name);
            of_step.any(|touched| works_in.contains(&&touched.from_region))
        });
        assert!(is_recorded, "no rehearsal calls {}", step.name);
    }
}
