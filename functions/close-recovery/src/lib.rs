//! Ends a recovery: works out what was achieved, keeps how it ended, releases the lock, publishes what was measured.
//!
//! Every path of the recovery machine ends here, also one on which opening failed. The lock then says whether the execution
//! had opened a recovery all the same, which is closed; otherwise the lock is released, if the execution holds it. What was
//! observed and changed is in the record, where the steps put it; the output of the scenario's machine adds to that, if that
//! machine lived to give one. Closing twice closes once: the first closing by an execution stands.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration as StdDuration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::measure::{Achieved, Met, MetObjectives, Observed, RpoStatus, achieved, met};
use shared::metric::Metrics;
use shared::plan::{Duration, Objectives};
use shared::record::{Closing, Header, Record, Released, Sighting, Undo, Untold, Warning};
use shared::recovery::{Outcome, RecoveryRef};
use shared::scenario_run::{Failure, Remaining, ScenarioEnd};
use shared::slices::ProbeSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How the recovery ended.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery; nothing if opening failed.
    pub recovery: Option<RecoveryRef>,
    /// ARN of the execution.
    pub execution: String,
    /// The outcome, where the scenario's machine gave none and no state failed.
    pub outcome: Outcome,
    /// Why, likewise.
    pub reason: Option<String>,
    /// The state of the recovery machine that failed, if one did.
    pub failure: Option<Failure>,
    /// How the scenario's machine ended; nothing if it was not run, or did not live to say.
    pub scenario: Option<ScenarioEnd>,
    /// The Region that was left; nothing if opening failed.
    pub left_region: Option<String>,
    /// Where metrics are published; nothing if opening failed.
    pub probe: Option<ProbeSlice>,
    /// What steps of the recovery machine answered that a person should know: each may have `warnings`, a list of [`Warning`].
    pub evidence: BTreeMap<String, Value>,
}

/// What the record has of a recovery; nothing of what could not be read.
struct Known {
    changes: Option<Vec<Undo>>,
    seen: Option<Sighting>,
    decided: Option<Option<Decided>>,
    /// The last heartbeat that the Region that was left is known to have committed.
    word: Option<Option<Timestamp>>,
}

/// How a recovery ended, from all that is known of it.
#[derive(Clone, Debug)]
struct End {
    outcome: Outcome,
    reason: Option<String>,
    failure: Option<Failure>,
    /// Whether anything was changed, or may have been.
    changed: bool,
    remaining: Option<Remaining>,
    observed: Observed,
    evidence: BTreeMap<String, Value>,
}

impl End {
    /// What the scenario's machine says, and where it says nothing, the recovery machine. `seen` is what the record has of
    /// times, and `changes` what it has of changes: nothing where that could not be read.
    fn new(input: &Input, seen: Sighting, changes: Option<&[Undo]>) -> Self {
        let stands = |changes: &[Undo]| changes.iter().any(|undo| undo.taken_back_at.is_none());
        let changed = changes.is_none_or(stands);
        let mut evidence = input.evidence.clone();
        let Some(scenario) = &input.scenario else {
            return Self {
                outcome: input.outcome,
                reason: input.reason.clone(),
                failure: input.failure.clone(),
                changed,
                remaining: None,
                observed: seen.alone(),
                evidence,
            };
        };
        let said = scenario.evidence.iter().filter(|(_, said)| !said.is_null());
        evidence.extend(said.map(|(what, said)| (what.clone(), said.clone())));
        Self {
            outcome: scenario.outcome,
            reason: scenario.reason.clone(),
            failure: scenario.failure.clone(),
            changed: changed || scenario.remaining.is_some(),
            remaining: scenario.remaining.clone(),
            observed: seen.complete(scenario.observed),
            evidence,
        }
    }
}

/// What was kept.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// The outcome.
    pub outcome: Outcome,
    /// One sentence for people.
    #[serde(skip)]
    pub summary: String,
    /// What was achieved; nothing if opening failed.
    pub achieved: Option<Achieved>,
    /// How that stands against the objectives.
    pub met: Option<MetObjectives>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.outcome {
            Outcome::Recovered => Summary::done(&self.summary),
            _ => Summary::failed(&self.summary),
        }
    }
}

/// The step: measures what a recovery achieved, records how it ended, and releases the lock.
#[derive(Debug)]
pub struct CloseRecovery {
    aws: Aws,
    record: Record,
    /// Tries again for longer: customers do not wait for a closing, and what is not read stays unmeasured.
    patient: Record,
    metrics: Metrics,
}

