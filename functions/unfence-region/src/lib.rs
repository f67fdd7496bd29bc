//! Gives the other Region back exactly what `fence-region` took.
//!
//! For a recovery that ends before the promotion: what its undo notes hold is put back, if it is still as the fence left
//! it; what somebody has changed since stays and is named. Where the promotion of this Region has begun the fence is kept,
//! since two sides would take writes without it. N of M is a result; what AWS is still busy with is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_rds::Client;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::fence::{Fence, side_by_side, standing};
use shared::global_database::{GlobalDatabase, NotBegun, Promotion};
use shared::record::{Missing, Record, Undo, tried};
use shared::recovery::RecoveryRef;
use shared::slices::{DatabaseSlice, SiteSlice};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The step whose changes are taken back.
const FENCE: &str = "fence-region";
/// The step whose note says that a promotion was asked for. What became of that is looked at.
const PROMOTION: &str = "promote-database";
/// How long looking and changing may take, together: with 200 functions, three calls for each.
const LIMIT: Duration = Duration::from_secs(85);
/// How long it may take to forget notes in the other Region's table.
const NOTES_LIMIT: Duration = Duration::from_secs(6);

/// What to give back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The global database.
    pub database: DatabaseSlice,
    /// The Region that runs the recovery.
    pub here: SiteSlice,
    /// The Region that was fenced.
    pub other: SiteSlice,
    /// Whether this execution has changed anything; an earlier one of the same recovery may have.
    #[serde(default)]
    pub changed: bool,
    /// Looks in a row that showed no promotion, where one was asked for: what this step gave back last time.
    #[serde(default)]
    pub not_begun: NotBegun,
}

/// What was given back.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many changes are taken back now.
    pub taken_back: usize,
    /// How many there were to take back.
    pub of: usize,
    /// The others, and why.
    pub failed: Vec<Missing>,
    /// How many more of the others there are than are named.
    pub more_failed: usize,
    /// Why the fence was kept, if it was.
    pub kept: Option<String>,
    /// Whether nothing of the fence is left.
    pub complete: bool,
    /// Looks in a row that show no promotion although one was asked for. Too few agree as yet: nothing is given back, and
    /// the machine looks again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_again: Option<NotBegun>,
    /// All of this in a sentence.
    #[serde(skip)]
    pub summary: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.failed.first() {
            _ if self.look_again.is_some() => Summary::waiting(&self.summary),
            Some(failed) => Summary::failed(format!("{}; {}: {}", self.summary, failed.resource, failed.reason)),
            None => Summary::done(&self.summary),
        }
    }
}

/// The step: restores in the other Region exactly what the fence changed.
#[derive(Debug)]
pub struct UnfenceRegion {
    aws: Aws,
    rds: Client,
    record: Record,
}

impl Step for UnfenceRegion {
    const NAME: &'static str = "unfence-region";
    const DESCRIPTION: &'static str = "Restores in the other Region exactly what the fence changed";
    const CHANGES: &'static [Change] = &[
        Change::Call("apigateway:UpdateStage"),
        Change::Call("lambda:DeleteFunctionConcurrency"),
        Change::Call("lambda:PutFunctionConcurrency"),
        Change::Call("lambda:UpdateEventSourceMapping"),
        Change::Item("fenced"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(110);
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
        let region = &input.other.region;
        let notes = self.record.undo_notes(&input.recovery.id).await?;
        if !input.changed && !notes.iter().any(|note| note.step == FENCE) {
            return Ok(output(region, 0, Vec::new(), None));
        }
        let went_on = went_on_after_promotion(&notes);
        let promotion_asked_for = notes.iter().any(|note| note.step == PROMOTION);
        let (changes, mut failed) = standing(notes, FENCE);
        let of = changes.len() + failed.len();
        let global = &input.database.global_cluster;
        let database = GlobalDatabase::describe(&self.rds, global, &input.here.region).await?;
        if let Some(reason) = reason_to_keep(&database, &input.here, promotion_asked_for).or(went_on) {
            return Ok(output(region, of, Vec::new(), Some(reason)));
        }
        // One look may be old, and would let customers in there while the database moves here.
        let now = self.aws.now();
        let promotion = database.promotion(&input.here.cluster_arn);
        let not_begun = input.not_begun.next(&promotion, now);
        let may_go_on = promotion_asked_for && promotion == Promotion::NotStarted && !not_begun.is_certain(now);
        if may_go_on && of > 0 {
            return Ok(look_again(region, of, not_begun));
        }
        let fence = Fence::in_region(&self.aws, region, LIMIT);
        // Whoever has taken the lock meanwhile may rely on the fence.
        let left = fence
            .give_back(&self.aws, &self.record, &input.recovery, &changes, is_for_the_machine)
            .await?;
        failed.extend(left);
        self.forget(&input, &failed).await;
        Ok(output(region, of, failed, None))
    }
}

