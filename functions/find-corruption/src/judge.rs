//! To which moment the database can go back, and what people are asked.

use std::collections::BTreeSet;

use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::approval::Ask;
use shared::cluster_variable::Seen;
use shared::error::StepError;
use shared::global_database::{GlobalDatabase, serves};
use shared::measure::seconds_between;
use shared::plan::Duration;
use shared::record::{LEDGER_AT_MOST, LedgerEntry, ServedFrom, Warning, WarningCode};
use shared::restore::{SnapshotSource, cluster_arn, cluster_ids};
use shared::sql::Checked;
use shared::summary::{Summarise, Summary};

use crate::history::{History, WINDOW};
use crate::input::Input;
use crate::log::{Logged, Statement};
use crate::login::{Login, Password};
use crate::roles::{Access, Roles};
use crate::snapshot::Named;

/// How far ahead of this clock a moment may be that somebody asks for: clocks differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(1);

/// How many statements of the log people are shown.
const LISTED_AT_MOST: usize = 5;

/// What was gathered.
pub(crate) struct Evidence {
    /// When.
    pub(crate) now: Timestamp,
    /// The global database.
    pub(crate) global: GlobalDatabase,
    /// The damaged cluster.
    pub(crate) cluster: DbCluster,
    /// The snapshot that was asked for in place of a moment, if one was.
    pub(crate) named: Option<Named>,
    /// What the metrics behind the plan's alarms say.
    pub(crate) history: Result<Option<History>, StepError>,
    /// What the database's log shows since the last good datapoint, or within [`WINDOW`].
    pub(crate) logged: Logged,
    /// What the plan's checks find in the damaged database.
    pub(crate) checked: Vec<Checked>,
    /// The platform's functions, in the plan's order.
    pub(crate) functions: Vec<Result<Seen, StepError>>,
    /// What the roles of these may do with the cluster that is to be restored.
    pub(crate) roles: Roles,
    /// How the platform signs in to the database.
    pub(crate) login: Result<Login, StepError>,
    /// The restored cluster that customers use in place of the plan's, if they do.
    pub(crate) served_from: Option<ServedFrom>,
    /// What the platform has erased or revoked since that moment.
    pub(crate) ledger: Vec<LedgerEntry>,
    /// Whether this recovery has opened a restored database to customers.
    pub(crate) is_opened: bool,
    /// When this recovery last let customers write to the damaged database again, after it had stopped them.
    pub(crate) given_back_at: Option<Timestamp>,
}

/// What was decided, for whoever resumes the recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decision {
    restore_to: Timestamp,
    #[serde(default)]
    from_snapshot: Option<SnapshotSource>,
    impact_at: Timestamp,
    impact_assumed: bool,
    decided_at: Timestamp,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// Why the recovery cannot begin; nothing where it can.
    pub blockers: Vec<String>,
    /// The moment to go back to, if there is one.
    pub restore_to: Option<Timestamp>,
    /// The snapshot to restore, which was taken then; nothing where the cluster's own backup is restored.
    pub from_snapshot: Option<SnapshotSource>,
    /// What people are asked.
    pub ask: Ask,
    /// What is lost by it so far, in seconds: what was written since that moment. It grows until the writes are stopped.
    pub expected_loss_seconds: Option<f64>,
    /// Since when the data are wrong, by the first bad datapoint; without one, when the recovery was started.
    pub impact_at: Timestamp,
    /// Whether that is only when the recovery was started.
    pub impact_assumed: bool,
    /// When this was decided.
    pub decided_at: Timestamp,
    /// What the metric behind an alarm says, if one does.
    pub history: Option<History>,
    /// What the database's log shows.
    pub logged: Logged,
    /// What the plan's checks find in the damaged database.
    pub checks: Vec<Checked>,
    /// Whether customers already use the restored database: there is no way back, and nobody is asked again.
    pub is_opened: bool,
    /// What people should know.
    pub warnings: Vec<Warning>,
}

impl Output {
    pub(crate) fn decision(&self) -> Option<Decision> {
        let restore_to = self.restore_to.filter(|_| self.blockers.is_empty())?;
        Some(Decision {
            restore_to,
            from_snapshot: self.from_snapshot.clone(),
            impact_at: self.impact_at,
            impact_assumed: self.impact_assumed,
            decided_at: self.decided_at,
        })
    }
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let lost = self.expected_loss_seconds.map(in_words).unwrap_or_default();
        match self.restore_to {
            _ if !self.blockers.is_empty() => Summary::failed(self.blockers.join("; ")),
            Some(to) if self.is_opened => Summary::done(format!("customers already use the database as of {to}")),
            Some(to) => {
                let from = match &self.from_snapshot {
                    Some(snapshot) => format!("restore snapshot {} of {to}", snapshot.id),
                    None => format!("go back to {to}"),
                };
                Summary::done(format!("{from}; writes of {lost} so far are lost by it")).warning(&self.warnings)
            }
            None => Summary::failed("no moment to go back to"),
        }
    }
}

fn in_words(seconds: f64) -> String {
    Duration::from_secs(seconds.max(0.0).round() as u64).to_string()
}

/// The moment to go back to: what was decided before, what was asked for, or what the metrics or the log say; nothing where none does. Of
/// a snapshot it is when that was taken.
pub(crate) fn moment(
    input: &Input,
    named: Option<&Named>,
    history: &Result<Option<History>, StepError>,
    logged: &Logged,
    before: Option<&Decision>,
) -> Option<Timestamp> {
    let proposed = match history.as_ref().ok().and_then(Option::as_ref) {
        Some(history) => history.last_good_at,
        None => logged.only_one().map(Statement::before),
    };
    let asked = match named {
        Some(named) => named.taken_at(),
        None => input.restore_to.or(proposed),
    };
    before.map(|before| before.restore_to).or(asked)
}