impl Step for CloseRecovery {
    const NAME: &'static str = "close-recovery";
    const DESCRIPTION: &'static str = "Measures what a recovery achieved, records how it ended, and releases the \
                                       lock";
    const CHANGES: &'static [Change] = &[
        Change::Call("monitoring:PutMetricData"),
        Change::Item("header"),
        Change::Item("lock"),
        Change::Item("untold"),
    ];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
            patient: Record::new(&aws.at_leisure()),
            metrics: Metrics::once(aws, PUBLISHES_WITHIN),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let held = match &input.recovery {
            Some(_) => None,
            None => self.held(&input.execution).await?,
        };
        let Some(recovery) = input.recovery.as_ref().or(held.as_ref()) else {
            return Ok(unopened(&input));
        };
        let Some(mut header) = self.record.header(&recovery.id).await? else {
            if input.recovery.is_none() {
                self.record.release_lock(&recovery.workload, &input.execution).await?;
                return Ok(unopened(&input));
            }
            let text = format!(
                "recovery {} has no header in the record; check whether the table was changed by hand",
                recovery.id
            );
            return Err(StepError::new(ErrorKind::NotFound, text));
        };
        let closing = match header.closing.take() {
            Some(closing) if closing.execution == input.execution => closing,
            earlier => {
                header.earlier.extend(earlier);
                let known = Box::pin(self.known(&input, recovery)).await;
                let mut end = End::new(&input, known.seen.unwrap_or_default(), known.changes.as_deref());
                with_word(&mut end.observed, known.word.flatten());
                back_since(&mut end.observed, &header.earlier);
                if let Some(decided) = known.decided.flatten() {
                    end.evidence
                        .entry(ASSESSMENT.to_owned())
                        .or_insert_with(|| json!(decided));
                }
                let mut closing = self.closing(&input, end, &header, &known.changes.unwrap_or_default());
                if input.recovery.is_none() {
                    // The machine has no topic to tell people on: the execution must not look like a success.
                    closing.outcome = Outcome::Failed;
                }
                self.record
                    .put_header(&Header {
                        closing: Some(closing.clone()),
                        ..header.clone()
                    })
                    .await?;
                closing
            }
        };
        // People are told next; where the execution ends before that, whoever finds the note tells them.
        let untold = Untold {
            recovery: RecoveryRef {
                execution: input.execution.clone(),
                ..recovery.clone()
            },
            mode: header.mode,
            released: Released::Closing,
            at: closing.closed_at,
        };
        self.record.release_lock_and_note(&untold).await?;
        if let Some(probe) = &input.probe {
            self.publish(probe, &header, &closing).await;
        }
        Ok(Output {
            outcome: closing.outcome,
            summary: summary(&header, &closing),
            achieved: Some(closing.achieved),
            met: Some(closing.met),
        })
    }
}

impl CloseRecovery {
    /// Publishes what was measured. Nobody waits longer for it than [`PUBLISHES_WITHIN`], and it is logged and not more if
    /// it fails: the recovery is closed, and people are about to be told.
    async fn publish(&self, probe: &ProbeSlice, header: &Header, closing: &Closing) {
        let (scenario, at) = (header.scenario.name(), closing.closed_at);
        let published = self
            .metrics
            .publish_achieved(probe, scenario, header.mode, at, &closing.achieved);
        if let Err(error) = published.await {
            tracing::warn!(error = %error, "could not publish the achieved RTO and RPO");
        }
    }

    /// What the record has of a recovery, all of it asked for at once.
    async fn known(&self, input: &Input, recovery: &RecoveryRef) -> Known {
        let word = async {
            match &input.left_region {
                Some(left) => self.patient.last_committed_heartbeat(&recovery.workload, left).await,
                None => Ok(None),
            }
        };
        let (changes, seen, decided, word) = tokio::join!(
            biased;
            or_warn("changed", self.patient.undo_notes(&recovery.id)),
            or_warn("observed", self.patient.observed(recovery)),
            or_warn("decided", self.patient.decision::<Decided>(recovery)),
            or_warn("committed last", word),
        );
        Known {
            changes,
            seen,
            decided,
            word,
        }
    }

