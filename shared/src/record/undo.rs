//! What takes changes back: undo notes of a recovery, and what a Region's own resources were before they were fenced.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, ConditionCheck, Put, TransactWriteItem};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lock::preempted;
use super::resource::Resource;
use super::table::{Record, internal, item_of, key, number, recovery_key, workload_key};
use super::warning::{Warning, WarningCode};
use crate::error::{ErrorKind, StepError};
use crate::recovery::RecoveryRef;

/// How long it counts that a look found a Region writing, if the record does not answer.
const WRITER_SEEN_FOR: SignedDuration = SignedDuration::from_mins(10);

/// How many notes go into one transaction: DynamoDB takes 100 actions, and one is the look at the lock.
const NOTES_AT_ONCE: usize = 99;

/// What takes a change back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The step that makes the change.
    pub step: String,
    /// What it changes.
    pub resource: Resource,
    /// What was there before: the step's own data.
    pub previous: Value,
    /// How it is taken back, for a person and for the step that does it; nothing means that it cannot be.
    #[serde(default)]
    pub taken_back_by: Option<String>,
    /// The command by which a person takes it back, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
    /// When it was taken back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back_at: Option<Timestamp>,
}

/// What a resource of a Region was before another Region's recovery fenced it. Kept in the fenced Region's own table, so
/// that whoever activates that Region later finds it without the other one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// What was fenced.
    pub resource: Resource,
    /// What was there before.
    pub previous: Value,
    /// The recovery that fenced it.
    pub recovery: String,
    /// What for.
    #[serde(default)]
    pub fenced_for: FencedFor,
    /// Whether it was shut before the fence already, so that nobody opens it.
    #[serde(default)]
    pub shut_before: bool,
    /// When it was fenced.
    pub at: Timestamp,
}

/// What a resource is fenced for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FencedFor {
    /// The workload moves to the other Region.
    RegionMove,
    /// Something else, or it was not kept: a person must not open it by the rules of a move.
    #[default]
    #[serde(other)]
    Another,
}

impl Undo {
    /// Whether `step` made the change, and nobody took it back.
    pub fn stands_of(&self, step: &str) -> bool {
        self.step == step && self.taken_back_at.is_none()
    }

    /// How what it would have noted is taken back, where `error` kept it from being noted.
    pub fn not_noted(&self, error: &StepError) -> Warning {
        let how = match (&self.by_hand, &self.taken_back_by) {
            (Some(by_hand), _) => format!("take it back by hand: {by_hand}"),
            (None, Some(by)) => format!("it is taken back by {by}"),
            (None, None) => "it cannot be taken back".to_owned(),
        };
        let text = format!("{} was changed without an undo note; {how}", self.resource.text);
        Warning::new(WarningCode::NotNoted, text)
            .on(self.resource.clone())
            .because(error)
    }
}

