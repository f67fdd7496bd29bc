//! What a plan's types cannot say.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::Ipv4Addr;

use super::{
    AfterRestore, Duration, Emptying, Objective, Outside, Plan, ScenarioPolicy, Site, SiteName, Start, partition_of,
};
use crate::arn::Arn;
use crate::scenario::Scenario;
use crate::scenario::module::SetBy;

/// Something wrong with a plan, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON Pointer to the place in the plan, such as `/regions/standby/region`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Lists everything that is wrong with a plan beyond its types, section by section in the order of [`Plan`]'s fields.
/// Empty means sound.
pub fn check(plan: &Plan) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    regions(plan, &mut problems);
    for (name, site) in [("primary", &plan.regions.primary), ("standby", &plan.regions.standby)] {
        self::site(plan, name, site, &mut problems);
    }
    buckets(plan, &mut problems);
    heartbeat(plan, &mut problems);
    database_checks(plan, &mut problems);
    after_restore(plan, &mut problems);
    let functions = plan.functions.iter().map(|function| function.name.as_str());
    problems.twice(
        functions
            .enumerate()
            .map(|(i, name)| (format!("/functions/{i}/name"), name)),
        "the function",
    );
    dns(plan, &mut problems);
    health(plan, &mut problems);
    probe(plan, &mut problems);
    observer(plan, &mut problems);
    for (scenario, policy) in &plan.scenarios {
        self::scenario(plan, *scenario, policy, &mut problems);
    }
    alarms(plan, &mut problems);
    if plan.automation.stale_after.is_zero() {
        problems.add(
            "/automation/stale_after",
            "is zero, so every alarm would be too old; give it minutes, as in 10m",
        );
    }
    if plan.automation.page_fenced_after.as_secs() < LONGEST_STEP_SECONDS {
        problems.add(
            "/automation/page_fenced_after",
            "is shorter than one step may take, so a running recovery would page people; give it 3m or more",
        );
    }
    severities(plan, &mut problems);
    contacts(plan, &mut problems);
    problems.0
}

/// What a sound plan leaves out, and what follows from that.
pub fn warnings(plan: &Plan) -> Vec<Problem> {
    let mut warnings = Problems(Vec::new());
    for scenario in plan.scenarios.keys().filter(|scenario| scenario.machine().is_none()) {
        warnings.add(
            format!("/scenarios/{scenario}"),
            "declared, not available yet; its alarms start nothing",
        );
    }
    let policy = plan.scenarios.get(&Scenario::REGION_FAILURE);
    if let Some(policy) = policy.filter(|policy| policy.approvals == 0) {
        let people = policy.approvals_without_evidence;
        if plan.observer.is_none() {
            let message = format!(
                "missing; only the standby Region looks, so each loss of a Region asks people ({people}); name a third Region"
            );
            warnings.add("/observer", message);
        }
        if plan.probe.outside.is_none() {
            let message = format!(
                "missing; nothing proves that a probe reaches the outside, so each loss of a Region asks people ({people}); \
                 name two Regions and three names"
            );
            warnings.add("/probe/outside", message);
        }
    }
    warnings.0
}

/// A recovery that is at work may say nothing for so long: one try of its longest Task, in seconds.
const LONGEST_STEP_SECONDS: u64 = 150;

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }

    /// Reports every name that was there before, at its later place.
    fn twice<'a, K: Ord + Copy + Display>(&mut self, names: impl Iterator<Item = (String, K)> + 'a, what: &str) {
        let mut first = BTreeMap::new();
        for (path, name) in names {
            if let Some(earlier) = first.get(&name) {
                self.add(
                    path,
                    format!("{what} '{name}' is already at {earlier}; name each one once"),
                );
            } else {
                first.insert(name, path);
            }
        }
    }
}

fn regions(plan: &Plan, problems: &mut Problems) {
    let (primary, recovery) = (&plan.regions.primary, &plan.regions.standby);
    if primary.region == recovery.region {
        let message = format!(
            "'{}' is the primary Region too; a lost Region cannot be recovered in itself",
            recovery.region
        );
        problems.add("/regions/standby/region", message);
    }
    if primary.partition() != recovery.partition() {
        let message = format!(
            "'{}' is in another AWS partition than '{}', and databases do not replicate between partitions; choose a \
             Region of the same one",
            recovery.region, primary.region
        );
        problems.add("/regions/standby/region", message);
    }
    if primary.api.domain == recovery.api.domain {
        let message = format!(
            "'{}' is the primary's domain too; give the standby Region's own, or moving the public name changes nothing",
            recovery.api.domain
        );
        problems.add("/regions/standby/api/domain", message);
    }
}

