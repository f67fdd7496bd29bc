//! How a Task waits for the service that it calls.

/// How a Task talks to what it calls, told by the ending of its `Resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integration {
    /// No ending: it continues with the answer.
    RequestResponse,
    /// `.sync` or `.sync:2`: it goes on when the job that it started is done.
    Sync,
    /// `.waitForTaskToken`: it goes on when somebody sends the token back.
    WaitForTaskToken,
}
