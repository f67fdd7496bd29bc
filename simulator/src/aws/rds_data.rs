//! The RDS Data API's wire format.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::rds::Rds;
use super::wire::{Answer, Call, Reply, UNKNOWN};
use crate::cloud::Cloud;
use crate::database::{Rows, Value};

impl Rds {
    pub(crate) fn answer_data(&self, cloud: &Cloud, call: &Call) -> Answer {
        let operation = operation(call);
        let reply = if operation == UNKNOWN {
            let message = format!("the simulated Data API has no {}", call.path);
            Reply::json_error(501, "NotSimulated", &message)
        } else {
            self.execute_statement(cloud, call)
        };
        Answer {
            operation: operation.to_owned(),
            reply,
        }
    }

    fn execute_statement(&self, cloud: &Cloud, call: &Call) -> Reply {
        let body: Json = serde_json::from_slice(&call.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
        let cluster = text("resourceArn");
        let is_here = self.region_of(cluster).as_ref() == Some(&call.region);
        if is_here && self.secret_of(cluster).as_deref() != Some(text("secretArn")) {
            return Reply::json_error(
                400,
                "InvalidSecretException",
                "The Secrets Manager secret used with the request isn't valid: it is not the cluster's",
            );
        }
        if let Some(name) = unknown(&body) {
            let message = format!("the simulated Data API does not know {name}");
            return Reply::json_error(501, "NotSimulated", &message);
        }
        let parameters = match parameters(&body) {
            Ok(parameters) => parameters,
            Err(why) => return Reply::json_error(400, "BadRequestException", &why),
        };
        match self.execute(cloud, &call.region, cluster, text("sql"), &parameters) {
            Ok(rows) => Reply::json(200, &answer(&rows)),
            Err(refusal) => Reply::json_error(refusal.status, refusal.code, &refusal.message),
        }
    }
}

/// The operation that a call asks for.
pub(super) fn operation(call: &Call) -> &'static str {
    match call.path.as_str() {
        "/Execute" => "ExecuteStatement",
        _ => UNKNOWN,
    }
}

/// Whether a call's statement changes nothing.
pub(super) fn only_reads(call: &Call) -> bool {
    let body: Json = serde_json::from_slice(&call.body).unwrap_or_default();
    let sql = body.get("sql").and_then(Json::as_str).unwrap_or_default();
    let verb = sql.split_whitespace().next().unwrap_or_default();
    verb.eq_ignore_ascii_case("SELECT")
}

/// A member of the call that the simulator would not heed. A cluster has one database here, so its name says nothing.
fn unknown(body: &Json) -> Option<&str> {
    let known = ["resourceArn", "secretArn", "sql", "parameters", "database"];
    let mut names = body.as_object()?.keys();
    names.find(|name| !known.contains(&name.as_str())).map(String::as_str)
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
