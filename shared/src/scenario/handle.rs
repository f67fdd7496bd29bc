//! The handle by which a scenario is named.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{PoisonError, RwLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::list::BUILT_IN;
use super::module::{Deadline, Definition, Fields, Module};

/// One kind of disaster, by its module. Two are equal if they have the same name.
#[derive(Clone, Copy)]
pub struct Scenario(&'static Definition);

/// The scenarios that [`Scenario::add`] brought.
static ADDED: RwLock<Vec<&'static Definition>> = RwLock::new(Vec::new());

impl Scenario {
    /// Every scenario, those of the guide first and in its order.
    pub fn all() -> Vec<Self> {
        let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
        BUILT_IN.iter().chain(added.iter().copied()).map(Self).collect()
    }

    /// The scenario of that module.
    pub const fn of<M: Module>() -> Self {
        Self(const { &Definition::of::<M>() })
    }

    /// Makes one more scenario known in this process, such as one that only tests have. Added again, it is added once.
    /// Errors: a text, if another one has its name.
    pub fn add<M: Module>() -> Result<Self, String> {
        let new = Self::of::<M>();
        let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
        let known = BUILT_IN.iter().chain(added.iter().copied());
        match known.into_iter().find(|known| known.name == new.name()) {
            None => added.push(new.0),
            Some(known) if known.machine == new.machine() && known.title == new.0.title => {}
            Some(_) => return Err(format!("there is a scenario {new} already")),
        }
        Ok(new)
    }

    /// The scenario of that name. Errors: a text that lists those that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let all = Self::all();
        let names = || {
            all.iter()
                .map(|scenario| scenario.name())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let found = all.iter().find(|scenario| scenario.name() == name);
        found
            .copied()
            .ok_or_else(|| format!("there is no scenario '{name}'; there are {}", names()))
    }

    /// What its module says.
    pub const fn definition(self) -> &'static Definition {
        self.0
    }

    /// Its name in plans, inputs and on the command line.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// The state machine that recovers from it, by the last words of its name; nothing where there is none yet.
    pub const fn machine(self) -> Option<&'static str> {
        self.0.machine
    }

    /// A deadline of its machine; nothing where that waits for no such thing.
    pub fn deadline(self, name: &str) -> Option<&'static Deadline> {
        self.0.deadlines.iter().find(|deadline| deadline.name == name)
    }

    /// What is asked for, with the defaults of what is left out. Errors: a text that says what cannot be asked for.
    pub fn wants(self, asked: Fields) -> Result<Fields, String> {
        (self.0.wants)(asked).map_err(|why| format!("wants: {why}, for the scenario {self}"))
    }

    /// What is wanted, read as its module's type. Errors: a text, if that is another scenario's type.
    pub fn read_wants<T: DeserializeOwned>(self, wants: &Fields) -> Result<T, String> {
        serde_json::from_value(Value::Object(wants.clone())).map_err(|error| format!("wants: {error}"))
    }
}

impl PartialEq for Scenario {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Scenario {}

impl Hash for Scenario {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl Ord for Scenario {
    /// The order of [`Scenario::all`].
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |of: &Self| BUILT_IN.iter().position(|known| known.name == of.name());
        match (place(self), place(other)) {
            (Some(one), Some(two)) => one.cmp(&two),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.name().cmp(other.name()),
        }
    }
}

impl PartialOrd for Scenario {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        Self::named(&name).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Scenario {
    fn schema_name() -> Cow<'static, str> {
        "Scenario".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::all().into_iter().map(Self::name).collect();
        json_schema!({ "type": "string", "description": "One kind of disaster.", "enum": names })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_read_and_written_and_an_unknown_one_says_which_there_are() {
        for scenario in Scenario::all() {
            let text = serde_json::to_string(&scenario).unwrap();
            assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
        }
        let error = serde_json::from_str::<Scenario>("\"moon-failure\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'moon-failure'") && error.contains("region-failure"),
            "{error}"
        );
    }

    #[test]
    fn their_order_is_that_of_the_list() {
        let all = Scenario::all();
        let sorted: BTreeSet<Scenario> = all.iter().copied().collect();
        assert_eq!(sorted.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn what_a_scenario_says_fits_together() {
        // Fields of the input of every scenario's machine, beside which its own stand.
        let common = ["scenario", "mode", "always_ask", "started_by", "triggered_at"];
        for scenario in Scenario::all() {
            let definition = scenario.definition();
            let wants = scenario.wants(Fields::new()).unwrap();
            assert!(common.iter().all(|name| !wants.contains_key(*name)), "{scenario}");
            assert_eq!(scenario.wants(wants.clone()).unwrap(), wants, "{scenario}");
            let unknown = Fields::from_iter([("moon".to_owned(), Value::Null)]);
            assert!(scenario.wants(unknown).unwrap_err().contains("moon"), "{scenario}");
            for name in definition.one_after_the_other {
                assert!(scenario.deadline(name).is_some(), "{scenario}: {name}");
            }
            let names: BTreeSet<&str> = definition.deadlines.iter().map(|deadline| deadline.name).collect();
            assert_eq!(names.len(), definition.deadlines.len(), "{scenario}");
        }
    }
}
