//! The SDK's retry quota, which must not carry anything from one simulation into another.
//!
//! The SDK keeps a bucket of tokens for each service and Region in the process, and a retry that was in vain uses some of
//! them up; when they are gone, nothing is tried again. A simulation would so depend on what ran before it, or runs beside
//! it. A client that is made from a shared configuration cannot be given a bucket of its own, so the buckets are filled
//! again before each operation: in the simulation the quota never runs out. (In Lambda each instance of a function has its
//! own, which a few dozen calls that fail in a row use up.)

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_smithy_runtime::client::retries::strategy::StandardRetryStrategy;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{Input, InterceptorContext};
use aws_smithy_runtime_api::client::retries::{RequestAttempts, RetryStrategy};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use aws_smithy_types::retry::RetryConfig;

use crate::lock::lock;

/// The SDK's own part that puts the process's bucket into an operation's configuration.
const PROVIDER: &str = "TokenBucketProvider";

/// The buckets that this simulation's clients draw from, by the SDK's name for them.
#[derive(Default)]
pub(crate) struct RetryQuotas {
    buckets: Mutex<BTreeMap<String, TokenBucket>>,
}

impl RetryQuotas {
    /// Fills the bucket of an operation that is about to begin. Errors: the SDK's.
    pub fn fill(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        let partition = config
            .load::<RetryPartition>()
            .ok_or("a client without a retry partition")?;
        let mut buckets = lock(&self.buckets);
        let name = partition.to_string();
        let bucket = match buckets.get(&name) {
            Some(bucket) => bucket,
            None => {
                let bucket = bucket_of(partition, components)?;
                buckets.entry(name).or_insert(bucket)
            }
        };
        if bucket.is_full() {
            return Ok(());
        }
        // Each success at the first try gives a token back, and an operation that has not failed is one.
        let strategy = StandardRetryStrategy::new();
        let success = InterceptorContext::new(Input::erase(()));
        let mut config = retry_config(partition);
        config.interceptor_state().store_put(bucket.clone());
        while !bucket.is_full() {
            strategy.should_attempt_retry(&success, components, &config)?;
        }
        Ok(())
    }
}

/// The process's bucket of a partition.
fn bucket_of(partition: &RetryPartition, components: &RuntimeComponents) -> Result<TokenBucket, BoxError> {
    let mut config = retry_config(partition);
    let provider = components
        .interceptors()
        .find(|interceptor| interceptor.name() == PROVIDER);
    let mut context = InterceptorContext::new(Input::erase(()));
    provider
        .ok_or("a client without a bucket of retry tokens")?
        .modify_before_retry_loop(&mut (&mut context).into(), components, &mut config)?;
    let bucket = config.load::<TokenBucket>().cloned();
    Ok(bucket.ok_or("the SDK gives no bucket of retry tokens")?)
}

fn retry_config(partition: &RetryPartition) -> ConfigBag {
    let mut layer = Layer::new("retry quota");
    layer.store_put(partition.clone());
    layer.store_put(RetryConfig::standard());
    layer.store_put(RequestAttempts::new(1));
    ConfigBag::of_layers(vec![layer])
}
