//! Lambda's control plane: functions with their environment, versions, aliases and reserved concurrency, and their event sources.

mod configuration;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use self::configuration::not_simulated;
pub use self::configuration::{Alias, Function};
use crate::aws::quota::Quota;
use crate::aws::wire::{Call, Reply, UNKNOWN};
use crate::environment::Environment;
use crate::lock::lock;

/// Concurrent executions of all functions of an account in a Region, until AWS is asked for more.
const CONCURRENCY: u32 = 1_000;
/// How many of them cannot be reserved.
const UNRESERVED: u32 = 100;
/// Control plane requests that an account may make in a Region in a second. Source: Lambda quotas, API requests.
const REQUESTS_PER_SECOND: usize = 15;
/// The most event source mappings in one answer. Source: Lambda API Reference, ListEventSourceMappings, MaxItems.
const PAGE: usize = 100;

/// How many of them may be `GetFunction`, beside the others. Source: Lambda quotas, API requests.
const LOOKS_PER_SECOND: usize = 100;

/// Lambda functions, by Region and name, and event source mappings, by Region and UUID.
pub struct Lambda {
    functions: Mutex<BTreeMap<(String, String), Function>>,
    event_sources: Mutex<BTreeMap<(String, String), Mapping>>,
    quota: Quota,
    /// That of `GetFunction`.
    quota_of_looks: Quota,
    /// Concurrent executions of a Region, where they are not the usual ones.
    quotas: Mutex<BTreeMap<String, u32>>,
    /// Regions in which other functions use up all concurrency that is not reserved.
    used_up: Mutex<BTreeSet<String>>,
    /// Invocations that began there since, by whether they were let in.
    while_used_up: Mutex<BTreeMap<bool, u64>>,
}

impl Default for Lambda {
    fn default() -> Self {
        Self {
            functions: Mutex::default(),
            event_sources: Mutex::default(),
            quota: Quota::new(REQUESTS_PER_SECOND, SignedDuration::from_secs(1)),
            quota_of_looks: Quota::new(LOOKS_PER_SECOND, SignedDuration::from_secs(1)),
            quotas: Mutex::default(),
            used_up: Mutex::default(),
            while_used_up: Mutex::default(),
        }
    }
}

/// An event source mapping as it is at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventSource {
    /// Its Region.
    pub region: String,
    /// Its UUID.
    pub uuid: String,
    /// The function that it invokes, with the version or alias where it names one: `router:live`.
    pub function: String,
    /// ARN of what it reads from.
    pub source_arn: String,
    /// `Enabled`, `Disabling`, `Disabled` or `Enabling`.
    pub state: &'static str,
}

struct Mapping {
    /// With the version or alias, where it names one.
    function: String,
    source_arn: String,
    /// What was asked for last.
    enabled: bool,
    /// When it was asked for, and when it holds; nothing before the first update.
    change: Option<(Timestamp, Timestamp)>,
    /// Until when it reads although it is disabled.
    still_polls_until: Option<Timestamp>,
}

impl Mapping {
    /// The function's name alone.
    fn name(&self) -> &str {
        self.function.split(':').next().unwrap_or_default()
    }

    fn is_changing(&self, now: Timestamp) -> bool {
        self.change.is_some_and(|(_, until)| now < until)
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match (self.enabled, self.is_changing(now)) {
            (true, true) => "Enabling",
            (true, false) => "Enabled",
            (false, true) => "Disabling",
            (false, false) => "Disabled",
        }
    }
}

impl Lambda {
    /// Makes a function.
    pub fn create_function(&self, region: &str, name: &str, function: Function) {
        lock(&self.functions).insert((region.to_owned(), name.to_owned()), function);
    }

    /// Deletes a function, if it is there.
    pub fn delete_function(&self, region: &str, name: &str) {
        lock(&self.functions).remove(&(region.to_owned(), name.to_owned()));
    }

