//! What the interpreter asks of the world around it.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use crate::errors::TaskFailure;
use crate::history::HistoryEvent;
use crate::integration::Integration;
use crate::status::ExecutionStatus;
use crate::storage::{ListCall, ListedObject, ObjectCall, ObjectReader, ObjectWriter};
use crate::told::Told;

/// Everything outside of the machine: clock, chance, and whatever Tasks call.
///
/// Sleeping is not here: it is `tokio::time::sleep`, so [`Host::now`] should follow tokio's clock.
///
/// A future that the interpreter no longer needs is dropped: the Task timed out, its token was
/// answered before the call returned, its branch was stopped. A host whose work goes on after its
/// caller has left, as a Lambda's does, spawns it and returns a future that waits for it.
pub trait Host {
    /// The current moment of the virtual clock.
    fn now(&self) -> Timestamp;

    /// A number in [0, 1): for `JitterStrategy: FULL` and `$random()`.
    fn random(&self) -> f64;

    /// A version 4 UUID: for `$uuid()`, task tokens and the names of child executions.
    fn uuid(&self) -> String;

    /// Does what a Task asks for.
    ///
    /// With `.waitForTaskToken` this is only the call that hands out the token; its result goes into
    /// the history only, its failure fails the Task. With `.sync` it ends when the job that it
    /// started does; a host that says nothing of the start counts as having started what ends well.
    fn task(&self, call: TaskCall) -> LocalBoxFuture<'_, Result<Value, TaskFailure>>;

    /// Opens an object that a distributed Map reads.
    ///
    /// # Errors
    /// Any failure; the machine sees it as `States.ItemReaderFailed`.
    fn get_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectReader>, TaskFailure>>;

    /// A page of the objects that a distributed Map lists, in the order of their keys; none after the last.
    ///
    /// # Errors
    /// Likewise.
    fn list_objects(&self, call: ListCall) -> LocalBoxFuture<'_, Result<Vec<ListedObject>, TaskFailure>>;

    /// Begins an object that a distributed Map writes.
    ///
    /// # Errors
    /// Any failure; the machine sees it as `States.ResultWriterFailed`.
    fn put_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectWriter>, TaskFailure>>;

    /// Is told of every history event, child executions' included, when it happens.
    fn observe(&self, event: &HistoryEvent);

    /// How the execution ends instead of going into this state, beyond any catching; usually it does not. For rehearsals
    /// of executions that end without their last state: a defect of the machine, a full history, its time limit, a stop.
    fn ends_at(&self, _execution_arn: &str, _state_name: &str) -> Option<ExecutionStatus> {
        None
    }
}

/// Where the host says that it has started the job of a `.sync` Task.
#[derive(Clone, Debug, Default)]
pub struct Submission(Told<Value>);

impl Submission {
    /// The job has started, and this is the answer of the call that started it: the output of `TaskSubmitted`.
    pub fn submitted(&self, output: Value) {
        self.0.tell(output);
    }

    pub(crate) async fn wait(&self) {
        self.0.wait().await;
    }

    pub(crate) fn output(&self) -> Option<Value> {
        self.0.value()
    }
}

/// One attempt of a Task.
#[derive(Clone, Debug)]
pub struct TaskCall {
    /// The execution that asks (a child's own ARN within a distributed Map).
    pub execution_arn: String,
    /// The state that asks.
    pub state_name: String,
    /// Where it stands, with the numbers of branches and items: `Sweep.item[3].Delete`.
    pub state_path: String,
    /// The `Resource`, ending included: `arn:aws:states:::lambda:invoke.waitForTaskToken`.
    pub resource: String,
    /// What the ending of `resource` asks for.
    pub integration: Integration,
    /// The evaluated `Arguments`.
    pub arguments: Value,
    /// 0 for the first attempt, then the number of retries.
    pub attempt: u64,
    /// When the machine stops waiting for it (`TimeoutSeconds`).
    pub timeout: Duration,
    /// The token, with `.waitForTaskToken`.
    pub task_token: Option<String>,
    /// With `.sync`, where the host says that the job has started.
    pub submission: Submission,
}
