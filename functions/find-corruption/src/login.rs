//! Whether the password of the platform's user will be the right one in the restored database: passwords are data, and go back in time.

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use shared::error::StepError;
use shared::secret::{DatabaseUser, Secret, Unsettable};

/// The user of the plan's secret.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: DatabaseUser,
    /// Since when the secret has had this password.
    pub(crate) changed_at: Option<Timestamp>,
}

/// What will be with the password in the restored database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Password {
    /// It is the same.
    Fits,
    /// It was changed after the moment to go back to; RDS can set it.
    IsSet(Timestamp),
    /// It was changed after that, and nothing can set it.
    Lost(String),
}

impl Login {
    /// Reads it. Errors: those of [`Secret::read`] and [`Secret::database_user`].
    pub(crate) async fn read(client: &Client, arn: &str) -> Result<Self, StepError> {
        let secret = Secret::read(client, arn).await?;
        Ok(Self {
            user: secret.database_user()?,
            changed_at: secret.changed_at,
        })
    }

    /// What will be with the password in a database with the data of `to`, whose master user is `master`.
    pub(crate) fn as_of(&self, to: Timestamp, master: &str) -> Password {
        let Some(changed_at) = self.changed_at.filter(|at| *at > to) else {
            return Password::Fits;
        };
        match self.user.unsettable(master) {
            None => Password::IsSet(changed_at),
            Some(Unsettable::OfAnother) => Password::Lost(format!(
                "the password of user {} was changed at {changed_at}, after that moment, and RDS can set the password of the master user \
                 {master} alone: the restored database would let no function in. Say a later moment, or put the master user into the \
                 plan's secret, then start again",
                self.user.name
            )),
            Some(Unsettable::Refused(why)) => Password::Lost(format!(
                "the password of user {master} was changed at {changed_at}, after that moment, and RDS would not set it in the restored \
                 database: {why}. Change it to one that RDS takes, in the database and in the secret, then start again"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn login(password: &str, changed_at: Option<i64>) -> Login {
        Login {
            user: DatabaseUser {
                name: "platform".to_owned(),
                password: password.to_owned(),
            },
            changed_at: changed_at.map(at),
        }
    }

    #[test]
    fn a_password_of_before_fits_and_one_of_later_can_be_set_for_the_master_user_alone() {
        let of = |changed_at, master: &str| login("hunter22", changed_at).as_of(at(100), master);
        for same in [None, Some(99), Some(100)] {
            assert_eq!(of(same, "another"), Password::Fits);
        }
        assert_eq!(of(Some(101), "platform"), Password::IsSet(at(101)));
        let Password::Lost(why) = of(Some(101), "another") else {
            panic!("a user who is not the master user")
        };
        assert!(
            why.contains("user platform") && why.contains("master user another"),
            "{why}"
        );
        let Password::Lost(why) = login("with/slash", Some(101)).as_of(at(100), "platform") else {
            panic!("a password that RDS does not take")
        };
        assert!(why.contains("would not set it") && !why.contains("slash"), "{why}");
    }
}
