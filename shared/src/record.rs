//! The record: the durable account of a recovery, in one DynamoDB table in each Region.
//!
//! | partition key | sort key | item |
//! |---|---|---|
//! | `workload#<name>` | `lock` | who holds the lock, and the fencing token |
//! | `workload#<name>` | `recovery#<id>` | that there is such a recovery |
//! | `workload#<name>` | `witness#<Region>` | the last heartbeat that the platform saw committed in that Region |
//! | `plan` | `current` | the SHA-256 of the plan in force |
//! | `plan` | `sha256#<hash>` | a plan, as JSON |
//! | `recovery#<id>` | `header` | the recovery: what, when, how it ended, what was measured |
//! | `recovery#<id>` | `step#<execution>#<state>` | one state's visits: first start, last end, attempts, outcome |
//! | `recovery#<id>` | `told#<what>` | an announcement that was sent |
//! | `recovery#<id>` | `undo#<step>#<resource>` | what takes a change back |

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Put, ReturnValue, TransactWriteItem,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};
use crate::measure::{Achieved, MetObjectives, Observed};
use crate::plan::{Objectives, Plan};
use crate::recovery::{Intent, Mode, Outcome, RecoveryRef, Scenario};

/// The table of records, in one Region.
#[derive(Clone, Debug)]
pub struct Record {
    client: Client,
    table: String,
    region: String,
}

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
    /// Now.
    pub at: Timestamp,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It holds, with this fencing token.
    Taken(u64),
    /// Somebody else holds the lock.
    Busy(Lock),
}

/// What started a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// An alarm, a person or the schedule.
    pub kind: TriggerKind,
    /// ARN of the alarm, of the person, or of the schedule.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What kind of thing started a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerKind {
    /// A CloudWatch alarm.
    Alarm,
    /// A person.
    Person,
    /// EventBridge Scheduler.
    Schedule,
}

/// A recovery: what it is, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The recovery's id.
    pub id: String,
    /// The workload.
    pub workload: String,
    /// The scenario.
    pub scenario: Scenario,
    /// The mode.
    pub mode: Mode,
    /// What whoever started it wants.
    pub intent: Intent,
    /// What started it.
    pub trigger: Trigger,
    /// SHA-256 of the plan that it follows.
    pub plan_sha256: String,
    /// What it aims at.
    pub objectives: Objectives,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// How it ended; nothing while it runs.
    pub closing: Option<Closing>,
}

/// How a recovery ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// ARN of the execution that ended it.
    pub execution: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Why, where it is not plainly recovered.
    pub reason: Option<String>,
    /// When.
    pub closed_at: Timestamp,
    /// What the steps found out: warnings, signals, expected loss.
    pub evidence: Value,
    /// The times that were observed.
    pub observed: Observed,
    /// What they add up to.
    pub achieved: Achieved,
    /// How that stands against the objectives.
    pub met: MetObjectives,
}

/// One invocation of a step, for the timeline.
#[derive(Clone, Debug)]
pub struct StepRun<'a> {
    /// The step's name.
    pub step: &'a str,
    /// The state that invoked it.
    pub state: &'a str,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; nothing at its beginning.
    pub ended_at: Option<Timestamp>,
    /// `succeeded`, or the error; nothing at its beginning.
    pub outcome: Option<String>,
}

/// One line of the timeline: all visits of one state by one execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineStep {
    /// The step's name.
    pub name: String,
    /// The state.
    pub state: String,
    /// When it first began.
    pub started_at: Timestamp,
    /// When it last ended; nothing if it never answered.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// How often it began.
    pub attempts: u64,
    /// `succeeded`, or the last error; nothing if it never answered.
    #[serde(default)]
    pub outcome: Option<String>,
}