    fn closing(&self, input: &Input, end: End, header: &Header, stands: &[Undo]) -> Closing {
        let Why { outcome, reason, cause } = why(&end);
        let was_taken_back = end.remaining.as_ref().is_some_and(|remaining| remaining.complete);
        let outcome = if was_taken_back {
            outcome
        } else {
            failed_if_changes_remain(outcome, stands)
        };
        let reason = reason.map(|reason| with_what_stands(reason, outcome, stands));
        let achieved = achieved(&end.observed);
        Closing {
            execution: input.execution.clone(),
            outcome,
            reason,
            cause,
            failed_as: end.failure.as_ref().map(|failure| failure.error.error.clone()),
            failed_state: end.failure.map(|failure| failure.state),
            closed_at: self.aws.now(),
            evidence: json!(end.evidence),
            observed: end.observed,
            met: met(&achieved, &header.objectives),
            achieved,
        }
    }

    /// The recovery that an execution holds the lock for, where its machine never learned of that: the step that opens it died
    /// once it had taken the lock.
    async fn held(&self, execution: &str) -> Result<Option<RecoveryRef>, StepError> {
        let plan = match self.record.current_plan().await {
            Ok((_, plan)) => plan,
            Err(error) if error.kind.is_retryable() => return Err(error),
            // Without a plan there is no workload, and so no lock that could have been taken.
            Err(error) => {
                tracing::warn!(error = %error, "there is no plan");
                return Ok(None);
            }
        };
        let lock = self.record.lock(&plan.workload).await?;
        let ours = lock.filter(|lock| lock.execution == execution);
        Ok(ours.map(|lock| RecoveryRef {
            id: lock.recovery,
            workload: plan.workload,
            token: lock.token,
            execution: lock.execution,
        }))
    }
}

/// What is said of an execution that opened no recovery.
fn unopened(input: &Input) -> Output {
    let Why { reason, .. } = why(&End::new(input, Sighting::default(), Some(&[])));
    let why = reason.unwrap_or_else(|| "no reason given".to_owned());
    tracing::error!(reason = why, "the recovery was not opened");
    // Nobody was told, so it must not look like a success: alarms on failed executions see it.
    Output {
        outcome: Outcome::Failed,
        summary: format!("The recovery was not opened: {why}"),
        achieved: None,
        met: None,
    }
}

/// What the evidence calls the assessment.
const ASSESSMENT: &str = "assessment";

/// What the record has of an assessment, under the same names, where the scenario's machine did not live to hand it on.
#[derive(Debug, Deserialize, Serialize)]
struct Decided {
    way: Value,
    impact_at: Value,
    decided_at: Value,
    expected_loss: Value,
}

/// How long reading may take of what a recovery is closed without, if need be: all of it is asked for at once.
const READS_WITHIN: StdDuration = StdDuration::from_secs(8);

/// How long publishing metrics may take.
const PUBLISHES_WITHIN: StdDuration = StdDuration::from_secs(2);

/// The outcome where this execution does not continue, but changes of an earlier execution remain: failed, since the platform
/// is not as before and somebody must resume the recovery. If everything was taken back, a noted promotion has not begun: that
/// was checked.
fn failed_if_changes_remain(outcome: Outcome, undos: &[Undo]) -> Outcome {
    let stands = undos.iter().any(|undo| undo.taken_back_at.is_none());
    match outcome {
        Outcome::Refused | Outcome::Declined | Outcome::Expired if stands => Outcome::Failed,
        outcome => outcome,
    }
}

/// Adds what was changed and stands, by step, where that does not go without saying. How each is taken back is in the record.
fn with_what_stands(reason: String, outcome: Outcome, undos: &[Undo]) -> String {
    if !matches!(outcome, Outcome::Failed | Outcome::Preempted) {
        return reason;
    }
    let mut stands: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for undo in undos.iter().filter(|undo| undo.taken_back_at.is_none()) {
        let never = if undo.taken_back_by.is_none() {
            " (permanent)"
        } else {
            ""
        };
        let resource = format!("{}{never}", undo.resource);
        stands.entry(&undo.step).or_default().push(resource);
    }
    if stands.is_empty() {
        return reason;
    }
    let by_step: Vec<String> = stands
        .into_iter()
        .map(|(step, resources)| {
            let named = resources[..resources.len().min(RESOURCES_NAMED)].join(", ");
            match resources.len().saturating_sub(RESOURCES_NAMED) {
                0 => format!("{step} changed {named}"),
                more => format!("{step} changed {named} and {more} more"),
            }
        })
        .collect();
    format!("{reason}. These changes remain: {}", by_step.join("; "))
}

