//! The deployed functions: their instances, their invocations, and what a test does to them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use serde_json::{Value, json};
use shared::arn::Arn;
use shared::aws::Aws;
use shared::error::StepError;
use shared::step::Handler;
use states_language::TaskFailure;

use super::{Inner, MakeHandler, Wrap, function_arn, in_region};
use crate::aws::states::uuid;
use crate::cloud::Cloud;
use crate::faults::{End, FaultId};

/// A Region, and a function's name in it.
type Key = (String, String);

/// The functions of all Regions.
pub(super) struct Functions {
    makers: BTreeMap<Key, MakeHandler>,
    /// Makes the handlers in the place of their makers.
    wrap: RefCell<Option<Wrap>>,
    warm: RefCell<BTreeMap<Key, Rc<dyn Handler>>>,
    treatment: RefCell<BTreeMap<Key, Treatment>>,
}

/// What a test does to a function.
#[derive(Clone, Default)]
pub(super) struct Treatment {
    /// With what each invocation fails at once.
    pub broken: Option<TaskFailure>,
    /// What kills each invocation, or did before it was lifted.
    pub killed_by: Option<FaultId>,
}

/// Who invokes a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Invoker {
    /// A state machine.
    Machine,
    /// EventBridge, a schedule, or somebody through the function's URL.
    Other,
}

impl Functions {
    pub fn new(makers: BTreeMap<Key, MakeHandler>) -> Self {
        Self {
            makers,
            wrap: RefCell::default(),
            warm: RefCell::default(),
            treatment: RefCell::default(),
        }
    }

    /// From the next cold start on, `wrap` makes the handlers.
    pub fn wrap(&self, wrap: Wrap) {
        self.warm.borrow_mut().clear();
        *self.wrap.borrow_mut() = Some(wrap);
    }

    fn made(&self, name: &str, make: MakeHandler, aws: &Aws) -> Rc<dyn Handler> {
        match &*self.wrap.borrow() {
            Some(wrap) => Rc::from(wrap(name, make, aws)),
            None => Rc::from(make(aws)),
        }
    }

    /// Whether a function is deployed in a Region.
    pub fn has(&self, region: &str, name: &str) -> bool {
        self.makers.contains_key(&key(region, name))
    }

    /// The functions that are deployed in a Region.
    pub fn names_in<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a str> {
        let deployed = self.makers.keys().filter(move |(deployed_in, _)| deployed_in == region);
        deployed.map(|(_, name)| name.as_str())
    }

    /// Whether a function is deployed in any Region.
    pub fn has_name(&self, name: &str) -> bool {
        self.makers.keys().any(|(_, deployed)| deployed == name)
    }

    pub fn treatment(&self, region: &str, name: &str) -> Treatment {
        let treatment = self.treatment.borrow();
        treatment.get(&key(region, name)).cloned().unwrap_or_default()
    }

    pub fn change(&self, region: &str, name: &str, change: impl FnOnce(&mut Treatment)) -> Result<(), String> {
        if !self.has(region, name) {
            return Err(format!("there is no function {name} in {region}"));
        }
        change(self.treatment.borrow_mut().entry(key(region, name)).or_default());
        Ok(())
    }
}

fn key(region: &str, name: &str) -> Key {
    (region.to_owned(), name.to_owned())
}

/// Region and name in a function's ARN, with a version or without.
pub(super) fn region_and_name(arn: &str) -> Option<(&str, &str)> {
    let arn = Arn::read(arn)?;
    Some((arn.region, arn.name_of("lambda", "function")?))
}

/// Invokes a function; gives its answer, or the error that Step Functions sees. The function goes on when whoever
/// invoked it does not wait any more. In a Region that is away nothing starts, and what runs stands still.
pub(super) async fn invoke(
    inner: &Rc<Inner>,
    invoker: Invoker,
    region: &str,
    name: &str,
    input: Value,
) -> Result<Value, TaskFailure> {
    let invocation = {
        let (inner, region, name) = (Rc::clone(inner), region.to_owned(), name.to_owned());
        async move {
            let invocation = inner.run_function(invoker, &region, &name, input);
            in_region(&inner.cloud, &region, invocation).await
        }
    };
    // What cannot be joined has panicked.
    let joined = tokio::task::spawn_local(invocation).await;
    joined.unwrap_or_else(|_| Err(process_exited(&inner.cloud)))
}

