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