/// How many resources of a step a summary names: a message must stay one that is read.
const RESOURCES_NAMED: usize = 3;

/// How a recovery ended, and why.
struct Why {
    outcome: Outcome,
    reason: Option<String>,
    /// The reason without the state that failed.
    cause: Option<String>,
}

/// How a recovery ended, and why.
///
/// A guard's refusal, a wrong input, and what could not be looked at before anything was changed are refusals: nothing
/// happened. A failure after which everything was taken back is rolled back. Whatever was not taken back, although it was
/// tried, is a failure. Everything else that fails is one too, and alarms see it.
fn why(end: &End) -> Why {
    let (outcome, cause) = match &end.failure {
        None => (end.outcome, end.reason.clone()),
        Some(failure) => (outcome_of(failure, end.changed), Some(in_words(failure))),
    };
    let with_state = |cause: String| match &end.failure {
        Some(failure) => format!("{}: {cause}", failure.state),
        None => cause,
    };
    let Some(remaining) = &end.remaining else {
        return Why {
            outcome,
            reason: cause.clone().map(with_state),
            cause,
        };
    };
    let outcome = match outcome {
        Outcome::Preempted => Outcome::Preempted,
        _ if !remaining.complete => Outcome::Failed,
        Outcome::Failed => Outcome::RolledBack,
        other => other,
    };
    let (cause, reason) = match cause {
        Some(cause) => {
            let cause = format!("{cause}. {}", remaining.summary);
            (cause.clone(), with_state(cause))
        }
        None => (remaining.summary.clone(), remaining.summary.clone()),
    };
    Why {
        outcome,
        reason: Some(reason),
        cause: Some(cause),
    }
}

/// What is read of the record; nothing, and a line in the log, where that fails or takes longer than [`READS_WITHIN`].
async fn or_warn<T>(what: &str, reading: impl Future<Output = Result<T, StepError>>) -> Option<T> {
    match tokio::time::timeout(READS_WITHIN, reading).await {
        Ok(Ok(read)) => Some(read),
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "could not read what was {what}");
            None
        }
        Err(_) => {
            tracing::warn!("could not read what was {what} within {READS_WITHIN:?}");
            None
        }
    }
}

/// Customers were served from the first healthy answer on, also where an execution saw it that fell short of something else, and
/// another one went on.
fn back_since(observed: &mut Observed, earlier: &[Closing]) {
    let fell_short = earlier.iter().filter(|closing| closing.outcome == Outcome::Partial);
    let seen = fell_short.filter_map(|closing| closing.observed.healthy_at);
    observed.healthy_at = observed.healthy_at.into_iter().chain(seen).min();
}

/// Adds the last heartbeat that the Region that was left is known to have committed: it went on writing after the
/// decision, or, where that was not read when the database was ready, stopped then.
fn with_word(observed: &mut Observed, word: Option<Timestamp>) {
    // Until the database is here, the other Region writes by right.
    let is_here = observed.can_lose_writes && observed.last_surviving_at.is_some();
    let Some(decided_at) = observed.decided_at.filter(|_| is_here) else {
        return;
    };
    observed.old_side_wrote_until = word.filter(|last| *last > decided_at);
    let before = word.filter(|last| *last <= decided_at);
    observed.last_committed_at = observed.last_committed_at.or(before);
}

