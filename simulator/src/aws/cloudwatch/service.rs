//! CloudWatch as a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::regions::CloudWatch;
use super::requests::PATH;
use super::wire::error;
use crate::aws::resources::{ANY, Resource, anything};
use crate::aws::service::{Answer, INTERNAL_FAILURE, Parts, RATE_EXCEEDED, Service, not_authorized, parts};
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::lock::lock;

impl Service for CloudWatch {
    fn endpoint(&self) -> Option<&'static str> {
        Some("monitoring")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        let operation = call.path.strip_prefix(PATH);
        operation.filter(|operation| !operation.is_empty()).map(Cow::Borrowed)
    }

    fn touched(&self, environment: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        if matches!(operation, "GetMetricData" | "ListMetrics") {
            return Some(anything());
        }
        let named: OfMetrics = ciborium::from_reader(call.body.as_ref()).ok()?;
        match operation {
            "PutMetricData" => Some(vec![
                Resource::new(ANY).with("cloudwatch:namespace", [named.namespace?]),
            ]),
            // "You can't return information about composite alarms if your cloudwatch:DescribeAlarms permission has a
            // narrower scope" than `*` (CloudWatch API Reference, DescribeAlarms).
            "DescribeAlarms" if named.alarm_types.iter().any(|kind| kind == "CompositeAlarm") => Some(anything()),
            "DescribeAlarms" => {
                let arn = |name: &str| {
                    format!(
                        "arn:aws:cloudwatch:{}:{}:alarm:{name}",
                        call.region, environment.account
                    )
                };
                Some(all_or(named.alarm_names, |name| Resource::new(arn(name))))
            }
            _ => None,
        }
    }

    fn throttled(&self, _: &Call) -> Reply {
        error(400, "Throttling", RATE_EXCEEDED)
    }

    fn denied(&self, call: &Call, operation: &str) -> Reply {
        error(403, "AccessDenied", &not_authorized(call, operation))
    }

    fn server_error(&self, _: &Call) -> Reply {
        error(500, "InternalServiceError", INTERNAL_FAILURE)
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    /// How each alarm is configured, by Region and name. Their states follow from metrics.
    fn snapshot(&self, _: &Environment) -> Parts {
        let mut alarms = BTreeMap::new();
        for (region, here) in lock(&self.regions).iter() {
            let metric = here
                .alarms
                .iter()
                .map(|(name, watch)| (name, format!("{:?}", watch.alarm)));
            let composite = here.composites.iter();
            let composite = composite.map(|(name, composite)| (name, format!("{:?}", composite.alarm)));
            let each = metric.chain(composite);
            alarms.extend(each.map(|(name, alarm)| (format!("{region}/{name}"), alarm)));
        }
        parts([("alarms", json!(alarms))])
    }

    /// How many values each Region's metrics of other namespaces than AWS's own have.
    fn journal(&self, _: &Environment) -> Parts {
        let regions = lock(&self.regions);
        let each = regions.iter().map(|(region, here)| (region, here.values_of_users()));
        let each = each.filter(|(_, values)| *values > 0.0);
        parts([("metric_values", json!(each.collect::<BTreeMap<_, _>>()))])
    }
}

/// As much of a call of CloudWatch as policies care for.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct OfMetrics {
    namespace: Option<String>,
    alarm_names: Vec<String>,
    alarm_types: Vec<String>,
}

/// What `arn` makes of each of `names`, or of every name where none is given.
fn all_or(names: Vec<String>, arn: impl Fn(&str) -> Resource) -> Vec<Resource> {
    match names.is_empty() {
        true => vec![arn(ANY)],
        false => names.iter().map(|name| arn(name)).collect(),
    }
}
