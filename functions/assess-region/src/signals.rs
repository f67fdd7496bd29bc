//! What each source says of the Region that may be lost. The standby's probe, the replication lag and the look at the control
//! plane all cross the way between the two Regions, and are one class of evidence. The observer, a probe in a third Region, is
//! the other.

use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::error::{ErrorKind, StepError};
use shared::global_database::serves;
use shared::record::Probed;
use shared::slices::SiteSlice;

use crate::evidence::{Datapoints, NoLag, Observed, PERIOD};

/// A metric whose last datapoint is older than this says nothing of the present.
pub(crate) const FRESH: SignedDuration = SignedDuration::from_mins(3);
/// Replication that is this far behind, in milliseconds, does not replicate: Aurora's is below a second, typically.
const FAR_BEHIND_MS: f64 = 60_000.0;

pub(crate) const PROBE: &str = "outside-probe";
pub(crate) const REPLICATION: &str = "replication-lag";
pub(crate) const OTHER_SIDE: &str = "other-control-plane";
pub(crate) const OBSERVER: &str = "observer";

/// What one source says of the Region that may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signal {
    /// The source.
    pub source: &'static str,
    /// What it says.
    pub says: Says,
    /// In words.
    pub detail: String,
}

/// What a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// It works.
    Healthy,
    /// It does not.
    Down,
    /// Nothing.
    Unknown,
}

impl Says {
    /// In a word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Down => "down",
            Self::Unknown => "nothing",
        }
    }
}

/// The beginning of the outage that goes on: the first of the bad minutes, without a gap, that the metric ends with. An
/// outage that is over has nothing to do with this recovery. Where the probe said nothing in the minutes just before, the
/// minute of `last_committed`, the last heartbeat of the other side, is the first of those that may be bad too.
pub(crate) fn beginning_of_outage(
    probe: &Datapoints,
    last_committed: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut began = None;
    let mut next = now;
    let mut healthy_until = None;
    for (at, value) in probe.iter().rev() {
        if next.duration_since(*at) >= FRESH {
            break;
        }
        if *value >= 1.0 {
            healthy_until = at.checked_add(PERIOD).ok();
            break;
        }
        (began, next) = (Some(*at), *at);
    }
    let (began, healthy_until) = (began?, healthy_until.unwrap_or(began?));
    Some(match last_committed {
        Some(at) if healthy_until < began => minute_of(at).clamp(healthy_until, began),
        _ => began,
    })
}

/// Whether an outage that `probe` shows from `outage` on may have begun before: it said nothing in the minute just before, and no
/// heartbeat that stopped then says when.
pub(crate) fn may_have_begun_before(probe: &Datapoints, outage: Timestamp) -> bool {
    let says_something = |at: Option<Timestamp>| probe.iter().any(|(minute, _)| Some(*minute) == at);
    says_something(Some(outage)) && !says_something(outage.checked_sub(PERIOD).ok())
}

/// The beginning of a moment's minute.
fn minute_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(PERIOD.as_secs())).unwrap_or(at)
}

impl Signal {
    /// What it says where whoever looks has not proved to reach the outside: silence and failure are then no evidence.
    pub(crate) fn proved_by(self, proof: &Result<(), String>) -> Self {
        match proof {
            Err(why) if self.says == Says::Down => Self {
                says: Says::Unknown,
                detail: format!(
                    "{}; but it could not be proved that the outside is reached: {why}",
                    self.detail
                ),
                ..self
            },
            _ => self,
        }
    }
}

/// What the observer's probe says.
pub(crate) fn observer_signal(observed: &Observed, now: Timestamp) -> Signal {
    match &observed.metric {
        Ok(metric) => probe_signal(OBSERVER, metric, &observed.probed, now),
        Err(error) => Signal {
            source: OBSERVER,
            says: Says::Unknown,
            detail: format!("could not read its metric: {error}"),
        },
    }
}

