//! What goes wrong with calls of AWS.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use simulator::faults::{CallEffect, CallFault};

use crate::fault::{Area, Count, Effect, FaultKind, Fits, Said, Vocabulary, any_of, applied};
use crate::world::World;

/// How long a service is throttled, and which share of its calls.
const THROTTLED_FOR: SignedDuration = SignedDuration::from_mins(10);
const THROTTLED_SHARE: f64 = 0.5;
/// How much of each minute a table is throttled, and for how many minutes.
const TABLE_THROTTLED_FOR: SignedDuration = SignedDuration::from_secs(20);
const TABLE_THROTTLED_MINUTES: i64 = 60;
/// How long a table fails after the promotion.
const TABLE_AWAY_FOR: SignedDuration = SignedDuration::from_mins(6);
/// The service that no recovery depends on: what AWS Health says is shown, and decides nothing.
const NOT_DEPENDED_ON: &str = "health";

/// Has calls fail from now on, and counts them.
fn fail(world: &World<'_>, fault: CallFault) -> Option<Count> {
    let cloud = world.cloud();
    Some(applied(cloud.faults.on_calls(CallFault {
        from: cloud.now(),
        ..fault
    })))
}

fn service(said: &Said<'_>, name: &str) -> Result<String, String> {
    let services = &said.vocabulary.services;
    if services.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "no service '{name}' in the simulator; it has {}",
        services.join(", ")
    ))
}

fn some_service(rng: &mut fastrand::Rng, vocabulary: &Vocabulary) -> String {
    let services = || {
        vocabulary
            .services
            .iter()
            .filter(|service| **service != NOT_DEPENDED_ON)
    };
    let drawn = rng.usize(..services().count());
    services().nth(drawn).copied().unwrap_or_default().to_owned()
}

/// A service asks for fewer calls.
pub static THROTTLE: FaultKind = FaultKind::with(
    Area::Calls,
    "throttle:<service>",
    "half of the service's calls are throttled for 10 minutes",
    "ends as recovered, later",
    |said| Ok(Box::new(Throttle(service(said, said.text("service")?)?))),
    |rng, vocabulary| Box::new(Throttle(some_service(rng, vocabulary))),
);

struct Throttle(String);

impl Effect for Throttle {
    fn argument(&self) -> Option<String> {
        Some(self.0.clone())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        fail(
            world,
            CallFault {
                service: Some(self.0.clone()),
                until: world.now().checked_add(THROTTLED_FOR).ok(),
                share: THROTTLED_SHARE,
                ..CallFault::every(CallEffect::Throttled)
            },
        )
    }
}

/// A service fails a share of its calls.
pub static ERRORS: FaultKind = FaultKind::with(
    Area::Calls,
    "errors:<service>:<rate>",
    "this share of the service's calls fails with a server error",
    "ends as recovered, later",
    |said| {
        let (of, rate) = said
            .text("service>:<rate")?
            .split_once(':')
            .ok_or("give the share: errors:<service>:<rate>")?;
        let share: f64 = rate
            .parse()
            .map_err(|_| format!("{rate} is no share; 0.2 is one of five"))?;
        if !(share > 0.0 && share <= 1.0) {
            return Err(format!("{share} is no share: it must be more than 0 and at most 1"));
        }
        Ok(Box::new(Errors {
            service: service(said, of)?,
            share,
        }))
    },
    |rng, vocabulary| {
        let service = some_service(rng, vocabulary);
        let share = [0.05, 0.1, 0.2, 0.4][rng.usize(..4)];
        Box::new(Errors { service, share })
    },
);

struct Errors {
    service: String,
    share: f64,
}

impl Effect for Errors {
    fn argument(&self) -> Option<String> {
        Some(format!("{}:{}", self.service, self.share))
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        fail(
            world,
            CallFault {
                service: Some(self.service.clone()),
                share: self.share,
                ..CallFault::every(CallEffect::ServerError)
            },
        )
    }
}

