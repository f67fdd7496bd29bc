//! The plan in force.

use super::table::{Record, internal};
use crate::digest::sha256_hex;
use crate::error::{ErrorKind, StepError};
use crate::plan::Plan;

impl Record {
    /// Stores `plan` under its SHA-256 and makes it the one in force; returns the hash.
    pub async fn put_plan(&self, plan: &Plan) -> Result<String, StepError> {
        let body = plan.stored_form().map_err(|error| internal(&error))?;
        let sha256 = sha256_hex(&body);
        self.put_text("plan", &format!("sha256#{sha256}"), "body", &body)
            .await?;
        self.put_text("plan", "current", "sha256", &sha256).await?;
        Ok(sha256)
    }

    /// The plan with this SHA-256, in its stored form; nothing if it is not kept.
    pub async fn plan_text(&self, sha256: &str) -> Result<Option<String>, StepError> {
        self.text_of("plan", &format!("sha256#{sha256}"), "body").await
    }

    /// The plan in force and its SHA-256. Errors: `NotFound` if none was pushed, `VerificationFailed` if it is not what
    /// its hash says.
    pub async fn current_plan(&self) -> Result<(String, Plan), StepError> {
        let missing = || {
            let text = format!(
                "no plan is stored in table {} in {}; push one: drctl plan push",
                self.table, self.region
            );
            StepError::new(ErrorKind::NotFound, text)
        };
        let sha256 = self.text_of("plan", "current", "sha256").await?.ok_or_else(missing)?;
        let body = self.plan_text(&sha256).await?.ok_or_else(missing)?;
        if sha256_hex(&body) != sha256 {
            let text = format!(
                "the plan stored as {sha256} in table {} was altered; push it again",
                self.table
            );
            return Err(StepError::new(ErrorKind::VerificationFailed, text));
        }
        let plan = serde_json::from_str(&body).map_err(|error| {
            let text = format!("this version cannot read the plan stored as {sha256}: {error}; push it again");
            StepError::new(ErrorKind::InvalidInput, text)
        })?;
        Ok((sha256, plan))
    }
}
