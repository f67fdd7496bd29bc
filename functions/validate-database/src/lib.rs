//! Checks the restored data while no customer can reach them, and asks people whether customers may come.
//!
//! It waits for the database to answer, writes a row of its own, and asks what the plan knows of right data. A check that finds something
//! else stops the cut-over. What is lost is measured: from the last heartbeat that the restored database holds, up to the moment that it
//! goes back to, to the last one that the damaged one holds. Later rows were written since by somebody, and say nothing.

use std::time::Duration;

use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::types::Field;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::approval::Ask;
use shared::aws::Aws;
use shared::canary;
use shared::error::{ErrorKind, StepError};
use shared::measure::seconds_between;
use shared::plan::{self, DatabaseCheck, Objective};
use shared::record::{Record, Sighting, Warning, WarningCode};
use shared::recovery::RecoveryRef;
use shared::slices::{ApprovalSlice, DatabaseSlice, SiteSlice};
use shared::sql::{self, Checked, Found, Reached, Refusal, number, text, unless_waking};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How long all checks may take together; those that are not run by then have found nothing.
const CHECKS_WITHIN: Duration = Duration::from_secs(55);

/// What to check.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The other Region: the platform leaves word of its heartbeats there.
    pub other: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// What shows that the data are right.
    pub checks: Vec<DatabaseCheck>,
    /// The restored cluster's identifier.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// The moment that its data are of.
    pub restore_to: Timestamp,
    /// Who is asked.
    pub approval: ApprovalSlice,
    /// How much loss is aimed at.
    pub rpo: Option<Objective>,
}

/// What was found.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// Whether the database answers, and was checked.
    pub ready: bool,
    /// What is missing where it does not.
    pub waiting_for: Option<String>,
    /// Whether that is the password of the secret: the database has the one of that moment.
    pub password_refused: bool,
    /// What each of the plan's checks found.
    pub checks: Vec<Checked>,
    /// Why customers must not come; nothing where they may.
    pub blockers: Vec<String>,
    /// What people are asked, where the database was checked.
    pub ask: Option<Ask>,
    /// The last heartbeat that survives.
    pub last_surviving_at: Option<Timestamp>,
    /// The last heartbeat that the damaged database took.
    pub last_committed_at: Option<Timestamp>,
    /// What people should know.
    pub warnings: Vec<Warning>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        if let Some(missing) = &self.waiting_for {
            return Summary::waiting(missing);
        }
        if !self.blockers.is_empty() {
            return Summary::failed(self.blockers.join("; "));
        }
        let passed = match self.checks.len() {
            0 => "the plan has no checks of the data".to_owned(),
            of => format!("{of} of {of} checks of the data passed"),
        };
        Summary::done(format!("the restored database takes reads and writes; {passed}")).warning(&self.warnings)
    }
}

/// The step: checks the restored data.
#[derive(Debug)]
pub struct ValidateDatabase {
    aws: Aws,
    data: Client,
    patient_data: Client,
    record: Record,
}

impl Step for ValidateDatabase {
    const NAME: &'static str = "validate-database";
    const DESCRIPTION: &'static str = "Checks the restored data before customers reach them";
    const CHANGES: &'static [Change] = &[Change::Call("rds-data:ExecuteStatement"), Change::Item("observed")];
    const TIME_LIMIT: Duration = Duration::from_secs(140);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            data: sql::client(aws),
            patient_data: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let restored = Reached::of(&input.here, &input.database).in_cluster(&input.cluster_arn);
        if let Some(missing) = self.missing(&input, restored).await.map_err(perhaps_too_late)? {
            return Ok(missing);
        }
        let (checks, surviving, committed) = tokio::join!(
            biased;
            restored.check_all(&self.data, &input.checks, CHECKS_WITHIN),
            self.last_heartbeat(&input, restored, Some(input.restore_to)),
            self.last_committed(&input),
        );
        let mut warnings = Vec::new();
        let mut or_warn = |code, text: &str, found: Result<Option<Timestamp>, StepError>| {
            found.unwrap_or_else(|error| {
                warnings.push(Warning::new(code, text).about(&input.here.region).because(error));
                None
            })
        };
        let last_surviving_at = or_warn(
            WarningCode::SurvivingUnread,
            "could not read the last heartbeat of the restored database",
            surviving,
        );
        let last_committed_at = or_warn(
            WarningCode::CommittedUnread,
            "could not read the last heartbeat of the damaged database",
            committed,
        );
        let sighting = Sighting {
            last_surviving_at,
            last_committed_at,
            ..Sighting::default()
        };
        self.record.keep_observed(&input.recovery, sighting).await;
        let failed = checks.iter().filter(|checked| !checked.passed());
        let blockers = failed.map(|checked| format!("check {}", checked.in_words())).collect();
        let lost = last_surviving_at.zip(last_committed_at);
        let lost = lost.map(|(survived, committed)| seconds_between(survived, committed).max(0.0));
        Ok(Output {
            ready: true,
            waiting_for: None,
            password_refused: false,
            ask: Some(ask(&input, &checks, lost, &warnings)),
            checks,
            blockers,
            last_surviving_at,
            last_committed_at,
            warnings,
        })
    }
}

