//! The stack: everything that exists has its place in it, what starts a recovery is what is rehearsed, each rule hears what it
//! must and nothing else, and no name of a platform is in the template. Permissions are in `permissions.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use crate::common::{OBSERVER, PRIMARY, RECOVERY, plan};
use drctl::output::{Exit, Output};
use drctl::parameters::{Parameters, observer_parameters, parameters};
use drctl::render as write_parameters;
use rehearsal::deployment::{MACHINES, STEPS};
use rehearsal::deployments;
use rehearsal::scenarios::region_failure::{self, RegionFailure};
use serde_json::{Value, json};
use shared::plan::{Alarm, BucketName, Function, Plan, SiteName, Start};
use shared::scenario::Scenario;
use shared::step::{Caller, STARTS};
use simulator::aws::cloudwatch::Metric;
use simulator::aws::events::{Target, TargetInput, matches};
use simulator::simulation::{Deployment, hole, machine_hole};
use tests::limits::Size;
use tests::policy::listed;
use tests::render::{Function as StackFunction, Machine, functions, machines, render};
use tests::stack::incomplete;
use tests::template::{Stack, TEMPLATE, root, tool, transformed};

/// The stacks of a plan, the primary Region's first.
fn stacks_of(plan: &Plan) -> [Stack; 2] {
    let both = parameters(plan).unwrap();
    both.map(|(region, parameters)| Stack::render(&plan.account, &region, &parameters).unwrap())
}

/// The parameters of each Region, the observer's last.
fn in_each_region(plan: &Plan) -> Vec<(String, Parameters)> {
    let both = parameters(plan).unwrap();
    both.into_iter().chain(observer_parameters(plan).unwrap()).collect()
}

/// The stacks of the example plan.
fn stacks() -> [Stack; 2] {
    static STACKS: LazyLock<[Stack; 2]> = LazyLock::new(|| stacks_of(&plan()));
    STACKS.clone()
}

