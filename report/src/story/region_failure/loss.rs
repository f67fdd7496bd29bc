//! What was lost, and how each figure comes about: one definition, for every place that says it.

use serde::Deserialize;
use serde_json::Value;
use shared::measure::{Achieved, Observed, RpoStatus};
use shared::plan::Duration;
use shared::record::Closing;

use super::moved::Moved;
use crate::account::Account;
use crate::figures::{NOT_MEASURED, NOTHING, WRITES_LOST};
use crate::page::Text;
use crate::words::length;

/// What was lost, as a value; `number` is the figure.
pub(crate) fn value(account: &Account, achieved: &Achieved, number: impl Fn(f64, String) -> Text) -> Text {
    let heartbeat = heartbeat(account);
    match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::NotApplicable, _) => NOTHING.into(),
        (RpoStatus::Measured, Some(0.0)) => number(0.0, format!("Under {heartbeat} of writes")),
        (RpoStatus::Measured, Some(seconds)) => {
            number(seconds, format!("{} of writes \u{B1} {heartbeat}", length(seconds)))
        }
        _ => NOT_MEASURED.into(),
    }
}

/// One heartbeat, with its length where the plan is known.
fn heartbeat(account: &Account) -> String {
    let every = account
        .plan
        .as_ref()
        .and_then(|plan| plan.pointer("/database/heartbeat/every"));
    let every = every.and_then(|every| Duration::deserialize(every).ok());
    match every {
        Some(every) => format!("one heartbeat ({})", length(every.as_secs() as f64)),
        None => "one heartbeat".to_owned(),
    }
}

/// What is not known beside it.
pub(crate) fn not_known(account: &Account, moved: &Moved) -> Option<Text> {
    let after = moved.other_unknown_after?;
    Some(Text::plain(format!("unknown: writes that {} accepted after ", account.other())).and_at(after))
}

/// The sources of the figures of the loss.
pub(crate) fn sources(account: &Account, closing: &Closing) -> Vec<[String; 4]> {
    let (achieved, observed) = (&closing.achieved, &closing.observed);
    let mut rows: Vec<[String; 4]> = Vec::new();
    let mut row = |figure: &str, how: String, is: &str, exact: &str| {
        rows.push([figure, &how, is, exact].map(str::to_owned));
    };
    if achieved.rpo_status == RpoStatus::Measured {
        row(WRITES_LOST, of_the_loss(account, observed), "derived", "one heartbeat");
    }
    if achieved.old_side_wrote_seconds.is_some() {
        row(
            "The other Region accepted writes",
            format!("last heartbeat that {} reported, minus decision", account.other()),
            "derived; a lower bound",
            "one heartbeat",
        );
    }
    if let Some(basis) = expected_loss_in_words(account) {
        row(
            "Expected loss at the decision",
            format!("{basis}. The record has no times of the lag's values"),
            "an estimate from before the promotion, not the loss",
            "one value of the lag a minute",
        );
    }
    rows
}

/// The formula of the loss; it follows what was observed, as the measurement itself does.
fn of_the_loss(account: &Account, observed: &Observed) -> String {
    let (here, other) = (account.here(), account.other());
    let surviving = "minus the last heartbeat that the recovered database holds";
    if observed.old_side_wrote_until.is_some() {
        return format!(
            "impact {surviving}; 0 if that is later. Writes of {other} after the decision are another figure"
        );
    }
    if observed.last_committed_at >= observed.last_surviving_at {
        return format!(
            "last heartbeat that was committed in {other} {surviving}. {other} reported it to the table of records in {here}: it \
             does not come from the surviving copy"
        );
    }
    format!("impact {surviving}: no later heartbeat was reported, so this is a minute less exact")
}

/// The expected loss as those who decided saw it, with its basis; as the data have it where no such text is there.
pub(crate) fn expected_loss_in_words(account: &Account) -> Option<String> {
    if let Some(said) = account.found("expected_loss_in_words").and_then(Value::as_str) {
        return Some(said.to_owned());
    }
    let loss = account.found("expected_loss")?;
    let seconds = loss.get("seconds").and_then(Value::as_f64);
    Some(match (loss.get("status")?.as_str()?, seconds) {
        ("none", _) => "none".to_owned(),
        ("measured", Some(seconds)) => format!("the writes of about {}", length(seconds)),
        ("upper-bound", Some(seconds)) => format!("the writes of {} at most (upper bound)", length(seconds)),
        ("unmeasured", _) => "not known; that does not mean none".to_owned(),
        _ => return None,
    })
}
