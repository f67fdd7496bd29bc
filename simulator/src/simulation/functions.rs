//! Invocations of the deployed functions.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use serde_json::{Value, json};
use shared::error::StepError;
use shared::step::Handler;
use states_language::TaskFailure;

use super::deployed::{function_arn, key};
use super::running::{Inner, in_region};
use crate::aws::states::uuid;
use crate::cloud::Cloud;
use crate::faults::End;

/// Who invokes a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Invoker {
    /// A state machine.
    Machine,
    /// EventBridge, a schedule, or somebody through the function's URL.
    Other,
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
        if !cloud.lambda.lets_in(region, self.functions.reserving.contains(region)) {
            return Err(TaskFailure::new("Lambda.TooManyRequestsException", "Rate Exceeded."));
        }
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
