//! Secrets, as steps read them. Nothing prints what is in them.

use std::fmt;

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{ErrorKind, StepError};

/// The current version of a secret.
pub struct Secret {
    arn: String,
    text: String,
    /// Since when it has been the current one, if Secrets Manager says so.
    pub changed_at: Option<Timestamp>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("arn", &self.arn).finish_non_exhaustive()
    }
}

/// A database's user with the password, as a secret has them.
#[derive(Clone, Deserialize)]
pub struct DatabaseUser {
    /// The user.
    #[serde(rename = "username")]
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for DatabaseUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// Reads a secret. Errors: what Secrets Manager answers.
    pub async fn read(client: &Client, arn: &str) -> Result<Self, StepError> {
        let value = client
            .get_secret_value()
            .secret_id(arn)
            .send()
            .await
            .map_err(|error| StepError::aws("secretsmanager:GetSecretValue", arn, error))?;
        let changed_at = value.created_date();
        Ok(Self {
            arn: arn.to_owned(),
            changed_at: changed_at.and_then(|at| Timestamp::from_millisecond(at.to_millis().ok()?).ok()),
            text: value.secret_string.unwrap_or_default(),
        })
    }

    /// What is in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The database's user that it is for. Errors: `InvalidInput`, where it is for none.
    pub fn database_user(&self) -> Result<DatabaseUser, StepError> {
        serde_json::from_str(&self.text).map_err(|_| {
            let text = format!(
                "secret {} has no username and password: store both in it as JSON, as Secrets Manager does for a database",
                self.arn
            );
            StepError::new(ErrorKind::InvalidInput, text)
        })
    }
}

/// Why RDS cannot set a user's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettable {
    /// It sets that of the master user alone.
    OfAnother,
    /// It does not take it, and why.
    Refused(&'static str),
}

impl DatabaseUser {
    /// Why RDS cannot set this password in a database whose master user is `master`; nothing, where it can.
    pub fn unsettable(&self, master: &str) -> Option<Unsettable> {
        if self.name != master {
            return Some(Unsettable::OfAnother);
        }
        self.refused_by_rds().map(Unsettable::Refused)
    }

    /// Source: RDS API Reference, `ModifyDBCluster`.
    fn refused_by_rds(&self) -> Option<&'static str> {
        let is_taken = |character: char| character.is_ascii_graphic() && !"/\"@".contains(character);
        if self.password.len() < 8 {
            return Some("it is shorter than 8 characters");
        }
        (!self.password.chars().all(is_taken))
            .then_some("it has a character that RDS does not take: /, \", @, a space, or none of ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret {
            arn: "arn:s".to_owned(),
            text: text.to_owned(),
            changed_at: None,
        }
    }

    #[test]
    fn a_secret_of_a_database_names_its_user_and_nothing_prints_it() {
        let of_database = secret(r#"{"username":"platform","password":"hunter22","host":"db"}"#);
        let user = of_database.database_user().unwrap();
        assert_eq!((user.name.as_str(), user.password.as_str()), ("platform", "hunter22"));
        let printed = format!("{of_database:?} {user:?}");
        assert!(!printed.contains("hunter22") && printed.contains("arn:s"), "{printed}");
        let error = secret("hunter22").database_user().unwrap_err();
        assert!(!error.to_string().contains("hunter22"), "{error}");
    }

    #[test]
    fn a_password_that_rds_does_not_take_is_told_before() {
        let refused = |password: &str| {
            let user = DatabaseUser {
                name: "platform".to_owned(),
                password: password.to_owned(),
            };
            user.unsettable("platform").is_some()
        };
        assert!(!refused("hunter22") && !refused("h!#$%^&*()_22"));
        for wrong in [
            "short",
            "with/slash",
            "with\"quote",
            "with@sign",
            "with a space",
            "ünterhund",
        ] {
            assert!(refused(wrong), "{wrong}");
        }
    }
}
