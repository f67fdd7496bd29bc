//! Whatever a step does, Step Functions sees our names: a built binary is run behind a small Runtime API server.

use std::io::{BufRead, BufReader, ErrorKind as IoErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use shared::error::ErrorKind;
use shared::step::STARTS;

/// Longer than anything here takes; only a hanging test meets it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a function posted about one invocation.
#[derive(Debug)]
struct Answer {
    /// `response` or `error`.
    kind: String,
    body: Value,
}

/// The Runtime API as Lambda offers it to one function: hands out invocations and takes answers. It ends when it is
/// dropped.
struct RuntimeApi {
    address: SocketAddr,
    invocations: Sender<Value>,
    answers: Receiver<Answer>,
    ended: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl RuntimeApi {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (invocations, waiting) = channel();
        let (answered, answers) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let waiting = Arc::new(Mutex::new(waiting));
        let server = std::thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                for connection in listener.incoming() {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let (waiting, answered) = (Arc::clone(&waiting), answered.clone());
                    // The connection ends with the function's process, and so does its thread.
                    std::thread::spawn(move || serve(connection.unwrap(), &waiting, &answered));
                }
            }
        });
        Self {
            address,
            invocations,
            answers,
            ended,
            server: Some(server),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the server, so that it sees that it has ended.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            server.join().ok();
        }
    }
}

