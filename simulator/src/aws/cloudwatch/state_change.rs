//! The event of a change of state.

use serde_json::{Value, json};

use super::alarms::{State, Watch};
use super::metrics::Metric;
use super::times::whole_seconds;
use crate::environment::Environment;

/// The event of a change of state.
pub(super) fn event(environment: &Environment, region: &str, watch: &Watch, previous: &State) -> Value {
    let Watch { alarm, state, .. } = watch;
    let metric_stat = |metric: &Metric| {
        json!({
            "metric": { "dimensions": metric.dimensions, "name": metric.name, "namespace": metric.namespace },
            "period": whole_seconds(alarm.period),
            "stat": alarm.statistic.name(),
        })
    };
    let metrics = match alarm.or_metrics.is_empty() {
        true => vec![json!({ "id": watch.metric_id, "metricStat": metric_stat(&alarm.metric), "returnData": true })],
        false => {
            let expression = json!({ "id": "largest", "expression": alarm.expression(), "returnData": true });
            let each = alarm.metrics().enumerate();
            let each = each.map(|(index, metric)| {
                json!({ "id": format!("m{index}"), "metricStat": metric_stat(metric), "returnData": false })
            });
            std::iter::once(expression).chain(each).collect()
        }
    };
    let mut configuration = json!({ "metrics": metrics });
    if !alarm.description.is_empty() {
        configuration["description"] = json!(alarm.description);
    }
    state_change(
        environment,
        region,
        (&alarm.name, &watch.arn),
        configuration,
        previous,
        state,
    )
}

/// The event of an alarm of either kind: its name and ARN, how it is configured, and its state before and since.
pub(super) fn state_change(
    environment: &Environment,
    region: &str,
    (name, arn): (&str, &str),
    configuration: Value,
    previous: &State,
    state: &State,
) -> Value {
    json!({
        "version": "0",
        "id": uuid(environment),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": environment.account,
        "time": state.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": region,
        "resources": [arn],
        "detail": {
            "alarmName": name,
            "configuration": configuration,
            "previousState": previous.in_event(),
            "state": state.in_event(),
        },
    })
}

pub(super) fn uuid(environment: &Environment) -> String {
    let digits = format!("{:032x}", environment.chance("cloudwatch-ids", |rng| rng.u128(..)));
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}
