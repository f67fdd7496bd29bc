//! What a person at a terminal, or a log, sees of `drctl`: rows that fit, what people are asked, attempts, and plain words.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{self, Answer, quick, root};

/// Marks of the lines of the live view.
const MARKS: [&str; 6] = ["✓", "…", "✗", "▶", "■", "?"];

fn drctl(args: &[&str], columns: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drctl"));
    command.args(args).current_dir(root()).env_remove("COLUMNS");
    if let Some(columns) = columns {
        command.env("COLUMNS", columns);
    }
    command
}

/// Exit status, standard output and standard error, without a terminal.
fn answer(args: &[&str], columns: Option<&str>) -> Answer {
    common::answer(drctl(args, columns).output().unwrap())
}

/// `drctl rehearse region-failure`, with one fact in a line.
fn rehearse(args: &[&str]) -> (i32, String) {
    let args: Vec<&str> = ["rehearse", "region-failure"].iter().chain(args).copied().collect();
    let (code, stdout, stderr) = answer(&args, Some("1000"));
    assert_eq!(stderr, "", "{args:?}");
    (code, stdout)
}

fn json(args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&rehearse(&args).1).unwrap()
}

/// What the lines of the live view say of a state, with their marks.
fn said_of<'a>(text: &'a str, state: &str) -> Vec<(&'a str, &'a str)> {
    let of_state = text.lines().filter_map(|line| {
        let (mark, rest) = line.get(20..)?.split_once(' ')?;
        let told = rest.strip_prefix(state)?.strip_prefix(' ')?;
        MARKS.contains(&mark).then(|| (mark, told.trim()))
    });
    of_state.collect()
}

/// The row of the table of steps.
fn row<'a>(text: &'a str, state: &str) -> &'a str {
    let (_, table) = text.split_once("\nstep ").unwrap();
    table.lines().find(|line| line.starts_with(state)).unwrap()
}

#[test]
fn people_and_their_answers_are_shown_once_each_without_a_terminal() {
    let (code, text) = rehearse(&["--seed", "7", "--fault", "lag:10m"]);
    assert_eq!(code, 0, "{text}");
    let said = said_of(&text, "RequestApproval");
    let [asked, first, second, end] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(asked.0, "?");
    assert!(
        asked
            .1
            .starts_with("2 people must approve by 03:29:40 (within 15m): Fail the database over from us-east-1"),
        "{asked:?}"
    );
    assert!(
        asked.1.ends_with("this cannot be undone"),
        "what people decide on is cut: {asked:?}"
    );
    assert!(
        first.1.ends_with(" approved: 1 of 2") && second.1.ends_with(" approved: 2 of 2"),
        "{said:?}"
    );
    assert!(end.1.starts_with("people took 11m 4s; "), "{end:?}");
    assert!(
        !text.contains(['\r', '\x1b']) && !text.contains("left to answer"),
        "{text}"
    );
}

#[test]
fn the_table_of_steps_has_the_time_that_people_took() {
    let args = ["--seed", "7", "--fault", "lag:10m"];
    let (_, text) = rehearse(&args);
    let asking = row(&text, "RequestApproval");
    let words: Vec<&str> = asking.split_whitespace().collect();
    assert_eq!(words[1..3], ["11m", "4s"], "{asking}");
    assert!(
        asking.ends_with("  people: 11m 4s") && asking.contains("┄┄┄┄"),
        "{asking}"
    );
    assert!(row(&text, "PromoteDatabase").contains('━'));
    assert!(
        text.contains("\npeople: RequestApproval: approved after 11m 4s; 2 of 2 approved (limit 15m)\n"),
        "{text}"
    );
    let waits = json(&args)["waits"].clone();
    assert_eq!(waits.as_array().unwrap().len(), 1);
    for (field, expected) in [
        ("state", Value::from("RequestApproval")),
        ("people", Value::from(2)),
        ("approvals", Value::from(2)),
        ("result", Value::from("approved")),
    ] {
        assert_eq!(waits[0][field], expected);
    }
}

#[test]
fn no_decision_and_a_decline_are_shown_as_that() {
    let (code, text) = rehearse(&["--seed", "7", "--fault", "lag:10m", "--fault", "approver-asleep:1"]);
    assert_eq!(code, 0, "the second question is answered: {text}");
    assert!(
        said_of(&text, "RequestApproval").contains(&("✗", "no decision within 15m: 0 of 2 approved")),
        "{text}"
    );
    assert!(text.contains("\npeople: RequestApproval: no decision in time after 15m; 0 of 2 approved (limit 15m)\n"));
    let (code, text) = rehearse(&["--seed", "7", "--fault", "lag:10m", "--fault", "approver-declines"]);
    assert_eq!(code, 4, "{text}");
    let said = said_of(&text, "RequestApproval");
    assert!(
        said.iter()
            .any(|(mark, told)| *mark == "?" && told.ends_with(" declined")),
        "{said:?}"
    );
    let (_, text) = rehearse(&["--seed", "7", "--fault", "lag:10m", "--fault", "one-approver-twice"]);
    let said = said_of(&text, "RequestApproval");
    assert!(
        said.iter()
            .any(|(_, told)| told.contains("the answer does not count (already-answered)")),
        "{said:?}"
    );
}

