//! Tests of EventBridge.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::pattern_check::check_pattern;
use super::patterns::matches;
use super::rules::{Rule, Target, TargetInput};
use super::schedules::run_schedules;
use super::state::{Delivery, Events, Schedule};
use super::transformer::InputTransformer;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::faults::{DeliveryEffect, DeliveryFault, FaultId};
use crate::timings::Timings;

const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:m";
const FUNCTION: &str = "arn:aws:lambda:us-west-2:123456789012:function:f";

fn alarm_event() -> Value {
    json!({
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": "123456789012",
        "time": "2019-10-02T17:04:40Z",
        "region": "us-west-2",
        "resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh"],
        "detail": {
            "alarmName": "ServerCpuTooHigh",
            "configuration": {
                "metrics": [
                    {"id": "m1", "metricStat": {"period": 300, "stat": "Average"}, "returnData": true},
                    {"id": "m2", "metricStat": {"period": 60, "stat": "Sum"}, "returnData": false},
                ],
            },
            "previousState": {"value": "OK", "timestamp": "2019-10-01T13:56:40.987+0000"},
            "state": {
                "reason": "a \"reason\"",
                "reasonData": "{\"version\":\"1.0\"}",
                "timestamp": "2019-10-02T17:04:40.989+0000",
                "value": "ALARM",
            },
        },
    })
}

fn rds_event() -> Value {
    json!({
        "detail-type": "RDS DB Cluster Event",
        "source": "aws.rds",
        "detail": {
            "EventCategories": ["failover", "notification"],
            "SourceType": "CLUSTER",
            "Message": "Started cross AZ failover",
            "EventID": "RDS-EVENT-0071",
            "Tags": {},
            "Count": 5,
            "Cause": null,
            "None": [],
        },
    })
}

