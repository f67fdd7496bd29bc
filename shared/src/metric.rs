//! Publishing metrics of our own, through CloudWatch.

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use jiff::Timestamp;

use crate::aws::Aws;
use crate::error::StepError;
use crate::measure::{Achieved, RpoStatus};
use crate::recovery::Mode;
use crate::slices::ProbeSlice;

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

    /// Those of `region`, for a person.
    pub fn in_region(aws: &Aws, region: &str) -> Self {
        Self {
            client: Client::new(&aws.config_to_change(region)),
            region: region.to_owned(),
        }
    }

    /// Publishes what a recovery achieved at the moment `at`: `AchievedRto` and `AchievedRpo`, in seconds, with the dimensions
    /// Workload, Scenario and Mode. What was not measured is left out, and gives false if that is all. Errors: AWS's own.
    pub async fn publish_achieved(
        &self,
        probe: &ProbeSlice,
        scenario: &str,
        mode: Mode,
        at: Timestamp,
        achieved: &Achieved,
    ) -> Result<bool, StepError> {
        let data = measured(achieved);
        if data.is_empty() {
            return Ok(false);
        }
        let dimensions = [
            ("Workload", probe.workload.as_str()),
            ("Scenario", scenario),
            ("Mode", mode.name()),
        ];
        self.publish(&probe.namespace, &dimensions, at, &data).await?;
        Ok(true)
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

/// What was measured, as metrics. What was not is left out: a metric that is missing is not taken for a zero.
fn measured(achieved: &Achieved) -> Vec<Datum<'static>> {
    // Beside measured times it would be the shortest of all.
    let name = match achieved.rto_is_at_least {
        true => "AchievedRtoAtLeast",
        false => "AchievedRto",
    };
    let rto = achieved.rto_seconds.map(|seconds| (name, seconds));
    let is_measured = achieved.rpo_status == RpoStatus::Measured;
    let rpo = achieved.rpo_seconds.filter(|_| is_measured);
    let rpo = rpo.map(|seconds| ("AchievedRpo", seconds));
    let data = rto.into_iter().chain(rpo);
    data.map(|(name, value)| Datum {
        name,
        value,
        unit: Unit::Seconds,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Observed, achieved};

    #[test]
    fn a_time_that_is_the_least_has_a_metric_of_its_own() {
        let achieved = Achieved {
            rto_seconds: Some(300.0),
            rto_is_at_least: true,
            ..achieved(&Observed::default())
        };
        let data = measured(&achieved);
        assert_eq!(data[0].name, "AchievedRtoAtLeast");
    }

    #[test]
    fn only_what_was_measured_is_published() {
        let published = |rto_seconds, rpo_status, rpo_seconds| {
            let achieved = Achieved {
                rto_seconds,
                rpo_status,
                rpo_seconds,
                ..achieved(&Observed::default())
            };
            let data = measured(&achieved);
            assert!(data.iter().all(|datum| datum.unit == Unit::Seconds));
            data.iter().map(|datum| (datum.name, datum.value)).collect::<Vec<_>>()
        };
        use RpoStatus::{Measured, NotApplicable, Unmeasured};
        let rto = ("AchievedRto", 300.0);
        // A loss of nothing that was measured is a measurement.
        for loss in [0.0, 4.0] {
            let expected = [rto, ("AchievedRpo", loss)];
            assert_eq!(published(Some(300.0), Measured, Some(loss)), expected);
        }
        assert_eq!(published(Some(300.0), Unmeasured, None), [rto]);
        assert_eq!(published(Some(300.0), NotApplicable, None), [rto]);
        assert_eq!(published(None, Measured, Some(4.0)), [("AchievedRpo", 4.0)]);
        assert_eq!(published(None, Unmeasured, Some(0.0)), []);
    }
}
