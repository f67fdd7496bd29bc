//! Finds out since when the data are wrong, and asks people to which moment the database goes back.
//!
//! Whoever starts the recovery can say the moment. Otherwise the metrics behind the plan's alarms propose one: the data passed the check
//! at the last good datapoint, so that this is before the damage, as far as that check sees. Where no alarm says anything, the database's
//! log proposes one, if it shows exactly one statement that destroys data. Whoever names a snapshot goes back to the moment when that was
//! taken. No moment is ever taken without people.
//! This changes only its own decision in the record, which a resumed recovery continues with.

mod history;
mod input;
mod judge;
mod log;
mod login;
mod roles;
mod snapshot;
mod statement;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use shared::aws::Aws;
use shared::cluster_variable::{Functions, Seen};
use shared::error::{ErrorKind, StepError, refused_for_good};
use shared::global_database::{GlobalDatabase, describe_cluster};
use shared::record::{Record, STOPS, Sighting, Undo, is_opened};
use shared::restore::{cluster_arn, cluster_id};
use shared::sql::Reached;
use shared::step::{Change, Step};

pub use input::Input;
pub use judge::Output;
pub use log::{Logged, Read, Statement};
pub use statement::Verb;

use history::History;
use judge::{Decision, Evidence};
use login::Login;
use roles::Roles;
use snapshot::Named;

/// How long reading the metrics, and asking the damaged database, may take at most. Both are evidence, and people can do without.
const READS_WITHIN: Duration = Duration::from_secs(15);

/// How long IAM may take to say what roles may do. Without it people are warned.
const ROLES_WITHIN: Duration = Duration::from_secs(10);

/// The step: finds out since when the data are wrong.
#[derive(Debug)]
pub struct FindCorruption {
    aws: Aws,
    cloudwatch: aws_sdk_cloudwatch::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    rds: aws_sdk_rds::Client,
    data: aws_sdk_rdsdata::Client,
    iam: aws_sdk_iam::Client,
    secrets: aws_sdk_secretsmanager::Client,
    record: Record,
}

impl Step for FindCorruption {
    const NAME: &'static str = "find-corruption";
    const DESCRIPTION: &'static str = "Finds out since when the data are wrong, and proposes the moment to go back to";
    const CHANGES: &'static [Change] = &[Change::Item("decision"), Change::Item("observed")];
    const TIME_LIMIT: Duration = Duration::from_secs(35);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            cloudwatch: aws_sdk_cloudwatch::Client::new(aws.at_leisure().config()),
            logs: aws_sdk_cloudwatchlogs::Client::new(aws.at_leisure().config()),
            rds: aws_sdk_rds::Client::new(aws.config()),
            data: aws_sdk_rdsdata::Client::new(&aws.config_without_retries(READS_WITHIN)),
            iam: aws_sdk_iam::Client::new(aws.config()),
            secrets: aws_sdk_secretsmanager::Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let now = self.aws.now();
        let damaged = Reached::of(&input.here, &input.database);
        let (global, cluster, named, (history, logged), checked, (functions, roles), login, served_from, notes, before) = tokio::join!(
            biased;
            GlobalDatabase::describe(&self.rds, &input.database.global_cluster, &input.here.region),
            describe_cluster(&self.rds, &input.here),
            self.look_at_snapshot(&input),
            self.look_back(&input, now),
            damaged.check_all(&self.data, &input.checks, READS_WITHIN),
            self.look_at_functions(&input),
            Login::read(&self.secrets, &input.here.secret_arn),
            self.record.served_from(&input.recovery.workload),
            self.record.undo_notes(&input.recovery.id),
            self.record.decision::<Decision>(&input.recovery),
        );
        let (notes, before) = (notes?, before?);
        let named = named.map_err(refused_for_good)?;
        let ledger = match judge::moment(&input, named.as_ref(), &history, &logged, before.as_ref()) {
            Some(moment) => self.record.ledger_since(&input.recovery.workload, moment).await?,
            None => Vec::new(),
        };
        let evidence = Evidence {
            now: self.aws.now(),
            ledger,
            global: global.map_err(refused_for_good)?,
            cluster: cluster.map_err(refused_for_good)?,
            named,
            history,
            logged,
            checked,
            functions,
            roles,
            login,
            served_from: served_from?,
            is_opened: is_opened(&notes),
            given_back_at: given_back_at(&notes),
        };
        let output = judge::assess(&input, &evidence, before);
        if let Some(decision) = output.decision() {
            self.record.put_decision(&input.recovery, &decision).await?;
        }
        let sighting = Sighting {
            impact_at: Some(output.impact_at),
            impact_assumed: Some(output.impact_assumed),
            decided_at: Some(output.decided_at),
            can_lose_writes: Some(true),
            ..Sighting::default()
        };
        self.record.keep_observed(&input.recovery, sighting).await;
        Ok(output)
    }
}

/// When customers' writes were last given back, if they were.
fn given_back_at(notes: &[Undo]) -> Option<Timestamp> {
    let stops = notes.iter().filter(|note| note.step == STOPS);
    stops.filter_map(|note| note.taken_back_at).max()
}

impl FindCorruption {
    async fn look_at_snapshot(&self, input: &Input) -> Result<Option<Named>, StepError> {
        match &input.snapshot {
            Some(name) => Named::read(&self.rds, name, &input.here).await.map(Some),
            None => Ok(None),
        }
    }

    /// The functions, and what the roles that they run with may do with the cluster that is to be restored.
    async fn look_at_functions(&self, input: &Input) -> (Vec<Result<Seen, StepError>>, Roles) {
        let seen = Functions::here(&self.aws, READS_WITHIN).look(&input.functions).await;
        let roles: BTreeSet<&str> = seen.iter().flatten().filter_map(Seen::role).collect();
        let roles = roles.into_iter().map(str::to_owned).collect();
        let damaged = &input.here.cluster_arn;
        let restored = cluster_arn(damaged, &cluster_id(&input.recovery.workload, &input.recovery.id));
        let roles = roles::access(&self.iam, roles, damaged, &restored, ROLES_WITHIN).await;
        (seen, roles)
    }

    /// What the metrics say of the past, and what the log shows since the data were last right by them.
    async fn look_back(&self, input: &Input, now: Timestamp) -> (Result<Option<History>, StepError>, Logged) {
        let history = self.history(input, now).await;
        let known = history.as_ref().ok().and_then(Option::as_ref);
        let asked = log::Asked {
            cluster: &input.here.cluster,
            own: &input.database.schema,
            since: known
                .and_then(|history| history.last_good_at)
                .unwrap_or(now - history::WINDOW),
            now,
        };
        let logged = log::read(&self.logs, &asked).await;
        (history, logged)
    }

    async fn history(&self, input: &Input, now: Timestamp) -> Result<Option<History>, StepError> {
        let reading = history::read(&self.cloudwatch, &input.alarms, now);
        let late = || {
            let text = format!(
                "cloudwatch:GetMetricData did not answer within {READS_WITHIN:?}; the step continues without it"
            );
            StepError::new(ErrorKind::Unavailable, text)
        };
        tokio::time::timeout(READS_WITHIN, reading)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}
