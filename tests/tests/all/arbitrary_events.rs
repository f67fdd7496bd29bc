//! Whatever an event says, deciding on it does not panic, and nothing starts but what is meant to.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use shared::plan::Plan;
use start_recovery::{Begin, Circumstances, NotStarted, decide};

/// Every real event; the alarms of the first seven go off.
const EVENTS: [&str; 11] = [
    include_str!("../../fixtures/events/cloudwatch-alarm-single-metric.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-metric-math.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-anomaly-detection.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-composite.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-metrics-insights.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-composite-suppressed.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-composite-wait-over.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-composite-maintenance.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-contributor.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-configuration-change.json"),
    include_str!("../../fixtures/events/cloudwatch-alarm-muted.json"),
];
const GO_OFF: usize = 7;

/// Fields that must be what they are for anything to start.
const RELEVANT: [&str; 9] = [
    "/source",
    "/detail-type",
    "/account",
    "/region",
    "/resources/0",
    "/detail/alarmName",
    "/detail/state/value",
    "/detail/state/timestamp",
    "/detail/previousState/value",
];
/// Fields that must not be there; a composite alarm that waits for its suppressor is not quiet.
const QUIET: [&str; 2] = ["/detail/muteDetail", "/detail/state/actionsSuppressedBy"];

/// RADIANT's plan, with every alarm of the real events bound: what may start, starts.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let mut plan: Plan = serde_saphyr::from_str(include_str!("../../../radiant.plan.yaml")).unwrap();
    for text in EVENTS {
        let event: Value = serde_json::from_str(text).unwrap();
        let alarm = json!({
            "name": event["detail"]["alarmName"], "region": "primary", "scenario": "az-failure", "start": "automatic",
        });
        plan.alarms.push(serde_json::from_value(alarm).unwrap());
    }
    plan
});

fn real(which: usize) -> Value {
    serde_json::from_str(EVENTS[which]).unwrap()
}

/// Decides on `event` a moment after `original` was sent.
fn decided(event: &Value, original: &Value) -> Result<Begin, NotStarted> {
    let sent: Timestamp = original["time"].as_str().unwrap().parse().unwrap();
    let seen = Circumstances {
        plan: &PLAN,
        region: "us-east-1",
        switch: None,
        recoveries: &[],
        now: sent + SignedDuration::from_secs(3),
    };
    decide(event, &seen)
}

/// Whether `event` may start something, said in another way than the step says it: it has what `original` has where it
/// matters, goes off, and is not quiet.
fn may_start(event: &Value, original: &Value) -> bool {
    let at = |path: &str| event.pointer(path).cloned().unwrap_or_default();
    let as_it_was = [
        "/source",
        "/account",
        "/region",
        "/resources/0",
        "/detail/alarmName",
        "/detail/state/timestamp",
    ];
    as_it_was.iter().all(|path| Some(&at(path)) == original.pointer(path))
        && at("/detail-type") == "CloudWatch Alarm State Change"
        && at("/detail/state/value") == "ALARM"
        && (at("/detail/previousState/value") == "OK"
            || at("/detail/previousState/value") == "INSUFFICIENT_DATA"
            || is_freed(event))
        && at(QUIET[0]).is_null()
        && (at(QUIET[1]).is_null() || at(QUIET[1]) == "WaitPeriod")
}

/// Whether the alarm was kept from acting and is not any more; if it waited, since some time.
fn is_freed(event: &Value) -> bool {
    let at = |path: &str| event.pointer(path).unwrap_or(&Value::Null);
    let before = at("/detail/previousState/actionsSuppressedBy");
    let since = at("/detail/previousState/timestamp").as_str().unwrap_or_default();
    at("/detail/previousState/value") == "ALARM"
        && !before.is_null()
        && at(QUIET[1]).is_null()
        && (before != "WaitPeriod" || since.parse::<Timestamp>().is_ok())
}

