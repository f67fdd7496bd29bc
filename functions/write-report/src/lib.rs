//! Writes the report of a recovery to S3, as HTML for people and as JSON for programs.
//!
//! It changes nothing that customers see. The objects' keys come from the recovery's id and its execution, and what they hold
//! comes from the record alone, without this step's own line of the timeline: run twice while nothing else happens, it
//! writes the same bytes to the same place. There is nothing to take back.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use serde::{Deserialize, Serialize};
use shared::arn;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::record::Record;
use shared::recovery::RecoveryRef;
use shared::slices::ReportsSlice;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// What to write, and where to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// Where reports are kept.
    pub reports: ReportsSlice,
}

/// Where the report is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The HTML file: `s3://bucket/key`.
    pub html: String,
    /// The JSON file.
    pub json: String,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(format!("stored as {}", self.html))
    }
}

/// The step: writes the report of a recovery.
#[derive(Debug)]
pub struct WriteReport {
    aws: Aws,
    record: Record,
}

impl Step for WriteReport {
    const NAME: &'static str = "write-report";
    const DESCRIPTION: &'static str = "Writes the report of a recovery";
    const CHANGES: &'static [Change] = &[Change::Call("s3:PutObject")];
    const TIME_LIMIT: Duration = Duration::from_secs(40);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let id = &input.recovery.id;
        let missing = || {
            let text =
                format!("recovery {id} has no header in the record; check whether the table was changed by hand");
            StepError::new(ErrorKind::NotFound, text)
        };
        let mut account = report::read(&self.record, id).await?.ok_or_else(missing)?;
        account.timeline.retain(|step| step.name != Self::NAME);
        let json = report::json(&account).map_err(|error| {
            let text = format!("the report of {id} could not be written as JSON: {error}; this is a defect");
            StepError::new(ErrorKind::Internal, text)
        })?;
        let s3 = Client::new(&self.aws.config_in(&input.reports.region));
        let [html_key, json_key] = keys(&input);
        let html = report::html(&account);
        Ok(Output {
            html: put(&s3, &input.reports, &html_key, "text/html; charset=utf-8", html).await?,
            json: put(&s3, &input.reports, &json_key, "application/json", json).await?,
        })
    }
}

/// Writes an object; gives where it is. Its version is in the log: a second write has another one, and the same answer.
async fn put(
    s3: &Client,
    reports: &ReportsSlice,
    key: &str,
    content_type: &str,
    body: String,
) -> Result<String, StepError> {
    let place = format!("s3://{}/{key}", reports.bucket);
    let written = s3
        .put_object()
        .bucket(&reports.bucket)
        .key(key)
        .content_type(content_type)
        .body(ByteStream::from(body.into_bytes()))
        .send()
        .await;
    match written {
        Ok(put) => {
            tracing::info!(object = place, version = put.version_id(), "stored");
            Ok(place)
        }
        Err(error) => Err(StepError::aws(
            "s3:PutObject",
            &format!("{place} in {}", reports.region),
            error,
        )),
    }
}

/// The keys of the HTML and the JSON file. Each execution has its own, so that a report of how it ended is never lost to
/// that of a later one.
fn keys(input: &Input) -> [String; 2] {
    let execution = arn::name(&input.recovery.execution);
    let key = |ending| format!("{}{}/{execution}.{ending}", input.reports.prefix, input.recovery.id);
    [key("html"), key("json")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(prefix: &str, execution: &str) -> Input {
        Input {
            recovery: RecoveryRef {
                id: "20260106T030305Z-region-failure-cf1e00".into(),
                workload: "shop".into(),
                token: 1,
                execution: format!("arn:aws:states:us-west-2:123456789012:execution:region-switch:{execution}"),
            },
            reports: ReportsSlice {
                region: "us-west-2".into(),
                bucket: "shop-reports".into(),
                prefix: prefix.into(),
            },
        }
    }

    #[test]
    fn each_execution_has_a_report_of_its_own() {
        assert_eq!(
            keys(&input("reports/", "first")),
            [
                "reports/20260106T030305Z-region-failure-cf1e00/first.html",
                "reports/20260106T030305Z-region-failure-cf1e00/first.json"
            ]
        );
        assert_eq!(keys(&input("", "first")), keys(&input("", "first")));
        assert_ne!(keys(&input("", "first")), keys(&input("", "second")));
    }

    #[test]
    fn an_input_with_a_field_too_many_or_too_few_is_refused() {
        let sound = serde_json::json!({
            "recovery": { "id": "r", "workload": "w", "token": 1, "execution": "e" },
            "reports": { "region": "us-west-2", "bucket": "b", "prefix": "" },
        });
        let parsed = |value: &serde_json::Value| serde_json::from_value::<Input>(value.clone());
        assert!(parsed(&sound).is_ok());
        for (pointer, field) in [("", "more"), ("/reports", "more")] {
            let mut more = sound.clone();
            more.pointer_mut(pointer).unwrap()[field] = 1.into();
            assert!(parsed(&more).is_err(), "{pointer}/{field}");
        }
        let mut less = sound;
        less["reports"].as_object_mut().unwrap().remove("bucket");
        assert!(parsed(&less).is_err());
    }
}
