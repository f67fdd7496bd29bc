//! The last heartbeat that the platform saw committed in a Region.

use jiff::Timestamp;

use super::partition::Partition;
use super::table::Record;
use crate::error::StepError;

impl Record {
    /// The last heartbeat that the platform saw committed while `region` served.
    pub async fn last_committed_heartbeat(&self, workload: &str, region: &str) -> Result<Option<Timestamp>, StepError> {
        let at = self
            .text_of(&Partition::Heartbeat.key(workload), region, "committed_at")
            .await?;
        Ok(at.and_then(|at| at.parse().ok()))
    }

    /// Keeps that the platform saw a heartbeat committed in `region`. The platform calls this, or does the same, against
    /// the table of the other Region.
    pub async fn note_committed_heartbeat(&self, workload: &str, region: &str, at: Timestamp) -> Result<(), StepError> {
        let [(_, partition), (_, sort), (name, value)] = committed_heartbeat(workload, region, at);
        self.put_text(&partition, &sort, name, &value).await
    }
}

/// The item by which the platform leaves word of its last committed heartbeat: attributes, all of them texts. It has a
/// partition of its own, so that IAM can allow it and nothing else (`dynamodb:LeadingKeys`).
pub fn committed_heartbeat(workload: &str, region: &str, at: Timestamp) -> [(&'static str, String); 3] {
    [
        ("pk", Partition::Heartbeat.key(workload)),
        ("sk", region.to_owned()),
        ("committed_at", at.to_string()),
    ]
}
