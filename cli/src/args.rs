//! The command line: verbs, options and their help.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use rehearsal::deployment::STEPS;
use rehearsal::scenarios::{self, ALL};
use rehearsal::{Disaster, Fault};
use serde_json::Value;
use shared::recovery::Outcome;
use shared::scenario::Scenario;
use shared::step::Caller;

/// The help's table of exit statuses: one for all verbs.
macro_rules! exit_status {
    () => {
        "\
Exit status, of every verb:
  0  done; a rehearsal recovered within the maximum objectives, or ended as --expect says
  1  not done, or only in part; the checked plan has errors; a fault never applied; or a
     rehearsal ended in a way that no other status names
  2  wrong use, or the plan cannot be used
  3  a rehearsal recovered, but took longer or lost more than a maximum objective
  4  a rehearsal was refused, or people declined or did not answer
  5  a rehearsal or a campaign broke a rule that must always hold
With --runs the worst status counts: 5 before 1, then 4, then 3."
    };
}

/// Recovery of a platform on AWS: check the plan, rehearse a disaster
#[derive(Debug, Parser)]
#[command(
    name = "drctl",
    version,
    after_help = concat!("\
Examples:
  drctl rehearse region-failure        lose a Region in a simulation on this machine
  drctl plan check radiant.plan.yaml   list every error of a plan
  drctl automation status              show whether alarms start recoveries
  drctl start region-failure           start a recovery, as yourself
  drctl resume RECOVERY                resume a recovery that failed
  drctl reopen us-east-1               open a Region that a dead recovery left fenced
  drctl snapshot before-v42            keep the database as it is now, before a migration
  drctl runbook region-failure         print the runbook, with the names of your plan

", exit_status!())
)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Rehearse(RehearseArgs),
    Start(StartArgs),
    Resume(ResumeArgs),
    Reopen(ReopenArgs),
    Snapshot(SnapshotArgs),
    Runbook(RunbookArgs),
    /// Check a recovery plan, bring it to AWS, or print the schema of plans
    #[command(after_help = "\
Examples:
  drctl plan check radiant.plan.yaml
  drctl plan render radiant.plan.yaml
  drctl plan schema > shared/plan.schema.json")]
    Plan {
        #[command(subcommand)]
        verb: PlanVerb,
    },
    /// Turn automatic recovery on or off; a person can always start a recovery
    #[command(after_help = "\
Examples:
  drctl automation off --reason 'network maintenance'
  drctl automation status

