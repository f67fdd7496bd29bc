//! What a plan says to the template `infra/template.yaml`: its parameters, for each Region.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::fence::STAYS_UNRESERVED;
use shared::plan::{Plan, Site, SiteName};
use shared::scenario::Scenario;
use shared::slices::OutsideSlice;

/// The parameter that [`reservable`] is the value of; 0 where the account was not asked.
pub(crate) const RESERVED_CONCURRENCY: &str = "ReservedConcurrency";
/// How many policies the template has for the platform's functions, in each of the two Regions.
pub const POLICIES: usize = 7;
/// The longest a managed policy may be, without white space, in characters (IAM User Guide, "IAM and AWS STS quotas").
pub const POLICY_LIMIT: usize = 6_144;
/// What a policy of the template holds beside the functions' ARNs, in characters, and some room.
const POLICY_REST: usize = 700;
/// The longest value of a parameter, in characters (CloudFormation User Guide, "CloudFormation quotas").
const PARAMETER_LIMIT: usize = 4_096;

/// The one Region that has metrics of health checks (Route 53 Developer Guide, "Monitoring health checks using CloudWatch").
const HEALTH_CHECK_METRICS: &str = "us-east-1";

/// How many concurrent executions each function of the automation has for itself: more than one recovery needs, and what people and
/// alarms call at once.
pub const RESERVED: i32 = 5;

/// How many concurrent executions each of so many functions can have for itself, where `unreserved` are not reserved yet: all or none.
pub fn reservable(unreserved: i32, functions: usize) -> i32 {
    let all = i32::try_from(functions).unwrap_or(i32::MAX).saturating_mul(RESERVED);
    match unreserved.saturating_sub(all) >= STAYS_UNRESERVED {
        true => RESERVED,
        false => 0,
    }
}

/// Names and values of the template's parameters in one Region.
pub type Parameters = BTreeMap<String, String>;

/// The parameters for each Region of a plan, by its name, in the form that `sam deploy --parameter-overrides file://…`
/// reads. Errors: a text that says what the plan lacks, or what does not fit.
pub fn parameters(plan: &Plan) -> Result<[(String, Parameters); 2], String> {
    let (primary, recovery) = (&plan.regions.primary, &plan.regions.standby);
    Ok([
        (
            primary.region.clone(),
            in_region(plan, SiteName::Primary, primary, recovery)?,
        ),
        (
            recovery.region.clone(),
            in_region(plan, SiteName::Standby, recovery, primary)?,
        ),
    ])
}

/// The observer's Region and the parameters for it, where nothing recovers: what only that needs is empty. People hear of a probe
/// that is silent on a topic with the name of the standby Region's.
pub fn observer_parameters(plan: &Plan) -> Result<Option<(String, Parameters)>, String> {
    let Some(observer) = &plan.observer else {
        return Ok(None);
    };
    let [_, (_, standby)] = parameters(plan)?;
    let looks = |name: &str| OBSERVER_TAKES.contains(&name) || name.starts_with("Health") || name.starts_with("Probe");
    let parameters = standby.into_iter().map(|(name, value)| {
        let value = match name.as_str() {
            "IsStandby" => "false".to_owned(),
            "IsObserver" => "true".to_owned(),
            // CloudFormation takes no empty number.
            "LagMaximumMilliseconds" | RESERVED_CONCURRENCY => "0".to_owned(),
            name if looks(name) => value,
            _ => String::new(),
        };
        (name, value)
    });
    Ok(Some((observer.region.clone(), parameters.collect())))
}

/// What the observer's Region takes as the standby Region does, beside health and probe.
const OBSERVER_TAKES: [&str; 5] = ["Prefix", "Workload", "Table", "TopicName", "Outside"];

/// What the names of functions, machines and rules begin with.
pub(crate) fn prefix(plan: &Plan) -> String {
    format!("{}-", plan.workload)
}

