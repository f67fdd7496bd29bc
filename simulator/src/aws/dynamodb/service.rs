//! DynamoDB as a service.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shared::arn::Arn;

use super::DynamoDb;
use crate::aws::resources::Resource;
use crate::aws::service::{Answer, Parts, Service, not_authorized, parts};
use crate::aws::wire::{Call, Reply, target_operation};
use crate::environment::Environment;
use crate::lock::lock;

/// What DynamoDB says to a table on demand that is asked more than it takes for now. Source: DynamoDB Developer Guide,
/// "Troubleshooting throttling".
const THROUGHPUT_EXCEEDED: &str = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically \
     scaling your table or index so please try again shortly.";

impl Service for DynamoDb {
    fn endpoint(&self) -> Option<&'static str> {
        Some("dynamodb")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        target_operation(&call.headers).map(Cow::Borrowed)
    }

    fn touched(&self, environment: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        let tables: OfTables = serde_json::from_slice(&call.body).ok()?;
        let arn = |name: &str| match Arn::read(name).is_some() {
            true => name.to_owned(),
            false => format!("arn:aws:dynamodb:{}:{}:table/{name}", call.region, environment.account),
        };
        match operation {
            "TransactGetItems" | "TransactWriteItems" => {
                let items = tables.transact_items.into_iter().flatten();
                let each = items.map(|(what, table)| {
                    let key = table.key.or(table.item).unwrap_or_default();
                    Some(Resource {
                        part: Some(part_of_transaction(&what)?),
                        conditions: leading_keys(key.pk()),
                        item: match what.as_str() {
                            "ConditionCheck" | "Get" => None,
                            _ => key.kind(),
                        },
                        ..Resource::new(arn(&table.table_name))
                    })
                });
                each.collect()
            }
            "BatchGetItem" | "BatchWriteItem" => {
                let names = tables.request_items.keys();
                Some(names.map(|name| Resource::new(arn(name))).collect())
            }
            _ => {
                let mut touched = arn(&tables.table_name?);
                if let Some(index) = tables.index_name {
                    touched += &format!("/index/{index}");
                }
                let queried = tables.key_condition_expression.as_deref().and_then(|condition| {
                    partition_in(
                        condition,
                        &tables.expression_attribute_names,
                        &tables.expression_attribute_values,
                    )
                });
                let key = tables.key.or(tables.item).unwrap_or_default();
                Some(vec![Resource {
                    conditions: leading_keys(key.pk().or(queried)),
                    item: match self.can_change(call, operation) {
                        true => key.kind(),
                        false => None,
                    },
                    ..Resource::new(touched)
                }])
            }
        }
    }

    fn throttled(&self, _: &Call) -> Reply {
        error(400, "ThrottlingException", THROUGHPUT_EXCEEDED)
    }

    fn denied(&self, call: &Call, operation: &str) -> Reply {
        error(400, "AccessDeniedException", &not_authorized(call, operation))
    }

    fn server_error(&self, _: &Call) -> Reply {
        error(500, "InternalServerError", "Internal server error")
    }

    fn answer<'a>(&'a self, _: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        Answer::Later(Box::pin(async move {
            let reply = self.reply_to(call).await;
            if reply.status == 200 && self.can_change(call, operation) {
                let mut changes = lock(&self.changes);
                match changes.get_mut(&call.region) {
                    Some(done) => *done += 1,
                    None => drop(changes.insert(call.region.clone(), 1)),
                }
            }
            reply
        }))
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::new()
    }

    /// How many changes of items were done, by Region.
    fn journal(&self, _: &Environment) -> Parts {
        parts([("items_changed", json!(*lock(&self.changes)))])
    }
}

/// As much of a call of DynamoDB as names tables and items.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct OfTables {
    table_name: Option<String>,
    index_name: Option<String>,
    key: Option<ItemKey>,
    item: Option<ItemKey>,
    key_condition_expression: Option<String>,
    expression_attribute_names: BTreeMap<String, String>,
    expression_attribute_values: BTreeMap<String, Value>,
    transact_items: Vec<BTreeMap<String, OfTable>>,
    request_items: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfTable {
    table_name: String,
    key: Option<ItemKey>,
    item: Option<ItemKey>,
}

/// The attributes `pk` and `sk` of an item.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemKey {
    pk: Value,
    sk: Value,
}

impl ItemKey {
    /// The partition key.
    fn pk(&self) -> Option<String> {
        self.pk["S"].as_str().map(str::to_owned)
    }

    /// The kind of item.
    fn kind(&self) -> Option<String> {
        let sort_key = self.sk["S"].as_str()?;
        sort_key.split('#').next().map(str::to_owned)
    }
}

/// The partition key that a query asks for: what `pk` is to be equal to.
fn partition_in(condition: &str, names: &BTreeMap<String, String>, values: &BTreeMap<String, Value>) -> Option<String> {
    let clause = |clause: &str| {
        let (name, value) = clause.split_once('=')?;
        let name = name.trim();
        let is_partition = names.get(name).map_or(name, String::as_str) == "pk";
        is_partition.then(|| values.get(value.trim())?["S"].as_str().map(str::to_owned))?
    };
    condition.split(" AND ").find_map(clause)
}

/// Source: DynamoDB Developer Guide, "Using IAM policy conditions for fine-grained access control".
fn leading_keys(partition: Option<String>) -> BTreeMap<&'static str, BTreeSet<String>> {
    let key = partition.map(|partition| ("dynamodb:LeadingKeys", BTreeSet::from([partition])));
    key.into_iter().collect()
}

/// The operation whose permission governs an item of a transaction. Source: DynamoDB Developer Guide, "Using IAM with
/// DynamoDB transactions".
fn part_of_transaction(what: &str) -> Option<&'static str> {
    match what {
        "ConditionCheck" => Some("ConditionCheckItem"),
        "Delete" => Some("DeleteItem"),
        "Get" => Some("GetItem"),
        "Put" => Some("PutItem"),
        "Update" => Some("UpdateItem"),
        _ => None,
    }
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json_error(status, &format!("com.amazonaws.dynamodb.v20120810#{code}"), message)
}
