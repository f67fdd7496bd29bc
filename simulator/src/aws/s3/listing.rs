//! Pages of a bucket's keys and versions. Source: S3 API Reference, `ListObjectVersions` and `ListObjectsV2`.

use std::ops::Bound;

use super::bucket::{Bucket, Version};
use super::refusal::Refusal;

/// The most keys, versions and common prefixes of one page.
pub(super) const PAGE_LIMIT: usize = 1000;

/// What is listed.
#[derive(Default)]
pub(super) struct Asked {
    pub prefix: String,
    /// Keys that have it behind the prefix are rolled up into one common prefix.
    pub delimiter: Option<String>,
    pub limit: usize,
}

/// One entry of a page.
pub(super) enum Entry<'b> {
    Version {
        key: &'b str,
        version: &'b Version,
        is_latest: bool,
    },
    CommonPrefix(&'b str),
}

impl<'b> Entry<'b> {
    /// The key or the prefix, after which the next page begins.
    pub fn name(&self) -> &'b str {
        match self {
            Self::Version { key, .. } => key,
            Self::CommonPrefix(prefix) => prefix,
        }
    }
}

pub(super) struct Page<'b> {
    pub entries: Vec<Entry<'b>>,
    pub is_truncated: bool,
}

impl Asked {
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
        let at = key[self.prefix.len()..].find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }

    /// Keys with the prefix, in the order of their UTF-8 bytes, from a marker on.
    fn keys<'b>(&self, bucket: &'b Bucket, from: Bound<&str>) -> impl Iterator<Item = (&'b String, &'b Vec<Version>)> {
        let at_prefix = Bound::Included(self.prefix.as_str());
        let from = match from {
            Bound::Included(marker) | Bound::Excluded(marker) if marker >= self.prefix.as_str() => from,
            _ => at_prefix,
        };
        let prefix = self.prefix.clone();
        let keys = bucket.keys.range::<str, _>((from, Bound::Unbounded));
        keys.take_while(move |(key, _)| key.starts_with(&prefix))
    }
}

/// Fills a page up to its limit.
struct Filling<'b> {
    page: Page<'b>,
    limit: usize,
}

impl<'b> Filling<'b> {
    fn new(asked: &Asked) -> Self {
        Self {
            page: Page {
                entries: Vec::new(),
                is_truncated: false,
            },
            limit: asked.limit.min(PAGE_LIMIT),
        }
    }

    /// Whether there was room for the entry.
    fn push(&mut self, entry: Entry<'b>) -> bool {
        if self.page.entries.len() >= self.limit {
            // A page without any room ends the listing.
            self.page.is_truncated = self.limit > 0;
            return false;
        }
        self.page.entries.push(entry);
        true
    }

    /// Whether there is room for a common prefix, if it is not on the page or the one before it.
    fn push_prefix(&mut self, prefix: &'b str, marker: Option<&str>) -> bool {
        let last = self.page.entries.last();
        let is_listed = marker == Some(prefix) || matches!(last, Some(Entry::CommonPrefix(last)) if *last == prefix);
        is_listed || self.push(Entry::CommonPrefix(prefix))
    }
}

/// All versions and delete markers: by key, and each key's newest first. `after` is the key that the page before ended
/// with, and the ID of its version.
///
/// # Errors
/// `InvalidArgument`, if the key never had that version.
pub(super) fn versions<'b>(
    bucket: &'b Bucket,
    asked: &Asked,
    after: Option<(&str, Option<&str>)>,
) -> Result<Page<'b>, Refusal> {
    let marker = after.map(|(key, _)| key);
    let mut before = u64::MAX;
    let from = match after {
        None => Bound::Unbounded,
        Some((key, None)) => Bound::Excluded(key),
        Some((key, Some(id))) => {
            let sequence = bucket.sequence_of(key, id);
            before = sequence.ok_or_else(|| Refusal::new(400, "InvalidArgument", "Invalid version id specified"))?;
            Bound::Included(key)
        }
    };
    let mut filling = Filling::new(asked);
    for (key, versions) in asked.keys(bucket, from) {
        if let Some(prefix) = asked.common_prefix(key) {
            if !filling.push_prefix(prefix, marker) {
                return Ok(filling.page);
            }
            continue;
        }
        let newest = versions.last().map_or(0, |version| version.sequence);
        for version in versions.iter().rev() {
            if Some(key.as_str()) == marker && version.sequence >= before {
                continue;
            }
            let is_latest = version.sequence == newest;
            if !filling.push(Entry::Version {
                key,
                version,
                is_latest,
            }) {
                return Ok(filling.page);
            }
        }
    }
    Ok(filling.page)
}

/// The objects that keys have now, after the name that the page before ended with.
pub(super) fn objects<'b>(bucket: &'b Bucket, asked: &Asked, after: Option<&str>) -> Page<'b> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut filling = Filling::new(asked);
    for (key, versions) in asked.keys(bucket, from) {
        let Some(version) = versions.last().filter(|version| version.content.is_some()) else {
            continue;
        };
        let has_room = match asked.common_prefix(key) {
            Some(prefix) => filling.push_prefix(prefix, after),
            None => filling.push(Entry::Version {
                key,
                version,
                is_latest: true,
            }),
        };
        if !has_room {
            break;
        }
    }
    filling.page
}
