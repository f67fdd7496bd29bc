//! ElastiCache: Redis servers, as functions inside the network reach them. Of the service's own API nothing is simulated.
//!
//! Source: Redis, "Commands" and "Redis serialization protocol specification".

mod redis;

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::json;

use self::redis::Redis;
use super::service::{Parts, Service, parts};
use crate::environment::Environment;
use crate::lock::lock;

pub use self::redis::Trouble;
pub(super) use self::redis::{Outcome, Session, can_change, parse};

/// What the counts call its servers: Redis is no service of AWS, and IAM does not know its commands.
pub const REDIS: &str = "redis";

/// Caches, by host and port.
#[derive(Default)]
pub struct ElastiCache {
    caches: Mutex<BTreeMap<String, Cache>>,
}

struct Cache {
    region: String,
    redis: Redis,
}

impl ElastiCache {
    /// Makes a cache with one server in a Region; with a password, if one is given.
    pub fn create(&self, region: &str, endpoint: &str, password: Option<&str>) {
        let cache = Cache {
            region: region.to_owned(),
            redis: Redis::new(password),
        };
        lock(&self.caches).insert(endpoint.to_owned(), cache);
    }

    /// What a cache holds for a key, as the platform reads it.
    pub fn get(&self, endpoint: &str, key: &str) -> Option<String> {
        let caches = lock(&self.caches);
        let value = caches.get(endpoint)?.redis.get(key.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Keeps something under a key, as the platform does.
    pub fn set(&self, endpoint: &str, key: &str, value: &str) {
        if let Some(cache) = lock(&self.caches).get_mut(endpoint) {
            cache.redis.set(key.as_bytes(), value.as_bytes());
        }
    }

    /// From now on something is wrong with a cache for whoever connects; nothing any more, without one.
    pub fn trouble(&self, endpoint: &str, trouble: Option<Trouble>) {
        if let Some(cache) = lock(&self.caches).get_mut(endpoint) {
            cache.redis.trouble = trouble;
        }
    }

    /// The Region of a cache, and whether nobody reaches it, which is counted; nothing, if there is none.
    pub(super) fn find(&self, endpoint: &str) -> Option<(String, bool)> {
        let mut caches = lock(&self.caches);
        let cache = caches.get_mut(endpoint)?;
        Some((cache.region.clone(), cache.redis.is_away()))
    }

    /// Has a cache take a command; nothing, if there is none.
    pub(super) fn take(
        &self,
        endpoint: &str,
        session: &mut Session,
        command: &str,
        arguments: &[Vec<u8>],
    ) -> Option<Outcome> {
        let mut caches = lock(&self.caches);
        Some(caches.get_mut(endpoint)?.redis.take(session, command, arguments))
    }

    /// How often somebody had to do with what was wrong with a cache.
    pub fn troubled(&self, endpoint: &str) -> u64 {
        lock(&self.caches).get(endpoint).map_or(0, |cache| cache.redis.troubled)
    }
}

impl Service for ElastiCache {
    /// What is removed from a cache is never put back.
    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }

    /// Which prefixes, up to the first colon, have a key in each cache.
    fn journal(&self, _: &Environment) -> Parts {
        let caches = lock(&self.caches);
        let each = caches
            .iter()
            .map(|(endpoint, cache)| (endpoint, cache.redis.prefixes()));
        parts([("cached", json!(each.collect::<BTreeMap<_, _>>()))])
    }
}
