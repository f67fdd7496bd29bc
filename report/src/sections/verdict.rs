//! The verdict: what somebody reads who reads nothing else. It speaks of the customers first, and is never more reassuring
//! than the record.

use shared::arn::display_name;
use shared::measure::{Achieved, Met};
use shared::record::Closing;
use shared::recovery::Outcome;

use crate::account::{Account, cause};
use crate::figures::tone as tone_of;
use crate::page::{Text, Tone, Verdict};
use crate::state::{Known, State};
use crate::story::told::{Suffering, Tale};
use crate::words::{count, in_short, length};

pub(crate) fn verdict(tale: &Tale<'_>, state: &State) -> Verdict {
    let account = tale.account;
    let Some(closing) = account.header.ended() else {
        return in_progress(tale, state);
    };
    let mut verdict = match closing.outcome {
        Outcome::Recovered => recovered(tale, closing),
        Outcome::Partial => {
            let headline = "Partly recovered. Not everything works.";
            Verdict::new(Tone::Bad, headline, vec![is_back(tale, closing)])
        }
        outcome => not_recovered(tale, state, outcome),
    };
    verdict.reasons.extend(reason(tale, closing));
    verdict.reasons.extend(tale.story.because(account, &closing.achieved));
    verdict.reasons.extend(attempts(account));
    verdict
}

fn recovered(tale: &Tale<'_>, closing: &Closing) -> Verdict {
    let lost = tale.story.lost(tale.account, closing);
    let mut missed: Vec<&str> = Vec::new();
    missed.extend(time_missed(closing.met.rto, &closing.achieved));
    missed.extend(loss_missed(closing));
    missed.extend(lost.not_known.as_ref().map(|_| "Not all of the loss is known."));
    let tone = [tone_of(closing.met.rto), lost.tone, Tone::Good];
    if missed.is_empty() {
        missed.push("All objectives met.");
    }
    Verdict::new(
        tone.into_iter().fold(Tone::Plain, Tone::max),
        format!("Recovered. {}", missed.join(" ")),
        vec![is_back(tale, closing)],
    )
}

fn time_missed(met: Met, achieved: &Achieved) -> Option<&'static str> {
    match met {
        Met::Target | Met::NotApplicable => None,
        Met::Maximum => Some("It took longer than the target allows."),
        Met::Missed if achieved.rto_seconds.is_none() => Some("How long it took is not measured."),
        Met::Missed if achieved.rto_is_at_least => Some("How long it took is not fully known."),
        Met::Missed => Some("It took longer than the maximum allows."),
    }
}

fn loss_missed(closing: &Closing) -> Option<&'static str> {
    match closing.met.rpo {
        Met::Target | Met::NotApplicable => None,
        Met::Maximum => Some("More was lost than the target allows."),
        Met::Missed if closing.achieved.rpo_seconds.is_some() => Some("More was lost than the maximum allows."),
        Met::Missed => Some("What was lost is not measured."),
    }
}

/// Since when the service is back, and after how long.
fn is_back(tale: &Tale<'_>, closing: &Closing) -> Text {
    let (account, suffering) = (tale.account, tale.story.suffering());
    let suffered = match suffering {
        Suffering::NoService => "without it",
        Suffering::WrongData => "with wrong data or without it",
    };
    let text = match closing.observed.healthy_at {
        Some(healthy) => Text::plain("The service answers again since ").and_at(healthy),
        None => Text::plain("The service answers again"),
    };
    match closing.achieved.rto_seconds.map(length) {
        Some(time) if closing.achieved.rto_is_at_least => text.and(format!(
            ", after at least {time} {suffered}: nobody saw when that began."
        )),
        Some(time) if account.starts_in_place_of_an_impact() => {
            text.and(format!(", {time} after the start. No outage was observed before."))
        }
        Some(time) => text.and(format!(", after {time} {suffered}.")),
        None => text.and(format!(". How long customers were {suffered} is not measured.")),
    }
}

