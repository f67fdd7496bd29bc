//! `drctl rehearse`, as somebody at a terminal, a script or a pipe sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::common::{self, Answer, root};

/// By how much the recovery's own measurements may be off: a probe's period and a poll; a heartbeat and a second.
const RTO_TOLERANCE: f64 = 70.0;
const RPO_TOLERANCE: f64 = 6.0;

/// `drctl rehearse region-failure`, in the root of the repository.
fn rehearse(args: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("drctl");
    command
        .args(["rehearse", "region-failure"])
        .args(args)
        .current_dir(root())
        .env_remove("NO_COLOR")
        // One fact, one line: what rows look like has tests of its own.
        .env("COLUMNS", "1000");
    command
}

fn answer(mut command: Command) -> Answer {
    common::answer(command.output().unwrap())
}

/// What a rehearsal that goes well prints; nothing of it on standard error.
#[track_caller]
fn good(args: &[&str]) -> String {
    let (code, stdout, stderr) = answer(rehearse(args));
    assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}: {stdout}");
    stdout
}

#[track_caller]
fn good_json(args: &[&str]) -> Value {
    serde_json::from_str(&good(args)).unwrap()
}

/// Wrong use: nothing on standard output, and `expected` somewhere on standard error.
#[track_caller]
fn wrong_use(command: Command, expected: &str) {
    let (code, stdout, stderr) = answer(command);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains(expected), "expected {expected:?}, got:\n{stderr}");
}

/// A folder with RADIANT's plan as `radiant.plan.yaml`, with texts replaced, each of which must be there.
fn changed(changes: &[(&str, &str)]) -> TempDir {
    let mut plan = fs::read_to_string(root().join("radiant.plan.yaml")).unwrap();
    for (from, to) in changes {
        assert!(plan.contains(from), "the plan has no {from:?}");
        plan = plan.replacen(from, to, 1);
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("radiant.plan.yaml"), plan).unwrap();
    folder
}

fn rehearse_in(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = rehearse(args);
    command.current_dir(folder.path());
    command
}

/// The policy for the loss of a Region, as it is and with an RTO that no recovery keeps: the alarm alone takes three
/// minutes. A sound plan's deadlines are shorter than its maximum.
const POLICY: &str = "  region-failure:
    severity: sev1
    objectives:
      rto: { target: 1h, maximum: 4h }
      rpo: { target: 5m, maximum: 1h }
    approvals: 0
    approvals_without_evidence: 2
    cool_down: 24h # a Region that comes and goes must not pull customers to and fro
    deadlines: { database: 30m, health: 20m }
";
const POLICY_IN_HASTE: &str = "  region-failure:
    severity: sev1
    objectives:
      rto: { target: 1m, maximum: 5m }
      rpo: { target: 5m, maximum: 1h }
    approvals: 0
    approvals_without_evidence: 2
    cool_down: 24h
    deadlines: { database: 3m, health: 2m }
";

fn in_too_much_haste() -> TempDir {
    changed(&[(POLICY, POLICY_IN_HASTE), ("respond_within: 15m", "respond_within: 1m")])
}

fn number(value: &Value, pointer: &str) -> f64 {
    let value = value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    value.as_f64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}

/// The object has these fields and no others.
#[track_caller]
fn fields<'a>(value: &'a Value, expected: &[&str]) -> &'a Map<String, Value> {
    let object = value.as_object().unwrap_or_else(|| panic!("not an object: {value}"));
    let found: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    assert_eq!(found, expected.iter().copied().collect());
    object
}

#[track_caller]
fn time(value: &Value) -> Timestamp {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("not a time: {value}"))
}

#[track_caller]
fn one_of(value: &Value, words: &[&str]) {
    assert!(
        words.contains(&value.as_str().unwrap_or_default()),
        "{value} is none of {words:?}"
    );
}

