//! How long an invocation waits for others: for answers of AWS, the SDK's own retries and their pauses included, and for
//! answers of the public web. What is left of its time is its own.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::SharedTimeSource;

tokio::task_local! {
    static METER: Meter;
}

/// Adds up the time in which at least one answer is waited for.
#[derive(Clone, Debug)]
struct Meter {
    time: SharedTimeSource,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// How many answers are waited for.
    open: u32,
    /// Since when there is one.
    since: Option<SystemTime>,
    /// The time that is over.
    total: Duration,
}

impl Meter {
    fn change(&self, change: impl FnOnce(&mut State, SystemTime)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state, self.time.now());
    }
}

/// An answer that is waited for until this is dropped.
pub(crate) struct Waiting(Meter);

impl Waiting {
    /// Begins to wait, on behalf of the invocation that is at work; nothing outside of one.
    pub(crate) fn begin() -> Option<Self> {
        let meter = METER.try_with(Clone::clone).ok()?;
        meter.change(|state, now| {
            state.open += 1;
            state.since.get_or_insert(now);
        });
        Some(Self(meter))
    }
}

/// Waits for a server as for AWS: what it takes is not counted as the step's own time.
pub async fn awaited<T>(work: impl Future<Output = T>) -> T {
    let _waiting = Waiting::begin();
    work.await
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.change(|state, now| {
            state.open -= 1;
            if state.open == 0 {
                let since = state.since.take().unwrap_or(now);
                state.total += now.duration_since(since).unwrap_or_default();
            }
        });
    }
}

/// Does `work`; gives its result and for how long it waited for others, by the clock `time`.
pub(crate) async fn metered<T>(time: SharedTimeSource, work: impl Future<Output = T>) -> (T, Duration) {
    let meter = Meter {
        time,
        state: Arc::default(),
    };
    let state = Arc::clone(&meter.state);
    let result = METER.scope(meter, work).await;
    let total = state.lock().unwrap_or_else(PoisonError::into_inner).total;
    (result, total)
}

/// The SDK's way to sleep. Each call of ours has a time limit, so that the SDK sleeps beside it for as long as the call
/// takes, with its retries and the pauses between them: the sleeping is the waiting.
#[derive(Debug)]
pub(crate) struct MeteredSleep(SharedAsyncSleep);

impl MeteredSleep {
    pub(crate) fn shared(sleep: SharedAsyncSleep) -> SharedAsyncSleep {
        SharedAsyncSleep::new(Self(sleep))
    }
}

impl AsyncSleep for MeteredSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        let waiting = Waiting::begin();
        let sleep = self.0.sleep(duration);
        Sleep::new(async move {
            let _waiting = waiting;
            sleep.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_async::rt::sleep::TokioSleep;
    use aws_smithy_async::time::TimeSource;

    use super::*;

    #[derive(Debug)]
    struct Virtual(tokio::time::Instant);

    impl TimeSource for Virtual {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.0.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_at_the_same_time_counts_once() {
        let time = SharedTimeSource::new(Virtual(tokio::time::Instant::now()));
        let sleep = MeteredSleep::shared(SharedAsyncSleep::new(TokioSleep::new()));
        let own = || TokioSleep::new().sleep(Duration::from_secs(7));
        let (_, waited) = metered(time, async {
            own().await;
            // Two at once, of which the longer one counts, and one that is given up.
            tokio::join!(sleep.sleep(Duration::from_secs(2)), sleep.sleep(Duration::from_secs(3)));
            own().await;
            let given_up = tokio::time::timeout(Duration::from_secs(1), sleep.sleep(Duration::from_secs(60)));
            assert!(given_up.await.is_err());
            own().await;
        })
        .await;
        assert_eq!(waited, Duration::from_secs(4));
        assert!(
            Waiting::begin().is_none(),
            "nothing is metered outside of an invocation"
        );
    }
}
