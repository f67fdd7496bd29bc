//! Moves the public name to the Region that runs the recovery.
//!
//! By the switch object, where the plan has one: a pre-made, inverted Route 53 health check watches it; while it is there
//! the primary counts as unhealthy and customers are sent to the standby Region; absent or unreachable means stay. So
//! the name moves without Route 53's control plane, which lives in us-east-1. Otherwise the record itself is changed;
//! `check-dns` says when every name server has it. Both are taken back by the same step, run in the other Region.

use aws_sdk_route53::types::{self, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use aws_sdk_s3::primitives::ByteStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::record::{Record, Resource, ResourceKind, Undo, Warning};
use shared::recovery::RecoveryRef;
use shared::slices::{DnsMethod, DnsSlice};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// Where the name must point.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The name, and by what it moves.
    pub dns: DnsSlice,
    /// When a look found this Region writing: only then does the name move without an undo note, if the record fails.
    pub writer_seen_at: Option<Timestamp>,
}

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether anything had to be changed; false if it was as it must be.
    pub changed: bool,
    /// Route 53's id of the change, where a record was changed.
    pub change: Option<String>,
    /// What was changed without an undo note.
    pub unnoted: Vec<Warning>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(match (self.changed, self.unnoted.is_empty()) {
            (true, true) => "customers are sent here",
            (true, false) => "customers are sent here; the record failed, so there is no undo note",
            (false, _) => "customers were already sent here",
        })
    }
}

const UNCHANGED: Output = Output {
    changed: false,
    change: None,
    unnoted: Vec::new(),
};

/// The step: moves the public name.
#[derive(Debug)]
pub struct SwitchDns {
    aws: Aws,
    route53: aws_sdk_route53::Client,
    record: Record,
}

impl Step for SwitchDns {
    const NAME: &'static str = "switch-dns";
    const DESCRIPTION: &'static str = "Moves the public name";
    const CHANGES: &'static [Change] = &[
        Change::Call("route53:ChangeResourceRecordSets"),
        Change::Call("s3:DeleteObject"),
        Change::Call("s3:PutObject"),
        Change::Item("undo"),
    ];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            route53: aws_sdk_route53::Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        match &input.dns.method {
            DnsMethod::SwitchObject {
                region,
                bucket,
                key,
                present,
            } => {
                let object = SwitchObject {
                    s3: aws_sdk_s3::Client::new(&self.aws.config_in(region)),
                    region,
                    bucket,
                    key,
                };
                self.switch(&input, &object, *present).await
            }
            DnsMethod::Record {
                hosted_zone,
                ttl_seconds,
                target,
            } => self.change_record(&input, hosted_zone, *ttl_seconds, target).await,
        }
    }
}

impl SwitchDns {
    /// Keeps what takes the change back. Gives it where the record fails and the name moves without it.
    async fn note(&self, input: &Input, undo: Undo) -> Result<Vec<Warning>, StepError> {
        let undos = std::slice::from_ref(&undo);
        let noting = self
            .record
            .note_undos_or_go_on(&input.recovery, undos, input.writer_seen_at, self.aws.now());
        let unnoted = noting.await?.map(|error| undo.not_noted(&error));
        Ok(unnoted.into_iter().collect())
    }

    async fn switch(&self, input: &Input, object: &SwitchObject<'_>, present: bool) -> Result<Output, StepError> {
        let is_present = match object.exists().await {
            Ok(is_present) => is_present,
            // An object that cannot be reached counts as absent for the health check too: the name has moved by itself.
            Err(error) if !present && error.kind == ErrorKind::Unavailable => return Ok(UNCHANGED),
            Err(error) => return Err(error),
        };
        if is_present == present {
            return Ok(UNCHANGED);
        }
        let undo = undo(object.resource(), json!({ "present": is_present }));
        let unnoted = self.note(input, undo).await?;
        if present {
            object.put().await?;
        } else {
            object.delete().await?;
        }
        Ok(Output {
            changed: true,
            change: None,
            unnoted,
        })
    }

    async fn change_record(&self, input: &Input, zone: &str, ttl: u64, target: &str) -> Result<Output, StepError> {
        let name = &input.dns.name;
        let resource = format!("record {name} in hosted zone {zone}");
        let listed = self
            .route53
            .list_resource_record_sets()
            .hosted_zone_id(zone)
            .start_record_name(name)
            .send()
            .await
            .map_err(|error| StepError::aws("route53:ListResourceRecordSets", &resource, error))?;
        let sets = listed.resource_record_sets();
        let before = current(sets, name).map_err(|why| StepError::refused(format!("{resource} {why}")))?;
        if before.is_some_and(|before| points_at(before, target)) {
            return Ok(UNCHANGED);
        }
        let record = Resource::new(ResourceKind::DnsRecord, name).of(zone).called(&resource);
        let undo = undo(record, before.map_or(Value::Null, as_data));
        let unnoted = self.note(input, undo).await?;
        let batch = upsert(name, ttl, target).map_err(|error| {
            let text = format!("the change of {resource} could not be written as JSON: {error}; this is a defect");
            StepError::new(ErrorKind::Internal, text)
        })?;
        let changed = self
            .route53
            .change_resource_record_sets()
            .hosted_zone_id(zone)
            .change_batch(batch)
            .send()
            .await
            .map_err(|error| StepError::aws("route53:ChangeResourceRecordSets", &resource, error))?;
        Ok(Output {
            changed: true,
            change: changed.change_info().map(|info| info.id().to_owned()),
            unnoted,
        })
    }
}

