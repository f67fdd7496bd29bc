//! S3 as a service.

use std::borrow::Cow;
use std::sync::Arc;

use super::{S3, error};
use crate::aws::resources::{Resource, is_plain};
use crate::aws::service::{Answer, Parts, Service, parts};
use crate::aws::wire::{Call, Reply};
use crate::environment::Environment;

impl Service for S3 {
    fn endpoint(&self) -> Option<&'static str> {
        Some("s3")
    }

    /// A bucket in the host name is put back in the path.
    fn path<'a>(&self, host: &str, path: &'a str) -> Cow<'a, str> {
        let name = host
            .strip_suffix(".amazonaws.com")
            .and_then(|name| name.rsplit_once('.'));
        match name.and_then(|(name, _)| name.strip_suffix(".s3")) {
            Some(bucket) => Cow::Owned(format!("/{bucket}{path}")),
            None => Cow::Borrowed(path),
        }
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        let operation = match call.method.as_str() {
            "PUT" => "PutObject",
            "GET" => "GetObject",
            "HEAD" if bucket_alone(&call.path).is_some() => "HeadBucket",
            "HEAD" => "HeadObject",
            "DELETE" => "DeleteObject",
            _ => return None,
        };
        Some(Cow::Borrowed(operation))
    }

    /// An object, and for reads its bucket too: whoever may not list it is told 403 and not 404 of an object that is not
    /// there. Source: S3 API Reference, GetObject and HeadObject, "Permissions".
    fn touched(&self, _: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        if operation == "HeadBucket" {
            return bucket_alone(&call.path).map(|bucket| vec![Resource::new(format!("arn:aws:s3:::{bucket}"))]);
        }
        let (bucket, key) = call.path.trim_start_matches('/').split_once('/')?;
        if key.is_empty() || !is_plain(key) {
            return None;
        }
        let bucket = format!("arn:aws:s3:::{bucket}");
        let mut touched = vec![Resource::new(format!("{bucket}/{key}"))];
        if matches!(operation, "GetObject" | "HeadObject") {
            touched.push(Resource::new(bucket));
        }
        Some(touched)
    }

    fn throttled(&self, call: &Call) -> Reply {
        refusal(call, 503, "SlowDown", "Please reduce your request rate.")
    }

    fn denied(&self, call: &Call, _: &str) -> Reply {
        refusal(call, 403, "AccessDenied", "Access Denied")
    }

    fn server_error(&self, call: &Call) -> Reply {
        let message = "We encountered an internal error. Please try again.";
        refusal(call, 500, "InternalError", message)
    }

    fn answer<'a>(&'a self, _: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(call, operation).into()
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        parts([("objects", self.tags(false))])
    }

    fn journal(&self, _: &Environment) -> Parts {
        parts([("journal_objects", self.tags(true))])
    }
}

/// The bucket of a path that names no object.
fn bucket_alone(path: &str) -> Option<&str> {
    let bucket = path.trim_matches('/');
    (!bucket.is_empty() && !bucket.contains('/')).then_some(bucket)
}

fn refusal(call: &Call, status: u16, code: &str, message: &str) -> Reply {
    let mut reply = error(status, code, message);
    if call.method == "HEAD" {
        reply.body.clear();
    }
    reply
}
