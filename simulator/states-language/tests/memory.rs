//! A distributed Map over a million items takes no more memory than one over a thousand.
//!
//! This is alone in its process: what is measured is the largest resident memory that the process has had.

#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use states_language::{
    Execution, ExecutionIdentity, ExecutionStatus, HistoryEvent, Host, ListCall, ListedObject, ObjectCall,
    ObjectReader, ObjectWriter, StateMachine, TaskCall, TaskFailure, TaskTokens,
};

/// How much more a million items may take than a thousand, in bytes.
const MORE_BYTES: u64 = 8 * 1024 * 1024;

/// How many children run at once: with as many of both, memory that grows with them is no difference.
const CONCURRENCY: usize = 50;

/// How many items a child is given.
const BATCH: usize = 10;

/// The largest resident memory of this process so far, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// The records of an inventory, made while they are read.
struct Records {
    next: usize,
    of: usize,
}

impl ObjectReader for Records {
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>, TaskFailure>> {
        let mut chunk = String::new();
        while self.next < self.of && chunk.len() < 64 * 1024 {
            chunk += &format!(
                "{{\"Key\":\"uploads/{:08}.jpg\",\"VersionId\":\"{:032}\"}}\n",
                self.next, self.next
            );
            self.next += 1;
        }
        Box::pin(async { Ok((!chunk.is_empty()).then(|| chunk.into_bytes())) })
    }
}

/// Takes bytes, and keeps how many.
struct Sink(Rc<Cell<u64>>);

impl ObjectWriter for Sink {
    fn write(&mut self, chunk: Vec<u8>) -> LocalBoxFuture<'_, Result<(), TaskFailure>> {
        self.0.set(self.0.get() + chunk.len() as u64);
        Box::pin(async { Ok(()) })
    }
    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), TaskFailure>> {
        Box::pin(async { Ok(()) })
    }
}

struct Bucket {
    items: usize,
    written: Rc<Cell<u64>>,
    uuids: Cell<u64>,
}

impl Host for Bucket {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn random(&self) -> f64 {
        0.5
    }
    fn uuid(&self) -> String {
        self.uuids.set(self.uuids.get() + 1);
        format!("00000000-0000-4000-8000-{:012}", self.uuids.get())
    }
    fn task(&self, call: TaskCall) -> LocalBoxFuture<'_, Result<Value, TaskFailure>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let first = &call.arguments["Items"][0]["Key"];
            match first.as_str() {
                Some(key) if key.ends_with("70.jpg") => Err(TaskFailure::new("Gone", "there is no such version")),
                _ => Ok(json!({"first": first})),
            }
        })
    }
    fn get_object(&self, _: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectReader>, TaskFailure>> {
        let records = Records {
            next: 0,
            of: self.items,
        };
        Box::pin(async { Ok(Box::new(records) as Box<dyn ObjectReader>) })
    }
    fn list_objects(&self, call: ListCall) -> LocalBoxFuture<'_, Result<Vec<ListedObject>, TaskFailure>> {
        unreachable!("nothing is listed, yet {call:?}")
    }
    fn put_object(&self, _: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectWriter>, TaskFailure>> {
        let sink = Sink(Rc::clone(&self.written));
        Box::pin(async { Ok(Box::new(sink) as Box<dyn ObjectWriter>) })
    }
    fn observe(&self, _: &HistoryEvent) {}
}

/// Runs children for so many items; gives how many bytes of results were written.
async fn restore(items: usize) -> u64 {
    let definition = json!({"QueryLanguage": "JSONata", "StartAt": "Restore", "States": {"Restore": {
        "Type": "Map",
        "End": true,
        "MaxConcurrency": CONCURRENCY,
        "ToleratedFailurePercentage": 10,
        "ItemBatcher": {"MaxItemsPerBatch": BATCH},
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "Arguments": {"Bucket": "lists", "Key": "versions.jsonl"},
            "ReaderConfig": {"InputType": "JSONL"},
        },
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "results"}},
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
            "StartAt": "RestoreVersion",
            "States": {"RestoreVersion": {"Type": "Task", "Resource": "arn:test:restore", "End": true}},
        },
    }}});
    let machine = StateMachine::parse("m", &definition.to_string(), &BTreeMap::new()).unwrap();
    let host = Rc::new(Bucket {
        items,
        written: Rc::default(),
        uuids: Cell::new(0),
    });
    let identity = ExecutionIdentity {
        arn: "arn:aws:states:eu-west-1:123456789012:execution:m:run".into(),
        name: "run".into(),
        role_arn: "arn:aws:iam::123456789012:role/m".into(),
        state_machine_arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:m".into(),
        state_machine_name: "m".into(),
        start_time: Timestamp::UNIX_EPOCH,
    };
    let host_of_it = Rc::clone(&host) as Rc<dyn Host>;
    let execution = Execution::new(Arc::new(machine), json!({}), identity, host_of_it, TaskTokens::new());
    let result = execution.run().await;
    assert!(
        matches!(result.status, ExecutionStatus::Succeeded { .. }),
        "{:?}",
        result.status
    );
    let map_run = &result.map_runs[0];
    assert_eq!((map_run.items, map_run.children), (items, items / BATCH));
    assert_eq!((map_run.succeeded, map_run.failed), (items - items / 10, items / 10));
    host.written.get()
}

#[tokio::test(start_paused = true)]
async fn a_million_items_take_no_more_memory_than_a_thousand() {
    let few = restore(1000).await;
    let with_few = peak_bytes();
    let many = restore(1_000_000).await;
    let more = peak_bytes() - with_few;
    println!("{few} and {many} bytes of results; {with_few} bytes resident, and {more} more");
    assert!(many > 990 * few, "each result was written: {few}, {many}");
    assert!(
        more < MORE_BYTES,
        "a million items took {more} bytes more than a thousand"
    );
}
