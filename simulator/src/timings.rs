//! How long things take on the simulated AWS, from `timings.yaml`.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

const FILE: &str = include_str!("../timings.yaml");
static BUILT_IN: LazyLock<Result<Timings, String>> = LazyLock::new(|| Timings::read(FILE));

/// A range of durations and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The shortest.
    pub from: Duration,
    /// The longest.
    pub to: Duration,
    /// Where the range comes from, or "assumed".
    pub source: String,
}

impl Range {
    fn scale(&mut self, scale: f64) {
        (self.from, self.to) = (self.from.mul_f64(scale), self.to.mul_f64(scale));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeText {
    from: String,
    to: String,
    source: String,
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RangeText { from, to, source } = RangeText::deserialize(deserializer)?;
        let read = |text: &str| {
            let duration: SignedDuration = text.parse().map_err(serde::de::Error::custom)?;
            Duration::try_from(duration).map_err(serde::de::Error::custom)
        };
        let (from, to) = (read(&from)?, read(&to)?);
        if from > to {
            return Err(serde::de::Error::custom(format!("{from:?} is longer than {to:?}")));
        }
        Ok(Self { from, to, source })
    }
}

macro_rules! timings {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The ranges. `timings.yaml` says what each means.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "documented where the figures are, in timings.yaml")]
        pub struct Timings { $(pub $name: Range),* }

        /// What somebody measured: any of the ranges.
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Measured { $($name: Option<Range>),* }

        impl Timings {
            /// All of them, times `scale`: for a clock that runs beside real servers.
            #[must_use]
            pub fn scaled(mut self, scale: f64) -> Self {
                $(self.$name.scale(scale);)*
                self
            }

            fn with(mut self, measured: Measured) -> Self {
                $(if let Some(range) = measured.$name { self.$name = range })*
                self
            }
        }
    };
}

timings!(
    api_latency,
    cross_region_latency,
    function_start,
    function_cold_start,
    cache_answer,
    web_answer,
    person_answers,
    replication_lag,
    global_failover_pending,
    global_failover,
    global_switchover,
    global_resync,
    cluster_restore,
    snapshot_restore,
    snapshot_creation,
    first_backup,
    instance_creation,
    password_reset,
    deletion,
    data_api_ready,
    health_check_interval,
    dns_propagation,
    dns_change,
    function_update,
    event_source_change,
    event_source_still_polls,
    health_event_delay,
    alarm_evaluation_delay,
    event_delivery,
    schedule_delay,
    log_delivery,
    nested_execution_end,
);

impl Timings {
    /// Reads `timings.yaml`. Errors: a text that says what is wrong with it.
    fn read(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| format!("timings.yaml: {error}"))
    }

    /// The ranges that this build carries, but for those that `text` has, in the form of `timings.yaml`: what a team measured.
    /// Errors: a text that says what is wrong with it.
    pub fn measured(text: &str) -> Result<Self, String> {
        let measured = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self::built_in()?.with(measured))
    }

    /// The ranges that this build carries.
    pub fn built_in() -> Result<Self, String> {
        BUILT_IN.clone()
    }

    /// `timings.yaml` as it is built in.
    pub const fn file() -> &'static str {
        FILE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_read_and_says_where_it_comes_from() {
        let timings = Timings::built_in().unwrap();
        assert_eq!(timings.global_failover.from, Duration::from_secs(60));
        assert_eq!(FILE.matches("\n  from:").count(), FILE.matches("\n  source: ").count());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert!(Timings::read(&FILE.replace("from: 60s", "from: 60 parsecs")).is_err());
        assert!(Timings::read(&FILE.replace("from: 60s", "from: 600s")).is_err());
        assert!(Timings::read(&FILE.replace("global_failover:", "global_fallover:")).is_err());
    }

    #[test]
    fn what_a_team_measured_takes_the_place_of_what_is_built_in() {
        let measured = "global_failover: { from: 70s, to: 80s, source: our drill of 2026-11-12 }";
        let timings = Timings::measured(measured).unwrap();
        let built_in = Timings::built_in().unwrap();
        assert_eq!(timings.global_failover.to, Duration::from_secs(80));
        assert_eq!(
            Timings {
                global_failover: built_in.global_failover.clone(),
                ..timings
            },
            built_in
        );
        for wrong in [
            measured.replace("70s", "90s"),
            measured.replace("failover", "fallover"),
            measured.replace(", source: our drill of 2026-11-12", ""),
        ] {
            Timings::measured(&wrong).unwrap_err();
        }
    }
}
