//! Wrong data in the database: it went back to a moment before them, beside the damaged one, and customers moved there.

use serde_json::Value;
use shared::record::{Closing, OPENS, Undo, is_opened};
use shared::recovery::Outcome;
use shared::scenario::database_corruption::Wants;

use super::told::{HEARTBEAT, Moment, Story, Suffering, before_the_fence};
use crate::account::Account;
use crate::commands::is_plain;
use crate::page::{Spell, Text, Todo, Tone};
use crate::words::is_moment;

/// The story.
pub(crate) struct DatabaseCorruption;

/// A text that a part of the evidence has.
fn said<'a>(account: &'a Account, part: &str, pointer: &str) -> Option<&'a str> {
    account.newest(part)?.pointer(pointer)?.as_str()
}

/// A moment that a part of the evidence has.
fn moment(account: &Account, part: &str, pointer: &str) -> Option<jiff::Timestamp> {
    said(account, part, pointer)?.parse().ok()
}

/// The restored cluster, where there is one.
fn restored(account: &Account) -> Option<&str> {
    said(account, "restored", "/cluster").filter(|cluster| is_plain(cluster))
}

impl Story for DatabaseCorruption {
    fn suffering(&self) -> Suffering {
        Suffering::WrongData
    }

    fn spells(&self, account: &Account) -> (Vec<Spell>, Option<Text>) {
        let (stopped, opened) = (account.ended("stop-writes"), is_opened(&account.undo));
        let served_again = match opened {
            true => account.observed().healthy_at,
            false => account.ended(OPENS),
        };
        let after = match opened {
            true => (Tone::Good, "the restored data"),
            false => (Tone::Bad, "the wrong data again"),
        };
        let history = |at: &str| moment(account, "assessment", at);
        let turns = [
            (
                history("/history/last_good_at"),
                Tone::Warn,
                "right or wrong data: nothing checked them",
            ),
            (history("/history/first_bad_at"), Tone::Bad, "wrong data"),
            (
                stopped,
                Tone::Bad,
                "no service: it was stopped, so that no more is lost",
            ),
            (served_again, after.0, after.1),
        ];
        let known: Vec<_> = turns
            .into_iter()
            .filter_map(|(at, tone, met)| Some((at?, tone, met)))
            .collect();
        let ends = known.iter().skip(1).map(|(at, ..)| *at).chain([account.known_until()]);
        let spells = known
            .iter()
            .zip(ends)
            .map(|(&(from, tone, met), to)| Spell { from, to, tone, met });
        let spells = spells.filter(|spell| spell.from < spell.to).collect();
        let lost = moment(account, "assessment", "/restore_to")
            .zip(stopped)
            .filter(|_| opened);
        let note = lost.map(|(from, to)| {
            let text = Text::plain("What customers wrote from ")
                .and_at(from)
                .and(" to ")
                .and_at(to);
            text.and(" is only in the damaged database.")
        });
        (spells, note)
    }

    fn step(&self, account: &Account, name: &str) -> Option<String> {
        let here = account.here();
        Some(match name {
            "find-corruption" => {
                "finds out since when the data are wrong, and proposes a moment to go back to".to_owned()
            }
            "stop-writes" => format!("blocks writes in {here}"),
            "snapshot-cluster" => "takes a snapshot of the damaged cluster, which is kept".to_owned(),
            "restore-cluster" => "makes a second cluster with the data of that moment".to_owned(),
            "check-cluster" => "looks whether the restored cluster and its instances work".to_owned(),
            "create-instance" => "creates the instances of the restored cluster".to_owned(),
            "finish-cluster" => {
                "turns on the Data API of the restored cluster; sets the password if it was changed since".to_owned()
            }
            "validate-database" => "checks the restored data while no customer can reach them".to_owned(),
            "prepare-database" => "keeps the restored database from doing again what was done since".to_owned(),
            "repoint-function" => "points the functions to the restored cluster".to_owned(),
            "flush-cache" => "looks at the caches at first, and empties them before customers come".to_owned(),
            OPENS => format!("lets {here} take writes again"),
            "resume-jobs" => "starts the jobs of the restored database".to_owned(),
            "retire-cluster" => "leaves the damaged database to be read only".to_owned(),
            "point-back" => "points the functions back to the damaged cluster".to_owned(),
            "discard-cluster" => "deletes the restored cluster, which no customer reached".to_owned(),
            _ => return None,
        })
    }

