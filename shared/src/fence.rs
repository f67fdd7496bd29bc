//! What stops a Region's writes, and lets it write again: functions' reserved concurrency, their event sources, the
//! throttling of the API's stage. Looked at and changed through clients of one Region, no faster than it takes calls.
//!
//! It is no proof that nothing writes: executions that run already go on to their end, and API Gateway applies throttling
//! on a best-effort basis.

mod noted;
mod restore;
mod serving;
mod setting;
mod shut;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_apigateway::types::MethodSetting;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use tokio::time::Instant;

pub use crate::calls::side_by_side;
pub use noted::{Noted, Standing, standing};
pub use serving::{may_run, opened};
pub use setting::{EVERY_METHOD, Looked, Setting, Throttling};
pub use shut::{open, seen_and_not, why_open};

use crate::arn::Arn;
use crate::aws::Aws;
use crate::calls::{Calls, LAMBDA_PACE};
use crate::error::{ErrorKind, StepError};
use crate::plan::Function;
use crate::record::Resource;
use crate::slices::ApiSlice;

/// Time between calls to API Gateway. Source: API Gateway quotas: management operations, 10 a second all together.
const API_PACE: Duration = Duration::from_millis(125);
/// Time to open a connection to a Region that may be down.
const CONNECT: Duration = Duration::from_secs(1);
/// Time for one try of a call to it.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Time for a call to it, all tries together. The first call that takes it is the last one.
const OPERATION: Duration = Duration::from_secs(4);

/// What can be fenced in one Region.
#[derive(Debug)]
pub struct Fence {
    region: String,
    lambda: aws_sdk_lambda::Client,
    lambda_calls: Calls,
    api: aws_sdk_apigateway::Client,
    api_calls: Calls,
}

/// How many concurrent executions of functions a Region allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// All.
    pub limit: i32,
    /// Those that no function has reserved.
    pub unreserved: i32,
}

/// How many an account must leave unreserved (Lambda Developer Guide, "Configuring reserved concurrency for a function").
pub const STAYS_UNRESERVED: i32 = 100;

impl Fence {
    /// This Region's, with `limit` for everything together; what is left then is not done. A service that asks for fewer
    /// calls is given the time: this goes on beside the promotion.
    pub fn here(aws: &Aws, limit: Duration) -> Self {
        Self::new(aws.at_leisure().config(), aws.region(), limit)
    }

