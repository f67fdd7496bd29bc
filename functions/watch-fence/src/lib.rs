//! The dead man's switch of the fence: a look, each minute, of a Region at its own fence.
//!
//! A recovery of the other Region fences this one before it promotes its own database. If that Region fails in between, this
//! one stays shut although its cluster is still the writer. This step reads its own notes, `DescribeGlobalClusters` and, if
//! it can, the recovery. Where nothing was heard of that for the plan's time, it pages people with the one command that
//! opens. It opens nothing by itself: its view of the database may be out of date, and two sides would take writes.

mod judge;

use std::time::Duration;

use aws_sdk_rds::Client;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::global_database::GlobalDatabase;
use shared::plan::{Plan, Site};
use shared::record::{Fenced, Header, Lock, Record, TimelineStep, Watched};
use shared::recovery::Outcome;
use shared::step::{Caller, Change, Step};
use shared::summary::{Summarise, Summary};
use shared::topic::Topics;

use judge::{Ended, Judged, Word, judge};

/// Whose fence to look at. The schedule passes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The workload.
    pub workload: String,
}

/// What was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "found")]
pub enum Output {
    /// This Region is not fenced.
    Open,
    /// It is fenced, and another cluster is the writer: the workload has moved.
    Moved,
    /// It is fenced, and the recovery was heard of not long ago.
    Heard {
        /// The recovery.
        recovery: String,
    },
    /// It is fenced, and nothing is heard of the recovery.
    Silent {
        /// The recovery.
        recovery: String,
        /// Whether people were paged now.
        paged: bool,
    },
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self {
            Self::Open => Summary::done("this Region is not fenced"),
            Self::Moved => Summary::done("this Region is fenced, and the workload has moved"),
            Self::Heard { recovery } => Summary::waiting(format!("this Region is fenced, and {recovery} is running")),
            Self::Silent { recovery, paged: true } => Summary::failed(format!(
                "this Region is fenced, and {recovery} is silent; people were paged"
            )),
            Self::Silent { recovery, .. } => Summary::failed(format!(
                "this Region is fenced, and {recovery} is silent; people were paged before"
            )),
        }
    }
}

/// The step: pages people while this Region is fenced and the recovery is silent.
#[derive(Debug)]
pub struct WatchFence {
    aws: Aws,
    rds: Client,
    record: Record,
    topics: Topics,
}

impl Step for WatchFence {
    const NAME: &'static str = "watch-fence";
    const DESCRIPTION: &'static str = "Pages people while this Region is fenced and the recovery is silent";
    const CALLED_BY: &'static [Caller] = &[Caller::Schedule];
    const CHANGES: &'static [Change] = &[Change::Call("sns:Publish"), Change::Item("fence-watch")];
    // It is called each minute, and nobody waits for it.
    const TIME_LIMIT: Duration = Duration::from_secs(52);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        let patient = aws.at_leisure();
        Self {
            aws: aws.clone(),
            rds: Client::new(aws.config()),
            record: Record::new(&patient),
            topics: Topics::new(&patient),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let notes = self.record.fenced(&input.workload).await?;
        let Some(recovery) = fenced_by(&notes) else {
            return Ok(Output::Open);
        };
        let (_, plan) = self.record.current_plan().await?;
        let region = self.aws.region();
        let (here, other) = plan.sites_from(region)?;
        let before = self.record.watched(&input.workload).await?;
        if before
            .as_ref()
            .is_some_and(|before| before.recovery == recovery && before.moved)
        {
            return Ok(Output::Moved);
        }
        let global = &plan.database.global_cluster;
        let writer = match GlobalDatabase::describe(&self.rds, global, region).await {
            Ok(database) => writer(&database, &plan.cluster_arn(here)),
            Err(error) => Writer::Unknown(error.to_string()),
        };
        if writer == Writer::Another {
            let watched = Watched {
                recovery: recovery.to_owned(),
                mark: None,
                heard_at: self.aws.now(),
                paged_at: None,
                moved: true,
            };
            self.record.note_watched(&input.workload, &watched).await?;
            return Ok(Output::Moved);
        }
        let word = self.word(&plan, other, recovery).await;
        let page_after = SignedDuration::try_from(plan.automation.page_fenced_after.as_std()).unwrap_or_default();
        let now = self.aws.now();
        let Judged { watched, pages } = judge(recovery, before.as_ref(), &word, page_after, now);
        if let Some(silent_for) = pages {
            let text = text(here, other, recovery, &writer, &word, silent_for);
            self.page(&plan, here, &text).await?;
        }
        // People are rather paged twice than never: it is kept after they were.
        if before.as_ref() != Some(&watched) {
            self.record.note_watched(&input.workload, &watched).await?;
        }
        let recovery = recovery.to_owned();
        Ok(match (&watched, pages) {
            (watched, _) if watched.moved => Output::Moved,
            (_, Some(_)) => Output::Silent { recovery, paged: true },
            (watched, None) if watched.paged_at.is_some() => Output::Silent { recovery, paged: false },
            _ => Output::Heard { recovery },
        })
    }
}

impl WatchFence {
    /// What the recovery's Region says of it.
    async fn word(&self, plan: &Plan, other: &Site, recovery: &str) -> Word {
        match self.read(plan, other, recovery).await {
            Ok(word) => word,
            Err(error) => Word::None(error.to_string()),
        }
    }