/// Decides on the evidence. What was decided before holds: people have approved it.
pub(crate) fn assess(input: &Input, evidence: &Evidence, before: Option<Decision>) -> Output {
    let now = evidence.now;
    let mut warnings = Vec::new();
    let history = match &evidence.history {
        Ok(history) => history.clone(),
        Err(error) => {
            let text =
                "could not read the metrics behind the alarms: since when the data are wrong is not known from them";
            warnings.push(
                Warning::new(WarningCode::MetricsUnread, text)
                    .about(&input.here.region)
                    .because(error),
            );
            None
        }
    };
    let named = evidence.named.as_ref();
    let restore_to = moment(input, named, &evidence.history, &evidence.logged, before.as_ref());
    let decided = before.as_ref().and_then(|before| before.from_snapshot.clone());
    let from_snapshot = decided.or_else(|| named?.source());
    let seen = history.as_ref().map(|history| history.first_bad_at);
    let (impact_at, impact_assumed, decided_at) = match before {
        Some(before) => (before.impact_at, before.impact_assumed, before.decided_at),
        None => (seen.unwrap_or(input.triggered_at), seen.is_none(), now),
    };
    if let (Some(to), Some(bad)) = (restore_to, seen)
        && to >= bad
    {
        let text = format!("{to} is not before the first bad datapoint at {bad}: the restored data may be wrong too");
        warnings.push(Warning::new(other("after-first-bad"), text));
    }
    let logged = evidence.logged.statements();
    if let (Some(to), Some(first)) = (restore_to, logged.first())
        && to >= first.at
    {
        let text = format!(
            "{to} is not before what the database's log shows: {}; the restored data may be without it too",
            first.in_words()
        );
        warnings.push(Warning::new(other("after-logged-statement"), text));
    }
    if !evidence.checked.is_empty() && evidence.checked.iter().all(Checked::passed) && !evidence.is_opened {
        let text = "no check of the plan finds wrong data in the database as it is; say why you go back all the same";
        warnings.push(Warning::new(other("nothing-wrong-found"), text));
    }
    warnings.extend(role_warnings(evidence));
    if let Err(error) = &evidence.login {
        let text = "whether the platform's password was changed since that moment could not be read: the restored database may not take it";
        warnings.push(Warning::new(other("password-unread"), text).because(error));
    }
    warnings.extend(named.into_iter().flat_map(|named| named.warnings(&input.here)));
    warnings.extend(input.caches.warnings.iter().cloned());
    let blockers = match evidence.is_opened {
        true => Vec::new(),
        false => blockers(input, evidence, restore_to),
    };
    let loss = restore_to.map(|to| seconds_between(to, now));
    let ask = ask(input, evidence, restore_to, history.as_ref(), loss, &warnings);
    Output {
        blockers,
        restore_to,
        from_snapshot,
        ask,
        expected_loss_seconds: loss,
        impact_at,
        impact_assumed,
        decided_at,
        history,
        logged: evidence.logged.clone(),
        checks: evidence.checked.clone(),
        is_opened: evidence.is_opened,
        warnings,
    }
}

fn other(code: &str) -> WarningCode {
    WarningCode::Other(code.to_owned())
}

fn blockers(input: &Input, evidence: &Evidence, restore_to: Option<Timestamp>) -> Vec<String> {
    let mut blockers = Vec::new();
    let (here, cluster) = (&input.here, &evidence.cluster);
    let status = cluster.status().unwrap_or("without a status");
    let is_writer = |arn: &str| evidence.global.member(arn).is_some_and(|member| member.is_writer);
    if !is_writer(&here.cluster_arn) {
        let writers: Vec<&str> = evidence
            .global
            .writers()
            .map(|member| member.cluster_arn.as_str())
            .collect();
        blockers.push(format!(
            "cluster {} in {} does not take the writes of {} ({} does); start this recovery in the Region of the writer",
            here.cluster,
            here.region,
            evidence.global.id,
            match writers.is_empty() {
                true => "AWS does not say which one".to_owned(),
                false => writers.join(", "),
            },
        ));
    }
    let served = evidence.served_from.as_ref();
    if let Some(served) = served.filter(|served| served.cluster_arn != here.cluster_arn) {
        blockers.push(format!(
            "customers use cluster {} since {} (recovery {}), and the plan names {}, whose data they left; name the clusters that they use \
             in the plan, push it, then start again",
            served.cluster, served.at, served.recovery, here.cluster
        ));
    }
    if let Some(transition) = &evidence.global.transition {
        blockers.push(format!(
            "{}; wait until that has ended, then start again",
            transition.in_words(&evidence.global.id)
        ));
    }
    match &evidence.named {
        Some(named) => blockers.extend(named.blockers(here, cluster)),
        None if serves(status) => {}
        None => blockers.push(format!(
            "cluster {} is {status}, and AWS restores from one that is available only; wait, then start again",
            here.cluster
        )),
    }
    // What a later step needs is read before anything is stopped.
    let roles: Vec<&str> = cluster
        .associated_roles()
        .iter()
        .filter_map(|role| role.role_arn())
        .collect();
    if !roles.is_empty() {
        blockers.push(format!(
            "cluster {} has roles ({}), which the restored one would need and which this automation may not hand to RDS (iam:PassRole); \
             restore it by hand, see the runbook",
            here.cluster,
            roles.join(", ")
        ));
    }
    for (function, seen) in input.functions.iter().zip(&evidence.functions) {
        let why = match seen {
            Ok(seen) => seen.hindrance(),
            Err(error) if error.kind.is_retryable() => None,
            Err(error) => Some(error.to_string()),
        };
        let name = &function.name;
        blockers.extend(why.map(|why| format!("function {name} could not be pointed to a restored database: {why}")));
    }
    blockers.extend(role_blockers(input, evidence));
    blockers.extend(input.caches.blockers.iter().cloned());
    blockers.extend(ledger_blockers(input, &evidence.ledger));
    if evidence.named.is_none() {
        blockers.extend(out_of_reach(input, evidence, restore_to));
    }
    if let Password::Lost(why) = password(evidence, restore_to) {
        blockers.push(why);
    }
    blockers
}

