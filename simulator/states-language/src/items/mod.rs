//! The items of a distributed Map, one after another, in memory that does not grow with their number.

mod csv;
mod inventory;
mod json;
mod lines;

use std::collections::VecDeque;
use std::rc::Rc;

use serde_json::{Value, json as value};

use self::csv::Csv;
use self::inventory::{Inventory, Unpacked};
use self::json::JsonArray;
use self::lines::JsonLines;
use crate::definition::ItemFormat;
use crate::errors::{TaskFailure, names};
use crate::host::Host;
use crate::storage::{ListCall, ListedObject, ObjectCall, ObjectReader};

/// The largest item that Step Functions reads, in bytes.
const ITEM_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Where items come from: the place that `Arguments` name, and who reads it.
pub(crate) struct Place {
    pub host: Rc<dyn Host>,
    pub execution_arn: String,
    pub state_name: String,
    pub bucket: String,
    /// The key; for a listing, the prefix.
    pub key: String,
    pub version_id: Option<String>,
}

impl Place {
    fn object(&self, bucket: &str, key: &str, version_id: Option<&str>) -> ObjectCall {
        ObjectCall {
            execution_arn: self.execution_arn.clone(),
            state_name: self.state_name.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: version_id.map(str::to_owned),
        }
    }

    async fn open(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Box<dyn ObjectReader>, TaskFailure> {
        let opened = self.host.get_object(self.object(bucket, key, version_id)).await;
        opened.map_err(|failure| reader_failed(&failure.to_string()))
    }
}

/// Items, of which the next can be had.
pub(crate) enum Items {
    /// Those that the state itself has.
    Given(std::vec::IntoIter<Value>),
    Listed(Listing),
    Read(Box<Reading>),
}

impl Items {
    /// Opens what an `ItemReader` names.
    pub async fn open(place: Place, format: &ItemFormat) -> Result<Self, TaskFailure> {
        let parser: Box<dyn Parser> = match format {
            ItemFormat::Objects => {
                return Ok(Self::Listed(Listing {
                    place,
                    page: VecDeque::new(),
                    after: None,
                    has_ended: false,
                }));
            }
            ItemFormat::Json => Box::new(JsonArray::default()),
            ItemFormat::JsonLines => Box::new(JsonLines::default()),
            ItemFormat::Csv { delimiter, headers } => Box::new(Csv::new(*delimiter, headers.clone())?),
            ItemFormat::Inventory => {
                let inventory = Inventory::read(&place).await?;
                let reading = Reading::of_inventory(place, inventory)?;
                return Ok(Self::Read(Box::new(reading)));
            }
        };
        let body = place
            .open(&place.bucket, &place.key, place.version_id.as_deref())
            .await?;
        Ok(Self::Read(Box::new(Reading::new(place, body, parser))))
    }

    /// The next item; none after the last.
    pub async fn next(&mut self) -> Result<Option<Value>, TaskFailure> {
        match self {
            Self::Given(items) => Ok(items.next()),
            Self::Listed(listing) => listing.next().await,
            Self::Read(reading) => reading.next().await,
        }
    }
}

/// The objects of a bucket, page by page.
pub(crate) struct Listing {
    place: Place,
    page: VecDeque<ListedObject>,
    after: Option<String>,
    has_ended: bool,
}

impl Listing {
    async fn next(&mut self) -> Result<Option<Value>, TaskFailure> {
        if self.page.is_empty() && !self.has_ended {
            let call = ListCall {
                execution_arn: self.place.execution_arn.clone(),
                state_name: self.place.state_name.clone(),
                bucket: self.place.bucket.clone(),
                prefix: self.place.key.clone(),
                after: self.after.take(),
            };
            let page = self.place.host.list_objects(call).await;
            self.page = page.map_err(|failure| reader_failed(&failure.to_string()))?.into();
            self.after = self.page.back().map(|last| last.key.clone());
            self.has_ended = self.page.is_empty();
        }
        // Step Functions writes the name of the tag like this.
        Ok(self.page.pop_front().map(|object| {
            value!({
                "Etag": object.etag,
                "Key": object.key,
                "LastModified": object.last_modified.as_second(),
                "Size": object.size,
                "StorageClass": object.storage_class,
            })
        }))
    }
}

/// Makes items of bytes.
trait Parser {
    /// Takes as many bytes as the next item needs, or all; gives how many, and the item if they end one.
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Value>), String>;

