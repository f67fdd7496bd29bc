//! API Gateway's REST APIs: stages with the settings of their methods, and whether these let customers through.
//!
//! Simplified: a limit above 0 is never reached, since no test has as many customers; a limit of 0 refuses everything from
//! the moment it is set, where API Gateway takes seconds and promises a best effort.

mod service;

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::quota::Quota;
use crate::aws::refusal::Refusal;
use crate::aws::wire::{Call, Reply, UNKNOWN};
use crate::environment::Environment;
use crate::lock::lock;

/// The key of the settings that hold for every method without its own.
pub const ALL_METHODS: &str = "*/*";

/// API Gateway's stages, by Region, REST API and name.
pub struct ApiGateway {
    stages: Mutex<BTreeMap<(String, String, String), Stage>>,
    quota: Quota,
}

impl Default for ApiGateway {
    fn default() -> Self {
        Self {
            stages: Mutex::default(),
            // API Gateway quotas, creating, deploying and managing an API: of all operations together 10 requests a second,
            // with a burst of 40.
            quota: Quota::new(40, SignedDuration::from_secs(4)),
        }
    }
}

/// One stage.
#[derive(Clone, Debug)]
struct Stage {
    settings: BTreeMap<String, MethodSettings>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The settings of a method of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodSettings {
    /// Whether CloudWatch gets metrics.
    pub metrics_enabled: bool,
    /// `OFF`, `ERROR` or `INFO`; nothing where it was never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging_level: Option<String>,
    /// Whether requests are logged in full.
    pub data_trace_enabled: bool,
    /// The most requests at once; -1 is no limit of its own.
    pub throttling_burst_limit: i32,
    /// The most requests a second; -1 is no limit of its own.
    pub throttling_rate_limit: f64,
    /// Whether answers are cached.
    pub caching_enabled: bool,
    /// How long, in seconds.
    pub cache_ttl_in_seconds: i32,
    /// Whether the cache is encrypted.
    pub cache_data_encrypted: bool,
    /// Whether clearing the cache needs authorisation.
    pub require_authorization_for_cache_control: bool,
    /// What happens without it.
    pub unauthorized_cache_control_header_strategy: String,
}

impl Default for MethodSettings {
    /// What an entry has where nothing was set, as the AWS CLI's reference of `update-stage` shows it in example 1: the
    /// limits are the account's, 10,000 requests a second and 5,000 at once.
    fn default() -> Self {
        Self {
            metrics_enabled: false,
            logging_level: None,
            data_trace_enabled: false,
            throttling_burst_limit: 5_000,
            throttling_rate_limit: 10_000.0,
            caching_enabled: false,
            cache_ttl_in_seconds: 300,
            cache_data_encrypted: false,
            require_authorization_for_cache_control: true,
            unauthorized_cache_control_header_strategy: "SUCCEED_WITH_RESPONSE_HEADER".to_owned(),
        }
    }
}

impl ApiGateway {
    /// Makes a stage with these settings, by method: `*/*`, or a resource's path with `~1` for `/`, and the HTTP method.
    pub fn create_stage(
        &self,
        environment: &Environment,
        region: &str,
        rest_api: &str,
        stage: &str,
        settings: BTreeMap<String, MethodSettings>,
    ) {
        let now = environment.now();
        let made = Stage {
            settings,
            created_at: now,
            updated_at: now,
        };
        lock(&self.stages).insert(key(region, rest_api, stage), made);
    }

    /// Deletes a stage, if it is there.
    pub fn delete_stage(&self, region: &str, rest_api: &str, stage: &str) {
        lock(&self.stages).remove(&key(region, rest_api, stage));
    }

    /// The settings of a stage, by method; nothing, if there is no such stage.
    pub fn settings(&self, region: &str, rest_api: &str, stage: &str) -> Option<BTreeMap<String, MethodSettings>> {
        let stages = lock(&self.stages);
        stages
            .get(&key(region, rest_api, stage))
            .map(|stage| stage.settings.clone())
    }