/// Why the cluster's own backup cannot be restored to that moment, if it cannot.
fn out_of_reach(input: &Input, evidence: &Evidence, restore_to: Option<Timestamp>) -> Option<String> {
    let (here, cluster) = (&input.here, &evidence.cluster);
    let Some(to) = restore_to else {
        return Some(no_moment(&evidence.logged));
    };
    let time = |at: Option<&aws_sdk_rds::primitives::DateTime>| Timestamp::from_second(at?.secs()).ok();
    let window = time(cluster.earliest_restorable_time()).zip(time(cluster.latest_restorable_time()));
    match window {
        _ if to > evidence.now + CLOCKS_DIFFER => Some(format!(
            "{to} is in the future (now it is {}); say a moment in the past",
            evidence.now
        )),
        None => Some(format!(
            "AWS has no backup of cluster {} yet, so that it cannot be restored to any moment; {SNAPSHOT_INSTEAD}",
            here.cluster
        )),
        Some((earliest, _)) if to < earliest => Some(format!(
            "{to} is before {earliest}, the earliest moment that cluster {} can be restored to; say a later one, or {SNAPSHOT_INSTEAD}",
            here.cluster
        )),
        Some(_) => None,
    }
}

/// What to type where the backup does not reach the moment.
const SNAPSHOT_INSTEAD: &str =
    "start again with a snapshot, if there is one: drctl start database-corruption --want snapshot=<its name or ARN>";

/// Why there is no moment to go back to, and what to type.
fn no_moment(logged: &Logged) -> String {
    let again = "drctl start database-corruption --want restore_to=";
    let metrics = "no alarm of the plan has a bad datapoint after a good one within 24 h";
    let lacks = logged.lacks().map(|why| format!("{why}; ")).unwrap_or_default();
    let statements = logged.statements();
    if statements.is_empty() {
        let log = match lacks.is_empty() {
            true => "the database's log shows no statement that destroys all data of a table within 24 h; ",
            false => &lacks,
        };
        return format!(
            "nothing says since when the data are wrong: {metrics}; {log}find the moment in the log of the database or of releases, \
             then start again with it: {again}<time with its zone>"
        );
    }
    // The newest are the likeliest.
    let listed = statements.iter().rev().take(LISTED_AT_MOST);
    let listed: Vec<String> = listed
        .map(|statement| format!("{}: {again}{}", statement.in_words(), statement.before()))
        .collect();
    let more = and_more(statements.len() + logged.more() - listed.len());
    format!(
        "the data are wrong since an unknown moment: {metrics}; {lacks}{HAS_FAILED_TOO}. If one of these statements of the database's log is \
         the damage, start again one second before it: {}{more}",
        listed.join("; ")
    )
}

/// What a log does not tell.
const HAS_FAILED_TOO: &str = "the log shows also what failed or was rolled back, and its last minutes can be missing";

fn and_more(number: usize) -> String {
    match number {
        0 => String::new(),
        number => format!("; and {number} more"),
    }
}

/// What the log shows, for people who are asked: from the last good datapoint on, if there is one.
fn log_shown(logged: &Logged, history: Option<&History>, restore_to: Option<Timestamp>) -> Vec<String> {
    let good = history.and_then(|history| history.last_good_at);
    let statements = logged.statements();
    let mut shown: Vec<String> = statements
        .iter()
        .take(LISTED_AT_MOST)
        .map(|statement| {
            let words = statement.in_words();
            let less = statement.before();
            match restore_to.is_some_and(|to| less > to) {
                true => format!(
                    "the database's log shows {words}; if that is the damage, to lose less, start again with --want restore_to={less}"
                ),
                false => format!("the database's log shows {words}"),
            }
        })
        .collect();
    let more = statements.len() + logged.more() - shown.len();
    if more > 0 {
        shown.push(format!(
            "the database's log shows {more} more statements that destroy data"
        ));
    }
    if !statements.is_empty() {
        shown.push(HAS_FAILED_TOO.to_owned());
    } else if logged.lacks().is_none() {
        let since = good.map_or_else(
            || format!("within {} h", WINDOW.as_hours()),
            |good| format!("since {good}"),
        );
        shown.push(format!(
            "the database's log shows no statement that destroys all data of a table {since}; its last minutes can be missing"
        ));
    }
    shown.extend(logged.lacks());
    shown
}

