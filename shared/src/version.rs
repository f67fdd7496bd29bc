//! Which version of the automation this is: `make release` builds the commit in.

/// The commit, with `-dirty` behind it if the work tree had changes.
const COMMIT: Option<&str> = option_env!("AUTOMATION_COMMIT");

/// The version and the commit, as reports and records say it.
pub fn in_words() -> String {
    said(COMMIT)
}

fn said(commit: Option<&str>) -> String {
    let commit = match commit {
        Some(commit) if !commit.is_empty() => format!("commit {commit}"),
        _ => "commit unknown: not built by make release from a repository".to_owned(),
    };
    format!("radiant-dr {}, {commit}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_a_commit_says_so() {
        assert!(said(Some("d50b62b3f1a2-dirty")).ends_with(", commit d50b62b3f1a2-dirty"));
        for unknown in [None, Some("")] {
            assert!(said(unknown).contains("commit unknown"), "{unknown:?}");
        }
    }
}
