//! What later steps need of this Region, read before anything is changed: a step that fails after the fence, or after the
//! promotion, leaves customers without a service.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::fence::{Concurrency, Fence, Noted, STAYS_UNRESERVED, Setting, may_run, opened};
use shared::record::{Record, Resource, Warning, WarningCode};
use shared::scenario::region_failure::Intent;
use shared::slices::DnsMethod;

use crate::input::Input;

/// How long looking may take before a planned move: with 200 functions, a call for each.
const PLANNED: Duration = Duration::from_secs(20);
/// How long, while customers may be without the service.
const URGENT: Duration = Duration::from_secs(8);
/// How long one look at a bucket, a record or the Data API may take.
const ONE_LOOK: Duration = Duration::from_secs(4);
/// How many unfit parts are named; of the others it is said how many they are.
const NAMED: usize = 6;

/// What this Region lacks to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fitness {
    /// Parts that are missing, denied or wrong, each with what to do.
    pub(crate) unfit: Vec<String>,
    /// Parts that could not be looked at.
    pub(crate) unseen: Vec<String>,
    /// What Lambda's quota here does not allow, or that it could not be read. The service runs all the same, so that it forbids
    /// nothing.
    pub(crate) quota: Vec<Warning>,
}

impl Fitness {
    /// What forbids a switchover: a part that is unfit; for a planned one also a part that nobody could look at.
    pub(crate) fn blockers(&self, input: &Input) -> Vec<String> {
        let region = &input.here.region;
        let unfit = self
            .unfit
            .iter()
            .map(|what| format!("{region} is not fit to serve: {what}"));
        let unseen = self.unseen.iter().filter(|_| input.intent == Intent::Switchover);
        let unseen = unseen.map(|what| format!("could not check whether {region} is fit to serve: {what}"));
        shortened(unfit.chain(unseen).collect())
    }

    /// What a person should know before a failover.
    pub(crate) fn warnings(&self, input: &Input) -> Vec<Warning> {
        let region = &input.here.region;
        let unfit = shortened(self.unfit.clone()).into_iter().map(|what| {
            let text = format!("{region} is not fit to serve: {what}");
            Warning::new(WarningCode::NotFit, text).about(region)
        });
        let unseen = shortened(self.unseen.clone()).into_iter().map(|what| {
            let text = format!("could not check whether {region} is fit to serve: {what}");
            Warning::new(WarningCode::FitUnseen, text).about(region)
        });
        unfit.chain(unseen).collect()
    }

    /// Why people are asked before a failover to this Region.
    pub(crate) fn doubt(&self, input: &Input) -> Option<String> {
        (!self.unfit.is_empty()).then(|| format!("{} is not fit to serve", input.here.region))
    }

    fn add(&mut self, what: &str, found: Result<(), StepError>) {
        let Err(error) = found else {
            return;
        };
        // An error names what it is about, most of the time.
        let text = match error.message.contains(what) {
            true => error.to_string(),
            false => format!("{what}: {error}"),
        };
        match error.kind.is_retryable() {
            true => self.unseen.push(text),
            false => self.unfit.push(text),
        }
    }
}

fn shortened(mut texts: Vec<String>) -> Vec<String> {
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    if more > 0 {
        texts.push(format!("and {more} more like that"));
    }
    texts
}

