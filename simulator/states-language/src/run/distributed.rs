//! Map in mode DISTRIBUTED: child executions with histories of their own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use super::map::item_context;
use super::{Extra, Visit};
use crate::definition::{Distributed, ExecutionType, ItemBatcher, ItemReader, Map, Transformation};
use crate::errors::{TaskFailure, names};
use crate::export::{Child, Destination, Export};
use crate::expression::Template;
use crate::history::{EventDetails, EventKind};
use crate::items::{Items, Place};
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
    /// Whether so many failures fail the Map; without any tolerance the first one does. `total` is the number of all items.
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
            let feed = self.feed(map, distributed, own, tolerance).await?;
            let results = self.results(distributed, &arn)?;
            let how = Children {
                machine: &machine,
                arn: &arn,
                concurrency,
                tolerance,
            };
            self.run_children(map, distributed, &how, feed, results).await
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

    /// The batches that children are given, in order. With a tolerated percentage, the items are counted before.
    async fn feed(
        &self,
        map: &Map,
        distributed: &Distributed,
        own: Option<Vec<Value>>,
        tolerance: Tolerance,
    ) -> Result<Feed, TaskFailure> {
        let batching = match &distributed.item_batcher {
            Some(batcher) => Some(self.batching(batcher)?),
            None => None,
        };
        let (items, most, total) = match (own, &distributed.item_reader) {
            (Some(own), _) => {
                let total = own.len();
                (Items::Given(own.into_iter()), usize::MAX, Some(total))
            }
            (None, Some(reader)) => {
                let most = self.most_items(reader)?;
                let total = match tolerance.percentage {
                    Some(_) => Some(count(self.open(reader).await?, most).await?),
                    None => None,
                };
                (self.open(reader).await?, most, total)
            }
            (None, None) => (Items::Given(Vec::new().into_iter()), usize::MAX, Some(0)),
        };
        Ok(Feed {
            items,
            most,
            total,
            read: 0,
            has_selector: map.item_selector.is_some(),
            batching,
            ahead: None,
        })
    }

    async fn open(&self, reader: &ItemReader) -> Result<Items, TaskFailure> {
        let run = &self.frame.run;
        let arguments = self.optional(reader.arguments.as_ref(), "ItemReader/Arguments")?;
        let failed = |why: String| TaskFailure::new(names::ITEM_READER_FAILED, why);
        let key = match reader.resource.ends_with(":listObjectsV2") {
            true => text(&arguments, "Prefix").map(Option::unwrap_or_default),
            false => text(&arguments, "Key").and_then(|key| key.ok_or_else(|| "Arguments need a Key".to_owned())),
        };
        let place = Place {
            host: Rc::clone(&run.host),
            execution_arn: run.identity.arn.clone(),
            state_name: self.state.name.clone(),
            bucket: bucket(&arguments).map_err(failed)?,
            key: key.map_err(failed)?,
            version_id: text(&arguments, "VersionId").map_err(failed)?,
        };
        Items::open(place, &reader.format).await
    }

    fn optional(&self, template: Option<&Template>, field: &str) -> Result<Value, TaskFailure> {
        match template {
            Some(template) => self.bench(Extra::Nothing).evaluate(template, field),
            None => Ok(Value::Null),
        }
    }

    /// How many items are read at most.
    fn most_items(&self, reader: &ItemReader) -> Result<usize, TaskFailure> {
        let Some(template) = &reader.max_items else {
            return Ok(usize::MAX);
        };
        let most = self.bench(Extra::Nothing).evaluate(template, "MaxItems")?;
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

    fn batching(&self, batcher: &ItemBatcher) -> Result<Batching, TaskFailure> {
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
        Ok(Batching {
            most_items,
            most_bytes,
            overhead: size(&batch(shared.as_ref(), Vec::new())),
            shared,
        })
    }

    /// The next item, selected.
    async fn next_item(&self, map: &Map, feed: &mut Feed) -> Result<Option<Value>, TaskFailure> {
        if let Some(item) = feed.ahead.take() {
            return Ok(Some(item));
        }
        if feed.read >= feed.most {
            return Ok(None);
        }
        let Some(item) = feed.items.next().await? else {
            return Ok(None);
        };
        let index = feed.read;
        feed.read += 1;
        if !feed.has_selector {
            return Ok(Some(item));
        }
        let context = item_context(index, &item);
        self.select(map, item, &context).map(Some)
    }

    /// What the next child is given; none after the last.
    async fn next_batch(&self, map: &Map, feed: &mut Feed) -> Result<Option<Batch>, TaskFailure> {
        let Some(first) = self.next_item(map, feed).await? else {
            return Ok(None);
        };
        let Some(batching) = feed.batching.clone() else {
            return Ok(Some(Batch { input: first, items: 1 }));
        };
        // One byte for the comma.
        let mut bytes = batching.overhead + size(&first) + 1;
        let mut items = vec![first];
        while (items.len() as u64) < batching.most_items
            && let Some(item) = self.next_item(map, feed).await?
        {
            let more = size(&item) + 1;
            if (bytes + more) as u64 > batching.most_bytes {
                feed.ahead = Some(item);
                break;
            }
            bytes += more;
            items.push(item);
        }
        Ok(Some(Batch {
            items: items.len(),
            input: batch(batching.shared.as_ref(), items),
        }))
    }

    /// Runs the children; their results, in the order of the batches or in the files of the `ResultWriter`.
    async fn run_children(
        &self,
        map: &Map,
        distributed: &Distributed,
        how: &Children<'_>,
        feed: Feed,
        mut results: Results,
    ) -> Result<Value, TaskFailure> {
        let parent = &self.frame.run;
        let mut summary = MapRun {
            arn: how.arn.to_owned(),
            path: self.place.path.to_string(),
            items: 0,
            succeeded: 0,
            failed: 0,
            children: 0,
            longest_history: 0,
        };
        let next = |mut feed: Feed| -> LocalBoxFuture<'_, (Feed, Result<Option<Batch>, TaskFailure>)> {
            Box::pin(async move {
                let batch = self.next_batch(map, &mut feed).await;
                (feed, batch)
            })
        };
        let mut total = feed.total;
        let mut first_failure = None;
        // What runs, by its number.
        let mut started: BTreeMap<usize, Started> = BTreeMap::new();
        let mut running = Ordered::new();
        // Either it is being read, or it is idle, or it has ended.
        let mut reading = None;
        let mut idle = Some(feed);
        let ended = loop {
            if running.len() < how.concurrency
                && let Some(feed) = idle.take()
            {
                reading = Some(next(feed));
            }
            if reading.is_none() && running.is_empty() {
                break Ok(());
            }
            let read = async {
                match &mut reading {
                    Some(reading) => reading.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                (feed, batch) = read => {
                    reading = None;
                    summary.items = feed.total.unwrap_or(feed.read);
                    match batch {
                        Ok(Some(batch)) => {
                            let index = summary.children;
                            summary.children += 1;
                            let (child, future) = self.start_child(map, distributed, how.machine, index, batch);
                            started.insert(index, child);
                            running.push(index, future);
                            idle = Some(feed);
                        }
                        Ok(None) => total = Some(feed.total.unwrap_or(feed.read)),
                        Err(failure) => break Err(failure),
                    }
                }
                (index, (child, status)) = running.next(), if !running.is_empty() => {
                    summary.longest_history = summary.longest_history.max(usize::try_from(child.journal.last()).unwrap_or(usize::MAX));
                    parent.transitions.set(parent.transitions.get() + child.transitions.get());
                    parent.map_runs.borrow_mut().append(&mut child.map_runs.take());
                    let Some(Started { input, items, .. }) = started.remove(&index) else {
                        continue;
                    };
                    match &status {
                        ExecutionStatus::Succeeded { .. } => summary.succeeded += items,
                        failed => {
                            summary.failed += items;
                            first_failure.get_or_insert_with(|| failure_of(failed).to_string());
                        }
                    }
                    let told = Child {
                        identity: &child.identity,
                        input: &input,
                        execution_type: distributed.execution_type,
                        stopped_at: parent.host.now(),
                        status: &status,
                    };
                    if let Err(failure) = results.add(index, &told).await {
                        break Err(failure);
                    }
                    if how.tolerance.is_exceeded(summary.failed, total.unwrap_or(usize::MAX)) {
                        let first = first_failure.take().unwrap_or_default();
                        break Err(TaskFailure::new(
                            names::EXCEED_TOLERATED_FAILURE_THRESHOLD,
                            format!(
                                "The specified tolerated failure threshold was exceeded: {} of {} items failed, the first \
                                 with {first}",
                                summary.failed, summary.items
                            ),
                        ));
                    }
                }
            }
        };
        // Whatever still runs is stopped before the Map is reported.
        drop(running);
        parent.map_runs.borrow_mut().push(summary);
        let Err(failure) = ended else {
            return results.finish(self).await;
        };
        if matches!(
            failure.error.as_deref(),
            Some(names::EXCEED_TOLERATED_FAILURE_THRESHOLD)
        ) {
            let unstarted = match (idle, reading) {
                (Some(feed), _) => Some((feed, Ok(None))),
                (None, Some(reading)) => Some(reading.await),
                (None, None) => None,
            };
            self.export_unfinished(map, distributed, started, unstarted, results)
                .await?;
        }
        Err(failure)
    }

    /// Writes what came of a Map that failed: beside what has ended, what was stopped and what was never started.
    async fn export_unfinished(
        &self,
        map: &Map,
        distributed: &Distributed,
        stopped: BTreeMap<usize, Started>,
        unstarted: Option<(Feed, Result<Option<Batch>, TaskFailure>)>,
        results: Results,
    ) -> Result<(), TaskFailure> {
        let Results::Exported(mut export) = results else {
            return Ok(());
        };
        for Started { identity, input, .. } in stopped.values() {
            let stopped = Child {
                identity,
                input,
                execution_type: distributed.execution_type,
                stopped_at: self.frame.run.host.now(),
                status: &ExecutionStatus::Aborted {
                    error: String::new(),
                    cause: String::new(),
                },
            };
            export.add(&stopped).await?;
        }
        if let Some((mut feed, batch)) = unstarted {
            let mut next = batch?;
            loop {
                if let Some(batch) = next {
                    export.add_pending(&batch.input).await?;
                }
                next = self.next_batch(map, &mut feed).await?;
                if next.is_none() {
                    break;
                }
            }
        }
        export.finish().await.map(drop)
    }

    fn start_child<'m>(
        &self,
        map: &'m Map,
        distributed: &'m Distributed,
        machine: &str,
        index: usize,
        batch: Batch,
    ) -> (Started, LocalBoxFuture<'m, (Rc<Run>, ExecutionStatus)>) {
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
        let context = item_context(index, &batch.input);
        let prefix = format!("{}.item[{index}].", self.place.path);
        let input = Arc::new(batch.input);
        let started = Started {
            identity: identity.clone(),
            input: Arc::clone(&input),
            items: batch.items,
        };
        let run = Rc::new(Run::child(
            identity,
            &input,
            Rc::clone(&parent.host),
            parent.tokens.clone(),
        ));
        let limit = match distributed.execution_type {
            ExecutionType::Standard => None,
            ExecutionType::Express => Some(EXPRESS_LIMIT),
        };
        let future = Box::pin(async move {
            let abort = AbortHandle::default();
            let place = (prefix, Some(context));
            let begin = Begin { input, from: None };
            let status = run.drive(&map.processor, begin, limit, &abort, place).await;
            (run, status)
        });
        (started, future)
    }

    /// Where results go.
    fn results(&self, distributed: &Distributed, arn: &str) -> Result<Results, TaskFailure> {
        let Some(writer) = &distributed.result_writer else {
            return Ok(Results::Kept(Kept::default()));
        };
        let Some(destination) = &writer.destination else {
            return Ok(Results::Kept(Kept {
                transformation: Some(writer.transformation),
                ..Kept::default()
            }));
        };
        let run = &self.frame.run;
        let arguments = self.optional(destination.arguments.as_ref(), "ResultWriter/Arguments")?;
        let failed = |why: String| TaskFailure::new(names::RESULT_WRITER_FAILED, why);
        Ok(Results::Exported(Box::new(Export::new(Destination {
            host: Rc::clone(&run.host),
            execution_arn: run.identity.arn.clone(),
            state_name: self.state.name.clone(),
            map_run_arn: arn.to_owned(),
            bucket: bucket(&arguments).map_err(failed)?,
            prefix: text(&arguments, "Prefix").map_err(failed)?.unwrap_or_default(),
            transformation: writer.transformation,
            output_type: writer.output_type,
        }))))
    }
}

