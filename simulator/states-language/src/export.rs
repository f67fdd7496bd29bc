//! The results of a distributed Map, written as they come. Source: Step Functions Developer Guide, "ResultWriter".

use std::rc::Rc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::definition::{ExecutionType, OutputType, Transformation};
use crate::errors::{TaskFailure, names};
use crate::host::Host;
use crate::running::ExecutionIdentity;
use crate::status::ExecutionStatus;
use crate::storage::{ObjectCall, ObjectWriter};

/// How much is gathered before it is written, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// The largest file of results, in bytes.
const FILE_LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// What is told of a child execution.
pub(crate) struct Child<'c> {
    pub identity: &'c ExecutionIdentity,
    pub input: &'c Value,
    pub execution_type: ExecutionType,
    pub stopped_at: Timestamp,
    pub status: &'c ExecutionStatus,
}

impl Child<'_> {
    /// The record of the child, as with the transformation `NONE`.
    pub fn record(&self) -> Value {
        let Self { identity, status, .. } = self;
        let mut record = json!({
            "ExecutionArn": identity.arn,
            "Input": self.input.to_string(),
            "InputDetails": {"Included": true},
            "Name": identity.name,
            "RedriveCount": 0,
            "StartDate": moment(identity.start_time),
            "StateMachineArn": identity.state_machine_arn,
            "Status": status.name(),
            "StopDate": moment(self.stopped_at),
        });
        let mut put = |name: &str, value: Value| record[name] = value;
        match status {
            ExecutionStatus::Succeeded { output } => {
                put("Output", output.to_string().into());
                put("OutputDetails", json!({"Included": true}));
                put("RedriveStatus", "NOT_REDRIVABLE".into());
                put(
                    "RedriveStatusReason",
                    "Execution is SUCCEEDED and cannot be redriven".into(),
                );
            }
            ExecutionStatus::Failed { error, cause } | ExecutionStatus::Aborted { error, cause } => {
                for (name, text) in [("Error", error), ("Cause", cause)] {
                    if !text.is_empty() {
                        put(name, text.as_str().into());
                    }
                }
            }
            ExecutionStatus::TimedOut => put("Error", names::TIMEOUT.into()),
        }
        if !matches!(status, ExecutionStatus::Succeeded { .. }) {
            // Children of type EXPRESS are not redriven themselves: their Map Run starts them again.
            let redrive_status = match self.execution_type {
                ExecutionType::Standard => "REDRIVABLE",
                ExecutionType::Express => "REDRIVABLE_BY_MAP_RUN",
            };
            record["RedriveStatus"] = redrive_status.into();
        }
        record
    }

    /// What a transformation makes of it. Those that did not succeed are never transformed.
    pub fn transformed(&self, transformation: Transformation) -> Vec<Value> {
        match (self.status, transformation) {
            (ExecutionStatus::Succeeded { output }, Transformation::Compact) => vec![output.clone()],
            (ExecutionStatus::Succeeded { output }, Transformation::Flatten) => match output {
                Value::Array(items) => items.clone(),
                other => vec![other.clone()],
            },
            _ => vec![self.record()],
        }
    }
}

/// A moment as Step Functions writes it: with milliseconds.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Where results go, and how.
pub(crate) struct Destination {
    pub host: Rc<dyn Host>,
    pub execution_arn: String,
    pub state_name: String,
    pub map_run_arn: String,
    pub bucket: String,
    pub prefix: String,
    pub transformation: Transformation,
    pub output_type: OutputType,
}

impl Destination {
    /// The key of a file of this Map Run.
    fn key(&self, file: &str) -> String {
        let slash = if self.prefix.is_empty() || self.prefix.ends_with('/') {
            ""
        } else {
            "/"
        };
        let id = self.map_run_arn.rsplit(':').next().unwrap_or_default();
        format!("{}{slash}{id}/{file}", self.prefix)
    }

    async fn open(&self, key: &str) -> Result<Box<dyn ObjectWriter>, TaskFailure> {
        let call = ObjectCall {
            execution_arn: self.execution_arn.clone(),
            state_name: self.state_name.clone(),
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            version_id: None,
        };
        self.host
            .put_object(call)
            .await
            .map_err(|failure| writer_failed(&failure))
    }
}

fn writer_failed(failure: &TaskFailure) -> TaskFailure {
    TaskFailure::new(names::RESULT_WRITER_FAILED, failure.to_string())
}

