//! `drctl`: checks a recovery plan and rehearses a recovery, without an AWS account. In a real account it starts and resumes
//! recoveries, opens a Region that one left fenced, turns automatic recovery on or off, and prints runbooks.
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

use args::{Args, PlanVerb, Verb};
use output::{Exit, Output};
use plan_file::read_plan;

/// Runs the command line; gives how the process is to exit.
pub fn run(args: &Args, output: &mut Output) -> Exit {
    match &args.verb {
        Verb::Rehearse(args) if args.list_faults => cmd::rehearse::list_faults(output),
        Verb::Rehearse(args) => match read_plan(&args.plan) {
            Ok(plan) => cmd::rehearse::run(args, &plan, output),
            // Nothing was rehearsed, so this is wrong use, not a recovery that failed.
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
        Verb::Plan {
            verb: PlanVerb::Check { file },
        } => cmd::plan::check(file, output),
        Verb::Plan {
            verb: PlanVerb::Push { file },
        } => match read_plan(file) {
            Ok(plan) => cmd::plan::push_to_aws(&plan, output),
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
        Verb::Plan {
            verb:
                PlanVerb::Render {
                    file,
                    folder,
                    reserve_concurrency,
                },
        } => match read_plan(file) {
            Ok(plan) if *reserve_concurrency => cmd::plan::render_from_account(&plan, folder, output),
            Ok(plan) => cmd::plan::render(&plan, folder, output),
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
        Verb::Plan { verb: PlanVerb::Schema } => cmd::plan::schema(output),
        Verb::Automation { verb } => match read_plan(verb.plan()) {
            Ok(plan) => cmd::automation::run(verb, &plan, output),
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
        Verb::Runbook(args) => match read_plan(&args.plan) {
            Ok(plan) => cmd::runbook::run(args.scenario, &plan, &args.plan, output),
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
        Verb::Reopen(args) => match read_plan(&args.plan) {
            Ok(plan) => cmd::reopen::run(args, &plan, output),
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
        Verb::Start(args) => match read_plan(&args.plan) {
            Ok(plan) => cmd::start::run(args, &plan, output),
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
        Verb::Resume(args) => match read_plan(&args.plan) {
            Ok(plan) => cmd::resume::run(args, &plan, output),
            Err(error) => {
                output.error(&error);
                Exit::WrongUse
            }
        },
    }
}
