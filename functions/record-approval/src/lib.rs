//! Takes a person's answer to what a recovery asks, and tells the machine that waits once enough people have answered.
//!
//! It is served as a Lambda function URL with IAM authentication: the name on the record is the caller's ARN as AWS
//! authenticated it. Whoever can invoke the function in another way can write any name into the event, so people are
//! given `lambda:InvokeFunctionUrl` and not the right to invoke it directly; where AWS asks for `lambda:InvokeFunction`
//! too, as it does for URLs made since October 2025, only under the condition `lambda:InvokedViaFunctionUrl`. A person
//! is an IAM user or a role's session, by its name: IAM Identity Center names the session after the person. Where people
//! assume roles themselves, the role's trust policy must hold `sts:RoleSessionName` to the person, or one person counts
//! as two.
//!
//! What holds is the first verdict that was kept: whoever finds one tells the machine that one and no other, and so
//! exactly one reaches it, also when two people answer at the same moment, and when this function dies between keeping
//! an answer and telling the machine. An answer that was given stays; there is nothing to take back.

mod judge;
mod said;

use std::time::Duration;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use aws_sdk_sfn::Client;
use shared::approval::{Question, Settled, Told, told};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::function_url::Person;
use shared::record::Record;
use shared::step::{Caller, Change, Step};

pub use shared::function_url::{Input, Output};

use judge::{Done, Facts, Next, judge};
use said::{Said, try_again};

/// How long answering may take: below the step's own limit, so that the person is told to try again.
const ANSWERING: Duration = Duration::from_secs(18);
/// How often it is judged what comes next: keeping the answer, settling the question, telling the machine, answering,
/// and once more.
const ROUNDS: usize = 5;

/// The step: records a person's answer to a recovery's question.
#[derive(Debug)]
pub struct RecordApproval {
    aws: Aws,
    machines: Client,
    record: Record,
}

impl Step for RecordApproval {
    const NAME: &'static str = "record-approval";
    const DESCRIPTION: &'static str = "Records a person's answer to a recovery's question";
    const CALLED_BY: &'static [Caller] = &[Caller::Url];
    const CHANGES: &'static [Change] = &[
        Change::Call("states:SendTaskSuccess"),
        Change::Item("approval"),
        Change::Item("verdict"),
    ];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            machines: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let (person, said) = match said::read(&input) {
            Ok(read) => read,
            Err(refusal) => return Ok(Output(*refusal)),
        };
        let answer = match tokio::time::timeout(ANSWERING, self.answer(&person, &said)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::error!(error = %error, "could not record the answer");
                try_again()
            }
            Err(_) => {
                tracing::error!("could not record the answer within {ANSWERING:?}");
                try_again()
            }
        };
        tracing::info!(
            recovery = said.recovery,
            question = said.question,
            by = person.arn,
            answer = ?said.answer,
            status = answer.status_code,
            "answered"
        );
        Ok(Output(answer))
    }
}

impl RecordApproval {
    /// Does what [`judge`] says comes next, and looks again at where things stand after each thing done.
    async fn answer(&self, person: &Person, said: &Said) -> Result<LambdaFunctionUrlResponse, StepError> {
        let (recovery, question) = (&said.recovery, &said.question);
        let mut done = Done {
            now: self.aws.now(),
            kept: false,
            told: None,
        };
        for _ in 0..ROUNDS {
            let facts = self.facts(said).await?;
            match judge(person, said, &facts, &done) {
                Next::Answer(answer) => return Ok(answer),
                Next::Keep(approval) => {
                    done.kept = self.record.note_approval(recovery, question, &approval).await?;
                }
                Next::Settle(ask, settled) => {
                    self.record.settle(recovery, &ask, settled).await?;
                }
                Next::Tell(question, settled) => {
                    done.told = Some(self.tell_machine(recovery, &question, &settled).await?);
                }
            }
        }
        let text = format!("no reply for {person:?} after {ROUNDS} rounds; this is a defect");
        Err(StepError::new(ErrorKind::Internal, text))
    }

    /// What is settled is read last: whoever was told by Step Functions that nobody waits then sees who told it.
    async fn facts(&self, said: &Said) -> Result<Facts, StepError> {
        let (recovery, question) = (&said.recovery, &said.question);
        let header = self.record.header(recovery).await?;
        let asked = self.record.question(recovery, question).await?;
        let answers = self.record.approvals(recovery, question).await?;
        let settled = match &asked {
            Some(asked) => self.record.settled(recovery, &asked.ask).await?,
            None => None,
        };
        Ok(Facts {
            header,
            question: asked,
            answers,
            settled,
        })
    }

    async fn tell_machine(&self, recovery: &str, question: &Question, settled: &Settled) -> Result<Told, StepError> {
        let token = &question.task_token;
        let output = settled.verdict.for_the_machine()?;
        let sent = self
            .machines
            .send_task_success()
            .task_token(token.secret())
            .output(output)
            .send()
            .await;
        let told = told(token, sent)?;
        if told == Told::Taken
            && let Err(error) = self
                .record
                .note_verdict_told(recovery, &question.ask, settled, self.aws.now())
                .await
        {
            tracing::warn!(error = %error, "could not record that the machine was told");
        }
        Ok(told)
    }
}
