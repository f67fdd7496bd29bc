//! Whatever a step, the function URL or the machine is given: nothing panics, what is wrong is named as that, and what is
//! refused has changed nothing. The inputs that are altered are those of a rehearsal.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use crate::common::plays::PLAYS;
use crate::common::{self, ON_CALL, PRIMARY, RECOVERY, SECOND, World, request};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{TestCaseError, TestRunner};
use rehearsal::deployment::{DeployedStep, STEPS, recovery_machine};
use serde_json::{Map, Value, json};
use shared::error::{ErrorKind, StepError};
use shared::recovery::Outcome;
use shared::step::{Caller, Handler};
use states_language::{EventKind, ExecutionStatus};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// The plan's alarm that starts a recovery by itself.
const ALARM: &str = "radiant-unhealthy-from-outside";
/// The plays in which each step runs by which a database goes back in time.
const BACK_IN_TIME: [&str; 2] = ["back in time", "restored and declined"];
/// Steps whose input names what is not there: a change of Route 53, a restored cluster, the Region whose database is damaged.
const OF_ANOTHER_WORLD: [&str; 13] = [
    "check-dns",
    "create-instance",
    "find-corruption",
    "finish-cluster",
    "flush-cache",
    "prepare-database",
    "repoint-function",
    "restore-cluster",
    "resume-jobs",
    "retire-cluster",
    "snapshot-cluster",
    "stop-writes",
    "validate-database",
];
/// How often an input of each step is altered.
const ALTERED: u32 = 150;
/// How often each step is given any JSON.
const ANY: u32 = 100;
/// How often the machine is started.
const STARTED: u32 = 60;
/// What a step says of an input that does not parse.
const NOT_TAKEN: &str = "does not accept its input";

/// A valid input of each step, without the state that calls it.
static INPUTS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
    let mut inputs = rehearsed();
    let field = |step: &str, name: &str| inputs[step][name].clone();
    // Those that the machine did not come to, or that something else calls.
    let unfence = json!({
        "recovery": field("promote-database", "recovery"), "database": field("promote-database", "database"),
        "here": field("promote-database", "here"), "other": field("promote-database", "other"),
    });
    let stop = json!({
        "recovery": field("promote-database", "recovery"), "machine": common::SCENARIO_MACHINE, "name": "one",
        "error": { "Error": "States.TaskFailed", "Cause": "{}" },
    });
    let check_dns = json!({ "recovery": field("promote-database", "recovery"), "change": "/change/C0123456789" });
    let probe = json!({
        "health": field("check-health", "health"), "probe": field("assess-region", "probe"),
        "cluster": { "global_cluster": "radiant-global", "cluster_arn": "arn:c" },
    });
    let (recovery, ask) = (field("request-approval", "recovery"), field("request-approval", "ask"));
    let said =
        json!({ "recovery": recovery["id"], "question": ask["id"], "answer": "approve", "reason": "it is dark" });
    let mut event: Value = serde_json::from_str(include_str!(
        "../../fixtures/events/cloudwatch-alarm-single-metric.json"
    ))
    .unwrap();
    event["region"] = json!(RECOVERY);
    event["resources"] = json!([format!("arn:aws:cloudwatch:{RECOVERY}:123456789012:alarm:{ALARM}")]);
    event["detail"]["alarmName"] = json!(ALARM);
    let start = json!({ "event": event, "machine": recovery_machine(&common::plan(), RECOVERY) });
    let asked = json!({
        "id": "one", "machine": recovery_machine(&common::plan(), RECOVERY), "scenario": "region-failure",
        "wants": { "intent": "failover" }, "always_ask": true, "drill": false, "take_over": "another",
    });
    let ended: Value = serde_json::from_str(include_str!(
        "../../fixtures/events/step-functions-execution-aborted.json"
    ))
    .unwrap();
    inputs.extend([
        ("unfence-region", unfence),
        ("stop-scenario", stop),
        ("check-dns", check_dns),
        ("probe-health", probe),
        ("record-approval", posted(&said.to_string())),
        ("start-by-hand", posted(&asked.to_string())),
        ("start-recovery", start),
        ("release-lock", json!({ "event": ended })),
        ("watch-fence", json!({ "workload": "radiant" })),
        ("watch-switch", json!({})),
    ]);
    inputs
});

