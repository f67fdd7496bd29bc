//! Makes sure that the other Region takes no more writes, as far as it can be reached.
//!
//! Before this Region's database is promoted, the other Region's functions are kept from running (a reserved concurrency
//! of 0), their event sources are disabled, and its API lets nobody in. It is tried for less than a minute and no longer:
//! a Region that is lost answers nothing, and that is a result. What runs there already goes on to its end.
//!
//! What was there before is noted twice: as undo notes of the recovery, for `unfence-region`, and in the table of the
//! Region that is fenced, for whoever activates that Region later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::fence::{Fence, Noted, Setting, open, seen_and_not, side_by_side, why_open};
use shared::plan::Function;
use shared::record::{Fenced, FencedFor, Missing, Record, Resource, Undo, Warning, WarningCode, tried};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How long looking and changing may take, together. What is left then is not confirmed.
const LIMIT: Duration = Duration::from_secs(51);
/// How long notes in the other Region's table may take, together.
const NOTES_LIMIT: Duration = Duration::from_secs(4);
/// How many undo notes stand or fall together: one transaction's.
const NOTES_AT_ONCE: usize = 99;

/// What to fence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region to fence.
    pub other: SiteSlice,
    /// The platform's functions, as the plan names them.
    pub functions: Vec<Function>,
}

/// What is fenced.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the fence of each resource is confirmed.
    pub confirmed: bool,
    /// How many resources there are to fence.
    pub resources: usize,
    /// Those whose fence is not confirmed, and why.
    pub unconfirmed: Vec<Missing>,
    /// How many more of those there are than are named.
    pub more_unconfirmed: usize,
    /// How many were changed now; the others were fenced before, or are not.
    pub changed: usize,
    /// What this recovery cannot give back, although it is fenced.
    pub warnings: Vec<Warning>,
    /// All of this in a sentence.
    #[serde(skip)]
    pub summary: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        // A fence that is not confirmed does not stop the recovery.
        Summary::done(&self.summary)
    }
}

/// The step: blocks writes in the other Region.
#[derive(Debug)]
pub struct FenceRegion {
    aws: Aws,
    record: Record,
}

impl Step for FenceRegion {
    const NAME: &'static str = "fence-region";
    const DESCRIPTION: &'static str = "Blocks writes in the other Region";
    const CHANGES: &'static [Change] = &[
        Change::Call("apigateway:UpdateStage"),
        Change::Call("lambda:PutFunctionConcurrency"),
        Change::Call("lambda:UpdateEventSourceMapping"),
        Change::Item("fenced"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(56);
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
        let region = &input.other.region;
        let fence = Fence::in_region(&self.aws, region, LIMIT);
        let there = Record::in_region(&self.aws, region);
        let (looked, noted, reopened) = tokio::join!(
            fence.look(&input.functions, &input.other.api),
            self.record.undo_notes(&input.recovery.id),
            there.reopened(&input.recovery.workload, &input.recovery.id),
        );
        // A Region that does not say so is fenced all the same.
        if let Ok(Some(reopened)) = reopened {
            return Err(reopened.preempts(region));
        }
        let Noted {
            before: mut noted,
            mut unreadable,
        } = first_notes(&noted?);
        let resources = looked.len();
        let (mut seen, mut unconfirmed) = seen_and_not(looked);
        // What could not be given back is not touched.
        seen.retain(|now| match unreadable.remove(&now.resource(region).text) {
            Some(missing) => {
                unconfirmed.push(missing);
                false
            }
            None => true,
        });

        let (left_behind, warnings) = self.left_behind(&input, &seen, &noted).await;
        let (left_behind, not_noted) = self.note_undos(&input, left_behind).await?;
        unconfirmed.extend(not_noted);
        noted.extend(
            left_behind
                .into_iter()
                .map(|before| (before.resource(region).text, before)),
        );
        let (open, not_noted) = self.note_undos(&input, open(&seen)).await?;
        unconfirmed.extend(not_noted);
        if !seen.is_empty() {
            self.note_in_the_other_region(&input, &before(seen, &noted, region))
                .await;
        }
        let changes: Vec<(Setting, Setting)> = open.iter().map(|now| (now.clone(), now.fenced())).collect();
        let made = fence.change(&changes).await;
        let mut changed = 0;
        for ((now, made), again) in open.iter().zip(made).zip(fence.look_again(&open).await) {
            match why_open(now, region, made, again) {
                None => changed += 1,
                Some(missing) => unconfirmed.push(missing),
            }
        }
        Ok(Output {
            warnings,
            ..output(region, resources, changed, unconfirmed)
        })
    }
}

