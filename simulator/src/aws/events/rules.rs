//! Rules and their targets.

use serde_json::Value;
use shared::arn::Arn;

use super::transformer::InputTransformer;

/// A rule: which events go to which targets.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name, unique within a Region.
    pub name: String,
    /// Which events, as an event pattern.
    pub pattern: Value,
    /// Where they go, five targets at most.
    pub targets: Vec<Target>,
}

/// Where a rule sends events.
#[derive(Clone, Debug)]
pub enum Target {
    /// Starts an execution of a state machine.
    StateMachine {
        /// The state machine, in the rule's Region.
        arn: String,
        /// The execution's input.
        input: TargetInput,
    },
    /// Invokes a Lambda function.
    Function {
        /// The function, in the rule's Region.
        arn: String,
        /// The invocation's payload.
        input: TargetInput,
    },
}

/// What a target is given.
#[derive(Clone, Debug)]
pub enum TargetInput {
    /// The event as it is.
    Event,
    /// Something made from the event.
    Transformed(InputTransformer),
}

pub(super) fn is_arn_of(arn: &str, service: &str, region: &str) -> bool {
    let is_of = |arn: Arn<'_>| (arn.partition, arn.service, arn.region) == ("aws", service, region);
    Arn::read(arn).is_some_and(is_of)
}

impl Target {
    pub(super) fn parts(&self) -> (&str, &TargetInput) {
        match self {
            Self::StateMachine { arn, input } | Self::Function { arn, input } => (arn, input),
        }
    }

    pub(super) fn check(&self, region: &str) -> Result<(), String> {
        let (arn, input) = self.parts();
        let (service, kind) = match self {
            Self::StateMachine { .. } => ("states", "state machine"),
            Self::Function { .. } => ("lambda", "function"),
        };
        if !is_arn_of(arn, service, region) {
            return Err(format!("target {arn} is no {kind} in {region}"));
        }
        match input {
            TargetInput::Event => Ok(()),
            TargetInput::Transformed(transformer) => transformer.check().map_err(|why| format!("target {arn}: {why}")),
        }
    }
}
