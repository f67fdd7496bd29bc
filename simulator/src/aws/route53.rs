//! Route 53's data plane: a failover pair of records, its health check, and resolvers that keep answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use crate::cloud::{Cloud, lock};

/// Route 53.
#[derive(Default)]
pub struct Route53 {
    records: Mutex<BTreeMap<String, FailoverRecord>>,
    resolvers: Mutex<BTreeMap<String, Resolver>>,
}

/// A name with a primary and a secondary answer. The primary is given while its health check is healthy.
#[derive(Clone, Debug)]
pub struct FailoverRecord {
    /// The answer while the primary is healthy.
    pub primary: String,
    /// The answer while it is not.
    pub secondary: String,
    /// How long resolvers keep an answer.
    pub ttl: Duration,
    /// The primary's health check.
    pub health_check: HealthCheck,
    /// Whether name servers give the primary.
    pub primary_is_healthy: bool,
}

/// A health check that watches a public object.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// The object's bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// Observations in a row that change the status.
    pub failure_threshold: u32,
    /// Whether healthy and unhealthy change places.
    pub inverted: bool,
}

/// A resolver, which keeps answers for their time to live.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    kept: Arc<Mutex<BTreeMap<String, (String, Timestamp)>>>,
}

impl Route53 {
    /// Makes a name.
    pub fn put_record(&self, name: &str, record: FailoverRecord) {
        lock(&self.records).insert(name.to_owned(), record);
    }

    /// The resolver that everybody in a Region's network shares.
    pub fn resolver_of(&self, region: &str) -> Resolver {
        lock(&self.resolvers).entry(region.to_owned()).or_default().clone()
    }

    /// What `resolver` answers for `name`; nothing, if there is no such name.
    pub fn resolve(&self, cloud: &Cloud, resolver: &Resolver, name: &str) -> Option<String> {
        let now = cloud.now();
        let mut kept = lock(&resolver.kept);
        if let Some((target, until)) = kept.get(name)
            && now < *until
        {
            return Some(target.clone());
        }
        let records = lock(&self.records);
        let record = records.get(name)?;
        let target = if record.primary_is_healthy {
            &record.primary
        } else {
            &record.secondary
        };
        let until = now.checked_add(record.ttl).unwrap_or(Timestamp::MAX);
        kept.insert(name.to_owned(), (target.clone(), until));
        Some(target.clone())
    }

    fn set_health(&self, name: &str, healthy: bool) {
        if let Some(record) = lock(&self.records).get_mut(name) {
            record.primary_is_healthy = healthy;
        }
    }
}