/// What takes a change back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The step that makes the change.
    pub step: String,
    /// What it changes.
    pub resource: String,
    /// What was there before.
    pub previous: Value,
    /// How it is taken back, for a person and for the step that does it; nothing means that it cannot be.
    pub taken_back_by: Option<String>,
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

    /// Stores `plan` under its SHA-256 and makes it the one in force; returns the hash.
    pub async fn put_plan(&self, plan: &Plan) -> Result<String, StepError> {
        let body = serde_json::to_string(plan).map_err(|error| internal(&error))?;
        let sha256 = sha256_hex(&body);
        self.put_text("plan", &format!("sha256#{sha256}"), "body", &body)
            .await?;
        self.put_text("plan", "current", "sha256", &sha256).await?;
        Ok(sha256)
    }

    /// The plan in force and its SHA-256. Errors: `NotFound` if none was pushed, `VerificationFailed` if it is not what
    /// its hash says.
    pub async fn current_plan(&self) -> Result<(String, Plan), StepError> {
        let missing = || {
            let text = format!(
                "no plan is stored in table {} in {}; push one: drctl plan push",
                self.table, self.region
            );
            StepError::new(ErrorKind::NotFound, text)
        };
        let sha256 = self.text_of("plan", "current", "sha256").await?.ok_or_else(missing)?;
        let body = self
            .text_of("plan", &format!("sha256#{sha256}"), "body")
            .await?
            .ok_or_else(missing)?;
        if sha256_hex(&body) != sha256 {
            let text = format!(
                "the plan stored as {sha256} in table {} was altered; push it again",
                self.table
            );
            return Err(StepError::new(ErrorKind::VerificationFailed, text));
        }
        let plan = serde_json::from_str(&body).map_err(|error| {
            let text =
                format!("the plan stored as {sha256} is not one that this version reads: {error}; push it again");
            StepError::new(ErrorKind::InvalidInput, text)
        })?;
        Ok((sha256, plan))
    }

    /// Claims the workload's lock. `instead_of` is a holder that was found to have ended: the lock is taken over from
    /// exactly that one. Claiming twice from the same execution gives the same token.
    pub async fn claim_lock(&self, claim: &Claim<'_>, instead_of: Option<&Lock>) -> Result<Claimed, StepError> {
        let partition = workload_key(claim.workload);
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&partition, "lock")))
            .update_expression("SET #execution = :execution, #recovery = :recovery, #since = :since ADD #token :one")
            .expression_attribute_names("#execution", "execution")
            .expression_attribute_names("#recovery", "recovery")
            .expression_attribute_names("#since", "since")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":execution", text(claim.execution))
            .expression_attribute_values(":recovery", text(claim.recovery))
            .expression_attribute_values(":since", text(&claim.at.to_string()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .return_values(ReturnValue::AllNew);
        update = match instead_of {
            None => update.condition_expression("attribute_not_exists(#execution)"),
            Some(lock) => update
                .condition_expression("#execution = :ended AND #token = :token")
                .expression_attribute_values(":ended", text(&lock.execution))
                .expression_attribute_values(":token", AttributeValue::N(lock.token.to_string())),
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
                            "the lock of {} changed hands while it was asked for; it is tried again",
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
        Ok(Some(Lock {
            execution,
            recovery,
            since,
            token,
        }))
    }

    /// Releases the lock if `execution` holds it; says whether it did. The token stays, so that it only ever grows.
    pub async fn release_lock(&self, workload: &str, execution: &str) -> Result<bool, StepError> {
        let released = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(workload), "lock")))
            .update_expression("REMOVE #execution, #recovery, #since")
            .condition_expression("#execution = :execution")
            .expression_attribute_names("#execution", "execution")
            .expression_attribute_names("#recovery", "recovery")
            .expression_attribute_names("#since", "since")
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

    /// Keeps what takes a change back, before the change is made, and checks in the same transaction that the recovery
    /// still holds its lock. Noting the same change again keeps the first note. Errors: `Preempted`.
    pub async fn note_undo(&self, recovery: &RecoveryRef, undo: &Undo) -> Result<(), StepError> {
        let sort_key = format!("undo#{}#{}", undo.step, undo.resource);
        let ours = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(&workload_key(&recovery.workload), "lock")))
            .condition_expression("#token = :token AND attribute_exists(#execution)")
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#execution", "execution")
            .expression_attribute_values(":token", AttributeValue::N(recovery.token.to_string()))
            .build()
            .map_err(|error| internal(&error))?;
        let mut item: std::collections::HashMap<String, AttributeValue> =
            serde_dynamo::to_item(undo).map_err(|error| internal(&error))?;
        item.extend(key(&recovery_key(&recovery.id), &sort_key));
        let note = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#partition)")
            .expression_attribute_names("#partition", "pk")
            .build()
            .map_err(|error| internal(&error))?;
        let written = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(ours).build())
            .transact_items(TransactWriteItem::builder().put(note).build())
            .send()
            .await;
        let Err(error) = written else { return Ok(()) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let failed = |index: usize| {
                cancelled
                    .cancellation_reasons()
                    .get(index)
                    .and_then(|reason| reason.code())
                    == Some("ConditionalCheckFailed")
            };
            if failed(0) {
                return Err(preempted(recovery));
            }
            if failed(1) {
                return Ok(());
            }
            if let Some(error) = passing(cancelled.cancellation_reasons(), &sort_key) {
                return Err(error);
            }
        }
        Err(self.failed("dynamodb:TransactWriteItems", &sort_key, error))
    }

    /// Keeps a new recovery's header. A recovery that is resumed keeps the one it has.
    pub async fn open(&self, header: &Header) -> Result<(), StepError> {
        let opened = self
            .put_header(header)?
            .condition_expression("attribute_not_exists(#partition)")
            .expression_attribute_names("#partition", "pk")
            .send()
            .await;
        match opened {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) => {}
            Err(error) => return Err(self.failed("dynamodb:PutItem", &header.id, error)),
        }
        self.put_text(
            &workload_key(&header.workload),
            &format!("recovery#{}", header.id),
            "id",
            &header.id,
        )
        .await
    }

    /// Ids of the workload's recoveries, oldest first: an id begins with the time of its opening.
    pub async fn recoveries(&self, workload: &str) -> Result<Vec<String>, StepError> {
        #[derive(Deserialize)]
        struct Entry {
            id: String,
        }
        let entries: Vec<Entry> = self.items(&workload_key(workload), "recovery#").await?;
        Ok(entries.into_iter().map(|entry| entry.id).collect())
    }

    /// Keeps how a recovery ended.
    pub async fn close(&self, header: &Header) -> Result<(), StepError> {
        self.put_header(header)?
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:PutItem", &header.id, error))?;
        Ok(())
    }

    fn put_header(
        &self,
        header: &Header,
    ) -> Result<aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder, StepError> {
        let mut item: std::collections::HashMap<String, AttributeValue> =
            serde_dynamo::to_item(header).map_err(|error| internal(&error))?;
        item.extend(key(&recovery_key(&header.id), "header"));
        Ok(self.client.put_item().table_name(&self.table).set_item(Some(item)))
    }

    /// A recovery's header.
    pub async fn header(&self, id: &str) -> Result<Option<Header>, StepError> {
        let Some(item) = self.get(&recovery_key(id), "header").await? else {
            return Ok(None);
        };
        serde_dynamo::from_item(item)
            .map(Some)
            .map_err(|error| internal(&error))
    }

    /// Keeps the beginning or the end of one invocation of a step.
    pub async fn note_step(&self, recovery: &RecoveryRef, run: &StepRun<'_>) -> Result<(), StepError> {
        let execution = recovery.execution.rsplit(':').next().unwrap_or_default();
        let sort_key = format!("step#{execution}#{}", run.state);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&recovery_key(&recovery.id), &sort_key)))
            .expression_attribute_names("#name", "name")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#started", "started_at")
            .expression_attribute_names("#attempts", "attempts")
            .expression_attribute_values(":name", text(run.step))
            .expression_attribute_values(":state", text(run.state))
            .expression_attribute_values(":started", text(&run.started_at.to_string()));
        let begun = "SET #name = :name, #state = :state, #started = if_not_exists(#started, :started)";
        let update = match (&run.ended_at, &run.outcome) {
            (Some(ended_at), Some(outcome)) => update
                .update_expression(format!(
                    "{begun}, #ended = :ended, #outcome = :outcome, #attempts = if_not_exists(#attempts, :one)"
                ))
                .expression_attribute_names("#ended", "ended_at")
                .expression_attribute_names("#outcome", "outcome")
                .expression_attribute_values(":ended", text(&ended_at.to_string()))
                .expression_attribute_values(":outcome", text(outcome)),
            _ => update.update_expression(format!("{begun} ADD #attempts :one")),
        };
        update
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:UpdateItem", &sort_key, error))?;
        Ok(())
    }

    /// The timeline of a recovery, in the order in which its steps began.
    pub async fn timeline(&self, id: &str) -> Result<Vec<TimelineStep>, StepError> {
        let mut steps: Vec<TimelineStep> = self.items(&recovery_key(id), "step#").await?;
        steps.sort_by(|a, b| (a.started_at, &a.state).cmp(&(b.started_at, &b.state)));
        Ok(steps)
    }

    /// What takes back the changes of a recovery.
    pub async fn undo_notes(&self, id: &str) -> Result<Vec<Undo>, StepError> {
        self.items(&recovery_key(id), "undo#").await
    }

    /// The message id of an announcement that was sent before.
    pub async fn told(&self, recovery: &RecoveryRef, what: &str) -> Result<Option<String>, StepError> {
        self.text_of(&recovery_key(&recovery.id), &format!("told#{what}"), "message_id")
            .await
    }

    /// Keeps that an announcement was sent.
    pub async fn note_told(&self, recovery: &RecoveryRef, what: &str, message_id: &str) -> Result<(), StepError> {
        self.put_text(
            &recovery_key(&recovery.id),
            &format!("told#{what}"),
            "message_id",
            message_id,
        )
        .await
    }

    /// The last heartbeat that the platform saw committed while `region` served.
    pub async fn last_committed_heartbeat(&self, workload: &str, region: &str) -> Result<Option<Timestamp>, StepError> {
        let at = self
            .text_of(&workload_key(workload), &format!("witness#{region}"), "committed_at")
            .await?;
        Ok(at.and_then(|at| at.parse().ok()))
    }

    /// Keeps that the platform saw a heartbeat committed in `region`. The platform calls this, or does the same, against
    /// the table of the other Region.
    pub async fn note_committed_heartbeat(&self, workload: &str, region: &str, at: Timestamp) -> Result<(), StepError> {
        self.put_text(
            &workload_key(workload),
            &format!("witness#{region}"),
            "committed_at",
            &at.to_string(),
        )
        .await
    }

    async fn items<T: serde::de::DeserializeOwned>(&self, partition: &str, prefix: &str) -> Result<Vec<T>, StepError> {
        let mut items = Vec::new();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#partition = :partition AND begins_with(#sort, :prefix)")
            .expression_attribute_names("#partition", "pk")
            .expression_attribute_names("#sort", "sk")
            .expression_attribute_values(":partition", text(partition))
            .expression_attribute_values(":prefix", text(prefix))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| self.failed("dynamodb:Query", partition, error))?;
            items.push(serde_dynamo::from_item(item).map_err(|error| internal(&error))?);
        }
        Ok(items)
    }

    async fn get(&self, partition: &str, sort: &str) -> Result<Option<Item>, StepError> {
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

    async fn put_text(&self, partition: &str, sort: &str, name: &str, value: &str) -> Result<(), StepError> {
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

    async fn text_of(&self, partition: &str, sort: &str, name: &str) -> Result<Option<String>, StepError> {
        Ok(self.get(partition, sort).await?.and_then(|item| text_in(&item, name)))
    }

    fn failed<E>(
        &self,
        operation: &str,
        what: &str,
        error: aws_sdk_dynamodb::error::SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
    ) -> StepError
    where
        E: aws_smithy_types::error::metadata::ProvideErrorMetadata + std::error::Error + 'static,
    {
        StepError::aws(
            operation,
            &format!("{what} in table {} in {}", self.table, self.region),
            error,
        )
    }
}

type Item = std::collections::HashMap<String, AttributeValue>;

fn key(partition: &str, sort: &str) -> Item {
    Item::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
}

fn workload_key(workload: &str) -> String {
    format!("workload#{workload}")
}

fn recovery_key(id: &str) -> String {
    format!("recovery#{id}")
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn text_in(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn number_in(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A transaction that was cancelled for a reason that passes: somebody else was at the same item, or DynamoDB asks for
/// fewer calls.
fn passing(reasons: &[CancellationReason], what: &str) -> Option<StepError> {
    let kind = reasons.iter().find_map(|reason| match reason.code()? {
        "TransactionConflict" => Some(ErrorKind::Conflict),
        "ThrottlingError" | "ProvisionedThroughputExceeded" => Some(ErrorKind::Throttled),
        _ => None,
    })?;
    let text = format!("dynamodb:TransactWriteItems on {what}: it was cancelled, and is tried again");
    Some(StepError::new(kind, text))
}

fn preempted(recovery: &RecoveryRef) -> StepError {
    StepError::new(
        ErrorKind::Preempted,
        format!(
            "recovery {} no longer holds the lock of {}; another one took it, and this one changes nothing more",
            recovery.id, recovery.workload
        ),
    )
}

fn internal(error: &dyn std::error::Error) -> StepError {
    StepError::new(
        ErrorKind::Internal,
        format!("the record could not be read or written as data: {error}"),
    )
}

fn sha256_hex(body: &str) -> String {
    Sha256::digest(body.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
