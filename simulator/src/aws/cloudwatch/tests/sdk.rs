//! Tests of what the SDK sees of CloudWatch.

use aws_credential_types::Credentials;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, Metric as SdkMetric, MetricDataQuery, MetricDatum, MetricStat, ScanBy, StandardUnit,
    StatisticSet,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::*;

/// Hands the SDK's requests to CloudWatch, without a network's delay.
#[derive(Clone)]
struct Wire(Arc<Cloud>);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut headers = http::HeaderMap::new();
        for (name, value) in request.headers() {
            headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let uri: http::Uri = request.uri().parse().unwrap();
        let call = Call {
            service: "monitoring".into(),
            region: REGION.into(),
            method: request.method().into(),
            uri: request.uri().into(),
            path: uri.path().into(),
            headers,
            body: Bytes::copy_from_slice(request.body().bytes().unwrap()),
        };
        assert!(request.uri().ends_with(&*self.0.cloudwatch.operation(&call).unwrap()));
        let reply = reply_at_once(&*self.0.cloudwatch, &self.0, &call);
        let mut response = HttpResponse::new(reply.status.try_into().unwrap(), SdkBody::from(reply.body));
        for (name, value) in reply.headers {
            response.headers_mut().insert(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn client(cloud: &Arc<Cloud>) -> Client {
    let config = aws_sdk_cloudwatch::Config::builder()
        .behavior_version(aws_sdk_cloudwatch::config::BehaviorVersion::latest())
        .region(aws_sdk_cloudwatch::config::Region::new(REGION))
        .credentials_provider(Credentials::new("SIMULATED", "SIMULATED", None, None, "test"))
        .time_source(cloud.clock)
        .http_client(Wire(Arc::clone(cloud)))
        .build();
    Client::from_conf(config)
}

fn datum() -> aws_sdk_cloudwatch::types::builders::MetricDatumBuilder {
    MetricDatum::builder()
        .metric_name("Healthy")
        .dimensions(Dimension::builder().name("Workload").value("shop").build())
        .unit(StandardUnit::None)
}

fn sdk_time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

async fn put(client: &Client, namespace: &str, datum: MetricDatum) -> Result<(), (String, String)> {
    coded(
        client
            .put_metric_data()
            .namespace(namespace)
            .metric_data(datum)
            .send()
            .await,
    )
    .map(|_| ())
}

fn coded<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> Result<T, (String, String)> {
    result.map_err(|error| {
        let error = error.as_service_error().expect("an answer");
        (
            error.code().unwrap_or_default().to_owned(),
            error.message().unwrap_or_default().to_owned(),
        )
    })
}

fn query(stat: &str, period: i32) -> MetricDataQuery {
    let dimension = Dimension::builder().name("Workload").value("shop").build();
    let metric = SdkMetric::builder()
        .namespace("Shop")
        .metric_name("Healthy")
        .dimensions(dimension)
        .build();
    let stat = MetricStat::builder().metric(metric).period(period).stat(stat).build();
    MetricDataQuery::builder()
        .id(format!("q{period}"))
        .metric_stat(stat)
        .build()
}

#[tokio::test(start_paused = true)]
async fn the_sdk_puts_data_and_gets_them_back_by_period() {
    let cloud = cloud();
    let client = client(&cloud);
    for (time, value) in [
        ("11:57:10.250", 4.0),
        ("11:58:59.999", 1.0),
        ("11:58:00", 3.0),
        ("12:00:10", 9.0),
    ] {
        put(
            &client,
            "Shop",
            datum().timestamp(sdk_time(at(time))).value(value).build(),
        )
        .await
        .unwrap();
    }
    // Without a time it is now: 12:00:30.
    put(
        &client,
        "Shop",
        datum()
            .set_values(Some(vec![1.0, 5.0]))
            .set_counts(Some(vec![2.0, 1.0]))
            .build(),
    )
    .await
    .unwrap();
    let get = |queries: Vec<MetricDataQuery>, scan: Option<ScanBy>, from: &str, to: &str| {
        let call = client
            .get_metric_data()
            .start_time(sdk_time(at(from)))
            .end_time(sdk_time(at(to)));
        call.set_metric_data_queries(Some(queries)).set_scan_by(scan).send()
    };
    let minutes = |output: &aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput, index: usize| {
        let result = &output.metric_data_results()[index];
        let times = result
            .timestamps()
            .iter()
            .map(|time| second(time.secs()).strftime("%H:%M:%S").to_string());
        times
            .zip(result.values().iter().copied())
            .collect::<Vec<(String, f64)>>()
    };
    let found = |list: &[(&str, f64)]| {
        list.iter()
            .map(|(at, value)| ((*at).to_owned(), *value))
            .collect::<Vec<_>>()
    };
    let output = get(
        vec![query("Minimum", 60), query("Sum", 300)],
        None,
        "11:57:30",
        "12:00:31",
    )
    .await
    .unwrap();
    assert_eq!(
        minutes(&output, 0),
        found(&[("12:00:00", 1.0), ("11:58:00", 1.0), ("11:57:00", 4.0)])
    );
    assert_eq!(minutes(&output, 1), found(&[("12:00:00", 16.0), ("11:55:00", 8.0)]));
    let result = &output.metric_data_results()[0];
    assert_eq!((result.id(), result.label()), (Some("q60"), Some("Healthy")));
    assert_eq!(result.status_code().map(|code| code.as_str()), Some("Complete"));
    // The end is not included, the start is.
    let output = get(
        vec![query("Average", 60)],
        Some(ScanBy::TimestampAscending),
        "11:57:00",
        "12:00:00",
    )
    .await
    .unwrap();
    assert_eq!(minutes(&output, 0), found(&[("11:57:00", 4.0), ("11:58:00", 2.0)]));
    for (stat, expected) in [("SampleCount", 4.0), ("Maximum", 9.0), ("Average", 4.0)] {
        let output = get(vec![query(stat, 60)], None, "12:00:00", "12:01:00").await.unwrap();
        assert_eq!(minutes(&output, 0), found(&[("12:00:00", expected)]), "{stat}");
    }
    // Another metric, another Region's: nothing.
    let other = SdkMetric::builder().namespace("Shop").metric_name("Healthy").build();
    let stat = MetricStat::builder().metric(other).period(60).stat("Sum").build();
    let other = MetricDataQuery::builder().id("other").metric_stat(stat).build();
    let output = get(vec![other], None, "11:00:00", "13:00:00").await.unwrap();
    assert_eq!(minutes(&output, 0), found(&[]));
    cloud.cloudwatch.publish("us-east-1", &metric(), at("12:00:00"), 99.0);
    let output = get(vec![query("Maximum", 60)], None, "12:00:00", "12:01:00")
        .await
        .unwrap();
    assert_eq!(minutes(&output, 0), found(&[("12:00:00", 9.0)]));
}

#[tokio::test(start_paused = true)]
async fn what_aws_refuses_is_refused_and_what_is_not_simulated_too() {
    let cloud = cloud();
    let client = client(&cloud);
    let code = |result: Result<(), (String, String)>| result.unwrap_err().0;
    assert_eq!(
        code(put(&client, "AWS/RDS", datum().value(1.0).build()).await),
        "InvalidParameterValue"
    );
    assert_eq!(code(put(&client, "Shop", datum().build()).await), "MissingParameter");
    assert_eq!(
        code(put(&client, "Shop", datum().value(f64::NAN).build()).await),
        "InvalidParameterValue"
    );
    let both = datum().value(1.0).values(1.0).build();
    assert_eq!(code(put(&client, "Shop", both).await), "InvalidParameterCombination");
    let uneven = datum().values(1.0).counts(1.0).counts(2.0).build();
    assert_eq!(code(put(&client, "Shop", uneven).await), "InvalidParameterValue");
    for (time, refused) in [
        (-15 * 86_400, true),
        (-13 * 86_400, false),
        (3 * 3_600, true),
        (3_600, false),
    ] {
        let time = sdk_time(cloud.now().checked_add(SignedDuration::from_secs(time)).unwrap());
        assert_eq!(
            put(&client, "Shop", datum().timestamp(time).value(1.0).build())
                .await
                .is_err(),
            refused
        );
    }
    let set = StatisticSet::builder()
        .sample_count(1.0)
        .sum(1.0)
        .minimum(1.0)
        .maximum(1.0)
        .build();
    let (code, message) = put(&client, "Shop", datum().statistic_values(set).build())
        .await
        .unwrap_err();
    assert_eq!(code, "NotSimulated");
    assert!(message.contains("StatisticValues in MetricDatum"), "{message}");
    let (code, _) = put(&client, "Shop", datum().value(1.0).storage_resolution(1).build())
        .await
        .unwrap_err();
    assert_eq!(code, "NotSimulated");

    let get = |query: MetricDataQuery, from: &str| {
        let call = client
            .get_metric_data()
            .start_time(sdk_time(at(from)))
            .end_time(sdk_time(at("12:00:00")));
        let call = call.metric_data_queries(query).send();
        async move { coded(call.await).map(|_| ()).unwrap_err() }
    };
    assert_eq!(get(query("Sum", 60), "12:00:00").await.0, "ValidationError");
    let math = MetricDataQuery::builder().id("m").expression("q60 * 2").build();
    let (code, message) = get(math, "11:00:00").await;
    assert_eq!(code, "NotSimulated");
    assert!(message.contains("Expression"), "{message}");
    assert_eq!(get(query("p99", 60), "11:00:00").await.0, "NotSimulated");
    assert_eq!(get(query("Sum", 10), "11:00:00").await.0, "NotSimulated");
    let (code, message) = coded(client.list_dashboards().send().await).map(|_| ()).unwrap_err();
    assert_eq!(code, "NotSimulated");
    assert!(message.contains("ListDashboards"), "{message}");

    // Above 10 KB the SDK compresses.
    let many = vec![datum().value(1.0).build(); 500];
    let put = client
        .put_metric_data()
        .namespace("Shop")
        .set_metric_data(Some(many))
        .send()
        .await;
    let (code, message) = coded(put).map(|_| ()).unwrap_err();
    assert_eq!(code, "NotSimulated");
    assert!(message.contains("gzip"), "{message}");
    assert!(
        lock(&cloud.cloudwatch.regions)[REGION].metrics[&metric()].len() == 2,
        "the two that were taken"
    );
}

#[tokio::test(start_paused = true)]
async fn the_sdk_describes_alarms() {
    let (cloud, _) = run_alarm(MissingData::Breaching, Some(0.0)).await;
    let client = client(&cloud);
    let other = Alarm {
        name: "other".into(),
        period: Duration::from_secs(3600),
        ..alarm(1, 1, MissingData::Ignore)
    };
    cloud.cloudwatch.put_alarm(&cloud, REGION, other).unwrap();
    let output = client
        .describe_alarms()
        .alarm_names("down")
        .alarm_names("absent")
        .send()
        .await
        .unwrap();
    let [alarm] = output.metric_alarms() else {
        panic!("{output:?}")
    };
    assert_eq!(alarm.state_value().map(|state| state.as_str()), Some("ALARM"));
    assert!(
        alarm
            .state_reason()
            .unwrap()
            .starts_with("Threshold Crossed: 3 out of the last 3 datapoints [0.0")
    );
    assert!(
        alarm
            .state_reason_data()
            .unwrap()
            .contains("\"queryDate\":\"2026-01-01T12:08:")
    );
    let updated = alarm.state_updated_timestamp().unwrap();
    assert!((0..=240).contains(&(updated.secs() - at("12:08:00").as_second())));
    assert_eq!(
        alarm.alarm_arn(),
        Some("arn:aws:cloudwatch:us-west-2:123456789012:alarm:down")
    );
    assert_eq!(
        (alarm.period(), alarm.evaluation_periods(), alarm.datapoints_to_alarm()),
        (Some(60), Some(3), Some(3))
    );
    assert_eq!(
        (alarm.threshold(), alarm.treat_missing_data()),
        (Some(1.0), Some("breaching"))
    );
    assert_eq!(
        alarm.comparison_operator().map(|c| c.as_str()),
        Some("LessThanThreshold")
    );
    assert_eq!(
        (alarm.namespace(), alarm.metric_name()),
        (Some("Shop"), Some("Healthy"))
    );
    assert_eq!(alarm.dimensions()[0].value(), Some("shop"));
    assert_eq!(alarm.actions_enabled(), Some(true));
    let all = client.describe_alarms().send().await.unwrap();
    assert_eq!(all.metric_alarms().len(), 2);
    let unknown = client
        .describe_alarms()
        .state_value("INSUFFICIENT_DATA".into())
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.metric_alarms()[0].alarm_name(), Some("other"));
    assert_eq!(
        unknown.metric_alarms()[0].state_reason(),
        Some("Unchecked: Initial alarm creation")
    );
    let page = coded(client.describe_alarms().max_records(1).send().await)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(page.0, "NotSimulated");
    let combined = client
        .describe_alarms()
        .alarm_names("down")
        .alarm_name_prefix("d")
        .send()
        .await;
    assert_eq!(
        coded(combined).map(|_| ()).unwrap_err().0,
        "InvalidParameterCombination"
    );
    // Composite alarms are given to those who ask for them.
    let suppressor = Suppressor {
        alarm: "other".into(),
        wait: Duration::from_secs(1),
        extension: Duration::from_secs(60),
    };
    let composite = CompositeAlarm {
        name: "either".into(),
        description: "One of them".into(),
        rule: "ALARM(down) OR ALARM(other)".into(),
        actions_enabled: true,
        suppressor: Some(suppressor),
    };
    cloud.cloudwatch.put_composite_alarm(&cloud, REGION, composite).unwrap();
    let all = client.describe_alarms().send().await.unwrap();
    assert_eq!((all.metric_alarms().len(), all.composite_alarms().len()), (2, 0));
    let types = [AlarmType::MetricAlarm, AlarmType::CompositeAlarm];
    let all = client
        .describe_alarms()
        .set_alarm_types(Some(types.into()))
        .send()
        .await
        .unwrap();
    assert_eq!(all.metric_alarms().len(), 2);
    let [either] = all.composite_alarms() else {
        panic!("{all:?}")
    };
    assert_eq!(
        (either.alarm_name(), either.alarm_rule(), either.actions_suppressor()),
        (Some("either"), Some("ALARM(down) OR ALARM(other)"), Some("other"))
    );
    assert_eq!(either.state_value().map(|state| state.as_str()), Some("ALARM"));
    assert_eq!(either.actions_suppressed_by().map(|by| by.as_str()), Some("WaitPeriod"));
    assert_eq!(
        either.actions_suppressed_reason(),
        Some("Actions suppressed by WaitPeriod")
    );
    assert_eq!(
        (
            either.actions_suppressor_wait_period(),
            either.actions_suppressor_extension_period()
        ),
        (Some(1), Some(60))
    );
    assert!(either.state_reason_data().unwrap().contains("alarm:down"));
    let logs = client.describe_alarms().alarm_types("LogAlarm".into()).send().await;
    assert_eq!(coded(logs).map(|_| ()).unwrap_err().0, "NotSimulated");
    // A change keeps the state.
    cloud
        .cloudwatch
        .put_alarm(&cloud, REGION, self::alarm(2, 3, MissingData::Breaching))
        .unwrap();
    let output = client.describe_alarms().alarm_names("down").send().await.unwrap();
    assert_eq!(
        output.metric_alarms()[0].state_value().map(|state| state.as_str()),
        Some("ALARM")
    );
    assert_eq!(output.metric_alarms()[0].datapoints_to_alarm(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_set_lasts_until_the_next_evaluation_and_both_are_told() {
    let (cloud, _) = run_alarm(MissingData::Breaching, Some(1.0)).await;
    let mut deliveries = cloud.events.deliveries();
    cloud.cloudwatch.publish(REGION, &metric(), cloud.now(), 1.0);
    let set = |state, reason: &str| cloud.cloudwatch.set_alarm_state(&cloud, REGION, "down", state, reason);
    let set_at = cloud.now();
    set(StateValue::Alarm, "a drill").unwrap();
    let described = client(&cloud)
        .describe_alarms()
        .alarm_names("down")
        .send()
        .await
        .unwrap();
    let alarm = &described.metric_alarms()[0];
    assert_eq!(
        (alarm.state_value().map(|state| state.as_str()), alarm.state_reason()),
        (Some("ALARM"), Some("a drill"))
    );
    assert_eq!(alarm.state_reason_data(), None);
    tokio::time::sleep(Duration::from_secs(85)).await;
    let states = |delivery: &Delivery| {
        let of = |state: &str| delivery.input["detail"][state]["value"].as_str().unwrap().to_owned();
        (of("previousState"), of("state"))
    };
    let (flapped, back) = (deliveries.try_recv().unwrap(), deliveries.try_recv().unwrap());
    assert_eq!(states(&flapped), ("OK".to_owned(), "ALARM".to_owned()));
    assert_eq!(flapped.input["detail"]["state"]["reason"], "a drill");
    assert_eq!(flapped.input["detail"]["state"].get("reasonData"), None);
    assert_eq!(states(&back), ("ALARM".to_owned(), "OK".to_owned()));
    assert_eq!(back.input["detail"]["previousState"]["reason"], "a drill");
    let lasted = changed_at(&back).duration_since(set_at).as_secs_f64();
    assert!((0.0..=80.0).contains(&lasted), "{lasted} s");

    // The state that it has is no change.
    set(StateValue::Ok, "a drill").unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(deliveries.try_recv().is_err());
    assert!(set(StateValue::Alarm, &"x".repeat(1024)).is_err());
    let nobody = cloud
        .cloudwatch
        .set_alarm_state(&cloud, "us-east-1", "down", StateValue::Alarm, "");
    assert!(nobody.unwrap_err().contains("no alarm"));
    cloud.take_away(REGION, Reach::Apis);
    assert!(set(StateValue::Alarm, "").is_err());
}
