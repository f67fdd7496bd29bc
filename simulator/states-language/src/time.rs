//! Moments as Step Functions writes and reads them.

use jiff::Timestamp;

/// RFC 3339 in UTC with milliseconds: `2026-01-01T00:00:00.000Z`.
pub fn rfc3339(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A moment as Step Functions reads it: ISO 8601 in its extended form, with a `T` and an offset, in letters of either case.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    // Timestamps parse in other forms too, such as with a space in place of `T`, or with a time zone in brackets.
    let text = text.to_ascii_uppercase();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':')];
    let is_extended = separators.iter().all(|(i, byte)| text.as_bytes().get(*i) == Some(byte));
    let is_taken = is_extended && !text.contains('[');
    is_taken.then(|| text.parse().ok()).flatten()
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

    #[test]
    fn a_moment_needs_a_t_and_an_offset() {
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01t00:00:00z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00.5Z",
            "2026-01-01T00:00:00.000000000Z",
            "2026-01-01T02:00:00+02:00",
        ] {
            assert!(moment(text).is_some(), "{text}");
        }
        for text in [
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "20260101T000000Z",
            "2026-01-01T00:00:00Z[UTC]",
            "2026-01-01",
            "soon",
        ] {
            assert!(moment(text).is_none(), "{text}");
        }
    }
}
