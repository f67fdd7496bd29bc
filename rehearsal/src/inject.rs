//! Brings the faults of a rehearsal into its world, each at its time, and counts how often each applied.

use shared::arn;
use shared::record::{Claim, Record};
use shared::recovery::Mode;
use simulator::aws::states::ExecutionRecord;
use simulator::simulation::Simulation;

use crate::deployment::recovery_machine;
use crate::fault::{Count, Fault};
use crate::found::Applied;
use crate::world::World;

/// The name of the execution that holds the lock already.
const FOREIGN_EXECUTION: &str = "began-before";

/// The faults of a rehearsal, in its world.
#[derive(Default)]
pub(crate) struct Injected {
    counts: Vec<(Fault, Count)>,
    /// Executions that hold a lock, and that nobody runs.
    foreign: Vec<String>,
}

impl Injected {
    /// Brings in what holds from the beginning.
    pub(crate) fn at_the_beginning(&mut self, faults: &[Fault], world: &World<'_>) {
        for fault in faults {
            let count = fault.effect().at_the_beginning(world);
            self.counts.extend(count.map(|count| (fault.clone(), count)));
        }
    }

    /// Brings in the rest, at the moment at which the recovery that is rehearsed becomes necessary. Errors: a text, if
    /// the record does not take a lock.
    pub(crate) async fn at_the_disaster(&mut self, faults: &[Fault], world: &World<'_>) -> Result<(), String> {
        for fault in faults {
            if let Some(mode) = fault.effect().holds_the_lock() {
                self.foreign.push(hold_the_lock(world, mode).await?);
            }
            let count = fault.effect().at_the_disaster(world);
            self.counts.extend(count.map(|count| (fault.clone(), count)));
        }
        Ok(())
    }

    /// The executions that hold a lock, and that nobody runs.
    pub(crate) fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// How often each applied, in the order of `faults`.
    pub(crate) fn applied(&self, faults: &[Fault], simulation: &Simulation) -> Vec<Applied> {
        let times = |fault: &Fault| {
            let counts = self.counts.iter().filter(|(counted, _)| counted == fault);
            counts.map(|(_, count)| count(simulation)).sum()
        };
        let each = faults.iter().map(|fault| Applied {
            fault: fault.clone(),
            times: times(fault),
        });
        each.collect()
    }
}

/// Ends all faults: whoever goes on after them finds an AWS that works. What the disaster took away stays lost.
pub(crate) fn lift(faults: &[Fault], world: &World<'_>) {
    world.cloud().faults.lift_all();
    for fault in faults {
        fault.effect().lift(world);
    }
}

/// Gives the lock to an execution that runs and does nothing; gives its ARN.
async fn hold_the_lock(world: &World<'_>, mode: Mode) -> Result<String, String> {
    let cloud = world.cloud();
    let machine = recovery_machine(world.plan, world.here);
    let arn = arn::execution(&machine, FOREIGN_EXECUTION);
    let execution = ExecutionRecord::running(&machine, FOREIGN_EXECUTION, "{}", cloud.now());
    cloud.executions.put(&arn, execution);
    let record = Record::in_region(&world.simulation.aws_in("drctl", world.here), world.here);
    let claim = Claim {
        workload: &world.plan.workload,
        execution: &arn,
        recovery: FOREIGN_EXECUTION,
        mode,
        at: cloud.now(),
    };
    record
        .claim_lock(&claim, None)
        .await
        .map_err(|error| error.to_string())?;
    Ok(arn)
}
