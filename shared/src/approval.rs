//! What people are asked before a recovery goes on, what they answer, and what an answer is worth.

use std::collections::BTreeSet;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::arn;
use crate::error::{ErrorKind, StepError};
use crate::person::SamePerson;
use crate::summary::{Summarise, Summary};

/// What people are asked; the step that gathered the evidence writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Names the question within its recovery. Another id is another question: it changes with whatever an approval
    /// rests on, so that what was approved still holds exactly if the id is the same.
    pub id: String,
    /// What would be done, in one sentence.
    pub headline: String,
    /// What an approver must see: expected loss, evidence, whether the fence is confirmed, what else is to be known.
    pub shown: Vec<String>,
    /// How many people must approve; 0 means that nobody is asked.
    pub people: u8,
    /// Why that many.
    pub because: String,
    /// Whether an approval must say why: more may be lost than the plan allows, or nobody knows how much.
    pub needs_reason: bool,
}

/// A question that was asked. Its verdict follows from the answers, see [`verdict`], and is kept as [`Settled`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub ask: Ask,
    /// When it was asked first.
    pub asked_at: Timestamp,
    /// Until when it can be answered.
    pub expires_at: Timestamp,
    /// Who started the recovery, as the request says: their approval alone is not enough.
    pub started_by: String,
    /// Whether that is known, and not only said. Somebody who starts an execution by hand writes what they like.
    #[serde(default)]
    pub starter_is_known: bool,
    /// Who counts as one person, as the plan says.
    #[serde(default)]
    pub same_person: SamePerson,
    /// What Step Functions waits for.
    pub task_token: TaskToken,
}

/// The token of a task that Step Functions waits for. Whoever has it can answer in anybody's name: it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(String);

impl TaskToken {
    /// The token itself, for the call to Step Functions and for nothing else.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// `text` without the token: AWS repeats a value that it finds too long.
    fn hidden_in(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        text.replace(&self.0, "(task token)")
    }
}

impl From<&str> for TaskToken {
    fn from(token: &str) -> Self {
        Self(token.to_owned())
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(task token)")
    }
}

/// What one person says to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// ARN of the person, as AWS authenticated them.
    pub by: String,
    /// When they answered.
    pub at: Timestamp,
    /// Yes or no.
    pub answer: Answer,
    /// Why, if they said.
    #[serde(default)]
    pub reason: Option<String>,
    /// What they were shown.
    pub shown: Vec<String>,
    /// AWS's id of the request that answered: CloudTrail has it too, where it keeps the data events of the function; nothing in
    /// records from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Go on.
    Approve,
    /// Do not.
    Decline,
}

/// The verdict on a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Verdict {
    /// As many people as were asked approve.
    Approved {
        /// ARNs of the people.
        by: Vec<String>,
        /// What they gave as reasons.
        reasons: Vec<String>,
    },
    /// Somebody does not.
    Declined {
        /// ARN of the person.
        by: String,
        /// Why, if they said.
        reason: Option<String>,
    },
}

impl Verdict {
    /// What the machine that waits gets: the verdict and its summary, as JSON. Errors: `Internal`.
    pub fn for_the_machine(&self) -> Result<String, StepError> {
        #[derive(Serialize)]
        struct Output<'a> {
            #[serde(flatten)]
            verdict: &'a Verdict,
            #[serde(flatten)]
            summary: Summary,
        }
        let output = Output {
            verdict: self,
            summary: self.summarise(),
        };
        serde_json::to_string(&output)
            .map_err(|error| StepError::new(ErrorKind::Internal, format!("the verdict is not JSON: {error}")))
    }
}

impl Summarise for Verdict {
    fn summarise(&self) -> Summary {
        match self {
            Self::Approved { by, .. } if by.is_empty() => Summary::done("no approval needed; nobody was asked"),
            Self::Approved { by, .. } => {
                let people: Vec<&str> = by.iter().map(|arn| arn::display_name(arn)).collect();
                Summary::done(format!("approved by {}", people.join(" and ")))
            }
            Self::Declined { by, .. } => Summary::failed(format!("declined by {}", arn::display_name(by))),
        }
    }
}

/// The one verdict on a question that so many people are asked: the first that was kept. It holds as long as the question's
/// id is asked of as many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The verdict.
    pub verdict: Verdict,
    /// When it came about.
    pub at: Timestamp,
    /// When Step Functions took it, as far as is known.
    #[serde(default)]
    pub told_at: Option<Timestamp>,
}

impl Settled {
    /// A verdict on these answers, found at `now`. It came about when the last of them was given: somebody may have answered
    /// since whoever found it began to look, or by another clock.
    pub fn by(verdict: Verdict, answers: &[Approval], now: Timestamp) -> Self {
        let answered = answers.iter().map(|answer| answer.at).max();
        Self {
            verdict,
            at: answered.map_or(now, |answered| answered.max(now)),
            told_at: None,
        }
    }
}

/// What Step Functions did with a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It took it, and the machine goes on.
    Taken,
    /// It does not wait for one: it was told before, it stopped waiting, or the execution has ended.
    NotWaiting,
}