/// What machines gave their functions in a failover by hand, and when the database went back in time.
fn rehearsed() -> BTreeMap<&'static str, Value> {
    let mut inputs = BTreeMap::new();
    common::in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        world.start("by-hand", request("failover"));
        let question = world.question().await;
        for who in [ON_CALL, SECOND] {
            world.answer(&question, who, "approve", Some("it is dark")).await;
        }
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
        inputs.extend(given(&world));
    });
    for play in PLAYS.iter().filter(|play| BACK_IN_TIME.contains(&play.name)) {
        common::in_virtual_time(async {
            let world = (play.play)().await;
            for (step, input) in given(&world) {
                inputs.entry(step).or_insert(input);
            }
        });
    }
    inputs
}

/// What the machines of a world gave each function last.
fn given(world: &World) -> BTreeMap<&'static str, Value> {
    let mut inputs = BTreeMap::new();
    for event in world.simulation.ended().iter().flat_map(|ended| &ended.result.history) {
        let (EventKind::TaskScheduled, Some(arguments)) = (event.kind, &event.details.input) else {
            continue;
        };
        // One Task starts the scenario's execution.
        let Some(arn) = arguments["FunctionName"].as_str() else {
            continue;
        };
        let step = STEPS
            .iter()
            .find(|step| arn.split(':').any(|part| part == step.name))
            .unwrap();
        let mut input = arguments["Payload"].clone();
        for of_the_call in ["state", "caller"] {
            input.as_object_mut().unwrap().remove(of_the_call);
        }
        inputs.insert(step.name, input);
    }
    inputs
}