    fn wanted(&self, account: &Account) -> Option<Text> {
        let wants: Wants = serde_json::from_value(Value::Object(account.header.wants.clone())).ok()?;
        let to = wants
            .restore_to
            .map(|to| Text::plain("to go back to ").then(to.to_string().into()));
        to.or_else(|| Some(Text::plain("to restore the snapshot ").then(wants.snapshot?.into())))
    }

    fn decided(&self, account: &Account) -> Vec<(Text, Text)> {
        let mut facts: Vec<(Text, Text)> = Vec::new();
        if let Some(to) = said(account, "assessment", "/restore_to") {
            facts.push(("Moment to go back to".into(), to.to_owned().into()));
        }
        if let Some(snapshot) = said(account, "assessment", "/from_snapshot/id") {
            facts.push(("Restored from the snapshot".into(), snapshot.to_owned().into()));
        }
        if let Some(cluster) = restored(account) {
            facts.push(("Restored cluster".into(), cluster.to_owned().into()));
        }
        facts
    }

    fn how_decided(&self) -> &'static str {
        "measured: the last look at the damaged database and at the alarm's metric"
    }

    fn moments(&self, account: &Account) -> Vec<Moment> {
        let observed = account.observed();
        vec![
            (
                "Data passed the check for the last time",
                moment(account, "assessment", "/history/last_good_at"),
                "measured: the alarm's metric, to its period".into(),
            ),
            (
                "Data failed the check for the first time",
                moment(account, "assessment", "/history/first_bad_at"),
                "measured: the alarm's metric, to its period; the damage is older".into(),
            ),
            (
                "First statement in the database's log that destroys data",
                moment(account, "assessment", "/logged/statements/0/at"),
                "measured: that log, to the second; whether it was carried out, the log does not say".into(),
            ),
            (
                "Moment that the database went back to",
                moment(account, "assessment", "/restore_to"),
                "approved by people".into(),
            ),
            (
                "Writes were stopped",
                account.ended("stop-writes"),
                "measured: from then on customers were not served".into(),
            ),
            (
                "Last heartbeat that survived",
                observed.last_surviving_at,
                "measured, in the restored database".into(),
            ),
            (
                "Last heartbeat that was committed",
                observed.last_committed_at,
                "measured, in the damaged database".into(),
            ),
        ]
    }

    fn before(&self, undo: &Undo) -> Option<Text> {
        if let Some(value) = undo.previous.get("value").and_then(Value::as_str) {
            return Some(value.to_owned().into());
        }
        before_the_fence(undo)
    }

    fn where_changes_stand(&self) -> &'static str {
        "If customers already use the restored database, resume; undo nothing. What they wrote there would be lost."
    }

    fn taking_back_means(&self) -> &'static str {
        "If customers already use the restored database, an undo loses what they wrote there."
    }

    fn todos(&self, account: &Account, closing: &Closing) -> Vec<Todo> {
        let mut list = Vec::new();
        if let Some(cluster) = restored(account).filter(|_| is_opened(&account.undo)) {
            list.extend(after_cut_over(account, cluster));
        }
        if closing.outcome == Outcome::RolledBack
            || closing.outcome == Outcome::Expired
            || closing.outcome == Outcome::Declined
        {
            list.push(
                Todo::now("Decide what becomes of the wrong data")
                    .about("Customers use the damaged database, as before this recovery. Nothing was repaired."),
            );
        }
        list
    }

    fn label(&self, _account: &Account, field: &str) -> Option<String> {
        Some(match field {
            "restore_to" => "Moment to go back to".to_owned(),
            "from_snapshot" => "Snapshot that was taken then".to_owned(),
            "expected_loss_seconds" => "Writes lost by then, in seconds".to_owned(),
            "impact_assumed" => "Nobody saw the impact begin".to_owned(),
            "history" => "What the alarm's metric says".to_owned(),
            "last_good_at" => "Data passed the check for the last time".to_owned(),
            "first_bad_at" => "Data failed the check for the first time".to_owned(),
            "checks" => "The plan's checks".to_owned(),
            "is_opened" => "Customers already used the restored database".to_owned(),
            "last_committed_at" => "Last heartbeat in the damaged database".to_owned(),
            "last_surviving_at" => "Last heartbeat in the restored database".to_owned(),
            "ready" => "The restored database takes reads and writes".to_owned(),
            "cluster" => "Restored cluster".to_owned(),
            "cluster_arn" => "Its ARN".to_owned(),
            "instances" => "Its instances".to_owned(),
            "latest_at" => "Latest moment that AWS could restore to".to_owned(),
            "above" => "Sequences above what was given out since".to_owned(),
            "sequences" => "Its sequences".to_owned(),
            "stopped" => "Jobs that were stopped".to_owned(),
            "started" => "Jobs that were started".to_owned(),
            "done_again" => "Done again from the ledger".to_owned(),
            "left" => "What is left to you".to_owned(),
            "pointed" => "Functions that use the restored cluster".to_owned(),
            "caches" => "Caches".to_owned(),
            "emptied" => "They were emptied".to_owned(),
            "removed" => "Keys that were removed by a prefix".to_owned(),
            "given_back" => "Resources that take writes again".to_owned(),
            _ => return None,
        })
    }

    fn part(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            "snapshot" => "the snapshot of the damaged cluster",
            "restored" => "the restored cluster",
            "database" => "the restored data",
            "prepared" => "what it would do wrong",
            "jobs" => "the jobs of the database",
            "retired" => "the damaged cluster",
            "cut_over" => "the answer to the second question",
            "functions" => "the functions",
            "caches" => "the caches",
            "writes" => "the writes",
            _ => return None,
        })
    }

    fn is_told(&self, account: &Account, under: &str, field: &str, value: &Value) -> bool {
        let observed = account.observed();
        let is = |known| value.as_str().is_some_and(|text| is_moment(text, known));
        match field {
            "last_committed_at" => is(observed.last_committed_at),
            "last_surviving_at" => is(observed.last_surviving_at),
            "restore_to" => under.is_empty(),
            "more_failed" => value == 0,
            _ => false,
        }
    }

    fn words(&self, _account: &Account) -> Vec<(Text, Text)> {
        let fact = |(word, meaning): (&str, &str)| (Text::plain(word), Text::plain(meaning));
        WORDS.map(fact).to_vec()
    }
}