/// A plan that has nothing in common with RADIANT's but its form.
fn other_plan() -> Plan {
    let text = include_str!("../../../radiant.plan.yaml");
    let text = [
        ("Radiant", "Shop"),
        ("radiant", "shop"),
        ("eu-west-1", "eu-north-1"),
        ("us-east-1", "eu-central-1"),
        ("us-west-2", "eu-west-1"),
        ("123456789012", "210987654321"),
        ("abc123def4", "qrs987tuv6"),
        ("f5e4d3c2b1", "z5y4x3w2v1"),
        ("Z123456", "Z654321"),
        ("HealthyFromOutside", "Answers"),
        ("stage: v2", "stage: prod"),
        ("/v2/health", "/prod/health"),
        ("switch/recovery-serves", "elsewhere"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let mut plan: Plan = serde_saphyr::from_str(&text).unwrap();
    plan.functions.truncate(2);
    plan
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// What is committed is what is rendered. With UPDATE set, the test writes it.
#[test]
fn template_is_current() {
    let file = root().join("infra/template.yaml");
    let rendered = render(&source(), &functions().unwrap(), &machines().unwrap()).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &rendered).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap();
    let line = committed
        .lines()
        .zip(rendered.lines())
        .position(|(before, now)| before != now);
    assert!(
        committed == rendered,
        "infra/template.yaml is not what its source says, from line {} on; write it again:\n    \
         UPDATE=1 cargo test --package tests --test all template_is_current",
        line.map_or("the end".to_owned(), |index| (index + 1).to_string())
    );
}

fn source() -> String {
    fs::read_to_string(root().join("infra/template.yaml.j2")).unwrap()
}

/// The size of a stack with as many functions and machines: the repository's own, and copies of those functions that
/// machines alone call. Each machine that is made calls every function, and `recovery` starts each.
fn size_of(functions_in_all: usize, machines_in_all: usize) -> Size {
    let mut functions = functions().unwrap();
    let called_by_machines = |function: &&StackFunction| function.called_by == [Caller::Machine];
    let copied: Vec<StackFunction> = functions.iter().filter(called_by_machines).cloned().collect();
    let more = functions_in_all - functions.len();
    functions.extend(
        copied
            .into_iter()
            .cycle()
            .take(more)
            .enumerate()
            .map(|(index, copied)| {
                let name = format!("{}-of-every-service-{index}", copied.name);
                StackFunction { name, ..copied }
            }),
    );
    let every_function: String = functions
        .iter()
        .map(|function| format!("${{{}}}", hole(&function.name)))
        .collect();
    let mut machines = machines().unwrap();
    for index in machines.len()..machines_in_all {
        let name = format!("accidental-deletion-{index}");
        machines[0].definition += &format!("${{{}}}", machine_hole(&name));
        machines.push(Machine {
            name,
            definition: every_function.clone() + "${ApprovalUrl}",
            entry: String::new(),
        });
    }
    let text = render(&source(), &functions, &machines).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    fs::write(&file, &text).unwrap();
    let plan = plan();
    let [_, (region, parameters)] = parameters(&plan).unwrap();
    let processed = transformed(&file, &region, &parameters).unwrap();
    let stack = Stack::of(&processed, &plan.account, &region, &parameters).unwrap();
    assert_eq!(stack.of_kind("AWS::Lambda::Function").count(), functions_in_all);
    assert_eq!(
        stack.of_kind("AWS::StepFunctions::StateMachine").count(),
        machines_in_all
    );
    Size::of(&text, &processed, &stack)
}

#[test]
fn sixty_functions_and_ten_machines_fit() {
    println!("today\n{}", size_of(STEPS.len(), MACHINES.len()));
    let size = size_of(60, 10);
    println!("then\n{size}");
    assert_eq!(size.too_much(), Vec::<String>::new());
}

#[test]
fn a_stack_that_is_too_big_is_found() {
    let too_much = size_of(150, 10).too_much();
    for expected in ["Resources: ", "characters in the inline policies of "] {
        assert!(too_much.iter().any(|text| text.starts_with(expected)), "{too_much:?}");
    }
}

#[test]
fn an_entry_that_says_too_much_or_too_little_is_refused() {
    let refuses = |name: &str, from: &str, to: &str, expected: &str| {
        let mut functions = functions().unwrap();
        let function = functions.iter_mut().find(|function| function.name == name).unwrap();
        assert!(function.entry.contains(from), "{from}");
        function.entry = function.entry.replacen(from, to, 1);
        let error = render(&source(), &functions, &machines().unwrap()).unwrap_err();
        assert!(error.contains(name) && error.contains(expected), "{expected}: {error}");
    };
    refuses("announce", "Statement:", "Statements:", "Statements is not one of");
    refuses(
        "probe-health",
        "Statement:",
        "Statement: []\nStatement:",
        "Statement is there twice",
    );
    refuses("probe-health", "    Input:", "    Inputs:", "Inputs is not one of");
    refuses(
        "release-lock",
        "MaximumRetryAttempts: 2",
        "",
        "has no MaximumRetryAttempts",
    );
    refuses(
        "announce",
        "Statement:",
        "MaximumRetryAttempts: 2\nStatement:",
        "has MaximumRetryAttempts",
    );
    refuses("fence-region", "Other", "There", "Here, Other, Pointed, Read or Seen");
    refuses("stop-scenario", "{{ machine.name }}", "{{ machine.nam }}", "undefined");
    let mut machines = machines().unwrap();
    let region_switch = machines.iter_mut().find(|machine| machine.name == "region-switch");
    region_switch.unwrap().definition += "${RestoreDatabase}";
    let error = render(&source(), &functions().unwrap(), &machines).unwrap_err();
    assert_eq!(
        error,
        "the machine region-switch has ${RestoreDatabase}, which is no function and no machine"
    );
}

#[test]
fn statements_beside_a_machine_are_in_its_role() {
    let mut machines = machines().unwrap();
    let region_switch = machines
        .iter_mut()
        .find(|machine| machine.name == "region-switch")
        .unwrap();
    region_switch.entry = "Statement:\n  - Effect: Allow\n    Action: s3:ListBucket\n    Resource: x\n".to_owned();
    let text = render(&source(), &functions().unwrap(), &machines).unwrap();
    let (_, role) = text.split_once("\n  RegionSwitchMachineRole:\n").unwrap();
    let (role, _) = role.split_once("\n\n").unwrap();
    let expected =
        "              - Effect: Allow\n                Action: s3:ListBucket\n                Resource: x\n";
    assert!(role.contains(expected), "{role}");
}

#[test]
fn the_linters_find_nothing() {
    let validated = run(tool("sam").args([
        "validate",
        "--lint",
        "--region",
        RECOVERY,
        "--template",
        "infra/template.yaml",
    ]));
    assert!(validated.0, "{}", validated.1);
    let linted = run(tool("cfn-lint").args(["--regions", PRIMARY, RECOVERY, "--", "infra/template.yaml"]));
    assert!(linted.0, "{}", linted.1);
}

#[test]
fn the_linters_find_a_defect_that_is_planted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    let text = fs::read_to_string(root().join("infra/template.yaml")).unwrap();
    for (from, to, finds) in [
        ("!GetAtt Undelivered.Arn", "!GetAtt Undelivered.Nothing", "E1010"),
        ("TreatMissingData: missing", "TreatMissingDatum: missing", "E3002"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let (is_sound, said) = run(tool("cfn-lint").arg(&file));
        assert!(!is_sound && said.contains(finds), "{said}");
    }
}

#[test]
fn every_function_and_machine_has_its_place() {
    for stack in stacks() {
        assert_eq!(
            incomplete(&stack, STEPS, MACHINES),
            Vec::<String>::new(),
            "{}",
            stack.region
        );
    }
}

#[test]
fn what_has_no_place_is_found() {
    let [_, stack] = stacks();
    let sound = incomplete(&stack, STEPS, MACHINES);
    assert_eq!(sound, Vec::<String>::new());
    let finds = |change: &dyn Fn(&mut Stack), expected: &str| {
        let mut changed = stack.clone();
        change(&mut changed);
        let found = incomplete(&changed, STEPS, MACHINES);
        assert!(
            found.iter().any(|wrong| wrong.contains(expected)),
            "{expected}: {found:?}"
        );
    };
    fn properties<'a>(stack: &'a mut Stack, name: &str) -> &'a mut Value {
        &mut stack.resources.get_mut(name).unwrap().properties
    }
    finds(
        &|stack| drop(stack.resources.remove("CheckDns")),
        "check-dns has no function CheckDns",
    );
    finds(
        &|stack| drop(stack.resources.remove("CheckDnsLog")),
        "check-dns: it has no log group",
    );
    finds(
        &|stack| drop(stack.resources.remove("RegionSwitchMachine")),
        "has no state machine",
    );
    finds(
        &|stack| properties(stack, "CheckDns")["Role"] = json!("arn:aws:iam::123456789012:role/AnnounceRole"),
        "check-dns: it has no role of its own",
    );
    finds(
        &|stack| properties(stack, "Announce")["Timeout"] = json!(30),
        "announce: Timeout is 30s",
    );
    let substitutions = "DefinitionSubstitutions";
    finds(
        &|stack| {
            drop(
                properties(stack, "RegionSwitchMachine")[substitutions]
                    .as_object_mut()
                    .unwrap()
                    .remove("CheckDns"),
            )
        },
        "nothing fills ${CheckDns}",
    );
    finds(
        &|stack| properties(stack, "RegionSwitchMachine")[substitutions]["More"] = json!("x"),
        "More is given, and there is no such hole",
    );
    let alias = format!("arn:aws:lambda:{RECOVERY}:123456789012:function:radiant-check-dns:live");
    finds(
        &|stack| properties(stack, "RegionSwitchMachine")[substitutions]["CheckDns"] = json!(alias),
        "which is not a published version",
    );
    finds(
        &|stack| properties(stack, "RecoveryNotClosed")["Metrics"] = json!([]),
        "RecoveryNotClosed does not look at its ExecutionsFailed",
    );
    finds(
        &|stack| properties(stack, "ExecutionEnded")["EventPattern"]["detail"]["stateMachineArn"] = json!(["x"]),
        "ExecutionEnded does not hear",
    );
    finds(
        &|stack| drop(stack.resources.remove("RegionSwitchMachineVersion")),
        "region-switch: no version of it is published",
    );
    finds(
        &|stack| {
            let version = stack.resources.get_mut("RegionSwitchMachineVersion").unwrap();
            version.update_replace_policy = None;
        },
        "an update would take a version away",
    );
    finds(
        &|stack| properties(stack, "RecoveryMachine")[substitutions]["RegionSwitchMachine"] = json!("x"),
        "the recovery machine does not start its version",
    );
    // One more in the folders than in the template.
    let mut more = STEPS.to_vec();
    more[0].name = "restore-database";
    let found = incomplete(&stack, &more, &[("database-restore", "{}")]);
    for expected in [
        "restore-database has no function RestoreDatabase in the template",
        "the template has a function ActivateRegion, and there is no folder of it",
        "database-restore has no state machine DatabaseRestoreMachine in the template",
        "the template has a machine RegionSwitchMachine, and there is no file of it",
    ] {
        assert!(found.iter().any(|wrong| wrong == expected), "{expected}: {found:?}");
    }
}

