//! Locks that outlived their executions: what people are still to be told of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Lock, Record, key, workload_key};
use crate::error::StepError;
use crate::recovery::{Mode, RecoveryRef};

/// A lock whose execution ended without releasing it. It is kept from before the lock is released until people were told,
/// so that whoever dies in between leaves word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlived {
    /// The recovery that held the lock, with the execution that ended.
    pub recovery: RecoveryRef,
    /// Its mode.
    pub mode: Mode,
    /// How the execution ended, as Step Functions has it; nothing where it has forgotten it.
    pub status: Option<String>,
    /// When that was found out.
    pub found_at: Timestamp,
}

impl Outlived {
    /// Of a workload's lock, whose execution ended with this status.
    pub fn new(workload: &str, lock: &Lock, status: Option<String>, found_at: Timestamp) -> Self {
        Self {
            recovery: RecoveryRef {
                id: lock.recovery.clone(),
                workload: workload.to_owned(),
                token: lock.token,
                execution: lock.execution.clone(),
            },
            mode: lock.mode,
            status,
            found_at,
        }
    }
}

impl Record {
    /// Keeps that people are to be told of a lock that outlived its execution.
    pub async fn note_outlived(&self, outlived: &Outlived) -> Result<(), StepError> {
        let RecoveryRef {
            workload, execution, ..
        } = &outlived.recovery;
        self.put(&workload_key(workload), &outlived_key(execution), outlived)
            .await
    }

    /// Of which locks people are still to be told.
    pub async fn outlived(&self, workload: &str) -> Result<Vec<Outlived>, StepError> {
        self.items(&workload_key(workload), OUTLIVED).await
    }

    /// Forgets a lock that outlived its execution: people were told.
    pub async fn forget_outlived(&self, outlived: &Outlived) -> Result<(), StepError> {
        let RecoveryRef {
            workload, execution, ..
        } = &outlived.recovery;
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(workload), &outlived_key(execution))))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:DeleteItem", execution, error))?;
        Ok(())
    }
}

const OUTLIVED: &str = "outlived#";

fn outlived_key(execution: &str) -> String {
    format!("{OUTLIVED}{execution}")
}
