//! Achieved RTO and RPO, and what they mean against the objectives. Pure functions: every figure comes from two times
//! that somebody observed; what was not observed stays unmeasured.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Objective, Objectives};

/// What a recovery observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// When customers first suffered: the start of the first breaching minute of the outside probe.
    pub impact_at: Option<Timestamp>,
    /// Whether nobody saw that: the start of the recovery stands in for it, or the first bad minute after one in which the probe said
    /// nothing; customers may have suffered for longer.
    #[serde(default)]
    pub impact_assumed: bool,
    /// When it was decided what to do.
    pub decided_at: Option<Timestamp>,
    /// The first of N healthy answers in a row, seen from outside.
    pub healthy_at: Option<Timestamp>,
    /// The last heartbeat that the platform saw committed, as it left word outside the database.
    pub last_committed_at: Option<Timestamp>,
    /// The last heartbeat from before the decision that the recovered database holds.
    pub last_surviving_at: Option<Timestamp>,
    /// The last heartbeat that the old side committed after the decision, if it did: it was not, or not yet, fenced.
    #[serde(default)]
    pub old_side_wrote_until: Option<Timestamp>,
    /// Whether this recovery could lose writes at all.
    pub can_lose_writes: bool,
}

/// Whether the loss of data is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RpoStatus {
    /// The heartbeat says.
    Measured,
    /// Nothing says; it is not zero.
    Unmeasured,
    /// This recovery loses no writes.
    NotApplicable,
}

/// Achieved times, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Achieved {
    /// From impact to the first healthy answer.
    pub rto_seconds: Option<f64>,
    /// Whether that is the least that it can be: nobody saw the impact.
    #[serde(default)]
    pub rto_is_at_least: bool,
    /// From decision to the first healthy answer.
    pub rto_from_decision_seconds: Option<f64>,
    /// The age, at impact, of the last write that survived.
    pub rpo_seconds: Option<f64>,
    /// Whether `rpo_seconds` is known.
    pub rpo_status: RpoStatus,
    /// For how long after the decision the old side went on taking writes, which are lost beside those of the RPO; nothing
    /// if it did not, as far as its heartbeats tell.
    #[serde(default)]
    pub old_side_wrote_seconds: Option<f64>,
}

/// How an achieved time stands against its objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Met {
    /// Within the target.
    Target,
    /// Within the maximum.
    Maximum,
    /// Worse than the maximum, or not known.
    Missed,
    /// There is no such objective here.
    NotApplicable,
}

/// How both achieved times stand against their objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetObjectives {
    /// Recovery time.
    pub rto: Met,
    /// Recovery point.
    pub rpo: Met,
}

impl MetObjectives {
    /// Whether neither is worse than its maximum.
    pub fn within(self) -> bool {
        self.rto != Met::Missed && self.rpo != Met::Missed
    }
}

/// Works out the achieved times.
///
/// RPO: writes stopped with the last heartbeat that the platform saw committed; the age of the last surviving heartbeat
/// at that moment is the loss, give or take one heartbeat. Where the platform left no word outside, or word older than
/// what survived (so it cannot be trusted), the impact stands in, which is a probe's period less exact. The impact counts
/// also where the old side went on writing: what it wrote after the decision is counted by itself.
pub fn achieved(observed: &Observed) -> Achieved {
    let (rpo_seconds, rpo_status) = match (observed.can_lose_writes, observed.last_surviving_at) {
        (false, _) => (None, RpoStatus::NotApplicable),
        (true, None) => (None, RpoStatus::Unmeasured),
        (true, Some(surviving)) => {
            let stopped = match observed.old_side_wrote_until {
                // What was written before the impact and survived is not lost; what came later is another figure.
                Some(_) => [None, observed.impact_at.map(|impact| impact.max(surviving))],
                None => [observed.last_committed_at, observed.impact_at],
            };
            // A survivor later than both was written since, and says nothing of what was lost.
            match stopped.into_iter().flatten().find(|at| *at >= surviving) {
                Some(stopped) => (Some(seconds_between(surviving, stopped)), RpoStatus::Measured),
                None => (None, RpoStatus::Unmeasured),
            }
        }
    };
    let wrote_on = |until| Some(seconds_between(observed.decided_at?, until)).filter(|seconds| *seconds > 0.0);
    let until_healthy =
        |from: Option<Timestamp>| Some(seconds_between(from?, observed.healthy_at?)).filter(|seconds| *seconds >= 0.0);
    let rto_seconds = until_healthy(observed.impact_at);
    Achieved {
        rto_seconds,
        rto_is_at_least: rto_seconds.is_some() && observed.impact_assumed,
        rto_from_decision_seconds: until_healthy(observed.decided_at),
        rpo_seconds,
        rpo_status,
        old_side_wrote_seconds: observed.old_side_wrote_until.and_then(wrote_on),
    }
}

/// Compares achieved times with the objectives. What is not known counts as missed.
pub fn met(achieved: &Achieved, objectives: &Objectives) -> MetObjectives {
    let rpo = match (achieved.rpo_status, objectives.rpo) {
        (RpoStatus::NotApplicable, _) | (_, None) => Met::NotApplicable,
        (_, Some(objective)) => meets(achieved.rpo_seconds, objective),
    };
    let measured_rto = achieved.rto_seconds.filter(|_| !achieved.rto_is_at_least);
    MetObjectives {
        rto: meets(measured_rto, objectives.rto),
        rpo,
    }
}

