//! Looks at the queue: whether its messages are lost, and what people have to approve before they are moved back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::approval::Ask;
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::{Record, Sighting};
use shared::recovery::RecoveryRef;
use shared::slices::ApprovalSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

use super::move_messages::MoveMessages;
use super::queues;

/// What to look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// The queue.
    pub queue: String,
    /// Its Region.
    pub region: String,
    /// Who is asked.
    pub approval: ApprovalSlice,
}

/// What was seen.
#[derive(Debug, Serialize)]
pub struct Output {
    /// Why nothing can be done, if nothing can.
    pub blocker: Option<String>,
    /// What people are asked.
    pub ask: Ask,
    /// Whether every message is back.
    pub is_moved: bool,
    /// What is waited for, if they are not.
    pub waiting_for: String,
    /// When the first message was lost.
    pub impact_at: Option<Timestamp>,
    /// When this was decided.
    pub decided_at: Timestamp,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match (&self.blocker, self.is_moved) {
            (Some(blocker), _) => Summary::failed(blocker),
            (None, true) => Summary::done("every message is back"),
            (None, false) => Summary::waiting(&self.waiting_for),
        }
    }
}

/// The step.
pub struct LookAtQueue {
    aws: Aws,
    record: Record,
}

impl Step for LookAtQueue {
    const NAME: &'static str = "look-at-queue";
    const DESCRIPTION: &'static str = "Looks whether messages of a queue are lost";
    const CHANGES: &'static [Change] = &[Change::Item("observed")];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let queue = queues::call(&self.aws, &input.region, "DescribeQueue", &input.queue).await?;
        let notes = self.record.undo_notes(&input.recovery.id).await?;
        let is_begun = notes.iter().any(|note| note.step == MoveMessages::NAME);
        let sighting = Sighting {
            impact_at: queue.lost_since,
            decided_at: Some(self.aws.now()),
            can_lose_writes: Some(false),
            ..Sighting::default()
        };
        self.record.keep_observed(&input.recovery, sighting).await;
        let ask = Ask {
            id: format!("move-{}", queue.lost),
            headline: format!("move {} messages back into {}", queue.lost, input.queue),
            shown: vec!["consumers get them a second time if they are moved twice".to_owned()],
            people: if is_begun { 0 } else { input.approval.people },
            because: "a message that is delivered cannot be called back".to_owned(),
            needs_reason: false,
        };
        Ok(Output {
            blocker: (queue.lost == 0 && !is_begun).then(|| format!("no message of {} is lost", input.queue)),
            ask,
            is_moved: queue.lost == 0 && !queue.moving,
            waiting_for: format!("{} messages", queue.lost),
            impact_at: queue.lost_since,
            decided_at: self.aws.now(),
        })
    }
}
