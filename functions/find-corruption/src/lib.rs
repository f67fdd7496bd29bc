//! Finds out since when the data are wrong, and asks people to which moment the database goes back.
//!
//! Whoever starts the recovery can say the moment. Otherwise the metrics behind the plan's alarms propose one: the data passed the check
//! at the last good datapoint, so that this is before the damage, as far as that check sees. No moment is ever taken without people.
//! This changes only its own decision in the record, which a resumed recovery continues with.

mod history;
mod input;
mod judge;

use std::time::Duration;

use jiff::Timestamp;
use shared::aws::Aws;
use shared::cluster_variable::Functions;
use shared::error::{ErrorKind, StepError};
use shared::global_database::{GlobalDatabase, describe_cluster};
use shared::record::{Record, Sighting};
use shared::sql::{Checked, Reached};
use shared::step::{Change, Step};

pub use input::Input;
pub use judge::Output;

use judge::{Decision, Evidence};

/// The step that opens the restored database to customers: from its note on there is no way back.
const OPENS: &str = "resume-writes";
/// How long reading the metrics, and asking the damaged database, may take at most. Both are evidence, and people can do without.
const READS_WITHIN: Duration = Duration::from_secs(15);

/// The step: finds out since when the data are wrong.
#[derive(Debug)]
pub struct FindCorruption {
    aws: Aws,
    cloudwatch: aws_sdk_cloudwatch::Client,
    rds: aws_sdk_rds::Client,
    data: aws_sdk_rdsdata::Client,
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
            rds: aws_sdk_rds::Client::new(aws.config()),
            data: aws_sdk_rdsdata::Client::new(&aws.config_without_retries(READS_WITHIN)),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let now = self.aws.now();
        let functions = Functions::here(&self.aws, READS_WITHIN);
        let (global, cluster, history, checked, functions, notes, before) = tokio::join!(
            biased;
            GlobalDatabase::describe(&self.rds, &input.database.global_cluster, &input.here.region),
            describe_cluster(&self.rds, &input.here),
            self.history(&input, now),
            self.check(&input),
            functions.look(&input.functions),
            self.record.undo_notes(&input.recovery.id),
            self.record.decision::<Decision>(&input.recovery),
        );
        let notes = notes?;
        let evidence = Evidence {
            now: self.aws.now(),
            global: global.map_err(refused_for_good)?,
            cluster: cluster.map_err(refused_for_good)?,
            history,
            checked,
            functions,
            is_opened: notes.iter().any(|note| note.step == OPENS),
        };
        let output = judge::assess(&input, &evidence, before?);
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

/// Nothing was changed yet: a database that is missing, or may not be seen, is a reason not to begin, and no failure on the way.
fn refused_for_good(error: StepError) -> StepError {
    match error.kind.is_retryable() {
        true => error,
        false => StepError::refused(error.to_string()),
    }
}

impl FindCorruption {
    async fn history(&self, input: &Input, now: Timestamp) -> Result<Option<history::History>, StepError> {
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

    /// What the plan's checks find in the damaged database; what is not answered in time has found nothing.
    async fn check(&self, input: &Input) -> Vec<Checked> {
        let database = Reached {
            cluster_arn: &input.here.cluster_arn,
            secret_arn: &input.here.secret_arn,
            database: &input.database.name,
        };
        let mut found = Vec::new();
        let until = tokio::time::Instant::now() + READS_WITHIN;
        for check in &input.checks {
            match tokio::time::timeout_at(until, database.check(&self.data, check)).await {
                Ok(checked) => found.push(checked),
                Err(_) => found.push(Checked {
                    name: check.name.clone(),
                    expected: check.finds.clone(),
                    found: None,
                    error: Some(format!("no answer within {READS_WITHIN:?}")),
                }),
            }
        }
        found
    }
}
