//! How much would be lost.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::plan::Objective;

use crate::evidence::Datapoints;
use crate::heartbeats::longest_pause;
use crate::signals::FRESH;

/// How long before the impact the replication lag counts for the expected loss.
const LAG_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// How much would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum ExpectedLoss {
    /// Nothing: the way waits for replication.
    None,
    /// The largest replication lag in the 5 minutes before the impact, writes having stopped since.
    Measured {
        /// That lag.
        seconds: f64,
    },
    /// Writes are not known to have stopped: what replication can be behind by now, at most.
    UpperBound {
        /// That time.
        seconds: f64,
    },
    /// No lag is known; it is not zero.
    Unmeasured,
}

/// What the loss is estimated from.
pub(crate) struct Known<'a> {
    pub(crate) lag: &'a Datapoints,
    pub(crate) impact_at: Timestamp,
    /// The last heartbeat that the platform saw committed in the other Region.
    pub(crate) last_committed: Option<Timestamp>,
    pub(crate) heartbeat_seconds: u64,
    pub(crate) now: Timestamp,
}

/// How much a failover now would lose. Lag that grows after writes have stopped is no loss, so that only what was before
/// the impact counts then; the minute of the impact itself does not. Where writes may go on, everything since the lag was
/// last published may be lost.
pub(crate) fn expected_loss(known: &Known<'_>) -> ExpectedLoss {
    let in_seconds = |(_, milliseconds): &(Timestamp, f64)| milliseconds / 1000.0;
    let from = known.impact_at.checked_sub(LAG_WINDOW).unwrap_or(known.impact_at);
    let largest = |until: Timestamp| {
        let counted = known.lag.iter().filter(|(at, _)| (from..until).contains(at));
        counted.map(in_seconds).reduce(f64::max)
    };
    if writes_have_stopped(known) {
        return largest(known.impact_at).map_or(ExpectedLoss::Unmeasured, |seconds| ExpectedLoss::Measured { seconds });
    }
    let Some(last) = known.lag.last() else {
        return ExpectedLoss::Unmeasured;
    };
    let silent_for = known.now.duration_since(last.0);
    let silent = if silent_for < FRESH {
        0.0
    } else {
        silent_for.as_secs_f64()
    };
    let seconds = largest(known.now).unwrap_or_default().max(silent + in_seconds(last));
    ExpectedLoss::UpperBound { seconds }
}

/// Whether the other side is known to write no more: its heartbeats, of which the platform leaves word here, have ended.
fn writes_have_stopped(known: &Known<'_>) -> bool {
    let pause = longest_pause(known.heartbeat_seconds);
    known
        .last_committed
        .is_some_and(|at| known.now.duration_since(at) > pause)
}

/// How a loss stands against the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    Target,
    Maximum,
    Beyond,
}

impl ExpectedLoss {
    /// How it stands against the RPO. What nobody knows is beyond.
    pub(crate) fn against(self, rpo: Option<Objective>) -> Against {
        let seconds = match (self, rpo) {
            (Self::None, _) | (_, None) => return Against::Target,
            (Self::Unmeasured, _) => return Against::Beyond,
            (Self::Measured { seconds } | Self::UpperBound { seconds }, Some(rpo)) => (seconds, rpo),
        };
        match seconds {
            (seconds, rpo) if seconds <= rpo.target.as_secs() as f64 => Against::Target,
            (seconds, rpo) if seconds <= rpo.maximum.as_secs() as f64 => Against::Maximum,
            _ => Against::Beyond,
        }
    }

    /// In words, for people.
    pub(crate) fn in_words(self) -> String {
        match self {
            Self::None => "none: a switchover waits until everything is replicated".to_owned(),
            Self::Measured { seconds } => {
                format!("{seconds:.1} s of writes: the largest replication lag in the 5 minutes before the impact")
            }
            Self::UpperBound { seconds } => format!(
                "an upper bound of {seconds:.1} s of writes: could not confirm that the other side stopped writing"
            ),
            Self::Unmeasured => {
                "unmeasured: no replication lag is known from before the impact; it is not zero".to_owned()
            }
        }
    }

    /// In a word or two, for the id of the question: what was approved for one does not hold for another.
    pub(crate) fn class(self, rpo: Option<Objective>) -> &'static str {
        match (self, self.against(rpo)) {
            (Self::None, _) => "no-loss",
            (Self::Unmeasured, _) => "loss-unmeasured",
            (Self::Measured { .. }, Against::Target) => "loss-within-target",
            (Self::Measured { .. }, Against::Maximum) => "loss-within-maximum",
            (Self::Measured { .. }, Against::Beyond) => "loss-above-maximum",
            (Self::UpperBound { .. }, Against::Target) => "loss-at-most-target",
            (Self::UpperBound { .. }, Against::Maximum) => "loss-at-most-maximum",
            (Self::UpperBound { .. }, Against::Beyond) => "loss-maybe-above-maximum",
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::plan::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// Impact at 600 s, now 800 s, lag published until `published_until`.
    fn loss(published_until: i64, last_committed: Option<i64>) -> ExpectedLoss {
        let lag: Datapoints = (0..=published_until / 60)
            .map(|m| (at(m * 60), if m == 8 { 2500.0 } else { 400.0 + m as f64 }))
            .collect();
        expected_loss(&Known {
            lag: &lag,
            impact_at: at(600),
            last_committed: last_committed.map(at),
            heartbeat_seconds: 5,
            now: at(800),
        })
    }

    #[test]
    fn where_writes_have_stopped_the_lag_before_the_impact_counts() {
        assert_eq!(loss(600, Some(625)), ExpectedLoss::Measured { seconds: 2.5 });
        assert_eq!(
            loss(240, Some(625)),
            ExpectedLoss::Unmeasured,
            "nothing from the 5 minutes before"
        );
        assert_eq!(loss(-60, Some(625)), ExpectedLoss::Unmeasured);
    }

    #[test]
    fn where_they_may_go_on_it_is_an_upper_bound() {
        // The lag is published still.
        assert_eq!(loss(780, Some(797)), ExpectedLoss::UpperBound { seconds: 2.5 });
        // Nobody leaves word, and it is not published since 540.
        assert_eq!(loss(540, None), ExpectedLoss::UpperBound { seconds: 260.409 });
        assert_eq!(loss(540, Some(780)), ExpectedLoss::UpperBound { seconds: 260.409 });
        // Twenty seconds of silence at a heartbeat of 5 s are not enough to know; 21 are.
        assert_eq!(loss(780, Some(780)), ExpectedLoss::UpperBound { seconds: 2.5 });
        assert_eq!(loss(780, Some(779)), ExpectedLoss::Measured { seconds: 2.5 });
        assert_eq!(loss(-60, None), ExpectedLoss::Unmeasured);
    }

    #[test]
    fn what_nobody_knows_is_beyond_the_maximum() {
        let rpo = Some(Objective {
            target: Duration::from_secs(300),
            maximum: Duration::from_secs(3600),
        });
        for (loss, against) in [
            (ExpectedLoss::None, Against::Target),
            (ExpectedLoss::Measured { seconds: 300.0 }, Against::Target),
            (ExpectedLoss::Measured { seconds: 300.1 }, Against::Maximum),
            (ExpectedLoss::UpperBound { seconds: 3600.0 }, Against::Maximum),
            (ExpectedLoss::UpperBound { seconds: 3600.1 }, Against::Beyond),
            (ExpectedLoss::Unmeasured, Against::Beyond),
        ] {
            assert_eq!(loss.against(rpo), against, "{loss:?}");
        }
    }
}
