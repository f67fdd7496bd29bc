//! What a probe wrote down of what it found, beside the metric that it published.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::partition::Partition;
use super::table::{Record, item_of, text};
use crate::error::StepError;

/// What a probe found in one minute, in its own words. Others can publish its metric too: decision 36.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The beginning of the minute in which it asked: when the metric's datapoint of that minute is.
    pub minute: Timestamp,
    /// Whether every answer in that minute was healthy.
    pub healthy: bool,
}

/// For how many minutes words are kept; each replaces the one of so long ago.
const MINUTES: i64 = 15;

impl Probed {
    /// What was found at `asked_at`.
    pub fn at(asked_at: Timestamp, healthy: bool) -> Self {
        let second = asked_at.as_second();
        let minute = Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(asked_at);
        Self { minute, healthy }
    }
}

impl Record {
    /// Keeps what the probe of this table's Region found. Where it asked twice in one minute, the worse of both stays, as the
    /// metric's minimum does.
    pub async fn note_probed(&self, workload: &str, probed: &Probed) -> Result<(), StepError> {
        let slot = probed.minute.as_second().div_euclid(60).rem_euclid(MINUTES);
        let sort = format!("{MINUTE}{slot:02}");
        let partition = Partition::Probe.key(workload);
        if !probed.healthy {
            return self.put(&partition, &sort, probed).await;
        }
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(&partition, &sort, probed)?))
            .condition_expression("attribute_not_exists(#minute) OR #minute <> :minute")
            .expression_attribute_names("#minute", "minute")
            .expression_attribute_values(":minute", text(&probed.minute.to_string()));
        self.put_where(put, &sort).await.map(drop)
    }

    /// What the probe of this table's Region found in the last minutes, in no order.
    pub async fn probed(&self, workload: &str) -> Result<Vec<Probed>, StepError> {
        self.items(&Partition::Probe.key(workload), MINUTE).await
    }
}

/// What the sort keys begin with.
const MINUTE: &str = "minute#";
