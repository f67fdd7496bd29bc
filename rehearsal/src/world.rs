//! The simulated world of a rehearsal, as its scenario and its faults find it: who is there, and what can be done there.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::plan::Plan;
use shared::record::Record;
use shared::recovery::Outcome;
use shared::resume::resume;
use shared::scenario::{Fields, Scenario};
use shared::step::{Step, handler};
use simulator::cloud::Cloud;
use simulator::simulation::Simulation;
use start_by_hand::StartByHand;
use start_recovery::StartRecovery;

use crate::deployment::{DeployedStep, recovery_machine};
use crate::moment::Moment;
use crate::people::Heard;

/// How long after a disaster a recovery must have been started by then, if one is: the alarm needs minutes.
const STARTS_WITHIN: Duration = Duration::from_secs(1800);
/// How long a recovery may take: longer than any maximum objective, with people being asked.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// How often a person tries to start a recovery, where they are told to try again, and how long they wait in between.
const START_TRIED_AT_MOST: usize = 20;
const START_TRIED_EVERY: Duration = Duration::from_secs(15);
/// How long after an event of one's own the world's clock begins to run on.
const EVENT_TAKES: SignedDuration = SignedDuration::from_secs(5);

/// The simulated world of a rehearsal.
pub struct World<'a> {
    /// The plan that is rehearsed.
    pub plan: &'a Plan,
    /// The platform and what is deployed beside it, which runs.
    pub simulation: Simulation,
    /// The scenario whose machine recovers.
    pub scenario: Scenario,
    /// The Region that runs the recovery that is rehearsed.
    pub here: &'a str,
    /// The plan's other Region.
    pub other: &'a str,
    /// The event that starts the recovery, in place of the alarm's own.
    pub event: Option<&'a Value>,
    /// Whether faults are injected.
    pub with_faults: bool,
    /// The steps that are deployed.
    pub steps: Vec<DeployedStep>,
    /// The names of the machines that the recovery machine runs.
    pub machines: BTreeSet<String>,
    /// The alarm that can go to OK by itself for a moment, and its Region.
    pub flapping: Option<(String, String)>,
    /// What people were asked, and how often they did something else than to approve.
    pub heard: Rc<Heard>,
    /// The step that has no permissions until the recovery is resumed.
    pub(crate) stop_at: RefCell<Option<String>>,
    pub(crate) watch: Rc<dyn Fn(Moment)>,
}

