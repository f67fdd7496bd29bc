//! Figures of what was achieved, held against the objectives.

use shared::measure::{Achieved, Met, RpoStatus};
use shared::plan::Objective;

use crate::page::{Figure, Text, Tone};
use crate::words::length;

/// Where the JSON form has what was achieved.
const ACHIEVED: &str = "/account/header/closing/achieved";
/// What the figure of lost writes is called.
pub(crate) const WRITES_LOST: &str = "Writes lost (RPO)";

/// A figure of what was achieved, by its name in the JSON form.
pub(crate) fn number(name: &str, value: f64, said: impl Into<String>) -> Text {
    Text::default().number(&format!("{ACHIEVED}/{name}"), value, said)
}

/// A length of time, where it was measured.
pub(crate) fn measured(seconds: Option<f64>, name: &str, otherwise: &str) -> Text {
    match seconds {
        Some(seconds) => number(name, seconds, length(seconds)),
        None => Text::plain(otherwise),
    }
}

/// What was lost, as far as it was measured.
pub(crate) fn writes_lost(achieved: &Achieved, met: Met, objective: Option<Objective>) -> Figure {
    Figure {
        name: WRITES_LOST.to_owned(),
        value: match achieved.rpo_status {
            RpoStatus::NotApplicable => "none".into(),
            RpoStatus::Measured => measured(achieved.rpo_seconds, "rpo_seconds", "not measured"),
            RpoStatus::Unmeasured => "not measured".into(),
        },
        verdict: verdict(met, objective, achieved.rpo_seconds.is_some()),
        tone: tone(met),
    }
}

/// How a figure stands against its objective, in words.
pub(crate) fn verdict(met: Met, objective: Option<Objective>, is_measured: bool) -> Text {
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

/// How a figure is to be taken.
pub(crate) fn tone(met: Met) -> Tone {
    match met {
        Met::Target | Met::Maximum => Tone::Good,
        Met::Missed => Tone::Bad,
        Met::NotApplicable => Tone::Plain,
    }
}
