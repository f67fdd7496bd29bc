//! What the recovery machine is started with, and what it hands to a scenario's machine.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::recovery::Mode;
use crate::scenario::{Fields, Scenario};

/// The input of the recovery machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Request {
    /// The scenario.
    pub scenario: Scenario,
    /// The mode.
    pub mode: Mode,
    /// What the scenario's machine is to do: fields of the scenario's own, each with its default where it is left out.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub wants: Fields,
    /// What starts it.
    pub trigger: Trigger,
    /// Whether people approve even where the policy would ask nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub always_ask: bool,
    /// SHA-256 of the plan that the start was decided by; another one in force by the time the recovery opens is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_sha256: Option<String>,
    /// Id of the recovery that fell short and is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Id of a running recovery whose lock is to be taken over, once people have approved that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<String>,
}

impl Request {
    /// A request with its required fields only.
    pub fn new(scenario: Scenario, mode: Mode, wants: impl Into<Fields>, trigger: Trigger) -> Self {
        Self {
            scenario,
            mode,
            wants: wants.into(),
            trigger,
            always_ask: false,
            plan_sha256: None,
            resume: None,
            take_over: None,
        }
    }
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Request {
    /// Errors: also what the scenario cannot be asked for.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut request = Self::deserialize(deserializer)?;
        let wants = request.scenario.wants(request.wants);
        request.wants = wants.map_err(serde::de::Error::custom)?;
        Ok(request)
    }
}

/// What is wanted of a scenario's machine: what its recovery was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// The scenario.
    pub scenario: Scenario,
    /// The mode.
    pub mode: Mode,
    /// Whether people approve even where the policy would ask nobody.
    pub always_ask: bool,
    /// ARN of who or what started it.
    pub started_by: String,
    /// When it was started.
    pub triggered_at: Timestamp,
    /// The scenario's own fields.
    #[serde(flatten)]
    pub own: Fields,
}

impl From<Request> for Wants {
    fn from(request: Request) -> Self {
        Self {
            scenario: request.scenario,
            mode: request.mode,
            always_ask: request.always_ask,
            started_by: request.trigger.by,
            triggered_at: request.trigger.at,
            own: request.wants,
        }
    }
}

/// What started a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// An alarm, a person or the schedule.
    pub kind: TriggerKind,
    /// ARN of the alarm, of the person, or of the schedule.
    pub by: String,
    /// When the alarm was raised, the person asked or the schedule was due.
    pub at: Timestamp,
}

/// What kind of thing started a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerKind {
    /// A CloudWatch alarm.
    Alarm,
    /// A person.
    Person,
    /// EventBridge Scheduler.
    Schedule,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::region_failure::Intent;

    const LEAST: &str = r#"{"scenario":"region-failure","mode":"rehearsal","trigger":{"kind":"alarm","by":"a","at":"2026-01-02T03:04:05Z"}}"#;

    #[test]
    fn a_request_with_a_field_too_many_or_too_few_is_refused() {
        let request = |text: &str| serde_json::from_str::<Request>(text);
        assert_eq!(request(LEAST).unwrap().wants, Fields::from(Intent::Decide));
        for (from, to) in [
            ("\"mode\"", "\"mood\""),
            ("{\"scenario\"", "{\"x\":1,\"scenario\""),
            ("{\"scenario\"", "{\"wants\":{\"intent\":\"win\"},\"scenario\""),
            ("{\"scenario\"", "{\"wants\":{\"bucket\":\"b\"},\"scenario\""),
            (
                "{\"scenario\"",
                "{\"wants\":{\"intent\":\"decide\"},\"scenario\":\"az-failure\",\"x\"",
            ),
            ("region-failure", "moon-failure"),
            ("\"alarm\"", "\"whim\""),
            ("2026-01-02T03:04:05Z", "yesterday"),
        ] {
            assert!(request(&LEAST.replace(from, to)).is_err(), "{to}");
        }
        assert!(request("{}").is_err());
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let request: Request = serde_json::from_str(LEAST).unwrap();
        let text = serde_json::to_string(&request).unwrap();
        for unsaid in ["always_ask", "plan_sha256", "resume", "take_over"] {
            assert!(!text.contains(unsaid), "{text}");
        }
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    }
}
