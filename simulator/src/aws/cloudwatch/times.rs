//! Moments and periods.

use std::time::Duration;

use jiff::Timestamp;

/// The resolution of a metric, in seconds. High-resolution metrics are not simulated.
pub(super) const MINUTE: i64 = 60;

/// `2019-10-02T17:04:40.989+0000`: a time as alarms write it.
pub(super) fn alarm_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

pub(super) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

pub(super) fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The beginning of the period, counted from the epoch, that `at` lies in.
pub(super) fn beginning(at: Timestamp, period: i64) -> i64 {
    at.as_nanosecond().div_euclid(1_000_000_000 * i128::from(period)) as i64 * period
}