#[test]
fn the_template_knows_no_platform_and_serves_two() {
    let text = fs::read_to_string(root().join("infra/template.yaml"))
        .unwrap()
        .to_lowercase();
    let (mut ours, theirs) = (plan(), other_plan());
    // None of the other plan's Regions.
    ours.observer.as_mut().unwrap().region = "ca-central-1".to_owned();
    for word in ["radiant", "shop", &ours.account, PRIMARY, RECOVERY] {
        assert!(!text.contains(word), "the template says {word}");
    }
    let everything = |plan: &Plan| {
        let stacks = stacks_of(plan);
        let each = stacks.iter().map(|stack| {
            assert_eq!(
                incomplete(stack, STEPS, MACHINES),
                Vec::<String>::new(),
                "{}",
                plan.workload
            );
            let resources = stack.resources.values().map(|resource| resource.properties.to_string());
            resources
                .chain(stack.outputs.values().map(Value::to_string))
                .collect::<String>()
        });
        each.collect::<String>()
    };
    let (rendered, other) = (everything(&ours), everything(&theirs));
    for (one, two, words) in [
        (
            &rendered,
            &other,
            [
                "shop",
                "Shop",
                "eu-central-1",
                "eu-west-1",
                "210987654321",
                "qrs987tuv6",
                "Z654321",
            ],
        ),
        (
            &other,
            &rendered,
            [
                "radiant",
                "Radiant",
                PRIMARY,
                RECOVERY,
                "123456789012",
                "abc123def4",
                "Z123456",
            ],
        ),
    ] {
        for word in words {
            // The hosted zone is used only by a plan without a switch object.
            assert!(two.contains(word) || word.starts_with('Z'), "{word} came to nothing");
            assert!(!one.contains(word), "{word} is where it does not belong");
        }
    }
}

#[test]
fn without_a_switch_object_the_record_may_be_changed_and_nothing_is_public() {
    let mut plan = other_plan();
    plan.dns.switch_object = None;
    for stack in stacks_of(&plan) {
        assert!(!stack.resources.contains_key("Switch"));
        let role = stack.resource("SwitchDnsRole").properties.to_string();
        assert!(role.contains("hostedzone/Z654321") && !role.contains("s3:"), "{role}");
    }
}

/// What is added to the stack later recovers, unless it says that the observer has it too.
#[test]
fn with_the_observer_there_is_what_looks_and_nothing_that_recovers() {
    let plan = plan();
    let (region, parameters) = observer_parameters(&plan).unwrap().unwrap();
    assert_eq!(region, OBSERVER);
    let stack = Stack::render(&plan.account, &region, &parameters).unwrap();
    let named = |kinds: &[&str]| -> Vec<&String> {
        let resources = stack.resources.iter();
        let such = resources.filter(|(_, resource)| kinds.contains(&resource.kind.as_str()));
        such.map(|(name, _)| name).collect()
    };
    // What makes the function's version, and hands over what it could not be called with, is SAM's.
    let of_sam = [
        "AWS::Lambda::Version",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
    ];
    let resources = stack.resources.iter();
    let ours = resources.filter(|(_, resource)| !of_sam.contains(&resource.kind.as_str()));
    let ours: Vec<&str> = ours.map(|(name, _)| name.as_str()).collect();
    let expected = [
        "ProbeHealth",
        "ProbeHealthLog",
        "ProbeHealthRole",
        "ProbeHealthSchedule",
        "ProbeHealthStarts",
        "ProbeSilent",
        "Records",
        "SchedulerRole",
        "SomethingUndelivered",
        "Topic",
        "TopicKey",
        "TopicPolicy",
        "Undelivered",
    ];
    assert_eq!(ours, expected);
    assert_eq!(named(&of_sam).len(), 3, "{:?}", named(&of_sam));
    let outputs: Vec<&String> = stack.outputs.keys().collect();
    assert_eq!(outputs, ["Topic", "Undelivered"]);
    let mut without = plan;
    without.observer = None;
    assert!(observer_parameters(&without).unwrap().is_none());
}

/// Alarms of any scenario, in either Region, start what `start-recovery` decides; the stack makes the one on the loss of a
/// Region, where the plan has it in the standby Region.
#[test]
fn a_plan_without_an_alarm_on_the_other_regions_loss_is_deployed() {
    let mut plan = plan();
    let alarm = |name: &str, region, scenario, start| Alarm {
        name: name.to_owned(),
        region,
        scenario,
        start,
    };
    plan.alarms = vec![
        alarm("zone", SiteName::Primary, Scenario::AZ_FAILURE, Start::Approve),
        alarm("region", SiteName::Primary, Scenario::REGION_FAILURE, Start::Off),
        alarm(
            "deleted",
            SiteName::Standby,
            Scenario::ACCIDENTAL_DELETION,
            Start::Automatic,
        ),
    ];
    let heard =
        |stack: &Stack| listed(&stack.resource("AlarmStateChange").properties["EventPattern"]["detail"]["alarmName"]);
    let [primary, standby] = stacks_of(&plan);
    assert_eq!(
        (heard(&primary), heard(&standby)),
        (vec!["zone".to_owned(), "region".to_owned()], vec!["deleted".to_owned()])
    );
    let mut alarms = standby.of_kind("AWS::CloudWatch::Alarm").map(|(name, _)| name);
    assert!(!alarms.any(|name| name.starts_with("Watch")) && !standby.resources.contains_key("Watch"));
    assert!(standby.resources.contains_key("ProbeHealthSchedule"));
    let dashboard = |stack: &Stack| {
        let body = stack.resource("Dashboard").properties["DashboardBody"]
            .as_str()
            .unwrap()
            .to_owned();
        serde_json::from_str::<Value>(&body).unwrap()["widgets"].clone()
    };
    assert_eq!(
        dashboard(&standby)[0]["properties"]["alarms"].as_array().unwrap().len(),
        5
    );
    assert!(dashboard(&standby)[1]["properties"]["annotations"].is_object());
    plan.alarms.clear();
    plan.scenarios.remove(&Scenario::REGION_FAILURE);
    let [primary, standby] = stacks_of(&plan);
    assert!(!primary.resources.contains_key("AlarmStateChange"));
    assert!(dashboard(&standby)[1]["properties"].get("annotations").is_none());
}

#[test]
fn an_alarm_that_asks_first_or_starts_nothing_is_made_all_the_same() {
    for start in [Start::Approve, Start::Off] {
        let mut plan = plan();
        plan.alarms[0].start = start;
        let [_, standby] = stacks_of(&plan);
        assert_eq!(
            standby.resource("Watch").properties["AlarmName"],
            json!(plan.alarms[0].name)
        );
    }
}

