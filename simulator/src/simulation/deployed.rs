//! The functions that are deployed, and what a test does to them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use shared::arn::Arn;
use shared::aws::Aws;
use shared::step::Handler;
use states_language::TaskFailure;

use crate::faults::FaultId;

/// Makes a function's handler in a world.
pub type MakeHandler = fn(&Aws) -> Box<dyn Handler>;
/// Makes the handler of the function of this name around what its own maker makes.
pub type Wrap = Box<dyn Fn(&str, MakeHandler, &Aws) -> Box<dyn Handler>>;

/// ARN of a function that is deployed; machines invoke a published version.
pub fn function_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:lambda:{region}:{account}:function:{name}:1")
}

/// A Region, and a function's name in it.
pub(super) type Key = (String, String);

/// The functions of all Regions.
pub(super) struct Functions {
    pub(super) makers: BTreeMap<Key, MakeHandler>,
    /// Regions in which each function has reserved concurrency.
    pub(super) reserving: BTreeSet<String>,
    /// Makes the handlers in the place of their makers.
    pub(super) wrap: RefCell<Option<Wrap>>,
    pub(super) warm: RefCell<BTreeMap<Key, Rc<dyn Handler>>>,
    pub(super) treatment: RefCell<BTreeMap<Key, Treatment>>,
}

/// What a test does to a function.
#[derive(Clone, Default)]
pub(super) struct Treatment {
    /// With what each invocation fails at once.
    pub(super) broken: Option<TaskFailure>,
    /// What kills each invocation, or did before it was lifted.
    pub(super) killed_by: Option<FaultId>,
}

impl Functions {
    pub(super) fn new(makers: BTreeMap<Key, MakeHandler>, reserving: BTreeSet<String>) -> Self {
        Self {
            makers,
            reserving,
            wrap: RefCell::default(),
            warm: RefCell::default(),
            treatment: RefCell::default(),
        }
    }

    /// From the next cold start on, `wrap` makes the handlers.
    pub(super) fn wrap(&self, wrap: Wrap) {
        self.warm.borrow_mut().clear();
        *self.wrap.borrow_mut() = Some(wrap);
    }

    pub(super) fn made(&self, name: &str, make: MakeHandler, aws: &Aws) -> Rc<dyn Handler> {
        match &*self.wrap.borrow() {
            Some(wrap) => Rc::from(wrap(name, make, aws)),
            None => Rc::from(make(aws)),
        }
    }

    /// Whether a function is deployed in a Region.
    pub(super) fn has(&self, region: &str, name: &str) -> bool {
        self.makers.contains_key(&key(region, name))
    }

    /// The functions that are deployed in a Region.
    pub(super) fn names_in<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a str> {
        let deployed = self.makers.keys().filter(move |(deployed_in, _)| deployed_in == region);
        deployed.map(|(_, name)| name.as_str())
    }

    /// Whether a function is deployed in any Region.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.makers.keys().any(|(_, deployed)| deployed == name)
    }

    pub(super) fn treatment(&self, region: &str, name: &str) -> Treatment {
        let treatment = self.treatment.borrow();
        treatment.get(&key(region, name)).cloned().unwrap_or_default()
    }

    pub(super) fn change(&self, region: &str, name: &str, change: impl FnOnce(&mut Treatment)) -> Result<(), String> {
        if !self.has(region, name) {
            return Err(format!("there is no function {name} in {region}"));
        }
        change(self.treatment.borrow_mut().entry(key(region, name)).or_default());
        Ok(())
    }
}

pub(super) fn key(region: &str, name: &str) -> Key {
    (region.to_owned(), name.to_owned())
}

/// Region and name in a function's ARN, with a version or without.
pub(super) fn region_and_name(arn: &str) -> Option<(&str, &str)> {
    let arn = Arn::read(arn)?;
    Some((arn.region, arn.name_of("lambda", "function")?))
}
