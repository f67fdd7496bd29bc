//! `drctl`: checks a recovery plan and rehearses a recovery, without an AWS account.

mod args;
mod cmd;
mod deployment;
mod output;
mod plan_file;
mod rehearsal;
mod view;

use std::process::ExitCode;

use args::{Args, PlanVerb, Verb};
use clap::Parser;
use output::{Exit, Output};
use plan_file::read_plan;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Output::new();
    let exit = run(&args, &mut output);
    output.finish(exit)
}

fn run(args: &Args, output: &mut Output) -> Exit {
    match &args.verb {
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
        Verb::Plan { verb: PlanVerb::Schema } => cmd::plan::schema(output),
    }
}
