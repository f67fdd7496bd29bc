//! Map in mode DISTRIBUTED: child executions with histories of their own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::map::item_context;
use super::{Extra, Visit};
use crate::definition::{Distributed, ExecutionType, ItemBatcher, Map};
use crate::errors::{TaskFailure, names};
use crate::expression::Template;
use crate::history::{EventDetails, EventKind};
use crate::host::{ItemReaderCall, ResultWriterCall};
use crate::json::{PAYLOAD_LIMIT_BYTES, size};
use crate::ordered::Ordered;
use crate::running::{AbortHandle, Begin, ExecutionIdentity, MapRun, Run};
use crate::status::ExecutionStatus;

/// How many child executions run at once at most.
const CONCURRENCY: usize = 10_000;

/// How long a child of type EXPRESS may take.
const EXPRESS_LIMIT: Duration = Duration::from_secs(300);

/// What one child execution is given.
struct Batch {
    input: Value,
    items: usize,
}

/// How many failed items are too many.
#[derive(Clone, Copy, Debug, Default)]
struct Tolerance {
    count: Option<u64>,
    percentage: Option<f64>,
}

impl Tolerance {
    /// Whether so many failures fail the Map; without any tolerance the first one does.
    fn is_exceeded(self, failed: usize, total: usize) -> bool {
        if self.count.is_none() && self.percentage.is_none() {
            return failed > 0;
        }
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 items")]
        let share = failed as f64 * 100.0 / total.max(1) as f64;
        self.count.is_some_and(|most| failed as u64 > most) || self.percentage.is_some_and(|most| share > most)
    }
}

