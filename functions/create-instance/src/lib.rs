//! Creates the instances of the restored cluster: as many as the damaged one has, like them, the writer first.
//!
//! A restore brings none. Their names follow from the cluster's, so that each is created once. Enhanced Monitoring stays off: it needs a
//! role, which this function may not hand to RDS (`iam:PassRole`).

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::Tag;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::StepError;
use shared::global_database::instances_of;
use shared::record::{Record, Resource, ResourceKind, Undo};
use shared::recovery::RecoveryRef;
use shared::restore::{InstanceProfile, MADE_BY, instance_id};
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The step that takes this back, with the cluster.
const TAKEN_BACK_BY: &str = "discard-cluster";
/// The one engine that this is for.
const ENGINE: &str = "aurora-postgresql";

/// What to create.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The restored cluster's identifier.
    pub cluster: String,
    /// What its instances are to be, the writer first.
    pub instances: Vec<InstanceProfile>,
}

/// What was created.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many were asked for now; the others were before.
    pub changed: usize,
    /// How many there are to be.
    pub of: usize,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(format!("{} of {} instances were asked for now", self.changed, self.of))
    }
}

/// The step: creates the instances of the restored cluster.
#[derive(Debug)]
pub struct CreateInstance {
    rds: Client,
    record: Record,
}

impl Step for CreateInstance {
    const NAME: &'static str = "create-instance";
    const DESCRIPTION: &'static str = "Creates the instances of the restored cluster";
    const CHANGES: &'static [Change] = &[Change::Call("rds:CreateDBInstance"), Change::Item("undo")];
    const TIME_LIMIT: Duration = Duration::from_secs(60);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            rds: Client::new(aws.at_leisure().config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let there = instances_of(&self.rds, &input.cluster, &input.here.region).await?;
        let is_there = |id: &str| {
            there
                .iter()
                .any(|instance| instance.db_instance_identifier() == Some(id))
        };
        let missing: Vec<(String, &InstanceProfile)> = input
            .instances
            .iter()
            .enumerate()
            .map(|(index, profile)| (instance_id(&input.cluster, index), profile))
            .filter(|(id, _)| !is_there(id))
            .collect();
        let undos: Vec<Undo> = missing.iter().map(|(id, _)| undo(id, &input)).collect();
        self.record.note_undos(&input.recovery, &undos).await?;
        // One after the other: AWS makes the first one that works the writer.
        for (id, profile) in &missing {
            self.create(&input, id, profile).await?;
        }
        Ok(Output {
            changed: missing.len(),
            of: input.instances.len(),
        })
    }
}

impl CreateInstance {
    async fn create(&self, input: &Input, id: &str, profile: &InstanceProfile) -> Result<(), StepError> {
        let resource = format!("instance {id} of cluster {} in {}", input.cluster, input.here.region);
        let made = self
            .rds
            .create_db_instance()
            .db_instance_identifier(id)
            .db_cluster_identifier(&input.cluster)
            .engine(ENGINE)
            .db_instance_class(&profile.class)
            .promotion_tier(profile.tier)
            .set_availability_zone(profile.zone.clone())
            .set_db_parameter_group_name(profile.parameter_group.clone())
            .set_enable_performance_insights(profile.performance_insights.then_some(true))
            .tags(Tag::builder().key(MADE_BY).value(&input.recovery.id).build())
            .send()
            .await;
        match made {
            Ok(_) => Ok(()),
            // Its name has the recovery in it: a call whose answer was lost has made it.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_db_instance_already_exists_fault()) =>
            {
                Ok(())
            }
            Err(error) => Err(StepError::aws("rds:CreateDBInstance", &resource, error)),
        }
    }
}

fn undo(id: &str, input: &Input) -> Undo {
    let region = &input.here.region;
    Undo {
        step: CreateInstance::NAME.to_owned(),
        resource: Resource::new(ResourceKind::Instance, id)
            .of(&input.cluster)
            .in_region(region)
            .called(format!("instance {id} in {region}")),
        previous: json!(null),
        taken_back_by: Some(TAKEN_BACK_BY.to_owned()),
        by_hand: Some(format!(
            "aws rds delete-db-instance --region {region} --db-instance-identifier {id} --skip-final-snapshot"
        )),
        taken_back_at: None,
    }
}