impl UnfenceRegion {
    /// Forgets the notes of this recovery in the other Region's table, but for what is not given back. It is tried and not
    /// more: whoever activates that Region looks at what it finds.
    async fn forget(&self, input: &Input, failed: &[Missing]) {
        let workload = &input.recovery.workload;
        let there = Record::in_region(&self.aws, &input.other.region);
        let forgetting = async {
            let notes = there.fenced(workload).await?;
            let ours = notes.iter().filter(|note| {
                note.recovery == input.recovery.id
                    && !failed.iter().any(|missing| missing.resource.text == note.resource.text)
            });
            let forgetting = ours.map(|note| there.forget_fenced(workload, &note.resource.text));
            side_by_side(forgetting.collect())
                .await
                .into_iter()
                .collect::<Result<(), StepError>>()
        };
        tried(
            "delete the notes of the fence in the other Region",
            NOTES_LIMIT,
            forgetting,
        )
        .await;
    }
}

/// What the recovery has changed after it had asked for the promotion, and what forbids to take the fence back alone, if
/// anything: it is resumed, and goes on.
fn went_on_after_promotion(notes: &[Undo]) -> Option<String> {
    let stands = notes
        .iter()
        .filter(|note| note.taken_back_at.is_none() && ![FENCE, PROMOTION].contains(&note.step.as_str()));
    let steps: BTreeSet<&str> = stands.map(|note| note.step.as_str()).collect();
    let steps: Vec<&str> = steps.into_iter().collect();
    (!steps.is_empty()).then(|| {
        format!(
            "the recovery continued after the promotion: changes of {} remain",
            steps.join(", ")
        )
    })
}

/// Why the other Region has to stay fenced, if it has to.
fn reason_to_keep(database: &GlobalDatabase, here: &SiteSlice, promotion_asked_for: bool) -> Option<String> {
    match database.promotion(&here.cluster_arn) {
        Promotion::Done => Some(format!("{} takes the writes now", here.region)),
        Promotion::Underway(transition) => Some(format!("the database is {} to {}", transition.status, here.region)),
        Promotion::Unclear(transition) if promotion_asked_for => {
            Some(format!("{}, which may be here", transition.in_words(&database.id)))
        }
        Promotion::Elsewhere(_) | Promotion::Unclear(_) | Promotion::NotStarted => None,
    }
}

/// Whether an error is no result: a lock that is lost, and what AWS is still busy with, which is put back in a moment.
fn is_for_the_machine(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Preempted | ErrorKind::Conflict | ErrorKind::Throttled)
}

fn output(region: &str, of: usize, failed: Vec<Missing>, kept: Option<String>) -> Output {
    let taken_back = if kept.is_some() { 0 } else { of - failed.len() };
    let summary = match &kept {
        Some(reason) => format!("{region} stays fenced: {reason}"),
        None if of == 0 => format!("this recovery did not change {region}, or it is already as before"),
        None => format!("{taken_back} of {of} changes in {region} are taken back"),
    };
    let complete = kept.is_none() && failed.is_empty();
    let (failed, more_failed) = Missing::shortened(failed);
    Output {
        taken_back,
        of,
        complete,
        failed,
        more_failed,
        kept,
        look_again: None,
        summary,
    }
}

