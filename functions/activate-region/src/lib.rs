//! Lets this Region run, as the plan says and as it was before another Region fenced it.
//!
//! While a Region stands by, its functions are kept at a reserved concurrency of 0 and their event sources are disabled,
//! so that nothing writes there. This step gives each function the concurrency that the plan says (or none reserved), after
//! it has seen that the function points at this Region's database: a function that would write elsewhere is left off and
//! named. A stage that another Region's recovery closed gets its throttling back. Event sources are a part of their own,
//! for when the database takes writes: those of functions that run are enabled, but for those that were disabled before a
//! fence. N of M is a result. It is taken back by what was noted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::fence::{Fence, Looked, Noted, Setting, may_run, opened, side_by_side};
use shared::plan::Function;
use shared::record::{Fenced, Missing, Record, Resource, Undo, Warning, go_on_without_record};
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
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region that takes over.
    pub here: SiteSlice,
    /// The platform's functions, as the plan names them.
    pub functions: Vec<Function>,
    /// Which part of the Region.
    pub part: Part,
    /// When a look found this Region writing: only then is it changed without undo notes, if the record fails.
    pub writer_seen_at: Option<Timestamp>,
}

/// A part of a Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The functions, and the stage in front of them. They may run before the database takes writes: nobody calls them yet.
    Functions,
    /// The event sources. Where the database takes no writes, messages use up their receives and end in dead-letter queues.
    EventSources,
}

/// What runs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    #[serde(skip)]
    part: Part,
    /// How many functions run as planned, or event sources are enabled.
    pub active: usize,
    /// How many there are; of event sources, those that are to be enabled.
    pub of: usize,
    /// What is not as it should be, and why; a function by its name alone, for people.
    pub failed: Vec<Missing>,
    /// What was changed without an undo note.
    pub unnoted: Vec<Warning>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let what = match self.part {
            Part::Functions => "functions run",
            Part::EventSources => "event sources are enabled",
        };
        let run = format!("{} of {} {what}", self.active, self.of);
        match self.failed.first() {
            Some(failed) => Summary::failed(format!("{run}; {}: {}", failed.resource.text, failed.reason)),
            None => Summary::done(run),
        }
    }
}

/// The step: activates the platform's functions in this Region.
#[derive(Debug)]
pub struct ActivateRegion {
    aws: Aws,
    record: Record,
}

impl Step for ActivateRegion {
    const NAME: &'static str = "activate-region";
    const DESCRIPTION: &'static str = "Activates the platform's functions in this Region";
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
        let lock = self.record.still_ours(&input.recovery).await;
        let unread = match lock {
            Ok(()) => None,
            Err(error) => Some(go_on_without_record(error, input.writer_seen_at, self.aws.now())?),
        };
        let fence = Fence::here(&self.aws, LIMIT);
        let noted = match unread {
            None => self.record.fenced(&input.recovery.workload).await?,
            Some(_) => Vec::new(),
        };
        let notes = Notes::read(&noted, unread);
        let (output, report, outdated) = match input.part {
            Part::Functions => self.let_functions_run(&fence, &input, &notes).await?,
            Part::EventSources => self.enable_event_sources(&fence, &input, &notes).await?,
        };
        let forgetting = outdated
            .iter()
            .map(|resource| self.record.forget_fenced(&input.recovery.workload, resource));
        side_by_side(forgetting.collect())
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        // What may pass is tried again by the machine; what runs answers at once then.
        if let Some(error) = report.passing {
            return Err(error);
        }
        Ok(Output {
            failed: report.failures,
            unnoted: report.unnoted,
            ..output
        })
    }
}

/// What there is of a part, what failed, and the notes that have served.
type Done = (Output, Report, Vec<String>);

