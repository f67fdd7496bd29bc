//! DynamoDB: `winterbaume` carries wire format, expressions and state.

mod service;
mod without_snapshots;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use winterbaume_core::{MockRequest, MockResponse, MockService};
use winterbaume_dynamodb::DynamoDbService;

use self::without_snapshots::WithoutSnapshots;
use crate::aws::wire::{Call, Reply};
use crate::lock::lock;

/// Where an item is: its Region, its table, and the two attributes of its key.
type ItemPlace = (String, String, [String; 2]);

/// DynamoDB tables.
pub struct DynamoDb {
    service: DynamoDbService,
    /// The items of texts that were put and that nobody could have seen yet.
    behind: Mutex<BTreeMap<ItemPlace, [(&'static str, String); 3]>>,
    /// How many changes were done, by Region.
    changes: Mutex<BTreeMap<String, u64>>,
}

impl Default for DynamoDb {
    fn default() -> Self {
        Self {
            service: DynamoDbService::with_backend(Arc::new(WithoutSnapshots::default())),
            behind: Mutex::default(),
            changes: Mutex::default(),
        }
    }
}

impl DynamoDb {
    /// Puts an item of texts, the first two of which are its key `pk` and `sk`. It is written when a call in the Region
    /// could see it: what is put every few seconds, and seldom read, costs next to nothing.
    pub(crate) fn put_behind(&self, region: &str, table: &str, item: [(&'static str, String); 3]) {
        let key = [item[0].1.clone(), item[1].1.clone()];
        lock(&self.behind).insert((region.to_owned(), table.to_owned(), key), item);
    }

    async fn catch_up(&self, region: &str) {
        let due: Vec<_> = {
            let mut behind = lock(&self.behind);
            behind.extract_if(.., |(there, _, _), _| there == region).collect()
        };
        for ((_, table, _), item) in due {
            let attributes = item.map(|(name, text)| (name.to_owned(), json!({ "S": text })));
            let body = json!({ "TableName": table, "Item": Value::Object(attributes.into_iter().collect()) });
            // A table that is not there keeps nothing, as on AWS.
            self.call(region, "PutItem", &body).await;
        }
    }

    async fn reply_to(&self, call: &Call) -> Reply {
        self.catch_up(&call.region).await;
        let request = MockRequest {
            method: call.method.clone(),
            uri: call.uri.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
        };
        let MockResponse { status, body, .. } = self.service.handle(request).await;
        Reply::new(status, "application/x-amz-json-1.0", body.to_vec())
    }

    /// Makes a table with the keys `pk` and `sk` in `region`. Errors: a text, if it exists or the name is refused.
    pub async fn create_table(&self, region: &str, name: &str) -> Result<(), String> {
        let body = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "pk", "AttributeType": "S" },
                { "AttributeName": "sk", "AttributeType": "S" },
            ],
            "KeySchema": [
                { "AttributeName": "pk", "KeyType": "HASH" },
                { "AttributeName": "sk", "KeyType": "RANGE" },
            ],
        });
        let response = self.call(region, "CreateTable", &body).await;
        match response.status {
            200 => Ok(()),
            status => Err(format!(
                "table {name} in {region}: {status} {}",
                String::from_utf8_lossy(&response.body)
            )),
        }
    }

    /// All items of a table, in no order, as they come over the wire.
    pub async fn items(&self, region: &str, table: &str) -> Vec<Value> {
        self.catch_up(region).await;
        let mut request = json!({ "TableName": table });
        let mut items = Vec::new();
        loop {
            let page = self.call(region, "Scan", &request).await;
            let mut page: Value = serde_json::from_slice(&page.body).unwrap_or_default();
            if let Value::Array(found) = page["Items"].take() {
                items.extend(found);
            }
            match page["LastEvaluatedKey"].take() {
                Value::Null => return items,
                last => request["ExclusiveStartKey"] = last,
            }
        }
    }

    async fn call(&self, region: &str, operation: &str, body: &Value) -> MockResponse {
        let mut headers = http::HeaderMap::new();
        if let Ok(target) = http::HeaderValue::try_from(format!("DynamoDB_20120810.{operation}")) {
            headers.insert("x-amz-target", target);
        }
        let uri = format!("https://dynamodb.{region}.amazonaws.com/");
        let request = MockRequest {
            method: "POST".to_owned(),
            uri,
            headers,
            body: body.to_string().into(),
        };
        self.service.handle(request).await
    }
}