/// The files of one status.
#[derive(Default)]
struct Files {
    /// Key and size in bytes of those that are complete.
    complete: Vec<(String, u64)>,
    open: Option<File>,
}

/// A file that is being written.
struct File {
    key: String,
    writer: Box<dyn ObjectWriter>,
    gathered: Vec<u8>,
    /// What was handed to the writer, in bytes.
    written: u64,
}

impl File {
    fn size(&self) -> u64 {
        self.written + self.gathered.len() as u64
    }

    async fn write_gathered(&mut self) -> Result<(), TaskFailure> {
        let gathered = std::mem::take(&mut self.gathered);
        self.written += gathered.len() as u64;
        self.writer
            .write(gathered)
            .await
            .map_err(|failure| writer_failed(&failure))
    }
}

/// Writes the results of one Map Run.
pub(crate) struct Export {
    destination: Destination,
    succeeded: Files,
    failed: Files,
    pending: Files,
    file_limit: u64,
}

impl Export {
    pub fn new(destination: Destination) -> Self {
        Self {
            destination,
            succeeded: Files::default(),
            failed: Files::default(),
            pending: Files::default(),
            file_limit: FILE_LIMIT_BYTES,
        }
    }

    /// Adds what came of a child.
    pub async fn add(&mut self, child: &Child<'_>) -> Result<(), TaskFailure> {
        let results = child.transformed(self.destination.transformation);
        let (files, name) = match child.status {
            ExecutionStatus::Succeeded { .. } => (&mut self.succeeded, "SUCCEEDED"),
            _ => (&mut self.failed, "FAILED"),
        };
        for result in results {
            files.add(&self.destination, name, &result, self.file_limit).await?;
        }
        Ok(())
    }

    /// Adds a child that was never started.
    pub async fn add_pending(&mut self, input: &Value) -> Result<(), TaskFailure> {
        let record = json!({"Input": input.to_string(), "InputDetails": {"Included": true}, "Status": "PENDING"});
        self.pending
            .add(&self.destination, "PENDING", &record, self.file_limit)
            .await
    }

    /// Ends the files, and writes the manifest; gives the state's result.
    pub async fn finish(mut self) -> Result<Value, TaskFailure> {
        let destination = &self.destination;
        let mut files = Map::new();
        for (name, of_status) in [
            ("FAILED", &mut self.failed),
            ("PENDING", &mut self.pending),
            ("SUCCEEDED", &mut self.succeeded),
        ] {
            of_status.close(destination).await?;
            let complete = of_status.complete.iter();
            let listed = complete.map(|(key, size)| json!({"Key": key, "Size": size})).collect();
            files.insert(name.to_owned(), listed);
        }
        let manifest = json!({
            "DestinationBucket": destination.bucket,
            "MapRunArn": destination.map_run_arn,
            "ResultFiles": files,
        });
        let key = destination.key("manifest.json");
        let mut writer = destination.open(&key).await?;
        let written = writer.write(manifest.to_string().into_bytes()).await;
        written.map_err(|failure| writer_failed(&failure))?;
        writer.finish().await.map_err(|failure| writer_failed(&failure))?;
        Ok(json!({
            "MapRunArn": destination.map_run_arn,
            "ResultWriterDetails": {"Bucket": destination.bucket, "Key": key},
        }))
    }
}

impl Files {
    async fn add(&mut self, to: &Destination, status: &str, result: &Value, limit: u64) -> Result<(), TaskFailure> {
        let text = result.to_string();
        // A separator goes before it, and the end of the array behind it.
        let is_full = |file: &File| file.size() + text.len() as u64 + 2 > limit;
        if self.open.as_ref().is_some_and(is_full) {
            self.close(to).await?;
        }
        let file = match &mut self.open {
            Some(file) => file,
            none => {
                let ending = match to.output_type {
                    OutputType::Json => "json",
                    OutputType::JsonLines => "jsonl",
                };
                let key = to.key(&format!("{status}_{}.{ending}", self.complete.len()));
                let writer = to.open(&key).await?;
                none.insert(File {
                    key,
                    writer,
                    gathered: Vec::new(),
                    written: 0,
                })
            }
        };
        let separator = match (to.output_type, file.size()) {
            (OutputType::Json, 0) => "[",
            (OutputType::Json, _) => ",",
            (OutputType::JsonLines, _) => "",
        };
        file.gathered.extend(separator.bytes());
        file.gathered.extend(text.bytes());
        if to.output_type == OutputType::JsonLines {
            file.gathered.push(b'\n');
        }
        if file.gathered.len() >= CHUNK_BYTES {
            file.write_gathered().await?;
        }
        Ok(())
    }

