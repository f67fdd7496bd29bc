//! Holds the queue, so that nothing is delivered out of order while messages are moved.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::{Record, Resource, ResourceKind, Undo};
use shared::recovery::RecoveryRef;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

use super::queues;

/// What to hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// The queue.
    pub queue: String,
    /// Its Region.
    pub region: String,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Output {
    /// Whether anything had to be changed.
    pub changed: bool,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(match self.changed {
            true => "consumers are held back",
            false => "consumers were held back already",
        })
    }
}

/// The step.
pub struct HoldQueue {
    aws: Aws,
    record: Record,
}

impl Step for HoldQueue {
    const NAME: &'static str = "hold-queue";
    const DESCRIPTION: &'static str = "Holds a queue";
    const CHANGES: &'static [Change] = &[Change::Call("queues:HoldQueue"), Change::Item("undo")];
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
        if !queue.delivering {
            self.record.still_ours(&input.recovery).await?;
            return Ok(Output { changed: false });
        }
        let undo = Undo {
            step: Self::NAME.to_owned(),
            resource: Resource::new(ResourceKind::Other("queue".to_owned()), input.queue.as_str()),
            previous: json!({ "delivering": true }),
            taken_back_by: Some("release-queue".to_owned()),
            by_hand: None,
            taken_back_at: None,
        };
        self.record.note_undo(&input.recovery, &undo).await?;
        queues::call(&self.aws, &input.region, "HoldQueue", &input.queue).await?;
        Ok(Output { changed: true })
    }
}
