//! How it ended, and what was achieved.

use shared::measure::{Achieved, Met, RpoStatus, seconds_between};
use shared::plan::Objective;
use shared::recovery::Outcome;

use super::todo::open_question;
use crate::Account;
use crate::page::{Block, Figure, Text, Tone};
use crate::words::length;

/// How it ended.
pub(crate) struct Said {
    /// In a word.
    pub(crate) word: String,
    pub(crate) tone: Tone,
    /// In a sentence.
    pub(crate) sentence: Text,
    /// Why.
    pub(crate) because: Vec<Text>,
}

pub(crate) fn outcome(account: &Account) -> Said {
    let Some(closing) = account.header.ended() else {
        return runs(account);
    };
    let achieved = &closing.achieved;
    let stands = account.undo.iter().any(|undo| undo.taken_back_at.is_none());
    let (tone, sentence) = match closing.outcome {
        Outcome::Recovered => (Tone::Good, is_back("It is over: the service is back", account)),
        Outcome::Partial => (Tone::Bad, is_back("The service is back, but not all of it", account)),
        Outcome::Refused => (
            Tone::Plain,
            "It is over, and nothing was done: a check said no before anything was changed, or everything was taken \
             back. The service is as it was."
                .into(),
        ),
        Outcome::Declined => (
            Tone::Plain,
            "It is over, and nothing was done: somebody who was asked said no. The service is as it was.".into(),
        ),
        Outcome::Expired => (
            Tone::Bad,
            "It stopped, and nothing was done: too few of those who were asked answered in time. The service is as it \
             was."
                .into(),
        ),
        Outcome::Preempted => (
            Tone::Bad,
            "It stopped where it was, because another recovery took its place. Whether the service is back, that one \
             knows."
                .into(),
        ),
        Outcome::RolledBack => (
            Tone::Bad,
            "It failed, and everything that it had changed was taken back: the service is as it was before.".into(),
        ),
        Outcome::Failed if stands => (
            Tone::Bad,
            "It is not over: the recovery failed, and the service is not known to be back. What was changed stands."
                .into(),
        ),
        Outcome::Failed => (
            Tone::Bad,
            "It is not over: the recovery failed, with nothing changed, and the service is not known to be back."
                .into(),
        ),
    };
    let mut because: Vec<Text> = closing
        .reason
        .iter()
        .map(|reason| Text::plain(format!("Why: {reason}.")))
        .collect();
    if matches!(closing.outcome, Outcome::Recovered | Outcome::Partial) {
        because.push(lost(achieved));
    }
    because.extend(went_on_writing(achieved));
    if let Some(executions) = attempts(account) {
        because.push(executions);
    }
    Said {
        word: said(closing.outcome).to_owned(),
        tone,
        sentence,
        because,
    }
}

fn said(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Recovered => "Recovered",
        Outcome::Partial => "Partly recovered",
        Outcome::Refused => "Refused",
        Outcome::Declined => "Declined",
        Outcome::Expired => "Expired",
        Outcome::Preempted => "Pre-empted",
        Outcome::RolledBack => "Rolled back",
        Outcome::Failed => "Failed",
    }
}

fn runs(account: &Account) -> Said {
    let known_until = account.known_until();
    let mut because = Vec::new();
    if let Some(asked) = open_question(account) {
        because.push(
            Text::default()
                .strong("It waits for people. ")
                .and("A question is open until ")
                .and_at(asked.expires_at)
                .and(format!(": {}", asked.ask.headline)),
        );
    }
    if let Some(impact) = account.impact_at().filter(|_| !account.starts_in_place_of_an_impact()) {
        because.push(
            Text::plain("Customers have suffered since ")
                .and_at(impact)
                .and(format!(": {} by then.", length(seconds_between(impact, known_until)))),
        );
    }
    because.extend(attempts(account));
    Said {
        word: "Runs".to_owned(),
        tone: Tone::Plain,
        sentence: Text::plain("It is not over: the recovery still runs, and this is how far it had come by ")
            .and_at(known_until)
            .and("."),
        because,
    }
}

/// That it was gone on with, where it was.
fn attempts(account: &Account) -> Option<Text> {
    let resumed = account.header.resumed.len();
    let first = account.header.earlier.first().or(account.header.closing.as_ref())?;
    (resumed > 0).then(|| {
        Text::plain(format!(
            "It had ended as {} before, and was gone on with {}; see what was refused, failed and tried again.",
            first.outcome,
            times(resumed)
        ))
    })
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn is_back(beginning: &str, account: &Account) -> Text {
    let mut text = Text::plain(beginning);
    let Some(closing) = account.header.ended() else {
        return text;
    };
    if let Some(healthy) = closing.observed.healthy_at {
        text = text.and(" since ").and_at(healthy);
    }
    match closing.achieved.rto_seconds {
        Some(seconds) if account.starts_in_place_of_an_impact() => {
            text.and(format!(", {} after the start.", length(seconds)))
        }
        Some(seconds) => text.and(format!(", {} after customers began to suffer.", length(seconds))),
        None => text.and("; how long customers were without it was not measured."),
    }
}

fn lost(achieved: &Achieved) -> Text {
    match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::NotApplicable, _) => "No writes were lost: the way it went loses none.".into(),
        (RpoStatus::Measured, Some(seconds)) if seconds > 0.0 => format!(
            "What customers had written in about the last {} before that is lost.",
            length(seconds)
        )
        .into(),
        (RpoStatus::Measured, Some(_)) => {
            "Lost at most: what customers had written since the last heartbeat, which is written every few seconds."
                .into()
        }
        _ => "How much of what customers had written is lost was not measured. That does not mean none.".into(),
    }
}

