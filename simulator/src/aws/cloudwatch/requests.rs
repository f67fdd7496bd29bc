//! What CloudWatch answers.

use ciborium::Value as Cbor;
use jiff::Timestamp;

use super::alarms::{Composite, Watch};
use super::metric_data::OLDEST_DATUM;
use super::metrics::Metric;
use super::regions::{CloudWatch, Regional};
use super::times::whole_seconds;
use super::values::StateValue;
use super::wire::{Fields, Refusal, not_simulated, refuse, text, validation};
use crate::aws::cbor::{cbor_map, cbor_reply, cbor_time};
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::lock::lock;

/// Where the SDK's protocol, Smithy RPC v2 CBOR, finds CloudWatch's operations.
pub(super) const PATH: &str = "/service/GraniteServiceVersion20100801/operation/";

/// The most metrics on a page (CloudWatch API Reference, ListMetrics).
const METRICS_LIMIT: usize = 500;

/// The most alarms on a page (CloudWatch API Reference, DescribeAlarms).
pub(super) const ALARMS_LIMIT: usize = 100;

impl CloudWatch {
    /// Answers PutMetricData, GetMetricData, ListMetrics and DescribeAlarms. Everything else, and every parameter that is not
    /// simulated, is the error `NotSimulated`, with status 501.
    pub(super) fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        match self.perform(environment, call, operation) {
            Ok(output) => cbor_reply(200, &output),
            Err(refusal) => refusal.reply(),
        }
    }

    pub(super) fn perform(&self, environment: &Environment, call: &Call, operation: &str) -> Result<Cbor, Refusal> {
        let header = |name| call.headers.get(name).and_then(|value| value.to_str().ok());
        if header("smithy-protocol") != Some("rpc-v2-cbor") {
            return Err(not_simulated("CloudWatch by another protocol than Smithy RPC v2 CBOR"));
        }
        if let Some(encoding) = header("content-encoding") {
            return Err(not_simulated(format!(
                "a body in {encoding}; turn request compression off, or send less"
            )));
        }
        let input = ciborium::from_reader::<Cbor, _>(call.body.as_ref())
            .map_err(|error| refuse("SerializationException", format!("the body is not CBOR: {error}")))?;
        let input = Fields::read(operation, input)?;
        let mut regions = lock(&self.regions);
        let here = regions.entry(call.region.clone()).or_default();
        match operation {
            "PutMetricData" => here.put_metric_data(environment.now(), input),
            "GetMetricData" => here.get_metric_data(input),
            "DescribeAlarms" => here.describe_alarms(input),
            "ListMetrics" => here.list_metrics(environment.now(), input),
            other => Err(not_simulated(format!("the operation {other}"))),
        }
    }
}

impl Regional {
    /// The metrics that have had data in the last two weeks, on one page.
    pub(super) fn list_metrics(&self, now: Timestamp, mut input: Fields) -> Result<Cbor, Refusal> {
        let namespace = input.text("Namespace")?;
        let name = input.text("MetricName")?;
        let mut filters = Vec::new();
        for filter in input.list("Dimensions")?.unwrap_or_default() {
            let mut filter = Fields::read("DimensionFilter", filter)?;
            filters.push((filter.required("Name", Fields::text)?, filter.text("Value")?));
            filter.end()?;
        }
        input.end()?;
        let oldest = now.checked_sub(OLDEST_DATUM).unwrap_or(now).as_second();
        let found = self.metrics.iter().filter(|(metric, minutes)| {
            namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == metric.namespace)
                && name.as_ref().is_none_or(|name| *name == metric.name)
                && filters.iter().all(|(name, value)| {
                    let has = metric.dimensions.get(name);
                    has.is_some_and(|has| value.as_ref().is_none_or(|value| value == has))
                })
                && minutes.keys().next_back().is_some_and(|newest| *newest >= oldest)
        });
        let found: Vec<Cbor> = found.map(|(metric, _)| cbor_map(described(metric))).collect();
        if found.len() > METRICS_LIMIT {
            return Err(not_simulated(format!(
                "more metrics ({}) than fit on a page",
                found.len()
            )));
        }
        Ok(cbor_map([("Metrics", Cbor::Array(found))]))
    }

    pub(super) fn describe_alarms(&self, mut input: Fields) -> Result<Cbor, Refusal> {
        let names = input.list("AlarmNames")?;
        let names = names.map(|names| {
            names
                .into_iter()
                .map(|name| text(name, "AlarmNames"))
                .collect::<Result<Vec<_>, _>>()
        });
        let names = names.transpose()?.filter(|names| !names.is_empty());
        let prefix = input.text("AlarmNamePrefix")?;
        let state = input.text("StateValue")?;
        let state: Option<StateValue> = state.map(|state| state.parse()).transpose().map_err(validation)?;
        let types = input.list("AlarmTypes")?.unwrap_or_default();
        let limit = input
            .integer("MaxRecords")?
            .map_or(Ok(ALARMS_LIMIT), usize::try_from)
            .unwrap_or_default();
        input.end()?;
        if names.is_some() && prefix.is_some() {
            return Err(refuse(
                "InvalidParameterCombination",
                "AlarmNamePrefix cannot be used with AlarmNames",
            ));
        }
        let types = types
            .into_iter()
            .map(|kind| text(kind, "AlarmTypes"))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(other) = types
            .iter()
            .find(|kind| !["MetricAlarm", "CompositeAlarm"].contains(&kind.as_str()))
        {
            return Err(not_simulated(format!("alarms of type {other}")));
        }
        let is_asked_for = |name: &str, value: StateValue| {
            names
                .as_ref()
                .is_none_or(|names| names.iter().any(|asked| asked == name))
                && prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
                && state.is_none_or(|state| state == value)
        };
        // "If you omit this parameter, only metric alarms are returned".
        let (mut metric, mut composite) = (Vec::new(), Vec::new());
        if types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm") {
            let found = self.alarms.values();
            let found = found.filter(|watch| is_asked_for(&watch.alarm.name, watch.state.value));
            metric.extend(found.map(Watch::described));
        }
        if types.iter().any(|kind| kind == "CompositeAlarm") {
            let found = self.composites.values();
            let found = found.filter(|composite| is_asked_for(&composite.alarm.name, composite.state.value));
            composite.extend(found.map(Composite::described));
        }
        let found = metric.len() + composite.len();
        if found > limit {
            return Err(not_simulated(format!(
                "more alarms ({found}) than fit on a page ({limit})"
            )));
        }
        Ok(cbor_map([
            ("MetricAlarms", Cbor::Array(metric)),
            ("CompositeAlarms", Cbor::Array(composite)),
        ]))
    }
}

