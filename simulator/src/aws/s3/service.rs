//! S3 as a service.

use std::borrow::Cow;
use std::sync::Arc;

use super::refusal::Refusal;
use super::requests::{Request, copy_source, deleted};
use super::state::S3;
use crate::aws::resources::Resource;
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
        Request::of(call).operation(call).map(Cow::Borrowed)
    }

    /// An object, and for reads its bucket too: whoever may not list it is told 403 and not 404 of an object that is not
    /// there. Source: S3 API Reference, GetObject and HeadObject, "Permissions".
    fn touched(&self, _: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        let request = Request::of(call);
        let bucket = format!("arn:aws:s3:::{}", request.bucket);
        let object = |key: &str| Resource::new(format!("{bucket}/{key}"));
        let of_version = |resource: Resource, part| match request.version_id() {
            Some(_) => Resource {
                part: Some(part),
                ..resource
            },
            None => resource,
        };
        let is_of_object =
            !operation.contains("Bucket") && !operation.starts_with("List") && operation != "DeleteObjects";
        if request.bucket.is_empty() || is_of_object == request.key.is_empty() {
            return None;
        }
        Some(match operation {
            "PutObject" => vec![object(&request.key)],
            "GetObject" | "HeadObject" => vec![
                of_version(object(&request.key), "GetObjectVersion"),
                Resource::new(bucket),
            ],
            "DeleteObject" => vec![of_version(object(&request.key), "DeleteObjectVersion")],
            "DeleteObjects" => deleted(call)?
                .into_iter()
                .map(|(key, has_version)| Resource {
                    part: Some(if has_version {
                        "DeleteObjectVersion"
                    } else {
                        "DeleteObject"
                    }),
                    ..object(&key)
                })
                .collect(),
            "CopyObject" => {
                let source = copy_source(call)?;
                let read = Resource {
                    part: Some(if source.version_id.is_some() {
                        "GetObjectVersion"
                    } else {
                        "GetObject"
                    }),
                    ..Resource::new(format!("arn:aws:s3:::{}/{}", source.bucket, source.key))
                };
                let written = Resource {
                    part: Some("PutObject"),
                    ..object(&request.key)
                };
                vec![read, written]
            }
            _ => vec![Resource::new(bucket)],
        })
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

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        parts([("objects", self.tags(false)), ("bucket_settings", self.settings())])
    }

    fn journal(&self, _: &Environment) -> Parts {
        parts([("journal_objects", self.tags(true))])
    }
}

fn refusal(call: &Call, status: u16, code: &'static str, message: &str) -> Reply {
    let mut reply = Refusal::new(status, code, message).reply();
    if call.method == "HEAD" {
        reply.body.clear();
    }
    reply
}
