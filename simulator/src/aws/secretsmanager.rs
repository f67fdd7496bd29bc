//! Secrets Manager: reading a secret. Source: Secrets Manager API Reference, `GetSecretValue`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::resources::Resource;
use super::service::{Answer, Parts, Service, not_authorized};
use super::wire::{Call, Reply, target_operation};
use crate::environment::Environment;
use crate::lock::lock;

/// Secrets, by ARN.
#[derive(Default)]
pub struct SecretsManager {
    secrets: Mutex<BTreeMap<String, String>>,
}

impl SecretsManager {
    /// Keeps a secret, in place of what it was before.
    pub fn put(&self, arn: &str, value: &str) {
        lock(&self.secrets).insert(arn.to_owned(), value.to_owned());
    }

    fn get(&self, call: &Call) -> Reply {
        let secret = named_in(call).and_then(|arn| {
            let value = lock(&self.secrets).get(&arn).cloned()?;
            Some((arn, value))
        });
        match secret {
            Some((arn, value)) => Reply::json(200, &json!({ "ARN": arn, "SecretString": value })),
            None => Reply::json_error(
                400,
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.",
            ),
        }
    }
}

fn named_in(call: &Call) -> Option<String> {
    let body: Value = serde_json::from_slice(&call.body).ok()?;
    body["SecretId"].as_str().map(str::to_owned)
}

impl Service for SecretsManager {
    fn endpoint(&self) -> Option<&'static str> {
        Some("secretsmanager")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        target_operation(&call.headers).map(Cow::Borrowed)
    }

    fn touched(&self, _: &Environment, call: &Call, _: &str) -> Option<Vec<Resource>> {
        named_in(call).map(|arn| vec![Resource::new(arn)])
    }

    fn denied(&self, call: &Call, operation: &str) -> Reply {
        Reply::json_error(400, "AccessDeniedException", &not_authorized(call, operation))
    }

    fn answer<'a>(&'a self, _: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        match operation {
            "GetSecretValue" => self.get(call).into(),
            other => {
                let message = format!("the simulated Secrets Manager has no {other}");
                Reply::json_error(501, "NotSimulated", &message).into()
            }
        }
    }

    /// It holds nothing that a recovery changes.
    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }
}
