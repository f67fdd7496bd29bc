//! Which retrier or catcher an error belongs to, and how long a retry waits. Pure functions.

use std::time::Duration;

use crate::definition::Retrier;
use crate::errors::{TaskFailure, names};

/// Whether an `ErrorEquals` list names this failure, by itself or by a wildcard.
pub(crate) fn handles(error_equals: &[String], failure: &TaskFailure) -> bool {
    failure.names().any(|name| matches(error_equals, name))
}

/// Whether an `ErrorEquals` list names this error, by itself or by a wildcard.
pub fn matches(error_equals: &[String], error: &str) -> bool {
    error_equals.iter().any(|pattern| matches_one(pattern, error))
}

fn matches_one(pattern: &str, error: &str) -> bool {
    if error == names::RUNTIME {
        return false;
    }
    // The guide defines States.Timeout as "ran longer than TimeoutSeconds, or failed to send a
    // heartbeat"; States.HeartbeatTimeout is the narrower name.
    let is_timeout = error == names::TIMEOUT || error == names::HEARTBEAT_TIMEOUT;
    match pattern {
        names::ALL => true,
        names::TASK_FAILED => !is_timeout,
        names::TIMEOUT => is_timeout,
        _ => pattern == error,
    }
}

/// How long to wait before a retry.
///
/// `retries_so_far` counts what this retrier has already retried since the state was entered;
/// `chance`, in [0, 1), is used for full jitter only.
pub fn delay(retrier: &Retrier, retries_so_far: u64, chance: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "delays are far below 2^53 seconds")]
    let first = retrier.interval_seconds as f64;
    let power = i32::try_from(retries_so_far).unwrap_or(i32::MAX);
    #[expect(clippy::cast_precision_loss, reason = "delays are far below 2^53 seconds")]
    let longest = retrier.max_delay_seconds.unwrap_or(LONGEST_SECONDS) as f64;
    let full = (first * retrier.backoff_rate.powi(power)).min(longest);
    let seconds = if retrier.full_jitter { full * chance } else { full };
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(LONGEST_SECONDS))
}

/// The longest delay that Step Functions accepts: 31,622,400 s, 366 days.
const LONGEST_SECONDS: u64 = 31_622_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn retrier() -> Retrier {
        Retrier {
            error_equals: vec![],
            interval_seconds: 3,
            max_attempts: 9,
            backoff_rate: 2.0,
            max_delay_seconds: None,
            full_jitter: false,
        }
    }

    #[test]
    fn delays_grow_by_the_rate_up_to_the_cap() {
        let capped = Retrier {
            max_delay_seconds: Some(10),
            ..retrier()
        };
        let seconds: Vec<u64> = (0..4).map(|n| delay(&capped, n, 0.9).as_secs()).collect();
        assert_eq!(seconds, [3, 6, 10, 10]);
        assert_eq!(delay(&retrier(), 4, 0.9), Duration::from_secs(48));
        assert_eq!(delay(&retrier(), 5000, 0.9), Duration::from_secs(LONGEST_SECONDS));
    }

    #[test]
    fn full_jitter_draws_from_zero_to_the_whole_delay() {
        let jittered = Retrier {
            full_jitter: true,
            ..retrier()
        };
        assert_eq!(delay(&jittered, 1, 0.0), Duration::ZERO);
        assert_eq!(delay(&jittered, 1, 0.25), Duration::from_millis(1500));
    }

    #[test]
    fn wildcards() {
        let m = |pattern: &str, error| matches(&[pattern.to_owned()], error);
        assert!(m("States.ALL", "Throttled"));
        assert!(m("States.ALL", "States.Timeout"));
        assert!(m("States.ALL", "States.DataLimitExceeded"));
        assert!(!m("States.ALL", "States.Runtime"));
        assert!(!m("States.Runtime", "States.Runtime"));
        assert!(m("States.DataLimitExceeded", "States.DataLimitExceeded"));
        assert!(m("States.TaskFailed", "Throttled"));
        assert!(m("States.TaskFailed", "States.DataLimitExceeded"));
        assert!(!m("States.TaskFailed", "States.HeartbeatTimeout"));
        assert!(!m("States.TaskFailed", "States.Timeout"));
        assert!(m("States.Timeout", "States.HeartbeatTimeout"));
        assert!(!m("States.HeartbeatTimeout", "States.Timeout"));
        assert!(!m("Throttled", "throttled"));
    }

    #[test]
    fn a_missed_heartbeat_goes_by_two_names_and_no_timeout_is_a_failed_task() {
        let handles = |pattern: &str, failure| handles(&[pattern.to_owned()], &failure);
        for pattern in ["States.HeartbeatTimeout", "States.Timeout", "States.ALL"] {
            assert!(handles(pattern, TaskFailure::missed_heartbeat()), "{pattern}");
        }
        assert!(!handles("States.TaskFailed", TaskFailure::missed_heartbeat()));
        assert!(!handles("States.TaskFailed", TaskFailure::timeout()));
        assert!(!handles("States.HeartbeatTimeout", TaskFailure::timeout()));
    }
}
