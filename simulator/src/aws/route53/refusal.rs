//! How a call is refused.

use crate::aws::refusal::Refusal;

pub(super) fn not_simulated(what: &str) -> Refusal {
    let message = format!("the simulated Route 53 does not know {what}");
    Refusal(501, "NotSimulated", message)
}

pub(super) fn invalid_input(message: &str) -> Refusal {
    Refusal(400, "InvalidInput", message.to_owned())
}

pub(super) fn no_such_zone(id: &str) -> Refusal {
    let message = format!("No hosted zone found with ID: {id}");
    Refusal(404, "NoSuchHostedZone", message)
}
