use serde_json::json;
use shared::arn;
use shared::plan::Start;
use shared::scenario::Scenario;

use super::*;
use crate::decide::alarms_for;

const NOW: &str = "2026-01-06T02:55:00Z";
const WENT_OFF: &str = "2026-01-06T02:54:50.123+0000";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan() -> Plan {
    let site = |region: &str| {
        json!({
            "region": region, "cluster": "shop", "topic": "recoveries", "reports": format!("reports-{region}"),
            "database_secret": format!("arn:aws:secretsmanager:{region}:123456789012:secret:shop-Ab3dEf"),
            "api": { "rest_api": "abc123def4", "stage": "v2", "domain": "d.example.com" },
        })
    };
    let policy = |cool_down: &str| {
        json!({
            "severity": "sev1", "objectives": { "rto": { "target": "1h", "maximum": "4h" } },
            "approvals": 0, "cool_down": cool_down, "deadlines": { "database": "15m", "health": "10m" },
        })
    };
    let alarm = |name: &str, region: &str, scenario: &str, start: &str| json!({ "name": name, "region": region, "scenario": scenario, "start": start });
    serde_json::from_value(json!({
        "version": 1, "workload": "shop", "account": "123456789012",
        "regions": { "primary": site("us-east-1"), "standby": site("us-west-2") },
        "database": { "global_cluster": "shop", "name": "shop", "heartbeat": { "schema": "recovery", "every": "5s" } },
        "functions": [{ "name": "router" }],
        "dns": { "name": "api.example.com", "hosted_zone": "Z123456", "ttl": "10s" },
        "health": { "url": "https://api.example.com/health", "consecutive": 3, "timeout": "5s" },
        "probe": { "namespace": "Shop", "metric": "Healthy" },
        "scenarios": { "region-failure": policy("6h"), "az-failure": policy("15m"), "security-breach": policy("1h") },
        "alarms": [
            alarm("outside", "standby", "region-failure", "automatic"),
            alarm("asked", "standby", "az-failure", "approve"),
            alarm("ignored", "standby", "region-failure", "off"),
            alarm("zone", "primary", "az-failure", "approve"),
        ],
        "automation": { "table": "recoveries", "stale_after": "10m" },
        "severities": {}, "contacts": {},
    }))
    .unwrap()
}

/// An event that starts a recovery.
fn event() -> Value {
    json!({
        "version": "0", "id": "one", "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch",
        "account": "123456789012", "time": "2026-01-06T02:54:50Z", "region": "us-west-2",
        "resources": ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:outside"],
        "detail": {
            "alarmName": "outside",
            "previousState": { "value": "OK" },
            "state": { "value": "ALARM", "timestamp": WENT_OFF },
        },
    })
}

/// That event with changes: the place, and the new value there; null takes it away.
fn changed(changes: &[(&str, Value)]) -> Value {
    let mut event = event();
    for (path, value) in changes {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let fields = event.pointer_mut(parent).unwrap();
        match fields {
            Value::Object(fields) if value.is_null() => drop(fields.remove(name)),
            Value::Object(fields) => drop(fields.insert(name.to_owned(), value.clone())),
            other => other[name.parse::<usize>().unwrap()] = value.clone(),
        }
    }
    event
}

/// The event of another alarm of the plan.
fn event_of(name: &str, region: &str) -> Value {
    changed(&[
        ("/detail/alarmName", json!(name)),
        ("/region", json!(region)),
        (
            "/resources/0",
            json!(format!("arn:aws:cloudwatch:{region}:123456789012:alarm:{name}")),
        ),
    ])
}

/// What is decided on, which tests change.
struct World {
    plan: Plan,
    region: &'static str,
    switch: Option<shared::record::Switch>,
    recoveries: Vec<Past>,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self {
            plan: plan(),
            region: "us-west-2",
            switch: None,
            recoveries: vec![],
            now: at(NOW),
        }
    }

    fn after(past: Past) -> Self {
        Self {
            recoveries: vec![past],
            ..Self::new()
        }
    }

    fn decide(&self, event: &Value) -> Result<Begin, NotStarted> {
        let seen = Circumstances {
            plan: &self.plan,
            region: self.region,
            switch: self.switch.as_ref(),
            recoveries: &self.recoveries,
            now: self.now,
        };
        decide(event, &seen)
    }

    /// Why `event` starts nothing, which must say `says`.
    #[track_caller]
    fn refuses(&self, event: &Value, says: &str) {
        let reason = self.decide(event).unwrap_err().reason;
        assert!(reason.contains(says), "{reason:?} does not say {says:?}");
    }
}

