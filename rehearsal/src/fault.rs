//! Faults that a rehearsal injects beside the disaster itself: what `--fault` takes. Each kind is a [`FaultKind`]; its [`Effect`]
//! changes the world.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde::{Serialize, Serializer};
use shared::plan;
use shared::recovery::Mode;
use shared::scenario::Fields;
use simulator::cloud::AwsCall;
use simulator::faults::FaultId;
use simulator::simulation::Simulation;

use crate::deployment::{DeployedStep, states_in};
use crate::people::People;
use crate::world::World;

/// How often a fault applied, by the end of a rehearsal.
pub type Count = Box<dyn Fn(&Simulation) -> u64>;

/// What a fault does to the world. A method that is left out does nothing, or is of no fault of this kind.
pub trait Effect: Send + Sync {
    /// What is said after the colon.
    fn argument(&self) -> Option<String> {
        None
    }

    /// Brings in what holds from the beginning, and counts how often it applies.
    fn at_the_beginning(&self, _world: &World<'_>) -> Option<Count> {
        None
    }

    /// Brings in what holds from the moment at which the recovery becomes necessary, and counts how often it applies.
    fn at_the_disaster(&self, _world: &World<'_>) -> Option<Count> {
        None
    }

    /// Whether what it brings in at the disaster counts as how everything was before.
    fn was_so_before(&self) -> bool {
        false
    }

    /// Ends what the simulated AWS does not end by itself when its faults are lifted.
    fn lift(&self, _world: &World<'_>) {}

    /// What it goes on to change by itself: the last names of places in a snapshot of the world.
    fn changes_by_itself(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it replaces what the scenario loses.
    fn replaces_the_disaster(&self) -> bool {
        false
    }

    /// How much longer everything must run well before the disaster.
    fn good_times_longer_by(&self) -> Duration {
        Duration::ZERO
    }

    /// How much later a recovery may begin.
    fn starts_later_by(&self) -> Duration {
        Duration::ZERO
    }

    /// How often a question that nobody answered is asked again before somebody answers.
    fn questions_asked_again(&self) -> usize {
        0
    }

    /// After how long a person starts the recovery, in place of the alarm.
    fn person_starts_after(&self) -> Option<Duration> {
        None
    }

    /// What that person asks for beside what the scenario has them ask for.
    fn wants(&self, _world: &World<'_>) -> Fields {
        Fields::new()
    }

    /// What people do when they are asked.
    fn people(&self) -> Option<People> {
        None
    }

    /// Whether the record can be away for so long that a recovery cannot be closed. Whoever frees its lock tells people.
    fn loses_the_record(&self) -> bool {
        false
    }

    /// Whether nobody can be told anything.
    fn silences_announcements(&self) -> bool {
        false
    }

    /// By how much clocks are off at most.
    fn clocks_off_by(&self) -> Duration {
        Duration::ZERO
    }

    /// In which mode somebody else's execution holds the lock.
    fn holds_the_lock(&self) -> Option<Mode> {
        None
    }

    /// Whether somebody stops the recovery.
    fn stops_the_recovery(&self) -> bool {
        false
    }

    /// Whether the execution of the scenario's machine ends without its last state.
    fn ends_the_scenario(&self) -> bool {
        false
    }
}

/// Which scenarios a kind of fault can be together with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fits {
    /// Every one.
    Every,
    /// Every one that an alarm starts.
    StartedByAlarm,
    /// Those that name it.
    Named,
}

/// The area of the world that a kind of fault disturbs, in the order in which lists for people have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the title of each says what it is")]
pub enum Area {
    Region,
    Evidence,
    Database,
    Resources,
    People,
    Calls,
    Event,
    Executions,
    Scenario,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Region,
        Self::Evidence,
        Self::Database,
        Self::Resources,
        Self::People,
        Self::Calls,
        Self::Event,
        Self::Executions,
        Self::Scenario,
    ];

