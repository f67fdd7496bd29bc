//! Tests of CloudWatch.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::alarms::{Alarm, CompositeAlarm, State, Suppressor};
use super::evaluation::{evaluate_alarms, judge, watched};
use super::metric_data::VALUE_LIMIT;
use super::metrics::{Metric, Statistics};
use super::reason::java_double;
use super::regions::Regional;
use super::times::second;
use super::values::{Comparison, MissingData, StateValue, Statistic};
use crate::aws::wire::Call;
use crate::lock::lock;
mod sdk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::aws::events::{Delivery, Rule, Target, TargetInput};
use crate::aws::service::{Service, reply_at_once};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::cloud::Reach;
use crate::timings::Timings;

const REGION: &str = "us-west-2";

fn at(time: &str) -> Timestamp {
    format!("2026-01-01T{time}Z").parse().unwrap()
}

fn cloud() -> Arc<Cloud> {
    Cloud::new(
        "123456789012",
        7,
        Clock::starting_at(at("12:00:30")),
        Timings::built_in().unwrap(),
    )
}

fn metric() -> Metric {
    let dimensions = BTreeMap::from([("Workload".to_owned(), "shop".to_owned())]);
    Metric {
        namespace: "Shop".into(),
        name: "Healthy".into(),
        dimensions,
    }
}

fn alarm(m: u32, n: u32, treat_missing_data: MissingData) -> Alarm {
    Alarm {
        name: "down".into(),
        description: "The shop is down".into(),
        metric: metric(),
        or_metrics: Vec::new(),
        statistic: Statistic::Minimum,
        period: Duration::from_secs(60),
        evaluation_periods: n,
        datapoints_to_alarm: m,
        threshold: 1.0,
        comparison: Comparison::LessThan,
        treat_missing_data,
        actions_enabled: true,
    }
}

/// What an alarm makes of the last minutes, oldest first: `0` does not breach, `X` breaches, `-` is missing.
/// Nothing if it stays as it was.
fn judged(m: u32, treat: MissingData, minutes: &str) -> State {
    let minutes: Vec<char> = minutes.chars().filter(|c| *c != ' ').collect();
    let end = at("12:30:00").as_second();
    let known = minutes.iter().rev().zip(1..).filter(|(minute, _)| **minute != '-');
    let known = known
        .map(|(minute, age)| {
            (
                end - age * 60,
                Statistics::of(if *minute == 'X' { 0.0 } else { 1.0 }, 2.0),
            )
        })
        .collect();
    let updated_at = at("12:00:00");
    let current = State {
        value: StateValue::InsufficientData,
        reason: "before".into(),
        reason_data: None,
        updated_at,
        suppressed_by: None,
    };
    judge(&alarm(m, 3, treat), Some(&known), end, at("12:30:05.123"), &current)
}

#[test]
fn missing_data_is_treated_as_the_user_guide_tabulates_it() {
    use StateValue::{Alarm as A, InsufficientData as I, Ok as O};
    let columns = [
        MissingData::Missing,
        MissingData::Ignore,
        MissingData::Breaching,
        MissingData::NotBreaching,
    ];
    // None: retains the current state.
    let table = [
        (3, "0 - X - X", [Some(O), Some(O), Some(O), Some(O)]),
        (3, "- - - - 0", [Some(O), Some(O), Some(O), Some(O)]),
        (3, "- - - - -", [Some(I), None, Some(A), Some(O)]),
        (3, "0 X X - X", [Some(A), Some(A), Some(A), Some(A)]),
        (3, "- - X - -", [Some(A), None, Some(A), Some(O)]),
        (2, "0 - X - X", [Some(A), Some(A), Some(A), Some(A)]),
        (2, "0 0 X 0 X", [Some(A), Some(A), Some(A), Some(A)]),
        (2, "0 - X - -", [Some(O), Some(O), Some(A), Some(O)]),
        (2, "- - - - 0", [Some(O), Some(O), Some(A), Some(O)]),
        (2, "- - - X -", [Some(A), None, Some(A), Some(O)]),
        // "Avoiding premature transitions to alarm state"
        (3, "- - - - X", [Some(I), None, Some(A), Some(O)]),
        (3, "- - - X -", [Some(I), None, Some(A), Some(O)]),
        (3, "- - - X 0", [Some(O), Some(O), Some(O), Some(O)]),
        // What is older than five minutes does not count.
        (3, "X X X - - - - -", [Some(I), None, Some(A), Some(O)]),
    ];
    for (m, minutes, expected) in table {
        for (treat, expected) in columns.into_iter().zip(expected) {
            let state = judged(m, treat, minutes);
            let got = (state.reason != "before").then_some(state.value);
            assert_eq!(got, expected, "{m} of 3, {minutes}, {}", treat.name());
        }
    }
}

