//! What a scenario adds to what is told of every recovery. Whatever it leaves out is told by what holds of every one.

use jiff::Timestamp;
use serde_json::{Map, Value};
use shared::fence::Noted;
use shared::measure::Achieved;
use shared::record::{Closing, Undo};

use crate::account::Account;
use crate::figures;
use crate::page::{Figure, Place, Spell, Text, Todo};
use crate::steps;
use crate::words::step_of;

/// A moment that was observed: what happened then, when, and how that is known.
pub type Moment = (&'static str, Option<Timestamp>, Text);

/// What customers suffer until a recovery has ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffering {
    /// They are not served.
    NoService,
    /// They are served with wrong data, until the service is stopped for the recovery.
    WrongData,
}

/// The story of a scenario.
pub trait Story: Sync {
    /// What customers suffer until it is over.
    fn suffering(&self) -> Suffering {
        Suffering::NoService
    }

    /// How things stand that only this scenario touches, for the JSON form.
    fn facts(&self, _account: &Account) -> Map<String, Value> {
        Map::new()
    }

    /// Its Regions, before and after, for people. Empty if it concerns no Region.
    fn places(&self, _account: &Account) -> Vec<Place> {
        Vec::new()
    }

    /// What customers met when, where that was more than no service; and what is to be said to it.
    fn spells(&self, _account: &Account) -> (Vec<Spell>, Option<Text>) {
        (Vec::new(), None)
    }

    /// The Region that serves customers once the service is back; nothing if the scenario moves nothing.
    fn serves(&self, _account: &Account) -> Option<String> {
        None
    }

    /// What a step of its machine does, for somebody who does not know it.
    fn step(&self, _account: &Account, _name: &str) -> Option<String> {
        None
    }

    /// What whoever started it wanted, where they could choose and did.
    fn wanted(&self, _account: &Account) -> Option<Text> {
        None
    }

    /// What else was decided on.
    fn decided(&self, _account: &Account) -> Vec<(Text, Text)> {
        Vec::new()
    }

    /// How it is known when it was decided what to do.
    fn how_decided(&self) -> &'static str {
        "measured: the last look before anything was changed"
    }

    /// What must be said beside the verdict.
    fn because(&self, _account: &Account, _achieved: &Achieved) -> Vec<Text> {
        Vec::new()
    }

    /// What was lost, as a figure.
    fn lost(&self, account: &Account, closing: &Closing) -> Figure {
        figures::writes_lost(&closing.achieved, closing.met.rpo, account.header.objectives.rpo)
    }

    /// Figures of its own.
    fn figures(&self, _achieved: &Achieved) -> Vec<Figure> {
        Vec::new()
    }

    /// Moments of its own, between the decision and the first healthy answer.
    fn moments(&self, _account: &Account) -> Vec<Moment> {
        Vec::new()
    }

    /// How its figures come about: figure, how, measured or derived, exact to.
    fn sources(&self, _account: &Account, _closing: &Closing) -> Vec<[String; 4]> {
        Vec::new()
    }

    /// What did not achieve its purpose, and what follows.
    fn in_vain(&self, _account: &Account) -> Vec<[String; 2]> {
        Vec::new()
    }

    /// What was there before a change, where it is kept in the scenario's own form.
    fn before(&self, _undo: &Undo) -> Option<Text> {
        None
    }

    /// What to know where changes stand after an end that is not plainly good.
    fn where_changes_stand(&self) -> &'static str {
        "See Changes for each, and for how to undo it."
    }

    /// Why nobody who wants to resume the recovery should undo its changes.
    fn taking_back_means(&self) -> &'static str {
        "The service that customers have now may depend on them."
    }

    /// What is left to be done once it has ended, beside fixing and resuming it.
    fn todos(&self, _account: &Account, _closing: &Closing) -> Vec<Todo> {
        Vec::new()
    }

    /// A field of the evidence as a label, where its name does not say enough.
    fn label(&self, _account: &Account, _field: &str) -> Option<String> {
        None
    }

    /// What a part of the evidence is about.
    fn part(&self, _name: &str) -> Option<&'static str> {
        None
    }

    /// Whether a field of the evidence is told elsewhere; `under` names the field that it is in.
    fn is_told(&self, _account: &Account, _under: &str, _field: &str, _value: &Value) -> bool {
        false
    }

    /// Which Regions are meant by which words.
    fn here(&self, _account: &Account) -> Vec<(Text, Text)> {
        Vec::new()
    }

    /// What its words mean.
    fn words(&self, _account: &Account) -> Vec<(Text, Text)> {
        Vec::new()
    }
}

/// What a resource was before it was fenced, where a note keeps that.
pub(crate) fn before_the_fence(undo: &Undo) -> Option<Text> {
    let noted = Noted::read([(&undo.resource, &undo.previous)]);
    let before = noted.before.into_values().next();
    before.map(|setting| setting.describe().into())
}

/// A word of every scenario that can lose writes.
pub(crate) const HEARTBEAT: (&str, &str) = (
    "Heartbeat",
    "a row that the platform writes to its database every few seconds. It shows afterwards which writes survived",
);

/// Of a scenario that has no story of its own.
pub(crate) struct Plain;

impl Story for Plain {}

/// A recovery, and its scenario's story.
#[derive(Clone, Copy)]
pub(crate) struct Tale<'a> {
    pub(crate) account: &'a Account,
    pub(crate) story: &'static dyn Story,
}

impl Tale<'_> {
    /// What a step does; nothing for one that nobody here knows.
    pub(crate) fn step(&self, name: &str) -> Option<String> {
        let common = steps::sentence(name).map(str::to_owned);
        common.or_else(|| self.story.step(self.account, name))
    }

    /// What a state does, by its name, which is that of its step in another form.
    pub(crate) fn state(&self, state: &str) -> Option<String> {
        self.step(&step_of(state))
    }
}
