//! Alarms that started nothing while another recovery ran: they are looked at again once that is over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Record, key, workload_key};
use crate::error::StepError;
use crate::scenario::Scenario;

/// An alarm of a scenario that started nothing, since a recovery of another scenario ran. CloudWatch tells of a change once, so that
/// nobody hears of it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// What the alarm would have started.
    pub scenario: Scenario,
    /// The recovery that ran.
    pub behind: String,
    /// The Region that ran it.
    pub region: String,
    /// When the alarm was put off.
    pub at: Timestamp,
}

impl Record {
    /// Keeps that an alarm is to be looked at again: once for a scenario and the recovery that it waits for.
    pub async fn defer(&self, workload: &str, deferred: &Deferred) -> Result<(), StepError> {
        // Where it waits already, it waits since then.
        self.put_new(&workload_key(workload), &sort_key(deferred), deferred)
            .await
            .map(drop)
    }

    /// The alarms of this Region that are to be looked at again.
    pub async fn deferred(&self, workload: &str) -> Result<Vec<Deferred>, StepError> {
        self.items(&workload_key(workload), DEFERRED).await
    }

    /// Forgets one: it was looked at.
    pub async fn forget_deferred(&self, workload: &str, deferred: &Deferred) -> Result<(), StepError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(workload), &sort_key(deferred))))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:DeleteItem", &deferred.behind, error))?;
        Ok(())
    }
}

const DEFERRED: &str = "deferred#";

fn sort_key(deferred: &Deferred) -> String {
    format!("{DEFERRED}{}#{}", deferred.scenario, deferred.behind)
}