#[test]
fn one_object_is_public_and_nothing_else() {
    let [primary, recovery] = stacks();
    assert!(!primary.resources.contains_key("Switch"));
    let mut public = Vec::new();
    for stack in [&primary, &recovery] {
        for (name, policy) in stack.of_kind("AWS::S3::BucketPolicy") {
            for statement in policy.properties["PolicyDocument"]["Statement"].as_array().unwrap() {
                if statement["Effect"] == "Allow" {
                    assert_eq!(statement["Action"], "s3:GetObject", "{name}");
                    public.extend(listed(&statement["Resource"]));
                }
            }
        }
        for (name, bucket) in stack.of_kind("AWS::S3::Bucket").filter(|(name, _)| *name != "Switch") {
            let blocked = bucket.properties["PublicAccessBlockConfiguration"].as_object().unwrap();
            assert!(
                blocked.len() == 4 && blocked.values().all(|blocks| *blocks == json!(true)),
                "{name}"
            );
        }
    }
    assert_eq!(
        public,
        ["arn:aws:s3:::radiant-dr-switch-us-west-2/switch/recovery-serves"]
    );
}

/// The switch object is what the public name depends on: who may delete it, what watches it, and what tells of it.
#[test]
fn the_switch_object_is_kept_from_others_and_watched() {
    let [primary, standby] = stacks();
    let statements = standby.resource("SwitchPolicy").properties["PolicyDocument"]["Statement"].clone();
    let denied = statements
        .as_array()
        .unwrap()
        .iter()
        .find(|said| said["Effect"] == "Deny")
        .unwrap();
    assert_eq!(denied["Action"], json!(["s3:DeleteObject", "s3:DeleteObjectVersion"]));
    assert_eq!(
        denied["Condition"],
        json!({ "ArnNotLike": { "aws:PrincipalArn": "arn:aws:iam::123456789012:role/*-SwitchDnsRole-*" } })
    );
    for stack in [&primary, &standby] {
        assert!(stack.resources.contains_key("SwitchDnsRole"));
    }

    assert!(!primary.resources.contains_key("SwitchCheck"));
    let check = &standby.resource("SwitchCheck").properties["HealthCheckConfig"];
    assert_eq!(
        (&check["FullyQualifiedDomainName"], &check["ResourcePath"]),
        (
            &json!("radiant-dr-switch-us-west-2.s3.us-west-2.amazonaws.com"),
            &json!("/switch/recovery-serves")
        )
    );
    assert_eq!(check["Inverted"], json!(true));

    // The metric of a health check is in us-east-1 alone.
    assert!(!standby.resources.contains_key("NameMoved"));
    let alarm = &primary.resource("NameMoved").properties;
    let id = plan().dns.switch_object.unwrap().health_check.unwrap().0;
    assert_eq!(alarm["Dimensions"], json!([{ "Name": "HealthCheckId", "Value": id }]));
    let mut parameters = self::parameters(&plan()).unwrap();
    let (region, before) = &mut parameters[0];
    before.insert("SwitchHealthCheck".to_owned(), String::new());
    let before = Stack::render("123456789012", region, before).unwrap();
    assert!(
        !before.resources.contains_key("NameMoved"),
        "nothing is known of it before it is made"
    );
}

/// A recovery says of an account that it is too small to reserve this.
#[test]
fn what_the_functions_reserve_together_is_what_the_assessment_says() {
    let functions = i32::try_from(STEPS.len()).unwrap();
    assert_eq!(assess_region::OWN_CONCURRENCY, functions * drctl::parameters::RESERVED);
}

#[test]
fn every_function_has_concurrency_of_its_own_where_the_account_allows_it() {
    let [_, (region, mut parameters)] = parameters(&plan()).unwrap();
    parameters.insert("ReservedConcurrency".to_owned(), "5".to_owned());
    let reserving = Stack::render("123456789012", &region, &parameters).unwrap();
    for step in STEPS {
        let function = |stack: &Stack| stack.resource(&hole(step.name)).properties.clone();
        assert_eq!(
            function(&reserving)["ReservedConcurrentExecutions"],
            json!("5"),
            "{}",
            step.name
        );
        let [_, usual] = stacks();
        assert_eq!(
            function(&usual).get("ReservedConcurrentExecutions"),
            None,
            "{}",
            step.name
        );
    }
}

#[test]
fn reports_can_be_locked() {
    let [_, (region, mut parameters)] = parameters(&plan()).unwrap();
    parameters.insert("ReportsLockedDays".to_owned(), "30".to_owned());
    let locked = Stack::render("123456789012", &region, &parameters).unwrap();
    let reports = &locked.resource("Reports").properties;
    assert_eq!(reports["ObjectLockEnabled"], json!(true));
    let retention = reports.pointer("/ObjectLockConfiguration/Rule/DefaultRetention");
    assert_eq!(retention, Some(&json!({ "Mode": "GOVERNANCE", "Days": "30" })));
    let [_, usual] = stacks();
    let reports = &usual.resource("Reports").properties;
    assert_eq!(
        (&reports["ObjectLockEnabled"], reports.get("ObjectLockConfiguration")),
        (&json!(false), None)
    );
}

/// Policies have a largest size (IAM User Guide, "IAM and AWS STS quotas"): 6,144 characters each of ten managed ones, and
/// 10,240 all inline ones of a role together, without white space.
#[test]
fn two_hundred_functions_fit_into_policies() {
    let mut plan = plan();
    plan.functions = (0..200)
        .map(|index| Function {
            name: format!("radiant-production-function-{index:03}"),
            reserved_concurrency: None,
            alias: None,
        })
        .collect();
    let size = |document: &Value| document.to_string().chars().filter(|c| !c.is_whitespace()).count();
    for stack in stacks_of(&plan) {
        let mut attached: BTreeMap<String, usize> = BTreeMap::new();
        let mut named = 0;
        for (name, policy) in stack.of_kind("AWS::IAM::ManagedPolicy") {
            let size = size(&policy.properties["PolicyDocument"]);
            assert!(size <= 6_144, "{name} has {size} characters");
            for role in listed(&policy.properties["Roles"]) {
                *attached.entry(role).or_default() += 1;
            }
            if name.starts_with("FunctionsHere") {
                named += listed(&policy.properties["PolicyDocument"]["Statement"][0]["Resource"]).len();
            }
        }
        assert_eq!(named, 200);
        assert!(attached.values().all(|count| *count <= 10), "{attached:?}");
        for (name, role) in stack.of_kind("AWS::IAM::Role") {
            let policies = role.properties["Policies"].as_array().unwrap();
            let size: usize = policies.iter().map(|policy| size(&policy["PolicyDocument"])).sum();
            assert!(size <= 10_240, "{name} has {size} characters");
        }
    }
}

#[test]
fn sam_reads_the_files_that_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut output = Output::new();
    assert_eq!(write_parameters(&plan(), folder.path(), &mut output), Exit::Success);
    for (region, parameters) in in_each_region(&plan()) {
        let file = folder.path().join(format!("{region}.yaml"));
        let read = "import json, sys; from samcli.cli.types import CfnParameterOverridesType as T; \
                    print(json.dumps(T().convert((sys.argv[1],), None, None)))";
        let (is_read, said) = run(tool("python").args(["-c", read, &format!("file://{}", file.display())]));
        assert!(is_read, "{said}");
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), json!(parameters));
    }
}