fn in_region(plan: &Plan, name: SiteName, here: &Site, other: &Site) -> Result<Parameters, String> {
    let alarms: Vec<String> = plan.alarms_in(name).into_iter().map(|alarm| alarm.name).collect();
    let switch = plan.dns.switch_object.as_ref();
    let health_check = switch.and_then(|switch| switch.health_check.as_ref());
    let health_check = health_check.filter(|_| here.region == HEALTH_CHECK_METRICS);
    let watch = plan.alarm(Scenario::REGION_FAILURE, SiteName::Standby);
    let policy = plan.scenarios.get(&Scenario::REGION_FAILURE);
    let rpo = policy.and_then(|policy| policy.objectives.rpo);
    // Where no cache is emptied, no function needs the network.
    let network = here.network.as_ref().filter(|_| here.emptied_caches().next().is_some());
    let subnets = network.into_iter().flat_map(|network| &network.subnets);
    let subnets: Vec<&str> = subnets.map(|subnet| subnet.0.as_str()).collect();
    let security_groups = network.into_iter().flat_map(|network| &network.security_groups);
    let security_groups: Vec<&str> = security_groups.map(|group| group.0.as_str()).collect();
    let mut parameters = BTreeMap::from(
        [
            ("Prefix", json!(prefix(plan))),
            ("Workload", json!(plan.workload)),
            ("IsStandby", json!((name == SiteName::Standby).to_string())),
            ("IsObserver", json!("false")),
            ("OtherRegion", json!(other.region)),
            (
                "ObserverRegion",
                json!(plan.observer.as_ref().map_or("", |observer| &observer.region)),
            ),
            ("Table", json!(plan.automation.table)),
            ("TopicName", json!(here.topic)),
            ("OtherTopicName", json!(other.topic)),
            ("ReportsBucket", json!(here.reports.0)),
            ("GlobalCluster", json!(plan.database.global_cluster)),
            ("Cluster", json!(here.cluster)),
            ("OtherCluster", json!(other.cluster)),
            ("DatabaseSecret", json!(here.database_secret)),
            ("CacheSecrets", json!(cache_secrets(here).join(","))),
            ("Subnets", json!(subnets.join(","))),
            ("SecurityGroups", json!(security_groups.join(","))),
            ("RestApi", json!(here.api.rest_api)),
            ("Stage", json!(here.api.stage)),
            ("OtherRestApi", json!(other.api.rest_api)),
            ("OtherStage", json!(other.api.stage)),
            ("HostedZone", json!(plan.dns.hosted_zone)),
            ("SwitchBucket", json!(switch.map_or("", |switch| &switch.bucket.0))),
            ("SwitchKey", json!(switch.map_or("", |switch| &switch.key))),
            ("SwitchHealthCheck", json!(health_check.map_or("", |check| &check.0))),
            ("HealthUrl", json!(plan.health.url)),
            ("HealthConsecutive", json!(plan.health.consecutive)),
            ("HealthTimeoutSeconds", json!(plan.health.timeout.as_secs())),
            ("ProbeNamespace", json!(plan.probe.namespace)),
            ("ProbeMetric", json!(plan.probe.metric)),
            ("Outside", json!(json!(OutsideSlice::of(plan)).to_string())),
            ("WatchAlarm", json!(watch.map_or("", |alarm| &alarm.name))),
            (
                "LagMaximumMilliseconds",
                json!(rpo.map_or(0, |rpo| rpo.target.as_std().as_millis())),
            ),
            ("AlarmNames", json!(alarms.join(","))),
            (RESERVED_CONCURRENCY, json!(0)),
        ]
        .map(|(name, value)| (name.to_owned(), text(value))),
    );
    if let Some(comma) = alarms.iter().find(|alarm| alarm.contains(',')) {
        return Err(format!(
            "the alarm '{comma}' has a comma in its name, where CloudFormation ends the name; rename it"
        ));
    }
    for (which, site) in [("", here), ("Other", other)] {
        for (index, arns) in packed(&function_arns(plan, site))?.into_iter().enumerate() {
            parameters.insert(format!("{which}FunctionPatterns{}", index + 1), patterns(&arns));
            parameters.insert(format!("{which}Functions{}", index + 1), arns);
        }
    }
    Ok(parameters)
}

/// ARNs of the secrets with the caches' passwords, each once.
fn cache_secrets(site: &Site) -> Vec<String> {
    let secrets: BTreeSet<String> = site
        .emptied_caches()
        .filter_map(|emptying| emptying.secret.clone())
        .collect();
    secrets.into_iter().collect()
}

