//! Route 53: hosted zones with CNAME records, plain ones and failover pairs, the control plane that changes them, health
//! checks, and resolvers that keep answers.
//!
//! The control plane is in us-east-1, behind one host for the whole world; what name servers answer needs no Region. A
//! zone's own NS and SOA records are left out, and so is whether a name belongs to its zone.

mod service;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::aws::quota::Quota;
use crate::aws::s3::S3;
use crate::aws::wire::{Call, Reply, UNKNOWN, element};
use crate::aws::xml::Element;
use crate::environment::Environment;
use crate::lock::lock;

/// Requests that an account may make in a second. Source: Route 53 Developer Guide, quotas, Route 53 API requests.
const REQUESTS_PER_SECOND: usize = 5;
/// The most record sets in one answer. Source: Route 53 API Reference, ListResourceRecordSets, maxitems.
const PAGE: usize = 300;
/// The only type of record that is simulated.
const CNAME: &str = "CNAME";

/// Route 53.
pub struct Route53 {
    s3: Arc<S3>,
    state: Mutex<State>,
    resolvers: Mutex<BTreeMap<String, Resolver>>,
    quota: Quota,
}

#[derive(Default)]
struct State {
    zones: BTreeMap<String, Zone>,
    health_checks: BTreeMap<String, Watched>,
    changes: BTreeMap<String, Change>,
    changes_taken: u64,
}

type RecordSets = BTreeMap<Place, RecordSet>;

#[derive(Default)]
struct Zone {
    /// As the control plane has them.
    records: RecordSets,
    /// As name servers answer.
    served: RecordSets,
    /// Changes that name servers do not know yet: which, when they will, and all records after it.
    pending: Vec<(String, Timestamp, RecordSets)>,
}

/// Where a record set stands in a zone: by its name with the labels reversed, then by its identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    labels: Vec<String>,
    identifier: String,
}

impl Place {
    fn new(name: &str, identifier: &str) -> Self {
        Self {
            labels: plain(name).rsplit('.').map(str::to_owned).collect(),
            identifier: identifier.to_owned(),
        }
    }
}

/// One CNAME record set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RecordSet {
    name: String,
    target: String,
    ttl: Duration,
    failover: Option<Failover>,
}

/// A record set's place in a failover pair.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failover {
    identifier: String,
    is_primary: bool,
    health_check: Option<String>,
}

struct Watched {
    check: HealthCheck,
    /// As name servers know it.
    is_healthy: bool,
}

struct Change {
    submitted_at: Timestamp,
    in_sync_at: Timestamp,
    comment: Option<String>,
}

/// A name with a primary and a secondary answer. The primary is given while its health check is healthy.
#[derive(Clone, Debug)]
pub struct FailoverRecord {
    /// The answer while the primary is healthy.
    pub primary: String,
    /// The answer while it is not.
    pub secondary: String,
    /// How long resolvers keep an answer, in whole seconds.
    pub ttl: Duration,
    /// The primary's health check, which is healthy at first.
    pub health_check: HealthCheck,
}

/// A name with one answer.
#[derive(Clone, Debug)]
pub struct PlainRecord {
    /// The answer.
    pub target: String,
    /// How long resolvers keep it, in whole seconds.
    pub ttl: Duration,
}

/// A health check that watches a public object.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// Its identifier.
    pub id: String,
    /// The object's bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// Observations in a row that change the status.
    pub failure_threshold: u32,
    /// Whether healthy and unhealthy change places.
    pub inverted: bool,
}

/// A resolver, which keeps answers for their time to live.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    kept: Arc<Mutex<BTreeMap<String, (String, Timestamp)>>>,
}

