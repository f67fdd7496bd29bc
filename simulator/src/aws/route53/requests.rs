//! The control plane.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::records::{CNAME, Place, RecordSet, apply, only};
use super::refusal::{invalid_input, no_such_zone, not_simulated};
use super::state::{Change, Route53, State};
use crate::aws::refusal::Refusal;
use crate::aws::wire::{Call, Reply, UNKNOWN, element};
use crate::aws::xml::Element;
use crate::environment::Environment;
use crate::lock::lock;

/// The most record sets in one answer. Source: Route 53 API Reference, ListResourceRecordSets, maxitems.
pub(super) const PAGE: usize = 300;

impl Route53 {
    pub(super) fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
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
    /// `ChangeResourceRecordSets`: all the changes of the batch, or none.
    pub(super) fn change(&mut self, environment: &Environment, zone_id: &str, body: &[u8]) -> Result<String, Refusal> {
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

    pub(super) fn get_change(&self, id: &str, now: Timestamp) -> Result<String, Refusal> {
        match self.changes.get(id) {
            Some(change) => Ok(change.xml(id, now)),
            None => {
                let message = format!("Could not find resource with ID: {id}");
                Err(Refusal(404, "NoSuchChange", message))
            }
        }
    }

    /// `ListResourceRecordSets`, from the place that name, type and identifier say.
    pub(super) fn list(&self, zone_id: &str, query: &str) -> Result<String, Refusal> {
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

impl Change {
    pub(super) fn xml(&self, id: &str, now: Timestamp) -> String {
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
