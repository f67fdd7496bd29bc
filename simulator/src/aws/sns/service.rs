//! SNS as a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::Sns;
use crate::aws::resources::Resource;
use crate::aws::service::{Answer, INTERNAL_FAILURE, Parts, RATE_EXCEEDED, Service, not_authorized, parts};
use crate::aws::wire::{Call, Reply, query_operation, query_parameter};
use crate::environment::Environment;
use crate::lock::lock;

impl Service for Sns {
    fn endpoint(&self) -> Option<&'static str> {
        Some("sns")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        query_operation(&call.body)
    }

    fn touched(&self, _: &Environment, call: &Call, _: &str) -> Option<Vec<Resource>> {
        query_parameter(&call.body, "TopicArn").map(|arn| vec![Resource::new(arn)])
    }

    fn throttled(&self, _: &Call) -> Reply {
        Reply::query_error(400, "Throttling", RATE_EXCEEDED)
    }

    fn denied(&self, call: &Call, operation: &str) -> Reply {
        Reply::query_error(403, "AccessDenied", &not_authorized(call, operation))
    }

    fn server_error(&self, _: &Call) -> Reply {
        Reply::query_error(500, "InternalError", INTERNAL_FAILURE)
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        parts([("topics", json!(lock(&self.topics).keys().collect::<Vec<_>>()))])
    }

    /// How many messages were published, by topic.
    fn journal(&self, _: &Environment) -> Parts {
        let topics = lock(&self.topics);
        let each = topics.iter().map(|(arn, messages)| (arn, messages.len()));
        parts([("messages", json!(each.collect::<BTreeMap<_, _>>()))])
    }
}