struct Refusal(u16, &'static str, String);

impl Route53 {
    /// Empty; health checks ask `s3` for objects.
    pub(crate) fn new(s3: &Arc<S3>) -> Self {
        Self {
            s3: Arc::clone(s3),
            state: Mutex::default(),
            resolvers: Mutex::default(),
            quota: Quota::new(REQUESTS_PER_SECOND, SignedDuration::from_secs(1)),
        }
    }

    /// Makes a name with a failover pair, and its health check, in a hosted zone, which is made if need be.
    pub fn put_record(&self, zone: &str, name: &str, record: FailoverRecord) {
        let health_check = record.health_check.id.clone();
        let each = [
            ("primary", true, record.primary, Some(health_check.clone())),
            ("secondary", false, record.secondary, None),
        ];
        for (identifier, is_primary, target, health_check) in each {
            let failover = Failover {
                identifier: identifier.to_owned(),
                is_primary,
                health_check,
            };
            self.put(zone, name, target, record.ttl, Some(failover));
        }
        let watched = Watched {
            check: record.health_check,
            is_healthy: true,
        };
        lock(&self.state).health_checks.insert(health_check, watched);
    }

    /// Makes a name with one answer in a hosted zone, which is made if need be.
    pub fn put_plain_record(&self, zone: &str, name: &str, record: PlainRecord) {
        self.put(zone, name, record.target, record.ttl, None);
    }

    fn put(&self, zone: &str, name: &str, target: String, ttl: Duration, failover: Option<Failover>) {
        let set = RecordSet {
            name: plain(name),
            target,
            ttl,
            failover,
        };
        let mut state = lock(&self.state);
        let zone = state.zones.entry(zone.to_owned()).or_default();
        zone.records.insert(set.place(), set.clone());
        zone.served.insert(set.place(), set);
    }

    /// Loses the changes that are not in sync yet, as a control plane does that moves to another Region: GetChange knows
    /// them no more, and the records are as before.
    pub fn forget_changes(&self, environment: &Environment) {
        let mut state = lock(&self.state);
        state.advance(environment.now());
        let State { zones, changes, .. } = &mut *state;
        for zone in zones.values_mut() {
            for (id, _, _) in zone.pending.drain(..) {
                changes.remove(&id);
            }
            zone.records = zone.served.clone();
        }
    }

    /// The resolver that everybody in a Region's network shares.
    pub fn resolver_of(&self, region: &str) -> Resolver {
        lock(&self.resolvers).entry(region.to_owned()).or_default().clone()
    }

    /// What `resolver` answers for `name`; nothing, if there is no such name.
    pub fn resolve(&self, environment: &Environment, resolver: &Resolver, name: &str) -> Option<String> {
        let now = environment.now();
        let mut kept = lock(&resolver.kept);
        if let Some((target, until)) = kept.get(name)
            && now < *until
        {
            return Some(target.clone());
        }
        let mut state = lock(&self.state);
        state.advance(now);
        let set = state.served(name)?;
        let target = plain(&set.target);
        let until = now.checked_add(set.ttl).unwrap_or(Timestamp::MAX);
        kept.insert(name.to_owned(), (target.clone(), until));
        Some(target)
    }

    /// The record sets as the control plane has them, by zone, in the order of a listing.
    fn records(&self, environment: &Environment) -> Value {
        let mut state = lock(&self.state);
        state.advance(environment.now());
        let zones = state.zones.iter().map(|(id, zone)| {
            let sets = zone.records.values().map(|set| {
                json!({
                    "name": set.name,
                    "target": set.target,
                    "ttl_s": set.ttl.as_secs(),
                    "failover": set.failover.as_ref().map(|failover| {
                        json!([failover.identifier, failover.role(), failover.health_check])
                    }),
                })
            });
            (id, sets.collect::<Vec<Value>>())
        });
        json!(zones.collect::<BTreeMap<_, _>>())
    }

    /// The health check behind a name, and whether name servers take it for healthy.
    fn health_check_of(&self, name: &str) -> Option<(HealthCheck, bool)> {
        let state = lock(&self.state);
        let mut sets = state.zones.values().flat_map(|zone| zone.served.values());
        let id = sets.find_map(|set| {
            let failover = set.failover.as_ref().filter(|_| set.name == plain(name))?;
            failover.health_check.as_ref()
        })?;
        let watched = state.health_checks.get(id)?;
        Some((watched.check.clone(), watched.is_healthy))
    }

    fn set_health(&self, health_check: &str, healthy: bool) {
        if let Some(watched) = lock(&self.state).health_checks.get_mut(health_check) {
            watched.is_healthy = healthy;
        }
    }

    fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let id = call.path.trim_matches('/').split('/').nth(2).unwrap_or_default();
        let now = environment.now();
        let mut state = lock(&self.state);
        state.advance(now);
        let query = call.uri.split_once('?').map(|(_, query)| query);
        let result = match (operation, query) {
            (UNKNOWN, _) | ("ChangeResourceRecordSets" | "GetChange", Some(_)) => {
                Err(not_simulated(&format!("{} {}", call.method, call.uri)))
            }
            ("ChangeResourceRecordSets", _) => state.change(environment, id, &call.body),
            ("GetChange", _) => state.get_change(id, now),
            (_, query) => state.list(id, query.unwrap_or_default()),
        };
        match result {
            Ok(body) => Reply::new(
                200,
                "text/xml",
                format!(
                    "<{operation}Response xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">{body}</{operation}Response>"
                ),
            ),
            Err(Refusal(status, code, message)) => Reply::query_error(status, code, &message),
        }
    }
}

