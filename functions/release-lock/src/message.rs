//! What people are told of a recovery whose execution ended without closing it, or without telling how it was closed.

use shared::record::{Closing, Header, Released, Undo, Untold};

/// How many changes a message lists: it must stay one that is read. The record has them all.
const CHANGES_LISTED: usize = 30;

/// What the message is about, in a few words: how the recovery ended, where it was closed.
pub(crate) fn subject(untold: &Untold, header: Option<&Header>) -> String {
    match (&untold.released, closing_of(untold, header)) {
        (Released::Closing, Some(closing)) => format!(
            "a recovery ended as {}, and may not have been announced",
            closing.outcome
        ),
        (Released::Another { .. }, Some(closing)) => {
            format!("a recovery ended as {}, but kept its lock", closing.outcome)
        }
        (_, None) => "a recovery ended without being closed".to_owned(),
    }
}

/// The message. `status` is how the execution ended, as Step Functions has it; `header` is the recovery's, if it was
/// opened; `notes` are its undo notes.
pub(crate) fn text(untold: &Untold, status: Option<&str>, header: Option<&Header>, notes: &[Undo]) -> String {
    let recovery = &untold.recovery;
    let status = status.unwrap_or("no longer known to Step Functions");
    let mut lines = vec![match (&untold.released, closing_of(untold, header)) {
        (Released::Closing, Some(closing)) => format!(
            "Recovery {} was closed as {}. Its execution is {status}, and the record has no announcement of that.",
            recovery.id, closing.outcome
        ),
        (Released::Another { .. }, Some(closing)) => format!(
            "The execution of recovery {} is {status}, and did not release its lock; the recovery was closed as {}.",
            recovery.id, closing.outcome
        ),
        (_, None) => format!(
            "The execution of recovery {} is {status}, and did not close it.",
            recovery.id
        ),
    }];
    if let Some(header) = header.filter(|header| header.execution != recovery.execution) {
        lines.push(format!("It was resumed since, by execution {}.", header.execution));
        lines.push("That execution may still change things. Watch it in Step Functions.".to_owned());
    } else {
        lines.push("Its lock was released, so another recovery may start. Nothing else was changed.".to_owned());
        lines.push(String::new());
        lines.extend(what_stands(notes));
        lines.push(how_to_go_on(header, &recovery.id));
    }
    lines.push(format!(
        "\nRecovery {}\nExecution {}\n",
        recovery.id, recovery.execution
    ));
    lines.join("\n")
}

/// How people resume recovery `id`, or why they cannot.
fn how_to_go_on(header: Option<&Header>, id: &str) -> String {
    match header {
        Some(header) if may_be_resumed(header) => format!("Resume it: drctl resume {id}"),
        Some(_) => "It cannot be resumed.".to_owned(),
        None => "It was not opened and cannot be resumed; start a new one if it is needed.".to_owned(),
    }
}

/// How the execution that is told of closed its recovery, also where it was resumed since.
pub(crate) fn closing_of<'a>(untold: &Untold, header: Option<&'a Header>) -> Option<&'a Closing> {
    header.and_then(|header| header.ended_by(&untold.recovery.execution))
}

/// What was changed and not taken back, each with how it is taken back.
fn what_stands(notes: &[Undo]) -> Vec<String> {
    let stands: Vec<&Undo> = notes.iter().filter(|undo| undo.taken_back_at.is_none()).collect();
    if stands.is_empty() {
        return vec!["None of its changes remain.".to_owned(), String::new()];
    }
    let mut lines = vec!["These changes, made or about to be made, remain:".to_owned()];
    lines.extend(stands.iter().take(CHANGES_LISTED).map(|undo| {
        let how = undo.taken_back_by.as_deref().unwrap_or("nothing; it is permanent");
        format!("- {}: {}; taken back by: {how}", undo.step, undo.resource)
    }));
    if let Some(more @ 1..) = stands.len().checked_sub(CHANGES_LISTED) {
        lines.push(format!("- and {more} more; see the undo notes in the record"));
    }
    lines.push(String::new());
    lines
}

