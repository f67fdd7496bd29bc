//! Composite alarms: their state follows from other alarms' states, and a suppressor keeps them from acting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ciborium::Value as Cbor;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use shared::arn::Arn;

use super::alarms::{Composite, CompositeAlarm, State, SuppressedBy, check_name};
use super::regions::{CloudWatch, Regional};
use super::rule::AlarmRule;
use super::state_change::state_change;
use super::times::{alarm_time, whole_seconds};
use super::values::StateValue;
use crate::aws::cbor::{cbor_map, cbor_time};
use crate::environment::Environment;
use crate::lock::lock;

#[cfg(test)]
mod tests;

/// How long after a wait could not end, as the Region was down, it is looked at again.
pub(super) const LOOKED_AT_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(60);

impl CloudWatch {
    /// Creates a composite alarm with insufficient data, or changes one, which keeps its state, and evaluates it at once.
    /// Must be called on the simulation's runtime.
    ///
    /// Errors: a text that says why AWS would refuse the alarm, or what of it is not simulated.
    pub fn put_composite_alarm(
        &self,
        environment: &Arc<Environment>,
        region: &str,
        alarm: CompositeAlarm,
    ) -> Result<(), String> {
        let events = lock(&self.regions)
            .entry(region.to_owned())
            .or_default()
            .put_composite(environment, region, alarm)?;
        self.tell(environment, region, events);
        Ok(())
    }
}

impl Regional {
    pub(super) fn put_composite(
        &mut self,
        environment: &Environment,
        region: &str,
        alarm: CompositeAlarm,
    ) -> Result<Vec<Value>, String> {
        let name = alarm.name.clone();
        check_name(&name)?;
        if self.alarms.contains_key(&name) {
            return Err(format!(
                "there is a metric alarm {name} in {region}, and a name stands for one alarm"
            ));
        }
        let of_rule = |reason: String| format!("composite alarm {name}: {reason}");
        let prefix = format!("arn:aws:cloudwatch:{region}:{}:alarm:", environment.account);
        let named = |alarm: String| name_of(&alarm, &prefix);
        let rule = AlarmRule::parse(&alarm.rule)
            .and_then(|rule| rule.renamed(&named))
            .map_err(of_rule)?;
        let absent: Vec<&str> = rule
            .children()
            .into_iter()
            .filter(|child| self.state_of(child).is_none())
            .collect();
        // One whose rule names itself does not exist either, when it is created.
        if !absent.is_empty() {
            return Err(of_rule(format!(
                "Could not save the composite alarm as alarms [{}] in the alarm rule do not exist",
                absent.join(", ")
            )));
        }
        if rule.children().into_iter().any(|child| self.depends_on(child, &name)) {
            return Err(of_rule(
                "not simulated: a cycle; AWS takes it, and evaluates none of its alarms any more".to_owned(),
            ));
        }
        let suppressor = match &alarm.suppressor {
            None => None,
            Some(suppressor) => {
                let suppressor = named(suppressor.alarm.clone()).map_err(of_rule)?;
                if self.state_of(&suppressor).is_none() {
                    return Err(of_rule(format!("its ActionsSuppressor {suppressor} does not exist")));
                }
                Some(suppressor)
            }
        };
        let now = environment.now();
        let before = self.composites.remove(&name);
        let is_new = before.is_none();
        let mut composite = before.unwrap_or_else(|| Composite {
            alarm: alarm.clone(),
            rule: AlarmRule::Always(false),
            suppressor: None,
            arn: format!("{prefix}{name}"),
            configured_at: now,
            state: State {
                value: StateValue::InsufficientData,
                reason: "Unchecked: Initial alarm creation".to_owned(),
                reason_data: None,
                updated_at: now,
                suppressed_by: None,
            },
            transitioned_at: now,
            suppressed_until: None,
        });
        if composite.suppressor != suppressor {
            // "If you replace the action suppressor alarm, any active WaitPeriod or ExtensionPeriod is discarded."
            composite.suppressor = suppressor;
            composite.suppressed_until = None;
            composite.state.suppressed_by = self.suppressor_is_up(&composite).then_some(SuppressedBy::Alarm);
        }
        (composite.alarm, composite.rule, composite.configured_at) = (alarm, rule, now);
        let value = self.value_of(&composite.rule);
        let children: Vec<Child> = composite
            .rule
            .children()
            .iter()
            .filter_map(|child| self.child(child))
            .collect();
        let how = if is_new { "created" } else { "updated" };
        let reason = format!(
            "{} was {how} and its alarm rule evaluates to {}",
            composite.arn,
            value.name()
        );
        let is_up = self.suppressor_is_up(&composite);
        let event = composite.changes_to(environment, region, value, reason, &children, is_up);
        self.composites.insert(name.clone(), composite);
        let mut events = Vec::from_iter(event);
        if !events.is_empty() {
            events.extend(self.follow(environment, region, vec![name]));
        }
        Ok(events)
    }