/// What the answers so far add up to; nothing while more are needed.
///
/// One person who declines decides. Approvals count by [person](SamePerson), and those of whoever started the recovery are
/// never enough alone. Where it is not known who did, it may be any of them, so that two must approve.
pub fn verdict(question: &Question, answers: &[Approval]) -> Option<Verdict> {
    if let Some(no) = answers.iter().find(|answer| answer.answer == Answer::Decline) {
        return Some(Verdict::Declined {
            by: no.by.clone(),
            reason: no.reason.clone(),
        });
    }
    (still_needed(question, answers) == 0).then(|| Verdict::Approved {
        by: people(question, answers)
            .into_iter()
            .map(|answer| answer.by.clone())
            .collect(),
        reasons: answers.iter().filter_map(|answer| answer.reason.clone()).collect(),
    })
}

/// How many more people must approve, where nobody declines.
pub fn still_needed(question: &Question, answers: &[Approval]) -> usize {
    if question.ask.people == 0 {
        return 0;
    }
    let people = people(question, answers);
    let person = |arn: &str| question.same_person.person(arn);
    let starter = person(&question.started_by);
    let is_beside_the_starter = people.iter().any(|answer| person(&answer.by) != starter);
    let beside_the_starter = match question.starter_is_known {
        true => usize::from(!is_beside_the_starter),
        false => PEOPLE_BESIDE_THE_UNKNOWN.saturating_sub(people.len()),
    };
    usize::from(question.ask.people)
        .saturating_sub(people.len())
        .max(beside_the_starter)
}

/// How many people must approve what somebody unknown started: one of them may be the starter.
const PEOPLE_BESIDE_THE_UNKNOWN: usize = 2;

/// The first answer of each person.
fn people<'a>(question: &Question, answers: &'a [Approval]) -> Vec<&'a Approval> {
    let mut seen = BTreeSet::new();
    let first = answers
        .iter()
        .filter(|answer| seen.insert(question.same_person.person(&answer.by)));
    first.collect()
}

