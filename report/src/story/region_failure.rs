//! The loss of a Region: the workload moves to the other one. The fence, the database's promotion, the public name, and what
//! replication had not copied yet.

mod afterwards;
mod fence;
mod loss;
mod moved;

use serde_json::{Map, Value};
use shared::measure::{Achieved, RpoStatus};
use shared::record::{Closing, Undo};
use shared::recovery::Outcome;
use shared::scenario::region_failure::{Intent, Wants};

use self::moved::Moved;
use super::told::{HEARTBEAT, Moment, Story, before_the_fence};
use crate::account::Account;
use crate::figures::{WRITES_LOST, loss_gauge, measured, number, tone, verdict};
use crate::page::{Figure, Place, Text, Todo, Tone};
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

    fn places(&self, account: &Account) -> Vec<Place> {
        moved::places(account)
    }

    fn serves(&self, account: &Account) -> Option<String> {
        moved::moves(account).then(|| account.here().to_owned())
    }

    fn step(&self, account: &Account, name: &str) -> Option<String> {
        let (here, other) = (account.here(), account.other());
        Some(match name {
            "assess-region" => "checks both Regions and decides what to do".to_owned(),
            "fence-region" => format!("blocks writes in {other}"),
            "promote-database" => format!("promotes the database in {here}"),
            "check-database" => format!("checks that the database takes writes in {here}"),
            "activate-region" => format!("activates functions and event sources in {here}"),
            "switch-dns" => format!("moves the public name to {here}"),
            "check-dns" => "checks that every name server has the change".to_owned(),
            "unfence-region" => format!("takes back the changes in {other}"),
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
        let fact = |loss: String| ("Expected loss at that time".into(), loss.into());
        loss.map(fact).into_iter().collect()
    }

    fn how_decided(&self) -> &'static str {
        "measured: the last look at both Regions"
    }

    fn because(&self, account: &Account, achieved: &Achieved) -> Vec<Text> {
        let went_on = |seconds| {
            let (other, seconds) = (account.other(), length(seconds));
            Text::plain(format!(
                "{other} accepted writes for at least {seconds} after the decision. They are lost too, unless somebody copies \
                 them."
            ))
        };
        achieved.old_side_wrote_seconds.map(went_on).into_iter().collect()
    }

    fn lost(&self, account: &Account, closing: &Closing) -> Figure {
        let (achieved, met, moved) = (&closing.achieved, closing.met, Moved::new(account));
        let objective = account.header.objectives.rpo;
        let lost = verdict(met.rpo, objective, achieved.rpo_seconds.is_some());
        let not_known = loss::not_known(account, &moved).filter(|_| achieved.rpo_status != RpoStatus::NotApplicable);
        Figure {
            name: WRITES_LOST.to_owned(),
            value: loss::value(account, achieved, |seconds, said| number("rpo_seconds", seconds, said)),
            verdict: match (achieved.rpo_status, &not_known) {
                (RpoStatus::NotApplicable, _) => "this way loses no writes".into(),
                (_, Some(_)) => Text::plain("known: ").then(lost),
                (_, None) => lost,
            },
            tone: match tone(met.rpo) {
                Tone::Good if not_known.is_some() => Tone::Warn,
                tone => tone,
            },
            not_known,
            gauge: loss_gauge(achieved, objective),
        }
    }

    fn figures(&self, achieved: &Achieved) -> Vec<Figure> {
        let figure = |seconds| Figure {
            name: "The other Region accepted writes".to_owned(),
            value: measured(Some(seconds), "old_side_wrote_seconds", ""),
            verdict: "after the decision; a lower bound; lost too".into(),
            not_known: None,
            tone: Tone::Bad,
            gauge: None,
        };
        achieved.old_side_wrote_seconds.map(figure).into_iter().collect()
    }

    fn moments(&self, account: &Account) -> Vec<Moment> {
        let observed = account.observed();
        let (here, other) = (account.here(), account.other());
        vec![
            (
                "Last heartbeat that was committed",
                observed.last_committed_at,
                format!("measured, in {other}").into(),
            ),
            (
                "Last heartbeat that survived",
                observed.last_surviving_at,
                format!("measured, in the database in {here}").into(),
            ),
            (
                "Last write of the other Region",
                observed.old_side_wrote_until,
                format!("measured: the last heartbeat that {other} reported").into(),
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
            Some((confirmed, of)) => format!(" ({confirmed} of {of} resources verified)"),
            None => String::new(),
        };
        vec![[
            format!("could not confirm that {} is blocked{parts}", account.other()),
            "writes that it accepts are lost; see Next steps".to_owned(),
        ]]
    }

    fn before(&self, undo: &Undo) -> Option<Text> {
        before_the_fence(undo)
    }

    fn where_changes_stand(&self) -> &'static str {
        "If the database was promoted, or its promotion was requested, resume; undo nothing. Otherwise two Regions would \
         take writes."
    }

    fn taking_back_means(&self) -> &'static str {
        "If the database was promoted, or its promotion was requested, an undo leaves customers without the service, or \
         lets two Regions take writes."
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
            "fence_confirmable" => format!("{other} answers, so a block can be confirmed"),
            "health" => format!("What AWS Health says of {other}"),
            "way" => "Way".to_owned(),
            "writer" => "cluster that took writes".to_owned(),
            "ready" => format!("The database takes reads and writes in {here}"),
            "already_here" => {
                format!("The database in {here} took writes before this recovery decided anything")
            }
            "impact_assumed" => "Nobody saw the impact begin".to_owned(),
            "cancelled" => "AWS cancelled the promotion".to_owned(),
            "not_begun" => "Promotion not started".to_owned(),
            "last_committed_at" => format!("Last heartbeat committed in {other}"),
            "last_surviving_at" => "Last heartbeat in the recovered database".to_owned(),
            "resources" => "Resources checked".to_owned(),
            "changed" => "Changed by this recovery".to_owned(),
            "confirmed" => format!("Block of {other} confirmed"),
            "unconfirmed" => "Not verified".to_owned(),
            "more_unconfirmed" => "More that are not verified; the function's log names them".to_owned(),
            _ => return None,
        })
    }

    fn part(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            "fence" => "the block of the other Region",
            "database" => "the database at the end",
            _ => return None,
        })
    }

    fn is_told(&self, account: &Account, under: &str, field: &str, value: &Value) -> bool {
        let observed = account.observed();
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
                "{} runs the recovery and takes over; {other} is the other Region",
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
    HEARTBEAT,
    (
        "Fence, block",
        "to keep the other Region from accepting writes, which would be lost. Its resources are those that could write \
         there: functions, their event sources, the stage of its API",
    ),
    (
        "Promotion",
        "makes the copy of the database in a Region the one that takes writes",
    ),
    (
        "Failover, switchover",
        "two ways of a promotion. A failover is immediate, and what was not replicated is lost for good. A switchover is a \
         planned move between two healthy Regions; it waits for replication and loses nothing",
    ),
    (
        "Control plane",
        "the part of AWS that reads and changes resources. It can fail while running resources work, and the reverse",
    ),
    (
        "Switch object",
        "a small file in S3 that moves the public name. An inverted health check watches it: while the file exists, the \
         primary Region counts as down, and customers go to the other one. Deleting it sends them back",
    ),
    (
        "recovery, region-switch, region-return",
        "recovery is the state machine that alarms and people start. It runs region-switch, which moves the workload to its \
         own Region. Each Region has both. To move back, start recovery in the other Region with intent switchover. drctl \
         rehearse region-return rehearses that, against a simulated AWS",
    ),
];
