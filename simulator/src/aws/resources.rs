//! What a call touches, as IAM names it: the ARNs that a policy has to allow, and the values of the condition keys by which
//! it decides where ARNs say too little.
//!
//! The forms of ARNs are those of the Service Authorization Reference, "Resource types defined by <service>", in the
//! partition `aws`. Only what came over the wire counts, and what the simulated account has: a call that is refused touches
//! what it asks for all the same, since its caller has to be allowed to ask.

use std::collections::{BTreeMap, BTreeSet};

use super::wire::Call;

/// Stands for the resource of an action for which IAM knows none.
pub const ANY: &str = "*";

/// What one call touches. Errors: a text that says which call names its resources in no way that is known here; it must
/// never pass for a call that touches nothing.
pub type Resources = Result<BTreeSet<Resource>, String>;

/// One thing that a call touches.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// Its ARN, or [`ANY`].
    pub arn: String,
    /// What the call does to it, where that is another operation than the call itself: `PutItem` within
    /// `TransactWriteItems`. IAM then asks for the action of this one.
    pub part: Option<&'static str>,
    /// The kind of item of a table that the call writes: its sort key `sk` as far as the first `#`.
    pub item: Option<String>,
    /// The condition keys by which a policy can narrow this down, and the values that the call has for them.
    pub conditions: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Resource {
    /// All of this resource, by the operation of the call.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            ..Self::default()
        }
    }

    /// With the values that the call has for a condition key.
    #[must_use]
    pub fn with(mut self, key: &'static str, values: impl IntoIterator<Item = String>) -> Self {
        self.conditions.insert(key, values.into_iter().collect());
        self
    }
}

/// What `known` says that a call touches; an error, if it says nothing.
pub(super) fn of(known: Option<Vec<Resource>>, call: &Call, operation: &str) -> Resources {
    let known = known.filter(|touched| !touched.is_empty());
    let known = known.map(|touched| touched.into_iter().collect());
    known.ok_or_else(|| unknown(call, operation))
}

/// The error that stands for the resources of a call of which none is known.
fn unknown(call: &Call, operation: &str) -> String {
    let Call {
        service,
        region,
        method,
        path,
        ..
    } = call;
    format!(
        "{service}:{operation} ({method} {path} in {region}) touches nothing that is known; \
         its service in the simulator has to say how it names its resources"
    )
}

/// What a call touches that names no resource of a kind that IAM knows.
pub(super) fn anything() -> Vec<Resource> {
    vec![Resource::new(ANY)]
}

/// Whether a part of a path stands for itself.
pub(super) fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.contains('%')
}
