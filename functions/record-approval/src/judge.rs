//! What comes next, from what is on the record.

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use jiff::Timestamp;
use shared::approval::{Answer, Approval, Ask, Question, Settled, Told, Verdict, still_needed, verdict};
use shared::arn::Arn;
use shared::function_url::{Person, reply};
use shared::record::Header;

use crate::said::{Said, not_found};

/// What is on the record.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) header: Option<Header>,
    pub(crate) question: Option<Question>,
    pub(crate) answers: Vec<Approval>,
    pub(crate) settled: Option<Settled>,
}

/// What was done on this request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// When it came in.
    pub(crate) now: Timestamp,
    /// Whether the person's answer was kept.
    pub(crate) kept: bool,
    /// What Step Functions did with the verdict, if it was told.
    pub(crate) told: Option<Told>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Answering the person; that is the end.
    Answer(LambdaFunctionUrlResponse),
    /// Keeping their answer.
    Keep(Approval),
    /// Keeping what the answers add up to.
    Settle(Ask, Settled),
    /// Sending the verdict to the machine, which waits with the question's token.
    Tell(Question, Settled),
}

/// Decides what comes next.
pub(crate) fn judge(person: &Person, said: &Said, facts: &Facts, done: &Done) -> Next {
    let Some(header) = &facts.header else {
        return Next::Answer(not_found(format!(
            "there is no recovery '{}' in this Region",
            said.recovery
        )));
    };
    if Arn::read(&header.execution).map(|arn| arn.account) != Some(person.account.as_str()) {
        let message = format!("{} belongs to another account than this recovery", person.arn);
        return Next::Answer(reply(403, "not-allowed", message));
    }
    let Some(question) = &facts.question else {
        return Next::Answer(not_found(format!(
            "recovery {} does not ask '{}'",
            header.id, said.question
        )));
    };
    let over = over(header, question, done.now);
    if let Some(settled) = &facts.settled {
        return on_settled(said, question, settled, over, done);
    }
    if let Some(over) = over {
        return Next::Answer(reply(409, "ended", over));
    }
    let Some(own) = facts
        .answers
        .iter()
        .find(|answer| question.same_person.person(&answer.by) == question.same_person.person(&person.arn))
    else {
        return keep(person, said, question, done.now);
    };
    if let Some(verdict) = verdict(question, &facts.answers) {
        return Next::Settle(question.ask.clone(), Settled::by(verdict, &facts.answers, done.now));
    }
    let needed = needed(question, &facts.answers);
    Next::Answer(if done.kept {
        reply(202, "waiting", format!("your approval is recorded; {needed}"))
    } else {
        let message = format!("you already approved at {}; {needed}", own.at);
        reply(409, "already-answered", message)
    })
}

/// The question has its verdict. If the machine may still wait for it, it is told, whoever asks: the function that
/// settled it may have died before.
fn on_settled(said: &Said, question: &Question, settled: &Settled, over: Option<String>, done: &Done) -> Next {
    let taken = done.told == Some(Told::Taken);
    let how = how(settled);
    if taken || settled.told_at.is_some() {
        let agrees = matches!(
            (said.answer, &settled.verdict),
            (Answer::Approve, Verdict::Approved { .. }) | (Answer::Decline, Verdict::Declined { .. })
        );
        return Next::Answer(match &settled.verdict {
            Verdict::Approved { .. } if agrees && (done.kept || taken) => {
                reply(200, "approved", format!("{how}; the recovery continues"))
            }
            Verdict::Declined { .. } if agrees && (done.kept || taken) => {
                let message = format!("{how}; the recovery does nothing more, and takes back what it changed");
                reply(200, "declined", message)
            }
            _ => reply(409, "ended", format!("it is too late: {how}")),
        });
    }
    if done.told == Some(Told::NotWaiting) {
        let message = format!(
            "{how}; but the recovery does not wait for this answer: it already has one, or it has stopped waiting. \
             Check how it continues. The answer is recorded, and counts if the recovery is resumed and asks the same"
        );
        return Next::Answer(reply(409, "not-waiting", message));
    }
    match over {
        Some(over) => Next::Answer(reply(409, "ended", format!("{how}, and {over}"))),
        None => Next::Tell(question.clone(), settled.clone()),
    }
}

/// How it ended without the question's being answered, if it did.
fn over(header: &Header, question: &Question, now: Timestamp) -> Option<String> {
    if let Some(closing) = header.ended() {
        return Some(format!(
            "the recovery has ended: {} at {}",
            closing.outcome, closing.closed_at
        ));
    }
    (question.expires_at <= now).then(|| format!("the time to answer ended at {}", question.expires_at))
}