/// A recovery by hand that runs since an hour ago.
fn running() -> Past {
    let header = json!({
        "id": "20260106T015500Z-az-failure-abcdef", "workload": "shop", "scenario": "az-failure", "mode": "live",
        "wants": { "intent": "decide" }, "trigger": { "kind": "person", "by": "arn:person", "at": "2026-01-06T01:55:00Z" },
        "plan_sha256": "0", "objectives": { "rto": { "target": "1h", "maximum": "4h" } },
        "opened_at": "2026-01-06T01:55:00Z", "execution": "arn:aws:states:us-west-2:123456789012:execution:az:by-hand",
    });
    Past {
        header: serde_json::from_value(header).unwrap(),
        stopped_at: None,
    }
}

fn closing(execution: &str, outcome: &str, closed_at: &str) -> shared::record::Closing {
    let closing = json!({
        "execution": execution, "outcome": outcome, "reason": null, "closed_at": closed_at, "evidence": {},
        "observed": {
            "impact_at": null, "decided_at": null, "healthy_at": null, "last_committed_at": null,
            "last_surviving_at": null, "can_lose_writes": false,
        },
        "achieved": {
            "rto_seconds": null, "rto_from_decision_seconds": null, "rpo_seconds": null, "rpo_status": "unmeasured",
        },
        "met": { "rto": "missed", "rpo": "missed" },
    });
    serde_json::from_value(closing).unwrap()
}

fn ended(outcome: &str, closed_at: &str) -> Past {
    let mut past = running();
    past.header.closing = Some(closing(&past.header.execution, outcome, closed_at));
    past
}

#[test]
fn an_alarm_that_the_plan_binds_starts_its_scenario() {
    let begin = World::new().decide(&event()).unwrap();
    assert_eq!(begin.scenario, Scenario::REGION_FAILURE);
    assert_eq!(begin.alarm, "arn:aws:cloudwatch:us-west-2:123456789012:alarm:outside");
    assert_eq!(begin.at, at("2026-01-06T02:54:50.123Z"));
    assert!(!begin.always_ask);
    let from_nothing = changed(&[("/detail/previousState/value", json!("INSUFFICIENT_DATA"))]);
    assert!(World::new().decide(&from_nothing).is_ok());
}

#[test]
fn an_alarm_with_start_approve_has_people_asked() {
    let begin = World::new().decide(&event_of("asked", "us-west-2")).unwrap();
    assert_eq!((begin.scenario, begin.always_ask), (Scenario::AZ_FAILURE, true));
}

#[test]
fn what_is_not_known_of_an_event_is_passed_over() {
    let with_more = changed(&[
        ("/detail/alarmTags", json!({ "team": "platform" })),
        ("/new", json!([1])),
        ("/detail/muteDetail", Value::Null),
        ("/detail/state/actionsSuppressedReason", json!("none")),
    ]);
    assert!(World::new().decide(&with_more).is_ok());
    let mut with_nulls = event();
    with_nulls["detail"]["muteDetail"] = Value::Null;
    with_nulls["detail"]["state"]["actionsSuppressedBy"] = Value::Null;
    assert!(World::new().decide(&with_nulls).is_ok());
}

#[test]
fn each_field_that_is_needed_is_named_when_it_is_missing_or_wrong() {
    for (path, name) in [
        ("/source", "source"),
        ("/detail-type", "detail-type"),
        ("/account", "account"),
        ("/region", "region"),
        ("/detail/alarmName", "detail.alarmName"),
        ("/detail/state/value", "detail.state.value"),
        ("/detail/state/timestamp", "detail.state.timestamp"),
        ("/detail/previousState/value", "detail.previousState.value"),
    ] {
        let world = World::new();
        world.refuses(&changed(&[(path, Value::Null)]), &format!("{name} is missing"));
        world.refuses(&changed(&[(path, json!(7))]), &format!("{name} is a number"));
    }
    let world = World::new();
    world.refuses(&changed(&[("/resources", json!([]))]), "resources[0] is missing");
    world.refuses(&changed(&[("/detail", json!("x"))]), "detail is text, where an object");
    world.refuses(
        &changed(&[("/detail/state/timestamp", json!("now"))]),
        "detail.state.timestamp is 'now', which is not a time",
    );
}

