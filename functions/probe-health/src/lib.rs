//! The outside probe: each minute it asks the public name, and publishes the metric behind the alarm.
//!
//! It runs in both Regions: the one that stands by watches the one that serves, and survives its loss. So it also publishes
//! whether its own Region serves. It belongs to no recovery, changes nothing, and has nothing to take back.
//!
//! Others can publish the same metric. So it also writes down what it found, where nobody else may write: nothing is moved
//! unasked on a metric that says otherwise.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::global_database::{GlobalDatabase, Promotion};
use shared::health::Health;
use shared::metric::{Datum, Metrics, Unit};
use shared::outside;
use shared::record::{Probed, Record};
use shared::slices::{HealthSlice, ProbeSlice};
use shared::step::{Caller, Change, Step};
use shared::summary::{Summarise, Summary};

/// What to ask, and where to publish. The schedule passes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What counts as healthy.
    pub health: HealthSlice,
    /// The metric that the probe publishes, and what proves that it reaches the outside.
    pub probe: ProbeSlice,
    /// The cluster of this Region: whether it is the writer is published too. The observer's has none.
    #[serde(default)]
    pub cluster: Option<Cluster>,
}

/// The cluster of a Region.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Its global database.
    pub global_cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
}

/// The metric that says whether this Region serves, 1 or 0: while it does, the other one watches.
pub const SERVES: &str = "ServesHere";

/// What was answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the answer was healthy: the metric's value, 1 or 0.
    pub healthy: bool,
    /// Whether that was published: what is not healthy is not, where nothing outside answers either.
    pub published: bool,
    /// What the answer said.
    pub answer: String,
    /// Whether this Region has the writer; nothing where that is not known.
    pub serves: Option<bool>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self.healthy {
            true => Summary::done(&self.answer),
            false => Summary::failed(&self.answer),
        }
    }
}

/// How long writing down what was found may take. The metric must not wait for a table that does not answer.
const WRITING_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to see whether this Region serves.
const SERVES_LIMIT: Duration = Duration::from_secs(5);

/// The step: asks the public name each minute, and publishes the metric behind the alarm.
#[derive(Debug)]
pub struct ProbeHealth {
    aws: Aws,
    rds: aws_sdk_rds::Client,
    metrics: Metrics,
    record: Record,
}

impl Step for ProbeHealth {
    const NAME: &'static str = "probe-health";
    const DESCRIPTION: &'static str = "Asks the public name each minute, and publishes the metric behind the alarm";
    const CALLED_BY: &'static [Caller] = &[Caller::Schedule];
    const CHANGES: &'static [Change] = &[Change::Call("monitoring:PutMetricData"), Change::Item("minute")];
    // It is called each minute, and nobody waits for it.
    const TIME_LIMIT: Duration = Duration::from_secs(54);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            rds: aws_sdk_rds::Client::new(aws.config()),
            // A minute without a datapoint makes the impact known a minute too late.
            metrics: Metrics::new(&aws.at_leisure()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        // The datapoint belongs to the minute in which was asked, not to the one in which waiting for an answer ended.
        let asked_at = self.aws.now();
        let (answer, serves) = tokio::join!(
            self.aws
                .get(&input.health.url, Duration::from_secs(input.health.timeout_seconds)),
            self.serves(input.cluster.as_ref()),
        );
        let ProbeSlice {
            namespace,
            metric,
            workload,
            outside,
        } = &input.probe;
        let (healthy, answer) = match Health::judge(answer) {
            Health::Healthy { region } => (
                true,
                format!("healthy, from {}", region.as_deref().unwrap_or("an unnamed Region")),
            ),
            Health::Unhealthy { why } => (false, why),
        };
        let datum = |name, holds: bool| Datum {
            name,
            value: f64::from(u8::from(holds)),
            unit: Unit::None,
        };
        let mut data: Vec<Datum> = serves.map(|serves| datum(SERVES, serves)).into_iter().collect();
        // Who reaches nothing knows nothing. An alarm tells people of a probe that is silent.
        let unproved = match outside.as_ref().filter(|_| !healthy) {
            Some(outside) => outside::prove(&self.aws, outside).await.err(),
            None => None,
        };
        let (published, answer) = match unproved {
            None => (true, answer),
            Some(unproved) => (
                false,
                format!("{answer}; not published: this Region may have lost its connection to the outside: {unproved}"),
            ),
        };
        if published {
            data.push(datum(metric, healthy));
            // Before the metric, so that whoever reads that finds this too.
            self.write_down(workload, &Probed::at(asked_at, healthy)).await;
        }
        if !data.is_empty() {
            self.metrics
                .publish(namespace, &[("Workload", workload)], asked_at, &data)
                .await?;
        }
        Ok(Output {
            healthy,
            published,
            answer,
            serves,
        })
    }
}

impl ProbeHealth {
    /// It is logged and not more if that fails: people are asked then, where the metric says that the service is down.
    async fn write_down(&self, workload: &str, probed: &Probed) {
        match tokio::time::timeout(WRITING_LIMIT, self.record.note_probed(workload, probed)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "could not record the result"),
            Err(_) => {
                tracing::warn!("could not record the result: the table did not answer within {WRITING_LIMIT:?}")
            }
        }
    }

    /// Whether this Region has the writer. It must not keep the probe's own word from being published.
    async fn serves(&self, cluster: Option<&Cluster>) -> Option<bool> {
        let cluster = cluster?;
        let described = GlobalDatabase::describe(&self.rds, &cluster.global_cluster, self.aws.region());
        match tokio::time::timeout(SERVES_LIMIT, described).await {
            Ok(Ok(database)) => Some(database.promotion(&cluster.cluster_arn) == Promotion::Done),
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "could not check whether this Region serves");
                None
            }
            Err(_) => None,
        }
    }
}