#[test]
fn reasons_are_in_the_words_of_aws() {
    let reason = |m, treat, minutes| judged(m, treat, minutes).reason;
    assert_eq!(
        reason(3, MissingData::Breaching, "0 0 X X X"),
        "Threshold Crossed: 3 out of the last 3 datapoints [0.0 (01/01/26 12:29:00), 0.0 (01/01/26 12:28:00), \
         0.0 (01/01/26 12:27:00)] were less than the threshold (1.0) (minimum 3 datapoints for OK -> ALARM \
         transition)."
    );
    assert_eq!(
        reason(3, MissingData::Breaching, "X X X X 0"),
        "Threshold Crossed: 1 out of the last 3 datapoints [1.0 (01/01/26 12:29:00)] was not less than the \
         threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition)."
    );
    assert_eq!(
        reason(3, MissingData::Breaching, "- - - - -"),
        "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as \
         [Breaching]."
    );
    assert_eq!(
        reason(2, MissingData::Breaching, "- - - - 0"),
        "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as \
         [Breaching]."
    );
    assert_eq!(
        reason(3, MissingData::NotBreaching, "0 - - - 0"),
        "Threshold Crossed: 2 out of the last 3 datapoints [1.0 (01/01/26 12:29:00), 1.0 (01/01/26 12:25:00)] were \
         not less than the threshold (1.0) and 1 missing datapoint was treated as [NonBreaching]."
    );
    assert_eq!(
        reason(3, MissingData::Missing, "- - - - -"),
        "Insufficient Data: 3 datapoints were unknown."
    );
}

#[test]
fn reason_data_is_a_json_text_in_the_order_of_aws() {
    assert_eq!(
        judged(3, MissingData::Breaching, "- - - X X").reason_data.as_deref(),
        Some(
            "{\"version\":\"1.0\",\"queryDate\":\"2026-01-01T12:30:05.123+0000\",\
             \"startDate\":\"2026-01-01T12:28:00.000+0000\",\"statistic\":\"Minimum\",\"period\":60,\
             \"recentDatapoints\":[0.0,0.0],\"threshold\":1.0,\"evaluatedDatapoints\":[\
             {\"timestamp\":\"2026-01-01T12:29:00.000+0000\",\"sampleCount\":2.0,\"value\":0.0},\
             {\"timestamp\":\"2026-01-01T12:28:00.000+0000\",\"sampleCount\":2.0,\"value\":0.0},\
             {\"timestamp\":\"2026-01-01T12:27:00.000+0000\"}]}"
        )
    );
    let without = judged(3, MissingData::Breaching, "- - - - -").reason_data.unwrap();
    assert!(
        !without.contains("startDate") && without.contains("\"recentDatapoints\":[]"),
        "{without}"
    );
}

#[test]
fn numbers_are_written_as_java_writes_them() {
    let cases = [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (-50.25, "-50.25"),
        (0.0666851903306472, "0.0666851903306472"),
        (15_075_595_059.2, "1.50755950592E10"),
        (1e7, "1.0E7"),
        (0.0001, "1.0E-4"),
    ];
    for (value, expected) in cases {
        assert_eq!(java_double(value), expected);
    }
    assert_eq!(VALUE_LIMIT, 2f64.powi(360));
}

#[test]
fn each_comparison_and_statistic_is_what_it_says() {
    let breaches = |comparison: &str, value| comparison.parse::<Comparison>().unwrap().breaches(value, 1.0);
    for (comparison, expected) in [
        ("GreaterThanOrEqualToThreshold", [false, true, true]),
        ("GreaterThanThreshold", [false, false, true]),
        ("LessThanThreshold", [true, false, false]),
        ("LessThanOrEqualToThreshold", [true, true, false]),
    ] {
        assert_eq!(
            [0.5, 1.0, 1.5].map(|value| breaches(comparison, value)),
            expected,
            "{comparison}"
        );
    }
    let statistics = Statistics::of(2.0, 3.0).and(Statistics::of(10.0, 1.0));
    for (name, expected) in [
        ("Average", 4.0),
        ("Minimum", 2.0),
        ("Maximum", 10.0),
        ("Sum", 16.0),
        ("SampleCount", 4.0),
    ] {
        assert_eq!(statistics.read(name.parse().unwrap()), expected, "{name}");
    }
    assert!("p99".parse::<Statistic>().is_err());
}

