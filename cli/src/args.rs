//! What can be written on the command line.

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

/// What the help says of exit statuses: one table for all verbs.
macro_rules! exit_status {
    () => {
        "\
Exit status, of every verb:
  0  done; a rehearsal recovered within the maximum objectives, or ended as --expect says
  1  not done, or not all of it; a plan that was checked is not sound; a rehearsal ended in any other way,
     or a fault never applied
  2  wrong use, or a plan that cannot be used
  3  a rehearsal recovered, and took longer or lost more than a maximum of its objectives
  4  a rehearsal was refused, or people declined or did not answer
  5  a rehearsal or a campaign broke a rule that must always hold
With --runs the worst one counts: 5 before 1, then 4, then 3."
    };
}

/// Recovery of a platform on AWS: check the plan, rehearse a disaster
#[derive(Debug, Parser)]
#[command(
    name = "drctl",
    version,
    after_help = concat!("\
Examples:
  drctl rehearse region-failure               lose a Region, on this machine
  drctl plan check radiant.plan.yaml          list everything that is wrong with a plan
  drctl automation status                     whether alarms start recoveries by themselves
  drctl start region-failure                  start a recovery, as yourself
  drctl resume RECOVERY                       go on with a recovery that failed
  drctl reopen us-east-1                      open a Region that a dead recovery left fenced

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
    /// Check a recovery plan, take it to AWS, or print the schema of plans
    #[command(after_help = "\
Examples:
  drctl plan check radiant.plan.yaml
  drctl plan render radiant.plan.yaml
  drctl plan schema > shared/plan.schema.json")]
    Plan {
        #[command(subcommand)]
        verb: PlanVerb,
    },
    /// Let alarms start recoveries by themselves, or stop them from it; a person can always start one
    #[command(after_help = "\
Examples:
  drctl automation off --reason 'the network is being moved'
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
        /// Why; whoever looks at a refused alarm at night reads it
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
    },
    /// Show who set the switch, when and why, and its last five settings
    Status {
        #[command(flatten)]
        plan: PlanArg,
    },
}

impl AutomationVerb {
    /// The file of the plan whose workload is meant.
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

/// Play a disaster and the recovery from it against a simulated AWS, in virtual time
#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  drctl rehearse region-failure
  drctl rehearse region-failure --seed 7      the same run each time
  drctl rehearse region-failure --runs 100    minimum, median, p95 and maximum of RTO and RPO
  drctl rehearse region-failure --stop-at switch-dns   fail there, then resume
  drctl rehearse region-failure --event event.json     start it by a real alarm's event
  drctl rehearse region-return                the lost Region comes back, and the workload with it
  drctl rehearse region-failure --fault kill:promote-database --fault lag:10m
  drctl rehearse --list-faults                what else can go wrong
  drctl rehearse all --campaign 1000          scenarios and faults that the seed draws
  drctl rehearse region-failure --json | jq .achieved
  drctl rehearse region-failure --fault both-databases --expect refused     in a pipeline

", exit_status!()))]
pub(crate) struct RehearseArgs {
    /// The disaster; all, for a campaign
    #[arg(value_name = "SCENARIO", value_parser = disasters_parser(), required_unless_present = "list_faults")]
    pub disasters: Option<Disasters>,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
    /// Where chance begins: the same seed gives the same run [default: a new one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Start it by this EventBridge event, as JSON, in place of the alarm's own; the clock runs on 5 s after its time
    #[arg(long, value_name = "FILE")]
    pub event: Option<PathBuf>,
    /// Take this step's permissions away, so that the recovery fails there; then give them back and resume it
    #[arg(long, value_name = "STEP", value_parser = step_parser())]
    pub stop_at: Option<String>,
    /// Something that goes wrong beside the disaster, such as throttle:rds; may be given again
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<Fault>,
    /// Show every fault, and what the recovery must do then
    #[arg(long, exclusive = true)]
    pub list_faults: bool,
    /// Where the recovery fell short, lift the faults and go on with it
    #[arg(long)]
    pub resume: bool,
    /// End with 0 where it ends so, and with 1 where it ends otherwise
    #[arg(long, value_name = "OUTCOME", value_parser = outcome_parser(), conflicts_with = "campaign")]
    pub expect: Option<Outcome>,
    /// Play N rehearsals with faults that each one's seed draws, and check what must always hold
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["runs", "fault", "resume", "event", "stop_at"])]
    pub campaign: Option<u32>,
    /// Where something was that must never be, look for the fewest faults with which it still is
    #[arg(long, requires = "campaign")]
    pub shrink: bool,
    /// How many runs; the first one has the seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Write the report of the last recovery, or of the campaign: .html, .json or .md
    #[arg(long, value_name = "FILE", conflicts_with = "runs", value_parser = report_file)]
    pub report: Option<PathBuf>,
    /// Publish what it achieved as metrics in your account, for the dashboard; it uses your AWS credentials
    #[arg(long, conflicts_with_all = ["runs", "campaign"])]
    pub publish: bool,
    /// Print one JSON object in place of text
    #[arg(long)]
    pub json: bool,
    /// Print the summary only
    #[arg(long, short)]
    pub quiet: bool,
}