impl ValidateDatabase {
    /// What keeps the restored database from taking reads and writes through the Data API, if anything.
    async fn missing(&self, input: &Input, restored: Reached<'_>) -> Result<Option<Output>, StepError> {
        let in_recovery = "SELECT CAST(pg_is_in_recovery() AS text)";
        let asked = restored.first_field(&self.data, in_recovery, vec![]).await;
        if asked.as_ref().is_err_and(Refusal::is_of_the_password) {
            return Ok(Some(password_refused(input.restore_to)));
        }
        match unless_waking(asked)? {
            Found::Missing(missing) => return Ok(Some(not_ready(missing))),
            Found::Field(Some(Field::StringValue(text))) if text == "false" => {}
            Found::Field(_) => {
                let missing = "the restored database is still in recovery";
                return Ok(Some(not_ready(missing.to_owned())));
            }
        }
        let now = self.aws.now().as_millisecond();
        let row = vec![text("recovery", &input.recovery.id), number("now", now)];
        let write = canary::write(&input.database.schema);
        match unless_waking(restored.first_field(&self.data, &write, row).await)? {
            Found::Missing(missing) => Ok(Some(not_ready(missing))),
            Found::Field(_) => Ok(None),
        }
    }

    /// The last heartbeat of a database, up to `until`.
    async fn last_heartbeat(
        &self,
        input: &Input,
        database: Reached<'_>,
        until: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, StepError> {
        let heartbeats = format!("SELECT max(written_ms) FROM {}.heartbeat", input.database.schema);
        let (sql, parameters) = match until {
            Some(until) => (
                format!("{heartbeats} WHERE written_ms <= :until"),
                vec![number("until", until.as_millisecond())],
            ),
            None => (heartbeats, vec![]),
        };
        let found = database.first_field(&self.patient_data, &sql, parameters).await;
        Ok(match found.map_err(|refusal| refusal.error)? {
            Some(Field::LongValue(at)) => Timestamp::from_millisecond(at).ok(),
            _ => None,
        })
    }

    /// The last heartbeat that the damaged database took: its own word, or, where it does not answer, the one that the platform left
    /// in the other Region.
    async fn last_committed(&self, input: &Input) -> Result<Option<Timestamp>, StepError> {
        let damaged = Reached::of(&input.here, &input.database);
        match self.last_heartbeat(input, damaged, None).await {
            Ok(Some(at)) => Ok(Some(at)),
            Ok(None) | Err(_) => {
                let there = Record::in_region(&self.aws, &input.other.region);
                there
                    .last_committed_heartbeat(&input.recovery.workload, &input.here.region)
                    .await
            }
        }
    }
}

/// A database that refuses every statement may be as it was in the middle of its end.
fn perhaps_too_late(mut error: StepError) -> StepError {
    if error.kind == ErrorKind::VerificationFailed {
        error.message += "; if the database was being dropped at that moment, start again with an earlier one";
    }
    error
}

fn not_ready(missing: String) -> Output {
    Output {
        ready: false,
        waiting_for: Some(missing),
        password_refused: false,
        checks: Vec::new(),
        blockers: Vec::new(),
        ask: None,
        last_surviving_at: None,
        last_committed_at: None,
        warnings: Vec::new(),
    }
}

fn password_refused(restore_to: Timestamp) -> Output {
    let missing = format!("the restored database does not take the secret's password: it has the one of {restore_to}");
    Output {
        password_refused: true,
        ..not_ready(missing)
    }
}

fn ask(input: &Input, checks: &[Checked], lost: Option<f64>, warnings: &[Warning]) -> Ask {
    let to = input.restore_to;
    let loss = match lost {
        Some(seconds) => format!("about {} of writes", plan::Duration::from_secs(seconds.round() as u64)),
        None => "an unknown amount of writes".to_owned(),
    };
    let mut shown = vec![
        format!(
            "from then on there is no way back to cluster {}: customers write to the restored one",
            input.here.cluster
        ),
        format!("lost: {loss}, which customers made after {to}"),
    ];
    shown.extend(checks.iter().map(|checked| format!("check {}", checked.in_words())));
    if checks.is_empty() {
        shown.push("the plan has no checks: only you can tell whether the restored data are right".to_owned());
    }
    shown.push(
        "the global database still holds the damaged data: until you have rebuilt it, there is no copy of the restored data in the \
         other Region"
            .to_owned(),
    );
    shown.extend(warnings.iter().map(ToString::to_string));
    let maximum = input.rpo.map(|rpo| rpo.maximum.as_secs() as f64);
    let is_within = lost.zip(maximum).is_some_and(|(lost, maximum)| lost <= maximum);
    Ask {
        id: format!("cut-over-to-{}", input.cluster),
        headline: format!(
            "let customers use cluster {}, which has the data of {to}",
            input.cluster
        ),
        shown,
        people: input.approval.people.max(1),
        because: "once customers write to the restored database, there is no way back".to_owned(),
        needs_reason: !is_within || checks.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input() -> Input {
        let site = |region: &str, cluster: &str| {
            json!({
                "region": region, "cluster": cluster, "cluster_arn": format!("arn:{cluster}"), "secret_arn": "arn:s", "topic_arn": "arn:t",
                "api": { "rest_api": "abc", "stage": "v2", "domain": "d.example.com" },
            })
        };
        let input = json!({
            "recovery": { "id": "r", "workload": "shop", "token": 1, "execution": "arn:e" },
            "here": site("us-east-1", "shop"),
            "other": site("us-west-2", "shop-dr"),
            "database": { "global_cluster": "g", "name": "shop", "schema": "recovery", "heartbeat_seconds": 5 },
            "checks": [],
            "cluster": "shop-restored-1",
            "cluster_arn": "arn:shop-restored-1",
            "restore_to": "2026-01-06T03:00:00Z",
            "approval": { "people": 2, "without_evidence": 2, "answer_within_seconds": 900, "same_person": "name-before-at" },
            "rpo": { "target": "5m", "maximum": "1h" },
        });
        serde_json::from_value(input).unwrap()
    }

    fn checked(found: &str) -> Checked {
        Checked {
            name: "totals".to_owned(),
            expected: "0".to_owned(),
            found: Some(found.to_owned()),
            error: None,
        }
    }

    #[test]
    fn people_see_what_is_lost_what_was_checked_and_what_comes_after() {
        let asked = ask(&input(), &[checked("0")], Some(300.4), &[]);
        assert_eq!((asked.people, asked.needs_reason), (2, false));
        let shown = asked.shown.join("\n");
        for line in [
            "no way back",
            "about 5m of writes",
            "totals: passed",
            "no copy of the restored data",
        ] {
            assert!(shown.contains(line), "{line} is missing in {shown}");
        }
    }

    #[test]
    fn what_is_not_known_or_not_checked_needs_a_reason() {
        assert!(ask(&input(), &[checked("0")], None, &[]).needs_reason);
        assert!(ask(&input(), &[checked("0")], Some(4000.0), &[]).needs_reason);
        let unchecked = ask(&input(), &[], Some(60.0), &[]);
        assert!(unchecked.needs_reason);
        assert!(
            unchecked
                .shown
                .iter()
                .any(|line| line.contains("the plan has no checks"))
        );
        assert!(ask(&input(), &[], None, &[]).shown[1].contains("an unknown amount"));
    }
}
