//! DynamoDB: `winterbaume` carries wire format, expressions and state.

use serde_json::{Value, json};
use winterbaume_core::{MockRequest, MockResponse, MockService};
use winterbaume_dynamodb::DynamoDbService;

use super::wire::{Answer, Call, Reply, target_operation};

/// DynamoDB tables.
pub struct DynamoDb {
    service: DynamoDbService,
}

impl Default for DynamoDb {
    fn default() -> Self {
        Self {
            service: DynamoDbService::new(),
        }
    }
}

impl DynamoDb {
    pub(crate) async fn answer(&self, call: &Call) -> Answer {
        let request = MockRequest {
            method: call.method.clone(),
            uri: call.uri.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
        };
        let MockResponse { status, body, .. } = self.service.handle(request).await;
        let reply = Reply::new(status, "application/x-amz-json-1.0", body.to_vec());
        Answer {
            operation: target_operation(&call.headers),
            reply,
        }
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
