//! What EventBridge delivers: executions that start, and asynchronous invocations.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use shared::arn::Arn;
use tokio::sync::mpsc::UnboundedReceiver;

use super::deployed::region_and_name;
use super::functions::{Invoker, invoke};
use super::running::{Inner, InvokedBy};
use crate::aws::events::Delivery;

/// How long Lambda waits before it invokes a function again that failed when it was invoked asynchronously. Source:
/// Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".
const TRIED_AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// Hands what EventBridge delivers to its targets, for ever.
pub(super) async fn deliver(inner: Rc<Inner>, mut deliveries: UnboundedReceiver<Delivery>) {
    while let Some(delivery) = deliveries.recv().await {
        let Delivery {
            region,
            target_arn,
            input,
            source,
        } = delivery;
        let cloud = &inner.cloud;
        inner.note_invocation(caller(&source), how(&target_arn), &target_arn);
        let why = if target_arn.contains(":stateMachine:") {
            let started = cloud
                .executions
                .start(cloud, &region, &target_arn, None, &input.to_string());
            started.err().map(|refusal| refusal.to_string())
        } else if let Some((region, name)) = region_and_name(&target_arn).filter(|(r, n)| inner.functions.has(r, n)) {
            let (inner, region, name) = (Rc::clone(&inner), region.to_owned(), name.to_owned());
            tokio::task::spawn_local(
                async move { invoke_asynchronously(&inner, &region, &name, input, &source).await },
            );
            continue;
        } else {
            Some("there is no such function".to_owned())
        };
        if let Some(why) = why {
            cloud
                .events
                .fail(format!("{source} could not call {target_arn}: {why}"));
        }
    }
}

/// A rule or a schedule, by its ARN.
fn caller(source: &str) -> InvokedBy {
    match Arn::read(source).is_some_and(|source| source.service == "scheduler") {
        true => InvokedBy::Schedule(source.to_owned()),
        false => InvokedBy::Rule(source.to_owned()),
    }
}

/// How a target is called.
fn how(target_arn: &str) -> &'static str {
    match Arn::read(target_arn).is_some_and(|target| target.service == "states") {
        true => "states:startExecution",
        false => "lambda:invoke",
    }
}

/// Invokes a function as Lambda does when nobody waits for the answer.
async fn invoke_asynchronously(inner: &Rc<Inner>, region: &str, name: &str, input: Value, source: &str) {
    let mut waits = TRIED_AGAIN_AFTER.iter();
    while let Err(failure) = invoke(inner, Invoker::Other, region, name, input.clone()).await {
        let Some(wait) = waits.next() else {
            let tries = 1 + TRIED_AGAIN_AFTER.len();
            let why = format!("{source} called {name} in {region}, which failed {tries} times: {failure}");
            inner.cloud.events.fail(why);
            return;
        };
        tokio::time::sleep(*wait).await;
    }
}
