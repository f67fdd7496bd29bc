//! The items of a distributed Map, one after another, in memory that does not grow with their number.

mod csv;
mod inventory;
mod json;
mod lines;
mod parser;
mod place;

use std::collections::VecDeque;

use serde_json::{Value, json as value};

use self::csv::Csv;
use self::inventory::{Inventory, Unpacked};
use self::json::JsonArray;
use self::lines::JsonLines;
use self::parser::Parser;
pub(crate) use self::place::Place;
use self::place::reader_failed;
use crate::definition::ItemFormat;
use crate::errors::TaskFailure;
use crate::storage::{ListCall, ListedObject, ObjectReader};

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
