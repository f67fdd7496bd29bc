//! What a simulated service has to say of itself. The door, the faults, the permissions and the snapshot know services by
//! this alone, and none of them by name.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::operations::is_read;
use super::quota::Quota;
use super::resources::Resource;
use super::wire::{Call, Reply};
use crate::environment::Environment;
use crate::faults::CallEffect;

/// What most services say to one call too many.
pub(super) const RATE_EXCEEDED: &str = "Rate exceeded";
/// What most services say when they fail.
pub(super) const INTERNAL_FAILURE: &str =
    "The request processing has failed because of an unknown error, exception or failure.";

/// What a service holds, by the kind of resource: a part of a snapshot.
pub type Parts = Map<String, Value>;

/// What a service answers.
pub enum Answer<'a> {
    /// It is known at once.
    Now(Reply),
    /// It has to be waited for.
    Later(BoxFuture<'a, Reply>),
}

impl Answer<'_> {
    pub(super) async fn reply(self) -> Reply {
        match self {
            Self::Now(reply) => reply,
            Self::Later(reply) => reply.await,
        }
    }
}

impl From<Reply> for Answer<'_> {
    fn from(reply: Reply) -> Self {
        Self::Now(reply)
    }
}

/// How a service writes its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// As JSON, with the code in a header too.
    Json,
    /// As XML of the query protocol, and of REST services that answer like it.
    Query,
}

/// A simulated service. The errors that are given here are those that most services have in common.
pub trait Service: Send + Sync {
    /// The prefix of its endpoints, by which faults and counts name it too: `rds`, `monitoring`. Nothing, if its API is not
    /// simulated, as it is where this is left out.
    fn endpoint(&self) -> Option<&'static str> {
        None
    }

    /// The Region of one of its endpoints; nothing, if the host is none of them.
    fn region_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        let (name, region) = host.strip_suffix(".amazonaws.com")?.rsplit_once('.')?;
        (name.rsplit('.').next() == self.endpoint()).then_some(region)
    }

    /// The path of a call, with what the host says put into it.
    fn path<'a>(&self, host: &str, path: &'a str) -> Cow<'a, str> {
        let _ = host;
        Cow::Borrowed(path)
    }

    /// The operation that a call asks for; nothing, if the service has none such.
    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        let _ = call;
        None
    }

    /// Whether a call of this operation can change something.
    fn can_change(&self, call: &Call, operation: &str) -> bool {
        let _ = call;
        !is_read(operation)
    }

    /// What a call touches, as IAM names it: what its caller has to be allowed. Nothing, if the call names its resources in
    /// no way that the service knows; for what IAM has no resource, it is [`ANY`](super::resources::ANY).
    fn touched(&self, environment: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        let _ = (environment, call, operation);
        None
    }

    /// How many calls it answers in a time, of those that share this operation's quota. One that exceeds it gets
    /// [`Service::throttled`].
    fn quota(&self, operation: &str) -> Option<&Quota> {
        let _ = operation;
        None
    }

    /// How a call in a Region fails as long as what the service needs there is away.
    fn failure(&self, environment: &Environment, region: &str) -> Option<CallEffect> {
        let _ = (environment, region);
        None
    }

    /// How it writes the errors that most services have in common.
    fn protocol(&self) -> Protocol {
        Protocol::Json
    }

    /// The answer to one call too many.
    fn throttled(&self, call: &Call) -> Reply {
        let _ = call;
        match self.protocol() {
            Protocol::Json => Reply::json_error(400, "ThrottlingException", RATE_EXCEEDED),
            Protocol::Query => Reply::query_error(400, "Throttling", RATE_EXCEEDED),
        }
    }

    /// The answer to whoever may not make a call.
    fn denied(&self, call: &Call, operation: &str) -> Reply {
        let message = not_authorized(call, operation);
        match self.protocol() {
            Protocol::Json => Reply::json_error(403, "AccessDeniedException", &message),
            Protocol::Query => Reply::query_error(403, "AccessDenied", &message),
        }
    }

    /// The answer when it fails by itself: status 5xx.
    fn server_error(&self, call: &Call) -> Reply {
        let _ = call;
        match self.protocol() {
            Protocol::Json => Reply::json_error(500, "InternalFailure", INTERNAL_FAILURE),
            Protocol::Query => Reply::query_error(500, "InternalFailure", INTERNAL_FAILURE),
        }
    }

    /// Does what a call asks for. `operation` is what [`Service::operation`] said, or
    /// [`UNKNOWN`](super::wire::UNKNOWN).
    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        let _ = (environment, operation);
        let message = format!("the simulator has no service {}", call.service);
        Reply::json_error(501, "NotSimulated", &message).into()
    }

    /// What a recovery could change and take back: two of these are equal if nothing has changed in between.
    fn snapshot(&self, environment: &Environment) -> Parts;

    /// What is left behind by whatever is done, and is never taken back: messages, records, executions, datapoints.
    fn journal(&self, environment: &Environment) -> Parts {
        let _ = environment;
        Parts::new()
    }
}

/// What a service says to whoever may not make a call.
pub(super) fn not_authorized(call: &Call, operation: &str) -> String {
    format!("User is not authorized to perform: {}:{operation}", call.service)
}

/// Parts of a snapshot, by their names.
pub(super) fn parts<const N: usize>(parts: [(&str, Value); N]) -> Parts {
    parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}

/// What a service answers at once, for its tests.
#[cfg(test)]
pub(crate) fn reply_at_once(service: &dyn Service, environment: &Arc<Environment>, call: &Call) -> Reply {
    let operation = service.operation(call);
    let quota = operation.as_deref().and_then(|operation| service.quota(operation));
    if quota.is_some_and(|quota| !quota.takes(&call.region, environment.now())) {
        return service.throttled(call);
    }
    match service.answer(environment, call, operation.as_deref().unwrap_or(super::wire::UNKNOWN)) {
        Answer::Now(reply) => reply,
        Answer::Later(_) => unreachable!("it is one that answers at once"),
    }
}
