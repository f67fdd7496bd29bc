//! What a call touches, as IAM names it: the ARNs that a policy has to allow, and the values of the condition keys by which
//! it decides where ARNs say too little.
//!
//! The forms of ARNs are those of the Service Authorization Reference, "Resource types defined by <service>", in the
//! partition `aws`. Only what came over the wire counts, and what the simulated account has: a call that is refused touches
//! what it asks for all the same, since its caller has to be allowed to ask.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::wire::Call;
use super::xml::Element;
use crate::cloud::Cloud;

/// Stands for the resource of an action for which IAM knows none.
pub const ANY: &str = "*";

/// What one call touches. Errors: a text that says which call names its resources in no way that is known here; it must
/// never pass for a call that touches nothing.
pub type Resources = Result<BTreeSet<Resource>, String>;

/// One thing that a call touches.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// Its ARN, or [`ANY`].
    pub arn: String,
    /// What the call does to it, where that is another operation than the call itself: `PutItem` within
    /// `TransactWriteItems`. IAM then asks for the action of this one.
    pub part: Option<&'static str>,
    /// The condition keys by which a policy can narrow this down, and the values that the call has for them.
    pub conditions: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Resource {
    fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            ..Self::default()
        }
    }

    fn with(mut self, key: &'static str, values: impl IntoIterator<Item = String>) -> Self {
        self.conditions.insert(key, values.into_iter().collect());
        self
    }
}

/// What `call`, which asks for `operation`, touches.
pub(super) fn touched_by(cloud: &Cloud, call: &Call, operation: &str) -> Resources {
    let touched = match call.service.as_str() {
        "apigateway" => of_apigateway(call, operation),
        "dynamodb" => of_dynamodb(cloud, call, operation),
        "health" => (operation == "DescribeEvents").then(anything),
        "lambda" => of_lambda(cloud, call, operation),
        "monitoring" => of_cloudwatch(cloud, call, operation),
        "rds" => of_rds(cloud, call, operation),
        "rds-data" => of_data_api(call),
        "route53" => of_route53(call, operation),
        "s3" => of_s3(call, operation),
        "sns" => parameter(&call.body, "TopicArn").map(|arn| vec![Resource::new(arn)]),
        "states" => of_states(call, operation),
        _ => None,
    };
    let touched = touched.filter(|touched| !touched.is_empty());
    touched
        .map(|touched| touched.into_iter().collect())
        .ok_or_else(|| unknown(call, operation))
}

/// The error that stands for the resources of a call of which none is known.
pub(super) fn unknown(call: &Call, operation: &str) -> String {
    let Call {
        service,
        region,
        method,
        path,
        ..
    } = call;
    format!(
        "{service}:{operation} ({method} {path} in {region}) touches nothing that is known; \
         simulator/src/aws/resources.rs has to say how it names its resources"
    )
}

/// What a call touches that names no resource of a kind that IAM knows.
fn anything() -> Vec<Resource> {
    vec![Resource::new(ANY)]
}

/// ARNs have no account here: API Gateway's never have.
fn of_apigateway(call: &Call, operation: &str) -> Option<Vec<Resource>> {
    let path = call.path.trim_end_matches('/');
    let is_known = matches!(operation, "GetStage" | "UpdateStage") && is_plain(path);
    is_known.then(|| vec![Resource::new(format!("arn:aws:apigateway:{}::{path}", call.region))])
}

/// As much of a call of DynamoDB as names tables.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct OfTables {
    table_name: Option<String>,
    index_name: Option<String>,
    transact_items: Vec<BTreeMap<String, OfTable>>,
    request_items: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct OfTable {
    #[serde(rename = "TableName")]
    name: String,
}

fn of_dynamodb(cloud: &Cloud, call: &Call, operation: &str) -> Option<Vec<Resource>> {
    let tables: OfTables = serde_json::from_slice(&call.body).ok()?;
    let arn = |name: &str| match name.starts_with("arn:") {
        true => name.to_owned(),
        false => format!("arn:aws:dynamodb:{}:{}:table/{name}", call.region, cloud.account),
    };
    match operation {
        "TransactGetItems" | "TransactWriteItems" => {
            let items = tables.transact_items.into_iter().flatten();
            let each = items.map(|(what, table)| {
                Some(Resource {
                    part: Some(part_of_transaction(&what)?),
                    ..Resource::new(arn(&table.name))
                })
            });
            each.collect()
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let names = tables.request_items.keys();
            Some(names.map(|name| Resource::new(arn(name))).collect())
        }
        _ => {
            let mut touched = arn(&tables.table_name?);
            if let Some(index) = tables.index_name {
                touched += &format!("/index/{index}");
            }
            Some(vec![Resource::new(touched)])
        }
    }
}

