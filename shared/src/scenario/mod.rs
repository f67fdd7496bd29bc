//! Scenarios: the name of each, which plans, requests and records hold, and below it a module for each.
//!
//! A module says what can be asked for, how long its machine may wait, which part of the plan that machine gets, and whether
//! writes can be lost. A new scenario is its name here, a new module, and that one's line in `list`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

mod accidental_deletion;
mod az_failure;
pub mod database_corruption;
mod list;
pub mod module;
pub mod region_failure;
mod security_breach;
mod service_recovery;

/// Fields of JSON that belong to one scenario: what is wanted of it, or its part of the plan.
pub type Fields = Map<String, Value>;

/// One kind of disaster, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scenario(&'static str);

/// The scenarios that tests added.
static ADDED: RwLock<Vec<Scenario>> = RwLock::new(Vec::new());

impl Scenario {
    /// One Availability Zone is lost.
    pub const AZ_FAILURE: Self = Self("az-failure");
    /// The data is wrong.
    pub const DATABASE_CORRUPTION: Self = Self("database-corruption");
    /// A whole Region is lost.
    pub const REGION_FAILURE: Self = Self("region-failure");
    /// Objects were deleted that should not have been.
    pub const ACCIDENTAL_DELETION: Self = Self("accidental-deletion");
    /// Somebody is inside.
    pub const SECURITY_BREACH: Self = Self("security-breach");
    /// Everything, in order.
    pub const SERVICE_RECOVERY: Self = Self("service-recovery");

    /// Those that every plan can name, in the order of the guide.
    const BUILT_IN: [Self; 6] = [
        Self::AZ_FAILURE,
        Self::DATABASE_CORRUPTION,
        Self::REGION_FAILURE,
        Self::ACCIDENTAL_DELETION,
        Self::SECURITY_BREACH,
        Self::SERVICE_RECOVERY,
    ];

    /// Every scenario, those of the guide first and in its order.
    pub fn all() -> Vec<Self> {
        let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
        Self::BUILT_IN.iter().chain(added.iter()).copied().collect()
    }

    /// The name of a scenario that only tests have; [`Scenario::add`] makes it known.
    pub const fn of_tests(name: &'static str) -> Self {
        Self(name)
    }

    /// The scenario of that name. Errors: a text that lists those that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let all = Self::all();
        let found = all.iter().find(|scenario| scenario.name() == name).copied();
        found.ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|scenario| scenario.name()).collect();
            format!("there is no scenario '{name}'; there are {}", names.join(", "))
        })
    }

    /// Its name in plans, inputs and on the command line.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl Ord for Scenario {
    /// The order of [`Scenario::all`].
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |of: &Self| {
            let place = Self::BUILT_IN.iter().position(|known| known == of);
            (place.unwrap_or(Self::BUILT_IN.len()), of.name())
        };
        place(self).cmp(&place(other))
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
