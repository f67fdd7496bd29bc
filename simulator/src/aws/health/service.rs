//! AWS Health as a service.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Health, error};
use crate::aws::resources::{Resource, anything};
use crate::aws::service::{Answer, INTERNAL_FAILURE, Parts, RATE_EXCEEDED, Service};
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;

impl Service for Health {
    fn endpoint(&self) -> Option<&'static str> {
        Some("health")
    }

    /// There is a host beside that of its only active Region.
    fn region_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        matches!(host, "global.health.amazonaws.com" | "health.us-east-1.amazonaws.com").then_some("us-east-1")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        let path = call.path.strip_prefix("/service/AWSHealth_20160804/operation/");
        path.filter(|operation| !operation.is_empty()).map(Cow::Borrowed)
    }

    fn touched(&self, _: &Environment, _: &Call, operation: &str) -> Option<Vec<Resource>> {
        (operation == "DescribeEvents").then(anything)
    }

    fn throttled(&self, _: &Call) -> Reply {
        error(400, "ThrottlingException", RATE_EXCEEDED)
    }

    fn server_error(&self, _: &Call) -> Reply {
        error(500, "InternalFailure", INTERNAL_FAILURE)
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    /// It holds nothing that anybody can change.
    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }
}