    /// As a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Region => "How a Region is lost",
            Self::Evidence => "What only looks like the loss of a Region, and lost evidence",
            Self::Database => "Database and replication",
            Self::Resources => "The two Regions' resources",
            Self::People => "People",
            Self::Calls => "Calls of AWS",
            Self::Event => "The alarm's event",
            Self::Executions => "Functions, executions and the lock",
            Self::Scenario => "What only one scenario has",
        }
    }
}

/// A kind of fault.
pub struct FaultKind {
    /// What it disturbs: lists for people have the kinds of an area together.
    pub area: Area,
    /// Its name; what is to be said after a colon is in angle brackets.
    pub form: &'static str,
    /// What goes wrong.
    pub what: &'static str,
    /// The expected result: a sentence about the recovery, without its subject.
    pub expected: &'static str,
    /// Which scenarios it can be together with.
    pub fits: Fits,
    /// What it decides, such as what is lost. Two faults that decide the same exclude each other.
    pub says: &'static [&'static str],
    /// How often campaigns draw it, beside the others.
    pub lots: u32,
    /// Reads what is said after the colon. Errors: a text that tells what there is.
    pub read: fn(&Said<'_>) -> Result<Box<dyn Effect>, String>,
    /// Draws one.
    pub draw: fn(&mut Rng, &Vocabulary) -> Box<dyn Effect>,
}

/// How often most kinds are drawn.
const USUAL_LOTS: u32 = 2;

impl FaultKind {
    /// A kind that takes nothing after its name, and fits every scenario.
    pub const fn plain<E: Effect + Default + 'static>(
        area: Area,
        form: &'static str,
        what: &'static str,
        expected: &'static str,
    ) -> Self {
        Self::with(area, form, what, expected, read_plain::<E>, draw_plain::<E>)
    }

    /// A kind that fits every scenario.
    pub const fn with(
        area: Area,
        form: &'static str,
        what: &'static str,
        expected: &'static str,
        read: fn(&Said<'_>) -> Result<Box<dyn Effect>, String>,
        draw: fn(&mut Rng, &Vocabulary) -> Box<dyn Effect>,
    ) -> Self {
        Self {
            area,
            form,
            what,
            expected,
            fits: Fits::Every,
            says: &[],
            lots: USUAL_LOTS,
            read,
            draw,
        }
    }

    /// What is before the colon.
    pub fn name(&self) -> &'static str {
        self.form.split([':', '[']).next().unwrap_or(self.form)
    }

    /// One that a campaign draws.
    pub fn drawn(&'static self, rng: &mut Rng, vocabulary: &Vocabulary) -> Fault {
        Fault::new(self, (self.draw)(rng, vocabulary))
    }
}

impl fmt::Debug for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form)
    }
}

fn read_plain<E: Effect + Default + 'static>(said: &Said<'_>) -> Result<Box<dyn Effect>, String> {
    match said.argument {
        None => Ok(Box::new(E::default())),
        Some(_) => Err(format!("{} takes nothing after it", said.name)),
    }
}

fn draw_plain<E: Effect + Default + 'static>(_: &mut Rng, _: &Vocabulary) -> Box<dyn Effect> {
    Box::new(E::default())
}

/// One thing that goes wrong. Two are equal if they are written alike.
#[derive(Clone)]
pub struct Fault {
    kind: &'static FaultKind,
    argument: Option<String>,
    effect: Arc<dyn Effect>,
}

impl Fault {
    /// One of this kind.
    pub fn new(kind: &'static FaultKind, effect: Box<dyn Effect>) -> Self {
        Self {
            kind,
            argument: effect.argument(),
            effect: effect.into(),
        }
    }

