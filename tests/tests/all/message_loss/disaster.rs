//! How the scenario is rehearsed.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rehearsal::deployment::{DeployedStep, step};
use rehearsal::fault::{Area, Count, Effect, Fits};
use rehearsal::happened::{Happened, Invariant, Seen};
use rehearsal::{Disaster, FaultKind, Moment, Scene, Start, Truth, World};
use serde_json::Value;
use shared::measure::seconds_between;
use shared::scenario::Scenario;
use shared::scenario::module::Module;
use simulator::aws::service::Service;

use super::hold_queue::HoldQueue;
use super::look_at_queue::LookAtQueue;
use super::move_messages::MoveMessages;
use super::queues::{self, Queues};
use super::release_queue::ReleaseQueue;
use super::scenario::{MessageLoss, Wants};

/// Its steps.
pub const STEPS: [DeployedStep; 4] = [
    step::<HoldQueue>(),
    step::<LookAtQueue>(),
    step::<MoveMessages>(),
    step::<ReleaseQueue>(),
];

/// Its machine.
pub const MACHINES: [(&str, &str); 1] = [(super::MACHINE, include_str!("message-recovery.asl.json"))];

/// A fault of its own: moving takes so many seconds longer.
pub static SLOW_MOVE: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Scenario,
        "slow-move:<seconds>",
        "moving the messages takes so much longer",
        "is recovered from, or fails at its deadline",
        |said| {
            let seconds = said.text("seconds")?.parse();
            Ok(Box::new(SlowMove(seconds.map_err(|_| "it is a number".to_owned())?)))
        },
        |rng, _| Box::new(SlowMove(rng.i64(1..900))),
    )
};

struct SlowMove(i64);

impl Effect for SlowMove {
    fn argument(&self) -> Option<String> {
        Some(self.0.to_string())
    }

    fn at_the_disaster(&self, _world: &World<'_>) -> Option<Count> {
        queues::TAKES_LONGER.set(SignedDuration::from_secs(self.0));
        Some(Box::new(|_| 1))
    }
}

/// Consumers fail, and their messages end in the dead-letter queue.
#[derive(Debug)]
pub struct MessagesLost;

/// What the service left behind.
fn messages(happened: &Happened<'_>) -> Value {
    happened.simulation.cloud().journal()["queued_messages"].clone()
}

/// However often a step is tried, messages are moved once.
fn moved_once(happened: &Happened<'_>) -> Vec<Seen> {
    let moves = messages(happened)["moves"].as_u64().unwrap();
    match moves {
        0 | 1 => Vec::new(),
        moves => vec![(happened.disaster_at, format!("messages were moved {moves} times"))],
    }
}

/// What is called recovered is delivered.
fn recovered_is_delivered(happened: &Happened<'_>) -> Vec<Seen> {
    let messages = messages(happened);
    let recovered = happened
        .closings()
        .filter(|(_, closing)| closing.outcome.name() == "recovered");
    let lost = recovered.filter(|_| messages["lost"] != 0 || messages["served_again_at"].is_null());
    lost.map(|(_, closing)| (closing.closed_at, format!("{messages}")))
        .collect()
}

impl Disaster for MessagesLost {
    fn name(&self) -> &'static str {
        "message-loss"
    }

    fn description(&self) -> &'static str {
        "messages end in the dead-letter queue"
    }

    fn scenario(&self) -> Scenario {
        MessageLoss::SCENARIO
    }

    fn steps(&self) -> &'static [DeployedStep] {
        &STEPS
    }

    fn machines(&self) -> &'static [(&'static str, &'static str)] {
        &MACHINES
    }

    fn services(&self) -> Vec<Arc<dyn Service>> {
        vec![Queues::service()]
    }

    fn set_up<'a>(&'a self, _world: &'a World<'a>) -> Scene<'a> {
        queues::TAKES_LONGER.set(SignedDuration::ZERO);
        Box::pin(async { Ok(()) })
    }

    fn strike<'a>(&'a self, world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async {
            let aws = world.simulation.aws_in("a-consumer", world.here);
            let failed = queues::call(&aws, world.here, "FailMessages", &Wants::default().queue).await;
            failed.map_err(|error| error.to_string())?;
            world.tell(Moment::Disaster {
                at: world.now(),
                what: "40 messages are lost".to_owned(),
            });
            tokio::time::sleep(Duration::from_secs(120)).await;
            Ok(())
        })
    }

    fn start(&self) -> Start {
        Start::Person {
            name: "by-hand",
            attempts: 1,
            attempts_with_faults: 3,
            again_after: Duration::from_secs(300),
        }
    }

    fn truth(&self, world: &World<'_>, since: Timestamp) -> Truth {
        let journal = world.cloud().journal();
        let back = journal["queued_messages"]["served_again_at"].as_str();
        let back = back.and_then(|back| back.parse::<Timestamp>().ok());
        Truth {
            rto_seconds: back.map(|back| seconds_between(since, back)),
            rpo_seconds: None,
            lost_writes: 0,
        }
    }

    fn loses_writes(&self) -> bool {
        false
    }

    fn invariants(&self) -> &'static [Invariant] {
        &[
            Invariant {
                name: "moved-once",
                check: moved_once,
            },
            Invariant {
                name: "recovered-is-delivered",
                check: recovered_is_delivered,
            },
        ]
    }

    fn faults(&self) -> &'static [&'static FaultKind] {
        static FAULTS: [&FaultKind; 1] = [&SLOW_MOVE];
        &FAULTS
    }

    fn operations(&self) -> &'static [&'static str] {
        &["DescribeQueue", "HoldQueue", "ReleaseQueue", "StartMessageMove"]
    }
}