fn undo(resource: Resource, previous: Value) -> Undo {
    Undo {
        step: SwitchDns::NAME.to_owned(),
        resource,
        previous,
        taken_back_by: Some(
            "a planned move back: the recovery machine in the other Region with intent switchover".to_owned(),
        ),
        by_hand: None,
        taken_back_at: None,
    }
}

/// The switch object.
struct SwitchObject<'a> {
    s3: aws_sdk_s3::Client,
    region: &'a str,
    bucket: &'a str,
    key: &'a str,
}

impl SwitchObject<'_> {
    fn name(&self) -> String {
        format!("s3://{}/{} in {}", self.bucket, self.key, self.region)
    }

    fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Object, self.key)
            .of(self.bucket)
            .in_region(self.region)
            .called(self.name())
    }

    async fn exists(&self) -> Result<bool, StepError> {
        match self.s3.head_object().bucket(self.bucket).key(self.key).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(false),
            Err(error) => Err(StepError::aws(
                "s3:HeadObject (allowed by s3:GetObject with s3:ListBucket)",
                &self.name(),
                error,
            )),
        }
    }

    /// Writes it empty: everybody can read it.
    async fn put(&self) -> Result<(), StepError> {
        let put = self
            .s3
            .put_object()
            .bucket(self.bucket)
            .key(self.key)
            .cache_control("no-store")
            .body(ByteStream::default())
            .send()
            .await;
        put.map(drop)
            .map_err(|error| StepError::aws("s3:PutObject", &self.name(), error))
    }

    async fn delete(&self) -> Result<(), StepError> {
        let deleted = self.s3.delete_object().bucket(self.bucket).key(self.key).send().await;
        deleted
            .map(drop)
            .map_err(|error| StepError::aws("s3:DeleteObject", &self.name(), error))
    }
}

/// The record of this name, if there is one that a plain CNAME may take the place of. Errors: why it may not.
fn current<'a>(sets: &'a [ResourceRecordSet], name: &str) -> Result<Option<&'a ResourceRecordSet>, String> {
    let mut of_name = sets.iter().filter(|set| set.name().trim_end_matches('.') == name);
    let strange = of_name
        .clone()
        .find(|set| set.r#type() != &RrType::Cname || set.set_identifier().is_some());
    match strange {
        Some(set) if set.set_identifier().is_some() => Err(
            "is one of several with a routing policy; name the switch object that moves it in the plan, under dns"
                .to_owned(),
        ),
        Some(set) => Err(format!(
            "is of type {}, and only a CNAME is changed; name a switch object in the plan, under dns",
            set.r#type().as_str()
        )),
        None => Ok(of_name.next()),
    }
}

fn points_at(set: &ResourceRecordSet, target: &str) -> bool {
    let values: Vec<&str> = set.resource_records().iter().map(ResourceRecord::value).collect();
    values.len() == 1 && values[0].trim_end_matches('.') == target
}

fn as_data(set: &ResourceRecordSet) -> Value {
    let values: Vec<&str> = set.resource_records().iter().map(ResourceRecord::value).collect();
    json!({ "name": set.name(), "type": set.r#type().as_str(), "ttl": set.ttl(), "values": values })
}

fn upsert(name: &str, ttl: u64, target: &str) -> Result<ChangeBatch, aws_sdk_route53::error::BuildError> {
    let set = ResourceRecordSet::builder()
        .name(name)
        .r#type(RrType::Cname)
        .ttl(i64::try_from(ttl).unwrap_or(i64::MAX))
        .resource_records(ResourceRecord::builder().value(target).build()?)
        .build()?;
    let change = types::Change::builder()
        .action(ChangeAction::Upsert)
        .resource_record_set(set)
        .build()?;
    ChangeBatch::builder().changes(change).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, kind: RrType, value: &str, id: Option<&str>) -> ResourceRecordSet {
        ResourceRecordSet::builder()
            .name(name)
            .r#type(kind)
            .ttl(10)
            .set_set_identifier(id.map(str::to_owned))
            .resource_records(ResourceRecord::builder().value(value).build().unwrap())
            .build()
            .unwrap()
    }

    #[test]
    fn only_a_plain_cname_of_this_name_is_changed() {
        let other = set("z.example.com.", RrType::Cname, "x", None);
        let plain = set("api.example.com.", RrType::Cname, "east.example.com", None);
        assert_eq!(current(std::slice::from_ref(&other), "api.example.com"), Ok(None));
        assert_eq!(current(&[plain.clone(), other], "api.example.com"), Ok(Some(&plain)));
        let failover = set("api.example.com.", RrType::Cname, "east", Some("primary"));
        assert!(
            current(&[failover], "api.example.com")
                .unwrap_err()
                .contains("routing policy")
        );
        let address = set("api.example.com.", RrType::A, "1.2.3.4", None);
        assert!(current(&[address], "api.example.com").unwrap_err().contains("type A"));
    }

    #[test]
    fn a_record_points_at_its_one_value() {
        let plain = set("api.example.com.", RrType::Cname, "east.example.com.", None);
        assert!(points_at(&plain, "east.example.com") && !points_at(&plain, "west.example.com"));
        assert_eq!(
            as_data(&plain),
            json!({ "name": "api.example.com.", "type": "CNAME", "ttl": 10, "values": ["east.example.com."] })
        );
    }
}
