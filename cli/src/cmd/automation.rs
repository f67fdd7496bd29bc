//! `drctl automation`: turns automatic recovery on or off. It never stops a person.
//!
//! Each Region has its own switch, in its own table, so that it holds there also when the other Region is lost.

use std::fmt;

use shared::aws::Aws;
use shared::error::StepError;
use shared::plan::Plan;
use shared::record::{Record, Switch};

use crate::account::{self, InRegion, regions};
use crate::args::AutomationVerb;
use crate::output::{Exit, Output, Paint, one_line};

/// How many of the switch's earlier settings are shown.
const HISTORY: usize = 5;

/// The switch of one Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its last setting; nothing if it was never set, which means on.
    pub now: Option<Switch>,
    /// Its last five settings, the newest first.
    pub history: Vec<Switch>,
}

/// Sets the switch in both Regions of the plan: the answer of each, the primary's first. A Region that does not answer does
/// not keep the other one from being set.
pub async fn set(aws: &Aws, plan: &Plan, switch: &Switch) -> Vec<InRegion<()>> {
    let mut answers = Vec::new();
    for region in regions(plan) {
        let record = Record::in_region(aws, region);
        answers.push(InRegion {
            region: region.to_owned(),
            answer: record.set_automation(&plan.workload, switch).await,
        });
    }
    answers
}

/// How the switch stands in both Regions of the plan, the primary's first.
pub async fn status(aws: &Aws, plan: &Plan) -> Vec<InRegion<Setting>> {
    let mut answers = Vec::new();
    for region in regions(plan) {
        answers.push(InRegion {
            region: region.to_owned(),
            answer: setting(&Record::in_region(aws, region), &plan.workload).await,
        });
    }
    answers
}

async fn setting(record: &Record, workload: &str) -> Result<Setting, StepError> {
    let now = record.automation(workload).await?;
    let mut history = record.automation_history(workload).await?;
    history.reverse();
    history.truncate(HISTORY);
    Ok(Setting { now, history })
}

/// Sets or shows the switch in the real AWS.
pub(crate) fn run(verb: &AutomationVerb, plan: &Plan, output: &mut Output) -> Exit {
    let (on, reason) = match verb {
        AutomationVerb::On { reason, .. } => (true, reason.as_deref().unwrap_or("no reason given")),
        AutomationVerb::Off { reason, .. } => (false, reason.as_str()),
        AutomationVerb::Status { .. } => {
            return account::with(plan, output, async |aws, output| show(&status(aws, plan).await, output));
        }
    };
    account::in_its_account(plan, output, async |aws, by, output| {
        let (at, reason) = (aws.now(), reason.to_owned());
        switch(aws, plan, &Switch { on, by, at, reason }, output).await
    })
}

async fn switch(aws: &Aws, plan: &Plan, switch: &Switch, output: &mut Output) -> Exit {
    let on = switch.on;
    let mut exit = Exit::Success;
    for InRegion { region, answer } in set(aws, plan, switch).await {
        match answer {
            Ok(()) => output.line(format_args!("{region}: {}", state(on, output))),
            Err(error) => {
                output.error(one_line(&NotSet { region, on, error }));
                exit = Exit::Failure;
            }
        }
    }
    exit
}

/// The message for a Region in which the switch could not be set.
struct NotSet {
    region: String,
    on: bool,
    error: StepError,
}

impl fmt::Display for NotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, meanwhile) = if self.on {
            ("on", "alarms there may still start nothing")
        } else {
            ("off", "alarms there may still start recoveries")
        };
        write!(
            f,
            "{}: could not confirm that automation is {to}; {meanwhile}. When the Region answers, run drctl automation {to} again, \
             then drctl automation status: {}",
            self.region, self.error
        )
    }
}

fn show(answers: &[InRegion<Setting>], output: &mut Output) -> Exit {
    let mut exit = Exit::Success;
    for InRegion { region, answer } in answers {
        match answer {
            Ok(setting) => {
                let on = setting.now.as_ref().is_none_or(|switch| switch.on);
                let state = state(on, output);
                match &setting.now {
                    None => output.line(format_args!("{region}: {state}; never set")),
                    Some(switch) => output.line(format_args!("{region}: {state} since {}", told(switch))),
                }
                for switch in &setting.history {
                    let state = if switch.on { "on" } else { "off" };
                    output.line(format_args!("  {state:3} {}", told(switch)));
                }
            }
            Err(error) => {
                output.error(one_line(&format_args!(
                    "{region}: could not read the switch; try again when the Region answers: {error}"
                )));
                exit = Exit::Failure;
            }
        }
    }
    exit
}

fn told(switch: &Switch) -> String {
    one_line(&format_args!("{}, by {}: {}", switch.at, switch.by, switch.reason))
}

fn state(on: bool, output: &Output) -> String {
    let (paint, state) = if on { (Paint::Good, "on") } else { (Paint::Bad, "off") };
    output.paint(paint, state).into_owned()
}