    /// Reads one of these kinds, as `--fault` takes it. Errors: a text that tells what there is.
    pub fn read(
        spec: &str,
        kinds: impl IntoIterator<Item = &'static FaultKind>,
        vocabulary: &Vocabulary,
    ) -> Result<Self, String> {
        let (name, argument) = spec
            .split_once(':')
            .map_or((spec, None), |(name, rest)| (name, Some(rest)));
        let kind = kinds.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| format!("there is no fault '{name}'; --list-faults lists all"))?;
        let said = Said {
            name: kind.name(),
            argument,
            vocabulary,
        };
        Ok(Self::new(kind, (kind.read)(&said)?))
    }

    /// The name of its kind: what is before the colon.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// What it does to the world.
    pub fn effect(&self) -> &dyn Effect {
        &*self.effect
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), &self.argument) == (other.kind(), &other.argument)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match &self.argument {
            Some(argument) => write!(f, ":{argument}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a fault can name: what is deployed and called where it is rehearsed.
#[derive(Clone)]
pub struct Vocabulary {
    /// The steps.
    pub steps: Vec<DeployedStep>,
    /// The machines that the recovery machine runs: name and text.
    pub machines: Vec<(&'static str, &'static str)>,
    /// The services, by their endpoint prefixes.
    pub services: Vec<&'static str>,
    /// Operations whose answers are worth losing.
    pub operations: Vec<&'static str>,
}

impl Vocabulary {
    /// The states of the machines that the recovery machine runs.
    pub fn states(&self) -> Vec<String> {
        self.machines.iter().flat_map(|(_, text)| states_in(text)).collect()
    }
}

/// A fault as it was said.
pub struct Said<'a> {
    /// The name of its kind.
    pub name: &'static str,
    /// What is after the colon.
    pub argument: Option<&'a str>,
    /// What it can name.
    pub vocabulary: &'a Vocabulary,
}

impl Said<'_> {
    /// What must be said after the colon: a `what`. Errors: a text, if it is not.
    pub fn text(&self, what: &str) -> Result<&str, String> {
        let given = self.argument.filter(|text| !text.is_empty());
        given.ok_or_else(|| format!("give its value: {}:<{what}>", self.name))
    }

    /// What must be said after the colon, by its name. Errors: a text, if it is not, or is none of these.
    pub fn one_of<T: Copy>(&self, what: &str, all: &[(&'static str, T)]) -> Result<(&'static str, T), String> {
        let given = self.text(what)?;
        all.iter().copied().find(|(name, _)| *name == given).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            format!("{given} is none of {}", names.join(", "))
        })
    }

    /// A time that must be said after the colon. Errors: a text, if it is not, or is none at all.
    pub fn time(&self) -> Result<plan::Duration, String> {
        let name = self.name;
        let time: plan::Duration = self
            .text("duration")?
            .parse()
            .map_err(|error| format!("{name}: {error}"))?;
        if time.as_secs() == 0 {
            return Err(format!("{name}: a time of 0 changes nothing"));
        }
        Ok(time)
    }
}

/// A time in one word: a command line takes it apart at blanks.
pub fn in_one_word(time: plan::Duration) -> String {
    time.to_string().replace(' ', "")
}

/// How often a fault of the simulated AWS applied.
pub fn applied(id: FaultId) -> Count {
    any_of(vec![id])
}

/// How often any of these applied.
pub fn any_of(ids: Vec<FaultId>) -> Count {
    Box::new(move |simulation| ids.iter().map(|id| simulation.cloud().faults.applied(*id)).sum())
}

/// How many such calls were made.
pub fn calls(such: impl Fn(&AwsCall) -> bool + 'static) -> Count {
    Box::new(move |simulation| {
        let calls = simulation.calls();
        let found = calls.iter().filter(|(call, _)| such(call));
        found.map(|(_, count)| count).sum()
    })
}

/// Whether these faults can be together. Errors: a text that names two that cannot.
pub fn compatible(faults: &[Fault]) -> Result<(), String> {
    for (index, fault) in faults.iter().enumerate() {
        for other in &faults[index + 1..] {
            if fault == other {
                return Err(format!("the fault {fault} is given twice"));
            }
            let mut says = fault.kind.says.iter();
            if let Some(what) = says.find(|what| other.kind.says.contains(what)) {
                return Err(format!("{fault} and {other} exclude each other: each says {what}"));
            }
        }
    }
    Ok(())
}