/// Holds the object against what is specified, field by field; every step ended well.
#[track_caller]
fn is_as_specified(rehearsal: &Value) {
    is_as_specified_but_for_its_steps(rehearsal);
    let steps = rehearsal["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["outcome"] == "succeeded"), "{steps:?}");
}

#[track_caller]
fn is_as_specified_but_for_its_steps(rehearsal: &Value) {
    let object = fields(
        rehearsal,
        &[
            "scenario",
            "mode",
            "seed",
            "outcome",
            "reason",
            "approval",
            "fence",
            "earlier",
            "impact_at",
            "decided_at",
            "achieved",
            "truth",
            "objectives",
            "met",
            "within_objectives",
            "steps",
            "transitions",
            "aws_calls",
            "cost_usd",
            "expected_loss",
            "waits",
            "served_at_end",
            "faults",
            "breaches",
        ],
    );
    assert_eq!((&object["faults"], &object["breaches"]), (&json!([]), &json!([])));
    assert_eq!(
        (&object["scenario"], &object["mode"]),
        (&json!("region-failure"), &json!("rehearsal"))
    );
    assert!(object["seed"].is_u64());
    assert!(object["within_objectives"].is_boolean());
    assert!(object["reason"].is_null() || object["reason"].is_string());
    assert!(time(&object["impact_at"]) < time(&object["decided_at"]));
    assert!(object["transitions"].as_u64().unwrap() > 0);
    assert!(object["cost_usd"].as_f64().unwrap() > 0.0);
    one_of(
        &object["outcome"],
        &[
            "recovered",
            "partial",
            "refused",
            "declined",
            "expired",
            "preempted",
            "rolled-back",
            "failed",
            "not-started",
        ],
    );

    let achieved = fields(
        &object["achieved"],
        &[
            "rto_seconds",
            "rto_is_at_least",
            "rto_from_decision_seconds",
            "rpo_seconds",
            "rpo_status",
            "old_side_wrote_seconds",
        ],
    );
    one_of(&achieved["rpo_status"], &["measured", "unmeasured", "not-applicable"]);
    assert_eq!(
        achieved["rpo_status"] == "measured",
        achieved["rpo_seconds"].is_number(),
        "{achieved:?}"
    );
    assert!(achieved["rto_is_at_least"].is_boolean());
    let from_impact = number(rehearsal, "/achieved/rto_seconds");
    let from_decision = number(rehearsal, "/achieved/rto_from_decision_seconds");
    assert!(0.0 < from_decision && from_decision < from_impact);

    fields(&object["truth"], &["rto_seconds", "rpo_seconds", "lost_writes"]);
    let objectives = fields(&object["objectives"], &["rto", "rpo"]);
    let met = fields(&object["met"], &["rto", "rpo"]);
    for name in ["rto", "rpo"] {
        assert!(number(&object["truth"], &format!("/{name}_seconds")) > 0.0);
        let objective = fields(&objectives[name], &["target", "maximum"]);
        assert!(objective["target"].as_u64().unwrap() <= objective["maximum"].as_u64().unwrap());
        one_of(&met[name], &["target", "maximum", "missed", "not-applicable"]);
    }

    let folders: BTreeSet<String> = fs::read_dir(root().join("functions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let steps = object["steps"].as_array().unwrap();
    assert!(!steps.is_empty());
    for step in steps {
        let step = fields(
            step,
            &[
                "execution",
                "name",
                "state",
                "started_at",
                "ended_at",
                "attempts",
                "outcome",
                "last_started_at",
                "may_run_until",
                "previous_ended_at",
                "waited_ms",
                "failures",
                "last_failed_as",
                "last_failure",
            ],
        );
        assert!(
            folders.contains(step["name"].as_str().unwrap()),
            "{step:?} is no folder of functions/"
        );
        assert!(!step["state"].as_str().unwrap().is_empty());
        assert!(time(&step["started_at"]) <= time(&step["ended_at"]), "{step:?}");
        assert!(step["attempts"].as_u64().unwrap() >= 1, "{step:?}");
        assert!(step["outcome"].is_string(), "{step:?}");
    }
    let started: Vec<Timestamp> = steps.iter().map(|step| time(&step["started_at"])).collect();
    assert!(started.is_sorted(), "{started:?}");

    let calls = object["aws_calls"].as_array().unwrap();
    assert!(!calls.is_empty());
    for call in calls {
        let call = fields(call, &["function", "region", "service", "operation", "count"]);
        assert!(
            folders.contains(call["function"].as_str().unwrap()),
            "{call:?} is of no function"
        );
        assert!(
            ["us-east-1", "us-west-2", "eu-west-1"].contains(&call["region"].as_str().unwrap()),
            "{call:?}"
        );
        assert!(
            ["service", "operation"].iter().all(|name| call[*name].is_string()),
            "{call:?}"
        );
        assert!(call["count"].as_u64().unwrap() >= 1, "{call:?}");
    }
}

#[test]
fn json_is_as_specified() {
    let rehearsal = good_json(&["--seed", "7", "--json"]);
    is_as_specified(&rehearsal);
    assert_eq!(rehearsal["seed"], 7);
    assert_eq!(rehearsal["outcome"], "recovered");
    assert_eq!(rehearsal["reason"], Value::Null);
    assert_eq!(
        rehearsal["objectives"],
        json!({ "rto": { "target": 3600, "maximum": 14400 }, "rpo": { "target": 300, "maximum": 3600 } })
    );
    assert_eq!(rehearsal["met"], json!({ "rto": "target", "rpo": "target" }));
    assert_eq!(rehearsal["within_objectives"], true);
}

#[test]
fn json_is_one_line_and_quiet_changes_nothing_in_it() {
    let stdout = good(&["--seed", "7", "--json"]);
    assert_eq!(stdout.matches('\n').count(), 1);
    assert!(stdout.ends_with("}\n"));
    assert_eq!(good(&["--seed", "7", "--json", "--quiet"]), stdout);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let first = good(&["--seed", "7", "--json"]);
    for _ in 0..3 {
        assert_eq!(good(&["--seed", "7", "--json"]), first);
    }
    assert_eq!(good(&["--seed", "7"]), good(&["--seed", "7"]));
    // Runs side by side do not disturb each other.
    let runs = good(&["--runs", "3", "--seed", "5", "--json"]);
    assert!(runs.contains(first.trim_end()), "{runs}\n\n{first}");
    assert_eq!(good(&["--runs", "3", "--seed", "5", "--json"]), runs);
}

/// A team's own durations count, in what is rehearsed and in the command that plays it again.
#[test]
fn durations_of_ones_own_take_the_place_of_those_that_are_built_in() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drill.yaml");
    let name = file.to_str().unwrap();
    let with = |text: &str| fs::write(&file, text).unwrap();
    with("person_answers: { from: 4m, to: 4m, source: our drill of 2026-11-12 }");
    let asked = good_json(&["--seed", "7", "--json", "--fault", "no-lag-metric", "--timings", name]);
    let at = |field: &str| asked["waits"][0][field].as_str().unwrap().parse::<Timestamp>().unwrap();
    let waited = at("ended_at").duration_since(at("asked_at")).as_secs();
    assert!((240..245).contains(&waited), "{waited} s");

    let report = folder.path().join("report.md");
    good(&["--seed", "7", "--timings", name, "--report", report.to_str().unwrap()]);
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains(&format!("--timings {name}")), "{report}");

    for (text, expected) in [
        ("person_answers: { from: 5m, to: 4m, source: x }", "is longer than"),
        ("person_answers: { from: 4m, to: 5m }", "source"),
        ("nobody_answers: { from: 4m, to: 5m, source: x }", "nobody_answers"),
    ] {
        with(text);
        wrong_use(rehearse(&["--timings", name]), expected);
    }
    wrong_use(rehearse(&["--timings", "none.yaml"]), "none.yaml: ");
}

#[test]
fn different_seeds_differ() {
    let runs = good_json(&["--runs", "5", "--seed", "1", "--json"]);
    let mut steps: Vec<String> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["steps"].to_string())
        .collect();
    steps.sort();
    steps.dedup();
    assert_eq!(steps.len(), 5);
    // Without a seed, each time is another one, and it is said.
    let seeds: BTreeSet<u64> = (0..3)
        .map(|_| good_json(&["--json"])["seed"].as_u64().unwrap())
        .collect();
    assert!(seeds.len() > 1, "{seeds:?}");
}