#[test]
fn what_is_no_object_or_too_large_is_refused() {
    for event in [json!(null), json!([event()]), json!("event"), json!(7)] {
        World::new().refuses(&event, "not an object");
    }
    let room = 256 * 1024 - event().to_string().len() - r#","filler":"""#.len();
    let filled = |size: usize| changed(&[("/filler", json!("x".repeat(size)))]);
    assert_eq!(filled(room).to_string().len(), 256 * 1024);
    assert!(World::new().decide(&filled(room)).is_ok());
    World::new().refuses(&filled(room + 1), "262145 bytes");
}

#[test]
fn only_cloudwatchs_own_change_of_state_starts_anything() {
    let world = World::new();
    world.refuses(
        &changed(&[("/source", json!("aws.cloudwatch2"))]),
        "comes from 'aws.cloudwatch2'",
    );
    world.refuses(&changed(&[("/source", json!("AWS.cloudwatch"))]), "comes from");
    for kind in [
        "CloudWatch Alarm Contributor State Change",
        "CloudWatch Alarm Configuration Change",
        "",
    ] {
        world.refuses(&changed(&[("/detail-type", json!(kind))]), &format!("it is a '{kind}'"));
    }
}

#[test]
fn an_event_from_elsewhere_is_refused() {
    let world = World::new();
    world.refuses(
        &changed(&[("/account", json!("999999999999"))]),
        "account '999999999999'",
    );
    world.refuses(
        &changed(&[("/region", json!("eu-west-1"))]),
        "'eu-west-1', which the plan does not name",
    );
    // Bound there, and heard here.
    world.refuses(
        &event_of("zone", "us-east-1"),
        "raised in us-east-1, and this function runs in us-west-2",
    );
}

#[test]
fn the_arn_must_be_that_of_the_alarm() {
    for arn in [
        "arn:aws:cloudwatch:us-west-2:123456789012:alarm:other",
        "arn:aws:cloudwatch:us-east-1:123456789012:alarm:outside",
        "arn:aws:cloudwatch:us-west-2:999999999999:alarm:outside",
        "arn:aws-cn:cloudwatch:us-west-2:123456789012:alarm:outside",
        "outside",
    ] {
        World::new().refuses(&changed(&[("/resources/0", json!(arn))]), "CloudWatch did not send it");
    }
}

#[test]
fn an_alarm_is_bound_by_its_name_and_its_region() {
    let world = World::new();
    world.refuses(
        &event_of("unknown", "us-west-2"),
        "no scenario is bound to alarm 'unknown' in us-west-2",
    );
    // The plan has an alarm of this name in the other Region.
    world.refuses(
        &event_of("zone", "us-west-2"),
        "no scenario is bound to alarm 'zone' in us-west-2",
    );
    let east = World {
        region: "us-east-1",
        ..World::new()
    };
    assert!(east.decide(&event_of("zone", "us-east-1")).is_ok());
    // The loss of the Region that serves is watched from either one, and in the primary people are asked.
    let back = east.decide(&event_of("outside", "us-east-1")).unwrap();
    assert_eq!(back.scenario, Scenario::REGION_FAILURE);
    assert!(back.always_ask);
}

#[test]
fn the_alarm_that_watches_back_is_asked_again_of_and_is_off_where_the_plan_says_so() {
    let named = |plan: &Plan, region: &str| -> Vec<String> {
        let alarms = alarms_for(plan, Scenario::REGION_FAILURE, region).into_iter();
        alarms.map(|alarm| alarm.name).collect()
    };
    let mut plan = plan();
    assert_eq!(named(&plan, "us-west-2"), ["outside"]);
    assert_eq!(named(&plan, "us-east-1"), ["outside"]);
    for alarm in &mut plan.alarms {
        alarm.start = Start::Off;
    }
    assert_eq!(named(&plan, "us-west-2"), Vec::<String>::new());
    assert_eq!(named(&plan, "us-east-1"), Vec::<String>::new());
}