/// How often a line says that its step was retried.
fn retries(told: &str) -> usize {
    match told.strip_prefix("retried ") {
        None => 0,
        Some(rest) if rest.starts_with("once in ") => 1,
        Some(rest) => rest.split(' ').next().unwrap().parse().unwrap(),
    }
}

#[test]
fn attempts_of_a_step_are_one_line_and_each_has_one_with_verbose() {
    let quick = quick();
    let faults = ["--seed", "3", "--fault", "throttle:rds", "--fault", "kill:switch-dns"];
    let faults = [&faults[..], &["--timings", &quick]].concat();
    let (_, text) = rehearse(&faults);
    assert!(
        !text.contains("✗ CheckDatabase") && !text.contains("✗ SwitchDns"),
        "{text}"
    );
    let verbose: Vec<&str> = faults.iter().copied().chain(["-v"]).collect();
    let (_, verbose) = rehearse(&verbose);
    // A step that is retried, and one that its machine visits again and again.
    for (state, least) in [("SwitchDns", 1), ("CheckDatabase", 3)] {
        let said = said_of(&text, state);
        let told: usize = said.iter().map(|(_, told)| retries(told)).sum();
        let failed = said_of(&verbose, state);
        let failed = failed.iter().filter(|(mark, _)| *mark == "✗").count();
        assert!(told == failed && told >= least, "{state}: {told} of {failed}: {said:?}");
        let (mark, last) = said.last().unwrap();
        assert!(*mark == "✓" && last.contains("; "), "{last}");
    }
    let said = said_of(&text, "SwitchDns");
    assert!(said.len() == 1 && said[0].1.starts_with("retried once in "), "{said:?}");
}

#[test]
fn a_step_that_fails_for_good_is_one_line_and_an_sdks_timeout_is_no_paragraph() {
    let quick = quick();
    // What the last attempt meets is chance: an error of AWS's, or no answer.
    let seeds: Vec<String> = (1..=20).map(|seed: u32| seed.to_string()).collect();
    let timed_out = seeds.iter().find_map(|seed| {
        let args = ["--seed", seed, "--fault", "both-databases", "--timings", &quick];
        let (code, text) = rehearse(&args);
        assert_eq!(code, 4, "{text}");
        let said = said_of(&text, "AssessRegion");
        let [("✗", told)] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert!(
            told.starts_with("retried 12 times in ") && told.contains("s; Unavailable: rds:DescribeGlobalClusters"),
            "{told}"
        );
        told.contains("no answer within 5s").then_some((args, text))
    });
    let (args, text) = timed_out.expect("no last attempt was without an answer");
    assert!(!text.contains("operation attempt timeout"), "{text}");
    let (live, _) = text.split_once("\n\nService down.").unwrap();
    let longest = live.lines().skip(2).map(|line| line.chars().count()).max();
    assert!(longest < Some(270), "{longest:?}:\n{live}");
    let shown = row(&text, "AssessRegion");
    assert!(shown.ends_with("  ✗ Unavailable"), "{shown}");
    // All of it is there for whoever wants it.
    let verbose: Vec<&str> = args.iter().copied().chain(["-v"]).collect();
    let (_, text) = rehearse(&verbose);
    assert_eq!(said_of(&text, "AssessRegion").len(), 13, "{text}");
    assert!(
        text.contains("operation attempt timeout") && !text.contains("(all: --verbose)"),
        "{text}"
    );
}

#[test]
fn the_summary_begins_with_what_customers_have() {
    let first = |args: &[&str]| {
        let quick = quick();
        let args: Vec<&str> = args.iter().copied().chain(["-q", "--timings", &quick]).collect();
        let (_, text) = rehearse(&args);
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        first(&["--seed", "7"]),
        "Service back after 5m 33s (limit 4h). Lost: 1 acknowledged write."
    );
    assert_eq!(
        first(&["--seed", "7", "--fault", "both-databases"]),
        "Service down. Lost so far: no acknowledged write."
    );
    assert_eq!(
        first(&["--seed", "7", "--fault", "probe-blocked"]),
        "Customers are served. Lost: no acknowledged write."
    );
    let down = json(&["--seed", "7", "--fault", "both-databases"]);
    assert_eq!(down["served_at_end"], false);
    assert_eq!(json(&["--seed", "7"])["served_at_end"], true);
    let (_, text) = rehearse(&["--seed", "7", "-q", "--fault", "approver-asleep"]);
    assert!(
        text.contains(
            "\nregion-failure: recovered; approver-asleep never applied, so this run proves nothing about it"
        ),
        "{text}"
    );
}

