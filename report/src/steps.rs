//! The steps that no scenario has for itself: those of the recovery machine, and those that any scenario's machine calls.

/// The step that asks people: what follows on it waits for their answer.
pub(crate) const ASKS: &str = "request-approval";

/// The step that ends every execution.
pub(crate) const CLOSES: &str = "close-recovery";

/// What such a step does, for somebody who does not know it.
pub(crate) fn sentence(name: &str) -> Option<&'static str> {
    Some(match name {
        "open-recovery" => "reads the plan, takes the lock, opens the record",
        "announce" => "tells people",
        ASKS => "asks people",
        "check-health" => "asks the public name, as customers do, whether the service is healthy",
        "stop-scenario" => "makes sure that nothing of the scenario's execution is at work",
        CLOSES => "measures, and releases the lock",
        "write-report" => "writes this report",
        _ => return None,
    })
}
