//! Calls to one service of a Region, no faster than it takes them.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::StreamExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::error::{ErrorKind, StepError};

/// Time between calls to Lambda. Source: Lambda quotas: the control plane takes 15 requests a second, all together.
pub(crate) const LAMBDA_PACE: Duration = Duration::from_millis(70);
/// How many calls are under way at once, so that the pace is kept also where each takes half a second.
const AT_ONCE: usize = 8;

/// Runs these side by side, a few at once, and gives their answers in their order.
pub async fn side_by_side<T>(each: Vec<impl Future<Output = T>>) -> Vec<T> {
    futures::stream::iter(each).buffered(AT_ONCE).collect().await
}

/// Calls to one service of a Region.
#[derive(Debug)]
pub(crate) struct Calls {
    pace: Mutex<Interval>,
    until: Instant,
    /// The call that was not answered, if there was one.
    unanswered: OnceLock<StepError>,
}

impl Calls {
    /// No more than one in each `pace`, and none after `until`.
    pub(crate) fn new(pace: Duration, until: Instant) -> Self {
        let mut pace = tokio::time::interval(pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pace: Mutex::new(pace),
            until,
            unanswered: OnceLock::new(),
        }
    }

    /// Makes a call when it is its turn, and only while the service answers and time is left.
    pub(crate) async fn make<T, E>(
        &self,
        operation: &str,
        resource: &str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, StepError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let in_turn = async {
            self.pace.lock().await.tick().await;
            if let Some(error) = self.unanswered.get() {
                return Err(error.clone());
            }
            call.await.map_err(|error| {
                let is_silent = matches!(error, SdkError::TimeoutError(_) | SdkError::DispatchFailure(_));
                let is_in_use = error.code() == Some("ResourceInUseException");
                let mut error = StepError::aws(operation, resource, error);
                // Lambda says so of an event source mapping that is on its way from one state to another.
                if is_in_use {
                    error.kind = ErrorKind::Conflict;
                }
                if is_silent {
                    let text = format!("not called: an earlier call got no answer: {}", error.message);
                    self.unanswered
                        .get_or_init(|| StepError::new(ErrorKind::Unavailable, text));
                }
                error
            })
        };
        // Those that wait do not keep to the pace once it is known that nobody answers.
        if let Some(error) = self.unanswered.get() {
            return Err(error.clone());
        }
        tokio::time::timeout_at(self.until, in_turn).await.unwrap_or_else(|_| {
            let text = format!("{operation} on {resource}: no time was left to wait for its answer");
            Err(StepError::new(ErrorKind::Unavailable, text))
        })
    }
}