    /// Deletes an event source mapping, if it is there.
    pub fn delete_event_source(&self, region: &str, uuid: &str) {
        lock(&self.event_sources).remove(&(region.to_owned(), uuid.to_owned()));
    }

    /// A function as it is now.
    pub fn function(&self, region: &str, name: &str) -> Option<Function> {
        self.look_at(region, name, Function::clone)
    }

    /// What `look` sees of a function, as it is now; nothing, if there is none.
    pub(crate) fn look_at<T>(&self, region: &str, name: &str, look: impl FnOnce(&Function) -> T) -> Option<T> {
        let functions = lock(&self.functions);
        functions.get(&(region.to_owned(), name.to_owned())).map(look)
    }

    /// Other functions of a Region use up all concurrency that is not reserved, or no more.
    pub fn use_up_concurrency(&self, region: &str, on: bool) {
        let mut used_up = lock(&self.used_up);
        match on {
            true => drop(used_up.insert(region.to_owned())),
            false => drop(used_up.remove(region)),
        }
    }

    /// Whether a Region's pool lets a function run that is invoked now, which has concurrency of its own or not.
    pub(crate) fn lets_in(&self, region: &str, is_reserved: bool) -> bool {
        if !lock(&self.used_up).contains(region) {
            return true;
        }
        *lock(&self.while_used_up).entry(is_reserved).or_default() += 1;
        is_reserved
    }

    /// How many functions were invoked while the concurrency of their Region was used up: those let in, and those throttled.
    pub fn invoked_while_used_up(&self) -> [u64; 2] {
        let counted = lock(&self.while_used_up);
        [true, false].map(|let_in| counted.get(&let_in).copied().unwrap_or_default())
    }

    /// Makes an event source mapping, enabled or disabled from the beginning; the function may be one's alias, as `router:live`.
    pub fn create_event_source(&self, region: &str, uuid: &str, function: &str, source_arn: &str, enabled: bool) {
        let mapping = Mapping {
            function: function.to_owned(),
            source_arn: source_arn.to_owned(),
            enabled,
            change: None,
            still_polls_until: None,
        };
        lock(&self.event_sources).insert((region.to_owned(), uuid.to_owned()), mapping);
    }

    /// All event source mappings as they are at `now`, by Region and UUID.
    pub fn event_sources(&self, now: Timestamp) -> Vec<EventSource> {
        let mappings = lock(&self.event_sources);
        let each = mappings.iter().map(|((region, uuid), mapping)| EventSource {
            region: region.clone(),
            uuid: uuid.clone(),
            function: mapping.function.clone(),
            source_arn: mapping.source_arn.clone(),
            state: mapping.state(now),
        });
        each.collect()
    }

    /// Whether an event source mapping of a Region reads from `source_arn` at `now`; one that is being disabled still does, and for
    /// a while one that says that it is.
    pub fn polls(&self, region: &str, source_arn: &str, now: Timestamp) -> bool {
        lock(&self.event_sources).iter().any(|((its_region, _), mapping)| {
            its_region == region
                && mapping.source_arn == source_arn
                && (matches!(mapping.state(now), "Enabled" | "Disabling")
                    || mapping.still_polls_until.is_some_and(|until| now < until))
        })
    }

    /// What an event source mapping invokes, with the version or alias; nothing, if there is no such mapping.
    fn function_of_event_source(&self, region: &str, uuid: &str) -> Option<String> {
        let mappings = lock(&self.event_sources);
        let mapping = mappings.get(&(region.to_owned(), uuid.to_owned()));
        mapping.map(|mapping| mapping.function.clone())
    }

    fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let name = call.path.trim_matches('/').split('/').nth(2).unwrap_or_default();
        let query = call.uri.split_once('?').map(|(_, query)| query);
        // A version or alias, or an ARN in place of the name.
        if operation == UNKNOWN
            || name.contains([':', '%'])
            || (query.is_some() && !["GetFunction", "ListEventSourceMappings"].contains(&operation))
        {
            return not_simulated(&format!("{} {}", call.method, call.uri));
        }
        match operation {
            "GetAccountSettings" => self.account_settings(&call.region),
            "ListEventSourceMappings" => self.list_event_sources(environment, &call.region, query.unwrap_or_default()),
            "GetEventSourceMapping" | "UpdateEventSourceMapping" => {
                self.on_event_source(operation, environment, &call.region, name, &call.body)
            }
            _ => self.on_function(operation, environment, call, name),
        }
    }

    /// `GetAccountSettings`: the concurrency of a Region, and what of it is not reserved.
    fn account_settings(&self, region: &str) -> Reply {
        let quota = self.concurrency(region);
        let functions = lock(&self.functions);
        let here = functions.iter().filter(|((its_region, _), _)| its_region == region);
        let reserved: u32 = here.filter_map(|(_, function)| function.reserved_concurrency).sum();
        let limit = json!({
            "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800, "TotalCodeSize": 80_530_636_800_u64,
            "ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": quota.saturating_sub(reserved),
        });
        Reply::json(
            200,
            &json!({ "AccountLimit": limit, "AccountUsage": { "FunctionCount": 0, "TotalCodeSize": 0 } }),
        )
    }

    /// Concurrent executions of all functions in a Region.
    fn concurrency(&self, region: &str) -> u32 {
        lock(&self.quotas).get(region).copied().unwrap_or(CONCURRENCY)
    }

    /// Sets the quota of a Region, which of a new account is small.
    pub fn set_concurrency(&self, region: &str, quota: u32) {
        lock(&self.quotas).insert(region.to_owned(), quota);
    }

    /// `ListEventSourceMappings`, all or those of one function. A page's marker is the UUID that the next page begins with.
    fn list_event_sources(&self, environment: &Environment, region: &str, query: &str) -> Reply {
        let parameters: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let known = ["FunctionName", "Marker", "MaxItems"];
        if let Some(name) = parameters.keys().find(|name| !known.contains(&name.as_str())) {
            return not_simulated(name);
        }
        let function = match parameters.get("FunctionName") {
            None => None,
            Some(name) => {
                let prefix = format!("arn:aws:lambda:{region}:{}:function:", environment.account);
                let name = name.strip_prefix(&prefix).unwrap_or(name);
                if name.contains(':') {
                    return not_simulated("a version, an alias or a partial ARN as FunctionName");
                }
                if self.function(region, name).is_none() {
                    let message = format!("Function not found: {name}");
                    return Reply::json_error(404, "ResourceNotFoundException", &message);
                }
                Some(name)
            }
        };
        let page = match parameters.get("MaxItems").map(|count| count.parse::<usize>()) {
            None => PAGE,
            Some(Ok(count @ 1..=10_000)) => count.min(PAGE),
            Some(_) => {
                let message = "MaxItems must be a number from 1 to 10000";
                return Reply::json_error(400, "InvalidParameterValueException", message);
            }
        };
        let mappings = lock(&self.event_sources);
        let from = parameters.get("Marker").cloned().unwrap_or_default();
        let mut found = mappings
            .range((region.to_owned(), from)..)
            .take_while(|((its_region, _), _)| its_region == region)
            .filter(|(_, mapping)| function.is_none_or(|name| mapping.name() == name));
        let listed: Vec<Value> = found
            .by_ref()
            .take(page)
            .map(|((_, uuid), mapping)| described(environment, region, uuid, mapping))
            .collect();
        let mut body = json!({ "EventSourceMappings": listed });
        if let Some(((_, next), _)) = found.next() {
            body["NextMarker"] = json!(next);
        }
        Reply::json(200, &body)
    }

    fn on_event_source(
        &self,
        operation: &str,
        environment: &Environment,
        region: &str,
        uuid: &str,
        body: &[u8],
    ) -> Reply {
        let now = environment.now();
        let mut mappings = lock(&self.event_sources);
        let Some(mapping) = mappings.get_mut(&(region.to_owned(), uuid.to_owned())) else {
            let message = "The resource you requested does not exist.";
            return Reply::json_error(404, "ResourceNotFoundException", message);
        };
        if operation == "GetEventSourceMapping" {
            return Reply::json(200, &described(environment, region, uuid, mapping));
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let fields = body.as_object().cloned().unwrap_or_default();
        if let Some(name) = fields.keys().find(|name| *name != "Enabled") {
            return not_simulated(name);
        }
        let Some(enabled) = fields.get("Enabled").and_then(Value::as_bool) else {
            return not_simulated("an update without Enabled");
        };
        if mapping.is_changing(now) {
            let message = "Cannot update the event source mapping because it is in use.";
            return Reply::json_error(400, "ResourceInUseException", message);
        }
        // Assumed: an update to what holds already changes nothing.
        if enabled != mapping.enabled {
            mapping.enabled = enabled;
            let takes = environment.draw("event-source-change", &environment.timings.event_source_change);
            let holds_at = now.checked_add(takes).unwrap_or(now);
            mapping.change = Some((now, holds_at));
            let still_polls = environment.draw("event-source-change", &environment.timings.event_source_still_polls);
            mapping.still_polls_until = (!enabled).then(|| holds_at.checked_add(still_polls).unwrap_or(holds_at));
        }
        Reply::json(202, &described(environment, region, uuid, mapping))
    }

    fn on_function(&self, operation: &str, environment: &Environment, call: &Call, name: &str) -> Reply {
        let (region, body) = (call.region.as_str(), &call.body[..]);
        let quota = self.concurrency(region);
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
            "GetFunctionConfiguration" => Reply::json(200, &function.shown(name, environment.now())),
            "GetFunction" => function.get(name, call, environment.now()),
            "UpdateFunctionConfiguration" => function.update(environment, name, body),
            "PublishVersion" => function.publish(environment, name, body),
            "GetAlias" | "UpdateAlias" => {
                let alias = call.path.rsplit('/').next().unwrap_or_default();
                function.alias(operation, name, alias, body)
            }
            "GetFunctionConcurrency" => Reply::json(200, &concurrency(function)),
            "PutFunctionConcurrency" => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let count = body.get("ReservedConcurrentExecutions").and_then(Value::as_u64);
                let Some(count) = count.and_then(|count| u32::try_from(count).ok()) else {
                    let message = "ReservedConcurrentExecutions must be a number from 0";
                    return Reply::json_error(400, "InvalidParameterValueException", message);
                };
                // Source: Lambda Developer Guide, "Configuring provisioned concurrency": it counts towards the reserved one, and cannot
                // be more. The words are those that LocalStack's tests took from AWS.
                let provisioned = function.provisioned_concurrency;
                if count < provisioned {
                    let message = format!(
                        "ReservedConcurrentExecutions  {count} should not be lower than function's total provisioned \
                         concurrency [{provisioned}]."
                    );
                    return Reply::json_error(400, "InvalidParameterValueException", &message);
                }
                if others.saturating_add(count) > quota.saturating_sub(UNRESERVED) {
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

fn described(environment: &Environment, region: &str, uuid: &str, mapping: &Mapping) -> Value {
    let account = &environment.account;
    let mut body = json!({
        "UUID": uuid,
        "BatchSize": 10,
        "EventSourceArn": mapping.source_arn,
        "EventSourceMappingArn": format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}"),
        "FunctionArn": format!("arn:aws:lambda:{region}:{account}:function:{}", mapping.function),
        "State": mapping.state(environment.now()),
        "StateTransitionReason": "USER_INITIATED",
    });
    if let Some((asked_at, _)) = mapping.change {
        body["LastModified"] = json!(asked_at.as_millisecond() as f64 / 1000.0);
    }
    body
}