/// An event that a rule must or must not hear, and why.
struct Heard {
    rule: &'static str,
    event: Value,
    is_heard: bool,
    what: &'static str,
}

fn event(file: &str) -> Value {
    let path = root().join("tests/fixtures/events").join(file);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The event with other values at these places.
fn with(mut event: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        *event
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("the event has no {pointer}")) = value.clone();
    }
    event
}

fn events_of_rules() -> Vec<Heard> {
    let ours = json!("radiant-unhealthy-from-outside");
    let raised = with(
        event("cloudwatch-alarm-composite.json"),
        &[("/detail/alarmName", ours.clone())],
    );
    let cluster = json!(["arn:aws:rds:us-west-2:123456789012:cluster:radiant-dr-cluster"]);
    let of_cluster = |id: &str| {
        let changes = [
            ("/detail-type", json!("RDS DB Cluster Event")),
            ("/resources", cluster.clone()),
            ("/detail/SourceType", json!("CLUSTER")),
            ("/detail/EventID", json!(id)),
        ];
        with(event("rds-db-instance-event.json"), &changes)
    };
    let of_instance = |id: &str| with(event("rds-db-instance-event.json"), &[("/detail/EventID", json!(id))]);
    let machine = "arn:aws:states:us-west-2:123456789012:stateMachine:radiant-recovery";
    let ended = |status: &str| {
        let changes = [
            ("/detail/stateMachineArn", json!(machine)),
            ("/detail/status", json!(status)),
        ];
        with(event("step-functions-execution-aborted.json"), &changes)
    };
    let heard = |rule, is_heard, what, event| Heard {
        rule,
        event,
        is_heard,
        what,
    };
    vec![
        heard(
            "AlarmStateChange",
            true,
            "an alarm of the plan is raised",
            raised.clone(),
        ),
        heard(
            "AlarmStateChange",
            false,
            "it goes back to OK",
            with(raised.clone(), &[("/detail/state/value", json!("OK"))]),
        ),
        heard(
            "AlarmStateChange",
            false,
            "another alarm is raised",
            event("cloudwatch-alarm-composite.json"),
        ),
        heard(
            "AlarmStateChange",
            false,
            "a contributor of the alarm is raised, which is not the alarm",
            with(
                event("cloudwatch-alarm-contributor.json"),
                &[("/detail/alarmName", ours.clone())],
            ),
        ),
        heard(
            "AlarmStateChange",
            false,
            "the alarm is changed",
            with(
                event("cloudwatch-alarm-configuration-change.json"),
                &[("/detail/alarmName", ours)],
            ),
        ),
        heard(
            "AlarmStateChange",
            false,
            "somebody else's event looks like it",
            with(raised, &[("/source", json!("shop.cloudwatch"))]),
        ),
        heard(
            "DatabaseEvents",
            true,
            "a global failover has completed",
            of_cluster("RDS-EVENT-0238"),
        ),
        heard(
            "DatabaseEvents",
            true,
            "a resynchronisation has finished",
            of_cluster("RDS-EVENT-0241"),
        ),
        heard(
            "DatabaseEvents",
            true,
            "writes on the old side are blocked",
            of_instance("RDS-EVENT-0390"),
        ),
        heard(
            "DatabaseEvents",
            false,
            "an instance is stopped",
            event("rds-db-instance-event.json"),
        ),
        heard(
            "DatabaseEvents",
            false,
            "a backup of the cluster",
            of_cluster("RDS-EVENT-0168"),
        ),
        heard(
            "DatabaseEvents",
            false,
            "another cluster has failed over",
            with(
                of_cluster("RDS-EVENT-0238"),
                &[(
                    "/resources",
                    json!(["arn:aws:rds:us-west-2:123456789012:cluster:other"]),
                )],
            ),
        ),
        heard("ExecutionEnded", true, "an execution is stopped", ended("ABORTED")),
        heard("ExecutionEnded", true, "an execution times out", ended("TIMED_OUT")),
        heard("ExecutionEnded", true, "an execution fails", ended("FAILED")),
        heard("ExecutionEnded", false, "an execution begins", ended("RUNNING")),
        heard("ExecutionEnded", false, "an execution succeeds", ended("SUCCEEDED")),
        heard(
            "ExecutionEnded",
            false,
            "another machine's is stopped",
            with(
                ended("ABORTED"),
                &[("/detail/stateMachineArn", json!(format!("{machine}-2")))],
            ),
        ),
    ]
}

/// What a rule hears wrongly, or does not hear, in the standby Region's stack.
fn misheard(stack: &Stack, heard: &[Heard]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (rule, resource) in stack.of_kind("AWS::Events::Rule") {
        let of_rule = || heard.iter().filter(|heard| heard.rule == rule);
        for is_heard in [true, false] {
            if !of_rule().any(|heard| heard.is_heard == is_heard) {
                wrong.push(format!(
                    "{rule} has no event that it must {}hear",
                    if is_heard { "" } else { "not " }
                ));
            }
        }
        let pattern = &resource.properties["EventPattern"];
        let misheard = of_rule().filter(|heard| matches(pattern, &heard.event) != heard.is_heard);
        wrong.extend(misheard.map(|heard| format!("{rule}: {}", heard.what)));
    }
    wrong
}

#[test]
fn each_rule_hears_what_it_must_and_nothing_else() {
    let [_, stack] = stacks();
    assert_eq!(misheard(&stack, &events_of_rules()), Vec::<String>::new());
}

#[test]
fn a_pattern_that_is_too_wide_or_too_narrow_is_found() {
    let [_, stack] = stacks();
    let heard = events_of_rules();
    let finds = |rule: &str, pointer: &str, value: Option<Value>, expected: &str| {
        let mut changed = stack.clone();
        let pattern = &mut changed.resources.get_mut(rule).unwrap().properties["EventPattern"];
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = pattern.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(parent.insert(field.to_owned(), value)),
            None => drop(parent.remove(field).unwrap()),
        }
        let found = misheard(&changed, &heard);
        assert_eq!(found, [expected], "{rule} {pointer}");
    };
    finds(
        "AlarmStateChange",
        "/detail/state",
        None,
        "AlarmStateChange: it goes back to OK",
    );
    finds(
        "AlarmStateChange",
        "/detail/alarmName",
        Some(json!(["ServiceDown", "radiant-unhealthy-from-outside"])),
        "AlarmStateChange: another alarm is raised",
    );
    finds(
        "AlarmStateChange",
        "/detail-type",
        Some(json!([{ "prefix": "CloudWatch Alarm State" }, { "prefix": "CloudWatch Alarm Contributor" }])),
        "AlarmStateChange: a contributor of the alarm is raised, which is not the alarm",
    );
    finds(
        "ExecutionEnded",
        "/detail/status",
        Some(json!(["FAILED", "TIMED_OUT"])),
        "ExecutionEnded: an execution is stopped",
    );
    finds(
        "ExecutionEnded",
        "/detail/stateMachineArn",
        None,
        "ExecutionEnded: another machine's is stopped",
    );
    // A rule without events of its own.
    let mut changed = stack.clone();
    let rule = changed.resource("ExecutionEnded").clone();
    changed.resources.insert("More".to_owned(), rule);
    assert_eq!(
        misheard(&changed, &heard),
        [
            "More has no event that it must hear",
            "More has no event that it must not hear"
        ]
    );
}