/// The result of `states:SendTaskSuccess` with `token`. Errors: AWS's own, other than that nobody waits; without the
/// token.
pub fn told<T, E>(token: &TaskToken, sent: Result<T, SdkError<E, HttpResponse>>) -> Result<Told, StepError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let error = match sent {
        Ok(_) => return Ok(Told::Taken),
        Err(error) => error,
    };
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    // The API Reference names these three for a token that is closed, gone, or never was.
    if matches!(code, Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken")) {
        return Ok(Told::NotWaiting);
    }
    let error = StepError::aws("states:SendTaskSuccess", "the task that waits for approval", error);
    Err(StepError::new(error.kind, token.hidden_in(&error.message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(people: u8) -> Question {
        Question {
            ask: Ask {
                id: "failover".into(),
                headline: "fail over".into(),
                shown: vec![],
                people,
                because: "policy".into(),
                needs_reason: false,
            },
            asked_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            started_by: "arn:starter".into(),
            starter_is_known: true,
            same_person: SamePerson::default(),
            task_token: "t".into(),
        }
    }

    fn answers(given: &[(&str, Answer)]) -> Vec<Approval> {
        let approval = |(by, answer): &(&str, Answer)| Approval {
            by: (*by).to_owned(),
            at: Timestamp::UNIX_EPOCH,
            answer: *answer,
            reason: None,
            shown: vec![],
            request_id: None,
        };
        given.iter().map(approval).collect()
    }

    #[test]
    fn approvals_count_by_person_and_never_only_the_starters() {
        use Answer::{Approve, Decline};
        for (people, given, approved) in [
            (0, vec![], Some(true)),
            (1, vec![], None),
            (1, vec![("arn:one", Approve)], Some(true)),
            (1, vec![("arn:starter", Approve)], None),
            (1, vec![("arn:starter", Approve), ("arn:one", Approve)], Some(true)),
            (2, vec![("arn:one", Approve)], None),
            (2, vec![("arn:one", Approve), ("arn:one", Approve)], None),
            (2, vec![("arn:one", Approve), ("arn:two", Approve)], Some(true)),
            (2, vec![("arn:starter", Approve), ("arn:two", Approve)], Some(true)),
            (2, vec![("arn:one", Approve), ("arn:two", Decline)], Some(false)),
            (1, vec![("arn:one", Approve), ("arn:two", Decline)], Some(false)),
        ] {
            let found =
                verdict(&question(people), &answers(&given)).map(|verdict| matches!(verdict, Verdict::Approved { .. }));
            assert_eq!(found, approved, "{people} asked, {given:?}");
        }
    }

    #[test]
    fn one_person_is_one_whatever_they_sign_in_as() {
        use SamePerson::{NameBeforeAt, WholeName};
        let session = "arn:aws:sts::1:assumed-role/AWSReservedSSO_on-call_0a1b/jane@example.com";
        let (admin, user) = (
            "arn:aws:sts::1:assumed-role/AWSReservedSSO_admin_2c3d/Jane@example.com",
            "arn:aws:iam::1:user/team/jane",
        );
        for arn in [session, admin, user] {
            assert_eq!(NameBeforeAt.person(arn), "jane");
        }
        assert_eq!(WholeName.person(session), WholeName.person(admin));
        assert_ne!(WholeName.person(session), WholeName.person(user));
        let other = "arn:aws:sts::1:assumed-role/on-call/jane@elsewhere.example";
        assert_eq!(NameBeforeAt.person(other), "jane");
        assert_ne!(WholeName.person(session), WholeName.person(other));
        assert_eq!(NameBeforeAt.person("arn:aws:sts::1:assumed-role/on-call/@"), "@");
        let by_whole_name = Question {
            same_person: WholeName,
            ..question(2)
        };
        let given = answers(&[(session, Answer::Approve), (other, Answer::Approve)]);
        assert_eq!(still_needed(&by_whole_name, &given), 0);
        assert_eq!(still_needed(&question(2), &given), 1);
    }

    #[test]
    fn two_permission_sets_are_one_person() {
        use Answer::Approve;
        let jane = |role: &str| format!("arn:aws:sts::1:assumed-role/{role}/jane@example.com");
        let (on_call, admin) = (jane("on-call"), jane("admin"));
        let user = "arn:aws:iam::1:user/Jane";
        let john = "arn:aws:sts::1:assumed-role/on-call/john@example.com";
        let missing = |question: &Question, by: &[&str]| {
            let given: Vec<_> = by.iter().map(|by| (*by, Approve)).collect();
            still_needed(question, &answers(&given))
        };
        assert_eq!(missing(&question(2), &[&on_call, &admin, user]), 1);
        assert_eq!(missing(&question(2), &[&on_call, john]), 0);
        // Nor is whoever started it somebody else in another role.
        let started = Question {
            started_by: on_call.clone(),
            ..question(1)
        };
        assert_eq!(missing(&started, &[&admin]), 1);
        assert_eq!(missing(&started, &[&admin, john]), 0);
    }

    #[test]
    fn an_unknown_starter_is_never_the_only_approver() {
        use Answer::Approve;
        let unknown = Question {
            starter_is_known: false,
            ..question(1)
        };
        for (by, missing) in [(&[][..], 2), (&["arn:one"], 1), (&["arn:one", "arn:two"], 0)] {
            let given: Vec<_> = by.iter().map(|by| (*by, Approve)).collect();
            assert_eq!(still_needed(&unknown, &answers(&given)), missing, "{by:?}");
        }
        let nobody = Question {
            starter_is_known: false,
            ..question(0)
        };
        assert_eq!(still_needed(&nobody, &[]), 0);
    }

    #[test]
    fn how_many_are_missing_counts_somebody_else_than_the_starter() {
        use Answer::Approve;
        for (people, given, missing) in [
            (0, vec![], 0),
            (1, vec![], 1),
            (1, vec![("arn:starter", Approve)], 1),
            (2, vec![], 2),
            (2, vec![("arn:starter", Approve)], 1),
            (2, vec![("arn:one", Approve)], 1),
            (1, vec![("arn:one", Approve), ("arn:two", Approve)], 0),
        ] {
            let found = still_needed(&question(people), &answers(&given));
            assert_eq!(found, missing, "{people} asked, {given:?}");
        }
    }

    #[test]
    fn no_verdict_is_older_than_an_answer_that_it_rests_on() {
        let mut answers = answers(&[("arn:one", Answer::Approve), ("arn:two", Answer::Approve)]);
        answers[0].at = Timestamp::from_second(90).unwrap();
        let verdict = verdict(&question(2), &answers).unwrap();
        for (now, at) in [(60, 90), (120, 120)] {
            let settled = Settled::by(verdict.clone(), &answers, Timestamp::from_second(now).unwrap());
            assert_eq!(settled.at, Timestamp::from_second(at).unwrap());
        }
    }

    #[test]
    fn the_task_token_is_not_shown() {
        let question = Question {
            task_token: "s3cret".into(),
            ..question(1)
        };
        assert!(!format!("{question:?}").contains("s3cret"));
        let kept = serde_json::to_value(&question).unwrap();
        assert_eq!(kept["task_token"], "s3cret");

        let refused = |code: &str| {
            let meta = aws_smithy_types::error::ErrorMetadata::builder()
                .code(code)
                .message("Value 's3cret' at 'taskToken' is too long")
                .build();
            let answer = aws_smithy_runtime_api::http::Response::new(400.try_into().unwrap(), "".into());
            told::<(), _>(
                &question.task_token,
                Err(SdkError::service_error(Refused(meta), answer)),
            )
        };
        for code in ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"] {
            assert_eq!(refused(code), Ok(Told::NotWaiting), "{code}");
        }
        let error = refused("ValidationException").unwrap_err();
        assert!(error.message.contains("Value '(task token)'"), "{error}");
    }

    #[derive(Debug)]
    struct Refused(aws_smithy_types::error::ErrorMetadata);

    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("refused")
        }
    }

    impl std::error::Error for Refused {}

    impl ProvideErrorMetadata for Refused {
        fn meta(&self) -> &aws_smithy_types::error::ErrorMetadata {
            &self.0
        }
    }
}
