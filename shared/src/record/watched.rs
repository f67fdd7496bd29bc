//! What a fenced Region knows of the recovery that fenced it, and that people opened it again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Record, key, workload_key};
use crate::error::{ErrorKind, StepError};

/// What the look at a fence found so far. It is kept in the fenced Region, and its times are of that Region's clock alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The recovery that fenced the Region.
    pub recovery: String,
    /// How far that recovery was when it was read last: it changes with each of its steps. Nothing while it was never read.
    pub mark: Option<String>,
    /// When the mark changed last, or the first look.
    pub heard_at: Timestamp,
    /// When people were paged last; nothing while they were not since the mark changed.
    pub paged_at: Option<Timestamp>,
    /// Whether a look found that the database has moved: the fence has done its work.
    pub moved: bool,
}

/// A fence that people opened. The recovery that fenced the Region changes nothing more there, and promotes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reopened {
    /// The recovery that fenced the Region.
    pub recovery: String,
    /// ARNs of the people who opened it.
    pub by: Vec<String>,
    /// When, by the clock of whoever opened it.
    pub at: Timestamp,
}

impl Reopened {
    /// The error for the recovery that fenced `region`.
    pub fn preempts(&self, region: &str) -> StepError {
        let text = format!(
            "people opened {region} again ({}), so recovery {} changes nothing more; start a new one",
            self.by.join(", "),
            self.recovery
        );
        StepError::new(ErrorKind::Preempted, text)
    }
}

/// One person's word that a Region be opened although the recovery's Region cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReopenApproval {
    /// ARN of the person.
    pub by: String,
}

/// That the public name does not lead to the Region that serves. Its times are of that Region's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// When it was seen first.
    pub since: Timestamp,
    /// When people were told last; nothing while they were not.
    pub told_at: Option<Timestamp>,
}

impl Record {
    /// What was wrong with the public name at the last look, if anything was.
    pub async fn mismatch(&self, workload: &str) -> Result<Option<Mismatch>, StepError> {
        self.item(&workload_key(workload), MISMATCH).await
    }

    /// Keeps that something is wrong with the public name.
    pub async fn note_mismatch(&self, workload: &str, mismatch: &Mismatch) -> Result<(), StepError> {
        self.put(&workload_key(workload), MISMATCH, mismatch).await
    }

    /// Forgets it: the name leads where it should.
    pub async fn forget_mismatch(&self, workload: &str) -> Result<(), StepError> {
        self.forget(workload, MISMATCH).await
    }

    /// What the last look at the fence of this table's Region found.
    pub async fn watched(&self, workload: &str) -> Result<Option<Watched>, StepError> {
        self.item(&workload_key(workload), WATCHED).await
    }

    /// Keeps what a look at the fence found.
    pub async fn note_watched(&self, workload: &str, watched: &Watched) -> Result<(), StepError> {
        self.put(&workload_key(workload), WATCHED, watched).await
    }

    /// Whether people opened what `recovery` had fenced in this table's Region.
    pub async fn reopened(&self, workload: &str, recovery: &str) -> Result<Option<Reopened>, StepError> {
        self.item(&workload_key(workload), &reopened_key(recovery)).await
    }

    /// Keeps that people open what `reopened.recovery` had fenced, unless that is kept already; says whether it was not.
    pub async fn note_reopened(&self, workload: &str, reopened: &Reopened) -> Result<bool, StepError> {
        let sort = reopened_key(&reopened.recovery);
        self.put_new(&workload_key(workload), &sort, reopened).await
    }

    /// Forgets it: nothing was opened.
    pub async fn forget_reopened(&self, workload: &str, recovery: &str) -> Result<(), StepError> {
        self.forget(workload, &reopened_key(recovery)).await
    }

    pub(super) async fn forget(&self, workload: &str, sort: &str) -> Result<(), StepError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(workload), sort)))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:DeleteItem", sort, error))?;
        Ok(())
    }

    /// Keeps that a person wants this table's Region opened; gives everybody who does.
    pub async fn approve_reopening(
        &self,
        workload: &str,
        recovery: &str,
        by: &str,
    ) -> Result<Vec<ReopenApproval>, StepError> {
        let (partition, prefix) = (workload_key(workload), format!("reopen-approval#{recovery}#"));
        let approval = ReopenApproval { by: by.to_owned() };
        self.put(&partition, &format!("{prefix}{by}"), &approval).await?;
        self.items(&partition, &prefix).await
    }
}

const WATCHED: &str = "fence-watch";
const MISMATCH: &str = "switch-watch";

fn reopened_key(recovery: &str) -> String {
    format!("reopened#{recovery}")
}
