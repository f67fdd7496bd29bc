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
    outages: Mutex<BTreeMap<String, Vec<Outage>>>,
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

/// A time in which a Region was away.
struct Outage {
    from: Timestamp,
    until: Option<Timestamp>,
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

    /// Takes a Region away: nothing in it answers from now on, and nothing in it reaches anything.
    pub fn take_region_away(&self, region: &str) {
        if self.is_up(region) {
            let outage = Outage {
                from: self.now(),
                until: None,
            };
            lock(&self.outages).entry(region.to_owned()).or_default().push(outage);
        }
    }

    /// Gives a Region back.
    pub fn give_region_back(&self, region: &str) {
        let now = self.now();
        if let Some(outage) = lock(&self.outages)
            .get_mut(region)
            .and_then(|outages| outages.last_mut())
        {
            outage.until.get_or_insert(now);
        }
    }

    /// Whether a Region answers.
    pub fn is_up(&self, region: &str) -> bool {
        lock(&self.outages)
            .get(region)
            .and_then(|outages| outages.last())
            .is_none_or(|outage| outage.until.is_some())
    }

    /// Since when a Region was away, the first time that it was between `from` and `to`, both included. Nothing, if it
    /// was there all the time.
    pub fn away_between(&self, region: &str, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        lock(&self.outages)
            .get(region)?
            .iter()
            .find(|outage| outage.from <= to && outage.until.is_none_or(|until| from < until))
            .map(|outage| outage.from)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn cloud(seed: u64) -> Arc<Cloud> {
        Cloud::new(
            "123456789012",
            seed,
            Clock::starting_at(at(0)),
            Timings::built_in().unwrap(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn outages_are_remembered() {
        let cloud = cloud(1);
        cloud.give_region_back("us-west-2");
        for (from, until) in [(10, 20), (30, 40)] {
            cloud.clock.wait_until(at(from)).await;
            cloud.take_region_away("us-west-2");
            cloud.clock.wait_until(at(from + 5)).await;
            // It is away already.
            cloud.take_region_away("us-west-2");
            assert!(!cloud.is_up("us-west-2") && cloud.is_up("us-east-1"));
            cloud.clock.wait_until(at(until)).await;
            cloud.give_region_back("us-west-2");
            assert!(cloud.is_up("us-west-2"));
        }
        let away = |from, to| cloud.away_between("us-west-2", at(from), at(to));
        assert_eq!(
            (away(0, 9), away(9, 10), away(19, 19)),
            (None, Some(at(10)), Some(at(10)))
        );
        assert_eq!(
            (away(20, 29), away(20, 35), away(15, 35)),
            (None, Some(at(30)), Some(at(10)))
        );
        assert_eq!(
            (away(40, 99), cloud.away_between("us-east-1", at(0), at(99))),
            (None, None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_chance_does_not_depend_on_the_others() {
        let draw = |cloud: &Cloud, stream| cloud.chance(stream, |rng| rng.u64(..));
        let (one, other, another) = (cloud(1), cloud(1), cloud(2));
        let alone = [draw(&one, "a"), draw(&one, "a")];
        let first = draw(&other, "a");
        assert_ne!(draw(&other, "b"), first);
        assert_eq!([first, draw(&other, "a")], alone);
        assert_ne!(draw(&another, "a"), first);
    }
}
