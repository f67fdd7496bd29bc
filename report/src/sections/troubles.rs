//! What was refused, what failed, and what was tried again.

use serde_json::Value;
use shared::arn;
use shared::record::{Closing, TimelineStep, Warning, WarningCode};
use shared::recovery::Outcome;

use crate::account::{Account, cause};
use crate::page::{Block, Table, Text};
use crate::path::polls;
use crate::story::told::Tale;
use crate::words::in_short;

pub(crate) fn blocks(tale: &Tale<'_>) -> Vec<Block> {
    let account = tale.account;
    let mut blocks = Vec::new();
    let endings: Vec<&Closing> = account
        .endings()
        .filter(|closing| closing.outcome != Outcome::Recovered)
        .collect();
    if !endings.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "Executions that did not recover the service, or only a part of it".to_owned(),
            head: ["Ended at", "As", "Why", "Execution"].map(str::to_owned).to_vec(),
            rows: endings.into_iter().map(|closing| ending(account, closing)).collect(),
        }));
    }
    let troubled: Vec<&TimelineStep> = account.timeline.iter().filter(|step| is_troubled(step)).collect();
    if !troubled.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "States that failed or were retried".to_owned(),
            head: ["State", "From", "Started", "Failed", "Last failure", "Result"]
                .map(str::to_owned)
                .to_vec(),
            rows: troubled.into_iter().map(|step| state(account, step)).collect(),
        }));
    }
    let in_vain = in_vain(tale);
    if !in_vain.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "Warnings, as reported at the time".to_owned(),
            head: ["Warning", "Effect"].map(str::to_owned).to_vec(),
            rows: in_vain,
        }));
    }
    if blocks.is_empty() {
        blocks.push(Block::Paragraph(
            "None: no state failed, no state was retried, and no step left a warning.".into(),
        ));
    }
    blocks
}

/// What ended without an error and without what it was for, and what follows from that.
fn in_vain(tale: &Tale<'_>) -> Vec<Vec<Text>> {
    let mut rows = tale.story.in_vain(tale.account);
    for closing in tale.account.endings() {
        for part in closing
            .evidence
            .as_object()
            .into_iter()
            .flat_map(|parts| parts.values())
        {
            for warning in Warning::all_in(part) {
                rows.push([in_short(&warning.to_string()), follows_on(&warning.code).to_owned()]);
            }
            if part.get("health_answered") == Some(&Value::Bool(false)) {
                let follows = "AWS gave no evidence for or against it; the signals alone decided";
                rows.extend(texts(part, "health").map(|said| [in_short(said), follows.to_owned()]));
            }
        }
    }
    let mut seen: Vec<[String; 2]> = Vec::new();
    for row in rows {
        if !seen.contains(&row) {
            seen.push(row);
        }
    }
    seen.into_iter().map(|row| row.map(Text::plain).to_vec()).collect()
}

fn texts<'a>(part: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    let list = part.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// What follows from a warning.
fn follows_on(code: &WarningCode) -> &'static str {
    match code {
        WarningCode::OtherRegionUnseen
        | WarningCode::OtherRegionBusy
        | WarningCode::OtherRegionInDrill
        | WarningCode::LeftRunning
        | WarningCode::DrillPreempted
        | WarningCode::TakenOver => "another recovery may have run at the same time; see Next steps",
        WarningCode::MetricsUnread
        | WarningCode::HeartbeatUnread
        | WarningCode::NoOutageSeen
        | WarningCode::PromotedBefore
        | WarningCode::FitUnseen => "the decision did without it, or used a substitute",
        WarningCode::NotFit => "this Region may not serve, or only in part, until that is fixed",
        WarningCode::QuotaTooSmall => "the recovery continues; under load the service may be slow",
        WarningCode::CommittedUnread | WarningCode::SurvivingUnread => "the loss is not measured, or is less exact",
        WarningCode::NotesUnread => "this recovery does not take back what an earlier one changed",
        WarningCode::NotNoted => "keep this: there is no other note of how to undo it",
        WarningCode::LockUnread => {
            "changes from then may have no undo note; another recovery may have run at the same time"
        }
        WarningCode::Unknown | WarningCode::Other(_) => "the recovery continued without it",
    }
}

fn ending(account: &Account, closing: &Closing) -> Vec<Text> {
    let is_last = account
        .header
        .ended()
        .is_some_and(|last| last.execution == closing.execution);
    let why = match (cause(closing), &closing.failed_state) {
        (Some(_), _) if is_last => "see the reason at the top".to_owned(),
        (Some(cause), Some(state)) => format!("{state}: {}", in_short(cause)),
        (Some(cause), None) => in_short(cause),
        (None, _) => "no reason recorded".to_owned(),
    };
    vec![
        Text::at(closing.closed_at),
        Text::plain(closing.outcome.name()),
        Text::plain(why),
        Text::code(arn::name(&closing.execution)),
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
    let result = match step.outcome.as_deref() {
        Some("succeeded") => "succeeded",
        Some(_) => "failed",
        None if account.header.ended().is_none() => "no answer yet",
        None => "no answer",
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
        Text::plain(
            step.last_failure
                .as_deref()
                .map_or_else(|| "none recorded".to_owned(), in_short),
        ),
        Text::plain(result),
    ]
}
