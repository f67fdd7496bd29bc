//! AWS's own names, as alarms and metrics have them.

use std::str::FromStr;

/// An enum of AWS's names, to read and to write.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$each:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$each])* $variant),* }

        impl $type {
            /// The name that AWS has for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(format!("the simulator knows no {} '{name}'", stringify!($type))),
                }
            }
        }
    };
}

names! {
    /// How the values of a period become one.
    Statistic {
        /// Their mean.
        Average = "Average",
        /// The smallest.
        Minimum = "Minimum",
        /// The largest.
        Maximum = "Maximum",
        /// All together.
        Sum = "Sum",
        /// How many there are.
        SampleCount = "SampleCount",
    }
}

names! {
    /// When a datapoint breaches an alarm's threshold.
    Comparison {
        /// `>=`
        GreaterThanOrEqualTo = "GreaterThanOrEqualToThreshold",
        /// `>`
        GreaterThan = "GreaterThanThreshold",
        /// `<`
        LessThan = "LessThanThreshold",
        /// `<=`
        LessThanOrEqualTo = "LessThanOrEqualToThreshold",
    }
}

impl Comparison {
    pub(super) fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqualTo => value >= threshold,
            Self::GreaterThan => value > threshold,
            Self::LessThan => value < threshold,
            Self::LessThanOrEqualTo => value <= threshold,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqualTo => "greater than or equal to",
            Self::GreaterThan => "greater than",
            Self::LessThan => "less than",
            Self::LessThanOrEqualTo => "less than or equal to",
        }
    }
}

names! {
    /// What an alarm makes of periods without datapoints, where there are too few with.
    MissingData {
        /// They are unknown; without any datapoint the alarm has insufficient data.
        Missing = "missing",
        /// The alarm stays as it is.
        Ignore = "ignore",
        /// They count as breaching.
        Breaching = "breaching",
        /// They count as not breaching.
        NotBreaching = "notBreaching",
    }
}

names! {
    /// The state of an alarm.
    StateValue {
        /// The metric is within the threshold.
        Ok = "OK",
        /// It is not.
        Alarm = "ALARM",
        /// Nobody knows.
        InsufficientData = "INSUFFICIENT_DATA",
    }
}
