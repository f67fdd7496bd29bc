//! Moments as Step Functions writes and reads them.

use jiff::Timestamp;

/// RFC 3339 in UTC with milliseconds: `2026-01-01T00:00:00.000Z`.
pub fn rfc3339(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_always_written() {
        let text = |ms| Timestamp::from_millisecond(ms).map(rfc3339).ok();
        assert_eq!(text(1_767_225_600_000).as_deref(), Some("2026-01-01T00:00:00.000Z"));
        assert_eq!(text(1_767_225_600_042).as_deref(), Some("2026-01-01T00:00:00.042Z"));
    }
}
