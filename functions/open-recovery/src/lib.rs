//! Opens a recovery: reads the plan in force, takes the workload's lock, opens the record, hands out what the other
//! steps work on.
//!
//! A new recovery's id follows from the execution, so that opening twice opens once; a resumed one keeps its
//! id. The lock is taken over from an execution that has ended, from a drill, and from another recovery only once people
//! have approved that. Closing releases it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::approval::{Ask, Question, Verdict, verdict};
use shared::arn;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::execution::{Seen, end_what_is_left, look_up};
use shared::record::{Claim, Claimed, Deferred, Header, Lock, Record, Regions, Warning, WarningCode};
use shared::recovery::{Mode, RecoveryRef};
use shared::request::{Request, TriggerKind, Wants};
use shared::scenario::Scenario;
use shared::scenario_run::ScenarioRun;
use shared::slices::{ApprovalSlice, Slices};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};
use shared::version;

/// What is asked for, and by which execution.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The execution's own input.
    pub request: Request,
    /// ARN of the machine that recovers from each scenario that there is one for, with its version.
    pub machines: BTreeMap<Scenario, String>,
    /// ARN of the execution.
    pub execution: String,
    /// When the execution started.
    pub started_at: Timestamp,
}

/// What was opened.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// Why it may not go on; nothing if it may.
    pub refused: Option<String>,
    /// What people must approve before it is opened again and takes the lock over; nothing if no approval is needed.
    pub ask: Option<Ask>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// The recovery, for every later step.
    pub recovery: RecoveryRef,
    /// What is wanted of the scenario's machine.
    pub wants: Wants,
    /// How that machine is run; `None` if the scenario has no machine.
    pub run: Option<ScenarioRun>,
    /// What people are told that begins.
    pub announcement: String,
    /// What it works on.
    pub plan: Slices,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match (&self.refused, &self.ask) {
            (Some(refused), _) => Summary::failed(refused),
            (None, Some(ask)) => Summary::waiting(format!("people are asked first: {}", ask.headline)),
            (None, None) => Summary::done("the recovery is open").warning(&self.warnings),
        }
    }
}

/// The step: takes the lock, opens the record of a recovery, and hands out the plan.
#[derive(Debug)]
pub struct OpenRecovery {
    aws: Aws,
    record: Record,
}

/// Whether the lock is held, or why not.
#[derive(Debug, PartialEq, Eq)]
enum Hold {
    /// It is held, with this token.
    Yes(u64),
    /// It is not, and will not be.
    No(String),
    /// Another recovery, in this Region, holds it.
    Behind { holder: Lock, region: String },
    /// It will be, once people have approved that.
    Ask(Ask),
}

impl Step for OpenRecovery {
    const NAME: &'static str = "open-recovery";
    const DESCRIPTION: &'static str = "Takes the lock, opens the record of a recovery, and hands out the plan";
    const CHANGES: &'static [Change] = &[
        Change::Call("states:StopExecution"),
        Change::Item("deferred"),
        Change::Item("header"),
        Change::Item("lock"),
        Change::Item("recovery"),
    ];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        // The lock is taken in its name, and only an execution can be looked up later.
        if !arn::is_execution(&input.execution) {
            let text = format!(
                "'{}' is not the ARN of an execution; a state machine passes its own",
                input.execution
            );
            return Err(StepError::new(ErrorKind::InvalidInput, text));
        }
        let (plan_sha256, plan) = self.record.current_plan().await?;
        let request = &input.request;
        let slices = Slices::new(&plan, request.scenario, self.aws.region())
            .map_err(|why| StepError::new(ErrorKind::InvalidInput, why))?;
        let announcement = plan
            .site(self.aws.region())
            .map(|here| (request.scenario.definition().announcement)(&plan, here))
            .unwrap_or_default();
        let machine = input.machines.get(&request.scenario);
        let run = machine.map(|machine| ScenarioRun::new(machine, &input.execution));
        let mut opening = Opening {
            input: &input,
            recovery: RecoveryRef {
                id: new_id(request.scenario, &input.execution, input.started_at),
                workload: plan.workload,
                token: 0,
                execution: input.execution.clone(),
            },
            slices: &slices,
            warnings: Vec::new(),
        };
        let guarded = guard(&input, &plan_sha256, self.aws.is_simulated());
        let hold = match guarded {
            Some(refused) => Hold::No(refused),
            None => self.hold(&mut opening).await?,
        };
        let Opening {
            mut recovery, warnings, ..
        } = opening;
        let (refused, ask) = match hold {
            Hold::Yes(token) => {
                recovery.token = token;
                (None, None)
            }
            Hold::No(refused) => (Some(refused), None),
            Hold::Behind { holder, region } => {
                let refused = busy(&holder);
                let is_deferred = self.defer(request, &recovery.workload, &holder, &region).await?;
                let again = "; the alarm is looked at again when that is over, or its Region does not answer";
                (Some(refused + if is_deferred { again } else { "" }), None)
            }
            Hold::Ask(ask) => (None, Some(ask)),
        };
        let goes_on = request.resume.as_ref() == Some(&recovery.id);
        if goes_on {
            self.reopen(&recovery, request, plan_sha256, run.clone()).await?;
        } else {
            let header = header(&input, &recovery, plan_sha256, &slices, run.clone());
            self.record.open(&header).await?;
        }
        Ok(Output {
            refused,
            ask,
            warnings,
            recovery,
            announcement,
            wants: input.request.into(),
            run,
            plan: slices,
        })
    }
}

