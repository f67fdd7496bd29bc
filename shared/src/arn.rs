//! ARNs, taken apart and put together.

use std::fmt;

/// An ARN in its parts: `arn:partition:service:region:account:resource`. Region and account are empty where the service has
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: &'a str,
    /// The service, as ARNs name it: `states`, `lambda`, `sts`.
    pub service: &'a str,
    /// The Region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
    /// All that follows, such as `execution:recovery:one` or `assumed-role/on-call/somebody`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// The parts of an ARN; nothing, if this is none.
    pub fn read(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts[..] else {
            return None;
        };
        let is_one = [partition, service, resource].iter().all(|part| !part.is_empty());
        is_one.then_some(Self {
            partition,
            service,
            region,
            account,
            resource,
        })
    }

    /// The resource, taken apart at its colons: kind, name, and what qualifies it.
    pub fn resource_parts(&self) -> Vec<&'a str> {
        self.resource.split(':').collect()
    }

    /// The name of a resource of this service and kind, whatever qualifies it: of a Lambda function's version the function's.
    /// Nothing for any other.
    pub fn name_of(&self, service: &str, kind: &str) -> Option<&'a str> {
        match self.resource_parts()[..] {
            [its_kind, name, ..] if self.service == service && its_kind == kind && !name.is_empty() => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Arn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            service,
            region,
            account,
            resource,
        } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

/// The Region in an ARN; empty where it has none.
pub fn region(arn: &str) -> &str {
    Arn::read(arn).map_or("", |arn| arn.region)
}

/// What comes last in an ARN: an execution's name.
pub fn name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// What people call whoever an ARN names: a user, the session of a role, an alarm; the text itself where it is no ARN.
pub fn display_name(arn: &str) -> &str {
    let last = Arn::read(arn).and_then(|arn| arn.resource.rsplit(['/', ':']).next());
    last.filter(|name| !name.is_empty()).unwrap_or(arn)
}

/// ARN of the execution `name` of a machine, whose ARN may name one of its versions: an execution's never does.
pub fn execution(machine: &str, name: &str) -> String {
    let read = Arn::read(machine);
    match read.and_then(|arn| Some((arn, arn.name_of("states", MACHINE)?))) {
        Some((arn, machine)) => {
            let resource = format!("{EXECUTION}:{machine}:{name}");
            let resource = &resource;
            Arn { resource, ..arn }.to_string()
        }
        // No such execution exists, which whoever looks for it is told.
        None => format!("{machine}:{name}"),
    }
}

/// ARN of the machine of an execution, without a version; nothing if that is no execution's ARN.
pub fn machine(execution: &str) -> Option<String> {
    machine_in(execution, region(execution))
}

/// ARN of the machine of the same name in a Region, of an execution; nothing if that is no execution's ARN.
pub fn machine_in(execution: &str, region: &str) -> Option<String> {
    let arn = Arn::read(execution).filter(|_| is_execution(execution))?;
    let resource = format!("{MACHINE}:{}", arn.name_of("states", EXECUTION)?);
    let resource = &resource;
    Some(
        Arn {
            region,
            resource,
            ..arn
        }
        .to_string(),
    )
}

/// Whether this is the ARN of an execution, such as `arn:aws:states:us-west-2:123456789012:execution:recovery:one`.
pub fn is_execution(arn: &str) -> bool {
    Arn::read(arn).is_some_and(|arn| {
        let is_named =
            matches!(arn.resource_parts()[..], [EXECUTION, machine, name] if !machine.is_empty() && !name.is_empty());
        arn.service == "states" && is_named && !arn.region.is_empty() && !arn.account.is_empty()
    })
}

/// Kinds of Step Functions' resources.
const EXECUTION: &str = "execution";
const MACHINE: &str = "stateMachine";

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:one";

    #[test]
    fn a_machine_and_its_executions_follow_from_each_other() {
        let machine_arn = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";
        assert_eq!(machine(ONE).as_deref(), Some(machine_arn));
        assert_eq!(execution(machine_arn, "one"), ONE);
        assert_eq!(execution(&format!("{machine_arn}:7"), "one"), ONE);
        assert_eq!((region(ONE), name(ONE)), ("us-west-2", "one"));
    }

    #[test]
    fn people_call_somebody_by_the_last_part_of_an_arn() {
        for (arn, called) in [
            ("arn:aws:sts::1:assumed-role/on-call/one@example.com", "one@example.com"),
            ("arn:aws:cloudwatch:us-west-2:1:alarm:down", "down"),
            ("a/b", "a/b"),
            ("arn:aws:iam::1:user/", "arn:aws:iam::1:user/"),
        ] {
            assert_eq!(display_name(arn), called);
        }
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
        assert!(is_execution(ONE));
    }

    #[test]
    fn an_arn_is_written_as_it_was_read_and_what_is_none_is_not_read() {
        let role = "arn:aws:sts::123456789012:assumed-role/on-call/some:body";
        for arn in [ONE, role, "arn:aws:s3:::bucket/key"] {
            assert_eq!(Arn::read(arn).unwrap().to_string(), arn);
        }
        assert_eq!(Arn::read(role).unwrap().resource, "assumed-role/on-call/some:body");
        for none in [
            "",
            "arn",
            "arn:aws:s3",
            "arn::s3:::bucket",
            "arn:aws:s3:::",
            "urn:aws:s3:::bucket",
        ] {
            assert_eq!(Arn::read(none), None, "{none}");
        }
        let version = Arn::read("arn:aws:lambda:us-west-2:123456789012:function:router:7").unwrap();
        assert_eq!(version.name_of("lambda", "function"), Some("router"));
        assert_eq!(version.name_of("states", "function"), None);
        let machine = machine_in(ONE, "eu-west-1");
        assert_eq!(
            machine.as_deref(),
            Some("arn:aws:states:eu-west-1:123456789012:stateMachine:recovery")
        );
    }
}
