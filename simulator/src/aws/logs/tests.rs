//! Tests of CloudWatch Logs, and of what clusters write there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::LOOKED_AT;
use crate::aws::rds::{LogStatement, NewCluster};
use crate::aws::secretsmanager::Login;
use crate::aws::service::reply_at_once;
use crate::aws::wire::Call;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::database::Value as Sql;
use crate::timings::{Range, Timings};

const REGION: &str = "us-east-1";
const CLUSTER: &str = "arn:aws:rds:us-east-1:123456789012:cluster:shop";
const GROUP: &str = "/aws/rds/cluster/shop/postgresql";
const ARRIVES_AFTER: Duration = Duration::from_secs(30);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A cluster whose log is exported, and whose lines take 30 s.
fn world(log: LogStatement) -> Arc<Cloud> {
    let timings = Timings {
        log_delivery: Range {
            from: ARRIVES_AFTER,
            to: ARRIVES_AFTER,
            source: "a test".to_owned(),
        },
        ..Timings::built_in().unwrap()
    };
    let cloud = Cloud::new("123456789012", 7, Clock::starting_at(at(0)), timings);
    let cluster = NewCluster {
        arn: CLUSTER.to_owned(),
        id: "shop".to_owned(),
        region: REGION.to_owned(),
        master: Login {
            user: "master".to_owned(),
            password: "of-the-test".to_owned(),
        },
    };
    cloud.rds.create_global_database(&cloud, "shops", &[cluster]).unwrap();
    let mut settings = cloud.rds.settings_of(CLUSTER).unwrap();
    settings.log_exports = vec!["postgresql".to_owned()];
    cloud.rds.set_log_statement(REGION, &settings.parameter_group, log);
    cloud.rds.set_settings(&cloud, CLUSTER, settings);
    cloud
}

fn run(cloud: &Cloud, sql: &str, parameters: &[(&str, i64)]) {
    let parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Sql::Integer(*value)));
    let ran = cloud.rds.execute(cloud, REGION, CLUSTER, sql, &parameters.collect());
    ran.unwrap();
}

/// What a request is answered with, or the code of its refusal.
fn asked(cloud: &Cloud, region: &str, body: &Value) -> Result<Value, String> {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amz-target", "Logs_20140328.FilterLogEvents".parse().unwrap());
    let call = Call {
        service: "logs".to_owned(),
        region: region.to_owned(),
        method: "POST".to_owned(),
        uri: format!("https://logs.{region}.amazonaws.com/"),
        path: "/".to_owned(),
        headers,
        body: body.to_string().into(),
    };
    let reply = reply_at_once(&*cloud.logs, cloud, &call);
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    match reply.status {
        200 => Ok(answer),
        _ => Err(answer["__type"].as_str().unwrap().to_owned()),
    }
}

/// The messages that a request finds.
fn messages(cloud: &Cloud, more: &Value) -> Vec<String> {
    let mut body = json!({ "logGroupName": GROUP });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = asked(cloud, REGION, &body).unwrap();
    let events = answer["events"].as_array().unwrap().iter();
    events
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_logs_what_its_parameter_group_says_once_the_lines_have_arrived() {
    let statements = [
        "CREATE TABLE sales (id BIGINT)",
        "INSERT INTO sales VALUES (:id)",
        "DELETE\nFROM sales",
        "SELECT id FROM sales",
    ];
    for (log, logged) in [
        (LogStatement::None, vec![]),
        (LogStatement::Ddl, vec!["statement: CREATE TABLE sales (id BIGINT)"]),
        (
            LogStatement::Mod,
            vec![
                "statement: CREATE TABLE sales (id BIGINT)",
                "execute <unnamed>: INSERT INTO sales VALUES ($1)",
                "statement: DELETE\n\tFROM sales",
            ],
        ),
    ] {
        let cloud = world(log);
        for sql in statements {
            let parameters: &[(&str, i64)] = if sql.contains(":id") { &[("id", 5)] } else { &[] };
            run(&cloud, sql, parameters);
        }
        assert_eq!(
            messages(&cloud, &json!({})),
            Vec::<String>::new(),
            "nothing has arrived yet"
        );
        tokio::time::sleep(ARRIVES_AFTER).await;
        let found = messages(&cloud, &json!({}));
        assert_eq!(
            found[0],
            "1970-01-01 00:00:00 UTC::@:[402]:LOG:  checkpoint starting: time"
        );
        let wanted: Vec<String> = logged
            .into_iter()
            .map(|text| format!("1970-01-01 00:00:00 UTC:10.0.1.5(53412):app@database:[4711]:LOG:  {text}"))
            .collect();
        assert_eq!(found[1..], wanted, "{log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_not_exported_has_no_group() {
    let cloud = world(LogStatement::All);
    let group = |name: &str| json!({ "logGroupName": name });
    assert!(asked(&cloud, REGION, &group(GROUP)).is_ok());
    for (region, name) in [(REGION, "/aws/rds/cluster/other/postgresql"), ("us-west-2", GROUP)] {
        let refused = asked(&cloud, region, &group(name)).unwrap_err();
        assert_eq!(refused, "ResourceNotFoundException");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_answered_in_pages() {
    let cloud = world(LogStatement::None);
    for second in 1..=2500 {
        let message = format!("line {second}");
        cloud.logs.write(&cloud, REGION, GROUP, at(second), message);
    }
    tokio::time::sleep(ARRIVES_AFTER).await;
    let mut body = json!({ "logGroupName": GROUP, "startTime": 2_000, "endTime": 2_400_000, "filterPattern": "%[Ll]ine\\s2|e\\s7$%" });
    let (mut pages, mut found) = (0, Vec::new());
    loop {
        let answer = asked(&cloud, REGION, &body).unwrap();
        pages += 1;
        found.extend(answer["events"].as_array().unwrap().clone());
        match answer.get("nextToken") {
            Some(token) => body["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(pages, 2500_usize.div_ceil(LOOKED_AT));
    // 2, 7, 20 to 29, 200 to 299, 2000 to 2400.
    assert_eq!(found.len(), 1 + 1 + 10 + 100 + 401);
    assert_eq!(found[0]["timestamp"], 2000);
    let limited = messages(&cloud, &json!({ "limit": 3 }));
    assert_eq!(limited.len(), 3);
}

#[test]
fn what_is_not_heeded_or_not_valid_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(async {
        let cloud = world(LogStatement::None);
        for (name, value, code) in [
            ("logStreamNames", json!(["1"]), "NotSimulated"),
            ("startFromHead", json!(false), "NotSimulated"),
            ("filterPattern", json!("?DELETE ?delete"), "NotSimulated"),
            ("filterPattern", json!("%(DELETE|delete)%"), "InvalidParameterException"),
            ("filterPattern", json!("%DELETE FROM%"), "InvalidParameterException"),
            ("limit", json!(0), "InvalidParameterException"),
            ("nextToken", json!("another"), "InvalidParameterException"),
        ] {
            let mut body = json!({ "logGroupName": GROUP });
            body[name] = value;
            assert_eq!(asked(&cloud, REGION, &body).unwrap_err(), code, "{body}");
        }
    });
}
