//! Moves the public name, by the switch object.
//!
//! A pre-made, inverted Route 53 health check watches the object: while it is there the primary counts as unhealthy and
//! customers are sent to the recovery Region; absent or unreachable means stay. So the name moves without Route 53's
//! control plane, which lives in us-east-1. It is taken back by the same step, the other way round.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::record::{Record, Undo};
use shared::recovery::RecoveryRef;
use shared::slices::DnsSlice;
use shared::step::Step;

/// Where the name must point.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// The name and its switch object.
    pub dns: DnsSlice,
}

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the object had to be changed; false if it was as it must be.
    pub changed: bool,
}

/// The step.
#[derive(Debug)]
pub struct SwitchDns {
    aws: Aws,
    record: Record,
}

impl Step for SwitchDns {
    const NAME: &'static str = "switch-dns";
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let DnsSlice {
            region,
            bucket,
            key,
            present,
            ..
        } = &input.dns;
        let s3 = Client::new(&self.aws.config_in(region));
        let resource = format!("s3://{bucket}/{key} in {region}");
        let is_present = match exists(&s3, bucket, key, &resource).await {
            Ok(is_present) => is_present,
            // An object that cannot be reached counts as absent for the health check too: the name has moved by itself.
            Err(error) if !*present && error.kind == ErrorKind::Unavailable => return Ok(Output { changed: false }),
            Err(error) => return Err(error),
        };
        if is_present == *present {
            return Ok(Output { changed: false });
        }
        let undo = Undo {
            step: Self::NAME.to_owned(),
            resource: resource.clone(),
            previous: json!({ "present": is_present }),
            taken_back_by: Some(format!("{} with present: {is_present}", Self::NAME)),
        };
        self.record.note_undo(&input.recovery, &undo).await?;
        if *present {
            let body = json!({ "recovery": input.recovery.id, "name": input.dns.name, "active": region }).to_string();
            s3.put_object()
                .bucket(bucket)
                .key(key)
                .content_type("application/json")
                .cache_control("no-store")
                .body(ByteStream::from(body.into_bytes()))
                .send()
                .await
                .map_err(|error| StepError::aws("s3:PutObject", &resource, error))?;
        } else {
            s3.delete_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .map_err(|error| StepError::aws("s3:DeleteObject", &resource, error))?;
        }
        Ok(Output { changed: true })
    }
}

async fn exists(s3: &Client, bucket: &str, key: &str, resource: &str) -> Result<bool, StepError> {
    match s3.head_object().bucket(bucket).key(key).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(false),
        Err(error) => Err(StepError::aws(
            "s3:HeadObject (allowed by s3:GetObject with s3:ListBucket)",
            resource,
            error,
        )),
    }
}
