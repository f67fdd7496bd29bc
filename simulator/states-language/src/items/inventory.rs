//! An S3 inventory: a manifest that names objects of packed CSV. Source: S3 User Guide, "Locating your inventory list"; Step
//! Functions Developer Guide, "ItemReader".

use std::io::Write;

use flate2::write::MultiGzDecoder;
use futures::future::LocalBoxFuture;
use serde::Deserialize;

use super::csv::Csv;
use super::parser::{ITEM_LIMIT_BYTES, Parser};
use super::place::{Place, reader_failed};
use crate::errors::TaskFailure;
use crate::storage::ObjectReader;

/// What is still to be read of an inventory.
pub(crate) struct Inventory {
    pub bucket: String,
    /// The names of the columns.
    headers: Vec<String>,
    /// The last is read next.
    files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    destination_bucket: String,
    file_format: String,
    file_schema: String,
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    key: String,
}

impl Inventory {
    pub async fn read(place: &Place) -> Result<Self, TaskFailure> {
        let mut body = place
            .open(&place.bucket, &place.key, place.version_id.as_deref())
            .await?;
        let mut text = Vec::new();
        loop {
            let chunk = body.next_chunk().await;
            let Some(chunk) = chunk.map_err(|failure| reader_failed(&failure.to_string()))? else {
                break;
            };
            text.extend(chunk);
            if text.len() > ITEM_LIMIT_BYTES {
                return Err(reader_failed(&format!(
                    "the manifest is larger than {ITEM_LIMIT_BYTES} bytes"
                )));
            }
        }
        Self::parse(&text).map_err(|why| reader_failed(&why))
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let manifest = serde_json::from_slice::<Manifest>(text);
        let manifest = manifest.map_err(|error| format!("it is no manifest of an S3 inventory: {error}"))?;
        if manifest.file_format != "CSV" {
            return Err(format!(
                "inventories in the format {} are not supported, only CSV",
                manifest.file_format
            ));
        }
        let bucket = manifest.destination_bucket;
        Ok(Self {
            bucket: bucket.rsplit(':').next().unwrap_or_default().to_owned(),
            headers: manifest
                .file_schema
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
            files: manifest.files.into_iter().rev().map(|file| file.key).collect(),
        })
    }

    pub fn next_file(&mut self) -> Option<String> {
        self.files.pop()
    }

    pub fn parser(&self) -> Result<Box<dyn Parser>, TaskFailure> {
        Ok(Box::new(Csv::new(b',', Some(self.headers.clone()))?))
    }
}

/// An object that is packed with gzip, unpacked.
pub(super) struct Unpacked {
    packed: Box<dyn ObjectReader>,
    decoder: MultiGzDecoder<Vec<u8>>,
    has_ended: bool,
}

impl Unpacked {
    pub fn new(packed: Box<dyn ObjectReader>) -> Self {
        Self {
            packed,
            decoder: MultiGzDecoder::new(Vec::new()),
            has_ended: false,
        }
    }

    /// What the decoder has, after more was given to it, or after its end.
    fn unpack(&mut self, chunk: Option<&[u8]>) -> std::io::Result<Vec<u8>> {
        match chunk {
            Some(chunk) => self.decoder.write_all(chunk)?,
            None => self.decoder.try_finish()?,
        }
        Ok(std::mem::take(self.decoder.get_mut()))
    }
}

impl ObjectReader for Unpacked {
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>, TaskFailure>> {
        Box::pin(async {
            while !self.has_ended {
                let chunk = self.packed.next_chunk().await?;
                self.has_ended = chunk.is_none();
                let unpacked = self.unpack(chunk.as_deref());
                let unpacked = unpacked.map_err(|error| reader_failed(&format!("an object is no gzip: {error}")))?;
                if !unpacked.is_empty() {
                    return Ok(Some(unpacked));
                }
            }
            Ok(None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_columns_and_files() {
        let text = r#"{"sourceBucket": "source", "destinationBucket": "arn:aws:s3:::lists", "version": "2016-11-30",
            "creationTimestamp": "1514944800000", "fileFormat": "CSV", "fileSchema": "Bucket, Key, VersionId",
            "files": [{"key": "a.csv.gz", "size": 1, "MD5checksum": "x"}, {"key": "b.csv.gz", "size": 1, "MD5checksum": "y"}]}"#;
        let mut inventory = Inventory::parse(text.as_bytes()).unwrap();
        assert_eq!((inventory.bucket.as_str(), inventory.headers.len()), ("lists", 3));
        assert_eq!(inventory.next_file().as_deref(), Some("a.csv.gz"));
        let orc = text.replace("CSV", "ORC");
        let error = Inventory::parse(orc.as_bytes()).err().unwrap();
        assert!(error.contains("ORC"), "{error}");
    }
}