#[test]
fn plain_values_are_alternatives_and_fields_are_all_required() {
    let yes = [
        json!({"source": ["aws.cloudwatch"]}),
        json!({"source": ["aws.ec2", "aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}),
        json!({"resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh"]}),
        json!({
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {
                "alarmName": ["ServerCpuTooHigh"],
                "state": {"value": ["ALARM"]},
                "previousState": {"value": ["OK", "INSUFFICIENT_DATA"]},
            },
        }),
    ];
    let no = [
        json!({"source": ["aws.ec2"]}),
        json!({"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["OK"]}}}),
        json!({"source": {"name": ["aws.cloudwatch"]}}),
        json!({"detail": ["ServerCpuTooHigh"]}),
        json!({"nothing": ["aws.cloudwatch"]}),
    ];
    for pattern in yes {
        assert_eq!(check_pattern(&pattern), Ok(()));
        assert!(matches(&pattern, &alarm_event()), "{pattern}");
    }
    for pattern in no {
        assert!(!matches(&pattern, &alarm_event()), "{pattern}");
    }
}

#[test]
fn each_matcher_matches_what_it_should_and_nothing_else() {
    let cases = [
        (json!({"EventCategories": ["failover"]}), true),
        (json!({"EventCategories": ["failure"]}), false),
        (json!({"EventID": [{"prefix": "RDS-EVENT-"}]}), true),
        (json!({"EventID": [{"prefix": "rds-event-"}]}), false),
        (
            json!({"EventID": [{"prefix": {"equals-ignore-case": "rds-event-"}}]}),
            true,
        ),
        (json!({"Count": [{"prefix": "5"}]}), false),
        (json!({"EventID": [{"suffix": "0071"}]}), true),
        (json!({"EventID": [{"suffix": "0072"}]}), false),
        (
            json!({"EventID": [{"suffix": {"equals-ignore-case": "EVENT-0071"}}]}),
            true,
        ),
        (json!({"SourceType": [{"equals-ignore-case": "cluster"}]}), true),
        (json!({"SourceType": [{"equals-ignore-case": "clusters"}]}), false),
        (json!({"Message": [{"wildcard": "Started*failover"}]}), true),
        (json!({"Message": [{"wildcard": "*AZ*"}]}), true),
        (json!({"Message": [{"wildcard": "Started*AZ"}]}), false),
        (json!({"Message": [{"wildcard": "Started\\*failover"}]}), false),
        (json!({"SourceType": [{"anything-but": "DB_INSTANCE"}]}), true),
        (json!({"SourceType": [{"anything-but": "CLUSTER"}]}), false),
        (
            json!({"SourceType": [{"anything-but": ["DB_INSTANCE", "CLUSTER"]}]}),
            false,
        ),
        (json!({"Count": [{"anything-but": [4, 6]}]}), true),
        (json!({"Count": [{"anything-but": [4, 5]}]}), false),
        (json!({"EventID": [{"anything-but": {"prefix": "RDS-"}}]}), false),
        (
            json!({"EventID": [{"anything-but": {"prefix": ["EC2-", "S3-"]}}]}),
            true,
        ),
        (json!({"EventID": [{"anything-but": {"suffix": "71"}}]}), false),
        (
            json!({"SourceType": [{"anything-but": {"equals-ignore-case": "cluster"}}]}),
            false,
        ),
        (json!({"Message": [{"anything-but": {"wildcard": "*cross*"}}]}), false),
        // One of its two categories is another.
        (json!({"EventCategories": [{"anything-but": "failover"}]}), true),
        (json!({"Absent": [{"anything-but": "x"}]}), false),
        (json!({"Count": [5]}), true),
        (json!({"Count": [5.0]}), false),
        (json!({"Count": ["5"]}), false),
        (json!({"Count": [{"numeric": ["=", 5]}]}), true),
        (json!({"Count": [{"numeric": [">", 4, "<=", 5]}]}), true),
        (json!({"Count": [{"numeric": [">", 5]}]}), false),
        (json!({"Count": [{"numeric": [">=", 5, "<", 5.5]}]}), true),
        (json!({"Count": [{"numeric": ["<", 5]}]}), false),
        (json!({"SourceType": [{"numeric": ["<", 5]}]}), false),
        (json!({"Count": [{"exists": true}]}), true),
        (json!({"Count": [{"exists": false}]}), false),
        (json!({"Absent": [{"exists": false}]}), true),
        (json!({"Absent": [{"exists": true}]}), false),
        (json!({"Absent": {"deeper": [{"exists": false}]}}), true),
        // Only simple values exist.
        (json!({"Tags": [{"exists": true}]}), false),
        (json!({"None": [{"exists": true}]}), false),
        (json!({"Cause": [null]}), true),
        (json!({"Count": [null]}), false),
        (json!({"Count": ["x", {"numeric": [">", 4]}]}), true),
    ];
    for (detail, expected) in cases {
        let pattern = json!({"detail": detail});
        assert_eq!(check_pattern(&pattern), Ok(()), "{pattern}");
        assert_eq!(matches(&pattern, &rds_event()), expected, "{pattern}");
    }
}

#[test]
fn or_takes_any_of_its_alternatives_and_the_rest_still_counts() {
    let pattern = |category: &str, source: &str| {
        json!({
            "source": [source],
            "detail": {"$or": [{"EventID": ["RDS-EVENT-1"]}, {"EventCategories": [category], "Count": [5]}]},
        })
    };
    assert!(matches(&pattern("failover", "aws.rds"), &rds_event()));
    assert!(!matches(&pattern("failure", "aws.rds"), &rds_event()));
    assert!(!matches(&pattern("failover", "aws.ec2"), &rds_event()));
    // With a matcher's name, or with one alternative only, it is a field.
    let field = json!({"detail": {"$or": [{"prefix": "a"}, {"prefix": "b"}]}});
    assert!(!matches(&field, &rds_event()));
    assert!(matches(&field, &json!({"detail": {"$or": "bcd"}})));
}

#[test]
fn in_an_array_of_objects_one_object_has_to_match_as_a_whole() {
    let pattern = |period: u32, stat: &str| {
        let metrics = json!({"metricStat": {"period": [period], "stat": [stat]}});
        json!({"detail": {"configuration": {"metrics": metrics}}})
    };
    assert!(matches(&pattern(60, "Sum"), &alarm_event()));
    assert!(matches(&pattern(300, "Average"), &alarm_event()));
    assert!(!matches(&pattern(60, "Average"), &alarm_event()));
}

#[test]
fn patterns_that_aws_refuses_are_refused() {
    let refused = [
        (json!("aws.rds"), "not an object"),
        (json!({}), "Empty objects"),
        (json!({"source": "aws.rds"}), "must be an object or an array"),
        (json!({"source": []}), "Empty arrays"),
        (json!({"source": [["aws.rds"]]}), "Match value"),
        (json!({"detail": {}}), "Empty objects"),
        (json!({"source": [{"begins": "aws"}]}), "Unrecognized match type begins"),
        (json!({"source": [{"prefix": "a", "suffix": "b"}]}), "Only one key"),
        (json!({"source": [{"prefix": 5}]}), "must be a string"),
        (json!({"source": [{"wildcard": "a**b"}]}), "Consecutive"),
        (json!({"source": [{"wildcard": "a\\b"}]}), "escape"),
        (json!({"source": [{"exists": "yes"}]}), "true or false"),
        (json!({"source": [{"numeric": ["~", 5]}]}), "operator"),
        (
            json!({"source": [{"numeric": ["<", 5, ">", 1]}]}),
            "lower and then a higher",
        ),
        (
            json!({"source": [{"numeric": [">", 5, "<", 5]}]}),
            "lower and then a higher",
        ),
        (json!({"source": [{"numeric": ["=", 6e9]}]}), "5e9"),
        (json!({"source": [{"numeric": [">"]}]}), "one or two"),
        (json!({"source": [{"anything-but": []}]}), "Empty arrays"),
        (json!({"source": [{"anything-but": ["a", 1]}]}), "anything-but takes"),
        (
            json!({"source": [{"anything-but": {"numeric": ["=", 1]}}]}),
            "Unrecognized",
        ),
        (json!({"source": [{"cidr": "10.0.0.0/8"}]}), "cidr"),
        (json!({"$or": [{"source": []}, {"source": ["a"]}]}), "Empty arrays"),
    ];
    for (pattern, why) in refused {
        let rule = Rule {
            name: "r".into(),
            pattern: pattern.clone(),
            targets: Vec::new(),
        };
        let error = Events::default().put_rule("us-west-2", rule).unwrap_err();
        assert!(error.contains(why), "{pattern}: {error}");
    }
}

fn transformer(paths: &[(&str, &str)], template: &str) -> InputTransformer {
    let paths = paths
        .iter()
        .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
        .collect();
    InputTransformer {
        paths,
        template: template.to_owned(),
    }
}

fn transformed(paths: &[(&str, &str)], template: &str) -> Result<Value, String> {
    let transformer = transformer(paths, template);
    transformer.check()?;
    let at: Timestamp = "2019-10-02T17:04:41.5Z".parse().unwrap();
    transformer.apply(&alarm_event(), "rule", "arn:rule", at)
}

#[test]
fn variables_are_put_in_as_documented() {
    let paths = [
        ("name", "$.detail.alarmName"),
        ("first", "$.resources[0]"),
        ("period", "$.detail.configuration.metrics[1].metricStat.period"),
        ("return", "$.detail.configuration.metrics[0].returnData"),
        ("previous", "$.detail.previousState"),
        ("reason", "$.detail.state.reason"),
        ("data", "$.detail.state.reasonData"),
        ("absent", "$.detail.absent[3].x"),
        ("all", "$.resources"),
    ];
    let is = |template: &str, expected: Value| assert_eq!(transformed(&paths, template), Ok(expected), "{template}");
    is(r#"{"alarm": <name>, "text": "<name> in a text"}"#, {
        json!({"alarm": "ServerCpuTooHigh", "text": "ServerCpuTooHigh in a text"})
    });
    is(r#""<name> is \"<first>\" (1 < 2)""#, {
        json!("ServerCpuTooHigh is \"arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh\" (1 < 2)")
    });
    is(r#"{"period": <period>, "text": "<period>", "flag": <return>}"#, {
        json!({"period": 60, "text": "60", "flag": true})
    });
    is(r#"{"previous": <previous>, "all": <all>}"#, {
        json!({"previous": alarm_event()["detail"]["previousState"], "all": alarm_event()["resources"]})
    });
    // A list or an object within a text loses its quotes.
    is(r#""<all>""#, {
        json!("[arn:aws:cloudwatch:us-west-2:123456789012:alarm:ServerCpuTooHigh]")
    });
    is(r#"{"reason": <reason>, "data": <data>}"#, {
        json!({"reason": "a \"reason\"", "data": "{\"version\":\"1.0\"}"})
    });
    is(
        r#"{"absent": <absent>, "text": "[<absent>]"}"#,
        json!({"absent": "", "text": "[]"}),
    );
    is(
        r#"{"rule": <aws.events.rule-arn>, "name": "<aws.events.rule-name>"}"#,
        json!({"rule": "arn:rule", "name": "rule"}),
    );
    is(
        r#"[<aws.events.event.ingestion-time>]"#,
        json!(["2019-10-02T17:04:41Z"]),
    );
    is(r#"{"event": <aws.events.event.json>}"#, json!({"event": alarm_event()}));
    let mut without_detail = alarm_event();
    without_detail.as_object_mut().unwrap().remove("detail");
    is("<aws.events.event>", without_detail);
}

