//! What people were asked, what they answered, and the verdict.

use jiff::Timestamp;

use super::table::{Record, recovery_key};
use crate::approval::{Approval, Ask, Question, Settled};
use crate::error::StepError;

impl Record {
    /// Keeps a question, whose id must have no `#`, in place of the same one asked before: its task token is another each time.
    pub async fn put_question(&self, recovery: &str, question: &Question) -> Result<(), StepError> {
        self.put(&recovery_key(recovery), &question_key(&question.ask.id), question)
            .await
    }

    /// A question of a recovery.
    pub async fn question(&self, recovery: &str, question: &str) -> Result<Option<Question>, StepError> {
        self.item(&recovery_key(recovery), &question_key(question)).await
    }

    /// All questions of a recovery.
    pub async fn questions(&self, recovery: &str) -> Result<Vec<Question>, StepError> {
        self.items(&recovery_key(recovery), "question#").await
    }

    /// Keeps what one person answers to a question; says whether it is their first answer to it. A later one changes
    /// nothing.
    pub async fn note_approval(&self, recovery: &str, question: &str, approval: &Approval) -> Result<bool, StepError> {
        let sort = format!("{}{}", approvals_prefix(question), approval.by);
        self.put_new(&recovery_key(recovery), &sort, approval).await
    }

    /// What people have answered to a question, in the order in which they did.
    pub async fn approvals(&self, recovery: &str, question: &str) -> Result<Vec<Approval>, StepError> {
        let mut approvals: Vec<Approval> = self.items(&recovery_key(recovery), &approvals_prefix(question)).await?;
        approvals.sort_by(|a, b| (a.at, &a.by).cmp(&(b.at, &b.by)));
        Ok(approvals)
    }

    /// The verdict on a question, if it is settled. Asked of more people, or of fewer, it has a verdict of its own: what one
    /// person approved is not approved by two.
    pub async fn settled(&self, recovery: &str, ask: &Ask) -> Result<Option<Settled>, StepError> {
        self.item(&recovery_key(recovery), &settled_key(ask)).await
    }

    /// Keeps the verdict on a question, unless it was settled before; gives the one that holds.
    pub async fn settle(&self, recovery: &str, ask: &Ask, settled: Settled) -> Result<Settled, StepError> {
        let (partition, sort) = (recovery_key(recovery), settled_key(ask));
        if self.put_new(&partition, &sort, &settled).await? {
            return Ok(settled);
        }
        Ok(self.item(&partition, &sort).await?.unwrap_or(settled))
    }

    /// Keeps that Step Functions took the verdict on a question.
    pub async fn note_verdict_told(
        &self,
        recovery: &str,
        ask: &Ask,
        settled: &Settled,
        at: Timestamp,
    ) -> Result<(), StepError> {
        let told = Settled {
            told_at: Some(at),
            ..settled.clone()
        };
        self.put(&recovery_key(recovery), &settled_key(ask), &told).await
    }
}

fn question_key(question: &str) -> String {
    format!("question#{question}")
}

fn settled_key(ask: &Ask) -> String {
    format!("verdict#{}#{}", ask.id, ask.people)
}

fn approvals_prefix(question: &str) -> String {
    format!("approval#{question}#")
}
