//! Lets a queue deliver again: at the end of a recovery, or to take its hold back, unless messages are being moved.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::{Record, Sighting, Undo};
use shared::recovery::RecoveryRef;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

use super::hold_queue::HoldQueue;
use super::move_messages::MoveMessages;
use super::queues;

/// What to let go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// The queue.
    pub queue: String,
    /// Its Region.
    pub region: String,
    /// Whether every message is back.
    pub is_moved: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Output {
    /// How many changes there were to take back.
    pub of: usize,
    /// Whether nothing is left of them.
    pub complete: bool,
    /// In a sentence.
    #[serde(skip)]
    pub summary: String,
    /// When consumers are served again, if they are.
    pub healthy_at: Option<Timestamp>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.complete {
            true => Summary::done(&self.summary),
            false => Summary::failed(&self.summary),
        }
    }
}

/// The step.
pub struct ReleaseQueue {
    aws: Aws,
    record: Record,
}

impl Step for ReleaseQueue {
    const NAME: &'static str = "release-queue";
    const DESCRIPTION: &'static str = "Lets a queue deliver again";
    const CHANGES: &'static [Change] = &[
        Change::Call("queues:ReleaseQueue"),
        Change::Item("observed"),
        Change::Item("undo"),
    ];
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
        let notes = self.record.undo_notes(&input.recovery.id).await?;
        let of = |step: &'static str| {
            let notes = notes.iter().filter(move |note| note.step == step);
            notes.filter(|note| note.taken_back_at.is_none())
        };
        let held: Vec<&Undo> = of(HoldQueue::NAME).collect();
        if !input.is_moved && of(MoveMessages::NAME).next().is_some() {
            return Ok(Output {
                of: held.len(),
                complete: false,
                summary: format!("{} stays on hold, since its messages are being moved", input.queue),
                healthy_at: None,
            });
        }
        let mut queue = queues::call(&self.aws, &input.region, "DescribeQueue", &input.queue).await?;
        if !held.is_empty() && !queue.delivering {
            queue = queues::call(&self.aws, &input.region, "ReleaseQueue", &input.queue).await?;
        }
        let healthy_at = (input.is_moved && queue.delivering).then(|| self.aws.now());
        if healthy_at.is_some() {
            let sighting = Sighting {
                healthy_at,
                ..Sighting::default()
            };
            self.record.keep_observed(&input.recovery, sighting).await;
        }
        for note in &held {
            let now = self.aws.now();
            self.record.note_taken_back(&input.recovery, note, now).await?;
        }
        Ok(Output {
            of: held.len(),
            complete: queue.delivering,
            summary: format!("{} delivers", input.queue),
            healthy_at,
        })
    }
}
