//! The default event bus: events come in, and are delivered to the targets of rules.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::pattern_check::check_pattern;
use super::patterns::matches;
use super::rules::{Rule, TargetInput};
use super::state::{Delivery, Events};
use crate::environment::Environment;
use crate::lock::lock;

/// The longest event pattern, in characters (EventBridge User Guide, "Quotas").
pub(super) const PATTERN_LIMIT: usize = 2048;

/// The most targets of one rule (EventBridge User Guide, "Quotas").
pub(super) const TARGETS_LIMIT: usize = 5;

/// For how long a delivery is tried (EventBridge User Guide: 24 hours).
pub(super) const DELIVERY_TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How long after a failed try comes the next (assumed; the real one backs off, with jitter, 185 times at most).
pub(super) const DELIVERY_TRIED_EVERY: Duration = Duration::from_secs(60);

impl Events {
    /// Creates a rule on the Region's default bus, or replaces it.
    ///
    /// Errors: a text that says why AWS would refuse the rule, or what of it is not simulated.
    pub fn put_rule(&self, region: &str, rule: Rule) -> Result<(), String> {
        let name = &rule.name;
        if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) {
            return Err(format!("'{name}' is not a rule's name"));
        }
        if rule.pattern.to_string().chars().count() > PATTERN_LIMIT {
            return Err(format!(
                "rule {name}: the event pattern is longer than {PATTERN_LIMIT} characters"
            ));
        }
        check_pattern(&rule.pattern)
            .map_err(|why| format!("rule {name}: Event pattern is not valid. Reason: {why}"))?;
        if rule.targets.len() > TARGETS_LIMIT {
            return Err(format!("rule {name}: more than {TARGETS_LIMIT} targets"));
        }
        for target in &rule.targets {
            target.check(region).map_err(|why| format!("rule {name}: {why}"))?;
        }
        lock(&self.rules).insert((region.to_owned(), name.clone()), rule);
        Ok(())
    }

    /// Takes an event onto the Region's default bus: each target of each rule that matches gets it, after a delay drawn
    /// from `event_delivery`. Must be called on the simulation's runtime.
    ///
    /// Without an outage or a fault each is delivered once, where AWS promises "at least once".
    pub fn publish(self: &Arc<Self>, environment: &Arc<Environment>, region: &str, event: Value) {
        let ingested_at = environment.now();
        for ((_, name), rule) in lock(&self.rules).iter().filter(|((of, _), _)| of == region) {
            if !matches(&rule.pattern, &event) {
                continue;
            }
            let source = format!("arn:aws:events:{region}:{}:rule/{name}", environment.account);
            for target in &rule.targets {
                let delay = environment.draw("event-delivery", &environment.timings.event_delivery);
                let (arn, input) = target.parts();
                let input = match input {
                    TargetInput::Event => Ok(event.clone()),
                    TargetInput::Transformed(transformer) => transformer.apply(&event, name, &source, ingested_at),
                };
                let delivery = |input| Delivery {
                    region: region.to_owned(),
                    target_arn: arn.to_owned(),
                    input,
                    source: source.clone(),
                };
                match input {
                    Ok(input) => {
                        let disturbance = environment.faults.disturb(region, name);
                        let delay = delay + disturbance.late;
                        for after in disturbance.again_after {
                            let again = delivery(input.clone());
                            tokio::spawn(deliver(Arc::clone(self), Arc::clone(environment), again, delay + after));
                        }
                        tokio::spawn(deliver(
                            Arc::clone(self),
                            Arc::clone(environment),
                            delivery(input),
                            delay,
                        ));
                    }
                    Err(why) => self.fail(format!("{source} could not call {arn}: {why}")),
                }
            }
        }
    }

    /// Everything that is delivered from now on. To be taken once, at the beginning: a later call diverts the
    /// deliveries to itself.
    pub fn deliveries(&self) -> UnboundedReceiver<Delivery> {
        let (sender, receiver) = unbounded_channel();
        *lock(&self.outlet) = Some(sender);
        receiver
    }

    /// What could not be delivered, and why: CloudWatch's FailedInvocations, in words.
    pub fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    pub(super) fn send(&self, delivery: Delivery) {
        let unsent = match lock(&self.outlet).as_ref() {
            Some(outlet) => outlet.send(delivery).err().map(|unsent| unsent.0),
            None => Some(delivery),
        };
        if let Some(Delivery { source, target_arn, .. }) = unsent {
            self.fail(format!("{source} could not call {target_arn}: nobody takes deliveries"));
        }
    }

    pub(crate) fn fail(&self, why: String) {
        lock(&self.failures).push(why);
    }
}

/// Delivers after `delay`. An outage of the Region holds a delivery up; after a day it is given up.
pub(super) async fn deliver(events: Arc<Events>, environment: Arc<Environment>, delivery: Delivery, delay: Duration) {
    tokio::time::sleep(delay).await;
    let mut tried_for = Duration::ZERO;
    while !environment.apis_answer(&delivery.region) {
        if tried_for >= DELIVERY_TRIED_FOR {
            let Delivery {
                source,
                target_arn,
                region,
                ..
            } = delivery;
            events.fail(format!(
                "{source} could not call {target_arn}: {region} was down for a day"
            ));
            return;
        }
        tokio::time::sleep(DELIVERY_TRIED_EVERY).await;
        tried_for += DELIVERY_TRIED_EVERY;
    }
    events.send(delivery);
}
