//! `drctl`: checks a recovery plan and rehearses a recovery, without an AWS account. In a real account it starts and resumes
//! recoveries, opens a Region that one left fenced, turns automatic recovery on or off, takes snapshots, and prints runbooks.
//!
//! The binary is a few lines around [`run`]. Rehearsals are a library of their own.

mod account;
pub mod args;
mod cmd;
pub mod output;
pub mod parameters;
pub mod plan_file;
mod view;

pub use account::InRegion;
pub use cmd::automation;
pub use cmd::plan::{push, render};

use std::path::Path;

use shared::plan::Plan;

use args::{Args, PlanVerb, Verb};
use output::{Exit, Output};
use plan_file::read_plan;

/// Runs the command line; gives how the process is to exit.
pub fn run(args: &Args, output: &mut Output) -> Exit {
    match &args.verb {
        Verb::Rehearse(args) if args.list_faults => cmd::rehearse::list_faults(output),
        // Without a plan nothing was rehearsed, so this is wrong use, not a recovery that failed.
        Verb::Rehearse(args) => with_plan(&args.plan, output, |plan, output| {
            cmd::rehearse::run(args, plan, output)
        }),
        Verb::Plan { verb } => match verb {
            PlanVerb::Check { file } => cmd::plan::check(file, output),
            PlanVerb::Push { file } => with_plan(file, output, cmd::plan::push_to_aws),
            PlanVerb::Render {
                file,
                folder,
                reserve_concurrency,
            } => with_plan(file, output, |plan, output| match reserve_concurrency {
                true => cmd::plan::render_from_account(plan, folder, output),
                false => cmd::plan::render(plan, folder, output),
            }),
            PlanVerb::Schema => cmd::plan::schema(output),
        },
        Verb::Automation { verb } => with_plan(verb.plan(), output, |plan, output| {
            cmd::automation::run(verb, plan, output)
        }),
        Verb::Runbook(args) => with_plan(&args.plan, output, |plan, output| {
            cmd::runbook::run(args.scenario, plan, &args.plan, output)
        }),
        Verb::Snapshot(args) => with_plan(&args.plan, output, |plan, output| {
            cmd::snapshot::run(args, plan, output)
        }),
        Verb::Reopen(args) => with_plan(&args.plan, output, |plan, output| cmd::reopen::run(args, plan, output)),
        Verb::Start(args) => with_plan(&args.plan, output, |plan, output| cmd::start::run(args, plan, output)),
        Verb::Resume(args) => with_plan(&args.plan, output, |plan, output| cmd::resume::run(args, plan, output)),
    }
}

/// Runs a verb with the plan in a file. A plan that cannot be used is wrong use.
fn with_plan(file: &Path, output: &mut Output, verb: impl FnOnce(&Plan, &mut Output) -> Exit) -> Exit {
    match read_plan(file) {
        Ok(plan) => verb(&plan, output),
        Err(error) => {
            output.error(&error);
            Exit::WrongUse
        }
    }
}