/// A request to the function URL, with what AWS adds and is looked at.
fn posted(body: &str) -> Value {
    json!({
        "version": "2.0",
        "rawPath": "/",
        "headers": { "content-type": "application/json" },
        "requestContext": {
            "accountId": "123456789012",
            "authorizer": { "iam": { "accountId": "123456789012", "userArn": SECOND } },
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// A runtime with a paused clock, to which one comes back for each case.
struct Time {
    local: LocalSet,
    runtime: Runtime,
}

impl Time {
    fn new() -> Self {
        // They are made in a time of their own, which cannot be inside of another.
        LazyLock::force(&INPUTS);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            local: LocalSet::new(),
            runtime: runtime.enable_time().start_paused(true).build().unwrap(),
        }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.local.block_on(&self.runtime, work)
    }

    /// Does `test` with `cases` values, in this time.
    fn for_all<T: std::fmt::Debug, F: Future<Output = Result<(), TestCaseError>>>(
        &self,
        cases: u32,
        values: &impl Strategy<Value = T>,
        test: impl Fn(T) -> F,
    ) {
        let config = ProptestConfig {
            cases,
            failure_persistence: None,
            max_shrink_iters: 200,
            ..ProptestConfig::default()
        };
        let result = TestRunner::new(config).run(values, |value| self.run(test(value)));
        result.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A step in a world in which its input means something.
struct Tested {
    world: World,
    step: DeployedStep,
    handler: Box<dyn Handler>,
    /// Its input, for the recovery of this world.
    input: Value,
}

impl Tested {
    /// A recovery was opened by hand, and asks what the rehearsed one asked. What starts recoveries finds the machine.
    async fn new(step: DeployedStep) -> Self {
        let world = match step.name {
            "start-by-hand" | "start-recovery" => World::good_times(|_| {}).await,
            _ => World::bare().await,
        };
        tokio::time::sleep(Duration::from_secs(900)).await;
        let mut input = INPUTS[step.name].clone();
        if !["open-recovery", "start-by-hand", "start-recovery"].contains(&step.name) {
            let open = world.step::<open_recovery::OpenRecovery>();
            let opened = open.invoke(INPUTS["open-recovery"].clone()).await.unwrap();
            assert_eq!(opened["refused"], Value::Null);
            let mut ask = INPUTS["request-approval"].clone();
            ask["recovery"] = opened["recovery"].clone();
            if input.get("recovery").is_some() {
                input["recovery"] = opened["recovery"].clone();
            }
            if step.name == "record-approval" {
                let asking = world.step::<request_approval::RequestApproval>();
                assert_eq!(asking.invoke(ask).await.unwrap()["asked"], true);
                let mut said: Value = serde_json::from_str(input["body"].as_str().unwrap()).unwrap();
                said["recovery"] = opened["recovery"]["id"].clone();
                input["body"] = json!(said.to_string());
            }
        }
        if step.name == "start-recovery" {
            let now = world.cloud().now().strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string();
            input["event"]["detail"]["state"]["timestamp"] = json!(now);
        }
        let handler = (step.make)(&world.simulation.aws_in(step.name, RECOVERY));
        Self {
            world,
            step,
            handler,
            input,
        }
    }

    /// Everything that a refusal must leave as it was.
    async fn seen(&self) -> Value {
        let world = &self.world;
        let lock = world.record.lock(&world.plan.workload).await.unwrap();
        json!({
            "resources": world.cloud().snapshot(),
            "lock": format!("{lock:?}"),
            "executions": world.cloud().executions.arns(),
            "started": world.calls_to("StartExecution"),
            "answered": world.calls_to("SendTaskSuccess"),
        })
    }

    /// Gives the step an input, and looks at what comes of it. Says whether the input parses.
    async fn takes(&self, input: Value) -> Result<bool, TestCaseError> {
        let name = self.step.name;
        let (before, calls) = (self.seen().await, self.world.calls_of(name));
        let answer = self.handler.invoke(input.clone()).await;
        match answer {
            Err(error) => {
                prop_assert!(
                    error.kind != ErrorKind::Internal && !error.message.contains("panicked"),
                    "{} of {}: {}",
                    name,
                    input,
                    error
                );
                if is_not_taken(&error) {
                    prop_assert_eq!(self.world.calls_of(name), calls, "{} of {}", name, input);
                    self.assert_unchanged(&before, &format!("{name} of {input}: {error}"))
                        .await?;
                    return Ok(false);
                }
                if error.kind.is_retryable() {
                    // It is tried again, and goes on from what is done already.
                    self.settle().await;
                } else {
                    self.assert_unchanged(&before, &format!("{name} of {input}: {error}"))
                        .await?;
                }
            }
            Ok(answer) if self.step.called_by.contains(&Caller::Url) => {
                let status = answer["statusCode"].as_u64().unwrap_or_default();
                prop_assert!((200..600).contains(&status), "{} of {}: {}", name, input, answer);
                if status >= 300 {
                    self.assert_unchanged(&before, &format!("{name} of {input}: {answer}"))
                        .await?;
                } else if name == "start-by-hand" {
                    // What was started goes on beside the next input.
                    self.world.wait().await;
                }
            }
            Ok(answer) if answer["decision"]["decision"]["what"] == "refused" => {
                self.assert_unchanged(&before, &format!("{name} of {input}: {answer}"))
                    .await?;
            }
            Ok(_) if name == "open-recovery" => {
                // The next one may open again, whoever opened this one.
                let workload = &self.world.plan.workload;
                if let Some(lock) = self.world.record.lock(workload).await.unwrap() {
                    self.world.record.release_lock(workload, &lock.execution).await.unwrap();
                }
            }
            Ok(_) if self.seen().await != before => self.settle().await,
            Ok(_) => {}
        }
        Ok(true)
    }

    async fn assert_unchanged(&self, before: &Value, what: &str) -> Result<(), TestCaseError> {
        let now = self.seen().await;
        for (part, before) in before.as_object().unwrap() {
            prop_assert!(
                now[part] == *before,
                "{} changed {}: {} to {}",
                what,
                part,
                before,
                now[part]
            );
        }
        Ok(())
    }

    /// Waits until what was begun is done, so that the next case sees its own changes only.
    async fn settle(&self) {
        if !self.world.cloud().executions.arns().is_empty() {
            self.world.wait().await;
        }
        for _ in 0..30 {
            let before = self.world.cloud().snapshot();
            tokio::time::sleep(Duration::from_secs(61)).await;
            if self.world.cloud().snapshot() == before {
                return;
            }
        }
        panic!("{} has begun something that does not end", self.step.name);
    }
}

fn is_not_taken(error: &StepError) -> bool {
    error.kind == ErrorKind::InvalidInput && error.message.contains(NOT_TAKEN)
}

/// Does `test` for each step, each in a thread of its own.
fn for_each_step(test: impl Fn(DeployedStep) + Sync) {
    LazyLock::force(&INPUTS);
    std::thread::scope(|scope| {
        let tests: Vec<_> = STEPS
            .iter()
            .map(|step| (step.name, scope.spawn(|| test(*step))))
            .collect();
        let failed: Vec<_> = tests
            .into_iter()
            .filter_map(|(name, test)| test.join().is_err().then_some(name))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn there_is_an_input_of_every_step_and_it_is_taken() {
    let steps: BTreeSet<_> = STEPS.iter().map(|step| step.name).collect();
    assert_eq!(INPUTS.keys().copied().collect::<BTreeSet<_>>(), steps);
    for_each_step(|step| {
        common::in_virtual_time(async {
            let tested = Tested::new(step).await;
            let answer = tested.handler.invoke(tested.input.clone()).await;
            let refused = answer.as_ref().err().map(|error| error.message.as_str());
            let is_taken = refused.is_none_or(|why| OF_ANOTHER_WORLD.contains(&step.name) && !why.contains(NOT_TAKEN));
            assert!(is_taken, "{}: {answer:?}", step.name);
        });
    });
}

#[test]
fn any_json_is_refused_before_anything_is_done() {
    for_each_step(|step| {
        let time = Time::new();
        let tested = time.run(Tested::new(step));
        // What AWS sends is answered, or decided on, whatever it is.
        let answers_anything = step.called_by.contains(&Caller::Url) || step.name == "start-recovery";
        time.for_all(ANY, &any_json(&tested.input), |input| async {
            let said = input.to_string();
            // The schedule's input is nothing; a struct may be written as a list, too.
            let nothing = [json!({}), json!({ "event": null }), json!([]), json!([null])];
            let is_schedule = match step.name {
                "release-lock" => nothing.contains(&input),
                "watch-switch" => [json!({}), json!([])].contains(&input),
                "watch-fence" => {
                    let listed = matches!(input.as_array().map(Vec::as_slice), Some([Value::String(_)]));
                    let named = input
                        .as_object()
                        .is_some_and(|fields| fields.len() == 1 && input["workload"].is_string());
                    listed || named
                }
                _ => false,
            };
            let parses = tested.takes(input).await?;
            prop_assert!(
                !parses || answers_anything || is_schedule,
                "{} takes {}",
                step.name,
                said
            );
            Ok(())
        });
    });
}

#[test]
fn an_altered_input_is_taken_or_refused() {
    for_each_step(|step| {
        let time = Time::new();
        let tested = time.run(Tested::new(step));
        time.for_all(ALTERED, &altered(&tested.input), |input| async {
            tested.takes(input).await.map(drop)
        });
    });
}

/// An unknown field is a misunderstanding between the machine and the step.
#[test]
fn a_field_too_many_is_refused_wherever_it_is() {
    // What AWS or other steps write is passed on as it is.
    let passed_on = [
        ("start-recovery", "/event"),
        ("release-lock", "/event"),
        ("close-recovery", "/evidence"),
        ("close-recovery", "/scenario/evidence"),
        ("close-recovery", "/scenario/failure/error"),
        ("stop-scenario", "/error"),
    ];
    for_each_step(|step| {
        // AWS adds fields to what it hands over.
        if step.called_by.contains(&Caller::Url) {
            return;
        }
        common::in_virtual_time(async {
            let tested = Tested::new(step).await;
            let mut found = Vec::new();
            places(&tested.input, "", &mut found);
            let mut tried = 0;
            for place in found {
                let mut input = tested.input.clone();
                let is_passed_on = |(name, path): &(&str, &str)| *name == step.name && place.starts_with(path);
                let Some(Value::Object(fields)) = input.pointer_mut(&place) else {
                    continue;
                };
                if passed_on.iter().any(is_passed_on) {
                    continue;
                }
                fields.insert("unexpected".to_owned(), json!(1));
                tried += 1;
                match tested.handler.invoke(input).await {
                    Err(error) if is_not_taken(&error) => {}
                    other => panic!("{} with a field too many in '{place}': {other:?}", step.name),
                }
            }
            assert!(tried > 0 && tested.world.calls_of(step.name) == 0, "{}", step.name);
        });
    });
}

/// What comes over a function URL is always answered with a status, and what is no request is refused as that.
#[track_caller]
fn whatever_is_posted_is_answered_by(step: &str, is_understood: fn(&str) -> bool) {
    let step = *STEPS.iter().find(|known| known.name == step).unwrap();
    let time = Time::new();
    let tested = time.run(Tested::new(step));
    let said: Value = serde_json::from_str(tested.input["body"].as_str().unwrap()).unwrap();
    let body = prop_oneof![
        any::<String>(),
        any_json(&said).prop_map(|said| said.to_string()),
        altered(&said).prop_map(|said| said.to_string()),
    ];
    time.for_all(ALTERED, &body, |body| {
        let mut input = tested.input.clone();
        let is_understood = is_understood(&body);
        input["body"] = json!(body);
        let tested = &tested;
        async move {
            tested.takes(input.clone()).await?;
            let answer = tested.handler.invoke(input).await;
            let status = answer.as_ref().ok().and_then(|answer| answer["statusCode"].as_u64());
            prop_assert!(status.is_some(), "{}: {:?}", body, answer);
            // Not understood, or too long.
            let is_refused = matches!(status, Some(400 | 413));
            prop_assert!(is_understood || is_refused, "{}: {:?}", body, answer);
            Ok(())
        }
    });
}

#[test]
fn whatever_is_posted_as_an_answer_is_answered() {
    whatever_is_posted_is_answered_by("record-approval", |body| {
        has_only(body, &["recovery", "question", "answer", "reason"], |fields| {
            let answer = fields.get("answer").and_then(Value::as_str);
            matches!(answer, Some("approve" | "decline"))
        })
    });
}

#[test]
fn whatever_is_posted_to_start_a_recovery_is_answered() {
    whatever_is_posted_is_answered_by("start-by-hand", |body| {
        let known = ["id", "machine", "scenario", "wants", "always_ask", "drill", "take_over"];
        has_only(body, &known, |fields| {
            ["id", "machine", "scenario"]
                .iter()
                .all(|name| fields.get(*name).is_some_and(Value::is_string))
        })
    });
}

/// Whether a body says what a body must, and no more.
fn has_only(body: &str, known: &[&str], says: fn(&Map<String, Value>) -> bool) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_str(body) else {
        return false;
    };
    fields.keys().all(|name| known.contains(&name.as_str())) && says(&fields)
}

/// A recovery of a healthy service is refused where it can be opened at all.
#[test]
fn the_machine_started_with_anything_opens_nothing_and_locks_nothing() {
    let time = Time::new();
    let world = time.run(World::good_times(|_| {}));
    let valid = request("decide");
    let input = prop_oneof![any_json(&valid), altered(&valid)];
    let number = std::cell::Cell::new(0);
    time.for_all(STARTED, &input, |input| {
        number.set(number.get() + 1);
        let name = format!("any-{}", number.get());
        let world = &world;
        async move {
            let opened = world.headers().await.len();
            world.start(&name, input.clone());
            world.wait().await;
            let headers = world.headers().await;
            let status = world.simulation.ended().last().unwrap().result.status.clone();
            if headers.len() > opened {
                let closing = headers.last().unwrap().closing.as_ref();
                let outcome = closing.map(|closing| closing.outcome);
                prop_assert_eq!(outcome, Some(Outcome::Refused), "{}", input);
            } else {
                let ExecutionStatus::Failed { error, cause } = &status else {
                    return Err(TestCaseError::fail(format!("{input}: {status:?}")));
                };
                prop_assert_eq!(error, "RecoveryFailed", "{}", input);
                prop_assert!(cause.contains("not opened"), "{}: {}", input, cause);
            }
            prop_assert_eq!(world.cloud().snapshot(), world.before.clone(), "{}", input);
            prop_assert!(world.is_unlocked().await, "{}", input);
            Ok(())
        }
    });
}

/// A name or a text: one that is in `valid`, one that is hard to bear, or any.
fn word(valid: &Value) -> BoxedStrategy<String> {
    let mut words = vec![
        String::new(),
        "a#b".to_owned(),
        "x".repeat(300),
        "2026-01-06T03:00:00Z".to_owned(),
    ];
    words_of(valid, &mut words);
    prop_oneof![3 => select(words), 1 => any::<String>()].boxed()
}

/// Any JSON, more often than not with the words of `valid`.
fn any_json(valid: &Value) -> BoxedStrategy<Value> {
    let word = word(valid);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(word.clone(), inner, 0..6).prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
    .boxed()
}

/// Names and texts in `value`.
fn words_of(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            words.push(name.clone());
            words_of(value, words);
        }),
        Value::Array(items) => items.iter().for_each(|item| words_of(item, words)),
        Value::String(text) => words.push(text.clone()),
        _ => {}
    }
}

/// What is done to an input somewhere.
#[derive(Clone, Debug)]
enum Change {
    /// What is there is taken away.
    Remove,
    /// Something else is put in its place.
    Replace(Value),
    /// Something of the same type is put in its place: what parses goes further.
    Vary { text: String, number: u64 },
    /// A field is put beside it, or into it.
    Add(Value),
}

/// `valid` with one or two changes.
fn altered(valid: &Value) -> BoxedStrategy<Value> {
    let valid = valid.clone();
    let change = prop_oneof![
        2 => Just(Change::Remove),
        2 => any_json(&valid).prop_map(Change::Replace),
        4 => (word(&valid), prop_oneof![0..100_u64, any::<u64>()])
            .prop_map(|(text, number)| Change::Vary { text, number }),
        1 => any_json(&valid).prop_map(Change::Add),
    ];
    let changes = vec((any::<Index>(), change), 1..3);
    changes
        .prop_map(move |changes| {
            let mut input = valid.clone();
            for (place, change) in changes {
                let mut found = Vec::new();
                places(&input, "", &mut found);
                // The whole is another test's matter.
                found.remove(0);
                if !found.is_empty() {
                    alter(&mut input, place.get::<String>(&found), change);
                }
            }
            input
        })
        .boxed()
}

fn alter(input: &mut Value, path: &str, change: Change) {
    let here = input.pointer(path).cloned().unwrap_or_default();
    match change {
        Change::Remove => put(input, path, None),
        Change::Replace(value) => put(input, path, Some(value)),
        Change::Vary { text, number } => {
            let varied = match here {
                Value::Null | Value::String(_) => json!(text),
                Value::Bool(is_so) => json!(!is_so),
                Value::Number(_) => json!(number),
                Value::Array(mut items) => {
                    items.truncate(number as usize % 2);
                    items.into()
                }
                Value::Object(_) => json!({}),
            };
            put(input, path, Some(varied));
        }
        Change::Add(value) => {
            let object = if here.is_object() {
                path
            } else {
                path.rsplit_once('/').map_or("", |(parent, _)| parent)
            };
            put(input, &format!("{object}/unexpected"), Some(value));
        }
    }
}

/// Every place in `value`, the whole first.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| places(value, &format!("{path}/{}", escaped(name)), found)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(i, value)| places(value, &format!("{path}/{i}"), found));
        }
        _ => {}
    }
}

/// A name as a JSON pointer has it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Puts `value` at `path`, or takes away what is there; in a list null takes its place.
fn put(input: &mut Value, path: &str, value: Option<Value>) {
    let Some((parent, name)) = path.rsplit_once('/') else {
        *input = value.unwrap_or_default();
        return;
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    match (input.pointer_mut(parent), value) {
        (Some(Value::Object(fields)), Some(value)) => drop(fields.insert(name, value)),
        (Some(Value::Object(fields)), None) => drop(fields.remove(&name)),
        (Some(Value::Array(items)), value) => {
            if let Some(item) = name.parse().ok().and_then(|i: usize| items.get_mut(i)) {
                *item = value.unwrap_or_default();
            }
        }
        _ => {}
    }
}
