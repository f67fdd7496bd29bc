//! The loss of a Region: the workload moves to the other one. The fence, the database's promotion, the public name, and what
//! replication had not copied yet.

mod afterwards;
mod fence;
mod loss;
mod moved;

use serde_json::{Map, Value};
use shared::fence::Noted;
use shared::measure::{Achieved, RpoStatus};
use shared::record::{Closing, Undo};
use shared::recovery::Outcome;
use shared::scenario::region_failure::{Intent, Wants};

use self::moved::Moved;
use super::told::{Moment, Story};
use crate::account::Account;
use crate::figures::{WRITES_LOST, measured, number, tone, verdict};
use crate::page::{Figure, Text, Todo, Tone};
use crate::words::{is_moment, length};

/// The story.
pub(crate) struct RegionFailure;

impl Story for RegionFailure {
    fn facts(&self, account: &Account) -> Map<String, Value> {
        match serde_json::to_value(Moved::new(account)) {
            Ok(Value::Object(facts)) => facts,
            _ => Map::new(),
        }
    }

    fn standing(&self, account: &Account) -> Vec<(Text, Text)> {
        moved::standing(account)
    }

    fn step(&self, account: &Account, name: &str) -> Option<String> {
        let (here, other) = (account.here(), account.other());
        Some(match name {
            "assess-region" => "looks at both Regions and decides what to do".to_owned(),
            "fence-region" => format!("shuts {other} off from taking writes"),
            "promote-database" => format!("tells the database to move to {here}"),
            "check-database" => format!("looks whether the database takes writes in {here}"),
            "activate-region" => format!("lets functions and event sources run in {here}"),
            "switch-dns" => format!("moves the public name to {here}"),
            "check-dns" => "looks whether every name server knows".to_owned(),
            "unfence-region" => format!("gives back what was changed in {other}"),
            _ => return None,
        })
    }

    fn wanted(&self, account: &Account) -> Option<Text> {
        let Wants { intent } = serde_json::from_value(Value::Object(account.header.wants.clone())).ok()?;
        match intent {
            Intent::Decide => None,
            Intent::Switchover => Some("a planned move, which loses nothing (switchover)".into()),
            Intent::Failover => Some("to move at once, whatever that loses (failover)".into()),
        }
    }

    fn decided(&self, account: &Account) -> Vec<(Text, Text)> {
        let loss = loss::expected_loss_in_words(account);
        let fact = |loss: String| ("Expected loss, at that time".into(), loss.into());
        loss.map(fact).into_iter().collect()
    }

