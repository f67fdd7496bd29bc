//! Which keys are removed, and how it is known that none is left.

use redis::Value;
use redis::aio::MultiplexedConnection;
use shared::error::{ErrorKind, StepError};
use shared::plan::CacheKeys;

use crate::server::{Failure, ask};

/// How many keys a server looks at for one answer.
const AT_ONCE: usize = 500;
/// How often it is looked for keys that are still there, the first time included.
const PASSES: usize = 3;

/// What became of one server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Emptied {
    /// How many keys a prefix removed.
    pub(crate) removed: u64,
    /// Whether it was this server's to change: the key of an epoch is one primary's of a cluster.
    pub(crate) is_here: bool,
}

/// What is removed, for people.
pub(crate) fn in_words(keys: &CacheKeys) -> String {
    match keys {
        CacheKeys::All => "all of its keys".to_owned(),
        CacheKeys::Prefix(prefix) => format!("the keys that begin with {prefix}"),
        CacheKeys::Epoch(key) => format!("key {key} gets the recovery's id, and no other key is removed"),
    }
}

/// The pattern of the keys that begin with a prefix, whatever characters it has.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::new();
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

/// Checks that the commands are there and allowed, without running one that changes something: Redis checks a command that is queued in a
/// transaction as one that is run, and the transaction is discarded (Redis, "Transactions").
pub(crate) async fn are_allowed(mut connection: MultiplexedConnection, keys: &CacheKeys) -> Result<(), Failure> {
    let reads: &[&str] = match keys {
        CacheKeys::All => &["DBSIZE"],
        CacheKeys::Prefix(prefix) => &["SCAN", "0", "MATCH", &pattern(prefix), "COUNT", "1"],
        CacheKeys::Epoch(key) => &["GET", key],
    };
    is_allowed(ask(&mut connection, reads).await)?;
    let changes: &[&str] = match keys {
        CacheKeys::All => &["FLUSHALL", "ASYNC"],
        CacheKeys::Prefix(prefix) => &["UNLINK", prefix],
        CacheKeys::Epoch(key) => &["SET", key, ""],
    };
    ask(&mut connection, &["MULTI"]).await?;
    let queued = ask(&mut connection, changes).await;
    ask(&mut connection, &["DISCARD"]).await?;
    is_allowed(queued)
}

/// A key of another primary's shows that the command is allowed: permissions are checked before that.
fn is_allowed(answer: Result<Value, Failure>) -> Result<(), Failure> {
    match answer {
        Err(Failure::Elsewhere(_)) => Ok(()),
        answer => answer.map(drop),
    }
}

/// Removes the keys, and looks whether they are gone.
pub(crate) async fn empty(
    mut connection: MultiplexedConnection,
    keys: &CacheKeys,
    recovery: &str,
) -> Result<Emptied, Failure> {
    match keys {
        CacheKeys::All => {
            for _ in 0..PASSES {
                ask(&mut connection, &["FLUSHALL", "ASYNC"]).await?;
                if ask(&mut connection, &["DBSIZE"]).await? == Value::Int(0) {
                    return Ok(Emptied {
                        removed: 0,
                        is_here: true,
                    });
                }
            }
        }
        CacheKeys::Prefix(prefix) => {
            let pattern = pattern(prefix);
            let mut removed = 0;
            for _ in 0..PASSES {
                match remove(&mut connection, &pattern).await? {
                    0 => return Ok(Emptied { removed, is_here: true }),
                    found => removed += found,
                }
            }
        }
        CacheKeys::Epoch(key) => {
            match ask(&mut connection, &["SET", key, recovery]).await {
                Err(Failure::Elsewhere(_)) => return Ok(Emptied::default()),
                set => set?,
            };
            if ask(&mut connection, &["GET", key]).await? == Value::BulkString(recovery.as_bytes().to_vec()) {
                return Ok(Emptied {
                    removed: 0,
                    is_here: true,
                });
            }
        }
    }
    let text = format!(
        "its keys come back as fast as they are removed ({}): something that the recovery has not stopped writes them; stop it, then resume",
        in_words(keys)
    );
    Err(Failure::Said(StepError::new(ErrorKind::VerificationFailed, text)))
}

/// Goes once through the keys of a pattern and removes them; gives how many were found. What is there all the while is found.
async fn remove(connection: &mut MultiplexedConnection, pattern: &str) -> Result<u64, Failure> {
    let (mut cursor, mut found) = ("0".to_owned(), 0);
    loop {
        let page = redis::cmd("SCAN")
            .arg(&cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(AT_ONCE)
            .query_async::<(String, Vec<Vec<u8>>)>(connection)
            .await;
        let (next, keys) = page.map_err(|error| Failure::of("SCAN", &error))?;
        if !keys.is_empty() {
            // One key each: those of one command must be in one slot of a cluster.
            let mut pipeline = redis::pipe();
            for key in &keys {
                pipeline.cmd("UNLINK").arg(key).ignore();
            }
            let removed = pipeline.query_async::<()>(connection).await;
            removed.map_err(|error| Failure::of("UNLINK", &error))?;
            found += keys.len() as u64;
        }
        if next == "0" {
            return Ok(found);
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(pattern("radiant:"), "radiant:*");
        assert_eq!(pattern(r"a*b?[c]\"), r"a\*b\?\[c\]\\*");
    }
}
