//! The simulated AWS: two Regions' services behind one door, in virtual time.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::aws::cloudwatch::CloudWatch;
use crate::aws::dynamodb::DynamoDb;
use crate::aws::events::Events;
use crate::aws::lambda::Lambda;
use crate::aws::rds::Rds;
use crate::aws::route53::Route53;
use crate::aws::s3::S3;
use crate::aws::sns::Sns;
use crate::aws::states::Executions;
use crate::clock::Clock;
use crate::timings::{Range, Timings};

/// The simulated AWS account.
pub struct Cloud {
    /// The account's number.
    pub account: String,
    /// The virtual clock.
    pub clock: Clock,
    /// How long things take.
    pub timings: Timings,
    seed: u64,
    chance: Mutex<BTreeMap<&'static str, fastrand::Rng>>,
    outages: Mutex<BTreeMap<String, Timestamp>>,
    calls: Mutex<BTreeMap<AwsCall, u64>>,
    /// CloudWatch metrics and alarms.
    pub cloudwatch: CloudWatch,
    /// DynamoDB tables.
    pub dynamodb: DynamoDb,
    /// EventBridge rules and schedules.
    pub events: Events,
    /// Lambda functions of the platform.
    pub lambda: Lambda,
    /// RDS clusters and their databases.
    pub rds: Rds,
    /// Route 53 records and health checks.
    pub route53: Route53,
    /// S3 buckets.
    pub s3: S3,
    /// SNS topics.
    pub sns: Sns,
    /// Step Functions executions.
    pub executions: Executions,
}

/// A kind of AWS call, for counting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwsCall {
    /// Who called.
    pub function: String,
    /// The Region that was called.
    pub region: String,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
}

impl Cloud {
    /// An empty account. The same seed draws the same durations.
    pub fn new(account: &str, seed: u64, clock: Clock, timings: Timings) -> Arc<Self> {
        Arc::new(Self {
            account: account.to_owned(),
            clock,
            timings,
            seed,
            chance: Mutex::default(),
            outages: Mutex::default(),
            calls: Mutex::default(),
            cloudwatch: CloudWatch::default(),
            dynamodb: DynamoDb::default(),
            events: Events::default(),
            lambda: Lambda::default(),
            rds: Rds::default(),
            route53: Route53::default(),
            s3: S3::default(),
            sns: Sns::default(),
            executions: Executions::default(),
        })
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Draws from a stream of chance of its own name, so that one part drawing more leaves the others as they were.
    pub fn chance<T>(&self, stream: &'static str, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        let mut streams = lock(&self.chance);
        let rng = streams.entry(stream).or_insert_with(|| {
            // DefaultHasher::new has fixed keys.
            let mut hasher = DefaultHasher::new();
            (self.seed, stream).hash(&mut hasher);
            fastrand::Rng::with_seed(hasher.finish())
        });
        draw(rng)
    }

    /// Draws a duration, to the millisecond.
    pub fn draw(&self, stream: &'static str, range: &Range) -> Duration {
        let (from, to) = (range.from.as_millis() as u64, range.to.as_millis() as u64);
        Duration::from_millis(self.chance(stream, |rng| rng.u64(from..=to)))
    }

    /// Takes a Region away: nothing in it answers from now on.
    pub fn take_region_away(&self, region: &str) {
        lock(&self.outages).entry(region.to_owned()).or_insert(self.now());
    }

    /// Gives a Region back.
    pub fn give_region_back(&self, region: &str) {
        lock(&self.outages).remove(region);
    }

    /// Whether a Region answers.
    pub fn is_up(&self, region: &str) -> bool {
        !lock(&self.outages).contains_key(region)
    }

    /// Since when a Region does not answer.
    pub fn down_since(&self, region: &str) -> Option<Timestamp> {
        lock(&self.outages).get(region).copied()
    }

    /// Counts a call.
    pub(crate) fn count(&self, call: AwsCall) {
        *lock(&self.calls).entry(call).or_default() += 1;
    }

    /// How often each kind of call was made.
    pub fn calls(&self) -> BTreeMap<AwsCall, u64> {
        lock(&self.calls).clone()
    }
}

/// Locks; a panic elsewhere does not make the simulated state unusable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