/// The operation whose permission governs an item of a transaction. Source: DynamoDB Developer Guide, "Using IAM with
/// DynamoDB transactions".
fn part_of_transaction(what: &str) -> Option<&'static str> {
    match what {
        "ConditionCheck" => Some("ConditionCheckItem"),
        "Delete" => Some("DeleteItem"),
        "Get" => Some("GetItem"),
        "Put" => Some("PutItem"),
        "Update" => Some("UpdateItem"),
        _ => None,
    }
}

fn of_lambda(cloud: &Cloud, call: &Call, operation: &str) -> Option<Vec<Resource>> {
    if operation == "ListEventSourceMappings" {
        return Some(anything());
    }
    let (region, account) = (&call.region, &cloud.account);
    let name = call.path.trim_matches('/').split('/').nth(2)?;
    if !is_plain(name) || name.contains(':') {
        return None;
    }
    let function_arn = |name: &str| format!("arn:aws:lambda:{region}:{account}:function:{name}");
    if !operation.ends_with("EventSourceMapping") {
        return Some(vec![Resource::new(function_arn(name))]);
    }
    let mapping = Resource::new(format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{name}"));
    // A mapping that is not there has no function that a policy could ask for.
    let function = cloud.lambda.function_of_event_source(region, name);
    Some(vec![match function {
        Some(function) => mapping.with("lambda:FunctionArn", [function_arn(&function)]),
        None => mapping,
    }])
}

/// As much of a call of CloudWatch as policies care for.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct OfMetrics {
    namespace: Option<String>,
    alarm_names: Vec<String>,
}

fn of_cloudwatch(cloud: &Cloud, call: &Call, operation: &str) -> Option<Vec<Resource>> {
    if operation == "GetMetricData" {
        return Some(anything());
    }
    let named: OfMetrics = ciborium::from_reader(call.body.as_ref()).ok()?;
    match operation {
        "PutMetricData" => Some(vec![
            Resource::new(ANY).with("cloudwatch:namespace", [named.namespace?]),
        ]),
        "DescribeAlarms" => {
            let arn = |name: &str| format!("arn:aws:cloudwatch:{}:{}:alarm:{name}", call.region, cloud.account);
            Some(all_or(named.alarm_names, |name| Resource::new(arn(name))))
        }
        _ => None,
    }
}

/// What `arn` makes of each of `names`, or of every name where none is given.
fn all_or(names: Vec<String>, arn: impl Fn(&str) -> Resource) -> Vec<Resource> {
    match names.is_empty() {
        true => vec![arn(ANY)],
        false => names.iter().map(|name| arn(name)).collect(),
    }
}

/// A move of the writer touches the global database and every cluster of it. Source: Application Recovery Controller
/// Developer Guide, "Aurora Global Database execution block sample policy"; the Service Authorization Reference has both
/// types as required and does not say which clusters.
fn of_rds(cloud: &Cloud, call: &Call, operation: &str) -> Option<Vec<Resource>> {
    let (region, account) = (&call.region, &cloud.account);
    let given = |name: &str| parameter(&call.body, name);
    let named = |kind: &str, name: &str| match name.starts_with("arn:") {
        true => Resource::new(name),
        false => Resource::new(format!("arn:aws:rds:{region}:{account}:{kind}:{name}")),
    };
    let global = |name: &str| Resource::new(format!("arn:aws:rds::{account}:global-cluster:{name}"));
    let any = || ANY.to_owned();
    match operation {
        "DescribeDBClusters" => Some(vec![named(
            "cluster",
            &given("DBClusterIdentifier").unwrap_or_else(any),
        )]),
        "DescribeDBInstances" => Some(vec![named("db", &given("DBInstanceIdentifier").unwrap_or_else(any))]),
        "DescribeGlobalClusters" => Some(vec![global(&given("GlobalClusterIdentifier").unwrap_or_else(any))]),
        "FailoverGlobalCluster" | "SwitchoverGlobalCluster" => {
            let name = given("GlobalClusterIdentifier")?;
            let mut touched = vec![global(&name), named("cluster", &given("TargetDbClusterIdentifier")?)];
            let members = cloud.rds.members_of(&name);
            touched.extend(members.into_iter().map(Resource::new));
            Some(touched)
        }
        _ => None,
    }
}

