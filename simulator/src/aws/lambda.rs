//! Lambda's control plane: functions with their environment and reserved concurrency.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::wire::{Answer, Call, Reply};
use crate::cloud::{Cloud, lock};

/// Concurrent executions of all functions of an account in a Region, until AWS is asked for more.
const CONCURRENCY: u32 = 1_000;
/// How many of them cannot be reserved.
const UNRESERVED: u32 = 100;
/// Control plane requests that an account may make in a Region in a second. Source: Lambda quotas, API requests.
const REQUESTS_PER_SECOND: usize = 15;

/// Lambda functions, by Region and name.
#[derive(Default)]
pub struct Lambda {
    functions: Mutex<BTreeMap<(String, String), Function>>,
    /// When the requests of the last second came, by Region.
    requests: Mutex<BTreeMap<String, VecDeque<Timestamp>>>,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its reserved concurrency: 0 means that it never runs, nothing that it shares the account's pool.
    pub reserved_concurrency: Option<u32>,
}

impl Lambda {
    /// Makes a function.
    pub fn create_function(&self, region: &str, name: &str, function: Function) {
        lock(&self.functions).insert((region.to_owned(), name.to_owned()), function);
    }

    /// A function as it is now.
    pub fn function(&self, region: &str, name: &str) -> Option<Function> {
        lock(&self.functions)
            .get(&(region.to_owned(), name.to_owned()))
            .cloned()
    }

    /// Whether one more request is within the quota now.
    fn is_within_quota(&self, region: &str, now: Timestamp) -> bool {
        let mut requests = lock(&self.requests);
        let requests = requests.entry(region.to_owned()).or_default();
        while requests
            .front()
            .is_some_and(|at| now.duration_since(*at) >= SignedDuration::from_secs(1))
        {
            requests.pop_front();
        }
        let is_within = requests.len() < REQUESTS_PER_SECOND;
        if is_within {
            requests.push_back(now);
        }
        is_within
    }

    pub(crate) fn answer(&self, cloud: &Cloud, call: &Call) -> Answer {
        let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
        let [version, "functions", name, what] = parts.as_slice() else {
            return unknown(call);
        };
        // A version or alias, or an ARN in place of the name.
        if call.uri.contains('?') || name.contains([':', '%']) {
            return unknown(call);
        }
        let operation = match (*version, call.method.as_str(), *what) {
            ("2015-03-31", "GET", "configuration") => "GetFunctionConfiguration",
            ("2019-09-30", "GET", "concurrency") => "GetFunctionConcurrency",
            ("2017-10-31", "PUT", "concurrency") => "PutFunctionConcurrency",
            ("2017-10-31", "DELETE", "concurrency") => "DeleteFunctionConcurrency",
            _ => return unknown(call),
        };
        let reply = if self.is_within_quota(&call.region, cloud.now()) {
            self.on_function(operation, &call.region, name, &call.body)
        } else {
            Reply::json_error(429, "TooManyRequestsException", "Rate exceeded")
        };
        Answer {
            operation: operation.to_owned(),
            reply,
        }
    }

    fn on_function(&self, operation: &str, region: &str, name: &str, body: &[u8]) -> Reply {
        let mut functions = lock(&self.functions);
        let others = functions
            .iter()
            .filter(|((its_region, its_name), _)| its_region == region && its_name != name)
            .map(|(_, function)| function.reserved_concurrency.unwrap_or_default())
            .sum::<u32>();
        let Some(function) = functions.get_mut(&(region.to_owned(), name.to_owned())) else {
            let message = format!("Function not found: {name}");
            return Reply::json_error(404, "ResourceNotFoundException", &message);
        };
        match operation {
            "GetFunctionConfiguration" => Reply::json(
                200,
                &json!({
                    "FunctionName": name,
                    "State": "Active",
                    "LastUpdateStatus": "Successful",
                    "Environment": { "Variables": function.environment },
                }),
            ),
            "GetFunctionConcurrency" => Reply::json(200, &concurrency(function)),
            "PutFunctionConcurrency" => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let count = body.get("ReservedConcurrentExecutions").and_then(Value::as_u64);
                let Some(count) = count.and_then(|count| u32::try_from(count).ok()) else {
                    let message = "ReservedConcurrentExecutions must be a number from 0";
                    return Reply::json_error(400, "InvalidParameterValueException", message);
                };
                if others.saturating_add(count) > CONCURRENCY - UNRESERVED {
                    let message = format!(
                        "Specified ReservedConcurrentExecutions for function decreases account's \
                         UnreservedConcurrentExecution below its minimum value of [{UNRESERVED}]."
                    );
                    return Reply::json_error(400, "InvalidParameterValueException", &message);
                }
                function.reserved_concurrency = Some(count);
                Reply::json(200, &concurrency(function))
            }
            _ => {
                function.reserved_concurrency = None;
                Reply::new(204, "application/json", "")
            }
        }
    }
}

fn concurrency(function: &Function) -> Value {
    match function.reserved_concurrency {
        Some(count) => json!({ "ReservedConcurrentExecutions": count }),
        None => json!({}),
    }
}

fn unknown(call: &Call) -> Answer {
    let message = format!("the simulated Lambda does not know {} {}", call.method, call.uri);
    Answer {
        operation: "(unknown)".to_owned(),
        reply: Reply::json_error(501, "NotSimulated", &message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_takes_fifteen_requests_a_second_in_each_region() {
        let lambda = Lambda::default();
        let at = |millisecond: i64| Timestamp::from_millisecond(millisecond).unwrap();
        let taken = (0..20)
            .filter(|call| lambda.is_within_quota("us-west-2", at(call * 10)))
            .count();
        assert_eq!(taken, 15);
        assert!(
            lambda.is_within_quota("us-east-1", at(200)),
            "another Region has its own"
        );
        assert!(!lambda.is_within_quota("us-west-2", at(999)));
        assert!(
            lambda.is_within_quota("us-west-2", at(1000)),
            "the first one is a second ago"
        );
    }
}
