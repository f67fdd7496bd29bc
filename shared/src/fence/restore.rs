//! Puts back what a fence took.

use std::collections::BTreeSet;

use super::noted::Standing;
use super::{Fence, Setting};
use crate::aws::Aws;
use crate::calls::side_by_side;
use crate::error::{ErrorKind, StepError};
use crate::record::{Missing, Record, Undo};
use crate::recovery::RecoveryRef;

impl Fence {
    /// [Restores](Fence::restore) what stands, while the recovery has its lock, and notes what is taken back. Gives what is not,
    /// and how a person does it. Errors: `Preempted`, the record's, and of a resource those that are for the machine.
    pub async fn give_back(
        &self,
        aws: &Aws,
        record: &Record,
        recovery: &RecoveryRef,
        changes: &[Standing],
        is_for_the_machine: impl Fn(ErrorKind) -> bool,
    ) -> Result<Vec<Missing>, StepError> {
        let before: Vec<Setting> = changes.iter().map(|change| change.before.clone()).collect();
        let restored = self.restore(&before, || record.still_ours(recovery)).await;
        let back: Vec<&Undo> = changes
            .iter()
            .zip(&restored)
            .filter_map(|(change, restored)| restored.is_ok().then_some(&change.note))
            .collect();
        let now = aws.now();
        let noting = back.iter().map(|note| record.note_taken_back(recovery, note, now));
        side_by_side(noting.collect())
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        let mut left = Vec::new();
        for (Standing { note, before }, restored) in changes.iter().zip(restored) {
            match restored {
                Ok(()) => {}
                Err(error) if is_for_the_machine(error.kind) => return Err(error),
                Err(error) => {
                    let by_hand = before.by_hand(&before.fenced(), &self.region);
                    let reason = format!("{error}; by hand: {by_hand}");
                    left.push(Missing::new(note.resource.clone(), reason));
                }
            }
        }
        Ok(left)
    }

    /// Makes everything that it was before, where it is as the fence left it; what somebody has changed since stays. Before
    /// each kind of resource is changed, `may_go_on` is asked: looking takes a while. Gives for each setting, in their order,
    /// whether it is as it was before.
    pub async fn restore<F>(&self, before: &[Setting], may_go_on: impl Fn() -> F) -> Vec<Result<(), StepError>>
    where
        F: Future<Output = Result<(), StepError>>,
    {
        let now = self.look_again(before).await;
        let mut results: Vec<Result<bool, StepError>> = before
            .iter()
            .zip(now)
            .map(|(before, now)| now.and_then(|now| is_to_be_changed(before, &now)))
            .collect();
        // Functions run before anything calls them, and customers come last.
        for kind in [is_function, is_event_source, is_stage] {
            if let Err(error) = may_go_on().await {
                for result in results.iter_mut().filter(|result| matches!(result, Ok(true))) {
                    *result = Err(error.clone());
                }
                break;
            }
            let stopped = stopped_functions(before, &results);
            let mut indices = Vec::new();
            for (index, setting) in before.iter().enumerate() {
                if !kind(setting) || !matches!(results[index], Ok(true)) {
                    continue;
                }
                match setting {
                    Setting::EventSource { function, .. } if stopped.contains(function) => {
                        let text = format!("left disabled: its function {function} was not restored");
                        results[index] = Err(StepError::new(ErrorKind::VerificationFailed, text));
                    }
                    _ => indices.push(index),
                }
            }
            let wanted: Vec<(Setting, Setting)> = indices
                .iter()
                .map(|index| (before[*index].fenced(), before[*index].clone()))
                .collect();
            let made = self.change(&wanted).await;
            let wanted: Vec<Setting> = wanted.into_iter().map(|(_, before)| before).collect();
            for ((index, made), again) in indices.into_iter().zip(made).zip(self.look_again(&wanted).await) {
                results[index] = confirm(&before[index], made, again).map(|()| false);
            }
        }
        results.into_iter().map(|result| result.map(drop)).collect()
    }
}

/// Whether a resource has to be put back: not where it is as before. Errors: `VerificationFailed`, if somebody has changed
/// it since.
fn is_to_be_changed(before: &Setting, now: &Setting) -> Result<bool, StepError> {
    if now == before {
        return Ok(false);
    }
    if *now == before.fenced() {
        return Ok(true);
    }
    let text = format!(
        "left as it is, {}: somebody has changed it since the fence; before it was {}",
        now.describe(),
        before.describe()
    );
    Err(StepError::new(ErrorKind::VerificationFailed, text))
}

/// Functions that are not given back.
fn stopped_functions(before: &[Setting], results: &[Result<bool, StepError>]) -> BTreeSet<String> {
    let failed = before.iter().zip(results).filter(|(_, result)| result.is_err());
    let names = failed.filter_map(|(setting, _)| match setting {
        Setting::Function { name, .. } => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

/// Whether a resource is as before. What is seen counts, whatever the call answered.
fn confirm(before: &Setting, made: Result<(), StepError>, again: Result<Setting, StepError>) -> Result<(), StepError> {
    match (made, again) {
        (_, Ok(now)) if now == *before => Ok(()),
        (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        (Ok(()), Ok(now)) => {
            let text = format!(
                "it was restored, but is {} again; check what changes it",
                now.describe()
            );
            Err(StepError::new(ErrorKind::VerificationFailed, text))
        }
    }
}

fn is_function(setting: &Setting) -> bool {
    matches!(setting, Setting::Function { .. })
}

fn is_event_source(setting: &Setting) -> bool {
    matches!(setting, Setting::EventSource { .. })
}

fn is_stage(setting: &Setting) -> bool {
    matches!(setting, Setting::Stage { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(reserved_concurrency: Option<i32>) -> Setting {
        Setting::Function {
            name: "f".to_owned(),
            reserved_concurrency,
        }
    }

    #[test]
    fn only_what_is_as_the_fence_left_it_is_put_back() {
        assert_eq!(is_to_be_changed(&function(Some(7)), &function(Some(0))), Ok(true));
        assert_eq!(is_to_be_changed(&function(None), &function(Some(0))), Ok(true));
        assert_eq!(is_to_be_changed(&function(Some(7)), &function(Some(7))), Ok(false));
        let by_hand = is_to_be_changed(&function(Some(7)), &function(Some(3))).unwrap_err();
        assert!(
            by_hand
                .message
                .contains("reserved concurrency 3: somebody has changed it"),
            "{by_hand}"
        );
    }

    #[test]
    fn what_is_seen_counts_and_not_what_the_call_answered() {
        let lost = || Err(StepError::new(ErrorKind::Unavailable, "no answer"));
        assert_eq!(confirm(&function(Some(7)), lost(), Ok(function(Some(7)))), Ok(()));
        assert_eq!(
            confirm(&function(Some(7)), Ok(()), Ok(function(Some(0))))
                .unwrap_err()
                .kind,
            ErrorKind::VerificationFailed
        );
        assert_eq!(
            confirm(&function(Some(7)), lost(), Ok(function(Some(0))))
                .unwrap_err()
                .kind,
            ErrorKind::Unavailable
        );
    }
}