/// A recovery that is being opened.
struct Opening<'a> {
    input: &'a Input,
    /// The recovery; on resume, it gets the id of the resumed recovery once that holds the lock.
    recovery: RecoveryRef,
    slices: &'a Slices,
    warnings: Vec<Warning>,
}

impl OpenRecovery {
    async fn hold(&self, opening: &mut Opening<'_>) -> Result<Hold, StepError> {
        let request = &opening.input.request;
        let mut wanted = opening.recovery.id.clone();
        if let Some(id) = &request.resume {
            if let Some(refused) = self.cannot_go_on_with(id, opening).await? {
                return Ok(Hold::No(refused));
            }
            wanted.clone_from(id);
        }
        let hold = self.take_lock(&wanted, opening).await?;
        if let Hold::Yes(_) = hold {
            opening.recovery.id = wanted;
        }
        Ok(hold)
    }

    /// Why the recovery `id` cannot be resumed, if so.
    async fn cannot_go_on_with(&self, id: &str, opening: &Opening<'_>) -> Result<Option<String>, StepError> {
        let Some(header) = self.record.header(id).await? else {
            return Ok(Some(format!(
                "there is no recovery {id} in {}; take its id from the announcement, and resume it in its own Region",
                self.aws.region()
            )));
        };
        // Opening again after it was opened: it goes on by this execution already.
        if header.execution == opening.input.execution {
            return Ok(None);
        }
        if let Some(why) = may_not_resume(&header, &opening.input.request, &opening.recovery.workload) {
            return Ok(Some(why));
        }
        let still_runs = header.ended().is_none() && !self.has_ended(&header.execution, header.opened_at).await?;
        Ok(still_runs.then(|| {
            format!(
                "recovery {id} still runs ({}); watch that one, or stop it first",
                header.execution
            )
        }))
    }

