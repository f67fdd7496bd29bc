//! The RDS Data API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::clusters::{Access, Statement};
use super::state::Rds;
use crate::aws::resources::Resource;
use crate::aws::secretsmanager::SecretsManager;
use crate::aws::service::{self, Parts, Service};
use crate::aws::wire::{Call, Reply, UNKNOWN};
use crate::database::{Rows, Value, moves_a_sequence};
use crate::environment::Environment;
use crate::faults::CallEffect;
use crate::lock::lock;

/// The Data API of the clusters of [`Rds`].
pub struct DataApi {
    rds: Arc<Rds>,
    secrets: Arc<SecretsManager>,
    /// Transactions that were begun and not ended. Those that only read are simulated: nothing has to be taken back.
    transactions: Mutex<BTreeMap<String, Transaction>>,
}

struct Transaction {
    cluster: String,
    is_read_only: bool,
}

impl DataApi {
    /// That of these clusters.
    pub(crate) fn new(rds: &Arc<Rds>, secrets: &Arc<SecretsManager>) -> Self {
        Self {
            rds: Arc::clone(rds),
            secrets: Arc::clone(secrets),
            transactions: Mutex::default(),
        }
    }

    /// Begins a transaction, where a statement could be run.
    fn begin(&self, environment: &Environment, call: &Call) -> Reply {
        let body = body_of(call);
        let begun = self.run(environment, call, &body, NOTHING, Access::ReadOnly);
        if begun.status != 200 {
            return begun;
        }
        let id = format!("transaction-{}", environment.chance("transaction", |rng| rng.u64(..)));
        let transaction = Transaction {
            cluster: text_in(&body, "resourceArn").to_owned(),
            is_read_only: false,
        };
        lock(&self.transactions).insert(id.clone(), transaction);
        Reply::json(200, &json!({ "transactionId": id }))
    }

    fn roll_back(&self, call: &Call) -> Reply {
        let body = body_of(call);
        let id = text_in(&body, "transactionId");
        match lock(&self.transactions).remove(id) {
            Some(_) => Reply::json(200, &json!({ "transactionStatus": "Rollback Complete" })),
            None => no_transaction(id),
        }
    }

    fn execute_statement(&self, environment: &Environment, call: &Call) -> Reply {
        let body = body_of(call);
        let (sql, id) = (text_in(&body, "sql"), text_in(&body, "transactionId"));
        if id.is_empty() {
            return self.run(environment, call, &body, sql, Access::Write);
        }
        let mut transactions = lock(&self.transactions);
        let begun = transactions.get_mut(id);
        match begun.filter(|transaction| transaction.cluster == text_in(&body, "resourceArn")) {
            None => no_transaction(id),
            Some(transaction) if sql == READ_ONLY => {
                transaction.is_read_only = true;
                self.run(environment, call, &body, NOTHING, Access::ReadOnly)
            }
            Some(transaction) if transaction.is_read_only => self.run(environment, call, &body, sql, Access::ReadOnly),
            Some(_) => {
                let message = "the simulated Data API has no transactions but those that are read only";
                Reply::json_error(501, "NotSimulated", message)
            }
        }
    }

    /// Runs a statement on the cluster that a call names, with the call's parameters.
    fn run(&self, environment: &Environment, call: &Call, body: &Json, sql: &str, access: Access) -> Reply {
        let cluster = text_in(body, "resourceArn");
        if let Some(name) = unknown(body) {
            let message = format!("the simulated Data API does not know {name}");
            return Reply::json_error(501, "NotSimulated", &message);
        }
        let parameters = match parameters(body) {
            Ok(parameters) => parameters,
            Err(why) => return Reply::json_error(400, "BadRequestException", &why),
        };
        let login = match self.secrets.login(text_in(body, "secretArn")) {
            Ok(login) => login,
            Err(code) => {
                let message = "There was a problem with the Secrets Manager secret used with the request";
                return Reply::json_error(400, code, message);
            }
        };
        let statement = Statement {
            sql,
            parameters: &parameters,
            access,
        };
        let found = self
            .rds
            .execute_as(environment, &call.region, cluster, &login, &statement);
        match found {
            Ok(rows) => Reply::json(200, &answer(&rows)),
            Err(refusal) => Reply::json_error(refusal.status, refusal.code, &refusal.message),
        }
    }
}

