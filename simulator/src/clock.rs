//! Virtual time: tokio's paused clock, with a calendar.

use std::time::SystemTime;

use aws_smithy_async::time::TimeSource;
use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the virtual time. It moves only while everything waits.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began_at: Timestamp,
    began: Instant,
}

impl Clock {
    /// A clock that shows `began_at` now. It must be made on the runtime whose clock it follows.
    pub fn starting_at(began_at: Timestamp) -> Self {
        Self {
            began_at,
            began: Instant::now(),
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.began_at
            .checked_add(self.began.elapsed())
            .unwrap_or(Timestamp::MAX)
    }

    /// The moment on tokio's clock that shows `at`; now, if that has passed.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let ahead = at.duration_since(self.began_at);
        self.began + std::time::Duration::try_from(ahead).unwrap_or_default()
    }

    /// Waits until the clock shows `at`.
    pub async fn wait_until(&self, at: Timestamp) {
        tokio::time::sleep_until(self.instant(at)).await;
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        Clock::now(self).into()
    }
}
