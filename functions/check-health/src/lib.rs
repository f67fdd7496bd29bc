//! Asks the public name once whether the service is healthy. The machine asks again until N answers in a row are.
//!
//! An answer counts if it is HTTP 200 with JSON that says `"status": "ok"` and names the Region that has taken over:
//! an old side that still answers is not a recovery. It changes nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::{Aws, WebAnswer};
use shared::error::StepError;
use shared::health::Health;
use shared::record::{Record, Sighting};
use shared::recovery::RecoveryRef;
use shared::slices::HealthSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// What to ask, and what was answered so far.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// What counts as healthy.
    pub health: HealthSlice,
    /// The Region that must answer.
    pub region: String,
    /// The answers so far: what this step gave back last time.
    pub so_far: Streak,
}

/// Healthy answers in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streak {
    /// How many.
    pub length: u32,
    /// When the first of them was asked for.
    pub first_at: Option<Timestamp>,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether enough answers in a row were healthy.
    pub healthy: bool,
    /// Healthy answers in a row, this one included.
    pub so_far: Streak,
    /// What this answer said.
    pub answer: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let Self { answer, so_far, .. } = self;
        match (self.healthy, so_far.length) {
            (true, length) => Summary::done(format!("{answer}, {length} times in a row")),
            (false, 0) => Summary::waiting(answer),
            (false, _) => Summary::waiting(format!("{answer}; more answers in a row are needed")),
        }
    }
}

/// The step: asks the public name once whether the service is healthy.
#[derive(Debug)]
pub struct CheckHealth {
    aws: Aws,
    record: Record,
}

impl Step for CheckHealth {
    const NAME: &'static str = "check-health";
    const DESCRIPTION: &'static str = "Asks the public name once whether the service is healthy";
    const CHANGES: &'static [Change] = &[Change::Item("observed")];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let asked_at = self.aws.now();
        let answer = self
            .aws
            .get(&input.health.url, Duration::from_secs(input.health.timeout_seconds))
            .await;
        let (good, said) = judge(answer, &input.region);
        let so_far = next(input.so_far, good, asked_at);
        let healthy = so_far.length >= input.health.consecutive;
        if healthy {
            let sighting = Sighting {
                healthy_at: so_far.first_at,
                ..Sighting::default()
            };
            self.record.keep_observed(&input.recovery, sighting).await;
        }
        Ok(Output {
            healthy,
            so_far,
            answer: said,
        })
    }
}

fn judge(answer: Result<WebAnswer, String>, region: &str) -> (bool, String) {
    match Health::judge(answer) {
        Health::Healthy { region: answered } if answered.as_deref() == Some(region) => {
            (true, format!("healthy, from {region}"))
        }
        Health::Healthy { region: Some(answered) } => (
            false,
            format!("healthy, but from {answered}: the name has not moved yet"),
        ),
        Health::Healthy { region: None } => (
            false,
            "healthy, but it does not say from which Region; add \"region\" to the health answer".to_owned(),
        ),
        Health::Unhealthy { why } => (false, why),
    }
}

fn next(so_far: Streak, good: bool, asked_at: Timestamp) -> Streak {
    if !good {
        return Streak::default();
    }
    Streak {
        length: so_far.length.saturating_add(1),
        first_at: so_far.first_at.or(Some(asked_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_streak_remembers_its_first_answer_and_ends_with_a_bad_one() {
        let one = next(Streak::default(), true, at(10));
        let two = next(one, true, at(15));
        assert_eq!(
            two,
            Streak {
                length: 2,
                first_at: Some(at(10))
            }
        );
        assert_eq!(next(two, false, at(20)), Streak::default());
        assert_eq!(next(Streak::default(), true, at(25)).first_at, Some(at(25)));
    }

    #[test]
    fn only_the_region_that_took_over_counts() {
        let answer = |body: &str| {
            Ok(WebAnswer {
                status: 200,
                body: body.as_bytes().to_vec(),
            })
        };
        assert!(judge(answer(r#"{"status":"ok","region":"us-west-2"}"#), "us-west-2").0);
        assert!(!judge(answer(r#"{"status":"ok","region":"us-east-1"}"#), "us-west-2").0);
        assert!(!judge(answer(r#"{"status":"ok"}"#), "us-west-2").0);
        assert!(!judge(Err("no answer".to_owned()), "us-west-2").0);
    }
}