impl Service for DataApi {
    fn endpoint(&self) -> Option<&'static str> {
        Some("rds-data")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        let operation = match call.path.as_str() {
            "/BeginTransaction" => "BeginTransaction",
            "/Execute" => "ExecuteStatement",
            "/RollbackTransaction" => "RollbackTransaction",
            _ => return None,
        };
        Some(Cow::Borrowed(operation))
    }

    fn can_change(&self, call: &Call, operation: &str) -> bool {
        operation == "ExecuteStatement" && !reads(call)
    }

    /// The cluster, and the secret, which the Data API reads with the caller's permissions.
    fn touched(&self, _: &Environment, call: &Call, _: &str) -> Option<Vec<Resource>> {
        let OfCluster {
            resource_arn,
            secret_arn,
        } = serde_json::from_slice(&call.body).ok()?;
        Some(vec![Resource::new(resource_arn), Resource::new(secret_arn)])
    }

    fn failure(&self, environment: &Environment, region: &str) -> Option<CallEffect> {
        self.rds.failure(environment, region)
    }

    fn server_error(&self, _: &Call) -> Reply {
        Reply::json_error(500, "InternalServerErrorException", "An internal error occurred.")
    }

    fn answer<'a>(
        &'a self,
        environment: &'a Arc<Environment>,
        call: &'a Call,
        operation: &'a str,
    ) -> service::Answer<'a> {
        if operation == UNKNOWN {
            let message = format!("the simulated Data API has no {}", call.path);
            return Reply::json_error(501, "NotSimulated", &message).into();
        }
        match operation {
            "BeginTransaction" => self.begin(environment, call).into(),
            "RollbackTransaction" => self.roll_back(call).into(),
            _ => self.execute_statement(environment, call).into(),
        }
    }

    /// What there is to see is in that of RDS.
    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }
}

/// As much of a call as names resources.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfCluster {
    resource_arn: String,
    secret_arn: String,
}

fn body_of(call: &Call) -> Json {
    serde_json::from_slice(&call.body).unwrap_or_default()
}

fn text_in<'a>(body: &'a Json, name: &str) -> &'a str {
    body.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// A statement that asks nothing but whether one could be run.
const NOTHING: &str = "SELECT 1";
/// What makes a transaction read only.
const READ_ONLY: &str = "SET TRANSACTION READ ONLY";

/// Whether a call's statement changes nothing.
fn reads(call: &Call) -> bool {
    let body = body_of(call);
    let sql = text_in(&body, "sql");
    let verb = sql.split_whitespace().next().unwrap_or_default();
    sql == READ_ONLY || (verb.eq_ignore_ascii_case("SELECT") && !moves_a_sequence(sql))
}

/// A member of the call that the simulator would not heed. A cluster has one database here, so its name says nothing.
fn unknown(body: &Json) -> Option<&str> {
    let known = [
        "resourceArn",
        "secretArn",
        "sql",
        "parameters",
        "database",
        "transactionId",
    ];
    let mut names = body.as_object()?.keys();
    names.find(|name| !known.contains(&name.as_str())).map(String::as_str)
}

fn no_transaction(id: &str) -> Reply {
    Reply::json_error(
        404,
        "TransactionNotFoundException",
        &format!("Transaction {id} is not found"),
    )
}

fn parameters(body: &Json) -> Result<BTreeMap<String, Value>, String> {
    let list = body
        .get("parameters")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter()
        .map(|parameter| {
            let name = parameter
                .get("name")
                .and_then(Json::as_str)
                .ok_or("a parameter has no name")?;
            if parameter.get("typeHint").is_some() {
                return Err(format!("the type hint of parameter {name} is not simulated"));
            }
            let value = parameter
                .get("value")
                .ok_or_else(|| format!("parameter {name} has no value"))?;
            Ok((
                name.to_owned(),
                field(value).ok_or_else(|| format!("the type of parameter {name} is not simulated"))?,
            ))
        })
        .collect()
}

fn field(value: &Json) -> Option<Value> {
    let (kind, value) = value.as_object()?.iter().next()?;
    match kind.as_str() {
        "stringValue" => Some(Value::Text(value.as_str()?.to_owned())),
        "longValue" => Some(Value::Integer(value.as_i64()?)),
        "doubleValue" => Some(Value::Real(value.as_f64()?)),
        "isNull" => Some(Value::Null),
        _ => None,
    }
}

fn answer(rows: &Rows) -> Json {
    let records: Vec<Vec<Json>> = rows
        .rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|value| match value {
                    Value::Null => json!({ "isNull": true }),
                    Value::Integer(number) => json!({ "longValue": number }),
                    Value::Real(number) => json!({ "doubleValue": number }),
                    Value::Text(text) => json!({ "stringValue": text }),
                })
                .collect()
        })
        .collect();
    json!({ "records": records, "numberOfRecordsUpdated": rows.changed })
}
