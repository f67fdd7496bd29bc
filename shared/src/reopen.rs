//! Opening a Region that a recovery of the other Region fenced and left shut, as a person orders it.
//!
//! Two sides would take writes if the other Region is promoted after all. So nothing is opened unless five conditions hold,
//! looked at in this order ([`Condition`]); the first that does not hold ends it. Only what the fence noted is put back.
//! Before the database is looked at, it is kept in the fenced Region that people open it: the recovery reads that before it
//! fences or promotes, so that one that wakes up later does neither.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use aws_sdk_rdsdata::types::{Field, SqlParameter};

use crate::arn;
use crate::aws::Aws;
use crate::canary;
use crate::error::{ErrorKind, StepError};
use crate::execution::{Seen, end_what_is_left, look_up};
use crate::fence::{Fence, Noted, Setting};
use crate::global_database::GlobalDatabase;
use crate::plan::{Plan, Site};
use crate::record::{Claim, Claimed, Fenced, FencedFor, Header, Missing, Record, Reopened};
use crate::recovery::RecoveryRef;

/// How long is waited between two looks at the database: longer than one invocation of the step that promotes may take.
pub const BETWEEN_LOOKS: Duration = Duration::from_secs(60);
/// How many people approve where the recovery's Region cannot be read.
const PEOPLE: usize = 2;
/// How long opening may take, all together: with 200 functions, three calls for each.
const LIMIT: Duration = Duration::from_secs(85);
/// The step whose changes are taken back.
const FENCE: &str = "fence-region";
/// The step whose note says that a promotion was asked for.
const PROMOTION: &str = "promote-database";

/// What must hold before a Region is opened, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The recovery has ended in its Region, and its lock is ours; or two people approve, where that cannot be read.
    Lock,
    /// No note says that a promotion was asked for.
    NoPromotion,
    /// Each Region that answers says, twice, that this Region's cluster is the only writer and nothing is on the way.
    OnlyWriter,
    /// A write commits here.
    Canary,
    /// The notes are of one move between Regions.
    OneMove,
}

impl Condition {
    /// Every one, in the order in which they are looked at.
    pub const ALL: [Self; 5] = [
        Self::Lock,
        Self::NoPromotion,
        Self::OnlyWriter,
        Self::Canary,
        Self::OneMove,
    ];

    /// The letter by which documents name it.
    pub const fn letter(self) -> char {
        match self {
            Self::Lock => 'a',
            Self::NoPromotion => 'b',
            Self::OnlyWriter => 'c',
            Self::Canary => 'd',
            Self::OneMove => 'e',
        }
    }
}

/// Why nothing was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The condition that does not hold, or that could not be looked at; nothing where there is nothing to open.
    pub condition: Option<Condition>,
    /// Why, and what to do.
    pub error: StepError,
}

impl Refusal {
    fn before(error: StepError) -> Self {
        Self { condition: None, error }
    }

    fn of(condition: Condition) -> impl Fn(StepError) -> Self {
        move |error| Self {
            condition: Some(condition),
            error,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            Some(condition) => write!(f, "condition {} does not hold: {}", condition.letter(), self.error),
            None => self.error.fmt(f),
        }
    }
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The recovery that had fenced it.
    pub recovery: String,
    /// How many resources are as they were before the fence.
    pub opened: usize,
    /// The others, and why.
    pub failed: Vec<Missing>,
}

/// Who opens what.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The Region to open.
    pub region: &'a str,
    /// ARN of the person who orders it, as AWS says it.
    pub by: &'a str,
    /// Whether that person approves of opening where the recovery's Region cannot be read.
    pub approves: bool,
}