fn site(plan: &Plan, name: &str, site: &Site, problems: &mut Problems) {
    let at = |field: &str| format!("/regions/{name}/{field}");
    let secrets = site
        .secrets
        .iter()
        .enumerate()
        .map(|(i, arn)| (at(&format!("secrets/{i}")), arn.as_str()));
    let secrets: Vec<_> = [(at("database_secret"), site.database_secret.as_str())]
        .into_iter()
        .chain(secrets)
        .collect();
    for (path, arn) in &secrets {
        secret(plan, site, path, arn, problems);
    }
    problems.twice(secrets.into_iter(), "the secret");

    let domain = &site.api.domain;
    if *domain == plan.dns.name {
        let message = format!(
            "'{domain}' is the public name itself; give the Regional name, as in d-abc.execute-api.{}.amazonaws.com",
            site.region
        );
        problems.add(at("api/domain"), message);
    }
    if let Some((_, host)) = domain.split_once(".execute-api.")
        && host.split('.').next() != Some(&site.region)
    {
        problems.add(
            at("api/domain"),
            format!("'{domain}' is not in {}; give this Region's domain", site.region),
        );
    }
    for (i, pool) in site.user_pools.iter().enumerate() {
        if pool.0.split('_').next() != Some(&site.region) {
            let message = format!(
                "the user pool '{}' is not in {}; a pool's id begins with its Region",
                pool.0, site.region
            );
            problems.add(at(&format!("user_pools/{i}")), message);
        }
    }
    let pools = site.user_pools.iter().enumerate();
    problems.twice(
        pools.map(|(i, pool)| (at(&format!("user_pools/{i}")), pool.0.as_str())),
        "the user pool",
    );
    let caches = site.caches.iter().enumerate();
    problems.twice(
        caches.map(|(i, cache)| (at(&format!("caches/{i}/id")), cache.id.as_str())),
        "the cache",
    );
    for (i, cache) in site.caches.iter().enumerate() {
        let Some(emptying) = &cache.empty else { continue };
        let at = |field: &str| at(&format!("caches/{i}/empty/{field}"));
        emptied(plan, site, &at, emptying, problems);
    }
    if site.emptied_caches().next().is_some() && site.network.is_none() {
        let message = "a cache of this Region is emptied by a recovery, and is reached from inside its network only; give the subnets and \
                       security groups from which it is";
        problems.add(at("network"), message);
    }
}

/// How a cache is emptied.
fn emptied(plan: &Plan, site: &Site, at: &dyn Fn(&str) -> String, emptying: &Emptying, problems: &mut Problems) {
    if let Some(arn) = &emptying.secret {
        secret(plan, site, &at("secret"), arn, problems);
        if !emptying.tls {
            let message = "is false, and the password would go over the network in clear; leave it out, and let the cache take TLS";
            problems.add(at("tls"), message);
        }
    }
    if emptying.host_and_port().is_none() {
        problems.add(at("endpoint"), "has no port from 1 to 65535; Redis has 6379");
    }
}

fn secret(plan: &Plan, site: &Site, path: &str, arn: &str, problems: &mut Problems) {
    let Some(Arn {
        partition,
        region,
        account,
        ..
    }) = Arn::read(arn)
    else {
        return;
    };
    if region != site.region || partition != site.partition() {
        let message = format!(
            "the secret is in {region} ({partition}), not in {} ({}); give this Region's copy, since the other one \
             cannot be read when its Region is lost",
            site.region,
            site.partition()
        );
        problems.add(path, message);
    }
    if account != plan.account {
        let message = format!(
            "the secret is in account {account}, not in the plan's {}; give that account's own",
            plan.account
        );
        problems.add(path, message);
    }
}

/// Names that S3 keeps for itself: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>.
const RESERVED_BUCKET_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_BUCKET_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

fn buckets(plan: &Plan, problems: &mut Problems) {
    let of = |name: &'static str, site: &'_ Site| -> Vec<(String, String)> {
        let buckets = site.buckets.iter().enumerate();
        buckets
            .map(|(i, bucket)| (format!("/regions/{name}/buckets/{i}"), bucket.0.clone()))
            .chain([(format!("/regions/{name}/reports"), site.reports.0.clone())])
            .collect()
    };
    let mut named = of("primary", &plan.regions.primary);
    named.extend(of("standby", &plan.regions.standby));
    // A bucket's name is unique in the world, so one name is one bucket, in one Region.
    problems.twice(
        named.iter().map(|(path, bucket)| (path.clone(), bucket.as_str())),
        "the bucket",
    );

    if let Some(switch) = &plan.dns.switch_object {
        named.push(("/dns/switch_object/bucket".into(), switch.bucket.0.clone()));
    }
    for (path, bucket) in &named {
        let why = if bucket.contains("..") {
            "has two dots in a row"
        } else if bucket.parse::<Ipv4Addr>().is_ok() {
            "looks like an IP address"
        } else if RESERVED_BUCKET_PREFIXES.iter().any(|prefix| bucket.starts_with(prefix)) {
            "begins in a way that S3 keeps for itself"
        } else if RESERVED_BUCKET_SUFFIXES.iter().any(|suffix| bucket.ends_with(suffix)) {
            "ends in a way that S3 keeps for itself"
        } else {
            continue;
        };
        problems.add(
            path,
            format!("'{bucket}' {why}; S3 has no bucket of that name, so give the right one"),
        );
    }
}

fn heartbeat(plan: &Plan, problems: &mut Problems) {
    let every = plan.database.heartbeat.every;
    let tightest = plan
        .scenarios
        .values()
        .filter_map(|policy| policy.objectives.rpo)
        .map(|rpo| rpo.target)
        .min();
    if every.is_zero() {
        problems.add(
            "/database/heartbeat/every",
            "is zero; give the seconds between two heartbeats, as in 5s",
        );
    } else if let Some(target) = tightest.filter(|target| every > *target) {
        let message = format!(
            "a heartbeat every {every} cannot show whether an RPO target of {target} was met; write it more often"
        );
        problems.add("/database/heartbeat/every", message);
    }
}