fn function_arns(plan: &Plan, site: &Site) -> Vec<String> {
    let arn = |name: &str| {
        let (partition, region, account) = (site.partition(), &site.region, &plan.account);
        format!("arn:{partition}:lambda:{region}:{account}:function:{name}")
    };
    let each = plan.functions.iter().flat_map(|function| {
        let by_alias = function.alias.iter().map(|alias| format!("{}:{alias}", function.name));
        [function.name.clone()].into_iter().chain(by_alias)
    });
    each.map(|name| arn(&name)).collect()
}

/// Of how many parts the ARN of a function is, without a version or an alias.
const ARN_PARTS: usize = 7;

/// What the ARNs of these functions, and of their versions and aliases, look like: an event source may invoke either. They are short,
/// since a policy is; the account and the Region are those of the event source.
fn patterns(arns: &str) -> String {
    // What ends in an alias is in the pattern of its function.
    let functions = arns.split(',').filter(|arn| arn.split(':').count() == ARN_PARTS);
    let each = functions.map(|arn| {
        let function = arn.rsplit_once(":function:").map_or(arn, |(_, name)| name);
        format!("*:function:{function},*:function:{function}:*")
    });
    each.collect::<Vec<_>>().join(",")
}

/// ARNs as the values of the parameters, each as long as fits into its policy, which names every ARN, and its [`patterns`].
fn packed(arns: &[String]) -> Result<[String; POLICIES], String> {
    let mut packed: [String; POLICIES] = Default::default();
    let mut in_use = 0;
    for arn in arns {
        let fits = |value: &str| {
            let arns = match value {
                "" => arn.clone(),
                value => format!("{value},{arn}"),
            };
            // Each text of a policy is in quotes.
            let in_policy = |texts: &str| texts.len() + 1 + 2 * (texts.matches(',').count() + 1);
            let patterns = patterns(&arns);
            arns.len() <= PARAMETER_LIMIT
                && patterns.len() <= PARAMETER_LIMIT
                && POLICY_REST + in_policy(&arns) + in_policy(&patterns) <= POLICY_LIMIT
        };
        if !fits(&packed[in_use]) {
            in_use += 1;
        }
        let Some(value) = packed.get_mut(in_use) else {
            return Err(format!(
                "the {} functions do not fit into {POLICIES} policies of {POLICY_LIMIT} characters; give them shorter names, or \
                 let one function do what several do",
                arns.len()
            ));
        };
        if !value.is_empty() {
            value.push(',');
        }
        value.push_str(arn);
    }
    Ok(packed)
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arns(count: usize, length: usize) -> Vec<String> {
        let before = "arn:aws:lambda:us-east-1:123456789012:function:";
        let length = length - before.len();
        (0..count).map(|index| format!("{before}{index:0>length$}")).collect()
    }

    #[test]
    fn two_hundred_functions_fit_and_none_is_lost() {
        // A name of RADIANT's length in an ARN.
        let arns = arns(200, 82);
        let packed = packed(&arns).unwrap();
        assert!(packed.iter().all(|value| value.len() <= PARAMETER_LIMIT));
        let values = packed.iter().filter(|value| !value.is_empty());
        let back: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
        assert_eq!(back, arns);
    }

    #[test]
    fn more_than_fits_is_said() {
        let error = packed(&arns(300, 112)).unwrap_err();
        assert!(error.contains("the 300 functions do not fit"), "{error}");
    }

    #[test]
    fn an_event_source_may_invoke_a_function_or_its_alias() {
        assert_eq!(
            patterns(
                "arn:aws:lambda:us-east-1:123456789012:function:a,arn:aws:lambda:us-east-1:123456789012:function:b"
            ),
            "*:function:a,*:function:a:*,*:function:b,*:function:b:*"
        );
        assert_eq!(patterns(""), "");
    }

    #[test]
    fn a_small_account_reserves_nothing() {
        assert_eq!(
            (reservable(1_000, 19), reservable(195, 19), reservable(194, 19)),
            (5, 5, 0)
        );
        // The quota of a new account.
        assert_eq!(reservable(10, 19), 0);
    }

    #[test]
    fn one_function_fills_one_parameter() {
        let packed = packed(&arns(1, 80)).unwrap();
        assert_eq!(packed.iter().filter(|value| value.is_empty()).count(), POLICIES - 1);
    }
}