#[tokio::test(start_paused = true)]
async fn alarms_that_aws_does_not_know_are_refused() {
    let cloud = cloud();
    let put = |alarm| cloud.cloudwatch.put_alarm(&cloud, REGION, alarm);
    let good = || alarm(2, 3, MissingData::Breaching);
    assert_eq!(put(good()), Ok(()));
    assert!(
        put(Alarm {
            datapoints_to_alarm: 4,
            ..good()
        })
        .unwrap_err()
        .contains("4 out of 3")
    );
    assert!(
        put(Alarm {
            datapoints_to_alarm: 0,
            ..good()
        })
        .unwrap_err()
        .contains("0 out of 3")
    );
    assert!(
        put(Alarm {
            period: Duration::from_secs(90),
            ..good()
        })
        .unwrap_err()
        .contains("multiple of a minute")
    );
    assert!(
        put(Alarm {
            period: Duration::from_secs(28_860),
            ..good()
        })
        .unwrap_err()
        .contains("more than a day")
    );
    assert!(
        put(Alarm {
            threshold: f64::NAN,
            ..good()
        })
        .unwrap_err()
        .contains("no number")
    );
    assert!(
        put(Alarm {
            name: String::new(),
            ..good()
        })
        .unwrap_err()
        .contains("name")
    );
}

