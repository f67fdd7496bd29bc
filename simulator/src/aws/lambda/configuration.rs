//! What functions are set to, their published versions and their aliases. Sources: Lambda API Reference, `UpdateFunctionConfiguration`,
//! `PublishVersion` and `UpdateAlias`; Lambda Developer Guide, "Lambda function states".

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;

/// One function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its reserved concurrency: 0 means that it never runs, nothing that it shares the account's pool.
    pub reserved_concurrency: Option<u32>,
    /// The concurrency that is provisioned for its versions and aliases, together. No less can be reserved.
    pub provisioned_concurrency: u32,
    /// ARN of the role that it runs with.
    pub role: String,
    /// Whether the key of its environment refuses to decrypt it, for whoever looks.
    pub is_encrypted: bool,
    /// Its published versions: the environment of each, the first one's first.
    pub versions: Vec<BTreeMap<String, String>>,
    /// Its aliases.
    pub aliases: BTreeMap<String, Alias>,
    /// The alias that customers are served through; nothing where that is `$LATEST`.
    pub served_through: Option<String>,
    /// How often it was changed.
    pub changes: u64,
    /// Until when its last change is on the way.
    pub changing_until: Option<Timestamp>,
}

/// An alias of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The version that it leads to.
    pub version: usize,
    /// Other versions that a part of the invocations goes to, as AWS has it.
    pub weights: Value,
    /// How often it was changed.
    pub changes: u64,
}

impl Function {
    /// The environment of what serves customers.
    pub fn environment_of_customers(&self) -> Option<&BTreeMap<String, String>> {
        match &self.served_through {
            None => Some(&self.environment),
            Some(alias) => self.versions.get(self.aliases.get(alias)?.version.checked_sub(1)?),
        }
    }

    pub(super) fn is_changing(&self, now: Timestamp) -> bool {
        self.changing_until.is_some_and(|until| now < until)
    }

    /// As `GetFunctionConfiguration` shows it.
    pub(super) fn shown(&self, name: &str, now: Timestamp) -> Value {
        let environment = match self.is_encrypted {
            true => {
                json!({ "Error": { "ErrorCode": "AccessDeniedException", "Message": "Lambda was unable to decrypt" } })
            }
            false => json!({ "Variables": self.environment }),
        };
        json!({
            "FunctionName": name, "Version": "$LATEST", "RevisionId": revision(self.changes), "State": "Active",
            "LastUpdateStatus": if self.is_changing(now) { "InProgress" } else { "Successful" },
            "Environment": environment, "Role": self.role,
        })
    }

    /// As `GetFunction` shows it, or the version of it that a qualifier names.
    pub(super) fn get(&self, name: &str, call: &Call, now: Timestamp) -> Reply {
        let mut shown = self.shown(name, now);
        if let Some(qualifier) = qualifier(call) {
            let number = match self.aliases.get(&qualifier) {
                Some(alias) => Some(alias.version),
                None => qualifier.parse().ok(),
            };
            let version = number.and_then(|number| Some((number, self.versions.get(number.checked_sub(1)?)?)));
            let Some((number, variables)) = version else {
                let message = format!("Function not found: {name}:{qualifier}");
                return Reply::json_error(404, "ResourceNotFoundException", &message);
            };
            shown["Version"] = json!(number.to_string());
            shown["LastUpdateStatus"] = json!("Successful");
            if !self.is_encrypted {
                shown["Environment"] = json!({ "Variables": variables });
            }
        }
        Reply::json(200, &json!({ "Configuration": shown }))
    }

    pub(super) fn update(&mut self, environment: &Environment, name: &str, body: &[u8]) -> Reply {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(unknown) = unknown(&body, &["Environment", "RevisionId"]) {
            return not_simulated(&unknown);
        }
        let now = environment.now();
        if let Some(refused) = self.refusal(&body, name, now) {
            return refused;
        }
        // The whole map is replaced: what is not named is gone.
        if let Some(variables) = body.pointer("/Environment/Variables") {
            match serde_json::from_value(variables.clone()) {
                Ok(variables) => self.environment = variables,
                Err(error) => return invalid(&error.to_string()),
            }
            self.is_encrypted = false;
        }
        self.changes += 1;
        let takes = environment.draw("function-update", &environment.timings.function_update);
        self.changing_until = now.checked_add(takes).ok();
        Reply::json(200, &self.shown(name, now))
    }

