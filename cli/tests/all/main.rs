//! Tests of `drctl`, as people use it. One program, since linking each file by itself takes longer than running it.

mod automation;
mod campaign;
mod ci_workflow;
mod common;
mod deploy_guide;
mod plan;
mod push;
mod rehearse;
mod runbook;
mod snapshot;
mod start;
mod terminal;
