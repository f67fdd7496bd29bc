//! The executions that run, and what their Tasks ask for.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::arn;
use states_language::{
    AbortHandle, Execution, ExecutionIdentity, ExecutionResult, ExecutionStatus, HistoryEvent, Host, ListCall,
    ListedObject, ObjectCall, ObjectReader, ObjectWriter, StateMachine, TaskCall, TaskFailure, names,
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::deployed::region_and_name;
use super::functions::{Invoker, invoke};
use super::running::{EndedExecution, Inner, InvokedBy, in_region};
use crate::aws::s3;
use crate::aws::states::{ExecutionRecord, Order, Refusal, uuid, uuid_of};
use crate::aws::wire::http_date;
use crate::cloud::Cloud;
use crate::faults::CallEffect;

/// The longest cause of a Task that waited for an execution, in characters (API Reference, `TaskFailedEventDetails`). What
/// Step Functions does with a longer one is not documented: assumed is that it is cut off.
const CAUSE_LIMIT: usize = 32_768;

/// What the `Resource` of a Task that calls a service begins with.
const INTEGRATIONS: &str = "arn:aws:states:::";

/// Runs and stops executions as Step Functions' control plane orders, for ever.
pub(super) async fn follow_orders(inner: Rc<Inner>, mut orders: UnboundedReceiver<Order>) {
    let mut running: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let mut definitions: BTreeMap<String, Arc<StateMachine>> = BTreeMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Run {
                arn,
                machine,
                execution,
                input,
            } => {
                definitions.insert(arn.clone(), Arc::clone(&machine));
                let handle = run(&inner, arn.clone(), machine, *execution, input, None);
                running.insert(arn, handle);
            }
            Order::Redrive { arn, execution } => {
                let before = inner.last_end(&arn);
                let Some((machine, before)) = definitions.get(&arn).cloned().zip(before) else {
                    continue;
                };
                let input = serde_json::from_str(&execution.input).unwrap_or_default();
                let handle = run(&inner, arn.clone(), machine, *execution, input, Some(before));
                running.insert(arn, handle);
            }
            Order::Stop { arn, error, cause } => {
                if let Some(handle) = running.remove(&arn) {
                    handle.stop(&error, &cause);
                }
            }
        }
    }
}

fn run(
    inner: &Rc<Inner>,
    arn: String,
    machine: Arc<StateMachine>,
    execution: ExecutionRecord,
    input: Value,
    before: Option<ExecutionResult>,
) -> AbortHandle {
    let ExecutionRecord {
        state_machine_arn,
        name,
        started_at,
        ..
    } = execution;
    let machine_name = arn::name(&state_machine_arn).to_owned();
    let identity = ExecutionIdentity {
        arn: arn.clone(),
        name,
        role_arn: format!("arn:aws:iam::{}:role/{machine_name}", inner.cloud.account),
        state_machine_arn,
        state_machine_name: machine_name,
        start_time: started_at,
    };
    let region = arn::region(&arn).to_owned();
    let tokens = inner.cloud.executions.tokens(&region);
    let host = Rc::new(StepFunctions(Rc::clone(inner)));
    let mut execution = Execution::new(machine, input, identity, host, tokens);
    if let Some(before) = before
        && let Some(unfinished) = before.unfinished
    {
        execution = execution.redriven(unfinished, before.history);
    }
    let handle = execution.abort_handle();
    let inner = Rc::clone(inner);
    tokio::task::spawn_local(async move {
        let result = in_region(&inner.cloud, &region, execution.run()).await;
        let ended_at = inner.cloud.now();
        let map_runs = result.map_runs.iter().map(|run| (run.arn.clone(), false)).collect();
        inner.cloud.executions.put_map_runs(&arn, map_runs);
        inner.cloud.executions.end(&inner.cloud, &arn, &result.status);
        inner.ended.borrow_mut().push(EndedExecution {
            arn,
            started_at,
            ended_at,
            result,
        });
    });
    handle
}

