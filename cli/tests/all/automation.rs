//! `drctl automation`: the switch in both Regions of the simulated AWS, and the command line.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;
use drctl::InRegion;
use drctl::automation::{Setting, set, status};
use jiff::Timestamp;
use shared::record::Switch;

use crate::common::{self, Answer, root, with_radiant};

fn switch(on: bool, minute: i8, reason: &str) -> Switch {
    let at: Timestamp = format!("2026-01-06T03:{minute:02}:00Z").parse().unwrap();
    Switch {
        on,
        by: "arn:aws:iam::123456789012:user/on-call".to_owned(),
        at,
        reason: reason.to_owned(),
    }
}

fn seen<T: std::fmt::Debug>(answers: Vec<InRegion<T>>) -> Vec<(String, T)> {
    let seen = answers
        .into_iter()
        .map(|answer| (answer.region, answer.answer.unwrap()));
    seen.collect()
}

#[test]
fn nobody_set_it_and_it_is_seen_in_both_regions() {
    with_radiant(async |simulation, plan| {
        let untouched = || Setting {
            now: None,
            history: vec![],
        };
        assert_eq!(
            seen(status(&simulation.aws("drctl"), &plan).await),
            [
                ("us-east-1".to_owned(), untouched()),
                ("us-west-2".to_owned(), untouched())
            ]
        );
    });
}

#[test]
fn it_is_set_in_both_regions_and_the_last_five_settings_are_shown() {
    with_radiant(async |simulation, plan| {
        let aws = simulation.aws("drctl");
        let settings: Vec<Switch> = (0..7).map(|n| switch(n % 2 == 1, n, &format!("reason {n}"))).collect();
        for setting in &settings {
            let regions: Vec<String> = seen(set(&aws, &plan, setting).await)
                .into_iter()
                .map(|(region, ())| region)
                .collect();
            assert_eq!(regions, ["us-east-1", "us-west-2"]);
        }
        for (region, setting) in seen(status(&aws, &plan).await) {
            assert_eq!(setting.now.as_ref(), settings.last(), "{region}");
            let newest_first: Vec<Switch> = settings.iter().rev().take(5).cloned().collect();
            assert_eq!(setting.history, newest_first, "{region}");
        }
    });
}

#[test]
fn a_region_that_is_away_does_not_keep_the_other_one_from_being_set() {
    with_radiant(async |simulation, plan| {
        let aws = simulation.aws("drctl");
        simulation.cloud().take_region_away("us-east-1");
        let off = switch(false, 0, "the network is being moved");
        let began = simulation.cloud().now();
        let answers = set(&aws, &plan, &off).await;
        let took = simulation.cloud().now().duration_since(began);
        assert!(took < Duration::from_secs(5).try_into().unwrap(), "{took:?}");
        assert!(answers[0].answer.is_err());
        assert!(answers[1].answer.is_ok());
        let answers = status(&aws, &plan).await;
        assert!(answers[0].answer.is_err());
        assert_eq!(answers[1].answer.as_ref().unwrap().now.as_ref(), Some(&off));
        // Back again, the lost Region does not know of it: each Region has its own switch.
        simulation.cloud().give_region_back("us-east-1");
        assert_eq!(seen(status(&aws, &plan).await)[0].1.now, None);
    });
}

/// `drctl automation` in the root of the repository, where every AWS endpoint is a port on which nobody listens.
fn automation(args: &[&str]) -> Command {
    let all: Vec<&str> = ["automation"].iter().chain(args).copied().collect();
    drctl(&all)
}

/// Likewise any other verb.
fn drctl(args: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("drctl");
    command
        .args(args)
        .current_dir(root())
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "an-example");
    command
}

/// Exit status, standard output and standard error.
fn answer(args: &[&str]) -> Answer {
    common::answer(automation(args).output().unwrap())
}

#[test]
fn off_needs_a_reason() {
    for args in [&["off"][..], &["off", "--reason", "  "], &["off", "--reason", ""]] {
        let (code, stdout, stderr) = answer(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.contains("--reason"), "{stderr}");
    }
}

#[test]
fn wrong_use_is_said() {
    for args in [
        &[][..],
        &["of"],
        &["status", "--reason", "x"],
        &["status", "--plan", "no-such.yaml"],
        &["off", "--reason", "x", "--plan", "no-such.yaml"],
    ] {
        let (code, stdout, stderr) = answer(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(!stderr.is_empty());
    }
}

#[test]
fn regions_that_cannot_be_reached_are_named() {
    let (code, stdout, stderr) = answer(&["status"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    for (line, region) in lines.iter().zip(["us-east-1", "us-west-2"]) {
        assert!(
            line.starts_with(&format!("drctl: {region}: could not read the switch; ")),
            "{line}"
        );
    }
}

#[test]
fn nothing_is_changed_where_nobody_says_who_does_it() {
    let (code, stdout, stderr) = answer(&["off", "--reason", "x"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(
        stderr.starts_with("drctl: nothing was changed, because AWS did not say who you are"),
        "{stderr}"
    );
}

/// An endpoint that says of every caller that they are of account 210987654321; gives its URL, and what else was asked of it.
fn another_account() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let others = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&others);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let (mut request, mut part) = (String::new(), [0; 4096]);
            while !request.contains("Action=GetCallerIdentity") {
                match connection.read(&mut part) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.push_str(&String::from_utf8_lossy(&part[..read])),
                }
            }
            if !request.contains("Action=GetCallerIdentity") {
                seen.lock().unwrap().push(request);
            }
            let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                <Arn>arn:aws:sts::210987654321:assumed-role/on-call/somebody</Arn><UserId>A</UserId>\
                <Account>210987654321</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            // Whoever asked may have gone.
            drop(connection.write_all(answer.as_bytes()));
        }
    });
    (url, others)
}

#[test]
fn nothing_is_changed_in_another_account_than_the_plans() {
    let (url, others) = another_account();
    for args in [
        &["automation", "off", "--reason", "x"][..],
        &["plan", "push", "radiant.plan.yaml"],
        &["resume", "20260106T015500Z-region-failure-abcdef"],
        &["rehearse", "region-failure", "--seed", "1", "--publish"],
    ] {
        let mut command = drctl(args);
        let output = command.env("AWS_ENDPOINT_URL", &url).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(
            stderr.contains("in account 210987654321, and the plan is for account 123456789012; use credentials"),
            "{args:?}: {stderr}"
        );
    }
    assert_eq!(
        *others.lock().unwrap(),
        Vec::<String>::new(),
        "only who is calling was asked"
    );
}
