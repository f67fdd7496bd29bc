//! What Step Functions asks of S3 for a distributed Map: the items that it reads, and the results that it writes.

use futures::future::LocalBoxFuture;
use jiff::Timestamp;

use crate::errors::TaskFailure;

/// Which object a distributed Map reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectCall {
    /// The execution that asks.
    pub execution_arn: String,
    /// The Map state.
    pub state_name: String,
    /// The bucket.
    pub bucket: String,
    /// The object.
    pub key: String,
    /// Which version of it is read; none for the one that it has now, and for an object that is written.
    pub version_id: Option<String>,
}

/// Which objects a distributed Map lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCall {
    /// The execution that asks.
    pub execution_arn: String,
    /// The Map state.
    pub state_name: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys begin with; empty for all.
    pub prefix: String,
    /// The last key of the page before; none for the first page.
    pub after: Option<String>,
}

/// An object as `ListObjectsV2` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its entity tag, in quotes.
    pub etag: String,
    /// Its key.
    pub key: String,
    /// When it was put.
    pub last_modified: Timestamp,
    /// In bytes.
    pub size: u64,
    /// `STANDARD`, and the like.
    pub storage_class: String,
}

/// An object while it is read.
pub trait ObjectReader {
    /// The next bytes, as many as the host likes; none at the end.
    ///
    /// # Errors
    /// Any failure; the machine sees it as `States.ItemReaderFailed`.
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>, TaskFailure>>;
}

/// An object while it is written. It is there when it is finished, and not before.
pub trait ObjectWriter {
    /// Adds bytes at its end.
    ///
    /// # Errors
    /// Any failure; the machine sees it as `States.ResultWriterFailed`.
    fn write(&mut self, chunk: Vec<u8>) -> LocalBoxFuture<'_, Result<(), TaskFailure>>;

    /// Puts the object.
    ///
    /// # Errors
    /// Likewise.
    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), TaskFailure>>;
}
