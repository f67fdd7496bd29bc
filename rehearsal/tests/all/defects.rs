//! Defects that campaigns must find: steps that are wrong in one way each.

use std::fmt;
use std::pin::Pin;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Statistic};
use flush_cache::FlushCache;
use jiff::{SignedDuration, Timestamp};
use prepare_database::PrepareDatabase;
use rehearsal::Replaced;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::error::StepError;
use shared::record::{Claim, Record};
use shared::recovery::{Mode, RecoveryRef};
use shared::step::{Handler, Step, handler};
use simulator::simulation::MakeHandler;

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The lock is not released.
    KeepsTheLock,
    /// A retry asks for the promotion again, without a look.
    PromotesTwice,
    /// One function is forgotten when the fence is taken back.
    ForgetsAFunction,
    /// The RTO is measured from the decision, not from the impact.
    RtoFromTheDecision,
    /// What the Region that takes over sees counts as more than one class of evidence.
    CountsOneClassTwice,
    /// The lag is read in the minutes before the decision, not before the impact; where there is none, it counts as zero.
    ReadsTheLagTooLate,
    /// Event sources are enabled beside the wait for the database.
    EnablesTooEarly,
    /// Sequences of a restored database go on where they were.
    ForgetsTheNumbers,
    /// Jobs of a restored database stay on.
    ForgetsTheJobs,
    /// What was erased is not erased again.
    ForgetsTheLedger,
    /// Caches keep what the restored database does not hold.
    ForgetsTheCache,
}

