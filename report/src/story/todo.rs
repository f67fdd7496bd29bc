//! What is left to be done, and how to go on: what follows from the outcome and the record.

use serde_json::Value;
use shared::approval::Answer;
use shared::measure::RpoStatus;
use shared::record::Closing;
use shared::recovery::Outcome;

use crate::page::{Block, Text, Todo};
use crate::words::{length, name};
use crate::{Account, Asked};

pub(crate) fn blocks(account: &Account) -> Vec<Block> {
    let todo = match account.header.ended() {
        None => while_it_runs(account),
        Some(closing) => once_it_has_ended(account, closing),
    };
    if todo.is_empty() {
        return vec![Block::Paragraph("Nothing, as far as the record knows.".into())];
    }
    vec![Block::Todo(todo)]
}

/// A question that people can still answer, as far as the record knows.
pub(crate) fn open_question(account: &Account) -> Option<&Asked> {
    let runs = account.header.ended().is_none();
    let open = |asked: &&Asked| asked.settled.is_none() && asked.expires_at > account.known_until();
    account.questions.iter().rev().find(open).filter(|_| runs)
}

fn todo(what: impl Into<Text>) -> Todo {
    Todo {
        what: what.into(),
        command: None,
    }
}

/// What goes on with it. Somebody will paste it into a shell, so that an id that is none of ours makes no command.
fn resume(account: &Account) -> Option<String> {
    let id = &account.header.id;
    let is_ours = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_ours.then(|| format!("drctl resume {id}"))
}

fn while_it_runs(account: &Account) -> Vec<Todo> {
    let mut list = Vec::new();
    if let Some(asked) = open_question(account) {
        let answered = asked
            .answers
            .iter()
            .filter(|answer| answer.answer == Answer::Approve)
            .count();
        list.push(todo(
            Text::default()
                .strong("Answer the question")
                .and(", before ")
                .and_at(asked.expires_at)
                .and(format!(
                    ": {answered} of {} have approved. The message that asks it ends with the line to type. Silence \
                     does not approve: unanswered, the recovery ends.",
                    asked.ask.people
                )),
        ));
    }
    list.push(todo(
        Text::plain("Watch it in the console of Step Functions")
            .and(in_region(account))
            .and(", execution ")
            .and_code(name(&account.header.execution))
            .and(". If that has stopped, nobody is told, and what it changed stands: go on with it."),
    ));
    if let Some(last) = list.last_mut() {
        last.command = resume(account);
    }
    list
}

fn in_region(account: &Account) -> String {
    match account.region() {
        "" => String::new(),
        region => format!(" in {region}"),
    }
}

fn once_it_has_ended(account: &Account, closing: &Closing) -> Vec<Todo> {
    let is_back = matches!(closing.outcome, Outcome::Recovered | Outcome::Partial);
    let mut list = Vec::new();
    list.extend(first(account, closing));
    list.extend(what_stands(account, closing.outcome));
    if is_back || closing.outcome == Outcome::Failed {
        list.extend(fence(account));
    }
    if is_back {
        list.extend(lost_writes(closing));
        list.extend(afterwards(account));
    }
    list.extend(notes(closing));
    list
}

/// How to go on.
fn first(account: &Account, closing: &Closing) -> Option<Todo> {
    let with_command = |text: &str| Todo {
        what: text.into(),
        command: resume(account),
    };
    Some(match closing.outcome {
        Outcome::Recovered => return None,
        Outcome::Partial => with_command("Mend what is missing, which is named above, then go on with it:"),
        Outcome::Failed | Outcome::RolledBack => with_command(
            "Mend what failed, which is named above, then go on with it. What is done answers at once, and approvals \
             hold as long as the question is the same:",
        ),
        Outcome::Expired => with_command(
            "If it is still needed, wake those who can answer, then go on with it. It asks the same again, and \
             answers that were given count:",
        ),
        Outcome::Preempted => return Some(preempted(account)),
        Outcome::Refused => todo(
            "Read the reason: it says what to do. If a recovery is needed after all, start a new one; \
             this one cannot be gone on with.",
        ),
        Outcome::Declined => todo(
            "Nothing, unless a recovery is needed after all: then start a new one; this one cannot be gone on with.",
        ),
    })
}

