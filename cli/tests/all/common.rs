//! What every test of the command line needs.

use std::path::{Path, PathBuf};
use std::process::Output;

use drctl::plan_file::read_plan;
use shared::plan::Plan;
use simulator::simulation::{Deployment, Simulation};

/// Exit status, standard output and standard error.
pub type Answer = (i32, String, String);

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file of short durations, for what is said of a certain seed however long AWS takes.
pub fn quick() -> String {
    root().join("rehearsal/tests/quick.timings.yaml").display().to_string()
}

/// What a command answered. Panics if a signal ended it, or if it wrote no UTF-8.
pub fn answer(output: Output) -> Answer {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// All that a command said, standard output first.
pub fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat()
}

/// The plan of RADIANT.
pub fn radiant() -> Plan {
    read_plan(&root().join("radiant.plan.yaml")).unwrap()
}

/// Runs a test in virtual time, with RADIANT's platform in a simulated AWS.
pub fn with_radiant(test: impl AsyncFnOnce(Simulation, Plan)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let plan = radiant();
        let deployment = Deployment::empty(&plan.regions.standby.region);
        let begins_at = "2026-01-06T02:50:00Z".parse().unwrap();
        let simulation = Simulation::begin(&plan, vec![deployment], 7, begins_at, Box::new(|_| {}))
            .await
            .unwrap();
        test(simulation, plan).await;
    });
}