    /// Sets the state of a composite alarm; gives its event, if that is another one.
    pub(super) fn set_composite(
        &mut self,
        environment: &Environment,
        region: &str,
        name: &str,
        value: StateValue,
        reason: &str,
    ) -> Result<Option<Value>, String> {
        let mut composite =
            (self.composites.remove(name)).ok_or_else(|| format!("there is no alarm {name} in {region}"))?;
        let is_up = self.suppressor_is_up(&composite);
        let event = composite.changes_to(environment, region, value, reason.to_owned(), &[], is_up);
        self.composites.insert(name.to_owned(), composite);
        Ok(event)
    }

    /// Evaluates the composite alarms that follow alarms whose states have changed, and those that follow them. Gives the
    /// events.
    ///
    /// Simplified: this takes no time.
    pub(super) fn follow(&mut self, environment: &Environment, region: &str, changed: Vec<String>) -> Vec<Value> {
        let mut events = Vec::new();
        let mut changed = VecDeque::from(changed);
        while let Some(child) = changed.pop_front() {
            let names: Vec<String> = self.composites.keys().cloned().collect();
            for name in names {
                // Taken out so that it can be changed beside what it looks at.
                let Some(mut composite) = self.composites.remove(&name) else {
                    continue;
                };
                let is_up = self.suppressor_is_up(&composite);
                if composite.suppressor.as_deref() == Some(&child) {
                    composite.suppressor_changed(is_up, environment.now());
                }
                if composite.rule.children().contains(&child.as_str()) {
                    let value = self.value_of(&composite.rule);
                    let children: Vec<Child> = self.child(&child).into_iter().collect();
                    let reason = children.iter().map(Child::transition).collect();
                    if let Some(event) = composite.changes_to(environment, region, value, reason, &children, is_up) {
                        events.push(event);
                        changed.push_back(name.clone());
                    }
                }
                self.composites.insert(name, composite);
            }
        }
        events
    }

    /// Ends waits and extensions that are over. Gives the events.
    pub(super) fn end_suppressions(&mut self, environment: &Environment, region: &str) -> Vec<Value> {
        let now = environment.now();
        let is_due = |composite: &&mut Composite| composite.suppressed_until.is_some_and(|until| until <= now);
        let mut events = Vec::new();
        for composite in self.composites.values_mut().filter(is_due) {
            if environment.apis_answer(region) {
                events.push(composite.acts(environment, region));
            } else {
                composite.suppressed_until = now.checked_add(LOOKED_AT_AGAIN_AFTER).ok();
            }
        }
        events
    }

    /// When the next wait or extension ends.
    pub(super) fn next_end_of_suppression(&self) -> Option<Timestamp> {
        self.composites
            .values()
            .filter_map(|composite| composite.suppressed_until)
            .min()
    }

    pub(super) fn value_of(&self, rule: &AlarmRule) -> StateValue {
        if rule.holds(&|alarm| self.state_value(alarm)) {
            StateValue::Alarm
        } else {
            StateValue::Ok
        }
    }

    pub(super) fn state_value(&self, name: &str) -> Option<StateValue> {
        self.state_of(name).map(|(_, state)| state.value)
    }

    /// ARN and state of an alarm of either kind.
    pub(super) fn state_of(&self, name: &str) -> Option<(&str, &State)> {
        let metric = self.alarms.get(name).map(|watch| (watch.arn.as_str(), &watch.state));
        metric.or_else(|| {
            let composite = self.composites.get(name)?;
            Some((composite.arn.as_str(), &composite.state))
        })
    }

