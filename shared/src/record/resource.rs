//! What a recovery looks at and changes, as data: kind, name and Region beside what people read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::StepError;

/// How many resources an answer names.
const NAMED: usize = 20;

/// A resource, or all resources of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name, as AWS's calls take it. Empty where all of a kind are meant.
    pub name: String,
    /// What it belongs to: an event source's function, a stage's API, a DNS record's hosted zone, an object's bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Its Region; nothing where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What people read, and the name under which notes keep it.
    pub text: String,
}

/// What a resource is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A Lambda function.
    Function,
    /// An event source mapping of a function.
    EventSource,
    /// A stage of a REST API.
    Stage,
    /// A cluster of a database.
    Cluster,
    /// An instance of a cluster.
    Instance,
    /// A global database.
    GlobalDatabase,
    /// An object in a bucket.
    Object,
    /// A record in a hosted zone.
    DnsRecord,
    /// A note from before resources had a kind: only its text is known.
    Unknown,
    /// A kind that another version has a name for.
    #[serde(untagged)]
    Other(String),
}

/// A resource as it stands in records: those from before have its text alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Typed {
        kind: ResourceKind,
        name: String,
        #[serde(default)]
        of: Option<String>,
        #[serde(default)]
        region: Option<String>,
        text: String,
    },
}

impl From<Written> for Resource {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => Self {
                kind: ResourceKind::Unknown,
                name: String::new(),
                of: None,
                region: None,
                text,
            },
            Written::Typed {
                kind,
                name,
                of,
                region,
                text,
            } => Self {
                kind,
                name,
                of,
                region,
                text,
            },
        }
    }
}

impl Resource {
    /// A resource that belongs to nothing and has no Region; its text is its name.
    pub fn new(kind: ResourceKind, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            kind,
            text: name.clone(),
            name,
            of: None,
            region: None,
        }
    }

    /// What it belongs to.
    #[must_use]
    pub fn of(self, of: impl Into<String>) -> Self {
        Self {
            of: Some(of.into()),
            ..self
        }
    }

    /// Its Region.
    #[must_use]
    pub fn in_region(self, region: impl Into<String>) -> Self {
        Self {
            region: Some(region.into()),
            ..self
        }
    }

    /// What people read.
    #[must_use]
    pub fn called(self, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..self
        }
    }

    /// A function.
    pub fn function(name: &str, region: &str) -> Self {
        Self::new(ResourceKind::Function, name)
            .in_region(region)
            .called(format!("function {name} in {region}"))
    }

    /// An event source mapping of a function.
    pub fn event_source(uuid: &str, function: &str, region: &str) -> Self {
        Self::new(ResourceKind::EventSource, uuid)
            .of(function)
            .in_region(region)
            .called(format!("event source {uuid} of function {function} in {region}"))
    }

    /// All event source mappings of the plan's functions.
    pub fn event_sources(region: &str) -> Self {
        Self::new(ResourceKind::EventSource, "")
            .in_region(region)
            .called(format!("the functions' event sources in {region}"))
    }

    /// A cluster of a database.
    pub fn cluster(id: &str, region: &str) -> Self {
        Self::new(ResourceKind::Cluster, id)
            .in_region(region)
            .called(format!("cluster {id} in {region}"))
    }

    /// A stage of a REST API.
    pub fn stage(rest_api: &str, stage: &str, region: &str) -> Self {
        Self::new(ResourceKind::Stage, stage)
            .of(rest_api)
            .in_region(region)
            .called(format!("stage {stage} of API {rest_api} in {region}"))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A resource that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The resource.
    pub resource: Resource,
    /// Why, and what to do.
    pub reason: String,
    /// The answer of AWS to the call behind it, without what was called on which resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Missing {
    /// `resource` is not as it should be, because of `reason`.
    pub fn new(resource: Resource, reason: impl ToString) -> Self {
        Self {
            resource,
            reason: reason.to_string(),
            cause: None,
        }
    }

    /// The error behind it.
    #[must_use]
    pub fn because(self, error: &StepError) -> Self {
        Self {
            cause: error.answer.clone(),
            ..self
        }
    }

    /// The first 20, and how many more there are: a state's data has an end. The others are in the log.
    pub fn shortened(mut missing: Vec<Self>) -> (Vec<Self>, usize) {
        let more = missing.len().saturating_sub(NAMED);
        if more > 0 {
            for missing in &missing {
                tracing::warn!(
                    resource = missing.resource.text,
                    reason = missing.reason,
                    "not as it should be"
                );
            }
            missing.truncate(NAMED);
        }
        (missing, more)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_reads_back_and_one_from_before_keeps_its_text() {
        let source = Resource::event_source("u", "router", "us-east-1");
        let data = json!({
            "kind": "event-source", "name": "u", "of": "router", "region": "us-east-1",
            "text": "event source u of function router in us-east-1",
        });
        assert_eq!(json!(source), data);
        assert_eq!(serde_json::from_value::<Resource>(data).unwrap(), source);
        let before: Resource = serde_json::from_value(json!("function router in us-east-1")).unwrap();
        assert_eq!(
            (&before.kind, before.text.as_str()),
            (&ResourceKind::Unknown, "function router in us-east-1")
        );
        let later = json!({ "kind": "subnet", "name": "s", "text": "subnet s" });
        let read: Resource = serde_json::from_value(later.clone()).unwrap();
        assert_eq!(json!(read), later);
    }

    #[test]
    fn an_answer_names_twenty_and_counts_the_rest() {
        let missing = |count: usize| {
            let resource = |n: usize| Resource::new(ResourceKind::Function, n.to_string());
            (0..count).map(|n| Missing::new(resource(n), "r")).collect()
        };
        let counted = |count| {
            let (named, more) = Missing::shortened(missing(count));
            (named.len(), more)
        };
        assert_eq!([counted(20), counted(200)], [(20, 0), (20, 180)]);
    }
}