/// The recovery that took over comes first; this one may be gone on with only after it.
fn preempted(account: &Account) -> Todo {
    let watch = match &account.taken_over_by {
        Some(other) => Text::plain("Watch the recovery that took over: ")
            .and_code(other.id.as_str())
            .and(", started by ")
            .strong(name(&other.trigger.by))
            .and(", opened at ")
            .and_at(other.opened_at)
            .and("."),
        None => "Find out which recovery holds the lock now, and watch that one; the record does not name it.".into(),
    };
    Todo {
        what: watch.and(
            " This one changes nothing more, not even back. If the service is not back when that one has ended, this one \
             can be gone on with:",
        ),
        command: resume(account),
    }
}

fn what_stands(account: &Account, outcome: Outcome) -> Option<Todo> {
    let stands = account.undo.iter().filter(|undo| undo.taken_back_at.is_none()).count();
    // What stands after a recovery is what was wanted.
    if stands == 0 || outcome == Outcome::Recovered {
        return None;
    }
    let changes = if stands == 1 {
        "1 change stands".to_owned()
    } else {
        format!("{stands} changes stand")
    };
    Some(todo(format!(
        "{changes}: below it is said for each how it is taken back. Where the database has moved or is on its way, go \
         forward and take nothing back: two Regions would take writes."
    )))
}

/// What to do about a fence that is not known to hold.
fn fence(account: &Account) -> Option<Todo> {
    let unconfirmed = account.found("confirmed")?.as_bool() == Some(false);
    unconfirmed.then(|| {
        todo(Text::default().strong("The other Region may still take writes. ").and(
            "It is not confirmed that it was shut off; its parts are listed under \u{201C}What it went \
                     by\u{201D}. As soon as it answers, look at each of them and shut off what is open: what is \
                     written there is lost.",
        ))
    })
}

fn lost_writes(closing: &Closing) -> Vec<Todo> {
    let achieved = &closing.achieved;
    let mut list = Vec::new();
    match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::Unmeasured, _) => list.push(todo(Text::default().strong("Find out what was lost. ").and(
            "It was not measured: compare the data of the Region that was left, as soon as it can be read, with \
                 what is here, and with what customers report.",
        ))),
        (RpoStatus::Measured, Some(seconds)) if seconds > 0.0 => list.push(todo(format!(
            "What was written in about the last {} before the loss is not here. Compare the data of the Region that \
             was left, as soon as it can be read, with what customers report.",
            length(seconds)
        ))),
        _ => {}
    }
    if let Some(seconds) = achieved.old_side_wrote_seconds {
        list.push(todo(
            Text::default().strong("Bring over what the other Region went on writing. ").and(format!(
                "It took writes for at least {} after the decision; they are there and not here. Its data is replaced \
                 when it is synchronised again: keep a copy before.",
                length(seconds)
            )),
        ));
    }
    list
}

/// What remains after the workload has moved from one Region to another.
fn afterwards(account: &Account) -> Vec<Todo> {
    let here = in_region(account);
    match account.found("way").and_then(Value::as_str) {
        Some("failover") => vec![
            todo(
                Text::default().strong("There is nowhere to go now. ").and(
                    "Until the other Region is synchronised again, another loss has no second Region. That begins by \
                     itself once it is healthy, and takes minutes to hours.",
                ),
            ),
            Todo {
                what: Text::default().strong("Nothing watches the Region that serves now. ").and(format!(
                    "The alarms would move the service{}, where it already is. If that lasts, keep them from starting \
                     anything:",
                    if here.is_empty() { " to the Region that took over".to_owned() } else { here.replacen(" in ", " to ", 1) }
                )),
                command: Some("drctl automation off --reason 'the recovery Region serves'".to_owned()),
            },
            Todo {
                what: "Plan the way back, in a quiet hour, once the other Region is synchronised: a planned move, \
                       which loses nothing. Rehearse it first:"
                    .into(),
                command: Some("drctl rehearse region-return".to_owned()),
            },
        ],
        Some("switchover") => vec![todo(format!(
            "The workload was moved{}; the other Region is shut off and follows. See that alarms start recoveries \
             where you want them: drctl automation status.",
            if here.is_empty() { " here".to_owned() } else { here.replacen(" in ", " to ", 1) }
        ))],
        _ => Vec::new(),
    }
}

/// What the steps want a person to know.
fn notes(closing: &Closing) -> Vec<Todo> {
    let parts = closing
        .evidence
        .as_object()
        .into_iter()
        .flat_map(|parts| parts.values());
    let lists = parts.filter_map(|part| part.get("warnings")?.as_array());
    let notes = lists.flatten().filter_map(Value::as_str);
    notes.map(|note| todo(format!("Take note: {note}."))).collect()
}
