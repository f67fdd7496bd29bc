//! What becomes of the execution of the scenario's machine.

use std::time::Duration;

use shared::arn;
use simulator::faults::{CallEffect, CallFault, ExecutionFault};
use states_language::ExecutionStatus;

use crate::deployment::recovery_machine;
use crate::fault::{Area, Count, Effect, FaultKind, Said, applied};
use crate::world::World;

/// What each of these says.
const WHAT_BECOMES_OF_IT: &str = "what becomes of the scenario's execution";
/// Within which time after the scenario's execution has begun a person stops the recovery.
const STOPPED_WITHIN: Duration = Duration::from_secs(240);

/// The scenario's execution ends at a state.
pub static CHILD_DIES: FaultKind = FaultKind {
    says: &[WHAT_BECOMES_OF_IT],
    ..FaultKind::with(
        Area::Executions,
        "child-dies:<state>",
        "the scenario's execution ends at this state: a defect of its machine, its time limit, or a person stops it",
        "takes back its changes, unless the promotion has begun; ends as rolled-back or failed; it can be resumed",
        |said| Ok(Box::new(ChildDies(state(said, said.text("state")?)?))),
        |rng, vocabulary| {
            let mut states = vocabulary.states();
            Box::new(ChildDies(states.swap_remove(rng.usize(..states.len()))))
        },
    )
};

fn state(said: &Said<'_>, name: &str) -> Result<String, String> {
    let states = said.vocabulary.states();
    if states.iter().any(|state| state == name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "no scenario's machine has a state '{name}'; the states are {}",
        states.join(", ")
    ))
}

struct ChildDies(String);

impl ChildDies {
    /// How it ends without its last state: one of three ways, as the seed has it.
    fn some_death(&self, world: &World<'_>) -> ExecutionStatus {
        let state = &self.0;
        let cause = format!("An error occurred while executing the state '{state}' (entered at the event id #2).");
        match world.cloud().chance("deaths-of-executions", |rng| rng.usize(..3)) {
            0 => ExecutionStatus::Failed {
                error: states_language::names::RUNTIME.to_owned(),
                cause,
            },
            1 => ExecutionStatus::TimedOut,
            _ => ExecutionStatus::Aborted {
                error: String::new(),
                cause: String::new(),
            },
        }
    }
}

impl Effect for ChildDies {
    fn argument(&self) -> Option<String> {
        Some(self.0.clone())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        Some(applied(world.cloud().faults.on_executions(ExecutionFault {
            machines: world.machines.clone(),
            state: self.0.clone(),
            at_most: Some(1),
            status: self.some_death(world),
        })))
    }

    fn ends_the_scenario(&self) -> bool {
        true
    }
}

/// Has a person stop the recovery at some moment at which its scenario's execution is at work.
fn stop_the_recovery(world: &World<'_>) {
    let after = world
        .cloud()
        .chance("stops", |rng| rng.u64(..STOPPED_WITHIN.as_millis() as u64));
    let simulation = world.simulation.clone();
    let machine = recovery_machine(world.plan, world.here);
    tokio::task::spawn_local(async move {
        let cloud = simulation.cloud();
        let ours = arn::execution(&machine, "");
        loop {
            let arns = cloud.executions.arns();
            let runs = |arn: &&String| cloud.executions.get(arn).is_some_and(|found| found.status == "RUNNING");
            let recovery = arns.iter().filter(|arn| arn.starts_with(&ours)).find(runs);
            let child = arns.iter().filter(|arn| !arn.starts_with(&ours)).find(runs);
            if let (Some(recovery), Some(_)) = (recovery, child) {
                tokio::time::sleep(Duration::from_millis(after)).await;
                let aws = simulation.aws_in("a-person", arn::region(recovery));
                let stopping = aws_sdk_sfn::Client::new(aws.config())
                    .stop_execution()
                    .execution_arn(recovery)
                    .cause("a person stops it");
                // One that has ended meanwhile is not stopped, and the fault has not applied.
                let _ = stopping.send().await;
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}

/// A person stops the recovery, and its scenario's execution lives on.
pub static CHILD_NOT_STOPPED: FaultKind = FaultKind {
    lots: 1,
    says: &[WHAT_BECOMES_OF_IT],
    ..FaultKind::plain::<ChildNotStopped>(
        Area::Executions,
        "child-not-stopped",
        "a person stops the recovery, and Step Functions does not stop the scenario's execution",
        "stops that execution, frees the lock and tells people; it can be resumed",
    )
};

#[derive(Default)]
struct ChildNotStopped;

impl Effect for ChildNotStopped {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let kept = world.cloud().faults.on_children();
        stop_the_recovery(world);
        Some(applied(kept))
    }

    fn stops_the_recovery(&self) -> bool {
        true
    }
}

/// Likewise, and the functions may not stop it either.
pub static STOP_DENIED: FaultKind = FaultKind {
    lots: 1,
    says: &[WHAT_BECOMES_OF_IT],
    ..FaultKind::plain::<StopDenied>(
        Area::Executions,
        "stop-denied",
        "as child-not-stopped, and the functions are denied StopExecution",
        "keeps the lock until that execution has ended by itself; it can be resumed",
    )
};

#[derive(Default)]
struct StopDenied;

impl Effect for StopDenied {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        let denied = cloud.faults.on_calls(CallFault {
            operation: Some("StopExecution".to_owned()),
            from: cloud.now(),
            ..CallFault::every(CallEffect::Denied)
        });
        cloud.faults.on_children();
        stop_the_recovery(world);
        Some(applied(denied))
    }

    fn stops_the_recovery(&self) -> bool {
        true
    }
}
