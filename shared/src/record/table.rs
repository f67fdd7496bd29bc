//! The table, what is read from it and kept in it, and the form of its keys.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::partition::Partition;
use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};

/// The table of records, in one Region.
#[derive(Clone, Debug)]
pub struct Record {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) region: String,
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

    pub(super) async fn items<T: DeserializeOwned>(&self, partition: &str, prefix: &str) -> Result<Vec<T>, StepError> {
        self.items_where(partition, "begins_with(#sort, :sort)", prefix, usize::MAX)
            .await
    }

    /// The first items whose sort keys do not come before `from`, in the order of these.
    pub(super) async fn items_from<T: DeserializeOwned>(
        &self,
        partition: &str,
        from: &str,
        at_most: usize,
    ) -> Result<Vec<T>, StepError> {
        self.items_where(partition, "#sort >= :sort", from, at_most).await
    }

    async fn items_where<T: DeserializeOwned>(
        &self,
        partition: &str,
        condition: &str,
        sort: &str,
        at_most: usize,
    ) -> Result<Vec<T>, StepError> {
        let mut items = Vec::new();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(format!("#partition = :partition AND {condition}"))
            .expression_attribute_names("#partition", "pk")
            .expression_attribute_names("#sort", "sk")
            .expression_attribute_values(":partition", text(partition))
            .expression_attribute_values(":sort", text(sort))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        while let Some(item) = pages.next().await {
            if items.len() == at_most {
                break;
            }
            let item = item.map_err(|error| self.failed("dynamodb:Query", partition, error))?;
            items.push(serde_dynamo::from_item(item).map_err(|error| internal(&error))?);
        }
        Ok(items)
    }

    pub(super) async fn get(&self, partition: &str, sort: &str) -> Result<Option<Item>, StepError> {
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

    pub(super) async fn put_text(&self, partition: &str, sort: &str, name: &str, value: &str) -> Result<(), StepError> {
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
    pub(super) async fn item<T: DeserializeOwned>(&self, partition: &str, sort: &str) -> Result<Option<T>, StepError> {
        let item = self.get(partition, sort).await?;
        let read = item.map(serde_dynamo::from_item).transpose();
        read.map_err(|error| internal(&error))
    }

    /// Keeps data as an item, in place of what was there.
    pub(super) async fn put(&self, partition: &str, sort: &str, data: &impl Serialize) -> Result<(), StepError> {
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
    pub(super) async fn put_new(&self, partition: &str, sort: &str, data: &impl Serialize) -> Result<bool, StepError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(partition, sort, data)?))
            .condition_expression("attribute_not_exists(#partition)")
            .expression_attribute_names("#partition", "pk");
        self.put_where(put, sort).await
    }

    /// Makes a put that has a condition; says whether that held.
    pub(super) async fn put_where(&self, put: PutItemFluentBuilder, sort: &str) -> Result<bool, StepError> {
        match put.send().await {
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

    pub(super) async fn text_of(&self, partition: &str, sort: &str, name: &str) -> Result<Option<String>, StepError> {
        Ok(self.get(partition, sort).await?.and_then(|item| text_in(&item, name)))
    }

    pub(super) fn failed<E>(&self, operation: &str, what: &str, error: SdkError<E, HttpResponse>) -> StepError
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

pub(super) type Item = std::collections::HashMap<String, AttributeValue>;

pub(super) fn key(partition: &str, sort: &str) -> Item {
    Item::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
}

pub(super) fn item_of(partition: &str, sort: &str, data: &impl Serialize) -> Result<Item, StepError> {
    let mut item: Item = serde_dynamo::to_item(data).map_err(|error| internal(&error))?;
    item.extend(key(partition, sort));
    Ok(item)
}

pub(super) fn workload_key(workload: &str) -> String {
    Partition::Workload.key(workload)
}

pub(super) fn recovery_key(id: &str) -> String {
    format!("recovery#{id}")
}

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn text_in(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

pub(super) fn number_in(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn internal(error: &dyn std::error::Error) -> StepError {
    StepError::new(
        ErrorKind::Internal,
        format!("the record could not be read or written as data: {error}"),
    )
}
