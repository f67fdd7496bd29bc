//! The outside probe: each minute it asks the public name, and publishes the metric behind the alarm.
//!
//! It runs in the recovery Region, so that it survives the loss of the primary. It belongs to no recovery, changes
//! nothing, and has nothing to take back.

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::health::Health;
use shared::slices::{HealthSlice, ProbeSlice};
use shared::step::Step;

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
    /// What the answer said.
    pub answer: String,
}

/// The step.
#[derive(Debug)]
pub struct ProbeHealth {
    aws: Aws,
    cloudwatch: Client,
}

impl Step for ProbeHealth {
    const NAME: &'static str = "probe-health";
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            cloudwatch: Client::new(aws.config()),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        // The datapoint belongs to the minute in which was asked, not to the one in which waiting for an answer ended.
        let asked_at = self.aws.now();
        let answer = self
            .aws
            .get(&input.health.url, Duration::from_secs(input.health.timeout_seconds))
            .await;
        let (healthy, answer) = match Health::judge(answer) {
            Health::Healthy { region } => (
                true,
                format!("healthy, from {}", region.as_deref().unwrap_or("an unnamed Region")),
            ),
            Health::Unhealthy { why } => (false, why),
        };
        let datum = MetricDatum::builder()
            .metric_name(&input.probe.metric)
            .dimensions(
                Dimension::builder()
                    .name("Workload")
                    .value(&input.probe.workload)
                    .build(),
            )
            .timestamp(DateTime::from_millis(asked_at.as_millisecond()))
            .unit(StandardUnit::None)
            .value(if healthy { 1.0 } else { 0.0 })
            .build();
        let resource = format!(
            "metric {} {} in {}",
            input.probe.namespace,
            input.probe.metric,
            self.aws.region()
        );
        self.cloudwatch
            .put_metric_data()
            .namespace(&input.probe.namespace)
            .metric_data(datum)
            .send()
            .await
            .map_err(|error| StepError::aws("cloudwatch:PutMetricData", &resource, error))?;
        Ok(Output { healthy, answer })
    }
}
