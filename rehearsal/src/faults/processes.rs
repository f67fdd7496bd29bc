//! Processes of steps that die.

use std::time::Duration;

use simulator::faults::{End, InvocationFault, Which};

use crate::fault::{Area, Count, Effect, FaultKind, Said, any_of, applied};
use crate::world::World;

/// At which of its AWS calls a process dies where none is said, the timeline's own among them: every step makes so many.
const FIRST_CALLS: u64 = 2;
/// How many processes `kill-random` ends, which share of the invocations it tries, and at which of their AWS calls.
const RANDOM_DEATHS: u64 = 3;
const RANDOM_SHARE: f64 = 0.15;
const DIES_WITHIN_CALLS: u64 = 8;
/// After how long a process is ended whose step is not known.
const USUAL_TIME_LIMIT: Duration = Duration::from_secs(20);

/// How a process ends, as Step Functions names it: one of three, as the seed has it.
fn some_end(world: &World<'_>, time_limit: Duration) -> End {
    let ends = [End::ProcessExited, End::Killed, End::TimedOut(time_limit)];
    ends[world.cloud().chance("ends-of-processes", |rng| rng.usize(..ends.len()))]
}

/// A step's process dies once.
pub static KILL: FaultKind = FaultKind {
    lots: 4,
    ..FaultKind::with(
        Area::Executions,
        "kill:<step>[:<n>]",
        "the step's process dies once, at its n-th AWS call (default: the seed draws one of the first)",
        "ends as recovered; each change takes effect once",
        |said| {
            let given = said.text("step")?;
            let (name, call) = given
                .split_once(':')
                .map_or((given, None), |(name, call)| (name, Some(call)));
            let call = call.map(|call| {
                call.parse()
                    .map_err(|_| format!("{call} is no number of an AWS call; the first is 1"))
            });
            Ok(Box::new(Kill {
                step: step(said, name)?,
                call: call.transpose()?,
            }))
        },
        |rng, vocabulary| {
            let steps = &vocabulary.steps;
            Box::new(Kill {
                step: steps[rng.usize(..steps.len())].name.to_owned(),
                call: Some(rng.u64(..10)),
            })
        },
    )
};

fn step(said: &Said<'_>, name: &str) -> Result<String, String> {
    let mut steps = said.vocabulary.steps.iter();
    if steps.any(|step| step.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = said.vocabulary.steps.iter().map(|step| step.name).collect();
    Err(format!("there is no step '{name}'; the steps are {}", names.join(", ")))
}

struct Kill {
    step: String,
    /// At which AWS call; at one of the first ones, as the seed has it, where none is said.
    call: Option<u64>,
}

impl Effect for Kill {
    fn argument(&self) -> Option<String> {
        Some(match self.call {
            Some(call) => format!("{}:{call}", self.step),
            None => self.step.clone(),
        })
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let mut steps = world.steps.iter();
        let time_limit = steps.find(|step| step.name == self.step).map(|step| step.time_limit);
        Some(applied(world.cloud().faults.on_invocations(InvocationFault {
            region: None,
            function: Some(self.step.clone()),
            which: Which::Share {
                share: 1.0,
                at_most: Some(1),
            },
            after_calls: self.call.map_or(0..=FIRST_CALLS, |call| call..=call),
            end: some_end(world, time_limit.unwrap_or(USUAL_TIME_LIMIT)),
        })))
    }
}

/// Three processes die, of whatever steps.
pub static KILL_RANDOM: FaultKind = FaultKind::plain::<KillRandom>(
    Area::Executions,
    "kill-random",
    "up to three processes of any steps die",
    "ends as recovered; each change takes effect once",
);

#[derive(Default)]
struct KillRandom;

impl Effect for KillRandom {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let each = (0..RANDOM_DEATHS).map(|_| {
            world.cloud().faults.on_invocations(InvocationFault {
                region: None,
                function: None,
                which: Which::Share {
                    share: RANDOM_SHARE,
                    at_most: Some(1),
                },
                after_calls: 0..=DIES_WITHIN_CALLS,
                end: some_end(world, USUAL_TIME_LIMIT),
            })
        });
        Some(any_of(each.collect()))
    }
}

/// Other functions use up the Region's concurrency.
pub static CONCURRENCY_USED_UP: FaultKind = FaultKind::plain::<ConcurrencyUsedUp>(
    Area::Executions,
    "concurrency-used-up",
    "other functions use up the concurrency of the Region that takes over, except what is reserved",
    "ends as recovered, with the concurrency that its functions reserve",
);

#[derive(Default)]
struct ConcurrencyUsedUp;

impl Effect for ConcurrencyUsedUp {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        world.cloud().lambda.use_up_concurrency(world.here, true);
        Some(Box::new(|simulation| {
            simulation.cloud().lambda.invoked_while_used_up().iter().sum()
        }))
    }

    fn lift(&self, world: &World<'_>) {
        world.cloud().lambda.use_up_concurrency(world.here, false);
    }
}