/// ARN of the machine of an execution, or of a distributed Map's child, whose ARN has the Map's label after the machine.
fn machine_of(execution_arn: &str) -> String {
    let machine = arn::machine(execution_arn).unwrap_or_default();
    machine.split('/').next().unwrap_or_default().to_owned()
}

/// What Step Functions does for the executions that it runs.
struct StepFunctions(Rc<Inner>);

impl StepFunctions {
    /// Keeps that the machine of a Task asks for something.
    fn note(&self, call: &TaskCall, target_arn: &str) {
        let how = call.resource.strip_prefix(INTEGRATIONS).unwrap_or_default();
        let how = how.strip_suffix(".waitForTaskToken").unwrap_or(how);
        let machine = InvokedBy::Machine(machine_of(&call.execution_arn));
        self.0.note_invocation(machine, how, target_arn);
    }

    async fn invoke(&self, call: &TaskCall) -> Result<Value, TaskFailure> {
        check_arguments(call, &["FunctionName", "Payload"])?;
        let function = text(call, "FunctionName").unwrap_or_default();
        self.note(call, function);
        let here = arn::region(&call.execution_arn);
        let Some((region, name)) = region_and_name(function) else {
            return Err(not_simulated(call, "a function that is not given by its ARN"));
        };
        if region != here {
            let cause = format!("Functions from '{region}' are not reachable in this region ('{here}')");
            return Err(TaskFailure::new("Lambda.ResourceNotFoundException", cause));
        }
        self.0.invoked_by_machines.borrow_mut().insert(name.to_owned());
        let payload = call.arguments.get("Payload").cloned().unwrap_or_default();
        let answer = invoke(&self.0, Invoker::Machine, region, name, payload).await?;
        Ok(with_metadata(&self.0.cloud, answer))
    }

    /// Asks S3 for something that a distributed Map needs, in the Region of its execution, which it gives. For a listing
    /// there is no key.
    fn storage(&self, execution_arn: &str, operation: &str, bucket: &str, key: &str) -> Result<String, TaskFailure> {
        let cloud = &self.0.cloud;
        let machine = machine_of(execution_arn);
        let region = arn::region(execution_arn);
        let effect = cloud
            .faults
            .touch_task(cloud.now(), &cloud.chance, region, arn::name(&machine), "s3", operation);
        let how = format!("s3:{}{}", operation[..1].to_lowercase(), &operation[1..]);
        let target = match key {
            "" => format!("arn:aws:s3:::{bucket}"),
            key => format!("arn:aws:s3:::{bucket}/{key}"),
        };
        self.0.note_invocation(InvokedBy::Machine(machine), &how, &target);
        match effect {
            None => Ok(region.to_owned()),
            Some(CallEffect::Throttled) => Err(TaskFailure::new(
                "S3.SlowDownException",
                "Please reduce your request rate.",
            )),
            Some(CallEffect::Denied) => Err(TaskFailure::new("S3.AccessDeniedException", "Access Denied")),
            Some(CallEffect::ServerError | CallEffect::NoAnswer | CallEffect::LostReply) => {
                let cause = "We encountered an internal error. Please try again.";
                Err(TaskFailure::new("S3.InternalErrorException", cause))
            }
        }
    }

