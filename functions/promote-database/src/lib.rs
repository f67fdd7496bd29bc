//! Starts the promotion of the database in this Region; `check-database` says when it is done.
//!
//! A switchover is called in the Region of the current primary, a failover with loss in the Region that is promoted.
//! The target is always an ARN. Before every call it looks, and the SDK does not repeat a call by itself, so that a
//! promotion is never asked for twice. A failover with
//! loss is the point of no return; a switchover is taken back by a switchover the other way.

use std::time::Duration;

use aws_sdk_rds::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::global_database::{GlobalDatabase, Promotion};
use shared::record::{Record, Reopened, Resource, ResourceKind, Undo};
use shared::recovery::{RecoveryRef, Way};
use shared::slices::{DatabaseSlice, SiteSlice};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The step that fences the other Region.
const FENCE: &str = "fence-region";

/// What to promote, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// By failover or by switchover.
    pub way: Way,
    /// The global database.
    pub database: DatabaseSlice,
    /// The Region that is promoted.
    pub here: SiteSlice,
    /// The other Region.
    pub other: SiteSlice,
}

/// How far the promotion is.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum Output {
    /// AWS took the call.
    Started,
    /// It was started before and goes on.
    Underway,
    /// The cluster is the writer already.
    Done,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self {
            Self::Started => Summary::done("started"),
            Self::Underway => Summary::done("was started before, and is still in progress"),
            Self::Done => Summary::done("the cluster is already the writer"),
        }
    }
}

/// The step: starts the promotion of the database in this Region.
#[derive(Debug)]
pub struct PromoteDatabase {
    aws: Aws,
    here: Client,
    record: Record,
}

impl Step for PromoteDatabase {
    const NAME: &'static str = "promote-database";
    const DESCRIPTION: &'static str = "Starts the promotion of the database in this Region";
    const CHANGES: &'static [Change] = &[
        Change::Call("rds:FailoverGlobalCluster"),
        Change::Call("rds:SwitchoverGlobalCluster"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(50);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            here: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let (database, reopened) = tokio::join!(self.look(&input), self.reopened(&input));
        let database = database?;
        if let Some(output) = already_moving(&database, &input.here.cluster_arn, input.way)? {
            return Ok(output);
        }
        if let Some(reopened) = reopened? {
            return Err(reopened.preempts(&input.other.region));
        }
        self.record.note_undo(&input.recovery, &undo(&input, &database)).await?;
        let refused = match self.call(&input).await {
            Ok(()) => return Ok(Output::Started),
            Err(error) => error,
        };
        // A call whose answer was lost, or that came second, is refused for the state that the first one made.
        if refused.kind != ErrorKind::Conflict {
            return Err(refused);
        }
        already_moving(&self.look(&input).await?, &input.here.cluster_arn, input.way)?.ok_or(refused)
    }
}

impl PromoteDatabase {
    async fn look(&self, input: &Input) -> Result<GlobalDatabase, StepError> {
        GlobalDatabase::describe(&self.here, &input.database.global_cluster, &input.here.region).await
    }

    /// Whether people opened what this recovery fenced: this Region may have been away meanwhile, and they could not tell it.
    /// It is asked for only where something was fenced, and a Region that does not answer has said nothing. Whoever opens it
    /// waits for longer than this step may take, and then looks at the database again.
    async fn reopened(&self, input: &Input) -> Result<Option<Reopened>, StepError> {
        let notes = self.record.undo_notes(&input.recovery.id).await?;
        if !notes.iter().any(|note| note.step == FENCE) {
            return Ok(None);
        }
        let there = Record::in_region(&self.aws, &input.other.region);
        let reopened = there.reopened(&input.recovery.workload, &input.recovery.id).await;
        Ok(reopened.unwrap_or_default())
    }

    async fn call(&self, input: &Input) -> Result<(), StepError> {
        let (id, target) = (&input.database.global_cluster, &input.here.cluster_arn);
        match input.way {
            Way::Failover => {
                let resource = format!("global database {id}, to {target}, in {}", input.here.region);
                Client::new(&self.aws.config_to_change_once(&input.here.region))
                    .failover_global_cluster()
                    .global_cluster_identifier(id)
                    .target_db_cluster_identifier(target)
                    .allow_data_loss(true)
                    .send()
                    .await
                    .map_err(|error| StepError::aws("rds:FailoverGlobalCluster", &resource, error))?;
            }
            Way::Switchover => {
                let resource = format!("global database {id}, to {target}, in {}", input.other.region);
                Client::new(&self.aws.config_to_change_once(&input.other.region))
                    .switchover_global_cluster()
                    .global_cluster_identifier(id)
                    .target_db_cluster_identifier(target)
                    .send()
                    .await
                    .map_err(|error| StepError::aws("rds:SwitchoverGlobalCluster", &resource, error))?;
            }
        }
        Ok(())
    }
}

