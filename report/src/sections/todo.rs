//! The next steps, the most urgent ones first: what follows from the outcome and the record.

use shared::approval::Answer;
use shared::arn::{self, display_name};
use shared::error::ErrorKind;
use shared::record::{Closing, Warning, WarningCode};
use shared::recovery::{Mode, Outcome};

use crate::account::Account;
use crate::commands::{executions_in, is_plain};
use crate::page::{Block, Text, Todo};
use crate::state::{Known, State};
use crate::story::told::Tale;
use crate::words::count;

/// All next steps, the most urgent ones first.
pub(crate) fn todos(tale: &Tale<'_>, state: &State) -> Vec<Todo> {
    let mut todos = match tale.account.header.ended() {
        None => while_it_runs(tale.account),
        Some(closing) => once_it_has_ended(tale, state, closing),
    };
    todos.sort_by_key(|todo| todo.when);
    todos
}

pub(crate) fn blocks(mode: Mode, todos: Vec<Todo>) -> Vec<Block> {
    if todos.is_empty() {
        return vec![Block::Paragraph("Nothing, as far as the record knows.".into())];
    }
    let caution = match mode {
        Mode::Live => "These commands change the real service. Read what stands over each before you type it.",
        Mode::Drill => "This was a drill, and customers saw no change. These commands would change real resources.",
        Mode::Rehearsal => "This was a rehearsal, and nothing real changed. Type none of these commands now.",
    };
    vec![Block::Warning(caution.into()), Block::Todo(todos)]
}

/// What resumes it. Somebody will paste it into a shell, so that an id that is none of ours makes no command.
fn resume_command(account: &Account) -> Option<String> {
    let id = &account.header.id;
    let is_ours = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_ours.then(|| format!("drctl resume {id}"))
}

/// Who may resume it.
const MAY_RESUME: &str = "whoever is on call, with permission for states:StartExecution and to read the record";

/// Resumes it, and how one sees that it worked.
fn resume(about: &str, account: &Account) -> Todo {
    let todo = Todo::now("Resume this recovery").about(about);
    with_resume(todo, account)
}

fn with_resume(todo: Todo, account: &Account) -> Todo {
    let Some(command) = resume_command(account) else {
        return todo.by(MAY_RESUME);
    };
    todo.by(MAY_RESUME)
        .run("Resume", command)
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
        let about = Text::plain("Answer before ").and_at(asked.expires_at).and(format!(
            ": {answered} of {} have approved. The message that asks ends with the line to type. Silence does not \
             approve: without enough answers the recovery ends.",
            asked.ask.people
        ));
        list.push(Todo::now("Answer the question").about(about));
    }
    let about = Text::plain("Watch it in the console of Step Functions")
        .and(in_region(account))
        .and(", execution ")
        .and_code(arn::name(&account.header.execution))
        .and(
            ". If that has stopped, nobody is told, and its changes stay in place: then, and only then, resume the \
             recovery.",
        );
    let watch = Todo::now("Watch the recovery")
        .about(about)
        .by(MAY_RESUME)
        .run("Look whether it runs", executions_in(account, account.region(), None))
        .run("Only if it has stopped", resume_command(account));
    list.push(watch);
    list
}

fn in_region(account: &Account) -> String {
    match account.region() {
        "" => String::new(),
        region => format!(" in {region}"),
    }
}

fn once_it_has_ended(tale: &Tale<'_>, state: &State, closing: &Closing) -> Vec<Todo> {
    let account = tale.account;
    let mut list = Vec::new();
    list.extend(what_comes_first(account, state, closing));
    list.extend(what_stands(tale, closing.outcome));
    list.extend(tale.story.todos(account, closing));
    list.extend(other_recovery(account, closing));
    list
}

/// What brings the service back, or the rest of it.
fn what_comes_first(account: &Account, state: &State, closing: &Closing) -> Vec<Todo> {
    match closing.outcome {
        Outcome::Recovered => Vec::new(),
        Outcome::Partial => vec![
            Todo::now("Fix what is missing").about("The reason above names it."),
            resume("What is done already is found done, and is not done again.", account),
        ],
        Outcome::Failed | Outcome::RolledBack => {
            let approvals = if account.questions.is_empty() {
                ""
            } else {
                " Approvals hold as long as the question is the same."
            };
            let about =
                format!("Do this after the fix. What is done already is found done, and is not done again.{approvals}");
            vec![fix(account, closing), resume(&about, account)]
        }
        Outcome::Expired => vec![expired(account)],
        Outcome::Preempted => vec![preempted(account)],
        Outcome::Refused => vec![start_anew(
            account,
            state,
            "The reason is above: as long as it holds, a new recovery refuses too. This one cannot be resumed.",
        )],
        Outcome::Declined => vec![start_anew(
            account,
            state,
            "A person declined this one. Agree with them first: a new recovery asks again. This one cannot be resumed.",
        )],
    }
}