/// A metric's fields.
fn described(metric: &Metric) -> [(&'static str, Cbor); 3] {
    let dimensions = metric.dimensions.iter();
    let dimensions =
        dimensions.map(|(name, value)| cbor_map([("Name", name.as_str().into()), ("Value", value.as_str().into())]));
    [
        ("MetricName", metric.name.as_str().into()),
        ("Namespace", metric.namespace.as_str().into()),
        ("Dimensions", Cbor::Array(dimensions.collect())),
    ]
}

impl Watch {
    pub(super) fn described(&self) -> Cbor {
        let Self { alarm, state, .. } = self;
        let mut fields = vec![
            ("AlarmName", Cbor::from(alarm.name.as_str())),
            ("AlarmArn", self.arn.as_str().into()),
            ("AlarmConfigurationUpdatedTimestamp", cbor_time(self.configured_at)),
            ("ActionsEnabled", alarm.actions_enabled.into()),
            ("OKActions", Cbor::Array(Vec::new())),
            ("AlarmActions", Cbor::Array(Vec::new())),
            ("InsufficientDataActions", Cbor::Array(Vec::new())),
            ("StateValue", state.value.name().into()),
            ("StateReason", state.reason.as_str().into()),
            ("StateUpdatedTimestamp", cbor_time(state.updated_at)),
            ("StateTransitionedTimestamp", cbor_time(state.updated_at)),
            ("EvaluationPeriods", alarm.evaluation_periods.into()),
            ("DatapointsToAlarm", alarm.datapoints_to_alarm.into()),
            ("Threshold", Cbor::Float(alarm.threshold)),
            ("ComparisonOperator", alarm.comparison.name().into()),
            ("TreatMissingData", alarm.treat_missing_data.name().into()),
        ];
        if alarm.or_metrics.is_empty() {
            fields.extend(described(&alarm.metric));
            fields.push(("Statistic", alarm.statistic.name().into()));
            fields.push(("Period", whole_seconds(alarm.period).into()));
        } else {
            let expression = cbor_map([
                ("Id", "largest".into()),
                ("Expression", alarm.expression().into()),
                ("ReturnData", true.into()),
            ]);
            let each = alarm.metrics().enumerate().map(|(index, metric)| {
                let stat = cbor_map([
                    ("Metric", cbor_map(described(metric))),
                    ("Period", whole_seconds(alarm.period).into()),
                    ("Stat", alarm.statistic.name().into()),
                ]);
                let id = format!("m{index}");
                cbor_map([("Id", id.into()), ("MetricStat", stat), ("ReturnData", false.into())])
            });
            fields.push((
                "Metrics",
                Cbor::Array(std::iter::once(expression).chain(each).collect()),
            ));
        }
        if !alarm.description.is_empty() {
            fields.push(("AlarmDescription", alarm.description.as_str().into()));
        }
        if let Some(data) = &state.reason_data {
            fields.push(("StateReasonData", data.as_str().into()));
        }
        Cbor::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}