    /// Takes the lock here for the recovery `id`, then looks at the other Region's: of two starts at the same moment, one
    /// in each Region, at least one sees the other.
    async fn take_lock(&self, id: &str, opening: &mut Opening<'_>) -> Result<Hold, StepError> {
        let (workload, request) = (opening.recovery.workload.clone(), &opening.input.request);
        let claim = Claim {
            workload: &workload,
            execution: &opening.input.execution,
            recovery: id,
            mode: request.mode,
            at: self.aws.now(),
        };
        let mut claimed = self.record.claim_lock(&claim, None).await?;
        if let Claimed::Busy(holder) = &claimed {
            let pre_empts = holder.mode == Mode::Drill && request.mode != Mode::Drill;
            if pre_empts {
                opening.warnings.push(Warning::new(
                    WarningCode::DrillPreempted,
                    format!("the drill {} was pre-empted; check what it left", holder.recovery),
                ));
            }
            if !pre_empts && self.has_ended(&holder.execution, holder.since()).await? {
                self.end_what_is_left_of(&holder.recovery, &mut opening.warnings).await;
            } else if !pre_empts {
                if request.take_over.as_ref() != Some(&holder.recovery) {
                    return Ok(self.behind(holder));
                }
                let ask = ask_to_take_over(holder, &opening.slices.approval);
                match self.answer(&opening.recovery.id, &ask, request).await? {
                    None => return Ok(Hold::Ask(ask)),
                    Some(Verdict::Declined { by, .. }) => {
                        return Ok(Hold::No(format!(
                            "{by} declined to take the lock over from {}",
                            holder.recovery
                        )));
                    }
                    Some(Verdict::Approved { by, .. }) => opening.warnings.push(Warning::new(
                        WarningCode::TakenOver,
                        format!(
                            "the lock was taken over from {}, as {} approved; check what it left",
                            holder.recovery,
                            by.join(" and ")
                        ),
                    )),
                }
            }
            claimed = self.record.claim_lock(&claim, Some(holder)).await?;
        }
        let token = match claimed {
            Claimed::Taken(token) => token,
            Claimed::Busy(holder) => return Ok(self.behind(&holder)),
        };
        let other_region = &opening.slices.other.region;
        let busy_elsewhere = self
            .busy_elsewhere(&workload, other_region, &mut opening.warnings)
            .await;
        Ok(match busy_elsewhere {
            Some(holder) => {
                self.record.release_lock(&workload, &opening.input.execution).await?;
                let region = other_region.clone();
                Hold::Behind { holder, region }
            }
            None => Hold::Yes(token),
        })
    }

    /// Another recovery of this Region holds the lock.
    fn behind(&self, holder: &Lock) -> Hold {
        Hold::Behind {
            holder: holder.clone(),
            region: self.aws.region().to_owned(),
        }
    }

    /// Keeps that an alarm is to be looked at again, if one started this; says whether it is. A recovery of the same scenario looks
    /// at what the alarm tells of already.
    async fn defer(&self, request: &Request, workload: &str, holder: &Lock, region: &str) -> Result<bool, StepError> {
        if request.trigger.kind != TriggerKind::Alarm {
            return Ok(false);
        }
        // Where it cannot be read, which scenario that is, the alarm is looked at once more than it has to be.
        let header = Record::in_region(&self.aws, region).header(&holder.recovery).await;
        if header.is_ok_and(|header| header.is_some_and(|header| header.scenario == request.scenario)) {
            return Ok(false);
        }
        let deferred = Deferred {
            scenario: request.scenario,
            behind: holder.recovery.clone(),
            region: region.to_owned(),
            at: self.aws.now(),
        };
        self.record.defer(workload, &deferred).await?;
        Ok(true)
    }

    /// Ends the scenario's execution of a recovery whose own execution has ended, if it was left running. It is tried and
    /// not more: it changes nothing any more once the lock has a new token.
    async fn end_what_is_left_of(&self, recovery: &str, warnings: &mut Vec<Warning>) {
        let ended = async {
            let header = self.record.header(recovery).await?;
            match header.and_then(|header| header.run) {
                Some(run) => end_what_is_left(&self.aws, &run).await,
                None => Ok(()),
            }
        };
        if let Err(error) = ended.await {
            let text = format!("recovery {recovery} may have left something running");
            warnings.push(Warning::new(WarningCode::LeftRunning, text).because(error));
        }
    }

    /// What people have answered to whether the lock may be taken over.
    async fn answer(&self, id: &str, ask: &Ask, request: &Request) -> Result<Option<Verdict>, StepError> {
        let approvals = self.record.approvals(id, &ask.id).await?;
        let asked = self.record.question(id, &ask.id).await?;
        let question = Question {
            ask: ask.clone(),
            asked_at: self.aws.now(),
            expires_at: self.aws.now(),
            started_by: request.trigger.by.clone(),
            starter_is_known: asked.as_ref().is_some_and(|asked| asked.starter_is_known),
            same_person: asked.map(|asked| asked.same_person).unwrap_or_default(),
            task_token: "".into(),
        };
        Ok(verdict(&question, &approvals))
    }