#[test]
fn only_a_change_to_alarm_starts_anything() {
    let world = World::new();
    for state in ["OK", "INSUFFICIENT_DATA", "alarm"] {
        world.refuses(
            &changed(&[("/detail/state/value", json!(state))]),
            &format!("the alarm went to '{state}'"),
        );
    }
    for before in ["ALARM", "ok", ""] {
        world.refuses(
            &changed(&[("/detail/previousState/value", json!(before))]),
            &format!("the alarm was '{before}' before"),
        );
    }
}

#[test]
fn an_alarm_that_is_off_starts_nothing() {
    World::new().refuses(&event_of("ignored", "us-west-2"), "start: off for alarm ignored");
}

#[test]
fn a_muted_or_suppressed_alarm_starts_nothing() {
    let world = World::new();
    let mute = json!({ "mutedByArn": "arn:mute" });
    world.refuses(&changed(&[("/detail/muteDetail", mute)]), "muted by 'arn:mute'");
    for mute in [json!({}), json!(false), json!("")] {
        world.refuses(&changed(&[("/detail/muteDetail", mute)]), "is muted;");
    }
    for by in ["ExtensionPeriod", "Alarm", "Another"] {
        let suppressed = ("/detail/state/actionsSuppressedBy", json!(by));
        world.refuses(
            &changed(std::slice::from_ref(&suppressed)),
            &format!("suppressed by '{by}' in us-west-2"),
        );
        let named = ("/detail/configuration", json!({ "actionsSuppressor": "upkeep" }));
        world.refuses(
            &changed(&[suppressed, named]),
            &format!("suppressed by '{by}' ('upkeep') in us-west-2"),
        );
    }
    world.refuses(
        &changed(&[("/detail/state/actionsSuppressedBy", json!({}))]),
        "suppressed in",
    );
}

const WAITS: (&str, &str) = ("/detail/state/actionsSuppressedBy", "WaitPeriod");
const ACTS_SINCE: &str = "2026-01-06T02:54:51.123+0000";

/// The event of an alarm that was kept from acting by `by`, since it went off, and is not any more.
fn freed(by: &str) -> Value {
    changed(&[
        (
            "/detail/previousState",
            json!({ "value": "ALARM", "actionsSuppressedBy": by, "timestamp": WENT_OFF }),
        ),
        ("/detail/state/timestamp", json!(ACTS_SINCE)),
    ])
}

/// CloudWatch says ALARM once, with the wait in it, and nothing documents that EventBridge hears of the wait's end.
#[test]
fn an_alarm_that_waits_for_its_suppressor_starts() {
    let waits = changed(&[(WAITS.0, json!(WAITS.1))]);
    assert_eq!(World::new().decide(&waits), World::new().decide(&event()));
}

#[test]
fn the_end_of_the_wait_is_the_same_event_to_what_was_started_and_starts_what_was_not() {
    let waits = changed(&[(WAITS.0, json!(WAITS.1))]);
    let over = freed("WaitPeriod");
    assert_eq!(event::id_of(&over), event::id_of(&waits));
    assert_eq!(World::new().decide(&over), World::new().decide(&waits));
    // What is fresh is what was said last.
    let mut world = World::new();
    world.now = at("2026-01-06T02:54:51.123Z") + SignedDuration::from_mins(10);
    assert!(world.decide(&over).is_ok());
    world.now += SignedDuration::from_millis(1);
    world.refuses(
        &over,
        "went off at 2026-01-06T02:54:51.123Z, 10m before its event arrived",
    );
}

#[test]
fn an_alarm_that_still_stands_when_it_is_no_longer_suppressed_starts() {
    for by in ["Alarm", "ExtensionPeriod"] {
        let freed = freed(by);
        assert_ne!(event::id_of(&freed), event::id_of(&event()));
        let begin = World::new().decide(&freed).unwrap();
        assert_eq!(begin.at, at("2026-01-06T02:54:51.123Z"), "when it could act");
        assert_eq!(begin.name, format!("region-failure-{}", event::id_of(&freed)));
    }
}

