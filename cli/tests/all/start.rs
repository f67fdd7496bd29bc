//! `drctl start`, against an endpoint that answers as AWS does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin_cmd;

const PERSON: &str = "arn:aws:sts::123456789012:assumed-role/on-call/somebody";
const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:radiant-recovery:region-failure-x";

/// What is asked of an endpoint, in order.
type Asked = Arc<Mutex<Vec<String>>>;

/// An endpoint that says who calls and where the function's URL is, and answers there with these, the last one again and again;
/// where it is not deployed, there is no such function. Gives its URL, and what was asked.
fn aws(is_deployed: bool, answers: &'static [(u16, &str)]) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let (seen, own) = (Arc::clone(&asked), url.clone());
    std::thread::spawn(move || {
        let mut posted = 0;
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let request = read(&mut connection);
            let (status, kind, body) = if request.contains("Action=GetCallerIdentity") {
                let body = format!(
                    "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                     <Arn>{PERSON}</Arn><UserId>A</UserId><Account>123456789012</Account></GetCallerIdentityResult>\
                     </GetCallerIdentityResponse>"
                );
                (200, "text/xml", body)
            } else if is_deployed && request.contains("/functions/radiant-start-by-hand/url?Qualifier=live") {
                let body = format!(
                    r#"{{"FunctionUrl":"{own}/start","FunctionArn":"arn:aws:lambda:us-west-2:123456789012:function:f:live","AuthType":"AWS_IAM","CreationTime":"2026-01-01T00:00:00Z"}}"#
                );
                (200, "application/json", body)
            } else if request.starts_with("POST /start") {
                let (status, body) = answers[posted.min(answers.len() - 1)];
                posted += 1;
                (status, "application/json", body.to_owned())
            } else {
                (
                    404,
                    "application/json",
                    r#"{"Type":"User","Message":"nothing is here"}"#.to_owned(),
                )
            };
            seen.lock().unwrap().push(request);
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            drop(connection.write_all(answer.as_bytes()));
        }
    });
    (url, asked)
}

fn read(connection: &mut TcpStream) -> String {
    connection.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (mut request, mut part) = (String::new(), [0; 8192]);
    while let Ok(read @ 1..) = connection.read(&mut part) {
        request.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    request
}

fn drctl(args: &[&str], url: &str) -> Output {
    let mut command = cargo_bin_cmd!("drctl");
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(args)
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_REGION", "us-west-2")
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command.output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn posted(asked: &Asked) -> Vec<String> {
    let asked = asked.lock().unwrap();
    asked
        .iter()
        .filter(|request| request.starts_with("POST /start"))
        .cloned()
        .collect()
}

#[test]
fn it_signs_as_the_person_and_asks_again_with_the_same_id() {
    const STARTED: &str = r#"{"result":"started","message":"region-failure begins","execution":"arn:aws:states:us-west-2:123456789012:execution:radiant-recovery:region-failure-x"}"#;
    let (url, asked) = aws(
        true,
        &[(503, r#"{"result":"try-again","message":"again"}"#), (202, STARTED)],
    );
    let output = drctl(
        &["start", "region-failure", "--want", "intent=switchover", "--always-ask"],
        &url,
    );
    let (code, stdout, stderr) = said(&output);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.contains(&format!("Asking us-west-2 to start region-failure, as {PERSON}")),
        "{stdout}"
    );
    assert!(stdout.contains(EXECUTION), "{stdout}");
    let posted = posted(&asked);
    assert_eq!(posted.len(), 2);
    let body = |request: &str| request.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&posted[0]), body(&posted[1]), "the same id starts once");
    let sent: serde_json::Value = serde_json::from_str(&body(&posted[0])).unwrap();
    assert_eq!(
        sent["machine"],
        "arn:aws:states:us-west-2:123456789012:stateMachine:radiant-recovery"
    );
    assert_eq!(
        (&sent["wants"]["intent"], &sent["always_ask"]),
        (&"switchover".into(), &true.into())
    );
    for request in &posted {
        let signed = request.contains("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/");
        assert!(
            signed && request.contains("/us-west-2/lambda/aws4_request"),
            "{request}"
        );
    }
}

#[test]
fn what_is_not_started_is_said_with_what_to_do() {
    for (answers, words) in [
        (&[(403, r#"{"Message":"Forbidden"}"#)][..], "get the policy operators"),
        (
            &[(409, r#"{"result":"taken","message":"taken already"}"#)],
            "nothing was started: taken already",
        ),
        (
            &[(500, r#"{"result":"failed","message":"no plan"}"#)],
            "nothing was started: no plan",
        ),
        (
            &[(502, "Internal Server Error")],
            "could not confirm whether a recovery was started",
        ),
    ] {
        let (url, _) = aws(true, answers);
        let (code, stdout, stderr) = said(&drctl(&["start", "region-failure"], &url));
        assert_eq!(code, Some(1), "{stdout}{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    // Nothing is deployed there.
    let (code, _, stderr) = said(&drctl(&["start", "region-failure"], &aws(false, &[(404, "{}")]).0));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("lambda:GetFunctionUrlConfig") && stderr.contains("two people have to approve"),
        "{stderr}"
    );
}

#[test]
fn what_cannot_be_wanted_is_wrong_use_and_aws_is_not_asked() {
    let (url, asked) = aws(true, &[(202, "{}")]);
    for (args, words) in [
        (
            &["start", "az-failure"][..],
            "az-failure: declared in your plan, not available yet",
        ),
        (&["start", "rain"], "available: database-corruption, region-failure"),
        (&["start", "region-failure", "--want", "intent"], "NAME=VALUE"),
        (&["start", "region-failure", "--want", "intent=win"], "win"),
        (&["start", "region-failure", "--want", "bucket=b"], "bucket"),
        (
            &[
                "start",
                "database-corruption",
                "--want",
                "restore_to=2026-01-06T03:00:00Z",
                "--want",
                "snapshot=before",
            ],
            "exclude each other",
        ),
        (
            &["start", "database-corruption", "--want", "snapshot=rds:before"],
            "neither an identifier",
        ),
        (
            &["start", "region-failure", "--region", "eu-west-1"],
            "its Regions are us-east-1 and us-west-2",
        ),
    ] {
        let (code, _, stderr) = said(&drctl(args, &url));
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    assert_eq!(asked.lock().unwrap().len(), 0);
}
