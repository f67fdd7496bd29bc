//! AWS Health: one event about each outage of a Region or of a part of it, known some time after it began.
//!
//! Its API answers in us-east-1 alone. The real one has a second, passive side in us-east-2, and moves the name
//! `global.health.amazonaws.com` there at some time into an outage; that nobody gets that far is the worse side.

mod service;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use ciborium::Value as Cbor;
use jiff::Timestamp;
use serde::Deserialize;

use crate::aws::cbor::{cbor_map, cbor_reply, cbor_time};
use crate::aws::refusal::Refusal;
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;
use crate::environment::Outage;
use crate::environment::Reach;
use crate::lock::lock;

/// AWS Health.
#[derive(Default)]
pub struct Health {
    has_no_plan: Mutex<bool>,
    /// How long after its beginning an outage is known, by Region and beginning.
    delays: Mutex<BTreeMap<(String, Timestamp), Duration>>,
}

/// What DescribeEvents is asked for.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Request {
    filter: Filter,
    max_results: Option<usize>,
}

/// Which events; an empty list lets every event pass.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    regions: Vec<String>,
    services: Vec<String>,
    event_type_codes: Vec<String>,
    event_type_categories: Vec<String>,
    event_status_codes: Vec<String>,
}

impl Health {
    /// Whether the account has a support plan with AWS Health's API; it has one at first.
    pub fn set_subscribed(&self, subscribed: bool) {
        *lock(&self.has_no_plan) = !subscribed;
    }

    fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let result = match operation {
            "DescribeEvents" => self.describe_events(environment, &call.body),
            other => Err(not_simulated(other)),
        };
        match result {
            Ok(body) => cbor_reply(200, &body),
            Err(Refusal(status, code, message)) => error(status, code, &message),
        }
    }

    fn describe_events(&self, environment: &Environment, body: &[u8]) -> Result<Cbor, Refusal> {
        if *lock(&self.has_no_plan) {
            let message = "Amazon Web Services Premium Support Subscription is required to use this service.";
            return Err(Refusal(400, "SubscriptionRequiredException", message.to_owned()));
        }
        let Request { filter, max_results } =
            ciborium::from_reader(body).map_err(|error| not_simulated(&error.to_string()))?;
        let events: Vec<Cbor> = environment
            .outages()
            .into_iter()
            .filter(|(region, outage)| self.is_known(environment, region, outage) && filter.takes(region, outage))
            .map(|(region, outage)| event(&region, &outage))
            .collect();
        match max_results {
            Some(10..=100) | None if events.len() <= max_results.unwrap_or(100) => {
                Ok(cbor_map([("events", Cbor::Array(events))]))
            }
            _ => Err(not_simulated("a second page of events")),
        }
    }

    /// Whether an outage has lasted until AWS Health knew of it.
    fn is_known(&self, environment: &Environment, region: &str, outage: &Outage) -> bool {
        let delay = *lock(&self.delays)
            .entry((region.to_owned(), outage.from))
            .or_insert_with(|| environment.draw("health-event", &environment.timings.health_event_delay));
        let known_at = outage.from.checked_add(delay).unwrap_or(Timestamp::MAX);
        outage.until.unwrap_or_else(|| environment.now()) >= known_at
    }
}

impl Filter {
    fn takes(&self, region: &str, outage: &Outage) -> bool {
        let takes = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == value);
        takes(&self.regions, region)
            && takes(&self.services, service(outage))
            && takes(&self.event_type_codes, &event_type(outage))
            && takes(&self.event_type_categories, "issue")
            && takes(&self.event_status_codes, status(outage))
    }
}

fn service(outage: &Outage) -> &'static str {
    match outage.what {
        Reach::Database => "RDS",
        Reach::Whole | Reach::Apis | Reach::Customers => "MULTIPLE_SERVICES",
    }
}

fn event_type(outage: &Outage) -> String {
    format!("AWS_{}_OPERATIONAL_ISSUE", service(outage))
}

fn status(outage: &Outage) -> &'static str {
    match outage.until {
        None => "open",
        Some(_) => "closed",
    }
}

fn event(region: &str, outage: &Outage) -> Cbor {
    let (service, kind, id) = (service(outage), event_type(outage), outage.from.as_millisecond());
    let mut fields = vec![
        (
            "arn",
            Cbor::from(format!("arn:aws:health:{region}::event/{service}/{kind}/{kind}_{id}")),
        ),
        ("service", service.into()),
        ("eventTypeCode", kind.into()),
        ("eventTypeCategory", "issue".into()),
        ("region", region.into()),
        ("startTime", cbor_time(outage.from)),
        ("lastUpdatedTime", cbor_time(outage.until.unwrap_or(outage.from))),
        ("statusCode", status(outage).into()),
        ("eventScopeCode", "PUBLIC".into()),
    ];
    fields.extend(outage.until.map(|until| ("endTime", cbor_time(until))));
    Cbor::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn not_simulated(what: &str) -> Refusal {
    let message = format!("the simulated AWS Health does not know {what}");
    Refusal(501, "NotSimulated", message)
}

/// An error as AWS Health tells it.
fn error(status: u16, code: &str, message: &str) -> Reply {
    cbor_reply(
        status,
        &cbor_map([("__type", code.into()), ("message", message.into())]),
    )
}