#[test]
fn a_move_that_cannot_lose_writes_has_nothing_to_lose() {
    let (_, text, _) = answer(&["rehearse", "region-return", "--seed", "7", "-q"], None);
    let rpo = text.lines().find(|line| line.starts_with("RPO")).unwrap();
    assert!(rpo.contains("nothing to lose") && !rpo.contains("none"), "{rpo}");
    assert!(!text.contains("no objective"), "{text}");
}

#[test]
fn no_row_is_wider_than_columns_and_100_without_them() {
    let runs: [&[&str]; 10] = [
        &["rehearse", "--seed", "7", "--fault", "lag:10m"],
        &[
            "rehearse",
            "region-failure",
            "--seed",
            "7",
            "--fault",
            "both-databases",
            "-v",
        ],
        &[
            "rehearse",
            "region-failure",
            "--seed",
            "18446744073709551615",
            "--runs",
            "2",
        ],
        &["rehearse", "region-failure", "--seed", "1", "--campaign", "2"],
        &["rehearse", "--list-faults"],
        &["rehearse", "--help"],
        &["start", "--help"],
        &["reopen", "--help"],
        &["plan", "render", "--help"],
        &["--help"],
    ];
    let fits = |args: &[&str], columns: Option<&str>, width: usize| {
        let (_, text, _) = answer(args, columns);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{args:?} at {columns:?}: {line:?}");
        }
        assert!(
            !text.contains(['\r', '\x1b']),
            "{args:?}: redrawn or coloured without a terminal"
        );
    };
    for args in runs {
        fits(args, Some("60"), 60);
        fits(args, Some("100"), 100);
    }
    for columns in [None, Some("0"), Some("wide")] {
        fits(&["rehearse", "--list-faults"], columns, 100);
    }
    fits(
        &["rehearse", "region-failure", "--seed", "7", "--fault", "lag:10m"],
        None,
        100,
    );
    // What programs read is one line, however long.
    let (_, text, _) = answer(&["rehearse", "--seed", "7", "--json"], Some("60"));
    assert_eq!(text.lines().count(), 1);
}

