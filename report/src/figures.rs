//! Figures of what was achieved, held against the objectives.

use shared::measure::{Achieved, Met, RpoStatus};
use shared::plan::Objective;

use crate::page::{Exact, Figure, Gauge, Text, Tone};
use crate::words::length;

/// Where the JSON form has what was achieved.
const ACHIEVED: &str = "/account/header/closing/achieved";
/// The name of the figure of lost writes.
pub(crate) const WRITES_LOST: &str = "Writes lost (RPO)";

/// A figure of what was achieved, by its name in the JSON form.
pub(crate) fn number(name: &str, value: f64, said: impl Into<String>) -> Text {
    Text::default().number(&format!("{ACHIEVED}/{name}"), value, said)
}

/// A length of time; `otherwise` if nobody measured it.
pub(crate) fn measured(seconds: Option<f64>, name: &str, otherwise: &str) -> Text {
    match seconds {
        Some(seconds) => number(name, seconds, length(seconds)),
        None => Text::plain(otherwise),
    }
}

/// What was lost, as far as it was measured.
pub(crate) fn writes_lost(achieved: &Achieved, met: Met, objective: Option<Objective>) -> Figure {
    let is_measured = achieved.rpo_status == RpoStatus::Measured && achieved.rpo_seconds.is_some();
    Figure {
        name: WRITES_LOST.to_owned(),
        value: match achieved.rpo_status {
            RpoStatus::NotApplicable => NOTHING.into(),
            _ if is_measured => measured(achieved.rpo_seconds, "rpo_seconds", NOT_MEASURED).and(" of writes"),
            _ => NOT_MEASURED.into(),
        },
        verdict: verdict(met, objective, is_measured),
        not_known: None,
        tone: tone(met),
        gauge: loss_gauge(achieved, objective),
    }
}

/// The value of a loss that cannot be.
pub(crate) const NOTHING: &str = "Nothing";
/// The value of what nobody measured.
pub(crate) const NOT_MEASURED: &str = "Not measured";

/// What was lost against its limits; nothing if nothing can be lost.
pub(crate) fn loss_gauge(achieved: &Achieved, objective: Option<Objective>) -> Option<Gauge> {
    let objective = objective.filter(|_| achieved.rpo_status != RpoStatus::NotApplicable)?;
    Some(gauge(achieved.rpo_seconds, Exact::Value, objective))
}

/// A value in seconds against its limits.
pub(crate) fn gauge(seconds: Option<f64>, exact: Exact, objective: Objective) -> Gauge {
    Gauge {
        seconds,
        exact,
        target: objective.target.as_secs() as f64,
        maximum: objective.maximum.as_secs() as f64,
    }
}

/// Target and maximum, in words.
pub(crate) fn limits(objective: Objective) -> [String; 2] {
    [objective.target, objective.maximum].map(|limit| length(limit.as_secs() as f64))
}

/// How a figure stands against its objective, in words.
pub(crate) fn verdict(met: Met, objective: Option<Objective>, is_measured: bool) -> Text {
    let Some(objective) = objective else {
        return "no objective in the plan".into();
    };
    let [target, maximum] = limits(objective);
    match met {
        Met::Target => format!("target of {target} met (maximum {maximum})").into(),
        Met::Maximum => format!("target of {target} missed; maximum of {maximum} met").into(),
        Met::Missed if is_measured => format!("maximum of {maximum} missed (target {target})").into(),
        Met::Missed => format!("counts as missed (target {target}, maximum {maximum})").into(),
        Met::NotApplicable => "its objective does not apply".into(),
    }
}

/// How a figure is to be taken.
pub(crate) fn tone(met: Met) -> Tone {
    match met {
        Met::Target => Tone::Good,
        Met::Maximum => Tone::Warn,
        Met::Missed => Tone::Bad,
        Met::NotApplicable => Tone::Plain,
    }
}