fn keep(person: &Person, said: &Said, question: &Question, now: Timestamp) -> Next {
    if said.answer == Answer::Approve && question.ask.needs_reason && said.reason.is_none() {
        let message = format!("say why you approve, in \"reason\": {}", question.ask.because);
        return Next::Answer(reply(422, "reason-needed", message));
    }
    Next::Keep(Approval {
        by: person.arn.clone(),
        at: now,
        answer: said.answer,
        reason: said.reason.clone(),
        shown: question.ask.shown.clone(),
        request_id: person.request_id.clone(),
    })
}

fn needed(question: &Question, answers: &[Approval]) -> String {
    let more = match still_needed(question, answers) {
        1 => "one more person is needed".to_owned(),
        more => format!("{more} more people are needed"),
    };
    if !question.starter_is_known {
        return format!("{more}: AWS does not say who started the recovery");
    }
    let person = |arn: &str| question.same_person.person(arn);
    let starter = person(&question.started_by);
    let only_starter = answers.iter().all(|answer| person(&answer.by) == starter);
    if only_starter {
        format!("{more}: whoever started the recovery cannot approve alone")
    } else {
        more
    }
}

fn how(settled: &Settled) -> String {
    match &settled.verdict {
        Verdict::Approved { by, .. } => format!("approved by {} at {}", by.join(" and "), settled.at),
        Verdict::Declined { by, reason: None } => format!("declined by {by} at {}", settled.at),
        Verdict::Declined {
            by,
            reason: Some(reason),
        } => format!("declined by {by} at {} ({reason})", settled.at),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::person::SamePerson;

    use super::*;

    const NOW: &str = "2026-01-06T03:05:00Z";
    const STARTER: &str = "arn:aws:iam::123456789012:user/starter";
    const FIRST: &str = "arn:aws:iam::123456789012:user/first";
    const SECOND: &str = "arn:aws:sts::123456789012:assumed-role/Ops/second";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn header() -> Header {
        serde_json::from_value(json!({
            "id": "r", "workload": "shop", "scenario": "region-failure", "mode": "live", "wants": { "intent": "decide" },
            "trigger": { "kind": "person", "by": STARTER, "at": "2026-01-06T02:52:00Z" },
            "plan_sha256": "00", "objectives": { "rto": { "target": "5m", "maximum": "10m" } },
            "opened_at": "2026-01-06T02:52:01Z",
            "execution": "arn:aws:states:us-west-2:123456789012:execution:region-switch:one",
        }))
        .unwrap()
    }

    fn closed() -> Header {
        let mut header = header();
        let execution = header.execution.clone();
        let closing: Value = json!({
            "execution": execution, "outcome": "expired", "reason": null, "closed_at": "2026-01-06T03:04:00Z",
            "evidence": {},
            "observed": {
                "impact_at": null, "decided_at": null, "healthy_at": null, "last_committed_at": null,
                "last_surviving_at": null, "can_lose_writes": true,
            },
            "achieved": {
                "rto_seconds": null, "rto_from_decision_seconds": null, "rpo_seconds": null, "rpo_status": "unmeasured",
            },
            "met": { "rto": "missed", "rpo": "missed" },
        });
        header.closing = Some(serde_json::from_value(closing).unwrap());
        header
    }

    fn question(people: u8, needs_reason: bool) -> Question {
        Question {
            ask: Ask {
                id: "q".into(),
                headline: "fail over".into(),
                shown: vec!["loss: 3 s".into()],
                people,
                because: "nobody knows the loss".into(),
                needs_reason,
            },
            asked_at: at("2026-01-06T03:00:00Z"),
            expires_at: at("2026-01-06T03:15:00Z"),
            started_by: STARTER.into(),
            starter_is_known: true,
            same_person: SamePerson::default(),
            task_token: "s3cret".into(),
        }
    }

    fn given(by: &str, answer: Answer) -> Approval {
        Approval {
            by: by.into(),
            at: at("2026-01-06T03:01:00Z"),
            answer,
            reason: None,
            shown: vec![],
            request_id: None,
        }
    }

    fn approved(by: &[&str], told_at: Option<&str>) -> Option<Settled> {
        Some(Settled {
            verdict: Verdict::Approved {
                by: by.iter().map(|by| (*by).to_owned()).collect(),
                reasons: vec![],
            },
            at: at("2026-01-06T03:02:00Z"),
            told_at: told_at.map(at),
        })
    }

    fn declined(by: &str, told_at: Option<&str>) -> Option<Settled> {
        Some(Settled {
            verdict: Verdict::Declined {
                by: by.into(),
                reason: Some("not at night".into()),
            },
            at: at("2026-01-06T03:02:00Z"),
            told_at: told_at.map(at),
        })
    }

    /// One case: the first person says `answer`.
    struct Case {
        answer: Answer,
        reason: Option<&'static str>,
        facts: Facts,
        kept: bool,
        told: Option<Told>,
    }

    /// Nothing has happened yet but that one person is asked.
    fn case() -> Case {
        Case {
            answer: Answer::Approve,
            reason: None,
            facts: Facts {
                header: Some(header()),
                question: Some(question(1, false)),
                answers: vec![],
                settled: None,
            },
            kept: false,
            told: None,
        }
    }

    /// In one line: what comes next.
    fn next(case: &Case) -> String {
        let person = Person {
            arn: FIRST.into(),
            account: "123456789012".into(),
            request_id: None,
        };
        let said = Said {
            recovery: "r".into(),
            question: "q".into(),
            answer: case.answer,
            reason: case.reason.map(str::to_owned),
        };
        let done = Done {
            now: at(NOW),
            kept: case.kept,
            told: case.told,
        };
        let next = judge(&person, &said, &case.facts, &done);
        assert!(!format!("{next:?}").contains("s3cret"));
        match next {
            Next::Answer(reply) => format!("{} {}", reply.status_code, reply.body.unwrap_or_default()),
            Next::Keep(approval) => format!("keep {:?} of {} {:?}", approval.answer, approval.by, approval.reason),
            Next::Settle(_, settled) => format!("settle {}", how(&settled)),
            Next::Tell(question, settled) => format!("tell {} {}", how(&settled), question.task_token.secret()),
        }
    }

    #[test]
    fn a_question_is_not_settled_before_the_last_answer_that_settles_it() {
        let later = "2026-01-06T03:05:01Z";
        for (answered_at, settled_at) in [("2026-01-06T03:01:00Z", NOW), (later, later)] {
            let mut case = case();
            case.facts.answers = vec![Approval {
                at: at(answered_at),
                ..given(FIRST, Answer::Approve)
            }];
            let person = Person {
                arn: FIRST.into(),
                account: "123456789012".into(),
                request_id: None,
            };
            let said = Said {
                recovery: "r".into(),
                question: "q".into(),
                answer: Answer::Approve,
                reason: None,
            };
            let done = Done {
                now: at(NOW),
                kept: true,
                told: None,
            };
            let Next::Settle(_, settled) = judge(&person, &said, &case.facts, &done) else {
                panic!("it settles nothing")
            };
            assert_eq!(settled.at, at(settled_at));
        }
    }

    #[test]
    fn every_situation_has_its_answer() {
        use Answer::{Approve, Decline};
        use Told::{NotWaiting, Taken};
        const TOLD: Option<&str> = Some("2026-01-06T03:02:01Z");
        type Change = fn(&mut Case);
        let cases: Vec<(&str, Change, &[&str])> = vec![
            (
                "no such recovery",
                |c| c.facts.header = None,
                &["404", "no recovery 'r'"],
            ),
            (
                "no such question",
                |c| c.facts.question = None,
                &["404", "does not ask 'q'"],
            ),
            (
                "another account",
                |c| {
                    let header = c.facts.header.as_mut().unwrap();
                    header.execution = header.execution.replace("123456789012", "210987654321");
                },
                &["403", "another account"],
            ),
            (
                "the recovery has ended",
                |c| c.facts.header = Some(closed()),
                &["409", "has ended: expired at 2026-01-06T03:04:00Z"],
            ),
            (
                "an earlier execution has ended",
                |c| {
                    let mut header = closed();
                    header.execution += "-again";
                    c.facts.header = Some(header);
                },
                &["keep Approve"],
            ),
            (
                "the time is over",
                |c| c.facts.question.as_mut().unwrap().expires_at = at(NOW),
                &["409", "ended at 2026-01-06T03:05:00Z"],
            ),
            ("a first answer", |_| {}, &["keep Approve", FIRST, "None"]),
            ("a first no", |c| c.answer = Decline, &["keep Decline"]),
            (
                "no reason where one is needed",
                |c| c.facts.question = Some(question(1, true)),
                &["422", "nobody knows the loss"],
            ),
            (
                "a no needs no reason",
                |c| (c.answer, c.facts.question) = (Decline, Some(question(1, true))),
                &["keep Decline"],
            ),
            (
                "a reason where one is needed",
                |c| (c.reason, c.facts.question) = (Some("must"), Some(question(1, true))),
                &["keep Approve", "must"],
            ),
            (
                "the first of two",
                |c| {
                    (c.kept, c.facts.question) = (true, Some(question(2, false)));
                    c.facts.answers = vec![given(FIRST, Approve)];
                },
                &["202", "is recorded; one more person is needed\""],
            ),
            (
                "the starter alone",
                |c| {
                    (c.kept, c.facts.answers) = (true, vec![given(FIRST, Approve)]);
                    c.facts.question.as_mut().unwrap().started_by = FIRST.into();
                },
                &["202", "started the recovery cannot approve alone"],
            ),
            (
                "the same person again",
                |c| (c.facts.question, c.facts.answers) = (Some(question(2, false)), vec![given(FIRST, Approve)]),
                &[
                    "409",
                    "you already approved at 2026-01-06T03:01:00Z",
                    "one more person is needed",
                ],
            ),
            (
                "enough",
                |c| (c.kept, c.facts.answers) = (true, vec![given(FIRST, Approve)]),
                &["settle approved by", FIRST, "03:05:00Z"],
            ),
            (
                "enough before, and it died: the same person",
                |c| c.facts.answers = vec![given(FIRST, Approve)],
                &["settle approved by"],
            ),
            (
                "enough before, and it died: somebody else",
                |c| c.facts.answers = vec![given(SECOND, Approve)],
                &["keep Approve"],
            ),
            (
                "one of two declines",
                |c| {
                    (c.kept, c.answer, c.facts.question) = (true, Decline, Some(question(2, false)));
                    c.facts.answers = vec![given(SECOND, Approve), given(FIRST, Decline)];
                },
                &["settle declined by", FIRST],
            ),
            (
                "settled",
                |c| (c.kept, c.facts.settled) = (true, approved(&[FIRST], None)),
                &["tell approved by", "s3cret"],
            ),
            (
                "settled and told now",
                |c| (c.kept, c.told, c.facts.settled) = (true, Some(Taken), approved(&[FIRST, SECOND], None)),
                &["200", "\"approved\"", "first and arn", "the recovery continues"],
            ),
            (
                "settled before, and it died: told now",
                |c| (c.told, c.facts.settled) = (Some(Taken), approved(&[FIRST], None)),
                &["200", "the recovery continues"],
            ),
            (
                "told by the other of two at the same moment",
                |c| (c.kept, c.told, c.facts.settled) = (true, Some(NotWaiting), approved(&[FIRST, SECOND], TOLD)),
                &["200", "the recovery continues"],
            ),
            (
                "told, and the recovery has ended since",
                |c| {
                    (c.kept, c.told, c.facts.settled) = (true, Some(Taken), approved(&[FIRST], TOLD));
                    c.facts.header = Some(closed());
                },
                &["200", "the recovery continues"],
            ),
            (
                "a no at the same moment as an approval",
                |c| (c.kept, c.answer, c.facts.settled) = (true, Decline, approved(&[SECOND], TOLD)),
                &["409", "too late: approved by", "second at 2026-01-06T03:02:00Z"],
            ),
            (
                "an approval at the same moment as a no",
                |c| (c.kept, c.told, c.facts.settled) = (true, Some(Taken), declined(SECOND, None)),
                &["409", "too late: declined by", "not at night"],
            ),
            (
                "declined",
                |c| (c.kept, c.answer, c.told, c.facts.settled) = (true, Decline, Some(Taken), declined(FIRST, None)),
                &["200", "\"declined\"", "does nothing more"],
            ),
            (
                "after it was told",
                |c| c.facts.settled = approved(&[SECOND], TOLD),
                &["409", "too late"],
            ),
            (
                "nobody waits",
                |c| (c.kept, c.told, c.facts.settled) = (true, Some(NotWaiting), approved(&[FIRST], None)),
                &["409", "not-waiting", "is recorded, and counts"],
            ),
            (
                "settled, never told, and the time is over",
                |c| {
                    c.facts.settled = approved(&[SECOND], None);
                    c.facts.question.as_mut().unwrap().expires_at = at(NOW);
                },
                &["409", "approved by", "the time to answer ended"],
            ),
        ];
        for (name, change, parts) in cases {
            let mut case = case();
            change(&mut case);
            let found = next(&case);
            assert!(found.starts_with(parts[0]), "{name}: {found}");
            for part in parts {
                assert!(found.contains(part), "{name}: {part} is missing in {found}");
            }
        }
    }
}
