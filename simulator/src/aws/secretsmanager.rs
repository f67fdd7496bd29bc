//! Secrets Manager: reading a secret. Source: Secrets Manager API Reference, `GetSecretValue`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::resources::Resource;
use super::service::{Answer, Parts, Service, not_authorized};
use super::wire::{Call, Reply, target_operation};
use crate::environment::Environment;
use crate::lock::lock;

/// Secrets, by ARN.
#[derive(Default)]
pub struct SecretsManager {
    secrets: Mutex<BTreeMap<String, Current>>,
}

/// The current version of a secret.
#[derive(Clone)]
struct Current {
    value: String,
    created_at: Timestamp,
    number: u32,
    login: Option<Login>,
}

/// A user with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Login {
    /// The secret of this user, as Secrets Manager keeps it.
    pub fn secret(&self) -> String {
        json!({ "username": self.user, "password": self.password }).to_string()
    }
}

/// A secret of a database's user. Source: Secrets Manager User Guide, "JSON structure of secrets".
#[derive(Deserialize)]
struct OfDatabase {
    username: String,
    password: String,
}

impl SecretsManager {
    /// Keeps a secret, in place of what it was before.
    pub fn put(&self, environment: &Environment, arn: &str, value: &str) {
        let of_database: Option<OfDatabase> = serde_json::from_str(value).ok();
        let mut secrets = lock(&self.secrets);
        let number = secrets.get(arn).map_or(1, |before| before.number + 1);
        let current = Current {
            value: value.to_owned(),
            created_at: environment.now(),
            number,
            login: of_database.map(|OfDatabase { username, password }| Login {
                user: username,
                password,
            }),
        };
        secrets.insert(arn.to_owned(), current);
    }

    /// Who signs in with a secret. Errors: the Data API's code for one that is missing, or is none of a database.
    pub fn login(&self, arn: &str) -> Result<Login, &'static str> {
        let secrets = lock(&self.secrets);
        let secret = secrets.get(arn).ok_or("SecretsErrorException")?;
        secret.login.clone().ok_or("InvalidSecretException")
    }

    fn get(&self, call: &Call) -> Reply {
        let body = body_of(call);
        if body.get("VersionId").or(body.get("VersionStage")).is_some() {
            let message = "the simulated Secrets Manager has current versions alone";
            return Reply::json_error(501, "NotSimulated", message);
        }
        let secret = named_in(&body).and_then(|arn| {
            let current = lock(&self.secrets).get(arn).cloned()?;
            Some((arn, current))
        });
        match secret {
            Some((arn, current)) => {
                let shown = json!({
                    "ARN": arn,
                    "SecretString": current.value,
                    "CreatedDate": current.created_at.as_millisecond() as f64 / 1000.0,
                    "VersionId": format!("{:032}", current.number),
                    "VersionStages": ["AWSCURRENT"],
                });
                Reply::json(200, &shown)
            }
            None => Reply::json_error(
                400,
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.",
            ),
        }
    }
}

fn body_of(call: &Call) -> Value {
    serde_json::from_slice(&call.body).unwrap_or_default()
}

fn named_in(body: &Value) -> Option<&str> {
    body["SecretId"].as_str()
}

impl Service for SecretsManager {
    fn endpoint(&self) -> Option<&'static str> {
        Some("secretsmanager")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        target_operation(&call.headers).map(Cow::Borrowed)
    }

    fn touched(&self, _: &Environment, call: &Call, _: &str) -> Option<Vec<Resource>> {
        named_in(&body_of(call)).map(|arn| vec![Resource::new(arn)])
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