/// One request, as far as it matters.
struct Request {
    line: String,
    body: Vec<u8>,
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let body = match header("content-length") {
        Some(length) => {
            let mut body = vec![0; length.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            body
        }
        None if header("transfer-encoding") == Some("chunked") => read_chunks(reader)?,
        None => Vec::new(),
    };
    Some(Request {
        line: line.trim().to_owned(),
        body,
    })
}

fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut length = String::new();
        reader.read_line(&mut length).ok()?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        // Each chunk is followed by an empty line.
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

fn serve(connection: TcpStream, waiting: &Mutex<Receiver<Value>>, answered: &Sender<Answer>) {
    // Without it, and in more than one write, every answer waits 40 ms for an acknowledgement.
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = connection.try_clone().unwrap();
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader) {
        let words: Vec<&str> = request.line.split(['/', ' ']).filter(|word| !word.is_empty()).collect();
        let reply = match words[..] {
            ["GET", "2018-06-01", "runtime", "invocation", "next", ..] => {
                let Ok(event) = waiting.lock().unwrap().recv_timeout(PATIENCE) else {
                    return;
                };
                let event = event.to_string();
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                     Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                     Lambda-Runtime-Deadline-Ms: 4102444800000\r\n\
                     Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-west-2:123456789012:function:misbehaving-step\r\n\
                     \r\n{event}",
                    event.len()
                )
            }
            [
                "POST",
                "2018-06-01",
                "runtime",
                "invocation",
                _,
                kind @ ("response" | "error"),
                ..,
            ] => {
                let answer = Answer {
                    kind: kind.to_owned(),
                    body: serde_json::from_slice(&request.body)
                        .unwrap_or_else(|_| json!(String::from_utf8_lossy(&request.body))),
                };
                answered.send(answer).ok();
                "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            _ => panic!("the Runtime API has no {}", request.line),
        };
        if writer.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// The misbehaving step as Lambda runs it, with credentials that no AWS takes and an AWS that notices a call.
fn command(api: &RuntimeApi, aws: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_misbehaving-step"));
    command
        .env_clear()
        .envs([
            ("AWS_LAMBDA_FUNCTION_NAME", "misbehaving-step"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/misbehaving-step"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "test"),
            ("AWS_REGION", "us-west-2"),
            ("AWS_ACCESS_KEY_ID", "fake"),
            ("AWS_SECRET_ACCESS_KEY", "fake"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("RECORD_TABLE", "records"),
        ])
        .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
        .env("AWS_ENDPOINT_URL", format!("http://{aws}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running function.
struct Function {
    process: Child,
    logs: Receiver<String>,
    aws: TcpListener,
    api: RuntimeApi,
}

impl Function {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(variables: &[(&str, &str)]) -> Self {
        let api = RuntimeApi::start();
        let aws = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        aws.set_nonblocking(true).unwrap();
        let mut command = command(&api, aws.local_addr().unwrap());
        let mut process = command.envs(variables.iter().copied()).spawn().unwrap();
        let (line, logs) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(process.stdout.take().unwrap()),
            Box::new(process.stderr.take().unwrap()),
        ];
        for stream in streams {
            let line = line.clone();
            // Read while it runs, or a full pipe would stop it.
            std::thread::spawn(move || {
                BufReader::new(stream)
                    .lines()
                    .map_while(Result::ok)
                    .try_for_each(|text| line.send(text))
            });
        }
        Self {
            process,
            logs,
            aws,
            api,
        }
    }

    fn invoke(&self, event: Value) -> Answer {
        self.api.invocations.send(event).unwrap();
        self.api.answers.recv_timeout(PATIENCE).expect("the function answers")
    }

    /// Whether it still answers as it should.
    #[track_caller]
    fn still_answers(&self) {
        let answer = self.invoke(json!({ "deed": { "do": "answer" }, "count": 7 }));
        assert_eq!(
            (answer.kind.as_str(), &answer.body["count"]),
            ("response", &json!(7)),
            "{answer:?}"
        );
    }

    /// Ends it and gives all that it logged. Panics if it called AWS.
    fn end(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let called = self.aws.accept().map(|(_, from)| from);
        assert_eq!(
            called.map_err(|error| error.kind()),
            Err(IoErrorKind::WouldBlock),
            "it called AWS"
        );
        let mut lines = Vec::new();
        loop {
            match self.logs.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => return lines,
                Err(RecvTimeoutError::Timeout) => panic!("the logs do not end"),
            }
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Also when a test fails half way.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// An error under this name, with texts that a person needs, after which the function goes on.
#[track_caller]
fn fails(function: &Function, event: Value, name: &str, texts: &[&str]) {
    let answer = function.invoke(event);
    assert_eq!(answer.kind, "error", "{answer:?}");
    // Step Functions takes the name from the body. lambda_runtime writes "unhandled" into the header, whatever it was.
    assert_eq!(answer.body["errorType"], name, "{answer:?}");
    let message = answer.body["errorMessage"].as_str().unwrap_or_default();
    for text in texts {
        assert!(message.contains(text), "{answer:?}");
    }
    function.still_answers();
}

#[test]
fn an_answer_is_passed_on() {
    let function = Function::start();
    let answer = function.invoke(json!({ "deed": { "do": "answer" }, "count": 3, "password": "hunter2" }));
    assert_eq!(answer.kind, "response");
    let expected = json!({ "count": 3, "password_length": 7, "summary": "counted 3", "progress": "done" });
    assert_eq!(answer.body, expected);
    // `state` belongs to the call; the step does not see it.
    let state = json!({ "Name": "Misbehave", "EnteredTime": "2026-01-01T00:00:00Z" });
    let answer = function.invoke(json!({ "deed": { "do": "answer" }, "count": 4, "state": state }));
    let expected = json!({ "count": 4, "password_length": 0, "summary": "counted 4", "progress": "done" });
    assert_eq!(answer.body, expected, "{answer:?}");
    function.end();
}

#[test]
fn an_input_that_does_not_parse_is_invalid_input() {
    let function = Function::start();
    let ours = "misbehaving-step does not accept its input: ";
    for (input, text) in [
        (json!({ "deed": { "do": "answer" }, "count": "three" }), "expected u32"),
        (
            json!({ "deed": { "do": "answer" }, "count": 3, "counts": 3 }),
            "unknown field `counts`",
        ),
        (json!({ "deed": { "do": "answer" } }), "missing field `count`"),
        (
            json!({ "deed": { "do": "dance" }, "count": 3 }),
            "unknown variant `dance`",
        ),
        (Value::Null, "null"),
        (json!("answer"), "string"),
        (json!([]), "length 0"),
    ] {
        fails(&function, input, "InvalidInput", &[ours, text]);
    }
    function.end();
}

#[test]
fn every_kind_of_error_keeps_its_name() {
    let function = Function::start();
    for kind in ErrorKind::ALL {
        let event = json!({ "deed": { "do": "fail", "kind": kind.name() }, "count": 2 });
        fails(&function, event, kind.name(), &["asked to fail 2 times"]);
    }
    function.end();
}

#[test]
fn a_panic_is_internal_and_ends_nothing() {
    let function = Function::start();
    for (deed, text) in [
        (
            json!({ "do": "panic-with-text" }),
            "panicked: a text that was always there",
        ),
        (
            json!({ "do": "panic-with-string", "text": "blue" }),
            "panicked: a text with blue in it",
        ),
        (json!({ "do": "panic-with-number" }), "panicked: no message"),
    ] {
        let event = json!({ "deed": deed, "count": 2 });
        fails(
            &function,
            event,
            "Internal",
            &["misbehaving-step", text, "this is a defect, report it"],
        );
    }
    function.end();
}

#[test]
fn no_log_line_tells_what_the_input_held() {
    // At "trace" lambda_runtime itself logs every event as it comes.
    for variables in [&[][..], &[("LOG_LEVEL", "debug")]] {
        let function = Function::start_with(variables);
        let secret = "hunter2-correct-horse";
        let fail = json!({ "do": "fail", "kind": "Denied" });
        for deed in [
            json!({ "do": "answer" }),
            fail,
            json!({ "do": "panic-with-text" }),
            json!({ "do": "dance" }),
        ] {
            function.invoke(json!({ "deed": deed, "count": 2, "password": secret }));
        }
        function.invoke(json!({ "deed": { "do": "answer" }, "count": 2, "password": secret, "more": secret }));
        let lines = function.end();
        // It did log, and everything that happened.
        for text in [
            "done",
            "asked to fail 2 times",
            "a text that was always there",
            "dance",
            "unknown field `more`",
        ] {
            assert!(
                lines.iter().any(|line| line.contains(text)),
                "nothing was logged of '{text}': {lines:#?}"
            );
        }
        let telling: Vec<_> = lines.iter().filter(|line| line.contains(secret)).collect();
        assert!(telling.is_empty(), "{telling:#?}");
    }
}

/// An alarm on ERROR lines counts failures, and not lines.
#[test]
fn an_invocation_that_fails_has_one_line_of_an_error() {
    let function = Function::start();
    let failing = [
        json!({ "do": "fail", "kind": "Denied" }),
        json!({ "do": "panic-with-text" }),
        json!({ "do": "dance" }),
    ];
    for deed in &failing {
        assert_eq!(function.invoke(json!({ "deed": deed, "count": 2 })).kind, "error");
    }
    let lines = function.end();
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(r#""level":"ERROR""#))
        .collect();
    assert_eq!(errors.len(), failing.len(), "{errors:#?}");
}

#[test]
fn asked_whether_it_starts_it_answers_and_does_nothing() {
    let function = Function::start();
    let answer = function.invoke(serde_json::from_str(STARTS).unwrap());
    assert_eq!(
        (answer.kind.as_str(), &answer.body),
        ("response", &json!({ "starts": true }))
    );
    function.end();
}

/// A stand-in for one service comes before the one for all of them.
#[test]
fn each_service_may_have_an_endpoint_of_its_own() {
    let table = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    table.set_nonblocking(true).unwrap();
    let address = format!("http://{}", table.local_addr().unwrap());
    let function = Function::start_with(&[("AWS_ENDPOINT_URL_DYNAMODB", &address)]);
    let recovery = json!({ "id": "r", "workload": "w", "token": 1, "execution": "arn:e" });
    let state = json!({ "Name": "Misbehave", "EnteredTime": "2026-01-01T00:00:00Z" });
    // It keeps its timeline in the table.
    function.invoke(json!({ "deed": { "do": "answer" }, "count": 1, "recovery": recovery, "state": state }));
    table.accept().expect("the table's own endpoint is called");
    function.end();
}

#[test]
fn without_a_table_it_says_which_variable_is_missing() {
    let api = RuntimeApi::start();
    let output = command(&api, api.address).env_remove("RECORD_TABLE").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("the environment variable RECORD_TABLE is not set"),
        "{said}"
    );
}