impl FenceRegion {
    /// What was there before an earlier recovery fenced it that ended without giving it back: this one gives it back in its
    /// place, if it does not go on. As the other Region's own notes tell. And what of this is not known.
    async fn left_behind(
        &self,
        input: &Input,
        seen: &[Setting],
        noted: &BTreeMap<String, Setting>,
    ) -> (Vec<Setting>, Vec<Warning>) {
        let region = &input.other.region;
        let fenced: BTreeSet<String> = seen
            .iter()
            .filter(|now| now.is_fenced())
            .map(|now| now.resource(region).text)
            .filter(|resource| !noted.contains_key(resource))
            .collect();
        if fenced.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let unread = |why: String| {
            let text = format!(
                "{} resources in {region} were already fenced, and their earlier settings are unknown; this \
                 recovery does not restore them",
                fenced.len()
            );
            let warning = Warning::new(WarningCode::NotesUnread, text).about(region).because(why);
            (Vec::new(), vec![warning])
        };
        let there = Record::in_region(&self.aws, region);
        let notes = match tokio::time::timeout(NOTES_LIMIT, there.fenced(&input.recovery.workload)).await {
            Ok(Ok(notes)) => notes,
            Ok(Err(error)) => return unread(error.to_string()),
            Err(_) => return unread(format!("no answer within {NOTES_LIMIT:?}")),
        };
        let left = notes.iter().filter(|note| fenced.contains(&note.resource.text));
        let left = Noted::read(left.map(|note| (&note.resource, &note.previous)));
        let (unreadable, more) = Missing::shortened(left.unreadable.into_values().collect());
        let warning = |text: String| Warning::new(WarningCode::NotesUnread, text).about(region);
        let named = unreadable.into_iter().map(|missing| Warning {
            resource: Some(missing.resource),
            ..warning(missing.reason)
        });
        let more = (more > 0).then(|| warning(format!("the log of this function names {more} more such notes")));
        let before = left.before.into_values().filter(|before| !before.is_fenced());
        (before.collect(), named.chain(more).collect())
    }

    /// Notes what takes the fence back. Gives what was noted, and so may be changed, and what was not. Errors: `Preempted`.
    async fn note_undos(&self, input: &Input, open: Vec<Setting>) -> Result<(Vec<Setting>, Vec<Missing>), StepError> {
        let (mut noted, mut failed) = (Vec::new(), Vec::new());
        for settings in open.chunks(NOTES_AT_ONCE) {
            let undos: Result<Vec<Undo>, StepError> = settings
                .iter()
                .map(|now| now.undo(Self::NAME, "unfence-region", &input.other.region))
                .collect();
            match self.record.note_undos(&input.recovery, &undos?).await {
                Ok(()) => noted.extend_from_slice(settings),
                Err(error) if error.kind == ErrorKind::Preempted => return Err(error),
                Err(error) => failed.extend(settings.iter().map(|now| {
                    let reason = format!("not changed: the undo note could not be written: {error}");
                    Missing::new(now.resource(&input.other.region), reason).because(&error)
                })),
            }
        }
        Ok((noted, failed))
    }

    /// Keeps in the other Region what was there before. It is tried and not more: the undo notes are there.
    async fn note_in_the_other_region(&self, input: &Input, before: &BTreeMap<Resource, Setting>) {
        let workload = &input.recovery.workload;
        let there = Record::in_region(&self.aws, &input.other.region);
        let noting = async {
            let fenced = there.fenced(workload).await?;
            let notes = missing_notes(before, &fenced, input, self.aws.now())?;
            let noting = notes.iter().map(|note| there.note_fenced(workload, note));
            side_by_side(noting.collect())
                .await
                .into_iter()
                .collect::<Result<(), StepError>>()
        };
        tried("note in the other Region what was there before", NOTES_LIMIT, noting).await;
    }
}

/// What this recovery noted before, and has not taken back: what was there before it changed anything.
fn first_notes(notes: &[Undo]) -> Noted {
    let standing = notes.iter().filter(|undo| undo.stands_of(FenceRegion::NAME));
    Noted::read(standing.map(|undo| (&undo.resource, &undo.previous)))
}

/// What each resource was before this recovery changed anything.
fn before(seen: Vec<Setting>, noted: &BTreeMap<String, Setting>, region: &str) -> BTreeMap<Resource, Setting> {
    let each = seen.into_iter().map(|now| {
        let resource = now.resource(region);
        let before = noted.get(&resource.text).cloned().unwrap_or(now);
        (resource, before)
    });
    each.collect()
}

/// The notes that the other Region lacks: of what was open before, and of event sources that were disabled while their
/// function could run, so that nobody enables these later. A note of this recovery stays as it is; one of another recovery
/// is out of date, since the resource was opened again in between.
fn missing_notes(
    before: &BTreeMap<Resource, Setting>,
    there: &[Fenced],
    input: &Input,
    at: Timestamp,
) -> Result<Vec<Fenced>, StepError> {
    let recovery = &input.recovery.id;
    let ours: BTreeSet<&str> = there
        .iter()
        .filter(|note| note.recovery == *recovery)
        .map(|note| note.resource.text.as_str())
        .collect();
    let could_run = |function: &str| {
        let function = before.get(&Resource::function(function, &input.other.region));
        function.is_some_and(|function| !function.is_fenced())
    };
    let wanted = before.iter().filter(|(resource, setting)| {
        let is_worth_it = match setting {
            Setting::EventSource { function, .. } => !setting.is_fenced() || could_run(function),
            _ => !setting.is_fenced(),
        };
        is_worth_it && !ours.contains(resource.text.as_str())
    });
    wanted
        .map(|(resource, setting)| {
            Ok(Fenced {
                resource: resource.clone(),
                previous: setting.kept()?,
                recovery: recovery.clone(),
                fenced_for: FencedFor::RegionMove,
                shut_before: setting.is_fenced(),
                at,
            })
        })
        .collect()
}