impl Visit<'_> {
    pub(super) async fn distributed_map(&self, map: &Map, distributed: &Distributed) -> Result<Value, TaskFailure> {
        let concurrency = self.concurrency(map, CONCURRENCY)?;
        let tolerance = self.tolerance(distributed)?;
        let own = match &distributed.item_reader {
            Some(_) => None,
            None => Some(self.items(map)?),
        };
        let label = distributed.label.clone().unwrap_or_else(|| {
            let letters = self.state.name.chars().filter(char::is_ascii_alphanumeric);
            letters.take(40).collect()
        });
        let run = &self.frame.run;
        let machine = format!("{}/{label}", run.identity.state_machine_arn);
        let arn = format!(
            "{}:{}",
            machine.replacen(":stateMachine:", ":mapRun:", 1),
            run.host.uuid()
        );
        self.log(
            EventKind::MapStateStarted,
            EventDetails {
                length: Some(own.as_ref().map_or(0, Vec::len)),
                ..EventDetails::default()
            },
        )?;
        self.log(EventKind::MapRunStarted, EventDetails::default())?;
        let outcome = async {
            let items = match own {
                Some(items) => items,
                None => self.read_items(distributed).await?,
            };
            let batches = self.batches(map, distributed, items)?;
            let ran = Children {
                machine: &machine,
                arn: &arn,
                concurrency,
                tolerance,
            };
            let results = self.run_children(map, distributed, &ran, batches).await?;
            self.results(distributed, &arn, results).await
        };
        match outcome.await {
            Ok(result) => {
                self.log(EventKind::MapRunSucceeded, EventDetails::default())?;
                self.log(EventKind::MapStateSucceeded, EventDetails::default())?;
                Ok(result)
            }
            Err(failure) => Err(self.log_failure(EventKind::MapRunFailed, failure)),
        }
    }

    fn tolerance(&self, distributed: &Distributed) -> Result<Tolerance, TaskFailure> {
        const PERCENTAGE: &str = "ToleratedFailurePercentage";
        let mut bench = self.bench(Extra::Nothing);
        let count = match &distributed.tolerated_failure_count {
            Some(template) => Some(bench.whole(template, "ToleratedFailureCount", 0)?),
            None => None,
        };
        let percentage = match &distributed.tolerated_failure_percentage {
            Some(template) => {
                let value = bench.evaluate(template, PERCENTAGE)?;
                match value.as_f64().filter(|p| (0.0..=100.0).contains(p)) {
                    Some(percentage) => Some(percentage),
                    None => {
                        let expected = "a number from 0 to 100";
                        return Err(bench.wrong(template, PERCENTAGE, expected, &value));
                    }
                }
            }
            None => None,
        };
        Ok(Tolerance { count, percentage })
    }

    async fn read_items(&self, distributed: &Distributed) -> Result<Vec<Value>, TaskFailure> {
        let Some(reader) = &distributed.item_reader else {
            return Ok(Vec::new());
        };
        let run = &self.frame.run;
        let reader_config = self.optional(reader.reader_config.as_ref(), "ReaderConfig")?;
        let most = most_items(&reader_config)?;
        let call = ItemReaderCall {
            execution_arn: run.identity.arn.clone(),
            state_name: self.state.name.clone(),
            resource: reader.resource.clone(),
            arguments: self.optional(reader.arguments.as_ref(), "ItemReader/Arguments")?,
            reader_config,
        };
        let mut items = run
            .host
            .read_items(call)
            .await
            .map_err(|failure| TaskFailure::new(names::ITEM_READER_FAILED, failure.to_string()))?;
        items.truncate(most);
        Ok(items)
    }

    fn optional(&self, template: Option<&Template>, field: &str) -> Result<Value, TaskFailure> {
        match template {
            Some(template) => self.bench(Extra::Nothing).evaluate(template, field),
            None => Ok(Value::Null),
        }
    }

    fn batches(&self, map: &Map, distributed: &Distributed, items: Vec<Value>) -> Result<Vec<Batch>, TaskFailure> {
        let mut selected = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let context = item_context(index, &item);
            selected.push(self.select(map, item, &context)?);
        }
        match &distributed.item_batcher {
            Some(batcher) => self.put_together(batcher, selected),
            None => Ok(selected.into_iter().map(|input| Batch { input, items: 1 }).collect()),
        }
    }

    fn put_together(&self, batcher: &ItemBatcher, items: Vec<Value>) -> Result<Vec<Batch>, TaskFailure> {
        let mut bench = self.bench(Extra::Nothing);
        let most_items = match &batcher.max_items {
            Some(template) => bench.whole(template, "ItemBatcher/MaxItemsPerBatch", 1)?,
            None => u64::MAX,
        };
        let most_bytes = match &batcher.max_bytes {
            Some(template) => bench.whole(template, "ItemBatcher/MaxInputBytesPerBatch", 1)?,
            None => PAYLOAD_LIMIT_BYTES as u64,
        };
        let shared = match &batcher.input {
            Some(template) => Some(bench.evaluate(template, "ItemBatcher/BatchInput")?),
            None => None,
        };
        let overhead = size(&batch(shared.as_ref(), Vec::new()));
        let mut batches = Vec::new();
        let mut current = Vec::new();
        let mut bytes = overhead;
        for item in items {
            // One byte for the comma.
            let more = size(&item) + 1;
            let full = current.len() as u64 >= most_items || (bytes + more) as u64 > most_bytes;
            if full && !current.is_empty() {
                batches.push(std::mem::take(&mut current));
                bytes = overhead;
            }
            bytes += more;
            current.push(item);
        }
        if !current.is_empty() {
            batches.push(current);
        }
        Ok(batches
            .into_iter()
            .map(|items| Batch {
                items: items.len(),
                input: batch(shared.as_ref(), items),
            })
            .collect())
    }

    /// Runs the children; what each ended with, in the order of the batches.
    async fn run_children(
        &self,
        map: &Map,
        distributed: &Distributed,
        how: &Children<'_>,
        batches: Vec<Batch>,
    ) -> Result<Vec<Result<Value, TaskFailure>>, TaskFailure> {
        let parent = &self.frame.run;
        let total: usize = batches.iter().map(|batch| batch.items).sum();
        let mut summary = MapRun {
            arn: how.arn.to_owned(),
            path: self.place.path.to_string(),
            items: total,
            succeeded: 0,
            failed: 0,
            children: 0,
            longest_history: 0,
        };
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.items).collect();
        let mut results: Vec<Option<Result<Value, TaskFailure>>> = vec![None; batches.len()];
        let mut waiting = batches.into_iter().enumerate();
        let mut running = Ordered::new();
        let mut exceeded = false;
        loop {
            while running.len() < how.concurrency
                && let Some((index, batch)) = waiting.next()
            {
                summary.children += 1;
                let child = self.start_child(map, distributed, how.machine, index, batch.input);
                running.push(index, child);
            }
            if running.is_empty() {
                break;
            }
            let (index, (child, status)) = running.next().await;
            summary.longest_history = summary.longest_history.max(child.journal.take().len());
            parent
                .transitions
                .set(parent.transitions.get() + child.transitions.get());
            parent.map_runs.borrow_mut().append(&mut child.map_runs.take());
            let result = match status {
                ExecutionStatus::Succeeded { output } => Ok(output),
                ExecutionStatus::Failed { error, cause } | ExecutionStatus::Aborted { error, cause } => {
                    Err(TaskFailure::new(error, cause))
                }
                ExecutionStatus::TimedOut => Err(TaskFailure::timeout()),
            };
            match &result {
                Ok(_) => summary.succeeded += sizes[index],
                Err(_) => summary.failed += sizes[index],
            }
            results[index] = Some(result);
            if how.tolerance.is_exceeded(summary.failed, total) {
                exceeded = true;
                break;
            }
        }
        // Whatever still runs is stopped before the Map is reported.
        drop(running);
        let failed = summary.failed;
        parent.map_runs.borrow_mut().push(summary);
        if exceeded {
            let first = results.iter().flatten().find_map(|r| r.as_ref().err());
            return Err(TaskFailure::new(
                names::EXCEED_TOLERATED_FAILURE_THRESHOLD,
                format!(
                    "The specified tolerated failure threshold was exceeded: {failed} of {total} \
                     items failed, the first with {}",
                    first.map(ToString::to_string).unwrap_or_default()
                ),
            ));
        }
        Ok(results.into_iter().flatten().collect())
    }

    fn start_child<'m>(
        &self,
        map: &'m Map,
        distributed: &'m Distributed,
        machine: &str,
        index: usize,
        input: Value,
    ) -> futures::future::LocalBoxFuture<'m, (Rc<Run>, ExecutionStatus)> {
        let parent = &self.frame.run;
        let name = parent.host.uuid();
        let identity = ExecutionIdentity {
            arn: format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1)),
            name,
            role_arn: parent.identity.role_arn.clone(),
            state_machine_arn: machine.to_owned(),
            state_machine_name: parent.identity.state_machine_name.clone(),
            start_time: parent.host.now(),
        };
        let context = item_context(index, &input);
        let prefix = format!("{}.item[{index}].", self.place.path);
        let input = Arc::new(input);
        let run = Rc::new(Run::new(
            identity,
            &input,
            Rc::clone(&parent.host),
            parent.tokens.clone(),
            Vec::new(),
        ));
        let limit = match distributed.execution_type {
            ExecutionType::Standard => None,
            ExecutionType::Express => Some(EXPRESS_LIMIT),
        };
        Box::pin(async move {
            let abort = AbortHandle::default();
            let place = (prefix, Some(context));
            let begin = Begin { input, from: None };
            let status = run.drive(&map.processor, begin, limit, &abort, place).await;
            (run, status)
        })
    }

    async fn results(
        &self,
        distributed: &Distributed,
        arn: &str,
        results: Vec<Result<Value, TaskFailure>>,
    ) -> Result<Value, TaskFailure> {
        let Some(writer) = &distributed.result_writer else {
            let outputs = results.into_iter().filter_map(Result::ok).collect();
            let outputs = Value::Array(outputs);
            self.check_size("the result", &outputs)?;
            return Ok(outputs);
        };
        let run = &self.frame.run;
        let call = ResultWriterCall {
            execution_arn: run.identity.arn.clone(),
            state_name: self.state.name.clone(),
            map_run_arn: arn.to_owned(),
            resource: writer.resource.clone(),
            arguments: self.optional(writer.arguments.as_ref(), "ResultWriter/Arguments")?,
            writer_config: self.optional(writer.writer_config.as_ref(), "WriterConfig")?,
            results,
        };
        let details = run
            .host
            .write_results(call)
            .await
            .map_err(|failure| TaskFailure::new(names::RESULT_WRITER_FAILED, failure.to_string()))?;
        Ok(json!({"MapRunArn": arn, "ResultWriterDetails": details}))
    }
}

