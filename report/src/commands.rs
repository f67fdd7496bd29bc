//! What somebody is to type. It is pasted into a shell, so that what is not plain makes no command.

use shared::arn;

use crate::account::Account;
use crate::words::visible;

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

/// A command of more characters than this is continued on further lines.
const WIDTH: usize = 76;

/// A command in lines that a shell takes for one: each but the last ends with a backslash. It breaks before options and
/// behind semicolons, and never between quotes.
fn lines(command: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts(command) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + part.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(part);
            }
            Some(line) => {
                line.push_str(" \\");
                lines.push(format!("  {part}"));
            }
            None => lines.push(part.to_owned()),
        }
    }
    lines
}

/// The same, with invisible characters made visible.
pub(crate) fn visible_lines(command: &str) -> Vec<String> {
    lines(&visible(command))
}

/// What stays on one line: an option with its values, or a command up to its semicolon.
fn parts(command: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut from, mut quote) = (0, None);
    for (index, character) in command.char_indices() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (closing, Some(open)) if closing == open => quote = None,
            (' ', None) if command[index..].starts_with(" --") || command[..index].ends_with(';') => {
                parts.push(&command[from..index]);
                from = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&command[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_the_lines_for_one_command() {
        let commands = [
            "printf '%s|' short",
            "printf '%s|' --region us-east-1 --query \"DBClusterSnapshots[?starts_with(Id, 'rds:a --b')].[Id,Time]\" --output table",
            "for f in one two three four five; do printf '%s|' $f; printf '%s|' --function-name $f --concurrent 0; done",
            "printf '%s|' 'it is ; --one text of more characters than fit onto a single line of the page' --and another",
        ];
        let run = |command: &str| Command::new("sh").args(["-c", command]).output().unwrap().stdout;
        for command in commands {
            let lines = lines(command);
            assert_eq!(run(&lines.join("\n")), run(command), "{lines:?}");
            assert!(!run(command).is_empty());
        }
        assert_eq!(lines(commands[0]).len(), 1);
        assert_eq!(
            lines(commands[1]),
            [
                "printf '%s|' --region us-east-1 \\",
                "  --query \"DBClusterSnapshots[?starts_with(Id, 'rds:a --b')].[Id,Time]\" \\",
                "  --output table"
            ]
        );
    }
}
