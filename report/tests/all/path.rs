//! The critical path, of recoveries of which every moment is known.

use crate::made::{RECORDED, account, at, made, recorded, step};
use report::path::{CriticalPath, WaitsFor, What, critical_path};
use serde_json::{Value, json};

/// The parts as text: whom each waited for, what it was, how many seconds it took.
fn parts(path: &CriticalPath) -> Vec<String> {
    let part = |span: &report::path::Span| {
        let what = serde_json::to_value(span).unwrap();
        let named = ["state", "before", "question"]
            .into_iter()
            .find_map(|name| what[name].as_str());
        let whom = what["waits_for"].as_str().unwrap().to_owned();
        format!(
            "{whom} {} {} {}",
            what["what"].as_str().unwrap(),
            named.unwrap_or("-"),
            span.seconds()
        )
    };
    path.spans.iter().map(part).collect()
}

fn path_of(value: Value) -> CriticalPath {
    let path = critical_path(&account(value));
    assert_whole(&path);
    path
}

/// Parts follow on each other without a gap, from end to end, and add up.
fn assert_whole(path: &CriticalPath) {
    assert_eq!(path.spans.first().map_or(path.from, |span| span.from), path.from);
    assert_eq!(path.spans.last().map_or(path.to, |span| span.to), path.to);
    for pair in path.spans.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "{pair:?}");
    }
    let waiting = path.waiting;
    let sum = waiting.aws_seconds + waiting.people_seconds + waiting.ours_at_most_seconds;
    assert!((sum - waiting.total_seconds).abs() < 1e-9, "{waiting:?}");
}

/// A state that looked `attempts` times; its last pause was from `pause` until `last`.
fn polling(state: &str, from: f64, pause: f64, last: f64, to: f64, attempts: u64) -> Value {
    let mut polling = step(state, from, to);
    polling["attempts"] = json!(attempts);
    polling["previous_ended_at"] = json!(at(pause));
    polling["last_started_at"] = json!(at(last));
    polling["waited_ms"] = json!(attempts * 100);
    polling
}

fn with(mut value: Value, pointer: &str, field: Value) -> Value {
    *value.pointer_mut(pointer).unwrap() = field;
    value
}

#[test]
fn an_alarms_recovery_from_the_impact_to_the_first_healthy_answer() {
    let mut open = step("Open", 183.0, 185.0);
    open["waited_ms"] = json!(1500);
    let steps = vec![open, polling("CheckHealth", 191.0, 230.0, 235.0, 236.0, 6)];
    let started = json!({
        "id": "1", "alarm": "down", "at": at(182.0),
        "decision": { "what": "started", "execution": "arn:aws:states:us-west-2:123456789012:execution:a-machine:one" },
    });
    let path = path_of(with(made(steps, 221.0), "/started", started));
    assert_eq!(
        parts(&path),
        [
            "aws detection - 180",
            "aws delivery - 2",
            "ours start - 1",
            "ours work Open 0.5",
            "aws answers Open 1.5",
            // The first look found it ill, so that the pause before it was AWS's as well.
            "aws between CheckHealth 6",
            "aws answers CheckHealth 30",
        ]
    );
    assert!(path.ends_healthy);
    let waiting = path.waiting;
    assert_eq!(
        (
            waiting.detection_seconds,
            waiting.aws_seconds,
            waiting.ours_at_most_seconds
        ),
        (180.0, 219.5, 1.5)
    );
    assert_eq!(waiting.ours_at_most_share, 1.5 / 221.0);
}

#[test]
fn a_service_that_is_healthy_at_the_first_look_was_waited_for_by_nobody_but_us() {
    let steps = vec![
        step("Open", 183.0, 185.0),
        polling("CheckHealth", 191.0, 201.0, 206.0, 206.5, 3),
    ];
    let path = path_of(made(steps, 191.0));
    assert_eq!(parts(&path)[2..], ["aws answers Open 2", "ours between CheckHealth 6"]);
}

#[test]
fn a_state_that_looks_until_aws_is_done_waits_for_aws_but_for_its_last_pause() {
    let steps = vec![
        step("Promote", 183.0, 184.0),
        polling("CheckDatabase", 189.0, 294.0, 299.0, 300.0, 23),
        step("Switch", 300.25, 301.0),
    ];
    let path = path_of(made(steps, 301.0));
    assert_eq!(
        parts(&path)[3..],
        [
            "aws between CheckDatabase 5",
            "aws answers CheckDatabase 105",
            "ours last-pause CheckDatabase 5",
            // 2.3 s in all can have been waited before the last visit, which therefore counts as ours.
            "ours work CheckDatabase 1",
            "ours between Switch 0.25",
            "aws answers Switch 0.75",
        ]
    );
}

