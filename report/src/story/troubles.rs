//! What was refused, what failed, and what was tried again.

use shared::record::{Closing, TimelineStep};
use shared::recovery::Outcome;

use crate::Account;
use crate::page::{Block, Table, Text};
use crate::path::polls;
use crate::words::name;

pub(crate) fn blocks(account: &Account) -> Vec<Block> {
    let mut blocks = Vec::new();
    let endings: Vec<&Closing> = account
        .endings()
        .filter(|closing| closing.outcome != Outcome::Recovered)
        .collect();
    if !endings.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "Executions that did not recover the service, or not all of it".to_owned(),
            head: ["Ended at", "As", "Why", "Execution"].map(str::to_owned).to_vec(),
            rows: endings.into_iter().map(ending).collect(),
        }));
    }
    let troubled: Vec<&TimelineStep> = account.timeline.iter().filter(|step| is_troubled(step)).collect();
    if !troubled.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "States that failed or were tried again".to_owned(),
            head: ["State", "From", "Began", "Failed", "Last failure", "In the end"]
                .map(str::to_owned)
                .to_vec(),
            rows: troubled.into_iter().map(|step| state(account, step)).collect(),
        }));
    }
    if blocks.is_empty() {
        blocks.push(Block::Paragraph(
            "Nothing was refused, no state failed, and none had to be tried again.".into(),
        ));
    }
    blocks
}

fn ending(closing: &Closing) -> Vec<Text> {
    vec![
        Text::at(closing.closed_at),
        Text::plain(closing.outcome.name()),
        Text::plain(closing.reason.as_deref().unwrap_or("no reason is known")),
        Text::code(name(&closing.execution)),
    ]
}

fn is_troubled(step: &TimelineStep) -> bool {
    let tried_again = step.attempts > 1 && !polls(step);
    step.failures > 0 || tried_again || step.outcome.as_deref().is_some_and(|outcome| outcome != "succeeded")
}

fn state(account: &Account, step: &TimelineStep) -> Vec<Text> {
    let times = |count: u64| match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let came_to = match step.outcome.as_deref() {
        Some("succeeded") => "succeeded",
        Some(_) => "failed",
        None if account.header.ended().is_none() => "has not answered yet",
        None => "never answered",
    };
    vec![
        Text::plain(step.state.as_str()),
        Text::at(step.started_at),
        Text::plain(times(step.attempts)),
        Text::plain(if step.failures == 0 {
            "never".to_owned()
        } else {
            times(step.failures)
        }),
        Text::plain(step.last_failure.as_deref().unwrap_or("none is known")),
        Text::plain(came_to),
    ]
}