    /// A version with what `$LATEST` is now; the last one, where nothing was changed since.
    pub(super) fn publish(&mut self, environment: &Environment, name: &str, body: &[u8]) -> Reply {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(unknown) = unknown(&body, &["RevisionId"]) {
            return not_simulated(&unknown);
        }
        if let Some(refused) = self.refusal(&body, name, environment.now()) {
            return refused;
        }
        if self.versions.last() != Some(&self.environment) {
            self.versions.push(self.environment.clone());
        }
        let mut shown = self.shown(name, environment.now());
        shown["Version"] = json!(self.versions.len().to_string());
        Reply::json(201, &shown)
    }

    pub(super) fn alias(&mut self, operation: &str, name: &str, alias_name: &str, body: &[u8]) -> Reply {
        let versions = self.versions.len();
        let Some(alias) = self.aliases.get_mut(alias_name) else {
            let message = format!("Cannot find alias arn: {name}:{alias_name}");
            return Reply::json_error(404, "ResourceNotFoundException", &message);
        };
        if operation == "UpdateAlias" {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            if let Some(unknown) = unknown(&body, &["FunctionVersion", "RoutingConfig", "RevisionId"]) {
                return not_simulated(&unknown);
            }
            if !is_revision(&body, alias.changes) {
                return outdated();
            }
            if let Some(version) = body.get("FunctionVersion") {
                let number = version.as_str().and_then(|version| version.parse::<usize>().ok());
                match number {
                    Some(number) if (1..=versions).contains(&number) => alias.version = number,
                    _ => {
                        let message = format!("Function not found: {name}:{version}");
                        return Reply::json_error(404, "ResourceNotFoundException", &message);
                    }
                }
            }
            if let Some(routing) = body.get("RoutingConfig") {
                alias.weights = routing.get("AdditionalVersionWeights").cloned().unwrap_or(json!({}));
            }
            alias.changes += 1;
        }
        Reply::json(
            200,
            &json!({
                "Name": alias_name, "FunctionVersion": alias.version.to_string(), "RevisionId": revision(alias.changes),
                "RoutingConfig": { "AdditionalVersionWeights": alias.weights },
            }),
        )
    }

    /// Why AWS does not take a change now, if it does not.
    fn refusal(&self, body: &Value, name: &str, now: Timestamp) -> Option<Reply> {
        if self.is_changing(now) {
            let message = format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {name}"
            );
            return Some(Reply::json_error(409, "ResourceConflictException", &message));
        }
        (!is_revision(body, self.changes)).then(outdated)
    }
}

/// The version or alias that a call is about; nothing for `$LATEST`.
pub(super) fn qualifier(call: &Call) -> Option<String> {
    let (_, query) = call.uri.split_once('?')?;
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let (_, qualifier) = parameters.find(|(name, _)| name == "Qualifier")?;
    (qualifier != "$LATEST").then(|| qualifier.into_owned())
}

/// Whether a call names the present revision, or none.
fn is_revision(body: &Value, changes: u64) -> bool {
    let wanted = body.get("RevisionId").and_then(Value::as_str);
    wanted.is_none_or(|wanted| wanted == revision(changes))
}

fn revision(changes: u64) -> String {
    format!("5f1e0a52-0c3d-4e1b-9d57-{changes:012x}")
}

fn outdated() -> Reply {
    let message = "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the \
                   latest RevisionId";
    Reply::json_error(412, "PreconditionFailedException", message)
}

fn invalid(why: &str) -> Reply {
    Reply::json_error(400, "InvalidParameterValueException", why)
}

/// A member of a call that would not be heeded.
fn unknown(body: &Value, known: &[&str]) -> Option<String> {
    let fields = body.as_object()?;
    fields.keys().find(|name| !known.contains(&name.as_str())).cloned()
}

pub(super) fn not_simulated(what: &str) -> Reply {
    Reply::json_error(
        501,
        "NotSimulated",
        &format!("the simulated Lambda does not know {what}"),
    )
}