    pub(super) fn child(&self, name: &str) -> Option<Child> {
        let (arn, state) = self.state_of(name)?;
        Some(Child {
            arn: arn.to_owned(),
            state: ChildState {
                value: state.value.name(),
                timestamp: alarm_time(state.updated_at),
            },
            at: state.updated_at,
        })
    }

    pub(super) fn suppressor_is_up(&self, composite: &Composite) -> bool {
        let suppressor = composite.suppressor.as_deref().and_then(|name| self.state_of(name));
        suppressor.is_some_and(|(_, state)| state.value == StateValue::Alarm)
    }

    /// Whether the state of `alarm` follows from that of `other`, or is it.
    pub(super) fn depends_on(&self, alarm: &str, other: &str) -> bool {
        alarm == other
            || self.composites.get(alarm).is_some_and(|composite| {
                let mut children = composite.rule.children().into_iter();
                children.any(|child| self.depends_on(child, other))
            })
    }
}

/// The name of an alarm of this account and Region, of which `prefix` is how its ARN begins.
pub(super) fn name_of(alarm: &str, prefix: &str) -> Result<String, String> {
    match alarm.strip_prefix(prefix) {
        Some(name) => Ok(name.to_owned()),
        None if Arn::read(alarm).is_some() => Err(format!(
            "{alarm} is an alarm of another account or Region, and those of a composite alarm must be in its own"
        )),
        None => Ok(alarm.to_owned()),
    }
}

impl Composite {
    /// Gives the alarm another value, and its event; nothing if it has that value.
    pub(super) fn changes_to(
        &mut self,
        environment: &Environment,
        region: &str,
        value: StateValue,
        reason: String,
        children: &[Child],
        suppressor_is_up: bool,
    ) -> Option<Value> {
        let now = environment.now();
        if value == self.state.value {
            return None;
        }
        // A wait or an extension that goes on is discarded, and a new wait begins.
        self.suppressed_until = None;
        let suppressed_by = match &self.alarm.suppressor {
            Some(_) if suppressor_is_up => Some(SuppressedBy::Alarm),
            Some(suppressor) if !suppressor.wait.is_zero() => {
                self.suppressed_until = after(now, suppressor.wait);
                Some(SuppressedBy::WaitPeriod)
            }
            _ => None,
        };
        let data = ReasonData {
            triggering_alarms: children,
        };
        let reason_data = Some(children).filter(|children| !children.is_empty());
        let state = State {
            value,
            reason,
            reason_data: reason_data.and_then(|_| serde_json::to_string(&data).ok()),
            updated_at: now,
            suppressed_by,
        };
        self.transitioned_at = now;
        let previous = std::mem::replace(&mut self.state, state);
        Some(self.event(environment, region, &previous))
    }

    /// The suppressor went into ALARM, or left it.
    ///
    /// Whether EventBridge hears of this is not documented, and nothing here says so.
    pub(super) fn suppressor_changed(&mut self, is_up: bool, now: Timestamp) {
        let extension = self.alarm.suppressor.as_ref().map(|suppressor| suppressor.extension);
        let (by, until) = match (is_up, self.state.suppressed_by) {
            (true, _) => (Some(SuppressedBy::Alarm), None),
            (false, Some(SuppressedBy::Alarm)) => match extension.filter(|extension| !extension.is_zero()) {
                Some(extension) => (Some(SuppressedBy::ExtensionPeriod), after(now, extension)),
                // At once, at the next look.
                None => (Some(SuppressedBy::ExtensionPeriod), Some(now)),
            },
            // From OK to INSUFFICIENT_DATA, or the other way: it suppressed nothing.
            (false, by) => (by, self.suppressed_until),
        };
        if by != self.state.suppressed_by {
            (self.state.suppressed_by, self.state.updated_at) = (by, now);
        }
        self.suppressed_until = until;
    }