/// How children are run.
struct Children<'a> {
    machine: &'a str,
    arn: &'a str,
    concurrency: usize,
    tolerance: Tolerance,
}

/// How many items are read at most.
fn most_items(reader_config: &Value) -> Result<usize, TaskFailure> {
    let Some(most) = reader_config.get("MaxItems") else {
        return Ok(usize::MAX);
    };
    match most.as_u64() {
        // 0 means all, as without it.
        Some(0) => Ok(usize::MAX),
        Some(most) => Ok(usize::try_from(most).unwrap_or(usize::MAX)),
        None => Err(TaskFailure::new(
            names::ITEM_READER_FAILED,
            format!("field MaxItems must be positive, is {most}"),
        )),
    }
}

fn batch(shared: Option<&Value>, items: Vec<Value>) -> Value {
    match shared {
        Some(shared) => json!({"BatchInput": shared, "Items": items}),
        None => json!({"Items": items}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerance_is_what_may_fail() {
        let none = Tolerance::default();
        assert!(!none.is_exceeded(0, 10));
        assert!(none.is_exceeded(1, 10));
        let count = Tolerance {
            count: Some(2),
            percentage: None,
        };
        assert!(!count.is_exceeded(2, 3));
        assert!(count.is_exceeded(3, 1000));
        let share = Tolerance {
            count: None,
            percentage: Some(10.0),
        };
        assert!(!share.is_exceeded(1, 10));
        assert!(share.is_exceeded(2, 10));
        let both = Tolerance {
            count: Some(5),
            percentage: Some(10.0),
        };
        assert!(both.is_exceeded(2, 10));
        assert!(both.is_exceeded(6, 100));
    }
}
