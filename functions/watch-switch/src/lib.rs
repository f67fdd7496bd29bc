//! Looks whether the switch object sends customers to the Region that serves, every five minutes, from that Region.
//!
//! After a move the public name depends on one public object. Whoever deletes it, or blocks public access, sends customers
//! back to the side that was left. The object is read as Route 53's checkers read it: by anybody, over the internet. What is
//! wrong at two looks in a row pages people. It changes nothing: what stands in the way is a person's decision.

use std::time::Duration;

use aws_sdk_rds::Client;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::aws::{Aws, WebAnswer};
use shared::error::StepError;
use shared::global_database::{GlobalDatabase, Promotion};
use shared::plan::{Plan, Site, SwitchObject};
use shared::record::{Mismatch, Record};
use shared::step::{Caller, Change, Step};
use shared::summary::{Summarise, Summary};
use shared::topic::Topics;

/// How long the object may take to answer. Route 53's checkers give it 4 s to connect and 2 s to answer (Developer Guide, "How
/// Route 53 determines whether a health check is healthy").
const ANSWERS_WITHIN: Duration = Duration::from_secs(6);
/// How often people are told, and how long something has to be wrong before. A look may come some seconds early.
const EVERY: SignedDuration = SignedDuration::from_secs(270);

/// Nothing: the schedule passes an empty object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "found")]
pub enum Output {
    /// The plan moves the name by its record.
    NoSwitchObject,
    /// Another Region serves, or it is not settled which.
    NotHere,
    /// A recovery is at work here.
    Moving,
    /// Customers are sent here.
    Agrees,
    /// Customers are sent, or soon will be, to the Region that does not serve.
    Disagrees {
        /// What is wrong.
        why: String,
        /// Whether people were paged now.
        paged: bool,
    },
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self {
            Self::NoSwitchObject => Summary::done("the name is not moved by an object"),
            Self::NotHere => Summary::done("this Region does not serve"),
            Self::Moving => Summary::waiting("a recovery is running here"),
            Self::Agrees => Summary::done("customers are sent to this Region"),
            Self::Disagrees { why, paged: true } => Summary::failed(format!("{why}; people were paged")),
            Self::Disagrees { why, paged: false } => Summary::failed(format!("{why}; people are paged if it lasts")),
        }
    }
}

/// The step: checks whether the switch object sends customers to the Region that serves.
#[derive(Debug)]
pub struct WatchSwitch {
    aws: Aws,
    rds: Client,
    record: Record,
    topics: Topics,
}

impl Step for WatchSwitch {
    const NAME: &'static str = "watch-switch";
    const DESCRIPTION: &'static str = "Checks whether the switch object sends customers to the Region that serves";
    const CALLED_BY: &'static [Caller] = &[Caller::Schedule];
    const CHANGES: &'static [Change] = &[Change::Call("sns:Publish"), Change::Item("switch-watch")];
    // Nobody waits for it.
    const TIME_LIMIT: Duration = Duration::from_secs(52);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        let patient = aws.at_leisure();
        Self {
            aws: aws.clone(),
            rds: Client::new(aws.config()),
            record: Record::new(&patient),
            topics: Topics::new(&patient),
        }
    }

    async fn run(&self, _: Input) -> Result<Output, StepError> {
        let (_, plan) = self.record.current_plan().await?;
        let Some(switch) = &plan.dns.switch_object else {
            return Ok(Output::NoSwitchObject);
        };
        let region = self.aws.region();
        let (here, _) = plan.sites_from(region)?;
        let database = GlobalDatabase::describe(&self.rds, &plan.database.global_cluster, region).await?;
        if database.promotion(&plan.cluster_arn(here)) != Promotion::Done {
            return Ok(Output::NotHere);
        }
        // It moves the name after the database, and looks from outside itself.
        if self.record.lock(&plan.workload).await?.is_some() {
            return Ok(Output::Moving);
        }
        let standby = &plan.regions.standby;
        let answer = self.aws.get(&address(switch, standby), ANSWERS_WITHIN).await;
        let before = self.record.mismatch(&plan.workload).await?;
        let Some(why) = wrong(&answer, switch, here.region == standby.region) else {
            if before.is_some() {
                self.record.forget_mismatch(&plan.workload).await?;
            }
            return Ok(Output::Agrees);
        };
        let now = self.aws.now();
        let (mismatch, paged) = judge(before.as_ref(), now);
        if paged {
            self.page(&plan, here, &why, switch).await?;
        }
        // People are rather paged twice than never: it is kept after they were.
        if before.as_ref() != Some(&mismatch) {
            self.record.note_mismatch(&plan.workload, &mismatch).await?;
        }
        Ok(Output::Disagrees { why, paged })
    }
}

