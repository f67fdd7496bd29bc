//! Policies for people and for the platform: they allow what is done under them, and no more than they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::common::{PRIMARY, RECOVERY, World, in_virtual_time, plan, request};
use drctl::parameters::parameters;
use jiff::Timestamp;
use rehearsal::deployment::STEPS;
use serde_json::{Value, json};
use shared::record::{Partition, Record, Switch, committed_heartbeat};
use shared::resume::resume;
use shared::snapshot::take;
use shared::step::{Caller, Change};
use simulator::simulation::hole;
use tests::iam::{operations, required};
use tests::policy::{Statement, listed, matches, roles, statements};
use tests::template::{Stack, root};

/// The stack of the standby Region, whose functions and machines have the names that a rehearsal's have.
fn stack() -> Stack {
    let plan = plan();
    let both = parameters(&plan).unwrap();
    let (region, mut parameters) = both.into_iter().find(|(region, _)| region == RECOVERY).unwrap();
    parameters.insert("Prefix".to_owned(), String::new());
    Stack::render(&plan.account, &region, &parameters).unwrap()
}

fn policy(stack: &Stack, name: &str) -> Vec<Statement> {
    statements(&stack.resource(name).properties["PolicyDocument"]).unwrap()
}

/// What `drctl` does in an account, done in the simulated one under its name.
#[test]
fn what_drctl_does_is_allowed_to_operators() {
    let allowed = policy(&stack(), "Operators");
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let aws = world.simulation.aws_in("drctl", RECOVERY);
        let record = Record::in_region(&aws, RECOVERY);
        record.put_plan(&world.plan).await.unwrap();
        let switch = json!({ "on": true, "by": "arn:p", "at": world.cloud().now(), "reason": "a test" });
        let switch: Switch = serde_json::from_value(switch).unwrap();
        record.set_automation(&world.plan.workload, &switch).await.unwrap();
        record.automation(&world.plan.workload).await.unwrap();
        record.automation_history(&world.plan.workload).await.unwrap();
        world
            .simulation
            .break_function(RECOVERY, "promote-database", "Denied", "not yet")
            .unwrap();
        world.start("by-hand", request("switchover"));
        world.wait().await;
        let id = world.only_header().await.id;
        world.simulation.mend_function(RECOVERY, "promote-database").unwrap();
        resume(&aws, &world.plan, &id, "arn:p").await.unwrap();
        // The workload moves here, and so the snapshot is of the cluster here.
        world.wait().await;
        let snapshot = take(&aws, &world.plan, "before", tokio::time::sleep, |_| {}).await;
        assert_eq!(snapshot.unwrap().region, RECOVERY);
        let table = operations();
        let touched = world.cloud().touched();
        let here = touched.iter().filter(|touched| touched.function == "drctl");
        let mut needed = BTreeSet::new();
        for required in here.flat_map(|touched| required(touched, &table).unwrap()) {
            if required.resource.contains(PRIMARY) {
                continue;
            }
            let is_allowed = |statement: &Statement| {
                let allows = statement.allows(&required.action, &required.resource, &required.conditions);
                allows.unwrap()
            };
            assert!(allowed.iter().any(is_allowed), "{required:?}");
            needed.insert(required.action);
        }
        assert!(needed.len() >= 5, "{needed:?}");
        assert!(needed.contains("rds:CreateDBClusterSnapshot"), "{needed:?}");
    });
}

#[test]
fn the_platforms_heartbeat_may_write_its_own_item_and_nothing_else() {
    let stack = stack();
    let policy = &stack.resource("Heartbeat").properties["PolicyDocument"]["Statement"];
    let [(_, partition), ..] = committed_heartbeat(&plan().workload, PRIMARY, Timestamp::UNIX_EPOCH);
    let expected = json!([{
        "Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": stack.resource("Records").arn,
        "Condition": {
            "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": [partition] },
            "Null": { "dynamodb:LeadingKeys": "false" },
        },
    }]);
    assert_eq!(*policy, expected);
}

#[test]
fn the_platform_may_write_the_ledger_and_nothing_else() {
    let stack = stack();
    let policy = &stack.resource("Ledger").properties["PolicyDocument"]["Statement"];
    let expected = json!([{
        "Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": stack.resource("Records").arn,
        "Condition": {
            "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": [format!("ledger#{}", plan().workload)] },
            "Null": { "dynamodb:LeadingKeys": "false" },
        },
    }]);
    assert_eq!(*policy, expected);
}

/// What a step writes is in partitions of the kinds of items that it declares; IAM knows no more of an item.
#[test]
fn no_function_may_write_where_it_declares_nothing() {
    let (stack, workload) = (stack(), plan().workload);
    let all = [
        Partition::Workload,
        Partition::Recovery,
        Partition::Plan,
        Partition::Start,
        Partition::Probe,
        Partition::Heartbeat,
        Partition::Ledger,
    ];
    let roles = roles(&stack).unwrap();
    for step in STEPS {
        let mut declared: BTreeSet<Partition> = step
            .called_by
            .iter()
            .filter(|by| **by == Caller::Machine)
            .map(|_| Partition::Recovery)
            .collect();
        declared.extend(step.changes.iter().filter_map(|change| match change {
            Change::Item(kind) => Some(Partition::of(kind).unwrap_or_else(|| panic!("{kind} of {}", step.name))),
            Change::Call(_) => None,
        }));
        let statements = &roles[&(hole(step.name) + "Role")];
        for partition in all {
            let key = BTreeSet::from([format!("{}#{workload}", partition.name())]);
            let key = if partition == Partition::Plan {
                BTreeSet::from(["plan".to_owned()])
            } else {
                key
            };
            let keys = BTreeMap::from([("dynamodb:LeadingKeys".to_owned(), key)]);
            let may_write = ["PutItem", "UpdateItem", "DeleteItem"].iter().any(|operation| {
                statements.iter().any(|statement| {
                    let action = format!("dynamodb:{operation}");
                    statement
                        .allows(&action, &stack.resource("Records").arn, &keys)
                        .unwrap()
                })
            });
            assert_eq!(
                may_write,
                declared.contains(&partition),
                "{} and {partition:?}",
                step.name
            );
        }
    }
}