    /// Starts an execution in the Region of the one that asks; gives its ARN and when it started.
    fn start(&self, call: &TaskCall) -> Result<(String, Timestamp), TaskFailure> {
        check_arguments(call, &["StateMachineArn", "Name", "Input"])?;
        let input = match call.arguments.get("Input") {
            None => "{}".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(input) => input.to_string(),
        };
        let cloud = &self.0.cloud;
        let machine = text(call, "StateMachineArn").unwrap_or_default();
        self.note(call, machine);
        let region = arn::region(&call.execution_arn);
        let starts = machine_of(&call.execution_arn);
        let effect = cloud.faults.touch_task(
            cloud.now(),
            &cloud.chance,
            region,
            arn::name(&starts),
            "states",
            "StartExecution",
        );
        match effect {
            Some(CallEffect::Throttled) => return Err(refused("ThrottlingException", "Rate exceeded")),
            Some(CallEffect::Denied) => return Err(refused("AccessDeniedException", "not authorized")),
            Some(CallEffect::ServerError | CallEffect::NoAnswer) => {
                return Err(refused("InternalFailureException", "The request processing has failed"));
            }
            Some(CallEffect::LostReply) | None => {}
        }
        let started = cloud
            .executions
            .start(cloud, region, machine, text(call, "Name"), &input)
            .map_err(|refusal| task_failure(&refusal))?;
        if effect == Some(CallEffect::LostReply) {
            return Err(refused(
                "SdkClientException",
                "Unable to execute HTTP request: Read timed out",
            ));
        }
        Ok(started)
    }

    /// Starts an execution and waits for its end; `parsed` tells whether its input and output are given as JSON or as
    /// text. If nobody waits any more it is stopped.
    async fn start_and_wait(&self, call: &TaskCall, parsed: bool) -> Result<Value, TaskFailure> {
        let (arn, started_at) = self.start(call)?;
        call.submission.submitted(start_answer(&arn, started_at));
        let cloud = &self.0.cloud;
        let waited_for = WaitedFor { cloud, arn: &arn };
        let child = cloud.executions.ended(&arn).await;
        tokio::time::sleep(cloud.draw("nested-execution-end", &cloud.timings.nested_execution_end)).await;
        drop(waited_for);
        let child = child.ok_or_else(|| TaskFailure::new(names::RUNTIME, format!("{arn} is gone")))?;
        let description = description(&arn, &child, parsed, cloud.now());
        if child.status == "SUCCEEDED" {
            Ok(description)
        } else {
            let cause: String = description.to_string().chars().take(CAUSE_LIMIT).collect();
            Err(TaskFailure::new(names::TASK_FAILED, cause))
        }
    }
}

/// How much of an object is read at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// An object that is read piece by piece.
struct InChunks(Bytes);

impl ObjectReader for InChunks {
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>, TaskFailure>> {
        let chunk = self.0.split_to(self.0.len().min(CHUNK_BYTES));
        Box::pin(async move { Ok((!chunk.is_empty()).then(|| chunk.to_vec())) })
    }
}

/// An object that is written piece by piece: S3 has it when it is complete.
struct Writing {
    inner: Rc<Inner>,
    region: String,
    call: ObjectCall,
    body: Vec<u8>,
}

impl ObjectWriter for Writing {
    fn write(&mut self, chunk: Vec<u8>) -> LocalBoxFuture<'_, Result<(), TaskFailure>> {
        self.body.extend(chunk);
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), TaskFailure>> {
        let Self {
            inner,
            region,
            call,
            body,
        } = *self;
        let cloud = &inner.cloud;
        let written = cloud
            .s3
            .write(cloud, &region, &call.bucket, &call.key, "application/json", body);
        let written = written.map_err(|refusal| s3_failure(&refusal));
        Box::pin(async { written })
    }
}

/// How a Map sees an error of S3.
fn s3_failure(refusal: &s3::Refusal) -> TaskFailure {
    let s3::Refusal {
        status, code, message, ..
    } = refusal;
    let cause = format!("{message} (Service: S3, Status Code: {status}, Request ID: simulated)");
    TaskFailure::new(format!("S3.{code}Exception"), cause)
}

