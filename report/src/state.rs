//! How things stand: what works and what does not, as far as the record's evidence goes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::measure::seconds_between;
use shared::plan::Duration;
use shared::request::TriggerKind;

use crate::account::Account;

/// What the record says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// The record has no evidence of it.
    NotKnown,
}

/// How things stand at the end of what the record knows. What the record cannot tell is nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Until when the record knows anything.
    pub known_until: Timestamp,
    /// The Region that runs, or ran, the recovery.
    pub here: Option<String>,
    /// The other Region.
    pub other: Option<String>,
    /// Whether the service is back. Not known after an outage, observed or reported by an alarm, without a healthy answer;
    /// nothing if neither was.
    pub service_back: Option<Known>,
    /// For how long customers have been, or were, without the service, in seconds.
    pub without_service_seconds: Option<f64>,
    /// When the target for that is, or was, reached.
    pub target_reached_at: Option<Timestamp>,
    /// When the maximum for that is, or was, reached.
    pub maximum_reached_at: Option<Timestamp>,
    /// What only its scenario touches; see that one's story.
    #[serde(flatten)]
    pub of_scenario: Map<String, Value>,
}

impl State {
    /// How things stand, from the account alone, beside what only its scenario touches.
    pub(crate) fn new(account: &Account, of_scenario: Map<String, Value>) -> Self {
        let impact = account.impact_at().filter(|_| !account.starts_in_place_of_an_impact());
        let healthy_at = account.header.ended().and_then(|closing| closing.observed.healthy_at);
        let known_until = account.known_until();
        let without = impact.map(|impact| seconds_between(impact, healthy_at.unwrap_or(known_until)));
        let reached = |limit: Duration| {
            let milliseconds = i64::try_from(limit.as_secs()).ok()?.checked_mul(1000)?;
            Timestamp::from_millisecond(impact?.as_millisecond().checked_add(milliseconds)?).ok()
        };
        let rto = account.header.objectives.rto;
        let reported = account.header.trigger.kind == TriggerKind::Alarm;
        Self {
            known_until,
            here: Some(account.region().to_owned()).filter(|here| !here.is_empty()),
            other: account.other_region().map(str::to_owned),
            service_back: match healthy_at {
                Some(_) => Some(Known::Yes),
                None if impact.is_some() || reported => Some(Known::NotKnown),
                None => None,
            },
            without_service_seconds: without.filter(|seconds| *seconds >= 0.0),
            target_reached_at: reached(rto.target),
            maximum_reached_at: reached(rto.maximum),
            of_scenario,
        }
    }
}
