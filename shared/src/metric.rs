//! Publishing metrics of our own, through CloudWatch.

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use jiff::Timestamp;

use crate::aws::Aws;
use crate::error::StepError;

/// The metrics of the function's own Region.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: Client,
    region: String,
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// The value.
    pub value: f64,
    /// What it is measured in.
    pub unit: Unit,
}

/// What a value is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: it says yes or no.
    None,
    /// Seconds.
    Seconds,
}

impl Metrics {
    /// Makes the client and nothing else.
    pub fn new(aws: &Aws) -> Self {
        Self {
            client: Client::new(aws.config()),
            region: aws.region().to_owned(),
        }
    }

    /// Likewise, for where the metric must hold nothing up: one try, which may take `limit`.
    pub fn once(aws: &Aws, limit: Duration) -> Self {
        Self {
            client: Client::new(&aws.config_without_retries(limit)),
            region: aws.region().to_owned(),
        }
    }

    /// Publishes values of the moment `at`, with the same dimensions, in one call: CloudWatch takes all or none. Errors:
    /// AWS's own.
    pub async fn publish(
        &self,
        namespace: &str,
        dimensions: &[(&str, &str)],
        at: Timestamp,
        data: &[Datum<'_>],
    ) -> Result<(), StepError> {
        let dimensions: Vec<Dimension> = dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(*name).value(*value).build())
            .collect();
        let mut put = self.client.put_metric_data().namespace(namespace);
        for datum in data {
            let unit = match datum.unit {
                Unit::None => StandardUnit::None,
                Unit::Seconds => StandardUnit::Seconds,
            };
            let datum = MetricDatum::builder()
                .metric_name(datum.name)
                .set_dimensions(Some(dimensions.clone()))
                .timestamp(DateTime::from_millis(at.as_millisecond()))
                .unit(unit)
                .value(datum.value)
                .build();
            put = put.metric_data(datum);
        }
        put.send().await.map_err(|error| {
            let names: Vec<&str> = data.iter().map(|datum| datum.name).collect();
            let resource = format!("metric {namespace} {} in {}", names.join(", "), self.region);
            StepError::aws("cloudwatch:PutMetricData", &resource, error)
        })?;
        Ok(())
    }
}
