//! What somebody is to type. It is pasted into a shell, so that what is not plain makes no command.

use shared::arn;

use crate::account::Account;

/// Whether a text is the same for a shell as for a reader.
pub(crate) fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain)
}

/// What lists the executions of the same machine in a Region.
pub(crate) fn executions_in(account: &Account, region: &str, status: Option<&str>) -> Option<String> {
    let machine = machine_in(account, region)?;
    let filter = status.map_or_else(
        || " --max-results 3".to_owned(),
        |status| format!(" --status-filter {status}"),
    );
    Some(format!(
        "aws stepfunctions list-executions --region {region} --state-machine-arn {machine}{filter}"
    ))
}

/// The ARN of the machine that ran it, in a Region: its own has the same name in each.
fn machine_in(account: &Account, region: &str) -> Option<String> {
    let machine = arn::machine_in(&account.header.execution, region)?;
    (is_plain(&machine) && is_plain(region)).then_some(machine)
}
