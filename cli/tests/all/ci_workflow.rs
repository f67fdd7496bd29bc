//! The workflow of `docs/ci.md` is run: its steps of shell and Python, with the `drctl` that is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::common::{root, said};

fn workflow() -> String {
    fs::read_to_string(root().join("docs/ci/rehearse.yml")).unwrap()
}

/// The shell text of the step `name` of `workflow`.
fn step(workflow: &str, name: &str) -> String {
    let (_, step) = workflow.split_once(&format!("- name: {name}\n")).expect(name);
    let (_, text) = step.split_once("run: ").expect(name);
    match text.strip_prefix("|\n") {
        None => text.lines().next().unwrap().to_owned(),
        Some(block) => {
            let is_inside = |line: &&str| line.is_empty() || line.starts_with("          ");
            block
                .lines()
                .take_while(is_inside)
                .map(|line| format!("{line}\n"))
                .collect()
        }
    }
}

/// The names of the rehearsals that `workflow` plays.
fn played(workflow: &str) -> BTreeSet<String> {
    let rehearse = step(workflow, "Rehearse");
    let played = rehearse.lines().filter_map(|line| line.trim().strip_prefix("play "));
    played.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Runs a step as GitHub does, in the project's root.
fn run(step: &str, results: &Path, baseline: &Path) -> Output {
    let drctl = assert_cmd::cargo::cargo_bin!("drctl");
    let path = format!(
        "{}:{}",
        drctl.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step])
        .current_dir(root())
        .env("PATH", path)
        .env("PLAN", "radiant.plan.yaml")
        .env("RESULTS", results)
        .env("BASELINE", baseline)
        .env("GITHUB_STEP_SUMMARY", results.join("step-summary"))
        .output()
        .unwrap()
}

#[test]
fn its_steps_play_judge_and_tell() {
    let workflow = workflow();
    let folder = tempfile::tempdir().unwrap();
    let (results, baseline) = (folder.path().join("rehearsals"), folder.path().join("baseline.json"));
    let judge = step(&workflow, "Write the JUnit file, and compare with the baseline");
    for name in ["Check the plan", "Rehearse"] {
        let output = run(&step(&workflow, name), &results, &baseline);
        assert!(output.status.success(), "{name}: {}", said(&output));
    }

    // Without a baseline nothing is compared, and that is no success.
    let output = run(&judge, &results, &baseline);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("no baseline for it"), "{}", said(&output));

    let output = run(&format!("{judge} --write-baseline"), &results, &baseline);
    assert!(output.status.success(), "{}", said(&output));
    let output = run(&judge, &results, &baseline);
    assert!(output.status.success(), "{}", said(&output));
    let junit = fs::read_to_string(results.join("junit.xml")).unwrap();
    assert!(junit.contains(r#"failures="0" errors="0""#), "{junit}");

    let output = run(&step(&workflow, "Show the reports in the summary"), &results, &baseline);
    assert!(output.status.success(), "{}", said(&output));
    let summary = fs::read_to_string(results.join("step-summary")).unwrap();
    for name in played(&workflow) {
        assert!(junit.contains(&format!(r#"name="{name}""#)), "{name}: {junit}");
        assert!(summary.contains(&format!("| {name} | passed |")), "{name}: {summary}");
        assert!(
            summary.contains(&format!("<summary>{name}</summary>")),
            "{name}: {summary}"
        );
    }

    // What is worse than the baseline fails: an RTO that has grown, and one that is not measured any more.
    let stored = fs::read_to_string(&baseline).unwrap();
    let mut stored: BTreeMap<String, Value> = serde_json::from_str(&stored).unwrap();
    for name in ["region-lost", "both-databases-out"] {
        stored.get_mut(name).unwrap()["rto_seconds"] = json!(1.0);
    }
    fs::write(&baseline, serde_json::to_string(&stored).unwrap()).unwrap();
    let output = run(&judge, &results, &baseline);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for part in [
        "both-databases-out: rto_seconds: not measured",
        "region-lost: rto_seconds: ",
    ] {
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
}

#[test]
fn a_rehearsal_that_cannot_be_played_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (results, baseline) = (folder.path().join("rehearsals"), folder.path().join("baseline.json"));
    let rehearse = step(&workflow(), "Rehearse");
    let (play, _) = rehearse.split_once("play region-lost").unwrap();
    let output = run(
        &format!("{play}play wrong region-failure --fault nonsense"),
        &results,
        &baseline,
    );
    assert!(said(&output).contains("wrong: exit status 2"), "{}", said(&output));
    let judge = step(&workflow(), "Write the JUnit file, and compare with the baseline");
    let output = run(&judge, &results, &baseline);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let junit = fs::read_to_string(results.join("junit.xml")).unwrap();
    assert!(junit.contains(r#"failures="0" errors="1""#), "{junit}");
    assert!(junit.contains("there is no fault"), "{junit}");
}

#[test]
fn the_stored_baseline_is_of_what_is_played() {
    let stored = fs::read_to_string(root().join("docs/ci/baseline.json")).unwrap();
    let stored: BTreeMap<String, Value> = serde_json::from_str(&stored).unwrap();
    let mut played = played(&workflow());
    assert!(played.remove("campaign"), "{played:?}");
    assert_eq!(stored.into_keys().collect::<BTreeSet<_>>(), played);
}
