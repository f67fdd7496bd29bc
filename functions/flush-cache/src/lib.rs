//! Empties the caches that hold what a restored database does not, before the first customer reads from them.
//!
//! Ids that were given out after the moment live on in caches: whoever comes first would read what is gone, and write on top of it. The
//! same call without [`Input::empties`] looks whether all of this will be possible, and changes nothing.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::dial;
use shared::error::{ErrorKind, StepError};
use shared::plan::{Cache, Emptying};
use shared::record::{Record, Warning, WarningCode, is_opened};
use shared::recovery::RecoveryRef;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

mod keys;
mod login;
mod refusal;
mod server;

use crate::login::Login;
use crate::server::{Failure, Servers};

/// How long looking at one cache may take. People are warned without it.
const LOOKED_WITHIN: Duration = Duration::from_secs(20);
/// How often a server is connected to whose connection is lost, before the step fails and its machine tries again.
const CONNECTIONS: usize = 4;

/// What to do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The caches of the Region.
    pub caches: Vec<Cache>,
    /// Whether they are emptied; otherwise it is only checked that they can be.
    pub empties: bool,
}

/// What was found, or done.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The caches that are emptied, or can be.
    pub caches: Vec<String>,
    /// How many keys were removed by a prefix.
    pub removed: u64,
    /// Why the recovery cannot begin; nothing where it can.
    pub blockers: Vec<String>,
    /// What people are told of it before they are asked, a line each.
    pub shown: Vec<String>,
    /// What is left to people: caches of which the plan does not say how they are emptied.
    pub left: Vec<String>,
    /// What people should know.
    pub warnings: Vec<Warning>,
    /// Whether they were emptied, and not only looked at.
    pub emptied: bool,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        let caches = self.caches.join(", ");
        match (self.blockers.is_empty(), self.caches.is_empty(), self.emptied) {
            (false, _, _) => Summary::failed(self.blockers.join("; ")),
            (true, true, _) => Summary::done("no cache is emptied").warning(&self.warnings),
            (true, false, true) => Summary::done(format!("emptied before customers come: {caches}")),
            (true, false, false) => Summary::done(format!("can be emptied: {caches}")).warning(&self.warnings),
        }
    }
}

/// The step: empties caches.
#[derive(Debug)]
pub struct FlushCache {
    aws: Aws,
    secrets: Client,
    record: Record,
}

impl Step for FlushCache {
    const NAME: &'static str = "flush-cache";
    const DESCRIPTION: &'static str = "Empties the caches that hold what a restored database does not";
    const CHANGES: &'static [Change] = &[
        Change::Call("redis:FLUSHALL"),
        Change::Call("redis:SET"),
        Change::Call("redis:UNLINK"),
    ];
    const TIME_LIMIT: Duration = Duration::from_secs(280);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            secrets: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let mut output = Output {
            caches: Vec::new(),
            removed: 0,
            blockers: Vec::new(),
            shown: Vec::new(),
            left: Vec::new(),
            warnings: Vec::new(),
            emptied: input.empties,
        };
        for cache in input.caches.iter().filter(|cache| cache.empty.is_none()) {
            let text = format!("the plan does not say how cache {} is emptied", cache.id);
            let todo = format!("{text}: empty it by hand before you approve that customers move");
            output.warnings.push(Warning::new(other("cache-by-hand"), todo));
            output
                .left
                .push(format!("{text}, and customers may be served from it what is gone"));
        }
        let caches = input.caches.iter();
        let caches: Vec<(&str, &Emptying)> = caches
            .filter_map(|cache| Some((cache.id.as_str(), cache.empty.as_ref()?)))
            .collect();
        match input.empties {
            false => self.look_at_all(&caches, &mut output).await,
            true => self.empty_all(&input.recovery, &caches, &mut output).await?,
        }
        Ok(output)
    }
}

fn other(code: &str) -> WarningCode {
    WarningCode::Other(code.to_owned())
}