/// What `lambda:invoke` gives besides the function's answer, as the SDK for Java that Step Functions uses tells of HTTP.
fn with_metadata(cloud: &Cloud, answer: Value) -> Value {
    let request_id = uuid_of(cloud, "lambda-request");
    let now = cloud.now();
    let trace = request_id.replace('-', "");
    let headers = [
        ("Connection", "keep-alive".to_owned()),
        ("Content-Length", answer.to_string().len().to_string()),
        ("Content-Type", "application/json".to_owned()),
        ("Date", http_date(now)),
        ("X-Amz-Executed-Version", "1".to_owned()),
        (
            "X-Amzn-Trace-Id",
            format!("Root=1-{:08x}-{};Sampled=0", now.as_second(), &trace[..24]),
        ),
        ("x-amzn-Remapped-Content-Length", "0".to_owned()),
        ("x-amzn-RequestId", request_id.clone()),
    ];
    let all: BTreeMap<&str, [&String; 1]> = headers.iter().map(|(name, value)| (*name, [value])).collect();
    let each: BTreeMap<&str, &String> = headers.iter().map(|(name, value)| (*name, value)).collect();
    json!({
        "ExecutedVersion": "1",
        "Payload": answer,
        "SdkHttpMetadata": { "AllHttpHeaders": all, "HttpHeaders": each, "HttpStatusCode": 200 },
        "SdkResponseMetadata": { "RequestId": request_id },
        "StatusCode": 200,
    })
}

/// An execution that another one waits for. Step Functions stops it when that one does not wait any more ("best
/// effort", Developer Guide, "Run a Job"); one that has ended stays as it is.
struct WaitedFor<'a> {
    cloud: &'a Arc<Cloud>,
    arn: &'a str,
}

impl Drop for WaitedFor<'_> {
    fn drop(&mut self) {
        if !self.cloud.faults.keeps_children() {
            self.cloud.executions.stop(self.cloud, self.arn, "", "");
        }
    }
}

/// The answer of `StartExecution`, in Pascal case, times in milliseconds.
fn start_answer(arn: &str, started_at: Timestamp) -> Value {
    json!({ "ExecutionArn": arn, "StartDate": started_at.as_millisecond() })
}

/// What a Task with `.sync` gets: the answer of `DescribeExecution`, in Pascal case, times in milliseconds.
fn description(arn: &str, execution: &ExecutionRecord, parsed: bool, now: Timestamp) -> Value {
    let json_text = |text: &str| match serde_json::from_str(text) {
        Ok(value) if parsed => value,
        _ => Value::from(text),
    };
    let redrive_status = execution.redrive_status(now);
    let mut fields = json!({
        "ExecutionArn": arn,
        "Input": json_text(&execution.input),
        "InputDetails": { "Included": true },
        "Name": execution.name,
        "RedriveCount": execution.redrives,
        "RedriveStatus": redrive_status.name(),
        "StartDate": execution.started_at.as_millisecond(),
        "StateMachineArn": execution.state_machine_arn,
        "Status": execution.status,
    });
    if let Some(reason) = redrive_status.reason() {
        fields["RedriveStatusReason"] = reason.into();
    }
    if let Some(at) = execution.redriven_at {
        fields["RedriveDate"] = at.as_millisecond().into();
    }
    if let Some(at) = execution.stopped_at {
        fields["StopDate"] = at.as_millisecond().into();
    }
    if let Some(output) = &execution.output {
        fields["Output"] = json_text(output);
        fields["OutputDetails"] = json!({ "Included": true });
    }
    for (name, value) in [("Error", &execution.error), ("Cause", &execution.cause)] {
        if let Some(value) = value {
            fields[name] = value.as_str().into();
        }
    }
    fields
}

fn text<'a>(call: &'a TaskCall, name: &str) -> Option<&'a str> {
    call.arguments.get(name).and_then(Value::as_str)
}

fn check_arguments(call: &TaskCall, known: &[&str]) -> Result<(), TaskFailure> {
    let given = call.arguments.as_object();
    let unknown = given.and_then(|given| given.keys().find(|name| !known.contains(&name.as_str())));
    unknown.map_or(Ok(()), |name| Err(not_simulated(call, name)))
}

fn not_simulated(call: &TaskCall, what: &str) -> TaskFailure {
    let cause = format!("the simulator does not know {what} for {}", call.resource);
    TaskFailure::new(names::RUNTIME, cause)
}

