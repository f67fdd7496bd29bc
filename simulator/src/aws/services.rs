//! The services of an account, as the door finds them.

use std::sync::Arc;

use super::service::{Parts, Service};
use crate::environment::Environment;

/// The services of an account.
pub(crate) struct Services(Vec<Arc<dyn Service>>);

/// Where a call goes.
pub(super) struct Endpoint<'s, 'a> {
    pub service: &'s dyn Service,
    /// The service's name, also if it is not simulated.
    pub name: &'a str,
    pub region: &'a str,
}

impl Services {
    /// Errors: a text, if two of them have the same endpoint.
    pub fn new(services: Vec<Arc<dyn Service>>) -> Result<Self, String> {
        let mut endpoints: Vec<&str> = services.iter().filter_map(|service| service.endpoint()).collect();
        endpoints.sort_unstable();
        match endpoints.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("there are two services {}", pair[0])),
            None => Ok(Self(services)),
        }
    }

    /// Where a call to `host` goes; nothing, if that is no endpoint of AWS.
    pub(super) fn at<'s, 'a>(&'s self, host: &'a str) -> Option<Endpoint<'s, 'a>> {
        for service in &self.0 {
            if let Some((name, region)) = service.endpoint().zip(service.region_of(host)) {
                let service = &**service;
                return Some(Endpoint { service, name, region });
            }
        }
        let (name, region) = host.strip_suffix(".amazonaws.com")?.rsplit_once('.')?;
        let name = name.rsplit('.').next().unwrap_or(name);
        // Of a service that is simulated, there is no such endpoint.
        let is_known = self.0.iter().any(|service| service.endpoint() == Some(name));
        (!is_known).then_some(Endpoint {
            service: &NotSimulated,
            name,
            region,
        })
    }

    /// What all of them hold.
    pub fn snapshot(&self, environment: &Environment) -> Parts {
        together(self.0.iter().map(|service| service.snapshot(environment)))
    }

    /// What was left behind in all of them.
    pub fn journal(&self, environment: &Environment) -> Parts {
        together(self.0.iter().map(|service| service.journal(environment)))
    }
}

fn together(parts: impl Iterator<Item = Parts>) -> Parts {
    let mut all = Parts::new();
    for (name, part) in parts.flatten() {
        let before = all.insert(name, part);
        assert!(
            before.is_none(),
            "two services have a part of the same name: {before:?}"
        );
    }
    all
}

/// Stands for every service that is not simulated.
struct NotSimulated;

impl Service for NotSimulated {
    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::resources::{self, Resources};
    use crate::aws::wire::Call;
    use crate::clock::Clock;
    use crate::cloud::Cloud;
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
        let cloud = cloud();
        let host = format!("{service}.us-west-2.amazonaws.com");
        let service = cloud
            .services
            .at(&host)
            .map_or(&NotSimulated as &dyn Service, |at| at.service);
        resources::of(service.touched(&cloud, &call, operation), &call, operation)
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
            ("rds", "StopDBCluster", "/", "DBClusterIdentifier=c"),
            ("rds", "FailoverGlobalCluster", "/", "GlobalClusterIdentifier=g"),
            ("rds-data", "ExecuteStatement", "/Execute", r#"{"resourceArn":"c"}"#),
            ("route53", "GetChange", "/2013-04-01/change", ""),
            ("s3", "GetObject", "/bucket", ""),
            ("s3", "PutBucketPolicy", "/bucket/key", ""),
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
