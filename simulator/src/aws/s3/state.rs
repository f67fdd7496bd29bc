//! Buckets and what is in them, as tests and the machines see them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::bucket::{self, Bucket, Content, Version, Versioning};
use super::listing::{self, Asked};
use super::refusal::Refusal;
use crate::aws::wire::http_date;
use crate::environment::Environment;
use crate::lock::lock;

/// S3 buckets.
#[derive(Default)]
pub struct S3 {
    pub(super) buckets: Mutex<BTreeMap<String, Bucket>>,
}

/// An object as a listing of the keys of a bucket has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub key: String,
    pub etag: String,
    /// In bytes.
    pub size: usize,
    pub last_modified: Timestamp,
}

impl S3 {
    /// Makes a bucket; the objects in `public` may be read by everybody.
    pub fn create_bucket(&self, region: &str, name: &str, public: &[&str]) {
        let mut bucket = Bucket::new(region);
        bucket.public = public.iter().map(|key| (*key).to_owned()).collect();
        lock(&self.buckets).insert(name.to_owned(), bucket);
    }

    /// Deletes a bucket, with what is in it.
    pub fn delete_bucket(&self, name: &str) {
        lock(&self.buckets).remove(name);
    }

    /// Makes a bucket for what is left behind and never taken back, such as reports: its objects are part of the journal, and
    /// not of the snapshot.
    pub fn create_journal_bucket(&self, region: &str, name: &str) {
        let mut bucket = Bucket::new(region);
        bucket.is_journal = true;
        lock(&self.buckets).insert(name.to_owned(), bucket);
    }

    /// Entity tags of the objects of each bucket of a kind, by bucket and key; where there are versions, those of all of
    /// them by their IDs, and none for a delete marker.
    pub(super) fn tags(&self, of_journals: bool) -> Value {
        let tag = |version: &Version| version.content.as_ref().map(|content| content.etag.clone());
        let buckets = lock(&self.buckets);
        let of_kind = buckets.iter().filter(|(_, bucket)| bucket.is_journal == of_journals);
        let each = of_kind.map(|(name, bucket)| {
            let keys = bucket.keys.iter().map(|(key, versions)| {
                let tags = match bucket.versioning {
                    Versioning::Unversioned => json!(versions.last().and_then(tag)),
                    _ => versions
                        .iter()
                        .map(|version| json!([version.id, tag(version)]))
                        .collect(),
                };
                (key, tags)
            });
            (name, keys.collect::<BTreeMap<_, _>>())
        });
        json!(each.collect::<BTreeMap<_, _>>())
    }