impl FlushCache {
    async fn look_at_all(&self, caches: &[(&str, &Emptying)], output: &mut Output) {
        let looks = caches.iter().map(|(id, emptying)| async move {
            let look = dial::awaited(self.look_at(id, emptying));
            tokio::time::timeout(LOOKED_WITHIN, look).await.unwrap_or_else(|_| {
                let text = format!("cache {id} did not answer within {LOOKED_WITHIN:?}");
                Err(StepError::new(ErrorKind::Unavailable, text))
            })
        });
        let looks = futures::future::join_all(looks).await;
        for ((id, emptying), look) in caches.iter().zip(looks) {
            match look {
                Ok(()) => {
                    output.caches.push((*id).to_owned());
                    let keys = keys::in_words(&emptying.keys);
                    output
                        .shown
                        .push(format!("before customers move, cache {id} is emptied: {keys}"));
                }
                Err(error) if error.kind.is_retryable() => {
                    let text = format!(
                        "cache {id} could not be looked at; customers move only once it is emptied, and the recovery goes back if it cannot be"
                    );
                    let warning = Warning::new(other("cache-unseen"), text).because(error);
                    output.warnings.push(warning);
                }
                Err(error) => output.blockers.push(error.to_string()),
            }
        }
    }

    /// Connects to each server that would be emptied, and has it say whether it would do that.
    async fn look_at(&self, id: &str, emptying: &Emptying) -> Result<(), StepError> {
        let login = Login::read(&self.secrets, emptying.secret.as_deref()).await?;
        let servers = Servers::of(&self.aws, id, emptying, &login);
        for server in servers.primaries().await? {
            let looked = servers
                .at(&server, |connection| keys::are_allowed(connection, &emptying.keys))
                .await;
            looked.map_err(|failure| failure.said_of(id, &server))?;
        }
        Ok(())
    }

    async fn empty_all(
        &self,
        recovery: &RecoveryRef,
        caches: &[(&str, &Emptying)],
        output: &mut Output,
    ) -> Result<(), StepError> {
        self.record.still_ours(recovery).await?;
        if is_opened(&self.record.undo_notes(&recovery.id).await?) {
            // They were emptied before customers came, and hold what these wrote since.
            output.caches = caches.iter().map(|(id, _)| (*id).to_owned()).collect();
            return Ok(());
        }
        let each = caches
            .iter()
            .map(|(id, emptying)| dial::awaited(self.empty(id, emptying, &recovery.id)));
        let each = futures::future::join_all(each).await;
        let mut errors = Vec::new();
        for ((id, _), emptied) in caches.iter().zip(each) {
            match emptied {
                Ok(removed) => {
                    output.caches.push((*id).to_owned());
                    output.removed += removed;
                }
                Err(error) => errors.push(error),
            }
        }
        // One that no further try can help with comes first.
        errors.sort_by_key(|error| error.kind.is_retryable());
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Empties every primary of a cache, each anew after a connection was lost; gives how many keys a prefix removed.
    async fn empty(&self, id: &str, emptying: &Emptying, recovery: &str) -> Result<u64, StepError> {
        let login = Login::read(&self.secrets, emptying.secret.as_deref()).await?;
        let servers = Servers::of(&self.aws, id, emptying, &login);
        let primaries = servers.primaries().await?;
        let (mut removed, mut took) = (0, 0);
        for server in &primaries {
            let mut tries = 0;
            let emptied = loop {
                tries += 1;
                let emptied = servers
                    .at(server, |connection| keys::empty(connection, &emptying.keys, recovery))
                    .await;
                match emptied {
                    Err(Failure::Lost(_)) if tries < CONNECTIONS => {}
                    emptied => break emptied,
                }
            };
            let emptied = emptied.map_err(|failure| failure.said_of(id, server))?;
            removed += emptied.removed;
            took += usize::from(emptied.is_here);
        }
        if took == 0 {
            let text = format!(
                "cache {id}: none of its {} primaries took the key of the epoch",
                primaries.len()
            );
            return Err(StepError::new(ErrorKind::Conflict, text));
        }
        Ok(removed)
    }
}
