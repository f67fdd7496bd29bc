//! Map: what both modes share, and the inline one.

use std::sync::Arc;

use jsonata_core::value::JValue;
use serde_json::Value;

use super::{Extra, Guard, Visit, run_workflow};
use crate::definition::{Map, MapMode};
use crate::errors::TaskFailure;
use crate::history::{EventDetails, EventKind};
use crate::json;
use crate::ordered::Ordered;

/// How many iterations of an inline Map run at once at most.
const INLINE_CONCURRENCY: usize = 40;

impl Visit<'_> {
    pub(super) async fn map(&self, map: &Map) -> Result<Value, TaskFailure> {
        match &map.mode {
            MapMode::Inline => self.inline_map(map).await,
            MapMode::Distributed(distributed) => self.distributed_map(map, distributed).await,
        }
    }

    /// The outputs of all iterations; the first to fail stops the others, and its error is the
    /// state's.
    async fn inline_map(&self, map: &Map) -> Result<Value, TaskFailure> {
        let items = self.items(map)?;
        let concurrency = self.concurrency(map, INLINE_CONCURRENCY)?;
        self.log(
            EventKind::MapStateStarted,
            EventDetails {
                length: Some(items.len()),
                ..EventDetails::default()
            },
        )?;
        let mut outputs = vec![Value::Null; items.len()];
        let mut running = Ordered::new();
        let mut waiting = items.into_iter().enumerate();
        loop {
            while running.len() < concurrency
                && let Some((index, item)) = waiting.next()
            {
                running.push(index, self.start_iteration(map, index, item)?);
            }
            if running.is_empty() {
                break;
            }
            let (index, (previous, result)) = running.next().await;
            self.frame.previous.set(previous);
            match result {
                Ok(output) => {
                    self.log_iteration(EventKind::MapIterationSucceeded, index)?;
                    outputs[index] = Arc::unwrap_or_clone(output);
                }
                Err(failure) => {
                    if !failure.is_fatal() {
                        self.log_iteration(EventKind::MapIterationFailed, index)?;
                    }
                    return Err(failure);
                }
            }
        }
        self.log(EventKind::MapStateSucceeded, EventDetails::default())?;
        Ok(Value::Array(outputs))
    }

    fn start_iteration<'m>(
        &self,
        map: &'m Map,
        index: usize,
        item: Value,
    ) -> Result<futures::future::LocalBoxFuture<'m, Iteration>, TaskFailure> {
        let context = item_context(index, &item);
        let input = self.select(map, item, &context)?;
        let prefix = format!("{}.item[{index}].", self.place.path);
        let frame = Box::new(self.frame.inner(prefix, Some(context)));
        let started = EventKind::MapIterationStarted;
        frame.log(&self.place, started, of_iteration(index))?;
        // Dropped after the states of this iteration, and before the next iteration.
        let guard = Guard {
            frame,
            place: self.place.clone(),
            says: Some((EventKind::MapIterationAborted, of_iteration(index))),
        };
        Ok(Box::pin(async move {
            let input = Arc::new(input);
            let result = run_workflow(&guard.frame, &map.processor, &map.processor.start_at, input).await;
            let previous = guard.frame.previous.get();
            guard.disarm();
            (previous, result)
        }))
    }

    fn log_iteration(&self, kind: EventKind, index: usize) -> Result<(), TaskFailure> {
        self.log(kind, of_iteration(index))
    }

    /// The items that the state itself has: `Items`, or its input.
    pub(super) fn items(&self, map: &Map) -> Result<Vec<Value>, TaskFailure> {
        let mut bench = self.bench(Extra::Nothing);
        let items = match &map.items {
            Some(template) => bench.evaluate(template, "Items")?,
            None => (*self.input).clone(),
        };
        match (items, &map.items) {
            (Value::Array(items), _) => Ok(items),
            (other, Some(template)) => Err(bench.wrong(template, "Items", "an array", &other)),
            (other, None) => Err(bench.wrong_input("Map state input must be an array but was", &other)),
        }
    }

    /// How many items run at once; 0 means as many as possible.
    pub(super) fn concurrency(&self, map: &Map, most: usize) -> Result<usize, TaskFailure> {
        let wished = match &map.max_concurrency {
            Some(template) => {
                let mut bench = self.bench(Extra::Nothing);
                bench.whole(template, "MaxConcurrency", 0)?
            }
            None => 0,
        };
        Ok(match usize::try_from(wished) {
            Ok(0) | Err(_) => most,
            Ok(wished) => wished.min(most),
        })
    }

    /// What `ItemSelector` makes of an item.
    pub(super) fn select(&self, map: &Map, item: Value, context: &JValue) -> Result<Value, TaskFailure> {
        let Some(selector) = &map.item_selector else {
            return Ok(item);
        };
        *self.item.borrow_mut() = Some(context.clone());
        let selected = self.bench(Extra::Nothing).evaluate(selector, "ItemSelector");
        *self.item.borrow_mut() = None;
        let selected = selected?;
        self.check_size("an item", &selected)?;
        Ok(selected)
    }
}

fn of_iteration(index: usize) -> EventDetails {
    EventDetails {
        index: Some(index),
        ..EventDetails::default()
    }
}

/// How an iteration ended, and its last event.
type Iteration = (u64, Result<Arc<Value>, TaskFailure>);

/// `$states.context.Map`.
pub(super) fn item_context(index: usize, item: &Value) -> JValue {
    let item = json::object([
        ("Index".to_owned(), JValue::from(index)),
        ("Value".to_owned(), json::to_jsonata(item)),
    ]);
    json::object([("Item".to_owned(), item)])
}