/// Start a recovery on AWS, as yourself
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl start region-failure                            it looks, and takes the way that loses least
  drctl start region-failure --want intent=switchover   a planned move, which loses nothing
  drctl start region-failure --want intent=switchover --region us-east-1      back again

It uses your AWS credentials, and says to AWS who you are: what the recovery asks needs somebody
else's approval than yours. A start in the Step Functions console cannot say that, and needs two.
Where an answer is lost it asks again, and starts once.

Exit status: 0 it begins, 1 it does not, or that is not known, 2 wrong use.")]
pub(crate) struct StartArgs {
    /// The scenario
    #[arg(value_name = "SCENARIO", value_parser = scenario)]
    pub scenario: Scenario,
    /// What the scenario's machine is to do; may be given again
    #[arg(long = "want", value_name = "NAME=VALUE", value_parser = want)]
    pub wants: Vec<(String, Value)>,
    /// The Region that takes over; the plan's standby, if it is left out
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Ask people even where the plan would ask nobody
    #[arg(long)]
    pub always_ask: bool,
    /// Make it a drill, which gives way to a recovery
    #[arg(long)]
    pub drill: bool,
    /// Take the lock over from this running recovery, once people have approved that
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

/// A scenario by its name. Errors: a text that names those that something recovers from.
fn scenario(text: &str) -> Result<Scenario, String> {
    let mut known = Scenario::all();
    known.retain(|scenario| scenario.machine().is_some());
    let names: Vec<&str> = known.iter().map(|scenario| scenario.name()).collect();
    let found = known.iter().find(|scenario| scenario.name() == text).copied();
    found.ok_or_else(|| {
        format!(
            "something recovers from {}, and from nothing else yet",
            names.join(", ")
        )
    })
}

/// A field of a scenario's own: JSON, or else text.
fn want(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it is NAME=VALUE, such as intent=switchover")?;
    let read = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), read))
}

/// Go on with a recovery that failed, was rolled back, or is partial
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl resume 20260106T030401Z-region-failure-a1b2c3

It uses your AWS credentials. What is done answers at once, approvals that were given still
hold, and it goes on where it stopped. Asked twice, it starts once.

Exit status: 0 it goes on, 1 it could not be started, 2 wrong use.")]
pub(crate) struct ResumeArgs {
    /// The recovery's id, as it was announced
    #[arg(value_name = "RECOVERY")]
    pub recovery: String,
    /// The recovery plan
    #[arg(long, value_name = "FILE", default_value = "radiant.plan.yaml")]
    pub plan: PathBuf,
}

