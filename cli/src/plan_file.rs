//! Reads a plan file, and lists all its errors at once, with paths and lines.

mod finding;
mod wording;
mod yaml;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use shared::plan::Plan;

pub use finding::Finding;

use crate::output::one_line;
use yaml::Node;

/// Plans are stored in a DynamoDB table and passed between steps; this is the size that the design allows.
const LARGEST: u64 = 64 * 1024;

/// Why there is no plan.
#[derive(Debug)]
pub enum PlanFileError {
    /// The file cannot be read as text.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file was read, and what it says is not a sound plan.
    Wrong {
        /// The file.
        file: PathBuf,
        /// What is wrong, in the order of the file. Never empty.
        findings: Vec<Finding>,
    },
}

impl fmt::Display for PlanFileError {
    /// One line for each thing that is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => write!(f, "{}: {reason}", one_line(&file.display())),
            Self::Wrong { file, findings } => {
                let lines: Vec<_> = findings
                    .iter()
                    .map(|finding| format!("{} {}", finding.place(file), finding.text()))
                    .collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for PlanFileError {}

/// Reads the plan in `file`.
///
/// # Errors
/// The file cannot be read, or it is not a sound plan; then everything that is wrong is in the error.
pub fn read_plan(file: &Path) -> Result<Plan, PlanFileError> {
    let text = read_text(file).map_err(|reason| PlanFileError::Unreadable {
        file: file.to_owned(),
        reason,
    })?;
    parse(&text).map_err(|findings| PlanFileError::Wrong {
        file: file.to_owned(),
        findings,
    })
}

fn read_text(file: &Path) -> Result<String, String> {
    let read = |file: &Path| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory; give the plan file in it".to_owned(),
        io::ErrorKind::PermissionDenied => "access denied; check the file's permissions".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err("is larger than 64 KiB, the limit of a plan".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!("is not text in UTF-8 (line {line}); a plan is a YAML file")
    })?;
    // A parser may take NUL for the end and never see the rest.
    let binary = text
        .lines()
        .position(|line| line.chars().any(|c| c.is_control() && c != '\t' && c != '\r'));
    match binary {
        Some(line) => Err(format!(
            "is not text (line {} has a control character); a plan is a YAML file",
            line + 1
        )),
        None => Ok(text),
    }
}

/// Reads a plan from text. Errors: everything that is wrong, in the order of the text.
pub(crate) fn parse(text: &str) -> Result<Plan, Vec<Finding>> {
    // Some editors begin a file with a byte order mark.
    let yaml::Document { root, mut findings } = yaml::read(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut plan = None;
    if let Some(root) = &root {
        let value = root.to_value();
        let wrong_types = wording::against_schema(&Plan::schema(), &value, root);
        if wrong_types.is_empty() {
            match serde_json::from_value::<Plan>(value) {
                Ok(read) => {
                    findings.extend(
                        shared::plan::check::check(&read)
                            .into_iter()
                            .map(|problem| problem_at(root, problem)),
                    );
                    plan = Some(read);
                }
                // The schema lets nothing pass that the types refuse; if it ever does, say at least what.
                Err(error) => {
                    findings.push(Finding {
                        position: root.position,
                        path: String::new(),
                        message: one_line(&error),
                    });
                }
            }
        }
        findings.extend(wrong_types);
    }
    findings.sort_by_key(|finding| finding.position);
    findings.dedup();
    match plan {
        Some(plan) if findings.is_empty() => Ok(plan),
        _ => Err(findings),
    }
}

fn problem_at(root: &Node, problem: shared::plan::check::Problem) -> Finding {
    Finding {
        position: root.find(&problem.path),
        path: problem.path,
        message: one_line(&problem.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RADIANT: &str = include_str!("../../radiant.plan.yaml");

    fn messages(text: &str) -> Vec<(usize, String)> {
        match parse(text) {
            Ok(_) => Vec::new(),
            Err(findings) => findings
                .into_iter()
                .map(|finding| (finding.position.line, finding.text()))
                .collect(),
        }
    }

    #[test]
    fn radiant_is_sound() {
        assert_eq!(messages(RADIANT), []);
    }

    #[test]
    fn radiant_is_sound_with_windows_line_ends_and_a_byte_order_mark() {
        let text = format!("\u{feff}{}", RADIANT.replace('\n', "\r\n"));
        assert_eq!(messages(&text), []);
    }

    /// Takes away one line after the other, and cuts the file after some: whatever is left, it ends in a plan or in
    /// findings that are in order.
    #[test]
    fn no_damage_is_too_much() {
        let lines: Vec<&str> = RADIANT.lines().collect();
        for i in 0..lines.len() {
            let without: Vec<&str> = lines[..i].iter().chain(&lines[i + 1..]).copied().collect();
            // Each check compiles the schema, so not every cut is tried.
            let cut = (i % 5 == 0).then(|| lines[..i].join("\n"));
            for text in [Some(without.join("\n")), cut].into_iter().flatten() {
                if let Err(findings) = parse(&text) {
                    assert!(!findings.is_empty());
                    assert!(findings.is_sorted_by_key(|finding| finding.position), "{findings:?}");
                }
            }
        }
    }
}