    /// Takes the actions of its state after a wait or an extension; gives the event.
    ///
    /// The state is then a new one, with its own time, beside the one that was suppressed: so the User Guide has it in
    /// the event that a Lambda action gets ("Invoke a Lambda function from an alarm"). That EventBridge hears of it too
    /// is assumed: nothing documents it, so that nothing should depend on it.
    pub(super) fn acts(&mut self, environment: &Environment, region: &str) -> Value {
        self.suppressed_until = None;
        let state = State {
            updated_at: environment.now(),
            suppressed_by: None,
            ..self.state.clone()
        };
        let previous = std::mem::replace(&mut self.state, state);
        self.event(environment, region, &previous)
    }

    pub(super) fn event(&self, environment: &Environment, region: &str, previous: &State) -> Value {
        let mut configuration = json!({ "alarmRule": self.alarm.rule });
        if !self.alarm.description.is_empty() {
            configuration["description"] = json!(self.alarm.description);
        }
        if let Some(suppressor) = &self.alarm.suppressor {
            configuration["actionsSuppressor"] = json!(suppressor.alarm);
            configuration["actionsSuppressorWaitPeriod"] = json!(whole_seconds(suppressor.wait));
            configuration["actionsSuppressorExtensionPeriod"] = json!(whole_seconds(suppressor.extension));
        }
        state_change(
            environment,
            region,
            (&self.alarm.name, &self.arn),
            configuration,
            previous,
            &self.state,
        )
    }

    pub(super) fn described(&self) -> Cbor {
        let Self { alarm, state, .. } = self;
        let nothing = || Cbor::Array(Vec::new());
        let mut described = cbor_map([
            ("AlarmName", alarm.name.as_str().into()),
            ("AlarmArn", self.arn.as_str().into()),
            ("AlarmRule", alarm.rule.as_str().into()),
            ("AlarmConfigurationUpdatedTimestamp", cbor_time(self.configured_at)),
            ("ActionsEnabled", alarm.actions_enabled.into()),
            ("OKActions", nothing()),
            ("AlarmActions", nothing()),
            ("InsufficientDataActions", nothing()),
            ("StateValue", state.value.name().into()),
            ("StateReason", state.reason.as_str().into()),
            ("StateUpdatedTimestamp", cbor_time(state.updated_at)),
            ("StateTransitionedTimestamp", cbor_time(self.transitioned_at)),
        ]);
        let mut more: Vec<(&str, Cbor)> = Vec::new();
        if !alarm.description.is_empty() {
            more.push(("AlarmDescription", alarm.description.as_str().into()));
        }
        if let Some(data) = &state.reason_data {
            more.push(("StateReasonData", data.as_str().into()));
        }
        if let Some(suppressor) = &alarm.suppressor {
            more.push(("ActionsSuppressor", suppressor.alarm.as_str().into()));
            more.push(("ActionsSuppressorWaitPeriod", whole_seconds(suppressor.wait).into()));
            more.push((
                "ActionsSuppressorExtensionPeriod",
                whole_seconds(suppressor.extension).into(),
            ));
        }
        if let Some(by) = state.suppressed_by {
            more.push(("ActionsSuppressedBy", by.name().into()));
            more.push(("ActionsSuppressedReason", by.reason().into()));
        }
        if let Cbor::Map(fields) = &mut described {
            fields.extend(more.into_iter().map(|(name, value)| (name.into(), value)));
        }
        described
    }
}

pub(super) fn after(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    Some(now.checked_add(wait).unwrap_or(Timestamp::MAX))
}

/// Why, for programs. It travels as text, in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasonData<'a> {
    pub(super) triggering_alarms: &'a [Child],
}

/// An alarm whose state a composite alarm follows.
#[derive(Serialize)]
pub(super) struct Child {
    pub(super) arn: String,
    pub(super) state: ChildState,
    #[serde(skip)]
    pub(super) at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct ChildState {
    pub(super) value: &'static str,
    pub(super) timestamp: String,
}

impl Child {
    /// `… transitioned to ALARM at Friday 22 July, 2022 15:57:45 UTC`
    pub(super) fn transition(&self) -> String {
        let at = self.at.strftime("%A %d %B, %Y %H:%M:%S UTC");
        format!("{} transitioned to {} at {at}", self.arn, self.state.value)
    }
}
