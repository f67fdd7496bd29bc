//! Lets this Region run, as the plan says and as it was before another Region fenced it.
//!
//! While a Region stands by, its functions are kept at a reserved concurrency of 0 and their event sources are disabled,
//! so that nothing writes there. This step gives each function the concurrency that the plan says (or none reserved), after
//! it has seen that the function points at this Region's database: a function that would write elsewhere is left off and
//! named. Then event sources of functions that run are enabled, but for those that were disabled before a fence; and a
//! stage that another Region's recovery closed gets its throttling back. N of M is a result. It is taken back by what was
//! noted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::fence::{Fence, Noted, Setting, may_run, opened, side_by_side};
use shared::plan::Function;
use shared::record::{Fenced, Missing, Record, Resource, Undo};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How long looking and changing may take, together: with 200 functions, three calls for each.
const LIMIT: Duration = Duration::from_secs(95);

/// What to let run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// The Region that takes over.
    pub here: SiteSlice,
    /// The functions.
    pub functions: Vec<Function>,
}

/// What runs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many functions run as planned.
    pub active: usize,
    /// How many there are.
    pub of: usize,
    /// What is not as it should be, and why; a function by its name alone, for people.
    pub failed: Vec<Missing>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let run = format!("{} of {} functions run", self.active, self.of);
        match self.failed.first() {
            Some(failed) => Summary::failed(format!("{run}; {}: {}", failed.resource.text, failed.reason)),
            None => Summary::done(run),
        }
    }
}

/// The step.
#[derive(Debug)]
pub struct ActivateRegion {
    aws: Aws,
    record: Record,
}

impl Step for ActivateRegion {
    const NAME: &'static str = "activate-region";
    const DESCRIPTION: &'static str = "Lets the platform's functions of this Region run";
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
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let fence = Fence::here(&self.aws, LIMIT);
        let notes = Notes::read(&self.record.fenced(&input.recovery.workload).await?);
        let (looked, configurations) = tokio::join!(
            fence.look(&input.functions, &input.here.api),
            fence.configurations(&input.functions),
        );
        let mut looked: BTreeMap<Resource, Result<Setting, StepError>> = looked
            .into_iter()
            .map(|looked| (looked.resource, looked.setting))
            .collect();
        let mut report = Report::default();

        let mut functions = Vec::new();
        for (function, configuration) in input.functions.iter().zip(configurations) {
            let resource = Resource::function(&function.name, &input.here.region);
            let reserved = looked.remove(&resource).unwrap_or_else(|| Err(unseen(&resource)));
            let may_run = configuration.and_then(|configuration| may_run(&configuration, &input.here, &resource.text));
            match may_run.and(reserved) {
                Ok(now) => functions.push((now, as_planned(function))),
                Err(error) => report.failed(resource.called(&function.name), error),
            }
        }
        for (now, error) in self.change(&fence, &input, functions.clone()).await? {
            report.failed(now.resource(&input.here.region).called(name_of(&now)), error);
        }
        let running: Vec<&str> = functions
            .iter()
            .map(|(now, _)| name_of(now))
            .filter(|name| !report.names(&Resource::function(name, &input.here.region)))
            .collect();
        let active = running.len();

        let mut others = Vec::new();
        let stage = Resource::stage(&input.here.api.rest_api, &input.here.api.stage, &input.here.region);
        for (resource, now) in looked {
            if let Some(missing) = notes.0.unreadable.get(&resource.text) {
                report.failures.push(missing.clone());
                continue;
            }
            let to = match &now {
                Err(error) => Err(error.clone()),
                Ok(now @ Setting::EventSource { function, .. }) => Ok((running.contains(&function.as_str())
                    && notes.lets_enable(&resource.text))
                .then(|| enabled(now))),
                Ok(now) => opened(now, notes.0.before.get(&resource.text), &input.here.region),
            };
            match (now, to) {
                (Ok(now), Ok(Some(to))) => others.push((now, to)),
                (_, Ok(_)) => {}
                // While a stage that is known to be closed stays closed, customers are not served.
                (_, Err(error)) if resource == stage && notes.0.before.contains_key(&stage.text) => {
                    report.failed(resource, error);
                }
                (_, Err(error)) => report.note(resource, &error),
            }
        }
        for (now, error) in self.change(&fence, &input, others).await? {
            let resource = now.resource(&input.here.region);
            // Also where the answer of a change was lost: the next run sees that it was made.
            report.failed(resource, error);
        }
        let done = notes.outdated(&running, &report, &input.here.region);
        let forgetting = done
            .iter()
            .map(|resource| self.record.forget_fenced(&input.recovery.workload, resource));
        side_by_side(forgetting.collect())
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        // What may pass is tried again by the machine; functions that run answer at once then.
        if let Some(error) = report.passing {
            return Err(error);
        }
        Ok(Output {
            active,
            of: input.functions.len(),
            failed: report.failures,
        })
    }
}

