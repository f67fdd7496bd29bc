//! `drctl rehearse` with faults and campaigns, as a person uses it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::common::{self, Answer, root};

fn rehearse(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drctl"));
    command
        .arg("rehearse")
        .args(args)
        .current_dir(root())
        .env("COLUMNS", "1000");
    command.output().unwrap()
}

/// Exit status, standard output and standard error.
fn answer(args: &[&str]) -> Answer {
    common::answer(rehearse(args))
}

#[test]
fn a_small_campaign_finds_no_breach_and_is_the_same_each_time() {
    let args = ["all", "--campaign", "40", "--seed", "1", "--json"];
    let (code, stdout, stderr) = answer(&args);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let campaign: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(campaign["runs"], 40);
    assert_eq!(campaign["breaches"], Value::Array(Vec::new()));
    let runs: u64 = campaign["scenarios"]
        .as_object()
        .unwrap()
        .values()
        .map(|totals| totals["runs"].as_u64().unwrap())
        .sum();
    assert_eq!(runs, 40);
    assert_eq!(answer(&args).1, stdout);
}

#[test]
fn a_campaign_shows_what_came_of_it_and_reports_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("campaign.html");
    let (code, stdout, _) = answer(&[
        "region-failure",
        "--campaign",
        "10",
        "--seed",
        "1",
        "--report",
        file.to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{stdout}");
    for expected in [
        "region-failure: 10 runs",
        "recovered",
        "example: drctl rehearse region-failure",
        "No breach in 10 runs",
    ] {
        assert!(stdout.contains(expected), "no {expected:?} in:\n{stdout}");
    }
    let page = std::fs::read_to_string(file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("region-failure"));
}

#[test]
fn the_example_of_an_outcome_plays_it_again() {
    let (_, stdout, _) = answer(&["all", "--campaign", "12", "--seed", "3", "--json"]);
    let campaign: Value = serde_json::from_str(&stdout).unwrap();
    let mut played = 0;
    for (scenario, totals) in campaign["scenarios"].as_object().unwrap() {
        for (outcome, run) in totals["examples"].as_object().unwrap() {
            let seed = run["seed"].to_string();
            let mut args = vec![scenario.as_str(), "--seed", &seed, "--json"];
            for applied in run["faults"].as_array().unwrap() {
                args.extend(["--fault", applied["fault"].as_str().unwrap()]);
            }
            if run["resume"] == true {
                args.push("--resume");
            }
            let rehearsal: Value = serde_json::from_str(&answer(&args).1).unwrap();
            assert_eq!(rehearsal["outcome"], outcome.as_str(), "{args:?}");
            assert_eq!(rehearsal["achieved"]["rto_seconds"], run["rto_seconds"], "{args:?}");
            played += 1;
        }
    }
    assert!(played > 1);
}

#[test]
fn a_fault_that_never_applied_is_said_and_is_no_success() {
    let (code, stdout, _) = answer(&["region-failure", "--seed", "1", "--fault", "approver-asleep", "-q"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("approver-asleep never applied in this run"), "{stdout}");
    // What nothing calls cannot fail.
    let (code, stdout, _) = answer(&[
        "region-failure",
        "--seed",
        "1",
        "--fault",
        "lost-reply:DeleteEverything",
        "-q",
    ]);
    assert!(code == 1 && stdout.contains("never applied"), "{stdout}");
}

#[test]
fn a_report_is_written_as_its_name_says() {
    let folder = tempfile::tempdir().unwrap();
    for (name, begins) in [("r.html", "<!DOCTYPE html>"), ("r.json", "{"), ("r.md", "# ")] {
        let file = folder.path().join(name);
        let (code, stdout, stderr) = answer(&[
            "region-failure",
            "--seed",
            "1",
            "-q",
            "--report",
            file.to_str().unwrap(),
        ]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(begins) && text.contains("region-failure"), "{name}");
    }
    let nowhere = folder.path().join("no/such/folder.html");
    let (code, _, stderr) = answer(&[
        "region-failure",
        "--seed",
        "1",
        "-q",
        "--report",
        nowhere.to_str().unwrap(),
    ]);
    assert!(code == 1 && stderr.contains("folder.html"), "{stderr}");
    // Nothing was opened that could be reported.
    let file = folder.path().join("none.html");
    let (code, _, stderr) = answer(&[
        "region-failure",
        "--seed",
        "1",
        "-q",
        "--fault",
        "late-event:15m",
        "--report",
        file.to_str().unwrap(),
    ]);
    assert!(
        code == 1 && stderr.contains("no recovery was opened") && !file.exists(),
        "{stderr}"
    );
}

#[test]
fn faults_are_listed_without_a_scenario() {
    let (code, stdout, _) = answer(&["--list-faults"]);
    assert_eq!(code, 0);
    for expected in [
        "region-outage",
        "kill:<step>[:<n>]",
        "both-databases",
        "approver-declines[:<n>]",
    ] {
        assert!(stdout.contains(expected), "no {expected:?} in:\n{stdout}");
    }
}

#[test]
fn wrong_use_is_told_before_anything_runs() {
    for (args, told) in [
        (vec!["all"], "--campaign"),
        (vec!["all", "--campaign", "0"], "--campaign"),
        (vec!["region-failure", "--campaign", "5", "--fault", "busy"], "--fault"),
        (vec!["region-failure", "--fault", "rain"], "--list-faults"),
        (
            vec!["region-failure", "--fault", "busy", "--fault", "drill-running"],
            "who holds the lock",
        ),
        (vec!["region-failure", "--fault", "busy", "--fault", "busy"], "twice"),
        (vec!["region-failure", "--report", "report.txt"], ".html, .json or .md"),
        (vec!["region-failure", "--list-faults"], "--list-faults"),
        (vec!["region-failure", "--shrink"], "--campaign"),
    ] {
        let (code, stdout, stderr) = answer(&args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(told), "{args:?}: {stderr}");
    }
}