/// Words that lead deeper into the decision than chance does.
const WORDS: &[&str] = &[
    "source",
    "detail-type",
    "account",
    "region",
    "resources",
    "detail",
    "alarmName",
    "state",
    "previousState",
    "value",
    "timestamp",
    "muteDetail",
    "actionsSuppressedBy",
    "WaitPeriod",
    "time",
    "aws.cloudwatch",
    "CloudWatch Alarm State Change",
    "ALARM",
    "OK",
    "INSUFFICIENT_DATA",
    "123456789012",
    "us-east-1",
    "ServerCpuTooHigh",
    "2019-10-02T17:04:40.989+0000",
    "arn:aws:cloudwatch:us-east-1:123456789012:alarm:ServerCpuTooHigh",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![select(WORDS).prop_map(str::to_owned), any::<String>()]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(word(), inner, 0..6).prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

/// Every place in `value`.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| places(value, &format!("{path}/{name}"), found)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(i, value)| places(value, &format!("{path}/{i}"), found));
        }
        _ => {}
    }
}

/// Puts `value` at `path`, or takes away what is there; in a list null takes its place.
fn put(event: &mut Value, path: &str, value: Option<Value>) {
    let Some((parent, name)) = path.rsplit_once('/') else {
        *event = value.unwrap_or_default();
        return;
    };
    match (event.pointer_mut(parent), value) {
        (Some(Value::Object(fields)), Some(value)) => drop(fields.insert(name.to_owned(), value)),
        (Some(Value::Object(fields)), None) => drop(fields.remove(name)),
        (Some(Value::Array(items)), value) => {
            if let Some(item) = name.parse().ok().and_then(|i: usize| items.get_mut(i)) {
                *item = value.unwrap_or_default();
            }
        }
        _ => {}
    }
}

#[test]
fn the_real_events_that_go_off_would_start() {
    for (which, text) in EVENTS.iter().enumerate() {
        let event = real(which);
        assert_eq!(decided(&event, &event).is_ok(), which < GO_OFF, "{text}");
        assert_eq!(may_start(&event, &event), which < GO_OFF, "{text}");
    }
}

#[test]
fn without_any_relevant_field_nothing_starts() {
    for which in 0..GO_OFF {
        for path in RELEVANT {
            let mut event = real(which);
            put(&mut event, path, None);
            assert!(decided(&event, &real(which)).is_err(), "{which} without {path}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_json_starts_nothing(event in any_json()) {
        prop_assert!(decided(&event, &real(0)).is_err());
    }

    #[test]
    fn a_real_event_that_was_altered_starts_nothing_unless_what_matters_is_whole(
        which in 0..EVENTS.len(),
        changes in vec((any::<Index>(), proptest::option::of(any_json())), 1..4),
    ) {
        let mut event = real(which);
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&event, "", &mut found);
            put(&mut event, place.get::<String>(&found), value);
        }
        let started = decided(&event, &real(which)).is_ok();
        prop_assert_eq!(started, may_start(&event, &real(which)), "{}", event);
    }

    #[test]
    fn an_event_with_another_value_in_a_relevant_field_starts_nothing(
        which in 0..GO_OFF,
        path in select(&RELEVANT[..]),
        value in any_json(),
    ) {
        let mut event = real(which);
        put(&mut event, path, Some(value));
        prop_assume!(!may_start(&event, &real(which)));
        prop_assert!(decided(&event, &real(which)).is_err(), "{}", event);
    }

    #[test]
    fn an_event_that_is_muted_or_suppressed_in_any_way_starts_nothing(
        which in 0..GO_OFF,
        path in select(&QUIET[..]),
        value in any_json(),
    ) {
        prop_assume!(!value.is_null() && value != "WaitPeriod");
        let mut event = real(which);
        put(&mut event, path, Some(value));
        prop_assert!(decided(&event, &real(which)).is_err(), "{}", event);
    }
}

/// The guide names these two, and sends them only where tags are passed on.
#[test]
fn an_event_starts_the_same_whatever_is_added_to_it() {
    let event = real(0);
    let begin = decided(&event, &event).unwrap();
    let mut more = event.clone();
    put(&mut more, "/detail/alarmTags", Some(json!({ "team": "platform" })));
    put(&mut more, "/detail/alarmTagsStatus", Some(json!("COMPLETE")));
    assert_eq!(decided(&more, &event), Ok(begin));
}
