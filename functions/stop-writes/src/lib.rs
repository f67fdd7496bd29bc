//! Stops everything that writes to the damaged database, so that no more is lost while it is restored: the platform's functions in this
//! Region, their event sources, and the API's stage.
//!
//! Customers are not served from then on. `resume-writes` gives back exactly what was there before, on every path.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::fence::{Fence, Noted, Setting, open, why_open};
use shared::plan::Function;
use shared::record::{Missing, Record, Stopped, Undo, tried};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How long looking and changing may take, together: with 200 functions, three calls for each.
const LIMIT: Duration = Duration::from_secs(85);
/// How long the word to the other Region may take.
const WORD_WITHIN: Duration = Duration::from_secs(4);
/// The step that takes this back.
const TAKEN_BACK_BY: &str = "resume-writes";

/// What to stop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region whose database is damaged.
    pub here: SiteSlice,
    /// The other Region, whose probe finds the service down from now on.
    pub other: SiteSlice,
    /// The platform's functions.
    pub functions: Vec<Function>,
}

/// What is stopped: all of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many resources are shut.
    pub resources: usize,
    /// How many of these were changed now; the others were shut before.
    pub changed: usize,
    /// The Region.
    pub region: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(format!(
            "writes in {} are blocked: {} of {} resources verified, {} changed now",
            self.region, self.resources, self.resources, self.changed
        ))
    }
}

/// The step: blocks writes in this Region.
#[derive(Debug)]
pub struct StopWrites {
    aws: Aws,
    record: Record,
}

impl Step for StopWrites {
    const NAME: &'static str = "stop-writes";
    const DESCRIPTION: &'static str = "Blocks writes in this Region";
    const CHANGES: &'static [Change] = &[
        Change::Call("apigateway:UpdateStage"),
        Change::Call("lambda:PutFunctionConcurrency"),
        Change::Call("lambda:UpdateEventSourceMapping"),
        Change::Item("stopped"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(110);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        self.record.still_here(&input.recovery).await?;
        let region = &input.here.region;
        let fence = Fence::here(&self.aws, LIMIT);
        let (looked, notes) = tokio::join!(
            fence.look(&input.functions, &input.here.api),
            self.record.undo_notes(&input.recovery.id),
        );
        let notes = notes?;
        let standing = notes.iter().filter(|note| note.stands_of(Self::NAME));
        let noted = Noted::read(standing.map(|note| (&note.resource, &note.previous)));
        let mut failed: Vec<Missing> = noted.unreadable.into_values().collect();
        let mut retried = None;
        let mut seen: Vec<Setting> = Vec::new();
        for looked in looked {
            match looked.setting {
                Ok(setting) => seen.push(setting),
                Err(error) => {
                    retried = retried.or(error.kind.is_retryable().then_some(error.kind));
                    failed.push(Missing::new(looked.resource, &error).because(&error));
                }
            }
        }
        let resources = seen.len() + failed.len();
        // One that cannot be stopped means that none is: customers would be shut out for nothing.
        all_or_none(region, &failed, retried)?;
        let open = open(&seen);
        let undos: Result<Vec<Undo>, StepError> = open
            .iter()
            .map(|now| now.undo(Self::NAME, TAKEN_BACK_BY, region))
            .collect();
        self.record.note_undos(&input.recovery, &undos?).await?;
        self.tell_other(&input).await;
        let changes: Vec<(Setting, Setting)> = open.iter().map(|now| (now.clone(), now.fenced())).collect();
        let made = fence.change(&changes).await;
        for ((now, made), again) in open.iter().zip(made).zip(fence.look_again(&open).await) {
            let kinds = [made.as_ref().err(), again.as_ref().err()].map(|error| error.map(|error| error.kind));
            if let Some(missing) = why_open(now, region, made, again) {
                let retryable = kinds.into_iter().flatten().find(|kind| kind.is_retryable());
                retried = retried.or(retryable);
                failed.push(missing);
            }
        }
        all_or_none(region, &failed, retried)?;
        Ok(Output {
            resources,
            changed: open.len(),
            region: region.clone(),
        })
    }
}

impl StopWrites {
    /// Keeps in the other Region why the service is down, so that nobody takes this Region for lost. It is tried and not more: that
    /// Region may be away, and then it takes nothing over.
    async fn tell_other(&self, input: &Input) {
        let (workload, recovery) = (&input.recovery.workload, &input.recovery.id);
        let stopped = Stopped {
            region: input.here.region.clone(),
            recovery: recovery.clone(),
            at: self.aws.now(),
        };
        let there = Record::in_region(&self.aws, &input.other.region);
        let telling = there.note_stopped(workload, &stopped);
        tried(
            "tell the other Region that the service is stopped",
            WORD_WITHIN,
            telling,
        )
        .await;
    }
}

/// Errors: what is not stopped, and why; of a kind that is tried again where that can help.
fn all_or_none(region: &str, failed: &[Missing], retried: Option<ErrorKind>) -> Result<(), StepError> {
    let Some(first) = failed.first() else { return Ok(()) };
    let more = match failed.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let text = format!(
        "could not block all writes in {region}: {}: {}{more}. A restore would lose what they write meanwhile",
        first.resource, first.reason
    );
    Err(StepError::new(retried.unwrap_or(ErrorKind::VerificationFailed), text))
}

#[cfg(test)]
mod tests {
    use shared::record::Resource;

    use super::*;

    #[test]
    fn one_that_still_writes_is_an_error_that_names_it() {
        assert_eq!(all_or_none("us-east-1", &[], None), Ok(()));
        let failed = |count: usize| -> Vec<Missing> {
            let missing = |n: usize| Missing::new(Resource::function(&format!("f{n}"), "us-east-1"), "denied");
            (0..count).map(missing).collect()
        };
        let error = all_or_none("us-east-1", &failed(3), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::VerificationFailed);
        assert!(
            error.message.contains("function f0 in us-east-1: denied, and 2 more"),
            "{error}"
        );
        let again = all_or_none("us-east-1", &failed(1), Some(ErrorKind::Throttled)).unwrap_err();
        assert_eq!(again.kind, ErrorKind::Throttled);
    }
}
