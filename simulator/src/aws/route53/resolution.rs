//! What name servers and resolvers answer.

use jiff::Timestamp;

use super::records::{Failover, RecordSet, plain};
use super::state::{Resolver, Route53, State};
use crate::environment::Environment;
use crate::lock::lock;

impl Route53 {
    /// The resolver that everybody in a Region's network shares.
    pub fn resolver_of(&self, region: &str) -> Resolver {
        lock(&self.resolvers).entry(region.to_owned()).or_default().clone()
    }

    /// What `resolver` answers for `name`; nothing, if there is no such name.
    pub fn resolve(&self, environment: &Environment, resolver: &Resolver, name: &str) -> Option<String> {
        let now = environment.now();
        let mut kept = lock(&resolver.kept);
        if let Some((target, until)) = kept.get(name)
            && now < *until
        {
            return Some(target.clone());
        }
        let mut state = lock(&self.state);
        state.advance(now);
        let set = state.served(name)?;
        let target = plain(&set.target);
        let until = now.checked_add(set.ttl).unwrap_or(Timestamp::MAX);
        kept.insert(name.to_owned(), (target.clone(), until));
        Some(target)
    }
}

impl State {
    /// Brings name servers to where they are at `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        for zone in self.zones.values_mut() {
            let known = zone.pending.partition_point(|(_, in_sync_at, _)| *in_sync_at <= now);
            if let Some((_, _, records)) = zone.pending.drain(..known).next_back() {
                zone.served = records;
            }
        }
    }

    /// The record set with which name servers answer.
    pub(super) fn served(&self, name: &str) -> Option<&RecordSet> {
        let name = plain(name);
        let sets = self.zones.values().flat_map(|zone| zone.served.values());
        let mut sets = sets.filter(|set| set.name == name);
        sets.clone()
            .find(|set| match &set.failover {
                None => true,
                Some(failover) => failover.is_primary && self.is_healthy(failover),
            })
            .or_else(|| sets.find(|set| set.failover.as_ref().is_some_and(|failover| !failover.is_primary)))
    }

    /// A record without a health check counts as healthy.
    pub(super) fn is_healthy(&self, failover: &Failover) -> bool {
        let check = failover.health_check.as_ref();
        check
            .and_then(|id| self.health_checks.get(id))
            .is_none_or(|watched| watched.is_healthy)
    }
}