    /// Those of a Region that may be down, with `limit` for everything together; what is left then is not done. Where a
    /// service does not answer a call within 4 s, it is not called again.
    pub fn in_region(aws: &Aws, region: &str, limit: Duration) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let config = aws
            .config()
            .to_builder()
            .region(Region::new(region.to_owned()))
            .timeout_config(timeouts)
            .build();
        Self::new(&config, region, limit)
    }

    fn new(config: &SdkConfig, region: &str, limit: Duration) -> Self {
        let until = Instant::now() + limit;
        Self {
            region: region.to_owned(),
            lambda: aws_sdk_lambda::Client::new(config),
            lambda_calls: Calls::new(LAMBDA_PACE, until),
            api: aws_sdk_apigateway::Client::new(config),
            api_calls: Calls::new(API_PACE, until),
        }
    }

    /// Looks at everything that can be fenced: the functions, their event sources, the stage.
    pub async fn look(&self, functions: &[Function], api: &ApiSlice) -> Vec<Looked> {
        let (mut all, sources, stage) = tokio::join!(
            self.look_at_functions(functions),
            self.look_at_event_sources(functions),
            self.look_at_stage(api),
        );
        all.extend(sources);
        all.push(stage);
        all
    }

    /// Looks at these functions, in their order.
    pub async fn look_at_functions(&self, functions: &[Function]) -> Vec<Looked> {
        let each = functions.iter().map(|function| async {
            Looked {
                resource: Resource::function(&function.name, &self.region),
                setting: self.function(&function.name).await,
            }
        });
        side_by_side(each.collect()).await
    }

    /// Looks at the event sources of these functions. Where they cannot be listed, that is the one thing that was looked at.
    pub async fn look_at_event_sources(&self, functions: &[Function]) -> Vec<Looked> {
        let mappings = match self.mappings().await {
            Ok(mappings) => mappings,
            Err(error) => {
                return vec![Looked {
                    resource: Resource::event_sources(&self.region),
                    setting: Err(error),
                }];
            }
        };
        let ours = mappings
            .into_iter()
            .filter(|mapping| functions.iter().any(|function| function.name == mapping.function));
        let each = ours.map(|mapping| Looked {
            resource: mapping.to(false).resource(&self.region),
            setting: mapping.setting(&self.region),
        });
        each.collect()
    }

    /// Looks at the stage.
    pub async fn look_at_stage(&self, api: &ApiSlice) -> Looked {
        Looked {
            resource: Resource::stage(&api.rest_api, &api.stage, &self.region),
            setting: self.stage(&api.rest_api, &api.stage).await,
        }
    }

    /// Looks at these again, in their order.
    pub async fn look_again(&self, settings: &[Setting]) -> Vec<Result<Setting, StepError>> {
        let has_mappings = settings
            .iter()
            .any(|setting| matches!(setting, Setting::EventSource { .. }));
        let mappings = async {
            if has_mappings {
                self.mappings().await
            } else {
                Ok(Vec::new())
            }
        };
        let others = settings.iter().map(|setting| async move {
            match setting {
                Setting::Function { name, .. } => Some(self.function(name).await),
                Setting::Stage { rest_api, stage, .. } => Some(self.stage(rest_api, stage).await),
                Setting::EventSource { .. } => None,
            }
        });
        let (mappings, others) = tokio::join!(mappings, side_by_side(others.collect()));
        let mapping = |setting: &Setting| {
            let Setting::EventSource { uuid, .. } = setting else {
                return Err(StepError::new(
                    ErrorKind::Internal,
                    "not an event source; this is a defect",
                ));
            };
            let mapping = mappings
                .as_ref()
                .map_err(StepError::clone)?
                .iter()
                .find(|mapping| mapping.uuid == *uuid);
            let missing = || {
                let text = format!("{} no longer exists", setting.resource(&self.region));
                StepError::new(ErrorKind::NotFound, text)
            };
            mapping.ok_or_else(missing)?.setting(&self.region)
        };
        let both = settings.iter().zip(others);
        both.map(|(setting, other)| other.unwrap_or_else(|| mapping(setting)))
            .collect()
    }

    /// Makes settings what they are to be, side by side: `from` is what was found, `to` the same resource as it is to be.
    /// Gives what became of each, in their order. Errors: `LimitExceeded` of a function that runs without its reservation, since AWS
    /// refuses that.
    pub async fn change(&self, changes: &[(Setting, Setting)]) -> Vec<Result<(), StepError>> {
        side_by_side(changes.iter().map(|(from, to)| self.set(from, to)).collect()).await
    }

    /// How many concurrent executions Lambda allows in the Region.
    pub async fn concurrency(&self) -> Result<Concurrency, StepError> {
        let resource = format!("Lambda's quota in {}", self.region);
        let call = self.lambda.get_account_settings();
        let settings = self
            .lambda_calls
            .make("lambda:GetAccountSettings", &resource, call.send())
            .await?;
        let limit = settings.account_limit();
        Ok(Concurrency {
            limit: limit.map(|limit| limit.concurrent_executions()).unwrap_or_default(),
            unreserved: limit
                .and_then(|limit| limit.unreserved_concurrent_executions())
                .unwrap_or_default(),
        })
    }

    /// How these functions are configured, in their order.
    pub async fn configurations(
        &self,
        functions: &[Function],
    ) -> Vec<Result<GetFunctionConfigurationOutput, StepError>> {
        let each = functions.iter().map(|function| {
            let call = self.lambda.get_function_configuration().function_name(&function.name);
            let resource = Resource::function(&function.name, &self.region);
            async move {
                self.lambda_calls
                    .make("lambda:GetFunctionConfiguration", &resource.text, call.send())
                    .await
            }
        });
        side_by_side(each.collect()).await
    }

    async fn function(&self, name: &str) -> Result<Setting, StepError> {
        let call = self.lambda.get_function_concurrency().function_name(name);
        let resource = Resource::function(name, &self.region);
        let output = self
            .lambda_calls
            .make("lambda:GetFunctionConcurrency", &resource.text, call.send())
            .await?;
        Ok(Setting::Function {
            name: name.to_owned(),
            reserved_concurrency: output.reserved_concurrent_executions(),
        })
    }

    async fn stage(&self, rest_api: &str, stage: &str) -> Result<Setting, StepError> {
        let call = self.api.get_stage().rest_api_id(rest_api).stage_name(stage);
        let resource = Resource::stage(rest_api, stage, &self.region);
        let output = self
            .api_calls
            .make("apigateway:GetStage", &resource.text, call.send())
            .await?;
        Ok(Setting::Stage {
            rest_api: rest_api.to_owned(),
            stage: stage.to_owned(),
            throttling: output.method_settings().map(throttling).unwrap_or_default(),
        })
    }

    /// All event source mappings of the Region: a hundred in one call, where asking by function is a call for each.
    async fn mappings(&self) -> Result<Vec<Mapping>, StepError> {
        let resource = format!("the event sources in {}", self.region);
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let call = self.lambda.list_event_source_mappings().set_marker(marker);
            let page = self
                .lambda_calls
                .make("lambda:ListEventSourceMappings", &resource, call.send())
                .await?;
            let mappings = page.event_source_mappings().iter().filter_map(|mapping| {
                Mapping::from_aws(
                    mapping.uuid()?,
                    mapping.function_arn()?,
                    mapping.state().unwrap_or_default(),
                )
            });
            found.extend(mappings);
            marker = page.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    async fn unreserve(&self, function: &str) -> Result<(), StepError> {
        let call = self.lambda.delete_function_concurrency().function_name(function);
        let resource = Resource::function(function, &self.region);
        let made = self
            .lambda_calls
            .make("lambda:DeleteFunctionConcurrency", &resource.text, call.send());
        made.await.map(drop)
    }

    async fn set(&self, from: &Setting, to: &Setting) -> Result<(), StepError> {
        let resource = to.resource(&self.region);
        match (from, to) {
            (
                _,
                Setting::Function {
                    name,
                    reserved_concurrency: Some(count),
                },
            ) => {
                let call = self.lambda.put_function_concurrency().function_name(name);
                let call = call.reserved_concurrent_executions(*count).send();
                let made = self
                    .lambda_calls
                    .make("lambda:PutFunctionConcurrency", &resource.text, call);
                match made.await {
                    // Other functions have reserved what is left. One that shares the pool runs; one that stays at 0 does not.
                    Err(error) if *count > 0 && error.kind == ErrorKind::InvalidInput => {
                        self.unreserve(name).await?;
                        let text = format!("{resource} runs without its reserved concurrency of {count}: {error}");
                        Err(StepError::new(ErrorKind::LimitExceeded, text))
                    }
                    made => made.map(drop),
                }
            }
            (_, Setting::Function { name, .. }) => self.unreserve(name).await,
            (_, Setting::EventSource { uuid, enabled, .. }) => {
                let call = self.lambda.update_event_source_mapping().uuid(uuid).enabled(*enabled);
                let made = self
                    .lambda_calls
                    .make("lambda:UpdateEventSourceMapping", &resource.text, call.send());
                made.await.map(drop)
            }
            (
                Setting::Stage { throttling: from, .. },
                Setting::Stage {
                    rest_api,
                    stage,
                    throttling: to,
                },
            ) => {
                let call = self.api.update_stage().rest_api_id(rest_api).stage_name(stage);
                let call = call.set_patch_operations(Some(setting::patch(from, to)));
                let made = self
                    .api_calls
                    .make("apigateway:UpdateStage", &resource.text, call.send());
                made.await.map(drop)
            }
            (_, Setting::Stage { .. }) => {
                let text = format!("{resource} cannot be changed to a setting of another kind; this is a defect");
                Err(StepError::new(ErrorKind::Internal, text))
            }
        }
    }
}

