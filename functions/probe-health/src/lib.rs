//! The outside probe: each minute it asks the public name, and publishes the metric behind the alarm.
//!
//! It runs in the standby Region, so that it survives the loss of the primary. It belongs to no recovery, changes
//! nothing, and has nothing to take back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::health::Health;
use shared::metric::{Datum, Metrics, Unit};
use shared::outside;
use shared::slices::{HealthSlice, ProbeSlice};
use shared::step::{Caller, Change, Step};
use shared::summary::{Summarise, Summary};

/// What to ask, and where to publish. The schedule passes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What counts as healthy.
    pub health: HealthSlice,
    /// The metric.
    pub probe: ProbeSlice,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the answer was healthy: the metric's value, 1 or 0.
    pub healthy: bool,
    /// Whether that was published: what is not healthy is not, where nothing outside answers either.
    pub published: bool,
    /// What the answer said.
    pub answer: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.healthy {
            true => Summary::done(&self.answer),
            false => Summary::failed(&self.answer),
        }
    }
}

/// The step.
#[derive(Debug)]
pub struct ProbeHealth {
    aws: Aws,
    metrics: Metrics,
}

impl Step for ProbeHealth {
    const NAME: &'static str = "probe-health";
    const DESCRIPTION: &'static str = "Asks the public name each minute, and publishes the metric behind the alarm";
    const CALLED_BY: &'static [Caller] = &[Caller::Schedule];
    const CHANGES: &'static [Change] = &[Change::Call("monitoring:PutMetricData")];
    // It is called each minute, and nobody waits for it.
    const TIME_LIMIT: Duration = Duration::from_secs(54);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            // A minute without a datapoint makes the impact known a minute too late.
            metrics: Metrics::new(&aws.at_leisure()),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        // The datapoint belongs to the minute in which was asked, not to the one in which waiting for an answer ended.
        let asked_at = self.aws.now();
        let answer = self
            .aws
            .get(&input.health.url, Duration::from_secs(input.health.timeout_seconds))
            .await;
        let ProbeSlice {
            namespace,
            metric,
            workload,
            outside,
        } = &input.probe;
        let (healthy, answer) = match Health::judge(answer) {
            Health::Healthy { region } => (
                true,
                format!("healthy, from {}", region.as_deref().unwrap_or("an unnamed Region")),
            ),
            Health::Unhealthy { why } => (false, why),
        };
        if let Some(outside) = outside.as_ref().filter(|_| !healthy)
            && let Err(unproved) = outside::prove(&self.aws, outside).await
        {
            // Who reaches nothing knows nothing. An alarm tells people of a probe that is silent.
            return Ok(Output {
                healthy,
                published: false,
                answer: format!("{answer}; not published, since this Region may have lost its way out: {unproved}"),
            });
        }
        let datum = Datum {
            name: metric,
            value: if healthy { 1.0 } else { 0.0 },
            unit: Unit::None,
        };
        self.metrics
            .publish(namespace, &[("Workload", workload)], asked_at, &[datum])
            .await?;
        Ok(Output {
            healthy,
            published: true,
            answer,
        })
    }
}
