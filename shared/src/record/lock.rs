//! The lock: one recovery at a time for one workload.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{ReturnValue, Update};
use jiff::Timestamp;

use super::table::{Record, key, number, number_in, text, text_in, workload_key};
use crate::error::{ErrorKind, StepError};
use crate::recovery::{Mode, RecoveryRef};

/// Who holds a workload's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// ARN of the execution that holds it.
    pub execution: String,
    /// The recovery that it runs.
    pub recovery: String,
    /// Since when.
    pub since: String,
    /// The fencing token.
    pub token: u64,
    /// The mode of that recovery.
    pub mode: Mode,
}

impl Lock {
    /// Since when it is held; the beginning of time where that is no time.
    pub fn since(&self) -> Timestamp {
        self.since.parse().unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Who wants a workload's lock.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The workload.
    pub workload: &'a str,
    /// ARN of the execution.
    pub execution: &'a str,
    /// The recovery's id.
    pub recovery: &'a str,
    /// The recovery's mode.
    pub mode: Mode,
    /// Now.
    pub at: Timestamp,
}

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It holds, with this fencing token.
    Taken(u64),
    /// Somebody else holds the lock.
    Busy(Lock),
}

impl Record {
    /// Claims the workload's lock. `instead_of` is a holder that may be taken over from: the lock is taken from exactly
    /// that one. Claiming twice from the same execution gives the same token.
    pub async fn claim_lock(&self, claim: &Claim<'_>, instead_of: Option<&Lock>) -> Result<Claimed, StepError> {
        let partition = workload_key(claim.workload);
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&partition, "lock")))
            .update_expression(
                "SET #execution = :execution, #recovery = :recovery, #since = :since, #mode = :mode ADD #token :one",
            )
            .expression_attribute_names("#execution", "execution")
            .expression_attribute_names("#recovery", "recovery")
            .expression_attribute_names("#since", "since")
            .expression_attribute_names("#mode", "mode")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":execution", text(claim.execution))
            .expression_attribute_values(":recovery", text(claim.recovery))
            .expression_attribute_values(":since", text(&claim.at.to_string()))
            .expression_attribute_values(":mode", text(claim.mode.name()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        update = match instead_of {
            None => update.condition_expression("attribute_not_exists(#execution)"),
            Some(lock) => update
                .condition_expression("#execution = :ended AND #token = :token")
                .expression_attribute_values(":ended", text(&lock.execution))
                .expression_attribute_values(":token", number(lock.token)),
        };
        match update.send().await {
            Ok(output) => {
                let token = output.attributes().and_then(|item| number_in(item, "token"));
                let missing = || StepError::new(ErrorKind::Internal, "the lock came without a token; this is a defect");
                token.map(Claimed::Taken).ok_or_else(missing)
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                match self.lock(claim.workload).await? {
                    Some(lock) if lock.execution == claim.execution => Ok(Claimed::Taken(lock.token)),
                    Some(lock) => Ok(Claimed::Busy(lock)),
                    None => Err(StepError::new(
                        ErrorKind::Conflict,
                        format!(
                            "the lock of {} changed hands during this request; it is tried again",
                            claim.workload
                        ),
                    )),
                }
            }
            Err(error) => Err(self.failed("dynamodb:UpdateItem", "the lock", error)),
        }
    }

    /// Who holds the workload's lock, if anybody.
    pub async fn lock(&self, workload: &str) -> Result<Option<Lock>, StepError> {
        let Some(item) = self.get(&workload_key(workload), "lock").await? else {
            return Ok(None);
        };
        let (Some(execution), Some(token)) = (text_in(&item, "execution"), number_in(&item, "token")) else {
            return Ok(None);
        };
        let recovery = text_in(&item, "recovery").unwrap_or_default();
        let since = text_in(&item, "since").unwrap_or_default();
        // A lock without a known mode is treated as the most serious.
        let mode = text_in(&item, "mode").and_then(|mode| Mode::named(&mode));
        Ok(Some(Lock {
            execution,
            recovery,
            since,
            token,
            mode: mode.unwrap_or(Mode::Live),
        }))
    }

    /// Releases the lock if `execution` holds it; says whether it did. The token stays, so that it only ever grows.
    pub async fn release_lock(&self, workload: &str, execution: &str) -> Result<bool, StepError> {
        let released = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(workload), "lock")))
            .update_expression(RELEASE)
            .condition_expression(IF_HELD)
            .set_expression_attribute_names(Some(names_to_release()))
            .expression_attribute_values(":execution", text(execution))
            .send()
            .await;
        match released {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.failed("dynamodb:UpdateItem", "the lock", error)),
        }
    }

    /// Checks that the recovery still holds its lock. Errors: `Preempted` if it does not.
    pub async fn still_ours(&self, recovery: &RecoveryRef) -> Result<(), StepError> {
        match self.lock(&recovery.workload).await? {
            Some(lock) if lock.token == recovery.token => Ok(()),
            _ => Err(preempted(recovery)),
        }
    }
}

/// What releases a lock.
const RELEASE: &str = "REMOVE #execution, #recovery, #since, #mode";
/// The condition that `:execution` holds it.
const IF_HELD: &str = "#execution = :execution";

/// What releases the lock of `workload` within a transaction, if `execution` holds it.
pub(super) fn release(table: &str, workload: &str, execution: &str) -> Result<Update, BuildError> {
    Update::builder()
        .table_name(table)
        .set_key(Some(key(&workload_key(workload), "lock")))
        .update_expression(RELEASE)
        .condition_expression(IF_HELD)
        .set_expression_attribute_names(Some(names_to_release()))
        .expression_attribute_values(":execution", text(execution))
        .build()
}

fn names_to_release() -> HashMap<String, String> {
    let names = ["execution", "recovery", "since", "mode"];
    names.map(|name| (format!("#{name}"), name.to_owned())).into()
}

/// The error for a recovery that lost its lock.
pub(super) fn preempted(recovery: &RecoveryRef) -> StepError {
    StepError::new(
        ErrorKind::Preempted,
        format!(
            "recovery {} no longer holds the lock of {}; another one took it, and this one changes nothing more",
            recovery.id, recovery.workload
        ),
    )
}
