//! Gives back exactly what `stop-writes` took, so that customers are served again.
//!
//! With a restored cluster, this is the point of no return: from the first write on, going back to the damaged database would lose what
//! customers wrote here. It is noted before anything is opened. What somebody has changed since the stop stays and is named.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::fence::{Fence, standing};
use shared::record::{Missing, OPENS, Record, Resource, STOPS, ServedFrom, Undo, tried};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How long looking and changing may take, together: with 200 functions, three calls for each.
const LIMIT: Duration = Duration::from_secs(85);
/// How long the word to the other Region may take.
const WORD_WITHIN: Duration = Duration::from_secs(4);

/// What to give back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region that was stopped.
    pub here: SiteSlice,
    /// The other Region, which gets word that its copy is of the damaged database.
    pub other: SiteSlice,
    /// The restored cluster that customers come to; nothing where they come to the one from before.
    pub restored: Option<Restored>,
}

/// The restored cluster.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// Its identifier.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// The moment that its data are of.
    pub restore_to: Timestamp,
}

/// What was given back.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many resources are as before now.
    pub given_back: usize,
    /// How many there were.
    pub of: usize,
    /// The others, and why.
    pub failed: Vec<Missing>,
    /// How many more of the others there are than are named.
    pub more_failed: usize,
    /// Whether nothing of the stop is left.
    pub complete: bool,
    /// The Region.
    pub region: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let region = &self.region;
        match self.failed.first() {
            Some(failed) => Summary::failed(format!(
                "{} of {} resources in {region} take writes again; {}: {}",
                self.given_back, self.of, failed.resource, failed.reason
            )),
            None if self.of == 0 => Summary::done(format!("writes in {region} were not stopped")),
            None => Summary::done(format!("all {} resources in {region} take writes again", self.of)),
        }
    }
}

/// The step: lets this Region take writes again.
#[derive(Debug)]
pub struct ResumeWrites {
    aws: Aws,
    record: Record,
}

impl Step for ResumeWrites {
    const NAME: &'static str = OPENS;
    const DESCRIPTION: &'static str = "Lets this Region take writes again";
    const CHANGES: &'static [Change] = &[
        Change::Call("apigateway:UpdateStage"),
        Change::Call("lambda:DeleteFunctionConcurrency"),
        Change::Call("lambda:PutFunctionConcurrency"),
        Change::Call("lambda:UpdateEventSourceMapping"),
        Change::Item("served"),
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
        if let Some(restored) = &input.restored {
            self.record
                .note_undo(&input.recovery, &opening(restored, &input.here))
                .await?;
            self.tell_both(&input, restored).await?;
        }
        let notes = self.record.undo_notes(&input.recovery.id).await?;
        let (changes, mut failed) = standing(notes, STOPS);
        let of = changes.len() + failed.len();
        let is_for_the_machine = |kind: ErrorKind| kind == ErrorKind::Preempted || kind.is_retryable();
        let left = Fence::here(&self.aws, LIMIT)
            .give_back(&self.aws, &self.record, &input.recovery, &changes, is_for_the_machine)
            .await?;
        failed.extend(left);
        let given_back = of - failed.len();
        let complete = failed.is_empty();
        if complete {
            self.tell_other(&input).await;
        }
        let (failed, more_failed) = Missing::shortened(failed);
        Ok(Output {
            given_back,
            of,
            failed,
            more_failed,
            complete,
            region: region.clone(),
        })
    }
}

impl ResumeWrites {
    /// Keeps in both Regions that customers use another cluster than the plan's: a move between Regions would bring the damaged data
    /// back. The other Region may be away; it is tried and not more.
    async fn tell_both(&self, input: &Input, restored: &Restored) -> Result<(), StepError> {
        let served = ServedFrom {
            cluster: restored.cluster.clone(),
            cluster_arn: restored.cluster_arn.clone(),
            instead_of: input.here.cluster_arn.clone(),
            restore_to: restored.restore_to,
            recovery: input.recovery.id.clone(),
            at: self.aws.now(),
        };
        let workload = &input.recovery.workload;
        self.record.note_served_from(workload, &served).await?;
        let there = Record::in_region(&self.aws, &input.other.region);
        let telling = there.note_served_from(workload, &served);
        tried(
            "tell the other Region which cluster customers use",
            WORD_WITHIN,
            telling,
        )
        .await;
        Ok(())
    }

    /// Forgets in the other Region that the service is stopped. Where that fails, people there are asked once more than needed.
    async fn tell_other(&self, input: &Input) {
        let there = Record::in_region(&self.aws, &input.other.region);
        let telling = there.forget_stopped(&input.recovery.workload);
        tried("tell the other Region that the service goes on", WORD_WITHIN, telling).await;
    }
}

/// The note of the point of no return.
fn opening(restored: &Restored, here: &SiteSlice) -> Undo {
    Undo {
        step: OPENS.to_owned(),
        resource: Resource::cluster(&restored.cluster, &here.region).called(format!(
            "cluster {} in {}, open to customers",
            restored.cluster, here.region
        )),
        previous: json!({ "cluster_arn": here.cluster_arn, "restore_to": restored.restore_to }),
        taken_back_by: None,
        by_hand: None,
        taken_back_at: None,
    }
}