#[test]
fn nothing_is_escaped_between_quotes() {
    let error = transformed(&[("reason", "$.detail.state.reason")], r#"{"why": "<reason>"}"#).unwrap_err();
    assert!(error.contains("not JSON"), "{error}");
}

#[test]
fn transformers_that_cannot_work_are_refused() {
    let none: &[(&str, &str)] = &[];
    let refused = [
        (&[("a", "detail")] as &[_], "<a>", "not a path"),
        (&[("a", "$.detail.*")], "<a>", "not a path"),
        (&[("a", "$.list[x]")], "<a>", "not a path"),
        (&[("a.b", "$.detail")], "<a.b>", "variable's name"),
        (none, "<a>", "no path says"),
        (&[("a", "$.a")], "{\"x\": <a>", "not JSON"),
        (&[("a", "$.a")], "{\"x<a>\": 1}", "key"),
        (none, "{\"x\": \"<aws.events.event.json>\"}", "part of a string"),
    ];
    for (paths, template, why) in refused {
        let input = TargetInput::Transformed(transformer(paths, template));
        let targets = vec![Target::StateMachine {
            arn: MACHINE.into(),
            input,
        }];
        let rule = Rule {
            name: "r".into(),
            pattern: json!({"source": ["a"]}),
            targets,
        };
        let error = Events::default().put_rule("us-west-2", rule).unwrap_err();
        assert!(error.contains(why), "{template}: {error}");
    }
}

#[test]
fn targets_have_to_be_what_they_say_and_in_the_rules_region() {
    let put = |region: &str, name: &str, target: Target, times: usize| {
        let rule = Rule {
            name: name.into(),
            pattern: json!({"source": ["a"]}),
            targets: vec![target; times],
        };
        Events::default().put_rule(region, rule)
    };
    let function = |arn: &str| Target::Function {
        arn: arn.into(),
        input: TargetInput::Event,
    };
    assert_eq!(put("us-west-2", "r", function(FUNCTION), 5), Ok(()));
    assert!(
        put("us-west-2", "r", function(FUNCTION), 6)
            .unwrap_err()
            .contains("more than 5 targets")
    );
    assert!(
        put("us-east-1", "r", function(FUNCTION), 1)
            .unwrap_err()
            .contains("no function in us-east-1")
    );
    assert!(
        put("us-west-2", "r", function(MACHINE), 1)
            .unwrap_err()
            .contains("no function")
    );
    assert!(
        put("us-west-2", "a rule", function(FUNCTION), 1)
            .unwrap_err()
            .contains("not a rule's name")
    );
}

fn cloud() -> Arc<Cloud> {
    let clock = Clock::starting_at("2026-01-01T12:00:30Z".parse().unwrap());
    Cloud::new("123456789012", 7, clock, Timings::built_in().unwrap())
}

fn rule(name: &str, pattern: Value) -> Rule {
    let input = TargetInput::Transformed(transformer(&[("name", "$.detail.alarmName")], r#"{"alarm": <name>}"#));
    Rule {
        name: name.into(),
        pattern,
        targets: vec![
            Target::StateMachine {
                arn: MACHINE.into(),
                input,
            },
            Target::Function {
                arn: FUNCTION.into(),
                input: TargetInput::Event,
            },
        ],
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_goes_to_each_target_of_each_rule_that_matches() {
    let cloud = cloud();
    let mut deliveries = cloud.events.deliveries();
    cloud
        .events
        .put_rule("us-west-2", rule("alarms", json!({"source": ["aws.cloudwatch"]})))
        .unwrap();
    cloud
        .events
        .put_rule("us-west-2", rule("others", json!({"source": ["aws.rds"]})))
        .unwrap();
    cloud.events.publish(&cloud, "us-east-1", alarm_event());
    cloud.events.publish(&cloud, "us-west-2", alarm_event());
    let published_at = cloud.now();
    let mut got = Vec::new();
    for _ in 0..2 {
        got.push(deliveries.recv().await.unwrap());
        let took = Duration::try_from(cloud.now().duration_since(published_at)).unwrap();
        let range = &cloud.timings.event_delivery;
        assert!(
            range.from <= took && took <= range.to + Duration::from_millis(1),
            "{took:?}"
        );
    }
    got.sort_by(|a, b| a.target_arn.cmp(&b.target_arn));
    let source = "arn:aws:events:us-west-2:123456789012:rule/alarms";
    let delivery = |arn: &str, input| Delivery {
        region: "us-west-2".into(),
        target_arn: arn.into(),
        input,
        source: source.into(),
    };
    let machine = delivery(MACHINE, json!({"alarm": "ServerCpuTooHigh"}));
    assert_eq!(got, [delivery(FUNCTION, alarm_event()), machine]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(deliveries.try_recv().is_err(), "no other rule matched");
    assert_eq!(cloud.events.failures(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_outage_holds_a_delivery_up_and_a_day_of_it_ends_it() {
    let cloud = cloud();
    let mut deliveries = cloud.events.deliveries();
    cloud
        .events
        .put_rule("us-west-2", rule("alarms", json!({"source": ["aws.cloudwatch"]})))
        .unwrap();
    cloud.events.publish(&cloud, "us-west-2", alarm_event());
    cloud.take_region_away("us-west-2");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(deliveries.try_recv().is_err());
    cloud.give_region_back("us-west-2");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(deliveries.try_recv().is_ok() && deliveries.try_recv().is_ok());
    cloud.events.publish(&cloud, "us-west-2", alarm_event());
    cloud.take_region_away("us-west-2");
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    assert!(deliveries.try_recv().is_err());
    assert_eq!(cloud.events.failures().len(), 2);
}

/// What a rule's two targets were given after an event, each with when, in milliseconds.
async fn delivered(faults: &[DeliveryFault]) -> (Vec<(i64, String)>, Vec<u64>) {
    let cloud = cloud();
    let mut deliveries = cloud.events.deliveries();
    let faults: Vec<FaultId> = faults
        .iter()
        .map(|fault| cloud.faults.on_deliveries(fault.clone()))
        .collect();
    let every_event = json!({"source": ["aws.cloudwatch"]});
    cloud.events.put_rule("us-west-2", rule("alarms", every_event)).unwrap();
    cloud.events.put_schedule(&cloud, schedule(60)).unwrap();
    tokio::spawn(run_schedules(Arc::clone(&cloud.events), cloud.environment()));
    cloud.events.publish(&cloud, "us-west-2", alarm_event());
    let began = cloud.now();
    let mut got = Vec::new();
    while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_secs(300), deliveries.recv()).await {
        let after = cloud.now().duration_since(began).as_secs();
        if after > 600 {
            break;
        }
        let what = delivery.source.rsplit('/').next().unwrap_or_default();
        let kind = if delivery.target_arn == MACHINE {
            "machine"
        } else {
            "function"
        };
        got.push((cloud.now().as_millisecond(), format!("{what} {kind}")));
    }
    (
        got,
        faults.into_iter().map(|fault| cloud.faults.applied(fault)).collect(),
    )
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_rules_come_twice_or_late_and_those_of_schedules_do_not() {
    let fault = |effect, at_most| DeliveryFault {
        region: None,
        rule: None,
        at_most,
        effect,
    };
    let of_rules = |got: &[(i64, String)]| {
        let of_rules = got.iter().filter(|(_, what)| what.starts_with("alarms"));
        let mut of_rules: Vec<(String, i64)> = of_rules.map(|(at, what)| (what.clone(), *at)).collect();
        of_rules.sort();
        of_rules
    };
    let of_schedules = |got: Vec<(i64, String)>| {
        let of_schedules = got.into_iter().filter(|(_, what)| what.starts_with("s "));
        of_schedules.collect::<Vec<_>>()
    };
    let (plain, _) = delivered(&[]).await;
    let [(function, function_at), (machine, machine_at)] = of_rules(&plain).try_into().unwrap();
    assert!(of_schedules(plain.clone()).len() > 5);

    // One of the two, and a second time.
    let twice = fault(DeliveryEffect::Twice(Duration::from_secs(30)), Some(1));
    let (got, applied) = delivered(&[twice]).await;
    let expected = [
        (function.clone(), function_at),
        (machine.clone(), machine_at),
        (machine.clone(), machine_at + 30_000),
    ];
    assert_eq!((of_rules(&got), applied), (expected.to_vec(), vec![1]));
    assert_eq!(of_schedules(got), of_schedules(plain.clone()));

    // Both, later and a second time.
    let faults = [
        fault(DeliveryEffect::Late(Duration::from_secs(100)), None),
        fault(DeliveryEffect::Twice(Duration::from_secs(30)), None),
    ];
    let (got, applied) = delivered(&faults).await;
    let expected = [
        (function.clone(), function_at + 100_000),
        (function.clone(), function_at + 130_000),
        (machine.clone(), machine_at + 100_000),
        (machine.clone(), machine_at + 130_000),
    ];
    assert_eq!((of_rules(&got), applied), (expected.to_vec(), vec![2, 2]));
    assert_eq!(of_schedules(got), of_schedules(plain.clone()));

    // Another rule, another Region.
    let elsewhere = DeliveryFault {
        region: Some("us-east-1".to_owned()),
        ..fault(DeliveryEffect::Late(Duration::from_secs(100)), None)
    };
    let another = DeliveryFault {
        rule: Some("s".to_owned()),
        ..fault(DeliveryEffect::Late(Duration::from_secs(100)), None)
    };
    assert_eq!(delivered(&[elsewhere, another]).await, (plain, vec![0, 0]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_is_told() {
    let cloud = cloud();
    cloud
        .events
        .put_rule("us-west-2", rule("alarms", json!({"source": ["aws.cloudwatch"]})))
        .unwrap();
    cloud.events.publish(&cloud, "us-west-2", alarm_event());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let failures = cloud.events.failures();
    assert_eq!(failures.len(), 2);
    assert!(
        failures[0].contains("rule/alarms could not call") && failures[0].contains("nobody"),
        "{failures:?}"
    );
}

fn schedule(every: u64) -> Schedule {
    Schedule {
        name: "s".into(),
        region: "us-west-2".into(),
        every: Duration::from_secs(every),
        target_arn: FUNCTION.into(),
        input: json!({"x": 1}),
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_calls_evenly_and_not_from_a_region_that_is_down() {
    let cloud = cloud();
    let mut deliveries = cloud.events.deliveries();
    tokio::spawn(run_schedules(Arc::clone(&cloud.events), cloud.environment()));
    tokio::task::yield_now().await;
    cloud.events.put_schedule(&cloud, schedule(120)).unwrap();
    let mut times = Vec::new();
    for _ in 0..3 {
        let delivery = deliveries.recv().await.unwrap();
        assert_eq!(
            delivery.source,
            "arn:aws:scheduler:us-west-2:123456789012:schedule/default/s"
        );
        assert_eq!(
            (delivery.target_arn.as_str(), delivery.input),
            (FUNCTION, json!({"x": 1}))
        );
        times.push(cloud.now());
    }
    // It began at 12:00:30.
    let full: Timestamp = "2026-01-01T12:02:00Z".parse().unwrap();
    let late = times[0].duration_since(full);
    assert!((0..=59_001).contains(&late.as_millis()), "{late}");
    for pair in times.windows(2) {
        let apart = pair[1].duration_since(pair[0]).as_millis();
        assert!((119_999..=120_001).contains(&apart), "{apart} ms");
    }
    cloud.take_region_away("us-west-2");
    tokio::time::sleep(Duration::from_secs(600)).await;
    cloud.give_region_back("us-west-2");
    assert!(
        deliveries.try_recv().is_err(),
        "nothing during the outage, and nothing made up for"
    );
    let given_back_at = cloud.now();
    deliveries.recv().await.unwrap();
    assert!(cloud.now().duration_since(given_back_at).as_secs() <= 120);
}

#[tokio::test(start_paused = true)]
async fn schedules_that_aws_does_not_know_are_refused() {
    let cloud = cloud();
    let put = |schedule| cloud.events.put_schedule(&cloud, schedule);
    assert!(put(schedule(90)).unwrap_err().contains("multiple of a minute"));
    assert!(put(schedule(0)).unwrap_err().contains("multiple of a minute"));
    assert!(
        put(Schedule {
            region: "us-east-1".into(),
            ..schedule(60)
        })
        .unwrap_err()
        .contains("us-east-1")
    );
    let input = json!({"at": "<aws.scheduler.scheduled-time>"});
    assert!(
        put(Schedule { input, ..schedule(60) })
            .unwrap_err()
            .contains("context attributes")
    );
    assert_eq!(put(schedule(60)), Ok(()));
}