impl World<'_> {
    /// The simulated AWS.
    pub fn cloud(&self) -> &Cloud {
        self.simulation.cloud()
    }

    /// The time there.
    pub fn now(&self) -> Timestamp {
        self.cloud().now()
    }

    /// Tells whoever watches.
    pub fn tell(&self, moment: Moment) {
        (self.watch)(moment);
    }

    /// ARN of the person who is on call.
    pub fn person(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/on-call/drctl", self.plan.account)
    }

    /// Lets time pass until some moment within `longest`, as the seed has it.
    pub async fn some_moment(&self, longest: Duration) {
        if longest.is_zero() {
            return;
        }
        let within = longest.as_millis() as u64;
        let after = self.cloud().chance("disaster", |rng| rng.u64(..within));
        tokio::time::sleep(Duration::from_millis(after)).await;
    }

    /// Waits until everything that was started has ended.
    pub async fn wait(&self) {
        self.simulation.wait_for_executions(LONGEST).await;
    }

    /// Waits until something starts a recovery, which takes so much longer than usual, and until that has ended.
    pub async fn wait_for_an_alarm(&self, longer: Duration) {
        if self.simulation.wait_for_a_start(STARTS_WITHIN + longer).await {
            self.wait().await;
        }
    }

    /// Hands an event to the function that starts recoveries, as a rule would, at 5 s after the event's own time; waits until
    /// what it started has ended. Errors: a text, if that function fails.
    pub async fn start_by_event(&self, event: &Value) -> Result<(), String> {
        let region = event
            .get("region")
            .and_then(Value::as_str)
            .filter(|region| self.plan.site(region).is_some())
            .unwrap_or(&self.plan.regions.standby.region);
        if let Some(at) = time_of(event) {
            let clock = &self.cloud().clock;
            clock.wait_until(at.checked_add(EVENT_TAKES).unwrap_or(at)).await;
        }
        let aws = self.simulation.aws_in(StartRecovery::NAME, region);
        let input = json!({ "event": event, "machine": recovery_machine(self.plan, region) });
        let answer = handler::<StartRecovery>(&aws).invoke(input).await;
        let answer = answer.map_err(|error| format!("{}: {error}", StartRecovery::NAME))?;
        // A refusal starts nothing that could be waited for.
        if answer.pointer("/decision/decision/what").and_then(Value::as_str) == Some("started") {
            self.wait().await;
        }
        Ok(())
    }

    /// A person starts a recovery here, at the URL for that and under this id, and waits until it has ended. They try again while
    /// they are told to. Errors: a text, if it cannot be started.
    pub async fn start_by_hand(&self, id: &str, wants: Fields) -> Result<(), String> {
        let asked = json!({
            "id": id, "machine": recovery_machine(self.plan, self.here), "scenario": self.scenario, "wants": wants,
        });
        let (person, asked) = (self.person(), asked.to_string());
        let mut last = String::new();
        for _ in 0..START_TRIED_AT_MOST {
            let posted = self
                .simulation
                .post_to_function(self.here, StartByHand::NAME, &person, &asked);
            match posted.await {
                Ok((202, _)) => {
                    self.wait().await;
                    return Ok(());
                }
                Ok((502.., answer)) => last = answer,
                Ok((status, answer)) => return Err(format!("{id} could not be started: {status} {answer}")),
                Err(why) => last = why,
            }
            tokio::time::sleep(START_TRIED_EVERY).await;
        }
        Err(format!(
            "{id} could not be started in {START_TRIED_AT_MOST} tries: {last}"
        ))
    }

    /// The last recovery that a Region's record has, and its outcome. Errors: a text, if the record cannot be read.
    pub async fn last_recovery(&self, region: &str) -> Result<Option<(String, Option<Outcome>)>, String> {
        let record = Record::new(&self.simulation.aws_in("drctl", region));
        let recoveries = record.recoveries(&self.plan.workload).await;
        let Some(id) = recoveries.map_err(|error| error.to_string())?.pop() else {
            return Ok(None);
        };
        let header = record.header(&id).await.map_err(|error| error.to_string())?;
        let outcome = header.and_then(|header| header.closing).map(|closing| closing.outcome);
        Ok(Some((id, outcome)))
    }

    /// A person resumes a recovery, and waits until it has ended. Errors: a text, if it cannot be resumed.
    pub async fn resume(&self, region: &str, id: &str) -> Result<(), String> {
        let aws = self.simulation.aws_in("drctl", region);
        let resumed = resume(&aws, self.plan, id, &self.person()).await;
        resumed.map_err(|error| error.to_string())?;
        self.wait().await;
        Ok(())
    }

    /// Takes the permissions of the step away that the script stops at, in both Regions.
    pub(crate) fn forbid_the_step(&self) -> Result<(), String> {
        let Some(step) = &*self.stop_at.borrow() else {
            return Ok(());
        };
        let text = format!("{step} has no permissions until the recovery is resumed (--stop-at)");
        for region in self.regions() {
            self.simulation.break_function(region, step, "Denied", &text)?;
        }
        Ok(())
    }

    /// Gives the step of `--stop-at` its permissions back, and resumes the recovery that failed without them in this Region. Errors: a
    /// text, if none failed.
    pub async fn resume_after_the_step(&self, region: &str) -> Result<(), String> {
        let Some(step) = self.stop_at.take() else {
            return Ok(());
        };
        for region in self.regions() {
            self.simulation.mend_function(region, &step)?;
        }
        let Some((id, outcome)) = self.last_recovery(region).await? else {
            return Err(format!(
                "a recovery that stops at {step} is never opened, so there is nothing to resume"
            ));
        };
        if let Some(outcome @ (Outcome::Recovered | Outcome::Refused | Outcome::Declined)) = outcome {
            return Err(format!("a recovery does not stop at {step}: it ended as {outcome}"));
        }
        self.resume(region, &id).await
    }

    /// The plan's Regions, the standby one first.
    pub fn regions(&self) -> [&str; 2] {
        [&self.plan.regions.standby.region, &self.plan.regions.primary.region]
    }
}

/// When an event says that it was.
pub(crate) fn time_of(event: &Value) -> Option<Timestamp> {
    event.get("time")?.as_str()?.parse().ok()
}