#[test]
fn what_the_last_visit_waited_for_at_least_is_not_ours() {
    let mut check = polling("CheckDatabase", 189.0, 189.5, 194.5, 224.5, 2);
    check["waited_ms"] = json!(30_000);
    let steps = vec![step("Promote", 183.0, 184.0), check, step("Switch", 224.5, 225.0)];
    let path = path_of(made(steps, 225.0));
    // Half a second of the 30 may have been waited in the first visit.
    assert_eq!(
        parts(&path)[4..8],
        [
            "aws answers CheckDatabase 0.5",
            "ours last-pause CheckDatabase 5",
            "ours work CheckDatabase 0.5",
            "aws answers CheckDatabase 29.5"
        ]
    );
}

#[test]
fn of_states_side_by_side_the_slower_one_is_on_the_path() {
    let steps = |announced: f64, assessed: f64| {
        vec![
            step("Open", 183.0, 185.0),
            step("Announce", 185.25, announced),
            step("Assess", 185.5, assessed),
            step("Switch", 190.0, 191.0),
        ]
    };
    let named = |path: CriticalPath| {
        parts(&path)
            .into_iter()
            .filter(|part| part.starts_with("aws answers"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        named(path_of(made(steps(186.0, 189.0), 191.0))),
        ["aws answers Open 2", "aws answers Assess 3.5", "aws answers Switch 1"]
    );
    assert_eq!(
        named(path_of(made(steps(189.0, 186.0), 191.0))),
        [
            "aws answers Open 2",
            "aws answers Announce 3.75",
            "aws answers Switch 1"
        ]
    );
}

#[test]
fn what_ran_during_the_pause_before_a_first_look_ran_beside_it() {
    let steps = vec![
        step("Promote", 183.0, 184.0),
        step("Activate", 184.25, 187.0),
        // It looks every 6 s, pauses for 5 s of them, and began to pause at 184.
        polling("CheckDatabase", 189.0, 294.0, 299.0, 300.0, 19),
    ];
    let path = path_of(made(steps, 300.0));
    assert_eq!(
        parts(&path)[1..4],
        ["ours start - 3", "aws answers Promote 1", "aws between CheckDatabase 5"]
    );
    // Pauses that became longer do not tell when the first one began.
    let steps = vec![
        step("Promote", 183.0, 184.0),
        step("Activate", 184.25, 187.0),
        polling("CheckDatabase", 189.0, 1269.0, 1299.0, 1300.0, 150),
    ];
    let path = path_of(made(steps, 1300.0));
    assert_eq!(
        parts(&path)[3..5],
        ["ours between Activate 0.25", "aws answers Activate 2.75"]
    );
}

#[test]
fn people_are_waited_for_from_the_question_to_what_it_comes_to() {
    let mut ask = step("RequestApproval", 186.0, 187.0);
    ask["name"] = json!("request-approval");
    let question = json!({
        "ask": { "id": "q", "headline": "h", "shown": [], "people": 1, "because": "b", "needs_reason": false },
        "asked_at": at(186.25), "expires_at": at(1000.0), "started_by": "arn:alarm", "answers": [],
        "settled": { "verdict": { "answer": "approved", "by": ["arn:one"], "reasons": [] }, "at": at(307.0) },
    });
    let steps = vec![ask, step("Switch", 308.0, 309.0)];
    let path = path_of(with(made(steps.clone(), 309.0), "/questions", json!([question])));
    assert_eq!(
        parts(&path)[2..],
        [
            "aws answers RequestApproval 1",
            "people question q 120",
            "ours between Switch 1",
            "aws answers Switch 1"
        ]
    );
    assert_eq!(path.waiting.people_seconds, 120.0);
    // Nobody answered: the whole pause was theirs.
    let unanswered = with(question, "/settled", Value::Null);
    let path = path_of(with(made(steps, 309.0), "/questions", json!([unanswered])));
    assert_eq!(parts(&path)[3..5], ["people question q 121", "aws answers Switch 1"]);
}

#[test]
fn a_person_who_starts_it_is_waited_for() {
    let trigger = json!({ "kind": "person", "by": "arn:one", "at": at(600.0) });
    let path = path_of(with(
        made(vec![step("Switch", 601.0, 602.0)], 602.0),
        "/header/trigger",
        trigger,
    ));
    assert_eq!(
        parts(&path),
        ["people unstarted - 600", "ours start - 1", "aws answers Switch 1"]
    );
}

#[test]
fn a_recovery_that_ended_is_interrupted_until_somebody_goes_on_with_it() {
    let mut second = step("Switch", 801.0, 802.0);
    second["execution"] = json!("two");
    let value = made(vec![step("Open", 183.0, 200.0), second], 802.0);
    let resumed = json!([{ "kind": "person", "by": "arn:one", "at": at(800.0) }]);
    let mut value = value;
    value["header"]["resumed"] = resumed;
    let path = path_of(value);
    assert_eq!(
        parts(&path)[2..],
        [
            "aws answers Open 17",
            "people interrupted - 600",
            "ours start - 1",
            "aws answers Switch 1"
        ]
    );
}

#[test]
fn a_state_that_was_tried_again_waited_for_aws_only_where_aws_had_failed() {
    let retried = |kind: &str| {
        let mut step = polling("Switch", 183.0, 190.0, 193.0, 194.0, 3);
        step["failures"] = json!(2);
        step["last_failure"] = json!("x");
        step["last_failed_as"] = json!(kind);
        step["waited_ms"] = json!(500);
        parts(&path_of(made(vec![step], 194.0)))[2..].to_vec()
    };
    assert_eq!(
        retried("Throttled"),
        ["aws answers Switch 7", "ours last-pause Switch 3", "ours work Switch 1"]
    );
    assert_eq!(retried("Internal"), ["ours work Switch 10.5", "aws answers Switch 0.5"]);
}

#[test]
fn a_state_that_never_answered_held_it_up_until_the_next_one_began() {
    let mut silent = step("Fence", 183.0, 184.0);
    silent["ended_at"] = Value::Null;
    silent["outcome"] = Value::Null;
    silent["waited_ms"] = json!(0);
    let path = path_of(made(vec![silent, step("Switch", 253.0, 254.0)], 254.0));
    assert_eq!(parts(&path)[2..], ["ours work Fence 70", "aws answers Switch 1"]);
}

#[test]
fn without_an_impact_it_begins_with_the_start_and_without_a_healthy_answer_it_ends_with_the_end() {
    let value = made(vec![step("Open", 183.0, 185.0)], 200.0);
    let value = with(value, "/header/closing/observed/impact_at", Value::Null);
    let path = path_of(with(value, "/header/closing/observed/healthy_at", Value::Null));
    assert!(!path.ends_healthy);
    assert_eq!(
        parts(&path),
        ["ours start - 3", "aws answers Open 2", "ours ending - 35"]
    );
}

#[test]
fn what_still_runs_waits_for_what_it_is_at() {
    let mut check = polling("CheckDatabase", 189.0, 294.0, 299.0, 300.0, 23);
    check["outcome"] = Value::Null;
    check["ended_at"] = json!(at(294.0));
    let value = with(
        made(vec![step("Promote", 183.0, 184.0), check], 0.0),
        "/header/closing",
        Value::Null,
    );
    let path = path_of(value);
    assert_eq!(parts(&path).last().unwrap(), "aws answers CheckDatabase 110");
}

#[test]
fn nothing_is_left_out_of_any_recorded_recovery() {
    for name in RECORDED {
        let account = recorded(name);
        let path = critical_path(&account);
        assert_whole(&path);
        if let Some(seconds) = account.header.ended().and_then(|closing| closing.achieved.rto_seconds) {
            assert_eq!(path.waiting.total_seconds, seconds, "{name}");
        }
    }
    let plain = critical_path(&recorded("recovered")).waiting;
    assert!(
        plain.ours_at_most_share < 0.02 && plain.people_seconds == 0.0,
        "{plain:?}"
    );
    let approved = critical_path(&recorded("approved"));
    assert!(approved.waiting.people_seconds > 200.0);
    let resumed = critical_path(&recorded("resumed"));
    let interrupted = resumed
        .spans
        .iter()
        .find(|span| span.what == What::Interrupted)
        .unwrap();
    assert!(interrupted.waits_for == WaitsFor::People && interrupted.seconds() > 400.0);
}