fn went_on_writing(achieved: &Achieved) -> Option<Text> {
    let seconds = achieved.old_side_wrote_seconds?;
    Some(Text::plain(format!(
        "The Region that was left went on taking writes for at least {} after the decision. Those are lost besides, \
         unless they are brought over.",
        length(seconds)
    )))
}

/// Achieved against objectives.
pub(crate) fn achieved(account: &Account) -> Vec<Block> {
    let header = &account.header;
    let mut blocks = Vec::new();
    match header.ended() {
        None => blocks.push(Block::Paragraph(
            "It still runs: what it achieves is measured when it has ended.".into(),
        )),
        Some(closing) if nothing_to_measure(closing.outcome) => blocks.push(Block::Paragraph(
            "It did not come to a recovery, so that there is nothing to measure.".into(),
        )),
        Some(closing) => {
            let (achieved, met) = (&closing.achieved, closing.met);
            let mut figures = vec![Figure {
                name: "Without service (RTO)".to_owned(),
                value: measured(achieved.rto_seconds, "rto_seconds", "not measured"),
                verdict: verdict(met.rto, Some(header.objectives.rto), achieved.rto_seconds.is_some()),
                tone: tone(met.rto),
            }];
            let rpo = match achieved.rpo_status {
                RpoStatus::NotApplicable => Text::plain("none"),
                RpoStatus::Measured | RpoStatus::Unmeasured => {
                    measured(achieved.rpo_seconds, "rpo_seconds", "not measured")
                }
            };
            figures.push(Figure {
                name: "Writes lost (RPO)".to_owned(),
                value: rpo,
                verdict: match achieved.rpo_status {
                    RpoStatus::NotApplicable => "the way it went loses none".into(),
                    _ => verdict(met.rpo, header.objectives.rpo, achieved.rpo_seconds.is_some()),
                },
                tone: tone(met.rpo),
            });
            if let Some(seconds) = achieved.rto_from_decision_seconds {
                figures.push(Figure {
                    name: "Of that, after the decision".to_owned(),
                    value: measured(Some(seconds), "rto_from_decision_seconds", ""),
                    verdict: "from the decision to the first healthy answer".into(),
                    tone: Tone::Plain,
                });
            }
            if let Some(seconds) = achieved.old_side_wrote_seconds {
                figures.push(Figure {
                    name: "The other side wrote on".to_owned(),
                    value: measured(Some(seconds), "old_side_wrote_seconds", ""),
                    verdict: "after the decision, at least; lost besides".into(),
                    tone: Tone::Bad,
                });
            }
            blocks.push(Block::Figures(figures));
        }
    }
    blocks.push(Block::Facts(moments(account)));
    blocks
}

/// Whether it ended before there was anything to recover.
fn nothing_to_measure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused | Outcome::Declined | Outcome::Expired)
}

fn measured(seconds: Option<f64>, name: &str, otherwise: &str) -> Text {
    match seconds {
        Some(seconds) => Text::default().number(
            &format!("/account/header/closing/achieved/{name}"),
            seconds,
            length(seconds),
        ),
        None => Text::plain(otherwise),
    }
}

fn verdict(met: Met, objective: Option<Objective>, is_measured: bool) -> Text {
    let Some(objective) = objective else {
        return "there is no objective for it".into();
    };
    let (target, maximum) = (objective.target, objective.maximum);
    match met {
        Met::Target => format!("within the target of {target}; at most {maximum} are allowed").into(),
        Met::Maximum => format!("over the target of {target}, within the maximum of {maximum}").into(),
        Met::Missed if is_measured => format!("over the maximum of {maximum}; the target is {target}").into(),
        Met::Missed => format!("counts as missed; the target is {target}, the maximum {maximum}").into(),
        Met::NotApplicable => "its objective does not apply".into(),
    }
}

fn tone(met: Met) -> Tone {
    match met {
        Met::Target | Met::Maximum => Tone::Good,
        Met::Missed => Tone::Bad,
        Met::NotApplicable => Tone::Plain,
    }
}

/// When what happened that the figures come from.
fn moments(account: &Account) -> Vec<(Text, Text)> {
    let observed = account
        .header
        .ended()
        .map(|closing| closing.observed)
        .unwrap_or_default();
    let impact = if account.starts_in_place_of_an_impact() {
        "The start; nobody saw customers suffer before"
    } else {
        "Customers suffered from (impact)"
    };
    let moments = [
        (impact, account.impact_at()),
        ("The recovery was opened", Some(account.header.opened_at)),
        ("It was decided what to do", account.decided_at()),
        ("First healthy answer, from outside", observed.healthy_at),
        (
            "Last write known before the loss (heartbeat)",
            observed.last_committed_at,
        ),
        ("Last write that survived (heartbeat)", observed.last_surviving_at),
        ("The other side wrote until (heartbeat)", observed.old_side_wrote_until),
        ("It ended", account.header.ended().map(|closing| closing.closed_at)),
    ];
    let known = moments
        .into_iter()
        .filter_map(|(name, at)| Some((name.into(), Text::at(at?))));
    known.collect()
}