    /// Whether a stage refuses `GET path`: the method's own settings decide, those of all methods where it has none.
    pub(crate) fn throttles(&self, region: &str, rest_api: &str, stage: &str, path: &str) -> bool {
        let own = format!("{}/GET", path.replace('/', "~1"));
        lock(&self.stages)
            .get(&key(region, rest_api, stage))
            .is_some_and(|stage| {
                let settings = &stage.settings;
                let holds = settings.get(&own).or_else(|| settings.get(ALL_METHODS));
                holds.is_some_and(|limits| limits.throttling_rate_limit == 0.0 || limits.throttling_burst_limit == 0)
            })
    }

    fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let parts = parts(call);
        let result = match parts.as_slice() {
            [_, rest_api, _, stage] if operation != UNKNOWN && !call.uri.contains('?') => {
                self.on_stage(environment, call, operation, rest_api, stage)
            }
            _ => Err(not_simulated(&format!("{} {}", call.method, call.uri))),
        };
        match result {
            Ok(body) => Reply::json(200, &body),
            Err(Refusal(status, code, message)) => Reply::json_error(status, code, &message),
        }
    }

    fn on_stage(
        &self,
        environment: &Environment,
        call: &Call,
        operation: &str,
        rest_api: &str,
        stage: &str,
    ) -> Result<Value, Refusal> {
        let now = environment.now();
        let mut stages = lock(&self.stages);
        let not_found = |what: &str| {
            let message = format!("Invalid {what} identifier specified");
            Refusal(404, "NotFoundException", message)
        };
        let is_known = stages
            .keys()
            .any(|(region, api, _)| *region == call.region && api == rest_api);
        let found = stages.get_mut(&key(&call.region, rest_api, stage));
        let found = found.ok_or_else(|| not_found(if is_known { "stage" } else { "API" }))?;
        if operation == "UpdateStage" {
            let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            // All of the operations, or none.
            found.settings = patched(&found.settings, &body)?;
            found.updated_at = now;
        }
        Ok(json!({
            "stageName": stage,
            "deploymentId": "a1b2c3",
            "cacheClusterEnabled": false,
            "cacheClusterStatus": "NOT_AVAILABLE",
            "methodSettings": found.settings,
            "tracingEnabled": false,
            "createdDate": found.created_at.as_second(),
            "lastUpdatedDate": found.updated_at.as_second(),
        }))
    }
}

fn parts(call: &Call) -> Vec<&str> {
    call.path.trim_matches('/').split('/').collect()
}

fn key(region: &str, rest_api: &str, stage: &str) -> (String, String, String) {
    (region.to_owned(), rest_api.to_owned(), stage.to_owned())
}

fn bad(message: String) -> Refusal {
    Refusal(400, "BadRequestException", message)
}

fn not_simulated(what: &str) -> Refusal {
    let message = format!("the simulated API Gateway does not know {what}");
    Refusal(501, "NotSimulated", message)
}

/// The settings after the patch operations of `body`, one after the other.
fn patched(
    settings: &BTreeMap<String, MethodSettings>,
    body: &Value,
) -> Result<BTreeMap<String, MethodSettings>, Refusal> {
    let mut settings = settings.clone();
    if let Some(name) = body
        .as_object()
        .and_then(|body| body.keys().find(|name| *name != "patchOperations"))
    {
        return Err(not_simulated(name));
    }
    let operations = body.get("patchOperations").and_then(Value::as_array);
    for operation in operations.map(Vec::as_slice).unwrap_or_default() {
        patch(&mut settings, operation)?;
    }
    Ok(settings)
}