impl WatchSwitch {
    async fn page(&self, plan: &Plan, here: &Site, why: &str, switch: &SwitchObject) -> Result<(), StepError> {
        let standby = &plan.regions.standby;
        let subject = format!("customers are not sent to {}, which serves", here.region);
        let text = text(plan, here, why, switch, here.region == standby.region);
        let topic = plan.topic_arn(here);
        let published = self
            .topics
            .publish(&topic, self.aws.mode(), &plan.workload, &subject, &text);
        published.await.map(drop)
    }
}

/// The address under which everybody reads the object.
fn address(switch: &SwitchObject, standby: &Site) -> String {
    let suffix = match standby.partition() {
        "aws-cn" => ".cn",
        _ => "",
    };
    format!(
        "https://{}.s3.{}.amazonaws.com{suffix}/{}",
        switch.bucket.0, standby.region, switch.key
    )
}

/// What is wrong, if anything: the object has to answer exactly where the standby Region serves. Whatever is no success
/// counts as absent, as it does for the health check.
fn wrong(answer: &Result<WebAnswer, String>, switch: &SwitchObject, must_be_there: bool) -> Option<String> {
    let object = format!("s3://{}/{}", switch.bucket.0, switch.key);
    match answer {
        Ok(answer) if (200..400).contains(&answer.status) => {
            (!must_be_there).then(|| format!("the switch object {object} is there"))
        }
        Ok(answer) => must_be_there.then(|| format!("the switch object {object} answers HTTP {}", answer.status)),
        Err(why) => must_be_there.then(|| format!("the switch object {object} does not answer: {why}")),
    }
}

/// What is kept of a mismatch seen at `now`, and whether people are told.
fn judge(before: Option<&Mismatch>, now: Timestamp) -> (Mismatch, bool) {
    let Some(before) = before else {
        let first = Mismatch {
            since: now,
            told_at: None,
        };
        return (first, false);
    };
    let last = before.told_at.unwrap_or(before.since);
    let is_due = now.duration_since(last) >= EVERY;
    let told_at = if is_due { Some(now) } else { before.told_at };
    let since = before.since;
    (Mismatch { since, told_at }, is_due)
}

fn text(plan: &Plan, here: &Site, why: &str, switch: &SwitchObject, must_be_there: bool) -> String {
    let (bucket, key) = (&switch.bucket.0, &switch.key);
    let (primary, standby) = (&plan.regions.primary.region, &plan.regions.standby.region);
    let account = &plan.account;
    let what_to_do = if must_be_there {
        format!(
            "First check what hides it: the bucket's policy, and Block Public Access of the account:\n\
             \n    aws s3api get-bucket-policy --region {standby} --bucket {bucket}\
             \n    aws s3control get-public-access-block --region {standby} --account-id {account}\n\
             \nThe stack in {standby} makes the policy again if it is missing. If the object is gone, put it back:\n\
             \n    aws s3api put-object --region {standby} --bucket {bucket} --key {key}\n"
        )
    } else {
        format!(
            "Check who put it there. Only the automation may delete it. So first delete its public policy, which sends \
             customers to {primary}. Then delete the object, and deploy the stack in {standby}, which makes the policy \
             again:\n\
             \n    aws s3api delete-bucket-policy --region {standby} --bucket {bucket}\
             \n    aws s3api delete-object --region {standby} --bucket {bucket} --key {key}\n"
        )
    };
    let other = if must_be_there { primary } else { standby };
    format!(
        "{} has the writer and serves, but {why}. Route 53 sends customers to {other}, or soon will.\n\
         \n{what_to_do}\
         \nThis page comes every 5 min until customers are sent to {}.\n",
        here.region, here.region
    )
}

#[cfg(test)]
mod tests {
    use shared::plan::BucketName;

    use super::*;

    fn switch() -> SwitchObject {
        SwitchObject {
            bucket: BucketName("b".to_owned()),
            key: "k".to_owned(),
            health_check: None,
        }
    }

    #[test]
    fn the_object_is_there_exactly_where_the_standby_region_serves() {
        let answers = |status| {
            Ok(WebAnswer {
                status,
                body: Vec::new(),
            })
        };
        let is_wrong = |answer: Result<WebAnswer, String>, must| wrong(&answer, &switch(), must).is_some();
        for (status, there) in [(200, true), (304, true), (403, false), (404, false), (503, false)] {
            assert_eq!(is_wrong(answers(status), true), !there, "{status}");
            assert_eq!(is_wrong(answers(status), false), there, "{status}");
        }
        assert!(is_wrong(Err("no answer".to_owned()), true));
        assert!(!is_wrong(Err("no answer".to_owned()), false));
    }

    #[test]
    fn what_lasts_is_told_and_told_again() {
        let at = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
        let (first, told) = judge(None, at(0));
        assert!(!told);
        let (second, told) = judge(Some(&first), at(5));
        assert!(told);
        let (again, told) = judge(Some(&second), at(5));
        assert!(!told && again == second);
        assert!(judge(Some(&second), at(10)).1);
    }
}
