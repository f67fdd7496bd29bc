//! Composite alarms: their state follows from other alarms' states, and a suppressor keeps them from acting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ciborium::Value as Cbor;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::rule::Rule;
use super::{CloudWatch, Regional, State, StateValue, alarm_time, check_name, state_change, whole_seconds};
use crate::aws::cbor::{cbor_map, cbor_time};
use crate::environment::Environment;
use crate::lock::lock;

/// How long after a wait could not end, as the Region was down, it is looked at again.
const LOOKED_AT_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// An alarm on other alarms of its account and Region.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeAlarm {
    /// The name, unique within a Region, among metric alarms too.
    pub name: String,
    /// The description; can be empty.
    pub description: String,
    /// When it goes off, as `ALARM("a") OR NOT OK("b")`.
    pub rule: String,
    /// Whether the alarm's own actions are on. EventBridge hears of every change of state, whether they are or not.
    pub actions_enabled: bool,
    /// What keeps its actions from being taken, if anything does.
    pub suppressor: Option<Suppressor>,
}

/// An alarm that keeps a composite alarm from acting while it is in ALARM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressor {
    /// The alarm's name or ARN.
    pub alarm: String,
    /// How long the composite alarm waits, after each change of its state, for the suppressor to go into ALARM.
    pub wait: Duration,
    /// How long it waits, after the suppressor left ALARM, before it acts.
    pub extension: Duration,
}

/// What suppresses the actions of a composite alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SuppressedBy {
    WaitPeriod,
    ExtensionPeriod,
    Alarm,
}

impl SuppressedBy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WaitPeriod => "WaitPeriod",
            Self::ExtensionPeriod => "ExtensionPeriod",
            Self::Alarm => "Alarm",
        }
    }

    /// Why, in AWS's words; those for `Alarm` are made like the others.
    pub(super) fn reason(self) -> String {
        format!("Actions suppressed by {}", self.name())
    }
}

/// A composite alarm that is watched.
pub(super) struct Composite {
    pub(super) alarm: CompositeAlarm,
    /// Its alarms are names.
    rule: Rule,
    /// The suppressor's name.
    suppressor: Option<String>,
    arn: String,
    configured_at: Timestamp,
    pub(super) state: State,
    transitioned_at: Timestamp,
    /// When its wait or extension ends.
    suppressed_until: Option<Timestamp>,
}

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
        self.alarm_was_put.notify_one();
        for event in events {
            self.events.publish(environment, region, event);
        }
        Ok(())
    }
}