impl Inner {
    async fn run_function(
        &self,
        invoker: Invoker,
        region: &str,
        name: &str,
        input: Value,
    ) -> Result<Value, TaskFailure> {
        let key = key(region, name);
        let Some(make) = self.functions.makers.get(&key) else {
            let cause = format!(
                "Function not found: {}",
                function_arn(&self.cloud.account, region, name)
            );
            return Err(TaskFailure::new("Lambda.ResourceNotFoundException", cause));
        };
        if let Some(failure) = self.functions.treatment(region, name).broken {
            return Err(failure);
        }
        let cloud = &self.cloud;
        let doom = cloud
            .faults
            .doom(&cloud.chance, region, name, invoker == Invoker::Machine);
        let timings = &cloud.timings;
        let mut starts_in = self.cloud.draw("function-start", &timings.function_start);
        let warm = self.functions.warm.borrow().get(&key).cloned();
        let handler = match warm {
            Some(handler) => handler,
            None => {
                starts_in += self.cloud.draw("function-start", &timings.function_cold_start);
                let handler: Rc<dyn Handler> = self.functions.made(name, *make, &self.aws_in(name, region));
                self.functions
                    .warm
                    .borrow_mut()
                    .insert(key.clone(), Rc::clone(&handler));
                handler
            }
        };
        tokio::time::sleep(starts_in).await;
        let began = tokio::time::Instant::now();
        let outcome = match doom {
            None => Ok(handler.invoke(input).await),
            Some(doom) => {
                let answer = killed_after(cloud, name, doom.after_calls, handler.invoke(input)).await;
                cloud.faults.ended(&doom, answer.is_none());
                if answer.is_none()
                    && let End::TimedOut(limit) = doom.end
                {
                    tokio::time::sleep_until(began + limit).await;
                }
                answer.ok_or(doom.end)
            }
        };
        {
            let mut usage = self.usage.borrow_mut();
            usage.invocations += 1;
            usage.function_seconds += began.elapsed().as_secs_f64();
        }
        outcome
            .map_err(|end| {
                // Its sandbox is gone with it.
                self.functions.warm.borrow_mut().remove(&key);
                ended_early(cloud, end)
            })?
            .map_err(|error| step_failure(&error))
    }
}

/// Does `invocation` until it has itself made `calls` AWS calls; gives nothing if it was dropped then. The calls are
/// counted each time that it has moved, and a call is counted when it has reached AWS and its answer is on the way.
async fn killed_after<T>(cloud: &Cloud, function: &str, calls: u64, invocation: impl Future<Output = T>) -> Option<T> {
    let mut invocation = pin!(invocation);
    let mut made = 0;
    poll_fn(|context| {
        // Nothing else moves meanwhile, so what is counted now is this invocation's.
        let before = cloud.calls_of(function);
        let moved = invocation.as_mut().poll(context);
        made += cloud.calls_of(function) - before;
        match moved {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if made >= calls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// How Lambda hands an error of ours to Step Functions.
fn step_failure(error: &StepError) -> TaskFailure {
    let cause = json!({ "errorType": error.kind.name(), "errorMessage": error.message });
    TaskFailure::new(error.kind.name(), cause.to_string())
}

/// What Step Functions makes of an invocation that has not lived to its end.
fn ended_early(cloud: &Cloud, end: End) -> TaskFailure {
    let (error, why) = match end {
        End::ProcessExited => return process_exited(cloud),
        End::TimedOut(limit) => {
            let why = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
            ("Sandbox.Timedout", why)
        }
        End::Killed => {
            let why = "Runtime exited with error: signal: killed".to_owned();
            ("Runtime.ExitError", why)
        }
    };
    // Lambda gives these errors a type, which Step Functions takes for the name, and the whole for the cause.
    let message = format!("RequestId: {} Error: {why}", uuid(cloud));
    let cause = json!({ "errorType": error, "errorMessage": message });
    TaskFailure::new(error, cause.to_string())
}

/// What Step Functions makes of a function whose process has gone.
fn process_exited(cloud: &Cloud) -> TaskFailure {
    let message = format!("RequestId: {} Process exited before completing request", uuid(cloud));
    let cause = format!(
        "The cause could not be determined because Lambda did not return an error type. Returned payload: {}",
        json!({ "errorMessage": message })
    );
    TaskFailure::new("Lambda.Unknown", cause)
}