impl State {
    /// Brings name servers to where they are at `now`.
    fn advance(&mut self, now: Timestamp) {
        for zone in self.zones.values_mut() {
            let known = zone.pending.partition_point(|(_, in_sync_at, _)| *in_sync_at <= now);
            if let Some((_, _, records)) = zone.pending.drain(..known).next_back() {
                zone.served = records;
            }
        }
    }

    /// The record set with which name servers answer.
    fn served(&self, name: &str) -> Option<&RecordSet> {
        let name = plain(name);
        let sets = self.zones.values().flat_map(|zone| zone.served.values());
        let mut sets = sets.filter(|set| set.name == name);
        sets.clone()
            .find(|set| match &set.failover {
                None => true,
                Some(failover) => failover.is_primary && self.is_healthy(failover),
            })
            .or_else(|| sets.find(|set| set.failover.as_ref().is_some_and(|failover| !failover.is_primary)))
    }

    /// A record without a health check counts as healthy.
    fn is_healthy(&self, failover: &Failover) -> bool {
        let check = failover.health_check.as_ref();
        check
            .and_then(|id| self.health_checks.get(id))
            .is_none_or(|watched| watched.is_healthy)
    }

    /// `ChangeResourceRecordSets`: all the changes of the batch, or none.
    fn change(&mut self, environment: &Environment, zone_id: &str, body: &[u8]) -> Result<String, Refusal> {
        let zone = self.zones.get_mut(zone_id).ok_or_else(|| no_such_zone(zone_id))?;
        let request = std::str::from_utf8(body).ok().and_then(Element::read);
        let request = request.ok_or_else(|| invalid_input("the body is not XML"))?;
        let batch = only(&request, &["ChangeBatch"])?.child("ChangeBatch");
        let batch = only(batch.unwrap_or(&request), &["Comment", "Changes"])?;
        let changes = batch.child("Changes").map(|changes| changes.children.as_slice());
        let changes = changes.filter(|changes| !changes.is_empty());
        let mut records = zone.records.clone();
        for change in changes.ok_or_else(|| invalid_input("a batch needs a change"))? {
            let set = only(change, &["Action", "ResourceRecordSet"])?.child("ResourceRecordSet");
            let set = RecordSet::read(set.ok_or_else(|| invalid_input("a change needs a record set"))?)?;
            let health_check = set
                .failover
                .as_ref()
                .and_then(|failover| failover.health_check.as_ref());
            if let Some(id) = health_check.filter(|id| !self.health_checks.contains_key(*id)) {
                let message = format!("No health check found with ID: {id}");
                return Err(Refusal(404, "NoSuchHealthCheck", message));
            }
            apply(&mut records, change.text_of("Action").unwrap_or_default(), set)?;
        }
        let now = environment.now();
        let takes = environment.draw("dns-change", &environment.timings.dns_change);
        // Name servers learn of changes in their order.
        let earliest = zone.pending.last().map_or(now, |(_, in_sync_at, _)| *in_sync_at);
        let in_sync_at = now.checked_add(takes).unwrap_or(now).max(earliest);
        self.changes_taken += 1;
        let id = format!("C{:020}", self.changes_taken);
        zone.records = records.clone();
        zone.pending.push((id.clone(), in_sync_at, records));
        let change = Change {
            submitted_at: now,
            in_sync_at,
            comment: batch.text_of("Comment").map(str::to_owned),
        };
        let answer = change.xml(&id, now);
        self.changes.insert(id, change);
        Ok(answer)
    }

    fn get_change(&self, id: &str, now: Timestamp) -> Result<String, Refusal> {
        match self.changes.get(id) {
            Some(change) => Ok(change.xml(id, now)),
            None => {
                let message = format!("Could not find resource with ID: {id}");
                Err(Refusal(404, "NoSuchChange", message))
            }
        }
    }