    /// Records once that a recovery is resumed.
    async fn reopen(
        &self,
        recovery: &RecoveryRef,
        request: &Request,
        plan_sha256: String,
        run: Option<ScenarioRun>,
    ) -> Result<(), StepError> {
        let missing = || {
            let text = format!(
                "the header of recovery {} is gone; check whether the table was changed by hand",
                recovery.id
            );
            StepError::new(ErrorKind::NotFound, text)
        };
        let mut header = self.record.header(&recovery.id).await?.ok_or_else(missing)?;
        if header.execution == recovery.execution {
            return Ok(());
        }
        header.execution.clone_from(&recovery.execution);
        header.plan_sha256 = plan_sha256;
        header.automation = Some(version::in_words());
        header.run = run;
        header.resumed.push(request.trigger.clone());
        self.record.put_header(&header).await
    }

    /// The other Region may be running a recovery of its own. A Region that does not answer is a warning: it may be the
    /// one that is lost.
    async fn busy_elsewhere(&self, workload: &str, region: &str, warnings: &mut Vec<Warning>) -> Option<Lock> {
        let lock = match Record::in_region(&self.aws, region).lock(workload).await {
            Ok(lock) => lock?,
            Err(error) => {
                let text = match error.kind {
                    ErrorKind::Unavailable => {
                        format!("{region} did not answer; could not check for a recovery already running there")
                    }
                    _ => format!("could not check for a recovery already running in {region}"),
                };
                let unseen = Warning::new(WarningCode::OtherRegionUnseen, text);
                warnings.push(unseen.about(region).because(error));
                return None;
            }
        };
        if lock.mode == Mode::Drill {
            let text = format!("{region} runs the drill {}; stop it", lock.recovery);
            warnings.push(Warning::new(WarningCode::OtherRegionInDrill, text).about(region));
            return None;
        }
        match self.has_ended(&lock.execution, lock.since()).await {
            Ok(true) => None,
            Ok(false) => Some(lock),
            Err(error) => {
                let text = format!(
                    "could not look at the execution of the recovery that holds the lock there (it seems that {})",
                    busy(&lock)
                );
                let seems_busy = Warning::new(WarningCode::OtherRegionBusy, text);
                warnings.push(seems_busy.about(region).because(error));
                None
            }
        }
    }

    /// Whether an execution that was at work at `since` has ended. Errors: `Conflict` for one that has just begun and is
    /// not seen yet, and AWS's own.
    async fn has_ended(&self, execution: &str, since: Timestamp) -> Result<bool, StepError> {
        match look_up(&self.aws, execution, since).await? {
            Seen::Runs => Ok(false),
            Seen::Ended(_) => Ok(true),
            Seen::NotYet => {
                let text = format!(
                    "{execution} took the lock at {since}, but Step Functions does not show it yet; it is tried \
                     again"
                );
                Err(StepError::new(ErrorKind::Conflict, text))
            }
        }
    }
}

/// Clocks may differ by this much.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);

fn header(
    input: &Input,
    recovery: &RecoveryRef,
    plan_sha256: String,
    slices: &Slices,
    run: Option<ScenarioRun>,
) -> Header {
    let request = &input.request;
    Header {
        id: recovery.id.clone(),
        workload: recovery.workload.clone(),
        scenario: request.scenario,
        mode: request.mode,
        wants: request.wants.clone(),
        regions: Some(Regions {
            here: slices.here.region.clone(),
            other: slices.other.region.clone(),
        }),
        trigger: request.trigger.clone(),
        plan_sha256,
        automation: Some(version::in_words()),
        objectives: slices.objectives,
        opened_at: input.started_at,
        execution: recovery.execution.clone(),
        run,
        resumed: Vec::new(),
        closing: None,
        earlier: Vec::new(),
    }
}