/// The functions whose roles may not do with the restored cluster what they may do with the damaged one.
fn role_blockers(input: &Input, evidence: &Evidence) -> Vec<String> {
    let lacking = evidence.roles.iter().filter_map(|(role, access)| match access {
        Ok(Access::Lacks(actions)) => Some((role, actions)),
        _ => None,
    });
    let each = lacking.map(|(role, actions)| {
        let with_it = input.functions.iter().zip(&evidence.functions);
        let with_it = with_it.filter(|(_, seen)| seen.as_ref().is_ok_and(|seen| seen.role() == Some(role)));
        let functions: Vec<&str> = with_it.map(|(function, _)| function.name.as_str()).collect();
        format!(
            "role {role} (of {}) may not do {} on a restored cluster, so that customers would not be served; allow it on {} too",
            functions.join(", "),
            actions.join(", "),
            cluster_arn(&input.here.cluster_arn, &cluster_ids(&input.recovery.workload)),
        )
    });
    each.collect()
}

/// The roles that may or may not be allowed to use a restored cluster: IAM did not say.
fn role_warnings(evidence: &Evidence) -> Vec<Warning> {
    let code = || other("role-unclear");
    let each = evidence.roles.iter().filter_map(|(role, access)| match access {
        Ok(Access::Same | Access::Lacks(_)) => None,
        Ok(Access::Unclear) => Some(Warning::new(
            code(),
            format!("whether role {role} may use a restored cluster depends on a condition of its policies; look at them before you approve"),
        )),
        Err(error) => Some(
            Warning::new(code(), format!("whether role {role} may use a restored cluster could not be read")).because(error),
        ),
    });
    each.collect()
}

/// What will be with the platform's password in a database with the data of then.
fn password(evidence: &Evidence, to: Option<Timestamp>) -> Password {
    let of_snapshot = evidence.named.as_ref().and_then(Named::master);
    let master = of_snapshot.or_else(|| evidence.cluster.master_username());
    let master = master.unwrap_or_default();
    match (&evidence.login, to) {
        (Ok(login), Some(to)) => login.as_of(to, master),
        _ => Password::Fits,
    }
}

/// What of the ledger could not be done again in a restored database.
fn ledger_blockers(input: &Input, ledger: &[LedgerEntry]) -> Vec<String> {
    let is_known = |entry: &&LedgerEntry| {
        let mut kinds = input.after_restore.ledger.iter();
        kinds.any(|kind| kind.kind == entry.kind)
    };
    let unknown: BTreeSet<&str> = ledger
        .iter()
        .filter(|entry| !is_known(entry))
        .map(|entry| entry.kind.as_str())
        .collect();
    let mut blockers: Vec<String> = unknown
        .iter()
        .map(|kind| {
            format!(
                "the ledger has entries of kind {kind}, which the plan does not say how to do again; add it to database.after_restore.ledger, \
                 push the plan, then start again"
            )
        })
        .collect();
    if ledger.len() > LEDGER_AT_MOST {
        blockers.push(format!(
            "the ledger has more than {LEDGER_AT_MOST} entries since then, too many to be done again before customers come; say a later \
             moment, or restore by hand, see the runbook"
        ));
    }
    blockers
}