/// A cloud with an alarm whose events arrive, and a metric that is healthy from 12:00 to 12:04 and then not.
async fn run_alarm(treat: MissingData, after: Option<f64>) -> (Arc<Cloud>, Vec<Delivery>) {
    let cloud = cloud();
    let mut deliveries = cloud.events.deliveries();
    let arn = format!("arn:aws:lambda:{REGION}:123456789012:function:f");
    let rule = Rule {
        name: "alarms".into(),
        pattern: json!({"source": ["aws.cloudwatch"]}),
        targets: vec![Target::Function {
            arn,
            input: TargetInput::Event,
        }],
    };
    cloud.events.put_rule(REGION, rule).unwrap();
    tokio::spawn(evaluate_alarms(Arc::clone(&cloud.cloudwatch), cloud.environment()));
    tokio::task::yield_now().await;
    cloud.cloudwatch.put_alarm(&cloud, REGION, alarm(3, 3, treat)).unwrap();
    for minute in 0..20 {
        let value = if minute < 5 { Some(1.0) } else { after };
        if let Some(value) = value {
            cloud.cloudwatch.publish(REGION, &metric(), cloud.now(), value);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let mut got = Vec::new();
    while let Ok(delivery) = deliveries.try_recv() {
        got.push(delivery);
    }
    (cloud, got)
}

fn changed_at(delivery: &Delivery) -> Timestamp {
    delivery.input["detail"]["state"]["timestamp"]
        .as_str()
        .unwrap()
        .replace("+0000", "Z")
        .parse()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_alarm_goes_off_after_three_bad_minutes_and_its_event_is_as_aws_sends_it() {
    let (cloud, got) = run_alarm(MissingData::Breaching, Some(0.0)).await;
    assert_eq!(got.len(), 2, "INSUFFICIENT_DATA -> OK -> ALARM");
    // It was put at 12:00:30, and is evaluated at the end of that minute.
    let delay = changed_at(&got[0]).duration_since(at("12:01:00")).as_millis();
    assert!((0..=240_001).contains(&delay), "{delay} ms");
    // The bad minutes are 12:05, 12:06 and 12:07.
    let delay = changed_at(&got[1]).duration_since(at("12:08:00")).as_millis();
    assert!((0..=240_001).contains(&delay), "{delay} ms");
    let event = &got[1].input;
    let detail = &event["detail"];
    assert_eq!(detail["previousState"], got[0].input["detail"]["state"]);
    assert_eq!(
        (&detail["previousState"]["value"], &detail["state"]["value"]),
        (&json!("OK"), &json!("ALARM"))
    );
    assert_eq!(got[0].input["detail"]["previousState"]["value"], "INSUFFICIENT_DATA");
    assert_eq!(
        got[0].input["detail"]["previousState"]["reason"],
        "Unchecked: Initial alarm creation"
    );
    assert_eq!(got[0].input["detail"]["previousState"].get("reasonData"), None);
    assert_eq!(
        detail["state"]["reason"],
        "Threshold Crossed: 3 out of the last 3 datapoints [0.0 (01/01/26 12:07:00), 0.0 (01/01/26 12:06:00), \
         0.0 (01/01/26 12:05:00)] were less than the threshold (1.0) (minimum 3 datapoints for OK -> ALARM \
         transition)."
    );
    let data: Value = serde_json::from_str(detail["state"]["reasonData"].as_str().unwrap()).unwrap();
    assert_eq!(data["startDate"], "2026-01-01T12:05:00.000+0000");
    assert_eq!(data["queryDate"], detail["state"]["timestamp"]);
    let timestamp = detail["state"]["timestamp"].as_str().unwrap();
    assert_eq!(event["time"].as_str().unwrap(), format!("{}Z", &timestamp[..19]));
    // The same fields as in the User Guide's example, at every level.
    let metric_id = detail["configuration"]["metrics"][0]["id"].as_str().unwrap();
    assert_eq!(metric_id.len(), 36);
    assert_eq!(
        *event,
        json!({
            "version": "0",
            "id": event["id"],
            "detail-type": "CloudWatch Alarm State Change",
            "source": "aws.cloudwatch",
            "account": "123456789012",
            "time": event["time"],
            "region": "us-west-2",
            "resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:down"],
            "detail": {
                "alarmName": "down",
                "configuration": {
                    "description": "The shop is down",
                    "metrics": [{
                        "id": metric_id,
                        "metricStat": {
                            "metric": {
                                "dimensions": {"Workload": "shop"},
                                "name": "Healthy",
                                "namespace": "Shop",
                            },
                            "period": 60,
                            "stat": "Minimum",
                        },
                        "returnData": true,
                    }],
                },
                "previousState": detail["previousState"],
                "state": {
                    "reason": detail["state"]["reason"],
                    "reasonData": detail["state"]["reasonData"],
                    "timestamp": timestamp,
                    "value": "ALARM",
                },
            },
        })
    );
    let again = run_alarm(MissingData::Breaching, Some(0.0)).await.1;
    assert_eq!(again, got, "the same seed gives the same run");
    drop(cloud);
}

#[tokio::test(start_paused = true)]
async fn data_that_stops_breaches_only_when_the_last_good_minute_is_out_of_sight() {
    let (_, got) = run_alarm(MissingData::Breaching, None).await;
    // Good until 12:04. Of five minutes 12:05 to 12:09 are the first without any.
    let delay = changed_at(&got[1]).duration_since(at("12:10:00")).as_millis();
    assert!((0..=240_001).contains(&delay), "{delay} ms");
    assert_eq!(got[1].input["detail"]["state"]["value"], "ALARM");
    let (_, got) = run_alarm(MissingData::Missing, None).await;
    assert_eq!(got[1].input["detail"]["state"]["value"], "INSUFFICIENT_DATA");
    let (_, got) = run_alarm(MissingData::Ignore, None).await;
    assert_eq!(got.len(), 1, "stays OK");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_in_a_region_whose_control_planes_are_down_is_not_evaluated() {
    let cloud = cloud();
    cloud
        .cloudwatch
        .put_alarm(&cloud, REGION, alarm(3, 3, MissingData::Breaching))
        .unwrap();
    cloud.take_away(REGION, Reach::Apis);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(cloud.cloudwatch.evaluate(&cloud).0.is_empty());
    cloud.give_region_back(REGION);
    assert!(
        cloud.cloudwatch.evaluate(&cloud).0.is_empty(),
        "what was missed is not made up for"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    // That customers do not reach the Region stops no alarm.
    cloud.take_away(REGION, Reach::Customers);
    let (events, next) = cloud.cloudwatch.evaluate(&cloud);
    assert_eq!(events.len(), 1);
    assert!(next.unwrap() > cloud.now());
}

#[test]
fn an_alarm_on_metric_math_takes_what_either_metric_has() {
    let cloud = cloud();
    let by_source = Metric {
        dimensions: BTreeMap::from([("Source".to_owned(), "east".to_owned())]),
        ..metric()
    };
    let either = Alarm {
        statistic: Statistic::Maximum,
        threshold: 5.0,
        comparison: Comparison::GreaterThan,
        or_metrics: vec![by_source.clone()],
        ..alarm(1, 1, MissingData::Breaching)
    };
    assert_eq!(either.expression(), "MAX([m0, m1])");
    let judged = |published: &[(&Metric, f64)]| {
        let mut here = Regional::default();
        for (metric, value) in published {
            here.record(metric, at("12:29:00"), Statistics::of(*value, 1.0));
        }
        let state = State {
            value: StateValue::InsufficientData,
            reason: String::new(),
            reason_data: None,
            updated_at: at("12:00:00"),
            suppressed_by: None,
        };
        let minutes = watched(&here.metrics, &either);
        judge(&either, Some(&minutes), at("12:30:00").as_second(), cloud.now(), &state).value
    };
    assert_eq!(judged(&[]), StateValue::Alarm);
    assert_eq!(judged(&[(&metric(), 1.0)]), StateValue::Ok);
    assert_eq!(judged(&[(&by_source, 1.0)]), StateValue::Ok);
    assert_eq!(judged(&[(&by_source, 9.0), (&metric(), 1.0)]), StateValue::Alarm);
    let by_average = Alarm {
        statistic: Statistic::Average,
        ..either.clone()
    };
    let refused = cloud.cloudwatch.put_alarm(&cloud, REGION, by_average).unwrap_err();
    assert!(refused.contains("not simulated"), "{refused}");
}