/// Why this request may not go on, whatever else is true; nothing, if it may.
fn guard(input: &Input, plan_sha256: &str, is_simulated: bool) -> Option<String> {
    let request = &input.request;
    if !input.machines.contains_key(&request.scenario) {
        return Some(format!(
            "there is no recovery from {} yet; see the runbook for what to do by hand",
            request.scenario
        ));
    }
    match request.mode {
        Mode::Live if is_simulated => return Some("a rehearsal's mode is rehearsal, not live".to_owned()),
        Mode::Rehearsal if !is_simulated => {
            return Some(
                "this is the real AWS, and a rehearsal would change it; rehearse with drctl, or say live".to_owned(),
            );
        }
        Mode::Drill => {
            return Some(
                "there are no drills yet: a drill would change what customers see; rehearse with drctl".to_owned(),
            );
        }
        Mode::Live | Mode::Rehearsal => {}
    }
    if request
        .plan_sha256
        .as_deref()
        .is_some_and(|wanted| wanted != plan_sha256)
    {
        return Some(format!(
            "the plan changed between the start and now (it is {plan_sha256}); check what changed, then start again"
        ));
    }
    let ahead = request.trigger.at.duration_since(input.started_at);
    (ahead > CLOCKS_DIFFER).then(|| {
        format!(
            "trigger.at is {}, which is later than the start at {}; correct it",
            request.trigger.at, input.started_at
        )
    })
}

/// Why a recovery that is not running cannot be resumed, if so.
fn may_not_resume(header: &Header, request: &Request, workload: &str) -> Option<String> {
    let id = &header.id;
    if header.workload != workload || header.scenario != request.scenario || header.mode != request.mode {
        return Some(format!(
            "recovery {id} is a {} of {} for {}, not what was asked for",
            header.mode.name(),
            header.workload,
            header.scenario
        ));
    }
    match header.closing.as_ref().map(|closing| closing.outcome) {
        Some(outcome) if !outcome.may_be_resumed() => Some(format!(
            "recovery {id} ended as {outcome} and cannot be resumed; start a new one if it is needed"
        )),
        _ => None,
    }
}

fn ask_to_take_over(holder: &Lock, approval: &ApprovalSlice) -> Ask {
    Ask {
        id: format!("take-over-{}-{}", holder.recovery, holder.token),
        headline: format!(
            "Take the lock over from recovery {}, which is still running: it then changes nothing more, and its \
             changes remain",
            holder.recovery
        ),
        shown: vec![
            format!(
                "it has been running since {}, in mode {}",
                holder.since,
                holder.mode.name()
            ),
            format!("its execution is {}", holder.execution),
        ],
        people: approval.without_evidence.max(1),
        because: "a running recovery is pre-empted only if people approve".to_owned(),
        needs_reason: true,
    }
}

fn busy(lock: &Lock) -> String {
    format!(
        "recovery {} has been running since {} ({}); watch that one, stop it first, or start with take_over: one \
         recovery runs at a time",
        lock.recovery, lock.since, lock.execution
    )
}

/// An id that people can read, that sorts by time, and that follows from the execution.
fn new_id(scenario: Scenario, execution: &str, started_at: Timestamp) -> String {
    let hash = Sha256::digest(execution.as_bytes());
    format!(
        "{}-{scenario}-{:02x}{:02x}{:02x}",
        started_at.strftime("%Y%m%dT%H%M%SZ"),
        hash[0],
        hash[1],
        hash[2]
    )
}

#[cfg(test)]
mod tests {
    use shared::recovery::Outcome;
    use shared::request::{Trigger, TriggerKind};
    use shared::scenario::region_failure::Intent;

    use super::*;

    #[test]
    fn the_id_follows_from_the_execution() {
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let id = new_id(Scenario::REGION_FAILURE, "arn:one", at);
        assert_eq!(id, new_id(Scenario::REGION_FAILURE, "arn:one", at));
        assert_ne!(id, new_id(Scenario::REGION_FAILURE, "arn:two", at));
        assert!(id.starts_with("20260102T030405Z-region-failure-"), "{id}");
    }

