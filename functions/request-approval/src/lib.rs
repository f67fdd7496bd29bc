//! Asks people whether a recovery may go on. A state machine calls it and waits for the task token, which is
//! answered when enough people have answered. This step does so itself where the same question was settled before: a
//! resumed recovery does not ask again.
//!
//! The question is kept before anybody is told, so that whoever is told can answer. Run twice there is one question, and
//! people are told once; if the function dies between telling them and keeping that, twice. There is nothing to take
//! back.

mod input;
mod message;

use std::time::Duration;

use aws_sdk_sfn::Client;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::approval::{Question, Settled, Told, Verdict, told, verdict};
use shared::arn;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::record::{Record, Started};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};
use shared::topic::Topics;

pub use input::Input;

/// How long telling people may take. A topic that does not answer must not use up the step's own time.
const TELLING: Duration = Duration::from_secs(5);
/// The longest id of a question, in bytes. It is part of a sort key, which takes 1024 in all.
const LONGEST_ID: usize = 256;

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether people are asked; if not, the machine has its answer.
    pub asked: bool,
    /// Whether they were told of it on the topic, now or before.
    pub told: bool,
    /// What the machine was answered, where nobody is asked.
    pub verdict: Option<Verdict>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match &self.verdict {
            Some(verdict) => verdict.summarise(),
            None if self.told => Summary::waiting("people are asked"),
            None => Summary::waiting("people are asked, but the message on the topic failed"),
        }
    }
}

/// The step: asks people whether a recovery may continue.
#[derive(Debug)]
pub struct RequestApproval {
    aws: Aws,
    machines: Client,
    topics: Topics,
    record: Record,
}

impl Step for RequestApproval {
    const NAME: &'static str = "request-approval";
    const DESCRIPTION: &'static str = "Asks people whether a recovery may continue";
    const CHANGES: &'static [Change] = &[
        Change::Call("sns:Publish"),
        Change::Call("states:SendTaskSuccess"),
        Change::Item("question"),
        Change::Item("told"),
        Change::Item("verdict"),
    ];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            machines: Client::new(aws.config()),
            topics: Topics::new(aws),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        check(&input)?;
        let now = self.aws.now();
        let (recovery, id) = (&input.recovery.id, &input.ask.id);
        let before = self.record.question(recovery, id).await?;
        let known = input.ask.people > 0 && self.starter_is_known(&input).await?;
        let question = question(&input, before.as_ref(), known, now)?;
        if question.ask.people > 0 {
            // Kept before the answers are looked at: an answer that comes meanwhile is either seen here, or finds this
            // task token.
            self.record.put_question(recovery, &question).await?;
        }
        if let Some(settled) = self.settled(recovery, &question, now).await? {
            self.tell_machine(recovery, &question, &settled).await?;
            return Ok(Output {
                asked: false,
                told: false,
                verdict: Some(settled.verdict),
            });
        }
        Ok(Output {
            asked: true,
            told: self.tell_people(&input, &question).await,
            verdict: None,
        })
    }
}

impl RequestApproval {
    /// Whether it is known who started the execution that asks: what starts recoveries has written down for whom. Whoever
    /// starts one in the console, or resumes one, writes into its input what they like.
    async fn starter_is_known(&self, input: &Input) -> Result<bool, StepError> {
        let execution = &input.recovery.execution;
        let name = arn::name(execution);
        let id = name.strip_prefix(&format!("{}-", input.scenario)).unwrap_or(name);
        let decision = self.record.start_decision(&input.recovery.workload, id).await?;
        Ok(decision.is_some_and(|decision| {
            matches!(&decision.decision, Started::Started { execution: started } if started == execution)
                && decision.by == input.started_by
        }))
    }

