//! ARNs of state machines and their executions, taken apart and put together.

/// The Region in an ARN; empty where it has none.
pub fn region(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

/// What comes last in an ARN: an execution's name.
pub fn name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// ARN of the execution `name` of a machine, whose ARN may name one of its versions: an execution's never does.
pub fn execution(machine: &str, name: &str) -> String {
    let mut parts: Vec<&str> = machine.split(':').take(7).collect();
    if let Some(kind) = parts.get_mut(5) {
        *kind = "execution";
    }
    parts.push(name);
    parts.join(":")
}

/// ARN of the machine of an execution, without a version; nothing if that is no execution's ARN.
pub fn machine(execution: &str) -> Option<String> {
    is_execution(execution).then(|| {
        let (machine, _) = execution.rsplit_once(':').unwrap_or_default();
        machine.replacen(":execution:", ":stateMachine:", 1)
    })
}

/// Whether this is the ARN of an execution, such as `arn:aws:states:us-west-2:123456789012:execution:recovery:one`.
pub fn is_execution(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    parts.len() == 8 && parts[2] == "states" && parts[5] == "execution" && parts.iter().all(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:one";

    #[test]
    fn a_machine_and_its_executions_follow_from_each_other() {
        let machine_arn = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";
        assert_eq!(machine(EXECUTION).as_deref(), Some(machine_arn));
        assert_eq!(execution(machine_arn, "one"), EXECUTION);
        assert_eq!(execution(&format!("{machine_arn}:7"), "one"), EXECUTION);
        assert_eq!((region(EXECUTION), name(EXECUTION)), ("us-west-2", "one"));
    }

    #[test]
    fn what_is_no_execution_has_no_machine() {
        for arn in [
            "",
            "recovery",
            "arn:aws:states:us-west-2:123456789012:stateMachine:recovery",
            "arn:aws:states:us-west-2:123456789012:execution:recovery:",
            "arn:aws:lambda:us-west-2:123456789012:execution:recovery:one",
        ] {
            assert!(!is_execution(arn) && machine(arn).is_none(), "{arn}");
        }
        assert!(is_execution(EXECUTION));
    }
}
