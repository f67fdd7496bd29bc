//! What a step could not do, or noticed, and went on all the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::resource::Resource;

/// What a person should know, although it went on: any step's output may have a list of them, `warnings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Warning {
    /// What it is about, for whoever decides something by it.
    pub code: WarningCode,
    /// The Region that it is about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The resource that it is about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// For people, without the cause.
    pub text: String,
    /// The error behind it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What a warning is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningCode {
    /// The lock was taken from a drill.
    DrillPreempted,
    /// The lock was taken from another recovery, as people approved.
    TakenOver,
    /// An execution of an earlier recovery may still run.
    LeftRunning,
    /// Whether the other Region runs a recovery could not be seen.
    OtherRegionUnseen,
    /// The other Region runs a drill.
    OtherRegionInDrill,
    /// The other Region seems to run a recovery, and its execution could not be looked at.
    OtherRegionBusy,
    /// The metrics could not be read.
    MetricsUnread,
    /// The last heartbeat could not be read when it was decided what to do.
    HeartbeatUnread,
    /// The last heartbeat known to be committed could not be read when the loss was measured.
    CommittedUnread,
    /// Likewise the last one that survived.
    SurvivingUnread,
    /// What an earlier recovery fenced and did not give back could not be read.
    NotesUnread,
    /// The lock could not be read, after the promotion.
    LockUnread,
    /// Something was changed without an undo note, since the record failed after the promotion.
    NotNoted,
    /// No outage is seen: the start stands in for the impact.
    NoOutageSeen,
    /// The database is here already: what was lost is not known any more.
    PromotedBefore,
    /// A part of what this Region needs to serve is missing, denied or wrong.
    NotFit,
    /// Whether such a part is fit could not be seen.
    FitUnseen,
    /// A quota of this Region does not allow what is reserved, or should be.
    QuotaTooSmall,
    /// A warning from before there were codes: only its text is known.
    Unknown,
    /// A code of a step that is not known here.
    #[serde(untagged)]
    Other(String),
}

/// A warning as it stands in records: those from before are texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Coded {
        code: WarningCode,
        #[serde(default)]
        region: Option<String>,
        #[serde(default)]
        resource: Option<Resource>,
        text: String,
        #[serde(default)]
        cause: Option<String>,
    },
}

impl From<Written> for Warning {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => Self::new(WarningCode::Unknown, text),
            Written::Coded {
                code,
                region,
                resource,
                text,
                cause,
            } => Self {
                code,
                region,
                resource,
                text,
                cause,
            },
        }
    }
}

impl Warning {
    /// A warning that is about no Region and no resource, and has no error behind it.
    pub fn new(code: WarningCode, text: impl Into<String>) -> Self {
        Self {
            code,
            region: None,
            resource: None,
            text: text.into(),
            cause: None,
        }
    }

    /// The Region that it is about.
    #[must_use]
    pub fn about(self, region: impl Into<String>) -> Self {
        Self {
            region: Some(region.into()),
            ..self
        }
    }

    /// The resource that it is about.
    #[must_use]
    pub fn on(self, resource: Resource) -> Self {
        Self {
            resource: Some(resource),
            ..self
        }
    }

    /// The error behind it.
    #[must_use]
    pub fn because(self, error: impl ToString) -> Self {
        Self {
            cause: Some(error.to_string()),
            ..self
        }
    }

    /// The warnings in a step's output; what is none is left out.
    pub fn all_in(output: &Value) -> Vec<Self> {
        let list = output.get("warnings").and_then(Value::as_array);
        let read = |warning: &Value| Self::deserialize(warning).ok();
        list.into_iter().flatten().filter_map(read).collect()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn warnings_read_back_whatever_their_code_and_age() {
        let unseen = Warning::new(WarningCode::OtherRegionUnseen, "cannot be seen")
            .about("us-east-1")
            .because("Unavailable: no answer");
        let coded = json!({
            "code": "other-region-unseen", "region": "us-east-1", "text": "cannot be seen", "cause": "Unavailable: no answer",
        });
        assert_eq!(json!(unseen), coded);
        assert_eq!(unseen.to_string(), "cannot be seen: Unavailable: no answer");
        let output = json!({ "warnings": [coded, "a text", { "code": "tide-is-high", "text": "wait" }, 3] });
        let codes: Vec<WarningCode> = Warning::all_in(&output).into_iter().map(|one| one.code).collect();
        let other = WarningCode::Other("tide-is-high".to_owned());
        assert_eq!(codes, [WarningCode::OtherRegionUnseen, WarningCode::Unknown, other]);
        assert!(Warning::all_in(&json!(null)).is_empty());
    }
}
