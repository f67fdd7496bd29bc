//! Trials: in a whole recovery, invocations of steps are repeated, or killed and repeated, and what each run of one changed
//! is told apart from what goes on beside it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rehearsal::deployment::{DeployedStep, STEPS};
use serde_json::{Map, Value};
use shared::aws::Aws;
use shared::error::StepError;
use shared::step::{Caller, Handler};
use simulator::cloud::{AwsCall, Cloud, Moment};
use simulator::simulation::{MakeHandler, Simulation};
use tokio::time::Instant;

use super::plays::Play;
use super::{PRIMARY, RECOVERY, in_virtual_time};

/// Which invocations are alike: the step, and the state of the machine that invokes it; nothing where none does.
pub type Which = (String, Option<String>);

/// How many invocations that changed something are repeated of those that are alike.
const REPEATED: usize = 2;

/// How often an invocation runs that ends with an error which may pass, and how long it waits before.
const TRIED_AGAIN: usize = 16;
const TRIED_AFTER: Duration = Duration::from_secs(5);

/// After what time an invocation runs again that died, where neither a machine nor a person waits for it: Lambda starts it
/// again. Source: Lambda Developer Guide, "Error handling for asynchronous invocation".
const STARTED_AGAIN_AFTER: Duration = Duration::from_secs(61);

/// What is done with invocations. Those with which nothing is done are watched.
#[derive(Clone)]
pub enum Trial {
    /// Of those that are alike, the first that change something run once more with the same input after they have succeeded.
    Twice,
    /// One is killed after a change of a kind after which none that is alike has died, and then after each of its other
    /// changes, as long as its machine waits: the call is done, and the answer has not come. Then it runs again. After these
    /// kinds of changes some have died before.
    Killed(BTreeSet<(Which, Kind)>),
}

/// What was changed by one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// `service:operation` of the call.
    pub call: String,
    /// By path, what was there and what is.
    pub changed: BTreeMap<String, (Value, Value)>,
}

/// A kind of change: the call, and the kinds of what it changed.
pub type Kind = (String, BTreeSet<String>);

impl Effect {
    pub fn kind(&self) -> Kind {
        let kinds = self.changed.keys().map(|path| kind(path).to_owned());
        (self.call.clone(), kinds.collect())
    }

    /// What is alike in it when the step runs again.
    fn exactly(&self) -> Exactly {
        (self.call.clone(), self.changed.keys().cloned().collect())
    }
}

/// A call, and the paths of what it changed.
type Exactly = (String, Vec<String>);

/// What kind of thing a path is of: the first word of an item's sort key, or the part of the snapshot or the journal.
pub fn kind(path: &str) -> &str {
    let mut parts = path.split('/').skip(1);
    match parts.next() {
        Some("items") => parts.nth(2).and_then(|sort_key| sort_key.split('#').next()),
        part => part,
    }
    .unwrap_or(path)
}

/// One run of a step; where it ends with an error that may pass, with the runs after that.
pub struct Run {
    /// What it answered; nothing if it was killed.
    pub output: Option<Result<Value, StepError>>,
    /// What it changed, in its order.
    pub effects: Vec<Effect>,
}

/// One invocation: its runs.
pub struct Tried {
    pub which: Which,
    pub input: Value,
    pub runs: Vec<Run>,
}

impl Tried {
    pub fn deaths(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.output.is_none())
    }
}

struct Court {
    trial: Trial,
    /// After which kinds of changes some have died.
    died: Mutex<BTreeSet<(Which, Kind)>>,
    tried: Mutex<Vec<Tried>>,
    /// Of which kinds one is on trial now, where some are killed.
    on_trial: Mutex<BTreeSet<Which>>,
}

/// What is done with one invocation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sentence {
    Watched,
    Twice,
    Killed,
}

/// What the run that is polled now changes.
#[derive(Default)]
struct Watch {
    before: Option<State>,
    effects: Vec<Effect>,
}

