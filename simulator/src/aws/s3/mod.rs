//! S3 buckets: whole objects, without versions.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::aws::wire::{Call, Reply, element};
use crate::lock::lock;

/// S3 buckets.
#[derive(Default)]
pub struct S3 {
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Default)]
struct Bucket {
    region: String,
    objects: BTreeMap<String, Vec<u8>>,
    public: BTreeSet<String>,
    /// Whether public access is blocked, whatever the bucket's policy says.
    is_blocked: bool,
    /// Whether it takes what is left behind and never taken back.
    is_journal: bool,
}

impl S3 {
    /// Makes a bucket; the objects in `public` may be read by everybody.
    pub fn create_bucket(&self, region: &str, name: &str, public: &[&str]) {
        let bucket = Bucket {
            region: region.to_owned(),
            public: public.iter().map(|key| (*key).to_owned()).collect(),
            ..Bucket::default()
        };
        lock(&self.buckets).insert(name.to_owned(), bucket);
    }

    /// Deletes a bucket, with what is in it.
    pub fn delete_bucket(&self, name: &str) {
        lock(&self.buckets).remove(name);
    }

    /// Makes a bucket for what is left behind and never taken back, such as reports: its objects are part of the journal, and
    /// not of the snapshot.
    pub fn create_journal_bucket(&self, region: &str, name: &str) {
        let bucket = Bucket {
            region: region.to_owned(),
            is_journal: true,
            ..Bucket::default()
        };
        lock(&self.buckets).insert(name.to_owned(), bucket);
    }

    /// Entity tags of the objects of each bucket of a kind, by bucket and key.
    fn tags(&self, of_journals: bool) -> Value {
        let buckets = lock(&self.buckets);
        let of_kind = buckets.iter().filter(|(_, bucket)| bucket.is_journal == of_journals);
        let each = of_kind.map(|(name, bucket)| {
            let tags = bucket.objects.iter().map(|(key, body)| (key, etag(body)));
            (name, tags.collect::<BTreeMap<_, _>>())
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
            .is_some_and(|bucket| !bucket.is_blocked && bucket.public.contains(key) && bucket.objects.contains_key(key))
    }

    /// Blocks public access to a bucket, as the account's or the bucket's own setting does, or lets it.
    pub fn block_public_access(&self, bucket: &str, on: bool) {
        if let Some(bucket) = lock(&self.buckets).get_mut(bucket) {
            bucket.is_blocked = on;
        }
    }

    /// Somebody whom no recovery knows deletes an object.
    pub fn delete(&self, bucket: &str, key: &str) {
        if let Some(bucket) = lock(&self.buckets).get_mut(bucket) {
            bucket.objects.remove(key);
        }
    }

    fn reply_to(&self, call: &Call, operation: &str) -> Reply {
        let (bucket, key) = call
            .path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((&call.path, ""));
        let mut reply = match unknown(call) {
            Some(what) => error(501, "NotImplemented", &format!("the simulated S3 does not know {what}")),
            None => self.object(operation, &call.region, bucket, key, &call.body),
        };
        // An answer to HEAD has no body, so S3 can give no code.
        if call.method == "HEAD" {
            reply.body.clear();
        }
        reply
    }

    fn object(&self, operation: &str, region: &str, bucket: &str, key: &str, body: &[u8]) -> Reply {
        let mut buckets = lock(&self.buckets);
        let Some(bucket) = buckets.get_mut(bucket) else {
            return error(404, "NoSuchBucket", "The specified bucket does not exist");
        };
        if bucket.region != region {
            let mut reply = error(
                301,
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified endpoint.",
            );
            reply.headers.push(("x-amz-bucket-region", bucket.region.clone()));
            return reply;
        }
        if operation == "HeadBucket" {
            return Reply::new(200, "application/xml", "");
        }
        if key.is_empty() {
            return error(501, "NotImplemented", "the simulated S3 knows objects only");
        }
        match operation {
            "PutObject" => {
                bucket.objects.insert(key.to_owned(), body.to_vec());
                let mut reply = Reply::new(200, "application/xml", "");
                reply.headers.push(("etag", etag(body)));
                reply
            }
            "GetObject" | "HeadObject" => match bucket.objects.get(key) {
                Some(body) => {
                    let mut reply = Reply::new(200, "application/octet-stream", body.clone());
                    reply.headers.push(("content-length", body.len().to_string()));
                    reply.headers.push(("etag", etag(body)));
                    reply
                }
                None => error(404, "NoSuchKey", "The specified key does not exist."),
            },
            "DeleteObject" => {
                bucket.objects.remove(key);
                Reply::new(204, "application/xml", "")
            }
            _ => error(501, "NotImplemented", "the simulated S3 does not know this method"),
        }
    }
}

/// What of a call the simulator would not heed: what a query asks for, conditions, and keys that are not plain.
fn unknown(call: &Call) -> Option<String> {
    let (_, query) = call.uri.split_once('?').unwrap_or_default();
    let asked = query
        .split('&')
        .find(|part| !part.is_empty() && !part.starts_with("x-id="));
    let header = call.headers.keys().map(http::HeaderName::as_str).find(|name| {
        [
            "if-",
            "range",
            "x-amz-acl",
            "x-amz-grant",
            "x-amz-copy",
            "x-amz-server-side",
            "x-amz-object-lock",
            "x-amz-tagging",
        ]
        .iter()
        .any(|beginning| name.starts_with(beginning))
    });
    let escaped = call.path.contains('%').then(|| call.path.clone());
    asked.or(header).map(str::to_owned).or(escaped)
}

/// AWS promises only that an entity tag changes with the content.
fn etag(body: &[u8]) -> String {
    let hash = format!("{:x}", Sha256::digest(body));
    format!("\"{}\"", &hash[..32])
}

/// An error as S3 tells it.
fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::new(
        status,
        "application/xml",
        format!(
            "<Error>{}{}</Error>",
            element("Code", code),
            element("Message", message)
        ),
    )
}
