//! `drctl`: checks a recovery plan and rehearses a recovery, without an AWS account.

use std::process::ExitCode;

use clap::Parser;
use drctl::args::Args;
use drctl::output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Output::new();
    let exit = drctl::run(&args, &mut output);
    output.finish(exit)
}
