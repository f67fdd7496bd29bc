//! Moves lost messages back: the point of no return. AWS is asked once; whoever tries again looks first.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::{Record, Resource, ResourceKind, Undo};
use shared::recovery::RecoveryRef;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

use super::queues;

/// What to move.
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
    /// Whether it was asked for now.
    pub changed: bool,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(match self.changed {
            true => "AWS was asked to move the messages back",
            false => "AWS had been asked to move the messages back",
        })
    }
}

/// The step.
pub struct MoveMessages {
    aws: Aws,
    record: Record,
}

impl Step for MoveMessages {
    const NAME: &'static str = "move-messages";
    const DESCRIPTION: &'static str = "Moves lost messages back into their queue";
    const CHANGES: &'static [Change] = &[Change::Call("queues:StartMessageMove"), Change::Item("undo")];
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
        if queue.moving || queue.lost == 0 {
            self.record.still_ours(&input.recovery).await?;
            return Ok(Output { changed: false });
        }
        let undo = Undo {
            step: Self::NAME.to_owned(),
            resource: Resource::new(ResourceKind::Other("queue".to_owned()), input.queue.as_str()),
            previous: json!({ "lost": queue.lost }),
            taken_back_by: None,
            by_hand: None,
            taken_back_at: None,
        };
        self.record.note_undo(&input.recovery, &undo).await?;
        queues::call(&self.aws, &input.region, "StartMessageMove", &input.queue).await?;
        Ok(Output { changed: true })
    }
}
