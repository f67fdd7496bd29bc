//! Gathers evidence on both Regions, side by side and bounded, and decides which way to go and who must approve. It
//! changes only its own decision in the record, which a resumed recovery needs.

#[cfg(test)]
mod decisions;
mod evidence;
mod fitness;
mod heartbeats;
mod input;
mod judge;
mod loss;
mod signals;
mod versions;
mod writer;

use std::future::Future;
use std::time::Duration;

use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError, refused_for_good};
use shared::global_database::{GlobalDatabase, describe_cluster};
use shared::outside;
use shared::record::{Record, Sighting};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

pub use crate::fitness::OWN_CONCURRENCY;
pub use crate::input::Input;
pub use crate::judge::Output;
pub use crate::loss::ExpectedLoss;
pub use crate::signals::{Says, Signal};

use crate::evidence::{Evidence, Observed};
use crate::judge::Decision;

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        if !self.blockers.is_empty() {
            return Summary::failed(self.blockers.join("; "));
        }
        let loss = &self.expected_loss_in_words;
        Summary::done(format!("{}; expected loss: {loss}", self.way.name())).warning(&self.warnings)
    }
}

/// Where AWS Health is asked: it lives there, whatever Region it is asked about.
const HEALTH_REGION: &str = "us-east-1";

/// How long reading the metrics may take, all tries together.
const METRICS_WITHIN: Duration = Duration::from_secs(12);

/// Errors: `Unavailable`, if it takes longer.
async fn within<T>(limit: Duration, reading: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
    let late = || {
        let text =
            format!("cloudwatch:GetMetricData did not answer within {limit:?}; the step continues without the metrics");
        StepError::new(ErrorKind::Unavailable, text)
    };
    tokio::time::timeout(limit, reading)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// The step: gathers evidence about both Regions, and decides how to recover.
#[derive(Debug)]
pub struct AssessRegion {
    aws: Aws,
    cloudwatch: aws_sdk_cloudwatch::Client,
    rds: aws_sdk_rds::Client,
    data: aws_sdk_rdsdata::Client,
    health: aws_sdk_health::Client,
    record: Record,
}

impl Step for AssessRegion {
    const NAME: &'static str = "assess-region";
    const DESCRIPTION: &'static str = "Gathers evidence about both Regions, and decides how to recover";
    const CHANGES: &'static [Change] = &[Change::Item("decision"), Change::Item("observed")];
    const TIME_LIMIT: Duration = Duration::from_secs(35);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            // The impact is read there, and an achieved RTO begins with it: decision 20.
            cloudwatch: aws_sdk_cloudwatch::Client::new(aws.at_leisure().config()),
            rds: aws_sdk_rds::Client::new(aws.config()),
            data: aws_sdk_rdsdata::Client::new(aws.config()),
            health: aws_sdk_health::Client::new(&aws.config_in(HEALTH_REGION)),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let (here_region, other_region) = (&input.here.region, &input.other.region);
        let now = self.aws.now();
        let workload = &input.recovery.workload;
        let (
            metrics,
            probed,
            observer,
            proof,
            database,
            here,
            (other, is_silent),
            last_committed,
            health,
            before,
            served_from,
            stopped,
            fitness,
        ) = tokio::join!(
            biased;
            within(METRICS_WITHIN, evidence::metrics(&self.cloudwatch, &input, now)),
            self.record.probed(workload),
            self.observed(&input, now),
            self.prove(&input),
            GlobalDatabase::describe(&self.rds, &input.database.global_cluster, here_region),
            describe_cluster(&self.rds, &input.here),
            self.look_at_other(&input),
            self.record.last_committed_heartbeat(workload, other_region),
            evidence::health(&self.health, other_region),
            self.record.decision::<Decision>(&input.recovery),
            self.record.served_from(workload),
            self.record.stopped(workload),
            fitness::of_this_region(&self.aws, &self.record, &input),
        );
        let (mut evidence, before) = (
            Evidence {
                now: self.aws.now(),
                metrics,
                database: database.map_err(refused_for_good)?,
                here: here.map_err(refused_for_good)?,
                other,
                is_silent,
                last_committed,
                probed,
                observer,
                proof,
                health,
                heartbeats: Ok(None),
                served_from: served_from?,
                stopped: stopped?,
                fitness,
            },
            before?,
        );
        if judge::already_here(&input, &evidence.database, before) {
            let since = judge::heartbeats_since(&evidence);
            evidence.heartbeats = heartbeats::since(&self.data, &input, since).await;
        }
        let output = judge::assess(&input, &evidence, before);
        if output.blockers.is_empty() {
            let decision = Decision {
                way: output.way,
                impact_at: output.impact_at,
                decided_at: output.decided_at,
                expected_loss: output.expected_loss,
                already_here: output.already_here,
                impact_assumed: output.impact_assumed,
            };
            self.record.put_decision(&input.recovery, &decision).await?;
        }
        let sighting = Sighting {
            impact_at: Some(output.impact_at),
            impact_assumed: Some(output.impact_assumed),
            decided_at: Some(output.decided_at),
            can_lose_writes: Some(output.can_lose_writes),
            ..Sighting::default()
        };
        self.record.keep_observed(&input.recovery, sighting).await;
        Ok(output)
    }
}

/// How long two looks at the other Region must at least be apart to count as two.
const LOOKS_APART: SignedDuration = SignedDuration::from_secs(3);

impl AssessRegion {
    /// Looks at the other Region's cluster, and once more where nobody answers; each look is two tries. Also says whether that
    /// nobody answers is known by then: an error that comes at once, twice, is one moment's.
    async fn look_at_other(&self, input: &Input) -> (Result<DbCluster, StepError>, bool) {
        let client = aws_sdk_rds::Client::new(&self.aws.config_to_look(&input.other.region));
        let first_at = self.aws.now();
        let is_silent = |look: &Result<DbCluster, StepError>| {
            look.as_ref().is_err_and(|error| error.kind == ErrorKind::Unavailable)
        };
        let first = describe_cluster(&client, &input.other).await;
        if !is_silent(&first) {
            return (first, false);
        }
        let apart = self.aws.now().duration_since(first_at);
        let second = describe_cluster(&client, &input.other).await;
        let is_known = is_silent(&second) && apart >= LOOKS_APART;
        (second, is_known)
    }

    /// Whether this Region reaches the outside now. Errors: why that is not known.
    async fn prove(&self, input: &Input) -> Result<(), String> {
        match &input.probe.outside {
            Some(outside) => outside::prove(&self.aws, outside).await,
            None => Err("the plan names nothing outside to prove it with (probe.outside)".to_owned()),
        }
    }

    /// What the observer says; nothing, if the plan has no observer.
    async fn observed(&self, input: &Input, now: Timestamp) -> Option<Observed> {
        let region = &input.observer.as_ref()?.region;
        let cloudwatch = aws_sdk_cloudwatch::Client::new(&self.aws.config_in(region));
        let record = Record::in_region(&self.aws, region);
        let (metric, probed) = tokio::join!(
            biased;
            evidence::observed(&cloudwatch, input, region, now),
            record.probed(&input.recovery.workload),
        );
        Some(Observed { metric, probed })
    }
}