fn outcome_of(failure: &Failure, changed: bool) -> Outcome {
    let name = failure.error.error.as_str();
    let kind = ErrorKind::ALL.into_iter().find(|kind| kind.name() == name);
    match kind {
        Some(ErrorKind::Preempted) => Outcome::Preempted,
        Some(ErrorKind::Refused | ErrorKind::InvalidInput) if !changed => Outcome::Refused,
        Some(kind) if kind.is_retryable() && !changed => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

fn in_words(failure: &Failure) -> String {
    let message = message_in(&failure.error.cause);
    format!("{}: {message}", failure.error.error)
}

/// The message of a function's error; Step Functions cuts long causes off, so it may not be JSON any more.
fn message_in(cause: &str) -> String {
    #[derive(Deserialize)]
    struct Cause {
        #[serde(rename = "errorMessage")]
        message: String,
    }
    match serde_json::from_str::<Cause>(cause) {
        Ok(cause) => cause.message,
        Err(_) if cause.is_empty() => "no cause was given".to_owned(),
        Err(_) => cause.to_owned(),
    }
}

fn warnings(evidence: &Value) -> Vec<Warning> {
    let steps = evidence.as_object().into_iter().flat_map(|steps| steps.values());
    steps.flat_map(Warning::all_in).collect()
}

fn summary(header: &Header, closing: &Closing) -> String {
    let mut text = format!("{}: {}.", header.scenario, closing.outcome);
    if let Some(reason) = &closing.reason {
        text.push_str(&format!(" {reason}."));
    }
    if matches!(closing.outcome, Outcome::Recovered | Outcome::Partial) {
        text.push_str(&achievements(&header.objectives, closing));
    }
    if let Some(seconds) = closing.achieved.old_side_wrote_seconds {
        let time = Duration::from_secs(seconds.round() as u64);
        text.push_str(&format!(
            " The Region that was left kept taking writes for at least {time} after the decision: those writes are \
             not here."
        ));
    }
    let went_on = !matches!(closing.outcome, Outcome::Refused | Outcome::Declined | Outcome::Expired);
    if let Some(how) = approved(&closing.evidence).filter(|_| went_on) {
        text.push_str(&format!(" {how}."));
    }
    if closing.outcome.may_be_resumed() {
        text.push_str(&format!(" Resume it: drctl resume {}", header.id));
        text.push('.');
    }
    for warning in warnings(&closing.evidence) {
        text.push_str(&format!(" Note: {warning}."));
    }
    text
}

/// Who approved, or why no approval was needed, from the assessment and the answers.
fn approved(evidence: &Value) -> Option<String> {
    let people: Vec<&str> = evidence
        .pointer("/approval/by")
        .and_then(Value::as_array)
        .map(|by| by.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    if !people.is_empty() {
        return Some(format!("Approved by {}", people.join(" and ")));
    }
    let ask = evidence.pointer("/assessment/ask")?;
    let because = ask.get("because")?.as_str()?;
    (ask.get("people")?.as_u64()? == 0).then(|| format!("No approval needed: {because}"))
}

fn achievements(objectives: &Objectives, closing: &Closing) -> String {
    let time = |seconds: Option<f64>| match seconds {
        Some(seconds) => Duration::from_secs(seconds.round() as u64).to_string(),
        None => "not measured".to_owned(),
    };
    let against = |met: Met, objective: Option<shared::plan::Objective>| match (met, objective) {
        (Met::Target, Some(objective)) => format!("within the target of {}", objective.target),
        (Met::Maximum, Some(objective)) => format!(
            "over the target of {}, within the maximum of {}",
            objective.target, objective.maximum
        ),
        (Met::Missed, Some(objective)) => format!("the maximum of {} is missed", objective.maximum),
        _ => "no objective applies".to_owned(),
    };
    let rto = match closing.achieved.rto_is_at_least {
        true => format!(
            " Back after at least {}: the start of the outage was not observed (target {}, maximum {}).",
            time(closing.achieved.rto_seconds),
            objectives.rto.target,
            objectives.rto.maximum
        ),
        false => format!(
            " Back after {} ({}).",
            time(closing.achieved.rto_seconds),
            against(closing.met.rto, Some(objectives.rto))
        ),
    };
    let rpo = match closing.achieved.rpo_status {
        RpoStatus::NotApplicable => " No writes were lost.".to_owned(),
        RpoStatus::Unmeasured => " Lost writes: not measured.".to_owned(),
        RpoStatus::Measured => {
            let against = against(closing.met.rpo, objectives.rpo);
            match closing.achieved.rpo_seconds {
                Some(seconds) if seconds > 0.0 => {
                    format!(" Lost: about {} of writes ({against}).", time(Some(seconds)))
                }
                _ => format!(" Up to one heartbeat interval of writes may be lost ({against})."),
            }
        }
    };
    rto + &rpo
}

#[cfg(test)]
mod tests {
    use shared::plan::Objective;
    use shared::recovery::Mode;
    use shared::request::{Trigger, TriggerKind};
    use shared::scenario::Scenario;
    use shared::scenario::region_failure::Intent;
    use shared::scenario_run::ErrorOutput;

    use super::*;
    use shared::record::{Resource, ResourceKind};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn header() -> Header {
        let objective = |target, maximum| Objective {
            target: Duration::from_secs(target),
            maximum: Duration::from_secs(maximum),
        };
        Header {
            id: "r".into(),
            workload: "shop".into(),
            scenario: Scenario::REGION_FAILURE,
            mode: Mode::Live,
            wants: Intent::Decide.into(),
            regions: None,
            trigger: Trigger {
                kind: TriggerKind::Alarm,
                by: "arn:a".into(),
                at: at(0),
            },
            plan_sha256: "0".into(),
            automation: None,
            objectives: Objectives {
                rto: objective(3600, 14400),
                rpo: Some(objective(300, 3600)),
            },
            opened_at: at(0),
            execution: "arn:e".into(),
            run: None,
            resumed: vec![],
            closing: None,
            earlier: vec![],
        }
    }

    fn closing(outcome: Outcome, observed: Observed) -> Closing {
        let achieved = achieved(&observed);
        Closing {
            execution: "arn:e".into(),
            outcome,
            reason: None,
            cause: None,
            failed_state: None,
            failed_as: None,
            closed_at: at(500),
            evidence: json!({}),
            observed,
            met: met(&achieved, &header().objectives),
            achieved,
        }
    }

    #[test]
    fn the_summary_says_what_was_measured_and_against_what() {
        let observed = Observed {
            impact_at: Some(at(0)),
            impact_assumed: false,
            decided_at: Some(at(60)),
            healthy_at: Some(at(432)),
            last_committed_at: Some(at(10)),
            last_surviving_at: Some(at(5)),
            old_side_wrote_until: None,
            can_lose_writes: true,
        };
        assert_eq!(
            summary(&header(), &closing(Outcome::Recovered, observed)),
            "region-failure: recovered. Back after 7m 12s (within the target of 1h). \
             Lost: about 5s of writes (within the target of 5m)."
        );
    }

    #[test]
    fn a_time_that_is_the_least_is_not_held_against_the_target() {
        let assumed = Observed {
            impact_at: Some(at(0)),
            impact_assumed: true,
            healthy_at: Some(at(432)),
            ..Observed::default()
        };
        let text = summary(&header(), &closing(Outcome::Recovered, assumed));
        assert!(
            text.contains("Back after at least 7m 12s: the start of the outage was not observed (target 1h,"),
            "{text}"
        );
        assert!(!text.contains("within the target"), "{text}");
    }

    #[test]
    fn a_loss_too_small_to_be_measured_is_not_called_none() {
        let at_once = Observed {
            impact_at: Some(at(0)),
            healthy_at: Some(at(432)),
            last_committed_at: Some(at(5)),
            last_surviving_at: Some(at(5)),
            can_lose_writes: true,
            ..Observed::default()
        };
        let text = summary(&header(), &closing(Outcome::Recovered, at_once));
        assert!(
            text.contains("Up to one heartbeat interval of writes may be lost"),
            "{text}"
        );
    }

    #[test]
    fn a_failure_says_what_stands_and_what_to_know() {
        let undo = Undo {
            step: "promote-database".into(),
            resource: Resource::new(ResourceKind::GlobalDatabase, "shop-global"),
            previous: json!({}),
            taken_back_by: None,
            by_hand: None,
            taken_back_at: None,
        };
        let taken_back = Undo {
            taken_back_at: Some(at(9)),
            ..undo.clone()
        };
        assert_eq!(
            with_what_stands("no answer".into(), Outcome::Failed, &[taken_back]),
            "no answer"
        );
        let stands = with_what_stands("no answer".into(), Outcome::Failed, std::slice::from_ref(&undo));
        assert_eq!(
            stands,
            "no answer. These changes remain: promote-database changed shop-global (permanent)"
        );
        assert_eq!(
            with_what_stands("no answer".into(), Outcome::Refused, &[undo]),
            "no answer"
        );
        let mut closing = closing(Outcome::Failed, Observed::default());
        closing.evidence = json!({ "assessment": { "warnings": ["one", "two"] }, "database": null, "opening": {} });
        assert_eq!(
            summary(&header(), &closing),
            "region-failure: failed. Resume it: drctl resume r. Note: one. Note: two."
        );
    }

    #[test]
    fn the_summary_never_makes_zero_of_what_nobody_measured() {
        let text = summary(
            &header(),
            &closing(
                Outcome::Recovered,
                Observed {
                    can_lose_writes: true,
                    ..Observed::default()
                },
            ),
        );
        assert!(
            text.contains("Back after not measured") && text.contains("not measured."),
            "{text}"
        );
    }

    fn end(failure: Option<(&str, &str)>, changed: bool, complete: Option<bool>) -> End {
        End {
            outcome: Outcome::Declined,
            reason: Some("somebody said no".into()),
            failure: failure.map(|(error, cause)| Failure {
                state: "SomeState".into(),
                error: ErrorOutput {
                    error: error.into(),
                    cause: cause.into(),
                },
            }),
            changed,
            remaining: complete.map(|complete| Remaining {
                complete,
                summary: "3 of 3".into(),
            }),
            observed: Observed::default(),
            evidence: BTreeMap::new(),
        }
    }

    fn ended_by(error: &str, cause: &str, changed: bool) -> (Outcome, String) {
        let Why { outcome, reason, .. } = why(&end(Some((error, cause)), changed, None));
        (outcome, reason.unwrap())
    }

    fn undo(taken_back_at: Option<Timestamp>) -> Undo {
        Undo {
            step: "promote-database".into(),
            resource: Resource::new(ResourceKind::GlobalDatabase, "shop-global"),
            previous: json!({}),
            taken_back_by: None,
            by_hand: None,
            taken_back_at,
        }
    }

    #[test]
    fn what_a_dead_scenario_did_not_say_is_read_from_the_record() {
        let mut input = Input {
            recovery: None,
            execution: "arn:e".into(),
            outcome: Outcome::Failed,
            reason: None,
            failure: None,
            scenario: None,
            left_region: None,
            probe: None,
            evidence: [("opening".to_owned(), json!({ "warnings": ["late"] }))].into(),
        };
        let seen = Sighting {
            impact_at: Some(at(1)),
            healthy_at: Some(at(9)),
            ..Sighting::default()
        };
        let dead = End::new(&input, seen, Some(&[undo(None)]));
        assert_eq!(
            (dead.observed.impact_at, dead.observed.healthy_at, dead.changed),
            (Some(at(1)), Some(at(9)), true)
        );
        // What could not be read may have been changed; what was taken back is not changed.
        assert!(End::new(&input, seen, None).changed);
        assert!(!End::new(&input, seen, Some(&[undo(Some(at(2)))])).changed);

        input.scenario = Some(ScenarioEnd {
            outcome: Outcome::Recovered,
            reason: None,
            failure: None,
            observed: Observed {
                impact_at: Some(at(3)),
                ..Observed::default()
            },
            evidence: [("fence".to_owned(), Value::Null), ("database".to_owned(), json!({}))].into(),
            remaining: None,
        });
        let said = End::new(&input, seen, Some(&[]));
        assert_eq!((said.outcome, said.changed), (Outcome::Recovered, false));
        assert_eq!(
            (said.observed.impact_at, said.observed.healthy_at),
            (Some(at(3)), Some(at(9)))
        );
        let names: Vec<&String> = said.evidence.keys().collect();
        assert_eq!(names, ["database", "opening"]);
    }

    #[test]
    fn nothing_is_refused_or_declined_while_a_change_stands() {
        for outcome in [Outcome::Refused, Outcome::Declined, Outcome::Expired] {
            assert_eq!(failed_if_changes_remain(outcome, &[undo(None)]), Outcome::Failed);
            assert_eq!(failed_if_changes_remain(outcome, &[undo(Some(at(9)))]), outcome);
        }
        assert_eq!(
            failed_if_changes_remain(Outcome::Recovered, &[undo(None)]),
            Outcome::Recovered
        );
        assert_eq!(
            failed_if_changes_remain(Outcome::Preempted, &[undo(None)]),
            Outcome::Preempted
        );
    }

    #[test]
    fn what_was_taken_back_is_rolled_back_and_what_was_not_has_failed() {
        for (failure, complete, outcome) in [
            (None, true, Outcome::Declined),
            (None, false, Outcome::Failed),
            (Some(("Denied", "")), true, Outcome::RolledBack),
            (Some(("Denied", "")), false, Outcome::Failed),
            (Some(("Preempted", "")), true, Outcome::Preempted),
            (Some(("Preempted", "")), false, Outcome::Preempted),
        ] {
            let why = why(&end(failure, true, Some(complete)));
            assert_eq!(why.outcome, outcome, "{failure:?} {complete}");
            let (reason, cause) = (why.reason.unwrap(), why.cause.unwrap());
            assert!(reason.contains("3 of 3"));
            // The state that failed is told beside the cause.
            let state = failure.map_or("", |_| "SomeState: ");
            assert_eq!(reason, format!("{state}{cause}"));
        }
    }

    #[test]
    fn the_summary_says_who_approved_or_why_nobody_had_to() {
        let says = |evidence: Value| {
            let mut closing = closing(Outcome::Recovered, Observed::default());
            closing.evidence = evidence;
            summary(&header(), &closing)
        };
        let nobody =
            json!({ "assessment": { "ask": { "people": 0, "because": "two signals agree" } }, "approval": null });
        assert!(says(nobody).contains("No approval needed: two signals agree."));
        let people = json!({ "approval": { "answer": "approved", "by": ["arn:a", "arn:b"] } });
        assert!(says(people).contains("Approved by arn:a and arn:b."));
    }

    #[test]
    fn what_fell_short_says_how_to_go_on() {
        for (outcome, may) in [
            (Outcome::Failed, true),
            (Outcome::RolledBack, true),
            (Outcome::Recovered, false),
            (Outcome::Declined, false),
        ] {
            let text = summary(&header(), &closing(outcome, Observed::default()));
            assert_eq!(text.contains("drctl resume r."), may, "{text}");
        }
    }

    #[test]
    fn what_an_earlier_execution_brought_back_counts_from_then() {
        let ended = |outcome, healthy| Closing {
            observed: Observed {
                healthy_at: Some(at(healthy)),
                ..Observed::default()
            },
            ..closing(outcome, Observed::default())
        };
        let earlier = [ended(Outcome::Failed, 100), ended(Outcome::Partial, 300)];
        for (own, since) in [(Some(900), 300), (None, 300), (Some(200), 200)] {
            let mut observed = Observed {
                healthy_at: own.map(at),
                ..Observed::default()
            };
            back_since(&mut observed, &earlier);
            assert_eq!(observed.healthy_at, Some(at(since)));
        }
        let mut observed = Observed::default();
        back_since(&mut observed, &earlier[..1]);
        assert_eq!(observed.healthy_at, None, "it did not last");
    }

    #[test]
    fn what_the_old_side_wrote_on_is_said() {
        let observed = Observed {
            impact_at: Some(at(0)),
            decided_at: Some(at(60)),
            last_surviving_at: Some(at(50)),
            old_side_wrote_until: Some(at(180)),
            can_lose_writes: true,
            ..Observed::default()
        };
        let text = summary(&header(), &closing(Outcome::Recovered, observed));
        assert!(
            text.contains("kept taking writes for at least 2m after the decision"),
            "{text}"
        );
    }

    #[test]
    fn what_failed_before_anything_was_changed_is_refused_unless_it_is_a_defect() {
        for (error, before, after) in [
            ("Preempted", Outcome::Preempted, Outcome::Preempted),
            ("Refused", Outcome::Refused, Outcome::Failed),
            ("InvalidInput", Outcome::Refused, Outcome::Failed),
            ("Unavailable", Outcome::Refused, Outcome::Failed),
            ("Denied", Outcome::Failed, Outcome::Failed),
            ("States.Timeout", Outcome::Failed, Outcome::Failed),
            ("Lambda.Unknown", Outcome::Failed, Outcome::Failed),
            ("DeadlineExceeded", Outcome::Failed, Outcome::Failed),
        ] {
            assert_eq!(ended_by(error, "", false).0, before, "{error}");
            assert_eq!(ended_by(error, "", true).0, after, "{error}");
        }
    }

    #[test]
    fn the_reason_is_the_message_also_of_a_cause_that_was_cut_off() {
        let reason = |cause: &str| ended_by("Denied", cause, false).1;
        let whole = r#"{"errorType":"Denied","errorMessage":"rds:X on y"}"#;
        assert_eq!(reason(whole), "SomeState: Denied: rds:X on y");
        assert_eq!(reason(&whole[..30]), format!("SomeState: Denied: {}", &whole[..30]));
        assert_eq!(reason(""), "SomeState: Denied: no cause was given");
    }

    #[test]
    fn a_failure_gives_its_reason_and_no_figures() {
        let mut closing = closing(Outcome::Failed, Observed::default());
        closing.reason = Some("PromoteDatabase: Denied".into());
        assert_eq!(
            summary(&header(), &closing),
            "region-failure: failed. PromoteDatabase: Denied. Resume it: drctl resume r."
        );
    }
}