    /// The verdict on the question, if there already is one: people who approved, or one who declined, are not asked again.
    async fn settled(&self, recovery: &str, question: &Question, now: Timestamp) -> Result<Option<Settled>, StepError> {
        let ask = &question.ask;
        if ask.people == 0 {
            return Ok(verdict(question, &[]).map(|verdict| Settled::by(verdict, &[], now)));
        }
        if let Some(settled) = self.record.settled(recovery, ask).await? {
            return Ok(Some(settled));
        }
        let answers = self.record.approvals(recovery, &ask.id).await?;
        match verdict(question, &answers) {
            Some(verdict) => {
                let settled = Settled::by(verdict, &answers, now);
                Ok(Some(self.record.settle(recovery, ask, settled).await?))
            }
            None => Ok(None),
        }
    }

    async fn tell_machine(&self, recovery: &str, question: &Question, settled: &Settled) -> Result<(), StepError> {
        let output = settled.verdict.for_the_machine()?;
        let sent = self
            .machines
            .send_task_success()
            .task_token(question.task_token.secret())
            .output(output)
            .send()
            .await;
        match told(&question.task_token, sent)? {
            Told::Taken if question.ask.people > 0 => {
                let (ask, now) = (&question.ask, self.aws.now());
                if let Err(error) = self.record.note_verdict_told(recovery, ask, settled, now).await {
                    tracing::warn!(error = %error, "could not record that the machine was told");
                }
            }
            Told::Taken => {}
            Told::NotWaiting => tracing::warn!("the machine does not wait for the answer, or has it already"),
        }
        Ok(())
    }

    /// Tells people, once for each time that the question is asked; says whether they know. That they could not be told
    /// does not fail the step: the question is on the record, and an execution that waits is seen by other means.
    async fn tell_people(&self, input: &Input, question: &Question) -> bool {
        let what = format!("asks {} of {}", question.ask.id, question.asked_at);
        match self.record.told(&input.recovery, &what).await {
            Ok(Some(_)) => return true,
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "could not check whether this message was sent before; \
                                                          sending it"),
        }
        let text = message::text(input, question, self.aws.region());
        let subject = format!("{} asks for approval", input.scenario);
        let tell = async |topics: &Topics, topic_arn: &str| {
            let workload = &input.recovery.workload;
            let telling = topics.publish(topic_arn, input.mode, workload, &subject, &text);
            match tokio::time::timeout(TELLING, telling).await {
                Ok(Ok(message)) => Some(message),
                Ok(Err(error)) => {
                    tracing::warn!(topic = topic_arn, error = %error, "could not send people the question");
                    None
                }
                Err(_) => {
                    tracing::warn!(
                        topic = topic_arn,
                        "people may not have the question: SNS did not answer within {TELLING:?}"
                    );
                    None
                }
            }
        };
        let tell_there = async {
            match &input.also_topic_arn {
                Some(topic_arn) => {
                    let topics = Topics::in_region(&self.aws, arn::region(topic_arn));
                    tell(&topics, topic_arn).await
                }
                None => None,
            }
        };
        let (here, there) = tokio::join!(biased; tell(&self.topics, &input.topic_arn), tell_there);
        let Some(message) = here.or(there) else {
            return false;
        };
        let asked = &question.ask.id;
        let noted = self.record.note_asked(&input.recovery, &what, asked, &message).await;
        if let Err(error) = noted {
            tracing::warn!(error = %error, "could not record that people were told");
        }
        true
    }
}

fn check(input: &Input) -> Result<(), StepError> {
    let id = &input.ask.id;
    let wrong = if id.is_empty() || id.len() > LONGEST_ID || id.contains('#') {
        format!("ask.id is '{id}': it must have 1 to {LONGEST_ID} bytes, and no '#', which divides the record's keys")
    } else if input.task_token.secret().is_empty() {
        "task_token is empty: call this step with waitForTaskToken".to_owned()
    } else {
        return Ok(());
    };
    Err(StepError::new(ErrorKind::InvalidInput, wrong))
}