/// Looks at everything.
pub(crate) async fn of_this_region(aws: &Aws, record: &Record, input: &Input) -> Fitness {
    let limit = match input.intent {
        Intent::Switchover => PLANNED,
        Intent::Failover | Intent::Decide => URGENT,
    };
    let fence = Fence::here(aws, limit);
    let (region, api) = (&input.here.region, &input.here.api);
    let (configurations, concurrency, others, notes, name, statements) = tokio::join!(
        fence.configurations(&input.functions),
        fence.concurrency(),
        fence.look(&[], api),
        record.fenced(&input.recovery.workload),
        the_name(aws, input),
        statements(aws, input),
    );
    let mut fitness = Fitness::default();
    for (function, configuration) in input.functions.iter().zip(configurations) {
        let resource = Resource::function(&function.name, region);
        let found = configuration.and_then(|found| may_run(&found, &input.here, &resource.text));
        fitness.add(&resource.text, found);
    }
    let notes = notes.map(|notes| Noted::read(notes.iter().map(|note| (&note.resource, &note.previous))));
    for looked in others {
        let found = looked.setting.and_then(|now| match (&notes, &now) {
            (Ok(notes), Setting::Stage { .. }) => {
                opened(&now, notes.before.get(&looked.resource.text), region).map(drop)
            }
            // Whether it was closed by a fence is not known, and a closed one may be.
            _ => Ok(()),
        });
        fitness.add(&looked.resource.text, found);
    }
    fitness.add("the notes of earlier fences", notes.map(drop));
    let (what, found) = name;
    fitness.add(&what, found);
    fitness.add(&format!("the Data API of {}", input.here.cluster_arn), statements);
    fitness.quota = match concurrency {
        Ok(concurrency) => quota_warnings(input, concurrency),
        Err(error) => vec![quota_unseen(region, &error)],
    };
    fitness
}

/// That the quota could not be read.
fn quota_unseen(region: &str, error: &StepError) -> Warning {
    let text = format!("could not read how many concurrent executions Lambda allows in {region}: {error}");
    Warning::new(WarningCode::FitUnseen, text).about(region)
}

/// What follows from how many concurrent executions Lambda allows here.
fn quota_warnings(input: &Input, concurrency: Concurrency) -> Vec<Warning> {
    let region = &input.here.region;
    let warning = |text: String| Warning::new(WarningCode::QuotaTooSmall, text).about(region);
    let Concurrency { limit, unreserved } = concurrency;
    let small = (limit < STAYS_UNRESERVED + OWN_CONCURRENCY).then(|| {
        warning(format!(
            "Lambda allows {limit} concurrent executions in {region}, too few to reserve any for the recovery's own \
             functions. Many requests to the platform can delay the recovery. Ask AWS for more (Service Quotas, \
             L-B99A9384)"
        ))
    });
    let wanted: i64 = input
        .functions
        .iter()
        .filter_map(|function| function.reserved_concurrency)
        .map(i64::from)
        .sum();
    let refused = (wanted > 0 && i64::from(unreserved) - wanted < i64::from(STAYS_UNRESERVED)).then(|| {
        warning(format!(
            "the plan reserves {wanted} concurrent executions for the platform's functions. {region} has \
             {unreserved} left, of which {STAYS_UNRESERVED} cannot be reserved: some functions will run without a \
             reservation"
        ))
    });
    small.into_iter().chain(refused).collect()
}

/// What the recovery's own functions in a Region reserve together, where the account allows it. A test holds it to what is rendered.
pub const OWN_CONCURRENCY: i32 = 190;

/// What the public name moves by, and whether it is there.
async fn the_name(aws: &Aws, input: &Input) -> (String, Result<(), StepError>) {
    let timeouts = || TimeoutConfig::builder().operation_timeout(ONE_LOOK).build();
    match &input.dns.method {
        DnsMethod::SwitchObject { region, bucket, .. } => {
            let config = aws.config_in(region).into_builder().timeout_config(timeouts()).build();
            let what = format!("s3://{bucket} in {region}");
            let asked = aws_sdk_s3::Client::new(&config)
                .head_bucket()
                .bucket(bucket)
                .send()
                .await;
            let found = asked
                .map(drop)
                .map_err(|error| StepError::aws("s3:HeadBucket", &what, error));
            (what, found)
        }
        DnsMethod::Record { hosted_zone, .. } => {
            let config = aws.config().to_builder().timeout_config(timeouts()).build();
            let what = format!("record {} in hosted zone {hosted_zone}", input.dns.name);
            let asked = aws_sdk_route53::Client::new(&config)
                .list_resource_record_sets()
                .hosted_zone_id(hosted_zone)
                .start_record_name(&input.dns.name)
                .send()
                .await;
            let found = asked.map(drop);
            let found = found.map_err(|error| StepError::aws("route53:ListResourceRecordSets", &what, error));
            (what, found)
        }
    }
}