/// As much of a call of the Data API as names resources.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfCluster {
    resource_arn: String,
    secret_arn: String,
}

/// The cluster, and the secret, which the Data API reads with the caller's permissions.
fn of_data_api(call: &Call) -> Option<Vec<Resource>> {
    let OfCluster {
        resource_arn,
        secret_arn,
    } = serde_json::from_slice(&call.body).ok()?;
    Some(vec![Resource::new(resource_arn), Resource::new(secret_arn)])
}

fn of_route53(call: &Call, operation: &str) -> Option<Vec<Resource>> {
    let mut parts = call.path.trim_matches('/').split('/').skip(1);
    let (kind, id) = (parts.next()?, parts.next()?);
    if !matches!(kind, "change" | "healthcheck" | "hostedzone") || !is_plain(id) {
        return None;
    }
    let touched = Resource::new(format!("arn:aws:route53:::{kind}/{id}"));
    if operation != "ChangeResourceRecordSets" {
        return Some(vec![touched]);
    }
    // Keys and forms: Route 53 Developer Guide, "Using IAM policy conditions for fine-grained access control".
    let request = Element::read(std::str::from_utf8(&call.body).ok()?)?;
    let changes = &request.child("ChangeBatch")?.child("Changes")?.children;
    let texts = |name: &str| {
        let sets = changes.iter().filter_map(|change| change.child("ResourceRecordSet"));
        let each = sets.filter_map(|set| set.text_of(name)).map(str::to_owned);
        each.collect::<Vec<String>>()
    };
    let actions = changes.iter().filter_map(|change| change.text_of("Action"));
    let names = texts("Name").into_iter();
    let touched = touched
        .with(
            "route53:ChangeResourceRecordSetsNormalizedRecordNames",
            names.map(|name| name.trim_end_matches('.').to_ascii_lowercase()),
        )
        .with("route53:ChangeResourceRecordSetsRecordTypes", texts("Type"))
        .with("route53:ChangeResourceRecordSetsActions", actions.map(str::to_owned));
    Some(vec![touched])
}

/// An object, and for reads its bucket too: whoever may not list it is told 403 and not 404 of an object that is not there.
/// Source: S3 API Reference, GetObject and HeadObject, "Permissions".
fn of_s3(call: &Call, operation: &str) -> Option<Vec<Resource>> {
    let (bucket, key) = call.path.trim_start_matches('/').split_once('/')?;
    if key.is_empty() || !is_plain(key) {
        return None;
    }
    let bucket = format!("arn:aws:s3:::{bucket}");
    let mut touched = vec![Resource::new(format!("{bucket}/{key}"))];
    if matches!(operation, "GetObject" | "HeadObject") {
        touched.push(Resource::new(bucket));
    }
    Some(touched)
}

/// As much of a call of Step Functions as names resources.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OfExecution {
    execution_arn: Option<String>,
    state_machine_arn: Option<String>,
}

fn of_states(call: &Call, operation: &str) -> Option<Vec<Resource>> {
    // A task token names no resource that IAM could check.
    if operation.starts_with("SendTask") {
        return Some(anything());
    }
    let named: OfExecution = serde_json::from_slice(&call.body).ok()?;
    let arn = match operation {
        "StartExecution" => named.state_machine_arn,
        _ => named.execution_arn,
    };
    arn.map(|arn| vec![Resource::new(arn)])
}

/// A parameter of a call that speaks the query protocol, without reading what follows it.
fn parameter(body: &[u8], wanted: &str) -> Option<String> {
    let mut parameters = form_urlencoded::parse(body);
    let found = parameters.find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.into_owned())
}