/// Opens a Region, as the plan names its resources and the fence noted them. `pause` lets time pass. Asked twice, it opens once.
/// Errors: why nothing was opened.
pub async fn reopen(
    aws: &Aws,
    plan: &Plan,
    order: Order<'_>,
    pause: impl AsyncFn(Duration),
) -> Result<Opened, Refusal> {
    let (Some(here), Some(other)) = (plan.site(order.region), plan.other_site(order.region)) else {
        let text = format!(
            "{} is not a Region of the plan; name one of the plan's Regions",
            order.region
        );
        return Err(Refusal::before(StepError::new(ErrorKind::InvalidInput, text)));
    };
    let record = Record::in_region(aws, &here.region);
    let notes = record.fenced(&plan.workload).await.map_err(Refusal::before)?;
    let notes: Vec<Fenced> = notes.into_iter().filter(|note| !note.shut_before).collect();
    let Some(recovery) = notes
        .iter()
        .max_by_key(|note| note.at)
        .map(|note| note.recovery.clone())
    else {
        let text = format!(
            "no note says that anything in {} is fenced; there is nothing to open",
            here.region
        );
        return Err(Refusal::before(StepError::refused(text)));
    };
    let work = Work {
        aws,
        plan,
        here,
        other,
        record,
        there: Record::in_region(aws, &other.region),
        recovery: &recovery,
        by: order.by,
    };
    let hold = work.hold(order.approves).await.map_err(Refusal::of(Condition::Lock))?;
    let opened = work.open(&notes, &hold, pause).await;
    if let Hold::Lock { execution, .. } = &hold
        && let Err(error) = work.there.release_lock(&plan.workload, execution).await
    {
        tracing::warn!(error = %error, "the lock was not released; release-lock frees it within 10 min");
    }
    opened
}

/// By what a Region may be opened.
enum Hold {
    /// The lock of the recovery's Region.
    Lock { execution: String, token: u64 },
    /// People approve; that Region cannot be read.
    People(Vec<String>),
}

struct Work<'a> {
    aws: &'a Aws,
    plan: &'a Plan,
    here: &'a Site,
    other: &'a Site,
    record: Record,
    there: Record,
    recovery: &'a str,
    by: &'a str,
}

