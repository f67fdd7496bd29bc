//! How it ended, and what was achieved.

use jiff::Timestamp;
use shared::measure::{Achieved, Met, RpoStatus, seconds_between};
use shared::plan::Objective;
use shared::recovery::Outcome;

use super::loss;
use super::todo::open_question;
use crate::page::{Block, Figure, Text, Tone};
use crate::timeline::cause;
use crate::words::{in_short, length, of_state};
use crate::{Account, State};

/// Where the JSON form has what was achieved.
const ACHIEVED: &str = "/account/header/closing/achieved";

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

pub(crate) fn outcome(account: &Account, state: &State) -> Said {
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
    let why = match (&closing.failed_state, cause(closing)) {
        (Some(state), Some(cause)) => {
            let does = of_state(state, &account.here(), &account.other());
            let does = does.map_or_else(String::new, |does| format!(", which {does},"));
            Some(format!("Why: {state}{does} failed: {}.", in_short(cause)))
        }
        (_, cause) => cause.map(|cause| format!("Why: {}.", in_short(cause))),
    };
    let mut because: Vec<Text> = why.into_iter().map(Text::plain).collect();
    if matches!(closing.outcome, Outcome::Recovered | Outcome::Partial) {
        because.push(loss::sentence(account, achieved, state));
    }
    because.extend(went_on_writing(account, achieved));
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

fn went_on_writing(account: &Account, achieved: &Achieved) -> Option<Text> {
    let seconds = achieved.old_side_wrote_seconds?;
    Some(Text::plain(format!(
        "{} went on taking writes for at least {} after the decision. Those are lost besides, unless they are brought over.",
        account.other(),
        length(seconds)
    )))
}

/// Achieved against objectives.
pub(crate) fn achieved(account: &Account, state: &State) -> Vec<Block> {
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
            let lost = verdict(met.rpo, header.objectives.rpo, achieved.rpo_seconds.is_some());
            figures.push(Figure {
                name: "Writes lost (RPO)".to_owned(),
                value: loss::value(achieved, |seconds, said| {
                    Text::default().number(&format!("{ACHIEVED}/rpo_seconds"), seconds, said)
                }),
                verdict: match (achieved.rpo_status, loss::not_known(account, state)) {
                    (RpoStatus::NotApplicable, _) => "the way it went loses none".into(),
                    (_, Some(not_known)) => Text::plain("known: ").then(lost).and("; ").then(not_known),
                    (_, None) => lost,
                },
                tone: match tone(met.rpo) {
                    Tone::Good if !loss::is_good(met.rpo, state) => Tone::Plain,
                    tone => tone,
                },
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
    let measured = header.ended().filter(|closing| !nothing_to_measure(closing.outcome));
    blocks.extend(measured.map(|closing| loss::sources(account, closing)));
    blocks
}

/// Whether it ended before there was anything to recover.
fn nothing_to_measure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused | Outcome::Declined | Outcome::Expired)
}

fn measured(seconds: Option<f64>, name: &str, otherwise: &str) -> Text {
    match seconds {
        Some(seconds) => Text::default().number(&format!("{ACHIEVED}/{name}"), seconds, length(seconds)),
        None => Text::plain(otherwise),
    }
}

fn verdict(met: Met, objective: Option<Objective>, is_measured: bool) -> Text {
    let Some(objective) = objective else {
        return "there is no objective for it".into();
    };
    let [target, maximum] = [objective.target, objective.maximum].map(|limit| length(limit.as_secs() as f64));
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

/// When what happened that the figures come from, and how each is known.
fn moments(account: &Account) -> Vec<(Text, Text)> {
    let header = &account.header;
    let observed = header.ended().map(|closing| closing.observed).unwrap_or_default();
    let other = account.other();
    let mut moments: Vec<(Text, Text)> = Vec::new();
    let mut add = |name: &str, at: Option<Timestamp>, how: Text| {
        moments.extend(at.map(|at| (Text::plain(name), Text::at(at).and("; ").then(how))));
    };
    if account.starts_in_place_of_an_impact() {
        add(
            "The start",
            account.impact_at(),
            "it stands in for the impact: nobody saw customers suffer before".into(),
        );
    } else {
        add(
            "Impact: customers suffered from",
            account.impact_at(),
            "derived: the first bad minute of the check from outside, so that it is exact to a minute".into(),
        );
    }
    let written = account.started.as_ref().filter(|started| started.at > header.opened_at);
    add(
        "The recovery was opened",
        Some(header.opened_at),
        match written {
            Some(started) => Text::plain(
                "measured: its execution's start, which is counted as the opening; that it was \
                                          started was written down after that, at ",
            )
            .and_at(started.at),
            None => "measured: its execution's start".into(),
        },
    );
    let asked = account.questions.iter().filter(|_| header.ended().is_some());
    for asked in asked {
        let settled = asked.settled.as_ref().map(|settled| settled.at);
        let how = match settled {
            Some(at) => Text::plain("measured; answered by enough at ").and_at(at),
            None => "measured; not answered by enough".into(),
        };
        add("People were asked", Some(asked.asked_at), how);
    }
    add(
        "It was decided what to do",
        account.decided_at(),
        "measured: the last look at both Regions".into(),
    );
    add(
        "Last heartbeat known to be committed",
        observed.last_committed_at,
        format!("measured, in {other}").into(),
    );
    add(
        "Last heartbeat that survived",
        observed.last_surviving_at,
        format!("measured, in the database in {}", account.here()).into(),
    );
    add(
        "The other side wrote until",
        observed.old_side_wrote_until,
        format!("measured: the last heartbeat that {other} left word of").into(),
    );
    let checked = account.timeline.iter().rfind(|step| step.name == "check-health");
    add(
        "First healthy answer, from outside",
        observed.healthy_at,
        match checked.and_then(|step| step.ended_at) {
            Some(last) => Text::plain(
                "measured: as many in a row as the plan says had to be healthy, and the first of them counts; the last \
                 of them came by ",
            )
            .and_at(last),
            None => "measured".into(),
        },
    );
    add(
        "It ended",
        header.ended().map(|closing| closing.closed_at),
        "measured: when how it ended was written down; telling people and this report come after that".into(),
    );
    moments
}
