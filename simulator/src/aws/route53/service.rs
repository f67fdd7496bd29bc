//! Route 53 as a service.

use std::borrow::Cow;
use std::sync::Arc;

use super::state::Route53;
use crate::aws::quota::Quota;
use crate::aws::resources::{Resource, is_plain};
use crate::aws::service::{Answer, Parts, Protocol, Service, parts};
use crate::aws::wire::Call;
use crate::aws::xml::Element;
use crate::environment::Environment;

impl Service for Route53 {
    fn endpoint(&self) -> Option<&'static str> {
        Some("route53")
    }

    /// There is one host for the whole world, beside those of Regions.
    fn region_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        match host.strip_suffix(".amazonaws.com")?.rsplit_once('.') {
            None => (host == "route53.amazonaws.com").then_some("us-east-1"),
            Some((name, region)) => (name.rsplit('.').next() == self.endpoint()).then_some(region),
        }
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        operation(call).map(Cow::Borrowed)
    }

    fn touched(&self, _: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        let mut parts = call.path.trim_matches('/').split('/').skip(1);
        let (kind, id) = (parts.next()?, parts.next()?);
        if !matches!(kind, "change" | "healthcheck" | "hostedzone") || !is_plain(id) {
            return None;
        }
        let touched = Resource::new(format!("arn:aws:route53:::{kind}/{id}"));
        if operation != "ChangeResourceRecordSets" {
            return Some(vec![touched]);
        }
        // Keys and forms: Route 53 Developer Guide, "Using IAM policy conditions for fine-grained access control".
        let request = Element::read(std::str::from_utf8(&call.body).ok()?)?;
        let changes = &request.child("ChangeBatch")?.child("Changes")?.children;
        let texts = |name: &str| {
            let sets = changes.iter().filter_map(|change| change.child("ResourceRecordSet"));
            let each = sets.filter_map(|set| set.text_of(name)).map(str::to_owned);
            each.collect::<Vec<String>>()
        };
        let actions = changes.iter().filter_map(|change| change.text_of("Action"));
        let names = texts("Name").into_iter();
        let touched = touched
            .with(
                "route53:ChangeResourceRecordSetsNormalizedRecordNames",
                names.map(|name| name.trim_end_matches('.').to_ascii_lowercase()),
            )
            .with("route53:ChangeResourceRecordSetsRecordTypes", texts("Type"))
            .with("route53:ChangeResourceRecordSetsActions", actions.map(str::to_owned));
        Some(vec![touched])
    }

    fn quota(&self, _: &str) -> Option<&Quota> {
        Some(&self.quota)
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    fn snapshot(&self, environment: &Environment) -> Parts {
        parts([("records", self.records(environment))])
    }
}

fn operation(call: &Call) -> Option<&'static str> {
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("POST", ["2013-04-01", "hostedzone", _, "rrset"]) => Some("ChangeResourceRecordSets"),
        ("GET", ["2013-04-01", "hostedzone", _, "rrset"]) => Some("ListResourceRecordSets"),
        ("GET", ["2013-04-01", "change", _]) => Some("GetChange"),
        _ => None,
    }
}