#[test]
fn seeds_go_on_from_zero_after_the_greatest() {
    let greatest = u64::MAX.to_string();
    let runs = good_json(&["--runs", "2", "--seed", &greatest, "--json"]);
    let seeds: Vec<u64> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["seed"].as_u64().unwrap())
        .collect();
    assert_eq!(seeds, [u64::MAX, 0]);
    assert_eq!(runs["runs"][1], good_json(&["--seed", "0", "--json"]));
    let text = good(&["--runs", "2", "--seed", &greatest]);
    let columns: BTreeSet<Option<usize>> = text.lines().take(2).map(|line| line.find("RTO")).collect();
    assert!(
        columns.len() == 1 && !columns.contains(&None),
        "columns do not line up:\n{text}"
    );
}

#[test]
fn a_hundred_seeds_recover_and_measure_truly() {
    let runs = good_json(&["--runs", "100", "--seed", "1", "--json"]);
    let runs = runs["runs"].as_array().unwrap();
    let seeds: Vec<u64> = runs.iter().map(|run| run["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, (1..=100).collect::<Vec<_>>());
    let wrong: Vec<String> = runs
        .iter()
        .filter_map(|run| {
            is_as_specified(run);
            let off = |name: &str| number(run, &format!("/achieved/{name}")) - number(run, &format!("/truth/{name}"));
            let (rto, rpo) = (off("rto_seconds"), off("rpo_seconds"));
            let well = run["outcome"] == "recovered"
                && run["within_objectives"] == true
                && rto.abs() <= RTO_TOLERANCE
                && rpo.abs() <= RPO_TOLERANCE;
            (!well).then(|| {
                format!(
                    "seed {}: {}, RTO off by {rto} s, RPO by {rpo} s",
                    run["seed"], run["outcome"]
                )
            })
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_recovers_too_late_is_said_and_exits_with_3() {
    let folder = in_too_much_haste();
    let quick = common::quick();
    let seed_7 = ["--seed", "7", "--timings", &quick];
    let (code, stdout, stderr) = answer(rehearse_in(&folder, &seed_7));
    assert_eq!((code, stderr.as_str()), (3, ""), "{stdout}");
    assert!(
        stdout.contains("\nregion-failure: recovered, but not within the maximum objectives (seed 7)\n"),
        "{stdout}"
    );
    let rto = stdout.lines().find(|line| line.starts_with("RTO")).unwrap();
    assert!(rto.ends_with("  MAXIMUM MISSED"), "{rto}");

    let (code, stdout, _) = answer(rehearse_in(&folder, &["--seed", "7", "--json", "--timings", &quick]));
    let rehearsal: Value = serde_json::from_str(&stdout).unwrap();
    is_as_specified(&rehearsal);
    assert_eq!(code, 3);
    assert_eq!(rehearsal["outcome"], "recovered");
    assert_eq!(rehearsal["met"], json!({ "rto": "missed", "rpo": "target" }));
    assert_eq!(rehearsal["within_objectives"], false);

    // One run that misses its objectives is enough, and its line says so without colours. Seed 6 is late, too.
    let (code, stdout, _) = answer(rehearse_in(
        &folder,
        &["--seed", "6", "--runs", "2", "--timings", &quick],
    ));
    assert_eq!(code, 3, "{stdout}");
    let late = stdout
        .lines()
        .filter(|line| line.ends_with("  recovered, but not within the maximum objectives"));
    assert_eq!(late.count(), 2, "{stdout}");
    assert!(
        stdout.contains("\n0 of 2 recovered within the maximum objectives (seeds 6 to 7)\n"),
        "{stdout}"
    );
}

#[test]
fn over_target_but_within_the_maximum_is_a_success() {
    let folder = changed(&[(
        POLICY,
        &POLICY.replace("target: 1h, maximum: 4h", "target: 1m, maximum: 4h"),
    )]);
    let (code, stdout, stderr) = answer(rehearse_in(&folder, &["--seed", "7", "--quiet"]));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(
        stdout.contains("\nregion-failure: recovered; within the maximum objectives, over the target: RTO (seed 7)\n"),
        "{stdout}"
    );
    let rto = stdout.lines().find(|line| line.starts_with("RTO")).unwrap();
    assert!(rto.ends_with("  within the maximum"), "{rto}");
}

#[test]
fn wrong_use_is_told_apart_from_a_failure() {
    let mut unknown = cargo_bin_cmd!("drctl");
    unknown.args(["rehearse", "region-falure"]);
    wrong_use(
        unknown,
        "[possible values: region-failure, region-return, database-corruption, all]",
    );
    wrong_use(rehearse(&["--runs", "0"]), "invalid value '0' for '--runs <N>'");
    wrong_use(rehearse(&["--seed", "18446744073709551616"]), "for '--seed <N>'");
    wrong_use(rehearse(&["--seed", "seven"]), "invalid value 'seven' for '--seed <N>'");
    wrong_use(
        rehearse(&["--plan", "nowhere.yaml"]),
        "drctl: nowhere.yaml: there is no such file\n",
    );
}

/// A real event of `tests/fixtures/events`, with changes.
fn event(file: &str, changes: &[(&str, &str)]) -> TempDir {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/events")
        .join(file);
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    let folder = changed(&[]);
    std::fs::write(folder.path().join("event.json"), text).unwrap();
    folder
}

const SINGLE_METRIC: &str = "cloudwatch-alarm-single-metric.json";

#[test]
fn awss_own_sample_event_starts_nothing_since_nobody_bound_its_alarm() {
    let folder = event(SINGLE_METRIC, &[]);
    let (code, stdout, stderr) = answer(rehearse_in(&folder, &["--seed", "7", "--event", "event.json"]));
    assert_eq!((code, stderr.as_str()), (4, ""), "{stdout}");
    assert!(stdout.contains("region-failure: refused (seed 7): "), "{stdout}");
    assert!(stdout.contains("ServerCpuTooHigh"), "{stdout}");
    assert!(!stdout.contains("a recovery is started"), "{stdout}");
}

#[test]
fn an_event_of_the_plans_alarm_starts_the_recovery_five_seconds_after_its_time() {
    let ours = [
        ("ServerCpuTooHigh", "radiant-unhealthy-from-outside"),
        ("us-east-1", "us-west-2"),
    ];
    let folder = event(SINGLE_METRIC, &ours);
    let (code, stdout, stderr) = answer(rehearse_in(
        &folder,
        &["--seed", "7", "--event", "event.json", "--json"],
    ));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let rehearsal: Value = serde_json::from_str(&stdout).unwrap();
    is_as_specified(&rehearsal);
    let opened = time(&rehearsal["steps"][0]["started_at"]);
    let event_at: Timestamp = "2019-10-02T17:04:40Z".parse().unwrap();
    let after = opened.duration_since(event_at).as_secs_f64();
    assert!((5.0..10.0).contains(&after), "{after} s");
}

#[test]
fn an_event_that_is_no_json_or_is_not_there_is_wrong_use() {
    let folder = changed(&[]);
    std::fs::write(folder.path().join("event.json"), "{ not json").unwrap();
    wrong_use(
        rehearse_in(&folder, &["--event", "event.json"]),
        "drctl: event.json is not JSON: ",
    );
    wrong_use(
        rehearse_in(&folder, &["--event", "nothing.json"]),
        "drctl: nothing.json: ",
    );
    for malformed in ["{}", "[]", "null", "\"alarm\""] {
        std::fs::write(folder.path().join("event.json"), malformed).unwrap();
        let (code, stdout, _) = answer(rehearse_in(&folder, &["--seed", "7", "--event", "event.json", "-q"]));
        assert_eq!(code, 4, "{stdout}");
        assert!(stdout.contains("\nregion-failure: refused (seed 7): "), "{stdout}");
    }
}

#[test]
fn a_recovery_that_stopped_is_resumed_and_nothing_is_done_twice() {
    for step in ["promote-database", "switch-dns", "close-recovery"] {
        let rehearsal = good_json(&["--seed", "7", "--stop-at", step, "--json"]);
        is_as_specified_but_for_its_steps(&rehearsal);
        assert_eq!(rehearsal["outcome"], "recovered", "{step}");
        let failovers: u64 = rehearsal["aws_calls"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|call| call["operation"] == "FailoverGlobalCluster")
            .map(|call| call["count"].as_u64().unwrap())
            .sum();
        assert_eq!(failovers, 1, "{step}");
        if step != "close-recovery" {
            let earlier = rehearsal["earlier"].as_array().unwrap();
            assert_eq!(earlier.len(), 1, "{step}: {earlier:?}");
            assert!(
                earlier[0]["reason"].as_str().unwrap().contains("--stop-at"),
                "{earlier:?}"
            );
        }
    }
    wrong_use(
        rehearse(&["--stop-at", "probe-health"]),
        "invalid value 'probe-health' for '--stop-at <STEP>'",
    );
}

#[test]
fn a_step_that_stops_no_recovery_is_said() {
    for step in [
        "announce",
        "fence-region",
        "unfence-region",
        "write-report",
        "stop-scenario",
    ] {
        let (code, _, stderr) = answer(rehearse(&["--seed", "7", "--stop-at", step]));
        let expected = format!("a recovery does not stop at {step}: it ended as recovered");
        assert!(code != 0 && stderr.contains(&expected), "{step}: {code} {stderr}");
    }
    let (code, _, stderr) = answer(rehearse(&["--seed", "7", "--stop-at", "open-recovery"]));
    assert!(code != 0 && stderr.contains("never opened"), "{code} {stderr}");
}

#[test]
fn the_way_back_is_refused_until_the_old_side_is_in_sync_and_loses_nothing() {
    let mut command = cargo_bin_cmd!("drctl");
    command.args(["rehearse", "region-return", "--seed", "7", "--json"]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let (code, stdout, stderr) = answer(command);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let rehearsal: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&rehearsal["scenario"], &rehearsal["outcome"]),
        (&json!("region-return"), &json!("recovered"))
    );
    assert_eq!(rehearsal["truth"]["lost_writes"], 0);
    assert_eq!(rehearsal["achieved"]["rpo_status"], "not-applicable");
    let off = number(&rehearsal, "/achieved/rto_seconds") - number(&rehearsal, "/truth/rto_seconds");
    assert!(off.abs() <= RTO_TOLERANCE, "{off} s");
    let earlier = rehearsal["earlier"].as_array().unwrap();
    assert_eq!(earlier[0]["outcome"], "recovered", "there");
    let refusals: Vec<&str> = earlier[1..]
        .iter()
        .map(|earlier| earlier["reason"].as_str().unwrap())
        .collect();
    assert!(
        !refusals.is_empty() && refusals.iter().all(|why| why.contains("has not rejoined yet")),
        "{refusals:?}"
    );
    assert!(
        earlier[1..].iter().all(|earlier| earlier["region"] == "us-east-1"),
        "{earlier:?}"
    );
}

/// For a pipeline that rehearses what must be refused.
#[test]
fn what_is_expected_exits_with_0_and_all_else_with_1() {
    let folder = changed(&[]);
    let refused = ["--seed", "7", "-q", "--fault", "both-databases"];
    for (expected, code) in [(None, 4), (Some("refused"), 0), (Some("recovered"), 1)] {
        let expected = expected.into_iter().flat_map(|outcome| ["--expect", outcome]);
        let args: Vec<&str> = refused.into_iter().chain(expected).collect();
        let (found, stdout, _) = answer(rehearse_in(&folder, &args));
        assert_eq!(found, code, "{args:?}: {stdout}");
    }
    let (code, _, stderr) = answer(rehearse_in(&folder, &["--expect", "victory"]));
    assert_eq!(code, 2);
    assert!(
        stderr.contains("recovered") && stderr.contains("rolled-back"),
        "{stderr}"
    );
}

#[test]
fn people_who_are_asked_approve_decline_or_sleep() {
    // The policy asks two people whatever the evidence.
    let asking = changed(&[(
        "    approvals: 0\n    approvals_without_evidence: 2\n",
        "    approvals: 2\n    approvals_without_evidence: 2\n",
    )]);
    for (fault, code, outcome) in [
        (None, 0, "recovered"),
        (Some("approver-declines"), 4, "declined"),
        (Some("approver-asleep"), 4, "expired"),
    ] {
        let mut args = vec!["--seed", "7", "-q"];
        args.extend(fault.into_iter().flat_map(|fault| ["--fault", fault]));
        let (found, stdout, _) = answer(rehearse_in(&asking, &args));
        assert_eq!(found, code, "{fault:?}: {stdout}");
        assert!(
            stdout.contains(&format!("\nregion-failure: {outcome}")),
            "{fault:?}: {stdout}"
        );
    }
}

#[test]
fn an_unsound_plan_is_not_rehearsed_and_every_error_is_listed() {
    let folder = changed(&[
        ("  ttl: 10s", "  ttl: ten"),
        ("workload: radiant\n", "workloads: radiant\n"),
    ]);
    let (code, stdout, stderr) = answer(rehearse_in(&folder, &[]));
    assert_eq!((code, stdout.as_str()), (2, ""));
    for expected in ["/dns/ttl: ", "/workload: missing", "/workloads: unknown key"] {
        assert!(stderr.contains(expected), "no {expected:?} in:\n{stderr}");
    }
    assert!(
        stderr.lines().all(|line| line.starts_with("drctl: radiant.plan.yaml:")),
        "{stderr}"
    );
}

#[test]
fn a_plan_whose_alarm_is_of_nothing_that_is_rehearsed_is_wrong_use() {
    let expected =
        "drctl: radiant.plan.yaml: no alarm in us-west-2 is for region-failure; add one to the plan's alarms\n";
    let folder = changed(&[(
        "scenario: region-failure\n    start: automatic",
        "scenario: az-failure\n    start: automatic",
    )]);
    for args in [&[] as &[&str], &["--json"], &["--quiet"], &["--runs", "2"]] {
        wrong_use(rehearse_in(&folder, args), expected);
    }
}

#[test]
fn an_alarm_that_asks_or_starts_nothing_is_rehearsed_as_that() {
    let rehearsed = |start: &str| -> Value {
        let folder = changed(&[("start: automatic", &format!("start: {start}"))]);
        let (_, stdout, stderr) = answer(rehearse_in(&folder, &["--seed", "7", "--json"]));
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
    };
    let approve = rehearsed("approve");
    assert_eq!(approve["outcome"], "recovered");
    let approval = approve["approval"].as_str().unwrap();
    assert!(approval.contains("approved by"), "{approval}");
    let off = rehearsed("off");
    assert_eq!(off["outcome"], "refused");
    assert!(off["steps"].as_array().unwrap().is_empty(), "{off}");
    assert_eq!(off["truth"]["rto_seconds"], Value::Null);
}

#[test]
fn the_live_view_shows_every_state_once_or_when_there_is_news() {
    let rehearsal = good_json(&["--seed", "7", "--json"]);
    let text = good(&["--seed", "7"]);
    let (live, _) = text.split_once("\n\nService back after ").unwrap();
    // `03:04:08   +3m 10s  ✓ OpenRecovery      done`
    let said: Vec<(&str, &str, &str)> = live
        .lines()
        .filter(|line| line.starts_with("03:"))
        .filter_map(|line| {
            let (mark, rest) = line.get(20..)?.split_once(' ')?;
            let (state, text) = rest.split_once(' ')?;
            Some((mark, state, text.trim()))
        })
        .collect();
    for step in rehearsal["steps"].as_array().unwrap() {
        let state = step["state"].as_str().unwrap();
        let of_state: Vec<_> = said.iter().filter(|(_, of, _)| *of == state).collect();
        assert!(!of_state.is_empty(), "no {state} in:\n{live}");
        assert!(
            of_state.windows(2).all(|two| two[0] != two[1]),
            "{state} repeats itself:\n{live}"
        );
        // It ends well, and only then: what still waits has another mark.
        let (last, earlier) = of_state.split_last().unwrap();
        assert_eq!(last.0, "✓", "{state}:\n{live}");
        assert!(earlier.iter().all(|(mark, ..)| *mark == "…"), "{state}:\n{live}");
    }
    let waits = said.iter().filter(|(mark, ..)| *mark == "…").count();
    assert!(waits >= 2, "the database and the health check are waited for:\n{live}");
    // The clock only moves on.
    let clock: Vec<&str> = live
        .lines()
        .filter(|line| line.starts_with("03:"))
        .map(|line| &line[..8])
        .collect();
    assert!(clock.len() >= said.len() && clock.is_sorted(), "{live}");
    assert!(live.contains("  +0.0s  ✗ us-east-1 is lost: "), "{live}");
    assert!(live.contains("▶ a recovery is started\n"), "{live}");
    assert!(live.ends_with("■ the recovery has ended"), "{live}");
}

/// The words of the line that begins with `name`.
fn words<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_else(|| panic!("no {name} in:\n{text}"));
    line[name.len()..]
        .split("  ")
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn the_summary_shows_what_the_json_says() {
    // Seed 8 measures an RPO that is not zero.
    for seed in ["7", "8"] {
        let json = good_json(&["--seed", seed, "--json"]);
        let text = good(&["--seed", seed, "--quiet"]);
        assert!(text.contains(&format!(
            "\nregion-failure: recovered; all objectives met (seed {seed})\n"
        )));
        let said = |pointer: &str| people(number(&json, pointer));
        assert_eq!(
            words(&text, "RTO"),
            [
                &said("/achieved/rto_seconds"),
                &said("/truth/rto_seconds"),
                "1h",
                "4h",
                "target met"
            ]
        );
        assert_eq!(
            words(&text, "  from decision"),
            [&said("/achieved/rto_from_decision_seconds")]
        );
        // Never without its resolution, the plan's heartbeat: zero alone would be a claim that nobody can make.
        let measured = format!("{} ±5s", said("/achieved/rpo_seconds"));
        assert_eq!(
            words(&text, "RPO"),
            [&measured, &said("/truth/rpo_seconds"), "5m", "1h", "target met"]
        );
        for explained in ["measured: ", "truth: ", "±5s: "] {
            assert!(
                text.lines().any(|line| line.starts_with(explained)),
                "no {explained:?} in:\n{text}"
            );
        }
        let steps = json["steps"].as_array().unwrap();
        for step in steps {
            let lasted = time(&step["ended_at"])
                .duration_since(time(&step["started_at"]))
                .as_secs_f64();
            let of_step = words(&text, &format!("{} ", step["state"].as_str().unwrap()));
            assert_eq!(
                of_step[..2],
                [people((lasted * 1000.0).round() / 1000.0), step["attempts"].to_string()]
            );
        }
        let calls: u64 = json["aws_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["count"].as_u64().unwrap())
            .sum();
        let cost = format!(
            "{} state transitions, {calls} AWS calls, {:.4} USD at list prices\n",
            json["transitions"],
            number(&json, "/cost_usd")
        );
        assert!(text.ends_with(&cost), "expected {cost:?}, got:\n{text}");
    }
}

/// Seconds as `0.9s`, `7m 12s`, `8m`.
fn people(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let seconds = seconds.round() as u64;
    match (seconds / 60, seconds % 60) {
        (minutes, 0) => format!("{minutes}m"),
        (minutes, seconds) => format!("{minutes}m {seconds}s"),
    }
}

#[test]
fn the_resolution_is_that_of_the_plan() {
    let folder = changed(&[("    every: 5s", "    every: 4s")]);
    let (code, stdout, _) = answer(rehearse_in(&folder, &["--seed", "7", "--quiet"]));
    assert_eq!(code, 0, "{stdout}");
    assert!(words(&stdout, "RPO")[0].ends_with(" ±4s"), "{stdout}");
}

#[test]
fn quiet_is_the_summary_only() {
    let text = good(&["--seed", "7"]);
    let (live, summary) = text.split_once("\n\nService back after ").unwrap();
    assert!(
        live.starts_with("Rehearsing region-failure of radiant with seed 7"),
        "{live}"
    );
    assert_eq!(
        good(&["--seed", "7", "--quiet"]),
        format!("Service back after {summary}")
    );
    let text = good(&["--seed", "7", "--runs", "2"]);
    let (_, statistics) = text.split_once("\n\n").unwrap();
    assert_eq!(good(&["--seed", "7", "--runs", "2", "--quiet"]), statistics);
}

#[test]
fn many_runs_have_a_line_each_and_the_four_statistics() {
    const RUNS: usize = 3;
    let text = good(&["--runs", "3", "--seed", "7"]);
    let json = good_json(&["--runs", "3", "--seed", "7", "--json"]);
    fields(&json, &["runs", "rto_seconds", "rpo_seconds"]);
    let runs = json["runs"].as_array().unwrap();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!((lines.len(), runs.len()), (RUNS, RUNS), "{text}");
    for (line, run) in lines.iter().zip(runs) {
        is_as_specified(run);
        let said = |pointer: &str| people(number(run, pointer));
        // Columns are padded; only the figures count here.
        let plain = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = format!(
            "seed {} RTO {} (truth {}) RPO {} ±5s (truth {}) recovered",
            run["seed"],
            said("/achieved/rto_seconds"),
            said("/truth/rto_seconds"),
            said("/achieved/rpo_seconds"),
            said("/truth/rpo_seconds")
        );
        assert_eq!(plain, expected);
    }
    assert!(
        text.contains("\n\n3 of 3 recovered within the maximum objectives (seeds 7 to 9)\n"),
        "{text}"
    );

    let mut shown: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for what in ["rto_seconds", "rpo_seconds"] {
        let mut values: Vec<f64> = runs
            .iter()
            .map(|run| number(run, &format!("/achieved/{what}")))
            .collect();
        values.sort_by(f64::total_cmp);
        // Of three, the 95th percentile is by nearest rank the greatest.
        let expected = [
            ("minimum", values[0]),
            ("median", values[1]),
            ("p95", values[2]),
            ("maximum", values[2]),
        ];
        let spread = fields(&json[what], &["count", "minimum", "median", "p95", "maximum"]);
        assert_eq!(spread["count"], RUNS);
        for (name, value) in expected {
            assert_eq!(spread[name], value, "{what} {name}");
            let unit = if what == "rpo_seconds" { " ±5s" } else { "" };
            shown.entry(name).or_default().push(format!("{}{unit}", people(value)));
        }
    }
    for (name, figures) in shown {
        assert_eq!(words(&text, name), figures, "{text}");
    }
}

#[test]
fn what_is_not_for_a_terminal_has_neither_escapes_nor_trailing_spaces() {
    for args in [
        &["--seed", "7"] as &[&str],
        &["--seed", "7", "--quiet"],
        &["--seed", "7", "--runs", "2"],
    ] {
        let text = good(args);
        assert!(!text.contains(['\x1b', '\r']), "{args:?}: {text:?}");
        let trailing: Vec<&str> = text.lines().filter(|line| line.ends_with(' ')).collect();
        assert!(trailing.is_empty(), "{args:?}: {trailing:?}");
    }
}

fn spawn(args: &[&str]) -> Child {
    std::process::Command::new(cargo_bin!("drctl"))
        .args(["rehearse", "region-failure"])
        .args(args)
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_reader_who_goes_away_changes_neither_status_nor_stderr() {
    for args in [
        &["--seed", "7"] as &[&str],
        &["--seed", "7", "--runs", "3"],
        &["--seed", "7", "--json"],
    ] {
        let mut child = spawn(args);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(0), &[] as &[u8]),
            "{args:?}"
        );
    }
}

#[test]
fn a_full_disk_is_no_success() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(cargo_bin!("drctl"))
        .args(["rehearse", "region-failure", "--seed", "7", "--json"])
        .current_dir(root())
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.starts_with("drctl: cannot write to standard output: "),
        "{stderr}"
    );
}

/// Sends SIGINT after the first line, and says how it ended: exit status, standard error, and how long that took.
fn interrupt(mut child: Child, read_stderr: bool) -> (Option<i32>, String, Duration) {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("seed "), "{line}");
    let stderr = child.stderr.take().filter(|_| read_stderr);
    // Unread output must not hold it up, so that somebody reads on.
    let reader = std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
    let sent = Instant::now();
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let deadline = sent + Duration::from_secs(20);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("it does not end");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let took = sent.elapsed();
    reader.join().unwrap().unwrap();
    let mut said = String::new();
    stderr.map(|mut stderr| stderr.read_to_string(&mut said).unwrap());
    (status, said, took)
}

#[test]
fn ctrl_c_ends_it_at_once_with_130() {
    let (status, stderr, took) = interrupt(spawn(&["--runs", "1000"]), true);
    assert_eq!(status, Some(130));
    assert_eq!(stderr, "drctl: interrupted; a rehearsal changes nothing on AWS\n");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn ctrl_c_ends_it_also_if_nobody_reads_what_it_says() {
    let (status, _, _) = interrupt(spawn(&["--runs", "1000"]), false);
    assert_eq!(status, Some(130));
}

/// What a rehearsal writes to a terminal of `columns` columns, as `script` of util-linux sees it.
#[cfg(target_os = "linux")]
fn on_a_terminal(columns: usize, args: &str, environment: &[(&str, &str)]) -> String {
    let drctl = cargo_bin!("drctl").display();
    let line = format!("stty rows 50 cols {columns} && '{drctl}' rehearse region-failure {args}");
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(root())
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .envs(environment.iter().copied());
    let (code, stdout, _) = answer(script);
    assert_eq!(code, 0, "{stdout}");
    stdout
}

/// `text` without colours.
#[cfg(target_os = "linux")]
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('m') {
            Some((code, rest)) if code.bytes().all(|byte| byte.is_ascii_digit()) => plain.push_str(rest),
            _ => plain.push_str(&format!("\x1b[{piece}")),
        }
    }
    plain
}