/// One patch operation. API Gateway's reference of patch operations has `replace` alone for every setting of a method;
/// that `remove` of the method takes all of them is what the AWS provider of Terraform relies on.
fn patch(settings: &mut BTreeMap<String, MethodSettings>, operation: &Value) -> Result<(), Refusal> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = text("path");
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    // API Gateway takes a path whose slashes are not escaped too.
    let is_method = |resource: &str, method: &str| {
        (resource == "*" || resource.starts_with("~1"))
            && (method == "*" || method.bytes().all(|byte| byte.is_ascii_uppercase()))
    };
    match (text("op"), parts.as_slice()) {
        ("remove", [resource, method, rest @ ..]) if is_method(resource, method) => {
            let method = format!("{resource}/{method}");
            if rest.is_empty() && settings.remove(&method).is_some() {
                return Ok(());
            }
            Err(bad(format!(
                "Cannot remove method setting {} because there is no method setting for this method",
                path.trim_start_matches('/')
            )))
        }
        ("replace", [resource, method, "throttling", limit @ ("rateLimit" | "burstLimit")])
            if is_method(resource, method) =>
        {
            let value = text("value");
            let wrong = || bad(format!("Invalid value for {path}: {value}"));
            let entry = settings.entry(format!("{resource}/{method}")).or_default();
            if *limit == "rateLimit" {
                let rate = value.parse::<f64>().ok().filter(|rate| *rate >= 0.0 || *rate == -1.0);
                entry.throttling_rate_limit = rate.filter(|rate| rate.is_finite()).ok_or_else(wrong)?;
            } else {
                let burst = value.parse::<i32>().ok().filter(|burst| *burst >= -1);
                entry.throttling_burst_limit = burst.ok_or_else(wrong)?;
            }
            Ok(())
        }
        ("add" | "copy" | "move" | "test", [_, _, "throttling", _]) => Err(bad(format!(
            "Invalid patch operation specified for {path}. Must be replace"
        ))),
        (op, _) => Err(not_simulated(&format!("the patch operation {op} on {path}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(op: &str, path: &str, value: &str) -> Value {
        json!({ "op": op, "path": path, "value": value })
    }

    fn after(operations: &[Value]) -> Result<BTreeMap<String, MethodSettings>, (u16, &'static str)> {
        let body = json!({ "patchOperations": operations });
        let before = BTreeMap::from([("~1order/GET".to_owned(), MethodSettings::default())]);
        patched(&before, &body).map_err(|Refusal(status, code, _)| (status, code))
    }

    #[test]
    fn a_limit_is_replaced_where_there_is_none_too() {
        let settings = after(&[
            operation("replace", "/*/*/throttling/rateLimit", "0"),
            operation("replace", "/~1order/GET/throttling/burstLimit", "7"),
        ])
        .unwrap();
        let expected = MethodSettings {
            throttling_rate_limit: 0.0,
            ..MethodSettings::default()
        };
        assert_eq!(settings[ALL_METHODS], expected);
        assert_eq!(settings["~1order/GET"].throttling_burst_limit, 7);
        assert_eq!(settings["~1order/GET"].throttling_rate_limit, 10_000.0);
    }

    #[test]
    fn a_method_is_removed_with_all_its_settings_or_refused() {
        assert!(after(&[operation("remove", "/~1order/GET", "")]).unwrap().is_empty());
        let refused = Err((400, "BadRequestException"));
        assert_eq!(after(&[operation("remove", "/*/*", "")]), refused);
        assert_eq!(
            after(&[operation("remove", "/~1order/GET/throttling/rateLimit", "")]),
            refused
        );
        let twice = [
            operation("remove", "/~1order/GET", ""),
            operation("remove", "/~1order/GET", ""),
        ];
        assert_eq!(after(&twice), refused);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_what_is_not_simulated_says_so() {
        for value in ["", "many", "-2", "NaN", "inf"] {
            let refused = after(&[operation("replace", "/*/*/throttling/rateLimit", value)]);
            assert_eq!(refused, Err((400, "BadRequestException")), "{value}");
            let refused = after(&[operation("replace", "/*/*/throttling/burstLimit", value)]);
            assert_eq!(refused, Err((400, "BadRequestException")), "{value}");
        }
        let add = operation("add", "/*/*/throttling/rateLimit", "1");
        assert_eq!(after(&[add]), Err((400, "BadRequestException")));
        for path in [
            "/*/*/logging/loglevel",
            "/description",
            "/order/GET/throttling/rateLimit",
        ] {
            assert_eq!(
                after(&[operation("replace", path, "1")]),
                Err((501, "NotSimulated")),
                "{path}"
            );
        }
    }
}