#[test]
fn each_target_admits_its_rule_and_what_is_not_delivered_is_kept() {
    for stack in stacks() {
        let queue = &stack.resource("Undelivered").arn;
        let kept_for = &stack.resource("UndeliveredPolicy").properties["PolicyDocument"]["Statement"][0];
        let kept_for = listed(&kept_for["Condition"]["ArnEquals"]["aws:SourceArn"]);
        for (name, rule) in stack.of_kind("AWS::Events::Rule") {
            assert!(
                kept_for.contains(&rule.arn),
                "the queue does not take what {name} cannot deliver"
            );
            for target in rule.properties["Targets"].as_array().unwrap() {
                assert_eq!(target["DeadLetterConfig"]["Arn"], json!(queue), "{name}");
                let admits = match target["Arn"].as_str().unwrap() {
                    topic if topic == stack.resource("Topic").arn => {
                        let policy = &stack.resource("TopicPolicy").properties["PolicyDocument"]["Statement"];
                        // EventBridge takes no conditions in a topic's policy.
                        policy.as_array().unwrap().iter().any(|statement| {
                            statement["Principal"] == json!({ "Service": "events.amazonaws.com" })
                                && statement["Action"] == "sns:Publish"
                                && statement["Resource"] == json!(topic)
                                && statement.get("Condition").is_none()
                        })
                    }
                    function => stack.of_kind("AWS::Lambda::Permission").any(|(_, permission)| {
                        permission.properties["FunctionName"] == json!(function)
                            && permission.properties["SourceArn"] == json!(rule.arn)
                            && permission.properties["Principal"] == "events.amazonaws.com"
                            && permission.properties["Action"] == "lambda:InvokeFunction"
                    }),
                };
                assert!(admits, "{name} may not call {}", target["Arn"]);
            }
        }
        for (name, schedule) in stack.of_kind("AWS::Scheduler::Schedule") {
            assert_eq!(
                schedule.properties["Target"]["DeadLetterConfig"]["Arn"],
                json!(queue),
                "{name}"
            );
        }
        for (function, resource) in stack.of_kind("AWS::Lambda::Function") {
            let dead_letters = &resource.properties["DeadLetterConfig"]["TargetArn"];
            let kept = *dead_letters == json!(queue)
                || stack.of_kind("AWS::Lambda::EventInvokeConfig").any(|(_, config)| {
                    config.properties["FunctionName"] == resource.properties["FunctionName"]
                        && config.properties["Qualifier"] == "live"
                        && config.properties["DestinationConfig"]["OnFailure"]["Destination"] == json!(queue)
                });
            assert!(kept, "what {function} fails at three times is lost");
        }
    }
}

/// One that cannot start is found before the disaster.
#[test]
fn each_function_is_called_once_a_week_with_what_does_nothing() {
    for stack in stacks() {
        let weekly = stack.of_kind("AWS::Scheduler::Schedule").filter(|(_, schedule)| {
            let properties = &schedule.properties;
            properties["ScheduleExpression"] == "rate(7 days)" && properties["Target"]["Input"] == STARTS
        });
        let called: BTreeSet<String> = weekly
            .map(|(_, schedule)| schedule.properties["Target"]["Arn"].as_str().unwrap().to_owned())
            .collect();
        let functions = stack.of_kind("AWS::Lambda::Function");
        let functions: BTreeSet<String> = functions
            .map(|(_, function)| format!("{}:live", function.arn))
            .collect();
        assert_eq!(called, functions);
    }
}

/// An alarm that stays raised says nothing of the next event that is given up.
#[test]
fn what_is_undelivered_raises_its_alarm_each_time() {
    for stack in stacks() {
        let alarm = &stack.resource("SomethingUndelivered").properties;
        assert_eq!(
            (&alarm["MetricName"], &alarm["Statistic"]),
            (&json!("NumberOfMessagesSent"), &json!("Sum"))
        );
    }
}

/// IAM's names hold for all Regions, and a permission set of IAM Identity Center finds a policy by its name.
#[test]
fn policies_for_people_have_fixed_names_of_their_own_in_each_region() {
    for (policy, name) in [
        ("Approvers", "approvers"),
        ("Operators", "operators"),
        ("Heartbeat", "heartbeat"),
        ("Ledger", "ledger"),
    ] {
        let names = stacks().map(|stack| {
            let policy = &stack.resource(policy).properties;
            policy["ManagedPolicyName"].as_str().unwrap().to_owned()
        });
        assert_eq!(
            names,
            [PRIMARY, RECOVERY].map(|region| format!("radiant-{name}-{region}"))
        );
    }
}

#[test]
fn the_topics_key_admits_who_publishes() {
    for stack in stacks() {
        let topic = &stack.resource("Topic").properties;
        assert_eq!(topic["KmsMasterKeyId"], json!("TopicKey"));
        let statements = stack.resource("TopicKey").properties["KeyPolicy"]["Statement"].clone();
        let services: Vec<String> = statements
            .as_array()
            .unwrap()
            .iter()
            .filter(|statement| {
                let actions = listed(&statement["Action"]);
                ["kms:Decrypt", "kms:GenerateDataKey"]
                    .iter()
                    .all(|needed| actions.iter().any(|action| action == needed))
            })
            .flat_map(|statement| listed(&statement["Principal"]["Service"]))
            .collect();
        assert_eq!(services, ["cloudwatch.amazonaws.com", "events.amazonaws.com"]);
    }
}

#[test]
fn a_template_that_is_not_understood_is_said() {
    let [_, (region, parameters)] = parameters(&plan()).unwrap();
    let mut template = transformed(&root().join(TEMPLATE), &region, &parameters).unwrap();
    template["Resources"]["Records"]["Properties"]["TableName"] = json!({ "Fn::ImportValue": "x" });
    let error = Stack::of(&template, "1", &region, &parameters).unwrap_err();
    assert!(error.contains("Fn::ImportValue"), "{error}");
    let mut parameters = parameters;
    parameters.insert("Unknown".to_owned(), String::new());
    let error = Stack::of(&template, "1", &region, &parameters).unwrap_err();
    assert!(error.contains("no parameter Unknown"), "{error}");
}

