//! A simulation that runs, as its parts share it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use shared::aws::Aws;
use states_language::{ExecutionResult, HistoryEvent};

use super::deployed::Functions;
use crate::aws::door::Door;
use crate::cloud::Cloud;
use crate::cost::Usage;
use crate::workload::Platform;

/// How often what stands still looks whether its Region is back.
pub(super) const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// Sees every event of every execution, as it happens.
pub type Observer = Box<dyn Fn(&HistoryEvent)>;

pub(super) struct Inner {
    pub(super) cloud: Arc<Cloud>,
    pub(super) platform: Arc<Platform>,
    pub(super) table: String,
    pub(super) region: String,
    pub(super) functions: Functions,
    pub(super) observer: Observer,
    pub(super) usage: RefCell<Usage>,
    pub(super) invoked_by_machines: RefCell<BTreeSet<String>>,
    pub(super) invoked: RefCell<BTreeSet<Invoked>>,
    pub(super) ended: RefCell<Vec<EndedExecution>>,
}

/// That somebody invoked something, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invoked {
    /// Who.
    pub by: InvokedBy,
    /// How: `lambda:invoke`, `lambda:invokeFunctionUrl`, `states:startExecution`, or as a Task says it, such as `states:startExecution.sync:2`; to wait for
    /// a task token takes no other permission, and is left out.
    pub how: String,
    /// ARN of the function's version or of the state machine.
    pub target_arn: String,
}

/// Who invokes something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InvokedBy {
    /// The state machine with this ARN.
    Machine(String),
    /// The rule with this ARN.
    Rule(String),
    /// The schedule with this ARN.
    Schedule(String),
    /// Whoever signed a request to a function's URL, by ARN.
    Url(String),
}

/// An execution that has ended.
#[derive(Clone, Debug)]
pub struct EndedExecution {
    /// Its ARN.
    pub arn: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub result: ExecutionResult,
}

/// Does `work` in `region`: while that is away it stands still, and time goes on.
pub(super) async fn in_region<T>(cloud: &Cloud, region: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        let done = poll_fn(|context| {
            if cloud.is_up(region) {
                work.as_mut().poll(context).map(Some)
            } else {
                Poll::Ready(None)
            }
        });
        match done.await {
            Some(output) => return output,
            None => tokio::time::sleep(LOOKS_EVERY).await,
        }
    }
}

impl Inner {
    /// Keeps that somebody invokes something.
    pub(super) fn note_invocation(&self, by: InvokedBy, how: &str, target_arn: &str) {
        self.invoked.borrow_mut().insert(Invoked {
            by,
            how: how.to_owned(),
            target_arn: target_arn.to_owned(),
        });
    }

    /// How an execution ended last.
    pub(super) fn last_end(&self, arn: &str) -> Option<ExecutionResult> {
        let ended = self.ended.borrow();
        let last = ended.iter().rev().find(|ended| ended.arn == arn);
        last.map(|ended| ended.result.clone())
    }

    pub(super) fn aws_in(&self, caller: &str, region: &str) -> Aws {
        Door::new(&self.cloud, &self.platform, caller, region).aws(&self.table)
    }
}