/// Open a Region that a recovery fenced and left shut, where nothing else can take writes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  drctl reopen us-east-1
  drctl reopen us-east-1 --approve            where the recovery's Region cannot be read: two people

It uses your AWS credentials. It opens nothing unless all of this holds, looked at in this order:
  a  the recovery has ended and its lock is yours; or its Region cannot be read, and two people approve
  b  no note says that a promotion was asked for
  c  each Region that answers says, twice 60 s apart, that this Region's cluster is the only writer
  d  a write commits in this Region
  e  the notes of the fence are of one move between Regions
It puts back what the fence noted, and nothing else.

Exit status: 0 all of it is open, 1 nothing was opened or something is left, 2 wrong use.")]
pub(crate) struct ReopenArgs {
    /// The Region to open
    #[arg(value_name = "REGION")]
    pub region: String,
    /// Approve of opening although the recovery's Region cannot be read; another person has to approve too
    #[arg(long)]
    pub approve: bool,
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

Exit status: 0 sound, 1 not sound, 2 the file cannot be read.")]
    Check {
        /// The recovery plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make a plan the one in force, in both of its Regions
    #[command(after_help = "\
Examples:
  drctl plan push radiant.plan.yaml

It uses your AWS credentials. The plan is kept under its SHA-256 in each Region's table of records; a recovery that
runs goes on by the plan that it was opened with.

Exit status: 0 in force in both Regions, 1 a Region could not be reached, 2 the plan is not sound.")]
    Push {
        /// The recovery plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write the parameters of infra/template.yaml, a file for each Region
    #[command(after_help = "\
Examples:
  drctl plan render radiant.plan.yaml
  sam deploy --template-file infra/template.yaml --parameter-overrides file://infra/parameters/us-west-2.yaml …

Exit status: 0 written, 1 the plan does not fit the template or a file cannot be written, 2 the plan is not sound.")]
    Render {
        /// The recovery plan
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The folder of the files; it is made if it is not there
        #[arg(long, value_name = "FOLDER", default_value = "infra/parameters")]
        folder: PathBuf,
        /// Ask the account, and reserve concurrency for the automation's functions where its quota allows
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

/// A report's file, whose name says what it is written as.
fn report_file(name: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(name);
    match ReportFormat::of(&file) {
        Some(_) => Ok(file),
        None => Err("a report's name ends in .html, .json or .md".to_owned()),
    }
}

/// As what a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    /// One file for people.
    Html,
    /// For programs.
    Json,
    /// For tickets and chats.
    Markdown,
}

impl ReportFormat {
    /// What the end of a file's name says.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "html" => Some(Self::Html),
            "json" => Some(Self::Json),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }
}

/// What is rehearsed: one disaster, or each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disasters {
    /// This one.
    One(&'static dyn Disaster),
    /// Each of them, as a campaign draws it.
    All,
}

/// The name on the command line of [`Disasters::All`].
const ALL_DISASTERS: &str = "all";

fn disasters_parser() -> impl TypedValueParser<Value = Disasters> {
    let each = ALL
        .iter()
        .map(|disaster| PossibleValue::new(disaster.name()).help(disaster.description()));
    let all = PossibleValue::new(ALL_DISASTERS).help("each of them, in a campaign");
    PossibleValuesParser::new(each.chain([all])).try_map(|name| {
        if name == ALL_DISASTERS {
            return Ok(Disasters::All);
        }
        scenarios::named(&name)
            .map(Disasters::One)
            .ok_or_else(|| format!("no scenario '{name}'"))
    })
}

/// The steps that machines call. One that a recovery goes on without does not stop it, and the rehearsal says so.
fn step_parser() -> PossibleValuesParser {
    let called = STEPS.iter().filter(|step| step.called_by.contains(&Caller::Machine));
    PossibleValuesParser::new(called.map(|step| step.name).collect::<Vec<_>>())
}
