//! What a scenario's module says.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fields, Scenario};
use crate::plan::{Duration, Plan, Site, SiteName};

/// A scenario with no fields of its own at this place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NothingMore {}

/// One kind of disaster.
pub trait Module {
    /// The scenario.
    const SCENARIO: Scenario;
    /// Its name for people, as a headline.
    const TITLE: &'static str;
    /// The state machine that recovers from it, by the last words of its name; `None` if it has no machine yet.
    const MACHINE: Option<&'static str> = None;
    /// Whether it loses writes even when everything goes well, so that the plan needs an RPO.
    const LOSES_WRITES: bool;
    /// How long its machine waits for what.
    const DEADLINES: &'static [Deadline];
    /// The deadlines, by name, that can pass one after the other in one recovery.
    const ONE_AFTER_THE_OTHER: &'static [&'static str];
    /// What a request can ask for. What it leaves out has its default.
    type Wants: Serialize + DeserializeOwned + Default;
    /// The part of the plan that its machine gets beside the part that all get.
    type Slice: Serialize;

    /// That part, for a recovery that runs in `here`.
    fn slice(plan: &Plan, here: &Site) -> Self::Slice;

    /// What people are told when a recovery from it begins in `here`.
    fn announcement(_plan: &Plan, here: &Site) -> String {
        format!("A recovery from {} has started in {}.", Self::SCENARIO, here.region)
    }

    /// Why an alarm in that Region cannot start it; nothing where it can.
    fn unheard_alarm(_region: SiteName) -> Option<&'static str> {
        None
    }
}

/// How long a scenario's machine waits for something at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Its name in the plan; machines get it in seconds, as `<name>_seconds`.
    pub name: &'static str,
    /// Until what.
    pub until: &'static str,
    /// The longest that the machine is made for: with it, an execution stays within its history.
    pub longest: Duration,
    /// Who says how long it is.
    pub set_by: SetBy,
}

/// Who says how long a deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The plan; it has to.
    Plan,
    /// The plan, or this where it does not.
    PlanOr(Duration),
    /// Nobody: it is always the longest.
    Machine,
}

impl Deadline {
    /// A deadline that every plan gives.
    pub const fn of_plan(name: &'static str, until: &'static str, longest: Duration) -> Self {
        Self {
            name,
            until,
            longest,
            set_by: SetBy::Plan,
        }
    }

    /// A deadline that a plan can give.
    pub const fn or(self, default: Duration) -> Self {
        Self {
            set_by: SetBy::PlanOr(default),
            ..self
        }
    }

    /// A deadline that no plan gives.
    pub const fn of_machine(name: &'static str, until: &'static str, longest: Duration) -> Self {
        Self {
            name,
            until,
            longest,
            set_by: SetBy::Machine,
        }
    }
}

/// Until the database answers reads and writes: what most scenarios wait for first.
pub(super) const DATABASE: Deadline = Deadline::of_plan(
    "database",
    "Until the database answers reads and writes.",
    Duration::from_secs(4 * 3600),
);
/// Until customers are served: what every scenario waits for last.
pub(super) const HEALTH: Deadline = Deadline::of_plan(
    "health",
    "Until the public name answers as healthy.",
    Duration::from_secs(3600),
);

/// A [`Module`], as data.
#[derive(Debug)]
pub struct Definition {
    /// See [`Module::SCENARIO`].
    pub scenario: Scenario,
    /// See [`Module::TITLE`].
    pub title: &'static str,
    /// See [`Module::MACHINE`].
    pub machine: Option<&'static str>,
    /// See [`Module::LOSES_WRITES`].
    pub loses_writes: bool,
    /// See [`Module::DEADLINES`].
    pub deadlines: &'static [Deadline],
    /// See [`Module::ONE_AFTER_THE_OTHER`].
    pub one_after_the_other: &'static [&'static str],
    /// See [`Module::announcement`].
    pub announcement: fn(&Plan, &Site) -> String,
    /// See [`Module::unheard_alarm`].
    pub unheard_alarm: fn(SiteName) -> Option<&'static str>,
    pub(super) wants: fn(Fields) -> Result<Fields, String>,
    pub(crate) slice: fn(&Plan, &Site) -> Result<Fields, String>,
}

impl Definition {
    /// What `M` says.
    pub const fn of<M: Module>() -> Self {
        Self {
            scenario: M::SCENARIO,
            title: M::TITLE,
            machine: M::MACHINE,
            loses_writes: M::LOSES_WRITES,
            deadlines: M::DEADLINES,
            one_after_the_other: M::ONE_AFTER_THE_OTHER,
            announcement: M::announcement,
            unheard_alarm: M::unheard_alarm,
            wants: wants::<M>,
            slice: slice::<M>,
        }
    }
}

/// What is asked for, with the defaults of what is left out. Errors: a text, if the scenario has no such field or value.
fn wants<M: Module>(asked: Fields) -> Result<Fields, String> {
    let wants: M::Wants = if asked.is_empty() {
        M::Wants::default()
    } else {
        serde_json::from_value(Value::Object(asked)).map_err(|error| error.to_string())?
    };
    fields(&wants)
}

fn slice<M: Module>(plan: &Plan, here: &Site) -> Result<Fields, String> {
    fields(&M::slice(plan, here))
}

/// The fields of a struct. Errors: a text, if it is no struct, which is a defect.
fn fields(of: &impl Serialize) -> Result<Fields, String> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(format!("{other} has no fields; this is a defect")),
        Err(error) => Err(format!("{error}; this is a defect")),
    }
}