impl Defect {
    /// Its name in what the test prints.
    const fn name(self) -> &'static str {
        match self {
            Self::KeepsTheLock => "keeps-the-lock",
            Self::PromotesTwice => "promotes-twice",
            Self::ForgetsAFunction => "forgets-a-function",
            Self::RtoFromTheDecision => "rto-from-the-decision",
            Self::CountsOneClassTwice => "counts-one-class-twice",
            Self::ReadsTheLagTooLate => "reads-the-lag-too-late",
            Self::EnablesTooEarly => "enables-too-early",
            Self::ForgetsTheNumbers => "forgets-the-numbers",
            Self::ForgetsTheJobs => "forgets-the-jobs",
            Self::ForgetsTheLedger => "forgets-the-ledger",
            Self::ForgetsTheCache => "forgets-the-cache",
        }
    }

    /// The step that has it, and how that is made.
    fn step(self) -> (&'static str, MakeHandler) {
        match self {
            Self::KeepsTheLock => (close_recovery::CloseRecovery::NAME, |aws| {
                wrong::<close_recovery::CloseRecovery>(aws, Self::KeepsTheLock)
            }),
            Self::PromotesTwice => (promote_database::PromoteDatabase::NAME, |aws| {
                wrong::<promote_database::PromoteDatabase>(aws, Self::PromotesTwice)
            }),
            Self::ForgetsAFunction => (unfence_region::UnfenceRegion::NAME, |aws| {
                wrong::<unfence_region::UnfenceRegion>(aws, Self::ForgetsAFunction)
            }),
            Self::RtoFromTheDecision => (close_recovery::CloseRecovery::NAME, |aws| {
                wrong::<close_recovery::CloseRecovery>(aws, Self::RtoFromTheDecision)
            }),
            Self::CountsOneClassTwice => (assess_region::AssessRegion::NAME, |aws| {
                wrong::<assess_region::AssessRegion>(aws, Self::CountsOneClassTwice)
            }),
            Self::ReadsTheLagTooLate => (assess_region::AssessRegion::NAME, |aws| {
                wrong::<assess_region::AssessRegion>(aws, Self::ReadsTheLagTooLate)
            }),
            Self::EnablesTooEarly => (activate_region::ActivateRegion::NAME, |aws| {
                wrong::<activate_region::ActivateRegion>(aws, Self::EnablesTooEarly)
            }),
            Self::ForgetsTheNumbers => (PrepareDatabase::NAME, |aws| {
                wrong::<PrepareDatabase>(aws, Self::ForgetsTheNumbers)
            }),
            Self::ForgetsTheJobs => (PrepareDatabase::NAME, |aws| {
                wrong::<PrepareDatabase>(aws, Self::ForgetsTheJobs)
            }),
            Self::ForgetsTheLedger => (PrepareDatabase::NAME, |aws| {
                wrong::<PrepareDatabase>(aws, Self::ForgetsTheLedger)
            }),
            Self::ForgetsTheCache => (FlushCache::NAME, |aws| wrong::<FlushCache>(aws, Self::ForgetsTheCache)),
        }
    }

    /// The step that has it, in place of the right one.
    pub fn replaced(self) -> Replaced {
        let (step, make) = self.step();
        let by = self.name();
        Replaced { step, by, make }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A step with a defect around it.
struct Wrong {
    right: Box<dyn Handler>,
    aws: Aws,
    defect: Defect,
}

fn wrong<S: Step>(aws: &Aws, defect: Defect) -> Box<dyn Handler> {
    Box::new(Wrong {
        right: handler::<S>(aws),
        aws: aws.clone(),
        defect,
    })
}

impl Handler for Wrong {
    fn invoke(&self, input: Value) -> Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send + '_>> {
        Box::pin(async move {
            match self.defect {
                Defect::KeepsTheLock => self.keep_the_lock(input).await,
                Defect::PromotesTwice => self.promote_twice(input).await,
                Defect::ForgetsAFunction => self.forget_a_function(input).await,
                Defect::RtoFromTheDecision => {
                    let mut input = input;
                    if let Some(observed) = input.pointer_mut("/scenario/observed") {
                        observed["impact_at"] = observed["decided_at"].clone();
                    }
                    self.right.invoke(input).await
                }
                Defect::CountsOneClassTwice => self.count_one_class_twice(input).await,
                Defect::ReadsTheLagTooLate => self.read_the_lag_late(input).await,
                Defect::ForgetsTheNumbers => {
                    let mut input = input;
                    // What it takes for the damaged database is the restored one.
                    input["here"]["cluster_arn"] = input["cluster_arn"].clone();
                    input["after_restore"]["numbers_margin"] = json!(1);
                    self.right.invoke(input).await
                }
                Defect::ForgetsTheJobs => {
                    let mut input = input;
                    input["after_restore"]["jobs"] = json!([]);
                    self.right.invoke(input).await
                }
                Defect::ForgetsTheLedger => {
                    let mut input = input;
                    input["restore_to"] = json!(self.aws.now() + SignedDuration::from_hours(2));
                    self.right.invoke(input).await
                }
                Defect::ForgetsTheCache => {
                    let mut input = input;
                    input["caches"] = json!([]);
                    self.right.invoke(input).await
                }
                Defect::EnablesTooEarly => {
                    let mut sources = input.clone();
                    sources["part"] = json!("event-sources");
                    let output = self.right.invoke(input).await?;
                    self.right.invoke(sources).await?;
                    Ok(output)
                }
            }
        })
    }
}

impl Wrong {
    fn record(&self) -> Record {
        Record::new(&self.aws)
    }

    async fn keep_the_lock(&self, input: Value) -> Result<Value, StepError> {
        let recovery = recovery_in(&input);
        let output = self.right.invoke(input).await?;
        if let Some(recovery) = recovery {
            let claim = Claim {
                workload: &recovery.workload,
                execution: &recovery.execution,
                recovery: &recovery.id,
                mode: Mode::Rehearsal,
                at: self.aws.now(),
            };
            self.record().claim_lock(&claim, None).await?;
        }
        Ok(output)
    }

