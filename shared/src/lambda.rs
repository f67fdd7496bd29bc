//! A step as a Lambda function.

pub use lambda_runtime::Error;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::aws::{Aws, Endpoints};
use crate::step::{Step, handler};

/// Serves step `S` as a Lambda function until the environment ends. The table of records is named by the variable
/// `RECORD_TABLE`. Errors: the Runtime API cannot be reached, or the variable is missing.
pub fn serve<S: Step>() -> Result<(), Error> {
    // Lambda adds the time.
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .without_time();
    tracing_subscriber::registry().with(log_filter()).with(lines).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let table = environment("RECORD_TABLE")?;
        let endpoints = Endpoints {
            variable: |name| environment(name).ok(),
        };
        let handler = handler::<S>(&Aws::in_lambda(environment("AWS_REGION")?, endpoints, table));
        let handler = handler.as_ref();
        lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
            handler.invoke(event.payload)
        }))
        .await
    })
}

/// The level is that of the variable `LOG_LEVEL`, `info` without it; a build for Lambda has nothing below `info` in it. The
/// runtime's own logging stays at `info`: below, it writes whole events, and so whatever is in them. Of an invocation that
/// failed the step has its own line; the runtime's second one, without the step and the recovery, is left out.
fn log_filter() -> Targets {
    let level = environment("LOG_LEVEL").ok().and_then(|level| level.parse().ok());
    let level = level.unwrap_or(LevelFilter::INFO);
    Targets::new()
        .with_default(level)
        .with_target("lambda_runtime", level.min(LevelFilter::INFO))
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Result<String, Error> {
    std::env::var(name)
        .map_err(|_| format!("the environment variable {name} is not set; Lambda or the template sets it").into())
}
