//! What can be written on the command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use shared::recovery::Scenario;

use crate::deployment::REHEARSABLE;

/// Recovery of a platform on AWS: check the plan, rehearse a disaster
#[derive(Debug, Parser)]
#[command(
    name = "drctl",
    version,
    after_help = "\
Examples:
  drctl rehearse region-failure               lose a Region, on this machine
  drctl plan check radiant.plan.yaml          list everything that is wrong with a plan

Exit status: 0 all is well, 1 something is wrong with the plan or the recovery, 2 wrong use."
)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Rehearse(RehearseArgs),
    /// Check a recovery plan, or print the schema of plans
    #[command(after_help = "\
Examples:
  drctl plan check radiant.plan.yaml
  drctl plan schema > shared/plan.schema.json")]
    Plan {
        #[command(subcommand)]
        verb: PlanVerb,
    },
}

/// Play a disaster and the recovery from it against a simulated AWS, in virtual time
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl rehearse region-failure
  drctl rehearse region-failure --seed 7      the same run each time
  drctl rehearse region-failure --runs 100    minimum, median, p95 and maximum of RTO and RPO
  drctl rehearse region-failure --json | jq .achieved

Exit status: 0 recovered within the maximum objectives (with --runs, in every run), 1 any other end,
2 wrong use, which includes a plan that is not sound.")]
pub(crate) struct RehearseArgs {
    /// The disaster
    #[arg(value_name = "SCENARIO", value_parser = scenario_parser())]
    pub scenario: Scenario,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
    /// Where chance begins: the same seed gives the same run [default: a new one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many runs; the first one has the seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Print one JSON object in place of text
    #[arg(long)]
    pub json: bool,
    /// Print the summary only
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanVerb {
    /// List every error of a plan at once, with its line
    #[command(after_help = "\
Examples:
  drctl plan check radiant.plan.yaml
  drctl plan check radiant.plan.yaml | head -1     the first error only

Exit status: 0 sound, 1 not sound, 2 the file cannot be read.")]
    Check {
        /// The recovery plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON Schema of plans
    #[command(after_help = "\
Examples:
  drctl plan schema > shared/plan.schema.json")]
    Schema,
}

fn scenario_parser() -> impl TypedValueParser<Value = Scenario> {
    let scenarios = || REHEARSABLE.iter().map(|(scenario, _)| *scenario);
    PossibleValuesParser::new(scenarios().map(Scenario::name)).try_map(move |name| {
        scenarios()
            .find(|scenario| scenario.name() == name)
            .ok_or_else(|| format!("no scenario '{name}'"))
    })
}