#[cfg(target_os = "linux")]
#[test]
fn no_row_is_wider_than_the_terminal() {
    let json = good_json(&["--seed", "7", "--json"]);
    for columns in [200, 100, 80, 79, 60, 40, 20] {
        for args in ["--seed 7", "--seed 18446744073709551615 --runs 2"] {
            let text = without_colours(&on_a_terminal(columns, args, &[]));
            for row in text.lines() {
                // What was drawn for a moment takes room, too.
                for drawn in row.trim_end_matches('\r').split("\r\x1b[K") {
                    assert!(drawn.chars().count() <= columns, "{columns} columns, {args}: {drawn:?}");
                    assert!(!drawn.contains('\x1b'), "{drawn:?}");
                }
                assert!(
                    !row.trim_end_matches('\r').ends_with(' '),
                    "{columns} columns, {args}: {row:?}"
                );
            }
            // Nothing is left out for want of room.
            let squeezed: String = text.split_whitespace().collect();
            if args == "--seed 7" {
                for step in json["steps"].as_array().unwrap() {
                    let state = step["state"].as_str().unwrap();
                    assert!(
                        squeezed.contains(&format!("✓{state}")),
                        "{columns} columns: no {state}:\n{text}"
                    );
                }
                let end = "(withinthetargetof5m).";
                assert!(squeezed.contains(end), "{columns} columns: cut:\n{text}");
                assert!(squeezed.contains("0.0s±5s"), "{columns} columns:\n{text}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn colours_and_redrawn_lines_are_for_terminals_that_have_them() {
    let text = on_a_terminal(80, "--seed 7", &[]);
    assert!(
        text.contains("\x1b[32m✓\x1b[0m") && text.contains("\r\x1b[K"),
        "{text:?}"
    );
    // Colours alone are unwanted here; the line that goes on is none.
    let text = on_a_terminal(80, "--seed 7", &[("NO_COLOR", "1")]);
    assert!(text.contains("\r\x1b[K") && text == without_colours(&text), "{text:?}");
    // Here every sequence would be seen as it is.
    for args in ["--seed 7", "--seed 7 --runs 2"] {
        let text = on_a_terminal(80, args, &[("TERM", "dumb")]);
        assert!(!text.contains('\x1b'), "{text:?}");
    }
    // An object is for programs, on a terminal as well.
    let text = on_a_terminal(80, "--seed 7 --json", &[]);
    assert_eq!(text.trim_end(), good(&["--seed", "7", "--json"]).trim_end());
}