    /// What is set for each bucket of which anything is.
    pub(super) fn settings(&self) -> Value {
        let text = |document: &Option<Bytes>| {
            document
                .as_ref()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let buckets = lock(&self.buckets);
        let each = buckets.iter().filter_map(|(name, bucket)| {
            let is_set =
                bucket.versioning != Versioning::Unversioned || bucket.lifecycle.is_some() || bucket.policy.is_some();
            let settings = json!({
                "versioning": bucket.versioning.status(),
                "lifecycle": text(&bucket.lifecycle),
                "policy": text(&bucket.policy),
            });
            is_set.then_some((name, settings))
        });
        json!(each.collect::<BTreeMap<_, _>>())
    }

    /// The Region of a bucket.
    pub fn region_of(&self, bucket: &str) -> Option<String> {
        lock(&self.buckets).get(bucket).map(|bucket| bucket.region.clone())
    }

    /// Whether anybody on the internet gets HTTP 200 for an object.
    pub fn is_publicly_there(&self, bucket: &str, key: &str) -> bool {
        lock(&self.buckets)
            .get(bucket)
            .is_some_and(|bucket| !bucket.is_blocked && bucket.public.contains(key) && bucket.object(key).is_some())
    }

    /// Blocks public access to a bucket, as the account's or the bucket's own setting does, or lets it.
    pub fn block_public_access(&self, bucket: &str, on: bool) {
        if let Some(bucket) = lock(&self.buckets).get_mut(bucket) {
            bucket.is_blocked = on;
        }
    }

    /// Puts a version under a legal hold of Object Lock, or ends the hold. Whoever wants to delete a version that is held is
    /// denied; delete markers are still added.
    pub fn hold(&self, bucket: &str, key: &str, version_id: &str, on: bool) {
        let mut buckets = lock(&self.buckets);
        let bucket = buckets.get_mut(bucket);
        if let Some(version) = bucket.and_then(|bucket| bucket.version_mut(key, version_id)) {
            version.is_held = on;
        }
    }

    /// Somebody whom no recovery knows deletes an object. Where there are versions, that adds a delete marker.
    pub fn delete(&self, environment: &Environment, bucket: &str, key: &str) {
        if let Some(bucket) = lock(&self.buckets).get_mut(bucket) {
            bucket.delete(key, environment.now(), || new_id(environment));
        }
    }

    /// The content of an object or of a version of it, as `GetObject` in `region` gives it.
    pub(crate) fn read(&self, region: &str, bucket: &str, key: &str, version: Option<&str>) -> Result<Bytes, Refusal> {
        let mut buckets = lock(&self.buckets);
        let bucket = find(&mut buckets, region, bucket)?;
        let (_, content) = content(bucket, key, version)?;
        Ok(content.body.clone())
    }

    /// Whether a bucket can be used in `region`.
    pub(crate) fn find(&self, region: &str, bucket: &str) -> Result<(), Refusal> {
        find(&mut lock(&self.buckets), region, bucket).map(drop)
    }

    /// Puts an object, as `PutObject` in `region` does.
    pub(crate) fn write(
        &self,
        environment: &Environment,
        region: &str,
        bucket: &str,
        key: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut buckets = lock(&self.buckets);
        let bucket = find(&mut buckets, region, bucket)?;
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        let content = Content::new(Bytes::from(body), headers);
        bucket.put(key, content, environment.now(), || new_id(environment));
        Ok(())
    }

    /// The next page of the objects with a prefix, as `ListObjectsV2` in `region` gives it; nothing after the last.
    pub(crate) fn list(
        &self,
        region: &str,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<Listed>, Refusal> {
        let mut buckets = lock(&self.buckets);
        let bucket = find(&mut buckets, region, bucket)?;
        let asked = Asked {
            prefix: prefix.to_owned(),
            delimiter: None,
            limit: listing::PAGE_LIMIT,
        };
        let page = listing::objects(bucket, &asked, after);
        let listed = page.entries.iter().filter_map(|entry| match entry {
            listing::Entry::Version { key, version, .. } => {
                let content = version.content.as_ref()?;
                Some(Listed {
                    key: (*key).to_owned(),
                    etag: content.etag.clone(),
                    size: content.body.len(),
                    last_modified: version.last_modified,
                })
            }
            listing::Entry::CommonPrefix(_) => None,
        });
        Ok(listed.collect())
    }
}

/// A bucket that is asked for in `region`.
pub(super) fn find<'b>(
    buckets: &'b mut BTreeMap<String, Bucket>,
    region: &str,
    name: &str,
) -> Result<&'b mut Bucket, Refusal> {
    let bucket = buckets
        .get_mut(name)
        .ok_or_else(|| Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist"))?;
    if bucket.region != region {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
        let refusal = Refusal::new(301, "PermanentRedirect", message);
        return Err(refusal.with("x-amz-bucket-region", bucket.region.clone()));
    }
    Ok(bucket)
}

/// The object that a key has now, or that a version of it is.
pub(super) fn content<'b>(
    bucket: &'b Bucket,
    key: &str,
    id: Option<&str>,
) -> Result<(&'b Version, &'b Content), Refusal> {
    let version = match id {
        None => bucket.newest(key).ok_or_else(Refusal::no_such_key)?,
        Some(id) => {
            check_id(id)?;
            bucket.version(key, id).ok_or_else(Refusal::no_such_version)?
        }
    };
    match &version.content {
        Some(content) => Ok((version, content)),
        None => {
            let refusal = match id {
                None => Refusal::no_such_key().with("x-amz-version-id", version.id.clone()),
                Some(_) => {
                    let message = "The specified method is not allowed against this resource.";
                    Refusal::new(405, "MethodNotAllowed", message)
                        .with("allow", "DELETE")
                        .with("last-modified", http_date(version.last_modified))
                }
            };
            Err(refusal.with("x-amz-delete-marker", "true"))
        }
    }
}

/// How many letters an ID of a version has.
const ID_LENGTH: usize = 32;

fn is_id_letter(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'.'
}

pub(super) fn new_id(environment: &Environment) -> String {
    let letters: Vec<u8> = (b'.'..=b'z').filter(|&letter| is_id_letter(letter)).collect();
    environment.chance("s3-version", |rng| {
        let letter = |_| char::from(letters[rng.usize(..letters.len())]);
        (0..ID_LENGTH).map(letter).collect()
    })
}

/// Whether it can be the ID of a version at all.
pub(super) fn check_id(id: &str) -> Result<(), Refusal> {
    if id == bucket::NULL || (id.len() == ID_LENGTH && id.bytes().all(is_id_letter)) {
        return Ok(());
    }
    Err(Refusal::new(400, "InvalidArgument", "Invalid version id specified"))
}