#[test]
fn each_regions_report_bucket_is_its_own() {
    let mut plan = plan();
    plan.regions.standby.reports = BucketName("elsewhere-reports".to_owned());
    let [primary, recovery] = stacks_of(&plan);
    let bucket = |stack: &Stack| stack.resource("Reports").properties["BucketName"].clone();
    assert_eq!(bucket(&primary), json!("radiant-recovery-reports-us-east-1"));
    assert_eq!(bucket(&recovery), json!("elsewhere-reports"));
}

/// Dollars of a month in the guide's table: what, the standby Region's, the primary's.
fn costs(guide: &str) -> BTreeMap<String, [f64; 2]> {
    let (_, table) = guide.split_once("| | price |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let each = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let dollars = |cell: &str| cell.parse().unwrap_or_default();
        (cells[1].to_owned(), [dollars(cells[3]), dollars(cells[4])])
    });
    each.collect()
}

#[test]
fn what_it_costs_adds_up_and_follows_from_the_template() {
    let mut costs = costs(&fs::read_to_string(root().join("docs/deploy.md")).unwrap());
    let sum = costs.remove("Sum").unwrap();
    costs.remove("Dashboard, once").unwrap();
    let [primary, recovery] = stacks();
    for (index, stack) in [&recovery, &primary].into_iter().enumerate() {
        let added: f64 = costs.values().map(|dollars| dollars[index]).sum();
        assert!((added - sum[index]).abs() < 0.005, "{added} is not {}", sum[index]);
        assert!(sum[index] < 5.0, "{}", stack.region);
        let metrics: usize = stack
            .of_kind("AWS::CloudWatch::Alarm")
            .map(|(_, alarm)| match alarm.properties["Metrics"].as_array() {
                None => 1,
                Some(queries) => queries.iter().filter(|query| query.get("MetricStat").is_some()).count(),
            })
            .sum();
        let count = |kind: &str| stack.of_kind(kind).count() as f64;
        for (what, expected) in [
            ("Metrics of alarms", 0.10 * metrics as f64),
            ("Composite alarm", 0.50 * count("AWS::CloudWatch::CompositeAlarm")),
            ("Key of the topic", count("AWS::KMS::Key")),
        ] {
            let said = costs[what][index];
            assert!(
                (said - expected).abs() < 0.005,
                "{what} in {}: {said} is not {expected}",
                stack.region
            );
        }
        assert_eq!(count("AWS::CloudWatch::Dashboard") as usize, usize::from(index == 0));
    }
}

#[test]
fn the_dashboard_shows_what_is_there() {
    let [_, stack] = stacks();
    let body = stack.resource("Dashboard").properties["DashboardBody"]
        .as_str()
        .unwrap()
        .to_owned();
    let body: Value = serde_json::from_str(&body).unwrap();
    let text = body.to_string();
    for (name, alarm) in stack
        .of_kind("AWS::CloudWatch::Alarm")
        .chain(stack.of_kind("AWS::CloudWatch::CompositeAlarm"))
    {
        assert!(text.contains(&alarm.arn), "it does not show {name}");
    }
    // The machines of scenarios run for it.
    let recovery = &stack.resource("RecoveryMachine").arn;
    assert!(text.contains(recovery), "it does not show {recovery}");
    for shown in [
        "AuroraGlobalDBRPOLag",
        "HealthyFromOutside",
        "AchievedRto",
        "AchievedRtoAtLeast",
        "AchievedRpo",
        "${PROP('Dim.Scenario')}",
    ] {
        assert!(text.contains(shown), "it does not show {shown}");
    }
    let expressions = body["widgets"].as_array().unwrap().iter().flat_map(|widget| {
        let metrics = widget["properties"]["metrics"].as_array().into_iter().flatten();
        metrics.filter_map(|metric| metric.pointer("/0/expression").and_then(Value::as_str))
    });
    for expression in expressions {
        assert!(
            expression.matches('(').count() == expression.matches(')').count(),
            "{expression}"
        );
    }
}

/// What starts functions in a Region: name, what must be, and what is called with what, for rules and for schedules.
type Starts = BTreeMap<String, (Value, String, Value)>;

/// Of a stack. A rule's template is no JSON before an event is in it, and stands as its text.
fn starts_of_stack(stack: &Stack) -> Starts {
    let function = |arn: &Value| arn.as_str().unwrap().split(':').nth(6).unwrap_or_default().to_owned();
    let rules = stack.of_kind("AWS::Events::Rule").flat_map(|(_, rule)| {
        let targets = rule.properties["Targets"].as_array().unwrap().iter();
        let functions = targets.filter(|target| target["Arn"].as_str().unwrap().contains(":function:"));
        functions.map(|target| {
            let name = rule.properties["Name"].as_str().unwrap().to_owned();
            let input = target["InputTransformer"]["InputTemplate"].clone();
            (
                name,
                (rule.properties["EventPattern"].clone(), function(&target["Arn"]), input),
            )
        })
    });
    // No rehearsal lasts until each function is called to see whether it starts.
    let rehearsed = stack
        .of_kind("AWS::Scheduler::Schedule")
        .filter(|(_, schedule)| schedule.properties["Target"]["Input"] != STARTS);
    let schedules = rehearsed.map(|(_, schedule)| {
        let (name, target) = (
            schedule.properties["Name"].as_str().unwrap(),
            &schedule.properties["Target"],
        );
        let input = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
        let every = schedule.properties["ScheduleExpression"].clone();
        (name.to_owned(), (every, function(&target["Arn"]), input))
    });
    rules.chain(schedules).collect()
}

/// Of a rehearsal.
fn starts_of_rehearsal(deployment: &Deployment) -> Starts {
    let function = |arn: &str| arn.split(':').nth(6).unwrap_or_default().to_owned();
    let rules = deployment.rules.iter().flat_map(|rule| {
        rule.targets.iter().map(|target| match target {
            Target::Function {
                arn,
                input: TargetInput::Transformed(transformed),
            } => (
                rule.name.clone(),
                (rule.pattern.clone(), function(arn), json!(transformed.template)),
            ),
            other => panic!("{} has a target that the template does not have: {other:?}", rule.name),
        })
    });
    let schedules = deployment.schedules.iter().map(|schedule| {
        let every = match schedule.every.as_secs() / 60 {
            1 => json!("rate(1 minute)"),
            minutes => json!(format!("rate({minutes} minutes)")),
        };
        (
            schedule.name.clone(),
            (every, function(&schedule.target_arn), schedule.input.clone()),
        )
    });
    rules.chain(schedules).collect()
}

/// A value in which lists stand in one order, for lists whose order says nothing.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), sorted(field)))
            .collect(),
        plain => plain.clone(),
    }
}

