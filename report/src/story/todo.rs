//! What is left to be done, and how to go on: what follows from the outcome and the record.

use serde_json::Value;
use shared::approval::Answer;
use shared::arn;
use shared::error::ErrorKind;
use shared::measure::RpoStatus;
use shared::record::Closing;
use shared::recovery::Outcome;

use super::fence::{self, is_plain};
use crate::page::{Block, Text, Todo};
use crate::timeline::cause;
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

/// What lists the executions of the same machine in a Region.
fn executions_in(account: &Account, region: &str, status: Option<&str>) -> Option<String> {
    let machine = machine_in(account, region)?;
    let filter = status.map_or_else(
        || " --max-results 3".to_owned(),
        |status| format!(" --status-filter {status}"),
    );
    Some(format!(
        "aws stepfunctions list-executions --region {region} --state-machine-arn {machine}{filter}"
    ))
}

/// The ARN of the machine that ran it, in a Region: its own has the same name in each.
fn machine_in(account: &Account, region: &str) -> Option<String> {
    let machine = arn::machine_in(&account.header.execution, region)?;
    (is_plain(&machine) && is_plain(region)).then_some(machine)
}

fn while_it_runs(account: &Account) -> Vec<Todo> {
    let mut list = Vec::new();
    if let Some(asked) = open_question(account) {
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
            .and_code(name(&account.header.execution))
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

fn once_it_has_ended(account: &Account, closing: &Closing) -> Vec<Todo> {
    let is_back = matches!(closing.outcome, Outcome::Recovered | Outcome::Partial);
    let mut list = Vec::new();
    list.extend(first(account, closing));
    list.extend(what_stands(account, closing.outcome));
    if is_back || closing.outcome == Outcome::Failed {
        list.extend(fence::todos(account));
    }
    if is_back {
        list.extend(lost_writes(account, closing));
        list.extend(afterwards(account));
    }
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
    let is_denied = cause(closing).is_some_and(|cause| cause.starts_with(ErrorKind::Denied.name()));
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
            .strong(name(&other.trigger.by))
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
    Some(Todo::new(format!(
        "{changes}. Where the database has moved or is on its way, go forward and take nothing back: two Regions would take \
         writes."
    )))
}

fn lost_writes(account: &Account, closing: &Closing) -> Vec<Todo> {
    let (achieved, other) = (&closing.achieved, account.other());
    let mut list = Vec::new();
    match (achieved.rpo_status, achieved.rpo_seconds) {
        (RpoStatus::Unmeasured, _) => list.push(Todo::new(Text::default().strong("Find out what was lost. ").and(
            format!(
                "It was not measured: compare the data of {other}, as soon as it can be read, with what is here, and with \
                 what customers report."
            ),
        ))),
        (RpoStatus::Measured, Some(seconds)) if seconds > 0.0 => list.push(Todo::new(format!(
            "What was written in about the last {} before the loss is not here. Compare the data of {other}, as soon as \
             it can be read, with what customers report.",
            length(seconds)
        ))),
        _ => {}
    }
    if let Some(seconds) = achieved.old_side_wrote_seconds {
        list.push(Todo::new(
            Text::default()
                .strong(format!("Bring over what {other} went on writing. "))
                .and(format!(
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
    let (here, other) = (account.here(), account.other());
    match account.found("way").and_then(Value::as_str) {
        Some("failover") => vec![
            nowhere_to_go(account, &here, &other),
            Todo::new(Text::default().strong("Keep the old data. ").and(format!(
                "What {other} took and did not hand over is only there, and is replaced when {other} is synchronised \
                 again. Aurora tries to keep a snapshot of it, which expires: copy it."
            )))
            .by("whoever is on call, with permission for rds:DescribeDBClusterSnapshots and rds:CopyDBClusterSnapshot")
            .run(
                "Look",
                is_plain(&other).then(|| {
                    format!(
                        "aws rds describe-db-cluster-snapshots --region {other} --query \
                         \"DBClusterSnapshots[?starts_with(DBClusterSnapshotIdentifier, \
                         'rds:unplanned-global-failover')].[DBClusterSnapshotIdentifier,SnapshotCreateTime]\""
                    )
                }),
            )
            .run(
                "Copy, with the name that it says in place of SNAPSHOT",
                is_plain(&other).then(|| {
                    format!(
                        "aws rds copy-db-cluster-snapshot --region {other} --source-db-cluster-snapshot-identifier \
                         SNAPSHOT --target-db-cluster-snapshot-identifier kept-{}",
                        account.header.opened_at.strftime("%Y%m%d")
                    )
                }),
            )
            .done("the copy is listed as available."),
            Todo::new(
                Text::default()
                    .strong("Nothing watches the Region that serves now. ")
                    .and(format!(
                        "The alarms would move the service to {here}, where it already is. If that lasts, keep them from \
                         starting anything."
                    )),
            )
            .by("whoever is on call")
            .run("Switch them off", Some(format!("drctl automation off --reason '{here} serves'")).filter(|_| is_plain(&here)))
            .run("Look", "drctl automation status".to_owned())
            .done("both Regions say off. Exit status 1 means that one did not answer: repeat it then."),
            way_back(account, &here, &other),
        ],
        Some("switchover") => vec![
            Todo::new(format!(
                "The workload was moved to {here}; {other} is shut off and follows. See that alarms start recoveries where \
                 you want them."
            ))
            .by("whoever planned the move")
            .run("Look", "drctl automation status".to_owned()),
        ],
        _ => Vec::new(),
    }
}

fn nowhere_to_go(account: &Account, here: &str, other: &str) -> Todo {
    let note = account.undo.iter().find(|undo| undo.step == "promote-database");
    let global = note
        .and_then(|undo| undo.resource.split_once(" by "))
        .map(|(global, _)| global);
    let look = global
        .filter(|global| is_plain(global) && is_plain(here))
        .map(|global| {
            format!(
                "aws rds describe-global-clusters --region {here} --global-cluster-identifier {global} --query \
             'GlobalClusters[].GlobalClusterMembers[].[DBClusterArn,IsWriter,SynchronizationStatus]'"
            )
        });
    Todo::new(Text::default().strong("There is nowhere to go now. ").and(format!(
        "Until {other} is synchronised again, the loss of {here} has no second Region. That begins by itself once {other} \
         is healthy, and takes minutes to hours."
    )))
    .by("whoever is on call, with permission for rds:DescribeGlobalClusters")
    .run("Look, now and then", look)
    .done(format!("the cluster in {other} says connected."))
}

/// The planned move back. It is started in the Region that the workload moves to.
fn way_back(account: &Account, here: &str, other: &str) -> Todo {
    let start = machine_in(account, other).map(|machine| {
        format!(
            "aws stepfunctions start-execution --region {other} --name back-$(date -u +%Y%m%dT%H%M%SZ) \
             --state-machine-arn {machine} --input \"$(printf '{{\"scenario\":\"{}\",\"mode\":\"live\",\
             \"wants\":{{\"intent\":\"switchover\"}},\"trigger\":{{\"kind\":\"person\",\"by\":\"%s\",\"at\":\"%s\"}}}}' \
             \"$(aws sts get-caller-identity --query Arn --output text)\" \"$(date -u +%FT%TZ)\")\"",
            account.header.scenario.name()
        )
    });
    Todo::new(Text::default().strong("Plan the way back, ").and(format!(
        "in a quiet hour, once {other} is synchronised: a planned move (switchover), which loses nothing. It is the same \
         machine, started in {other}."
    )))
    .by(format!("whoever is on call, with whoever speaks for the workload; with permission for states:StartExecution in {other}"))
    .run("Rehearse it; this changes nothing real", "drctl rehearse region-return".to_owned())
    .run("Move back", start)
    .done(format!(
        "the message in {other} says recovered; then drctl automation on, and {here} follows."
    ))
}

/// Whether the other Region runs a recovery of its own was not seen at the start.
fn other_recovery(account: &Account, closing: &Closing) -> Option<Todo> {
    let warnings = closing.evidence.get("opening")?.get("warnings")?.as_array()?;
    let unseen = |text: &str| text.starts_with("whether ") && text.contains(" runs a recovery cannot be seen");
    warnings.iter().filter_map(Value::as_str).find(|text| unseen(text))?;
    let other = account.other();
    Some(
        Todo::new(format!(
            "See that {other} runs no recovery of its own, as soon as it answers: its lock could not be seen at the start."
        ))
        .by(format!("whoever is on call, with permission for states:ListExecutions in {other}"))
        .run("Look", executions_in(account, &other, Some("RUNNING")))
        .done("the list is empty."),
    )
}
