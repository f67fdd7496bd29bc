//! Zones, health checks and changes, as they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::records::{Failover, RecordSet, RecordSets, plain};
use crate::aws::quota::Quota;
use crate::aws::s3::S3;
use crate::environment::Environment;
use crate::lock::lock;

/// Requests that an account may make in a second. Source: Route 53 Developer Guide, quotas, Route 53 API requests.
pub(super) const REQUESTS_PER_SECOND: usize = 5;

/// Route 53.
pub struct Route53 {
    pub(super) s3: Arc<S3>,
    pub(super) state: Mutex<State>,
    pub(super) resolvers: Mutex<BTreeMap<String, Resolver>>,
    pub(super) quota: Quota,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) zones: BTreeMap<String, Zone>,
    pub(super) health_checks: BTreeMap<String, Watched>,
    pub(super) changes: BTreeMap<String, Change>,
    pub(super) changes_taken: u64,
}

#[derive(Default)]
pub(super) struct Zone {
    /// As the control plane has them.
    pub(super) records: RecordSets,
    /// As name servers answer.
    pub(super) served: RecordSets,
    /// Changes that name servers do not know yet: which, when they will, and all records after it.
    pub(super) pending: Vec<(String, Timestamp, RecordSets)>,
}

pub(super) struct Watched {
    pub(super) check: HealthCheck,
    /// As name servers know it.
    pub(super) is_healthy: bool,
}

pub(super) struct Change {
    pub(super) submitted_at: Timestamp,
    pub(super) in_sync_at: Timestamp,
    pub(super) comment: Option<String>,
}

/// A name with a primary and a secondary answer. The primary is given while its health check is healthy.
#[derive(Clone, Debug)]
pub struct FailoverRecord {
    /// The answer while the primary is healthy.
    pub primary: String,
    /// The answer while it is not.
    pub secondary: String,
    /// How long resolvers keep an answer, in whole seconds.
    pub ttl: Duration,
    /// The primary's health check, which is healthy at first.
    pub health_check: HealthCheck,
}

/// A name with one answer.
#[derive(Clone, Debug)]
pub struct PlainRecord {
    /// The answer.
    pub target: String,
    /// How long resolvers keep it, in whole seconds.
    pub ttl: Duration,
}

/// A health check that watches a public object.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// Its identifier.
    pub id: String,
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
    pub(super) kept: Arc<Mutex<BTreeMap<String, (String, Timestamp)>>>,
}

impl Route53 {
    /// Empty; health checks ask `s3` for objects.
    pub(crate) fn new(s3: &Arc<S3>) -> Self {
        Self {
            s3: Arc::clone(s3),
            state: Mutex::default(),
            resolvers: Mutex::default(),
            quota: Quota::new(REQUESTS_PER_SECOND, SignedDuration::from_secs(1)),
        }
    }

    /// Makes a name with a failover pair, and its health check, in a hosted zone, which is made if need be.
    pub fn put_record(&self, zone: &str, name: &str, record: FailoverRecord) {
        let health_check = record.health_check.id.clone();
        let each = [
            ("primary", true, record.primary, Some(health_check.clone())),
            ("secondary", false, record.secondary, None),
        ];
        for (identifier, is_primary, target, health_check) in each {
            let failover = Failover {
                identifier: identifier.to_owned(),
                is_primary,
                health_check,
            };
            self.put(zone, name, target, record.ttl, Some(failover));
        }
        let watched = Watched {
            check: record.health_check,
            is_healthy: true,
        };
        lock(&self.state).health_checks.insert(health_check, watched);
    }

    /// Makes a name with one answer in a hosted zone, which is made if need be.
    pub fn put_plain_record(&self, zone: &str, name: &str, record: PlainRecord) {
        self.put(zone, name, record.target, record.ttl, None);
    }

    pub(super) fn put(&self, zone: &str, name: &str, target: String, ttl: Duration, failover: Option<Failover>) {
        let set = RecordSet {
            name: plain(name),
            target,
            ttl,
            failover,
        };
        let mut state = lock(&self.state);
        let zone = state.zones.entry(zone.to_owned()).or_default();
        zone.records.insert(set.place(), set.clone());
        zone.served.insert(set.place(), set);
    }

    /// Loses the changes that are not in sync yet, as a control plane does that moves to another Region: GetChange knows
    /// them no more, and the records are as before.
    pub fn forget_changes(&self, environment: &Environment) {
        let mut state = lock(&self.state);
        state.advance(environment.now());
        let State { zones, changes, .. } = &mut *state;
        for zone in zones.values_mut() {
            for (id, _, _) in zone.pending.drain(..) {
                changes.remove(&id);
            }
            zone.records = zone.served.clone();
        }
    }

    /// The record sets as the control plane has them, by zone, in the order of a listing.
    pub(super) fn records(&self, environment: &Environment) -> Value {
        let mut state = lock(&self.state);
        state.advance(environment.now());
        let zones = state.zones.iter().map(|(id, zone)| {
            let sets = zone.records.values().map(|set| {
                json!({
                    "name": set.name,
                    "target": set.target,
                    "ttl_s": set.ttl.as_secs(),
                    "failover": set.failover.as_ref().map(|failover| {
                        json!([failover.identifier, failover.role(), failover.health_check])
                    }),
                })
            });
            (id, sets.collect::<Vec<Value>>())
        });
        json!(zones.collect::<BTreeMap<_, _>>())
    }
}
