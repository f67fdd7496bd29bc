//! Who started it, who decided what, and what people were asked.

use serde_json::Value;
use shared::approval::{Answer, Verdict};
use shared::arn::display_name;
use shared::request::{Trigger, TriggerKind};

use crate::account::{Account, Asked, in_evidence};
use crate::page::{Block, Text};
use crate::story::told::Tale;
use crate::words::in_short;

/// Who decided, and why.
pub(crate) fn blocks(tale: &Tale<'_>) -> Vec<Block> {
    let account = tale.account;
    let header = &account.header;
    let mut facts = vec![("Started by".into(), who_started(&header.trigger))];
    for resumed in &header.resumed {
        facts.push(("Resumed by".into(), who_started(resumed)));
    }
    facts.extend(tale.story.wanted(account).map(|wanted| ("Requested".into(), wanted)));
    if let Some(ask) = proposal(account) {
        let text = |name: &str| ask.get(name).and_then(Value::as_str);
        facts.extend(text("headline").map(|headline| ("Decision".into(), headline.into())));
    }
    if let Some(at) = account.decided_at() {
        facts.push(("Decided at".into(), Text::at(at)));
    }
    facts.extend(tale.story.decided(account));
    facts.extend(who_approved(account));
    vec![Block::Facts(facts)]
}

fn who_started(trigger: &Trigger) -> Text {
    let kind = match trigger.kind {
        TriggerKind::Alarm => "the alarm ",
        TriggerKind::Person => "",
        TriggerKind::Schedule => "the schedule ",
    };
    Text::plain(kind)
        .strong(display_name(&trigger.by))
        .and(", at ")
        .and_at(trigger.at)
        .and("; ")
        .and_code(trigger.by.as_str())
}

/// What the deciding step would have asked people, whether it had to or not.
fn proposal(account: &Account) -> Option<&Value> {
    account.found("ask").filter(|ask| ask.get("headline").is_some())
}

/// Why people had to be asked, or nobody, in each execution that says so, and what they answered.
fn who_approved(account: &Account) -> Vec<(Text, Text)> {
    let answers: Vec<(Text, Text)> = account.questions.iter().flat_map(answers_in_short).collect();
    let mut facts: Vec<(Text, Text)> = Vec::new();
    let evidence = account.endings().map(|closing| &closing.evidence);
    for ask in evidence.filter_map(|evidence| in_evidence(evidence, "ask")) {
        let people = ask.get("people").and_then(Value::as_u64);
        let (Some(people), Some(because)) = (people, ask.get("because").and_then(Value::as_str)) else {
            continue;
        };
        let name = if people == 0 {
            "No approval needed"
        } else {
            "Approval needed"
        };
        let fact = (name.into(), Text::plain(format!("because {because}")));
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    if facts.is_empty() && answers.is_empty() {
        facts.push(("Approval".into(), "the record has no question and no answer".into()));
    }
    facts.extend(answers);
    facts
}

fn answers_in_short(asked: &Asked) -> Vec<(Text, Text)> {
    let answers = asked.answers.iter().map(|answer| {
        let said = match answer.answer {
            Answer::Approve => "Approved by",
            Answer::Decline => "Declined by",
        };
        let text = Text::default()
            .strong(display_name(&answer.by))
            .and(", at ")
            .and_at(answer.at);
        (said.into(), text)
    });
    answers.collect()
}

/// Each question with what was shown, and what everybody answered.
pub(crate) fn questions(account: &Account) -> Vec<Block> {
    if account.questions.is_empty() {
        return vec![Block::Paragraph("No question was asked.".into())];
    }
    let rules = Text::plain(
        "Everybody who reads the recovery's messages was asked; the record does not name them. AWS says who answered: the \
         ARN that signed the answer. Two people are two names of users or of roles' sessions. One decline ends the \
         recovery. Silence does not approve: without enough answers in time the recovery ends as expired.",
    );
    let questions = account.questions.iter().flat_map(|asked| question(account, asked));
    [Block::Paragraph(rules)].into_iter().chain(questions).collect()
}

fn question(account: &Account, asked: &Asked) -> Vec<Block> {
    let ask = &asked.ask;
    let people = match ask.people {
        1 if !asked.starter_is_known => {
            "Two approvals needed: the plan wants one, and the person who started it is not known".to_owned()
        }
        1 => "One approval needed, by a person who did not start it".to_owned(),
        people => {
            format!("{people} approvals needed, by different people; the person who started it counts as one")
        }
    };
    let reason = if ask.needs_reason {
        ". Each needs a reason"
    } else {
        ". No reason needed"
    };
    let mut facts: Vec<(Text, Text)> = vec![
        (
            "Asked".into(),
            Text::plain("at ")
                .and_at(asked.asked_at)
                .and("; open until ")
                .and_at(asked.expires_at),
        ),
        ("Rule".into(), format!("{people}{reason}. Why: {}", ask.because).into()),
    ];
    for answer in &asked.answers {
        let said = match answer.answer {
            Answer::Approve => "Approved",
            Answer::Decline => "Declined",
        };
        let mut text = Text::at(answer.at)
            .and(", by ")
            .strong(display_name(&answer.by))
            .and(" ")
            .and_code(answer.by.as_str());
        if let Some(reason) = &answer.reason {
            text = text.and(format!(": \u{201C}{reason}\u{201D}"));
        }
        if let Some(request) = &answer.request_id {
            text = text.and("; request ").and_code(request.as_str());
        }
        if answer.shown != ask.shown {
            text = text.and(" (saw an earlier version of the same question)");
        }
        facts.push((said.into(), text));
    }
    facts.push(("Result".into(), result(account, asked)));
    vec![
        Block::Heading(ask.headline.as_str().into()),
        Block::Facts(facts),
        Block::Paragraph("What the question showed, as reported at the time; errors are shortened here:".into()),
        Block::List(ask.shown.iter().map(|shown| in_short(shown).into()).collect()),
    ]
}

fn result(account: &Account, asked: &Asked) -> Text {
    let Some(settled) = &asked.settled else {
        let open = account.header.ended().is_none() && asked.expires_at > account.known_until();
        return if open {
            "none yet: it is open"
        } else {
            "expired: too few people answered in time"
        }
        .into();
    };
    let text = match &settled.verdict {
        Verdict::Approved { by, .. } => {
            let names: Vec<&str> = by.iter().map(|by| display_name(by)).collect();
            Text::plain(format!("approved by {}, at ", names.join(" and ")))
        }
        Verdict::Declined { by, .. } => Text::plain(format!("declined by {}, at ", display_name(by))),
    };
    let text = text.and_at(settled.at);
    match settled.told_at {
        Some(told) => text.and("; the recovery received it at ").and_at(told),
        None => text.and("; not known whether the recovery received it"),
    }
}