thread_local! {
    static COURT: RefCell<Option<Arc<Court>>> = const { RefCell::new(None) };
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Plays with invocations on trial.
pub fn on_trial(trial: Trial, play: Play) -> Vec<Tried> {
    let died = match &trial {
        Trial::Killed(before) => before.clone(),
        Trial::Twice => BTreeSet::new(),
    };
    let court = Arc::new(Court {
        trial,
        died: Mutex::new(died),
        tried: Mutex::default(),
        on_trial: Mutex::default(),
    });
    COURT.set(Some(Arc::clone(&court)));
    in_virtual_time(async { drop((play.play)().await) });
    COURT.set(None);
    let mut tried = court.tried.lock().unwrap();
    std::mem::take(&mut *tried)
}

/// Puts the functions of a simulation on trial, if there is one on this thread.
pub fn attach(simulation: &Simulation, table: &str) {
    let Some(court) = COURT.with_borrow(Option::clone) else {
        return;
    };
    let (cloud, table) = (Arc::downgrade(simulation.cloud()), table.to_owned());
    simulation.cloud().watch(Box::new(move |call, moment| {
        WATCH.with_borrow_mut(|watch| {
            if let Some(watch) = watch {
                watch.see(call, moment, || State::of(&cloud.upgrade().unwrap(), &table));
            }
        });
    }));
    simulation.wrap_functions(Box::new(move |name, make, aws| {
        Box::new(OnTrial {
            step: STEPS.iter().find(|step| step.name == name).unwrap(),
            make,
            aws: aws.clone(),
            court: Arc::clone(&court),
        })
    }));
}

impl Watch {
    fn see(&mut self, call: &AwsCall, moment: Moment, state: impl FnOnce() -> State) {
        match moment {
            Moment::Before => self.before = Some(state()),
            Moment::After => {
                let changed = self.before.take().unwrap().difference(&state());
                if !changed.is_empty() {
                    let call = format!("{}:{}", call.service, call.operation);
                    self.effects.push(Effect { call, changed });
                }
            }
        }
    }
}

struct OnTrial {
    step: &'static DeployedStep,
    make: MakeHandler,
    aws: Aws,
    court: Arc<Court>,
}

impl Handler for OnTrial {
    fn invoke(&self, input: Value) -> Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + '_>> {
        Box::pin(async move {
            let state = input.pointer("/state/Name").and_then(Value::as_str);
            let which = (self.step.name.to_owned(), state.map(str::to_owned));
            let sentence = self.court.summon(&which);
            let began = Instant::now();
            let patience = is_waited_for(self.step).then(|| self.step.time_limit / 2);
            // How often it died after each effect.
            let mut died = BTreeMap::new();
            let mut runs = Vec::new();
            loop {
                let is_patient = runs.is_empty() || patience.is_none_or(|patience| began.elapsed() < patience);
                let kills = sentence == Sentence::Killed && is_patient;
                let run = self.run(&which, &input, kills.then_some(&mut died)).await;
                let (has_died, has_succeeded) = (run.output.is_none(), matches!(run.output, Some(Ok(_))));
                runs.push(run);
                if has_died && patience.is_none() {
                    tokio::time::sleep(STARTED_AGAIN_AFTER).await;
                }
                let again = sentence == Sentence::Twice && has_succeeded && runs.len() == 1;
                if !has_died && !again {
                    break;
                }
            }
            let answer = runs.iter().find_map(|run| run.output.clone());
            self.court.keep(Tried { which, input, runs });
            answer.unwrap()
        })
    }
}

impl Court {
    /// What is done with an invocation that begins.
    fn summon(&self, which: &Which) -> Sentence {
        let tried = self.tried.lock().unwrap();
        let alike: Vec<_> = tried.iter().filter(|tried| tried.which == *which).collect();
        match &self.trial {
            Trial::Twice => {
                let changed = alike.iter().filter(|tried| !tried.runs[0].effects.is_empty());
                match changed.count() < REPEATED {
                    true => Sentence::Twice,
                    false => Sentence::Watched,
                }
            }
            // Another one that begins while one dies and runs again lives.
            Trial::Killed(_) => match self.on_trial.lock().unwrap().insert(which.clone()) {
                true => Sentence::Killed,
                false => Sentence::Watched,
            },
        }
    }

    /// Whether an invocation dies after a change of this kind that has not died yet.
    fn condemns(&self, which: &Which, kind: Kind) -> bool {
        !self.died.lock().unwrap().contains(&(which.clone(), kind))
    }

    fn keep(&self, tried: Tried) {
        self.on_trial.lock().unwrap().remove(&tried.which);
        self.tried.lock().unwrap().push(tried);
    }
}

