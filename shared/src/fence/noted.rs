//! What notes of a fence say, read in one way for all who need it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::setting::Setting;
use crate::error::{ErrorKind, StepError};
use crate::record::{Missing, Resource, Undo};

/// What resources were before they were fenced, as notes say. Resources are known by the text under which notes keep them:
/// notes from before resources had a kind have nothing else.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// What was there before.
    pub before: BTreeMap<String, Setting>,
    /// Resources whose note cannot be read: what was there before is not known, so that they are neither fenced nor given
    /// back by a step. Each says so.
    pub unreadable: BTreeMap<String, Missing>,
}

/// A change of a fence that nobody took back yet.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its note.
    pub note: Undo,
    /// What was there before.
    pub before: Setting,
}

/// What `step` fenced and nobody took back, and that of which the note cannot be read.
pub fn standing(notes: Vec<Undo>, step: &str) -> (Vec<Standing>, Vec<Missing>) {
    let standing: Vec<Undo> = notes.into_iter().filter(|note| note.stands_of(step)).collect();
    let mut noted = Noted::read(standing.iter().map(|note| (&note.resource, &note.previous)));
    let changes = standing.into_iter().filter_map(|note| {
        let before = noted.before.remove(&note.resource.text)?;
        Some(Standing { note, before })
    });
    let changes = changes.collect();
    (changes, noted.unreadable.into_values().collect())
}

impl Noted {
    /// Reads notes: resource, and what was kept of it.
    pub fn read<'a>(notes: impl IntoIterator<Item = (&'a Resource, &'a Value)>) -> Self {
        let mut noted = Self::default();
        for (resource, previous) in notes {
            match serde_json::from_value(previous.clone()) {
                Ok(setting) => {
                    noted.before.insert(resource.text.clone(), setting);
                }
                Err(error) => {
                    let text = format!(
                        "the note of what {resource} was before the fence could not be read: {error}; the resource \
                         is left as it is. Look at the note in the record, and set the resource by hand"
                    );
                    let error = StepError::new(ErrorKind::Internal, text);
                    let missing = Missing::new(resource.clone(), error);
                    noted.unreadable.insert(resource.text.clone(), missing);
                }
            }
        }
        noted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::ResourceKind;

    #[test]
    fn what_cannot_be_read_is_told_and_not_left_out() {
        let good = json!({ "what": "function", "name": "router", "reserved_concurrency": null });
        let [fine, spoiled] = ["good", "bad"].map(|name| Resource::new(ResourceKind::Function, name));
        let noted = Noted::read([(&fine, &good), (&spoiled, &json!({ "what": "moon" }))]);
        assert_eq!(noted.before.keys().collect::<Vec<_>>(), ["good"]);
        let Missing { resource, reason, .. } = &noted.unreadable["bad"];
        assert_eq!(*resource, spoiled);
        assert!(
            reason.starts_with("Internal: the note of what bad was before"),
            "{reason}"
        );
    }
}
