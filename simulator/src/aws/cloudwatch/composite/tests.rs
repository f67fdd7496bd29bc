//! Tests of composite alarms.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::aws::cloudwatch::Suppressor;
use crate::aws::cloudwatch::{Alarm, Comparison, Metric, MissingData, Statistic};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::cloud::Reach;
use crate::timings::Timings;

const REGION: &str = "us-west-2";
const WAIT: u64 = 120;
const EXTENSION: u64 = 180;

/// Alarms `a`, `b` and `upkeep`, that are as they are set.
struct Alarms(Arc<Cloud>);

impl Alarms {
    fn new() -> Self {
        let began_at = "2026-01-01T12:00:30Z".parse().unwrap();
        let cloud = Cloud::new(
            "123456789012",
            7,
            Clock::starting_at(began_at),
            Timings::built_in().unwrap(),
        );
        for name in ["a", "b", "upkeep"] {
            cloud.cloudwatch.put_alarm(&cloud, REGION, metric_alarm(name)).unwrap();
        }
        Self(cloud)
    }

    /// With a composite alarm `down` of `a` and `b`, and perhaps a suppressor.
    async fn with(suppressor: Option<Suppressor>) -> Self {
        let alarms = Self::new();
        let events = alarms.put(CompositeAlarm {
            suppressor,
            ..composite("down", "ALARM(a) OR ALARM(\"b\")")
        });
        assert_eq!(
            said(&events.unwrap())[0].split(',').next(),
            Some("down INSUFFICIENT_DATA -> OK")
        );
        alarms.pass(600).await;
        alarms
    }

    async fn with_upkeep() -> Self {
        Self::with(Some(upkeep())).await
    }

    fn put(&self, alarm: CompositeAlarm) -> Result<Vec<Value>, String> {
        let mut regions = lock(&self.0.cloudwatch.regions);
        regions
            .entry(REGION.to_owned())
            .or_default()
            .put_composite(&self.0, REGION, alarm)
    }

    fn set(&self, alarm: &str, value: StateValue) -> Vec<Value> {
        let mut regions = lock(&self.0.cloudwatch.regions);
        let here = regions.get_mut(REGION).unwrap();
        here.set_alarm_state(&self.0, REGION, alarm, value, "a test").unwrap()
    }

    /// What is said of `down` when another alarm's state is set.
    fn then(&self, alarm: &str, value: StateValue) -> Vec<String> {
        let events = self.set(alarm, value).into_iter();
        said(
            &events
                .filter(|event| event["detail"]["alarmName"] == "down")
                .collect::<Vec<_>>(),
        )
    }

    /// What is said while time passes.
    async fn pass(&self, seconds: u64) -> Vec<String> {
        skip(seconds).await;
        let events = self.0.cloudwatch.evaluate(&self.0).0.into_iter();
        said(&events.map(|(_, event)| event).collect::<Vec<_>>())
    }
}

