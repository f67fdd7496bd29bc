//! The execution of a scenario's machine that a recovery's execution starts: what it is called, and what it gives back.
//!
//! Its name follows from the recovery's *execution*, so that it is started once, and so that whoever finds that execution
//! ended finds this one too. From the recovery's id it could not follow: a recovery that is resumed starts another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::arn;
use crate::measure::Observed;
use crate::recovery::{Outcome, RecoveryRef};

/// How a scenario's machine is run: by which version of it, and under which names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioRun {
    /// ARN of the machine, with its version.
    pub machine: String,
    /// Name of the execution.
    pub name: String,
    /// Name of the execution that takes back what that one changed, if it does not end by itself.
    pub name_of_undo: String,
}

impl ScenarioRun {
    /// How the execution `recovery_execution` (an ARN) of a recovery runs `machine`.
    pub fn new(machine: &str, recovery_execution: &str) -> Self {
        let digest = Sha256::digest(recovery_execution.as_bytes());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            machine: machine.to_owned(),
            name_of_undo: format!("{name}-undo"),
            name,
        }
    }

    /// ARNs of the executions that there can be.
    pub fn executions(&self) -> [String; 2] {
        [&self.name, &self.name_of_undo].map(|name| arn::execution(&self.machine, name))
    }
}

/// Whether `execution` (an ARN) is one that the recovery's own execution has started, or that one itself.
pub fn is_of(execution: &str, recovery: &RecoveryRef) -> bool {
    let run = ScenarioRun::new("", &recovery.execution);
    execution == recovery.execution
        || (arn::region(execution) == arn::region(&recovery.execution)
            && [run.name, run.name_of_undo]
                .iter()
                .any(|name| name == arn::name(execution)))
}

/// How a scenario's machine ended: the output of its execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioEnd {
    /// The outcome, where no state failed.
    pub outcome: Outcome,
    /// Why, where no state failed and it is not plainly recovered.
    pub reason: Option<String>,
    /// The state that failed, if one did.
    pub failure: Option<Failure>,
    /// The times that were observed.
    pub observed: Observed,
    /// What steps answered that a person should know: each may have `warnings`, a list of
    /// [`crate::record::Warning`].
    pub evidence: BTreeMap<String, Value>,
    /// What taking back left, where that was tried.
    pub remaining: Option<Remaining>,
}

/// What taking back left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remaining {
    /// Whether nothing is left: everything is as it was before.
    pub complete: bool,
    /// In a sentence, for people.
    pub summary: String,
}

/// A state that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The name of the state.
    pub state: String,
    /// What Step Functions says of it.
    pub error: ErrorOutput,
}

/// `$states.errorOutput`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorOutput {
    /// The error's name: one of ours, Lambda's or Step Functions'. Empty where a person failed a Task and gave none.
    #[serde(rename = "Error", default, deserialize_with = "empty_where_null")]
    pub error: String,
    /// Its explanation; for an error of a function, JSON with `errorMessage`.
    #[serde(rename = "Cause", default, deserialize_with = "empty_where_null")]
    pub cause: String,
}

/// Step Functions gives null for what `SendTaskFailure` left out.
fn empty_where_null<'de, D: Deserializer<'de>>(text: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(text)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_error_and_cause_is_read() {
        let nothing = serde_json::from_str::<ErrorOutput>(r#"{ "Error": null, "Cause": null }"#).unwrap();
        assert_eq!((nothing.error.as_str(), nothing.cause.as_str()), ("", ""));
    }

    const RECOVERY: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:one";
    const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:region-switch:3";

    fn reference(execution: &str) -> RecoveryRef {
        RecoveryRef {
            id: "r".into(),
            workload: "w".into(),
            token: 1,
            execution: execution.into(),
        }
    }

    #[test]
    fn names_follow_from_the_execution_and_fit() {
        let run = ScenarioRun::new(MACHINE, RECOVERY);
        assert_eq!(run, ScenarioRun::new(MACHINE, RECOVERY));
        let resumed = ScenarioRun::new(MACHINE, &RECOVERY.replace(":one", ":one-resumed-1"));
        let names = [&run.name, &run.name_of_undo, &resumed.name, &resumed.name_of_undo];
        for (index, name) in names.iter().enumerate() {
            // The longest that StartExecution takes.
            assert!(name.len() <= 80 && !names[..index].contains(name), "{name}");
        }
        // An execution's ARN never has its machine's version.
        let expected = format!(
            "arn:aws:states:us-west-2:123456789012:execution:region-switch:{}",
            run.name
        );
        assert_eq!(run.executions()[0], expected);
    }

    #[test]
    fn an_execution_belongs_to_one_recovery_execution() {
        let run = ScenarioRun::new(MACHINE, RECOVERY);
        let ours = reference(RECOVERY);
        for execution in run.executions() {
            assert!(is_of(&execution, &ours));
            assert!(!is_of(&execution, &reference(&RECOVERY.replace(":one", ":two"))));
            assert!(!is_of(&execution.replace("us-west-2", "us-east-1"), &ours));
        }
        assert!(is_of(RECOVERY, &ours));
        let by_hand = "arn:aws:states:us-west-2:123456789012:execution:region-switch:by-hand";
        assert!(!is_of(by_hand, &ours));
    }
}
