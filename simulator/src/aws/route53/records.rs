//! Record sets, and how a batch of changes applies to them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::refusal::{invalid_input, not_simulated};
use crate::aws::refusal::Refusal;
use crate::aws::wire::element;
use crate::aws::xml::Element;

/// The only type of record that is simulated.
pub(super) const CNAME: &str = "CNAME";

pub(super) type RecordSets = BTreeMap<Place, RecordSet>;

/// Where a record set stands in a zone: by its name with the labels reversed, then by its identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) labels: Vec<String>,
    pub(super) identifier: String,
}

impl Place {
    pub(super) fn new(name: &str, identifier: &str) -> Self {
        Self {
            labels: plain(name).rsplit('.').map(str::to_owned).collect(),
            identifier: identifier.to_owned(),
        }
    }
}

/// One CNAME record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordSet {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) ttl: Duration,
    pub(super) failover: Option<Failover>,
}

/// A record set's place in a failover pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failover {
    pub(super) identifier: String,
    pub(super) is_primary: bool,
    pub(super) health_check: Option<String>,
}

/// One change of a batch.
pub(super) fn apply(records: &mut RecordSets, action: &str, set: RecordSet) -> Result<(), Refusal> {
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
    pub(super) fn place(&self) -> Place {
        let identifier = self.failover.as_ref().map(|failover| failover.identifier.as_str());
        Place::new(&self.name, identifier.unwrap_or_default())
    }

    pub(super) fn read(set: &Element) -> Result<Self, Refusal> {
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

    pub(super) fn xml(&self) -> String {
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
    pub(super) fn role(&self) -> &'static str {
        if self.is_primary { "PRIMARY" } else { "SECONDARY" }
    }
}

/// A name without the dot at its end, in lower case.
pub(super) fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Refuses children that the simulator does not know, rather than not to heed them.
pub(super) fn only<'a>(element: &'a Element, known: &[&str]) -> Result<&'a Element, Refusal> {
    let mut children = element.children.iter();
    match children.find(|child| !known.contains(&child.name.as_str())) {
        Some(child) => Err(not_simulated(&format!("{} in {}", child.name, element.name))),
        None => Ok(element),
    }
}
