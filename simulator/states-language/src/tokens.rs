//! Task tokens: what `.waitForTaskToken` hands out and gets back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sha2::Digest;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::errors::TaskFailure;
use crate::functions;
use crate::json::PAYLOAD_LIMIT_BYTES;

/// Every token starts like this, so that something else can be told from a token.
const PREFIX: &str = "AQCYAAAAKgAAAAMAAAAA";

/// The longest token that the API takes, in characters.
const LONGEST: usize = 2048;

/// Why a token was not accepted, by the names of the Step Functions API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// No task was ever given this token.
    #[error("TaskDoesNotExist")]
    TaskDoesNotExist,
    /// The task is over: answered, timed out, or its execution has ended.
    #[error("TaskTimedOut")]
    TaskTimedOut,
    /// This is no token at all.
    #[error("InvalidToken")]
    InvalidToken,
    /// The output is not JSON, or larger than [`PAYLOAD_LIMIT_BYTES`].
    #[error("InvalidOutput")]
    InvalidOutput,
}

/// The open task tokens, shared by executions and whoever answers them. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct TaskTokens {
    slots: Arc<Mutex<BTreeMap<String, Slot>>>,
}

#[derive(Debug)]
struct Slot {
    open: bool,
    answer: Option<Result<Value, TaskFailure>>,
    last_heartbeat: Instant,
    changed: Arc<Notify>,
}

impl TaskTokens {
    /// None open yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `SendTaskSuccess`: the task is done, with this JSON text as its result.
    ///
    /// # Errors
    /// As named by the API.
    pub fn send_success(&self, token: &str, output: &str) -> Result<(), TokenError> {
        if output.len() > PAYLOAD_LIMIT_BYTES {
            return Err(TokenError::InvalidOutput);
        }
        let output = serde_json::from_str(output).map_err(|_| TokenError::InvalidOutput)?;
        self.answer(token, Ok(output))
    }

    /// `SendTaskFailure`: the task failed, with what the call gives of an error's name and explanation.
    ///
    /// # Errors
    /// As named by the API.
    pub fn send_failure(&self, token: &str, error: Option<&str>, cause: Option<&str>) -> Result<(), TokenError> {
        let failure = TaskFailure::given(error.map(str::to_owned), cause.map(str::to_owned));
        self.answer(token, Err(failure))
    }

    /// `SendTaskHeartbeat`: the task still works.
    ///
    /// # Errors
    /// As named by the API.
    pub fn send_heartbeat(&self, token: &str) -> Result<(), TokenError> {
        let mut slots = self.lock();
        find(&mut slots, token)?.last_heartbeat = Instant::now();
        Ok(())
    }

    /// Whether a task still waits for this token.
    pub fn is_open(&self, token: &str) -> bool {
        find(&mut self.lock(), token).is_ok()
    }

    fn answer(&self, token: &str, answer: Result<Value, TaskFailure>) -> Result<(), TokenError> {
        let mut slots = self.lock();
        let slot = find(&mut slots, token)?;
        slot.answer = Some(answer);
        slot.changed.notify_one();
        Ok(())
    }

    /// Opens a new token; it closes when what is returned is dropped.
    pub(crate) fn open(&self, uuid: &str) -> OpenToken {
        let token = format!("{PREFIX}{}", uuid.replace('-', ""));
        let changed = Arc::new(Notify::new());
        self.lock().insert(
            token.clone(),
            Slot {
                open: true,
                answer: None,
                last_heartbeat: Instant::now(),
                changed: Arc::clone(&changed),
            },
        );
        OpenToken {
            tokens: self.clone(),
            token,
            changed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        // Nothing panics while it holds the lock half way through a change.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'a>(slots: &'a mut BTreeMap<String, Slot>, token: &str) -> Result<&'a mut Slot, TokenError> {
    if !token.starts_with(PREFIX) || token.len() > LONGEST {
        return Err(TokenError::InvalidToken);
    }
    let slot = slots.get_mut(token).ok_or(TokenError::TaskDoesNotExist)?;
    if slot.open && slot.answer.is_none() {
        Ok(slot)
    } else {
        Err(TokenError::TaskTimedOut)
    }
}

/// The token in the context of a `.sync` Task, which its job answers and nobody else. It is no chance of the host's, whose
/// other draws stay as they are.
pub(crate) fn unanswerable(visit: &str) -> String {
    format!("{PREFIX}{}", functions::hex(&sha2::Sha256::digest(visit)))
}

/// A token that its task still waits for.
pub(crate) struct OpenToken {
    tokens: TaskTokens,
    token: String,
    changed: Arc<Notify>,
}

impl OpenToken {
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) async fn answered(&self) -> Result<Value, TaskFailure> {
        loop {
            let answer = self
                .tokens
                .lock()
                .get_mut(&self.token)
                .and_then(|slot| slot.answer.clone());
            match answer {
                Some(answer) => return answer,
                None => self.changed.notified().await,
            }
        }
    }

    pub(crate) fn last_heartbeat(&self) -> Option<Instant> {
        self.tokens.lock().get(&self.token).map(|slot| slot.last_heartbeat)
    }
}

impl Drop for OpenToken {
    fn drop(&mut self) {
        if let Some(slot) = self.tokens.lock().get_mut(&self.token) {
            slot.open = false;
            slot.answer = None;
        }
    }
}