fn not_recovered(tale: &Tale<'_>, state: &State, outcome: Outcome) -> Verdict {
    let account = tale.account;
    let ended = match outcome {
        Outcome::Refused => "The recovery refused to act.",
        Outcome::Declined => "A person who was asked declined.",
        Outcome::Expired => "Too few people answered in time.",
        Outcome::Preempted => "Another recovery took over, and this one stopped.",
        Outcome::RolledBack | Outcome::Failed | Outcome::Recovered | Outcome::Partial => "The recovery failed.",
    };
    let next = match outcome {
        Outcome::Preempted => "The other recovery's report says whether the service is back.",
        Outcome::Expired => "While its alarm stands and automatic recovery is on, a new recovery asks again.",
        _ => "This recovery does not retry by itself.",
    };
    let sentences = vec![Text::plain(format!("{ended} {} {next}", changes(account)))];
    if state.service_back == Some(Known::NotKnown) {
        let in_a_word = match outcome {
            Outcome::RolledBack => "rolled back",
            Outcome::Preempted => "another recovery took over",
            other => other.name(),
        };
        let headline = format!("Not recovered: {in_a_word}. {}", still_suffering(tale, state));
        return Verdict::new(Tone::Bad, headline, sentences);
    }
    let tone = match outcome {
        Outcome::Refused | Outcome::Declined => Tone::Plain,
        _ => Tone::Bad,
    };
    let headline = match outcome {
        Outcome::Refused | Outcome::Declined | Outcome::Expired if state.service_back.is_some() => {
            "Not recovered. The service answers."
        }
        Outcome::Refused => "Refused. No outage was observed.",
        Outcome::Declined => "Declined. No outage was observed.",
        Outcome::Expired => "Not recovered. Too few people answered.",
        Outcome::Preempted => "Stopped. Another recovery took over.",
        Outcome::RolledBack => "Not recovered. All changes were taken back.",
        Outcome::Failed | Outcome::Recovered | Outcome::Partial => "Not recovered. The recovery failed.",
    };
    Verdict::new(tone, headline, sentences)
}

/// What is known of an outage that has not ended, as far as the record goes. The check from outside can be wrong; people
/// who decline may know that it is.
fn still_suffering(tale: &Tale<'_>, state: &State) -> String {
    let alarm = || display_name(&tale.account.header.trigger.by);
    match (tale.story.suffering(), state.without_service_seconds.map(length)) {
        (Suffering::NoService, Some(time)) => format!("No service seen from outside for {time}."),
        (Suffering::NoService, None) => format!("No healthy answer is recorded since the alarm {}.", alarm()),
        (Suffering::WrongData, Some(time)) => format!("The data have been wrong for {time}."),
        (Suffering::WrongData, None) => format!("The alarm {} reported wrong data.", alarm()),
    }
}

/// What is left of what it changed.
fn changes(account: &Account) -> String {
    let stand = account.undo.iter().filter(|undo| undo.taken_back_at.is_none()).count();
    match (account.undo.len(), stand) {
        (0, _) => "It changed nothing.".to_owned(),
        (_, 0) => "All its changes were taken back.".to_owned(),
        (_, stand) => format!(
            "{} made or requested, and not taken back.",
            count(stand, "change was", "changes were")
        ),
    }
}

fn in_progress(tale: &Tale<'_>, state: &State) -> Verdict {
    let account = tale.account;
    let is_down = state.service_back == Some(Known::NotKnown);
    let headline = match is_down {
        true => format!("In progress. {}", still_suffering(tale, state)),
        false => "In progress. Not recovered yet.".to_owned(),
    };
    let mut sentences = vec![
        Text::plain("This is how far it was at ")
            .and_at(state.known_until)
            .and("."),
    ];
    if let Some(asked) = account.open_question() {
        sentences.push(
            Text::default()
                .strong("It waits for people. ")
                .and("They can answer until ")
                .and_at(asked.expires_at)
                .and(format!(": {}", asked.ask.headline)),
        );
    }
    Verdict {
        tone: if is_down { Tone::Bad } else { Tone::Plain },
        headline,
        sentences,
        reasons: attempts(account).into_iter().collect(),
    }
}

/// Why it ended as it did.
fn reason(tale: &Tale<'_>, closing: &Closing) -> Option<Text> {
    let text = match (&closing.failed_state, cause(closing)) {
        (Some(state), Some(cause)) => {
            let does = tale.state(state).map_or_else(String::new, |does| format!(" ({does})"));
            format!("Reason: {state}{does} failed: {}.", in_short(cause))
        }
        (_, cause) => format!("Reason: {}.", in_short(cause?)),
    };
    Some(text.into())
}

/// How it ended before, if it was resumed.
fn attempts(account: &Account) -> Option<Text> {
    let resumed = account.header.resumed.len();
    let first = account.header.earlier.first().or(account.header.closing.as_ref())?;
    let times = match resumed {
        0 => return None,
        1 => "once".to_owned(),
        more => format!("{more} times"),
    };
    Some(format!("The first attempt ended as {}; it was resumed {times}.", first.outcome).into())
}
