//! What is tried and not more: a Region that is away must not hold a recovery up.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::StepError;

/// Does something within that time. Why it could not is logged: "could not", and `what`.
pub async fn tried(what: &str, within: Duration, doing: impl Future<Output = Result<(), StepError>>) {
    match timeout(within, doing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = %error, "could not {what}"),
        Err(_) => tracing::warn!("could not {what}: no answer within {within:?}"),
    }
}