impl OnTrial {
    /// Runs the step, and again as its machine does where it ends with an error that may pass. With `died` it may die, but not
    /// where it did before.
    async fn run(&self, which: &Which, input: &Value, mut died: Option<&mut BTreeMap<Exactly, usize>>) -> Run {
        let mut effects = Vec::new();
        for _ in 0..TRIED_AGAIN {
            let output = self.run_once(which, input, died.as_deref_mut(), &mut effects).await;
            match &output {
                Some(Err(error)) if error.kind.is_retryable() => tokio::time::sleep(TRIED_AFTER).await,
                _ => return Run { output, effects },
            }
        }
        panic!(
            "{} was tried {TRIED_AGAIN} times, and always ended with an error that may pass",
            self.step.name
        );
    }

    /// Runs the step as a Lambda that has just started, and adds what it changes. Nothing if it died.
    async fn run_once(
        &self,
        which: &Which,
        input: &Value,
        mut died: Option<&mut BTreeMap<Exactly, usize>>,
        effects: &mut Vec<Effect>,
    ) -> Option<Result<Value, StepError>> {
        let handler = (self.make)(&self.aws);
        let mut invocation = pin!(handler.invoke(input.clone()));
        let mut made: BTreeMap<Exactly, usize> = BTreeMap::new();
        poll_fn(|context| {
            WATCH.set(Some(Watch::default()));
            let moved = invocation.as_mut().poll(context);
            let new = WATCH.take().unwrap().effects;
            let mut dies = false;
            for effect in &new {
                let times = made.entry(effect.exactly()).or_default();
                *times += 1;
                let Some(died) = &mut died else { continue };
                let is_new = died.get(&effect.exactly()).is_none_or(|before| *before < *times);
                dies |= is_new && (!died.is_empty() || self.court.condemns(which, effect.kind()));
            }
            dies &= moved.is_pending();
            if let Some(died) = died.as_deref_mut().filter(|_| dies) {
                for effect in &new {
                    died.insert(effect.exactly(), made[&effect.exactly()]);
                    self.court.died.lock().unwrap().insert((which.clone(), effect.kind()));
                }
            }
            effects.extend(new);
            match moved {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if dies => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// Whether a machine or a person waits for the step's answer.
pub fn is_waited_for(step: &DeployedStep) -> bool {
    let mut callers = step.called_by.iter();
    callers.any(|caller| matches!(caller, Caller::Machine | Caller::Url))
}

/// Everything that a step can change.
#[derive(PartialEq)]
struct State {
    snapshot: Value,
    journal: Value,
    /// The table of records, in the primary and in the standby Region.
    items: [Vec<Value>; 2],
}

impl State {
    fn of(cloud: &Cloud, table: &str) -> Self {
        Self {
            snapshot: cloud.snapshot(),
            journal: cloud.journal(),
            items: [PRIMARY, RECOVERY].map(|region| at_once(cloud.dynamodb.items(region, table))),
        }
    }

    /// What is different afterwards, but for the timeline and for what the platform keeps.
    fn difference(self, after: &Self) -> BTreeMap<String, (Value, Value)> {
        if self == *after {
            return BTreeMap::new();
        }
        let (before, after) = (self.leaves(), after.leaves());
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let at = |leaves: &BTreeMap<String, Value>, path| leaves.get(path).cloned().unwrap_or_default();
        let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
        changed
            .map(|path| (path.clone(), (at(&before, path), at(&after, path))))
            .collect()
    }

    fn leaves(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        leaves("", &self.snapshot, &mut all);
        leaves("", &self.journal, &mut all);
        // The items themselves are here.
        all.retain(|path, _| !path.starts_with("/items_changed/"));
        for (region, items) in [PRIMARY, RECOVERY].into_iter().zip(&self.items) {
            for item in items {
                let mut item: Map<String, Value> = item.as_object().unwrap().clone();
                let mut key = |name: &str| item.remove(name).unwrap()["S"].as_str().unwrap().to_owned();
                let (partition, sort) = (key("pk"), key("sk"));
                if !sort.starts_with("step#") && !partition.starts_with("heartbeat#") {
                    all.insert(format!("/items/{region}/{partition}/{sort}"), Value::Object(item));
                }
            }
        }
        all
    }
}

fn leaves(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(&format!("{path}/{name}"), value, into);
            }
        }
        leaf => drop(into.insert(path.to_owned(), leaf.clone())),
    }
}

/// What a future gives that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let future = pin!(tokio::task::unconstrained(future));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