#[test]
fn what_starts_functions_is_what_is_rehearsed() {
    let plan = plan();
    let rehearsed = deployments(&plan, &RegionFailure, true).unwrap();
    for (region, mut parameters) in in_each_region(&plan) {
        // A rehearsal's account has no other workload.
        parameters.insert("Prefix".to_owned(), String::new());
        let stack = Stack::render(&plan.account, &region, &parameters).unwrap();
        let rehearsed = rehearsed.iter().find(|deployment| deployment.region == region).unwrap();
        let comparable = |starts: Starts| -> Starts {
            let each = starts.into_iter();
            each.map(|(name, (when, function, input))| (name, (sorted(&when), function, input)))
                .collect()
        };
        let mut deployed = comparable(starts_of_stack(&stack));
        let mut of_rehearsal = comparable(starts_of_rehearsal(rehearsed));
        if region == PRIMARY {
            // The primary has alarms of other scenarios too.
            let alarms = |starts: &mut Starts| {
                let (rule, ..) = starts.get_mut("alarm-state-change").unwrap();
                let names = rule["detail"]["alarmName"].take();
                names.as_array().unwrap().clone()
            };
            let (all, this) = (alarms(&mut deployed), alarms(&mut of_rehearsal));
            assert!(this.iter().all(|alarm| all.contains(alarm)), "{this:?} of {all:?}");
        }
        assert_eq!(deployed, of_rehearsal, "{region}");
    }
}

#[test]
fn the_alarms_are_those_that_are_rehearsed() {
    let plan = plan();
    let [primary, standby] = stacks();
    for (watches, stack) in [(SiteName::Primary, primary), (SiteName::Standby, standby)] {
        let rehearsed = region_failure::alarms(&plan, watches).unwrap();
        are_those_that_are_rehearsed(&stack, rehearsed);
    }
}

fn are_those_that_are_rehearsed(stack: &Stack, rehearsed: region_failure::Alarms) {
    assert_eq!(
        stack.resources.contains_key("WatchReplication"),
        rehearsed.replication.is_some()
    );
    let each = [
        ("WatchProbe", &rehearsed.probe),
        ("WatchServes", &rehearsed.serves),
        ("WatchMaintenance", &rehearsed.maintenance),
    ];
    let replication = rehearsed.replication.as_ref().map(|alarm| ("WatchReplication", alarm));
    for (name, alarm) in each.into_iter().chain(replication) {
        let deployed = &stack.resource(name).properties;
        let number = |field: &str| -> f64 {
            let value = &deployed[field];
            value
                .as_f64()
                .or_else(|| value.as_str()?.parse().ok())
                .unwrap_or(f64::NAN)
        };
        let metric = |metric: &Metric| {
            let dimensions = metric.dimensions.iter();
            let dimensions: Vec<Value> = dimensions
                .map(|(name, value)| json!({ "Name": name, "Value": value }))
                .collect();
            json!({ "Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions })
        };
        assert_eq!(deployed["AlarmName"], json!(alarm.name));
        let (statistic, period) = (format!("{:?}", alarm.statistic), alarm.period.as_secs());
        if alarm.or_metrics.is_empty() {
            for (field, value) in metric(&alarm.metric).as_object().unwrap() {
                assert_eq!(&deployed[field], value, "{name}");
            }
            assert_eq!(deployed["Statistic"], json!(statistic), "{name}");
            assert_eq!(number("Period"), alarm.period.as_secs_f64(), "{name}");
        } else {
            let [math, metrics @ ..] = deployed["Metrics"].as_array().unwrap().as_slice() else {
                panic!("{name} has no metrics");
            };
            assert_eq!(math["Expression"], json!(alarm.expression()), "{name}");
            let rehearsed = alarm.metrics().enumerate().map(|(index, of)| {
                let stat = json!({ "Metric": metric(of), "Period": period, "Stat": statistic });
                json!({ "Id": format!("m{index}"), "MetricStat": stat, "ReturnData": false })
            });
            assert_eq!(json!(metrics), json!(rehearsed.collect::<Vec<_>>()), "{name}");
        }
        assert_eq!(
            number("EvaluationPeriods"),
            f64::from(alarm.evaluation_periods),
            "{name}"
        );
        let of_these = if deployed.get("DatapointsToAlarm").is_some() {
            "DatapointsToAlarm"
        } else {
            "EvaluationPeriods"
        };
        assert_eq!(number(of_these), f64::from(alarm.datapoints_to_alarm), "{name}");
        assert_eq!(number("Threshold"), alarm.threshold, "{name}");
        assert_eq!(
            deployed["ComparisonOperator"],
            json!(format!("{:?}Threshold", alarm.comparison)),
            "{name}"
        );
        let missing = format!("{:?}", alarm.treat_missing_data).to_lowercase();
        assert_eq!(
            deployed["TreatMissingData"].as_str().unwrap().to_lowercase(),
            missing,
            "{name}"
        );
    }
    let deployed = &stack.resource("Watch").properties;
    let suppressor = rehearsed.composite.suppressor.unwrap();
    assert_eq!(deployed["AlarmName"], json!(rehearsed.composite.name));
    assert_eq!(deployed["AlarmRule"], json!(rehearsed.composite.rule));
    assert_eq!(deployed["ActionsSuppressor"], json!(suppressor.alarm));
    assert_eq!(
        deployed["ActionsSuppressorWaitPeriod"],
        json!(suppressor.wait.as_secs())
    );
    assert_eq!(
        deployed["ActionsSuppressorExtensionPeriod"],
        json!(suppressor.extension.as_secs())
    );
}

/// Regions' names are not equally long, so that their functions do not fill the policies alike.
#[test]
fn each_regions_functions_are_named_where_the_policies_break_elsewhere() {
    let text = include_str!("../../../radiant.plan.yaml").replace("us-west-2", "ap-southeast-2");
    let mut plan: Plan = serde_saphyr::from_str(&text).unwrap();
    plan.functions = (0..33)
        .map(|index| Function {
            name: format!("radiant-production-function-{index:03}"),
            reserved_concurrency: None,
            alias: None,
        })
        .collect();
    for stack in stacks_of(&plan) {
        for (kind, region_is_here) in [
            ("FunctionsHere", true),
            ("FunctionsSeen", true),
            ("FunctionsOther", false),
        ] {
            let policies = stack
                .of_kind("AWS::IAM::ManagedPolicy")
                .filter(|(name, _)| name.starts_with(kind));
            let named: Vec<String> = policies
                .flat_map(|(_, policy)| listed(&policy.properties["PolicyDocument"]["Statement"][0]["Resource"]))
                .collect();
            assert_eq!(named.len(), 33, "{kind} in {}", stack.region);
            let is_right = |arn: &String| arn.contains(&format!(":{}:", stack.region)) == region_is_here;
            assert!(named.iter().all(is_right), "{named:?}");
        }
    }
}
