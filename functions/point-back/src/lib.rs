//! Points functions back to the cluster that they used before, unless customers have written to the restored one.
//!
//! What `repoint-function` noted is put back where it is as that step left it; what somebody has changed since stays and is named.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::cluster_variable::{Functions, Wanted};
use shared::error::{ErrorKind, StepError};
use shared::fence::side_by_side;
use shared::plan::Function;
use shared::record::{Missing, Record, Undo, is_opened};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// The step whose changes are taken back.
const POINTS: &str = "repoint-function";
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(100);

/// What to point back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
}

/// What was pointed back.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many functions use the cluster from before again.
    pub taken_back: usize,
    /// How many had been changed.
    pub of: usize,
    /// The others, and why.
    pub failed: Vec<Missing>,
    /// How many more of the others there are than are named.
    pub more_failed: usize,
    /// Why they were left as they are, if they were.
    pub kept: Option<String>,
    /// Whether no function uses the restored cluster any more.
    pub complete: bool,
    /// All of this in a sentence.
    #[serde(skip)]
    pub summary: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.failed.first() {
            Some(failed) => Summary::failed(format!("{}; {}: {}", self.summary, failed.resource, failed.reason)),
            None => Summary::done(&self.summary),
        }
    }
}

/// What a note of `repoint-function` keeps.
#[derive(Debug, Deserialize)]
struct Before {
    function: Function,
    value: Option<String>,
    version: Option<String>,
    pointed_to: String,
}

/// The step: points functions back.
#[derive(Debug)]
pub struct PointBack {
    aws: Aws,
    record: Record,
}

impl Step for PointBack {
    const NAME: &'static str = "point-back";
    const DESCRIPTION: &'static str = "Points the platform's functions back to the damaged cluster";
    const CHANGES: &'static [Change] = &[
        Change::Call("lambda:UpdateAlias"),
        Change::Call("lambda:UpdateFunctionConfiguration"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(110);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        self.record.still_here(&input.recovery).await?;
        let notes = self.record.undo_notes(&input.recovery.id).await?;
        let opened = is_opened(&notes);
        let standing: Vec<Undo> = notes.into_iter().filter(|note| note.stands_of(POINTS)).collect();
        let of = standing.len();
        if opened {
            let why = "customers may have written to the restored database, and going back would lose that";
            return Ok(output(of, Vec::new(), Some(why.to_owned())));
        }
        let mut failed = Vec::new();
        let mut changes: Vec<(Undo, Before)> = Vec::new();
        for note in standing {
            match Before::deserialize(&note.previous) {
                Ok(before) => changes.push((note, before)),
                Err(error) => {
                    let text =
                        format!("the note of what it was before could not be read: {error}; look at it in the record");
                    failed.push(Missing::new(note.resource, text));
                }
            }
        }
        let functions = Functions::here(&self.aws, LIMIT);
        let named: Vec<Function> = changes.iter().map(|(_, before)| before.function.clone()).collect();
        let looked = functions.look(&named).await;
        let (mut wanted, mut back): (Vec<(Undo, Wanted)>, Vec<Undo>) = (Vec::new(), Vec::new());
        for ((note, before), looked) in changes.into_iter().zip(looked) {
            let seen = match looked {
                Ok(seen) => seen,
                Err(error) if error.kind.is_retryable() => return Err(error),
                Err(error) => {
                    failed.push(Missing::new(note.resource, &error).because(&error));
                    continue;
                }
            };
            let Some(value) = before.value else {
                failed.push(Missing::new(
                    note.resource,
                    "it had no such variable before; remove it by hand",
                ));
                continue;
            };
            if seen.is_at(&value) {
                back.push(note);
                continue;
            }
            if seen.values().any(|now| now != value && now != before.pointed_to) {
                let text = "left as it is: somebody has changed it since; compare it with the plan";
                failed.push(Missing::new(note.resource, text));
                continue;
            }
            let wants = Wanted {
                function: before.function,
                seen,
                value,
                version: before.version,
            };
            wanted.push((note, wants));
        }
        let each: Vec<Wanted> = wanted.iter().map(|(_, wanted)| wanted.clone()).collect();
        let pointed = functions.point(&each).await;
        let mut retried = None;
        for ((note, _), pointed) in wanted.into_iter().zip(pointed) {
            match pointed {
                Ok(()) => back.push(note),
                Err(error) if error.kind.is_retryable() || error.kind == ErrorKind::Preempted => retried = Some(error),
                Err(error) => failed.push(Missing::new(note.resource, &error).because(&error)),
            }
        }
        let now = self.aws.now();
        let noting = back
            .iter()
            .map(|note| self.record.note_taken_back(&input.recovery, note, now));
        side_by_side(noting.collect())
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        match retried {
            Some(error) => Err(error),
            None => Ok(output(of, failed, None)),
        }
    }
}

fn output(of: usize, failed: Vec<Missing>, kept: Option<String>) -> Output {
    let taken_back = if kept.is_some() { 0 } else { of - failed.len() };
    let summary = match &kept {
        Some(why) => format!("the functions keep the restored cluster: {why}"),
        None if of == 0 => "no function was pointed to the restored cluster".to_owned(),
        None => format!("{taken_back} of {of} functions use the cluster from before again"),
    };
    let complete = kept.is_none() && failed.is_empty();
    let (failed, more_failed) = Missing::shortened(failed);
    Output {
        taken_back,
        of,
        failed,
        more_failed,
        kept,
        complete,
        summary,
    }
}