    fn how_decided(&self) -> &'static str {
        "measured: the last look at both Regions"
    }

    fn loss(&self, account: &Account, achieved: &Achieved) -> Option<Text> {
        Some(loss::sentence(account, achieved, &Moved::new(account)))
    }

    fn because(&self, account: &Account, achieved: &Achieved) -> Vec<Text> {
        let went_on = |seconds| {
            let (other, seconds) = (account.other(), length(seconds));
            Text::plain(format!(
                "{other} went on taking writes for at least {seconds} after the decision. Those are lost besides, unless \
                 they are brought over."
            ))
        };
        achieved.old_side_wrote_seconds.map(went_on).into_iter().collect()
    }

    fn lost(&self, account: &Account, closing: &Closing) -> Figure {
        let (achieved, met, moved) = (&closing.achieved, closing.met, Moved::new(account));
        let lost = verdict(met.rpo, account.header.objectives.rpo, achieved.rpo_seconds.is_some());
        Figure {
            name: WRITES_LOST.to_owned(),
            value: loss::value(achieved, |seconds, said| number("rpo_seconds", seconds, said)),
            verdict: match (achieved.rpo_status, loss::not_known(account, &moved)) {
                (RpoStatus::NotApplicable, _) => "the way it went loses none".into(),
                (_, Some(not_known)) => Text::plain("known: ").then(lost).and("; ").then(not_known),
                (_, None) => lost,
            },
            tone: match tone(met.rpo) {
                Tone::Good if !loss::is_good(met.rpo, &moved) => Tone::Plain,
                tone => tone,
            },
        }
    }

    fn figures(&self, achieved: &Achieved) -> Vec<Figure> {
        let figure = |seconds| Figure {
            name: "The other side wrote on".to_owned(),
            value: measured(Some(seconds), "old_side_wrote_seconds", ""),
            verdict: "after the decision, at least; lost besides".into(),
            tone: Tone::Bad,
        };
        achieved.old_side_wrote_seconds.map(figure).into_iter().collect()
    }

    fn moments(&self, account: &Account) -> Vec<Moment> {
        let observed = account
            .header
            .ended()
            .map(|closing| closing.observed)
            .unwrap_or_default();
        let (here, other) = (account.here(), account.other());
        vec![
            (
                "Last heartbeat known to be committed",
                observed.last_committed_at,
                format!("measured, in {other}").into(),
            ),
            (
                "Last heartbeat that survived",
                observed.last_surviving_at,
                format!("measured, in the database in {here}").into(),
            ),
            (
                "The other side wrote until",
                observed.old_side_wrote_until,
                format!("measured: the last heartbeat that {other} left word of").into(),
            ),
        ]
    }

    fn sources(&self, account: &Account, closing: &Closing) -> Vec<[String; 4]> {
        loss::sources(account, closing)
    }

    fn in_vain(&self, account: &Account) -> Vec<[String; 2]> {
        if fence::confirmed(account) != Some(false) {
            return Vec::new();
        }
        let parts = match fence::confirmed_of(account) {
            Some((confirmed, of)) => format!(": {confirmed} of {of} parts were seen to be"),
            None => String::new(),
        };
        vec![[
            format!("{} was not seen to be shut off from writing{parts}", account.other()),
            "what is written there is not here; see what is to be done now".to_owned(),
        ]]
    }

    fn before(&self, undo: &Undo) -> Option<Text> {
        let noted = Noted::read([(&undo.resource, &undo.previous)]);
        let before = noted.before.into_values().next();
        before.map(|setting| setting.describe().into())
    }

    fn where_changes_stand(&self) -> &'static str {
        "Where the database has moved or is on its way, go forward and take nothing back: two Regions would take writes."
    }

    fn taking_back_means(&self) -> &'static str {
        "Where the database has moved or is on its way, taking the rest back leaves customers without the service, or two \
         Regions taking writes."
    }

    fn todos(&self, account: &Account, closing: &Closing) -> Vec<Todo> {
        let is_back = matches!(closing.outcome, Outcome::Recovered | Outcome::Partial);
        let mut list = Vec::new();
        if is_back || closing.outcome == Outcome::Failed {
            list.extend(fence::todos(account));
        }
        if is_back {
            list.extend(afterwards::lost_writes(account, closing));
            list.extend(afterwards::afterwards(account));
        }
        list
    }

    fn label(&self, account: &Account, field: &str) -> Option<String> {
        let (here, other) = (account.here(), account.other());
        Some(match field {
            "can_lose_writes" => "Writes can be lost this way".to_owned(),
            "fence_confirmable" => format!("{other} answers, so that shutting it off can be seen"),
            "health" => format!("What AWS Health says of {other}"),
            "way" => "The way".to_owned(),
            "writer" => "the cluster that took writes".to_owned(),
            "ready" => format!("The database takes reads and writes in {here}"),
            "already_here" => {
                format!("The database of {here} took the writes before this recovery had decided anything")
            }
            "impact_assumed" => "Nobody saw when customers first suffered".to_owned(),
            "cancelled" => "AWS has cancelled the database's move".to_owned(),
            "not_begun" => "The database's move had not begun".to_owned(),
            "last_committed_at" => format!("Last heartbeat known to be committed in {other}"),
            "last_surviving_at" => "Last heartbeat in the recovered database".to_owned(),
            "resources" => "Parts looked at".to_owned(),
            "changed" => "Of these, changed by this recovery".to_owned(),
            "confirmed" => format!("{other} is seen to be shut off"),
            "unconfirmed" => "Parts that were not seen to be shut off".to_owned(),
            "more_unconfirmed" => "And more of those, which the log of the function names".to_owned(),
            _ => return None,
        })
    }

    fn part(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            "fence" => "whether the other Region takes no more writes",
            "database" => "what was seen of the database in the end",
            _ => return None,
        })
    }

    fn is_told(&self, account: &Account, under: &str, field: &str, value: &Value) -> bool {
        let observed = account
            .header
            .ended()
            .map(|closing| closing.observed)
            .unwrap_or_default();
        let is = |known| value.as_str().is_some_and(|text| is_moment(text, known));
        match field {
            "last_committed_at" => is(observed.last_committed_at),
            "last_surviving_at" => is(observed.last_surviving_at),
            "expected_loss" => under.is_empty() && loss::expected_loss_in_words(account).is_some(),
            "expected_loss_in_words" => under.is_empty(),
            "more_unconfirmed" => value == 0,
            "unconfirmed" => {
                let fence = account.newest("fence").and_then(|fence| fence.get(field));
                fence == Some(value) && !fence::parts(account).is_empty()
            }
            _ => false,
        }
    }

    fn here(&self, account: &Account) -> Vec<(Text, Text)> {
        let said = |other| {
            let regions = format!(
                "{} runs the recovery and takes over; {other} is the other one",
                account.here()
            );
            ("Here, the other Region".into(), regions.into())
        };
        account.other_region().map(said).into_iter().collect()
    }

    fn words(&self, _account: &Account) -> Vec<(Text, Text)> {
        let fact = |(word, meaning): (&str, &str)| (Text::plain(word), Text::plain(meaning));
        WORDS.map(fact).to_vec()
    }
}

/// What its words mean.
const WORDS: [(&str, &str); 7] = [
    (
        "Heartbeat",
        "a mark that the platform writes to its database every few seconds, so that it can be seen afterwards which \
         writes survived",
    ),
    (
        "Fence",
        "to shut the other Region off from taking any more writes, which would be lost. Its parts are what could write \
         there: functions, their event sources, the entrance of its API",
    ),
    (
        "Promotion",
        "to make the database's copy in a Region the one that takes writes",
    ),
    (
        "Failover, switchover",
        "the two ways of a promotion. Failover: at once, and what was not copied yet is lost for good. Switchover: a \
         planned move between two healthy Regions; everything is waited for, and nothing is lost",
    ),
    (
        "Control plane",
        "that part of AWS by which resources are looked at and changed. It can fail while what runs goes on, and the other \
         way round",
    ),
    (
        "Switch object",
        "a small file in S3 that moves the public name: an inverted health check watches it, so that while the file is \
         there the main Region counts as down and customers are sent to the other one. Deleting it sends them back",
    ),
    (
        "recovery, region-switch, region-return",
        "recovery is the state machine that alarms and people start. It runs region-switch, which moves the workload to its \
         own Region. Each Region has both. To move back, start recovery in the other Region with intent switchover. drctl \
         rehearse region-return only rehearses that, against a simulated AWS",
    ),
];
