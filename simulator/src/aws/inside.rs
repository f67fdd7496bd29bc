//! The network inside the platform, and connections to the servers there. A server answers within the poll of whoever asks, so that a
//! watcher sees whose command it was.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use shared::dial::{Dial, Endpoint, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::elasticache::{Outcome, REDIS, Session, can_change, parse};
use crate::cloud::{AwsCall, Cloud, Moment, Touched};

/// The network inside the platform, as a function sees it.
#[derive(Clone)]
pub(super) struct Inside {
    cloud: Arc<Cloud>,
    function: String,
    region: String,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside")
            .field("function", &self.function)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Inside {
    pub(super) fn new(cloud: &Arc<Cloud>, function: &str, region: &str) -> Self {
        Self {
            cloud: Arc::clone(cloud),
            function: function.to_owned(),
            region: region.to_owned(),
        }
    }
}

impl Dial for Inside {
    fn dial(&self, to: Endpoint) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let inside = self.clone();
        Box::pin(async move {
            let endpoint = to.to_string();
            let answers = inside.cloud.draw("cache-answer", &inside.cloud.timings.cache_answer);
            tokio::time::sleep(answers).await;
            let found = inside.cloud.elasticache.find(&endpoint);
            let Some((region, is_away)) = found else {
                return Err(io::Error::other("no such host"));
            };
            if is_away || region != inside.region || !inside.cloud.runs(&region) {
                std::future::pending::<()>().await;
            }
            Ok(Box::new(Connection::new(inside, endpoint)) as Box<dyn Stream>)
        })
    }
}

struct Connection {
    inside: Inside,
    endpoint: String,
    session: Session,
    sent: Vec<u8>,
    answers: VecDeque<u8>,
    /// Until the answers are there.
    on_their_way: Option<Pin<Box<Sleep>>>,
    is_cut: bool,
    reader: Option<Waker>,
}

impl Connection {
    fn new(inside: Inside, endpoint: String) -> Self {
        Self {
            inside,
            endpoint,
            session: Session::default(),
            sent: Vec::new(),
            answers: VecDeque::new(),
            on_their_way: None,
            is_cut: false,
            reader: None,
        }
    }

    /// Answers every command that is whole.
    fn serve(&mut self) {
        while !self.is_cut {
            match parse(&self.sent) {
                Ok(None) => break,
                Ok(Some((words, taken))) => {
                    self.sent.drain(..taken);
                    self.answer(&words);
                }
                Err(()) => self.is_cut = true,
            }
        }
        let cloud = &self.inside.cloud;
        self.on_their_way = Some(Box::pin(sleep(cloud.draw("cache-answer", &cloud.timings.cache_answer))));
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn answer(&mut self, words: &[Vec<u8>]) {
        let [command, arguments @ ..] = words else { return };
        let command = String::from_utf8_lossy(command).to_uppercase();
        let Inside {
            cloud,
            function,
            region,
        } = &self.inside;
        let call = AwsCall {
            function: function.clone(),
            region: region.clone(),
            service: REDIS.to_owned(),
            operation: command.clone(),
        };
        let can_change = can_change(&command);
        cloud.touch(Touched {
            function: function.clone(),
            from_region: region.clone(),
            region: region.clone(),
            service: REDIS.to_owned(),
            operation: command.clone(),
            can_change,
            resources: Ok(BTreeSet::new()),
        });
        let watcher = cloud.watcher().filter(|_| can_change);
        let watch = |moment| {
            if let Some(watcher) = watcher {
                watcher(&call, moment);
            }
        };
        watch(Moment::Before);
        let session = &mut self.session;
        let outcome = cloud.elasticache.take(&self.endpoint, session, &command, arguments);
        watch(Moment::After);
        cloud.count_command(function);
        match outcome {
            Some(Outcome::Answer(answer)) => self.answers.extend(answer),
            Some(Outcome::Cut) | None => self.is_cut = true,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.sent.extend_from_slice(bytes);
        self.serve();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(sleeping) = &mut self.on_their_way {
            std::task::ready!(sleeping.as_mut().poll(context));
            self.on_their_way = None;
        }
        if self.answers.is_empty() && !self.is_cut {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = into.remaining().min(self.answers.len());
        let answer: Vec<u8> = self.answers.drain(..taken).collect();
        into.put_slice(&answer);
        Poll::Ready(Ok(()))
    }
}
