//! Parallel.

use std::sync::Arc;

use serde_json::Value;

use super::{Extra, Visit, run_workflow};
use crate::definition::Parallel;
use crate::errors::TaskFailure;
use crate::history::{EventDetails, EventKind};
use crate::ordered::Ordered;

impl Visit<'_> {
    /// The outputs of all branches; the first branch to fail stops the others, and its error is
    /// the state's.
    pub(super) async fn parallel(&self, parallel: &Parallel) -> Result<Value, TaskFailure> {
        let input = match &parallel.arguments {
            Some(template) => {
                let arguments = self.bench(Extra::Nothing).evaluate(template, "Arguments")?;
                self.check_size("the arguments", &arguments)?;
                Arc::new(arguments)
            }
            None => Arc::clone(&self.input),
        };
        self.log(EventKind::ParallelStateStarted, EventDetails::default())?;
        let frames: Vec<_> = (0..parallel.branches.len())
            .map(|i| {
                let prefix = format!("{}.branch[{i}].", self.place.path);
                self.frame.inner(prefix, None)
            })
            .collect();
        let mut outputs = vec![Value::Null; frames.len()];
        let mut running = Ordered::new();
        for (i, (frame, branch)) in frames.iter().zip(&parallel.branches).enumerate() {
            running.push(i, run_workflow(frame, branch, &branch.start_at, Arc::clone(&input)));
        }
        while !running.is_empty() {
            let (i, result) = running.next().await;
            self.frame.previous.set(frames[i].previous.get());
            match result {
                Ok(output) => outputs[i] = Arc::unwrap_or_clone(output),
                Err(failure) => {
                    return Err(failure);
                }
            }
        }
        self.log(EventKind::ParallelStateSucceeded, EventDetails::default())?;
        Ok(Value::Array(outputs))
    }
}