/// What a probe says whose metric this is, and who wrote this down. That the service is down counts only if both say so: others
/// can publish the metric too, and it would move the database.
pub(crate) fn probe_signal(
    source: &'static str,
    metric: &Datapoints,
    probed: &Result<Vec<Probed>, StepError>,
    now: Timestamp,
) -> Signal {
    let signal = |says, detail| Signal { source, says, detail };
    let Some((at, value)) = metric.last().filter(|(at, _)| now.duration_since(*at) < FRESH) else {
        return signal(Says::Unknown, "no fresh datapoint".to_owned());
    };
    if *value >= 1.0 {
        return signal(Says::Healthy, format!("healthy at {at}"));
    }
    let of_that_minute = |probed: &Vec<Probed>| probed.iter().find(|probed| probed.minute == *at).copied();
    let says_otherwise = match probed.as_ref().map(of_that_minute) {
        Ok(Some(Probed { healthy: false, .. })) => return signal(Says::Down, format!("unhealthy at {at}")),
        Ok(Some(_)) => "the probe's own record says healthy; somebody else publishes the metric".to_owned(),
        Ok(None) => "the probe's own record has nothing for that minute".to_owned(),
        Err(error) => format!("could not read the probe's own record: {error}"),
    };
    signal(
        Says::Unknown,
        format!("its metric says unhealthy at {at}, but {says_otherwise}"),
    )
}

/// Replication that has stopped since the outage began, or falls behind, says that the source does not write.
pub(crate) fn replication_signal(
    lag: &Datapoints,
    no_lag: &NoLag,
    outage: Option<Timestamp>,
    now: Timestamp,
) -> Signal {
    let signal = |says, detail| Signal {
        source: REPLICATION,
        says,
        detail,
    };
    let Some((at, milliseconds)) = lag.last() else {
        return signal(Says::Unknown, no_lag.in_words());
    };
    // The minute in which the outage began may still have its datapoint.
    let goes_on = match outage {
        Some(outage) => *at > outage,
        None => now.duration_since(*at) < FRESH,
    };
    // A minute's datapoint comes after its end: what was there until the outage may still go on.
    let too_early =
        outage.is_some_and(|outage| now.duration_since(outage) < FRESH && outage.duration_since(*at) < FRESH);
    match (goes_on, *milliseconds > FAR_BEHIND_MS) {
        (false, _) if too_early => signal(Says::Unknown, format!("last published at {at}; too early to tell")),
        (false, _) => signal(Says::Down, format!("nothing published since {at}")),
        (true, true) => signal(Says::Down, format!("{:.0} s behind at {at}", milliseconds / 1000.0)),
        (true, false) => signal(Says::Healthy, format!("{:.1} s behind at {at}", milliseconds / 1000.0)),
    }
}

