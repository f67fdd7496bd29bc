//! What every test of the command line needs.

use std::path::{Path, PathBuf};
use std::process::Output;

/// Exit status, standard output and standard error.
pub type Answer = (i32, String, String);

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command answered. Panics if a signal ended it, or if it wrote no UTF-8.
pub fn answer(output: Output) -> Answer {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// All that a command said, standard output first.
pub fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat()
}