impl ActivateRegion {
    /// Gives functions their concurrency and the stage its throttling. Errors: `Preempted`, and those of the record.
    async fn let_functions_run(&self, fence: &Fence, input: &Input, notes: &Notes) -> Result<Done, StepError> {
        let (functions, stage) = tokio::join!(
            reserved(fence, &input.functions, &input.here),
            fence.look_at_stage(&input.here.api)
        );
        let mut report = Report::default();
        let mut changes = Vec::new();
        for (function, now) in input.functions.iter().zip(functions) {
            match now {
                Ok(now) => changes.push((now, as_planned(function))),
                Err(error) => {
                    let resource = Resource::function(&function.name, &input.here.region);
                    report.failed(resource.called(&function.name), error);
                }
            }
        }
        let mut names: Vec<String> = changes.iter().map(|(now, _)| name_of(now).to_owned()).collect();
        for (now, error) in self.change(fence, input, notes, changes, &mut report).await? {
            // It runs, in the concurrency that it shares with others.
            if error.kind != ErrorKind::LimitExceeded {
                names.retain(|name| name != name_of(&now));
            }
            report.failed(now.resource(&input.here.region).called(name_of(&now)), error);
        }
        let running: Vec<&str> = names.iter().map(String::as_str).collect();
        let active = running.len();
        self.open_stage(fence, input, notes, stage, &mut report).await?;
        let outdated = notes.outdated(input.part, &running, &report, &input.here.region);
        let output = Output {
            part: input.part,
            active,
            of: input.functions.len(),
            failed: Vec::new(),
            unnoted: Vec::new(),
        };
        Ok((output, report, outdated))
    }

    async fn open_stage(
        &self,
        fence: &Fence,
        input: &Input,
        notes: &Notes,
        stage: Looked,
        report: &mut Report,
    ) -> Result<(), StepError> {
        let Looked { resource, setting } = stage;
        if let Some(missing) = notes.noted.unreadable.get(&resource.text) {
            report.failures.push(missing.clone());
            return Ok(());
        }
        let before = notes.noted.before.get(&resource.text);
        let to = setting.and_then(|now| Ok(opened(&now, before, &input.here.region)?.map(|to| (now, to))));
        match to {
            Ok(None) => {}
            Ok(Some(change)) => {
                // Also where the answer of a change was lost: the next run sees that it was made.
                for (_, error) in self.change(fence, input, notes, vec![change], report).await? {
                    report.failed(resource.clone(), error);
                }
            }
            // While a stage that is known to be closed stays closed, customers are not served.
            Err(error) if before.is_some() => report.failed(resource, error),
            Err(error) => report.note(resource, &error),
        }
        Ok(())
    }

    /// Enables the event sources of functions that run. Errors: `Preempted`, and those of the record.
    async fn enable_event_sources(&self, fence: &Fence, input: &Input, notes: &Notes) -> Result<Done, StepError> {
        let sources = fence.look_at_event_sources(&input.functions).await;
        let has_sources = |function: &&Function| {
            let is_its = |source: &Looked| source.resource.of.as_deref() == Some(&*function.name);
            sources.iter().any(is_its)
        };
        let functions: Vec<Function> = input.functions.iter().filter(has_sources).cloned().collect();
        let looked = reserved(fence, &functions, &input.here).await;
        let looked: BTreeMap<&str, Result<Setting, StepError>> =
            functions.iter().map(|function| &*function.name).zip(looked).collect();
        let mut report = Report::default();
        let (mut changes, mut of) = (Vec::new(), 0);
        let mut running = BTreeSet::new();
        for Looked { resource, setting } in sources {
            if let Some(missing) = notes.noted.unreadable.get(&resource.text) {
                report.failures.push(missing.clone());
                continue;
            }
            let function = resource.of.clone().unwrap_or_default();
            match (setting, looked.get(&*function)) {
                (Err(error), _) => report.failed(resource, error),
                // It may be off because of what may pass.
                (_, Some(Err(error))) if error.kind.is_retryable() => report.failed(resource, error.clone()),
                (Ok(now), Some(Ok(function))) if !function.is_fenced() => {
                    running.insert(name_of(function));
                    if notes.lets_enable(&resource.text) {
                        of += 1;
                        let to = enabled(&now);
                        changes.push((now, to));
                    }
                }
                // The function does not run, which is told of the function.
                (Ok(_), _) => {}
            }
        }
        let failed = self.change(fence, input, notes, changes, &mut report).await?;
        let active = of - failed.len();
        for (now, error) in failed {
            report.failed(now.resource(&input.here.region), error);
        }
        let running: Vec<&str> = running.into_iter().collect();
        let outdated = notes.outdated(input.part, &running, &report, &input.here.region);
        let output = Output {
            part: input.part,
            active,
            of,
            failed: Vec::new(),
            unnoted: Vec::new(),
        };
        Ok((output, report, outdated))
    }