fn meets(seconds: Option<f64>, objective: Objective) -> Met {
    match seconds {
        Some(seconds) if seconds <= objective.target.as_secs() as f64 => Met::Target,
        Some(seconds) if seconds <= objective.maximum.as_secs() as f64 => Met::Maximum,
        _ => Met::Missed,
    }
}

/// Seconds from `from` to `to`, to the millisecond; negative if `to` is earlier.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_millisecond() - from.as_millisecond()) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Duration;

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(1_700_000_000 + second).unwrap())
    }

    fn observed() -> Observed {
        Observed {
            impact_at: at(100),
            impact_assumed: false,
            decided_at: at(280),
            healthy_at: at(520),
            last_committed_at: at(125),
            last_surviving_at: at(120),
            old_side_wrote_until: None,
            can_lose_writes: true,
        }
    }

    #[test]
    fn what_an_unfenced_old_side_wrote_is_counted_by_itself() {
        let wrote_on = Observed {
            last_committed_at: at(400),
            last_surviving_at: at(275),
            old_side_wrote_until: at(400),
            ..observed()
        };
        let found = achieved(&wrote_on);
        assert_eq!(
            (found.rpo_seconds, found.old_side_wrote_seconds),
            (Some(0.0), Some(120.0))
        );
        let lagged = Observed {
            last_surviving_at: at(90),
            ..wrote_on
        };
        assert_eq!(achieved(&lagged).rpo_seconds, Some(10.0), "from before the impact");
        assert_eq!(achieved(&observed()).old_side_wrote_seconds, None);
    }

    #[test]
    fn a_time_from_an_impact_that_nobody_saw_is_the_least_and_meets_nothing() {
        let assumed = achieved(&Observed {
            impact_assumed: true,
            ..observed()
        });
        assert_eq!((assumed.rto_seconds, assumed.rto_is_at_least), (Some(420.0), true));
        assert_eq!(met(&assumed, &objectives()).rto, Met::Missed);
        assert_eq!(met(&achieved(&observed()), &objectives()).rto, Met::Target);
        let never_healthy = achieved(&Observed {
            impact_assumed: true,
            healthy_at: None,
            ..observed()
        });
        assert!(!never_healthy.rto_is_at_least, "there is no time");
    }

    #[test]
    fn times_run_from_impact_and_from_decision() {
        let achieved = achieved(&observed());
        assert_eq!(achieved.rto_seconds, Some(420.0));
        assert_eq!(achieved.rto_from_decision_seconds, Some(240.0));
        assert_eq!(achieved.rpo_seconds, Some(5.0));
    }

    #[test]
    fn loss_that_nobody_saw_is_unmeasured_and_missed() {
        let achieved = achieved(&Observed {
            last_surviving_at: None,
            ..observed()
        });
        assert_eq!(
            (achieved.rpo_seconds, achieved.rpo_status),
            (None, RpoStatus::Unmeasured)
        );
        assert_eq!(met(&achieved, &objectives()).rpo, Met::Missed);
    }

    #[test]
    fn word_older_than_what_survived_gives_way_to_the_impact() {
        let stale = achieved(&Observed {
            last_committed_at: at(10),
            last_surviving_at: at(80),
            ..observed()
        });
        assert_eq!((stale.rpo_seconds, stale.rpo_status), (Some(20.0), RpoStatus::Measured));
        let nothing = Observed {
            last_committed_at: None,
            impact_at: None,
            ..observed()
        };
        assert_eq!(achieved(&nothing).rpo_status, RpoStatus::Unmeasured);
    }

    #[test]
    fn what_cannot_be_is_not_measured() {
        let written_since = Observed {
            last_committed_at: at(125),
            last_surviving_at: at(300),
            ..observed()
        };
        assert_eq!(achieved(&written_since).rpo_status, RpoStatus::Unmeasured);
        let from_the_future = Observed {
            impact_at: at(900),
            ..observed()
        };
        assert_eq!(achieved(&from_the_future).rto_seconds, None);
    }

    #[test]
    fn where_no_write_can_be_lost_the_point_is_not_applicable() {
        let achieved = achieved(&Observed {
            can_lose_writes: false,
            ..observed()
        });
        assert_eq!(achieved.rpo_status, RpoStatus::NotApplicable);
        assert_eq!(met(&achieved, &objectives()).rpo, Met::NotApplicable);
    }

    fn objectives() -> Objectives {
        let objective = |target, maximum| Objective {
            target: Duration::from_secs(target),
            maximum: Duration::from_secs(maximum),
        };
        Objectives {
            rto: objective(420, 600),
            rpo: Some(objective(4, 5)),
        }
    }

    #[test]
    fn limits_belong_to_what_they_limit() {
        let at_the_limits = achieved(&observed());
        assert_eq!(
            met(&at_the_limits, &objectives()),
            MetObjectives {
                rto: Met::Target,
                rpo: Met::Maximum
            }
        );
        let late = achieved(&Observed {
            healthy_at: at(701),
            ..observed()
        });
        assert_eq!(met(&late, &objectives()).rto, Met::Missed);
        assert!(!met(&late, &objectives()).within());
        let never = achieved(&Observed {
            healthy_at: None,
            ..observed()
        });
        assert_eq!(met(&never, &objectives()).rto, Met::Missed);
    }
}
