//! A length of time as a plan writes it: `5m`, `1h`, `90s`, `1h 30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole number of seconds, never negative. In the plan it is text such as `5m` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

impl Duration {
    /// A duration of `seconds`.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Its length in seconds.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The same length as the standard library's type.
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0)
    }
}

impl FromStr for Duration {
    type Err = String;

    /// Reads `5m`, `1h 30m`, `90s`. Errors: not a duration, negative, or a fraction of a second.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("'{text}' is not a duration; write it like 90s, 5m, 1h or 1h 30m");
        let parsed: SignedDuration = text.parse().map_err(|_| refuse())?;
        if parsed.subsec_nanos() != 0 {
            return Err(refuse());
        }
        u64::try_from(parsed.as_secs()).map(Self).map_err(|_| refuse())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        let mut parts = Vec::new();
        if hours > 0 {
            parts.push(format!("{hours}h"));
        }
        if minutes > 0 {
            parts.push(format!("{minutes}m"));
        }
        if seconds > 0 || parts.is_empty() {
            parts.push(format!("{seconds}s"));
        }
        f.write_str(&parts.join(" "))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: 90s, 5m, 1h, 1h 30m",
            // Nine digits: more would not fit, and no plan means 30 years.
            "pattern": "^([0-9]{1,9}h( [0-9]{1,9}m)?( [0-9]{1,9}s)?|[0-9]{1,9}m( [0-9]{1,9}s)?|[0-9]{1,9}s)$",
            "patternErrorMessage": "a duration is written like 90s, 5m, 1h or 1h 30m",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_people_write() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h", 3600), ("1h 30m", 5400), ("0s", 0)] {
            let parsed: Duration = text.parse().unwrap();
            assert_eq!(parsed.as_secs(), seconds);
            assert_eq!(parsed.to_string().parse::<Duration>().unwrap(), parsed);
        }
    }

    /// Whoever passes the schema must not fail when the plan is read.
    #[test]
    fn reads_the_longest_that_the_schema_lets_pass() {
        assert!("999999999h 999999999m 999999999s".parse::<Duration>().is_ok());
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in ["", "5", "five minutes", "-5m", "1.5s", "500ms"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