/// Nothing is given back as yet.
fn look_again(region: &str, of: usize, not_begun: NotBegun) -> Output {
    let summary = format!("{region} stays fenced until more checks agree that no promotion is in progress");
    Output {
        taken_back: 0,
        of,
        failed: Vec::new(),
        more_failed: 0,
        kept: None,
        complete: false,
        look_again: Some(not_begun),
        summary,
    }
}

#[cfg(test)]
mod tests {
    use shared::fence::Setting;
    use shared::global_database::{Member, Transition};
    use shared::record::{Resource, ResourceKind};

    use super::*;

    fn here() -> SiteSlice {
        SiteSlice {
            region: "us-west-2".into(),
            cluster: "c".into(),
            cluster_arn: "new".into(),
            secret_arn: "arn:s".into(),
            topic_arn: "arn:t".into(),
            api: shared::slices::ApiSlice {
                rest_api: "abc".into(),
                stage: "v2".into(),
                domain: "d.example.com".into(),
            },
        }
    }

    fn database(writer: &str, to: Option<&str>) -> GlobalDatabase {
        let member = |arn: &str| Member {
            cluster_arn: arn.to_owned(),
            is_writer: arn == writer,
            synchronization: None,
        };
        GlobalDatabase {
            id: "g".to_owned(),
            members: vec![member("old"), member("new")],
            transition: to.map(|to| Transition {
                status: "failing-over".to_owned(),
                to_cluster_arn: Some(to.to_owned()),
                way: None,
            }),
            engine_version: None,
        }
    }

    fn function(reserved_concurrency: Option<i32>) -> Setting {
        Setting::Function {
            name: "f".to_owned(),
            reserved_concurrency,
        }
    }

    #[test]
    fn the_fence_is_kept_once_this_region_is_promoted_or_on_the_way() {
        let kept = |writer, to| reason_to_keep(&database(writer, to), &here(), true);
        assert_eq!(kept("old", None), None);
        assert_eq!(kept("old", Some("old")), None);
        assert!(kept("old", Some("new")).unwrap().contains("failing-over"));
        assert!(kept("new", None).unwrap().contains("us-west-2 takes the writes"));
        let mut unclear = database("old", Some("new"));
        unclear.transition.as_mut().unwrap().to_cluster_arn = None;
        assert_eq!(reason_to_keep(&unclear, &here(), false), None);
        let kept = reason_to_keep(&unclear, &here(), true).unwrap();
        assert!(
            kept.contains("a cluster that AWS does not name, which may be here"),
            "{kept}"
        );
    }

    #[test]
    fn the_fence_is_kept_once_the_recovery_has_gone_on_after_the_promotion() {
        let note = |step: &str, taken_back_at| Undo {
            step: step.to_owned(),
            resource: Resource::new(ResourceKind::Unknown, "r"),
            previous: serde_json::Value::Null,
            taken_back_by: None,
            by_hand: None,
            taken_back_at,
        };
        let before = [note(FENCE, None), note(PROMOTION, None)];
        assert_eq!(went_on_after_promotion(&before), None);
        let after = [note(FENCE, None), note("activate-region", None)];
        assert!(
            went_on_after_promotion(&after)
                .unwrap()
                .contains("changes of activate-region remain")
        );
        let taken_back = [note("activate-region", "2026-01-06T03:00:00Z".parse().ok())];
        assert_eq!(went_on_after_promotion(&taken_back), None);
    }

    #[test]
    fn a_note_that_cannot_be_read_keeps_no_other_change_from_being_given_back() {
        let note = |resource: &str, previous| Undo {
            step: FENCE.to_owned(),
            resource: Resource::new(ResourceKind::Unknown, resource),
            previous,
            taken_back_by: None,
            by_hand: None,
            taken_back_at: None,
        };
        let good = serde_json::to_value(function(Some(7))).unwrap();
        let (changes, unreadable) = standing(vec![note("bad", serde_json::Value::Null), note("good", good)], FENCE);
        assert_eq!(changes.len(), 1);
        assert_eq!(
            (changes[0].note.resource.text.as_str(), &changes[0].before),
            ("good", &function(Some(7)))
        );
        assert_eq!(unreadable.len(), 1);
        let output = output("us-east-1", 2, unreadable, None);
        assert_eq!((output.taken_back, output.of, output.complete), (1, 2, false));
    }
}
