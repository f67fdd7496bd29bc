//! What the answers of Redis mean for a recovery. A text of Redis may hold what a command was given: of those that may, the code alone is
//! repeated.

use std::io;

use redis::{ErrorKind as RedisKind, RedisError};
use shared::error::{ErrorKind, StepError};

/// An error of a command that Redis answered, or that it never took.
pub(crate) fn of_command(command: &str, error: &RedisError) -> StepError {
    let (kind, why) = meaning(command, error);
    StepError::new(kind, why)
}

fn meaning(command: &str, error: &RedisError) -> (ErrorKind, String) {
    let detail = error.detail().unwrap_or_default();
    let code = error.code().unwrap_or_default();
    let does_not_know = code == "ERR" && detail.contains("unknown command");
    let asks_for_none = detail.contains("without any password configured") || detail.contains("no password is set");
    match (error.kind(), code) {
        _ if asks_for_none => (
            ErrorKind::Denied,
            "it asks for no password; leave the secret out of the plan, or set one".to_owned(),
        ),
        (_, "NOAUTH") => (
            ErrorKind::Denied,
            "it asks for a password (NOAUTH); name the secret with it in the plan".to_owned(),
        ),
        (RedisKind::AuthenticationFailed, _) | (_, "WRONGPASS") => (
            ErrorKind::Denied,
            "it does not accept the password of the plan's secret (WRONGPASS); put the right one into the secret"
                .to_owned(),
        ),
        (_, "NOPERM") => (
            ErrorKind::Denied,
            format!("the user may not run {command} there (NOPERM); allow it for the keys that the plan names"),
        ),
        _ if does_not_know => (
            ErrorKind::Denied,
            format!(
                "it does not know {command}: the command is renamed or blocked there; allow it, or say in the plan that the cache is \
                 emptied another way"
            ),
        ),
        (_, "READONLY") => (
            ErrorKind::Refused,
            "it is a replica, which takes no change (READONLY); give the endpoint of the primary".to_owned(),
        ),
        (_, "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "BUSY") => (
            ErrorKind::Conflict,
            format!("it does not take {command} now ({code}); it is tried again"),
        ),
        (_, "") => (ErrorKind::Internal, format!("{command} was not answered as Redis does")),
        (_, code) => (
            ErrorKind::Internal,
            format!("{command} failed ({code}); see the cache's log"),
        ),
    }
}

/// An error of the network.
pub(crate) fn of_network(error: &io::Error) -> StepError {
    match error.kind() {
        io::ErrorKind::InvalidData => StepError::refused(format!(
            "its certificate is not trusted, or it does not speak TLS: {error}; compare the plan's endpoint and tls with the cache"
        )),
        _ => StepError::new(
            ErrorKind::Unavailable,
            format!(
                "no connection: {error}; see whether the function's subnets and security groups reach it, and whether it is up"
            ),
        ),
    }
}