#[test]
fn an_alarm_that_stays_suppressed_or_never_was_is_not_freed() {
    let world = World::new();
    let with = |now: Value| {
        let mut event = freed("Alarm");
        event["detail"]["state"]["actionsSuppressedBy"] = now;
        event
    };
    for now in ["ExtensionPeriod", "WaitPeriod", "Alarm"] {
        world.refuses(&with(json!(now)), "the alarm was 'ALARM' before");
    }
    assert!(world.decide(&with(Value::Null)).is_ok());
    let mut never = freed("Alarm");
    never["detail"]["previousState"]["actionsSuppressedBy"] = Value::Null;
    world.refuses(&never, "the alarm was 'ALARM' before");
    let mut without_time = freed("WaitPeriod");
    without_time["detail"]["previousState"]["timestamp"] = json!("then");
    world.refuses(
        &without_time,
        "detail.previousState.timestamp is 'then', which is not a time",
    );
    let mut muted = freed("WaitPeriod");
    muted["detail"]["muteDetail"] = json!({});
    world.refuses(&muted, "is muted");
    assert_ne!(event::id_of(&muted), event::id_of(&event()));
}

#[test]
fn a_stale_event_and_one_of_the_future_start_nothing() {
    let mut world = World::new();
    let went_off = at("2026-01-06T02:54:50.123Z");
    world.now = went_off + SignedDuration::from_mins(10);
    assert!(world.decide(&event()).is_ok());
    world.now += SignedDuration::from_millis(1);
    world.refuses(&event(), "older than 10m is ignored as stale");
    world.now = went_off - SignedDuration::from_mins(1);
    assert!(world.decide(&event()).is_ok());
    world.now -= SignedDuration::from_millis(1);
    world.refuses(&event(), "in the future");
}

#[test]
fn the_switch_stops_alarms_and_says_who_set_it() {
    let switch = |on| shared::record::Switch {
        on,
        by: "arn:person".into(),
        at: at("2026-01-06T01:00:00Z"),
        reason: "moving house".into(),
    };
    let mut world = World::new();
    world.switch = Some(switch(true));
    assert!(world.decide(&event()).is_ok());
    world.switch = Some(switch(false));
    world.refuses(
        &event(),
        "off in us-west-2 since 2026-01-06T01:00:00Z, by arn:person: moving house",
    );
}

#[test]
fn behind_a_recovery_of_another_scenario_an_alarm_is_looked_at_again() {
    let refused = |scenario: Scenario| {
        let mut past = running();
        past.header.scenario = scenario;
        World::after(past).decide(&event()).unwrap_err()
    };
    let behind = refused(Scenario::AZ_FAILURE);
    assert!(
        behind.reason.ends_with("looked at again when that has ended"),
        "{behind:?}"
    );
    let deferred = behind.deferred.unwrap();
    assert_eq!(
        (deferred.behind.as_str(), deferred.region.as_str()),
        ("20260106T015500Z-az-failure-abcdef", "us-west-2")
    );
    // That one looks at it already.
    let same = refused(deferred.scenario);
    assert_eq!(same.deferred, None);
    assert!(!same.reason.contains("again"), "{same:?}");
}

#[test]
fn one_recovery_runs_at_a_time() {
    World::after(running()).refuses(
        &event(),
        "recovery 20260106T015500Z-az-failure-abcdef (az-failure) has been running since 2026-01-06T01:55:00Z",
    );
    // Resumed: what its earlier execution closed does not count as its end.
    let mut resumed = ended("refused", "2026-01-05T02:00:00Z");
    resumed.header.execution.push_str("-again");
    let trigger = json!({ "kind": "person", "by": "arn:person", "at": "2026-01-06T02:30:00Z" });
    resumed.header.resumed = vec![serde_json::from_value(trigger).unwrap()];
    World::after(resumed).refuses(&event(), "has been running since 2026-01-06T02:30:00Z");
    // A drill is no reason to leave a disaster alone.
    let mut drill = running();
    drill.header.mode = Mode::Drill;
    assert!(World::after(drill).decide(&event()).is_ok());
}