Exit status: 0 done in both Regions, 1 a Region could not be reached, 2 wrong use.")]
    Automation {
        #[command(subcommand)]
        verb: AutomationVerb,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AutomationVerb {
    /// Let alarms start recoveries
    On {
        #[command(flatten)]
        plan: PlanArg,
        /// Why
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },
    /// Stop alarms from starting recoveries: the kill switch
    Off {
        #[command(flatten)]
        plan: PlanArg,
        /// Why; people read it when an alarm starts nothing
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
    },
    /// Show the switch: who set it, when and why, and its last five settings
    Status {
        #[command(flatten)]
        plan: PlanArg,
    },
}

impl AutomationVerb {
    /// The file of the workload's plan.
    pub(crate) fn plan(&self) -> &Path {
        match self {
            Self::On { plan, .. } | Self::Off { plan, .. } | Self::Status { plan } => &plan.plan,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct PlanArg {
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    plan: PathBuf,
}

/// Print the runbook of a scenario, with the names of your plan
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl runbook region-failure
  drctl runbook region-failure --plan shop.plan.yaml > runbook.md")]
pub(crate) struct RunbookArgs {
    /// The scenario
    #[arg(value_name = "SCENARIO", value_parser = scenario)]
    pub scenario: Scenario,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
}

/// Play a disaster and its recovery against a simulated AWS, in virtual time
#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  drctl rehearse                              the first scenario of the plan
  drctl rehearse region-failure --seed 7      the same run each time
  drctl rehearse region-failure -v            each attempt, and every text in full
  drctl rehearse region-failure --runs 100    minimum, median, p95 and maximum of RTO and RPO
  drctl rehearse region-return                the lost Region comes back; the workload moves back
  drctl rehearse all --campaign 1000          scenarios and faults that the seed draws
  drctl rehearse --list-faults                faults and their expected result
  drctl rehearse region-failure --fault kill:promote-database --fault lag:10m
  drctl rehearse region-failure --fault both-databases --expect refused
  drctl rehearse region-failure --stop-at switch-dns
  drctl rehearse region-failure --event event.json
  drctl rehearse region-failure --json | jq .achieved

", exit_status!()))]
pub(crate) struct RehearseArgs {
    /// The disaster [default: the plan's first scenario that is available]
    #[arg(value_name = "SCENARIO", value_parser = disasters_parser())]
    pub disasters: Option<Disasters>,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
    /// Durations that you measured, in the form of simulator/timings.yaml; what it does not have stays as it is built in
    #[arg(long, value_name = "FILE")]
    pub timings: Option<PathBuf>,
    /// Seed of chance: the same seed gives the same run [default: a new one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Start the recovery by this EventBridge event, as JSON; the function gets it 5 s after the event's time
    #[arg(long, value_name = "FILE")]
    pub event: Option<PathBuf>,
    /// Remove this step's permissions, so the recovery fails there; then give them back and resume
    #[arg(long, value_name = "STEP", value_parser = step_parser())]
    pub stop_at: Option<String>,
    /// Inject a fault beside the disaster, such as throttle:rds; may be given again
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<Fault>,
    /// List faults and their expected result
    #[arg(long, exclusive = true)]
    pub list_faults: bool,
    /// Lift the faults, and resume a recovery that failed, was rolled back or is partial
    #[arg(long)]
    pub resume: bool,
    /// Exit with 0 if the recovery ends like this, and with 1 if not
    #[arg(long, value_name = "OUTCOME", value_parser = outcome_parser(), conflicts_with = "campaign")]
    pub expect: Option<Outcome>,
    /// Play N rehearsals, each with faults that its seed draws, and check the rules that must always hold
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["runs", "fault", "resume", "event", "stop_at"])]
    pub campaign: Option<u32>,
    /// For each broken rule, look for the fewest faults that still break it
    #[arg(long, requires = "campaign")]
    pub shrink: bool,
    /// Number of runs; the first has the seed, each further run the next
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Write the report of the last recovery, or of the campaign: .html, .json or .md
    #[arg(long, value_name = "FILE", conflicts_with = "runs", value_parser = report_file)]
    pub report: Option<PathBuf>,
    /// Publish the achieved RTO and RPO as metrics in your account; uses your AWS credentials
    #[arg(long, conflicts_with_all = ["runs", "campaign"])]
    pub publish: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Print the summary only
    #[arg(long, short)]
    pub quiet: bool,
    /// Show each attempt of each step, and every text in full
    #[arg(long, short, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// Start a recovery on AWS, as yourself
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl start region-failure                            assess, then take the way that loses least
  drctl start region-failure --want intent=switchover   a planned move, which loses nothing
  drctl start region-failure --want intent=switchover --region us-east-1      and back

Uses your AWS credentials: the recovery knows who started it. Its questions then need the
approval of one other person. After a start in the Step Functions console they need two.
If an answer of AWS is lost, drctl asks again; only one recovery starts.

Exit status: 0 started, 1 not started or unknown, 2 wrong use.")]
pub(crate) struct StartArgs {
    /// The scenario
    #[arg(value_name = "SCENARIO", value_parser = scenario)]
    pub scenario: Scenario,
    /// An option of the scenario, such as intent=switchover; may be given again
    #[arg(long = "want", value_name = "NAME=VALUE", value_parser = want)]
    pub wants: Vec<(String, Value)>,
    /// The Region that takes over [default: the plan's standby Region]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Ask people for approval even if the plan needs none
    #[arg(long)]
    pub always_ask: bool,
    /// Run it as a drill, which gives way to a recovery
    #[arg(long)]
    pub drill: bool,
    /// Take the lock from this running recovery, after people approve
    #[arg(long, value_name = "RECOVERY")]
    pub take_over: Option<String>,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
}

/// How a recovery can end, by its name.
fn outcome_parser() -> impl TypedValueParser<Value = Outcome> {
    let names = Outcome::ALL.map(Outcome::name);
    PossibleValuesParser::new(names).try_map(|name| {
        let found = Outcome::ALL.into_iter().find(|outcome| outcome.name() == name);
        found.ok_or_else(|| format!("there is no outcome {name}"))
    })
}

/// A scenario by its name, available or not. Errors: a text that names the available ones.
fn scenario(text: &str) -> Result<Scenario, String> {
    let known = Scenario::all();
    let found = known.iter().find(|scenario| scenario.name() == text).copied();
    found.ok_or_else(|| {
        let available = known.iter().filter(|scenario| scenario.machine().is_some());
        let names: Vec<&str> = available.map(|scenario| scenario.name()).collect();
        format!("available: {}", names.join(", "))
    })
}

/// A field of a scenario's own: JSON, or else text.
fn want(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, such as intent=switchover")?;
    let read = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), read))
}

/// Resume a recovery that failed, was rolled back, or is partial
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl resume 20260106T030401Z-region-failure-a1b2c3

Uses your AWS credentials. The recovery continues where it stopped: completed steps return at
once, and given approvals still hold. Run twice, it starts once.

Exit status: 0 resumed, 1 not resumed, 2 wrong use.")]
pub(crate) struct ResumeArgs {
    /// The recovery's id, from its announcement
    #[arg(value_name = "RECOVERY")]
    pub recovery: String,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
}

/// Open a Region that a recovery fenced and left shut, if no other Region can take writes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl reopen us-east-1
  drctl reopen us-east-1 --approve   if the recovery's Region does not answer: two people

