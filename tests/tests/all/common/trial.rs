//! Trials: in a whole recovery, invocations of steps are repeated, or killed and repeated, and what each run of one changed
//! is told apart from what goes on beside it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rehearsal::deployment::STEPS;
use serde_json::{Map, Value};
use shared::aws::Aws;
use shared::error::StepError;
use shared::step::{Caller, Handler};
use simulator::cloud::Cloud;
use simulator::simulation::{MakeHandler, Simulation};
use tokio::sync::Notify;

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

/// What is done with invocations.
#[derive(Clone, PartialEq, Eq)]
pub enum Trial {
    /// Nothing: they are watched.
    Watched,
    /// Each is run once more with the same input after it has succeeded.
    Twice,
    /// The first of each of these that changes something so many times is killed then: its call is done, and the answer has
    /// not come. Then it is run again.
    KilledAfter(usize, BTreeSet<Which>),
}

/// What was changed at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// `service:operation` of the calls that did.
    pub calls: BTreeSet<String>,
    /// By path, what was there and what is.
    pub changed: BTreeMap<String, (Value, Value)>,
}

/// One run of a step; where it ends with an error that may pass, with the runs after that.
pub struct Run {
    /// What it answered; nothing if it was killed.
    pub output: Option<Result<Value, StepError>>,
    /// What it changed, in its order.
    pub effects: Vec<Effect>,
}

/// One invocation that was on trial: its runs.
pub struct Tried {
    pub which: Which,
    pub input: Value,
    pub runs: Vec<Run>,
}

struct Court {
    trial: Trial,
    tried: Mutex<Vec<Tried>>,
    /// Of which kinds one is on trial now, where some are killed.
    on_trial: Mutex<BTreeSet<Which>>,
    /// Everything that was to be killed was, and has run again.
    is_over: Notify,
}

thread_local! {
    static COURT: RefCell<Option<Arc<Court>>> = const { RefCell::new(None) };
}

/// Plays with invocations on trial. Where some are killed, it ends when all of them were, and have run again.
pub fn on_trial(trial: Trial, play: Play) -> Vec<Tried> {
    let court = Arc::new(Court {
        trial,
        tried: Mutex::default(),
        on_trial: Mutex::default(),
        is_over: Notify::new(),
    });
    COURT.set(Some(Arc::clone(&court)));
    in_virtual_time(async {
        tokio::select! {
            _ = (play.play)() => {}
            () = court.is_over.notified() => {}
        }
    });
    COURT.set(None);
    let mut tried = court.tried.lock().unwrap();
    std::mem::take(&mut *tried)
}

/// Puts the functions of a simulation on trial, if there is one on this thread.
pub fn attach(simulation: &Simulation, table: &str) {
    let Some(court) = COURT.with_borrow(Option::clone) else {
        return;
    };
    let (cloud, table) = (Arc::clone(simulation.cloud()), table.to_owned());
    simulation.wrap_functions(Box::new(move |name, make, aws| {
        Box::new(OnTrial {
            step: name.to_owned(),
            make,
            aws: aws.clone(),
            cloud: Arc::clone(&cloud),
            table: table.clone(),
            court: Arc::clone(&court),
        })
    }));
}

struct OnTrial {
    step: String,
    make: MakeHandler,
    aws: Aws,
    cloud: Arc<Cloud>,
    table: String,
    court: Arc<Court>,
}

impl Handler for OnTrial {
    fn invoke(&self, input: Value) -> Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + '_>> {
        Box::pin(async move {
            let state = input.pointer("/state/Name").and_then(Value::as_str);
            let which = (self.step.clone(), state.map(str::to_owned));
            let Some(trial) = self.court.summon(&which) else {
                return (self.make)(&self.aws).invoke(input).await;
            };
            let mut runs = Vec::new();
            match trial {
                Trial::Watched => runs.push(self.run(&input, usize::MAX).await),
                Trial::Twice => {
                    let first = self.run(&input, usize::MAX).await;
                    let has_succeeded = matches!(first.output, Some(Ok(_)));
                    runs.push(first);
                    if has_succeeded {
                        runs.push(self.run(&input, usize::MAX).await);
                    }
                }
                Trial::KilledAfter(changes, _) => {
                    let first = self.run(&input, *changes).await;
                    let was_killed = first.output.is_none();
                    runs.push(first);
                    if was_killed {
                        if !self.is_waited_for() {
                            tokio::time::sleep(STARTED_AGAIN_AFTER).await;
                        }
                        runs.push(self.run(&input, usize::MAX).await);
                    }
                }
            }
            let answer = runs.iter().find_map(|run| run.output.clone());
            self.court.keep(Tried { which, input, runs });
            answer.unwrap()
        })
    }
}