/// How children are run.
struct Children<'a> {
    machine: &'a str,
    arn: &'a str,
    concurrency: usize,
    tolerance: Tolerance,
}

/// A child that runs.
struct Started {
    identity: ExecutionIdentity,
    input: Arc<Value>,
    items: usize,
}

/// How items are put into batches.
#[derive(Clone)]
struct Batching {
    most_items: u64,
    most_bytes: u64,
    /// The size of a batch without items, in bytes.
    overhead: usize,
    shared: Option<Value>,
}

/// What children are to be given.
struct Feed {
    items: Items,
    /// How many items are read at most.
    most: usize,
    /// How many items there are, if that is known.
    total: Option<usize>,
    /// How many items have been read.
    read: usize,
    has_selector: bool,
    batching: Option<Batching>,
    /// An item that did not fit into the batch before.
    ahead: Option<Value>,
}

async fn count(mut items: Items, most: usize) -> Result<usize, TaskFailure> {
    let mut counted = 0;
    while counted < most && items.next().await?.is_some() {
        counted += 1;
    }
    Ok(counted)
}

/// What becomes of the results.
enum Results {
    /// They are the state's result.
    Kept(Kept),
    /// They are written as they come.
    Exported(Box<Export>),
}

/// Results as long as they can be the state's: their size is limited, so no more than that is kept.
#[derive(Default)]
struct Kept {
    /// None without a `ResultWriter`.
    transformation: Option<Transformation>,
    results: Vec<(usize, Vec<Value>)>,
    bytes: usize,
}