fn output(region: &str, resources: usize, changed: usize, unconfirmed: Vec<Missing>) -> Output {
    let fenced = resources - unconfirmed.len();
    let summary = if unconfirmed.is_empty() {
        format!("{region} is blocked: {resources} of {resources} resources verified, {changed} changed now")
    } else {
        format!(
            "could not confirm that {region} is blocked ({fenced} of {resources} resources verified, {changed} \
             changed now); it may still take writes"
        )
    };
    let confirmed = unconfirmed.is_empty();
    let (unconfirmed, more_unconfirmed) = Missing::shortened(unconfirmed);
    Output {
        confirmed,
        resources,
        unconfirmed,
        more_unconfirmed,
        changed,
        warnings: Vec::new(),
        summary,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const REGION: &str = "us-east-1";

    fn function(name: &str, reserved_concurrency: Option<i32>) -> Setting {
        Setting::Function {
            name: name.to_owned(),
            reserved_concurrency,
        }
    }

    fn source(function: &str, enabled: bool) -> Setting {
        Setting::EventSource {
            uuid: format!("of-{function}"),
            function: function.to_owned(),
            enabled,
        }
    }

    fn world(settings: &[Setting]) -> BTreeMap<Resource, Setting> {
        before(settings.to_vec(), &BTreeMap::new(), REGION)
    }

    fn noted(before: &BTreeMap<Resource, Setting>, there: &[Fenced], recovery: &str) -> Vec<Fenced> {
        let input = json!({
            "recovery": { "id": recovery, "workload": "shop", "token": 1, "execution": "arn:e" },
            "other": {
                "region": REGION, "cluster": "c", "cluster_arn": "arn:c", "secret_arn": "arn:s", "topic_arn": "arn:t",
                "api": { "rest_api": "abc", "stage": "v2", "domain": "d.example.com" },
            },
            "functions": [],
        });
        let input = serde_json::from_value(input).unwrap();
        missing_notes(before, there, &input, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn what_was_there_before_is_what_was_noted_first() {
        let note = function("f", Some(7))
            .undo(FenceRegion::NAME, "unfence-region", REGION)
            .unwrap();
        let now = vec![function("f", Some(0)), function("g", Some(3))];
        let before_it = before(now.clone(), &first_notes(std::slice::from_ref(&note)).before, REGION);
        assert_eq!(before_it[&note.resource], function("f", Some(7)));
        assert_eq!(before_it[&Resource::function("g", REGION)], function("g", Some(3)));
        let taken_back = Undo {
            taken_back_at: Some(Timestamp::UNIX_EPOCH),
            ..note.clone()
        };
        let again = before(now, &first_notes(&[taken_back]).before, REGION);
        assert_eq!(again[&note.resource], function("f", Some(0)));
    }

    #[test]
    fn the_other_region_learns_what_was_open_and_which_event_sources_were_not() {
        let runs = world(&[function("f", None), source("f", false)]);
        assert_eq!(noted(&runs, &[], "one").len(), 2);
        // A Region that stands by, or that was fenced before, has disabled event sources for that reason alone.
        let stands_by = world(&[function("f", Some(0)), source("f", false)]);
        assert_eq!(noted(&stands_by, &[], "one"), []);
    }

    #[test]
    fn a_note_of_this_recovery_stays_and_one_of_another_is_replaced() {
        let first = noted(&world(&[function("f", Some(7))]), &[], "one");
        let later = world(&[function("f", Some(9))]);
        assert_eq!(noted(&later, &first, "one"), []);
        assert_eq!(noted(&later, &first, "two").len(), 1);
    }

    #[test]
    fn what_is_seen_counts_and_not_what_the_call_answered() {
        let lost = || Err(StepError::new(ErrorKind::Unavailable, "no answer"));
        let (was, fenced) = (function("f", None), function("f", Some(0)));
        let why = |made, again| why_open(&was, REGION, made, again).unwrap().reason;
        assert_eq!(why_open(&was, REGION, lost(), Ok(fenced.clone())), None);
        assert!(why(lost(), Ok(was.clone())).contains("no answer"));
        assert!(why(Ok(()), Ok(was.clone())).contains("no reserved concurrency again"));
        let unseen = StepError::new(ErrorKind::Unavailable, "no time");
        assert!(why(Ok(()), Err(unseen)).contains("AWS accepted the change"));
    }
}