/// What is drawn on a terminal of 80 columns, row by row.
#[cfg(target_os = "linux")]
fn drawn(args: &str) -> Vec<String> {
    let line = format!(
        "stty rows 50 cols 80 && '{}' rehearse region-failure {args}",
        env!("CARGO_BIN_EXE_drctl")
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(root())
        .envs([("TERM", "xterm-256color"), ("SHELL", "/bin/sh"), ("NO_COLOR", "1")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text
        .lines()
        .flat_map(|row| row.trim_end_matches('\r').split("\r\x1b[K"));
    rows.map(str::to_owned).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_counts_down_while_people_are_asked() {
    let rows = drawn("--seed 7 --fault lag:10m");
    let counted: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.split_once("left to answer; "))
        .map(|(_, of)| of)
        .collect();
    assert!(counted.len() > 20, "{rows:?}");
    assert_eq!(
        (counted[0], *counted.last().unwrap()),
        ("0 of 2 approved", "1 of 2 approved")
    );
    assert!(counted.is_sorted(), "{counted:?}");
    let clock: Vec<&str> = rows
        .iter()
        .filter(|row| row.contains("left to answer"))
        .map(|row| &row[..8])
        .collect();
    assert!(clock.windows(2).all(|two| two[0] < two[1]), "{clock:?}");
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{rows:?}");
    // An attempt that failed is drawn, and stays only where it was the last.
    let rows = drawn("--seed 3 --fault throttle:rds");
    assert!(
        rows.iter().any(|row| row.contains("✗ CheckDatabase: Throttled")),
        "{rows:?}"
    );
}

#[test]
fn without_a_scenario_the_plans_first_one_is_rehearsed_and_the_others_are_named() {
    let (code, text, stderr) = answer(&["rehearse", "--seed", "7"], Some("1000"));
    assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    let expected = "\
No scenario given: this rehearses database-corruption, the first of your plan.
Also available: region-failure, region-return.
az-failure, accidental-deletion, security-breach, service-recovery: declared in your plan, not available yet.

Rehearsing database-corruption of radiant with seed 7 ";
    assert!(text.starts_with(expected), "{text}");
    let args = ["rehearse", "--seed", "7", "--json"];
    assert_eq!(
        answer(&args, None).1,
        answer(&["rehearse", "database-corruption", "--seed", "7", "--json"], None).1
    );
}

#[test]
fn a_scenario_without_a_machine_is_declared_and_not_available_yet() {
    for verb in ["rehearse", "start"] {
        let (code, stdout, stderr) = answer(&[verb, "az-failure"], None);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(
            stderr.ends_with("az-failure: declared in your plan, not available yet\n"),
            "{stderr}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let plan = fs::read_to_string(root().join("radiant.plan.yaml")).unwrap();
    // The kind of its alarm, too.
    let plan = plan.replace("scenario: az-failure", "scenario: database-corruption");
    let (before, rest) = plan.split_once("  az-failure:\n").unwrap();
    let (_, after) = rest.split_once("deadlines: { database: 15m, health: 10m }\n").unwrap();
    let file = folder.path().join("plan.yaml");
    fs::write(&file, format!("{before}{after}")).unwrap();
    let (code, _, stderr) = answer(&["rehearse", "az-failure", "--plan", file.to_str().unwrap()], None);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("az-failure: not available yet, and not in your plan"),
        "{stderr}"
    );
}

#[test]
fn faults_are_grouped_with_their_results_and_the_values_that_they_take() {
    let (code, text, _) = answer(&["rehearse", "--list-faults"], Some("1000"));
    assert_eq!(code, 0);
    assert!(text.starts_with("Faults and their expected result\n"), "{text}");
    let groups: Vec<&str> = text
        .split("\n\n")
        .skip(1)
        .map(|group| group.lines().next().unwrap())
        .collect();
    assert!(groups.len() > 5 && groups.last() == Some(&"Values"), "{groups:?}");
    let of = |name: &str| {
        text.split("\n\n")
            .find(|group| group.contains(&format!("\n  {name}\n")))
            .unwrap()
    };
    assert!(of("approver-declines[:<n>]").starts_with("People\n"));
    assert!(of("lag:<duration>").starts_with("Database and replication\n"));
    assert!(
        text.contains("\n      → ends as declined; everything is as before\n"),
        "{text}"
    );
    for value in [
        "promote-database",
        "rds-data",
        "PromoteDatabase",
        "event-sources",
        "denied",
        "such as 30s, 10m, 1h30m",
    ] {
        let (_, values) = text.split_once("\nValues\n").unwrap();
        assert!(values.contains(value), "no {value} in:\n{values}");
    }
    let (_, help, _) = answer(&["rehearse", "-h"], None);
    assert!(help.contains("List faults and their expected result"), "{help}");
}

/// Each run's own status, against that of all of them together.
#[test]
fn many_runs_exit_as_the_worst_of_them() {
    // Of these seeds some are recovered from, and some are not.
    let fault = ["--fault", "errors:rds:0.9"];
    let status = |args: &[&str]| {
        let args: Vec<&str> = ["-q"].iter().chain(args).chain(&fault).copied().collect();
        rehearse(&args).0
    };
    let each: Vec<i32> = ["1", "2", "3", "4", "5", "6"]
        .iter()
        .map(|seed| status(&["--seed", seed]))
        .collect();
    let worst = each.iter().copied().max_by_key(|code| match code {
        0 => 0,
        3 => 1,
        4 => 2,
        1 => 3,
        code => *code,
    });
    assert_eq!(Some(status(&["--seed", "1", "--runs", "6"])), worst, "{each:?}");
    assert!(each.iter().any(|code| *code != each[0]), "all end alike: {each:?}");
}

#[test]
fn help_is_read_at_night() {
    // No sentence of more than 20 words. Its patterns are held with those of every text (`tests/tests/all/words.rs`).
    for args in [
        &["--help"][..],
        &["rehearse", "--help"],
        &["start", "--help"],
        &["resume", "--help"],
        &["reopen", "--help"],
        &["automation", "--help"],
        &["plan", "push", "--help"],
        &["plan", "render", "--help"],
    ] {
        let (_, help, _) = answer(args, Some("1000"));
        // A list of values is no sentence.
        let is_text = |line: &&str| !line.contains("drctl ") && line.split(", ").count() < 12;
        for line in help.lines().filter(is_text) {
            for sentence in line.split(['.', ';', ':', '[']) {
                let words = sentence
                    .split_whitespace()
                    .filter(|word| word.chars().any(char::is_alphabetic))
                    .count();
                assert!(words <= 20, "{args:?}: {sentence}");
            }
        }
    }
}
