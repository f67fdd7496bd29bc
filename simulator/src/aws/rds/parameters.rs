//! What calls are given, and how they are refused.

use crate::aws::refusal::Refusal;
use std::collections::BTreeMap;
use std::str::FromStr;

pub(super) type Parameters = BTreeMap<String, String>;

/// The engine of every cluster.
pub(super) const ENGINE: &str = "aurora-postgresql";

/// Refuses parameters that the simulator does not know, rather than not to heed them.
pub(super) fn take_only(parameters: &Parameters, known: &[&str]) -> Result<(), Refusal> {
    let unknown = parameters
        .keys()
        .map(|name| name.split('.').next().unwrap_or_default())
        .find(|name| !["Action", "Version"].contains(name) && !known.contains(name));
    match unknown {
        Some(name) => Err(Refusal(
            501,
            "NotSimulated",
            format!("the simulated RDS does not know {name}"),
        )),
        None => Ok(()),
    }
}

/// A number. Errors: AWS's refusal of what is none.
pub(super) fn number<T: FromStr>(parameters: &Parameters, name: &str) -> Result<Option<T>, Refusal> {
    let read = |value: &String| {
        value.parse().map_err(|_| {
            let message = format!("{name} is {value}, and has to be a number");
            Refusal(400, "InvalidParameterValue", message)
        })
    };
    parameters.get(name).map(read).transpose()
}

/// The items of a list, in their order.
pub(super) fn list(parameters: &Parameters, prefix: &str) -> Vec<String> {
    let item = |index: usize| parameters.get(&format!("{prefix}.{index}")).cloned();
    (1..).map_while(item).collect()
}

/// The items of a list of pairs.
pub(super) fn pairs(parameters: &Parameters, prefix: &str, key: &str, value: &str) -> BTreeMap<String, String> {
    let part = |index: usize, name: &str| parameters.get(&format!("{prefix}.{index}.{name}")).cloned();
    let pair = |index: usize| Some((part(index, key)?, part(index, value).unwrap_or_default()));
    (1..).map_while(pair).collect()
}

/// An element around others. What AWS calls a global cluster depends on where it stands.
pub(super) fn element_of(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

pub(super) fn no_cluster(name: &str) -> Refusal {
    Refusal(404, "DBClusterNotFoundFault", format!("DBCluster {name} not found."))
}
