//! Points the platform's functions to the restored cluster, all side by side.
//!
//! Only the one variable is changed. What a function would get beside it, or what could not be read, is a hindrance, and then none is
//! changed: half of a platform on each database is worse than either.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::cluster_variable::{Functions, Seen, Wanted};
use shared::error::{ErrorKind, StepError};
use shared::plan::{CLUSTER_VARIABLE, Function};
use shared::record::{Missing, Record, Resource, Undo};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// How long all of it may take: 200 functions with aliases need 600 calls at 15 a second.
const LIMIT: Duration = Duration::from_secs(100);
/// The step that takes this back.
const TAKEN_BACK_BY: &str = "point-back";

/// What to point where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The platform's functions.
    pub functions: Vec<Function>,
    /// ARN of the restored cluster.
    pub cluster_arn: String,
}

/// What was pointed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many functions use the restored cluster.
    pub pointed: usize,
    /// How many there are.
    pub of: usize,
    /// The others, and why.
    pub failed: Vec<Missing>,
    /// How many more of the others there are than are named.
    pub more_failed: usize,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let (pointed, of) = (self.pointed, self.of);
        match self.failed.first() {
            None => Summary::done(format!("all {of} functions use the restored cluster")),
            Some(failed) => Summary::failed(format!(
                "{pointed} of {of} functions use the restored cluster; {}: {}",
                failed.resource, failed.reason
            )),
        }
    }
}

/// The step: points functions to the restored cluster.
#[derive(Debug)]
pub struct RepointFunction {
    aws: Aws,
    record: Record,
}

impl Step for RepointFunction {
    const NAME: &'static str = "repoint-function";
    const DESCRIPTION: &'static str = "Points the platform's functions to the restored cluster";
    const CHANGES: &'static [Change] = &[
        Change::Call("lambda:PublishVersion"),
        Change::Call("lambda:UpdateAlias"),
        Change::Call("lambda:UpdateFunctionConfiguration"),
        Change::Item("undo"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(110);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        self.record.still_here(&input.recovery).await?;
        let functions = Functions::here(&self.aws, LIMIT);
        let looked = functions.look(&input.functions).await;
        let mut seen = Vec::new();
        let mut failed = Vec::new();
        for (function, looked) in input.functions.iter().zip(looked) {
            let resource = Resource::function(&function.name, &input.here.region);
            match looked {
                Ok(now) => match now.hindrance() {
                    Some(why) => failed.push(Missing::new(resource, why)),
                    None => seen.push((function, now)),
                },
                Err(error) if error.kind.is_retryable() => return Err(error),
                Err(error) => failed.push(Missing::new(resource, &error).because(&error)),
            }
        }
        let of = input.functions.len();
        if !failed.is_empty() {
            return Ok(output(0, of, failed));
        }
        let elsewhere: Vec<&(&Function, Seen)> =
            seen.iter().filter(|(_, now)| !now.is_at(&input.cluster_arn)).collect();
        let undos: Vec<Undo> = elsewhere
            .iter()
            .map(|(function, now)| undo(function, now, &input))
            .collect();
        self.record.note_undos(&input.recovery, &undos).await?;
        let wanted: Vec<Wanted> = elsewhere
            .iter()
            .map(|(function, now)| Wanted {
                function: (*function).clone(),
                seen: now.clone(),
                value: input.cluster_arn.clone(),
                version: None,
            })
            .collect();
        let pointed = functions.point(&wanted).await;
        let mut failed = Vec::new();
        for (wanted, pointed) in wanted.iter().zip(pointed) {
            match pointed {
                Ok(()) => {}
                Err(error) if error.kind.is_retryable() || error.kind == ErrorKind::Preempted => return Err(error),
                Err(error) => {
                    let resource = Resource::function(&wanted.function.name, &input.here.region);
                    failed.push(Missing::new(resource, &error).because(&error));
                }
            }
        }
        Ok(output(of - failed.len(), of, failed))
    }
}

fn output(pointed: usize, of: usize, failed: Vec<Missing>) -> Output {
    let (failed, more_failed) = Missing::shortened(failed);
    Output {
        pointed,
        of,
        failed,
        more_failed,
    }
}

fn undo(function: &Function, now: &Seen, input: &Input) -> Undo {
    let (region, name) = (&input.here.region, &function.name);
    let previous: Value = json!({
        "function": function, "value": now.value(), "version": now.version(), "pointed_to": input.cluster_arn,
    });
    let was = now.value().unwrap_or("nothing");
    Undo {
        step: RepointFunction::NAME.to_owned(),
        resource: Resource::function(name, region),
        previous,
        taken_back_by: Some(format!(
            "{TAKEN_BACK_BY}, or by hand: set {CLUSTER_VARIABLE} to {was} again"
        )),
        by_hand: Some(format!(
            "aws lambda get-function-configuration --region {region} --function-name {name}: write its whole map of variables again, with \
             {CLUSTER_VARIABLE} set to {was}"
        )),
        taken_back_at: None,
    }
}
