//! Deletes the cluster that this recovery made, where customers never reached it: one look and one push, until it is gone.
//!
//! It deletes by tag, and only what a note of this recovery names. While a function names the cluster, or once it was opened to
//! customers, it stays.

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::DbCluster;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::cluster_variable::Functions;
use shared::error::{ErrorKind, StepError};
use shared::global_database::{find_cluster, instances_of};
use shared::plan::Function;
use shared::record::{Record, ResourceKind, Undo, is_opened};
use shared::recovery::RecoveryRef;
use shared::restore::{cluster_arn, cluster_id, made_by};
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The steps whose changes are taken back.
const MAKES: [&str; 2] = ["restore-cluster", "create-instance"];
/// How long looking at the functions may take.
const LIMIT: Duration = Duration::from_secs(40);

/// What to discard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The platform's functions, none of which may name the cluster.
    pub functions: Vec<Function>,
}

/// How far it is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether nothing of it is left, or nothing more is done.
    pub ended: bool,
    /// Why it stays, if it does.
    pub kept: Option<String>,
    /// Whether nothing that this recovery made is left.
    pub complete: bool,
    /// In a sentence.
    pub sentence: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match (self.ended, &self.kept) {
            (false, _) => Summary::waiting(&self.sentence),
            (true, Some(_)) => Summary::failed(&self.sentence),
            (true, None) => Summary::done(&self.sentence),
        }
    }
}

/// The step: deletes a restored cluster that customers never reached.
#[derive(Debug)]
pub struct DiscardCluster {
    aws: Aws,
    rds: Client,
    record: Record,
}

impl Step for DiscardCluster {
    const NAME: &'static str = "discard-cluster";
    const DESCRIPTION: &'static str = "Deletes a restored cluster that customers never reached";
    const CHANGES: &'static [Change] = &[
        Change::Call("rds:DeleteDBCluster"),
        Change::Call("rds:DeleteDBInstance"),
        Change::Call("rds:ModifyDBCluster"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(90);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            rds: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let notes = self.record.undo_notes(&input.recovery.id).await?;
        let id = cluster_id(&input.recovery.workload, &input.recovery.id);
        if is_opened(&notes) {
            return Ok(kept(&id, "customers may have written to it"));
        }
        let standing: Vec<&Undo> = notes
            .iter()
            .filter(|note| MAKES.iter().any(|makes| note.stands_of(makes)))
            .collect();
        if standing.is_empty() {
            return Ok(ended("no cluster was made, or it is gone"));
        }
        let Some(cluster) = find_cluster(&self.rds, &id, &input.here.region).await? else {
            let now = self.aws.now();
            for note in standing {
                self.record.note_taken_back(&input.recovery, note, now).await?;
            }
            return Ok(ended(&format!("cluster {id} is deleted")));
        };
        if made_by(&cluster) != Some(&input.recovery.id) {
            return Ok(kept(&id, "its tag does not say that this recovery made it"));
        }
        // Nothing more is done to it, so it needs no approval.
        if cluster.status() == Some("deleting") {
            return Ok(waiting(format!("cluster {id} is being deleted")));
        }
        if let Some(function) = self
            .named_by(&input, &cluster_arn(&input.here.cluster_arn, &id))
            .await?
        {
            return Ok(kept(&id, &format!("function {function} still names it")));
        }
        match self.push(&input, &id, &cluster, &standing).await {
            Ok(doing) => Ok(waiting(doing)),
            // AWS is busy with it: it is looked at again.
            Err(error) if error.kind == ErrorKind::Conflict => {
                Ok(waiting(format!("cluster {id} cannot be deleted yet: {error}")))
            }
            Err(error) => Err(error),
        }
    }
}

impl DiscardCluster {
    /// A function that names the cluster. Errors: also one that cannot be looked at, since it may.
    async fn named_by(&self, input: &Input, arn: &str) -> Result<Option<String>, StepError> {
        let functions = Functions::here(&self.aws, LIMIT);
        let looked = functions.look(&input.functions).await;
        for (function, seen) in input.functions.iter().zip(looked) {
            match seen {
                Ok(seen) if seen.values().any(|value| value == arn) => return Ok(Some(function.name.clone())),
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Does the next thing on the way to its deletion; says what.
    async fn push(
        &self,
        input: &Input,
        id: &str,
        cluster: &DbCluster,
        standing: &[&Undo],
    ) -> Result<String, StepError> {
        let region = &input.here.region;
        let resource = format!("cluster {id} in {region}");
        let instances = instances_of(&self.rds, id, region).await?;
        for instance in instances
            .iter()
            .filter(|instance| instance.db_instance_status() != Some("deleting"))
        {
            let name = instance.db_instance_identifier().unwrap_or_default();
            let deleted = self
                .rds
                .delete_db_instance()
                .db_instance_identifier(name)
                .skip_final_snapshot(true)
                .send()
                .await;
            let resource = format!("instance {name} in {region}");
            deleted.map_err(|error| StepError::aws("rds:DeleteDBInstance", &resource, error))?;
        }
        if !instances.is_empty() {
            return Ok(format!(
                "{} instances of cluster {id} are being deleted",
                instances.len()
            ));
        }
        let now = self.aws.now();
        for note in standing
            .iter()
            .filter(|note| note.resource.kind == ResourceKind::Instance)
        {
            self.record.note_taken_back(&input.recovery, note, now).await?;
        }
        if cluster.deletion_protection() == Some(true) {
            // It came with what was carried over.
            let modified = self
                .rds
                .modify_db_cluster()
                .db_cluster_identifier(id)
                .deletion_protection(false)
                .apply_immediately(true)
                .send()
                .await;
            modified.map_err(|error| StepError::aws("rds:ModifyDBCluster", &resource, error))?;
        }
        let deleted = self
            .rds
            .delete_db_cluster()
            .db_cluster_identifier(id)
            .skip_final_snapshot(true)
            .send()
            .await;
        deleted.map_err(|error| StepError::aws("rds:DeleteDBCluster", &resource, error))?;
        Ok(format!("cluster {id} is being deleted"))
    }
}

fn waiting(sentence: String) -> Output {
    Output {
        ended: false,
        kept: None,
        complete: false,
        sentence,
    }
}

fn ended(sentence: &str) -> Output {
    Output {
        ended: true,
        kept: None,
        complete: true,
        sentence: sentence.to_owned(),
    }
}

fn kept(id: &str, why: &str) -> Output {
    Output {
        ended: true,
        kept: Some(why.to_owned()),
        complete: false,
        sentence: format!("cluster {id} stays: {why}"),
    }
}
