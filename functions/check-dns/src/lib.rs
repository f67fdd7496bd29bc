//! Looks whether a change of the public name's record has reached every name server of Route 53. It changes nothing.

use aws_sdk_route53::Client;
use aws_sdk_route53::types::ChangeStatus;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::StepError;
use shared::recovery::RecoveryRef;
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// Which change to look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery, for its timeline.
    pub recovery: RecoveryRef,
    /// Route 53's id of the change.
    pub change: String,
}

/// What was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether every name server has it.
    pub in_sync: bool,
    /// Whether Route 53 does not know the change any more, so that it must be submitted again: during a failover of its
    /// control plane, changes that were accepted can be left behind.
    pub gone: bool,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        match self {
            Self { in_sync: true, .. } => Summary::done("every name server has the record"),
            Self { gone: true, .. } => Summary::waiting("Route 53 no longer knows the change; it is submitted again"),
            _ => Summary::waiting("some name servers do not have the record yet"),
        }
    }
}

/// The step: checks whether a change of a DNS record has reached every name server.
#[derive(Debug)]
pub struct CheckDns {
    route53: Client,
}

impl Step for CheckDns {
    const NAME: &'static str = "check-dns";
    const DESCRIPTION: &'static str = "Checks whether a change of a DNS record has reached every name server";
    const CHANGES: &'static [Change] = &[];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            route53: Client::new(aws.config()),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let answer = self.route53.get_change().id(&input.change).send().await;
        let change = match answer {
            Ok(change) => change,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_change()) => {
                return Ok(Output {
                    in_sync: false,
                    gone: true,
                });
            }
            Err(error) => {
                let resource = format!("change {}", input.change);
                return Err(StepError::aws("route53:GetChange", &resource, error));
            }
        };
        let status = change.change_info().map(|info| info.status());
        Ok(Output {
            in_sync: status == Some(&ChangeStatus::Insync),
            gone: false,
        })
    }
}