fn may_be_resumed(header: &Header) -> bool {
    header.ended().is_none_or(|closing| closing.outcome.may_be_resumed())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::record::{Resource, ResourceKind};
    use shared::recovery::{Mode, Outcome, RecoveryRef};

    use super::*;

    const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:region-switch:one";

    fn untold(released: Released) -> Untold {
        Untold {
            recovery: RecoveryRef {
                id: "r".to_owned(),
                workload: "shop".to_owned(),
                token: 3,
                execution: EXECUTION.to_owned(),
            },
            mode: Mode::Live,
            released,
            at: "2026-01-06T03:00:00Z".parse().unwrap(),
        }
    }

    fn outlived(status: Option<&str>, header: Option<&Header>, notes: &[Undo]) -> String {
        let status = status.map(str::to_owned);
        let untold = untold(Released::Another { status: status.clone() });
        text(&untold, status.as_deref(), header, notes)
    }

    #[test]
    fn what_was_closed_and_not_told_is_told() {
        let untold = untold(Released::Closing);
        let text = text(&untold, Some("ABORTED"), Some(&header(Some(Outcome::Recovered))), &[]);
        assert!(
            text.starts_with(
                "Recovery r was closed as recovered. Its execution is ABORTED, and the record has no announcement"
            ),
            "{text}"
        );
        assert!(!text.contains("did not release its lock"), "{text}");
        let subject = |released, outcome: Option<Outcome>| subject(&self::untold(released), Some(&header(outcome)));
        let another = || Released::Another { status: None };
        assert_eq!(
            [
                subject(Released::Closing, Some(Outcome::Recovered)),
                subject(another(), Some(Outcome::Failed)),
                subject(another(), None),
            ],
            [
                "a recovery ended as recovered, and may not have been announced",
                "a recovery ended as failed, but kept its lock",
                "a recovery ended without being closed",
            ]
        );
    }

    fn header(outcome: Option<Outcome>) -> Header {
        let at = "2026-01-06T03:00:00Z";
        let closing = outcome.map(|outcome| {
            json!({
                "execution": EXECUTION, "outcome": outcome, "reason": null, "closed_at": at, "evidence": null,
                "observed": shared::measure::Observed::default(),
                "achieved": shared::measure::achieved(&shared::measure::Observed::default()),
                "met": { "rto": "missed", "rpo": "missed" },
            })
        });
        let header = json!({
            "id": "r", "workload": "shop", "scenario": "region-failure", "mode": "live", "wants": { "intent": "decide" },
            "trigger": { "kind": "person", "by": "arn:p", "at": at }, "plan_sha256": "abc",
            "objectives": { "rto": { "target": "1h", "maximum": "4h" }, "rpo": null },
            "opened_at": at, "execution": EXECUTION, "closing": closing,
        });
        serde_json::from_value(header).unwrap()
    }

    #[test]
    fn an_end_of_what_was_resumed_is_told_with_what_runs_it_now() {
        let another = EXECUTION.replace(":one", ":two");
        let mut resumed = header(Some(Outcome::Failed));
        resumed.execution = another.clone();
        resumed.earlier.extend(resumed.closing.take());
        let untold = untold(Released::Closing);
        let said = text(&untold, Some("FAILED"), Some(&resumed), &[]);
        assert!(said.contains("closed as failed") && said.contains(&another), "{said}");
        assert!(
            !said.contains("lock was released") && !said.contains("drctl resume"),
            "{said}"
        );
        assert_eq!(
            subject(&untold, Some(&resumed)),
            "a recovery ended as failed, and may not have been announced"
        );
    }

    fn undo(resource: &str, by: Option<&str>, taken_back: bool) -> Undo {
        Undo {
            step: "fence-region".to_owned(),
            resource: Resource::new(ResourceKind::Function, resource),
            previous: Value::Null,
            taken_back_by: by.map(str::to_owned),
            by_hand: None,
            taken_back_at: taken_back.then(|| "2026-01-06T03:00:00Z".parse().unwrap()),
        }
    }

    #[test]
    fn it_says_how_it_ended_what_stands_and_how_to_go_on() {
        let notes = [
            undo("stage v2", Some("opening it"), false),
            undo("cluster", None, false),
            undo("router", Some("letting it run"), true),
        ];
        let text = outlived(Some("ABORTED"), Some(&header(None)), &notes);
        for part in [
            "recovery r is ABORTED, and did not close it",
            "- fence-region: stage v2; taken back by: opening it",
            "- fence-region: cluster; taken back by: nothing; it is permanent",
            "drctl resume r",
            EXECUTION,
        ] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        assert!(!text.contains("router"), "{text}");
    }

    #[test]
    fn it_offers_to_go_on_only_where_that_can_be() {
        let said = |header: Option<&Header>| outlived(None, header, &[]);
        assert!(said(None).contains("cannot be resumed"));
        assert!(said(None).contains("no longer known to Step Functions"));
        assert!(said(Some(&header(Some(Outcome::Recovered)))).contains("It cannot be resumed"));
        let failed = said(Some(&header(Some(Outcome::Failed))));
        assert!(
            failed.contains("closed as failed") && failed.contains("drctl resume r"),
            "{failed}"
        );
        assert!(failed.contains("None of its changes remain"));
    }

    #[test]
    fn a_message_stays_short() {
        let notes: Vec<Undo> = (0..100).map(|n| undo(&n.to_string(), None, false)).collect();
        let text = outlived(Some("FAILED"), Some(&header(None)), &notes);
        assert!(text.contains("- and 70 more"), "{text}");
        assert!(text.lines().count() < 45);
    }
}