    /// There are no more bytes; gives the item that ends with them.
    fn end(&mut self) -> Result<Option<Value>, String>;
}

/// One object after another, as they are parsed.
pub(crate) struct Reading {
    place: Place,
    body: Box<dyn ObjectReader>,
    parser: Box<dyn Parser>,
    chunk: Vec<u8>,
    /// How much of `chunk` is parsed.
    parsed: usize,
    /// Whether the object has ended.
    has_ended: bool,
    /// The objects that are still to be read.
    inventory: Option<Inventory>,
}

impl Reading {
    fn new(place: Place, body: Box<dyn ObjectReader>, parser: Box<dyn Parser>) -> Self {
        Self {
            place,
            body,
            parser,
            chunk: Vec::new(),
            parsed: 0,
            has_ended: false,
            inventory: None,
        }
    }

    fn of_inventory(place: Place, inventory: Inventory) -> Result<Self, TaskFailure> {
        let parser = inventory.parser()?;
        Ok(Self {
            has_ended: true,
            inventory: Some(inventory),
            ..Self::new(place, Box::new(Nothing), parser)
        })
    }

    async fn next(&mut self) -> Result<Option<Value>, TaskFailure> {
        loop {
            while self.parsed < self.chunk.len() {
                let fed = self.parser.feed(&self.chunk[self.parsed..]);
                let (taken, item) = fed.map_err(|why| reader_failed(&why))?;
                self.parsed += taken;
                if item.is_some() {
                    return Ok(item);
                }
            }
            if self.has_ended {
                let Some(inventory) = &mut self.inventory else {
                    return Ok(None);
                };
                let Some(key) = inventory.next_file() else {
                    return Ok(None);
                };
                self.parser = inventory.parser()?;
                let body = self.place.open(&inventory.bucket, &key, None).await?;
                self.body = Box::new(Unpacked::new(body));
                self.has_ended = false;
            }
            let chunk = self.body.next_chunk().await;
            match chunk.map_err(|failure| reader_failed(&failure.to_string()))? {
                Some(chunk) => (self.chunk, self.parsed) = (chunk, 0),
                None => {
                    self.has_ended = true;
                    let last = self.parser.end().map_err(|why| reader_failed(&why))?;
                    if last.is_some() {
                        return Ok(last);
                    }
                }
            }
        }
    }
}

/// An object without any bytes.
struct Nothing;

impl ObjectReader for Nothing {
    fn next_chunk(&mut self) -> futures::future::LocalBoxFuture<'_, Result<Option<Vec<u8>>, TaskFailure>> {
        Box::pin(async { Ok(None) })
    }
}

fn reader_failed(why: &str) -> TaskFailure {
    TaskFailure::new(names::ITEM_READER_FAILED, why)
}

/// Feeds a parser that looks at each byte.
fn each_byte(
    bytes: &[u8],
    mut feed: impl FnMut(u8) -> Result<Option<Value>, String>,
) -> Result<(usize, Option<Value>), String> {
    for (before, &byte) in bytes.iter().enumerate() {
        if let Some(item) = feed(byte)? {
            return Ok((before + 1, Some(item)));
        }
    }
    Ok((bytes.len(), None))
}

/// Adds bytes to an item that is not complete.
fn add(item: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    if item.len() + bytes.len() > ITEM_LIMIT_BYTES {
        return Err(format!("an item is larger than {ITEM_LIMIT_BYTES} bytes"));
    }
    item.extend_from_slice(bytes);
    Ok(())
}

/// Leaves out the mark that a text of UTF-8 may begin with.
#[derive(Default)]
struct ByteOrderMark(usize);

impl ByteOrderMark {
    const BYTES: [u8; 3] = [0xef, 0xbb, 0xbf];

    /// Whether the byte belongs to the mark.
    fn skips(&mut self, byte: u8) -> bool {
        let belongs = Self::BYTES.get(self.0) == Some(&byte);
        self.0 = if belongs { self.0 + 1 } else { usize::MAX };
        belongs
    }
}

#[cfg(test)]
fn parsed(mut parser: impl Parser, text: &str) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (taken, item) = parser.feed(rest)?;
        items.extend(item);
        rest = &rest[taken..];
    }
    items.extend(parser.end()?);
    Ok(items)
}