    /// `ListResourceRecordSets`, from the place that name, type and identifier say.
    fn list(&self, zone_id: &str, query: &str) -> Result<String, Refusal> {
        let zone = self.zones.get(zone_id).ok_or_else(|| no_such_zone(zone_id))?;
        let parameters: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let known = ["name", "type", "identifier", "maxitems"];
        if let Some(name) = parameters.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(not_simulated(name));
        }
        let start = |name: &str| parameters.get(name).map(String::as_str);
        let (name, kind, identifier) = (start("name"), start("type"), start("identifier"));
        if (kind.is_some() && name.is_none()) || (identifier.is_some() && kind.is_none()) {
            return Err(invalid_input(
                "a type needs a name to start from, and an identifier a type",
            ));
        }
        let page = match start("maxitems").map(str::parse::<usize>) {
            None => PAGE,
            Some(Ok(count)) if count > 0 => count.min(PAGE),
            Some(_) => return Err(invalid_input("maxitems must be a number from 1")),
        };
        let from = name.map(|name| Place::new(name, identifier.unwrap_or_default()));
        let mut sets = zone.records.iter().filter(|(place, _)| {
            from.as_ref().is_none_or(|from| {
                // Records of one name are sorted by their type.
                *place >= from && (place.labels != from.labels || kind.is_none_or(|kind| kind <= CNAME))
            })
        });
        let listed: String = sets.by_ref().take(page).map(|(_, set)| set.xml()).collect();
        let next = sets.next().map(|(_, set)| set);
        let mut answer = format!(
            "<ResourceRecordSets>{listed}</ResourceRecordSets>{}{}",
            element("IsTruncated", if next.is_some() { "true" } else { "false" }),
            element("MaxItems", &page.to_string())
        );
        if let Some(next) = next {
            answer += &element("NextRecordName", &format!("{}.", next.name));
            answer += &element("NextRecordType", CNAME);
            if let Some(failover) = &next.failover {
                answer += &element("NextRecordIdentifier", &failover.identifier);
            }
        }
        Ok(answer)
    }
}

/// One change of a batch.
fn apply(records: &mut RecordSets, action: &str, set: RecordSet) -> Result<(), Refusal> {
    let place = set.place();
    let refuse = |what: &str, why: &str| {
        let identifier = set
            .failover
            .as_ref()
            .map(|failover| format!(", set identifier='{}'", failover.identifier))
            .unwrap_or_default();
        let message = format!(
            "[Tried to {what} resource record set [name='{}.', type='{CNAME}'{identifier}] but {why}]",
            set.name
        );
        Refusal(400, "InvalidChangeBatch", message)
    };
    match action {
        "DELETE" => {
            match records.get(&place) {
                None => return Err(refuse("delete", "it was not found")),
                Some(there) if *there != set => {
                    return Err(refuse("delete", "the values provided do not match the current values"));
                }
                Some(_) => {}
            }
            records.remove(&place);
            Ok(())
        }
        "CREATE" if records.contains_key(&place) => Err(refuse("create", "it already exists")),
        "CREATE" | "UPSERT" => {
            let others = records
                .values()
                .filter(|other| other.name == set.name && other.place() != place);
            for other in others {
                match (&set.failover, &other.failover) {
                    (Some(ours), Some(theirs)) if ours.is_primary != theirs.is_primary => {}
                    _ => return Err(refuse("create", "it conflicts with another record set of that name")),
                }
            }
            records.insert(place, set);
            Ok(())
        }
        other => Err(invalid_input(&format!("there is no action {other}"))),
    }
}

impl RecordSet {
    fn place(&self) -> Place {
        let identifier = self.failover.as_ref().map(|failover| failover.identifier.as_str());
        Place::new(&self.name, identifier.unwrap_or_default())
    }

    fn read(set: &Element) -> Result<Self, Refusal> {
        let known = [
            "Name",
            "Type",
            "SetIdentifier",
            "Failover",
            "TTL",
            "ResourceRecords",
            "HealthCheckId",
        ];
        only(set, &known)?;
        let required = |name: &str| {
            let text = set.text_of(name);
            text.ok_or_else(|| invalid_input(&format!("a record set needs {name}")))
        };
        let kind = required("Type")?;
        if kind != CNAME {
            return Err(not_simulated(&format!("records of type {kind}")));
        }
        let ttl = required("TTL")?
            .parse::<u32>()
            .ok()
            .filter(|ttl| *ttl <= i32::MAX as u32);
        let records = set.child("ResourceRecords").map(|records| records.children.as_slice());
        let [record] = records.unwrap_or_default() else {
            return Err(invalid_input("a CNAME record set needs one value"));
        };
        let failover = match (set.text_of("Failover"), set.text_of("SetIdentifier")) {
            (None, None) if set.child("HealthCheckId").is_none() => None,
            (Some(role @ ("PRIMARY" | "SECONDARY")), Some(identifier)) => Some(Failover {
                identifier: identifier.to_owned(),
                is_primary: role == "PRIMARY",
                health_check: set.text_of("HealthCheckId").map(str::to_owned),
            }),
            (None, None) => return Err(not_simulated("a health check without a failover pair")),
            _ => return Err(invalid_input("a failover record set needs a role and an identifier")),
        };
        Ok(Self {
            name: plain(required("Name")?),
            target: record.text_of("Value").unwrap_or_default().to_owned(),
            ttl: Duration::from_secs(
                ttl.ok_or_else(|| invalid_input("TTL is not a number of seconds"))?
                    .into(),
            ),
            failover,
        })
    }

