//! What is left to be done, and how to go on: what follows from the outcome and the record.

use shared::approval::Answer;
use shared::arn::{self, display_name};
use shared::error::ErrorKind;
use shared::record::{Closing, Warning, WarningCode};
use shared::recovery::Outcome;

use crate::account::Account;
use crate::commands::{executions_in, is_plain};
use crate::page::{Block, Text, Todo};
use crate::story::told::Tale;

pub(crate) fn blocks(tale: &Tale<'_>) -> Vec<Block> {
    let account = tale.account;
    let todo = match account.header.ended() {
        None => while_it_runs(account),
        Some(closing) => once_it_has_ended(tale, closing),
    };
    if todo.is_empty() {
        return vec![Block::Paragraph("Nothing, as far as the record knows.".into())];
    }
    vec![Block::Todo(todo)]
}

/// What goes on with it. Somebody will paste it into a shell, so that an id that is none of ours makes no command.
fn resume(account: &Account) -> Option<String> {
    let id = &account.header.id;
    let is_ours = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_ours.then(|| format!("drctl resume {id}"))
}

/// Who may go on with it.
const MAY_RESUME: &str = "whoever is on call, with permission for states:StartExecution and to read the record";

/// With what goes on with it, and how that is seen.
fn with_resume(todo: Todo, account: &Account) -> Todo {
    let Some(command) = resume(account) else {
        return todo.by(MAY_RESUME);
    };
    todo.by(MAY_RESUME)
        .run("Go on with it", command)
        .run("Look how far it is", executions_in(account, account.region(), None))
        .done("the newest execution says SUCCEEDED, and the message says that the service is back.")
}

fn while_it_runs(account: &Account) -> Vec<Todo> {
    let mut list = Vec::new();
    if let Some(asked) = account.open_question() {
        let answered = asked
            .answers
            .iter()
            .filter(|answer| answer.answer == Answer::Approve)
            .count();
        list.push(Todo::new(
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
    let watch = Todo::new(
        Text::plain("Watch it in the console of Step Functions")
            .and(in_region(account))
            .and(", execution ")
            .and_code(arn::name(&account.header.execution))
            .and(". If that has stopped, nobody is told, and what it changed stands: then, and only then, go on with it."),
    )
    .by(MAY_RESUME)
    .run("Look whether it runs", executions_in(account, account.region(), None))
    .run("Only if it has stopped", resume(account));
    list.push(watch);
    list
}

fn in_region(account: &Account) -> String {
    match account.region() {
        "" => String::new(),
        region => format!(" in {region}"),
    }
}

fn once_it_has_ended(tale: &Tale<'_>, closing: &Closing) -> Vec<Todo> {
    let account = tale.account;
    let mut list = Vec::new();
    list.extend(first(account, closing));
    list.extend(what_stands(tale, closing.outcome));
    list.extend(tale.story.todos(account, closing));
    list.extend(other_recovery(account, closing));
    list
}

/// How to go on.
fn first(account: &Account, closing: &Closing) -> Vec<Todo> {
    let go_on = |text: &str| with_resume(Todo::new(text), account);
    match closing.outcome {
        Outcome::Recovered => Vec::new(),
        Outcome::Partial => vec![go_on("Mend what is missing, which is named above, then go on with it.")],
        Outcome::Failed | Outcome::RolledBack => {
            let approvals = if account.questions.is_empty() {
                ""
            } else {
                " Approvals hold as long as the question is the same."
            };
            vec![
                mend(account, closing),
                go_on(&format!(
                    "Then go on with it. What is done already is found done and not done again.{approvals}"
                )),
            ]
        }
        Outcome::Expired => vec![go_on(
            "If it is still needed, wake those who can answer, then go on with it. It asks the same again, and answers \
             that were given count.",
        )],
        Outcome::Preempted => vec![preempted(account)],
        Outcome::Refused => vec![Todo::new(
            "Read the reason: it says what to do. If a recovery is needed after all, start a new one; \
             this one cannot be gone on with.",
        )],
        Outcome::Declined => vec![Todo::new(
            "Nothing, unless a recovery is needed after all: then start a new one; this one cannot be gone on with.",
        )],
    }
}

/// What failed has to be mended; where a permission is missing, by somebody who may give it.
fn mend(account: &Account, closing: &Closing) -> Todo {
    let what = match &closing.failed_state {
        Some(state) => Text::default()
            .strong(format!("Mend what failed: {state}"))
            .and(". Why is said at the top."),
        None => Text::default()
            .strong("Mend what failed")
            .and(", which is named at the top."),
    };
    let is_denied = closing.failed_as.as_deref() == Some(ErrorKind::Denied.name());
    let who = if is_denied {
        "somebody who may change the role of that state's function (iam:PutRolePolicy); the record does not name the role"
    } else {
        "whoever is on call, with those who own what it names"
    };
    let execution = Some(&closing.execution).filter(|execution| is_plain(execution) && is_plain(account.region()));
    let look = execution.map(|execution| {
        format!(
            "aws stepfunctions get-execution-history --region {} --execution-arn {execution} --reverse-order \
             --max-results 20",
            account.region()
        )
    });
    Todo::new(what)
        .by(who)
        .run("Look: the failed call, word for word", look)
        .done("that state ends well once the recovery is gone on with.")
}

/// The recovery that took over comes first; this one may be gone on with only after it.
fn preempted(account: &Account) -> Todo {
    let watch = match &account.taken_over_by {
        Some(other) => Text::plain("Watch the recovery that took over: ")
            .and_code(other.id.as_str())
            .and(", started by ")
            .strong(display_name(&other.trigger.by))
            .and(", opened at ")
            .and_at(other.opened_at)
            .and("."),
        None => "Find out which recovery holds the lock now, and watch that one; the record does not name it.".into(),
    };
    let watch = watch.and(
        " This one changes nothing more, not even back. If the service is not back when that one has ended, this one can \
         be gone on with.",
    );
    with_resume(Todo::new(watch), account)
}

fn what_stands(tale: &Tale<'_>, outcome: Outcome) -> Option<Todo> {
    let notes = tale.account.undo.iter();
    let stands = notes.filter(|undo| undo.taken_back_at.is_none()).count();
    // What stands after a recovery is what was wanted.
    if stands == 0 || outcome == Outcome::Recovered {
        return None;
    }
    let changes = if stands == 1 {
        "1 change stands".to_owned()
    } else {
        format!("{stands} changes stand")
    };
    Some(Todo::new(format!("{changes}. {}", tale.story.where_changes_stand())))
}

/// Whether the other Region runs a recovery of its own was not seen at the start.
fn other_recovery(account: &Account, closing: &Closing) -> Option<Todo> {
    let mut warnings = closing.evidence.as_object()?.values().flat_map(Warning::all_in);
    let unseen = warnings.find(|warning| warning.code == WarningCode::OtherRegionUnseen)?;
    let other = unseen.region.as_deref().or_else(|| account.other_region())?;
    Some(
        Todo::new(format!(
            "See that {other} runs no recovery of its own, as soon as it answers: its lock could not be seen at the start."
        ))
        .by(format!("whoever is on call, with permission for states:ListExecutions in {other}"))
        .run("Look", executions_in(account, other, Some("RUNNING")))
        .done("the list is empty."),
    )
}