impl Regional {
    fn put_composite(
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
        let rule = Rule::parse(&alarm.rule)
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
            rule: Rule::Always(false),
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

    fn value_of(&self, rule: &Rule) -> StateValue {
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
    fn state_of(&self, name: &str) -> Option<(&str, &State)> {
        let metric = self.alarms.get(name).map(|watch| (watch.arn.as_str(), &watch.state));
        metric.or_else(|| {
            let composite = self.composites.get(name)?;
            Some((composite.arn.as_str(), &composite.state))
        })
    }

    fn child(&self, name: &str) -> Option<Child> {
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

    fn suppressor_is_up(&self, composite: &Composite) -> bool {
        let suppressor = composite.suppressor.as_deref().and_then(|name| self.state_of(name));
        suppressor.is_some_and(|(_, state)| state.value == StateValue::Alarm)
    }

    /// Whether the state of `alarm` follows from that of `other`, or is it.
    fn depends_on(&self, alarm: &str, other: &str) -> bool {
        alarm == other
            || self.composites.get(alarm).is_some_and(|composite| {
                let mut children = composite.rule.children().into_iter();
                children.any(|child| self.depends_on(child, other))
            })
    }
}

/// The name of an alarm of this account and Region, of which `prefix` is how its ARN begins.
fn name_of(alarm: &str, prefix: &str) -> Result<String, String> {
    match alarm.strip_prefix(prefix) {
        Some(name) => Ok(name.to_owned()),
        None if alarm.starts_with("arn:") => Err(format!(
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
    fn suppressor_changed(&mut self, is_up: bool, now: Timestamp) {
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
    fn acts(&mut self, environment: &Environment, region: &str) -> Value {
        self.suppressed_until = None;
        let state = State {
            updated_at: environment.now(),
            suppressed_by: None,
            ..self.state.clone()
        };
        let previous = std::mem::replace(&mut self.state, state);
        self.event(environment, region, &previous)
    }

    fn event(&self, environment: &Environment, region: &str, previous: &State) -> Value {
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

fn after(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    Some(now.checked_add(wait).unwrap_or(Timestamp::MAX))
}

/// Why, for programs. It travels as text, in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonData<'a> {
    triggering_alarms: &'a [Child],
}

/// An alarm whose state a composite alarm follows.
#[derive(Serialize)]
pub(super) struct Child {
    arn: String,
    state: ChildState,
    #[serde(skip)]
    at: Timestamp,
}

#[derive(Serialize)]
struct ChildState {
    value: &'static str,
    timestamp: String,
}

impl Child {
    /// `… transitioned to ALARM at Friday 22 July, 2022 15:57:45 UTC`
    fn transition(&self) -> String {
        let at = self.at.strftime("%A %d %B, %Y %H:%M:%S UTC");
        format!("{} transitioned to {} at {at}", self.arn, self.state.value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::aws::cloudwatch::{Alarm, Comparison, Metric, MissingData, Statistic};
    use crate::clock::Clock;
    use crate::cloud::Cloud;
    use crate::cloud::Reach;
    use crate::timings::Timings;

    const REGION: &str = "us-west-2";
    const WAIT: u64 = 120;
    const EXTENSION: u64 = 180;

    /// Alarms `a`, `b` and `upkeep`, that are as they are set.
    struct Alarms(Arc<Cloud>);

    impl Alarms {
        fn new() -> Self {
            let began_at = "2026-01-01T12:00:30Z".parse().unwrap();
            let cloud = Cloud::new(
                "123456789012",
                7,
                Clock::starting_at(began_at),
                Timings::built_in().unwrap(),
            );
            for name in ["a", "b", "upkeep"] {
                cloud.cloudwatch.put_alarm(&cloud, REGION, metric_alarm(name)).unwrap();
            }
            Self(cloud)
        }

        /// With a composite alarm `down` of `a` and `b`, and perhaps a suppressor.
        async fn with(suppressor: Option<Suppressor>) -> Self {
            let alarms = Self::new();
            let events = alarms.put(CompositeAlarm {
                suppressor,
                ..composite("down", "ALARM(a) OR ALARM(\"b\")")
            });
            assert_eq!(
                said(&events.unwrap())[0].split(',').next(),
                Some("down INSUFFICIENT_DATA -> OK")
            );
            alarms.pass(600).await;
            alarms
        }

        async fn with_upkeep() -> Self {
            Self::with(Some(upkeep())).await
        }

        fn put(&self, alarm: CompositeAlarm) -> Result<Vec<Value>, String> {
            let mut regions = lock(&self.0.cloudwatch.regions);
            regions
                .entry(REGION.to_owned())
                .or_default()
                .put_composite(&self.0, REGION, alarm)
        }

        fn set(&self, alarm: &str, value: StateValue) -> Vec<Value> {
            let mut regions = lock(&self.0.cloudwatch.regions);
            let here = regions.get_mut(REGION).unwrap();
            here.set_alarm_state(&self.0, REGION, alarm, value, "a test").unwrap()
        }

        /// What is said of `down` when another alarm's state is set.
        fn then(&self, alarm: &str, value: StateValue) -> Vec<String> {
            let events = self.set(alarm, value).into_iter();
            said(
                &events
                    .filter(|event| event["detail"]["alarmName"] == "down")
                    .collect::<Vec<_>>(),
            )
        }

        /// What is said while time passes.
        async fn pass(&self, seconds: u64) -> Vec<String> {
            skip(seconds).await;
            let events = self.0.cloudwatch.evaluate(&self.0).0.into_iter();
            said(&events.map(|(_, event)| event).collect::<Vec<_>>())
        }
    }

    async fn skip(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn metric_alarm(name: &str) -> Alarm {
        Alarm {
            name: name.to_owned(),
            description: String::new(),
            metric: Metric {
                namespace: "Nobody".to_owned(),
                name: "Publishes".to_owned(),
                dimensions: BTreeMap::new(),
            },
            statistic: Statistic::Maximum,
            period: Duration::from_secs(60),
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            threshold: 0.0,
            comparison: Comparison::GreaterThan,
            treat_missing_data: MissingData::Ignore,
            actions_enabled: true,
        }
    }

    fn composite(name: &str, rule: &str) -> CompositeAlarm {
        CompositeAlarm {
            name: name.to_owned(),
            description: String::new(),
            rule: rule.to_owned(),
            actions_enabled: true,
            suppressor: None,
        }
    }

    fn upkeep() -> Suppressor {
        Suppressor {
            alarm: "upkeep".to_owned(),
            wait: Duration::from_secs(WAIT),
            extension: Duration::from_secs(EXTENSION),
        }
    }

    /// `down OK -> ALARM, WaitPeriod`
    fn said(events: &[Value]) -> Vec<String> {
        let each = events.iter().map(|event| {
            let detail = &event["detail"];
            let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
            let by = text(&detail["state"]["actionsSuppressedBy"]);
            let comma = if by.is_empty() { "" } else { ", " };
            format!(
                "{} {} -> {}{comma}{by}",
                text(&detail["alarmName"]),
                text(&detail["previousState"]["value"]),
                text(&detail["state"]["value"])
            )
        });
        each.collect()
    }

    use StateValue::{Alarm as Up, InsufficientData as Unknown, Ok as Fine};

    #[tokio::test(start_paused = true)]
    async fn the_state_follows_from_those_of_the_alarms() {
        let alarms = Alarms::with(None).await;
        assert_eq!(alarms.then("a", Up), ["down OK -> ALARM"]);
        assert!(alarms.then("b", Up).is_empty(), "it is in ALARM already");
        assert!(alarms.then("a", Unknown).is_empty());
        assert_eq!(alarms.then("b", Fine), ["down ALARM -> OK"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_was_set_stays_until_an_alarm_of_it_changes() {
        let alarms = Alarms::with(None).await;
        assert_eq!(said(&alarms.set("down", Up)), ["down OK -> ALARM"]);
        assert!(alarms.pass(3600).await.is_empty());
        assert_eq!(alarms.then("a", Fine), ["down ALARM -> OK"]);
    }

    #[tokio::test(start_paused = true)]
    async fn composite_alarms_follow_each_other() {
        let alarms = Alarms::with(None).await;
        let upper = composite(
            "upper",
            "NOT ALARM(\"arn:aws:cloudwatch:us-west-2:123456789012:alarm:down\")",
        );
        assert_eq!(said(&alarms.put(upper).unwrap()), ["upper INSUFFICIENT_DATA -> ALARM"]);
        assert_eq!(
            said(&alarms.set("a", Up)),
            ["a INSUFFICIENT_DATA -> ALARM", "down OK -> ALARM", "upper ALARM -> OK"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_aws_refuses_is_refused() {
        let alarms = Alarms::with(None).await;
        let refused = |rule: &str| alarms.put(composite("new", rule)).unwrap_err();
        assert!(
            refused("ALARM(a) OR ALARM(x) OR OK(\"y\")")
                .ends_with("Could not save the composite alarm as alarms [x, y] in the alarm rule do not exist")
        );
        assert!(refused("ALARM(new)").contains("[new] in the alarm rule do not exist"));
        assert!(refused("ALARM()").contains("Error in AlarmRule"));
        let elsewhere = "ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)";
        assert!(refused(elsewhere).contains("an alarm of another account or Region"));
        alarms.put(composite("upper", "ALARM(down)")).unwrap();
        for rule in ["ALARM(upper)", "ALARM(down)"] {
            assert!(
                alarms.put(composite("down", rule)).unwrap_err().contains("a cycle"),
                "{rule}"
            );
        }
        let absent = Some(Suppressor {
            alarm: "absent".to_owned(),
            ..upkeep()
        });
        let suppressor = CompositeAlarm {
            suppressor: absent,
            ..composite("new", "ALARM(a)")
        };
        assert!(
            alarms
                .put(suppressor)
                .unwrap_err()
                .contains("ActionsSuppressor absent does not exist")
        );
        assert!(
            alarms
                .put(composite("a", "ALARM(b)"))
                .unwrap_err()
                .contains("there is a metric alarm a")
        );
        let cloud = &alarms.0;
        let metric = cloud.cloudwatch.put_alarm(cloud, REGION, metric_alarm("down"));
        assert!(metric.unwrap_err().contains("there is a composite alarm down"));
        assert!(alarms.put(composite("", "TRUE")).is_err());
        assert_eq!(
            alarms.then("a", Up),
            ["down OK -> ALARM"],
            "what was refused changed nothing"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_keeps_the_state_and_is_evaluated() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("a", Up);
        let changed = CompositeAlarm {
            suppressor: Some(upkeep()),
            ..composite("down", "ALARM(b)")
        };
        let events = alarms.put(changed).unwrap();
        assert_eq!(said(&events), ["down ALARM -> OK, WaitPeriod"]);
        let reason = events[0]["detail"]["state"]["reason"].as_str().unwrap();
        assert!(
            reason.ends_with(":alarm:down was updated and its alarm rule evaluates to OK"),
            "{reason}"
        );
        // "If you replace the action suppressor alarm, any active WaitPeriod or ExtensionPeriod is discarded."
        assert!(alarms.put(composite("down", "ALARM(b)")).unwrap().is_empty());
        assert!(alarms.pass(600).await.is_empty());
    }

    /// The numbers are those of the User Guide's examples ("Suppressing composite alarm actions").
    mod examples {
        use super::*;

        #[tokio::test(start_paused = true)]
        async fn n1_actions_are_not_suppressed_after_the_wait() {
            let alarms = Alarms::with_upkeep().await;
            assert_eq!(alarms.then("a", Up), ["down OK -> ALARM, WaitPeriod"]);
            assert!(alarms.pass(WAIT - 1).await.is_empty());
            assert_eq!(alarms.pass(1).await, ["down ALARM -> ALARM"]);
            assert!(alarms.pass(3600).await.is_empty());
        }

        #[tokio::test(start_paused = true)]
        async fn n2_actions_are_suppressed_by_the_alarm_before_the_wait_is_over() {
            let alarms = Alarms::with_upkeep().await;
            alarms.set("a", Up);
            skip(60).await;
            assert!(alarms.then("upkeep", Up).is_empty());
            assert!(alarms.pass(3600).await.is_empty());
        }

        #[tokio::test(start_paused = true)]
        async fn n3_a_change_of_state_in_the_wait_begins_a_new_one() {
            let alarms = Alarms::with_upkeep().await;
            alarms.set("a", Up);
            skip(60).await;
            assert_eq!(alarms.then("a", Fine), ["down ALARM -> OK, WaitPeriod"]);
            assert!(alarms.pass(WAIT - 1).await.is_empty());
            assert_eq!(alarms.pass(1).await, ["down OK -> OK"]);
        }

        #[tokio::test(start_paused = true)]
        async fn n4_a_change_of_state_while_the_suppressor_is_in_alarm() {
            let alarms = Alarms::with_upkeep().await;
            alarms.set("upkeep", Up);
            skip(3600).await;
            assert_eq!(alarms.then("a", Up), ["down OK -> ALARM, Alarm"]);
            assert!(alarms.pass(3600).await.is_empty());
        }

        #[tokio::test(start_paused = true)]
        async fn n5_actions_are_not_suppressed_after_the_extension() {
            let alarms = Alarms::with_upkeep().await;
            alarms.set("a", Up);
            alarms.set("upkeep", Up);
            skip(600).await;
            assert!(alarms.then("upkeep", Fine).is_empty());
            assert!(alarms.pass(EXTENSION - 1).await.is_empty());
            assert_eq!(alarms.pass(1).await, ["down ALARM -> ALARM"]);
        }

        #[tokio::test(start_paused = true)]
        async fn n6_a_change_of_state_in_the_extension_begins_a_wait() {
            let alarms = Alarms::with_upkeep().await;
            alarms.set("a", Up);
            alarms.set("upkeep", Up);
            alarms.set("upkeep", Fine);
            skip(60).await;
            assert_eq!(alarms.then("a", Fine), ["down ALARM -> OK, WaitPeriod"]);
            assert!(alarms.pass(WAIT - 1).await.is_empty());
            assert_eq!(alarms.pass(1).await, ["down OK -> OK"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wait_nothing_is_waited_for() {
        let suppressor = Suppressor {
            wait: Duration::ZERO,
            extension: Duration::ZERO,
            ..upkeep()
        };
        let alarms = Alarms::with(Some(suppressor)).await;
        assert_eq!(alarms.then("a", Up), ["down OK -> ALARM"]);
        alarms.set("upkeep", Up);
        alarms.set("upkeep", Fine);
        assert_eq!(alarms.pass(0).await, ["down ALARM -> ALARM"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_suppressor_that_never_was_in_alarm_changes_nothing() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("a", Up);
        alarms.set("upkeep", Fine);
        assert!(alarms.pass(WAIT - 1).await.is_empty());
        assert_eq!(alarms.pass(1).await, ["down ALARM -> ALARM"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_ends_while_the_region_is_down_ends_after() {
        let alarms = Alarms::with_upkeep().await;
        alarms.set("a", Up);
        alarms.0.take_away(REGION, Reach::Apis);
        assert!(alarms.pass(WAIT).await.is_empty());
        alarms.0.give_region_back(REGION);
        assert_eq!(alarms.pass(60).await, ["down ALARM -> ALARM"]);
    }

    /// The same fields at every level: an object's names, and what is below them.
    fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        found.insert(path.to_owned());
        for (name, value) in value.as_object().into_iter().flatten() {
            shape(value, &format!("{path}/{name}"), found);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_event_is_as_aws_documents_it() {
        let alarms = Alarms::with_upkeep().await;
        let event = alarms.set("a", Up).pop().unwrap();
        let documented = include_str!("../../../../tests/fixtures/events/cloudwatch-alarm-composite-suppressed.json");
        let shapes = [event.clone(), serde_json::from_str(documented).unwrap()].map(|event| {
            let mut found = BTreeSet::new();
            shape(&event, "", &mut found);
            found
        });
        assert_eq!(shapes[0], shapes[1]);
        let detail = &event["detail"];
        assert_eq!(
            event["resources"],
            json!(["arn:aws:cloudwatch:us-west-2:123456789012:alarm:down"])
        );
        assert_eq!(
            detail["configuration"],
            json!({
                "alarmRule": "ALARM(a) OR ALARM(\"b\")",
                "actionsSuppressor": "upkeep",
                "actionsSuppressorWaitPeriod": 120,
                "actionsSuppressorExtensionPeriod": 180,
            })
        );
        assert_eq!(
            detail["state"],
            json!({
                "value": "ALARM",
                "reason": "arn:aws:cloudwatch:us-west-2:123456789012:alarm:a transitioned to ALARM at Thursday 01 \
                           January, 2026 12:10:30 UTC",
                "reasonData": "{\"triggeringAlarms\":[{\"arn\":\"arn:aws:cloudwatch:us-west-2:123456789012:alarm:a\",\
                               \"state\":{\"value\":\"ALARM\",\"timestamp\":\"2026-01-01T12:10:30.000+0000\"}}]}",
                "timestamp": "2026-01-01T12:10:30.000+0000",
                "actionsSuppressedBy": "WaitPeriod",
                "actionsSuppressedReason": "Actions suppressed by WaitPeriod",
            })
        );
        let before = detail["previousState"]["reason"].as_str().unwrap();
        assert!(
            before.ends_with(":alarm:down was created and its alarm rule evaluates to OK"),
            "{before}"
        );
        // When the wait is over the one that waited is the state before.
        skip(WAIT).await;
        let (_, over) = alarms.0.cloudwatch.evaluate(&alarms.0).0.pop().unwrap();
        assert_eq!(over["detail"]["previousState"], detail["state"]);
        assert_eq!(over["detail"]["state"]["timestamp"], "2026-01-01T12:12:30.000+0000");
    }
}
