//! The record: the durable account of recoveries, in one DynamoDB table in each Region.
//!
//! | partition key | sort key | item |
//! |---|---|---|
//! | `workload#<name>` | `lock` | who holds the lock, and the fencing token |
//! | `workload#<name>` | `untold#<execution>` | an end, until people were told of it |
//! | `workload#<name>` | `recovery#<id>` | that there is such a recovery |
//! | `workload#<name>` | `automation` | whether alarms start recoveries by themselves, and who said so |
//! | `workload#<name>` | `automation#<time>` | each time that somebody said so |
//! | `workload#<name>` | `start#<id>` | what was decided on an alarm's event |
//! | `workload#<name>` | `fenced#<resource>` | what a resource of this Region was before another Region fenced it |
//! | `workload#<name>` | `witness#<Region>` | the last heartbeat that the platform saw committed in that Region |
//! | `plan` | `current` | the SHA-256 of the plan in force |
//! | `plan` | `sha256#<hash>` | a plan, as JSON |
//! | `recovery#<id>` | `header` | the recovery: what, when, how it ended, what was measured |
//! | `recovery#<id>` | `decision` | what was decided to do, and when |
//! | `recovery#<id>` | `question#<question>` | what people were asked |
//! | `recovery#<id>` | `approval#<question>#<who>` | what one person answered |
//! | `recovery#<id>` | `verdict#<question>` | what the question came to |
//! | `recovery#<id>` | `step#<execution>#<state>` | one state's visits: first start, last end, attempts, outcome, waiting |
//! | `recovery#<id>` | `observed#<execution>` | the times that an execution's steps observed |
//! | `recovery#<id>` | `told#<execution>#<what>` | an announcement that was sent |
//! | `recovery#<id>` | `undo#<step>#<resource>` | what takes a change back |

mod automation;
mod header;
mod lock;
mod observed;
mod plan;
mod questions;
mod resource;
mod timeline;
mod undo;
mod untold;
mod warning;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use automation::{StartDecision, Started, Switch};
pub use header::{Closing, Header, Regions};
pub use lock::{Claim, Claimed, Lock};
pub use observed::Sighting;
pub use resource::{Missing, Resource, ResourceKind};
pub use timeline::{Announced, StepEnd, StepRun, TimelineStep};
pub use undo::{Fenced, Undo};
pub use untold::{Released, Untold};
pub use warning::{Warning, WarningCode};

use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};

/// The table of records, in one Region.
#[derive(Clone, Debug)]
pub struct Record {
    client: Client,
    table: String,
    region: String,
}

impl Record {
    /// The table in the function's own Region.
    pub fn new(aws: &Aws) -> Self {
        Self::in_region(aws, aws.region())
    }

    /// The table in `region`. Calls to another Region than the function's own are bounded to 2 s.
    pub fn in_region(aws: &Aws, region: &str) -> Self {
        Self {
            client: Client::new(&aws.config_in(region)),
            table: aws.table().to_owned(),
            region: region.to_owned(),
        }
    }

    /// The last heartbeat that the platform saw committed while `region` served.
    pub async fn last_committed_heartbeat(&self, workload: &str, region: &str) -> Result<Option<Timestamp>, StepError> {
        let at = self
            .text_of(&workload_key(workload), &format!("witness#{region}"), "committed_at")
            .await?;
        Ok(at.and_then(|at| at.parse().ok()))
    }

    /// Keeps that the platform saw a heartbeat committed in `region`. The platform calls this, or does the same, against
    /// the table of the other Region.
    pub async fn note_committed_heartbeat(&self, workload: &str, region: &str, at: Timestamp) -> Result<(), StepError> {
        let [(_, partition), (_, sort), (name, value)] = committed_heartbeat(workload, region, at);
        self.put_text(&partition, &sort, name, &value).await
    }

    async fn items<T: DeserializeOwned>(&self, partition: &str, prefix: &str) -> Result<Vec<T>, StepError> {
        let mut items = Vec::new();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#partition = :partition AND begins_with(#sort, :prefix)")
            .expression_attribute_names("#partition", "pk")
            .expression_attribute_names("#sort", "sk")
            .expression_attribute_values(":partition", text(partition))
            .expression_attribute_values(":prefix", text(prefix))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| self.failed("dynamodb:Query", partition, error))?;
            items.push(serde_dynamo::from_item(item).map_err(|error| internal(&error))?);
        }
        Ok(items)
    }

    async fn get(&self, partition: &str, sort: &str) -> Result<Option<Item>, StepError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(partition, sort)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:GetItem", sort, error))?;
        Ok(output.item)
    }

    async fn put_text(&self, partition: &str, sort: &str, name: &str, value: &str) -> Result<(), StepError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(key(partition, sort)))
            .item(name, text(value))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:PutItem", sort, error))?;
        Ok(())
    }

    /// An item as data.
    async fn item<T: DeserializeOwned>(&self, partition: &str, sort: &str) -> Result<Option<T>, StepError> {
        let item = self.get(partition, sort).await?;
        let read = item.map(serde_dynamo::from_item).transpose();
        read.map_err(|error| internal(&error))
    }

    /// Keeps data as an item, in place of what was there.
    async fn put(&self, partition: &str, sort: &str, data: &impl Serialize) -> Result<(), StepError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(partition, sort, data)?))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:PutItem", sort, error))?;
        Ok(())
    }

    /// Keeps data as an item unless there is one; says whether there was none.
    async fn put_new(&self, partition: &str, sort: &str, data: &impl Serialize) -> Result<bool, StepError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(partition, sort, data)?))
            .condition_expression("attribute_not_exists(#partition)")
            .expression_attribute_names("#partition", "pk")
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.failed("dynamodb:PutItem", sort, error)),
        }
    }

    async fn text_of(&self, partition: &str, sort: &str, name: &str) -> Result<Option<String>, StepError> {
        Ok(self.get(partition, sort).await?.and_then(|item| text_in(&item, name)))
    }

    fn failed<E>(&self, operation: &str, what: &str, error: SdkError<E, HttpResponse>) -> StepError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        StepError::aws(
            operation,
            &format!("{what} in table {} in {}", self.table, self.region),
            error,
        )
    }
}

/// The item by which the platform leaves word of its last committed heartbeat: attributes, all of them texts.
pub fn committed_heartbeat(workload: &str, region: &str, at: Timestamp) -> [(&'static str, String); 3] {
    [
        ("pk", workload_key(workload)),
        ("sk", format!("witness#{region}")),
        ("committed_at", at.to_string()),
    ]
}

type Item = std::collections::HashMap<String, AttributeValue>;

fn key(partition: &str, sort: &str) -> Item {
    Item::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
}

fn item_of(partition: &str, sort: &str, data: &impl Serialize) -> Result<Item, StepError> {
    let mut item: Item = serde_dynamo::to_item(data).map_err(|error| internal(&error))?;
    item.extend(key(partition, sort));
    Ok(item)
}

fn workload_key(workload: &str) -> String {
    format!("workload#{workload}")
}

fn recovery_key(id: &str) -> String {
    format!("recovery#{id}")
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text_in(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn number_in(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn internal(error: &dyn std::error::Error) -> StepError {
    StepError::new(
        ErrorKind::Internal,
        format!("the record could not be read or written as data: {error}"),
    )
}