    async fn close(&mut self, to: &Destination) -> Result<(), TaskFailure> {
        let Some(mut file) = self.open.take() else {
            return Ok(());
        };
        if to.output_type == OutputType::Json {
            file.gathered.push(b']');
        }
        file.write_gathered().await?;
        self.complete.push((file.key, file.written));
        file.writer.finish().await.map_err(|failure| writer_failed(&failure))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use futures::future::LocalBoxFuture;

    use super::*;
    use crate::history::HistoryEvent;
    use crate::host::TaskCall;
    use crate::storage::{ListCall, ListedObject, ObjectReader};

    type Objects = Rc<RefCell<BTreeMap<String, String>>>;

    /// S3, and nothing else.
    struct Storage(Objects);

    struct Writing(String, Objects);

    impl ObjectWriter for Writing {
        fn write(&mut self, chunk: Vec<u8>) -> LocalBoxFuture<'_, Result<(), TaskFailure>> {
            let mut objects = self.1.borrow_mut();
            *objects.entry(self.0.clone()).or_default() += &String::from_utf8(chunk).unwrap();
            Box::pin(async { Ok(()) })
        }
        fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), TaskFailure>> {
            Box::pin(async { Ok(()) })
        }
    }

    impl Host for Storage {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn random(&self) -> f64 {
            unreachable!()
        }
        fn uuid(&self) -> String {
            unreachable!()
        }
        fn task(&self, _: TaskCall) -> LocalBoxFuture<'_, Result<Value, TaskFailure>> {
            unreachable!()
        }
        fn get_object(&self, _: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectReader>, TaskFailure>> {
            unreachable!()
        }
        fn list_objects(&self, _: ListCall) -> LocalBoxFuture<'_, Result<Vec<ListedObject>, TaskFailure>> {
            unreachable!()
        }
        fn put_object(&self, call: ObjectCall) -> LocalBoxFuture<'_, Result<Box<dyn ObjectWriter>, TaskFailure>> {
            let writing = Writing(call.key, Rc::clone(&self.0));
            Box::pin(async { Ok(Box::new(writing) as Box<dyn ObjectWriter>) })
        }
        fn observe(&self, _: &HistoryEvent) {}
    }

    #[tokio::test]
    async fn what_does_not_fit_into_a_file_goes_into_the_next() {
        for (output_type, ending, files) in [
            (OutputType::Json, "json", ["[10000,10001]", "[10002]"]),
            (OutputType::JsonLines, "jsonl", ["10000\n10001\n", "10002\n"]),
        ] {
            let objects = Objects::default();
            let destination = Destination {
                host: Rc::new(Storage(Rc::clone(&objects))),
                execution_arn: String::new(),
                state_name: String::new(),
                map_run_arn: "arn:aws:states:eu-west-1:123456789012:mapRun:m/map:id".to_owned(),
                bucket: "b".to_owned(),
                prefix: "p/".to_owned(),
                transformation: Transformation::Compact,
                output_type,
            };
            let mut export = Export {
                file_limit: 13,
                ..Export::new(destination)
            };
            let identity = ExecutionIdentity {
                arn: String::new(),
                name: String::new(),
                role_arn: String::new(),
                state_machine_arn: String::new(),
                state_machine_name: String::new(),
                start_time: Timestamp::UNIX_EPOCH,
            };
            for n in 10_000..10_003 {
                let child = Child {
                    identity: &identity,
                    input: &Value::Null,
                    execution_type: ExecutionType::Standard,
                    stopped_at: Timestamp::UNIX_EPOCH,
                    status: &ExecutionStatus::Succeeded { output: n.into() },
                };
                export.add(&child).await.unwrap();
            }
            export.finish().await.unwrap();
            let mut sizes = Vec::new();
            for (n, text) in files.iter().enumerate() {
                let key = format!("p/id/SUCCEEDED_{n}.{ending}");
                assert_eq!(objects.borrow()[&key], *text);
                sizes.push(json!({"Key": key, "Size": text.len()}));
            }
            let manifest: Value = serde_json::from_str(&objects.borrow()["p/id/manifest.json"]).unwrap();
            assert_eq!(manifest["ResultFiles"]["SUCCEEDED"], json!(sizes));
        }
    }
}
