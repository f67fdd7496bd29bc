//! CloudWatch as the SDK's own client sees it, through the door.

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Metric, MetricDataQuery, MetricDatum, MetricStat};
use jiff::Timestamp;
use shared::plan::Plan;
use simulator::aws::door::Door;
use simulator::clock::Clock;
use simulator::cloud::{AwsCall, Cloud};
use simulator::timings::Timings;
use simulator::workload::Platform;

const HERE: &str = "us-west-2";
const ELSEWHERE: &str = "us-east-1";

fn time(text: &str) -> DateTime {
    DateTime::from_millis(text.parse::<Timestamp>().unwrap().as_millisecond())
}

async fn values(client: &Client) -> Option<(Vec<DateTime>, Vec<f64>)> {
    let metric = Metric::builder().namespace("Shops").metric_name("Open").build();
    let stat = MetricStat::builder().metric(metric).period(60).stat("Minimum").build();
    let call = client
        .get_metric_data()
        .start_time(time("2026-01-01T11:00:00Z"))
        .end_time(time("2026-01-01T13:00:00Z"))
        .metric_data_queries(MetricDataQuery::builder().id("open").metric_stat(stat).build());
    let result = call.send().await.ok()?.metric_data_results?.into_iter().next()?;
    Some((result.timestamps.unwrap_or_default(), result.values.unwrap_or_default()))
}

#[tokio::test(start_paused = true)]
async fn a_region_has_its_own_metrics_and_a_region_that_is_away_does_not_answer() {
    let plan: Plan = serde_saphyr::from_str(include_str!("../../../radiant.plan.yaml")).unwrap();
    let clock = Clock::starting_at("2026-01-01T12:00:30Z".parse().unwrap());
    let cloud = Cloud::new("123456789012", 7, clock, Timings::built_in().unwrap());
    let platform = Platform::deploy(&cloud, &plan).await.unwrap();
    let aws = Door::new(&cloud, &platform, "caller", HERE).aws("table");
    let (here, elsewhere) = (Client::new(aws.config()), Client::new(&aws.config_in(ELSEWHERE)));

    let datum = MetricDatum::builder().metric_name("Open").value(1.0).build();
    here.put_metric_data()
        .namespace("Shops")
        .metric_data(datum)
        .send()
        .await
        .unwrap();
    let minute = time("2026-01-01T12:00:00Z");
    assert_eq!(values(&here).await, Some((vec![minute], vec![1.0])));
    assert_eq!(values(&elsewhere).await, Some((vec![], vec![])));

    cloud.take_region_away(HERE);
    let asked_at = cloud.now();
    assert_eq!(values(&here).await, None);
    let waited = Duration::try_from(cloud.now().duration_since(asked_at)).unwrap();
    // As long as the caller's own time limit for a call.
    assert!((15_000..15_100).contains(&waited.as_millis()), "{waited:?}");

    let counted = |region: &str, operation: &str| {
        let call = AwsCall {
            function: "caller".into(),
            region: region.into(),
            service: "monitoring".into(),
            operation: operation.into(),
        };
        cloud.calls().get(&call).copied().unwrap_or_default()
    };
    assert_eq!((counted(HERE, "PutMetricData"), counted(HERE, "GetMetricData")), (1, 1));
    assert_eq!(counted(ELSEWHERE, "GetMetricData"), 1);
}
