//! The servers of a cache, and connections to them.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Value};
use shared::aws::Aws;
use shared::dial::Endpoint;
use shared::error::{ErrorKind, StepError};
use shared::plan::Emptying;

use crate::login::Login;
use crate::refusal;

/// How long opening a connection may take, the handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may take to answer a command.
const ANSWER: Duration = Duration::from_secs(30);

/// Why something was not done at a server.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection was lost, or none came about: another one may help.
    Lost(StepError),
    /// The key is another primary's.
    Elsewhere(StepError),
    /// It was refused.
    Said(StepError),
}

impl Failure {
    /// What became of a command.
    pub(crate) fn of(command: &str, error: &RedisError) -> Self {
        if error.is_io_error() || error.is_connection_dropped() || error.is_timeout() {
            let text = format!("the connection was lost at {command}; it is tried again");
            return Self::Lost(StepError::new(ErrorKind::Unavailable, text));
        }
        let said = refusal::of_command(command, error);
        match error.code() {
            Some("MOVED" | "ASK") => Self::Elsewhere(said),
            _ => Self::Said(said),
        }
    }

    /// The error of the step, which names the cache and the server.
    pub(crate) fn said_of(self, cache: &str, server: &Endpoint) -> StepError {
        let (Self::Lost(error) | Self::Elsewhere(error) | Self::Said(error)) = self;
        StepError::new(error.kind, format!("cache {cache} at {server}: {}", error.message))
    }
}

/// The servers of one cache.
pub(crate) struct Servers<'a> {
    aws: &'a Aws,
    cache: &'a str,
    emptying: &'a Emptying,
    login: &'a Login,
}

impl<'a> Servers<'a> {
    /// Those that the plan's endpoint leads to.
    pub(crate) fn of(aws: &'a Aws, cache: &'a str, emptying: &'a Emptying, login: &'a Login) -> Self {
        Self {
            aws,
            cache,
            emptying,
            login,
        }
    }

    /// Every primary: those of a cluster, as it says itself, or the one server.
    pub(crate) async fn primaries(&self) -> Result<Vec<Endpoint>, StepError> {
        let (host, port) = self.emptying.host_and_port().ok_or_else(|| {
            let text = format!("cache {}: {} has no host and port", self.cache, self.emptying.endpoint);
            StepError::new(ErrorKind::InvalidInput, text)
        })?;
        let seed = Endpoint {
            host: host.to_owned(),
            port,
            tls: self.emptying.tls,
        };
        let asked = self.at(&seed, |connection| primaries(connection, &seed)).await;
        asked.map_err(|failure| failure.said_of(self.cache, &seed))
    }

    /// Does something at a server, over a connection of its own.
    pub(crate) async fn at<T, W>(
        &self,
        server: &Endpoint,
        work: impl FnOnce(MultiplexedConnection) -> W,
    ) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, Failure>>,
    {
        let stream = self.aws.connect(server, CONNECT).await.map_err(|error| {
            let error = refusal::of_network(&error);
            match error.kind.is_retryable() {
                true => Failure::Lost(error),
                false => Failure::Said(error),
            }
        })?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
        let info = self.login.info();
        let connecting = MultiplexedConnection::new_with_config(&info, stream, config);
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let connected =
            connected.unwrap_or_else(|_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))));
        let (connection, driver) = connected.map_err(|error| Failure::of("AUTH", &error))?;
        match select(pin!(work(connection)), pin!(driver)).await {
            Either::Left((done, _)) => done,
            // Without its driver, whatever is asked of it fails.
            Either::Right(((), work)) => work.await,
        }
    }
}

/// Has a server answer a command.
pub(crate) async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<Value, Failure> {
    let [command, arguments @ ..] = words else {
        return Ok(Value::Nil);
    };
    let answer = redis::cmd(command).arg(arguments).query_async(connection).await;
    answer.map_err(|error| Failure::of(command, &error))
}

async fn primaries(mut connection: MultiplexedConnection, seed: &Endpoint) -> Result<Vec<Endpoint>, Failure> {
    let info = text(&ask(&mut connection, &["INFO"]).await?);
    if !info.lines().any(|line| line.trim_end() == "cluster_enabled:1") {
        return Ok(vec![seed.clone()]);
    }
    let slots = ask(&mut connection, &["CLUSTER", "SLOTS"]).await?;
    let primaries = in_slots(&slots, seed);
    match primaries.is_empty() {
        true => {
            let text = "it is a cluster, and names no primary (CLUSTER SLOTS); it is tried again";
            Err(Failure::Said(StepError::new(ErrorKind::Conflict, text)))
        }
        false => Ok(primaries),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}

/// The primaries in an answer to `CLUSTER SLOTS`: of each range, the first node. A node without a host is reached as the one that was
/// asked (Redis, "CLUSTER SLOTS").
fn in_slots(slots: &Value, seed: &Endpoint) -> Vec<Endpoint> {
    let Value::Array(ranges) = slots else {
        return Vec::new();
    };
    let primary = |range: &Value| {
        let Value::Array(range) = range else { return None };
        let Value::Array(node) = range.get(2)? else { return None };
        let host = text(node.first()?);
        let Value::Int(port) = node.get(1)? else { return None };
        Some(Endpoint {
            host: match host.as_str() {
                "" | "?" => seed.host.clone(),
                host => host.to_owned(),
            },
            port: u16::try_from(*port).ok()?,
            tls: seed.tls,
        })
    };
    let mut primaries: Vec<Endpoint> = ranges.iter().filter_map(primary).collect();
    primaries.sort_unstable();
    primaries.dedup();
    primaries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_primary_of_a_cluster_is_found_once() {
        let seed = Endpoint {
            host: "seed".to_owned(),
            port: 6379,
            tls: true,
        };
        let node = |host: &str, port: i64| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        let range = |from: i64, nodes: Vec<Value>| {
            let bounds = [Value::Int(from), Value::Int(from + 99)];
            Value::Array(bounds.into_iter().chain(nodes).collect())
        };
        let slots = Value::Array(vec![
            range(0, vec![node("b", 6379), node("replica", 6379)]),
            range(100, vec![node("a", 6379)]),
            range(200, vec![node("b", 6379)]),
            range(300, vec![node("", 7000)]),
        ]);
        let found: Vec<String> = in_slots(&slots, &seed).iter().map(Endpoint::to_string).collect();
        assert_eq!(found, ["a:6379", "b:6379", "seed:7000"]);
        assert_eq!(in_slots(&Value::Nil, &seed), []);
    }
}