    fn xml(&self) -> String {
        let mut inner = element("Name", &format!("{}.", self.name)) + &element("Type", CNAME);
        if let Some(failover) = &self.failover {
            inner += &element("SetIdentifier", &failover.identifier);
            inner += &element("Failover", failover.role());
        }
        inner += &element("TTL", &self.ttl.as_secs().to_string());
        let value = element("Value", &self.target);
        inner += &format!("<ResourceRecords><ResourceRecord>{value}</ResourceRecord></ResourceRecords>");
        if let Some(id) = self
            .failover
            .as_ref()
            .and_then(|failover| failover.health_check.as_ref())
        {
            inner += &element("HealthCheckId", id);
        }
        format!("<ResourceRecordSet>{inner}</ResourceRecordSet>")
    }
}

impl Failover {
    fn role(&self) -> &'static str {
        if self.is_primary { "PRIMARY" } else { "SECONDARY" }
    }
}

impl Change {
    fn xml(&self, id: &str, now: Timestamp) -> String {
        let status = if now < self.in_sync_at { "PENDING" } else { "INSYNC" };
        let comment = self.comment.as_ref().map(|comment| element("Comment", comment));
        format!(
            "<ChangeInfo>{}{}{}{}</ChangeInfo>",
            element("Id", &format!("/change/{id}")),
            element("Status", status),
            element("SubmittedAt", &self.submitted_at.to_string()),
            comment.unwrap_or_default()
        )
    }
}

/// A name without the dot at its end, in lower case.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Refuses children that the simulator does not know, rather than not to heed them.
fn only<'a>(element: &'a Element, known: &[&str]) -> Result<&'a Element, Refusal> {
    let mut children = element.children.iter();
    match children.find(|child| !known.contains(&child.name.as_str())) {
        Some(child) => Err(not_simulated(&format!("{} in {}", child.name, element.name))),
        None => Ok(element),
    }
}

fn not_simulated(what: &str) -> Refusal {
    let message = format!("the simulated Route 53 does not know {what}");
    Refusal(501, "NotSimulated", message)
}

fn invalid_input(message: &str) -> Refusal {
    Refusal(400, "InvalidInput", message.to_owned())
}

fn no_such_zone(id: &str) -> Refusal {
    let message = format!("No hosted zone found with ID: {id}");
    Refusal(404, "NoSuchHostedZone", message)
}

