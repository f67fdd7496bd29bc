//! What the other Region must know before anything moves there: which cluster customers use, where it is not the plan's, and that the
//! service is stopped on purpose.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Record, workload_key};
use super::undo::Undo;
use crate::error::{ErrorKind, StepError};
use crate::recovery::RecoveryRef;

/// The sort keys.
const SERVED: &str = "served";
const STOPPED: &str = "stopped";

/// The step that stops customers' writes.
pub const STOPS: &str = "stop-writes";
/// The step that lets customers into a restored database. Its note comes before it does, and from then on there is no way back.
pub const OPENS: &str = "resume-writes";

/// Whether a recovery with these notes has let customers into a restored database, or was about to.
pub fn is_opened(notes: &[Undo]) -> bool {
    notes.iter().any(|note| note.step == OPENS)
}

/// That customers use a restored cluster. The global database still holds the damaged data, so that nothing may move to another
/// Region by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedFrom {
    /// The restored cluster's identifier.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// ARN of the damaged cluster.
    pub instead_of: String,
    /// The moment that its data are of.
    pub restore_to: Timestamp,
    /// The recovery that made it.
    pub recovery: String,
    /// When customers were let in.
    pub at: Timestamp,
}

/// That a recovery has stopped the service of the other Region on purpose: probes find it down for that reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The Region whose service is stopped.
    pub region: String,
    /// The recovery that stopped it.
    pub recovery: String,
    /// When.
    pub at: Timestamp,
}

impl Record {
    /// Whether the other Region's service is stopped on purpose, by the last word from there.
    pub async fn stopped(&self, workload: &str) -> Result<Option<Stopped>, StepError> {
        self.item(&workload_key(workload), STOPPED).await
    }

    /// Keeps that it is, unless that is known of this recovery.
    pub async fn note_stopped(&self, workload: &str, stopped: &Stopped) -> Result<(), StepError> {
        let known = self.stopped(workload).await?;
        if known.is_some_and(|known| known.recovery == stopped.recovery) {
            return Ok(());
        }
        self.put(&workload_key(workload), STOPPED, stopped).await
    }

    /// Checks that no other recovery has moved the workload away from this table's Region: what is opened here then would be a second
    /// side. Errors: `Preempted`.
    pub async fn still_here(&self, recovery: &RecoveryRef) -> Result<(), StepError> {
        let notes = self.fenced(&recovery.workload).await?;
        if notes.is_empty() {
            return Ok(());
        }
        let opened_at = self.header(&recovery.id).await?.map(|header| header.opened_at);
        // What an earlier move has left here says nothing of now.
        let since = |at: Timestamp| opened_at.is_none_or(|opened| at > opened);
        let others = notes.iter().filter(|note| note.recovery != recovery.id);
        let Some(other) = others.into_iter().find(|note| since(note.at)) else {
            return Ok(());
        };
        let text = format!(
            "recovery {} has fenced this Region at {} and moves the workload to the other one; this recovery changes nothing more",
            other.recovery, other.at
        );
        Err(StepError::new(ErrorKind::Preempted, text))
    }

    /// Forgets it: the service is no longer stopped.
    pub async fn forget_stopped(&self, workload: &str) -> Result<(), StepError> {
        self.forget(workload, STOPPED).await
    }

    /// The restored cluster that customers use, if the last word is that they use one.
    pub async fn served_from(&self, workload: &str) -> Result<Option<ServedFrom>, StepError> {
        self.item(&workload_key(workload), SERVED).await
    }

    /// Keeps which one they use, unless that is known.
    pub async fn note_served_from(&self, workload: &str, served: &ServedFrom) -> Result<(), StepError> {
        let known = self.served_from(workload).await?;
        if known.is_some_and(|known| known.cluster_arn == served.cluster_arn) {
            return Ok(());
        }
        self.put(&workload_key(workload), SERVED, served).await
    }
}
