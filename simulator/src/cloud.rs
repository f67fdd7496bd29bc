//! The simulated AWS: two Regions' services behind one door, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use serde_json::Value;

use crate::aws::apigateway::ApiGateway;
use crate::aws::cloudwatch::CloudWatch;
use crate::aws::dynamodb::DynamoDb;
use crate::aws::elasticache::ElastiCache;
use crate::aws::events::Events;
use crate::aws::health::Health;
use crate::aws::iam::Iam;
use crate::aws::lambda::Lambda;
use crate::aws::logs::Logs;
use crate::aws::rds::Rds;
use crate::aws::rds::data_api::DataApi;
use crate::aws::retry_quota::RetryQuotas;
use crate::aws::route53::Route53;
use crate::aws::s3::S3;
use crate::aws::secretsmanager::SecretsManager;
use crate::aws::service::Service;
use crate::aws::services::Services;
use crate::aws::sns::Sns;
use crate::aws::states::Executions;
use crate::calls::Calls;
use crate::clock::Clock;
use crate::environment::Environment;
use crate::lock::lock;
use crate::timings::Timings;

pub use crate::calls::{AwsCall, Moment, Touched, Watcher};
pub use crate::environment::{Cut, Reach};

/// The list of services: what each is for, its name here, its type, and how it is made, perhaps of those before it.
macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $service:ty = $made:expr,)*) => {
        /// The simulated AWS account: an [`Environment`], and the services in it.
        pub struct Cloud {
            environment: Arc<Environment>,
            calls: Mutex<Calls>,
            watcher: OnceLock<Watcher>,
            /// The SDK's quotas of retries, kept full.
            pub(crate) retry_quotas: RetryQuotas,
            /// All services, those that somebody brought among them.
            pub(crate) services: Services,
            $($(#[$doc])* pub $name: Arc<$service>,)*
        }

        impl Cloud {
            /// An account with the services of the simulator, and `others` beside them. Errors: a text, if two services
            /// have the same endpoint.
            pub fn with_services(
                account: &str,
                seed: u64,
                clock: Clock,
                timings: Timings,
                others: Vec<Arc<dyn Service>>,
            ) -> Result<Arc<Self>, String> {
                $(let $name: Arc<$service> = Arc::new($made);)*
                let mut services: Vec<Arc<dyn Service>> = vec![$(Arc::clone(&$name) as _),*];
                services.extend(others);
                Ok(Arc::new(Self {
                    environment: Environment::new(account, seed, clock, timings),
                    calls: Mutex::default(),
                    watcher: OnceLock::new(),
                    retry_quotas: RetryQuotas::default(),
                    services: Services::new(services)?,
                    $($name,)*
                }))
            }
        }

        static ENDPOINTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
            $(let $name: Arc<$service> = Arc::new($made);)*
            let mut endpoints: Vec<&'static str> = [$($name.endpoint()),*].into_iter().flatten().collect();
            endpoints.sort_unstable();
            endpoints
        });
    };
}

services! {
    /// EventBridge rules and schedules.
    events: Events = Events::default(),
    /// API Gateway stages.
    apigateway: ApiGateway = ApiGateway::default(),
    /// CloudWatch metrics and alarms.
    cloudwatch: CloudWatch = CloudWatch::new(&events),
    /// DynamoDB tables.
    dynamodb: DynamoDb = DynamoDb::default(),
    /// Caches.
    elasticache: ElastiCache = ElastiCache::default(),
    /// What AWS Health says about Regions.
    health: Health = Health::default(),
    /// Roles, and what they may do.
    iam: Iam = Iam::default(),
    /// Lambda functions of the platform and their event sources.
    lambda: Lambda = Lambda::default(),
    /// Secrets.
    secretsmanager: SecretsManager = SecretsManager::default(),
    /// CloudWatch Logs.
    logs: Logs = Logs::default(),
    /// RDS clusters and their databases.
    rds: Rds = Rds::new(&cloudwatch, &logs),
    /// The way to the databases by SQL.
    data_api: DataApi = DataApi::new(&rds, &secretsmanager),
    /// S3 buckets.
    s3: S3 = S3::default(),
    /// Route 53 records and health checks.
    route53: Route53 = Route53::new(&s3),
    /// SNS topics.
    sns: Sns = Sns::default(),
    /// Step Functions executions.
    executions: Executions = Executions::new(&events),
}

/// The endpoint prefixes of the services of the simulator, sorted.
pub fn endpoints() -> &'static [&'static str] {
    &ENDPOINTS
}

impl Deref for Cloud {
    type Target = Arc<Environment>;

    fn deref(&self) -> &Arc<Environment> {
        &self.environment
    }
}

impl Cloud {
    /// An empty account with the services of the simulator. The same seed draws the same durations.
    pub fn new(account: &str, seed: u64, clock: Clock, timings: Timings) -> Arc<Self> {
        let cloud = Self::with_services(account, seed, clock, timings, Vec::new());
        cloud.expect("each service of the simulator has an endpoint of its own")
    }

    /// What the services stand in, to keep.
    pub fn environment(&self) -> Arc<Environment> {
        Arc::clone(&self.environment)
    }

    /// Everything that a recovery could change and take back, as it is now, by the kind of resource. Two snapshots are equal
    /// if nothing has changed in between.
    pub fn snapshot(&self) -> Value {
        Value::Object(self.services.snapshot(&self.environment))
    }

    /// What was left behind until now and is never taken back, by its kind: messages, records, executions, datapoints.
    pub fn journal(&self) -> Value {
        Value::Object(self.services.journal(&self.environment))
    }

    /// From now on, `watcher` sees each call that can change something. The first one stays.
    pub fn watch(&self, watcher: Watcher) {
        self.watcher.get_or_init(|| watcher);
    }

    pub(crate) fn watcher(&self) -> Option<&Watcher> {
        self.watcher.get()
    }

    /// Counts a call.
    pub(crate) fn count(&self, call: AwsCall) {
        lock(&self.calls).count(call);
    }

    /// Counts a command to a server that is none of AWS's services, by who gave it.
    pub(crate) fn count_command(&self, function: &str) {
        lock(&self.calls).count_by(function);
    }

    /// Keeps what a call touches.
    pub(crate) fn touch(&self, touched: Touched) {
        lock(&self.calls).touched.insert(touched);
    }

    /// What every call touched that was made, whether it was answered, refused or neither.
    pub fn touched(&self) -> BTreeSet<Touched> {
        lock(&self.calls).touched.clone()
    }

    /// How often each kind of call was made.
    pub fn calls(&self) -> BTreeMap<AwsCall, u64> {
        lock(&self.calls).by_kind.clone()
    }

    /// How many calls a caller of this name has made, in all Regions.
    pub fn calls_of(&self, function: &str) -> u64 {
        lock(&self.calls).by_function.get(function).copied().unwrap_or_default()
    }
}