/// Whether a step past the point of no return continues although the record fails: only if AWS showed this Region as the writer.
/// Gives the error back if it continues. Errors: `Preempted`, and that error if it does not continue.
pub fn go_on_without_record(
    error: StepError,
    writer_seen_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<StepError, StepError> {
    let is_recent = |seen: Timestamp| now.duration_since(seen) <= WRITER_SEEN_FOR;
    if error.kind == ErrorKind::Preempted || !writer_seen_at.is_some_and(is_recent) {
        return Err(error);
    }
    tracing::error!(error = %error, "the record failed; AWS showed this Region as the writer, so the step continues \
                                     without an undo note");
    Ok(error)
}

impl Record {
    /// Keeps what takes a change back; see [`Record::note_undos`].
    pub async fn note_undo(&self, recovery: &RecoveryRef, undo: &Undo) -> Result<(), StepError> {
        self.note_undos(recovery, std::slice::from_ref(undo)).await
    }

    /// Keeps what takes changes back, before they are made, and checks in the same transaction that the recovery still
    /// holds its lock. Noting a change again keeps the first note, unless that was taken back since. Errors: `Preempted`.
    pub async fn note_undos(&self, recovery: &RecoveryRef, undos: &[Undo]) -> Result<(), StepError> {
        for undos in undos.chunks(NOTES_AT_ONCE) {
            let mut left: Vec<&Undo> = undos.iter().collect();
            while let Some(noted) = self.note_together(recovery, &left).await? {
                left.retain(|undo| !noted.contains(&undo.resource.text));
                if left.is_empty() {
                    // There was nothing to write, so that the lock was not looked at by a transaction that held.
                    self.still_ours(recovery).await?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Likewise past the point of no return: where the record fails and AWS showed this Region as the writer within the last 10 minutes,
    /// the change goes on without a note. Gives why, which is logged too. Errors: `Preempted`, and why nothing was noted.
    pub async fn note_undos_or_go_on(
        &self,
        recovery: &RecoveryRef,
        undos: &[Undo],
        writer_seen_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<StepError>, StepError> {
        match self.note_undos(recovery, undos).await {
            Ok(()) => Ok(None),
            Err(error) => go_on_without_record(error, writer_seen_at, now).map(Some),
        }
    }

    /// Writes the notes in one transaction. Gives the resources that have a note already, in which case none was written.
    async fn note_together(&self, recovery: &RecoveryRef, undos: &[&Undo]) -> Result<Option<Vec<String>>, StepError> {
        let ours = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(&recovery.workload), "lock")))
            .condition_expression("#token = :token AND attribute_exists(#execution)")
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#execution", "execution")
            .expression_attribute_values(":token", number(recovery.token))
            .build()
            .map_err(|error| internal(&error))?;
        let mut items = vec![TransactWriteItem::builder().condition_check(ours).build()];
        for undo in undos {
            let note = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item_of(&recovery_key(&recovery.id), &undo_key(undo), undo)?))
                .condition_expression("attribute_not_exists(#partition) OR attribute_exists(#taken_back)")
                .expression_attribute_names("#partition", "pk")
                .expression_attribute_names("#taken_back", "taken_back_at")
                .build()
                .map_err(|error| internal(&error))?;
            items.push(TransactWriteItem::builder().put(note).build());
        }
        let written = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await;
        let Err(error) = written else { return Ok(None) };
        let what = format!("the undo notes of recovery {}", recovery.id);
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let mut failed = cancelled
                .cancellation_reasons()
                .iter()
                .map(|reason| reason.code() == Some("ConditionalCheckFailed"));
            if failed.next() == Some(true) {
                return Err(preempted(recovery));
            }
            let noted: Vec<String> = failed
                .zip(undos)
                .filter(|(failed, _)| *failed)
                .map(|(_, undo)| undo.resource.text.clone())
                .collect();
            if !noted.is_empty() {
                return Ok(Some(noted));
            }
            if let Some(error) = passing(cancelled.cancellation_reasons(), &what) {
                return Err(error);
            }
        }
        Err(self.failed("dynamodb:TransactWriteItems", &what, error))
    }

    /// What takes back the changes of a recovery, those that were taken back included.
    pub async fn undo_notes(&self, id: &str) -> Result<Vec<Undo>, StepError> {
        self.items(&recovery_key(id), "undo#").await
    }

    /// Keeps that a change was taken back.
    pub async fn note_taken_back(&self, recovery: &RecoveryRef, undo: &Undo, at: Timestamp) -> Result<(), StepError> {
        let taken_back = Undo {
            taken_back_at: Some(at),
            ..undo.clone()
        };
        self.put(&recovery_key(&recovery.id), &undo_key(undo), &taken_back)
            .await
    }

    /// Keeps what a resource of this table's Region was before it is fenced, in place of an older note.
    pub async fn note_fenced(&self, workload: &str, fenced: &Fenced) -> Result<(), StepError> {
        self.put(&workload_key(workload), &fenced_key(&fenced.resource.text), fenced)
            .await
    }

    /// What the fenced resources of this table's Region were before.
    pub async fn fenced(&self, workload: &str) -> Result<Vec<Fenced>, StepError> {
        self.items(&workload_key(workload), "fenced#").await
    }

    /// Forgets what a resource was before it was fenced, since it is that again.
    pub async fn forget_fenced(&self, workload: &str, resource: &str) -> Result<(), StepError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(workload), &fenced_key(resource))))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:DeleteItem", resource, error))?;
        Ok(())
    }
}

fn undo_key(undo: &Undo) -> String {
    format!("undo#{}#{}", undo.step, undo.resource.text)
}

fn fenced_key(resource: &str) -> String {
    format!("fenced#{resource}")
}

/// A transaction that was cancelled for a reason that passes: somebody else was at the same item, or DynamoDB asks for
/// fewer calls.
pub(super) fn passing(reasons: &[CancellationReason], what: &str) -> Option<StepError> {
    let kind = reasons.iter().find_map(|reason| match reason.code()? {
        "TransactionConflict" => Some(ErrorKind::Conflict),
        "ThrottlingError" | "ProvisionedThroughputExceeded" => Some(ErrorKind::Throttled),
        _ => None,
    })?;
    let text = format!("dynamodb:TransactWriteItems on {what}: it was cancelled; it is tried again");
    Some(StepError::new(kind, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_transaction_is_tried_again_where_its_reason_passes() {
        let cancelled = |codes: &[&str]| {
            let reasons: Vec<_> = codes
                .iter()
                .map(|code| CancellationReason::builder().code(*code).build())
                .collect();
            passing(&reasons, "undo").map(|error| error.kind)
        };
        assert_eq!(cancelled(&["TransactionConflict", "None"]), Some(ErrorKind::Conflict));
        assert_eq!(cancelled(&["None", "ThrottlingError"]), Some(ErrorKind::Throttled));
        assert_eq!(cancelled(&["None", "ValidationError"]), None);
    }
}