/// Watches the health check of `name` for ever, if it has one. Observations come at the interval; a status changes after
/// as many observations in a row as its threshold says, and name servers follow a little later.
pub async fn watch_health(route53: Arc<Route53>, environment: Arc<Environment>, name: String) {
    let Some((check, mut status)) = route53.health_check_of(&name) else {
        return;
    };
    let mut contrary = 0;
    // The checkers are not in step with anything.
    tokio::time::sleep(
        environment
            .draw("health-check-phase", &environment.timings.health_check_interval)
            .mul_f64(environment.chance("health-check-phase", |rng| rng.f64())),
    )
    .await;
    loop {
        // The checkers ask the public internet.
        let is_up = route53
            .s3
            .region_of(&check.bucket)
            .is_some_and(|region| environment.is_up(&region));
        let observed = (is_up && route53.s3.is_publicly_there(&check.bucket, &check.key)) != check.inverted;
        contrary = if observed == status { 0 } else { contrary + 1 };
        if contrary >= check.failure_threshold {
            status = observed;
            contrary = 0;
            let (route53, environment, id) = (Arc::clone(&route53), Arc::clone(&environment), check.id.clone());
            let delay = environment.draw("dns-propagation", &environment.timings.dns_propagation);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                route53.set_health(&id, status);
            });
        }
        tokio::time::sleep(environment.draw("health-check", &environment.timings.health_check_interval)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::service::reply_at_once;
    use crate::clock::Clock;
    use crate::cloud::Cloud;
    use crate::timings::{Range, Timings};

    const NAME: &str = "shop.example.com";
    const WEST: &str = "us-west-2";
    const ZONE: &str = "Z1";
    const CHECK: &str = "check-1";

    fn exactly(seconds: u64) -> Range {
        Range {
            from: Duration::from_secs(seconds),
            to: Duration::from_secs(seconds),
            source: "a test".to_owned(),
        }
    }

    /// A name whose inverted health check looks every 10 s, thrice; name servers follow 3 s later, resolvers keep
    /// answers for 60 s.
    fn world() -> Arc<Cloud> {
        let timings = Timings {
            health_check_interval: exactly(10),
            dns_propagation: exactly(3),
            dns_change: exactly(20),
            ..Timings::built_in().unwrap()
        };
        let cloud = Cloud::new("123456789012", 7, Clock::starting_at(Timestamp::UNIX_EPOCH), timings);
        cloud.s3.create_bucket(WEST, "switches", &["on"]);
        let record = FailoverRecord {
            primary: "east".to_owned(),
            secondary: "west".to_owned(),
            ttl: Duration::from_secs(60),
            health_check: HealthCheck {
                id: CHECK.to_owned(),
                bucket: "switches".to_owned(),
                key: "on".to_owned(),
                failure_threshold: 3,
                inverted: true,
            },
        };
        cloud.route53.put_record(ZONE, NAME, record);
        tokio::spawn(watch_health(
            Arc::clone(&cloud.route53),
            cloud.environment(),
            NAME.to_owned(),
        ));
        cloud
    }

    fn object(cloud: &Cloud, method: &str) {
        let call = crate::aws::wire::Call {
            service: "s3".to_owned(),
            region: WEST.to_owned(),
            method: method.to_owned(),
            uri: String::new(),
            path: "/switches/on".to_owned(),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        assert!(reply_at_once(&*cloud.s3, cloud, &call).status < 300);
    }

    /// What name servers answer.
    fn served(cloud: &Cloud) -> String {
        cloud.route53.resolve(cloud, &Resolver::default(), NAME).unwrap()
    }

    /// How long name servers go on answering as they do now, in whole seconds, for 100 s at most.
    async fn until_changed(cloud: &Cloud) -> Option<u64> {
        let before = served(cloud);
        for second in 0..100 {
            if served(cloud) != before {
                return Some(second);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_moves_the_name_and_its_absence_moves_it_back() {
        let cloud = world();
        assert_eq!((served(&cloud), until_changed(&cloud).await), ("east".to_owned(), None));
        object(&cloud, "PUT");
        // Three observations, 10 s apart, the first within 10 s; 3 s for the name servers.
        let took = until_changed(&cloud).await.unwrap();
        assert!((23..=34).contains(&took), "{took} s");
        assert_eq!((served(&cloud), until_changed(&cloud).await), ("west".to_owned(), None));
        object(&cloud, "DELETE");
        let took = until_changed(&cloud).await.unwrap();
        assert!((23..=34).contains(&took), "{took} s");
        assert_eq!(served(&cloud), "east");
    }

    #[tokio::test(start_paused = true)]
    async fn fewer_observations_than_the_threshold_change_nothing() {
        let cloud = world();
        for _ in 0..5 {
            object(&cloud, "PUT");
            tokio::time::sleep(Duration::from_secs(20)).await;
            object(&cloud, "DELETE");
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(served(&cloud), "east");
        }
        assert_eq!(until_changed(&cloud).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_is_away_leaves_the_primary() {
        let cloud = world();
        cloud.take_region_away(WEST);
        object(&cloud, "PUT");
        assert_eq!((served(&cloud), until_changed(&cloud).await), ("east".to_owned(), None));
        cloud.give_region_back(WEST);
        assert!(until_changed(&cloud).await.is_some());
        cloud.take_region_away(WEST);
        assert!(until_changed(&cloud).await.is_some());
        assert_eq!(served(&cloud), "east");
    }

    #[tokio::test(start_paused = true)]
    async fn resolvers_keep_answers_for_their_time_and_no_longer() {
        let cloud = world();
        let (here, there) = (cloud.route53.resolver_of("here"), cloud.route53.resolver_of("there"));
        let ask = |resolver: &Resolver, name| cloud.route53.resolve(&cloud, resolver, name);
        assert_eq!(ask(&here, NAME).as_deref(), Some("east"));
        // The health check has seen the primary healthy, and sees nothing else from now on.
        tokio::task::yield_now().await;
        cloud.route53.set_health(CHECK, false);
        tokio::time::sleep(Duration::from_millis(59_990)).await;
        assert_eq!(ask(&cloud.route53.resolver_of("here"), NAME).as_deref(), Some("east"));
        assert_eq!(ask(&there, NAME).as_deref(), Some("west"));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(ask(&here, NAME).as_deref(), Some("west"));
        assert_eq!(ask(&here, "elsewhere.example.com"), None);
    }

    /// A change of one record set; gives the answer's body or the error's code.
    fn change(cloud: &Cloud, changes: &str) -> Result<String, String> {
        let body = format!(
            "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        call(cloud, "POST", "hostedzone/Z1/rrset", &body)
    }

    fn call(cloud: &Cloud, method: &str, what: &str, body: &str) -> Result<String, String> {
        let (path, _) = what.split_once('?').unwrap_or((what, ""));
        let call = Call {
            service: "route53".to_owned(),
            region: "us-east-1".to_owned(),
            method: method.to_owned(),
            uri: format!("https://route53.amazonaws.com/2013-04-01/{what}"),
            path: format!("/2013-04-01/{path}"),
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let Reply { status, body, .. } = reply_at_once(&*cloud.route53, cloud, &call);
        let body = String::from_utf8(body).unwrap();
        match status {
            200 => Ok(body),
            _ => {
                let error = Element::read(&body).unwrap();
                Err(error.child("Error").unwrap().text_of("Code").unwrap().to_owned())
            }
        }
    }

    fn plain_set(name: &str, target: &str, ttl: u32) -> String {
        let value =
            format!("<ResourceRecords><ResourceRecord><Value>{target}</Value></ResourceRecord></ResourceRecords>");
        format!("<ResourceRecordSet><Name>{name}</Name><Type>CNAME</Type><TTL>{ttl}</TTL>{value}</ResourceRecordSet>")
    }

    fn one(action: &str, set: &str) -> String {
        format!("<Change><Action>{action}</Action>{set}</Change>")
    }

    /// A zone whose one plain name points to the east for 60 s.
    fn plain_world() -> Arc<Cloud> {
        let cloud = world();
        let record = PlainRecord {
            target: "east".to_owned(),
            ttl: Duration::from_secs(60),
        };
        cloud.route53.put_plain_record(ZONE, "plain.example.com", record);
        cloud
    }

    fn answered(cloud: &Cloud) -> String {
        let found = cloud.route53.resolve(cloud, &Resolver::default(), "plain.example.com");
        found.unwrap_or_default()
    }

    fn status(cloud: &Cloud, id: &str) -> Result<String, String> {
        let body = call(cloud, "GET", &format!("change/{id}"), "")?;
        let info = Element::read(&body).unwrap();
        Ok(info.child("ChangeInfo").unwrap().text_of("Status").unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_answered_when_it_is_in_sync_and_not_before() {
        let cloud = plain_world();
        let upsert = one("UPSERT", &plain_set("Plain.example.com.", "west", 60));
        let body = change(&cloud, &upsert).unwrap();
        let info = Element::read(&body).unwrap();
        let id = info.child("ChangeInfo").unwrap().text_of("Id").unwrap();
        let id = id.strip_prefix("/change/").unwrap();
        assert_eq!(status(&cloud, id).as_deref(), Ok("PENDING"));
        let kept = cloud.route53.resolver_of("here");
        tokio::time::sleep(Duration::from_millis(19_900)).await;
        assert_eq!(answered(&cloud), "east");
        let by_kept = || cloud.route53.resolve(&cloud, &kept, "plain.example.com").unwrap();
        assert_eq!(by_kept(), "east");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((answered(&cloud), by_kept()), ("west".to_owned(), "east".to_owned()));
        assert_eq!(status(&cloud, id).as_deref(), Ok("INSYNC"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(by_kept(), "west");
        assert_eq!(status(&cloud, "C1"), Err("NoSuchChange".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_are_forgotten_leave_the_records_as_before() {
        let cloud = plain_world();
        let before = cloud.route53.records(&cloud);
        change(&cloud, &one("UPSERT", &plain_set("plain.example.com", "west", 60))).unwrap();
        assert_ne!(cloud.route53.records(&cloud), before);
        tokio::time::sleep(Duration::from_secs(10)).await;
        cloud.route53.forget_changes(&cloud);
        assert_eq!(status(&cloud, "C00000000000000000001"), Err("NoSuchChange".to_owned()));
        assert_eq!(cloud.route53.records(&cloud), before);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(answered(&cloud), "east");
        // One that is in sync stays.
        change(&cloud, &one("UPSERT", &plain_set("plain.example.com", "west", 60))).unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        cloud.route53.forget_changes(&cloud);
        assert_eq!(status(&cloud, "C00000000000000000002").as_deref(), Ok("INSYNC"));
        assert_eq!(answered(&cloud), "west");
    }

    #[tokio::test(start_paused = true)]
    async fn name_servers_learn_of_changes_in_their_order() {
        let timings = Timings {
            dns_change: Range {
                from: Duration::from_secs(1),
                to: Duration::from_secs(60),
                source: "a test".to_owned(),
            },
            ..Timings::built_in().unwrap()
        };
        let cloud = Cloud::new("123456789012", 7, Clock::starting_at(Timestamp::UNIX_EPOCH), timings);
        let record = PlainRecord {
            target: "0".to_owned(),
            ttl: Duration::from_secs(60),
        };
        cloud.route53.put_plain_record(ZONE, "plain.example.com", record);
        for second in 1..=100 {
            if second <= 20 {
                let upsert = plain_set("plain.example.com", &second.to_string(), 60);
                change(&cloud, &one("UPSERT", &upsert)).unwrap();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            // The newest change that is in sync is the one that is answered.
            let state = lock(&cloud.route53.state);
            let in_sync = state.changes.values().map(|change| change.in_sync_at <= cloud.now());
            let newest = in_sync.enumerate().rfind(|(_, is)| *is);
            let newest = newest.map_or(0, |(index, _)| index + 1);
            drop(state);
            assert_eq!(answered(&cloud), newest.to_string(), "after {second} s");
        }
        assert_eq!(answered(&cloud), "20");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_taken_as_a_whole_or_not_at_all() {
        let cloud = plain_world();
        let before = cloud.route53.records(&cloud);
        let (east, west) = (
            plain_set("plain.example.com", "east", 60),
            plain_set("plain.example.com", "west", 60),
        );
        let new = one("CREATE", &plain_set("new.example.com", "east", 60));
        let invalid = [
            one("CREATE", &west),
            one("DELETE", &west),
            one("DELETE", &plain_set("plain.example.com", "east", 61)),
            one("DELETE", &plain_set("other.example.com", "east", 60)),
            one("DELETE", &east) + &one("DELETE", &east),
            // The name has a failover pair.
            one("CREATE", &plain_set(NAME, "east", 60)),
        ];
        for changes in invalid {
            let refused = change(&cloud, &(new.clone() + &changes));
            assert_eq!(refused, Err("InvalidChangeBatch".to_owned()), "{changes}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(cloud.route53.records(&cloud), before);
        change(&cloud, &(one("DELETE", &east) + &one("CREATE", &west))).unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(answered(&cloud), "west");
    }

    #[tokio::test(start_paused = true)]
    async fn the_control_plane_takes_five_requests_a_second_and_only_what_it_knows() {
        let cloud = plain_world();
        let taken = (0..7)
            .filter(|_| call(&cloud, "GET", "hostedzone/Z1/rrset", "").is_ok())
            .count();
        assert_eq!(taken, 5);
        assert_eq!(change(&cloud, ""), Err("Throttling".to_owned()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(change(&cloud, ""), Err("InvalidInput".to_owned()));
        let typed = one(
            "UPSERT",
            &plain_set("a.example.com", "1.2.3.4", 60).replace("CNAME", "A"),
        );
        assert_eq!(change(&cloud, &typed), Err("NotSimulated".to_owned()));
        let weighted = one(
            "UPSERT",
            &plain_set("a.example.com", "b", 60).replace("<TTL>", "<Weight>1</Weight><TTL>"),
        );
        assert_eq!(change(&cloud, &weighted), Err("NotSimulated".to_owned()));
        let elsewhere = call(&cloud, "GET", "hostedzone/Z2/rrset", "");
        assert_eq!(elsewhere, Err("NoSuchHostedZone".to_owned()));
        assert_eq!(call(&cloud, "GET", "healthcheck/1", ""), Err("NotSimulated".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_listed_by_their_labels_from_the_last() {
        let cloud = plain_world();
        let record = |target: &str| PlainRecord {
            target: target.to_owned(),
            ttl: Duration::from_secs(60),
        };
        for name in ["z.alpha.example.com", "alpha.example.com", "example.net"] {
            cloud.route53.put_plain_record(ZONE, name, record("east"));
        }
        let list = |query: &str| {
            let body = call(&cloud, "GET", &format!("hostedzone/Z1/rrset{query}"), "").unwrap();
            let answer = Element::read(&body).unwrap();
            let sets = &answer.child("ResourceRecordSets").unwrap().children;
            let names = sets.iter().map(|set| set.text_of("Name").unwrap().to_owned());
            let next = answer.text_of("NextRecordName").map(str::to_owned);
            (
                names.collect::<Vec<_>>(),
                next,
                answer.text_of("NextRecordIdentifier").map(str::to_owned),
            )
        };
        let all = [
            "alpha.example.com.",
            "z.alpha.example.com.",
            "plain.example.com.",
            "shop.example.com.",
            "shop.example.com.",
            "example.net.",
        ];
        assert_eq!(list("").0, all);
        let (names, next, identifier) = list("?name=plain.example.com&type=CNAME&maxitems=2");
        assert_eq!(
            (names.as_slice(), next.as_deref()),
            (&all.map(str::to_owned)[2..4], Some(all[4]))
        );
        assert_eq!(identifier.as_deref(), Some("secondary"));
        let rest = list("?name=shop.example.com.&type=CNAME&identifier=secondary");
        assert_eq!((rest.0.as_slice(), rest.1), (&all.map(str::to_owned)[4..], None));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(list("?name=example.net&type=TXT").0, [] as [&str; 0]);
        assert_eq!(
            call(&cloud, "GET", "hostedzone/Z1/rrset?type=CNAME", ""),
            Err("InvalidInput".to_owned())
        );
    }
}
