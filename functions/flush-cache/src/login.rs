//! The password of a cache.

use std::fmt;

use aws_sdk_secretsmanager::Client;
use redis::{ProtocolVersion, RedisConnectionInfo};
use serde::Deserialize;
use shared::error::{ErrorKind, StepError};
use shared::secret::Secret;

/// Who connects.
#[derive(Default)]
pub(crate) struct Login {
    username: Option<String>,
    password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// A secret that names a user.
#[derive(Deserialize)]
struct OfUser {
    #[serde(default)]
    username: Option<String>,
    password: String,
}

impl Login {
    /// What the secret says; without one, nobody.
    pub(crate) async fn read(client: &Client, secret: Option<&str>) -> Result<Self, StepError> {
        let Some(arn) = secret else {
            return Ok(Self::default());
        };
        let secret = Secret::read(client, arn).await?;
        Self::of(secret.text()).ok_or_else(|| {
            let text =
                format!("secret {arn} has no password: store the password alone, or JSON with password and username");
            StepError::new(ErrorKind::InvalidInput, text)
        })
    }

    fn of(text: &str) -> Option<Self> {
        let (username, password) = match text.trim_start().starts_with('{') {
            true => {
                let OfUser { username, password } = serde_json::from_str(text).ok()?;
                (username, password)
            }
            false => (None, text.to_owned()),
        };
        (!password.is_empty()).then_some(Self {
            username,
            password: Some(password),
        })
    }

    pub(crate) fn info(&self) -> RedisConnectionInfo {
        // What is not needed may be forbidden.
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        if let Some(username) = &self.username {
            info = info.set_username(username);
        }
        match &self.password {
            Some(password) => info.set_password(password),
            None => info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_password_or_names_its_user() {
        let read = |text: &str| Login::of(text).map(|login| (login.username, login.password.unwrap()));
        assert_eq!(read("12345"), Some((None, "12345".to_owned())));
        let of_user = read(r#"{"username":"dr","password":"p"}"#);
        assert_eq!(of_user, Some((Some("dr".to_owned()), "p".to_owned())));
        assert_eq!(read(r#"{"password":"p"}"#), Some((None, "p".to_owned())));
        for nothing in ["", "{", r#"{"password":""}"#, r#"{"pass":"p"}"#] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        assert_eq!(format!("{:?}", Login::of("p")), "Some(Login { .. })");
    }
}