fn refused(code: &'static str, message: &str) -> TaskFailure {
    task_failure(&Refusal {
        code,
        message: message.to_owned(),
    })
}

/// How a Task sees an error of Step Functions' own API.
fn task_failure(Refusal { code, message }: &Refusal) -> TaskFailure {
    let name = code.strip_suffix("Exception").unwrap_or(code);
    TaskFailure::new(
        format!("StepFunctions.{name}Exception"),
        format!(
            "{message} (Service: AWSStepFunctions; Status Code: 400; Error Code: {code}; Request ID: simulated; Proxy: null)"
        ),
    )
}

impl Host for StepFunctions {
    fn now(&self) -> Timestamp {
        self.0.cloud.now()
    }

    fn random(&self) -> f64 {
        self.0.cloud.chance("step-functions", |rng| rng.f64())
    }

    fn uuid(&self) -> String {
        uuid(&self.0.cloud)
    }

    fn task(&self, call: TaskCall) -> LocalBoxFuture<'_, Result<Value, TaskFailure>> {
        Box::pin(async move {
            match call.resource.strip_prefix(INTEGRATIONS).unwrap_or_default() {
                "lambda:invoke" | "lambda:invoke.waitForTaskToken" => self.invoke(&call).await,
                "states:startExecution" => self
                    .start(&call)
                    .map(|(arn, started_at)| start_answer(&arn, started_at)),
                "states:startExecution.sync" => self.start_and_wait(&call, false).await,
                "states:startExecution.sync:2" => self.start_and_wait(&call, true).await,
                _ => {
                    let why = format!("the simulator has no integration {}", call.resource);
                    Err(TaskFailure::new(names::RUNTIME, why))
                }
            }
        })
    }

    fn get_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectReader>, TaskFailure>> {
        let read = self.storage(&call.execution_arn, "GetObject", &call.bucket, &call.key);
        let body = read.and_then(|region| {
            let s3 = &self.0.cloud.s3;
            let read = s3.read(&region, &call.bucket, &call.key, call.version_id.as_deref());
            read.map_err(|refusal| s3_failure(&refusal))
        });
        Box::pin(async { Ok(Box::new(InChunks(body?)) as Box<dyn ObjectReader>) })
    }

    fn list_objects(&self, call: ListCall) -> LocalBoxFuture<'_, Result<Vec<ListedObject>, TaskFailure>> {
        let listed = self.storage(&call.execution_arn, "ListObjectsV2", &call.bucket, "");
        let listed = listed.and_then(|region| {
            let s3 = &self.0.cloud.s3;
            let listed = s3.list(&region, &call.bucket, &call.prefix, call.after.as_deref());
            listed.map_err(|refusal| s3_failure(&refusal))
        });
        let listed = listed.map(|page| {
            let each = page.into_iter().map(|listed| ListedObject {
                etag: listed.etag,
                key: listed.key,
                last_modified: listed.last_modified,
                size: listed.size as u64,
                storage_class: "STANDARD".to_owned(),
            });
            each.collect()
        });
        Box::pin(async { listed })
    }

    fn put_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectWriter>, TaskFailure>> {
        let region = self.storage(&call.execution_arn, "PutObject", &call.bucket, &call.key);
        let region = region.and_then(|region| {
            let found = self.0.cloud.s3.find(&region, &call.bucket);
            found.map(|()| region).map_err(|refusal| s3_failure(&refusal))
        });
        let inner = Rc::clone(&self.0);
        Box::pin(async {
            let region = region?;
            let writing = Writing {
                inner,
                region,
                call,
                body: Vec::new(),
            };
            Ok(Box::new(writing) as Box<dyn ObjectWriter>)
        })
    }

    fn observe(&self, event: &HistoryEvent) {
        (self.0.observer)(event);
    }

    fn ends_at(&self, execution_arn: &str, state_name: &str) -> Option<ExecutionStatus> {
        let machine = machine_of(execution_arn);
        self.0.cloud.faults.end_at(arn::name(&machine), state_name)
    }
}
