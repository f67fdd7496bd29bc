//! A step as a Lambda function.

pub use lambda_runtime::Error;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::aws::Aws;
use crate::step::{Step, handler};

/// Serves step `S` as a Lambda function until the environment ends. The table of records is named by the variable
/// `RECORD_TABLE`. Errors: the Runtime API cannot be reached, or the variable is missing.
pub fn serve<S: Step>() -> Result<(), Error> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(log_filter())
        .without_time() // Lambda adds it
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let table = environment("RECORD_TABLE")?;
        let handler = handler::<S>(&Aws::from_environment(table).await);
        let handler = handler.as_ref();
        lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
            handler.invoke(event.payload)
        }))
        .await
    })
}

/// The level is that of the variable `LOG_LEVEL`, `info` without it. The runtime's own logging stays at `info`: below, it
/// writes whole events, and so whatever is in them.
fn log_filter() -> EnvFilter {
    let filter = EnvFilter::try_from_env("LOG_LEVEL").unwrap_or_else(|_| EnvFilter::new("info"));
    match "lambda_runtime=info".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => EnvFilter::new("info"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| format!("the environment variable {name} is not set; the template sets it").into())
}