impl Results {
    async fn add(&mut self, index: usize, child: &Child<'_>) -> Result<(), TaskFailure> {
        match self {
            Self::Kept(kept) => {
                kept.add(index, child);
                Ok(())
            }
            Self::Exported(export) => export.add(child).await,
        }
    }

    async fn finish(self, visit: &Visit<'_>) -> Result<Value, TaskFailure> {
        match self {
            Self::Kept(kept) => kept.finish(&visit.state.name),
            Self::Exported(export) => export.finish().await,
        }
    }
}

impl Kept {
    fn add(&mut self, index: usize, child: &Child<'_>) {
        let results = match (self.transformation, child.status) {
            (Some(transformation), _) => child.transformed(transformation),
            (None, ExecutionStatus::Succeeded { output }) => vec![output.clone()],
            (None, _) => return,
        };
        // One byte for each comma.
        self.bytes += results.iter().map(|result| size(result) + 1).sum::<usize>();
        if self.is_too_large() {
            self.results.clear();
        } else {
            self.results.push((index, results));
        }
    }

    /// The size of the array, in bytes: its brackets, and no comma behind the last.
    fn size(&self) -> usize {
        self.bytes.saturating_sub(1) + 2
    }

    fn is_too_large(&self) -> bool {
        self.size() > PAYLOAD_LIMIT_BYTES
    }

    fn finish(mut self, state: &str) -> Result<Value, TaskFailure> {
        if self.is_too_large() {
            return Err(TaskFailure::too_large(
                &format!("the result of the state `{state}`"),
                self.size(),
            ));
        }
        self.results.sort_by_key(|(index, _)| *index);
        Ok(self.results.into_iter().flat_map(|(_, results)| results).collect())
    }
}

fn failure_of(status: &ExecutionStatus) -> TaskFailure {
    match status {
        ExecutionStatus::Failed { error, cause } | ExecutionStatus::Aborted { error, cause } => {
            TaskFailure::new(error, cause)
        }
        ExecutionStatus::TimedOut | ExecutionStatus::Succeeded { .. } => TaskFailure::timeout(),
    }
}

/// A text among arguments. Errors: a text, if it is something else.
fn text(arguments: &Value, name: &str) -> Result<Option<String>, String> {
    match arguments.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{name} must be a string, is {other}")),
    }
}

fn bucket(arguments: &Value) -> Result<String, String> {
    text(arguments, "Bucket")?.ok_or_else(|| "Arguments need a Bucket".to_owned())
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