    async fn promote_twice(&self, input: Value) -> Result<Value, StepError> {
        let is_retry = match recovery_in(&input) {
            Some(recovery) => {
                let notes = self.record().undo_notes(&recovery.id).await?;
                notes
                    .iter()
                    .any(|undo| undo.step == promote_database::PromoteDatabase::NAME)
            }
            None => false,
        };
        let text = |pointer: &str| {
            input
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if is_retry && text("/way") == "failover" {
            // Whatever the result, the right step continues.
            let _ = aws_sdk_rds::Client::new(self.aws.config())
                .failover_global_cluster()
                .global_cluster_identifier(text("/database/global_cluster"))
                .target_db_cluster_identifier(text("/here/cluster_arn"))
                .allow_data_loss(true)
                .send()
                .await;
        }
        self.right.invoke(input).await
    }

    async fn forget_a_function(&self, input: Value) -> Result<Value, StepError> {
        if let Some(recovery) = recovery_in(&input) {
            let notes = self.record().undo_notes(&recovery.id).await?;
            let function = notes.iter().find(|undo| {
                undo.step == fence_region::FenceRegion::NAME
                    && undo.resource.kind == shared::record::ResourceKind::Function
            });
            if let Some(undo) = function {
                self.record().note_taken_back(&recovery, undo, self.aws.now()).await?;
            }
        }
        self.right.invoke(input).await
    }

    /// Two signals of three that say down, and none that says healthy, are enough where little would be lost.
    async fn count_one_class_twice(&self, input: Value) -> Result<Value, StepError> {
        let mut output = self.right.invoke(input).await?;
        let signals = output["signals"].as_array().cloned().unwrap_or_default();
        let of_this_region = signals.iter().filter(|signal| signal["source"] != "observer");
        let say = |what: &str| of_this_region.clone().filter(|signal| signal["says"] == what).count();
        let is_little = output["expected_loss"]["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds < 60.0);
        if output["expected_loss"]["status"] == "measured" && is_little && say("down") >= 2 && say("healthy") == 0 {
            output["ask"]["people"] = json!(0);
        }
        Ok(output)
    }

    async fn read_the_lag_late(&self, input: Value) -> Result<Value, StepError> {
        let text = |pointer: &str| {
            input
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let cluster = Dimension::builder()
            .name("DBClusterIdentifier")
            .value(text("/here/cluster"))
            .build();
        let mut output = self.right.invoke(input).await?;
        if output.pointer("/expected_loss/status") != Some(&json!("measured")) {
            return Ok(output);
        }
        let now = self.aws.now();
        let from = now.checked_sub(SignedDuration::from_mins(2)).unwrap_or(now);
        let seconds = |at: Timestamp| DateTime::from_millis(at.as_millisecond());
        let metric = aws_sdk_cloudwatch::types::Metric::builder()
            .namespace("AWS/RDS")
            .metric_name("AuroraGlobalDBRPOLag")
            .dimensions(cluster)
            .build();
        let stat = aws_sdk_cloudwatch::types::MetricStat::builder()
            .metric(metric)
            .period(60)
            .stat(Statistic::Maximum.as_str())
            .build();
        let query = aws_sdk_cloudwatch::types::MetricDataQuery::builder()
            .id("lag")
            .metric_stat(stat)
            .build();
        let data = aws_sdk_cloudwatch::Client::new(self.aws.config())
            .get_metric_data()
            .start_time(seconds(from))
            .end_time(seconds(now))
            .metric_data_queries(query)
            .send()
            .await
            .map_err(|error| StepError::aws("cloudwatch:GetMetricData", "the replication lag", error))?;
        let values = data.metric_data_results().iter().flat_map(|result| result.values());
        let largest = values.copied().fold(0.0, f64::max) / 1000.0;
        output["expected_loss"]["seconds"] = json!(largest);
        Ok(output)
    }
}

fn recovery_in(input: &Value) -> Option<RecoveryRef> {
    RecoveryRef::deserialize(input.get("recovery")?).ok()
}