impl Work<'_> {
    /// Takes the lock once the recovery has ended; where its Region cannot be read, counts who approves.
    async fn hold(&self, approves: bool) -> Result<Hold, StepError> {
        let unread = match self.take_lock().await {
            Ok(hold) => return Ok(hold),
            Err(error) if error.kind == ErrorKind::Unavailable => error,
            Err(error) => return Err(error),
        };
        let (here, other, workload) = (&self.here.region, &self.other.region, &self.plan.workload);
        if !approves {
            return Err(StepError::refused(format!(
                "{other} could not be read, so it is unknown whether the recovery is running: {unread}. If {PEOPLE} \
                 people are sure that it is not running, each of them runs: drctl reopen {here} --approve"
            )));
        }
        let approvals = self.record.approve_reopening(workload, self.recovery, self.by).await?;
        // Whoever has two roles is one person.
        let same_person = self.plan.automation.same_person;
        let names: BTreeSet<String> = approvals
            .iter()
            .map(|approval| same_person.person(&approval.by))
            .collect();
        if names.len() < PEOPLE {
            return Err(StepError::refused(format!(
                "{} of {PEOPLE} people approve; another person runs: drctl reopen {here} --approve",
                names.len()
            )));
        }
        Ok(Hold::People(
            approvals.into_iter().map(|approval| approval.by).collect(),
        ))
    }

    /// Takes the lock of the recovery's Region. Errors: `Unavailable` where that cannot be read.
    async fn take_lock(&self) -> Result<Hold, StepError> {
        let (workload, there) = (&self.plan.workload, &self.there);
        let header = there.header(self.recovery).await?.ok_or_else(|| {
            let text = format!(
                "the table in {} does not have recovery {}",
                self.other.region, self.recovery
            );
            StepError::new(ErrorKind::Unavailable, text)
        })?;
        let execution = self.execution(&header);
        let lock = there.lock(workload).await?;
        if let Some(lock) = lock.as_ref().filter(|lock| lock.execution != execution) {
            let holder = there.header(&lock.recovery).await?;
            self.has_ended(&lock.execution, holder.as_ref()).await?;
        }
        self.has_ended(&header.execution, Some(&header)).await?;
        let claim = Claim {
            workload,
            execution: &execution,
            recovery: self.recovery,
            mode: header.mode,
            at: self.aws.now(),
        };
        match there.claim_lock(&claim, lock.as_ref()).await? {
            Claimed::Taken(token) => Ok(Hold::Lock { execution, token }),
            Claimed::Busy(lock) => Err(StepError::refused(format!(
                "{} holds the lock in {}; wait until it has ended, then try again",
                lock.execution, self.other.region
            ))),
        }
    }

    /// Under which name this person holds the lock: it is in the form of an execution, which no machine runs. Whoever finds it
    /// left behind can tell that nothing is at work.
    fn execution(&self, header: &Header) -> String {
        let machine = arn::machine(&header.execution).unwrap_or_default();
        let name: String = arn::display_name(self.by)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(60)
            .collect();
        arn::execution(&machine, &format!("reopened-by-{name}"))
    }

    /// Checks that an execution has ended, and ends what that left running. Errors: `Refused` while it is at work.
    async fn has_ended(&self, execution: &str, header: Option<&Header>) -> Result<(), StepError> {
        // Clocks of two Regions are not compared: one that Step Functions does not know counts as at work.
        match look_up(self.aws, execution, self.aws.now()).await? {
            Seen::Ended(_) => {}
            Seen::Runs | Seen::NotYet => {
                let region = &self.other.region;
                return Err(StepError::refused(format!(
                    "{execution} is running in {region}. Wait until it ends, or stop it: aws stepfunctions \
                     stop-execution --region {region} --execution-arn {execution}"
                )));
            }
        }
        match header.and_then(|header| header.run.as_ref()) {
            Some(run) => end_what_is_left(self.aws, run).await,
            None => Ok(()),
        }
    }

    /// The other conditions, then the opening.
    async fn open(&self, notes: &[Fenced], hold: &Hold, pause: impl AsyncFn(Duration)) -> Result<Opened, Refusal> {
        self.no_promotion().await?;
        let by = match hold {
            Hold::Lock { .. } => vec![self.by.to_owned()],
            Hold::People(by) => by.clone(),
        };
        let reopened = Reopened {
            recovery: self.recovery.to_owned(),
            by,
            at: self.aws.now(),
        };
        let workload = &self.plan.workload;
        let noted = self.record.note_reopened(workload, &reopened).await;
        let is_ours = noted.map_err(Refusal::of(Condition::OnlyWriter))?;
        if let Err(refusal) = self.other_conditions(notes, pause).await {
            // Where somebody else keeps it, they may have opened this Region by now.
            if is_ours && let Err(error) = self.record.forget_reopened(workload, self.recovery).await {
                tracing::warn!(error = %error, "the record still says that people opened this Region, but they did \
                                                not");
            }
            return Err(refusal);
        }
        // Somebody else may have been refused meanwhile, and have taken it away.
        let noted = self.record.note_reopened(workload, &reopened).await;
        noted.map_err(Refusal::of(Condition::OnlyWriter))?;
        Ok(self.restore(notes, hold).await)
    }

    async fn no_promotion(&self) -> Result<(), Refusal> {
        let notes = match self.there.undo_notes(self.recovery).await {
            Ok(notes) => notes,
            Err(error) if error.kind == ErrorKind::Unavailable => return Ok(()),
            Err(error) => return Err(Refusal::of(Condition::NoPromotion)(error)),
        };
        let promoted = notes.iter().any(|note| note.stands_of(PROMOTION));
        if !promoted {
            return Ok(());
        }
        let text = format!(
            "recovery {} asked AWS to promote the database in {}: resume it, or move the workload back by a recovery",
            self.recovery, self.other.region
        );
        Err(Refusal::of(Condition::NoPromotion)(StepError::refused(text)))
    }

    async fn other_conditions(&self, notes: &[Fenced], pause: impl AsyncFn(Duration)) -> Result<(), Refusal> {
        let only_writer = Refusal::of(Condition::OnlyWriter);
        self.only_writer().await.map_err(&only_writer)?;
        pause(BETWEEN_LOOKS).await;
        self.only_writer().await.map_err(&only_writer)?;
        // A step that read its record before may have asked for the promotion meanwhile.
        self.no_promotion().await?;
        self.canary().await.map_err(Refusal::of(Condition::Canary))?;
        one_move(notes).map_err(Refusal::of(Condition::OneMove))
    }

    /// Asks each Region that answers. This one has to.
    async fn only_writer(&self) -> Result<(), StepError> {
        let ours = self.plan.cluster_arn(self.here);
        let theirs = self.plan.cluster_arn(self.other);
        for site in [self.here, self.other] {
            let client = aws_sdk_rds::Client::new(&self.aws.config_in(&site.region));
            let global = &self.plan.database.global_cluster;
            match GlobalDatabase::describe(&client, global, &site.region).await {
                Ok(database) => is_only_writer(&database, &ours, &theirs, &site.region)?,
                Err(error) if error.kind == ErrorKind::Unavailable && site.region != self.here.region => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn canary(&self) -> Result<(), StepError> {
        let arn = self.plan.cluster_arn(self.here);
        let parameter = |name: &str, value| SqlParameter::builder().name(name).value(value).build();
        aws_sdk_rdsdata::Client::new(&self.aws.config_to_change(&self.here.region))
            .execute_statement()
            .resource_arn(&arn)
            .secret_arn(&self.here.database_secret)
            .database(&self.plan.database.name)
            .sql(canary::write(&self.plan.database.heartbeat.schema))
            .parameters(parameter("recovery", Field::StringValue(self.recovery.to_owned())))
            .parameters(parameter("now", Field::LongValue(self.aws.now().as_millisecond())))
            .send()
            .await
            .map(drop)
            .map_err(|error| StepError::aws("rds-data:ExecuteStatement", &arn, error))
    }

    /// Puts back what was noted, and forgets the notes of what is as before.
    async fn restore(&self, notes: &[Fenced], hold: &Hold) -> Opened {
        let workload = &self.plan.workload;
        let noted = Noted::read(notes.iter().map(|note| (&note.resource, &note.previous)));
        let (texts, before): (Vec<String>, Vec<Setting>) = noted.before.into_iter().unzip();
        let fence = Fence::in_region(self.aws, &self.here.region, LIMIT);
        let still_ours = || async {
            match hold {
                Hold::Lock { execution, token } => self.there.still_ours(&self.reference(execution, *token)).await,
                Hold::People(_) => Ok(()),
            }
        };
        let restored = fence.restore(&before, still_ours).await;
        let mut failed: Vec<Missing> = noted.unreadable.into_values().collect();
        let mut opened = 0;
        for ((text, before), restored) in texts.iter().zip(&before).zip(restored) {
            match restored {
                Ok(()) => {
                    opened += 1;
                    if let Err(error) = self.record.forget_fenced(workload, text).await {
                        tracing::warn!(error = %error, "could not delete the note of the fence");
                    }
                }
                Err(error) => {
                    let region = &self.here.region;
                    let by_hand = before.by_hand(&before.fenced(), region);
                    let reason = format!("{error}; by hand: {by_hand}");
                    failed.push(Missing::new(before.resource(region), reason));
                }
            }
        }
        if let Hold::Lock { execution, token } = hold {
            self.note_taken_back(&self.reference(execution, *token), &failed).await;
        }
        Opened {
            recovery: self.recovery.to_owned(),
            opened,
            failed,
        }
    }

    fn reference(&self, execution: &str, token: u64) -> RecoveryRef {
        RecoveryRef {
            id: self.recovery.to_owned(),
            workload: self.plan.workload.clone(),
            token,
            execution: execution.to_owned(),
        }
    }

    /// Keeps in the recovery's record that its fence is gone. It is tried and not more: what was opened stays open.
    async fn note_taken_back(&self, recovery: &RecoveryRef, failed: &[Missing]) {
        let noting = async {
            for note in self.there.undo_notes(self.recovery).await? {
                let is_open = !failed.iter().any(|missing| missing.resource.text == note.resource.text);
                if note.stands_of(FENCE) && is_open {
                    self.there.note_taken_back(recovery, &note, self.aws.now()).await?;
                }
            }
            Ok::<(), StepError>(())
        };
        if let Err(error) = noting.await {
            tracing::warn!(error = %error, "could not record that the fence is gone; the recovery's record still \
                                            shows it");
        }
    }
}

/// Whether a Region sees `ours` as the only writer, beside `theirs` and nothing else, and nothing on the way.
fn is_only_writer(database: &GlobalDatabase, ours: &str, theirs: &str, seen_from: &str) -> Result<(), StepError> {
    let no = |why: String| {
        Err(StepError::refused(format!(
            "seen from {seen_from}, {why}. Opening now may let two sides take writes"
        )))
    };
    if let Some(transition) = &database.transition {
        return no(transition.in_words(&database.id));
    }
    if let Some(unknown) = database
        .members
        .iter()
        .find(|member| member.cluster_arn != ours && member.cluster_arn != theirs)
    {
        return no(format!(
            "{} is a member that the plan does not name",
            unknown.cluster_arn
        ));
    }
    let writers: Vec<&str> = database.writers().map(|member| member.cluster_arn.as_str()).collect();
    match writers[..] {
        [writer] if writer == ours => Ok(()),
        [] => no("no cluster is the writer".to_owned()),
        _ => no(format!("the writer is {}", writers.join(", "))),
    }
}

/// Whether all notes are of one move between Regions.
fn one_move(notes: &[Fenced]) -> Result<(), StepError> {
    if let Some(note) = notes.iter().find(|note| note.fenced_for != FencedFor::RegionMove) {
        return Err(StepError::refused(format!(
            "recovery {1} fenced {0}, but not for a move between Regions; open it as the runbook of that recovery \
             says",
            note.resource, note.recovery
        )));
    }
    let recoveries: BTreeSet<&str> = notes.iter().map(|note| note.recovery.as_str()).collect();
    if recoveries.len() > 1 {
        let names: Vec<&str> = recoveries.into_iter().collect();
        return Err(StepError::refused(format!(
            "several recoveries fenced resources here ({}); check each, and open them by hand",
            names.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::global_database::{Member, Transition};
    use crate::record::Resource;

    fn database(writers: &[&str], others: &[&str], to: Option<&str>) -> GlobalDatabase {
        let member = |is_writer| {
            move |arn: &&str| Member {
                cluster_arn: (*arn).to_owned(),
                is_writer,
                synchronization: None,
            }
        };
        let members = writers.iter().map(member(true)).chain(others.iter().map(member(false)));
        GlobalDatabase {
            id: "g".to_owned(),
            members: members.collect(),
            transition: to.map(|to| Transition {
                status: "pending".to_owned(),
                to_cluster_arn: Some(to.to_owned()),
                way: None,
            }),
            engine_version: None,
        }
    }

    #[test]
    fn only_one_picture_of_the_database_lets_a_region_open() {
        let only = |writers: &[&str], others: &[&str], to| {
            is_only_writer(&database(writers, others, to), "ours", "theirs", "us-east-1").map_err(|error| error.message)
        };
        assert_eq!(only(&["ours"], &["theirs"], None), Ok(()));
        assert_eq!(only(&["ours"], &[], None), Ok(()));
        let no = |writers: &[&str], others: &[&str], to, why: &str| {
            let said = only(writers, others, to).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        no(&["theirs"], &["ours"], None, "the writer is theirs");
        no(&["ours", "theirs"], &[], None, "the writer is ours, theirs");
        no(&[], &["ours", "theirs"], None, "no cluster is the writer");
        no(&["ours"], &["theirs"], Some("theirs"), "pending to theirs");
        no(&["ours"], &["theirs"], Some("ours"), "pending to ours");
        no(
            &["ours"],
            &["theirs", "third"],
            None,
            "third is a member that the plan does not name",
        );
    }

    #[test]
    fn notes_of_anything_but_one_move_are_not_opened() {
        let note = |recovery: &str, fenced_for| Fenced {
            resource: Resource::function("f", "us-east-1"),
            previous: serde_json::Value::Null,
            recovery: recovery.to_owned(),
            fenced_for,
            shut_before: false,
            at: Timestamp::UNIX_EPOCH,
        };
        let moved = || note("one", FencedFor::RegionMove);
        assert_eq!(one_move(&[moved(), moved()]), Ok(()));
        assert!(one_move(&[moved(), note("one", FencedFor::Another)]).is_err());
        assert!(one_move(&[moved(), note("two", FencedFor::RegionMove)]).is_err());
    }
}