    #[test]
    fn what_is_not_meant_here_is_refused() {
        let refused = |mode: Mode, is_simulated: bool, change: fn(&mut Input)| {
            let started_at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
            let mut input = Input {
                request: Request::new(
                    Scenario::REGION_FAILURE,
                    mode,
                    Intent::Decide,
                    Trigger {
                        kind: TriggerKind::Person,
                        by: "arn:p".into(),
                        at: started_at,
                    },
                ),
                machines: [(Scenario::REGION_FAILURE, "arn:m".to_owned())].into(),
                execution: "arn:e".into(),
                started_at,
            };
            change(&mut input);
            guard(&input, "abc", is_simulated)
        };
        assert_eq!(refused(Mode::Live, false, |_| {}), None);
        assert_eq!(refused(Mode::Rehearsal, true, |_| {}), None);
        assert!(
            refused(Mode::Rehearsal, false, |_| {})
                .unwrap()
                .contains("the real AWS")
        );
        assert!(refused(Mode::Live, true, |_| {}).unwrap().contains("rehearsal"));
        assert!(refused(Mode::Drill, false, |_| {}).unwrap().contains("no drills yet"));
        assert!(refused(Mode::Drill, true, |_| {}).is_some());
        let other = refused(Mode::Live, false, |input| input.request.scenario = Scenario::AZ_FAILURE).unwrap();
        assert!(other.contains("no recovery from az-failure yet"), "{other}");
        let ahead = |input: &mut Input| input.request.trigger.at = "2026-01-02T04:00:00Z".parse().unwrap();
        assert!(
            refused(Mode::Live, false, ahead)
                .unwrap()
                .contains("later than the start")
        );
        let same_plan = |input: &mut Input| input.request.plan_sha256 = Some("abc".into());
        assert_eq!(refused(Mode::Live, false, same_plan), None);
        let other_plan = |input: &mut Input| input.request.plan_sha256 = Some("def".into());
        assert!(
            refused(Mode::Live, false, other_plan)
                .unwrap()
                .contains("the plan changed")
        );
    }

    fn ended(outcome: Option<Outcome>, change: fn(&mut Header)) -> Option<String> {
        let at = Timestamp::UNIX_EPOCH;
        let trigger = Trigger {
            kind: TriggerKind::Person,
            by: "arn:p".into(),
            at,
        };
        let observed = shared::measure::Observed::default();
        let achieved = shared::measure::achieved(&observed);
        let objective = shared::plan::Objective {
            target: shared::plan::Duration::from_secs(1),
            maximum: shared::plan::Duration::from_secs(2),
        };
        let objectives = shared::plan::Objectives {
            rto: objective,
            rpo: None,
        };
        let closing = outcome.map(|outcome| shared::record::Closing {
            execution: "arn:e".into(),
            outcome,
            reason: None,
            cause: None,
            failed_state: None,
            failed_as: None,
            closed_at: at,
            evidence: serde_json::Value::Null,
            observed,
            met: shared::measure::met(&achieved, &objectives),
            achieved,
        });
        let mut header = Header {
            id: "r".into(),
            workload: "shop".into(),
            scenario: Scenario::REGION_FAILURE,
            mode: Mode::Live,
            wants: Intent::Decide.into(),
            regions: None,
            trigger: trigger.clone(),
            plan_sha256: "abc".into(),
            automation: None,
            objectives,
            opened_at: at,
            execution: "arn:e".into(),
            run: None,
            resumed: vec![],
            closing,
            earlier: vec![],
        };
        change(&mut header);
        let request = Request::new(Scenario::REGION_FAILURE, Mode::Live, Intent::Decide, trigger);
        may_not_resume(&header, &request, "shop")
    }

    #[test]
    fn only_what_fell_short_is_gone_on_with() {
        use Outcome::{Declined, Expired, Failed, Partial, Preempted, Recovered, Refused, RolledBack};
        for (outcome, may) in [
            (None, true),
            (Some(Failed), true),
            (Some(RolledBack), true),
            (Some(Partial), true),
            (Some(Expired), true),
            (Some(Preempted), true),
            (Some(Recovered), false),
            (Some(Refused), false),
            (Some(Declined), false),
        ] {
            assert_eq!(ended(outcome, |_| {}).is_none(), may, "{outcome:?}");
        }
        assert!(ended(Some(Failed), |header| header.workload = "mill".into()).is_some());
        assert!(ended(Some(Failed), |header| header.mode = Mode::Rehearsal).is_some());
        assert!(ended(Some(Failed), |header| header.scenario = Scenario::AZ_FAILURE).is_some());
    }
}
