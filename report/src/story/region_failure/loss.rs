//! What was lost, and how each figure comes about: one definition, for every place that says it.

use serde_json::Value;
use shared::measure::{Achieved, Met, Observed, RpoStatus};
use shared::record::Closing;

use super::moved::Moved;
use crate::account::Account;
use crate::figures::WRITES_LOST;
use crate::page::Text;
use crate::words::length;

/// What was lost, as a value; `number` is the figure.
pub(crate) fn value(achieved: &Achieved, number: impl Fn(f64, String) -> Text) -> Text {
    match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::NotApplicable, _) => "none".into(),
        (RpoStatus::Measured, Some(0.0)) => number(0.0, "less than one heartbeat".to_owned()),
        (RpoStatus::Measured, Some(seconds)) => number(seconds, format!("{} \u{B1} one heartbeat", length(seconds))),
        _ => "not measured".into(),
    }
}

/// What is not known beside it.
pub(crate) fn not_known(account: &Account, moved: &Moved) -> Option<Text> {
    let after = moved.other_unknown_after?;
    Some(
        Text::plain(format!("not known: what {} took, or takes, after ", account.other()))
            .and_at(after)
            .and(", the last heartbeat that it left word of"),
    )
}

/// Whether the figure may be shown as a success.
pub(crate) fn is_good(met: Met, moved: &Moved) -> bool {
    matches!(met, Met::Target | Met::Maximum) && moved.other_unknown_after.is_none()
}

/// One sentence for the outcome.
pub(crate) fn sentence(account: &Account, achieved: &Achieved, moved: &Moved) -> Text {
    let known: Text = match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::NotApplicable, _) => return "No writes were lost: the way it went loses none.".into(),
        (RpoStatus::Measured, Some(seconds)) if seconds > 0.0 => format!(
            "What customers had written in about the last {} before the loss is not here",
            length(seconds)
        )
        .into(),
        (RpoStatus::Measured, Some(_)) => {
            "Known to be lost: less than what customers write between two heartbeats".into()
        }
        _ => "How much of what customers had written is lost was not measured. That does not mean none".into(),
    };
    match not_known(account, moved) {
        Some(not_known) => known.and("; ").then(not_known).and("."),
        None => known.and("."),
    }
}

/// How the figures of the loss come about.
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
            "The other side wrote on",
            format!("last heartbeat that {} left word of, minus decision", account.other()),
            "derived; at least that",
            "one heartbeat",
        );
    }
    if let Some(basis) = expected_loss_in_words(account) {
        row(
            "Expected loss, when it was decided",
            format!("{basis}. The times of the lag's values are not on record"),
            "an estimate before the act, not what was lost",
            "a minute's value of the lag",
        );
    }
    rows
}

/// The formula that the loss was worked out by; it follows what was observed, as the measurement itself does.
fn of_the_loss(account: &Account, observed: &Observed) -> String {
    let (here, other) = (account.here(), account.other());
    let surviving = "minus the last heartbeat that the recovered database holds";
    if observed.old_side_wrote_until.is_some() {
        return format!(
            "impact {surviving}; 0 if that is later. What {other} wrote after the decision is another figure"
        );
    }
    if observed.last_committed_at >= observed.last_surviving_at {
        return format!(
            "last heartbeat that is known to have been committed in {other} (word of it is in {here}'s table of records, \
             so that it does not come from the surviving copy) {surviving}"
        );
    }
    format!("impact {surviving}, since no word of a later heartbeat was left: a minute less exact")
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
        ("upper-bound", Some(seconds)) => format!("the writes of {} at most; not measured", length(seconds)),
        ("unmeasured", _) => "not known, which does not mean none".to_owned(),
        _ => return None,
    })
}