impl ActivateRegion {
    /// Notes what takes changes back, then makes those that are changes. Gives those that failed, with what was there and
    /// why. Errors: `Preempted`, and those of the record, in which case nothing of it is changed.
    async fn change(
        &self,
        fence: &Fence,
        input: &Input,
        mut changes: Vec<(Setting, Setting)>,
    ) -> Result<Vec<(Setting, StepError)>, StepError> {
        changes.retain(|(now, to)| now != to);
        let undos: Result<Vec<Undo>, StepError> = changes
            .iter()
            .map(|(now, to)| undo(now, to, &input.here.region))
            .collect();
        self.record.note_undos(&input.recovery, &undos?).await?;
        let made = fence.change(&changes).await;
        let failed = changes
            .into_iter()
            .zip(made)
            .filter_map(|((now, _), made)| Some((now, made.err()?)));
        Ok(failed.collect())
    }
}

/// What failed so far.
#[derive(Debug, Default)]
struct Report {
    failures: Vec<Missing>,
    /// The first failure that may pass, and without which the Region does not serve.
    passing: Option<StepError>,
}

impl Report {
    /// A failure without which the Region does not serve.
    fn failed(&mut self, what: Resource, error: StepError) {
        self.note(what, &error);
        if self.passing.is_none() && error.kind.is_retryable() {
            self.passing = Some(error);
        }
    }

    /// A failure.
    fn note(&mut self, what: Resource, error: &StepError) {
        self.failures.push(Missing::new(what, error));
    }

    fn names(&self, what: &Resource) -> bool {
        let is_it = |failed: &Resource| (&failed.kind, &failed.name) == (&what.kind, &what.name);
        self.failures.iter().any(|failure| is_it(&failure.resource))
    }
}

/// What resources of this Region were before another Region's recovery fenced them.
struct Notes(Noted);

impl Notes {
    fn read(notes: &[Fenced]) -> Self {
        Self(Noted::read(notes.iter().map(|note| (&note.resource, &note.previous))))
    }

    /// Whether an event source may be enabled: not one that was disabled already when the Region was fenced.
    fn lets_enable(&self, resource: &str) -> bool {
        !self.0.before.get(resource).is_some_and(Setting::is_fenced)
    }

    /// Notes that have served. One of an event source that was disabled before holds as long as it is disabled: without it
    /// the next run would enable it.
    fn outdated(&self, running: &[&str], report: &Report, region: &str) -> Vec<String> {
        let served = self.0.before.iter().filter(|(_, before)| match before {
            Setting::Function { name, .. } => running.contains(&name.as_str()),
            Setting::EventSource { function, enabled, .. } => {
                *enabled && running.contains(&function.as_str()) && !report.names(&before.resource(region))
            }
            Setting::Stage { .. } => !report.names(&before.resource(region)),
        });
        served.map(|(resource, _)| resource.clone()).collect()
    }
}

fn name_of(function: &Setting) -> &str {
    match function {
        Setting::Function { name, .. } => name,
        _ => "",
    }
}

fn as_planned(function: &Function) -> Setting {
    Setting::Function {
        name: function.name.clone(),
        reserved_concurrency: function
            .reserved_concurrency
            .map(|count| i32::try_from(count).unwrap_or(i32::MAX)),
    }
}

fn enabled(event_source: &Setting) -> Setting {
    let mut setting = event_source.clone();
    if let Setting::EventSource { enabled, .. } = &mut setting {
        *enabled = true;
    }
    setting
}

fn unseen(resource: &Resource) -> StepError {
    StepError::new(
        ErrorKind::Internal,
        format!("{resource} was not looked at; this is a defect"),
    )
}

fn undo(now: &Setting, to: &Setting, region: &str) -> Result<Undo, StepError> {
    let by_hand = now.by_hand(to, region);
    let previous = serde_json::to_value(now).map_err(|error| {
        StepError::new(
            ErrorKind::Internal,
            format!("a setting is no data: {error}; this is a defect"),
        )
    })?;
    Ok(Undo {
        step: ActivateRegion::NAME.to_owned(),
        resource: now.resource(region),
        previous,
        taken_back_by: Some(format!("what was there before: {by_hand}")),
        by_hand: Some(by_hand),
        taken_back_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(enabled: bool) -> Setting {
        Setting::EventSource {
            uuid: "u".into(),
            function: "f".into(),
            enabled,
        }
    }

    fn notes(settings: &[Setting]) -> Notes {
        let note = |setting: &Setting| Fenced {
            resource: setting.resource("us-west-2"),
            previous: serde_json::to_value(setting).unwrap(),
            recovery: "r".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        Notes::read(&settings.iter().map(note).collect::<Vec<_>>())
    }

    #[test]
    fn an_event_source_is_enabled_unless_it_was_disabled_before_the_fence() {
        let resource = source(false).resource("us-west-2");
        assert!(notes(&[]).lets_enable(&resource.text));
        assert!(notes(&[source(true)]).lets_enable(&resource.text));
        assert!(!notes(&[source(false)]).lets_enable(&resource.text));
    }

    #[test]
    fn a_note_that_keeps_an_event_source_disabled_is_not_forgotten() {
        let report = Report::default();
        assert_eq!(notes(&[source(true)]).outdated(&["f"], &report, "us-west-2").len(), 1);
        assert_eq!(notes(&[source(true)]).outdated(&[], &report, "us-west-2").len(), 0);
        assert_eq!(notes(&[source(false)]).outdated(&["f"], &report, "us-west-2").len(), 0);
    }
}