/// What a check's statement may begin with: it reads, and nothing else.
const READS: [&str; 2] = ["SELECT", "WITH"];
/// Words of statements that write, which `WITH` can hide.
const WRITES: [&str; 7] = ["INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "INTO", "CALL"];

/// The Data API takes one statement at a time.
fn one_statement(path: &str, sql: &str, problems: &mut Problems) -> bool {
    let is_one = !sql.contains(';');
    if !is_one {
        problems.add(path, "has a semicolon; give one statement, without one");
    }
    is_one
}

fn only_reads(path: &str, sql: &str, problems: &mut Problems) {
    let mut words = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let verb = words.clone().find(|word| !word.is_empty()).unwrap_or_default();
    if !one_statement(path, sql, problems) {
        return;
    }
    if !READS.iter().any(|reads| verb.eq_ignore_ascii_case(reads)) {
        problems.add(
            path,
            format!("begins with {verb}; give one SELECT, which changes nothing"),
        );
    } else if let Some(word) = words.find(|word| WRITES.iter().any(|writes| word.eq_ignore_ascii_case(writes))) {
        let text = format!("has the word {word}, with which a statement can write; give one SELECT without it");
        problems.add(path, text);
    }
}

fn after_restore(plan: &Plan, problems: &mut Problems) {
    let AfterRestore {
        jobs,
        ledger,
        consumers,
        ..
    } = &plan.database.after_restore;
    let path = |list: &str, i: usize, member: &str| format!("/database/after_restore/{list}/{i}{member}");
    for (i, job) in jobs.iter().enumerate() {
        one_statement(&path("jobs", i, "/stop"), &job.stop, problems);
        one_statement(&path("jobs", i, "/start"), &job.start, problems);
    }
    for (i, kind) in ledger.iter().enumerate() {
        one_statement(&path("ledger", i, "/statement"), &kind.statement, problems);
        only_reads(&path("ledger", i, "/remains"), &kind.remains, problems);
    }
    let names = jobs.iter().map(|job| job.name.as_str()).enumerate();
    problems.twice(names.map(|(i, name)| (path("jobs", i, "/name"), name)), "the job");
    let kinds = ledger.iter().map(|kind| kind.kind.as_str()).enumerate();
    problems.twice(kinds.map(|(i, kind)| (path("ledger", i, "/kind"), kind)), "the kind");
    let consumers = consumers.iter().map(|consumer| consumer.0.as_str()).enumerate();
    problems.twice(
        consumers.map(|(i, consumer)| (path("consumers", i, ""), consumer)),
        "the consumer",
    );
}

fn database_checks(plan: &Plan, problems: &mut Problems) {
    let checks = &plan.database.checks;
    for (i, check) in checks.iter().enumerate() {
        only_reads(&format!("/database/checks/{i}/sql"), &check.sql, problems);
    }
    let names = checks.iter().map(|check| check.name.as_str()).enumerate();
    problems.twice(
        names.map(|(i, name)| (format!("/database/checks/{i}/name"), name)),
        "the check",
    );
    let restores = plan
        .scenarios
        .keys()
        .any(|scenario| *scenario == Scenario::DATABASE_CORRUPTION);
    if restores && (plan.workload.contains("--") || plan.workload.ends_with('-')) {
        problems.add(
            "/workload",
            "has two hyphens in a row, or one at its end; a restored cluster is called by it, and RDS takes no such name",
        );
    }
}

/// Above this, customers stay with the lost Region for longer than a failover takes (Route 53 advises at most 60 s for
/// failover records).
const LONGEST_TTL: Duration = Duration::from_secs(60);

fn dns(plan: &Plan, problems: &mut Problems) {
    let ttl = plan.dns.ttl;
    if ttl > LONGEST_TTL {
        problems.add(
            "/dns/ttl",
            format!("{ttl} is above {LONGEST_TTL}; resolvers would hold on to the lost Region for that long"),
        );
    }
    let switch = plan.dns.switch_object.as_ref().map(|switch| &switch.bucket);
    if let Some(bucket) = switch.filter(|bucket| plan.regions.primary.buckets.contains(bucket)) {
        let message = format!(
            "'{}' is a bucket of the primary Region; name one in {}, which can be written while the primary is lost",
            bucket.0, plan.regions.standby.region
        );
        problems.add("/dns/switch_object/bucket", message);
    }
    let sites = [&plan.regions.primary, &plan.regions.standby];
    if let Some(bucket) = switch.filter(|bucket| sites.iter().any(|site| site.reports == **bucket)) {
        let message = format!(
            "'{}' keeps reports, which must stay private; the switch object is public and needs a bucket of its own",
            bucket.0
        );
        problems.add("/dns/switch_object/bucket", message);
    }
}

fn health(plan: &Plan, problems: &mut Problems) {
    let host = plan
        .health
        .url
        .trim_start_matches("https://")
        .split('/')
        .next()
        .unwrap_or_default();
    if host != plan.dns.name {
        let message = format!(
            "asks '{host}', but customers use '{}' (dns.name); only an answer through the public name shows that they \
             are served",
            plan.dns.name
        );
        problems.add("/health/url", message);
    }
    let timeout = plan.health.timeout;
    if timeout.is_zero() {
        problems.add(
            "/health/timeout",
            "is zero, so every answer would be too late; give it seconds, as in 5s",
        );
    }
    let needed = Duration::from_secs(timeout.as_secs().saturating_mul(u64::from(plan.health.consecutive)));
    let shortest = plan
        .scenarios
        .iter()
        .filter_map(|(scenario, policy)| Some((*policy.deadlines.get("health")?, scenario)))
        .min();
    if let Some((deadline, scenario)) = shortest.filter(|(deadline, _)| needed > *deadline) {
        let message = format!(
            "{} answers of {timeout} each can take {needed}, longer than the deadline of {deadline} for {scenario}; \
             shorten it",
            plan.health.consecutive
        );
        problems.add("/health/timeout", message);
    }
}

fn probe(plan: &Plan, problems: &mut Problems) {
    if plan.probe.namespace.starts_with("AWS/") {
        problems.add(
            "/probe/namespace",
            "namespaces that begin with AWS/ belong to AWS; choose another beginning",
        );
    }
    if let Some(outside) = &plan.probe.outside {
        self::outside(plan, outside, problems);
    }
}

/// What these names end with is the platform's, or answers from wherever it is near: it proves no way out.
const NOT_OUTSIDE: [&str; 4] = ["amazonaws.com", "amazonaws.com.cn", "aws.amazon.com", "cloudfront.net"];

fn outside(plan: &Plan, outside: &Outside, problems: &mut Problems) {
    let observer = plan.observer.as_ref().map(|observer| observer.region.as_str());
    let regions = outside.regions.iter().enumerate();
    let regions = regions.map(|(i, region)| (format!("/probe/outside/regions/{i}"), region.as_str()));
    let regions: Vec<_> = regions.collect();
    for (path, region) in &regions {
        if plan.site(region).is_some() || observer == Some(*region) {
            let message = format!(
                "'{region}' is one of the plan's own Regions, and cannot prove a connection to the outside; name \
                 another"
            );
            problems.add(path, message);
        }
    }
    problems.twice(regions.into_iter(), "the Region");
    let names = outside.names.iter().enumerate();
    let names = names.map(|(i, name)| (format!("/probe/outside/names/{i}"), name.as_str()));
    let names: Vec<_> = names.collect();
    for (path, name) in &names {
        let is_under = |end: &str| {
            name.strip_suffix(end)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if is_under(&plan.dns.name) || NOT_OUTSIDE.iter().any(|end| is_under(end)) {
            let message = format!(
                "'{name}' belongs to the platform or to AWS; name somebody else's host, outside the primary Region"
            );
            problems.add(path, message);
        }
    }
    problems.twice(names.into_iter(), "the name");
}

fn observer(plan: &Plan, problems: &mut Problems) {
    let Some(region) = plan.observer.as_ref().map(|observer| observer.region.as_str()) else {
        return;
    };
    if plan.site(region).is_some() {
        let message =
            format!("'{region}' is one of the plan's two Regions, so it adds no evidence of its own; name a third one");
        problems.add("/observer/region", message);
    }
    let partition = plan.regions.standby.partition();
    if partition_of(region) != partition {
        let message = format!(
            "'{region}' is not in the partition {partition}, so the standby Region cannot read its metric; choose a \
             Region of the same one"
        );
        problems.add("/observer/region", message);
    }
}

fn scenario(plan: &Plan, scenario: Scenario, policy: &ScenarioPolicy, problems: &mut Problems) {
    let at = |field: &str| format!("/scenarios/{scenario}/{field}");
    if !plan.severities.contains_key(&policy.severity) {
        let message = format!(
            "{0} is not in severities; add it there, or nobody is told",
            policy.severity.name()
        );
        problems.add(at("severity"), message);
    }
    let rto = policy.objectives.rto;
    objective(&at("objectives/rto"), rto, problems);
    match policy.objectives.rpo {
        Some(rpo) => objective(&at("objectives/rpo"), rpo, problems),
        None if scenario.definition().loses_writes => {
            problems.add(
                at("objectives"),
                format!("{scenario} can lose writes; add rpo with a target and a maximum"),
            );
        }
        None => {}
    }
    if rto.maximum.is_zero() {
        problems.add(
            at("objectives/rto/maximum"),
            "is zero, but every recovery takes time; give it minutes, as in 15m",
        );
    }
    if policy.approvals_without_evidence < policy.approvals {
        let message = format!(
            "{} when the evidence is poor, but {} when it is good; ask at least as many people",
            policy.approvals_without_evidence, policy.approvals
        );
        problems.add(at("approvals_without_evidence"), message);
    }
    deadlines(scenario, policy, problems);
}

fn deadlines(scenario: Scenario, policy: &ScenarioPolicy, problems: &mut Problems) {
    let at = |name: &str| format!("/scenarios/{scenario}/deadlines/{name}");
    // The schema says so too; a stored plan is not held against it.
    for name in policy.deadlines.keys() {
        let known = scenario.deadline(name).filter(|known| known.set_by != SetBy::Machine);
        if known.is_none() {
            problems.add(
                at(name),
                format!("a recovery from {scenario} has no such wait; take it out"),
            );
        }
    }
    for known in scenario.definition().deadlines {
        let Some(deadline) = policy.deadlines.get(known.name) else {
            if known.set_by == SetBy::Plan {
                let message = format!("is missing; it says how long a recovery from {scenario} waits");
                problems.add(at(known.name), message);
            }
            continue;
        };
        if deadline.is_zero() {
            problems.add(at(known.name), "is zero, so the recovery would give up at once");
        }
        if *deadline > known.longest {
            let message = format!(
                "{deadline} is longer than the machines can wait; {} is the most",
                known.longest
            );
            problems.add(at(known.name), message);
        }
    }
    let in_order = scenario.definition().one_after_the_other;
    let seconds = in_order.iter().filter_map(|name| policy.deadlines.get(*name));
    let waits = Duration::from_secs(seconds.fold(0, |sum: u64, next| sum.saturating_add(next.as_secs())));
    let maximum = policy.objectives.rto.maximum;
    let (limit, what) = if maximum < LONGEST_WAITS {
        (maximum, "the RTO maximum")
    } else {
        (LONGEST_WAITS, "the limit")
    };
    if waits > limit {
        let message = format!(
            "{} together may wait {waits}, longer than {what} of {limit}; shorten them",
            in_order.join(" and ")
        );
        problems.add(format!("/scenarios/{scenario}/deadlines"), message);
    }
}

/// What the machines are designed for: the longest waits, one after the other, stay within their own time limit and within
/// the history that Step Functions keeps.
const LONGEST_WAITS: Duration = Duration::from_secs(4 * 3600);

fn objective(path: &str, objective: Objective, problems: &mut Problems) {
    let Objective { target, maximum } = objective;
    if target > maximum {
        let message =
            format!("the target of {target} is above the maximum of {maximum}; lower it or raise the maximum");
        problems.add(format!("{path}/target"), message);
    }
}

fn alarms(plan: &Plan, problems: &mut Problems) {
    for (i, alarm) in plan.alarms.iter().enumerate() {
        if !plan.scenarios.contains_key(&alarm.scenario) {
            let message = format!(
                "the plan has no policy for {0}; add scenarios/{0} or take the alarm out",
                alarm.scenario
            );
            problems.add(format!("/alarms/{i}/scenario"), message);
        }
        let unheard = (alarm.scenario.definition().unheard_alarm)(alarm.region);
        if let Some(why) = unheard.filter(|_| alarm.start != Start::Off) {
            problems.add(format!("/alarms/{i}/region"), why);
        }
    }
    for region in SiteName::ALL {
        let names = plan
            .alarms
            .iter()
            .enumerate()
            .filter(|(_, alarm)| alarm.region == region);
        problems.twice(
            names.map(|(i, alarm)| (format!("/alarms/{i}/name"), alarm.name.as_str())),
            "the alarm",
        );
    }
}

fn severities(plan: &Plan, problems: &mut Problems) {
    for (severity, policy) in &plan.severities {
        let at = |field: &str| format!("/severities/{}/{field}", severity.name());
        let maxima = plan
            .scenarios
            .iter()
            .filter(|(_, scenario)| scenario.severity == *severity);
        let shortest = maxima
            .map(|(scenario, policy)| (policy.objectives.rto.maximum, scenario))
            .min();
        if let Some((maximum, scenario)) = shortest.filter(|(maximum, _)| policy.respond_within > *maximum) {
            let message = format!(
                "{} to answer is longer than the RTO maximum of {maximum} for {scenario}; shorten it",
                policy.respond_within
            );
            problems.add(at("respond_within"), message);
        }
        if policy.respond_within.is_zero() {
            problems.add(
                at("respond_within"),
                "is zero, so every answer would be too late; give it minutes, as in 15m",
            );
        }
        for (i, name) in policy.notify.iter().enumerate() {
            if !plan.contacts.contains_key(name) {
                let known: Vec<&str> = plan.contacts.keys().map(String::as_str).collect();
                let message = format!(
                    "'{name}' is not in contacts; add it there or name one of {}",
                    known.join(", ")
                );
                problems.add(at(&format!("notify/{i}")), message);
            }
        }
        let names = policy.notify.iter().enumerate();
        problems.twice(
            names.map(|(i, name)| (at(&format!("notify/{i}")), name.as_str())),
            "the contact",
        );
    }
}

fn contacts(plan: &Plan, problems: &mut Problems) {
    for (name, contact) in &plan.contacts {
        if contact.email.eq_ignore_ascii_case(&contact.backup) {
            let message = format!("'{}' stands in for itself; name somebody else", contact.backup);
            problems.add(format!("/contacts/{}/backup", escape(name)), message);
        }
    }
}

/// A key as a JSON Pointer writes it.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A small plan in which nothing is wrong.
    fn sound() -> Value {
        let site = |region: &str, cluster: &str, bucket: &str| {
            json!({
                "region": region,
                "cluster": cluster,
                "database_secret": format!("arn:aws:secretsmanager:{region}:123456789012:secret:db-AbCdEf"),
                "secrets": [format!("arn:aws:secretsmanager:{region}:123456789012:secret:keys-AbCdEf")],
                "api": {
                    "rest_api": "abcdefghij", "stage": "v2",
                    "domain": format!("d-1.execute-api.{region}.amazonaws.com"),
                },
                "buckets": [bucket],
                "user_pools": [format!("{region}_AbCdEfGhI")],
                "caches": [{
                    "id": "cache",
                    "empty": {
                        "endpoint": "master.cache.example.com:6379",
                        "secret": format!("arn:aws:secretsmanager:{region}:123456789012:secret:cache-AbCdEf"),
                        "keys": { "prefix": "shop:" },
                    },
                }],
                "network": { "subnets": ["subnet-0a1b2c3d"], "security_groups": ["sg-0a1b2c3d"] },
                "topic": "recoveries",
                "reports": format!("{bucket}-reports"),
            })
        };
        json!({
            "version": 1,
            "workload": "shop",
            "account": "123456789012",
            "regions": {
                "primary": site("us-east-1", "shop", "shop-east"),
                "standby": site("us-west-2", "shop", "shop-west"),
            },
            "database": {
                "global_cluster": "shop-global", "name": "shop", "heartbeat": { "schema": "recovery", "every": "5s" },
            },
            "functions": [{ "name": "router" }, { "name": "admin" }],
            "dns": {
                "name": "api.example.com", "hosted_zone": "Z123456", "ttl": "10s",
                "switch_object": {
                    "bucket": "shop-switch", "key": "switch/on",
                    "health_check": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
                },
            },
            "health": { "url": "https://api.example.com/health", "consecutive": 3, "timeout": "5s" },
            "probe": { "namespace": "Shop", "metric": "Healthy" },
            "scenarios": {
                "az-failure": {
                    "severity": "sev2",
                    "objectives": { "rto": { "target": "1h", "maximum": "4h" } },
                    "approvals": 0, "cool_down": "15m", "deadlines": { "database": "15m", "health": "10m" },
                },
                "region-failure": {
                    "severity": "sev1",
                    "objectives": {
                        "rto": { "target": "1h", "maximum": "4h" }, "rpo": { "target": "5m", "maximum": "1h" },
                    },
                    "approvals": 0, "cool_down": "6h", "deadlines": { "database": "30m", "health": "20m" },
                },
            },
            "alarms": [
                { "name": "outside", "region": "standby", "scenario": "region-failure", "start": "automatic" },
                { "name": "zone", "region": "primary", "scenario": "az-failure", "start": "approve" },
            ],
            "automation": { "table": "recoveries", "stale_after": "10m" },
            "severities": {
                "sev1": { "respond_within": "15m", "notify": ["lead"], "status_page": true },
                "sev2": { "respond_within": "30m", "notify": ["lead"] },
            },
            "contacts": { "lead": { "role": "Lead", "email": "lead@example.com", "backup": "cto@example.com" } },
        })
    }

    /// The places of the problems that a plan has once `changes` were made to it.
    fn places(changes: &[(&str, Value)]) -> Vec<String> {
        let mut plan = sound();
        for (path, value) in changes {
            let (parent, key) = path.rsplit_once('/').unwrap();
            match plan.pointer_mut(parent).unwrap() {
                Value::Object(map) if value.is_null() => drop(map.remove(key).unwrap()),
                Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
                Value::Array(list) if key == "-" => list.push(value.clone()),
                list => list[key.parse::<usize>().unwrap()] = value.clone(),
            }
        }
        check(&serde_json::from_value(plan).unwrap())
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    }

    /// A test per rule: the change, and the one place that is then wrong.
    macro_rules! rules {
        ($($name:ident: [$($path:literal = $value:expr),+] => $place:literal;)+) => {$(
            #[test]
            fn $name() {
                assert_eq!(places(&[$(($path, json!($value))),+]), [$place]);
            }
        )+};
    }

    #[test]
    fn a_plan_of_before_names_caches_and_does_not_say_how_to_empty_them() {
        let mut plan = sound();
        plan["regions"]["primary"]["caches"] = json!(["cache"]);
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let cache = &plan.regions.primary.caches[0];
        assert_eq!((cache.id.as_str(), &cache.empty), ("cache", &None));
    }

    #[test]
    fn a_sound_plan_has_no_problem() {
        assert_eq!(places(&[]), [""; 0]);
    }

    #[test]
    fn a_plan_that_says_zero_and_has_no_observer_is_warned_of() {
        let warned = |approvals: u8, observer: Option<Value>| -> Vec<String> {
            let mut plan = sound();
            plan["scenarios"]["region-failure"]["approvals"] = json!(approvals);
            if let Some(observer) = observer {
                plan["observer"] = observer;
            }
            let warnings = warnings(&serde_json::from_value(plan).unwrap()).into_iter();
            let observers = warnings.filter(|warning| warning.path == "/observer");
            observers.map(|warning| warning.message).collect()
        };
        let missing = warned(0, None);
        assert!(
            missing.len() == 1 && missing[0].contains("asks people (2)"),
            "{missing:?}"
        );
        assert_eq!(warned(1, None), [""; 0], "people are asked in any case");
        assert_eq!(warned(0, Some(json!({ "region": "eu-west-1" }))), [""; 0]);
    }

    #[test]
    fn an_observer_is_in_a_third_region_of_the_same_partition() {
        for (region, expected) in [
            ("eu-west-1", &[][..]),
            ("us-east-1", &["/observer/region"]),
            ("us-west-2", &["/observer/region"]),
            ("cn-north-1", &["/observer/region"]),
        ] {
            let mut plan = sound();
            plan["observer"] = json!({ "region": region });
            let problems = check(&serde_json::from_value(plan).unwrap());
            let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, expected, "{region}");
        }
    }

    #[test]
    fn what_proves_a_way_out_is_of_others() {
        let places = |regions: [&str; 2], names: [&str; 3]| -> Vec<String> {
            let mut plan = sound();
            plan["observer"] = json!({ "region": "eu-west-1" });
            plan["probe"]["outside"] = json!({ "regions": regions, "names": names });
            let problems = check(&serde_json::from_value(plan).unwrap());
            problems.into_iter().map(|problem| problem.path).collect()
        };
        let (regions, names) = (
            ["eu-north-1", "ca-west-1"],
            ["a.example.org", "b.example.org", "c.example.org"],
        );
        assert_eq!(places(regions, names), [""; 0]);
        assert_eq!(places(["us-east-1", "eu-west-1"], names).len(), 2);
        assert_eq!(
            places(["eu-north-1", "eu-north-1"], names),
            ["/probe/outside/regions/1"]
        );
        for name in [
            "sts.amazonaws.com",
            "aws.amazon.com",
            "d1.cloudfront.net",
            "api.example.com",
            "www.api.example.com",
        ] {
            let names = ["a.example.org", name, "c.example.org"];
            assert_eq!(places(regions, names), ["/probe/outside/names/1"], "{name}");
        }
        assert_eq!(places(regions, ["a.example.org"; 3]).len(), 2);
    }

    #[test]
    fn same_region_twice() {
        let recovery = sound().pointer("/regions/primary").unwrap().clone();
        let changes = [
            ("/regions/standby", recovery),
            (
                "/regions/standby/api/domain",
                json!("d-2.execute-api.us-east-1.amazonaws.com"),
            ),
            ("/regions/standby/buckets", json!([])),
            ("/regions/standby/reports", json!("shop-reports")),
        ];
        assert_eq!(places(&changes), ["/regions/standby/region"]);
    }

    #[test]
    fn regions_of_two_partitions() {
        let changes = [
            ("/regions/standby/region", json!("cn-north-1")),
            (
                "/regions/standby/database_secret",
                json!("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:db-AbCdEf"),
            ),
            ("/regions/standby/secrets", json!([])),
            ("/regions/standby/caches", json!([])),
            ("/regions/standby/user_pools", json!([])),
            (
                "/regions/standby/api/domain",
                json!("d-2.execute-api.cn-north-1.amazonaws.com.cn"),
            ),
        ];
        assert_eq!(places(&changes), ["/regions/standby/region"]);
    }

    #[test]
    fn same_cluster_identifier_in_both_regions_is_fine() {
        let plan = sound();
        assert_eq!(
            plan.pointer("/regions/primary/cluster"),
            plan.pointer("/regions/standby/cluster")
        );
    }

    #[test]
    fn one_place_may_have_two_problems() {
        let arn = "arn:aws:secretsmanager:us-east-1:999999999999:secret:db-AbCdEf";
        let at = "/regions/standby/database_secret";
        assert_eq!(places(&[(at, json!(arn))]), [at, at]);
    }

    #[test]
    fn a_reserved_bucket_name() {
        let at = "/dns/switch_object/bucket";
        for name in [
            "a..b",
            "10.0.0.1",
            "xn--shop",
            "sthree-shop",
            "shop-s3alias",
            "shop--ol-s3",
            "shop.mrap",
        ] {
            assert_eq!(places(&[(at, json!(name))]), [at], "{name}");
        }
        assert_eq!(
            places(&[("/regions/primary/buckets/0", json!("a..b"))]),
            ["/regions/primary/buckets/0"]
        );
    }

    #[test]
    fn the_same_alarm_name_in_two_regions_is_fine() {
        assert_eq!(places(&[("/alarms/1/name", json!("outside"))]), [""; 0]);
    }

    #[test]
    fn a_missing_rpo_where_writes_can_be_lost() {
        let mut policy = sound().pointer("/scenarios/az-failure").unwrap().clone();
        for scenario in ["region-failure", "database-corruption", "service-recovery"] {
            let path = format!("/scenarios/{scenario}");
            assert_eq!(places(&[(&path, policy.clone())]), [format!("{path}/objectives")]);
        }
        policy["approvals"] = json!(1);
        let database = "/scenarios/accidental-deletion/deadlines/database";
        assert_eq!(
            places(&[("/scenarios/accidental-deletion", policy.clone())]),
            [database]
        );
        policy["deadlines"].as_object_mut().unwrap().remove("database");
        assert_eq!(places(&[("/scenarios/accidental-deletion", policy)]), [""; 0]);
    }

    #[test]
    fn messages_say_what_to_do() {
        let mut plan = sound();
        plan["severities"]["sev1"]["notify"] = json!(["boss"]);
        let problems = check(&serde_json::from_value(plan).unwrap());
        assert_eq!(
            problems[0].message,
            "'boss' is not in contacts; add it there or name one of lead"
        );
    }

    rules! {
        a_secret_of_another_region:
            ["/regions/standby/database_secret" = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"]
            => "/regions/standby/database_secret";
        a_secret_of_another_partition:
            ["/regions/standby/database_secret" = "arn:aws-cn:secretsmanager:us-west-2:123456789012:secret:db-AbCdEf"]
            => "/regions/standby/database_secret";
        a_secret_of_another_account:
            ["/regions/primary/secrets/0" = "arn:aws:secretsmanager:us-east-1:999999999999:secret:keys-AbCdEf"]
            => "/regions/primary/secrets/0";
        a_secret_twice:
            ["/regions/primary/secrets/-" = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"]
            => "/regions/primary/secrets/1";
        a_user_pool_of_another_region:
            ["/regions/standby/user_pools/0" = "us-east-1_AbCdEfGhI"] => "/regions/standby/user_pools/0";
        a_user_pool_twice:
            ["/regions/standby/user_pools/-" = "us-west-2_AbCdEfGhI"] => "/regions/standby/user_pools/1";
        a_cache_twice: ["/regions/primary/caches/-" = json!({ "id": "cache" })] => "/regions/primary/caches/1/id";
        a_password_in_clear: ["/regions/primary/caches/0/empty/tls" = false] => "/regions/primary/caches/0/empty/tls";
        a_cache_without_a_port:
            ["/regions/primary/caches/0/empty/endpoint" = "cache.example.com:65536"]
            => "/regions/primary/caches/0/empty/endpoint";
        a_password_of_another_region:
            ["/regions/primary/caches/0/empty/secret" = "arn:aws:secretsmanager:us-west-2:123456789012:secret:cache-AbCdEf"]
            => "/regions/primary/caches/0/empty/secret";
        a_cache_without_a_way_to_it: ["/regions/primary/network" = Value::Null] => "/regions/primary/network";
        one_api_domain_for_both:
            ["/regions/primary/api/domain" = "d-1.example.net", "/regions/standby/api/domain" = "d-1.example.net"]
            => "/regions/standby/api/domain";
        an_api_domain_of_another_region:
            ["/regions/standby/api/domain" = "d-2.execute-api.us-east-1.amazonaws.com"]
            => "/regions/standby/api/domain";
        an_api_domain_that_is_the_public_name:
            ["/regions/primary/api/domain" = "api.example.com"] => "/regions/primary/api/domain";
        a_bucket_twice_in_a_region: ["/regions/primary/buckets/-" = "shop-east"] => "/regions/primary/buckets/1";
        reports_among_the_platforms_own:
            ["/regions/primary/reports" = "shop-east"] => "/regions/primary/reports";
        one_bucket_for_the_reports_of_both_regions:
            ["/regions/standby/reports" = "shop-east-reports"] => "/regions/standby/reports";
        the_switch_object_among_reports:
            ["/dns/switch_object/bucket" = "shop-west-reports"] => "/dns/switch_object/bucket";
        a_bucket_in_both_regions: ["/regions/standby/buckets/0" = "shop-east"] => "/regions/standby/buckets/0";
        a_heartbeat_that_never_comes: ["/database/heartbeat/every" = "0s"] => "/database/heartbeat/every";
        a_heartbeat_too_seldom_for_the_rpo: ["/database/heartbeat/every" = "6m"] => "/database/heartbeat/every";
        a_function_twice: ["/functions/1/name" = "router"] => "/functions/1/name";
        a_long_ttl: ["/dns/ttl" = "61s"] => "/dns/ttl";
        a_switch_object_in_the_primary_region: ["/dns/switch_object/bucket" = "shop-east"] => "/dns/switch_object/bucket";
        health_of_another_host: ["/health/url" = "https://d-1.example.net/health"] => "/health/url";
        health_without_time_to_answer: ["/health/timeout" = "0s"] => "/health/timeout";
        health_that_outlasts_its_deadline: ["/health/timeout" = "201s"] => "/health/timeout";
        a_namespace_of_aws: ["/probe/namespace" = "AWS/Shop"] => "/probe/namespace";
        a_severity_that_is_missing: ["/severities/sev2" = Value::Null] => "/scenarios/az-failure/severity";
        an_rto_target_above_its_maximum:
            ["/scenarios/az-failure/objectives/rto/target" = "5h"] => "/scenarios/az-failure/objectives/rto/target";
        an_rpo_target_above_its_maximum:
            ["/scenarios/region-failure/objectives/rpo/target" = "2h"]
            => "/scenarios/region-failure/objectives/rpo/target";
        fewer_approvals_without_evidence:
            ["/scenarios/az-failure/approvals" = 2, "/scenarios/az-failure/approvals_without_evidence" = 1]
            => "/scenarios/az-failure/approvals_without_evidence";
        deadlines_beyond_what_the_machines_are_designed_for: [
            "/scenarios/region-failure/objectives/rto/maximum" = "10h",
            "/scenarios/region-failure/deadlines/database" = "4h"
        ] => "/scenarios/region-failure/deadlines";
        a_health_deadline_beyond_what_the_machines_are_made_for: [
            "/scenarios/region-failure/deadlines/health" = "61m"
        ] => "/scenarios/region-failure/deadlines/health";
        a_switchover_deadline_beyond_what_the_machines_are_made_for: [
            "/scenarios/region-failure/deadlines/switchover" = "31m"
        ] => "/scenarios/region-failure/deadlines/switchover";
        deadlines_beyond_the_rto:
            ["/scenarios/region-failure/deadlines/database" = "221m"] => "/scenarios/region-failure/deadlines";
        a_database_deadline_of_zero:
            ["/scenarios/region-failure/deadlines/database" = "0s"] => "/scenarios/region-failure/deadlines/database";
        an_alarm_without_a_policy: ["/alarms/1/scenario" = "security-breach"] => "/alarms/1/scenario";
        a_region_alarm_that_nobody_hears: ["/alarms/0/region" = "primary"] => "/alarms/0/region";
        an_alarm_twice_in_a_region: ["/alarms/1/name" = "outside", "/alarms/1/region" = "standby"] => "/alarms/1/name";
        every_alarm_stale: ["/automation/stale_after" = "0s"] => "/automation/stale_after";
        a_page_while_a_step_is_at_work: ["/automation/page_fenced_after" = "1m"] => "/automation/page_fenced_after";
        an_answer_later_than_the_rto: ["/severities/sev1/respond_within" = "241m"] => "/severities/sev1/respond_within";
        an_answer_at_once: ["/severities/sev1/respond_within" = "0s"] => "/severities/sev1/respond_within";
        an_unknown_contact: ["/severities/sev1/notify/0" = "boss"] => "/severities/sev1/notify/0";
        a_contact_told_twice: ["/severities/sev1/notify/-" = "lead"] => "/severities/sev1/notify/1";
        a_contact_who_stands_in_for_themselves: ["/contacts/lead/backup" = "Lead@example.com"] => "/contacts/lead/backup";
    }

    #[test]
    fn an_rto_of_zero() {
        let zero = json!({ "rto": { "target": "0s", "maximum": "0s" } });
        let places = places(&[("/scenarios/az-failure/objectives", zero)]);
        assert!(
            places.contains(&"/scenarios/az-failure/objectives/rto/maximum".to_owned()),
            "{places:?}"
        );
    }

    #[test]
    fn a_plan_that_was_stored_before_the_standby_had_its_name_is_read_alike() {
        let now = sound();
        let mut before = now.clone();
        let regions = before["regions"].as_object_mut().unwrap();
        let standby = regions.remove("standby").unwrap();
        regions.insert("recovery".to_owned(), standby);
        for alarm in before["alarms"].as_array_mut().unwrap() {
            if alarm["region"] == "standby" {
                alarm["region"] = json!("recovery");
            }
        }
        assert_ne!(before["alarms"], now["alarms"]);
        let read = |plan: &Value| serde_json::from_value::<Plan>(plan.clone()).unwrap();
        assert_eq!(read(&before), read(&now));
    }

    #[test]
    fn a_health_deadline_of_zero() {
        let places = places(&[("/scenarios/az-failure/deadlines/health", json!("0s"))]);
        assert!(
            places.contains(&"/scenarios/az-failure/deadlines/health".to_owned()),
            "{places:?}"
        );
    }
}