    /// Notes what takes changes back, then makes those that are changes. Gives those that failed, with what was there and
    /// why. Errors: `Preempted`, and those of the record, in which case nothing of it is changed.
    async fn change(
        &self,
        fence: &Fence,
        input: &Input,
        notes: &Notes,
        mut changes: Vec<(Setting, Setting)>,
        report: &mut Report,
    ) -> Result<Vec<(Setting, StepError)>, StepError> {
        changes.retain(|(now, to)| now != to);
        let undos: Result<Vec<Undo>, StepError> = changes
            .iter()
            .map(|(now, to)| undo(now, to, &input.here.region))
            .collect();
        let undos = undos?;
        let not_noted = match &notes.unread {
            Some(error) => Some(error.clone()),
            None => {
                let (seen, now) = (input.writer_seen_at, self.aws.now());
                let noting = self.record.note_undos_or_go_on(&input.recovery, &undos, seen, now);
                noting.await?
            }
        };
        if let Some(error) = not_noted {
            report.unnoted.extend(undos.iter().map(|undo| undo.not_noted(&error)));
        }
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
    unnoted: Vec<Warning>,
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
struct Notes {
    noted: Noted,
    /// Why nothing can be read or noted, where the record fails.
    unread: Option<StepError>,
}

impl Notes {
    fn read(notes: &[Fenced], unread: Option<StepError>) -> Self {
        let noted = Noted::read(notes.iter().map(|note| (&note.resource, &note.previous)));
        Self { noted, unread }
    }

    /// Whether an event source may be enabled: not one that was disabled already when the Region was fenced.
    fn lets_enable(&self, resource: &str) -> bool {
        !self.noted.before.get(resource).is_some_and(Setting::is_fenced)
    }

    /// Notes that have served. One of an event source that was disabled before holds as long as it is disabled: without it
    /// the next run would enable it.
    fn outdated(&self, part: Part, running: &[&str], report: &Report, region: &str) -> Vec<String> {
        let served = self.noted.before.iter().filter(|(_, before)| match (part, before) {
            (Part::Functions, Setting::Function { name, .. }) => running.contains(&name.as_str()),
            (Part::Functions, Setting::Stage { .. }) => !report.names(&before.resource(region)),
            (Part::EventSources, Setting::EventSource { function, enabled, .. }) => {
                *enabled && running.contains(&function.as_str()) && !report.names(&before.resource(region))
            }
            _ => false,
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

fn undo(now: &Setting, to: &Setting, region: &str) -> Result<Undo, StepError> {
    let by_hand = now.by_hand(to, region);
    let previous = serde_json::to_value(now).map_err(|error| {
        StepError::new(
            ErrorKind::Internal,
            format!("the setting could not be written as JSON: {error}; this is a defect"),
        )
    })?;
    Ok(Undo {
        step: ActivateRegion::NAME.to_owned(),
        resource: now.resource(region),
        previous,
        taken_back_by: Some(format!("the earlier setting: {by_hand}")),
        by_hand: Some(by_hand),
        taken_back_at: None,
    })
}

/// What is reserved for each function that may run, in their order. Errors: why it may not, or what kept it from being looked at.
async fn reserved(fence: &Fence, functions: &[Function], here: &SiteSlice) -> Vec<Result<Setting, StepError>> {
    let (looked, configurations) = tokio::join!(fence.look_at_functions(functions), fence.configurations(functions));
    let each = looked.into_iter().zip(configurations).map(|(looked, configuration)| {
        may_run(&configuration?, here, &looked.resource.text)?;
        looked.setting
    });
    each.collect()
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
        use shared::record::FencedFor;

        let note = |setting: &Setting| Fenced {
            resource: setting.resource("us-west-2"),
            previous: serde_json::to_value(setting).unwrap(),
            recovery: "r".into(),
            fenced_for: FencedFor::RegionMove,
            shut_before: setting.is_fenced(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        Notes::read(&settings.iter().map(note).collect::<Vec<_>>(), None)
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
        let outdated = |enabled, part, running: &[&str]| {
            let notes = notes(&[source(enabled)]);
            notes.outdated(part, running, &report, "us-west-2").len()
        };
        assert_eq!(outdated(true, Part::EventSources, &["f"]), 1);
        assert_eq!(outdated(true, Part::Functions, &["f"]), 0);
        assert_eq!(outdated(true, Part::EventSources, &[]), 0);
        assert_eq!(outdated(false, Part::EventSources, &["f"]), 0);
    }
}