/// Whether the Data API runs statements for this caller and with this secret. A cluster that is no writer refuses every
/// statement, and says nothing by that.
async fn statements(aws: &Aws, input: &Input) -> Result<(), StepError> {
    let asked = aws_sdk_rdsdata::Client::new(&aws.config_without_retries(ONE_LOOK))
        .execute_statement()
        .resource_arn(&input.here.cluster_arn)
        .secret_arn(&input.here.secret_arn)
        .database(&input.database.name)
        .sql("SELECT 1")
        .send();
    let Ok(Err(error)) = tokio::time::timeout(ONE_LOOK, asked).await else {
        return Ok(());
    };
    let error = StepError::aws("rds-data:ExecuteStatement", &input.here.cluster_arn, error);
    match error.kind {
        ErrorKind::Denied => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::input;

    fn fitness() -> Fitness {
        let mut fitness = Fitness::default();
        fitness.add(
            "function f",
            Err(StepError::new(ErrorKind::NotFound, "function f does not exist")),
        );
        fitness.add("stage s", Err(StepError::new(ErrorKind::Throttled, "too many")));
        fitness.add("bucket b", Ok(()));
        fitness
    }

    #[test]
    fn a_part_that_is_unfit_forbids_a_switchover_and_one_that_was_not_seen_a_planned_one() {
        let planned = fitness().blockers(&input(Intent::Switchover));
        assert_eq!(planned.len(), 2, "{planned:?}");
        assert!(planned[0].contains("is not fit to serve") && planned[0].contains("function f"));
        assert!(planned[1].contains("could not check") && planned[1].contains("stage s"));
        assert_eq!(fitness().blockers(&input(Intent::Decide)), planned[..1]);
    }

    #[test]
    fn a_failover_is_warned_of_both_and_asks_for_one() {
        let input = input(Intent::Failover);
        let codes: Vec<WarningCode> = fitness()
            .warnings(&input)
            .into_iter()
            .map(|warning| warning.code)
            .collect();
        assert_eq!(codes, [WarningCode::NotFit, WarningCode::FitUnseen]);
        assert!(fitness().doubt(&input).is_some());
        let unseen = Fitness {
            unfit: Vec::new(),
            ..fitness()
        };
        assert_eq!(unseen.doubt(&input), None);
    }

    #[test]
    fn what_the_quota_does_not_allow_is_said() {
        let warned = |reserved: Option<u32>, limit, unreserved| {
            let mut input = input(Intent::Decide);
            input.functions = vec![shared::plan::Function {
                name: "f".into(),
                reserved_concurrency: reserved,
                alias: None,
            }];
            let warnings = quota_warnings(&input, Concurrency { limit, unreserved });
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(warned(None, 1000, 1000), "");
        assert_eq!(warned(Some(900), 1000, 1000), "");
        assert!(warned(Some(901), 1000, 1000).contains("some functions will run without a reservation"));
        assert!(warned(None, 10, 10).contains("too few to reserve any"));
        assert_eq!(warned(None, STAYS_UNRESERVED + OWN_CONCURRENCY, 1), "");
    }

    #[test]
    fn a_quota_that_cannot_be_read_is_said_and_forbids_nothing() {
        let denied = StepError::new(ErrorKind::Throttled, "lambda:GetAccountSettings: too many");
        let fitness = Fitness {
            quota: vec![quota_unseen("us-west-2", &denied)],
            ..Fitness::default()
        };
        assert!(fitness.blockers(&input(Intent::Switchover)).is_empty());
        let text = fitness.quota[0].to_string();
        assert!(
            text.contains("us-west-2") && text.contains("GetAccountSettings"),
            "{text}"
        );
    }

    #[test]
    fn many_parts_are_not_all_named() {
        let texts = (0..200).map(|n| format!("part {n}")).collect();
        let short = shortened(texts);
        assert_eq!(
            (short.len(), short[NAMED].as_str()),
            (NAMED + 1, "and 194 more like that")
        );
    }
}
