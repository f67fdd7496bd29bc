//! S3 buckets: whole objects, without versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::wire::{Answer, Call, Reply, element};
use crate::cloud::lock;

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
}

impl S3 {
    /// Makes a bucket; the objects in `public` may be read by everybody.
    pub fn create_bucket(&self, region: &str, name: &str, public: &[&str]) {
        let public = public.iter().map(|key| (*key).to_owned()).collect();
        lock(&self.buckets).insert(
            name.to_owned(),
            Bucket {
                region: region.to_owned(),
                objects: BTreeMap::new(),
                public,
            },
        );
    }

    /// The Region of a bucket.
    pub fn region_of(&self, bucket: &str) -> Option<String> {
        lock(&self.buckets).get(bucket).map(|bucket| bucket.region.clone())
    }

    /// Whether anybody on the internet gets HTTP 200 for an object.
    pub fn is_publicly_there(&self, bucket: &str, key: &str) -> bool {
        lock(&self.buckets)
            .get(bucket)
            .is_some_and(|bucket| bucket.public.contains(key) && bucket.objects.contains_key(key))
    }

    pub(crate) fn answer(&self, call: &Call) -> Answer {
        let (bucket, key) = call
            .path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((&call.path, ""));
        let operation = match call.method.as_str() {
            "PUT" => "PutObject",
            "GET" => "GetObject",
            "HEAD" => "HeadObject",
            "DELETE" => "DeleteObject",
            _ => "(unknown)",
        };
        let reply = self.object(operation, &call.region, bucket, key, &call.body);
        Answer {
            operation: operation.to_owned(),
            reply,
        }
    }

    fn object(&self, operation: &str, region: &str, bucket: &str, key: &str, body: &[u8]) -> Reply {
        let mut buckets = lock(&self.buckets);
        let Some(bucket) = buckets.get_mut(bucket) else {
            return error(404, "NoSuchBucket", "The specified bucket does not exist");
        };
        if bucket.region != region {
            return error(
                301,
                "PermanentRedirect",
                "The bucket must be addressed in its own Region",
            );
        }
        if key.is_empty() {
            return error(501, "NotImplemented", "the simulated S3 knows objects only");
        }
        match operation {
            "PutObject" => {
                bucket.objects.insert(key.to_owned(), body.to_vec());
                let mut reply = Reply::new(200, "application/xml", "");
                reply.headers.push(("etag", format!("\"{:x}\"", body.len())));
                reply
            }
            "GetObject" | "HeadObject" => match bucket.objects.get(key) {
                Some(_) if operation == "HeadObject" => Reply::new(200, "application/octet-stream", ""),
                Some(body) => Reply::new(200, "application/octet-stream", body.clone()),
                // An answer to HEAD has no body, so S3 can give no code.
                None if operation == "HeadObject" => Reply::new(404, "application/xml", ""),
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
