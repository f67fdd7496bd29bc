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
use shared::fence::{Fence, Noted, Setting, side_by_side};
use shared::record::{Missing, Record, Resource, ServedFrom, Undo};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The step whose changes are given back.
const STOPS: &str = "stop-writes";
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
    const NAME: &'static str = "resume-writes";
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
        let standing: Vec<Undo> = notes
            .into_iter()
            .filter(|note| note.step == STOPS && note.taken_back_at.is_none())
            .collect();
        let mut noted = Noted::read(standing.iter().map(|note| (&note.resource, &note.previous)));
        let changes: Vec<(Undo, Setting)> = standing
            .into_iter()
            .filter_map(|note| {
                let before = noted.before.remove(&note.resource.text)?;
                Some((note, before))
            })
            .collect();
        let mut failed: Vec<Missing> = noted.unreadable.into_values().collect();
        let of = changes.len() + failed.len();
        let before: Vec<Setting> = changes.iter().map(|(_, before)| before.clone()).collect();
        let fence = Fence::here(&self.aws, LIMIT);
        let restored = fence.restore(&before, || self.record.still_ours(&input.recovery)).await;
        let now = self.aws.now();
        let given_back = changes
            .iter()
            .zip(&restored)
            .filter_map(|((note, _), restored)| restored.is_ok().then_some(note));
        let noting = given_back.map(|note| self.record.note_taken_back(&input.recovery, note, now));
        side_by_side(noting.collect())
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        for ((note, before), restored) in changes.iter().zip(restored) {
            match restored {
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::Preempted || error.kind.is_retryable() => return Err(error),
                Err(error) => {
                    let by_hand = before.by_hand(&before.fenced(), region);
                    failed.push(Missing::new(
                        note.resource.clone(),
                        format!("{error}; by hand: {by_hand}"),
                    ));
                }
            }
        }
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
        keep(&self.record, workload, &served).await?;
        let there = Record::in_region(&self.aws, &input.other.region);
        match tokio::time::timeout(WORD_WITHIN, keep(&there, workload, &served)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "could not tell the other Region which cluster customers use")
            }
            Err(_) => tracing::warn!(
                "could not tell the other Region which cluster customers use: no answer within {WORD_WITHIN:?}"
            ),
        }
        Ok(())
    }
}

impl ResumeWrites {
    /// Forgets in the other Region that the service is stopped. Where that fails, people there are asked once more than needed.
    async fn tell_other(&self, input: &Input) {
        let there = Record::in_region(&self.aws, &input.other.region);
        match tokio::time::timeout(WORD_WITHIN, there.forget_stopped(&input.recovery.workload)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "could not tell the other Region that the service goes on")
            }
            Err(_) => tracing::warn!(
                "could not tell the other Region that the service goes on: no answer within {WORD_WITHIN:?}"
            ),
        }
    }
}

/// Keeps which cluster customers use, unless that is known already.
async fn keep(record: &Record, workload: &str, served: &ServedFrom) -> Result<(), StepError> {
    let known = record.served_from(workload).await?;
    match known.is_some_and(|known| known.cluster_arn == served.cluster_arn) {
        true => Ok(()),
        false => record.note_served_from(workload, served).await,
    }
}

/// The note of the point of no return.
fn opening(restored: &Restored, here: &SiteSlice) -> Undo {
    Undo {
        step: ResumeWrites::NAME.to_owned(),
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
