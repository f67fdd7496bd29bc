//! DynamoDB as a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
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
                    Some(Resource {
                        part: Some(part_of_transaction(&what)?),
                        item: match what.as_str() {
                            "ConditionCheck" | "Get" => None,
                            _ => kind_of(table.key, table.item),
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
                Some(vec![Resource {
                    item: match self.can_change(call, operation) {
                        true => kind_of(tables.key, tables.item),
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
    key: Option<SortKey>,
    item: Option<SortKey>,
    transact_items: Vec<BTreeMap<String, OfTable>>,
    request_items: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfTable {
    table_name: String,
    key: Option<SortKey>,
    item: Option<SortKey>,
}

/// The attribute `sk` of an item.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SortKey {
    sk: BTreeMap<String, String>,
}

/// The kind of an item of which a call gives the key or the whole.
fn kind_of(key: Option<SortKey>, item: Option<SortKey>) -> Option<String> {
    let sort_key = key.or(item)?.sk.remove("S")?;
    let end = sort_key.find('#').unwrap_or(sort_key.len());
    Some(sort_key[..end].to_owned())
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
