//! Ends that people are still to be told of.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::{Lock, release};
use super::table::{Record, internal, item_of, key, workload_key};
use super::undo::passing;
use crate::error::StepError;
use crate::recovery::{Mode, RecoveryRef};

/// An end of a recovery that people are still to be told of. It is kept from before the lock is released until people were
/// told, so that whoever dies in between leaves word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// The recovery that held the lock, with the execution that ended.
    pub recovery: RecoveryRef,
    /// Its mode.
    pub mode: Mode,
    /// Who released the lock.
    pub released: Released,
    /// When that was done.
    pub at: Timestamp,
}

/// Who released a recovery's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Released {
    /// The recovery, when it was closed. Its execution tells people next, unless it ends before.
    Closing,
    /// Somebody else: the lock outlived its execution.
    Another {
        /// How the execution ended, as Step Functions has it; nothing where it has forgotten it.
        status: Option<String>,
    },
}

impl Untold {
    /// Of a workload's lock that outlived its execution, which ended with this status.
    pub fn outlived(workload: &str, lock: &Lock, status: Option<String>, at: Timestamp) -> Self {
        Self {
            recovery: RecoveryRef {
                id: lock.recovery.clone(),
                workload: workload.to_owned(),
                token: lock.token,
                execution: lock.execution.clone(),
            },
            mode: lock.mode,
            released: Released::Another { status },
            at,
        }
    }
}

impl Record {
    /// Releases the lock if the recovery's execution holds it, and keeps that people are to be told of the end, both or
    /// neither; says whether the execution held the lock. Where it did not, the end is kept all the same.
    pub async fn release_lock_and_note(&self, untold: &Untold) -> Result<bool, StepError> {
        let RecoveryRef {
            workload, execution, ..
        } = &untold.recovery;
        let note = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item_of(&workload_key(workload), &untold_key(execution), untold)?))
            .build()
            .map_err(|error| internal(&error))?;
        let lock = release(&self.table, workload, execution).map_err(|error| internal(&error))?;
        let items = [
            TransactWriteItem::builder().update(lock).build(),
            TransactWriteItem::builder().put(note).build(),
        ];
        let written = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items.into()))
            .send()
            .await;
        let Err(error) = written else { return Ok(true) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let reasons = cancelled.cancellation_reasons();
            if reasons.first().and_then(|reason| reason.code()) == Some("ConditionalCheckFailed") {
                self.note_untold(untold).await?;
                return Ok(false);
            }
            if let Some(error) = passing(reasons, "the lock") {
                return Err(error);
            }
        }
        Err(self.failed("dynamodb:TransactWriteItems", "the lock", error))
    }

    /// Keeps that people are to be told of an end.
    async fn note_untold(&self, untold: &Untold) -> Result<(), StepError> {
        let RecoveryRef {
            workload, execution, ..
        } = &untold.recovery;
        self.put(&workload_key(workload), &untold_key(execution), untold).await
    }

    /// Of which ends people are still to be told.
    pub async fn untold(&self, workload: &str) -> Result<Vec<Untold>, StepError> {
        self.items(&workload_key(workload), UNTOLD).await
    }

    /// Forgets an end that people are to be told of: they were.
    pub async fn forget_untold(&self, untold: &Untold) -> Result<(), StepError> {
        let RecoveryRef {
            workload, execution, ..
        } = &untold.recovery;
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(workload), &untold_key(execution))))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:DeleteItem", execution, error))?;
        Ok(())
    }
}

const UNTOLD: &str = "untold#";

fn untold_key(execution: &str) -> String {
    format!("{UNTOLD}{execution}")
}