async fn skip(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

fn metric_alarm(name: &str) -> Alarm {
    Alarm {
        name: name.to_owned(),
        description: String::new(),
        metric: Metric {
            namespace: "Nobody".to_owned(),
            name: "Publishes".to_owned(),
            dimensions: BTreeMap::new(),
        },
        or_metrics: Vec::new(),
        statistic: Statistic::Maximum,
        period: Duration::from_secs(60),
        evaluation_periods: 1,
        datapoints_to_alarm: 1,
        threshold: 0.0,
        comparison: Comparison::GreaterThan,
        treat_missing_data: MissingData::Ignore,
        actions_enabled: true,
    }
}

fn composite(name: &str, rule: &str) -> CompositeAlarm {
    CompositeAlarm {
        name: name.to_owned(),
        description: String::new(),
        rule: rule.to_owned(),
        actions_enabled: true,
        suppressor: None,
    }
}

fn upkeep() -> Suppressor {
    Suppressor {
        alarm: "upkeep".to_owned(),
        wait: Duration::from_secs(WAIT),
        extension: Duration::from_secs(EXTENSION),
    }
}

/// `down OK -> ALARM, WaitPeriod`
fn said(events: &[Value]) -> Vec<String> {
    let each = events.iter().map(|event| {
        let detail = &event["detail"];
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let by = text(&detail["state"]["actionsSuppressedBy"]);
        let comma = if by.is_empty() { "" } else { ", " };
        format!(
            "{} {} -> {}{comma}{by}",
            text(&detail["alarmName"]),
            text(&detail["previousState"]["value"]),
            text(&detail["state"]["value"])
        )
    });
    each.collect()
}

use StateValue::{Alarm as Up, InsufficientData as Unknown, Ok as Fine};

#[tokio::test(start_paused = true)]
async fn the_state_follows_from_those_of_the_alarms() {
    let alarms = Alarms::with(None).await;
    assert_eq!(alarms.then("a", Up), ["down OK -> ALARM"]);
    assert!(alarms.then("b", Up).is_empty(), "it is in ALARM already");
    assert!(alarms.then("a", Unknown).is_empty());
    assert_eq!(alarms.then("b", Fine), ["down ALARM -> OK"]);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_set_stays_until_an_alarm_of_it_changes() {
    let alarms = Alarms::with(None).await;
    assert_eq!(said(&alarms.set("down", Up)), ["down OK -> ALARM"]);
    assert!(alarms.pass(3600).await.is_empty());
    assert_eq!(alarms.then("a", Fine), ["down ALARM -> OK"]);
}

#[tokio::test(start_paused = true)]
async fn composite_alarms_follow_each_other() {
    let alarms = Alarms::with(None).await;
    let upper = composite(
        "upper",
        "NOT ALARM(\"arn:aws:cloudwatch:us-west-2:123456789012:alarm:down\")",
    );
    assert_eq!(said(&alarms.put(upper).unwrap()), ["upper INSUFFICIENT_DATA -> ALARM"]);
    assert_eq!(
        said(&alarms.set("a", Up)),
        ["a INSUFFICIENT_DATA -> ALARM", "down OK -> ALARM", "upper ALARM -> OK"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_aws_refuses_is_refused() {
    let alarms = Alarms::with(None).await;
    let refused = |rule: &str| alarms.put(composite("new", rule)).unwrap_err();
    assert!(
        refused("ALARM(a) OR ALARM(x) OR OK(\"y\")")
            .ends_with("Could not save the composite alarm as alarms [x, y] in the alarm rule do not exist")
    );
    assert!(refused("ALARM(new)").contains("[new] in the alarm rule do not exist"));
    assert!(refused("ALARM()").contains("Error in AlarmRule"));
    let elsewhere = "ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)";
    assert!(refused(elsewhere).contains("an alarm of another account or Region"));
    alarms.put(composite("upper", "ALARM(down)")).unwrap();
    for rule in ["ALARM(upper)", "ALARM(down)"] {
        assert!(
            alarms.put(composite("down", rule)).unwrap_err().contains("a cycle"),
            "{rule}"
        );
    }
    let absent = Some(Suppressor {
        alarm: "absent".to_owned(),
        ..upkeep()
    });
    let suppressor = CompositeAlarm {
        suppressor: absent,
        ..composite("new", "ALARM(a)")
    };
    assert!(
        alarms
            .put(suppressor)
            .unwrap_err()
            .contains("ActionsSuppressor absent does not exist")
    );
    assert!(
        alarms
            .put(composite("a", "ALARM(b)"))
            .unwrap_err()
            .contains("there is a metric alarm a")
    );
    let cloud = &alarms.0;
    let metric = cloud.cloudwatch.put_alarm(cloud, REGION, metric_alarm("down"));
    assert!(metric.unwrap_err().contains("there is a composite alarm down"));
    assert!(alarms.put(composite("", "TRUE")).is_err());
    assert_eq!(
        alarms.then("a", Up),
        ["down OK -> ALARM"],
        "what was refused changed nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_keeps_the_state_and_is_evaluated() {
    let alarms = Alarms::with_upkeep().await;
    alarms.set("a", Up);
    let changed = CompositeAlarm {
        suppressor: Some(upkeep()),
        ..composite("down", "ALARM(b)")
    };
    let events = alarms.put(changed).unwrap();
    assert_eq!(said(&events), ["down ALARM -> OK, WaitPeriod"]);
    let reason = events[0]["detail"]["state"]["reason"].as_str().unwrap();
    assert!(
        reason.ends_with(":alarm:down was updated and its alarm rule evaluates to OK"),
        "{reason}"
    );
    // "If you replace the action suppressor alarm, any active WaitPeriod or ExtensionPeriod is discarded."
    assert!(alarms.put(composite("down", "ALARM(b)")).unwrap().is_empty());
    assert!(alarms.pass(600).await.is_empty());
}

/// The numbers are those of the User Guide's examples ("Suppressing composite alarm actions").
mod examples {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn n1_actions_are_not_suppressed_after_the_wait() {
        let alarms = Alarms::with_upkeep().await;
        assert_eq!(alarms.then("a", Up), ["down OK -> ALARM, WaitPeriod"]);
        assert!(alarms.pass(WAIT - 1).await.is_empty());
        assert_eq!(alarms.pass(1).await, ["down ALARM -> ALARM"]);
        assert!(alarms.pass(3600).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn n2_actions_are_suppressed_by_the_alarm_before_the_wait_is_over() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("a", Up);
        skip(60).await;
        assert!(alarms.then("upkeep", Up).is_empty());
        assert!(alarms.pass(3600).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn n3_a_change_of_state_in_the_wait_begins_a_new_one() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("a", Up);
        skip(60).await;
        assert_eq!(alarms.then("a", Fine), ["down ALARM -> OK, WaitPeriod"]);
        assert!(alarms.pass(WAIT - 1).await.is_empty());
        assert_eq!(alarms.pass(1).await, ["down OK -> OK"]);
    }

    #[tokio::test(start_paused = true)]
    async fn n4_a_change_of_state_while_the_suppressor_is_in_alarm() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("upkeep", Up);
        skip(3600).await;
        assert_eq!(alarms.then("a", Up), ["down OK -> ALARM, Alarm"]);
        assert!(alarms.pass(3600).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn n5_actions_are_not_suppressed_after_the_extension() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("a", Up);
        alarms.set("upkeep", Up);
        skip(600).await;
        assert!(alarms.then("upkeep", Fine).is_empty());
        assert!(alarms.pass(EXTENSION - 1).await.is_empty());
        assert_eq!(alarms.pass(1).await, ["down ALARM -> ALARM"]);
    }

    #[tokio::test(start_paused = true)]
    async fn n6_a_change_of_state_in_the_extension_begins_a_wait() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("a", Up);
        alarms.set("upkeep", Up);
        alarms.set("upkeep", Fine);
        skip(60).await;
        assert_eq!(alarms.then("a", Fine), ["down ALARM -> OK, WaitPeriod"]);
        assert!(alarms.pass(WAIT - 1).await.is_empty());
        assert_eq!(alarms.pass(1).await, ["down OK -> OK"]);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_nothing_is_waited_for() {
    let suppressor = Suppressor {
        wait: Duration::ZERO,
        extension: Duration::ZERO,
        ..upkeep()
    };
    let alarms = Alarms::with(Some(suppressor)).await;
    assert_eq!(alarms.then("a", Up), ["down OK -> ALARM"]);
    alarms.set("upkeep", Up);
    alarms.set("upkeep", Fine);
    assert_eq!(alarms.pass(0).await, ["down ALARM -> ALARM"]);
}

#[tokio::test(start_paused = true)]
async fn a_suppressor_that_never_was_in_alarm_changes_nothing() {
    let alarms = Alarms::with_upkeep().await;
    alarms.set("a", Up);
    alarms.set("upkeep", Fine);
    assert!(alarms.pass(WAIT - 1).await.is_empty());
    assert_eq!(alarms.pass(1).await, ["down ALARM -> ALARM"]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_while_the_region_is_down_ends_after() {
    let alarms = Alarms::with_upkeep().await;
    alarms.set("a", Up);
    alarms.0.take_away(REGION, Reach::Apis);
    assert!(alarms.pass(WAIT).await.is_empty());
    alarms.0.give_region_back(REGION);
    assert_eq!(alarms.pass(60).await, ["down ALARM -> ALARM"]);
}

/// The same fields at every level: an object's names, and what is below them.
fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    found.insert(path.to_owned());
    for (name, value) in value.as_object().into_iter().flatten() {
        shape(value, &format!("{path}/{name}"), found);
    }
}

#[tokio::test(start_paused = true)]
async fn the_event_is_as_aws_documents_it() {
    let alarms = Alarms::with_upkeep().await;
    let event = alarms.set("a", Up).pop().unwrap();
    let documented = include_str!("../../../../../tests/fixtures/events/cloudwatch-alarm-composite-suppressed.json");
    let shapes = [event.clone(), serde_json::from_str(documented).unwrap()].map(|event| {
        let mut found = BTreeSet::new();
        shape(&event, "", &mut found);
        found
    });
    assert_eq!(shapes[0], shapes[1]);
    let detail = &event["detail"];
    assert_eq!(
        event["resources"],
        json!(["arn:aws:cloudwatch:us-west-2:123456789012:alarm:down"])
    );
    assert_eq!(
        detail["configuration"],
        json!({
            "alarmRule": "ALARM(a) OR ALARM(\"b\")",
            "actionsSuppressor": "upkeep",
            "actionsSuppressorWaitPeriod": 120,
            "actionsSuppressorExtensionPeriod": 180,
        })
    );
    assert_eq!(
        detail["state"],
        json!({
            "value": "ALARM",
            "reason": "arn:aws:cloudwatch:us-west-2:123456789012:alarm:a transitioned to ALARM at Thursday 01 \
                       January, 2026 12:10:30 UTC",
            "reasonData": "{\"triggeringAlarms\":[{\"arn\":\"arn:aws:cloudwatch:us-west-2:123456789012:alarm:a\",\
                           \"state\":{\"value\":\"ALARM\",\"timestamp\":\"2026-01-01T12:10:30.000+0000\"}}]}",
            "timestamp": "2026-01-01T12:10:30.000+0000",
            "actionsSuppressedBy": "WaitPeriod",
            "actionsSuppressedReason": "Actions suppressed by WaitPeriod",
        })
    );
    let before = detail["previousState"]["reason"].as_str().unwrap();
    assert!(
        before.ends_with(":alarm:down was created and its alarm rule evaluates to OK"),
        "{before}"
    );
    // When the wait is over the one that waited is the state before.
    skip(WAIT).await;
    let (_, over) = alarms.0.cloudwatch.evaluate(&alarms.0).0.pop().unwrap();
    assert_eq!(over["detail"]["previousState"], detail["state"]);
    assert_eq!(over["detail"]["state"]["timestamp"], "2026-01-01T12:12:30.000+0000");
}