/// A side that `is_silent`, which takes two looks some seconds apart, is down. One that answers with anything but a cluster
/// (throttled, not allowed, not found), or whose silence is a moment's, says nothing of whether it works.
pub(crate) fn other_side_signal(site: &SiteSlice, other: &Result<DbCluster, StepError>, is_silent: bool) -> Signal {
    let signal = |says, detail| Signal {
        source: OTHER_SIDE,
        says,
        detail,
    };
    match other {
        Err(error) if is_silent && error.kind == ErrorKind::Unavailable => {
            signal(Says::Down, format!("its database did not answer: {error}"))
        }
        Err(error) => signal(Says::Unknown, format!("could not read its database: {error}")),
        Ok(cluster) => {
            let status = cluster.status().unwrap_or("without a status");
            let says = if serves(status) { Says::Healthy } else { Says::Unknown };
            signal(says, format!("cluster {} is {status}", site.cluster))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_040 + minute * 60).unwrap()
    }

    #[test]
    fn the_impact_is_the_beginning_of_the_outage_that_goes_on() {
        let began = |minutes: &[(i64, f64)]| {
            let probe: Datapoints = minutes.iter().map(|(m, value)| (minute(*m), *value)).collect();
            beginning_of_outage(&probe, None, minute(5))
        };
        assert_eq!(
            began(&[(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.0), (4, 0.0)]),
            Some(minute(3))
        );
        assert_eq!(began(&[(3, 0.0), (4, 0.0)]), Some(minute(3)));
        assert_eq!(began(&[(3, 0.0), (4, 1.0)]), None, "it is over");
        assert_eq!(began(&[(1, 0.0), (2, 0.0)]), None, "the probe has been silent since");
        assert_eq!(
            began(&[(-9, 0.0), (4, 0.0)]),
            Some(minute(4)),
            "another outage, long ago"
        );
        assert_eq!(began(&[]), None);
    }

    #[test]
    fn where_the_probe_was_silent_the_last_heartbeat_says_when_the_outage_began() {
        let began = |minutes: &[(i64, f64)], committed: Option<i64>| {
            let probe: Datapoints = minutes.iter().map(|(m, value)| (minute(*m), *value)).collect();
            let committed = committed.map(|second| minute(0) + SignedDuration::from_secs(second));
            beginning_of_outage(&probe, committed, minute(5))
        };
        let silent = [(1, 1.0), (3, 0.0), (4, 0.0)];
        for (committed, expected) in [(Some(130), 2), (Some(80), 2), (Some(190), 3), (Some(250), 3), (None, 3)] {
            assert_eq!(began(&silent, committed), Some(minute(expected)), "{committed:?}");
        }
        // The probe knows better where it said something.
        assert_eq!(began(&[(2, 1.0), (3, 0.0), (4, 0.0)], Some(70)), Some(minute(3)));
        assert_eq!(began(&[(3, 0.0), (4, 0.0)], Some(130)), Some(minute(3)));
    }

    #[test]
    fn an_outage_after_silence_may_have_begun_before() {
        let may = |minutes: &[i64], outage: i64| {
            let probe: Datapoints = minutes.iter().map(|m| (minute(*m), 0.0)).collect();
            may_have_begun_before(&probe, minute(outage))
        };
        assert!(!may(&[2, 3, 4], 3), "the minute before is known");
        assert!(may(&[1, 3, 4], 3), "the minute before is not");
        assert!(may(&[3, 4], 3), "nothing is known from before");
        assert!(!may(&[1, 3, 4], 2), "the heartbeat stopped in the silent minute");
    }

    #[test]
    fn a_probe_says_down_only_if_it_wrote_so_itself() {
        let metric = |value: f64| vec![(minute(3), value)];
        let wrote = |at: i64, healthy| Ok(vec![Probed::at(minute(at) + SignedDuration::from_secs(59), healthy)]);
        let unread = Err(StepError::new(ErrorKind::Throttled, "too many"));
        for (value, probed, says, words) in [
            (0.0, wrote(3, false), Says::Down, "unhealthy at"),
            (0.0, wrote(3, true), Says::Unknown, "somebody else publishes"),
            (0.0, wrote(2, false), Says::Unknown, "has nothing for that minute"),
            (0.0, Ok(vec![]), Says::Unknown, "has nothing for that minute"),
            (0.0, unread.clone(), Says::Unknown, "could not read"),
            (1.0, unread, Says::Healthy, "healthy at"),
        ] {
            let signal = probe_signal(PROBE, &metric(value), &probed, minute(4));
            assert_eq!(signal.says, says, "{}", signal.detail);
            assert!(signal.detail.contains(words), "{}", signal.detail);
        }
    }

    #[test]
    fn replication_that_stopped_with_the_outage_is_a_signal_of_its_own() {
        let says = |lag: &Datapoints, outage| replication_signal(lag, &NoLag::NoData, outage, minute(14)).says;
        assert_eq!(says(&vec![(minute(13), 200.0)], Some(minute(10))), Says::Healthy);
        assert_eq!(says(&vec![(minute(10), 200.0)], Some(minute(10))), Says::Down);
        assert_eq!(says(&vec![(minute(12), 200.0)], Some(minute(12))), Says::Unknown);
        assert_eq!(says(&vec![(minute(9), 200.0)], Some(minute(12))), Says::Down);
        assert_eq!(says(&vec![(minute(13), 90_000.0)], Some(minute(10))), Says::Down);
        assert_eq!(says(&vec![(minute(13), 200.0)], None), Says::Healthy);
        assert_eq!(says(&vec![(minute(9), 200.0)], None), Says::Down);
        assert_eq!(says(&vec![], None), Says::Unknown);
    }
}
