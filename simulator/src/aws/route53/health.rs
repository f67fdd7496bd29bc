//! The health check behind a name.

use std::sync::Arc;

use super::records::plain;
use super::state::{HealthCheck, Route53};
use crate::environment::Environment;
use crate::lock::lock;

impl Route53 {
    /// The health check behind a name, and whether name servers take it for healthy.
    pub(super) fn health_check_of(&self, name: &str) -> Option<(HealthCheck, bool)> {
        let state = lock(&self.state);
        let mut sets = state.zones.values().flat_map(|zone| zone.served.values());
        let id = sets.find_map(|set| {
            let failover = set.failover.as_ref().filter(|_| set.name == plain(name))?;
            failover.health_check.as_ref()
        })?;
        let watched = state.health_checks.get(id)?;
        Some((watched.check.clone(), watched.is_healthy))
    }

    pub(super) fn set_health(&self, health_check: &str, healthy: bool) {
        if let Some(watched) = lock(&self.state).health_checks.get_mut(health_check) {
            watched.is_healthy = healthy;
        }
    }
}

/// Watches the health check of `name` for ever, if it has one. Observations come at the interval; a status changes after
/// as many observations in a row as its threshold says, and name servers follow a little later.
pub async fn watch_health(route53: Arc<Route53>, environment: Arc<Environment>, name: String) {
    let Some((check, mut status)) = route53.health_check_of(&name) else {
        return;
    };
    let mut contrary = 0;
    // The checkers are not in step with anything.
    tokio::time::sleep(
        environment
            .draw("health-check-phase", &environment.timings.health_check_interval)
            .mul_f64(environment.chance("health-check-phase", |rng| rng.f64())),
    )
    .await;
    loop {
        // The checkers ask the public internet.
        let is_up = route53
            .s3
            .region_of(&check.bucket)
            .is_some_and(|region| environment.is_up(&region));
        let observed = (is_up && route53.s3.is_publicly_there(&check.bucket, &check.key)) != check.inverted;
        contrary = if observed == status { 0 } else { contrary + 1 };
        if contrary >= check.failure_threshold {
            status = observed;
            contrary = 0;
            let (route53, environment, id) = (Arc::clone(&route53), Arc::clone(&environment), check.id.clone());
            let delay = environment.draw("dns-propagation", &environment.timings.dns_propagation);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                route53.set_health(&id, status);
            });
        }
        tokio::time::sleep(environment.draw("health-check", &environment.timings.health_check_interval)).await;
    }
}