/// The ready code writes what is read.
#[test]
fn the_ready_heartbeat_leaves_the_word_that_is_read() {
    let at: Timestamp = "2026-01-06T03:00:04.253Z".parse().unwrap();
    let script = format!(
        "import sys, json; sys.path.insert(0, 'infra/platform'); import heartbeat; \
         print(json.dumps(heartbeat.word('radiant', 'us-east-1', {})))",
        at.as_millisecond()
    );
    let output = Command::new("python3")
        .current_dir(root())
        .args(["-Bc", &script])
        .output()
        .unwrap();
    let word: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected: Value = committed_heartbeat("radiant", "us-east-1", at)
        .into_iter()
        .map(|(name, text)| (name.to_owned(), json!({ "S": text })))
        .collect();
    assert_eq!(word, expected, "{}", String::from_utf8_lossy(&output.stderr));
}

/// A beat that was not committed is not told, and a Region that is away stops nothing.
#[test]
fn the_ready_heartbeat_tells_what_was_committed() {
    let script = r#"
import sys
sys.path.insert(0, 'infra/platform')
import heartbeat
said = []
class Service:
    def __init__(self, name, fails): self.name, self.fails = name, fails
    def call(self, **_):
        said.append(self.name)
        if self.fails: raise OSError('away')
    execute_statement = put_item = call
names = ['DB_CLUSTER_ARN', 'DB_SECRET_ARN', 'DB_NAME', 'HEARTBEAT_SCHEMA', 'WORKLOAD', 'TABLE', 'OTHER_REGION', 'AWS_REGION']
environment = {name: name.lower() for name in names}
def beat(database, table):
    said.clear()
    try: heartbeat.beat(Service('database', database), Service('table', table), environment, 10_000)
    except OSError: said.append('fails')
    return list(said)
assert beat(False, False) == ['database', 'table'], said
assert beat(True, False) == ['database', 'fails'], said
assert beat(False, True) == ['database', 'table'], said
"#;
    let output = Command::new("python3")
        .current_dir(root())
        .args(["-Bc", script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whoever deploys may make each kind of thing that the template has.
#[test]
fn the_deployers_policy_knows_every_kind_of_resource() {
    let text = fs::read_to_string(root().join("infra/policies/deployer.json")).unwrap();
    let policy: Value = serde_json::from_str(&text).unwrap();
    let actions: Vec<String> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|statement| listed(&statement["Action"]))
        .collect();
    let stack = stack();
    let kinds: BTreeSet<&str> = stack
        .resources
        .values()
        .map(|resource| resource.kind.as_str())
        .collect();
    for kind in kinds {
        let needed = match kind {
            "AWS::CloudWatch::Alarm" => "cloudwatch:PutMetricAlarm",
            "AWS::CloudWatch::CompositeAlarm" => "cloudwatch:PutCompositeAlarm",
            "AWS::CloudWatch::Dashboard" => "cloudwatch:PutDashboard",
            "AWS::DynamoDB::Table" => "dynamodb:CreateTable",
            "AWS::Events::Rule" => "events:PutRule",
            "AWS::IAM::ManagedPolicy" => "iam:CreatePolicy",
            "AWS::IAM::Role" => "iam:CreateRole",
            "AWS::KMS::Key" => "kms:CreateKey",
            "AWS::Lambda::Alias" => "lambda:CreateAlias",
            "AWS::Lambda::EventInvokeConfig" => "lambda:PutFunctionEventInvokeConfig",
            "AWS::Lambda::Function" => "lambda:CreateFunction",
            "AWS::Lambda::Permission" => "lambda:AddPermission",
            "AWS::Lambda::Url" => "lambda:CreateFunctionUrlConfig",
            "AWS::Lambda::Version" => "lambda:PublishVersion",
            "AWS::Logs::LogGroup" => "logs:CreateLogGroup",
            "AWS::Route53::HealthCheck" => "route53:CreateHealthCheck",
            "AWS::S3::Bucket" => "s3:CreateBucket",
            "AWS::S3::BucketPolicy" => "s3:PutBucketPolicy",
            "AWS::SNS::Topic" => "sns:CreateTopic",
            "AWS::SNS::TopicPolicy" => "sns:SetTopicAttributes",
            "AWS::SQS::Queue" => "sqs:CreateQueue",
            "AWS::SQS::QueuePolicy" => "sqs:SetQueueAttributes",
            "AWS::Scheduler::Schedule" => "scheduler:CreateSchedule",
            "AWS::StepFunctions::StateMachine" => "states:CreateStateMachine",
            "AWS::StepFunctions::StateMachineVersion" => "states:PublishStateMachineVersion",
            other => panic!("who may make {other}? Add it to infra/policies/deployer.json, and here"),
        };
        assert!(
            actions.iter().any(|action| matches(action, needed)),
            "{needed} for {kind}"
        );
    }
    assert!(actions.iter().any(|action| matches(action, "iam:PassRole")));
}
