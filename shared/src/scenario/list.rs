//! What the module of each scenario says.

use std::sync::{PoisonError, RwLock};

use super::accidental_deletion::AccidentalDeletion;
use super::az_failure::AzFailure;
use super::database_corruption::DatabaseCorruption;
use super::module::{Deadline, Definition, Module};
use super::region_failure::RegionFailure;
use super::security_breach::SecurityBreach;
use super::service_recovery::ServiceRecovery;
use super::{ADDED, Fields, Scenario};

static BUILT_IN: [Definition; 6] = [
    Definition::of::<AzFailure>(),
    Definition::of::<DatabaseCorruption>(),
    Definition::of::<RegionFailure>(),
    Definition::of::<AccidentalDeletion>(),
    Definition::of::<SecurityBreach>(),
    Definition::of::<ServiceRecovery>(),
];

/// What [`Scenario::add`] brought.
static BROUGHT: RwLock<Vec<&'static Definition>> = RwLock::new(Vec::new());

impl Scenario {
    /// Makes one more scenario known in this process, such as one that only tests have. Added again, it is added once.
    /// Errors: a text, if another one has its name.
    pub fn add<M: Module>() -> Result<Self, String> {
        let new: &'static Definition = const { &Definition::of::<M>() };
        let scenario = new.scenario;
        let mut brought = BROUGHT.write().unwrap_or_else(PoisonError::into_inner);
        let known = BUILT_IN.iter().chain(brought.iter().copied());
        match known.into_iter().find(|known| known.scenario == scenario) {
            None => {
                brought.push(new);
                ADDED.write().unwrap_or_else(PoisonError::into_inner).push(scenario);
            }
            Some(known) if known.machine == new.machine && known.title == new.title => {}
            Some(_) => return Err(format!("there is a scenario {scenario} already")),
        }
        Ok(scenario)
    }

    /// What its module says. Panics for a scenario of tests that was not added.
    pub fn definition(self) -> &'static Definition {
        let brought = BROUGHT.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = BUILT_IN.iter().chain(brought.iter().copied());
        let found = known.find(|known| known.scenario == self);
        found.unwrap_or_else(|| panic!("the scenario {self} has no module; Scenario::add makes one known"))
    }

    /// The state machine that recovers from it, by the last words of its name; `None` if it has no machine yet.
    pub fn machine(self) -> Option<&'static str> {
        self.definition().machine
    }

    /// A deadline of its machine; nothing where that waits for no such thing.
    pub fn deadline(self, name: &str) -> Option<&'static Deadline> {
        self.definition()
            .deadlines
            .iter()
            .find(|deadline| deadline.name == name)
    }

    /// What is asked for, with the defaults of what is left out. Errors: a text that says what cannot be asked for.
    pub fn wants(self, asked: Fields) -> Result<Fields, String> {
        (self.definition().wants)(asked).map_err(|why| format!("wants: {why}, for the scenario {self}"))
    }
}