/// Watches the health check of `name` for ever. Observations come at the interval; a status changes after as many
/// observations in a row as its threshold says, and name servers follow a little later.
pub async fn watch_health(cloud: Arc<Cloud>, name: String) {
    let Some(record) = lock(&cloud.route53.records).get(&name).cloned() else {
        return;
    };
    let check = record.health_check;
    let mut status = record.primary_is_healthy;
    let mut contrary = 0;
    // The checkers are not in step with anything.
    tokio::time::sleep(
        cloud
            .draw("health-check-phase", &cloud.timings.health_check_interval)
            .mul_f64(cloud.chance("health-check-phase", |rng| rng.f64())),
    )
    .await;
    loop {
        let is_up = cloud
            .s3
            .region_of(&check.bucket)
            .is_some_and(|region| cloud.is_up(&region));
        let observed = (is_up && cloud.s3.is_publicly_there(&check.bucket, &check.key)) != check.inverted;
        contrary = if observed == status { 0 } else { contrary + 1 };
        if contrary >= check.failure_threshold {
            status = observed;
            contrary = 0;
            let (cloud, name) = (Arc::clone(&cloud), name.clone());
            let delay = cloud.draw("dns-propagation", &cloud.timings.dns_propagation);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                cloud.route53.set_health(&name, status);
            });
        }
        tokio::time::sleep(cloud.draw("health-check", &cloud.timings.health_check_interval)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::timings::{Range, Timings};

    const NAME: &str = "shop.example.com";
    const WEST: &str = "us-west-2";

    fn exactly(seconds: u64) -> Range {
        Range {
            from: Duration::from_secs(seconds),
            to: Duration::from_secs(seconds),
            source: "a test".to_owned(),
        }
    }

    /// A name whose inverted health check looks every 10 s, thrice; name servers follow 3 s later, resolvers keep
    /// answers for 60 s.
    fn world() -> Arc<Cloud> {
        let timings = Timings {
            health_check_interval: exactly(10),
            dns_propagation: exactly(3),
            ..Timings::built_in().unwrap()
        };
        let cloud = Cloud::new("123456789012", 7, Clock::starting_at(Timestamp::UNIX_EPOCH), timings);
        cloud.s3.create_bucket(WEST, "switches", &["on"]);
        let record = FailoverRecord {
            primary: "east".to_owned(),
            secondary: "west".to_owned(),
            ttl: Duration::from_secs(60),
            health_check: HealthCheck {
                bucket: "switches".to_owned(),
                key: "on".to_owned(),
                failure_threshold: 3,
                inverted: true,
            },
            primary_is_healthy: true,
        };
        cloud.route53.put_record(NAME, record);
        tokio::spawn(watch_health(Arc::clone(&cloud), NAME.to_owned()));
        cloud
    }

    fn object(cloud: &Cloud, method: &str) {
        let call = crate::aws::wire::Call {
            service: "s3".to_owned(),
            region: WEST.to_owned(),
            method: method.to_owned(),
            uri: String::new(),
            path: "/switches/on".to_owned(),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        assert!(cloud.s3.answer(&call).reply.status < 300);
    }

    /// What name servers answer.
    fn served(cloud: &Cloud) -> String {
        cloud.route53.resolve(cloud, &Resolver::default(), NAME).unwrap()
    }

    /// How long name servers go on answering as they do now, in whole seconds, for 100 s at most.
    async fn until_changed(cloud: &Cloud) -> Option<u64> {
        let before = served(cloud);
        for second in 0..100 {
            if served(cloud) != before {
                return Some(second);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_moves_the_name_and_its_absence_moves_it_back() {
        let cloud = world();
        assert_eq!((served(&cloud), until_changed(&cloud).await), ("east".to_owned(), None));
        object(&cloud, "PUT");
        // Three observations, 10 s apart, the first within 10 s; 3 s for the name servers.
        let took = until_changed(&cloud).await.unwrap();
        assert!((23..=34).contains(&took), "{took} s");
        assert_eq!((served(&cloud), until_changed(&cloud).await), ("west".to_owned(), None));
        object(&cloud, "DELETE");
        let took = until_changed(&cloud).await.unwrap();
        assert!((23..=34).contains(&took), "{took} s");
        assert_eq!(served(&cloud), "east");
    }

    #[tokio::test(start_paused = true)]
    async fn fewer_observations_than_the_threshold_change_nothing() {
        let cloud = world();
        for _ in 0..5 {
            object(&cloud, "PUT");
            tokio::time::sleep(Duration::from_secs(20)).await;
            object(&cloud, "DELETE");
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(served(&cloud), "east");
        }
        assert_eq!(until_changed(&cloud).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_is_away_leaves_the_primary() {
        let cloud = world();
        cloud.take_region_away(WEST);
        object(&cloud, "PUT");
        assert_eq!((served(&cloud), until_changed(&cloud).await), ("east".to_owned(), None));
        cloud.give_region_back(WEST);
        assert!(until_changed(&cloud).await.is_some());
        cloud.take_region_away(WEST);
        assert!(until_changed(&cloud).await.is_some());
        assert_eq!(served(&cloud), "east");
    }

    #[tokio::test(start_paused = true)]
    async fn resolvers_keep_answers_for_their_time_and_no_longer() {
        let cloud = world();
        let (here, there) = (cloud.route53.resolver_of("here"), cloud.route53.resolver_of("there"));
        let ask = |resolver: &Resolver, name| cloud.route53.resolve(&cloud, resolver, name);
        assert_eq!(ask(&here, NAME).as_deref(), Some("east"));
        // The health check has seen the primary healthy, and sees nothing else from now on.
        tokio::task::yield_now().await;
        cloud.route53.set_health(NAME, false);
        tokio::time::sleep(Duration::from_millis(59_990)).await;
        assert_eq!(ask(&cloud.route53.resolver_of("here"), NAME).as_deref(), Some("east"));
        assert_eq!(ask(&there, NAME).as_deref(), Some("west"));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(ask(&here, NAME).as_deref(), Some("west"));
        assert_eq!(ask(&here, "elsewhere.example.com"), None);
    }
}