fn ask(
    input: &Input,
    evidence: &Evidence,
    restore_to: Option<Timestamp>,
    history: Option<&History>,
    loss: Option<f64>,
    warnings: &[Warning],
) -> Ask {
    let here = &input.here;
    let to = restore_to.map(|to| to.to_string()).unwrap_or_default();
    let lost = loss.map(in_words).unwrap_or_default();
    let mut shown = vec![
        format!("what customers wrote since {to} is lost: {lost} so far, and more until the writes are stopped"),
        format!(
            "the service is stopped once you approve, and stays stopped until a second question is approved and customers move to the \
             restored database. Cluster {} stays as it is",
            here.cluster
        ),
    ];
    let named = evidence.named.as_ref().map(|named| named.in_words(here));
    let asked = match (&named, input.restore_to) {
        (Some(named), _) => Some(format!("{named}, was named by whoever started the recovery")),
        (None, Some(_)) => Some(format!("{to} was asked for by whoever started the recovery")),
        (None, None) => None,
    };
    let is_asked_for = asked.is_some();
    match (history, asked) {
        (Some(history), asked) => {
            shown.extend(asked);
            let good = match history.last_good_at {
                Some(good) => format!("the last good datapoint is of {good}"),
                None => "there is no good datapoint within 24 h".to_owned(),
            };
            shown.push(format!(
                "alarm {}: {good}, the first bad one of {}; the damage was done by then, and may be older than this check can see",
                history.alarm, history.first_bad_at
            ));
        }
        (None, Some(asked)) => shown.push(format!(
            "{asked}; no alarm of the plan shows since when the data are wrong"
        )),
        (None, None) => shown.push(match evidence.logged.only_one() {
            Some(only) if restore_to == Some(only.before()) => format!(
                "{to} is one second before the only statement of the last {} h in the database's log that destroys data. Nothing else says \
                 that it is the damage: no alarm of the plan shows since when the data are wrong",
                WINDOW.as_hours()
            ),
            _ => format!("{to} was decided before; no alarm of the plan shows since when the data are wrong now"),
        }),
    }
    shown.extend(log_shown(&evidence.logged, history, restore_to));
    shown.extend(
        evidence
            .checked
            .iter()
            .map(|checked| format!("in the damaged database, check {}", checked.in_words())),
    );
    if evidence.checked.is_empty() {
        shown.push("the plan has no checks: only you can tell whether the restored data are right".to_owned());
    }
    if let Password::IsSet(changed_at) = password(evidence, restore_to) {
        shown.push(format!(
            "the platform's password was changed at {changed_at}, after that moment; the restored cluster gets the new one"
        ));
    }
    shown.extend(input.caches.shown.iter().cloned());
    shown.extend(warnings.iter().map(ToString::to_string));
    let is_within = |loss: f64| {
        let rpo = input.rpo.map(|rpo| rpo.maximum.as_secs() as f64);
        rpo.is_some_and(|maximum| loss <= maximum)
    };
    Ask {
        // What was written since people were asked is lost too: who let customers write again asks again.
        id: match evidence.given_back_at {
            Some(at) => format!("restore-to-{to}-given-back-{at}"),
            None => format!("restore-to-{to}"),
        },
        headline: match &named {
            Some(named) => format!(
                "restore cluster {} from {named}, which loses what customers wrote since ({lost} so far)",
                here.cluster
            ),
            None => format!(
                "restore cluster {} to {to}, which loses what customers wrote since ({lost} so far)",
                here.cluster
            ),
        },
        shown,
        people: match evidence.is_opened {
            true => 0,
            false => input.approval.people.max(1),
        },
        because: "going back in time loses what customers wrote since".to_owned(),
        // A statement of the log alone is no damage that anybody has seen.
        needs_reason: !loss.is_some_and(is_within) || !warnings.is_empty() || (history.is_none() && !is_asked_for),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::primitives::DateTime;
    use std::collections::BTreeMap;

    use serde_json::json;
    use shared::error::ErrorKind;
    use shared::global_database::Member;
    use shared::secret::DatabaseUser;

    use super::*;
    use crate::log::Read;
    use crate::statement::Verb;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const NOW: i64 = 100_000;

    fn input(restore_to: Option<i64>) -> Input {
        let input = json!({
            "recovery": { "id": "r", "workload": "shop", "token": 1, "execution": "arn:e" },
            "restore_to": restore_to.map(at),
            "snapshot": null,
            "triggered_at": at(NOW - 60),
            "approval": { "people": 2, "without_evidence": 2, "answer_within_seconds": 900, "same_person": "name-before-at" },
            "rpo": { "target": "5m", "maximum": "1h" },
            "here": {
                "region": "us-east-1", "cluster": "shop", "cluster_arn": "arn:shop", "secret_arn": "arn:s", "topic_arn": "arn:t",
                "api": { "rest_api": "abc", "stage": "v2", "domain": "d.example.com" },
            },
            "database": { "global_cluster": "shop-global", "name": "shop", "schema": "recovery", "heartbeat_seconds": 5 },
            "checks": [],
            "after_restore": { "ledger": [{ "kind": "erased-user", "statement": "DELETE", "remains": "SELECT" }] },
            "alarms": ["wrong"],
            "caches": { "blockers": [], "shown": ["cache shop is emptied"], "warnings": [] },
            "functions": [],
        });
        serde_json::from_value(input).unwrap()
    }

    fn evidence(history: Option<(i64, i64)>) -> Evidence {
        Evidence {
            now: at(NOW),
            global: GlobalDatabase {
                id: "shop-global".to_owned(),
                members: vec![Member {
                    cluster_arn: "arn:shop".to_owned(),
                    is_writer: true,
                    synchronization: None,
                }],
                transition: None,
                engine_version: None,
            },
            cluster: DbCluster::builder()
                .db_cluster_identifier("shop")
                .status("available")
                .earliest_restorable_time(DateTime::from_secs(NOW - 90_000))
                .latest_restorable_time(DateTime::from_secs(NOW - 200))
                .build(),
            named: None,
            history: Ok(history.map(|(good, bad)| History {
                alarm: "wrong".to_owned(),
                last_good_at: Some(at(good)),
                first_bad_at: at(bad),
            })),
            logged: Logged::WithoutStatements,
            checked: Vec::new(),
            functions: Vec::new(),
            roles: Roles::new(),
            login: Ok(changed_at(NOW - 90_000)),
            served_from: None,
            ledger: Vec::new(),
            is_opened: false,
            given_back_at: None,
        }
    }

    fn changed_at(second: i64) -> Login {
        Login {
            user: DatabaseUser {
                name: "platform".to_owned(),
                password: "hunter22".to_owned(),
            },
            changed_at: Some(at(second)),
        }
    }

    #[test]
    fn a_password_of_later_is_told_and_refused_where_nothing_can_set_it() {
        let with = |master: &str, login| {
            let mut evidence = evidence(None);
            evidence.cluster.master_username = Some(master.to_owned());
            evidence.login = login;
            assess(&input(Some(NOW - 300)), &evidence, None)
        };
        let says = |found: &Output, what: &str| found.ask.shown.iter().any(|line| line.contains(what));
        let is_set = with("platform", Ok(changed_at(NOW - 100)));
        assert!(
            is_set.blockers.is_empty() && says(&is_set, "gets the new one"),
            "{is_set:?}"
        );
        let lost = with("another", Ok(changed_at(NOW - 100)));
        assert!(lost.blockers.join(" ").contains("would let no function in"), "{lost:?}");
        let fits = with("another", Ok(changed_at(NOW - 400)));
        assert!(fits.blockers.is_empty() && !says(&fits, "password"), "{fits:?}");
        let unread = with("platform", Err(StepError::new(ErrorKind::Unavailable, "no answer")));
        assert!(unread.blockers.is_empty() && unread.ask.needs_reason && says(&unread, "may not take it"));
    }

    fn deleted(second: i64) -> Statement {
        Statement {
            at: at(second),
            verb: Verb::Delete,
            table: "orders".to_owned(),
            user: "app".to_owned(),
        }
    }

    /// A log that shows changes, and these of them that destroy data.
    fn showing(statements: impl IntoIterator<Item = Statement>) -> Logged {
        Logged::Read(Read {
            has_rows: true,
            statements: statements.into_iter().collect(),
            ..Read::default()
        })
    }

    fn logging(history: Option<(i64, i64)>, logged: Logged) -> Evidence {
        Evidence {
            logged,
            ..evidence(history)
        }
    }

    fn entry(kind: &str) -> LedgerEntry {
        LedgerEntry {
            key: "2026-01-06T02:00:00Z#1".to_owned(),
            kind: kind.to_owned(),
            values: BTreeMap::new(),
        }
    }

    #[test]
    fn the_last_good_moment_is_proposed_with_what_it_loses_and_never_taken_unasked() {
        let found = assess(&input(None), &evidence(Some((NOW - 600, NOW - 540))), None);
        assert_eq!(found.blockers, Vec::<String>::new());
        assert_eq!(found.restore_to, Some(at(NOW - 600)));
        assert_eq!(
            (found.expected_loss_seconds, found.impact_assumed),
            (Some(600.0), false)
        );
        assert_eq!(found.impact_at, at(NOW - 540));
        assert_eq!((found.ask.people, found.ask.needs_reason), (2, false));
        let mut nobody = input(None);
        nobody.approval.people = 0;
        assert_eq!(
            assess(&nobody, &evidence(Some((NOW - 600, NOW - 540))), None)
                .ask
                .people,
            1
        );
    }

    #[test]
    fn who_says_the_moment_gets_it_and_is_told_where_it_is_doubtful() {
        let found = assess(&input(Some(NOW - 300)), &evidence(Some((NOW - 600, NOW - 540))), None);
        assert_eq!(found.restore_to, Some(at(NOW - 300)));
        assert!(found.ask.shown.iter().any(|line| line.contains("may be wrong too")));
        assert!(found.ask.needs_reason);
        let alone = assess(&input(Some(NOW - 300)), &evidence(None), None);
        assert!(alone.impact_assumed);
        assert_eq!(alone.impact_at, at(NOW - 60));
        assert!(
            alone
                .ask
                .shown
                .iter()
                .any(|line| line.contains("no alarm of the plan shows"))
        );
    }

    #[test]
    fn with_the_alarms_history_the_log_shows_how_to_lose_less_and_decides_nothing() {
        let history = Some((NOW - 600, NOW - 540));
        let found = assess(&input(None), &logging(history, showing([deleted(NOW - 560)])), None);
        assert_eq!(
            (found.restore_to, found.impact_at),
            (Some(at(NOW - 600)), at(NOW - 540))
        );
        assert!(!found.impact_assumed && !found.ask.needs_reason, "{:?}", found.ask);
        let shown = found.ask.shown.join("\n");
        let less = format!(
            "shows DELETE on orders without a condition by app at {}; if that is the damage, to lose less, start again with --want restore_to={}",
            at(NOW - 560),
            at(NOW - 561)
        );
        assert!(shown.contains(&less), "{shown}");
        assert!(shown.contains("failed or was rolled back"), "{shown}");
        let many = (0..9).map(|number| deleted(NOW - 560 + number));
        let many = assess(&input(None), &logging(history, showing(many)), None)
            .ask
            .shown
            .join("\n");
        assert!(many.contains("4 more statements"), "{many}");
        let none = assess(&input(None), &logging(history, showing([])), None)
            .ask
            .shown
            .join("\n");
        assert!(
            none.contains(&format!("all data of a table since {}", at(NOW - 600))),
            "{none}"
        );
        let off = assess(&input(None), &evidence(history), None);
        assert!(off.ask.shown.join("\n").contains("log_statement is off"));
        assert!(!off.ask.needs_reason, "that is how it is by default");
    }

    #[test]
    fn without_it_the_only_statement_of_the_log_proposes_a_second_before_it_and_asks_for_a_reason() {
        let found = assess(&input(None), &logging(None, showing([deleted(NOW - 560)])), None);
        assert_eq!(found.blockers, Vec::<String>::new());
        assert_eq!(found.restore_to, Some(at(NOW - 561)));
        assert_eq!(
            (found.impact_at, found.impact_assumed),
            (at(NOW - 60), true),
            "nobody has seen it"
        );
        assert!(found.ask.needs_reason && found.ask.people == 2);
        let shown = found.ask.shown.join("\n");
        assert!(shown.contains("one second before the only statement"), "{shown}");
        assert!(
            shown.contains("shows DELETE on orders without a condition by app"),
            "{shown}"
        );
        assert!(!shown.contains("asked for by"), "{shown}");
        let resumed = assess(&input(None), &evidence(None), found.decision());
        assert_eq!(resumed.restore_to, found.restore_to);
        assert!(resumed.ask.shown.join("\n").contains("was decided before"));
    }

    #[test]
    fn several_are_listed_with_what_to_type_and_a_log_that_cannot_tell_says_so() {
        let refused = |logged: Logged| {
            let found = assess(&input(None), &logging(None, logged), None);
            assert_eq!(found.restore_to, None);
            found.blockers.join("; ")
        };
        let seven = refused(showing((0..7).map(|number| deleted(NOW - 560 + number))));
        assert_eq!(seven.matches("--want restore_to=").count(), 5, "{seven}");
        assert!(seven.contains("and 2 more"), "{seven}");
        let newest = format!(
            "by app at {}: drctl start database-corruption --want restore_to={}",
            at(NOW - 554),
            at(NOW - 555)
        );
        assert!(seven.contains(&newest), "{seven}");
        let off = refused(Logged::WithoutStatements);
        assert!(
            off.contains("log_statement is off") && off.contains("--want restore_to"),
            "{off}"
        );
        assert!(refused(Logged::NotExported).contains("no log group"));
        assert!(refused(showing([])).contains("shows no statement that destroys all data"));
        let cut = refused(Logged::Read(Read {
            has_rows: true,
            cut_off_at: Some(at(NOW - 500)),
            statements: vec![deleted(NOW - 560)],
            more: 0,
        }));
        assert!(
            cut.contains("too many lines") && cut.contains("--want restore_to"),
            "one of those that were read: {cut}"
        );
        let only_bad = History {
            alarm: "wrong".to_owned(),
            last_good_at: None,
            first_bad_at: at(NOW - 86_400),
        };
        let bad = Evidence {
            history: Ok(Some(only_bad)),
            ..logging(None, showing([deleted(NOW - 560)]))
        };
        assert_eq!(assess(&input(None), &bad, None).restore_to, None, "it was wrong before");
    }

    #[test]
    fn a_moment_that_is_asked_for_after_such_a_statement_is_doubtful() {
        let warned = |asked: i64, logged: i64| {
            let found = assess(&input(Some(asked)), &logging(None, showing([deleted(logged)])), None);
            let mut codes = found.warnings.iter().map(|warning| warning.code.clone());
            codes.any(|code| code == other("after-logged-statement"))
        };
        assert!(warned(NOW - 300, NOW - 560));
        assert!(warned(NOW - 300, NOW - 300), "the log's times are to the second");
        assert!(!warned(NOW - 301, NOW - 300));
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_changes() {
        let blockers = |restore_to, change: fn(&mut Evidence)| {
            let mut evidence = evidence(None);
            change(&mut evidence);
            assess(&input(restore_to), &evidence, None).blockers.join("; ")
        };
        let none = |_: &mut Evidence| {};
        assert!(blockers(None, none).contains("--want restore_to"));
        assert!(blockers(Some(NOW + 60), none).contains("in the future"));
        assert!(blockers(Some(NOW - 90_001), none).contains("the earliest moment"));
        assert_eq!(blockers(Some(NOW - 10), none), "", "AWS reaches it in some minutes");
        let no_backup = |evidence: &mut Evidence| {
            evidence.cluster = DbCluster::builder().status("available").build();
        };
        assert!(blockers(Some(NOW - 300), no_backup).contains("no backup"));
        let reads = |evidence: &mut Evidence| evidence.global.members[0].is_writer = false;
        assert!(blockers(Some(NOW - 300), reads).contains("does not take the writes"));
        let with_role = |evidence: &mut Evidence| {
            let role = aws_sdk_rds::types::DbClusterRole::builder().role_arn("arn:role");
            evidence.cluster = DbCluster::builder()
                .status("available")
                .associated_roles(role.build())
                .build();
        };
        assert!(blockers(Some(NOW - 300), with_role).contains("may not hand to RDS"));
        let left = |evidence: &mut Evidence| {
            evidence.served_from = Some(ServedFrom {
                cluster: "shop-restored-1".to_owned(),
                cluster_arn: "arn:shop-restored-1".to_owned(),
                instead_of: "arn:shop".to_owned(),
                restore_to: at(NOW - 9000),
                recovery: "earlier".to_owned(),
                at: at(NOW - 8000),
            });
        };
        assert!(blockers(Some(NOW - 300), left).contains("customers use cluster shop-restored-1"));
        let known = |evidence: &mut Evidence| evidence.ledger = vec![entry("erased-user")];
        assert_eq!(blockers(Some(NOW - 300), known), "");
        let unknown = |evidence: &mut Evidence| evidence.ledger = vec![entry("erased-user"), entry("revoked-key")];
        let unknown = blockers(Some(NOW - 300), unknown);
        assert!(unknown.contains("entries of kind revoked-key"), "{unknown}");
        let many = |evidence: &mut Evidence| evidence.ledger = vec![entry("erased-user"); LEDGER_AT_MOST + 1];
        assert!(blockers(Some(NOW - 300), many).contains("more than 2000 entries"));
        let narrow = |evidence: &mut Evidence| {
            let lacks = Access::Lacks(vec!["rds-data:ExecuteStatement".to_owned()]);
            evidence.roles = Roles::from([("arn:role".to_owned(), Ok(lacks))]);
        };
        let narrow = blockers(Some(NOW - 300), narrow);
        assert!(
            narrow.contains("role arn:role") && narrow.contains("shop-restored-*"),
            "{narrow}"
        );
        let away = |evidence: &mut Evidence| {
            evidence.cluster = DbCluster::builder().status("deleting").build();
        };
        assert!(blockers(Some(NOW - 300), away).contains("is deleting"));
    }

    /// What was gathered where a snapshot was named that was taken then, and AWS has no backup that reaches so far back.
    fn with_snapshot(taken_at: i64, history: Option<(i64, i64)>) -> Evidence {
        let shown = aws_sdk_rds::types::DbClusterSnapshot::builder()
            .db_cluster_snapshot_identifier("before")
            .db_cluster_snapshot_arn("arn:before")
            .db_cluster_identifier("shop")
            .snapshot_create_time(DateTime::from_secs(taken_at))
            .status("available")
            .engine("aurora-postgresql")
            .engine_version("16.4")
            .master_username("platform")
            .build();
        let cluster = DbCluster::builder()
            .status("available")
            .engine("aurora-postgresql")
            .engine_version("16.6")
            .build();
        Evidence {
            cluster,
            named: Some(Named {
                name: "before".to_owned(),
                shown: Some(shown),
            }),
            ..evidence(history)
        }
    }

    #[test]
    fn a_snapshot_is_its_own_moment_and_people_are_told_which_one_it_is() {
        let of_days_ago = NOW - 90_000;
        let found = assess(
            &input(None),
            &with_snapshot(of_days_ago, Some((NOW - 600, NOW - 540))),
            None,
        );
        assert_eq!(found.blockers, [""; 0], "the backup need not reach it");
        assert_eq!(
            found.restore_to,
            Some(at(of_days_ago)),
            "and not what the alarm proposes"
        );
        assert_eq!(found.expected_loss_seconds, Some(90_000.0));
        let snapshot = found.from_snapshot.as_ref().unwrap();
        assert_eq!(
            (snapshot.arn.as_str(), snapshot.engine_version.as_str()),
            ("arn:before", "16.4")
        );
        let named = format!("snapshot before, taken at {}", at(of_days_ago));
        assert!(found.ask.headline.contains(&format!("from {named}")), "{:?}", found.ask);
        assert!(
            found
                .ask
                .shown
                .contains(&format!("{named}, was named by whoever started the recovery"))
        );
        assert!(found.ask.needs_reason, "it loses more than the plan's maximum");
        let alone = assess(&input(None), &with_snapshot(NOW - 300, None), None);
        assert!(alone.blockers.is_empty() && !alone.ask.needs_reason, "{alone:?}");
        let late = assess(
            &input(None),
            &with_snapshot(NOW - 500, Some((NOW - 600, NOW - 540))),
            None,
        );
        assert!(late.ask.shown.iter().any(|line| line.contains("may be wrong too")));
        // It holds for whoever resumes, even if it is deleted meanwhile.
        let mut deleted = with_snapshot(of_days_ago, None);
        deleted.named = Some(Named {
            name: "before".to_owned(),
            shown: None,
        });
        deleted.is_opened = true;
        let resumed = assess(&input(None), &deleted, found.decision());
        assert_eq!(
            (resumed.restore_to, &resumed.from_snapshot),
            (found.restore_to, &found.from_snapshot)
        );
    }

    #[test]
    fn a_snapshot_that_cannot_be_restored_is_the_only_reason_that_is_told() {
        let mut evidence = with_snapshot(NOW - 300, Some((NOW - 600, NOW - 540)));
        evidence.named = Some(Named {
            name: "before".to_owned(),
            shown: None,
        });
        let found = assess(&input(None), &evidence, None);
        assert_eq!(
            (found.restore_to, &found.from_snapshot),
            (None, &None),
            "nothing is taken in its place"
        );
        assert!(
            found.blockers.len() == 1 && found.blockers[0].contains("no manual snapshot before"),
            "{found:?}"
        );
        // The password of then is that of the snapshot's own user.
        let mut evidence = with_snapshot(NOW - 300, None);
        evidence.cluster.master_username = Some("another".to_owned());
        evidence.login = Ok(changed_at(NOW - 100));
        assert_eq!(assess(&input(None), &evidence, None).blockers, [""; 0]);
    }

    #[test]
    fn a_cache_that_cannot_be_emptied_is_refused_and_one_that_was_not_seen_is_told() {
        let mut input = input(Some(NOW - 300));
        let found = assess(&input, &evidence(None), None);
        assert!(found.ask.shown.contains(&"cache shop is emptied".to_owned()));
        input.caches.blockers.push("it does not know FLUSHALL".to_owned());
        assert!(
            assess(&input, &evidence(None), None)
                .blockers
                .contains(&input.caches.blockers[0])
        );
        input.caches.blockers.clear();
        input
            .caches
            .warnings
            .push(Warning::new(other("cache-unseen"), "unseen"));
        let found = assess(&input, &evidence(None), None);
        assert!(found.blockers.is_empty() && found.ask.needs_reason);
    }

    #[test]
    fn what_was_decided_holds_for_whoever_resumes() {
        let first = assess(&input(None), &evidence(Some((NOW - 600, NOW - 540))), None);
        let later = assess(&input(None), &evidence(Some((NOW - 100, NOW - 40))), first.decision());
        assert_eq!((later.restore_to, &later.ask.id), (first.restore_to, &first.ask.id));
        let given_back = Evidence {
            given_back_at: Some(at(NOW - 50)),
            ..evidence(Some((NOW - 100, NOW - 40)))
        };
        let again = assess(&input(None), &given_back, first.decision());
        assert_eq!(again.restore_to, first.restore_to);
        assert_ne!(again.ask.id, first.ask.id, "more is lost than people approved");
        assert_eq!((later.impact_at, later.decided_at), (first.impact_at, first.decided_at));
        let opened = Evidence {
            is_opened: true,
            ..evidence(None)
        };
        let opened = assess(&input(None), &opened, first.decision());
        assert_eq!((opened.ask.people, opened.blockers.len()), (0, 0));
    }

    #[test]
    fn metrics_that_do_not_answer_are_told_and_a_loss_above_the_maximum_needs_a_reason() {
        let unread = Evidence {
            history: Err(StepError::new(ErrorKind::Unavailable, "no answer")),
            ..evidence(None)
        };
        let found = assess(&input(Some(NOW - 300)), &unread, None);
        assert!(
            found
                .warnings
                .iter()
                .any(|warning| warning.code == WarningCode::MetricsUnread)
        );
        let much = assess(&input(None), &evidence(Some((NOW - 7200, NOW - 540))), None);
        assert!(much.ask.needs_reason);
    }
}