/// What to answer where nothing has to be called; nothing, where the call has to be made. Errors: `Refused` while another
/// cluster is being promoted, or this one in another way; `NotFound` for a cluster that is no member.
fn already_moving(database: &GlobalDatabase, target: &str, way: Way) -> Result<Option<Output>, StepError> {
    if database.member(target).is_none() {
        let text = format!(
            "cluster {target} is not a member of global database {}; compare the plan with the console",
            database.id
        );
        return Err(StepError::new(ErrorKind::NotFound, text));
    }
    match database.promotion(target) {
        Promotion::Done => Ok(Some(Output::Done)),
        Promotion::Underway(transition) if transition.way.is_none_or(|underway| underway == way) => {
            Ok(Some(Output::Underway))
        }
        // Whether a switchover that hangs gives way to a failover is for AWS to say.
        Promotion::Underway(_) if way == Way::Failover => Ok(None),
        Promotion::Underway(_) => Err(StepError::refused(format!(
            "global database {} already fails over to {target} with loss; to continue that failover, start again \
             with intent failover",
            database.id
        ))),
        Promotion::NotStarted => Ok(None),
        Promotion::Elsewhere(transition) | Promotion::Unclear(transition) => Err(StepError::refused(format!(
            "{}; wait until that has ended, then start again",
            transition.in_words(&database.id)
        ))),
    }
}

fn undo(input: &Input, database: &GlobalDatabase) -> Undo {
    let writer = database.writers().next().map(|member| member.cluster_arn.as_str());
    Undo {
        step: PromoteDatabase::NAME.to_owned(),
        // Asked for in both ways, it is two changes.
        resource: Resource::new(ResourceKind::GlobalDatabase, &input.database.global_cluster).called(format!(
            "{} by {}",
            input.database.global_cluster,
            input.way.name()
        )),
        previous: json!({ "writer": writer }),
        taken_back_by: match input.way {
            Way::Failover => None,
            Way::Switchover => Some(format!(
                "a planned move back: the recovery machine in {} with intent switchover",
                input.other.region
            )),
        },
        by_hand: None,
        taken_back_at: None,
    }
}

#[cfg(test)]
mod tests {
    use shared::global_database::{Member, Transition};

    use super::*;

    fn database(transition_to: Option<&str>) -> GlobalDatabase {
        database_by(transition_to, Way::Failover)
    }

    fn database_by(transition_to: Option<&str>, way: Way) -> GlobalDatabase {
        let member = |arn: &str, is_writer| Member {
            cluster_arn: arn.to_owned(),
            is_writer,
            synchronization: None,
        };
        GlobalDatabase {
            id: "shop-global".to_owned(),
            members: vec![member("old", true), member("new", false)],
            transition: transition_to.map(|to| Transition {
                status: "failing-over".to_owned(),
                to_cluster_arn: Some(to.to_owned()),
                way: Some(way),
            }),
            engine_version: None,
        }
    }

    #[test]
    fn it_calls_only_where_nothing_is_going_on() {
        assert_eq!(already_moving(&database(None), "new", Way::Failover).unwrap(), None);
        assert_eq!(
            already_moving(&database(Some("new")), "new", Way::Failover).unwrap(),
            Some(Output::Underway)
        );
        assert_eq!(
            already_moving(&database(None), "old", Way::Failover).unwrap(),
            Some(Output::Done)
        );
    }

    #[test]
    fn it_does_not_take_another_way_for_its_own() {
        let error = already_moving(&database(Some("new")), "new", Way::Switchover).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains("with loss"), "{error}");
        let hanging = database_by(Some("new"), Way::Switchover);
        let found = already_moving(&hanging, "new", Way::Failover).unwrap();
        assert_eq!(found, None, "AWS says whether a switchover that hangs gives way");
    }

    #[test]
    fn it_does_not_interfere_with_another_promotion() {
        let error = already_moving(&database(Some("old")), "new", Way::Failover).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains("failing-over to old"), "{error}");
    }

    #[test]
    fn it_does_not_promote_a_stranger() {
        assert_eq!(
            already_moving(&database(None), "third", Way::Failover)
                .unwrap_err()
                .kind,
            ErrorKind::NotFound
        );
    }
}
