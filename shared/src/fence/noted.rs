//! What notes of a fence say, read in one way for all who need it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::setting::Setting;
use crate::error::{ErrorKind, StepError};

/// What resources were before they were fenced, by resource, as notes say.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// What was there before.
    pub before: BTreeMap<String, Setting>,
    /// Resources whose note cannot be read: what was there before is not known, so that they are neither fenced nor given
    /// back by a step. Each with an `Internal` error that says so.
    pub unreadable: BTreeMap<String, StepError>,
}

impl Noted {
    /// Reads notes: resource, and what was kept of it.
    pub fn read<'a>(notes: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut noted = Self::default();
        for (resource, previous) in notes {
            match serde_json::from_value(previous.clone()) {
                Ok(setting) => {
                    noted.before.insert(resource.to_owned(), setting);
                }
                Err(error) => {
                    let text = format!(
                        "the note of what {resource} was before it was fenced cannot be read: {error}; it is left as it is. \
                         Look at the note in the record, and set it by hand"
                    );
                    let error = StepError::new(ErrorKind::Internal, text);
                    noted.unreadable.insert(resource.to_owned(), error);
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

    #[test]
    fn what_cannot_be_read_is_told_and_not_left_out() {
        let good = json!({ "what": "function", "name": "router", "reserved_concurrency": null });
        let noted = Noted::read([("good", &good), ("bad", &json!({ "what": "moon" }))]);
        assert_eq!(noted.before.keys().collect::<Vec<_>>(), ["good"]);
        let error = &noted.unreadable["bad"];
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(error.message.contains("what bad was before"), "{error}");
    }
}