#[test]
fn a_recovery_that_was_stopped_does_not_run_and_is_cooled_down_from() {
    let stopped = |at: &str| {
        World::after(Past {
            stopped_at: at.parse().ok(),
            ..running()
        })
    };
    stopped("2026-01-06T02:00:00Z").refuses(&event(), "ended at 2026-01-06T02:00:00Z (stopped)");
    assert!(stopped("2026-01-05T02:00:00Z").decide(&event()).is_ok());
}

#[test]
fn what_changed_something_or_was_declined_is_cooled_down_from() {
    for outcome in ["recovered", "partial", "failed", "rolled-back", "preempted", "declined"] {
        let says =
            format!("ended at 2026-01-06T02:00:00Z ({outcome}); for 6h after that, no alarm starts region-failure");
        World::after(ended(outcome, "2026-01-06T02:00:00Z")).refuses(&event(), &says);
    }
    for outcome in ["refused", "expired"] {
        let world = World::after(ended(outcome, "2026-01-06T02:00:00Z"));
        assert!(world.decide(&event()).is_ok(), "{outcome}");
    }
}

#[test]
fn the_time_to_cool_down_is_that_of_the_scenario_and_runs_from_the_closing() {
    let exactly = World::after(ended("recovered", "2026-01-05T20:55:00Z"));
    assert!(exactly.decide(&event()).is_ok());
    World::after(ended("recovered", "2026-01-05T20:55:01Z")).refuses(&event(), "for 6h");
    // az-failure has 15 minutes.
    let asked = event_of("asked", "us-west-2");
    assert!(
        World::after(ended("recovered", "2026-01-06T02:40:00Z"))
            .decide(&asked)
            .is_ok()
    );
    World::after(ended("recovered", "2026-01-06T02:40:01Z")).refuses(&asked, "for 15m");
}

#[test]
fn the_last_end_counts_wherever_it_is() {
    // The one that was opened first ended last, and the end of a resumed execution counts too.
    let mut first = ended("refused", "2026-01-06T02:50:00Z");
    first.header.earlier = vec![closing("arn:earlier", "failed", "2026-01-06T02:10:00Z")];
    let others = [
        ended("recovered", "2026-01-01T00:00:00Z"),
        ended("partial", "2026-01-06T02:05:00Z"),
    ];
    for place in 0..=others.len() {
        let mut world = World::new();
        world.recoveries = others.to_vec();
        world.recoveries.insert(place, first.clone());
        world.refuses(&event(), "ended at 2026-01-06T02:10:00Z (failed)");
    }
}

#[test]
fn an_event_whose_recovery_was_started_starts_it_again_by_the_same_name() {
    let begin = World::new().decide(&event()).unwrap();
    let own = |past: Past| {
        let mut past = past;
        let machine = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";
        past.header.execution = arn::execution(machine, &begin.name);
        if let Some(closing) = &mut past.header.closing {
            closing.execution = past.header.execution.clone();
        }
        past
    };
    for past in [running(), ended("recovered", "2026-01-06T02:54:59Z")] {
        let mut world = World::after(own(past));
        world.now += SignedDuration::from_hours(1);
        assert_eq!(world.decide(&event()).as_ref(), Ok(&begin));
    }
}

#[test]
fn the_name_follows_from_the_alarm_and_the_time_and_is_short_enough() {
    let name = World::new().decide(&event()).unwrap().name;
    let id = event::id_of(&event());
    assert_eq!(name, format!("region-failure-{id}"));
    assert_eq!(id.len(), 32);
    assert!(
        Scenario::all()
            .iter()
            .all(|scenario| format!("{scenario}-{id}").len() <= 80)
    );
    let delivered_again = changed(&[("/id", json!("two")), ("/time", json!("2026-01-06T02:54:59Z"))]);
    assert_eq!(event::id_of(&delivered_again), id);
    let later = changed(&[("/detail/state/timestamp", json!("2026-01-06T02:54:50.124+0000"))]);
    assert_ne!(event::id_of(&later), id);
    assert_ne!(event::id_of(&event_of("asked", "us-west-2")), id);
}