/// An operation is done, and its answer never comes.
pub static LOST_REPLY: FaultKind = FaultKind {
    lots: 4,
    ..FaultKind::with(
        Area::Calls,
        "lost-reply:<operation>",
        "AWS executes the operation's first call, and its answer is lost",
        "ends as recovered; the operation takes effect once",
        |said| Ok(Box::new(LostReply(operation(said.text("operation")?)?))),
        |rng, vocabulary| {
            let operations = &vocabulary.operations;
            Box::new(LostReply(operations[rng.usize(..operations.len())].to_owned()))
        },
    )
};

/// Which operations there are is AWS's to say: one that nothing calls is told at the end, since it never applied.
fn operation(name: &str) -> Result<String, String> {
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_ascii_uppercase());
    if is_name {
        return Ok(name.to_owned());
    }
    Err(format!("'{name}' is no operation; write it like FailoverGlobalCluster"))
}

struct LostReply(String);

impl Effect for LostReply {
    fn argument(&self) -> Option<String> {
        Some(self.0.clone())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        fail(
            world,
            CallFault {
                operation: Some(self.0.clone()),
                at_most: Some(1),
                ..CallFault::every(CallEffect::LostReply)
            },
        )
    }
}

/// SNS fails.
pub static SNS_DOWN: FaultKind = FaultKind::plain::<SnsDown>(
    Area::Calls,
    "sns-down",
    "SNS fails in every Region",
    "ends as recovered; the record says that nobody was told",
);

#[derive(Default)]
struct SnsDown;

impl Effect for SnsDown {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        fail(
            world,
            CallFault {
                service: Some("sns".to_owned()),
                ..CallFault::every(CallEffect::ServerError)
            },
        )
    }

    fn silences_announcements(&self) -> bool {
        true
    }
}

/// The table of records asks for fewer calls, most of the time.
pub static TABLE_THROTTLED: FaultKind = FaultKind {
    lots: 1,
    ..FaultKind::plain::<TableThrottled>(
        Area::Calls,
        "table-throttled",
        "the table of records throttles every call for 20 s of each minute",
        "ends as recovered",
    )
};

#[derive(Default)]
struct TableThrottled;

impl Effect for TableThrottled {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        let now = cloud.now();
        let each = (0..TABLE_THROTTLED_MINUTES).filter_map(|minute| {
            let from = now.checked_add(SignedDuration::from_mins(minute)).ok()?;
            Some(cloud.faults.on_calls(CallFault {
                service: Some("dynamodb".to_owned()),
                from,
                until: from.checked_add(TABLE_THROTTLED_FOR).ok(),
                ..CallFault::every(CallEffect::Throttled)
            }))
        });
        Some(any_of(each.collect()))
    }
}

/// The table of records fails once there is no way back.
pub static TABLE_AWAY: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<TableAway>(
        Area::Calls,
        "table-away",
        "from the promotion on, the table of records of the Region that takes over fails every call for 6 min",
        "ends as recovered or partial, without undo notes; people are told which are missing",
    )
};

#[derive(Default)]
struct TableAway;

impl Effect for TableAway {
    fn loses_the_record(&self) -> bool {
        true
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let (since, simulation) = (world.cloud().now(), world.simulation.clone());
        let (here, global) = (world.here.to_owned(), world.plan.database.global_cluster.clone());
        let fault = Rc::new(Cell::new(None));
        let brought_in = Rc::clone(&fault);
        tokio::task::spawn_local(async move {
            let cloud = simulation.cloud();
            let is_promoted = || {
                let mut moves = cloud.rds.moves(&global).into_iter();
                moves.any(|asked| asked.accepted && asked.at >= since)
            };
            while !is_promoted() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let from = cloud.now();
            fault.set(Some(cloud.faults.on_calls(CallFault {
                service: Some("dynamodb".to_owned()),
                region: Some(here),
                from,
                until: from.checked_add(TABLE_AWAY_FOR).ok(),
                ..CallFault::every(CallEffect::ServerError)
            })));
        });
        Some(Box::new(move |simulation| {
            brought_in.get().map_or(0, |id| simulation.cloud().faults.applied(id))
        }))
    }
}