    async fn read(&self, plan: &Plan, other: &Site, recovery: &str) -> Result<Word, StepError> {
        let there = Record::in_region(&self.aws, &other.region);
        let lock = there.lock(&plan.workload).await?;
        let header = there.header(recovery).await?;
        let steps = there.timeline(recovery).await?;
        let mut asks_for = SignedDuration::ZERO;
        if header.as_ref().is_some_and(|header| header.ended().is_none()) {
            for question in there.questions(recovery).await? {
                if there.settled(recovery, &question.ask).await?.is_none() {
                    asks_for = asks_for.max(question.expires_at.duration_since(question.asked_at));
                }
            }
        }
        Ok(Word::Read {
            mark: mark(lock.as_ref(), header.as_ref(), &steps),
            asks_for,
            ended: header.as_ref().and_then(Header::ended).map(|closing| Ended {
                outcome: closing.outcome.name(),
                serves: matches!(closing.outcome, Outcome::Recovered | Outcome::Partial),
            }),
        })
    }

    async fn page(&self, plan: &Plan, here: &Site, text: &str) -> Result<(), StepError> {
        let subject = format!("{} is fenced, and its recovery is silent", here.region);
        let topic = plan.topic_arn(here);
        let published = self
            .topics
            .publish(&topic, self.aws.mode(), &plan.workload, &subject, text);
        published.await.map(drop)
    }
}

/// Which cluster takes writes, as this Region sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Writer {
    /// Its own.
    Ours,
    /// Another one: the workload has moved.
    Another,
    /// AWS moves the writer, or names none, or does not answer: why that is not known.
    Unknown(String),
}

fn writer(database: &GlobalDatabase, ours: &str) -> Writer {
    match &database.transition {
        Some(transition) => Writer::Unknown(transition.in_words(&database.id)),
        None if database.member(ours).is_some_and(|member| member.is_writer) => Writer::Ours,
        None if database.writers().next().is_some() => Writer::Another,
        None => Writer::Unknown("it has no writer".to_owned()),
    }
}

/// The recovery that fenced this Region last, as the notes of what was open before say. What was shut before the fence needs
/// nobody to open it.
fn fenced_by(notes: &[Fenced]) -> Option<&str> {
    let fenced = notes.iter().filter(|note| !note.shut_before);
    fenced.max_by_key(|note| note.at).map(|note| note.recovery.as_str())
}

/// How far a recovery is. Its times are those of another Region's clock: they are compared with each other only.
fn mark(lock: Option<&Lock>, header: Option<&Header>, steps: &[TimelineStep]) -> String {
    let holds = lock.map(|lock| format!("{} {}", lock.execution, lock.token));
    let execution = header.map(|header| header.execution.as_str()).unwrap_or_default();
    let ended = header.and_then(Header::ended).map(|closing| closing.outcome.name());
    let attempts: u64 = steps.iter().map(|step| step.attempts).sum();
    let ends = steps.iter().filter_map(|step| step.ended_at).max();
    format!(
        "{execution}, {attempts} attempts, last end {}, {}, lock {}",
        ends.map(|at| at.to_string()).unwrap_or_default(),
        ended.unwrap_or("open"),
        holds.unwrap_or_default()
    )
}

fn text(here: &Site, other: &Site, recovery: &str, writer: &Writer, word: &Word, silent_for: SignedDuration) -> String {
    let (here, other) = (&here.region, &other.region);
    let minutes = silent_for.as_mins();
    let writes = match writer {
        Writer::Unknown(why) => format!("Could not check whether its database is still the writer: {why}."),
        Writer::Ours | Writer::Another => "Its database is still the writer.".to_owned(),
    };
    let heard = match word {
        Word::None(why) => format!("{here} cannot read {other}: {why}"),
        Word::Read {
            ended: Some(Ended { outcome, .. }),
            ..
        } => format!("It ended as {outcome}, and {here} was not opened."),
        Word::Read { .. } => format!("Its record in {other} can be read, and has not changed."),
    };
    format!(
        "{here} is fenced. {writes} {here} serves no customers until it is opened.\n\
         \n\
         Recovery {recovery} in {other} has been silent for {minutes} min. {heard}\n\
         \n\
         First check whether the recovery is running in {other}. If it is not, open {here}:\n\
         \n    drctl reopen {here}\n\
         \n\
         The command opens nothing if another Region takes writes, or may soon, or if it cannot tell. If {other} \
         cannot be read, two people each run it with --approve.\n\
         \n\
         This page comes every {} min until {here} is open or the recovery continues.\n",
        judge::EVERY.as_mins()
    )
}

#[cfg(test)]
mod tests {
    use shared::record::{FencedFor, Resource};

    use super::*;

    fn note(name: &str, recovery: &str, second: i64, shut_before: bool) -> Fenced {
        Fenced {
            resource: Resource::function(name, "us-east-1"),
            previous: serde_json::Value::Null,
            shut_before,
            recovery: recovery.to_owned(),
            fenced_for: FencedFor::RegionMove,
            at: jiff::Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn only_what_was_open_before_is_fenced_and_the_last_recovery_did_it() {
        assert_eq!(fenced_by(&[note("u", "one", 9, true)]), None);
        let notes = [
            note("f", "one", 1, false),
            note("g", "two", 2, false),
            note("u", "three", 9, true),
        ];
        assert_eq!(fenced_by(&notes), Some("two"));
    }
}
