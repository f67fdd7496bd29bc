//! What is to be shut, and whether it is.

use serde_json::Value;

use super::setting::{Looked, Setting};
use crate::error::{ErrorKind, StepError};
use crate::record::{Missing, Undo};

/// What was seen, and what was not.
pub fn seen_and_not(looked: Vec<Looked>) -> (Vec<Setting>, Vec<Missing>) {
    let (mut seen, mut not_seen) = (Vec::new(), Vec::new());
    for looked in looked {
        match looked.setting {
            Ok(setting) => seen.push(setting),
            Err(error) => not_seen.push(Missing::new(looked.resource, &error).because(&error)),
        }
    }
    (seen, not_seen)
}

/// What is not fenced yet, in the order in which it is changed: the stage keeps customers out, then functions stop.
pub fn open(seen: &[Setting]) -> Vec<Setting> {
    let mut open: Vec<Setting> = seen.iter().filter(|now| !now.is_fenced()).cloned().collect();
    open.sort_by_key(|setting| match setting {
        Setting::Stage { .. } => 0,
        Setting::Function { .. } => 1,
        Setting::EventSource { .. } => 2,
    });
    open
}

/// Why a resource that was changed is not known to be fenced; nothing where it is. What is seen counts, whatever the call
/// answered.
pub fn why_open(
    was: &Setting,
    region: &str,
    made: Result<(), StepError>,
    again: Result<Setting, StepError>,
) -> Option<Missing> {
    let missing = |reason: String| Missing::new(was.resource(region), reason);
    let failed = |reason: String, error: &StepError| Some(missing(reason).because(error));
    match (made, again) {
        (_, Ok(now)) if now.is_fenced() => None,
        (Err(error), Ok(now)) if now == *was => failed(error.to_string(), &error),
        (_, Ok(now)) => Some(missing(format!(
            "it was fenced, but is {} again; check what changes it",
            now.describe()
        ))),
        (Ok(()), Err(error)) => failed(
            format!("AWS accepted the change, but reading it back failed: {error}"),
            &error,
        ),
        (Err(error), Err(_)) => failed(format!("unknown whether it was changed: {error}"), &error),
    }
}

impl Setting {
    /// The note by which `taken_back_by`, a step, or a person makes it this again, once `step` has fenced it. Errors: `Internal`.
    pub fn undo(&self, step: &str, taken_back_by: &str, region: &str) -> Result<Undo, StepError> {
        let by_hand = self.by_hand(&self.fenced(), region);
        Ok(Undo {
            step: step.to_owned(),
            resource: self.resource(region),
            previous: self.kept()?,
            taken_back_by: Some(format!("{taken_back_by}, or: {by_hand}")),
            by_hand: Some(by_hand),
            taken_back_at: None,
        })
    }

    /// As notes keep it. Errors: `Internal`.
    pub fn kept(&self) -> Result<Value, StepError> {
        serde_json::to_value(self).map_err(|error| {
            StepError::new(
                ErrorKind::Internal,
                format!("the setting could not be written as JSON: {error}; this is a defect"),
            )
        })
    }
}
