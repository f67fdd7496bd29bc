//! Task: one attempt, with or without a token.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde_json::Value;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Extra, Visit};
use crate::definition::Task;
use crate::errors::TaskFailure;
use crate::history::{EventDetails, EventKind};
use crate::host::{Submission, TaskCall};
use crate::integration::Integration;
use crate::tokens::{self, OpenToken};

/// How long a Task without `TimeoutSeconds` may take, in seconds.
const DEFAULT_TIMEOUT_SECONDS: u64 = 99_999_999;

impl Visit<'_> {
    pub(super) async fn task(&self, task: &Task) -> Result<Value, TaskFailure> {
        let run = &self.frame.run;
        let token = (task.integration == Integration::WaitForTaskToken).then(|| run.tokens.open(&run.host.uuid()));
        *self.token.borrow_mut() = match task.integration {
            Integration::RequestResponse => None,
            Integration::Sync => {
                let event = run.journal.last();
                let visit = format!("{} {} {event}", run.identity.arn, self.place.path);
                Some(tokens::unanswerable(&visit))
            }
            Integration::WaitForTaskToken => token.as_ref().map(|open| open.token().to_owned()),
        };
        let mut bench = self.bench(Extra::Nothing);
        let arguments = match &task.arguments {
            Some(template) => bench.evaluate(template, "Arguments")?,
            None => (*self.input).clone(),
        };
        self.check_size("the arguments", &arguments)?;
        let mut seconds = |template, field, default| match template {
            Some(template) => bench.whole(template, field, 1),
            None => Ok(default),
        };
        let limit = seconds(task.timeout_seconds.as_ref(), "TimeoutSeconds", DEFAULT_TIMEOUT_SECONDS)?;
        let heartbeat = match &task.heartbeat_seconds {
            Some(template) => Some(seconds(Some(template), "HeartbeatSeconds", 1)?),
            None => None,
        };
        drop(bench);
        let limit = Duration::from_secs(limit);
        let attempt = self.retries.get();
        let details = |arguments: Option<&Value>| EventDetails {
            input: arguments.map(|arguments| Arc::new(arguments.clone())),
            resource: Some(task.resource.clone()),
            attempt: Some(attempt),
            ..EventDetails::default()
        };
        self.log(EventKind::TaskScheduled, details(Some(&arguments)))?;
        self.log(EventKind::TaskStarted, details(None))?;
        let submission = Submission::default();
        let with_output = |output: Option<Value>| EventDetails {
            output: output.map(Arc::new),
            ..details(None)
        };
        let call = run.host.task(TaskCall {
            execution_arn: run.identity.arn.clone(),
            state_name: self.state.name.clone(),
            state_path: self.place.path.to_string(),
            resource: task.resource.clone(),
            integration: task.integration,
            arguments,
            attempt,
            timeout: limit,
            task_token: token.as_ref().map(|open| open.token().to_owned()),
            submission: submission.clone(),
        });
        let answer = match &token {
            Some(token) => {
                let heartbeat = heartbeat.map(Duration::from_secs);
                self.answer_by_token(token, call, limit, heartbeat, &with_output).await
            }
            None if task.integration == Integration::Sync => {
                self.answer_of_job(&submission, call, limit, &with_output).await
            }
            None => in_time(timeout(limit, call).await),
        };
        drop(token);
        let result = match answer {
            Ok(result) => result,
            Err(Ended::Failed(failure)) => {
                return Err(self.log_failure(EventKind::TaskFailed, failure));
            }
            Err(Ended::TimedOut(failure)) => {
                return Err(self.log_failure(EventKind::TaskTimedOut, failure));
            }
            Err(Ended::HistoryFull(failure)) => return Err(failure),
        };
        if let Err(failure) = self.check_size("the result", &result) {
            return Err(self.log_failure(EventKind::TaskFailed, failure));
        }
        self.log(EventKind::TaskSucceeded, with_output(Some(result.clone())))?;
        Ok(result)
    }

    /// Starts a job, and waits for its end.
    async fn answer_of_job(
        &self,
        submission: &Submission,
        call: LocalBoxFuture<'_, Result<Value, TaskFailure>>,
        limit: Duration,
        with_output: impl Fn(Option<Value>) -> EventDetails,
    ) -> Result<Value, Ended> {
        let mut end = pin!(timeout(limit, call));
        let ended = tokio::select! {
            biased;
            () = submission.wait() => None,
            answer = &mut end => Some(in_time(answer)),
        };
        let output = submission.output();
        if output.is_some() || matches!(ended, Some(Ok(_))) {
            self.log(EventKind::TaskSubmitted, with_output(output))
                .map_err(Ended::HistoryFull)?;
        }
        match ended {
            Some(answer) => answer,
            None => in_time(end.await),
        }
    }

    /// Makes the call that hands out the token, and waits for the token to come back.
    async fn answer_by_token(
        &self,
        token: &OpenToken,
        mut call: LocalBoxFuture<'_, Result<Value, TaskFailure>>,
        limit: Duration,
        heartbeat: Option<Duration>,
        with_output: impl Fn(Option<Value>) -> EventDetails,
    ) -> Result<Value, Ended> {
        let deadline = Instant::now() + limit;
        let mut called = false;
        loop {
            let silence = heartbeat.and_then(|longest| Some(token.last_heartbeat()? + longest));
            let wake = silence.map_or(deadline, |silence| silence.min(deadline));
            tokio::select! {
                biased;
                answer = token.answered() => return answer.map_err(Ended::Failed),
                called_back = &mut call, if !called => {
                    let output = called_back.map_err(Ended::Failed)?;
                    called = true;
                    self.log(EventKind::TaskSubmitted, with_output(Some(output)))
                        .map_err(Ended::HistoryFull)?;
                }
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    if now >= deadline {
                        return Err(Ended::TimedOut(TaskFailure::timeout()));
                    }
                    // A heartbeat may have come while this slept.
                    if let (Some(longest), Some(last)) = (heartbeat, token.last_heartbeat())
                        && now >= last + longest
                    {
                        return Err(Ended::TimedOut(TaskFailure::missed_heartbeat()));
                    }
                }
            }
        }
    }
}

/// An answer, if it came before the timeout did.
fn in_time(answer: Result<Result<Value, TaskFailure>, Elapsed>) -> Result<Value, Ended> {
    match answer {
        Ok(answer) => answer.map_err(Ended::Failed),
        Err(_) => Err(Ended::TimedOut(TaskFailure::timeout())),
    }
}

/// Why an attempt has no result.
enum Ended {
    Failed(TaskFailure),
    TimedOut(TaskFailure),
    HistoryFull(TaskFailure),
}