/// Starts another recovery of the same scenario. Without an outage it is needed only if somebody says so.
fn start_anew(account: &Account, state: &State, about: &str) -> Todo {
    let scenario = account.header.scenario.name();
    let start = match account.region() {
        "" => None,
        region if is_plain(region) => Some(format!("drctl start {scenario} --region {region}")),
        _ => None,
    };
    let todo = match state.service_back {
        Some(Known::NotKnown)
            if account
                .header
                .ended()
                .is_some_and(|closing| closing.outcome == Outcome::Refused) =>
        {
            Todo::now("Fix the reason, then start a new recovery")
        }
        Some(Known::NotKnown) => Todo::now("Start a new recovery if customers are without the service"),
        _ => Todo::today("Start a new recovery, only if one is needed"),
    };
    todo.about(about)
        .by("whoever is on call, with permission to start recoveries")
        .run(
            "Read what to do if it does not start",
            format!("drctl runbook {scenario}"),
        )
        .run("Start a new one", start)
        .done("its message says recovered.")
}

/// What failed is to be fixed; if a permission is missing, by somebody who may give it.
fn fix(account: &Account, closing: &Closing) -> Todo {
    let title = match &closing.failed_state {
        Some(state) => format!("Fix what stopped {state}"),
        None => "Fix what failed".to_owned(),
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
    Todo::now(title)
        .about("The reason is above.")
        .by(who)
        .run("See the failed call, word for word", look)
        .done("that state succeeds after the recovery is resumed.")
}

/// A new recovery may ask the same meanwhile: two must not be answered side by side.
fn expired(account: &Account) -> Todo {
    let about = "First wake those who can answer. If a new recovery has asked them meanwhile, answer that one and leave this \
                 one. Otherwise resume this one: it asks the same again, and answers that were given count.";
    with_resume(
        Todo::now("Resume this recovery, unless a new one asks already").about(about),
        account,
    )
}

/// The recovery that took over comes first; this one may be resumed only after it.
fn preempted(account: &Account) -> Todo {
    let watch = match &account.taken_over_by {
        Some(other) => Text::plain("It is ")
            .and_code(other.id.as_str())
            .and(", started by ")
            .strong(display_name(&other.trigger.by))
            .and(", opened at ")
            .and_at(other.opened_at)
            .and("."),
        None => "Find out which recovery holds the lock now; the record does not name it.".into(),
    };
    let watch = watch.and(
        " This recovery changes nothing more, and takes nothing back. Resume it only if the service is still down after \
         the other one has ended.",
    );
    with_resume(Todo::now("Watch the recovery that took over").about(watch), account)
}

fn what_stands(tale: &Tale<'_>, outcome: Outcome) -> Option<Todo> {
    let notes = tale.account.undo.iter();
    let stands = notes.filter(|undo| undo.taken_back_at.is_none()).count();
    // What stands after a recovery is what was wanted.
    if stands == 0 || outcome == Outcome::Recovered {
        return None;
    }
    let title = format!(
        "Know the {} not taken back",
        count(stands, "change that was", "changes that were")
    );
    Some(Todo::now(title).about(tale.story.where_changes_stand()))
}

/// The other Region did not answer when it was asked for a recovery of its own.
fn other_recovery(account: &Account, closing: &Closing) -> Option<Todo> {
    let mut warnings = closing.evidence.as_object()?.values().flat_map(Warning::all_in);
    let unseen = warnings.find(|warning| warning.code == WarningCode::OtherRegionUnseen)?;
    let other = unseen.region.as_deref().or_else(|| account.other_region())?;
    Some(
        Todo::today(format!("Check that {other} runs no recovery of its own"))
            .about("It did not answer at the start. Look as soon as it answers.")
            .by(format!(
                "whoever is on call, with permission for states:ListExecutions in {other}"
            ))
            .run("Look", executions_in(account, other, Some("RUNNING")))
            .done("the list is empty."),
    )
}