/// An event source mapping.
struct Mapping {
    uuid: String,
    function: String,
    state: String,
}

impl Mapping {
    /// Nothing, if it is being deleted.
    fn from_aws(uuid: &str, function_arn: &str, state: &str) -> Option<Self> {
        let function = Arn::read(function_arn)?.name_of("lambda", "function")?.to_owned();
        (state != "Deleting").then(|| Self {
            uuid: uuid.to_owned(),
            function,
            state: state.to_owned(),
        })
    }

    /// What it is set to. One that is being disabled counts as disabled: it does not go back by itself. Errors:
    /// `Conflict` in a state that does not say which.
    fn setting(&self, region: &str) -> Result<Setting, StepError> {
        match self.state.as_str() {
            "Enabled" | "Enabling" => Ok(self.to(true)),
            "Disabled" | "Disabling" => Ok(self.to(false)),
            other => {
                let text = format!(
                    "{} is {other}; check what else changes it",
                    self.to(false).resource(region)
                );
                Err(StepError::new(ErrorKind::Conflict, text))
            }
        }
    }

    fn to(&self, enabled: bool) -> Setting {
        Setting::EventSource {
            uuid: self.uuid.clone(),
            function: self.function.clone(),
            enabled,
        }
    }
}

fn throttling(settings: &HashMap<String, MethodSetting>) -> BTreeMap<String, Throttling> {
    let each = settings.iter().map(|(method, setting)| {
        let limits = Throttling {
            rate: setting.throttling_rate_limit(),
            burst: setting.throttling_burst_limit(),
        };
        (method.clone(), limits)
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_source_that_is_on_its_way_counts_as_where_it_goes() {
        let state = |state: &str| {
            let arn = "arn:aws:lambda:us-east-1:123456789012:function:router:live";
            let mapping = Mapping::from_aws("u", arn, state)?;
            assert_eq!(mapping.function, "router");
            Some(mapping.setting("us-east-1").map(|setting| !setting.is_fenced()))
        };
        assert_eq!(state("Enabling"), Some(Ok(true)));
        assert_eq!(state("Disabling"), Some(Ok(false)));
        assert_eq!(state("Deleting"), None);
        assert_eq!(state("Updating").unwrap().unwrap_err().kind, ErrorKind::Conflict);
    }
}
