//! What a bucket holds: the versions of each key, oldest first. Source: S3 User Guide, "How S3 Versioning works", "Working
//! with delete markers" and "Working with objects in a versioning-suspended bucket".

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::refusal::Refusal;

/// The ID of a version that was put while versioning was not enabled.
pub(super) const NULL: &str = "null";

/// Whether a bucket keeps the versions of its objects. Once enabled, it can only be suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// It was never enabled.
    #[default]
    Unversioned,
    /// Each put and each deletion adds a version.
    Enabled,
    /// What is there stays; puts and deletions replace the version `null`.
    Suspended,
}

/// An object as it was put.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub body: Bytes,
    pub etag: String,
    /// Headers that come back with it: `content-type` and the user's metadata.
    pub headers: Vec<(String, String)>,
}

/// A version of a key.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub id: String,
    /// Larger than those of all versions that the bucket got before.
    pub sequence: u64,
    pub last_modified: Timestamp,
    /// None for a delete marker.
    pub content: Option<Content>,
    /// Whether a legal hold of Object Lock protects it.
    pub is_held: bool,
}

impl Content {
    pub fn new(body: Bytes, headers: Vec<(String, String)>) -> Self {
        let etag = etag(&body);
        Self { body, etag, headers }
    }
}

impl Versioning {
    /// As `GetBucketVersioning` tells it; nothing, if it was never enabled.
    pub fn status(self) -> Option<&'static str> {
        match self {
            Self::Unversioned => None,
            Self::Enabled => Some("Enabled"),
            Self::Suspended => Some("Suspended"),
        }
    }
}

/// AWS promises only that an entity tag changes with the content.
fn etag(body: &[u8]) -> String {
    let hash = format!("{:x}", Sha256::digest(body));
    format!("\"{}\"", &hash[..32])
}

#[derive(Default)]
pub(super) struct Bucket {
    pub region: String,
    pub versioning: Versioning,
    pub keys: BTreeMap<String, Vec<Version>>,
    /// Sequences of versions that were deleted, by key and ID: where a listing goes on whose marker is gone.
    removed: BTreeMap<(String, String), u64>,
    next_sequence: u64,
    pub lifecycle: Option<Bytes>,
    pub policy: Option<Bytes>,
    /// The keys that everybody may read.
    pub public: BTreeSet<String>,
    /// Whether public access is blocked, whatever the bucket's policy says.
    pub is_blocked: bool,
    /// Whether it takes what is left behind and never taken back.
    pub is_journal: bool,
}

impl Bucket {
    pub fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            ..Self::default()
        }
    }

    /// The newest version of a key, which may be a delete marker.
    pub fn newest(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.last()
    }

    /// The object that a key has now.
    pub fn object(&self, key: &str) -> Option<&Content> {
        self.newest(key)?.content.as_ref()
    }

    pub fn version(&self, key: &str, id: &str) -> Option<&Version> {
        self.keys.get(key)?.iter().find(|version| version.id == id)
    }

    pub fn version_mut(&mut self, key: &str, id: &str) -> Option<&mut Version> {
        self.keys.get_mut(key)?.iter_mut().find(|version| version.id == id)
    }

    /// The sequence of a version that there is or was.
    pub fn sequence_of(&self, key: &str, id: &str) -> Option<u64> {
        let there = self.version(key, id).map(|version| version.sequence);
        there.or_else(|| self.removed.get(&(key.to_owned(), id.to_owned())).copied())
    }

    /// Puts an object; gives the ID of its version.
    pub fn put(&mut self, key: &str, content: Content, now: Timestamp, new_id: impl FnOnce() -> String) -> String {
        self.add(key, Some(content), now, new_id)
    }

    /// Deletes an object; gives the ID of the delete marker that it has now, where versions are kept.
    pub fn delete(&mut self, key: &str, now: Timestamp, new_id: impl FnOnce() -> String) -> Option<String> {
        if self.versioning == Versioning::Unversioned {
            self.keys.remove(key);
            return None;
        }
        Some(self.add(key, None, now, new_id))
    }

    /// Deletes a version for good; says whether it was a delete marker. One that is not there is deleted already.
    ///
    /// # Errors
    /// `AccessDenied`, if it is held.
    pub fn delete_version(&mut self, key: &str, id: &str) -> Result<bool, Refusal> {
        let Some(versions) = self.keys.get_mut(key) else {
            return Ok(false);
        };
        let Some(position) = versions.iter().position(|version| version.id == id) else {
            return Ok(false);
        };
        if versions[position].is_held {
            let message = "Access Denied because object protected by object lock.";
            return Err(Refusal::new(403, "AccessDenied", message));
        }
        let removed = versions.remove(position);
        if versions.is_empty() {
            self.keys.remove(key);
        }
        if self.versioning != Versioning::Unversioned {
            self.removed.insert((key.to_owned(), removed.id), removed.sequence);
        }
        Ok(removed.content.is_none())
    }

    fn add(&mut self, key: &str, content: Option<Content>, now: Timestamp, new_id: impl FnOnce() -> String) -> String {
        let id = match self.versioning {
            Versioning::Enabled => new_id(),
            Versioning::Unversioned | Versioning::Suspended => NULL.to_owned(),
        };
        self.next_sequence += 1;
        let versions = self.keys.entry(key.to_owned()).or_default();
        if id == NULL {
            versions.retain(|version| version.id != NULL);
        }
        versions.push(Version {
            id: id.clone(),
            sequence: self.next_sequence,
            // S3 tells whole seconds.
            last_modified: Timestamp::from_second(now.as_second()).unwrap_or(now),
            content,
            is_held: false,
        });
        id
    }
}