/// Whether a part of a path stands for itself.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.contains('%')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::timings::Timings;

    fn cloud() -> Arc<Cloud> {
        let began_at = "2026-01-01T12:00:00Z".parse().unwrap();
        Cloud::new(
            "123456789012",
            1,
            Clock::starting_at(began_at),
            Timings::built_in().unwrap(),
        )
    }

    fn touched(service: &str, operation: &str, method: &str, path: &str, body: &str) -> Resources {
        let call = Call {
            service: service.to_owned(),
            region: "us-west-2".to_owned(),
            method: method.to_owned(),
            uri: format!("https://{service}.us-west-2.amazonaws.com{path}"),
            path: path.to_owned(),
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        touched_by(&cloud(), &call, operation)
    }

    fn arns(touched: Resources) -> Vec<String> {
        touched.unwrap().into_iter().map(|resource| resource.arn).collect()
    }

    #[test]
    fn what_is_not_known_is_an_error_that_names_the_call() {
        for (service, operation, path, body) in [
            ("ec2", "DescribeInstances", "/", ""),
            ("apigateway", "GetRestApis", "/restapis", ""),
            ("dynamodb", "GetItem", "/", "{}"),
            ("dynamodb", "GetItem", "/", "no JSON"),
            ("dynamodb", "BatchGetItem", "/", "{}"),
            ("dynamodb", "TransactWriteItems", "/", r#"{"TransactItems":[]}"#),
            (
                "dynamodb",
                "TransactWriteItems",
                "/",
                r#"{"TransactItems":[{"Upsert":{"TableName":"t"}}]}"#,
            ),
            (
                "lambda",
                "GetFunctionConfiguration",
                "/2015-03-31/functions/f:1/configuration",
                "",
            ),
            ("monitoring", "PutMetricData", "/", ""),
            ("rds", "DeleteDBCluster", "/", "DBClusterIdentifier=c"),
            ("rds", "FailoverGlobalCluster", "/", "GlobalClusterIdentifier=g"),
            ("rds-data", "ExecuteStatement", "/Execute", r#"{"resourceArn":"c"}"#),
            ("route53", "GetChange", "/2013-04-01/change", ""),
            ("s3", "GetObject", "/bucket", ""),
            ("s3", "GetObject", "/bucket/a%20key", ""),
            ("sns", "Publish", "/", "Message=m"),
            ("states", "StartExecution", "/", "{}"),
        ] {
            let error = touched(service, operation, "POST", path, body).unwrap_err();
            let named = format!("{service}:{operation} (POST {path} in us-west-2)");
            assert!(error.starts_with(&named), "{error}");
        }
    }

    #[test]
    fn where_no_name_is_given_every_name_is_touched() {
        let all = |operation: &str| arns(touched("rds", operation, "POST", "/", &format!("Action={operation}")));
        assert_eq!(
            all("DescribeDBClusters"),
            ["arn:aws:rds:us-west-2:123456789012:cluster:*"]
        );
        assert_eq!(all("DescribeDBInstances"), ["arn:aws:rds:us-west-2:123456789012:db:*"]);
        assert_eq!(
            all("DescribeGlobalClusters"),
            ["arn:aws:rds::123456789012:global-cluster:*"]
        );
    }

    #[test]
    fn an_instance_an_index_and_tables_of_batches_have_their_own_names() {
        let instance = touched("rds", "DescribeDBInstances", "POST", "/", "DBInstanceIdentifier=one");
        assert_eq!(arns(instance), ["arn:aws:rds:us-west-2:123456789012:db:one"]);
        let index = touched("dynamodb", "Query", "POST", "/", r#"{"TableName":"t","IndexName":"i"}"#);
        assert_eq!(arns(index), ["arn:aws:dynamodb:us-west-2:123456789012:table/t/index/i"]);
        let batch = touched(
            "dynamodb",
            "BatchGetItem",
            "POST",
            "/",
            r#"{"RequestItems":{"b":{},"a":{}}}"#,
        );
        let table = |name: &str| format!("arn:aws:dynamodb:us-west-2:123456789012:table/{name}");
        assert_eq!(arns(batch), [table("a"), table("b")]);
    }

    #[test]
    fn a_name_that_is_an_arn_already_stays_as_it_is() {
        let arn = "arn:aws:rds:us-east-1:123456789012:cluster:c";
        let cluster = touched(
            "rds",
            "DescribeDBClusters",
            "POST",
            "/",
            &format!("DBClusterIdentifier={arn}"),
        );
        assert_eq!(arns(cluster), [arn]);
        let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/t";
        let table = touched(
            "dynamodb",
            "GetItem",
            "POST",
            "/",
            &format!(r#"{{"TableName":"{arn}"}}"#),
        );
        assert_eq!(arns(table), [arn]);
    }
}