/// What is left once customers use the restored database.
fn after_cut_over(account: &Account, cluster: &str) -> Vec<Todo> {
    let here = account.here();
    let is_plain_here = is_plain(here);
    let backup = format!(
        "aws rds describe-db-clusters --region {here} --db-cluster-identifier {cluster} --query \
         \"DBClusters[].[Status,EarliestRestorableTime,LatestRestorableTime]\""
    );
    vec![
        Todo::now("Stop releases that set DB_CLUSTER_ARN")
            .about(format!(
                "The functions in {here} use cluster {cluster} now. A release with the old value takes customers back to the damaged \
                 database, which takes no writes any more."
            ))
            .done("the releases' own configuration names the restored cluster."),
        Todo::today("Find what is lost, and who must know")
            .about(
                "What customers wrote after the moment that the database went back to is only in the damaged cluster. It also holds what \
                 was done since with effects outside: mails, payments, ids that were given out.",
            )
            .by("whoever owns the data"),
        Todo::today("Build a global database from the restored cluster")
            .about(
                "The global database still holds the damaged data, and the other Region copies these. Until it is rebuilt, the loss of a \
                 Region is not recovered from by a failover: it is refused. Name the new clusters in the plan, then push it.",
            )
            .by("whoever owns the database")
            .run("Put the new plan in force", Some("drctl plan push".to_owned()))
            .done("drctl plan push prints the plan's new digest."),
        Todo::today("Check that the restored cluster has a backup")
            .about("It cannot be restored to any moment before its first backup is made.")
            .run("Look", is_plain_here.then_some(backup))
            .done("both restorable times are shown."),
        Todo::this_week("Keep the damaged cluster, then delete it by hand")
            .about(
                "It and its snapshot are the only copy of what was lost. It takes no writes, so that it stays as it is. No recovery deletes \
                 them. Delete them once nothing more is needed from them.",
            )
            .by("whoever owns the database"),
    ]
}

/// What its words mean.
const WORDS: [(&str, &str); 5] = [
    HEARTBEAT,
    (
        "Restore",
        "makes a new cluster with the data of a moment in the past, from a cluster's own backup or from a snapshot. The damaged cluster stays \
         as it is",
    ),
    (
        "Damaged cluster, restored cluster",
        "the cluster with the wrong data, and the one that this recovery made",
    ),
    (
        "Cut-over",
        "points the platform's functions to the restored cluster and lets customers in. There is no way back from the first write on",
    ),
    (
        "recovery, database-recovery",
        "recovery is the state machine that alarms and people start. It runs database-recovery, which does what is described here",
    ),
];