impl Court {
    /// What is done with an invocation that begins; nothing if it is not even watched.
    fn summon(&self, which: &Which) -> Option<&Trial> {
        let tried = self.tried.lock().unwrap();
        let mut alike = tried.iter().filter(|tried| tried.which == *which);
        let trial = match &self.trial {
            Trial::Watched => true,
            Trial::Twice => alike.filter(|tried| !tried.runs[0].effects.is_empty()).count() < REPEATED,
            Trial::KilledAfter(_, targets) => targets.contains(which) && !alike.any(|tried| tried.runs.len() > 1),
        };
        if !trial {
            return None;
        }
        let kills = matches!(self.trial, Trial::KilledAfter(..));
        // Another one that begins while one dies and runs again lives.
        match kills && !self.on_trial.lock().unwrap().insert(which.clone()) {
            true => Some(&Trial::Watched),
            false => Some(&self.trial),
        }
    }

    fn keep(&self, tried: Tried) {
        let mut all = self.tried.lock().unwrap();
        self.on_trial.lock().unwrap().remove(&tried.which);
        all.push(tried);
        if let Trial::KilledAfter(_, targets) = &self.trial {
            let was_killed = |which: &Which| all.iter().any(|tried| tried.which == *which && tried.runs.len() > 1);
            if targets.iter().all(was_killed) {
                self.is_over.notify_one();
            }
        }
    }
}

impl OnTrial {
    fn is_waited_for(&self) -> bool {
        let step = STEPS.iter().find(|step| step.name == self.step).unwrap();
        let mut callers = step.called_by.iter();
        callers.any(|caller| matches!(caller, Caller::Machine | Caller::Url))
    }

    /// Runs the step until it has changed something so many times, and again as its machine does where it ends with an error
    /// that may pass.
    async fn run(&self, input: &Value, lives_for: usize) -> Run {
        let mut effects = Vec::new();
        for _ in 0..TRIED_AGAIN {
            let output = self.run_once(input, lives_for, &mut effects).await;
            match &output {
                Some(Err(error)) if error.kind.is_retryable() => tokio::time::sleep(TRIED_AFTER).await,
                _ => return Run { output, effects },
            }
        }
        panic!(
            "{} was tried {TRIED_AGAIN} times, and always ended with an error that may pass",
            self.step
        );
    }

    /// Runs the step as a Lambda that has just started, and adds what it changes. Nothing if it died.
    async fn run_once(
        &self,
        input: &Value,
        lives_for: usize,
        effects: &mut Vec<Effect>,
    ) -> Option<Result<Value, StepError>> {
        let handler = (self.make)(&self.aws);
        let mut invocation = pin!(handler.invoke(input.clone()));
        poll_fn(|context| {
            // Nothing else moves meanwhile, so what changes is changed by this run.
            let (before, calls_before) = (self.state(), self.calls());
            let moved = invocation.as_mut().poll(context);
            let calls = self.calls();
            if calls != calls_before {
                let changed = before.difference(&self.state());
                if !changed.is_empty() {
                    let made = calls
                        .iter()
                        .filter(|(call, count)| calls_before.get(*call) != Some(count));
                    let calls = made.map(|(call, _)| call.clone()).collect();
                    effects.push(Effect { calls, changed });
                }
            }
            match moved {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if effects.len() >= lives_for => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// How often this step's function has called each operation.
    fn calls(&self) -> BTreeMap<String, u64> {
        let calls = self.cloud.calls().into_iter();
        let own = calls.filter(|(call, _)| call.function == self.step);
        let mut counts = BTreeMap::new();
        for (call, count) in own {
            *counts
                .entry(format!("{}:{}", call.service, call.operation))
                .or_default() += count;
        }
        counts
    }

    fn state(&self) -> State {
        let items = [PRIMARY, RECOVERY].map(|region| at_once(self.cloud.dynamodb.items(region, &self.table)));
        State {
            snapshot: self.cloud.snapshot(),
            journal: self.cloud.journal(),
            items,
        }
    }
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
                if !sort.starts_with("step#") && !sort.starts_with("witness#") {
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