Uses your AWS credentials. It opens the Region only if all of this holds, checked in this order:
  a  the recovery has ended and its lock is yours;
     or its Region does not answer, and two people approve
  b  no note says that a promotion was requested
  c  each Region that answers says, twice 60 s apart, that this Region's cluster is the only writer
  d  a write commits in this Region
  e  the fence's notes are of one move between Regions
It restores what the fence noted, and nothing else.

Exit status: 0 everything is open, 1 nothing was opened or something is left, 2 wrong use.")]
pub(crate) struct ReopenArgs {
    /// The Region to open
    #[arg(value_name = "REGION")]
    pub region: String,
    /// Approve the opening although the recovery's Region does not answer; another person must approve too
    #[arg(long)]
    pub approve: bool,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
}

/// Take a manual snapshot of the cluster that takes writes, and wait until it can be restored
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl snapshot before-v42     before a migration

Uses your AWS credentials. Run again with the same name, it waits for the same snapshot and makes
no other one. A name that a snapshot of more than an hour ago has is refused. Ctrl-C ends the
waiting; AWS continues. AWS charges for a snapshot until somebody deletes it.

Exit status: 0 it can be restored, 1 it cannot or that is not known, 2 wrong use.")]
pub(crate) struct SnapshotArgs {
    /// What people call it; its identifier begins with the cluster's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanVerb {
    /// List every error of a plan at once, with its line
    #[command(after_help = "\
Examples:
  drctl plan check radiant.plan.yaml
  drctl plan check radiant.plan.yaml | head -1     the first error only

Exit status: 0 sound, 1 the plan has errors, 2 the file cannot be read.")]
    Check {
        /// The recovery plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put a plan in force, in both of its Regions
    #[command(after_help = "\
Examples:
  drctl plan push radiant.plan.yaml

Uses your AWS credentials. Each Region keeps the plan under its SHA-256 in its table of records.
A running recovery keeps the plan that it was opened with.

Exit status: 0 in force in both Regions, 1 a Region could not be reached, 2 the plan has errors.")]
    Push {
        /// The recovery plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write the parameters of infra/template.yaml, a file for each Region
    #[command(after_help = "\
Examples:
  drctl plan render radiant.plan.yaml
  sam deploy --template-file infra/template.yaml \\
    --parameter-overrides file://infra/parameters/us-west-2.yaml …

Exit status: 0 written, 1 the plan does not fit the template or a file cannot be written,
2 the plan has errors.")]
    Render {
        /// The recovery plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The folder of the files; created if missing
        #[arg(long, value_name = "FOLDER", default_value = "infra/parameters")]
        folder: PathBuf,
        /// Reserve concurrency for the automation's functions, if the account's quota allows
        #[arg(long)]
        reserve_concurrency: bool,
    },
    /// Print the JSON Schema of plans
    #[command(after_help = "\
Examples:
  drctl plan schema > shared/plan.schema.json")]
    Schema,
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why".to_owned()),
        reason => Ok(reason.to_owned()),
    }
}

/// A report's file; the end of its name says the format.
fn report_file(name: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(name);
    match ReportFormat::of(&file) {
        Some(_) => Ok(file),
        None => Err("a report's name ends in .html, .json or .md".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    Html,
    Json,
    Markdown,
}

impl ReportFormat {
    /// The format that the end of a file's name says.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "html" => Some(Self::Html),
            "json" => Some(Self::Json),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// The disasters to rehearse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disasters {
    One(&'static dyn Disaster),
    /// Each of them, as a campaign draws it.
    All,
    /// A scenario that a plan can declare, and that no machine recovers from yet.
    NotYet(Scenario),
}

/// The name on the command line of [`Disasters::All`].
const ALL_DISASTERS: &str = "all";

fn disasters_parser() -> impl TypedValueParser<Value = Disasters> {
    let each = ALL
        .iter()
        .map(|disaster| PossibleValue::new(disaster.name()).help(disaster.description()));
    let all = PossibleValue::new(ALL_DISASTERS).help("each of them, in a campaign");
    let not_yet = Scenario::all()
        .into_iter()
        .filter(|scenario| scenario.machine().is_none());
    let not_yet = not_yet.map(|scenario| PossibleValue::new(scenario.name()).hide(true));
    PossibleValuesParser::new(each.chain([all]).chain(not_yet)).try_map(|name| {
        if name == ALL_DISASTERS {
            return Ok(Disasters::All);
        }
        match scenarios::named(&name) {
            Some(disaster) => Ok(Disasters::One(disaster)),
            None => Scenario::named(&name).map(Disasters::NotYet),
        }
    })
}

/// The steps that machines call. A recovery continues without some of them; the rehearsal then says so.
fn step_parser() -> PossibleValuesParser {
    let called = STEPS.iter().filter(|step| step.called_by.contains(&Caller::Machine));
    PossibleValuesParser::new(called.map(|step| step.name).collect::<Vec<_>>())
}