#[test]
fn refusing_something_else_of_the_same_moment_does_not_stand_for_the_alarms_own_event() {
    let id = event::id_of(&event());
    for other in [
        changed(&[("/detail-type", json!("CloudWatch Alarm Contributor State Change"))]),
        changed(&[("/detail-type", json!("CloudWatch Alarm Configuration Change"))]),
        changed(&[("/detail/muteDetail", json!({}))]),
        changed(&[("/detail/state/actionsSuppressedBy", json!("Alarm"))]),
    ] {
        assert_ne!(event::id_of(&other), id, "{other}");
    }
}

#[test]
fn what_has_no_alarm_or_time_has_an_id_all_the_same() {
    for broken in [json!(null), json!([]), changed(&[("/resources", Value::Null)])] {
        let id = event::id_of(&broken);
        assert_eq!((id.len(), event::id_of(&broken)), (32, id.clone()));
        assert_ne!(id, event::id_of(&changed(&[("/detail", Value::Null)])));
    }
    assert_eq!(event::alarm_of(&json!(7)), "an unnamed alarm");
    assert_eq!(event::alarm_of(&changed(&[("/resources", Value::Null)])), "outside");
}

#[test]
fn an_execution_is_started_with_what_was_decided() {
    let begin = World::new().decide(&event_of("asked", "us-west-2")).unwrap();
    let request = request_of(&begin, Mode::Live, "abc".to_owned());
    let expected = json!({
        "scenario": "az-failure", "mode": "live", "always_ask": true, "plan_sha256": "abc",
        "trigger": {
            "kind": "alarm", "by": "arn:aws:cloudwatch:us-west-2:123456789012:alarm:asked",
            "at": "2026-01-06T02:54:50.123Z",
        },
    });
    assert_eq!(serde_json::to_value(&request).unwrap(), expected);
}

/// A plan that binds the alarms of the guide's examples, and the moment at which such an event is heard.
fn bound_to(event: &Value) -> World {
    let mut world = World {
        region: "us-east-1",
        ..World::new()
    };
    let alarm = json!({
        "name": event["detail"]["alarmName"], "region": "primary", "scenario": "az-failure", "start": "automatic",
    });
    world.plan.alarms.push(serde_json::from_value(alarm).unwrap());
    let time: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    world.now = time + SignedDuration::from_secs(3);
    world
}

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            "../../../tests/fixtures/events/cloudwatch-alarm-",
            $name,
            ".json"
        )))
        .unwrap()
    };
}

#[test]
fn every_kind_of_alarm_starts() {
    for event in [
        fixture!("single-metric"),
        fixture!("metric-math"),
        fixture!("anomaly-detection"),
        fixture!("composite"),
        fixture!("metrics-insights"),
        fixture!("composite-suppressed"),
        fixture!("composite-wait-over"),
    ] {
        let begin = bound_to(&event).decide(&event).unwrap();
        assert_eq!(begin.alarm, event["resources"][0]);
    }
}

#[test]
fn what_is_no_change_of_state_or_is_quiet_never_starts() {
    for (event, says) in [
        (
            fixture!("contributor"),
            "it is a 'CloudWatch Alarm Contributor State Change'",
        ),
        (
            fixture!("configuration-change"),
            "it is a 'CloudWatch Alarm Configuration Change'",
        ),
        (
            fixture!("muted"),
            "the alarm is muted by 'arn:aws:cloudwatch:us-east-1:",
        ),
        (
            fixture!("composite-maintenance"),
            "suppressed by 'Alarm' ('Maintenance') in us-east-1",
        ),
    ] {
        bound_to(&event).refuses(&event, says);
    }
}

#[test]
fn an_example_is_refused_as_no_scenario_is_bound_to_its_alarm() {
    let event = fixture!("single-metric");
    for region in ["us-east-1", "us-west-2"] {
        let world = World { region, ..World::new() };
        world.refuses(&event, "no scenario is bound to alarm 'ServerCpuTooHigh' in us-east-1");
    }
}

#[test]
fn what_nothing_recovers_from_yet_is_not_started() {
    let begin = World::new().decide(&event()).unwrap();
    assert!(available(begin).is_ok());
    let begin = World::new().decide(&event_of("asked", "us-west-2")).unwrap();
    let reason = available(begin).unwrap_err();
    assert!(reason.starts_with("nothing recovers from az-failure yet"), "{reason}");
}