/// The question that is kept. Asked again before it has expired, it counts as asked when it was asked first; it can be
/// answered as long as this task token is waited for.
fn question(
    input: &Input,
    before: Option<&Question>,
    starter_is_known: bool,
    now: Timestamp,
) -> Result<Question, StepError> {
    let expires_at = i64::try_from(input.answer_within_seconds)
        .ok()
        .and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok())
        .ok_or_else(|| {
            let text = format!("answer_within_seconds is {}: too long", input.answer_within_seconds);
            StepError::new(ErrorKind::InvalidInput, text)
        })?;
    let asked_at = before
        .filter(|before| before.expires_at > now)
        .map(|before| before.asked_at);
    Ok(Question {
        ask: input.ask.clone(),
        asked_at: asked_at.unwrap_or(now),
        expires_at,
        started_by: input.started_by.clone(),
        starter_is_known,
        same_person: input.same_person,
        task_token: input.task_token.clone(),
    })
}

#[cfg(test)]
mod tests {
    use shared::approval::Ask;
    use shared::person::SamePerson;
    use shared::recovery::{Mode, RecoveryRef};
    use shared::scenario::Scenario;

    use super::*;

    pub(crate) fn input() -> Input {
        Input {
            recovery: RecoveryRef {
                id: "20260106T025201Z-region-failure-aabbcc".into(),
                workload: "shop".into(),
                token: 1,
                execution: "arn:aws:states:us-west-2:123456789012:execution:region-switch:one".into(),
            },
            scenario: Scenario::REGION_FAILURE,
            mode: Mode::Rehearsal,
            topic_arn: "arn:aws:sns:us-west-2:123456789012:told".into(),
            also_topic_arn: None,
            same_person: SamePerson::default(),
            ask: Ask {
                id: "failover-1".into(),
                headline: "Fail the database over to us-west-2.".into(),
                shown: vec!["Expected loss: 3 s.".into(), "The fence is not confirmed.".into()],
                people: 1,
                because: "the plan asks one".into(),
                needs_reason: false,
            },
            started_by: "arn:aws:iam::123456789012:user/first".into(),
            answer_within_seconds: 900,
            task_token: "s3cret".into(),
            approval_url: "https://abc.lambda-url.us-west-2.on.aws/".into(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_asking_counts_until_it_expires_and_the_token_is_the_new_one() {
        let first = question(&input(), None, true, at("2026-01-06T03:00:00Z")).unwrap();
        assert_eq!(first.asked_at, at("2026-01-06T03:00:00Z"));
        assert_eq!(first.expires_at, at("2026-01-06T03:15:00Z"));

        let again = Input {
            task_token: "another".into(),
            ..input()
        };
        for (now, asked_at) in [
            ("2026-01-06T03:14:59Z", "2026-01-06T03:00:00Z"),
            ("2026-01-06T03:15:00Z", "2026-01-06T03:15:00Z"),
        ] {
            let second = question(&again, Some(&first), true, at(now)).unwrap();
            assert_eq!(second.asked_at, at(asked_at), "{now}");
            assert_eq!(second.expires_at, at(now) + SignedDuration::from_mins(15), "{now}");
            assert_eq!(second.task_token.secret(), "another");
        }
    }

    #[test]
    fn what_could_not_be_kept_or_answered_is_refused() {
        assert_eq!(check(&input()), Ok(()));
        for change in [
            (|input| input.ask.id = "a#b".into()) as fn(&mut Input),
            |input| input.ask.id = String::new(),
            |input| input.ask.id = "a".repeat(257),
            |input| input.task_token = "".into(),
        ] {
            let mut input = input();
            change(&mut input);
            assert_eq!(check(&input).unwrap_err().kind, ErrorKind::InvalidInput);
        }
        for seconds in [u64::MAX, 1 << 40] {
            let input = Input {
                answer_within_seconds: seconds,
                ..input()
            };
            let error = question(&input, None, true, at("2026-01-06T03:00:00Z")).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidInput, "{seconds}");
        }
    }
}
