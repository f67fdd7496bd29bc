//! Starts the jobs of the restored database, once customers are served by it.

use std::time::Duration;

use aws_sdk_rdsdata::Client;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::plan::DatabaseJob;
use shared::record::Record;
use shared::recovery::RecoveryRef;
use shared::slices::{DatabaseSlice, SiteSlice};
use shared::sql::{self, Ran, Reached};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// What to start.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// Its jobs.
    pub jobs: Vec<DatabaseJob>,
    /// ARN of the restored cluster.
    pub cluster_arn: String,
}

/// What was started.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The jobs that were started.
    pub started: Vec<String>,
    /// The others, and why.
    pub failed: Vec<String>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match (self.failed.first(), self.started.len()) {
            (Some(_), _) => Summary::failed(self.failed.join("; ")),
            (None, 0) => Summary::done("the plan has no jobs in the database"),
            (None, _) => Summary::done(format!("jobs of the database started: {}", self.started.join(", "))),
        }
    }
}

/// The step: starts jobs.
#[derive(Debug)]
pub struct ResumeJobs {
    data: Client,
    record: Record,
}

impl Step for ResumeJobs {
    const NAME: &'static str = "resume-jobs";
    const DESCRIPTION: &'static str = "Starts the jobs of the restored database";
    const CHANGES: &'static [Change] = &[Change::Call("rds-data:ExecuteStatement")];
    const TIME_LIMIT: Duration = Duration::from_secs(140);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            data: sql::client(aws),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let restored = Reached::of(&input.here, &input.database).in_cluster(&input.cluster_arn);
        let starts = input.jobs.iter().map(|job| (job.name.as_str(), job.start.as_str()));
        let Ran { run, refused } = restored.run_named(&self.data, starts).await?;
        let refused = refused.iter();
        let failed = refused.map(|(job, error)| format!("job {job} could not be started: {error}; start it by hand"));
        Ok(Output {
            started: run,
            failed: failed.collect(),
        })
    }
}
